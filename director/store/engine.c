#include "director/store/engine.h"

#include "common/base/clock.h"
#include "director/store/query/collect.h"
#include "director/store/query/key.h"

#include <errno.h>
#include <stdlib.h>

/* One run. */
struct run {
	struct store_task *t;
	struct engine_source *s;
	struct budget budget;
	struct store_failure failure;
	int64_t now_ms;
	uint64_t until_ns; /* of a step; 0: to the end */
	bool attempt;      /* no error when the time is over: -ETIME */
};

typedef int (*operation_fn)(struct run *run);

/* --- outcomes --- */

/* A documented outcome becomes the answer; 0 says that the task is at its end. */
static int answer_failure(struct run *run)
{
	(void)store_task_fail(run->t, run->failure.error, "%s", run->failure.message);
	return 0;
}

/* Passes a source's error up; a positive result is already in `failure`. */
static int end_with(struct run *run, int r)
{
	return r > 0 ? answer_failure(run) : r;
}

static int spent(struct run *run)
{
	if (run->budget.regex_limit) {
		return store_fail(&run->failure, STORE_E_LIMIT,
			"a regular expression took too many steps on one value; the limit is %u "
			"(MOZAIKS_MAX_REGEX_STEPS)",
			run->t->limits->regex_steps == 0 ? MATCH_REGEX_STEPS
							 : run->t->limits->regex_steps);
	}
	if (run->attempt) {
		return -ETIME;
	}
	return store_fail(&run->failure, STORE_E_LIMIT,
		"the operation took longer than %u ms (MOZAIKS_STORE_TIMEOUT_SECONDS)",
		run->t->limits->operation_ms);
}

/* After something was written: 0, the answer's limit, or no memory. */
static int written(struct run *run, const struct document_writer *w)
{
	if (w->error == -ENOBUFS) {
		return store_fail(&run->failure, STORE_E_LIMIT,
			"the result has more than %zu bytes (MOZAIKS_MAX_RESULT_BYTES)",
			run->t->limits->result_bytes);
	}
	return w->error;
}

/* --- looking for documents --- */

enum { FOUND = 1, NONE = 0, FAILED = -1 };

/*
 * The next match. FOUND; NONE; FAILED with `ret_error`: negative of the source, or positive and in
 * `failure`.
 */
static int next_match(struct run *run, int64_t *rid, struct slice *document, int *ret_error)
{
	for (;;) {
		int r = run->s->ops->next(run->s, rid, document);
		if (r <= 0) {
			*ret_error = r;
			return r < 0 ? FAILED : NONE;
		}
		budget_charge(&run->budget, document->n);
		bool match = matcher_match(run->t->matcher, *document, &run->budget);
		if (budget_spent(&run->budget)) {
			*ret_error = spent(run);
			return FAILED;
		}
		/* An array that holds the caller's id would satisfy the filter, too. */
		if (match && store_task_owns(run->t, *document)) {
			return FOUND;
		}
	}
}

/* Puts a document into the answer. 0; positive and the failure; negative. */
static int emit(struct run *run, struct slice document)
{
	struct store_task *t = run->t;
	if (t->projector == NULL) {
		writer_raw(&t->out, document);
	} else {
		int r = projection_apply(
			t->projector, t->matcher, document, &run->budget, &t->out, &run->failure);
		if (r == 0 && budget_spent(&run->budget)) {
			r = spent(run);
		}
		if (r != 0) {
			return r;
		}
	}
	t->result.n++;
	return written(run, &t->out);
}

/* --- find --- */

static int find_in_order(struct run *run)
{
	struct store_task *t = run->t;
	struct slice document;
	int64_t rid = 0;
	uint64_t skip = t->skip;
	int error = 0;
	while (next_match(run, &rid, &document, &error) == FOUND) {
		if (skip > 0) {
			skip--;
			continue;
		}
		error = emit(run, document);
		if (error != 0 || t->result.n == t->limit) {
			break;
		}
	}
	return end_with(run, error);
}

