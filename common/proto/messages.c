#include "common/proto/messages.h"

#include <errno.h>

static const struct message_spec specs[MSG_TYPE_MAX + 1] = {
#define MESSAGE_ROW(name_, number, senders_, min_, max_, flags_) \
	[number] = { .name = #name_,                             \
		.senders = (senders_),                           \
		.flags = (flags_),                               \
		.min = (min_),                                   \
		.max = (max_) },
	MESSAGES(MESSAGE_ROW)
#undef MESSAGE_ROW
};

const struct message_spec *message_spec(uint8_t type)
{
	return type <= MSG_TYPE_MAX && specs[type].name != NULL ? &specs[type] : NULL;
}

const char *message_name(uint8_t type)
{
	const struct message_spec *spec = message_spec(type);
	return spec == NULL ? "?" : spec->name;
}

const char *message_violation(const struct frame *f, int sender)
{
	const struct message_spec *spec = message_spec(f->type);
	if (spec == NULL) {
		return "unknown type";
	}
	if ((spec->senders & sender) == 0) {
		return "wrong direction";
	}
	if ((f->flags & ~spec->flags) != 0) {
		return "reserved flags";
	}
	if (f->payload.n < spec->min) {
		return "payload too short";
	}
	if (f->payload.n > spec->max) {
		return "payload too long";
	}
	bool carries_capability = f->type == MSG_CALL || f->type == MSG_REPLY;
	if (carries_capability != (f->capability != 0)) {
		return carries_capability ? "no capability" : "unexpected capability";
	}
	return NULL;
}

/* One pair of functions per field kind: take from a payload, put into a buffer. */
static bool take_bytes(struct slice *in, size_t n, struct slice *ret)
{
	if (in->n < n) {
		return false;
	}
	*ret = slice_of(in->p, n);
	*in = slice_skip(*in, n);
	return true;
}

#define TAKE_INTEGER(kind, type, size)                       \
	static bool take_##kind(struct slice *in, type *ret) \
	{                                                    \
		struct slice bytes;                          \
		if (!take_bytes(in, (size), &bytes)) {       \
			return false;                        \
		}                                            \
		*ret = get_##kind(bytes.p);                  \
		return true;                                 \
	}

static inline uint8_t get_u8(const uint8_t *p)
{
	return p[0];
}

TAKE_INTEGER(u8, uint8_t, 1)
TAKE_INTEGER(u16, uint16_t, 2)
TAKE_INTEGER(u32, uint32_t, 4)

static bool take_text(struct slice *in, struct slice *ret)
{
	uint16_t n;
	struct slice text;
	if (!take_u16(in, &n) || !take_bytes(in, n, &text) || !slice_is_utf8(text)) {
		return false;
	}
	*ret = text;
	return true;
}

static bool take_rest(struct slice *in, struct slice *ret)
{
	return take_bytes(in, in->n, ret);
}

static int put_u8_field(struct buffer *b, uint8_t v)
{
	return buffer_append_byte(b, v);
}

static int put_u16_field(struct buffer *b, uint16_t v)
{
	uint8_t bytes[2];
	put_u16(bytes, v);
	return buffer_append(b, slice_of(bytes, sizeof(bytes)));
}

static int put_u32_field(struct buffer *b, uint32_t v)
{
	uint8_t bytes[4];
	put_u32(bytes, v);
	return buffer_append(b, slice_of(bytes, sizeof(bytes)));
}

static int put_text_field(struct buffer *b, struct slice v)
{
	if (v.n > UINT16_MAX) {
		return -EMSGSIZE;
	}
	int r = put_u16_field(b, (uint16_t)v.n);
	return r < 0 ? r : buffer_append(b, v);
}

static int put_rest_field(struct buffer *b, struct slice v)
{
	return buffer_append(b, v);
}

/* Starts a frame, lets the caller append its payload, then writes the size. */
static int frame_begin(struct buffer *b, const struct frame *head, uint8_t type, size_t *ret_start)
{
	int r = buffer_reserve(b, FRAME_HEADER_SIZE);
	if (r < 0) {
		return r;
	}
	struct frame f = *head;
	f.type = type;
	frame_encode_header(b->p + b->n, &f, 0);
	*ret_start = b->n;
	b->n += FRAME_HEADER_SIZE;
	return 0;
}

static int frame_finish(struct buffer *b, uint8_t type, size_t start, int r)
{
	size_t size = b->n - start - FRAME_HEADER_SIZE;
	if (r == 0 && size > specs[type].max) {
		r = -EMSGSIZE;
	}
	if (r < 0) {
		b->n = start;
		return r;
	}
	put_u32(b->p + start, (uint32_t)size);
	return 0;
}

#define FIELD_TAKE(kind, name) &&take_##kind(&in, &m.name)
#define FIELD_PUT(kind, name)  r = r < 0 ? r : put_##kind##_field(b, m->name);

#define MESSAGE_DEFINE(NAME, lower)                                                      \
	bool msg_##lower##_decode(struct slice payload, struct msg_##lower *ret)         \
	{                                                                                \
		struct slice in = payload;                                               \
		struct msg_##lower m;                                                    \
		memset(&m, 0, sizeof(m));                                                \
		if (!(true FIELDS_##NAME(FIELD_TAKE)) || in.n != 0) {                    \
			return false;                                                    \
		}                                                                        \
		*ret = m;                                                                \
		return true;                                                             \
	}                                                                                \
	int msg_##lower##_append(                                                        \
		struct buffer *b, const struct frame *head, const struct msg_##lower *m) \
	{                                                                                \
		size_t start;                                                            \
		int r = frame_begin(b, head, MSG_##NAME, &start);                        \
		if (r < 0) {                                                             \
			return r;                                                        \
		}                                                                        \
		FIELDS_##NAME(FIELD_PUT) return frame_finish(b, MSG_##NAME, start, r);   \
	}

MESSAGE_FUNCTIONS(MESSAGE_DEFINE)
