/*
 * JSON -> BSON in two passes: json_scan() decides whether the text is JSON, the walk here may then
 * rely on it (commas and colons are no more than white space to it) and writes BSON bytes into a
 * buffer, patching each document's length when it ends.
 *
 * Why not bson_new_from_json() of libbson 1.23: it keeps duplicate names, takes NaN, -01, 2.e3 and
 * text after an array, silently stops after the first of two documents, turns
 * 99999999999999999999999 into 200376420520689663, makes code, regular expressions and pointers out
 * of data that looks like extended JSON, and refuses {"$type": "string"}. Besides, every libbson
 * call that takes memory aborts when there is none.
 */
#include "common/json/bson_json.h"
#include "common/json/forms.h"
#include "common/json/names.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>

enum {
	SHORT_TEXT = 256, /* bytes, still escaped, of every extended form but $binary's */
};

struct frame {
	size_t start; /* of the document's length in `out` */
	size_t names;
	uint32_t index; /* the next name of an array */
	bool array;
};

struct builder {
	struct slice rest; /* of the text, which is valid JSON */
	const uint8_t *text;
	int flags;
	struct buffer *out;
	size_t base; /* where our document begins in `out` */
	unsigned depth;
	struct frame frames[JSON_DEPTH_MAX];
	struct names names;
	struct json_failure failure;
};

static int fail(struct builder *b, const uint8_t *where, const char *what)
{
	b->failure = (struct json_failure){ .offset = (size_t)(where - b->text), .what = what };
	return -EBADMSG;
}

static bool between_tokens(uint8_t c)
{
	return c <= ' ' || c == ',' || c == ':';
}

static void skip_between(struct slice *rest)
{
	while (rest->n > 0 && between_tokens(rest->p[0])) {
		*rest = slice_skip(*rest, 1);
	}
}

static bool take_byte(struct slice *rest, uint8_t c)
{
	skip_between(rest);
	if (rest->n == 0 || rest->p[0] != c) {
		return false;
	}
	*rest = slice_skip(*rest, 1);
	return true;
}

/* A string's inside, still escaped. */
static bool take_string(struct slice *rest, struct slice *ret)
{
	if (!take_byte(rest, '"')) {
		return false;
	}
	size_t n = 0;
	while (rest->p[n] != '"') {
		n += rest->p[n] == '\\' ? 2 : 1;
	}
	*ret = slice_of(rest->p, n);
	*rest = slice_skip(*rest, n + 1);
	return true;
}

/* A number, true, false or null: up to what may follow one. */
static struct slice take_word(struct slice *rest)
{
	size_t n = 0;
	while (n < rest->n && !between_tokens(rest->p[n]) && rest->p[n] != ']' &&
		rest->p[n] != '}') {
		n++;
	}
	struct slice word = slice_of(rest->p, n);
	*rest = slice_skip(*rest, n);
	return word;
}

static int put_u32(struct buffer *out, uint32_t value)
{
	value = htole32(value);
	return buffer_append(out, slice_of(&value, sizeof(value)));
}

static int put_u64(struct buffer *out, uint64_t value)
{
	value = htole64(value);
	return buffer_append(out, slice_of(&value, sizeof(value)));
}

static void patch_u32(struct buffer *out, size_t at, uint32_t value)
{
	value = htole32(value);
	memcpy(out->p + at, &value, sizeof(value));
}

/* Room for `escaped.n` bytes is enough for the text itself. */
static int put_unescaped(struct buffer *out, struct slice escaped)
{
	int r = buffer_reserve(out, escaped.n);
	if (r == 0 && escaped.n > 0) {
		out->n += json_unescape(escaped, out->p + out->n);
	}
	return r;
}

/*
 * Extended JSON.
 */

enum extended { EXT_OID, EXT_DATE, EXT_LONG, EXT_DECIMAL, EXT_BINARY };

/* One of the five forms as it stands in the text. */
struct extended_text {
	enum extended form;
	struct slice value;   /* the string's inside, or with EXT_DATE and `number` the number */
	bool number;          /* EXT_DATE in milliseconds */
	struct slice subtype; /* EXT_BINARY */
};

static bool find_form(struct slice escaped, enum extended *ret)
{
	static const struct slice names[] = {
		[EXT_OID] = { (const uint8_t *)"$oid", 4 },
		[EXT_DATE] = { (const uint8_t *)"$date", 5 },
		[EXT_LONG] = { (const uint8_t *)"$numberLong", 11 },
		[EXT_DECIMAL] = { (const uint8_t *)"$numberDecimal", 14 },
		[EXT_BINARY] = { (const uint8_t *)"$binary", 7 },
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (json_name_eq(escaped, names[i])) {
			*ret = (enum extended)i;
			return true;
		}
	}
	return false;
}