static int sort_into(struct run *run, struct collect *c, struct slice document)
{
	int r = collect_begin(c);
	r = r < 0 ? r : sort_key(run->t->sorter, document, &run->budget, &c->keys);
	r = r < 0 ? r : collect_end(c, document);
	if (r == -ENOBUFS) {
		return store_fail(&run->failure, STORE_E_LIMIT,
			"sorting needs more than %zu bytes (MOZAIKS_MAX_RESULT_BYTES)",
			run->t->limits->result_bytes);
	}
	return r;
}

static int find_sorted(struct run *run)
{
	struct store_task *t = run->t;
	struct collect c;
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	uint64_t wanted = t->limit == 0 ? 0 : t->skip + t->limit;
	collect_init(&c, t->limits->result_bytes, wanted);
	while (error == 0 && next_match(run, &rid, &document, &error) == FOUND) {
		error = sort_into(run, &c, document);
	}
	if (error == 0) {
		collect_sort(&c);
		for (uint64_t i = t->skip; i < collect_n(&c) && error == 0; i++) {
			error = emit(run, collect_document(&c, i));
		}
	}
	collect_deinit(&c);
	return end_with(run, error);
}

static int run_find(struct run *run)
{
	return run->t->sorter == NULL || run->s->sorted ? find_in_order(run) : find_sorted(run);
}

/* --- count, distinct --- */

static int run_count(struct run *run)
{
	struct store_task *t = run->t;
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	uint64_t n = 0;
	uint64_t most = t->limit == 0 ? UINT64_MAX : t->skip + t->limit;
	if (t->unfiltered && run->s->ops->count != NULL) {
		error = run->s->ops->count(run->s, &n);
	} else {
		while (n < most && next_match(run, &rid, &document, &error) == FOUND) {
			n++;
		}
	}
	if (error != 0) {
		return end_with(run, error);
	}
	n = n > most ? most : n;
	t->result.n = n > t->skip ? n - t->skip : 0;
	return 0;
}

struct distinct {
	struct run *run;
	struct value_set seen;
	uint64_t n;
	int error;
};

static bool distinct_visit(void *arg, struct value v)
{
	struct distinct *d = (struct distinct *)arg;
	char text[24];
	/* What is missing is no value; neither is an empty array. */
	if (v.type == BT_MISSING || v.type == BT_UNDEFINED) {
		return false;
	}
	int r = value_set_add(&d->seen, v);
	if (r > 0) {
		writer_value(&d->run->t->out, index_name(d->n++, text), v);
		r = written(d->run, &d->run->t->out);
	} else if (r == -ENOBUFS) {
		r = store_fail(&d->run->failure, STORE_E_LIMIT,
			"the values have more than %zu bytes (MOZAIKS_MAX_RESULT_BYTES)",
			d->run->t->limits->result_bytes);
	}
	d->error = r;
	return r != 0;
}

static int distinct_documents(struct run *run, struct path path, struct distinct *d)
{
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	while (next_match(run, &rid, &document, &error) == FOUND) {
		struct value root = { BT_OBJECT, document };
		(void)path_values(path, root, &run->budget, distinct_visit, d);
		if (d->error != 0) {
			return d->error;
		}
	}
	return error;
}

static int run_distinct(struct run *run)
{
	struct store_task *t = run->t;
	struct distinct d = { .run = run };
	struct path_parts parts = { 0 };
	uint32_t first = 0;
	uint32_t n = 0;
	int r = path_parts_add(&parts, t->field, &first, &n, &run->failure);
	value_set_init(&d.seen, t->limits->result_bytes);
	if (r == 0) {
		struct path path = { parts.p + first, n };
		size_t root = writer_open(&t->out);
		size_t values = writer_open_in(&t->out, BT_ARRAY, SLICE("values"));
		r = distinct_documents(run, path, &d);
		writer_close(&t->out, values);
		writer_close(&t->out, root);
		r = r != 0 ? r : written(run, &t->out);
	}
	value_set_deinit(&d.seen);
	path_parts_deinit(&parts);
	t->result.n = d.n;
	return end_with(run, r);
}

/* --- aggregate --- */

