#include "common/base/map.h"
#include "pluginhost/runtime/python_state.h"

#include <errno.h>

/*
 * The stream of a call as our Python code (mozaiks/_streams.py) has it: pieces in, pieces out, and a
 * callable that is told when it is worth looking again. What may come and go says common/proto/stream.h.
 * A stream is known by its call's id from the work frame that brings it, or from the first use by the
 * call, until the RESULT.
 */
struct python_stream {
	PyObject_HEAD struct python_state *state;
	uint64_t id;
	struct stream table;
	struct python_chunk *pieces; /* that nobody has read yet */
	PyObject *wake;
	PyObject *why; /* the text of a RESET, or NULL */
	bool over;     /* its call has its RESULT */
};

static PyObject *find(struct python_state *s, uint64_t id)
{
	PyObject *key = PyLong_FromUnsignedLongLong(id);
	PyObject *stream = key == NULL ? NULL : PyDict_GetItemWithError(s->streams, key);
	Py_XDECREF(key);
	return stream;
}

static struct python_stream *new_stream(struct python_state *s, uint64_t id)
{
	struct python_stream *p =
		(struct python_stream *)s->stream_type->tp_alloc(s->stream_type, 0);
	PyObject *key = PyLong_FromUnsignedLongLong(id);
	if (p != NULL) {
		p->state = s;
		p->id = id;
	}
	if (p == NULL || key == NULL || PyDict_SetItem(s->streams, key, (PyObject *)p) < 0) {
		Py_CLEAR(p);
	}
	Py_XDECREF(key);
	return p;
}

int python_stream_begin(struct python_state *s, const struct frame *f)
{
	struct python_stream *p = new_stream(s, f->call_id);
	if (p == NULL) {
		return -1;
	}
	p->table.messages = (f->flags & WORK_SOCKET) != 0;
	(void)stream_open(&p->table.in);
	if (p->table.messages) {
		(void)stream_open(&p->table.out);
	}
	Py_DECREF(p);
	return 0;
}

PyObject *python_stream_current(struct python_state *s)
{
	const struct python_info *info = python_current(s);
	if (info == NULL || info->ended) {
		PyErr_SetString(PyExc_RuntimeError,
			"there is no call here: streams are used by the code that answers one");
		return NULL;
	}
	PyObject *stream = find(s, info->id);
	if (stream != NULL) {
		return Py_NewRef(stream);
	}
	return PyErr_Occurred() ? NULL : (PyObject *)new_stream(s, info->id);
}

static void wake(struct python_stream *p)
{
	PyObject *r = p->wake == NULL ? Py_NewRef(Py_None) : PyObject_CallNoArgs(p->wake);
	if (r == NULL) {
		python_unexpected(p->state, "waking who waits for a stream");
	}
	Py_XDECREF(r);
}

void python_stream_end(struct python_state *s, uint64_t id)
{
	PyObject *key = PyLong_FromUnsignedLongLong(id);
	struct python_stream *p =
		(struct python_stream *)(key == NULL ? NULL
						     : PyDict_GetItemWithError(s->streams, key));
	if (p != NULL) {
		p->over = true;
		stream_drop(&p->table);
		if (PyDict_DelItem(s->streams, key) < 0) {
			PyErr_Clear();
		}
	} else {
		PyErr_Clear();
	}
	Py_XDECREF(key);
}

static void keep_piece(struct python_stream *p, const struct frame *f)
{
	struct python_chunk *c = python_chunk_new(f);
	if (c == NULL) {
		python_end(WORKER_EXIT_RUNTIME, "no memory for a piece of a stream");
	}
	DL_APPEND(p->pieces, c);
}

