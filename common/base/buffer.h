/* Bytes that grow, up to a limit fixed at init. The size is checked before memory is taken. */
#pragma once

#include "common/base/slice.h"

struct buffer {
	uint8_t *p;
	size_t n;
	size_t cap;
	size_t limit;
};

#define BUFFER_NULL ((struct buffer){ 0 })

/** An empty buffer that will hold at most `limit` bytes. Takes no memory yet. */
static inline void buffer_init(struct buffer *b, size_t limit)
{
	*b = (struct buffer){ .limit = limit };
}

void buffer_deinit(struct buffer *b);

static inline void buffer_clear(struct buffer *b)
{
	b->n = 0;
}

static inline struct slice buffer_slice(const struct buffer *b)
{
	return slice_of(b->p, b->n);
}

/** Makes room for `n` more bytes. @return 0, -ENOBUFS over the limit, -ENOMEM. */
int buffer_reserve(struct buffer *b, size_t n);

/** Appends; all or nothing. @return 0, -ENOBUFS over the limit, -ENOMEM. */
int buffer_append(struct buffer *b, struct slice s);
int buffer_append_byte(struct buffer *b, uint8_t c);
int buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Appends `s` as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD. */
int buffer_append_json(struct buffer *b, struct slice s);

/** Drops the first `n` bytes (n <= b->n), keeps the memory. */
void buffer_consume(struct buffer *b, size_t n);

/** Hands the memory over; the buffer is empty afterwards. The caller frees it. */
uint8_t *buffer_steal(struct buffer *b, size_t *ret_n);
