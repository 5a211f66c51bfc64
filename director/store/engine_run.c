/* Outcomes of a run, and looking for documents. */
#include "common/base/clock.h"
#include "director/store/engine_inside.h"

#include <errno.h>

/* A documented outcome becomes the answer; 0 says that the task is at its end. */
static int answer_failure(struct run *run)
{
	(void)store_task_fail(run->t, run->failure.error, "%s", run->failure.message);
	return 0;
}

int run_end(struct run *run, int r)
{
	return r > 0 ? answer_failure(run) : r;
}

int run_spent(struct run *run)
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

int run_written(struct run *run, const struct document_writer *w)
{
	if (w->error == -ENOBUFS) {
		return store_fail(&run->failure, STORE_E_LIMIT,
			"the result has more than %zu bytes (MOZAIKS_MAX_RESULT_BYTES)",
			run->t->limits->result_bytes);
	}
	return w->error;
}

int run_source_failed(struct run *run, int r)
{
	if (r != -EEXIST) {
		return r;
	}
	return store_fail(&run->failure, run->s->failure.error, "%s", run->s->failure.message);
}

bool run_pauses(const struct run *run)
{
	return run->until_ns != 0 && clock_ns() >= run->until_ns;
}

int run_next(struct run *run, int64_t *rid, struct slice *document, int *ret_error)
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
			*ret_error = run_spent(run);
			return FAILED;
		}
		/* An array that holds the caller's id would satisfy the filter, too. */
		if (match && store_task_owns(run->t, *document)) {
			return FOUND;
		}
	}
}

int run_emit(struct run *run, struct slice document)
{
	struct store_task *t = run->t;
	if (t->projector == NULL) {
		writer_raw(&t->out, document);
	} else {
		int r = projection_apply(
			t->projector, t->matcher, document, &run->budget, &t->out, &run->failure);
		if (r == 0 && budget_spent(&run->budget)) {
			r = run_spent(run);
		}
		if (r != 0) {
			return r;
		}
	}
	t->result.n++;
	return run_written(run, &t->out);
}
