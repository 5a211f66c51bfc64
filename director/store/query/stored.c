#include "director/store/query/stored.h"

struct level {
	struct document_iter it;
	bool array;
	uint64_t index;
};

static int name_check(const struct level *level, struct slice name, struct store_failure *f)
{
	uint64_t index = 0;
	if (level->array) {
		if (!index_parse(name, &index) || index != level->index) {
			return store_fail(f, STORE_E_INVALID,
				"an array with the name \"%.*s\" instead of the index %llu",
				STORE_NAME(name), (unsigned long long)level->index);
		}
		return 0;
	}
	if (name.n == 0) {
		return store_fail(
			f, STORE_E_INVALID, "a field with an empty name cannot be stored");
	}
	if (name_is_operator(name)) {
		return store_fail(f, STORE_E_INVALID,
			"the field %.*s cannot be stored: its name begins with '$'",
			STORE_NAME(name));
	}
	if (memchr(name.p, '.', name.n) != NULL) {
		return store_fail(f, STORE_E_INVALID,
			"the field \"%.*s\" cannot be stored: its name contains '.'",
			STORE_NAME(name));
	}
	return 0;
}

static int walk(struct slice document, bool array, struct store_failure *f)
{
	struct level open[DOCUMENT_DEPTH_MAX];
	unsigned depth = 1;
	int r = 0;
	open[0] = (struct level){ document_iter(document), array, 0 };
	while (depth > 0 && r == 0) {
		struct level *top = &open[depth - 1];
		struct element e;
		if (!document_next(&top->it, &e)) {
			depth--;
			continue;
		}
		r = name_check(top, e.name, f);
		top->index++;
		if (r != 0 || !value_is_document(e.value)) {
			continue;
		}
		if (depth == DOCUMENT_DEPTH_MAX) {
			return store_fail(f, STORE_E_LIMIT,
				"a document nested deeper than %d levels (a fixed limit)",
				DOCUMENT_DEPTH_MAX);
		}
		open[depth++] =
			(struct level){ document_iter(e.value.data), e.value.type == BT_ARRAY, 0 };
	}
	return r;
}

int stored_check(struct slice document, struct store_failure *f)
{
	return walk(document, false, f);
}

int stored_check_value(struct value v, struct store_failure *f)
{
	return value_is_document(v) ? walk(v.data, v.type == BT_ARRAY, f) : 0;
}

int stored_check_id(struct value id, struct store_failure *f)
{
	if (id.type == BT_ARRAY || id.type == BT_REGEX || id.type == BT_UNDEFINED) {
		return store_fail(
			f, STORE_E_INVALID, "the field _id cannot be %s", value_type_name(id.type));
	}
	return 0;
}
