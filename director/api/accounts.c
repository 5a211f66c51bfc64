/*
 * /api/auth: accounts and sessions for everybody. The bodies and statuses are the reference's where it has
 * them (token, register, me, validate-token).
 */
#include "common/base/buffer.h"
#include "director/api/account_answers.h"
#include "director/api/api.h"
#include "director/api/form.h"
#include "director/director.h"
#include "director/execute/execute.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- answers -------------------------------------------------------------------------------- */

static int append_text(struct buffer *b, const char *name, struct slice value)
{
	int e = buffer_printf(b, "%s\"%s\":", b->n > 1 ? "," : "", name);
	return e < 0 ? e : buffer_append_json(b, value);
}

static int append_roles(struct buffer *b, struct slice roles)
{
	int e = buffer_append(b, SLICE(",\"roles\":["));
	for (bool first = true; e == 0 && roles.n > 0; first = false) {
		const uint8_t *comma = memchr(roles.p, ',', roles.n);
		size_t n = comma == NULL ? roles.n : (size_t)(comma - roles.p);
		e = first ? 0 : buffer_append_byte(b, ',');
		e = e < 0 ? e : buffer_append_json(b, slice_of(roles.p, n));
		roles = slice_skip(roles, comma == NULL ? n : n + 1);
	}
	return e < 0 ? e : buffer_append_byte(b, ']');
}

static int render_tokens(struct buffer *b, const struct users_answer *a)
{
	int e = buffer_append_byte(b, '{');
	e = e < 0 ? e : append_text(b, "access_token", slice_str(a->access_token));
	e = e < 0 ? e : append_text(b, "token_type", SLICE("bearer"));
	e = e < 0 ? e : append_text(b, "user_id", a->user_id);
	e = e < 0 ? e : append_text(b, "username", a->username);
	e = e < 0 ? e : append_text(b, "refresh_token", slice_str(a->refresh_token));
	return e < 0 ? e
		     : buffer_printf(b, ",\"expires_in\":%u,\"refresh_expires_in\":%u}",
			       a->expires_in_s, a->refresh_expires_in_s);
}

static int render_me(struct buffer *b, const struct users_answer *a)
{
	int e = buffer_append_byte(b, '{');
	e = e < 0 ? e : append_text(b, "username", a->username);
	e = e < 0 ? e : append_text(b, "email", a->email);
	e = e < 0 ? e : append_text(b, "full_name", a->full_name);
	e = e < 0 ? e : append_text(b, "user_id", a->user_id);
	e = e < 0 ? e : append_roles(b, a->roles);
	return e < 0 ? e : buffer_append_byte(b, '}');
}

static int render_logout(struct buffer *b, const struct users_answer *a)
{
	return buffer_printf(b, "{\"message\":\"Logged out\",\"sessions_ended\":%u}", a->sessions);
}

static int render_password(struct buffer *b, const struct users_answer *a)
{
	return buffer_printf(
		b, "{\"message\":\"Password changed\",\"sessions_ended\":%u}", a->sessions);
}

/* ---- register, login, refresh --------------------------------------------------------------- */

static void on_register(void *owner, struct http_request *r, struct slice body)
{
	struct users_request q = { 0 };
	char address[HTTP_ADDRESS_SIZE];
	json_t *tree = NULL;
	if (!account_read_json(r, body, &tree)) {
		return;
	}
	q.address = account_address(r, address);
	if (account_read_text(r, tree, "username", JSON_REQUIRED, &q.username) &&
		account_read_text(r, tree, "password", JSON_REQUIRED, &q.password) &&
		account_read_text(r, tree, "email", JSON_OPTIONAL, &q.email) &&
		account_read_text(r, tree, "full_name", JSON_OPTIONAL, &q.full_name)) {
		account_begin(owner, r, &users_register, &q, render_tokens);
	}
	json_decref(tree);
}

/* What is too long is refused before anything is done with it; nobody has such a password. */
static void begin_login(struct director *d, struct http_request *r, struct users_request *q)
{
	char address[HTTP_ADDRESS_SIZE];
	char why[96];
	if (q->password.n > d->settings->password_bytes) {
		(void)snprintf(why, sizeof(why),
			"must be at most %llu bytes (MOZAIKS_PASSWORD_MAX_BYTES)",
			(unsigned long long)d->settings->password_bytes);
		account_refuse(r, "password", why);
		return;
	}
	q->address = account_address(r, address);
	account_begin(d, r, &users_login, q, render_tokens);
}

