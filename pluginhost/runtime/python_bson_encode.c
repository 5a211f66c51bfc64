#include "common/proto/frame.h"
#include "pluginhost/runtime/python_bson.h"
#include "pluginhost/runtime/python_bson_format.h"
#include "pluginhost/runtime/python_path.h"

#include <datetime.h>
#include <errno.h>

struct encoder {
	const struct python_bson_types *types;
	struct buffer *out;
	struct python_path path;
};

/* All functions below: 0; -ENOBUFS; -1 with a Python exception. */
static int encode_value(struct encoder *e, struct slice key, PyObject *v);

static int invalid(struct encoder *e, const char *what, const char *type)
{
	char place[256];
	python_path_format(&e->path, place, sizeof(place));
	PyErr_Format(e->types->invalid_document, "%s: %s%.100s", place, what, type);
	return -1;
}

static int put(struct encoder *e, const void *p, size_t n)
{
	int r = buffer_append(e->out, slice_of(p, n));
	if (r == -ENOMEM) {
		PyErr_NoMemory();
		return -1;
	}
	return r;
}

/* Type byte, name, NUL. */
static int put_head(struct encoder *e, uint8_t type, struct slice key)
{
	int r = put(e, &type, 1);
	r = r < 0 ? r : put(e, key.p, key.n);
	return r < 0 ? r : put(e, "", 1);
}

static int put_head_and(struct encoder *e, uint8_t type, struct slice key, const void *p, size_t n)
{
	int r = put_head(e, type, key);
	return r < 0 ? r : put(e, p, n);
}

static int put_int64(struct encoder *e, uint8_t type, struct slice key, int64_t v)
{
	uint8_t bytes[8];
	put_u64(bytes, (uint64_t)v);
	return put_head_and(e, type, key, bytes, sizeof(bytes));
}

/* Text without NUL, as names and patterns need it; NUL included in what is written. */
static int put_cstring(struct encoder *e, PyObject *text)
{
	Py_ssize_t n;
	const char *p = PyUnicode_AsUTF8AndSize(text, &n);
	if (p == NULL) {
		return -1;
	}
	if (memchr(p, 0, (size_t)n) != NULL) {
		return invalid(e, "a regular expression must not contain a NUL character", "");
	}
	return put(e, p, (size_t)n + 1);
}

static int encode_string(struct encoder *e, struct slice key, PyObject *v)
{
	Py_ssize_t n;
	const char *p = PyUnicode_AsUTF8AndSize(v, &n);
	if (p == NULL) {
		return -1;
	}
	if ((size_t)n >= INT32_MAX) {
		return -ENOBUFS;
	}
	uint8_t size[4];
	put_u32(size, (uint32_t)n + 1);
	int r = put_head_and(e, TYPE_STRING, key, size, sizeof(size));
	return r < 0 ? r : put(e, p, (size_t)n + 1);
}

static int encode_int(struct encoder *e, struct slice key, PyObject *v)
{
	int overflow;
	long long n = PyLong_AsLongLongAndOverflow(v, &overflow);
	if (overflow != 0) {
		char place[256];
		python_path_format(&e->path, place, sizeof(place));
		PyErr_Format(PyExc_OverflowError,
			"%s: integers in the database have at most 64 bits", place);
		return -1;
	}
	bool wide = n < INT32_MIN || n > INT32_MAX ||
		(!PyLong_CheckExact(v) && PyObject_TypeCheck(v, (PyTypeObject *)e->types->int64));
	if (wide) {
		return put_int64(e, TYPE_INT64, key, n);
	}
	uint8_t bytes[4];
	put_u32(bytes, (uint32_t)(int32_t)n);
	return put_head_and(e, TYPE_INT32, key, bytes, sizeof(bytes));
}

static int encode_float(struct encoder *e, struct slice key, double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof(bits));
	return put_int64(e, TYPE_DOUBLE, key, (int64_t)bits);
}

