/*
 * The control channels to the pluginhosts: one listener for each configured name at
 * <run>/control/NAME.sock. Loop thread.
 */
#pragma once

#include "common/channel/channel.h"
#include "common/proto/messages.h"

struct director;
struct exit_report;
struct host;

/* What a pluginhost says; in struct director. */
struct control_events {
	/* The whole list of its plugins, a JSON array. @return as registry_update(). */
	int (*plugins)(struct director *d, const char *host, struct slice list);
	void (*exited)(struct director *d, uint64_t worker_id, struct exit_report *report);
	/* The connection is gone, and with it its workers. */
	void (*gone)(struct director *d, const char *host);
};

/** Listens for the pluginhosts that MOZAIKS_PLUGINHOSTS names. @return 0 or a negative errno. */
int hosts_open(struct director *d);
void hosts_close(struct director *d);

/** Asks every pluginhost to look at its plugin paths again. @return how many were asked. */
unsigned hosts_discover(struct director *d);

/** Sends START for a worker to a pluginhost.
 * @return 0; -ENOTCONN when it is not connected; -ENOBUFS; -ENOMEM. */
int hosts_start_worker(struct director *d, const char *host, uint64_t worker_id, struct slice spec);
void hosts_kill_worker(struct director *d, const char *host, uint64_t worker_id);
/** Tells that it is ready: its version may become the one to fall back to. */
void hosts_worker_serves(struct director *d, const char *host, uint64_t worker_id);

/** Appends [{"name","connected","report"}], the report as the pluginhost sent it last.
 * @return 0, -ENOBUFS, -ENOMEM. */
int hosts_append_json(const struct director *d, struct buffer *out);

/** True when this pluginhost is connected and has reported its plugins; NULL asks for any. */
bool hosts_ready(const struct director *d, const char *host);

/** Why this pluginhost, which is connected, can start no plugin: it has no sandbox for them. NULL: it
 * can, or it is not connected. */
const char *hosts_sandbox_failure(const struct director *d, const char *host);
