#include "common/base/map.h"
#include "pluginhost/runtime/python_state.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/*
 * Frames on their way out. Most go into the channel's buffer at once. A frame is held back when the
 * channel is full, when the director has as many capability calls in work as it allows, or when an
 * older frame of the same call is held: so the RESULT of a call never overtakes an event that the call
 * has published. Held frames go out in python_send_flush(), oldest first, as far as each may.
 */

_Noreturn void python_end(int status, const char *why)
{
	/* stderr is pluginhost's log pipe; the channel is no use any more. */
	if (why != NULL) {
		(void)dprintf(STDERR_FILENO, "python runtime: %s\n", why);
	}
	_exit(status);
}

struct python_chunk *python_chunk_new(const struct frame *f)
{
	struct python_chunk *c = malloc(sizeof(*c) + f->payload.n);
	if (c == NULL) {
		return NULL;
	}
	*c = (struct python_chunk){ .frame = *f };
	if (f->payload.n > 0) {
		memcpy(c + 1, f->payload.p, f->payload.n);
	}
	c->frame.payload.p = (const uint8_t *)(c + 1);
	return c;
}

void python_wake(struct python_state *s)
{
	if (s->wake_sent || s->loop == NULL || PyThread_get_thread_ident() == s->thread) {
		return;
	}
	s->wake_sent = true;
	/* What call_soon_threadsafe() does, without its callback. */
	PyObject *r = PyObject_CallMethod(s->loop, "_write_to_self", NULL);
	if (r == NULL) {
		python_unexpected(s, "waking the loop");
	}
	Py_XDECREF(r);
}

static unsigned *held_count(struct python_state *s, struct python_info *info)
{
	return info == NULL ? &s->held_app : &info->held;
}

static bool may_send(const struct python_state *s, const struct python_info *info, uint8_t type)
{
	if (type != MSG_CALL) {
		return true;
	}
	return s->in_flight < s->requests_max &&
		(info == NULL || info->in_flight < s->requests_per_call) &&
		channel_pending(&s->channel) < PYTHON_REQUEST_WATER;
}

/* @return false when the channel has no room. */
static bool send_now(struct python_state *s, struct python_info *info, const struct frame *f)
{
	int e = channel_append(&s->channel, f);
	if (e == -ENOBUFS) {
		return false;
	}
	if (e < 0) {
		python_end(WORKER_EXIT_RUNTIME, "no memory for a frame");
	}
	if (f->type == MSG_CALL) {
		s->in_flight++;
		if (info != NULL) {
			info->in_flight++;
		}
	}
	return true;
}

static void hold(struct python_state *s, struct python_info *info, const struct frame *f)
{
	struct python_chunk *c = python_chunk_new(f);
	if (c == NULL) {
		/* A call without its RESULT would hang until its deadline. */
		python_end(WORKER_EXIT_RUNTIME, "no memory for a frame");
	}
	c->info = (struct python_info *)Py_XNewRef((PyObject *)info);
	DL_APPEND(s->held, c);
	s->held_bytes += f->payload.n;
	(*held_count(s, info))++;
}

void python_send(struct python_state *s, struct python_info *info, const struct frame *f)
{
	/* Without a call only requests are in an order: the rest is results of other calls. */
	bool ordered = info != NULL || f->type == MSG_CALL;
	bool behind = ordered && *held_count(s, info) > 0;
	if (behind || !may_send(s, info, f->type) || !send_now(s, info, f)) {
		hold(s, info, f);
	}
	python_wake(s);
}

/* The call as python_send() knows it: its Step or Job has its info, which no other file looks into. */
void python_send_of(struct python_state *s, uint64_t id, const struct frame *f)
{
	struct python_info *info = python_current(s);
	python_send(s, info != NULL && info->id == id ? info : NULL, f);
}

void python_send_drop(struct python_state *s, struct python_chunk *c)
{
	DL_DELETE(s->held, c);
	s->held_bytes -= c->frame.payload.n;
	(*held_count(s, c->info))--;
	Py_XDECREF((PyObject *)c->info);
	free(c);
}

/* Moves what may go now into the channel. */
static void send_held(struct python_state *s)
{
	struct python_chunk *c;
	struct python_chunk *next;
	bool app_blocked = false;
	s->scan++;
	DL_FOREACH_SAFE (s->held, c, next) {
		bool blocked = c->info != NULL ? c->info->blocked_in == s->scan
					       : app_blocked && c->frame.type == MSG_CALL;
		if (blocked) {
			continue;
		}
		if (may_send(s, c->info, c->frame.type) && send_now(s, c->info, &c->frame)) {
			python_send_drop(s, c);
		} else if (c->info != NULL) {
			c->info->blocked_in = s->scan;
		} else {
			app_blocked = true;
		}
	}
}

/* Has the loop say when the socket takes bytes again, or no longer. */
static void watch_writable(struct python_state *s, bool on)
{
	if (on == s->writer_on || s->loop == NULL) {
		return;
	}
	PyObject *r = on ? PyObject_CallMethod(s->loop, "add_writer", "iO", s->channel.fd,
				   PyDict_GetItemString(s->hooks, "flush"))
			 : PyObject_CallMethod(s->loop, "remove_writer", "i", s->channel.fd);
	if (r == NULL) {
		python_unexpected(s, "watching the channel");
		return;
	}
	s->writer_on = on;
	Py_DECREF(r);
}

void python_send_flush(struct python_state *s)
{
	int r;
	size_t held;
	do {
		held = s->held_bytes;
		if (s->held != NULL) {
			send_held(s);
		}
		r = channel_flush(&s->channel);
		/* Again while writing has made room for more. */
	} while (r == CHANNEL_OK && s->held != NULL && s->held_bytes < held);
	if (r == CHANNEL_CLOSED) {
		python_end(0, NULL);
	}
	if (r < 0) {
		python_end(WORKER_EXIT_RUNTIME, "writing to the channel failed");
	}
	watch_writable(s, r == CHANNEL_BLOCKED);
}
