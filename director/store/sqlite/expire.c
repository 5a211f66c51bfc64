#include "director/store/sqlite/expire.h"

#include "director/store/query/compare.h"
#include "director/store/query/key.h"
#include "director/store/sqlite/source.h"

/* One index, copied out of the statement that found it. */
struct expiring {
	int64_t iid;
	int64_t cid;
	int64_t after_s;
};

/* @return 1; 0 when there is none with a greater number; negative. */
static int next_expiring(struct connection *c, int64_t iid, struct expiring *ret)
{
	sqlite3_stmt *st = sqlite_connection_statement(c, ST_INDEX_EXPIRING);
	if (st == NULL || sqlite3_bind_int64(st, 1, iid) != SQLITE_OK) {
		return sqlite_connection_failed(c);
	}
	int r = sqlite_connection_step(c, st);
	if (r > 0) {
		ret->iid = sqlite3_column_int64(st, 0);
		ret->cid = sqlite3_column_int64(st, 1);
		ret->after_s = sqlite3_column_int64(st, 2);
	}
	(void)sqlite3_reset(st);
	return r;
}

/* Every date up to this one, and nothing that is no date. */
static int date_range(int64_t last_ms, struct buffer *low, struct buffer *high)
{
	uint8_t bytes[8];
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)((uint64_t)last_ms >> 8 * i);
	}
	int r = buffer_append_byte(low, (uint8_t)value_bracket(BT_DATE));
	r = r < 0 ? r : key_append(high, (struct value){ BT_DATE, slice_of(bytes, sizeof(bytes)) });
	/* The range ends before its high end. */
	return r < 0 ? r : buffer_append_byte(high, 0);
}

/* @return 1 and a document; 0; negative. */
static int find_one(struct connection *c,
	int64_t iid,
	const struct buffer *low,
	const struct buffer *high,
	int64_t *ret_rid)
{
	sqlite3_stmt *st = sqlite_connection_statement(c, ST_KEY_BETWEEN);
	if (st == NULL || sqlite3_bind_int64(st, 1, iid) != SQLITE_OK ||
		sqlite3_bind_blob64(st, 2, low->p, low->n, SQLITE_STATIC) != SQLITE_OK ||
		sqlite3_bind_blob64(st, 3, high->p, high->n, SQLITE_STATIC) != SQLITE_OK) {
		return sqlite_connection_failed(c);
	}
	int r = sqlite_connection_step(c, st);
	if (r > 0) {
		*ret_rid = sqlite3_column_int64(st, 0);
	}
	(void)sqlite3_reset(st);
	return r;
}

static int remove_one(struct connection *c, int64_t cid, int64_t rid)
{
	struct store_task task = { .op = STORE_DELETE, .scope = STORE_SCOPE_SHARED };
	struct source source;
	source_init_for(&source, c, &task, cid);
	int r = source.engine.ops->remove(&source.engine, rid);
	source_deinit(&source);
	return r;
}

static int expire_index(
	struct connection *c, const struct expiring *index, int64_t now_ms, unsigned most)
{
	struct buffer low;
	struct buffer high;
	int64_t rid = 0;
	int n = 0;
	buffer_init(&low, 64);
	buffer_init(&high, 64);
	int r = date_range(now_ms - index->after_s * 1000, &low, &high);
	while (r >= 0 && n < (int)most && (r = find_one(c, index->iid, &low, &high, &rid)) > 0) {
		r = remove_one(c, index->cid, rid);
		n++;
	}
	buffer_deinit(&low);
	buffer_deinit(&high);
	return r < 0 ? r : n;
}

int expire_some(struct connection *c, int64_t now_ms, unsigned most)
{
	struct expiring index = { 0 };
	int n = 0;
	int r = 0;
	while (n < (int)most && (r = next_expiring(c, index.iid, &index)) > 0) {
		r = expire_index(c, &index, now_ms, most - (unsigned)n);
		if (r < 0) {
			break;
		}
		n += r;
	}
	return r < 0 ? r : n;
}
