#include "director/config/settings.h"

#include "common/base/error.h"
#include "common/channel/channel.h"
#include "common/proto/frame.h"
#include "director/auth/auth.h"
#include "director/config/secrets.h"
#include "director/hosts/breaker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KIB     UINT64_C(1024)
#define MIB     (1024 * KIB)
#define MILLION UINT64_C(1000000)
#define HOUR_MS UINT64_C(3600000)

/* An EXECUTE payload: the client's object, a comma and the trusted members; before it the deadline
 * and three texts (user, instance, trace) with their lengths. */
enum { WORK_HEADER_MAX = 2048 };
_Static_assert((int)SETTINGS_BODY_BYTES_MAX + (int)AUTH_TRUSTED_MAX + (int)WORK_HEADER_MAX <=
		(int)FRAME_PAYLOAD_MAX,
	"a body of the limit fits a frame");

static const char *const environments[] = { "development", "production", NULL };
static const char *const forwarded_headers[] = { "x-forwarded", "forwarded", NULL };
/* The first three are enum auth_mode; then other names for two of them. */
static const char *const auth_modes[] = { "local", "external", "platform", "jwt", "oidc", NULL };
static const char *const hmac_algorithms[] = { "HS256", "HS384", "HS512", NULL };
static const char *const confine_modes[] = { "enforce", "log", "off", NULL };
static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL };

#define AT(field) offsetof(struct settings, field)

