#include "director/events/events.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/json/tree.h"
#include "director/director.h"
#include "director/execute/dispatch.h"

#include <errno.h>
#include <stdlib.h>

enum {
	NAME_MAX_BYTES = 128,
	/* What an event has beside its data: names, escaped, and numbers. */
	EVENT_HEADER_MAX = 8192,
	DROPS_REPORT_MS = 1000,
};

struct subscription {
	struct subscription *prev, *next;
	struct plugin *plugin;
	uint64_t worker; /* the one that asked last */
	size_t n;
	bool prefix; /* the pattern ended in `*`, which is not kept */
	uint8_t pattern[];
};

struct events {
	struct director *director;
	struct subscription *subscriptions;
	uint64_t published;
};

int events_new(struct events **ret, struct director *d)
{
	struct events *e = calloc(1, sizeof(*e));
	if (e == NULL) {
		return -ENOMEM;
	}
	e->director = d;
	*ret = e;
	return 0;
}

struct events *events_free(struct events *e)
{
	if (e != NULL) {
		struct subscription *s;
		struct subscription *next;
		DL_FOREACH_SAFE (e->subscriptions, s, next) {
			free(s);
		}
		free(e);
	}
	return NULL;
}

static bool is_name(struct slice name)
{
	if (name.n == 0 || name.n > NAME_MAX_BYTES) {
		return false;
	}
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] != ':' && !slice_is_name(slice_of(name.p + i, 1), 1)) {
			return false;
		}
	}
	return true;
}

static bool matches(const struct subscription *s, struct slice name)
{
	struct slice pattern = slice_of(s->pattern, s->n);
	return s->prefix ? slice_starts(name, pattern) : slice_eq(name, pattern);
}

bool events_wanted(const struct events *e, struct slice name)
{
	const struct subscription *s;
	DL_FOREACH (e->subscriptions, s) {
		if (matches(s, name)) {
			return true;
		}
	}
	return false;
}

static void on_delivered(struct call *c, enum call_end end, const struct msg_result *result)
{
	struct plugin *p = c->plugin;
	p->events_pending--;
	if (end == CALL_END_RESULT && result->outcome == RESULT_VALUE) {
		return;
	}
	struct slice answer = end == CALL_END_RESULT ? result->body : SLICE("none");
	if (!log_budget_take(
		    &p->log_budget, answer.n + LOG_RECORD_COST, uv_now(p->director->loop))) {
		return;
	}
	struct log_field fields[] = {
		{ "plugin", plugin_slice(p) },
		{ "answer", answer },
	};
	log_fields(LOG_WARNING, "event.handler_failed", fields, 2, "an event's handler failed");
}

/* Told at most once a second, however many there are. */
static void count_dropped(const struct events *e, struct plugin *p)
{
	uint64_t now_ms = uv_now(e->director->loop);
	bool told = p->events_dropped > 0 && now_ms - p->events_told_ms < DROPS_REPORT_MS;
	p->events_dropped++;
	if (told) {
		return;
	}
	p->events_told_ms = now_ms;
	log_fields(LOG_WARNING, "event.dropped",
		(struct log_field[]){ { "plugin", plugin_slice(p) } }, 1,
		"more than %llu events are on their way to this plugin (MOZAIKS_EVENT_QUEUE): %llu were "
		"dropped so far",
		(unsigned long long)e->director->settings->event_queue,
		(unsigned long long)p->events_dropped);
}

static void deliver(struct events *e,
	struct plugin *p,
	struct user_context *user,
	unsigned depth,
	struct slice event)
{
	const struct settings *s = e->director->settings;
	if (p->events_pending >= s->event_queue) {
		count_dropped(e, p);
		return;
	}
	struct call *c = call_new(e->director);
	if (c == NULL) {
		return;
	}
	c->user = user == NULL ? NULL : user_context_ref(user);
	c->done = on_delivered;
	c->event_depth = depth;
	p->events_pending++;
	if (dispatch_event(c, p, event, (unsigned)s->event_ms) < 0) {
		p->events_pending--;
		call_free(c);
	}
}

static int append_event(const struct events *e,
	struct slice name,
	struct slice publisher,
	const struct user_context *user,
	struct slice data,
	struct buffer *out)
{
	int r = buffer_append(out, SLICE("{\"event\":"));
	r = r < 0 ? r : buffer_append_json(out, name);
	r = r < 0 ? r : buffer_append(out, SLICE(",\"publisher\":"));
	r = r < 0 ? r : buffer_append_json(out, publisher);
	r = r < 0 ? r : buffer_append(out, SLICE(",\"user_id\":"));
	r = r < 0              ? r
		: user == NULL ? buffer_append(out, SLICE("null"))
			       : buffer_append_json(out, user->user_id);
	r = r < 0 ? r
		  : buffer_printf(out, ",\"sequence\":%llu,\"time_ms\":%lld,\"data\":",
			    (unsigned long long)e->published, (long long)clock_unix_ms());
	r = r < 0 ? r : buffer_append(out, data);
	return r < 0 ? r : buffer_append_byte(out, '}');
}

