#include "pluginhost/runtime/python_module.h"

#include "common/base/log.h"
#include "common/proto/capabilities.h"
#include "pluginhost/runtime/python_state.h"

#include <stdio.h>

static struct python_state *state_of(PyObject *module)
{
	return PyModule_GetState(module);
}

struct python_state *python_state_get(void)
{
	PyObject *module = PyImport_ImportModule("_mozaiks");
	struct python_state *s = module == NULL ? NULL : state_of(module);
	Py_XDECREF(module); /* sys.modules keeps it */
	return s;
}

PyObject *python_hook(struct python_state *s, const char *name, PyObject *argument)
{
	PyObject *hook = s->hooks == NULL ? NULL : PyDict_GetItemString(s->hooks, name);
	if (hook == NULL) {
		PyErr_Format(PyExc_RuntimeError, "no hook %s", name);
		return NULL;
	}
	return PyObject_CallOneArg(hook, argument);
}

void python_unexpected(struct python_state *s, const char *where)
{
	(void)fprintf(stderr, "python runtime: %s\n", where);
	if (PyErr_Occurred()) {
		PyErr_WriteUnraisable(NULL);
	}
}

struct buffer *python_scratch_get(struct python_state *s, struct buffer *own, size_t limit)
{
	struct buffer *b = own;
	if (!s->scratch_used) {
		s->scratch_used = true;
		b = &s->scratch;
		b->n = 0;
		b->limit = limit;
	} else {
		buffer_init(b, limit);
	}
	return b;
}

void python_scratch_put(struct python_state *s, struct buffer *b)
{
	if (b != &s->scratch) {
		buffer_deinit(b);
		return;
	}
	s->scratch_used = false;
	if (b->cap > PYTHON_SCRATCH_KEEP) {
		buffer_deinit(b);
	}
}

/* ---- what our Python code calls ---- */

static PyObject *setup(PyObject *module, PyObject *args)
{
	struct python_state *s = state_of(module);
	PyObject *loop;
	PyObject *context;
	PyObject *hooks;
	if (!PyArg_ParseTuple(
		    args, "OO!O!", &loop, &PyContext_Type, &context, &PyDict_Type, &hooks)) {
		return NULL;
	}
	Py_XSETREF(s->loop, Py_NewRef(loop));
	Py_XSETREF(s->base_context, Py_NewRef(context));
	Py_XSETREF(s->hooks, Py_NewRef(hooks));
	s->thread = PyThread_get_thread_ident();
	Py_RETURN_NONE;
}

static PyObject *configure(PyObject *module, PyObject *args)
{
	struct python_state *s = state_of(module);
	Py_ssize_t concurrency;
	Py_ssize_t max_response;
	Py_ssize_t requests_per_call;
	Py_ssize_t requests_max;
	if (!PyArg_ParseTuple(
		    args, "nnnn", &concurrency, &max_response, &requests_per_call, &requests_max)) {
		return NULL;
	}
	if (concurrency < 1 || max_response < 1 || requests_per_call < 1 || requests_max < 1) {
		PyErr_SetString(PyExc_ValueError, "limits must be positive");
		return NULL;
	}
	s->concurrency = (size_t)concurrency;
	s->requests_per_call = (size_t)requests_per_call;
	s->requests_max = (size_t)requests_max;
	s->max_response = (size_t)max_response;
	Py_RETURN_NONE;
}

static PyObject *set_entry(PyObject *module, PyObject *args)
{
	struct python_state *s = state_of(module);
	int type;
	PyObject *function;
	int async;
	if (!PyArg_ParseTuple(args, "iOp", &type, &function, &async)) {
		return NULL;
	}
	struct python_entry *entry =
		type == 0 ? &s->socket_entry : &s->entries[type & MSG_TYPE_MAX];
	if (type != MSG_EXECUTE && type != MSG_EVENT && type != 0) {
		PyErr_SetString(PyExc_ValueError, "no work of that type");
		return NULL;
	}
	Py_XSETREF(entry->function, function == Py_None ? NULL : Py_NewRef(function));
	entry->async = async != 0;
	Py_RETURN_NONE;
}

