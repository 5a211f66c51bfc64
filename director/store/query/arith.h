/*
 * Arithmetic on BSON numbers, with the types that MongoDB gives to results: int32 and int32 is an
 * int32 where it fits and else an int64, an int64 stays one, a double makes a double. A decimal128 is
 * refused: its values are compared and stored exactly, and not calculated with.
 */
#pragma once

#include "director/store/query/document.h"

/* A number that stands in no document. */
struct number {
	uint8_t type;
	uint8_t bytes[16];
};

/** A view of it; valid as long as it is. */
struct value number_view(const struct number *n);

void number_set_int32(struct number *ret, int32_t i);
void number_set_int64(struct number *ret, int64_t i);
void number_set_double(struct number *ret, double d);
/** An int32 when it fits, else an int64. */
void number_set_int(struct number *ret, int64_t i);

/** The nearest double. Any number but a decimal128. */
double number_to_double(struct value v);

/*
 * Both are numbers. 0; -ERANGE when the whole result leaves an int64; -ENOTSUP with a decimal128.
 */
int number_add(struct value a, struct value b, struct number *ret);
int number_subtract(struct value a, struct value b, struct number *ret);
int number_multiply(struct value a, struct value b, struct number *ret);
