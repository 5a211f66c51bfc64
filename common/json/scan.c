/*
 * The scanner is a loop over what may come next (enum next): each step looks at one byte, eats one
 * token and says what follows. The only memory is one bit per level: object or array. Strings,
 * where most bytes are, go eight bytes at a time.
 */
#include "common/json/scan.h"

#include <endian.h>
#include <errno.h>

enum next {
	NEXT_VALUE,
	NEXT_FIRST_ITEM, /* or the end of an empty array */
	NEXT_NAME,
	NEXT_FIRST_NAME, /* or the end of an empty object */
	NEXT_SEPARATOR,  /* a comma or the end of the container */
	NEXT_END,
	NEXT_FAILED,
	NEXT_CANCELED,
};

_Static_assert(JSON_DEPTH_MAX == 64, "one bit of a uint64_t per level, and the failure's text");

struct scanner {
	const uint8_t *start;
	const uint8_t *p;
	const uint8_t *end;
	uint64_t
		objects; /* the lowest bit: the innermost container is an object; next: its parent … */
	unsigned depth;
	bool reports; /* the root is an object and somebody wants its members */
	json_member_fn on_member;
	void *arg;
	struct json_member member;
	struct json_failure failure;
};

static enum next fail(struct scanner *s, const uint8_t *where, const char *what)
{
	s->failure = (struct json_failure){ .offset = (size_t)(where - s->start), .what = what };
	return NEXT_FAILED;
}

#define REPEAT(byte) (0x0101010101010101ULL * (byte))

/* The first byte from p on that is not plain inside a string: a quote, a backslash, a control
 * character, or part of a longer UTF-8 sequence; `end` when there is none. */
static inline const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
	uint64_t word;
	while ((size_t)(end - p) >= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		word = le64toh(word);
		/* The top bit of each byte: not ASCII, below a space (borrows), equal to a quote, to a
		 * backslash (zero minus one borrows). A borrow may spill into the bytes above, hence
		 * only the lowest hit counts. */
		uint64_t hits = (word | (word - REPEAT(0x20)) | ((word ^ REPEAT('"')) - REPEAT(1)) |
					((word ^ REPEAT('\\')) - REPEAT(1))) &
			REPEAT(0x80);
		if (hits != 0) {
			return p + (__builtin_ctzll(hits) >> 3);
		}
		p += sizeof(word);
	}
	while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
		p++;
	}
	return p;
}

static inline void skip_space(struct scanner *s)
{
	const uint8_t *p = s->p;
	while (p < s->end && *p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
		p++;
	}
	s->p = p;
}

