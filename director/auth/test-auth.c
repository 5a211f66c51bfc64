/*
 * Tokens: what is let in, every way in that is refused, the cache and the clocks. The tokens are
 * made here with OpenSSL's HMAC, not with the code under test.
 */
#include "director/auth/auth.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "common/base/buffer.h"
#include "common/base/map.h"
#include "director/auth/mint.h"
#include "director/auth/token.h"

#include <jansson.h>
#include <openssl/hmac.h>
#include <sodium.h>

#define SECRET       "a secret of the tests, 32 bytes and more"
#define HEADER       "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD         "{\"sub\":\"alice\",\"exp\":2000}"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int64_t wall_ms;
static uint64_t mono_ms;

static int64_t test_wall(void)
{
	return wall_ms;
}

static uint64_t test_mono(void)
{
	return mono_ms;
}

static struct auth *new_auth(size_t cache_entries)
{
	struct auth_config config;
	struct auth *a = NULL;
	auth_config_init(&config);
	config.app_id = SLICE("shop");
	config.jwt_secret = SLICE(SECRET);
	config.cache_entries = cache_entries;
	config.unix_ms = test_wall;
	config.mono_ms = test_mono;
	wall_ms = 1000 * 1000;
	mono_ms = 50000;
	assert_int_equal(auth_new(&a, &config), 0);
	return a;
}

