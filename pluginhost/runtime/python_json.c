#include "pluginhost/runtime/python_json.h"

#include "pluginhost/runtime/python_path.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

struct writer {
	const struct python_json_types *types;
	struct buffer *out;
	struct python_path path;
	char *why;
};

static int write_value(struct writer *w, PyObject *v);

int python_json_types_init(struct python_json_types *t)
{
	*t = (struct python_json_types){ 0 };
	PyObject *datetime = PyImport_ImportModule("datetime");
	PyObject *uuid = PyImport_ImportModule("uuid");
	PyObject *objectid = PyImport_ImportModule("bson.objectid");
	PyObject *decimal = PyImport_ImportModule("bson.decimal128");
	if (datetime != NULL && uuid != NULL && objectid != NULL && decimal != NULL) {
		t->by_str = Py_BuildValue("(NNN)", PyObject_GetAttrString(objectid, "ObjectId"),
			PyObject_GetAttrString(decimal, "Decimal128"),
			PyObject_GetAttrString(uuid, "UUID"));
		t->by_isoformat = Py_BuildValue("(NN)", PyObject_GetAttrString(datetime, "date"),
			PyObject_GetAttrString(datetime, "time"));
		t->isoformat = PyUnicode_InternFromString("isoformat");
	}
	Py_XDECREF(datetime);
	Py_XDECREF(uuid);
	Py_XDECREF(objectid);
	Py_XDECREF(decimal);
	return t->by_str != NULL && t->by_isoformat != NULL && t->isoformat != NULL ? 0 : -1;
}

void python_json_types_deinit(struct python_json_types *t)
{
	Py_CLEAR(t->by_str);
	Py_CLEAR(t->by_isoformat);
	Py_CLEAR(t->isoformat);
}

static int refuse(struct writer *w, const char *what, const char *type)
{
	/* Half of the room for the path: what is wrong must not fall off its end. */
	size_t n = python_path_format(&w->path, w->why, PYTHON_JSON_WHY_MAX / 2);
	(void)snprintf(w->why + n, PYTHON_JSON_WHY_MAX - n, ": %s%.100s", what, type);
	PyErr_Clear();
	return PYTHON_JSON_REFUSED;
}

static int put(struct writer *w, const void *p, size_t n)
{
	int e = buffer_append(w->out, slice_of(p, n));
	return e == -ENOBUFS ? PYTHON_JSON_TOO_LARGE : e;
}

static int put_byte(struct writer *w, char c)
{
	if (__builtin_expect(w->out->n < w->out->cap, 1)) {
		w->out->p[w->out->n++] = (uint8_t)c;
		return 0;
	}
	return put(w, &c, 1);
}

/* True when none of eight ASCII bytes needs an escape. May say false needlessly, never true. */
static bool word_is_plain(const uint8_t *p)
{
	const uint64_t ones = 0x0101010101010101U;
	const uint64_t tops = 0x8080808080808080U;
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	uint64_t quote = v ^ (ones * '"');
	uint64_t slash = v ^ (ones * '\\');
	uint64_t odd = (v - ones * 0x20) | (quote - ones) | (slash - ones) | v;
	return (odd & tops) == 0;
}

/* Writes one code point, escaped where JSON wants it. `p` has room for 6 bytes. */
static uint8_t *put_code_point(uint8_t *p, Py_UCS4 c)
{
	static const char hex[] = "0123456789abcdef";
	static const char shorts[32] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
	};
	if (c == '"' || c == '\\') {
		*p++ = '\\';
		*p++ = (uint8_t)c;
	} else if (c < 0x20 && shorts[c] != 0) {
		*p++ = '\\';
		*p++ = (uint8_t)shorts[c];
	} else if (c < 0x20) {
		p[0] = '\\';
		p[1] = 'u';
		p[2] = '0';
		p[3] = '0';
		p[4] = (uint8_t)hex[c >> 4];
		p[5] = (uint8_t)hex[c & 15];
		p += 6;
	} else if (c < 0x80) {
		*p++ = (uint8_t)c;
	} else if (c < 0x800) {
		*p++ = (uint8_t)(0xc0 | c >> 6);
		*p++ = (uint8_t)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*p++ = (uint8_t)(0xe0 | c >> 12);
		*p++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		*p++ = (uint8_t)(0x80 | (c & 0x3f));
	} else {
		*p++ = (uint8_t)(0xf0 | c >> 18);
		*p++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
		*p++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		*p++ = (uint8_t)(0x80 | (c & 0x3f));
	}
	return p;
}

/* How many bytes of ASCII text need no escape. */
static size_t plain_prefix(const uint8_t *s, size_t n)
{
	size_t i = 0;
	while (i + 8 <= n && word_is_plain(s + i)) {
		i += 8;
	}
	while (i < n && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\') {
		i++;
	}
	return i;
}

