#include "director/http/response.h"

#include "common/base/log.h"
#include "director/http/guard.h"

#include <errno.h>
#include <time.h>

#define VERSION_LINE "X-Mozaiks-Runtime-Version: " MOZAIKS_VERSION "\r\n"
#define DEFAULT_TYPE "application/json"

/* Room for everything in a head but the handler's headers and its content type. */
enum { FIXED_ROOM = 1536, REQUEST_ID_MAX = 128 };

const char *response_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 402, "Payment Required" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 426, "Upgrade Required" },
		{ 428, "Precondition Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status) {
			return reasons[i].reason;
		}
	}
	return "Unknown";
}

bool response_is_bodiless(int status)
{
	return status < 200 || status == 204 || status == 304;
}

static void put_two(char *at, int value)
{
	at[0] = (char)('0' + value / 10);
	at[1] = (char)('0' + value % 10);
}

static void format_date(struct response_clock *c)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t second = (time_t)c->second;
	struct tm t;
	(void)gmtime_r(&second, &t);
	/* By hand: strftime() writes in the program's locale. */
	memcpy(c->line, "Date: ---, -- --- ---- --:--:-- GMT\r\n", sizeof(c->line));
	memcpy(c->line + 6, days + (ptrdiff_t)3 * t.tm_wday, 3);
	put_two(c->line + 11, t.tm_mday);
	memcpy(c->line + 14, months + (ptrdiff_t)3 * t.tm_mon, 3);
	put_two(c->line + 18, (t.tm_year + 1900) / 100);
	put_two(c->line + 20, t.tm_year % 100);
	put_two(c->line + 23, t.tm_hour);
	put_two(c->line + 26, t.tm_min);
	put_two(c->line + 29, t.tm_sec);
}

void response_clock_update(struct response_clock *c)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	c->ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	if (c->second != now.tv_sec) {
		c->second = now.tv_sec;
		format_date(c);
	}
}

static bool is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!http_is_token_byte(s.p[i])) {
			return false;
		}
	}
	return s.n > 0;
}

/* Headers that frame the message or carry what only the server knows. */
static bool is_reserved(struct slice name)
{
	static const char *const reserved[] = { "access-control-allow-credentials",
		"access-control-allow-origin", "connection", "content-length", "content-type",
		"date", "keep-alive", "ratelimit", "ratelimit-policy", "strict-transport-security",
		"te", "trailer", "transfer-encoding", "upgrade", "vary", "x-content-type-options",
		"x-mozaiks-runtime-version", "x-request-id" };
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (slice_eq_nocase(name, slice_str(reserved[i]))) {
			return true;
		}
	}
	return false;
}

/* A 426 has to say what it wants (RFC 9110, 15.5.22); without a 101 that changes nothing. */
static bool offers_websockets(const struct http_header *h)
{
	return slice_eq(h->name, SLICE("Upgrade")) && slice_eq(h->value, SLICE("websocket"));
}

static bool may_send(const struct http_header *h)
{
	bool ok = is_token(h->name) && http_is_field_value(h->value) &&
		(!is_reserved(h->name) || offers_websockets(h));
	if (!ok) {
		const struct log_field fields[] = { { "header", h->name }, { "value", h->value } };
		log_fields(LOG_WARNING, "http.header_dropped", fields, 2,
			"a response header was not sent");
	}
	return ok;
}

/* The caller has made room. */
static void put(struct buffer *out, struct slice s)
{
	if (s.n > 0) {
		memcpy(out->p + out->n, s.p, s.n);
		out->n += s.n;
	}
}

static void put_number(struct buffer *out, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	put(out, slice_of(digits + at, sizeof(digits) - at));
}

static void put_status(struct buffer *out, int status)
{
	if (status == 200) {
		put(out, SLICE("HTTP/1.1 200 OK\r\n"));
		return;
	}
	put(out, SLICE("HTTP/1.1 "));
	put_number(out, (uint64_t)status);
	put(out, SLICE(" "));
	put(out, slice_str(response_reason(status)));
	put(out, SLICE("\r\n"));
}

/* What the body is; its length belongs to every answer that could have one. */
static void put_content(
	struct buffer *out, const struct http_response *r, const struct response_frame *frame)
{
	if (response_is_bodiless(r->status)) {
		return;
	}
	struct slice type = r->content_type;
	if (type.n == 0) {
		type = SLICE(DEFAULT_TYPE);
	} else if (!http_is_field_value(type)) {
		type = SLICE("application/octet-stream");
	}
	put(out, SLICE("Content-Type: "));
	put(out, type);
	if (frame->pieces) {
		put(out,
			frame->chunked ? SLICE("\r\nTransfer-Encoding: chunked\r\n")
				       : SLICE("\r\n"));
		return;
	}
	put(out, SLICE("\r\nContent-Length: "));
	put_number(out, (uint64_t)r->body[0].n + r->body[1].n);
	put(out, SLICE("\r\n"));
}

