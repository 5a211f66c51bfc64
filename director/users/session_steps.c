/* Steps: sessions and their tokens. sessions.h says what a session is; here is its document:
 * {_id, user_id, secret, created_at, refreshed_at, expires_at, revoked_at?}. An ended one stays, without
 * its secret, for as long as its last access token may live. The store removes it at expires_at. */
#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "director/auth/mint.h"
#include "director/users/operation.h"

#include <errno.h>
#include <stdlib.h>

#define SESSIONS SLICE("sessions")

/* Sessions that one login ends at most, where there were any number before: the next one goes on. */
enum { SURPLUS_AT_ONCE = 500 };

int64_t session_gone_ms(const struct users *u, int64_t now_ms)
{
	return now_ms + ((int64_t)u->config.access_s + TOKEN_MARGIN_S) * 1000;
}

static int64_t session_end_ms(const struct users *u, int64_t now_ms)
{
	return now_ms + (int64_t)u->config.refresh_s * 1000;
}

/* ---- beginning ------------------------------------------------------------------------------ */

static void take_opened(struct operation *o, const struct store_result *r)
{
	if (r->error != STORE_OK) {
		(void)operation_end(o, USERS_E_STORE, r->message);
	}
}

enum step_result step_open_session(struct operation *o)
{
	struct document_writer w;
	session_token_new(&o->token, NULL);
	size_t root = filter_open(&w);
	writer_string(&w, SLICE("_id"), slice_str(o->token.session));
	writer_string(&w, SLICE("user_id"), slice_str(o->user.id));
	writer_string(&w, SLICE("secret"), slice_str(o->token.secret));
	writer_date(&w, SLICE("created_at"), o->now_ms);
	writer_date(&w, SLICE("refreshed_at"), o->now_ms);
	writer_date(&w, SLICE("expires_at"), session_end_ms(o->users, o->now_ms));
	writer_close(&w, root);
	struct store_command c = {
		.op = STORE_INSERT, .collection = SESSIONS, .documents = buffer_slice(&w.b)
	};
	enum step_result r = w.error < 0 ? operation_end(o, USERS_E_STORE, "no memory")
					 : operation_submit(o, &c, take_opened);
	writer_deinit(&w);
	return r;
}

enum step_result step_make_access_token(struct operation *o)
{
	const struct mint_request request = {
		.user = slice_str(o->user.id),
		.username = o->user.username,
		.roles = slice_of(o->roles, o->roles_n),
		.session = slice_str(o->token.session),
		.ttl_s = o->users->config.access_s,
	};
	int r = auth_mint_token(o->users->config.auth, &request, &o->access_token);
	if (r == -EINVAL) {
		return operation_end(
			o, USERS_E_INTERNAL, "the username or the roles do not fit a token");
	}
	return r < 0 ? operation_end(o, USERS_E_STORE, "no memory for a token") : STEP_ON;
}

/* {"user_id","username"} and the user, as the token that was just made says it. */
static void tell(struct operation *o, struct slice name)
{
	const struct users_config *config = &o->users->config;
	struct user_context *user = NULL;
	struct buffer header;
	struct buffer data;
	buffer_init(&header, AUTH_TOKEN_BYTES_MAX + 16);
	buffer_init(&data, 4096);
	int r = buffer_append(&header, SLICE("Bearer "));
	r = r < 0 ? r : buffer_append(&header, slice_str(o->access_token));
	r = r < 0 ? r : auth_verify(config->auth, buffer_slice(&header), &user);
	if (r == AUTH_OK && config->event != NULL) {
		r = buffer_append(&data, SLICE("{\"user_id\":"));
		r = r < 0 ? r : buffer_append_json(&data, user->user_id);
		r = r < 0 ? r : buffer_append(&data, SLICE(",\"username\":"));
		r = r < 0 ? r : buffer_append_json(&data, user->username);
		r = r < 0 ? r : buffer_append_byte(&data, '}');
		if (r == 0) {
			config->event(config->event_arg, name, user, buffer_slice(&data));
		}
	}
	(void)user_context_unref(user);
	buffer_deinit(&header);
	buffer_deinit(&data);
}

