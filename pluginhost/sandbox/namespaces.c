#include "pluginhost/sandbox/namespaces.h"

#include "common/base/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long newuidmap and newgidmap may take, in milliseconds. */
enum { MAP_PROGRAM_TIMEOUT = 5000, SUBID_FILE_MAX = 1024 * 1024 };

_Static_assert((int)UID_WORKER_COUNT <= (int)SANDBOX_SLOTS_MAX, "a slot for each id of a block");

static int fail(struct sandbox_host *h, const char *what, int e)
{
	(void)snprintf(h->failure, sizeof(h->failure), "%s: %s", what, strerror(-e));
	return e;
}

/* ---- /etc/subuid ---- */

static struct slice next_field(struct slice *rest, uint8_t separator)
{
	const uint8_t *end = rest->n == 0 ? NULL : memchr(rest->p, separator, rest->n);
	size_t n = end == NULL ? rest->n : (size_t)(end - rest->p);
	struct slice field = slice_of(rest->p, n);
	*rest = slice_skip(*rest, end == NULL ? n : n + 1);
	return field;
}

/* The first range of "name:start:count" lines that belongs to the user. */
static int find_range(
	const char *path, const char *user, uid_t uid, uint32_t *ret_start, uint32_t *ret_count)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	struct buffer text;
	buffer_init(&text, SUBID_FILE_MAX);
	int r = 0;
	for (;;) {
		r = buffer_reserve(&text, 4096);
		if (r < 0) {
			break;
		}
		ssize_t n = read(fd, text.p + text.n, 4096);
		if (n <= 0) {
			r = n < 0 ? -errno : -ENOENT;
			break;
		}
		text.n += (size_t)n;
	}
	(void)close(fd);

	char number[16];
	(void)snprintf(number, sizeof(number), "%u", (unsigned)uid);
	struct slice rest = buffer_slice(&text);
	while (r == -ENOENT && rest.n > 0) {
		struct slice line = next_field(&rest, '\n');
		struct slice name = next_field(&line, ':');
		struct slice start = next_field(&line, ':');
		uint64_t first;
		uint64_t count;
		if ((slice_eq(name, slice_str(user)) || slice_eq(name, slice_str(number))) &&
			slice_to_u64(start, UINT32_MAX - 1, &first) &&
			slice_to_u64(line, UINT32_MAX - 1, &count) && count > 0 &&
			first + count < UINT32_MAX) {
			*ret_start = (uint32_t)first;
			*ret_count = (uint32_t)count;
			r = 0;
		}
	}
	buffer_deinit(&text);
	return r;
}

int id_block_find(const char *subuid_path,
	const char *subgid_path,
	const char *user,
	uid_t uid,
	struct id_block *ret_block)
{
	uint32_t first_uid;
	uint32_t first_gid;
	uint32_t uids;
	uint32_t gids;
	int r = find_range(subuid_path, user, uid, &first_uid, &uids);
	if (r == 0) {
		r = find_range(subgid_path, user, uid, &first_gid, &gids);
	}
	if (r == 0) {
		*ret_block = (struct id_block){ first_uid, first_gid, uids < gids ? uids : gids };
	}
	return r;
}

static int own_block(uid_t uid, struct id_block *ret_block)
{
	char names[1024];
	struct passwd entry;
	struct passwd *found = NULL;
	(void)getpwuid_r(uid, &entry, names, sizeof(names), &found);
	return id_block_find(
		"/etc/subuid", "/etc/subgid", found != NULL ? found->pw_name : "", uid, ret_block);
}

/* ---- Making the namespace ---- */

/* The process that owns the new user namespace until its maps are written and it is kept. */
struct maker {
	pid_t pid;
	int socket; /* our end; a byte either way is "go on" */
};

static void write_string(const char *path, const char *text, bool *ret_ok)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(text);
	*ret_ok = fd >= 0 && write(fd, text, n) == (ssize_t)n;
	if (fd >= 0) {
		(void)close(fd);
	}
}

static _Noreturn void maker_run(const struct sandbox_host *h, int socket)
{
	char go = 1;
	if (identity_is_root() && h->uid != 0 &&
		(setgroups(0, NULL) < 0 || setresgid(h->gid, h->gid, h->gid) < 0 ||
			setresuid(h->uid, h->uid, h->uid) < 0)) {
		_exit(1);
	}
	/* Changing the ids made /proc/<pid> root's; the parent may be somebody else. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 || unshare(CLONE_NEWUSER) < 0 ||
		write(socket, &go, 1) != 1 || read(socket, &go, 1) != 1) {
		_exit(1);
	}
	bool forbidden;
	write_string("/proc/sys/user/max_user_namespaces", "0", &forbidden);
	go = forbidden ? 1 : 0;
	/* Then wait until the parent has opened /proc/<pid>/ns/user and closes its end. */
	_exit(write(socket, &go, 1) == 1 && read(socket, &go, 1) == 0 ? 0 : 1);
}

