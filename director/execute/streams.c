#include "director/execute/streams.h"

#include "common/base/log.h"
#include "director/director.h"
#include "director/hosts/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t now_ms(const struct call *c)
{
	return uv_now(c->director->loop);
}

static int attach(struct call *c)
{
	struct call_stream *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return -ENOMEM;
	}
	s->events = c->stream_events;
	s->begun_ms = s->moved_ms = now_ms(c);
	c->stream = s;
	return 0;
}

int streams_prepare(struct call *c, uint8_t flags)
{
	int r = attach(c);
	if (r == 0) {
		c->work_flags = flags;
		c->stream->table.messages = flags == WORK_SOCKET;
	}
	return r;
}

void streams_started(struct call *c)
{
	struct call_stream *s = c->stream;
	(void)stream_open(&s->table.out);
	if (c->work_flags == WORK_SOCKET) {
		(void)stream_open(&s->table.in);
		s->begun = s->silent = true;
	}
	s->begun_ms = s->moved_ms = now_ms(c);
	s->events->room(c);
}

/* ---- sending -------------------------------------------------------------------------------- */

static bool send_frame(struct call *c, const struct frame *f)
{
	struct worker *w = c->work.worker;
	struct buffer *b = w == NULL || w->channel == NULL
		? NULL
		: channel_begin(w->channel, FRAME_HEADER_SIZE + f->payload.n);
	if (b == NULL) {
		return false;
	}
	int r = frame_append(b, f);
	channel_end(w->channel);
	return r == 0;
}

size_t streams_room(const struct call *c)
{
	return c->state == CALL_RUNNING && c->stream != NULL ? stream_room(&c->stream->table) : 0;
}

/* The worker does not read at all: nothing can be said to it, and no credit will come. */
static void give_up(struct call *c)
{
	char text[160];
	(void)snprintf(text, sizeof(text),
		"it does not read: more than %llu bytes wait for it (MOZAIKS_MAX_CHANNEL_BYTES)",
		(unsigned long long)c->director->settings->channel_bytes);
	worker_end(c->work.worker, EXITED_HUNG, text);
}

bool streams_send(struct call *c, struct slice piece, uint8_t flags)
{
	struct call_stream *s = c->stream;
	if (c->state != CALL_RUNNING || !stream_may_send(&s->table, piece.n)) {
		return false;
	}
	struct frame f = {
		.type = MSG_DATA, .flags = flags, .call_id = c->work.id, .payload = piece
	};
	if (!send_frame(c, &f)) {
		return false;
	}
	stream_sent(&s->table, piece.n, (flags & DATA_LAST) != 0);
	s->moved_ms = now_ms(c);
	if ((flags & DATA_LAST) != 0 && !s->begun) {
		/* From here on it is the plugin's time. */
		c->deadline_at_ms = s->moved_ms + c->timeout_ms;
		streams_set_timer(c);
	}
	return true;
}

void streams_passed_on(struct call *c, size_t cost)
{
	struct call_stream *s = c->stream;
	if (c->state != CALL_RUNNING) {
		return;
	}
	s->moved_ms = now_ms(c);
	uint32_t credit = stream_passed_on(&s->table, cost);
	if (credit == 0) {
		return;
	}
	uint8_t payload[4];
	put_u32(payload, credit);
	struct frame f = { .type = MSG_CREDIT,
		.call_id = c->work.id,
		.payload = slice_of(payload, sizeof(payload)) };
	if (!send_frame(c, &f)) {
		give_up(c);
	}
}

void streams_reset(struct call *c, uint16_t code, const char *reason)
{
	struct call_stream *s = c->stream;
	if (c->state != CALL_RUNNING || !stream_is_open(&s->table)) {
		return;
	}
	stream_drop(&s->table);
	struct worker *w = c->work.worker;
	struct buffer *b = channel_begin(w->channel, FRAME_HEADER_SIZE + 1024);
	if (b == NULL) {
		give_up(c);
		return;
	}
	struct msg_reset m = { .code = code, .reason = slice_str(reason) };
	(void)msg_reset_append(b, &(struct frame){ .call_id = c->work.id }, &m);
	channel_end(w->channel);
}

/* ---- time ----------------------------------------------------------------------------------- */