enum step_result step_tell_registered(struct operation *o)
{
	tell(o, SLICE("user:registered"));
	return STEP_ON;
}

enum step_result step_tell_login(struct operation *o)
{
	tell(o, SLICE("user:login"));
	return STEP_ON;
}

/* ---- refreshing ----------------------------------------------------------------------------- */

enum step_result step_parse_refresh(struct operation *o)
{
	if (!session_token_parse(o->request.refresh_token, &o->used)) {
		return operation_end(o, USERS_E_TOKEN, NULL);
	}
	memcpy(o->session, o->used.session, sizeof(o->session));
	session_token_new(&o->token, &o->used);
	return STEP_ON;
}

static bool take_session_user(struct operation *o, struct slice row)
{
	struct value user = document_find(row, SLICE("user_id"));
	return record_id_text(user, o->asker);
}

static void take_rotated(struct operation *o, const struct store_result *r)
{
	o->match = r->documents.n > 0 && take_session_user(o, r->documents);
}

/* revoked_at: {$exists: false}, expires_at: {$gt: now} */
static void write_not_ended(struct operation *o, struct document_writer *w)
{
	size_t inner = writer_open_in(w, BT_OBJECT, SLICE("revoked_at"));
	writer_bool(w, SLICE("$exists"), false);
	writer_close(w, inner);
	inner = writer_open_in(w, BT_OBJECT, SLICE("expires_at"));
	writer_date(w, SLICE("$gt"), o->now_ms);
	writer_close(w, inner);
}

static void write_live(struct operation *o, struct document_writer *w)
{
	writer_string(w, SLICE("_id"), slice_str(o->session));
	write_not_ended(o, w);
}

/* In one command, so that of two who use a token at once one is too late. */
enum step_result step_rotate(struct operation *o)
{
	struct document_writer filter;
	struct document_writer update;
	size_t root = filter_open(&filter);
	write_live(o, &filter);
	writer_string(&filter, SLICE("secret"), slice_str(o->used.secret));
	writer_close(&filter, root);
	root = filter_open(&update);
	size_t set = writer_open_in(&update, BT_OBJECT, SLICE("$set"));
	writer_string(&update, SLICE("secret"), slice_str(o->token.secret));
	writer_date(&update, SLICE("refreshed_at"), o->now_ms);
	writer_date(&update, SLICE("expires_at"), session_end_ms(o->users, o->now_ms));
	writer_close(&update, set);
	writer_close(&update, root);
	struct store_command c = { .op = STORE_MODIFY, .collection = SESSIONS, .return_new = true };
	return operation_submit_written(o, &c, &filter, &update, take_rotated);
}

/* The session lives and the token is one of its family, but not the one that is good. */
static void take_reused(struct operation *o, const struct store_result *r)
{
	if (r->documents.n == 0 || !take_session_user(o, r->documents)) {
		(void)operation_end(o, USERS_E_TOKEN, NULL);
		return;
	}
	struct log_field fields[] = {
		{ "user_id", slice_str(o->asker) },
		{ "session", slice_str(o->session) },
		{ "address", o->request.address },
	};
	log_fields(LOG_WARNING, "users.refresh_reused", fields, 3,
		"a refresh token was used again: its session ends");
}

/* Behind it come the steps for a token that was used before; without one they are skipped. */
enum step_result step_judge_reuse(struct operation *o)
{
	struct document_writer w;
	if (o->match) {
		return STEP_ON;
	}
	size_t root = filter_open(&w);
	write_live(o, &w);
	writer_close(&w, root);
	struct store_command c = { .op = STORE_FIND, .collection = SESSIONS, .limit = 1 };
	return operation_submit_written(o, &c, &w, NULL, take_reused);
}

static void take_live(struct operation *o, const struct store_result *r)
{
	if (r->documents.n == 0) {
		(void)operation_end(o, USERS_E_TOKEN, NULL);
	}
}

