/*
 * Tokens. An input that starts with "Bearer " is judged as it is: it may pass only when it is one
 * of the tokens that were made with the key. Any other input is a header (its first line) and
 * claims, which are signed here, so that the readers behind the signature see hostile text: what
 * passes must say the same to another parser, and no longer pass with one bit changed.
 */
#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "director/auth/auth.h"

#include <jansson.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>

#define SECRET "the fuzz target's own secret, 32 bytes or more"
#define NOW_S  1700000100

/* Made with this key; exp is 1700000160, 1700003600 and 1700000160. */
static const char *const minted[] = {
	"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIiwiZXhwIjoxNzAwMDAwMTYwfQ"
	".jyH-BqYxnVw7p2eLoLrWGfXKOzJI1b28HQdvIxnwl_g",
	"Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
	".eyJzdWIiOiJhbGljZSIsInJvbGVzIjpbImVkaXRvciJdLCJleHAiOjE3MDAwMDM2MDB9"
	".pVBXFrugcJ8kKIvpVoOHAV7Hby8p27GsSNg-FSIdY58",
	"bearer eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoiNyIsImlzX3N1cGVyYWRtaW4iOnRydWUsImV4cCI6MTcwMDAwMDE2MH0"
	".ZkVz9zrdpU3vXsf4Hx6-4ypThs9EVM0kOtO5If09T9k",
};

static int64_t fixed_wall(void)
{
	return NOW_S * INT64_C(1000);
}

static uint64_t fixed_mono(void)
{
	return 1000;
}

static struct auth *the_auth(void)
{
	static struct auth *a;
	if (a != NULL) {
		return a;
	}
	struct auth_config config;
	auth_config_init(&config);
	config.app_id = SLICE("shop");
	config.jwt_secret = SLICE(SECRET);
	config.cache_entries = 4;
	config.unix_ms = fixed_wall;
	config.mono_ms = fixed_mono;
	invariant(map_init() == 0 && auth_new(&a, &config) == 0);
	for (size_t i = 0; i < sizeof(minted) / sizeof(minted[0]); i++) {
		struct user_context *user = NULL;
		invariant(auth_verify(a, slice_str(minted[i]), &user) == AUTH_OK);
		(void)user_context_unref(user);
	}
	return a;
}

/* "Bearer  x" and "bearer x" are "Bearer x". */
static struct slice token_of(struct slice value)
{
	struct slice s = value.n < 7 ? SLICE_NULL : slice_skip(value, 7);
	while (s.n > 0 && s.p[0] == ' ') {
		s = slice_skip(s, 1);
	}
	return s;
}

static void check_raw(struct auth *a, struct slice value)
{
	struct user_context *user = NULL;
	if (auth_verify(a, value, &user) != AUTH_OK) {
		invariant(user == NULL);
		return;
	}
	bool known = false;
	for (size_t i = 0; i < sizeof(minted) / sizeof(minted[0]); i++) {
		known |= slice_eq(token_of(value), token_of(slice_str(minted[i])));
	}
	invariant(known);
	(void)user_context_unref(user);
}

static void append_base64(struct buffer *b, struct slice s)
{
	size_t n = sodium_base64_encoded_len(s.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	invariant(buffer_reserve(b, n) == 0);
	(void)sodium_bin2base64(
		(char *)b->p + b->n, n, s.p, s.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	b->n += n - 1;
}

static void sign(struct buffer *b, struct slice header, struct slice claims)
{
	uint8_t mac[32];
	invariant(buffer_append(b, SLICE("Bearer ")) == 0);
	append_base64(b, header);
	invariant(buffer_append_byte(b, '.') == 0);
	append_base64(b, claims);
	invariant(HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, b->p + 7, b->n - 7, mac, NULL) !=
		NULL);
	invariant(buffer_append_byte(b, '.') == 0);
	append_base64(b, slice_of(mac, sizeof(mac)));
}

static bool string_is(const json_t *object, const char *name, struct slice expected)
{
	const json_t *v = json_object_get(object, name);
	return json_is_string(v) &&
		slice_eq(slice_of(json_string_value(v), json_string_length(v)), expected);
}

static void check_header(struct slice text)
{
	json_t *header = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	size_t n = json_object_size(header);
	invariant(string_is(header, "alg", SLICE("HS256")));
	invariant(n == 1 || (n == 2 && json_is_string(json_object_get(header, "typ"))));
	json_decref(header);
}

static void check_claims(struct slice text, const struct user_context *user)
{
	json_t *claims = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *exp = json_object_get(claims, "exp");
	const char *id = json_object_get(claims, "user_id") != NULL ? "user_id" : "sub";
	invariant(json_is_number(exp) && json_number_value(exp) + 30 > NOW_S);
	invariant(user->user_id.n > 0 && string_is(claims, id, user->user_id));
	json_decref(claims);
}

static void check_trusted(const struct user_context *user)
{
	struct buffer b;
	buffer_init(&b, AUTH_TRUSTED_MAX + 2);
	invariant(buffer_append_byte(&b, '{') == 0 && buffer_append(&b, user->trusted) == 0 &&
		buffer_append_byte(&b, '}') == 0);
	json_t *tree = json_loadb((const char *)b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *context = json_object_get(tree, "_context");
	invariant(json_object_size(tree) == 3 && json_object_size(context) == 5);
	invariant(string_is(tree, "user_id", user->user_id));
	invariant(string_is(tree, "app_id", SLICE("shop")));
	invariant(string_is(context, "user_id", user->user_id));
	invariant(string_is(context, "username", user->username));
	invariant(json_is_array(json_object_get(context, "roles")));
	invariant(json_is_true(json_object_get(context, "is_superadmin")) == user->is_superadmin);
	json_decref(tree);
	buffer_deinit(&b);
}

static void check_signed(struct auth *a, struct slice header, struct slice claims)
{
	struct buffer b;
	struct user_context *user = NULL;
	struct user_context *again = NULL;
	buffer_init(&b, (header.n + claims.n) * 2 + 200);
	sign(&b, header, claims);
	if (auth_verify(a, buffer_slice(&b), &user) == AUTH_OK) {
		check_header(header);
		check_claims(claims, user);
		check_trusted(user);
		invariant(auth_verify(a, buffer_slice(&b), &again) == AUTH_OK && again == user);
		(void)user_context_unref(again);
		again = NULL;
		size_t at = 7 + (header.n * 31 + claims.n * 17) % (b.n - 7);
		b.p[at] ^= (uint8_t)(1U << claims.n % 8);
		if (b.p[7] != ' ') {
			invariant(auth_verify(a, buffer_slice(&b), &again) != AUTH_OK);
		}
		(void)user_context_unref(user);
	}
	invariant(again == NULL);
	buffer_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct auth *a = the_auth();
	struct slice in = slice_of(data, size);
	if (size >= 7 && slice_eq_nocase(slice_of(data, 7), SLICE("Bearer "))) {
		check_raw(a, in);
		return 0;
	}
	const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
	if (end != NULL && size < 16384) {
		struct slice header = slice_of(data, (size_t)(end - data));
		check_signed(a, header, slice_skip(in, header.n + 1));
	}
	return 0;
}
