/* BSON -> JSON: a stack of libbson's iterators, which take no memory and check every length. */
#include "common/json/bson_check.h"
#include "common/json/bson_json.h"
#include "common/json/forms.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>

struct level {
	bson_iter_t iter;
	bool array;
	bool any; /* something was written: a comma is next */
};

struct writer {
	struct buffer *out;
	bool extended;
	unsigned depth;
	struct level levels[BSON_DEPTH_MAX];
};

static int put(struct writer *w, struct slice s)
{
	return buffer_append(w->out, s);
}

static int put_string(struct writer *w, const char *p, size_t n)
{
	return buffer_append_json(w->out, slice_of(p, n));
}

static int put_int64(struct writer *w, int64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRId64, value);
	return put(w, slice_of(text, (size_t)n));
}

/* `open`, the text as a string, `close`: {"$oid":"…"} or "…" alone. */
static int put_form(struct writer *w, struct slice open, struct slice text, struct slice close)
{
	int r = w->extended ? put(w, open) : 0;
	r = r < 0 ? r : buffer_append_json(w->out, text);
	return r < 0 || !w->extended ? r : put(w, close);
}

static int put_long(struct writer *w, int64_t value)
{
	int r = w->extended ? put(w, SLICE("{\"$numberLong\":\"")) : 0;
	r = r < 0 ? r : put_int64(w, value);
	return r < 0 || !w->extended ? r : put(w, SLICE("\"}"));
}

static int put_double(struct writer *w, double value)
{
	char text[FORM_DOUBLE_SIZE];
	return isfinite(value) ? put(w, form_write_double(value, text)) : -EDOM;
}

static int put_oid(struct writer *w, const bson_oid_t *oid)
{
	char hex[25];
	bson_oid_to_string(oid, hex);
	return put_form(w, SLICE("{\"$oid\":"), slice_of(hex, 24), SLICE("}"));
}

static int put_date(struct writer *w, int64_t ms)
{
	char text[FORM_DATE_SIZE];
	if (!w->extended || form_date_has_text(ms)) {
		return put_form(w, SLICE("{\"$date\":"), form_write_date(ms, text), SLICE("}"));
	}
	int r = put(w, SLICE("{\"$date\":"));
	r = r < 0 ? r : put_long(w, ms);
	return r < 0 ? r : put(w, SLICE("}"));
}

static int put_decimal(struct writer *w, const bson_iter_t *iter)
{
	bson_decimal128_t value;
	char text[BSON_DECIMAL128_STRING];
	if (!bson_iter_decimal128(iter, &value)) {
		return -EBADMSG;
	}
	bson_decimal128_to_string(&value, text);
	return put_form(w, SLICE("{\"$numberDecimal\":"), slice_str(text), SLICE("}"));
}

static int put_binary(struct writer *w, const bson_iter_t *iter)
{
	bson_subtype_t subtype;
	uint32_t n;
	const uint8_t *p;
	bson_iter_binary(iter, &subtype, &n, &p);
	int r = put(w, w->extended ? SLICE("{\"$binary\":{\"base64\":\"") : SLICE("\""));
	/* The size counts a NUL, which is overwritten by what follows. */
	size_t size = sodium_base64_encoded_len(n, sodium_base64_VARIANT_ORIGINAL);
	r = r < 0 ? r : buffer_reserve(w->out, size);
	if (r < 0) {
		return r;
	}
	(void)sodium_bin2base64(
		(char *)w->out->p + w->out->n, size, p, n, sodium_base64_VARIANT_ORIGINAL);
	w->out->n += size - 1;
	return w->extended ? buffer_printf(w->out, "\",\"subType\":\"%02x\"}}", (unsigned)subtype)
			   : put(w, SLICE("\""));
}

static int put_regex(struct writer *w, const bson_iter_t *iter)
{
	const char *options;
	const char *pattern = bson_iter_regex(iter, &options);
	if (!w->extended) {
		return put_string(w, pattern, strlen(pattern));
	}
	int r = put(w, SLICE("{\"$regularExpression\":{\"pattern\":"));
	r = r < 0 ? r : put_string(w, pattern, strlen(pattern));
	r = r < 0 ? r : put(w, SLICE(",\"options\":"));
	r = r < 0 ? r : put_string(w, options, strlen(options));
	return r < 0 ? r : put(w, SLICE("}}"));
}

static int put_timestamp(struct writer *w, const bson_iter_t *iter)
{
	uint32_t seconds;
	uint32_t increment;
	char text[FORM_DATE_SIZE];
	bson_iter_timestamp(iter, &seconds, &increment);
	if (!w->extended) {
		return buffer_append_json(w->out, form_write_date((int64_t)seconds * 1000, text));
	}
	return buffer_printf(w->out, "{\"$timestamp\":{\"t\":%" PRIu32 ",\"i\":%" PRIu32 "}}",
		seconds, increment);
}

