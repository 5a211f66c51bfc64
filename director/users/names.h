/*
 * What a user may be called, and when two names are the same one.
 *
 * A username is 1 to 64 of A-Z a-z 0-9 . _ @ + -, the first a letter or a digit. ASCII alone, so that no
 * two look alike; what people write elsewhere is the full name's. An e-mail address is ASCII without
 * blanks, quotes and angles, something@domain, at most 254 bytes. Upper and lower case are one in both:
 * what is compared is the key, the name in lower case. Names of data that was there before may be
 * anything; their keys have A to Z in lower case and every other byte as it is.
 *
 * No I/O. Any thread.
 */
#pragma once

#include "common/base/slice.h"

enum {
	USER_NAME_MAX = 64,
	USER_EMAIL_MAX = 254,
	USER_FULL_NAME_MAX = 200, /* bytes */
	USER_KEY_MAX = 256,       /* the longest name that is looked for */
};

/** @return NULL when it is fine, else the rule that it breaks. */
const char *user_name_refusal(struct slice name);
const char *user_email_refusal(struct slice email);
const char *user_full_name_refusal(struct slice name);

/**
 * The key of a name.
 * @param out room for USER_KEY_MAX bytes.
 * @return its bytes in `out`; empty: longer than USER_KEY_MAX, not UTF-8 or with a NUL: nobody's.
 */
struct slice user_key(struct slice name, uint8_t out[static USER_KEY_MAX]);
