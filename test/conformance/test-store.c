/*
 * The cases of store_cases.c on one store.
 *
 *     test-store URI [KNOWN]
 *
 * URI is as DATABASE_URI; "sqlite" is the embedded store in a directory that goes at the end. KNOWN
 * lists what this server itself gets wrong, a line "NAME -- REASON" each: these cases have to fail, so
 * that the list stays true.
 *
 * Beside a server stands an embedded store that is given the same steps: what one of the two refuses
 * the other refuses, too, with the same code and in the same words.
 */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/base/test-folder.h"
#include "director/store/query/notation.h"
#include "test/conformance/store_cases.h"
#include "test/conformance/store_client.h"

#include <stdio.h>
#include <unistd.h>

enum { KNOWN_MAX = 100, TESTS_MAX = 400, READY_MS = 60000 };

/* A test that is no table of steps. @return false and the reason in `wrong`. */
typedef bool (*test_fn)(const char *collection);

/* What cmocka is given for one test. */
struct test {
	const char *name;
	const struct store_case *steps;
	test_fn function;
	char collection[32];
};

struct known {
	char line[512]; /* the name; behind its NUL the reason */
	const char *reason;
};

static struct client client;
static struct client beside; /* the embedded store; used when has_beside */
static bool has_beside;
static char app[2][64]; /* new with every run and group */
static struct buffer wrong;
static struct known known[KNOWN_MAX];
static size_t n_known;

/* --- scopes --- */

static struct store_scope scope_of(enum who who)
{
	struct slice own = slice_str(app[0]);
	struct slice other = slice_str(app[1]);
	switch (who) {
	case ALICE:
		return (struct store_scope){ STORE_SCOPE_USER, own, SLICE("p"), SLICE("alice") };
	case BOB:
		return (struct store_scope){ STORE_SCOPE_USER, own, SLICE("p"), SLICE("bob") };
	case APP:
		return (struct store_scope){ STORE_SCOPE_APP, own, SLICE("p"), SLICE_NULL };
	case OTHER_PLUGIN:
		return (struct store_scope){ STORE_SCOPE_USER, own, SLICE("p2"), SLICE("alice") };
	case OTHER_APP:
		return (struct store_scope){ STORE_SCOPE_USER, other, SLICE("p"), SLICE("alice") };
	case CORE:
		return (struct store_scope){ STORE_SCOPE_SHARED, own, SLICE_NULL, SLICE_NULL };
	case SHARED:
	case WHO_N:
		break;
	}
	return (struct store_scope){ STORE_SCOPE_SHARED, own, SLICE("p"), SLICE_NULL };
}

/* --- text to BSON and back --- */

/* The end of the document that begins at `p`. */
static const char *document_end(const char *p)
{
	int depth = 0;
	char quote = 0;
	for (; *p != 0; p++) {
		if (quote != 0) {
			quote = *p == quote ? 0 : quote;
		} else if (*p == '\'' || *p == '"') {
			quote = *p;
		} else {
			depth += *p == '{';
			depth -= *p == '}';
			if (depth == 0) {
				return p + 1;
			}
		}
	}
	invariant(!"a document in the table has no end");
	return p;
}

/* "{…} {…}"; NULL and "" are no documents. The memory is the caller's. */
static struct slice parse_row(const char *text)
{
	struct buffer row;
	buffer_init(&row, 16U << 20);
	while (text != NULL && *text != 0) {
		const char *end = document_end(text);
		char *one = slice_dup(slice_of(text, (size_t)(end - text)));
		invariant(one != NULL);
		struct slice d = notation_parse(one);
		invariant(buffer_append(&row, d) == 0);
		free((void *)(uintptr_t)d.p);
		free(one);
		for (text = end; *text == ' '; text++) {
		}
	}
	size_t n = 0;
	uint8_t *p = buffer_steal(&row, &n);
	return slice_of(p, n);
}

static void release(struct slice s)
{
	free((void *)(uintptr_t)s.p);
}

