#include "director/store/sqlite/source.h"

#include "director/store/collection_names.h"
#include "director/store/query/key.h"
#include "director/store/sqlite/undo.h"

#include <errno.h>
#include <stdlib.h>

enum { OWNER_MAX = 256 };

/* --- owners --- */

/*
 * What stands in the column `user`: NULL for a document without user_id; the id; '' for anything
 * else that stands there, which is nobody's in user scope (and is looked at beside the id where the
 * filter decides).
 */
static int bind_owner(struct source *s, sqlite3_stmt *st, int at, struct slice document)
{
	struct value owner = document_find(document, SLICE("user_id"));
	int r = SQLITE_OK;
	if (owner.type == BT_MISSING) {
		r = sqlite3_bind_null(st, at);
	} else if (owner.type == BT_STRING && value_string(owner).n <= OWNER_MAX &&
		memchr(value_string(owner).p, 0, value_string(owner).n) == NULL) {
		struct slice id = value_string(owner);
		r = sqlite3_bind_text64(
			st, at, (const char *)id.p, id.n, SQLITE_STATIC, SQLITE_UTF8);
	} else {
		r = sqlite3_bind_text(st, at, "", 0, SQLITE_STATIC);
	}
	return r == SQLITE_OK ? 0 : sqlite_connection_failed(s->c);
}

static int bind_blob(struct source *s, sqlite3_stmt *st, int at, struct slice bytes)
{
	/* Without bytes it would be NULL. */
	const void *p = bytes.n == 0 ? "" : (const void *)bytes.p;
	return sqlite3_bind_blob64(st, at, p, bytes.n, SQLITE_STATIC) == SQLITE_OK
		? 0
		: sqlite_connection_failed(s->c);
}

static int make_key(struct source *s, struct value id)
{
	buffer_clear(&s->key);
	int r = key_append(&s->key, id);
	return r == -ENOBUFS ? -ENAMETOOLONG : r;
}

/* --- plans --- */

/* True when the filter wants one plain user id, whatever the scope. */
static bool wanted_owner(const struct store_task *t, struct slice *ret)
{
	const struct value *values = NULL;
	size_t n = 0;
	if (t->scope == STORE_SCOPE_USER) {
		*ret = t->user;
		return true;
	}
	if (!matcher_equals_any(t->matcher, SLICE("user_id"), &values, &n) || n != 1 ||
		values[0].type != BT_STRING) {
		return false;
	}
	struct slice id = value_string(values[0]);
	if (id.n == 0 || id.n > OWNER_MAX || memchr(id.p, 0, id.n) != NULL) {
		return false;
	}
	*ret = id;
	return true;
}

static enum statement scan_statement(const struct store_task *t, struct slice *ret_owner)
{
	if (t->scope == STORE_SCOPE_APP) {
		return ST_DOC_WITHOUT_OWNER;
	}
	if (!wanted_owner(t, ret_owner)) {
		return ST_DOC_ALL;
	}
	return t->scope == STORE_SCOPE_USER ? ST_DOC_BY_OWNER : ST_DOC_BY_OWNER_OR_ODD;
}

static sqlite3_stmt *start(struct source *s, enum statement which, struct slice owner)
{
	sqlite3_stmt *st = sqlite_connection_statement(s->c, which);
	if (st == NULL) {
		return NULL;
	}
	int r = sqlite3_bind_int64(st, 1, s->cid);
	if (r == SQLITE_OK && owner.n > 0) {
		r = sqlite3_bind_text64(
			st, 2, (const char *)owner.p, owner.n, SQLITE_STATIC, SQLITE_UTF8);
	}
	if (r != SQLITE_OK) {
		(void)sqlite_connection_failed(s->c);
		return NULL;
	}
	return st;
}

/* --- declared indexes --- */

static int read_indexes(struct source *s)
{
	if (s->indexed || !s->exists) {
		return 0;
	}
	s->indexed = true;
	/* What is put back was there before. */
	unsigned keys = s->restoring ? 0 : s->t->limits->index_keys;
	return indexes_load(&s->indexes, s->c, s->cid, keys);
}

/* What the source says of a refusal by an index. */
static int refused(struct source *s, int r)
{
	if (r <= 0) {
		return r;
	}
	s->engine.failure = s->indexes.failure;
	s->engine.keys = s->indexes.failed;
	return -EEXIST;
}

