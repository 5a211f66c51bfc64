#include "director/store/task.h"

#include "director/store/query/index.h"
#include "director/store/scope.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	FIELD_BYTES_MAX = 1024,
	/* What the scope adds to a filter, an update or a document: the caller's id and some names. */
	SCOPE_BYTES_MAX = 1024,
};

/* --- answers --- */

int store_task_fail(struct store_task *t, enum store_error e, const char *format, ...)
{
	va_list args;
	char text[STORE_MESSAGE_MAX];
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	struct store_failure f;
	(void)store_fail(&f, e, "%s", text);
	t->result = (struct store_result){ .error = e };
	memcpy(t->result.message, f.message, sizeof(f.message));
	buffer_clear(&t->out.b);
	buffer_clear(&t->id.b);
	t->n_write_errors = 0;
	return (int)e;
}

int store_task_fail_errno(struct store_task *t, int negative_errno)
{
	if (negative_errno == -ENOMEM) {
		return store_task_fail(t, STORE_E_UNAVAILABLE, "no memory");
	}
	return store_task_fail(t, STORE_E_INTERNAL, "the store failed (error %d)", -negative_errno);
}

/* A failure of the engine or the guard: positive with its text, negative without. */
static int task_refuse(struct store_task *t, int r, const struct store_failure *f)
{
	return r < 0 ? store_task_fail_errno(t, r) : store_task_fail(t, f->error, "%s", f->message);
}

/* What is said of duplicates: with the errors themselves it fits an answer. */
enum { DUPLICATES_BYTES = 32 * 1024 };

int store_task_write_error(
	struct store_task *t, uint32_t index, enum store_error e, const char *message)
{
	size_t n = t->n_write_errors;
	/* Room for 1, 2, 4, … errors: grown whenever the number is a power of two. */
	if ((n & (n - 1)) == 0) {
		struct store_write_error *errors =
			reallocarray(t->write_errors, n == 0 ? 1 : n * 2, sizeof(*errors));
		if (errors == NULL) {
			return -ENOMEM;
		}
		t->write_errors = errors;
	}
	struct store_write_error *w = &t->write_errors[t->n_write_errors++];
	*w = (struct store_write_error){ .index = index, .error = e };
	(void)snprintf(w->message, sizeof(w->message), "%s", message);
	if (t->result.error == STORE_OK) {
		t->result.error = e;
		(void)snprintf(t->result.message, sizeof(t->result.message), "%s", message);
	}
	return 0;
}

/* A field by its path, or by a name with the dots of one; of what is inside arrays nothing is said. */
static struct value value_at(struct slice document, struct slice path)
{
	struct value whole = document_find(document, path);
	const uint8_t *dot = memchr(path.p, '.', path.n);
	if (whole.type != BT_MISSING) {
		return whole;
	}
	while (dot != NULL) {
		size_t n = (size_t)(dot - path.p);
		struct value v = document_find(document, slice_of(path.p, n));
		if (v.type != BT_OBJECT) {
			return VALUE_MISSING;
		}
		document = v.data;
		path = slice_skip(path, n + 1);
		dot = memchr(path.p, '.', path.n);
	}
	return document_find(document, path);
}

/* The owner, whom the runtime has put into a user's index. */
static bool is_scope(const struct store_task *t, struct slice name)
{
	return t->scope != STORE_SCOPE_SHARED && slice_eq(name, SLICE("user_id"));
}

void store_task_note_duplicate(
	struct store_task *t, uint32_t index, struct slice keys, struct slice document)
{
	struct document_writer *w = &t->duplicates;
	struct document_iter it = document_iter(keys);
	struct element e;
	size_t before = w->b.n;
	if (w->error < 0) {
		return;
	}
	size_t root = writer_open(w);
	writer_int32(w, SLICE("index"), (int32_t)index);
	size_t pattern = writer_open_in(w, BT_OBJECT, SLICE("keyPattern"));
	while (document_next(&it, &e)) {
		if (!is_scope(t, e.name)) {
			writer_raw(w, e.raw);
		}
	}
	writer_close(w, pattern);
	it = document_iter(keys);
	size_t values = writer_open_in(w, BT_OBJECT, SLICE("keyValue"));
	while (document_next(&it, &e)) {
		struct value v = value_at(document, e.name);
		if (is_scope(t, e.name)) {
			continue;
		}
		if (v.type == BT_MISSING) {
			writer_null(w, e.name);
		} else {
			writer_value(w, e.name, v);
		}
	}
	writer_close(w, values);
	writer_close(w, root);
	/* No more of them. */
	w->b.n = w->error < 0 ? before : w->b.n;
}

