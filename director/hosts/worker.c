#include "director/hosts/worker.h"

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/json/scan.h"
#include "director/director.h"
#include "director/hosts/configure.h"
#include "director/hosts/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PONG_MS = 1000,
	/* Of a worker that floods; less than PONG_MS. */
	FLOOD_PAUSE_MAX_MS = 500,
	FLOOD_REPORT_MS = 10000,
	FOLDER_MODE = 0750,
};

/* The states in which a frame may come, and what it does. */
typedef void (*frame_fn)(struct worker *w, const struct frame *f);

static void handle_hello(struct worker *w, const struct frame *f);
static void handle_ready(struct worker *w, const struct frame *f);
static void handle_pong(struct worker *w, const struct frame *f);
static void handle_result(struct worker *w, const struct frame *f);
static void handle_call(struct worker *w, const struct frame *f);
static void handle_log(struct worker *w, const struct frame *f);

#define IN(state) (1U << (state))
#define LOADED    (IN(WORKER_READY) | IN(WORKER_DRAINING))

static const struct {
	unsigned states;
	frame_fn handle;
} frames[MSG_TYPE_MAX + 1] = {
	[MSG_HELLO] = { IN(WORKER_STARTING), handle_hello },
	[MSG_READY] = { IN(WORKER_LOADING), handle_ready },
	[MSG_PONG] = { LOADED, handle_pong },
	[MSG_RESULT] = { LOADED, handle_result },
	[MSG_CALL] = { IN(WORKER_LOADING) | LOADED, handle_call },
	[MSG_LOG] = { IN(WORKER_LOADING) | LOADED, handle_log },
};

/* What may follow what; worker_move() refuses the rest. */
static const unsigned next_states[] = {
	[WORKER_STARTING] = IN(WORKER_LOADING) | IN(WORKER_ENDING),
	[WORKER_LOADING] = IN(WORKER_READY) | IN(WORKER_ENDING),
	[WORKER_READY] = IN(WORKER_DRAINING) | IN(WORKER_ENDING),
	[WORKER_DRAINING] = IN(WORKER_ENDING),
	[WORKER_ENDING] = 0,
};

const char *worker_state_name(enum worker_state s)
{
	static const char *const names[] = { "starting", "loading", "ready", "draining", "ending" };
	return names[s];
}

static void worker_move(struct worker *w, enum worker_state to)
{
	struct plugin *p = w->plugin;
	invariant((next_states[w->state] & IN(to)) != 0);
	if (w->state < WORKER_READY && to >= WORKER_READY) {
		w->director->starting--;
		p->n_starting--;
	}
	p->n_ready += (to == WORKER_READY ? 1U : 0U) - (w->state == WORKER_READY ? 1U : 0U);
	w->state = to;
}

static const struct worker_events *tell(const struct worker *w)
{
	return w->director->on_worker;
}

static void log_worker(
	const struct worker *w, enum log_level level, const char *event, const char *text)
{
	char id[24];
	(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)w->id);
	struct log_field fields[] = {
		{ "plugin", plugin_slice(w->plugin) },
		{ "worker", slice_str(id) },
		{ "version", slice_of(w->version, w->version[0] == '\0' ? 0 : 12) },
	};
	log_fields(level, event, fields, 3, "%s", text);
}

/* How long a start took is what `scripts/bench P7` measures. */
static void log_ready(const struct worker *w)
{
	char id[24];
	char us[24];
	(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)w->id);
	(void)snprintf(
		us, sizeof(us), "%llu", (unsigned long long)((uv_hrtime() - w->started_ns) / 1000));
	struct log_field fields[] = {
		{ "plugin", plugin_slice(w->plugin) },
		{ "worker", slice_str(id) },
		{ "version", slice_of(w->version, w->version[0] == '\0' ? 0 : 12) },
		{ "start_us", slice_str(us) },
	};
	log_fields(LOG_INFO, "worker.ready", fields, 4, "ready");
}

/* ---- life ----------------------------------------------------------------------------------- */

