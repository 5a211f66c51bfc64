#include "common/base/map.h"
#include "pluginhost/runtime/python_state.h"

#include <errno.h>

/*
 * Capabilities. A request is a CALL frame with the id of the call whose context it is made in; what
 * waits for its REPLY is any object with done(), set_result() and set_exception() (a future, or the
 * waiter of a pool thread), or nothing for a request whose result nobody needs.
 */

/* How arguments and result are written: see common/proto/capabilities.h. */
enum kind {
	KIND_BSON = 'b',   /* a document each way */
	KIND_CURSOR = 'c', /* a document there, u32 cursor and documents back */
	KIND_JSON = 'j',
};

/* Members of a tuple in `requests`. The waiter is None when the plugin's log is to get an error, and
 * False when nobody cares any more. */
enum { WAITER, KIND, INFO };

struct python_info *python_current(struct python_state *s)
{
	PyObject *value = NULL;
	if (PyContextVar_Get(s->call_var, NULL, &value) < 0 || value == NULL) {
		PyErr_Clear();
		return NULL;
	}
	Py_DECREF(value); /* the context keeps it */
	return Py_IS_TYPE(value, s->info_type) ? (struct python_info *)value : NULL;
}

/* Raises what our Python code makes of an error with this code. */
static void raise_code(struct python_state *s, const char *code, const char *message)
{
	PyObject *text = PyBytes_FromFormat("{\"code\":\"%s\",\"message\":\"%s\"}", code, message);
	PyObject *exception = text == NULL ? NULL : python_hook(s, "error", text);
	Py_XDECREF(text);
	if (exception != NULL) {
		PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
		Py_DECREF(exception);
	}
}

static const char call_ended[] =
	"the call that this code belongs to has been answered or cancelled: wait for background "
	"work before execute() returns, or start it outside of calls";

/* Writes the arguments. @return 0, or -1 with a Python exception. */
static int encode(struct python_state *s, struct buffer *b, int kind, PyObject *arguments)
{
	int e;
	if (kind == KIND_JSON) {
		char why[PYTHON_JSON_WHY_MAX];
		e = python_json_write(&s->json, b, arguments, "argument", why);
		if (e == PYTHON_JSON_REFUSED) {
			PyErr_SetString(PyExc_ValueError, why);
			return -1;
		}
		e = e == PYTHON_JSON_TOO_LARGE ? -ENOBUFS : e;
	} else {
		e = python_bson_encode(&s->bson, b, arguments, "argument");
	}
	/* Scratch memory may be larger than the limit. */
	if (e == -ENOBUFS || (e == 0 && b->n > b->limit)) {
		raise_code(s, "message_too_large",
			"the arguments are larger than 1 MiB, the limit of one message "
			"(FRAME_PAYLOAD_MAX)");
		return -1;
	}
	if (e == -ENOMEM) {
		PyErr_NoMemory();
	}
	return e < 0 ? -1 : 0;
}

static int remember(struct python_state *s, uint32_t seq, int kind, PyObject *waiter)
{
	struct python_info *info = python_current(s);
	PyObject *key = PyLong_FromUnsignedLong(seq);
	PyObject *value =
		Py_BuildValue("(OiO)", waiter, kind, info == NULL ? Py_None : (PyObject *)info);
	int e = key == NULL || value == NULL ? -1 : PyDict_SetItem(s->requests, key, value);
	Py_XDECREF(key);
	Py_XDECREF(value);
	if (e == 0 && info != NULL) {
		info->requests++;
	}
	return e;
}

/* A CALL frame with its arguments from scratch memory. */
static PyObject *send(
	struct python_state *s, uint16_t code, int kind, PyObject *arguments, PyObject *waiter)
{
	struct buffer own;
	struct buffer *b = python_scratch_get(s, &own, FRAME_PAYLOAD_MAX);
	uint32_t seq = ++s->next_seq;
	uint8_t head[4];
	put_u32(head, seq);
	int e = buffer_append(b, slice_of(head, sizeof(head)));
	if (e < 0) {
		PyErr_NoMemory();
	} else {
		e = encode(s, b, kind, arguments);
	}
	/* Encoding may have run Python code: only now is it known which call is meant. */
	e = e == 0 ? remember(s, seq, kind, waiter) : e;
	if (e == 0) {
		struct python_info *info = python_current(s);
		struct frame f = { .type = MSG_CALL,
			.capability = code,
			.call_id = info == NULL ? 0 : info->id,
			.payload = buffer_slice(b) };
		python_send(s, info, &f);
	}
	python_scratch_put(s, b);
	return e == 0 ? Py_NewRef(Py_None) : NULL;
}

