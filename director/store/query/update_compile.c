#include "director/store/query/number.h"
#include "director/store/query/stored.h"
#include "director/store/query/updater.h"

#include <errno.h>
#include <stdlib.h>

static const char *const kind_names[UPDATE_OPERATORS] = {
	[UPDATE_SET] = "$set",
	[UPDATE_UNSET] = "$unset",
	[UPDATE_INC] = "$inc",
	[UPDATE_MUL] = "$mul",
	[UPDATE_MIN] = "$min",
	[UPDATE_MAX] = "$max",
	[UPDATE_BIT] = "$bit",
	[UPDATE_PUSH] = "$push",
	[UPDATE_ADD_TO_SET] = "$addToSet",
	[UPDATE_POP] = "$pop",
	[UPDATE_PULL] = "$pull",
	[UPDATE_PULL_ALL] = "$pullAll",
	[UPDATE_RENAME] = "$rename",
	[UPDATE_CURRENT_DATE] = "$currentDate",
	[UPDATE_SET_ON_INSERT] = "$setOnInsert",
};

const char *update_kind_name(enum update_kind kind)
{
	return kind == UPDATE_MOVED ? kind_names[UPDATE_RENAME] : kind_names[kind];
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

/* A path of n parts ends inside n documents; $push may make an array there, and the value follows. */
static int depth_check(
	enum update_kind kind, struct slice path, struct value v, struct store_failure *f)
{
	unsigned used = kind == UPDATE_PUSH || kind == UPDATE_ADD_TO_SET ? 2 : 1;
	for (size_t i = 0; i < path.n; i++) {
		used += path.p[i] == '.' ? 1 : 0;
	}
	bool nested = value_is_document(v) && kind != UPDATE_PULL && kind != UPDATE_UNSET &&
		kind != UPDATE_PULL_ALL;
	if (used > DOCUMENT_DEPTH_MAX ||
		(nested && !document_depth_within(v.data, DOCUMENT_DEPTH_MAX - used))) {
		return store_fail(f, STORE_E_LIMIT,
			"the field %.*s would be nested deeper than %d levels (a fixed limit)",
			STORE_NAME(path), DOCUMENT_DEPTH_MAX);
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

/* --- $push, $addToSet --- */

static int modifier_number(const char *name, struct value v, int64_t *ret, struct store_failure *f)
{
	if (!value_whole(v, ret) || *ret < -INT32_MAX || *ret > INT32_MAX) {
		return store_fail(f, STORE_E_INVALID, "%s needs a whole number", name);
	}
	return 0;
}

static int modifier_each(struct update_op *op, struct value v, struct store_failure *f)
{
	if (v.type != BT_ARRAY) {
		return store_fail(f, STORE_E_INVALID, "$each of %s needs an array, not %s",
			update_kind_name(op->kind), value_type_name(v.type));
	}
	op->value = v;
	op->push.each = true;
	return 0;
}

static int modifier_slice(struct update_op *op, struct value v, struct store_failure *f)
{
	op->push.sliced = true;
	return modifier_number("$slice", v, &op->push.slice, f);
}

static int modifier_position(struct update_op *op, struct value v, struct store_failure *f)
{
	op->push.placed = true;
	return modifier_number("$position", v, &op->push.position, f);
}

static int modifier_sort(struct update_op *op, struct value v, struct store_failure *f)
{
	int64_t direction = 0;
	if (v.type == BT_OBJECT && !document_is_empty(v.data)) {
		return sort_compile(&op->push.sort, v.data, f);
	}
	if (!value_whole(v, &direction) || (direction != 1 && direction != -1)) {
		return store_fail(f, STORE_E_INVALID, "$sort needs 1, -1 or the names of fields");
	}
	op->push.sort_whole = (int)direction;
	return 0;
}

static const struct {
	const char *name;
	int (*take)(struct update_op *op, struct value v, struct store_failure *f);
	bool set; /* $addToSet has it, too */
} modifiers[] = {
	{ "$each", modifier_each, true },
	{ "$slice", modifier_slice, false },
	{ "$sort", modifier_sort, false },
	{ "$position", modifier_position, false },
};

enum { MODIFIERS = sizeof(modifiers) / sizeof(modifiers[0]) };

static int modifier_take(struct update_op *op, const struct element *e, struct store_failure *f)
{
	for (size_t i = 0; i < MODIFIERS; i++) {
		if (slice_eq(e->name, slice_str(modifiers[i].name)) &&
			(modifiers[i].set || op->kind == UPDATE_PUSH)) {
			return modifiers[i].take(op, e->value, f);
		}
	}
	return store_fail(f, STORE_E_UNSUPPORTED, "unsupported operator %.*s in %s",
		STORE_NAME(e->name), kind_names[op->kind]);
}

/* {$each: […], …} or one value. */
static int append_operand(struct update_op *op, struct store_failure *f)
{
	struct document_iter it = document_iter(op->value.data);
	struct slice name;
	struct element e;
	int r = 0;
	if (!first_name(op->value, &name) || !name_is_operator(name)) {
		return stored_check_value(op->value, f);
	}
	while (r == 0 && document_next(&it, &e)) {
		r = modifier_take(op, &e, f);
	}
	if (r == 0 && !op->push.each) {
		return store_fail(
			f, STORE_E_INVALID, "%s with modifiers needs $each", kind_names[op->kind]);
	}
	return r != 0 ? r : stored_check_value(op->value, f);
}

/* --- the operands of the others --- */

static int number_operand(
	enum update_kind kind, struct slice path, struct value v, struct store_failure *f)
{
	if (v.type == BT_DECIMAL) {
		return store_fail(f, STORE_E_UNSUPPORTED,
			"%s of the field %.*s by a decimal128 is not supported", kind_names[kind],
			STORE_NAME(path));
	}
	if (!value_is_number(v)) {
		return store_fail(f, STORE_E_INVALID, "%s of the field %.*s needs a number, not %s",
			kind_names[kind], STORE_NAME(path), value_type_name(v.type));
	}
	return 0;
}

/* {and: n}, {or: n} or {xor: n} */
static int bit_operand(struct update_op *op, struct store_failure *f)
{
	static const char *const names[] = {
		[BIT_AND] = "and", [BIT_OR] = "or", [BIT_XOR] = "xor"
	};
	struct document_iter it = document_iter(op->value.data);
	struct element e;
	struct element surplus;
	if (op->value.type == BT_OBJECT && document_next(&it, &e) &&
		!document_next(&it, &surplus) &&
		(e.value.type == BT_INT32 || e.value.type == BT_INT64)) {
		for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			if (slice_eq(e.name, slice_str(names[i]))) {
				op->bit = (enum bit_operation)i;
				op->value = e.value;
				return 0;
			}
		}
	}
	return store_fail(f, STORE_E_INVALID,
		"$bit needs {and: n}, {or: n} or {xor: n} with an int32 or an int64");
}

static int pop_operand(struct update_op *op, struct store_failure *f)
{
	int64_t side = 0;
	if (!value_whole(op->value, &side) || (side != 1 && side != -1)) {
		return store_fail(
			f, STORE_E_INVALID, "$pop needs 1 (the last element) or -1 (the first)");
	}
	op->first = side < 0;
	return 0;
}

static int pull_all_operand(struct value v, struct store_failure *f)
{
	if (v.type != BT_ARRAY) {
		return store_fail(f, STORE_E_INVALID, "$pullAll needs an array, not %s",
			value_type_name(v.type));
	}
	return 0;
}

static bool has_position(struct slice path)
{
	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] == '$' && (i == 0 || path.p[i - 1] == '.')) {
			return true;
		}
	}
	return false;
}

