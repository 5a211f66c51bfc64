/*
 * Requests that kill workers. After a crash every request that was in flight is under suspicion, the less
 * the more there were; one under suspicion runs alone, in a worker of its own, one at a time. There it
 * either clears itself or is the proof: with enough crashes it is quarantined, and answered without
 * touching a worker. Users whose requests crash again and again are slowed down.
 *
 * A request is known by a keyed hash, so that nobody can choose two that are taken for one. What is kept is
 * bounded: the latest QUARANTINE_REQUESTS, and as many users as QUARANTINE_USERS.
 *
 * Pure: time is a parameter. One for all plugins; the plugin is part of the hash. Loop thread.
 */
#pragma once

#include "common/base/slice.h"

struct quarantine_policy {
	uint64_t crashes;    /* that quarantine a request; 0: none ever is */
	uint64_t window_ms;  /* … within this time */
	uint64_t ms, max_ms; /* for how long; twice as long each time, up to the maximum */
	uint64_t
		user_crashes; /* more than these within the window: the user is slowed down; 0: never */
	uint64_t user_wait_ms; /* to one request in this time */
};

enum { QUARANTINE_REQUESTS = 4096, QUARANTINE_USERS = 1024 };

enum quarantine_verdict {
	QUARANTINE_CLEAN,
	QUARANTINE_ALONE,   /* under suspicion: in a worker of its own */
	QUARANTINE_REFUSED, /* quarantined */
	QUARANTINE_SLOWED,  /* its user is slowed down */
};

struct quarantine;

/** @return 0 or -ENOMEM. */
int quarantine_new(struct quarantine **ret, const struct quarantine_policy *policy);
/** NULL is allowed. @return NULL. */
struct quarantine *quarantine_free(struct quarantine *q);

/** The hash of a request to a plugin, never 0. @param route method and route template. */
uint64_t quarantine_request(
	const struct quarantine *q, struct slice plugin, struct slice route, struct slice body);

/** The hash of a user at a plugin, never 0. */
uint64_t quarantine_user(const struct quarantine *q, struct slice plugin, struct slice user);

/**
 * What is to be done with a request. SLOWED takes the user's turn when it is free.
 * @param ret_wait_ms until it is worth asking again; with REFUSED and SLOWED.
 */
enum quarantine_verdict quarantine_ask(struct quarantine *q,
	uint64_t request,
	uint64_t user,
	uint64_t now_ms,
	uint64_t *ret_wait_ms);

/** As quarantine_ask() for one that waited meanwhile: the user's turn was taken already. */
enum quarantine_verdict quarantine_ask_again(
	const struct quarantine *q, uint64_t request, uint64_t now_ms);

/** A request under suspicion is about to run. @return false while another like it does. */
bool quarantine_begin(struct quarantine *q, uint64_t request);

/** It has run, with whatever end. */
void quarantine_over(struct quarantine *q, uint64_t request);

/** A request was answered. */
void quarantine_succeeded(struct quarantine *q, uint64_t request);

/* One that was in flight at a crash; 0 for what is not known. */
struct quarantine_suspect {
	uint64_t request, user;
};

/**
 * A worker crashed with these in flight.
 * @param ret the one that most likely did it; zeros for an empty list.
 * @return the request that is quarantined now because of it, 0 for none.
 */
uint64_t quarantine_crashed(struct quarantine *q,
	const struct quarantine_suspect *list,
	size_t n,
	uint64_t now_ms,
	struct quarantine_suspect *ret);
