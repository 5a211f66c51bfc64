#include "director/store/query/match.h"

#include "director/store/query/compare.h"
#include "director/store/query/matcher.h"
#include "director/store/query/number.h"

#include <stdlib.h>

struct leaf {
	const struct matcher *m;
	const struct match_node *node;
	struct budget *budget;
	int64_t element; /* of $elemMatch: the index of the one that matched */
};

/* `element` is NULL, or as matcher_match_at() has it; it is left alone unless it matches. */
static bool eval(const struct matcher *m,
	uint32_t index,
	struct value subject,
	struct budget *budget,
	int64_t *element);

static bool eval_children(const struct matcher *m,
	uint32_t index,
	struct value subject,
	struct budget *budget,
	bool wanted,
	int64_t *element)
{
	for (uint32_t i = index + 1; i < m->nodes[index].end; i = m->nodes[i].end) {
		if (eval(m, i, subject, budget, element) != wanted) {
			return false;
		}
	}
	return true;
}

static bool test_order(enum match_op op, int c)
{
	switch ((int)op) {
	case MATCH_LT:
		return c < 0;
	case MATCH_LTE:
		return c <= 0;
	case MATCH_GT:
		return c > 0;
	case MATCH_GTE:
		return c >= 0;
	default:
		return c == 0;
	}
}

/* Values of different brackets are not comparable, except with the two ends of the order. */
static bool test_other_bracket(enum match_op op, uint8_t operand)
{
	if (op == MATCH_LT || op == MATCH_LTE) {
		return operand == BT_MAXKEY;
	}
	return (op == MATCH_GT || op == MATCH_GTE) && operand == BT_MINKEY;
}

static bool test_comparison(enum match_op op, struct value operand, struct value v)
{
	if (value_bracket(v.type) != value_bracket(operand.type)) {
		return test_other_bracket(op, operand.type);
	}
	if (number_is_nan(v) != number_is_nan(operand)) {
		return false;
	}
	return test_order(op, value_compare(v, operand));
}

static int compare_to_element(const void *key, const void *element)
{
	const struct value *a = (const struct value *)key;
	const struct value *b = (const struct value *)element;
	return value_compare(*a, *b);
}

static bool test_in(const struct leaf *leaf, struct value v)
{
	const struct value *first = leaf->m->values + leaf->node->u.in.first;
	return leaf->node->u.in.n > 0 &&
		bsearch(&v, first, leaf->node->u.in.n, sizeof(*first), compare_to_element) != NULL;
}

static bool test_regex(const struct leaf *leaf, struct value v)
{
	const struct regex *re = leaf->node->u.regex;
	if (v.type == BT_REGEX) {
		struct slice pattern;
		struct slice options;
		value_regex(v, &pattern, &options);
		return regex_same(re, pattern, options);
	}
	if (v.type != BT_STRING && v.type != BT_SYMBOL) {
		return false;
	}
	budget_charge(leaf->budget, value_string(v).n * 8);
	int r = regex_match(re, value_string(v));
	leaf->budget->regex_limit = leaf->budget->regex_limit || r < 0;
	return r > 0;
}

static bool test_mod(const struct match_node *node, struct value v)
{
	int64_t dividend = 0;
	if (!value_truncated(v, &dividend)) {
		return false;
	}
	/* INT64_MIN / -1 does not fit. */
	int64_t remainder = node->u.mod.divisor == -1 ? 0 : dividend % node->u.mod.divisor;
	return remainder == node->u.mod.remainder;
}

static bool test_type(const struct match_node *node, struct value v)
{
	if (v.type == BT_MINKEY) {
		return node->u.types.min_key;
	}
	if (v.type == BT_MAXKEY) {
		return node->u.types.max_key;
	}
	return v.type < 32 && (node->u.types.low >> v.type & 1) != 0;
}

static bool test_size(const struct match_node *node, struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	int64_t n = 0;
	if (v.type != BT_ARRAY) {
		return false;
	}
	while (document_next(&it, &e)) {
		n++;
	}
	return n == node->u.size;
}

/* Numbers have 64 bits, the last of which goes on for ever; a binary ends in zeros. */
static bool bit_is_set(struct value v, uint64_t position)
{
	int64_t number = 0;
	if (value_whole(v, &number)) {
		return ((uint64_t)number >> (position < 63 ? position : 63) & 1) != 0;
	}
	struct slice bytes = slice_skip(v.data, BINARY_HEAD_BYTES);
	return position / 8 < bytes.n && (bytes.p[position / 8] >> position % 8 & 1) != 0;
}

/* Whether the bits that the mask names are as they are wanted, one bit after the other. */
struct bits_test {
	const struct match_node *node;
	struct value v;
	bool done;
	bool result;
};

