#include "director/capability/args.h"

#include "common/json/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct reading {
	struct args_field *fields;
	size_t n;
	char *why;
	bool failed;
};

static struct args_field *find(struct reading *r, struct slice name)
{
	for (size_t i = 0; i < r->n; i++) {
		if (json_name_eq(name, slice_str(r->fields[i].name))) {
			return &r->fields[i];
		}
	}
	return NULL;
}

static bool on_member(void *arg, const struct json_member *m)
{
	struct reading *r = arg;
	struct args_field *f = find(r, m->name);
	if (f == NULL || f->value.p != NULL) {
		(void)snprintf(r->why, 256,
			f == NULL ? "an unknown argument is given"
				  : "the argument '%s' is given twice",
			f == NULL ? "" : f->name);
		r->failed = true;
		return false;
	}
	f->value = m->value;
	return true;
}

static bool kind_fits(const struct args_field *f)
{
	switch (f->kind) {
	case ARGS_STRING:
		return f->value.p[0] == '"';
	case ARGS_OBJECT:
		return f->value.p[0] == '{';
	case ARGS_ARRAY:
		return f->value.p[0] == '[';
	case ARGS_ANY:
		return true;
	}
	return false;
}

/* Checks one field and unescapes it; false with the reason. */
static bool finish(struct args_field *f, uint8_t **strings, char why[static 256])
{
	static const char *const kinds[] = { "a string", "an object", "an array", "a value" };
	if (f->value.p != NULL && !f->required && slice_eq(f->value, SLICE("null"))) {
		f->value = SLICE_NULL;
	}
	if (f->value.p == NULL) {
		(void)snprintf(why, 256, "the argument '%s' is missing", f->name);
		return !f->required;
	}
	if (!kind_fits(f)) {
		(void)snprintf(why, 256, "the argument '%s' must be %s", f->name, kinds[f->kind]);
		return false;
	}
	if (f->kind == ARGS_STRING) {
		struct slice inside = slice_of(f->value.p + 1, f->value.n - 2);
		f->value = slice_of(*strings, json_unescape(inside, *strings));
		*strings += f->value.n;
		if (memchr(f->value.p, 0, f->value.n) != NULL) {
			(void)snprintf(
				why, 256, "the argument '%s' holds a NUL character", f->name);
			return false;
		}
	}
	if (f->max > 0 && f->value.n > f->max) {
		(void)snprintf(
			why, 256, "the argument '%s' has more than %zu bytes", f->name, f->max);
		return false;
	}
	return true;
}

int args_read(struct args *a,
	struct slice text,
	struct args_field *fields,
	size_t n,
	char why[static 256])
{
	struct reading reading = { .fields = fields, .n = n, .why = why };
	struct json_failure failure = { 0 };
	enum json_kind kind = JSON_IS_NULL;
	a->strings = NULL;
	int r = json_scan(text, on_member, &reading, &kind, &failure);
	if (r == -ECANCELED) {
		return -EBADMSG;
	}
	if (r < 0 || kind != JSON_IS_OBJECT) {
		(void)snprintf(why, 256, "the arguments are no JSON object: %s",
			r < 0 ? failure.what : "another kind of value");
		return -EBADMSG;
	}
	a->strings = malloc(text.n);
	if (a->strings == NULL) {
		return -ENOMEM;
	}
	uint8_t *p = a->strings;
	for (size_t i = 0; i < n; i++) {
		if (!finish(&fields[i], &p, why)) {
			args_deinit(a);
			return -EBADMSG;
		}
	}
	return 0;
}

void args_deinit(struct args *a)
{
	free(a->strings);
	a->strings = NULL;
}
