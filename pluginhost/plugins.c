#include "pluginhost/plugins.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/uvx/later.h"
#include "common/uvx/poll.h"
#include "common/uvx/timer.h"
#include "pluginhost/beneath.h"
#include "pluginhost/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beside the versions of a plugin: the name of its last good one. */
#define GOOD_NAME ".good"

enum { ERROR_MAX = WALK_WHY_MAX };

struct plugin {
	char id[PLUGIN_ID_SIZE];
	/* As it was found at the last look. */
	struct found found;
	unsigned seen;
	/* Since when looks have not found it; 0: it is there. */
	uint64_t missing_ms;
	/* Looked at to the end at least once: it is in the report. */
	bool known;
	unsigned tries;
	uint8_t fingerprint[FINGERPRINT_SIZE];
	/* The newest version that can be started, "" when there is none. */
	char version[VERSION_SIZE];
	enum plugin_kind kind;
	const char *entry;
	struct manifest manifest;
	char good[VERSION_SIZE];
	/* Why the directory as it is now is no version; "" when it is. */
	char error[ERROR_MAX + 1];
	UT_hash_handle hh;
};

struct plugins {
	struct plugins_config config;
	struct plugin *by_id;
	/* Refreshes are counted; a plugin that one has not seen is gone. */
	unsigned generation;
	bool known;
	bool working;
	/* Asked for while one was in progress. */
	bool again;
	/* To be told at the end in any case: of this refresh, of the next one. */
	bool report;
	bool report_again;
	/* Something was being edited: the settle timer looks again. */
	bool unsettled;
	bool changed;
	struct plugin *current;
	struct snapshot *job;
	struct buffer complaints;
	dev_t state_dev;
	ino_t state_ino;

	struct watch *watch;
	bool watch_warned;
	struct walk_hooks hooks;
	struct uvx_poll watch_poll;
	struct uvx_timer settle;
	struct uvx_timer periodic;
	struct uvx_later work;
	struct uvx_closing closing;
	uvx_closed_fn closed;
	void *closed_arg;
};

static void log_plugin(enum log_level level, const char *id, const char *plugin, const char *text)
{
	const struct log_field fields[] = { { "plugin", slice_str(plugin) } };
	log_fields(level, id, fields, 1, "%s", text);
}

/* The good version, over restarts */

static void read_good(const struct plugins *p, struct plugin *plugin)
{
	char path[PLUGIN_ID_SIZE + sizeof(GOOD_NAME) + 1];
	char *text;
	size_t n;
	(void)snprintf(path, sizeof(path), "%s/" GOOD_NAME, plugin->id);
	if (beneath_read(p->config.store_fd, path, VERSION_SIZE, &text, &n) < 0) {
		return;
	}
	if (snapshot_is_version(slice_of(text, n))) {
		int fd = snapshot_open(p->config.store_fd, plugin->id, text);
		if (fd >= 0) {
			(void)close(fd);
			memcpy(plugin->good, text, VERSION_SIZE);
		}
	}
	free(text);
}

static void forget_good(const struct plugins *p, const char *id)
{
	char path[PLUGIN_ID_SIZE + sizeof(GOOD_NAME) + 1];
	(void)snprintf(path, sizeof(path), "%.64s/" GOOD_NAME, id);
	(void)unlinkat(p->config.store_fd, path, 0);
}

static int write_good(const struct plugins *p, const struct plugin *plugin)
{
	char temp[PLUGIN_ID_SIZE + 32];
	char path[PLUGIN_ID_SIZE + sizeof(GOOD_NAME) + 1];
	int store = p->config.store_fd;
	(void)snprintf(temp, sizeof(temp), "%s/.tmp-good", plugin->id);
	(void)snprintf(path, sizeof(path), "%s/" GOOD_NAME, plugin->id);
	int fd = openat(store, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0) {
		return -errno;
	}
	int r = write(fd, plugin->good, VERSION_SIZE - 1) == VERSION_SIZE - 1 ? 0 : -EIO;
	r = r == 0 && fsync(fd) < 0 ? -errno : r;
	(void)close(fd);
	r = r == 0 && renameat(store, temp, store, path) < 0 ? -errno : r;
	if (r < 0) {
		(void)unlinkat(store, temp, 0);
	}
	return r;
}

