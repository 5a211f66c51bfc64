/* Capabilities for native plugins: JSON in and out, BSON on the wire where the table says so. */
#include "common/json/bson_json.h"
#include "common/json/scan.h"
#include "pluginhost/runtime/native.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *name;
	uint16_t code;
} capabilities[] = {
#define CAPABILITY_ROW(symbol, code, name, permission) { name, code },
	CAPABILITIES(CAPABILITY_ROW)
#undef CAPABILITY_ROW
};

/* Names that a plugin does not use itself: mozaiks_capability() follows cursors to their end. */
static bool is_internal(uint16_t code)
{
	return code == CAP_DATABASE_NEXT || code == CAP_DATABASE_CLOSE;
}

static uint16_t find_code(const char *name)
{
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		if (strcmp(capabilities[i].name, name) == 0 && !is_internal(capabilities[i].code)) {
			return capabilities[i].code;
		}
	}
	return 0;
}

static bool speaks_bson(uint16_t code)
{
	return code >= CAP_DATABASE_FIND && code <= CAP_DATABASE_COLLECTIONS;
}

/* ---- One CALL and its REPLY ---- */

static void forget_reply(struct native_call *c)
{
	free(c->reply);
	c->reply = NULL;
	c->reply_size = 0;
}

/* {"code","message"} of the director becomes the call's error. */
static int refused(struct native_call *c)
{
	static const struct {
		const char *code;
		int e;
	} table[] = {
		{ "permission_denied", MOZAIKS_E_PERMISSION },
		{ "invalid_argument", MOZAIKS_E_INVALID },
		{ "limit_exceeded", MOZAIKS_E_LIMIT },
		{ "quota_exceeded", MOZAIKS_E_LIMIT },
		{ "call_ended", MOZAIKS_E_CANCELLED },
	};
	struct mozaiks_text kept = { 0 };
	struct mozaiks_text code;
	int e = native_keep(c, slice_of(c->reply, c->reply_size), &kept);
	if (e != 0) {
		return e;
	}
	e = MOZAIKS_E_REFUSED;
	if (native_member(&c->public, kept, "code", &code) == 0 && code.n > 2) {
		struct slice inner = slice_of(code.p + 1, code.n - 2);
		for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
			if (slice_eq(inner, slice_str(table[i].code))) {
				e = table[i].e;
			}
		}
	}
	c->error = kept;
	return e;
}

/* Sends and waits; the answer is in c->reply. */
static int request(struct native_call *c, uint16_t code, struct slice args)
{
	struct native *n = c->native;
	const struct frame head = { .capability = code, .call_id = c->id };
	forget_reply(c);
	(void)pthread_mutex_lock(&n->lock);
	c->seq = ++n->last_seq;
	c->status = -1;
	c->waiting = true;
	n->n_waiting++;
	const struct msg_call m = { .seq = c->seq, .args = args };
	NATIVE_APPEND(n, msg_call_append(channel_begin(&n->channel), &head, &m));
	native_flush(n);
	/* While we wait, somebody else may work. */
	if (n->queue != NULL && n->n_idle > n->n_woken) {
		n->n_woken++;
		(void)pthread_cond_signal(&n->work);
	}
	while (c->status < 0 && !atomic_load(&c->cancelled)) {
		(void)pthread_cond_wait(&c->replied, &n->lock);
	}
	c->waiting = false;
	n->n_waiting--;
	int status = c->status;
	(void)pthread_mutex_unlock(&n->lock);
	if (status < 0) {
		return native_error(c, MOZAIKS_E_CANCELLED, "cancelled", "the call was cancelled");
	}
	return status == REPLY_OK ? 0 : refused(c);
}

/* ---- JSON and BSON ---- */

static int encode_args(
	struct native_call *c, uint16_t code, struct mozaiks_text args, struct buffer *out)
{
	struct slice text = slice_of(args.p, args.n);
	struct json_failure f;
	int e;
	if (speaks_bson(code)) {
		e = json_to_bson_bytes(text, JSON_BSON_EXTENDED, out, &f);
	} else {
		e = json_scan(text, NULL, NULL, NULL, &f);
		e = e < 0 ? e : buffer_append(out, text);
	}
	if (e == -EBADMSG) {
		return native_error(c, MOZAIKS_E_INVALID, "invalid_json",
			"the arguments: %s at byte %zu", f.what, f.offset);
	}
	if (e == -ENOBUFS) {
		return native_error(c, MOZAIKS_E_LIMIT, "limit_exceeded",
			"the arguments: more than %d bytes", FRAME_PAYLOAD_MAX);
	}
	return e < 0 ? MOZAIKS_E_MEMORY : 0;
}

