#include "director/store/mongodb/rehearse.h"

#include "common/base/clock.h"

#include <errno.h>

/* An update of so few bytes adds little to a document, unless it appends to an array. */
enum { SMALL_UPDATE = 4096 };

static bool grows(struct slice operator)
{
	return slice_eq(operator, SLICE("$push")) || slice_eq(operator, SLICE("$addToSet"));
}

/* Works on every document, whatever is in it. */
static bool always_works(const struct element *e)
{
	struct document_iter it = document_iter(e->value.data);
	struct element field;
	if (!slice_eq(e->name, SLICE("$set")) && !slice_eq(e->name, SLICE("$unset")) &&
		!slice_eq(e->name, SLICE("$currentDate")) &&
		!slice_eq(e->name, SLICE("$setOnInsert"))) {
		return false;
	}
	while (document_next(&it, &field)) {
		/* The _id cannot be changed; that it is set to what it is can be known only then. */
		if (memchr(field.name.p, '.', field.name.n) != NULL ||
			slice_eq(field.name, SLICE("_id"))) {
			return false;
		}
	}
	return true;
}

/* One value for many elements. */
static bool has_position(const struct element *e)
{
	struct document_iter it = document_iter(e->value.data);
	struct element field;
	while (document_next(&it, &field)) {
		if (memchr(field.name.p, '$', field.name.n) != NULL) {
			return true;
		}
	}
	return false;
}

bool mongodb_multiplies(const struct store_task *t)
{
	struct document_iter it = document_iter(t->update);
	struct element e;
	if (t->updater == NULL || update_is_replacement(t->updater)) {
		return false;
	}
	while (document_next(&it, &e)) {
		if (has_position(&e)) {
			return true;
		}
	}
	return false;
}

bool mongodb_wants_rehearsal(const struct store_task *t)
{
	struct document_iter it = document_iter(t->update);
	struct element e;
	if (t->updater == NULL || update_is_replacement(t->updater)) {
		return false;
	}
	if (t->update.n > SMALL_UPDATE) {
		return true;
	}
	while (document_next(&it, &e)) {
		if (grows(e.name) || has_position(&e) || (t->multi && !always_works(&e))) {
			return true;
		}
	}
	return false;
}

static struct budget budget_of(const struct store_task *t)
{
	return (struct budget){ .deadline_ms = clock_ms() + t->limits->operation_ms };
}

/* 0; positive and `f`; negative. */
static int spent(const struct store_task *t, const struct budget *budget, struct store_failure *f)
{
	if (!budget_spent(budget)) {
		return 0;
	}
	return store_fail(f, STORE_E_LIMIT,
		"the operation took longer than %u ms (MOZAIKS_STORE_TIMEOUT_SECONDS)",
		t->limits->operation_ms);
}

static int apply(struct store_task *t,
	const bson_t *document,
	struct budget *budget,
	struct rehearsed *found,
	struct store_failure *f)
{
	struct slice before = slice_of(bson_get_data(document), document->len);
	struct slice after;
	/* So that the clock is read now and then. */
	budget_charge(budget, before.n * 16);
	int r = update_apply(t->updater, t->matcher, before, clock_unix_ms(), budget, &after, f);
	if (r == 0) {
		found->documents++;
		found->growth += (int64_t)after.n - (int64_t)before.n;
	}
	return r != 0 ? r : spent(t, budget, f);
}

bool mongodb_changes(struct store_task *t, struct slice before)
{
	struct budget budget = budget_of(t);
	struct store_failure f;
	struct slice after;
	return update_apply(t->updater, t->matcher, before, clock_unix_ms(), &budget, &after, &f) !=
		0 ||
		!slice_eq(before, after);
}

enum rehearsal mongodb_rehearse(
	struct mongodb_command *c, struct rehearsed *ret_found, struct store_failure *f)
{
	struct store_task *t = c->t;
	struct budget budget = budget_of(t);
	struct rehearsed found = { 0 };
	bson_t options = BSON_INITIALIZER;
	bson_error_t error;
	const bson_t *document;
	const bson_t *reply;
	enum rehearsal answer = REHEARSAL_PASSED;
	int r = 0;
	mongodb_append_document(&options, "sort", t->sort);
	mongodb_append_number(&options, "limit", t->multi ? 0 : 1);
	mongodb_append_number(&options, "maxTimeMS", t->limits->operation_ms);
	mongoc_cursor_t *cursor =
		mongoc_collection_find_with_opts(c->collection, &c->filter, &options, NULL);
	while (r == 0 && mongoc_cursor_next(cursor, &document)) {
		r = apply(t, document, &budget, &found, f);
	}
	if (r > 0) {
		answer = REHEARSAL_REFUSED;
	} else if (r < 0) {
		(void)store_task_fail_errno(t, r);
		answer = REHEARSAL_FAILED;
	} else if (mongoc_cursor_error_document(cursor, &error, &reply)) {
		(void)mongodb_fail(t, &error, reply, false);
		answer = REHEARSAL_FAILED;
	}
	mongoc_cursor_destroy(cursor);
	bson_destroy(&options);
	if (answer == REHEARSAL_PASSED && ret_found != NULL) {
		*ret_found = found;
	}
	return answer;
}

int mongodb_upsert_document(struct store_task *t, struct slice *ret, struct store_failure *f)
{
	struct budget budget = budget_of(t);
	int r = update_insert(t->updater, t->matcher, t->oid, clock_unix_ms(), &budget, ret, f);
	r = r != 0 ? r : spent(t, &budget, f);
	if (r == 0 && !store_task_owns(t, *ret)) {
		return store_fail(
			f, STORE_E_INTERNAL, "a document outside the scope was about to be stored");
	}
	return r;
}
