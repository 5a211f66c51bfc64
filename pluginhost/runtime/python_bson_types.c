#include "pluginhost/runtime/python_bson.h"

#include <stddef.h>

static const struct {
	const char *module;
	const char *name;
	size_t offset;
} classes[] = {
	{ "bson.objectid", "ObjectId", offsetof(struct python_bson_types, object_id) },
	{ "bson.binary", "Binary", offsetof(struct python_bson_types, binary) },
	{ "bson.decimal128", "Decimal128", offsetof(struct python_bson_types, decimal128) },
	{ "bson.int64", "Int64", offsetof(struct python_bson_types, int64) },
	{ "bson.regex", "Regex", offsetof(struct python_bson_types, regex) },
	{ "re", "Pattern", offsetof(struct python_bson_types, pattern) },
	{ "bson.timestamp", "Timestamp", offsetof(struct python_bson_types, timestamp) },
	{ "bson.min_key", "MinKey", offsetof(struct python_bson_types, min_key) },
	{ "bson.max_key", "MaxKey", offsetof(struct python_bson_types, max_key) },
	{ "bson.dbref", "DBRef", offsetof(struct python_bson_types, dbref) },
	{ "uuid", "UUID", offsetof(struct python_bson_types, uuid) },
	{ "bson.errors", "InvalidDocument", offsetof(struct python_bson_types, invalid_document) },
	{ "bson.errors", "InvalidBSON", offsetof(struct python_bson_types, invalid_bson) },
};

static PyObject **member(struct python_bson_types *t, size_t i)
{
	return (PyObject **)(void *)((char *)t + classes[i].offset);
}

int python_bson_types_init(struct python_bson_types *t)
{
	*t = (struct python_bson_types){ 0 };
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		PyObject *module = PyImport_ImportModule(classes[i].module);
		if (module == NULL) {
			return -1;
		}
		*member(t, i) = PyObject_GetAttrString(module, classes[i].name);
		Py_DECREF(module);
		if (*member(t, i) == NULL) {
			return -1;
		}
	}
	/* __slots__ = ("__id",): reading it costs a tenth of the property `binary`, writing it lets
	 * us skip the constructor. */
	t->object_id_bytes = PyObject_GetAttrString(t->object_id, "_ObjectId__id");
	if (t->object_id_bytes == NULL) {
		return -1;
	}
	if (Py_TYPE(t->object_id_bytes)->tp_descr_get == NULL ||
		Py_TYPE(t->object_id_bytes)->tp_descr_set == NULL) {
		PyErr_SetString(PyExc_ImportError, "bson.ObjectId is not the one we know");
		return -1;
	}
	return 0;
}

void python_bson_types_deinit(struct python_bson_types *t)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		Py_CLEAR(*member(t, i));
	}
	Py_CLEAR(t->object_id_bytes);
}
