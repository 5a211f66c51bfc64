/*
 * Real zygotes and workers with built-in attack code (probes.c) instead of a plugin: one attack per
 * fresh worker, from the first thread and from another one, in both flavours. And what pluginhost
 * must be told about every end.
 *
 * This program is its own zygote and worker (role_main()), with runtimes that read a command from
 * the channel.
 *
 *   test-workers root    started by root, gives it up: a uid per worker
 *   test-workers caps    an ordinary user with CAP_SETUID and CAP_SETGID: a uid per worker
 *   test-workers plain   an ordinary user: one uid for all (tier 2)
 */
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/identity.h"
#include "common/base/map.h"
#include "pluginhost/zygote.h"
#include "test/security/workers/probes.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CGROUP_NAME "test-workers"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

enum { SKIPPED = 77, PLAIN_UID = 65000, PATIENCE_MS = 20000 };

/* ---- Inside a worker ---- */

struct command {
	unsigned probe;
	bool in_thread;
	uint8_t canary[PROBE_CANARY_SIZE];
};

struct outcome {
	long result;
	int error;
};

static struct outcome attempt(const struct probe *p)
{
	errno = 0;
	struct outcome o = { .result = p->run() };
	o.error = o.result == -1 ? errno : 0;
	return o;
}

static void *attempt_in_thread(void *arg)
{
	struct outcome *o = arg;
	*o = attempt(&probes[o->error]);
	return NULL;
}

static _Noreturn void probe_run(const struct worker_context *ctx)
{
	struct command c;
	struct outcome o = { 0 };
	while (recv(WORKER_FD_CHANNEL, &c, sizeof(c), MSG_WAITALL) == sizeof(c)) {
		memcpy(probe_canary, c.canary, sizeof(c.canary));
		if (c.in_thread) {
			pthread_t thread;
			o.error = (int)c.probe;
			if (pthread_create(&thread, NULL, attempt_in_thread, &o) != 0) {
				_exit(WORKER_EXIT_RUNTIME);
			}
			(void)pthread_join(thread, NULL);
		} else {
			o = attempt(&probes[c.probe]);
		}
		if (send(WORKER_FD_CHANNEL, &o, sizeof(o), MSG_NOSIGNAL) != sizeof(o)) {
			break;
		}
	}
	_exit(7);
}

static _Noreturn void probe_run_native(const struct worker_context *ctx)
{
	worker_seal(ctx);
	probe_run(ctx);
}

static const struct runtime runtime_probe = { .name = "probe", .run = probe_run };
static const struct runtime runtime_probe_native = { .name = "probe", .run = probe_run_native };
static const struct runtime *const runtimes[] = {
	[WORKER_PYTHON] = &runtime_probe,
	[WORKER_NATIVE] = &runtime_probe_native,
};

/* ---- Checking ---- */

static unsigned failures;
static unsigned checks;

static bool __attribute__((format(printf, 2, 3))) check(bool ok, const char *format, ...)
{
	checks++;
	if (!ok) {
		va_list args;
		va_start(args, format);
		(void)fputs("FAILED: ", stdout);
		(void)vprintf(format, args);
		(void)puts("");
		va_end(args);
		failures++;
	}
	return ok;
}

static _Noreturn void __attribute__((format(printf, 1, 2))) give_up(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)fputs("cannot go on: ", stdout);
	(void)vprintf(format, args);
	(void)puts("");
	va_end(args);
	exit(1);
}

/* ---- Pluginhost's side ---- */

static struct sandbox_host host;
static char base[] = "/tmp/mozaiks-workers-XXXXXX";
static char snapshots[64];
static int program_fd;
static int python_fd;
static uint64_t next_id = 1;
static uint8_t canary[PROBE_CANARY_SIZE];

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) < 0) {
		give_up("%s: %s", path, strerror(errno));
	}
}

