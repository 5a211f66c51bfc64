/*
 * Aggregation on any pipeline: stages and expressions from short lists of names, filled with values
 * made by the grammar, over two documents. No crash, bounded time; what comes out is BSON within the
 * depth and the size that the next stage counts on, and what is refused has a reason.
 */
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/json/bson_check.h"
#include "director/store/fuzz-grammar.h"
#include "director/store/query/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STAGES_MAX = 6, RESULT_BYTES = 100000 };

static const struct pipeline_limits limits = { { 50, 100 }, STAGES_MAX, 100, RESULT_BYTES, 4096 };

static const char *const stage_names[] = { "$match", "$project", "$addFields", "$set", "$unset",
	"$group", "$sort", "$limit", "$skip", "$unwind", "$count", "$sortByCount", "$lookup" };
static const char *const operators[] = { "$add", "$subtract", "$multiply", "$divide", "$mod",
	"$abs", "$round", "$eq", "$lt", "$cmp", "$and", "$or", "$not", "$cond", "$ifNull",
	"$concat", "$toLower", "$strLenCP", "$substrCP", "$size", "$arrayElemAt", "$first", "$in",
	"$isArray", "$concatArrays", "$min", "$sum", "$avg", "$mergeObjects", "$year", "$dayOfWeek",
	"$dateToString", "$type", "$toString", "$toInt", "$toDouble", "$literal", "$function" };
static const char *const accumulators[] = { "$sum", "$avg", "$min", "$max", "$first", "$last",
	"$push", "$addToSet", "$count", "$accumulator" };
static const char *const paths[] = { "$a", "$b", "$a.b", "$b.a", "$$ROOT", "$$REMOVE", "$$NOW",
	"$_id", "$user_id", "$n.x", "$$x" };
static const char *const fields[] = { "a", "b", "a.b", "_id", "n", "n.x", "n.y" };

static void expression(
	struct fuzz_bytes *in, struct document_writer *w, struct slice name, unsigned depth)
{
	char text[24];
	uint8_t kind = fuzz_byte(in);
	if (kind < 0x60 || depth >= FUZZ_DEPTH_MAX) {
		writer_string(w, name, FUZZ_PICK(in, paths));
		return;
	}
	if (kind < 0x80) {
		fuzz_value(in, w, name, FUZZ_DEPTH_MAX - 1);
		return;
	}
	size_t start = writer_open_in(w, kind < 0x90 ? BT_ARRAY : BT_OBJECT, name);
	if (kind < 0x90) {
		expression(in, w, SLICE("0"), depth + 1);
	} else if (kind < 0xa0) {
		expression(in, w, SLICE("x"), depth + 1);
	} else {
		size_t list = writer_open_in(w, BT_ARRAY, FUZZ_PICK(in, operators));
		unsigned n = fuzz_byte(in) % 4;
		for (unsigned i = 0; i < n; i++) {
			expression(in, w, index_name(i, text), depth + 1);
		}
		writer_close(w, list);
	}
	writer_close(w, start);
}

static void computed_fields(struct fuzz_bytes *in, struct document_writer *w)
{
	uint64_t used = 0;
	unsigned n = 1U + fuzz_byte(in) % 3;
	for (unsigned i = 0; i < n; i++) {
		struct slice name = FUZZ_PICK(in, fields);
		if (!fuzz_first_use(&used, fields, name)) {
			continue;
		}
		if ((fuzz_byte(in) & 1) == 0) {
			writer_int32(w, name, fuzz_byte(in) % 2);
		} else {
			expression(in, w, name, 1);
		}
	}
}

static void grouped_fields(struct fuzz_bytes *in, struct document_writer *w)
{
	uint64_t used = 0;
	unsigned n = fuzz_byte(in) % 4;
	expression(in, w, SLICE("_id"), 1);
	for (unsigned i = 0; i < n; i++) {
		struct slice name = FUZZ_PICK(in, fields);
		if (fuzz_first_use(&used, fields, name) && !slice_eq(name, SLICE("_id"))) {
			size_t start = writer_open_in(w, BT_OBJECT, name);
			expression(in, w, FUZZ_PICK(in, accumulators), 1);
			writer_close(w, start);
		}
	}
}

static void stage(struct fuzz_bytes *in, struct document_writer *w)
{
	struct slice name = FUZZ_PICK(in, stage_names);
	uint8_t shape = fuzz_byte(in);
	size_t start = 0;
	if (shape >= 0xf0) {
		fuzz_value(in, w, name, 1);
		return;
	}
	if (slice_eq(name, SLICE("$limit")) || slice_eq(name, SLICE("$skip"))) {
		writer_int32(w, name, shape % 4);
		return;
	}
	if (slice_eq(name, SLICE("$unwind")) || slice_eq(name, SLICE("$sortByCount")) ||
		slice_eq(name, SLICE("$unset")) || slice_eq(name, SLICE("$count"))) {
		bool path = slice_starts(name, SLICE("$unw")) || slice_starts(name, SLICE("$s"));
		writer_string(w, name, path ? FUZZ_PICK(in, paths) : FUZZ_PICK(in, fields));
		return;
	}
	start = writer_open_in(w, BT_OBJECT, name);
	if (slice_eq(name, SLICE("$match"))) {
		fuzz_filter(in, w, 2);
	} else if (slice_eq(name, SLICE("$sort"))) {
		fuzz_spec(in, w);
	} else if (slice_eq(name, SLICE("$group"))) {
		grouped_fields(in, w);
	} else {
		computed_fields(in, w);
	}
	writer_close(w, start);
}

static struct slice pipeline(struct fuzz_bytes *in, struct document_writer *w)
{
	char text[24];
	unsigned n = fuzz_byte(in) % (STAGES_MAX + 1);
	writer_init(w, (size_t)1 << 20);
	size_t start = writer_open(w);
	for (unsigned i = 0; i < n; i++) {
		size_t one = writer_open_in(w, BT_OBJECT, index_name(i, text));
		stage(in, w);
		writer_close(w, one);
	}
	writer_close(w, start);
	return buffer_slice(&w->b);
}

static int check_out(void *arg, struct slice document)
{
	/* Keys may repeat in what a stage makes of odd documents: only the form is looked at. */
	static const struct bson_limits l = { RESULT_BYTES, DOCUMENT_DEPTH_MAX, 100000 };
	struct slice bytes = document;
	struct slice whole;
	invariant(bson_check(&bytes, &l, &whole, NULL) == 0 && bytes.n == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct fuzz_bytes in = { data, size };
	struct document_writer w[4];
	struct store_failure f = { 0 };
	struct budget budget = { 0 };
	struct pipeline *p = NULL;
	if (!ready) {
		invariant(map_init() == 0);
		ready = true;
	}
	struct slice stages = pipeline(&in, &w[0]);
	int r = pipeline_compile(&p, stages, &limits, &f);
	for (int i = 1; i < 4; i++) {
		(void)fuzz_root(&in, &w[i], i == 1 ? FUZZ_ANY : FUZZ_FIELDS);
	}
	if (r == 0) {
		struct pipeline_run run = { p, &budget, 1000, &f, check_out, NULL };
		for (int i = 1; i < 4 && r == 0 && !pipeline_is_full(p); i++) {
			r = pipeline_push(&run, buffer_slice(&w[i].b));
		}
		r = r != 0 ? r : pipeline_finish(&run);
	}
	invariant(r == 0 || (r > 0 && r == (int)f.error && f.message[0] != 0));
	pipeline_free(p);
	for (int i = 0; i < 4; i++) {
		writer_deinit(&w[i]);
	}
	return 0;
}
