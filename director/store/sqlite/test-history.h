/*
 * For tests: a load of writes of one plugin, numbered, and the verdict over what is found of them after
 * a fault. Every acknowledged write is there, once; of the others each is there once or not at all;
 * none is there by half; the order of submission holds; nothing is there that nobody wrote.
 *
 * The kinds, by number: write 0 inserts some thousand documents; every 40th changes all of those; the
 * others insert one document, insert three, or push onto a list.
 */
#pragma once

#include "director/store/store.h"

#include <uv.h>

enum { HISTORY_WRITES_MAX = 1 << 20 };

struct history {
	bool *invoked;
	bool *acknowledged;
	uint8_t *found;            /* documents, or places in a list */
	uint32_t next;             /* behind the last that was invoked */
	unsigned acknowledgements; /* in all; not cleared */
	int64_t changes_found;     /* of all documents of write 0, at the last check */
};

/** Empty; aborts without memory. */
void history_init(struct history *h);
void history_deinit(struct history *h);
void history_clear(struct history *h);
void history_note(struct history *h, uint32_t seq, bool acknowledged);

/**
 * Opens the store in `dir`, reads everything and fails the test unless the verdict is good.
 * @param first the first write of the last life of the writer: only its order is known.
 */
void history_check(struct history *h, const char *dir, uint32_t first);

struct load {
	struct store *store;
	uint32_t next; /* number of the next write */
	uint32_t end;  /* none from here on */
	unsigned waiting;
	/* Before a write is submitted and when it is acknowledged; a refused one ends the program. */
	void (*report)(void *arg, uint32_t seq, bool acknowledged);
	void *arg;
};

/** Opens the store in `dir`. @return as store_open(), which has said why. */
int load_open(uv_loop_t *loop, const char *dir, struct store **ret);

/** Submits the first writes; each answer submits another. */
void load_start(struct load *l);
