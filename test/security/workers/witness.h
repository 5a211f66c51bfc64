/*
 * Which system call a worker died of, seen by a tracer: the kernel's log drops such records when they
 * come fast. A process of its own, forked while we are root, since only root may trace a worker.
 *
 * A traced process ends differently for some signals (the kernel does not force them on a traced
 * first process of a namespace), so only attacks that are known to end in SIGSYS are repeated under it.
 */
#pragma once

#include <sys/types.h>

enum { WITNESS_TEXT_MAX = 48 };

/** Starts it, as root. @return 0, or a negative errno. Without it nothing is known. */
int witness_start(void);

/** Follows a process until its end. @return 0, or a negative errno. */
int witness_follow(pid_t pid);

/** After the end of the process: the call, or "?". */
void witness_tell(char ret_name[static WITNESS_TEXT_MAX]);
