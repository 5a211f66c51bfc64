#include "pluginhost/zygote.h"

#include "common/base/map.h"
#include "pluginhost/launch.h"
#include "pluginhost/sandbox/descriptors.h"
#include "pluginhost/sandbox/namespaces.h"
#include "pluginhost/zygote_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Workers are the first to go when the machine is out of memory. */
#define WORKER_OOM_SCORE "500"

enum { QUEUE_TURN = 64 };

struct worker {
	uint64_t id;
	unsigned slot;
	struct worker_limits limits;
	int birth; /* our end of the birth socket; -1 once it is closed */
	int pidfd; /* -1 until it is born */
	pid_t pid; /* in our PID namespace */
	int inner; /* in the zygote's: what WIRE_REAPED names */
	struct cgroup cgroup;
	bool kill_wanted;
	bool started;
	bool refused; /* the sandbox could not be built: `text` */
	char text[sizeof(((struct wire_birth *)NULL)->text)];
	UT_hash_handle hh;
};

struct queued {
	struct zygote_event event;
	char report[sizeof(((struct wire_birth *)NULL)->text)];
	struct queued *prev;
	struct queued *next;
};

struct zygote {
	struct sandbox_host *host;
	enum worker_flavour flavour;
	int epoll;
	int control;
	int pidfd;
	bool ended; /* reaped; ZYGOTE_ENDED is queued */
	bool stopping;
	char message[192]; /* why it broke */
	struct worker *workers;
	struct queued *queue;
	struct queued *current; /* what the caller's event points into */
};

static void close_fd(int *fd)
{
	if (*fd >= 0) {
		(void)close(*fd);
		*fd = -1;
	}
}

const char *worker_end_name(enum worker_end reason)
{
	static const char *const names[] = {
		[WORKER_ENDED_EXIT] = "exit",
		[WORKER_ENDED_SIGNAL] = "signal",
		[WORKER_ENDED_OOM] = "oom",
		[WORKER_ENDED_SANDBOX] = "sandbox",
		[WORKER_ENDED_START] = "start",
		[WORKER_ENDED_KILLED] = "killed",
	};
	return names[reason];
}

/* ---- Events for the caller ---- */

static struct queued *enqueue(struct zygote *z, enum zygote_event_type type)
{
	struct queued *q = calloc(1, sizeof(*q));
	if (q != NULL) {
		q->event.type = type;
		DL_APPEND(z->queue, q);
	}
	return q;
}

/* ---- Workers ---- */

static struct worker *find_worker(struct zygote *z, uint64_t id)
{
	struct worker *w = NULL;
	HASH_FIND(hh, z->workers, &id, sizeof(id), w);
	return w;
}

