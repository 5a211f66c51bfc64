/* What mozaiks/plugin.h offers for JSON, so that a small plugin needs no library. */
#include "common/json/bson_json.h"
#include "common/json/scan.h"
#include "pluginhost/runtime/native.h"

#include <errno.h>

static struct native_call *call_of(struct mozaiks_call *call)
{
	return (struct native_call *)call;
}

static int invalid(struct native_call *c, const struct json_failure *f)
{
	return native_error(
		c, MOZAIKS_E_INVALID, "invalid_json", "%s at byte %zu", f->what, f->offset);
}

/* ---- Members ---- */

struct wanted {
	struct slice name;
	struct slice found;
	bool is_found;
};

static bool on_member(void *arg, const struct json_member *member)
{
	struct wanted *w = arg;
	if (json_name_eq(member->name, w->name)) {
		w->found = member->value;
		w->is_found = true;
	}
	return true;
}

int native_member(struct mozaiks_call *call,
	struct mozaiks_text object,
	const char *name,
	struct mozaiks_text *ret_value)
{
	struct wanted w = { .name = slice_str(name) };
	struct json_failure f;
	enum json_kind kind;
	if (json_scan(slice_of(object.p, object.n), on_member, &w, &kind, &f) < 0) {
		return invalid(call_of(call), &f);
	}
	if (kind != JSON_IS_OBJECT) {
		return native_error(
			call_of(call), MOZAIKS_E_INVALID, "invalid_json", "an object was expected");
	}
	if (!w.is_found) {
		return MOZAIKS_E_ABSENT;
	}
	*ret_value = (struct mozaiks_text){ (const char *)w.found.p, w.found.n };
	return 0;
}

/* ---- Elements ---- */

static size_t skip_space(struct mozaiks_text t, size_t i)
{
	while (i < t.n && (t.p[i] == ' ' || t.p[i] == '\t' || t.p[i] == '\n' || t.p[i] == '\r')) {
		i++;
	}
	return i;
}

/* The end of the value that starts at `i` of a text that is valid. */
static size_t skip_value(struct mozaiks_text t, size_t i)
{
	unsigned depth = 0;
	bool in_string = false;
	for (; i < t.n; i++) {
		char c = t.p[i];
		if (in_string) {
			i += c == '\\' ? 1 : 0;
			in_string = c != '"';
		} else if (c == '"') {
			in_string = true;
		} else if (c == '[' || c == '{') {
			depth++;
		} else if (depth == 0 && (c == ',' || c == ']' || c == '}')) {
			break;
		} else if (c == ']' || c == '}') {
			depth--;
		}
	}
	while (i > 0 &&
		(t.p[i - 1] == ' ' || t.p[i - 1] == '\t' || t.p[i - 1] == '\n' ||
			t.p[i - 1] == '\r')) {
		i--;
	}
	return i;
}

int native_element(struct mozaiks_call *call,
	struct mozaiks_text array,
	size_t *position,
	struct mozaiks_text *ret_value)
{
	struct native_call *c = call_of(call);
	size_t i = *position;
	if (i == 0) {
		/* Validated once; what follows relies on it. */
		struct json_failure f;
		enum json_kind kind;
		if (json_scan(slice_of(array.p, array.n), NULL, NULL, &kind, &f) < 0) {
			return invalid(c, &f);
		}
		if (kind != JSON_IS_ARRAY) {
			return native_error(
				c, MOZAIKS_E_INVALID, "invalid_json", "an array was expected");
		}
		i = skip_space(array, 0) + 1;
	}
	i = skip_space(array, i);
	if (i < array.n && array.p[i] == ',') {
		i = skip_space(array, i + 1);
	}
	if (i >= array.n || array.p[i] == ']') {
		return MOZAIKS_E_ABSENT;
	}
	size_t end = skip_value(array, i);
	*ret_value = (struct mozaiks_text){ array.p + i, end - i };
	*position = end;
	return 0;
}

/* ---- Values ---- */

