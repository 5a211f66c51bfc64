/*
 * What an issuer publishes. An input that begins with 'd' is a discovery document, any other a key set
 * after its first byte. Whatever is taken must be what the rules of jwk.h allow, and a token that
 * nobody signed must not pass with any of its keys.
 */
#include "common/base/error.h"
#include "common/base/map.h"
#include "director/auth/discovery.h"
#include "director/auth/jwk.h"

enum { TEXT_MAX = 64 * 1024, KEYS_MAX = 8 };

static struct jwks_rules rules;

/* {"alg":"RS256"}, {"alg":"ES256"} and {"alg":"EdDSA"} with {} and a signature of zeros. */
static const char *const forged[] = {
	"eyJhbGciOiJSUzI1NiJ9.e30.AA",
	"eyJhbGciOiJFUzI1NiJ9.e30."
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	"eyJhbGciOiJFZERTQSJ9.e30."
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
};

static void check_keys(struct slice text)
{
	struct key_set set = KEY_SET_NULL;
	struct jwks_report report;
	uint32_t serial = 0;
	if (jwks_parse(text, &rules, &set, &report) != 0) {
		invariant(set.n == 0 && report.why[0] != '\0');
		return;
	}
	invariant(set.n + report.skipped <= KEYS_MAX);
	key_set_number(&set, NULL, &serial);
	invariant(serial == set.n && !key_set_has_serial(&set, serial + 1));
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		struct token t;
		uint32_t by;
		invariant(token_parse(slice_str(forged[i]), &t) == TOKEN_OK);
		invariant(key_set_verify(&set, &t, &by) != KEY_OK);
	}
	key_set_deinit(&set);
}

static void check_discovery(struct slice text)
{
	static const char issuer[] = "https://id.example.org/realms/shop";
	struct discovery found;
	struct json_why why = { "" };
	if (discovery_parse(text, slice_str(issuer), &found, &why) == 0) {
		invariant(strcmp(found.issuer, issuer) == 0);
		invariant(found.jwks_uri[0] != '\0');
	} else {
		invariant(why.text[0] != '\0');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (rules.keys_max == 0) {
		rules.keys_max = KEYS_MAX;
		invariant(map_init() == 0 &&
			algorithm_list_parse(
				SLICE("RS256,PS256,ES256,ES384,ES512,EdDSA"), &rules.algorithms));
	}
	if (size > TEXT_MAX || size == 0) {
		return 0;
	}
	if (data[0] == 'd') {
		check_discovery(slice_of(data + 1, size - 1));
	} else {
		check_keys(slice_of(data + 1, size - 1));
	}
	return 0;
}
