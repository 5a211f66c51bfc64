#include "director/store/scope.h"

#include "director/store/query/stored.h"

enum { APP_MAX = 64, PLUGIN_MAX = 64, COLLECTION_MAX = 120, USER_MAX = 256 };

static const struct slice owner_field = { (const uint8_t *)"user_id", 7 };
static const struct slice owner_prefix = { (const uint8_t *)"user_id.", 8 };

/* --- names --- */

int scope_check_names(const struct store_scope *s, struct slice collection, struct store_failure *f)
{
	if (!slice_is_name(s->app, APP_MAX)) {
		return store_fail(f, STORE_E_INVALID, "\"%.*s\" is no app id", STORE_NAME(s->app));
	}
	if (s->plugin.n > 0 && !slice_is_name(s->plugin, PLUGIN_MAX)) {
		return store_fail(
			f, STORE_E_INVALID, "\"%.*s\" is no plugin id", STORE_NAME(s->plugin));
	}
	if (!slice_is_name(collection, COLLECTION_MAX) ||
		slice_starts(collection, SLICE("system."))) {
		return store_fail(f, STORE_E_INVALID,
			"\"%.*s\" is no collection name: 1 to %d of letters, digits, '.', '_' and '-', "
			"not beginning with \"system.\"",
			STORE_NAME(collection), COLLECTION_MAX);
	}
	if (s->kind != STORE_SCOPE_USER) {
		return 0;
	}
	if (s->user.n == 0 || s->user.n > USER_MAX || memchr(s->user.p, 0, s->user.n) != NULL ||
		!slice_is_utf8(s->user)) {
		return store_fail(f, STORE_E_INVALID,
			"the user id is not 1 to %d bytes of text without NUL", USER_MAX);
	}
	return 0;
}

/* --- what is said about the owner --- */

static bool names_owner(struct slice name)
{
	return slice_eq(name, owner_field) || slice_starts(name, owner_prefix);
}

static bool is_caller(const struct store_scope *s, struct value v)
{
	return s->kind == STORE_SCOPE_USER && v.type == BT_STRING &&
		slice_eq(value_string(v), s->user);
}

/* {user_id: "caller"} or {user_id: {$eq: "caller"}} */
static bool equals_caller(const struct store_scope *s, const struct element *e)
{
	struct document_iter it = document_iter(e->value.data);
	struct element inner;
	struct element surplus;
	if (!slice_eq(e->name, owner_field)) {
		return false;
	}
	if (e->value.type != BT_OBJECT) {
		return is_caller(s, e->value);
	}
	return document_next(&it, &inner) && slice_eq(inner.name, SLICE("$eq")) &&
		is_caller(s, inner.value) && !document_next(&it, &surplus);
}

static int refuse_filter(const struct store_scope *s, struct slice name, struct store_failure *f)
{
	if (s->kind == STORE_SCOPE_APP) {
		return store_fail(f, STORE_E_PERMISSION,
			"%.*s cannot be named in a call without a user", STORE_NAME(name));
	}
	return store_fail(f, STORE_E_PERMISSION,
		"%.*s may only be compared for equality with the caller's own id",
		STORE_NAME(name));
}

static int refuse_owner(const struct store_scope *s, struct slice name, struct store_failure *f)
{
	if (s->kind == STORE_SCOPE_APP) {
		return store_fail(f, STORE_E_PERMISSION,
			"%.*s cannot be stored in a call without a user", STORE_NAME(name));
	}
	return store_fail(f, STORE_E_PERMISSION, "%.*s is the caller's and cannot be changed",
		STORE_NAME(name));
}

/* --- filters --- */

static bool is_clause_list(struct slice name)
{
	return slice_eq(name, SLICE("$and")) || slice_eq(name, SLICE("$or")) ||
		slice_eq(name, SLICE("$nor"));
}

struct filter_walk {
	const struct store_scope *scope;
	struct document_writer *w;
	struct store_failure *failure;
	unsigned depth;
};

static int copy_filter(struct filter_walk *walk, struct slice filter, bool required);