/* {values: […]} becomes {v: …} {v: …}, to be compared in any order. */
static struct slice values_row(struct slice answer)
{
	struct document_writer w;
	struct element e;
	struct document_iter it = document_iter(document_find(answer, SLICE("values")).data);
	writer_init(&w, 16U << 20);
	while (document_next(&it, &e)) {
		size_t start = writer_open(&w);
		writer_value(&w, SLICE("v"), e.value);
		writer_close(&w, start);
	}
	size_t n = 0;
	uint8_t *p = buffer_steal(&w.b, &n);
	return slice_of(p, n);
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The documents as text, a line each; sorted when their order means nothing. */
static char *print_row(struct slice row, bool ordered)
{
	char *lines[2048];
	size_t n = 0;
	struct slice d;
	struct buffer b;
	buffer_init(&b, 64U << 20);
	while (document_take(&row, &d)) {
		invariant(n < sizeof(lines) / sizeof(lines[0]));
		lines[n++] = notation_print(d);
	}
	if (!ordered) {
		qsort(lines, n, sizeof(lines[0]), compare_text);
	}
	for (size_t i = 0; i < n; i++) {
		invariant(buffer_printf(&b, "\n    %s", lines[i]) == 0);
		free(lines[i]);
	}
	invariant(buffer_append_byte(&b, 0) == 0);
	return (char *)buffer_steal(&b, &n);
}

/* --- expectations --- */

static bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* @return false. */
static bool complain(const char *format, ...)
{
	char text[8192];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)buffer_append(&wrong, slice_str(text));
	return false;
}

static bool same_rows(struct slice expected, struct slice got, bool ordered)
{
	char *a = print_row(expected, ordered);
	char *b = print_row(got, ordered);
	bool same = strcmp(a, b) == 0;
	if (!same) {
		(void)complain("\n  expected:%.3000s\n  got:%.3000s", a, b);
	}
	free(a);
	free(b);
	return same;
}

static bool check_documents(const struct step *s, struct slice got)
{
	bool distinct = s->op == STORE_DISTINCT;
	/* A pipeline that sorts says so in the table, too. */
	bool ordered = !distinct && s->sort != NULL;
	struct slice expected = parse_row(s->documents);
	struct slice a = distinct ? values_row(expected) : expected;
	struct slice b = distinct ? values_row(got) : got;
	bool ok = same_rows(a, b, ordered);
	if (distinct) {
		release(a);
		release(b);
	}
	release(expected);
	return ok;
}

static bool check_number(const char *what, long expected, uint64_t got)
{
	return expected == ANY || (uint64_t)expected == got ||
		complain("\n  %s: expected %ld, got %llu", what, expected, (unsigned long long)got);
}

static bool check_refused(const char *expected, const struct reply *r)
{
	struct buffer b;
	buffer_init(&b, 1U << 20);
	for (size_t i = 0; i < r->n_write_errors; i++) {
		(void)buffer_printf(&b, "%s%u %s", i > 0 ? ", " : "", r->write_errors[i].index,
			store_error_code(r->write_errors[i].error));
	}
	(void)buffer_append_byte(&b, 0);
	bool ok = strcmp(expected, (char *)b.p) == 0 ||
		complain("\n  refused: expected \"%s\", got \"%s\"", expected, (char *)b.p);
	buffer_deinit(&b);
	return ok;
}

static bool check(const struct step *s, const struct reply *r)
{
	bool ok = true;
	if (r->error != s->error || (s->says != NULL && strstr(r->message, s->says) == NULL)) {
		return complain("\n  expected %s \"%s\", got %s \"%s\"", store_error_code(s->error),
			s->says == NULL ? "" : s->says, store_error_code(r->error), r->message);
	}
	ok = check_number("n", s->n, r->n) && ok;
	ok = check_number("modified", s->modified, r->modified) && ok;
	if (s->documents != NULL) {
		ok = check_documents(s, r->documents) && ok;
	}
	if ((s->op == STORE_FIND || s->op == STORE_AGGREGATE || s->op == STORE_INDEX_LIST) &&
		r->error == STORE_OK) {
		struct slice row = r->documents;
		struct slice d;
		long n = 0;
		while (document_take(&row, &d)) {
			n++;
		}
		ok = check_number("n", n, r->n) && ok;
	}
	if (s->upserted != NULL && r->error == STORE_OK) {
		struct slice id = parse_row(s->upserted);
		ok = same_rows(id, r->upserted_id, true) && ok;
		release(id);
	}
	return (s->refused == NULL || check_refused(s->refused, r)) && ok;
}

/* --- running --- */