void python_stream_on_frame(struct python_state *s, const struct frame *f)
{
	const char *why = NULL;
	struct msg_reset m;
	struct python_stream *p = (struct python_stream *)find(s, f->call_id);
	if (p == NULL) {
		/* Its call has ended, and this has crossed the RESULT. */
		PyErr_Clear();
		return;
	}
	switch (stream_receive(&p->table, f, &why)) {
	case STREAM_VIOLATION:
		python_end(WORKER_EXIT_RUNTIME, why);
	case STREAM_IGNORE:
		return;
	case STREAM_TAKE:
		break;
	}
	if (f->type == MSG_DATA) {
		keep_piece(p, f);
	} else if (f->type == MSG_RESET && msg_reset_decode(f->payload, &m)) {
		Py_XSETREF(p->why,
			PyUnicode_DecodeUTF8(
				(const char *)m.reason.p, (Py_ssize_t)m.reason.n, "replace"));
		PyErr_Clear();
	}
	Py_INCREF(p);
	wake(p);
	Py_DECREF(p);
}

/* ---- what our Python code calls ---- */

static void send(struct python_stream *p, const struct frame *f)
{
	python_send_of(p->state, p->id, f);
}

/* head(status, headers): the answer begins. */
static PyObject *stream_head(PyObject *self, PyObject *args)
{
	struct python_stream *p = (struct python_stream *)self;
	unsigned short status;
	const char *headers;
	Py_ssize_t n;
	if (!PyArg_ParseTuple(args, "Hy#", &status, &headers, &n)) {
		return NULL;
	}
	struct buffer b;
	buffer_init(&b, FRAME_HEADER_SIZE + 65536);
	struct msg_result_head m = { .status = status, .headers = slice_of(headers, (size_t)n) };
	int e = msg_result_head_append(&b, &(struct frame){ .call_id = p->id }, &m);
	if (e < 0 || p->over || !stream_open(&p->table.out)) {
		buffer_deinit(&b);
		PyErr_SetString(PyExc_RuntimeError,
			e < 0 ? "the headers of an answer are at most 64 KiB"
			      : "the answer has begun already, or is over");
		return NULL;
	}
	struct slice whole = buffer_slice(&b);
	struct frame f;
	(void)frame_decode(&whole, &f);
	send(p, &f);
	buffer_deinit(&b);
	Py_RETURN_NONE;
}

/* write(bytes, flags) -> False when there is no credit for it now. */
static PyObject *stream_write(PyObject *self, PyObject *args)
{
	struct python_stream *p = (struct python_stream *)self;
	Py_buffer data;
	unsigned char flags = 0;
	if (!PyArg_ParseTuple(args, "y*|b", &data, &flags)) {
		return NULL;
	}
	PyObject *r = NULL;
	if (p->table.out.state != STREAM_OPEN) {
		PyErr_SetString(PyExc_ConnectionResetError,
			"nobody takes what this stream sends any more, or it has not begun");
	} else if (data.len > STREAM_PIECE_MAX) {
		PyErr_SetString(PyExc_ValueError, "a piece is at most 64 KiB");
	} else if (!stream_may_send(&p->table, (size_t)data.len)) {
		r = Py_NewRef(Py_False);
	} else {
		struct frame f = { .type = MSG_DATA,
			.flags = flags,
			.call_id = p->id,
			.payload = slice_of(data.buf, (size_t)data.len) };
		stream_sent(&p->table, (size_t)data.len, (flags & DATA_LAST) != 0);
		send(p, &f);
		r = Py_NewRef(Py_True);
	}
	PyBuffer_Release(&data);
	return r;
}

static void give_credit_back(struct python_stream *p, size_t cost)
{
	uint8_t payload[4];
	uint32_t credit = stream_passed_on(&p->table, cost);
	if (credit > 0) {
		put_u32(payload, credit);
		struct frame f = { .type = MSG_CREDIT,
			.call_id = p->id,
			.payload = slice_of(payload, sizeof(payload)) };
		send(p, &f);
	}
}

