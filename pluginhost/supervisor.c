#include "pluginhost/supervisor.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/uvx/timer.h"
#include "pluginhost/exit_reason.h"
#include "pluginhost/generation.h"
#include "pluginhost/logpipe.h"
#include "pluginhost/spec.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GOOD_CHECK_MS = 1000, SWEEP_TICKS = 10, PENDING_RETRY_MS = 20, FLAVOURS = 2 };

/*
 * One START. PENDING: the zygote's queue was full, or it is being started again; the descriptors wait
 * with it. RUNNING: with the
 * zygote, which will report its end. A dropped one is not reported.
 */
enum run_state { RUN_PENDING, RUN_RUNNING };

struct run {
	/* The director's number, and ours with the zygote. */
	uint64_t id;
	uint64_t inner;
	enum run_state state;
	bool dropped;
	bool kill_wanted;
	bool good;
	char plugin[PLUGIN_ID_SIZE];
	char version[VERSION_SIZE];
	struct worker_limits limits;
	enum worker_flavour flavour;
	/* NULL while it waits for the next one. */
	struct generation *generation;
	/* Since when it is ready; 0: it is not. */
	uint64_t serves_ms;
	struct log_budget *budget;
	struct logpipe *out;
	struct logpipe *err;
	/* What it wrote last to both. */
	struct log_tail tail;
	/* Dead of SIGSYS, and the call's name is still looked for; then this is why it ended. */
	bool dying;
	unsigned tries;
	pid_t pid;
	struct exit_reason why;
	/* What the zygote gets; -1 once it has it. */
	int channel_fd;
	int out_fd;
	int err_fd;
	UT_hash_handle hh;    /* by inner */
	UT_hash_handle hh_id; /* by id; not when dropped */
};

struct flavour {
	struct supervisor *s;
	enum worker_flavour which;
	struct generation *current;
	uint64_t backoff_ms;
	struct uvx_timer retry;
	/* How long it runs. */
	uint64_t wait_ms;
	/* The retry timer runs. */
	bool waiting;
	/* What the canary of the last one found: no plugin may be started. */
	char unsafe[256];
};

struct supervisor {
	struct supervisor_config config;
	struct flavour flavours[FLAVOURS];
	struct generation *generations;
	struct run *runs;
	struct run *runs_by_id;
	struct log_budgets budgets;
	uint64_t last_inner;
	unsigned pending;
	struct uvx_timer pending_timer;
	/* Looks for the names of denied system calls. */
	struct uvx_timer denied_timer;
	struct uvx_timer good_timer;
	unsigned ticks;
	/* Pipes and generations that are closing. */
	unsigned closing_parts;
	bool stopping;
	struct uvx_timer stop_timer;
	struct uvx_closing closing;
	uvx_closed_fn closed;
	void *closed_arg;
};

static void check_stopped(struct supervisor *s);

/* Log pipes */

static void supervisor_on_pipe_closed(void *arg)
{
	struct supervisor *s = arg;
	s->closing_parts--;
	check_stopped(s);
}

static void close_pipe(struct supervisor *s, struct logpipe **l)
{
	if (*l != NULL) {
		s->closing_parts++;
		logpipe_close(*l, supervisor_on_pipe_closed, s);
		*l = NULL;
	}
}

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
}

/* Runs */

static void report(struct supervisor *s, uint64_t id, const struct exit_reason *reason)
{
	struct buffer b;
	buffer_init(&b, EXIT_REASON_JSON_MAX);
	if (exit_reason_append(&b, reason) == 0) {
		s->config.exited(s->config.context, id, buffer_slice(&b));
	}
	buffer_deinit(&b);
}

static void report_failed(
	struct supervisor *s, uint64_t id, enum worker_end why, const char *message)
{
	const struct exit_reason reason = { .reason = why, .message = message };
	log_event(LOG_WARNING, "worker.start_failed", "worker %llu: %s", (unsigned long long)id,
		message);
	report(s, id, &reason);
}

static void report_failed_start(struct supervisor *s, uint64_t id, const char *message)
{
	report_failed(s, id, WORKER_ENDED_START, message);
}