/* {"$numberLong": "…"} or an integer */
static bool match_date_number(struct slice *rest, struct extended_text *x)
{
	struct slice name;
	x->number = true;
	if (take_byte(rest, '{')) {
		return take_string(rest, &name) && json_name_eq(name, SLICE("$numberLong")) &&
			take_string(rest, &x->value) && take_byte(rest, '}');
	}
	int64_t ms;
	x->value = take_word(rest);
	return form_read_int64(x->value, &ms);
}

/* {"base64": "…", "subType": "…"} in either order */
static bool match_binary(struct slice *rest, struct extended_text *x)
{
	struct slice names[2];
	struct slice values[2];
	if (!take_byte(rest, '{')) {
		return false;
	}
	for (size_t i = 0; i < 2; i++) {
		if (!take_string(rest, &names[i]) || !take_string(rest, &values[i])) {
			return false;
		}
	}
	size_t data = json_name_eq(names[0], SLICE("base64")) ? 0 : 1;
	x->value = values[data];
	x->subtype = values[1 - data];
	return take_byte(rest, '}') && json_name_eq(names[data], SLICE("base64")) &&
		json_name_eq(names[1 - data], SLICE("subType"));
}

/* True when the object at the front of `rest` has one of the five forms; then it is taken. Looks
 * only at strings and numbers, never into what it does not know: the time stays linear. */
static bool match_extended(struct slice *rest, struct extended_text *ret)
{
	struct slice ahead = *rest;
	struct extended_text x = { 0 };
	struct slice name;
	if (!take_byte(&ahead, '{') || !take_string(&ahead, &name) || !find_form(name, &x.form)) {
		return false;
	}
	skip_between(&ahead);
	bool ok = x.form == EXT_BINARY ? match_binary(&ahead, &x)
				       : take_string(&ahead, &x.value) ||
			(x.form == EXT_DATE && match_date_number(&ahead, &x));
	if (!ok || !take_byte(&ahead, '}')) {
		return false;
	}
	*rest = ahead;
	*ret = x;
	return true;
}

static int put_oid(struct builder *b, struct slice text, const uint8_t *where)
{
	uint8_t oid[12];
	if (!form_read_oid(text, oid)) {
		return fail(b, where, "an $oid that is not 24 hexadecimal digits");
	}
	return buffer_append(b->out, slice_of(oid, sizeof(oid)));
}

static int put_date(struct builder *b, struct slice text, bool number, const uint8_t *where)
{
	int64_t ms;
	if (number ? !form_read_int64(text, &ms) : !form_read_date(text, &ms)) {
		return fail(
			b, where, "a $date that is neither ISO 8601 with a zone nor milliseconds");
	}
	return put_u64(b->out, (uint64_t)ms);
}

static int put_long(struct builder *b, struct slice text, const uint8_t *where)
{
	int64_t value;
	if (!form_read_int64(text, &value)) {
		return fail(b, where, "a $numberLong that is not a 64-bit integer");
	}
	return put_u64(b->out, (uint64_t)value);
}

static int put_decimal(struct builder *b, struct slice text, const uint8_t *where)
{
	/* libbson reads up to a NUL, whatever length it is told. */
	char copy[SHORT_TEXT + 1];
	bson_decimal128_t value;
	bool ok = text.n > 0 && memchr(text.p, 0, text.n) == NULL;
	if (ok) {
		memcpy(copy, text.p, text.n);
		copy[text.n] = '\0';
		ok = bson_decimal128_from_string(copy, &value);
	}
	if (!ok) {
		return fail(b, where, "a $numberDecimal that is not a decimal number");
	}
	int r = put_u64(b->out, value.low);
	return r < 0 ? r : put_u64(b->out, value.high);
}

static bool read_subtype(struct slice escaped, uint8_t *ret)
{
	char digits[2] = { '0', '0' };
	size_t n;
	if (escaped.n == 0 || escaped.n > 2) {
		return false;
	}
	memcpy(digits + 2 - escaped.n, escaped.p, escaped.n);
	return sodium_hex2bin(ret, 1, digits, 2, NULL, &n, NULL) == 0 && n == 1;
}

/* The inside of a JSON string that is base64, read into at most `max` bytes. */
static int read_base64(struct slice escaped, uint8_t *out, size_t max, size_t *ret_n)
{
	char *copy = NULL;
	if (escaped.n == 0) {
		*ret_n = 0;
		return 0;
	}
	/* Writers of JSON may write a slash as \/. */
	if (memchr(escaped.p, '\\', escaped.n) != NULL) {
		copy = malloc(escaped.n);
		if (copy == NULL) {
			return -ENOMEM;
		}
		escaped = slice_of(copy, json_unescape(escaped, (uint8_t *)copy));
	}
	int r = sodium_base642bin(out, max, (const char *)escaped.p, escaped.n, NULL, ret_n, NULL,
		sodium_base64_VARIANT_ORIGINAL);
	free(copy);
	return r == 0 ? 0 : -EBADMSG;
}