/* clang-format off */
static const struct setting table[] = {
	{ "PORT", SETTING_NUMBER, AT(port), "8080", 0, 65535,
		.help = "TCP port to listen on; 0 takes any free one and prints it." },
	{ "MOZAIKS_HOST", SETTING_TEXT, AT(host), "127.0.0.1", 2, 45,
		.help = "IP address to listen on, or localhost; 0.0.0.0 and :: mean all." },
	{ "ALLOWED_HOSTS", SETTING_TEXT, AT(allowed_hosts), NULL, 1, 4096,
		.help = "Host names that are answered, separated by commas: example.org, *.example.org "
			"for those below it. Unset or *: all; other hosts get 421." },
	{ "FRONTEND_URL", SETTING_TEXT, AT(frontend_url), NULL, 1, 1024,
		.help = "The front end's URL: pages of its origin may call the API (CORS). Unset in "
			"development: http://localhost:5173." },
	{ "ADDITIONAL_CORS_ORIGINS", SETTING_TEXT, AT(other_origins), NULL, 1, 4096,
		.help = "More origins whose pages may call the API, exactly as browsers write them "
			"(https://app.example.org), separated by commas." },
	{ "MOZAIKS_TRUSTED_PROXIES", SETTING_TEXT, AT(trusted_proxies), NULL, 1, 4096,
		.help = "Addresses and networks of the proxies before the director (10.0.0.0/8, ::1), "
			"separated by commas. Only they are believed about the client's address, "
			"protocol and host. Unset: nobody." },
	{ "MOZAIKS_FORWARDED_HEADER", SETTING_CHOICE, AT(forwarded_header), "x-forwarded",
		.choices = forwarded_headers,
		.help = "Which header these proxies set: x-forwarded (X-Forwarded-For, -Proto, -Host) or "
			"forwarded (RFC 7239). The other one is not believed: a proxy that does not know "
			"it passes on what a client has written." },
	{ "TLS_CERT_FILE", SETTING_PATH, AT(tls_certificate), NULL,
		.help = "The server's certificate (PEM), followed by those between it and its root. With it "
			"and TLS_KEY_FILE the TCP port speaks HTTPS (TLS 1.2 and 1.3) only. Unset: HTTP." },
	{ "TLS_KEY_FILE", SETTING_PATH, AT(tls_key), NULL,
		.help = "The certificate's key (PEM, not encrypted)." },
	{ "MOZAIKS_TLS_CHECK_SECONDS", SETTING_SECONDS, AT(tls_check_ms), "10", 0, HOUR_MS,
		.help = "How often to look whether the two files have changed; 0: only on SIGHUP. To be read "
			"again they must be readable for the user that the director runs as; if new ones are "
			"no good, the old ones stay in use." },
	{ "MOZAIKS_TLS_HANDSHAKE_TIMEOUT_SECONDS", SETTING_SECONDS, AT(tls_handshake_ms), "10", 10, HOUR_MS,
		.help = "Time for a TLS handshake; then the connection is closed." },
	{ "MOZAIKS_HSTS_SECONDS", SETTING_NUMBER, AT(hsts_s), "31536000", 0, 100 * MILLION,
		.help = "How long browsers shall use nothing but HTTPS for this host "
			"(Strict-Transport-Security); sent over TLS only; 0: not sent." },
	{ "MOZAIKS_APP_ID", SETTING_NAME, AT(app_id), "dev_app", 1, 64,
		.help = "The application's id: it separates the data of applications that share a "
			"database. Required in production." },
	{ "ENV", SETTING_CHOICE, AT(environment), "development", .choices = environments,
		.help = "In production a missing MOZAIKS_APP_ID or a weak JWT_SECRET stops the start; "
			"in development errors say more to the client." },
	{ "APP_NAME", SETTING_TEXT, AT(app_name), "Mozaiks", 1, 128,
		.help = "Name of the application, for people." },
	{ "APP_TIER", SETTING_TEXT, AT(app_tier), "free", 1, 64,
		.help = "Reported by /info." },
	{ "MONETIZATION", SETTING_SWITCH, AT(monetization), "0",
		.help = "Checks the caller's subscription before a plugin runs." },

	{ "MOZAIKS_AUTH_MODE", SETTING_CHOICE, AT(auth_mode), "local", .choices = auth_modes,
		.help = "Where tokens come from. local (or jwt): our own, signed with JWT_SECRET; external "
			"(or oidc) and platform: those of an issuer. Unset: external when an issuer, a "
			"discovery document or keys are configured, else local." },
	{ "JWT_SECRET", SETTING_SECRET, AT(jwt_secret), NULL, 1, 4096, .alias = "JWT_SECRET_KEY",
		.help = "Signs and checks our own tokens. Unset in development: made once and kept in "
			"the state directory. In production at least 32 characters with an upper and a "
			"lower case letter and a digit." },
	{ "JWT_ALGORITHM", SETTING_CHOICE, AT(jwt_algorithm_index), "HS256", .choices = hmac_algorithms,
		.help = "Of our own tokens. HS384 and HS512 need secrets of 48 and 64 bytes." },
	{ "MOZAIKS_JWT_LEEWAY_SECONDS", SETTING_SECONDS, AT(leeway_ms), "30", 0, 300000,
		.help = "How far the clocks of others may be wrong: for exp and nbf." },
	{ "MOZAIKS_SUPERADMIN_ROLE", SETTING_TEXT, AT(superadmin_role), "superadmin", 1, 1024,
		.alias = "MOZAIKS_PLATFORM_SUPERADMIN_ROLE",
		.help = "The role that makes its holder superadmin, or several with commas; upper and "
			"lower case are one." },
	{ "MOZAIKS_SUPERADMIN_CLAIM", SETTING_TEXT, AT(superadmin_claim), NULL, 1, 256,
		.alias = "MOZAIKS_PLATFORM_SUPERADMIN_CLAIM",
		.help = "In an issuer's tokens: the claim that does so when it is true. Unset: "
			"is_superadmin." },
	{ "MOZAIKS_TOKEN_CACHE_ENTRIES", SETTING_NUMBER, AT(token_cache_entries), "10000", 0, MILLION,
		.help = "Checked tokens that are remembered; 0: each is checked anew." },

	{ "MOZAIKS_ALLOW_REGISTRATION", SETTING_SWITCH, AT(allow_registration), "1",
		.help = "Anybody may make an account (local mode). 0: only operators, with mozaiksctl user "
			"add." },
	{ "ACCESS_TOKEN_EXPIRE_MINUTES", SETTING_NUMBER, AT(access_minutes), "1440", 1, 527040,
		.alias = "MOZAIKS_ACCESS_TOKEN_MINUTES",
		.help = "Life of the tokens that a login gives; they end with their session at the latest." },
	{ "MOZAIKS_REFRESH_TOKEN_SECONDS", SETTING_SECONDS, AT(refresh_ms), "2592000", 1000,
		366 * 24 * HOUR_MS,
		.help = "A session that is not refreshed for this long ends." },
	{ "MOZAIKS_MAX_SESSIONS_PER_USER", SETTING_NUMBER, AT(user_sessions), "100", 0, 100000,
		.help = "Sessions of a user at a time: a login beyond that ends the one that was not "
			"refreshed for longest. 0: any number." },
	{ "MOZAIKS_REVOCATION_POLL_SECONDS", SETTING_SECONDS, AT(revocation_poll_ms), "5", 100, HOUR_MS,
		.help = "How often a director that shares a MongoDB server asks what others have ended: "
			"until then a session that ended there is good here." },
	{ "MOZAIKS_PASSWORD_MIN_LENGTH", SETTING_NUMBER, AT(password_characters), "8", 1, 128,
		.help = "Characters of a new password at least." },
	{ "MOZAIKS_PASSWORD_MAX_BYTES", SETTING_NUMBER, AT(password_bytes), "1024", 64, 4096,
		.help = "Bytes of a password at most, before anything is done with it." },
	{ "MOZAIKS_PASSWORD_KINDS", SETTING_NUMBER, AT(password_kinds), "1", 1, 4,
		.help = "How many of lower case letters, upper case letters, digits and others a new "
			"password needs." },
	{ "MOZAIKS_PASSWORD_THREADS", SETTING_NUMBER, AT(password_threads), "1", 1, 64,
		.help = "Threads that hash passwords." },
	{ "MOZAIKS_PASSWORD_QUEUE", SETTING_NUMBER, AT(password_queue), "32", 1, 4096,
		.help = "Passwords that may wait for them; above it requests get 503." },
	{ "MOZAIKS_ARGON2_MEMORY_BYTES", SETTING_BYTES, AT(argon2_bytes), "19M", 64 * KIB, 1024 * MIB,
		.help = "Memory that one hash (argon2id) takes. A login renews a hash of another cost." },
	{ "MOZAIKS_ARGON2_PASSES", SETTING_NUMBER, AT(argon2_passes), "2", 1, 100,
		.help = "How often it goes over that memory." },
	{ "MOZAIKS_LOGIN_FREE_ATTEMPTS", SETTING_NUMBER, AT(login_free), "5", 0, MILLION,
		.help = "Wrong passwords for one account before each further attempt has to wait, twice as "
			"long as before; 0: accounts never wait." },
	{ "MOZAIKS_LOGIN_FREE_ATTEMPTS_PER_ADDRESS", SETTING_NUMBER, AT(login_free_address), "20", 0,
		MILLION,
		.help = "The same for one IP address (of IPv6 its /64), over all accounts; registrations "
			"count, too." },
	{ "MOZAIKS_LOGIN_WAIT_SECONDS", SETTING_SECONDS, AT(login_wait_ms), "1", 10, HOUR_MS,
		.help = "The first of these waits." },
	{ "MOZAIKS_LOGIN_MAX_WAIT_SECONDS", SETTING_SECONDS, AT(login_max_wait_ms), "300", 10,
		24 * HOUR_MS, .help = "The longest." },
	{ "MOZAIKS_LOGIN_FORGET_SECONDS", SETTING_SECONDS, AT(login_forget_ms), "900", 10, 24 * HOUR_MS,
		.help = "After such a time without an attempt they begin anew." },
	{ "MOZAIKS_LOGIN_ENTRIES", SETTING_NUMBER, AT(login_entries), "100000", 2, 10 * MILLION,
		.help = "Accounts and addresses whose attempts are counted; the one used longest ago is "
			"forgotten." },
	{ "MOZAIKS_ISSUER", SETTING_TEXT, AT(issuer), NULL, 1, 1024,
		.alias = "MOZAIKS_PLATFORM_ISSUER",
		.help = "The issuer of tokens, exactly as their iss names it, such as "
			"https://id.example.org/realms/shop. Its keys are found through its discovery "
			"document. https, but in development and on this machine." },
	{ "MOZAIKS_OIDC_DISCOVERY_URL", SETTING_TEXT, AT(discovery_url), NULL, 1, 2048,
		.alias = "MOZAIKS_PLATFORM_OIDC_DISCOVERY_URL",
		.help = "Where that document is. Unset: below MOZAIKS_ISSUER." },
	{ "MOZAIKS_JWKS_URL", SETTING_TEXT, AT(jwks_url), NULL, 1, 2048,
		.alias = "MOZAIKS_PLATFORM_JWKS_URL",
		.help = "Where the issuer's keys are; then nothing is discovered." },
	{ "MOZAIKS_AUDIENCE", SETTING_TEXT, AT(audience), NULL, 1, 1024,
		.alias = "MOZAIKS_PLATFORM_AUDIENCE",
		.help = "Who we are for the issuer, or several names with commas: tokens must have one in "
			"aud. Required in production." },
	{ "MOZAIKS_REQUIRED_SCOPE", SETTING_TEXT, AT(scope), NULL, 1, 256,
		.alias = "MOZAIKS_PLATFORM_REQUIRED_SCOPE",
		.help = "A scope that tokens must have, in scope or scp." },
	{ "MOZAIKS_JWT_ALGORITHMS", SETTING_TEXT, AT(jwt_algorithms), "RS256", 1, 256,
		.alias = "MOZAIKS_PLATFORM_JWT_ALGORITHMS",
		.help = "What the issuer may sign with, separated by commas: RS256, RS384, RS512, PS256, "
			"PS384, PS512, ES256, ES384, ES512, EdDSA. A key that does not say it gets the "
			"first that fits its type." },
	{ "MOZAIKS_USER_ID_CLAIM", SETTING_TEXT, AT(user_id_claim), NULL, 1, 256,
		.alias = "MOZAIKS_PLATFORM_USER_ID_CLAIM",
		.help = "The claim with the user's id. A claim may be a path: a.b. Unset: user_id, else "
			"sub." },
	{ "MOZAIKS_USERNAME_CLAIM", SETTING_TEXT, AT(username_claim), NULL, 1, 256,
		.alias = "MOZAIKS_PLATFORM_USERNAME_CLAIM",
		.help = "The claim with the user's name, such as preferred_username. Unset, or without "
			"it: username, else sub." },
	{ "MOZAIKS_EMAIL_CLAIM", SETTING_TEXT, AT(email_claim), NULL, 1, 256,
		.alias = "MOZAIKS_PLATFORM_EMAIL_CLAIM",
		.help = "The claim with the user's address. Unset: email." },
	{ "MOZAIKS_ROLES_CLAIM", SETTING_TEXT, AT(roles_claim), NULL, 1, 256,
		.alias = "MOZAIKS_PLATFORM_ROLES_CLAIM",
		.help = "The claim with the user's roles. Unset: roles, realm_access.roles and "
			"resource_access.<client>.roles together." },
	{ "MOZAIKS_ROLES_CLIENTS", SETTING_TEXT, AT(roles_clients), NULL, 1, 1024,
		.alias = "MOZAIKS_PLATFORM_ROLES_CLIENTS",
		.help = "Whose roles in resource_access count, separated by commas; *: those of every "
			"client. Unset: the names in MOZAIKS_AUDIENCE." },
	{ "MOZAIKS_ISSUER_CA_FILE", SETTING_PATH, AT(issuer_ca_file), NULL,
		.help = "Certificates (PEM) that the issuer's is checked against, instead of the "
			"system's." },
	{ "MOZAIKS_ISSUER_TIMEOUT_SECONDS", SETTING_SECONDS, AT(issuer_ms), "10", 100, 60000,
		.help = "Time for one answer of the issuer." },
	{ "MOZAIKS_JWKS_CACHE_SECONDS", SETTING_SECONDS, AT(jwks_refresh_ms), "300", 1000, 24 * HOUR_MS,
		.help = "How often the issuer's keys are fetched anew." },
	{ "MOZAIKS_JWKS_REFETCH_SECONDS", SETTING_SECONDS, AT(jwks_refetch_ms), "5", 100, HOUR_MS,
		.help = "Least time between two fetches for tokens with unknown keys." },
	{ "MOZAIKS_JWKS_STALE_SECONDS", SETTING_SECONDS, AT(jwks_stale_ms), "86400", 1000, 720 * HOUR_MS,
		.help = "How long known keys stay good while the issuer cannot be reached." },
	{ "MOZAIKS_MAX_JWKS_BYTES", SETTING_BYTES, AT(jwks_bytes), "256K", KIB, 4 * MIB,
		.help = "Size of the issuer's keys, and of its discovery document." },
	{ "MOZAIKS_MAX_JWKS_KEYS", SETTING_NUMBER, AT(jwks_keys), "64", 1, 1024,
		.help = "Keys in one answer of the issuer." },
	{ "MOZAIKS_TOKEN_EXCHANGE", SETTING_SWITCH, AT(token_exchange), "0",
		.help = "The issuer's tokens are only good for POST /api/auth/token-exchange, which gives "
			"an app token, signed with JWT_SECRET, for everything else." },
	{ "MOZAIKS_APP_TOKEN_EXPIRE_MINUTES", SETTING_NUMBER, AT(app_token_minutes), "15", 1, 1440,
		.help = "Longest life of an app token; it never outlives the token that was given." },

	{ "DATABASE_URI", SETTING_SECRET, AT(database_uri), NULL, 1, 4096, .alias = "MONGODB_URI",
		.help = "mongodb://… or sqlite:////absolute/path. Unset: mozaiks.db in the state "
			"directory." },
	{ "MOZAIKS_STORE_READERS", SETTING_NUMBER, AT(store_readers), "2", 1, 64,
		.help = "Threads that read from the store." },
	{ "MOZAIKS_STORE_QUEUE", SETTING_NUMBER, AT(store_queue), "4096", 16, MILLION,
		.help = "Store commands that may wait." },
	{ "MOZAIKS_STORE_QUEUE_BYTES", SETTING_BYTES, AT(store_queue_bytes), "64M", MIB, 4096 * MIB,
		.help = "Size of the store commands that may wait." },
	{ "MOZAIKS_STORE_TIMEOUT_SECONDS", SETTING_SECONDS, AT(store_ms), "2", 10, HOUR_MS,
		.help = "Time that one store command may work." },
	{ "MOZAIKS_MAX_DOCUMENT_BYTES", SETTING_BYTES, AT(document_bytes), "256K", KIB,
		FRAME_PAYLOAD_MAX - 4 * KIB,
		.help = "Size of one stored document." },
	{ "MOZAIKS_MAX_FILTER_BYTES", SETTING_BYTES, AT(filter_bytes), "64K", KIB, 512 * KIB,
		.help = "Size of a query's filter." },
	{ "MOZAIKS_MAX_RESULT_BYTES", SETTING_BYTES, AT(result_bytes), "16M", MIB, 1024 * MIB,
		.help = "Documents that one find may return, in bytes." },
	{ "MOZAIKS_MAX_IN_VALUES", SETTING_NUMBER, AT(in_values), "1000", 1, 100000,
		.help = "Values in one $in, $nin or $all." },
	{ "MOZAIKS_MAX_SKIP", SETTING_NUMBER, AT(skip), "10000", 0, 100 * MILLION,
		.help = "Largest skip of a find." },
	{ "MOZAIKS_MAX_REGEX_BYTES", SETTING_BYTES, AT(regex_bytes), "1000", 1, 32768,
		.help = "Length of a $regex pattern." },
	{ "MOZAIKS_MAX_REGEX_STEPS", SETTING_NUMBER, AT(regex_steps), "200000", 1000, 100 * MILLION,
		.help = "Steps of backtracking that a regular expression may take on one value." },
	{ "MOZAIKS_MAX_PIPELINE_STAGES", SETTING_NUMBER, AT(stages), "50", 1, 200,
		.help = "Stages of one aggregation." },
	{ "MOZAIKS_MAX_INDEXES", SETTING_NUMBER, AT(indexes), "20", 0, 64,
		.help = "Declared indexes of one collection." },
	{ "MOZAIKS_MAX_INDEX_FIELDS", SETTING_NUMBER, AT(index_fields), "16", 1, 32,
		.help = "Fields of one index." },
	{ "MOZAIKS_MAX_INDEX_KEYS", SETTING_NUMBER, AT(index_keys), "1000", 1, MILLION,
		.help = "Keys that one document may have in one index: of arrays, one for each element "
			"and combination." },
	{ "MOZAIKS_MAX_BSON_DEPTH", SETTING_NUMBER, AT(bson_depth), "64", 8, 64,
		.help = "How deep the arguments of a database command, documents included, may nest." },
	{ "MOZAIKS_MAX_BSON_KEYS", SETTING_NUMBER, AT(bson_keys), "100000", 1000, MILLION,
		.help = "Fields and elements of the arguments of a database command, in all." },
	{ "MOZAIKS_MAX_COLLECTIONS", SETTING_NUMBER, AT(collections), "1000", 1, MILLION,
		.help = "Collections of one plugin." },
	{ "MOZAIKS_QUOTA_PLUGIN_DOCUMENTS", SETTING_NUMBER, AT(quota_plugin_documents), "10000000", 0,
		1000000 * MILLION,
		.help = "Documents that one plugin may keep in the embedded store; 0: any number." },
	{ "MOZAIKS_QUOTA_PLUGIN_BYTES", SETTING_BYTES, AT(quota_plugin_bytes), "4G", 0, 1048576 * MIB,
		.help = "Size of the documents that one plugin may keep in the embedded store, with the "
			"keys of its indexes; 0: any." },
	{ "MOZAIKS_QUOTA_USER_DOCUMENTS", SETTING_NUMBER, AT(quota_user_documents), "1000000", 0,
		1000000 * MILLION,
		.help = "Of these, documents of one user; 0: any number." },
	{ "MOZAIKS_QUOTA_USER_BYTES", SETTING_BYTES, AT(quota_user_bytes), "256M", 0, 1048576 * MIB,
		.help = "Of these, size of the documents of one user; 0: any." },
	{ "MOZAIKS_MAX_BULK_WRITES", SETTING_NUMBER, AT(bulk_writes), "1000", 1, 10000,
		.help = "Writes of one database.bulk; the runtime of Python sends a longer list in parts." },
	{ "MOZAIKS_MAX_CURSOR_BYTES", SETTING_BYTES, AT(cursor_bytes), "32M", MIB, 4096 * MIB,
		.help = "Documents that a worker has found and not yet fetched, in bytes." },
	{ "MOZAIKS_MAX_CURSORS_PER_REQUEST", SETTING_NUMBER, AT(cursors_per_request), "8", 1, 1024,
		.help = "Finds of one request whose documents are not all fetched." },
	{ "MOZAIKS_MAX_CURSORS_PER_WORKER", SETTING_NUMBER, AT(cursors_per_worker), "128", 1, 65536,
		.help = "Finds of one worker whose documents are not all fetched." },
	{ "MOZAIKS_CURSOR_TIMEOUT_SECONDS", SETTING_SECONDS, AT(cursor_idle_ms), "60", 10, HOUR_MS,
		.help = "Time that such a find is kept without being used." },

	{ "MOZAIKS_CONFIGS_PATH", SETTING_PATH, AT(configs_path), "configs",
		.help = "Directory of the JSON configurations." },
	{ "MOZAIKS_STATE_PATH", SETTING_PATH, AT(state_path), NULL,
		.help = "Directory of everything that is kept. Unset: ./var, or /var/lib/mozaiks-dev when "
			"root starts it where others cannot reach it." },
	{ "MOZAIKS_RUN_PATH", SETTING_PATH, AT(run_path), NULL,
		.help = "Directory of the sockets to pluginhost and workers. Unset: run in the state "
			"directory." },
	{ "MOZAIKS_PLUGINHOSTS", SETTING_TEXT, AT(pluginhosts), "default", 1, 1024,
		.help = "Names of the pluginhosts that serve this director, separated by commas." },
	{ "MOZAIKS_AUTO_REFRESH_PLUGINS", SETTING_SWITCH, AT(auto_refresh_plugins), "0",
		.help = "Takes over a changed plugin at once, as in development." },

	{ "MAX_REQUEST_BODY_BYTES", SETTING_BYTES, AT(body_bytes), "1000000", 1,
		SETTINGS_BODY_BYTES_MAX,
		.help = "Size of a request's body; above it 413." },
	{ "MOZAIKS_MAX_RESPONSE_BYTES", SETTING_BYTES, AT(response_bytes), "1000000", 1, 1024 * MIB,
		.help = "Size of a plugin's answer; above it 502 plugin_response_too_large." },
	{ "MOZAIKS_MAX_HEAD_BYTES", SETTING_BYTES, AT(head_bytes), "16384", KIB, 256 * KIB,
		.help = "Size of a request's line and headers; above it 431 or 414." },
	{ "MOZAIKS_MAX_CONNECTIONS", SETTING_NUMBER, AT(connections), "16384", 1, MILLION,
		.help = "Client connections at a time; more wait to be accepted. At most three quarters of the "
			"open files that the system allows (LimitNOFILE=, ulimit -n)." },
	{ "MOZAIKS_MAX_CONNECTIONS_PER_ADDRESS", SETTING_NUMBER, AT(connections_per_address), "0", 0, MILLION,
		.help = "Of these, connections of one client address (IPv6: of one /64); more are closed at "
			"once. Trusted proxies are not counted. 0: a quarter of MOZAIKS_MAX_CONNECTIONS, and "
			"any number for the machine itself, where a proxy may stand." },
	{ "MOZAIKS_HEADER_TIMEOUT_SECONDS", SETTING_SECONDS, AT(header_ms), "10", 10, HOUR_MS,
		.help = "Time for a request's head; then 408." },
	{ "MOZAIKS_BODY_TIMEOUT_SECONDS", SETTING_SECONDS, AT(body_ms), "10", 10, HOUR_MS,
		.help = "Time without progress in a request's body; then 408." },
	{ "MOZAIKS_MIN_BODY_RATE", SETTING_BYTES, AT(body_rate), "500", 1, MIB,
		.help = "Bytes a second that a request's body has to arrive at, on the average and after "
			"its first 5 s; else 408." },
	{ "MOZAIKS_KEEPALIVE_TIMEOUT_SECONDS", SETTING_SECONDS, AT(keepalive_ms), "75", 10, HOUR_MS,
		.help = "Time that an idle connection is kept." },
	{ "MOZAIKS_SEND_TIMEOUT_SECONDS", SETTING_SECONDS, AT(send_ms), "20", 10, HOUR_MS,
		.help = "Time without progress in sending an answer; then the connection is closed." },
	{ "MOZAIKS_LINGER_TIMEOUT_SECONDS", SETTING_SECONDS, AT(linger_ms), "5", 10, HOUR_MS,
		.help = "Time for a client to stop sending, after an answer that ends the connection; then it is "
			"cut off, and may lose an answer that it has not read." },

	{ "MOZAIKS_PLUGIN_TIMEOUT_SECONDS", SETTING_SECONDS, AT(plugin_ms), "30", 10, HOUR_MS,
		.alias = "PLUGIN_EXEC_TIMEOUT_S",
		.help = "Time for a plugin's answer; then 504." },
	{ "MOZAIKS_STREAM_IDLE_SECONDS", SETTING_SECONDS, AT(stream_idle_ms), "60", 10, HOUR_MS,
		.help = "Time that a plugin may do nothing for an answer in pieces that it has begun, or for a "
			"body that it is sent; then the connection ends. Not for event streams and "
			"WebSockets, which may be silent." },
	{ "MOZAIKS_STREAM_MAX_SECONDS", SETTING_SECONDS, AT(stream_max_ms), "0", 0, 24 * HOUR_MS,
		.help = "Time for an answer in pieces, an event stream or a WebSocket in all; 0: any." },
	{ "MOZAIKS_SSE_HEARTBEAT_SECONDS", SETTING_SECONDS, AT(heartbeat_ms), "15", 0, HOUR_MS,
		.help = "How often a silent event stream (text/event-stream) gets a comment, so that a client "
			"that is gone is noticed; 0: never." },
	{ "MOZAIKS_MAX_UPLOAD_BYTES", SETTING_BYTES, AT(upload_bytes), "100M", 1, 1048576 * MIB,
		.help = "Size of a body that is streamed to a plugin whose manifest says uploads; above it "
			"413." },
	{ "MOZAIKS_MAX_PLUGIN_WEBSOCKET_MESSAGE_BYTES", SETTING_BYTES, AT(plugin_message_bytes), "16M",
		125, 64 * MIB,
		.help = "Size of one message on a WebSocket that a plugin serves, either way; above it 1009." },
	{ "MOZAIKS_MAX_PLUGIN_TIMEOUT_SECONDS", SETTING_SECONDS, AT(max_plugin_ms), "3600", 10,
		24 * HOUR_MS,
		.help = "The longest such time that a manifest can ask for; more is cut to it." },
	{ "MOZAIKS_MAX_CONCURRENCY", SETTING_NUMBER, AT(max_concurrency), "256", 1, 1024,
		.help = "The most calls at once in one worker that a manifest can ask for; more are cut to "
			"it." },
	{ "MOZAIKS_MAX_WORKERS_PER_PLUGIN", SETTING_NUMBER, AT(max_workers), "16", 1, 64,
		.help = "The most workers that a manifest can ask for; more are cut to it." },
	{ "MOZAIKS_MAX_INFLIGHT_PER_USER", SETTING_NUMBER, AT(inflight_per_user), "32", 1, MILLION,
		.help = "Calls of one user, waiting and running; above it 429." },
	{ "MOZAIKS_MAX_INFLIGHT_PER_PLUGIN", SETTING_NUMBER, AT(inflight_per_plugin), "256", 1, MILLION,
		.help = "Calls to one plugin, waiting and running; above it 503." },
	{ "MOZAIKS_MAX_INFLIGHT", SETTING_NUMBER, AT(inflight), "4096", 1, MILLION,
		.help = "Calls in all, waiting and running; above it 503." },
	{ "MOZAIKS_MEMORY_HIGH", SETTING_BYTES, AT(memory_high), "0", 0, 1024 * 1024 * MIB,
		.help = "Private memory that the director may use: above four fifths of it, calls to "
			"plugins are answered 503, all else is served. 0: what its cgroup allows "
			"(MemoryHigh=, MemoryMax=), if that says anything." },

	{ "MOZAIKS_SERVER_TIMING", SETTING_SWITCH, AT(server_timing), "0",
		.help = "Answers say in milliseconds what took how long (Server-Timing: total, auth, queue, "
			"plugin), which browsers show. Off: strangers need not know." },
	{ "MOZAIKS_RATE_PER_ADDRESS", SETTING_NUMBER, AT(address_rate), "0", 0, 100 * MILLION,
		.help = "Requests a minute of one client address (IPv6: of one /64), of any kind; those of "
			"one minute may come at once; above it 429. Trusted proxies are not counted. 0: "
			"any number, since many people may share an address, and how many requests are too "
			"many only the application's operator knows." },
	{ "MOZAIKS_RATE_PER_USER", SETTING_NUMBER, AT(user_rate), "0", 0, 100 * MILLION,
		.help = "Requests a minute of one user to plugins, counted in the same way; above it 429. "
			"0: any number; MOZAIKS_MAX_INFLIGHT_PER_USER holds all the same." },
	{ "MOZAIKS_RATE_PER_PLUGIN", SETTING_NUMBER, AT(plugin_rate), "0", 0, 100 * MILLION,
		.help = "Requests a minute to one plugin, counted in the same way; above it 503. 0: any "
			"number; MOZAIKS_MAX_INFLIGHT_PER_PLUGIN holds all the same." },
	{ "MOZAIKS_MAX_CAPABILITY_CALLS_PER_REQUEST", SETTING_NUMBER, AT(capability_calls_per_request),
		"64", 1, 65536,
		.help = "Capability calls of one request that wait for their answers at once; the runtime "
			"of Python plugins holds more of them back." },
	{ "MOZAIKS_MAX_CAPABILITY_CALLS_PER_WORKER", SETTING_NUMBER, AT(capability_calls_per_worker),
		"512", 1, 65536,
		.help = "The same for all requests of one worker." },
	{ "MOZAIKS_MAX_CAPABILITY_BYTES_PER_WORKER", SETTING_BYTES, AT(capability_bytes_per_worker),
		"32M", MIB, 4096 * MIB,
		.help = "Arguments of the capability calls of one worker that wait for their answers, in "
			"bytes." },
	{ "MOZAIKS_CAPABILITY_RATE_PER_PLUGIN", SETTING_NUMBER, AT(capability_rate_per_plugin), "50000",
		0, 100 * MILLION,
		.help = "Capability calls a second of one plugin, over all of its workers and users; those "
			"of one second may come at once; 0: any number." },
	{ "MOZAIKS_CAPABILITY_RATE_PER_USER", SETTING_NUMBER, AT(capability_rate_per_user), "25000", 0,
		100 * MILLION,
		.help = "Capability calls a second in the requests of one user, over all plugins; those of "
			"one second may come at once; 0: any number." },
	{ "MOZAIKS_MAX_ARGUMENT_BYTES", SETTING_BYTES, AT(argument_bytes), "64K", KIB, 512 * KIB,
		.help = "Arguments of one capability call that is not for the database: an event, a message, "
			"a notification, a plugin's settings." },
	{ "MOZAIKS_MAX_EVENT_SUBSCRIPTIONS", SETTING_NUMBER, AT(event_subscriptions), "256", 1, 65536,
		.help = "Names and patterns that one worker may subscribe to." },
	{ "MOZAIKS_MAX_EVENT_DEPTH", SETTING_NUMBER, AT(event_depth), "8", 1, 1000,
		.help = "Events that are published by handlers of events: how long such a chain may be." },
	{ "MOZAIKS_EVENT_QUEUE", SETTING_NUMBER, AT(event_queue), "1000", 1, MILLION,
		.help = "Events on their way to one plugin; the next are dropped and counted." },
	{ "MOZAIKS_EVENT_TIMEOUT_SECONDS", SETTING_SECONDS, AT(event_ms), "30", 10, HOUR_MS,
		.help = "Time for a plugin's handler of an event." },

	{ "MOZAIKS_MAX_WEBSOCKETS", SETTING_NUMBER, AT(websockets), "15000", 1, MILLION,
		.help = "WebSockets at a time, at most nine tenths of the client connections; above it 503." },
	{ "MOZAIKS_MAX_WEBSOCKETS_PER_USER", SETTING_NUMBER, AT(websockets_per_user), "20", 1, MILLION,
		.alias = "WEBSOCKET_MAX_CONNECTIONS_PER_USER",
		.help = "WebSockets of one user; the next is closed with 1013." },
	{ "MOZAIKS_MAX_WEBSOCKET_FRAME_BYTES", SETTING_BYTES, AT(websocket_frame_bytes), "1M", 125,
		64 * MIB, .help = "Size of one frame from a client; above it 1009." },
	{ "MOZAIKS_MAX_WEBSOCKET_MESSAGE_BYTES", SETTING_BYTES, AT(websocket_message_bytes), "1M", 125,
		64 * MIB, .help = "Size of one message from a client, all of its frames; above it 1009." },
	{ "MOZAIKS_MAX_WEBSOCKET_SEND_BYTES", SETTING_BYTES, AT(websocket_send_bytes), "1M", 4 * KIB,
		64 * MIB,
		.help = "What may wait for a client that does not read; above it its WebSocket is closed "
			"with 1013." },
	{ "MOZAIKS_MAX_WEBSOCKET_ANSWER_BYTES", SETTING_BYTES, AT(websocket_answer_bytes), "16M", 4 * KIB,
		1024 * MIB,
		.help = "Likewise for answers to what the client itself has asked for." },
	{ "MOZAIKS_MAX_WEBSOCKET_BUFFER_BYTES", SETTING_BYTES, AT(websocket_buffer_bytes), "256M", MIB,
		65536 * MIB,
		.help = "Messages of all clients that are not complete yet, in bytes; above it 1013." },
	{ "MOZAIKS_WEBSOCKET_MESSAGE_RATE", SETTING_NUMBER, AT(websocket_message_rate), "50", 0, MILLION,
		.help = "Messages a second from one client; those of one second may come at once; above it "
			"1008. 0: any number." },
	{ "MOZAIKS_WEBSOCKET_PING_RATE", SETTING_NUMBER, AT(websocket_ping_rate), "10", 0, MILLION,
		.help = "Pings a second from one client, likewise." },
	{ "MOZAIKS_WEBSOCKET_PING_SECONDS", SETTING_SECONDS, AT(websocket_ping_ms), "30", 10, HOUR_MS,
		.help = "A client that has sent nothing for this long is sent a ping." },
	{ "MOZAIKS_WEBSOCKET_PONG_SECONDS", SETTING_SECONDS, AT(websocket_pong_ms), "20", 10, HOUR_MS,
		.help = "Time for its answer; then its WebSocket is closed with 1011." },
	{ "MOZAIKS_WEBSOCKET_CLOSE_SECONDS", SETTING_SECONDS, AT(websocket_close_ms), "5", 10, HOUR_MS,
		.help = "Time for a client's answer to a close frame; then the connection is cut." },
	{ "MOZAIKS_WEBSOCKET_DRAIN_RATE", SETTING_NUMBER, AT(websocket_drain_rate), "2000", 0, MILLION,
		.help = "WebSockets that are closed in a second when the director stops, so that their clients do "
			"not all come back at once. 0: any number." },
	{ "MOZAIKS_BROADCAST_RATE", SETTING_NUMBER, AT(broadcast_rate), "10", 0, MILLION,
		.help = "Messages a second that one plugin may send to all connected clients; those of one "
			"second may come at once. 0: any number." },

	{ "MOZAIKS_MAX_WAIT_SECONDS", SETTING_SECONDS, AT(wait_ms), "2", 10, HOUR_MS,
		.help = "Time that a call may wait for a busy worker, at most half of its deadline; then 503." },

	{ "MOZAIKS_EAGER_PLUGINS", SETTING_NUMBER, AT(eager_plugins), "64", 0, MILLION,
		.help = "With more plugins than this each starts at its first call." },
	{ "MOZAIKS_MAX_WORKERS_STARTING", SETTING_NUMBER, AT(restart.at_once), "4", 1, 1024,
		.help = "Workers that are started at a time; of one plugin at most half as many." },
	{ "MOZAIKS_RESTART_RATE", SETTING_NUMBER, AT(restart.rate), "20", 1, 1000,
		.help = "Restarts a second after crashes, of all plugins; one plugin gets at most half." },
	{ "MOZAIKS_RESTART_WAIT_SECONDS", SETTING_SECONDS, AT(restart.first_ms), "0.1", 1, HOUR_MS,
		.help = "Wait before the restart after a worker's first crash; it grows with each crash in a "
			"row." },
	{ "MOZAIKS_RESTART_WAIT_MAX_SECONDS", SETTING_SECONDS, AT(restart.max_ms), "60", 1, HOUR_MS,
		.help = "The longest wait before a restart." },
	{ "MOZAIKS_RESTART_HEALTHY_SECONDS", SETTING_SECONDS, AT(restart.healthy_ms), "60", 0, HOUR_MS,
		.help = "A worker that was ready this long, with a call that ended well, ends a row of "
			"crashes." },
	{ "MOZAIKS_BREAKER_BURST", SETTING_NUMBER, AT(breaker.burst), "5", 0, BREAKER_CRASHES_MAX,
		.help = "Crashes of a plugin within MOZAIKS_BREAKER_BURST_SECONDS that make it unavailable "
			"for a while; 0: never. Those of one user count once." },
	{ "MOZAIKS_BREAKER_BURST_SECONDS", SETTING_SECONDS, AT(breaker.burst_ms), "60", 10, HOUR_MS,
		.help = "See MOZAIKS_BREAKER_BURST." },
	{ "MOZAIKS_BREAKER_CRASHES", SETTING_NUMBER, AT(breaker.crashes), "10", 0, BREAKER_CRASHES_MAX,
		.help = "The same over the longer MOZAIKS_BREAKER_SECONDS." },
	{ "MOZAIKS_BREAKER_SECONDS", SETTING_SECONDS, AT(breaker.crashes_ms), "600", 10, 24 * HOUR_MS,
		.help = "See MOZAIKS_BREAKER_CRASHES." },
	{ "MOZAIKS_BREAKER_FAILED_STARTS", SETTING_NUMBER, AT(breaker.init_failures), "3", 0, 1000,
		.help = "Workers in a row that did not get ready, with the same effect; 0: never." },
	{ "MOZAIKS_BREAKER_OPEN_SECONDS", SETTING_SECONDS, AT(breaker.open_ms), "30", 10, HOUR_MS,
		.help = "How long a plugin is unavailable then; the second time within "
			"MOZAIKS_BREAKER_OPENS_SECONDS twice as long, and so on." },
	{ "MOZAIKS_BREAKER_OPEN_MAX_SECONDS", SETTING_SECONDS, AT(breaker.open_max_ms), "900", 10,
		24 * HOUR_MS, .help = "The longest of these times." },
	{ "MOZAIKS_BREAKER_SUCCESSES", SETTING_NUMBER, AT(breaker.successes), "3", 1, 1000,
		.help = "Calls, one at a time, that have to end well before the plugin is fully back." },
	{ "MOZAIKS_BREAKER_OPENS", SETTING_NUMBER, AT(breaker.opens), "10", 0, TALLY_MAX,
		.help = "A plugin that becomes unavailable so often within MOZAIKS_BREAKER_OPENS_SECONDS is "
			"disabled; 0: never." },
	{ "MOZAIKS_BREAKER_OPENS_SECONDS", SETTING_SECONDS, AT(breaker.opens_ms), "86400", 10,
		7 * 24 * HOUR_MS, .help = "See MOZAIKS_BREAKER_OPENS and MOZAIKS_BREAKER_OPEN_SECONDS." },
	{ "MOZAIKS_BREAKER_VIOLATIONS", SETTING_NUMBER, AT(breaker.violations), "3", 0, TALLY_MAX,
		.help = "A plugin whose workers made so many forbidden system calls, or broke the protocol so "
			"often, within MOZAIKS_BREAKER_VIOLATIONS_SECONDS is disabled; 0: never." },
	{ "MOZAIKS_BREAKER_VIOLATIONS_SECONDS", SETTING_SECONDS, AT(breaker.violations_ms), "3600", 10,
		7 * 24 * HOUR_MS, .help = "See MOZAIKS_BREAKER_VIOLATIONS." },
	{ "MOZAIKS_BREAKER_USER_SECONDS", SETTING_SECONDS, AT(breaker.source_ms), "600", 0, 24 * HOUR_MS,
		.help = "Crashes that one user, or the same request, causes within this time count as one." },
	{ "MOZAIKS_IDLE_STOP_SECONDS", SETTING_SECONDS, AT(idle_stop_ms), "0", 0, 24 * HOUR_MS,
		.help = "Workers of a plugin that had no call for this long are stopped; the next call or "
			"event starts one. 0: never, for plugins that work in the background." },
	{ "MOZAIKS_ISOLATED_WORKERS", SETTING_NUMBER, AT(isolated_workers), "16", 1, 4096,
		.help = "Workers of one plugin that are for one user or one call only (isolation in its "
			"manifest); further ones wait." },
	{ "MOZAIKS_ISOLATED_IDLE_SECONDS", SETTING_SECONDS, AT(isolated_idle_ms), "60", 10, 24 * HOUR_MS,
		.help = "How long such a worker is kept without a call." },
	{ "MOZAIKS_WORKER_HELLO_TIMEOUT_SECONDS", SETTING_SECONDS, AT(life.hello_ms), "10", 10, HOUR_MS,
		.help = "Time from a worker's start until it reports from inside its sandbox." },
	{ "MOZAIKS_WORKER_LOAD_TIMEOUT_SECONDS", SETTING_SECONDS, AT(life.load_ms), "30", 10, HOUR_MS,
		.help = "Time for a worker to load its plugin." },
	{ "MOZAIKS_WORKER_DRAIN_TIMEOUT_SECONDS", SETTING_SECONDS, AT(life.drain_ms), "35", 10, HOUR_MS,
		.help = "Time for a worker that was replaced to finish its calls." },
	{ "MOZAIKS_WORKER_FINISH_TIMEOUT_SECONDS", SETTING_SECONDS, AT(life.finish_ms), "5", 10, HOUR_MS,
		.help = "Time for such a worker, and at the end of the director for each, to shut down once its "
			"calls are done; then it is killed." },
	{ "MOZAIKS_WORKER_PING_SECONDS", SETTING_SECONDS, AT(life.ping_ms), "5", 10, HOUR_MS,
		.help = "An idle worker is asked this often whether it lives, and has this long to answer; "
			"it is killed when it misses two answers." },
	{ "MOZAIKS_CANCEL_GRACE_SECONDS", SETTING_SECONDS, AT(life.grace_ms), "1", 10, HOUR_MS,
		.help = "Time for a call to end after it ran over its deadline. After it the worker is killed "
			"when it does not answer at all, and replaced when the call still runs." },
	{ "MOZAIKS_WORKER_LATE_CALLS", SETTING_NUMBER, AT(life.late_calls), "16", 0, MILLION,
		.help = "Calls of a worker that run over their deadlines, with none between them that is "
			"answered in time, after which it is replaced: threads that never return would "
			"block it for good. 0: never." },
	{ "MOZAIKS_MAX_CHANNEL_BYTES", SETTING_BYTES, AT(channel_bytes), "8M", CHANNEL_QUEUE_MIN,
		1024 * MIB,
		.help = "Work and answers that wait until one worker reads them, in bytes; above it requests "
			"get 503, and a worker that does not read its answers is ended." },
	{ "MOZAIKS_WORKER_FRAME_RATE", SETTING_NUMBER, AT(frame_rate), "100000", 100, 100 * MILLION,
		.help = "Frames a second that a worker may send unasked (capability calls, log records); "
			"those of one second may come at once. What is over it waits." },
	{ "MOZAIKS_DRAIN_TIMEOUT_SECONDS", SETTING_SECONDS, AT(drain_ms), "30", 10, HOUR_MS,
		.help = "Time for requests in flight when the director stops." },

	{ "MOZAIKS_IDEMPOTENCY_SECONDS", SETTING_SECONDS, AT(idempotency.ms), "3600", 0, 24 * HOUR_MS,
		.help = "How long the answer to a call with an Idempotency-Key is kept, and repeated for the "
			"same key and body; 0: none is." },
	{ "MOZAIKS_IDEMPOTENCY_BYTES", SETTING_BYTES, AT(idempotency.bytes), "16M", 64 * KIB, 1024 * MIB,
		.help = "Memory for these answers in all; the oldest make room, and one that takes a quarter "
			"of it is not kept." },
	{ "MOZAIKS_IDEMPOTENCY_KEYS", SETTING_NUMBER, AT(idempotency.per_user), "100", 1, MILLION,
		.help = "Keys of one user at one plugin that are kept; the oldest make room." },
	{ "MOZAIKS_QUARANTINE_CRASHES", SETTING_NUMBER, AT(quarantine.crashes), "2", 0, 1000,
		.help = "Crashes that the same request causes, after which it is answered 500 "
			"request_quarantined; 0: never." },
	{ "MOZAIKS_QUARANTINE_WINDOW_SECONDS", SETTING_SECONDS, AT(quarantine.window_ms), "600", 10,
		24 * HOUR_MS,
		.help = "Within this time; also for MOZAIKS_QUARANTINE_USER_CRASHES." },
	{ "MOZAIKS_QUARANTINE_SECONDS", SETTING_SECONDS, AT(quarantine.ms), "600", 10, 24 * HOUR_MS,
		.help = "How long it is quarantined; each time twice as long as before." },
	{ "MOZAIKS_QUARANTINE_MAX_SECONDS", SETTING_SECONDS, AT(quarantine.max_ms), "86400", 10,
		24 * HOUR_MS, .help = "The longest of these times." },
	{ "MOZAIKS_QUARANTINE_USER_CRASHES", SETTING_NUMBER, AT(quarantine.user_crashes), "5", 0, 1000,
		.help = "A user whose requests crash a plugin more often gets one request in "
			"MOZAIKS_QUARANTINE_USER_SECONDS there, else 429; 0: never." },
	{ "MOZAIKS_QUARANTINE_USER_SECONDS", SETTING_SECONDS, AT(quarantine.user_wait_ms), "60", 10,
		HOUR_MS, .help = "See MOZAIKS_QUARANTINE_USER_CRASHES." },

	{ "MOZAIKS_PLUGIN_LOG_RATE", SETTING_BYTES, AT(plugin_log_rate), "64K", KIB, 64 * MIB,
		.help = "Bytes a second that one plugin may log; what is over it is dropped and counted." },
	{ "MOZAIKS_PLUGIN_LOG_BURST", SETTING_BYTES, AT(plugin_log_burst), "256K", 8 * KIB, 256 * MIB,
		.help = "Bytes that one plugin may log at once." },
	{ "MOZAIKS_EXITS_KEPT", SETTING_NUMBER, AT(exits_kept), "20", 1, 1000,
		.help = "Ends of workers that are remembered for each plugin, with their reasons." },
	{ "MOZAIKS_EXIT_LOG_BYTES", SETTING_BYTES, AT(exit_log_bytes), "4K", 0, 64 * KIB,
		.help = "The last of a worker's log that is remembered with its end." },
	{ "MOZAIKS_CONFINE", SETTING_CHOICE, AT(confine), "enforce", .choices = confine_modes,
		.help = "The director confines itself after its start: system calls that it has no use "
			"for end it, other files than its own are out of reach. log: such calls are only "
			"logged by the kernel; off: for debuggers and valgrind." },
	{ "MOZAIKS_ACCESS_LOG", SETTING_SWITCH, AT(access_log), "0",
		.help = "Logs every request." },
	{ "MOZAIKS_LOG_LEVEL", SETTING_CHOICE, AT(log_level_index), "info", .choices = log_levels,
		.help = "The least important records that are written." },
};
/* clang-format on */

