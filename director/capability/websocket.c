/* websocket.send and websocket.broadcast: JSON values to the clients that hold a WebSocket, as they stand.
 * The answer says how many connections there were. */
#include "director/websocket/websocket.h"

#include "director/capability/args.h"
#include "director/capability/capability.h"
#include "director/director.h"

#include <errno.h>
#include <stdio.h>

static void answer(struct capability_call *c, unsigned recipients)
{
	char text[48];
	int n = snprintf(text, sizeof(text), "{\"recipients\":%u}", recipients);
	capability_reply(c, slice_of(text, (size_t)n));
}

static void on_broadcast(void *call, unsigned recipients)
{
	answer(call, recipients);
}

static void send_to_user(struct capability_call *c)
{
	struct args_field fields[] = {
		{ "message", ARGS_ANY, true, 0 },
		{ "user_id", ARGS_STRING, true, 256 },
	};
	struct args args;
	char why[256];
	int r = args_read(&args, capability_args(c), fields, 2, why);
	if (r < 0) {
		capability_fail(c, "invalid_argument", "%s", r == -EBADMSG ? why : "no memory");
		return;
	}
	struct slice user = fields[1].value;
	if (!slice_eq(user, capability_user(c)) && !capability_may(c, CAP_USERS_ANY)) {
		args_deinit(&args);
		capability_deny(c, "users.any", "a message to another user");
		return;
	}
	unsigned n =
		websockets_send_to_user(capability_director(c)->websockets, user, fields[0].value);
	args_deinit(&args);
	answer(c, n);
}

static void broadcast(struct capability_call *c)
{
	const struct director *d = capability_director(c);
	struct args_field fields[] = { { "message", ARGS_ANY, true, 0 } };
	struct args args;
	char why[256];
	int r = args_read(&args, capability_args(c), fields, 1, why);
	if (r < 0) {
		capability_fail(c, "invalid_argument", "%s", r == -EBADMSG ? why : "no memory");
		return;
	}
	if (!capability_take_broadcast(c)) {
		args_deinit(&args);
		capability_fail(c, "quota_exceeded",
			"more than %llu broadcasts of this plugin in a second "
			"(MOZAIKS_BROADCAST_RATE)",
			(unsigned long long)d->settings->broadcast_rate);
		return;
	}
	if (websockets_count(d->websockets) == 0) {
		args_deinit(&args);
		answer(c, 0);
		return;
	}
	r = websockets_broadcast(d->websockets, fields[0].value, on_broadcast, c);
	args_deinit(&args);
	if (r < 0) {
		capability_fail(c, "unavailable", "no memory");
	}
}

void capability_websocket(struct capability_call *c)
{
	if (capability_code(c) == CAP_WEBSOCKET_SEND) {
		send_to_user(c);
	} else {
		broadcast(c);
	}
}