void store_task_restart(struct store_task *t)
{
	t->result = (struct store_result){ .error = STORE_OK };
	buffer_clear(&t->out.b);
	buffer_clear(&t->id.b);
	t->out.error = 0;
	t->id.error = 0;
	buffer_clear(&t->duplicates.b);
	t->duplicates.error = 0;
	t->n_write_errors = 0;
}

void store_task_finish(struct store_task *t)
{
	t->result.documents = buffer_slice(&t->out.b);
	t->result.upserted_id = buffer_slice(&t->id.b);
	t->result.duplicates = buffer_slice(&t->duplicates.b);
	t->result.write_errors = t->write_errors;
	t->result.n_write_errors = t->n_write_errors;
}

bool store_task_keeps(const struct store_task *t)
{
	return t->result.error == STORE_OK || t->n_write_errors > 0;
}

bool store_task_owns(const struct store_task *t, struct slice document)
{
	struct value owner = document_find(document, SLICE("user_id"));
	switch (t->scope) {
	case STORE_SCOPE_USER:
		return owner.type == BT_STRING && slice_eq(value_string(owner), t->user);
	case STORE_SCOPE_APP:
		return owner.type == BT_MISSING;
	case STORE_SCOPE_SHARED:
		break;
	}
	return true;
}

/* --- making a task of a command --- */

/* Where the parts stand in the one block, while it still grows. */
struct span {
	size_t at;
	size_t n;
};

enum part {
	PART_PLUGIN,
	PART_NAME,
	PART_USER,
	PART_FILTER,
	PART_PROJECTION,
	PART_SORT,
	PART_UPDATE,
	PART_ARRAY_FILTERS,
	PART_DOCUMENTS,
	PART_FIELD,
	PART_PIPELINE,
	PART_INDEX,
	PART_ALIASES,
	PARTS
};

struct making {
	struct store_task *t;
	const struct store_scope *scope;
	const struct store_command *c;
	const struct store_limits *limits;
	struct oid_source *ids;
	struct document_writer w;
	struct span spans[PARTS];
	struct store_failure failure;
};

static int refuse_size(
	struct making *m, const char *what, size_t n, size_t limit, const char *setting)
{
	return store_fail(&m->failure, STORE_E_LIMIT, "%s of %zu bytes; the limit is %zu (%s)",
		what, n, limit, setting);
}

static int check_sizes(struct making *m)
{
	const struct store_command *c = m->c;
	const struct store_limits *l = m->limits;
	if (c->filter.n > l->filter_bytes) {
		return refuse_size(
			m, "a filter", c->filter.n, l->filter_bytes, "MOZAIKS_MAX_FILTER_BYTES");
	}
	if (c->sort.n > l->filter_bytes) {
		return refuse_size(
			m, "a sort", c->sort.n, l->filter_bytes, "MOZAIKS_MAX_FILTER_BYTES");
	}
	if (c->projection.n > l->filter_bytes) {
		return refuse_size(m, "a projection", c->projection.n, l->filter_bytes,
			"MOZAIKS_MAX_FILTER_BYTES");
	}
	if (c->update.n > l->document_bytes) {
		return refuse_size(m, "an update", c->update.n, l->document_bytes,
			"MOZAIKS_MAX_DOCUMENT_BYTES");
	}
	if (c->array_filters.n > l->filter_bytes) {
		return refuse_size(m, "arrayFilters", c->array_filters.n, l->filter_bytes,
			"MOZAIKS_MAX_FILTER_BYTES");
	}
	if (c->index.n > l->filter_bytes) {
		return refuse_size(
			m, "an index", c->index.n, l->filter_bytes, "MOZAIKS_MAX_FILTER_BYTES");
	}
	if (c->pipeline.n > l->filter_bytes) {
		return refuse_size(m, "a pipeline", c->pipeline.n, l->filter_bytes,
			"MOZAIKS_MAX_FILTER_BYTES");
	}
	if (c->field.n > FIELD_BYTES_MAX) {
		return store_fail(&m->failure, STORE_E_LIMIT,
			"a field name of %zu bytes; the limit is %d (fixed)", c->field.n,
			FIELD_BYTES_MAX);
	}
	if (c->skip > l->skip) {
		return store_fail(&m->failure, STORE_E_LIMIT,
			"skip is %llu; the limit is %u (MOZAIKS_MAX_SKIP)",
			(unsigned long long)c->skip, l->skip);
	}
	return 0;
}

