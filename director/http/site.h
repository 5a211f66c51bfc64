/*
 * What a site lets browsers do: the hosts that it answers for, and the origins whose pages may read
 * its answers (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol). Lists from settings,
 * compared exactly; no pattern but a leading "*." of a host. No I/O.
 */
#pragma once

#include "common/base/slice.h"

#include <stdbool.h>

enum { SITE_ENTRIES_MAX = 64, SITE_ENTRY_BYTES_MAX = 256 };

struct site_list {
	struct slice entries[SITE_ENTRIES_MAX];
	size_t n;
};

struct http_site {
	struct site_list hosts;   /* none: any */
	struct site_list origins; /* none: no other origin */
};

/**
 * Adds the entries of a comma-separated list; blanks round them and empty ones do not count.
 * Hosts: "example.org" without port, "*.example.org" for what is below it, "*" for all. Origins:
 * "https://example.org" or "http://example.org:8080", no path, no "*".
 * @param list stays where it is while the site is used.
 * @return true; false with *ret_bad set to the entry that is none, or that is one too many.
 */
bool site_add_hosts(struct http_site *s, struct slice list, struct slice *ret_bad);
bool site_add_origins(struct http_site *s, struct slice list, struct slice *ret_bad);

/** @param authority of the request, with or without a port; empty in HTTP/1.0. */
bool site_serves(const struct http_site *s, struct slice authority);

/** True when a page of that origin may read answers. "null" never may. */
bool site_trusts(const struct http_site *s, struct slice origin);
