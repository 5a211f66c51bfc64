/* The settings, where secrets come from and that they are gone afterwards, and the secret file. */
#include "common/base/test-folder.h"
#include "director/config/jwt_secret.h"
#include "director/config/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#include "common/proto/frame.h"
#include "director/config/file.h"

#define STRONG       "Abcdefghijklmnopqrstuvwxyz012345"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The whole environment of a case. */
static struct settings loaded;
static char message[1024];
static char warnings[2048];
static char folder[TEST_FOLDER_BYTES];

static void note(void *arg, const char *text)
{
	assert_ptr_equal(arg, warnings);
	size_t before = strlen(warnings);
	size_t n = strlen(text);
	assert_true(before + n + 2 <= sizeof(warnings));
	memcpy(warnings + before, text, n);
	memcpy(warnings + before + n, "\n", 2);
}

static int load_now(void)
{
	struct buffer b;
	buffer_init(&b, sizeof(message) - 1);
	settings_wipe_secrets(&loaded);
	loaded = (struct settings){ 0 };
	warnings[0] = '\0';
	int r = settings_load(&loaded, note, warnings, &b);
	(void)snprintf(message, sizeof(message), "%.*s", (int)b.n, b.p == NULL ? "" : (char *)b.p);
	buffer_deinit(&b);
	return r;
}

/* NAME, value, …, NULL */
static int load(const char *first, ...)
{
	va_list args;
	assert_int_equal(clearenv(), 0);
	va_start(args, first);
	for (const char *name = first; name != NULL; name = va_arg(args, const char *)) {
		assert_int_equal(setenv(name, va_arg(args, const char *), 1), 0);
	}
	va_end(args);
	return load_now();
}

static const char *path_of(const char *name)
{
	static char path[256];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, const char *content, size_t n, int mode)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static int make_folder(void **state)
{
	return test_folder_make(folder, "test-config");
}

static int remove_folder(void **state)
{
	settings_wipe_secrets(&loaded);
	return test_folder_remove(folder);
}

static void defaults_are_the_documented_ones(void **state)
{
	assert_int_equal(load(NULL), 0);
	assert_string_equal(warnings, "");
	assert_int_equal(loaded.port, 8080);
	assert_string_equal(loaded.host, "127.0.0.1");
	assert_string_equal(loaded.app_id, "dev_app");
	assert_int_equal(loaded.environment, ENV_DEVELOPMENT);
	assert_null(loaded.jwt_secret);
	assert_null(loaded.database_uri);
	assert_null(loaded.state_path);
	assert_null(loaded.run_path);
	assert_string_equal(loaded.configs_path, "configs");
	assert_int_equal(loaded.n_pluginhosts, 1);
	assert_true(slice_eq(loaded.pluginhost_names[0], SLICE("default")));
	assert_int_equal(loaded.body_bytes, 1000000);
	assert_int_equal(loaded.response_bytes, 1000000);
	assert_int_equal(loaded.head_bytes, 16384);
	assert_int_equal(loaded.inflight_per_user, 32);
	assert_int_equal(loaded.inflight_per_plugin, 256);
	assert_int_equal(loaded.inflight, 4096);
	assert_int_equal(loaded.plugin_ms, 30000);
	assert_int_equal(loaded.document_bytes, 262144);
	assert_int_equal(loaded.filter_bytes, 65536);
	assert_int_equal(loaded.result_bytes, 16 << 20);
	assert_int_equal(loaded.in_values, 1000);
	assert_int_equal(loaded.skip, 10000);
	assert_int_equal(loaded.regex_bytes, 1000);
	assert_false(loaded.monetization);
	assert_false(loaded.access_log);
	assert_false(loaded.auto_refresh_plugins);
	assert_string_equal(loaded.app_tier, "free");
	assert_string_equal(loaded.superadmin_role, "superadmin");
	assert_int_equal(loaded.log_level, LOG_INFO);
}

