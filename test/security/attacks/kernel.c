/* B: what of the kernel a plugin has no business with. */
#include "test/security/attacks/attack.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

ATTEMPT(do_personality, personality(READ_IMPLIES_EXEC))
ATTEMPT(do_pkey, syscall(SYS_pkey_alloc, 0, 0))
static long map_vsyscall(void)
{
	/* Emulated by the kernel where there is one: the time of day and nothing else. */
	return mprotect((void *)0xffffffffff600000UL, 4096, PROT_READ | PROT_WRITE);
}

ATTEMPT(do_pkey_mprotect, syscall(SYS_pkey_mprotect, 0, 4096, PROT_EXEC, -1))
#ifdef __x86_64__
ATTEMPT(do_modify_ldt, syscall(SYS_modify_ldt, 0, NULL, 0))
#endif
ATTEMPT(do_remap, syscall(SYS_remap_file_pages, 0, 4096, 0, 0, 0))
ATTEMPT(set_dumpable, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
ATTEMPT(set_ptracer, prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0))
ATTEMPT(set_mm, prctl(PR_SET_MM, 1, 0, 0, 0))
ATTEMPT(clear_pdeathsig, prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0))
ATTEMPT(set_subreaper, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
ATTEMPT(set_speculation, prctl(PR_SET_SPECULATION_CTRL, 0, 2, 0, 0))
ATTEMPT(prctl_seccomp, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0))
ATTEMPT(set_keepcaps, prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
ATTEMPT(listener,
	syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, NULL))
ATTEMPT(seccomp_tsync,
	syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL))

#ifdef __x86_64__
static long call_i386(void)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
	return result;
}

ATTEMPT(call_x32, syscall(0x40000000 | SYS_getpid))
#endif

ATTEMPT(tiocsti, ioctl(0, TIOCSTI, "x"))
ATTEMPT(tiocsti_high, syscall(SYS_ioctl, 0, 0x100000000UL | TIOCSTI, "x"))
ATTEMPT(tioclinux, ioctl(0, TIOCLINUX, "x"))
ATTEMPT(other_ioctl, ioctl(0, TIOCGWINSZ, NULL))

static long do_clock_settime(void)
{
	/* As it is: nothing changes where it succeeds. */
	struct timespec now;
	return clock_gettime(CLOCK_REALTIME, &now) < 0 ? -2 : clock_settime(CLOCK_REALTIME, &now);
}

ATTEMPT(do_adjtimex, syscall(SYS_adjtimex, NULL))
ATTEMPT(do_settimeofday, syscall(SYS_settimeofday, NULL, NULL))
ATTEMPT(do_sethostname, sethostname("x", 1))
ATTEMPT(do_reboot, syscall(SYS_reboot, 0, 0, 0, NULL))
ATTEMPT(do_kexec, syscall(SYS_kexec_load, 0, 0, NULL, 0))
ATTEMPT(do_module, syscall(SYS_init_module, NULL, 0, ""))
ATTEMPT(do_delete_module, syscall(SYS_delete_module, "x", 0))
ATTEMPT(do_swapon, syscall(SYS_swapon, "/", 0))
ATTEMPT(do_quotactl, syscall(SYS_quotactl, 0, NULL, 0, NULL))
ATTEMPT(do_acct, syscall(SYS_acct, NULL))
ATTEMPT(do_iopl, syscall(SYS_iopl, 3))
ATTEMPT(do_ioperm, syscall(SYS_ioperm, 0, 1, 1))
ATTEMPT(do_syslog, syscall(SYS_syslog, 3, NULL, 0))
ATTEMPT(do_bpf, syscall(SYS_bpf, 0, NULL, 0))
ATTEMPT(do_perf, syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0))
ATTEMPT(do_userfaultfd, syscall(SYS_userfaultfd, 0))
ATTEMPT(do_keyctl, syscall(SYS_keyctl, 0, 0, 0, 0, 0))
ATTEMPT(do_add_key, syscall(SYS_add_key, "user", "x", "x", 1, -2))
ATTEMPT(do_handle, syscall(SYS_name_to_handle_at, -100, "/", NULL, NULL, 0))
ATTEMPT(open_handle, syscall(SYS_open_by_handle_at, -100, NULL, 0))
static long io_uring(void)
{
	uint8_t params[120] = { 0 };
	return syscall(SYS_io_uring_setup, 1, params);
}

static long do_aio(void)
{
	unsigned long context = 0;
	return syscall(SYS_io_setup, 1, &context);
}

