/* Steps: who it is, passwords, accounts. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "director/users/operation.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define USERS SLICE("users")
#define ROLES SLICE("user_roles")

/* What operators see of an attempt that failed; the client is not told. */
static void log_refusal(const struct operation *o, const char *why)
{
	struct log_field fields[] = {
		{ "operation", slice_str(o->kind->name) },
		{ "reason", slice_str(why) },
		{ "username",
			slice_of(o->request.username.p,
				o->request.username.n > USER_NAME_MAX ? USER_NAME_MAX
								      : o->request.username.n) },
		{ "address", o->request.address },
	};
	log_fields(LOG_INFO, "users.refused", fields, 4, "an attempt was refused");
}

/* ---- attempts ------------------------------------------------------------------------------- */

enum step_result step_throttle_login(struct operation *o)
{
	uint64_t wait_ms;
	if (throttle_try(o->users->throttle, o->key, o->request.address, clock_ms(), &wait_ms)) {
		o->charged = true;
		return STEP_ON;
	}
	log_refusal(o, "too many attempts");
	o->answer.retry_after_s = (unsigned)((wait_ms + 999) / 1000);
	return operation_end(o, USERS_E_THROTTLED, NULL);
}

/* ---- finding -------------------------------------------------------------------------------- */

static void take_user(struct operation *o, const struct store_result *r)
{
	struct slice rows = r->documents;
	struct slice row;
	/* Of two that differ in case alone, the one that is spelled like this. */
	while (document_take(&rows, &row)) {
		struct user_record u = { 0 };
		if (record_read(&u, row) &&
			(!o->user.found || slice_eq(u.username, o->request.username))) {
			record_deinit(&o->user);
			o->user = u;
		} else {
			record_deinit(&u);
		}
	}
}

/* The key; or, for accounts that were there before and whose key somebody else had, '=' and the name. */
enum step_result step_find_by_name(struct operation *o)
{
	struct document_writer w;
	uint8_t exact[USER_KEY_MAX + 1] = "=";
	if (o->key.n == 0) {
		return STEP_ON;
	}
	memcpy(exact + 1, o->request.username.p, o->request.username.n);
	size_t root = filter_open(&w);
	size_t key = writer_open_in(&w, BT_OBJECT, SLICE("username_key"));
	size_t list = writer_open_in(&w, BT_ARRAY, SLICE("$in"));
	writer_string(&w, SLICE("0"), o->key);
	writer_string(&w, SLICE("1"), slice_of(exact, o->request.username.n + 1));
	writer_close(&w, list);
	writer_close(&w, key);
	writer_close(&w, root);
	struct store_command c = { .op = STORE_FIND, .collection = USERS, .limit = 2 };
	return operation_submit_written(o, &c, &w, NULL, take_user);
}

enum step_result step_find_by_id(struct operation *o)
{
	struct document_writer w;
	writer_init(&w, DOCUMENT_LIMIT);
	filter_user(&w, slice_str(o->asker));
	struct store_command c = { .op = STORE_FIND, .collection = USERS, .limit = 1 };
	return operation_submit_written(o, &c, &w, NULL, take_user);
}

enum step_result step_need_user(struct operation *o)
{
	if (!o->user.found) {
		return operation_end(o, USERS_E_NOT_FOUND, NULL);
	}
	/* Of one that was found by its id, for the throttle and the rules. */
	if (o->request.username.n == 0) {
		o->key = user_key(o->user.username, o->key_bytes);
	}
	return STEP_ON;
}

static void take_roles(struct operation *o, const struct store_result *r)
{
	o->roles_n = record_read_roles(r->documents, o->roles);
}

/* They have a collection of their own, which nothing but this module writes: accounts of data that was
 * there before may hold whatever their users liked. */
enum step_result step_find_roles(struct operation *o)
{
	struct document_writer w;
	size_t root = filter_open(&w);
	writer_string(&w, SLICE("_id"), slice_str(o->user.id));
	writer_close(&w, root);
	struct store_command c = { .op = STORE_FIND, .collection = ROLES, .limit = 1 };
	return operation_submit_written(o, &c, &w, NULL, take_roles);
}

