#include "common/base/clock.h"
#include "pluginhost/runtime/python_state.h"

/*
 * How a call runs. The first step of the coroutine is taken right here, in a context of its own, with
 * an object as asyncio's current task that costs nothing to make: an instance of Call, a subclass of
 * asyncio.Task whose constructor has not run. Most calls end in that step. One that suspends gets its
 * constructor called then, with a coroutine (python_step.c) that hands the loop what the first step
 * has yielded and then goes on: asyncio.timeout(), TaskGroup and current_task() see one and the same
 * real task throughout.
 *
 * A Call without its constructor has no loop, no name and no coroutine, so every access to an
 * attribute of it runs the constructor first (call_getattro). cancel() and its count, which C code of
 * asyncio would reach past that, are carried over.
 */

/* Behind the memory of asyncio.Task, whose struct is not public. */
struct call_tail {
	bool constructed;
};

static struct call_tail *tail(PyObject *call, PyTypeObject *task_type)
{
	return (struct call_tail *)(void *)((char *)call + task_type->tp_basicsize);
}

/* ---- Info ---- */

struct python_info *python_info_new(
	struct python_state *s, uint64_t id, uint32_t deadline_ms, struct slice trace)
{
	struct python_info *info = PyObject_New(struct python_info, s->info_type);
	if (info != NULL) {
		info->id = id;
		info->deadline_ms = clock_ms() + deadline_ms;
		info->requests = 0;
		info->in_flight = 0;
		info->held = 0;
		info->blocked_in = 0;
		info->cancelled = false;
		info->ended = false;
		info->trace_n = (uint8_t)(trace.n > sizeof(info->trace) ? 0 : trace.n);
		if (info->trace_n > 0) {
			memcpy(info->trace, trace.p, info->trace_n);
		}
	}
	return info;
}

static void info_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	PyObject_Free(self);
	Py_DECREF(type);
}

static PyObject *info_get_id(PyObject *self, void *closure)
{
	return PyLong_FromUnsignedLongLong(((struct python_info *)self)->id);
}

static PyObject *info_get_ended(PyObject *self, void *closure)
{
	return PyBool_FromLong(((struct python_info *)self)->ended);
}

/* Seconds that are left, never negative. */
static PyObject *info_get_remaining(PyObject *self, void *closure)
{
	uint64_t now = clock_ms();
	uint64_t deadline = ((struct python_info *)self)->deadline_ms;
	return PyFloat_FromDouble(deadline > now ? (double)(deadline - now) / 1000.0 : 0.0);
}

static PyObject *info_get_trace(PyObject *self, void *closure)
{
	const struct python_info *info = (const struct python_info *)self;
	if (info->trace_n == 0) {
		Py_RETURN_NONE;
	}
	return PyUnicode_DecodeLatin1(info->trace, info->trace_n, NULL);
}

PyTypeObject *python_info_type_new(PyObject *module)
{
	static PyGetSetDef members[] = {
		{ "id", info_get_id, NULL, "The call's number on the channel.", NULL },
		{ "ended", info_get_ended, NULL, "Whether its answer is given.", NULL },
		{ "remaining", info_get_remaining, NULL, "Seconds until its deadline.", NULL },
		{ "trace", info_get_trace, NULL, "Its traceparent, or None.", NULL },
		{ NULL },
	};
	static PyType_Slot slots[] = {
		{ Py_tp_dealloc, (void *)info_dealloc },
		{ Py_tp_getset, members },
		{ 0, NULL },
	};
	static PyType_Spec spec = {
		.name = "_mozaiks.CallInfo",
		.basicsize = sizeof(struct python_info),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};
	return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}

/* ---- Call ---- */

/* True while nothing but the reference count has been written: it can serve the next call. */
static bool is_pristine(PyObject *call, PyTypeObject *task_type)
{
	static const uint8_t zeros[512];
	size_t n = (size_t)task_type->tp_basicsize + sizeof(struct call_tail) - sizeof(PyObject);
	return n <= sizeof(zeros) && memcmp((char *)call + sizeof(PyObject), zeros, n) == 0;
}

/* How often cancel() was called on it before its constructor ran. */
static long cancel_count(PyObject *call, PyTypeObject *task_type)
{
	PyObject *n = PyObject_CallMethod((PyObject *)task_type, "cancelling", "O", call);
	long count = n == NULL ? 0 : PyLong_AsLong(n);
	Py_XDECREF(n);
	PyErr_Clear();
	return count < 0 ? 0 : count;
}