static void bits_visit(struct bits_test *t, uint64_t position)
{
	bool right = bit_is_set(t->v, position) == t->node->u.bits.set;
	if (right != t->node->u.bits.all) {
		t->done = true;
		t->result = right;
	}
}

static void bits_of_array(struct bits_test *t, struct slice positions)
{
	struct document_iter it = document_iter(positions);
	struct element e;
	int64_t position = 0;
	while (!t->done && document_next(&it, &e)) {
		(void)value_whole(e.value, &position);
		bits_visit(t, (uint64_t)position);
	}
}

static bool has_bits(struct value v)
{
	int64_t number = 0;
	return value_whole(v, &number) || (v.type == BT_BINARY && v.data.n >= BINARY_HEAD_BYTES);
}

static bool test_bits(const struct leaf *leaf, struct value v)
{
	const struct match_node *node = leaf->node;
	struct value mask = node->u.bits.mask;
	struct bits_test t = { node, v, false, node->u.bits.all };
	if (!has_bits(v)) {
		return false;
	}
	if (mask.type == BT_ARRAY) {
		budget_charge(leaf->budget, mask.data.n * 8);
		bits_of_array(&t, mask.data);
		return t.result;
	}
	uint64_t n = mask.type == BT_BINARY ? (mask.data.n - BINARY_HEAD_BYTES) * 8 : 64;
	budget_charge(leaf->budget, n * 8);
	for (uint64_t i = 0; i < n && !t.done; i++) {
		if (bit_is_set(mask, i)) {
			bits_visit(&t, i);
		}
	}
	return t.result;
}

static bool test_elements(struct leaf *leaf, struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	uint32_t index = (uint32_t)(leaf->node - leaf->m->nodes);
	if (v.type != BT_ARRAY) {
		return false;
	}
	for (int64_t i = 0; document_next(&it, &e); i++) {
		budget_charge(leaf->budget, 0);
		if (leaf->node->op == MATCH_ELEMENT_FIELDS && !value_is_document(e.value)) {
			continue;
		}
		if (eval_children(leaf->m, index, e.value, leaf->budget, true, NULL) ||
			budget_spent(leaf->budget)) {
			leaf->element = i;
			return true;
		}
	}
	return false;
}

static bool test(void *arg, struct value v)
{
	struct leaf *leaf = (struct leaf *)arg;
	const struct match_node *node = leaf->node;
	switch (node->op) {
	case MATCH_EQ:
	case MATCH_LT:
	case MATCH_LTE:
	case MATCH_GT:
	case MATCH_GTE:
		return test_comparison(node->op, node->u.value, v);
	case MATCH_IN:
		return test_in(leaf, v);
	case MATCH_REGEX:
		return test_regex(leaf, v);
	case MATCH_MOD:
		return test_mod(node, v);
	case MATCH_EXISTS:
		return v.type != BT_MISSING;
	case MATCH_TYPE:
		return test_type(node, v);
	case MATCH_SIZE:
		return test_size(node, v);
	case MATCH_BITS:
		return test_bits(leaf, v);
	case MATCH_ELEMENT_FIELDS:
	case MATCH_ELEMENT_VALUE:
		return test_elements(leaf, v);
	case MATCH_AND:
	case MATCH_OR:
	case MATCH_NOR:
	case MATCH_NOT:
	case MATCH_NEVER:
		break;
	}
	return false;
}

static bool eval_leaf(const struct matcher *m,
	const struct match_node *node,
	struct value subject,
	struct budget *budget,
	int64_t *element)
{
	struct leaf leaf = { m, node, budget, -1 };
	struct path path = { m->parts.p + node->part, node->n_parts };
	int64_t outermost = -1;
	bool match = path_match(path, subject, node->path_end, budget, test, &leaf, &outermost);
	outermost = outermost < 0 ? leaf.element : outermost;
	if (match && element != NULL && outermost >= 0) {
		*element = outermost;
	}
	return match;
}

static bool eval(const struct matcher *m,
	uint32_t index,
	struct value subject,
	struct budget *budget,
	int64_t *element)
{
	const struct match_node *node = &m->nodes[index];
	if (budget_spent(budget)) {
		return false;
	}
	budget_charge(budget, 0);
	switch ((int)node->op) {
	case MATCH_AND:
		return eval_children(m, index, subject, budget, true, element);
	case MATCH_NOT:
		return !eval_children(m, index, subject, budget, true, NULL);
	case MATCH_OR:
		return !eval_children(m, index, subject, budget, false, element);
	case MATCH_NOR:
		return eval_children(m, index, subject, budget, false, NULL);
	case MATCH_NEVER:
		return false;
	default:
		return eval_leaf(m, node, subject, budget, element);
	}
}

bool matcher_match(const struct matcher *m, struct slice document, struct budget *budget)
{
	struct value subject = { BT_OBJECT, document };
	return eval(m, 0, subject, budget, NULL) && !budget_spent(budget);
}

