/*
 * The parts of the sandbox that a test can hold alone: ids, limits, descriptors, cgroup trees that
 * are made up. test/security/workers tests the whole.
 */
#include "common/base/map.h"
#include "common/base/test-folder.h"
#include "pluginhost/sandbox/cgroup.h"
#include "pluginhost/sandbox/descriptors.h"
#include "pluginhost/sandbox/namespaces.h"
#include "pluginhost/sandbox/profile.h"
#include "pluginhost/sandbox/selftest.h"
#include "pluginhost/zygote_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static char folder[TEST_FOLDER_BYTES];

static int make_folder(void **state)
{
	return test_folder_make(folder, "mozaiks-sandbox");
}

static int remove_folder(void **state)
{
	return test_folder_remove(folder);
}

static const char *path_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *path_of(const char *format, ...)
{
	static char path[4][256];
	static unsigned next;
	char *p = path[next++ % 4];
	int n = snprintf(p, sizeof(path[0]), "%s/", folder);
	va_list args;
	va_start(args, format);
	(void)vsnprintf(p + n, sizeof(path[0]) - (size_t)n, format, args);
	va_end(args);
	return p;
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static void assert_text(const char *path, const char *wanted)
{
	char text[256] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		fail_msg("%s: %s", path, strerror(errno));
	}
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	(void)close(fd);
	if (strcmp(text, wanted) != 0) {
		fail_msg("%s is '%s' instead of '%s'", path, text, wanted);
	}
}

/* ---- Subordinate ids ---- */

static void blocks_of_ids(void **state)
{
	static const struct {
		const char *uids;
		const char *gids;
		int result;
		struct id_block block;
	} table[] = {
		{ "ada:100000:65536\n", "ada:200000:65536\n", 0, { 100000, 200000, 65536 } },
		{ "eve:1:2\nada:100000:10\nada:9:9\n", "ada:5:20", 0, { 100000, 5, 10 } },
		{ "1234:700:3\n", "ada:800:5\n", 0, { 700, 800, 3 } },
		{ "adam:1:2\n", "ada:1:2\n", -ENOENT, { 0 } },
		{ "ada:1:2\n", "", -ENOENT, { 0 } },
		{ "ada:x:2\nada:-1:2\nada:1:0\nada:4294967290:100\nada:1\n", "ada:1:2\n", -ENOENT,
			{ 0 } },
		{ "", "", -ENOENT, { 0 } },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct id_block block = { 0 };
		write_text(path_of("subuid"), table[i].uids);
		write_text(path_of("subgid"), table[i].gids);
		int r = id_block_find(path_of("subuid"), path_of("subgid"), "ada", 1234, &block);
		assert_int_equal(r, table[i].result);
		if (r == 0) {
			assert_int_equal(block.first_uid, table[i].block.first_uid);
			assert_int_equal(block.first_gid, table[i].block.first_gid);
			assert_int_equal(block.count, table[i].block.count);
		}
	}
	struct id_block block;
	assert_int_equal(id_block_find("/nonexistent", "/nonexistent", "ada", 1, &block), -ENOENT);
}

/* Each claim is one of a living pluginhost. */
static void blocks_are_not_shared(void **state)
{
	const char *path = path_of("uids.lock");
	struct uid_block b[4];
	struct uid_block other;
	assert_int_equal(uid_block_claim(path, "default", 4, &b[0]), 0);
	assert_int_equal(b[0].index, 0);
	assert_int_equal(uid_block_claim(path, "default", 4, &b[1]), 0);
	assert_int_equal(b[1].index, 1);
	/* A name has its block, and meets another one's only when that is all there is. */
	assert_int_equal(uid_block_claim(path_of("other.lock"), "east", 4, &other), 0);
	assert_in_range(other.index, 1, 3);
	for (int i = 2; i < 4; i++) {
		assert_int_equal(uid_block_claim(path, "east", 4, &b[i]), 0);
		assert_in_range(b[i].index, 2, 3);
	}
	assert_int_not_equal(b[2].index, b[3].index);
	struct uid_block none;
	assert_int_equal(uid_block_claim(path, "west", 4, &none), -EBUSY);
	unsigned free_again = b[2].index;
	uid_block_release(&b[2]);
	assert_int_equal(uid_block_claim(path, "west", 4, &none), 0);
	assert_int_equal(none.index, free_again);

	uid_block_release(&none);
	uid_block_release(&other);
	for (int i = 0; i < 4; i++) {
		uid_block_release(&b[i]);
	}
}