static void on_timer_closed(void *arg)
{
	struct worker *w = arg;
	log_tail_deinit(&w->log_tail);
	free(w->report);
	free(w);
}

/* The last step: nothing points here any more but the timer. */
static void worker_free(struct worker *w)
{
	for (size_t i = 0; i < WORKER_CAPABILITY_SLOTS; i++) {
		if (w->slots[i].release != NULL) {
			w->slots[i].release(w->slots[i].state);
		}
	}
	uvx_timer_close(&w->timer, on_timer_closed, w);
}

/* It did not get there in time: which limit that was. */
static void end_late(struct worker *w, const char *what, uint64_t limit_ms, const char *setting)
{
	char text[PLUGIN_TEXT_MAX];
	(void)snprintf(
		text, sizeof(text), "%s within %g s (%s)", what, (double)limit_ms / 1000, setting);
	worker_end(w, EXITED_START_TIMEOUT, text);
}

static void on_timer(void *arg)
{
	struct worker *w = arg;
	const struct settings *s = w->director->settings;
	switch (w->state) {
	case WORKER_STARTING:
		end_late(w, "it did not report from its sandbox", s->hello_ms,
			"MOZAIKS_WORKER_HELLO_TIMEOUT_SECONDS");
		break;
	case WORKER_LOADING:
		end_late(w, "it was not ready", s->load_ms, "MOZAIKS_WORKER_LOAD_TIMEOUT_SECONDS");
		break;
	case WORKER_READY:
	case WORKER_DRAINING:
		worker_end(w, w->pinged ? EXITED_HUNG : EXITED_DEADLINE,
			w->pinged ? "its loop does not turn" : "drained long enough");
		break;
	case WORKER_ENDING:
		break;
	}
}

static void on_open(void *owner);
static void on_message(void *owner, struct slice message);
static void on_close(void *owner, enum channel_end why);

static const struct channel_events channel_events = { on_open, on_message, on_close };

static int open_channel(struct worker *w)
{
	struct director *d = w->director;
	char path[sizeof(w->folder) + 16];
	int n = snprintf(w->folder, sizeof(w->folder), "%s/workers/%llu", d->run_path,
		(unsigned long long)w->id);
	if (n < 0 || (size_t)n >= sizeof(w->folder)) {
		return -ENAMETOOLONG;
	}
	if (mkdir(w->folder, FOLDER_MODE) < 0) {
		return -errno;
	}
	(void)snprintf(path, sizeof(path), "%s/channel.sock", w->folder);
	int r = channel_listen(&w->channel, d->hub, path, &channel_events, w);
	if (r < 0) {
		(void)rmdir(w->folder);
	}
	return r;
}

static void close_channel(struct worker *w)
{
	if (w->channel != NULL) {
		channel_close(w->channel);
		w->channel = NULL;
		(void)rmdir(w->folder);
	}
}

static int send_start(struct worker *w)
{
	struct buffer spec;
	buffer_init(&spec, 65536);
	int r = configure_start_spec(w, &spec);
	r = r < 0 ? r
		  : hosts_start_worker(w->director, w->plugin->host, w->id, buffer_slice(&spec));
	buffer_deinit(&spec);
	return r;
}

int worker_start(struct plugin *p)
{
	struct director *d = p->director;
	struct worker *w = calloc(1, sizeof(*w));
	if (w == NULL) {
		return -ENOMEM;
	}
	w->director = d;
	w->plugin = p;
	w->id = ++d->last_worker_id;
	w->generation = p->generation;
	w->started_ns = uv_hrtime();
	log_tail_init(&w->log_tail, d->settings->exit_log_bytes);
	memcpy(w->version, p->version, sizeof(w->version));
	uvx_timer_init(&w->timer, d->loop, on_timer, w);
	int r = open_channel(w);
	r = r < 0 ? r : send_start(w);
	if (r == 0) {
		HASH_ADD(hh, d->workers, id, sizeof(w->id), w);
		r = w->hh.tbl == NULL ? -ENOMEM : 0;
	}
	if (r < 0) {
		close_channel(w);
		worker_free(w);
		return r;
	}
	DL_APPEND(p->workers, w);
	p->counters.starts++;
	d->starting++;
	p->n_starting++;
	uvx_timer_once(&w->timer, d->settings->hello_ms);
	return 0;
}

