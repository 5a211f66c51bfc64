#include "director/store/query/compare.h"
#include "director/store/query/matcher.h"
#include "director/store/query/number.h"

#include <errno.h>
#include <stdlib.h>

/* What the conditions being compiled look at. */
struct target {
	uint32_t part;
	uint32_t n_parts;
	struct slice text;
	enum path_end path_end;
};

struct compiler {
	struct matcher *m;
	const struct match_limits *limits;
	struct store_failure *failure;
	unsigned depth; /* of nested filters and operators */
};

/* One operator of a field: compiles `arg` for the target. `all` is the document that it stands in. */
typedef int (*operator_fn)(
	struct compiler *c, const struct target *t, struct value arg, struct slice all);

static const struct target whole_element = { .text = { (const uint8_t *)"", 0 },
	.path_end = PATH_END_WHOLE };

static int operators_compile(struct compiler *c, const struct target *t, struct slice document);
static int filter_compile(struct compiler *c, struct slice filter);

/* Every step into a nested document goes through here, so that recursion stays bounded. */
static int enter(struct compiler *c)
{
	if (++c->depth > DOCUMENT_DEPTH_MAX) {
		return store_fail(c->failure, STORE_E_LIMIT,
			"the filter is nested deeper than %d levels (a fixed limit)",
			DOCUMENT_DEPTH_MAX);
	}
	return 0;
}

static int node_add(
	struct compiler *c, enum match_op op, const struct target *t, uint32_t *ret_index)
{
	struct matcher *m = c->m;
	if (m->n_nodes == m->cap_nodes) {
		uint32_t cap = m->cap_nodes == 0 ? 8 : m->cap_nodes * 2;
		struct match_node *nodes = reallocarray(m->nodes, cap, sizeof(*nodes));
		if (nodes == NULL) {
			return -ENOMEM;
		}
		m->nodes = nodes;
		m->cap_nodes = cap;
	}
	*ret_index = m->n_nodes;
	m->nodes[m->n_nodes] = (struct match_node){ .op = op, .end = m->n_nodes + 1 };
	if (t != NULL) {
		m->nodes[m->n_nodes].part = t->part;
		m->nodes[m->n_nodes].n_parts = t->n_parts;
		m->nodes[m->n_nodes].text = t->text;
		m->nodes[m->n_nodes].path_end = t->path_end;
	}
	m->n_nodes++;
	return 0;
}

/* Ends the subtree of a node with what was added since. */
static void node_close(struct compiler *c, uint32_t index)
{
	c->m->nodes[index].end = c->m->n_nodes;
}

/* "on the field x" or "of an element", for messages. */
#define TARGET_FORMAT  "%s%.*s"
#define TARGET_ARGS(t) (t)->n_parts > 0 ? "the field " : "an array's element", STORE_NAME((t)->text)

/* A stored name never begins with '$', so a compared document that has one is a mistake: an operator
 * in the wrong place. It would match nothing, silently. */
static int literal_check(struct compiler *c, struct value v)
{
	struct slice name;
	if (value_is_document(v) && document_find_name(v.data, name_is_operator, &name)) {
		return store_fail(c->failure, STORE_E_UNSUPPORTED,
			"unsupported operator %.*s inside a compared value", STORE_NAME(name));
	}
	return 0;
}

static int value_compile(
	struct compiler *c, enum match_op op, const struct target *t, struct value v)
{
	uint32_t index = 0;
	int r = literal_check(c, v);
	r = r != 0 ? r : node_add(c, op, t, &index);
	if (r == 0) {
		c->m->nodes[index].u.value = v;
	}
	return r;
}

static int regex_node(
	struct compiler *c, const struct target *t, struct slice pattern, struct slice options)
{
	struct regex *re = NULL;
	uint32_t index = 0;
	unsigned steps = c->limits->regex_steps;
	int r = regex_compile(&re, pattern, options, c->limits->regex_bytes,
		steps == 0 ? MATCH_REGEX_STEPS : steps, c->failure);
	if (r != 0) {
		return r;
	}
	/* The node owns the expression, so it comes second. */
	r = node_add(c, MATCH_REGEX, t, &index);
	if (r < 0) {
		regex_free(re);
		return r;
	}
	c->m->nodes[index].u.regex = re;
	return 0;
}