enum { N_ROWS = sizeof(table) / sizeof(table[0]) };

const struct setting *settings_rows(size_t *ret_n)
{
	*ret_n = N_ROWS;
	return table;
}

static int refuse(struct buffer *message, const char *name, const char *value, const char *rule)
{
	int r = buffer_printf(message, "%s=", name);
	r = r < 0 ? r : buffer_append_json(message, slice_str(value));
	r = r < 0 ? r : buffer_printf(message, ": %s", rule);
	return r < 0 ? r : SETTINGS_E_INVALID;
}

static int check_host(struct settings *s, struct buffer *message)
{
	struct in6_addr address;
	if (slice_eq_nocase(slice_str(s->host), SLICE("localhost"))) {
		s->host = "127.0.0.1";
	}
	if (inet_pton(AF_INET, s->host, &address) == 1 ||
		inet_pton(AF_INET6, s->host, &address) == 1) {
		return 0;
	}
	return refuse(message, "MOZAIKS_HOST", s->host, "must be an IP address or localhost");
}

/* A URL's origin: what stands before its path. */
static struct slice origin_of(struct slice url)
{
	const uint8_t *host = url.n == 0 ? NULL : memmem(url.p, url.n, "://", 3);
	if (host == NULL) {
		return url;
	}
	size_t before = (size_t)(host - url.p) + 3;
	const uint8_t *path = memchr(host + 3, '/', url.n - before);
	return path == NULL ? url : slice_of(url.p, (size_t)(path - url.p));
}