static void good_values_arrive(void **state)
{
	assert_int_equal(load("PORT", "0", "MOZAIKS_HOST", "::1", "MOZAIKS_APP_ID", "shop.1",
				 "MOZAIKS_PLUGINHOSTS", "a,b-2,c", "MOZAIKS_LOG_LEVEL", "DEBUG",
				 "PLUGIN_EXEC_TIMEOUT_S", "2.5", "MONETIZATION", "1",
				 "MAX_REQUEST_BODY_BYTES", "1030144", "MOZAIKS_MAX_RESPONSE_BYTES",
				 "1048575", NULL),
		0);
	assert_int_equal(loaded.port, 0);
	assert_string_equal(loaded.host, "::1");
	assert_string_equal(loaded.app_id, "shop.1");
	assert_int_equal(loaded.n_pluginhosts, 3);
	assert_true(slice_eq(loaded.pluginhost_names[1], SLICE("b-2")));
	assert_true(slice_eq(loaded.pluginhost_names[2], SLICE("c")));
	assert_int_equal(loaded.log_level, LOG_DEBUG);
	assert_int_equal(loaded.plugin_ms, 2500);
	assert_true(loaded.monetization);
	assert_int_equal(loaded.body_bytes, SETTINGS_BODY_BYTES_MAX);
	assert_int_equal(loaded.response_bytes, FRAME_PAYLOAD_MAX - 1);
	assert_int_equal(load("MOZAIKS_HOST", "LocalHost", NULL), 0);
	assert_string_equal(loaded.host, "127.0.0.1");
}