static int emit_aggregate(void *arg, struct slice document)
{
	struct run *run = (struct run *)arg;
	writer_raw(&run->t->out, document);
	run->t->result.n++;
	return written(run, &run->t->out);
}

static int run_aggregate(struct run *run)
{
	struct store_task *t = run->t;
	struct pipeline_run pipeline = { t->pipeliner, &run->budget, run->now_ms, &run->failure,
		emit_aggregate, run };
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	while (error == 0 && !pipeline_is_full(t->pipeliner) &&
		next_match(run, &rid, &document, &error) == FOUND) {
		error = pipeline_push(&pipeline, document);
	}
	error = error != 0 ? error : pipeline_finish(&pipeline);
	if (error == 0 && budget_spent(&run->budget)) {
		error = spent(run);
	}
	return end_with(run, error);
}

/* --- indexes --- */

static int source_failed(struct run *run, int r);

static int run_index(struct run *run)
{
	if (run->s->ops->index == NULL) {
		return end_with(run,
			store_fail(
				&run->failure, STORE_E_UNSUPPORTED, "there are no indexes here"));
	}
	int r = source_failed(run, run->s->ops->index(run->s));
	return end_with(run, r != 0 ? r : written(run, &run->t->out));
}

static int run_names(struct run *run)
{
	if (run->s->ops->names == NULL) {
		return end_with(run,
			store_fail(&run->failure, STORE_E_UNSUPPORTED, "there are no names here"));
	}
	int r = run->s->ops->names(run->s);
	return end_with(run, r != 0 ? r : written(run, &run->t->out));
}

/* --- insert --- */

static int outside(struct run *run)
{
	return store_fail(&run->failure, STORE_E_INTERNAL,
		"a document outside the scope was about to be stored");
}

/* 1; 0 when the _id is taken; or an error as of next_match(). */
static int insert_one(struct run *run, struct slice document)
{
	if (!store_task_owns(run->t, document)) {
		return -EPERM;
	}
	return run->s->ops->insert(run->s, document, document_find(document, SLICE("_id")));
}

/* The source's own failure becomes the run's. Other results stay as they are. */
static int source_failed(struct run *run, int r)
{
	if (r != -EEXIST) {
		return r;
	}
	return store_fail(&run->failure, run->s->failure.error, "%s", run->s->failure.message);
}

static const char duplicate[] = "there is a document with this _id already";

/* {_id: 1} */
static const uint8_t id_keys[] = { 14, 0, 0, 0, BT_INT32, '_', 'i', 'd', 0, 1, 0, 0, 0, 0 };

/* A document was refused: 0, its _id is taken; -EEXIST, an index refuses it. */
static void note_refused(struct run *run, int r, uint32_t index, struct slice document)
{
	if (r == 0) {
		store_task_note_duplicate(
			run->t, index, slice_of(id_keys, sizeof(id_keys)), document);
	} else if (r == -EEXIST && run->s->failure.error == STORE_E_DUPLICATE) {
		store_task_note_duplicate(run->t, index, run->s->keys, document);
	}
}

/* The step is long enough. */
static bool pauses(const struct run *run)
{
	return run->until_ns != 0 && clock_ns() >= run->until_ns;
}

static int insert_documents(struct run *run, struct engine_job *job)
{
	struct store_task *t = run->t;
	struct slice document;
	char text[24];
	int r = 0;
	while (r == 0 && document_take(&job->row, &document)) {
		uint32_t i = job->index++;
		writer_value(&t->out, index_name(i, text), document_find(document, SLICE("_id")));
		if (job->stopped) {
			continue;
		}
		budget_charge(&run->budget, document.n * 16);
		if (budget_spent(&run->budget)) {
			return spent(run);
		}
		int inserted = insert_one(run, document);
		note_refused(run, inserted, i, document);
		if (inserted == 0) {
			r = store_task_write_error(t, i, STORE_E_DUPLICATE, duplicate);
			job->stopped = t->ordered;
		} else if (inserted == -EEXIST) {
			r = store_task_write_error(
				t, i, run->s->failure.error, run->s->failure.message);
			job->stopped = t->ordered;
		} else if (inserted < 0) {
			r = inserted;
		} else {
			t->result.n++;
		}
		if (pauses(run)) {
			return r;
		}
	}
	job->done = true;
	return r;
}

