#include "common/uvx/work.h"

#include "common/base/error.h"

static void on_run(uv_work_t *request)
{
	struct uvx_work *w = request->data;
	w->run(w->arg);
}

/* Never cancelled: `status` says nothing. */
static void on_done(uv_work_t *request, int status)
{
	struct uvx_work *w = request->data;
	w->busy = false;
	w->done(w->arg);
}

void uvx_work_init(struct uvx_work *w,
	uv_loop_t *loop,
	void (*run)(void *arg),
	void (*done)(void *arg),
	void *arg)
{
	*w = (struct uvx_work){ .loop = loop, .run = run, .done = done, .arg = arg };
	w->request.data = w;
}

void uvx_work_start(struct uvx_work *w)
{
	invariant(!w->busy);
	w->busy = true;
	/* Fails only without a function to run. */
	int r = uv_queue_work(w->loop, &w->request, on_run, on_done);
	invariant(r == 0);
}
