#include "pluginhost/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Workers are the first to go when the machine is out of memory. */
#define WORKER_OOM_SCORE "500"

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
}

static void close_start(struct process *p)
{
	for (int i = 0; i < START_FDS; i++) {
		close_fd(&p->fds[i]);
	}
}

int process_new(struct sandbox_host *host,
	enum process_role role,
	struct process **ret_process,
	int *ret_birth)
{
	int pair[2];
	struct process *p = calloc(1, sizeof(*p));
	if (p == NULL) {
		return -ENOMEM;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		int e = -errno;
		free(p);
		return e;
	}
	int e = fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0 ? -errno
							: sandbox_slot_take(host, &p->slot);
	if (e < 0) {
		(void)close(pair[0]);
		(void)close(pair[1]);
		free(p);
		return e;
	}
	p->number = ++host->last_number;
	p->role = role;
	p->birth = pair[0];
	p->pidfd = -1;
	p->inner = -1;
	for (int i = 0; i < START_FDS; i++) {
		p->fds[i] = -1;
	}
	*ret_process = p;
	*ret_birth = pair[1];
	return 0;
}

void process_free(struct sandbox_host *host, struct process *p)
{
	close_start(p);
	close_fd(&p->birth);
	close_fd(&p->pidfd);
	(void)cgroup_remove(&host->cgroup, &p->cgroup);
	sandbox_slot_release(host, p->slot);
	free(p);
}

int process_assign(struct process *p, const struct wire_start *start, const int fds[START_FDS])
{
	for (int i = 0; i < START_FDS; i++) {
		p->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (p->fds[i] < 0) {
			int e = -errno;
			close_start(p);
			return e;
		}
	}
	p->start = *start;
	p->assigned = true;
	return 0;
}

void process_take_start(struct process *p, struct process *from)
{
	p->start = from->start;
	p->assigned = from->assigned;
	from->assigned = false;
	for (int i = 0; i < START_FDS; i++) {
		p->fds[i] = from->fds[i];
		from->fds[i] = -1;
	}
}

int process_limit_later(struct process *p, const struct worker_limits *limits)
{
	struct worker_limits *l = &p->start.limits;
	l->memory_bytes = limits->memory_bytes != 0 ? limits->memory_bytes : l->memory_bytes;
	l->processes = limits->processes != 0 ? limits->processes : l->processes;
	l->cpu_percent = limits->cpu_percent != 0 ? limits->cpu_percent : l->cpu_percent;
	return 0;
}

static void kill_now(const struct process *p)
{
	if (p->pidfd >= 0) {
		(void)syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
	}
}

void process_kill(struct process *p)
{
	p->kill_wanted = true;
	if (p->state != PROCESS_ASKED) {
		p->state = PROCESS_DOOMED;
		kill_now(p);
	}
}

void process_refuse(struct process *p, const char *what, int e)
{
	p->refused = true;
	p->state = PROCESS_DOOMED;
	(void)snprintf(p->text, sizeof(p->text), "%s: %s", what, strerror(-e));
	kill_now(p);
}

/* The pid behind a pidfd, in our own PID namespace. */
static pid_t pidfd_pid(int pidfd)
{
	char path[64];
	char text[512];
	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0) {
		(void)close(fd);
	}
	if (n <= 0) {
		return -1;
	}
	text[n] = '\0';
	const char *line = strstr(text, "\nPid:\t");
	return line == NULL ? -1 : (pid_t)strtol(line + 6, NULL, 10);
}

/* While the process still is our own user: later we may not. Best effort. */
static void prefer_for_oom(pid_t pid)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = write(fd, WORKER_OOM_SCORE, sizeof(WORKER_OOM_SCORE) - 1);
		(void)n;
		(void)close(fd);
	}
}

void process_born(struct sandbox_host *host,
	struct process *p,
	const struct worker_limits *limits,
	int inner,
	int pidfd)
{
	p->inner = inner;
	p->pidfd = pidfd;
	p->pid = pidfd_pid(pidfd);
	p->state = PROCESS_WAITING;
	if (p->kill_wanted) {
		process_kill(p);
		return;
	}
	if (p->pid <= 0) {
		process_refuse(p, "the worker's pid cannot be told", -ESRCH);
		return;
	}
	prefer_for_oom(p->pid);
	int e = cgroup_create(&host->cgroup, &p->cgroup, p->number, limits);
	if (e == 0) {
		e = cgroup_enter(&host->cgroup, &p->cgroup, p->pid);
	}
	if (e < 0) {
		process_refuse(p, "cgroup", e);
	}
}

int process_give(struct sandbox_host *host, struct process *p)
{
	int e = cgroup_limit(&host->cgroup, &p->cgroup, &p->start.limits);
	if (e < 0 && e != -ENOTSUP) {
		process_refuse(p, "cgroup limits", e);
		return e;
	}
	p->start.cgroup = host->cgroup.kind;
	e = wire_send(p->birth, &p->start, sizeof(p->start), p->fds, START_FDS);
	if (e == -EPIPE || e == -ECONNRESET) {
		p->state = PROCESS_DOOMED;
		return -EPIPE;
	}
	close_start(p);
	if (e < 0) {
		process_refuse(p, "release", e);
		return e;
	}
	p->state = PROCESS_STARTING;
	return 0;
}

bool process_on_birth(struct process *p)
{
	struct wire_birth birth;
	int r = wire_receive(p->birth, &birth, sizeof(birth), NULL, 0, NULL);
	if (r == -EAGAIN) {
		return false;
	}
	bool finished = false;
	if (r == 1) {
		birth.text[sizeof(birth.text) - 1] = '\0';
		memcpy(p->text, birth.text, sizeof(p->text));
		p->refused = birth.type == BIRTH_FAILED;
		finished = birth.type == BIRTH_DONE;
	}
	if (finished && p->state == PROCESS_STARTING) {
		p->state = PROCESS_RUNNING;
	}
	/* One packet is all there is. */
	close_fd(&p->birth);
	return finished;
}

enum worker_end process_end_reason(
	const struct process *p, int status, const struct cgroup_usage *usage)
{
	if (p->refused || (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_SANDBOX)) {
		return WORKER_ENDED_SANDBOX;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && usage->oom_kills > 0) {
		return WORKER_ENDED_OOM;
	}
	/* The director has a worker killed as soon as its channel closes: one that died of something
	 * else keeps its own reason. */
	if (p->kill_wanted && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		return WORKER_ENDED_KILLED;
	}
	return WIFSIGNALED(status) ? WORKER_ENDED_SIGNAL : WORKER_ENDED_EXIT;
}
