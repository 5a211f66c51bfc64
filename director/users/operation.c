#include "director/users/operation.h"

#include "common/base/clock.h"
#include "common/base/map.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- ends ----------------------------------------------------------------------------------- */

enum step_result operation_end(struct operation *o, enum users_outcome outcome, const char *text)
{
	o->answer.outcome = outcome;
	if (text != NULL) {
		(void)snprintf(o->text, sizeof(o->text), "%s", text);
		o->answer.text = o->text;
	}
	o->ended = true;
	return STEP_ON;
}

enum step_result operation_invalid(struct operation *o, const char *field, const char *text)
{
	o->answer.field = field;
	return operation_end(o, USERS_E_INVALID, text);
}

static void operation_free(struct operation *o)
{
	record_deinit(&o->user);
	free(o->rows);
	free(o->more_rows);
	if (o->access_token != NULL) {
		sodium_memzero(o->access_token, strlen(o->access_token));
		free(o->access_token);
	}
	if (o->memory != NULL) {
		sodium_memzero(o->memory, o->memory_n);
		free(o->memory);
	}
	sodium_memzero(o, sizeof(*o));
	free(o);
}

static void fill_answer(struct operation *o)
{
	struct users_answer *a = &o->answer;
	const struct users_config *c = &o->users->config;
	a->user_id = slice_str(o->user.id);
	a->username = o->user.username;
	a->email = o->user.email;
	a->full_name = o->user.full_name;
	a->disabled = o->user.disabled;
	a->roles = slice_of(o->roles, o->roles_n);
	a->access_token = o->access_token;
	a->refresh_token = o->token.token;
	a->expires_in_s = c->access_s;
	a->refresh_expires_in_s = c->refresh_s;
	a->hashing = hasher_counters(o->users->hasher);
	a->documents = slice_of(o->rows, o->rows_n);
	a->roles_documents = slice_of(o->more_rows, o->more_rows_n);
}

static void finish(struct operation *o)
{
	fill_answer(o);
	/* What was not tried costs no attempt. */
	if (o->charged &&
		(o->answer.outcome == USERS_E_BUSY || o->answer.outcome == USERS_E_STORE)) {
		throttle_undo(o->users->throttle, o->key, o->request.address);
	}
	DL_DELETE(o->users->ops, o);
	if (o->done != NULL) {
		o->done(o->owner, &o->answer);
	}
	operation_free(o);
}

/* `o` may be gone afterwards. */
void operation_tick(struct operation *o)
{
	while (!o->ended && o->kind->steps[o->step] != NULL) {
		step_fn step = o->kind->steps[o->step++];
		if (step(o) == STEP_WAIT) {
			return;
		}
	}
	finish(o);
}

/* ---- the store ------------------------------------------------------------------------------ */

static void take_result(struct operation *o, const struct store_result *r)
{
	if (r->error == STORE_OK || r->error == STORE_E_DUPLICATE || r->error == o->tolerated) {
		o->take(o, r);
	} else {
		(void)operation_end(o, USERS_E_STORE, r->message);
	}
}

static void on_stored(void *owner, const struct store_result *r)
{
	struct operation *o = owner;
	take_result(o, r);
	operation_tick(o);
}

enum step_result operation_submit(struct operation *o,
	const struct store_command *c,
	void (*take)(struct operation *o, const struct store_result *r))
{
	const struct users_config *config = &o->users->config;
	struct store_scope scope = { .kind = STORE_SCOPE_SHARED, .app = config->app_id };
	o->take = take;
	if (store_submit(config->store, &scope, c, on_stored, o) < 0) {
		return operation_end(o, USERS_E_STORE, "the store takes nothing now");
	}
	return STEP_WAIT;
}

enum step_result operation_submit_written(struct operation *o,
	struct store_command *c,
	struct document_writer *filter,
	struct document_writer *update,
	void (*take)(struct operation *o, const struct store_result *r))
{
	enum step_result r;
	c->filter = buffer_slice(&filter->b);
	c->update = update == NULL ? SLICE_NULL : buffer_slice(&update->b);
	if (filter->error < 0 || (update != NULL && update->error < 0)) {
		r = operation_end(o, USERS_E_STORE, "no memory");
	} else {
		r = operation_submit(o, c, take);
	}
	writer_deinit(filter);
	if (update != NULL) {
		writer_deinit(update);
	}
	return r;
}

/* ---- beginning ------------------------------------------------------------------------------ */

static void copy(uint8_t **at, struct slice *s)
{
	if (s->n > 0) {
		memcpy(*at, s->p, s->n);
	}
	*s = slice_of(*at, s->n);
	*at += s->n;
}

/* One block, so that one call wipes it. */
static int copy_request(struct operation *o, const struct users_request *request)
{
	o->request = *request;
	struct users_request *r = &o->request;
	struct slice *const parts[] = { &r->username, &r->email, &r->full_name, &r->password,
		&r->new_password, &r->refresh_token, &r->roles, &r->address, &r->search };
	enum { N_PARTS = sizeof(parts) / sizeof(parts[0]) };
	for (size_t i = 0; i < N_PARTS; i++) {
		o->memory_n += parts[i]->n;
	}
	o->memory = malloc(o->memory_n + 1);
	if (o->memory == NULL) {
		return -1;
	}
	uint8_t *at = o->memory;
	for (size_t i = 0; i < N_PARTS; i++) {
		copy(&at, parts[i]);
	}
	r->user = NULL;
	if (request->user != NULL) {
		const struct user_context *u = request->user;
		memcpy(o->asker, u->user_id.p, u->user_id.n);
		if (u->session.n == SESSION_ID_SIZE - 1) {
			memcpy(o->session, u->session.p, u->session.n);
		}
	}
	return 0;
}

struct operation *users_begin(struct users *u,
	const struct operation_kind *kind,
	const struct users_request *request,
	users_done_fn done,
	void *owner)
{
	struct operation *o = u->closing ? NULL : calloc(1, sizeof(*o));
	if (o == NULL) {
		return NULL;
	}
	o->users = u;
	o->kind = kind;
	o->done = done;
	o->owner = owner;
	o->now_ms = clock_unix_ms();
	if (copy_request(o, request) < 0) {
		free(o);
		return NULL;
	}
	o->key = user_key(o->request.username, o->key_bytes);
	DL_APPEND(u->starting, o);
	uvx_later_ask(&u->later);
	return o;
}

void users_abandon(struct operation *o)
{
	o->done = NULL;
}
