#include "common/base/clock.h"
#include "common/base/map.h"
#include "pluginhost/runtime/python_state.h"

/* Has the loop call on_readable() after the callbacks that are ready now. */
static void schedule_more(struct python_state *s)
{
	if (s->more_scheduled) {
		return;
	}
	PyObject *callback = PyDict_GetItemString(s->hooks, "on_readable");
	PyObject *handle = PyObject_CallMethod(s->loop, "call_soon", "O", callback);
	if (handle == NULL) {
		python_unexpected(s, "call_soon");
		return;
	}
	Py_DECREF(handle);
	s->more_scheduled = true;
}

static bool may_start(const struct python_state *s)
{
	return channel_pending(&s->channel) + s->held_bytes < PYTHON_HIGH_WATER &&
		(size_t)PyDict_GET_SIZE(s->calls) < s->concurrency;
}

/* Starts what waits, oldest first, until the slice is over. @return false when it is. */
static bool start_waiting(struct python_state *s, uint64_t slice_end)
{
	while (s->waiting != NULL && may_start(s)) {
		struct python_chunk *c = s->waiting;
		DL_DELETE(s->waiting, c);
		s->n_waiting--;
		python_call_start(s, &c->frame);
		free(c);
		if (clock_ms() >= slice_end) {
			return false;
		}
	}
	return true;
}

bool python_flush(struct python_state *s)
{
	if (!s->open) {
		return false;
	}
	s->wake_sent = false;
	if (channel_pending(&s->channel) > 0 || s->held != NULL || s->writer_on) {
		python_send_flush(s);
	}
	/* Not here: what a call starts would be ready only after the loop has waited. */
	if (s->waiting != NULL && may_start(s)) {
		schedule_more(s);
	}
	return s->more_scheduled;
}

static void on_work(struct python_state *s, const struct frame *f)
{
	/* Its pieces may come before the call begins. */
	if (f->flags != 0 && python_stream_begin(s, f) < 0) {
		python_unexpected(s, "beginning a stream");
		python_end(WORKER_EXIT_RUNTIME, "no memory for a stream");
	}
	if (s->waiting == NULL && may_start(s)) {
		python_call_start(s, f);
		return;
	}
	struct python_chunk *c = NULL;
	if (s->n_waiting < s->concurrency * PYTHON_QUEUE_FACTOR) {
		c = python_chunk_new(f);
	}
	if (c == NULL) {
		python_result_refused(s, f->call_id, RESULT_EXCEPTION, "WorkerOverloaded",
			"the worker has too many calls waiting (concurrency)");
		return;
	}
	DL_APPEND(s->waiting, c);
	s->n_waiting++;
}

static void on_cancel(struct python_state *s, uint64_t id)
{
	struct python_chunk *c;
	struct python_chunk *next;
	DL_FOREACH_SAFE (s->waiting, c, next) {
		if (c->frame.call_id == id) {
			DL_DELETE(s->waiting, c);
			s->n_waiting--;
			free(c);
			python_result_refused(s, id, RESULT_CANCELLED, NULL, NULL);
			return;
		}
	}
	python_call_cancel(s, id);
}

/* Frames for our Python code: one hook each, with the payload as bytes. */
static void on_hook(struct python_state *s, const char *name, const struct frame *f)
{
	PyObject *payload =
		PyBytes_FromStringAndSize((const char *)f->payload.p, (Py_ssize_t)f->payload.n);
	PyObject *r = payload == NULL ? NULL : python_hook(s, name, payload);
	if (r == NULL) {
		python_unexpected(s, name);
	}
	Py_XDECREF(payload);
	Py_XDECREF(r);
}

static void handle(struct python_state *s, const struct frame *f)
{
	switch (f->type) {
	case MSG_EXECUTE:
	case MSG_HTTP:
	case MSG_EVENT:
	case MSG_HEALTH:
	case MSG_TEST:
	case MSG_LIFECYCLE:
		on_work(s, f);
		break;
	case MSG_REPLY:
		python_request_on_reply(s, f);
		break;
	case MSG_CANCEL:
		on_cancel(s, f->call_id);
		break;
	case MSG_PING:
		python_send(s, NULL, &(struct frame){ .type = MSG_PONG });
		break;
	case MSG_CONFIGURE:
		on_hook(s, "configure", f);
		break;
	case MSG_DRAIN:
		on_hook(s, "drain", f);
		break;
	case MSG_DATA:
	case MSG_CREDIT:
	case MSG_RESET:
		python_stream_on_frame(s, f);
		break;
	default:
		break;
	}
}

/* Works on buffered frames. @return false when the slice is over. */
static bool handle_buffered(struct python_state *s, uint64_t slice_end)
{
	struct frame f;
	int r;
	while ((r = channel_next(&s->channel, &f)) == CHANNEL_OK) {
		handle(s, &f);
		if (clock_ms() >= slice_end) {
			return false;
		}
	}
	if (r == CHANNEL_BAD) {
		python_end(WORKER_EXIT_RUNTIME, "a malformed frame on the channel");
	}
	return true;
}

void python_on_readable(struct python_state *s)
{
	uint64_t slice_end = clock_ms() + PYTHON_SLICE_MS;
	s->more_scheduled = false;
	if (!start_waiting(s, slice_end) || !handle_buffered(s, slice_end)) {
		schedule_more(s);
		return;
	}
	int r = channel_read(&s->channel);
	if (r == CHANNEL_CLOSED) {
		python_end(0, NULL);
	}
	if (r < 0) {
		python_end(WORKER_EXIT_RUNTIME, "reading the channel failed");
	}
	if (r == CHANNEL_OK && !handle_buffered(s, slice_end)) {
		schedule_more(s);
	}
}