PyObject *python_request(struct python_state *s, PyObject *const *args, Py_ssize_t n_args)
{
	if (n_args != 4 || !PyUnicode_Check(args[1]) || PyUnicode_GET_LENGTH(args[1]) != 1) {
		PyErr_SetString(PyExc_TypeError, "request(code, kind, arguments, waiter)");
		return NULL;
	}
	long code = PyLong_AsLong(args[0]);
	if (code <= 0 || code > UINT16_MAX) {
		if (!PyErr_Occurred()) {
			PyErr_SetString(PyExc_ValueError, "no such capability");
		}
		return NULL;
	}
	if (!s->open) {
		PyErr_SetString(PyExc_RuntimeError, "there is no channel yet");
		return NULL;
	}
	struct python_info *info = python_current(s);
	if (info != NULL && info->ended) {
		raise_code(s, "call_ended", call_ended);
		return NULL;
	}
	if (s->held_bytes > PYTHON_HELD_MAX) {
		raise_code(s, "limit_exceeded",
			"64 MiB of requests wait for the director (PYTHON_HELD_MAX)");
		return NULL;
	}
	return send(s, (uint16_t)code, (int)PyUnicode_READ_CHAR(args[1], 0), args[2], args[3]);
}

static PyObject *decode_json(struct python_state *s, struct slice text)
{
	PyObject *string = PyUnicode_DecodeUTF8((const char *)text.p, (Py_ssize_t)text.n, NULL);
	if (string == NULL) {
		return NULL;
	}
	PyObject *args[] = { string, s->zero };
	PyObject *pair = PyObject_Vectorcall(s->scan_once, args, 2, NULL);
	Py_DECREF(string);
	PyObject *value = pair == NULL ? NULL : Py_NewRef(PyTuple_GET_ITEM(pair, 0));
	Py_XDECREF(pair);
	return value;
}

/* (cursor, [document, ...]) */
static PyObject *decode_cursor(struct python_state *s, struct slice bytes)
{
	if (bytes.n < 4) {
		PyErr_SetString(PyExc_ValueError, "a reply without its cursor");
		return NULL;
	}
	uint32_t cursor = get_u32(bytes.p);
	bytes = slice_skip(bytes, 4);
	PyObject *documents = PyList_New(0);
	while (documents != NULL && bytes.n > 0) {
		PyObject *document = python_bson_decode(&s->bson, &bytes);
		if (document == NULL || PyList_Append(documents, document) < 0) {
			Py_CLEAR(documents);
		}
		Py_XDECREF(document);
	}
	return documents == NULL ? NULL : Py_BuildValue("(IN)", cursor, documents);
}

static PyObject *decode(struct python_state *s, int kind, struct slice result)
{
	switch (kind) {
	case KIND_JSON:
		return decode_json(s, result);
	case KIND_CURSOR:
		return decode_cursor(s, result);
	default:
		return python_bson_decode(&s->bson, &result);
	}
}

/* Takes the current exception as an object. */
static PyObject *take_exception(void)
{
	PyObject *type;
	PyObject *value;
	PyObject *traceback;
	PyErr_Fetch(&type, &value, &traceback);
	PyErr_NormalizeException(&type, &value, &traceback);
	Py_XDECREF(type);
	Py_XDECREF(traceback);
	return value;
}

/* Gives the waiter its result or exception, unless it has stopped waiting. Takes `value`. */
static void resolve(struct python_state *s, PyObject *waiter, const char *method, PyObject *value)
{
	PyObject *done = PyObject_CallMethod(waiter, "done", NULL);
	PyObject *r = NULL;
	if (done == Py_False && value != NULL) {
		/* Not with a format: that would take a tuple apart. */
		PyObject *name = PyUnicode_FromString(method);
		r = name == NULL ? NULL : PyObject_CallMethodOneArg(waiter, name, value);
		Py_XDECREF(name);
	}
	if (PyErr_Occurred()) {
		python_unexpected(s, "a reply");
	}
	Py_XDECREF(done);
	Py_XDECREF(r);
	Py_XDECREF(value);
}

/* Takes `exception`. */
static void fail(struct python_state *s, PyObject *waiter, PyObject *exception)
{
	if (waiter != Py_None) {
		resolve(s, waiter, "set_exception", exception);
		return;
	}
	/* Nobody waits: the plugin's log gets it. */
	PyObject *r = exception == NULL ? NULL : python_hook(s, "report", exception);
	if (r == NULL) {
		python_unexpected(s, "reporting a refused request");
	}
	Py_XDECREF(r);
	Py_XDECREF(exception);
}