/* Runs the constructor: Task.__init__(call, step, loop=…, context=…), which schedules a step. */
static int construct(struct python_state *s, PyObject *call, PyObject *step, PyObject *context)
{
	long cancels = is_pristine(call, s->task_type) ? 0 : cancel_count(call, s->task_type);
	tail(call, s->task_type)->constructed = true;
	PyObject *args = PyTuple_Pack(1, step);
	PyObject *kwargs = PyDict_New();
	int e = args == NULL || kwargs == NULL ||
			PyDict_SetItemString(kwargs, "loop", s->loop) < 0 ||
			PyDict_SetItemString(kwargs, "context", context) < 0
		? -1
		: s->task_type->tp_init(call, args, kwargs);
	Py_XDECREF(args);
	Py_XDECREF(kwargs);
	for (; e == 0 && cancels > 0; cancels--) {
		PyObject *r = PyObject_CallMethod((PyObject *)s->task_type, "cancel", "O", call);
		e = r == NULL ? -1 : 0;
		Py_XDECREF(r);
	}
	return e;
}

/* The plugin looks at its task during the first step, or has kept it beyond its call. */
static int construct_early(PyObject *call)
{
	struct python_state *s = PyType_GetModuleState(Py_TYPE(call));
	if (s == NULL) {
		return -1;
	}
	bool running = s->first.call == call;
	PyObject *step = python_step_new(
		s, running ? s->first.info : NULL, running ? s->first.coroutine : NULL);
	if (step == NULL) {
		return -1;
	}
	int e = construct(s, call, step, running ? s->first.context : s->base_context);
	if (running && e == 0) {
		s->first.step = Py_NewRef(step);
	} else {
		python_step_set_done(step, Py_None);
	}
	Py_DECREF(step);
	return e;
}

static bool is_constructed(PyObject *call)
{
	return tail(call, Py_TYPE(call)->tp_base)->constructed;
}

static PyObject *call_getattro(PyObject *self, PyObject *name)
{
	if (!is_constructed(self) && construct_early(self) < 0) {
		return NULL;
	}
	return PyObject_GenericGetAttr(self, name);
}

static PyObject *call_repr(PyObject *self)
{
	if (!is_constructed(self) && construct_early(self) < 0) {
		return NULL;
	}
	return Py_TYPE(self)->tp_base->tp_repr(self);
}

static int call_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
	tail(self, Py_TYPE(self)->tp_base)->constructed = true;
	return Py_TYPE(self)->tp_base->tp_init(self, args, kwargs);
}

static int call_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	return Py_TYPE(self)->tp_base->tp_traverse(self, visit, arg);
}

static int call_clear(PyObject *self)
{
	return Py_TYPE(self)->tp_base->tp_clear(self);
}

static void call_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	/* The base's own destructor runs the finalizer only for exact tasks. */
	if (PyObject_CallFinalizerFromDealloc(self) < 0) {
		return;
	}
	type->tp_base->tp_dealloc(self);
	Py_DECREF(type);
}

PyTypeObject *python_call_type_new(PyObject *module)
{
	static char doc[] = "The asyncio task of one work call.";
	static PyType_Slot slots[] = {
		{ Py_tp_doc, doc },
		{ Py_tp_getattro, (void *)call_getattro },
		{ Py_tp_repr, (void *)call_repr },
		{ Py_tp_init, (void *)call_init },
		{ Py_tp_traverse, (void *)call_traverse },
		{ Py_tp_clear, (void *)call_clear },
		{ Py_tp_dealloc, (void *)call_dealloc },
		{ 0, NULL },
	};
	PyObject *asyncio = PyImport_ImportModule("_asyncio");
	PyObject *task = asyncio == NULL ? NULL : PyObject_GetAttrString(asyncio, "Task");
	Py_XDECREF(asyncio);
	if (task == NULL) {
		return NULL;
	}
	PyType_Spec spec = {
		.name = "_mozaiks.Call",
		.basicsize = (int)(((PyTypeObject *)task)->tp_basicsize +
			(Py_ssize_t)sizeof(struct call_tail)),
		.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
		.slots = slots,
	};
	PyObject *type = PyType_FromModuleAndSpec(module, &spec, task);
	Py_DECREF(task);
	return (PyTypeObject *)type;
}

/* ---- Work ---- */

int python_call_add(struct python_state *s, const struct python_info *info, PyObject *work)
{
	PyObject *id = PyLong_FromUnsignedLongLong(info->id);
	int e = id == NULL ? -1 : PyDict_SetItem(s->calls, id, work);
	Py_XDECREF(id);
	return e;
}