static int publish(struct events *e,
	struct slice publisher,
	struct slice name,
	struct user_context *user,
	unsigned depth,
	struct slice data)
{
	struct buffer event;
	buffer_init(&event, data.n + EVENT_HEADER_MAX);
	e->published++;
	int r = append_event(e, name, publisher, user, data, &event);
	struct subscription *s;
	struct subscription *next;
	DL_FOREACH_SAFE (e->subscriptions, s, next) {
		struct plugin *p = s->plugin;
		/* Once for each plugin, however many of its workers or patterns match. */
		if (r == 0 && p->event_mark != e->published && matches(s, name)) {
			p->event_mark = e->published;
			deliver(e, p, user, depth, buffer_slice(&event));
		}
	}
	buffer_deinit(&event);
	return r;
}

void events_publish_core(
	struct events *e, struct slice name, struct user_context *user, struct slice data)
{
	(void)publish(e, SLICE("core"), name, user, 1, data);
}

int events_publish(struct events *e,
	struct slice plugin,
	struct slice name,
	struct user_context *user,
	unsigned depth,
	struct slice data)
{
	if (!is_name(name)) {
		return EVENTS_BAD_NAME;
	}
	if (name.n <= plugin.n + 1 || !slice_starts(name, plugin) ||
		(name.p[plugin.n] != ':' && name.p[plugin.n] != '.')) {
		return EVENTS_FOREIGN_NAME;
	}
	if (depth >= e->director->settings->event_depth) {
		return EVENTS_TOO_DEEP;
	}
	return publish(e, plugin, name, user, depth + 1, data);
}

int events_subscribe(struct events *e, struct worker *w, struct slice pattern)
{
	bool prefix = pattern.n > 0 && pattern.p[pattern.n - 1] == '*';
	struct slice text = slice_of(pattern.p, prefix ? pattern.n - 1 : pattern.n);
	if (!(prefix && text.n == 0) && !is_name(text)) {
		return EVENTS_BAD_NAME;
	}
	unsigned count = 0;
	struct subscription *s;
	DL_FOREACH (e->subscriptions, s) {
		if (s->plugin != w->plugin) {
			continue;
		}
		if (s->prefix == prefix && slice_eq(slice_of(s->pattern, s->n), text)) {
			s->worker = w->id;
			return EVENTS_OK;
		}
		count++;
	}
	if (count >= e->director->settings->event_subscriptions) {
		return EVENTS_TOO_MANY;
	}
	s = malloc(sizeof(*s) + text.n);
	if (s == NULL) {
		return -ENOMEM;
	}
	*s = (struct subscription){
		.plugin = w->plugin, .worker = w->id, .n = text.n, .prefix = prefix
	};
	memcpy(s->pattern, text.p, text.n);
	DL_APPEND(e->subscriptions, s);
	return EVENTS_OK;
}

/* All of a plugin but what this worker asked for. */
static void unsubscribe(struct events *e, const struct plugin *p, uint64_t but)
{
	struct subscription *s;
	struct subscription *next;
	DL_FOREACH_SAFE (e->subscriptions, s, next) {
		if (s->plugin == p && s->worker != but) {
			DL_DELETE(e->subscriptions, s);
			free(s);
		}
	}
}

int events_subscribe_ready(struct events *e, struct worker *w, struct slice info)
{
	json_t *tree = NULL;
	int r = json_tree_parse(info, &tree, NULL);
	const json_t *list = json_object_get(tree, "subscriptions");
	r = r == 0 && list != NULL && !json_is_array(list) ? -EBADMSG : r;
	if (r == 0 && json_array_size(list) > 0 &&
		!w->plugin->manifest.granted[CAP_EVENTS_SUBSCRIBE]) {
		log_fields(LOG_WARNING, "capability.denied",
			(struct log_field[]){ { "plugin", plugin_slice(w->plugin) },
				{ "permission", SLICE("events.subscribe") } },
			2, "asked for, not granted");
		list = NULL;
	}
	/* The first of a version, or after a time without a worker, says it anew. */
	if (w->plugin->n_ready == 0 || w->plugin->subscribed != w->generation) {
		unsubscribe(e, w->plugin, w->id);
		w->plugin->subscribed = w->generation;
	}
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		if (r == 0) {
			r = json_is_string(item) ? events_subscribe(e, w,
							   slice_of(json_string_value(item),
								   json_string_length(item)))
						 : -EBADMSG;
			r = r > 0 && r != EVENTS_TOO_MANY ? -EBADMSG : r;
		}
	}
	json_decref(tree);
	return r;
}

void events_unsubscribe_plugin(struct events *e, const struct plugin *p)
{
	unsubscribe(e, p, 0);
}
