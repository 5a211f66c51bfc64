#include "director/users/password.h"

#include <crypt.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(PASSWORD_HASH_SIZE > crypto_pwhash_STRBYTES, "a hash fits");

/* ---- rules ---------------------------------------------------------------------------------- */

/* The kinds that are in it: lower, upper, digits, others. */
static unsigned count_kinds(struct slice s)
{
	bool kinds[4] = { 0 };
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		kinds[c >= 'a' && c <= 'z'             ? 0
				: c >= 'A' && c <= 'Z' ? 1
				: c >= '0' && c <= '9' ? 2
						       : 3] = true;
	}
	return (unsigned)kinds[0] + kinds[1] + kinds[2] + kinds[3];
}

static size_t count_characters(struct slice s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		n += (s.p[i] & 0xc0) != 0x80;
	}
	return n;
}

bool password_is_good(const struct password_rules *rules,
	struct slice password,
	struct slice name,
	struct slice email,
	char why[static PASSWORD_WHY_SIZE])
{
	why[0] = '\0';
	if (password.n > rules->max_bytes) {
		(void)snprintf(why, PASSWORD_WHY_SIZE,
			"must be at most %zu bytes (MOZAIKS_PASSWORD_MAX_BYTES)", rules->max_bytes);
	} else if (!slice_is_utf8(password) ||
		(password.n > 0 && memchr(password.p, 0, password.n) != NULL)) {
		(void)snprintf(why, PASSWORD_WHY_SIZE, "must be UTF-8 text without NUL");
	} else if (count_characters(password) < rules->min_characters) {
		(void)snprintf(why, PASSWORD_WHY_SIZE,
			"must be at least %u characters (MOZAIKS_PASSWORD_MIN_LENGTH)",
			rules->min_characters);
	} else if (count_kinds(password) < rules->kinds) {
		(void)snprintf(why, PASSWORD_WHY_SIZE,
			"must have %u of: lower case letters, upper case letters, digits, other "
			"characters (MOZAIKS_PASSWORD_KINDS)",
			rules->kinds);
	} else if (slice_eq_nocase(password, name) ||
		(email.n > 0 && slice_eq_nocase(password, email))) {
		(void)snprintf(
			why, PASSWORD_WHY_SIZE, "must not be the username or the e-mail address");
	}
	return why[0] == '\0';
}

/* ---- hashes --------------------------------------------------------------------------------- */

int password_hash(const struct password_cost *cost,
	struct slice password,
	char out[static PASSWORD_HASH_SIZE])
{
	int r = crypto_pwhash_str_alg(out, (const char *)password.p, password.n, cost->passes,
		cost->memory_bytes, crypto_pwhash_ALG_ARGON2ID13);
	return r != 0 ? -ENOMEM : 0;
}

/* "$2b$12$" and 53 characters of ./A-Za-z0-9 */
static bool is_bcrypt(struct slice s)
{
	if (s.n != 60 || s.p[0] != '$' || s.p[1] != '2' || s.p[3] != '$' || s.p[6] != '$' ||
		(s.p[2] != 'a' && s.p[2] != 'b' && s.p[2] != 'y')) {
		return false;
	}
	if (s.p[4] < '0' || s.p[4] > '9' || s.p[5] < '0' || s.p[5] > '9') {
		return false;
	}
	int cost = (s.p[4] - '0') * 10 + s.p[5] - '0';
	return cost >= 4 && cost <= PASSWORD_BCRYPT_COST_MAX;
}

enum password_kind password_kind_of(struct slice hash)
{
	if (hash.n < PASSWORD_HASH_SIZE && (hash.n == 0 || memchr(hash.p, 0, hash.n) == NULL) &&
		slice_starts(hash, SLICE("$argon2"))) {
		return PASSWORD_ARGON2;
	}
	return is_bcrypt(hash) ? PASSWORD_BCRYPT : PASSWORD_UNKNOWN;
}

static int verify_argon2(const char *hash, struct slice password)
{
	errno = 0;
	int r = crypto_pwhash_str_verify(hash, (const char *)password.p, password.n);
	return r == 0 ? 1 : errno == ENOMEM ? -ENOMEM : 0;
}

static int verify_bcrypt(const char *hash, struct slice password)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	char *text = slice_dup(password);
	if (data == NULL || text == NULL) {
		free(data);
		free(text);
		return -ENOMEM;
	}
	const char *made = crypt_r(text, hash, data);
	bool same = made != NULL && slice_eq_secret(slice_str(made), slice_str(hash));
	explicit_bzero(data, sizeof(*data));
	explicit_bzero(text, password.n);
	free(data);
	free(text);
	return same;
}

int password_verify(struct slice hash, struct slice password)
{
	char text[PASSWORD_HASH_SIZE] = "";
	enum password_kind kind = password_kind_of(hash);
	if (kind == PASSWORD_UNKNOWN ||
		(password.n > 0 && memchr(password.p, 0, password.n) != NULL)) {
		return 0;
	}
	memcpy(text, hash.p, hash.n);
	return kind == PASSWORD_BCRYPT ? verify_bcrypt(text, password)
				       : verify_argon2(text, password);
}

bool password_is_old(const struct password_cost *cost, struct slice hash)
{
	char text[PASSWORD_HASH_SIZE] = "";
	if (password_kind_of(hash) != PASSWORD_ARGON2) {
		return true;
	}
	memcpy(text, hash.p, hash.n);
	return crypto_pwhash_str_needs_rehash(text, cost->passes, cost->memory_bytes) != 0;
}
