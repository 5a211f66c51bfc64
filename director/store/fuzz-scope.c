/*
 * The scope guard against a semantic oracle. Documents of two users, two plugins and two apps, of
 * nobody, and of owners of odd types stand in memory; the bytes become commands of one caller. After
 * each command:
 *  - no document of another has changed, and none was added that is not the caller's;
 *  - no answer holds another's secret;
 *  - a find, a count, a delete, an update, a find-and-modify or an empty pipeline reached exactly as
 *    many of the caller's documents as the caller's own filter, taken alone, matches: the guard neither
 *    widens nor narrows.
 * Every command is among them, several documents in one insert, updates that are pipelines (which are
 * none) and collections that an operator has named otherwise.
 */
#include "common/base/error.h"
#include "common/base/map.h"
#include "director/store/fuzz-grammar.h"
#include "director/store/memory.h"
#include "director/store/query/notation.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COMMANDS_MAX = 6, CALLERS = 7, INSERTED_MAX = 3, OPERATIONS = STORE_INDEX_LIST + 1 };

static const struct store_limits limits = { 20000, 20000, 200000, 50, 100, 100, 2000, 10, 8, 4, 4,
	100 };

static const struct {
	const char *collection;
	const char *document;
} everything[] = {
	{ "x/p/c", "{_id: 1, user_id: 'alice', s: 'secret-00', a: 1, b: [1, {a: 2}]}" },
	{ "x/p/c", "{_id: 2, user_id: 'alice', s: 'secret-01', a: {b: 'a'}}" },
	{ "x/p/c", "{_id: 3, user_id: 'bob', s: 'secret-02', a: 1}" },
	{ "x/p/c",
		"{_id: 4, user_id: 'bob', s: 'secret-03', a: {user_id: 'alice'}, b: ['alice']}" },
	{ "x/p/c", "{_id: 5, s: 'secret-04', a: 1}" },
	{ "x/p/c", "{_id: 6, user_id: null, s: 'secret-05', a: 1}" },
	{ "x/p/c", "{_id: 7, user_id: {x: 'alice'}, s: 'secret-06', a: 1}" },
	{ "x/p/c", "{_id: 8, user_id: '', s: 'secret-07', a: 1}" },
	{ "x/q/c", "{_id: 1, user_id: 'alice', s: 'secret-08', a: 1}" },
	{ "x/q/c", "{_id: 3, s: 'secret-09', a: 1}" },
	{ "y/p/c", "{_id: 1, user_id: 'alice', s: 'secret-10', a: 1}" },
	{ "y/p/c", "{_id: 9, user_id: 'bob', s: 'secret-11', a: 1}" },
	{ "x/c", "{_id: 1, user_id: 'alice', s: 'secret-12', a: 1}" },
};

enum { EVERYTHING = sizeof(everything) / sizeof(everything[0]) };

static const struct store_scope callers[CALLERS] = {
	{ STORE_SCOPE_USER, { (const uint8_t *)"x", 1 }, { (const uint8_t *)"p", 1 },
		{ (const uint8_t *)"alice", 5 } },
	{ STORE_SCOPE_USER, { (const uint8_t *)"x", 1 }, { (const uint8_t *)"p", 1 },
		{ (const uint8_t *)"bob", 3 } },
	{ STORE_SCOPE_APP, { (const uint8_t *)"x", 1 }, { (const uint8_t *)"p", 1 }, { NULL, 0 } },
	{ STORE_SCOPE_USER, { (const uint8_t *)"x", 1 }, { (const uint8_t *)"q", 1 },
		{ (const uint8_t *)"alice", 5 } },
	{ STORE_SCOPE_USER, { (const uint8_t *)"y", 1 }, { (const uint8_t *)"p", 1 },
		{ (const uint8_t *)"alice", 5 } },
	{ STORE_SCOPE_SHARED, { (const uint8_t *)"x", 1 }, { (const uint8_t *)"p", 1 },
		{ NULL, 0 } },
	/* An operator says that its collection is what another plugin's was. */
	{ STORE_SCOPE_USER, { (const uint8_t *)"x", 1 }, { (const uint8_t *)"p", 1 },
		{ (const uint8_t *)"alice", 5 }, { (const uint8_t *)"x/q/c", 5 } },
};