/* The documents of an $and, $or or $nor. What is not a document there is copied: compiling the
 * filter refuses it. */
static int copy_clauses(struct filter_walk *walk, const struct element *e, bool required)
{
	struct document_iter it = document_iter(e->value.data);
	struct element clause;
	int r = 0;
	size_t start = writer_open_in(walk->w, BT_ARRAY, e->name);
	while (r == 0 && document_next(&it, &clause)) {
		if (clause.value.type != BT_OBJECT) {
			writer_raw(walk->w, clause.raw);
			continue;
		}
		size_t inner = writer_open_in(walk->w, BT_OBJECT, clause.name);
		r = copy_filter(walk, clause.value.data, required);
		writer_close(walk->w, inner);
	}
	writer_close(walk->w, start);
	return r;
}

/*
 * Copies the elements. Where a condition is required of every match (at the top and inside $and),
 * one that only repeats the scope is left out: an upsert may name a field but once. Nests as deep as
 * the filter, bounded.
 */
static int copy_filter(struct filter_walk *walk, struct slice filter, bool required)
{
	struct document_iter it = document_iter(filter);
	struct element e;
	int r = 0;
	if (++walk->depth > DOCUMENT_DEPTH_MAX) {
		return store_fail(walk->failure, STORE_E_LIMIT,
			"the filter is nested deeper than %d levels (a fixed limit)",
			DOCUMENT_DEPTH_MAX);
	}
	while (r == 0 && document_next(&it, &e)) {
		bool owner = names_owner(e.name);
		if (is_clause_list(e.name) && e.value.type == BT_ARRAY) {
			r = copy_clauses(walk, &e, required && slice_eq(e.name, SLICE("$and")));
		} else if (owner && !equals_caller(walk->scope, &e)) {
			r = refuse_filter(walk->scope, e.name, walk->failure);
		} else if (!owner || !required) {
			writer_raw(walk->w, e.raw);
		}
	}
	walk->depth--;
	return r;
}

static void write_scope(const struct store_scope *s, struct document_writer *w, struct slice name)
{
	size_t start = writer_open_in(w, BT_OBJECT, name);
	if (s->kind == STORE_SCOPE_USER) {
		writer_string(w, owner_field, s->user);
	} else {
		size_t condition = writer_open_in(w, BT_OBJECT, owner_field);
		writer_bool(w, SLICE("$exists"), false);
		writer_close(w, condition);
	}
	writer_close(w, start);
}

int scope_filter(const struct store_scope *s,
	struct slice filter,
	struct document_writer *w,
	struct store_failure *f)
{
	struct filter_walk walk = { s, w, f, 0 };
	size_t start = writer_open(w);
	if (s->kind == STORE_SCOPE_SHARED) {
		struct document_iter it = document_iter(filter);
		struct element e;
		while (document_next(&it, &e)) {
			writer_raw(w, e.raw);
		}
		writer_close(w, start);
		return 0;
	}
	size_t both = writer_open_in(w, BT_ARRAY, SLICE("$and"));
	write_scope(s, w, SLICE("0"));
	size_t own = writer_open_in(w, BT_OBJECT, SLICE("1"));
	int r = copy_filter(&walk, filter, true);
	writer_close(w, own);
	writer_close(w, both);
	writer_close(w, start);
	return r;
}

/* --- documents --- */

/* Copies the fields except _id, and adds the owner where it is missing. */
static int copy_owned(const struct store_scope *s,
	struct slice document,
	struct document_writer *w,
	struct store_failure *f)
{
	struct document_iter it = document_iter(document);
	struct element e;
	bool owned = s->kind != STORE_SCOPE_USER;
	while (document_next(&it, &e)) {
		if (slice_eq(e.name, SLICE("_id"))) {
			continue;
		}
		if (s->kind != STORE_SCOPE_SHARED && slice_eq(e.name, owner_field)) {
			if (!is_caller(s, e.value)) {
				return refuse_owner(s, e.name, f);
			}
			owned = true;
		}
		writer_raw(w, e.raw);
	}
	if (!owned) {
		writer_string(w, owner_field, s->user);
	}
	return 0;
}

