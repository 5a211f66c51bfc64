/* settings.get and settings.save: the calling user's settings of the calling plugin. */
#include "director/capability/args.h"
#include "director/capability/capability.h"
#include "director/director.h"
#include "director/settings/plugin_settings.h"

#include <errno.h>

enum { USER, PLUGIN, SETTINGS, FIELDS };

static void on_done(void *owner, const struct store_result *result, struct slice value)
{
	struct capability_call *c = owner;
	if (result->error != STORE_OK) {
		capability_fail(c, store_error_code(result->error), "%s", result->message);
	} else if (capability_code(c) == CAP_SETTINGS_GET) {
		capability_reply(c, value);
	} else {
		capability_reply(
			c, SLICE("{\"success\":true,\"message\":\"Settings saved successfully\"}"));
	}
}

/* The names given must be the caller's own. True when they are. */
static bool check_names(struct capability_call *c, const struct args_field *fields)
{
	struct slice user = capability_user(c);
	struct slice plugin = capability_plugin(c);
	if (user.n == 0) {
		capability_fail(
			c, "invalid_argument", "settings belong to a user; this work has none");
		return false;
	}
	if (fields[USER].value.p != NULL && !slice_eq(fields[USER].value, user)) {
		capability_fail(
			c, "permission_denied", "user_id: only the calling user's settings");
		return false;
	}
	if (fields[PLUGIN].value.p != NULL && !slice_eq(fields[PLUGIN].value, plugin)) {
		capability_fail(c, "permission_denied",
			"plugin: only the settings of the plugin itself, '%.*s', can be used here",
			(int)plugin.n, (const char *)plugin.p);
		return false;
	}
	return true;
}

void capability_settings(struct capability_call *c)
{
	struct args_field fields[FIELDS] = {
		[USER] = { "user_id", ARGS_STRING, false, 256 },
		[PLUGIN] = { "plugin", ARGS_STRING, false, 64 },
		[SETTINGS] = { "settings", ARGS_ANY, capability_code(c) == CAP_SETTINGS_SAVE, 0 },
	};
	struct args args;
	char why[256];
	int r = args_read(&args, capability_args(c), fields, FIELDS, why);
	if (r < 0) {
		capability_fail(c, "invalid_argument", "%s", r == -EBADMSG ? why : "no memory");
		return;
	}
	if (!check_names(c, fields)) {
		args_deinit(&args);
		return;
	}
	struct director *d = capability_director(c);
	r = capability_code(c) == CAP_SETTINGS_GET
		? plugin_settings_get(d, capability_user(c), capability_plugin(c), on_done, c)
		: plugin_settings_save(d, capability_user(c), capability_plugin(c),
			  fields[SETTINGS].value, on_done, c);
	args_deinit(&args);
	if (r < 0) {
		capability_fail(c, r == -EBADMSG ? "invalid_argument" : "unavailable", "%s",
			r == -EBADMSG ? "settings: a name stands twice, or a number is too large"
				      : "no memory");
	}
}