bool worker_is_free(const struct worker *w)
{
	/* Half-open: one call at a time. */
	if (w->plugin->breaker.state != BREAKER_CLOSED && w->running > 0) {
		return false;
	}
	return w->state == WORKER_READY && !w->pinged &&
		w->running < w->plugin->manifest.concurrency && w->running < WORKER_CALL_SLOTS;
}

/* It drains and has nothing left but calls that it did not give up when it was told to. One that has
 * none at all is waited for: it shuts down and closes its channel. */
static bool is_stuck(const struct worker *w)
{
	return w->state == WORKER_DRAINING && w->running > 0 && w->running == w->abandoned;
}

void worker_drain(struct worker *w, unsigned ms, enum worker_exit why)
{
	if (w->state != WORKER_READY) {
		return;
	}
	w->drained_for = why;
	worker_move(w, WORKER_DRAINING);
	struct buffer *b = channel_begin(w->channel, FRAME_HEADER_SIZE + 4);
	if (b != NULL) {
		(void)msg_drain_append(
			b, &(struct frame){ 0 }, &(struct msg_drain){ .deadline_ms = ms });
		channel_end(w->channel);
	}
	uvx_timer_once(&w->timer, ms);
	if (is_stuck(w)) {
		worker_end(w, w->drained_for, NULL);
	}
}

void worker_ping(struct worker *w)
{
	if (w->pinged || w->state < WORKER_READY || w->state == WORKER_ENDING) {
		return;
	}
	struct buffer *b = channel_begin(w->channel, FRAME_HEADER_SIZE);
	if (b != NULL) {
		(void)frame_append(b, &(struct frame){ .type = MSG_PING });
		channel_end(w->channel);
	}
	w->pinged = true;
	uvx_timer_once(&w->timer, PONG_MS);
}

void worker_end(struct worker *w, enum worker_exit why, const char *text)
{
	if (w->state == WORKER_ENDING) {
		return;
	}
	struct plugin *p = w->plugin;
	struct director *d = w->director;
	bool failed = exit_class(why) != EXIT_IS_NORMAL;
	uint64_t ready_ms = w->ready_ms == 0 ? 0 : uv_now(d->loop) - w->ready_ms + 1;
	if (failed || text != NULL) {
		log_worker(w, LOG_WARNING, "worker.ended", text == NULL ? exit_text(why) : text);
	}
	/* Before its calls end: they are part of the story. */
	tell(w)->ending(w, why, text == NULL ? exit_text(why) : text, ready_ms);
	worker_move(w, WORKER_ENDING);
	uvx_timer_stop(&w->timer);
	/* Closing the channel is the cut; the kill is clean-up. */
	close_channel(w);
	hosts_kill_worker(d, p->host, w->id);
	HASH_DELETE(hh, d->workers, w);
	DL_DELETE(p->workers, w);
	bool succeeded = w->succeeded > 0;
	plugin_ref(p);
	tell(w)->cut(w);
	worker_free(w);
	d->on_worker->ended(p, why, ready_ms, succeeded);
	plugin_unref(p);
}

void worker_exited(struct worker *w, struct exit_report *report)
{
	struct plugin *p = w->plugin;
	uint64_t id = w->id;
	bool drained = w->state == WORKER_DRAINING && w->running == w->abandoned;
	plugin_ref(p);
	worker_end(w, drained ? w->drained_for : EXITED_UNKNOWN, drained ? NULL : report->text);
	(void)exits_complete(&p->exits, id, report);
	plugin_unref(p);
}

void worker_violation(struct worker *w, const char *what)
{
	char text[200];
	(void)snprintf(text, sizeof(text), "protocol violation: %s", what);
	worker_end(w, EXITED_PROTOCOL, text);
}