static int read_site(struct settings *s, struct buffer *message)
{
	struct slice bad;
	if (!site_add_hosts(&s->site, slice_str(s->allowed_hosts), &bad)) {
		return refuse(message, "ALLOWED_HOSTS", s->allowed_hosts,
			"must be at most 64 host names without port, each like example.org or "
			"*.example.org, or *");
	}
	if (s->frontend_url == NULL && s->environment == ENV_DEVELOPMENT) {
		s->frontend_url = "http://localhost:5173";
	}
	if (!site_add_origins(&s->site, origin_of(slice_str(s->frontend_url)), &bad)) {
		return refuse(message, "FRONTEND_URL", s->frontend_url,
			"must be a URL like https://app.example.org, its host in lower case");
	}
	if (!site_add_origins(&s->site, slice_str(s->other_origins), &bad)) {
		return refuse(message, "ADDITIONAL_CORS_ORIGINS", s->other_origins,
			"must be at most 63 origins like https://app.example.org, in lower case, "
			"without a path");
	}
	return 0;
}

static int read_proxies(struct settings *s, struct buffer *message)
{
	struct slice bad;
	s->proxies.header = s->forwarded_header == 0 ? PROXIES_X_FORWARDED : PROXIES_FORWARDED;
	if (!proxies_add(&s->proxies, slice_str(s->trusted_proxies), &bad)) {
		return refuse(message, "MOZAIKS_TRUSTED_PROXIES", s->trusted_proxies,
			"must be at most 64 addresses or networks like 10.0.0.0/8 or 2001:db8::/32, "
			"no bits set behind the prefix");
	}
	return 0;
}