/* What an operation needs and what makes no sense for it. */
static int check_shape(struct making *m)
{
	const struct store_command *c = m->c;
	bool changes = c->op == STORE_UPDATE || (c->op == STORE_MODIFY && !c->remove);
	if (changes && c->update.n == 0) {
		return store_fail(&m->failure, STORE_E_INVALID, "the update is missing");
	}
	if (c->op == STORE_MODIFY && c->remove && (c->update.n > 0 || c->upsert || c->return_new)) {
		return store_fail(&m->failure, STORE_E_INVALID,
			"remove goes with neither an update nor upsert nor the new document");
	}
	if (c->op == STORE_INSERT && c->documents.n == 0) {
		return store_fail(&m->failure, STORE_E_INVALID, "there is no document to insert");
	}
	if (c->op == STORE_INDEX_CREATE && c->index.n == 0) {
		return store_fail(&m->failure, STORE_E_INVALID, "the index is missing");
	}
	if (c->op == STORE_INDEX_DROP && c->field.n == 0) {
		return store_fail(&m->failure, STORE_E_INVALID, "the name of the index is missing");
	}
	if (c->op == STORE_DISTINCT && c->field.n == 0) {
		return store_fail(&m->failure, STORE_E_INVALID, "the field is missing");
	}
	return 0;
}

static void put(struct making *m, struct slice s)
{
	writer_raw(&m->w, s);
}

static void begin(struct making *m, enum part part)
{
	m->spans[part].at = m->w.b.n;
}

static void end(struct making *m, enum part part)
{
	m->spans[part].n = m->w.b.n - m->spans[part].at;
}

static void copy(struct making *m, enum part part, struct slice s)
{
	begin(m, part);
	put(m, s);
	end(m, part);
}

static void make_names(struct making *m)
{
	bool alias = m->scope->physical.n > 0;
	begin(m, PART_NAME);
	begin(m, PART_PLUGIN);
	put(m, m->scope->app);
	put(m, SLICE("/"));
	if (m->scope->plugin.n > 0) {
		put(m, m->scope->plugin);
		put(m, SLICE("/"));
	}
	end(m, PART_PLUGIN);
	if (alias) {
		begin(m, PART_NAME);
	}
	put(m, alias ? m->scope->physical : m->c->collection);
	end(m, PART_NAME);
	copy(m, PART_USER, m->scope->kind == STORE_SCOPE_USER ? m->scope->user : SLICE_NULL);
}

static int make_documents(struct making *m)
{
	struct slice row = m->c->documents;
	struct slice document;
	int r = 0;
	begin(m, PART_DOCUMENTS);
	while (r == 0 && document_take(&row, &document)) {
		uint8_t oid[OID_BYTES];
		size_t start = m->w.b.n;
		oid_next(m->ids, oid);
		r = scope_document(m->scope, document, oid, &m->w, &m->failure);
		size_t n = m->w.b.n - start;
		if (r == 0 && n > m->limits->document_bytes) {
			r = refuse_size(m, "a document", n, m->limits->document_bytes,
				"MOZAIKS_MAX_DOCUMENT_BYTES");
		}
	}
	end(m, PART_DOCUMENTS);
	if (r == 0 && row.n > 0) {
		r = store_fail(&m->failure, STORE_E_INVALID, "the documents are not valid BSON");
	}
	return r;
}

/* The filter of a $match that stands first, and the stages behind it. */
static struct slice split_pipeline(struct slice pipeline, struct document_iter *ret_rest)
{
	struct document_iter it = document_iter(pipeline);
	struct element stage;
	struct element e;
	struct element surplus;
	*ret_rest = it;
	if (!document_next(&it, &stage) || stage.value.type != BT_OBJECT) {
		return SLICE_NULL;
	}
	struct document_iter inner = document_iter(stage.value.data);
	if (!document_next(&inner, &e) || !slice_eq(e.name, SLICE("$match")) ||
		e.value.type != BT_OBJECT || document_next(&inner, &surplus)) {
		return SLICE_NULL;
	}
	*ret_rest = it;
	return e.value.data;
}