static PyObject *ready(PyObject *module, PyObject *args)
{
	struct python_state *s = state_of(module);
	int ok;
	const char *info;
	Py_ssize_t n;
	if (!PyArg_ParseTuple(args, "py#", &ok, &info, &n)) {
		return NULL;
	}
	struct msg_ready m = { .ok = ok != 0, .info = slice_of(info, (size_t)n) };
	int e = channel_end(&s->channel,
		msg_ready_append(channel_begin(&s->channel), &(struct frame){ 0 }, &m));
	if (e < 0) {
		PyErr_SetString(PyExc_ValueError,
			"what READY says is longer than 64 KiB (the names of subscriptions)");
		return NULL;
	}
	Py_RETURN_NONE;
}

static PyObject *on_readable(PyObject *module, PyObject *unused)
{
	python_on_readable(state_of(module));
	Py_RETURN_NONE;
}

static PyObject *flush(PyObject *module, PyObject *unused)
{
	return PyBool_FromLong(python_flush(state_of(module)));
}

static PyObject *request(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
	return python_request(state_of(module), args, n);
}

static PyObject *current(PyObject *module, PyObject *unused)
{
	struct python_info *info = python_current(state_of(module));
	return Py_NewRef(info == NULL ? Py_None : (PyObject *)info);
}

static PyObject *stream(PyObject *module, PyObject *unused)
{
	return python_stream_current(state_of(module));
}

static PyObject *live(PyObject *module, PyObject *unused)
{
	struct python_state *s = state_of(module);
	return PyLong_FromSize_t((size_t)PyDict_GET_SIZE(s->calls) + s->n_waiting);
}

static PyObject *pending(PyObject *module, PyObject *unused)
{
	struct python_state *s = state_of(module);
	return PyLong_FromSize_t(channel_pending(&s->channel) + s->held_bytes);
}

static PyObject *get_fileno(PyObject *module, PyObject *unused)
{
	return PyLong_FromLong(state_of(module)->channel.fd);
}

static PyObject *encode_bson(PyObject *module, PyObject *document)
{
	struct python_state *s = state_of(module);
	struct buffer own;
	struct buffer *b = python_scratch_get(s, &own, INT32_MAX);
	int e = python_bson_encode(&s->bson, b, document, "document");
	PyObject *r =
		e < 0 ? NULL : PyBytes_FromStringAndSize((const char *)b->p, (Py_ssize_t)b->n);
	python_scratch_put(s, b);
	if (e < 0 && !PyErr_Occurred()) {
		PyErr_NoMemory();
	}
	return r;
}

