/* The operations: which steps each is made of. */
#include "common/base/clock.h"
#include "director/users/operation.h"

#include <stdlib.h>

/* ---- steps of one list only ----------------------------------------------------------------- */

static enum step_result check_registration(struct operation *o)
{
	return o->users->config.registration ? STEP_ON : operation_end(o, USERS_E_CLOSED, NULL);
}

/* Registrations are counted by address; those that succeed, too. */
static enum step_result throttle_registration(struct operation *o)
{
	uint64_t wait_ms;
	if (throttle_try(
		    o->users->throttle, SLICE_NULL, o->request.address, clock_ms(), &wait_ms)) {
		return STEP_ON;
	}
	o->answer.retry_after_s = (unsigned)((wait_ms + 999) / 1000);
	return operation_end(o, USERS_E_THROTTLED, NULL);
}

/* A hash of an older kind, or with other costs, is made anew behind the login. */
static enum step_result renew_hash(struct operation *o)
{
	static const step_fn steps[] = { step_find_by_name, step_need_user, step_hash_new,
		step_store_hash, NULL };
	static const struct operation_kind kind = { "renew hash", steps };
	if (password_is_old(&o->users->config.cost, o->user.hash)) {
		const struct users_request request = {
			.username = o->user.username,
			.password = o->request.password,
		};
		(void)users_begin(o->users, &kind, &request, NULL, NULL);
	}
	return STEP_ON;
}

static void take_login_noted(struct operation *o, const struct store_result *r)
{
}

static enum step_result note_login(struct operation *o)
{
	char now[CLOCK_TEXT_SIZE];
	struct document_writer filter;
	struct document_writer update;
	clock_text(o->now_ms, now);
	size_t root = filter_open(&filter);
	writer_value(&filter, SLICE("_id"), o->user.raw_id);
	writer_close(&filter, root);
	root = filter_open(&update);
	size_t set = writer_open_in(&update, BT_OBJECT, SLICE("$set"));
	writer_string(&update, SLICE("last_login"), slice_str(now));
	writer_string(&update, SLICE("last_active"), slice_str(now));
	writer_close(&update, set);
	writer_close(&update, root);
	struct store_command c = { .op = STORE_UPDATE, .collection = SLICE("users") };
	return operation_submit_written(o, &c, &filter, &update, take_login_noted);
}

static enum step_result check_refreshed_user(struct operation *o)
{
	if (!o->match || !o->user.found) {
		return operation_end(o, USERS_E_TOKEN, NULL);
	}
	return o->user.disabled ? operation_end(o, USERS_E_DISABLED, NULL) : STEP_ON;
}

/* Every session, or the asker's own. */
static enum step_result choose_sessions(struct operation *o)
{
	if (o->request.all) {
		(void)memcpy(o->user.id, o->asker, sizeof(o->asker));
		o->session[0] = '\0';
	}
	return STEP_ON;
}

static enum step_result end_all_if_asked(struct operation *o)
{
	return o->request.all ? step_end_sessions(o) : STEP_ON;
}

static enum step_result note_all_if_asked(struct operation *o)
{
	return o->request.all ? step_note_ended(o) : STEP_ON;
}

static enum step_result judge_current(struct operation *o)
{
	if (!o->match) {
		return operation_end(o, USERS_E_PASSWORD, NULL);
	}
	throttle_succeeded(o->users->throttle, o->key, o->request.address);
	o->charged = false;
	return STEP_ON;
}

static enum step_result check_new_password(struct operation *o)
{
	char why[PASSWORD_WHY_SIZE];
	return password_is_good(&o->users->config.rules, o->request.new_password, o->user.username,
		       o->user.email, why)
		? STEP_ON
		: operation_invalid(o, "new_password", why);
}

static enum step_result need_enabled(struct operation *o)
{
	return o->user.disabled ? operation_end(o, USERS_E_DISABLED, NULL) : STEP_ON;
}

static enum step_result end_if_disabled(struct operation *o)
{
	return o->request.disabled ? step_end_sessions(o) : STEP_ON;
}

/* ---- the list of users ---------------------------------------------------------------------- */

/* What a text means in a regular expression is taken from it. */
static void write_search(struct document_writer *w, struct slice search)
{
	struct buffer pattern;
	buffer_init(&pattern, 2 * USER_KEY_MAX);
	for (size_t i = 0; i < search.n; i++) {
		uint8_t c = search.p[i];
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c >= 0x80;
		if (!plain) {
			(void)buffer_append_byte(&pattern, '\\');
		}
		(void)buffer_append_byte(&pattern, c);
	}
	size_t list = writer_open_in(w, BT_ARRAY, SLICE("$or"));
	static const char *const fields[] = { "username_key", "email_key" };
	for (size_t i = 0; i < 2; i++) {
		size_t one = writer_open_in(w, BT_OBJECT, i == 0 ? SLICE("0") : SLICE("1"));
		size_t inner = writer_open_in(w, BT_OBJECT, slice_str(fields[i]));
		writer_string(w, SLICE("$regex"), buffer_slice(&pattern));
		writer_close(w, inner);
		writer_close(w, one);
	}
	writer_close(w, list);
	buffer_deinit(&pattern);
}