static int encode_binary(struct encoder *e, struct slice key, PyObject *bytes, uint8_t subtype)
{
	Py_ssize_t n = PyBytes_GET_SIZE(bytes);
	if ((size_t)n >= INT32_MAX) {
		return -ENOBUFS;
	}
	uint8_t head[5];
	put_u32(head, (uint32_t)n);
	head[4] = subtype;
	int r = put_head_and(e, TYPE_BINARY, key, head, sizeof(head));
	return r < 0 ? r : put(e, PyBytes_AS_STRING(bytes), (size_t)n);
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar: years of 400-year eras that
 * start in March, so that the leap day is the last of its year. */
static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2 ? 1 : 0;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year =
		(153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * 146097 + day_of_era - 719468;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

/* The zone's offset in microseconds. */
static int utc_offset(PyObject *v, int64_t *ret_offset)
{
	*ret_offset = 0;
	if (PyDateTime_DATE_GET_TZINFO(v) == Py_None) {
		return 0;
	}
	PyObject *delta = PyObject_CallMethod(v, "utcoffset", NULL);
	if (delta == NULL) {
		return -1;
	}
	if (PyDelta_Check(delta)) {
		*ret_offset = ((int64_t)PyDateTime_DELTA_GET_DAYS(delta) * 86400 +
				      PyDateTime_DELTA_GET_SECONDS(delta)) *
				1000000 +
			PyDateTime_DELTA_GET_MICROSECONDS(delta);
	}
	Py_DECREF(delta);
	return 0;
}

static int encode_datetime(struct encoder *e, struct slice key, PyObject *v)
{
	int64_t offset;
	if (utc_offset(v, &offset) < 0) {
		return -1;
	}
	int64_t days = days_from_date(PyDateTime_GET_YEAR(v), (unsigned)PyDateTime_GET_MONTH(v),
		(unsigned)PyDateTime_GET_DAY(v));
	int seconds_of_day = PyDateTime_DATE_GET_HOUR(v) * 3600 +
		PyDateTime_DATE_GET_MINUTE(v) * 60 + PyDateTime_DATE_GET_SECOND(v);
	int64_t seconds = days * 86400 + seconds_of_day;
	int64_t micros = seconds * 1000000 + PyDateTime_DATE_GET_MICROSECOND(v) - offset;
	return put_int64(e, TYPE_DATE, key, floor_div(micros, 1000));
}

static int encode_object_id(struct encoder *e, struct slice key, PyObject *v)
{
	PyObject *descriptor = e->types->object_id_bytes;
	PyObject *bytes = Py_TYPE(descriptor)->tp_descr_get(descriptor, v, (PyObject *)Py_TYPE(v));
	if (bytes == NULL) {
		return -1;
	}
	int r;
	if (PyBytes_Check(bytes) && PyBytes_GET_SIZE(bytes) == OBJECT_ID_SIZE) {
		r = put_head_and(e, TYPE_OBJECT_ID, key, PyBytes_AS_STRING(bytes), OBJECT_ID_SIZE);
	} else {
		r = invalid(e, "a broken ObjectId", "");
	}
	Py_DECREF(bytes);
	return r;
}

/* An attribute that must be bytes; `size` 0: of any length. */
static PyObject *bytes_attribute(struct encoder *e, PyObject *v, const char *name, Py_ssize_t size)
{
	PyObject *bytes = PyObject_GetAttrString(v, name);
	if (bytes != NULL &&
		(!PyBytes_Check(bytes) || (size > 0 && PyBytes_GET_SIZE(bytes) != size))) {
		Py_CLEAR(bytes);
		invalid(e, "a broken ", Py_TYPE(v)->tp_name);
	}
	return bytes;
}

static int encode_uuid(struct encoder *e, struct slice key, PyObject *v)
{
	PyObject *bytes = bytes_attribute(e, v, "bytes", 16);
	if (bytes == NULL) {
		return -1;
	}
	int r = encode_binary(e, key, bytes, SUBTYPE_UUID);
	Py_DECREF(bytes);
	return r;
}

static int encode_decimal128(struct encoder *e, struct slice key, PyObject *v)
{
	PyObject *bytes = bytes_attribute(e, v, "bid", DECIMAL128_SIZE);
	if (bytes == NULL) {
		return -1;
	}
	int r = put_head_and(e, TYPE_DECIMAL128, key, PyBytes_AS_STRING(bytes), DECIMAL128_SIZE);
	Py_DECREF(bytes);
	return r;
}

static int long_attribute(PyObject *v, const char *name, long *ret_value)
{
	PyObject *o = PyObject_GetAttrString(v, name);
	if (o == NULL) {
		return -1;
	}
	*ret_value = PyLong_AsLong(o);
	Py_DECREF(o);
	return *ret_value == -1 && PyErr_Occurred() ? -1 : 0;
}

static int encode_timestamp(struct encoder *e, struct slice key, PyObject *v)
{
	long seconds;
	long increment;
	if (long_attribute(v, "time", &seconds) < 0 || long_attribute(v, "inc", &increment) < 0) {
		return -1;
	}
	uint64_t both = (uint64_t)(uint32_t)seconds << 32 | (uint32_t)increment;
	return put_int64(e, TYPE_TIMESTAMP, key, (int64_t)both);
}

static int encode_subtyped(struct encoder *e, struct slice key, PyObject *v)
{
	long subtype;
	if (long_attribute(v, "subtype", &subtype) < 0) {
		return -1;
	}
	return encode_binary(e, key, v, (uint8_t)subtype);
}

/* bson.Regex and re.Pattern have the same attributes. Of the flags only those that the database
 * knows are kept, in their alphabetical order; text is Unicode anyway. */
static int encode_regex(struct encoder *e, struct slice key, PyObject *v)
{
	/* re.I, re.M, re.S, re.X */
	static const struct {
		char letter;
		long bit;
	} flags[] = { { 'i', 2 }, { 'm', 8 }, { 's', 16 }, { 'x', 64 } };
	long bits;
	if (long_attribute(v, "flags", &bits) < 0) {
		return -1;
	}
	PyObject *pattern = PyObject_GetAttrString(v, "pattern");
	if (pattern != NULL && PyBytes_Check(pattern)) {
		Py_SETREF(pattern,
			PyUnicode_DecodeUTF8(
				PyBytes_AS_STRING(pattern), PyBytes_GET_SIZE(pattern), NULL));
	}
	if (pattern == NULL) {
		return -1;
	}
	char letters[8];
	size_t n = 0;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if ((bits & flags[i].bit) != 0) {
			letters[n++] = flags[i].letter;
		}
	}
	letters[n++] = 0;
	int r = put_head(e, TYPE_REGEX, key);
	r = r < 0 ? r : put_cstring(e, pattern);
	Py_DECREF(pattern);
	return r < 0 ? r : put(e, letters, n);
}

static int enter(struct encoder *e, PyObject *container)
{
	switch (python_path_enter(&e->path, container)) {
	case PYTHON_PATH_OK:
		return 0;
	case PYTHON_PATH_CYCLE:
		return invalid(e, "a circular structure cannot be stored", "");
	case PYTHON_PATH_DEEP:
		break;
	}
	return invalid(e, "more than 64 levels of nesting", "");
}

/* Reserves the length of a document; finish() writes it. */
static int begin(struct encoder *e, size_t *ret_start)
{
	*ret_start = e->out->n;
	return put(e, "\0\0\0\0", 4);
}

static int finish(struct encoder *e, size_t start)
{
	int r = put(e, "", 1);
	if (r < 0) {
		return r;
	}
	size_t size = e->out->n - start;
	if (size > INT32_MAX) {
		return -ENOBUFS;
	}
	put_u32(e->out->p + start, (uint32_t)size);
	return 0;
}

static int encode_member(struct encoder *e, PyObject *key, PyObject *value)
{
	struct python_level *here = python_path_here(&e->path);
	here->key = NULL;
	if (!PyUnicode_Check(key)) {
		return invalid(e, "names must be text, not ", Py_TYPE(key)->tp_name);
	}
	Py_ssize_t n;
	const char *name = PyUnicode_AsUTF8AndSize(key, &n);
	if (name == NULL) {
		return -1;
	}
	here->key = key;
	if (memchr(name, 0, (size_t)n) != NULL) {
		return invalid(e, "names must not contain a NUL character", "");
	}
	return encode_value(e, slice_of(name, (size_t)n), value);
}

static int encode_dict_members(struct encoder *e, PyObject *v)
{
	Py_ssize_t position = 0;
	PyObject *key;
	PyObject *value;
	int r = 0;
	while (r == 0 && PyDict_Next(v, &position, &key, &value)) {
		Py_INCREF(key);
		Py_INCREF(value);
		r = encode_member(e, key, value);
		Py_DECREF(key);
		Py_DECREF(value);
	}
	return r;
}

static int encode_mapping_members(struct encoder *e, PyObject *v)
{
	PyObject *items = PyMapping_Items(v);
	if (items == NULL) {
		return -1;
	}
	int r = 0;
	for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(items); i++) {
		PyObject *item = PyList_GET_ITEM(items, i);
		if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
			r = invalid(e, "items() gave no pairs on ", Py_TYPE(v)->tp_name);
		} else {
			r = encode_member(e, PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1));
		}
	}
	Py_DECREF(items);
	return r;
}

