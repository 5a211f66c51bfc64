/*
 * Step 5 of an execute call: the trusted members replace what the client sent under their names.
 *
 * One strict pass over the client's text (common/json/scan.h) finds the top-level members and plans
 * what is kept; writing then copies the kept bytes and appends the trusted members as the last ones,
 * so that a parser which keeps the last duplicate keeps ours. Nothing is re-encoded.
 *
 * Loop thread; one injector serves all requests, one after another.
 */
#pragma once

#include "common/base/buffer.h"

enum {
	/* Reserved members that a client may send before it is refused: INJECT_TOO_MANY. */
	INJECT_REMOVED_MAX = 64,
};

enum inject_result {
	INJECT_OK = 0,
	INJECT_MALFORMED,  /* not strict JSON */
	INJECT_NOT_OBJECT, /* JSON, but no object */
	INJECT_DUPLICATE,  /* a name twice at top level */
	INJECT_TOO_MANY,   /* more than INJECT_REMOVED_MAX reserved members */
};

struct injector;

/** @return 0 or -ENOMEM. */
int injector_new(struct injector **ret);
/** NULL is allowed. @return NULL. */
struct injector *injector_free(struct injector *in);

/**
 * Checks the client's body and plans the result. `body` must stay until inject_write().
 * @param why on a refusal: the sentence for the client, naming what and where.
 * @return INJECT_*, or -ENOMEM.
 */
int inject_check(struct injector *in, struct slice body, char why[static 256]);

/** Bytes that inject_write() will append for this trusted text. */
size_t inject_size(const struct injector *in, struct slice trusted);

/**
 * Appends the planned object.
 * @param trusted members as JSON text without braces: user_context.trusted.
 * @return 0, -ENOBUFS, -ENOMEM.
 */
int inject_write(const struct injector *in, struct slice trusted, struct buffer *out);

/** True for user_id, app_id, _context, user_jwt and _entitlements, however they are escaped. */
bool inject_is_reserved(struct slice escaped_name);
