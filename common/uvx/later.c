#include "common/uvx/later.h"

#include "common/base/error.h"

static void on_idle(uv_idle_t *handle)
{
	struct uvx_later *l = handle->data;
	/* Stopped first: `run` may ask again. */
	(void)uv_idle_stop(handle);
	l->run(l->arg);
}

static void on_closed(uv_handle_t *handle)
{
	struct uvx_later *l = handle->data;
	if (l->closed != NULL) {
		l->closed(l->closed_arg);
	}
}

void uvx_later_init(struct uvx_later *l, uv_loop_t *loop, void (*run)(void *arg), void *arg)
{
	*l = (struct uvx_later){ .run = run, .arg = arg };
	int r = uv_idle_init(loop, &l->handle);
	invariant(r == 0);
	l->handle.data = l;
}

void uvx_later_ask(struct uvx_later *l)
{
	if (!uv_is_closing((uv_handle_t *)&l->handle)) {
		(void)uv_idle_start(&l->handle, on_idle);
	}
}

void uvx_later_close(struct uvx_later *l, uvx_closed_fn closed, void *arg)
{
	if (uv_is_closing((uv_handle_t *)&l->handle)) {
		return;
	}
	l->closed = closed;
	l->closed_arg = arg;
	uv_close((uv_handle_t *)&l->handle, on_closed);
}