static int regex_value(struct compiler *c, const struct target *t, struct value v)
{
	struct slice pattern;
	struct slice options;
	value_regex(v, &pattern, &options);
	return regex_node(c, t, pattern, options);
}

static int range_compile(
	struct compiler *c, enum match_op op, const struct target *t, struct value v)
{
	if (v.type == BT_REGEX) {
		return store_fail(c->failure, STORE_E_INVALID,
			TARGET_FORMAT " cannot be compared with a regular expression",
			TARGET_ARGS(t));
	}
	return value_compile(c, op, t, v);
}

static int op_eq(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	return value_compile(c, MATCH_EQ, t, arg);
}

static int op_gt(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	return range_compile(c, MATCH_GT, t, arg);
}

static int op_gte(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	return range_compile(c, MATCH_GTE, t, arg);
}

static int op_lt(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	return range_compile(c, MATCH_LT, t, arg);
}

static int op_lte(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	return range_compile(c, MATCH_LTE, t, arg);
}

static int op_ne(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	uint32_t index = 0;
	int r = node_add(c, MATCH_NOT, NULL, &index);
	r = r != 0 ? r : range_compile(c, MATCH_EQ, t, arg);
	node_close(c, index);
	return r;
}

static int array_needed(struct compiler *c, const char *name, struct value arg)
{
	if (arg.type != BT_ARRAY) {
		return store_fail(c->failure, STORE_E_INVALID, "%s needs an array, not %s", name,
			value_type_name(arg.type));
	}
	return 0;
}

/* Counts against the limit before anything is kept. */
static int array_counted(struct compiler *c, const char *name, struct value arg)
{
	struct document_iter it = document_iter(arg.data);
	struct element e;
	unsigned n = 0;
	int r = array_needed(c, name, arg);
	while (r == 0 && document_next(&it, &e)) {
		if (++n > c->limits->in_values) {
			r = store_fail(c->failure, STORE_E_LIMIT,
				"%s with more than %u values (MOZAIKS_MAX_IN_VALUES)", name,
				c->limits->in_values);
		}
	}
	return r;
}

static int value_keep(struct matcher *m, struct value v)
{
	if (m->n_values == m->cap_values) {
		uint32_t cap = m->cap_values == 0 ? 8 : m->cap_values * 2;
		struct value *values = reallocarray(m->values, cap, sizeof(*values));
		if (values == NULL) {
			return -ENOMEM;
		}
		m->values = values;
		m->cap_values = cap;
	}
	m->values[m->n_values++] = v;
	return 0;
}

static int values_order(const void *a, const void *b)
{
	const struct value *x = (const struct value *)a;
	const struct value *y = (const struct value *)b;
	return value_compare(*x, *y);
}

/* In order, each once: a document is found by an _id once only. @return how many are left. */
static uint32_t sort_unique(struct value *values, uint32_t n)
{
	uint32_t kept = 0;
	if (n > 0) {
		qsort(values, n, sizeof(*values), values_order);
	}
	for (uint32_t i = 0; i < n; i++) {
		if (kept == 0 || value_compare(values[kept - 1], values[i]) != 0) {
			values[kept++] = values[i];
		}
	}
	return kept;
}

/* The plain values of an $in into one node; its regular expressions are the caller's. */
static int in_values(struct compiler *c, const struct target *t, struct value arg, bool *ret_regex)
{
	struct document_iter it = document_iter(arg.data);
	struct element e;
	uint32_t index = 0;
	uint32_t first = c->m->n_values;
	int r = node_add(c, MATCH_IN, t, &index);
	*ret_regex = false;
	while (r == 0 && document_next(&it, &e)) {
		if (e.value.type == BT_REGEX) {
			*ret_regex = true;
			continue;
		}
		r = literal_check(c, e.value);
		r = r != 0 ? r : value_keep(c->m, e.value);
	}
	if (r == 0) {
		c->m->n_values = first + sort_unique(c->m->values + first, c->m->n_values - first);
		c->m->nodes[index].u.in.first = first;
		c->m->nodes[index].u.in.n = c->m->n_values - first;
	}
	return r;
}

