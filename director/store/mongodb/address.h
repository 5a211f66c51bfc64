/*
 * DATABASE_URI for libmongoc: checked before anything connects, with what the runtime promises put
 * into it.
 *
 * Forced: w=majority, journal=true, reads from the primary. Given in the URI or ours: the timeouts,
 * retryWrites, appname, maxPoolSize (the number of threads). Messages name a part of the URI or an
 * option, never a value: a value may be a password.
 */
#pragma once

#include "director/store/store.h"

#include <mongoc/mongoc.h>

struct mongodb_address {
	mongoc_uri_t *uri;
	char database[64]; /* of the URI's path; "mozaiks" without one */
	unsigned threads;  /* maxPoolSize; 0: not given */
};

/**
 * Reads the text. At start, before other threads use libmongoc: its log handler is changed meanwhile.
 * @param operation_ms one command at work may take so long: answers are waited for longer.
 * @param why for the operator; names DATABASE_URI.
 * @return 0; -EINVAL; -ENOMEM.
 */
int mongodb_address_init(
	struct mongodb_address *a, const char *text, unsigned operation_ms, char why[static 256]);
void mongodb_address_deinit(struct mongodb_address *a);

/** The files of certificates. What cannot be read has none. @return as store_files(). */
int mongodb_address_files(const char *text, store_file_fn each, void *arg);

/** Sends libmongoc's own log to ours, from now on. */
void mongodb_address_log(void);
