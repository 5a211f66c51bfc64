#include "director/store/query/notation.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct parser {
	const char *p;
	const char *text;
	struct document_writer w;
};

_Noreturn static void fail(struct parser *s, const char *what)
{
	(void)fprintf(stderr, "notation: %s at \"%.30s\" in %s\n", what, s->p, s->text);
	abort();
}

static void blanks(struct parser *s)
{
	while (*s->p == ' ' || *s->p == '\n') {
		s->p++;
	}
}

static bool accept(struct parser *s, const char *word)
{
	size_t n = strlen(word);
	blanks(s);
	if (strncmp(s->p, word, n) != 0) {
		return false;
	}
	s->p += n;
	return true;
}

static void expect(struct parser *s, const char *word)
{
	if (!accept(s, word)) {
		fail(s, word);
	}
}

static unsigned hex_byte(struct parser *s)
{
	char digits[3] = { s->p[0], s->p[1], 0 };
	s->p += 2;
	return (unsigned)strtoul(digits, NULL, 16);
}

/* A quoted text; its bytes go to `out`. */
static size_t quoted(struct parser *s, char *out, size_t room)
{
	char quote = *s->p++;
	size_t n = 0;
	while (*s->p != quote) {
		if (*s->p == 0 || n == room) {
			fail(s, "quote");
		}
		if (s->p[0] == '\\' && s->p[1] == 'x') {
			s->p += 2;
			out[n++] = (char)hex_byte(s);
		} else {
			out[n++] = *s->p++;
		}
	}
	s->p++;
	return n;
}

static struct slice name(struct parser *s, char *out, size_t room)
{
	size_t n = 0;
	blanks(s);
	if (*s->p == '"' || *s->p == '\'') {
		n = quoted(s, out, room);
	} else {
		while (isalnum((unsigned char)*s->p) || (*s->p != 0 && strchr("_$.-[]", *s->p))) {
			out[n++] = *s->p++;
		}
	}
	expect(s, ":");
	return slice_of(out, n);
}

static void value(struct parser *s, struct slice key);

static void document(struct parser *s, size_t start)
{
	char text[4096];
	while (!accept(s, "}")) {
		struct slice key = name(s, text, sizeof(text));
		value(s, key);
		(void)accept(s, ",");
	}
	writer_close(&s->w, start);
}

static void array(struct parser *s, struct slice key)
{
	char text[24];
	size_t start = writer_open_in(&s->w, BT_ARRAY, key);
	for (uint64_t n = 0; !accept(s, "]"); n++) {
		value(s, index_name(n, text));
		(void)accept(s, ",");
	}
	writer_close(&s->w, start);
}

static void raw(struct parser *s, struct slice key, uint8_t type, const void *p, size_t n)
{
	writer_value(&s->w, key, (struct value){ type, slice_of(p, n) });
}

static void decimal(struct parser *s, struct slice key)
{
	unsigned __int128 c = 0;
	int exponent = 0;
	bool negative = accept(s, "-");
	bool point = false;
	uint8_t bytes[16] = { 0 };
	uint64_t high = 0;
	if (accept(s, "NaN")) {
		high = 0x7cULL << 56;
	} else if (accept(s, "Infinity")) {
		high = 0x78ULL << 56;
	} else {
		for (; isdigit((unsigned char)*s->p) || *s->p == '.'; s->p++) {
			if (*s->p == '.') {
				point = true;
				continue;
			}
			c = c * 10 + (unsigned)(*s->p - '0');
			exponent -= point ? 1 : 0;
		}
		if (*s->p == 'e') {
			char *end = NULL;
			exponent += (int)strtol(s->p + 1, &end, 10);
			s->p = end;
		}
		high = (uint64_t)(exponent + 6176) << 49 | (uint64_t)(c >> 64);
	}
	high |= negative ? 1ULL << 63 : 0;
	for (int i = 0; i < 8; i++) {
		bytes[i] = (uint8_t)((uint64_t)c >> (8 * i));
		bytes[8 + i] = (uint8_t)(high >> (8 * i));
	}
	raw(s, key, BT_DECIMAL, bytes, sizeof(bytes));
	expect(s, ")");
}

