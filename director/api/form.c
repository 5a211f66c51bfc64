#include "director/api/form.h"

static int hex(uint8_t c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes into `out`, which is not shorter than `text`. @return false for a bad escape. */
static bool decode(struct slice text, uint8_t *out, struct slice *ret)
{
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		if (c == '%') {
			int high = i + 2 < text.n ? hex(text.p[i + 1]) : -1;
			int low = i + 2 < text.n ? hex(text.p[i + 2]) : -1;
			if (high < 0 || low < 0) {
				return false;
			}
			c = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		out[n++] = c;
	}
	*ret = slice_of(out, n);
	return true;
}

static const char *add(struct form *f, struct slice pair, uint8_t *out)
{
	const uint8_t *equals = memchr(pair.p, '=', pair.n);
	size_t before = equals == NULL ? pair.n : (size_t)(equals - pair.p);
	struct slice raw = equals == NULL ? SLICE_NULL : slice_skip(pair, before + 1);
	struct slice name;
	struct slice value = SLICE_NULL;
	struct slice other;
	if (f->n == FORM_FIELDS_MAX) {
		return "more than 32 fields";
	}
	if (!decode(slice_of(pair.p, before), out, &name) ||
		!decode(raw, out + before + (equals != NULL), &value)) {
		return "a percent sign without two hexadecimal digits";
	}
	if (!slice_is_utf8(name) || !slice_is_utf8(value)) {
		return "text that is not UTF-8";
	}
	if (form_find(f, name, &other)) {
		return "a field twice";
	}
	f->names[f->n] = name;
	f->values[f->n] = value;
	f->n++;
	return NULL;
}

const char *form_parse(struct slice body, uint8_t *room, struct form *ret)
{
	size_t at = 0;
	ret->n = 0;
	while (at < body.n) {
		const uint8_t *end = memchr(body.p + at, '&', body.n - at);
		size_t n = end == NULL ? body.n - at : (size_t)(end - (body.p + at));
		const char *wrong = n == 0 ? NULL : add(ret, slice_of(body.p + at, n), room + at);
		if (wrong != NULL) {
			return wrong;
		}
		at += n + 1;
	}
	return NULL;
}

bool form_find(const struct form *f, struct slice name, struct slice *ret_value)
{
	for (size_t i = 0; i < f->n; i++) {
		if (slice_eq(f->names[i], name)) {
			*ret_value = f->values[i];
			return true;
		}
	}
	return false;
}