static int step_insert(struct run *run, struct engine_job *job)
{
	struct store_task *t = run->t;
	if (!job->begun) {
		job->begun = true;
		job->row = t->documents;
		job->root = writer_open(&t->out);
		job->ids = writer_open_in(&t->out, BT_ARRAY, SLICE("ids"));
	}
	int r = insert_documents(run, job);
	if (r == 0 && !job->done) {
		return written(run, &t->out);
	}
	writer_close(&t->out, job->ids);
	writer_close(&t->out, job->root);
	if (r == -EPERM) {
		r = outside(run);
	}
	return r != 0 ? r : written(run, &t->out);
}

static int run_insert(struct run *run)
{
	struct engine_job job = ENGINE_JOB_NULL;
	return end_with(run, step_insert(run, &job));
}

/* --- update, delete --- */

/* The ids of rows, collected before any of them changes. */
static int job_add(struct engine_job *job, int64_t rid)
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

static int collect_rids(struct run *run, struct engine_job *job)
{
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	while (error == 0 && next_match(run, &rid, &document, &error) == FOUND) {
		error = job_add(job, rid);
		if (!run->t->multi) {
			break;
		}
	}
	return error;
}

/* Updates one document and counts it. @param ret_after may be NULL; valid until the next one. */
static int update_one(struct run *run, int64_t rid, struct slice document, struct slice *ret_after)
{
	struct store_task *t = run->t;
	struct slice after = SLICE_NULL;
	int r = update_apply(
		t->updater, t->matcher, document, run->now_ms, &run->budget, &after, &run->failure);
	if (r == 0 && budget_spent(&run->budget)) {
		r = spent(run);
	}
	if (r == 0 && !store_task_owns(t, after)) {
		r = outside(run);
	}
	if (r != 0) {
		return r;
	}
	t->result.n++;
	if (!slice_eq(document, after)) {
		t->result.modified++;
		r = run->s->ops->replace(run->s, rid, after);
		note_refused(run, r == 0 ? 1 : r, 0, after);
		r = source_failed(run, r);
	}
	if (ret_after != NULL) {
		*ret_after = after;
	}
	return r;
}

/* The next document of a job, when it is still there and a match. FOUND; NONE; FAILED as of
 * next_match(). */
static int next_of_job(
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
		*error = spent(run);
		return FAILED;
	}
	return match && store_task_owns(run->t, *document) ? FOUND : NONE;
}

static int update_rids(struct run *run, struct engine_job *job)
{
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	while (job->next < job->n) {
		int found = next_of_job(run, job, &rid, &document, &error);
		error = found == FOUND ? update_one(run, rid, document, NULL) : error;
		if (error != 0) {
			return error;
		}
		if (pauses(run)) {
			return 0;
		}
	}
	job->done = true;
	return 0;
}

static int delete_rids(struct run *run, struct engine_job *job)
{
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	while (job->next < job->n) {
		int found = next_of_job(run, job, &rid, &document, &error);
		if (found == FOUND) {
			error = run->s->ops->remove(run->s, rid);
			run->t->result.n++;
		}
		if (error != 0) {
			return error;
		}
		if (pauses(run)) {
			return 0;
		}
	}
	job->done = true;
	return 0;
}

