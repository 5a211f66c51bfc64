/*
 * Declared indexes on a server. One that was made in a user's or the app's scope has the owner as its
 * first field, so that what is unique is unique among one owner's documents; its name on the server
 * begins with "owned:". What a server knows of indexes is not asked for twice: making one reads the
 * list first, so that both drivers answer the same.
 */
#include "director/store/mongodb/command.h"
#include "director/store/query/index.h"
#include "director/store/query/number.h"

enum { SERVER_NAME_MAX = INDEX_NAME_MAX + 16 };

static const struct slice owned_prefix = { (const uint8_t *)"owned:", 6 };

static bool is_owned(const struct store_task *t, const struct index_spec *s)
{
	/* One that lets documents expire has to have the date alone. */
	return t->scope != STORE_SCOPE_SHARED && s->expire < 0 &&
		!slice_eq(s->fields[0].name, SLICE("user_id"));
}

/* A name of the server's, with its end; what does not fit is cut (no name of ours is). */
static void copy_name(char ret[static SERVER_NAME_MAX], size_t at, struct slice name)
{
	size_t n = name.n < SERVER_NAME_MAX - 1 - at ? name.n : SERVER_NAME_MAX - 1 - at;
	if (n > 0) {
		memcpy(ret + at, name.p, n);
	}
	ret[at + n] = '\0';
}

static void server_name(bool owned, struct slice name, char ret[static SERVER_NAME_MAX])
{
	copy_name(ret, 0, owned ? owned_prefix : SLICE_NULL);
	copy_name(ret, owned ? owned_prefix.n : 0, name);
}

/* --- what there is --- */

/* An index as the server tells it, in our words. */
struct listed {
	struct slice name; /* ours */
	struct slice real; /* the server's */
	bool owned;
};

/* The keys without the owner in front. */
static void write_keys(struct document_writer *w, bool owned, struct slice keys)
{
	struct document_iter it = document_iter(keys);
	struct element e;
	size_t start = writer_open(w);
	bool skip = owned;
	while (document_next(&it, &e)) {
		int64_t direction = 1;
		if (!skip) {
			(void)value_whole(e.value, &direction);
			writer_int32(w, e.name, (int32_t)direction);
		}
		skip = false;
	}
	writer_close(w, start);
}

static struct slice text_of(struct value v)
{
	return v.type == BT_STRING ? value_string(v) : SLICE_NULL;
}

/* @return false: it is the driver's own. */
static bool read_listed(struct slice row, struct listed *ret)
{
	ret->real = text_of(document_find(row, SLICE("name")));
	ret->owned = slice_starts(ret->real, owned_prefix);
	ret->name = ret->owned ? slice_skip(ret->real, owned_prefix.n) : ret->real;
	return ret->real.n > 0 && !slice_eq(ret->real, SLICE("owner"));
}

static bool is_sparse(struct slice row)
{
	return value_truth(document_find(row, SLICE("sparse"))) ||
		document_find(row, SLICE("partialFilterExpression")).type == BT_OBJECT;
}

static void write_listed(
	struct document_writer *w, const struct listed *listed, struct slice row, bool sparse)
{
	struct document_writer keys;
	int64_t expire = -1;
	writer_init(&keys, 4096);
	write_keys(&keys, listed->owned, document_find(row, SLICE("key")).data);
	(void)value_whole(document_find(row, SLICE("expireAfterSeconds")), &expire);
	index_write(w, buffer_slice(&keys.b), listed->name,
		value_truth(document_find(row, SLICE("unique"))), sparse, expire);
	w->error = w->error == 0 ? keys.error : w->error;
	writer_deinit(&keys);
}

/* Looks at one index. @return 0; anything else ends the walk. */
typedef int (*listed_fn)(
	struct mongodb_command *c, const struct listed *listed, struct slice row, void *arg);

/* @return 0; what `fn` returned; positive: the task is answered. */
static int each_index(struct mongodb_command *c, listed_fn fn, void *arg)
{
	enum { NAMESPACE_NOT_FOUND = 26 };
	bson_error_t error;
	const bson_t *row;
	int r = 0;
	mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(c->collection, NULL);
	while (r == 0 && mongoc_cursor_next(cursor, &row)) {
		struct slice document = slice_of(bson_get_data(row), row->len);
		struct listed listed;
		if (read_listed(document, &listed)) {
			r = fn(c, &listed, document, arg);
		}
	}
	if (r == 0 && mongoc_cursor_error(cursor, &error) &&
		!(error.domain == MONGOC_ERROR_SERVER && error.code == NAMESPACE_NOT_FOUND)) {
		r = (int)mongodb_fail(c->t, &error, NULL, false);
	}
	mongoc_cursor_destroy(cursor);
	return r;
}

