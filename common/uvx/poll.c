#include "common/uvx/poll.h"

static void on_ready(uv_poll_t *handle, int status, int events)
{
	struct uvx_poll *p = handle->data;
	p->ready(p->arg);
}

static void on_closed(uv_handle_t *handle)
{
	struct uvx_poll *p = handle->data;
	if (p->closed != NULL) {
		p->closed(p->closed_arg);
	}
}

int uvx_poll_init(struct uvx_poll *p, uv_loop_t *loop, int fd, void (*ready)(void *arg), void *arg)
{
	*p = (struct uvx_poll){ .ready = ready, .arg = arg };
	/* Fails before the handle is part of the loop. */
	int r = uv_poll_init(loop, &p->handle, fd);
	if (r < 0) {
		return r;
	}
	p->handle.data = p;
	return uv_poll_start(&p->handle, UV_READABLE, on_ready);
}

static void on_happened(uv_poll_t *handle, int status, int events)
{
	struct uvx_poll *p = handle->data;
	p->happened(p->arg, status < 0 ? UV_READABLE | UV_WRITABLE : events);
}

int uvx_poll_init_events(struct uvx_poll *p,
	uv_loop_t *loop,
	int fd,
	void (*happened)(void *arg, int events),
	void *arg)
{
	*p = (struct uvx_poll){ .happened = happened, .arg = arg };
	int r = uv_poll_init(loop, &p->handle, fd);
	p->handle.data = p;
	return r;
}

int uvx_poll_watch(struct uvx_poll *p, int events)
{
	if (uv_is_closing((uv_handle_t *)&p->handle)) {
		return UV_EINVAL;
	}
	return events == 0 ? uv_poll_stop(&p->handle)
			   : uv_poll_start(&p->handle, events, on_happened);
}

int uvx_poll_pause(struct uvx_poll *p)
{
	return uv_poll_stop(&p->handle);
}

int uvx_poll_resume(struct uvx_poll *p)
{
	if (uv_is_closing((uv_handle_t *)&p->handle)) {
		return UV_EINVAL;
	}
	return uv_poll_start(&p->handle, UV_READABLE, on_ready);
}

void uvx_poll_close(struct uvx_poll *p, uvx_closed_fn closed, void *arg)
{
	if (uv_is_closing((uv_handle_t *)&p->handle)) {
		return;
	}
	p->closed = closed;
	p->closed_arg = arg;
	uv_close((uv_handle_t *)&p->handle, on_closed);
}
