/*
 * Forwarded headers through a proxy of ours (10.0.0.0/8, called from 10.0.0.1). Who the client is depends
 * on nothing but the chain of our proxies at the end: whatever a client puts before it, the answer is
 * the same.
 */
#include "common/base/buffer.h"
#include "common/base/error.h"
#include "director/http/proxies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 4096 };

static bool parse(struct buffer *b, struct slice before, struct slice value, struct http_head *head)
{
	static const char *const names[] = { "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto",
		"X-Forwarded-Host" };
	struct guard guard;
	struct http_refusal refusal;
	int r = 0;
	buffer_clear(b);
	r |= buffer_append(b, SLICE("GET / HTTP/1.1\r\nHost: a\r\n"));
	for (int i = 0; i < 4; i++) {
		r |= buffer_printf(b, "%s: ", names[i]);
		r |= buffer_append(b, before);
		r |= buffer_append(b, value);
		r |= buffer_append(b, SLICE("\r\n"));
	}
	r |= buffer_append(b, SLICE("\r\n"));
	guard_init(&guard);
	return r == 0 && guard_scan(&guard, buffer_slice(b), b->n) == GUARD_OK &&
		guard.head_end == b->n && head_parse(head, &guard, buffer_slice(b), &refusal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxies proxies = { 0 };
	struct address peer;
	struct slice bad;
	struct http_head head;
	struct buffer b;
	struct slice value = slice_of(data, size);
	if (size > LIMIT) {
		return 0;
	}
	invariant(proxies_add(&proxies, SLICE("10.0.0.0/8"), &bad));
	invariant(address_parse(SLICE("10.0.0.1"), &peer));
	buffer_init(&b, SIZE_MAX / 4);
	for (int standard = 0; standard < 2; standard++) {
		struct forwarded alone;
		struct forwarded behind;
		proxies.header = standard ? PROXIES_FORWARDED : PROXIES_X_FORWARDED;
		if (!parse(&b, SLICE_NULL, value, &head)) {
			continue;
		}
		proxies_resolve(&proxies, &peer, &head, &alone);
		/* A forged list in front changes nothing once somebody who is not ours was met. */
		if (!proxies_trust(&proxies, &alone.client) &&
			parse(&b, SLICE("for=192.0.2.66, \"192.0.2.67, "), value, &head)) {
			proxies_resolve(&proxies, &peer, &head, &behind);
			invariant(memcmp(&alone.client, &behind.client, sizeof(peer)) == 0);
		}
	}
	buffer_deinit(&b);
	return 0;
}