static int list_one(
	struct mongodb_command *c, const struct listed *listed, struct slice row, void *arg)
{
	write_listed(&c->t->out, listed, row, is_sparse(row));
	c->t->result.n++;
	return 0;
}

void mongodb_index_list(struct mongodb_command *c)
{
	if (each_index(c, list_one, NULL) == 0 && c->t->out.error < 0) {
		(void)store_task_fail(c->t, STORE_E_LIMIT,
			"the result has more than %zu bytes (MOZAIKS_MAX_RESULT_BYTES)",
			c->t->limits->result_bytes);
	}
}

/* --- making --- */

struct survey {
	const struct index_spec *spec;
	unsigned n;
	bool owned;
	bool same;  /* it is there already */
	bool other; /* its name is taken */
	bool dense; /* it is there, and not sparse as far as the server says */
};

/* Whether the index that the server lists is the wanted one. */
static bool is_wanted(
	const struct survey *s, const struct listed *listed, struct slice row, bool sparse)
{
	struct document_writer theirs;
	struct document_writer ours;
	writer_init(&theirs, 8192);
	writer_init(&ours, 8192);
	write_listed(&theirs, listed, row, sparse);
	index_write(&ours, s->spec->keys, s->spec->name, s->spec->unique, s->spec->sparse,
		s->spec->expire);
	bool same = listed->owned == s->owned &&
		slice_eq(buffer_slice(&theirs.b), buffer_slice(&ours.b));
	writer_deinit(&theirs);
	writer_deinit(&ours);
	return same;
}

static int survey_one(
	struct mongodb_command *c, const struct listed *listed, struct slice row, void *arg)
{
	struct survey *s = (struct survey *)arg;
	s->n += slice_eq(listed->name, SLICE("_id_")) ? 0 : 1;
	if (slice_eq(listed->name, s->spec->name)) {
		bool same = is_wanted(s, listed, row, is_sparse(row));
		bool dense = !same && s->spec->sparse && is_wanted(s, listed, row, true);
		s->same = s->same || same;
		s->dense = s->dense || dense;
		s->other = s->other || (!same && !dense);
	}
	return 0;
}

/* {createIndexes: <name>, indexes: [{key: {user_id: 1, …}, name: "owned:…", …}]} */
static void create_command(
	const struct store_task *t, const struct index_spec *s, bool owned, bson_t *ret)
{
	struct document_iter it = document_iter(s->keys);
	struct element e;
	char name[SERVER_NAME_MAX];
	bson_t list;
	bson_t index;
	bson_t inner;
	server_name(owned, s->name, name);
	bson_init(ret);
	bson_append_utf8(
		ret, "createIndexes", -1, (const char *)t->collection.p, (int)t->collection.n);
	BSON_APPEND_ARRAY_BEGIN(ret, "indexes", &list);
	BSON_APPEND_DOCUMENT_BEGIN(&list, "0", &index);
	BSON_APPEND_DOCUMENT_BEGIN(&index, "key", &inner);
	if (owned) {
		BSON_APPEND_INT32(&inner, "user_id", 1);
	}
	while (document_next(&it, &e)) {
		int64_t direction = 1;
		(void)value_whole(e.value, &direction);
		bson_append_int32(
			&inner, (const char *)e.name.p, (int)e.name.n, (int32_t)direction);
	}
	bson_append_document_end(&index, &inner);
	BSON_APPEND_UTF8(&index, "name", name);
	if (s->unique) {
		BSON_APPEND_BOOL(&index, "unique", true);
	}
	if (s->sparse && !owned) {
		BSON_APPEND_BOOL(&index, "sparse", true);
	} else if (s->sparse) {
		/* The owner is always there: what counts is the field behind it. */
		bson_t condition;
		BSON_APPEND_DOCUMENT_BEGIN(&index, "partialFilterExpression", &inner);
		bson_append_document_begin(&inner, (const char *)s->fields[0].name.p,
			(int)s->fields[0].name.n, &condition);
		BSON_APPEND_BOOL(&condition, "$exists", true);
		bson_append_document_end(&inner, &condition);
		bson_append_document_end(&index, &inner);
	}
	if (s->expire >= 0) {
		BSON_APPEND_INT32(&index, "expireAfterSeconds", (int32_t)s->expire);
	}
	bson_append_document_end(&list, &index);
	bson_append_array_end(ret, &list);
}