static void bad_values_stop_the_start(void **state)
{
	static const char *const cases[][3] = {
		{ "PORT", "65536", "PORT=\"65536\": must be a whole number from 0 to 65535" },
		{ "PORT", "http", "PORT=\"http\": must be a whole number from 0 to 65535" },
		{ "PORT", "-1", "PORT=\"-1\": must be a whole number from 0 to 65535" },
		{ "MOZAIKS_HOST", "example.org",
			"MOZAIKS_HOST=\"example.org\": must be an IP address or localhost" },
		{ "MOZAIKS_HOST", "256.0.0.1",
			"MOZAIKS_HOST=\"256.0.0.1\": must be an IP address or localhost" },
		{ "MOZAIKS_APP_ID", "a/b",
			"MOZAIKS_APP_ID=\"a/b\": must be 1 to 64 of the characters A-Z a-z 0-9 . _ -" },
		{ "ENV", "staging", "ENV=\"staging\": must be one of development, production" },
		{ "MOZAIKS_AUTH_MODE", "external",
			"MOZAIKS_AUTH_MODE is external or platform: it needs MOZAIKS_ISSUER, "
			"MOZAIKS_OIDC_DISCOVERY_URL or MOZAIKS_JWKS_URL" },
		{ "MOZAIKS_PLUGIN_TIMEOUT_SECONDS", "0",
			"MOZAIKS_PLUGIN_TIMEOUT_SECONDS=\"0\": must be a number of seconds from 0.01 to "
			"3600, up to 3 decimals" },
		{ "PLUGIN_EXEC_TIMEOUT_S", "soon",
			"PLUGIN_EXEC_TIMEOUT_S=\"soon\": must be a number of seconds from 0.01 to "
			"3600, up to 3 decimals" },
		{ "MAX_REQUEST_BODY_BYTES", "1030145",
			"MAX_REQUEST_BODY_BYTES=\"1030145\": must be a number of bytes from 1 to 1030144 "
			"(K, M and G mean KiB, MiB and GiB)" },
		{ "MOZAIKS_MAX_INFLIGHT", "1e3",
			"MOZAIKS_MAX_INFLIGHT=\"1e3\": must be a whole number from 1 to 1000000" },
		{ "MONETIZATION", "maybe",
			"MONETIZATION=\"maybe\": must be 1 or 0 (true/false, yes/no, on/off)" },
		{ "MOZAIKS_LOG_LEVEL", "loud",
			"MOZAIKS_LOG_LEVEL=\"loud\": must be one of error, warning, info, debug" },
		{ "APP_NAME", "a\nb",
			"APP_NAME=\"a\\nb\": must be UTF-8 text of 1 to 128 bytes without control bytes" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(load(cases[i][0], cases[i][1], NULL), SETTINGS_E_INVALID);
		assert_string_equal(message, cases[i][2]);
	}
	static const char *const hosts[] = { "a,", ",a", "a,,b", "a,a", "a b", ".", "..", "a/b",
		"123456789012345678901234567890123", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q" };
	for (size_t i = 0; i < COUNT(hosts); i++) {
		assert_int_equal(load("MOZAIKS_PLUGINHOSTS", hosts[i], NULL), SETTINGS_E_INVALID);
		assert_non_null(strstr(message, "MOZAIKS_PLUGINHOSTS=\""));
		assert_non_null(strstr(message, "must be 1 to 16 different names"));
	}
}

static void production_is_strict(void **state)
{
	assert_int_equal(load("ENV", "production", "JWT_SECRET", STRONG, NULL), SETTINGS_E_INVALID);
	assert_string_equal(message, "MOZAIKS_APP_ID is not set: ENV=production requires it");
	assert_int_equal(
		load("ENV", "production", "MOZAIKS_APP_ID", "shop", NULL), SETTINGS_E_INVALID);
	assert_non_null(
		strstr(message, "JWT_SECRET is not set: ENV=production requires at least 32"));
	static const char *const weak[] = { "Abcdefghijklmnopqrstuvwxyz01234",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", "abcdefghijklmnopqrstuvwxyz012345",
		"Abcdefghijklmnopqrstuvwxyzabcdef" };
	for (size_t i = 0; i < COUNT(weak); i++) {
		assert_int_equal(load("ENV", "production", "MOZAIKS_APP_ID", "shop", "JWT_SECRET",
					 weak[i], NULL),
			SETTINGS_E_INVALID);
		assert_non_null(strstr(message, "JWT_SECRET is weak (not shown): ENV=production"));
		assert_null(strstr(message, weak[i]));
		/* The same is a warning in development. */
		assert_int_equal(load("JWT_SECRET", weak[i], NULL), 0);
		assert_memory_equal(warnings, "JWT_SECRET is weak", 18);
		assert_null(strstr(warnings, weak[i]));
	}
	assert_int_equal(
		load("ENV", "production", "MOZAIKS_APP_ID", "shop", "JWT_SECRET", STRONG, NULL), 0);
	assert_string_equal(warnings, "");
	assert_int_equal(loaded.environment, ENV_PRODUCTION);
}

static void secrets_leave_the_environment(void **state)
{
	assert_int_equal(clearenv(), 0);
	/* putenv() keeps our own string, so that what happens to it can be seen. */
	static char jwt[] = "JWT_SECRET=" STRONG;
	static char uri[] = "MONGODB_URI=mongodb://u:hunter2@h/";
	assert_int_equal(putenv(jwt), 0);
	assert_int_equal(putenv(uri), 0);
	assert_int_equal(load_now(), 0);
	assert_string_equal(loaded.jwt_secret, STRONG);
	assert_string_equal(loaded.database_uri, "mongodb://u:hunter2@h/");
	assert_null(getenv("JWT_SECRET"));
	assert_null(getenv("MONGODB_URI"));
	for (size_t i = strlen("JWT_SECRET="); i < sizeof(jwt); i++) {
		assert_int_equal(jwt[i], 0);
	}
	for (size_t i = strlen("MONGODB_URI="); i < sizeof(uri); i++) {
		assert_int_equal(uri[i], 0);
	}
	settings_wipe_secrets(&loaded);
	assert_null(loaded.jwt_secret);
	assert_null(loaded.database_uri);
}

/* Refused values are wiped and not shown either. */
static void refused_secrets_are_not_shown(void **state)
{
	static char jwt[] = "JWT_SECRET=hunter2\n";
	assert_int_equal(clearenv(), 0);
	assert_int_equal(putenv(jwt), 0);
	assert_int_equal(load_now(), SETTINGS_E_INVALID);
	assert_string_equal(message,
		"JWT_SECRET=(not shown): must be UTF-8 text of 1 to 4096 bytes without control bytes");
	assert_null(loaded.jwt_secret);
	assert_int_equal(jwt[strlen("JWT_SECRET=")], 0);
}

static void secrets_come_from_files(void **state)
{
	write_file("one", STRONG, strlen(STRONG), 0600);
	write_file("two", STRONG "\n", strlen(STRONG) + 1, 0600);
	write_file("three", STRONG "\r\n", strlen(STRONG) + 2, 0600);
	static const char *const good[] = { "one", "two", "three" };
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(load("JWT_SECRET_FILE", path_of(good[i]), NULL), 0);
		assert_string_equal(loaded.jwt_secret, STRONG);
	}
	assert_string_equal(warnings, "");
	/* An empty variable is an unset one. */
	assert_int_equal(load("JWT_SECRET", "", "JWT_SECRET_FILE", path_of("one"), NULL), 0);
	assert_string_equal(loaded.jwt_secret, STRONG);
	assert_int_equal(load("JWT_SECRET", STRONG, "JWT_SECRET_FILE", path_of("one"), NULL),
		SETTINGS_E_INVALID);
	assert_non_null(strstr(message, "JWT_SECRET_FILE="));
	assert_non_null(strstr(message, "give one of the two"));
	assert_int_equal(load("JWT_SECRET_FILE", "/nowhere/x", NULL), SETTINGS_E_INVALID);
	assert_string_equal(message,
		"JWT_SECRET_FILE=\"/nowhere/x\": the file cannot be read: No such file or directory");
	assert_int_equal(load("DATABASE_URI_FILE", folder, NULL), SETTINGS_E_INVALID);
	assert_non_null(strstr(message, "DATABASE_URI_FILE="));
	assert_non_null(strstr(message, "Is a directory"));
	static char big[5000];
	memset(big, 'x', sizeof(big));
	write_file("big", big, sizeof(big), 0600);
	assert_int_equal(load("JWT_SECRET_FILE", path_of("big"), NULL), SETTINGS_E_INVALID);
	assert_non_null(strstr(message, "longer than the secret may be"));
	write_file("nul", "abc\0def", 7, 0600);
	assert_int_equal(load("JWT_SECRET_FILE", path_of("nul"), NULL), SETTINGS_E_INVALID);
	assert_non_null(strstr(message, "NUL"));
	write_file("empty", "\n", 1, 0600);
	assert_int_equal(load("JWT_SECRET_FILE", path_of("empty"), NULL), SETTINGS_E_INVALID);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_int_equal(load("JWT_SECRET_FILE", path_of("fifo"), NULL), SETTINGS_E_INVALID);
}

static void secrets_come_from_credentials(void **state)
{
	write_file("jwt_secret", STRONG "\n", strlen(STRONG) + 1, 0400);
	assert_int_equal(load("CREDENTIALS_DIRECTORY", folder, NULL), 0);
	assert_string_equal(loaded.jwt_secret, STRONG);
	assert_null(loaded.database_uri);
	/* The environment is nearer. */
	assert_int_equal(load("CREDENTIALS_DIRECTORY", folder, "JWT_SECRET", "x" STRONG, NULL), 0);
	assert_string_equal(loaded.jwt_secret, "x" STRONG);
	assert_int_equal(unlink(path_of("jwt_secret")), 0);
	assert_int_equal(load("CREDENTIALS_DIRECTORY", folder, NULL), 0);
	assert_null(loaded.jwt_secret);
}

static void unknown_names_are_pointed_out(void **state)
{
	static const char *const cases[][2] = {
		{ "MOZAIKS_APPID", "MOZAIKS_APP_ID" },
		{ "MOZAIKS_APPS_ID", "MOZAIKS_APP_ID" },
		{ "MOZAIKS_PORT", "PORT" },
		{ "MOZAIKS_JWT_SECRET", "JWT_SECRET" },
		{ "MOZAIKS_PLUGIN_TIMEOUT", "MOZAIKS_PLUGIN_TIMEOUT_SECONDS" },
		{ "MOZAIKS_MAX_INFLIGHT_PER_USERS", "MOZAIKS_MAX_INFLIGHT_PER_USER" },
		{ "MOZAIKS_LOGLEVEL", "MOZAIKS_LOG_LEVEL" },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char expected[256];
		(void)snprintf(expected, sizeof(expected),
			"\"%s\" in the environment is not a setting; did you mean %s?\n",
			cases[i][0], cases[i][1]);
		assert_int_equal(load(cases[i][0], "1", NULL), 0);
		assert_string_equal(warnings, expected);
	}
	assert_int_equal(load("MOZAIKS_QQQQQQQQQ", "1", NULL), 0);
	assert_string_equal(
		warnings, "\"MOZAIKS_QQQQQQQQQ\" in the environment is not a setting\n");
	/* Ours by another name, pluginhost's, other programs'. */
	assert_int_equal(load("MOZAIKS_PLUGINS_PATH", "p", "MOZAIKS_SANDBOX_MEMORY", "1",
				 "MOZAIKS_SHARED", "s", "HOME", "/", "PROT", "1", NULL),
		0);
	assert_string_equal(warnings, "");
	assert_int_equal(load("DATABASE_URI", "a", "MONGODB_URI", "b", NULL), 0);
	assert_string_equal(
		warnings, "DATABASE_URI and MONGODB_URI differ; DATABASE_URI is used\n");
	assert_string_equal(loaded.database_uri, "a");
}

/* Each row has what the help needs, and a name of its own. */
static void rows_are_complete(void **state)
{
	size_t n;
	const struct setting *rows = settings_rows(&n);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(rows[i].help);
		assert_int_equal(rows[i].help[strlen(rows[i].help) - 1], '.');
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(rows[i].name, rows[j].name);
			assert_true(rows[i].offset != rows[j].offset);
		}
	}
	struct buffer b;
	buffer_init(&b, 65536);
	assert_int_equal(settings_describe(SETTINGS_HELP, &b), 0);
	assert_int_equal(buffer_append_byte(&b, '\0'), 0);
	for (size_t i = 0; i < n; i++) {
		char head[128];
		(void)snprintf(head, sizeof(head), "  %s (", rows[i].name);
		assert_non_null(strstr((char *)b.p, head));
	}
	for (char *line = strtok((char *)b.p, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		assert_true(strlen(line) <= 84);
	}
	buffer_deinit(&b);
}