static int op_in(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	uint32_t either = c->m->n_nodes;
	bool has_regex = false;
	int r = array_counted(c, "$in and $nin", arg);
	struct document_iter it = document_iter(arg.data);
	struct element e;
	bool any_regex = false;
	while (r == 0 && document_next(&it, &e)) {
		any_regex = any_regex || e.value.type == BT_REGEX;
	}
	if (r == 0 && any_regex) {
		r = node_add(c, MATCH_OR, NULL, &either);
	}
	r = r != 0 ? r : in_values(c, t, arg, &has_regex);
	it = document_iter(arg.data);
	while (r == 0 && has_regex && document_next(&it, &e)) {
		if (e.value.type == BT_REGEX) {
			r = regex_value(c, t, e.value);
		}
	}
	if (r == 0 && any_regex) {
		node_close(c, either);
	}
	return r;
}

static int op_nin(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	uint32_t index = 0;
	int r = node_add(c, MATCH_NOT, NULL, &index);
	r = r != 0 ? r : op_in(c, t, arg, all);
	node_close(c, index);
	return r;
}

static int op_exists(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	uint32_t index = c->m->n_nodes;
	uint32_t leaf = 0;
	bool wanted = value_truth(arg);
	int r = wanted ? 0 : node_add(c, MATCH_NOT, NULL, &index);
	r = r != 0 ? r : node_add(c, MATCH_EXISTS, t, &leaf);
	if (r == 0 && !wanted) {
		node_close(c, index);
	}
	return r;
}

struct type_alias {
	const char *name;
	int type;
};

static const struct type_alias type_aliases[] = {
	{ "double", BT_DOUBLE },
	{ "string", BT_STRING },
	{ "object", BT_OBJECT },
	{ "array", BT_ARRAY },
	{ "binData", BT_BINARY },
	{ "undefined", BT_UNDEFINED },
	{ "objectId", BT_OID },
	{ "bool", BT_BOOL },
	{ "date", BT_DATE },
	{ "null", BT_NULL },
	{ "regex", BT_REGEX },
	{ "dbPointer", BT_DBPOINTER },
	{ "javascript", BT_CODE },
	{ "symbol", BT_SYMBOL },
	{ "javascriptWithScope", BT_CODE_SCOPE },
	{ "int", BT_INT32 },
	{ "timestamp", BT_TIMESTAMP },
	{ "long", BT_INT64 },
	{ "decimal", BT_DECIMAL },
	{ "maxKey", BT_MAXKEY },
	{ "minKey", BT_MINKEY },
};

static int type_add(struct compiler *c, struct match_node *node, struct value v)
{
	int64_t code = 0;
	size_t n = sizeof(type_aliases) / sizeof(type_aliases[0]);
	bool known = false;
	if (v.type == BT_STRING && slice_eq(value_string(v), SLICE("number"))) {
		node->u.types.low |=
			1U << BT_DOUBLE | 1U << BT_INT32 | 1U << BT_INT64 | 1U << BT_DECIMAL;
		return 0;
	}
	bool number = value_whole(v, &code);
	for (size_t i = 0; i < n && !known; i++) {
		const struct type_alias *alias = &type_aliases[i];
		int alias_code = alias->type == BT_MINKEY ? -1 : alias->type;
		known = number
			? code == alias_code
			: v.type == BT_STRING && slice_eq(value_string(v), slice_str(alias->name));
		if (known && alias->type < 32) {
			node->u.types.low |= 1U << (unsigned)alias->type;
		}
		node->u.types.min_key = node->u.types.min_key || (known && alias_code == -1);
		node->u.types.max_key =
			node->u.types.max_key || (known && alias->type == BT_MAXKEY);
	}
	if (known) {
		return 0;
	}
	if (v.type == BT_STRING) {
		return store_fail(c->failure, STORE_E_INVALID, "$type does not know \"%.*s\"",
			STORE_NAME(value_string(v)));
	}
	return store_fail(c->failure, STORE_E_INVALID,
		"$type needs the name or the number of a type, or an array of them");
}

static int op_type(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	uint32_t index = 0;
	int r = node_add(c, MATCH_TYPE, t, &index);
	if (r != 0 || arg.type != BT_ARRAY) {
		return r != 0 ? r : type_add(c, &c->m->nodes[index], arg);
	}
	struct document_iter it = document_iter(arg.data);
	struct element e;
	if (document_is_empty(arg.data)) {
		return store_fail(c->failure, STORE_E_INVALID, "$type with an empty array");
	}
	while (r == 0 && document_next(&it, &e)) {
		r = type_add(c, &c->m->nodes[index], e.value);
	}
	return r;
}

