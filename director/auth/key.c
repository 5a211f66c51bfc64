#include "director/auth/key.h"

#include "common/base/error.h"

#include <cjose/cjose.h>
#include <errno.h>
#include <stdlib.h>

struct algorithm {
	const char *name;
	cjose_jwk_kty_t key_type;
	size_t signature_bytes;
};

static const struct algorithm algorithms[] = {
	{ "HS256", CJOSE_JWK_KTY_OCT, 32 },
};

struct key {
	const struct algorithm *algorithm;
	char *kid; /* NULL: none */
	cjose_jwk_t *jwk;
};

static const struct algorithm *algorithm_find(struct slice name, cjose_jwk_kty_t key_type)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		const struct algorithm *a = &algorithms[i];
		if (a->key_type == key_type && slice_eq(slice_str(a->name), name)) {
			return a;
		}
	}
	return NULL;
}

static void key_deinit(struct key *k)
{
	free(k->kid);
	if (k->jwk != NULL) {
		(void)cjose_jwk_release(k->jwk);
	}
	*k = (struct key){ 0 };
}

void key_set_deinit(struct key_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		key_deinit(&set->keys[i]);
	}
	free(set->keys);
	*set = KEY_SET_NULL;
}

int key_set_add_secret(struct key_set *set, struct slice alg, struct slice kid, struct slice secret)
{
	struct key k = { .algorithm = algorithm_find(alg, CJOSE_JWK_KTY_OCT) };
	if (k.algorithm == NULL || secret.n == 0) {
		return -EINVAL;
	}
	struct key *keys = realloc(set->keys, (set->n + 1) * sizeof(*keys));
	if (keys == NULL) {
		return -ENOMEM;
	}
	set->keys = keys;
	k.jwk = cjose_jwk_create_oct_spec(secret.p, secret.n, NULL);
	k.kid = kid.n > 0 ? slice_dup(kid) : NULL;
	if (k.jwk == NULL || (kid.n > 0 && k.kid == NULL)) {
		key_deinit(&k);
		return -ENOMEM;
	}
	set->keys[set->n] = k;
	set->n++;
	return 0;
}

static int cjose_errno(const cjose_err *err)
{
	return err->code == CJOSE_ERR_NO_MEMORY ? -ENOMEM : -EIO;
}

/* cjose 0.6.2 does not look whether it got memory everywhere (cjose_jws_import() copies to NULL), so
 * what it needs for a token is asked for before: once it was there, it is there again. */
static bool has_room(size_t token_bytes)
{
	void *room = malloc(token_bytes * 8 + 16384);
	/* The compiler may not see through it. */
	__asm__ volatile("" : "+r"(room));
	bool got = room != NULL;
	free(room);
	return got;
}

static int verify_with(const struct key *k, const struct token *t)
{
	/* cjose picks the digest from the token's header, which names the key's algorithm by now. */
	invariant(slice_eq(slice_str(k->algorithm->name), t->alg));
	if (t->signature.n != k->algorithm->signature_bytes) {
		return KEY_E_SIGNATURE;
	}
	if (!has_room(t->compact.n)) {
		return -ENOMEM;
	}
	cjose_err err = { 0 };
	cjose_jws_t *jws = cjose_jws_import((const char *)t->compact.p, t->compact.n, &err);
	if (jws == NULL) {
		return err.code == CJOSE_ERR_NO_MEMORY ? -ENOMEM : KEY_E_SIGNATURE;
	}
	/* The comparison of the MAC in it takes constant time (cjose_const_memcmp). */
	bool good = cjose_jws_verify(jws, k->jwk, &err);
	cjose_jws_release(jws);
	if (!good && err.code == CJOSE_ERR_NO_MEMORY) {
		return -ENOMEM;
	}
	return good ? KEY_OK : KEY_E_SIGNATURE;
}

int key_set_verify(const struct key_set *set, const struct token *t)
{
	int result = t->kid.n > 0 ? KEY_E_UNKNOWN : KEY_E_ALGORITHM;
	for (size_t i = 0; i < set->n; i++) {
		const struct key *k = &set->keys[i];
		if (t->kid.n > 0 && !slice_eq(slice_str(k->kid), t->kid)) {
			continue;
		}
		if (!slice_eq(slice_str(k->algorithm->name), t->alg)) {
			result = result == KEY_E_UNKNOWN ? KEY_E_ALGORITHM : result;
			continue;
		}
		result = verify_with(k, t);
		if (result <= 0) {
			return result;
		}
	}
	return result;
}

static int sign(cjose_header_t *header, const struct key *k, struct slice payload, char **ret_token)
{
	cjose_err err = { 0 };
	const char *compact = NULL;
	if (!cjose_header_set(header, CJOSE_HDR_ALG, k->algorithm->name, &err) ||
		!cjose_header_set(header, "typ", "JWT", &err)) {
		return cjose_errno(&err);
	}
	cjose_jws_t *jws = cjose_jws_sign(k->jwk, header, payload.p, payload.n, &err);
	if (jws == NULL) {
		return cjose_errno(&err);
	}
	int r = 0;
	if (cjose_jws_export(jws, &compact, &err)) {
		char *copy = slice_dup(slice_str(compact));
		r = copy == NULL ? -ENOMEM : 0;
		*ret_token = copy == NULL ? *ret_token : copy;
	} else {
		r = cjose_errno(&err);
	}
	cjose_jws_release(jws);
	return r;
}

int key_set_sign(const struct key_set *set, struct slice payload, char **ret_token)
{
	invariant(set->n > 0);
	cjose_header_t *header = has_room(payload.n) ? cjose_header_new(NULL) : NULL;
	if (header == NULL) {
		return -ENOMEM;
	}
	int r = sign(header, &set->keys[0], payload, ret_token);
	cjose_header_release(header);
	return r;
}
