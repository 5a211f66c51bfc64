#include "director/hosts/configure.h"

#include "common/base/log.h"
#include "common/json/tree.h"
#include "director/director.h"

#include <stdio.h>

int configure_start_spec(const struct worker *w, struct buffer *out)
{
	const char *limits = w->plugin->manifest.limits_json;
	int r = buffer_append(out, SLICE("{\"plugin\":"));
	r = r < 0 ? r : buffer_append_json(out, plugin_slice(w->plugin));
	r = r < 0 ? r : buffer_append(out, SLICE(",\"version\":"));
	r = r < 0 ? r : buffer_append_json(out, slice_str(w->version));
	r = r < 0 ? r : buffer_append(out, SLICE(",\"socket\":\""));
	r = r < 0 ? r : buffer_append(out, slice_str(w->folder));
	r = r < 0 ? r : buffer_append(out, SLICE("/channel.sock\",\"limits\":"));
	r = r < 0 ? r : buffer_append(out, limits == NULL ? SLICE("{}") : slice_str(limits));
	return r < 0 ? r : buffer_append_byte(out, '}');
}

static int append_config(const struct worker *w, struct buffer *out)
{
	const struct plugin *p = w->plugin;
	const struct settings *s = w->director->settings;
	int r = buffer_append(out, SLICE("{\"plugin\":"));
	r = r < 0 ? r : buffer_append_json(out, plugin_slice(p));
	r = r < 0 ? r : buffer_append(out, SLICE(",\"app_id\":"));
	r = r < 0 ? r : buffer_append_json(out, w->director->app_id);
	r = r < 0 ? r : buffer_append(out, SLICE(",\"version\":"));
	r = r < 0 ? r : buffer_append_json(out, slice_str(w->version));
	r = r < 0 ? r : buffer_append(out, SLICE(",\"kind\":"));
	r = r < 0 ? r : buffer_append_json(out, slice_str(p->kind));
	r = r < 0 ? r : buffer_append(out, SLICE(",\"permissions\":"));
	r = r < 0 ? r : grants_append_json(&p->manifest, true, out);
	return r < 0 ? r
		     : buffer_printf(out,
			       ",\"max_response\":%llu,\"max_requests_per_call\":%llu,"
			       "\"max_requests\":%llu,\"concurrency\":%u,\"development\":%s,"
			       "\"plugin_dir\":\"/plugins/%s\"}",
			       (unsigned long long)s->response_bytes,
			       (unsigned long long)s->capability_calls_per_request,
			       (unsigned long long)s->capability_calls_per_worker,
			       p->manifest.concurrency,
			       s->environment == ENV_DEVELOPMENT ? "true" : "false", p->id);
}

int configure_append(const struct worker *w, struct buffer *out)
{
	struct buffer config;
	buffer_init(&config, FRAME_PAYLOAD_MAX);
	int r = append_config(w, &config);
	struct msg_configure m = { .config = buffer_slice(&config) };
	r = r < 0 ? r : msg_configure_append(out, &(struct frame){ 0 }, &m);
	buffer_deinit(&config);
	return r;
}

void configure_load_error(struct worker *w, struct slice info)
{
	struct plugin *p = w->plugin;
	json_t *tree = NULL;
	(void)json_tree_parse(info, &tree, NULL);
	const char *error = json_string_value(json_object_get(tree, "error"));
	const char *traceback = json_string_value(json_object_get(tree, "traceback"));
	(void)snprintf(p->load_error, sizeof(p->load_error), "%s",
		error == NULL ? "the plugin could not be loaded" : error);
	struct log_field fields[] = {
		{ "plugin", plugin_slice(p) },
		{ "error", slice_str(p->load_error) },
		{ "traceback", slice_str(traceback) },
	};
	log_fields(LOG_ERROR, "plugin.load_failed", fields, 3, "the plugin could not be loaded");
	json_decref(tree);
}
