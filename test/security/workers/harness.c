#include "test/security/workers/harness.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/identity.h"
#include "common/base/map.h"
#include "common/base/test-folder.h"
#include "test/security/workers/runtimes.h"
#include "test/security/workers/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLAIN_UID = 65000, PATIENCE_MS = 30000, CGROUP_PATIENCE_MS = 5000 };

struct sandbox_host harness_host;
unsigned harness_failures;
unsigned harness_checks;

static char base[] = "/tmp/mozaiks-workers-XXXXXX";
static char snapshots[64];
/* Of this run: others may run beside it. */
static char run_name[32];
static int program_fd;
static int python_fd;
static uint64_t next_id = 1;
static uint8_t canary[ATTACK_CANARY_SIZE];

/* What a plugin of the attacks consists of, opened before root is given up. */
static struct {
	const char *source;
	const char *name;
	int fd;
} sources[] = {
	{ ATTACK_PLUGIN_PY, "logic.py", -1 },
	{ ATTACK_PLUGIN_SO, "attacks.so", -1 },
};

/* ---- Checking ---- */

bool check(bool ok, const char *format, ...)
{
	harness_checks++;
	if (!ok) {
		va_list args;
		va_start(args, format);
		(void)fputs("FAILED: ", stdout);
		(void)vprintf(format, args);
		(void)puts("");
		va_end(args);
		harness_failures++;
	}
	return ok;
}

_Noreturn void give_up(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)fputs("cannot go on: ", stdout);
	(void)vprintf(format, args);
	(void)puts("");
	va_end(args);
	exit(1);
}

/* ---- Plugins ---- */

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) < 0) {
		give_up("%s: %s", path, strerror(errno));
	}
}

static void copy_file(const char *path, int source)
{
	struct stat st;
	off_t at = 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || fstat(source, &st) < 0 ||
		sendfile(fd, source, &at, (size_t)st.st_size) != st.st_size || close(fd) < 0) {
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
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s/v1/%s", snapshots, name, sources[i].name);
		copy_file(path, sources[i].fd);
	}
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
	make_plugin("attacker");
	make_plugin("other");
}

/* ---- Zygotes ---- */

