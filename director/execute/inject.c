#include "director/execute/inject.h"

#include "common/base/error.h"
#include "common/json/scan.h"
#include "director/execute/name_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Members next to each other that are kept, with the text between them. */
struct run {
	size_t start, end;
};

struct injector {
	struct slice body;
	struct run runs[INJECT_REMOVED_MAX + 1];
	size_t n_runs;
	size_t n_removed;
	bool in_run;
	struct name_set *names;
	int stop; /* INJECT_* or -ENOMEM, why the scan was stopped */
	struct slice duplicate;
};

static const struct slice reserved[] = {
	{ (const uint8_t *)"user_id", 7 },
	{ (const uint8_t *)"app_id", 6 },
	{ (const uint8_t *)"_context", 8 },
	{ (const uint8_t *)"user_jwt", 8 },
	{ (const uint8_t *)"_entitlements", 13 },
};

int injector_new(struct injector **ret)
{
	struct injector *in = calloc(1, sizeof(*in));
	if (in == NULL || name_set_new(&in->names) < 0) {
		free(in);
		return -ENOMEM;
	}
	*ret = in;
	return 0;
}

struct injector *injector_free(struct injector *in)
{
	if (in != NULL) {
		name_set_free(in->names);
		free(in);
	}
	return NULL;
}

bool inject_is_reserved(struct slice escaped_name)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		/* Escaping only makes a name longer. */
		if (escaped_name.n >= reserved[i].n && json_name_eq(escaped_name, reserved[i])) {
			return true;
		}
	}
	return false;
}

static bool on_member(void *arg, const struct json_member *m)
{
	struct injector *in = arg;
	if (inject_is_reserved(m->name)) {
		in->in_run = false;
		in->stop = ++in->n_removed > INJECT_REMOVED_MAX ? INJECT_TOO_MANY : 0;
		return in->stop == 0;
	}
	int r = name_set_add(in->names, m->name);
	if (r != 0) {
		in->stop = r < 0 ? r : INJECT_DUPLICATE;
		in->duplicate = m->name;
		return false;
	}
	if (!in->in_run) {
		in->runs[in->n_runs++] = (struct run){ .start = m->start };
		in->in_run = true;
	}
	in->runs[in->n_runs - 1].end = m->end;
	return true;
}

/* A name for a message: cut, and nothing that could disturb a terminal. */
static void printable(struct slice name, char out[static 65])
{
	size_t n = name.n < 64 ? name.n : 64;
	for (size_t i = 0; i < n; i++) {
		out[i] = name.p[i] >= 0x20 && name.p[i] < 0x7f ? (char)name.p[i] : '?';
	}
	out[n] = '\0';
}

static int explain_stop(const struct injector *in, char why[static 256])
{
	if (in->stop == INJECT_DUPLICATE) {
		char name[65];
		printable(in->duplicate, name);
		(void)snprintf(why, 256,
			"Invalid JSON payload: the name \"%s\" stands twice in the object", name);
	} else {
		(void)snprintf(why, 256,
			"Invalid JSON payload: more than %d members with reserved names",
			INJECT_REMOVED_MAX);
	}
	return in->stop;
}

int inject_check(struct injector *in, struct slice body, char why[static 256])
{
	struct json_failure failure = { 0 };
	enum json_kind kind = JSON_IS_NULL;
	in->body = body;
	in->n_runs = in->n_removed = 0;
	in->in_run = false;
	in->stop = 0;
	name_set_clear(in->names);
	int r = json_scan(body, on_member, in, &kind, &failure);
	if (r == -ECANCELED) {
		return explain_stop(in, why);
	}
	if (r == -EBADMSG) {
		size_t line;
		size_t column;
		json_position(body, failure.offset, &line, &column);
		(void)snprintf(why, 256,
			"Invalid JSON payload: %s at line %zu, column %zu (byte %zu)", failure.what,
			line, column, failure.offset);
		return INJECT_MALFORMED;
	}
	if (r == 0 && kind != JSON_IS_OBJECT) {
		(void)snprintf(why, 256, "Invalid JSON payload: the body must be a JSON object");
		return INJECT_NOT_OBJECT;
	}
	return r;
}

size_t inject_size(const struct injector *in, struct slice trusted)
{
	size_t n = 2 + trusted.n;
	for (size_t i = 0; i < in->n_runs; i++) {
		n += in->runs[i].end - in->runs[i].start + 1;
	}
	return n;
}

int inject_write(const struct injector *in, struct slice trusted, struct buffer *out)
{
	int r = buffer_reserve(out, inject_size(in, trusted));
	if (r < 0) {
		return r;
	}
	uint8_t *p = out->p + out->n;
	*p++ = '{';
	for (size_t i = 0; i < in->n_runs; i++) {
		size_t n = in->runs[i].end - in->runs[i].start;
		memcpy(p, in->body.p + in->runs[i].start, n);
		p += n;
		*p++ = ',';
	}
	memcpy(p, trusted.p, trusted.n);
	p += trusted.n;
	*p++ = '}';
	out->n = (size_t)(p - out->p);
	return 0;
}
