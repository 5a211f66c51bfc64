#include "common/uvx/timer.h"

#include "common/base/error.h"

static void on_fired(uv_timer_t *handle)
{
	struct uvx_timer *t = handle->data;
	t->fired(t->arg);
}

static void on_closed(uv_handle_t *handle)
{
	struct uvx_timer *t = handle->data;
	if (t->closed != NULL) {
		t->closed(t->closed_arg);
	}
}

void uvx_timer_init(struct uvx_timer *t, uv_loop_t *loop, void (*fired)(void *arg), void *arg)
{
	*t = (struct uvx_timer){ .fired = fired, .arg = arg };
	int r = uv_timer_init(loop, &t->handle);
	invariant(r == 0);
	t->handle.data = t;
}

void uvx_timer_once(struct uvx_timer *t, uint64_t ms)
{
	/* Refused only after the close, where it must have no effect. */
	(void)uv_timer_start(&t->handle, on_fired, ms, 0);
}

void uvx_timer_every(struct uvx_timer *t, uint64_t ms)
{
	uint64_t period = ms > 0 ? ms : 1;
	(void)uv_timer_start(&t->handle, on_fired, period, period);
}

void uvx_timer_stop(struct uvx_timer *t)
{
	(void)uv_timer_stop(&t->handle);
}

void uvx_timer_close(struct uvx_timer *t, uvx_closed_fn closed, void *arg)
{
	if (uv_is_closing((uv_handle_t *)&t->handle)) {
		return;
	}
	t->closed = closed;
	t->closed_arg = arg;
	uv_close((uv_handle_t *)&t->handle, on_closed);
}
