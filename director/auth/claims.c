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

/* The member of this name, else what the path leads to: names of claims have dots, too
 * ("https://example.org/roles"). */
static const json_t *claim_at(const json_t *tree, struct slice path)
{
	const json_t *v = json_object_getn(tree, (const char *)path.p, path.n);
	while (v == NULL && path.n > 0) {
		const uint8_t *dot = memchr(path.p, '.', path.n);
		size_t n = dot == NULL ? path.n : (size_t)(dot - path.p);
		tree = json_object_getn(tree, (const char *)path.p, n);
		if (tree == NULL || dot == NULL) {
			return tree;
		}
		path = slice_skip(path, n + 1);
	}
	return v;
}

/* Optional text at a path. @return false for another type or over the limit. */
static bool take_text_at(const json_t *tree, struct slice path, size_t max, struct slice *ret)
{
	const json_t *v = claim_at(tree, path);
	if (v == NULL) {
		return true;
	}
	*ret = string_of(v);
	return json_is_string(v) && ret->n <= max;
}

/* user_id, else sub; where a claim is named, that one alone. */
static bool take_user_id(const json_t *tree, const struct claims_policy *p, struct slice *ret)
{
	struct slice found = SLICE_NULL;
	struct slice path = p->user_id_claim.n > 0 ? p->user_id_claim : SLICE("user_id");
	if (!take_text_at(tree, path, AUTH_USER_BYTES_MAX, &found)) {
		return false;
	}
	if (found.p == NULL) {
		return p->user_id_claim.n == 0;
	}
	*ret = found;
	return found.n > 0;
}

/* username, else sub, else user_id. */
static bool take_subject(const json_t *tree, const struct claims_policy *p, struct claims *c)
{
	struct slice sub = SLICE_NULL;
	struct slice username = SLICE_NULL;
	struct slice named = SLICE_NULL;
	if (!take_user_id(tree, p, &c->user_id) ||
		!take_text(tree, "sub", AUTH_USER_BYTES_MAX, &sub) ||
		(sub.p != NULL && sub.n == 0) ||
		!take_text_at(tree, p->username_claim, AUTH_USER_BYTES_MAX, &named) ||
		!take_text(tree, "username", AUTH_USER_BYTES_MAX, &username)) {
		return false;
	}
	c->user_id = c->user_id.n > 0 ? c->user_id : sub;
	username = named.n > 0 ? named : username;
	c->username = username.n > 0 ? username : sub.n > 0 ? sub : c->user_id;
	return c->user_id.n > 0;
}

/* For notifications and profiles, no right depends on it. */
static bool take_email(const json_t *tree, const struct claims_policy *p, struct claims *c)
{
	if (!p->from_issuer || json_is_false(json_object_get(tree, "email_verified"))) {
		return true;
	}
	return take_text_at(tree, p->email_claim.n > 0 ? p->email_claim : SLICE("email"),
		AUTH_EMAIL_BYTES_MAX, &c->email);
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

static bool has_role(const struct claims *c, struct slice role)
{
	for (size_t i = 0; i < c->n_roles; i++) {
		if (slice_eq(c->roles[i], role)) {
			return true;
		}
	}
	return false;
}

static bool add_role(struct claims *c, struct slice role)
{
	if (role.n > 0 && has_role(c, role)) {
		return true;
	}
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

static bool take_role_list(const json_t *v, struct claims *c)
{
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

/* {"roles": […]} of realm_access, or of one client in resource_access. */
static bool take_access(const json_t *access, struct claims *c)
{
	return access == NULL ||
		(json_is_object(access) && take_role_list(json_object_get(access, "roles"), c));
}

static bool names_have(const struct claims_names *names, struct slice name)
{
	for (size_t i = 0; i < names->n; i++) {
		if (slice_eq(names->items[i], name)) {
			return true;
		}
	}
	return false;
}

/* A role of another client is a right over there: superadmin of a wiki is nobody here. */
static bool take_client_roles(
	const json_t *tree, const struct claims_names *clients, struct claims *c)
{
	const json_t *access = json_object_get(tree, "resource_access");
	bool all = names_have(clients, SLICE("*"));
	if (access != NULL && !json_is_object(access)) {
		return false;
	}
	/* The iterator writes nothing, but has no const form. */
	json_t *object;
	memcpy(&object, &access, sizeof(object));
	for (void *i = json_object_iter(object); i != NULL; i = json_object_iter_next(object, i)) {
		struct slice client =
			slice_of(json_object_iter_key(i), json_object_iter_key_len(i));
		if ((all || names_have(clients, client)) &&
			!take_access(json_object_iter_value(i), c)) {
			return false;
		}
	}
	return true;
}

static bool take_roles(const json_t *tree, const struct claims_policy *p, struct claims *c)
{
	if (p->roles_claim.n > 0) {
		return take_role_list(claim_at(tree, p->roles_claim), c);
	}
	if (!take_role_list(json_object_get(tree, "roles"), c)) {
		return false;
	}
	return !p->from_issuer ||
		(take_access(json_object_get(tree, "realm_access"), c) &&
			take_client_roles(tree, &p->role_clients, c));
}

static bool take_superadmin(const json_t *tree, const struct claims_policy *p, struct claims *c)
{
	const json_t *v = claim_at(
		tree, p->superadmin_claim.n > 0 ? p->superadmin_claim : SLICE("is_superadmin"));
	if (v != NULL && !json_is_boolean(v)) {
		return false;
	}
	c->is_superadmin = json_is_true(v);
	for (size_t i = 0; i < c->n_roles; i++) {
		for (size_t j = 0; j < p->superadmin_roles.n; j++) {
			c->is_superadmin |=
				slice_eq_nocase(c->roles[i], p->superadmin_roles.items[j]);
		}
	}
	return true;
}

/* RFC 7519, 4.1.3: a token that names its audience is for nobody else. */
static bool audience_fits(const json_t *tree, const struct claims_policy *p)
{
	const json_t *v = json_object_get(tree, "aud");
	if (p->audiences.n == 0) {
		return true;
	}
	if (v == NULL) {
		return !p->audience_required;
	}
	if (json_is_string(v)) {
		return names_have(&p->audiences, string_of(v));
	}
	bool found = false;
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *name = json_array_get(v, i);
		if (!json_is_string(name)) {
			return false;
		}
		found |= names_have(&p->audiences, string_of(name));
	}
	return found;
}

static bool issuer_fits(const json_t *tree, const struct claims_policy *p)
{
	const json_t *v = json_object_get(tree, "iss");
	return p->issuer.n == 0 || (json_is_string(v) && slice_eq(string_of(v), p->issuer));
}

/* A word of a text with blanks, or an element of an array. */
static bool scope_list_has(const json_t *v, struct slice scope)
{
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *item = json_array_get(v, i);
		if (json_is_string(item) && slice_eq(string_of(item), scope)) {
			return true;
		}
	}
	struct slice rest = string_of(v);
	while (rest.n > 0) {
		const uint8_t *blank = memchr(rest.p, ' ', rest.n);
		size_t n = blank == NULL ? rest.n : (size_t)(blank - rest.p);
		if (slice_eq(slice_of(rest.p, n), scope)) {
			return true;
		}
		rest = slice_skip(rest, blank == NULL ? n : n + 1);
	}
	return false;
}

static bool scope_fits(const json_t *tree, const struct claims_policy *p)
{
	return p->scope.n == 0 || scope_list_has(json_object_get(tree, "scope"), p->scope) ||
		scope_list_has(json_object_get(tree, "scp"), p->scope);
}

/* An issuer signs other tokens with the same key, and we may do so, too. */
static bool type_fits(const json_t *tree, const struct claims_policy *p)
{
	static const char *const others[] = { "ID", "Refresh", "Offline", "Logout" };
	if (!p->from_issuer) {
		const json_t *use = json_object_get(tree, "mozaiks_token_use");
		return use == NULL ? !p->use_required
				   : json_is_string(use) && slice_eq(string_of(use), SLICE("app"));
	}
	struct slice type = string_of(json_object_get(tree, "typ"));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (slice_eq_nocase(type, slice_str(others[i]))) {
			return false;
		}
	}
	return json_object_get(tree, "at_hash") == NULL;
}

