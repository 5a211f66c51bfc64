/*
 * Deadlines of connections. Each kind has one duration, so a list per kind, appended at its end, is
 * sorted by itself, and one timer looks at the heads: setting, moving and clearing a deadline cost a
 * few pointers and no system call.
 */
#pragma once

#include "common/uvx/timer.h"

#include <stdint.h>

enum deadline_kind {
	DEADLINE_HANDSHAKE,
	DEADLINE_HEADER,
	DEADLINE_BODY,
	DEADLINE_KEEPALIVE,
	DEADLINE_SEND,
	DEADLINE_LINGER,
	DEADLINE_KINDS,
	DEADLINE_NONE = DEADLINE_KINDS,
};

/* Embedded in what it belongs to; { .kind = DEADLINE_NONE } is not set. */
struct deadline {
	struct deadline *prev;
	struct deadline *next;
	enum deadline_kind kind;
	uint64_t at; /* uv_now() */
	void *owner;
};

struct deadlines {
	uv_loop_t *loop;
	struct uvx_timer timer;
	uint64_t due; /* when the timer fires; UINT64_MAX while it is stopped */
	uint64_t ms[DEADLINE_KINDS];
	struct deadline *lists[DEADLINE_KINDS];
	void (*expired)(void *arg, struct deadline *d, enum deadline_kind kind);
	void *arg;
};

/** @param expired gets a deadline that is no longer set; it may set it again. */
void deadlines_init(struct deadlines *all,
	uv_loop_t *loop,
	const uint64_t ms[DEADLINE_KINDS],
	void (*expired)(void *arg, struct deadline *d, enum deadline_kind kind),
	void *arg);

/** Sets or moves it: from now on, the kind's whole duration. DEADLINE_NONE clears it. */
void deadline_set(struct deadlines *all, struct deadline *d, enum deadline_kind kind);

/** All deadlines must be cleared before `closed`. */
void deadlines_close(struct deadlines *all, uvx_closed_fn closed, void *arg);