static void append_base64(struct buffer *b, struct slice s)
{
	size_t n = sodium_base64_encoded_len(s.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	assert_int_equal(buffer_reserve(b, n), 0);
	(void)sodium_bin2base64(
		(char *)b->p + b->n, n, s.p, s.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	b->n += n - 1;
}

static void append_mac(struct buffer *b, size_t start)
{
	uint8_t mac[32];
	assert_non_null(HMAC(
		EVP_sha256(), SECRET, sizeof(SECRET) - 1, b->p + start, b->n - start, mac, NULL));
	assert_int_equal(buffer_append_byte(b, '.'), 0);
	append_base64(b, slice_of(mac, sizeof(mac)));
}

/* "Bearer <token>", signed; the texts need not be JSON. */
static struct buffer bearer_of(struct slice header, struct slice claims)
{
	struct buffer b;
	buffer_init(&b, 4 << 20);
	assert_int_equal(buffer_append(&b, SLICE("Bearer ")), 0);
	append_base64(&b, header);
	assert_int_equal(buffer_append_byte(&b, '.'), 0);
	append_base64(&b, claims);
	append_mac(&b, 7);
	return b;
}

/* The same with the two parts as they are to stand in the token. */
static struct buffer bearer_raw(const char *header, const char *payload)
{
	struct buffer b;
	buffer_init(&b, 4 << 20);
	assert_int_equal(buffer_printf(&b, "Bearer %s.%s", header, payload), 0);
	append_mac(&b, 7);
	return b;
}

static int verify(struct auth *a, struct slice value, struct user_context **ret)
{
	/* A block of its own, so that a sanitizer sees one byte too many. */
	uint8_t *exact = malloc(value.n > 0 ? value.n : 1);
	assert_non_null(exact);
	if (value.n > 0) {
		memcpy(exact, value.p, value.n);
	}
	int r = auth_verify(a, slice_of(exact, value.n), ret);
	free(exact);
	return r;
}

static int judge(struct auth *a, struct slice value)
{
	struct user_context *user = NULL;
	int r = verify(a, value, &user);
	assert_true((r == AUTH_OK) == (user != NULL));
	(void)user_context_unref(user);
	return r;
}

static int judge_token(struct auth *a, struct slice header, struct slice claims)
{
	struct buffer b = bearer_of(header, claims);
	int r = judge(a, buffer_slice(&b));
	buffer_deinit(&b);
	return r;
}

static struct user_context *user_of(struct auth *a, const char *claims)
{
	struct user_context *user = NULL;
	struct buffer b = bearer_of(SLICE(HEADER), slice_str(claims));
	assert_int_equal(verify(a, buffer_slice(&b), &user), AUTH_OK);
	buffer_deinit(&b);
	return user;
}

static void assert_slice(struct slice s, const char *text)
{
	if (!slice_eq(s, slice_str(text))) {
		fail_msg("\"%.*s\" is not \"%s\"", (int)s.n, (const char *)s.p, text);
	}
}

static void header_is_judged(void **state)
{
	static const struct {
		const char *header;
		int result;
	} cases[] = {
		{ "{\"alg\":\"HS256\"}", AUTH_OK },
		{ " {\n\"typ\" : \"jwt\", \"alg\":\"\\u0048S256\"}\t", AUTH_OK },
		{ "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", AUTH_OK },
		{ "{\"alg\":\"none\"}", AUTH_ALGORITHM },
		{ "{\"alg\":\"None\"}", AUTH_ALGORITHM },
		{ "{\"alg\":\"NONE\"}", AUTH_ALGORITHM },
		{ "{\"alg\":\"nOnE\"}", AUTH_ALGORITHM },
		{ "{\"alg\":\"hs256\"}", AUTH_ALGORITHM },
		{ "{\"alg\":\"HS256 \"}", AUTH_ALGORITHM },
		{ "{\"alg\":\"HS256\\u0000\"}", AUTH_ALGORITHM },
		{ "{\"alg\":\"HS384\"}", AUTH_ALGORITHM },
		{ "{\"alg\":\"RS256\"}", AUTH_ALGORITHM },
		{ "{\"alg\":\"ES256\"}", AUTH_ALGORITHM },
		{ "{\"alg\":\"\"}", AUTH_ALGORITHM },
		{ "{\"alg\":\"HS256\",\"kid\":\"../../../dev/null\"}", AUTH_KEY },
		{ "{\"alg\":\"HS256\",\"kid\":\"' OR 1=1 --\"}", AUTH_KEY },
		{ "{\"alg\":\"RS256\",\"kid\":\"x\"}", AUTH_KEY },
		{ "{\"alg\":\"HS256\",\"kid\":\"\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"kid\":1}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"kid\":null}", AUTH_MALFORMED },
		{ "{\"alg\":[\"HS256\"]}", AUTH_MALFORMED },
		{ "{\"alg\":null}", AUTH_MALFORMED },
		{ "{\"typ\":\"JWT\"}", AUTH_MALFORMED },
		{ "{}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"typ\":\"JOSE\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"typ\":\"\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"typ\":7}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"crit\":[]}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"jku\":\"https://x.invalid/k\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"x5u\":\"https://x.invalid/c\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"x5c\":[]}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"x5t\":\"AA\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"cty\":\"JWT\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"b64\":false}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"zip\":\"DEF\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"dir\",\"enc\":\"A128GCM\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"x\":1}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"none\",\"\\u0061lg\":\"HS256\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"typ\":\"JWT\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\"} ", AUTH_OK },
		{ "{\"alg\":\"HS256\"}x", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\"}{}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\"", AUTH_MALFORMED },
		{ "{'alg':'HS256'}", AUTH_MALFORMED },
		{ "\xef\xbb\xbf{\"alg\":\"HS256\"}", AUTH_MALFORMED },
		{ "{\"alg\":\"HS256\",\"typ\":\"JWT\xff\"}", AUTH_MALFORMED },
		{ "[\"alg\",\"HS256\"]", AUTH_MALFORMED },
		{ "\"HS256\"", AUTH_MALFORMED },
		{ "null", AUTH_MALFORMED },
	};
	struct auth *a = new_auth(10);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int r = judge_token(a, slice_str(cases[i].header), SLICE(GOOD));
		if (r != cases[i].result) {
			fail_msg("%s: %s", cases[i].header, auth_result_text(r));
		}
	}
	(void)auth_free(a);
}

static void claims_are_judged(void **state)
{
	/* The clock stands at 1000 s. */
	static const struct {
		const char *claims;
		int result;
	} cases[] = {
		{ "{\"sub\":\"a\",\"exp\":1001}", AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":1001.5}", AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":1.5e3}", AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":253402300799}", AUTH_OK },
		{ "{\"user_id\":\"a\",\"exp\":2000}", AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":2000,\"anything\":{\"x\":[1,null]},\"email\":7}",
			AUTH_OK },
		/* leeway: 30 s */
		{ "{\"sub\":\"a\",\"exp\":971}", AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":970.001}", AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":970}", AUTH_EXPIRED },
		{ "{\"sub\":\"a\",\"exp\":1}", AUTH_EXPIRED },
		{ "{\"sub\":\"a\",\"exp\":0}", AUTH_EXPIRED },
		{ "{\"sub\":\"a\"}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":\"2000\"}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":null}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":true}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":[2000]}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":-1}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":-2000.5}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":253402300800}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":9223372036854775807}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":1e300}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":9223372036854775808}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":1e999}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":NaN}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":0x7d0}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":02000}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":+2000}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":2000,\"nbf\":1000}", AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":2000,\"nbf\":1030}", AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":2000,\"nbf\":1030.001}", AUTH_NOT_YET_VALID },
		{ "{\"sub\":\"a\",\"exp\":2000,\"nbf\":\"1000\"}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":2000,\"nbf\":null}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":2000,\"nbf\":-5}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":2000,\"iat\":1300}", AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":2000,\"iat\":1301}", AUTH_NOT_YET_VALID },
		{ "{\"sub\":\"a\",\"exp\":2000,\"iat\":\"900\"}", AUTH_CLAIMS },
		/* who */
		{ "{\"exp\":2000}", AUTH_CLAIMS },
		{ "{\"sub\":\"\",\"exp\":2000}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"user_id\":\"\",\"exp\":2000}", AUTH_CLAIMS },
		{ "{\"sub\":\"\",\"user_id\":\"a\",\"exp\":2000}", AUTH_CLAIMS },
		{ "{\"sub\":7,\"exp\":2000}", AUTH_CLAIMS },
		{ "{\"sub\":7,\"user_id\":\"a\",\"exp\":2000}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"user_id\":null,\"exp\":2000}", AUTH_CLAIMS },
		{ "{\"sub\":[\"a\"],\"exp\":2000}", AUTH_CLAIMS },
		{ "{\"username\":\"a\",\"exp\":2000}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"username\":1,\"exp\":2000}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\\u0000b\",\"exp\":2000}", AUTH_MALFORMED },
		{ "{\"sub\":\"\\ud800\",\"exp\":2000}", AUTH_MALFORMED },
		{ "{\"sub\":\"\xc0\x80\",\"exp\":2000}", AUTH_MALFORMED },
		{ "{\"sub\":\"\xff\",\"exp\":2000}", AUTH_MALFORMED },
		/* rights */
		{ "{\"sub\":\"a\",\"exp\":2000,\"roles\":null}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":2000,\"roles\":7}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":2000,\"roles\":{}}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":2000,\"roles\":[1]}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":2000,\"roles\":[\"a\",null]}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":2000,\"roles\":[[\"a\"]]}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":2000,\"roles\":[\"\"]}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":2000,\"is_superadmin\":1}", AUTH_CLAIMS },
		{ "{\"sub\":\"a\",\"exp\":2000,\"is_superadmin\":\"true\"}", AUTH_CLAIMS },
		/* for whom */
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":\"shop\"}", AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":[\"x\",\"shop\"]}", AUTH_OK },
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":\"other\"}", AUTH_AUDIENCE },
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":\"Shop\"}", AUTH_AUDIENCE },
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":[\"x\"]}", AUTH_AUDIENCE },
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":[\"shop\",1]}", AUTH_AUDIENCE },
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":[]}", AUTH_AUDIENCE },
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":{\"shop\":1}}", AUTH_AUDIENCE },
		{ "{\"sub\":\"a\",\"exp\":2000,\"aud\":null}", AUTH_AUDIENCE },
		/* form */
		{ "{\"sub\":\"a\",\"exp\":1,\"exp\":2000}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":2000,\"\\u0065xp\":2000}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"sub\":\"b\",\"exp\":2000}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":2000,\"x\":1,\"x\":1}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":2000,\"x\":{\"y\":1,\"y\":2}}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":2000}x", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":2000,}", AUTH_MALFORMED },
		{ "{\"sub\":\"a\",\"exp\":2000", AUTH_MALFORMED },
		{ "[{\"sub\":\"a\",\"exp\":2000}]", AUTH_MALFORMED },
		{ "2000", AUTH_MALFORMED },
		{ " ", AUTH_MALFORMED },
	};
	struct auth *a = new_auth(10);
	for (size_t i = 0; i < COUNT(cases); i++) {
		int r = judge_token(a, SLICE(HEADER), slice_str(cases[i].claims));
		if (r != cases[i].result) {
			fail_msg("%s: %s", cases[i].claims, auth_result_text(r));
		}
	}
	/* A token nested in a token is no object. */
	struct buffer inner = bearer_of(SLICE(HEADER), SLICE(GOOD));
	assert_int_equal(
		judge_token(a, SLICE(HEADER), slice_skip(buffer_slice(&inner), 7)), AUTH_MALFORMED);
	buffer_deinit(&inner);
	(void)auth_free(a);
}

