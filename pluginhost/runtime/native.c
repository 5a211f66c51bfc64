#include "pluginhost/runtime/native.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/json/tree.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What the plugin may tell in READY, well below that frame's limit. */
enum { READY_BYTES = 60000 };

/* ---- Sending ---- */

/* Not exit(): the plugin's destructors have no business after its shutdown(), and another thread
 * may hold a lock of stdio. */
static _Noreturn void end_process(int status)
{
	_exit(status);
}

static void wake_first_thread(struct native *n)
{
	const uint64_t one = 1;
	/* Full means that it is awake already. */
	ssize_t r = write(n->wake, &one, sizeof(one));
	(void)r;
}

void native_flush(struct native *n)
{
	int r = channel_flush(&n->channel);
	if (r < 0 || r == CHANNEL_CLOSED) {
		end_process(0);
	}
	if (r == CHANNEL_BLOCKED && !n->blocked) {
		/* It waits for the socket, and goes on reading meanwhile. */
		wake_first_thread(n);
	}
	n->blocked = r == CHANNEL_BLOCKED;
	n->flush_first = false;
	n->flushed_ns = clock_ns();
}

bool native_must_append_again(struct native *n, int e)
{
	if (e == -ENOBUFS) {
		native_flush(n);
		if (channel_pending(&n->channel) > 0) {
			/* The first thread goes on reading, unless it is us: the director never
			 * waits for its own writes. */
			struct pollfd p = { .fd = n->channel.fd, .events = POLLOUT };
			(void)pthread_mutex_unlock(&n->lock);
			(void)poll(&p, 1, -1);
			(void)pthread_mutex_lock(&n->lock);
		}
		return true;
	}
	if (e < 0) {
		end_process(WORKER_EXIT_RUNTIME);
	}
	return false;
}

/* ---- Calls ---- */

struct native_call *native_call_new(struct native *n, enum native_kind kind, size_t payload_size)
{
	struct native_call *c = malloc(sizeof(*c) + payload_size);
	if (c == NULL) {
		return NULL;
	}
	*c = (struct native_call){
		.public = { &native_api }, .native = n, .kind = kind, .data = SLICE("{}")
	};
	(void)pthread_cond_init(&c->replied, NULL);
	return c;
}