/* Whose documents a plan is about, as a value; nothing: anybody's. */
static int scope_owner(
	struct source *s, struct document_writer *w, struct value *owner, const struct value **ret)
{
	*ret = NULL;
	if (s->t->scope == STORE_SCOPE_SHARED) {
		return 0;
	}
	*owner = VALUE_MISSING;
	*ret = owner;
	if (s->t->scope == STORE_SCOPE_APP) {
		return 0;
	}
	size_t start = writer_open(w);
	writer_string(w, SLICE("user_id"), s->t->user);
	writer_close(w, start);
	*owner = document_find(buffer_slice(&w->b), SLICE("user_id"));
	return w->error;
}

/* @param of the number of the index, or of the collection when that is the index on _id. */
static sqlite3_stmt *start_range(
	struct source *s, enum statement which, int64_t of, const struct index_range *range)
{
	sqlite3_stmt *st = sqlite_connection_statement(s->c, which);
	if (st == NULL || sqlite3_bind_int64(st, 1, of) != SQLITE_OK) {
		(void)sqlite_connection_failed(s->c);
		return NULL;
	}
	return bind_blob(s, st, 2, buffer_slice(&range->low)) < 0 ||
			bind_blob(s, st, 3, buffer_slice(&range->high)) < 0
		? NULL
		: st;
}

