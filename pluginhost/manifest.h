/*
 * manifest.json, read leniently: every spelling seen in the wild (README.md has the table), unknown
 * members ignored, but a member that is understood must obey its rule. The file is optional for
 * plugins with a logic.py; a missing one yields the defaults.
 *
 * The JSON Schema that authors get is configs/schema/manifest.schema.json; the table of test cases
 * in test/unit keeps both in step. What comes out is one spelling for everybody else:
 *
 *   {"display_name":"Task Manager","description":"…","version":"1.0.0","permissions":["…"],
 *    "workers":1,"concurrency":64|null,"uploads":false,"isolation":"plugin",
 *    "limits":{"memory":bytes|null,"pids":n|null,"cpu":percent|null,"timeout":seconds|null},
 *    "collections":[…],"subscriptions":["event"|{"event":"…",…}],"runtime":"python"|null,
 *    "given":true}
 *
 * Collections as common/json/collections.h has them.
 *
 * null means: not asked for, the runtime's default applies. `given` is false without a file.
 * Thread: any; the text is hostile.
 */
#pragma once

#include "common/base/buffer.h"
#include "common/json/tree.h"

enum {
	/* Bytes of a manifest.json. */
	MANIFEST_MAX = 64 * 1024,
	MANIFEST_PERMISSIONS_MAX = 64,
	MANIFEST_SUBSCRIPTIONS_MAX = 256,
	MANIFEST_WORKERS_MAX = 64,
	MANIFEST_CONCURRENCY_MAX = 4096,
};

enum manifest_runtime { RUNTIME_UNSAID, RUNTIME_PYTHON, RUNTIME_NATIVE };
enum manifest_isolation { ISOLATION_PLUGIN, ISOLATION_USER, ISOLATION_REQUEST };

struct manifest {
	enum manifest_runtime runtime;
	enum manifest_isolation isolation;
	uint32_t workers;
	/* 0: not asked for, here and below. */
	uint32_t concurrency;
	uint64_t memory_bytes;
	uint32_t pids;
	uint32_t cpu_percent;
	uint64_t timeout_ms;
	/* The normalised form, compact, without a NUL. */
	struct buffer json;
};

enum manifest_result {
	_MANIFEST_OK,
	/* The text in `why` names the member and the rule. */
	MANIFEST_E_BROKEN,
};

/**
 * @param text of the file; an empty slice with p == NULL means that there is none.
 * @param id of the plugin, for the default names.
 * @return 0, MANIFEST_E_BROKEN, -ENOMEM. *ret is freed with manifest_deinit().
 */
int manifest_parse(struct slice text, const char *id, struct manifest *ret, struct json_why *why);

/** Reads <dir_fd>/manifest.json; a missing one is fine. Results as manifest_parse(), or -errno. */
int manifest_read(int dir_fd, const char *id, struct manifest *ret, struct json_why *why);

void manifest_deinit(struct manifest *m);