void plugins_mark_good(struct plugins *p, const char *id, const char *version)
{
	struct plugin *plugin;
	HASH_FIND_STR(p->by_id, id, plugin);
	if (plugin == NULL || strcmp(plugin->good, version) == 0) {
		return;
	}
	(void)snprintf(plugin->good, sizeof(plugin->good), "%s", version);
	int r = write_good(p, plugin);
	if (r < 0) {
		log_plugin(LOG_WARNING, "plugins.good", id, strerror(-r));
	}
	plugins_prune(p, id);
	p->config.changed(p->config.context);
}

/* Pruning */

struct keeper {
	struct plugins *p;
	const char *id;
	const struct plugin *plugin;
};

static bool keep_version(void *context, const char *version)
{
	const struct keeper *k = context;
	if (k->plugin != NULL &&
		(strcmp(k->plugin->version, version) == 0 ||
			strcmp(k->plugin->good, version) == 0)) {
		return true;
	}
	return k->p->config.in_use(k->p->config.context, k->id, version);
}

void plugins_prune(struct plugins *p, const char *id)
{
	struct keeper k = { .p = p, .id = id };
	struct plugin *plugin;
	HASH_FIND_STR(p->by_id, id, plugin);
	k.plugin = plugin;
	/* The job's version has no worker yet. */
	if (p->job != NULL && p->current == plugin) {
		return;
	}
	if (plugin == NULL) {
		forget_good(p, id);
	}
	int r = snapshot_store_prune(p->config.store_fd, id, keep_version, &k);
	if (r < 0) {
		log_plugin(LOG_WARNING, "plugins.prune", id, strerror(-r));
	}
}

/* Plugins that went away, in this life or before it. */
static void prune_store(struct plugins *p)
{
	struct file_names names;
	int r = beneath_list(p->config.store_fd, 2 * DISCOVER_NAMES_MAX, &names);
	if (r < 0) {
		log_event(
			LOG_WARNING, "plugins.prune", "the store cannot be read: %s", strerror(-r));
		return;
	}
	for (size_t i = 0; i < names.n; i++) {
		if (plugin_id_is_valid(slice_str(names.v[i]))) {
			plugins_prune(p, names.v[i]);
		}
	}
	file_names_deinit(&names);
}

/* Results of a look at one plugin */

static void set_error(struct plugins *p, struct plugin *plugin, struct slice why)
{
	size_t n = why.n < ERROR_MAX ? why.n : ERROR_MAX;
	plugin->tries = 0;
	if (plugin->known && slice_eq(slice_str(plugin->error), slice_of(why.p, n))) {
		return;
	}
	memcpy(plugin->error, why.p, n);
	plugin->error[n] = '\0';
	plugin->known = true;
	p->changed = true;
	log_plugin(LOG_WARNING, "plugin.broken", plugin->id, plugin->error);
}

static void set_error_errno(struct plugins *p, struct plugin *plugin, const char *what, int error)
{
	char text[128];
	/* Not remembered: the next look tries again. */
	memset(plugin->fingerprint, 0, sizeof(plugin->fingerprint));
	(void)snprintf(text, sizeof(text), "%s: %s", what, strerror(-error));
	set_error(p, plugin, slice_str(text));
}

/* Which of logic.py and logic.so it is, when the manifest says so. */
static const char *choose_entry(const struct manifest *m, struct found *f)
{
	if (m->runtime == RUNTIME_NATIVE && f->kind == PLUGIN_MOZAIKS) {
		if (!f->has_native) {
			return "manifest.json: runtime: is native, but there is no logic.so";
		}
		f->kind = PLUGIN_NATIVE;
		f->entry = "logic.so";
	}
	if (m->runtime == RUNTIME_PYTHON && f->kind == PLUGIN_NATIVE) {
		return "manifest.json: runtime: is python, but there is no logic.py";
	}
	return NULL;
}

