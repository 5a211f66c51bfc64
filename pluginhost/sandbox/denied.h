/*
 * Which system call a worker died of. The kernel tells the parent only SIGSYS; the number is in the
 * kernel's log, as an audit record ("type=1326 … pid=7 … sig=31 arch=c000003e syscall=165"). Root by
 * hand opens the log before it gives root up; otherwise the name is not known.
 *
 * Only records that come after denied_open() are read, and only their pid and number are kept.
 * Thread: the loop's.
 */
#pragma once

#include "common/base/slice.h"

#include <stdbool.h>
#include <sys/types.h>

enum {
	/* Deaths that are remembered until their exit is reported. */
	DENIED_KEPT = 64,
	DENIED_NAME_MAX = 48,
};

struct denied_call {
	pid_t pid;
	/* -1: of a foreign architecture. */
	int number;
};

struct denied {
	/* -1: the kernel's log cannot be read. */
	int fd;
	struct denied_call calls[DENIED_KEPT];
	unsigned next;
};

/** Opens the kernel's log. Without the right to, `d` knows nothing, which is no error. */
void denied_open(struct denied *d);

void denied_close(struct denied *d);

/**
 * Takes the record of a process away.
 * @param ret_name the call's name, or "number 1234".
 * @return false when there is none (yet: the record may come a little after the exit).
 */
bool denied_take(struct denied *d, pid_t pid, char ret_name[static DENIED_NAME_MAX]);

/** Reads one record of the kernel's log. Pure, for the tests. @return false when it is another. */
bool denied_parse(struct slice record, struct denied_call *ret);
