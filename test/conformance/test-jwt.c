/*
 * Wycheproof's vectors of signed tokens (json_web_signature_test.json), those with HS256 keys, at
 * the layer where the signature is checked: the strict parser and the key table. Their payloads are
 * not claims.
 *
 * The file is read from $MOZAIKS_SHARED/suites/jwt, else from the folder given on the command line.
 * Without it the test did not run: it says so and ends with 77, or fails where CI is set.
 */
#include "director/auth/key.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_RUN = 77 };

/* The expected result of a vector is the file's, but for these. */
static const struct {
	int id;
	bool accepted;
	const char *why;
} exceptions[] = {
	{ 367, true, "byte for byte the valid vector 357" },
	{ 370, true, "byte for byte the valid vector 357" },
	{ 372, false, "has a '?', which is no base64url" },
	{ 373, false, "has a '?', which is no base64url" },
};

static bool is_accepted(int id, const char *result)
{
	for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
		if (exceptions[i].id == id) {
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

static int load_key(const json_t *jwk, struct key_set *keys)
{
	uint8_t secret[256];
	size_t n = 0;
	if (!base64url_decode(text_of(jwk, "k"), secret, sizeof(secret), &n)) {
		return -EINVAL;
	}
	return key_set_add_secret(
		keys, text_of(jwk, "alg"), text_of(jwk, "kid"), slice_of(secret, n));
}

/* @return whether the vector came out as it should. */
static bool run_vector(const struct key_set *keys, const json_t *vector)
{
	static struct token token;
	int id = (int)json_integer_value(json_object_get(vector, "tcId"));
	struct slice jws = text_of(vector, "jws");
	bool expected = is_accepted(id, json_string_value(json_object_get(vector, "result")));
	bool accepted =
		token_parse(jws, &token) == TOKEN_OK && key_set_verify(keys, &token) == KEY_OK;
	if (accepted != expected) {
		printf("vector %d (%s): %s, should be %s\n", id,
			json_string_value(json_object_get(vector, "comment")),
			accepted ? "accepted" : "refused", expected ? "accepted" : "refused");
	}
	return accepted == expected;
}

static void run_groups(const json_t *suite, int *ret_run, int *ret_failed)
{
	const json_t *groups = json_object_get(suite, "testGroups");
	for (size_t g = 0; g < json_array_size(groups); g++) {
		const json_t *group = json_array_get(groups, g);
		const json_t *jwk = json_object_get(group, "private");
		if (!slice_eq(text_of(jwk, "alg"), slice_str("HS256"))) {
			continue;
		}
		struct key_set keys = KEY_SET_NULL;
		const json_t *vectors = json_object_get(group, "tests");
		bool loaded = load_key(jwk, &keys) == 0;
		for (size_t v = 0; v < json_array_size(vectors); v++) {
			bool good = loaded && run_vector(&keys, json_array_get(vectors, v));
			*ret_run += 1;
			*ret_failed += good ? 0 : 1;
		}
		key_set_deinit(&keys);
	}
}

int main(int argc, char **argv)
{
	char path[4096];
	const char *shared = getenv("MOZAIKS_SHARED");
	shared = shared != NULL ? shared : argc > 1 ? argv[1] : "../shared";
	(void)snprintf(path, sizeof(path), "%s/suites/jwt/json_web_signature_test.json", shared);
	json_error_t error;
	json_t *suite = json_load_file(path, 0, &error);
	if (suite == NULL) {
		printf("not run: %s: %s\n", path, error.text);
		return getenv("CI") != NULL ? 1 : NOT_RUN;
	}
	int run = 0;
	int failed = 0;
	run_groups(suite, &run, &failed);
	json_decref(suite);
	printf("%d vectors, %d wrong\n", run, failed);
	/* The file as published has 40 vectors with HS256 keys; with none, nothing was tested. */
	return failed == 0 && run >= 40 ? 0 : 1;
}
