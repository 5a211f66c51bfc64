/*
 * Request heads. The verdict depends neither on how the bytes arrive nor on what follows them; what
 * the guard accepts llhttp accepts, but for what only it knows of bodies; an accepted head written
 * out again reads the same; a decoded path holds nothing that a route must fear.
 */
#include "common/base/buffer.h"
#include "common/base/error.h"
#include "director/http/head.h"
#include "director/http/router.h"

#include <llhttp.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 1024, INPUT_MAX = 4096 };

struct verdict {
	enum guard_verdict guard;
	bool ok;
	int status;
	size_t end;
};

static struct verdict judge(struct guard *g, struct http_head *h, struct slice in, size_t step)
{
	struct verdict v = { .guard = GUARD_MORE };
	guard_init(g);
	for (size_t n = 0; v.guard == GUARD_MORE && n < in.n;) {
		n = in.n - n > step ? n + step : in.n;
		v.guard = guard_scan(g, slice_of(in.p, n), LIMIT);
		v.end = n;
	}
	struct http_refusal refusal = g->refusal;
	if (v.guard == GUARD_OK) {
		v.end = g->head_end;
		v.ok = head_parse(h, g, in, &refusal);
	}
	v.status = v.ok || v.guard == GUARD_MORE ? 0 : refusal.status;
	invariant(v.ok || v.guard == GUARD_MORE || v.status >= 400);
	return v;
}

static bool same_head(const struct http_head *a, const struct http_head *b)
{
	bool same = a->method == b->method && a->http10 == b->http10 && a->length == b->length &&
		a->keep_alive == b->keep_alive && a->chunked == b->chunked &&
		a->expects_continue == b->expects_continue && a->encoded == b->encoded &&
		a->n_fields == b->n_fields && slice_eq(a->path, b->path) &&
		slice_eq(a->query, b->query) && slice_eq(a->host, b->host);
	for (unsigned i = 0; same && i < a->n_fields; i++) {
		const struct head_field *f = &a->fields[i];
		const struct head_field *g = &b->fields[i];
		same = slice_eq(slice_of(a->bytes + f->name, f->name_n),
			       slice_of(b->bytes + g->name, g->name_n)) &&
			slice_eq(slice_of(a->bytes + f->value, f->value_n),
				slice_of(b->bytes + g->value, g->value_n));
	}
	return same;
}

/* What the guard let pass is for llhttp at most a question of the body's framing or the target. */
static void check_llhttp(const struct guard *g, struct slice in)
{
	static const llhttp_settings_t settings = { 0 };
	llhttp_t parser;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	llhttp_errno_t e = llhttp_execute(
		&parser, (const char *)in.p + g->head_start, g->head_end - g->head_start);
	invariant(e == HPE_OK || e == HPE_PAUSED_UPGRADE || e == HPE_INVALID_CONTENT_LENGTH ||
		e == HPE_UNEXPECTED_CONTENT_LENGTH || e == HPE_INVALID_TRANSFER_ENCODING ||
		e == HPE_INVALID_URL);
}

static void check_again(const struct guard *g, const struct http_head *h, struct slice in)
{
	static struct http_head again_head;
	struct guard again_guard;
	struct buffer out;
	buffer_init(&out, SIZE_MAX / 4);
	int r = buffer_append(&out, slice_of(in.p + g->method, g->method_n));
	r |= buffer_append_byte(&out, ' ');
	r |= buffer_append(&out, slice_of(in.p + g->target, g->target_n));
	r |= buffer_append(&out, g->http10 ? SLICE(" HTTP/1.0\r\n") : SLICE(" HTTP/1.1\r\n"));
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct head_field *f = &h->fields[i];
		r |= buffer_append(&out, slice_of(h->bytes + f->name, f->name_n));
		r |= buffer_append_byte(&out, ':');
		r |= buffer_append(&out, slice_of(h->bytes + f->value, f->value_n));
		r |= buffer_append(&out, SLICE("\r\n"));
	}
	r |= buffer_append(&out, SLICE("\r\nGET /next HTTP/1.1\r\n\r\n"));
	invariant(r == 0);
	struct verdict v = judge(&again_guard, &again_head, buffer_slice(&out), out.n);
	invariant(v.ok && same_head(h, &again_head));
	buffer_deinit(&out);
}

static void check_path(struct slice path)
{
	struct http_refusal refusal;
	struct slice decoded;
	uint8_t *room = path_is_plain(path) ? NULL : malloc(path.n);
	if (path_decode(path, room, &decoded, &refusal)) {
		invariant(decoded.n > 0 && decoded.p[0] == '/' && slice_is_utf8(decoded));
		for (size_t i = 0; i < decoded.n; i++) {
			invariant(decoded.p[i] >= 0x20 && decoded.p[i] != '\\');
		}
		invariant(memmem(decoded.p, decoded.n, "/../", 4) == NULL);
		invariant(memmem(decoded.p, decoded.n, "/./", 3) == NULL);
	}
	free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head whole_head;
	static struct http_head other_head;
	struct guard whole_guard;
	struct guard other_guard;
	if (size == 0 || size > INPUT_MAX) {
		return 0;
	}
	struct slice in = slice_of(data, size);
	struct verdict whole = judge(&whole_guard, &whole_head, in, size);
	for (size_t step = 1; step <= 5; step += 2) {
		struct verdict v = judge(&other_guard, &other_head, in, step);
		invariant(v.guard == whole.guard && v.ok == whole.ok && v.status == whole.status);
		invariant(v.guard != GUARD_OK || v.end == whole.end);
		invariant(!v.ok || same_head(&whole_head, &other_head));
	}
	if (whole.guard == GUARD_OK) {
		struct verdict v =
			judge(&other_guard, &other_head, slice_of(data, whole.end), size);
		invariant(v.guard == GUARD_OK && v.ok == whole.ok && v.status == whole.status);
		check_llhttp(&whole_guard, in);
	}
	if (whole.ok) {
		check_again(&whole_guard, &whole_head, in);
		if (!whole_head.asterisk) {
			check_path(whole_head.path);
		}
	}
	return 0;
}
