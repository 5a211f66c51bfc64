/* Readiness of a descriptor that somebody else reads. Loop thread only. */
#pragma once

#include "common/uvx/close.h"

#include <uv.h>

struct uvx_poll {
	uv_poll_t handle;
	void (*ready)(void *arg);
	void (*happened)(void *arg, int events);
	void *arg;
	uvx_closed_fn closed;
	void *closed_arg;
};

/**
 * `ready(arg)` runs whenever `fd` is readable or broken: read it until it would block.
 * @param fd stays the caller's; it must be open until `closed`.
 * @return 0 or a negative errno, after which there is nothing to close.
 */
int uvx_poll_init(struct uvx_poll *p, uv_loop_t *loop, int fd, void (*ready)(void *arg), void *arg);

/**
 * The same for both directions; nothing is watched yet. `happened(arg, events)` gets UV_READABLE,
 * UV_WRITABLE or both; both when the descriptor is broken.
 */
int uvx_poll_init_events(struct uvx_poll *p,
	uv_loop_t *loop,
	int fd,
	void (*happened)(void *arg, int events),
	void *arg);

/** What to watch from now on: UV_READABLE, UV_WRITABLE, both, or 0. @return 0 or a negative errno. */
int uvx_poll_watch(struct uvx_poll *p, int events);

/** While paused, `ready` is not called. @return 0 or a negative errno. */
int uvx_poll_pause(struct uvx_poll *p);
int uvx_poll_resume(struct uvx_poll *p);

void uvx_poll_close(struct uvx_poll *p, uvx_closed_fn closed, void *arg);