static int open_folder(void)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void a_secret_is_made_once(void **state)
{
	char why[JWT_SECRET_WHY_SIZE] = "";
	char *first = NULL;
	char *second = NULL;
	struct stat st;
	int fd = open_folder();
	mode_t old = umask(0);
	assert_int_equal(jwt_secret_keep(fd, folder, &first, why), 0);
	(void)umask(old);
	assert_int_equal(strlen(first), 43);
	assert_int_equal(stat(path_of("jwt_secret"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 44);
	assert_false(file_exists(path_of(".jwt_secret.new")));
	assert_int_equal(jwt_secret_keep(fd, folder, &second, why), 0);
	assert_string_equal(first, second);
	free(second);
	/* A crash between the two writes left a half one; another is made, and it is another. */
	assert_int_equal(unlink(path_of("jwt_secret")), 0);
	write_file(".jwt_secret.new", "half", 4, 0644);
	assert_int_equal(jwt_secret_keep(fd, folder, &second, why), 0);
	assert_string_not_equal(first, second);
	assert_int_equal(stat(path_of("jwt_secret"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	free(first);
	free(second);
	(void)close(fd);
	assert_int_equal(unlink(path_of("jwt_secret")), 0);
}

static void a_doubtful_secret_file_is_refused(void **state)
{
	char why[JWT_SECRET_WHY_SIZE];
	char *secret = NULL;
	int fd = open_folder();
	static const char text[] = "0123456789012345678901234567890123456789012";
	static const mode_t modes[] = { 0640, 0604, 0666, 0620, 0601 };
	for (size_t i = 0; i < COUNT(modes); i++) {
		write_file("jwt_secret", text, 43, modes[i]);
		assert_int_equal(jwt_secret_keep(fd, folder, &secret, why), -EPERM);
		assert_non_null(strstr(why, path_of("jwt_secret")));
		assert_non_null(strstr(why, "mode 0600"));
		assert_non_null(strstr(why, "chmod 600"));
	}
	assert_int_equal(linkat(fd, "jwt_secret", fd, "again", 0), 0);
	assert_int_equal(chmod(path_of("again"), 0600), 0);
	assert_int_equal(jwt_secret_keep(fd, folder, &secret, why), -EPERM);
	assert_int_equal(unlink(path_of("jwt_secret")), 0);
	assert_int_equal(symlinkat("again", fd, "jwt_secret"), 0);
	assert_int_equal(jwt_secret_keep(fd, folder, &secret, why), -EPERM);
	assert_int_equal(unlink(path_of("jwt_secret")), 0);
	assert_int_equal(mkdirat(fd, "jwt_secret", 0700), 0);
	assert_int_equal(jwt_secret_keep(fd, folder, &secret, why), -EPERM);
	assert_int_equal(rmdir(path_of("jwt_secret")), 0);
	if (geteuid() == 0) {
		write_file("jwt_secret", text, 43, 0600);
		assert_int_equal(chown(path_of("jwt_secret"), 12345, 12345), 0);
		assert_int_equal(jwt_secret_keep(fd, folder, &secret, why), -EPERM);
		assert_non_null(strstr(why, "uid 12345"));
		assert_int_equal(unlink(path_of("jwt_secret")), 0);
	}
	static const char *const contents[] = { "", "\n", "too-short",
		"012345678901234567890123456789012345678901",
		"0123456789012345678901234567890123456789 12",
		"01234567890123456789012345678901234567890=\n" };
	for (size_t i = 0; i < COUNT(contents); i++) {
		write_file("jwt_secret", contents[i], strlen(contents[i]), 0600);
		assert_int_equal(jwt_secret_keep(fd, folder, &secret, why), -EBADMSG);
		assert_non_null(strstr(why, "remove it"));
	}
	assert_null(secret);
	(void)close(fd);
	assert_int_equal(unlink(path_of("jwt_secret")), 0);
}

static void files_are_replaced_whole(void **state)
{
	int fd = open_folder();
	struct buffer b;
	struct stat st;
	buffer_init(&b, 64);
	assert_int_equal(file_replace(fd, "f", 0640, SLICE("old")), 0);
	/* The mode is the caller's, not the umask's. */
	mode_t old = umask(0077);
	assert_int_equal(file_replace(fd, "f", 0644, SLICE("newer")), 0);
	(void)umask(old);
	assert_int_equal(file_read(fd, "f", &b), 0);
	assert_true(slice_eq(buffer_slice(&b), SLICE("newer")));
	assert_int_equal(stat(path_of("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	/* The old one stays when the new one cannot be put in its place, and nothing is left behind. */
	assert_int_equal(mkdirat(fd, "d", 0700), 0);
	assert_int_equal(mkdirat(fd, "d/x", 0700), 0);
	assert_int_equal(file_replace(fd, "d", 0600, SLICE("x")), -EISDIR);
	assert_false(file_exists(path_of(".d.new")));
	assert_true(file_exists(path_of("d/x")));
	/* A symbolic link in the temporary's place is not followed. */
	assert_int_equal(symlinkat("f", fd, ".g.new"), 0);
	assert_int_equal(file_replace(fd, "g", 0600, SLICE("g")), 0);
	buffer_clear(&b);
	assert_int_equal(file_read(fd, "f", &b), 0);
	assert_true(slice_eq(buffer_slice(&b), SLICE("newer")));
	buffer_deinit(&b);
	buffer_init(&b, 4);
	assert_int_equal(file_read(fd, "f", &b), -ENOBUFS);
	buffer_deinit(&b);
	(void)close(fd);
}

static void auth_modes_are_chosen(void **state)
{
	static const struct {
		const char *mode; /* NULL: unset */
		const char *name;
		const char *value;
		int result; /* enum auth_mode; -1: refused */
	} cases[] = {
		{ NULL, "APP_NAME", "x", AUTH_MODE_LOCAL },
		{ NULL, "MOZAIKS_ISSUER", "https://id.example.org", AUTH_MODE_EXTERNAL },
		{ NULL, "MOZAIKS_PLATFORM_JWKS_URL", "https://id.example.org", AUTH_MODE_EXTERNAL },
		{ NULL, "MOZAIKS_OIDC_DISCOVERY_URL", "https://id.example.org",
			AUTH_MODE_EXTERNAL },
		{ "local", "MOZAIKS_ISSUER", "https://id.example.org", AUTH_MODE_LOCAL },
		{ "jwt", "APP_NAME", "x", AUTH_MODE_LOCAL },
		{ "oidc", "MOZAIKS_ISSUER", "https://id.example.org", AUTH_MODE_EXTERNAL },
		{ "platform", "MOZAIKS_ISSUER", "https://id.example.org", AUTH_MODE_PLATFORM },
		{ "platform", "APP_NAME", "x", -1 },
		{ NULL, "MOZAIKS_TOKEN_EXCHANGE", "1", -1 },
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		int r = cases[i].mode == NULL ? load(cases[i].name, cases[i].value, NULL)
					      : load("MOZAIKS_AUTH_MODE", cases[i].mode,
							cases[i].name, cases[i].value, NULL);
		if (cases[i].result < 0 ? r != SETTINGS_E_INVALID
					: r != 0 || loaded.auth_mode != cases[i].result) {
			fail_msg("%zu: %d, mode %d", i, r, loaded.auth_mode);
		}
	}
}

/* In production an issuer's token must be for us, and a secret is needed only for our own. */
static void an_issuer_is_checked(void **state)
{
	static const char url[] = "https://id.example.org";
	assert_int_equal(load("ENV", "production", "MOZAIKS_APP_ID", "shop", "MOZAIKS_ISSUER", url,
				 "MOZAIKS_AUDIENCE", "core", NULL),
		0);
	assert_string_equal(warnings, "");
	assert_int_equal(
		load("ENV", "production", "MOZAIKS_APP_ID", "shop", "MOZAIKS_ISSUER", url, NULL),
		SETTINGS_E_INVALID);
	assert_memory_equal(message, "MOZAIKS_AUDIENCE is not set", 27);
	assert_int_equal(load("ENV", "production", "MOZAIKS_APP_ID", "shop", "MOZAIKS_JWKS_URL",
				 url, "MOZAIKS_AUDIENCE", "core", NULL),
		SETTINGS_E_INVALID);
	assert_memory_equal(message, "MOZAIKS_ISSUER is not set", 25);
	assert_int_equal(load("ENV", "production", "MOZAIKS_APP_ID", "shop", "MOZAIKS_ISSUER", url,
				 "MOZAIKS_AUDIENCE", "core", "MOZAIKS_TOKEN_EXCHANGE", "1", NULL),
		SETTINGS_E_INVALID);
	assert_memory_equal(message, "JWT_SECRET is not set", 21);
	/* The same are warnings in development. */
	assert_int_equal(load("MOZAIKS_JWKS_URL", url, NULL), 0);
	assert_non_null(strstr(warnings, "MOZAIKS_AUDIENCE"));
	assert_non_null(strstr(warnings, "MOZAIKS_ISSUER"));
	/* A longer digest needs a longer secret. */
	assert_int_equal(
		load("ENV", "production", "MOZAIKS_APP_ID", "shop", "JWT_SECRET",
			"Abcdefghijklmnopqrstuvwxyz0123456789", "JWT_ALGORITHM", "HS512", NULL),
		SETTINGS_E_INVALID);
	assert_non_null(strstr(message, "at least 64 characters"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_the_documented_ones),
		cmocka_unit_test(good_values_arrive),
		cmocka_unit_test(bad_values_stop_the_start),
		cmocka_unit_test(production_is_strict),
		cmocka_unit_test(auth_modes_are_chosen),
		cmocka_unit_test(an_issuer_is_checked),
		cmocka_unit_test(secrets_leave_the_environment),
		cmocka_unit_test(refused_secrets_are_not_shown),
		cmocka_unit_test(secrets_come_from_files),
		cmocka_unit_test(secrets_come_from_credentials),
		cmocka_unit_test(unknown_names_are_pointed_out),
		cmocka_unit_test(rows_are_complete),
		cmocka_unit_test(a_secret_is_made_once),
		cmocka_unit_test(a_doubtful_secret_file_is_refused),
		cmocka_unit_test(files_are_replaced_whole),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