/* The tuple of a request, taken out of the table. NULL when there is none. */
static PyObject *take_request(struct python_state *s, uint32_t seq)
{
	PyObject *key = PyLong_FromUnsignedLong(seq);
	PyObject *request = key == NULL ? NULL : PyDict_GetItemWithError(s->requests, key);
	Py_XINCREF(request);
	if (request != NULL) {
		(void)PyDict_DelItem(s->requests, key);
		PyObject *info = PyTuple_GET_ITEM(request, INFO);
		if (info != Py_None) {
			((struct python_info *)info)->requests--;
		}
	}
	Py_XDECREF(key);
	PyErr_Clear();
	return request;
}

static PyObject *error_of(struct python_state *s, struct slice result)
{
	PyObject *text = PyBytes_FromStringAndSize((const char *)result.p, (Py_ssize_t)result.n);
	PyObject *exception = text == NULL ? NULL : python_hook(s, "error", text);
	Py_XDECREF(text);
	return exception == NULL ? take_exception() : exception;
}

/* The director has one request less in work. */
static void on_answered(struct python_state *s, PyObject *request)
{
	PyObject *info = PyTuple_GET_ITEM(request, INFO);
	s->in_flight--;
	if (info != Py_None) {
		((struct python_info *)info)->in_flight--;
	}
}

void python_request_on_reply(struct python_state *s, const struct frame *f)
{
	struct msg_reply reply;
	if (!msg_reply_decode(f->payload, &reply)) {
		python_end(WORKER_EXIT_RUNTIME, "a malformed REPLY on the channel");
	}
	PyObject *request = take_request(s, reply.seq);
	if (request == NULL) {
		python_end(WORKER_EXIT_RUNTIME, "a REPLY to nothing on the channel");
	}
	on_answered(s, request);
	PyObject *waiter = PyTuple_GET_ITEM(request, WAITER);
	if (waiter == Py_False) {
		Py_DECREF(request);
		return;
	}
	if (reply.status != REPLY_OK) {
		fail(s, waiter, error_of(s, reply.result));
	} else if (waiter != Py_None) {
		int kind = (int)PyLong_AsLong(PyTuple_GET_ITEM(request, KIND));
		PyObject *value = decode(s, kind, reply.result);
		if (value == NULL) {
			fail(s, waiter, take_exception());
		} else {
			resolve(s, waiter, "set_result", value);
		}
	}
	Py_DECREF(request);
}

/* Requests that were never sent and somebody waits for: without the call they are pointless. What
 * nobody waits for (events) still goes out, before the RESULT. */
static void drop_held(struct python_state *s, struct python_info *info)
{
	struct python_chunk *c;
	struct python_chunk *next;
	DL_FOREACH_SAFE (s->held, c, next) {
		if (c->info != info || c->frame.type != MSG_CALL) {
			continue;
		}
		uint32_t seq = get_u32(c->frame.payload.p);
		PyObject *key = PyLong_FromUnsignedLong(seq);
		PyObject *request = key == NULL ? NULL : PyDict_GetItemWithError(s->requests, key);
		Py_XDECREF(key);
		if (request != NULL && PyTuple_GET_ITEM(request, WAITER) == Py_False) {
			python_send_drop(s, c);
			request = take_request(s, seq);
			Py_XDECREF(request);
		}
	}
	PyErr_Clear();
}

/* Fails the waiter of one request; its REPLY, if it was sent, will be dropped. */
static void abandon(struct python_state *s, PyObject *key, PyObject *request)
{
	PyObject *waiter = Py_NewRef(PyTuple_GET_ITEM(request, WAITER));
	PyObject *orphan = PyTuple_Pack(
		3, Py_False, PyTuple_GET_ITEM(request, KIND), PyTuple_GET_ITEM(request, INFO));
	if (orphan == NULL || PyDict_SetItem(s->requests, key, orphan) < 0) {
		python_unexpected(s, "ending a request");
	}
	Py_XDECREF(orphan);
	raise_code(s, "call_ended", call_ended);
	fail(s, waiter, take_exception());
	Py_DECREF(waiter);
}

void python_request_abandon(struct python_state *s, struct python_info *info)
{
	PyObject *keys = PyDict_Keys(s->requests);
	if (keys == NULL) {
		python_unexpected(s, "ending a call");
		return;
	}
	for (Py_ssize_t i = 0; i < PyList_GET_SIZE(keys); i++) {
		PyObject *key = PyList_GET_ITEM(keys, i);
		PyObject *request = PyDict_GetItemWithError(s->requests, key);
		if (request == NULL || PyTuple_GET_ITEM(request, INFO) != (PyObject *)info) {
			continue;
		}
		PyObject *waiter = PyTuple_GET_ITEM(request, WAITER);
		if (waiter != Py_None && waiter != Py_False) {
			abandon(s, key, request);
		}
	}
	Py_DECREF(keys);
	if (info->held > 0) {
		drop_held(s, info);
	}
}
