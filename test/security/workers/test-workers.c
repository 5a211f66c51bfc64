/*
 * What pluginhost is told about workers: every reason of an end, the death of a zygote and of
 * pluginhost, limits that were asked for, reports; and that nothing leaks.
 *
 *   test-workers root|caps|plain     harness.h says what the modes are
 */
#include "common/base/clock.h"
#include "pluginhost/runtime/runtime.h"
#include "test/security/workers/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };

/* ---- Ends and reports ---- */

static unsigned attack_named(const char *name)
{
	for (unsigned i = 0; attack_at(i) != NULL; i++) {
		if (strcmp(attack_at(i)->name, name) == 0) {
			return i;
		}
	}
	give_up("no attack %s", name);
}

static void reasons(struct zygote *z, enum worker_flavour flavour)
{
	struct subject s;
	struct attack_outcome o;
	/* By itself: the probe runtime ends with 7 when the channel closes. */
	if (subject_start_and_await(z, &s, flavour)) {
		subject_close(&s);
		subject_await(z, &s, ZYGOTE_WORKER_EXITED);
		check(s.end.reason == WORKER_ENDED_EXIT && s.end.status == 7, "exit: %u %d",
			s.end.reason, s.end.status);
	}
	if (subject_start_and_await(z, &s, flavour)) {
		check(zygote_kill_worker(z, s.id) == 0, "kill");
		subject_await(z, &s, ZYGOTE_WORKER_EXITED);
		check(s.end.reason == WORKER_ENDED_KILLED && s.end.signal == SIGKILL, "killed: %u",
			s.end.reason);
		subject_close(&s);
	}
	if (subject_start_and_await(z, &s, flavour)) {
		(void)subject_attack(&s, attack_named("mount"), false, &o);
		(void)shutdown(s.channel, SHUT_RDWR);
		subject_await(z, &s, ZYGOTE_WORKER_EXITED);
		check(s.end.reason == WORKER_ENDED_SIGNAL && s.end.signal == SIGSYS,
			"signal: %u %d", s.end.reason, s.end.signal);
		subject_close(&s);
	}
	if (harness_host.cgroup.kind != CGROUP_NONE && subject_start_and_await(z, &s, flavour)) {
		(void)subject_attack(&s, attack_named("memory bomb in a cgroup"), false, &o);
		(void)shutdown(s.channel, SHUT_RDWR);
		subject_await(z, &s, ZYGOTE_WORKER_EXITED);
		check(s.end.reason == WORKER_ENDED_OOM && s.end.usage.oom_kills > 0, "oom: %u",
			s.end.reason);
		subject_close(&s);
	}
	/* A version that does not exist: the sandbox cannot be built. */
	if (check(subject_start(z, &s, "v2", harness_profile(flavour), NULL) == 0, "start v2")) {
		subject_await(z, &s, ZYGOTE_WORKER_EXITED);
		check(s.end.reason == WORKER_ENDED_SANDBOX && s.end.status == WORKER_EXIT_SANDBOX &&
				strstr(s.end.message,
					"mounts: mount /snapshots/attacker/v2: No such") != NULL,
			"sandbox: %u %s", s.end.reason, s.end.message);
		char text[256] = "";
		check(read(s.out, text, sizeof(text) - 1) > 0 &&
				strncmp(text, "sandbox: mounts", 15) == 0,
			"the log has: %s", text);
		subject_close(&s);
	}
	check(zygote_kill_worker(z, 999999) == -ESRCH, "kill an unknown worker");
	check(zygote_workers(z) == 0, "%u workers are left", zygote_workers(z));
}

static void bad_requests(struct zygote *z)
{
	static const struct {
		const char *plugin;
		const char *version;
		enum worker_profile profile;
	} bad[] = {
		{ "../etc", "v1", PROFILE_PYTHON },
		{ "a/b", "v1", PROFILE_PYTHON },
		{ ".hidden", "v1", PROFILE_PYTHON },
		{ "", "v1", PROFILE_PYTHON },
		{ "attacker", "..", PROFILE_PYTHON },
		{ "attacker", "", PROFILE_PYTHON },
		{ "attacker", "v1", PROFILE_NATIVE },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct worker_start start = { .worker_id = 900000 + i,
			.plugin = bad[i].plugin,
			.version = bad[i].version,
			.profile = bad[i].profile };
		check(zygote_start_worker(z, &start) == -EINVAL, "bad request %zu was taken", i);
	}
}

