/*
 * What operators ask for: on the admin socket, for mozaiksctl, and the status of plugins on the public
 * port, for consoles. Who may connect to the socket is who may open it: its file is mode 0600 in the
 * state directory; besides, the peer must be root or the director's own user.
 */
#include "common/base/buffer.h"
#include "common/base/log.h"
#include "common/json/tree.h"
#include "director/api/api.h"
#include "director/api/plugin_status.h"
#include "director/director.h"
#include "director/execute/execute.h"
#include "director/hosts/control.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { LIST_MAX = 64 * 1024 * 1024, TTL_DEFAULT_S = 24 * 3600, TTL_MAX_S = 366 * 24 * 3600 };

bool api_admin_head(void *owner, struct http_request *r)
{
	uid_t uid;
	pid_t pid;
	const struct director *d = owner;
	if (http_request_peer(r, &uid, &pid) &&
		(uid == 0 || uid == geteuid() || uid == d->started_by)) {
		return true;
	}
	http_problem(r, 403, "forbidden", 0,
		"The admin socket is for root and for the user who started the director");
	return false;
}

/* On the public port: a bearer of the superadmin role or claim. */
static bool on_operator_head(void *owner, struct http_request *r)
{
	struct user_context *user = execute_authenticate(owner, r);
	bool allowed = user != NULL && user->is_superadmin;
	if (user != NULL && !allowed) {
		http_problem(r, 403, "forbidden", 0,
			"This is for operators: the token needs the role that "
			"MOZAIKS_SUPERADMIN_ROLE names, or the claim is_superadmin");
	}
	(void)user_context_unref(user);
	return allowed;
}

static void respond(struct http_request *r, struct buffer *b, int e)
{
	if (e < 0) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this answer now");
	} else {
		http_respond(
			r, &(struct http_response){ .status = 200, .body = { buffer_slice(b) } });
	}
	buffer_deinit(b);
}

/* ["a","b"] -> "a,b" */
static int join_roles(const json_t *roles, struct buffer *out)
{
	size_t i;
	json_t *item;
	int e = 0;
	json_array_foreach(roles, i, item)
	{
		e = e < 0 || i == 0 ? e : buffer_append_byte(out, ',');
		e = e < 0 ? e : buffer_append(out, slice_str(json_string_value(item)));
	}
	return e;
}

static void answer_token(struct director *d, struct http_request *r, const json_t *request)
{
	const json_t *user = json_object_get(request, "user");
	json_int_t ttl = json_integer_value(json_object_get(request, "ttl"));
	struct buffer roles;
	char *token = NULL;
	buffer_init(&roles, 16384);
	if (!json_is_string(user) || ttl < 0 || ttl > TTL_MAX_S) {
		http_problem(r, 400, "invalid_argument", 0,
			"user must be a string and ttl a number of seconds from 1 to %d",
			TTL_MAX_S);
		return;
	}
	int e = join_roles(json_object_get(request, "roles"), &roles);
	e = e < 0 ? e
		  : auth_mint(d->auth, slice_of(json_string_value(user), json_string_length(user)),
			    buffer_slice(&roles), ttl == 0 ? TTL_DEFAULT_S : (unsigned)ttl, &token);
	buffer_deinit(&roles);
	if (e == -EINVAL) {
		http_problem(r, 400, "invalid_argument", 0,
			"A user or role name is 1 to 256 bytes of text without control characters");
		return;
	}
	log_fields(LOG_INFO, "admin.token_made",
		(struct log_field[]){ { "user_id", slice_str(json_string_value(user)) } }, 1,
		"a token was made through the admin socket");
	struct buffer b;
	buffer_init(&b, 16384);
	e = e < 0 ? e : buffer_append(&b, SLICE("{\"token\":"));
	e = e < 0 ? e : buffer_append_json(&b, slice_str(token));
	e = e < 0 ? e : buffer_append_byte(&b, '}');
	free(token);
	respond(r, &b, e);
}

/* In external mode tokens are the issuer's to make. */
static bool on_token_head(void *owner, struct http_request *r)
{
	const struct director *d = owner;
	if (!api_admin_head(owner, r)) {
		return false;
	}
	if (!auth_can_mint(d->auth)) {
		http_problem(r, 409, "external_mode", 0,
			"No token can be made here: MOZAIKS_AUTH_MODE is external, so tokens come from "
			"the issuer");
		return false;
	}
	return true;
}

static void token(void *owner, struct http_request *r, struct slice body)
{
	json_t *request = NULL;
	struct json_why why = { "no memory" };
	if (json_tree_parse(body, &request, &why) < 0) {
		http_problem(r, 400, "invalid_json", 0, "Invalid JSON payload: %s", why.text);
		return;
	}
	answer_token(owner, r, request);
	json_decref(request);
}

static void plugins(void *owner, struct http_request *r, struct slice body)
{
	struct buffer b;
	buffer_init(&b, LIST_MAX);
	respond(r, &b, plugin_status_append_all(owner, &b));
}

static void plugin(void *owner, struct http_request *r, struct slice body)
{
	const struct plugin *p = api_find_plugin(owner, r);
	struct buffer b;
	if (p != NULL) {
		buffer_init(&b, LIST_MAX);
		respond(r, &b, plugin_status_append(p, PLUGIN_STATUS_FULL, &b));
	}
}

static void refresh(void *owner, struct http_request *r, struct slice body)
{
	struct director *d = owner;
	struct buffer b;
	buffer_init(&b, 256);
	unsigned asked = hosts_discover(d);
	if (asked == 0) {
		http_problem(r, 503, "not_ready", 1, "No pluginhost is connected");
		return;
	}
	respond(r, &b, buffer_printf(&b, "{\"plugins\":%u}", HASH_COUNT(d->registry.plugins)));
}

const struct http_handler admin_token = { .on_head = on_token_head, .on_body = token };
const struct http_handler admin_plugins = { .on_head = api_admin_head, .on_body = plugins };
const struct http_handler admin_plugin = { .on_head = api_admin_head, .on_body = plugin };
const struct http_handler operator_plugins = { .on_head = on_operator_head, .on_body = plugins };
const struct http_handler operator_plugin = { .on_head = on_operator_head, .on_body = plugin };
const struct http_handler admin_refresh = { .on_head = api_admin_head, .on_body = refresh };
