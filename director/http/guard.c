#include "director/http/guard.h"

enum { METHOD_MAX = 32 };

static const bool token_bytes[256] = {
	['!'] = true,
	['#'] = true,
	['$'] = true,
	['%'] = true,
	['&'] = true,
	['\''] = true,
	['*'] = true,
	['+'] = true,
	['-'] = true,
	['.'] = true,
	['^'] = true,
	['_'] = true,
	['`'] = true,
	['|'] = true,
	['~'] = true,
	['0' ... '9'] = true,
	['A' ... 'Z'] = true,
	['a' ... 'z'] = true,
};

bool http_is_token_byte(uint8_t c)
{
	return token_bytes[c];
}

static size_t token_length(struct slice s)
{
	size_t n = 0;
	while (n < s.n && token_bytes[s.p[n]]) {
		n++;
	}
	return n;
}

/* True when one of the eight bytes is below 0x20 or is 0x7f. */
static bool has_control(uint64_t word)
{
	const uint64_t ones = UINT64_MAX / 255;
	const uint64_t tops = ones * 0x80;
	uint64_t below = (word - ones * 0x20) & ~word & tops;
	uint64_t del = word ^ (ones * 0x7f);
	return (below | ((del - ones) & ~del & tops)) != 0;
}

bool http_is_field_value(struct slice v)
{
	size_t i = 0;
	for (; i + 8 <= v.n; i += 8) {
		uint64_t word;
		memcpy(&word, v.p + i, sizeof(word));
		if (has_control(word)) {
			break;
		}
	}
	/* The rest, and what follows a tab, byte by byte. */
	for (; i < v.n; i++) {
		if ((v.p[i] < 0x20 && v.p[i] != '\t') || v.p[i] == 0x7f) {
			return false;
		}
	}
	return true;
}

static enum guard_verdict refuse(struct guard *g, int status, const char *reason)
{
	g->refusal = (struct http_refusal){ .status = status, .reason = reason };
	return GUARD_REFUSED;
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* GUARD_OK when the line may stand. */
static enum guard_verdict check_version(struct guard *g, struct slice version)
{
	if (slice_eq(version, SLICE("HTTP/1.1"))) {
		return GUARD_OK;
	}
	if (slice_eq(version, SLICE("HTTP/1.0"))) {
		g->http10 = true;
		return GUARD_OK;
	}
	if (version.n == 8 && slice_starts(version, SLICE("HTTP/")) && is_digit(version.p[5]) &&
		version.p[6] == '.' && is_digit(version.p[7])) {
		return refuse(g, 505, "only HTTP/1.0 and HTTP/1.1 are served");
	}
	return refuse(g, 400, "malformed HTTP version in the request line");
}

static bool is_served_method(struct slice m)
{
	static const char *const served[] = { "GET", "POST", "HEAD", "PUT", "DELETE", "PATCH",
		"OPTIONS", "TRACE" };
	for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
		if (slice_eq(m, slice_str(served[i]))) {
			return true;
		}
	}
	return false;
}

static enum guard_verdict check_request_line(struct guard *g, struct slice line)
{
	size_t n = token_length(line);
	if (n == 0 || n > METHOD_MAX || n == line.n || line.p[n] != ' ') {
		return refuse(g, 400, "malformed method in the request line");
	}
	g->method = g->line;
	g->method_n = n;
	struct slice rest = slice_skip(line, n + 1);
	n = 0;
	while (n < rest.n && rest.p[n] > ' ' && rest.p[n] < 0x7f) {
		n++;
	}
	if (n == 0 || n == rest.n || rest.p[n] != ' ') {
		return refuse(g, 400, "malformed target in the request line");
	}
	g->target = g->line + g->method_n + 1;
	g->target_n = n;
	enum guard_verdict v = check_version(g, slice_skip(rest, n + 1));
	if (v == GUARD_OK && !is_served_method(slice_of(line.p, g->method_n))) {
		return refuse(g, 501, "this method is not implemented");
	}
	return v;
}

static enum guard_verdict check_field(struct guard *g, struct slice line)
{
	if (line.p[0] == ' ' || line.p[0] == '\t') {
		return refuse(g, 400, "folded header line");
	}
	size_t n = token_length(line);
	if (n == 0 || n == line.n || line.p[n] != ':') {
		return refuse(g, 400, "malformed header name");
	}
	if (!http_is_field_value(slice_skip(line, n + 1))) {
		return refuse(g, 400, "control byte in a header value");
	}
	if (++g->n_fields > HTTP_FIELDS_MAX) {
		return refuse(g, 431, "more than 100 headers");
	}
	return GUARD_OK;
}

static enum guard_verdict too_large(struct guard *g, size_t limit)
{
	g->refusal = (struct http_refusal){
		.status = g->in_fields ? 431 : 414,
		.reason = g->in_fields ? "the request head has more than"
				       : "the request line has more than",
		.limit = limit,
		.limit_is = "bytes (MOZAIKS_MAX_HEAD_BYTES)",
	};
	return GUARD_REFUSED;
}

/* A complete line without its CRLF, the empty one excepted. */
static enum guard_verdict check_line(struct guard *g, struct slice line)
{
	if (g->in_fields) {
		return check_field(g, line);
	}
	g->in_fields = true;
	return check_request_line(g, line);
}

enum guard_verdict guard_scan(struct guard *g, struct slice in, size_t limit)
{
	for (;;) {
		const uint8_t *from = in.p + g->searched;
		const uint8_t *lf =
			g->searched < in.n ? memchr(from, '\n', in.n - g->searched) : NULL;
		size_t end = lf == NULL ? in.n : (size_t)(lf - in.p) + 1;
		if (end > limit || (lf == NULL && end == limit)) {
			return too_large(g, limit);
		}
		g->searched = end;
		if (lf == NULL) {
			return GUARD_MORE;
		}
		size_t n = end - g->line;
		if (n < 2 || lf[-1] != '\r') {
			return refuse(g, 400, "a line does not end in CR LF");
		}
		struct slice line = slice_of(in.p + g->line, n - 2);
		if (line.n > 0) {
			enum guard_verdict v = check_line(g, line);
			if (v != GUARD_OK) {
				return v;
			}
		} else if (g->in_fields) {
			g->head_end = end;
			return GUARD_OK;
		} else if (g->head_start == 0) {
			/* RFC 9112, section 2.2: one empty line before a request is passed over. */
			g->head_start = end;
		} else {
			return refuse(g, 400, "empty lines before the request line");
		}
		g->line = end;
	}
}
