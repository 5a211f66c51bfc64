/* Text: bytes of UTF-8, counted in characters. */
#include "director/store/query/operators.h"

#include <stdio.h>

struct value operator_concat(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct buffer text;
	buffer_init(&text, x->arena->limit);
	struct value result = VALUE_MISSING;
	int r = 0;
	for (unsigned i = 0; i < n && r == 0; i++) {
		if (operator_is_nothing(v[i])) {
			buffer_deinit(&text);
			return operator_make_null();
		}
		if (v[i].type != BT_STRING) {
			buffer_deinit(&text);
			return operator_refuse(x, op, "strings", v[i]);
		}
		r = buffer_append(&text, value_string(v[i]));
	}
	if (r < 0) {
		x->error = r;
	} else {
		result = arena_string(x->arena, buffer_slice(&text));
	}
	buffer_deinit(&text);
	return result;
}

/* A number or a date is taken for its text, and nothing for an empty one. */
static struct value text_wanted(struct evaluation *x, operator_ref op, struct value v)
{
	char text[32];
	int64_t i = 0;
	if (v.type == BT_STRING) {
		return v;
	}
	if (operator_is_nothing(v)) {
		return arena_string(x->arena, SLICE_NULL);
	}
	if (v.type == BT_DATE) {
		return operator_date_text(x, op, operator_iso_format, v);
	}
	if (!value_is_number(v)) {
		return operator_refuse(x, op, "a string, a number or a date", v);
	}
	if (!operator_number_wanted(x, op, v)) {
		return VALUE_MISSING;
	}
	if (v.type == BT_DOUBLE) {
		(void)snprintf(text, sizeof(text), "%.16g", number_to_double(v));
	} else {
		(void)value_whole(v, &i);
		(void)snprintf(text, sizeof(text), "%lld", (long long)i);
	}
	return arena_string(x->arena, slice_str(text));
}

/* The letters of ASCII only, as MongoDB has it. */
struct value operator_case(struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct value text = text_wanted(x, op, v[0]);
	if (text.type != BT_STRING) {
		return VALUE_MISSING;
	}
	size_t bytes = text.data.n;
	uint8_t *p = arena_take(x->arena, bytes);
	char low = op->variant == V_LOWER ? 'A' : 'a';
	if (p == NULL) {
		return VALUE_MISSING;
	}
	memcpy(p, text.data.p, bytes);
	/* Behind the length. */
	for (size_t i = 4; i < bytes; i++) {
		if (p[i] >= low && p[i] < low + 26) {
			p[i] ^= 0x20;
		}
	}
	return (struct value){ BT_STRING, slice_of(p, bytes) };
}

static bool begins_character(uint8_t c)
{
	return (c & 0xc0) != 0x80;
}

struct value operator_length(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	int64_t length = 0;
	if (v[0].type != BT_STRING) {
		return operator_refuse(x, op, "a string", v[0]);
	}
	struct slice text = value_string(v[0]);
	for (size_t i = 0; i < text.n; i++) {
		length += begins_character(text.p[i]) ? 1 : 0;
	}
	return operator_make_int(x, length);
}

/* Where character `n` begins; the end when there are fewer. */
static size_t character_at(struct slice text, int64_t n)
{
	size_t i = 0;
	for (; i < text.n && n > 0; n--) {
		i++;
		while (i < text.n && !begins_character(text.p[i])) {
			i++;
		}
	}
	return i;
}

struct value operator_substring(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	int64_t start = 0;
	int64_t length = 0;
	struct value text = text_wanted(x, op, v[0]);
	if (text.type != BT_STRING) {
		return VALUE_MISSING;
	}
	if (!value_whole(v[1], &start) || start < 0 || !value_whole(v[2], &length) || length < 0) {
		return operator_refuse(x, op, "whole numbers that are not negative", v[1]);
	}
	struct slice rest = value_string(text);
	rest = slice_skip(rest, character_at(rest, start));
	return arena_string(x->arena, slice_of(rest.p, character_at(rest, length)));
}
