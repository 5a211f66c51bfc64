/*
 * The four numeric types of BSON (int32, int64, double, decimal128) as one: compared by their exact
 * values, never through a rounded common type. NaN is less than every other number and equal to
 * itself, as in MongoDB's sort order.
 *
 * Format of decimal128: IEEE 754-2008, binary integer encoding.
 */
#pragma once

#include "director/store/query/document.h"

/* A number as decimal digits: 0.d1d2d3… x 10^exponent, d1 and the last digit not zero. Every finite
 * double and decimal128 has such a form; 767 digits are the most that a double needs. */
enum { NUMBER_DIGITS_MAX = 768 };

enum number_kind { NUMBER_NAN, NUMBER_FINITE, NUMBER_INFINITE };

struct number_digits {
	enum number_kind kind;
	int sign;                     /* -1, 0, 1 */
	int exponent;                 /* of a finite number that is not zero */
	unsigned n;                   /* 0: zero */
	uint8_t d[NUMBER_DIGITS_MAX]; /* 0..9 */
};

/** @return <0, 0, >0. Both are numbers. */
int number_compare(struct value a, struct value b);

bool number_is_nan(struct value v);

/** Takes a number apart, exactly. */
void number_digits(struct value v, struct number_digits *ret);

/** As conditions see it: false, null, missing and zero are false, all else is true. */
bool value_truth(struct value v);

/** True and the number when it is a whole number that fits an int64 (1, 1.0, NumberLong(1)). */
bool value_whole(struct value v, int64_t *ret);

/** True and the number without its fraction, when that fits an int64; false for NaN. */
bool value_truncated(struct value v, int64_t *ret);