bool matcher_match_at(
	const struct matcher *m, struct slice document, struct budget *budget, int64_t *ret_element)
{
	struct value subject = { BT_OBJECT, document };
	*ret_element = -1;
	return eval(m, 0, subject, budget, ret_element) && !budget_spent(budget);
}

bool matcher_match_element(const struct matcher *m, struct value element, struct budget *budget)
{
	if (m->element_fields && element.type != BT_OBJECT) {
		return false;
	}
	return eval(m, 0, element, budget, NULL) && !budget_spent(budget);
}

/* The node after `i` among those that must all match, -1 at the end: goes into $and, past the rest. */
static uint32_t next_required(const struct matcher *m, uint32_t i)
{
	return m->nodes[i].op == MATCH_AND ? i + 1 : m->nodes[i].end;
}

bool matcher_equals_any(
	const struct matcher *m, struct slice field, const struct value **ret, size_t *ret_n)
{
	for (uint32_t i = 0; i < m->n_nodes; i = next_required(m, i)) {
		const struct match_node *node = &m->nodes[i];
		if (node->n_parts != 1 || !slice_eq(node->text, field)) {
			continue;
		}
		if (node->op == MATCH_EQ) {
			*ret = &node->u.value;
			*ret_n = 1;
			return true;
		}
		if (node->op == MATCH_IN) {
			*ret = m->values + node->u.in.first;
			*ret_n = node->u.in.n;
			return true;
		}
	}
	return false;
}

static bool names_element(const struct matcher *m, const struct match_node *node)
{
	for (uint32_t i = 0; i < node->n_parts; i++) {
		if (m->parts.p[node->part + i].index >= 0) {
			return true;
		}
	}
	return false;
}

static void note_bound(
	const struct matcher *m, const struct match_node *node, struct matcher_bounds *b)
{
	switch ((int)node->op) {
	case MATCH_EQ:
		b->values = &node->u.value;
		b->n = 1;
		break;
	case MATCH_IN:
		if (b->values == NULL) {
			b->values = m->values + node->u.in.first;
			b->n = node->u.in.n;
		}
		break;
	case MATCH_GT:
	case MATCH_GTE:
		b->low = node->u.value;
		break;
	case MATCH_LT:
	case MATCH_LTE:
		b->high = node->u.value;
		break;
	default:
		break;
	}
}

bool matcher_bounds(const struct matcher *m, struct slice field, struct matcher_bounds *ret)
{
	*ret = (struct matcher_bounds){ .low = VALUE_MISSING, .high = VALUE_MISSING };
	for (uint32_t i = 0; i < m->n_nodes; i = next_required(m, i)) {
		const struct match_node *node = &m->nodes[i];
		if (node->n_parts > 0 && slice_eq(node->text, field) && !names_element(m, node)) {
			note_bound(m, node, ret);
		}
	}
	return ret->values != NULL || ret->low.type != BT_MISSING || ret->high.type != BT_MISSING;
}

bool matcher_common_name(const struct matcher *m, struct slice *ret)
{
	bool any = false;
	for (uint32_t i = 0; i < m->n_nodes;) {
		const struct match_node *node = &m->nodes[i];
		bool element = node->op == MATCH_ELEMENT_FIELDS || node->op == MATCH_ELEMENT_VALUE;
		/* What stands inside $elemMatch has names of its own. */
		i = element ? node->end : i + 1;
		if (node->n_parts == 0) {
			continue;
		}
		struct slice name = m->parts.p[node->part].name;
		if (any && !slice_eq(*ret, name)) {
			return false;
		}
		*ret = name;
		any = true;
	}
	return any;
}

/* An $or of one alternative must match, too. */
static bool is_single_or(const struct matcher *m, uint32_t i)
{
	return m->nodes[i].op == MATCH_OR && i + 1 < m->nodes[i].end &&
		m->nodes[i + 1].end == m->nodes[i].end;
}

int matcher_each_equality(const struct matcher *m, matcher_equality_fn fn, void *arg)
{
	int r = 0;
	for (uint32_t i = 0; i < m->n_nodes && r == 0;) {
		const struct match_node *node = &m->nodes[i];
		if (node->op == MATCH_EQ && node->n_parts > 0) {
			r = fn(arg, node->text, node->u.value);
		}
		i = is_single_or(m, i) ? i + 1 : next_required(m, i);
	}
	return r;
}

struct matcher *matcher_free(struct matcher *m)
{
	if (m == NULL) {
		return NULL;
	}
	for (uint32_t i = 0; i < m->n_nodes; i++) {
		if (m->nodes[i].op == MATCH_REGEX) {
			regex_free(m->nodes[i].u.regex);
		}
	}
	free(m->nodes);
	free(m->values);
	path_parts_deinit(&m->parts);
	free(m);
	return NULL;
}