static void run_free(struct supervisor *s, struct run *r)
{
	close_fd(&r->channel_fd);
	close_fd(&r->out_fd);
	close_fd(&r->err_fd);
	close_pipe(s, &r->out);
	close_pipe(s, &r->err);
	log_budgets_unref(&s->budgets, r->budget);
	log_tail_deinit(&r->tail);
	free(r);
}

/* Out of the tables, told, and gone. */
static void run_end(struct supervisor *s, struct run *r, const struct exit_reason *reason)
{
	char plugin[PLUGIN_ID_SIZE];
	char version[VERSION_SIZE];
	memcpy(plugin, r->plugin, sizeof(plugin));
	memcpy(version, r->version, sizeof(version));
	uint64_t id = r->id;
	bool dropped = r->dropped;
	HASH_DEL(s->runs, r);
	if (!dropped) {
		HASH_DELETE(hh_id, s->runs_by_id, r);
	}
	s->pending -= r->state == RUN_PENDING;
	/* What it said last comes before why it ended, and with it. */
	close_pipe(s, &r->out);
	close_pipe(s, &r->err);
	if (!dropped) {
		struct exit_reason full = *reason;
		full.output = &r->tail;
		report(s, id, &full);
	}
	run_free(s, r);
	if (!supervisor_uses(s, plugin, version)) {
		s->config.released(s->config.context, plugin);
	}
}

static int open_pipes(struct supervisor *s, struct run *r)
{
	struct logpipe_config c = {
		.loop = s->config.loop,
		.plugin = r->plugin,
		.version = r->version,
		.stream = "stdout",
		.worker_id = r->id,
		.line_max = s->config.settings->log_line,
		.tail = &r->tail,
	};
	log_tail_init(&r->tail, s->config.settings->log_tail);
	r->budget = log_budgets_ref(&s->budgets, r->plugin);
	if (r->budget == NULL) {
		return -ENOMEM;
	}
	c.budget = r->budget;
	int e = logpipe_new(&r->out, &c, &r->out_fd);
	c.stream = "stderr";
	return e < 0 ? e : logpipe_new(&r->err, &c, &r->err_fd);
}

/* Hands it to its zygote. @return 0; -EAGAIN: later; another negative errno. */
static int give_to_zygote(struct run *r, enum worker_profile profile)
{
	const struct worker_start start = {
		.worker_id = r->inner,
		.plugin = r->plugin,
		.version = r->version,
		.profile = profile,
		.limits = r->limits,
		.channel_fd = r->channel_fd,
		.stdout_fd = r->out_fd,
		.stderr_fd = r->err_fd,
	};
	int e = zygote_start_worker(r->generation->zygote, &start);
	if (e == 0) {
		r->state = RUN_RUNNING;
		close_fd(&r->channel_fd);
		close_fd(&r->out_fd);
		close_fd(&r->err_fd);
	}
	return e;
}

static enum worker_profile profile_of(enum worker_flavour f)
{
	return f == WORKER_PYTHON ? PROFILE_PYTHON : PROFILE_NATIVE;
}

static const char *explain_start(int e)
{
	switch (e) {
	case -EUSERS:
		return "all uids of the block are in use";
	case -EPIPE:
		return "the zygote is gone; it is being restarted";
	default:
		return strerror(-e);
	}
}

static void run_fail(struct supervisor *s, struct run *r, enum worker_end why, const char *message)
{
	const struct exit_reason reason = { .reason = why, .message = message };
	log_event(LOG_WARNING, "worker.start_failed", "worker %llu of %s: %s",
		(unsigned long long)r->id, r->plugin, message);
	run_end(s, r, &reason);
}

/* Takes `channel_fd`. */
static struct run *run_new(struct supervisor *s,
	uint64_t id,
	const struct start_spec *spec,
	enum worker_flavour f,
	int channel_fd)
{
	struct run *r = calloc(1, sizeof(*r));
	if (r == NULL) {
		(void)close(channel_fd);
		return NULL;
	}
	r->id = id;
	r->inner = ++s->last_inner;
	r->limits = spec->limits;
	r->flavour = f;
	r->channel_fd = channel_fd;
	r->out_fd = -1;
	r->err_fd = -1;
	memcpy(r->plugin, spec->plugin, sizeof(r->plugin));
	memcpy(r->version, spec->version, sizeof(r->version));
	HASH_ADD(hh, s->runs, inner, sizeof(r->inner), r);
	if (r->hh.tbl == NULL) {
		run_free(s, r);
		return NULL;
	}
	HASH_ADD(hh_id, s->runs_by_id, id, sizeof(r->id), r);
	if (r->hh_id.tbl == NULL) {
		HASH_DEL(s->runs, r);
		run_free(s, r);
		return NULL;
	}
	s->pending++;
	return r;
}

