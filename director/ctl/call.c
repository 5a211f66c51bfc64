/* mozaiksctl call: runs a plugin as a user, the way a client would, over the admin socket. */
#include "common/json/scan.h"
#include "director/ctl/client.h"
#include "director/ctl/output.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { INPUT_MAX = 16 * 1024 * 1024, TOKEN_TTL_S = 60 };

static int read_input(struct buffer *b)
{
	for (;;) {
		uint8_t piece[4096];
		ssize_t n = read(STDIN_FILENO, piece, sizeof(piece));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		int r = n < 0 ? -errno : buffer_append(b, slice_of(piece, (size_t)n));
		if (r < 0 || n == 0) {
			return r;
		}
	}
}

/* The JSON of the command line, or of stdin for "-". */
static int take_json(const char *argument, struct buffer *b)
{
	bool from_input = slice_eq(slice_str(argument), SLICE("-"));
	int r = from_input ? read_input(b) : buffer_append(b, slice_str(argument));
	if (r < 0) {
		output_error("the JSON cannot be read: %s",
			r == -ENOBUFS ? "it is longer than 16 MiB" : strerrordesc_np(-r));
		return CTL_FAILURE;
	}
	enum json_kind kind;
	struct json_failure failure = { 0 };
	r = json_scan(buffer_slice(b), NULL, NULL, &kind, &failure);
	if (r < 0) {
		output_error("the JSON is not valid at byte %zu: %s", failure.offset, failure.what);
	} else if (kind != JSON_IS_OBJECT) {
		output_error("the JSON must be an object");
	} else {
		return CTL_OK;
	}
	output_hint("For instance: mozaiksctl call hello '{\"action\":\"greet\"}' --user alice");
	return CTL_USAGE;
}

/* An error of the plugin is its answer and goes to stdout; one of the runtime is a message. */
static int show_answer(const struct client_answer *answer)
{
	if (answer->problem) {
		return client_refusal(answer);
	}
	int status = output_document(buffer_slice(&answer->body));
	if (status != CTL_OK || answer->status == 200) {
		return status;
	}
	output_error("the plugin answered with an error (HTTP %d)", answer->status);
	return answer->status == 403 || answer->status == 404 ? CTL_NOT_FOUND : CTL_FAILURE;
}

static int execute(const struct ctl *ctl, const char *token, struct slice json)
{
	struct client_answer answer;
	char *path = NULL;
	char *plugin = curl_easy_escape(NULL, ctl->args[0], 0);
	if (plugin == NULL || asprintf(&path, "/api/execute/%s", plugin) < 0) {
		curl_free(plugin);
		output_error("no memory for a request");
		return CTL_FAILURE;
	}
	int status = client_send(ctl,
		&(struct client_request){
			.path = path, .post = true, .body = json, .bearer = token },
		&answer);
	if (status == CTL_OK) {
		status = show_answer(&answer);
		client_answer_deinit(&answer);
	}
	curl_free(plugin);
	free(path);
	return status;
}

int ctl_call(const struct ctl *ctl)
{
	char *token = NULL;
	struct buffer json;
	buffer_init(&json, INPUT_MAX);
	int status = take_json(ctl->args[1], &json);
	if (status == CTL_OK) {
		status = ctl_make_token(ctl, TOKEN_TTL_S, &token);
	}
	if (status == CTL_OK) {
		status = execute(ctl, token, buffer_slice(&json));
	}
	free(token);
	buffer_deinit(&json);
	return status;
}
