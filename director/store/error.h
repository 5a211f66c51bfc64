/*
 * What can go wrong with a command, as plugins see it: a class with a stable code, and one sentence
 * for the plugin's author. The sentence never holds another user's data: only names that the caller
 * sent, sizes and limits.
 */
#pragma once

#include "common/base/slice.h"

/* Error classes, each with a stable code for plugins ("duplicate_key"). */
enum store_error {
	STORE_OK = 0,
	STORE_E_INVALID,     /* "invalid_argument": names the operator or field */
	STORE_E_UNSUPPORTED, /* "unsupported" */
	STORE_E_PERMISSION,  /* "permission_denied": reaches outside the scope */
	STORE_E_LIMIT,       /* "limit_exceeded": names the limit, its value and the setting */
	STORE_E_DUPLICATE,   /* "duplicate_key" */
	STORE_E_UNAVAILABLE, /* "unavailable": nothing was done */
	STORE_E_UNKNOWN,     /* "unknown_outcome": a write may or may not have happened */
	STORE_E_FULL,        /* "storage_full" */
	STORE_E_INTERNAL,    /* "internal" */
};

enum { STORE_MESSAGE_MAX = 256 };

struct store_failure {
	enum store_error error;
	char message[STORE_MESSAGE_MAX];
};

/** The stable code of an error class; "ok" for STORE_OK. */
const char *store_error_code(enum store_error e);

/**
 * Records why something was refused. The text is valid UTF-8 also when it had to be cut.
 * @return (int)e, so that a function can end with it: positive, a documented outcome.
 */
int store_fail(struct store_failure *f, enum store_error e, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * Arguments for "%.*s": a name from outside, at most 64 bytes of it. STORE_NAME(s) evaluates `s`
 * twice.
 */
#define STORE_NAME(s) (int)store_name_length(s), (const char *)(s).p
size_t store_name_length(struct slice s);
