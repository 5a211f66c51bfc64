/* POST /api/execute/{plugin}: the client of an execution that sits behind an HTTP request. */
#include "director/director.h"
#include "director/execute/execute.h"
#include "director/execute/query.h"

#include <errno.h>

/* Of what the URL of an upload says, as JSON: heads are at most 256 KiB. */
enum { UPLOAD_DATA_MAX = 768 * 1024 };

static void on_answer(void *owner, const struct http_response *response)
{
	execution_keep(http_request_context(owner), response);
	http_respond(owner, response);
}

static void on_problem(void *owner, const struct execution_problem *p)
{
	int n = (int)p->detail.n;
	const char *detail = (const char *)p->detail.p;
	http_problem_extra(
		owner, p->status, p->code, p->retry_after_s, p->extra, "%.*s", n, detail);
}

static struct slice on_request_id(void *owner)
{
	return http_request_id(owner);
}

static void on_quota(void *owner, const struct http_quota *quota)
{
	http_request_set_quota(owner, quota);
}

static void on_begin(void *owner, const struct http_response *head)
{
	http_stream_begin(owner, head);
}

static bool on_answer_piece(void *owner, struct slice piece)
{
	return http_stream_piece(owner, piece);
}

static void on_end(void *owner)
{
	http_stream_end(owner);
}

static void on_cut(void *owner, bool stopped)
{
	http_stream_abort(owner);
}

static void on_want_body(void *owner, bool want)
{
	http_request_pause(owner, !want);
}

static struct slice on_trace(void *owner)
{
	return http_request_trace(owner);
}

static void on_timing(void *owner, const char *step, uint64_t ns)
{
	http_request_add_timing(owner, step, ns);
}

static const struct execution_client http_client = {
	.respond = on_answer,
	.problem = on_problem,
	.request_id = on_request_id,
	.trace = on_trace,
	.timing = on_timing,
	.quota = on_quota,
	.begin = on_begin,
	.piece = on_answer_piece,
	.end = on_end,
	.cut = on_cut,
	.want_body = on_want_body,
};

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

/* JSON, and what forms and tools say when they were told nothing, is a call like any other. */
static bool upload_is_wanted(const struct execution *x, const struct http_request *r)
{
	static const char *const calls[] = { "application/json",
		"application/x-www-form-urlencoded" };
	struct slice type = http_request_header(r, SLICE("Content-Type"));
	const uint8_t *end = type.n == 0 ? NULL : memchr(type.p, ';', type.n);
	type.n = end == NULL ? type.n : (size_t)(end - type.p);
	while (type.n > 0 && type.p[type.n - 1] == ' ') {
		type.n--;
	}
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (slice_eq_nocase(type, slice_str(calls[i]))) {
			return false;
		}
	}
	return type.n > 0 && execution_takes_uploads(x);
}

/* {"name": "value", …, "_upload": {"content_type": …, "length": …}} */
static int append_upload(struct buffer *out, const struct http_request *r)
{
	struct slice length = http_request_header(r, SLICE("Content-Length"));
	int e = buffer_append_byte(out, '{');
	e = e < 0 ? e : query_append_json(out, http_request_query(r));
	e = e < 0 ? e : buffer_append(out, SLICE("\"_upload\":{\"content_type\":"));
	e = e < 0 ? e : buffer_append_json(out, http_request_header(r, SLICE("Content-Type")));
	e = e < 0 ? e : buffer_append(out, SLICE(",\"length\":"));
	e = e < 0 ? e : buffer_append(out, length.n > 0 ? length : SLICE("null"));
	return e < 0 ? e : buffer_append(out, SLICE("}}"));
}

/* The body will follow in pieces: the call begins with what the URL says. */
static bool begin_upload(struct director *d, struct execution *x, struct http_request *r)
{
	struct buffer data;
	buffer_init(&data, UPLOAD_DATA_MAX);
	int e = append_upload(&data, r);
	bool running = false;
	if (http_request_header(r, SLICE("Idempotency-Key")).p != NULL) {
		/* Whoever sends one counts on it, and an upload runs while its body is still unknown: there
		 * is nothing to compare a second one with. */
		http_problem(r, 400, "idempotency_key_unsupported", 0,
			"An upload cannot have an Idempotency-Key: its call begins before its body is "
			"there. Send it without one, or as JSON");
	} else if (e == -ENOMEM) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
	} else if (e < 0) {
		http_problem(r, 400, "invalid_query", 0,
			"The query must be name=value&…, percent-encoded UTF-8");
	} else {
		http_request_want_pieces(
			r, d->settings->upload_bytes, "bytes (MOZAIKS_MAX_UPLOAD_BYTES)");
		running = execution_run_with_body(x, buffer_slice(&data));
	}
	buffer_deinit(&data);
	return running;
}

