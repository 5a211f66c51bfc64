/* websocket.send and websocket.broadcast. No client can hold a WebSocket yet: a message that may be
 * sent is accepted and reaches nobody, which is what the answer says. */
#include "director/capability/args.h"
#include "director/capability/capability.h"

#include <errno.h>

void capability_websocket(struct capability_call *c)
{
	bool to_user = capability_code(c) == CAP_WEBSOCKET_SEND;
	struct args_field fields[] = {
		{ "message", ARGS_ANY, true, 0 },
		{ "user_id", ARGS_STRING, to_user, 256 },
	};
	struct args args;
	char why[256];
	int r = args_read(&args, capability_args(c), fields, to_user ? 2 : 1, why);
	if (r < 0) {
		capability_fail(c, "invalid_argument", "%s", r == -EBADMSG ? why : "no memory");
		return;
	}
	bool foreign = to_user && !slice_eq(fields[1].value, capability_user(c));
	args_deinit(&args);
	if (foreign) {
		capability_fail(c, "permission_denied",
			"user_id: a message to another user needs the permission \"users.any\"");
		return;
	}
	capability_reply(c, SLICE("{\"recipients\":0}"));
}