int scope_document(const struct store_scope *s,
	struct slice document,
	const uint8_t oid[static OID_BYTES],
	struct document_writer *w,
	struct store_failure *f)
{
	struct value id = document_find(document, SLICE("_id"));
	int r = stored_check(document, f);
	r = r != 0 ? r : stored_check_id(id, f);
	if (r != 0) {
		return r;
	}
	size_t start = writer_open(w);
	if (id.type == BT_MISSING) {
		writer_oid(w, SLICE("_id"), oid);
	} else {
		writer_value(w, SLICE("_id"), id);
	}
	r = copy_owned(s, document, w, f);
	writer_close(w, start);
	return r;
}

/* --- updates --- */

static int replacement(const struct store_scope *s,
	struct slice update,
	struct document_writer *w,
	struct store_failure *f)
{
	struct value id = document_find(update, SLICE("_id"));
	size_t start = writer_open(w);
	if (id.type != BT_MISSING) {
		writer_value(w, SLICE("_id"), id);
	}
	int r = copy_owned(s, update, w, f);
	writer_close(w, start);
	return r;
}

static bool sets(struct slice operator)
{
	return slice_eq(operator, SLICE("$set")) || slice_eq(operator, SLICE("$setOnInsert"));
}

/* Looks at each path that one operator writes to (and $rename's targets). */
static int check_operator(const struct store_scope *s,
	const struct element *e,
	bool *ret_owned,
	struct store_failure *f)
{
	struct document_iter it = document_iter(e->value.data);
	struct element field;
	if (e->value.type != BT_OBJECT) {
		return 0;
	}
	while (document_next(&it, &field)) {
		if (slice_eq(e->name, SLICE("$rename")) && field.value.type == BT_STRING &&
			names_owner(value_string(field.value))) {
			return refuse_owner(s, owner_field, f);
		}
		if (!names_owner(field.name)) {
			continue;
		}
		if (!sets(e->name) || !slice_eq(field.name, owner_field) ||
			!is_caller(s, field.value)) {
			return refuse_owner(s, field.name, f);
		}
		*ret_owned = true;
	}
	return 0;
}

/* Copies an operator with the owner as one field more. */
static void copy_with_owner(
	const struct store_scope *s, const struct element *e, struct document_writer *w)
{
	struct document_iter it = document_iter(e->value.data);
	struct element field;
	size_t start = writer_open_in(w, BT_OBJECT, e->name);
	while (document_next(&it, &field)) {
		writer_raw(w, field.raw);
	}
	writer_string(w, owner_field, s->user);
	writer_close(w, start);
}

static int operators(const struct store_scope *s,
	struct slice update,
	bool upsert,
	struct document_writer *w,
	struct store_failure *f)
{
	struct document_iter it = document_iter(update);
	struct element e;
	bool owned = s->kind != STORE_SCOPE_USER || !upsert;
	int r = 0;
	while (r == 0 && s->kind != STORE_SCOPE_SHARED && document_next(&it, &e)) {
		r = check_operator(s, &e, &owned, f);
	}
	if (r != 0) {
		return r;
	}
	size_t start = writer_open(w);
	it = document_iter(update);
	while (document_next(&it, &e)) {
		if (!owned && slice_eq(e.name, SLICE("$setOnInsert")) &&
			e.value.type == BT_OBJECT) {
			copy_with_owner(s, &e, w);
			owned = true;
		} else {
			writer_raw(w, e.raw);
		}
	}
	if (!owned) {
		size_t on_insert = writer_open_in(w, BT_OBJECT, SLICE("$setOnInsert"));
		writer_string(w, owner_field, s->user);
		writer_close(w, on_insert);
	}
	writer_close(w, start);
	return 0;
}

int scope_update(const struct store_scope *s,
	struct slice update,
	bool upsert,
	struct document_writer *w,
	struct store_failure *f)
{
	struct document_iter it = document_iter(update);
	struct element e;
	if (document_next(&it, &e) && name_is_operator(e.name)) {
		return operators(s, update, upsert, w, f);
	}
	return replacement(s, update, w, f);
}