static int put_binary(struct builder *b, const struct extended_text *x, const uint8_t *where)
{
	uint8_t subtype;
	size_t n;
	if (!read_subtype(x->subtype, &subtype)) {
		return fail(
			b, where, "a $binary whose subType is not one or two hexadecimal digits");
	}
	/* Length, subtype, and for the old subtype the length once more. */
	size_t head = sizeof(uint32_t) + 1;
	head += subtype == BSON_SUBTYPE_BINARY_DEPRECATED ? sizeof(uint32_t) : 0;
	size_t max = x->value.n / 4 * 3;
	int r = buffer_reserve(b->out, head + max);
	if (r < 0) {
		return r;
	}
	uint8_t *start = b->out->p + b->out->n;
	r = read_base64(x->value, start + head, max, &n);
	if (r < 0) {
		return r == -EBADMSG ? fail(b, where, "a $binary whose base64 cannot be read") : r;
	}
	size_t value = n + head - sizeof(uint32_t) - 1;
	patch_u32(b->out, b->out->n, (uint32_t)value);
	start[sizeof(uint32_t)] = subtype;
	if (value > n) {
		patch_u32(b->out, b->out->n + sizeof(uint32_t) + 1, (uint32_t)n);
	}
	b->out->n += head + n;
	return 0;
}

static int put_extended(
	struct builder *b, const struct extended_text *x, const uint8_t *where, uint8_t *ret_type)
{
	static const uint8_t types[] = {
		[EXT_OID] = BSON_TYPE_OID,
		[EXT_DATE] = BSON_TYPE_DATE_TIME,
		[EXT_LONG] = BSON_TYPE_INT64,
		[EXT_DECIMAL] = BSON_TYPE_DECIMAL128,
		[EXT_BINARY] = BSON_TYPE_BINARY,
	};
	*ret_type = types[x->form];
	if (x->form == EXT_BINARY) {
		return put_binary(b, x, where);
	}
	uint8_t plain[SHORT_TEXT];
	if (x->value.n > sizeof(plain)) {
		return fail(b, where, "extended JSON with a text longer than 256 bytes");
	}
	struct slice text = slice_of(plain, x->value.n > 0 ? json_unescape(x->value, plain) : 0);
	switch (x->form) {
	case EXT_OID:
		return put_oid(b, text, where);
	case EXT_DATE:
		return put_date(b, text, x->number, where);
	case EXT_LONG:
		return put_long(b, text, where);
	case EXT_DECIMAL:
	case EXT_BINARY:
		break;
	}
	return put_decimal(b, text, where);
}

/*
 * The walk.
 */

static int open_document(struct builder *b, bool array)
{
	b->frames[b->depth++] =
		(struct frame){ .start = b->out->n, .names = b->names.n, .array = array };
	b->rest = slice_skip(b->rest, 1);
	return put_u32(b->out, 0);
}

static int close_document(struct builder *b)
{
	struct frame *f = &b->frames[b->depth - 1];
	size_t where;
	int r = names_end(&b->names, f->names, b->out->p + b->base, &where);
	if (r == NAMES_E_DUPLICATE) {
		return fail(b, b->text + where, "a name that occurs twice in one object");
	}
	r = r < 0 ? r : buffer_append_byte(b->out, 0);
	if (r < 0) {
		return r;
	}
	size_t length = b->out->n - f->start;
	if (length > INT_MAX) {
		return -ENOBUFS;
	}
	patch_u32(b->out, f->start, (uint32_t)length);
	b->depth--;
	b->rest = slice_skip(b->rest, 1);
	return 0;
}

static int put_member_name(struct builder *b, const struct frame *f)
{
	const uint8_t *quote = b->rest.p;
	size_t at = b->out->n;
	struct slice escaped;
	if (b->names.n - f->names == JSON_MEMBERS_MAX) {
		return fail(b, quote, "more than 10000 members in one object");
	}
	(void)take_string(&b->rest, &escaped);
	int r = put_unescaped(b->out, escaped);
	if (r < 0) {
		return r;
	}
	size_t n = b->out->n - at;
	if (n > 0 && memchr(b->out->p + at, 0, n) != NULL) {
		return fail(b, quote, "a name with a NUL character in it");
	}
	struct name name = { .at = (uint32_t)(at - b->base),
		.n = (uint32_t)n,
		.where = (uint32_t)(quote - b->text) };
	r = names_push(&b->names, name);
	return r < 0 ? r : buffer_append_byte(b->out, 0);
}

static int put_index_name(struct builder *b, struct frame *f)
{
	const char *name;
	char digits[16];
	size_t n = bson_uint32_to_string(f->index, &name, digits, sizeof(digits));
	f->index++;
	return buffer_append(b->out, slice_of(name, n + 1));
}