static int check_tls(const struct settings *s, struct buffer *message)
{
	if ((s->tls_certificate == NULL) == (s->tls_key == NULL)) {
		return 0;
	}
	int r = buffer_printf(message, "%s is set and %s is not: TLS needs both",
		s->tls_key == NULL ? "TLS_CERT_FILE" : "TLS_KEY_FILE",
		s->tls_key == NULL ? "TLS_KEY_FILE" : "TLS_CERT_FILE");
	return r < 0 ? r : SETTINGS_E_INVALID;
}

static bool add_pluginhost(struct settings *s, struct slice name)
{
	if (s->n_pluginhosts == SETTINGS_PLUGINHOSTS_MAX ||
		!slice_is_name(name, SETTINGS_PLUGINHOST_NAME_MAX) || name.p[0] == '.') {
		return false;
	}
	for (size_t i = 0; i < s->n_pluginhosts; i++) {
		if (slice_eq(s->pluginhost_names[i], name)) {
			return false;
		}
	}
	s->pluginhost_names[s->n_pluginhosts] = name;
	s->n_pluginhosts++;
	return true;
}

static int split_pluginhosts(struct settings *s, struct buffer *message)
{
	struct slice rest = slice_str(s->pluginhosts);
	for (bool more = true; more;) {
		const uint8_t *comma = rest.n == 0 ? NULL : memchr(rest.p, ',', rest.n);
		size_t n = comma == NULL ? rest.n : (size_t)(comma - rest.p);
		if (!add_pluginhost(s, slice_of(rest.p, n))) {
			return refuse(message, "MOZAIKS_PLUGINHOSTS", s->pluginhosts,
				"must be 1 to 16 different names, separated by commas, each 1 to 32 of "
				"the characters A-Z a-z 0-9 . _ - and not starting with a dot");
		}
		more = comma != NULL;
		rest = slice_skip(rest, more ? n + 1 : n);
	}
	return 0;
}