static struct run *find_run(const struct supervisor *s, uint64_t id)
{
	struct run *r;
	HASH_FIND(hh_id, s->runs_by_id, &id, sizeof(id), r);
	return r;
}

static void run_try(struct supervisor *s, struct run *r)
{
	if (r->generation == NULL) {
		r->generation = s->flavours[r->flavour].current;
	}
	if (r->generation == NULL) {
		return;
	}
	int e = give_to_zygote(r, profile_of(r->flavour));
	if (e == 0) {
		s->pending--;
	} else if (e == -EAGAIN) {
		uvx_timer_once(&s->pending_timer, PENDING_RETRY_MS);
	} else {
		run_fail(s, r, WORKER_ENDED_START, explain_start(e));
	}
}

static void retry_pending(struct supervisor *s)
{
	struct run *r;
	struct run *next;
	if (s->pending == 0) {
		return;
	}
	HASH_ITER (hh, s->runs, r, next) {
		if (r->state == RUN_PENDING) {
			run_try(s, r);
		}
	}
}

static void supervisor_on_pending_timer(void *arg)
{
	retry_pending(arg);
}

/* Generations */

static int start_generation(struct flavour *flavour);

static void flavour_on_retry(void *arg)
{
	struct flavour *flavour = arg;
	flavour->waiting = false;
	(void)start_generation(flavour);
}

/* A short pause is not worth a failed start: it is the zygote's doing, not the plugin's. */
static bool is_soon_back(const struct flavour *flavour)
{
	return flavour->waiting && flavour->wait_ms <= GENERATION_HOLD_MS &&
		flavour->unsafe[0] == '\0' && !flavour->s->stopping;
}

static void fail_waiting_runs(struct flavour *flavour)
{
	struct supervisor *s = flavour->s;
	struct run *r;
	struct run *next;
	HASH_ITER (hh, s->runs, r, next) {
		if (r->generation == NULL && r->flavour == flavour->which) {
			run_fail(s, r, WORKER_ENDED_START, explain_start(-EPIPE));
		}
	}
}

static void schedule_generation(struct flavour *flavour)
{
	flavour->waiting = true;
	flavour->wait_ms = flavour->backoff_ms;
	uvx_timer_once(&flavour->retry, flavour->backoff_ms);
	if (!is_soon_back(flavour)) {
		fail_waiting_runs(flavour);
	}
	flavour->backoff_ms = flavour->backoff_ms * 2 > GENERATION_BACKOFF_MAX_MS
		? GENERATION_BACKOFF_MAX_MS
		: flavour->backoff_ms * 2;
}

static void supervisor_on_generation_closed(void *arg)
{
	struct supervisor *s = arg;
	s->closing_parts--;
	check_stopped(s);
}

static void explain_end(const struct zygote_event *e, char out[static 512])
{
	int n = e->signal != 0 ? snprintf(out, 512, "signal %d", e->signal)
			       : snprintf(out, 512, "status %d", e->status);
	if (e->message[0] != '\0' && n > 0) {
		(void)snprintf(out + n, 512 - (size_t)n, ": %s", e->message);
	}
}

static bool end_denied(struct supervisor *s, struct run *r);

/* What the zygote did not report, or what waits for a name, is told now. */
static void end_runs_of(struct supervisor *s, const struct generation *g)
{
	struct run *r;
	struct run *next;
	HASH_ITER (hh, s->runs, r, next) {
		if (r->generation == g && r->dying) {
			r->tries = DENIED_TRIES;
			(void)end_denied(s, r);
		} else if (r->generation == g) {
			run_fail(s, r, WORKER_ENDED_ZYGOTE, "");
		}
	}
}