/* Reads what a snapshot is. @return 0, 1 with `why` set, or a negative errno. */
static int read_version(const struct plugins *p,
	const char *id,
	const char *version,
	struct found *f,
	struct manifest *ret,
	struct json_why *why)
{
	int path_fd = snapshot_open(p->config.store_fd, id, version);
	if (path_fd < 0) {
		return path_fd;
	}
	int r = manifest_read(path_fd, id, ret, why);
	if (r == 0 && !discover_kind(path_fd, f)) {
		(void)snprintf(why->text, sizeof(why->text), "no entry in the snapshot");
		r = 1;
	}
	(void)close(path_fd);
	if (r == MANIFEST_E_BROKEN) {
		char text[JSON_WHY_SIZE];
		(void)snprintf(text, sizeof(text), "%.*s", JSON_WHY_SIZE - 16, why->text);
		(void)snprintf(why->text, sizeof(why->text), "manifest.json: %.*s",
			JSON_WHY_SIZE - 16, text);
		return 1;
	}
	if (r != 0) {
		return r;
	}
	const char *wrong = f->error != NULL ? f->error : choose_entry(ret, f);
	if (wrong != NULL) {
		(void)snprintf(why->text, sizeof(why->text), "%s", wrong);
		manifest_deinit(ret);
		return 1;
	}
	return 0;
}

/* A snapshot is there: it becomes the version when its manifest is in order. */
static void set_version(struct plugins *p, struct plugin *plugin, const char *version)
{
	if (plugin->known && plugin->error[0] == '\0' && strcmp(plugin->version, version) == 0) {
		return;
	}
	struct found f = { .entry = "" };
	struct manifest m;
	struct json_why why = { "" };
	int r = read_version(p, plugin->id, version, &f, &m, &why);
	if (r < 0) {
		set_error_errno(p, plugin, "cannot read the snapshot", r);
		return;
	}
	if (r > 0) {
		set_error(p, plugin, slice_str(why.text));
		return;
	}
	manifest_deinit(&plugin->manifest);
	plugin->manifest = m;
	plugin->kind = f.kind;
	plugin->entry = f.entry;
	plugin->known = true;
	plugin->error[0] = '\0';
	(void)snprintf(plugin->version, sizeof(plugin->version), "%s", version);
	p->changed = true;
	log_plugin(LOG_INFO, "plugin.version", plugin->id, version);
}

/* Broken from the start, but an earlier life left a version that worked: it can go on. */
static void fall_back_to_good(struct plugins *p, struct plugin *plugin)
{
	if (plugin->version[0] != '\0' || plugin->good[0] == '\0' || plugin->error[0] == '\0') {
		return;
	}
	struct found f = { .entry = "" };
	struct manifest m;
	struct json_why why;
	if (read_version(p, plugin->id, plugin->good, &f, &m, &why) == 0) {
		manifest_deinit(&plugin->manifest);
		plugin->manifest = m;
		plugin->kind = f.kind;
		plugin->entry = f.entry;
		memcpy(plugin->version, plugin->good, VERSION_SIZE);
		p->changed = true;
	}
}

static void set_unsettled(struct plugins *p, struct plugin *plugin)
{
	if (++plugin->tries < PLUGINS_TRIES_MAX) {
		p->unsettled = true;
		return;
	}
	memset(plugin->fingerprint, 0, sizeof(plugin->fingerprint));
	set_error(p, plugin,
		SLICE("changes all the time: nothing in it may be written while it is read"));
}

static void finish_job(struct plugins *p, int result)
{
	struct plugin *plugin = p->current;
	struct snapshot *job = p->job;
	p->job = NULL;
	if (result != SNAPSHOT_E_CHANGED && result >= 0) {
		plugin->tries = 0;
		memcpy(plugin->fingerprint, snapshot_fingerprint(job), FINGERPRINT_SIZE);
	}
	if (result == SNAPSHOT_DONE) {
		set_version(p, plugin, snapshot_version(job));
	} else if (result == SNAPSHOT_E_REFUSED) {
		set_error(p, plugin, snapshot_why(job));
	} else if (result == SNAPSHOT_E_CHANGED) {
		set_unsettled(p, plugin);
	} else if (result < 0) {
		set_error_errno(p, plugin, "cannot take a snapshot", result);
	}
	(void)snapshot_free(job);
	fall_back_to_good(p, plugin);
}

/* The slices */

static int begin_job(struct plugins *p)
{
	struct plugin *plugin = p->current;
	const struct found *f = &plugin->found;
	struct snapshot_config c = {
		.store_fd = p->config.store_fd,
		.id = plugin->id,
		.source_fd = p->config.paths[f->path].fd,
		.source = f->source,
		.single_as = f->single_file ? "logic.py" : NULL,
		.limits = &p->config.settings->snapshot,
		.hooks = p->watch != NULL ? &p->hooks : NULL,
	};
	memcpy(c.fingerprint, plugin->fingerprint, sizeof(c.fingerprint));
	return snapshot_new(&p->job, &c);
}