static void run_on(struct client *on,
	enum who who,
	const struct step *s,
	const char *collection,
	struct reply *r)
{
	struct store_scope scope = scope_of(who);
	struct slice filters = parse_row(s->array_filters);
	struct slice pipeline = parse_row(s->pipeline);
	struct store_command c = {
		.op = s->op,
		.collection = slice_str(collection),
		.filter = parse_row(s->filter),
		.projection = parse_row(s->projection),
		.sort = s->op == STORE_AGGREGATE ? SLICE_NULL : parse_row(s->sort),
		.update = parse_row(s->update),
		.array_filters = document_find(filters, SLICE("filters")).data,
		.pipeline = document_find(pipeline, SLICE("stages")).data,
		.index = parse_row(s->index),
		.documents = parse_row(s->insert),
		.field = slice_str(s->field),
		.skip = s->skip,
		.limit = s->limit,
		.multi = s->multi,
		.upsert = s->upsert,
		.ordered = s->ordered,
		.remove = s->remove,
		.return_new = s->return_new,
	};
	client_run(on, &scope, &c, r);
	release(c.filter);
	release(c.projection);
	release(c.sort);
	release(c.update);
	release(c.index);
	release(filters);
	release(pipeline);
	release(c.documents);
}

static void run(enum who who, const struct step *s, const char *collection, struct reply *r)
{
	run_on(&client, who, s, collection, r);
}

/* What one refuses, the other refuses in the same words. */
static bool same_refusal(const struct reply *server, const struct reply *embedded)
{
	if (server->error != embedded->error || strcmp(server->message, embedded->message) != 0 ||
		server->n_write_errors != embedded->n_write_errors) {
		return complain(
			"\n  the server: %s \"%s\" (%zu)\n  the embedded store: %s \"%s\" (%zu)",
			store_error_code(server->error), server->message, server->n_write_errors,
			store_error_code(embedded->error), embedded->message,
			embedded->n_write_errors);
	}
	for (size_t i = 0; i < server->n_write_errors; i++) {
		const struct store_write_error *a = &server->write_errors[i];
		const struct store_write_error *b = &embedded->write_errors[i];
		if (a->index != b->index || a->error != b->error ||
			strcmp(a->message, b->message) != 0) {
			return complain(
				"\n  the server: %u %s \"%s\"\n  the embedded store: %u %s \"%s\"",
				a->index, store_error_code(a->error), a->message, b->index,
				store_error_code(b->error), b->message);
		}
	}
	return true;
}

static bool run_beside(const struct step *s, const char *collection, const struct reply *server)
{
	struct reply r;
	if (!has_beside) {
		return true;
	}
	run_on(&beside, s->who, s, collection, &r);
	bool ok = same_refusal(server, &r);
	reply_deinit(&r);
	return ok;
}

/* True when the table ends here: a find of everything by SHARED that expects nothing. */
static bool is_end(const struct step *s)
{
	static const struct step end;
	return memcmp(s, &end, sizeof(end)) == 0;
}

static bool run_steps(const struct store_case *c, const char *collection)
{
	for (size_t i = 0; i < STEPS_MAX && !is_end(&c->steps[i]); i++) {
		struct reply r;
		run(c->steps[i].who, &c->steps[i], collection, &r);
		bool ok = check(&c->steps[i], &r);
		ok = run_beside(&c->steps[i], collection, &r) && ok;
		reply_deinit(&r);
		if (!ok) {
			return complain("\n  in step %zu", i + 1);
		}
	}
	return true;
}

/* --- what no table can say --- */

/* Many at once; the replies stand where they were submitted. */
static bool all_ok(const struct reply *replies, size_t n)
{
	client_wait(&client, replies, n);
	for (size_t i = 0; i < n; i++) {
		if (replies[i].error != STORE_OK) {
			return complain("\n  command %zu: %s \"%s\"", i,
				store_error_code(replies[i].error), replies[i].message);
		}
	}
	return true;
}

enum { MANY = 100 };

static void release_all(struct reply *replies, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		reply_deinit(&replies[i]);
	}
}

/* The one document of a collection. */
static bool expect_one(enum who who, const char *collection, const char *expected)
{
	struct step find = { .op = STORE_FIND, .documents = expected, .n = ANY, .modified = ANY };
	struct reply r;
	run(who, &find, collection, &r);
	bool ok = check(&find, &r);
	reply_deinit(&r);
	return ok;
}

