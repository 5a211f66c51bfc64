/* mozaiksctl plugin: the list, and what is done to plugins. Their status: status.c. */
#include "director/ctl/fetch.h"
#include "director/ctl/output.h"
#include "director/ctl/table.h"

#include <stdio.h>
#include <stdlib.h>

static int print_plugins(const json_t *plugins)
{
	static const char *const head[] = { "ID", "NAME", "KIND", "VERSION", "STATE", "WORKERS",
		"ERROR" };
	struct table t;
	table_init(&t, head, sizeof(head) / sizeof(head[0]));
	size_t i;
	json_t *p;
	json_array_foreach(plugins, i, p)
	{
		table_add(&t, member_text(p, "id"));
		table_add(&t, member_text(p, "name"));
		table_add(&t, member_text(p, "kind"));
		table_add(&t, member_version(p, "version"));
		table_add(&t, member_text(p, "state"));
		table_addf(&t, "%zu", json_array_size(json_object_get(p, "workers")));
		table_add(&t, member_text(p, "error"));
	}
	int status = table_print(&t);
	table_deinit(&t);
	return status;
}

int ctl_plugin_list(const struct ctl *ctl)
{
	struct document d;
	int status = document_fetch(ctl, "/admin/plugins", false, &d);
	if (status != CTL_OK) {
		return status;
	}
	const json_t *plugins = json_object_get(d.tree, "plugins");
	if (!json_is_array(plugins)) {
		output_error("the director's answer has no list of plugins in it");
		status = CTL_FAILURE;
	} else if (ctl->output == CTL_JSON) {
		status = output_document(buffer_slice(&d.answer.body));
	} else {
		status = print_plugins(plugins);
	}
	document_deinit(&d);
	return status;
}

int ctl_plugin_refresh(const struct ctl *ctl)
{
	struct document d;
	int status = document_fetch(ctl, "/admin/plugins/refresh", true, &d);
	if (status != CTL_OK) {
		return status;
	}
	const json_t *count = json_object_get(d.tree, "plugins");
	if (!json_is_integer(count)) {
		output_error("the director's answer has no number of plugins in it");
		status = CTL_FAILURE;
	} else if (ctl->output == CTL_JSON) {
		status = output_document(buffer_slice(&d.answer.body));
	} else {
		char text[48];
		int n = snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT " plugins",
			json_integer_value(count));
		status = output_document(slice_of(text, (size_t)n));
	}
	document_deinit(&d);
	return status;
}

/* "hello: ready": what the plugin is now. */
static int print_state(const json_t *plugin)
{
	struct buffer b;
	struct slice id = member_text(plugin, "id");
	struct slice state = member_text(plugin, "state");
	buffer_init(&b, 4096);
	int r = output_escape(&b, id, false);
	r = r < 0 ? r : buffer_append(&b, SLICE(": "));
	r = r < 0 ? r : output_escape(&b, state, false);
	int status = CTL_FAILURE;
	if (id.n == 0 || state.n == 0 || r < 0) {
		output_error("the director's answer has no plugin in it");
	} else {
		status = output_document(buffer_slice(&b));
	}
	buffer_deinit(&b);
	return status;
}

/* The plugin after what was done to it. Takes the document. */
static int print_acted(const struct ctl *ctl, struct document *d)
{
	int status = ctl->output == CTL_JSON ? output_document(buffer_slice(&d->answer.body))
					     : print_state(d->tree);
	document_deinit(d);
	return status;
}

static int act(const struct ctl *ctl, const char *action)
{
	struct document d;
	int status = document_fetch_named(ctl, "/admin/plugins", ctl->args[0], action, true, &d);
	return status != CTL_OK ? status : print_acted(ctl, &d);
}

int ctl_plugin_reset(const struct ctl *ctl)
{
	return act(ctl, "/reset");
}

int ctl_plugin_restart(const struct ctl *ctl)
{
	return act(ctl, "/restart");
}

int ctl_plugin_enable(const struct ctl *ctl)
{
	return act(ctl, "/enable");
}

int ctl_plugin_disable(const struct ctl *ctl)
{
	return act(ctl, "/disable");
}

/* --- permissions --- */

static int set_grant(const struct ctl *ctl, const char *action)
{
	struct document d;
	json_t *body = json_pack("{s:s}", "permission", ctl->args[1]);
	char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (text == NULL) {
		output_error("the name of a permission must be valid UTF-8");
		return CTL_USAGE;
	}
	int status = document_post_named(
		ctl, "/admin/plugins", ctl->args[0], action, slice_str(text), &d);
	free(text);
	return status != CTL_OK ? status : print_acted(ctl, &d);
}

int ctl_plugin_grant(const struct ctl *ctl)
{
	return set_grant(ctl, "/grant");
}

int ctl_plugin_revoke(const struct ctl *ctl)
{
	return set_grant(ctl, "/revoke");
}

/* A row for each: which plugin, which permission, whether it has it. */
static void add_permissions(struct table *t, const json_t *plugin)
{
	static const struct {
		const char *member;
		struct slice word;
	} kinds[] = {
		{ "granted", SLICE("granted") },
		{ "asked", SLICE("asked for, not granted") },
	};
	const json_t *permissions = json_object_get(plugin, "permissions");
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		size_t i;
		json_t *name;
		json_array_foreach(json_object_get(permissions, kinds[k].member), i, name)
		{
			table_add(t, member_text(plugin, "id"));
			table_add(t, slice_of(json_string_value(name), json_string_length(name)));
			table_add(t, kinds[k].word);
		}
	}
}

static int print_grants(const json_t *tree)
{
	static const char *const head[] = { "ID", "PERMISSION", "STATE" };
	const json_t *plugins = json_object_get(tree, "plugins");
	struct table t;
	table_init(&t, head, sizeof(head) / sizeof(head[0]));
	size_t i;
	json_t *p;
	json_array_foreach(plugins, i, p)
	{
		add_permissions(&t, p);
	}
	if (plugins == NULL) {
		add_permissions(&t, tree);
	}
	int status = table_print(&t);
	table_deinit(&t);
	return status;
}

int ctl_plugin_grants(const struct ctl *ctl)
{
	struct document d;
	int status = ctl->n_args == 0
		? document_fetch(ctl, "/admin/plugins", false, &d)
		: document_fetch_named(ctl, "/admin/plugins", ctl->args[0], "", false, &d);
	if (status != CTL_OK) {
		return status;
	}
	status = ctl->output == CTL_JSON ? output_document(buffer_slice(&d.answer.body))
					 : print_grants(d.tree);
	document_deinit(&d);
	return status;
}