static int compare_rows(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static int add_row(struct source *s, int64_t rid)
{
	if (s->n_rows == SOURCE_ROWS_MAX) {
		return -E2BIG;
	}
	if (s->n_rows == s->cap_rows) {
		size_t cap = s->cap_rows == 0 ? 64 : s->cap_rows * 2;
		int64_t *p = reallocarray(s->rows, cap, sizeof(*p));
		if (p == NULL) {
			return -ENOMEM;
		}
		s->rows = p;
		s->cap_rows = cap;
	}
	s->rows[s->n_rows++] = rid;
	return 0;
}

/* The rows of several ranges, each once, in the order of insertion. @return 1; 0: too many; negative. */
static int gather_rows(struct source *s)
{
	int r = 0;
	for (size_t i = 0; i < s->by.n && r == 0; i++) {
		sqlite3_stmt *st = start_range(s, ST_KEY_RANGE, s->by.index->iid, &s->by.ranges[i]);
		r = st == NULL ? -EIO : 0;
		while (r == 0 && (r = sqlite_connection_step(s->c, st)) > 0) {
			r = add_row(s, sqlite3_column_int64(st, 0));
		}
		if (st != NULL) {
			(void)sqlite3_reset(st);
		}
	}
	if (r < 0) {
		return r == -E2BIG ? 0 : r;
	}
	size_t n = 0;
	if (s->n_rows > 1) {
		qsort(s->rows, s->n_rows, sizeof(*s->rows), compare_rows);
	}
	for (size_t i = 0; i < s->n_rows; i++) {
		if (n == 0 || s->rows[i] != s->rows[n - 1]) {
			s->rows[n++] = s->rows[i];
		}
	}
	s->n_rows = n;
	s->plan = PLAN_ROWS;
	return 1;
}

enum order { UNSORTED, UP, DOWN, ORDERS };

static sqlite3_stmt *start_ids(struct source *s, enum order order)
{
	static const enum statement by_scope[][ORDERS] = {
		[STORE_SCOPE_USER] = { ST_DOC_ID_OWNER, ST_DOC_ID_OWNER_UP, ST_DOC_ID_OWNER_DOWN },
		[STORE_SCOPE_APP] = { ST_DOC_ID_NOBODY, ST_DOC_ID_NOBODY_UP,
			ST_DOC_ID_NOBODY_DOWN },
		[STORE_SCOPE_SHARED] = { ST_DOC_ID_ALL, ST_DOC_ID_ALL_UP, ST_DOC_ID_ALL_DOWN },
	};
	const struct store_task *t = s->t;
	sqlite3_stmt *st = start_range(s, by_scope[t->scope][order], s->cid, &s->by.ranges[0]);
	if (st != NULL && t->scope == STORE_SCOPE_USER &&
		sqlite3_bind_text64(st, 4, (const char *)t->user.p, t->user.n, SQLITE_STATIC,
			SQLITE_UTF8) != SQLITE_OK) {
		(void)sqlite_connection_failed(s->c);
		return NULL;
	}
	return st;
}

static int scan_range(struct source *s)
{
	static const enum statement by_key[] = { ST_DOC_BY_KEY, ST_DOC_BY_KEY_UP,
		ST_DOC_BY_KEY_DOWN };
	enum order order = !s->by.sorted ? UNSORTED : s->by.descending ? DOWN : UP;
	s->scan = s->by.index == index_of_ids()
		? start_ids(s, order)
		: start_range(s, by_key[order], s->by.index->iid, &s->by.ranges[0]);
	s->engine.sorted = s->by.sorted;
	return s->scan == NULL ? -EIO : 1;
}

/* @return 1: the index is the plan; 0; negative. */
static int plan_index(struct source *s)
{
	struct document_writer w;
	struct value value;
	const struct value *owner = NULL;
	writer_init(&w, OWNER_MAX + 64);
	int r = read_indexes(s);
	r = r < 0 ? r : scope_owner(s, &w, &value, &owner);
	if (r == 0) {
		/* Of a filter's own owner, all that is not his would have to be left out. */
		struct slice one = SLICE_NULL;
		bool by_id = scan_statement(s->t, &one) != ST_DOC_BY_OWNER_OR_ODD;
		r = index_plan_choose(&s->by, &s->indexes, s->t, by_id, owner);
	}
	writer_deinit(&w);
	if (r < 0 || s->by.index == NULL) {
		return r;
	}
	r = s->by.n == 1 ? scan_range(s) : gather_rows(s);
	if (r == 0) {
		index_plan_deinit(&s->by);
	}
	return r;
}

static bool looks_at_documents(const struct store_task *t)
{
	return t->op != STORE_INSERT && t->op != STORE_INDEX_CREATE && t->op != STORE_INDEX_DROP &&
		t->op != STORE_INDEX_LIST && t->op != STORE_NAMES;
}

static int plan(struct source *s)
{
	struct slice owner = SLICE_NULL;
	if (!s->exists || !looks_at_documents(s->t)) {
		s->plan = PLAN_NOTHING;
		return 0;
	}
	if (matcher_equals_any(s->t->matcher, SLICE("_id"), &s->ids, &s->n_ids)) {
		s->plan = PLAN_IDS;
		return 0;
	}
	s->plan = PLAN_SCAN;
	int r = plan_index(s);
	if (r != 0) {
		return r < 0 ? r : 0;
	}
	s->scan = start(s, scan_statement(s->t, &owner), owner);
	return s->scan == NULL ? -EIO : 0;
}

/* --- the engine's functions --- */

static struct source *source_of(struct engine_source *engine)
{
	return (struct source *)engine;
}

static struct slice column_blob(sqlite3_stmt *st, int at)
{
	const void *p = sqlite3_column_blob(st, at);
	return slice_of(p, (size_t)sqlite3_column_bytes(st, at));
}

static int next_by_id(struct source *s, int64_t *ret_rid, struct slice *ret_document)
{
	while (s->next_id < s->n_ids) {
		int r = make_key(s, s->ids[s->next_id++]);
		if (r == -ENAMETOOLONG) {
			continue; /* nothing that long was ever stored */
		}
		sqlite3_stmt *st = r < 0 ? NULL : start(s, ST_DOC_BY_ID, SLICE_NULL);
		if (st == NULL) {
			return r < 0 ? r : -EIO;
		}
		r = bind_blob(s, st, 2, buffer_slice(&s->key));
		r = r < 0 ? r : sqlite_connection_step(s->c, st);
		if (r > 0) {
			*ret_rid = sqlite3_column_int64(st, 0);
			*ret_document = column_blob(st, 1);
		}
		if (r != 0) {
			return r;
		}
	}
	return 0;
}

static int next_row(struct source *s, int64_t *ret_rid, struct slice *ret_document)
{
	while (s->next_row < s->n_rows) {
		*ret_rid = s->rows[s->next_row++];
		int r = s->engine.ops->load(&s->engine, *ret_rid, ret_document);
		if (r != 0) {
			return r;
		}
	}
	return 0;
}

static int source_next(struct engine_source *engine, int64_t *ret_rid, struct slice *ret_document)
{
	struct source *s = source_of(engine);
	if (s->plan == PLAN_IDS) {
		return next_by_id(s, ret_rid, ret_document);
	}
	if (s->plan == PLAN_ROWS) {
		return next_row(s, ret_rid, ret_document);
	}
	if (s->plan == PLAN_NOTHING) {
		return 0;
	}
	int r = sqlite_connection_step(s->c, s->scan);
	if (r > 0) {
		*ret_rid = sqlite3_column_int64(s->scan, 0);
		*ret_document = column_blob(s->scan, 1);
	}
	return r;
}

static int source_load(struct engine_source *engine, int64_t rid, struct slice *ret_document)
{
	struct source *s = source_of(engine);
	sqlite3_stmt *st = sqlite_connection_statement(s->c, ST_DOC_LOAD);
	if (st == NULL || sqlite3_bind_int64(st, 1, rid) != SQLITE_OK ||
		sqlite3_bind_int64(st, 2, s->cid) != SQLITE_OK) {
		return sqlite_connection_failed(s->c);
	}
	int r = sqlite_connection_step(s->c, st);
	if (r > 0) {
		*ret_document = column_blob(st, 0);
	}
	return r;
}

/* Runs a statement that changes something. */
static int change(struct source *s, sqlite3_stmt *st)
{
	int r = sqlite_connection_step(s->c, st);
	(void)sqlite3_reset(st);
	s->changed = s->changed || r == 0;
	return r;
}

static int ensure_collection(struct source *s)
{
	if (s->exists) {
		return 0;
	}
	int r = sqlite_connection_collection(
		s->c, s->t->collection, true, s->t->plugin, s->t->limits->collections, &s->cid);
	s->exists = r > 0;
	s->changed = s->changed || s->exists;
	return r < 0 ? r : 0;
}

/* An index has refused a document that is stored by now: others of the same command may stay. @return
 * -EEXIST, or what failed. */
static int take_back(struct source *s, int64_t rid, struct slice document)
{
	int r = indexes_remove(&s->indexes, s->c, rid, document);
	sqlite3_stmt *st = r < 0 ? NULL : sqlite_connection_statement(s->c, ST_DOC_REMOVE);
	if (r < 0) {
		return r;
	}
	if (st == NULL || sqlite3_bind_int64(st, 1, rid) != SQLITE_OK) {
		return sqlite_connection_failed(s->c);
	}
	r = change(s, st);
	return r < 0 ? r : -EEXIST;
}

static int source_insert(struct engine_source *engine, struct slice document, struct value id)
{
	struct source *s = source_of(engine);
	int r = ensure_collection(s);
	r = r < 0 ? r : read_indexes(s);
	if (r == 0 && !s->restoring) {
		r = refused(s, indexes_check(&s->indexes, s->c, 0, document));
	}
	r = r < 0 ? r : make_key(s, id);
	sqlite3_stmt *st = r < 0 ? NULL : start(s, ST_DOC_INSERT, SLICE_NULL);
	if (st == NULL) {
		return r < 0 ? r : -EIO;
	}
	r = bind_owner(s, st, 2, document);
	r = r < 0 ? r : bind_blob(s, st, 3, buffer_slice(&s->key));
	r = r < 0 ? r : bind_blob(s, st, 4, document);
	if (r == 0 && s->next_rid != 0 && sqlite3_bind_int64(st, 5, s->next_rid) != SQLITE_OK) {
		r = sqlite_connection_failed(s->c);
	}
	r = r < 0 ? r : change(s, st);
	if (r == -EIO && s->next_rid != 0 && s->c->error == SQLITE_CONSTRAINT_ROWID) {
		s->next_rid = 0; /* another has it by now */
		return source_insert(engine, document, id);
	}
	if (r == -EIO && s->c->error == SQLITE_CONSTRAINT_UNIQUE) {
		return 0;
	}
	int64_t rid = sqlite3_last_insert_rowid(s->c->db);
	if (r == 0 && s->undo != 0) {
		r = undo_inserted(s->c, s->undo, rid, s->cid);
	}
	r = r < 0 ? r : refused(s, indexes_add(&s->indexes, s->c, rid, document));
	if (r == -EEXIST) {
		r = take_back(s, rid, document);
	}
	return r < 0 ? r : 1;
}

/* Takes the keys of a stored document away. @param after what it is to be instead, or NULL: whether it
 * may is asked before. */
static int take_keys(struct source *s, int64_t rid, const struct slice *after)
{
	struct slice document = SLICE_NULL;
	int r = read_indexes(s);
	if (r < 0 || s->indexes.all == 0) {
		return r;
	}
	r = source_load(&s->engine, rid, &document);
	if (r <= 0) {
		return r;
	}
	buffer_clear(&s->before);
	r = buffer_append(&s->before, document);
	if (r == 0 && after != NULL && !s->restoring) {
		r = refused(s, indexes_check(&s->indexes, s->c, rid, *after));
	}
	return r < 0 ? r
		     : refused(s, indexes_remove(&s->indexes, s->c, rid, buffer_slice(&s->before)));
}

/* The keys go before and come afterwards: they are charged with the document, to its owner. */
static int source_replace(struct engine_source *engine, int64_t rid, struct slice document)
{
	struct source *s = source_of(engine);
	if (s->undo != 0 && undo_keep(s->c, s->undo, rid) < 0) {
		return -EIO;
	}
	int keys = take_keys(s, rid, &document);
	if (keys < 0) {
		return keys;
	}
	/* Inside a user's or the app's scope the owner never changes. */
	bool owner = s->t->scope == STORE_SCOPE_SHARED;
	sqlite3_stmt *st =
		sqlite_connection_statement(s->c, owner ? ST_DOC_REPLACE_OWNER : ST_DOC_REPLACE);
	if (st == NULL || sqlite3_bind_int64(st, 1, rid) != SQLITE_OK) {
		return sqlite_connection_failed(s->c);
	}
	int r = bind_blob(s, st, 2, document);
	if (r == 0 && owner) {
		r = bind_owner(s, st, 3, document);
	}
	r = r < 0 ? r : change(s, st);
	return r < 0 ? r : refused(s, indexes_add(&s->indexes, s->c, rid, document));
}

static int source_remove(struct engine_source *engine, int64_t rid)
{
	struct source *s = source_of(engine);
	if (s->undo != 0 && undo_keep(s->c, s->undo, rid) < 0) {
		return -EIO;
	}
	int keys = take_keys(s, rid, NULL);
	if (keys < 0) {
		return keys;
	}
	sqlite3_stmt *st = sqlite_connection_statement(s->c, ST_DOC_REMOVE);
	if (st == NULL || sqlite3_bind_int64(st, 1, rid) != SQLITE_OK) {
		return sqlite_connection_failed(s->c);
	}
	return change(s, st);
}

static int source_count(struct engine_source *engine, uint64_t *ret_n)
{
	static const enum statement by_scope[] = {
		[STORE_SCOPE_USER] = ST_COUNT_BY_OWNER,
		[STORE_SCOPE_APP] = ST_COUNT_WITHOUT_OWNER,
		[STORE_SCOPE_SHARED] = ST_COUNT_ALL,
	};
	struct source *s = source_of(engine);
	if (!s->exists) {
		*ret_n = 0;
		return 0;
	}
	sqlite3_stmt *st = start(s, by_scope[s->t->scope],
		s->t->scope == STORE_SCOPE_USER ? s->t->user : SLICE_NULL);
	int r = st == NULL ? -EIO : sqlite_connection_step(s->c, st);
	if (r > 0) {
		*ret_n = (uint64_t)sqlite3_column_int64(st, 0);
	}
	return r < 0 ? r : 0;
}

static int source_index(struct engine_source *engine)
{
	struct source *s = source_of(engine);
	struct store_task *t = s->t;
	int r = t->op == STORE_INDEX_CREATE ? ensure_collection(s) : 0;
	r = r < 0 ? r : read_indexes(s);
	if (r < 0) {
		return r;
	}
	if (t->op == STORE_INDEX_LIST) {
		if (s->exists) {
			indexes_list(&s->indexes, t);
		}
		return 0;
	}
	s->changed = true;
	return refused(s,
		t->op == STORE_INDEX_CREATE ? indexes_create(&s->indexes, s->c, s->cid, t)
					    : indexes_drop(&s->indexes, s->c, s->cid, t));
}

static int add_name(void *arg, struct slice name)
{
	collection_names_add((struct collection_names *)arg, name);
	return 0;
}

static int collection_exists(void *arg, struct slice name)
{
	struct source *s = (struct source *)arg;
	int64_t cid = 0;
	return sqlite_connection_collection(s->c, name, false, s->t->plugin, 0, &cid);
}

static int source_names(struct engine_source *engine)
{
	struct source *s = source_of(engine);
	struct collection_names names;
	collection_names_begin(&names, s->t);
	int r = sqlite_connection_names(s->c, s->t->plugin, add_name, &names);
	r = r < 0 ? r : collection_names_add_aliases(&names, collection_exists, s);
	collection_names_end(&names);
	return r;
}

/* --- life --- */

static const struct engine_source_ops *operations(void)
{
	static const struct engine_source_ops ops = {
		.next = source_next,
		.load = source_load,
		.insert = source_insert,
		.replace = source_replace,
		.remove = source_remove,
		.count = source_count,
		.index = source_index,
		.names = source_names,
	};
	return &ops;
}

void source_init_for(struct source *s, struct connection *c, struct store_task *t, int64_t cid)
{
	*s = (struct source){ .engine = { operations() }, .c = c, .t = t, .cid = cid };
	s->exists = true;
	s->restoring = true;
	buffer_init(&s->key, ID_KEY_MAX);
	buffer_init(&s->before, SIZE_MAX);
}

int source_init(struct source *s, struct connection *c, struct store_task *t)
{
	*s = (struct source){ .engine = { operations() }, .c = c, .t = t };
	buffer_init(&s->key, ID_KEY_MAX);
	buffer_init(&s->before, SIZE_MAX);
	int r = sqlite_connection_collection(c, t->collection, false, t->plugin, 0, &s->cid);
	s->exists = r > 0;
	return r < 0 ? r : plan(s);
}

void source_deinit(struct source *s)
{
	static const enum statement readers[] = { ST_DOC_BY_ID, ST_DOC_BY_OWNER,
		ST_DOC_WITHOUT_OWNER, ST_DOC_BY_OWNER_OR_ODD, ST_DOC_ALL, ST_DOC_ID_OWNER,
		ST_DOC_ID_OWNER_UP, ST_DOC_ID_OWNER_DOWN, ST_DOC_ID_NOBODY, ST_DOC_ID_NOBODY_UP,
		ST_DOC_ID_NOBODY_DOWN, ST_DOC_ID_ALL, ST_DOC_ID_ALL_UP, ST_DOC_ID_ALL_DOWN,
		ST_DOC_LOAD, ST_DOC_BY_KEY, ST_DOC_BY_KEY_UP, ST_DOC_BY_KEY_DOWN, ST_KEY_RANGE,
		ST_COUNT_BY_OWNER, ST_COUNT_WITHOUT_OWNER, ST_COUNT_ALL };
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
		(void)sqlite3_reset(s->c->statements[readers[i]]);
	}
	buffer_deinit(&s->key);
	buffer_deinit(&s->before);
	index_plan_deinit(&s->by);
	free(s->rows);
	s->rows = NULL;
	indexes_deinit(&s->indexes);
}

