/*
 * Regular expressions of filters: PCRE2, UTF-8, unanchored, no JIT (the director maps no executable
 * memory). The pattern comes from a plugin, so its length, its compiled size and the work of one
 * match are bounded; it cannot raise the bounds itself.
 */
#pragma once

#include "director/store/error.h"

struct regex;

/**
 * @param options any of "imsx" ("u" is accepted: it is always on).
 * @param max_bytes the longest pattern; the error names MOZAIKS_MAX_REGEX_BYTES.
 * @param max_steps of backtracking in one regex_match(): MOZAIKS_MAX_REGEX_STEPS.
 * @return 0; STORE_E_INVALID or STORE_E_LIMIT and `f`; -ENOMEM.
 */
int regex_compile(struct regex **ret,
	struct slice pattern,
	struct slice options,
	size_t max_bytes,
	uint32_t max_steps,
	struct store_failure *f);
struct regex *regex_free(struct regex *re);

/** @return 1 when it is found somewhere in `text`, 0 when not, -1 when the match limit was hit. */
int regex_match(const struct regex *re, struct slice text);

/** True when a stored regular expression is this one. */
bool regex_same(const struct regex *re, struct slice pattern, struct slice options);