static void log_complaints(struct plugins *p, struct buffer *now)
{
	if (slice_eq(buffer_slice(now), buffer_slice(&p->complaints))) {
		buffer_deinit(now);
		return;
	}
	buffer_deinit(&p->complaints);
	p->complaints = *now;
	*now = BUFFER_NULL;
	struct slice rest = buffer_slice(&p->complaints);
	while (rest.n > 0) {
		const uint8_t *end = memchr(rest.p, '\n', rest.n);
		size_t n = (size_t)(end - rest.p);
		log_event(LOG_WARNING, "discover.left_out", "%.*s", (int)n, (const char *)rest.p);
		rest = slice_skip(rest, n + 1);
	}
}

static void end_refresh(struct plugins *p)
{
	p->working = false;
	if (p->watch != NULL) {
		int r = watch_end(p->watch);
		if (r < 0 && !p->watch_warned) {
			p->watch_warned = true;
			log_event(LOG_WARNING, "plugins.watch",
				"not all directories can be watched (%s); changes there are seen every %llu s",
				strerror(-r),
				(unsigned long long)p->config.settings->refresh_seconds);
		}
	}
	/* The first report waits until everything has settled. */
	bool first = !p->known && !p->unsettled;
	p->known |= first;
	bool differs = first || (p->known && p->changed);
	if (differs) {
		p->changed = false;
		prune_store(p);
	}
	if (differs || (p->known && p->report)) {
		p->config.changed(p->config.context);
	}
	if (p->again) {
		plugins_refresh(p, p->report_again);
	} else if (p->unsettled) {
		uvx_timer_once(&p->settle, p->config.settings->settle_ms + 1);
	}
}

static void remove_plugin(struct plugins *p, struct plugin *plugin)
{
	if (plugin->known) {
		p->changed = true;
		log_plugin(LOG_INFO, "plugin.gone", plugin->id, "not in the plugin paths any more");
	}
	HASH_DEL(p->by_id, plugin);
	manifest_deinit(&plugin->manifest);
	free(plugin);
}

/*
 * Whoever replaces a directory by removing it and putting another in its place leaves a moment without
 * one. Until that has lasted as long as a directory must rest, the plugin goes on as it was.
 */
static void note_missing(struct plugins *p, struct plugin *plugin)
{
	uint64_t now = clock_ms();
	plugin->missing_ms = plugin->missing_ms == 0 ? now : plugin->missing_ms;
	if (now - plugin->missing_ms >= p->config.settings->settle_ms) {
		remove_plugin(p, plugin);
	} else {
		p->unsettled = true;
	}
}

/* The next that this refresh has found. */
static void next_plugin(struct plugins *p)
{
	do {
		p->current = p->current == NULL ? p->by_id : p->current->hh.next;
	} while (p->current != NULL && p->current->missing_ms != 0);
}

/* One slice: goes on with the snapshot in progress, or begins with the next plugin. */
static void plugins_work(void *arg)
{
	struct plugins *p = arg;
	if (p->job == NULL) {
		next_plugin(p);
		if (p->current == NULL) {
			end_refresh(p);
			return;
		}
		const char *error = p->current->found.error;
		if (error != NULL) {
			set_error(p, p->current, slice_str(error));
			memset(p->current->fingerprint, 0, FINGERPRINT_SIZE);
			fall_back_to_good(p, p->current);
		} else {
			int r = begin_job(p);
			if (r < 0) {
				set_error_errno(p, p->current, "cannot take a snapshot", r);
			}
		}
	}
	if (p->job != NULL) {
		int r = snapshot_step(p->job, PLUGINS_SLICE_MS);
		if (r != SNAPSHOT_MORE) {
			finish_job(p, r);
		}
	}
	uvx_later_ask(&p->work);
}

/* The scan */

static int take_up(struct plugins *p, const struct found *f)
{
	struct plugin *plugin;
	HASH_FIND_STR(p->by_id, f->id, plugin);
	if (plugin == NULL) {
		plugin = calloc(1, sizeof(*plugin));
		if (plugin == NULL) {
			return -ENOMEM;
		}
		memcpy(plugin->id, f->id, sizeof(plugin->id));
		plugin->entry = "";
		HASH_ADD_STR(p->by_id, id, plugin);
		if (plugin->hh.tbl == NULL) {
			free(plugin);
			return -ENOMEM;
		}
		read_good(p, plugin);
	}
	plugin->found = *f;
	plugin->seen = p->generation;
	plugin->missing_ms = 0;
	return 0;
}

