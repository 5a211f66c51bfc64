/* mozaiksctl plugin: what the director knows of the plugins. */
#include "common/json/tree.h"
#include "director/ctl/client.h"
#include "director/ctl/output.h"

#include <stdio.h>

enum { COLUMNS = 7, VERSION_SHOWN = 12, COUNT_SIZE = 12 };

/* Fetches a document. @return CTL_OK and the answer, or another status after its message. */
static int fetch(const struct ctl *ctl,
	const char *path,
	bool post,
	struct client_answer *ret,
	json_t **ret_tree)
{
	struct client_request request = { .path = path, .post = post, .body = SLICE("{}") };
	int status = client_send(ctl, &request, ret);
	if (status != CTL_OK) {
		return status;
	}
	if (ret->status != 200) {
		status = client_refusal(ret);
	} else if (json_tree_parse(buffer_slice(&ret->body), ret_tree, NULL) < 0) {
		output_error("the director's answer is not JSON");
		status = CTL_FAILURE;
	}
	if (status != CTL_OK) {
		client_answer_deinit(ret);
	}
	return status;
}

static struct slice text_of(const json_t *plugin, const char *name)
{
	const json_t *v = json_object_get(plugin, name);
	return slice_of(json_string_value(v), json_string_length(v));
}

/* A version is a hash or a number; of a hash the beginning says enough. */
static struct slice version_of(const json_t *plugin)
{
	struct slice s = text_of(plugin, "version");
	return s.n >= 40 ? slice_of(s.p, VERSION_SHOWN) : s;
}

static int print_plugins(const json_t *plugins)
{
	static const char *const head[COLUMNS] = { "ID", "NAME", "KIND", "VERSION", "STATE",
		"WORKERS", "ERROR" };
	size_t n = json_array_size(plugins);
	struct slice *cells = calloc((n + 1) * COLUMNS, sizeof(*cells));
	char(*counts)[COUNT_SIZE] = calloc(n + 1, sizeof(*counts));
	if (cells == NULL || counts == NULL) {
		output_error("no memory for the table");
		free(cells);
		free(counts);
		return CTL_FAILURE;
	}
	for (size_t c = 0; c < COLUMNS; c++) {
		cells[c] = slice_str(head[c]);
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *p = json_array_get(plugins, i);
		struct slice *row = cells + (i + 1) * COLUMNS;
		(void)snprintf(counts[i], sizeof(counts[i]), "%u",
			(unsigned)json_array_size(json_object_get(p, "workers")));
		row[0] = text_of(p, "id");
		row[1] = text_of(p, "name");
		row[2] = text_of(p, "kind");
		row[3] = version_of(p);
		row[4] = text_of(p, "state");
		row[5] = slice_str(counts[i]);
		row[6] = text_of(p, "error");
	}
	int status = output_table(cells, n + 1, COLUMNS);
	free(cells);
	free(counts);
	return status;
}

int ctl_plugin_list(const struct ctl *ctl)
{
	struct client_answer answer;
	json_t *tree = NULL;
	int status = fetch(ctl, "/admin/plugins", false, &answer, &tree);
	if (status != CTL_OK) {
		return status;
	}
	const json_t *plugins = json_object_get(tree, "plugins");
	if (!json_is_array(plugins)) {
		output_error("the director's answer has no list of plugins in it");
		status = CTL_FAILURE;
	} else if (ctl->output == CTL_JSON) {
		status = output_document(buffer_slice(&answer.body));
	} else {
		status = print_plugins(plugins);
	}
	json_decref(tree);
	client_answer_deinit(&answer);
	return status;
}

int ctl_plugin_refresh(const struct ctl *ctl)
{
	struct client_answer answer;
	json_t *tree = NULL;
	int status = fetch(ctl, "/admin/plugins/refresh", true, &answer, &tree);
	if (status != CTL_OK) {
		return status;
	}
	const json_t *count = json_object_get(tree, "plugins");
	if (!json_is_integer(count)) {
		output_error("the director's answer has no number of plugins in it");
		status = CTL_FAILURE;
	} else if (ctl->output == CTL_JSON) {
		status = output_document(buffer_slice(&answer.body));
	} else {
		char text[48];
		int n = snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT " plugins",
			json_integer_value(count));
		status = output_document(slice_of(text, (size_t)n));
	}
	json_decref(tree);
	client_answer_deinit(&answer);
	return status;
}
