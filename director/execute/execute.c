#include "director/execute/execute.h"

#include "common/base/error.h"
#include "common/base/limiter.h"
#include "common/base/log.h"
#include "common/json/scan.h"
#include "director/director.h"
#include "director/events/events.h"
#include "director/execute/answer.h"
#include "director/execute/dispatch.h"
#include "director/execute/execution.h"
#include "director/execute/shed.h"
#include "director/execute/streams.h"
#include "director/hosts/control.h"
#include "director/hosts/supervise.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { DETAIL_MAX = 1024 };

static const char not_json[] = "returned something that is not JSON";

struct execution *execution_new(struct director *d,
	struct user_context *user,
	const struct execution_client *client,
	void *owner)
{
	struct execution *x = calloc(1, sizeof(*x));
	if (x != NULL) {
		*x = (struct execution){
			.director = d,
			.client = client,
			.client_owner = owner,
			.user = user_context_ref(user),
		};
	}
	return x;
}

struct execution *execution_free(struct execution *x)
{
	if (x != NULL) {
		invariant(x->call == NULL);
		x->user = user_context_unref(x->user);
		if (x->plugin != NULL) {
			plugin_unref(x->plugin);
		}
		execution_stream_free(x->stream);
		if (x->kept != NULL) {
			idempotency_release(x->kept);
		}
		free(x);
	}
	return NULL;
}

/* The client hears why there is no result. It may free the execution. */
void execution_problem(struct execution *x,
	int status,
	const char *code,
	unsigned retry_after_s,
	const char *format,
	...)
{
	char detail[DETAIL_MAX];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	size_t length = n < 0 ? 0 : (size_t)n < sizeof(detail) ? (size_t)n : sizeof(detail) - 1;
	struct execution_problem p = {
		.status = status,
		.code = code,
		.retry_after_s = retry_after_s,
		.detail = slice_of(detail, length),
	};
	x->client->problem(x->client_owner, &p);
}

static struct slice request_id(const struct execution *x)
{
	return x->client->request_id(x->client_owner);
}

static void no_memory(struct execution *x)
{
	execution_problem(x, 503, "out_of_memory", 1, "No memory for this request now");
}

static unsigned seconds_of(uint64_t ms)
{
	return ms < 1000 ? 1 : (unsigned)((ms + 999) / 1000);
}

bool execution_find_plugin(struct execution *x, struct slice name)
{
	struct director *d = x->director;
	struct plugin *p = registry_find(&d->registry, name);
	if (p == NULL || !p->enabled || p->gone) {
		execution_problem(x, 404, "plugin_not_found", 0,
			"Plugin '%.*s' not found or disabled",
			name.n > PLUGIN_ID_MAX ? PLUGIN_ID_MAX : (int)name.n, (const char *)name.p);
	} else if (p->version[0] == '\0' && p->n_ready + p->n_starting == 0) {
		execution_problem(
			x, 503, "plugin_unavailable", 60, "Plugin '%s' cannot be started", p->id);
	} else if (p->n_ready == 0 && hosts_sandbox_failure(d, p->host) != NULL) {
		execution_problem(x, 503, "sandbox_unavailable", 60,
			"Plugin '%s' cannot be started: there is no sandbox for it", p->id);
	} else if (!supervise_takes_calls(p)) {
		execution_problem(x, 503, "plugin_unavailable", seconds_of(plugin_wait_ms(p)),
			"Plugin '%s' is not running; it will be started again", p->id);
	} else if (memory_is_short(&d->memory, uv_now(d->loop))) {
		execution_problem(x, 503, "memory_short", 1,
			"The runtime uses %llu MiB, more than %d %% of its %llu MiB "
			"(MOZAIKS_MEMORY_HIGH)",
			(unsigned long long)d->memory.used >> 20, MEMORY_SHORT_PERCENT,
			(unsigned long long)d->memory.high >> 20);
	} else {
		plugin_ref(p);
		x->plugin = p;
		return true;
	}
	return false;
}

/* When those that wait for a busy plugin will have been served. */
static unsigned busy_for_s(const struct plugin *p)
{
	unsigned waiting;
	const struct work *x;
	DL_COUNT(p->waiting, x, waiting);
	return shed_retry_after_s(waiting, p->service_us, p->n_ready * p->manifest.concurrency);
}

