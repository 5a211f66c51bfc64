#include "director/auth/claims.h"

#include <errno.h>
#include <math.h>

/* 9999-12-31T23:59:59Z */
#define TIME_MAX_S 253402300799.0

static struct slice string_of(const json_t *v)
{
	return slice_of(json_string_value(v), json_string_length(v));
}

/* Optional text. @return false for another type or over the limit. */
static bool take_text(const json_t *tree, const char *name, size_t max, struct slice *ret)
{
	const json_t *v = json_object_get(tree, name);
	if (v == NULL) {
		return true;
	}
	if (!json_is_string(v) || json_string_length(v) > max) {
		return false;
	}
	*ret = string_of(v);
	return true;
}

static bool take_subject(const json_t *tree, struct claims *c)
{
	static const char *const names[] = { "user_id", "sub" };
	struct slice found[2] = { SLICE_NULL, SLICE_NULL };
	for (size_t i = 0; i < 2; i++) {
		if (!take_text(tree, names[i], AUTH_USER_BYTES_MAX, &found[i]) ||
			(found[i].p != NULL && found[i].n == 0)) {
			return false;
		}
	}
	struct slice username = SLICE_NULL;
	if (!take_text(tree, "username", AUTH_USER_BYTES_MAX, &username)) {
		return false;
	}
	c->user_id = found[0].n > 0 ? found[0] : found[1];
	c->username = username.n > 0 ? username : found[1].n > 0 ? found[1] : c->user_id;
	return c->user_id.n > 0;
}

static bool take_time(const json_t *tree, const char *name, bool required, int64_t *ret_ms)
{
	const json_t *v = json_object_get(tree, name);
	if (v == NULL) {
		return !required;
	}
	if (!json_is_number(v)) {
		return false;
	}
	double seconds = json_number_value(v);
	if (!isfinite(seconds) || seconds < 0 || seconds > TIME_MAX_S) {
		return false;
	}
	*ret_ms = (int64_t)(seconds * 1000);
	return true;
}

static bool add_role(struct claims *c, struct slice role)
{
	if (role.n == 0 || role.n > AUTH_ROLE_BYTES_MAX || c->n_roles == AUTH_ROLES_MAX) {
		return false;
	}
	c->roles[c->n_roles] = role;
	c->n_roles++;
	return true;
}

static bool split_roles(struct claims *c, struct slice text)
{
	size_t start = 0;
	for (size_t i = 0; i <= text.n; i++) {
		if (i < text.n && text.p[i] != ',' && text.p[i] != ' ') {
			continue;
		}
		if (i > start && !add_role(c, slice_of(text.p + start, i - start))) {
			return false;
		}
		start = i + 1;
	}
	return true;
}

static bool take_roles(const json_t *tree, struct claims *c)
{
	const json_t *v = json_object_get(tree, "roles");
	if (v == NULL) {
		return true;
	}
	if (json_is_string(v)) {
		return split_roles(c, string_of(v));
	}
	if (!json_is_array(v)) {
		return false;
	}
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *role = json_array_get(v, i);
		if (!json_is_string(role) || !add_role(c, string_of(role))) {
			return false;
		}
	}
	return true;
}

static bool take_superadmin(const json_t *tree, struct slice role_name, struct claims *c)
{
	const json_t *v = json_object_get(tree, "is_superadmin");
	if (v != NULL && !json_is_boolean(v)) {
		return false;
	}
	c->is_superadmin = json_is_true(v);
	for (size_t i = 0; i < c->n_roles; i++) {
		c->is_superadmin |= slice_eq_nocase(c->roles[i], role_name);
	}
	return true;
}

/* RFC 7519, 4.1.3: a token that names its audience is for nobody else. */
static bool audience_fits(const json_t *tree, struct slice app_id)
{
	const json_t *v = json_object_get(tree, "aud");
	if (v == NULL) {
		return true;
	}
	if (json_is_string(v)) {
		return slice_eq(string_of(v), app_id);
	}
	bool found = false;
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *name = json_array_get(v, i);
		if (!json_is_string(name)) {
			return false;
		}
		found |= slice_eq(string_of(name), app_id);
	}
	return found;
}

int claims_parse(struct slice json, const struct claims_policy *policy, struct claims *ret)
{
	json_t *tree = NULL;
	int r = json_tree_parse(json, &tree, NULL);
	if (r == -EBADMSG) {
		return AUTH_MALFORMED;
	}
	if (r < 0) {
		return r;
	}
	if (!json_is_object(tree)) {
		json_decref(tree);
		return AUTH_MALFORMED;
	}
	*ret = (struct claims){ .tree = tree };
	if (!take_time(tree, "exp", true, &ret->exp_ms) ||
		!take_time(tree, "nbf", false, &ret->nbf_ms) ||
		!take_time(tree, "iat", false, &ret->iat_ms) || !take_subject(tree, ret) ||
		!take_text(tree, "sid", AUTH_USER_BYTES_MAX, &ret->session) ||
		!take_roles(tree, ret) || !take_superadmin(tree, policy->superadmin_role, ret) ||
		!audience_fits(tree, policy->app_id)) {
		claims_deinit(ret);
		return AUTH_CLAIMS;
	}
	return AUTH_OK;
}

void claims_deinit(struct claims *c)
{
	json_decref(c->tree);
	c->tree = NULL;
}