/* Limits that are asked for are the ones that hold. */
static void asked_limits(struct zygote *z)
{
	struct subject s;
	struct attack_outcome o;
	const struct worker_limits limits = {
		.open_files = 20, .tmp_bytes = 2 << 20, .tmp_files = 50, .memory_bytes = 64 << 20
	};
	if (!check(subject_start(z, &s, "v1", PROFILE_NATIVE, &limits) == 0, "start") ||
		!subject_await(z, &s, ZYGOTE_WORKER_STARTED)) {
		return;
	}
	check(subject_attack(&s, attack_named("descriptor bomb, native"), false, &o) &&
			o.result == 16,
		"descriptors: %ld", o.result);
	check(subject_attack(&s, attack_named("environment"), false, &o) && o.result == 0,
		"it goes on");
	subject_close(&s);
	subject_await(z, &s, ZYGOTE_WORKER_EXITED);
	check(subject_start(z, &s, "v1", PROFILE_NATIVE, &limits) == 0 &&
			subject_await(z, &s, ZYGOTE_WORKER_STARTED) &&
			subject_attack(&s, attack_named("fill inodes"), false, &o) &&
			o.result <= 50,
		"inodes: %ld", o.result);
	subject_close(&s);
	subject_await(z, &s, ZYGOTE_WORKER_EXITED);
}

/* Each of its limits, as the kernel tells them from outside: no more than its profile says. */
static void limits_of(pid_t pid, const struct worker_limits *l)
{
	const struct {
		const char *name;
		uint64_t most;
	} rows[] = {
		{ "Max address space", SANITIZED ? UINT64_MAX : l->address_space_bytes },
		{ "Max open files", l->open_files },
		{ "Max processes",
			harness_host.uids == SANDBOX_UIDS_BLOCK ? l->threads : UINT64_MAX },
		{ "Max file size", l->file_size_bytes },
		{ "Max stack size", 8 << 20 },
		{ "Max pending signals", 64 },
		{ "Max core file size", 0 },
		{ "Max locked memory", 0 },
		{ "Max msgqueue size", 0 },
		{ "Max nice priority", 0 },
		{ "Max realtime priority", 0 },
	};
	char path[64];
	char text[4096] = "";
	(void)snprintf(path, sizeof(path), "/proc/%d/limits", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, "%s: %s", path, strerror(errno));
	(void)close(fd);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned long long soft = 0;
		unsigned long long hard = 0;
		const char *line = strstr(text, rows[i].name);
		bool limited = line != NULL &&
			sscanf(line + strlen(rows[i].name), "%llu %llu", &soft, &hard) == 2;
		check(rows[i].most == UINT64_MAX ||
				(limited && soft <= rows[i].most && hard <= rows[i].most),
			"%.80s, not %llu", line == NULL ? rows[i].name : line,
			(unsigned long long)rows[i].most);
	}
}

/* Nobody in the worker's namespace of ids makes another one, whatever seccomp says. */
static void nested_namespaces(void)
{
	int status = -1;
	pid_t child = fork();
	if (child == 0) {
		if (setns(harness_host.user_ns, CLONE_NEWUSER) < 0) {
			_exit(2);
		}
		_exit(unshare(CLONE_NEWUSER) == 0 ? 1 : errno == ENOSPC ? 0 : 3);
	}
	check(waitpid(child, &status, 0) == child && (status == 0 || harness_host.nested_user_ns),
		"a namespace in the namespace: %d", status);
}

static bool is_path(const struct mntent *m, const char *path)
{
	return strcmp(m->mnt_dir, path) == 0;
}