/* ---- passwords ------------------------------------------------------------------------------ */

static void take_hash(struct operation *o, const struct hash_result *r)
{
	o->match = r->match;
	if (r->error < 0) {
		(void)operation_end(o, USERS_E_STORE, "no memory for the password's hash");
	} else if (r->hash != NULL) {
		(void)snprintf(o->new_hash, sizeof(o->new_hash), "%s", r->hash);
	}
}

static void on_hashed(void *owner, const struct hash_result *r)
{
	struct operation *o = owner;
	take_hash(o, r);
	operation_tick(o);
}

static enum step_result began(struct operation *o, int r)
{
	if (r == HASHER_OK) {
		return STEP_WAIT;
	}
	o->answer.retry_after_s = hasher_retry_after_s(o->users->hasher);
	return operation_end(o, USERS_E_BUSY, NULL);
}

/* Of nobody, too: the hasher then verifies a dummy. */
enum step_result step_verify(struct operation *o)
{
	if (o->users->closing) {
		return operation_end(o, USERS_E_STORE, "the director is stopping");
	}
	return began(o,
		hasher_verify(o->users->hasher, o->user.found ? o->user.hash : SLICE_NULL,
			o->request.password, on_hashed, o));
}

enum step_result step_judge_login(struct operation *o)
{
	if (!o->match) {
		log_refusal(o, o->user.found ? "another password" : "no such user");
		return operation_end(o, USERS_E_CREDENTIALS, NULL);
	}
	throttle_succeeded(o->users->throttle, o->key, o->request.address);
	o->charged = false;
	if (o->user.disabled) {
		log_refusal(o, "disabled");
		return operation_end(o, USERS_E_DISABLED, NULL);
	}
	return STEP_ON;
}

enum step_result step_hash_new(struct operation *o)
{
	struct slice password =
		o->request.new_password.n > 0 ? o->request.new_password : o->request.password;
	if (o->users->closing) {
		return operation_end(o, USERS_E_STORE, "the director is stopping");
	}
	return began(o, hasher_hash(o->users->hasher, password, on_hashed, o));
}

static void take_changed(struct operation *o, const struct store_result *r)
{
	if (r->error != STORE_OK) {
		(void)operation_end(o, USERS_E_STORE, r->message);
	} else if (r->n == 0) {
		(void)operation_end(o, USERS_E_NOT_FOUND, NULL);
	}
}

/* Not over a hash that somebody else has written meanwhile. */
enum step_result step_store_hash(struct operation *o)
{
	char now[CLOCK_TEXT_SIZE];
	struct document_writer filter;
	struct document_writer update;
	clock_text(o->now_ms, now);
	size_t root = filter_open(&filter);
	writer_value(&filter, SLICE("_id"), o->user.raw_id);
	if (o->user.hash.n > 0) {
		writer_string(&filter, SLICE("hashed_password"), o->user.hash);
	}
	writer_close(&filter, root);
	root = filter_open(&update);
	size_t set = writer_open_in(&update, BT_OBJECT, SLICE("$set"));
	writer_string(&update, SLICE("hashed_password"), slice_str(o->new_hash));
	writer_string(&update, SLICE("updated_at"), slice_str(now));
	writer_close(&update, set);
	writer_close(&update, root);
	struct store_command c = { .op = STORE_UPDATE, .collection = USERS };
	return operation_submit_written(o, &c, &filter, &update, take_changed);
}

/* ---- new accounts --------------------------------------------------------------------------- */

enum step_result step_check_new_user(struct operation *o)
{
	const struct users_request *r = &o->request;
	char why[PASSWORD_WHY_SIZE];
	const char *rule = user_name_refusal(r->username);
	if (rule != NULL) {
		return operation_invalid(o, "username", rule);
	}
	rule = r->email.n > 0 ? user_email_refusal(r->email) : NULL;
	if (rule != NULL) {
		return operation_invalid(o, "email", rule);
	}
	rule = user_full_name_refusal(r->full_name);
	if (rule != NULL) {
		return operation_invalid(o, "full_name", rule);
	}
	return password_is_good(&o->users->config.rules, r->password, r->username, r->email, why)
		? STEP_ON
		: operation_invalid(o, "password", why);
}

