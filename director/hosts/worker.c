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
	/* Of a worker that floods; less than the usual MOZAIKS_CANCEL_GRACE_SECONDS, so that a PONG behind
	 * the flood does not come too late. */
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
static void handle_stream(struct worker *w, const struct frame *f);
static void handle_call(struct worker *w, const struct frame *f);
static void handle_log(struct worker *w, const struct frame *f);

#define IN(state) (1U << (state))
#define LOADED    (IN(WORKER_READY) | IN(WORKER_DRAINING) | IN(WORKER_FINISHING))

static const struct {
	unsigned states;
	frame_fn handle;
} frames[MSG_TYPE_MAX + 1] = {
	[MSG_HELLO] = { IN(WORKER_STARTING), handle_hello },
	[MSG_READY] = { IN(WORKER_LOADING), handle_ready },
	[MSG_PONG] = { LOADED, handle_pong },
	[MSG_RESULT] = { LOADED, handle_result },
	[MSG_RESULT_HEAD] = { LOADED, handle_stream },
	[MSG_DATA] = { LOADED, handle_stream },
	[MSG_CREDIT] = { LOADED, handle_stream },
	[MSG_RESET] = { LOADED, handle_stream },
	[MSG_CALL] = { IN(WORKER_LOADING) | LOADED, handle_call },
	[MSG_LOG] = { IN(WORKER_LOADING) | LOADED, handle_log },
};