struct zygote *harness_start_zygote(enum worker_flavour flavour)
{
	const struct zygote_config config = {
		.host = &harness_host,
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

bool harness_wait_event(struct zygote *z, struct zygote_event *ret)
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

struct zygote *harness_zygote(enum worker_flavour flavour)
{
	struct zygote *z = harness_start_zygote(flavour);
	struct zygote_event e;
	if (!harness_wait_event(z, &e) || e.type != ZYGOTE_READY) {
		give_up("the zygote is not ready: %s", e.message);
	}
	return z;
}

/* ---- Workers ---- */

enum worker_profile harness_profile(enum worker_flavour flavour)
{
	return flavour == WORKER_PYTHON ? PROFILE_PYTHON : PROFILE_NATIVE;
}

int subject_start(struct zygote *z,
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
		.plugin = "attacker",
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

void subject_close(struct subject *s)
{
	(void)close(s->channel);
	(void)close(s->out);
}

bool subject_await(struct zygote *z, struct subject *s, enum zygote_event_type type)
{
	struct zygote_event e;
	if (!harness_wait_event(z, &e)) {
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

bool subject_start_and_await(struct zygote *z, struct subject *s, enum worker_flavour flavour)
{
	int e = subject_start(z, s, "v1", harness_profile(flavour), NULL);
	return check(e == 0, "start: %s", strerror(-e)) &&
		subject_await(z, s, ZYGOTE_WORKER_STARTED);
}

bool subject_attack(struct subject *s, unsigned number, bool in_thread, struct attack_outcome *ret)
{
	const struct attack *a = attack_at(number);
	struct attack_order order = { .number = number, .in_thread = in_thread ? 1 : 0 };
	memcpy(order.canary, canary, sizeof(canary));
	if (a->python != NULL) {
		(void)snprintf(order.python, sizeof(order.python), "%s", a->python);
	}
	return send(s->channel, &order, sizeof(order), MSG_NOSIGNAL) == sizeof(order) &&
		recv(s->channel, ret, sizeof(*ret), MSG_WAITALL) == sizeof(*ret);
}

/* ---- Leaks ---- */

unsigned harness_open_fds(void)
{
	unsigned n = 0;
	for (int fd = 0; fd < 1024; fd++) {
		n += fcntl(fd, F_GETFD) >= 0;
	}
	return n;
}

void harness_check_leaks(struct zygote *z, unsigned fds, const char *after)
{
	unsigned now = harness_open_fds();
	check(now == fds, "after %s: %u descriptors instead of %u", after, now, fds);
	check(zygote_workers(z) == 0, "after %s: %u workers", after, zygote_workers(z));
	for (size_t i = 0; i < sizeof(harness_host.used); i++) {
		check(harness_host.used[i] == 0, "after %s: a uid slot is taken", after);
	}
	/* The kernel lets go of a process a little after it was reaped. */
	unsigned groups = cgroup_sweep(&harness_host.cgroup);
	for (uint64_t end = clock_ms() + CGROUP_PATIENCE_MS; groups > 0 && clock_ms() < end;) {
		(void)poll(NULL, 0, 5);
		groups = cgroup_sweep(&harness_host.cgroup);
	}
	check(groups == 0, "after %s: %u cgroups", after, groups);
}

/* ---- The run ---- */

int harness_role(int argc, char **argv)
{
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	return role_main(argc, argv, attack_runtimes);
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

static int open_or_give_up(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);
	if (fd < 0) {
		give_up("%s: %s", path, strerror(errno));
	}
	return fd;
}

static void set_up(const char *mode)
{
	bool becomes_user = strcmp(mode, "caps") == 0 || strcmp(mode, "plain") == 0;
	program_fd = open_or_give_up("/proc/self/exe", O_PATH);
	python_fd = open_or_give_up(PYTHON_PACKAGES, O_PATH | O_DIRECTORY);
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		sources[i].fd = open_or_give_up(sources[i].source, O_RDONLY);
	}
	if (identity_is_root() && becomes_user) {
		become_user(strcmp(mode, "caps") == 0);
	}
	bool gives_up_root = identity_is_root();
	const struct sandbox_options options = {
		.uid = gives_up_root ? UID_PLUGINHOST : getuid(),
		.gid = gives_up_root ? GID_CHANNEL : getgid(),
		.name = run_name,
	};
	int e = sandbox_host_init(&harness_host, &options);
	if (e < 0) {
		give_up("sandbox_host_init: %s (%s)", harness_host.failure, strerror(-e));
	}
	e = gives_up_root ? identity_become(options.uid, options.gid, NULL, 0)
			  : identity_drop_capabilities();
	if (e < 0) {
		give_up("give up privileges: %s", strerror(-e));
	}
	make_snapshots();
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
	cgroup_root_clean(run_name);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* The canary stands in our environment (through an exec, as if it had been given there) and on our
 * heap and data. */
static void plant_canary(char **argv)
{
	char text[ATTACK_CANARY_SIZE + 1] = "";
	if (getenv("MOZAIKS_CANARY") == NULL) {
		if (getrandom(text, ATTACK_CANARY_SIZE, 0) != ATTACK_CANARY_SIZE) {
			give_up("no random numbers");
		}
		for (size_t i = 0; i < ATTACK_CANARY_SIZE; i++) {
			text[i] = (char)('a' + (uint8_t)text[i] % 26);
		}
		(void)setenv("MOZAIKS_CANARY", text, 1);
		(void)execv("/proc/self/exe", argv);
		give_up("exec: %s", strerror(errno));
	}
	static char in_data[ATTACK_CANARY_SIZE + 1];
	(void)snprintf(in_data, sizeof(in_data), "%s", getenv("MOZAIKS_CANARY"));
	for (size_t i = 0; i < ATTACK_CANARY_SIZE; i++) {
		canary[i] = (uint8_t)in_data[i] ^ 0x5a;
	}
}

/* Somebody to reach, for the attacks on abstract sockets. */
static void listen_outside(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	memcpy(address.sun_path, ATTACK_ABSTRACT_NAME, sizeof(ATTACK_ABSTRACT_NAME) - 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
		bind(fd, (struct sockaddr *)&address,
			offsetof(struct sockaddr_un, sun_path) + sizeof(ATTACK_ABSTRACT_NAME) - 1) <
			0 ||
		listen(fd, 1) < 0) {
		(void)printf("# nobody listens outside: %s\n", strerror(errno));
	}
}

bool harness_open(char **argv, const char *mode)
{
	bool needs_root = strcmp(mode, "root") == 0 || strcmp(mode, "caps") == 0;
	if (!identity_is_root() && needs_root) {
		(void)printf("not run: root: the mode %s\n", mode);
		return false;
	}
	if (map_init() < 0) {
		give_up("no random numbers");
	}
	plant_canary(argv);
	(void)snprintf(run_name, sizeof(run_name), "test-workers-%d", (int)getpid());
	if (identity_is_root()) {
		(void)witness_start();
		in_child();
	}
	set_up(mode);
	listen_outside();
	struct buffer report;
	buffer_init(&report, 4096);
	check(sandbox_host_report(&harness_host, &report) == 0, "report");
	(void)printf("# mode %s %.*s\n", mode, (int)report.n, (const char *)report.p);
	buffer_deinit(&report);
	return true;
}

int harness_close(void)
{
	(void)close(python_fd);
	sandbox_host_deinit(&harness_host);
	(void)test_folder_remove(base);
	(void)printf("# %u checks, %u failed\n", harness_checks, harness_failures);
	return harness_failures == 0 ? 0 : 1;
}