static int encode_document(struct encoder *e, PyObject *v)
{
	size_t start;
	int r = enter(e, v);
	r = r < 0 ? r : begin(e, &start);
	if (r == 0) {
		r = PyDict_CheckExact(v) ? encode_dict_members(e, v) : encode_mapping_members(e, v);
	}
	if (r < 0) {
		return r;
	}
	python_path_leave(&e->path);
	return finish(e, start);
}

static int encode_items(struct encoder *e, PyObject *v)
{
	struct python_level *here = python_path_here(&e->path);
	int r = 0;
	for (here->index = 0; r == 0 && here->index < PySequence_Fast_GET_SIZE(v); here->index++) {
		char digits[24];
		int n = PyOS_snprintf(digits, sizeof(digits), "%zd", here->index);
		PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(v, here->index));
		r = encode_value(e, slice_of(digits, (size_t)n), item);
		Py_DECREF(item);
	}
	return r;
}

static int encode_array(struct encoder *e, struct slice key, PyObject *v)
{
	size_t start;
	int r = enter(e, v);
	r = r < 0 ? r : put_head(e, TYPE_ARRAY, key);
	r = r < 0 ? r : begin(e, &start);
	r = r < 0 ? r : encode_items(e, v);
	if (r < 0) {
		return r;
	}
	python_path_leave(&e->path);
	return finish(e, start);
}

