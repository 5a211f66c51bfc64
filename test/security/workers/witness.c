#include "test/security/workers/witness.h"

#include <elf.h>
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int asked = -1;

/* The registers of a stopped thread that is about to end. @return whether it was its own system call
 * that ended it: the kernel puts the number back before it kills. */
static bool read_call(pid_t tid, char *ret)
{
#if defined(__x86_64__)
	struct user_regs_struct regs;
	struct iovec io = { &regs, sizeof(regs) };
	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &io) < 0 || regs.rax != regs.orig_rax) {
		return false;
	}
	long number = (long)regs.orig_rax;
	errno = 0;
	long before = ptrace(PTRACE_PEEKTEXT, tid, regs.rip - 2, NULL);
	uint32_t arch =
		errno == 0 && (before & 0xffff) == 0x80cd ? SCMP_ARCH_X86 : SCMP_ARCH_NATIVE;
	const char *abi = arch == SCMP_ARCH_X86 ? "i386 "
		: (number & 0x40000000) != 0    ? "x32 "
						: "";
	number &= ~0x40000000L;
#elif defined(__aarch64__)
	struct user_pt_regs regs;
	struct iovec io = { &regs, sizeof(regs) };
	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &io) < 0) {
		return false;
	}
	long number = (long)regs.regs[8];
	uint32_t arch = SCMP_ARCH_NATIVE;
	const char *abi = "";
#endif
	char *name = seccomp_syscall_resolve_num_arch(arch, (int)number);
	(void)snprintf(ret, WITNESS_TEXT_MAX, "%s%s", abi, name == NULL ? "?" : name);
	free(name);
	return true;
}

/* Until all threads of `pid` are gone. */
static void follow(pid_t pid, char *ret)
{
	int status;
	for (pid_t tid; (tid = waitpid(-1, &status, __WALL)) > 0;) {
		if (!WIFSTOPPED(status)) {
			if (tid == pid) {
				return;
			}
			continue;
		}
		int event = status >> 16;
		int deliver = event == 0 ? WSTOPSIG(status) : 0;
		unsigned long how = 0;
		if (event == PTRACE_EVENT_EXIT &&
			ptrace(PTRACE_GETEVENTMSG, tid, NULL, &how) == 0 &&
			(how & 0x7f) == SIGSYS && ret[0] == '\0') {
			(void)read_call(tid, ret);
		}
		(void)ptrace(PTRACE_CONT, tid, NULL, (uintptr_t)deliver);
	}
}

static _Noreturn void serve(int socket)
{
	pid_t pid;
	while (recv(socket, &pid, sizeof(pid), 0) == sizeof(pid)) {
		char text[WITNESS_TEXT_MAX] = "";
		int e = ptrace(PTRACE_SEIZE, pid, NULL,
				(uintptr_t)(PTRACE_O_TRACEEXIT | PTRACE_O_TRACECLONE)) < 0
			? -errno
			: 0;
		if (send(socket, &e, sizeof(e), MSG_NOSIGNAL) < 0) {
			break;
		}
		if (e == 0) {
			follow(pid, text);
			(void)send(socket, text, sizeof(text), MSG_NOSIGNAL);
		}
	}
	_exit(0);
}

int witness_start(void)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	pid_t child = fork();
	if (child < 0) {
		return -errno;
	}
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		(void)close(pair[0]);
		serve(pair[1]);
	}
	(void)close(pair[1]);
	asked = pair[0];
	return 0;
}

int witness_follow(pid_t pid)
{
	int e;
	if (asked < 0) {
		return -ENOTCONN;
	}
	return send(asked, &pid, sizeof(pid), MSG_NOSIGNAL) < 0 ||
			recv(asked, &e, sizeof(e), 0) != sizeof(e)
		? -EPIPE
		: e;
}

void witness_tell(char ret_name[static WITNESS_TEXT_MAX])
{
	if (recv(asked, ret_name, WITNESS_TEXT_MAX, 0) != WITNESS_TEXT_MAX || ret_name[0] == '\0') {
		(void)snprintf(ret_name, WITNESS_TEXT_MAX, "?");
	}
}