static void submit_update(enum who who,
	const char *collection,
	const char *filter,
	const char *update,
	bool upsert,
	struct reply *r)
{
	struct store_scope scope = scope_of(who);
	struct store_command c = {
		.op = STORE_UPDATE,
		.collection = slice_str(collection),
		.filter = parse_row(filter),
		.update = parse_row(update),
		.upsert = upsert,
	};
	client_submit(&client, &scope, &c, r);
	release(c.filter);
	release(c.update);
}

static bool test_increments(const char *collection)
{
	struct reply replies[MANY];
	for (size_t i = 0; i < MANY; i++) {
		submit_update(SHARED, collection, "{_id: 1}", "{$inc: {n: 1}}", true, &replies[i]);
	}
	bool ok = all_ok(replies, MANY) && expect_one(SHARED, collection, "{_id: 1, n: 100}");
	release_all(replies, MANY);
	return ok;
}

/* Two users' lanes are independent; in each the last one wins. */
static bool test_order(const char *collection)
{
	struct reply replies[MANY];
	char update[64];
	for (size_t i = 0; i < MANY; i++) {
		bool alice = i % 2 == 0;
		(void)snprintf(update, sizeof(update), "{$set: {n: %zu}}", i);
		submit_update(alice ? ALICE : BOB, collection, alice ? "{_id: 1}" : "{_id: 2}",
			update, true, &replies[i]);
	}
	bool ok = all_ok(replies, MANY);
	for (size_t i = 2; i < MANY && ok; i++) {
		ok = replies[i - 2].order < replies[i].order ||
			complain("\n  command %zu was answered before %zu", i, i - 2);
	}
	struct step find = { .op = STORE_FIND, .projection = "{n: 1}", .n = ANY, .modified = ANY };
	for (int i = 0; i < 2 && ok; i++) {
		struct reply r;
		find.documents = i == 0 ? "{_id: 1, n: 98}" : "{_id: 2, n: 99}";
		run(i == 0 ? ALICE : BOB, &find, collection, &r);
		ok = check(&find, &r);
		reply_deinit(&r);
	}
	release_all(replies, MANY);
	return ok;
}

/* Users who make the same document at the same time: one wins, the others are told. */
static bool test_race(const char *collection)
{
	struct reply replies[MANY];
	size_t won = 0;
	for (size_t i = 0; i < MANY; i++) {
		submit_update(i % 2 == 0 ? ALICE : BOB, collection, "{_id: 1}", "{$set: {a: 1}}",
			true, &replies[i]);
	}
	client_wait(&client, replies, MANY);
	bool ok = true;
	for (size_t i = 0; i < MANY && ok; i++) {
		won += replies[i].error == STORE_OK;
		ok = replies[i].error == STORE_OK || replies[i].error == STORE_E_DUPLICATE ||
			complain("\n  command %zu: %s \"%s\"", i,
				store_error_code(replies[i].error), replies[i].message);
	}
	ok = ok && (won == MANY / 2 || complain("\n  %zu won", won));
	release_all(replies, MANY);
	return ok;
}

/* More documents than one reply of a server holds. */
static bool test_batches(const char *collection)
{
	enum { DOCUMENTS = 1500 };
	struct buffer text;
	struct reply r;
	buffer_init(&text, 1U << 20);
	for (int i = 0; i < DOCUMENTS; i++) {
		invariant(buffer_printf(&text, "{_id: %d} ", i) == 0);
	}
	invariant(buffer_append_byte(&text, 0) == 0);
	struct step put = { .op = STORE_INSERT,
		.insert = (char *)text.p,
		.n = DOCUMENTS,
		.ordered = true,
		.modified = ANY };
	struct step find = { .op = STORE_FIND,
		.documents = (char *)text.p,
		.sort = "{_id: 1}",
		.n = DOCUMENTS,
		.modified = ANY };
	run(ALICE, &put, collection, &r);
	bool ok = check(&put, &r);
	reply_deinit(&r);
	find.projection = "{_id: 1}";
	run(ALICE, &find, collection, &r);
	ok = ok && check(&find, &r);
	reply_deinit(&r);
	buffer_deinit(&text);
	return ok;
}

