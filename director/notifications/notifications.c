#include "director/notifications/notifications.h"

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/json/bson_json.h"
#include "director/director.h"

#include <bson/bson.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>

enum { DOCUMENT_JSON_MAX = 256 * 1024 };

/* A random UUID: RFC 9562, version 4. */
static void uuid(char out[static NOTIFICATION_ID_SIZE])
{
	uint8_t b[16];
	randombytes_buf(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	char hex[33];
	(void)sodium_bin2hex(hex, sizeof(hex), b, sizeof(b));
	(void)snprintf(out, NOTIFICATION_ID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
		hex + 12, hex + 16, hex + 20);
}

/* Metadata and channels come as JSON and are turned into BSON together. */
static int append_json_members(const struct notification *n, bson_t *out)
{
	struct buffer text;
	struct json_failure failure;
	buffer_init(&text, DOCUMENT_JSON_MAX);
	int r = buffer_append(&text, SLICE("{\"metadata\":"));
	r = r < 0 ? r : buffer_append(&text, n->metadata.n > 0 ? n->metadata : SLICE("{}"));
	r = r < 0 ? r : buffer_append(&text, SLICE(",\"channels\":"));
	r = r < 0 ? r
		  : buffer_append(&text, n->channels.n > 0 ? n->channels : SLICE("[\"in_app\"]"));
	r = r < 0 ? r : buffer_append_byte(&text, '}');
	r = r < 0 ? r : json_to_bson(buffer_slice(&text), JSON_BSON_PLAIN, out, &failure);
	buffer_deinit(&text);
	return r;
}

static bool append_text(bson_t *b, const char *name, struct slice text)
{
	return bson_append_utf8(b, name, -1, (const char *)text.p, (int)text.n);
}

int notifications_create(struct director *d,
	const struct notification *n,
	char ret_id[static NOTIFICATION_ID_SIZE],
	store_done_fn done,
	void *owner)
{
	bson_t document = BSON_INITIALIZER;
	uuid(ret_id);
	bool ok = append_text(&document, "_id", slice_str(ret_id));
	ok = ok && append_text(&document, "id", slice_str(ret_id));
	ok = ok && append_text(&document, "user_id", n->user);
	ok = ok && append_text(&document, "type", n->type);
	ok = ok && append_text(&document, "title", n->title);
	ok = ok && append_text(&document, "message", n->message);
	ok = ok && append_text(&document, "plugin", n->plugin);
	ok = ok && bson_append_bool(&document, "read", 4, false);
	ok = ok && bson_append_date_time(&document, "created_at", 10, clock_unix_ms());
	int r = ok ? append_json_members(n, &document) : -ENOMEM;
	struct store_scope scope = { .kind = STORE_SCOPE_SHARED, .app = d->app_id };
	struct store_command c = {
		.op = STORE_INSERT,
		.collection = SLICE("notifications"),
		.documents = slice_of(bson_get_data(&document), document.len),
	};
	r = r < 0 ? r : store_submit(d->store, &scope, &c, done, owner);
	bson_destroy(&document);
	return r;
}
