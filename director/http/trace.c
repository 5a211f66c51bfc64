#include "director/http/trace.h"

/* Where the parts of a traceparent are. */
enum { VERSION_N = 2, SPAN_AT = 36, SPAN_N = 16, FLAGS_AT = 53, SAMPLED = 1 };

static const char hex[] = "0123456789abcdef";

static bool is_hex(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f'))) {
			return false;
		}
	}
	return true;
}

static bool is_zero(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '0') {
			return false;
		}
	}
	return true;
}

static struct slice part(struct slice s, size_t at, size_t n)
{
	return slice_of(s.p + at, n);
}

/* A later version may have more behind what we know. */
static bool is_traceparent(struct slice s)
{
	if (s.n < TRACE_LENGTH || s.p[2] != '-' || s.p[SPAN_AT - 1] != '-' ||
		s.p[FLAGS_AT - 1] != '-') {
		return false;
	}
	struct slice version = part(s, 0, VERSION_N);
	struct slice id = part(s, TRACE_ID_AT, TRACE_ID_LENGTH);
	struct slice span = part(s, SPAN_AT, SPAN_N);
	bool known = slice_eq(version, SLICE("00"));
	bool ends = s.n == TRACE_LENGTH || (!known && s.p[TRACE_LENGTH] == '-');
	return ends && is_hex(version) && !slice_eq(version, SLICE("ff")) && is_hex(id) &&
		!is_zero(id) && is_hex(span) && !is_zero(span) && is_hex(part(s, FLAGS_AT, 2));
}

static void put_hex(char *to, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		to[2 * i] = hex[bytes[i] >> 4];
		to[2 * i + 1] = hex[bytes[i] & 15];
	}
}

bool trace_make(struct slice parent,
	const uint8_t random[static TRACE_RANDOM],
	char ret[static TRACE_LENGTH])
{
	bool continues = is_traceparent(parent);
	memcpy(ret, "00-", 3);
	put_hex(ret + TRACE_ID_AT, random, TRACE_ID_LENGTH / 2);
	ret[SPAN_AT - 1] = '-';
	put_hex(ret + SPAN_AT, random + TRACE_ID_LENGTH / 2, SPAN_N / 2);
	/* Zeros alone are no id, however unlikely they are. */
	ret[TRACE_ID_AT] = ret[TRACE_ID_AT] == '0' ? '1' : ret[TRACE_ID_AT];
	ret[SPAN_AT] = ret[SPAN_AT] == '0' ? '1' : ret[SPAN_AT];
	memcpy(ret + FLAGS_AT - 1, "-00", 3);
	if (continues) {
		uint8_t flags = parent.p[FLAGS_AT + 1];
		unsigned low = flags <= '9' ? flags - (unsigned)'0' : flags - (unsigned)'a' + 10;
		memcpy(ret + TRACE_ID_AT, parent.p + TRACE_ID_AT, TRACE_ID_LENGTH);
		ret[FLAGS_AT + 1] = (low & SAMPLED) != 0 ? '1' : '0';
	}
	return continues;
}
