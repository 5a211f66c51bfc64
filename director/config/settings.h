/*
 * The director's settings: one table of rows (settings.c), from which the environment is read, the
 * help text and the manual are made (describe.c) and misspelled names are found.
 *
 * Secrets (JWT_SECRET, DATABASE_URI) also come from a file named by NAME_FILE, or from the systemd
 * credential of that name in lower case. They are copied to the heap and overwritten in the
 * environment, so that neither /proc/PID/environ nor a child has them.
 *
 * Called once at start, before threads exist and while the files of the secrets can be read (as
 * root, before it is given up). Other texts point into the environment or the program.
 */
#pragma once

#include "common/base/log.h"
#include "common/base/settings.h"
#include "director/execute/idempotency.h"
#include "director/execute/quarantine.h"
#include "director/hosts/policy.h"
#include "director/http/proxies.h"
#include "director/http/site.h"

enum {
	SETTINGS_PLUGINHOSTS_MAX = 16,
	SETTINGS_PLUGINHOST_NAME_MAX = 32,
	/* What is left for the client's JSON in an EXECUTE frame beside the trusted members and the
	 * work header; settings.c derives it. */
	SETTINGS_BODY_BYTES_MAX = 1030144,
};

enum environment { ENV_DEVELOPMENT, ENV_PRODUCTION };

/* platform is external by another name. */
enum auth_mode { AUTH_MODE_LOCAL, AUTH_MODE_EXTERNAL, AUTH_MODE_PLATFORM };

struct settings {
	const char *host;                                         /* an IP address */
	uint64_t port;                                            /* 0: any free one */
	const char *allowed_hosts, *frontend_url, *other_origins; /* as given; NULL: not */
	const char *trusted_proxies;                              /* as given; NULL: none */
	int forwarded_header;                                     /* enum proxies_header */
	struct proxies proxies;                                   /* what they mean */
	uint64_t connections_per_address;
	bool server_timing;
	uint64_t address_rate; /* requests a minute */
	uint64_t user_rate;
	uint64_t plugin_rate;
	const char *tls_certificate; /* NULL: without TLS */
	const char *tls_key;
	uint64_t tls_check_ms;
	uint64_t tls_handshake_ms;
	uint64_t hsts_s;
	struct http_site site; /* what they mean */
	const char *app_id;
	int environment; /* enum environment */
	int auth_mode;   /* enum auth_mode */
	const char *app_name;
	const char *app_tier;
	bool monetization;

	/* On the heap, wiped by settings_wipe_secrets(). NULL: not given. */
	const char *jwt_secret;
	const char *database_uri;
	const char *superadmin_role;
	const char *superadmin_claim; /* these and those below: NULL: not given */
	int jwt_algorithm_index;
	const char *jwt_algorithm;
	uint64_t leeway_ms;
	uint64_t token_cache_entries;

	/* Local accounts; see users/. */
	bool allow_registration;
	uint64_t access_minutes;
	uint64_t refresh_ms;
	uint64_t user_sessions; /* of a user; 0: any number */
	uint64_t revocation_poll_ms;
	uint64_t password_characters;
	uint64_t password_bytes;
	uint64_t password_kinds;
	uint64_t password_threads;
	uint64_t password_queue;
	uint64_t argon2_bytes;
	uint64_t argon2_passes;
	uint64_t login_free, login_free_address;
	uint64_t login_wait_ms, login_max_wait_ms, login_forget_ms;
	uint64_t login_entries;
	/* An issuer of tokens. */
	const char *issuer, *jwks_url, *discovery_url, *audience, *scope;
	const char *jwt_algorithms;
	const char *user_id_claim, *username_claim, *email_claim, *roles_claim, *roles_clients;
	const char *issuer_ca_file;
	uint64_t issuer_ms; /* for one answer of it */
	uint64_t jwks_refresh_ms, jwks_stale_ms, jwks_refetch_ms;
	uint64_t jwks_bytes, jwks_keys;
	bool token_exchange;
	uint64_t app_token_minutes;

	const char *configs_path;
	const char *state_path; /* NULL: state_dir.h chooses */
	const char *run_path;   /* NULL: <state>/run */
	bool auto_refresh_plugins;
	const char *pluginhosts; /* as given */
	struct slice pluginhost_names[SETTINGS_PLUGINHOSTS_MAX];
	size_t n_pluginhosts;

	uint64_t body_bytes;
	uint64_t response_bytes;
	uint64_t head_bytes;
	uint64_t connections;
	uint64_t header_ms;
	uint64_t body_ms;
	uint64_t body_rate; /* bytes a second */
	uint64_t keepalive_ms;
	uint64_t send_ms;
	uint64_t linger_ms;
	uint64_t plugin_ms; /* the default deadline of a call */
	/* Streams: answers and bodies in pieces. */
	uint64_t stream_idle_ms;
	uint64_t stream_max_ms; /* 0: as long as it takes */
	uint64_t heartbeat_ms;  /* of an event stream; 0: none */
	uint64_t upload_bytes;
	uint64_t plugin_message_bytes; /* of a WebSocket that a plugin serves */
	/* The most that a manifest may ask for. */
	uint64_t max_plugin_ms;
	uint64_t max_concurrency;
	uint64_t max_workers;
	uint64_t inflight_per_user;
	uint64_t inflight_per_plugin;
	uint64_t inflight;
	uint64_t memory_high; /* 0: as its cgroup has it */

