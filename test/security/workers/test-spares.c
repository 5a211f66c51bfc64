/*
 * Processes that wait ahead of the next START, and what is told of them: nothing. They become workers
 * like any other; a dead one costs nobody a START; the end of a zygote is told as what it is.
 *
 *   test-spares root|caps|plain     harness.h says what the modes are
 */
#include "common/base/clock.h"
#include "test/security/workers/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };

static unsigned attack_named(const char *name)
{
	for (unsigned i = 0; attack_at(i) != NULL; i++) {
		if (strcmp(attack_at(i)->name, name) == 0) {
			return i;
		}
	}
	give_up("no attack %s", name);
}

/* ---- Processes ---- */

/* Pids of the children of a process, by the kernel's list of its first thread. */
static unsigned children_of(pid_t parent, pid_t pids[static 16])
{
	char path[64];
	char text[512] = "";
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0, "%s: %s", path, strerror(errno));
	(void)close(fd);
	unsigned n = 0;
	char *save = NULL;
	for (char *word = strtok_r(text, " ", &save); word != NULL && n < 16;
		word = strtok_r(NULL, " ", &save)) {
		pids[n++] = (pid_t)strtol(word, NULL, 10);
	}
	return n;
}

/* The only zygote we have, and its only child. */
static pid_t the_zygote(void)
{
	pid_t pids[16];
	return check(children_of(getpid(), pids) == 1, "one zygote") ? pids[0] : -1;
}

static pid_t the_process(void)
{
	pid_t pids[16];
	return check(children_of(the_zygote(), pids) == 1, "one process") ? pids[0] : -1;
}

static unsigned slots_taken(void)
{
	return harness_host.n_slots - sandbox_slots_free(&harness_host);
}

/* Nothing may be reported meanwhile. */
static void await_spares(struct zygote *z, unsigned n)
{
	struct zygote_event e;
	for (uint64_t end = clock_ms() + PATIENCE_MS; zygote_spares(z) < n && clock_ms() < end;) {
		struct pollfd p = { .fd = zygote_fd(z), .events = POLLIN };
		(void)poll(&p, 1, 100);
		int r = zygote_next_event(z, &e);
		check(r == 0, "event %u of a spare", r == 1 ? e.type : 99);
	}
	check(zygote_spares(z) == n, "%u spares instead of %u", zygote_spares(z), n);
	check(zygote_workers(z) == 0, "a spare counts as a worker");
}

