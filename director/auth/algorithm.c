#include "director/auth/algorithm.h"

/* clang-format off */
static const struct algorithm algorithms[] = {
	{ "HS256", ALGORITHM_HMAC,  "SHA256", 32, NULL, NULL, 0, 32 },
	{ "HS384", ALGORITHM_HMAC,  "SHA384", 48, NULL, NULL, 0, 48 },
	{ "HS512", ALGORITHM_HMAC,  "SHA512", 64, NULL, NULL, 0, 64 },
	{ "RS256", ALGORITHM_RSA,   "SHA256", 32, NULL, NULL, 0, 0 },
	{ "RS384", ALGORITHM_RSA,   "SHA384", 48, NULL, NULL, 0, 0 },
	{ "RS512", ALGORITHM_RSA,   "SHA512", 64, NULL, NULL, 0, 0 },
	{ "PS256", ALGORITHM_PSS,   "SHA256", 32, NULL, NULL, 0, 0 },
	{ "PS384", ALGORITHM_PSS,   "SHA384", 48, NULL, NULL, 0, 0 },
	{ "PS512", ALGORITHM_PSS,   "SHA512", 64, NULL, NULL, 0, 0 },
	{ "ES256", ALGORITHM_ECDSA, "SHA256", 32, "P-256",   "prime256v1", 32, 64 },
	{ "ES384", ALGORITHM_ECDSA, "SHA384", 48, "P-384",   "secp384r1",  48, 96 },
	{ "ES512", ALGORITHM_ECDSA, "SHA512", 64, "P-521",   "secp521r1",  66, 132 },
	{ "EdDSA", ALGORITHM_EDDSA, NULL,     0,  "Ed25519", "ED25519",    32, 64 },
	{ "EdDSA", ALGORITHM_EDDSA, NULL,     0,  "Ed448",   "ED448",      57, 114 },
};
/* clang-format on */

enum { N_ALGORITHMS = sizeof(algorithms) / sizeof(algorithms[0]) };

const struct algorithm *algorithm_find(struct slice name, struct slice curve)
{
	for (size_t i = 0; i < N_ALGORITHMS; i++) {
		const struct algorithm *a = &algorithms[i];
		if (slice_eq(slice_str(a->name), name) &&
			(curve.n == 0 || slice_eq(slice_str(a->curve), curve))) {
			return a;
		}
	}
	return NULL;
}

/* All rows of a name. @return how many there are. */
static size_t add(struct algorithm_list *list, struct slice name)
{
	size_t found = 0;
	for (size_t i = 0; i < N_ALGORITHMS; i++) {
		if (slice_eq(slice_str(algorithms[i].name), name) &&
			algorithms[i].family != ALGORITHM_HMAC && list->n < ALGORITHM_LIST_MAX) {
			list->items[list->n] = &algorithms[i];
			list->n++;
			found++;
		}
	}
	return found;
}

bool algorithm_list_parse(struct slice text, struct algorithm_list *ret)
{
	struct algorithm_list list = { .n = 0 };
	for (bool more = true; more;) {
		const uint8_t *comma = text.n == 0 ? NULL : memchr(text.p, ',', text.n);
		struct slice name =
			slice_of(text.p, comma == NULL ? text.n : (size_t)(comma - text.p));
		const struct algorithm *known = algorithm_find(name, SLICE_NULL);
		if (known == NULL || algorithm_list_has(&list, known) || add(&list, name) == 0) {
			return false;
		}
		more = comma != NULL;
		text = slice_skip(text, more ? name.n + 1 : name.n);
	}
	*ret = list;
	return true;
}

const struct algorithm *algorithm_list_fit(
	const struct algorithm_list *list, enum algorithm_family family, struct slice curve)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct algorithm *a = list->items[i];
		if (a->family == family &&
			(a->curve == NULL || slice_eq(slice_str(a->curve), curve))) {
			return a;
		}
	}
	return NULL;
}

bool algorithm_list_has(const struct algorithm_list *list, const struct algorithm *algorithm)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->items[i] == algorithm) {
			return true;
		}
	}
	return false;
}
