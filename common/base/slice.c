#include "common/base/slice.h"

#include <stdlib.h>

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
	if (a.n != b.n) {
		return false;
	}
	for (size_t i = 0; i < a.n; i++) {
		if (lower(a.p[i]) != lower(b.p[i])) {
			return false;
		}
	}
	return true;
}

bool slice_eq_secret(struct slice a, struct slice b)
{
	if (a.n != b.n) {
		return false;
	}
	volatile uint8_t diff = 0;
	for (size_t i = 0; i < a.n; i++) {
		diff = (uint8_t)(diff | (a.p[i] ^ b.p[i]));
	}
	return diff == 0;
}

char *slice_dup(struct slice s)
{
	if (s.n > 0 && memchr(s.p, 0, s.n) != NULL) {
		return NULL;
	}
	char *copy = malloc(s.n + 1);
	if (copy == NULL) {
		return NULL;
	}
	if (s.n > 0) {
		memcpy(copy, s.p, s.n);
	}
	copy[s.n] = '\0';
	return copy;
}

bool slice_is_name(struct slice s, size_t max)
{
	if (s.n == 0 || s.n > max) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		bool ok = (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') ||
			c == '.' || c == '_' || c == '-';
		if (!ok) {
			return false;
		}
	}
	return true;
}

bool slice_to_u64(struct slice s, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	if (s.n == 0 || (s.n > 1 && s.p[0] == '0')) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || __builtin_mul_overflow(value, 10U, &value) ||
			__builtin_add_overflow(value, (uint64_t)(s.p[i] - '0'), &value)) {
			return false;
		}
	}
	if (value > max) {
		return false;
	}
	*ret_value = value;
	return true;
}

/* RFC 3629, section 4. */
size_t utf8_sequence(const uint8_t *p, size_t n)
{
	uint8_t c = p[0];
	size_t len = c < 0x80            ? 1
		: c >= 0xC2 && c <= 0xDF ? 2
		: (c & 0xF0) == 0xE0     ? 3
		: c >= 0xF0 && c <= 0xF4 ? 4
					 : 0;
	if (len == 0 || len > n) {
		return 0;
	}
	uint8_t low = 0x80;
	uint8_t high = 0xBF;
	if (c == 0xE0) {
		low = 0xA0;
	} else if (c == 0xED) {
		high = 0x9F;
	} else if (c == 0xF0) {
		low = 0x90;
	} else if (c == 0xF4) {
		high = 0x8F;
	}
	for (size_t i = 1; i < len; i++) {
		if (p[i] < low || p[i] > high) {
			return 0;
		}
		low = 0x80;
		high = 0xBF;
	}
	return len;
}

bool slice_is_utf8(struct slice s)
{
	size_t i = 0;
	while (i < s.n) {
		uint64_t word;
		if (s.n - i >= sizeof(word)) {
			memcpy(&word, s.p + i, sizeof(word));
			if ((word & 0x8080808080808080ULL) == 0) {
				i += sizeof(word);
				continue;
			}
		}
		size_t len = utf8_sequence(s.p + i, s.n - i);
		if (len == 0) {
			return false;
		}
		i += len;
	}
	return true;
}
