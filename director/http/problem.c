#include "director/http/problem.h"

#include "director/http/response.h"

const char *problem_code(int status)
{
	static const struct {
		int status;
		const char *code;
	} codes[] = {
		{ 400, "bad_request" },
		{ 401, "unauthorized" },
		{ 403, "forbidden" },
		{ 404, "not_found" },
		{ 405, "method_not_allowed" },
		{ 408, "request_timeout" },
		{ 413, "body_too_large" },
		{ 414, "uri_too_long" },
		{ 415, "unsupported_media_type" },
		{ 417, "expectation_failed" },
		{ 422, "validation_error" },
		{ 429, "too_many_requests" },
		{ 431, "headers_too_large" },
		{ 500, "internal_error" },
		{ 501, "method_not_implemented" },
		{ 503, "unavailable" },
		{ 504, "timeout" },
		{ 505, "http_version_not_supported" },
	};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i].status == status) {
			return codes[i].code;
		}
	}
	return "error";
}

unsigned problem_retry_after_s(int status, unsigned given_s)
{
	return given_s == 0 && (status == 429 || status == 503) ? 1 : given_s;
}

static int append_member(struct buffer *out, const char *name, struct slice value)
{
	int r = value.n == 0 ? 0 : buffer_printf(out, ",\"%s\":", name);
	return r < 0 || value.n == 0 ? r : buffer_append_json(out, value);
}

int problem_append(struct buffer *out, const struct problem *p)
{
	struct slice code = p->code.n > 0 ? p->code : slice_str(problem_code(p->status));
	/* "about:blank" says that the title is the status's own phrase; `code` tells more. */
	int r = buffer_printf(out, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d",
		response_reason(p->status), p->status);
	r = r < 0 ? r : append_member(out, "detail", p->detail);
	r = r < 0 ? r : append_member(out, "instance", p->instance);
	r = r < 0 ? r : append_member(out, "code", code);
	r = r < 0 ? r : append_member(out, "request_id", p->request_id);
	r = r < 0 ? r : append_member(out, "trace_id", p->trace_id);
	if (r == 0 && p->extra.n > 0) {
		r = buffer_append_byte(out, ',');
		r = r < 0 ? r : buffer_append(out, p->extra);
	}
	return r < 0 ? r : buffer_append_byte(out, '}');
}
