/*
 * The engine on any bytes: no crash, bounded time. The first byte says how the rest is read:
 * as a filter, an update, a sort, a projection and two documents made by the grammar, whose results
 * are checked; or as one filter that passed bson_check() over a document that is any bytes, as a
 * damaged file would have it.
 */
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/json/bson_check.h"
#include "director/store/fuzz-grammar.h"
#include "director/store/query/compare.h"
#include "director/store/query/index.h"
#include "director/store/query/key.h"
#include "director/store/query/project.h"
#include "director/store/query/sort.h"
#include "director/store/query/stored.h"
#include "director/store/query/update.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct update_limits limits = { { 50, 100 }, 4096 };
static const uint8_t oid[OID_BYTES];

static bool is_bson(struct slice bytes)
{
	static const struct bson_limits l = { 1 << 20, DOCUMENT_DEPTH_MAX, 10000 };
	struct slice document;
	return bson_check(&bytes, &l, &document, NULL) == 0 && bytes.n == 0;
}

static int sign(int c)
{
	return (c > 0) - (c < 0);
}

static void check_order(struct slice a, struct slice b)
{
	struct value x = { BT_OBJECT, a };
	struct value y = { BT_OBJECT, b };
	struct buffer kx;
	struct buffer ky;
	buffer_init(&kx, (size_t)1 << 20);
	buffer_init(&ky, (size_t)1 << 20);
	invariant(key_append(&kx, x) == 0 && key_append(&ky, y) == 0);
	size_t n = kx.n < ky.n ? kx.n : ky.n;
	int c = sign(value_compare(x, y));
	invariant(c == -sign(value_compare(y, x)));
	invariant(c == sign(memcmp(kx.p, ky.p, n)) && (c != 0 || kx.n == ky.n));
	buffer_deinit(&kx);
	buffer_deinit(&ky);
}

static void check_update(struct update *u, const struct matcher *m, struct slice document)
{
	struct budget budget = { 0 };
	struct store_failure f;
	struct slice result;
	bool storable = stored_check(document, &f) == 0;
	if (update_apply(u, m, document, 1, &budget, &result, &f) == 0) {
		invariant(is_bson(result) && result.n <= limits.document_bytes);
		/* What could be stored before can be stored after. */
		invariant(!storable || stored_check(result, &f) == 0);
		invariant(value_compare(document_find(result, SLICE("_id")),
				  document_find(document, SLICE("_id"))) == 0);
	}
	if (m != NULL && update_insert(u, m, oid, 1, &budget, &result, &f) == 0) {
		invariant(is_bson(result) && stored_check(result, &f) == 0);
	}
}

static void check_projection(struct slice spec, struct slice document)
{
	struct projection *p = NULL;
	struct store_failure f;
	struct document_writer w;
	if (projection_compile(&p, spec, &limits.match, &f) != 0 || p == NULL) {
		return;
	}
	writer_init(&w, (size_t)1 << 20);
	struct budget budget = { 0 };
	if (projection_apply(p, NULL, document, &budget, &w, &f) != 0) {
		writer_deinit(&w);
		projection_free(p);
		return;
	}
	invariant(w.error == 0 && w.b.n <= document.n && is_bson(buffer_slice(&w.b)));
	writer_deinit(&w);
	projection_free(p);
}

static void check_sort(struct slice spec, struct slice document)
{
	struct sort *s = NULL;
	struct store_failure f;
	struct budget budget = { 0 };
	struct buffer key;
	if (sort_compile(&s, spec, &f) != 0 || s == NULL) {
		return;
	}
	buffer_init(&key, (size_t)1 << 20);
	invariant(sort_key(s, document, &budget, &key) == 0);
	buffer_deinit(&key);
	sort_free(s);
}

struct keys {
	unsigned n;
};

static int count_key(void *arg, struct slice key)
{
	struct keys *keys = (struct keys *)arg;
	/* Every key has a byte for each field, behind the prefix. */
	invariant(key.n >= 2 && key.p[0] == 'p');
	keys->n++;
	return 0;
}

enum { INDEX_KEYS = 50 };

