/*
 * Keys: a value as bytes whose memcmp() order is value_compare()'s order, so that an index needs to
 * know nothing about BSON. 1, 1.0, NumberLong(1) and Decimal128("1.0") have one key. Keys end in
 * themselves (none is the beginning of another), so that several can stand in a row.
 *
 * Layout: the bracket's byte (compare.h), then
 *   number    class (NaN, -inf, negative, zero, positive, inf), exponent, decimal digits two a byte;
 *             of a negative number all bytes after the class inverted
 *   text      its bytes, 00 as 00 ff, then 00 00
 *   document  per field: bracket, name as text, value; then 00.   array: the same without names
 *   the rest  big-endian, fixed or with its length in front
 */
#pragma once

#include "director/store/query/document.h"

/**
 * Turns the order of the key that was appended at `from`: what came first comes last. It still ends in
 * itself.
 */
void key_invert(struct buffer *b, size_t from);

/** Appends the key of `v`. @return 0; -ENOBUFS, -ENOMEM; -EINVAL: nested deeper than 64. */
int key_append(struct buffer *b, struct value v);
