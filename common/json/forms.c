#include "common/json/forms.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MS_PER_SECOND = 1000 };

bool form_read_int64(struct slice text, int64_t *ret)
{
	bool negative = text.n > 0 && text.p[0] == '-';
	uint64_t magnitude;
	if (negative) {
		text = slice_skip(text, 1);
	}
	if (!slice_to_u64(text, (uint64_t)INT64_MAX + negative, &magnitude)) {
		return false;
	}
	/* In unsigned arithmetic, because of INT64_MIN. */
	*ret = (int64_t)(negative ? 0 - magnitude : magnitude);
	return true;
}

/* The C locale, whose decimal separator is JSON's. In glibc this neither fails nor takes memory. */
static locale_t c_locale(void)
{
	return newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

bool form_read_double(struct slice text, double *ret)
{
	char copy[FORM_NUMBER_MAX + 1];
	if (text.n == 0 || text.n > FORM_NUMBER_MAX) {
		return false;
	}
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	locale_t c = c_locale();
	char *end;
	double value = strtod_l(copy, &end, c);
	freelocale(c);
	if (*end != '\0' || !isfinite(value)) {
		return false;
	}
	*ret = value;
	return true;
}

static bool same_bits(double a, double b)
{
	uint64_t x;
	uint64_t y;
	memcpy(&x, &a, sizeof(x));
	memcpy(&y, &b, sizeof(y));
	return x == y;
}

/* As printf's %g with `digits` digits. @return the length. */
static size_t print_double(double value, int digits, char *buffer, size_t size)
{
	locale_t c = c_locale();
	locale_t before = uselocale(c);
	int n = snprintf(buffer, size, "%.*g", digits, value);
	(void)uselocale(before);
	freelocale(c);
	return (size_t)n;
}

struct slice form_write_double(double value, char buffer[static FORM_DOUBLE_SIZE])
{
	size_t n = 0;
	/* 15 digits are always enough for a decimal of 15 digits, 17 for any double. */
	for (int digits = 15; digits <= 17; digits++) {
		double again;
		n = print_double(value, digits, buffer, FORM_DOUBLE_SIZE - 2);
		if (form_read_double(slice_of(buffer, n), &again) && same_bits(again, value)) {
			break;
		}
	}
	if (memchr(buffer, '.', n) == NULL && memchr(buffer, 'e', n) == NULL) {
		buffer[n++] = '.';
		buffer[n++] = '0';
	}
	return slice_of(buffer, n);
}

/* `n` decimal digits off the front. */
static bool take_digits(struct slice *text, size_t n, int *ret)
{
	int value = 0;
	if (text->n < n) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (text->p[i] < '0' || text->p[i] > '9') {
			return false;
		}
		value = value * 10 + (text->p[i] - '0');
	}
	*text = slice_skip(*text, n);
	*ret = value;
	return true;
}

static bool take_byte(struct slice *text, uint8_t c)
{
	if (text->n == 0 || text->p[0] != c) {
		return false;
	}
	*text = slice_skip(*text, 1);
	return true;
}

/* A number of two digits in [0, max], behind a separator. */
static bool take_field(struct slice *text, uint8_t separator, int max, int *ret)
{
	return take_byte(text, separator) && take_digits(text, 2, ret) && *ret <= max;
}

/* What may stand behind the second: a point and one to nine digits. */
static bool take_fraction(struct slice *text, int64_t *ret_ms)
{
	int64_t ms = 0;
	int64_t unit = 100;
	int digit;
	if (!take_byte(text, '.')) {
		*ret_ms = 0;
		return true;
	}
	size_t n = 0;
	while (n <= 9 && take_digits(text, 1, &digit)) {
		ms += digit * unit;
		unit /= 10;
		n++;
	}
	*ret_ms = ms;
	return n >= 1 && n <= 9;
}

static bool take_zone(struct slice *text, int64_t *ret_seconds)
{
	int hours;
	int minutes;
	if (take_byte(text, 'Z')) {
		*ret_seconds = 0;
		return true;
	}
	bool west = text->n > 0 && text->p[0] == '-';
	if (!take_field(text, west ? '-' : '+', 23, &hours) ||
		!take_field(text, ':', 59, &minutes)) {
		return false;
	}
	*ret_seconds = (int64_t)(hours * 3600 + minutes * 60) * (west ? -1 : 1);
	return true;
}

bool form_read_date(struct slice text, int64_t *ret)
{
	struct tm tm = { 0 };
	int64_t fraction;
	int64_t zone;
	int year;
	bool ok = take_digits(&text, 4, &year) && take_field(&text, '-', 12, &tm.tm_mon) &&
		take_field(&text, '-', 31, &tm.tm_mday) &&
		take_field(&text, 'T', 23, &tm.tm_hour) && take_field(&text, ':', 59, &tm.tm_min) &&
		take_field(&text, ':', 59, &tm.tm_sec) && take_fraction(&text, &fraction) &&
		take_zone(&text, &zone) && text.n == 0;
	if (!ok || tm.tm_mon == 0 || tm.tm_mday == 0) {
		return false;
	}
	tm.tm_year = year - 1900;
	tm.tm_mon--;
	int day = tm.tm_mday;
	int64_t seconds = timegm(&tm);
	/* timegm() turns the 31st of April into the 1st of May. */
	if (tm.tm_mday != day) {
		return false;
	}
	*ret = (seconds - zone) * MS_PER_SECOND + fraction;
	return true;
}

static int64_t split_date(int64_t ms, int64_t *ret_ms)
{
	int64_t seconds = ms / MS_PER_SECOND;
	int64_t rest = ms % MS_PER_SECOND;
	if (rest < 0) {
		seconds--;
		rest += MS_PER_SECOND;
	}
	*ret_ms = rest;
	return seconds;
}

bool form_date_has_text(int64_t ms)
{
	/* 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z */
	return ms >= -62167219200000 && ms <= 253402300799999;
}

struct slice form_write_date(int64_t ms, char buffer[static FORM_DATE_SIZE])
{
	int64_t fraction;
	time_t seconds = (time_t)split_date(ms, &fraction);
	struct tm tm;
	/* Cannot fail: 64 bits of milliseconds are 292 million years, and the year is an int. */
	(void)gmtime_r(&seconds, &tm);
	int n = snprintf(buffer, FORM_DATE_SIZE,
		form_date_has_text(ms) ? "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ"
				       : "%+07d-%02d-%02dT%02d:%02d:%02d.%03dZ",
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		(int)fraction);
	return slice_of(buffer, (size_t)n);
}

bool form_read_oid(struct slice text, uint8_t ret[static 12])
{
	size_t n;
	return text.n == 24 &&
		sodium_hex2bin(ret, 12, (const char *)text.p, text.n, NULL, &n, NULL) == 0 &&
		n == 12;
}
