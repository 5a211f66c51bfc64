#include "director/store/engine_inside.h"

#include <errno.h>

int run_outside(struct run *run)
{
	return store_fail(&run->failure, STORE_E_INTERNAL,
		"a document outside the scope was about to be stored");
}

int run_insert_one(struct run *run, struct slice document)
{
	if (!store_task_owns(run->t, document)) {
		return -EPERM;
	}
	return run->s->ops->insert(run->s, document, document_find(document, SLICE("_id")));
}

const char run_duplicate[] = "there is a document with this _id already";

/* {_id: 1} */
static const uint8_t id_keys[] = { 14, 0, 0, 0, BT_INT32, '_', 'i', 'd', 0, 1, 0, 0, 0, 0 };

void run_note_refused(struct run *run, int r, uint32_t index, struct slice document)
{
	if (r == 0) {
		store_task_note_duplicate(
			run->t, index, slice_of(id_keys, sizeof(id_keys)), document);
	} else if (r == -EEXIST && run->s->failure.error == STORE_E_DUPLICATE) {
		store_task_note_duplicate(run->t, index, run->s->keys, document);
	}
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
			return run_spent(run);
		}
		int inserted = run_insert_one(run, document);
		run_note_refused(run, inserted, i, document);
		if (inserted == 0) {
			r = store_task_write_error(t, i, STORE_E_DUPLICATE, run_duplicate);
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
		if (run_pauses(run)) {
			return r;
		}
	}
	job->done = true;
	return r;
}

int step_insert(struct run *run, struct engine_job *job)
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
		return run_written(run, &t->out);
	}
	writer_close(&t->out, job->ids);
	writer_close(&t->out, job->root);
	if (r == -EPERM) {
		r = run_outside(run);
	}
	return r != 0 ? r : run_written(run, &t->out);
}

int run_insert(struct run *run)
{
	struct engine_job job = ENGINE_JOB_NULL;
	return run_end(run, step_insert(run, &job));
}
