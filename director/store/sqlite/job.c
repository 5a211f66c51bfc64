#include "director/store/sqlite/job.h"

#include "common/base/log.h"
#include "director/store/sqlite/source.h"
#include "director/store/sqlite/undo.h"

#include <errno.h>
#include <stdlib.h>

int job_new(struct store_task *t, int64_t id)
{
	struct job *job = calloc(1, sizeof(*job));
	if (job == NULL) {
		return -ENOMEM;
	}
	job->id = id;
	job->phase = t->op == STORE_INSERT ? JOB_APPLY : JOB_MATCH;
	t->driver = job;
	return 0;
}

void job_free(struct store_task *t)
{
	struct job *job = job_of(t);
	if (job != NULL) {
		engine_job_deinit(&job->work);
		free(job);
	}
	t->driver = NULL;
}

void job_match(struct connection *c, struct store_task *t)
{
	struct job *job = job_of(t);
	struct source source;
	int r = source_init(&source, c, t);
	r = r < 0 ? r : engine_match(t, &source.engine, &job->work);
	source_deinit(&source);
	if (r < 0) {
		source_answer(&source, r);
	}
	job->phase = t->result.error == STORE_OK ? JOB_APPLY : JOB_UNDO;
}

static int begin(struct connection *c, const struct store_task *t)
{
	struct job *job = job_of(t);
	int r = quota_read(c, t, &job->before);
	return r < 0 ? r : undo_begin(c, job->id);
}

static int apply(struct connection *c, struct store_task *t, uint64_t until_ns)
{
	struct job *job = job_of(t);
	struct source source;
	int r = source_init(&source, c, t);
	source.undo = job->id;
	r = r < 0 || job->applied ? r : begin(c, t);
	job->applied = true;
	r = r < 0 ? r : engine_step(t, &source.engine, &job->work, until_ns);
	if (r >= 0 && store_task_keeps(t)) {
		int quota = quota_check(c, t, &job->before);
		r = quota == 0 ? r : quota < 0 ? quota : 0;
	}
	source_deinit(&source);
	if (r > 0) {
		return 1;
	}
	if (r < 0) {
		source_answer(&source, r);
	} else if (store_task_keeps(t)) {
		return undo_end(c, job->id);
	}
	job->phase = JOB_UNDO;
	return 1;
}

static int take_back(struct connection *c, struct store_task *t, uint64_t until_ns)
{
	struct job *job = job_of(t);
	int r = undo_step(c, job->id, until_ns);
	return r != 0 ? r : undo_end(c, job->id);
}

int job_step(struct connection *c, struct store_task *t, uint64_t until_ns)
{
	static int (*const steps[])(struct connection *, struct store_task *, uint64_t) = {
		[JOB_APPLY] = apply,
		[JOB_UNDO] = take_back,
	};
	return steps[job_of(t)->phase](c, t, until_ns);
}

void job_turn_back(struct store_task *t)
{
	job_of(t)->phase = JOB_UNDO;
}
