/* mozaiksctl plugin status: all plugins in a table, or one with its workers and why they ended. */
#include "director/ctl/fetch.h"
#include "director/ctl/output.h"
#include "director/ctl/table.h"

#include <stdlib.h>

enum { REPORT_MAX = 32 * 1024 * 1024, MIB = 1024 * 1024 };

#define HEAD(...) ((const char *const[]){ __VA_ARGS__ })

/* ---- all of them ---------------------------------------------------------------------------- */

/* The tier of the first worker: all of a plugin's are alike. */
static const json_t *first_tier(const json_t *plugin)
{
	const json_t *worker = json_array_get(json_object_get(plugin, "workers"), 0);
	return json_object_get(json_object_get(worker, "sandbox"), "tier");
}

/* What is wrong now, else what went wrong last. */
static struct slice trouble(const json_t *plugin)
{
	struct slice error = member_text(plugin, "error");
	return error.n > 0 ? error : member_text(json_object_get(plugin, "last_exit"), "text");
}

static void add_plugin(struct table *t, const json_t *p)
{
	const json_t *counters = json_object_get(p, "counters");
	const json_t *tier = first_tier(p);
	table_add(t, member_text(p, "id"));
	table_add(t, member_text(p, "state"));
	table_add(t, member_text(p, "breaker"));
	table_add(t, member_version(p, "serving"));
	table_addf(t, "%zu", json_array_size(json_object_get(p, "workers")));
	if (json_is_integer(tier)) {
		table_addf(t, "%lld", (long long)json_integer_value(tier));
	} else {
		table_add(t, SLICE_NULL);
	}
	table_addf(t, "%lld", member_number(counters, "calls"));
	table_addf(t, "%lld", member_number(counters, "errors"));
	table_addf(t, "%lld", member_number(counters, "crashes"));
	table_addf(t, "%lld", member_number(counters, "kills"));
	table_add(t, trouble(p));
}

static int print_all(const json_t *plugins)
{
	const char *const *head = HEAD("ID", "STATE", "BREAKER", "SERVING", "WORKERS", "TIER",
		"CALLS", "ERRORS", "CRASHES", "KILLS", "ERROR OR LAST END");
	struct table t;
	table_init(&t, head, 11);
	size_t i;
	json_t *p;
	json_array_foreach(plugins, i, p)
	{
		add_plugin(&t, p);
	}
	int status = table_print(&t);
	table_deinit(&t);
	return status;
}

/* ---- one of them ---------------------------------------------------------------------------- */

/* "name=value …" of an object's members, in their order; lists with commas. */
static int append_members(struct buffer *b, json_t *object)
{
	const char *name;
	json_t *value;
	int r = 0;
	bool first = true;
	json_object_foreach(object, name, value)
	{
		char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		r = r < 0              ? r
			: text == NULL ? -1
				       : buffer_printf(b, "%s%s=", first ? "" : " ", name);
		for (const char *c = text; c != NULL && *c != '\0' && r == 0; c++) {
			/* Of JSON's signs only those that separate say anything here. */
			bool sign = *c == '"' || *c == '[' || *c == ']' || *c == '{' || *c == '}';
			r = sign ? 0 : buffer_append_byte(b, (uint8_t)*c);
		}
		free(text);
		first = false;
	}
	return r;
}

static void add_members(struct table *t, json_t *object)
{
	struct buffer b;
	buffer_init(&b, 65536);
	t->error = append_members(&b, object) < 0 ? -1 : t->error;
	table_add(t, buffer_slice(&b));
	buffer_deinit(&b);
}

static int print_facts(const json_t *p)
{
	struct table t;
	table_init(&t, HEAD("PLUGIN", ""), 2);
	static const char *const texts[] = { "id", "name", "kind", "state", "error", "breaker",
		"pluginhost", "version", "serving" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		table_add(&t, slice_str(texts[i]));
		table_add(&t, member_text(p, texts[i]));
	}
	static const char *const groups[] = { "permissions", "counters", "exit_reasons" };
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		table_add(&t, slice_str(groups[i]));
		add_members(&t, json_object_get(p, groups[i]));
	}
	int status = table_print(&t);
	table_deinit(&t);
	return status;
}

static int print_workers(const json_t *workers)
{
	struct table t;
	table_init(&t, HEAD("WORKER", "STATE", "VERSION", "RUNNING", "SERVED", "SANDBOX"), 6);
	size_t i;
	json_t *w;
	json_array_foreach(workers, i, w)
	{
		table_addf(&t, "%lld", member_number(w, "id"));
		table_add(&t, member_text(w, "state"));
		table_add(&t, member_version(w, "version"));
		table_addf(&t, "%lld", member_number(w, "running"));
		table_addf(&t, "%lld", member_number(w, "served"));
		add_members(&t, json_object_get(w, "sandbox"));
	}
	int status = table_print(&t);
	table_deinit(&t);
	return status;
}