/* A declared index over any names: a document has a key, unless the index is sparse, and never more
 * than it may. */
static void check_index(struct slice names, struct slice document, bool sparse)
{
	struct document_writer w;
	struct index_spec spec;
	struct store_failure f;
	struct budget budget = { 0 };
	struct keys keys = { .n = 0 };
	writer_init(&w, (size_t)1 << 20);
	size_t start = writer_open(&w);
	writer_value(&w, SLICE("key"), (struct value){ BT_OBJECT, names });
	writer_string(&w, SLICE("name"), SLICE("i"));
	writer_bool(&w, SLICE("sparse"), sparse);
	writer_close(&w, start);
	if (index_compile(&spec, buffer_slice(&w.b), &f) == 0) {
		struct index_visit v = { .fn = count_key, .arg = &keys, .keys = INDEX_KEYS };
		int r = index_each_key(&spec, SLICE("p"), document, &budget, &v, &f);
		invariant(r == 0 || r == STORE_E_LIMIT);
		invariant(r != 0 || sparse || keys.n > 0);
		invariant(keys.n <= INDEX_KEYS);
	}
	index_deinit(&spec);
	writer_deinit(&w);
}

static void run_grammar(struct fuzz_bytes *in)
{
	static const enum fuzz_shape shapes[] = { FUZZ_FILTER, FUZZ_UPDATE, FUZZ_SPEC, FUZZ_SPEC,
		FUZZ_ANY, FUZZ_FIELDS, FUZZ_ARRAY_FILTERS };
	struct document_writer w[7];
	struct slice d[7];
	struct store_failure f;
	struct matcher *m = NULL;
	struct update *u = NULL;
	for (int i = 0; i < 7; i++) {
		d[i] = fuzz_root(in, &w[i], shapes[i]);
		invariant(w[i].error == 0 && is_bson(d[i]));
	}
	struct budget budget = { 0 };
	if (matcher_compile(&m, d[0], &limits.match, &f) == 0) {
		bool first = matcher_match(m, d[4], &budget);
		(void)matcher_match(m, d[5], &budget);
		invariant(first == matcher_match(m, d[4], &budget) || budget_spent(&budget));
	}
	if (update_compile(&u, d[1], d[6], &limits, &f) == 0) {
		check_update(u, m, d[4]);
		check_update(u, m, d[5]);
	}
	check_sort(d[2], d[4]);
	check_projection(d[3], d[4]);
	check_index(d[2], d[4], false);
	check_index(d[3], d[5], true);
	check_order(d[4], d[5]);
	matcher_free(m);
	update_free(u);
	for (int i = 0; i < 7; i++) {
		writer_deinit(&w[i]);
	}
}

static void run_bytes(struct slice bytes)
{
	static const struct bson_limits l = { 1 << 20, DOCUMENT_DEPTH_MAX, 10000 };
	struct slice filter;
	struct store_failure f;
	struct matcher *m = NULL;
	struct update *u = NULL;
	struct slice result;
	struct budget budget = { 0 };
	if (bson_check(&bytes, &l, &filter, NULL) < 0) {
		return;
	}
	if (matcher_compile(&m, filter, &limits.match, &f) == 0) {
		(void)matcher_match(m, bytes, &budget);
		matcher_free(m);
	}
	if (update_compile(&u, filter, SLICE_NULL, &limits, &f) == 0) {
		(void)update_apply(u, NULL, bytes, 1, &budget, &result, &f);
		update_free(u);
	}
	check_order(filter, filter);
	struct buffer key;
	buffer_init(&key, (size_t)1 << 20);
	(void)key_append(&key, (struct value){ BT_OBJECT, bytes });
	(void)value_compare(
		(struct value){ BT_OBJECT, filter }, (struct value){ BT_OBJECT, bytes });
	buffer_deinit(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct fuzz_bytes in = { data, size };
	if (!ready) {
		invariant(map_init() == 0);
		ready = true;
	}
	if ((fuzz_byte(&in) & 1) == 0) {
		run_grammar(&in);
	} else {
		run_bytes(slice_of(in.p, in.n));
	}
	return 0;
}