/* ---- calls ---------------------------------------------------------------------------------- */

uint64_t worker_next_call_id(struct worker *w)
{
	if (w->running >= WORKER_CALL_SLOTS) {
		return 0;
	}
	do {
		w->last_call_id++;
	} while (w->work[w->last_call_id % WORKER_CALL_SLOTS] != NULL);
	return w->last_call_id;
}

void worker_add_work(struct worker *w, struct work *x)
{
	w->work[x->id % WORKER_CALL_SLOTS] = x;
	w->running++;
	x->worker = w;
}

void worker_remove_work(struct worker *w, struct work *x)
{
	tell(w)->work_ended(w, x->id);
	w->work[x->id % WORKER_CALL_SLOTS] = NULL;
	w->running--;
	w->abandoned -= x->abandoned ? 1 : 0;
	x->worker = NULL;
}

struct work *worker_find_work(const struct worker *w, uint64_t id)
{
	struct work *x = w->work[id % WORKER_CALL_SLOTS];
	return x != NULL && x->id == id ? x : NULL;
}

/* ---- frames --------------------------------------------------------------------------------- */

static void on_open(void *owner)
{
	/* Nobody else may connect to this worker's socket now. */
	struct worker *w = owner;
	char path[sizeof(w->folder) + 16];
	(void)snprintf(path, sizeof(path), "%s/channel.sock", w->folder);
	(void)unlink(path);
}

static void on_close(void *owner, enum channel_end why)
{
	struct worker *w = owner;
	if (why == CHANNEL_BAD_MESSAGE) {
		worker_violation(w, "what it sent is no message");
	} else if (w->state == WORKER_DRAINING && w->running == w->abandoned) {
		worker_end(w, w->drained_for, NULL);
	} else {
		worker_end(w, EXITED_UNKNOWN, "the worker closed its channel");
	}
}

/* Frames that the director did not ask for: who sends too many is not read for a while, and so waits
 * in its own sending. */
static void charge_frames(struct worker *w, unsigned n)
{
	uint64_t rate = w->director->settings->frame_rate;
	uint64_t now_ms = uv_now(w->director->loop);
	uint64_t wait_ms = rate_charge(&w->frame_rate, rate, n, now_ms);
	if (wait_ms == 0) {
		return;
	}
	/* A PONG behind the flood must not come too late. */
	channel_pause(w->channel, wait_ms < FLOOD_PAUSE_MAX_MS ? wait_ms : FLOOD_PAUSE_MAX_MS);
	if (w->slowed_ms != 0 && now_ms - w->slowed_ms < FLOOD_REPORT_MS) {
		return;
	}
	char text[160];
	w->slowed_ms = now_ms;
	(void)snprintf(text, sizeof(text),
		"it sends more than %llu frames a second (MOZAIKS_WORKER_FRAME_RATE) and is slowed down",
		(unsigned long long)rate);
	log_worker(w, LOG_WARNING, "worker.slowed", text);
}

static void on_message(void *owner, struct slice message)
{
	struct worker *w = owner;
	struct director *d = w->director;
	uint64_t id = w->id;
	unsigned unasked = 0;
	struct frame f;
	enum frame_result r;
	while ((r = frame_decode(&message, &f)) == FRAME_OK) {
		const char *what = message_violation(&f, FROM_WORKER);
		if (what == NULL && (frames[f.type].states & IN(w->state)) == 0) {
			what = "a frame out of order";
		}
		if (what != NULL) {
			worker_violation(w, what);
			return;
		}
		unasked += f.type == MSG_CALL || f.type == MSG_LOG ? 1 : 0;
		frames[f.type].handle(w, &f);
		/* A handler may end the worker: it is there as long as its id is. */
		HASH_FIND(hh, d->workers, &id, sizeof(id), w);
		if (w == NULL) {
			return;
		}
	}
	if (r == FRAME_MALFORMED) {
		worker_violation(w, "a malformed frame");
		return;
	}
	if (is_stuck(w)) {
		worker_end(w, w->drained_for, NULL);
		return;
	}
	charge_frames(w, unasked);
}

