/* Arguments of a capability that takes JSON: one object, its members named and typed. Untrusted. */
#pragma once

#include "common/base/buffer.h"

enum args_kind {
	ARGS_STRING, /* `value` is the unescaped text: valid UTF-8 without NUL */
	ARGS_OBJECT, /* `value` is JSON text */
	ARGS_ARRAY,
	ARGS_ANY,
};

struct args_field {
	const char *name;
	enum args_kind kind;
	bool required;
	size_t max;         /* bytes of the value, 0: no limit of its own */
	struct slice value; /* p is NULL when it was not given (or null, for optional ones) */
};

struct args {
	uint8_t *strings; /* the unescaped texts */
};

/**
 * Reads `text` into `fields`; their values are valid until args_deinit() and while `text` is.
 * @param why names the field and the rule.
 * @return 0; -EBADMSG with `why`; -ENOMEM.
 */
int args_read(struct args *a,
	struct slice text,
	struct args_field *fields,
	size_t n,
	char why[static 256]);
void args_deinit(struct args *a);