/* The name to move to. Both are names of fields, without positional operators. */
static int rename_operand(struct slice path, struct value v, struct store_failure *f)
{
	if (v.type != BT_STRING || memchr(value_string(v).p, 0, value_string(v).n) != NULL) {
		return store_fail(f, STORE_E_INVALID, "$rename of the field %.*s needs a name",
			STORE_NAME(path));
	}
	if (has_position(path) || has_position(value_string(v))) {
		return store_fail(f, STORE_E_INVALID,
			"$rename of the field %.*s: no positional operators", STORE_NAME(path));
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
	int r = update_position_check(u, path, f);
	r = r != 0 ? r : depth_check(op->kind, path, op->value, f);
	if (r != 0) {
		return r;
	}
	switch (op->kind) {
	case UPDATE_SET:
	case UPDATE_SET_ON_INSERT:
	case UPDATE_MIN:
	case UPDATE_MAX:
		return stored_check_value(op->value, f);
	case UPDATE_PUSH:
	case UPDATE_ADD_TO_SET:
		return append_operand(op, f);
	case UPDATE_INC:
	case UPDATE_MUL:
		return number_operand(op->kind, path, op->value, f);
	case UPDATE_BIT:
		return bit_operand(op, f);
	case UPDATE_CURRENT_DATE:
		return date_operand(op, f);
	case UPDATE_PULL:
		return pull_operand(op, &u->limits, f);
	case UPDATE_PULL_ALL:
		return pull_all_operand(op->value, f);
	case UPDATE_POP:
		return pop_operand(op, f);
	case UPDATE_RENAME:
		return rename_operand(path, op->value, f);
	case UPDATE_UNSET:
	case UPDATE_MOVED:
		break;
	}
	return 0;
}

static void op_release(struct update_op *op)
{
	matcher_free(op->pull);
	sort_free(op->push.sort);
}

/* The other end of a $rename. */
static int moved_add(struct update *u, struct slice to, struct store_failure *f)
{
	struct update_op op = { .kind = UPDATE_MOVED };
	u->renames = true;
	int r = depth_check(UPDATE_SET, to, VALUE_MISSING, f);
	return r != 0 ? r : update_add(u, to, op, f);
}

static int field_compile(struct update *u,
	enum update_kind kind,
	const struct element *field,
	struct store_failure *f)
{
	struct update_op op = { .kind = kind, .value = field->value };
	int r = operand_check(u, field->name, &op, f);
	r = r != 0 ? r : update_add(u, field->name, op, f);
	if (r != 0) {
		op_release(&op);
		return r;
	}
	return kind == UPDATE_RENAME ? moved_add(u, value_string(field->value), f) : 0;
}

static int operator_compile(struct update *u, const struct element *e, struct store_failure *f)
{
	unsigned kind = 0;
	while (kind < UPDATE_OPERATORS && !slice_eq(e->name, slice_str(kind_names[kind]))) {
		kind++;
	}
	if (kind == UPDATE_OPERATORS) {
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
		r = field_compile(u, (enum update_kind)kind, &field, f);
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
	r = r != 0 ? r : update_filters_used(u, f);
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
		/* {name: element} with an element of a document, whatever its size. */
		writer_init(&u->element, SIZE_MAX);
		buffer_init(&u->concrete_text, limits->document_bytes * 4);
	}
	return u;
}

int update_compile(struct update **ret,
	struct slice update,
	struct slice array_filters,
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
	int r = update_filters_compile(u, array_filters, f);
	if (r == 0 && !operators && u->n_filters > 0) {
		r = store_fail(f, STORE_E_INVALID, "arrayFilters go with update operators");
	}
	r = r != 0 ? r : operators ? operators_compile(u, f) : replacement_compile(u, f);
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
			op_release(&u->ops[i]);
		}
		for (uint32_t i = 0; i < u->n_filters; i++) {
			matcher_free(u->filters[i].matcher);
		}
		free(u->ops);
		free(u->filters);
		pathset_deinit(&u->set);
		pathset_deinit(&u->concrete);
		buffer_deinit(&u->concrete_text);
		writer_deinit(&u->out);
		writer_deinit(&u->scratch);
		writer_deinit(&u->element);
		free(u);
	}
	return NULL;
}

bool update_is_replacement(const struct update *u)
{
	return u->replacement;
}
