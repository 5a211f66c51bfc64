/* Short words for the tables of filter policies; to be included by those tables alone. */
#pragma once

#include "common/confine/filter.h"

#include <linux/seccomp.h>
#include <sched.h>

/* Answers. */
#define ALLOW   SECCOMP_RET_ALLOW
#define KILL    SECCOMP_RET_KILL_PROCESS
#define FAIL(e) (SECCOMP_RET_ERRNO | (e))

/* Conditions. */
#define EQ(arg, v)                    \
	{                             \
		COMPARE_EQ, arg, v, 0 \
	}
#define NE(arg, v)                    \
	{                             \
		COMPARE_NE, arg, v, 0 \
	}
#define BITS(arg, m, v)                   \
	{                                 \
		COMPARE_MASKED, arg, v, m \
	}
#define WHEN(...)           \
	{                   \
		__VA_ARGS__ \
	}
#define ALWAYS                                \
	{                                     \
		{                             \
			COMPARE_NONE, 0, 0, 0 \
		}                             \
	}

/* What glibc's pthread_create() asks for, and nothing else. */
#define THREAD_FLAGS                                                                        \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD | \
		CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)