void native_call_free(struct native_call *c)
{
	struct native_block *next;
	for (struct native_block *b = c->blocks; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(c->reply);
	native_stream_free(c);
	(void)pthread_cond_destroy(&c->replied);
	free(c);
}

static void send_result(struct native_call *c, enum result_outcome outcome, struct slice body)
{
	struct native *n = c->native;
	const struct frame head = { .call_id = c->id };
	const struct msg_result m = { .outcome = (uint8_t)outcome, .body = body };
	NATIVE_APPEND(n, msg_result_append(channel_begin(&n->channel), &head, &m));
}

static void send_failure(struct native_call *c)
{
	struct buffer body;
	buffer_init(&body, FRAME_PAYLOAD_MAX / 2);
	int e = buffer_append(&body, SLICE("{\"type\":\"PluginError\",\"message\":"));
	e = e < 0
		? e
		: buffer_append_json(&body,
			  slice_str(c->failure == NULL ? "the plugin gave no reason" : c->failure));
	e = e < 0 ? e : buffer_append(&body, SLICE(",\"traceback\":\"\"}"));
	send_result(c, RESULT_EXCEPTION,
		e < 0 ? SLICE("{\"type\":\"PluginError\",\"message\":\"no memory\",\"traceback\":\"\"}")
		      : buffer_slice(&body));
	buffer_deinit(&body);
}

static void send_too_large(struct native_call *c)
{
	char text[96];
	int size = snprintf(text, sizeof(text), "{\"size\":%zu,\"limit\":%zu}", c->answer.n,
		c->native->max_response);
	send_result(c, RESULT_TOO_LARGE, slice_of(text, (size_t)size));
}

/* With the lock held: the answer to what the director asked. */
static void answer(struct native_call *c, int r)
{
	bool begun = c->stream.out.opened;
	if (begun && r == 0 && !native_stream_end(c)) {
		r = MOZAIKS_E_CANCELLED;
	}
	if (r != 0 && atomic_load(&c->cancelled)) {
		send_result(c, RESULT_CANCELLED, SLICE("{\"message\":\"cancelled\"}"));
	} else if (r != 0) {
		send_failure(c);
	} else if (begun) {
		send_result(c, RESULT_VALUE, SLICE("null"));
	} else if (c->answer.n > c->native->max_response) {
		send_too_large(c);
	} else {
		send_result(c, RESULT_VALUE, c->answer.n == 0 ? SLICE("null") : c->answer);
	}
}

/* ---- Executors ---- */

static void send_ready(struct native *n, const struct native_call *init, int r)
{
	struct buffer info;
	buffer_init(&info, READY_BYTES);
	int e;
	if (r == 0) {
		e = buffer_append(
			&info, SLICE("{\"entry\":\"execute\",\"async\":false,\"subscriptions\":["));
		const char *const *names = n->plugin->subscriptions;
		for (size_t i = 0; e == 0 && names != NULL && names[i] != NULL; i++) {
			e = i == 0 ? 0 : buffer_append_byte(&info, ',');
			e = e < 0 ? e : buffer_append_json(&info, slice_str(names[i]));
		}
		e = e < 0 ? e : buffer_append(&info, SLICE("]}"));
	} else {
		const char *why = init->failure == NULL ? "init() failed" : init->failure;
		e = buffer_append(&info, SLICE("{\"error\":"));
		e = e < 0 ? e : buffer_append_json(&info, slice_str(why));
		e = e < 0 ? e : buffer_append(&info, SLICE(",\"traceback\":\"\"}"));
	}
	const struct msg_ready m = { .ok = r == 0 && e == 0,
		.info = e < 0 ? SLICE("{\"error\":\"the list of subscriptions is too long\"}")
			      : buffer_slice(&info) };
	NATIVE_APPEND(n, msg_ready_append(channel_begin(&n->channel), &(struct frame){ 0 }, &m));
	buffer_deinit(&info);
	n->ready = m.ok;
}

/* Calls the plugin, without the lock. */
static int run_plugin(const struct native *n, struct native_call *c)
{
	switch (c->kind) {
	case NATIVE_EXECUTE:
		return n->plugin->execute(&c->public);
	case NATIVE_EVENT:
		return n->plugin->on_event == NULL ? 0 : n->plugin->on_event(&c->public);
	case NATIVE_INIT:
		return n->plugin->init == NULL ? 0 : n->plugin->init(&c->public);
	case NATIVE_SHUTDOWN:
		if (n->plugin->shutdown != NULL) {
			n->plugin->shutdown(&c->public);
		}
		return 0;
	}
	return 0;
}

static void run_call(struct native *n, struct native_call *c)
{
	DL_DELETE(n->queue, c);
	DL_APPEND(n->running, c);
	n->n_running++;
	(void)pthread_mutex_unlock(&n->lock);
	int r = run_plugin(n, c);
	(void)pthread_mutex_lock(&n->lock);
	if (c->kind == NATIVE_EXECUTE || c->kind == NATIVE_EVENT) {
		/* Still among the running: the end of a stream may have to wait for credit. */
		answer(c, r);
	}
	n->n_running--;
	DL_DELETE(n->running, c);
	if (c->kind == NATIVE_INIT) {
		send_ready(n, c, r);
	} else if (c->kind == NATIVE_SHUTDOWN) {
		n->finished = true;
		wake_first_thread(n);
	}
	native_call_free(c);
}

/* Results wait for each other while there is more to do, but not for long. */
static bool must_flush(const struct native *n)
{
	return n->queue == NULL || clock_ns() - n->flushed_ns > NATIVE_BATCH_US * 1000ULL;
}

static void *executor(void *arg)
{
	struct native *n = arg;
	(void)pthread_mutex_lock(&n->lock);
	for (;;) {
		if (n->queue != NULL) {
			run_call(n, n->queue);
			if (must_flush(n)) {
				native_flush(n);
			}
			if (n->draining) {
				wake_first_thread(n);
			}
			continue;
		}
		n->n_idle++;
		(void)pthread_cond_wait(&n->work, &n->lock);
		n->n_idle--;
		n->n_woken -= n->n_woken > 0 ? 1 : 0;
	}
	return NULL;
}

/* As many as the plugin wants and the limits allow, the first thread counted. */
static unsigned start_executors(struct native *n)
{
	unsigned wanted = n->plugin->threads == 0 ? NATIVE_THREADS : n->plugin->threads;
	unsigned allowed = n->ctx->limits.threads < 2 ? 1 : n->ctx->limits.threads - 1;
	wanted = wanted < allowed ? wanted : allowed;
	wanted = wanted < NATIVE_THREADS_MAX ? wanted : NATIVE_THREADS_MAX;
	pthread_attr_t attr;
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, NATIVE_STACK_BYTES);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	unsigned started = 0;
	pthread_t thread;
	while (started < wanted && pthread_create(&thread, &attr, executor, n) == 0) {
		started++;
	}
	(void)pthread_attr_destroy(&attr);
	return started;
}

