/*
 * The zygote itself: PID 1 of its PID namespace, root of a user namespace that has nothing, in a file
 * tree of its own. It loads a runtime once and then does two things, in one thread: fork workers and
 * reap them. It knows no secret, runs no plugin code and keeps no state about workers; pluginhost
 * keeps that.
 *
 * Its end is the end of its workers: the kernel kills a PID namespace with its first process. It ends
 * when pluginhost does (PDEATHSIG, or the control socket's end).
 */
#include "common/base/error.h"
#include "pluginhost/launch.h"
#include "pluginhost/sandbox/mounts.h"
#include "pluginhost/zygote.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	struct wire_config config;
	const struct runtime *runtime;
	struct filter_program filters[FILTERS];
	int self;    /* pidfd: the way back to our own PID namespace */
	int signals; /* signalfd for SIGCHLD */
} zygote;

/* Tells pluginhost what is wrong. */
static int broken(const char *what, const char *about, int e)
{
	struct wire_event event = { .type = WIRE_BROKEN };
	(void)snprintf(event.message, sizeof(event.message), "%s%s%s: %s", what,
		about[0] == '\0' ? "" : " ", about, strerror(-e));
	(void)wire_send(ZYGOTE_FD_CONTROL, &event, sizeof(event), NULL, 0);
	return WORKER_EXIT_SANDBOX;
}

static int compile_filters(void)
{
	int e = 0;
	for (enum filter_id f = FILTER_PYTHON; e == 0 && f < FILTERS; f++) {
		if ((f == FILTER_PYTHON) == (zygote.config.flavour == WORKER_PYTHON)) {
			e = filter_compile(f, &zygote.filters[f]);
		}
	}
	return e;
}

static int set_up_signals(void)
{
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	if (sigprocmask(SIG_SETMASK, &child, NULL) < 0 || sigaction(SIGPIPE, &ignore, NULL) < 0) {
		return -errno;
	}
	zygote.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	zygote.self = pidfd_open(getpid(), 0);
	return zygote.signals < 0 || zygote.self < 0 ? -errno : 0;
}

/* ---- Forking ---- */

/*
 * The child is PID 1 of a new PID namespace: unshare() decides it for the next fork, setns() takes it
 * back for us. So a worker needs one fork and no middle process.
 */
static pid_t fork_into_namespace(void)
{
	if (unshare(CLONE_NEWPID) < 0) {
		return -errno;
	}
	pid_t pid = fork();
	int e = errno;
	if (pid == 0) {
		return 0;
	}
	/* Without it every later worker would be born into this one's namespace. */
	invariant(setns(zygote.self, CLONE_NEWPID) == 0);
	return pid < 0 ? -e : pid;
}

static _Noreturn void become_worker(const struct wire_fork *asked, int birth_fd)
{
	static struct worker_launch l;
	l.config = zygote.config;
	l.slot = asked->slot;
	l.birth_fd = birth_fd;
	l.program_fd = ZYGOTE_FD_PROGRAM;
	l.runtime = zygote.runtime;
	memcpy(l.filters, zygote.filters, sizeof(l.filters));
	worker_launch(&l);
}

/* Takes `birth_fd`. */
static void fork_worker(const struct wire_fork *asked, int birth_fd)
{
	struct wire_event event = { .type = WIRE_BORN, .number = asked->number };
	pid_t pid = birth_fd >= 0 ? fork_into_namespace() : -EBADMSG;
	if (pid == 0) {
		become_worker(asked, birth_fd);
	}
	/* Before anybody hears of it: a process that is dead must not seem to listen still. */
	if (birth_fd >= 0) {
		(void)close(birth_fd);
	}
	int pidfd = pid < 0 ? -1 : pidfd_open(pid, 0);
	if (pid < 0 || pidfd < 0) {
		event.type = WIRE_FAILED;
		(void)snprintf(event.message, sizeof(event.message), "fork: %s",
			strerror(pid < 0 ? -pid : errno));
	}
	event.pid = pid;
	(void)wire_send(ZYGOTE_FD_CONTROL, &event, sizeof(event), &pidfd, pidfd < 0 ? 0 : 1);
	if (pidfd >= 0) {
		(void)close(pidfd);
	} else if (pid > 0) {
		(void)kill(pid, SIGKILL);
	}
}

/* ---- Serving ---- */

/* @return false when pluginhost is gone. */
static bool on_control(void)
{
	struct wire_fork asked;
	int birth_fd = -1;
	int r = wire_receive(ZYGOTE_FD_CONTROL, &asked, sizeof(asked), &birth_fd, 1, NULL);
	if (r <= 0) {
		return r == -EAGAIN;
	}
	fork_worker(&asked, birth_fd);
	return true;
}

static void on_child(void)
{
	struct signalfd_siginfo info;
	while (read(zygote.signals, &info, sizeof(info)) == sizeof(info)) {
		/* Signals coalesce; the loop below finds all. */
	}
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0) {
			return;
		}
		struct wire_event event = { .type = WIRE_REAPED, .pid = pid, .status = status };
		(void)wire_send(ZYGOTE_FD_CONTROL, &event, sizeof(event), NULL, 0);
	}
}

static int serve(void)
{
	struct wire_event serving = { .type = WIRE_SERVING };
	int e = wire_send(ZYGOTE_FD_CONTROL, &serving, sizeof(serving), NULL, 0);
	struct pollfd polled[] = {
		{ .fd = ZYGOTE_FD_CONTROL, .events = POLLIN },
		{ .fd = zygote.signals, .events = POLLIN },
	};
	while (e == 0) {
		if (poll(polled, 2, -1) < 0 && errno != EINTR) {
			return WORKER_EXIT_RUNTIME;
		}
		if (polled[1].revents != 0) {
			on_child();
		}
		if (polled[0].revents != 0 && !on_control()) {
			return 0;
		}
	}
	return WORKER_EXIT_RUNTIME;
}

int zygote_run(const struct runtime *const runtimes[static 2])
{
	struct mount_failure f = { "", "" };
	/* The parent is outside of our PID namespace: only the socket can tell that it was too late. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
		wire_receive(ZYGOTE_FD_CONTROL, &zygote.config, sizeof(zygote.config), NULL, 0,
			NULL) != 1) {
		return WORKER_EXIT_RUNTIME;
	}
	(void)umask(022);
	bool python = zygote.config.flavour == WORKER_PYTHON;
	zygote.runtime = runtimes[zygote.config.flavour];
	if (sethostname("plugin", 6) < 0) {
		return broken("sethostname", "", -errno);
	}
	int e = mounts_build_tree(FILES_LIBRARIES | FILES_DEVICES | (python ? FILES_PYTHON : 0),
		zygote.config.snapshots_path, python, &f);
	if (e < 0) {
		return broken(f.call, f.path, e);
	}
	e = zygote.runtime->prepare == NULL ? 0 : zygote.runtime->prepare();
	if (e < 0) {
		return broken("runtime", zygote.runtime->name, e);
	}
	e = compile_filters();
	if (e < 0) {
		return broken("compile filters", "", e);
	}
	e = set_up_signals();
	if (e < 0) {
		return broken("signals", "", e);
	}
	(void)fflush(NULL);
	return serve();
}

int role_main(int argc, char **argv, const struct runtime *const runtimes[static 2])
{
	if (argc < 2) {
		return -1;
	}
	if (strcmp(argv[1], ROLE_ZYGOTE) == 0) {
		return zygote_run(runtimes);
	}
	if (strcmp(argv[1], ROLE_WORKER) == 0) {
		worker_resume(runtimes[WORKER_NATIVE]);
	}
	return -1;
}