static void make_plugin(const char *name)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", snapshots, name);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/%s/v1", snapshots, name);
	(void)mkdir(path, 0755);
	(void)snprintf(path, sizeof(path), "%s/%s/v1/logic.py", snapshots, name);
	write_file(path, "print('hello')\n", 0644);
	(void)snprintf(path, sizeof(path), "%s/%s/v1/program", snapshots, name);
	write_file(path, "#!/bin/sh\n", 0755);
	(void)snprintf(path, sizeof(path), "%s/%s/v1/link", snapshots, name);
	if (symlink("/", path) < 0) {
		give_up("%s: %s", path, strerror(errno));
	}
}

static void make_snapshots(void)
{
	if (mkdtemp(base) == NULL || chmod(base, 0755) < 0) {
		give_up("mkdtemp: %s", strerror(errno));
	}
	(void)snprintf(snapshots, sizeof(snapshots), "%s/plugins", base);
	(void)mkdir(snapshots, 0700);
	make_plugin("probe");
	make_plugin("other");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static struct zygote *start_zygote(enum worker_flavour flavour)
{
	const struct zygote_config config = {
		.host = &host,
		.flavour = flavour,
		.program_fd = program_fd,
		.python_fd = python_fd,
		.snapshots_path = snapshots,
		.log_fd = STDERR_FILENO,
	};
	struct zygote *z;
	int e = zygote_start(&config, &z);
	if (e < 0) {
		give_up("zygote_start: %s", strerror(-e));
	}
	return z;
}

/* Waits for the next event. */
static bool wait_event(struct zygote *z, struct zygote_event *ret)
{
	for (uint64_t end = clock_ms() + PATIENCE_MS; clock_ms() < end;) {
		int r = zygote_next_event(z, ret);
		if (r != 0) {
			return r == 1;
		}
		struct pollfd p = { .fd = zygote_fd(z), .events = POLLIN };
		(void)poll(&p, 1, 100);
	}
	return false;
}

static void expect_ready(struct zygote *z)
{
	struct zygote_event e;
	if (!wait_event(z, &e) || e.type != ZYGOTE_READY) {
		give_up("the zygote is not ready: %s", e.message);
	}
}

/* A worker with the other end of its channel. */
struct subject {
	uint64_t id;
	int channel;
	int out;
	char report[1024];
	struct zygote_event end;
};

static int start_worker(struct zygote *z,
	struct subject *s,
	const char *version,
	enum worker_profile profile,
	const struct worker_limits *limits)
{
	int channel[2];
	int out[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0 ||
		pipe2(out, O_CLOEXEC) < 0) {
		give_up("socketpair: %s", strerror(errno));
	}
	*s = (struct subject){ .id = next_id++, .channel = channel[0], .out = out[0] };
	const struct worker_start start = {
		.worker_id = s->id,
		.plugin = "probe",
		.version = version,
		.profile = profile,
		.limits = limits != NULL ? *limits : (struct worker_limits){ 0 },
		.channel_fd = channel[1],
		.stdout_fd = out[1],
		.stderr_fd = out[1],
	};
	int e = zygote_start_worker(z, &start);
	(void)close(channel[1]);
	(void)close(out[1]);
	return e;
}

static void close_subject(struct subject *s)
{
	(void)close(s->channel);
	(void)close(s->out);
}

static bool await(struct zygote *z, struct subject *s, enum zygote_event_type type)
{
	struct zygote_event e;
	if (!wait_event(z, &e)) {
		return check(false, "no event");
	}
	if (e.type == ZYGOTE_WORKER_STARTED) {
		size_t n = e.report.n < sizeof(s->report) ? e.report.n : sizeof(s->report) - 1;
		memcpy(s->report, e.report.p, n);
	}
	s->end = e;
	return check(e.type == type && e.worker_id == s->id, "event %u instead of %u (%s)", e.type,
		type, e.message);
}

static enum worker_profile profile_of(enum worker_flavour flavour)
{
	return flavour == WORKER_PYTHON ? PROFILE_PYTHON : PROFILE_NATIVE;
}

static bool start_and_await(struct zygote *z, struct subject *s, enum worker_flavour flavour)
{
	int e = start_worker(z, s, "v1", profile_of(flavour), NULL);
	return check(e == 0, "start: %s", strerror(-e)) && await(z, s, ZYGOTE_WORKER_STARTED);
}

static bool ask(struct subject *s, unsigned probe, bool in_thread, struct outcome *ret)
{
	struct command c = { .probe = probe, .in_thread = in_thread };
	memcpy(c.canary, canary, sizeof(canary));
	return send(s->channel, &c, sizeof(c), MSG_NOSIGNAL) == sizeof(c) &&
		recv(s->channel, ret, sizeof(*ret), MSG_WAITALL) == sizeof(*ret);
}

static unsigned probe_named(const char *name)
{
	for (unsigned i = 0; i < n_probes; i++) {
		if (strcmp(probes[i].name, name) == 0) {
			return i;
		}
	}
	give_up("no probe %s", name);
}

/* ---- The attacks ---- */

static bool answer_is(const struct probe *p, bool answered, const struct outcome *o, int signal)
{
	switch (p->answer) {
	case ANSWER_ERRNO:
		return answered && o->result == -1 &&
			(o->error == p->value || (p->other != 0 && o->error == p->other));
	case ANSWER_SIGNAL:
		return !answered && signal == p->value;
	case ANSWER_RESULT:
		return answered && o->result == p->value;
	case ANSWER_RANGE:
		return answered && o->result >= p->value && o->result <= p->other;
	}
	return false;
}

static void attack(struct zygote *z, enum worker_flavour flavour, unsigned i, bool in_thread)
{
	const struct probe *p = &probes[i];
	struct subject s;
	struct outcome o = { 0 };
	if (!start_and_await(z, &s, flavour)) {
		return;
	}
	bool answered = ask(&s, i, in_thread, &o);
	close_subject(&s);
	if (!await(z, &s, ZYGOTE_WORKER_EXITED)) {
		return;
	}
	check(answer_is(p, answered, &o, s.end.signal), "%s (%s%s): %s, result %ld, %s, signal %d",
		p->name, flavour == WORKER_PYTHON ? "python" : "native",
		in_thread ? ", in a thread" : "", answered ? "answered" : "no answer", o.result,
		strerror(o.error), s.end.signal);
}

static bool applies(const struct probe *p, enum worker_flavour flavour)
{
	return (p->where & (flavour == WORKER_PYTHON ? IN_PYTHON : IN_NATIVE)) != 0 &&
		((p->where & UNSANITIZED) == 0 || !SANITIZED) &&
		((p->where & OWN_UID) == 0 || host.uids == SANDBOX_UIDS_BLOCK) &&
		((p->where & CGROUP) == 0 || host.cgroup.kind != CGROUP_NONE);
}

static void attacks(struct zygote *z, enum worker_flavour flavour)
{
	unsigned n = 0;
	for (unsigned i = 0; i < n_probes; i++) {
		if (applies(&probes[i], flavour)) {
			attack(z, flavour, i, false);
			n++;
		}
	}
	/* A second thread needs room of its own: bombs count it, and the stack is another one. */
	for (unsigned i = 0; i < n_probes; i++) {
		if (applies(&probes[i], flavour) && probes[i].answer != ANSWER_RANGE) {
			attack(z, flavour, i, true);
			n++;
		}
	}
	(void)printf(
		"%u attacks on %s workers\n", n, flavour == WORKER_PYTHON ? "python" : "native");
}

/* ---- Ends and reports ---- */

static unsigned open_fds(void)
{
	unsigned n = 0;
	for (int fd = 0; fd < 1024; fd++) {
		n += fcntl(fd, F_GETFD) >= 0;
	}
	return n;
}

static void reasons(struct zygote *z, enum worker_flavour flavour)
{
	struct subject s;
	struct outcome o;
	/* By itself: the probe runtime ends with 7 when the channel closes. */
	if (start_and_await(z, &s, flavour)) {
		close_subject(&s);
		await(z, &s, ZYGOTE_WORKER_EXITED);
		check(s.end.reason == WORKER_ENDED_EXIT && s.end.status == 7, "exit: %u %d",
			s.end.reason, s.end.status);
	}
	if (start_and_await(z, &s, flavour)) {
		check(zygote_kill_worker(z, s.id) == 0, "kill");
		await(z, &s, ZYGOTE_WORKER_EXITED);
		check(s.end.reason == WORKER_ENDED_KILLED && s.end.signal == SIGKILL, "killed: %u",
			s.end.reason);
		close_subject(&s);
	}
	if (start_and_await(z, &s, flavour)) {
		(void)ask(&s, probe_named("mount"), false, &o);
		(void)shutdown(s.channel, SHUT_RDWR);
		await(z, &s, ZYGOTE_WORKER_EXITED);
		check(s.end.reason == WORKER_ENDED_SIGNAL && s.end.signal == SIGSYS,
			"signal: %u %d", s.end.reason, s.end.signal);
		close_subject(&s);
	}
	if (host.cgroup.kind != CGROUP_NONE && start_and_await(z, &s, flavour)) {
		(void)ask(&s, probe_named("memory bomb in a cgroup"), false, &o);
		(void)shutdown(s.channel, SHUT_RDWR);
		await(z, &s, ZYGOTE_WORKER_EXITED);
		check(s.end.reason == WORKER_ENDED_OOM && s.end.usage.oom_kills > 0, "oom: %u",
			s.end.reason);
		close_subject(&s);
	}
	/* A version that does not exist: the sandbox cannot be built. */
	if (check(start_worker(z, &s, "v2", profile_of(flavour), NULL) == 0, "start v2")) {
		await(z, &s, ZYGOTE_WORKER_EXITED);
		check(s.end.reason == WORKER_ENDED_SANDBOX && s.end.status == WORKER_EXIT_SANDBOX &&
				strstr(s.end.message,
					"mounts: mount /snapshots/probe/v2: No such") != NULL,
			"sandbox: %u %s", s.end.reason, s.end.message);
		char text[256] = "";
		check(read(s.out, text, sizeof(text) - 1) > 0 &&
				strncmp(text, "sandbox: mounts", 15) == 0,
			"the log has: %s", text);
		close_subject(&s);
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
		{ "probe", "..", PROFILE_PYTHON },
		{ "probe", "", PROFILE_PYTHON },
		{ "probe", "v1", PROFILE_NATIVE },
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
	struct outcome o;
	const struct worker_limits limits = {
		.open_files = 20, .tmp_bytes = 2 << 20, .tmp_files = 50, .memory_bytes = 64 << 20
	};
	if (!check(start_worker(z, &s, "v1", PROFILE_PYTHON, &limits) == 0, "start") ||
		!await(z, &s, ZYGOTE_WORKER_STARTED)) {
		return;
	}
	check(ask(&s, probe_named("descriptor bomb, python"), false, &o) && o.result == 16,
		"descriptors: %ld", o.result);
	check(ask(&s, probe_named("environment"), false, &o) && o.result == 0, "it goes on");
	close_subject(&s);
	await(z, &s, ZYGOTE_WORKER_EXITED);
	check(start_worker(z, &s, "v1", PROFILE_PYTHON, &limits) == 0 &&
			await(z, &s, ZYGOTE_WORKER_STARTED) &&
			ask(&s, probe_named("fill inodes"), false, &o) && o.result <= 50,
		"inodes: %ld", o.result);
	close_subject(&s);
	await(z, &s, ZYGOTE_WORKER_EXITED);
}

static void reports(struct zygote *z, enum worker_flavour flavour, int tier)
{
	struct subject s;
	struct subject t;
	if (!start_and_await(z, &s, flavour) || !start_and_await(z, &t, flavour)) {
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
	/* Two workers at once have two uids, if they have any of their own. */
	char *uid = strstr(s.report, "\"uid\":");
	char *other = strstr(t.report, "\"uid\":");
	check(uid != NULL && other != NULL &&
			(strncmp(uid, other, 12) != 0) == (host.uids == SANDBOX_UIDS_BLOCK),
		"uids: %.12s and %.12s", uid, other);
	close_subject(&s);
	close_subject(&t);
	struct zygote_event e;
	check(wait_event(z, &e) && wait_event(z, &e), "two ends");
}

/* Its death is its workers' death, and all is told. */
static void zygote_death(enum worker_flavour flavour)
{
	struct zygote *z = start_zygote(flavour);
	expect_ready(z);
	struct subject s[3];
	for (int i = 0; i < 3; i++) {
		start_and_await(z, &s[i], flavour);
	}
	zygote_stop(z);
	struct zygote_event e;
	for (int i = 0; i < 3; i++) {
		check(wait_event(z, &e) && e.type == ZYGOTE_WORKER_EXITED &&
				e.reason == WORKER_ENDED_KILLED,
			"event %u", e.type);
	}
	check(wait_event(z, &e) && e.type == ZYGOTE_ENDED && e.signal == SIGKILL, "event %u",
		e.type);
	for (int i = 0; i < 3; i++) {
		char c;
		check(recv(s[i].channel, &c, 1, 0) == 0, "a worker still holds its channel");
		close_subject(&s[i]);
	}
	const struct worker_start start = { .worker_id = 800000,
		.plugin = "probe",
		.version = "v1",
		.profile = profile_of(flavour) };
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
		struct zygote *z = start_zygote(WORKER_PYTHON);
		expect_ready(z);
		const struct worker_start start = { .worker_id = 700000,
			.plugin = "probe",
			.version = "v1",
			.channel_fd = channel[1],
			.stdout_fd = STDERR_FILENO,
			.stderr_fd = STDERR_FILENO };
		struct zygote_event e;
		(void)close(channel[0]);
		if (zygote_start_worker(z, &start) < 0 || !wait_event(z, &e) ||
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
	unsigned fds = open_fds();
	for (int round = 0; round < 5; round++) {
		struct subject s[8];
		for (int i = 0; i < 8; i++) {
			check(start_worker(z, &s[i], "v1", profile_of(flavour), NULL) == 0,
				"start");
		}
		for (int i = 0; i < 8; i++) {
			close_subject(&s[i]);
		}
		struct zygote_event e;
		for (int i = 0; i < 16; i++) {
			check(wait_event(z, &e) &&
					(e.type == ZYGOTE_WORKER_STARTED ||
						(e.type == ZYGOTE_WORKER_EXITED && e.status == 7)),
				"event %u: %s", e.type, e.message);
		}
	}
	check(open_fds() == fds, "%u descriptors instead of %u", open_fds(), fds);
	for (size_t i = 0; i < sizeof(host.used); i++) {
		check(host.used[i] == 0, "slots are still taken");
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
		if (!start_and_await(z, &s, flavour)) {
			return;
		}
		ms[i] = (double)(clock_ns() - start) / 1e6;
		close_subject(&s);
		await(z, &s, ZYGOTE_WORKER_EXITED);
	}
	qsort(ms, ROUNDS, sizeof(ms[0]), compare_times);
	(void)printf("start of a %s worker: p50 %.2f ms, p99 %.2f ms\n",
		flavour == WORKER_PYTHON ? "python" : "native", ms[ROUNDS / 2], ms[ROUNDS - 1]);
}

/* ---- The run ---- */

static void all_of(enum worker_flavour flavour, int tier)
{
	struct zygote *z = start_zygote(flavour);
	expect_ready(z);
	reports(z, flavour, tier);
	reasons(z, flavour);
	if (flavour == WORKER_PYTHON) {
		bad_requests(z);
		asked_limits(z);
	}
	nothing_leaks(z, flavour);
	attacks(z, flavour);
	measure(z, flavour);
	zygote_free(z);
	zygote_death(flavour);
}

/* An ordinary user, with or without the two capabilities, as systemd or a shell would start us. */
static void become_user(bool with_capabilities)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const uint32_t keep = with_capabilities ? 1U << CAP_SETUID | 1U << CAP_SETGID : 0;
	struct __user_cap_data_struct caps[2] = { { keep, keep, keep }, { 0, 0, 0 } };
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
		setresgid(PLAIN_UID, PLAIN_UID, PLAIN_UID) < 0 ||
		setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID) < 0 ||
		syscall(SYS_capset, &head, caps) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0) {
		give_up("become an ordinary user: %s", strerror(errno));
	}
}

static void set_up(const char *mode)
{
	bool root = identity_is_root();
	bool stays_root = strcmp(mode, "root") == 0;
	if (root && !stays_root) {
		become_user(strcmp(mode, "caps") == 0);
	}
	const struct sandbox_options options = {
		.uid = stays_root ? UID_PLUGINHOST : getuid(),
		.gid = stays_root ? GID_CHANNEL : getgid(),
		.name = CGROUP_NAME,
	};
	program_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	int e = sandbox_host_init(&host, &options);
	if (e < 0) {
		give_up("sandbox_host_init: %s (%s)", host.failure, strerror(-e));
	}
	e = stays_root ? identity_become(options.uid, options.gid, NULL, 0)
		       : identity_drop_capabilities();
	if (e < 0) {
		give_up("give up privileges: %s", strerror(-e));
	}
	make_snapshots();
	python_fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Root waits for the one who gives it up, and removes the cgroups that the latter no longer may. */
static void in_child(void)
{
	pid_t child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		return;
	}
	int status = 0;
	(void)waitpid(child, &status, 0);
	cgroup_root_clean(CGROUP_NAME);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int main(int argc, char **argv)
{
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	int role = role_main(argc, argv, runtimes);
	if (role >= 0) {
		return role;
	}
	const char *mode = argc > 1 ? argv[1] : "plain";
	if (!identity_is_root() && strcmp(mode, "plain") != 0) {
		(void)printf("not run: %s needs root\n", mode);
		return SKIPPED;
	}
	/* In our environment (as if it had been given there) and on our heap. */
	static char plain_canary[PROBE_CANARY_SIZE * 2 + 1];
	if (map_init() < 0 || getrandom(canary, sizeof(canary), 0) != sizeof(canary)) {
		give_up("no random numbers");
	}
	for (size_t i = 0; i < sizeof(canary); i++) {
		plain_canary[i] = (char)('a' + canary[i] % 26);
		canary[i] = (uint8_t)plain_canary[i] ^ 0x5a;
	}
	if (getenv("MOZAIKS_CANARY") == NULL) {
		/* Through an exec, so that it stands where an environment stands. */
		setenv("MOZAIKS_CANARY", plain_canary, 1);
		(void)execv("/proc/self/exe", argv);
		give_up("exec: %s", strerror(errno));
	}
	for (size_t i = 0; i < sizeof(canary); i++) {
		canary[i] = (uint8_t)getenv("MOZAIKS_CANARY")[i] ^ 0x5a;
	}
	if (strcmp(mode, "root") == 0) {
		in_child();
	}
	set_up(mode);
	int tier = sandbox_host_tier(&host);
	struct buffer report;
	buffer_init(&report, 4096);
	check(sandbox_host_report(&host, &report) == 0, "report");
	(void)printf("mode %s: %.*s\n", mode, (int)report.n, (const char *)report.p);
	buffer_deinit(&report);
	check((host.uids == SANDBOX_UIDS_BLOCK) == (strcmp(mode, "plain") != 0), "uids");

	all_of(WORKER_PYTHON, tier);
	all_of(WORKER_NATIVE, tier);
	pluginhost_death();

	(void)close(python_fd);
	sandbox_host_deinit(&host);
	(void)nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	(void)printf("%u checks, %u failed\n", checks, failures);
	return failures == 0 ? 0 : 1;
}