/* Step 4 refused: say which limit it was. */
static void answer_not_admitted(struct execution *x, int result)
{
	const struct admit_limits *limits = &x->director->admission.limits;
	const struct plugin *p = x->plugin;
	switch (result) {
	case ADMIT_USER_FULL:
		execution_problem(x, 429, "too_many_requests", 1,
			"More than %u requests of this user are in flight "
			"(MOZAIKS_MAX_INFLIGHT_PER_USER)",
			limits->per_user);
		break;
	case ADMIT_PLUGIN_FULL:
		execution_problem(x, 503, "plugin_overloaded", busy_for_s(p),
			"More than %u requests to plugin '%s' are in flight "
			"(MOZAIKS_MAX_INFLIGHT_PER_PLUGIN)",
			limits->per_plugin, p->id);
		break;
	case ADMIT_FULL:
		execution_problem(x, 503, "overloaded", 1,
			"More than %u requests are in flight (MOZAIKS_MAX_INFLIGHT)",
			limits->total);
		break;
	default:
		no_memory(x);
	}
}

static void on_done(struct call *c, enum call_end end, const struct msg_result *result);

static void answer_quarantined(struct execution *x)
{
	execution_problem(x, 500, "request_quarantined", 0,
		"This request crashed plugin '%s' again and again and is refused for a while "
		"(MOZAIKS_QUARANTINE_CRASHES)",
		x->plugin->id);
}

static void answer_slowed(struct execution *x, uint64_t wait_ms)
{
	execution_problem(x, 429, "too_many_crashes", seconds_of(wait_ms),
		"More than %llu requests of this user have crashed plugin '%s' "
		"(MOZAIKS_QUARANTINE_USER_CRASHES)",
		(unsigned long long)x->director->settings->quarantine.user_crashes, x->plugin->id);
}

/* What the quarantine says of it. */
static enum quarantine_verdict ask_quarantine(
	struct execution *x, struct call *c, struct slice body, uint64_t *ret_wait_ms)
{
	struct director *d = x->director;
	/* A reset forgets its requests: they get other hashes from then on. */
	char key[PLUGIN_ID_MAX + 16];
	int n = snprintf(key, sizeof(key), "%s %u", x->plugin->id, x->plugin->resets);
	struct slice plugin = slice_of(key, (size_t)n);
	c->request = quarantine_request(d->quarantine, plugin, SLICE("POST /api/execute"), body);
	c->user_key = quarantine_user(d->quarantine, plugin, x->user->user_id);
	return quarantine_ask(d->quarantine, c->request, c->user_key, uv_now(d->loop), ret_wait_ms);
}

static void give_up(struct execution *x, struct call *c)
{
	admit_leave(&x->director->admission, c->admitted, &x->plugin->inflight);
	c->admitted = NULL;
	call_free(c);
}

/* @return true, or false with the time until the next one is allowed. */
static bool take_rate(struct execution *x,
	struct limiter *limiter,
	const char *name,
	struct slice key,
	uint64_t *ret_retry_ms)
{
	struct limit_state state;
	if (limiter == NULL) {
		return true;
	}
	struct limit limit = limiter_limit(limiter);
	limiter_take(limiter, key, uv_now(x->director->loop), &state);
	const struct http_quota quota = {
		.name = name,
		.n = limit.n,
		.window_s = (unsigned)(limit.window_ms / 1000),
		.left = state.left,
		.full_s = (unsigned)((state.full_ms + 999) / 1000),
	};
	if (x->client->quota != NULL) {
		x->client->quota(x->client_owner, &quota);
	}
	*ret_retry_ms = state.retry_ms;
	return state.allowed;
}

/* @return false after answering. */
static bool take_rates(struct execution *x)
{
	struct director *d = x->director;
	uint64_t retry_ms;
	if (!take_rate(x, d->user_rates, "user", x->user->user_id, &retry_ms)) {
		execution_problem(x, 429, "too_many_requests", seconds_of(retry_ms),
			"More than %llu requests a minute of this user (MOZAIKS_RATE_PER_USER)",
			(unsigned long long)limiter_limit(d->user_rates).n);
		return false;
	}
	if (!take_rate(x, d->plugin_rates, "plugin", plugin_slice(x->plugin), &retry_ms)) {
		x->plugin->counters.shed++;
		execution_problem(x, 503, "plugin_overloaded", seconds_of(retry_ms),
			"More than %llu requests a minute to plugin '%s' (MOZAIKS_RATE_PER_PLUGIN)",
			(unsigned long long)limiter_limit(d->plugin_rates).n, x->plugin->id);
		return false;
	}
	return true;
}

