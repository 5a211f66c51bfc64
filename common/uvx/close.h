/*
 * The close contract of everything in this folder, and a count for owners of several things.
 *
 * X_close(x, closed, arg) asks; `closed(arg)` (may be NULL) comes once, later, from the loop, never
 * before X_close() returned; only then may the memory of x go. After X_close() no other callback of
 * x comes. A second X_close() is ignored together with its callback. Nothing outside this folder
 * and common/channel calls uv_close().
 */
#pragma once

#include <stddef.h>

typedef void (*uvx_closed_fn)(void *arg);

/*
 * Several closes, one end:
 *	uvx_closing_begin(&c, done, owner);
 *	uvx_timer_close(&t, uvx_closing_one, uvx_closing_add(&c));
 *	uvx_poll_close(&p, uvx_closing_one, uvx_closing_add(&c));
 *	uvx_closing_one(&c);
 * `done(owner)` runs in the last of them, and the memory of all may be freed in it.
 */
struct uvx_closing {
	unsigned left;
	uvx_closed_fn done;
	void *arg;
};

static inline void uvx_closing_begin(struct uvx_closing *c, uvx_closed_fn done, void *arg)
{
	*c = (struct uvx_closing){ .left = 1, .done = done, .arg = arg };
}

static inline void *uvx_closing_add(struct uvx_closing *c)
{
	c->left++;
	return c;
}

static inline void uvx_closing_one(void *closing)
{
	struct uvx_closing *c = closing;
	if (--c->left == 0 && c->done != NULL) {
		c->done(c->arg);
	}
}