static void note_sandbox(struct flavour *flavour, const char *unsafe)
{
	if (strcmp(flavour->unsafe, unsafe) != 0) {
		struct supervisor *s = flavour->s;
		(void)snprintf(flavour->unsafe, sizeof(flavour->unsafe), "%s", unsafe);
		s->config.sandbox_changed(s->config.context);
	}
}

static void generation_ended(
	struct supervisor *s, struct generation *g, const struct zygote_event *e)
{
	struct flavour *flavour = &s->flavours[g->config.zygote.flavour];
	if (!s->stopping) {
		char why[512];
		explain_end(e, why);
		log_event(LOG_ERROR, "zygote.ended", "the %s zygote ended (%s)",
			flavour_name(flavour->which), why);
	}
	if (flavour->current == g) {
		flavour->current = NULL;
		note_sandbox(flavour, e->reason == WORKER_ENDED_SANDBOX ? e->message : "");
		if (clock_ms() - g->started_ms >= GENERATION_GOOD_MS) {
			flavour->backoff_ms = GENERATION_BACKOFF_MIN_MS;
		}
		if (!s->stopping) {
			schedule_generation(flavour);
		}
	}
	end_runs_of(s, g);
	DL_DELETE(s->generations, g);
	s->closing_parts++;
	generation_close(g, supervisor_on_generation_closed, s);
}

static void worker_started(struct supervisor *s, const struct zygote_event *e)
{
	struct run *r;
	HASH_FIND(hh, s->runs, &e->worker_id, sizeof(e->worker_id), r);
	if (r == NULL) {
		return;
	}
	char pid[16];
	(void)snprintf(pid, sizeof(pid), "%d", (int)e->pid);
	const struct log_field fields[] = { { "plugin", slice_str(r->plugin) },
		{ "pid", slice_str(pid) }, { "sandbox", e->report } };
	log_fields(LOG_INFO, "worker.started", fields, 3, "worker %llu", (unsigned long long)r->id);
}

static void log_and_end(struct supervisor *s, struct run *r, const struct exit_reason *reason)
{
	char text[EXIT_REASON_TEXT_MAX];
	exit_reason_text(reason, text);
	const struct log_field fields[] = { { "plugin", slice_str(r->plugin) } };
	log_fields(reason->reason == WORKER_ENDED_KILLED ? LOG_INFO : LOG_WARNING, "worker.exited",
		fields, 1, "worker %llu: %s", (unsigned long long)r->id, text);
	run_end(s, r, reason);
}

/* @return true when the run is over: its name was found, or it is given up. */
static bool end_denied(struct supervisor *s, struct run *r)
{
	char name[DENIED_NAME_MAX] = "";
	if (!denied_take(s->config.denied, r->pid, name) && s->config.denied->fd >= 0 &&
		++r->tries < DENIED_TRIES && !s->stopping) {
		return false;
	}
	struct exit_reason why = r->why;
	why.syscall = name;
	log_and_end(s, r, &why);
	return true;
}

static void supervisor_on_denied_timer(void *arg)
{
	struct supervisor *s = arg;
	bool more = false;
	struct run *r;
	struct run *next;
	HASH_ITER (hh, s->runs, r, next) {
		more = (r->dying && !end_denied(s, r)) || more;
	}
	if (more) {
		uvx_timer_once(&s->denied_timer, DENIED_TRY_MS);
	}
}

static void worker_exited(struct supervisor *s, const struct zygote_event *e)
{
	struct run *r;
	HASH_FIND(hh, s->runs, &e->worker_id, sizeof(e->worker_id), r);
	if (r == NULL) {
		return;
	}
	struct exit_reason reason = {
		.reason = e->reason,
		.signal = e->signal,
		.status = e->status,
		.message = e->message,
		.memory_limit = r->limits.memory_bytes,
		.all_memory_percent = (unsigned)s->config.settings->all_memory_percent,
		.memory_peak = e->usage.memory_peak_bytes,
		.cpu_us = e->usage.cpu_us,
	};
	if (e->reason == WORKER_ENDED_SIGNAL && e->signal == SIGSYS) {
		r->dying = true;
		r->pid = e->pid;
		r->why = reason;
		/* The event's text is gone by then; SIGSYS has none. */
		r->why.message = "";
		if (!end_denied(s, r)) {
			uvx_timer_once(&s->denied_timer, DENIED_TRY_MS);
		}
		return;
	}
	log_and_end(s, r, &reason);
}