static void refuse_name(struct store_task *t, const struct index_spec *s)
{
	(void)store_task_fail(t, STORE_E_INVALID, "there is another index with the name %.*s",
		STORE_NAME(s->name));
}

static void create(struct mongodb_command *c, const struct index_spec *s, bool owned, bool dense)
{
	enum { OPTIONS_CONFLICT = 85, KEY_CONFLICT = 86 };
	bson_t command;
	bson_t reply;
	bson_error_t error = { 0 };
	create_command(c->t, s, owned, &command);
	if (!mongoc_database_write_command_with_opts(
		    c->session->database, &command, NULL, &reply, &error)) {
		bool conflict = error.code == OPTIONS_CONFLICT || error.code == KEY_CONFLICT;
		if (dense && error.domain == MONGOC_ERROR_SERVER && conflict) {
			refuse_name(c->t, s);
		} else {
			(void)mongodb_fail(c->t, &error, &reply, true);
		}
	}
	bson_destroy(&reply);
	bson_destroy(&command);
}

static void create_checked(struct mongodb_command *c, const struct index_spec *spec)
{
	struct store_task *t = c->t;
	struct survey survey = { .spec = spec, .owned = is_owned(t, spec) };
	if (mongodb_collections_prepare(c->session->collections, c->session->database, t) != 0 ||
		each_index(c, survey_one, &survey) != 0 || survey.same) {
		return;
	}
	if (survey.other) {
		refuse_name(t, spec);
	} else if (survey.dense) {
		/* Not every server tells that an index is sparse (FerretDB does not): it knows. */
		create(c, spec, survey.owned, true);
	} else if (survey.n >= t->limits->indexes) {
		(void)store_task_fail(t, STORE_E_LIMIT,
			"more than %u indexes of a collection (MOZAIKS_MAX_INDEXES)",
			t->limits->indexes);
	} else {
		create(c, spec, survey.owned, false);
	}
}

void mongodb_index_create(struct mongodb_command *c)
{
	struct index_spec spec;
	struct store_failure f = { 0 };
	int r = index_compile(&spec, c->t->index, &f);
	if (r == 0) {
		create_checked(c, &spec);
	} else if (r > 0) {
		(void)store_task_fail(c->t, f.error, "%s", f.message);
	} else {
		(void)store_task_fail_errno(c->t, r);
	}
	index_deinit(&spec);
}

/* --- dropping --- */

enum { DROPS_MAX = 128 };

struct drops {
	char names[DROPS_MAX][SERVER_NAME_MAX];
	unsigned n;
};

static int note_drop(
	struct mongodb_command *c, const struct listed *listed, struct slice row, void *arg)
{
	struct drops *d = (struct drops *)arg;
	bool wanted = slice_eq(c->t->field, SLICE("*")) || slice_eq(c->t->field, listed->name);
	if (wanted && !slice_eq(listed->real, SLICE("_id_")) && d->n < DROPS_MAX &&
		listed->real.n < SERVER_NAME_MAX) {
		copy_name(d->names[d->n++], 0, listed->real);
	}
	return 0;
}

void mongodb_index_drop(struct mongodb_command *c)
{
	struct drops drops = { .n = 0 };
	bson_error_t error;
	if (each_index(c, note_drop, &drops) != 0) {
		return;
	}
	if (drops.n == 0 && !slice_eq(c->t->field, SLICE("*"))) {
		(void)store_task_fail(c->t, STORE_E_INVALID, "there is no index with the name %.*s",
			STORE_NAME(c->t->field));
	}
	for (unsigned i = 0; i < drops.n; i++) {
		if (!mongoc_collection_drop_index_with_opts(
			    c->collection, drops.names[i], NULL, &error)) {
			(void)mongodb_fail(c->t, &error, NULL, true);
			return;
		}
	}
}