static void regex(struct parser *s, struct slice key)
{
	char text[4096];
	size_t n = 0;
	for (; *s->p != '/'; s->p++) {
		text[n++] = *s->p;
	}
	text[n++] = 0;
	for (s->p++; isalpha((unsigned char)*s->p); s->p++) {
		text[n++] = *s->p;
	}
	text[n++] = 0;
	raw(s, key, BT_REGEX, text, n);
}

static void binary(struct parser *s, struct slice key)
{
	uint8_t bytes[1024] = { 0 };
	size_t n = 5;
	char *end = NULL;
	bytes[4] = (uint8_t)strtoul(s->p, &end, 10);
	s->p = end;
	expect(s, ",");
	while (isxdigit((unsigned char)*s->p)) {
		bytes[n++] = (uint8_t)hex_byte(s);
	}
	bytes[0] = (uint8_t)(n - 5);
	bytes[1] = (uint8_t)((n - 5) >> 8);
	raw(s, key, BT_BINARY, bytes, n);
	expect(s, ")");
}

static void number(struct parser *s, struct slice key)
{
	char *end = NULL;
	bool real = false;
	for (const char *p = s->p + 1;
		isalnum((unsigned char)*p) || *p == '.' || *p == '+' || (*p == '-' && p[-1] == 'e');
		p++) {
		real = real || *p == '.' || *p == 'e';
	}
	if (!isdigit((unsigned char)*s->p) && *s->p != '-') {
		fail(s, "value");
	}
	if (real) {
		writer_double(&s->w, key, strtod(s->p, &end));
		s->p = end;
		return;
	}
	long long i = strtoll(s->p, &end, 10);
	s->p = end;
	if (accept(s, "L") || i < INT32_MIN || i > INT32_MAX) {
		writer_int64(&s->w, key, i);
	} else {
		writer_int32(&s->w, key, (int32_t)i);
	}
}

static long long bracketed_int(struct parser *s)
{
	char *end = NULL;
	long long i = strtoll(s->p, &end, 10);
	s->p = end;
	expect(s, ")");
	return i;
}

static bool word_value(struct parser *s, struct slice key)
{
	if (accept(s, "true")) {
		writer_bool(&s->w, key, true);
	} else if (accept(s, "false")) {
		writer_bool(&s->w, key, false);
	} else if (accept(s, "null")) {
		writer_null(&s->w, key);
	} else if (accept(s, "NaN")) {
		writer_double(&s->w, key, (double)NAN);
	} else if (accept(s, "Infinity")) {
		writer_double(&s->w, key, (double)INFINITY);
	} else if (accept(s, "-Infinity")) {
		writer_double(&s->w, key, (double)-INFINITY);
	} else if (accept(s, "MinKey")) {
		raw(s, key, BT_MINKEY, "", 0);
	} else if (accept(s, "MaxKey")) {
		raw(s, key, BT_MAXKEY, "", 0);
	} else {
		return false;
	}
	return true;
}

static bool typed_value(struct parser *s, struct slice key)
{
	if (accept(s, "DATE(")) {
		writer_date(&s->w, key, bracketed_int(s));
	} else if (accept(s, "TS(")) {
		writer_timestamp(&s->w, key, (uint64_t)bracketed_int(s));
	} else if (accept(s, "DEC(")) {
		decimal(s, key);
	} else if (accept(s, "BIN(")) {
		binary(s, key);
	} else if (accept(s, "OID(")) {
		uint8_t oid[OID_BYTES];
		for (int i = 0; i < OID_BYTES; i++) {
			oid[i] = (uint8_t)hex_byte(s);
		}
		writer_oid(&s->w, key, oid);
		expect(s, ")");
	} else {
		return false;
	}
	return true;
}

static void value(struct parser *s, struct slice key)
{
	char text[4096];
	blanks(s);
	if (accept(s, "{")) {
		document(s, writer_open_in(&s->w, BT_OBJECT, key));
	} else if (accept(s, "[")) {
		array(s, key);
	} else if (accept(s, "/")) {
		regex(s, key);
	} else if (*s->p == '"' || *s->p == '\'') {
		size_t n = quoted(s, text, sizeof(text));
		writer_string(&s->w, key, slice_of(text, n));
	} else if (!word_value(s, key) && !typed_value(s, key)) {
		number(s, key);
	}
}