static void names_are_bounded(void **state)
{
	struct auth *a = new_auth(10);
	static const char *const members[] = { "sub", "user_id", "username" };
	for (size_t m = 0; m < COUNT(members); m++) {
		for (int n = AUTH_USER_BYTES_MAX; n <= AUTH_USER_BYTES_MAX + 1; n++) {
			struct buffer b;
			buffer_init(&b, 4096);
			assert_int_equal(buffer_printf(&b, "{\"exp\":2000,%s\"%s\":\"%0*d\"}",
						 m == 2 ? "\"sub\":\"a\"," : "", members[m], n, 0),
				0);
			assert_int_equal(judge_token(a, SLICE(HEADER), buffer_slice(&b)),
				n == AUTH_USER_BYTES_MAX ? AUTH_OK : AUTH_CLAIMS);
			buffer_deinit(&b);
		}
	}
	for (int n = AUTH_ROLE_BYTES_MAX; n <= AUTH_ROLE_BYTES_MAX + 1; n++) {
		struct buffer b;
		buffer_init(&b, 4096);
		assert_int_equal(
			buffer_printf(&b, "{\"exp\":2000,\"sub\":\"a\",\"roles\":\"%0*d\"}", n, 0),
			0);
		assert_int_equal(judge_token(a, SLICE(HEADER), buffer_slice(&b)),
			n == AUTH_ROLE_BYTES_MAX ? AUTH_OK : AUTH_CLAIMS);
		buffer_deinit(&b);
	}
	for (int n = AUTH_ROLES_MAX; n <= AUTH_ROLES_MAX + 1; n++) {
		struct buffer b;
		buffer_init(&b, 8192);
		assert_int_equal(
			buffer_append(&b, SLICE("{\"exp\":2000,\"sub\":\"a\",\"roles\":[\"r\"")),
			0);
		for (int i = 1; i < n; i++) {
			assert_int_equal(buffer_printf(&b, ",\"r%d\"", i), 0);
		}
		assert_int_equal(buffer_append(&b, SLICE("]}")), 0);
		assert_int_equal(judge_token(a, SLICE(HEADER), buffer_slice(&b)),
			n == AUTH_ROLES_MAX ? AUTH_OK : AUTH_CLAIMS);
		buffer_deinit(&b);
	}
	(void)auth_free(a);
}

/* What is spliced into each request is bounded too: a DEL is one byte in the token, six in JSON. */
static void trusted_text_is_bounded(void **state)
{
	struct auth *a = new_auth(10);
	struct buffer b;
	buffer_init(&b, 8192);
	assert_int_equal(
		buffer_append(&b, SLICE("{\"exp\":2000,\"sub\":\"a\",\"roles\":[\"r\"")), 0);
	for (int i = 0; i < 30; i++) {
		uint8_t role[AUTH_ROLE_BYTES_MAX];
		memset(role, 0x7f, sizeof(role));
		role[0] = (uint8_t)('0' + i);
		assert_int_equal(buffer_append(&b, SLICE(",\"")), 0);
		assert_int_equal(buffer_append(&b, slice_of(role, sizeof(role))), 0);
		assert_int_equal(buffer_append(&b, SLICE("\"")), 0);
	}
	assert_int_equal(buffer_append(&b, SLICE("]}")), 0);
	assert_int_equal(judge_token(a, SLICE(HEADER), buffer_slice(&b)), AUTH_CLAIMS);
	buffer_deinit(&b);
	(void)auth_free(a);
}

