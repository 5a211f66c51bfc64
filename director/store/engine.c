#include "director/store/engine.h"

#include "common/base/clock.h"
#include "director/store/engine_inside.h"

#include <errno.h>

typedef int (*operation_fn)(struct run *run);

static struct run run_of(struct store_task *t, struct engine_source *s, uint64_t within_ms)
{
	struct run run = { .t = t, .s = s, .now_ms = clock_unix_ms() };
	run.budget.deadline_ms = clock_ms() + within_ms;
	return run;
}

static int run_operation(struct run *run)
{
	static const operation_fn operations[] = {
		[STORE_FIND] = run_find,
		[STORE_COUNT] = run_count,
		[STORE_DISTINCT] = run_distinct,
		[STORE_INSERT] = run_insert,
		[STORE_UPDATE] = run_update,
		[STORE_DELETE] = run_delete,
		[STORE_MODIFY] = run_modify,
		[STORE_AGGREGATE] = run_aggregate,
		[STORE_INDEX_CREATE] = run_index,
		[STORE_INDEX_DROP] = run_index,
		[STORE_INDEX_LIST] = run_index,
		[STORE_NAMES] = run_names,
	};
	int r = operations[run->t->op](run);
	store_task_finish(run->t);
	return r;
}

int engine_run(struct store_task *t, struct engine_source *s)
{
	struct run run = run_of(t, s, t->limits->operation_ms);
	return run_operation(&run);
}

int engine_try(struct store_task *t, struct engine_source *s, unsigned within_ms)
{
	bool attempt = within_ms < t->limits->operation_ms;
	struct run run = run_of(t, s, attempt ? within_ms : t->limits->operation_ms);
	run.attempt = attempt;
	int r = run_operation(&run);
	if (r == -ETIME) {
		store_task_restart(t);
	}
	return r;
}

/* A piece of a job, with the time that is left of the task's limit. */
static struct run piece_of(
	struct store_task *t, struct engine_source *s, const struct engine_job *job)
{
	uint64_t limit = t->limits->operation_ms;
	return run_of(t, s, limit > job->spent_ms ? limit - job->spent_ms : 0);
}

int engine_match(struct store_task *t, struct engine_source *s, struct engine_job *job)
{
	struct run run = piece_of(t, s, job);
	uint64_t started = clock_ms();
	bool best = t->op == STORE_MODIFY || t->sorter != NULL;
	int r = t->op == STORE_INSERT ? 0 : best ? match_modify(&run, job) : run_collect(&run, job);
	job->spent_ms += clock_ms() - started;
	return run_end(&run, r);
}

int engine_step(
	struct store_task *t, struct engine_source *s, struct engine_job *job, uint64_t until_ns)
{
	static int (*const steps[])(struct run * run, struct engine_job * job) = {
		[STORE_INSERT] = step_insert,
		[STORE_UPDATE] = step_update,
		[STORE_DELETE] = step_delete,
		[STORE_MODIFY] = step_modify,
	};
	struct run run = piece_of(t, s, job);
	uint64_t started = clock_ms();
	run.until_ns = until_ns;
	int r = steps[t->op](&run, job);
	job->spent_ms += clock_ms() - started;
	if (r == 0 && !job->done) {
		return 1;
	}
	r = run_end(&run, r);
	store_task_finish(t);
	return r;
}