static void supervisor_on_event(struct generation *g, const struct zygote_event *e)
{
	struct supervisor *s = g->config.owner;
	switch (e->type) {
	case ZYGOTE_READY:
		note_sandbox(&s->flavours[g->config.zygote.flavour], "");
		break;
	case ZYGOTE_WORKER_STARTED:
		worker_started(s, e);
		break;
	case ZYGOTE_WORKER_EXITED:
		worker_exited(s, e);
		break;
	case ZYGOTE_SPARE_ENDED:
		/* Nobody's: the generation has logged it and sees to another. */
		break;
	case ZYGOTE_ENDED:
		generation_ended(s, g, e);
		break;
	}
}

static void supervisor_on_drained(struct generation *g)
{
	retry_pending(g->config.owner);
}

static int start_generation(struct flavour *flavour)
{
	struct supervisor *s = flavour->s;
	const struct supervisor_config *c = &s->config;
	const struct generation_config config = {
		.loop = c->loop,
		.settings = c->settings,
		.zygote = { .host = c->host,
			.flavour = flavour->which,
			.program_fd = c->program_fd,
			.python_fd = c->python_fd,
			.snapshots_path = c->snapshots_path },
		.on_event = supervisor_on_event,
		.on_drained = supervisor_on_drained,
		.owner = s,
	};
	struct generation *g;
	int r = generation_new(&g, &config);
	if (r < 0) {
		log_event(LOG_ERROR, "zygote.start", "the %s zygote cannot be started: %s",
			flavour_name(flavour->which), strerror(-r));
		schedule_generation(flavour);
		return r;
	}
	DL_APPEND(s->generations, g);
	flavour->current = g;
	retry_pending(s);
	return 0;
}

/* Orders */

static struct generation *generation_for(struct supervisor *s, enum worker_flavour f)
{
	struct flavour *flavour = &s->flavours[f];
	if (flavour->current == NULL && !flavour->waiting) {
		(void)start_generation(flavour);
	}
	return flavour->current;
}

static void start_checked(
	struct supervisor *s, uint64_t id, const struct start_spec *spec, enum worker_flavour f)
{
	if (generation_for(s, f) == NULL && !is_soon_back(&s->flavours[f])) {
		const char *unsafe = s->flavours[f].unsafe;
		report_failed(s, id, unsafe[0] != '\0' ? WORKER_ENDED_SANDBOX : WORKER_ENDED_START,
			unsafe[0] != '\0' ? unsafe : explain_start(-EPIPE));
		return;
	}
	int fd = spec_connect(s->config.run_path, spec->socket);
	if (fd < 0) {
		char message[128];
		(void)snprintf(message, sizeof(message),
			"the worker's channel cannot be connected: %s",
			fd == -EXDEV ? "it is not in our run directory" : strerror(-fd));
		report_failed_start(s, id, message);
		return;
	}
	struct run *r = run_new(s, id, spec, f, fd);
	if (r == NULL) {
		report_failed_start(s, id, strerror(ENOMEM));
		return;
	}
	int e = open_pipes(s, r);
	if (e < 0) {
		run_fail(s, r, WORKER_ENDED_START, strerror(-e));
		return;
	}
	run_try(s, r);
}

void supervisor_start_worker(struct supervisor *s, uint64_t worker_id, struct slice spec)
{
	struct start_spec parsed;
	struct json_why why = { "" };
	if (find_run(s, worker_id) != NULL) {
		log_event(LOG_ERROR, "worker.start_twice", "START for worker %llu, which lives",
			(unsigned long long)worker_id);
		return;
	}
	if (!spec_parse(spec, s->config.settings, &parsed, &why)) {
		report_failed_start(s, worker_id, why.text);
		return;
	}
	if (HASH_COUNT(s->runs) >= s->config.settings->workers_max) {
		char message[96];
		(void)snprintf(message, sizeof(message),
			"%llu workers run already (MOZAIKS_WORKERS_MAX)",
			(unsigned long long)s->config.settings->workers_max);
		report_failed_start(s, worker_id, message);
		return;
	}
	if (s->config.host == NULL) {
		const struct exit_reason reason = { .reason = WORKER_ENDED_SANDBOX,
			.message = s->config.host_failure };
		report(s, worker_id, &reason);
		return;
	}
	switch (s->config.kind_of(s->config.context, parsed.plugin, parsed.version)) {
	case PLUGIN_MOZAIKS:
		start_checked(s, worker_id, &parsed, WORKER_PYTHON);
		return;
	case PLUGIN_NATIVE:
		start_checked(s, worker_id, &parsed, WORKER_NATIVE);
		return;
	case PLUGIN_NEXUS:
	case PLUGIN_DOTMAC:
		report_failed_start(
			s, worker_id, "plugins of this kind are not supported by this version");
		return;
	case PLUGIN_UNKNOWN:
		report_failed_start(s, worker_id, "there is no such version of this plugin");
		return;
	}
}

