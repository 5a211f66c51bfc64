#include "common/base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

void buffer_deinit(struct buffer *b)
{
	free(b->p);
	*b = (struct buffer){ .limit = b->limit };
}

int buffer_reserve(struct buffer *b, size_t n)
{
	if (n <= b->cap - b->n) {
		return 0;
	}
	if (n > b->limit || b->n > b->limit - n) {
		return -ENOBUFS;
	}
	size_t need = b->n + n;
	size_t cap = b->cap < FIRST_CAPACITY ? FIRST_CAPACITY : b->cap;
	while (cap < need) {
		cap *= 2;
	}
	cap = cap > b->limit ? b->limit : cap;
	uint8_t *p = realloc(b->p, cap);
	if (p == NULL) {
		return -ENOMEM;
	}
	b->p = p;
	b->cap = cap;
	return 0;
}

int buffer_append(struct buffer *b, struct slice s)
{
	int r = buffer_reserve(b, s.n);
	if (r < 0) {
		return r;
	}
	if (s.n > 0) {
		memcpy(b->p + b->n, s.p, s.n);
		b->n += s.n;
	}
	return 0;
}

int buffer_append_byte(struct buffer *b, uint8_t c)
{
	return buffer_append(b, slice_of(&c, 1));
}

int buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args;
	va_list again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	/* vsnprintf wants room for its NUL, which is not counted. */
	int r = n < 0 ? -EINVAL : buffer_reserve(b, (size_t)n + 1);
	if (r == 0) {
		(void)vsnprintf((char *)b->p + b->n, (size_t)n + 1, format, again);
		b->n += (size_t)n;
	}
	va_end(again);
	return r;
}

static size_t json_escape(uint8_t c, uint8_t out[static 6])
{
	static const char hex[] = "0123456789abcdef";
	static const char shorts[32] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
	};
	out[0] = '\\';
	if (c == '"' || c == '\\') {
		out[1] = c;
		return 2;
	}
	if (c < 32 && shorts[c] != 0) {
		out[1] = (uint8_t)shorts[c];
		return 2;
	}
	memcpy(out + 1, "u00", 3);
	out[4] = (uint8_t)hex[c >> 4];
	out[5] = (uint8_t)hex[c & 15];
	return 6;
}

static bool json_plain(uint8_t c)
{
	return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

static int append_json_bytes(struct buffer *b, struct slice s)
{
	size_t start = 0;
	int r = 0;
	for (size_t i = 0; i < s.n && r == 0; i++) {
		if (json_plain(s.p[i])) {
			continue;
		}
		uint8_t escape[6];
		size_t n = json_escape(s.p[i], escape);
		r = buffer_append(b, slice_of(s.p + start, i - start));
		r = r < 0 ? r : buffer_append(b, slice_of(escape, n));
		start = i + 1;
	}
	return r < 0 ? r : buffer_append(b, slice_of(s.p + start, s.n - start));
}

int buffer_append_json(struct buffer *b, struct slice s)
{
	size_t before = b->n;
	int r = buffer_append_byte(b, '"');
	if (slice_is_utf8(s)) {
		r = r < 0 ? r : append_json_bytes(b, s);
	} else {
		for (size_t i = 0; i < s.n && r == 0; i++) {
			r = s.p[i] < 0x80 ? append_json_bytes(b, slice_of(s.p + i, 1))
					  : buffer_append(b, SLICE("\\ufffd"));
		}
	}
	r = r < 0 ? r : buffer_append_byte(b, '"');
	if (r < 0) {
		b->n = before;
	}
	return r;
}

void buffer_consume(struct buffer *b, size_t n)
{
	/* An empty buffer may have no memory, which memmove() must not be given. */
	if (n > 0) {
		memmove(b->p, b->p + n, b->n - n);
		b->n -= n;
	}
}

uint8_t *buffer_steal(struct buffer *b, size_t *ret_n)
{
	uint8_t *p = b->p;
	*ret_n = b->n;
	*b = (struct buffer){ .limit = b->limit };
	return p;
}
