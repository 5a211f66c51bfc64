/*
 * Between the store and its drivers.
 *
 * The store (store.c) lives on the loop thread: it makes a task of each command (task.h: checked,
 * scoped, copied) and hands it to the driver. The driver works on threads of its own, never libuv's
 * pool, and gives the task back with driver_done(), from any thread, exactly once. What happens in
 * between is the driver's business; the promises are not:
 *
 *  - store_task_skips() and store_task_compile() first; when the one returns true or the other not 0, the
 *    task is answered: give it back.
 *  - STORE_OK for a change means durable: it survives the death of this process and of this machine.
 *    Unless it is known that nothing was done, the answer is STORE_E_UNKNOWN.
 *  - UPDATE, DELETE and MODIFY change all they found or nothing. Where that cannot be had (many
 *    documents on a server without transactions), what failed half way is STORE_E_UNKNOWN.
 *  - The changes that one user makes to one collection are made in the order of their submission
 *    (by the embedded store all of one plugin's).
 *  - Of a chain (store.h) no task begins before store_task_note() was called for the one before it;
 *    driver_done() does that.
 *  - What was answered is seen by every task that is submitted afterwards.
 *  - Error texts are our own: a server's or a file's words may hold another user's data.
 *  - Every task is given back, also when the driver stops or the database is gone: the driver has a
 *    time limit of its own for everything that it waits for.
 */
#pragma once

#include "director/store/store.h"
#include "director/store/task.h"

/* What a driver may call back. */
struct driver_host;

/** Gives a task back, answered. Any thread. The task may be gone when this returns. */
void driver_done(struct driver_host *host, struct store_task *t);

/** The database can no longer be trusted (struct store_config.failed). Any thread; the first counts. */
void driver_failed(struct driver_host *host);

/** The last call of a driver after stop(): every task is given back. Any thread. */
void driver_stopped(struct driver_host *host);

struct driver_config {
	struct driver_host *host;
	const char *address;               /* of the database: a path, or the whole URI; copied */
	unsigned readers;                  /* threads that read at the same time */
	const struct store_limits *limits; /* outlives the driver */
};

struct driver_ops {
	const char *name; /* "sqlite" */
	/** Walks the paths that a database of this address needs. @return as store_files(). */
	int (*files)(const char *address, store_file_fn each, void *arg);
	/**
	 * Opens the database and starts the threads. Blocking; before the loop runs.
	 * @param why for the operator, when it fails.
	 * @return 0 or a negative errno.
	 */
	int (*open)(void **ret_driver, const struct driver_config *c, char why[static 256]);
	/** Takes a task. Loop thread; must not wait. */
	void (*submit)(void *driver, struct store_task *t);
	/** Whether the database could be reached lately. Loop thread; must not wait. */
	bool (*ready)(const void *driver);
	/** Finishes what was submitted, then calls driver_stopped(). Loop thread, once. */
	void (*stop)(void *driver);
	/** Joins the threads, which have ended. Loop thread, after driver_stopped(). */
	void (*free)(void *driver);
};

extern const struct driver_ops sqlite_driver;
extern const struct driver_ops mongodb_driver;
