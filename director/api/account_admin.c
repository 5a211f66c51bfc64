/* What operators do to accounts, on the admin socket, for mozaiksctl. */
#include "common/base/buffer.h"
#include "common/base/log.h"
#include "director/api/account_answers.h"
#include "director/api/api.h"
#include "director/api/form.h"
#include "director/director.h"
#include "director/store/query/document.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE_DEFAULT = 100, PAGE_MAX = 1000, ROLES_MAX = 8192 };

/* Each is kept in the log: who did what to whom. */
static void log_action(struct http_request *r, struct slice name, const char *action)
{
	uid_t uid = 0;
	pid_t pid = 0;
	char who[24] = "?";
	if (http_request_peer(r, &uid, &pid)) {
		(void)snprintf(who, sizeof(who), "%u", (unsigned)uid);
	}
	struct log_field fields[] = {
		{ "username", name },
		{ "action", slice_str(action) },
		{ "uid", slice_str(who) },
		{ "request_id", http_request_id(r) },
	};
	log_fields(LOG_INFO, "admin.user_action", fields, 4, "an operator acts on an account");
}

static bool on_head(void *owner, struct http_request *r)
{
	return api_admin_head(owner, r) && account_on_head(owner, r);
}

/* ---- answers -------------------------------------------------------------------------------- */

static int append(struct buffer *b, const char *before, struct slice value)
{
	int e = buffer_append(b, slice_str(before));
	return e < 0 ? e : buffer_append_json(b, value);
}

static int append_user(struct buffer *b, const struct users_answer *a)
{
	int e = append(b, "{\"user_id\":", a->user_id);
	e = e < 0 ? e : append(b, ",\"username\":", a->username);
	e = e < 0 ? e : append(b, ",\"email\":", a->email);
	e = e < 0 ? e : append(b, ",\"full_name\":", a->full_name);
	e = e < 0 ? e : append(b, ",\"roles\":", a->roles);
	return e < 0 ? e
		     : buffer_printf(b, ",\"disabled\":%s,\"sessions_ended\":%u}",
			       a->disabled ? "true" : "false", a->sessions);
}

static struct slice text_of(struct slice document, const char *name)
{
	struct value v = document_find(document, slice_str(name));
	return v.type == BT_STRING ? value_string(v) : SLICE_NULL;
}

static struct slice id_of(struct slice document, char hex[static 2 * OID_BYTES + 1])
{
	struct value v = document_find(document, SLICE("_id"));
	if (v.type != BT_OID) {
		return text_of(document, "_id");
	}
	(void)sodium_bin2hex(hex, 2 * OID_BYTES + 1, v.data.p, OID_BYTES);
	return slice_str(hex);
}

/* The roles of a user, as "a,b". */
static int append_roles_of(struct buffer *b, struct slice rows, struct slice id)
{
	struct slice row;
	struct buffer text;
	struct element e;
	buffer_init(&text, ROLES_MAX + AUTH_ROLES_MAX);
	int r = 0;
	while (document_take(&rows, &row)) {
		struct value roles = document_find(row, SLICE("roles"));
		struct document_iter it = document_iter(roles.data);
		if (!slice_eq(text_of(row, "_id"), id) || roles.type != BT_ARRAY) {
			continue;
		}
		while (r == 0 && document_next(&it, &e)) {
			struct slice role =
				e.value.type == BT_STRING ? value_string(e.value) : SLICE_NULL;
			r = text.n > 0 ? buffer_append_byte(&text, ',') : 0;
			r = r < 0 ? r : buffer_append(&text, role);
		}
	}
	r = r < 0 ? r : append(b, ",\"roles\":", buffer_slice(&text));
	buffer_deinit(&text);
	return r;
}

static int append_row(struct buffer *b, struct slice row, const struct users_answer *a)
{
	char hex[2 * OID_BYTES + 1];
	struct slice id = id_of(row, hex);
	struct value disabled = document_find(row, SLICE("disabled"));
	int e = append(b, "{\"user_id\":", id);
	e = e < 0 ? e : append(b, ",\"username\":", text_of(row, "username"));
	e = e < 0 ? e : append(b, ",\"email\":", text_of(row, "email"));
	e = e < 0 ? e : append(b, ",\"full_name\":", text_of(row, "full_name"));
	e = e < 0 ? e : append_roles_of(b, a->roles_documents, id);
	e = e < 0 ? e : append(b, ",\"created_at\":", text_of(row, "created_at"));
	e = e < 0 ? e : append(b, ",\"last_login\":", text_of(row, "last_login"));
	return e < 0 ? e
		     : buffer_append(b,
			       disabled.type == BT_BOOL && value_bool(disabled)
				       ? SLICE(",\"disabled\":true}")
				       : SLICE(",\"disabled\":false}"));
}

