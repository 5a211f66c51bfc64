#include "director/store/sqlite/indexes.h"

#include "common/base/clock.h"
#include "director/store/query/key.h"

#include <errno.h>
#include <stdlib.h>

enum { DROPPED_MAX = 64 };

/* --- reading them --- */

static int add_row(struct sqlite_indexes *x, sqlite3_stmt *st)
{
	struct sqlite_index *p = reallocarray(x->p, x->all + 1, sizeof(*p));
	if (p == NULL) {
		return -ENOMEM;
	}
	x->p = p;
	size_t n = (size_t)sqlite3_column_bytes(st, 2);
	uint8_t *bytes = malloc(n == 0 ? 1 : n);
	if (bytes == NULL) {
		return -ENOMEM;
	}
	if (n > 0) {
		memcpy(bytes, sqlite3_column_blob(st, 2), n);
	}
	struct sqlite_index *index = &x->p[x->all++];
	/* The dropped ones come last. */
	x->n += sqlite3_column_int(st, 4) == 0 ? 1 : 0;
	*index = (struct sqlite_index){ .iid = sqlite3_column_int64(st, 0),
		.owned = sqlite3_column_int(st, 1) != 0,
		.loose = sqlite3_column_int(st, 3) != 0,
		.bytes = bytes,
		.text = slice_of(bytes, n) };
	/* It was compiled before it was stored. */
	int r = index_compile(&index->spec, index->text, &x->failure);
	bool directed = sqlite3_column_int(st, 5) != 0;
	for (unsigned i = 0; i < index->spec.n && !directed; i++) {
		index->spec.fields[i].inverted = false;
	}
	return r > 0 ? -EIO : r;
}

int indexes_load(struct sqlite_indexes *x, struct connection *c, int64_t cid, unsigned keys)
{
	*x = (struct sqlite_indexes){ .keys = keys };
	sqlite3_stmt *st = sqlite_connection_statement(c, ST_INDEX_ALL);
	if (st == NULL || sqlite3_bind_int64(st, 1, cid) != SQLITE_OK) {
		return sqlite_connection_failed(c);
	}
	int r = 0;
	while ((r = sqlite_connection_step(c, st)) > 0) {
		r = add_row(x, st);
		if (r < 0) {
			break;
		}
	}
	(void)sqlite3_reset(st);
	return r;
}

void indexes_deinit(struct sqlite_indexes *x)
{
	for (unsigned i = 0; i < x->all; i++) {
		index_deinit(&x->p[i].spec);
		free(x->p[i].bytes);
	}
	free(x->p);
	*x = (struct sqlite_indexes){ 0 };
}

/* --- keys of documents --- */

struct visit {
	struct sqlite_indexes *x;
	struct connection *c;
	struct sqlite_index *index;
	enum statement statement;
	int64_t rid;
	bool cut; /* a key was too long */
};

struct slice indexes_cut(struct slice key)
{
	return slice_of(key.p, key.n < INDEX_KEY_BYTES ? key.n : INDEX_KEY_BYTES);
}

/* Runs the visit's statement with (iid, key, rid). @return 1 for a row; 0; -EIO. */
static int visit_run(const struct visit *v, struct slice key)
{
	sqlite3_stmt *st = sqlite_connection_statement(v->c, v->statement);
	if (st == NULL || sqlite3_bind_int64(st, 1, v->index->iid) != SQLITE_OK ||
		sqlite3_bind_blob64(st, 2, key.p, key.n, SQLITE_STATIC) != SQLITE_OK ||
		sqlite3_bind_int64(st, 3, v->rid) != SQLITE_OK) {
		return sqlite_connection_failed(v->c);
	}
	int r = sqlite_connection_step(v->c, st);
	(void)sqlite3_reset(st);
	return r;
}

static int visit_change(void *arg, struct slice key)
{
	struct visit *v = (struct visit *)arg;
	v->cut = v->cut || key.n > INDEX_KEY_BYTES;
	int r = visit_run(v, indexes_cut(key));
	return r < 0 ? r : 0;
}

static int visit_check(void *arg, struct slice key)
{
	const struct visit *v = (const struct visit *)arg;
	struct slice name = v->index->spec.name;
	if (key.n > INDEX_KEY_BYTES) {
		return store_fail(&v->x->failure, STORE_E_LIMIT,
			"a key of more than %d bytes (a fixed limit) in the unique index %.*s",
			INDEX_KEY_BYTES, STORE_NAME(name));
	}
	int r = visit_run(v, key);
	v->x->failed = v->index->spec.keys;
	return r <= 0
		? r
		: store_fail(&v->x->failure, STORE_E_DUPLICATE,
			  "there is a document with this key in the unique index %.*s already",
			  STORE_NAME(name));
}