static int write_ascii(struct writer *w, const uint8_t *s, size_t n)
{
	size_t i = 0;
	while (i < n) {
		size_t plain = plain_prefix(s + i, n - i);
		int e = put(w, s + i, plain);
		i += plain;
		if (e == 0 && i < n) {
			uint8_t escape[6];
			e = put(w, escape, (size_t)(put_code_point(escape, s[i]) - escape));
			i++;
		}
		if (e != 0) {
			return e;
		}
	}
	return 0;
}

static int write_unicode(struct writer *w, PyObject *s)
{
	/* In pieces, so that room is taken for what is there and not for the worst case. */
	enum { PIECE = 128 };
	Py_ssize_t n = PyUnicode_GET_LENGTH(s);
	int kind = (int)PyUnicode_KIND(s);
	const void *data = PyUnicode_DATA(s);
	for (Py_ssize_t i = 0; i < n;) {
		uint8_t piece[PIECE * 6];
		uint8_t *p = piece;
		Py_ssize_t end = n - i > PIECE ? i + PIECE : n;
		for (; i < end; i++) {
			Py_UCS4 c = PyUnicode_READ(kind, data, i);
			if (Py_UNICODE_IS_SURROGATE(c)) {
				return refuse(w, "text with a lone surrogate is not JSON", "");
			}
			p = put_code_point(p, c);
		}
		int e = put(w, piece, (size_t)(p - piece));
		if (e != 0) {
			return e;
		}
	}
	return 0;
}

static int write_string(struct writer *w, PyObject *s)
{
	if (PyUnicode_READY(s) < 0) {
		PyErr_Clear();
		return -ENOMEM;
	}
	int e = put_byte(w, '"');
	if (e == 0 && PyUnicode_IS_ASCII(s)) {
		e = write_ascii(w, PyUnicode_DATA(s), (size_t)PyUnicode_GET_LENGTH(s));
	} else if (e == 0) {
		e = write_unicode(w, s);
	}
	return e == 0 ? put_byte(w, '"') : e;
}

/* Text that Python made of a number: plain ASCII, no quotes. Takes the reference. */
static int write_number_text(struct writer *w, PyObject *text)
{
	if (text == NULL) {
		return refuse(w, "an integer with too many digits", "");
	}
	int e = put(w, PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
	Py_DECREF(text);
	return e;
}

static int write_int(struct writer *w, PyObject *v)
{
	int overflow;
	long long n = PyLong_AsLongLongAndOverflow(v, &overflow);
	if (overflow != 0) {
		return write_number_text(w, PyLong_Type.tp_repr(v));
	}
	char digits[24];
	char *end = digits + sizeof(digits);
	char *p = end;
	unsigned long long u = n < 0 ? 0ULL - (unsigned long long)n : (unsigned long long)n;
	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u != 0);
	if (n < 0) {
		*--p = '-';
	}
	return put(w, p, (size_t)(end - p));
}

static int write_float(struct writer *w, PyObject *v)
{
	double d = PyFloat_AS_DOUBLE(v);
	if (!isfinite(d)) {
		return refuse(w, isnan(d) ? "NaN" : "an infinity", " is not JSON");
	}
	char *text = PyOS_double_to_string(d, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
	if (text == NULL) {
		PyErr_Clear();
		return -ENOMEM;
	}
	int e = put(w, text, strlen(text));
	PyMem_Free(text);
	return e;
}

/* Goes one level down; from here on the path names `container`'s members. */
static int enter(struct writer *w, PyObject *container)
{
	switch (python_path_enter(&w->path, container)) {
	case PYTHON_PATH_OK:
		return 0;
	case PYTHON_PATH_CYCLE:
		return refuse(w, "a circular structure is not JSON", "");
	case PYTHON_PATH_DEEP:
		break;
	}
	return refuse(w, "more than 64 levels of nesting", "");
}

static int write_items(struct writer *w, PyObject *v)
{
	struct python_level *l = python_path_here(&w->path);
	int e = 0;
	/* The size is looked at each time: a method of a value may change the list. */
	for (l->index = 0; e == 0 && l->index < PySequence_Fast_GET_SIZE(v); l->index++) {
		PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(v, l->index));
		e = l->index > 0 ? put_byte(w, ',') : 0;
		e = e == 0 ? write_value(w, item) : e;
		Py_DECREF(item);
	}
	return e;
}

static int write_sequence(struct writer *w, PyObject *v)
{
	int e = enter(w, v);
	e = e == 0 ? put_byte(w, '[') : e;
	e = e == 0 ? write_items(w, v) : e;
	if (e != 0) {
		return e;
	}
	python_path_leave(&w->path);
	return put_byte(w, ']');
}

