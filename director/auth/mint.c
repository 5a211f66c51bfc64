#include "director/auth/mint.h"

#include "director/auth/auth.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>

static bool name_is_good(struct slice s, size_t max)
{
	if (s.n == 0 || s.n > max || !slice_is_utf8(s)) {
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] == 0x7f) {
			return false;
		}
	}
	return true;
}

static struct slice trim(struct slice s)
{
	while (s.n > 0 && s.p[0] == ' ') {
		s = slice_skip(s, 1);
	}
	while (s.n > 0 && s.p[s.n - 1] == ' ') {
		s.n--;
	}
	return s;
}

static int append_roles(struct buffer *b, struct slice roles)
{
	size_t count = 0;
	int r = 0;
	while (roles.n > 0 && r == 0) {
		const uint8_t *comma = memchr(roles.p, ',', roles.n);
		size_t n = comma == NULL ? roles.n : (size_t)(comma - roles.p);
		struct slice role = trim(slice_of(roles.p, n));
		roles = slice_skip(roles, comma == NULL ? n : n + 1);
		count++;
		/* "a," ends in an empty name too. */
		if (!name_is_good(role, AUTH_ROLE_BYTES_MAX) || count > AUTH_ROLES_MAX ||
			(comma != NULL && roles.n == 0)) {
			return -EINVAL;
		}
		r = count > 1 ? buffer_append_byte(b, ',') : 0;
		r = r < 0 ? r : buffer_append_json(b, role);
	}
	return r;
}

static int append_roles_claim(struct buffer *b, const struct mint_request *request)
{
	if (request->roles_json.n > 0) {
		return buffer_append(b, request->roles_json);
	}
	int r = buffer_append_byte(b, '[');
	r = r < 0 ? r : append_roles(b, request->roles);
	return r < 0 ? r : buffer_append_byte(b, ']');
}

/* An optional claim. */
static int append_claim(struct buffer *b, struct slice name, struct slice value)
{
	int r = value.n == 0 ? 0 : buffer_append(b, name);
	return r < 0 || value.n == 0 ? r : buffer_append_json(b, value);
}

static bool optional_is_good(struct slice s)
{
	return s.n == 0 || name_is_good(s, AUTH_USER_BYTES_MAX);
}

static int append_names(struct buffer *b, const struct mint_request *request)
{
	const struct {
		struct slice name;
		struct slice value;
	} claims[] = {
		{ SLICE("{\"sub\":"), request->user },
		{ SLICE(",\"user_id\":"), request->user },
		{ SLICE(",\"username\":"),
			request->username.n > 0 ? request->username : request->user },
		{ SLICE(",\"sid\":"), request->session },
		{ SLICE(",\"mozaiks_token_use\":"), request->use },
		{ SLICE(",\"aud\":"), request->audience },
	};
	int r = 0;
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]) && r == 0; i++) {
		r = append_claim(b, claims[i].name, claims[i].value);
	}
	return r < 0 || !request->is_superadmin
		? r
		: buffer_append(b, SLICE(",\"is_superadmin\":true"));
}

int mint_claims(struct buffer *b, const struct mint_request *request)
{
	if (!name_is_good(request->user, AUTH_USER_BYTES_MAX) || request->ttl_s == 0 ||
		!optional_is_good(request->username) || !optional_is_good(request->session) ||
		!optional_is_good(request->use) || !optional_is_good(request->audience)) {
		return -EINVAL;
	}
	uint8_t random[16];
	char jti[sodium_base64_ENCODED_LEN(
		sizeof(random), sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
	randombytes_buf(random, sizeof(random));
	(void)sodium_bin2base64(
		jti, sizeof(jti), random, sizeof(random), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	int r = append_names(b, request);
	r = r < 0 ? r : buffer_append(b, SLICE(",\"roles\":"));
	r = r < 0 ? r : append_roles_claim(b, request);
	return r < 0 ? r
		     : buffer_printf(b, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 ",\"jti\":\"%s\"}",
			       request->now_s, request->now_s + request->ttl_s, jti);
}