/* Of one plugin; what is there may be used on, and others are not concerned. */
static bool test_collections(const char *collection)
{
	unsigned limit = client.config.collections;
	struct step put = { .op = STORE_INSERT, .insert = "{a: 1}", .n = ANY, .modified = ANY };
	struct step upsert = { .op = STORE_UPDATE,
		.filter = "{_id: 1}",
		.update = "{$set: {a: 1}}",
		.upsert = true,
		.n = ANY,
		.modified = ANY };
	struct step refused = put;
	struct reply r;
	char name[64];
	bool ok = true;
	for (unsigned i = 0; i < limit && ok; i++) {
		(void)snprintf(name, sizeof(name), "many%u", i);
		run(OTHER_APP, &put, name, &r);
		ok = check(&put, &r);
		reply_deinit(&r);
	}
	refused.error = STORE_E_LIMIT;
	refused.says = "MOZAIKS_MAX_COLLECTIONS";
	run(OTHER_APP, &refused, collection, &r);
	ok = ok && check(&refused, &r);
	reply_deinit(&r);
	upsert.error = STORE_E_LIMIT;
	upsert.says = "MOZAIKS_MAX_COLLECTIONS";
	run(OTHER_APP, &upsert, collection, &r);
	ok = ok && check(&upsert, &r);
	reply_deinit(&r);
	run(OTHER_APP, &put, name, &r);
	ok = ok && check(&put, &r);
	reply_deinit(&r);
	run(OTHER_PLUGIN, &put, collection, &r);
	ok = ok && check(&put, &r);
	reply_deinit(&r);
	return ok;
}

/* Many at once: no more than the quota, and not fewer. */
static bool test_quota_at_once(const char *collection)
{
	struct reply replies[MANY];
	struct store_scope scope = scope_of(OTHER_APP);
	size_t stored = 0;
	bool ok = true;
	for (size_t i = 0; i < MANY; i++) {
		struct slice document = parse_row("{a: 1}");
		struct store_command c = { .op = STORE_INSERT,
			.collection = slice_str(collection),
			.documents = document,
			.ordered = true };
		client_submit(&client, &scope, &c, &replies[i]);
		release(document);
	}
	client_wait(&client, replies, MANY);
	for (size_t i = 0; i < MANY && ok; i++) {
		stored += replies[i].error == STORE_OK;
		ok = replies[i].error == STORE_OK || replies[i].error == STORE_E_LIMIT ||
			complain("\n  command %zu: %s \"%s\"", i,
				store_error_code(replies[i].error), replies[i].message);
	}
	ok = ok && (stored == client.config.user_documents || complain("\n  %zu stored", stored));
	release_all(replies, MANY);
	return ok;
}

/* Of a chain nothing is made behind the first that fails, wherever it is refused: by the database, when it
 * is compiled, or before the driver sees it. */
static bool test_chain(const char *collection)
{
	static const char *const failing[] = { "{_id: 1}", "{x: {$foo: 1}}", "{user_id: 'bob'}" };
	enum { FAILS_AT = 40 };
	struct reply replies[MANY];
	struct store_scope scope = scope_of(ALICE);
	bool ok = true;
	for (size_t k = 0; k < sizeof(failing) / sizeof(failing[0]) && ok; k++) {
		struct store_chain chain = { STORE_CHAIN_NONE };
		struct slice filters[] = { parse_row("{_id: 1}"), parse_row(failing[k]) };
		struct slice updates[] = { parse_row("{$inc: {n: 1}}"),
			parse_row("{$set: {_id: 7}}") };
		struct step drop = { .op = STORE_DELETE, .multi = true, .n = ANY, .modified = ANY };
		struct reply r;
		run(ALICE, &drop, collection, &r);
		reply_deinit(&r);
		for (uint32_t i = 0; i < MANY; i++) {
			struct store_command c = { .op = STORE_UPDATE,
				.collection = slice_str(collection),
				.filter = filters[i == FAILS_AT],
				.update = updates[i == FAILS_AT && k == 0],
				.upsert = true,
				.chain = &chain,
				.place = i };
			client_submit(&client, &scope, &c, &replies[i]);
		}
		client_wait(&client, replies, MANY);
		ok = expect_one(ALICE, collection, "{_id: 1, user_id: 'alice', n: 40}") &&
			(atomic_load(&chain.failed) == FAILS_AT ||
				complain("\n  %u failed first", atomic_load(&chain.failed)));
		for (size_t i = 0; i < MANY && ok; i++) {
			ok = (replies[i].error == STORE_OK) == (i < FAILS_AT) ||
				complain("\n  command %zu: \"%s\"", i, replies[i].message);
		}
		release_all(replies, MANY);
		for (size_t i = 0; i < 2; i++) {
			release(filters[i]);
			release(updates[i]);
		}
	}
	return ok;
}

