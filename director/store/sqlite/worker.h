/* The threads of the driver: one that writes, some that read. Inside of the driver only. */
#pragma once

#include "director/store/driver.h"
#include "director/store/sqlite/queue.h"
#include "director/store/sqlite/schema.h"

enum { READERS_MAX = 64 };

struct reader {
	struct sqlite_store *store;
	struct connection connection;
	pthread_t thread;
	bool running;
};

struct sqlite_store {
	struct driver_host *host;
	const struct store_limits *limits;
	char *path;
	struct schema_lock lock;
	struct task_queue writes;
	struct task_queue reads;
	struct connection writer;
	pthread_t writer_thread;
	bool writer_running;
	struct reader readers[READERS_MAX];
	unsigned n_readers;
	/* Of the writer's thread: */
	bool failed;           /* takes no more writes */
	bool garbage;          /* ended jobs or dropped indexes have left rows behind */
	int64_t last_job;      /* the number of the last job */
	uint64_t expire_at_ms; /* clock_ms() of the next look for documents whose time is over */
	int wal_pages;         /* in the log after the last commit */
	int checkpointed;      /* of them, at the last attempt to move them */
};

/** The writer: batches of tasks, each batch one transaction; answers after the commit. */
void *writer_main(void *store);

/** A reader: one task after another, each on a snapshot. */
void *reader_main(void *arg);