static int maker_start(struct maker *m, const struct sandbox_host *h)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	m->pid = fork();
	if (m->pid < 0) {
		int e = -errno;
		(void)close(pair[0]);
		(void)close(pair[1]);
		return e;
	}
	if (m->pid == 0) {
		(void)close(pair[0]);
		maker_run(h, pair[1]);
	}
	(void)close(pair[1]);
	m->socket = pair[0];
	char go;
	return read(m->socket, &go, 1) == 1 ? 0 : -EPERM;
}

static void maker_end(struct maker *m)
{
	if (m->pid > 0) {
		(void)close(m->socket);
		(void)kill(m->pid, SIGKILL);
		(void)waitpid(m->pid, NULL, 0);
	}
}

static int write_map(pid_t pid, const char *file, const char *text)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	size_t n = strlen(text);
	int e = write(fd, text, n) == (ssize_t)n ? 0 : -errno;
	(void)close(fd);
	return e;
}

/* The maps of a whole block, written by us: needs CAP_SETUID and CAP_SETGID. */
static int map_block(
	const struct sandbox_host *h, const struct maker *m, const struct id_block *block)
{
	char uids[96];
	char gids[96];
	(void)snprintf(uids, sizeof(uids), "0 %u 1\n1 %u %u\n", (unsigned)h->uid,
		(unsigned)block->first_uid, block->count);
	(void)snprintf(gids, sizeof(gids), "0 %u 1\n1 %u %u\n", (unsigned)h->gid,
		(unsigned)block->first_gid, block->count);
	int r = write_map(m->pid, "gid_map", gids);
	return r < 0 ? r : write_map(m->pid, "uid_map", uids);
}

