#include "pluginhost/runtime/native.h"

#include <stddef.h>
#include <stdlib.h>

/*
 * Answers and bodies in pieces. The first thread puts what comes into the call; the executor that runs it
 * waits on the call's condition, as it does for a capability. What may come and go says
 * common/proto/stream.h.
 */

/* A piece of the body that the plugin has not read. */
struct native_piece {
	struct native_piece *prev, *next;
	size_t n, read;
	uint8_t bytes[];
};

void native_stream_free(struct native_call *c)
{
	while (c->pieces != NULL) {
		struct native_piece *p = c->pieces;
		DL_DELETE(c->pieces, p);
		free(p);
	}
}

static struct native_call *find(struct native *n, uint64_t id)
{
	struct native_call *const lists[] = { n->queue, n->running };
	struct native_call *c;
	for (size_t i = 0; i < 2; i++) {
		DL_FOREACH (lists[i], c) {
			if (c->id == id && c->kind == NATIVE_EXECUTE) {
				return c;
			}
		}
	}
	return NULL;
}

static bool keep_piece(struct native_call *c, struct slice bytes)
{
	struct native_piece *p = malloc(sizeof(*p) + bytes.n);
	if (p == NULL) {
		return false;
	}
	*p = (struct native_piece){ .n = bytes.n };
	if (bytes.n > 0) {
		memcpy(p->bytes, bytes.p, bytes.n);
	}
	DL_APPEND(c->pieces, p);
	return true;
}

bool native_take_stream(struct native *n, const struct frame *f)
{
	const char *why;
	struct native_call *c = find(n, f->call_id);
	if (c == NULL) {
		/* It has ended, and this has crossed its RESULT. */
		return true;
	}
	switch (stream_receive(&c->stream, f, &why)) {
	case STREAM_VIOLATION:
		return false;
	case STREAM_IGNORE:
		return true;
	case STREAM_TAKE:
		break;
	}
	if (f->type == MSG_DATA && !keep_piece(c, f->payload)) {
		return false;
	}
	(void)pthread_cond_signal(&c->replied);
	return true;
}

/* With the lock held: until something has changed. @return false when the call is over. */
static bool wait_for_change(struct native_call *c)
{
	struct native *n = c->native;
	if (atomic_load(&c->cancelled)) {
		return false;
	}
	native_flush(n);
	n->n_waiting++;
	(void)pthread_cond_wait(&c->replied, &n->lock);
	n->n_waiting--;
	return !atomic_load(&c->cancelled);
}

static void send_piece(struct native_call *c, struct slice bytes, uint8_t flags)
{
	struct native *n = c->native;
	const struct frame f = {
		.type = MSG_DATA, .flags = flags, .call_id = c->id, .payload = bytes
	};
	stream_sent(&c->stream, bytes.n, flags == DATA_LAST);
	NATIVE_APPEND(n, frame_append(channel_begin(&n->channel), &f));
}

bool native_stream_end(struct native_call *c)
{
	while (c->stream.out.state == STREAM_OPEN && !stream_may_send(&c->stream, 0)) {
		if (!wait_for_change(c)) {
			return false;
		}
	}
	if (c->stream.out.state != STREAM_OPEN) {
		return false;
	}
	send_piece(c, SLICE_NULL, DATA_LAST);
	return true;
}

static int begin(struct native_call *c, int status, struct slice content_type)
{
	struct native *n = c->native;
	struct buffer headers;
	buffer_init(&headers, 4096);
	int e = buffer_append(&headers, SLICE("{\"Content-Type\":"));
	e = e < 0 ? e : buffer_append_json(&headers, content_type);
	e = e < 0 ? e : buffer_append_byte(&headers, '}');
	if (e < 0 || status < 200 || status > 599 || c->kind != NATIVE_EXECUTE ||
		!stream_open(&c->stream.out)) {
		buffer_deinit(&headers);
		return native_error(c, MOZAIKS_E_INVALID, "invalid_argument",
			"an answer in pieces begins once, in execute(), with a status from 200 to "
			"599 and a content type");
	}
	const struct frame head = { .call_id = c->id };
	const struct msg_result_head m = { .status = (uint16_t)status,
		.headers = buffer_slice(&headers) };
	NATIVE_APPEND(n, msg_result_head_append(channel_begin(&n->channel), &head, &m));
	native_flush(n);
	buffer_deinit(&headers);
	/* The deadline was for this. */
	c->end_ms = 0;
	return 0;
}

int native_stream_begin(struct mozaiks_call *call, int status, struct mozaiks_text content_type)
{
	struct native_call *c = (struct native_call *)call;
	(void)pthread_mutex_lock(&c->native->lock);
	int r = begin(c, status, slice_of(content_type.p, content_type.n));
	(void)pthread_mutex_unlock(&c->native->lock);
	return r;
}

static int write_all(struct native_call *c, struct slice bytes)
{
	while (bytes.n > 0) {
		size_t room = stream_room(&c->stream);
		if (c->stream.out.state != STREAM_OPEN) {
			return atomic_load(&c->cancelled)
				? MOZAIKS_E_CANCELLED
				: native_error(c, MOZAIKS_E_INVALID, "invalid_argument",
					  "the answer has not begun, or nobody takes it");
		}
		if (room == 0) {
			if (!wait_for_change(c)) {
				return MOZAIKS_E_CANCELLED;
			}
			continue;
		}
		struct slice piece = slice_of(bytes.p, bytes.n < room ? bytes.n : room);
		send_piece(c, piece, 0);
		bytes = slice_skip(bytes, piece.n);
	}
	native_flush(c->native);
	return 0;
}

int native_stream_write(struct mozaiks_call *call, struct mozaiks_text bytes)
{
	struct native_call *c = (struct native_call *)call;
	(void)pthread_mutex_lock(&c->native->lock);
	int r = write_all(c, slice_of(bytes.p, bytes.n));
	(void)pthread_mutex_unlock(&c->native->lock);
	return r;
}

static void give_credit_back(struct native_call *c, size_t cost)
{
	struct native *n = c->native;
	uint32_t credit = stream_passed_on(&c->stream, cost);
	if (credit > 0) {
		const struct frame head = { .call_id = c->id };
		const struct msg_credit m = { .bytes = credit };
		NATIVE_APPEND(n, msg_credit_append(channel_begin(&n->channel), &head, &m));
	}
}

static int read_some(struct native_call *c, uint8_t *to, size_t size, size_t *ret_n)
{
	*ret_n = 0;
	while (c->pieces == NULL && c->stream.in.state == STREAM_OPEN) {
		if (!wait_for_change(c)) {
			return MOZAIKS_E_CANCELLED;
		}
	}
	while (c->pieces != NULL && *ret_n < size) {
		struct native_piece *p = c->pieces;
		size_t left = p->n - p->read;
		size_t n = left < size - *ret_n ? left : size - *ret_n;
		memcpy(to + *ret_n, p->bytes + p->read, n);
		p->read += n;
		*ret_n += n;
		if (p->read == p->n) {
			DL_DELETE(c->pieces, p);
			give_credit_back(c, stream_cost(p->n));
			free(p);
		}
	}
	return *ret_n == 0 && c->stream.in.state == STREAM_CUT ? MOZAIKS_E_CANCELLED : 0;
}

int native_body_read(struct mozaiks_call *call, void *to, size_t size, size_t *ret_n)
{
	struct native_call *c = (struct native_call *)call;
	(void)pthread_mutex_lock(&c->native->lock);
	int r = read_some(c, to, size, ret_n);
	(void)pthread_mutex_unlock(&c->native->lock);
	return r;
}