static int op_size(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	struct target whole = *t;
	uint32_t index = 0;
	int64_t size = 0;
	if (!value_whole(arg, &size) || size < 0) {
		return store_fail(c->failure, STORE_E_INVALID,
			"$size needs a whole number that is not negative");
	}
	whole.path_end = PATH_END_WHOLE;
	int r = node_add(c, MATCH_SIZE, &whole, &index);
	if (r == 0) {
		c->m->nodes[index].u.size = size;
	}
	return r;
}

static int op_mod(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	struct document_iter it = document_iter(arg.data);
	struct element divisor;
	struct element remainder;
	struct element surplus;
	uint32_t index = 0;
	int64_t d = 0;
	int64_t m = 0;
	int r = array_needed(c, "$mod", arg);
	if (r != 0) {
		return r;
	}
	if (!document_next(&it, &divisor) || !document_next(&it, &remainder) ||
		document_next(&it, &surplus) || !value_truncated(divisor.value, &d) ||
		!value_truncated(remainder.value, &m) || d == 0) {
		return store_fail(c->failure, STORE_E_INVALID,
			"$mod needs two numbers: a divisor that is not zero, and a remainder");
	}
	r = node_add(c, MATCH_MOD, t, &index);
	if (r == 0) {
		c->m->nodes[index].u.mod.divisor = d;
		c->m->nodes[index].u.mod.remainder = m;
	}
	return r;
}

/* A mask: a whole number, a binary, or the positions of bits. */
static int bits_mask(struct compiler *c, struct value mask)
{
	struct document_iter it = document_iter(mask.data);
	struct element e;
	int64_t n = 0;
	if (mask.type == BT_BINARY && mask.data.n >= BINARY_HEAD_BYTES) {
		return 0;
	}
	if (mask.type != BT_ARRAY) {
		return value_whole(mask, &n) && n >= 0
			? 0
			: store_fail(c->failure, STORE_E_INVALID,
				  "bits need a whole number that is not negative, a binary, or an "
				  "array of positions");
	}
	int r = array_counted(c, "a list of bits", mask);
	while (r == 0 && document_next(&it, &e)) {
		if (!value_whole(e.value, &n) || n < 0) {
			r = store_fail(c->failure, STORE_E_INVALID,
				"the position of a bit is a whole number that is not negative");
		}
	}
	return r;
}

static int bits_compile(
	struct compiler *c, const struct target *t, struct value mask, bool set, bool all)
{
	uint32_t index = 0;
	int r = bits_mask(c, mask);
	r = r != 0 ? r : node_add(c, MATCH_BITS, t, &index);
	if (r == 0) {
		c->m->nodes[index].u.bits.mask = mask;
		c->m->nodes[index].u.bits.set = set;
		c->m->nodes[index].u.bits.all = all;
	}
	return r;
}

static int op_bits_all_set(
	struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	return bits_compile(c, t, arg, true, true);
}

static int op_bits_all_clear(
	struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	return bits_compile(c, t, arg, false, true);
}

static int op_bits_any_set(
	struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	return bits_compile(c, t, arg, true, false);
}

static int op_bits_any_clear(
	struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	return bits_compile(c, t, arg, false, false);
}

static int op_regex(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	struct value extra = document_find(all, SLICE("$options"));
	struct slice pattern = SLICE_NULL;
	struct slice options = SLICE_NULL;
	if (arg.type == BT_REGEX) {
		value_regex(arg, &pattern, &options);
	} else if (arg.type == BT_STRING) {
		pattern = value_string(arg);
	} else {
		return store_fail(c->failure, STORE_E_INVALID,
			"$regex needs a string or a regular expression, not %s",
			value_type_name(arg.type));
	}
	if (extra.type == BT_STRING) {
		options = value_string(extra);
	} else if (extra.type != BT_MISSING) {
		return store_fail(c->failure, STORE_E_INVALID, "$options needs a string, not %s",
			value_type_name(extra.type));
	}
	return regex_node(c, t, pattern, options);
}

static int op_options(
	struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	if (document_find(all, SLICE("$regex")).type == BT_MISSING) {
		return store_fail(c->failure, STORE_E_INVALID, "$options without $regex");
	}
	return 0;
}

