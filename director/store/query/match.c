#include "director/store/query/match.h"

#include "director/store/query/compare.h"
#include "director/store/query/matcher.h"
#include "director/store/query/number.h"

#include <stdlib.h>

struct leaf {
	const struct matcher *m;
	const struct match_node *node;
	struct budget *budget;
};

static bool eval(
	const struct matcher *m, uint32_t index, struct value subject, struct budget *budget);

static bool eval_children(const struct matcher *m,
	uint32_t index,
	struct value subject,
	struct budget *budget,
	bool wanted)
{
	for (uint32_t i = index + 1; i < m->nodes[index].end; i = m->nodes[i].end) {
		if (eval(m, i, subject, budget) != wanted) {
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

static bool test_elements(const struct leaf *leaf, struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	uint32_t index = (uint32_t)(leaf->node - leaf->m->nodes);
	if (v.type != BT_ARRAY) {
		return false;
	}
	while (document_next(&it, &e)) {
		budget_charge(leaf->budget, 0);
		if (leaf->node->op == MATCH_ELEMENT_FIELDS && !value_is_document(e.value)) {
			continue;
		}
		if (eval_children(leaf->m, index, e.value, leaf->budget, true) ||
			budget_spent(leaf->budget)) {
			return true;
		}
	}
	return false;
}

static bool test(void *arg, struct value v)
{
	const struct leaf *leaf = (const struct leaf *)arg;
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

static bool eval(
	const struct matcher *m, uint32_t index, struct value subject, struct budget *budget)
{
	const struct match_node *node = &m->nodes[index];
	if (budget_spent(budget)) {
		return false;
	}
	budget_charge(budget, 0);
	switch ((int)node->op) {
	case MATCH_AND:
		return eval_children(m, index, subject, budget, true);
	case MATCH_NOT:
		return !eval_children(m, index, subject, budget, true);
	case MATCH_OR:
		return !eval_children(m, index, subject, budget, false);
	case MATCH_NOR:
		return eval_children(m, index, subject, budget, false);
	case MATCH_NEVER:
		return false;
	default: {
		struct leaf leaf = { m, node, budget };
		struct path path = { m->parts.p + node->part, node->n_parts };
		return path_match(path, subject, node->path_end, budget, test, &leaf);
	}
	}
}

bool matcher_match(const struct matcher *m, struct slice document, struct budget *budget)
{
	struct value subject = { BT_OBJECT, document };
	return eval(m, 0, subject, budget) && !budget_spent(budget);
}

bool matcher_match_element(const struct matcher *m, struct value element, struct budget *budget)
{
	if (m->element_fields && element.type != BT_OBJECT) {
		return false;
	}
	return eval(m, 0, element, budget) && !budget_spent(budget);
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
