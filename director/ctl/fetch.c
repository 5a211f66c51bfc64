#include "director/ctl/fetch.h"

#include "director/ctl/output.h"

#include <curl/curl.h>
#include <stdlib.h>

enum { HASH_LENGTH = 40, VERSION_SHOWN = 12 };

static int fetch(
	const struct ctl *ctl, const char *path, bool post, struct slice body, struct document *ret)
{
	struct client_request request = { .path = path, .post = post, .body = body };
	*ret = (struct document){ 0 };
	int status = client_send(ctl, &request, &ret->answer);
	if (status != CTL_OK) {
		return status;
	}
	if (ret->answer.status != 200) {
		status = client_refusal(&ret->answer);
	} else if (json_tree_parse(buffer_slice(&ret->answer.body), &ret->tree, NULL) < 0) {
		output_error("the director's answer is not JSON");
		status = CTL_FAILURE;
	}
	if (status != CTL_OK) {
		client_answer_deinit(&ret->answer);
	}
	return status;
}

int document_fetch(const struct ctl *ctl, const char *path, bool post, struct document *ret)
{
	return fetch(ctl, path, post, SLICE("{}"), ret);
}

int document_post(const struct ctl *ctl, const char *path, struct slice body, struct document *ret)
{
	return fetch(ctl, path, true, body, ret);
}

void document_deinit(struct document *d)
{
	json_decref(d->tree);
	client_answer_deinit(&d->answer);
}

static int fetch_named(const struct ctl *ctl,
	const char *prefix,
	const char *name,
	const char *suffix,
	const struct slice *body,
	struct document *ret)
{
	char *path = NULL;
	char *segment = curl_easy_escape(NULL, name, 0);
	if (segment == NULL || asprintf(&path, "%s/%s%s", prefix, segment, suffix) < 0) {
		curl_free(segment);
		output_error("no memory for a request");
		return CTL_FAILURE;
	}
	int status = fetch(ctl, path, body != NULL, body == NULL ? SLICE_NULL : *body, ret);
	curl_free(segment);
	free(path);
	return status;
}

int document_fetch_named(const struct ctl *ctl,
	const char *prefix,
	const char *name,
	const char *suffix,
	bool post,
	struct document *ret)
{
	static const struct slice nothing = { (const uint8_t *)"{}", 2 };
	return fetch_named(ctl, prefix, name, suffix, post ? &nothing : NULL, ret);
}

int document_post_named(const struct ctl *ctl,
	const char *prefix,
	const char *name,
	const char *suffix,
	struct slice body,
	struct document *ret)
{
	return fetch_named(ctl, prefix, name, suffix, &body, ret);
}

struct slice member_text(const json_t *object, const char *name)
{
	const json_t *v = json_object_get(object, name);
	return slice_of(json_string_value(v), json_string_length(v));
}

long long member_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

struct slice member_version(const json_t *object, const char *name)
{
	struct slice s = member_text(object, name);
	return s.n >= HASH_LENGTH ? slice_of(s.p, VERSION_SHOWN) : s;
}