/* Before a session of which only a token is known is noted as ended: strangers make up tokens. */
enum step_result step_need_session(struct operation *o)
{
	struct document_writer w;
	size_t root = filter_open(&w);
	write_live(o, &w);
	writer_close(&w, root);
	struct store_command c = { .op = STORE_FIND, .collection = SESSIONS, .limit = 1 };
	return operation_submit_written(o, &c, &w, NULL, take_live);
}

/* ---- ending --------------------------------------------------------------------------------- */

static void write_ending(struct operation *o, struct document_writer *w)
{
	size_t root = filter_open(w);
	size_t part = writer_open_in(w, BT_OBJECT, SLICE("$set"));
	writer_date(w, SLICE("revoked_at"), o->now_ms);
	writer_date(w, SLICE("expires_at"), session_gone_ms(o->users, o->now_ms));
	writer_close(w, part);
	part = writer_open_in(w, BT_OBJECT, SLICE("$unset"));
	writer_string(w, SLICE("secret"), SLICE(""));
	writer_close(w, part);
	writer_close(w, root);
}

static void take_ended(struct operation *o, const struct store_result *r)
{
	if (r->error != STORE_OK) {
		(void)operation_end(o, USERS_E_STORE, r->message);
	} else {
		o->answer.sessions = (unsigned)r->n;
	}
}

/* The one in `session`: in memory first, so that it has ended whatever the store says. A refresh that
 * went well has nothing to end. */
enum step_result step_end_session(struct operation *o)
{
	struct users *u = o->users;
	struct document_writer filter;
	struct document_writer update;
	if (o->match || o->session[0] == '\0') {
		return STEP_ON;
	}
	if (revocations_end_session(&u->revocations, slice_str(o->session),
		    session_gone_ms(u, o->now_ms), o->now_ms) < 0) {
		return operation_end(o, USERS_E_STORE, "no memory");
	}
	size_t root = filter_open(&filter);
	write_live(o, &filter);
	writer_close(&filter, root);
	write_ending(o, &update);
	struct store_command c = { .op = STORE_UPDATE, .collection = SESSIONS };
	return operation_submit_written(o, &c, &filter, &update, take_ended);
}

/* Those of the user, but for the one in `session`. */
enum step_result step_end_sessions(struct operation *o)
{
	struct document_writer filter;
	struct document_writer update;
	size_t root = filter_open(&filter);
	writer_string(&filter, SLICE("user_id"), slice_str(o->user.id));
	size_t inner = writer_open_in(&filter, BT_OBJECT, SLICE("revoked_at"));
	writer_bool(&filter, SLICE("$exists"), false);
	writer_close(&filter, inner);
	if (o->session[0] != '\0') {
		inner = writer_open_in(&filter, BT_OBJECT, SLICE("_id"));
		writer_string(&filter, SLICE("$ne"), slice_str(o->session));
		writer_close(&filter, inner);
	}
	writer_close(&filter, root);
	write_ending(o, &update);
	struct store_command c = { .op = STORE_UPDATE, .collection = SESSIONS, .multi = true };
	return operation_submit_written(o, &c, &filter, &update, take_ended);
}

static void take_surplus(struct operation *o, const struct store_result *r)
{
	free(o->rows);
	o->rows = store_result_steal_documents(r, &o->rows_n);
}

/* {user_id, _id: {$ne: the new one}, revoked_at: {$exists: false}, expires_at: {$gt: now}}, the latest
 * first. After the new one was stored, so that of two logins at once one sees the other's. */