static void signature_bits_all_count(void **state)
{
	struct auth *a = new_auth(10);
	struct buffer good = bearer_of(SLICE(HEADER), SLICE(GOOD));
	assert_int_equal(judge(a, buffer_slice(&good)), AUTH_OK);
	size_t start = good.n - 43;
	uint8_t mac[32];
	size_t n = 0;
	assert_int_equal(sodium_base642bin(mac, sizeof(mac), (char *)good.p + start, 43, NULL, &n,
				 NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
		0);
	assert_int_equal(n, 32);
	for (size_t bit = 0; bit < 256; bit++) {
		struct buffer b;
		buffer_init(&b, 4096);
		assert_int_equal(buffer_append(&b, slice_of(good.p, start)), 0);
		mac[bit / 8] ^= (uint8_t)(1U << bit % 8);
		append_base64(&b, slice_of(mac, sizeof(mac)));
		mac[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_int_equal(judge(a, buffer_slice(&b)), AUTH_SIGNATURE);
		buffer_deinit(&b);
	}
	/* Other lengths: none, shorter, longer, a hash of another size. */
	uint8_t other[64] = { 0 };
	memcpy(other, mac, sizeof(mac));
	static const size_t sizes[] = { 1, 16, 31, 33, 48, 64 };
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct buffer b;
		buffer_init(&b, 4096);
		assert_int_equal(buffer_append(&b, slice_of(good.p, start)), 0);
		append_base64(&b, slice_of(other, sizes[i]));
		assert_int_equal(judge(a, buffer_slice(&b)), AUTH_SIGNATURE);
		buffer_deinit(&b);
	}
	assert_int_equal(judge(a, slice_of(good.p, start)), AUTH_MALFORMED);
	assert_int_equal(judge(a, slice_of(good.p, start - 1)), AUTH_MALFORMED);
	buffer_deinit(&good);
	(void)auth_free(a);
}

/* A change of any character of a good token is refused, or it is not a change. */
static void every_character_counts(void **state)
{
	struct auth *a = new_auth(1000);
	struct buffer b = bearer_of(SLICE(HEADER), SLICE(GOOD));
	for (size_t i = 7; i < b.n; i++) {
		uint8_t was = b.p[i];
		for (unsigned c = 0; c < 256; c++) {
			b.p[i] = (uint8_t)c;
			int r = judge(a, buffer_slice(&b));
			if ((r == AUTH_OK) != (c == was)) {
				fail_msg("byte %zu as %u: %s", i, c, auth_result_text(r));
			}
		}
		b.p[i] = was;
	}
	buffer_deinit(&b);
	(void)auth_free(a);
}

/* {"alg":"HS256"} and {"sub":"a","exp":2000}, in ways that a lax decoder reads the same. All are
 * signed as they stand. */
static void base64_is_strict(void **state)
{
	static const struct {
		const char *header;
		const char *payload;
		int result;
	} cases[] = {
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ", AUTH_OK },
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ==", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ=", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfR", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwff", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQA", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ\n", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwi\r\nZXhwIjoyMDAwfQ", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwi ZXhwIjoyMDAwfQ", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwi=ZXhwIjoyMDAwfQ", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwi+XhwIjoyMDAwfQ", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJhIiwi/XhwIjoyMDAwfQ", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "%65yJzdWIiOiJhIiwiZXhwIjoyMDAwfQ", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9====", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9A", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9\n", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ", AUTH_MALFORMED },
		{ "", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ", AUTH_MALFORMED },
		{ "eyJhbGciOiJIUzI1NiJ9", "", AUTH_MALFORMED },
		/* {"alg":"HS256"} padded with a blank to two bytes over: IA has four unused bits */
		{ "eyJhbGciOiJIUzI1NiJ9IA", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ", AUTH_OK },
		{ "eyJhbGciOiJIUzI1NiJ9IB", "eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ", AUTH_MALFORMED },
	};
	struct auth *a = new_auth(10);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buffer b = bearer_raw(cases[i].header, cases[i].payload);
		int r = judge(a, buffer_slice(&b));
		if (r != cases[i].result) {
			fail_msg("%s.%s: %s", cases[i].header, cases[i].payload,
				auth_result_text(r));
		}
		buffer_deinit(&b);
	}
	/* The signature: padding, a line end, and the two unused bits of its last digit. */
	struct buffer b = bearer_of(SLICE(HEADER), SLICE(GOOD));
	static const char *const tails[] = { "=", "==", "\n", " ", "A", "AA" };
	for (size_t i = 0; i < COUNT(tails); i++) {
		size_t n = b.n;
		assert_int_equal(buffer_append(&b, slice_str(tails[i])), 0);
		assert_int_not_equal(judge(a, buffer_slice(&b)), AUTH_OK);
		b.n = n;
	}
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t last = b.p[b.n - 1];
	size_t value = (size_t)(strchr(digits, last) - digits);
	assert_int_equal(value % 4, 0);
	for (size_t stray = 1; stray < 4; stray++) {
		b.p[b.n - 1] = (uint8_t)digits[value + stray];
		assert_int_equal(judge(a, buffer_slice(&b)), AUTH_MALFORMED);
	}
	b.p[b.n - 1] = last;
	assert_int_equal(judge(a, buffer_slice(&b)), AUTH_OK);
	buffer_deinit(&b);
	(void)auth_free(a);
}

static void part_counts_are_strict(void **state)
{
	static const char *const bad[] = { "Bearer .", "Bearer ..", "Bearer ...", "Bearer a",
		"Bearer a.b", "Bearer .a.b", "Bearer a..b", "Bearer a.b.", "Bearer a.b.c.d",
		"Bearer a.b.c.d.e", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ.",
		"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiZXhwIjoyMDAwfQ.",
		"Bearer {\"payload\":\"x\",\"signature\":\"y\"}" };
	struct auth *a = new_auth(10);
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(judge(a, slice_str(bad[i])), AUTH_MALFORMED);
	}
	struct buffer b = bearer_of(SLICE(HEADER), SLICE(GOOD));
	assert_int_equal(buffer_append(&b, SLICE(".")), 0);
	assert_int_equal(judge(a, buffer_slice(&b)), AUTH_MALFORMED);
	assert_int_equal(buffer_append(&b, SLICE("AAAA")), 0);
	assert_int_equal(judge(a, buffer_slice(&b)), AUTH_MALFORMED);
	buffer_deinit(&b);
	(void)auth_free(a);
}

static void scheme_is_judged(void **state)
{
	static const struct {
		const char *before;
		const char *after;
		int result;
	} cases[] = {
		{ "Bearer ", "", AUTH_OK },
		{ "bearer ", "", AUTH_OK },
		{ "BEARER   ", "", AUTH_OK },
		{ "", "", AUTH_MISSING },
		{ "Bearer", "", AUTH_MISSING },
		{ "Bearer\t", "", AUTH_MISSING },
		{ "Basic ", "", AUTH_MISSING },
		{ "Token ", "", AUTH_MISSING },
		{ " Bearer ", "", AUTH_MISSING },
		{ "Bearer ", " x", AUTH_MALFORMED },
		{ "Bearer ", ",Bearer x", AUTH_MALFORMED },
		{ "Bearer \"", "\"", AUTH_MALFORMED },
		{ "Bearer Bearer ", "", AUTH_MALFORMED },
	};
	struct auth *a = new_auth(10);
	struct buffer good = bearer_of(SLICE(HEADER), SLICE(GOOD));
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct buffer b;
		buffer_init(&b, 4096);
		assert_int_equal(buffer_append(&b, slice_str(cases[i].before)), 0);
		assert_int_equal(buffer_append(&b, slice_skip(buffer_slice(&good), 7)), 0);
		assert_int_equal(buffer_append(&b, slice_str(cases[i].after)), 0);
		assert_int_equal(judge(a, buffer_slice(&b)), cases[i].result);
		buffer_deinit(&b);
	}
	buffer_deinit(&good);
	assert_int_equal(judge(a, SLICE_NULL), AUTH_MISSING);
	assert_int_equal(judge(a, SLICE("Bearer ")), AUTH_MISSING);
	assert_int_equal(judge(a, SLICE("Bearer    ")), AUTH_MISSING);
	(void)auth_free(a);
}

