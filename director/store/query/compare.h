/*
 * The order of BSON values, as MongoDB documents it: first by bracket of types (MinKey, null,
 * numbers, strings, documents, arrays, binary, ObjectId, boolean, date, timestamp, regular
 * expression, MaxKey), inside a bracket by value. Numbers compare exactly across their four types.
 * Documents compare field by field: bracket, then name, then value; so the order of fields counts.
 */
#pragma once

#include "director/store/query/document.h"

/** The bracket of a type; values of one bracket are comparable by value. Missing counts as null. */
int value_bracket(uint8_t type);

/** @return <0, 0, >0: a total order. */
int value_compare(struct value a, struct value b);
