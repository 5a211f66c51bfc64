#include "director/store/engine_inside.h"

#include <errno.h>
#include <stdlib.h>

int engine_job_add(struct engine_job *job, int64_t rid)
{
	if (job->n == job->cap) {
		size_t cap = job->cap == 0 ? 64 : job->cap * 2;
		int64_t *p = reallocarray(job->rids, cap, sizeof(*p));
		if (p == NULL) {
			return -ENOMEM;
		}
		job->rids = p;
		job->cap = cap;
	}
	job->rids[job->n++] = rid;
	return 0;
}

int run_collect(struct run *run, struct engine_job *job)
{
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	while (error == 0 && run_next(run, &rid, &document, &error) == FOUND) {
		error = engine_job_add(job, rid);
		if (!run->t->multi) {
			break;
		}
	}
	return error;
}

int run_update_one(struct run *run, int64_t rid, struct slice document, struct slice *ret_after)
{
	struct store_task *t = run->t;
	struct slice after = SLICE_NULL;
	int r = update_apply(
		t->updater, t->matcher, document, run->now_ms, &run->budget, &after, &run->failure);
	if (r == 0 && budget_spent(&run->budget)) {
		r = run_spent(run);
	}
	if (r == 0 && !store_task_owns(t, after)) {
		r = run_outside(run);
	}
	if (r != 0) {
		return r;
	}
	t->result.n++;
	if (!slice_eq(document, after)) {
		t->result.modified++;
		r = run->s->ops->replace(run->s, rid, after);
		run_note_refused(run, r == 0 ? 1 : r, 0, after);
		r = run_source_failed(run, r);
	}
	if (ret_after != NULL) {
		*ret_after = after;
	}
	return r;
}

int run_next_of_job(
	struct run *run, struct engine_job *job, int64_t *rid, struct slice *document, int *error)
{
	*rid = job->rids[job->next++];
	int r = run->s->ops->load(run->s, *rid, document);
	if (r <= 0) {
		*error = r < 0 ? r : 0;
		return r < 0 ? FAILED : NONE;
	}
	budget_charge(&run->budget, document->n * 16);
	bool match = matcher_match(run->t->matcher, *document, &run->budget);
	if (budget_spent(&run->budget)) {
		*error = run_spent(run);
		return FAILED;
	}
	return match && store_task_owns(run->t, *document) ? FOUND : NONE;
}

/* Goes on with a job until it is done, it fails, or its step is long enough. */
static int each_of_job(struct run *run,
	struct engine_job *job,
	int (*change)(struct run *run, int64_t rid, struct slice document))
{
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	while (job->next < job->n) {
		int found = run_next_of_job(run, job, &rid, &document, &error);
		error = found == FOUND ? change(run, rid, document) : error;
		if (error != 0) {
			return error;
		}
		if (run_pauses(run)) {
			return 0;
		}
	}
	job->done = true;
	return 0;
}

static int update_found(struct run *run, int64_t rid, struct slice document)
{
	return run_update_one(run, rid, document, NULL);
}

static int delete_found(struct run *run, int64_t rid, struct slice document)
{
	run->t->result.n++;
	return run->s->ops->remove(run->s, rid);
}

int step_delete(struct run *run, struct engine_job *job)
{
	return each_of_job(run, job, delete_found);
}

int run_upsert(struct run *run, struct slice *ret_document)
{
	struct store_task *t = run->t;
	struct slice document = SLICE_NULL;
	int r = update_insert(t->updater, t->matcher, t->oid, run->now_ms, &run->budget, &document,
		&run->failure);
	if (r != 0) {
		return r;
	}
	r = run_insert_one(run, document);
	run_note_refused(run, r, 0, document);
	if (r == 0) {
		return store_fail(&run->failure, STORE_E_DUPLICATE, "%s", run_duplicate);
	}
	if (r < 0) {
		return r == -EPERM ? run_outside(run) : run_source_failed(run, r);
	}
	size_t start = writer_open(&t->id);
	writer_value(&t->id, SLICE("_id"), document_find(document, SLICE("_id")));
	writer_close(&t->id, start);
	*ret_document = document;
	return t->id.error;
}

/* After all that matched was updated. */
static int upsert_if_none(struct run *run)
{
	struct slice document;
	return run->t->upsert && run->t->result.n == 0 ? run_upsert(run, &document) : 0;
}

int step_update(struct run *run, struct engine_job *job)
{
	int r = each_of_job(run, job, update_found);
	return r != 0 || !job->done ? r : upsert_if_none(run);
}

/* The first in the order that was asked for. */
static int update_best(struct run *run)
{
	struct buffer copy;
	int64_t rid = 0;
	int error = 0;
	buffer_init(&copy, run->t->limits->result_bytes);
	if (run_best_match(run, &copy, &rid, &error) == FOUND) {
		error = run_update_one(run, rid, buffer_slice(&copy), NULL);
	}
	buffer_deinit(&copy);
	return error;
}

int run_update(struct run *run)
{
	struct engine_job job = ENGINE_JOB_NULL;
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	if (run->t->sorter != NULL) {
		error = update_best(run);
	} else if (run->t->multi) {
		error = run_collect(run, &job);
		error = error != 0 ? error : each_of_job(run, &job, update_found);
	} else if (run_next(run, &rid, &document, &error) == FOUND) {
		error = run_update_one(run, rid, document, NULL);
	}
	engine_job_deinit(&job);
	return run_end(run, error != 0 ? error : upsert_if_none(run));
}

int run_delete(struct run *run)
{
	struct engine_job job = ENGINE_JOB_NULL;
	int r = run_collect(run, &job);
	r = r != 0 ? r : step_delete(run, &job);
	engine_job_deinit(&job);
	return run_end(run, r);
}

void engine_job_deinit(struct engine_job *job)
{
	free(job->rids);
	*job = ENGINE_JOB_NULL;
}
