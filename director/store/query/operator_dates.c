/* Dates: all in UTC. */
#include "director/store/query/calendar.h"
#include "director/store/query/operators.h"

#include <errno.h>

const struct slice operator_iso_format = { (const uint8_t *)"%Y-%m-%dT%H:%M:%S.%LZ", 21 };

struct value operator_date_part(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	struct calendar c;
	if (operator_is_nothing(v[0])) {
		return operator_make_null();
	}
	if (v[0].type != BT_DATE) {
		return operator_refuse(x, op, "a date", v[0]);
	}
	calendar_of(value_int64(v[0]), &c);
	const int64_t parts[] = {
		[0] = c.year,
		[V_MONTH - V_YEAR] = c.month,
		[V_DAY - V_YEAR] = c.day,
		[V_HOUR - V_YEAR] = c.hour,
		[V_MINUTE - V_YEAR] = c.minute,
		[V_SECOND - V_YEAR] = c.second,
		[V_MILLISECOND - V_YEAR] = c.millisecond,
		[V_DAY_OF_WEEK - V_YEAR] = c.day_of_week,
		[V_DAY_OF_YEAR - V_YEAR] = c.day_of_year,
	};
	return operator_make_int(x, parts[op->variant - V_YEAR]);
}

/* One %x of a format. @return 0; -EINVAL: not known; errors of the buffer. */
static int format_one(struct buffer *b, uint8_t c, const struct calendar *d)
{
	switch (c) {
	case 'Y':
		return buffer_printf(b, "%04lld", (long long)d->year);
	case 'm':
		return buffer_printf(b, "%02d", d->month);
	case 'd':
		return buffer_printf(b, "%02d", d->day);
	case 'H':
		return buffer_printf(b, "%02d", d->hour);
	case 'M':
		return buffer_printf(b, "%02d", d->minute);
	case 'S':
		return buffer_printf(b, "%02d", d->second);
	case 'L':
		return buffer_printf(b, "%03d", d->millisecond);
	case 'j':
		return buffer_printf(b, "%03d", d->day_of_year);
	case 'w':
		return buffer_printf(b, "%d", d->day_of_week);
	case 'z':
		return buffer_append(b, SLICE("+0000"));
	case 'Z':
		return buffer_append(b, SLICE("+000"));
	case '%':
		return buffer_append_byte(b, '%');
	default:
		return -EINVAL;
	}
}

static int format_date(struct buffer *b, struct slice format, int64_t ms)
{
	struct calendar c;
	int r = 0;
	calendar_of(ms, &c);
	for (size_t i = 0; i < format.n && r == 0; i++) {
		if (format.p[i] != '%') {
			r = buffer_append_byte(b, format.p[i]);
		} else if (++i < format.n) {
			r = format_one(b, format.p[i], &c);
		} else {
			r = -EINVAL;
		}
	}
	return r;
}

struct value operator_date_text(
	struct evaluation *x, operator_ref op, struct slice format, struct value date)
{
	struct buffer b;
	struct value result = VALUE_MISSING;
	buffer_init(&b, x->arena->limit);
	int r = format_date(&b, format, value_int64(date));
	if (r == -EINVAL) {
		(void)operator_refuse(
			x, op, "a format of %Y %m %d %H %M %S %L %j %w %z and %%", VALUE_MISSING);
	} else if (r < 0) {
		x->error = r;
	} else {
		result = arena_string(x->arena, buffer_slice(&b));
	}
	buffer_deinit(&b);
	return result;
}

/* {date: …, format: …, onNull: …, timezone: …}: only UTC. */
struct value operator_date_to_string(
	struct evaluation *x, operator_ref op, const struct value *v, unsigned n)
{
	if (v[3].type == BT_STRING && !slice_eq(value_string(v[3]), SLICE("UTC")) &&
		!slice_eq(value_string(v[3]), SLICE("GMT"))) {
		return operator_refuse(x, op, "UTC as its timezone", v[3]);
	}
	if (operator_is_nothing(v[0])) {
		return v[2].type == BT_MISSING ? operator_make_null() : v[2];
	}
	if (v[0].type != BT_DATE) {
		return operator_refuse(x, op, "a date", v[0]);
	}
	if (v[1].type != BT_MISSING && v[1].type != BT_STRING) {
		return operator_refuse(x, op, "a format that is a string", v[1]);
	}
	return operator_date_text(
		x, op, v[1].type == BT_STRING ? value_string(v[1]) : operator_iso_format, v[0]);
}