/* When the present state is over; UINT64_MAX: never. */
static uint64_t over_at(const struct call *c, const char **ret_why)
{
	const struct settings *settings = c->director->settings;
	const struct call_stream *s = c->stream;
	bool body_comes = s->table.out.state == STREAM_OPEN && c->work_flags == WORK_BODY;
	uint64_t at = UINT64_MAX;
	if (!s->begun && !body_comes) {
		at = c->deadline_at_ms;
		*ret_why = "MOZAIKS_PLUGIN_TIMEOUT_SECONDS";
	} else if (!s->silent) {
		at = s->moved_ms + settings->stream_idle_ms;
		*ret_why = "MOZAIKS_STREAM_IDLE_SECONDS";
	}
	if (settings->stream_max_ms > 0 && s->begun && s->begun_ms + settings->stream_max_ms < at) {
		at = s->begun_ms + settings->stream_max_ms;
		*ret_why = "MOZAIKS_STREAM_MAX_SECONDS";
	}
	return at;
}

void streams_set_timer(struct call *c)
{
	const char *why = NULL;
	uint64_t at = over_at(c, &why);
	uint64_t now = now_ms(c);
	const struct call_stream *s = c->stream;
	if (c->state != CALL_RUNNING) {
		return;
	}
	at = s->beat_ms > 0 && s->beat_ms < at ? s->beat_ms : at;
	if (at == UINT64_MAX) {
		uvx_timer_stop(&c->timer);
	} else {
		uvx_timer_once(&c->timer, at > now ? at - now : 0);
	}
}

bool streams_on_timer(struct call *c)
{
	struct call_stream *s = c->stream;
	const char *why = NULL;
	uint64_t now = now_ms(c);
	if (s->client_owes && (s->begun || c->work_flags == WORK_BODY)) {
		/* The server has limits of its own for clients. */
		s->moved_ms = now;
	}
	if (over_at(c, &why) <= now) {
		s->over = why;
		return true;
	}
	if (s->beat_ms > 0 && s->beat_ms <= now) {
		s->beat_ms = now + c->director->settings->heartbeat_ms;
		s->beat(c);
	}
	if (c->stream == s) {
		streams_set_timer(c);
	}
	return false;
}

/* ---- receiving ------------------------------------------------------------------------------ */

static void on_head(struct call *c, const struct frame *f)
{
	struct msg_result_head m;
	if (!msg_result_head_decode(f->payload, &m)) {
		worker_violation(c->work.worker, "a malformed RESULT_HEAD");
		return;
	}
	c->stream->begun = true;
	c->stream->begun_ms = c->stream->moved_ms = now_ms(c);
	/* What its client has seen a part of does not begin again. */
	c->repeatable = false;
	streams_set_timer(c);
	c->stream->events->head(c, &m);
}

static void on_reset(struct call *c, const struct frame *f)
{
	struct msg_reset m;
	if (!msg_reset_decode(f->payload, &m)) {
		worker_violation(c->work.worker, "a malformed RESET");
		return;
	}
	c->stream->events->reset(c, &m);
}

static void take(struct call *c, const struct frame *f)
{
	struct call_stream *s = c->stream;
	s->moved_ms = now_ms(c);
	switch (f->type) {
	case MSG_RESULT_HEAD:
		on_head(c, f);
		break;
	case MSG_DATA:
		s->events->data(c, f->payload, f->flags);
		break;
	case MSG_CREDIT:
		s->events->room(c);
		break;
	case MSG_RESET:
		on_reset(c, f);
		break;
	default:
		break;
	}
}

/* A call without a stream gets one with its RESULT_HEAD. @return false after ending the worker. */
static bool begin(struct worker *w, struct call *c, const struct frame *f)
{
	if (f->type != MSG_RESULT_HEAD || c->message != MSG_EXECUTE) {
		worker_violation(w, "a frame of a stream that is not open");
		return false;
	}
	if (attach(c) < 0) {
		worker_end(w, EXITED_UNKNOWN, "no memory for a stream of it");
		return false;
	}
	if (c->state != CALL_RUNNING || c->stream_events == NULL) {
		stream_drop(&c->stream->table);
	}
	return true;
}

void streams_on_frame(struct worker *w, const struct frame *f)
{
	struct work *x = worker_find_work(w, f->call_id);
	const char *why = NULL;
	if (x == NULL) {
		worker_violation(w,
			f->call_id == 0 || f->call_id > w->last_call_id
				? "a stream for a call that was never made"
				: "a frame of a stream after its call's RESULT");
		return;
	}
	struct call *c = call_of_work(x);
	if (c->stream == NULL && !begin(w, c, f)) {
		return;
	}
	switch (stream_receive(&c->stream->table, f, &why)) {
	case STREAM_TAKE:
		take(c, f);
		break;
	case STREAM_IGNORE:
		break;
	case STREAM_VIOLATION:
		worker_violation(w, why);
		break;
	}
}