/* What a plugin sees of names: its own, in its app, by its own words. */
static bool expect_names(enum who who, const char *aliases, const char *expected)
{
	struct store_scope scope = scope_of(who);
	struct store_command c = { .op = STORE_NAMES, .aliases = parse_row(aliases) };
	struct reply r;
	struct buffer text;
	buffer_init(&text, 10000);
	client_run(&client, &scope, &c, &r);
	bool ok = r.error == STORE_OK || complain("\n  %s", r.message);
	struct slice values = document_find(r.documents, SLICE("values")).data;
	struct document_iter it = document_iter(values);
	struct element e;
	while (ok && document_next(&it, &e)) {
		struct slice name = value_string(e.value);
		/* Of this test alone: others of the run have made some, too. */
		if (slice_starts(name, SLICE("names_"))) {
			invariant(buffer_printf(
					  &text, "%.*s ", (int)name.n, (const char *)name.p) == 0);
		}
	}
	invariant(buffer_append_byte(&text, 0) == 0);
	ok = ok &&
		(strcmp((const char *)text.p, expected) == 0 ||
			complain(
				"\n  expected \"%s\", got \"%s\"", expected, (const char *)text.p));
	buffer_deinit(&text);
	reply_deinit(&r);
	release(c.aliases);
	return ok;
}

static bool put_one(enum who who, const char *collection)
{
	struct step put = { .op = STORE_INSERT, .insert = "{a: 1}", .n = ANY, .modified = ANY };
	struct reply r;
	run(who, &put, collection, &r);
	bool ok = check(&put, &r);
	reply_deinit(&r);
	return ok;
}

static bool test_names(const char *collection)
{
	struct store_scope mine = scope_of(SHARED);
	struct buffer aliases;
	bool ok = expect_names(SHARED, "{}", "") && put_one(ALICE, "names_a") &&
		put_one(OTHER_APP, "names_b") && put_one(OTHER_PLUGIN, "names_c") &&
		expect_names(SHARED, "{}", "names_a ") && expect_names(BOB, "{}", "names_a ") &&
		expect_names(OTHER_APP, "{}", "names_b ") &&
		expect_names(OTHER_PLUGIN, "{}", "names_c ");
	/* What is called otherwise is there when that is, and hides what has the name. */
	buffer_init(&aliases, 1000);
	invariant(buffer_printf(&aliases,
			  "{names_a: 'nowhere', names_z: '%.*s/%.*s/names_a', x: 'nowhere/either'}",
			  STORE_NAME(mine.app), STORE_NAME(mine.plugin)) == 0 &&
		buffer_append_byte(&aliases, 0) == 0);
	ok = ok && expect_names(SHARED, (char *)aliases.p, "names_z ");
	buffer_deinit(&aliases);
	return ok;
}

struct extra {
	const char *name;
	test_fn function;
};

static const struct extra extras[] = {
	{ "at once: increments are not lost", test_increments },
	{ "at once: one user's changes keep their order", test_order },
	{ "at once: two users make one document", test_race },
	{ "at once: a chain ends with what fails", test_chain },
	{ "find: many batches", test_batches },
	{ "names of collections: the plugin's own", test_names },
};
static const struct extra tight_extras[] = {
	{ "limits: collections of a plugin", test_collections },
};

static const struct extra quota_extras[] = {
	{ "quotas: many at once", test_quota_at_once },
};

/* --- cmocka --- */

static const struct known *find_known(const char *name)
{
	for (size_t i = 0; i < n_known; i++) {
		if (strcmp(known[i].line, name) == 0) {
			return &known[i];
		}
	}
	return NULL;
}

static void run_one(void **state)
{
	struct test *t = *state;
	const struct known *k = find_known(t->name);
	buffer_clear(&wrong);
	bool ok =
		t->steps != NULL ? run_steps(t->steps, t->collection) : t->function(t->collection);
	(void)buffer_append_byte(&wrong, 0);
	if (k != NULL && ok) {
		fail_msg("is listed as wrong (%s), but is right", k->reason);
	}
	if (k != NULL) {
		print_message("known: %s\n", k->reason);
	} else if (!ok) {
		fail_msg("%s", (char *)wrong.p);
	}
}

