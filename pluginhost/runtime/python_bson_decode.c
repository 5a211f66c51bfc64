#include "common/json/scan.h"
#include "common/proto/frame.h"
#include "pluginhost/runtime/python_bson.h"
#include "pluginhost/runtime/python_bson_format.h"

#include <datetime.h>

/* The bytes come from the director, which has checked them; lengths are checked here all the same,
 * since memory safety must not hang on another process. */

enum {
	DOCUMENT_MIN = 5, /* length and closing NUL */
	/* Documents in the database may be nested a little deeper than a plugin may send them. */
	DEPTH_MAX = JSON_DEPTH_MAX + 36,
};

struct decoder {
	const struct python_bson_types *types;
	unsigned depth;
};

static PyObject *decode_document(struct decoder *d, struct slice *in, bool array);

static PyObject *broken(const struct decoder *d, const char *what)
{
	PyErr_Format(d->types->invalid_bson, "a broken document: %s", what);
	return NULL;
}

static bool take(struct decoder *d, struct slice *in, size_t n, struct slice *ret)
{
	if (in->n < n) {
		broken(d, "it is cut short");
		return false;
	}
	*ret = slice_of(in->p, n);
	*in = slice_skip(*in, n);
	return true;
}

/* Up to and without the NUL. */
static bool take_cstring(struct decoder *d, struct slice *in, struct slice *ret)
{
	const uint8_t *end = in->n == 0 ? NULL : memchr(in->p, 0, in->n);
	if (end == NULL) {
		broken(d, "a name does not end");
		return false;
	}
	*ret = slice_of(in->p, (size_t)(end - in->p));
	*in = slice_skip(*in, ret->n + 1);
	return true;
}

static PyObject *text(struct slice s)
{
	return PyUnicode_DecodeUTF8((const char *)s.p, (Py_ssize_t)s.n, NULL);
}

static PyObject *bytes(struct slice s)
{
	return PyBytes_FromStringAndSize((const char *)s.p, (Py_ssize_t)s.n);
}

/* Calls `class` with one argument and takes the reference to it. */
static PyObject *made(PyObject *class, PyObject *argument)
{
	if (argument == NULL) {
		return NULL;
	}
	PyObject *v = PyObject_CallOneArg(class, argument);
	Py_DECREF(argument);
	return v;
}

static PyObject *decode_double(struct decoder *d, struct slice *in)
{
	struct slice s;
	if (!take(d, in, 8, &s)) {
		return NULL;
	}
	uint64_t bits = get_u64(s.p);
	double v;
	memcpy(&v, &bits, sizeof(v));
	return PyFloat_FromDouble(v);
}

static PyObject *decode_string(struct decoder *d, struct slice *in)
{
	struct slice s;
	if (!take(d, in, 4, &s)) {
		return NULL;
	}
	size_t n = get_u32(s.p);
	if (n == 0) {
		return broken(d, "a text has no end");
	}
	if (!take(d, in, n, &s)) {
		return NULL;
	}
	return text(slice_of(s.p, n - 1));
}

/* {"$ref", "$id"[, "$db"], …} is a DBRef, as the bson package has it. */
static PyObject *made_reference(struct decoder *d, PyObject *document)
{
	PyObject *ref = PyDict_GetItemString(document, "$ref");
	PyObject *id = PyDict_GetItemString(document, "$id");
	PyObject *db = PyDict_GetItemString(document, "$db");
	if (ref == NULL || id == NULL || !PyUnicode_Check(ref) ||
		(db != NULL && db != Py_None && !PyUnicode_Check(db))) {
		return document;
	}
	PyObject *rest = PyDict_Copy(document);
	PyObject *reference = NULL;
	if (rest != NULL && PyDict_DelItemString(rest, "$ref") == 0 &&
		PyDict_DelItemString(rest, "$id") == 0 &&
		(db == NULL || PyDict_DelItemString(rest, "$db") == 0)) {
		reference = PyObject_CallFunctionObjArgs(
			d->types->dbref, ref, id, db == NULL ? Py_None : db, rest, NULL);
	}
	Py_XDECREF(rest);
	Py_DECREF(document);
	return reference;
}