static void watch(struct zygote *z, int fd, void *what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };
	(void)epoll_ctl(z->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void kill_now(const struct worker *w)
{
	if (w->pidfd >= 0) {
		(void)syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
	}
}

/* The sandbox cannot be what it should be: the worker must not run. */
static void refuse(struct worker *w, const char *what, int e)
{
	w->refused = true;
	(void)snprintf(w->text, sizeof(w->text), "%s: %s", what, strerror(-e));
	kill_now(w);
}

static void worker_free(struct zygote *z, struct worker *w)
{
	HASH_DEL(z->workers, w);
	close_fd(&w->birth);
	close_fd(&w->pidfd);
	(void)cgroup_remove(&z->host->cgroup, &w->cgroup);
	sandbox_slot_release(z->host, w->slot);
	free(w);
}

static enum worker_end end_reason(
	const struct worker *w, int status, const struct cgroup_usage *usage)
{
	if (w->refused || (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_SANDBOX)) {
		return WORKER_ENDED_SANDBOX;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && usage->oom_kills > 0) {
		return WORKER_ENDED_OOM;
	}
	/* The director has a worker killed as soon as its channel closes: one that died of something
	 * else keeps its own reason. */
	if (w->kill_wanted && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		return WORKER_ENDED_KILLED;
	}
	return WIFSIGNALED(status) ? WORKER_ENDED_SIGNAL : WORKER_ENDED_EXIT;
}

static void on_birth(struct zygote *z, struct worker *w);

/* The last of a worker: everything it held is given back, and the caller hears of it. */
static void worker_end(struct zygote *z, struct worker *w, int status)
{
	if (w->birth >= 0) {
		on_birth(z, w);
	}
	struct queued *q = enqueue(z, ZYGOTE_WORKER_EXITED);
	if (q != NULL) {
		struct zygote_event *e = &q->event;
		e->worker_id = w->id;
		e->pid = w->pid;
		cgroup_usage(&z->host->cgroup, &w->cgroup, &e->usage);
		e->reason = end_reason(w, status, &e->usage);
		e->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
		e->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
		(void)snprintf(e->message, sizeof(e->message), "%.*s",
			(int)(sizeof(e->message) - 1), w->refused ? w->text : "");
	}
	worker_free(z, w);
}

/* A worker that never was. */
static void worker_failed(struct zygote *z, struct worker *w, const char *message)
{
	struct queued *q = enqueue(z, ZYGOTE_WORKER_EXITED);
	if (q != NULL) {
		q->event.worker_id = w->id;
		q->event.reason = w->kill_wanted ? WORKER_ENDED_KILLED : WORKER_ENDED_START;
		(void)snprintf(q->event.message, sizeof(q->event.message), "%s", message);
	}
	worker_free(z, w);
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

/* While the worker still is our own user: later we may not. Best effort. */
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

/* Puts it into its cgroup and lets it go on. */
static void worker_born(struct zygote *z, struct worker *w, int inner, int pidfd)
{
	w->inner = inner;
	w->pidfd = pidfd;
	w->pid = pidfd_pid(pidfd);
	if (w->kill_wanted) {
		kill_now(w);
		return;
	}
	if (w->pid <= 0) {
		refuse(w, "the worker's pid cannot be told", -ESRCH);
		return;
	}
	prefer_for_oom(w->pid);
	int e = cgroup_create(&z->host->cgroup, &w->cgroup, w->id, &w->limits);
	if (e == 0) {
		e = cgroup_enter(&z->host->cgroup, &w->cgroup, w->pid);
	}
	if (e < 0) {
		refuse(w, "cgroup", e);
		return;
	}
	const struct wire_release release = { z->host->cgroup.kind };
	e = wire_send(w->birth, &release, sizeof(release), NULL, 0);
	if (e < 0) {
		refuse(w, "release", e);
	}
}

static void on_birth(struct zygote *z, struct worker *w)
{
	struct wire_birth birth;
	int r = wire_receive(w->birth, &birth, sizeof(birth), NULL, 0, NULL);
	if (r == -EAGAIN) {
		return;
	}
	if (r == 1) {
		birth.text[sizeof(birth.text) - 1] = '\0';
	}
	if (r == 1 && birth.type == BIRTH_FAILED) {
		w->refused = true;
		memcpy(w->text, birth.text, sizeof(w->text));
	} else if (r == 1 && !w->started) {
		w->started = true;
		struct queued *q = enqueue(z, ZYGOTE_WORKER_STARTED);
		if (q != NULL) {
			q->event.worker_id = w->id;
			q->event.pid = w->pid;
			memcpy(q->report, birth.text, sizeof(q->report));
			q->event.report = slice_str(q->report);
		}
	}
	/* One packet is all there is. */
	close_fd(&w->birth);
}

/* ---- The zygote's messages ---- */

static struct worker *find_inner(struct zygote *z, int inner)
{
	for (struct worker *w = z->workers; w != NULL; w = w->hh.next) {
		if (w->inner == inner) {
			return w;
		}
	}
	return NULL;
}

static void handle_event(struct zygote *z, struct wire_event *event, int pidfd)
{
	event->message[sizeof(event->message) - 1] = '\0';
	struct worker *w = find_worker(z, event->worker_id);
	switch (event->type) {
	case WIRE_SERVING:
		(void)enqueue(z, ZYGOTE_READY);
		break;
	case WIRE_BROKEN:
		memcpy(z->message, event->message, sizeof(z->message));
		break;
	case WIRE_BORN:
		if (w != NULL && w->pidfd < 0 && pidfd >= 0) {
			worker_born(z, w, event->pid, pidfd);
			pidfd = -1;
		}
		break;
	case WIRE_FAILED:
		if (w != NULL) {
			worker_failed(z, w, event->message);
		}
		break;
	case WIRE_REAPED:
		w = find_inner(z, event->pid);
		if (w != NULL) {
			worker_end(z, w, event->status);
		}
		break;
	case WIRE_FORKED:
		break;
	}
	close_fd(&pidfd);
}

static void on_control(struct zygote *z)
{
	for (int i = 0; i < QUEUE_TURN && z->control >= 0; i++) {
		struct wire_event event;
		int pidfd = -1;
		unsigned n_fds;
		int r = wire_receive(z->control, &event, sizeof(event), &pidfd, 1, &n_fds);
		if (r == -EAGAIN) {
			return;
		}
		if (r <= 0) {
			/* Its end follows by the pidfd. */
			close_fd(&z->control);
			zygote_stop(z);
			return;
		}
		handle_event(z, &event, pidfd);
	}
}

/* The zygote is gone, and so is, with its PID namespace, every worker. */
static void on_end(struct zygote *z)
{
	siginfo_t info = { 0 };
	if (z->ended || waitid(P_PIDFD, (id_t)z->pidfd, &info, WEXITED | WNOHANG) < 0 ||
		info.si_pid == 0) {
		return;
	}
	/* What it said last is still in the socket. */
	while (z->control >= 0) {
		on_control(z);
		if (z->control >= 0 && recv(z->control, NULL, 0, MSG_PEEK | MSG_DONTWAIT) <= 0) {
			close_fd(&z->control);
		}
	}
	z->ended = true;
	struct worker *w;
	struct worker *next;
	HASH_ITER (hh, z->workers, w, next) {
		w->kill_wanted = true;
		if (w->pidfd >= 0) {
			worker_end(z, w, SIGKILL);
		} else {
			worker_failed(z, w, "the zygote ended");
		}
	}
	struct queued *q = enqueue(z, ZYGOTE_ENDED);
	if (q != NULL) {
		q->event.signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
		q->event.status = info.si_code == CLD_EXITED ? info.si_status : 0;
		memcpy(q->event.message, z->message, sizeof(z->message));
	}
}

/* ---- Starting ---- */

static _Noreturn void pre_exec_failed(int control, const char *what)
{
	struct wire_event event = { .type = WIRE_BROKEN };
	(void)snprintf(event.message, sizeof(event.message), "%s: %s", what, strerror(errno));
	(void)wire_send(control, &event, sizeof(event), NULL, 0);
	_exit(WORKER_EXIT_SANDBOX);
}

/* In the first child: into the namespaces; then the zygote is forked, as a child of pluginhost and
 * not of this process, and exec'ed. Only async-signal-safe calls. */
static _Noreturn void enter_and_exec(const struct zygote_config *config, int control, int null_fd)
{
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	struct sigaction usual = { .sa_handler = SIG_DFL };
	for (int s = 1; s < NSIG; s++) {
		(void)sigaction(s, &usual, NULL);
	}
	const char *failed = namespaces_enter_zygote(config->host->user_ns, config->host->uids,
		config->flavour == WORKER_PYTHON ? config->python_fd : -1);
	if (failed != NULL) {
		pre_exec_failed(control, failed);
	}
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0) {
		pre_exec_failed(control, "clone");
	}
	if (pid > 0) {
		struct wire_event event = { .type = WIRE_FORKED, .pid = (int)pid };
		_exit(wire_send(control, &event, sizeof(event), NULL, 0) == 0 ? 0 : 1);
	}
	const int fds[ZYGOTE_FDS] = { null_fd, config->log_fd, config->log_fd, control,
		config->program_fd };
	if (descriptors_arrange(fds, ZYGOTE_FDS) < 0) {
		pre_exec_failed(control, "descriptors");
	}
	static char name[] = "mozaiks-zygote";
	static char role[] = ROLE_ZYGOTE;
	char *argv[] = { name, role, NULL };
	char *envp[] = { NULL };
	(void)syscall(SYS_execveat, ZYGOTE_FD_PROGRAM, "", argv, envp, AT_EMPTY_PATH);
	pre_exec_failed(ZYGOTE_FD_CONTROL, "exec");
}

/* @return the zygote's pid, or a negative errno. */
static pid_t fork_zygote(
	const struct zygote_config *config, int control, int peer, char *message, size_t size)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t middle = null_fd < 0 ? -1 : fork();
	if (middle < 0) {
		int e = -errno;
		close_fd(&null_fd);
		return e;
	}
	if (middle == 0) {
		enter_and_exec(config, peer, null_fd);
	}
	(void)close(null_fd);
	while (waitpid(middle, NULL, 0) < 0 && errno == EINTR) {
	}
	struct wire_event event;
	int r = wire_receive(control, &event, sizeof(event), NULL, 0, NULL);
	if (r == 1 && event.type == WIRE_FORKED) {
		return event.pid;
	}
	if (r == 1 && event.type == WIRE_BROKEN) {
		(void)snprintf(
			message, size, "%.*s", (int)(sizeof(event.message) - 1), event.message);
	}
	return -EPERM;
}

