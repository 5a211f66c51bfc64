#include "common/uvx/turn.h"

#include "common/base/error.h"

static void on_prepare(uv_prepare_t *handle)
{
	struct uvx_turn *t = handle->data;
	t->run(t->arg);
}

static void on_check(uv_check_t *handle)
{
	struct uvx_turn *t = handle->data;
	t->run(t->arg);
}

static void on_closed(uv_handle_t *handle)
{
	struct uvx_turn *t = handle->data;
	uvx_closing_one(&t->closing);
}

void uvx_turn_init(struct uvx_turn *t, uv_loop_t *loop, void (*run)(void *arg), void *arg)
{
	*t = (struct uvx_turn){ .run = run, .arg = arg };
	/* Neither init nor start of these can fail with a callback. */
	int r = uv_prepare_init(loop, &t->prepare);
	invariant(r == 0);
	r = uv_check_init(loop, &t->check);
	invariant(r == 0);
	t->prepare.data = t;
	t->check.data = t;
	(void)uv_prepare_start(&t->prepare, on_prepare);
	(void)uv_check_start(&t->check, on_check);
	uv_unref((uv_handle_t *)&t->prepare);
	uv_unref((uv_handle_t *)&t->check);
}

void uvx_turn_close(struct uvx_turn *t, uvx_closed_fn closed, void *arg)
{
	if (uv_is_closing((uv_handle_t *)&t->prepare)) {
		return;
	}
	uvx_closing_begin(&t->closing, closed, arg);
	(void)uvx_closing_add(&t->closing);
	uv_close((uv_handle_t *)&t->prepare, on_closed);
	(void)uvx_closing_add(&t->closing);
	uv_close((uv_handle_t *)&t->check, on_closed);
	uvx_closing_one(&t->closing);
}
