#include "director/execute/answer.h"

#include "common/json/scan.h"

#include <errno.h>

struct found {
	struct slice error, error_code;
	bool has_error, has_detail;
};

/* error_code -> status; what is not listed is 400. A plugin's "unauthorized" is no 401: clients take
 * that as "log out". */
static const struct {
	struct slice code;
	int status;
} statuses[] = {
	{ { (const uint8_t *)"\"VALIDATION_ERROR\"", 18 }, 422 },
	{ { (const uint8_t *)"\"NOT_FOUND\"", 11 }, 404 },
	{ { (const uint8_t *)"\"FORBIDDEN\"", 11 }, 403 },
	{ { (const uint8_t *)"\"PERMISSION_DENIED\"", 19 }, 403 },
	{ { (const uint8_t *)"\"UNAUTHORIZED\"", 14 }, 403 },
	{ { (const uint8_t *)"\"CONFLICT\"", 10 }, 409 },
	{ { (const uint8_t *)"\"RATE_LIMITED\"", 14 }, 429 },
};

enum { STATUS_OK = 200, STATUS_ERROR = 400 };

static bool on_member(void *arg, const struct json_member *m)
{
	struct found *f = arg;
	/* Two names start with e, one with d; most members need no comparison. */
	if (json_name_eq(m->name, SLICE("error"))) {
		f->has_error = true;
		f->error = m->value;
	} else if (json_name_eq(m->name, SLICE("error_code"))) {
		f->error_code = m->value;
	} else if (json_name_eq(m->name, SLICE("detail"))) {
		f->has_detail = true;
	}
	return true;
}

static int status_of(struct slice error_code)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (slice_eq(error_code, statuses[i].code)) {
			return statuses[i].status;
		}
	}
	return STATUS_ERROR;
}

int answer_judge(struct slice text, struct answer *ret_answer, const char **ret_why)
{
	struct found found = { 0 };
	struct json_failure failure = { 0 };
	enum json_kind kind = JSON_IS_NULL;
	int r = json_scan(text, on_member, &found, &kind, &failure);
	if (r < 0) {
		*ret_why = failure.what;
		return r;
	}
	struct answer a = { .status = STATUS_OK, .cut = text.n };
	if (kind == JSON_IS_OBJECT && found.has_error) {
		a.status = status_of(found.error_code);
		a.error = found.error;
		a.add_detail = !found.has_detail;
		if (a.add_detail) {
			while (text.p[a.cut - 1] != '}') {
				a.cut--;
			}
			a.cut--;
		}
	}
	*ret_answer = a;
	return 0;
}
