/*
 * The claims of a token whose signature is good (RFC 7519, 4), read strictly: no claim is guessed, a
 * claim of the wrong type refuses the token. Duplicate names are refused at every level.
 *
 *   exp                 required; integer or fraction, seconds since 1970, up to the year 9999
 *   nbf, iat            the same, optional
 *   sub, user_id        at least one; strings of 1 to AUTH_USER_BYTES_MAX bytes
 *   username            optional string; empty counts as absent
 *   roles               optional: an array of strings, or one string with commas or blanks
 *   is_superadmin       optional boolean
 *   sid                 optional string: the session that the token belongs to
 *   aud                 optional: a string or an array of strings that names this app
 * Everything else is ignored.
 */
#pragma once

#include "common/json/tree.h"
#include "director/auth/auth.h"

struct claims_policy {
	struct slice app_id;
	struct slice superadmin_role;
};

struct claims {
	json_t *tree;          /* the strings below live in it */
	struct slice user_id;  /* user_id, else sub */
	struct slice username; /* username, else sub, else user_id */
	struct slice session;  /* empty without sid */
	struct slice roles[AUTH_ROLES_MAX];
	size_t n_roles;
	bool is_superadmin;
	/* Milliseconds since 1970; nbf and iat are 0 when absent. */
	int64_t exp_ms;
	int64_t nbf_ms;
	int64_t iat_ms;
};

/**
 * @param ret for claims_deinit() with AUTH_OK only; slices point into it.
 * @return AUTH_OK, AUTH_MALFORMED (not one strict JSON object), AUTH_CLAIMS; -ENOMEM.
 */
int claims_parse(struct slice json, const struct claims_policy *policy, struct claims *ret);

void claims_deinit(struct claims *c);