/* The same by the system's set-user-id programs, for an ordinary user with a subordinate range. */
static int run_map_program(
	const char *program, pid_t pid, unsigned own, unsigned first, unsigned count)
{
	char args[4][16];
	(void)snprintf(args[0], sizeof(args[0]), "%d", pid);
	(void)snprintf(args[1], sizeof(args[1]), "%u", own);
	(void)snprintf(args[2], sizeof(args[2]), "%u", first);
	(void)snprintf(args[3], sizeof(args[3]), "%u", count);
	char name[32];
	char zero[] = "0";
	char one[] = "1";
	char one_again[] = "1";
	(void)snprintf(name, sizeof(name), "%s", program);
	char *argv[] = { name, args[0], zero, args[1], one, one_again, args[2], args[3], NULL };
	char *envp[] = { NULL };
	char path[64];
	(void)snprintf(path, sizeof(path), "/usr/bin/%s", program);
	pid_t child;
	int e = posix_spawn(&child, path, NULL, NULL, argv, envp);
	if (e != 0) {
		return -e;
	}
	int pidfd = pidfd_open(child, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	if (pidfd < 0 || poll(&p, 1, MAP_PROGRAM_TIMEOUT) != 1) {
		(void)kill(child, SIGKILL);
	}
	if (pidfd >= 0) {
		(void)close(pidfd);
	}
	int status;
	if (waitpid(child, &status, 0) != child) {
		return -errno;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

static int map_block_by_program(
	const struct sandbox_host *h, const struct maker *m, const struct id_block *block)
{
	int r = run_map_program("newgidmap", m->pid, h->gid, block->first_gid, block->count);
	return r < 0 ? r
		     : run_map_program("newuidmap", m->pid, h->uid, block->first_uid, block->count);
}

/* The own id alone, which anybody may map. */
static int map_single(const struct sandbox_host *h, const struct maker *m)
{
	char text[32];
	int r = write_map(m->pid, "setgroups", "deny");
	if (r == 0) {
		(void)snprintf(text, sizeof(text), "0 %u 1\n", (unsigned)h->gid);
		r = write_map(m->pid, "gid_map", text);
	}
	if (r == 0) {
		(void)snprintf(text, sizeof(text), "0 %u 1\n", (unsigned)h->uid);
		r = write_map(m->pid, "uid_map", text);
	}
	return r;
}

enum map_way { MAP_WRITE_BLOCK, MAP_PROGRAM, MAP_SINGLE, MAP_WAYS };

/* A map can be written only once, so each way gets a namespace of its own. */
static int try_way(
	struct sandbox_host *h, enum map_way way, const struct id_block *block, int *ret_ns)
{
	struct maker m = { 0 };
	int r = maker_start(&m, h);
	if (r < 0) {
		maker_end(&m);
		return fail(h, "no user namespace can be made", r);
	}
	switch (way) {
	case MAP_WRITE_BLOCK:
		r = map_block(h, &m, block);
		break;
	case MAP_PROGRAM:
		r = map_block_by_program(h, &m, block);
		break;
	case MAP_SINGLE:
	case MAP_WAYS:
		r = map_single(h, &m);
		break;
	}
	char go = 1;
	if (r == 0 && (write(m.socket, &go, 1) != 1 || read(m.socket, &go, 1) != 1)) {
		r = -EPIPE;
	}
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", m.pid);
	int fd = r < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (r == 0 && fd < 0) {
		r = -errno;
	}
	maker_end(&m);
	if (r < 0) {
		return fail(h, "the user namespace cannot be set up", r);
	}
	h->nested_user_ns = go == 0;
	*ret_ns = fd;
	return 0;
}

/* Cuts the range down to the part that is this pluginhost's alone.
 * @return false when others have it all. */
static bool take_block(struct sandbox_host *h, const char *name, struct id_block *block)
{
	char path[64];
	unsigned n = block->count / UID_WORKER_COUNT;
	if (identity_is_root()) {
		(void)snprintf(path, sizeof(path), "/run/mozaiks-uids.lock");
	} else {
		(void)snprintf(
			path, sizeof(path), "/tmp/mozaiks-uids-%u.lock", (unsigned)geteuid());
	}
	if (uid_block_claim(path, name, n == 0 ? 1 : n, &h->uid_block) < 0) {
		return false;
	}
	if (n > 0) {
		block->first_uid += h->uid_block.index * UID_WORKER_COUNT;
		block->first_gid += h->uid_block.index * UID_WORKER_COUNT;
		block->count = UID_WORKER_COUNT;
	}
	return true;
}

int user_ns_create(struct sandbox_host *h, const char *name)
{
	struct id_block block = { UID_WORKER_FIRST, UID_WORKER_FIRST,
		UID_WORKER_COUNT * UID_WORKER_BLOCKS };
	bool listed = !identity_is_root() && own_block(h->uid, &block) == 0;
	bool ours = take_block(h, name, &block);
	int r = -EPERM;
	for (enum map_way way = MAP_WRITE_BLOCK; way < MAP_WAYS; way++) {
		if ((way == MAP_PROGRAM && !listed) || (way != MAP_SINGLE && !ours)) {
			continue;
		}
		r = try_way(h, way, &block, &h->user_ns);
		if (r == 0) {
			h->uids = way == MAP_SINGLE ? SANDBOX_UIDS_SINGLE : SANDBOX_UIDS_BLOCK;
			h->first_uid = way == MAP_SINGLE ? h->uid : block.first_uid;
			h->n_slots = way == MAP_SINGLE ? SANDBOX_SLOTS_MAX : block.count;
			if (way == MAP_SINGLE) {
				uid_block_release(&h->uid_block);
			}
			return 0;
		}
	}
	return r;
}

/* ---- Entering ---- */

const char *namespaces_enter_zygote(int user_ns, enum sandbox_uids uids, int dir_fd)
{
	if (setns(user_ns, CLONE_NEWUSER) < 0) {
		return "setns(user)";
	}
	/* The ids stay pluginhost's, which are 0 here. Groups can be cleared only where the map was
	 * written with privileges. */
	if (uids == SANDBOX_UIDS_BLOCK && syscall(SYS_setgroups, 0, NULL) < 0) {
		return "setgroups";
	}
	if (syscall(SYS_setresgid, 0, 0, 0) < 0) {
		return "setresgid";
	}
	if (syscall(SYS_setresuid, 0, 0, 0) < 0) {
		return "setresuid";
	}
	if (dir_fd >= 0 && fchdir(dir_fd) < 0) {
		return "fchdir";
	}
	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
		    CLONE_NEWCGROUP) < 0) {
		return "unshare";
	}
	return NULL;
}

const char *namespaces_enter_worker(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) <
		0) {
		return "unshare";
	}
	return NULL;
}