int native_string(
	struct mozaiks_call *call, struct mozaiks_text value, struct mozaiks_text *ret_string)
{
	struct native_call *c = call_of(call);
	enum json_kind kind;
	if (value.n < 2 || value.p[0] != '"' ||
		json_scan(slice_of(value.p, value.n), NULL, NULL, &kind, NULL) < 0) {
		return native_error(c, MOZAIKS_E_INVALID, "invalid_json", "a string was expected");
	}
	size_t end = value.n;
	while (value.p[end - 1] != '"') {
		end--;
	}
	struct mozaiks_text kept;
	struct slice inside = slice_of(value.p + 1, end - 2);
	int e = native_keep(c, inside, &kept);
	if (e == 0) {
		/* In place: unescaping only shrinks. */
		uint8_t *p = (uint8_t *)(uintptr_t)kept.p;
		size_t n = json_unescape(inside, p);
		p[n] = '\0';
		*ret_string = (struct mozaiks_text){ kept.p, n };
	}
	return e;
}

static bool read_integer(struct slice s, int64_t *ret)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	uint64_t magnitude;
	if (negative) {
		s = slice_skip(s, 1);
	}
	if (!slice_to_u64(s, (uint64_t)INT64_MAX + (negative ? 1 : 0), &magnitude)) {
		return false;
	}
	*ret = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return true;
}

int native_integer(struct mozaiks_call *call, struct mozaiks_text value, int64_t *ret_integer)
{
	struct native_call *c = call_of(call);
	struct mozaiks_text digits = value;
	if (value.n > 0 && value.p[0] == '{') {
		struct mozaiks_text inner;
		int e = native_member(call, value, "$numberLong", &inner);
		e = e == 0 ? native_string(call, inner, &digits) : e;
		if (e != 0) {
			return native_error(
				c, MOZAIKS_E_INVALID, "invalid_json", "an integer was expected");
		}
	}
	if (!read_integer(slice_of(digits.p, digits.n), ret_integer)) {
		return native_error(
			c, MOZAIKS_E_INVALID, "invalid_json", "an integer of 64 bits was expected");
	}
	return 0;
}

int native_quote(
	struct mozaiks_call *call, struct mozaiks_text string, struct mozaiks_text *ret_json)
{
	struct native_call *c = call_of(call);
	struct buffer b;
	buffer_init(&b, NATIVE_CALL_BYTES);
	int e = buffer_append_json(&b, slice_of(string.p, string.n));
	int r = e == 0          ? native_keep(c, buffer_slice(&b), ret_json)
		: e == -ENOBUFS ? native_error(c, MOZAIKS_E_LIMIT, "limit_exceeded",
					  "a string of more than %d bytes", NATIVE_CALL_BYTES)
				: MOZAIKS_E_MEMORY;
	buffer_deinit(&b);
	return r;
}

/* Through BSON and back: {"v":…} makes an object of any value. */
int native_plain(
	struct mozaiks_call *call, struct mozaiks_text extended, struct mozaiks_text *ret_json)
{
	static const struct slice open = { (const uint8_t *)"{\"v\":", 5 };
	struct native_call *c = call_of(call);
	struct buffer text;
	struct buffer bson;
	struct buffer plain;
	buffer_init(&text, NATIVE_CALL_BYTES);
	buffer_init(&bson, NATIVE_CALL_BYTES);
	buffer_init(&plain, NATIVE_CALL_BYTES);
	struct json_failure f = { 0, "a value" };
	int e = buffer_append(&text, open);
	e = e < 0 ? e : buffer_append(&text, slice_of(extended.p, extended.n));
	e = e < 0 ? e : buffer_append_byte(&text, '}');
	e = e < 0 ? e : json_to_bson_bytes(buffer_slice(&text), JSON_BSON_EXTENDED, &bson, &f);
	e = e < 0 ? e : bson_to_json(buffer_slice(&bson), JSON_BSON_PLAIN, &plain);
	int r;
	if (e == -EBADMSG) {
		f.offset -= f.offset >= open.n ? open.n : f.offset;
		r = invalid(c, &f);
	} else if (e < 0) {
		r = e == -ENOMEM ? MOZAIKS_E_MEMORY
				 : native_error(c, MOZAIKS_E_LIMIT, "limit_exceeded",
					   "JSON of more than %d bytes", NATIVE_CALL_BYTES);
	} else {
		/* Without the wrapping, whose white space is known: it is our own writer's. */
		struct slice whole = buffer_slice(&plain);
		struct mozaiks_text value;
		r = native_member(
			call, (struct mozaiks_text){ (const char *)whole.p, whole.n }, "v", &value);
		r = r == 0 ? native_keep(c, slice_of(value.p, value.n), ret_json) : r;
	}
	buffer_deinit(&text);
	buffer_deinit(&bson);
	buffer_deinit(&plain);
	return r;
}