ATTEMPT(fanotify, syscall(SYS_fanotify_init, 0, 0))
ATTEMPT(inotify, syscall(SYS_inotify_init1, 0))
ATTEMPT(shm, syscall(SYS_shmget, IPC_PRIVATE, 4096, 0600))
ATTEMPT(sem, syscall(SYS_semget, IPC_PRIVATE, 1, 0600))
ATTEMPT(msg, syscall(SYS_msgget, IPC_PRIVATE, 0600))
ATTEMPT(mq, syscall(SYS_mq_open, "/x", O_CREAT, 0600, NULL))
ATTEMPT(do_timerfd, syscall(SYS_timerfd_create, 0, 0))
ATTEMPT(do_signalfd, syscall(SYS_signalfd4, -1, NULL, 8, 0))
static long do_sysinfo(void)
{
	struct sysinfo info;
	return sysinfo(&info);
}

static long do_openat2(void)
{
	uint64_t how[3] = { O_RDONLY | O_CLOEXEC };
	return syscall(SYS_openat2, AT_FDCWD, OWN_PLUGIN "/logic.py", how, sizeof(how));
}

static long raise_limit(void)
{
	struct rlimit r = { 1 << 20, 1 << 20 };
	return setrlimit(RLIMIT_NOFILE, &r);
}

ATTEMPT(limit_other, syscall(SYS_prlimit64, 2, RLIMIT_NOFILE, NULL, NULL))
ATTEMPT(be_nice, syscall(SYS_setpriority, PRIO_PROCESS, 0, -20))

static long be_realtime(void)
{
	struct sched_param p = { .sched_priority = 1 };
	return sched_setscheduler(0, SCHED_FIFO, &p);
}

ATTEMPT(pin, syscall(SYS_sched_setaffinity, 0, 8, "\377\377\377\377\377\377\377"))
ATTEMPT(lock_memory, mlock(attack_canary, 1))
ATTEMPT(future_call, syscall(999))
ATTEMPT(unknown_call, syscall(1023))
ATTEMPT(do_vmsplice, syscall(SYS_vmsplice, 1, NULL, 0, 0))

