#include "director/execute/execute.h"

#include "common/base/log.h"
#include "common/json/scan.h"
#include "director/director.h"
#include "director/events/events.h"
#include "director/execute/answer.h"
#include "director/execute/dispatch.h"
#include "director/execute/shed.h"
#include "director/hosts/control.h"
#include "director/hosts/supervise.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What a request has found on its way, from its head to its answer. */
struct execution {
	struct director *director;
	struct user_context *user;
	struct plugin *plugin;
	struct call *call; /* while it is with dispatch */
};

static void execution_free(void *arg)
{
	struct execution *x = arg;
	x->user = user_context_unref(x->user);
	plugin_unref(x->plugin);
	free(x);
}

struct user_context *execute_authenticate(struct director *d, struct http_request *r)
{
	struct user_context *user = NULL;
	int result = auth_verify(d->auth, http_request_header(r, SLICE("Authorization")), &user);
	if (result == AUTH_OK) {
		return user;
	}
	if (result < 0) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
	} else {
		http_problem(r, 401, result == AUTH_MISSING ? "not_authenticated" : "invalid_token",
			0, "%s", auth_result_text(result));
	}
	return NULL;
}

static unsigned seconds_of(uint64_t ms)
{
	return ms < 1000 ? 1 : (unsigned)((ms + 999) / 1000);
}

/* Step 3: a plugin that is known, enabled and not broken, or NULL after answering. */
static struct plugin *find_plugin(struct director *d, struct http_request *r)
{
	struct slice name = http_request_param(r, 0);
	struct plugin *p = registry_find(&d->registry, name);
	if (p == NULL || !p->enabled || p->gone) {
		http_problem(r, 404, "plugin_not_found", 0, "Plugin '%.*s' not found or disabled",
			name.n > PLUGIN_ID_MAX ? PLUGIN_ID_MAX : (int)name.n, (const char *)name.p);
		return NULL;
	}
	if (p->version[0] == '\0' && p->n_ready + p->n_starting == 0) {
		http_problem(
			r, 503, "plugin_unavailable", 60, "Plugin '%s' cannot be started", p->id);
		return NULL;
	}
	if (p->n_ready == 0 && hosts_sandbox_failure(d, p->host) != NULL) {
		http_problem(r, 503, "sandbox_unavailable", 60,
			"Plugin '%s' cannot be started: there is no sandbox for it", p->id);
		return NULL;
	}
	if (!supervise_takes_calls(p)) {
		http_problem(r, 503, "plugin_unavailable", seconds_of(plugin_wait_ms(p)),
			"Plugin '%s' is not running; it will be started again", p->id);
		return NULL;
	}
	if (memory_is_short(&d->memory, uv_now(d->loop))) {
		http_problem(r, 503, "memory_short", 1,
			"The runtime uses %llu MiB, more than %d %% of its %llu MiB "
			"(MOZAIKS_MEMORY_HIGH)",
			(unsigned long long)d->memory.used >> 20, MEMORY_SHORT_PERCENT,
			(unsigned long long)d->memory.high >> 20);
		return NULL;
	}
	return p;
}