static void handle_hello(struct worker *w, const struct frame *f)
{
	struct msg_hello m;
	if (!msg_hello_decode(f->payload, &m) || !json_scan_is_object(m.report)) {
		worker_violation(w, "a malformed HELLO");
		return;
	}
	if (m.version != PROTOCOL_VERSION) {
		char text[100];
		(void)snprintf(text, sizeof(text),
			"it speaks protocol version %u, this director %d", m.version,
			PROTOCOL_VERSION);
		worker_end(w, EXITED_PROTOCOL, text);
		return;
	}
	w->native = m.native != 0;
	w->report = slice_dup(m.report);
	struct buffer *b = channel_begin(w->channel, 65536);
	int r = b == NULL ? -ENOBUFS : configure_append(w, b);
	if (r < 0) {
		worker_end(w, EXITED_START, "no memory for its configuration");
		return;
	}
	channel_end(w->channel);
	worker_move(w, WORKER_LOADING);
	uvx_timer_once(&w->timer, w->director->settings->load_ms);
}

static void handle_ready(struct worker *w, const struct frame *f)
{
	struct msg_ready m;
	if (!msg_ready_decode(f->payload, &m) || !json_scan_is_object(m.info)) {
		worker_violation(w, "a malformed READY");
		return;
	}
	if (m.ok == 0) {
		configure_load_error(w, m.info);
		worker_end(w, EXITED_LOAD, w->plugin->load_error);
		return;
	}
	if (!tell(w)->loaded(w, m.info)) {
		return;
	}
	worker_move(w, WORKER_READY);
	uvx_timer_stop(&w->timer);
	w->plugin->load_error[0] = '\0';
	w->ready_ms = uv_now(w->director->loop);
	log_ready(w);
	tell(w)->ready(w);
}

static void handle_pong(struct worker *w, const struct frame *f)
{
	if (!w->pinged) {
		worker_violation(w, "PONG without PING");
		return;
	}
	w->pinged = false;
	uvx_timer_stop(&w->timer);
	if (w->state == WORKER_DRAINING) {
		uvx_timer_once(&w->timer, w->director->settings->load_ms);
	}
}

static void handle_result(struct worker *w, const struct frame *f)
{
	struct msg_result m;
	if (!msg_result_decode(f->payload, &m)) {
		worker_violation(w, "a malformed RESULT");
		return;
	}
	tell(w)->result(w, f->call_id, &m);
}

static void handle_call(struct worker *w, const struct frame *f)
{
	struct msg_call m;
	if (!msg_call_decode(f->payload, &m)) {
		worker_violation(w, "a malformed CALL");
		return;
	}
	tell(w)->call(w, f->capability, f->call_id, &m);
}

static void handle_log(struct worker *w, const struct frame *f)
{
	struct msg_log m;
	if (!msg_log_decode(f->payload, &m)) {
		worker_violation(w, "a malformed LOG");
		return;
	}
	log_tail_add(&w->log_tail, m.message);
	struct log_budget *budget = &w->plugin->log_budget;
	uint64_t now = uv_now(w->director->loop);
	bool fits = log_budget_take(budget, m.message.n + m.logger.n + LOG_RECORD_COST, now);
	log_budget_report(budget, plugin_slice(w->plugin), now, fits);
	if (!fits) {
		return;
	}
	enum log_level level = m.level <= LOG_ERROR ? LOG_ERROR
		: m.level <= LOG_WARNING            ? LOG_WARNING
		: m.level <= LOG_INFO               ? LOG_INFO
						    : LOG_DEBUG;
	struct log_field fields[] = {
		{ "plugin", plugin_slice(w->plugin) },
		{ "logger", m.logger },
		{ "text", m.message },
	};
	log_fields(level, "plugin.log", fields, 3, "plugin record");
}