/* Its tree, likewise: nothing can be written but /tmp, and what is empty by rights runs nothing. */
static void mounts_of(pid_t pid)
{
	char path[64];
	unsigned seen = 0;
	const struct mntent *m;
	(void)snprintf(path, sizeof(path), "/proc/%d/mounts", pid);
	FILE *f = setmntent(path, "re");
	if (!check(f != NULL, "%s: %s", path, strerror(errno))) {
		return;
	}
	while ((m = getmntent(f)) != NULL) {
		bool device = strncmp(m->mnt_dir, "/dev/", 5) == 0;
		bool tmp = is_path(m, "/tmp");
		bool ours = is_path(m, "/") || is_path(m, RUNTIME_PLUGINS_DIR);
		seen += ours;
		check(hasmntopt(m, "nosuid") != NULL && (tmp || hasmntopt(m, "ro") != NULL) &&
				(device || hasmntopt(m, "nodev") != NULL) &&
				(!(tmp || ours) || hasmntopt(m, "noexec") != NULL),
			"mount of %s: %s", m->mnt_dir, m->mnt_opts);
		check(!is_path(m, "/old") && !is_path(m, "/snapshots"), "%s", m->mnt_dir);
	}
	(void)endmntent(f);
	check(seen == 2, "%u of / and %s", seen, RUNTIME_PLUGINS_DIR);
}

static void reports(struct zygote *z, enum worker_flavour flavour, int tier)
{
	struct subject s;
	struct subject t;
	if (!subject_start_and_await(z, &s, flavour) || !subject_start_and_await(z, &t, flavour)) {
		return;
	}
	char wanted[64];
	(void)snprintf(wanted, sizeof(wanted), "{\"tier\":%d,\"profile\":\"%s\",\"uid\":", tier,
		flavour == WORKER_PYTHON ? "python" : "native");
	check(strncmp(s.report, wanted, strlen(wanted)) == 0, "report: %s", s.report);
	/* What the kernel says from outside. */
	char path[64];
	char text[4096] = "";
	(void)snprintf(path, sizeof(path), "/proc/%d/status", s.end.pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, "%s: %s", path, strerror(errno));
	(void)close(fd);
	check(strstr(text, "\nSeccomp:\t2\n") != NULL &&
			strstr(text, "\nNoNewPrivs:\t1\n") != NULL &&
			strstr(text, "\nCapEff:\t0000000000000000\n") != NULL &&
			strstr(text, "\nCapBnd:\t0000000000000000\n") != NULL,
		"status: %s", text);
	mounts_of(s.end.pid);
	limits_of(s.end.pid, &sandbox_profile(harness_profile(flavour))->limits);
	/* Two workers at once have two uids, if they have any of their own. */
	char *uid = strstr(s.report, "\"uid\":");
	char *other = strstr(t.report, "\"uid\":");
	check(uid != NULL && other != NULL &&
			(strncmp(uid, other, 12) != 0) == (harness_host.uids == SANDBOX_UIDS_BLOCK),
		"uids: %.12s and %.12s", uid, other);
	subject_close(&s);
	subject_close(&t);
	struct zygote_event e;
	check(harness_wait_event(z, &e) && harness_wait_event(z, &e), "two ends");
}

/* Its death is its workers' death, and all is told. */
static void zygote_death(enum worker_flavour flavour)
{
	struct zygote *z = harness_zygote(flavour);
	struct subject s[3];
	for (int i = 0; i < 3; i++) {
		subject_start_and_await(z, &s[i], flavour);
	}
	zygote_stop(z);
	struct zygote_event e;
	for (int i = 0; i < 3; i++) {
		check(harness_wait_event(z, &e) && e.type == ZYGOTE_WORKER_EXITED &&
				e.reason == WORKER_ENDED_KILLED,
			"event %u", e.type);
	}
	check(harness_wait_event(z, &e) && e.type == ZYGOTE_ENDED && e.signal == SIGKILL,
		"event %u", e.type);
	for (int i = 0; i < 3; i++) {
		char c;
		check(recv(s[i].channel, &c, 1, 0) == 0, "a worker still holds its channel");
		subject_close(&s[i]);
	}
	const struct worker_start start = { .worker_id = 800000,
		.plugin = "attacker",
		.version = "v1",
		.profile = harness_profile(flavour) };
	check(zygote_start_worker(z, &start) == -EPIPE, "a start after the end");
	zygote_free(z);
}

