#include "common/base/clock.h"
#include "pluginhost/runtime/native.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What the plugin gets is the address of the first member. */
static struct native_call *call_of(struct mozaiks_call *call)
{
	return (struct native_call *)call;
}

static struct mozaiks_text text_of(struct slice s)
{
	return (struct mozaiks_text){ (const char *)s.p, s.n };
}

void *native_alloc(struct native_call *c, size_t size)
{
	if (size > NATIVE_CALL_BYTES - c->block_bytes) {
		(void)native_error(c, 0, "limit_exceeded",
			"more than %d bytes of memory from the runtime in one call",
			NATIVE_CALL_BYTES);
		return NULL;
	}
	struct native_block *b = malloc(sizeof(*b) + size);
	if (b == NULL) {
		c->error = (struct mozaiks_text){ 0 };
		return NULL;
	}
	c->block_bytes += size;
	b->next = c->blocks;
	c->blocks = b;
	return b->bytes;
}

int native_keep(struct native_call *c, struct slice bytes, struct mozaiks_text *ret_text)
{
	char *p = native_alloc(c, bytes.n + 1);
	if (p == NULL) {
		return c->error.n > 0 ? MOZAIKS_E_LIMIT : MOZAIKS_E_MEMORY;
	}
	if (bytes.n > 0) {
		memcpy(p, bytes.p, bytes.n);
	}
	p[bytes.n] = '\0';
	*ret_text = (struct mozaiks_text){ p, bytes.n };
	return 0;
}

int native_error(struct native_call *c, int e, const char *code, const char *format, ...)
{
	char message[1024];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	struct buffer json;
	buffer_init(&json, 8192);
	c->error = (struct mozaiks_text){ 0 };
	if (buffer_printf(&json, "{\"code\":\"%s\",\"message\":", code) == 0 &&
		buffer_append_json(&json, slice_str(message)) == 0 &&
		buffer_append_byte(&json, '}') == 0) {
		/* Beyond the budget of the call: an error must always find room. */
		struct native_block *b = malloc(sizeof(*b) + json.n);
		if (b != NULL) {
			b->next = c->blocks;
			c->blocks = b;
			memcpy(b->bytes, json.p, json.n);
			c->error = (struct mozaiks_text){ (const char *)b->bytes, json.n };
		}
	}
	buffer_deinit(&json);
	return e;
}

static struct mozaiks_text data(struct mozaiks_call *call)
{
	return text_of(call_of(call)->data);
}

static struct mozaiks_text user(struct mozaiks_call *call)
{
	return text_of(call_of(call)->user);
}

static struct mozaiks_text traceparent(struct mozaiks_call *call)
{
	return text_of(call_of(call)->trace);
}

static struct mozaiks_text config(struct mozaiks_call *call)
{
	return text_of(call_of(call)->native->config);
}

static struct mozaiks_text error(struct mozaiks_call *call)
{
	return call_of(call)->error;
}

static int answer(struct mozaiks_call *call, struct mozaiks_text json)
{
	struct native_call *c = call_of(call);
	struct mozaiks_text kept;
	int e = native_keep(c, slice_of(json.p, json.n), &kept);
	if (e == 0) {
		c->answer = slice_of(kept.p, kept.n);
	}
	return e;
}

static int cancelled(struct mozaiks_call *call)
{
	struct native_call *c = call_of(call);
	return atomic_load(&c->cancelled) || (c->end_ms != 0 && clock_ms() >= c->end_ms);
}

static uint32_t remaining_ms(struct mozaiks_call *call)
{
	const struct native_call *c = call_of(call);
	uint64_t now = clock_ms();
	if (c->end_ms == 0) {
		return UINT32_MAX;
	}
	return c->end_ms <= now ? 0 : (uint32_t)(c->end_ms - now);
}

static int __attribute__((format(printf, 3, 0)))
format_text(struct native_call *c, struct mozaiks_text *ret_text, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n < 0) {
		return native_error(
			c, MOZAIKS_E_INVALID, "invalid_argument", "the format cannot be written");
	}
	char *p = native_alloc(c, (size_t)n + 1);
	if (p == NULL) {
		return c->error.n > 0 ? MOZAIKS_E_LIMIT : MOZAIKS_E_MEMORY;
	}
	(void)vsnprintf(p, (size_t)n + 1, format, args);
	*ret_text = (struct mozaiks_text){ p, (size_t)n };
	return 0;
}

static int __attribute__((format(printf, 3, 4)))
format(struct mozaiks_call *call, struct mozaiks_text *ret_text, const char *text, ...)
{
	va_list args;
	va_start(args, text);
	int e = format_text(call_of(call), ret_text, text, args);
	va_end(args);
	return e;
}

static int __attribute__((format(printf, 2, 3)))
fail(struct mozaiks_call *call, const char *text, ...)
{
	struct native_call *c = call_of(call);
	struct mozaiks_text kept;
	va_list args;
	va_start(args, text);
	if (format_text(c, &kept, text, args) == 0) {
		char *writable = native_alloc(c, kept.n + 1);
		if (writable != NULL) {
			memcpy(writable, kept.p, kept.n + 1);
			c->failure = writable;
		}
	}
	va_end(args);
	return MOZAIKS_E_REFUSED;
}

static void __attribute__((format(printf, 3, 4)))
log_record(struct mozaiks_call *call, enum mozaiks_level level, const char *text, ...)
{
	struct native_call *c = call_of(call);
	struct native *n = c->native;
	char message[NATIVE_LOG_BYTES];
	va_list args;
	va_start(args, text);
	int size = vsnprintf(message, sizeof(message), text, args);
	va_end(args);
	if (size < 0) {
		return;
	}
	size_t length = (size_t)size < sizeof(message) ? (size_t)size : sizeof(message) - 1;
	const struct frame head = { .call_id = c->id };
	const struct msg_log m = {
		.level = (uint8_t)level,
		.logger = slice_str(n->ctx->plugin),
		.message = slice_of(message, length),
	};
	(void)pthread_mutex_lock(&n->lock);
	NATIVE_APPEND(n, msg_log_append(channel_begin(&n->channel), &head, &m));
	(void)pthread_mutex_unlock(&n->lock);
}

const struct mozaiks_api native_api = {
	.size = sizeof(struct mozaiks_api),
	.data = data,
	.user = user,
	.config = config,
	.answer = answer,
	.fail = fail,
	.capability = native_capability,
	.error = error,
	.cancelled = cancelled,
	.remaining_ms = remaining_ms,
	.log = log_record,
	.member = native_member,
	.element = native_element,
	.string = native_string,
	.integer = native_integer,
	.quote = native_quote,
	.format = format,
	.plain = native_plain,
	.stream_begin = native_stream_begin,
	.stream_write = native_stream_write,
	.body_read = native_body_read,
	.traceparent = traceparent,
};