static void on_login(void *owner, struct http_request *r, struct slice body)
{
	struct users_request q = { 0 };
	json_t *tree = NULL;
	if (!account_read_json(r, body, &tree)) {
		return;
	}
	if (account_read_text(r, tree, "username", JSON_REQUIRED, &q.username) &&
		account_read_text(r, tree, "password", JSON_REQUIRED, &q.password)) {
		begin_login(owner, r, &q);
	}
	json_decref(tree);
}

static void begin_refresh(struct director *d, struct http_request *r, struct slice token)
{
	char address[HTTP_ADDRESS_SIZE];
	const struct users_request q = { .refresh_token = token,
		.address = account_address(r, address) };
	account_begin(d, r, &users_refresh, &q, render_tokens);
}

static void on_refresh(void *owner, struct http_request *r, struct slice body)
{
	struct slice token;
	json_t *tree = NULL;
	if (!account_read_json(r, body, &tree)) {
		return;
	}
	if (account_read_text(r, tree, "refresh_token", JSON_REQUIRED, &token)) {
		begin_refresh(owner, r, token);
	}
	json_decref(tree);
}

static bool form_text(
	struct http_request *r, const struct form *f, const char *name, struct slice *ret)
{
	bool there = form_find(f, slice_str(name), ret);
	if (!there) {
		account_refuse(r, name, "is required");
	}
	return there;
}

/* RFC 6749, 4.3 and 6: the grants that make sense here. Without a grant_type it is a password. */
static void on_form(struct director *d, struct http_request *r, const struct form *f)
{
	struct users_request q = { 0 };
	struct slice grant = SLICE("password");
	struct slice token;
	(void)form_find(f, SLICE("grant_type"), &grant);
	if (slice_eq(grant, SLICE("refresh_token"))) {
		if (form_text(r, f, "refresh_token", &token)) {
			begin_refresh(d, r, token);
		}
	} else if (grant.n > 0 && !slice_eq(grant, SLICE("password"))) {
		account_refuse(r, "grant_type", "must be password or refresh_token");
	} else if (form_text(r, f, "username", &q.username) &&
		form_text(r, f, "password", &q.password)) {
		begin_login(d, r, &q);
	}
}

static bool is_form(const struct http_request *r)
{
	struct slice type = http_request_header(r, SLICE("Content-Type"));
	struct slice wanted = SLICE("application/x-www-form-urlencoded");
	return type.n >= wanted.n && slice_eq_nocase(slice_of(type.p, wanted.n), wanted) &&
		(type.n == wanted.n || type.p[wanted.n] == ';' || type.p[wanted.n] == ' ');
}

static void on_token(void *owner, struct http_request *r, struct slice body)
{
	struct form form;
	if (!is_form(r)) {
		http_problem(r, 415, NULL, 0,
			"The body must be application/x-www-form-urlencoded; JSON goes to "
			"/api/auth/login");
		return;
	}
	if (body.n > ACCOUNT_BODY_MAX) {
		http_problem(r, 413, "body_too_large", 0,
			"The body is longer than %d bytes, the most that this route takes",
			ACCOUNT_BODY_MAX);
		return;
	}
	uint8_t *room = malloc(body.n + 1);
	const char *wrong = room == NULL ? "no memory" : form_parse(body, room, &form);
	if (room == NULL) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
	} else if (wrong != NULL) {
		http_problem(r, 400, "invalid_form", 0, "The form has %s", wrong);
	} else {
		on_form(owner, r, &form);
	}
	if (room != NULL) {
		sodium_memzero(room, body.n);
		free(room);
	}
}

/* ---- with a token --------------------------------------------------------------------------- */

static bool read_all(struct http_request *r, const json_t *tree, bool *ret)
{
	const json_t *all = json_object_get(tree, "all");
	if (all != NULL && !json_is_boolean(all)) {
		account_refuse(r, "all", "must be true or false");
		return false;
	}
	*ret = json_is_true(all);
	return true;
}

/* With an access token its session ends, or all of the user; else the one of a refresh token. */
static void begin_logout(struct director *d, struct http_request *r, const json_t *tree)
{
	struct users_request q = { 0 };
	bool bearer = http_request_header(r, SLICE("Authorization")).p != NULL;
	if (!account_read_text(r, tree, "refresh_token", JSON_OPTIONAL, &q.refresh_token) ||
		!read_all(r, tree, &q.all)) {
		return;
	}
	if (!bearer && q.refresh_token.n > 0) {
		account_begin(d, r, &users_logout_refresh, &q, render_logout);
		return;
	}
	struct user_context *user = execute_authenticate(d, r);
	if (user != NULL) {
		q.user = user;
		account_begin(d, r, &users_logout, &q, render_logout);
	}
	(void)user_context_unref(user);
}

