#include "director/hosts/control.h"

#include "common/base/log.h"
#include "common/base/map.h"
#include "common/json/scan.h"
#include "common/json/tree.h"
#include "director/director.h"
#include "director/hosts/folders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	PLUGINS_MAX_BYTES = 64 * 1024 * 1024, /* the whole list of one pluginhost */
	FOLDER_MODE = 0750,
};

/* One pluginhost. */
struct host {
	struct host *prev, *next;
	struct director *director;
	struct channel *channel;
	char name[PLUGIN_HOST_MAX + 1];
	bool greeted;  /* HOST came on this connection */
	bool reported; /* a whole list of plugins came on it */
	struct buffer list;
	char *report;  /* HOST's, a JSON object; NULL before the first */
	char *failure; /* why it can start no plugin: it has no sandbox; NULL: it can */
};

static struct host *find_host(const struct director *d, const char *name)
{
	struct host *h;
	DL_FOREACH (d->hosts, h) {
		if (slice_eq(slice_str(h->name), slice_str(name))) {
			return h;
		}
	}
	return NULL;
}

static void violation(struct host *h, const char *what)
{
	log_fields(LOG_ERROR, "pluginhost.violation",
		(struct log_field[]){ { "pluginhost", slice_str(h->name) } }, 1,
		"the pluginhost broke the protocol: %s", what);
}

static void on_open(void *owner)
{
	struct host *h = owner;
	h->greeted = h->reported = false;
	buffer_clear(&h->list);
}

static void on_close(void *owner, enum channel_end why)
{
	struct host *h = owner;
	log_fields(LOG_WARNING, "pluginhost.gone",
		(struct log_field[]){ { "pluginhost", slice_str(h->name) } }, 1,
		"the pluginhost is gone; its plugins are unavailable until it is back");
	h->greeted = h->reported = false;
	h->director->on_pluginhost->gone(h->director, h->name);
}

static char *failure_of(struct slice report)
{
	json_t *tree = NULL;
	(void)json_tree_parse(report, &tree, NULL);
	const char *failure = json_string_value(json_object_get(tree, "failure"));
	char *copy = failure == NULL ? NULL : slice_dup(slice_str(failure));
	json_decref(tree);
	return copy;
}

static void handle_host(struct host *h, const struct frame *f)
{
	struct msg_host m;
	if (!msg_host_decode(f->payload, &m) || m.version != PROTOCOL_VERSION) {
		violation(h, "a malformed HOST, or another protocol version");
		return;
	}
	h->greeted = true;
	free(h->report);
	h->report = json_scan_is_object(m.report) ? slice_dup(m.report) : NULL;
	free(h->failure);
	h->failure = failure_of(m.report);
	struct log_field fields[] = {
		{ "pluginhost", slice_str(h->name) },
		{ "report", m.report },
	};
	log_fields(LOG_INFO, "pluginhost.connected", fields, 2, "a pluginhost is connected");
}

static void handle_plugins(struct host *h, const struct frame *f)
{
	struct msg_plugins m;
	/* The parts are arrays; they become one: [a,b] and [c] -> [a,b,c]. */
	if (!msg_plugins_decode(f->payload, &m) || m.plugins.n < 2 || m.plugins.p[0] != '[' ||
		m.plugins.p[m.plugins.n - 1] != ']') {
		violation(h, "a malformed list of plugins");
		return;
	}
	struct slice inside = slice_of(m.plugins.p + 1, m.plugins.n - 2);
	int r = inside.n == 0 ? 0 : buffer_append_byte(&h->list, h->list.n == 0 ? '[' : ',');
	r = r < 0 ? r : buffer_append(&h->list, inside);
	if (m.last == 0 && r == 0) {
		return;
	}
	r = r < 0 ? r : buffer_append(&h->list, h->list.n == 0 ? SLICE("[]") : SLICE("]"));
	h->reported = true;
	r = r < 0
		? r
		: h->director->on_pluginhost->plugins(h->director, h->name, buffer_slice(&h->list));
	if (r < 0) {
		violation(h, "a list of plugins that cannot be read");
	}
	buffer_deinit(&h->list);
}

static void handle_exited(struct host *h, const struct frame *f)
{
	struct msg_exited m;
	if (!msg_exited_decode(f->payload, &m)) {
		violation(h, "a malformed EXITED");
		return;
	}
	struct exit_report report;
	exit_report_read(&report, m.reason);
	h->director->on_pluginhost->exited(h->director, f->call_id, &report);
	exit_report_deinit(&report);
}

static void on_message(void *owner, struct slice message)
{
	struct host *h = owner;
	struct frame f;
	enum frame_result r;
	while ((r = frame_decode(&message, &f)) == FRAME_OK) {
		const char *what = message_violation(&f, FROM_PLUGINHOST);
		if (what == NULL && f.type != MSG_HOST && !h->greeted) {
			what = "a frame before HOST";
		}
		if (what != NULL) {
			violation(h, what);
		} else if (f.type == MSG_HOST) {
			handle_host(h, &f);
		} else if (f.type == MSG_PLUGINS) {
			handle_plugins(h, &f);
		} else {
			handle_exited(h, &f);
		}
	}
	if (r == FRAME_MALFORMED) {
		violation(h, "a malformed frame");
	}
}

