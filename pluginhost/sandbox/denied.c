#include "pluginhost/sandbox/denied.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	/* The kernel gives one record per read, of at most 8 KiB. */
	RECORD_MAX = 8192,
	/* Records of one look: the log may be flooded by others. */
	RECORDS_MAX = 1024,
};

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "which AUDIT_ARCH_ is this machine's?"
#endif

void denied_open(struct denied *d)
{
	*d = (struct denied){ .fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC) };
	if (d->fd >= 0 && lseek(d->fd, 0, SEEK_END) < 0) {
		denied_close(d);
	}
}

void denied_close(struct denied *d)
{
	if (d->fd >= 0) {
		(void)close(d->fd);
		d->fd = -1;
	}
}

/* The number behind " name=", in `base`. */
static bool find_number(struct slice record, const char *name, int base, uint64_t *ret)
{
	struct slice want = slice_str(name);
	const uint8_t *at = memmem(record.p, record.n, name, want.n);
	if (at == NULL) {
		return false;
	}
	struct slice rest = slice_skip(record, (size_t)(at - record.p) + want.n);
	char digits[20];
	size_t n = 0;
	while (n < rest.n && n < sizeof(digits) - 1 && rest.p[n] != ' ' && rest.p[n] != '\n') {
		digits[n] = (char)rest.p[n];
		n++;
	}
	digits[n] = '\0';
	char *end = NULL;
	errno = 0;
	*ret = strtoull(digits, &end, base);
	return n > 0 && *end == '\0' && errno == 0;
}

bool denied_parse(struct slice record, struct denied_call *ret)
{
	uint64_t pid;
	uint64_t arch;
	uint64_t number;
	const uint8_t *text = memchr(record.p, ';', record.n);
	/* comm and exe are quoted or in hexadecimal; no process can put the fields behind them. */
	if (text == NULL ||
		!slice_starts(slice_skip(record, (size_t)(text - record.p) + 1),
			SLICE("audit: type=1326 ")) ||
		!find_number(record, " pid=", 10, &pid) ||
		!find_number(record, " arch=", 16, &arch) ||
		!find_number(record, " syscall=", 10, &number) || pid > INT32_MAX ||
		number > INT32_MAX) {
		return false;
	}
	ret->pid = (pid_t)pid;
	ret->number = arch == NATIVE_ARCH ? (int)number : -1;
	return true;
}

/* Reads what is new. */
static void look(struct denied *d)
{
	char record[RECORD_MAX];
	for (int i = 0; i < RECORDS_MAX; i++) {
		ssize_t n = read(d->fd, record, sizeof(record));
		/* EPIPE: records were lost, the next read goes on behind them. */
		if (n < 0 && errno != EPIPE && errno != EINTR) {
			return;
		}
		struct denied_call call;
		if (n > 0 && denied_parse(slice_of(record, (size_t)n), &call)) {
			d->calls[d->next % DENIED_KEPT] = call;
			d->next++;
		}
	}
}

static void name_of(int number, char out[static DENIED_NAME_MAX])
{
	char *name = number < 0 ? NULL : seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
	if (name != NULL) {
		(void)snprintf(out, DENIED_NAME_MAX, "%s", name);
	} else if (number < 0) {
		(void)snprintf(out, DENIED_NAME_MAX, "of a foreign architecture");
	} else {
		(void)snprintf(out, DENIED_NAME_MAX, "number %d", number);
	}
	free(name);
}

bool denied_take(struct denied *d, pid_t pid, char ret_name[static DENIED_NAME_MAX])
{
	if (d->fd < 0 || pid <= 0) {
		return false;
	}
	look(d);
	for (unsigned i = 0; i < DENIED_KEPT; i++) {
		if (d->calls[i].pid == pid) {
			name_of(d->calls[i].number, ret_name);
			d->calls[i] = (struct denied_call){ 0 };
			return true;
		}
	}
	return false;
}