static PyObject *decode_embedded(struct decoder *d, struct slice *in)
{
	/* The first name stands behind the length and its type. */
	bool may_be_reference = in->n > 6 && in->p[5] == '$';
	PyObject *document = decode_document(d, in, false);
	return document != NULL && may_be_reference ? made_reference(d, document) : document;
}

static PyObject *decode_array(struct decoder *d, struct slice *in)
{
	return decode_document(d, in, true);
}

static PyObject *decode_binary(struct decoder *d, struct slice *in)
{
	struct slice s;
	if (!take(d, in, 5, &s)) {
		return NULL;
	}
	size_t n = get_u32(s.p);
	uint8_t subtype = s.p[4];
	if (!take(d, in, n, &s)) {
		return NULL;
	}
	PyObject *v = bytes(s);
	if (v == NULL || subtype == SUBTYPE_GENERIC) {
		return v;
	}
	if (subtype == SUBTYPE_UUID && n == 16) {
		PyObject *uuid = PyObject_CallFunctionObjArgs(d->types->uuid, Py_None, v, NULL);
		Py_DECREF(v);
		return uuid;
	}
	PyObject *binary = PyObject_CallFunction(d->types->binary, "Oi", v, (int)subtype);
	Py_DECREF(v);
	return binary;
}

/* Without the constructor, which is Python code and looks at every way to make an ObjectId. */
static PyObject *decode_object_id(struct decoder *d, struct slice *in)
{
	struct slice s;
	if (!take(d, in, OBJECT_ID_SIZE, &s)) {
		return NULL;
	}
	PyTypeObject *class = (PyTypeObject *)d->types->object_id;
	PyObject *descriptor = d->types->object_id_bytes;
	PyObject *v = class->tp_alloc(class, 0);
	PyObject *id = bytes(s);
	if (v != NULL && (id == NULL || Py_TYPE(descriptor)->tp_descr_set(descriptor, v, id) < 0)) {
		Py_CLEAR(v);
	}
	Py_XDECREF(id);
	return v;
}

static PyObject *decode_bool(struct decoder *d, struct slice *in)
{
	struct slice s;
	return take(d, in, 1, &s) ? PyBool_FromLong(s.p[0]) : NULL;
}

/* The date of a day since 1970-01-01; the inverse of the encoder's days_from_date(). */
static void date_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t day_of_era = days - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int month = (int)((5 * day_of_year + 2) / 153);
	*ret_day = (int)(day_of_year - (153 * month + 2) / 5) + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = year_of_era + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

static PyObject *decode_datetime(struct decoder *d, struct slice *in)
{
	/* Milliseconds of 0001-01-01 and of the end of 9999-12-31: what datetime can hold. */
	const int64_t first = -62135596800000;
	const int64_t last = 253402300799999;
	const int64_t day = 86400000;
	struct slice s;
	if (!take(d, in, 8, &s)) {
		return NULL;
	}
	int64_t millis = (int64_t)get_u64(s.p);
	if (millis < first || millis > last) {
		return broken(d, "a date outside the years 1 to 9999");
	}
	int64_t rest = (millis % day + day) % day;
	int64_t year;
	int month;
	int month_day;
	date_from_days((millis - rest) / day, &year, &month, &month_day);
	return PyDateTime_FromDateAndTime((int)year, month, month_day, (int)(rest / 3600000),
		(int)(rest / 60000 % 60), (int)(rest / 1000 % 60), (int)(rest % 1000) * 1000);
}

static PyObject *decode_null(struct decoder *d, struct slice *in)
{
	Py_RETURN_NONE;
}

static PyObject *decode_regex(struct decoder *d, struct slice *in)
{
	struct slice pattern;
	struct slice flags;
	if (!take_cstring(d, in, &pattern) || !take_cstring(d, in, &flags)) {
		return NULL;
	}
	PyObject *p = text(pattern);
	PyObject *f = text(flags);
	PyObject *v = p == NULL || f == NULL
		? NULL
		: PyObject_CallFunctionObjArgs(d->types->regex, p, f, NULL);
	Py_XDECREF(p);
	Py_XDECREF(f);
	return v;
}

static PyObject *decode_int32(struct decoder *d, struct slice *in)
{
	struct slice s;
	return take(d, in, 4, &s) ? PyLong_FromLong((int32_t)get_u32(s.p)) : NULL;
}