static void on_logout(void *owner, struct http_request *r, struct slice body)
{
	json_t *tree = NULL;
	if (body.n == 0) {
		begin_logout(owner, r, NULL);
	} else if (account_read_json(r, body, &tree)) {
		begin_logout(owner, r, tree);
		json_decref(tree);
	}
}

static bool on_private_head(void *owner, struct http_request *r)
{
	struct user_context *user =
		account_on_head(owner, r) ? execute_authenticate(owner, r) : NULL;
	bool known = user != NULL;
	(void)user_context_unref(user);
	return known;
}

static void on_change_password(void *owner, struct http_request *r, struct slice body)
{
	struct users_request q = { 0 };
	char address[HTTP_ADDRESS_SIZE];
	json_t *tree = NULL;
	struct user_context *user = execute_authenticate(owner, r);
	if (user == NULL || !account_read_json(r, body, &tree)) {
		(void)user_context_unref(user);
		return;
	}
	q.user = user;
	q.address = account_address(r, address);
	if (account_read_text(r, tree, "current_password", JSON_REQUIRED, &q.password) &&
		account_read_text(r, tree, "new_password", JSON_REQUIRED, &q.new_password)) {
		account_begin(owner, r, &users_change_password, &q, render_password);
	}
	json_decref(tree);
	(void)user_context_unref(user);
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

/* Without local accounts the token says all that is known. */
static void answer_me(struct http_request *r, const struct user_context *user)
{
	struct buffer b;
	buffer_init(&b, 64 * 1024);
	int e = buffer_append_byte(&b, '{');
	e = e < 0 ? e : append_text(&b, "username", user->username);
	e = e < 0 ? e : buffer_append(&b, SLICE(",\"email\":"));
	e = e < 0                   ? e
		: user->email.n > 0 ? buffer_append_json(&b, user->email)
				    : buffer_append(&b, SLICE("null"));
	e = e < 0 ? e : buffer_append(&b, SLICE(",\"full_name\":null"));
	e = e < 0 ? e : append_text(&b, "user_id", user->user_id);
	e = e < 0 ? e : buffer_append(&b, SLICE(",\"roles\":"));
	e = e < 0 ? e : buffer_append(&b, user->roles_json);
	e = e < 0 ? e : buffer_append_byte(&b, '}');
	respond(r, &b, e);
}

static void on_me(void *owner, struct http_request *r, struct slice body)
{
	struct director *d = owner;
	struct user_context *user = execute_authenticate_any(owner, r);
	if (user != NULL && d->users == NULL) {
		answer_me(r, user);
	} else if (user != NULL) {
		const struct users_request q = { .user = user };
		account_begin(owner, r, &users_me, &q, render_me);
	}
	(void)user_context_unref(user);
}

static void on_validate(void *owner, struct http_request *r, struct slice body)
{
	struct buffer b;
	struct user_context *user = execute_authenticate_any(owner, r);
	if (user == NULL) {
		return;
	}
	buffer_init(&b, 8192);
	int e = buffer_append(&b, SLICE("{\"valid\":true"));
	e = e < 0 ? e : append_text(&b, "user_id", user->user_id);
	e = e < 0 ? e : append_text(&b, "username", user->username);
	e = e < 0 ? e : buffer_append_byte(&b, '}');
	(void)user_context_unref(user);
	respond(r, &b, e);
}

const struct http_handler auth_register = {
	.on_head = account_on_head, .on_body = on_register, .on_abort = account_on_abort
};
const struct http_handler auth_token = {
	.on_head = account_on_head, .on_body = on_token, .on_abort = account_on_abort
};
const struct http_handler auth_login = {
	.on_head = account_on_head, .on_body = on_login, .on_abort = account_on_abort
};
const struct http_handler auth_refresh = {
	.on_head = account_on_head, .on_body = on_refresh, .on_abort = account_on_abort
};
const struct http_handler auth_logout = {
	.on_head = account_on_head, .on_body = on_logout, .on_abort = account_on_abort
};
const struct http_handler auth_change_password = {
	.on_head = on_private_head, .on_body = on_change_password, .on_abort = account_on_abort
};
const struct http_handler auth_me = { .on_body = on_me, .on_abort = account_on_abort };
const struct http_handler auth_validate = { .on_body = on_validate };