/* A pluginhost that is killed takes its zygote and workers with it. */
static void pluginhost_death(void)
{
	int channel[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0) {
		give_up("socketpair");
	}
	pid_t child = fork();
	if (child == 0) {
		struct zygote *z = harness_zygote(WORKER_PYTHON);
		const struct worker_start start = { .worker_id = 700000,
			.plugin = "attacker",
			.version = "v1",
			.channel_fd = channel[1],
			.stdout_fd = STDERR_FILENO,
			.stderr_fd = STDERR_FILENO };
		struct zygote_event e;
		(void)close(channel[0]);
		if (zygote_start_worker(z, &start) < 0 || !harness_wait_event(z, &e) ||
			e.type != ZYGOTE_WORKER_STARTED) {
			_exit(1);
		}
		(void)close(channel[1]);
		(void)raise(SIGKILL);
	}
	(void)close(channel[1]);
	int status = 0;
	check(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "status %x",
		(unsigned)status);
	struct pollfd p = { .fd = channel[0], .events = POLLIN };
	char c;
	check(poll(&p, 1, PATIENCE_MS) == 1 && recv(channel[0], &c, 1, 0) == 0,
		"the worker lives on");
	(void)close(channel[0]);
}

/* Starts that follow each other closely, more than the block has slots in flight: every slot, pid and
 * descriptor comes back. */
static void nothing_leaks(struct zygote *z, enum worker_flavour flavour)
{
	unsigned fds = harness_open_fds();
	for (int round = 0; round < 5; round++) {
		struct subject s[8];
		for (int i = 0; i < 8; i++) {
			check(subject_start(z, &s[i], "v1", harness_profile(flavour), NULL) == 0,
				"start");
		}
		for (int i = 0; i < 8; i++) {
			subject_close(&s[i]);
		}
		struct zygote_event e;
		for (int i = 0; i < 16; i++) {
			check(harness_wait_event(z, &e) &&
					(e.type == ZYGOTE_WORKER_STARTED ||
						(e.type == ZYGOTE_WORKER_EXITED && e.status == 7)),
				"event %u: %s", e.type, e.message);
		}
	}
	check(harness_open_fds() == fds, "%u descriptors instead of %u", harness_open_fds(), fds);
	for (size_t i = 0; i < sizeof(harness_host.used); i++) {
		check(harness_host.used[i] == 0, "slots are still taken");
	}
}

static int compare_times(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* For information; no time is asserted. */
static void measure(struct zygote *z, enum worker_flavour flavour)
{
	enum { ROUNDS = 60 };
	double ms[ROUNDS];
	for (int i = 0; i < ROUNDS; i++) {
		struct subject s;
		uint64_t start = clock_ns();
		if (!subject_start_and_await(z, &s, flavour)) {
			return;
		}
		ms[i] = (double)(clock_ns() - start) / 1e6;
		subject_close(&s);
		subject_await(z, &s, ZYGOTE_WORKER_EXITED);
	}
	qsort(ms, ROUNDS, sizeof(ms[0]), compare_times);
	(void)printf("start of a %s worker: p50 %.2f ms, p99 %.2f ms\n",
		flavour == WORKER_PYTHON ? "python" : "native", ms[ROUNDS / 2], ms[ROUNDS - 1]);
}

/* ---- The run ---- */

static void all_of(enum worker_flavour flavour, int tier)
{
	struct zygote *z = harness_zygote(flavour);
	reports(z, flavour, tier);
	reasons(z, flavour);
	if (flavour == WORKER_PYTHON) {
		bad_requests(z);
	} else {
		asked_limits(z);
	}
	nothing_leaks(z, flavour);
	measure(z, flavour);
	zygote_free(z);
	zygote_death(flavour);
}

int main(int argc, char **argv)
{
	int role = harness_role(argc, argv);
	if (role >= 0) {
		return role;
	}
	const char *mode = argc > 1 ? argv[1] : "plain";
	if (!harness_open(argv, mode)) {
		return SKIPPED;
	}
	check((harness_host.uids == SANDBOX_UIDS_BLOCK) == (strcmp(mode, "plain") != 0), "uids");
	int tier = sandbox_host_tier(&harness_host);
	nested_namespaces();
	all_of(WORKER_PYTHON, tier);
	all_of(WORKER_NATIVE, tier);
	pluginhost_death();
	return harness_close();
}
