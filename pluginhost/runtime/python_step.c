#include "pluginhost/runtime/python_state.h"

/*
 * The coroutine that the task of a suspended call drives. It stands in front of the plugin's own: the
 * first send() yields what that had yielded before the task was there, later ones are passed on, and
 * when the plugin's coroutine ends, the RESULT is written at once, without a turn of the loop.
 */
struct step {
	PyObject_HEAD struct python_state *state;
	struct python_info *info; /* NULL: of no call */
	PyObject *coroutine;      /* the plugin's; NULL when it has ended */
	PyObject *task;           /* kept alive while suspended: loops refer to tasks weakly */
	PyObject *pending;        /* yielded already, not yet seen by the task */
	PyObject *value;          /* what it ended with */
};

PyObject *python_step_new(struct python_state *s, struct python_info *info, PyObject *coroutine)
{
	struct step *step = (struct step *)s->step_type->tp_alloc(s->step_type, 0);
	if (step != NULL) {
		step->state = s;
		step->info = (struct python_info *)Py_XNewRef((PyObject *)info);
		step->coroutine = Py_XNewRef(coroutine);
	}
	return (PyObject *)step;
}

void python_step_set_pending(PyObject *self, PyObject *task, PyObject *future)
{
	struct step *step = (struct step *)self;
	Py_XSETREF(step->task, Py_NewRef(task));
	Py_XSETREF(step->pending, Py_XNewRef(future));
}

void python_step_set_coroutine(PyObject *self, PyObject *coroutine)
{
	struct step *step = (struct step *)self;
	Py_XSETREF(step->coroutine, Py_NewRef(coroutine));
}

void python_step_set_done(PyObject *self, PyObject *value)
{
	struct step *step = (struct step *)self;
	Py_XSETREF(step->value, Py_NewRef(value));
	Py_CLEAR(step->coroutine);
}

void python_step_cancel(PyObject *self)
{
	struct step *step = (struct step *)self;
	if (step->info != NULL) {
		step->info->cancelled = true;
	}
	PyObject *r = step->task == NULL ? Py_NewRef(Py_None)
					 : PyObject_CallMethod(step->task, "cancel", NULL);
	if (r == NULL) {
		python_unexpected(step->state, "cancelling a call");
	}
	Py_XDECREF(r);
}

static void forget(struct step *step)
{
	python_call_remove(step->state, step->info);
	Py_CLEAR(step->coroutine);
	Py_CLEAR(step->task);
}

/* @return false when what it returned has to be sent in pieces: the step has a new coroutine for that. */
static bool on_return(struct step *step, PyObject *value)
{
	if (step->info != NULL) {
		PyObject *more = python_result_value(step->state, step->info, value);
		if (more != NULL) {
			Py_XSETREF(step->coroutine, more);
			return false;
		}
		forget(step);
	}
	Py_XSETREF(step->value, Py_NewRef(value));
	return true;
}

/*
 * The plugin's coroutine has raised. The task is to end with that exception too, except where asyncio
 * would let it end the loop.
 * @return true when the current exception was taken, false when it stays set.
 */
static bool on_exception(struct step *step)
{
	if (step->info == NULL) {
		return false;
	}
	bool ends_loop = PyErr_ExceptionMatches(PyExc_SystemExit) ||
		PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
	PyObject *type;
	PyObject *value;
	PyObject *traceback;
	PyErr_Fetch(&type, &value, &traceback);
	PyErr_NormalizeException(&type, &value, &traceback);
	PyErr_Restore(Py_NewRef(type), Py_NewRef(value), Py_XNewRef(traceback));
	python_result_exception(step->state, step->info);
	forget(step);
	if (ends_loop) {
		Py_XDECREF(type);
		Py_XDECREF(value);
		Py_XDECREF(traceback);
		return true;
	}
	PyErr_Restore(type, value, traceback);
	return false;
}

static PySendResult step_send(PyObject *self, PyObject *argument, PyObject **ret)
{
	struct step *step = (struct step *)self;
	if (step->pending != NULL) {
		*ret = step->pending;
		step->pending = NULL;
		return PYGEN_NEXT;
	}
	if (step->coroutine == NULL) {
		*ret = Py_NewRef(step->value == NULL ? Py_None : step->value);
		return PYGEN_RETURN;
	}
	PyObject *coroutine = Py_NewRef(step->coroutine);
	PySendResult r = PyIter_Send(coroutine, argument, ret);
	while (r == PYGEN_RETURN && !on_return(step, *ret)) {
		Py_CLEAR(*ret);
		Py_XSETREF(coroutine, Py_NewRef(step->coroutine));
		r = PyIter_Send(coroutine, Py_None, ret);
	}
	if (r == PYGEN_ERROR && on_exception(step)) {
		*ret = Py_NewRef(Py_None);
		r = PYGEN_RETURN;
	}
	Py_DECREF(coroutine);
	return r;
}

/* The slower protocol, for callers of send() and next(). */
static PyObject *step_send_method(PyObject *self, PyObject *argument)
{
	PyObject *value = NULL;
	switch (step_send(self, argument, &value)) {
	case PYGEN_NEXT:
		return value;
	case PYGEN_RETURN:
		_PyGen_SetStopIterationValue(value);
		Py_DECREF(value);
		return NULL;
	case PYGEN_ERROR:
		break;
	}
	return NULL;
}

