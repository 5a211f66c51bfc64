/*
 * Which route a path belongs to. The table is compiled once into a tree of segments; a segment of a
 * path matches an exact child first, then a `{name}`, and every other possibility is tried before it
 * is given up. No I/O.
 *
 * A path is decoded once. Refused with 400: bytes outside RFC 3986, bad escapes, escaped NUL, other
 * control bytes, '/' and '\', invalid UTF-8, `.` and `..` segments. Empty segments match nothing.
 */
#pragma once

#include "director/http/guard.h"
#include "director/http/http.h"

enum { HTTP_PARAMS_MAX = 4, HTTP_SEGMENTS_MAX = 16 };

struct router;

/** @return 0, -ENOMEM, -EINVAL for a bad or repeated pattern. */
int router_new(struct router **ret, const struct http_route *routes, size_t n_routes);
struct router *router_free(struct router *r);

struct route_match {
	const struct http_route *route;
	unsigned n_params;
	struct slice params[HTTP_PARAMS_MAX];
	unsigned allowed; /* bits 1 << enum http_method that the path has, HEAD with GET */
};

enum route_verdict {
	ROUTE_FOUND,
	ROUTE_UNKNOWN, /* 404 */
	ROUTE_METHOD,  /* 405, `allowed` is set */
};

/** @param path decoded; the match's params point into it. */
enum route_verdict router_match(const struct router *r,
	enum http_method method,
	struct slice path,
	struct route_match *ret);

/** True when the path has no escape, so that path_check() needs no room. */
bool path_is_plain(struct slice path);

/**
 * Checks and decodes a path.
 * @param decoded room for path.n bytes, or NULL for a plain path.
 * @param ret_path the decoded path: in `decoded`, or `path` itself.
 * @return true; false with *ret_refusal set.
 */
bool path_decode(struct slice path,
	uint8_t *decoded,
	struct slice *ret_path,
	struct http_refusal *ret_refusal);

/** "GET, HEAD, POST" of such bits, NUL-terminated. */
void router_allow(unsigned allowed, char ret[static 64]);
