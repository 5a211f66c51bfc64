#include "director/store/query/number.h"
#include "director/store/query/stored.h"
#include "director/store/query/updater.h"

#include <errno.h>
#include <stdlib.h>

static const char *const kind_names[UPDATE_KINDS] = {
	[UPDATE_SET] = "$set",
	[UPDATE_UNSET] = "$unset",
	[UPDATE_INC] = "$inc",
	[UPDATE_PUSH] = "$push",
	[UPDATE_PULL] = "$pull",
	[UPDATE_ADD_TO_SET] = "$addToSet",
	[UPDATE_CURRENT_DATE] = "$currentDate",
	[UPDATE_SET_ON_INSERT] = "$setOnInsert",
};

const char *update_kind_name(enum update_kind kind)
{
	return kind_names[kind];
}

int update_add(struct update *u, struct slice path, struct update_op op, struct store_failure *f)
{
	if (u->n_ops == u->cap_ops) {
		uint32_t cap = u->cap_ops == 0 ? 8 : u->cap_ops * 2;
		struct update_op *ops = reallocarray(u->ops, cap, sizeof(*ops));
		if (ops == NULL) {
			return -ENOMEM;
		}
		u->ops = ops;
		u->cap_ops = cap;
	}
	int r = pathset_add(&u->set, path, u->n_ops, f);
	if (r == 0) {
		u->ops[u->n_ops++] = op;
	}
	return r;
}

/* Positional operators are parts of a path: `$`, `$[]`, `$[name]`. */
static int path_check(struct slice path, struct store_failure *f)
{
	struct slice rest = path;
	while (rest.n > 0) {
		const uint8_t *dot = memchr(rest.p, '.', rest.n);
		struct slice part = slice_of(rest.p, dot == NULL ? rest.n : (size_t)(dot - rest.p));
		if (name_is_operator(part)) {
			return store_fail(f, STORE_E_UNSUPPORTED,
				"unsupported operator %.*s in the field %.*s", STORE_NAME(part),
				STORE_NAME(path));
		}
		rest = dot == NULL ? SLICE_NULL : slice_skip(rest, part.n + 1);
	}
	return 0;
}

/* A path of n parts ends inside n documents; $push may make an array there, and the value follows. */
static int depth_check(
	enum update_kind kind, struct slice path, struct value v, struct store_failure *f)
{
	unsigned used = kind == UPDATE_PUSH || kind == UPDATE_ADD_TO_SET ? 2 : 1;
	for (size_t i = 0; i < path.n; i++) {
		used += path.p[i] == '.' ? 1 : 0;
	}
	bool nested = value_is_document(v) && kind != UPDATE_PULL && kind != UPDATE_UNSET;
	if (used > DOCUMENT_DEPTH_MAX ||
		(nested && !document_depth_within(v.data, DOCUMENT_DEPTH_MAX - used))) {
		return store_fail(f, STORE_E_LIMIT,
			"the field %.*s would be nested deeper than %d levels", STORE_NAME(path),
			DOCUMENT_DEPTH_MAX);
	}
	return 0;
}

static bool first_name(struct value v, struct slice *ret)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	if (v.type != BT_OBJECT || !document_next(&it, &e)) {
		return false;
	}
	*ret = e.name;
	return true;
}

static int stored_operand(enum update_kind kind, struct value v, struct store_failure *f)
{
	struct slice name;
	if ((kind == UPDATE_PUSH || kind == UPDATE_ADD_TO_SET) && first_name(v, &name) &&
		name_is_operator(name)) {
		return store_fail(f, STORE_E_UNSUPPORTED, "unsupported operator %.*s in %s",
			STORE_NAME(name), kind_names[kind]);
	}
	return stored_check_value(v, f);
}

static int inc_operand(struct slice path, struct value v, struct store_failure *f)
{
	if (v.type == BT_DECIMAL) {
		return store_fail(f, STORE_E_UNSUPPORTED,
			"$inc of the field %.*s by a decimal128 is not supported",
			STORE_NAME(path));
	}
	if (!value_is_number(v)) {
		return store_fail(f, STORE_E_INVALID,
			"$inc of the field %.*s needs a number, not %s", STORE_NAME(path),
			value_type_name(v.type));
	}
	return 0;
}

static int date_operand(struct update_op *op, struct store_failure *f)
{
	struct value type = op->value.type == BT_OBJECT
		? document_find(op->value.data, SLICE("$type"))
		: VALUE_MISSING;
	if (op->value.type == BT_BOOL) {
		return 0;
	}
	if (type.type == BT_STRING && slice_eq(value_string(type), SLICE("timestamp"))) {
		op->timestamp = true;
		return 0;
	}
	if (type.type == BT_STRING && slice_eq(value_string(type), SLICE("date"))) {
		return 0;
	}
	return store_fail(f, STORE_E_INVALID,
		"$currentDate needs true, {$type: \"date\"} or {$type: \"timestamp\"}");
}