static void kill_run(struct supervisor *s, struct run *r)
{
	static const struct exit_reason killed = { .reason = WORKER_ENDED_KILLED, .message = "" };
	r->kill_wanted = true;
	if (r->state == RUN_PENDING) {
		run_end(s, r, &killed);
	} else {
		/* -ESRCH: its end is on its way. */
		(void)zygote_kill_worker(r->generation->zygote, r->inner);
	}
}

void supervisor_kill_worker(struct supervisor *s, uint64_t worker_id)
{
	struct run *r = find_run(s, worker_id);
	/* Unknown: it ended meanwhile, EXITED is on its way. */
	if (r != NULL) {
		kill_run(s, r);
	}
}

void supervisor_worker_serves(struct supervisor *s, uint64_t worker_id)
{
	struct run *r = find_run(s, worker_id);
	if (r != NULL && r->serves_ms == 0) {
		r->serves_ms = clock_ms();
	}
}

/* Fields that are 0 stay. */
static void merge_limits(struct worker_limits *l, const struct worker_limits *more)
{
	l->memory_bytes = more->memory_bytes != 0 ? more->memory_bytes : l->memory_bytes;
	l->processes = more->processes != 0 ? more->processes : l->processes;
	l->cpu_percent = more->cpu_percent != 0 ? more->cpu_percent : l->cpu_percent;
}

void supervisor_limit_worker(struct supervisor *s, uint64_t worker_id, struct slice limits)
{
	struct run *r = find_run(s, worker_id);
	struct worker_limits parsed;
	struct json_why why = { "" };
	if (r == NULL) {
		return;
	}
	if (!spec_parse_limits(limits, s->config.settings, &parsed, &why)) {
		log_event(LOG_WARNING, "worker.limits", "LIMITS of worker %llu: %s",
			(unsigned long long)worker_id, why.text);
		return;
	}
	int e = r->state == RUN_PENDING
		? 0
		: zygote_limit_worker(r->generation->zygote, r->inner, &parsed);
	if (e < 0 && e != -ESRCH) {
		log_event(LOG_WARNING, "worker.limits", "LIMITS of worker %llu: %s",
			(unsigned long long)worker_id, strerror(-e));
		return;
	}
	merge_limits(&r->limits, &parsed);
}

void supervisor_drop_workers(struct supervisor *s)
{
	struct run *r;
	struct run *next;
	HASH_ITER (hh, s->runs, r, next) {
		if (!r->dropped) {
			HASH_DELETE(hh_id, s->runs_by_id, r);
			r->dropped = true;
		}
		kill_run(s, r);
	}
}

bool supervisor_uses(const struct supervisor *s, const char *plugin, const char *version)
{
	for (const struct run *r = s->runs; r != NULL; r = r->hh.next) {
		if (strcmp(r->plugin, plugin) == 0 && strcmp(r->version, version) == 0) {
			return true;
		}
	}
	return false;
}

const char *supervisor_sandbox_failure(const struct supervisor *s)
{
	if (s->config.host == NULL) {
		return s->config.host_failure;
	}
	for (int f = 0; f < FLAVOURS; f++) {
		if (s->flavours[f].unsafe[0] != '\0') {
			return s->flavours[f].unsafe;
		}
	}
	return NULL;
}

bool supervisor_is_ready(const struct supervisor *s)
{
	const struct generation *g = s->flavours[WORKER_PYTHON].current;
	return g != NULL && g->ready;
}

