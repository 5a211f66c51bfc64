#include "director/hosts/exits.h"

#include "common/base/buffer.h"
#include "common/json/tree.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
	const char *name;
	enum exit_class class;
	const char *text;
} kinds[EXITS_N] = {
#define EXITS_ROW(symbol, name_, class_, text_) \
	[EXITED_##symbol] = { name_, EXIT_IS_##class_, text_ },
	EXITS(EXITS_ROW)
#undef EXITS_ROW
};

const char *exit_name(enum worker_exit why)
{
	return kinds[why].name;
}

enum exit_class exit_class(enum worker_exit why)
{
	return kinds[why].class;
}

const char *exit_text(enum worker_exit why)
{
	return kinds[why].text;
}

static void entry_deinit(struct exit_entry *e)
{
	free(e->calls_json);
	free(e->log_json);
	free(e->output_json);
}

void exits_init(struct exits *x, unsigned kept)
{
	*x = (struct exits){ .kept = kept };
}

void exits_deinit(struct exits *x)
{
	for (unsigned i = 0; i < x->n; i++) {
		entry_deinit(&x->entries[i]);
	}
	free(x->entries);
	x->entries = NULL;
	x->n = 0;
}

/* Which entry makes room. An operator who asks why a plugin died should not find twenty updates. */
static unsigned dispensable(const struct exits *x)
{
	for (unsigned i = 0; i < x->n; i++) {
		if (exit_class(x->entries[i].why) == EXIT_IS_NORMAL) {
			return i;
		}
	}
	return 0;
}

static bool make_room(struct exits *x)
{
	if (x->entries == NULL && x->kept > 0) {
		x->entries = calloc(x->kept, sizeof(*x->entries));
	}
	if (x->entries == NULL) {
		return false;
	}
	if (x->n == x->kept) {
		unsigned i = dispensable(x);
		entry_deinit(&x->entries[i]);
		x->n--;
		memmove(x->entries + i, x->entries + i + 1, (x->n - i) * sizeof(*x->entries));
	}
	return true;
}

void exits_add(struct exits *x, const struct exit_entry *e)
{
	struct exit_entry entry = *e;
	x->counts[e->why]++;
	x->memory_peak = e->memory_peak > x->memory_peak ? e->memory_peak : x->memory_peak;
	if (!make_room(x)) {
		entry_deinit(&entry);
		return;
	}
	x->entries[x->n] = entry;
	x->n++;
}

static enum worker_exit reason_of(const char *reason, int signal, const char *syscall)
{
	static const struct {
		const char *reason;
		enum worker_exit why;
	} reasons[] = {
		{ "exit", EXITED_STATUS },
		{ "signal", EXITED_SIGNAL },
		{ "oom", EXITED_MEMORY },
		{ "sandbox", EXITED_SANDBOX },
		{ "start", EXITED_START },
		{ "zygote", EXITED_ZYGOTE_GONE },
		/* Killed because its channel had closed, by nobody else: it closed it itself. */
		{ "killed", EXITED_PROTOCOL },
	};
	if (signal == SIGSYS || syscall != NULL) {
		return EXITED_SYSCALL;
	}
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (slice_eq(slice_str(reasons[i].reason), slice_str(reason))) {
			return reasons[i].why;
		}
	}
	return EXITED_UNKNOWN;
}

static int int_of(const json_t *object, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(object, name));
	return v > 0 && v <= INT32_MAX ? (int)v : 0;
}

static uint64_t size_of(const json_t *object, const char *name)
{
	json_int_t v = json_integer_value(json_object_get(object, name));
	return v > 0 ? (uint64_t)v : 0;
}

/* Strings only, in the order they came. */
static char *lines_of(const json_t *lines)
{
	size_t i;
	json_t *line;
	struct buffer b;
	if (json_array_size(lines) == 0) {
		return NULL;
	}
	buffer_init(&b, EXIT_JSON_MAX);
	int r = buffer_append_byte(&b, '[');
	json_array_foreach(lines, i, line)
	{
		r = r < 0 || i == 0 ? r : buffer_append_byte(&b, ',');
		r = r < 0 ? r
			  : buffer_append_json(&b,
				    slice_of(json_string_value(line), json_string_length(line)));
	}
	r = r < 0 ? r : buffer_append_byte(&b, ']');
	char *text = r < 0 ? NULL : slice_dup(buffer_slice(&b));
	buffer_deinit(&b);
	return text;
}

void exit_report_read(struct exit_report *ret, struct slice json)
{
	json_t *tree = NULL;
	(void)json_tree_parse(json, &tree, NULL);
	const char *reason = json_string_value(json_object_get(tree, "reason"));
	const char *message = json_string_value(json_object_get(tree, "message"));
	const char *syscall = json_string_value(json_object_get(tree, "syscall"));
	const json_t *usage = json_object_get(tree, "usage");
	*ret = (struct exit_report){
		.signal = int_of(tree, "signal"),
		.status = int_of(tree, "status"),
		.memory_peak = size_of(usage, "memory_peak"),
		.cpu_ms = size_of(usage, "cpu_ms"),
		.output_json = lines_of(json_object_get(tree, "output")),
	};
	ret->why = reason_of(reason, ret->signal, syscall);
	(void)snprintf(ret->syscall, sizeof(ret->syscall), "%s", syscall == NULL ? "" : syscall);
	(void)snprintf(ret->text, sizeof(ret->text), "%s",
		message != NULL && message[0] != '\0' ? message
			: reason != NULL              ? reason
						      : "the process ended");
	json_decref(tree);
}

void exit_report_deinit(struct exit_report *report)
{
	free(report->output_json);
	report->output_json = NULL;
}

static struct exit_entry *find(const struct exits *x, uint64_t worker)
{
	for (unsigned i = x->n; i > 0; i--) {
		if (x->entries[i - 1].worker == worker) {
			return &x->entries[i - 1];
		}
	}
	return NULL;
}

const struct exit_entry *exits_complete(
	struct exits *x, uint64_t worker, struct exit_report *report)
{
	struct exit_entry *e = find(x, worker);
	if (e == NULL || e->reported) {
		return NULL;
	}
	if (report->memory_peak > x->memory_peak) {
		x->memory_peak = report->memory_peak;
	}
	e->reported = true;
	e->signal = report->signal;
	e->status = report->status;
	e->memory_peak = report->memory_peak;
	e->cpu_ms = report->cpu_ms;
	e->output_json = report->output_json;
	report->output_json = NULL;
	if (e->why == EXITED_UNKNOWN) {
		x->counts[e->why]--;
		x->counts[report->why]++;
		e->why = report->why;
		memcpy(e->syscall, report->syscall, sizeof(e->syscall));
		/* "was stopped" says less than that it closed its channel. */
		if (report->why != EXITED_PROTOCOL) {
			memcpy(e->text, report->text, sizeof(e->text));
		}
	}
	return e;
}

const struct exit_entry *exits_last_failure(const struct exits *x)
{
	for (unsigned i = x->n; i > 0; i--) {
		if (exit_class(x->entries[i - 1].why) != EXIT_IS_NORMAL) {
			return &x->entries[i - 1];
		}
	}
	return NULL;
}

uint64_t exits_count(const struct exits *x, enum exit_class class)
{
	uint64_t n = 0;
	for (int i = 0; i < EXITS_N; i++) {
		n += exit_class((enum worker_exit)i) == class ? x->counts[i] : 0;
	}
	return n;
}
