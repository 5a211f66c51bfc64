#include "director/http/head.h"

#include <llhttp.h>

/* Headers that may come once, or not at all. */
enum field_rule {
	ONCE,
	NEVER,
};

enum known {
	KNOWN_HOST,
	KNOWN_LENGTH,
	KNOWN_CODING,
	KNOWN_EXPECT,
	KNOWN_ENCODING,
	KNOWN_AUTHORIZATION,
	KNOWN_TYPE,
	KNOWN_ORIGIN,
	KNOWN_OVERRIDE_METHOD,
	KNOWN_OVERRIDE_HTTP,
	KNOWN_OVERRIDE,
	KNOWN_COUNT,
};

static const struct {
	struct slice name;
	enum field_rule rule;
	const char *reason;
} known_fields[KNOWN_COUNT] = {
	[KNOWN_HOST] = { SLICE("host"), ONCE, "more than one Host" },
	[KNOWN_LENGTH] = { SLICE("content-length"), ONCE, "more than one Content-Length" },
	[KNOWN_CODING] = { SLICE("transfer-encoding"), ONCE, "more than one Transfer-Encoding" },
	[KNOWN_EXPECT] = { SLICE("expect"), ONCE, "more than one Expect" },
	[KNOWN_ENCODING] = { SLICE("content-encoding"), ONCE, "more than one Content-Encoding" },
	[KNOWN_AUTHORIZATION] = { SLICE("authorization"), ONCE, "more than one Authorization" },
	[KNOWN_TYPE] = { SLICE("content-type"), ONCE, "more than one Content-Type" },
	[KNOWN_ORIGIN] = { SLICE("origin"), ONCE, "more than one Origin" },
	/* What overrides the method is seen by us and not by a proxy before us, or the reverse. */
	[KNOWN_OVERRIDE_METHOD] = { SLICE("x-http-method-override"), NEVER,
		"method override headers are refused" },
	[KNOWN_OVERRIDE_HTTP] = { SLICE("x-http-method"), NEVER,
		"method override headers are refused" },
	[KNOWN_OVERRIDE] = { SLICE("x-method-override"), NEVER,
		"method override headers are refused" },
};

/* One run of llhttp over a head. */
struct parse {
	struct http_head *head;
	size_t url_n;
	bool complete;
	const char *reason; /* llhttp's, when it refuses */
};

static bool refuse(struct http_refusal *refusal, int status, const char *reason)
{
	*refusal = (struct http_refusal){ .status = status, .reason = reason };
	return false;
}

/* llhttp's callbacks. The whole head is fed at once, so each span comes in one piece. */

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
	struct parse *p = parser->data;
	p->url_n = n;
	return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t n)
{
	struct parse *p = parser->data;
	struct http_head *h = p->head;
	if (h->n_fields == HTTP_FIELDS_MAX) {
		return -1;
	}
	h->fields[h->n_fields++] = (struct head_field){
		.name = (uint32_t)((const uint8_t *)at - h->bytes),
		.name_n = (uint32_t)n,
	};
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t n)
{
	struct parse *p = parser->data;
	struct http_head *h = p->head;
	if (h->n_fields == 0) {
		return -1;
	}
	while (n > 0 && (at[n - 1] == ' ' || at[n - 1] == '\t')) {
		n--;
	}
	struct head_field *f = &h->fields[h->n_fields - 1];
	f->value = (uint32_t)((const uint8_t *)at - h->bytes);
	f->value_n = (uint32_t)n;
	return 0;
}

static int on_complete(llhttp_t *parser)
{
	struct parse *p = parser->data;
	p->complete = true;
	/* The body is ours to read: its coding is decoded by chunked.c. */
	return HPE_PAUSED;
}

static enum http_method method_of(uint8_t method)
{
	static const enum http_method methods[] = {
		[HTTP_DELETE] = HTTP_M_DELETE,
		[HTTP_GET] = HTTP_M_GET,
		[HTTP_HEAD] = HTTP_M_HEAD,
		[HTTP_POST] = HTTP_M_POST,
		[HTTP_PUT] = HTTP_M_PUT,
		[HTTP_CONNECT] = HTTP_M_OTHER,
		[HTTP_OPTIONS] = HTTP_M_OPTIONS,
		[HTTP_TRACE] = HTTP_M_OTHER,
	};
	if (method == HTTP_PATCH) {
		return HTTP_M_PATCH;
	}
	return method <= HTTP_TRACE ? methods[method] : HTTP_M_OTHER;
}