/* Steps 4 to 6 for a body that was checked. */
static void admit_and_dispatch(
	struct execution *x, struct slice body, bool repeatable, uint8_t work_flags)
{
	struct director *d = x->director;
	if (!take_rates(x)) {
		return;
	}
	struct call *c = call_new(d);
	if (c != NULL) {
		c->stream_events = &execution_stream_events;
	}
	if (c == NULL || (work_flags != 0 && streams_prepare(c, work_flags) < 0)) {
		no_memory(x);
		if (c != NULL) {
			call_free(c);
		}
		return;
	}
	int result = admit_enter(&d->admission, x->user, &x->plugin->inflight, &c->admitted);
	if (result != ADMIT_OK) {
		x->plugin->counters.shed++;
		call_free(c);
		answer_not_admitted(x, result);
		return;
	}
	uint64_t wait_ms = 0;
	switch (ask_quarantine(x, c, body, &wait_ms)) {
	case QUARANTINE_CLEAN:
		break;
	case QUARANTINE_ALONE:
		c->watched = true;
		break;
	case QUARANTINE_REFUSED:
		give_up(x, c);
		answer_quarantined(x);
		return;
	case QUARANTINE_SLOWED:
		give_up(x, c);
		answer_slowed(x, wait_ms);
		return;
	}
	c->user = user_context_ref(x->user);
	c->repeatable = repeatable;
	c->done = on_done;
	c->owner = x;
	call_set_request_id(c, request_id(x));
	if (x->client->trace != NULL) {
		call_set_trace(c, x->client->trace(x->client_owner));
	}
	x->call = c;
	unsigned timeout = x->plugin->manifest.timeout_ms;
	timeout = timeout == 0 ? (unsigned)d->settings->plugin_ms : timeout;
	int sent = dispatch_execute(c, x->plugin, d->injector, timeout);
	if (x->told_running != NULL) {
		*x->told_running = sent == 0;
		x->told_running = NULL;
	}
	if (sent < 0) {
		x->call = NULL;
		give_up(x, c);
		execution_problem(x, 503, "plugin_overloaded", 1,
			"Plugin '%s' does not take requests fast enough: more than %llu bytes wait for "
			"it (MOZAIKS_MAX_CHANNEL_BYTES)",
			x->plugin->id, (unsigned long long)d->settings->channel_bytes);
	}
}

static void run(struct execution *x, struct slice body, bool repeatable, uint8_t work_flags)
{
	char why[256];
	int result = inject_check(x->director->injector, body, why);
	if (result < 0) {
		no_memory(x);
	} else if (result != INJECT_OK) {
		execution_problem(x, 400, "invalid_json", 0, "%s", why);
	} else {
		admit_and_dispatch(x, body, repeatable, work_flags);
	}
}

void execution_run(struct execution *x, struct slice body, bool repeatable)
{
	run(x, body, repeatable, 0);
}

bool execution_takes_uploads(const struct execution *x)
{
	return x->plugin->manifest.uploads;
}

static bool run_with_stream(
	struct execution *x, struct slice data, uint8_t work_flags, size_t message_bytes)
{
	bool running = false;
	x->stream = execution_stream_new(message_bytes);
	if (x->stream == NULL) {
		no_memory(x);
		return false;
	}
	x->told_running = &running;
	run(x, data, false, work_flags);
	return running;
}

bool execution_run_with_body(struct execution *x, struct slice data)
{
	return run_with_stream(x, data, WORK_BODY, 0);
}

bool execution_run_socket(struct execution *x, struct slice data, size_t message_bytes)
{
	return run_with_stream(x, data, WORK_SOCKET, message_bytes);
}

int execution_begin_once(struct execution *x,
	struct slice key,
	struct slice body,
	struct idempotency_answer *ret_answer)
{
	struct director *d = x->director;
	uint64_t hash = quarantine_request(
		d->quarantine, plugin_slice(x->plugin), SLICE("Idempotency-Key"), body);
	return idempotency_begin(d->idempotency, plugin_slice(x->plugin), x->user->user_id, key,
		hash, uv_now(d->loop), &x->kept, ret_answer);
}

