#include "director/confine/start.h"

#include "common/base/log.h"
#include "director/confine/confine.h"
#include "director/store/store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of confine_begin(), for the record of confine_finish(). */
static int landlock_version;

static int refuse(const char *why)
{
	log_event(LOG_ERROR, "confine.failed", "%s", why);
	return -1;
}

static int refuse_path(const char *path, int error)
{
	char why[CONFINE_WHY_SIZE];
	(void)snprintf(why, sizeof(why), "%.300s cannot be allowed: %s", path,
		error == -ENOBUFS ? "too many paths" : strerrordesc_np(-error));
	return refuse(why);
}

static int add_store_file(void *arg, const char *path, bool directory)
{
	/* What is missing is the store's to complain of. */
	return confine_paths_add(arg, path, directory ? LANDLOCK_SOCKETS : LANDLOCK_FILE, true);
}

/* The directory of a path, and of the file that it leads to: whoever renews a certificate replaces files,
 * or links to them, and a rule for a file would end with it. What cannot be reached is not allowed. */
static int add_directories(struct confine_paths *paths, const char *path)
{
	char *real = realpath(path, NULL);
	const char *of[] = { path, real };
	int r = 0;
	for (int i = 0; i < 2 && r == 0; i++) {
		char directory[PATH_MAX];
		int n = of[i] == NULL ? -1 : snprintf(directory, sizeof(directory), "%s", of[i]);
		char *slash =
			n < 0 || (size_t)n >= sizeof(directory) ? NULL : strrchr(directory, '/');
		if (slash == NULL && n >= 0) {
			(void)snprintf(directory, sizeof(directory), ".");
		} else if (slash != NULL) {
			slash[slash == directory ? 1 : 0] = '\0';
		}
		r = n < 0 ? 0 : confine_paths_add(paths, directory, LANDLOCK_READ, true);
	}
	free(real);
	return r;
}

static int add_certificates(struct confine_paths *paths, const struct settings *settings)
{
	if (settings->tls_certificate == NULL) {
		return 0;
	}
	int r = add_directories(paths, settings->tls_certificate);
	return r < 0 ? r : add_directories(paths, settings->tls_key);
}

static int add_paths(
	struct confine_paths *paths, const struct settings *settings, const struct state_dir *state)
{
	const char *configs = settings->configs_path;
	int r = confine_paths_add(paths, state->path, LANDLOCK_SOCKETS, false);
	if (r < 0) {
		return refuse_path(state->path, r);
	}
	r = confine_paths_add(paths, state->run_path, LANDLOCK_SOCKETS, false);
	if (r < 0) {
		return refuse_path(state->run_path, r);
	}
	/* The registry is written there when it can be. */
	r = configs == NULL ? 0 : confine_paths_add(paths, configs, LANDLOCK_ALL, true);
	if (r < 0) {
		return refuse_path(configs, r);
	}
	r = add_certificates(paths, settings);
	if (r < 0) {
		return refuse_path("TLS_CERT_FILE", r);
	}
	const char *ca = settings->issuer_ca_file;
	r = ca == NULL ? 0 : confine_paths_add(paths, ca, LANDLOCK_FILE, true);
	if (r < 0) {
		return refuse_path(ca, r);
	}
	r = store_files(settings->database_uri, add_store_file, paths);
	return r < 0 ? refuse_path("DATABASE_URI", r) : 0;
}

int confine_begin(const struct settings *settings, const struct state_dir *state)
{
	char why[CONFINE_WHY_SIZE];
	if (setenv("SQLITE_TMPDIR", state->path, 1) < 0) {
		return refuse("no memory");
	}
	if (confine_mode_of(settings->confine) == CONFINE_OFF) {
		return 0;
	}
	struct confine_paths *paths = calloc(1, sizeof(*paths));
	if (paths == NULL) {
		return refuse("no memory");
	}
	int r = add_paths(paths, settings, state);
	if (r == 0) {
		r = confine_files(paths, &landlock_version, why);
		r = r < 0 ? refuse(why) : 0;
	}
	free(paths);
	return r;
}

static void tell(enum confine_mode mode, unsigned instructions)
{
	char version[16];
	char length[16];
	(void)snprintf(version, sizeof(version), "%d", landlock_version);
	(void)snprintf(length, sizeof(length), "%u", instructions);
	bool whole = mode == CONFINE_ENFORCE && landlock_version > 0 && instructions > 0;
	const struct log_field fields[] = {
		{ "landlock", slice_str(version) },
		{ "seccomp_instructions", slice_str(length) },
		{ "seccomp",
			slice_str(instructions == 0           ? "none"
					: mode == CONFINE_LOG ? "log"
							      : "kill") },
	};
	if (whole) {
		log_fields(LOG_INFO, "confine.on", fields, 3, "the director has confined itself");
		return;
	}
	log_fields(LOG_WARNING, "confine.partial", fields, 3,
		"the director is not confined as it could be: %s%s%s",
		mode == CONFINE_LOG ? "MOZAIKS_CONFINE=log; " : "",
		landlock_version == 0 ? "this kernel has no Landlock; " : "",
		instructions == 0 ? "this kernel has no system call filters" : "");
}

int confine_finish(const struct settings *settings)
{
	char why[CONFINE_WHY_SIZE];
	unsigned instructions = 0;
	enum confine_mode mode = confine_mode_of(settings->confine);
	if (mode == CONFINE_OFF) {
		log_event(LOG_WARNING, "confine.off", "the director is not confined: %s",
			settings->confine == CONFINE_OFF ? "MOZAIKS_CONFINE=off"
							 : "it is built with sanitizers");
		return 0;
	}
	int r = confine_calls(mode, &instructions, why);
	if (r < 0) {
		return refuse(why);
	}
	tell(mode, r == CONFINE_E_MISSING ? 0 : instructions);
	return 0;
}
