/* POST /api/auth/token-exchange: an app token for the issuer's. */
#include "common/base/buffer.h"
#include "common/base/log.h"
#include "director/api/api.h"
#include "director/director.h"
#include "director/execute/execute.h"

#include <errno.h>
#include <stdlib.h>

enum { ANSWER_MAX = 64 * 1024 };

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

static int append_user(struct buffer *b, const struct user_context *user)
{
	int e = buffer_append(b, SLICE(",\"user_id\":"));
	e = e < 0 ? e : buffer_append_json(b, user->user_id);
	e = e < 0 ? e : buffer_append(b, SLICE(",\"username\":"));
	e = e < 0 ? e : buffer_append_json(b, user->username);
	return e < 0 ? e : buffer_append_byte(b, '}');
}

static void release(void *context)
{
	(void)user_context_unref(context);
}

static bool on_head(void *owner, struct http_request *r)
{
	const struct director *d = owner;
	if (d->settings->auth_mode == AUTH_MODE_LOCAL) {
		http_problem(r, 404, "not_available", 0,
			"Token exchange is not available in local mode");
		return false;
	}
	if (!d->settings->token_exchange) {
		http_problem(r, 404, "not_available", 0,
			"Token exchange is off (MOZAIKS_TOKEN_EXCHANGE): the issuer's token is good "
			"for every request");
		return false;
	}
	struct user_context *user = execute_authenticate_any(owner, r);
	if (user != NULL) {
		http_request_set_context(r, user, release);
	}
	return user != NULL;
}

static int append_exchange(
	struct buffer *b, const char *token, unsigned expires_in_s, const struct user_context *user)
{
	int e = buffer_append(b, SLICE("{\"access_token\":"));
	e = e < 0 ? e : buffer_append_json(b, slice_str(token));
	e = e < 0 ? e
		  : buffer_printf(b, ",\"token_type\":\"bearer\",\"expires_in\":%u", expires_in_s);
	return e < 0 ? e : append_user(b, user);
}

static void exchange(void *owner, struct http_request *r, struct slice body)
{
	const struct director *d = owner;
	const struct user_context *user = http_request_context(r);
	char *token = NULL;
	unsigned expires_in_s = 0;
	if (!user->external) {
		http_problem(r, 400, "invalid_token_type", 0,
			"Only a token of the issuer can be exchanged; this is an app token already");
		return;
	}
	int result = auth_exchange(d->auth, user, &token, &expires_in_s);
	if (result == -EINVAL) {
		http_problem(r, 400, "invalid_token", 0,
			"No app token can be made for this user: a name or the roles are too long");
		return;
	}
	if (result > 0) {
		http_problem(r, 401, "invalid_token", 0, "%s", auth_result_text(result));
		return;
	}
	log_fields(LOG_INFO, "auth.token_exchanged",
		(struct log_field[]){ { "user_id", user->user_id } }, 1,
		"an app token was given for the issuer's");
	struct buffer b;
	buffer_init(&b, ANSWER_MAX);
	int e = result < 0 ? result : append_exchange(&b, token, expires_in_s, user);
	free(token);
	respond(r, &b, e);
}

const struct http_handler tokens_exchange = { .on_head = on_head, .on_body = exchange };