static const char *const reach[CALLERS] = { "x/p/c", "x/p/c", "x/p/c", "x/q/c", "y/p/c", "x/p/c",
	"x/q/c" };

static struct memory_store initial;
static struct oid_source ids;

static void prepare(void)
{
	static bool done;
	if (done) {
		return;
	}
	done = true;
	invariant(map_init() == 0 && oid_source_init(&ids) == 0);
	memory_init(&initial);
	for (size_t i = 0; i < EVERYTHING; i++) {
		struct slice d = notation_parse(everything[i].document);
		memory_put(&initial, everything[i].collection, d);
		free((void *)(uintptr_t)d.p);
	}
}

static bool belongs(unsigned caller, const struct memory_document *d)
{
	struct value owner = document_find(d->bytes, SLICE("user_id"));
	if (strcmp(d->collection, reach[caller]) != 0) {
		return false;
	}
	switch (callers[caller].kind) {
	case STORE_SCOPE_USER:
		return owner.type == BT_STRING &&
			slice_eq(value_string(owner), callers[caller].user);
	case STORE_SCOPE_APP:
		return owner.type == BT_MISSING;
	case STORE_SCOPE_SHARED:
		break;
	}
	return true;
}

static bool same(const struct memory_document *a, const struct memory_document *b)
{
	return strcmp(a->collection, b->collection) == 0 && slice_eq(a->bytes, b->bytes);
}

static void check_documents(
	unsigned caller, const struct memory_store *before, const struct memory_store *after)
{
	for (size_t i = 0; i < MEMORY_DOCUMENTS_MAX; i++) {
		const struct memory_document *b = &before->documents[i];
		const struct memory_document *a = &after->documents[i];
		if (b->collection[0] != 0 && !belongs(caller, b)) {
			invariant(same(a, b));
		} else if (a->collection[0] != 0 && !same(a, b)) {
			invariant(belongs(caller, a));
		}
	}
}

static void check_no_secret(unsigned caller, const struct memory_store *before, struct slice bytes)
{
	for (size_t i = 0; i < MEMORY_DOCUMENTS_MAX; i++) {
		const struct memory_document *d = &before->documents[i];
		if (d->collection[0] == 0 || belongs(caller, d)) {
			continue;
		}
		struct value secret = document_find(d->bytes, SLICE("s"));
		if (secret.type == BT_STRING && bytes.n > 0 &&
			value_string(secret).n == sizeof("secret-00") - 1) {
			invariant(memmem(bytes.p, bytes.n, value_string(secret).p,
					  value_string(secret).n) == NULL);
		}
	}
}

static void check_answer(
	unsigned caller, const struct memory_store *before, const struct store_task *t)
{
	check_no_secret(caller, before, t->result.documents);
	check_no_secret(caller, before, t->result.upserted_id);
	check_no_secret(caller, before, slice_str(t->result.message));
	for (size_t i = 0; i < t->result.n_write_errors; i++) {
		check_no_secret(caller, before, slice_str(t->result.write_errors[i].message));
	}
}

/* How many of the caller's documents the caller's own words match. */
static uint64_t count_expected(
	unsigned caller, const struct memory_store *before, const struct store_command *c)
{
	struct match_limits match = { limits.in_values, limits.regex_bytes };
	struct store_failure f;
	struct matcher *m = NULL;
	struct budget budget = { 0 };
	uint64_t n = 0;
	/* What the guard accepted is a filter by itself. */
	invariant(matcher_compile(&m, c->filter, &match, &f) == 0);
	for (size_t i = 0; i < MEMORY_DOCUMENTS_MAX; i++) {
		const struct memory_document *d = &before->documents[i];
		n += d->collection[0] != 0 && belongs(caller, d) &&
				matcher_match(m, d->bytes, &budget)
			? 1
			: 0;
	}
	matcher_free(m);
	return n;
}

/* What a command may reach at most: documents, in all. */
static uint64_t reach_of(const struct store_command *c)
{
	switch ((int)c->op) {
	case STORE_FIND:
	case STORE_COUNT:
	case STORE_AGGREGATE:
		return UINT64_MAX;
	case STORE_DELETE:
	case STORE_UPDATE:
		return c->multi ? UINT64_MAX : 1;
	default:
		return 1; /* STORE_MODIFY */
	}
}