static int encode_embedded(struct encoder *e, struct slice key, PyObject *v)
{
	int r = put_head(e, TYPE_DOCUMENT, key);
	return r < 0 ? r : encode_document(e, v);
}

static int encode_dbref(struct encoder *e, struct slice key, PyObject *v)
{
	PyObject *document = PyObject_CallMethod(v, "as_doc", NULL);
	if (document == NULL) {
		return -1;
	}
	int r = encode_embedded(e, key, document);
	Py_DECREF(document);
	return r;
}

static int encode_min_key(struct encoder *e, struct slice key, PyObject *v)
{
	return put_head(e, TYPE_MIN_KEY, key);
}

static int encode_max_key(struct encoder *e, struct slice key, PyObject *v)
{
	return put_head(e, TYPE_MAX_KEY, key);
}

static bool is_mapping(PyObject *v)
{
	PyObject *abc = PyImport_ImportModule("collections.abc");
	PyObject *mapping = abc == NULL ? NULL : PyObject_GetAttrString(abc, "Mapping");
	int is = mapping == NULL ? -1 : PyObject_IsInstance(v, mapping);
	Py_XDECREF(abc);
	Py_XDECREF(mapping);
	PyErr_Clear();
	return is > 0;
}

/* The types that are rarer than plain JSON and dates. */
static int encode_rare(struct encoder *e, struct slice key, PyObject *v)
{
	const struct python_bson_types *t = e->types;
	const struct {
		PyObject *class;
		int (*encode)(struct encoder *, struct slice, PyObject *);
	} rows[] = {
		{ t->binary, encode_subtyped }, /* before bytes, whose subclass it is */
		{ t->uuid, encode_uuid },
		{ t->decimal128, encode_decimal128 },
		{ t->regex, encode_regex },
		{ t->pattern, encode_regex },
		{ t->timestamp, encode_timestamp },
		{ t->min_key, encode_min_key },
		{ t->max_key, encode_max_key },
		{ t->dbref, encode_dbref },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (PyObject_TypeCheck(v, (PyTypeObject *)rows[i].class)) {
			return rows[i].encode(e, key, v);
		}
	}
	if (PyBytes_Check(v)) {
		return encode_binary(e, key, v, SUBTYPE_GENERIC);
	}
	if (is_mapping(v)) {
		return encode_embedded(e, key, v);
	}
	return invalid(e, "cannot be stored: a value of type ", Py_TYPE(v)->tp_name);
}

static int encode_value(struct encoder *e, struct slice key, PyObject *v)
{
	if (PyUnicode_Check(v)) {
		return encode_string(e, key, v);
	}
	if (PyDict_Check(v)) {
		return encode_embedded(e, key, v);
	}
	if (PyList_Check(v) || PyTuple_Check(v)) {
		return encode_array(e, key, v);
	}
	if (v == Py_None) {
		return put_head(e, TYPE_NULL, key);
	}
	if (PyBool_Check(v)) {
		return put_head_and(e, TYPE_BOOL, key, v == Py_True ? "\1" : "\0", 1);
	}
	if (PyLong_Check(v)) {
		return encode_int(e, key, v);
	}
	if (PyFloat_Check(v)) {
		return encode_float(e, key, PyFloat_AS_DOUBLE(v));
	}
	if (PyDateTime_Check(v)) {
		return encode_datetime(e, key, v);
	}
	if (PyObject_TypeCheck(v, (PyTypeObject *)e->types->object_id)) {
		return encode_object_id(e, key, v);
	}
	return encode_rare(e, key, v);
}

int python_bson_encode(
	const struct python_bson_types *t, struct buffer *out, PyObject *document, const char *root)
{
	if (PyDateTimeAPI == NULL) {
		PyDateTime_IMPORT;
		if (PyDateTimeAPI == NULL) {
			return -1;
		}
	}
	struct encoder e;
	e.types = t;
	e.out = out;
	python_path_init(&e.path, root);
	if (!PyDict_Check(document) && !is_mapping(document)) {
		PyErr_Format(PyExc_TypeError, "%s must be a mapping such as dict, not %.100s", root,
			Py_TYPE(document)->tp_name);
		return -1;
	}
	return encode_document(&e, document);
}
