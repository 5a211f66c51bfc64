#include "common/uvx/async.h"

#include "common/base/error.h"

static void drain(struct uvx_door *d)
{
	uv_mutex_lock(&d->lock);
	struct uvx_item *item = d->first;
	d->first = NULL;
	d->last = &d->first;
	uv_mutex_unlock(&d->lock);
	while (item != NULL) {
		/* The item may be gone once it is delivered. */
		struct uvx_item *next = item->next;
		d->deliver(d->arg, item);
		item = next;
	}
}

static void on_wake(uv_async_t *handle)
{
	drain(handle->data);
}

static void on_closed(uv_handle_t *handle)
{
	struct uvx_door *d = handle->data;
	uv_mutex_destroy(&d->lock);
	if (d->closed != NULL) {
		d->closed(d->closed_arg);
	}
}

int uvx_door_init(struct uvx_door *d,
	uv_loop_t *loop,
	void (*deliver)(void *arg, struct uvx_item *item),
	void *arg)
{
	*d = (struct uvx_door){ .deliver = deliver, .arg = arg };
	d->last = &d->first;
	int r = uv_mutex_init(&d->lock);
	if (r < 0) {
		return r;
	}
	r = uv_async_init(loop, &d->handle, on_wake);
	if (r < 0) {
		uv_mutex_destroy(&d->lock);
		return r;
	}
	d->handle.data = d;
	return 0;
}

bool uvx_door_push(struct uvx_door *d, struct uvx_item *item)
{
	uv_mutex_lock(&d->lock);
	bool open = !d->shut;
	if (open) {
		item->next = NULL;
		*d->last = item;
		d->last = &item->next;
		/* Inside the lock, so that it cannot hit a handle that is being closed. */
		(void)uv_async_send(&d->handle);
	}
	uv_mutex_unlock(&d->lock);
	return open;
}

void uvx_door_close(struct uvx_door *d, uvx_closed_fn closed, void *arg)
{
	if (uv_is_closing((uv_handle_t *)&d->handle)) {
		return;
	}
	uv_mutex_lock(&d->lock);
	d->shut = true;
	uv_mutex_unlock(&d->lock);
	d->closed = closed;
	d->closed_arg = arg;
	/* Closed first: an item's delivery may end in another uvx_door_close(). */
	uv_close((uv_handle_t *)&d->handle, on_closed);
	drain(d);
}