bool settings_secret_is_strong(const char *secret)
{
	struct slice s = slice_str(secret);
	bool upper = false;
	bool lower = false;
	bool digit = false;
	for (size_t i = 0; i < s.n; i++) {
		upper |= s.p[i] >= 'A' && s.p[i] <= 'Z';
		lower |= s.p[i] >= 'a' && s.p[i] <= 'z';
		digit |= s.p[i] >= '0' && s.p[i] <= '9';
	}
	return s.n >= 32 && upper && lower && digit;
}

static int refuse_text(struct buffer *message, const char *text)
{
	int r = buffer_append(message, slice_str(text));
	return r < 0 ? r : SETTINGS_E_INVALID;
}

/* Which tokens are taken, once all is read. */
static int choose_auth_mode(struct settings *s, struct buffer *message)
{
	static const enum auth_mode modes[] = { AUTH_MODE_LOCAL, AUTH_MODE_EXTERNAL,
		AUTH_MODE_PLATFORM, AUTH_MODE_LOCAL, AUTH_MODE_EXTERNAL };
	bool has_issuer = s->issuer != NULL || s->jwks_url != NULL || s->discovery_url != NULL;
	s->jwt_algorithm = hmac_algorithms[s->jwt_algorithm_index];
	s->auth_mode = (int)modes[s->auth_mode];
	if (!setting_is_set("MOZAIKS_AUTH_MODE") && has_issuer) {
		s->auth_mode = AUTH_MODE_EXTERNAL;
	}
	if (s->auth_mode == AUTH_MODE_LOCAL) {
		return s->token_exchange
			? refuse_text(message,
				  "MOZAIKS_TOKEN_EXCHANGE=1: there is nothing to exchange in local "
				  "mode (MOZAIKS_AUTH_MODE)")
			: 0;
	}
	return has_issuer
		? 0
		: refuse_text(message,
			  "MOZAIKS_AUTH_MODE is external or platform: it needs "
			  "MOZAIKS_ISSUER, MOZAIKS_OIDC_DISCOVERY_URL or MOZAIKS_JWKS_URL");
}