static bool run_llhttp(
	struct http_head *h, const struct guard *g, struct slice head, struct parse *p)
{
	static const llhttp_settings_t settings = {
		.on_url = on_url,
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_headers_complete = on_complete,
	};
	llhttp_t parser;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	*p = (struct parse){ .head = h };
	parser.data = p;
	h->n_fields = 0;
	if (llhttp_execute(&parser, (const char *)head.p, head.n) != HPE_PAUSED || !p->complete) {
		p->reason = llhttp_get_error_reason(&parser);
		return false;
	}
	h->method = method_of(parser.method);
	h->keep_alive = llhttp_should_keep_alive(&parser) != 0;
	h->http10 = g->http10;
	/* Two readers of the same bytes: where they disagree, somebody is being fooled. */
	return h->n_fields == g->n_fields && parser.http_minor == (g->http10 ? 0 : 1) &&
		p->url_n == g->target_n;
}

static bool is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_port(struct slice s)
{
	uint64_t port;
	return slice_to_u64(s, 65535, &port);
}

/* host, host:port, [v6] or [v6]:port. No user, no path, no escapes. */
static bool is_authority(struct slice s)
{
	size_t n = 0;
	if (s.n > 0 && s.p[0] == '[') {
		n = 1;
		while (n < s.n && (is_alnum(s.p[n]) || s.p[n] == ':' || s.p[n] == '.')) {
			n++;
		}
		if (n == 1 || n == s.n || s.p[n] != ']') {
			return false;
		}
		n++;
	} else {
		while (n < s.n &&
			(is_alnum(s.p[n]) || s.p[n] == '.' || s.p[n] == '-' || s.p[n] == '_')) {
			n++;
		}
	}
	return n > 0 && (n == s.n || (s.p[n] == ':' && is_port(slice_skip(s, n + 1))));
}

/* Length of "http://" or "https://" at the front, else 0. */
static size_t scheme_length(struct slice target)
{
	if (target.n >= 7 && slice_eq_nocase(slice_of(target.p, 7), SLICE("http://"))) {
		return 7;
	}
	return target.n >= 8 && slice_eq_nocase(slice_of(target.p, 8), SLICE("https://")) ? 8 : 0;
}

/* Origin form, absolute form (taken as its path) or `OPTIONS *`. */
static bool split_target(struct http_head *h, struct slice target, struct http_refusal *refusal)
{
	if (memchr(target.p, '#', target.n) != NULL) {
		return refuse(refusal, 400, "the target has a fragment");
	}
	h->host = SLICE_NULL;
	h->asterisk = slice_eq(target, SLICE("*"));
	size_t scheme = scheme_length(target);
	if (scheme > 0) {
		struct slice rest = slice_skip(target, scheme);
		size_t n = 0;
		while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?') {
			n++;
		}
		h->host = slice_of(rest.p, n);
		if (!is_authority(h->host)) {
			return refuse(refusal, 400, "malformed host in the target");
		}
		target = slice_skip(rest, n);
	} else if (target.p[0] != '/' && !h->asterisk) {
		return refuse(refusal, 400, "the target is neither a path nor a URL");
	}
	const uint8_t *mark = target.n > 0 ? memchr(target.p, '?', target.n) : NULL;
	size_t n = mark == NULL ? target.n : (size_t)(mark - target.p);
	h->path = n > 0 ? slice_of(target.p, n) : SLICE("/");
	h->query = mark == NULL ? SLICE_NULL : slice_skip(target, n + 1);
	return true;
}

static struct slice field_value(const struct http_head *h, const struct head_field *f)
{
	return slice_of(h->bytes + f->value, f->value_n);
}

