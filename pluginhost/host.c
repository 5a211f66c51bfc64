#include "pluginhost/host.h"

#include "common/base/log.h"
#include "common/proto/messages.h"
#include "common/uvx/timer.h"
#include "pluginhost/control.h"
#include "pluginhost/plugins.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	/* A part of PLUGINS is sent when it is this long; one entry more may be in it. */
	PLUGINS_PART_BYTES = 128 * 1024,
	READY_CHECK_MS = 50,
};

struct host {
	struct host_config config;
	struct plugins *plugins;
	struct supervisor *supervisor;
	struct control *control;
	/* Frames are put together here. */
	struct buffer frame;
	struct buffer entry;
	char epoch[17];
	struct uvx_timer ready_timer;
	struct uvx_closing closing;
	uvx_closed_fn closed;
	void *closed_arg;
};

/* Takes the frame in h->frame away. */
static int send_frame(struct host *h, int appended)
{
	int r = appended < 0 ? appended : control_send(h->control, buffer_slice(&h->frame));
	buffer_clear(&h->frame);
	if (appended < 0) {
		log_event(LOG_ERROR, "control.frame", "a frame cannot be made: %s",
			strerror(-appended));
	}
	return r;
}

/* HOST */

static int append_report(struct host *h, struct buffer *b)
{
	int r = buffer_printf(b,
		"{\"version\":\"%s\",\"epoch\":\"%s\",\"pid\":%d,\"sandbox\":", MOZAIKS_VERSION,
		h->epoch, (int)getpid());
	const char *failure = supervisor_sandbox_failure(h->supervisor);
	if (r == 0 && failure == NULL) {
		r = sandbox_host_report(h->config.sandbox, b);
		return r < 0 ? r : buffer_append(b, SLICE(",\"failure\":null}"));
	}
	r = r < 0 ? r : buffer_append(b, SLICE("null,\"failure\":"));
	r = r < 0 ? r : buffer_append_json(b, slice_str(failure));
	return r < 0 ? r : buffer_append_byte(b, '}');
}

static int send_host(struct host *h)
{
	buffer_clear(&h->entry);
	int r = append_report(h, &h->entry);
	const struct msg_host m = {
		.version = PROTOCOL_VERSION,
		.name = slice_str(h->config.settings->name),
		.report = buffer_slice(&h->entry),
	};
	return send_frame(
		h, r < 0 ? r : msg_host_append(&h->frame, &(const struct frame){ 0 }, &m));
}

/* PLUGINS, in parts */

struct part {
	struct host *h;
	struct buffer text;
};

static int send_part(struct part *p, bool last)
{
	int r = p->text.n == 0 ? buffer_append_byte(&p->text, '[') : 0;
	r = r < 0 ? r : buffer_append_byte(&p->text, ']');
	if (r < 0) {
		return r;
	}
	const struct msg_plugins m = { .last = last, .plugins = buffer_slice(&p->text) };
	r = send_frame(p->h, msg_plugins_append(&p->h->frame, &(const struct frame){ 0 }, &m));
	buffer_clear(&p->text);
	return r;
}

static int add_entry(void *context, struct slice entry)
{
	struct part *p = context;
	int r = buffer_append_byte(&p->text, p->text.n == 0 ? '[' : ',');
	r = r < 0 ? r : buffer_append(&p->text, entry);
	return r == 0 && p->text.n >= PLUGINS_PART_BYTES ? send_part(p, false) : r;
}

static void send_plugins(struct host *h)
{
	if (!plugins_are_known(h->plugins) || !control_is_up(h->control)) {
		return;
	}
	struct part p = { .h = h };
	buffer_init(&p.text, FRAME_PAYLOAD_MAX - 16);
	int r = plugins_report(h->plugins, &h->entry, add_entry, &p);
	r = r < 0 ? r : send_part(&p, true);
	buffer_deinit(&p.text);
	if (r < 0 && r != -ENOTCONN) {
		log_event(LOG_ERROR, "control.plugins", "the list of plugins cannot be sent: %s",
			strerror(-r));
	}
}

/* From the director */

static void host_on_up(void *context)
{
	struct host *h = context;
	if (send_host(h) == 0) {
		send_plugins(h);
	}
}

static void host_on_down(void *context)
{
	struct host *h = context;
	supervisor_drop_workers(h->supervisor);
}

static void host_on_discover(void *context)
{
	struct host *h = context;
	plugins_refresh(h->plugins, true);
}

static void host_on_start(void *context, uint64_t worker_id, struct slice spec)
{
	struct host *h = context;
	supervisor_start_worker(h->supervisor, worker_id, spec);
}

static void host_on_kill(void *context, uint64_t worker_id)
{
	struct host *h = context;
	supervisor_kill_worker(h->supervisor, worker_id);
}

static void host_on_limits(void *context, uint64_t worker_id, struct slice limits)
{
	struct host *h = context;
	supervisor_limit_worker(h->supervisor, worker_id, limits);
}

static void host_on_serves(void *context, uint64_t worker_id)
{
	struct host *h = context;
	supervisor_worker_serves(h->supervisor, worker_id);
}

/* From plugins and workers */

static void host_on_changed(void *context)
{
	send_plugins(context);
}

