/*
 * GETs of small documents, such as an issuer's keys: libcurl's multi interface on the loop, so that
 * nothing ever waits. Loop thread.
 *
 * Bounded in time and size; redirects, other protocols, proxies of another protocol, cookies and
 * .netrc are not followed; TLS 1.2 or later, with the certificate and its name checked. Names are
 * looked up on a thread of libcurl's.
 */
#pragma once

#include "common/base/slice.h"
#include "common/uvx/close.h"

#include <uv.h>

struct fetcher;

enum { FETCH_WHY_SIZE = 384, FETCH_URL_MAX = 2048 };

/** Once, before other threads exist. @return 0, -ENOMEM. */
int fetcher_new(struct fetcher **ret, uv_loop_t *loop);

/** Ends what is under way, without its callback. Then `closed`, once; then fetcher_free(). */
void fetcher_close(struct fetcher *f, uvx_closed_fn closed, void *arg);
struct fetcher *fetcher_free(struct fetcher *f);

/**
 * May this URL be asked? https, or http when that is allowed or the host is this machine; a host, no
 * user or password, at most FETCH_URL_MAX bytes.
 * @return NULL, or why not, as the end of a sentence that begins with the URL's name.
 */
const char *fetch_url_problem(const char *url, bool http_allowed);

struct fetch_request {
	const char *url;  /* that had no problem; copied */
	struct slice ca;  /* PEM certificates instead of the system's; empty: those. Outlives it */
	size_t bytes_max; /* of the body */
	unsigned timeout_ms;       /* for all of it */
	const char *bytes_setting; /* named when the body is longer */
};

struct fetch_answer {
	bool good;         /* status 200 and the whole body */
	struct slice body; /* valid during the call */
	const char *why;   /* when it is not good: a sentence without a full stop */
};

typedef void (*fetch_done_fn)(void *arg, const struct fetch_answer *answer);

/** `done` comes once, later, from the loop. @return 0, -ENOMEM. */
int fetch_start(
	struct fetcher *f, const struct fetch_request *request, fetch_done_fn done, void *arg);
