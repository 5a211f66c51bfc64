/*
 * What an operator grants to plugins and denies them, beside what their manifests ask for:
 * plugin_policy.json in MOZAIKS_CONFIGS_PATH.
 *
 *	{"plugins": {
 *	    "*":     {"deny": ["websocket.broadcast"]},
 *	    "notes": {"grant": ["database.cross_user"],
 *	              "collections": {"items": "legacy_items"}}}}
 *
 * A plugin may what its manifest asks for, or the default grant; then what "*" grants and denies is
 * added and taken away, then what its own entry does: so a plugin's entry has the last word. Some
 * permissions (common/proto/capabilities.h) are only ever granted here.
 *
 * `collections` names what the plugin's own collections are called in the database, where they have
 * been there before the plugin was.
 *
 * The file is read at the start, and again whenever the list of plugins is refreshed; mozaiksctl plugin
 * grant and revoke change it (grant_change.h). Each struct belongs to one thread.
 */
#pragma once

#include "common/base/buffer.h"

#include <jansson.h>

struct plugin_manifest;

enum { GRANTS_FILE_MAX = 1 << 20, GRANTS_WHY_SIZE = 512, GRANTS_ALIAS_MAX = 120 };

struct grants {
	char path[4096]; /* empty: there is no such file */
	json_t *tree;    /* checked; NULL: nobody is granted or denied anything */
};

/**
 * Reads the file; one that is not there is empty.
 * @param ret_why what is wrong with it, naming the file.
 * @return 0; -EBADMSG, another negative errno: `g` stays as it was.
 */
int grants_read(struct grants *g, char ret_why[static GRANTS_WHY_SIZE]);
void grants_deinit(struct grants *g);

/**
 * Grants a plugin a permission or takes it away, in its own entry and no further than it takes: what "*" says
 * and what the manifest asks for stays. The file is read before and written whole. Blocking.
 * @param m what the manifest asks for.
 * @return 0; -EINVAL: there is no such permission, or no place for the file; another negative errno. `g` and the
 *   file are then as they were.
 */
int grants_set(struct grants *g,
	const char *plugin,
	const struct plugin_manifest *m,
	struct slice permission,
	bool granted,
	char ret_why[static GRANTS_WHY_SIZE]);

/** Takes a text over as the file's. @return as grants_read(). */
int grants_parse(struct grants *g, struct slice text, char ret_why[static GRANTS_WHY_SIZE]);

/** Fills in what a plugin may, from what its manifest asks for. */
void grants_apply(const struct grants *g, const char *plugin, struct plugin_manifest *m);

/** Appends the names of the permissions that a plugin has, or (not `granted`) those that it asks for and
 * has not, as a JSON array. @return as buffer_append(). */
int grants_append_json(const struct plugin_manifest *m, bool granted, struct buffer *out);

/* One collection and what it is called in the database. */
typedef void (*grants_alias_fn)(void *arg, struct slice collection, struct slice physical);

/** Walks the collections of a plugin that are called otherwise. */
void grants_each_alias(const struct grants *g, const char *plugin, grants_alias_fn fn, void *arg);

/** What a collection of a plugin is called in the database; empty: as all are. */
struct slice grants_alias(const struct grants *g, const char *plugin, struct slice collection);
