#include "director/auth/discovery.h"

#include <errno.h>
#include <stdio.h>

static void copy(struct slice text, char out[static DISCOVERY_TEXT_MAX + 1])
{
	memcpy(out, text.p, text.n);
	out[text.n] = '\0';
}

static int read_fields(
	const json_t *tree, struct slice issuer, struct discovery *ret, struct json_why *why)
{
	struct json_fields f;
	struct slice name = SLICE_NULL;
	struct slice uri = SLICE_NULL;
	if (!json_fields_init(&f, tree, "", why) ||
		!json_field_string(&f, "issuer", JSON_REQUIRED, 1, DISCOVERY_TEXT_MAX, &name) ||
		!json_field_string(&f, "jwks_uri", JSON_REQUIRED, 1, DISCOVERY_TEXT_MAX, &uri)) {
		return -EBADMSG;
	}
	if (issuer.n > 0 && !slice_eq(name, issuer)) {
		/* SECURITY: another's document would let another sign (RFC 8414, 3.3). */
		(void)json_field_refuse(&f, "issuer", "is not the configured MOZAIKS_ISSUER");
		return -EBADMSG;
	}
	copy(name, ret->issuer);
	copy(uri, ret->jwks_uri);
	return 0;
}

int discovery_parse(
	struct slice text, struct slice issuer, struct discovery *ret, struct json_why *why)
{
	json_t *tree = NULL;
	int r = json_tree_parse(text, &tree, why);
	if (r == 0) {
		r = read_fields(tree, issuer, ret, why);
		json_decref(tree);
	}
	return r;
}

bool discovery_url(struct slice issuer, char out[static DISCOVERY_TEXT_MAX + 1])
{
	static const char path[] = "/.well-known/openid-configuration";
	while (issuer.n > 0 && issuer.p[issuer.n - 1] == '/') {
		issuer.n--;
	}
	if (issuer.n + sizeof(path) > DISCOVERY_TEXT_MAX + 1) {
		return false;
	}
	memcpy(out, issuer.p, issuer.n);
	memcpy(out + issuer.n, path, sizeof(path));
	return true;
}
