/*
 * One piece of work on a thread of libuv's pool: what must not hold up the loop, such as reading
 * files. Embedded in what it belongs to; one run at a time. Loop thread, but for `run`.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

struct uvx_work {
	uv_work_t request;
	uv_loop_t *loop;
	void (*run)(void *arg);  /* on another thread */
	void (*done)(void *arg); /* on the loop's, when it has run */
	void *arg;
	bool busy; /* between start and done; it must stay where it is until then */
};

void uvx_work_init(struct uvx_work *w,
	uv_loop_t *loop,
	void (*run)(void *arg),
	void (*done)(void *arg),
	void *arg);

/** Starts a run. Not while it is busy. */
void uvx_work_start(struct uvx_work *w);
