#include "director/api/plugin_status.h"

#include "common/base/clock.h"
#include "common/base/map.h"
#include "director/director.h"
#include "director/hosts/control.h"
#include "director/hosts/supervise.h"
#include "director/hosts/worker.h"

/* Each appends one member and a comma; the last member of an object is written by its owner. */

static int append_text(struct buffer *b, const char *name, const char *value)
{
	int e = buffer_printf(b, "\"%s\":", name);
	e = e < 0                                   ? e
		: value == NULL || value[0] == '\0' ? buffer_append(b, SLICE("null"))
						    : buffer_append_json(b, slice_str(value));
	return e < 0 ? e : buffer_append_byte(b, ',');
}

static int append_number(struct buffer *b, const char *name, uint64_t value)
{
	return buffer_printf(b, "\"%s\":%llu,", name, (unsigned long long)value);
}

/* A number that is not known is null, not 0. */
static int append_known(struct buffer *b, const char *name, bool known, uint64_t value)
{
	return known ? append_number(b, name, value) : buffer_printf(b, "\"%s\":null,", name);
}

/* JSON text that was made or checked before. */
static int append_json(struct buffer *b, const char *name, const char *json, const char *absent)
{
	int e = buffer_printf(b, "\"%s\":", name);
	e = e < 0 ? e : buffer_append(b, slice_str(json == NULL ? absent : json));
	return e < 0 ? e : buffer_append_byte(b, ',');
}

/* Ends a list of members: its last comma becomes the bracket. */
static int close_members(struct buffer *b, int e)
{
	if (e == 0) {
		b->p[b->n - 1] = '}';
	}
	return e;
}

/* Whose calls it takes. */
static const char *tenant_json(enum tenant tenant)
{
	static const char *const names[] = {
		[TENANT_SHARED] = "\"all\"",
		[TENANT_USER] = "\"user\"",
		[TENANT_ALONE] = "\"call\"",
	};
	return names[tenant];
}

static int append_worker(const struct worker *w, struct buffer *b)
{
	uint64_t now = uv_now(w->director->loop);
	bool ready = w->ready_ms != 0;
	int e = buffer_append_byte(b, '{');
	e = e < 0 ? e : append_number(b, "id", w->id);
	e = e < 0 ? e : append_text(b, "state", worker_state_name(w->state));
	e = e < 0 ? e : append_text(b, "version", w->version);
	e = e < 0 ? e : append_json(b, "tenant", tenant_json(w->tenant), NULL);
	e = e < 0 ? e : append_text(b, "user", w->user);
	e = e < 0 ? e : append_number(b, "running", w->running);
	e = e < 0 ? e : append_number(b, "served", w->served);
	e = e < 0 ? e : append_known(b, "ready_ms", ready, ready ? now - w->ready_ms : 0);
	e = e < 0 ? e : append_json(b, "sandbox", w->report, "null");
	return close_members(b, e);
}

static int append_workers(const struct plugin *p, struct buffer *b)
{
	int e = buffer_append(b, SLICE("\"workers\":["));
	const struct worker *w;
	DL_FOREACH (p->workers, w) {
		e = e < 0 || w == p->workers ? e : buffer_append_byte(b, ',');
		e = e < 0 ? e : append_worker(w, b);
	}
	return e < 0 ? e : buffer_append(b, SLICE("],"));
}

static int append_counters(const struct plugin *p, struct buffer *b)
{
	const struct plugin_counters *c = &p->counters;
	const struct exits *x = &p->exits;
	int e = buffer_append(b, SLICE("\"counters\":{"));
	e = e < 0 ? e : append_number(b, "starts", c->starts);
	e = e < 0 ? e : append_number(b, "failed_starts", exits_count(x, EXIT_IS_FAILED));
	e = e < 0 ? e : append_number(b, "crashes", exits_count(x, EXIT_IS_CRASH));
	e = e < 0 ? e : append_number(b, "kills", exits_count(x, EXIT_IS_KILL));
	e = e < 0 ? e : append_number(b, "calls", c->calls);
	e = e < 0 ? e : append_number(b, "errors", c->errors);
	e = e < 0 ? e : append_number(b, "deadlines", c->deadlines);
	e = e < 0 ? e : append_number(b, "shed", c->shed);
	e = e < 0 ? e : append_known(b, "memory_peak", x->memory_peak > 0, x->memory_peak);
	e = close_members(b, e);
	return e < 0 ? e : buffer_append_byte(b, ',');
}

/* How often workers ended for which reason. */
static int append_reasons(const struct exits *x, struct buffer *b)
{
	int e = buffer_append(b, SLICE("\"exit_reasons\":{"));
	bool first = true;
	for (int i = 0; i < EXITS_N && e == 0; i++) {
		if (x->counts[i] > 0) {
			e = buffer_printf(b, "%s\"%s\":%llu", first ? "" : ",",
				exit_name((enum worker_exit)i), (unsigned long long)x->counts[i]);
			first = false;
		}
	}
	return e < 0 ? e : buffer_append(b, SLICE("},"));
}

