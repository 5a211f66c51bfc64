#include "pluginhost/worker.h"

#include "pluginhost/launch.h"
#include "pluginhost/sandbox/credentials.h"
#include "pluginhost/sandbox/descriptors.h"
#include "pluginhost/sandbox/landlock.h"
#include "pluginhost/sandbox/limits.h"
#include "pluginhost/sandbox/mounts.h"
#include "pluginhost/sandbox/namespaces.h"
#include "pluginhost/sandbox/selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Allocator arenas of 64 MiB of addresses each; more would eat RLIMIT_AS with every thread. */
enum { MALLOC_ARENAS = 2 };

/* Where refuse() reports to; it moves when the descriptors are arranged. */
static int birth_fd = BIRTH_FD;

/* The only way out of a sandbox that is not finished: say what failed, to pluginhost and on stderr,
 * and end. */
static _Noreturn void __attribute__((format(printf, 1, 2))) refuse(const char *format, ...)
{
	struct wire_birth birth = { .type = BIRTH_FAILED };
	va_list args;
	va_start(args, format);
	int n = vsnprintf(birth.text, sizeof(birth.text), format, args);
	va_end(args);
	/* Either may be gone; the exit status stays. */
	ssize_t told = write(birth_fd, &birth, sizeof(birth));
	if (n > 0 && told != 0) {
		(void)dprintf(STDERR_FILENO, "sandbox: %s\n", birth.text);
	}
	_exit(WORKER_EXIT_SANDBOX);
}

/* ---- The steps that need more than one line ---- */

/* Until it has a START it says what there is to say into its zygote's log, and has no channel. */
static void arrange_waiting(const struct worker_launch *l)
{
	const int fds[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, STDIN_FILENO, l->birth_fd };
	int e = descriptors_arrange(fds, BIRTH_FDS);
	if (e < 0) {
		refuse("descriptors: %s", strerror(-e));
	}
	birth_fd = BIRTH_FD;
}

static void arrange_descriptors(const int start_fds[START_FDS])
{
	const int fds[] = { STDIN_FILENO, start_fds[START_STDOUT], start_fds[START_STDERR],
		start_fds[START_CHANNEL], BIRTH_FD };
	int e = descriptors_arrange(fds, BIRTH_FDS);
	if (e < 0) {
		refuse("descriptors: %s", strerror(-e));
	}
}

/* What a native worker takes through its exec, in a file without a name. */
struct resume_data {
	struct wire_config config;
	unsigned slot;
	unsigned short n_filter[FILTERS];
};

static void write_all(int fd, const void *p, size_t n)
{
	if (write(fd, p, n) != (ssize_t)n) {
		refuse("exec: cannot write the launch data");
	}
}

static void *read_all(int fd, size_t n)
{
	void *p = malloc(n + 1);
	if (p == NULL || read(fd, p, n) != (ssize_t)n) {
		refuse("exec: cannot read the launch data");
	}
	return p;
}

/* A native worker starts as a fresh program: without CPython, with an address layout, stack canary
 * and pointer guard that no other worker has. */
static _Noreturn void exec_native(const struct worker_launch *l)
{
	int data = memfd_create("launch", MFD_CLOEXEC);
	if (data < 0) {
		refuse("exec: memfd_create: %s", strerror(errno));
	}
	struct resume_data d = { .config = l->config, .slot = l->slot };
	for (enum filter_id f = FILTER_PYTHON; f < FILTERS; f++) {
		d.n_filter[f] = l->filters[f].n;
	}
	write_all(data, &d, sizeof(d));
	for (enum filter_id f = FILTER_PYTHON; f < FILTERS; f++) {
		write_all(data, l->filters[f].instructions,
			d.n_filter[f] * sizeof(struct sock_filter));
	}
	const int fds[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, STDIN_FILENO, l->birth_fd,
		data, l->program_fd };
	int e = descriptors_arrange(fds, RESUME_FDS);
	birth_fd = BIRTH_FD;
	if (e < 0 || lseek(RESUME_FD_DATA, 0, SEEK_SET) < 0 ||
		fcntl(RESUME_FD_PROGRAM, F_SETFD, FD_CLOEXEC) < 0) {
		refuse("exec: descriptors: %s", strerror(e < 0 ? -e : errno));
	}
	char name[] = "mozaiks-worker";
	char role[] = ROLE_WORKER;
	char *argv[] = { name, role, NULL };
	char *envp[] = { NULL };
	(void)syscall(SYS_execveat, RESUME_FD_PROGRAM, "", argv, envp, AT_EMPTY_PATH);
	refuse("exec: %s", strerror(errno));
}

