/* POST /api/execute/{plugin}: the client of an execution that sits behind an HTTP request. */
#include "director/director.h"
#include "director/execute/execute.h"

static void on_answer(void *owner, const struct http_response *response)
{
	http_respond(owner, response);
}

static void on_problem(void *owner, const struct execution_problem *p)
{
	int n = (int)p->detail.n;
	const char *detail = (const char *)p->detail.p;
	if (p->extra.n > 0) {
		http_problem_extra(owner, p->status, p->code, p->extra, "%.*s", n, detail);
	} else {
		http_problem(owner, p->status, p->code, p->retry_after_s, "%.*s", n, detail);
	}
}

static struct slice on_request_id(void *owner)
{
	return http_request_id(owner);
}

static const struct execution_client http_client = { on_answer, on_problem, on_request_id };

static void refuse_token(struct http_request *r, int result)
{
	if (result < 0) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
	} else if (result == AUTH_UNKNOWN) {
		http_problem(r, 503, "not_ready", 1, "%s", auth_result_text(result));
	} else if (result == AUTH_DISABLED) {
		/* Clients of the reference know it as a 400. */
		http_problem(r, 400, "user_disabled", 0, "%s", auth_result_text(result));
	} else if (result == AUTH_NO_KEYS) {
		http_problem(r, 503, "keys_unavailable", AUTH_NO_KEYS_RETRY_S, "%s",
			auth_result_text(result));
	} else {
		http_problem(r, 401, result == AUTH_MISSING ? "not_authenticated" : "invalid_token",
			0, "%s", auth_result_text(result));
	}
}

struct user_context *execute_authenticate(struct director *d, struct http_request *r)
{
	struct user_context *user = NULL;
	int result = auth_verify(d->auth, http_request_header(r, SLICE("Authorization")), &user);
	if (result != AUTH_OK) {
		refuse_token(r, result);
	}
	return user;
}

struct user_context *execute_authenticate_any(struct director *d, struct http_request *r)
{
	struct user_context *user = NULL;
	struct slice value = http_request_header(r, SLICE("Authorization"));
	int result = auth_verify_any(d->auth, value, &user);
	if (result != AUTH_OK) {
		refuse_token(r, result);
	}
	return user;
}

static void release(void *context)
{
	(void)execution_free(context);
}

static bool on_head(void *owner, struct http_request *r)
{
	struct director *d = owner;
	struct user_context *user = execute_authenticate(d, r);
	if (user == NULL) {
		return false;
	}
	struct execution *x = execution_new(d, user, &http_client, r);
	(void)user_context_unref(user);
	if (x == NULL) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
		return false;
	}
	http_request_set_context(r, x, release);
	return execution_find_plugin(x, http_request_param(r, 0));
}

static void on_body(void *owner, struct http_request *r, struct slice body)
{
	bool repeatable = http_request_header(r, SLICE("Idempotency-Key")).n > 0;
	execution_run(http_request_context(r), body, repeatable);
}

static void on_abort(void *owner, struct http_request *r)
{
	struct execution *x = http_request_context(r);
	if (x != NULL) {
		execution_abandon(x);
	}
}

const struct http_handler execute_handler = {
	.on_head = on_head,
	.on_body = on_body,
	.on_abort = on_abort,
};
