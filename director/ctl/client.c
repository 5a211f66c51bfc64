#include "director/ctl/client.h"

#include "common/json/tree.h"
#include "director/ctl/output.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <sys/un.h>

enum { ANSWER_MAX = 32 * 1024 * 1024 };

#define SOCKET_NAME "admin.sock"

/* One exchange. */
struct exchange {
	CURL *curl;
	struct curl_slist *headers;
	struct buffer body;
	int body_error; /* why a piece of the answer was not taken */
	char socket_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

/* libcurl's write callback. */
static size_t on_piece(char *piece, size_t size, size_t n, void *owner)
{
	struct exchange *x = owner;
	x->body_error = buffer_append(&x->body, slice_of(piece, size * n));
	return x->body_error < 0 ? 0 : size * n;
}

static bool add_header(struct exchange *x, const char *text)
{
	struct curl_slist *longer = curl_slist_append(x->headers, text);
	x->headers = longer == NULL ? x->headers : longer;
	return longer != NULL;
}

static bool add_bearer(struct exchange *x, const char *token)
{
	char *text = NULL;
	if (asprintf(&text, "Authorization: Bearer %s", token) < 0) {
		return false;
	}
	bool added = add_header(x, text);
	free(text);
	return added;
}

static bool prepare(
	struct exchange *x, const struct ctl *ctl, const struct client_request *request, char *url)
{
	bool good = curl_easy_setopt(x->curl, CURLOPT_URL, url) == CURLE_OK &&
		curl_easy_setopt(x->curl, CURLOPT_UNIX_SOCKET_PATH, x->socket_path) == CURLE_OK &&
		/* Nothing of the environment may send this elsewhere. */
		curl_easy_setopt(x->curl, CURLOPT_PROXY, "") == CURLE_OK &&
		curl_easy_setopt(x->curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
		curl_easy_setopt(x->curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		curl_easy_setopt(x->curl, CURLOPT_TIMEOUT, (long)ctl->timeout_s) == CURLE_OK &&
		curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, on_piece) == CURLE_OK &&
		curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x) == CURLE_OK;
	if (request->post) {
		good = good && curl_easy_setopt(x->curl, CURLOPT_POST, 1L) == CURLE_OK &&
			curl_easy_setopt(x->curl, CURLOPT_POSTFIELDS,
				request->body.n == 0 ? "" : (const char *)request->body.p) ==
				CURLE_OK &&
			curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE_LARGE,
				(curl_off_t)request->body.n) == CURLE_OK &&
			add_header(x, "Content-Type: application/json") && add_header(x, "Expect:");
	}
	good = good && (request->bearer == NULL || add_bearer(x, request->bearer));
	return good && curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->headers) == CURLE_OK;
}

static int explain_connect(const struct ctl *ctl, const struct exchange *x, int error)
{
	if (error == EACCES || error == EPERM) {
		output_error("%s may not be used by you", x->socket_path);
		output_hint("Run mozaiksctl as root or as the user that runs the director.");
		return CTL_NOT_FOUND;
	}
	output_error("no director is running with the state directory %s", ctl->state);
	output_hint("Start it with ./scripts/run, or name its state directory with --state DIR.");
	return CTL_NOT_RUNNING;
}

static int explain(const struct ctl *ctl, const struct exchange *x, CURLcode code)
{
	long error = 0;
	switch ((int)code) {
	case CURLE_COULDNT_CONNECT:
		(void)curl_easy_getinfo(x->curl, CURLINFO_OS_ERRNO, &error);
		return explain_connect(ctl, x, (int)error);
	case CURLE_OPERATION_TIMEDOUT:
		output_error("the director has not answered within %u s", ctl->timeout_s);
		output_hint("Give it longer with --timeout SECONDS.");
		return CTL_FAILURE;
	case CURLE_WRITE_ERROR:
		output_error(
			"the answer is longer than %d bytes or there is no memory", ANSWER_MAX);
		return CTL_FAILURE;
	default:
		output_error("the connection to the director broke: %s", curl_easy_strerror(code));
		output_hint("Look at the director's log; it may just be stopping.");
		return CTL_FAILURE;
	}
}

static bool is_problem(CURL *curl)
{
	char *type = NULL;
	(void)curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
	return slice_starts(slice_str(type), SLICE("application/problem+json"));
}

static int perform(struct exchange *x,
	const struct ctl *ctl,
	const struct client_request *request,
	struct client_answer *ret)
{
	char *url = NULL;
	long status = 0;
	x->curl = curl_easy_init();
	if (x->curl == NULL || asprintf(&url, "http://localhost%s", request->path) < 0 ||
		!prepare(x, ctl, request, url)) {
		free(url);
		output_error("no memory for a request");
		return CTL_FAILURE;
	}
	CURLcode code = curl_easy_perform(x->curl);
	free(url);
	if (code != CURLE_OK) {
		return explain(ctl, x, code);
	}
	(void)curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
	*ret = (struct client_answer){
		.status = (int)status,
		.problem = is_problem(x->curl),
		.body = x->body,
	};
	x->body = BUFFER_NULL;
	return CTL_OK;
}

int client_send(
	const struct ctl *ctl, const struct client_request *request, struct client_answer *ret)
{
	struct exchange x = { 0 };
	int n = snprintf(x.socket_path, sizeof(x.socket_path), "%s/" SOCKET_NAME, ctl->state);
	if (n < 0 || (size_t)n >= sizeof(x.socket_path)) {
		output_error("the path of the state directory is longer than %zu bytes: %s",
			sizeof(x.socket_path) - sizeof("/" SOCKET_NAME), ctl->state);
		output_hint("Change into it and use --state . instead.");
		return CTL_USAGE;
	}
	buffer_init(&x.body, ANSWER_MAX);
	int status = perform(&x, ctl, request, ret);
	buffer_deinit(&x.body);
	curl_slist_free_all(x.headers);
	curl_easy_cleanup(x.curl);
	return status;
}

void client_answer_deinit(struct client_answer *a)
{
	buffer_deinit(&a->body);
}

static int status_of(int http)
{
	return http == 401 || http == 403 || http == 404 ? CTL_NOT_FOUND : CTL_FAILURE;
}

int client_refusal(const struct client_answer *answer)
{
	json_t *tree = NULL;
	const char *detail = NULL;
	const char *code = NULL;
	const char *id = NULL;
	if (json_tree_parse(buffer_slice(&answer->body), &tree, NULL) == 0) {
		detail = json_string_value(json_object_get(tree, "detail"));
		code = json_string_value(json_object_get(tree, "code"));
		id = json_string_value(json_object_get(tree, "request_id"));
	}
	output_error("%s (HTTP %d%s%s)", detail == NULL ? "the director refused" : detail,
		answer->status, code == NULL ? "" : ", ", code == NULL ? "" : code);
	if (code != NULL && slice_eq(slice_str(code), SLICE("plugin_not_found"))) {
		output_hint("See what there is: mozaiksctl plugin list");
	} else if (id != NULL) {
		output_hint("More may be in the director's log, under the request id %s.", id);
	}
	json_decref(tree);
	return status_of(answer->status);
}
