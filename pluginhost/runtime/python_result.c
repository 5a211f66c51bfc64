#include "pluginhost/runtime/python_state.h"

/* Room for every body that we word ourselves but the description of an exception. */
enum { SMALL_BODY_MAX = 4096 };

/* Body of a RESULT in scratch memory: the outcome byte comes first. */
static struct buffer *body_begin(struct python_state *s,
	struct buffer *own,
	size_t limit,
	size_t reserve,
	enum result_outcome outcome)
{
	struct buffer *b = python_scratch_get(s, own, limit);
	if (buffer_reserve(b, reserve) < 0) {
		python_end(WORKER_EXIT_RUNTIME, "no memory for a result");
	}
	b->p[b->n++] = (uint8_t)outcome;
	return b;
}

static struct buffer *small_begin(
	struct python_state *s, struct buffer *own, enum result_outcome outcome)
{
	return body_begin(s, own, FRAME_PAYLOAD_MAX, SMALL_BODY_MAX, outcome);
}

static void send(struct python_state *s, struct python_info *info, uint64_t id, struct buffer *body)
{
	if (PyDict_GET_SIZE(s->streams) > 0) {
		python_stream_end(s, id);
	}
	struct frame f = { .type = MSG_RESULT, .call_id = id, .payload = buffer_slice(body) };
	python_send(s, info, &f);
	python_scratch_put(s, body);
}

static void finish(struct python_state *s, struct python_info *info, struct buffer *body)
{
	info->ended = true;
	if (info->requests > 0) {
		python_request_abandon(s, info);
	}
	send(s, info, info->id, body);
}

void python_result_empty(
	struct python_state *s, struct python_info *info, enum result_outcome outcome)
{
	struct buffer own;
	finish(s, info, small_begin(s, &own, outcome));
}

/* Into the room that small_begin() has made. */
static void append_text(struct buffer *b, const char *name, const char *value)
{
	(void)buffer_append(b, slice_str(name));
	(void)buffer_append_json(b, slice_str(value));
}

/* {"message": why} */
static void result_unserialisable(struct python_state *s, struct python_info *info, const char *why)
{
	struct buffer own;
	struct buffer *b = small_begin(s, &own, RESULT_UNSERIALISABLE);
	append_text(b, "{\"message\":", why);
	(void)buffer_append_byte(b, '}');
	finish(s, info, b);
}

/* {"size","limit"}; the size is where the writer stopped. */
static void result_too_large(struct python_state *s, struct python_info *info, size_t size)
{
	struct buffer own;
	struct buffer *b = small_begin(s, &own, RESULT_TOO_LARGE);
	size_t n = size > s->max_response ? size : s->max_response + 1;
	/* "a result of at least `size` bytes" */
	(void)buffer_printf(b, "{\"size\":%zu,\"limit\":%zu}", n, s->max_response);
	finish(s, info, b);
}

static void result_no_memory(struct python_state *s, struct python_info *info)
{
	PyErr_NoMemory();
	python_result_exception(s, info);
}

/* What is sent in pieces: an async generator, a cursor, a response that has an iterator. The types that
 * most calls return are told apart first. */
static bool is_stream(PyObject *v)
{
	const PyTypeObject *type = Py_TYPE(v);
	if (type == &PyDict_Type || type == &PyList_Type || type == &PyUnicode_Type ||
		v == Py_None || type == &PyLong_Type || type == &PyBool_Type ||
		type == &PyFloat_Type || type == &PyTuple_Type) {
		return false;
	}
	return (type->tp_as_async != NULL && type->tp_as_async->am_aiter != NULL) ||
		PyObject_HasAttrString(v, "body_iterator");
}

/* Our Python code goes on: hook(value) is a coroutine. */
static PyObject *go_on(
	struct python_state *s, struct python_info *info, const char *hook, PyObject *value)
{
	PyObject *coroutine = value == NULL ? NULL : python_hook(s, hook, value);
	if (coroutine == NULL) {
		python_result_exception(s, info);
	}
	return coroutine;
}