/* read() -> (bytes, flags), or None when nothing is there. */
static PyObject *stream_read(PyObject *self, PyObject *unused)
{
	struct python_stream *p = (struct python_stream *)self;
	struct python_chunk *c = p->pieces;
	if (c == NULL) {
		Py_RETURN_NONE;
	}
	PyObject *r = Py_BuildValue("y#i", (const char *)c->frame.payload.p,
		(Py_ssize_t)c->frame.payload.n, (int)c->frame.flags);
	if (r == NULL) {
		return NULL;
	}
	size_t cost = stream_cost(c->frame.payload.n);
	DL_DELETE(p->pieces, c);
	free(c);
	if (!p->over) {
		give_credit_back(p, cost);
	}
	return r;
}

/* Whether nothing more will come. */
static PyObject *get_ended(PyObject *self, void *closure)
{
	const struct python_stream *p = (struct python_stream *)self;
	return PyBool_FromLong(p->pieces == NULL && p->table.in.state != STREAM_OPEN);
}

/* Why it was broken off, or None. */
static PyObject *get_broken(PyObject *self, void *closure)
{
	const struct python_stream *p = (struct python_stream *)self;
	return Py_NewRef(p->why == NULL ? Py_None : p->why);
}

static PyObject *get_has_body(PyObject *self, void *closure)
{
	const struct python_stream *p = (struct python_stream *)self;
	return PyBool_FromLong(p->table.in.opened);
}

static PyObject *get_wake(PyObject *self, void *closure)
{
	const struct python_stream *p = (struct python_stream *)self;
	return Py_NewRef(p->wake == NULL ? Py_None : p->wake);
}

static int set_wake(PyObject *self, PyObject *value, void *closure)
{
	struct python_stream *p = (struct python_stream *)self;
	Py_XSETREF(p->wake, Py_XNewRef(value));
	return 0;
}

static int stream_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(((struct python_stream *)self)->wake);
	return 0;
}

static int stream_clear(PyObject *self)
{
	Py_CLEAR(((struct python_stream *)self)->wake);
	return 0;
}

static void stream_dealloc(PyObject *self)
{
	struct python_stream *p = (struct python_stream *)self;
	PyTypeObject *type = Py_TYPE(self);
	PyObject_GC_UnTrack(self);
	(void)stream_clear(self);
	Py_CLEAR(p->why);
	while (p->pieces != NULL) {
		struct python_chunk *c = p->pieces;
		DL_DELETE(p->pieces, c);
		free(c);
	}
	type->tp_free(self);
	Py_DECREF(type);
}

PyTypeObject *python_stream_type_new(PyObject *module)
{
	static PyMethodDef methods[] = {
		{ "head", stream_head, METH_VARARGS, "Begins the answer: head(status, headers)." },
		{ "write", stream_write, METH_VARARGS,
			"Sends a piece: write(bytes, flags). False: wait for a wake-up." },
		{ "read", stream_read, METH_NOARGS, "The next (bytes, flags), or None." },
		{ NULL },
	};
	static PyGetSetDef members[] = {
		{ "ended", get_ended, NULL, "Whether nothing more will come.", NULL },
		{ "broken", get_broken, NULL, "Why it was broken off, or None.", NULL },
		{ "has_body", get_has_body, NULL, "Whether something comes at all.", NULL },
		{ "wake", get_wake, set_wake, "Called when it is worth looking again.", NULL },
		{ NULL },
	};
	static char doc[] = "The stream of a call.";
	static PyType_Slot slots[] = {
		{ Py_tp_doc, doc },
		{ Py_tp_methods, methods },
		{ Py_tp_getset, members },
		{ Py_tp_traverse, (void *)stream_traverse },
		{ Py_tp_clear, (void *)stream_clear },
		{ Py_tp_dealloc, (void *)stream_dealloc },
		{ 0, NULL },
	};
	static PyType_Spec spec = {
		.name = "_mozaiks.Stream",
		.basicsize = sizeof(struct python_stream),
		.flags =
			Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};
	return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}
