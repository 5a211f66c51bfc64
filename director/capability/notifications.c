/* notifications.create. */
#include "director/notifications/notifications.h"

#include "director/capability/args.h"
#include "director/capability/capability.h"

#include <errno.h>
#include <stdlib.h>

enum { USER, TYPE, TITLE, MESSAGE, METADATA, CHANNELS, FIELDS };

struct creation {
	struct capability_call *call;
	char id[NOTIFICATION_ID_SIZE];
};

static void on_stored(void *owner, const struct store_result *result)
{
	struct creation *x = owner;
	if (result->error != STORE_OK) {
		capability_fail(x->call, store_error_code(result->error), "%s", result->message);
	} else {
		struct buffer b;
		buffer_init(&b, 256);
		if (buffer_printf(&b, "{\"id\":\"%s\",\"queued\":true}", x->id) < 0) {
			capability_fail(x->call, "unavailable", "no memory");
		} else {
			capability_reply(x->call, buffer_slice(&b));
		}
		buffer_deinit(&b);
	}
	free(x);
}

void capability_notifications(struct capability_call *c)
{
	struct args_field fields[FIELDS] = {
		[USER] = { "user_id", ARGS_STRING, true, 256 },
		[TYPE] = { "type", ARGS_STRING, true, 128 },
		[TITLE] = { "title", ARGS_STRING, true, 1000 },
		[MESSAGE] = { "message", ARGS_STRING, true, 16384 },
		[METADATA] = { "metadata", ARGS_OBJECT, false, 32768 },
		[CHANNELS] = { "channels", ARGS_ARRAY, false, 1000 },
	};
	struct args args;
	char why[256];
	int r = args_read(&args, capability_args(c), fields, FIELDS, why);
	if (r < 0) {
		capability_fail(c, "invalid_argument", "%s", r == -EBADMSG ? why : "no memory");
		return;
	}
	struct notification n = {
		.user = fields[USER].value,
		.type = fields[TYPE].value,
		.title = fields[TITLE].value,
		.message = fields[MESSAGE].value,
		.metadata = fields[METADATA].value,
		.channels = fields[CHANNELS].value,
		.plugin = capability_plugin(c),
	};
	struct creation *x = malloc(sizeof(*x));
	r = x == NULL ? -ENOMEM : 0;
	if (x != NULL) {
		x->call = c;
		r = notifications_create(capability_director(c), &n, x->id, on_stored, x);
	}
	args_deinit(&args);
	if (r < 0) {
		free(x);
		capability_fail(c, r == -EBADMSG ? "invalid_argument" : "unavailable", "%s",
			r == -EBADMSG ? "metadata: a name stands twice, or a number is too large"
				      : "no memory");
	}
}