static void kill_and_wait(pid_t pid)
{
	int pidfd = pidfd_open(pid, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	check(pidfd >= 0 && kill(pid, SIGKILL) == 0 && poll(&p, 1, PATIENCE_MS) == 1, "kill %d: %s",
		pid, strerror(errno));
	(void)close(pidfd);
}

static void spare_is_used(struct zygote *z, enum worker_flavour flavour)
{
	struct subject s;
	struct attack_outcome o;
	const struct worker_limits limits = { .open_files = 20, .memory_bytes = 32 << 20 };
	check(zygote_keep_spares(z, 1) == 0 && zygote_keep_spares(z, 1) == 0, "keep one");
	await_spares(z, 1);
	pid_t pid = the_process();
	check(slots_taken() == 1, "%u slots", slots_taken());
	if (!check(subject_start(z, &s, "v1", harness_profile(flavour), &limits) == 0, "start") ||
		!check(zygote_spares(z) == 0 && zygote_workers(z) == 1, "the spare is taken") ||
		!subject_await(z, &s, ZYGOTE_WORKER_STARTED)) {
		return;
	}
	check(s.end.pid == pid, "another process than the one that waited");
	/* What depends on the plugin came with the START. */
	const char *probe = flavour == WORKER_NATIVE ? "descriptor bomb, native" : NULL;
	check(probe == NULL ||
			(subject_attack(&s, attack_named(probe), false, &o) && o.result == 16),
		"descriptors: %ld", o.result);
	check(subject_attack(&s, attack_named("environment"), false, &o) && o.result == 0,
		"environment");
	if (harness_host.cgroup.kind != CGROUP_NONE) {
		(void)subject_attack(&s, attack_named("memory bomb in a cgroup"), false, &o);
		(void)shutdown(s.channel, SHUT_RDWR);
		subject_await(z, &s, ZYGOTE_WORKER_EXITED);
		check(s.end.reason == WORKER_ENDED_OOM &&
				s.end.usage.memory_peak_bytes <= limits.memory_bytes,
			"%u at %llu bytes", s.end.reason,
			(unsigned long long)s.end.usage.memory_peak_bytes);
		subject_close(&s);
	} else {
		subject_close(&s);
		subject_await(z, &s, ZYGOTE_WORKER_EXITED);
	}
	check(slots_taken() == 0, "%u slots", slots_taken());
}

/* It is nobody's: its end is told as such, and no START is lost with it. */
static void spare_dies(struct zygote *z, enum worker_flavour flavour)
{
	struct subject s;
	struct zygote_event e;
	check(zygote_keep_spares(z, 1) == 0, "keep one");
	await_spares(z, 1);
	kill_and_wait(the_process());
	check(harness_wait_event(z, &e) && e.type == ZYGOTE_SPARE_ENDED && e.signal == SIGKILL,
		"event %u, signal %d", e.type, e.signal);
	check(slots_taken() == 0, "%u slots", slots_taken());

	check(zygote_keep_spares(z, 1) == 0, "keep one");
	await_spares(z, 1);
	kill_and_wait(the_process());
	/* Its end was not heard of yet. */
	check(subject_start(z, &s, "v1", harness_profile(flavour), NULL) == 0, "start");
	bool started = false;
	bool ended = false;
	for (int i = 0; i < 2 && harness_wait_event(z, &e); i++) {
		started |= e.type == ZYGOTE_WORKER_STARTED && e.worker_id == s.id;
		ended |= e.type == ZYGOTE_SPARE_ENDED && e.worker_id == 0;
	}
	check(started && ended, "started %d, ended %d", started, ended);
	subject_close(&s);
	subject_await(z, &s, ZYGOTE_WORKER_EXITED);
	check(s.end.reason == WORKER_ENDED_EXIT && slots_taken() == 0, "reason %u", s.end.reason);
}

/* More STARTs than spares, and a kill of one that has not been born. */
static void more_than_spares(struct zygote *z, enum worker_flavour flavour)
{
	struct subject s[4];
	unsigned started = 0;
	unsigned killed = 0;
	struct zygote_event e;
	check(zygote_keep_spares(z, 2) == 0, "keep two");
	await_spares(z, 2);
	for (int i = 0; i < 4; i++) {
		check(subject_start(z, &s[i], "v1", harness_profile(flavour), NULL) == 0, "start");
	}
	check(zygote_kill_worker(z, s[3].id) == 0, "kill");
	for (int i = 0; i < 4 && harness_wait_event(z, &e); i++) {
		started += e.type == ZYGOTE_WORKER_STARTED && e.worker_id != s[3].id;
		killed += e.type == ZYGOTE_WORKER_EXITED && e.worker_id == s[3].id &&
			e.reason == WORKER_ENDED_KILLED;
	}
	check(started == 3 && killed == 1, "%u started, %u killed", started, killed);
	for (int i = 0; i < 4; i++) {
		subject_close(&s[i]);
	}
	for (int i = 0; i < 3; i++) {
		check(harness_wait_event(z, &e) && e.type == ZYGOTE_WORKER_EXITED, "event %u",
			e.type);
	}
	check(slots_taken() == 0 && zygote_spares(z) == 0, "%u slots", slots_taken());
}

static void spares(enum worker_flavour flavour)
{
	unsigned fds = harness_open_fds();
	struct zygote *z = harness_zygote(flavour);
	struct zygote_event e;
	spare_is_used(z, flavour);
	spare_dies(z, flavour);
	more_than_spares(z, flavour);
	/* The end of the zygote is theirs, and nothing is told of them. */
	check(zygote_keep_spares(z, 2) == 0, "keep two");
	await_spares(z, 2);
	zygote_stop(z);
	check(zygote_keep_spares(z, 3) == -EPIPE, "no more of them");
	check(harness_wait_event(z, &e) && e.type == ZYGOTE_ENDED, "event %u", e.type);
	check(slots_taken() == 0, "%u slots", slots_taken());
	zygote_free(z);
	check(harness_open_fds() == fds, "%u descriptors instead of %u", harness_open_fds(), fds);
}

/* Killed from outside, it takes its workers with it, and that is what is told, although the director
 * orders to kill them as soon as it sees their channels close. */
static void zygote_killed(enum worker_flavour flavour)
{
	struct zygote *z = harness_zygote(flavour);
	struct subject s[2];
	struct zygote_event e;
	for (int i = 0; i < 2; i++) {
		subject_start_and_await(z, &s[i], flavour);
	}
	kill_and_wait(the_zygote());
	check(zygote_kill_worker(z, s[0].id) == 0, "kill");
	for (int i = 0; i < 2; i++) {
		check(harness_wait_event(z, &e) && e.type == ZYGOTE_WORKER_EXITED &&
				e.reason == WORKER_ENDED_ZYGOTE,
			"event %u, reason %s", e.type, worker_end_name(e.reason));
		subject_close(&s[i]);
	}
	check(harness_wait_event(z, &e) && e.type == ZYGOTE_ENDED && e.signal == SIGKILL,
		"event %u", e.type);
	zygote_free(z);
}

/* ---- How long a start takes ---- */

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
		check(zygote_keep_spares(z, 1) == 0, "keep a spare");
		await_spares(z, 1);
		uint64_t start = clock_ns();
		if (!subject_start_and_await(z, &s, flavour)) {
			return;
		}
		ms[i] = (double)(clock_ns() - start) / 1e6;
		subject_close(&s);
		subject_await(z, &s, ZYGOTE_WORKER_EXITED);
	}
	qsort(ms, ROUNDS, sizeof(ms[0]), compare_times);
	(void)printf("start of a %s worker that had waited: p50 %.2f ms, p99 %.2f ms\n",
		flavour == WORKER_PYTHON ? "python" : "native", ms[ROUNDS / 2], ms[ROUNDS - 1]);
}

/* ---- The run ---- */

static void all_of(enum worker_flavour flavour)
{
	struct zygote *z = harness_zygote(flavour);
	measure(z, flavour);
	zygote_free(z);
	zygote_killed(flavour);
	spares(flavour);
}

int main(int argc, char **argv)
{
	int role = harness_role(argc, argv);
	if (role >= 0) {
		return role;
	}
	if (!harness_open(argv, argc > 1 ? argv[1] : "plain")) {
		return SKIPPED;
	}
	all_of(WORKER_PYTHON);
	all_of(WORKER_NATIVE);
	return harness_close();
}
