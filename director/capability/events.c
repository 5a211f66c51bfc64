/* events.publish and events.subscribe. */
#include "director/events/events.h"

#include "common/json/tree.h"
#include "director/capability/args.h"
#include "director/capability/capability.h"
#include "director/director.h"

#include <errno.h>

static void answer(struct capability_call *c, int result)
{
	struct slice plugin = capability_plugin(c);
	const struct settings *s = capability_director(c)->settings;
	switch (result) {
	case EVENTS_OK:
		capability_reply(c, SLICE("{}"));
		return;
	case EVENTS_BAD_NAME:
		capability_fail(c, "invalid_argument",
			"event: a name is 1 to 128 of the characters A-Z a-z 0-9 _ . : -");
		return;
	case EVENTS_FOREIGN_NAME:
		capability_fail(c, "permission_denied",
			"event: this plugin publishes names that start with '%.*s:' or '%.*s.'",
			(int)plugin.n, (const char *)plugin.p, (int)plugin.n,
			(const char *)plugin.p);
		return;
	case EVENTS_TOO_DEEP:
		capability_fail(c, "limit_exceeded",
			"event: handlers that publish for handlers, more than %llu deep "
			"(MOZAIKS_MAX_EVENT_DEPTH)",
			(unsigned long long)s->event_depth);
		return;
	case EVENTS_TOO_MANY:
		capability_fail(c, "limit_exceeded",
			"events: more than %llu subscriptions in one worker "
			"(MOZAIKS_MAX_EVENT_SUBSCRIPTIONS)",
			(unsigned long long)s->event_subscriptions);
		return;
	default:
		capability_fail(c, "unavailable", "no memory");
	}
}

static void publish(struct capability_call *c)
{
	struct args_field fields[] = {
		{ "event", ARGS_STRING, true, 0 },
		{ "data", ARGS_ANY, false, 0 },
	};
	struct args args;
	char why[256];
	int r = args_read(&args, capability_args(c), fields, 2, why);
	if (r < 0) {
		capability_fail(c, "invalid_argument", "%s", r == -EBADMSG ? why : "no memory");
		return;
	}
	r = events_publish(capability_director(c)->events, capability_plugin(c), fields[0].value,
		capability_user_context(c), capability_event_depth(c),
		fields[1].value.p == NULL ? SLICE("null") : fields[1].value);
	args_deinit(&args);
	answer(c, r);
}

static void subscribe(struct capability_call *c)
{
	struct args_field fields[] = { { "events", ARGS_ARRAY, true, 0 } };
	struct args args;
	char why[256];
	int r = args_read(&args, capability_args(c), fields, 1, why);
	if (r < 0) {
		capability_fail(c, "invalid_argument", "%s", r == -EBADMSG ? why : "no memory");
		return;
	}
	json_t *list = NULL;
	r = json_tree_parse(fields[0].value, &list, NULL) < 0 ? EVENTS_BAD_NAME : EVENTS_OK;
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		if (r == EVENTS_OK) {
			r = json_is_string(item) ? events_subscribe(capability_director(c)->events,
							   capability_worker(c),
							   slice_of(json_string_value(item),
								   json_string_length(item)))
						 : EVENTS_BAD_NAME;
		}
	}
	json_decref(list);
	args_deinit(&args);
	answer(c, r);
}

void capability_events(struct capability_call *c)
{
	if (capability_code(c) == CAP_EVENTS_PUBLISH) {
		publish(c);
	} else {
		subscribe(c);
	}
}