/* Then the name decides, the same each time. */
static void blocks_without_a_lock(void **state)
{
	struct uid_block a;
	struct uid_block b;
	assert_int_equal(symlink("uids.lock", path_of("link.lock")), 0);
	const char *const unusable[] = { path_of("missing/uids.lock"), path_of("link.lock"),
		"/dev/null" };
	for (size_t i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++) {
		assert_int_equal(uid_block_claim(unusable[i], "east", 64, &a), 0);
		assert_int_equal(uid_block_claim(unusable[i], "east", 64, &b), 0);
		assert_int_equal(a.lock, -1);
		assert_int_equal(a.index, b.index);
		assert_in_range(a.index, 1, 63);
	}
	assert_int_equal(uid_block_claim(unusable[0], "default", 64, &a), 0);
	assert_int_equal(a.index, 0);
	assert_int_equal(uid_block_claim(unusable[0], "east", 1, &a), 0);
	assert_int_equal(a.index, 0);
}

static void slots_come_back(void **state)
{
	struct sandbox_host h = { .n_slots = 3 };
	unsigned slot[4];
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(sandbox_slot_take(&h, &slot[i]), 0);
		assert_int_equal(slot[i], i + 1);
	}
	assert_int_equal(sandbox_slot_take(&h, &slot[3]), -EUSERS);
	sandbox_slot_release(&h, 2);
	assert_int_equal(sandbox_slot_take(&h, &slot[3]), 0);
	assert_int_equal(slot[3], 2);
	/* A uid rests as long as possible. */
	sandbox_slot_release(&h, 2);
	sandbox_slot_release(&h, 3);
	assert_int_equal(sandbox_slot_take(&h, &slot[3]), 0);
	assert_int_equal(slot[3], 3);
}

/* ---- Tiers ---- */

static void tiers_name_what_is_missing(void **state)
{
	static const struct {
		struct sandbox_host host;
		const char *report;
	} table[] = {
		{ { .uids = SANDBOX_UIDS_BLOCK,
			  .landlock_abi = 7,
			  .cgroup = { .kind = CGROUP_V2, .has_cpu = true } },
			"{\"tier\":1,\"uids\":\"block\",\"landlock\":7,\"cgroup\":\"v2\","
			"\"missing\":[]}" },
		/* Processor time is a warning, no more. */
		{ { .uids = SANDBOX_UIDS_BLOCK,
			  .landlock_abi = 1,
			  .cgroup = { .kind = CGROUP_V1 } },
			"{\"tier\":1,\"uids\":\"block\",\"landlock\":1,\"cgroup\":\"v1\","
			"\"missing\":[\"the cpu controller\"]}" },
		{ { .uids = SANDBOX_UIDS_BLOCK,
			  .landlock_abi = 0,
			  .cgroup = { .kind = CGROUP_V2, .has_cpu = true } },
			"{\"tier\":2,\"uids\":\"block\",\"landlock\":0,\"cgroup\":\"v2\","
			"\"missing\":[\"Landlock\"]}" },
		{ { .uids = SANDBOX_UIDS_SINGLE,
			  .landlock_abi = 7,
			  .cgroup = { .kind = CGROUP_V2, .has_cpu = true } },
			"{\"tier\":2,\"uids\":\"single\",\"landlock\":7,\"cgroup\":\"v2\","
			"\"missing\":[\"a uid per worker\"]}" },
		{ { .uids = SANDBOX_UIDS_BLOCK,
			  .landlock_abi = 7,
			  .cgroup = { .kind = CGROUP_NONE } },
			"{\"tier\":2,\"uids\":\"block\",\"landlock\":7,\"cgroup\":\"none\","
			"\"missing\":[\"cgroups\"]}" },
		{ { .uids = SANDBOX_UIDS_SINGLE,
			  .landlock_abi = 0,
			  .cgroup = { .kind = CGROUP_NONE },
			  .nested_user_ns = true },
			"{\"tier\":2,\"uids\":\"single\",\"landlock\":0,\"cgroup\":\"none\","
			"\"missing\":[\"a uid per worker\",\"Landlock\",\"cgroups\","
			"\"a ban on nested user namespaces (seccomp alone forbids them)\"]}" },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buffer b;
		buffer_init(&b, 1024);
		assert_int_equal(sandbox_host_report(&table[i].host, &b), 0);
		assert_int_equal(buffer_append_byte(&b, 0), 0);
		assert_string_equal((const char *)b.p, table[i].report);
		buffer_deinit(&b);
	}
}

