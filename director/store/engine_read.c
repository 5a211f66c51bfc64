/* Operations that change nothing but indexes. */
#include "director/store/engine_inside.h"
#include "director/store/query/collect.h"

#include <errno.h>

/* --- find --- */

static int find_in_order(struct run *run)
{
	struct store_task *t = run->t;
	struct slice document;
	int64_t rid = 0;
	uint64_t skip = t->skip;
	int error = 0;
	while (run_next(run, &rid, &document, &error) == FOUND) {
		if (skip > 0) {
			skip--;
			continue;
		}
		error = run_emit(run, document);
		if (error != 0 || t->result.n == t->limit) {
			break;
		}
	}
	return run_end(run, error);
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
	while (error == 0 && run_next(run, &rid, &document, &error) == FOUND) {
		error = sort_into(run, &c, document);
	}
	if (error == 0) {
		collect_sort(&c);
		for (uint64_t i = t->skip; i < collect_n(&c) && error == 0; i++) {
			error = run_emit(run, collect_document(&c, i));
		}
	}
	collect_deinit(&c);
	return run_end(run, error);
}

int run_find(struct run *run)
{
	return run->t->sorter == NULL || run->s->sorted ? find_in_order(run) : find_sorted(run);
}

/* --- count, distinct --- */

int run_count(struct run *run)
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
		while (n < most && run_next(run, &rid, &document, &error) == FOUND) {
			n++;
		}
	}
	if (error != 0) {
		return run_end(run, error);
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
		r = run_written(d->run, &d->run->t->out);
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
	while (run_next(run, &rid, &document, &error) == FOUND) {
		struct value root = { BT_OBJECT, document };
		(void)path_values(path, root, &run->budget, distinct_visit, d);
		if (d->error != 0) {
			return d->error;
		}
	}
	return error;
}

int run_distinct(struct run *run)
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
		r = r != 0 ? r : run_written(run, &t->out);
	}
	value_set_deinit(&d.seen);
	path_parts_deinit(&parts);
	t->result.n = d.n;
	return run_end(run, r);
}

/* --- aggregate --- */

static int emit_aggregate(void *arg, struct slice document)
{
	struct run *run = (struct run *)arg;
	writer_raw(&run->t->out, document);
	run->t->result.n++;
	return run_written(run, &run->t->out);
}

int run_aggregate(struct run *run)
{
	struct store_task *t = run->t;
	struct pipeline_run pipeline = { t->pipeliner, &run->budget, run->now_ms, &run->failure,
		emit_aggregate, run };
	struct slice document;
	int64_t rid = 0;
	int error = 0;
	while (error == 0 && !pipeline_is_full(t->pipeliner) &&
		run_next(run, &rid, &document, &error) == FOUND) {
		error = pipeline_push(&pipeline, document);
	}
	error = error != 0 ? error : pipeline_finish(&pipeline);
	if (error == 0 && budget_spent(&run->budget)) {
		error = run_spent(run);
	}
	return run_end(run, error);
}

/* --- indexes --- */

int run_index(struct run *run)
{
	if (run->s->ops->index == NULL) {
		return run_end(run,
			store_fail(
				&run->failure, STORE_E_UNSUPPORTED, "there are no indexes here"));
	}
	int r = run_source_failed(run, run->s->ops->index(run->s));
	return run_end(run, r != 0 ? r : run_written(run, &run->t->out));
}

int run_names(struct run *run)
{
	if (run->s->ops->names == NULL) {
		return run_end(run,
			store_fail(&run->failure, STORE_E_UNSUPPORTED, "there are no names here"));
	}
	int r = run->s->ops->names(run->s);
	return run_end(run, r != 0 ? r : run_written(run, &run->t->out));
}