/* A good token of exactly the limit passes, one character more does not, nor does 1 MiB. */
static void length_is_bounded(void **state)
{
	struct auth *a = new_auth(10);
	static const size_t sizes[] = { 8192, 8196, 1 << 20 };
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct buffer claims;
		buffer_init(&claims, 1 << 20);
		/* header 36, two dots, signature 43 */
		size_t n = (sizes[i] - 36 - 2 - 43) * 3 / 4;
		assert_int_equal(buffer_append(&claims, SLICE("{\"sub\":\"a\",\"exp\":2000")), 0);
		while (claims.n < n - 1) {
			assert_int_equal(buffer_append_byte(&claims, ' '), 0);
		}
		assert_int_equal(buffer_append_byte(&claims, '}'), 0);
		struct buffer b = bearer_of(SLICE(HEADER), buffer_slice(&claims));
		assert_in_range(b.n - 7, sizes[i] - 3, sizes[i]);
		assert_int_equal(judge(a, buffer_slice(&b)), i == 0 ? AUTH_OK : AUTH_MALFORMED);
		buffer_deinit(&b);
		buffer_deinit(&claims);
	}
	struct buffer header;
	buffer_init(&header, 4096);
	assert_int_equal(buffer_append(&header, SLICE("{\"alg\":\"HS256\"")), 0);
	while (header.n < 1024) {
		assert_int_equal(buffer_append_byte(&header, ' '), 0);
	}
	assert_int_equal(buffer_append_byte(&header, '}'), 0);
	assert_int_equal(judge_token(a, buffer_slice(&header), SLICE(GOOD)), AUTH_MALFORMED);
	header.p[1023] = '}';
	header.n = 1024;
	assert_int_equal(judge_token(a, buffer_slice(&header), SLICE(GOOD)), AUTH_OK);
	buffer_deinit(&header);
	(void)auth_free(a);
}

/* The parser alone: which rule refuses what. */
static void parser_names_the_rule(void **state)
{
	static const char header[] = "eyJhbGciOiJIUzI1NiJ9";
	static struct token t;
	char text[TOKEN_BYTES_MAX + 2];
	static const struct {
		const char *text;
		enum token_result result;
	} cases[] = {
		{ "", TOKEN_E_LENGTH },
		{ "eyJhbGciOiJIUzI1NiJ9", TOKEN_E_PARTS },
		{ "eyJhbGciOiJIUzI1NiJ9.AA", TOKEN_E_PARTS },
		{ ".AA.AA", TOKEN_E_PARTS },
		{ "eyJhbGciOiJIUzI1NiJ9..AA", TOKEN_E_PARTS },
		{ "eyJhbGciOiJIUzI1NiJ9.AA.", TOKEN_E_PARTS },
		{ "eyJhbGciOiJIUzI1NiJ9.AA.AA.AA", TOKEN_E_PARTS },
		{ "eyJhbGciOiJIUzI1NiJ9.AA.A", TOKEN_E_BASE64 },
		{ "eyJhbGciOiJIUzI1NiJ9.AB.AA", TOKEN_E_BASE64 },
		{ "AA.AA.AA", TOKEN_E_JSON },
		{ "e30.AA.AA", TOKEN_E_HEADER },
		{ "eyJhbGciOiJIUzI1NiJ9.AA.AA", TOKEN_OK },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (token_parse(slice_str(cases[i].text), &t) != cases[i].result) {
			fail_msg("%s", cases[i].text);
		}
	}
	assert_slice(t.alg, "HS256");
	assert_int_equal(t.payload.n, 1);
	assert_int_equal(t.signature.n, 1);
	memset(text, 'A', sizeof(text));
	memcpy(text, header, sizeof(header) - 1);
	text[sizeof(header) - 1] = '.';
	text[TOKEN_BYTES_MAX - 3] = '.';
	assert_int_equal(token_parse(slice_of(text, TOKEN_BYTES_MAX), &t), TOKEN_OK);
	assert_int_equal(token_parse(slice_of(text, TOKEN_BYTES_MAX + 1), &t), TOKEN_E_LENGTH);
}

static void length_can_be_configured(void **state)
{
	struct auth_config config;
	struct auth *a = NULL;
	struct buffer b = bearer_of(SLICE(HEADER), SLICE(GOOD));
	for (size_t less = 0; less < 2; less++) {
		auth_config_init(&config);
		config.app_id = SLICE("shop");
		config.jwt_secret = SLICE(SECRET);
		config.unix_ms = test_wall;
		config.token_bytes = b.n - 7 - less;
		assert_int_equal(auth_new(&a, &config), 0);
		assert_int_equal(judge(a, buffer_slice(&b)), less == 0 ? AUTH_OK : AUTH_MALFORMED);
		a = auth_free(a);
	}
	buffer_deinit(&b);
}

static void other_secrets_do_not_fit(void **state)
{
	struct auth_config config;
	struct auth *a = NULL;
	auth_config_init(&config);
	config.app_id = SLICE("shop");
	config.jwt_secret = SLICE(SECRET "x");
	config.unix_ms = test_wall;
	assert_int_equal(auth_new(&a, &config), 0);
	assert_int_equal(judge_token(a, SLICE(HEADER), SLICE(GOOD)), AUTH_SIGNATURE);
	(void)auth_free(a);
}

static void bad_configurations_are_refused(void **state)
{
	struct auth_config good;
	struct auth *a = NULL;
	auth_config_init(&good);
	good.app_id = SLICE("shop");
	good.jwt_secret = SLICE(SECRET);
	struct auth_config c = good;
	c.jwt_secret = SLICE_NULL;
	assert_int_equal(auth_new(&a, &c), -EINVAL);
	c = good;
	c.app_id = SLICE("a b");
	assert_int_equal(auth_new(&a, &c), -EINVAL);
	c = good;
	c.token_bytes = AUTH_TOKEN_BYTES_MAX + 1;
	assert_int_equal(auth_new(&a, &c), -EINVAL);
	assert_null(a);
}