void python_call_remove(struct python_state *s, const struct python_info *info)
{
	PyObject *type;
	PyObject *value;
	PyObject *traceback;
	PyErr_Fetch(&type, &value, &traceback);
	PyObject *id = PyLong_FromUnsignedLongLong(info->id);
	if (id == NULL || PyDict_DelItem(s->calls, id) < 0) {
		PyErr_Clear(); /* it was never added: it ended in its first step */
	}
	Py_XDECREF(id);
	PyErr_Restore(type, value, traceback);
}

void python_call_cancel(struct python_state *s, uint64_t id)
{
	PyObject *key = PyLong_FromUnsignedLongLong(id);
	PyObject *work = key == NULL ? NULL : PyDict_GetItemWithError(s->calls, key);
	Py_XDECREF(key);
	if (work == NULL) {
		PyErr_Clear(); /* its RESULT has crossed the CANCEL */
		return;
	}
	Py_INCREF(work);
	if (Py_IS_TYPE(work, s->job_type)) {
		python_job_cancel(work);
	} else {
		python_step_cancel(work);
	}
	Py_DECREF(work);
}

static PyObject *take_call(struct python_state *s)
{
	PyObject *call = s->spare_call;
	s->spare_call = NULL;
	return call != NULL ? call : s->call_type->tp_alloc(s->call_type, 0);
}

static void give_call(struct python_state *s, PyObject *call)
{
	if (s->spare_call == NULL && Py_REFCNT(call) == 1 && is_pristine(call, s->task_type)) {
		s->spare_call = call;
	} else {
		Py_DECREF(call);
	}
}

/* The coroutine has yielded `future` (taken) in its first step, or nothing: the loop goes on with it. */
static void suspend(struct python_state *s, PyObject *call, PyObject *future)
{
	struct python_first_step *first = &s->first;
	PyObject *step = first->step != NULL ? Py_NewRef(first->step)
					     : python_step_new(s, first->info, first->coroutine);
	if (step != NULL) {
		python_step_set_pending(step, call, future);
	}
	int e = step == NULL || python_call_add(s, first->info, step) < 0 ? -1 : 0;
	if (e == 0 && first->step == NULL) {
		e = construct(s, call, step, first->context);
	}
	if (e < 0) {
		python_call_remove(s, first->info);
		python_result_exception(s, first->info);
	}
	Py_XDECREF(step);
	Py_XDECREF(future);
}

/* What the first step returned is to be sent in pieces, by `more` (taken). */
static void suspend_with(struct python_state *s, PyObject *call, PyObject *more)
{
	struct python_first_step *first = &s->first;
	first->coroutine = more;
	if (first->step != NULL) {
		python_step_set_coroutine(first->step, more);
	}
	suspend(s, call, NULL);
	first->coroutine = NULL;
	Py_DECREF(more);
}

/* No current task any more. Keeps the current exception. */
static void leave_task(struct python_state *s)
{
	PyObject *type;
	PyObject *value;
	PyObject *traceback;
	PyErr_Fetch(&type, &value, &traceback);
	if (PyDict_DelItem(s->current_tasks, s->loop) < 0) {
		PyErr_Clear(); /* the plugin has taken it out itself */
	}
	PyErr_Restore(type, value, traceback);
}

static void take_first_step(struct python_state *s, PyObject *call)
{
	struct python_first_step *first = &s->first;
	PyObject *result = NULL;
	PySendResult r = PyIter_Send(first->coroutine, Py_None, &result);
	leave_task(s);
	if (r == PYGEN_NEXT) {
		suspend(s, call, result);
		return;
	}
	PyObject *more = r == PYGEN_RETURN ? python_result_value(s, first->info, result) : NULL;
	if (more != NULL) {
		Py_DECREF(result);
		suspend_with(s, call, more);
		return;
	}
	if (first->step != NULL) {
		python_step_set_done(first->step, r == PYGEN_RETURN ? result : Py_None);
	}
	if (r == PYGEN_RETURN) {
		Py_DECREF(result);
	} else {
		python_result_exception(s, first->info);
	}
}

/* In the call's context. */
static void drive(
	struct python_state *s, struct python_info *info, PyObject *context, PyObject *coroutine)
{
	PyObject *call = take_call(s);
	if (call == NULL || PyDict_SetItem(s->current_tasks, s->loop, call) < 0) {
		Py_XDECREF(call);
		python_result_exception(s, info);
		return;
	}
	s->first = (struct python_first_step){
		.call = call, .context = context, .coroutine = coroutine, .info = info
	};
	take_first_step(s, call);
	Py_CLEAR(s->first.step);
	s->first = (struct python_first_step){ 0 };
	give_call(s, call);
}

