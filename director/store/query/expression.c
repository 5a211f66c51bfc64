#include "director/store/query/expressions.h"

#include <errno.h>
#include <stdlib.h>

struct compiler {
	struct expression *e;
	struct store_failure *failure;
	unsigned depth;
};

/* --- compiling --- */

static int compile_value(struct compiler *c, struct slice name, struct value v);

static int node_add(
	struct compiler *c, enum expression_kind kind, struct slice name, uint32_t *ret_index)
{
	struct expression *e = c->e;
	if (e->n == e->cap) {
		uint32_t cap = e->cap == 0 ? 8 : e->cap * 2;
		struct expression_node *nodes = reallocarray(e->nodes, cap, sizeof(*nodes));
		if (nodes == NULL) {
			return -ENOMEM;
		}
		e->nodes = nodes;
		e->cap = cap;
	}
	*ret_index = e->n;
	e->nodes[e->n] = (struct expression_node){ .kind = kind, .name = name, .end = e->n + 1 };
	e->n++;
	return 0;
}

static void node_close(struct compiler *c, uint32_t index)
{
	c->e->nodes[index].end = c->e->n;
}

static int compile_literal(struct compiler *c, struct slice name, struct value v)
{
	uint32_t index = 0;
	int r = node_add(c, EXPRESSION_LITERAL, name, &index);
	if (r == 0) {
		c->e->nodes[index].literal = v;
	}
	return r;
}

static int compile_path(struct compiler *c, struct slice name, struct slice path)
{
	uint32_t index = 0;
	int r = node_add(c, EXPRESSION_FIELD, name, &index);
	if (r != 0 || path.n == 0) {
		return r;
	}
	if (memchr(path.p, '$', path.n) != NULL || memchr(path.p, 0, path.n) != NULL) {
		return store_fail(c->failure, STORE_E_INVALID, "\"$%.*s\" is no name of a field",
			STORE_NAME(path));
	}
	struct expression_node *node = &c->e->nodes[index];
	return path_parts_add(&c->e->parts, path, &node->part, &node->n_parts, c->failure);
}

static const struct {
	const char *name;
	enum expression_kind kind;
} variables[] = {
	{ "ROOT", EXPRESSION_FIELD },
	{ "CURRENT", EXPRESSION_FIELD },
	{ "REMOVE", EXPRESSION_REMOVE },
	{ "NOW", EXPRESSION_NOW },
};

/* "$$ROOT", "$$ROOT.a" */
static int compile_variable(struct compiler *c, struct slice name, struct slice text)
{
	const uint8_t *dot = text.n == 0 ? NULL : memchr(text.p, '.', text.n);
	struct slice variable = slice_of(text.p, dot == NULL ? text.n : (size_t)(dot - text.p));
	uint32_t index = 0;
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		if (!slice_eq(variable, slice_str(variables[i].name))) {
			continue;
		}
		if (variables[i].kind == EXPRESSION_FIELD) {
			return compile_path(c, name,
				dot == NULL ? SLICE_NULL : slice_skip(text, variable.n + 1));
		}
		if (dot == NULL) {
			return node_add(c, variables[i].kind, name, &index);
		}
	}
	return store_fail(
		c->failure, STORE_E_UNSUPPORTED, "unsupported variable $$%.*s", STORE_NAME(text));
}

static int compile_string(struct compiler *c, struct slice name, struct value v)
{
	struct slice text = value_string(v);
	if (slice_starts(text, SLICE("$$"))) {
		return compile_variable(c, name, slice_skip(text, 2));
	}
	if (slice_starts(text, SLICE("$"))) {
		if (text.n == 1) {
			return store_fail(
				c->failure, STORE_E_INVALID, "\"$\" is no name of a field");
		}
		return compile_path(c, name, slice_skip(text, 1));
	}
	return compile_literal(c, name, v);
}