static bool on_head(void *owner, struct http_request *r)
{
	struct director *d = owner;
	uint64_t began = d->settings->server_timing ? uv_hrtime() : 0;
	struct user_context *user = execute_authenticate(d, r);
	if (user == NULL) {
		return false;
	}
	if (began > 0) {
		http_request_add_timing(r, "auth", uv_hrtime() - began);
	}
	struct execution *x = execution_new(d, user, &http_client, r);
	(void)user_context_unref(user);
	if (x == NULL) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
		return false;
	}
	http_request_set_context(r, x, release);
	if (!execution_find_plugin(x, http_request_param(r, 0))) {
		return false;
	}
	return !upload_is_wanted(x, r) || begin_upload(d, x, r);
}

/* A client that comes back to an event stream says what it saw last: "_last_event_id" is put into its
 * object, before that is checked. What is no object stays as it is, and will be refused. */
static int add_last_event(struct buffer *out, struct slice body, struct slice id)
{
	while (body.n > 0 && body.p[body.n - 1] <= ' ') {
		body.n--;
	}
	if (body.n == 0 || body.p[body.n - 1] != '}') {
		return buffer_append(out, body);
	}
	body.n--;
	size_t before = body.n;
	while (before > 0 && body.p[before - 1] <= ' ') {
		before--;
	}
	bool empty = before > 0 && body.p[before - 1] == '{';
	int e = buffer_append(out, body);
	e = e < 0 ? e
		  : buffer_append(out,
			    empty ? SLICE("\"_last_event_id\":") : SLICE(",\"_last_event_id\":"));
	e = e < 0 ? e : buffer_append_json(out, id);
	return e < 0 ? e : buffer_append_byte(out, '}');
}

static void run_again(struct http_request *r, struct slice body, struct slice id, bool repeatable)
{
	struct buffer data;
	buffer_init(&data, SETTINGS_BODY_BYTES_MAX);
	int e = add_last_event(&data, body, id);
	if (e == 0) {
		execution_run(http_request_context(r), buffer_slice(&data), repeatable);
	} else if (e == -ENOBUFS) {
		http_problem(r, 413, NULL, 0,
			"The body and its Last-Event-ID have more than %d bytes",
			(int)SETTINGS_BODY_BYTES_MAX);
	} else {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
	}
	buffer_deinit(&data);
}

/* What the client's key says. @return false after answering. */
static bool must_run(struct http_request *r, struct slice key, struct slice body)
{
	static const struct http_header replayed = {
		{ (const uint8_t *)"Idempotency-Replayed", 20 }, { (const uint8_t *)"true", 4 }
	};
	struct idempotency_answer kept;
	if (!idempotency_is_key(key)) {
		http_problem(r, 400, "invalid_idempotency_key", 0,
			"An Idempotency-Key has 1 to %d printable ASCII characters",
			IDEMPOTENCY_KEY_MAX);
		return false;
	}
	switch (execution_begin_once(http_request_context(r), key, body, &kept)) {
	case IDEMPOTENCY_NEW:
		return true;
	case IDEMPOTENCY_RUNNING:
		http_problem(r, 409, "idempotency_key_in_use", 1,
			"The first request with this Idempotency-Key is still running");
		return false;
	case IDEMPOTENCY_OTHER:
		http_problem(r, 422, "idempotency_key_reused", 0,
			"This Idempotency-Key was used with another body");
		return false;
	case IDEMPOTENCY_KEPT: {
		struct http_response response = {
			.status = kept.status,
			.headers = &replayed,
			.n_headers = 1,
			.body = { kept.body },
		};
		http_respond(r, &response);
		return false;
	}
	default:
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
		return false;
	}
}

static void on_body(void *owner, struct http_request *r, struct slice body)
{
	struct slice last_event = http_request_header(r, SLICE("Last-Event-ID"));
	struct slice key = http_request_header(r, SLICE("Idempotency-Key"));
	bool repeatable = key.p != NULL;
	if (repeatable && !must_run(r, key, body)) {
		return;
	}
	if (last_event.n > 0) {
		run_again(r, body, last_event, repeatable);
		return;
	}
	execution_run(http_request_context(r), body, repeatable);
}

static void on_piece(void *owner, struct http_request *r, struct slice piece, bool last)
{
	execution_body(http_request_context(r), piece, last);
}

static void on_sent(void *owner, struct http_request *r)
{
	execution_sent(http_request_context(r));
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
	.on_piece = on_piece,
	.on_sent = on_sent,
};