/* Good versions */

static void supervisor_on_good_timer(void *arg)
{
	struct supervisor *s = arg;
	uint64_t now_ms = clock_ms();
	if (s->config.host != NULL && ++s->ticks % SWEEP_TICKS == 0) {
		(void)cgroup_sweep(&s->config.host->cgroup);
	}
	struct run *r;
	struct run *next;
	HASH_ITER (hh, s->runs, r, next) {
		if (!r->good && !r->dying && r->serves_ms != 0 &&
			now_ms - r->serves_ms >= s->config.settings->good_ms) {
			r->good = true;
			s->config.good(s->config.context, r->plugin, r->version);
		}
	}
}

/* Life */

int supervisor_new(struct supervisor **ret, const struct supervisor_config *config)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return -ENOMEM;
	}
	s->config = *config;
	s->budgets.rate = config->settings->log_rate;
	s->budgets.burst = config->settings->log_burst;
	for (int f = 0; f < FLAVOURS; f++) {
		struct flavour *flavour = &s->flavours[f];
		flavour->s = s;
		flavour->which = f == 0 ? WORKER_PYTHON : WORKER_NATIVE;
		flavour->backoff_ms = GENERATION_BACKOFF_MIN_MS;
		uvx_timer_init(&flavour->retry, config->loop, flavour_on_retry, flavour);
	}
	uvx_timer_init(&s->pending_timer, config->loop, supervisor_on_pending_timer, s);
	uvx_timer_init(&s->denied_timer, config->loop, supervisor_on_denied_timer, s);
	uvx_timer_init(&s->good_timer, config->loop, supervisor_on_good_timer, s);
	uvx_timer_every(&s->good_timer, GOOD_CHECK_MS);
	*ret = s;
	return 0;
}

int supervisor_start(struct supervisor *s)
{
	return s->config.host == NULL ? -ENOTSUP : start_generation(&s->flavours[WORKER_PYTHON]);
}

static void supervisor_on_closed(void *arg)
{
	struct supervisor *s = arg;
	uvx_closed_fn closed = s->closed;
	void *closed_arg = s->closed_arg;
	free(s);
	if (closed != NULL) {
		closed(closed_arg);
	}
}

static void check_stopped(struct supervisor *s)
{
	if (!s->stopping || s->generations != NULL || s->closing_parts > 0 || s->runs != NULL ||
		s->closing.left > 0) {
		return;
	}
	uvx_closing_begin(&s->closing, supervisor_on_closed, s);
	for (int f = 0; f < FLAVOURS; f++) {
		uvx_timer_close(
			&s->flavours[f].retry, uvx_closing_one, uvx_closing_add(&s->closing));
	}
	uvx_timer_close(&s->pending_timer, uvx_closing_one, uvx_closing_add(&s->closing));
	uvx_timer_close(&s->denied_timer, uvx_closing_one, uvx_closing_add(&s->closing));
	uvx_timer_close(&s->good_timer, uvx_closing_one, uvx_closing_add(&s->closing));
	uvx_timer_close(&s->stop_timer, uvx_closing_one, uvx_closing_add(&s->closing));
	uvx_closing_one(&s->closing);
}

/* Time is up: zygote_free() waits for what is left. */
static void supervisor_on_stop_timer(void *arg)
{
	struct supervisor *s = arg;
	struct generation *g;
	struct generation *next;
	DL_FOREACH_SAFE (s->generations, g, next) {
		if (!g->ended) {
			const struct zygote_event e = { .type = ZYGOTE_ENDED };
			generation_ended(s, g, &e);
		}
	}
}

void supervisor_close(struct supervisor *s, uvx_closed_fn closed, void *arg)
{
	if (s->stopping) {
		return;
	}
	s->stopping = true;
	s->closed = closed;
	s->closed_arg = arg;
	uvx_timer_init(&s->stop_timer, s->config.loop, supervisor_on_stop_timer, s);
	uvx_timer_once(&s->stop_timer, SUPERVISOR_STOP_MS);
	supervisor_drop_workers(s);
	struct generation *g;
	DL_FOREACH (s->generations, g) {
		zygote_stop(g->zygote);
	}
	check_stopped(s);
}
