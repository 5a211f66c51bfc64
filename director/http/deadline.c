#include "director/http/deadline.h"

#include "common/base/map.h"

static void arm(struct deadlines *all)
{
	uint64_t first = UINT64_MAX;
	for (int k = 0; k < DEADLINE_KINDS; k++) {
		if (all->lists[k] != NULL && all->lists[k]->at < first) {
			first = all->lists[k]->at;
		}
	}
	all->due = first;
	if (first != UINT64_MAX) {
		uint64_t now = uv_now(all->loop);
		uvx_timer_once(&all->timer, first > now ? first - now : 0);
	}
}

static void clear(struct deadlines *all, struct deadline *d)
{
	if (d->kind != DEADLINE_NONE) {
		DL_DELETE(all->lists[d->kind], d);
		d->kind = DEADLINE_NONE;
	}
}

static void on_timer(void *arg)
{
	struct deadlines *all = arg;
	uint64_t now = uv_now(all->loop);
	for (int k = 0; k < DEADLINE_KINDS; k++) {
		/* What is set again goes to the end with a later time, so this ends. */
		while (all->lists[k] != NULL && all->lists[k]->at <= now) {
			struct deadline *d = all->lists[k];
			clear(all, d);
			all->expired(all->arg, d, (enum deadline_kind)k);
		}
	}
	arm(all);
}

void deadlines_init(struct deadlines *all,
	uv_loop_t *loop,
	const uint64_t ms[DEADLINE_KINDS],
	void (*expired)(void *arg, struct deadline *d, enum deadline_kind kind),
	void *arg)
{
	*all = (struct deadlines){
		.loop = loop, .due = UINT64_MAX, .expired = expired, .arg = arg
	};
	for (int k = 0; k < DEADLINE_KINDS; k++) {
		all->ms[k] = ms[k] > 0 ? ms[k] : 1;
	}
	uvx_timer_init(&all->timer, loop, on_timer, all);
}

void deadline_set(struct deadlines *all, struct deadline *d, enum deadline_kind kind)
{
	clear(all, d);
	if (kind == DEADLINE_NONE) {
		return;
	}
	d->kind = kind;
	d->at = uv_now(all->loop) + all->ms[kind];
	DL_APPEND(all->lists[kind], d);
	if (d->at < all->due) {
		arm(all);
	}
}

void deadlines_close(struct deadlines *all, uvx_closed_fn closed, void *arg)
{
	uvx_timer_close(&all->timer, closed, arg);
}