static int scan(struct plugins *p)
{
	struct discovery d;
	const struct discover_config c = {
		.paths = p->config.paths,
		.n_paths = p->config.n_paths,
		.plugins_max = p->config.settings->plugins_max,
		.skip_dev = p->state_dev,
		.skip_ino = p->state_ino,
		.hooks = p->watch != NULL ? &p->hooks : NULL,
	};
	int r = discover_scan(&c, &d);
	if (r < 0) {
		return r;
	}
	p->generation++;
	for (size_t i = 0; i < d.n && r == 0; i++) {
		r = take_up(p, &d.found[i]);
	}
	log_complaints(p, &d.complaints);
	discovery_deinit(&d);
	struct plugin *plugin;
	struct plugin *next;
	HASH_ITER (hh, p->by_id, plugin, next) {
		if (r == 0 && plugin->seen != p->generation) {
			note_missing(p, plugin);
		}
	}
	return r;
}

static int compare_ids(const struct plugin *a, const struct plugin *b)
{
	return strcmp(a->id, b->id);
}

void plugins_refresh(struct plugins *p, bool report)
{
	if (p->working) {
		p->again = true;
		p->report_again |= report;
		return;
	}
	p->again = false;
	p->report = report;
	p->report_again = false;
	p->unsettled = false;
	uvx_timer_stop(&p->settle);
	if (p->watch != NULL) {
		watch_begin(p->watch);
	}
	int r = scan(p);
	if (r < 0) {
		log_event(LOG_ERROR, "plugins.scan", "cannot look for plugins: %s", strerror(-r));
		uvx_timer_once(&p->settle, 1000);
		return;
	}
	HASH_SORT(p->by_id, compare_ids);
	p->working = true;
	p->current = NULL;
	uvx_later_ask(&p->work);
}

static void plugins_on_timer(void *arg)
{
	plugins_refresh(arg, false);
}

static void plugins_on_watch(void *arg)
{
	struct plugins *p = arg;
	/* Each event puts the look off, so that a burst of them is one. */
	if (watch_drain(p->watch)) {
		uvx_timer_once(&p->settle, p->config.settings->settle_ms + 1);
	}
}

bool plugins_are_known(const struct plugins *p)
{
	return p->known;
}

/* The report */

static int append_text(struct buffer *b, const char *name, const char *text)
{
	int r = buffer_printf(b, ",\"%s\":", name);
	if (r < 0) {
		return r;
	}
	return text[0] == '\0' ? buffer_append(b, SLICE("null"))
			       : buffer_append_json(b, slice_str(text));
}

static int append_source(struct buffer *b, const struct plugins *p, const struct plugin *plugin)
{
	char source[PATH_MAX + PLUGIN_SOURCE_SIZE];
	(void)snprintf(source, sizeof(source), "%s/%s", p->config.paths[plugin->found.path].path,
		plugin->found.source);
	return append_text(b, "source", source);
}

static int append_entry(struct buffer *b, const struct plugins *p, const struct plugin *plugin)
{
	bool broken = plugin->error[0] != '\0';
	bool usable = plugin->version[0] != '\0';
	enum plugin_kind kind = usable ? plugin->kind : plugin->found.kind;
	int r = buffer_append(b, SLICE("{\"id\":"));
	r = r < 0 ? r : buffer_append_json(b, slice_str(plugin->id));
	r = r < 0 ? r : append_text(b, "version", plugin->version);
	r = r < 0 ? r : append_text(b, "last_good", plugin->good);
	r = r < 0 ? r : append_text(b, "kind", plugin_kind_name(kind));
	r = r < 0 ? r : append_text(b, "state", broken ? "broken" : "ready");
	r = r < 0 ? r : append_text(b, "error", plugin->error);
	r = r < 0 ? r : append_text(b, "entry", usable ? plugin->entry : plugin->found.entry);
	r = r < 0 ? r : append_source(b, p, plugin);
	r = r < 0 ? r : buffer_append(b, SLICE(",\"manifest\":"));
	if (r == 0) {
		r = usable ? buffer_append(b, buffer_slice(&plugin->manifest.json))
			   : buffer_append(b, SLICE("null"));
	}
	return r < 0 ? r : buffer_append_byte(b, '}');
}