static int print_exits(const json_t *exits)
{
	struct table t;
	table_init(&t, HEAD("ENDED", "WORKER", "VERSION", "REASON", "CALLS", "MEMORY", "TEXT"), 7);
	size_t i;
	json_t *e;
	json_array_foreach(exits, i, e)
	{
		table_add(&t, member_text(e, "at"));
		table_addf(&t, "%lld", member_number(e, "worker"));
		table_add(&t, member_version(e, "version"));
		table_add(&t, member_text(e, "reason"));
		table_addf(&t, "%lld", member_number(e, "in_flight"));
		if (member_number(e, "memory_peak") > 0) {
			table_addf(&t, "%lld MiB", member_number(e, "memory_peak") / MIB);
		} else {
			table_add(&t, SLICE_NULL);
		}
		table_add(&t, member_text(e, "text"));
	}
	int status = table_print(&t);
	table_deinit(&t);
	return status;
}

static int append_lines(struct buffer *b, const json_t *lines)
{
	size_t i;
	json_t *line;
	int r = 0;
	json_array_foreach(lines, i, line)
	{
		struct slice s = slice_of(json_string_value(line), json_string_length(line));
		r = r < 0 ? r : buffer_append(b, SLICE("  "));
		r = r < 0 ? r : output_escape(b, s, false);
		r = r < 0 ? r : buffer_append_byte(b, '\n');
	}
	return r;
}

/* Of the last failure: whose calls it took with it, and its last words. */
static int print_last(const json_t *last)
{
	struct buffer b;
	size_t i;
	json_t *call;
	if (!json_is_object(last)) {
		return CTL_OK;
	}
	buffer_init(&b, REPORT_MAX);
	int r = buffer_printf(&b,
		"LAST FAILURE: worker %lld, what it took with it and wrote last\n",
		member_number(last, "worker"));
	json_array_foreach(json_object_get(last, "calls"), i, call)
	{
		r = r < 0 ? r : buffer_append(&b, SLICE("  "));
		r = r < 0 ? r : output_escape(&b, member_text(call, "kind"), false);
		r = r < 0 ? r : buffer_append(&b, SLICE(" of "));
		r = r < 0 ? r : output_escape(&b, member_text(call, "user"), false);
		r = r < 0 ? r : buffer_append(&b, SLICE(", request "));
		r = r < 0 ? r : output_escape(&b, member_text(call, "request_id"), false);
		r = r < 0 ? r : buffer_printf(&b, ", after %lld ms\n", member_number(call, "ms"));
	}
	r = r < 0 ? r : append_lines(&b, json_object_get(last, "log"));
	r = r < 0 ? r : append_lines(&b, json_object_get(last, "output"));
	int status = r < 0 ? CTL_FAILURE : output_document(buffer_slice(&b));
	buffer_deinit(&b);
	return status;
}

static int print_gap(void)
{
	return output_document(SLICE("\n"));
}

static int print_one(const json_t *p)
{
	const json_t *workers = json_object_get(p, "workers");
	const json_t *exits = json_object_get(p, "exits");
	int status = print_facts(p);
	if (status == CTL_OK && json_array_size(workers) > 0) {
		status = print_gap();
		status = status == CTL_OK ? print_workers(workers) : status;
	}
	if (status == CTL_OK && json_array_size(exits) > 0) {
		status = print_gap();
		status = status == CTL_OK ? print_exits(exits) : status;
	}
	if (status == CTL_OK && json_is_object(json_object_get(p, "last_exit"))) {
		status = print_gap();
		status = status == CTL_OK ? print_last(json_object_get(p, "last_exit")) : status;
	}
	return status;
}

int ctl_plugin_status(const struct ctl *ctl)
{
	struct document d;
	bool one = ctl->n_args > 0;
	int status = one ? document_fetch_named(ctl, "/admin/plugins", ctl->args[0], "", false, &d)
			 : document_fetch(ctl, "/admin/plugins", false, &d);
	if (status != CTL_OK) {
		return status;
	}
	const json_t *plugins = json_object_get(d.tree, "plugins");
	if (one ? member_text(d.tree, "id").n == 0 : !json_is_array(plugins)) {
		output_error("the director's answer has no %s in it",
			one ? "plugin" : "list of plugins");
		status = CTL_FAILURE;
	} else if (ctl->output == CTL_JSON) {
		status = output_document(buffer_slice(&d.answer.body));
	} else {
		status = one ? print_one(d.tree) : print_all(plugins);
	}
	document_deinit(&d);
	return status;
}