static int pull_operand(
	struct update_op *op, const struct update_limits *limits, struct store_failure *f)
{
	if (op->value.type != BT_OBJECT && op->value.type != BT_REGEX) {
		return 0;
	}
	return matcher_compile_element(&op->pull, op->value, &limits->match, f);
}

static int operand_check(
	struct update *u, struct slice path, struct update_op *op, struct store_failure *f)
{
	int r = path_check(path, f);
	r = r != 0 ? r : depth_check(op->kind, path, op->value, f);
	if (r != 0) {
		return r;
	}
	switch (op->kind) {
	case UPDATE_SET:
	case UPDATE_SET_ON_INSERT:
	case UPDATE_PUSH:
	case UPDATE_ADD_TO_SET:
		return stored_operand(op->kind, op->value, f);
	case UPDATE_INC:
		return inc_operand(path, op->value, f);
	case UPDATE_CURRENT_DATE:
		return date_operand(op, f);
	case UPDATE_PULL:
		return pull_operand(op, &u->limits, f);
	case UPDATE_UNSET:
		break;
	}
	return 0;
}

static int operator_compile(struct update *u, const struct element *e, struct store_failure *f)
{
	unsigned kind = 0;
	while (kind < UPDATE_KINDS && !slice_eq(e->name, slice_str(kind_names[kind]))) {
		kind++;
	}
	if (kind == UPDATE_KINDS) {
		return store_fail(
			f, STORE_E_UNSUPPORTED, "unsupported operator %.*s", STORE_NAME(e->name));
	}
	if (e->value.type != BT_OBJECT) {
		return store_fail(f, STORE_E_INVALID, "%s needs a document, not %s",
			kind_names[kind], value_type_name(e->value.type));
	}
	struct document_iter it = document_iter(e->value.data);
	struct element field;
	int r = 0;
	while (r == 0 && document_next(&it, &field)) {
		struct update_op op = { .kind = (enum update_kind)kind, .value = field.value };
		r = operand_check(u, field.name, &op, f);
		r = r != 0 ? r : update_add(u, field.name, op, f);
		if (r != 0) {
			matcher_free(op.pull);
		}
	}
	return r;
}

static int replacement_compile(struct update *u, struct store_failure *f)
{
	struct value id = document_find(u->document, SLICE("_id"));
	u->replacement = true;
	int r = stored_check(u->document, f);
	return r != 0 ? r : stored_check_id(id, f);
}

static int operators_compile(struct update *u, struct store_failure *f)
{
	struct document_iter it = document_iter(u->document);
	struct element e;
	int r = 0;
	while (r == 0 && document_next(&it, &e)) {
		if (!name_is_operator(e.name)) {
			return store_fail(f, STORE_E_INVALID,
				"the update mixes operators with the field %.*s",
				STORE_NAME(e.name));
		}
		r = operator_compile(u, &e, f);
	}
	return r != 0 ? r : pathset_finish(&u->set, f);
}

struct update *update_new(struct slice document, const struct update_limits *limits)
{
	struct update *u = calloc(1, sizeof(*u));
	if (u != NULL) {
		u->document = document;
		u->limits = *limits;
		writer_init(&u->out, limits->document_bytes);
		writer_init(&u->scratch, limits->document_bytes);
	}
	return u;
}

int update_compile(struct update **ret,
	struct slice update,
	const struct update_limits *limits,
	struct store_failure *f)
{
	struct slice name = SLICE_NULL;
	struct update *u = update_new(update, limits);
	if (u == NULL) {
		return -ENOMEM;
	}
	bool operators =
		first_name((struct value){ BT_OBJECT, update }, &name) && name_is_operator(name);
	int r = operators ? operators_compile(u, f) : replacement_compile(u, f);
	if (r != 0) {
		update_free(u);
		return r;
	}
	*ret = u;
	return 0;
}

struct update *update_free(struct update *u)
{
	if (u != NULL) {
		for (uint32_t i = 0; i < u->n_ops; i++) {
			matcher_free(u->ops[i].pull);
		}
		free(u->ops);
		pathset_deinit(&u->set);
		writer_deinit(&u->out);
		writer_deinit(&u->scratch);
		free(u);
	}
	return NULL;
}

bool update_is_replacement(const struct update *u)
{
	return u->replacement;
}