static PyObject *step_next(PyObject *self)
{
	return step_send_method(self, Py_None);
}

/* The task throws CancelledError before it has seen what the first step waits for. A task that had
 * seen it would have cancelled that instead, and so do we. */
static PyObject *cancel_pending(struct step *step, PyObject *exception)
{
	PyObject *pending = step->pending;
	step->pending = NULL;
	bool is_cancel = PyErr_GivenExceptionMatches(exception, step->state->cancelled_error);
	PyObject *r = is_cancel && pending != Py_None ? PyObject_CallMethod(pending, "cancel", NULL)
						      : NULL;
	if (r == Py_True) {
		Py_DECREF(r);
		return pending;
	}
	PyErr_Clear();
	Py_XDECREF(r);
	Py_DECREF(pending);
	return NULL;
}

static PyObject *throw_on(struct step *step, PyObject *coroutine, PyObject *const *args, size_t n)
{
	PyObject *throw = PyObject_GetAttrString(coroutine, "throw");
	PyObject *yielded = throw == NULL ? NULL : PyObject_Vectorcall(throw, args, n, NULL);
	Py_XDECREF(throw);
	if (yielded != NULL) {
		return yielded;
	}
	PyObject *value = NULL;
	if (_PyGen_FetchStopIterationValue(&value) == 0) {
		if (!on_return(step, value)) {
			Py_DECREF(value);
			return step_send_method((PyObject *)step, Py_None);
		}
	} else if (on_exception(step)) {
		value = Py_NewRef(Py_None);
	}
	if (value != NULL) {
		_PyGen_SetStopIterationValue(value);
		Py_DECREF(value);
	}
	return NULL;
}

static PyObject *step_throw(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct step *step = (struct step *)self;
	if (n < 1 || n > 3) {
		PyErr_SetString(PyExc_TypeError, "throw() takes 1 to 3 arguments");
		return NULL;
	}
	if (step->pending != NULL) {
		PyObject *pending = cancel_pending(step, args[0]);
		if (pending != NULL) {
			return pending;
		}
	}
	if (step->coroutine == NULL) {
		PyErr_SetObject(
			PyExceptionInstance_Check(args[0]) ? (PyObject *)Py_TYPE(args[0]) : args[0],
			PyExceptionInstance_Check(args[0]) ? args[0] : NULL);
		return NULL;
	}
	PyObject *coroutine = Py_NewRef(step->coroutine);
	PyObject *r = throw_on(step, coroutine, args, (size_t)n);
	Py_DECREF(coroutine);
	return r;
}

static PyObject *step_close(PyObject *self, PyObject *unused)
{
	struct step *step = (struct step *)self;
	Py_CLEAR(step->pending);
	if (step->coroutine == NULL) {
		Py_RETURN_NONE;
	}
	PyObject *coroutine = Py_NewRef(step->coroutine);
	PyObject *r = PyObject_CallMethod(coroutine, "close", NULL);
	Py_DECREF(coroutine);
	return r;
}

/* cr_frame, cr_code, __qualname__ and so on are those of the plugin's coroutine. */
static PyObject *step_getattro(PyObject *self, PyObject *name)
{
	struct step *step = (struct step *)self;
	PyObject *own = PyObject_GenericGetAttr(self, name);
	if (own != NULL || step->coroutine == NULL ||
		!PyErr_ExceptionMatches(PyExc_AttributeError)) {
		return own;
	}
	PyErr_Clear();
	return PyObject_GetAttr(step->coroutine, name);
}

static int step_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct step *step = (struct step *)self;
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(step->coroutine);
	Py_VISIT(step->task);
	Py_VISIT(step->pending);
	Py_VISIT(step->value);
	return 0;
}

static int step_clear(PyObject *self)
{
	struct step *step = (struct step *)self;
	Py_CLEAR(step->coroutine);
	Py_CLEAR(step->task);
	Py_CLEAR(step->pending);
	Py_CLEAR(step->value);
	return 0;
}

static void step_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	PyObject_GC_UnTrack(self);
	(void)step_clear(self);
	Py_CLEAR(((struct step *)self)->info);
	type->tp_free(self);
	Py_DECREF(type);
}

PyTypeObject *python_step_type_new(PyObject *module)
{
	static PyMethodDef methods[] = {
		{ "send", step_send_method, METH_O, "Goes on with a value." },
		{ "throw", PYTHON_METHOD(step_throw), METH_FASTCALL, "Goes on with an exception." },
		{ "close", step_close, METH_NOARGS, "Ends the plugin's coroutine." },
		{ NULL },
	};
	static char doc[] = "The rest of a work call's coroutine.";
	static PyType_Slot slots[] = {
		{ Py_tp_doc, doc },
		{ Py_tp_methods, methods },
		{ Py_tp_getattro, (void *)step_getattro },
		{ Py_tp_iternext, (void *)step_next },
		{ Py_tp_iter, (void *)PyObject_SelfIter },
		{ Py_am_await, (void *)PyObject_SelfIter },
		{ Py_am_send, (void *)step_send },
		{ Py_tp_traverse, (void *)step_traverse },
		{ Py_tp_clear, (void *)step_clear },
		{ Py_tp_dealloc, (void *)step_dealloc },
		{ 0, NULL },
	};
	static PyType_Spec spec = {
		.name = "_mozaiks.Step",
		.basicsize = sizeof(struct step),
		.flags =
			Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};
	return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}
