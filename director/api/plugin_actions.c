/* What operators do to a plugin: POST /admin/plugins/{plugin}/ACTION. Answered with its status. */
#include "common/base/log.h"
#include "common/json/tree.h"
#include "director/api/api.h"
#include "director/api/plugin_status.h"
#include "director/director.h"
#include "director/hosts/grant_change.h"
#include "director/hosts/supervise.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { STATUS_MAX = 8 * 1024 * 1024 };

/* Each is kept in the log: who did what to whom. */
static void log_action(struct http_request *r, const struct plugin *p, const char *action)
{
	uid_t uid = 0;
	pid_t pid = 0;
	char who[24] = "?";
	if (http_request_peer(r, &uid, &pid)) {
		(void)snprintf(who, sizeof(who), "%u", (unsigned)uid);
	}
	struct log_field fields[] = {
		{ "plugin", plugin_slice(p) },
		{ "action", slice_str(action) },
		{ "uid", slice_str(who) },
		{ "request_id", http_request_id(r) },
	};
	log_fields(LOG_INFO, "admin.plugin_action", fields, 4, "an operator acts on a plugin");
}

struct plugin *api_find_plugin(const struct director *d, struct http_request *r)
{
	struct slice name = http_request_param(r, 0);
	struct plugin *p = registry_find(&d->registry, name);
	if (p == NULL) {
		http_problem(r, 404, "plugin_not_found", 0, "There is no plugin '%.*s'",
			name.n > PLUGIN_ID_MAX ? PLUGIN_ID_MAX : (int)name.n, (const char *)name.p);
	}
	return p;
}

static void answer_status(struct http_request *r, const struct plugin *p)
{
	struct buffer b;
	buffer_init(&b, STATUS_MAX);
	if (plugin_status_append(p, PLUGIN_STATUS_SHORT, &b) < 0) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this answer now");
	} else {
		http_respond(
			r, &(struct http_response){ .status = 200, .body = { buffer_slice(&b) } });
	}
	buffer_deinit(&b);
}

static void reset(void *owner, struct http_request *r, struct slice body)
{
	struct plugin *p = api_find_plugin(owner, r);
	if (p != NULL) {
		log_action(r, p, "reset");
		supervise_reset(p);
		answer_status(r, p);
	}
}

static void restart(void *owner, struct http_request *r, struct slice body)
{
	struct plugin *p = api_find_plugin(owner, r);
	if (p == NULL) {
		return;
	}
	if (!p->enabled) {
		http_problem(r, 409, "plugin_disabled", 0,
			"Plugin '%s' is disabled: enable it first", p->id);
		return;
	}
	log_action(r, p, "restart");
	supervise_restart(p);
	answer_status(r, p);
}

/* A request that waits for the store or a file. Its client may go before the answer comes, and the other
 * way round: whoever is last frees it. */
struct waiting {
	struct http_request *r; /* NULL: gone or answered */
	struct plugin *plugin;
	bool wanted; /* enabled, granted */
	unsigned refs;
};

static void waiting_unref(struct waiting *w)
{
	if (--w->refs == 0) {
		plugin_unref(w->plugin);
		free(w);
	}
}

static void waiting_release(void *context)
{
	struct waiting *w = context;
	w->r = NULL;
	waiting_unref(w);
}

static void on_abort(void *owner, struct http_request *r)
{
	struct waiting *w = http_request_context(r);
	if (w != NULL) {
		w->r = NULL;
	}
}

/* With two references: the request's, and that of whoever will answer. @return NULL after answering. */
static struct waiting *waiting_new(struct http_request *r, struct plugin *p, bool wanted)
{
	struct waiting *w = calloc(1, sizeof(*w));
	if (w == NULL) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
		return NULL;
	}
	plugin_ref(p);
	*w = (struct waiting){ .r = r, .plugin = p, .wanted = wanted, .refs = 2 };
	http_request_set_context(r, w, waiting_release);
	return w;
}

/* @return the request, which is to be answered now; NULL: nobody waits for it. */
static struct http_request *waiting_end(struct waiting *w)
{
	struct http_request *r = w->r;
	w->r = NULL;
	return r;
}