/* What makes an issuer's tokens those for us. */
static int check_issuer(
	const struct settings *s, settings_warn_fn warn, void *arg, struct buffer *message)
{
	static const char no_audience[] =
		"MOZAIKS_AUDIENCE is not set: tokens for any other application of the issuer would "
		"be good here; ENV=production requires it";
	static const char no_issuer[] =
		"MOZAIKS_ISSUER is not set: iss would not be compared; ENV=production requires it, or "
		"MOZAIKS_OIDC_DISCOVERY_URL";
	const struct {
		bool missing;
		const char *text;
	} rules[] = {
		{ s->audience == NULL, no_audience },
		{ s->issuer == NULL && s->discovery_url == NULL, no_issuer },
	};
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].missing && s->environment == ENV_PRODUCTION) {
			return refuse_text(message, rules[i].text);
		}
		if (rules[i].missing) {
			warn(arg, rules[i].text);
		}
	}
	return 0;
}

/* Our own tokens. */
static int check_secret(
	const struct settings *s, settings_warn_fn warn, void *arg, struct buffer *message)
{
	/* HS256, HS384, HS512 */
	static const size_t least[] = { 32, 48, 64 };
	bool strong = settings_secret_is_strong(s->jwt_secret) &&
		slice_str(s->jwt_secret).n >= least[s->jwt_algorithm_index];
	if (s->environment != ENV_PRODUCTION) {
		if (s->jwt_secret != NULL && !strong) {
			warn(arg,
				"JWT_SECRET is weak: production needs at least 32 characters with an "
				"upper and a lower case letter and a digit");
		}
		return 0;
	}
	if (strong) {
		return 0;
	}
	int r = buffer_printf(message,
		"JWT_SECRET is %s: ENV=production requires at least %zu characters with an "
		"upper and a lower case letter and a digit",
		s->jwt_secret == NULL ? "not set" : "weak (not shown)",
		least[s->jwt_algorithm_index]);
	return r < 0 ? r : SETTINGS_E_INVALID;
}