static void add(struct CMUnitTest *tests, struct test *t, size_t *n)
{
	invariant(*n < TESTS_MAX);
	(void)snprintf(t->collection, sizeof(t->collection), "c%zu", *n);
	tests[(*n)++] = (struct CMUnitTest){ t->name, run_one, NULL, NULL, t };
}

static int run_group(const char *name,
	const struct store_case *cases,
	size_t n_cases,
	const struct extra *more,
	size_t n_more)
{
	static struct test of[TESTS_MAX];
	static struct CMUnitTest tests[TESTS_MAX];
	size_t n = 0;
	uint64_t now = (uint64_t)clock_unix_ms();
	(void)snprintf(app[0], sizeof(app[0]), "test-%d-%llx", getpid(), (unsigned long long)now);
	(void)snprintf(app[1], sizeof(app[1]), "%.60s.b", app[0]);
	for (size_t i = 0; i < n_cases; i++) {
		of[n] = (struct test){ .name = cases[i].name, .steps = &cases[i] };
		add(tests, &of[n], &n);
	}
	for (size_t i = 0; i < n_more; i++) {
		of[n] = (struct test){ .name = more[i].name, .function = more[i].function };
		add(tests, &of[n], &n);
	}
	return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

typedef void (*limits_fn)(struct store_config *c);

static void open_client(struct client *c, const char *uri, const char *dir, limits_fn limits)
{
	client_init(c, uri);
	c->config.state_dir = dir;
	if (limits != NULL) {
		limits(&c->config);
	}
	if (client_open(c) != 0) {
		(void)fprintf(stderr, "store_open: %s\n", c->why);
		exit(2);
	}
	if (!client_wait_ready(c, READY_MS)) {
		(void)fprintf(stderr, "the store is not ready after %d ms\n", READY_MS);
		exit(2);
	}
}

static void open_clients(const char *uri, const char *dir, limits_fn limits)
{
	open_client(&client, uri, dir, limits);
	has_beside = uri != NULL;
	if (has_beside) {
		open_client(&beside, NULL, dir, limits);
	}
}

static void close_clients(void)
{
	client_close(&client);
	client_deinit(&client);
	if (has_beside) {
		client_close(&beside);
		client_deinit(&beside);
	}
}

static void read_known(const char *path)
{
	FILE *f = fopen(path, "r");
	if (f == NULL) {
		(void)fprintf(stderr, "%s: %m\n", path);
		exit(2);
	}
	for (;;) {
		invariant(n_known < KNOWN_MAX);
		struct known *k = &known[n_known];
		if (fgets(k->line, sizeof(k->line), f) == NULL) {
			break;
		}
		char *split = strstr(k->line, " -- ");
		if (k->line[0] != '#' && split != NULL) {
			split[0] = 0;
			split[strcspn(split + 1, "\n") + 1] = 0;
			k->reason = split + 4;
			n_known++;
		}
	}
	(void)fclose(f);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/mozaiks-conformance-XXXXXX";
	if (argc < 2 || argc > 3 || map_init() != 0 || mkdtemp(dir) == NULL) {
		(void)fprintf(stderr, "usage: test-store URI|sqlite [KNOWN]\n");
		return 2;
	}
	const char *uri = strcmp(argv[1], "sqlite") == 0 ? NULL : argv[1];
	log_init("test-store", LOG_WARNING);
	buffer_init(&wrong, 1U << 20);
	if (argc == 3) {
		read_known(argv[2]);
	}
	open_clients(uri, dir, NULL);
	int failed = run_group(
		"store", store_cases, store_cases_n, extras, sizeof(extras) / sizeof(extras[0]));
	close_clients();
	open_clients(uri, dir, tight_limits);
	failed += run_group("limits", tight_cases, tight_cases_n, tight_extras,
		sizeof(tight_extras) / sizeof(tight_extras[0]));
	close_clients();
	open_clients(uri, dir, quota_limits);
	failed += run_group("quotas", quota_cases, quota_cases_n, quota_extras,
		sizeof(quota_extras) / sizeof(quota_extras[0]));
	close_clients();
	buffer_deinit(&wrong);
	(void)test_folder_remove(dir);
	return failed > 0 ? 1 : 0;
}