/* --- enabling and disabling --- */

static void answer_switched(struct waiting *w, bool stored, const char *why)
{
	struct http_request *r = waiting_end(w);
	if (r != NULL && stored) {
		answer_status(r, w->plugin);
	} else if (r != NULL) {
		http_problem(r, 503, "db_unavailable", 1,
			"Plugin '%s' is %s on this node, but that could not be stored: %s",
			w->plugin->id, w->wanted ? "enabled" : "disabled", why);
	}
	waiting_unref(w);
}

static void on_stored(void *owner, const struct store_result *result)
{
	answer_switched(owner, result->error == STORE_OK, result->message);
}

static void set_enabled(struct director *d, struct http_request *r, bool enabled)
{
	struct plugin *p = api_find_plugin(d, r);
	struct waiting *w = p == NULL ? NULL : waiting_new(r, p, enabled);
	if (w == NULL) {
		return;
	}
	log_action(r, p, enabled ? "enable" : "disable");
	int e = plugin_set_enabled(p, enabled, on_stored, w);
	if (e < 0) {
		answer_switched(w, false, strerrordesc_np(-e));
	}
}

static void enable(void *owner, struct http_request *r, struct slice body)
{
	set_enabled(owner, r, true);
}

static void disable(void *owner, struct http_request *r, struct slice body)
{
	set_enabled(owner, r, false);
}

/* --- permissions --- */

static void on_changed(void *owner, int error, const char *why)
{
	struct waiting *w = owner;
	struct http_request *r = waiting_end(w);
	if (r != NULL && error == 0) {
		answer_status(r, w->plugin);
	} else if (r != NULL && error == -EINVAL) {
		http_problem(r, 400, "invalid_argument", 0, "%s", why);
	} else if (r != NULL) {
		http_problem(r, 503, "policy_not_written", 0, "Nothing was changed: %s", why);
	}
	waiting_unref(w);
}

/* {"permission": "…"} */
static void change_grant(
	struct http_request *r, struct plugin *p, const json_t *request, bool granted)
{
	const json_t *name = json_object_get(request, "permission");
	if (!json_is_string(name)) {
		http_problem(r, 400, "invalid_argument", 0, "permission must be a string");
		return;
	}
	struct waiting *w = waiting_new(r, p, granted);
	if (w == NULL) {
		return;
	}
	log_action(r, p, granted ? "grant" : "revoke");
	struct slice permission = slice_of(json_string_value(name), json_string_length(name));
	if (grant_change_start(p, permission, granted, on_changed, w) < 0) {
		on_changed(w, -ENOMEM, "no memory");
	}
}

static void set_grant(void *owner, struct http_request *r, struct slice body, bool granted)
{
	struct plugin *p = api_find_plugin(owner, r);
	json_t *request = NULL;
	struct json_why why = { "no memory" };
	if (p == NULL) {
		return;
	}
	if (json_tree_parse(body, &request, &why) < 0) {
		http_problem(r, 400, "invalid_json", 0, "Invalid JSON payload: %s", why.text);
		return;
	}
	change_grant(r, p, request, granted);
	json_decref(request);
}

static void on_grant(void *owner, struct http_request *r, struct slice body)
{
	set_grant(owner, r, body, true);
}

static void on_revoke(void *owner, struct http_request *r, struct slice body)
{
	set_grant(owner, r, body, false);
}

const struct http_handler admin_plugin_grant = {
	.on_head = api_admin_head,
	.on_body = on_grant,
	.on_abort = on_abort,
};
const struct http_handler admin_plugin_revoke = {
	.on_head = api_admin_head,
	.on_body = on_revoke,
	.on_abort = on_abort,
};
const struct http_handler admin_plugin_reset = { .on_head = api_admin_head, .on_body = reset };
const struct http_handler admin_plugin_restart = { .on_head = api_admin_head, .on_body = restart };
const struct http_handler admin_plugin_enable = {
	.on_head = api_admin_head, .on_body = enable, .on_abort = on_abort
};
const struct http_handler admin_plugin_disable = {
	.on_head = api_admin_head, .on_body = disable, .on_abort = on_abort
};