static bool on_head(void *owner, struct http_request *r)
{
	struct director *d = owner;
	struct user_context *user = execute_authenticate(d, r);
	if (user == NULL) {
		return false;
	}
	struct plugin *p = find_plugin(d, r);
	struct execution *x = p == NULL ? NULL : calloc(1, sizeof(*x));
	if (x == NULL) {
		if (p != NULL) {
			http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
		}
		(void)user_context_unref(user);
		return false;
	}
	plugin_ref(p);
	*x = (struct execution){ .director = d, .user = user, .plugin = p };
	http_request_set_context(r, x, execution_free);
	return true;
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
static void answer_not_admitted(
	struct http_request *r, const struct director *d, int result, const struct plugin *p)
{
	const struct admit_limits *limits = &d->admission.limits;
	switch (result) {
	case ADMIT_USER_FULL:
		http_problem(r, 429, "too_many_requests", 1,
			"More than %u requests of this user are in flight "
			"(MOZAIKS_MAX_INFLIGHT_PER_USER)",
			limits->per_user);
		break;
	case ADMIT_PLUGIN_FULL:
		http_problem(r, 503, "plugin_overloaded", busy_for_s(p),
			"More than %u requests to plugin '%s' are in flight "
			"(MOZAIKS_MAX_INFLIGHT_PER_PLUGIN)",
			limits->per_plugin, p->id);
		break;
	case ADMIT_FULL:
		http_problem(r, 503, "overloaded", 1,
			"More than %u requests are in flight (MOZAIKS_MAX_INFLIGHT)",
			limits->total);
		break;
	default:
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
	}
}

static void on_done(struct call *c, enum call_end end, const struct msg_result *result);

static void answer_quarantined(struct http_request *r, const struct plugin *p)
{
	http_problem(r, 500, "request_quarantined", 0,
		"This request crashed plugin '%s' again and again and is refused for a while "
		"(MOZAIKS_QUARANTINE_CRASHES)",
		p->id);
}

/* What the quarantine says of it. @return false after answering. */
static bool may_try(struct execution *x, struct http_request *r, struct call *c, struct slice body)
{
	struct director *d = x->director;
	/* A reset forgets its requests: they get other hashes from then on. */
	char key[PLUGIN_ID_MAX + 16];
	int n = snprintf(key, sizeof(key), "%s %u", x->plugin->id, x->plugin->resets);
	struct slice plugin = slice_of(key, (size_t)n);
	uint64_t wait_ms = 0;
	c->request = quarantine_request(d->quarantine, plugin, SLICE("POST /api/execute"), body);
	c->user_key = quarantine_user(d->quarantine, plugin, x->user->user_id);
	switch (quarantine_ask(d->quarantine, c->request, c->user_key, uv_now(d->loop), &wait_ms)) {
	case QUARANTINE_CLEAN:
		return true;
	case QUARANTINE_ALONE:
		c->watched = true;
		return true;
	case QUARANTINE_REFUSED:
		answer_quarantined(r, x->plugin);
		return false;
	case QUARANTINE_SLOWED:
		http_problem(r, 429, "too_many_crashes", seconds_of(wait_ms),
			"More than %llu requests of this user have crashed plugin '%s' "
			"(MOZAIKS_QUARANTINE_USER_CRASHES)",
			(unsigned long long)d->settings->quarantine.user_crashes, x->plugin->id);
		return false;
	}
	return true;
}

/* Steps 4 to 6 for a body that was checked. */
static void admit_and_dispatch(struct execution *x, struct http_request *r, struct slice body)
{
	struct director *d = x->director;
	struct call *c = call_new(d);
	if (c == NULL) {
		answer_not_admitted(r, d, -ENOMEM, x->plugin);
		return;
	}
	int result = admit_enter(&d->admission, x->user, &x->plugin->inflight, &c->admitted);
	if (result != ADMIT_OK) {
		x->plugin->counters.shed++;
		call_free(c);
		answer_not_admitted(r, d, result, x->plugin);
		return;
	}
	if (!may_try(x, r, c, body)) {
		admit_leave(&d->admission, c->admitted, &x->plugin->inflight);
		c->admitted = NULL;
		call_free(c);
		return;
	}
	c->user = user_context_ref(x->user);
	c->repeatable = http_request_header(r, SLICE("Idempotency-Key")).n > 0;
	c->done = on_done;
	c->owner = r;
	call_set_request_id(c, http_request_id(r));
	x->call = c;
	unsigned timeout = x->plugin->manifest.timeout_ms;
	timeout = timeout == 0 ? (unsigned)d->settings->plugin_ms : timeout;
	int sent = dispatch_execute(c, x->plugin, d->injector, timeout);
	if (sent < 0) {
		x->call = NULL;
		admit_leave(&d->admission, c->admitted, &x->plugin->inflight);
		c->admitted = NULL;
		call_free(c);
		http_problem(r, 503, "plugin_overloaded", 1,
			"Plugin '%s' does not take requests fast enough: more than %llu bytes wait for "
			"it (MOZAIKS_MAX_CHANNEL_BYTES)",
			x->plugin->id, (unsigned long long)d->settings->channel_bytes);
	}
}

static void on_body(void *owner, struct http_request *r, struct slice body)
{
	struct director *d = owner;
	struct execution *x = http_request_context(r);
	char why[256];
	int result = inject_check(d->injector, body, why);
	if (result < 0) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
	} else if (result != INJECT_OK) {
		http_problem(r, 400, "invalid_json", 0, "%s", why);
	} else {
		admit_and_dispatch(x, r, body);
	}
}

static void on_abort(void *owner, struct http_request *r)
{
	struct execution *x = http_request_context(r);
	if (x != NULL && x->call != NULL) {
		struct call *c = x->call;
		x->call = NULL;
		dispatch_abandon(c);
	}
}

