#include "director/store/error.h"

#include <stdarg.h>
#include <stdio.h>

enum { NAME_SHOWN = 64 };

const char *store_error_code(enum store_error e)
{
	static const char *const codes[] = {
		[STORE_OK] = "ok",
		[STORE_E_INVALID] = "invalid_argument",
		[STORE_E_UNSUPPORTED] = "unsupported",
		[STORE_E_PERMISSION] = "permission_denied",
		[STORE_E_LIMIT] = "limit_exceeded",
		[STORE_E_DUPLICATE] = "duplicate_key",
		[STORE_E_UNAVAILABLE] = "unavailable",
		[STORE_E_UNKNOWN] = "unknown_outcome",
		[STORE_E_FULL] = "storage_full",
		[STORE_E_INTERNAL] = "internal",
	};
	return codes[e];
}

/* The length of `n` bytes of text without a character that was cut at the end. */
static size_t whole_characters(const uint8_t *p, size_t n)
{
	size_t back = 0;
	while (back < n && back < 3 && (p[n - 1 - back] & 0xc0) == 0x80) {
		back++;
	}
	if (back == n) {
		return n;
	}
	uint8_t lead = p[n - 1 - back];
	size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	return need > back + 1 ? n - back - 1 : n;
}

size_t store_name_length(struct slice s)
{
	return s.n <= NAME_SHOWN ? s.n : whole_characters(s.p, NAME_SHOWN);
}

int store_fail(struct store_failure *f, enum store_error e, const char *format, ...)
{
	va_list args;
	f->error = e;
	va_start(args, format);
	int n = vsnprintf(f->message, sizeof(f->message), format, args);
	va_end(args);
	if (n >= (int)sizeof(f->message)) {
		size_t kept = whole_characters((const uint8_t *)f->message, sizeof(f->message) - 1);
		f->message[kept] = 0;
	}
	return (int)e;
}