/* What no worker may send, but an old database may hold: always plain. */
static int put_refused(struct writer *w, const bson_iter_t *iter)
{
	uint32_t n = 0;
	uint32_t ignored_n;
	const uint8_t *ignored;
	const char *text;
	const bson_oid_t *oid;
	char hex[25];
	bson_type_t type = bson_iter_type(iter);
	if (type == BSON_TYPE_UNDEFINED) {
		return put(w, SLICE("null"));
	}
	if (type == BSON_TYPE_DBPOINTER) {
		bson_iter_dbpointer(iter, &n, &text, &oid);
		bson_oid_to_string(oid, hex);
		return put_string(w, hex, 24);
	}
	text = type == BSON_TYPE_CODE      ? bson_iter_code(iter, &n)
		: type == BSON_TYPE_SYMBOL ? bson_iter_symbol(iter, &n)
		: type == BSON_TYPE_CODEWSCOPE
		? bson_iter_codewscope(iter, &n, &ignored_n, &ignored)
		: NULL;
	return text == NULL ? -EBADMSG : put_string(w, text, n);
}

static int open_level(struct writer *w, const bson_iter_t *parent, bool array)
{
	if (w->depth == BSON_DEPTH_MAX) {
		return -EBADMSG;
	}
	struct level *level = &w->levels[w->depth];
	if (!bson_iter_recurse(parent, &level->iter)) {
		return -EBADMSG;
	}
	level->array = array;
	level->any = false;
	w->depth++;
	return buffer_append_byte(w->out, array ? '[' : '{');
}

static int put_value(struct writer *w, const bson_iter_t *iter)
{
	uint32_t n;
	const char *text;
	bson_type_t type = bson_iter_type(iter);
	switch (type) {
	case BSON_TYPE_DOUBLE:
		return put_double(w, bson_iter_double(iter));
	case BSON_TYPE_UTF8:
		text = bson_iter_utf8(iter, &n);
		return put_string(w, text, n);
	case BSON_TYPE_DOCUMENT:
	case BSON_TYPE_ARRAY:
		return open_level(w, iter, type == BSON_TYPE_ARRAY);
	case BSON_TYPE_BINARY:
		return put_binary(w, iter);
	case BSON_TYPE_OID:
		return put_oid(w, bson_iter_oid(iter));
	case BSON_TYPE_BOOL:
		return put(w, bson_iter_bool(iter) ? SLICE("true") : SLICE("false"));
	case BSON_TYPE_DATE_TIME:
		return put_date(w, bson_iter_date_time(iter));
	case BSON_TYPE_NULL:
		return put(w, SLICE("null"));
	case BSON_TYPE_REGEX:
		return put_regex(w, iter);
	case BSON_TYPE_INT32:
		return put_int64(w, bson_iter_int32(iter));
	case BSON_TYPE_TIMESTAMP:
		return put_timestamp(w, iter);
	case BSON_TYPE_INT64:
		return put_long(w, bson_iter_int64(iter));
	case BSON_TYPE_DECIMAL128:
		return put_decimal(w, iter);
	case BSON_TYPE_MAXKEY:
		return put(w, w->extended ? SLICE("{\"$maxKey\":1}") : SLICE("\"MaxKey\""));
	case BSON_TYPE_MINKEY:
		return put(w, w->extended ? SLICE("{\"$minKey\":1}") : SLICE("\"MinKey\""));
	case BSON_TYPE_EOD:
	case BSON_TYPE_UNDEFINED:
	case BSON_TYPE_DBPOINTER:
	case BSON_TYPE_CODE:
	case BSON_TYPE_SYMBOL:
	case BSON_TYPE_CODEWSCOPE:
		break;
	}
	return put_refused(w, iter);
}

static int put_element(struct writer *w)
{
	struct level *level = &w->levels[w->depth - 1];
	if (!bson_iter_next(&level->iter)) {
		w->depth--;
		return level->iter.err_off != 0
			? -EBADMSG
			: buffer_append_byte(w->out, level->array ? ']' : '}');
	}
	int r = level->any ? buffer_append_byte(w->out, ',') : 0;
	level->any = true;
	if (!level->array) {
		r = r < 0 ? r
			  : put_string(w, bson_iter_key(&level->iter),
				    bson_iter_key_len(&level->iter));
		r = r < 0 ? r : buffer_append_byte(w->out, ':');
	}
	return r < 0 ? r : put_value(w, &level->iter);
}

int bson_to_json(struct slice document, int flags, struct buffer *out)
{
	struct writer w;
	size_t before = out->n;
	w.out = out;
	w.extended = (flags & JSON_BSON_EXTENDED) != 0;
	w.depth = 1;
	w.levels[0].array = false;
	w.levels[0].any = false;
	/* libbson aborts when there is no pointer. */
	if (document.n == 0 ||
		!bson_iter_init_from_data(&w.levels[0].iter, document.p, document.n)) {
		return -EBADMSG;
	}
	int r = buffer_append_byte(out, '{');
	while (r == 0 && w.depth > 0) {
		r = put_element(&w);
	}
	if (r < 0) {
		out->n = before;
	}
	return r;
}
