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
 *   aud                 a string or an array of strings, one of them ours
 *   iss                 a string, to the letter
 *   scope, scp          a string with blanks, or an array of strings; where a scope is required
 *   typ, at_hash        an issuer's ID, refresh and logout tokens are none for us (RFC 8725, 3.12)
 *   mozaiks_token_use   what a token that we made is for: only "app" is for us
 * Everything else is ignored. Where another claim is named by the policy, it stands for the one above.
 * A named claim is a member of the token, or else a path with dots: realm_access.roles.
 */
#pragma once

#include "common/json/tree.h"
#include "director/auth/auth.h"

enum { CLAIMS_NAMES_MAX = 16 };

/* Names from a setting: "a,b". They point into it. */
struct claims_names {
	struct slice items[CLAIMS_NAMES_MAX];
	size_t n;
};

/** Splits at commas, without the blanks around them. @return false for an empty or one too many. */
bool claims_names_split(struct slice text, struct claims_names *ret);

struct claims_policy {
	struct slice app_id;
	struct claims_names superadmin_roles; /* compared without case */
	struct claims_names audiences;        /* empty: anybody's */
	bool audience_required;
	struct slice issuer; /* empty: any */
	struct slice scope;  /* empty: none required */
	/* Claims of other names; empty: as above. */
	struct slice user_id_claim;
	struct slice username_claim;
	struct slice roles_claim;
	struct slice superadmin_claim;
	struct slice email_claim;
	/* Tokens of an issuer: beside roles those of Keycloak's realm_access, and of resource_access
	 * those of these clients ("*": of all), count. */
	bool from_issuer;
	struct claims_names role_clients;
	bool use_required; /* of tokens that we made: mozaiks_token_use */
};

struct claims {
	json_t *tree;          /* the strings below live in it */
	struct slice user_id;  /* user_id, else sub */
	struct slice username; /* username, else sub, else user_id */
	struct slice email;    /* of an issuer's token, unless it says that it was not verified */
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
 * @return AUTH_OK, AUTH_MALFORMED (not one strict JSON object), AUTH_CLAIMS, AUTH_ISSUER,
 *   AUTH_AUDIENCE, AUTH_SCOPE, AUTH_TYPE; -ENOMEM.
 */
int claims_parse(struct slice json, const struct claims_policy *policy, struct claims *ret);

void claims_deinit(struct claims *c);
