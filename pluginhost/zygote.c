#include "pluginhost/zygote.h"

#include "common/base/map.h"
#include "pluginhost/launch.h"
#include "pluginhost/process.h"
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

enum {
	QUEUE_TURN = 64,
	/* Slots of the uid block that spares leave to those who have a plugin. */
	SPARE_SLOTS_LEFT = 8,
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
	bool serving;      /* the canaries have sung: STARTs are given out */
	unsigned canaries; /* that have not ended yet */
	bool ended;        /* reaped; ZYGOTE_ENDED is queued */
	bool stopping;
	bool unsafe;       /* a canary found a hole: `message` */
	char message[192]; /* why it broke */
	struct process *processes;
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
		[WORKER_ENDED_ZYGOTE] = "zygote",
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

static void watch(struct zygote *z, int fd, void *what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = what };
	(void)epoll_ctl(z->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void zygote_kill(const struct zygote *z)
{
	if (z->pidfd >= 0 && !z->ended) {
		(void)syscall(SYS_pidfd_send_signal, z->pidfd, SIGKILL, NULL, 0);
	}
}

/* ---- Processes ---- */

static struct process *find_worker(struct zygote *z, uint64_t worker_id)
{
	for (struct process *p = z->processes; p != NULL; p = p->hh.next) {
		if (p->role == PROCESS_WORKER && p->worker_id == worker_id) {
			return p;
		}
	}
	return NULL;
}

static struct process *find_inner(struct zygote *z, int inner)
{
	for (struct process *p = z->processes; p != NULL; p = p->hh.next) {
		if (p->inner == inner) {
			return p;
		}
	}
	return NULL;
}

/* The one that will be ready first. */
static struct process *find_spare(struct zygote *z)
{
	struct process *found = NULL;
	for (struct process *p = z->processes; p != NULL; p = p->hh.next) {
		if (p->role != PROCESS_SPARE || p->kill_wanted) {
			continue;
		}
		if (p->state == PROCESS_WAITING) {
			return p;
		}
		if (p->state == PROCESS_ASKED && found == NULL) {
			found = p;
		}
	}
	return found;
}

static unsigned count(const struct zygote *z, enum process_role role, enum process_state last)
{
	unsigned n = 0;
	for (const struct process *p = z->processes; p != NULL; p = p->hh.next) {
		n += p->role == role && p->state <= last;
	}
	return n;
}

static void process_drop(struct zygote *z, struct process *p)
{
	HASH_DEL(z->processes, p);
	process_free(z->host, p);
}

/* Has the zygote fork one. */
static int process_ask(struct zygote *z, enum process_role role, struct process **ret_process)
{
	struct process *p;
	int birth;
	int e = process_new(z->host, role, &p, &birth);
	if (e < 0) {
		return e;
	}
	HASH_ADD(hh, z->processes, number, sizeof(p->number), p);
	if (p->hh.tbl == NULL) {
		(void)close(birth);
		process_free(z->host, p);
		return -ENOMEM;
	}
	const struct wire_fork asked = { .number = p->number, .slot = p->slot };
	e = wire_send(z->control, &asked, sizeof(asked), &birth, 1);
	(void)close(birth);
	if (e < 0) {
		process_drop(z, p);
		return e;
	}
	watch(z, p->birth, p);
	*ret_process = p;
	return 0;
}

/* Gives a START to who waits for it. A spare that has died meanwhile is replaced: its START is not
 * lost, and its end is its own. */
static void process_go(struct zygote *z, struct process *p)
{
	bool open = z->serving || p->role == PROCESS_CANARY;
	while (open && p->assigned && p->state == PROCESS_WAITING &&
		process_give(z->host, p) == -EPIPE) {
		struct process *next = find_spare(z);
		int e = next == NULL ? process_ask(z, PROCESS_SPARE, &next) : 0;
		if (e < 0) {
			process_refuse(p, "a process for it", e);
			return;
		}
		process_take_start(next, p);
		next->role = p->role;
		next->worker_id = p->worker_id;
		next->kill_wanted = p->kill_wanted;
		p->role = PROCESS_SPARE;
		p->worker_id = 0;
		p = next;
	}
}

/* ---- The canaries ---- */

static int canary_start(struct zygote *z, enum worker_profile profile)
{
	struct wire_start start = { .profile = profile, .canary = true };
	struct process *p = NULL;
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int e = null_fd < 0 ? -errno : process_ask(z, PROCESS_CANARY, &p);
	if (e == 0) {
		const int fds[START_FDS] = { null_fd, null_fd, null_fd };
		(void)snprintf(start.plugin, sizeof(start.plugin), "canary");
		sandbox_limits_fill(sandbox_profile(profile), &start.limits);
		z->canaries++;
		e = process_assign(p, &start, fds);
	}
	close_fd(&null_fd);
	return e;
}

static void canary_failed(struct zygote *z, const char *why)
{
	if (!z->unsafe) {
		(void)snprintf(z->message, sizeof(z->message), "the sandbox does not hold: %.*s",
			(int)sizeof(z->message) / 2, why);
	}
	z->unsafe = true;
	zygote_kill(z);
}

/* One per profile; the last one to end well opens the doors. */
static void canaries_start(struct zygote *z)
{
	static const enum worker_profile all[] = { PROFILE_PYTHON, PROFILE_NATIVE,
		PROFILE_NATIVE_NOFS };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int e = sandbox_profile(all[i])->flavour == z->flavour ? canary_start(z, all[i])
								       : 0;
		if (e < 0) {
			canary_failed(z, strerror(-e));
		}
	}
}

static void canary_ended(struct zygote *z, const struct process *p, int status)
{
	bool ok = p->state == PROCESS_RUNNING && !p->refused && status == 0;
	z->canaries--;
	if (!ok) {
		canary_failed(z, p->refused ? p->text : "the self-test was not finished");
		return;
	}
	if (z->canaries > 0 || z->unsafe) {
		return;
	}
	z->serving = true;
	(void)enqueue(z, ZYGOTE_READY);
	struct process *next;
	struct process *waiting;
	HASH_ITER (hh, z->processes, waiting, next) {
		process_go(z, waiting);
	}
}

/* ---- Ends ---- */

static void on_birth(struct zygote *z, struct process *p)
{
	if (!process_on_birth(p) || p->role != PROCESS_WORKER) {
		return;
	}
	struct queued *q = enqueue(z, ZYGOTE_WORKER_STARTED);
	if (q != NULL) {
		q->event.worker_id = p->worker_id;
		q->event.pid = p->pid;
		memcpy(q->report, p->text, sizeof(q->report));
		q->event.report = slice_str(q->report);
	}
}

static void fill_end(struct zygote_event *e, const struct process *p, int status)
{
	e->worker_id = p->worker_id;
	e->pid = p->pid;
	e->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	e->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	(void)snprintf(e->message, sizeof(e->message), "%.*s", (int)(sizeof(e->message) - 1),
		p->refused ? p->text : "");
}

/* The last of a process: everything it held is given back, and who is concerned hears of it. */
static void process_end(struct zygote *z, struct process *p, int status)
{
	if (p->birth >= 0) {
		on_birth(z, p);
	}
	if (p->role == PROCESS_CANARY) {
		/* What follows may start processes, but ends none. */
		canary_ended(z, p, status);
		process_drop(z, p);
		return;
	}
	bool spare = p->role == PROCESS_SPARE;
	struct queued *q = enqueue(z, spare ? ZYGOTE_SPARE_ENDED : ZYGOTE_WORKER_EXITED);
	if (q != NULL) {
		struct zygote_event *e = &q->event;
		fill_end(e, p, status);
		cgroup_usage(&z->host->cgroup, &p->cgroup, &e->usage);
		e->reason = process_end_reason(p, status, &e->usage);
	}
	process_drop(z, p);
}

/* A process that never was. */
static void process_failed(struct zygote *z, struct process *p, const char *message)
{
	if (p->role == PROCESS_CANARY) {
		z->canaries--;
		canary_failed(z, message);
		process_drop(z, p);
		return;
	}
	bool spare = p->role == PROCESS_SPARE;
	struct queued *q = enqueue(z, spare ? ZYGOTE_SPARE_ENDED : ZYGOTE_WORKER_EXITED);
	if (q != NULL) {
		q->event.worker_id = p->worker_id;
		q->event.reason = p->kill_wanted ? WORKER_ENDED_KILLED : WORKER_ENDED_START;
		(void)snprintf(q->event.message, sizeof(q->event.message), "%s", message);
	}
	process_drop(z, p);
}

/* Its zygote's end was its end, whatever was ordered meanwhile: the director closes channels and has
 * processes killed as soon as it sees them die. Only who was stopped with the zygote was killed. */
static void process_lost(struct zygote *z, struct process *p)
{
	if (p->role == PROCESS_WORKER) {
		if (p->birth >= 0) {
			on_birth(z, p);
		}
		struct queued *q = enqueue(z, ZYGOTE_WORKER_EXITED);
		if (q != NULL) {
			fill_end(&q->event, p, SIGKILL);
			cgroup_usage(&z->host->cgroup, &p->cgroup, &q->event.usage);
			q->event.reason = p->refused || z->unsafe ? WORKER_ENDED_SANDBOX
				: z->stopping                     ? WORKER_ENDED_KILLED
								  : WORKER_ENDED_ZYGOTE;
			if (z->unsafe) {
				memcpy(q->event.message, z->message, sizeof(z->message));
			}
		}
	}
	process_drop(z, p);
}

/* ---- The zygote's messages ---- */

static void born(struct zygote *z, struct process *p, int inner, int pidfd)
{
	enum worker_profile usual = z->flavour == WORKER_PYTHON ? PROFILE_PYTHON : PROFILE_NATIVE;
	const struct worker_limits *limits =
		p->assigned ? &p->start.limits : &sandbox_profile(usual)->limits;
	process_born(z->host, p, limits, inner, pidfd);
	process_go(z, p);
}

static void handle_event(struct zygote *z, struct wire_event *event, int pidfd)
{
	event->message[sizeof(event->message) - 1] = '\0';
	struct process *p;
	HASH_FIND(hh, z->processes, &event->number, sizeof(event->number), p);
	switch (event->type) {
	case WIRE_SERVING:
		canaries_start(z);
		break;
	case WIRE_BROKEN:
		memcpy(z->message, event->message, sizeof(z->message));
		break;
	case WIRE_BORN:
		if (p != NULL && p->pidfd < 0 && pidfd >= 0) {
			born(z, p, event->pid, pidfd);
			pidfd = -1;
		}
		break;
	case WIRE_FAILED:
		if (p != NULL) {
			process_failed(z, p, event->message);
		}
		break;
	case WIRE_REAPED:
		p = find_inner(z, event->pid);
		if (p != NULL) {
			process_end(z, p, event->status);
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
			zygote_kill(z);
			return;
		}
		handle_event(z, &event, pidfd);
	}
}

/* The zygote is gone, and so is, with its PID namespace, every process of it. */
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
	struct process *p;
	struct process *next;
	HASH_ITER (hh, z->processes, p, next) {
		process_lost(z, p);
	}
	struct queued *q = enqueue(z, ZYGOTE_ENDED);
	if (q != NULL) {
		q->event.signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
		q->event.status = info.si_code == CLD_EXITED ? info.si_status : 0;
		q->event.reason = z->unsafe ? WORKER_ENDED_SANDBOX : WORKER_ENDED_ZYGOTE;
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
	return count(z, PROCESS_WORKER, PROCESS_DOOMED);
}

unsigned zygote_spares(const struct zygote *z)
{
	return count(z, PROCESS_SPARE, PROCESS_WAITING) - count(z, PROCESS_SPARE, PROCESS_ASKED);
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
	const int fds[START_FDS] = {
		[START_CHANNEL] = start->channel_fd,
		[START_STDOUT] = start->stdout_fd,
		[START_STDERR] = start->stderr_fd,
	};
	struct process *p = find_spare(z);
	e = p == NULL ? process_ask(z, PROCESS_SPARE, &p) : 0;
	e = e < 0 ? e : process_assign(p, &wire, fds);
	if (e < 0) {
		/* A process that was asked for in vain is a spare now. */
		return e;
	}
	p->role = PROCESS_WORKER;
	p->worker_id = start->worker_id;
	process_go(z, p);
	return 0;
}

int zygote_keep_spares(struct zygote *z, unsigned wanted)
{
	if (z->control < 0 || z->stopping) {
		return -EPIPE;
	}
	int e = 0;
	for (unsigned n = count(z, PROCESS_SPARE, PROCESS_WAITING); e == 0 && n < wanted; n++) {
		struct process *p;
		e = sandbox_slots_free(z->host) > SPARE_SLOTS_LEFT
			? process_ask(z, PROCESS_SPARE, &p)
			: -EUSERS;
	}
	return e;
}

int zygote_kill_worker(struct zygote *z, uint64_t worker_id)
{
	struct process *p = find_worker(z, worker_id);
	if (p == NULL) {
		return -ESRCH;
	}
	process_kill(p);
	return 0;
}

int zygote_limit_worker(struct zygote *z, uint64_t worker_id, const struct worker_limits *limits)
{
	struct process *p = find_worker(z, worker_id);
	if (p == NULL) {
		return -ESRCH;
	}
	return p->state <= PROCESS_WAITING ? process_limit_later(p, limits)
					   : cgroup_limit(&z->host->cgroup, &p->cgroup, limits);
}

int zygote_worker_usage(struct zygote *z, uint64_t worker_id, struct cgroup_usage *ret_usage)
{
	struct process *p = find_worker(z, worker_id);
	if (p == NULL) {
		return -ESRCH;
	}
	cgroup_usage(&z->host->cgroup, &p->cgroup, ret_usage);
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
	zygote_kill(z);
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
	struct process *p;
	struct process *next_process;
	HASH_ITER (hh, z->processes, p, next_process) {
		process_drop(z, p);
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