static PyObject *decode_bson(PyObject *module, PyObject *bytes)
{
	struct python_state *s = state_of(module);
	if (!PyBytes_Check(bytes)) {
		PyErr_SetString(PyExc_TypeError, "decode_bson(bytes)");
		return NULL;
	}
	struct slice in = slice_of(PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
	PyObject *document = python_bson_decode(&s->bson, &in);
	if (document != NULL && in.n > 0) {
		Py_CLEAR(document);
		PyErr_SetString(s->bson.invalid_bson, "bytes after the document");
	}
	return document;
}

static PyObject *encode_json(PyObject *module, PyObject *value)
{
	struct python_state *s = state_of(module);
	char why[PYTHON_JSON_WHY_MAX];
	struct buffer own;
	struct buffer *b = python_scratch_get(s, &own, INT32_MAX);
	int e = python_json_write(&s->json, b, value, "value", why);
	PyObject *r =
		e != 0 ? NULL : PyBytes_FromStringAndSize((const char *)b->p, (Py_ssize_t)b->n);
	python_scratch_put(s, b);
	if (e == PYTHON_JSON_REFUSED) {
		PyErr_SetString(PyExc_ValueError, why);
	} else if (e != 0) {
		PyErr_NoMemory();
	}
	return r;
}

/* The start of `s` that fits `max` bytes, whole characters only. */
static struct slice cut_utf8(struct slice s, size_t max)
{
	if (s.n <= max) {
		return s;
	}
	while (max > 0 && (s.p[max] & 0xc0) == 0x80) {
		max--;
	}
	return slice_of(s.p, max);
}

static int append_log(struct python_state *s, int level, struct slice logger, struct slice message)
{
	enum { LOGGER_MAX = 128 };
	struct python_info *info = python_current(s);
	struct frame head = { .call_id = info == NULL ? 0 : info->id };
	struct msg_log m = { .level = (uint8_t)level,
		.logger = cut_utf8(logger, LOGGER_MAX),
		.message = cut_utf8(message, PYTHON_LOG_MAX) };
	return channel_end(&s->channel, msg_log_append(channel_begin(&s->channel), &head, &m));
}

/* log(level, logger, message) -> whether there was room. */
static PyObject *log_record(PyObject *module, PyObject *args)
{
	struct python_state *s = state_of(module);
	int level;
	const char *logger;
	const char *message;
	Py_ssize_t n_logger;
	Py_ssize_t n_message;
	if (!PyArg_ParseTuple(args, "is#s#", &level, &logger, &n_logger, &message, &n_message)) {
		return NULL;
	}
	if (!s->open || channel_pending(&s->channel) > PYTHON_LOG_WATER) {
		s->logs_dropped++;
		Py_RETURN_FALSE;
	}
	if (s->logs_dropped > 0) {
		char text[96];
		int n = snprintf(text, sizeof(text),
			"%llu log records were dropped: 2 MiB wait "
			"for the director",
			(unsigned long long)s->logs_dropped);
		s->logs_dropped = 0;
		(void)append_log(s, LOG_WARNING, SLICE("mozaiks.log"), slice_of(text, (size_t)n));
	}
	if (append_log(s, level, slice_of(logger, (size_t)n_logger),
		    slice_of(message, (size_t)n_message)) < 0) {
		s->logs_dropped++;
		Py_RETURN_FALSE;
	}
	python_wake(s);
	Py_RETURN_TRUE;
}

static PyMethodDef methods[] = {
	{ "setup", setup, METH_VARARGS,
		"Takes the loop, the context that calls copy, and the hooks." },
	{ "configure", configure, METH_VARARGS,
		"Sets the limits that CONFIGURE brought: configure(concurrency, max_response, "
		"requests_per_call, requests_max)." },
	{ "set_entry", set_entry, METH_VARARGS, "Sets what runs for a type of work." },
	{ "ready", ready, METH_VARARGS, "Sends READY." },
	{ "on_readable", on_readable, METH_NOARGS, "Reads the channel and works on its frames." },
	{ "flush", flush, METH_NOARGS, "Writes what there is. True when the loop must not wait." },
	{ "request", PYTHON_METHOD(request), METH_FASTCALL,
		"Asks for a capability: request(code, kind, arguments, waiter)." },
	{ "current", current, METH_NOARGS, "The call this code belongs to, or None." },
	{ "stream", stream, METH_NOARGS, "The stream of the call this code belongs to." },
	{ "live", live, METH_NOARGS, "Calls that are suspended, queued or waiting." },
	{ "pending", pending, METH_NOARGS, "Bytes that wait to be written." },
	{ "fileno", get_fileno, METH_NOARGS, "The channel's descriptor." },
	{ "encode_bson", encode_bson, METH_O, "A mapping as BSON." },
	{ "decode_bson", decode_bson, METH_O, "BSON as a dict." },
	{ "encode_json", encode_json, METH_O, "A value as JSON, as results are written." },
	{ "log", log_record, METH_VARARGS, "Sends a log record: log(level, logger, message)." },
	{ NULL },
};

/* ---- the module ---- */

static int import_into(PyObject **ret, const char *module_name, const char *name)
{
	PyObject *module = PyImport_ImportModule(module_name);
	*ret = module == NULL ? NULL : PyObject_GetAttrString(module, name);
	Py_XDECREF(module);
	return *ret == NULL ? -1 : 0;
}

static int init_scanner(struct python_state *s)
{
	PyObject *class;
	if (import_into(&class, "json.decoder", "JSONDecoder") < 0) {
		return -1;
	}
	PyObject *decoder = PyObject_CallNoArgs(class);
	s->scan_once = decoder == NULL ? NULL : PyObject_GetAttrString(decoder, "scan_once");
	Py_DECREF(class);
	Py_XDECREF(decoder);
	return s->scan_once == NULL ? -1 : 0;
}

static int init_objects(struct python_state *s)
{
	s->call_var = PyContextVar_New("mozaiks_call", Py_None);
	s->zero = PyLong_FromLong(0);
	s->calls = PyDict_New();
	s->requests = PyDict_New();
	s->streams = PyDict_New();
	if (s->call_var == NULL || s->zero == NULL || s->calls == NULL || s->requests == NULL ||
		s->streams == NULL) {
		return -1;
	}
	if (import_into(&s->current_tasks, "_asyncio", "_current_tasks") < 0 ||
		import_into(&s->cancelled_error, "asyncio", "CancelledError") < 0) {
		return -1;
	}
	if (!PyDict_CheckExact(s->current_tasks)) {
		PyErr_SetString(PyExc_ImportError, "_asyncio is not the one we know");
		return -1;
	}
	return init_scanner(s);
}

static int init_types(PyObject *module, struct python_state *s)
{
	s->info_type = python_info_type_new(module);
	s->call_type = python_call_type_new(module);
	s->step_type = python_step_type_new(module);
	s->job_type = python_job_type_new(module);
	s->stream_type = python_stream_type_new(module);
	if (s->info_type == NULL || s->call_type == NULL || s->step_type == NULL ||
		s->job_type == NULL || s->stream_type == NULL) {
		return -1;
	}
	s->task_type = s->call_type->tp_base;
	return PyModule_AddObjectRef(module, "Call", (PyObject *)s->call_type);
}

/* The numbers that our Python code shares with the director. */
static int init_constants(PyObject *module)
{
	static const struct {
		const char *name;
		long value;
	} constants[] = {
#define CAPABILITY_CONSTANT(symbol, code, name, permission) { #symbol, (code) },
		CAPABILITIES(CAPABILITY_CONSTANT)
#undef CAPABILITY_CONSTANT
			{ "EXECUTE", MSG_EXECUTE },
		{ "EVENT", MSG_EVENT },
		{ "SOCKET", 0 },
		{ "HEAD_VALUE", HEAD_VALUE },
		{ "DATA_LAST", DATA_LAST },
		{ "DATA_MORE", DATA_MORE },
		{ "DATA_TEXT", DATA_TEXT },
		{ "PIECE_MAX", STREAM_PIECE_MAX },
		{ "LOG_MAX", PYTHON_LOG_MAX },
		{ "CONCURRENCY_DEFAULT", PYTHON_CONCURRENCY_DEFAULT },
		{ "RESPONSE_DEFAULT", PYTHON_RESPONSE_DEFAULT },
		{ "REQUESTS_PER_CALL_DEFAULT", PYTHON_REQUESTS_PER_CALL_DEFAULT },
		{ "REQUESTS_DEFAULT", PYTHON_REQUESTS_DEFAULT },
		{ "LOG_ERROR", LOG_ERROR },
		{ "LOG_WARNING", LOG_WARNING },
		{ "LOG_INFO", LOG_INFO },
		{ "LOG_DEBUG", LOG_DEBUG },
	};
	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0) {
			return -1;
		}
	}
	return 0;
}

PyObject *python_module_init(void)
{
	static PyModuleDef definition = {
		PyModuleDef_HEAD_INIT,
		.m_name = "_mozaiks",
		.m_doc = "The worker's channel to the director. Use the packages above it.",
		.m_size = sizeof(struct python_state),
		.m_methods = methods,
	};
	PyObject *module = PyModule_Create(&definition);
	if (module == NULL) {
		return NULL;
	}
	struct python_state *s = state_of(module);
	s->concurrency = PYTHON_CONCURRENCY_DEFAULT;
	s->max_response = PYTHON_RESPONSE_DEFAULT;
	s->requests_per_call = PYTHON_REQUESTS_PER_CALL_DEFAULT;
	s->requests_max = PYTHON_REQUESTS_DEFAULT;
	if (python_json_types_init(&s->json) < 0 || python_bson_types_init(&s->bson) < 0 ||
		init_objects(s) < 0 || init_types(module, s) < 0 || init_constants(module) < 0) {
		Py_DECREF(module);
		return NULL;
	}
	return module;
}