/* ---- Limits ---- */

static void limits_are_filled_and_cut(void **state)
{
	const struct sandbox_profile *p = sandbox_profile(PROFILE_PYTHON);
	struct worker_limits l = { 0 };
	sandbox_limits_fill(p, &l);
	assert_memory_equal(&l, &p->limits, sizeof(l));

	l = (struct worker_limits){ .memory_bytes = p->limits.memory_bytes * 4 };
	sandbox_limits_fill(p, &l);
	assert_int_equal(l.address_space_bytes, p->limits.address_space_bytes * 4);

	l = (struct worker_limits){ .memory_bytes = 16 << 20, .open_files = 20 };
	sandbox_limits_fill(p, &l);
	assert_int_equal(l.address_space_bytes, p->limits.address_space_bytes);
	assert_int_equal(l.open_files, 20);

	memset(&l, 0xff, sizeof(l));
	sandbox_limits_fill(p, &l);
	const struct worker_limits *max = &sandbox_limits_max;
	assert_true(l.memory_bytes == max->memory_bytes && l.processes == max->processes &&
		l.address_space_bytes == max->address_space_bytes && l.threads == max->threads &&
		l.file_size_bytes == max->file_size_bytes && l.tmp_bytes == max->tmp_bytes &&
		l.tmp_files == max->tmp_files && l.open_files == max->open_files &&
		l.cpu_percent == max->cpu_percent);
}

/* ---- Descriptors ---- */