static int check_auth(
	const struct settings *s, settings_warn_fn warn, void *arg, struct buffer *message)
{
	if (s->environment == ENV_PRODUCTION && !setting_is_set("MOZAIKS_APP_ID")) {
		return refuse_text(
			message, "MOZAIKS_APP_ID is not set: ENV=production requires it");
	}
	bool external = s->auth_mode != AUTH_MODE_LOCAL;
	int r = external ? check_issuer(s, warn, arg, message) : 0;
	bool mints = !external || s->token_exchange;
	return r != 0 || !mints ? r : check_secret(s, warn, arg, message);
}

/* Read by pluginhost, by tools and by tests: known, but not ours. */
static bool is_known_elsewhere(struct slice name)
{
	static const char *const names[] = { "MOZAIKS_PLUGINS_PATH", "MOZAIKS_PYTHON_PATH",
		"MOZAIKS_PLUGINHOST_NAME", "MOZAIKS_PLUGIN_REFRESH_SECONDS",
		"MOZAIKS_PLUGIN_SETTLE_MS", "MOZAIKS_PLUGIN_GOOD_SECONDS", "MOZAIKS_PLUGINS_MAX",
		"MOZAIKS_WORKERS_MAX", "MOZAIKS_SPARE_WORKERS", "MOZAIKS_SHARED" };
	static const char *const prefixes[] = { "MOZAIKS_SANDBOX_", "MOZAIKS_SNAPSHOT_",
		"MOZAIKS_PLUGIN_LOG_", "MOZAIKS_TEST_" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (slice_eq(name, slice_str(names[i]))) {
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (slice_starts(name, slice_str(prefixes[i]))) {
			return true;
		}
	}
	return false;
}

/* The row's name, its alias, or for a secret NAME_FILE. */
static bool row_has_name(const struct setting *row, struct slice name)
{
	struct slice own = slice_str(row->name);
	return slice_eq(name, own) ||
		(row->alias != NULL && slice_eq(name, slice_str(row->alias))) ||
		(row->kind == SETTING_SECRET && slice_starts(name, own) &&
			slice_eq(slice_skip(name, own.n), SLICE("_FILE")));
}

static bool is_known(struct slice name)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		if (row_has_name(&table[i], name)) {
			return true;
		}
	}
	return is_known_elsewhere(name);
}

static void warn_of_name(struct slice name, settings_warn_fn warn, void *arg)
{
	const char *similar = settings_similar_name(name);
	struct buffer text;
	buffer_init(&text, 512);
	int r = buffer_append_json(&text, slice_of(name.p, name.n > 64 ? 64 : name.n));
	r = r < 0 ? r : buffer_printf(&text, " in the environment is not a setting");
	r = r < 0 || similar == NULL ? r : buffer_printf(&text, "; did you mean %s?", similar);
	r = r < 0 ? r : buffer_append_byte(&text, '\0');
	if (r == 0) {
		warn(arg, (const char *)text.p);
	}
	buffer_deinit(&text);
}

static void warn_of_unknown(settings_warn_fn warn, void *arg)
{
	for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
		struct slice text = slice_str(*variable);
		const uint8_t *equals = memchr(text.p, '=', text.n);
		struct slice name =
			slice_of(text.p, equals == NULL ? text.n : (size_t)(equals - text.p));
		if (slice_starts(name, SLICE("MOZAIKS_")) && !is_known(name)) {
			warn_of_name(name, warn, arg);
		}
	}
}

static void warn_of_two_names(const struct setting *row, settings_warn_fn warn, void *arg)
{
	char text[128];
	if (row->alias == NULL || !setting_is_set(row->name) || !setting_is_set(row->alias) ||
		slice_eq(slice_str(getenv(row->name)), slice_str(getenv(row->alias)))) {
		return;
	}
	(void)snprintf(text, sizeof(text), "%s and %s differ; %s is used", row->name, row->alias,
		row->name);
	warn(arg, text);
}

static int read_rows(struct settings *s, settings_warn_fn warn, void *arg, struct buffer *message)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		warn_of_two_names(&table[i], warn, arg);
		int r = table[i].kind == SETTING_SECRET ? secret_take(&table[i], s, message)
							: settings_read(&table[i], 1, s, message);
		if (r != 0) {
			return r;
		}
	}
	return 0;
}

int settings_load(struct settings *ret, settings_warn_fn warn, void *arg, struct buffer *message)
{
	static const enum log_level levels[] = { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
	struct settings s = { 0 };
	warn_of_unknown(warn, arg);
	int r = read_rows(&s, warn, arg, message);
	r = r != 0 ? r : check_host(&s, message);
	r = r != 0 ? r : read_site(&s, message);
	r = r != 0 ? r : read_proxies(&s, message);
	r = r != 0 ? r : check_tls(&s, message);
	r = r != 0 ? r : split_pluginhosts(&s, message);
	r = r != 0 ? r : choose_auth_mode(&s, message);
	r = r != 0 ? r : check_auth(&s, warn, arg, message);
	if (r != 0) {
		settings_wipe_secrets(&s);
		return r;
	}
	s.log_level = levels[s.log_level_index];
	*ret = s;
	return 0;
}

void settings_wipe_secrets(struct settings *s)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		if (table[i].kind == SETTING_SECRET) {
			secret_wipe(&table[i], s);
		}
	}
}