int python_context_enter(struct python_state *s, struct python_info *info, PyObject *context)
{
	if (PyContext_Enter(context) < 0) {
		return -1;
	}
	PyObject *token = PyContextVar_Set(s->call_var, (PyObject *)info);
	if (token == NULL) {
		(void)PyContext_Exit(context);
		return -1;
	}
	Py_DECREF(token);
	return 0;
}

void python_context_exit(struct python_state *s, PyObject *context)
{
	if (PyContext_Exit(context) < 0) {
		python_unexpected(s, "leaving a call's context");
	}
}

void python_call_drive(
	struct python_state *s, struct python_info *info, PyObject *context, PyObject *coroutine)
{
	if (PyContext_Enter(context) < 0) {
		python_result_exception(s, info);
		return;
	}
	drive(s, info, context, coroutine);
	python_context_exit(s, context);
}

/* The JSON text of a work frame; its strings are made once. */
static PyObject *parse(struct python_state *s, struct slice text)
{
	size_t skip = 0;
	while (skip < text.n &&
		(text.p[skip] == ' ' || (text.p[skip] >= 9 && text.p[skip] <= 13))) {
		skip++;
	}
	PyObject *string = PyUnicode_DecodeUTF8(
		(const char *)text.p + skip, (Py_ssize_t)(text.n - skip), NULL);
	if (string == NULL) {
		return NULL;
	}
	PyObject *args[] = { string, s->zero };
	PyObject *pair = PyObject_Vectorcall(s->scan_once, args, 2, NULL);
	Py_DECREF(string);
	if (pair == NULL) {
		if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
			PyErr_SetString(PyExc_ValueError, "the call's data is not JSON");
		}
		return NULL;
	}
	PyObject *value = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
	Py_DECREF(pair);
	return value;
}

static void start_async(struct python_state *s,
	struct python_info *info,
	PyObject *context,
	PyObject *function,
	PyObject *data)
{
	if (python_context_enter(s, info, context) < 0) {
		python_result_exception(s, info);
		return;
	}
	PyObject *coroutine = PyObject_CallOneArg(function, data);
	if (coroutine == NULL) {
		python_result_exception(s, info);
	} else if (PyCoro_CheckExact(coroutine)) {
		drive(s, info, context, coroutine);
	} else {
		/* An async callable may return any awaitable. */
		PyObject *wrapped = python_hook(s, "await_", coroutine);
		if (wrapped == NULL) {
			python_result_exception(s, info);
		} else {
			drive(s, info, context, wrapped);
		}
		Py_XDECREF(wrapped);
	}
	Py_XDECREF(coroutine);
	python_context_exit(s, context);
}

/* An event's fields are those of a request. */
static bool decode_work(const struct frame *f, struct msg_execute *ret)
{
	struct msg_event event;
	if (f->type == MSG_EXECUTE) {
		return msg_execute_decode(f->payload, ret);
	}
	if (f->type == MSG_EVENT && msg_event_decode(f->payload, &event)) {
		*ret = (struct msg_execute){ event.deadline_ms, event.user, event.instance,
			event.trace, event.event };
		return true;
	}
	return false;
}

void python_call_start(struct python_state *s, const struct frame *f)
{
	const struct python_entry *entry =
		(f->flags & WORK_SOCKET) != 0 ? &s->socket_entry : &s->entries[f->type];
	struct msg_execute m;
	if (entry->function == NULL) {
		python_result_refused(s, f->call_id, RESULT_NO_ENTRY, NULL, NULL);
		return;
	}
	if (!decode_work(f, &m)) {
		python_end(WORKER_EXIT_RUNTIME, "a malformed work frame on the channel");
	}
	struct python_info *info = python_info_new(s, f->call_id, m.deadline_ms, m.trace);
	PyObject *context = info == NULL ? NULL : PyContext_Copy(s->base_context);
	if (context == NULL) {
		python_unexpected(s, "starting a call");
		python_result_refused(s, f->call_id, RESULT_EXCEPTION, "MemoryError",
			"no memory to start the call");
		Py_XDECREF(info);
		return;
	}
	PyObject *data = parse(s, m.data);
	if (data == NULL) {
		python_result_exception(s, info);
	} else if (entry->async) {
		start_async(s, info, context, entry->function, data);
	} else {
		python_job_start(s, info, context, entry->function, data);
	}
	Py_XDECREF(data);
	Py_DECREF(context);
	Py_DECREF(info);
}