static int count_check(struct compiler *c, const struct expression_operator *op, unsigned n)
{
	if (n >= op->least && n <= op->most) {
		return 0;
	}
	if (op->least == op->most) {
		return store_fail(c->failure, STORE_E_INVALID, "%s needs %u argument%s, not %u",
			op->name, op->least, op->least == 1 ? "" : "s", n);
	}
	return store_fail(c->failure, STORE_E_INVALID, "%s needs %u to %u arguments, not %u",
		op->name, op->least, op->most, n);
}

static int compile_list(
	struct compiler *c, const struct expression_operator *op, struct slice array)
{
	struct document_iter it = document_iter(array);
	struct element e;
	unsigned n = 0;
	int r = 0;
	while (r == 0 && document_next(&it, &e)) {
		n++;
		r = n > EXPRESSION_ARGUMENTS_MAX
			? store_fail(c->failure, STORE_E_LIMIT, "%s with more than %d arguments",
				  op->name, EXPRESSION_ARGUMENTS_MAX)
			: compile_value(c, SLICE_NULL, e.value);
	}
	return r != 0 ? r : count_check(c, op, n);
}

/* In the order of the table, what is not given as $$REMOVE. */
static int compile_named(
	struct compiler *c, const struct expression_operator *op, struct slice document)
{
	struct document_iter it = document_iter(document);
	struct element e;
	uint32_t index = 0;
	int r = 0;
	while (document_next(&it, &e)) {
		unsigned k = 0;
		while (op->named[k] != NULL && !slice_eq(e.name, slice_str(op->named[k]))) {
			k++;
		}
		if (op->named[k] == NULL) {
			return store_fail(c->failure, STORE_E_UNSUPPORTED,
				"%s does not know the argument %.*s", op->name, STORE_NAME(e.name));
		}
	}
	for (unsigned k = 0; op->named[k] != NULL && r == 0; k++) {
		struct value v = document_find(document, slice_str(op->named[k]));
		if (v.type == BT_MISSING && k < op->required) {
			return store_fail(c->failure, STORE_E_INVALID, "%s needs the argument %s",
				op->name, op->named[k]);
		}
		r = v.type == BT_MISSING ? node_add(c, EXPRESSION_REMOVE, SLICE_NULL, &index)
					 : compile_value(c, SLICE_NULL, v);
	}
	return r;
}

static int compile_call(struct compiler *c, struct slice name, const struct element *e)
{
	const struct expression_operator *op = NULL;
	uint32_t index = 0;
	int r = 0;
	if (slice_eq(e->name, SLICE("$literal"))) {
		return compile_literal(c, name, e->value);
	}
	op = expression_operator_find(e->name);
	if (op == NULL) {
		return store_fail(c->failure, STORE_E_UNSUPPORTED,
			"unsupported operator %.*s in an expression", STORE_NAME(e->name));
	}
	r = node_add(c, EXPRESSION_CALL, name, &index);
	if (r != 0) {
		return r;
	}
	c->e->nodes[index].op = op;
	if (op->named != NULL && e->value.type == BT_OBJECT) {
		r = compile_named(c, op, e->value.data);
	} else if (e->value.type == BT_ARRAY) {
		r = compile_list(c, op, e->value.data);
	} else {
		r = compile_value(c, SLICE_NULL, e->value);
		r = r != 0 ? r : count_check(c, op, 1);
	}
	node_close(c, index);
	return r;
}

static int compile_members(
	struct compiler *c, enum expression_kind kind, struct slice name, struct slice document)
{
	struct document_iter it = document_iter(document);
	struct element e;
	uint32_t index = 0;
	int r = node_add(c, kind, name, &index);
	if (r != 0) {
		return r;
	}
	while (r == 0 && document_next(&it, &e)) {
		if (kind == EXPRESSION_OBJECT &&
			(name_is_operator(e.name) || e.name.n == 0 ||
				memchr(e.name.p, '.', e.name.n) != NULL)) {
			return store_fail(c->failure, STORE_E_INVALID,
				"\"%.*s\" is no name in a document that is made here",
				STORE_NAME(e.name));
		}
		r = compile_value(c, kind == EXPRESSION_OBJECT ? e.name : SLICE_NULL, e.value);
	}
	node_close(c, index);
	return r;
}

