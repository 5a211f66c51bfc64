#include "director/auth/user.h"

#include "common/base/buffer.h"
#include "common/base/error.h"

#include <errno.h>
#include <stdlib.h>

struct user_context *user_context_ref(struct user_context *u)
{
	invariant(u->refs > 0 && u->refs < UINT32_MAX);
	u->refs++;
	return u;
}

struct user_context *user_context_unref(struct user_context *u)
{
	if (u == NULL) {
		return NULL;
	}
	invariant(u->refs > 0);
	u->refs--;
	if (u->refs == 0) {
		free(u);
	}
	return NULL;
}

/* Where a text lies in the rendered bytes. */
struct span {
	size_t start;
	size_t n;
};

static int render_member(struct buffer *b, struct slice prefix, struct slice value)
{
	int r = buffer_append(b, prefix);
	return r < 0 ? r : buffer_append_json(b, value);
}

static int render_roles(struct buffer *b, const struct user_identity *id, struct span *ret)
{
	size_t start = b->n;
	int r = buffer_append_byte(b, '[');
	for (size_t i = 0; i < id->n_roles && r == 0; i++) {
		r = render_member(b, i > 0 ? SLICE(",") : SLICE(""), id->roles[i]);
	}
	r = r < 0 ? r : buffer_append_byte(b, ']');
	*ret = (struct span){ start, b->n - start };
	return r;
}

/* "user_id":…,"app_id":…,"_context":{…}: the order of the members is the reference's. */
static int render_trusted(struct buffer *b, const struct user_identity *id, struct span *ret_roles)
{
	int r = render_member(b, SLICE("\"user_id\":"), id->user_id);
	r = r < 0 ? r : render_member(b, SLICE(",\"app_id\":"), id->app_id);
	r = r < 0 ? r : render_member(b, SLICE(",\"_context\":{\"app_id\":"), id->app_id);
	r = r < 0 ? r : render_member(b, SLICE(",\"user_id\":"), id->user_id);
	r = r < 0 ? r : render_member(b, SLICE(",\"username\":"), id->username);
	r = r < 0 ? r : buffer_append(b, SLICE(",\"roles\":"));
	r = r < 0 ? r : render_roles(b, id, ret_roles);
	r = r < 0 ? r
		  : buffer_append(b,
			    id->is_superadmin ? SLICE(",\"is_superadmin\":true}")
					      : SLICE(",\"is_superadmin\":false}"));
	return r;
}

/* @return where the next goes. */
static uint8_t *put(uint8_t *at, struct slice s)
{
	if (s.n > 0) {
		memcpy(at, s.p, s.n);
	}
	return at + s.n;
}

int user_context_new(struct user_context **ret, const struct user_identity *identity)
{
	struct buffer b;
	struct span roles;
	buffer_init(&b, AUTH_TRUSTED_MAX);
	int r = render_trusted(&b, identity, &roles);
	/* One block: the struct, the trusted text, the names. */
	size_t size = sizeof(struct user_context) + b.n + identity->user_id.n +
		identity->username.n + identity->session.n + identity->email.n;
	struct user_context *u = r < 0 ? NULL : malloc(size);
	if (u == NULL) {
		buffer_deinit(&b);
		return r < 0 ? r : -ENOMEM;
	}
	uint8_t *text = (uint8_t *)(u + 1);
	uint8_t *user_id = put(text, buffer_slice(&b));
	uint8_t *username = put(user_id, identity->user_id);
	uint8_t *session = put(username, identity->username);
	uint8_t *email = put(session, identity->session);
	(void)put(email, identity->email);
	*u = (struct user_context){
		.refs = 1,
		.user_id = slice_of(user_id, identity->user_id.n),
		.username = slice_of(username, identity->username.n),
		.roles_json = slice_of(text + roles.start, roles.n),
		.is_superadmin = identity->is_superadmin,
		.trusted = slice_of(text, b.n),
		.session = slice_of(session, identity->session.n),
		.email = slice_of(email, identity->email.n),
		.external = identity->external,
		.key_serial = identity->key_serial,
		.issued_at = identity->issued_at,
		.expires_at = identity->expires_at,
	};
	buffer_deinit(&b);
	*ret = u;
	return 0;
}