static int send_config(const struct zygote *z, const struct zygote_config *config)
{
	const struct sandbox_host *h = config->host;
	struct wire_config wire = {
		.flavour = config->flavour,
		.uids = h->uids,
		.first_uid = h->first_uid,
		.landlock_abi = h->landlock_abi,
		.tier = sandbox_host_tier(h),
	};
	int n = snprintf(
		wire.snapshots_path, sizeof(wire.snapshots_path), "%s", config->snapshots_path);
	if (n < 0 || (size_t)n >= sizeof(wire.snapshots_path)) {
		return -ENAMETOOLONG;
	}
	return wire_send(z->control, &wire, sizeof(wire), NULL, 0);
}

int zygote_start(const struct zygote_config *config, struct zygote **ret_zygote)
{
	int pair[2];
	struct zygote *z = calloc(1, sizeof(*z));
	if (z == NULL) {
		return -ENOMEM;
	}
	*z = (struct zygote){
		.host = config->host, .flavour = config->flavour, .control = -1, .pidfd = -1
	};
	z->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (z->epoll < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		int e = -errno;
		zygote_free(z);
		return e;
	}
	z->control = pair[0];
	int e = fcntl(z->control, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	pid_t pid = e < 0
		? e
		: fork_zygote(config, z->control, pair[1], z->message, sizeof(z->message));
	(void)close(pair[1]);
	z->pidfd = pid < 0 ? -1 : pidfd_open(pid, 0);
	e = pid < 0 ? pid : z->pidfd < 0 ? -errno : send_config(z, config);
	if (e < 0) {
		zygote_free(z);
		return e;
	}
	watch(z, z->control, &z->control);
	watch(z, z->pidfd, &z->pidfd);
	*ret_zygote = z;
	return 0;
}

int zygote_fd(const struct zygote *z)
{
	return z->epoll;
}

unsigned zygote_workers(const struct zygote *z)
{
	return HASH_COUNT(z->workers);
}

/* ---- Requests ---- */

static int fill_start(struct wire_start *wire, const struct worker_start *start)
{
	struct slice plugin = slice_str(start->plugin);
	struct slice version = slice_str(start->version);
	if (!slice_is_name(plugin, WORKER_PLUGIN_MAX) ||
		!slice_is_name(version, WORKER_VERSION_MAX) || plugin.p[0] == '.' ||
		version.p[0] == '.') {
		return -EINVAL;
	}
	wire->worker_id = start->worker_id;
	wire->profile = start->profile;
	wire->limits = start->limits;
	sandbox_limits_fill(sandbox_profile(start->profile), &wire->limits);
	memcpy(wire->plugin, plugin.p, plugin.n);
	memcpy(wire->version, version.p, version.n);
	return 0;
}

static int worker_new(
	struct zygote *z, const struct wire_start *wire, struct worker **ret_worker, int *ret_birth)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	struct worker *w = calloc(1, sizeof(*w));
	int e = w == NULL ? -ENOMEM : sandbox_slot_take(z->host, &w->slot);
	if (e == 0) {
		w->id = wire->worker_id;
		w->limits = wire->limits;
		w->birth = pair[0];
		w->pidfd = -1;
		w->inner = -1;
		HASH_ADD(hh, z->workers, id, sizeof(w->id), w);
		if (w->hh.tbl == NULL) {
			sandbox_slot_release(z->host, w->slot);
			e = -ENOMEM;
		}
	}
	if (e == 0 && fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0) {
		e = -errno;
		HASH_DEL(z->workers, w);
		sandbox_slot_release(z->host, w->slot);
	}
	if (e < 0) {
		(void)close(pair[0]);
		(void)close(pair[1]);
		free(w);
		return e;
	}
	*ret_worker = w;
	*ret_birth = pair[1];
	return 0;
}

