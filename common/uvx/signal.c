#include "common/uvx/signal.h"

#include "common/base/error.h"

static void on_signal(uv_signal_t *handle, int signum)
{
	struct uvx_signals *s = handle->data;
	s->fired(s->arg, signum);
}

static void on_closed(uv_handle_t *handle)
{
	struct uvx_signals *s = handle->data;
	uvx_closing_one(&s->closing);
}

int uvx_signals_init(struct uvx_signals *s,
	uv_loop_t *loop,
	const int *signums,
	unsigned n,
	void (*fired)(void *arg, int signum),
	void *arg)
{
	invariant(n <= UVX_SIGNALS_MAX);
	*s = (struct uvx_signals){ .fired = fired, .arg = arg };
	for (unsigned i = 0; i < n; i++) {
		int r = uv_signal_init(loop, &s->handles[i]);
		if (r < 0) {
			return r;
		}
		s->handles[i].data = s;
		s->n++;
		uv_unref((uv_handle_t *)&s->handles[i]);
		r = uv_signal_start(&s->handles[i], on_signal, signums[i]);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

void uvx_signals_close(struct uvx_signals *s, uvx_closed_fn closed, void *arg)
{
	if (s->is_closing) {
		return;
	}
	s->is_closing = true;
	uvx_closing_begin(&s->closing, closed, arg);
	for (unsigned i = 0; i < s->n; i++) {
		(void)uvx_closing_add(&s->closing);
		uv_close((uv_handle_t *)&s->handles[i], on_closed);
	}
	uvx_closing_one(&s->closing);
}