static void answer_value(struct execution *x, struct http_request *r, struct slice text)
{
	struct answer a;
	const char *why = NULL;
	if (text.n > x->director->settings->response_bytes) {
		http_problem(r, 502, "plugin_response_too_large", 0,
			"Plugin '%s' answered with more than %llu bytes (MOZAIKS_MAX_RESPONSE_BYTES)",
			x->plugin->id, (unsigned long long)x->director->settings->response_bytes);
		return;
	}
	if (answer_judge(text, &a, &why) < 0) {
		http_problem(r, 502, "plugin_bad_response", 0,
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
			http_problem(r, 503, "out_of_memory", 1, "No memory for this answer now");
			return;
		}
		response.body[1] = buffer_slice(&tail);
	}
	http_respond(r, &response);
	buffer_deinit(&tail);
}

/* What the plugin raised is for its author: in the log always, in the answer in development. */
static void answer_exception(struct execution *x, struct http_request *r, struct slice body)
{
	struct slice id = http_request_id(r);
	struct log_field fields[] = {
		{ "plugin", plugin_slice(x->plugin) },
		{ "request_id", id },
		{ "exception", body },
	};
	log_fields(LOG_ERROR, "plugin.exception", fields, 3, "execute() raised");
	if (x->director->settings->environment == ENV_DEVELOPMENT) {
		struct buffer extra;
		buffer_init(&extra, body.n + 64);
		int e = buffer_append(&extra, SLICE("\"exception\":"));
		e = e < 0 ? e : buffer_append(&extra, body);
		struct json_failure failure;
		enum json_kind kind;
		if (e == 0 && json_scan(body, NULL, NULL, &kind, &failure) == 0) {
			http_problem_extra(r, 500, "plugin_exception", buffer_slice(&extra),
				"Plugin '%s' raised an exception", x->plugin->id);
			buffer_deinit(&extra);
			return;
		}
		buffer_deinit(&extra);
	}
	http_problem(r, 500, "plugin_exception", 0,
		"Plugin '%s' failed; the log has the details under request %.*s", x->plugin->id,
		(int)id.n, (const char *)id.p);
}

static void answer_result(struct execution *x, struct http_request *r, const struct msg_result *m)
{
	const char *id = x->plugin->id;
	switch ((enum result_outcome)m->outcome) {
	case RESULT_VALUE:
		answer_value(x, r, m->body);
		return;
	case RESULT_EXCEPTION:
		answer_exception(x, r, m->body);
		return;
	case RESULT_UNSERIALISABLE:
		http_problem(r, 502, "plugin_bad_response", 0,
			"Plugin '%s' returned something that is not JSON", id);
		return;
	case RESULT_TOO_LARGE:
		http_problem(r, 502, "plugin_response_too_large", 0,
			"Plugin '%s' answered with more than %llu bytes (MOZAIKS_MAX_RESPONSE_BYTES)",
			id, (unsigned long long)x->director->settings->response_bytes);
		return;
	case RESULT_NO_ENTRY:
		http_problem(r, 404, "plugin_has_no_execute", 0,
			"Plugin '%s' has no execute() or run()", id);
		return;
	case RESULT_CANCELLED:
		http_problem(r, 503, "plugin_cancelled", 1, "Plugin '%s' gave up the call", id);
		return;
	}
	http_problem(
		r, 502, "plugin_bad_response", 0, "Plugin '%s' answered in an unknown way", id);
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
	struct http_request *r = c->owner;
	struct execution *x = http_request_context(r);
	struct plugin *p = x->plugin;
	x->call = NULL;
	publish_outcome(x, c, end != CALL_END_RESULT || result->outcome != RESULT_VALUE);
	switch (end) {
	case CALL_END_RESULT:
		answer_result(x, r, result);
		break;
	case CALL_END_DEADLINE:
		http_problem(r, 504, "plugin_timeout", 0,
			"Plugin '%s' did not answer within its deadline "
			"(MOZAIKS_PLUGIN_TIMEOUT_SECONDS)",
			p->id);
		break;
	case CALL_END_DIED:
		http_problem(r, 502, "plugin_died", 0, "Plugin '%s' died during the call", p->id);
		break;
	case CALL_END_SHED:
		http_problem(r, 503, "plugin_overloaded", busy_for_s(p),
			"Plugin '%s' is busy: the request waited longer than %g s, or half of its "
			"deadline (MOZAIKS_MAX_WAIT_SECONDS)",
			p->id, (double)x->director->settings->wait_ms / 1000);
		break;
	case CALL_END_QUARANTINED:
		answer_quarantined(r, p);
		break;
	case CALL_END_UNAVAILABLE:
		http_problem(r, 503, "plugin_unavailable", seconds_of(plugin_wait_ms(p)),
			"Plugin '%s' is not running; it will be started again", p->id);
		break;
	}
}

const struct http_handler execute_handler = {
	.on_head = on_head,
	.on_body = on_body,
	.on_abort = on_abort,
};
