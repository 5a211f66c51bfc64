/* Dates of BSON (milliseconds since 1970, UTC) as years, months and days, over their whole range. */
#pragma once

#include <stdint.h>

struct calendar {
	int64_t year;
	int month;       /* 1 to 12 */
	int day;         /* 1 to 31 */
	int day_of_year; /* 1 to 366 */
	int day_of_week; /* 1, Sunday, to 7 */
	int hour, minute, second, millisecond;
};

void calendar_of(int64_t unix_ms, struct calendar *ret);