static int append_exit(const struct exit_entry *x, struct buffer *b)
{
	char at[CLOCK_TEXT_SIZE];
	clock_text(x->at_ms, at);
	bool known = x->reported;
	int e = buffer_append_byte(b, '{');
	e = e < 0 ? e : append_text(b, "at", at);
	e = e < 0 ? e : append_number(b, "worker", x->worker);
	e = e < 0 ? e : append_text(b, "version", x->version);
	e = e < 0 ? e : append_text(b, "reason", exit_name(x->why));
	e = e < 0 ? e : append_text(b, "text", x->text);
	e = e < 0 ? e : append_text(b, "syscall", x->syscall);
	e = e < 0 ? e : append_known(b, "signal", x->signal > 0, (uint64_t)x->signal);
	e = e < 0 ? e : append_known(b, "status", known && x->signal == 0, (uint64_t)x->status);
	e = e < 0 ? e : append_number(b, "ready_ms", x->ready_ms);
	e = e < 0 ? e : append_known(b, "memory_peak", x->memory_peak > 0, x->memory_peak);
	e = e < 0 ? e : append_known(b, "cpu_ms", known, x->cpu_ms);
	e = e < 0 ? e : append_number(b, "in_flight", x->calls);
	e = e < 0 ? e : append_json(b, "calls", x->calls_json, "[]");
	e = e < 0 ? e : append_json(b, "log", x->log_json, "[]");
	e = e < 0 ? e : append_json(b, "output", x->output_json, "[]");
	return close_members(b, e);
}

static int append_last_exit(const struct exits *x, struct buffer *b)
{
	const struct exit_entry *last = exits_last_failure(x);
	int e = buffer_append(b, SLICE("\"last_exit\":"));
	e = e < 0 ? e : last == NULL ? buffer_append(b, SLICE("null")) : append_exit(last, b);
	return e < 0 ? e : buffer_append_byte(b, ',');
}

/* The newest first. */
static int append_exits(const struct exits *x, struct buffer *b)
{
	int e = buffer_append(b, SLICE("\"exits\":["));
	for (unsigned i = x->n; i > 0 && e == 0; i--) {
		e = i == x->n ? 0 : buffer_append_byte(b, ',');
		e = e < 0 ? e : append_exit(&x->entries[i - 1], b);
	}
	return e < 0 ? e : buffer_append(b, SLICE("],"));
}

/* The version that answers now; another one than `version` while that starts, or fails. */
static const char *serving_version(const struct plugin *p)
{
	const struct worker *w;
	DL_FOREACH (p->workers, w) {
		if (w->state == WORKER_READY) {
			return w->version;
		}
	}
	return NULL;
}

static int append_permissions(const struct plugin *p, struct buffer *b)
{
	int e = buffer_append(b, SLICE("\"permissions\":{\"granted\":"));
	e = e < 0 ? e : grants_append_json(&p->manifest, true, b);
	e = e < 0 ? e : buffer_append(b, SLICE(",\"asked\":"));
	e = e < 0 ? e : grants_append_json(&p->manifest, false, b);
	return e < 0 ? e : buffer_append(b, SLICE("},"));
}

int plugin_status_append(const struct plugin *p, enum plugin_status_view view, struct buffer *b)
{
	int e = buffer_append_byte(b, '{');
	e = e < 0 ? e : append_text(b, "id", p->id);
	e = e < 0 ? e : append_text(b, "name", p->manifest.display_name);
	e = e < 0 ? e : append_text(b, "kind", p->kind);
	e = e < 0 ? e : append_text(b, "version", p->version);
	e = e < 0 ? e : append_text(b, "serving", serving_version(p));
	e = e < 0 ? e : append_text(b, "state", plugin_state(p));
	e = e < 0 ? e : append_text(b, "error", plugin_error(p));
	e = e < 0 ? e : append_text(b, "pluginhost", p->host);
	e = e < 0 ? e : append_json(b, "enabled", p->enabled ? "true" : "false", NULL);
	e = e < 0 ? e : append_permissions(p, b);
	e = e < 0 ? e : append_number(b, "in_flight", p->inflight);
	e = e < 0 ? e : append_text(b, "breaker", breaker_state_name(p->breaker.state));
	e = e < 0 ? e : append_number(b, "retry_after_ms", plugin_wait_ms(p));
	e = e < 0 ? e : append_counters(p, b);
	e = e < 0 ? e : append_reasons(&p->exits, b);
	e = e < 0 ? e : append_last_exit(&p->exits, b);
	if (view == PLUGIN_STATUS_FULL) {
		e = e < 0 ? e : append_exits(&p->exits, b);
	}
	e = e < 0 ? e : append_workers(p, b);
	return close_members(b, e);
}

int plugin_status_append_all(const struct director *d, struct buffer *b)
{
	int e = buffer_append(b, SLICE("{\"plugins\":["));
	struct plugin *p;
	struct plugin *next;
	HASH_ITER (hh, d->registry.plugins, p, next) {
		e = e < 0 || p == d->registry.plugins ? e : buffer_append_byte(b, ',');
		e = e < 0 ? e : plugin_status_append(p, PLUGIN_STATUS_SHORT, b);
	}
	e = e < 0 ? e : buffer_append(b, SLICE("],\"pluginhosts\":"));
	e = e < 0 ? e : hosts_append_json(d, b);
	return e < 0 ? e : buffer_append_byte(b, '}');
}
