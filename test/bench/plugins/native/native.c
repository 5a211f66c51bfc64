/* The same answer as echo/logic.py, in C: what the runtime around it costs is what is measured. */
#include <mozaiks/plugin.h>

static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text name = MOZAIKS_TEXT("you");
	struct mozaiks_text value;
	struct mozaiks_text user;
	struct mozaiks_text message;
	struct mozaiks_text json;
	if (mozaiks_member(call, mozaiks_data(call), "name", &value) == 0 &&
		mozaiks_string(call, value, &name) != 0) {
		return mozaiks_fail(call, "name must be a string");
	}
	if (mozaiks_format(call, &message, "Hello %.*s", MOZAIKS_PRINTED(name)) != 0 ||
		mozaiks_quote(call, message, &message) != 0 ||
		mozaiks_quote(call, mozaiks_user(call), &user) != 0 ||
		mozaiks_format(call, &json, "{\"message\":%.*s,\"user\":%.*s}",
			MOZAIKS_PRINTED(message), MOZAIKS_PRINTED(user)) != 0) {
		return mozaiks_fail(call, "no memory");
	}
	return mozaiks_answer(call, json);
}

/* One thread: the work is less than handing it to another. */
static const struct mozaiks_plugin plugin = {
	MOZAIKS_PLUGIN_HEAD,
	.name = "native",
	.threads = 1,
	.execute = execute,
};

const struct mozaiks_plugin *mozaiks_plugin(void)
{
	return &plugin;
}