int plugins_report(const struct plugins *p,
	struct buffer *entry,
	int (*emit)(void *context, struct slice entry),
	void *context)
{
	const struct plugin *plugin;
	for (plugin = p->by_id; plugin != NULL; plugin = plugin->hh.next) {
		if (!plugin->known) {
			continue;
		}
		buffer_clear(entry);
		int r = append_entry(entry, p, plugin);
		r = r < 0 ? r : emit(context, buffer_slice(entry));
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

enum plugin_kind plugins_kind_of(const struct plugins *p, const char *id, const char *version)
{
	struct plugin *plugin;
	HASH_FIND_STR(p->by_id, id, plugin);
	if (plugin != NULL && strcmp(plugin->version, version) == 0) {
		return plugin->kind;
	}
	if (!plugin_id_is_valid(slice_str(id)) || !snapshot_is_version(slice_str(version))) {
		return PLUGIN_UNKNOWN;
	}
	struct found f = { .entry = "" };
	struct manifest m;
	struct json_why why;
	if (read_version(p, id, version, &f, &m, &why) != 0) {
		return PLUGIN_UNKNOWN;
	}
	manifest_deinit(&m);
	return f.kind;
}

/* Life */

static int start_watch(struct plugins *p)
{
	int r = watch_new(&p->watch);
	if (r < 0) {
		log_event(LOG_WARNING, "plugins.watch",
			"directories cannot be watched (%s); changes are seen every %llu s",
			strerror(-r), (unsigned long long)p->config.settings->refresh_seconds);
		return 0;
	}
	p->hooks = (struct walk_hooks){ .on_directory = watch_directory, .context = p->watch };
	return uvx_poll_init(
		&p->watch_poll, p->config.loop, watch_fd(p->watch), plugins_on_watch, p);
}

int plugins_new(struct plugins **ret, const struct plugins_config *config)
{
	struct stat st;
	struct plugins *p = calloc(1, sizeof(*p));
	if (p == NULL) {
		return -ENOMEM;
	}
	p->config = *config;
	buffer_init(&p->complaints, DISCOVER_COMPLAINTS_MAX);
	if (fstatat(config->store_fd, "..", &st, 0) == 0) {
		p->state_dev = st.st_dev;
		p->state_ino = st.st_ino;
	}
	int r = snapshot_store_clean(config->store_fd);
	if (r == 0 && config->settings->watch) {
		r = start_watch(p);
	}
	if (r < 0) {
		p->watch = watch_free(p->watch);
		free(p);
		return r;
	}
	uvx_timer_init(&p->settle, config->loop, plugins_on_timer, p);
	uvx_timer_init(&p->periodic, config->loop, plugins_on_timer, p);
	uvx_later_init(&p->work, config->loop, plugins_work, p);
	uvx_timer_every(&p->periodic, config->settings->refresh_seconds * 1000);
	*ret = p;
	return 0;
}

static void plugins_on_closed(void *arg)
{
	struct plugins *p = arg;
	struct plugin *plugin;
	struct plugin *next;
	uvx_closed_fn closed = p->closed;
	void *closed_arg = p->closed_arg;
	p->job = snapshot_free(p->job);
	p->watch = watch_free(p->watch);
	HASH_ITER (hh, p->by_id, plugin, next) {
		HASH_DEL(p->by_id, plugin);
		manifest_deinit(&plugin->manifest);
		free(plugin);
	}
	buffer_deinit(&p->complaints);
	free(p);
	if (closed != NULL) {
		closed(closed_arg);
	}
}

void plugins_close(struct plugins *p, uvx_closed_fn closed, void *arg)
{
	p->closed = closed;
	p->closed_arg = arg;
	uvx_closing_begin(&p->closing, plugins_on_closed, p);
	if (p->watch != NULL) {
		uvx_poll_close(&p->watch_poll, uvx_closing_one, uvx_closing_add(&p->closing));
	}
	uvx_timer_close(&p->settle, uvx_closing_one, uvx_closing_add(&p->closing));
	uvx_timer_close(&p->periodic, uvx_closing_one, uvx_closing_add(&p->closing));
	uvx_later_close(&p->work, uvx_closing_one, uvx_closing_add(&p->closing));
	uvx_closing_one(&p->closing);
}