struct slice notation_parse(const char *text)
{
	struct parser s = { .p = text, .text = text };
	size_t n = 0;
	writer_init(&s.w, 64U << 20);
	expect(&s, "{");
	document(&s, writer_open(&s.w));
	if (s.w.error != 0) {
		fail(&s, "memory");
	}
	uint8_t *p = buffer_steal(&s.w.b, &n);
	return slice_of(p, n);
}

static void print_value(struct buffer *b, struct value v);

static void print_text(struct buffer *b, struct slice s, char quote)
{
	(void)buffer_printf(b, "%c", quote);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 32 || s.p[i] == (uint8_t)quote || s.p[i] == '\\' || s.p[i] >= 127) {
			(void)buffer_printf(b, "\\x%02x", s.p[i]);
		} else {
			(void)buffer_append_byte(b, s.p[i]);
		}
	}
	(void)buffer_printf(b, "%c", quote);
}

static void print_name(struct buffer *b, struct slice s)
{
	bool plain = s.n > 0;
	for (size_t i = 0; i < s.n; i++) {
		plain = plain && (isalnum(s.p[i]) || s.p[i] == '_' || s.p[i] == '$');
	}
	if (plain) {
		(void)buffer_append(b, s);
	} else {
		print_text(b, s, '"');
	}
	(void)buffer_printf(b, ": ");
}

static void print_members(struct buffer *b, struct value v)
{
	struct document_iter it = document_iter(v.data);
	struct element e;
	bool first = true;
	(void)buffer_printf(b, "%c", v.type == BT_ARRAY ? '[' : '{');
	while (document_next(&it, &e)) {
		(void)buffer_printf(b, "%s", first ? "" : ", ");
		first = false;
		if (v.type == BT_OBJECT) {
			print_name(b, e.name);
		}
		print_value(b, e.value);
	}
	(void)buffer_printf(b, "%c", v.type == BT_ARRAY ? ']' : '}');
}

static void print_double(struct buffer *b, double d)
{
	char text[64];
	if (isnan(d) || isinf(d)) {
		(void)buffer_printf(b, "%s", isnan(d) ? "NaN" : d < 0 ? "-Infinity" : "Infinity");
		return;
	}
	(void)snprintf(text, sizeof(text), "%.15g", d);
	bool real = strpbrk(text, ".e") != NULL;
	(void)buffer_printf(b, "%s%s", text, real ? "" : ".0");
}

static void print_value(struct buffer *b, struct value v)
{
	struct slice pattern;
	struct slice options;
	switch (v.type) {
	case BT_OBJECT:
	case BT_ARRAY:
		print_members(b, v);
		return;
	case BT_STRING:
		print_text(b, value_string(v), '\'');
		return;
	case BT_INT32:
		(void)buffer_printf(b, "%d", value_int32(v));
		return;
	case BT_INT64:
		(void)buffer_printf(b, "%lldL", (long long)value_int64(v));
		return;
	case BT_DOUBLE:
		print_double(b, value_double(v));
		return;
	case BT_BOOL:
		(void)buffer_printf(b, "%s", value_bool(v) ? "true" : "false");
		return;
	case BT_NULL:
		(void)buffer_printf(b, "null");
		return;
	case BT_DATE:
		(void)buffer_printf(b, "DATE(%lld)", (long long)value_int64(v));
		return;
	case BT_TIMESTAMP:
		(void)buffer_printf(b, "TS(%llu)", (unsigned long long)value_uint64(v));
		return;
	case BT_REGEX:
		value_regex(v, &pattern, &options);
		(void)buffer_printf(b, "/%.*s/%.*s", (int)pattern.n, (const char *)pattern.p,
			(int)options.n, (const char *)options.p);
		return;
	default:
		(void)buffer_printf(b, "<%02x:", v.type);
		for (size_t i = 0; i < v.data.n; i++) {
			(void)buffer_printf(b, "%02x", v.data.p[i]);
		}
		(void)buffer_printf(b, ">");
		return;
	}
}

char *notation_print(struct slice document)
{
	struct buffer b;
	size_t n = 0;
	buffer_init(&b, 64U << 20);
	print_members(&b, (struct value){ BT_OBJECT, document });
	(void)buffer_append_byte(&b, 0);
	return (char *)buffer_steal(&b, &n);
}