static int append_list(struct buffer *b, const struct users_answer *a)
{
	struct slice rows = a->documents;
	struct slice row;
	int e = buffer_append(b, SLICE("{\"users\":["));
	for (bool first = true; e == 0 && document_take(&rows, &row); first = false) {
		e = first ? 0 : buffer_append_byte(b, ',');
		e = e < 0 ? e : append_row(b, row, a);
	}
	const struct hasher_counters *h = a->hashing;
	return e < 0 ? e
		     : buffer_printf(b,
			       "],\"total\":%llu,\"hashing\":{\"verified\":%llu,\"dummies\":%llu,"
			       "\"hashed\":%llu,\"refused\":%llu}}",
			       (unsigned long long)a->total, (unsigned long long)h->verified,
			       (unsigned long long)h->dummies, (unsigned long long)h->hashed,
			       (unsigned long long)h->refused);
}

/* ---- requests ------------------------------------------------------------------------------- */

static void add(void *owner, struct http_request *r, struct slice body)
{
	struct users_request q = { 0 };
	json_t *tree = NULL;
	if (!account_read_json(r, body, &tree)) {
		return;
	}
	if (account_read_text(r, tree, "username", JSON_REQUIRED, &q.username) &&
		account_read_text(r, tree, "password", JSON_REQUIRED, &q.password) &&
		account_read_text(r, tree, "email", JSON_OPTIONAL, &q.email) &&
		account_read_text(r, tree, "full_name", JSON_OPTIONAL, &q.full_name) &&
		account_read_text(r, tree, "roles", JSON_OPTIONAL, &q.roles)) {
		log_action(r, q.username, "add");
		account_begin(owner, r, &users_add, &q, append_user);
	}
	json_decref(tree);
}

/* ?skip=0&limit=100&q=text */
static void list(void *owner, struct http_request *r, struct slice body)
{
	struct director *d = owner;
	struct slice query = http_request_query(r);
	struct form form = { 0 };
	struct slice skip = SLICE_NULL;
	struct slice limit = SLICE_NULL;
	struct users_request q = { .limit = PAGE_DEFAULT };
	uint8_t *room = malloc(query.n + 1);
	if (room == NULL) {
		http_problem(r, 503, "out_of_memory", 1, "No memory for this request now");
		return;
	}
	bool good = form_parse(query, room, &form) == NULL;
	(void)form_find(&form, SLICE("skip"), &skip);
	(void)form_find(&form, SLICE("limit"), &limit);
	(void)form_find(&form, SLICE("q"), &q.search);
	good = good && (skip.n == 0 || slice_to_u64(skip, d->settings->skip, &q.skip));
	good = good && (limit.n == 0 || slice_to_u64(limit, PAGE_MAX, &q.limit)) && q.limit > 0;
	if (good) {
		account_begin(owner, r, &users_list, &q, append_list);
	} else {
		http_problem(r, 400, "invalid_argument", 0,
			"limit is a number from 1 to %d, skip one up to %llu (MOZAIKS_MAX_SKIP)",
			PAGE_MAX, (unsigned long long)d->settings->skip);
	}
	free(room);
}

static void show(void *owner, struct http_request *r, struct slice body)
{
	const struct users_request q = { .username = http_request_param(r, 0) };
	account_begin(owner, r, &users_show, &q, append_user);
}

static void set_disabled(struct director *d, struct http_request *r, bool disabled)
{
	const struct users_request q = { .username = http_request_param(r, 0),
		.disabled = disabled };
	log_action(r, q.username, disabled ? "disable" : "enable");
	account_begin(d, r, &users_set_disabled, &q, append_user);
}

static void disable(void *owner, struct http_request *r, struct slice body)
{
	set_disabled(owner, r, true);
}

static void enable(void *owner, struct http_request *r, struct slice body)
{
	set_disabled(owner, r, false);
}

static void set_password(void *owner, struct http_request *r, struct slice body)
{
	struct users_request q = { .username = http_request_param(r, 0) };
	json_t *tree = NULL;
	if (!account_read_json(r, body, &tree)) {
		return;
	}
	if (account_read_text(r, tree, "password", JSON_REQUIRED, &q.new_password)) {
		log_action(r, q.username, "password");
		account_begin(owner, r, &users_set_password, &q, append_user);
	}
	json_decref(tree);
}

static void set_roles(void *owner, struct http_request *r, struct slice body)
{
	struct users_request q = { .username = http_request_param(r, 0) };
	json_t *tree = NULL;
	if (!account_read_json(r, body, &tree)) {
		return;
	}
	if (account_read_text(r, tree, "roles", JSON_REQUIRED, &q.roles)) {
		log_action(r, q.username, "roles");
		account_begin(owner, r, &users_set_roles, &q, append_user);
	}
	json_decref(tree);
}

const struct http_handler admin_users = {
	.on_head = on_head, .on_body = list, .on_abort = account_on_abort
};
const struct http_handler admin_user_add = {
	.on_head = on_head, .on_body = add, .on_abort = account_on_abort
};
const struct http_handler admin_user = {
	.on_head = on_head, .on_body = show, .on_abort = account_on_abort
};
const struct http_handler admin_user_disable = {
	.on_head = on_head, .on_body = disable, .on_abort = account_on_abort
};
const struct http_handler admin_user_enable = {
	.on_head = on_head, .on_body = enable, .on_abort = account_on_abort
};
const struct http_handler admin_user_password = {
	.on_head = on_head, .on_body = set_password, .on_abort = account_on_abort
};
const struct http_handler admin_user_roles = {
	.on_head = on_head, .on_body = set_roles, .on_abort = account_on_abort
};