/* Blocks until pluginhost has put us into our cgroup and knows a plugin for us: a spare waits here. */
static void await_start(struct worker_launch *l)
{
	int fds[START_FDS];
	unsigned n_fds;
	int r = wire_receive(BIRTH_FD, &l->start, sizeof(l->start), fds, START_FDS, &n_fds);
	if (r == 0) {
		/* Pluginhost gave up or died: nobody is left to be told. */
		_exit(WORKER_EXIT_SANDBOX);
	}
	if (r != 1 || n_fds != START_FDS || l->start.profile > PROFILE_NATIVE_NOFS ||
		sandbox_profile(l->start.profile)->flavour != l->config.flavour ||
		l->start.plugin[WORKER_PLUGIN_MAX] != '\0' ||
		l->start.version[WORKER_VERSION_MAX] != '\0') {
		refuse("start: %s", strerror(r < 0 ? -r : EBADMSG));
	}
	arrange_descriptors(fds);
}

static void fresh_process_state(void)
{
	sigset_t none;
	sigemptyset(&none);
	/* A closed pipe and a full file are errors, not deaths. */
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	/* READ_IMPLIES_EXEC would turn every mapping executable. */
	if (personality(PER_LINUX) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
		sigaction(SIGPIPE, &ignore, NULL) < 0 || sigaction(SIGXFSZ, &ignore, NULL) < 0) {
		refuse("process state: %s", strerror(errno));
	}
	(void)mallopt(M_ARENA_MAX, MALLOC_ARENAS);
}

static void enter_mounts(
	const struct worker_launch *l, const struct sandbox_profile *profile, unsigned uid)
{
	struct mount_failure f = { "", "" };
	int e = mounts_enter_worker(
		profile, l->start.plugin, l->start.version, &l->start.limits, uid, &f);
	if (e < 0) {
		refuse("mounts: %s %s: %s", f.call, f.path, strerror(-e));
	}
}

static void enter_landlock(const struct worker_launch *l, const struct sandbox_profile *profile)
{
	const char *path;
	int e = l->config.landlock_abi == 0
		? 0
		: landlock_enter_worker(l->config.landlock_abi, profile, &path);
	if (e < 0) {
		refuse("landlock: %s: %s", path == NULL ? "restrict" : path, strerror(-e));
	}
}

/* The last fence, and proof that it stands, with all the others. */
static void enter_filter(const struct worker_launch *l, enum filter_id filter)
{
	int e = filter_load(&l->filters[filter]);
	if (e < 0) {
		refuse("seccomp: %s", strerror(-e));
	}
	const char *failed = selftest_run(l->start.plugin, filter, l->config.landlock_abi);
	if (failed != NULL) {
		refuse("self-test: %s was not stopped as it must be (%s)", failed, strerror(errno));
	}
}

/* Some processors and hypervisors cannot; the report tells. */
static bool restrict_speculation(void)
{
	static const unsigned long kinds[] = { PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH };
	bool all = true;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		all &= prctl(PR_SET_SPECULATION_CTRL, kinds[i], PR_SPEC_FORCE_DISABLE, 0, 0) == 0;
	}
	return all;
}

/* The same text goes to pluginhost, which closes the birth, and to the director in HELLO. */
static struct slice report(
	const struct worker_launch *l, const struct sandbox_profile *profile, bool speculation)
{
	static struct wire_birth birth = { .type = BIRTH_DONE };
	bool own_uid = l->config.uids == SANDBOX_UIDS_BLOCK;
	int n = snprintf(birth.text, sizeof(birth.text),
		"{\"tier\":%d,\"profile\":\"%s\",\"uid\":%u,\"own_uid\":%s,"
		"\"namespaces\":[\"user\",\"pid\",\"mnt\",\"net\",\"ipc\",\"uts\",\"cgroup\"],"
		"\"landlock\":%d,\"seccomp\":\"%s\",\"seccomp_instructions\":%u,\"cgroup\":\"%s\","
		"\"speculation_restricted\":%s}",
		l->config.tier, profile->name,
		(unsigned)l->config.first_uid + (own_uid ? l->slot - 1 : 0),
		own_uid ? "true" : "false", l->config.landlock_abi, filter_name(profile->filter),
		l->filters[profile->filter].n, cgroup_kind_name(l->start.cgroup),
		speculation ? "true" : "false");
	if (n < 0 || (size_t)n >= sizeof(birth.text) ||
		write(BIRTH_FD, &birth, sizeof(birth)) != sizeof(birth) || close(BIRTH_FD) < 0) {
		refuse("report");
	}
	return slice_of(birth.text, (size_t)n);
}