static int owner_key(const struct sqlite_index *index, struct slice document, struct buffer *key)
{
	buffer_init(key, SIZE_MAX);
	return index->owned ? key_append(key, document_find(document, SLICE("user_id"))) : 0;
}

static int run_on(struct connection *c, enum statement which, int64_t iid)
{
	sqlite3_stmt *st = sqlite_connection_statement(c, which);
	if (st == NULL || sqlite3_bind_int64(st, 1, iid) != SQLITE_OK) {
		return sqlite_connection_failed(c);
	}
	int r = sqlite_connection_step(c, st);
	(void)sqlite3_reset(st);
	return r < 0 ? r : 0;
}

/* From the first such document on the index says less. */
static int loosen(struct visit *v, bool loose)
{
	if (v->statement != ST_KEY_ADD || v->index->loose || !(loose || v->cut)) {
		return 0;
	}
	v->index->loose = true;
	return run_on(v->c, ST_INDEX_LOOSE, v->index->iid);
}

static int visit_keys(struct visit *v, struct slice document, index_key_fn fn)
{
	struct budget budget = { 0 };
	struct buffer prefix;
	/* What is there already goes, however many keys it has. */
	struct index_visit keys = { .fn = fn, .arg = v };
	keys.keys = v->statement == ST_KEY_REMOVE ? 0 : v->x->keys;
	int r = owner_key(v->index, document, &prefix);
	r = r != 0 ? r
		   : index_each_key(&v->index->spec, buffer_slice(&prefix), document, &budget,
			     &keys, &v->x->failure);
	buffer_deinit(&prefix);
	return r != 0 ? r : loosen(v, keys.loose);
}

static int visit_all(struct sqlite_indexes *x,
	struct connection *c,
	int64_t rid,
	struct slice document,
	enum statement statement,
	index_key_fn fn)
{
	int r = 0;
	/* What is dropped has keys for a while, which go with their documents. */
	unsigned n = statement == ST_KEY_REMOVE ? x->all : x->n;
	for (unsigned i = 0; i < n && r == 0; i++) {
		struct visit v = { x, c, &x->p[i], statement, rid };
		if (fn != visit_check || x->p[i].spec.unique) {
			r = visit_keys(&v, document, fn);
		}
	}
	return r;
}

int indexes_check(
	struct sqlite_indexes *x, struct connection *c, int64_t rid, struct slice document)
{
	return visit_all(x, c, rid, document, ST_KEY_OTHER, visit_check);
}

int indexes_add(struct sqlite_indexes *x, struct connection *c, int64_t rid, struct slice document)
{
	return visit_all(x, c, rid, document, ST_KEY_ADD, visit_change);
}

int indexes_remove(
	struct sqlite_indexes *x, struct connection *c, int64_t rid, struct slice document)
{
	return visit_all(x, c, rid, document, ST_KEY_REMOVE, visit_change);
}

/* --- making and dropping --- */

static struct sqlite_index *find(struct sqlite_indexes *x, struct slice name)
{
	for (unsigned i = 0; i < x->n; i++) {
		if (slice_eq(x->p[i].spec.name, name)) {
			return &x->p[i];
		}
	}
	return NULL;
}

