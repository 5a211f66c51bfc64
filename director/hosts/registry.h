/*
 * Step 3: the table of plugins. Filled from what pluginhosts report, mirrored to
 * plugin_registry.json, where an operator may set "enabled". Loop thread.
 */
#pragma once

#include "common/base/buffer.h"
#include "director/hosts/grants.h"
#include "director/hosts/plugin.h"
#include "director/hosts/switches.h"

/* What the table's owner does about a change; in struct director. */
struct registry_events {
	/* Disabled, or removed: it gets no more calls. */
	void (*stopped)(struct plugin *p);
	/* Enabled: it may run. */
	void (*resumed)(struct plugin *p);
	/* The store has said which plugins are disabled: switches.h. */
	void (*switches_known)(struct director *d);
	/* Its timer; the argument is the plugin. */
	void (*timer)(void *plugin);
};

struct registry {
	struct plugin *plugins;
	unsigned listing; /* counts the lists that came */
	struct registry_file *file;
	struct switches switches;
	struct grants grants;
	int64_t file_ms; /* when the file was changed last, as far as it was read */
};

/**
 * @param path where plugin_registry.json lives.
 * @param policy where plugin_policy.json may be; empty: nowhere.
 * @param why what is wrong with the policy, or empty.
 * @return 0 or a negative errno.
 */
int registry_init(struct registry *r,
	struct director *d,
	const char *path,
	const char *policy,
	char why[static GRANTS_WHY_SIZE]);
void registry_deinit(struct registry *r);

struct plugin *registry_find(const struct registry *r, struct slice id);

/**
 * Takes over the whole list of one pluginhost: adds, changes, removes. A name that another
 * pluginhost has already stays with that one.
 * @param list a JSON array, PLUGINS entries (common/proto/messages.h).
 * @return 0; -EBADMSG when it is not such an array: nothing is changed.
 */
int registry_update(struct registry *r, struct director *d, const char *host, struct slice list);

/** Reads "enabled" from the file, applies it, and writes the file again when it is out of date. */
void registry_sync_file(struct registry *r, struct director *d);

/** Notes that a plugin is enabled or disabled, here, in the store and in the file. `saved` as in
 * switches_save(). */
int registry_set_enabled(struct plugin *p, bool enabled, store_done_fn saved, void *owner);

/** Reads the policy again and applies it to all plugins; one that cannot be read leaves the one before. */
void registry_read_grants(struct registry *r);

/** The store has said which plugins are disabled (switches.h): does so, and writes the file. */
void registry_take_switches(struct registry *r, struct director *d);

enum registry_view {
	REGISTRY_FILE, /* the reference's fields of all plugins, for plugin_registry.json */
	REGISTRY_API,  /* the enabled ones, with kind, state and error */
};

/** Appends {"plugins":[…]}. @return 0, -ENOBUFS, -ENOMEM. */
int registry_append_json(const struct registry *r, enum registry_view view, struct buffer *out);