/* What the pipeline begins with is the caller's documents, whatever it says. */
static int make_pipeline(struct making *m)
{
	struct document_iter it;
	struct element stage;
	char text[24];
	struct slice match = split_pipeline(m->c->pipeline, &it);
	begin(m, PART_FILTER);
	int r = scope_filter(m->scope, match, &m->w, &m->failure);
	end(m, PART_FILTER);
	begin(m, PART_PIPELINE);
	size_t start = writer_open(&m->w);
	for (uint64_t n = 0; document_next(&it, &stage); n++) {
		writer_value(&m->w, index_name(n, text), stage.value);
	}
	writer_close(&m->w, start);
	end(m, PART_PIPELINE);
	return r;
}

static int make_parts(struct making *m)
{
	const struct store_command *c = m->c;
	int r = 0;
	make_names(m);
	if (c->op == STORE_INSERT) {
		return make_documents(m);
	}
	if (c->op == STORE_AGGREGATE) {
		return make_pipeline(m);
	}
	begin(m, PART_FILTER);
	r = scope_filter(m->scope, c->filter, &m->w, &m->failure);
	end(m, PART_FILTER);
	if (r == 0 && c->update.n > 0) {
		begin(m, PART_UPDATE);
		r = scope_update(m->scope, c->update, c->upsert, &m->w, &m->failure);
		end(m, PART_UPDATE);
	}
	copy(m, PART_ARRAY_FILTERS, c->array_filters);
	copy(m, PART_PROJECTION, c->projection);
	copy(m, PART_SORT, c->sort);
	copy(m, PART_FIELD, c->field);
	copy(m, PART_INDEX, c->index);
	copy(m, PART_ALIASES, c->aliases);
	return r;
}

static struct slice part_of(const struct making *m, enum part part)
{
	return slice_of(m->t->memory + m->spans[part].at, m->spans[part].n);
}

static void take_parts(struct making *m)
{
	struct store_task *t = m->t;
	size_t n = 0;
	t->memory = buffer_steal(&m->w.b, &n);
	t->bytes = n + sizeof(*t);
	t->plugin = part_of(m, PART_PLUGIN);
	t->collection = part_of(m, PART_NAME);
	t->user = part_of(m, PART_USER);
	t->filter = part_of(m, PART_FILTER);
	t->projection = part_of(m, PART_PROJECTION);
	t->sort = part_of(m, PART_SORT);
	t->update = part_of(m, PART_UPDATE);
	t->array_filters = part_of(m, PART_ARRAY_FILTERS);
	t->documents = part_of(m, PART_DOCUMENTS);
	t->field = part_of(m, PART_FIELD);
	t->pipeline = part_of(m, PART_PIPELINE);
	t->index = part_of(m, PART_INDEX);
	t->aliases = part_of(m, PART_ALIASES);
}

/* Every document may grow by its _id and its owner. */
static size_t room_for(const struct store_command *c)
{
	size_t documents = c->documents.n / DOCUMENT_EMPTY_BYTES + 4;
	return c->filter.n + c->projection.n + c->sort.n + c->update.n + c->array_filters.n +
		c->documents.n + c->field.n + c->pipeline.n + c->index.n + c->aliases.n +
		documents * SCOPE_BYTES_MAX;
}

int store_task_init(struct store_task *t,
	const struct store_scope *scope,
	const struct store_command *c,
	const struct store_limits *limits,
	struct oid_source *ids)
{
	struct making m = { .t = t, .scope = scope, .c = c, .limits = limits, .ids = ids };
	*t = (struct store_task){
		.op = c->op,
		.scope = scope->kind,
		.unfiltered = document_is_empty(c->filter),
		.skip = c->skip,
		.limit = c->limit,
		.multi = c->multi,
		.upsert = c->upsert,
		.ordered = c->ordered,
		.remove = c->remove,
		.return_new = c->return_new,
		.chain = c->chain,
		.place = c->place,
		.limits = limits,
		.bytes = sizeof(*t),
	};
	writer_init(&t->out, limits->result_bytes);
	writer_init(&t->id, limits->document_bytes + SCOPE_BYTES_MAX);
	writer_init(&t->duplicates, DUPLICATES_BYTES);
	oid_next(ids, t->oid);
	struct slice collection = c->op == STORE_NAMES ? SLICE("any") : c->collection;
	int r = scope_check_names(scope, collection, &m.failure);
	r = r != 0 ? r : check_shape(&m);
	r = r != 0 ? r : check_sizes(&m);
	if (r != 0) {
		return task_refuse(t, r, &m.failure);
	}
	writer_init(&m.w, room_for(c));
	r = make_parts(&m);
	r = r != 0 ? r : m.w.error;
	if (r != 0) {
		writer_deinit(&m.w);
		(void)task_refuse(t, r, &m.failure);
		return r;
	}
	take_parts(&m);
	return 0;
}