/* clang-format off */
const struct attack attacks_on_kernel[] = {
	{ "B17", "personality",                 do_personality,      IN_BOTH, FAILS(EPERM) },
	{ "B17", "pkey_alloc",                  do_pkey,             IN_BOTH, KILLED },
	{ "B17", "pkey_mprotect",               do_pkey_mprotect,    IN_BOTH, KILLED },
#ifdef __x86_64__
	{ "B17", "modify_ldt",                  do_modify_ldt,       IN_BOTH, KILLED },
#endif
	{ "B17", "remap_file_pages",            do_remap,            IN_BOTH, KILLED },
	{ "B32", "write the vsyscall page",     map_vsyscall,        IN_BOTH, FAILS(ENOMEM) },
	{ "B23", "PR_SET_DUMPABLE",             set_dumpable,        IN_BOTH, FAILS(ENOSYS) },
	{ "B23", "PR_SET_PTRACER",              set_ptracer,         IN_BOTH, FAILS(ENOSYS) },
	{ "B23", "PR_SET_MM",                   set_mm,              IN_BOTH, FAILS(ENOSYS) },
	{ "B23", "PR_SET_PDEATHSIG",            clear_pdeathsig,     IN_BOTH, FAILS(ENOSYS) },
	{ "B23", "PR_SET_CHILD_SUBREAPER",      set_subreaper,       IN_BOTH, FAILS(ENOSYS) },
	{ "B23", "PR_SET_SPECULATION_CTRL",     set_speculation,     IN_BOTH, FAILS(ENOSYS) },
	{ "B23", "PR_SET_SECCOMP",              prctl_seccomp,       IN_BOTH, FAILS(ENOSYS) },
	{ "B23", "PR_SET_KEEPCAPS",             set_keepcaps,        IN_BOTH, FAILS(ENOSYS) },
	{ "B24", "seccomp listener",            listener,            IN_BOTH, FAILS(ENOSYS) },
	{ "B24", "seccomp",                     seccomp_tsync,       IN_BOTH, FAILS(ENOSYS) },
#ifdef __x86_64__
	{ "B25", "i386 call",                   call_i386,           IN_BOTH, KILLED },
	{ "B25", "x32 call",                    call_x32,            IN_BOTH, KILLED },
#endif
	{ "B26", "TIOCSTI",                     tiocsti,             IN_BOTH, KILLED },
	{ "B26", "TIOCSTI with high bits",      tiocsti_high,        IN_BOTH, KILLED },
	{ "B26", "TIOCLINUX",                   tioclinux,           IN_BOTH, KILLED },
	{ "B26", "another ioctl",               other_ioctl,         IN_BOTH, FAILS(ENOSYS) },
	{ "B27", "clock_settime",               do_clock_settime,    IN_BOTH, KILLED },
	{ "B27", "adjtimex",                    do_adjtimex,         IN_BOTH, KILLED },
	{ "B27", "settimeofday",                do_settimeofday,     IN_BOTH, KILLED },
	{ "B27", "sethostname",                 do_sethostname,      IN_BOTH, KILLED },
	{ "B27", "reboot",                      do_reboot,           IN_BOTH, KILLED },
	{ "B27", "kexec_load",                  do_kexec,            IN_BOTH, KILLED },
	{ "B27", "init_module",                 do_module,           IN_BOTH, KILLED },
	{ "B27", "delete_module",               do_delete_module,    IN_BOTH, KILLED },
	{ "B27", "swapon",                      do_swapon,           IN_BOTH, KILLED },
	{ "B27", "quotactl",                    do_quotactl,         IN_BOTH, KILLED },
	{ "B27", "acct",                        do_acct,             IN_BOTH, KILLED },
	{ "B27", "iopl",                        do_iopl,             IN_BOTH, KILLED },
	{ "B27", "ioperm",                      do_ioperm,           IN_BOTH, KILLED },
	{ "B27", "syslog",                      do_syslog,           IN_BOTH, KILLED },
	{ "B28", "bpf",                         do_bpf,              IN_BOTH, KILLED },
	{ "B28", "perf_event_open",             do_perf,             IN_BOTH, KILLED },
	{ "B28", "userfaultfd",                 do_userfaultfd,      IN_BOTH, KILLED },
	{ "B28", "keyctl",                      do_keyctl,           IN_BOTH, KILLED },
	{ "B28", "add_key",                     do_add_key,          IN_BOTH, KILLED },
	{ "B28", "name_to_handle_at",           do_handle,           IN_BOTH, KILLED },
	{ "B28", "open_by_handle_at",           open_handle,         IN_BOTH, KILLED },
	{ "B28", "io_uring_setup",              io_uring,            IN_BOTH, FAILS(ENOSYS) },
	{ "B28", "io_setup",                    do_aio,              IN_BOTH, FAILS(ENOSYS) },
	{ "B28", "fanotify_init",               fanotify,            IN_BOTH, FAILS(ENOSYS) },
	{ "B29", "inotify_init1",               inotify,             IN_BOTH, FAILS(ENOSYS) },
	{ "B29", "shmget",                      shm,                 IN_BOTH, FAILS(ENOSYS) },
	{ "B29", "semget",                      sem,                 IN_BOTH, FAILS(ENOSYS) },
	{ "B29", "msgget",                      msg,                 IN_BOTH, FAILS(ENOSYS) },
	{ "B29", "mq_open",                     mq,                  IN_BOTH, FAILS(ENOSYS) },
	{ "B31", "timerfd_create",              do_timerfd,          IN_BOTH, FAILS(ENOSYS) },
	{ "B31", "signalfd4",                   do_signalfd,         IN_BOTH, FAILS(ENOSYS) },
	{ "B31", "sysinfo",                     do_sysinfo,          IN_BOTH, FAILS(ENOSYS) },
	{ "B31", "openat2",                     do_openat2,          IN_BOTH, FAILS(ENOSYS) },
	{ "B30", "raise RLIMIT_NOFILE",         raise_limit,         IN_BOTH, FAILS(EPERM) },
	{ "B30", "prlimit of another",          limit_other,         IN_BOTH, FAILS(EPERM) },
	{ "B30", "nice -20",                    be_nice,             IN_BOTH, FAILS(EPERM) },
	{ "B30", "SCHED_FIFO",                  be_realtime,         IN_BOTH, FAILS(EPERM) },
	{ "B30", "sched_setaffinity",           pin,                 IN_BOTH, FAILS(EPERM) },
	{ "B30", "mlock",                       lock_memory,         IN_BOTH | UNSANITIZED, FAILS(EPERM) },
	{ "B31", "call 999",                    future_call,         IN_BOTH, FAILS(ENOSYS) },
	{ "B31", "call 1023",                   unknown_call,        IN_BOTH, FAILS(ENOSYS) },
	{ "B31", "vmsplice",                    do_vmsplice,         IN_BOTH, FAILS(EINVAL) },
};
/* clang-format on */

const size_t n_attacks_on_kernel = sizeof(attacks_on_kernel) / sizeof(attacks_on_kernel[0]);
