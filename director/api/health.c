/* Health: /livez and /readyz answer a word, /health, /ready and /info the reference's bodies. */
#include "common/base/buffer.h"
#include "director/api/api.h"
#include "director/auth/issuer.h"
#include "director/director.h"
#include "director/hosts/control.h"
#include "director/users/users.h"

static void respond(struct http_request *r, int status, struct buffer *body, int e)
{
	if (e < 0) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this answer now");
	} else {
		http_respond(r,
			&(struct http_response){
				.status = status, .body = { buffer_slice(body) } });
	}
	buffer_deinit(body);
}

static void livez(void *owner, struct http_request *r, struct slice body)
{
	http_respond(r,
		&(struct http_response){ .status = 200,
			.content_type = SLICE("text/plain"),
			.body = { SLICE("ok") } });
}

/* Why this node should get no requests, or NULL. */
static const char *not_ready(const struct director *d)
{
	if (d->stopping) {
		return "the director is stopping";
	}
	if (!store_ready(d->store)) {
		return "the database cannot be reached";
	}
	if (d->users != NULL && !users_ready(d->users)) {
		return "the accounts are not loaded";
	}
	if (d->issuer != NULL && issuer_problem(d->issuer) != NULL) {
		return "the keys of the tokens' issuer are not known";
	}
	if (!hosts_ready(d, NULL)) {
		return "no pluginhost is connected";
	}
	return NULL;
}

static void readyz(void *owner, struct http_request *r, struct slice body)
{
	const char *reason = not_ready(owner);
	if (reason != NULL) {
		http_problem(r, 503, "not_ready", 1, "Not ready: %s", reason);
		return;
	}
	livez(owner, r, body);
}

static int append_app(const struct director *d, struct buffer *b)
{
	int e = buffer_append(b, SLICE("\"app_id\":"));
	e = e < 0 ? e : buffer_append_json(b, d->app_id);
	e = e < 0 ? e : buffer_append(b, SLICE(",\"app_tier\":"));
	return e < 0 ? e : buffer_append_json(b, slice_str(d->settings->app_tier));
}

static void health(void *owner, struct http_request *r, struct slice body)
{
	const struct director *d = owner;
	struct buffer b;
	buffer_init(&b, 4096);
	int e = buffer_append(&b, SLICE("{\"status\":\"healthy\","));
	e = e < 0 ? e : append_app(d, &b);
	e = e < 0 ? e
		  : buffer_printf(&b, ",\"plugins_loaded\":%u}", HASH_COUNT(d->registry.plugins));
	respond(r, 200, &b, e);
}

static void ready(void *owner, struct http_request *r, struct slice body)
{
	const struct director *d = owner;
	const char *reason = not_ready(d);
	struct buffer b;
	buffer_init(&b, 4096);
	int e = buffer_printf(&b, "{\"status\":\"%s\",", reason == NULL ? "ready" : "not_ready");
	if (reason != NULL) {
		e = e < 0 ? e : buffer_append(&b, SLICE("\"reason\":"));
		e = e < 0 ? e : buffer_append_json(&b, slice_str(reason));
		e = e < 0 ? e : buffer_append_byte(&b, ',');
	}
	e = e < 0 ? e : append_app(d, &b);
	e = e < 0 ? e : buffer_append_byte(&b, '}');
	respond(r, reason == NULL ? 200 : 503, &b, e);
}

static void info(void *owner, struct http_request *r, struct slice body)
{
	const struct director *d = owner;
	struct buffer b;
	buffer_init(&b, 4096);
	int e = buffer_append_byte(&b, '{');
	e = e < 0 ? e : append_app(d, &b);
	e = e < 0 ? e : buffer_append(&b, SLICE(",\"app_name\":"));
	e = e < 0 ? e : buffer_append_json(&b, slice_str(d->settings->app_name));
	e = e < 0 ? e
		  : buffer_printf(&b, ",\"port\":%d,\"ready\":%s}", d->port,
			    not_ready(d) == NULL ? "true" : "false");
	respond(r, 200, &b, e);
}

const struct http_handler health_livez = { .on_body = livez };
const struct http_handler health_readyz = { .on_body = readyz };
const struct http_handler health_health = { .on_body = health };
const struct http_handler health_ready = { .on_body = ready };
const struct http_handler health_info = { .on_body = info };
