/*
 * A form as browsers and OAuth clients send it: application/x-www-form-urlencoded, decoded strictly. No
 * I/O; the bytes are hostile.
 *
 * Pairs NAME=VALUE between '&'; '+' is a blank, %41 a byte. Refused: a percent sign that two hexadecimal
 * digits do not follow, names and values that are not UTF-8, more than FORM_FIELDS_MAX pairs, a name twice.
 * A pair without '=' has an empty value; an empty pair is skipped.
 */
#pragma once

#include "common/base/slice.h"

enum { FORM_FIELDS_MAX = 32 };

struct form {
	size_t n;
	struct slice names[FORM_FIELDS_MAX];
	struct slice values[FORM_FIELDS_MAX];
};

/**
 * @param room body.n bytes; the form's slices point into it.
 * @return NULL when it is fine, else what is wrong with it.
 */
const char *form_parse(struct slice body, uint8_t *room, struct form *ret);

/** @return false when there is no such field. */
bool form_find(const struct form *f, struct slice name, struct slice *ret_value);