static void write_list_filter(struct operation *o, struct document_writer *w)
{
	uint8_t bytes[USER_KEY_MAX];
	struct slice search = user_key(o->request.search, bytes);
	size_t root = filter_open(w);
	if (search.n > 0) {
		write_search(w, search);
	}
	writer_close(w, root);
}

static void take_count(struct operation *o, const struct store_result *r)
{
	o->answer.total = r->n;
}

static enum step_result count_users(struct operation *o)
{
	struct document_writer w;
	write_list_filter(o, &w);
	struct store_command c = { .op = STORE_COUNT, .collection = SLICE("users") };
	return operation_submit_written(o, &c, &w, NULL, take_count);
}

static void take_page(struct operation *o, const struct store_result *r)
{
	o->answer.sessions = 0;
	o->rows = store_result_steal_documents(r, &o->rows_n);
}

static enum step_result find_page(struct operation *o)
{
	struct document_writer filter;
	struct document_writer sort;
	write_list_filter(o, &filter);
	size_t root = filter_open(&sort);
	writer_int32(&sort, SLICE("username_key"), 1);
	writer_close(&sort, root);
	struct store_command c = {
		.op = STORE_FIND,
		.collection = SLICE("users"),
		.sort = buffer_slice(&sort.b),
		.skip = o->request.skip,
		.limit = o->request.limit,
	};
	enum step_result r = operation_submit_written(o, &c, &filter, NULL, take_page);
	writer_deinit(&sort);
	return r;
}

static void take_page_roles(struct operation *o, const struct store_result *r)
{
	o->more_rows = store_result_steal_documents(r, &o->more_rows_n);
}

static enum step_result find_page_roles(struct operation *o)
{
	struct document_writer w;
	struct slice rows = slice_of(o->rows, o->rows_n);
	struct slice row;
	char id[USER_ID_MAX + 1];
	char number[24];
	uint64_t n = 0;
	size_t root = filter_open(&w);
	size_t inner = writer_open_in(&w, BT_OBJECT, SLICE("_id"));
	size_t list = writer_open_in(&w, BT_ARRAY, SLICE("$in"));
	while (document_take(&rows, &row)) {
		if (record_id_text(document_find(row, SLICE("_id")), id)) {
			writer_string(&w, index_name(n++, number), slice_str(id));
		}
	}
	writer_close(&w, list);
	writer_close(&w, inner);
	writer_close(&w, root);
	struct store_command c = { .op = STORE_FIND, .collection = SLICE("user_roles") };
	return operation_submit_written(o, &c, &w, NULL, take_page_roles);
}

/* ---- the operations ------------------------------------------------------------------------- */

#define KIND(kind, text, ...)                                        \
	static const step_fn kind##_steps[] = { __VA_ARGS__, NULL }; \
	const struct operation_kind kind = { text, kind##_steps }

/* clang-format off */
KIND(users_register, "register",
	check_registration, step_check_new_user, throttle_registration, step_find_taken, step_hash_new,
	step_insert_user, step_open_session, step_make_access_token, step_tell_registered);

KIND(users_login, "login",
	step_throttle_login, step_find_by_name, step_verify, step_judge_login, step_find_roles,
	step_open_session, step_find_surplus, step_end_surplus, step_make_access_token, note_login, renew_hash,
	step_tell_login);

KIND(users_refresh, "refresh",
	step_parse_refresh, step_rotate, step_judge_reuse, step_end_session, step_find_by_id,
	check_refreshed_user, step_find_roles, step_make_access_token);

KIND(users_logout, "logout",
	choose_sessions, step_end_session, end_all_if_asked, note_all_if_asked);

KIND(users_logout_refresh, "logout",
	step_parse_refresh, step_need_session, step_end_session);

KIND(users_me, "me",
	step_find_by_id, step_need_user, step_find_roles);

KIND(users_change_password, "change password",
	step_find_by_id, step_need_user, need_enabled, check_new_password, step_throttle_login, step_verify,
	judge_current, step_hash_new, step_store_hash, step_end_sessions, step_note_ended);

KIND(users_add, "add",
	step_check_roles, step_check_new_user, step_find_taken, step_hash_new, step_insert_user,
	step_store_roles);

KIND(users_show, "show",
	step_find_by_name, step_need_user, step_find_roles);

KIND(users_list, "list",
	count_users, find_page, find_page_roles);

KIND(users_set_disabled, "disable",
	step_find_by_name, step_need_user, step_find_roles, step_store_disabled, step_switched,
	end_if_disabled, step_note_ended);

KIND(users_set_password, "set password",
	step_find_by_name, step_need_user, step_find_roles, check_new_password, step_hash_new,
	step_store_hash, step_end_sessions, step_note_ended);

KIND(users_set_roles, "set roles",
	step_check_roles, step_find_by_name, step_need_user, step_store_roles, step_end_sessions,
	step_note_ended);
/* clang-format on */