int zygote_start_worker(struct zygote *z, const struct worker_start *start)
{
	struct wire_start wire = { 0 };
	int e = fill_start(&wire, start);
	if (e < 0 || find_worker(z, start->worker_id) != NULL ||
		sandbox_profile(start->profile)->flavour != z->flavour) {
		return -EINVAL;
	}
	if (z->control < 0 || z->stopping) {
		return -EPIPE;
	}
	struct worker *w;
	int birth;
	e = worker_new(z, &wire, &w, &birth);
	if (e < 0) {
		return e;
	}
	wire.slot = w->slot;
	const int fds[START_FDS] = {
		[START_CHANNEL] = start->channel_fd,
		[START_STDOUT] = start->stdout_fd,
		[START_STDERR] = start->stderr_fd,
		[START_BIRTH] = birth,
	};
	e = wire_send(z->control, &wire, sizeof(wire), fds, START_FDS);
	(void)close(birth);
	if (e < 0) {
		worker_free(z, w);
		return e;
	}
	watch(z, w->birth, w);
	return 0;
}

int zygote_kill_worker(struct zygote *z, uint64_t worker_id)
{
	struct worker *w = find_worker(z, worker_id);
	if (w == NULL) {
		return -ESRCH;
	}
	w->kill_wanted = true;
	kill_now(w);
	return 0;
}