/* Keys of the documents that are there already. */
static int fill(struct sqlite_indexes *x,
	struct connection *c,
	struct sqlite_index *index,
	int64_t cid,
	const struct store_task *t)
{
	uint64_t deadline = clock_ms() + t->limits->operation_ms;
	sqlite3_stmt *st = sqlite_connection_statement(c, ST_DOC_ALL);
	int r = 0;
	if (st == NULL || sqlite3_bind_int64(st, 1, cid) != SQLITE_OK) {
		return sqlite_connection_failed(c);
	}
	while (r == 0 && (r = sqlite_connection_step(c, st)) > 0) {
		struct slice document =
			slice_of(sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
		struct visit v = { x, c, index, ST_KEY_OTHER, sqlite3_column_int64(st, 0) };
		r = index->spec.unique ? visit_keys(&v, document, visit_check) : 0;
		v.statement = ST_KEY_ADD;
		r = r != 0 ? r : visit_keys(&v, document, visit_change);
		if (r == 0 && clock_ms() > deadline) {
			r = store_fail(&x->failure, STORE_E_LIMIT,
				"to make the index took longer than %u ms "
				"(MOZAIKS_STORE_TIMEOUT_SECONDS)",
				t->limits->operation_ms);
		}
	}
	(void)sqlite3_reset(st);
	return r;
}

static int add_index(
	struct connection *c, int64_t cid, struct sqlite_index *index, const struct store_task *t)
{
	struct slice name = index->spec.name;
	sqlite3_stmt *st = sqlite_connection_statement(c, ST_INDEX_ADD);
	if (st == NULL || sqlite3_bind_int64(st, 1, cid) != SQLITE_OK ||
		sqlite3_bind_blob64(st, 2, name.p, name.n, SQLITE_STATIC) != SQLITE_OK ||
		sqlite3_bind_int(st, 3, index->owned ? 1 : 0) != SQLITE_OK ||
		sqlite3_bind_blob64(st, 4, t->index.p, t->index.n, SQLITE_STATIC) != SQLITE_OK ||
		(index->spec.expire >= 0 &&
			sqlite3_bind_int64(st, 5, index->spec.expire) != SQLITE_OK)) {
		return sqlite_connection_failed(c);
	}
	int r = sqlite_connection_step(c, st);
	(void)sqlite3_reset(st);
	index->iid = sqlite3_last_insert_rowid(c->db);
	return r < 0 ? r : 0;
}

int indexes_create(
	struct sqlite_indexes *x, struct connection *c, int64_t cid, const struct store_task *t)
{
	struct sqlite_index index = { 0 };
	int r = index_compile(&index.spec, t->index, &x->failure);
	const struct sqlite_index *same = r == 0 ? find(x, index.spec.name) : NULL;
	/* One that lets documents expire is swept over all owners. */
	index.owned = t->scope != STORE_SCOPE_SHARED && index.spec.expire < 0;
	if (r == 0 && same != NULL) {
		if (!slice_eq(same->text, t->index) || same->owned != index.owned) {
			r = store_fail(&x->failure, STORE_E_INVALID,
				"there is another index with the name %.*s",
				STORE_NAME(index.spec.name));
		}
	} else if (r == 0 && x->n >= t->limits->indexes) {
		r = store_fail(&x->failure, STORE_E_LIMIT,
			"more than %u indexes of a collection (MOZAIKS_MAX_INDEXES)",
			t->limits->indexes);
	} else if (r == 0 && x->all - x->n > DROPPED_MAX) {
		r = store_fail(&x->failure, STORE_E_LIMIT,
			"%d indexes of the collection were dropped and are still being removed",
			DROPPED_MAX);
	} else if (r == 0) {
		r = add_index(c, cid, &index, t);
		r = r != 0 ? r : fill(x, c, &index, cid, t);
	}
	index_deinit(&index.spec);
	return r;
}

int indexes_drop(
	struct sqlite_indexes *x, struct connection *c, int64_t cid, const struct store_task *t)
{
	int r = 0;
	if (slice_eq(t->field, SLICE("*"))) {
		for (unsigned i = 0; i < x->n && r == 0; i++) {
			r = run_on(c, ST_INDEX_RETIRE, x->p[i].iid);
		}
		return r;
	}
	const struct sqlite_index *index = find(x, t->field);
	return index != NULL
		? run_on(c, ST_INDEX_RETIRE, index->iid)
		: store_fail(&x->failure, STORE_E_INVALID, "there is no index with the name %.*s",
			  STORE_NAME(t->field));
}

int indexes_sweep(struct connection *c)
{
	sqlite3_stmt *st = sqlite_connection_statement(c, ST_INDEX_RETIRED);
	int r = st == NULL ? -EIO : sqlite_connection_step(c, st);
	int64_t iid = r > 0 ? sqlite3_column_int64(st, 0) : 0;
	if (st != NULL) {
		(void)sqlite3_reset(st);
	}
	if (r <= 0) {
		return r;
	}
	r = run_on(c, ST_KEY_SWEEP, iid);
	if (r == 0 && sqlite3_changes(c->db) == 0) {
		r = run_on(c, ST_INDEX_DROP, iid);
	}
	return r < 0 ? r : 1;
}

void indexes_list(const struct sqlite_indexes *x, struct store_task *t)
{
	static const uint8_t id_key[] = { 14, 0, 0, 0, BT_INT32, '_', 'i', 'd', 0, 1, 0, 0, 0, 0 };
	index_write(&t->out, slice_of(id_key, sizeof(id_key)), SLICE("_id_"), false, false, -1);
	for (unsigned i = 0; i < x->n; i++) {
		const struct index_spec *s = &x->p[i].spec;
		index_write(&t->out, s->keys, s->name, s->unique, s->sparse, s->expire);
	}
	t->result.n = x->n + 1;
}