static void context_is_made_of_the_claims(void **state)
{
	static const struct {
		const char *claims;
		const char *trusted;
	} cases[] = {
		{ "{\"sub\":\"alice\",\"exp\":2000}",
			"\"user_id\":\"alice\",\"app_id\":\"shop\",\"_context\":{\"app_id\":\"shop\","
			"\"user_id\":\"alice\",\"username\":\"alice\",\"roles\":[],"
			"\"is_superadmin\":false}" },
		{ "{\"sub\":\"al\",\"user_id\":\"7\",\"exp\":2000,\"roles\":\"x,  SuperAdmin y\"}",
			"\"user_id\":\"7\",\"app_id\":\"shop\",\"_context\":{\"app_id\":\"shop\","
			"\"user_id\":\"7\",\"username\":\"al\",\"roles\":[\"x\",\"SuperAdmin\",\"y\"],"
			"\"is_superadmin\":true}" },
		{ "{\"user_id\":\"7\",\"exp\":2000,\"roles\":[\"a b\"],\"is_superadmin\":true}",
			"\"user_id\":\"7\",\"app_id\":\"shop\",\"_context\":{\"app_id\":\"shop\","
			"\"user_id\":\"7\",\"username\":\"7\",\"roles\":[\"a b\"],"
			"\"is_superadmin\":true}" },
		{ "{\"sub\":\"s\",\"username\":\"\",\"exp\":2000,\"roles\":\" , \","
		  "\"is_superadmin\":false}",
			"\"user_id\":\"s\",\"app_id\":\"shop\",\"_context\":{\"app_id\":\"shop\","
			"\"user_id\":\"s\",\"username\":\"s\",\"roles\":[],"
			"\"is_superadmin\":false}" },
		/* Where an issuer's servers keep roles is nothing in a token of ours. */
		{ "{\"sub\":\"a\",\"exp\":2000,\"realm_access\":{\"roles\":[\"superadmin\"]},"
		  "\"resource_access\":{\"shop\":{\"roles\":[\"x\"]}}}",
			"\"user_id\":\"a\",\"app_id\":\"shop\",\"_context\":{\"app_id\":\"shop\","
			"\"user_id\":\"a\",\"username\":\"a\",\"roles\":[],"
			"\"is_superadmin\":false}" },
		/* Names cannot break out of their quotes. */
		{ "{\"sub\":\"\\\",\\\"app_id\\\":\\\"x\",\"username\":\"\\\\\\u0001\\n\\u007f\xe2\x80"
		  "\xa8\","
		  "\"roles\":[\"\\\"]\"],\"exp\":2000}",
			"\"user_id\":\"\\\",\\\"app_id\\\":\\\"x\",\"app_id\":\"shop\",\"_context\":{"
			"\"app_id\":\"shop\",\"user_id\":\"\\\",\\\"app_id\\\":\\\"x\","
			"\"username\":\"\\\\\\u0001\\n\\u007f\xe2\x80\xa8\",\"roles\":[\"\\\"]\"],"
			"\"is_superadmin\":false}" },
	};
	struct auth *a = new_auth(10);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct user_context *u = user_of(a, cases[i].claims);
		assert_slice(u->trusted, cases[i].trusted);
		struct buffer b;
		buffer_init(&b, 4096);
		assert_int_equal(
			buffer_printf(&b, "{%.*s}", (int)u->trusted.n, (const char *)u->trusted.p),
			0);
		json_t *tree = json_loadb((char *)b.p, b.n, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(tree);
		assert_slice(u->user_id, json_string_value(json_object_get(tree, "user_id")));
		json_t *context = json_object_get(tree, "_context");
		assert_slice(u->username, json_string_value(json_object_get(context, "username")));
		assert_int_equal(
			u->is_superadmin, json_is_true(json_object_get(context, "is_superadmin")));
		char *roles = json_dumps(json_object_get(context, "roles"), JSON_COMPACT);
		assert_slice(u->roles_json, roles);
		assert_int_equal(u->expires_at, 2000);
		free(roles);
		json_decref(tree);
		buffer_deinit(&b);
		(void)user_context_unref(u);
	}
	(void)auth_free(a);
}

/* A token of ours is none that could be exchanged for one. */
static void nothing_is_exchanged(void **state)
{
	struct auth *a = new_auth(10);
	struct user_context *u = user_of(a, GOOD);
	char *token = NULL;
	unsigned expires_in = 0;
	assert_int_equal(auth_exchange(a, u, &token, &expires_in), -EINVAL);
	assert_null(token);
	(void)user_context_unref(u);
	(void)auth_free(a);
}

static void a_token_has_one_context(void **state)
{
	struct auth *a = new_auth(10);
	struct user_context *first = user_of(a, GOOD);
	struct user_context *again = user_of(a, GOOD);
	assert_ptr_equal(first, again);
	assert_int_equal(first->refs, 3);
	struct user_context *other = user_of(a, "{\"sub\":\"alice\",\"exp\":2001}");
	assert_ptr_not_equal(first, other);
	(void)user_context_unref(other);
	(void)user_context_unref(first);
	/* A request may outlive the table. */
	(void)auth_free(a);
	assert_slice(again->user_id, "alice");
	assert_int_equal(again->refs, 1);
	assert_null(user_context_unref(again));
	assert_null(user_context_unref(NULL));
}

static void least_used_leaves(void **state)
{
	struct auth *a = new_auth(2);
	struct user_context *u1 = user_of(a, "{\"sub\":\"1\",\"exp\":2000}");
	struct user_context *u2 = user_of(a, "{\"sub\":\"2\",\"exp\":2000}");
	/* 1 is used again, so 3 pushes 2 out. */
	(void)user_context_unref(user_of(a, "{\"sub\":\"1\",\"exp\":2000}"));
	(void)user_context_unref(user_of(a, "{\"sub\":\"3\",\"exp\":2000}"));
	assert_int_equal(u1->refs, 2);
	assert_int_equal(u2->refs, 1);
	struct user_context *again = user_of(a, "{\"sub\":\"1\",\"exp\":2000}");
	assert_ptr_equal(again, u1);
	(void)user_context_unref(again);
	again = user_of(a, "{\"sub\":\"2\",\"exp\":2000}");
	assert_ptr_not_equal(again, u2);
	(void)user_context_unref(again);
	(void)user_context_unref(u1);
	(void)user_context_unref(u2);
	(void)auth_free(a);
	a = new_auth(0);
	u1 = user_of(a, GOOD);
	u2 = user_of(a, GOOD);
	assert_ptr_not_equal(u1, u2);
	(void)user_context_unref(u1);
	(void)user_context_unref(u2);
	(void)auth_free(a);
}

