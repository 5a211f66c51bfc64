/* What the documents of accounts look like, and what of those that were there before is understood. */
#include "director/users/operation.h"

#include <sodium.h>
#include <stdlib.h>

static struct slice text_of(struct slice document, struct slice name)
{
	struct value v = document_find(document, name);
	return v.type == BT_STRING ? value_string(v) : SLICE_NULL;
}

bool record_id_text(struct value id, char out[static USER_ID_MAX + 1])
{
	if (id.type == BT_OID) {
		(void)sodium_bin2hex(out, USER_ID_MAX + 1, id.data.p, OID_BYTES);
		return true;
	}
	struct slice text = id.type == BT_STRING ? value_string(id) : SLICE_NULL;
	if (text.n == 0 || text.n > USER_ID_MAX || memchr(text.p, 0, text.n) != NULL) {
		return false;
	}
	memcpy(out, text.p, text.n);
	out[text.n] = '\0';
	return true;
}

bool record_read(struct user_record *u, struct slice document)
{
	struct user_record r = { 0 };
	struct slice all = document;
	struct slice first;
	if (!document_take(&all, &first) || (r.document = malloc(first.n)) == NULL) {
		return false;
	}
	memcpy(r.document, first.p, first.n);
	r.n = first.n;
	struct slice d = slice_of(r.document, r.n);
	r.raw_id = document_find(d, SLICE("_id"));
	r.username = text_of(d, SLICE("username"));
	r.email = text_of(d, SLICE("email"));
	r.full_name = text_of(d, SLICE("full_name"));
	r.hash = text_of(d, SLICE("hashed_password"));
	struct value disabled = document_find(d, SLICE("disabled"));
	/* What is not false is true: a document that somebody wrote by hand. */
	r.disabled = disabled.type != BT_MISSING && disabled.type != BT_NULL &&
		!(disabled.type == BT_BOOL && !value_bool(disabled));
	r.found =
		record_id_text(r.raw_id, r.id) && r.username.n > 0 && r.username.n <= USER_KEY_MAX;
	if (!r.found) {
		free(r.document);
		return false;
	}
	record_deinit(u);
	*u = r;
	return true;
}

void record_deinit(struct user_record *u)
{
	if (u->document != NULL) {
		sodium_memzero(u->document, u->n);
		free(u->document);
	}
	*u = (struct user_record){ 0 };
}

/* As the claims of a token want it. */
static bool is_role(struct slice s)
{
	bool good = s.n > 0 && s.n <= AUTH_ROLE_BYTES_MAX && slice_is_utf8(s) && s.p[0] != ' ' &&
		s.p[s.n - 1] != ' ';
	for (size_t i = 0; i < s.n && good; i++) {
		good = s.p[i] >= 0x20 && s.p[i] != 0x7f && s.p[i] != ',';
	}
	return good;
}

size_t record_read_roles(struct slice document, char out[static ROLES_TEXT_MAX])
{
	struct slice all = document;
	struct slice first;
	struct value v =
		document_take(&all, &first) ? document_find(first, SLICE("roles")) : VALUE_MISSING;
	struct document_iter it = document_iter(v.data);
	struct element e;
	size_t n = 0;
	size_t count = 0;
	while (v.type == BT_ARRAY && document_next(&it, &e) && count < AUTH_ROLES_MAX) {
		struct slice role = e.value.type == BT_STRING ? value_string(e.value) : SLICE_NULL;
		if (is_role(role) && n + role.n + 1 < ROLES_TEXT_MAX) {
			out[n] = ',';
			n += count > 0;
			memcpy(out + n, role.p, role.n);
			n += role.n;
			count++;
		}
	}
	return n;
}

void filter_user(struct document_writer *w, struct slice id)
{
	uint8_t oid[OID_BYTES];
	size_t n = 0;
	size_t root = writer_open(w);
	if (id.n == (size_t)2 * OID_BYTES &&
		sodium_hex2bin(oid, sizeof(oid), (const char *)id.p, id.n, NULL, &n, NULL) == 0 &&
		n == OID_BYTES) {
		size_t either = writer_open_in(w, BT_OBJECT, SLICE("_id"));
		size_t list = writer_open_in(w, BT_ARRAY, SLICE("$in"));
		writer_oid(w, SLICE("0"), oid);
		writer_string(w, SLICE("1"), id);
		writer_close(w, list);
		writer_close(w, either);
	} else {
		writer_string(w, SLICE("_id"), id);
	}
	writer_close(w, root);
}
