#include "director/api/account_answers.h"

#include "common/base/buffer.h"
#include "common/base/log.h"
#include "director/director.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_MAX = 32 * 1024 * 1024 };

/* A request that waits. It and its operation end in any order. */
struct waiting {
	struct http_request *r;
	struct operation *operation;
	account_render_fn render;
};

/* ---- ends ----------------------------------------------------------------------------------- */

static const struct {
	int status;
	const char *code;
	const char *text;
} ends[] = {
	[USERS_E_CREDENTIALS] = { 401, "invalid_credentials", "Incorrect username or password" },
	[USERS_E_PASSWORD] = { 400, "wrong_password", "Current password is incorrect" },
	[USERS_E_DISABLED] = { 400, "user_disabled", "Inactive user" },
	[USERS_E_NAME_TAKEN] = { 400, "username_taken", "Username already registered" },
	[USERS_E_EMAIL_TAKEN] = { 400, "email_taken", "Email already registered" },
	[USERS_E_NOT_FOUND] = { 404, "user_not_found", "User not found" },
	[USERS_E_TOKEN] = { 401, "invalid_refresh_token",
		"The refresh token is not valid, has run out or was used before, or newer sessions took "
		"its place (MOZAIKS_MAX_SESSIONS_PER_USER)" },
	[USERS_E_CLOSED] = { 403, "registration_closed",
		"Accounts are made by the operator (MOZAIKS_ALLOW_REGISTRATION)" },
	[USERS_E_THROTTLED] = { 429, "too_many_attempts",
		"Too many attempts (MOZAIKS_LOGIN_FREE_ATTEMPTS, "
		"MOZAIKS_LOGIN_FREE_ATTEMPTS_PER_ADDRESS)" },
	[USERS_E_BUSY] = { 503, "overloaded",
		"Too many passwords wait to be checked (MOZAIKS_PASSWORD_QUEUE)" },
};

static void answer_end(struct http_request *r, const struct users_answer *a)
{
	unsigned retry = a->retry_after_s;
	if (a->outcome == USERS_E_INVALID) {
		account_refuse(r, a->field, a->text);
	} else if (a->outcome == USERS_E_STORE) {
		http_problem(r, 503, "db_unavailable", 1, "%s", a->text == NULL ? "" : a->text);
	} else if (a->outcome == USERS_E_INTERNAL || a->outcome == USERS_OK) {
		http_problem(r, 500, "internal_error", 0, "%s", a->text == NULL ? "" : a->text);
	} else {
		http_problem(r, ends[a->outcome].status, ends[a->outcome].code, retry, "%s",
			ends[a->outcome].text);
	}
}

static void answer_rendered(
	struct http_request *r, account_render_fn render, const struct users_answer *a)
{
	struct buffer b;
	buffer_init(&b, ANSWER_MAX);
	if (render(&b, a) < 0) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this answer now");
	} else {
		http_respond(
			r, &(struct http_response){ .status = 200, .body = { buffer_slice(&b) } });
	}
	buffer_deinit(&b);
}

static void on_done(void *owner, const struct users_answer *a)
{
	struct waiting *w = owner;
	w->operation = NULL;
	/* It goes with the request. */
	if (a->outcome == USERS_OK) {
		answer_rendered(w->r, w->render, a);
	} else {
		answer_end(w->r, a);
	}
}

/* ---- requests ------------------------------------------------------------------------------- */

void account_begin(struct director *d,
	struct http_request *r,
	const struct operation_kind *kind,
	const struct users_request *request,
	account_render_fn render)
{
	struct waiting *w = calloc(1, sizeof(*w));
	struct operation *o = w == NULL ? NULL : users_begin(d->users, kind, request, on_done, w);
	if (o == NULL) {
		free(w);
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
		return;
	}
	*w = (struct waiting){ .r = r, .operation = o, .render = render };
	http_request_set_context(r, w, free);
}

void account_on_abort(void *owner, struct http_request *r)
{
	struct waiting *w = http_request_context(r);
	if (w != NULL && w->operation != NULL) {
		users_abandon(w->operation);
	}
}

bool account_on_head(void *owner, struct http_request *r)
{
	const struct director *d = owner;
	if (d->users == NULL) {
		http_problem(r, 404, "not_found", 0,
			"There are no local accounts here (MOZAIKS_AUTH_MODE)");
	}
	return d->users != NULL;
}

void account_refuse(struct http_request *r, const char *field, const char *text)
{
	struct buffer extra;
	buffer_init(&extra, 4096);
	int e = buffer_printf(&extra, "\"errors\":[{\"pointer\":\"/%s\",\"detail\":", field);
	e = e < 0 ? e : buffer_append_json(&extra, slice_str(text));
	e = e < 0 ? e : buffer_append(&extra, SLICE("}]"));
	http_problem_extra(r, 422, "validation_error", 0, e < 0 ? SLICE_NULL : buffer_slice(&extra),
		"%s: %s", field, text);
	buffer_deinit(&extra);
}

bool account_read_json(struct http_request *r, struct slice body, json_t **ret_tree)
{
	struct json_why why = { "no memory" };
	json_t *tree = NULL;
	if (body.n > ACCOUNT_BODY_MAX) {
		http_problem(r, 413, "body_too_large", 0,
			"The body is longer than %d bytes, the most that this route takes",
			ACCOUNT_BODY_MAX);
		return false;
	}
	if (json_tree_parse(body, &tree, &why) < 0) {
		http_problem(r, 400, "invalid_json", 0, "Invalid JSON payload: %s", why.text);
		return false;
	}
	if (!json_is_object(tree)) {
		json_decref(tree);
		http_problem(r, 422, "validation_error", 0, "The body must be a JSON object");
		return false;
	}
	*ret_tree = tree;
	return true;
}

bool account_read_text(struct http_request *r,
	const json_t *tree,
	const char *name,
	enum json_presence presence,
	struct slice *ret)
{
	const json_t *value = json_object_get(tree, name);
	bool absent = value == NULL || json_is_null(value);
	if (!absent && !json_is_string(value)) {
		account_refuse(r, name, "must be a string");
		return false;
	}
	if (absent && presence == JSON_REQUIRED) {
		account_refuse(r, name, "is required");
		return false;
	}
	*ret = absent ? SLICE_NULL : slice_of(json_string_value(value), json_string_length(value));
	return true;
}

struct slice account_address(const struct http_request *r, char out[static HTTP_ADDRESS_SIZE])
{
	struct in6_addr a;
	http_request_address(r, out);
	if (inet_pton(AF_INET6, out, &a) == 1 && !IN6_IS_ADDR_V4MAPPED(&a)) {
		/* Whoever has one of these has all of them. */
		memset(a.s6_addr + 8, 0, 8);
		(void)inet_ntop(AF_INET6, &a, out, HTTP_ADDRESS_SIZE);
	}
	return slice_str(out);
}
