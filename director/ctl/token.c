/* mozaiksctl token: a token for development and scripts. */
#include "common/json/tree.h"
#include "director/ctl/client.h"
#include "director/ctl/output.h"

static bool append_roles(json_t *roles, const char *text)
{
	struct slice rest = slice_str(text);
	while (rest.n > 0) {
		const uint8_t *comma = memchr(rest.p, ',', rest.n);
		size_t n = comma == NULL ? rest.n : (size_t)(comma - rest.p);
		if (json_array_append_new(roles, json_stringn((const char *)rest.p, n)) < 0) {
			return false;
		}
		rest = slice_skip(rest, comma == NULL ? n : n + 1);
	}
	return true;
}

static char *render_request(const struct ctl *ctl, unsigned ttl_s)
{
	json_t *roles = json_array();
	if (roles == NULL || !append_roles(roles, ctl->roles)) {
		json_decref(roles);
		return NULL;
	}
	json_t *request = json_pack(
		"{s:s, s:o, s:I}", "user", ctl->user, "roles", roles, "ttl", (json_int_t)ttl_s);
	char *text = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
	json_decref(request);
	return text;
}

/* {"token": "…"} */
static char *read_token(struct slice body)
{
	json_t *tree = NULL;
	if (json_tree_parse(body, &tree, NULL) < 0) {
		return NULL;
	}
	const json_t *token = json_object_get(tree, "token");
	struct slice text = slice_of(json_string_value(token), json_string_length(token));
	/* It goes into a header: what is no token must not. */
	bool good = text.n > 0;
	for (size_t i = 0; i < text.n; i++) {
		good = good && text.p[i] > 0x20 && text.p[i] < 0x7f;
	}
	char *copy = good ? slice_dup(text) : NULL;
	json_decref(tree);
	return copy;
}

int ctl_make_token(const struct ctl *ctl, unsigned ttl_s, char **ret_token)
{
	struct client_answer answer;
	char *body = render_request(ctl, ttl_s);
	if (body == NULL) {
		output_error("--user and --roles must be valid UTF-8");
		return CTL_USAGE;
	}
	int status = client_send(ctl,
		&(struct client_request){
			.path = "/admin/token", .post = true, .body = slice_str(body) },
		&answer);
	free(body);
	if (status != CTL_OK) {
		return status;
	}
	char *token = answer.status == 200 ? read_token(buffer_slice(&answer.body)) : NULL;
	if (answer.status != 200) {
		status = client_refusal(&answer);
	} else if (token == NULL) {
		output_error("the director's answer has no token in it");
		status = CTL_FAILURE;
	} else {
		*ret_token = token;
	}
	client_answer_deinit(&answer);
	return status;
}

int ctl_token(const struct ctl *ctl)
{
	char *token = NULL;
	int status = ctl_make_token(ctl, ctl->ttl_s, &token);
	if (status != CTL_OK) {
		return status;
	}
	struct buffer out;
	buffer_init(&out, 65536);
	int r = 0;
	if (ctl->output == CTL_JSON) {
		r = buffer_append(&out, SLICE("{\"token\":"));
		r = r < 0 ? r : buffer_append_json(&out, slice_str(token));
		r = r < 0 ? r : buffer_append_byte(&out, '}');
	} else {
		r = buffer_append(&out, slice_str(token));
	}
	if (r < 0) {
		output_error("the token is too long");
	}
	status = r < 0 ? CTL_FAILURE : output_document(buffer_slice(&out));
	buffer_deinit(&out);
	free(token);
	return status;
}
