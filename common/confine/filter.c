#include "common/confine/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int add_row(scmp_filter_ctx ctx, const struct filter_row *row)
{
	int nr = seccomp_syscall_resolve_name(row->name);
	if (nr < 0) {
		/* Not a call of this architecture, or newer than the library: the default holds. */
		return 0;
	}
	struct scmp_arg_cmp when[FILTER_CONDITIONS];
	unsigned n = 0;
	for (; n < FILTER_CONDITIONS && row->when[n].compare != COMPARE_NONE; n++) {
		const struct filter_condition *c = &row->when[n];
		when[n] = (struct scmp_arg_cmp){
			.arg = c->argument,
			.op = c->compare == COMPARE_EQ     ? SCMP_CMP_EQ
				: c->compare == COMPARE_NE ? SCMP_CMP_NE
							   : SCMP_CMP_MASKED_EQ,
			.datum_a = c->compare == COMPARE_MASKED ? c->mask : c->value,
			.datum_b = c->compare == COMPARE_MASKED ? c->value : 0,
		};
	}
	return seccomp_rule_add_array(ctx, row->action, nr, n, when);
}

/* The library writes programs only to descriptors. */
static int export_program(scmp_filter_ctx ctx, struct filter_program *ret_program)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	int e = seccomp_export_bpf(ctx, fd);
	off_t size = e < 0 ? 0 : lseek(fd, 0, SEEK_END);
	size_t n = size < 0 ? 0 : (size_t)size / sizeof(struct sock_filter);
	if (e == 0 && (n == 0 || n > BPF_MAXINSNS)) {
		e = -E2BIG;
	}
	struct sock_filter *instructions = NULL;
	if (e == 0) {
		instructions = calloc(n, sizeof(*instructions));
		e = instructions == NULL ? -ENOMEM : 0;
	}
	if (e == 0 && pread(fd, instructions, (size_t)size, 0) != size) {
		e = -EIO;
	}
	(void)close(fd);
	if (e < 0) {
		free(instructions);
		return e;
	}
	*ret_program = (struct filter_program){ (unsigned short)n, instructions };
	return 0;
}

int filter_build(
	const struct filter_policy *policy, unsigned column, struct filter_program *ret_program)
{
	scmp_filter_ctx ctx = seccomp_init(policy->default_action);
	if (ctx == NULL) {
		return -ENOMEM;
	}
	/* A binary tree; and without KILL_PROCESS a foreign architecture would leave a zombie. */
	int e = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (e == 0) {
		e = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	}
	for (size_t i = 0; e == 0 && i < policy->n; i++) {
		if ((policy->rows[i].columns & column) != 0) {
			e = add_row(ctx, &policy->rows[i]);
		}
	}
	if (e == 0) {
		e = export_program(ctx, ret_program);
	}
	seccomp_release(ctx);
	return e;
}

void filter_program_free(struct filter_program *program)
{
	free(program->instructions);
	*program = (struct filter_program){ 0 };
}

int filter_load(const struct filter_program *program)
{
	struct sock_fprog p = { program->n, program->instructions };
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &p);
	/* Above 0: the thread that could not follow. */
	return r == 0 ? 0 : r > 0 ? -ESRCH : -errno;
}