/* Whom the token is from and for, before who it stands for. */
static int judge_origin(const json_t *tree, const struct claims_policy *policy)
{
	const struct {
		bool (*fits)(const json_t *tree, const struct claims_policy *p);
		enum auth_result result;
	} rules[] = {
		{ issuer_fits, AUTH_ISSUER },
		{ type_fits, AUTH_TYPE },
		{ audience_fits, AUTH_AUDIENCE },
		{ scope_fits, AUTH_SCOPE },
	};
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (!rules[i].fits(tree, policy)) {
			return (int)rules[i].result;
		}
	}
	return AUTH_OK;
}

bool claims_names_split(struct slice text, struct claims_names *ret)
{
	ret->n = 0;
	for (bool more = text.n > 0; more;) {
		const uint8_t *comma = memchr(text.p, ',', text.n);
		struct slice name =
			slice_of(text.p, comma == NULL ? text.n : (size_t)(comma - text.p));
		more = comma != NULL;
		text = slice_skip(text, more ? name.n + 1 : name.n);
		while (name.n > 0 && name.p[0] == ' ') {
			name = slice_skip(name, 1);
		}
		while (name.n > 0 && name.p[name.n - 1] == ' ') {
			name.n--;
		}
		if (name.n == 0 || ret->n == CLAIMS_NAMES_MAX) {
			return false;
		}
		ret->items[ret->n] = name;
		ret->n++;
	}
	return true;
}

static int read_claims(const json_t *tree, const struct claims_policy *policy, struct claims *ret)
{
	if (!take_time(tree, "exp", true, &ret->exp_ms) ||
		!take_time(tree, "nbf", false, &ret->nbf_ms) ||
		!take_time(tree, "iat", false, &ret->iat_ms) || !take_subject(tree, policy, ret) ||
		!take_text(tree, "sid", AUTH_USER_BYTES_MAX, &ret->session) ||
		!take_email(tree, policy, ret) || !take_roles(tree, policy, ret) ||
		!take_superadmin(tree, policy, ret)) {
		return AUTH_CLAIMS;
	}
	return judge_origin(tree, policy);
}

int claims_parse(struct slice json, const struct claims_policy *policy, struct claims *ret)
{
	json_t *tree = NULL;
	int r = json_tree_parse(json, &tree, NULL);
	if (r < 0) {
		return r == -EBADMSG ? AUTH_MALFORMED : r;
	}
	if (!json_is_object(tree)) {
		json_decref(tree);
		return AUTH_MALFORMED;
	}
	*ret = (struct claims){ .tree = tree };
	r = read_claims(tree, policy, ret);
	if (r != AUTH_OK) {
		claims_deinit(ret);
	}
	return r;
}

void claims_deinit(struct claims *c)
{
	json_decref(c->tree);
	c->tree = NULL;
}
