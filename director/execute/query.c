#include "director/execute/query.h"

#include <errno.h>

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes into `out`, which is cleared first. */
static int decode(struct buffer *out, struct slice in)
{
	buffer_clear(out);
	int e = buffer_reserve(out, in.n);
	for (size_t i = 0; e == 0 && i < in.n; i++) {
		uint8_t c = in.p[i];
		if (c == '%') {
			int high = in.n - i > 2 ? hex_digit(in.p[i + 1]) : -1;
			int low = in.n - i > 2 ? hex_digit(in.p[i + 2]) : -1;
			if (high < 0 || low < 0) {
				return -EINVAL;
			}
			c = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		if (c == 0) {
			return -EINVAL;
		}
		e = buffer_append_byte(out, c);
	}
	return e == 0 && !slice_is_utf8(buffer_slice(out)) ? -EINVAL : e;
}

static int append_text(struct buffer *out, struct buffer *scratch, struct slice text)
{
	int e = decode(scratch, text);
	return e < 0 ? e : buffer_append_json(out, buffer_slice(scratch));
}

/* What stands before the first `c`, taken off; all of it when there is none. */
static struct slice take_until(struct slice *in, uint8_t c)
{
	const uint8_t *end = in->n == 0 ? NULL : memchr(in->p, c, in->n);
	size_t n = end == NULL ? in->n : (size_t)(end - in->p);
	struct slice head = slice_of(in->p, n);
	*in = slice_skip(*in, end == NULL ? n : n + 1);
	return head;
}

int query_append_json_but(
	struct buffer *out, struct slice query, const char *not_this, const char *nor_this)
{
	struct buffer scratch;
	int e = 0;
	buffer_init(&scratch, query.n);
	while (e == 0 && query.n > 0) {
		struct slice value = take_until(&query, '&');
		if (value.n == 0) {
			continue;
		}
		struct slice name = take_until(&value, '=');
		if (not_this != NULL &&
			(slice_eq(name, slice_str(not_this)) ||
				slice_eq(name, slice_str(nor_this)))) {
			continue;
		}
		e = append_text(out, &scratch, name);
		e = e < 0 ? e : buffer_append_byte(out, ':');
		e = e < 0 ? e : append_text(out, &scratch, value);
		e = e < 0 ? e : buffer_append_byte(out, ',');
	}
	buffer_deinit(&scratch);
	return e;
}

int query_append_json(struct buffer *out, struct slice query)
{
	return query_append_json_but(out, query, NULL, NULL);
}
