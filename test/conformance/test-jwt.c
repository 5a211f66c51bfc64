/*
 * Wycheproof's vectors of signed tokens (json_web_signature_test.json) and of keys
 * (json_web_key_test.json), all of them, at the layer where signatures are checked: the strict parser,
 * the reader of published keys and the key table. Their payloads are not claims.
 *
 * Symmetric keys come in as a configured secret does, public ones as an issuer's set does.
 *
 * The files are read from $MOZAIKS_SHARED/suites/jwt, else from the folder given on the command line.
 * Without them the test did not run: it says so and ends with 77, or fails where CI is set.
 */
#include "common/base/slice.h"
#include "director/auth/jwk.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_RUN = 77 };

#define SIGNATURES "json_web_signature_test.json"
#define KEYS       "json_web_key_test.json"

/* How many there are as published; with less something was not tested. */
static const struct {
	const char *file;
	int vectors;
} files[] = { { SIGNATURES, 401 }, { KEYS, 26 } };

/* The expected result of a vector is the file's, but for these. */
static const struct {
	const char *file;
	int id;
	bool accepted;
	const char *why;
} exceptions[] = {
	{ SIGNATURES, 367, true, "byte for byte the valid vector 357" },
	{ SIGNATURES, 370, true, "byte for byte the valid vector 357" },
	/* A payload of no bytes is no claims; the parser has nothing to do with it. */
	{ SIGNATURES, 259, false, "has an empty payload" },
	{ SIGNATURES, 264, false, "has an empty payload" },
	{ SIGNATURES, 268, false, "has an empty payload" },
	{ SIGNATURES, 272, false, "has an empty payload" },
	{ SIGNATURES, 320, false, "has an empty payload" },
	{ SIGNATURES, 325, false, "has an empty payload" },
	/* RFC 7520 has these keys without alg; the file gave them one that their tokens do not have. */
	{ SIGNATURES, 346, false, "PS384 with a key for PS256" },
	{ SIGNATURES, 350, false, "PS384 with a key for PS256" },
	{ SIGNATURES, 347, false, "a key for ES521, which does not exist" },
	{ SIGNATURES, 351, false, "a key for ES521, which does not exist" },
	{ KEYS, 4, true, "the second key is no base64url: there is only one of this kid" },
	{ SIGNATURES, 372, false, "has a '?', which is no base64url" },
	{ SIGNATURES, 373, false, "has a '?', which is no base64url" },
};

static bool is_accepted(const char *file, int id, const char *result)
{
	for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
		if (exceptions[i].id == id && strcmp(exceptions[i].file, file) == 0) {
			return exceptions[i].accepted;
		}
	}
	return strcmp(result, "valid") == 0;
}

static struct slice text_of(const json_t *object, const char *name)
{
	const json_t *v = json_object_get(object, name);
	return slice_of(json_string_value(v), json_string_length(v));
}

static bool is_symmetric(const json_t *jwk)
{
	return slice_eq(text_of(jwk, "kty"), SLICE("oct"));
}

/* What cannot be used is left out, as the keys of an issuer are. */
static void load_secret(const json_t *jwk, struct key_set *keys)
{
	uint8_t secret[256];
	size_t n = 0;
	if (slice_eq(text_of(jwk, "use"), SLICE("enc")) ||
		!base64url_decode(text_of(jwk, "k"), secret, sizeof(secret), &n)) {
		return;
	}
	(void)key_set_add_secret(keys, algorithm_find(text_of(jwk, "alg"), SLICE_NULL),
		text_of(jwk, "kid"), slice_of(secret, n), false);
}

static bool load_public(json_t *list, struct key_set *keys)
{
	struct jwks_rules rules = { .keys_max = 16 };
	struct jwks_report report;
	json_t *set = json_pack("{s:O}", "keys", list);
	char *text = json_dumps(set, JSON_COMPACT);
	bool loaded = algorithm_list_parse(
			      SLICE("RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA"),
			      &rules.algorithms) &&
		jwks_parse(slice_str(text), &rules, keys, &report) == 0;
	free(text);
	json_decref(set);
	return loaded;
}

/* A group's keys as an array, whether it has one key or a set. */
static json_t *keys_of(const json_t *group)
{
	json_t *v = json_object_get(group, "public");
	v = v != NULL ? v : json_object_get(group, "private");
	json_t *keys = json_object_get(v, "keys");
	return keys != NULL ? json_incref(keys) : json_pack("[O]", v);
}

static bool load_keys(const json_t *group, struct key_set *keys)
{
	json_t *list = keys_of(group);
	bool symmetric = true;
	bool loaded = true;
	for (size_t i = 0; i < json_array_size(list); i++) {
		symmetric = symmetric && is_symmetric(json_array_get(list, i));
	}
	for (size_t i = 0; symmetric && i < json_array_size(list); i++) {
		load_secret(json_array_get(list, i), keys);
	}
	if (symmetric) {
		(void)key_set_drop_twins(keys);
	} else {
		loaded = load_public(list, keys);
	}
	json_decref(list);
	return loaded;
}

/* @return whether the vector came out as it should. */
static bool run_vector(const char *file, const struct key_set *keys, const json_t *vector)
{
	static struct token token;
	uint32_t serial;
	int id = (int)json_integer_value(json_object_get(vector, "tcId"));
	struct slice jws = text_of(vector, "jws");
	bool expected = is_accepted(file, id, json_string_value(json_object_get(vector, "result")));
	bool accepted = token_parse(jws, &token) == TOKEN_OK &&
		key_set_verify(keys, &token, &serial) == KEY_OK;
	if (accepted != expected) {
		printf("%s %d (%s): %s, should be %s\n", file, id,
			json_string_value(json_object_get(vector, "comment")),
			accepted ? "accepted" : "refused", expected ? "accepted" : "refused");
	}
	return accepted == expected;
}

static void run_groups(const char *file, const json_t *suite, int *ret_run, int *ret_failed)
{
	const json_t *groups = json_object_get(suite, "testGroups");
	for (size_t g = 0; g < json_array_size(groups); g++) {
		const json_t *group = json_array_get(groups, g);
		struct key_set keys = KEY_SET_NULL;
		const json_t *vectors = json_object_get(group, "tests");
		bool loaded = load_keys(group, &keys);
		for (size_t v = 0; v < json_array_size(vectors); v++) {
			bool good = loaded && run_vector(file, &keys, json_array_get(vectors, v));
			*ret_run += 1;
			*ret_failed += good ? 0 : 1;
		}
		key_set_deinit(&keys);
	}
}

/* @return 0, 1, NOT_RUN. */
static int run_file(const char *shared, const char *file, int at_least)
{
	char path[4096];
	(void)snprintf(path, sizeof(path), "%s/suites/jwt/%s", shared, file);
	json_error_t error;
	json_t *suite = json_load_file(path, 0, &error);
	if (suite == NULL) {
		printf("not run: %s: %s\n", path, error.text);
		return getenv("CI") != NULL ? 1 : NOT_RUN;
	}
	int run = 0;
	int failed = 0;
	run_groups(file, suite, &run, &failed);
	json_decref(suite);
	printf("%s: %d vectors, %d wrong\n", file, run, failed);
	return failed == 0 && run >= at_least ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *shared = getenv("MOZAIKS_SHARED");
	shared = shared != NULL ? shared : argc > 1 ? argv[1] : "../shared";
	int status = 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && status == 0; i++) {
		status = run_file(shared, files[i].file, files[i].vectors);
	}
	return status;
}
