#include "director/store/engine_inside.h"
#include "director/store/query/collect.h"

int run_best_match(struct run *run, struct buffer *copy, int64_t *ret_rid, int *ret_error)
{
	struct store_task *t = run->t;
	struct slice document;
	struct buffer best;
	struct buffer key;
	int64_t rid = 0;
	bool sorts = t->sorter != NULL && !run->s->sorted;
	bool any = false;
	int error = 0;
	buffer_init(&best, t->limits->result_bytes);
	buffer_init(&key, t->limits->result_bytes);
	while (error == 0 && run_next(run, &rid, &document, &error) == FOUND) {
		buffer_clear(&key);
		if (sorts) {
			error = sort_key(t->sorter, document, &run->budget, &key);
		}
		if (error == 0 &&
			(!any || key_order(buffer_slice(&key), buffer_slice(&best)) < 0)) {
			buffer_clear(&best);
			buffer_clear(copy);
			error = buffer_append(&best, buffer_slice(&key));
			error = error < 0 ? error : buffer_append(copy, document);
			*ret_rid = rid;
			any = true;
		}
		if (!sorts) {
			break;
		}
	}
	buffer_deinit(&best);
	buffer_deinit(&key);
	*ret_error = error;
	return error != 0 ? FAILED : any ? FOUND : NONE;
}

static int modify_found(struct run *run, int64_t rid, struct slice before)
{
	struct store_task *t = run->t;
	struct slice after = SLICE_NULL;
	int r = 0;
	if (t->remove) {
		r = run->s->ops->remove(run->s, rid);
		t->result.n = 1;
	} else {
		r = run_update_one(run, rid, before, &after);
	}
	if (r != 0) {
		return r;
	}
	uint64_t n = t->result.n;
	r = run_emit(run, t->return_new ? after : before);
	t->result.n = n;
	return r;
}

static int modify_missing(struct run *run)
{
	struct store_task *t = run->t;
	struct slice document = SLICE_NULL;
	if (!t->upsert) {
		return 0;
	}
	int r = run_upsert(run, &document);
	if (r == 0 && t->return_new) {
		r = run_emit(run, document);
		t->result.n = 0;
	}
	return r;
}

int run_modify(struct run *run)
{
	struct buffer copy;
	int64_t rid = 0;
	int error = 0;
	buffer_init(&copy, run->t->limits->result_bytes);
	int found = run_best_match(run, &copy, &rid, &error);
	if (found == FOUND) {
		error = modify_found(run, rid, buffer_slice(&copy));
	} else if (found == NONE) {
		error = modify_missing(run);
	}
	buffer_deinit(&copy);
	return run_end(run, error);
}

int match_modify(struct run *run, struct engine_job *job)
{
	struct buffer copy;
	int64_t rid = 0;
	int error = 0;
	buffer_init(&copy, run->t->limits->result_bytes);
	if (run_best_match(run, &copy, &rid, &error) == FOUND) {
		error = engine_job_add(job, rid);
	}
	buffer_deinit(&copy);
	return error;
}

int step_modify(struct run *run, struct engine_job *job)
{
	struct buffer copy;
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	int found = job->n == 0 ? NONE : run_next_of_job(run, job, &rid, &document, &error);
	job->done = true;
	if (found != FOUND) {
		return found == NONE ? modify_missing(run) : error;
	}
	buffer_init(&copy, run->t->limits->result_bytes);
	error = buffer_append(&copy, document);
	error = error < 0 ? error : modify_found(run, rid, buffer_slice(&copy));
	buffer_deinit(&copy);
	return error;
}