static bool has_header(const struct http_response *r, struct slice name)
{
	for (size_t i = 0; i < r->n_headers; i++) {
		if (slice_eq_nocase(r->headers[i].name, name)) {
			return true;
		}
	}
	return false;
}

/* What is right for an answer that is data of one user; a handler knows better where it is not. */
static void put_defaults(
	struct buffer *out, const struct http_response *r, const struct response_frame *frame)
{
	put(out, SLICE("X-Content-Type-Options: nosniff\r\n"));
	if (frame->hsts_s > 0) {
		put(out, SLICE("Strict-Transport-Security: max-age="));
		put_number(out, frame->hsts_s);
		put(out, SLICE("\r\n"));
	}
	if (!has_header(r, SLICE("Cache-Control"))) {
		put(out, SLICE("Cache-Control: no-store\r\n"));
	}
	if (!has_header(r, SLICE("Content-Security-Policy"))) {
		put(out,
			SLICE("Content-Security-Policy: default-src 'none'; frame-ancestors "
			      "'none'\r\n"));
	}
}

/* Milliseconds with three digits behind the point. */
static void put_ms(struct buffer *out, uint64_t us)
{
	char rest[4] = { '.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
		(char)('0' + us % 10) };
	put_number(out, us / 1000);
	put(out, slice_of(rest, sizeof(rest)));
}

static void put_timings(struct buffer *out, const struct response_frame *frame)
{
	put(out, SLICE("Server-Timing: total;dur="));
	put_ms(out, frame->total_us);
	for (unsigned i = 0; i < frame->n_timings; i++) {
		put(out, SLICE(", "));
		put(out, slice_str(frame->timings[i].name));
		put(out, SLICE(";dur="));
		put_ms(out, frame->timings[i].us);
	}
	put(out, SLICE("\r\n"));
}

static void put_quota(struct buffer *out, const struct http_quota *q)
{
	struct slice name = slice_str(q->name);
	put(out, SLICE("RateLimit-Policy: \""));
	put(out, name);
	put(out, SLICE("\";q="));
	put_number(out, q->n);
	put(out, SLICE(";w="));
	put_number(out, q->window_s);
	put(out, SLICE("\r\nRateLimit: \""));
	put(out, name);
	put(out, SLICE("\";r="));
	put_number(out, q->left);
	put(out, SLICE(";t="));
	put_number(out, q->full_s);
	put(out, SLICE("\r\n"));
}

static void put_cors(struct buffer *out, const struct response_frame *frame)
{
	if (frame->varies) {
		put(out, SLICE("Vary: Origin\r\n"));
	}
	if (frame->origin.n > 0) {
		put(out, SLICE("Access-Control-Allow-Origin: "));
		put(out, frame->origin);
		put(out,
			SLICE("\r\nAccess-Control-Allow-Credentials: true\r\n"
			      "Access-Control-Expose-Headers: ETag, Retry-After, RateLimit, "
			      "RateLimit-Policy, Server-Timing, X-Request-Id, "
			      "X-Mozaiks-Runtime-Version\r\n"));
	}
}

int response_append_head(struct buffer *out,
	const struct http_response *response,
	const struct response_frame *frame)
{
	size_t room = FIXED_ROOM + response->content_type.n + frame->request_id.n + frame->origin.n;
	for (size_t i = 0; i < response->n_headers; i++) {
		room += response->headers[i].name.n + response->headers[i].value.n + 4;
	}
	int e = buffer_reserve(out, room);
	if (e < 0) {
		return e;
	}
	put_status(out, response->status);
	put(out, slice_of(frame->clock->line, sizeof(frame->clock->line)));
	put(out, SLICE(VERSION_LINE));
	put_content(out, response, frame);
	if (frame->request_id.n > 0) {
		put(out, SLICE("X-Request-Id: "));
		put(out, frame->request_id);
		put(out, SLICE("\r\n"));
	}
	put_defaults(out, response, frame);
	put_cors(out, frame);
	if (frame->total_us > 0) {
		put_timings(out, frame);
	}
	if (frame->quota != NULL) {
		put_quota(out, frame->quota);
	}
	for (size_t i = 0; i < response->n_headers; i++) {
		if (may_send(&response->headers[i])) {
			put(out, response->headers[i].name);
			put(out, SLICE(": "));
			put(out, response->headers[i].value);
			put(out, SLICE("\r\n"));
		}
	}
	if (frame->close) {
		put(out, SLICE("Connection: close\r\n"));
	} else if (frame->keep_alive) {
		put(out, SLICE("Connection: keep-alive\r\n"));
	}
	put(out, SLICE("\r\n"));
	return 0;
}