/* However many are in use, a new one looks at some of them only: the ninth goes. */
static void nobody_looks_at_all(void **state)
{
	enum { N = 20, LEAVES = 8 };
	struct auth *a = new_auth(N);
	struct user_context *users[N];
	char claims[64];
	for (int use = 0; use < 2; use++) {
		for (int i = 0; i < N; i++) {
			(void)snprintf(claims, sizeof(claims), "{\"sub\":\"%d\",\"exp\":2000}", i);
			users[i] = user_of(a, claims);
			(void)(use == 0 ? user_context_unref(users[i]) : NULL);
		}
	}
	(void)user_context_unref(user_of(a, "{\"sub\":\"new\",\"exp\":2000}"));
	for (int i = 0; i < N; i++) {
		assert_int_equal(users[i]->refs, i == LEAVES ? 1 : 2);
		(void)user_context_unref(users[i]);
	}
	(void)auth_free(a);
}

/* Refused tokens push nothing out and are judged anew each time. */
static void refusals_are_not_kept(void **state)
{
	struct auth *a = new_auth(1);
	struct user_context *u = user_of(a, GOOD);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(
			judge_token(a, SLICE("{\"alg\":\"none\"}"), SLICE(GOOD)), AUTH_ALGORITHM);
		assert_int_equal(judge_token(a, SLICE(HEADER),
					 SLICE("{\"sub\":\"a\",\"exp\":2000,\"nbf\":1100}")),
			AUTH_NOT_YET_VALID);
	}
	assert_int_equal(u->refs, 2);
	wall_ms = 1070 * 1000;
	assert_int_equal(
		judge_token(a, SLICE(HEADER), SLICE("{\"sub\":\"a\",\"exp\":2000,\"nbf\":1100}")),
		AUTH_OK);
	(void)user_context_unref(u);
	(void)auth_free(a);
}

static int judge_claims(struct auth *a, const char *claims)
{
	return judge_token(a, SLICE(HEADER), slice_str(claims));
}

static void a_hit_is_judged_by_the_clocks(void **state)
{
	static const char claims[] = "{\"sub\":\"a\",\"exp\":2000,\"nbf\":900,\"iat\":900}";
	struct auth *a = new_auth(10);
	assert_int_equal(judge_claims(a, claims), AUTH_OK);
	wall_ms = 2030 * 1000 - 1;
	assert_int_equal(judge_claims(a, claims), AUTH_OK);
	wall_ms = 2030 * 1000;
	assert_int_equal(judge_claims(a, claims), AUTH_EXPIRED);
	/* That was a wrong clock, put right: the time has not passed. */
	wall_ms = 1000 * 1000;
	assert_int_equal(judge_claims(a, claims), AUTH_OK);
	/* Set back before nbf and iat. */
	wall_ms = 869 * 1000;
	assert_int_equal(judge_claims(a, claims), AUTH_NOT_YET_VALID);
	wall_ms = 870 * 1000;
	assert_int_equal(judge_claims(a, claims), AUTH_OK);
	/* Set back by an hour again and again: the token ends when its time has passed, for good. */
	mono_ms += (2030 - 1000) * 1000 - 1;
	assert_int_equal(judge_claims(a, claims), AUTH_OK);
	mono_ms += 1;
	assert_int_equal(judge_claims(a, claims), AUTH_EXPIRED);
	wall_ms = 1000 * 1000;
	assert_int_equal(judge_claims(a, claims), AUTH_EXPIRED);
	(void)auth_free(a);
}

static void a_run_out_entry_keeps_no_user(void **state)
{
	struct auth *a = new_auth(10);
	struct user_context *u = user_of(a, GOOD);
	assert_int_equal(u->refs, 2);
	mono_ms += 1030 * 1000;
	assert_int_equal(judge_claims(a, GOOD), AUTH_EXPIRED);
	assert_int_equal(u->refs, 1);
	(void)user_context_unref(u);
	(void)auth_free(a);
}

static void minted_tokens_are_good(void **state)
{
	struct auth *a = new_auth(10);
	char *token = NULL;
	char *second = NULL;
	wall_ms = 1700000000 * INT64_C(1000);
	assert_int_equal(
		auth_mint(a, SLICE("al \"ice\" \xc3\xa4"), SLICE("editor, superadmin"), 60, &token),
		0);
	assert_int_equal(auth_mint(a, SLICE("alice"), SLICE(""), 60, &second), 0);
	struct buffer b;
	buffer_init(&b, 8192);
	struct user_context *u = NULL;
	assert_int_equal(buffer_printf(&b, "Bearer %s", token), 0);
	assert_int_equal(verify(a, buffer_slice(&b), &u), AUTH_OK);
	assert_slice(u->user_id, "al \"ice\" \xc3\xa4");
	assert_slice(u->username, "al \"ice\" \xc3\xa4");
	assert_slice(u->roles_json, "[\"editor\",\"superadmin\"]");
	assert_true(u->is_superadmin);
	assert_int_equal(u->expires_at, 1700000060);
	(void)user_context_unref(u);
	wall_ms += 90 * 1000;
	assert_int_equal(judge(a, buffer_slice(&b)), AUTH_EXPIRED);
	/* Two tokens for one user and second differ (jti). */
	free(second);
	wall_ms = 1700000000 * INT64_C(1000);
	assert_int_equal(auth_mint(a, SLICE("al \"ice\" \xc3\xa4"), SLICE("editor, superadmin"), 60,
				 &second),
		0);
	assert_string_not_equal(token, second);
	free(token);
	free(second);
	buffer_deinit(&b);
	(void)auth_free(a);
}

static char ended[16];
static int ending = AUTH_REVOKED;

static int test_revoked(void *arg, const struct user_context *user)
{
	assert_ptr_equal(arg, &wall_ms);
	return slice_eq(user->session, slice_str(ended)) ? ending : AUTH_OK;
}

/* What auth_ask_again() says `seconds` after now. */
static int judge_user(struct auth *a, struct slice authorization, int seconds)
{
	struct user_context *u = NULL;
	assert_int_equal(verify(a, authorization, &u), AUTH_OK);
	wall_ms += seconds * INT64_C(1000);
	int r = auth_ask_again(a, u);
	wall_ms -= seconds * INT64_C(1000);
	(void)user_context_unref(u);
	return r;
}