static void enqueue(struct native *n, struct native_call *c)
{
	c->queued_ns = clock_ns();
	DL_APPEND(n->queue, c);
}

/* ---- Loading ---- */

static _Noreturn void refuse_to_load(struct native *n, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void refuse_to_load(struct native *n, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	struct buffer info;
	buffer_init(&info, 8192);
	int e = buffer_append(&info, SLICE("{\"error\":"));
	e = e < 0 ? e : buffer_append_json(&info, slice_str(text));
	e = e < 0 ? e : buffer_append(&info, SLICE(",\"traceback\":\"\"}"));
	const struct msg_ready m = { .ok = 0, .info = buffer_slice(&info) };
	(void)channel_end(&n->channel,
		msg_ready_append(channel_begin(&n->channel), &(struct frame){ 0 }, &m));
	/* The director closes when it has read it. */
	while (e == 0 && channel_wait(&n->channel, -1) == CHANNEL_OK) {
		struct frame ignored;
		while (channel_next(&n->channel, &ignored) == CHANNEL_OK) {
		}
	}
	end_process(0);
}

static void load(struct native *n)
{
	char path[sizeof(RUNTIME_PLUGINS_DIR) + WORKER_PLUGIN_MAX + 16];
	(void)snprintf(path, sizeof(path), "%s/logic.so", n->ctx->plugin_dir);
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		refuse_to_load(n, "%s", dlerror());
	}
	const struct mozaiks_plugin *(*describe)(void);
	void *symbol = dlsym(library, "mozaiks_plugin");
	if (symbol == NULL) {
		refuse_to_load(n, "logic.so exports no function mozaiks_plugin()");
	}
	memcpy(&describe, &symbol, sizeof(describe));
	n->plugin = describe();
	if (n->plugin == NULL || n->plugin->abi_version != MOZAIKS_ABI_VERSION) {
		refuse_to_load(n,
			"logic.so was built for version %u of mozaiks/plugin.h, this is version %d",
			n->plugin == NULL ? 0 : n->plugin->abi_version, MOZAIKS_ABI_VERSION);
	}
	if (n->plugin->size < sizeof(*n->plugin) || n->plugin->execute == NULL) {
		refuse_to_load(n, "logic.so's description of itself is incomplete");
	}
	worker_seal(n->ctx);
	/* Before the plugin runs, so that it cannot outrun the first thread. */
	(void)pthread_mutex_lock(&n->lock);
	struct native_call *init = native_call_new(n, NATIVE_INIT, 0);
	if (init == NULL || start_executors(n) == 0) {
		(void)pthread_mutex_unlock(&n->lock);
		refuse_to_load(n, "no thread can be started for the plugin");
	}
	enqueue(n, init);
	(void)pthread_mutex_unlock(&n->lock);
	/* An executor that does not sleep yet looks at the queue first. */
	(void)pthread_cond_signal(&n->work);
}

/* ---- Frames of the director ---- */

static bool take_config(struct native *n, struct slice config)
{
	json_t *tree = NULL;
	char *copy = malloc(config.n);
	if (copy == NULL || json_tree_parse(config, &tree, NULL) < 0) {
		free(copy);
		return false;
	}
	memcpy(copy, config.p, config.n);
	n->config = slice_of(copy, config.n);
	json_int_t max = json_integer_value(json_object_get(tree, "max_response"));
	/* What fits a frame, less RESULT's own byte. */
	n->max_response = max > 0 && max < FRAME_PAYLOAD_MAX ? (size_t)max : FRAME_PAYLOAD_MAX - 1;
	json_decref(tree);
	return true;
}

/* EXECUTE and EVENT carry the same fields. */
static bool take_work(struct native *n, const struct frame *f, enum native_kind kind)
{
	struct native_call *c = native_call_new(n, kind, f->payload.n);
	if (c == NULL) {
		return false;
	}
	struct msg_execute m;
	if (f->payload.n > 0) {
		memcpy(c->payload, f->payload.p, f->payload.n);
	}
	if (!msg_execute_decode(slice_of(c->payload, f->payload.n), &m)) {
		native_call_free(c);
		return false;
	}
	c->id = f->call_id;
	c->user = m.user;
	c->trace = m.trace;
	c->data = m.data;
	c->end_ms = clock_ms() + m.deadline_ms;
	if ((f->flags & WORK_BODY) != 0) {
		(void)stream_open(&c->stream.in);
	}
	enqueue(n, c);
	return true;
}