/* ---- The launch ---- */

/* Everything below runs in the order of DESIGN section 10. Each step is checked; refuse() is the
 * only way out but the last line. */
static _Noreturn void confine(struct worker_launch *l)
{
	const bool own_uid = l->config.uids == SANDBOX_UIDS_BLOCK;
	const char *failed;

	/* PID 1 of its PID namespace already; in the user namespace of its zygote. */
	fresh_process_state();
	failed = namespaces_enter_worker();
	if (failed != NULL) {
		refuse("namespaces: %s: %s", failed, strerror(errno));
	}
	await_start(l);
	const struct sandbox_profile *profile = sandbox_profile(l->start.profile);
	enter_mounts(l, profile, own_uid ? l->slot : 0);

	failed = credentials_enter_worker(l->config.uids, l->slot);
	if (failed != NULL) {
		refuse("credentials: %s: %s", failed, strerror(errno));
	}
	/* After the change of ids, which clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
		refuse("PR_SET_PDEATHSIG: %s", strerror(errno));
	}
	bool speculation = restrict_speculation();
	enter_landlock(l, profile);

	int e = limits_enter_worker(&l->start.limits, own_uid, &failed);
	if (e < 0) {
		refuse("limits: %s: %s", failed, strerror(-e));
	}

	static char plugin_dir[sizeof(RUNTIME_PLUGINS_DIR) + WORKER_PLUGIN_MAX + 1];
	static struct worker_context ctx;
	(void)snprintf(plugin_dir, sizeof(plugin_dir), RUNTIME_PLUGINS_DIR "/%s", l->start.plugin);
	ctx = (struct worker_context){
		.worker_id = l->start.worker_id,
		.plugin = l->start.plugin,
		.plugin_dir = plugin_dir,
		.version = l->start.version,
		.channel_fd = WORKER_FD_CHANNEL,
		.limits = l->start.limits,
		.final_filter = &l->filters[profile->final_filter],
	};
	if (l->runtime->enter != NULL && l->runtime->enter(&ctx) < 0) {
		refuse("runtime: %s cannot be entered", l->runtime->name);
	}

	/* After the change of ids, which resets it. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		refuse("PR_SET_DUMPABLE: %s", strerror(errno));
	}
	enter_filter(l, profile->filter);
	if (l->start.canary && profile->final_filter != profile->filter) {
		enter_filter(l, profile->final_filter);
	}
	ctx.report = report(l, profile, speculation);
	if (l->start.canary) {
		_exit(0);
	}
	l->runtime->run(&ctx);
	_exit(WORKER_EXIT_RUNTIME);
}

_Noreturn void worker_launch(struct worker_launch *l)
{
	birth_fd = l->birth_fd;
	if (l->config.flavour == WORKER_NATIVE) {
		exec_native(l); /* goes on in worker_resume() */
	}
	arrange_waiting(l);
	confine(l);
}

_Noreturn void worker_resume(const struct runtime *runtime)
{
	static struct worker_launch l;
	struct resume_data *d = read_all(RESUME_FD_DATA, sizeof(*d));
	l.config = d->config;
	l.slot = d->slot;
	l.runtime = runtime;
	for (enum filter_id f = FILTER_PYTHON; f < FILTERS; f++) {
		l.filters[f] = (struct filter_program){ d->n_filter[f],
			read_all(RESUME_FD_DATA, d->n_filter[f] * sizeof(struct sock_filter)) };
	}
	free(d);
	if (close(RESUME_FD_DATA) < 0) {
		refuse("exec: close: %s", strerror(errno));
	}
	if (runtime->prepare != NULL && runtime->prepare() < 0) {
		refuse("runtime: %s cannot be prepared", runtime->name);
	}
	confine(&l);
}

void worker_seal(const struct worker_context *ctx)
{
	if (filter_load(ctx->final_filter) < 0) {
		_exit(WORKER_EXIT_SANDBOX);
	}
}