static void worker_move(struct worker *w, enum worker_state to)
{
	struct plugin *p = w->plugin;
	uint64_t ms = life_time_ms(to, &w->director->settings->life);
	if (w->state < WORKER_READY && to >= WORKER_READY) {
		w->director->starting--;
		p->n_starting--;
	}
	p->n_ready += (to == WORKER_READY ? 1U : 0U) - (w->state == WORKER_READY ? 1U : 0U);
	w->state = to;
	uvx_timer_stop(&w->timer);
	if (ms > 0) {
		uvx_timer_once(&w->timer, ms);
	}
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

static void on_timers_closed(void *arg)
{
	struct worker *w = arg;
	log_tail_deinit(&w->log_tail);
	free(w->report);
	free(w->user);
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
	uvx_closing_begin(&w->closes, on_timers_closed, w);
	uvx_timer_close(&w->timer, uvx_closing_one, uvx_closing_add(&w->closes));
	uvx_timer_close(&w->pulse_timer, uvx_closing_one, uvx_closing_add(&w->closes));
	uvx_closing_one(&w->closes);
}

/* It did not get ready in time: which limit that was. */
static void end_late(struct worker *w)
{
	const struct life_policy *policy = &w->director->settings->life;
	bool loading = w->state == WORKER_LOADING;
	char text[PLUGIN_TEXT_MAX];
	(void)snprintf(text, sizeof(text), "%s within %g s (%s)",
		loading ? "it was not ready" : "it did not report from its sandbox",
		(double)life_time_ms(w->state, policy) / 1000,
		loading ? "MOZAIKS_WORKER_LOAD_TIMEOUT_SECONDS"
			: "MOZAIKS_WORKER_HELLO_TIMEOUT_SECONDS");
	worker_end(w, EXITED_START_TIMEOUT, text);
}

static void say_drain(struct worker *w)
{
	struct buffer *b = channel_begin(w->channel, FRAME_HEADER_SIZE + 4);
	if (b != NULL) {
		struct msg_drain m = { .deadline_ms =
					       (uint32_t)w->director->settings->life.drain_ms };
		(void)msg_drain_append(b, &(struct frame){ 0 }, &m);
		channel_end(w->channel);
	}
}

static void configure(struct worker *w)
{
	struct buffer *b = channel_begin(w->channel, 65536);
	int r = b == NULL ? -ENOBUFS : configure_append(w, b);
	if (r < 0) {
		worker_end(w, EXITED_START, "no memory for its configuration");
		return;
	}
	channel_end(w->channel);
}

static void serve(struct worker *w)
{
	/* The error is that of the newest version, whatever else serves. */
	if (w->generation == w->plugin->generation) {
		w->plugin->load_error[0] = '\0';
	}
	w->ready_ms = w->used_ms = uv_now(w->director->loop);
	uvx_timer_once(&w->pulse_timer, w->director->settings->life.ping_ms);
	log_ready(w);
	hosts_worker_serves(w->director, w->plugin->host, w->id);
	tell(w)->ready(w);
}

static void cut(struct worker *w, enum worker_state to, enum worker_exit why, const char *text);

/* The only way from one state to the next but worker_end(). */
static void live(struct worker *w, enum life_event event)
{
	struct life_step step = life_step(w->state, event);
	if (step.next != w->state && step.next < WORKER_DYING) {
		worker_move(w, step.next);
	}
	switch (step.action) {
	case LIFE_NOTHING:
		break;
	case LIFE_REFUSE:
		worker_violation(w, "a frame out of order");
		break;
	case LIFE_CONFIGURE:
		w->waits = true;
		if (tell(w)->hello(w) == WORKER_GOES_ON) {
			worker_go_on(w);
		}
		break;
	case LIFE_SERVE:
		serve(w);
		break;
	case LIFE_SAY_DRAIN:
		say_drain(w);
		break;
	case LIFE_LET_FINISH:
		break;
	case LIFE_END_LATE:
		end_late(w);
		break;
	case LIFE_END_DONE:
		worker_end(w, w->drained_for, NULL);
		break;
	case LIFE_END_DIED:
	case LIFE_LET_DIE:
		cut(w, step.next, EXITED_UNKNOWN, "the worker closed its channel");
		break;
	case LIFE_KILL:
		worker_move(w, step.next);
		hosts_kill_worker(w->director, w->plugin->host, w->id);
		break;
	case LIFE_FREE:
		worker_finish(w, w->end.why);
		break;
	}
}

void worker_go_on(struct worker *w)
{
	if (w->state != WORKER_LOADING || !w->waits) {
		return;
	}
	w->waits = false;
	if (w->loaded) {
		live(w, LIFE_LOADED);
	} else {
		configure(w);
	}
}

/* Its calls changed: what that means to one that drains. */
static void settle(struct worker *w)
{
	if (w->running == w->abandoned) {
		live(w, w->running == 0 ? LIFE_EMPTY : LIFE_STUCK);
	}
}

static void on_timer(void *arg)
{
	live(arg, LIFE_TIMER);
}

static void send_ping(struct worker *w)
{
	struct buffer *b = channel_begin(w->channel, FRAME_HEADER_SIZE);
	if (b != NULL) {
		(void)frame_append(b, &(struct frame){ .type = MSG_PING });
		channel_end(w->channel);
	}
}

static void beat(struct worker *w, enum pulse_event event)
{
	const struct life_policy *policy = &w->director->settings->life;
	bool was_good = pulse_is_good(&w->pulse);
	switch (pulse_step(&w->pulse, event)) {
	case PULSE_NOTHING:
		break;
	case PULSE_PING:
		send_ping(w);
		uvx_timer_once(&w->pulse_timer, pulse_time_ms(&w->pulse, policy));
		break;
	case PULSE_REST:
		uvx_timer_once(&w->pulse_timer, pulse_time_ms(&w->pulse, policy));
		if (!was_good) {
			tell(w)->room(w->plugin);
		}
		break;
	case PULSE_KILL:
		worker_end(w, EXITED_HUNG, "its loop does not turn");
		break;
	case PULSE_REFUSE:
		worker_violation(w, "PONG without PING");
		break;
	}
}

static void on_pulse_timer(void *arg)
{
	struct worker *w = arg;
	bool idle = w->state == WORKER_READY && w->running == 0;
	beat(w, idle ? PULSE_TIMER_IDLE : PULSE_TIMER_BUSY);
	if (idle && w->state == WORKER_READY) {
		tell(w)->idle(w);
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

int worker_start(struct plugin *p, const char *version, const struct work *x)
{
	struct director *d = p->director;
	struct worker *w = calloc(1, sizeof(*w));
	if (w == NULL) {
		return -ENOMEM;
	}
	w->director = d;
	w->plugin = p;
	w->id = ++d->last_worker_id;
	bool current = slice_eq(slice_str(version), slice_str(p->version));
	w->generation = current ? p->generation : p->generation - 1;
	w->tenant = x == NULL ? TENANT_SHARED : x->tenant;
	w->started_ns = uv_hrtime();
	log_tail_init(&w->log_tail, d->settings->exit_log_bytes);
	(void)snprintf(w->version, sizeof(w->version), "%s", version);
	uvx_timer_init(&w->timer, d->loop, on_timer, w);
	uvx_timer_init(&w->pulse_timer, d->loop, on_pulse_timer, w);
	w->user = slice_dup(w->tenant == TENANT_USER ? x->user : SLICE(""));
	int r = w->user == NULL ? -ENOMEM : open_channel(w);
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
	uvx_timer_once(&w->timer, life_time_ms(WORKER_STARTING, &d->settings->life));
	return 0;
}

bool worker_suits(const struct worker *w, const struct work *x)
{
	if (w->state > WORKER_READY || w->tenant != x->tenant) {
		return false;
	}
	switch (w->tenant) {
	case TENANT_SHARED:
		return true;
	case TENANT_USER:
		return slice_eq(slice_str(w->user), x->user);
	case TENANT_ALONE:
		/* Never used before. */
		return w->last_call_id == 0;
	}
	return false;
}

bool worker_is_free(const struct worker *w, const struct work *x)
{
	/* Half-open: one call at a time. */
	if (w->plugin->breaker.state != BREAKER_CLOSED && w->running > 0) {
		return false;
	}
	return worker_suits(w, x) && w->state == WORKER_READY && pulse_is_good(&w->pulse) &&
		w->running < w->plugin->manifest.concurrency && w->running < WORKER_CALL_SLOTS;
}

void worker_drain(struct worker *w, enum worker_exit why)
{
	if (w->state <= WORKER_READY) {
		w->drained_for = why;
		live(w, LIFE_DRAIN);
		settle(w);
	}
}

void worker_probe(struct worker *w)
{
	if (w->state < WORKER_DYING) {
		beat(w, PULSE_PROBE);
	}
}

static void cut(struct worker *w, enum worker_state to, enum worker_exit why, const char *text)
{
	struct plugin *p = w->plugin;
	struct director *d = w->director;
	bool failed = exit_class(why) != EXIT_IS_NORMAL;
	w->end = (struct worker_end){
		.why = why,
		.ready_ms = w->ready_ms == 0 ? 0 : uv_now(d->loop) - w->ready_ms + 1,
		.succeeded = w->succeeded > 0,
		.tenant = w->tenant,
	};
	if (failed || text != NULL) {
		log_worker(w, LOG_WARNING, "worker.ended", text == NULL ? exit_text(why) : text);
	}
	/* Before its calls end: they are part of the story. */
	tell(w)->ending(w, why, text == NULL ? exit_text(why) : text, w->end.ready_ms);
	worker_move(w, to);
	uvx_timer_stop(&w->pulse_timer);
	/* Closing the channel is the cut; the kill is clean-up. */
	close_channel(w);
	if (to == WORKER_ENDING) {
		hosts_kill_worker(d, p->host, w->id);
	}
	plugin_ref(p);
	tell(w)->cut(w);
	/* Why it ended is said by its pluginhost, when that is there. */
	if (d->stopping || !hosts_ready(d, p->host)) {
		worker_finish(w, why);
	}
	plugin_unref(p);
}

void worker_end(struct worker *w, enum worker_exit why, const char *text)
{
	if (w->state < WORKER_DYING) {
		cut(w, WORKER_ENDING, why, text);
	}
}

void worker_died(struct worker *w)
{
	if (w->state < WORKER_DYING) {
		live(w, LIFE_EXITED);
	}
}

void worker_finish(struct worker *w, enum worker_exit why)
{
	struct plugin *p = w->plugin;
	struct director *d = w->director;
	struct worker_end end = w->end;
	invariant(w->state >= WORKER_DYING);
	end.why = why;
	HASH_DELETE(hh, d->workers, w);
	DL_DELETE(p->workers, w);
	plugin_ref(p);
	worker_free(w);
	d->on_worker->ended(p, &end);
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
	w->used_ms = uv_now(w->director->loop);
	x->worker = w;
}

void worker_remove_work(struct worker *w, struct work *x)
{
	tell(w)->work_ended(w, x->id);
	w->work[x->id % WORKER_CALL_SLOTS] = NULL;
	w->running--;
	w->abandoned -= x->abandoned ? 1 : 0;
	w->used_ms = uv_now(w->director->loop);
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
	} else {
		live(w, LIFE_CLOSED);
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
		unasked += f.type == MSG_CALL || f.type == MSG_LOG || f.type == MSG_CREDIT ? 1 : 0;
		frames[f.type].handle(w, &f);
		/* A handler may end the worker, and free it. */
		HASH_FIND(hh, d->workers, &id, sizeof(id), w);
		if (w == NULL || w->state >= WORKER_DYING) {
			return;
		}
	}
	if (r == FRAME_MALFORMED) {
		worker_violation(w, "a malformed frame");
		return;
	}
	settle(w);
	if (w->state < WORKER_DYING) {
		charge_frames(w, unasked);
	}
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
	live(w, LIFE_HELLO);
}

static void handle_ready(struct worker *w, const struct frame *f)
{
	struct msg_ready m;
	if (!msg_ready_decode(f->payload, &m) || !json_scan_is_object(m.info)) {
		worker_violation(w, "a malformed READY");
		return;
	}
	if (w->waits) {
		worker_violation(w, "a frame out of order");
		return;
	}
	if (m.ok == 0) {
		configure_load_error(w, m.info);
		worker_end(w, EXITED_LOAD, w->plugin->load_error);
		return;
	}
	w->waits = true;
	w->loaded = true;
	if (tell(w)->loaded(w, m.info) == WORKER_GOES_ON) {
		worker_go_on(w);
	}
}

static void handle_pong(struct worker *w, const struct frame *f)
{
	beat(w, PULSE_PONG);
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

static void handle_stream(struct worker *w, const struct frame *f)
{
	tell(w)->stream(w, f);
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
	/* A call that it names is one of its own plugin, and may be over. */
	const struct work *x = worker_find_work(w, f->call_id);
	struct log_field fields[5] = {
		{ "plugin", plugin_slice(w->plugin) },
		{ "logger", m.logger },
		{ "text", m.message },
	};
	size_t n = 3;
	if (x != NULL && x->request_id.n > 0) {
		fields[n++] = (struct log_field){ "request_id", x->request_id };
	}
	if (x != NULL && x->trace_id.n > 0) {
		fields[n++] = (struct log_field){ "trace_id", x->trace_id };
	}
	log_fields(level, "plugin.log", fields, n, "plugin record");
}