int source_explain(const struct source *s, struct buffer *text)
{
	static const char *const scans[] = {
		[STORE_SCOPE_USER] = "owner",
		[STORE_SCOPE_APP] = "nobody",
		[STORE_SCOPE_SHARED] = "collection",
	};
	struct slice owner;
	if (s->plan == PLAN_NOTHING) {
		return buffer_append(text, SLICE("nothing"));
	}
	if (s->plan == PLAN_IDS) {
		return buffer_printf(text, "%zu ids", s->n_ids);
	}
	if (s->by.index == NULL) {
		bool one = scan_statement(s->t, &owner) == ST_DOC_BY_OWNER_OR_ODD;
		return buffer_append(text, slice_str(one ? "owner" : scans[s->t->scope]));
	}
	return buffer_printf(text, "%.*s: %u given%s, %zu range%s%s",
		STORE_NAME(s->by.index->spec.name), s->by.given, s->by.bounded ? ", bounds" : "",
		s->by.n, s->by.n == 1 ? "" : "s",
		!s->by.sorted              ? ""
			: s->by.descending ? ", in order, backwards"
					   : ", in order");
}

void source_answer(const struct source *s, int r)
{
	if (r == -EIO) {
		sqlite_connection_answer(s->c, s->t);
	} else if (r == -EDQUOT) {
		(void)store_task_fail(s->t, STORE_E_LIMIT,
			"more than %u collections (MOZAIKS_MAX_COLLECTIONS)",
			s->t->limits->collections);
	} else if (r == -ENAMETOOLONG) {
		(void)store_task_fail(s->t, STORE_E_LIMIT,
			"an _id whose key has more than %d bytes (a fixed limit)", ID_KEY_MAX);
	} else {
		(void)store_task_fail_errno(s->t, r);
	}
}
