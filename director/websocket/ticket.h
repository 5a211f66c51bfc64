/*
 * Tickets: what a page that cannot set headers puts into the URL of its WebSocket instead of a token
 * that would be worth something in a log. 256 random bits, good once, for 30 s. Of a ticket only the hash
 * is kept. Loop thread.
 */
#pragma once

#include "common/base/slice.h"

struct user_context;
struct tickets;

enum {
	TICKET_SIZE = 44, /* with its NUL */
	TICKET_SECONDS = 30,
	TICKETS_MAX = 65536,
	TICKETS_PER_USER_MAX = 16,
};

/** @param now_ms the monotonic clock; NULL: clock_ms(). @param most of all users, TICKETS_MAX.
 * @return NULL without memory. */
struct tickets *tickets_new(uint64_t (*now_ms)(void), unsigned most);
/** NULL is allowed. @return NULL. */
struct tickets *tickets_free(struct tickets *all);

/** Makes one. The user's oldest goes when there are more than TICKETS_PER_USER_MAX.
 * @return 0; -ENOBUFS when there are `most` of all users; -ENOMEM. */
int tickets_issue(struct tickets *all, struct user_context *user, char ret[static TICKET_SIZE]);

/** Takes one. @return whose it is, a reference of the caller's own; NULL for none. */
struct user_context *tickets_redeem(struct tickets *all, struct slice ticket);