static void check_reach(unsigned caller,
	const struct memory_store *before,
	const struct store_command *c,
	const struct store_task *t)
{
	struct store_command words = *c;
	bool counted = c->op == STORE_FIND || c->op == STORE_COUNT || c->op == STORE_DELETE ||
		c->op == STORE_UPDATE || c->op == STORE_MODIFY ||
		(c->op == STORE_AGGREGATE && document_is_empty(c->pipeline));
	if (!counted || t->result.error != STORE_OK) {
		return;
	}
	if (c->op == STORE_AGGREGATE) {
		words.filter = SLICE_NULL;
	}
	uint64_t expected = count_expected(caller, before, &words);
	uint64_t most = reach_of(c);
	invariant(t->result.n == (expected < most ? expected : most));
}

/* One to three documents in a row. */
static struct slice some_documents(struct fuzz_bytes *in, struct slice first, struct buffer *row)
{
	unsigned more = fuzz_byte(in) % INSERTED_MAX;
	buffer_init(row, (size_t)1 << 20);
	invariant(buffer_append(row, first) == 0);
	for (unsigned i = 0; i < more; i++) {
		struct document_writer w;
		invariant(buffer_append(row, fuzz_root(in, &w, FUZZ_FIELDS)) == 0);
		writer_deinit(&w);
	}
	return buffer_slice(row);
}

static void run_command(struct memory_store *m, struct fuzz_bytes *in)
{
	struct document_writer w[6];
	struct buffer row;
	struct memory_store *before = malloc(sizeof(*before));
	struct store_task t;
	invariant(before != NULL);
	buffer_init(&row, 0);
	unsigned caller = fuzz_byte(in) % CALLERS;
	uint8_t flags = fuzz_byte(in);
	struct store_command c = {
		.op = (enum store_op)(fuzz_byte(in) % OPERATIONS),
		.collection = SLICE("c"),
		.filter = fuzz_root(in, &w[0], FUZZ_FILTER),
		.field = SLICE("s"),
		.multi = (flags & 1) != 0,
		.upsert = (flags & 2) != 0,
		.ordered = (flags & 4) != 0,
		.remove = (flags & 8) != 0,
		.return_new = (flags & 16) != 0,
	};
	struct slice extra[3] = {
		fuzz_root(in, &w[1], c.op == STORE_INSERT ? FUZZ_FIELDS : FUZZ_UPDATE),
		fuzz_root(in, &w[2], FUZZ_SPEC),
		fuzz_root(in, &w[3], FUZZ_SPEC),
	};
	if (c.op == STORE_INSERT) {
		c.documents = some_documents(in, extra[0], &row);
	} else if (c.op != STORE_MODIFY || !c.remove) {
		c.update = extra[0];
	}
	c.array_filters = fuzz_root(in, &w[4], FUZZ_ARRAY_FILTERS);
	c.pipeline = fuzz_root(in, &w[5], FUZZ_PIPELINE);
	c.index = c.pipeline;
	if (c.update.n > 0 && (flags & 0x90) == 0x90) {
		c.update = c.pipeline;
	}
	c.sort = (flags & 32) != 0 ? extra[1] : SLICE_NULL;
	c.projection = (flags & 64) != 0 ? extra[2] : SLICE_NULL;
	c.field = (flags & 128) != 0 ? SLICE("user_id") : c.field;
	memory_copy(before, m);
	if (store_task_init(&t, &callers[caller], &c, &limits, &ids) == 0) {
		memory_run(m, &t);
		check_reach(caller, before, &c, &t);
	}
	check_documents(caller, before, m);
	check_answer(caller, before, &t);
	store_task_deinit(&t);
	memory_deinit(before);
	free(before);
	buffer_deinit(&row);
	for (int i = 0; i < 6; i++) {
		writer_deinit(&w[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes in = { data, size };
	struct memory_store *m = malloc(sizeof(*m));
	prepare();
	invariant(m != NULL);
	memory_copy(m, &initial);
	for (int i = 0; i < COMMANDS_MAX && in.n > 0; i++) {
		run_command(m, &in);
	}
	memory_deinit(m);
	free(m);
	return 0;
}