static void only_the_listed_descriptors_stay(void **state)
{
	pid_t child = fork();
	if (child == 0) {
		int a[2];
		int b[2];
		if (pipe(a) < 0 || pipe(b) < 0 || fcntl(a[1], F_DUPFD, 100) < 0) {
			_exit(10);
		}
		/* Swapped, and one of them twice. */
		const int fds[] = { b[0], a[0], a[1], a[1] };
		if (descriptors_arrange(fds, 4) < 0) {
			_exit(11);
		}
		long set = 0;
		for (int fd = 0; fd < 1024; fd++) {
			set |= fcntl(fd, F_GETFD) < 0 ? 0 : fd < 62 ? 1L << fd : 1L << 62;
		}
		char c;
		bool wired = write(2, "x", 1) == 1 && read(1, &c, 1) == 1 &&
			write(3, "y", 1) == 1 && read(1, &c, 1) == 1 && c == 'y';
		_exit(set != 0xf ? 12 : !wired ? 13 : fcntl(2, F_GETFD) != 0 ? 14 : 0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* ---- Namespaces ---- */

enum { NO_NAMESPACES = 77 };

/* A worker shares none with its zygote but the ids and processes it sees. @return what is the same. */
static int enter_worker_namespaces(void)
{
	static const char *const names[] = { "mnt", "net", "ipc", "uts", "cgroup" };
	struct stat before[5];
	struct stat after;
	char path[64];
	/* An ordinary user has the rights in a namespace of ids alone. */
	if (geteuid() != 0 && unshare(CLONE_NEWUSER) < 0) {
		return NO_NAMESPACES;
	}
	for (int i = 0; i < 5; i++) {
		(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		if (stat(path, &before[i]) < 0) {
			return 10 + i;
		}
	}
	if (namespaces_enter_worker() != NULL) {
		return errno == EPERM ? NO_NAMESPACES : 20;
	}
	for (int i = 0; i < 5; i++) {
		(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		if (stat(path, &after) < 0 || after.st_ino == before[i].st_ino) {
			return 30 + i;
		}
	}
	return 0;
}

static void workers_have_namespaces_of_their_own(void **state)
{
	pid_t child = fork();
	if (child == 0) {
		_exit(enter_worker_namespaces());
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_NAMESPACES) {
		print_message("not run: kernel: no namespaces can be made here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- The self-test ---- */

/* Without a sandbox the first attempt succeeds, and it is told which. */
static void self_test_finds_no_sandbox(void **state)
{
	assert_true(selftest_attempts() >= 20);
	assert_string_equal(selftest_run("probe", FILTER_PYTHON, 0), "open(/etc/passwd)");
}

/* ---- Messages ---- */

static unsigned open_descriptors(void)
{
	unsigned n = 0;
	for (int fd = 0; fd < 1024; fd++) {
		n += fcntl(fd, F_GETFD) >= 0;
	}
	return n;
}

static void messages_are_exact(void **state)
{
	int pair[2];
	unsigned before = open_descriptors();
	struct wire_event event = { .type = WIRE_BORN, .pid = 7 };
	struct wire_event got;
	int fds[START_FDS];
	unsigned n;
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(wire_receive(pair[1], &got, sizeof(got), NULL, 0, NULL), -EAGAIN);

	const int sent[] = { pair[0], pair[1], 0 };
	assert_int_equal(wire_send(pair[0], &event, sizeof(event), sent, 3), 0);
	assert_int_equal(wire_receive(pair[1], &got, sizeof(got), fds, START_FDS, &n), 1);
	assert_int_equal(n, 3);
	assert_int_equal(got.pid, 7);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		(void)close(fds[i]);
	}
	/* More than were expected are closed. */
	assert_int_equal(wire_send(pair[0], &event, sizeof(event), sent, 3), 0);
	assert_int_equal(wire_receive(pair[1], &got, sizeof(got), fds, 1, &n), 1);
	assert_int_equal(n, 1);
	(void)close(fds[0]);
	/* Too short and too long, with descriptors: refused, nothing stays open. */
	for (size_t size = sizeof(event) - 1; size <= sizeof(event) + 1; size += 2) {
		char bytes[sizeof(event) + 1] = { 0 };
		assert_int_equal(wire_send(pair[0], bytes, size, sent, 3), 0);
		assert_int_equal(
			wire_receive(pair[1], &got, sizeof(got), fds, START_FDS, &n), -EBADMSG);
		assert_int_equal(n, 0);
	}
	assert_int_equal(open_descriptors(), before + 2);
	(void)close(pair[0]);
	assert_int_equal(wire_receive(pair[1], &got, sizeof(got), NULL, 0, NULL), 0);
	(void)close(pair[1]);
}

/* ---- cgroups, in trees that only look like them ---- */

static void make_dirs(const char *const *names)
{
	for (size_t i = 0; names[i] != NULL; i++) {
		assert_int_equal(mkdir(path_of("%s", names[i]), 0755), 0);
	}
}

static void make_files(const char *dir, const char *const *names)
{
	for (size_t i = 0; names[i] != NULL; i++) {
		write_text(path_of("%s/%s", dir, names[i]), "");
	}
}

static void write_proc(const char *cgroup, const char *mounts)
{
	write_text(path_of("cgroup"), cgroup);
	write_text(path_of("mountinfo"), mounts);
}

/* The kernel makes these files with each directory; here the test does. */
static const char *half_of_memory(void)
{
	static char text[32];
	uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)(bytes / 100 * 50));
	return text;
}

static const char *const v2_files[] = { "cgroup.procs", "cgroup.subtree_control", "memory.max",
	"memory.high", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max", NULL };

static void make_v2_tree(void)
{
	static const char *const dirs[] = { "v2", "v2/unit", "v2/unit/mozaiks-a",
		"v2/unit/mozaiks-a/supervisor", "v2/unit/mozaiks-a/workers",
		"v2/unit/mozaiks-a/workers/w7", NULL };
	char mounts[512];
	make_dirs(dirs);
	for (size_t i = 1; dirs[i] != NULL; i++) {
		make_files(dirs[i], v2_files);
	}
	(void)snprintf(mounts, sizeof(mounts),
		"22 1 0:21 / /proc rw - proc proc rw\n"
		"31 23 0:28 / %s/v2 rw,nosuid shared:4 master:5 - cgroup2 cgroup2 rw,nsdelegate\n",
		folder);
	write_proc("0::/unit\n", mounts);
}

static void version_2(void **state)
{
	struct cgroup_root root;
	struct cgroup g;
	char pid[16];
	const struct worker_limits limits = {
		.memory_bytes = 1000000, .processes = 5, .cpu_percent = 50
	};
	make_v2_tree();
	assert_int_equal(cgroup_root_init_at(&root, folder, "a", geteuid(), getegid()), 0);
	assert_int_equal(root.kind, CGROUP_V2);
	assert_true(root.has_cpu);
	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	assert_text(path_of("v2/unit/mozaiks-a/supervisor/cgroup.procs"), pid);
	assert_text(path_of("v2/unit/mozaiks-a/workers/pids.max"), "4096");
	/* A file of the kernel begins anew with each write. */
	write_text(path_of("v2/unit/mozaiks-a/workers/pids.max"), "");
	write_text(path_of("v2/unit/mozaiks-a/workers/memory.max"), "");
	assert_int_equal(cgroup_root_limit(&root, 50, 300), 0);
	assert_text(path_of("v2/unit/mozaiks-a/workers/pids.max"), "300");
	assert_text(path_of("v2/unit/mozaiks-a/workers/memory.max"), half_of_memory());
	/* The fake file keeps the last write: cpu after memory and pids. */
	assert_text(path_of("v2/unit/cgroup.subtree_control"), "+cpuory +pids");

	assert_int_equal(cgroup_create(&root, &g, 7, &limits), 0);
	assert_text(path_of("v2/unit/mozaiks-a/workers/w7/memory.max"), "1000000");
	/* Above it a worker would crawl, and never be told to be out of memory. */
	assert_text(path_of("v2/unit/mozaiks-a/workers/w7/memory.high"), "");
	assert_text(path_of("v2/unit/mozaiks-a/workers/w7/memory.swap.max"), "0");
	assert_text(path_of("v2/unit/mozaiks-a/workers/w7/memory.oom.group"), "1");
	assert_text(path_of("v2/unit/mozaiks-a/workers/w7/pids.max"), "5");
	assert_text(path_of("v2/unit/mozaiks-a/workers/w7/cpu.max"), "50000 100000");
	assert_int_equal(cgroup_enter(&root, &g, 4711), 0);
	assert_text(path_of("v2/unit/mozaiks-a/workers/w7/cgroup.procs"), "4711");

	const struct worker_limits fewer = { .processes = 3 };
	assert_int_equal(cgroup_limit(&root, &g, &fewer), 0);
	assert_text(path_of("v2/unit/mozaiks-a/workers/w7/pids.max"), "3");
	assert_text(path_of("v2/unit/mozaiks-a/workers/w7/memory.max"), "1000000");

	struct cgroup_usage usage;
	write_text(path_of("v2/unit/mozaiks-a/workers/w7/memory.current"), "12345\n");
	write_text(path_of("v2/unit/mozaiks-a/workers/w7/memory.events"),
		"low 0\nhigh 3\nmax 2\noom 1\noom_kill 4\n");
	write_text(
		path_of("v2/unit/mozaiks-a/workers/w7/cpu.stat"), "usage_usec 99\nuser_usec 1\n");
	cgroup_usage(&root, &g, &usage);
	assert_int_equal(usage.memory_bytes, 12345);
	assert_int_equal(usage.oom_kills, 4);
	assert_int_equal(usage.cpu_us, 99);
	/* A directory that holds something cannot go, and stays known. */
	assert_int_equal(cgroup_remove(&root, &g), -ENOTEMPTY);
	cgroup_root_deinit(&root);
}

/* Without the memory controller the subtree is worth nothing: what was begun is undone. */
static void version_2_without_controllers(void **state)
{
	static const char *const dirs[] = { "v2", "v2/unit", NULL };
	static const char *const files[] = { "cgroup.procs", NULL };
	char mounts[512];
	struct cgroup_root root;
	make_dirs(dirs);
	make_files("v2/unit", files);
	(void)snprintf(
		mounts, sizeof(mounts), "31 23 0:28 / %s/v2 rw - cgroup2 cgroup2 rw\n", folder);
	write_proc("0::/unit\n", mounts);
	assert_int_equal(cgroup_root_init_at(&root, folder, "a", geteuid(), getegid()), 0);
	assert_int_equal(root.kind, CGROUP_NONE);
	assert_non_null(strstr(root.why_none, "version 2: No such file"));
	struct stat st;
	assert_int_equal(stat(path_of("v2/unit/mozaiks-a"), &st), -1);
	struct cgroup g;
	const struct worker_limits limits = { .memory_bytes = 1 };
	assert_int_equal(cgroup_create(&root, &g, 1, &limits), 0);
	assert_int_equal(cgroup_enter(&root, &g, 1), 0);
	assert_int_equal(cgroup_limit(&root, &g, &limits), -ENOTSUP);
	assert_int_equal(cgroup_remove(&root, &g), 0);
	cgroup_root_deinit(&root);
}

/* A mount that shows only a part of the hierarchy, and cpu and cpuacct in one. */
static void version_1(void **state)
{
	static const char *const dirs[] = { "mem", "mem/in", "mem/in/mozaiks-a",
		"mem/in/mozaiks-a/w3", "pids", "pids/mozaiks-a", "pids/mozaiks-a/w3", "cpu",
		"cpu/mozaiks-a", "cpu/mozaiks-a/w3", NULL };
	static const char *const memory[] = { "cgroup.procs", "memory.limit_in_bytes", NULL };
	static const char *const pids[] = { "cgroup.procs", "pids.max", NULL };
	static const char *const cpu[] = { "cgroup.procs", "cpu.cfs_quota_us", NULL };
	char mounts[1024];
	struct cgroup_root root;
	struct cgroup g;
	make_dirs(dirs);
	make_files("mem/in/mozaiks-a", memory);
	make_files("mem/in/mozaiks-a/w3", memory);
	make_files("pids/mozaiks-a", pids);
	make_files("pids/mozaiks-a/w3", pids);
	make_files("cpu/mozaiks-a/w3", cpu);
	(void)snprintf(mounts, sizeof(mounts),
		"32 31 0:29 /outer %s/mem rw - cgroup cgroup rw,memory\n"
		"33 31 0:30 / %s/pids rw - cgroup cgroup rw,pids\n"
		"34 31 0:31 / %s/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
		folder, folder, folder);
	write_proc("9:memory:/outer/in\n8:pids:/\n7:cpu,cpuacct:/\n0::/\n", mounts);
	assert_int_equal(cgroup_root_init_at(&root, folder, "a", geteuid(), getegid()), 0);
	assert_int_equal(root.kind, CGROUP_V1);
	assert_true(root.has_cpu);
	assert_text(path_of("pids/mozaiks-a/pids.max"), "4096");
	write_text(path_of("pids/mozaiks-a/pids.max"), "");
	write_text(path_of("mem/in/mozaiks-a/memory.limit_in_bytes"), "");
	assert_int_equal(cgroup_root_limit(&root, 50, 300), 0);
	assert_text(path_of("pids/mozaiks-a/pids.max"), "300");
	assert_text(path_of("mem/in/mozaiks-a/memory.limit_in_bytes"), half_of_memory());

	const struct worker_limits limits = {
		.memory_bytes = 4096, .processes = 2, .cpu_percent = 150
	};
	assert_int_equal(cgroup_create(&root, &g, 3, &limits), 0);
	assert_text(path_of("mem/in/mozaiks-a/w3/memory.limit_in_bytes"), "4096");
	assert_text(path_of("pids/mozaiks-a/w3/pids.max"), "2");
	assert_text(path_of("cpu/mozaiks-a/w3/cpu.cfs_quota_us"), "150000");
	assert_int_equal(cgroup_enter(&root, &g, 99), 0);
	assert_text(path_of("mem/in/mozaiks-a/w3/cgroup.procs"), "99");
	assert_text(path_of("cpu/mozaiks-a/w3/cgroup.procs"), "99");

	/* A second pluginhost of that name gets a place of its own. */
	struct cgroup_root other;
	assert_int_equal(cgroup_root_init_at(&other, folder, "a", geteuid(), getegid()), 0);
	assert_int_equal(other.kind, CGROUP_NONE);
	struct stat st;
	assert_int_equal(stat(path_of("mem/in/mozaiks-a-2"), &st), 0);
	cgroup_root_deinit(&root);
}

/* Two pluginhosts of one name in services of their own: the machine gives each a memory cgroup, and
 * the tree of pids is common to them. They share no directory. */
static void version_1_common_in_part(void **state)
{
	static const char *const dirs[] = { "mem", "mem/one", "mem/one/mozaiks-a", "mem/two",
		"mem/two/mozaiks-a", "mem/two/mozaiks-a-2", "pids", "pids/mozaiks-a",
		"pids/mozaiks-a-2", NULL };
	static const char *const memory[] = { "memory.limit_in_bytes", NULL };
	static const char *const pids[] = { "pids.max", NULL };
	char mounts[1024];
	struct cgroup_root one;
	struct cgroup_root two;
	make_dirs(dirs);
	make_files("mem/one/mozaiks-a", memory);
	make_files("mem/two/mozaiks-a-2", memory);
	make_files("pids/mozaiks-a", pids);
	make_files("pids/mozaiks-a-2", pids);
	(void)snprintf(mounts, sizeof(mounts),
		"32 31 0:29 / %s/mem rw - cgroup cgroup rw,memory\n"
		"33 31 0:30 / %s/pids rw - cgroup cgroup rw,pids\n",
		folder, folder);
	write_proc("9:memory:/one\n8:pids:/\n", mounts);
	assert_int_equal(cgroup_root_init_at(&one, folder, "a", geteuid(), getegid()), 0);
	assert_int_equal(one.kind, CGROUP_V1);
	assert_text(path_of("pids/mozaiks-a/pids.max"), "4096");
	write_proc("9:memory:/two\n8:pids:/\n", mounts);
	assert_int_equal(cgroup_root_init_at(&two, folder, "a", geteuid(), getegid()), 0);
	assert_int_equal(two.kind, CGROUP_V1);
	assert_text(path_of("pids/mozaiks-a-2/pids.max"), "4096");
	cgroup_root_deinit(&two);
	cgroup_root_deinit(&one);
}

static void nothing_readable_is_no_cgroup(void **state)
{
	struct cgroup_root root;
	assert_int_equal(cgroup_root_init_at(&root, "/nonexistent", "a", 1, 1), 0);
	assert_int_equal(root.kind, CGROUP_NONE);
	write_proc("garbage\n:::\n0:\n1:memory\n", "a b c\n - - - -\n1 2 3 4 5 6 -\n");
	assert_int_equal(cgroup_root_init_at(&root, folder, "a", 1, 1), 0);
	assert_int_equal(root.kind, CGROUP_NONE);
}

#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(blocks_of_ids),
		WITH_FOLDER(blocks_are_not_shared),
		WITH_FOLDER(blocks_without_a_lock),
		cmocka_unit_test(slots_come_back),
		cmocka_unit_test(tiers_name_what_is_missing),
		cmocka_unit_test(limits_are_filled_and_cut),
		cmocka_unit_test(only_the_listed_descriptors_stay),
		cmocka_unit_test(workers_have_namespaces_of_their_own),
		cmocka_unit_test(self_test_finds_no_sandbox),
		cmocka_unit_test(messages_are_exact),
		WITH_FOLDER(version_2),
		WITH_FOLDER(version_2_without_controllers),
		WITH_FOLDER(version_1),
		WITH_FOLDER(version_1_common_in_part),
		WITH_FOLDER(nothing_readable_is_no_cgroup),
	};
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