static int compile_document(struct compiler *c, struct slice name, struct slice document)
{
	struct document_iter it = document_iter(document);
	struct element e;
	struct element surplus;
	if (!document_next(&it, &e) || !name_is_operator(e.name)) {
		return compile_members(c, EXPRESSION_OBJECT, name, document);
	}
	if (document_next(&it, &surplus)) {
		return store_fail(c->failure, STORE_E_INVALID,
			"the expression %.*s stands beside %.*s: one operator stands alone",
			STORE_NAME(e.name), STORE_NAME(surplus.name));
	}
	return compile_call(c, name, &e);
}

static int compile_value(struct compiler *c, struct slice name, struct value v)
{
	int r = 0;
	if (++c->depth > DOCUMENT_DEPTH_MAX) {
		return store_fail(c->failure, STORE_E_LIMIT,
			"the expression is nested deeper than %d levels (a fixed limit)",
			DOCUMENT_DEPTH_MAX);
	}
	switch (v.type) {
	case BT_STRING:
		r = compile_string(c, name, v);
		break;
	case BT_OBJECT:
		r = compile_document(c, name, v.data);
		break;
	case BT_ARRAY:
		r = compile_members(c, EXPRESSION_ARRAY, name, v.data);
		break;
	case BT_CODE:
	case BT_CODE_SCOPE:
		r = store_fail(c->failure, STORE_E_UNSUPPORTED,
			"unsupported value in an expression: %s", value_type_name(v.type));
		break;
	default:
		r = compile_literal(c, name, v);
	}
	c->depth--;
	return r;
}

int expression_compile(struct expression **ret, struct value v, struct store_failure *f)
{
	struct compiler c = { calloc(1, sizeof(*c.e)), f, 0 };
	if (c.e == NULL) {
		return -ENOMEM;
	}
	int r = compile_value(&c, SLICE_NULL, v);
	if (r != 0) {
		expression_free(c.e);
		return r;
	}
	*ret = c.e;
	return 0;
}

struct expression *expression_free(struct expression *e)
{
	if (e != NULL) {
		free(e->nodes);
		path_parts_deinit(&e->parts);
		free(e);
	}
	return NULL;
}

/* --- evaluating --- */

/* A value that was put together in a writer moves into the arena. */
static struct value take_written(struct evaluation *x, struct document_writer *w, uint8_t type)
{
	struct value v = VALUE_MISSING;
	if (w->error == 0) {
		v = arena_value(x->arena, (struct value){ type, buffer_slice(&w->b) });
	} else if (x->error == 0) {
		x->error = w->error;
	}
	writer_deinit(w);
	/* Everything that walks values counts on it. */
	if (v.type != BT_MISSING && !document_depth_within(v.data, DOCUMENT_DEPTH_MAX)) {
		x->error = store_fail(x->failure, STORE_E_LIMIT,
			"an expression makes a value that is nested deeper than %d levels (a fixed limit)",
			DOCUMENT_DEPTH_MAX);
		return VALUE_MISSING;
	}
	return v;
}

static struct value field_of(const struct expression *e,
	struct evaluation *x,
	struct value v,
	uint32_t part,
	uint32_t end);

/* A name below an array stands for it in each of its documents. */
static struct value field_of_array(const struct expression *e,
	struct evaluation *x,
	struct slice array,
	uint32_t part,
	uint32_t end)
{
	struct document_writer w;
	struct document_iter it = document_iter(array);
	struct element element;
	char text[24];
	uint64_t n = 0;
	writer_init(&w, x->arena->limit);
	size_t start = writer_open(&w);
	while (!budget_spent(x->budget) && document_next(&it, &element)) {
		struct value v = value_is_document(element.value)
			? field_of(e, x, element.value, part, end)
			: VALUE_MISSING;
		budget_charge(x->budget, 0);
		if (v.type != BT_MISSING) {
			writer_value(&w, index_name(n++, text), v);
		}
	}
	writer_close(&w, start);
	return take_written(x, &w, BT_ARRAY);
}