/* Finds the headers that mean something to us; values[k].p stays NULL for an absent one. */
static bool sort_fields(const struct http_head *h,
	struct slice values[static KNOWN_COUNT],
	struct http_refusal *refusal)
{
	for (unsigned i = 0; i < h->n_fields; i++) {
		const struct head_field *f = &h->fields[i];
		struct slice name = slice_of(h->bytes + f->name, f->name_n);
		for (int k = 0; k < KNOWN_COUNT; k++) {
			if (name.n != known_fields[k].name.n ||
				!slice_eq_nocase(name, known_fields[k].name)) {
				continue;
			}
			if (values[k].p != NULL || known_fields[k].rule == NEVER) {
				return refuse(refusal, 400, known_fields[k].reason);
			}
			values[k] = field_value(h, f);
		}
	}
	return true;
}

static bool check_host(struct http_head *h, struct slice host, struct http_refusal *refusal)
{
	if (host.p == NULL && !h->http10) {
		return refuse(refusal, 400, "no Host");
	}
	if (host.p != NULL && !is_authority(host)) {
		return refuse(refusal, 400, "malformed Host");
	}
	if (h->host.n == 0) {
		h->host = host;
	}
	return true;
}

static bool check_framing(
	struct http_head *h, struct slice length, struct slice coding, struct http_refusal *refusal)
{
	h->length = 0;
	h->chunked = coding.p != NULL;
	if (h->chunked && length.p != NULL) {
		return refuse(refusal, 400, "both Content-Length and Transfer-Encoding");
	}
	if (h->chunked && h->http10) {
		return refuse(refusal, 400, "Transfer-Encoding in HTTP/1.0");
	}
	if (h->chunked && !slice_eq_nocase(coding, SLICE("chunked"))) {
		return refuse(refusal, 400, "Transfer-Encoding is not chunked");
	}
	if (length.p != NULL && !slice_to_u64(length, INT64_MAX, &h->length)) {
		return refuse(refusal, 400, "malformed Content-Length");
	}
	return true;
}

bool head_parse(struct http_head *h,
	const struct guard *g,
	struct slice in,
	struct http_refusal *ret_refusal)
{
	struct slice values[KNOWN_COUNT] = { 0 };
	struct slice head = slice_of(in.p + g->head_start, g->head_end - g->head_start);
	struct parse p;
	h->bytes = head.p;
	if (head.n > HTTP_HEAD_MAX) {
		return refuse(ret_refusal, 431, "the request head is over 256 KiB");
	}
	if (!split_target(h, slice_of(in.p + g->target, g->target_n), ret_refusal)) {
		return false;
	}
	if (!run_llhttp(h, g, head, &p)) {
		return refuse(ret_refusal, 400, p.reason != NULL ? p.reason : "malformed head");
	}
	if (h->asterisk && h->method != HTTP_M_OPTIONS) {
		return refuse(ret_refusal, 400, "the target * is for OPTIONS only");
	}
	if (!sort_fields(h, values, ret_refusal) ||
		!check_host(h, values[KNOWN_HOST], ret_refusal) ||
		!check_framing(h, values[KNOWN_LENGTH], values[KNOWN_CODING], ret_refusal)) {
		return false;
	}
	struct slice expect = values[KNOWN_EXPECT];
	if (expect.p != NULL && !slice_eq_nocase(expect, SLICE("100-continue"))) {
		return refuse(ret_refusal, 417, "only Expect: 100-continue is served");
	}
	/* RFC 9110, section 10.1.1: HTTP/1.0 knows no 100, whatever the client says. */
	h->expects_continue = expect.p != NULL && !h->http10;
	struct slice encoding = values[KNOWN_ENCODING];
	h->origin = values[KNOWN_ORIGIN];
	h->encoded = encoding.p != NULL && !slice_eq_nocase(encoding, SLICE("identity"));
	return true;
}

struct slice head_find(const struct http_head *h, struct slice name)
{
	unsigned at = 0;
	return head_find_from(h, name, &at);
}

struct slice head_find_from(const struct http_head *h, struct slice name, unsigned *at)
{
	while (*at < h->n_fields) {
		const struct head_field *f = &h->fields[(*at)++];
		if (f->name_n == name.n &&
			slice_eq_nocase(slice_of(h->bytes + f->name, name.n), name)) {
			return field_value(h, f);
		}
	}
	return SLICE_NULL;
}