static inline bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* -1 when the byte is no hexadecimal digit. */
static int hex_digit(uint8_t c)
{
	if (is_digit(c)) {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four hexadecimal digits at p, or -1. */
static int32_t hex_unit(const uint8_t *p, const uint8_t *end)
{
	int32_t unit = 0;
	if (end - p < 4) {
		return -1;
	}
	for (size_t i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);
		if (digit < 0) {
			return -1;
		}
		unit = unit * 16 + digit;
	}
	return unit;
}

static bool is_high_surrogate(int32_t unit)
{
	return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low_surrogate(int32_t unit)
{
	return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* The byte after the escape whose backslash stands at p, or NULL with the failure set. */
static const uint8_t *scan_escape(struct scanner *s, const uint8_t *p)
{
	static const uint8_t simple[256] = { ['"'] = 1,
		['\\'] = 1,
		['/'] = 1,
		['b'] = 1,
		['f'] = 1,
		['n'] = 1,
		['r'] = 1,
		['t'] = 1 };
	if (s->end - p < 2) {
		(void)fail(s, s->end, "an end of the text inside a string");
		return NULL;
	}
	if (simple[p[1]]) {
		return p + 2;
	}
	if (p[1] != 'u') {
		(void)fail(s, p, "an unknown escape inside a string");
		return NULL;
	}
	int32_t unit = hex_unit(p + 2, s->end);
	if (unit < 0) {
		(void)fail(s, p, "a \\u escape without four hexadecimal digits");
		return NULL;
	}
	if (!is_high_surrogate(unit) && !is_low_surrogate(unit)) {
		return p + 6;
	}
	bool paired = is_high_surrogate(unit) && s->end - p >= 12 && p[6] == '\\' && p[7] == 'u' &&
		is_low_surrogate(hex_unit(p + 8, s->end));
	if (!paired) {
		(void)fail(s, p, "half of a surrogate pair");
		return NULL;
	}
	return p + 12;
}

/* s->p stands on the opening quote; afterwards behind the closing one. */
static inline bool scan_string(struct scanner *s)
{
	const uint8_t *p = s->p + 1;
	for (;;) {
		p = skip_plain(p, s->end);
		if (p == s->end) {
			(void)fail(s, p, "an end of the text inside a string");
			return false;
		}
		if (*p == '"') {
			s->p = p + 1;
			return true;
		}
		if (*p == '\\') {
			p = scan_escape(s, p);
			if (p == NULL) {
				return false;
			}
			continue;
		}
		if (*p < 0x20) {
			(void)fail(s, p, "a control character inside a string");
			return false;
		}
		while (p < s->end && *p >= 0x80) {
			size_t n = utf8_sequence(p, (size_t)(s->end - p));
			if (n == 0) {
				(void)fail(s, p, "invalid UTF-8");
				return false;
			}
			p += n;
		}
	}
}

static inline const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end)
{
	while (p < end && is_digit(*p)) {
		p++;
	}
	return p;
}

static bool scan_number(struct scanner *s)
{
	const uint8_t *p = s->p;
	p += *p == '-';
	const uint8_t *digits = p;
	p = skip_digits(p, s->end);
	if (p == digits) {
		(void)fail(s, p, "a minus sign without a digit after it");
		return false;
	}
	if (*digits == '0' && p - digits > 1) {
		(void)fail(s, digits, "a number with a leading zero");
		return false;
	}
	if (p < s->end && *p == '.') {
		digits = p + 1;
		p = skip_digits(digits, s->end);
		if (p == digits) {
			(void)fail(s, p, "a decimal point without a digit after it");
			return false;
		}
	}
	if (p < s->end && (*p | 0x20) == 'e') {
		digits = p + 1;
		digits += digits < s->end && (*digits == '+' || *digits == '-');
		p = skip_digits(digits, s->end);
		if (p == digits) {
			(void)fail(s, p, "an exponent without a digit");
			return false;
		}
	}
	s->p = p;
	return true;
}

static bool scan_word(struct scanner *s, struct slice word)
{
	if (!slice_starts(slice_of(s->p, (size_t)(s->end - s->p)), word)) {
		(void)fail(s, s->p, "something that is not a JSON value");
		return false;
	}
	s->p += word.n;
	return true;
}

/* A value is complete and s->p stands behind it. */
static inline enum next value_done(struct scanner *s)
{
	if (s->depth == 0) {
		return NEXT_END;
	}
	if (s->depth == 1 && s->reports) {
		s->member.end = (size_t)(s->p - s->start);
		s->member.value.n = (size_t)(s->p - s->member.value.p);
		if (!s->on_member(s->arg, &s->member)) {
			return NEXT_CANCELED;
		}
	}
	return NEXT_SEPARATOR;
}

static inline enum next open_container(struct scanner *s, bool object)
{
	if (s->depth == JSON_DEPTH_MAX) {
		return fail(s, s->p, "more than 64 levels of nesting");
	}
	s->depth++;
	s->objects = s->objects << 1 | object;
	s->p++;
	return object ? NEXT_FIRST_NAME : NEXT_FIRST_ITEM;
}

static inline enum next close_container(struct scanner *s)
{
	s->depth--;
	s->objects >>= 1;
	s->p++;
	return value_done(s);
}

static enum next fail_value(struct scanner *s, enum next next)
{
	static const uint8_t mark[] = { 0xEF, 0xBB, 0xBF };
	if (s->p == s->start &&
		slice_starts(
			slice_of(s->p, (size_t)(s->end - s->p)), slice_of(mark, sizeof(mark)))) {
		return fail(s, s->p, "a byte order mark");
	}
	if (*s->p == ']' && next == NEXT_VALUE && s->depth > 0 && (s->objects & 1) == 0) {
		return fail(s, s->p, "a comma without a value after it");
	}
	if (*s->p == ',' || *s->p == '}' || *s->p == ']') {
		return fail(s, s->p, "a missing value");
	}
	return fail(s, s->p, "something that is not a JSON value");
}

static inline enum next step_value(struct scanner *s, enum next next)
{
	bool ok;
	switch (*s->p) {
	case '"':
		ok = scan_string(s);
		break;
	case '{':
		return open_container(s, true);
	case '[':
		return open_container(s, false);
	case 't':
		ok = scan_word(s, SLICE("true"));
		break;
	case 'f':
		ok = scan_word(s, SLICE("false"));
		break;
	case 'n':
		ok = scan_word(s, SLICE("null"));
		break;
	case '-':
	case '0' ... '9':
		ok = scan_number(s);
		break;
	case ']':
		if (next == NEXT_FIRST_ITEM) {
			return close_container(s);
		}
		return fail_value(s, next);
	default:
		return fail_value(s, next);
	}
	return ok ? value_done(s) : NEXT_FAILED;
}

/* A name, its colon, and the way to the value. */
static inline enum next step_name(struct scanner *s, enum next next)
{
	const uint8_t *name = s->p;
	if (*name != '"') {
		if (*name == '}' && next == NEXT_FIRST_NAME) {
			return close_container(s);
		}
		return fail(s, name,
			*name == '}' ? "a comma without a member after it"
				     : "a name that is not a string in double quotes");
	}
	if (!scan_string(s)) {
		return NEXT_FAILED;
	}
	struct slice body = slice_of(name + 1, (size_t)(s->p - name) - 2);
	skip_space(s);
	if (s->p == s->end || *s->p != ':') {
		return fail(s, s->p, "a name without a colon after it");
	}
	s->p++;
	skip_space(s);
	if (s->depth == 1) {
		s->member.start = (size_t)(name - s->start);
		s->member.name = body;
		s->member.value.p = s->p;
	}
	return NEXT_VALUE;
}

static inline enum next step_separator(struct scanner *s)
{
	bool object = (s->objects & 1) != 0;
	if (*s->p == ',') {
		s->p++;
		return object ? NEXT_NAME : NEXT_VALUE;
	}
	if (*s->p == (object ? '}' : ']')) {
		return close_container(s);
	}
	return fail(s, s->p,
		object ? "a missing comma or closing brace in an object"
		       : "a missing comma or closing bracket in an array");
}

static enum next fail_end(struct scanner *s)
{
	const char *what = s->depth == 0 ? "an empty text"
		: (s->objects & 1) != 0  ? "an end of the text inside an object"
					 : "an end of the text inside an array";
	return fail(s, s->end, what);
}

static enum next scan_text(struct scanner *s)
{
	enum next next = NEXT_VALUE;
	while (next < NEXT_END) {
		skip_space(s);
		if (s->p == s->end) {
			return fail_end(s);
		}
		switch (next) {
		case NEXT_VALUE:
		case NEXT_FIRST_ITEM:
			next = step_value(s, next);
			break;
		case NEXT_NAME:
		case NEXT_FIRST_NAME:
			next = step_name(s, next);
			break;
		case NEXT_SEPARATOR:
			next = step_separator(s);
			break;
		case NEXT_END:
		case NEXT_FAILED:
		case NEXT_CANCELED:
			break;
		}
	}
	if (next == NEXT_END) {
		skip_space(s);
		return s->p == s->end ? NEXT_END : fail(s, s->p, "text after the end of the value");
	}
	return next;
}

static enum json_kind kind_of(uint8_t first)
{
	switch (first) {
	case '{':
		return JSON_IS_OBJECT;
	case '[':
		return JSON_IS_ARRAY;
	case '"':
		return JSON_IS_STRING;
	case 't':
		return JSON_IS_TRUE;
	case 'f':
		return JSON_IS_FALSE;
	case 'n':
		return JSON_IS_NULL;
	default:
		return JSON_IS_NUMBER;
	}
}

int json_scan(struct slice text,
	json_member_fn on_member,
	void *arg,
	enum json_kind *ret_kind,
	struct json_failure *ret_failure)
{
	/* An empty text may come without a pointer; pointer arithmetic wants one. */
	const uint8_t *start = text.n > 0 ? text.p : (const uint8_t *)"";
	struct scanner s = { .start = start,
		.p = start,
		.end = start + text.n,
		.on_member = on_member,
		.arg = arg };
	skip_space(&s);
	uint8_t first = s.p < s.end ? *s.p : 0;
	s.reports = first == '{' && on_member != NULL;
	enum next end = scan_text(&s);
	if (end == NEXT_CANCELED) {
		return -ECANCELED;
	}
	if (end == NEXT_FAILED) {
		if (ret_failure != NULL) {
			*ret_failure = s.failure;
		}
		return -EBADMSG;
	}
	if (ret_kind != NULL) {
		*ret_kind = kind_of(first);
	}
	return 0;
}

bool json_scan_is_object(struct slice text)
{
	enum json_kind kind;
	return json_scan(text, NULL, NULL, &kind, NULL) == 0 && kind == JSON_IS_OBJECT;
}

void json_position(struct slice text, size_t offset, size_t *ret_line, size_t *ret_column)
{
	size_t line = 1;
	size_t line_start = 0;
	for (size_t i = 0; i < offset && i < text.n; i++) {
		if (text.p[i] == '\n') {
			line++;
			line_start = i + 1;
		}
	}
	*ret_line = line;
	*ret_column = offset - line_start + 1;
}

static size_t utf8_encode(uint32_t c, uint8_t out[static 4])
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (uint8_t)(0xC0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (uint8_t)(0xE0 | c >> 12);
		out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
		out[2] = (uint8_t)(0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (uint8_t)(0xF0 | c >> 18);
	out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
	out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
	out[3] = (uint8_t)(0x80 | (c & 0x3F));
	return 4;
}

/* Takes the escape at the front of `rest` and gives its bytes, at most as many as it had itself. In
 * a text that was never scanned, what is no escape stands for itself. */
static size_t unescape_one(struct slice *rest, uint8_t out[static 4])
{
	static const uint8_t simple[256] = { ['"'] = '"',
		['\\'] = '\\',
		['/'] = '/',
		['b'] = '\b',
		['f'] = '\f',
		['n'] = '\n',
		['r'] = '\r',
		['t'] = '\t' };
	const uint8_t *p = rest->p;
	const uint8_t *end = p + rest->n;
	int32_t unit = rest->n > 1 && p[1] == 'u' ? hex_unit(p + 2, end) : -1;
	if (unit >= 0) {
		uint32_t c = (uint32_t)unit;
		size_t n = 6;
		int32_t low = is_high_surrogate(unit) && rest->n >= 12 ? hex_unit(p + 8, end) : -1;
		if (is_low_surrogate(low)) {
			c = 0x10000 + ((c - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
			n = 12;
		}
		*rest = slice_skip(*rest, n);
		return utf8_encode(c, out);
	}
	bool known = rest->n > 1 && simple[p[1]] != 0;
	out[0] = known ? simple[p[1]] : *p;
	*rest = slice_skip(*rest, known ? 2 : 1);
	return 1;
}

bool json_name_eq(struct slice escaped, struct slice plain)
{
	/* Escapes only ever shorten. */
	if (escaped.n < plain.n || escaped.n == 0) {
		return escaped.n == plain.n;
	}
	if (memchr(escaped.p, '\\', escaped.n) == NULL) {
		return slice_eq(escaped, plain);
	}
	while (escaped.n > 0) {
		uint8_t bytes[4] = { escaped.p[0] };
		size_t n = 1;
		if (bytes[0] == '\\') {
			n = unescape_one(&escaped, bytes);
		} else {
			escaped = slice_skip(escaped, 1);
		}
		if (!slice_starts(plain, slice_of(bytes, n))) {
			return false;
		}
		plain = slice_skip(plain, n);
	}
	return plain.n == 0;
}

size_t json_unescape(struct slice escaped, uint8_t *out)
{
	size_t n = 0;
	while (escaped.n > 0) {
		const uint8_t *escape = memchr(escaped.p, '\\', escaped.n);
		size_t plain = escape == NULL ? escaped.n : (size_t)(escape - escaped.p);
		memcpy(out + n, escaped.p, plain);
		n += plain;
		escaped = slice_skip(escaped, plain);
		if (escaped.n > 0) {
			uint8_t bytes[4];
			size_t length = unescape_one(&escaped, bytes);
			memcpy(out + n, bytes, length);
			n += length;
		}
	}
	return n;
}