static void take_taken(struct operation *o, const struct store_result *r)
{
	struct slice rows = r->documents;
	struct slice row;
	if (r->documents.n == 0 && o->raced) {
		(void)operation_end(o, USERS_E_NAME_TAKEN, NULL);
	}
	while (document_take(&rows, &row)) {
		struct value key = document_find(row, SLICE("username_key"));
		bool name = key.type == BT_STRING && slice_eq(value_string(key), o->key);
		/* The name is named first, whichever comes first. */
		if (!o->ended || name) {
			(void)operation_end(
				o, name ? USERS_E_NAME_TAKEN : USERS_E_EMAIL_TAKEN, NULL);
		}
	}
}

/* {$or: [{username_key: …}, {email_key: …}]} */
enum step_result step_find_taken(struct operation *o)
{
	struct document_writer w;
	uint8_t bytes[USER_KEY_MAX];
	struct slice email = user_key(o->request.email, bytes);
	size_t root = filter_open(&w);
	size_t list = writer_open_in(&w, BT_ARRAY, SLICE("$or"));
	size_t one = writer_open_in(&w, BT_OBJECT, SLICE("0"));
	writer_string(&w, SLICE("username_key"), o->key);
	writer_close(&w, one);
	if (email.n > 0) {
		one = writer_open_in(&w, BT_OBJECT, SLICE("1"));
		writer_string(&w, SLICE("email_key"), email);
		writer_close(&w, one);
	}
	writer_close(&w, list);
	writer_close(&w, root);
	struct store_command c = { .op = STORE_FIND, .collection = USERS, .limit = 2 };
	return operation_submit_written(o, &c, &w, NULL, take_taken);
}

/* An id of ours, so that it is known without another question: seconds and eight random bytes. */
static void make_oid(int64_t now_ms, uint8_t out[static OID_BYTES])
{
	uint32_t seconds = (uint32_t)(now_ms / 1000);
	for (unsigned i = 0; i < 4; i++) {
		out[i] = (uint8_t)(seconds >> (24 - 8 * i));
	}
	randombytes_buf(out + 4, OID_BYTES - 4);
}

static void write_user(struct operation *o, struct document_writer *w)
{
	const struct users_request *r = &o->request;
	uint8_t bytes[USER_KEY_MAX];
	char now[CLOCK_TEXT_SIZE];
	clock_text(o->now_ms, now);
	size_t root = filter_open(w);
	writer_oid(w, SLICE("_id"), o->oid);
	writer_string(w, SLICE("username"), r->username);
	writer_string(w, SLICE("username_key"), o->key);
	writer_string(w, SLICE("full_name"), r->full_name);
	if (r->email.n > 0) {
		writer_string(w, SLICE("email"), r->email);
		writer_string(w, SLICE("email_key"), user_key(r->email, bytes));
	}
	writer_string(w, SLICE("hashed_password"), slice_str(o->new_hash));
	writer_bool(w, SLICE("disabled"), false);
	writer_string(w, SLICE("created_at"), slice_str(now));
	writer_string(w, SLICE("updated_at"), slice_str(now));
	writer_close(w, root);
}

static void take_inserted(struct operation *o, const struct store_result *r)
{
	if (r->error == STORE_E_DUPLICATE) {
		/* Somebody else was faster: ask again whose it is. */
		if (o->raced) {
			(void)operation_end(o, USERS_E_NAME_TAKEN, NULL);
		}
		o->raced = true;
		for (o->step = 0; o->kind->steps[o->step] != step_find_taken;) {
			o->step++;
		}
	}
}

enum step_result step_insert_user(struct operation *o)
{
	struct document_writer w;
	make_oid(o->now_ms, o->oid);
	write_user(o, &w);
	struct slice document = buffer_slice(&w.b);
	enum step_result result;
	if (w.error < 0 || !record_read(&o->user, document)) {
		result = operation_end(o, USERS_E_STORE, "no memory");
	} else {
		struct store_command c = {
			.op = STORE_INSERT, .collection = USERS, .documents = document
		};
		result = operation_submit(o, &c, take_inserted);
	}
	writer_deinit(&w);
	return result;
}