static const struct channel_events control_events = { on_open, on_message, on_close };

static int host_open(struct director *d, struct slice name)
{
	char path[160];
	struct host *h = calloc(1, sizeof(*h));
	if (h == NULL) {
		return -ENOMEM;
	}
	h->director = d;
	buffer_init(&h->list, PLUGINS_MAX_BYTES);
	memcpy(h->name, name.p, name.n);
	(void)snprintf(path, sizeof(path), "%s/control/%s.sock", d->run_path, h->name);
	int r = channel_listen(&h->channel, d->hub, path, &control_events, h);
	if (r < 0) {
		log_event(LOG_ERROR, "control.listen_failed", "cannot listen on %s: %s", path,
			strerror(-r));
		free(h);
		return r;
	}
	DL_APPEND(d->hosts, h);
	return 0;
}

static int make_folder(const struct director *d, const char *name)
{
	char path[160];
	int n = snprintf(path, sizeof(path), "%s/%s", d->run_path, name);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		return -ENAMETOOLONG;
	}
	return mkdir(path, FOLDER_MODE) < 0 && errno != EEXIST ? -errno : 0;
}

int hosts_open(struct director *d)
{
	int r = make_folder(d, "control");
	r = r < 0 ? r : make_folder(d, "workers");
	d->last_worker_id = folders_clear(d->run_path);
	for (size_t i = 0; i < d->settings->n_pluginhosts && r == 0; i++) {
		r = host_open(d, d->settings->pluginhost_names[i]);
	}
	return r;
}

void hosts_close(struct director *d)
{
	while (d->hosts != NULL) {
		struct host *h = d->hosts;
		DL_DELETE(d->hosts, h);
		channel_close(h->channel);
		buffer_deinit(&h->list);
		free(h->report);
		free(h->failure);
		free(h);
	}
}

int hosts_append_json(const struct director *d, struct buffer *out)
{
	int r = buffer_append_byte(out, '[');
	const struct host *h;
	DL_FOREACH (d->hosts, h) {
		r = r < 0 || h == d->hosts ? r : buffer_append_byte(out, ',');
		r = r < 0 ? r : buffer_append(out, SLICE("{\"name\":"));
		r = r < 0 ? r : buffer_append_json(out, slice_str(h->name));
		r = r < 0 ? r
			  : buffer_printf(out,
				    ",\"connected\":%s,\"report\":", h->greeted ? "true" : "false");
		r = r < 0 ? r
			  : buffer_append(
				    out, h->report == NULL ? SLICE("null") : slice_str(h->report));
		r = r < 0 ? r : buffer_append_byte(out, '}');
	}
	return r < 0 ? r : buffer_append_byte(out, ']');
}

unsigned hosts_discover(struct director *d)
{
	unsigned n = 0;
	struct host *h;
	DL_FOREACH (d->hosts, h) {
		struct buffer *b = h->greeted ? channel_begin(h->channel, FRAME_HEADER_SIZE) : NULL;
		if (b != NULL && frame_append(b, &(struct frame){ .type = MSG_DISCOVER }) == 0) {
			channel_end(h->channel);
			n++;
		}
	}
	return n;
}

int hosts_start_worker(struct director *d, const char *host, uint64_t worker_id, struct slice spec)
{
	struct host *h = find_host(d, host);
	if (h == NULL || !h->reported) {
		return -ENOTCONN;
	}
	struct buffer *b = channel_begin(h->channel, FRAME_HEADER_SIZE + spec.n);
	if (b == NULL) {
		return -ENOBUFS;
	}
	struct frame head = { .call_id = worker_id };
	int r = msg_start_append(b, &head, &(struct msg_start){ .spec = spec });
	channel_end(h->channel);
	return r;
}

/* A frame without a payload. */
static void tell_of_worker(struct director *d, const char *host, uint8_t type, uint64_t worker_id)
{
	struct host *h = find_host(d, host);
	struct buffer *b =
		h == NULL || !h->greeted ? NULL : channel_begin(h->channel, FRAME_HEADER_SIZE);
	if (b != NULL) {
		(void)frame_append(b, &(struct frame){ .type = type, .call_id = worker_id });
		channel_end(h->channel);
	}
}

void hosts_kill_worker(struct director *d, const char *host, uint64_t worker_id)
{
	tell_of_worker(d, host, MSG_KILL, worker_id);
}

void hosts_worker_serves(struct director *d, const char *host, uint64_t worker_id)
{
	tell_of_worker(d, host, MSG_SERVES, worker_id);
}

bool hosts_ready(const struct director *d, const char *host)
{
	const struct host *h;
	DL_FOREACH (d->hosts, h) {
		if (h->reported &&
			(host == NULL || slice_eq(slice_str(host), slice_str(h->name)))) {
			return true;
		}
	}
	return false;
}

const char *hosts_sandbox_failure(const struct director *d, const char *host)
{
	const struct host *h = find_host(d, host);
	return h == NULL || !h->reported ? NULL : h->failure;
}