/* Too long for a frame: its text, in pieces. */
static PyObject *go_on_with_text(
	struct python_state *s, struct python_info *info, struct buffer *body)
{
	PyObject *text =
		PyBytes_FromStringAndSize((const char *)body->p + 1, (Py_ssize_t)body->n - 1);
	python_scratch_put(s, body);
	PyObject *coroutine = go_on(s, info, "answer_text", text);
	Py_XDECREF(text);
	return coroutine;
}

PyObject *python_result_value(struct python_state *s, struct python_info *info, PyObject *value)
{
	if (is_stream(value)) {
		return go_on(s, info, "answer_stream", value);
	}
	char why[PYTHON_JSON_WHY_MAX];
	struct buffer own;
	struct buffer *b = body_begin(s, &own, s->max_response + 1, 1, RESULT_VALUE);
	int r = python_json_write(&s->json, b, value, "result", why);
	size_t size = b->n - 1;
	/* Scratch memory may be larger than the limit. */
	if (r == PYTHON_JSON_OK && size > s->max_response) {
		r = PYTHON_JSON_TOO_LARGE;
	}
	if (r == PYTHON_JSON_OK && b->n > FRAME_PAYLOAD_MAX) {
		return go_on_with_text(s, info, b);
	}
	if (r == PYTHON_JSON_OK) {
		finish(s, info, b);
		return NULL;
	}
	python_scratch_put(s, b);
	if (r == PYTHON_JSON_REFUSED) {
		result_unserialisable(s, info, why);
	} else if (r == PYTHON_JSON_TOO_LARGE) {
		result_too_large(s, info, size);
	} else {
		result_no_memory(s, info);
	}
	return NULL;
}

/* {"type","message","traceback"} as our Python code words it, or as little as we can without. */
static void append_description(struct python_state *s, struct buffer *b, PyObject *exception)
{
	const char *type = Py_TYPE(exception)->tp_name;
	PyObject *text = python_hook(s, "describe", exception);
	if (text != NULL && PyBytes_Check(text) &&
		buffer_append(b,
			slice_of(PyBytes_AS_STRING(text), (size_t)PyBytes_GET_SIZE(text))) == 0) {
		Py_DECREF(text);
		return;
	}
	Py_XDECREF(text);
	PyErr_Clear();
	append_text(b, "{\"type\":", type);
	(void)buffer_append(b, SLICE(",\"message\":\"\",\"traceback\":\"\"}"));
}

void python_result_exception(struct python_state *s, struct python_info *info)
{
	PyObject *type;
	PyObject *value;
	PyObject *traceback;
	PyErr_Fetch(&type, &value, &traceback);
	PyErr_NormalizeException(&type, &value, &traceback);
	if (value != NULL && traceback != NULL) {
		(void)PyException_SetTraceback(value, traceback);
	}
	bool cancelled = info->cancelled && type != NULL &&
		PyErr_GivenExceptionMatches(type, s->cancelled_error);
	if (cancelled || value == NULL) {
		python_result_empty(s, info, RESULT_CANCELLED);
	} else {
		struct buffer own;
		struct buffer *b = small_begin(s, &own, RESULT_EXCEPTION);
		append_description(s, b, value);
		finish(s, info, b);
	}
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(traceback);
}

void python_result_refused(struct python_state *s,
	uint64_t id,
	enum result_outcome outcome,
	const char *type,
	const char *message)
{
	struct buffer own;
	struct buffer *b = small_begin(s, &own, outcome);
	if (message != NULL) {
		append_text(b, "{\"type\":", type);
		append_text(b, ",\"message\":", message);
		(void)buffer_append(b, SLICE(",\"traceback\":\"\"}"));
	}
	send(s, NULL, id, b);
}