/* Inserts what the filter and the update make of nothing. */
static int upsert(struct run *run, struct slice *ret_document)
{
	struct store_task *t = run->t;
	struct slice document = SLICE_NULL;
	int r = update_insert(t->updater, t->matcher, t->oid, run->now_ms, &run->budget, &document,
		&run->failure);
	if (r != 0) {
		return r;
	}
	r = insert_one(run, document);
	note_refused(run, r, 0, document);
	if (r == 0) {
		return store_fail(&run->failure, STORE_E_DUPLICATE, "%s", duplicate);
	}
	if (r < 0) {
		return r == -EPERM ? outside(run) : source_failed(run, r);
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
	return run->t->upsert && run->t->result.n == 0 ? upsert(run, &document) : 0;
}

static int step_update(struct run *run, struct engine_job *job)
{
	int r = update_rids(run, job);
	return r != 0 || !job->done ? r : upsert_if_none(run);
}

static int best_match(struct run *run, struct buffer *copy, int64_t *ret_rid, int *ret_error);

/* The first in the order that was asked for. */
static int update_best(struct run *run)
{
	struct buffer copy;
	int64_t rid = 0;
	int error = 0;
	buffer_init(&copy, run->t->limits->result_bytes);
	if (best_match(run, &copy, &rid, &error) == FOUND) {
		error = update_one(run, rid, buffer_slice(&copy), NULL);
	}
	buffer_deinit(&copy);
	return error;
}

static int run_update(struct run *run)
{
	struct engine_job job = ENGINE_JOB_NULL;
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	if (run->t->sorter != NULL) {
		error = update_best(run);
	} else if (run->t->multi) {
		error = collect_rids(run, &job);
		error = error != 0 ? error : update_rids(run, &job);
	} else if (next_match(run, &rid, &document, &error) == FOUND) {
		error = update_one(run, rid, document, NULL);
	}
	engine_job_deinit(&job);
	return end_with(run, error != 0 ? error : upsert_if_none(run));
}

static int run_delete(struct run *run)
{
	struct engine_job job = ENGINE_JOB_NULL;
	int r = collect_rids(run, &job);
	r = r != 0 ? r : delete_rids(run, &job);
	engine_job_deinit(&job);
	return end_with(run, r);
}

/* --- find and modify --- */

/* The first match in the task's order, copied. FOUND, NONE or FAILED as next_match(). */
static int best_match(struct run *run, struct buffer *copy, int64_t *ret_rid, int *ret_error)
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
	while (error == 0 && next_match(run, &rid, &document, &error) == FOUND) {
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
		r = update_one(run, rid, before, &after);
	}
	if (r != 0) {
		return r;
	}
	uint64_t n = t->result.n;
	r = emit(run, t->return_new ? after : before);
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
	int r = upsert(run, &document);
	if (r == 0 && t->return_new) {
		r = emit(run, document);
		t->result.n = 0;
	}
	return r;
}

static int run_modify(struct run *run)
{
	struct buffer copy;
	int64_t rid = 0;
	int error = 0;
	buffer_init(&copy, run->t->limits->result_bytes);
	int found = best_match(run, &copy, &rid, &error);
	if (found == FOUND) {
		error = modify_found(run, rid, buffer_slice(&copy));
	} else if (found == NONE) {
		error = modify_missing(run);
	}
	buffer_deinit(&copy);
	return end_with(run, error);
}

static int match_modify(struct run *run, struct engine_job *job)
{
	struct buffer copy;
	int64_t rid = 0;
	int error = 0;
	buffer_init(&copy, run->t->limits->result_bytes);
	if (best_match(run, &copy, &rid, &error) == FOUND) {
		error = job_add(job, rid);
	}
	buffer_deinit(&copy);
	return error;
}

static int step_modify(struct run *run, struct engine_job *job)
{
	struct buffer copy;
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	int found = job->n == 0 ? NONE : next_of_job(run, job, &rid, &document, &error);
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

/* --- running --- */

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
	int r = t->op == STORE_INSERT ? 0
		: best                ? match_modify(&run, job)
				      : collect_rids(&run, job);
	job->spent_ms += clock_ms() - started;
	return end_with(&run, r);
}

int engine_step(
	struct store_task *t, struct engine_source *s, struct engine_job *job, uint64_t until_ns)
{
	static int (*const steps[])(struct run * run, struct engine_job * job) = {
		[STORE_INSERT] = step_insert,
		[STORE_UPDATE] = step_update,
		[STORE_DELETE] = delete_rids,
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
	r = end_with(&run, r);
	store_task_finish(t);
	return r;
}

void engine_job_deinit(struct engine_job *job)
{
	free(job->rids);
	*job = ENGINE_JOB_NULL;
}