	/* The store's; see store.h. */
	uint64_t store_readers;
	uint64_t store_queue;
	uint64_t store_queue_bytes;
	uint64_t store_ms; /* of one command at work */
	uint64_t document_bytes;
	uint64_t filter_bytes;
	uint64_t result_bytes;
	uint64_t in_values;
	uint64_t skip;
	uint64_t stages;
	uint64_t indexes;
	uint64_t index_fields;
	uint64_t index_keys;
	uint64_t bson_depth;
	uint64_t bson_keys;
	uint64_t regex_bytes;
	uint64_t regex_steps;
	uint64_t collections; /* of one plugin */
	uint64_t quota_plugin_documents;
	uint64_t quota_plugin_bytes;
	uint64_t quota_user_documents;
	uint64_t quota_user_bytes;
	uint64_t bulk_writes;
	uint64_t cursor_bytes; /* of one worker */
	uint64_t cursors_per_request;
	uint64_t cursors_per_worker;
	uint64_t cursor_idle_ms;

	/* Capability calls: asked by a plugin and not answered yet, ... */
	uint64_t capability_calls_per_request;
	uint64_t capability_calls_per_worker;
	uint64_t capability_bytes_per_worker; /* of their arguments */
	uint64_t capability_rate_per_plugin;  /* ... and how many a second; 0: any number */
	uint64_t capability_rate_per_user;
	uint64_t argument_bytes; /* of a call with JSON arguments */

	uint64_t event_subscriptions; /* of one worker */
	uint64_t event_depth;
	uint64_t event_queue; /* of one plugin */
	uint64_t event_ms;

	uint64_t websockets;
	uint64_t websockets_per_user;
	uint64_t websocket_frame_bytes;
	uint64_t websocket_message_bytes;
	uint64_t websocket_send_bytes;
	uint64_t websocket_answer_bytes;
	uint64_t websocket_buffer_bytes;
	uint64_t websocket_message_rate; /* 0: any */
	uint64_t websocket_ping_rate;
	uint64_t websocket_ping_ms;
	uint64_t websocket_pong_ms;
	uint64_t websocket_close_ms;
	uint64_t websocket_drain_rate;
	uint64_t broadcast_rate; /* of one plugin */

	/* A worker's life. */
	uint64_t eager_plugins;
	struct restart_policy restart;
	struct breaker_policy breaker;
	struct life_policy life;
	uint64_t idle_stop_ms;     /* 0: never */
	uint64_t isolated_idle_ms; /* of workers for one user or one call */
	uint64_t isolated_workers; /* of one plugin */
	uint64_t wait_ms;          /* for a busy worker */
	struct quarantine_policy quarantine;
	struct idempotency_policy idempotency;
	uint64_t channel_bytes; /* that wait for one worker */
	uint64_t frame_rate;    /* of one worker, a second */
	uint64_t drain_ms;      /* of the director's own end */

	uint64_t plugin_log_rate, plugin_log_burst; /* bytes a second, bytes */
	uint64_t exits_kept;                        /* of one plugin */
	uint64_t exit_log_bytes;                    /* of one worker */
	bool access_log;
	int confine; /* enum confine_mode */
	int log_level_index;
	enum log_level log_level;
};

/** The table's rows. */
const struct setting *settings_rows(size_t *ret_n);

/* A remark for the operator that does not stop the start. `text` has no value of a secret in it. */
typedef void (*settings_warn_fn)(void *arg, const char *text);

/**
 * Reads the environment. In production MOZAIKS_APP_ID and a strong JWT_SECRET are required.
 * @param warn unknown MOZAIKS_ variables, a weak secret in development, two names for one setting.
 * @param message gets the text of SETTINGS_E_INVALID: the setting, its value and the rule.
 * @return 0, SETTINGS_E_INVALID, -ENOMEM, -ENOBUFS (message too small).
 */
int settings_load(struct settings *ret, settings_warn_fn warn, void *arg, struct buffer *message);

/** Frees the secrets and overwrites them first; they are NULL afterwards. */
void settings_wipe_secrets(struct settings *s);

/** At least 32 characters, with an upper and a lower case letter and a digit. */
bool settings_secret_is_strong(const char *secret);

/* How the table is written out. */
enum settings_form { SETTINGS_HELP, SETTINGS_MARKDOWN, SETTINGS_MAN };

/** Appends every setting with its default, rule and meaning. @return as buffer_append(). */
int settings_describe(enum settings_form form, struct buffer *out);

/**
 * A known name like this one, for "did you mean": at most a third of it differs, or it lacks or has
 * the MOZAIKS_ in front.
 * @return NULL without one.
 */
const char *settings_similar_name(struct slice name);
