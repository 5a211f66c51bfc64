#include "director/notifications/notifications.h"

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/json/bson_json.h"
#include "director/director.h"
#include "director/websocket/websocket.h"

#include <bson/bson.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

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

/* One on its way into the store, and what its user's clients are told once it is there. */
struct creation {
	struct director *director;
	struct buffer live;
	char *user;
	size_t user_n;
	store_done_fn done;
	void *owner;
};

static struct creation *creation_free(struct creation *x)
{
	if (x != NULL) {
		buffer_deinit(&x->live);
		free(x->user);
		free(x);
	}
	return NULL;
}

static void on_stored(void *owner, const struct store_result *result)
{
	struct creation *x = owner;
	if (result->error == STORE_OK) {
		(void)websockets_send_to_user(x->director->websockets, slice_of(x->user, x->user_n),
			buffer_slice(&x->live));
	}
	x->done(x->owner, result);
	(void)creation_free(x);
}

static int append_string(struct buffer *b, const char *name, struct slice value)
{
	int r = buffer_printf(b, ",\"%s\":", name);
	return r < 0 ? r : buffer_append_json(b, value);
}

/* The message that front ends know: type and subtype, and the notification as they read it later. */
static int write_live(
	struct buffer *b, const struct notification *n, const char *id, int64_t created_ms)
{
	char created[CLOCK_TEXT_SIZE];
	clock_text(created_ms, created);
	int r = buffer_printf(
		b, "{\"type\":\"notification\",\"subtype\":\"new\",\"data\":{\"id\":\"%s\"", id);
	r = r < 0 ? r : append_string(b, "user_id", n->user);
	r = r < 0 ? r : append_string(b, "type", n->type);
	r = r < 0 ? r : append_string(b, "title", n->title);
	r = r < 0 ? r : append_string(b, "message", n->message);
	r = r < 0
		? r
		: buffer_printf(b, ",\"created_at\":\"%s\",\"read\":false,\"metadata\":", created);
	r = r < 0 ? r : buffer_append(b, n->metadata.n > 0 ? n->metadata : SLICE("{}"));
	return r < 0 ? r : buffer_printf(b, "},\"timestamp\":\"%s\"}", created);
}

static struct creation *creation_new(
	struct director *d, const struct notification *n, const char *id, int64_t created_ms)
{
	struct creation *x = calloc(1, sizeof(*x));
	if (x == NULL) {
		return NULL;
	}
	x->director = d;
	buffer_init(&x->live, DOCUMENT_JSON_MAX);
	x->user = malloc(n->user.n + 1);
	if (x->user == NULL || write_live(&x->live, n, id, created_ms) < 0) {
		return creation_free(x);
	}
	memcpy(x->user, n->user.p, n->user.n);
	x->user_n = n->user.n;
	return x;
}

int notifications_create(struct director *d,
	const struct notification *n,
	char ret_id[static NOTIFICATION_ID_SIZE],
	store_done_fn done,
	void *owner)
{
	bson_t document = BSON_INITIALIZER;
	int64_t now = clock_unix_ms();
	uuid(ret_id);
	bool ok = append_text(&document, "_id", slice_str(ret_id));
	ok = ok && append_text(&document, "id", slice_str(ret_id));
	ok = ok && append_text(&document, "user_id", n->user);
	ok = ok && append_text(&document, "type", n->type);
	ok = ok && append_text(&document, "title", n->title);
	ok = ok && append_text(&document, "message", n->message);
	ok = ok && append_text(&document, "plugin", n->plugin);
	ok = ok && bson_append_bool(&document, "read", 4, false);
	ok = ok && bson_append_date_time(&document, "created_at", 10, now);
	int r = ok ? append_json_members(n, &document) : -ENOMEM;
	struct store_scope scope = { .kind = STORE_SCOPE_SHARED, .app = d->app_id };
	struct store_command c = {
		.op = STORE_INSERT,
		.collection = SLICE("notifications"),
		.documents = slice_of(bson_get_data(&document), document.len),
	};
	struct creation *x = r < 0 ? NULL : creation_new(d, n, ret_id, now);
	r = r < 0 ? r : x == NULL ? -ENOMEM : 0;
	if (r == 0) {
		x->done = done;
		x->owner = owner;
		r = store_submit(d->store, &scope, &c, on_stored, x);
		x = r < 0 ? creation_free(x) : x;
	}
	bson_destroy(&document);
	return r;
}