static PyObject *decode_timestamp(struct decoder *d, struct slice *in)
{
	struct slice s;
	if (!take(d, in, 8, &s)) {
		return NULL;
	}
	return PyObject_CallFunction(
		d->types->timestamp, "II", (unsigned)get_u32(s.p + 4), (unsigned)get_u32(s.p));
}

static PyObject *decode_int64(struct decoder *d, struct slice *in)
{
	struct slice s;
	if (!take(d, in, 8, &s)) {
		return NULL;
	}
	return made(d->types->int64, PyLong_FromLongLong((int64_t)get_u64(s.p)));
}

static PyObject *decode_decimal128(struct decoder *d, struct slice *in)
{
	struct slice s;
	if (!take(d, in, DECIMAL128_SIZE, &s)) {
		return NULL;
	}
	return PyObject_CallMethod(
		d->types->decimal128, "from_bid", "y#", (const char *)s.p, (Py_ssize_t)s.n);
}

static PyObject *decode_min_key(struct decoder *d, struct slice *in)
{
	return PyObject_CallNoArgs(d->types->min_key);
}

static PyObject *decode_max_key(struct decoder *d, struct slice *in)
{
	return PyObject_CallNoArgs(d->types->max_key);
}

typedef PyObject *(*decode_fn)(struct decoder *d, struct slice *in);

static const decode_fn decoders[256] = {
	[TYPE_DOUBLE] = decode_double,
	[TYPE_STRING] = decode_string,
	[TYPE_DOCUMENT] = decode_embedded,
	[TYPE_ARRAY] = decode_array,
	[TYPE_BINARY] = decode_binary,
	[TYPE_OBJECT_ID] = decode_object_id,
	[TYPE_BOOL] = decode_bool,
	[TYPE_DATE] = decode_datetime,
	[TYPE_NULL] = decode_null,
	[TYPE_REGEX] = decode_regex,
	[TYPE_INT32] = decode_int32,
	[TYPE_TIMESTAMP] = decode_timestamp,
	[TYPE_INT64] = decode_int64,
	[TYPE_DECIMAL128] = decode_decimal128,
	[TYPE_MIN_KEY] = decode_min_key,
	[TYPE_MAX_KEY] = decode_max_key,
};

/* One element into `container`. */
static int decode_element(struct decoder *d, struct slice *in, PyObject *container, bool array)
{
	uint8_t type = in->p[0];
	*in = slice_skip(*in, 1);
	struct slice name;
	if (!take_cstring(d, in, &name)) {
		return -1;
	}
	if (decoders[type] == NULL) {
		broken(d, "a type that plugins do not get");
		return -1;
	}
	PyObject *value = decoders[type](d, in);
	if (value == NULL) {
		return -1;
	}
	int r;
	if (array) {
		r = PyList_Append(container, value);
	} else {
		PyObject *key = text(name);
		/* Names repeat in every document: interned, later look-ups compare pointers. */
		if (key != NULL) {
			PyUnicode_InternInPlace(&key);
		}
		r = key == NULL ? -1 : PyDict_SetItem(container, key, value);
		Py_XDECREF(key);
	}
	Py_DECREF(value);
	return r;
}

static PyObject *decode_document(struct decoder *d, struct slice *in, bool array)
{
	if (in->n < DOCUMENT_MIN || get_u32(in->p) < DOCUMENT_MIN || get_u32(in->p) > in->n) {
		return broken(d, "its length is wrong");
	}
	if (d->depth == DEPTH_MAX) {
		return broken(d, "more than 100 levels of nesting");
	}
	struct slice body = slice_of(in->p + 4, get_u32(in->p) - DOCUMENT_MIN);
	*in = slice_skip(*in, body.n + DOCUMENT_MIN);
	PyObject *container = array ? PyList_New(0) : PyDict_New();
	d->depth++;
	while (container != NULL && body.n > 0) {
		if (decode_element(d, &body, container, array) < 0) {
			Py_CLEAR(container);
		}
	}
	d->depth--;
	return container;
}

PyObject *python_bson_decode(const struct python_bson_types *t, struct slice *bytes)
{
	if (PyDateTimeAPI == NULL) {
		PyDateTime_IMPORT;
		if (PyDateTimeAPI == NULL) {
			return NULL;
		}
	}
	struct decoder d = { .types = t };
	return decode_document(&d, bytes, false);
}