static bool host_on_in_use(void *context, const char *id, const char *version)
{
	const struct host *h = context;
	return supervisor_uses(h->supervisor, id, version);
}

static enum plugin_kind host_on_kind_of(void *context, const char *plugin, const char *version)
{
	const struct host *h = context;
	return plugins_kind_of(h->plugins, plugin, version);
}

static void host_on_exited(void *context, uint64_t worker_id, struct slice reason)
{
	struct host *h = context;
	const struct frame head = { .call_id = worker_id };
	const struct msg_exited m = { .reason = reason };
	(void)send_frame(h, msg_exited_append(&h->frame, &head, &m));
}

static void host_on_good(void *context, const char *plugin, const char *version)
{
	struct host *h = context;
	plugins_mark_good(h->plugins, plugin, version);
}

static void host_on_sandbox_changed(void *context)
{
	struct host *h = context;
	if (h->control != NULL && control_is_up(h->control)) {
		(void)send_host(h);
	}
}

static void host_on_released(void *context, const char *plugin)
{
	struct host *h = context;
	if (h->plugins != NULL) {
		plugins_prune(h->plugins, plugin);
	}
}

static void host_on_ready_timer(void *arg)
{
	struct host *h = arg;
	if (plugins_are_known(h->plugins) && supervisor_is_ready(h->supervisor)) {
		uvx_timer_stop(&h->ready_timer);
		h->config.ready(h->config.context);
	}
}

/* Life */

static int open_parts(struct host *h)
{
	const struct host_config *c = &h->config;
	const struct plugins_config plugins = {
		.loop = c->loop,
		.settings = c->settings,
		.paths = c->paths,
		.n_paths = c->n_paths,
		.store_fd = c->state->store_fd,
		.changed = host_on_changed,
		.in_use = host_on_in_use,
		.context = h,
	};
	const struct supervisor_config supervisor = {
		.loop = c->loop,
		.settings = c->settings,
		.host = c->sandbox,
		.host_failure = c->sandbox_failure,
		.denied = c->denied,
		.program_fd = c->program_fd,
		.python_fd = c->python_fd,
		.snapshots_path = c->state->store_path,
		.run_path = c->state->run_path,
		.kind_of = host_on_kind_of,
		.exited = host_on_exited,
		.good = host_on_good,
		.sandbox_changed = host_on_sandbox_changed,
		.released = host_on_released,
		.context = h,
	};
	const struct control_handler handler = {
		.up = host_on_up,
		.down = host_on_down,
		.discover = host_on_discover,
		.start = host_on_start,
		.kill = host_on_kill,
		.limits = host_on_limits,
		.serves = host_on_serves,
		.context = h,
	};
	int r = plugins_new(&h->plugins, &plugins);
	r = r < 0 ? r : supervisor_new(&h->supervisor, &supervisor);
	return r < 0 ? r
		     : control_new(&h->control, c->loop, c->state->run_path, c->settings->name,
			       &handler);
}

int host_new(struct host **ret, const struct host_config *config)
{
	struct host *h = calloc(1, sizeof(*h));
	if (h == NULL) {
		return -ENOMEM;
	}
	h->config = *config;
	buffer_init(&h->frame, MESSAGE_MAX);
	buffer_init(&h->entry, FRAME_PAYLOAD_MAX - 16);
	(void)snprintf(
		h->epoch, sizeof(h->epoch), "%08x%08x", randombytes_random(), randombytes_random());
	/* Only at the start, where the caller ends the program when it fails. */
	int r = open_parts(h);
	if (r < 0) {
		return r;
	}
	uvx_timer_init(&h->ready_timer, config->loop, host_on_ready_timer, h);
	uvx_timer_every(&h->ready_timer, READY_CHECK_MS);
	/* The zygote loads while the plugins are looked at. It is started again if it fails. */
	(void)supervisor_start(h->supervisor);
	plugins_refresh(h->plugins, false);
	control_start(h->control);
	*ret = h;
	return 0;
}

void host_refresh(struct host *h)
{
	plugins_refresh(h->plugins, false);
}

static void host_on_closed(void *arg)
{
	struct host *h = arg;
	uvx_closed_fn closed = h->closed;
	void *closed_arg = h->closed_arg;
	buffer_deinit(&h->frame);
	buffer_deinit(&h->entry);
	free(h);
	if (closed != NULL) {
		closed(closed_arg);
	}
}

/* The workers are gone: now what they report to, and what they were started from. */
static void host_on_supervisor_closed(void *arg)
{
	struct host *h = arg;
	struct plugins *plugins = h->plugins;
	h->plugins = NULL;
	uvx_closing_begin(&h->closing, host_on_closed, h);
	control_close(h->control, uvx_closing_one, uvx_closing_add(&h->closing));
	plugins_close(plugins, uvx_closing_one, uvx_closing_add(&h->closing));
	uvx_timer_close(&h->ready_timer, uvx_closing_one, uvx_closing_add(&h->closing));
	uvx_closing_one(&h->closing);
}

void host_close(struct host *h, uvx_closed_fn closed, void *arg)
{
	h->closed = closed;
	h->closed_arg = arg;
	supervisor_close(h->supervisor, host_on_supervisor_closed, h);
}