/* Nests as deep as the document. */
static struct value field_of(const struct expression *e,
	struct evaluation *x,
	struct value v,
	uint32_t part,
	uint32_t end)
{
	for (; part < end; part++) {
		budget_charge(x->budget, value_is_document(v) ? v.data.n : 0);
		if (v.type == BT_ARRAY) {
			return field_of_array(e, x, v.data, part, end);
		}
		if (v.type != BT_OBJECT) {
			return VALUE_MISSING;
		}
		v = document_find(v.data, e->parts.p[part].name);
	}
	return v;
}

static struct value make_members(const struct expression *e, struct evaluation *x, uint32_t i)
{
	const struct expression_node *node = &e->nodes[i];
	bool array = node->kind == EXPRESSION_ARRAY;
	struct document_writer w;
	char text[24];
	uint64_t n = 0;
	writer_init(&w, x->arena->limit);
	size_t start = writer_open(&w);
	for (uint32_t k = i + 1; k < node->end; k = e->nodes[k].end) {
		struct value v = expression_eval(e, x, k);
		if (array && v.type == BT_MISSING) {
			v.type = BT_NULL;
		}
		if (v.type != BT_MISSING) {
			writer_value(&w, array ? index_name(n++, text) : e->nodes[k].name, v);
		}
	}
	writer_close(&w, start);
	return take_written(x, &w, array ? BT_ARRAY : BT_OBJECT);
}

static struct value call(const struct expression *e, struct evaluation *x, uint32_t i)
{
	const struct expression_node *node = &e->nodes[i];
	struct value v[EXPRESSION_ARGUMENTS_MAX];
	unsigned n = 0;
	if (node->op->lazy != NULL) {
		return node->op->lazy(e, x, i);
	}
	for (uint32_t k = i + 1; k < node->end; k = e->nodes[k].end) {
		v[n++] = expression_eval(e, x, k);
	}
	return x->error != 0 || budget_spent(x->budget) ? VALUE_MISSING
							: node->op->call(x, node->op, v, n);
}

static struct value now(struct evaluation *x)
{
	uint8_t bytes[8];
	for (unsigned i = 0; i < 8; i++) {
		bytes[i] = (uint8_t)((uint64_t)x->now_ms >> 8 * i);
	}
	return arena_value(x->arena, (struct value){ BT_DATE, slice_of(bytes, sizeof(bytes)) });
}

struct value expression_eval(const struct expression *e, struct evaluation *x, uint32_t i)
{
	const struct expression_node *node = &e->nodes[i];
	struct value root = { BT_OBJECT, x->document };
	budget_charge(x->budget, 0);
	if (x->error != 0 || budget_spent(x->budget)) {
		return VALUE_MISSING;
	}
	switch (node->kind) {
	case EXPRESSION_LITERAL:
		return node->literal;
	case EXPRESSION_FIELD:
		return field_of(e, x, root, node->part, node->part + node->n_parts);
	case EXPRESSION_REMOVE:
		return VALUE_MISSING;
	case EXPRESSION_NOW:
		return now(x);
	case EXPRESSION_OBJECT:
	case EXPRESSION_ARRAY:
		return make_members(e, x, i);
	case EXPRESSION_CALL:
		return call(e, x, i);
	}
	return VALUE_MISSING;
}

int expression_evaluate(
	const struct expression *e, struct evaluation *x, struct slice document, struct value *ret)
{
	x->document = document;
	*ret = expression_eval(e, x, 0);
	if (x->error == 0 && x->arena->error != 0) {
		x->error = x->arena->error;
	}
	return x->error;
}