bool store_task_skips(struct store_task *t)
{
	if (t->chain == NULL || t->place <= atomic_load(&t->chain->failed)) {
		return false;
	}
	(void)store_task_fail(
		t, STORE_E_UNAVAILABLE, "nothing was done: a change before it in its list failed");
	return true;
}

void store_task_note(const struct store_task *t)
{
	if (t->chain == NULL || t->result.error == STORE_OK) {
		return;
	}
	uint32_t first = atomic_load(&t->chain->failed);
	while (t->place < first &&
		!atomic_compare_exchange_weak(&t->chain->failed, &first, t->place)) {
	}
}

void store_task_deinit(struct store_task *t)
{
	matcher_free(t->matcher);
	update_free(t->updater);
	sort_free(t->sorter);
	projection_free(t->projector);
	pipeline_free(t->pipeliner);
	writer_deinit(&t->out);
	writer_deinit(&t->id);
	writer_deinit(&t->duplicates);
	free(t->write_errors);
	free(t->memory);
	*t = (struct store_task){ 0 };
}

static int compile_update(
	struct store_task *t, const struct match_limits *match, struct store_failure *f)
{
	struct update_limits limits = { *match, t->limits->document_bytes };
	if (t->update.n == 0) {
		return 0;
	}
	int r = update_compile(&t->updater, t->update, t->array_filters, &limits, f);
	if (r == 0 && t->multi && update_is_replacement(t->updater)) {
		return store_fail(
			f, STORE_E_INVALID, "a replacement cannot be applied to many documents");
	}
	if (r == 0 && t->multi && t->sort.n > 0) {
		return store_fail(f, STORE_E_INVALID, "only an update of one document is sorted");
	}
	return r;
}

static int compile_field(struct store_task *t, struct store_failure *f)
{
	struct path_parts parts = { 0 };
	uint32_t first = 0;
	uint32_t n = 0;
	if (t->op != STORE_DISTINCT) {
		return 0;
	}
	int r = path_parts_add(&parts, t->field, &first, &n, f);
	path_parts_deinit(&parts);
	return r;
}

/* An index is kept as it was said, and so is checked before. */
static int check_index(const struct store_task *t, struct store_failure *f)
{
	struct index_spec spec;
	if (t->op != STORE_INDEX_CREATE) {
		return 0;
	}
	int r = index_compile(&spec, t->index, f);
	if (r == 0 && spec.n > t->limits->index_fields) {
		r = store_fail(f, STORE_E_LIMIT,
			"an index of %u fields; the limit is %u (MOZAIKS_MAX_INDEX_FIELDS)", spec.n,
			t->limits->index_fields);
	}
	index_deinit(&spec);
	return r;
}

static int compile_pipeline(
	struct store_task *t, const struct match_limits *match, struct store_failure *f)
{
	const struct pipeline_limits limits = {
		.match = *match,
		.stages = t->limits->stages,
		.skip = t->limits->skip,
		.result_bytes = t->limits->result_bytes,
		.text_bytes = t->limits->filter_bytes,
	};
	return t->op == STORE_AGGREGATE ? pipeline_compile(&t->pipeliner, t->pipeline, &limits, f)
					: 0;
}

int store_task_compile(struct store_task *t)
{
	struct match_limits match = { t->limits->in_values, t->limits->regex_bytes,
		t->limits->regex_steps };
	struct store_failure f = { 0 };
	int r = 0;
	if (t->op == STORE_INSERT) {
		return 0;
	}
	r = matcher_compile(&t->matcher, t->filter, &match, &f);
	r = r != 0 ? r : compile_update(t, &match, &f);
	r = r != 0 ? r : sort_compile(&t->sorter, t->sort, &f);
	r = r != 0 ? r : projection_compile(&t->projector, t->projection, &match, &f);
	r = r != 0 ? r : compile_field(t, &f);
	r = r != 0 ? r : compile_pipeline(t, &match, &f);
	r = r != 0 ? r : check_index(t, &f);
	return r != 0 ? task_refuse(t, r, &f) : 0;
}