static int op_not(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	uint32_t index = 0;
	int r = node_add(c, MATCH_NOT, NULL, &index);
	if (r != 0) {
		return r;
	}
	if (arg.type == BT_REGEX) {
		r = regex_value(c, t, arg);
	} else if (arg.type == BT_OBJECT && !document_is_empty(arg.data)) {
		r = operators_compile(c, t, arg.data);
	} else {
		r = store_fail(c->failure, STORE_E_INVALID,
			"$not needs operators or a regular expression");
	}
	node_close(c, index);
	return r;
}

/* {$gt: 1} looks at the element itself; {a: 1} and {$or: […]} look at its fields. */
static bool about_element_itself(struct slice document)
{
	struct document_iter it = document_iter(document);
	struct element e;
	return document_next(&it, &e) && name_is_operator(e.name) &&
		!slice_eq(e.name, SLICE("$and")) && !slice_eq(e.name, SLICE("$or")) &&
		!slice_eq(e.name, SLICE("$nor"));
}

static int op_elem_match(
	struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	struct target whole = *t;
	uint32_t index = 0;
	if (arg.type != BT_OBJECT) {
		return store_fail(c->failure, STORE_E_INVALID,
			"$elemMatch needs a document, not %s", value_type_name(arg.type));
	}
	bool itself = about_element_itself(arg.data);
	whole.path_end = PATH_END_WHOLE;
	int r = node_add(c, itself ? MATCH_ELEMENT_VALUE : MATCH_ELEMENT_FIELDS, &whole, &index);
	if (r == 0) {
		r = itself ? operators_compile(c, &whole_element, arg.data)
			   : filter_compile(c, arg.data);
		node_close(c, index);
	}
	return r;
}

/* One value of $all. */
static int all_value(struct compiler *c, const struct target *t, struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	if (v.type == BT_REGEX) {
		return regex_value(c, t, v);
	}
	if (v.type != BT_OBJECT || !document_next(&it, &e) || !name_is_operator(e.name)) {
		return value_compile(c, MATCH_EQ, t, v);
	}
	if (!slice_eq(e.name, SLICE("$elemMatch"))) {
		return store_fail(c->failure, STORE_E_UNSUPPORTED,
			"unsupported operator %.*s inside $all", STORE_NAME(e.name));
	}
	return op_elem_match(c, t, e.value, v.data);
}

static int op_all(struct compiler *c, const struct target *t, struct value arg, struct slice all)
{
	struct document_iter it = document_iter(arg.data);
	struct element e;
	uint32_t index = 0;
	int r = array_counted(c, "$all", arg);
	if (r == 0 && document_is_empty(arg.data)) {
		return node_add(c, MATCH_NEVER, NULL, &index);
	}
	while (r == 0 && document_next(&it, &e)) {
		r = all_value(c, t, e.value);
	}
	return r;
}

struct match_operator {
	const char *name;
	operator_fn compile;
};

static const struct match_operator operators[] = {
	{ "$eq", op_eq },
	{ "$ne", op_ne },
	{ "$gt", op_gt },
	{ "$gte", op_gte },
	{ "$lt", op_lt },
	{ "$lte", op_lte },
	{ "$in", op_in },
	{ "$nin", op_nin },
	{ "$exists", op_exists },
	{ "$type", op_type },
	{ "$size", op_size },
	{ "$all", op_all },
	{ "$elemMatch", op_elem_match },
	{ "$mod", op_mod },
	{ "$bitsAllSet", op_bits_all_set },
	{ "$bitsAllClear", op_bits_all_clear },
	{ "$bitsAnySet", op_bits_any_set },
	{ "$bitsAnyClear", op_bits_any_clear },
	{ "$not", op_not },
	{ "$regex", op_regex },
	{ "$options", op_options },
};

static int unsupported(struct compiler *c, struct slice name)
{
	return store_fail(
		c->failure, STORE_E_UNSUPPORTED, "unsupported operator %.*s", STORE_NAME(name));
}

static int operator_compile(
	struct compiler *c, const struct target *t, const struct element *e, struct slice all)
{
	if (!name_is_operator(e->name)) {
		return store_fail(c->failure, STORE_E_INVALID,
			"the condition on " TARGET_FORMAT " mixes operators with the field %.*s",
			TARGET_ARGS(t), STORE_NAME(e->name));
	}
	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		if (slice_eq(e->name, slice_str(operators[i].name))) {
			return operators[i].compile(c, t, e->value, all);
		}
	}
	return unsupported(c, e->name);
}

