#include "director/confine/confine.h"

#include "director/confine/name_services.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>

/*
 * What libraries read, wherever the director runs: names and addresses, time zones, certificates,
 * modules that are loaded late. Everything may be missing. Not /etc as a whole: it has secrets of
 * others. Directories under /run stand for files that are replaced while we run.
 */
static const struct landlock_rule system_rules[] = {
	{ "/etc/resolv.conf", LANDLOCK_FILE, true },
	{ "/etc/hosts", LANDLOCK_FILE, true },
	{ "/etc/nsswitch.conf", LANDLOCK_FILE, true },
	{ "/etc/host.conf", LANDLOCK_FILE, true },
	{ "/etc/gai.conf", LANDLOCK_FILE, true },
	{ "/etc/services", LANDLOCK_FILE, true },
	{ "/etc/protocols", LANDLOCK_FILE, true },
	{ "/run/systemd/resolve", LANDLOCK_READ, true },
	{ "/run/resolvconf", LANDLOCK_READ, true },
	{ "/run/NetworkManager", LANDLOCK_READ, true },
	{ "/etc/localtime", LANDLOCK_FILE, true },
	{ "/usr/share/zoneinfo", LANDLOCK_READ, true },
	{ "/etc/os-release", LANDLOCK_FILE, true },
	{ "/etc/ssl/certs", LANDLOCK_READ, true },
	{ "/etc/ssl/openssl.cnf", LANDLOCK_FILE, true },
	{ "/usr/share/ca-certificates", LANDLOCK_READ, true },
	{ "/usr/local/share/ca-certificates", LANDLOCK_READ, true },
	{ "/etc/ld.so.cache", LANDLOCK_FILE, true },
	{ "/usr/lib", LANDLOCK_READ, true },
	{ "/lib", LANDLOCK_READ, true },
	{ "/lib64", LANDLOCK_READ, true },
	{ "/dev/null", LANDLOCK_WRITE, true },
	{ "/dev/urandom", LANDLOCK_FILE, true },
	/* How many processors, how much memory. */
	{ "/sys/devices/system/cpu", LANDLOCK_READ, true },
	{ "/proc/cpuinfo", LANDLOCK_FILE, true },
	{ "/proc/meminfo", LANDLOCK_FILE, true },
	{ "/proc/stat", LANDLOCK_FILE, true },
};

enum { SYSTEM_RULES = sizeof(system_rules) / sizeof(system_rules[0]) };

enum confine_mode confine_mode_of(int setting)
{
	return MOZAIKS_SANITIZED ? CONFINE_OFF : (enum confine_mode)setting;
}

int confine_paths_add(
	struct confine_paths *paths, const char *path, enum landlock_access access, bool optional)
{
	if (paths->n == CONFINE_PATHS_MAX) {
		return -ENOBUFS;
	}
	int n = snprintf(paths->texts[paths->n], CONFINE_PATH_BYTES, "%s", path);
	if (n < 0 || n >= CONFINE_PATH_BYTES) {
		return -ENAMETOOLONG;
	}
	paths->rules[paths->n] = (struct landlock_rule){ paths->texts[paths->n], access, optional };
	paths->n++;
	return 0;
}

/* A layer that cannot be had because somebody above us forbids it must not pass for a kernel
 * without it. */
static int forbidden(int error, const char *what, const char *calls, char *why)
{
	(void)snprintf(why, CONFINE_WHY_SIZE,
		"%s: %s; whoever starts the director must allow %s (or MOZAIKS_CONFINE=off)", what,
		strerrordesc_np(-error), calls);
	return error;
}

int confine_files(const struct confine_paths *own, int *ret_abi, char why[static CONFINE_WHY_SIZE])
{
	struct landlock_rule rules[SYSTEM_RULES + CONFINE_PATHS_MAX];
	const char *path;
	int abi = landlock_abi();
	*ret_abi = abi < 0 ? 0 : abi;
	if (abi == 0) {
		return CONFINE_E_MISSING;
	}
	if (abi < 0) {
		return forbidden(abi, "Landlock cannot be asked for",
			"landlock_create_ruleset, landlock_add_rule and landlock_restrict_self",
			why);
	}
	memcpy(rules, system_rules, sizeof(system_rules));
	memcpy(rules + SYSTEM_RULES, own->rules, own->n * sizeof(own->rules[0]));
	int r = landlock_restrict(abi, rules, SYSTEM_RULES + own->n, LANDLOCK_CONNECTS, &path);
	if (r < 0) {
		(void)snprintf(why, CONFINE_WHY_SIZE, "Landlock: %.300s: %s",
			path == NULL ? "restrict_self" : path, strerrordesc_np(-r));
	}
	return r;
}

int confine_calls(
	enum confine_mode mode, unsigned *ret_instructions, char why[static CONFINE_WHY_SIZE])
{
	struct filter_policy policy = confine_policy;
	struct filter_program program;
	if (mode == CONFINE_LOG) {
		policy.default_action = SECCOMP_RET_LOG;
	}
	/* Afterwards nothing can be mapped executable. */
	name_services_load();
	int r = filter_build(&policy, CONFINE_COLUMN, &program);
	if (r < 0) {
		(void)snprintf(why, CONFINE_WHY_SIZE, "the system call filter cannot be built: %s",
			strerrordesc_np(-r));
		return r;
	}
	*ret_instructions = program.n;
	r = filter_load(&program);
	filter_program_free(&program);
	/* A kernel without filters does not know the call, or not this operation of it. */
	if (r == -ENOSYS || r == -EINVAL) {
		return CONFINE_E_MISSING;
	}
	return r < 0 ? forbidden(r, "the system call filter cannot be loaded", "seccomp", why) : 0;
}