void execution_keep(struct execution *x, const struct http_response *response)
{
	if (x->kept != NULL) {
		idempotency_finish(
			x->kept, response->status, response->body, uv_now(x->director->loop));
		x->kept = NULL;
	}
}

void execution_abandon(struct execution *x)
{
	struct call *c = x->call;
	x->call = NULL;
	if (c != NULL) {
		dispatch_abandon(c);
	}
}

void execution_answer_value(struct execution *x, struct slice text)
{
	struct answer a;
	const char *why = NULL;
	if (text.n > x->director->settings->response_bytes) {
		execution_problem(x, 502, "plugin_response_too_large", 0,
			"Plugin '%s' answered with more than %llu bytes (MOZAIKS_MAX_RESPONSE_BYTES)",
			x->plugin->id, (unsigned long long)x->director->settings->response_bytes);
		return;
	}
	if (answer_judge(text, &a, &why) < 0) {
		execution_problem(x, 502, "plugin_bad_response", 0,
			"Plugin '%s' did not answer with JSON: %s", x->plugin->id,
			why == NULL ? "malformed" : why);
		return;
	}
	struct http_response response = { .status = a.status, .body = { slice_of(text.p, a.cut) } };
	struct buffer tail;
	buffer_init(&tail, a.error.n + 64);
	if (a.add_detail) {
		int e = buffer_append(&tail, SLICE(",\"detail\":"));
		e = e < 0 ? e : buffer_append(&tail, a.error);
		e = e < 0 ? e : buffer_append_byte(&tail, '}');
		if (e < 0) {
			buffer_deinit(&tail);
			execution_problem(
				x, 503, "out_of_memory", 1, "No memory for this answer now");
			return;
		}
		response.body[1] = buffer_slice(&tail);
	}
	x->client->respond(x->client_owner, &response);
	buffer_deinit(&tail);
}

static void log_failure(struct execution *x, const char *id, const char *what, struct slice body)
{
	struct log_field fields[] = {
		{ "plugin", plugin_slice(x->plugin) },
		{ "request_id", request_id(x) },
		{ "exception", body },
	};
	log_fields(LOG_ERROR, id, fields, 3, "execute() %s", what);
}

void execution_log_exception(struct execution *x, struct slice body)
{
	log_failure(x, "plugin.exception", "raised", body);
}

/* What went wrong in the plugin is for its author: in the log, and in the answer in development. */
static void answer_failure(
	struct execution *x, int status, const char *code, const char *what, struct slice body)
{
	struct slice id = request_id(x);
	if (x->director->settings->environment == ENV_DEVELOPMENT) {
		struct buffer extra;
		buffer_init(&extra, body.n + 64);
		int e = buffer_append(&extra, SLICE("\"exception\":"));
		e = e < 0 ? e : buffer_append(&extra, body);
		struct json_failure failure;
		enum json_kind kind;
		if (e == 0 && json_scan(body, NULL, NULL, &kind, &failure) == 0) {
			char detail[DETAIL_MAX];
			int n = snprintf(
				detail, sizeof(detail), "Plugin '%s' %s", x->plugin->id, what);
			struct execution_problem p = {
				.status = status,
				.code = code,
				.extra = buffer_slice(&extra),
				.detail = slice_of(detail, (size_t)n),
			};
			x->client->problem(x->client_owner, &p);
			buffer_deinit(&extra);
			return;
		}
		buffer_deinit(&extra);
	}
	execution_problem(x, status, code, 0,
		"Plugin '%s' %s; the log has the details under request %.*s", x->plugin->id, what,
		(int)id.n, (const char *)id.p);
}