static int operators_compile(struct compiler *c, const struct target *t, struct slice document)
{
	struct document_iter it = document_iter(document);
	struct element e;
	int r = enter(c);
	while (r == 0 && document_next(&it, &e)) {
		r = operator_compile(c, t, &e, document);
	}
	c->depth--;
	return r;
}

static bool begins_with_operator(struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	return v.type == BT_OBJECT && document_next(&it, &e) && name_is_operator(e.name);
}

static int condition_compile(struct compiler *c, const struct target *t, struct value v)
{
	if (v.type == BT_REGEX) {
		return regex_value(c, t, v);
	}
	if (begins_with_operator(v)) {
		return operators_compile(c, t, v.data);
	}
	return value_compile(c, MATCH_EQ, t, v);
}

static int clauses_compile(struct compiler *c, enum match_op op, const struct element *e)
{
	struct document_iter it = document_iter(e->value.data);
	struct element clause;
	uint32_t index = 0;
	if (e->value.type != BT_ARRAY || document_is_empty(e->value.data)) {
		return store_fail(c->failure, STORE_E_INVALID,
			"%.*s needs an array that is not empty", STORE_NAME(e->name));
	}
	int r = node_add(c, op, NULL, &index);
	while (r == 0 && document_next(&it, &clause)) {
		uint32_t and = 0;
		if (clause.value.type != BT_OBJECT) {
			return store_fail(c->failure, STORE_E_INVALID,
				"%.*s needs documents, not %s", STORE_NAME(e->name),
				value_type_name(clause.value.type));
		}
		r = node_add(c, MATCH_AND, NULL, &and);
		r = r != 0 ? r : filter_compile(c, clause.value.data);
		if (r == 0) {
			node_close(c, and);
		}
	}
	node_close(c, index);
	return r;
}

static int element_compile(struct compiler *c, const struct element *e)
{
	struct target t = { .text = e->name, .path_end = PATH_END_EXPAND };
	if (slice_eq(e->name, SLICE("$and"))) {
		return clauses_compile(c, MATCH_AND, e);
	}
	if (slice_eq(e->name, SLICE("$or"))) {
		return clauses_compile(c, MATCH_OR, e);
	}
	if (slice_eq(e->name, SLICE("$nor"))) {
		return clauses_compile(c, MATCH_NOR, e);
	}
	if (slice_eq(e->name, SLICE("$comment"))) {
		return 0; /* it says nothing about a document */
	}
	if (name_is_operator(e->name)) {
		return unsupported(c, e->name);
	}
	int r = path_parts_add(&c->m->parts, e->name, &t.part, &t.n_parts, c->failure);
	return r != 0 ? r : condition_compile(c, &t, e->value);
}

static int filter_compile(struct compiler *c, struct slice filter)
{
	struct document_iter it = document_iter(filter);
	struct element e;
	int r = enter(c);
	while (r == 0 && document_next(&it, &e)) {
		r = element_compile(c, &e);
	}
	c->depth--;
	return r;
}

/* Runs `compile` under a root node. */
static int matcher_build(struct matcher **ret,
	const struct match_limits *limits,
	struct store_failure *f,
	struct value what,
	bool element)
{
	uint32_t root = 0;
	struct compiler c = { calloc(1, sizeof(*c.m)), limits, f, 0 };
	if (c.m == NULL) {
		return -ENOMEM;
	}
	int r = node_add(&c, MATCH_AND, NULL, &root);
	if (r == 0 && element && !(what.type == BT_OBJECT && !begins_with_operator(what))) {
		/* An array inside the array stands for its elements, too. */
		struct target itself = { .text = SLICE(""), .path_end = PATH_END_EXPAND };
		r = condition_compile(&c, &itself, what);
	} else if (r == 0) {
		c.m->element_fields = element;
		r = filter_compile(&c, what.data);
	}
	if (r != 0) {
		matcher_free(c.m);
		return r;
	}
	node_close(&c, root);
	*ret = c.m;
	return 0;
}

int matcher_compile(struct matcher **ret,
	struct slice filter,
	const struct match_limits *limits,
	struct store_failure *f)
{
	return matcher_build(ret, limits, f, (struct value){ BT_OBJECT, filter }, false);
}

int matcher_compile_element(struct matcher **ret,
	struct value condition,
	const struct match_limits *limits,
	struct store_failure *f)
{
	return matcher_build(ret, limits, f, condition, true);
}
