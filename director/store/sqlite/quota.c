#include "director/store/sqlite/quota.h"

#include <errno.h>

static int bind(struct connection *c, sqlite3_stmt *st, int at, struct slice s)
{
	return sqlite3_bind_text64(st, at, s.n == 0 ? "" : (const char *)s.p, s.n, SQLITE_STATIC,
		       SQLITE_UTF8) == SQLITE_OK
		? 0
		: sqlite_connection_failed(c);
}

/* A row is the plugin's own or its user's. */
static void take_row(sqlite3_stmt *st, struct quota_usage *u)
{
	uint64_t documents = (uint64_t)sqlite3_column_int64(st, 1);
	uint64_t bytes = (uint64_t)sqlite3_column_int64(st, 2);
	if (sqlite3_column_int(st, 0) != 0) {
		u->plugin_documents = documents;
		u->plugin_bytes = bytes;
	} else {
		u->user_documents = documents;
		u->user_bytes = bytes;
	}
}

int quota_read(struct connection *c, const struct store_task *t, struct quota_usage *ret)
{
	sqlite3_stmt *st = sqlite_connection_statement(c, ST_USAGE);
	*ret = (struct quota_usage){ 0 };
	int r = st == NULL ? -EIO : bind(c, st, 1, t->plugin);
	r = r < 0 ? r : bind(c, st, 2, t->scope == STORE_SCOPE_USER ? t->user : SLICE_NULL);
	while (r >= 0 && (r = sqlite_connection_step(c, st)) > 0) {
		take_row(st, ret);
	}
	if (st != NULL) {
		(void)sqlite3_reset(st);
	}
	return r;
}

/* One quota: what is counted, for whom, by which setting. */
struct rule {
	const char *who;
	const char *what;
	const char *setting;
	size_t used;  /* in struct quota_usage */
	size_t limit; /* in struct store_limits */
};

static const struct rule rules[] = {
	{ "this plugin", "documents", "MOZAIKS_QUOTA_PLUGIN_DOCUMENTS",
		offsetof(struct quota_usage, plugin_documents),
		offsetof(struct store_limits, plugin_documents) },
	{ "this plugin", "bytes of documents", "MOZAIKS_QUOTA_PLUGIN_BYTES",
		offsetof(struct quota_usage, plugin_bytes),
		offsetof(struct store_limits, plugin_bytes) },
	{ "this user", "documents", "MOZAIKS_QUOTA_USER_DOCUMENTS",
		offsetof(struct quota_usage, user_documents),
		offsetof(struct store_limits, user_documents) },
	{ "this user", "bytes of documents", "MOZAIKS_QUOTA_USER_BYTES",
		offsetof(struct quota_usage, user_bytes),
		offsetof(struct store_limits, user_bytes) },
};

static uint64_t number_at(const void *p, size_t offset)
{
	uint64_t n;
	memcpy(&n, (const uint8_t *)p + offset, sizeof(n));
	return n;
}

int quota_check(struct connection *c, struct store_task *t, const struct quota_usage *before)
{
	struct quota_usage after;
	int r = quota_read(c, t, &after);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && r == 0; i++) {
		uint64_t limit = number_at(t->limits, rules[i].limit);
		uint64_t used = number_at(&after, rules[i].used);
		if (limit != 0 && used > limit && used > number_at(before, rules[i].used)) {
			r = store_task_fail(t, STORE_E_LIMIT,
				"%s would have %llu %s stored; the quota is %llu (%s)",
				rules[i].who, (unsigned long long)used, rules[i].what,
				(unsigned long long)limit, rules[i].setting);
		}
	}
	return r;
}
