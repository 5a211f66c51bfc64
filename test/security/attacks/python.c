/* What a Python plugin can try without a line of C: expressions for plugin.py. */
#include "test/security/attacks/attack.h"

#include <signal.h>

#define PYTHON(expression) .python = (expression)

/* clang-format off */
const struct attack attacks_in_python[] = {
	{ "A1", "open('/etc/shadow')",      NULL, IN_PYTHON, FAILS(ENOENT), PYTHON("first('/etc/shadow')") },
	{ "A2", "import another plugin",    NULL, IN_PYTHON, FAILS(ENOENT), PYTHON("first('/plugins/other/logic.py')") },
	{ "A4", "open('/proc/self/environ')", NULL, IN_PYTHON, FAILS(ENOENT), PYTHON("first('/proc/self/environ')") },
	{ "A7", "os.listdir('/')",          NULL, IN_PYTHON, FAILS(EACCES), PYTHON("os.listdir('/')") },
	{ "A8", "os.environ",               NULL, IN_PYTHON, GIVES(0), PYTHON("dict(os.environ)") },
	{ "A10", "secret in gc.get_objects()", NULL, IN_PYTHON, GIVES(0), PYTHON("canary_in_objects()") },
	{ "A13", "write beside asyncio",    NULL, IN_PYTHON, EITHER(EROFS, EACCES), PYTHON("open(asyncio.__file__ + 'x', 'w')") },
	{ "A13", "bytecode is written",     NULL, IN_PYTHON, GIVES(1), PYTHON("sys.dont_write_bytecode") },
	{ "A18", "os.symlink",              NULL, IN_PYTHON, FAILS(EPERM), PYTHON("os.symlink('/etc/passwd', '/tmp/link')") },
	{ "A19", "os.chmod set-user-id",    NULL, IN_PYTHON, FAILS(EPERM), PYTHON("open('/tmp/suid', 'w').close() or os.chmod('/tmp/suid', 0o4755)") },
	{ "A20", "os.execv",                NULL, IN_PYTHON, FAILS(EACCES), PYTHON("os.execv('/bin/sh', ['sh'])") },
	{ "A21", "os.memfd_create",         NULL, IN_PYTHON, FAILS(ENOSYS), PYTHON("os.memfd_create('x')") },
	{ "B1", "os.system",                NULL, IN_PYTHON, GIVES(127 << 8), PYTHON("os.system('true')") },
	{ "B1", "subprocess",               NULL, IN_PYTHON, FAILS(EPERM), PYTHON("subprocess.check_output(['true'])") },
	{ "B1", "os.posix_spawn",           NULL, IN_PYTHON, FAILS(EPERM), PYTHON("os.posix_spawn('/bin/sh', ['sh'], {})") },
	{ "B2", "os.fork",                  NULL, IN_PYTHON, FAILS(EPERM), PYTHON("child(os.fork())") },
	{ "B2", "os.forkpty",               NULL, IN_PYTHON, EITHER(ENOENT, EPERM), PYTHON("child(os.forkpty()[0])") },
	{ "B6", "bytearray until the end",  NULL, IN_PYTHON | CGROUP, DIES(SIGKILL), PYTHON("grow()") },
	{ "B8", "recursion in C",           NULL, IN_PYTHON | UNSANITIZED, DIES(SIGSEGV), PYTHON("overflow()") },
	{ "B14", "ctypes closure",          NULL, IN_PYTHON, RAISES("MemoryError"), PYTHON("closure()") },
	{ "B14", "mmap.mmap executable",    NULL, IN_PYTHON, FAILS(EACCES), PYTHON("mmap.mmap(-1, 4096, prot=mmap.PROT_EXEC | mmap.PROT_READ)") },
	{ "B15", "load a written library",  NULL, IN_PYTHON, RAISES("OSError"), PYTHON("load_written_library()") },
	{ "B18", "ptrace by number",        NULL, IN_PYTHON, KILLED, PYTHON("syscall(101 if os.uname().machine == 'x86_64' else 117, 16, 1, 0, 0)") },
	{ "B19", "os.kill(-1)",             NULL, IN_PYTHON, FAILS(EPERM), PYTHON("os.kill(-1, signal.SIGKILL)") },
	{ "B20", "os.setuid(0)",            NULL, IN_PYTHON, FAILS(EPERM), PYTHON("os.setuid(0)") },
	{ "B22", "mount by number",         NULL, IN_PYTHON, KILLED, PYTHON("syscall(165 if os.uname().machine == 'x86_64' else 40, 0, 0, 0, 0, 0)") },
	{ "B30", "resource.setrlimit",      NULL, IN_PYTHON, RAISES("ValueError"), PYTHON("resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))") },
	{ "B30", "os.nice",                 NULL, IN_PYTHON, FAILS(ENOSYS), PYTHON("os.nice(-20)") },
	{ "B30", "os.sched_setaffinity",    NULL, IN_PYTHON, FAILS(EPERM), PYTHON("os.sched_setaffinity(0, {0})") },
	{ "B31", "a call of the future",    NULL, IN_PYTHON, FAILS(ENOSYS), PYTHON("syscall(999)") },
	{ "C1", "socket.create_connection", NULL, IN_PYTHON, FAILS(EACCES), PYTHON("socket.create_connection(('127.0.0.1', 80))") },
	{ "C2", "connect to systemd",       NULL, IN_PYTHON, FAILS(EACCES), PYTHON("connect(socket.AF_UNIX, socket.SOCK_STREAM, '/run/systemd/private')") },
	{ "C7", "socket.getaddrinfo",       NULL, IN_PYTHON, RAISES("gaierror"), PYTHON("socket.getaddrinfo('example.org', 80)") },
};
/* clang-format on */

const size_t n_attacks_in_python = sizeof(attacks_in_python) / sizeof(attacks_in_python[0]);