enum step_result step_find_surplus(struct operation *o)
{
	unsigned most = o->users->config.sessions;
	struct document_writer filter;
	struct document_writer sort;
	if (most == 0) {
		return STEP_ON;
	}
	size_t root = filter_open(&filter);
	writer_string(&filter, SLICE("user_id"), slice_str(o->user.id));
	size_t inner = writer_open_in(&filter, BT_OBJECT, SLICE("_id"));
	writer_string(&filter, SLICE("$ne"), slice_str(o->token.session));
	writer_close(&filter, inner);
	write_not_ended(o, &filter);
	writer_close(&filter, root);
	root = filter_open(&sort);
	writer_int32(&sort, SLICE("refreshed_at"), -1);
	writer_close(&sort, root);
	struct store_command c = {
		.op = STORE_FIND,
		.collection = SESSIONS,
		.sort = buffer_slice(&sort.b),
		.skip = most - 1,
		.limit = SURPLUS_AT_ONCE,
	};
	enum step_result r = operation_submit_written(o, &c, &filter, NULL, take_surplus);
	writer_deinit(&sort);
	return r;
}

static void take_surplus_ended(struct operation *o, const struct store_result *r)
{
	if (r->error != STORE_OK) {
		(void)operation_end(o, USERS_E_STORE, r->message);
	}
}

/* In memory first, as step_end_session(). */
enum step_result step_end_surplus(struct operation *o)
{
	struct users *u = o->users;
	struct document_writer filter;
	struct document_writer update;
	struct slice rows = slice_of(o->rows, o->rows_n);
	struct slice row;
	char number[24];
	uint64_t n = 0;
	int e = 0;
	if (rows.n == 0) {
		return STEP_ON;
	}
	size_t root = filter_open(&filter);
	size_t inner = writer_open_in(&filter, BT_OBJECT, SLICE("_id"));
	size_t list = writer_open_in(&filter, BT_ARRAY, SLICE("$in"));
	while (document_take(&rows, &row)) {
		struct value id = document_find(row, SLICE("_id"));
		if (id.type == BT_STRING) {
			writer_value(&filter, index_name(n++, number), id);
			e = e < 0 ? e
				  : revocations_end_session(&u->revocations, value_string(id),
					    session_gone_ms(u, o->now_ms), o->now_ms);
		}
	}
	writer_close(&filter, list);
	writer_close(&filter, inner);
	write_not_ended(o, &filter);
	writer_close(&filter, root);
	write_ending(o, &update);
	if (e < 0) {
		writer_deinit(&filter);
		writer_deinit(&update);
		return operation_end(o, USERS_E_STORE, "no memory");
	}
	struct log_field fields[] = { { "user_id", slice_str(o->user.id) } };
	log_fields(LOG_INFO, "users.sessions_full", fields, 1,
		"the oldest sessions of a user end (MOZAIKS_MAX_SESSIONS_PER_USER)");
	struct store_command c = { .op = STORE_UPDATE, .collection = SESSIONS, .multi = true };
	return operation_submit_written(o, &c, &filter, &update, take_surplus_ended);
}

int sessions_note(struct users *u, struct slice documents, unsigned *ret_n)
{
	struct slice row;
	int r = 0;
	int64_t now = clock_unix_ms();
	while (r == 0 && document_take(&documents, &row)) {
		struct value id = document_find(row, SLICE("_id"));
		struct value end = document_find(row, SLICE("expires_at"));
		if (id.type == BT_STRING && end.type == BT_DATE) {
			r = revocations_end_session(
				&u->revocations, value_string(id), value_int64(end), now);
			*ret_n += 1;
		}
	}
	return r;
}

static void take_noted(struct operation *o, const struct store_result *r)
{
	unsigned n = 0;
	if (sessions_note(o->users, r->documents, &n) < 0) {
		(void)operation_end(o, USERS_E_STORE, "no memory");
	}
}

/* Those that step_end_sessions() has ended, by its moment: none that began in between is missed. */
enum step_result step_note_ended(struct operation *o)
{
	struct document_writer w;
	if (o->answer.sessions == 0) {
		return STEP_ON;
	}
	size_t root = filter_open(&w);
	writer_string(&w, SLICE("user_id"), slice_str(o->user.id));
	writer_date(&w, SLICE("revoked_at"), o->now_ms);
	writer_close(&w, root);
	struct store_command c = { .op = STORE_FIND, .collection = SESSIONS };
	return operation_submit_written(o, &c, &w, NULL, take_noted);
}
