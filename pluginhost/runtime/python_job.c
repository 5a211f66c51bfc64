#include "pluginhost/runtime/python_state.h"

/* A call of a function that is not async: queued for the pool (mozaiks/_pool.py), whose threads call
 * run(). What the function returns is the answer; when that is a coroutine (a decorator may hide an
 * async function), the loop's thread goes on with it. */
struct job {
	PyObject_HEAD struct python_state *state;
	struct python_info *info;
	PyObject *context;
	PyObject *function;
	PyObject *data; /* replaced by the coroutine that the function returned */
	bool begun;
};

void python_job_start(struct python_state *s,
	struct python_info *info,
	PyObject *context,
	PyObject *function,
	PyObject *data)
{
	struct job *job = (struct job *)s->job_type->tp_alloc(s->job_type, 0);
	if (job == NULL) {
		python_result_exception(s, info);
		return;
	}
	job->state = s;
	job->info = (struct python_info *)Py_NewRef((PyObject *)info);
	job->context = Py_NewRef(context);
	job->function = Py_NewRef(function);
	job->data = Py_NewRef(data);
	PyObject *r = python_call_add(s, info, (PyObject *)job) < 0
		? NULL
		: python_hook(s, "submit", (PyObject *)job);
	if (r == NULL) {
		python_call_remove(s, info);
		python_result_exception(s, info);
	}
	Py_XDECREF(r);
	Py_DECREF(job);
}

void python_job_cancel(PyObject *self)
{
	struct job *job = (struct job *)self;
	job->info->cancelled = true;
	if (!job->begun) {
		/* run() will find it ended. */
		job->begun = true;
		python_call_remove(job->state, job->info);
		python_result_empty(job->state, job->info, RESULT_CANCELLED);
	} else {
		/* A thread cannot be stopped, but what it waits for fails. */
		python_request_abandon(job->state, job->info);
	}
}

/* On the loop's thread: drives the coroutine that the function has returned. */
static PyObject *job_resume(PyObject *self, PyObject *unused)
{
	struct job *job = (struct job *)self;
	struct python_state *s = job->state;
	python_call_remove(s, job->info);
	if (job->info->cancelled) {
		python_result_empty(s, job->info, RESULT_CANCELLED);
		Py_RETURN_NONE;
	}
	PyObject *coroutine = python_hook(s, "await_", job->data);
	if (coroutine == NULL) {
		python_result_exception(s, job->info);
		Py_RETURN_NONE;
	}
	python_call_drive(s, job->info, job->context, coroutine);
	Py_DECREF(coroutine);
	Py_RETURN_NONE;
}

static bool is_awaitable(PyObject *v)
{
	return Py_TYPE(v)->tp_as_async != NULL && Py_TYPE(v)->tp_as_async->am_await != NULL;
}

/* Asks the loop to call resume(). */
static int hand_over(struct job *job, PyObject *awaitable)
{
	Py_XSETREF(job->data, Py_NewRef(awaitable));
	PyObject *resume = PyObject_GetAttrString((PyObject *)job, "resume");
	PyObject *handle = resume == NULL
		? NULL
		: PyObject_CallMethod(job->state->loop, "call_soon_threadsafe", "O", resume);
	Py_XDECREF(resume);
	Py_XDECREF(handle);
	return handle == NULL ? -1 : 0;
}

/* On a thread of the pool. */
static PyObject *job_run(PyObject *self, PyObject *unused)
{
	struct job *job = (struct job *)self;
	struct python_state *s = job->state;
	if (job->begun) {
		Py_RETURN_NONE;
	}
	job->begun = true;
	PyObject *result = NULL;
	if (python_context_enter(s, job->info, job->context) == 0) {
		result = PyObject_CallOneArg(job->function, job->data);
		python_context_exit(s, job->context);
	}
	if (result != NULL && is_awaitable(result)) {
		if (hand_over(job, result) == 0) {
			Py_DECREF(result);
			Py_RETURN_NONE;
		}
		Py_CLEAR(result);
	}
	PyObject *more = result == NULL ? NULL : python_result_value(s, job->info, result);
	if (more != NULL) {
		Py_DECREF(result);
		result = NULL;
		if (hand_over(job, more) == 0) {
			Py_DECREF(more);
			Py_RETURN_NONE;
		}
		Py_DECREF(more);
	}
	python_call_remove(s, job->info);
	if (result == NULL) {
		python_result_exception(s, job->info);
	}
	Py_XDECREF(result);
	Py_RETURN_NONE;
}

static int job_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct job *job = (struct job *)self;
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(job->context);
	Py_VISIT(job->function);
	Py_VISIT(job->data);
	return 0;
}

static int job_clear(PyObject *self)
{
	struct job *job = (struct job *)self;
	Py_CLEAR(job->context);
	Py_CLEAR(job->function);
	Py_CLEAR(job->data);
	return 0;
}

static void job_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	PyObject_GC_UnTrack(self);
	(void)job_clear(self);
	Py_CLEAR(((struct job *)self)->info);
	type->tp_free(self);
	Py_DECREF(type);
}

PyTypeObject *python_job_type_new(PyObject *module)
{
	static PyMethodDef methods[] = {
		{ "run", job_run, METH_NOARGS, "Calls the function and answers." },
		{ "resume", job_resume, METH_NOARGS, "Goes on with the coroutine it returned." },
		{ NULL },
	};
	static char doc[] = "A queued call of a sync function.";
	static PyType_Slot slots[] = {
		{ Py_tp_doc, doc },
		{ Py_tp_methods, methods },
		{ Py_tp_traverse, (void *)job_traverse },
		{ Py_tp_clear, (void *)job_clear },
		{ Py_tp_dealloc, (void *)job_dealloc },
		{ 0, NULL },
	};
	static PyType_Spec spec = {
		.name = "_mozaiks.Job",
		.basicsize = sizeof(struct job),
		.flags =
			Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
		.slots = slots,
	};
	return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}