/* ---- roles ---------------------------------------------------------------------------------- */

static void write_roles(struct document_writer *w, struct slice roles)
{
	size_t root = filter_open(w);
	size_t set = writer_open_in(w, BT_OBJECT, SLICE("$set"));
	size_t list = writer_open_in(w, BT_ARRAY, SLICE("roles"));
	for (uint64_t i = 0; roles.n > 0; i++) {
		char number[24];
		const uint8_t *comma = memchr(roles.p, ',', roles.n);
		size_t n = comma == NULL ? roles.n : (size_t)(comma - roles.p);
		writer_string(w, index_name(i, number), slice_of(roles.p, n));
		roles = slice_skip(roles, comma == NULL ? n : n + 1);
	}
	writer_close(w, list);
	writer_close(w, set);
	writer_close(w, root);
}

/* As they are read again: what would be left out then is refused now. */
static bool roles_are_good(struct operation *o, const struct document_writer *w)
{
	struct value set = document_find(buffer_slice(&w->b), SLICE("$set"));
	o->roles_n = record_read_roles(set.data, o->roles);
	return o->roles_n == o->request.roles.n &&
		memcmp(o->roles, o->request.roles.p, o->roles_n) == 0;
}

static void take_roles_stored(struct operation *o, const struct store_result *r)
{
	if (r->error != STORE_OK) {
		(void)operation_end(o, USERS_E_STORE, r->message);
	}
}

enum step_result step_check_roles(struct operation *o)
{
	struct document_writer w;
	write_roles(&w, o->request.roles);
	bool good = roles_are_good(o, &w);
	int error = w.error;
	writer_deinit(&w);
	if (error == -ENOMEM) {
		return operation_end(o, USERS_E_STORE, "no memory");
	}
	return good
		? STEP_ON
		: operation_invalid(o, "roles",
			  "must be at most 256 names without commas and control characters, each "
			  "1 to 128 bytes, 8 KiB in all");
}

enum step_result step_store_roles(struct operation *o)
{
	struct document_writer filter;
	struct document_writer update;
	size_t root = filter_open(&filter);
	writer_string(&filter, SLICE("_id"), slice_str(o->user.id));
	writer_close(&filter, root);
	write_roles(&update, o->request.roles);
	struct store_command c = { .op = STORE_UPDATE, .collection = ROLES, .upsert = true };
	return operation_submit_written(o, &c, &filter, &update, take_roles_stored);
}

/* ---- switching off and on ------------------------------------------------------------------- */

/* At once in memory, so that nothing gets through while the store works. */
enum step_result step_store_disabled(struct operation *o)
{
	struct users *u = o->users;
	char now[CLOCK_TEXT_SIZE];
	struct document_writer filter;
	struct document_writer update;
	struct slice id = slice_str(o->user.id);
	u->changes++;
	if (o->request.disabled && revocations_disable(&u->revocations, id) < 0) {
		return operation_end(o, USERS_E_STORE, "no memory");
	}
	clock_text(o->now_ms, now);
	size_t root = filter_open(&filter);
	writer_value(&filter, SLICE("_id"), o->user.raw_id);
	writer_close(&filter, root);
	root = filter_open(&update);
	size_t set = writer_open_in(&update, BT_OBJECT, SLICE("$set"));
	writer_bool(&update, SLICE("disabled"), o->request.disabled);
	writer_string(&update, SLICE("updated_at"), slice_str(now));
	writer_close(&update, set);
	writer_close(&update, root);
	struct store_command c = { .op = STORE_UPDATE, .collection = USERS };
	return operation_submit_written(o, &c, &filter, &update, take_changed);
}

enum step_result step_switched(struct operation *o)
{
	o->users->changes++;
	o->user.disabled = o->request.disabled;
	if (!o->request.disabled) {
		revocations_enable(&o->users->revocations, slice_str(o->user.id));
	}
	return STEP_ON;
}