static int put_string(struct builder *b)
{
	struct slice escaped;
	size_t at = b->out->n;
	(void)take_string(&b->rest, &escaped);
	int r = put_u32(b->out, 0);
	r = r < 0 ? r : put_unescaped(b->out, escaped);
	r = r < 0 ? r : buffer_append_byte(b->out, 0);
	if (r == 0) {
		patch_u32(b->out, at, (uint32_t)(b->out->n - at - sizeof(uint32_t)));
	}
	return r;
}

static int put_number(struct builder *b, uint8_t *ret_type)
{
	struct slice text = take_word(&b->rest);
	int64_t integer;
	double real;
	if (form_read_int64(text, &integer)) {
		bool small = integer >= INT32_MIN && integer <= INT32_MAX;
		*ret_type = small ? BSON_TYPE_INT32 : BSON_TYPE_INT64;
		return small ? put_u32(b->out, (uint32_t)(int32_t)integer)
			     : put_u64(b->out, (uint64_t)integer);
	}
	if (text.n > FORM_NUMBER_MAX) {
		return fail(b, text.p, "a number longer than 1024 bytes");
	}
	if (!form_read_double(text, &real)) {
		return fail(b, text.p, "a number too large for a double");
	}
	uint64_t bits;
	memcpy(&bits, &real, sizeof(bits));
	*ret_type = BSON_TYPE_DOUBLE;
	return put_u64(b->out, bits);
}

static int put_object(struct builder *b, uint8_t *ret_type)
{
	const uint8_t *where = b->rest.p;
	struct extended_text x;
	if ((b->flags & JSON_BSON_EXTENDED) != 0 && match_extended(&b->rest, &x)) {
		return put_extended(b, &x, where, ret_type);
	}
	*ret_type = BSON_TYPE_DOCUMENT;
	return open_document(b, false);
}

static int put_value(struct builder *b, uint8_t *ret_type)
{
	skip_between(&b->rest);
	switch (b->rest.p[0]) {
	case '{':
		return put_object(b, ret_type);
	case '[':
		*ret_type = BSON_TYPE_ARRAY;
		return open_document(b, true);
	case '"':
		*ret_type = BSON_TYPE_UTF8;
		return put_string(b);
	case 't':
	case 'f':
		*ret_type = BSON_TYPE_BOOL;
		return buffer_append_byte(b->out, take_word(&b->rest).p[0] == 't');
	case 'n':
		*ret_type = BSON_TYPE_NULL;
		(void)take_word(&b->rest);
		return 0;
	default:
		return put_number(b, ret_type);
	}
}

static int put_element(struct builder *b)
{
	struct frame *f = &b->frames[b->depth - 1];
	size_t type_at = b->out->n;
	uint8_t type = 0;
	int r = buffer_append_byte(b->out, 0);
	r = r < 0 ? r : f->array ? put_index_name(b, f) : put_member_name(b, f);
	r = r < 0 ? r : put_value(b, &type);
	if (r == 0) {
		b->out->p[type_at] = type;
	}
	return r;
}

static int build(struct builder *b)
{
	skip_between(&b->rest);
	int r = open_document(b, false);
	while (r == 0 && b->depth > 0) {
		skip_between(&b->rest);
		bool ends = b->rest.p[0] == '}' || b->rest.p[0] == ']';
		r = ends ? close_document(b) : put_element(b);
	}
	return r;
}

int json_to_bson_bytes(
	struct slice text, int flags, struct buffer *out, struct json_failure *ret_failure)
{
	enum json_kind kind;
	struct builder b;
	b.text = text.p;
	b.rest = text;
	b.flags = flags;
	b.out = out;
	b.base = out->n;
	b.depth = 0;
	names_init(&b.names);
	/* The places of names are kept in 32 bits. */
	int r = text.n > INT_MAX ? -ENOBUFS : json_scan(text, NULL, NULL, &kind, &b.failure);
	if (r == 0) {
		r = kind == JSON_IS_OBJECT ? build(&b)
					   : fail(&b, text.p, "a value that is not an object");
	}
	names_deinit(&b.names);
	if (r < 0) {
		out->n = b.base;
	}
	if (r == -EBADMSG && ret_failure != NULL) {
		*ret_failure = b.failure;
	}
	return r;
}

int json_to_bson(struct slice text, int flags, bson_t *ret_bson, struct json_failure *ret_failure)
{
	struct buffer out;
	bson_t members;
	buffer_init(&out, INT_MAX);
	int r = json_to_bson_bytes(text, flags, &out, ret_failure);
	if (r == 0) {
		bool ok =
			bson_init_static(&members, out.p, out.n) && bson_concat(ret_bson, &members);
		r = ok ? 0 : -ENOBUFS;
	}
	buffer_deinit(&out);
	return r;
}
