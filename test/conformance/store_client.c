#include "test/conformance/store_client.h"

#include "common/base/clock.h"
#include "common/base/error.h"

#include <stdio.h>

static uint64_t answers;

void client_init(struct client *c, const char *uri)
{
	*c = (struct client){ 0 };
	invariant(uv_loop_init(&c->loop) == 0);
	store_config_init(&c->config);
	c->config.loop = &c->loop;
	c->config.uri = uri;
	c->config.state_dir = "/nonexistent";
}

int client_open(struct client *c)
{
	return store_open(&c->store, &c->config, c->why);
}

static void on_tick(uv_timer_t *timer)
{
}

static void on_tick_closed(uv_handle_t *handle)
{
	*(bool *)handle->data = true;
}

bool client_wait_ready(struct client *c, unsigned ms)
{
	uint64_t deadline = clock_ms() + ms;
	bool closed = false;
	uv_timer_t tick = { .data = &closed };
	invariant(uv_timer_init(&c->loop, &tick) == 0);
	invariant(uv_timer_start(&tick, on_tick, 10, 10) == 0);
	while (!store_ready(c->store) && clock_ms() < deadline) {
		(void)uv_run(&c->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&tick, on_tick_closed);
	while (!closed) {
		(void)uv_run(&c->loop, UV_RUN_ONCE);
	}
	return store_ready(c->store);
}

static void on_closed(void *arg)
{
	((struct client *)arg)->closed = true;
}

void client_close(struct client *c)
{
	c->closed = false;
	store_close(c->store, on_closed, c);
	while (!c->closed) {
		(void)uv_run(&c->loop, UV_RUN_ONCE);
	}
	store_free(c->store);
	c->store = NULL;
}

void client_deinit(struct client *c)
{
	(void)uv_run(&c->loop, UV_RUN_DEFAULT);
	invariant(uv_loop_close(&c->loop) == 0);
}

static struct slice copy(struct slice s)
{
	uint8_t *p = malloc(s.n + 1);
	invariant(p != NULL);
	if (s.n > 0) {
		memcpy(p, s.p, s.n);
	}
	return slice_of(p, s.n);
}

static void on_done(void *owner, const struct store_result *result)
{
	struct reply *r = (struct reply *)owner;
	*r = (struct reply){
		.error = result->error,
		.documents = copy(result->documents),
		.n = result->n,
		.modified = result->modified,
		.upserted_id = copy(result->upserted_id),
		.n_write_errors = result->n_write_errors,
		.order = ++answers,
		.done = true,
	};
	memcpy(r->message, result->message, sizeof(r->message));
	r->write_errors = calloc(result->n_write_errors + 1, sizeof(*r->write_errors));
	invariant(r->write_errors != NULL);
	for (size_t i = 0; i < result->n_write_errors; i++) {
		r->write_errors[i] = result->write_errors[i];
	}
}

void reply_deinit(struct reply *r)
{
	free((void *)(uintptr_t)r->documents.p);
	free((void *)(uintptr_t)r->upserted_id.p);
	free(r->write_errors);
	*r = (struct reply){ 0 };
}

void client_submit(struct client *c,
	const struct store_scope *scope,
	const struct store_command *command,
	struct reply *r)
{
	*r = (struct reply){ 0 };
	invariant(store_submit(c->store, scope, command, on_done, r) == 0);
}

void client_wait(struct client *c, const struct reply *replies, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		while (!replies[i].done) {
			(void)uv_run(&c->loop, UV_RUN_ONCE);
		}
	}
}

void client_run(struct client *c,
	const struct store_scope *scope,
	const struct store_command *command,
	struct reply *r)
{
	client_submit(c, scope, command, r);
	client_wait(c, r, 1);
}
