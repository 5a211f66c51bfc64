#include "director/execute/history.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "director/director.h"

#include <stdio.h>

static int append_text(struct buffer *b, const char *name, struct slice text)
{
	int r = buffer_printf(b, "\"%s\":", name);
	return r < 0          ? r
		: text.n == 0 ? buffer_append(b, SLICE("null"))
			      : buffer_append_json(b, text);
}

static int append_call(struct buffer *b, const struct call *c, uint64_t now_ns)
{
	int r = b->n == 1 ? 0 : buffer_append_byte(b, ',');
	r = r < 0 ? r : buffer_append_byte(b, '{');
	r = r < 0 ? r : append_text(b, "request_id", slice_str(c->request_id));
	r = r < 0 ? r : buffer_append_byte(b, ',');
	r = r < 0 ? r : append_text(b, "user", c->user == NULL ? SLICE_NULL : c->user->user_id);
	/* What the quarantine knows it by; the body itself is nobody's business. */
	char fingerprint[24] = "";
	if (c->request != 0) {
		(void)snprintf(fingerprint, sizeof(fingerprint), "%016llx",
			(unsigned long long)c->request);
	}
	r = r < 0 ? r : buffer_append_byte(b, ',');
	r = r < 0 ? r : append_text(b, "fingerprint", slice_str(fingerprint));
	return r < 0 ? r
		     : buffer_printf(b, ",\"kind\":\"%s\",\"ms\":%llu}",
			       c->message == MSG_EVENT ? "event" : "execute",
			       (unsigned long long)((now_ns - c->submitted_ns) / 1000000));
}

/* The calls that had no answer yet, the abandoned ones too: it may have died of one of those. */
static char *calls_of(const struct worker *w)
{
	struct buffer b;
	uint64_t now = uv_hrtime();
	unsigned named = 0;
	buffer_init(&b, EXIT_JSON_MAX);
	int r = buffer_append_byte(&b, '[');
	for (size_t i = 0; i < WORKER_CALL_SLOTS && named < w->running; i++) {
		if (w->work[i] != NULL && named < EXIT_CALLS_MAX) {
			r = r < 0 ? r : append_call(&b, call_of_work(w->work[i]), now);
			named++;
		}
	}
	r = r < 0 ? r : buffer_append_byte(&b, ']');
	char *text = r < 0 || named == 0 ? NULL : slice_dup(buffer_slice(&b));
	buffer_deinit(&b);
	return text;
}

static char *log_of(const struct worker *w)
{
	struct buffer b;
	if (w->log_tail.text.n == 0) {
		return NULL;
	}
	/* A byte of the log is at most six of JSON. */
	buffer_init(&b, (size_t)8 * w->log_tail.text.limit);
	int r = log_tail_append_json(&w->log_tail, &b);
	char *text = r < 0 ? NULL : slice_dup(buffer_slice(&b));
	buffer_deinit(&b);
	return text;
}

void worker_note_exit(
	const struct worker *w, enum worker_exit why, const char *text, uint64_t ready_ms)
{
	struct exit_entry e = {
		.worker = w->id,
		.at_ms = clock_unix_ms(),
		.ready_ms = ready_ms,
		.why = why,
		.calls = w->running,
		.calls_json = calls_of(w),
		.log_json = log_of(w),
	};
	memcpy(e.version, w->version, sizeof(e.version));
	(void)snprintf(e.text, sizeof(e.text), "%s", text);
	exits_add(&w->plugin->exits, &e);
}

static void log_exit(const struct plugin *p, const struct exit_entry *e)
{
	char id[24];
	(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)e->worker);
	struct log_field fields[] = {
		{ "plugin", plugin_slice(p) },
		{ "worker", slice_str(id) },
		{ "why", slice_str(exit_name(e->why)) },
		{ "reason", slice_str(e->text) },
	};
	bool normal = exit_class(e->why) == EXIT_IS_NORMAL;
	log_fields(normal ? LOG_INFO : LOG_WARNING, "worker.exit_reason", fields, 4,
		"a worker exited");
}

const struct exit_entry *history_complete(
	struct director *d, uint64_t worker, struct exit_report *report)
{
	struct plugin *p;
	struct plugin *next;
	HASH_ITER (hh, d->registry.plugins, p, next) {
		const struct exit_entry *e = exits_complete(&p->exits, worker, report);
		if (e != NULL) {
			log_exit(p, e);
			return e;
		}
	}
	return NULL;
}
