/* Calls of plugins over a session: {"type":"execute","id","plugin","data"}, the same steps as a POST,
 * answered with {"type":"execute_result","id","plugin","status","data"}, where data is the body that the
 * POST would have got. */
#include "director/execute/execute.h"

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/json/scan.h"
#include "director/director.h"
#include "director/http/problem.h"
#include "director/websocket/session_inside.h"

#include <stdio.h>
#include <stdlib.h>

enum { PREFIX_MAX = 1024, PROBLEM_MAX = 1 << 20 };

struct ws_execution {
	struct ws_execution *prev, *next;
	struct session *session;
	struct execution *execution;
	char request_id[REQUEST_ID_LENGTH];
	size_t id_n, plugin_n;
	uint8_t text[]; /* the id and the plugin's name, as they stood in the message */
};

static struct slice id_of(const struct ws_execution *x)
{
	return slice_of(x->text, x->id_n);
}

static struct slice plugin_of(const struct ws_execution *x)
{
	return slice_of(x->text + x->id_n, x->plugin_n);
}

static void drop(struct ws_execution *x)
{
	DL_DELETE(x->session->executions, x);
	x->execution = execution_free(x->execution);
	free(x);
}

/* Sends the answer; it is over then. */
static void answer(struct ws_execution *x,
	int status,
	unsigned retry_after_s,
	const struct slice body[static 2])
{
	struct session *s = x->session;
	struct buffer b;
	buffer_init(&b, PREFIX_MAX);
	int r = buffer_append(&b, SLICE("{\"type\":\"execute_result\",\"id\":"));
	r = r < 0 ? r : buffer_append(&b, id_of(x));
	r = r < 0 ? r : buffer_append(&b, SLICE(",\"plugin\":"));
	r = r < 0 ? r : buffer_append(&b, plugin_of(x));
	r = r < 0 ? r : buffer_printf(&b, ",\"status\":%d", status);
	if (retry_after_s > 0) {
		r = r < 0 ? r : buffer_printf(&b, ",\"retry_after\":%u", retry_after_s);
	}
	r = r < 0 ? r : buffer_append(&b, SLICE(",\"data\":"));
	if (r == 0) {
		struct slice pieces[4] = { buffer_slice(&b), body[0], body[1], SLICE("}") };
		(void)websocket_send(s->socket, false, pieces, 4);
	} else {
		websocket_close(s->socket, WS_TRY_LATER, SLICE("no memory for this answer now"));
	}
	buffer_deinit(&b);
	drop(x);
	session_check_drain(s);
}

static void on_answer(void *owner, const struct http_response *response)
{
	answer(owner, response->status, 0, response->body);
}

static void on_problem(void *owner, const struct execution_problem *p)
{
	struct ws_execution *x = owner;
	struct buffer words;
	buffer_init(&words, PROBLEM_MAX);
	const struct problem problem = {
		.status = p->status,
		.code = slice_str(p->code),
		.detail = p->detail,
		.request_id = slice_of(x->request_id, sizeof(x->request_id)),
		.extra = p->extra,
	};
	struct slice body[2] = { SLICE("null") };
	if (problem_append(&words, &problem) == 0) {
		body[0] = buffer_slice(&words);
	}
	answer(x, p->status, p->retry_after_s, body);
	buffer_deinit(&words);
}

static struct slice on_request_id(void *owner)
{
	const struct ws_execution *x = owner;
	return slice_of(x->request_id, sizeof(x->request_id));
}

static const struct execution_client client = { on_answer, on_problem, on_request_id };

static bool is_in_flight(const struct session *s, struct slice id)
{
	const struct ws_execution *x;
	DL_FOREACH (s->executions, x) {
		if (slice_eq(id_of(x), id)) {
			return true;
		}
	}
	return false;
}

static struct ws_execution *add(struct session *s, struct slice id, struct slice plugin)
{
	struct ws_execution *x = calloc(1, sizeof(*x) + id.n + plugin.n);
	if (x == NULL) {
		return NULL;
	}
	x->session = s;
	x->id_n = id.n;
	x->plugin_n = plugin.n;
	memcpy(x->text, id.p, id.n);
	memcpy(x->text + id.n, plugin.p, plugin.n);
	websockets_request_id(s->director->websockets, x->request_id);
	x->execution = execution_new(s->director, websocket_user(s->socket), &client, x);
	if (x->execution == NULL) {
		free(x);
		return NULL;
	}
	DL_APPEND(s->executions, x);
	return x;
}

static void refuse(struct ws_execution *x, int status, const char *code, const char *detail)
{
	struct execution_problem p = {
		.status = status, .code = code, .detail = slice_str(detail)
	};
	on_problem(x, &p);
}

void session_execute(struct session *s, const struct session_message *m)
{
	/* A name that is longer, escaped or no string is none of a plugin. */
	struct slice plugin = m->plugin;
	struct slice name = SLICE_NULL;
	if (plugin.n < 2 || plugin.p[0] != '"' || plugin.n > PLUGIN_ID_MAX + 2) {
		plugin = SLICE("\"\"");
	} else {
		name = slice_of(plugin.p + 1, plugin.n - 2);
	}
	if (is_in_flight(s, m->id)) {
		session_error(s, m->id, "duplicate_id", "a call with this id is in flight");
		return;
	}
	struct ws_execution *x = add(s, m->id, plugin);
	if (x == NULL) {
		session_error(s, m->id, "out_of_memory", "No memory for this call now");
		return;
	}
	const struct settings *settings = s->director->settings;
	char text[128];
	if (s->draining) {
		refuse(x, 503, "stopping", "The runtime is stopping");
	} else if (!execution_find_plugin(x->execution, name)) {
		return;
	} else if (m->data.n > settings->body_bytes) {
		(void)snprintf(text, sizeof(text),
			"\"data\" has more than %llu bytes (MAX_REQUEST_BODY_BYTES)",
			(unsigned long long)settings->body_bytes);
		refuse(x, 413, "content_too_large", text);
	} else {
		execution_run(x->execution, m->data, false);
	}
}

void session_abandon(struct session *s)
{
	struct ws_execution *x;
	struct ws_execution *next;
	DL_FOREACH_SAFE (s->executions, x, next) {
		execution_abandon(x->execution);
		drop(x);
	}
}