static void an_ended_session_ends_its_tokens(void **state)
{
	const struct mint_request request = { .user = SLICE("u-7"),
		.username = SLICE("Ann"),
		.roles = SLICE("a"),
		.session = SLICE("s1"),
		.is_superadmin = true,
		.ttl_s = 60 };
	struct auth *a = new_auth(10);
	struct user_context *u = NULL;
	char *token = NULL;
	struct buffer b;
	buffer_init(&b, 8192);
	assert_int_equal(auth_mint_token(a, &request, &token), 0);
	assert_int_equal(buffer_printf(&b, "Bearer %s", token), 0);
	assert_int_equal(verify(a, buffer_slice(&b), &u), AUTH_OK);
	assert_slice(u->user_id, "u-7");
	assert_slice(u->username, "Ann");
	assert_slice(u->session, "s1");
	assert_true(u->is_superadmin);
	assert_int_equal(u->issued_at, 1000);
	auth_set_session_hook(a, test_revoked, &wall_ms);
	assert_int_equal(judge(a, buffer_slice(&b)), AUTH_OK);
	(void)snprintf(ended, sizeof(ended), "s1");
	assert_int_equal(judge(a, buffer_slice(&b)), AUTH_REVOKED);
	assert_int_equal(auth_ask_again(a, u), AUTH_REVOKED);
	ending = AUTH_DISABLED;
	assert_int_equal(judge(a, buffer_slice(&b)), AUTH_DISABLED);
	ending = AUTH_REVOKED;
	assert_int_equal(u->refs, 2);
	(void)user_context_unref(u);
	/* The first use of a token is asked for, too, and one without a session. */
	struct auth *fresh = new_auth(10);
	auth_set_session_hook(fresh, test_revoked, &wall_ms);
	assert_int_equal(judge(fresh, buffer_slice(&b)), AUTH_REVOKED);
	assert_int_equal(judge_claims(fresh, GOOD), AUTH_OK);
	ended[0] = '\0';
	assert_int_equal(judge_claims(fresh, GOOD), AUTH_REVOKED);
	assert_int_equal(judge(fresh, buffer_slice(&b)), AUTH_OK);
	/* A long connection asks again, until its token has run out. */
	assert_int_equal(judge_user(fresh, buffer_slice(&b), 89), AUTH_OK);
	assert_int_equal(judge_user(fresh, buffer_slice(&b), 90), AUTH_EXPIRED);
	free(token);
	buffer_deinit(&b);
	(void)auth_free(fresh);
	(void)auth_free(a);
}

static void bad_names_are_not_minted(void **state)
{
	static const struct {
		const char *user;
		const char *roles;
	} cases[] = { { "", "" }, { "a\n", "" }, { "a\x7f", "" }, { "a\xff", "" }, { "a", "," },
		{ "a", "x," }, { "a", ",x" }, { "a", "x,,y" }, { "a", " " }, { "a", "x\ty" } };
	struct auth *a = new_auth(10);
	char *token = NULL;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(auth_mint(a, slice_str(cases[i].user), slice_str(cases[i].roles),
					 60, &token),
			-EINVAL);
	}
	char name[AUTH_USER_BYTES_MAX + 1];
	memset(name, 'x', sizeof(name));
	assert_int_equal(
		auth_mint(a, slice_of(name, sizeof(name)), SLICE(""), 60, &token), -EINVAL);
	assert_int_equal(auth_mint(a, SLICE("a\0b"), SLICE(""), 60, &token), -EINVAL);
	assert_int_equal(auth_mint(a, SLICE("a"), SLICE(""), 0, &token), -EINVAL);
	struct buffer many;
	buffer_init(&many, 4096);
	assert_int_equal(buffer_append(&many, SLICE("r")), 0);
	for (int n = 2; n <= AUTH_ROLES_MAX; n++) {
		assert_int_equal(buffer_append(&many, SLICE(",r")), 0);
	}
	assert_int_equal(auth_mint(a, SLICE("a"), buffer_slice(&many), 60, &token), 0);
	free(token);
	token = NULL;
	assert_int_equal(buffer_append(&many, SLICE(",r")), 0);
	assert_int_equal(auth_mint(a, SLICE("a"), buffer_slice(&many), 60, &token), -EINVAL);
	buffer_deinit(&many);
	/* Longer than a token may be. */
	static char roles[AUTH_ROLE_BYTES_MAX * 60];
	for (size_t i = 0; i < sizeof(roles); i++) {
		roles[i] = i % AUTH_ROLE_BYTES_MAX == AUTH_ROLE_BYTES_MAX - 1 ? ',' : 'r';
	}
	assert_int_equal(
		auth_mint(a, SLICE("a"), slice_of(roles, sizeof(roles) - 1), 60, &token), -EINVAL);
	assert_null(token);
	(void)auth_free(a);
}

static void results_have_a_sentence(void **state)
{
	for (int r = AUTH_OK; r <= AUTH_NO_KEYS; r++) {
		assert_non_null(auth_result_text(r));
		for (int s = AUTH_OK; s < r; s++) {
			assert_string_not_equal(auth_result_text(r), auth_result_text(s));
		}
	}
	assert_non_null(auth_result_text(-ENOMEM));
	assert_non_null(auth_result_text(99));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_is_judged),
		cmocka_unit_test(claims_are_judged),
		cmocka_unit_test(names_are_bounded),
		cmocka_unit_test(trusted_text_is_bounded),
		cmocka_unit_test(signature_bits_all_count),
		cmocka_unit_test(every_character_counts),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(part_counts_are_strict),
		cmocka_unit_test(scheme_is_judged),
		cmocka_unit_test(length_is_bounded),
		cmocka_unit_test(parser_names_the_rule),
		cmocka_unit_test(length_can_be_configured),
		cmocka_unit_test(other_secrets_do_not_fit),
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(context_is_made_of_the_claims),
		cmocka_unit_test(nothing_is_exchanged),
		cmocka_unit_test(a_token_has_one_context),
		cmocka_unit_test(least_used_leaves),
		cmocka_unit_test(nobody_looks_at_all),
		cmocka_unit_test(refusals_are_not_kept),
		cmocka_unit_test(a_hit_is_judged_by_the_clocks),
		cmocka_unit_test(a_run_out_entry_keeps_no_user),
		cmocka_unit_test(minted_tokens_are_good),
		cmocka_unit_test(an_ended_session_ends_its_tokens),
		cmocka_unit_test(bad_names_are_not_minted),
		cmocka_unit_test(results_have_a_sentence),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