/* Documents in a row, appended to a JSON array that is still open. */
static int append_documents(struct native_call *c, struct slice documents, struct buffer *out)
{
	while (documents.n >= 5) {
		size_t size = get_u32(documents.p);
		if (size < 5 || size > documents.n) {
			break;
		}
		int e = out->n > 1 ? buffer_append_byte(out, ',') : 0;
		e = e < 0 ? e : bson_to_json(slice_of(documents.p, size), JSON_BSON_EXTENDED, out);
		if (e == -ENOBUFS) {
			return native_error(c, MOZAIKS_E_LIMIT, "limit_exceeded",
				"database.find: more than %d bytes of documents; use limit and skip",
				NATIVE_FIND_BYTES);
		}
		if (e < 0) {
			return e == -ENOMEM ? MOZAIKS_E_MEMORY
					    : native_error(c, MOZAIKS_E_REFUSED, "unsupported",
						      "a document holds NaN or an infinity");
		}
		documents = slice_skip(documents, size);
	}
	return 0;
}

static int next_batch(struct native_call *c, uint16_t code, uint32_t cursor)
{
	char text[48];
	struct buffer args;
	buffer_init(&args, 256);
	int n = snprintf(text, sizeof(text), "{\"cursor\":%" PRIu32 "}", cursor);
	int e = encode_args(c, code, (struct mozaiks_text){ text, (size_t)n }, &args);
	e = e == 0 ? request(c, code, buffer_slice(&args)) : e;
	buffer_deinit(&args);
	return e;
}

/* All batches of a find in one array. */
static int collect(struct native_call *c, struct buffer *out)
{
	int e = buffer_append_byte(out, '[') < 0 ? MOZAIKS_E_MEMORY : 0;
	while (e == 0) {
		if (c->reply_size < 4) {
			return native_error(
				c, MOZAIKS_E_REFUSED, "internal", "the answer has no cursor");
		}
		uint32_t cursor = get_u32(c->reply);
		e = append_documents(c, slice_of(c->reply + 4, c->reply_size - 4), out);
		if (e != 0 && cursor != 0) {
			struct mozaiks_text why = c->error;
			(void)next_batch(c, CAP_DATABASE_CLOSE, cursor);
			c->error = why;
		}
		if (e != 0 || cursor == 0) {
			break;
		}
		e = next_batch(c, CAP_DATABASE_NEXT, cursor);
	}
	return e != 0 ? e : buffer_append_byte(out, ']') < 0 ? MOZAIKS_E_MEMORY : 0;
}

static int decode_result(struct native_call *c, uint16_t code, struct buffer *out)
{
	if (code == CAP_DATABASE_FIND || code == CAP_DATABASE_AGGREGATE ||
		code == CAP_DATABASE_INDEXES) {
		return collect(c, out);
	}
	struct slice reply = slice_of(c->reply, c->reply_size);
	int e = speaks_bson(code) ? bson_to_json(reply, JSON_BSON_EXTENDED, out)
				  : buffer_append(out, reply);
	return e == 0          ? 0
		: e == -ENOMEM ? MOZAIKS_E_MEMORY
			       : native_error(c, MOZAIKS_E_REFUSED, "unsupported",
					 "the answer cannot be written as JSON");
}

int native_capability(struct mozaiks_call *call,
	const char *name,
	struct mozaiks_text args,
	struct mozaiks_text *ret_result)
{
	struct native_call *c = (struct native_call *)call;
	uint16_t code = find_code(name);
	if (code == 0) {
		return native_error(
			c, MOZAIKS_E_INVALID, "unsupported", "there is no capability %s", name);
	}
	c->error = (struct mozaiks_text){ 0 };
	struct buffer encoded;
	struct buffer result;
	/* Less the sequence number that goes before it. */
	buffer_init(&encoded, FRAME_PAYLOAD_MAX - 4);
	buffer_init(&result, NATIVE_FIND_BYTES);
	int e = encode_args(c, code, args, &encoded);
	e = e == 0 ? request(c, code, buffer_slice(&encoded)) : e;
	buffer_deinit(&encoded);
	e = e == 0 ? decode_result(c, code, &result) : e;
	e = e == 0 ? native_keep(c, buffer_slice(&result), ret_result) : e;
	buffer_deinit(&result);
	forget_reply(c);
	return e;
}