/* Work of a kind that a native plugin cannot have an entry for. */
static bool take_unknown_work(struct native *n, const struct frame *f)
{
	const struct frame head = { .call_id = f->call_id };
	const struct msg_result m = { .outcome = RESULT_NO_ENTRY,
		.body = SLICE("{\"message\":\"native plugins have execute() and on_event()\"}") };
	NATIVE_APPEND(n, msg_result_append(channel_begin(&n->channel), &head, &m));
	n->flush_first = true;
	return true;
}

static bool take_cancel(struct native *n, const struct frame *f)
{
	struct native_call *c;
	DL_FOREACH (n->queue, c) {
		if (c->id == f->call_id && c->kind <= NATIVE_EVENT) {
			DL_DELETE(n->queue, c);
			send_result(c, RESULT_CANCELLED, SLICE("{\"message\":\"cancelled\"}"));
			n->flush_first = true;
			native_call_free(c);
			return true;
		}
	}
	DL_FOREACH (n->running, c) {
		if (c->id == f->call_id && c->kind <= NATIVE_EVENT) {
			atomic_store(&c->cancelled, true);
			(void)pthread_cond_signal(&c->replied);
		}
	}
	return true;
}

static bool take_reply(struct native *n, const struct frame *f)
{
	struct msg_reply m;
	if (!msg_reply_decode(f->payload, &m)) {
		return false;
	}
	struct native_call *c;
	DL_FOREACH (n->running, c) {
		if (c->waiting && c->seq == m.seq && c->status < 0) {
			/* Without memory the waiting call sees an error without a text. */
			c->reply = malloc(m.result.n + 1);
			c->reply_size = c->reply == NULL ? 0 : m.result.n;
			if (c->reply_size > 0) {
				memcpy(c->reply, m.result.p, m.result.n);
			}
			c->status = c->reply == NULL ? REPLY_ERROR : m.status;
			(void)pthread_cond_signal(&c->replied);
			break;
		}
	}
	return true;
}

static bool take_ping(struct native *n, const struct frame *f)
{
	const struct frame pong = { .type = MSG_PONG };
	NATIVE_APPEND(n, frame_append(channel_begin(&n->channel), &pong));
	n->flush_first = true;
	return true;
}

static bool take_drain(struct native *n, const struct frame *f)
{
	n->draining = true;
	return true;
}

static bool take_execute(struct native *n, const struct frame *f)
{
	if ((f->flags & WORK_SOCKET) != 0) {
		return take_unknown_work(n, f);
	}
	return take_work(n, f, NATIVE_EXECUTE);
}

static bool take_event(struct native *n, const struct frame *f)
{
	return take_work(n, f, NATIVE_EVENT);
}

/* @return false: the director breaks the protocol, or there is no memory to go on. */
static bool take_frame(struct native *n, const struct frame *f)
{
	static const struct {
		uint8_t type;
		bool (*take)(struct native *n, const struct frame *f);
	} table[] = {
		{ MSG_EXECUTE, take_execute },
		{ MSG_EVENT, take_event },
		{ MSG_REPLY, take_reply },
		{ MSG_CANCEL, take_cancel },
		{ MSG_PING, take_ping },
		{ MSG_DATA, native_take_stream },
		{ MSG_CREDIT, native_take_stream },
		{ MSG_RESET, native_take_stream },
		{ MSG_DRAIN, take_drain },
		{ MSG_HTTP, take_unknown_work },
		{ MSG_HEALTH, take_unknown_work },
		{ MSG_TEST, take_unknown_work },
		{ MSG_LIFECYCLE, take_unknown_work },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].type == f->type) {
			return table[i].take(n, f);
		}
	}
	return false;
}

/* ---- The first thread ---- */

/* DRAIN: when all is answered the plugin shuts down, and then the process ends. */
static void drain(struct native *n)
{
	if (n->queue != NULL || n->running != NULL) {
		return;
	}
	if (!n->shut_down && n->ready) {
		n->shut_down = true;
		struct native_call *c = native_call_new(n, NATIVE_SHUTDOWN, 0);
		if (c != NULL) {
			enqueue(n, c);
			return;
		}
		n->finished = true;
	}
	if (n->finished && channel_pending(&n->channel) == 0) {
		end_process(0);
	}
}

