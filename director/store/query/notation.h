/*
 * For tests: BSON as short text and back, so that a table of cases can be read.
 *
 *   {a: 1, "b c": [2L, 1.5, 'text', true, null], d: {$gt: OID(000000000000000000000001)}}
 *
 * 1 is an int32 when it fits, else an int64; 1L an int64; 1.0 a double; also NaN Infinity MinKey
 * MaxKey /pattern/i DATE(ms) TS(n) DEC(1.50e3) BIN(subtype,hex) OID(hex). In strings \xHH is a byte.
 */
#pragma once

#include "director/store/query/document.h"

/** Parses one document; aborts with a message on a mistake. The caller frees `.p`. */
struct slice notation_parse(const char *text);

/** Prints a document; the caller frees the text. */
char *notation_print(struct slice document);