/* Keys as json.dumps() makes them. */
static int write_key(struct writer *w, PyObject *key)
{
	if (PyUnicode_Check(key)) {
		return write_string(w, key);
	}
	if (!PyLong_Check(key) && !PyFloat_Check(key) && key != Py_None) {
		return refuse(w, "keys must be text, not ", Py_TYPE(key)->tp_name);
	}
	int e = put_byte(w, '"');
	e = e == 0 ? write_value(w, key) : e;
	return e == 0 ? put_byte(w, '"') : e;
}

static int write_member(struct writer *w, PyObject *key, PyObject *value, bool first)
{
	python_path_here(&w->path)->key = NULL;
	int e = first ? 0 : put_byte(w, ',');
	e = e == 0 ? write_key(w, key) : e;
	e = e == 0 ? put_byte(w, ':') : e;
	if (e == 0) {
		python_path_here(&w->path)->key = PyUnicode_Check(key) ? key : NULL;
		e = write_value(w, value);
	}
	return e;
}

static int write_exact_dict(struct writer *w, PyObject *v)
{
	Py_ssize_t position = 0;
	PyObject *key;
	PyObject *value;
	bool first = true;
	int e = 0;
	while (e == 0 && PyDict_Next(v, &position, &key, &value)) {
		Py_INCREF(key);
		Py_INCREF(value);
		e = write_member(w, key, value, first);
		first = false;
		/* On failure the path has been written already: no borrowed key is looked at again. */
		Py_DECREF(key);
		Py_DECREF(value);
	}
	return e;
}

/* OrderedDict and others keep an order of their own, which items() knows. */
static int write_mapping(struct writer *w, PyObject *v)
{
	PyObject *items = PyMapping_Items(v);
	if (items == NULL) {
		return refuse(w, "items() failed on ", Py_TYPE(v)->tp_name);
	}
	int e = 0;
	for (Py_ssize_t i = 0; e == 0 && i < PyList_GET_SIZE(items); i++) {
		PyObject *item = PyList_GET_ITEM(items, i);
		if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
			e = refuse(w, "items() gave no pairs on ", Py_TYPE(v)->tp_name);
		} else {
			e = write_member(
				w, PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1), i == 0);
		}
	}
	Py_DECREF(items);
	return e;
}

static int write_dict(struct writer *w, PyObject *v)
{
	int e = enter(w, v);
	e = e == 0 ? put_byte(w, '{') : e;
	if (e == 0) {
		e = PyDict_CheckExact(v) ? write_exact_dict(w, v) : write_mapping(w, v);
	}
	if (e != 0) {
		return e;
	}
	python_path_leave(&w->path);
	return put_byte(w, '}');
}

/* Takes the reference; NULL means that the method raised. */
static int write_made_text(struct writer *w, PyObject *text, PyObject *v)
{
	if (text == NULL || !PyUnicode_Check(text)) {
		Py_XDECREF(text);
		return refuse(w, "no text could be made of a ", Py_TYPE(v)->tp_name);
	}
	int e = write_string(w, text);
	Py_DECREF(text);
	return e;
}

static int write_other(struct writer *w, PyObject *v)
{
	int by_str = PyObject_IsInstance(v, w->types->by_str);
	if (by_str > 0) {
		return write_made_text(w, PyObject_Str(v), v);
	}
	int by_isoformat = by_str < 0 ? -1 : PyObject_IsInstance(v, w->types->by_isoformat);
	if (by_isoformat > 0) {
		return write_made_text(w, PyObject_CallMethodNoArgs(v, w->types->isoformat), v);
	}
	return refuse(w, "not JSON: a value of type ", Py_TYPE(v)->tp_name);
}

static int write_value(struct writer *w, PyObject *v)
{
	if (PyUnicode_Check(v)) {
		return write_string(w, v);
	}
	if (PyDict_Check(v)) {
		return write_dict(w, v);
	}
	if (PyList_Check(v) || PyTuple_Check(v)) {
		return write_sequence(w, v);
	}
	if (v == Py_None) {
		return put(w, "null", 4);
	}
	if (PyBool_Check(v)) {
		return v == Py_True ? put(w, "true", 4) : put(w, "false", 5);
	}
	if (PyLong_Check(v)) {
		return write_int(w, v);
	}
	if (PyFloat_Check(v)) {
		return write_float(w, v);
	}
	return write_other(w, v);
}

int python_json_write(const struct python_json_types *types,
	struct buffer *out,
	PyObject *value,
	const char *root,
	char why[static PYTHON_JSON_WHY_MAX])
{
	struct writer w;
	w.types = types;
	w.out = out;
	w.why = why;
	python_path_init(&w.path, root);
	return write_value(&w, value);
}
