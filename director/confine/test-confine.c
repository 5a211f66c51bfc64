/*
 * The director's fences, put up in children by the functions that the director calls, and tried with
 * the system calls themselves. Each trial names what must stop it: a signal or an errno, by which
 * the two fences can be told apart. And the golden test of the filter.
 */
#include "common/base/test-folder.h"
#include "common/confine/test-golden.h"
#include "director/confine/confine.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[TEST_FOLDER_BYTES];

enum {
	KILLED = -1, /* the trial must be ended by SIGSYS */
	DONE = 0,    /* it must succeed */
};

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	return fd < 0 ? errno : 0;
}

static const char *in_state(const char *name)
{
	static char path[100];
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* ---- Trials: each returns the errno of what it tried ---- */

#define TRY(call) ((call) < 0 ? errno : 0)

static int try_execve(void)
{
	char *const none[] = { NULL };
	return TRY(execve("/bin/true", none, none));
}

static int try_fork(void)
{
	pid_t child = fork();
	if (child == 0) {
		_exit(0);
	}
	return child < 0 ? errno : 0;
}

static int try_vfork(void)
{
	return TRY(syscall(SYS_vfork));
}

static int try_ptrace(void)
{
	return TRY(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_io_uring(void)
{
	char parameters[256] = { 0 };
	return TRY(syscall(SYS_io_uring_setup, 1, parameters));
}

static int try_memfd(void)
{
	return TRY(memfd_create("x", 0));
}

static int map(int protection, int flags, int fd)
{
	return mmap(NULL, 4096, protection, flags, fd, 0) == MAP_FAILED ? errno : 0;
}

static int try_map_code(void)
{
	return map(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int try_map_writable_code(void)
{
	return map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* As dlopen() does. */
static int try_map_library(void)
{
	int fd = open("/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? 200 : map(PROT_READ | PROT_EXEC, MAP_PRIVATE, fd);
}

static int try_make_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? 200 : TRY(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int try_netlink(void)
{
	return TRY(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int try_packet(void)
{
	return TRY(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int try_unshare(void)
{
	return TRY(syscall(SYS_unshare, 0x10000000));
}

static int try_mount(void)
{
	return TRY(syscall(SYS_mount, "x", "/mnt", "tmpfs", 0, NULL));
}

static int try_bpf(void)
{
	return TRY(syscall(SYS_bpf, 0, NULL, 0));
}

static int try_keyctl(void)
{
	return TRY(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int try_userfaultfd(void)
{
	return TRY(syscall(SYS_userfaultfd, 0));
}

static int try_read_memory(void)
{
	return TRY(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int try_kill(void)
{
	return TRY(kill(getppid(), 0));
}

static int try_setuid_bit(void)
{
	(void)open_file(in_state("file"), O_WRONLY | O_CREAT);
	return TRY(chmod(in_state("file"), 04755));
}

static int try_terminal(void)
{
	return TRY(syscall(SYS_ioctl, 0, 0x5412, "x"));
}

/* The number of i386's exit(), through the gate of 32 bit programs. */
static int try_32_bit(void)
{
#if defined(__x86_64__)
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
	return r < 0 ? (int)-r : 0;
#else
	return TRY(syscall(SYS_ptrace, 0));
#endif
}

static void *exec_in_thread(void *arg)
{
	int *result = arg;
	*result = try_execve();
	return NULL;
}

static int try_execve_in_thread(void)
{
	pthread_t thread;
	int result = 200;
	if (pthread_create(&thread, NULL, exec_in_thread, &result) != 0) {
		return 201;
	}
	(void)pthread_join(thread, NULL);
	return result;
}

static int try_shadow(void)
{
	return open_file("/etc/shadow", O_RDONLY);
}

static int try_home(void)
{
	return open_file("/root", O_RDONLY | O_DIRECTORY);
}

static int try_root_directory(void)
{
	return open_file("/", O_RDONLY | O_DIRECTORY);
}

static int try_environment(void)
{
	return open_file("/proc/self/environ", O_RDONLY);
}

static int try_own_memory(void)
{
	return open_file("/proc/self/mem", O_RDWR);
}

static int try_write_outside(void)
{
	return open_file("/tmp/mozaiks-must-not-be", O_WRONLY | O_CREAT);
}

static int try_write_resolver(void)
{
	return open_file("/etc/resolv.conf", O_WRONLY);
}

static int try_link_in_state(void)
{
	return TRY(syscall(SYS_symlink, "/etc/shadow", in_state("link")));
}

static int try_listen_on_tcp(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? 200 : TRY(bind(fd, (struct sockaddr *)&any, sizeof(any)));
}

/* What it lives from. */

static int try_state(void)
{
	int error = open_file(in_state("file"), O_RDWR | O_CREAT);
	error = error != 0 ? error : TRY(rename(in_state("file"), in_state("file")));
	error = error != 0 ? error : TRY(mkdir(in_state("dir"), 0700));
	error = error != 0 ? error : TRY(rmdir(in_state("dir")));
	return error != 0 ? error : TRY(unlink(in_state("file")));
}

static int try_listen_in_state(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", in_state("socket"));
	int error = fd < 0 ? errno : TRY(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	error = error != 0 ? error : TRY(listen(fd, 1));
	return error != 0 ? error : TRY(unlink(address.sun_path));
}

/* To the discard port, where nobody listens. */
static int try_connect(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? 200 : TRY(connect(fd, (struct sockaddr *)&address, sizeof(address)));
}

static int try_names(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	int r = getaddrinfo("localhost", "80", &hints, &found);
	freeaddrinfo(r == 0 ? found : NULL);
	return r == 0 ? 0 : 200;
}

static int try_zones(void)
{
	int error = open_file("/usr/share/zoneinfo", O_RDONLY | O_DIRECTORY);
	return error == ENOENT ? 0 : error;
}

static void *add_one(void *arg)
{
	(*(int *)arg)++;
	return NULL;
}

static int try_thread(void)
{
	pthread_t thread;
	int n = 0;
	int r = pthread_create(&thread, NULL, add_one, &n);
	r = r != 0 ? r : pthread_join(thread, NULL);
	return r != 0 ? r : n == 1 ? 0 : 200;
}

static int try_abort(void)
{
	abort();
}

struct trial {
	const char *name;
	int (*run)(void);
	int wanted; /* an errno, DONE, or KILLED */
	int abi;    /* of Landlock, when it is what stops the trial */
	int signal; /* other than SIGSYS */
};

/* clang-format off */
static const struct trial trials[] = {
	{ "execve", try_execve, KILLED },
	{ "execve in a thread", try_execve_in_thread, KILLED },
	{ "fork", try_fork, KILLED },
	{ "vfork", try_vfork, KILLED },
	{ "ptrace", try_ptrace, KILLED },
	{ "io_uring_setup", try_io_uring, ENOSYS },
	{ "memfd_create", try_memfd, ENOSYS },
	{ "anonymous code", try_map_code, KILLED },
	{ "writable code", try_map_writable_code, KILLED },
	{ "a late library", try_map_library, EACCES },
	{ "data made code", try_make_code, KILLED },
	{ "socket(AF_NETLINK)", try_netlink, EAFNOSUPPORT },
	{ "socket(AF_PACKET)", try_packet, KILLED },
	{ "unshare", try_unshare, KILLED },
	{ "mount", try_mount, KILLED },
	{ "bpf", try_bpf, KILLED },
	{ "keyctl", try_keyctl, KILLED },
	{ "userfaultfd", try_userfaultfd, KILLED },
	{ "process_vm_readv", try_read_memory, KILLED },
	{ "kill", try_kill, KILLED },
	{ "a setuid bit", try_setuid_bit, KILLED },
	{ "TIOCSTI", try_terminal, KILLED },
	{ "a 32 bit call", try_32_bit, KILLED },
	{ "symlink", try_link_in_state, KILLED },
	{ "/etc/shadow", try_shadow, EACCES, .abi = 1 },
	{ "/root", try_home, EACCES, .abi = 1 },
	{ "/", try_root_directory, EACCES, .abi = 1 },
	{ "/proc/self/environ", try_environment, EACCES, .abi = 1 },
	{ "/proc/self/mem", try_own_memory, EACCES, .abi = 1 },
	{ "a file in /tmp", try_write_outside, EACCES, .abi = 1 },
	{ "writing /etc/resolv.conf", try_write_resolver, EACCES, .abi = 1 },
	{ "another port", try_listen_on_tcp, EACCES, .abi = 4 },
	{ "the state", try_state, DONE },
	{ "a socket in the state", try_listen_in_state, DONE },
	{ "a connection", try_connect, ECONNREFUSED },
	{ "a name", try_names, DONE },
	{ "time zones", try_zones, DONE },
	{ "a thread", try_thread, DONE },
	{ "abort", try_abort, KILLED, .signal = SIGABRT },
};
/* clang-format on */

enum { EXIT_NOT_CONFINED = 250, NO_FILES = 1, NO_CALLS = 2 };

static int confine(unsigned without, enum confine_mode mode)
{
	static struct confine_paths paths;
	char why[CONFINE_WHY_SIZE] = "";
	unsigned n = 0;
	int abi = 0;
	int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	r = r < 0 ? r : confine_paths_add(&paths, folder, LANDLOCK_SOCKETS, false);
	r = r < 0 || (without & NO_FILES) != 0 ? r : confine_files(&paths, &abi, why);
	r = r < 0 || (without & NO_CALLS) != 0 ? r : confine_calls(mode, &n, why);
	if (r < 0) {
		print_message("%s\n", why);
	}
	return r < 0 ? r : 0;
}

/* @return the status of a child that has confined itself and run the trial. */
static int run_in_child(const struct trial *t, unsigned without, enum confine_mode mode)
{
	int status = 0;
	pid_t child = fork();
	if (child == 0) {
		_exit(confine(without, mode) < 0 ? EXIT_NOT_CONFINED : t->run());
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void each_trial(void **state)
{
	int abi = landlock_abi();
	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		const struct trial *t = &trials[i];
		if (t->abi > abi) {
			print_message("not run: kernel: no Landlock %d for %s\n", t->abi, t->name);
			continue;
		}
		int status = run_in_child(t, 0, CONFINE_ENFORCE);
		int wanted_signal = t->signal != 0 ? t->signal : SIGSYS;
		bool good = t->wanted == KILLED
			? WIFSIGNALED(status) && WTERMSIG(status) == wanted_signal
			: WIFEXITED(status) && WEXITSTATUS(status) == t->wanted;
		if (!good) {
			fail_msg("%s: %s %d", t->name, WIFSIGNALED(status) ? "signal" : "exit",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		}
	}
}

static int status_of(int (*run)(void), unsigned without, enum confine_mode mode)
{
	const struct trial t = { .run = run };
	return run_in_child(&t, without, mode);
}

/* It is this fence that stops a trial: without it the trial gets through. */
static void each_fence_holds_alone(void **state)
{
	assert_int_equal(
		status_of(try_execve_in_thread, NO_CALLS, CONFINE_ENFORCE), W_EXITCODE(EACCES, 0));
	assert_int_equal(status_of(try_memfd, NO_CALLS, CONFINE_ENFORCE), 0);
	assert_int_equal(status_of(try_map_code, NO_CALLS, CONFINE_ENFORCE), 0);
	assert_int_equal(status_of(try_netlink, NO_CALLS, CONFINE_ENFORCE), 0);
	/* For an ordinary user the modes of the files hold, too. */
	if (geteuid() == 0) {
		assert_int_equal(status_of(try_shadow, NO_FILES, CONFINE_ENFORCE), 0);
	}
	assert_int_equal(status_of(try_environment, NO_FILES, CONFINE_ENFORCE), 0);
	assert_int_equal(status_of(try_listen_on_tcp, NO_FILES, CONFINE_ENFORCE), 0);
}

/* A canary runs on, with a record in the kernel's log. */
static void only_logged(void **state)
{
	assert_int_equal(status_of(try_unshare, NO_FILES, CONFINE_LOG) & 0x7f, 0);
	assert_int_equal(status_of(try_keyctl, NO_FILES, CONFINE_LOG) & 0x7f, 0);
}

/* Threads that run already are covered too. */
static pthread_barrier_t barrier;

static void *wait_and_exec(void *arg)
{
	(void)pthread_barrier_wait(&barrier);
	(void)pthread_barrier_wait(&barrier);
	_exit(try_execve());
}

static int confine_beside_a_thread(void)
{
	pthread_t thread;
	char why[CONFINE_WHY_SIZE];
	unsigned n;
	(void)pthread_barrier_init(&barrier, NULL, 2);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		pthread_create(&thread, NULL, wait_and_exec, NULL) != 0) {
		return 201;
	}
	(void)pthread_barrier_wait(&barrier);
	if (confine_calls(CONFINE_ENFORCE, &n, why) != 0) {
		return 202;
	}
	(void)pthread_barrier_wait(&barrier);
	(void)pthread_join(thread, NULL);
	return 203;
}

static void all_threads(void **state)
{
	int status = 0;
	pid_t child = fork();
	if (child == 0) {
		_exit(confine_beside_a_thread());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* ---- The filter ---- */

static void every_number_and_argument(void **state)
{
	golden_begin(&confine_policy);
	golden_check(CONFINE_COLUMN);
}

static void promises(void **state)
{
	static const long killed[] = { SYS_execve, SYS_execveat, SYS_fork, SYS_vfork, SYS_ptrace,
		SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns,
		SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_bpf,
		SYS_keyctl, SYS_add_key, SYS_request_key, SYS_userfaultfd, SYS_perf_event_open,
		SYS_process_vm_readv, SYS_process_vm_writev, SYS_io_uring_enter,
		SYS_io_uring_register, SYS_setuid, SYS_setgid, SYS_setresuid, SYS_capset,
		SYS_personality, SYS_reboot, SYS_swapon, SYS_settimeofday, SYS_clock_settime,
		SYS_kill, SYS_tkill, SYS_rt_sigqueueinfo, SYS_symlink, SYS_link, SYS_mknod,
		SYS_open_by_handle_at, SYS_pkey_mprotect, SYS_seccomp, SYS_arch_prctl,
		SYS_setrlimit, SYS_splice, SYS_shmget, SYS_socketpair, 999 };
	struct filter_program p;
	assert_int_equal(filter_build(&confine_policy, CONFINE_COLUMN, &p), 0);
	for (size_t i = 0; i < sizeof(killed) / sizeof(killed[0]); i++) {
		const struct golden_case c = { .nr = killed[i] };
		if (golden_answer(&p, &c) != SECCOMP_RET_KILL_PROCESS) {
			fail_msg("call %ld is not killed", c.nr);
		}
	}
	static const struct golden_case cases[] = {
		{ SYS_clone, { 0x3d0f00 }, SECCOMP_RET_ALLOW },
		{ SYS_clone, { 17 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_clone, { 0x3d0f00 | 0x10000000 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_clone3, { 0 }, SECCOMP_RET_ERRNO | ENOSYS },
		{ SYS_mmap, { 0, 4096, 5, 2, 3 }, SECCOMP_RET_ERRNO | EACCES },
		{ SYS_mmap, { 0, 4096, 7, 2, 3 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_mmap, { 0, 4096, 5, 0x22, 3 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_mmap, { 0, 4096, 3, 1, 3 }, SECCOMP_RET_ALLOW },
		{ SYS_mprotect, { 0, 4096, 5 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_socket, { 1, 1 }, SECCOMP_RET_ALLOW },
		{ SYS_socket, { 10, 1 }, SECCOMP_RET_ALLOW },
		{ SYS_socket, { 16, 3 }, SECCOMP_RET_ERRNO | EAFNOSUPPORT },
		{ SYS_socket, { 40, 1 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_ioctl, { 0, 0x5412 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_ioctl, { 0, 0x100005421 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_prctl, { 22 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_prctl, { 4, 1 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_prlimit64, { 0, 7, 1 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_prlimit64, { 5, 7, 0 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_tgkill, { 5, 5, 6 }, SECCOMP_RET_ALLOW },
		{ SYS_tgkill, { 5, 5, 9 }, SECCOMP_RET_KILL_PROCESS },
		{ SYS_fchmod, { 3, 0600 }, SECCOMP_RET_ALLOW },
		{ SYS_fchmod, { 3, 04755 }, SECCOMP_RET_KILL_PROCESS },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t is = golden_answer(&p, &cases[i]);
		if (is != cases[i].action) {
			fail_msg("case %zu: %#x", i, is);
		}
	}
	filter_program_free(&p);
}

/* ---- Mistakes of whoever starts us ---- */

static void too_many_and_too_long_paths(void **state)
{
	struct confine_paths *paths = calloc(1, sizeof(*paths));
	char long_path[CONFINE_PATH_BYTES + 1];
	assert_non_null(paths);
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(confine_paths_add(paths, long_path, LANDLOCK_READ, true), -ENAMETOOLONG);
	for (int i = 0; i < CONFINE_PATHS_MAX; i++) {
		assert_int_equal(confine_paths_add(paths, "/x", LANDLOCK_READ, true), 0);
	}
	assert_int_equal(confine_paths_add(paths, "/x", LANDLOCK_READ, true), -ENOBUFS);
	free(paths);
}

static int confine_without_state(void)
{
	static struct confine_paths paths;
	char why[CONFINE_WHY_SIZE] = "";
	int abi;
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)confine_paths_add(&paths, "/nonexistent/state", LANDLOCK_SOCKETS, false);
	int r = confine_files(&paths, &abi, why);
	return r == -ENOENT && strstr(why, "/nonexistent/state") != NULL ? 0 : 1;
}

/* A container or a unit that forbids to ask is not a kernel without the fence. */
static int confine_where_forbidden(void)
{
	static const struct filter_row rows[] = {
		{ "landlock_create_ruleset", 1, SECCOMP_RET_ERRNO | EPERM, { { 0 } } },
	};
	static const struct filter_policy policy = { rows, 1, SECCOMP_RET_ALLOW };
	static struct confine_paths paths;
	struct filter_program p;
	char why[CONFINE_WHY_SIZE] = "";
	int abi;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_build(&policy, 1, &p) < 0 ||
		filter_load(&p) < 0) {
		return 2;
	}
	int r = confine_files(&paths, &abi, why);
	return r == -EPERM && strstr(why, "landlock_create_ruleset") != NULL ? 0 : 1;
}

static int confine_without_landlock(void)
{
	static const struct filter_row rows[] = {
		{ "landlock_create_ruleset", 1, SECCOMP_RET_ERRNO | ENOSYS, { { 0 } } },
	};
	static const struct filter_policy policy = { rows, 1, SECCOMP_RET_ALLOW };
	static struct confine_paths paths;
	struct filter_program p;
	char why[CONFINE_WHY_SIZE] = "";
	int abi = 9;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_build(&policy, 1, &p) < 0 ||
		filter_load(&p) < 0) {
		return 2;
	}
	return confine_files(&paths, &abi, why) == CONFINE_E_MISSING && abi == 0 ? 0 : 1;
}

/* In a child, which nothing confines but the body itself. */
static void expect_zero(int (*body)(void))
{
	int status = 0;
	pid_t child = fork();
	if (child == 0) {
		_exit(body());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void failures_are_told_apart(void **state)
{
	if (landlock_abi() > 0) {
		expect_zero(confine_without_state);
	}
	expect_zero(confine_where_forbidden);
	expect_zero(confine_without_landlock);
}

static int make_folder(void **state)
{
	return test_folder_make(folder, "test-confine");
}

static int remove_folder(void **state)
{
	(void)unlink(in_state("file"));
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_and_argument),
		cmocka_unit_test(promises),
		cmocka_unit_test(each_trial),
		cmocka_unit_test(each_fence_holds_alone),
		cmocka_unit_test(only_logged),
		cmocka_unit_test(all_threads),
		cmocka_unit_test(too_many_and_too_long_paths),
		cmocka_unit_test(failures_are_told_apart),
	};
	if (confine_mode_of(CONFINE_ENFORCE) == CONFINE_OFF) {
		print_message("not run: sanitizers need calls that the filter kills\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
