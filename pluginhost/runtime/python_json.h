/*
 * Python objects -> JSON text, as execute() answers and capability arguments need it: one pass into
 * a buffer, without intermediate Python objects.
 *
 * str, int, float, bool, None, dict, list, tuple and their subclasses as json.dumps() writes them
 * (non-ASCII text stays UTF-8); ObjectId, Decimal128 and UUID as str() gives them; datetime, date
 * and time as isoformat(). Refused, with the path to the value: NaN and infinities, circular
 * structures, more than JSON_DEPTH_MAX levels, lone surrogates, every other type.
 *
 * The depth bounds the recursion, the buffer's limit bounds size and time (an object that is
 * referred to many times cannot grow without bound). Holding the GIL.
 */
#pragma once

#include "common/base/buffer.h"
#include "pluginhost/runtime/python_api.h"

/* Types that are written by calling a method of theirs; filled by python_json_types_init(). */
struct python_json_types {
	PyObject *by_str;       /* tuple of classes */
	PyObject *by_isoformat; /* tuple of classes */
	PyObject *isoformat;    /* the interned name */
};

/** Imports datetime, uuid and bson. @return 0, or -1 with a Python exception. */
int python_json_types_init(struct python_json_types *t);
void python_json_types_deinit(struct python_json_types *t);

enum python_json_result {
	PYTHON_JSON_OK = 0,
	/* Not JSON; `why` says what and where. */
	PYTHON_JSON_REFUSED = 1,
	/* The buffer's limit is reached. */
	PYTHON_JSON_TOO_LARGE = 2,
};

enum { PYTHON_JSON_WHY_MAX = 512 };

/**
 * Appends `value` to `out`; what was appended stays there when it fails.
 * @param root how the message calls the value, e.g. "result".
 * @param why the reason when it is refused, UTF-8, NUL-terminated.
 * @return PYTHON_JSON_* or -ENOMEM. No Python exception is left behind.
 */
int python_json_write(const struct python_json_types *types,
	struct buffer *out,
	PyObject *value,
	const char *root,
	char why[static PYTHON_JSON_WHY_MAX]);
