/*
 * What the account routes have in common: a request that waits for an operation on accounts, its end as
 * an answer, and the bodies they are asked with. Loop thread.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/json/tree.h"
#include "director/http/http.h"
#include "director/users/users.h"

struct director;

/* Renders an operation that went well. */
typedef int (*account_render_fn)(struct buffer *b, const struct users_answer *a);

/** Begins the operation for a request, which is answered when it has ended. */
void account_begin(struct director *d,
	struct http_request *r,
	const struct operation_kind *kind,
	const struct users_request *request,
	account_render_fn render);

/** on_abort of every route that uses account_begin(). */
void account_on_abort(void *owner, struct http_request *r);

/** on_head of routes that there are with local accounts only: else 404. */
bool account_on_head(void *owner, struct http_request *r);

/** 422 that names a field. */
void account_refuse(struct http_request *r, const char *field, const char *text);

/** The body as a JSON object; false after 400, 413 or 422. @param ret_tree the caller's. */
bool account_read_json(struct http_request *r, struct slice body, json_t **ret_tree);

/** A text member; false after 422. An optional one that is absent or null is empty. */
bool account_read_text(struct http_request *r,
	const json_t *tree,
	const char *name,
	enum json_presence presence,
	struct slice *ret);

/** The client's address as the throttle counts it: of IPv6 the /64. */
struct slice account_address(const struct http_request *r, char out[static HTTP_ADDRESS_SIZE]);

enum { ACCOUNT_BODY_MAX = 64 * 1024 };