static void answer_result(struct execution *x, const struct msg_result *m)
{
	const char *id = x->plugin->id;
	switch ((enum result_outcome)m->outcome) {
	case RESULT_VALUE:
		execution_answer_value(x, m->body);
		return;
	case RESULT_EXCEPTION:
		execution_log_exception(x, m->body);
		answer_failure(x, 500, "plugin_exception", "raised an exception", m->body);
		return;
	case RESULT_UNSERIALISABLE:
		log_failure(x, "plugin.bad_response", not_json, m->body);
		answer_failure(x, 502, "plugin_bad_response", not_json, m->body);
		return;
	case RESULT_TOO_LARGE:
		execution_problem(x, 502, "plugin_response_too_large", 0,
			"Plugin '%s' answered with more than %llu bytes (MOZAIKS_MAX_RESPONSE_BYTES)",
			id, (unsigned long long)x->director->settings->response_bytes);
		return;
	case RESULT_NO_ENTRY:
		execution_problem(x, 404, "plugin_has_no_execute", 0,
			"Plugin '%s' has no execute() or run()", id);
		return;
	case RESULT_CANCELLED:
		execution_problem(
			x, 503, "plugin_cancelled", 1, "Plugin '%s' gave up the call", id);
		return;
	}
	execution_problem(
		x, 502, "plugin_bad_response", 0, "Plugin '%s' answered in an unknown way", id);
}

/* Step 9. */
static void publish_outcome(struct execution *x, const struct call *c, bool failed)
{
	struct director *d = x->director;
	struct slice name = failed ? SLICE("plugin_execution_error") : SLICE("plugin_executed");
	if (!events_wanted(d->events, name)) {
		return;
	}
	struct buffer data;
	buffer_init(&data, 4096);
	int e = buffer_append(&data, SLICE("{\"app_id\":"));
	e = e < 0 ? e : buffer_append_json(&data, d->app_id);
	e = e < 0 ? e : buffer_append(&data, SLICE(",\"plugin\":"));
	e = e < 0 ? e : buffer_append_json(&data, plugin_slice(x->plugin));
	e = e < 0 ? e : buffer_append(&data, SLICE(",\"user\":"));
	e = e < 0 ? e : buffer_append_json(&data, x->user->user_id);
	e = e < 0 ? e
		  : buffer_printf(&data, ",\"execution_time\":%.6f}",
			    (double)(uv_hrtime() - c->submitted_ns) / 1e9);
	if (e == 0) {
		events_publish_core(d->events, name, x->user, buffer_slice(&data));
	}
	buffer_deinit(&data);
}

static void on_done(struct call *c, enum call_end end, const struct msg_result *result)
{
	struct execution *x = c->owner;
	struct plugin *p = x->plugin;
	x->call = NULL;
	if (end == CALL_END_RESULT && x->client->timing != NULL &&
		x->director->settings->server_timing) {
		x->client->timing(x->client_owner, "queue", c->sent_ns - c->submitted_ns);
		x->client->timing(x->client_owner, "plugin", uv_hrtime() - c->sent_ns);
	}
	publish_outcome(x, c, end != CALL_END_RESULT || result->outcome != RESULT_VALUE);
	if (x->stream != NULL && execution_stream_done(x, c, end, result)) {
		return;
	}
	switch (end) {
	case CALL_END_RESULT:
		answer_result(x, result);
		break;
	case CALL_END_DEADLINE:
		execution_problem(x, 504, "plugin_timeout", 0,
			"Plugin '%s' did not answer within its deadline (%s)", p->id,
			c->stream != NULL && c->stream->over != NULL
				? c->stream->over
				: "MOZAIKS_PLUGIN_TIMEOUT_SECONDS");
		break;
	case CALL_END_DIED:
		execution_problem(
			x, 502, "plugin_died", 0, "Plugin '%s' died during the call", p->id);
		break;
	case CALL_END_STOPPED:
		execution_problem(x, 502, "plugin_stopped", 0,
			"Plugin '%s' was stopped or replaced during the call", p->id);
		break;
	case CALL_END_SHED:
		execution_problem(x, 503, "plugin_overloaded", busy_for_s(p),
			"Plugin '%s' is busy: the request waited longer than %g s, or half of its "
			"deadline (MOZAIKS_MAX_WAIT_SECONDS)",
			p->id, (double)x->director->settings->wait_ms / 1000);
		break;
	case CALL_END_QUARANTINED:
		answer_quarantined(x);
		break;
	case CALL_END_UNAVAILABLE:
		execution_problem(x, 503, "plugin_unavailable", seconds_of(plugin_wait_ms(p)),
			"Plugin '%s' is not running; it will be started again", p->id);
		break;
	}
}
