/*
 * The certificate and its key on disk: read at the start, and again when the files have changed or
 * somebody asks. New ones that are no good are logged and the old ones stay; connections that exist
 * go on with what they began with. The files are read on another thread. Loop thread.
 *
 * Whoever renews a certificate replaces two files one after the other, so that for a moment they may
 * not belong together; that is logged too, and the next look takes them.
 */
#pragma once

#include "common/uvx/close.h"
#include "director/tls/tls.h"

#include <uv.h>

struct certificates;

struct certificates_config {
	uv_loop_t *loop;
	const char *certificate_path; /* TLS_CERT_FILE; outlives it, as the next */
	const char *key_path;         /* TLS_KEY_FILE */
	uint64_t check_ms;            /* how often to look for changes; 0: only when asked */
	/* A new context is to be used from now on; the one before may be freed afterwards. */
	void (*changed)(void *owner, struct tls_context *context);
	void *owner;
};

/**
 * Reads them, here and now.
 * @param why for the operator, when the answer is not 0.
 * @return 0, TLS_E_BAD or a negative errno.
 */
int certificates_new(struct certificates **ret,
	const struct certificates_config *config,
	char why[static TLS_WHY_SIZE]);

/** What is used now. Valid until `changed`. */
struct tls_context *certificates_context(const struct certificates *c);

/** Looks for changes from now on. After the program is confined and its loop is about to run. */
void certificates_watch(struct certificates *c);

/** Reads them anew, changed or not, and says in the log what came of it. */
void certificates_reload(struct certificates *c);

/** Ends it and frees it; `closed` may come after a turn of the loop. NULL: `closed` comes at once. */
void certificates_close(struct certificates *c, uvx_closed_fn closed, void *arg);
