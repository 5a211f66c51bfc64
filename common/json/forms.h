/*
 * The textual forms of BSON's values: numbers, dates, ids (private to this folder). They do not
 * depend on the process's locale.
 */
#pragma once

#include "common/base/slice.h"

enum {
	FORM_NUMBER_MAX = 1024, /* bytes of a JSON number that is read as a double */
	FORM_DOUBLE_SIZE = 40,
	FORM_DATE_SIZE = 40,
};

/** A decimal integer as JSON writes it. False when it is none or does not fit. */
bool form_read_int64(struct slice text, int64_t *ret);

/** A number to the letter of JSON's grammar. False when it is too long or not finite as a double. */
bool form_read_double(struct slice text, double *ret);

/** The shortest text that reads as the same finite double and does not look like an integer. */
struct slice form_write_double(double value, char buffer[static FORM_DOUBLE_SIZE]);

/**
 * ISO 8601 with date, time and zone: 2026-11-21T12:00:00.000Z, any number of digits from 0 to 9
 * after the second (beyond milliseconds cut off), Z or +01:00. Years 0000 to 9999.
 * @param ret milliseconds since 1970.
 */
bool form_read_date(struct slice text, int64_t *ret);

/** True when form_read_date() can read what form_write_date() writes. */
bool form_date_has_text(int64_t ms);

/** With milliseconds and Z; years outside 0000 to 9999 get a sign and at least six digits. */
struct slice form_write_date(int64_t ms, char buffer[static FORM_DATE_SIZE]);

/** Exactly 24 hexadecimal digits. */
bool form_read_oid(struct slice text, uint8_t ret[static 12]);
