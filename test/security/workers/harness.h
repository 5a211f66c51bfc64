/*
 * Real zygotes and workers as pluginhost makes them, with the plugin of the attacks in each: for
 * test-workers.c and attack-workers.c. The program is its own zygote and worker (harness_role()).
 *
 * Modes: "root" starts as root and gives it up (a uid per worker); "caps" is an ordinary user with
 * CAP_SETUID and CAP_SETGID (a uid per worker); "plain" an ordinary user (one uid for all); "as-is"
 * takes what it was started with, for a run inside a service.
 */
#pragma once

#include "pluginhost/sandbox/profile.h"
#include "pluginhost/zygote.h"
#include "test/security/attacks/attack.h"

#include <stdbool.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

enum { SKIPPED = 77 };

extern struct sandbox_host harness_host;
extern unsigned harness_failures;
extern unsigned harness_checks;

/** Prints what is wrong, and counts. @return ok. */
bool __attribute__((format(printf, 2, 3))) check(bool ok, const char *format, ...);

/** What the test itself cannot do without. */
_Noreturn void __attribute__((format(printf, 1, 2))) give_up(const char *format, ...);

/** First line of main(). @return -1: go on; else the exit status. */
int harness_role(int argc, char **argv);

/**
 * Becomes who the mode says and makes plugins, canary and host. Prints a line "# mode ...".
 * @return false, having said why, when it cannot: skip.
 */
bool harness_open(char **argv, const char *mode);

/** Removes all. @return the exit status. */
int harness_close(void);

/** Starts a generation and waits until it is ready. */
struct zygote *harness_zygote(enum worker_flavour flavour);

/** The same, still starting. */
struct zygote *harness_start_zygote(enum worker_flavour flavour);

bool harness_wait_event(struct zygote *z, struct zygote_event *ret);

/* A worker with the other end of its channel. */
struct subject {
	uint64_t id;
	int channel;
	int out;
	char report[1024];
	struct zygote_event end; /* the last event about it */
};

enum worker_profile harness_profile(enum worker_flavour flavour);

int subject_start(struct zygote *z,
	struct subject *s,
	const char *version,
	enum worker_profile profile,
	const struct worker_limits *limits);
bool subject_await(struct zygote *z, struct subject *s, enum zygote_event_type type);
bool subject_start_and_await(struct zygote *z, struct subject *s, enum worker_flavour flavour);

/** @return false when the worker ended instead. */
bool subject_attack(struct subject *s, unsigned number, bool in_thread, struct attack_outcome *ret);
void subject_close(struct subject *s);

unsigned harness_open_fds(void);

/** Checks that nothing is left of workers that were reaped: descriptors, slots, cgroups. */
void harness_check_leaks(struct zygote *z, unsigned fds, const char *after);
