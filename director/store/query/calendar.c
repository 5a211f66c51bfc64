#include "director/store/query/calendar.h"

#include <stdbool.h>

enum {
	DAY_MS = 86400000,
	ERA_DAYS = 146097, /* of 400 years */
	/* From 1 March of the year 0 to 1 January 1970. */
	EPOCH_DAYS = 719468,
};

static int64_t floor_divide(int64_t a, int64_t b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

void calendar_of(int64_t unix_ms, struct calendar *ret)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	int64_t days = floor_divide(unix_ms, DAY_MS);
	int ms = (int)(unix_ms - days * DAY_MS);
	/* Years are counted from March, so that a leap day is the last of its year. */
	int64_t shifted = days + EPOCH_DAYS;
	int64_t era = floor_divide(shifted, ERA_DAYS);
	int64_t of_era = shifted - era * ERA_DAYS;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;
	ret->day = (int)(of_year - (153 * month + 2) / 5) + 1;
	ret->month = (int)(month < 10 ? month + 3 : month - 9);
	ret->year = year + era * 400 + (ret->month <= 2 ? 1 : 0);
	ret->day_of_year =
		before[ret->month - 1] + ret->day + (ret->month > 2 && is_leap(ret->year) ? 1 : 0);
	/* 1970 began on a Thursday. */
	int64_t week = (days + 4) % 7;
	ret->day_of_week = (int)(week < 0 ? week + 7 : week) + 1;
	ret->hour = ms / 3600000;
	ret->minute = ms / 60000 % 60;
	ret->second = ms / 1000 % 60;
	ret->millisecond = ms % 1000;
}