/* What the first thread waits for next. */
struct waiting {
	bool for_room;
	bool briefly; /* work is lying about while executors sleep */
};

/* Waits, and reads what has come. */
static void wait_and_read(struct native *n, const struct waiting *w)
{
	struct pollfd p[] = {
		{ .fd = n->channel.fd, .events = (short)(POLLIN | (w->for_room ? POLLOUT : 0)) },
		{ .fd = n->wake, .events = POLLIN },
	};
	if (poll(p, 2, w->briefly ? NATIVE_WAIT_MS : -1) < 0 && errno != EINTR) {
		end_process(WORKER_EXIT_RUNTIME);
	}
	uint64_t count;
	if (p[1].revents != 0 && read(n->wake, &count, sizeof(count)) < 0 && errno != EAGAIN) {
		end_process(WORKER_EXIT_RUNTIME);
	}
	int r = p[0].revents == 0 ? CHANNEL_BLOCKED : channel_read(&n->channel);
	if (r == CHANNEL_CLOSED) {
		end_process(0);
	}
	if (r < 0) {
		end_process(WORKER_EXIT_RUNTIME);
	}
}

static void take_frames(struct native *n)
{
	struct frame f;
	int next;
	while ((next = channel_next(&n->channel, &f)) == CHANNEL_OK) {
		if (!take_frame(n, &f)) {
			end_process(WORKER_EXIT_RUNTIME);
		}
	}
	if (next == CHANNEL_BAD) {
		end_process(WORKER_EXIT_RUNTIME);
	}
}

/*
 * Should a sleeping executor be woken? One at a time, and only when none is at work that will come
 * for the queue, or when that one has let it wait too long: threads that meet at the lock cost more
 * than a short call does.
 */
static bool must_wake(struct native *n)
{
	if (n->queue == NULL || n->n_idle == 0 || n->n_woken > 0) {
		return false;
	}
	bool at_work = n->n_running > n->n_waiting;
	if (at_work && clock_ns() - n->queue->queued_ns < NATIVE_WAIT_MS * 1000000ULL) {
		return false;
	}
	n->n_woken++;
	return true;
}

static _Noreturn void pump(struct native *n)
{
	struct waiting w = { 0 };
	for (;;) {
		wait_and_read(n, &w);
		(void)pthread_mutex_lock(&n->lock);
		take_frames(n);
		if (n->draining) {
			drain(n);
		}
		if (n->flush_first || n->blocked) {
			native_flush(n);
		}
		bool wake = must_wake(n);
		w.for_room = n->blocked;
		w.briefly = n->queue != NULL && n->n_idle > n->n_woken;
		(void)pthread_mutex_unlock(&n->lock);
		if (wake) {
			(void)pthread_cond_signal(&n->work);
		}
	}
}

/* HELLO, and the configuration that follows. */
static void greet(struct native *n)
{
	const struct msg_hello hello = {
		.version = PROTOCOL_VERSION, .native = 1, .report = n->ctx->report
	};
	if (channel_end(&n->channel,
		    msg_hello_append(channel_begin(&n->channel), &(struct frame){ 0 }, &hello)) <
		0) {
		end_process(WORKER_EXIT_RUNTIME);
	}
	struct frame f;
	int next;
	while ((next = channel_next(&n->channel, &f)) == CHANNEL_NONE) {
		if (channel_wait(&n->channel, -1) != CHANNEL_OK) {
			end_process(0);
		}
	}
	struct msg_configure m;
	if (next == CHANNEL_BAD || f.type != MSG_CONFIGURE ||
		!msg_configure_decode(f.payload, &m) || !take_config(n, m.config)) {
		end_process(WORKER_EXIT_RUNTIME);
	}
}

static int prepare(void)
{
	/* The keyed hash of the JSON and BSON walkers. */
	return map_init();
}

static _Noreturn void run(const struct worker_context *ctx)
{
	static struct native n;
	n = (struct native){
		.ctx = ctx,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.work = PTHREAD_COND_INITIALIZER,
		.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	/* A plugin's lines come out when they end, not when a buffer is full. */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (n.wake < 0 || channel_open(&n.channel, ctx->channel_fd) < 0) {
		end_process(WORKER_EXIT_RUNTIME);
	}
	greet(&n);
	load(&n);
	pump(&n);
}

const struct runtime runtime_native = {
	.name = "native",
	.prepare = prepare,
	.run = run,
};