int zygote_limit_worker(struct zygote *z, uint64_t worker_id, const struct worker_limits *limits)
{
	struct worker *w = find_worker(z, worker_id);
	return w == NULL ? -ESRCH : cgroup_limit(&z->host->cgroup, &w->cgroup, limits);
}

int zygote_worker_usage(struct zygote *z, uint64_t worker_id, struct cgroup_usage *ret_usage)
{
	struct worker *w = find_worker(z, worker_id);
	if (w == NULL) {
		return -ESRCH;
	}
	cgroup_usage(&z->host->cgroup, &w->cgroup, ret_usage);
	return 0;
}

/* ---- Events ---- */

static int collect(struct zygote *z)
{
	struct epoll_event events[QUEUE_TURN];
	int n = epoll_wait(z->epoll, events, QUEUE_TURN, 0);
	if (n < 0) {
		return errno == EINTR ? 0 : -errno;
	}
	bool control = false;
	bool end = false;
	/* Births first: what follows may free workers. */
	for (int i = 0; i < n; i++) {
		void *what = events[i].data.ptr;
		control |= what == &z->control;
		end |= what == &z->pidfd;
		if (what != &z->control && what != &z->pidfd) {
			on_birth(z, what);
		}
	}
	if (control) {
		on_control(z);
	}
	if (end) {
		on_end(z);
	}
	return 0;
}

int zygote_next_event(struct zygote *z, struct zygote_event *ret_event)
{
	free(z->current);
	z->current = NULL;
	if (z->queue == NULL && !z->ended) {
		int e = collect(z);
		if (e < 0) {
			return e;
		}
	}
	if (z->queue == NULL) {
		return 0;
	}
	z->current = z->queue;
	DL_DELETE(z->queue, z->current);
	*ret_event = z->current->event;
	return 1;
}

void zygote_stop(struct zygote *z)
{
	z->stopping = true;
	if (z->pidfd >= 0 && !z->ended) {
		(void)syscall(SYS_pidfd_send_signal, z->pidfd, SIGKILL, NULL, 0);
	}
}

void zygote_free(struct zygote *z)
{
	if (z == NULL) {
		return;
	}
	zygote_stop(z);
	if (z->pidfd >= 0 && !z->ended) {
		siginfo_t info;
		while (waitid(P_PIDFD, (id_t)z->pidfd, &info, WEXITED) < 0 && errno == EINTR) {
		}
	}
	struct worker *w;
	struct worker *next_worker;
	HASH_ITER (hh, z->workers, w, next_worker) {
		worker_free(z, w);
	}
	struct queued *q;
	struct queued *next;
	DL_FOREACH_SAFE (z->queue, q, next) {
		DL_DELETE(z->queue, q);
		free(q);
	}
	free(z->current);
	close_fd(&z->control);
	close_fd(&z->pidfd);
	close_fd(&z->epoll);
	free(z);
}
