#include "director/schema/plan.h"

#include "common/json/bson_json.h"
#include "director/store/query/document.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	/* Of a declaration: what carries it is smaller. */
	BYTES_MAX = 16 * 1024 * 1024,
	/* Marks that a record keeps: of more, the oldest are forgotten. */
	MARKS_MAX = 2000,
	MARK_MAX = 2 * OID_BYTES,
	HASH_BYTES = 16,
};

static bool is(const json_t *text, const json_t *other)
{
	return slice_eq(slice_of(json_string_value(text), json_string_length(text)),
		slice_of(json_string_value(other), json_string_length(other)));
}

/* --- digest --- */

void plan_digest(const json_t *declared, char ret[static PLAN_DIGEST_MAX + 1])
{
	uint8_t hash[HASH_BYTES];
	char *text = json_dumps(declared, JSON_COMPACT);
	struct slice s = slice_str(text == NULL ? "" : text);
	(void)crypto_generichash(hash, sizeof(hash), s.p, s.n, NULL, 0);
	(void)sodium_bin2hex(ret, PLAN_DIGEST_MAX + 1, hash, sizeof(hash));
	free(text);
}

/* --- indexes --- */

static int add_indexes(struct plan *p, const json_t *collection)
{
	const json_t *list = json_object_get(collection, "indexes");
	bool user = json_object_get(collection, "scope") != NULL;
	json_t *spec;
	size_t i;
	json_array_foreach(list, i, spec)
	{
		json_t *index = json_pack("{s:O,s:O}", "collection",
			json_object_get(collection, "name"), "spec", spec);
		if (user && index != NULL) {
			(void)json_object_set_new(index, "user", json_true());
		}
		if (json_array_append_new(p->indexes, index) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

/* The one of the same collection and name. */
static json_t *same_place(const json_t *indexes, const json_t *index)
{
	const json_t *name = json_object_get(json_object_get(index, "spec"), "name");
	json_t *other;
	size_t i;
	json_array_foreach(indexes, i, other)
	{
		if (is(json_object_get(other, "collection"),
			    json_object_get(index, "collection")) &&
			is(json_object_get(json_object_get(other, "spec"), "name"), name)) {
			return other;
		}
	}
	return NULL;
}

/* Appends those of `from` that are not in `in`, or are otherwise there. */
static int add_missing(json_t *to, const json_t *from, const json_t *in)
{
	json_t *index;
	size_t i;
	json_array_foreach(from, i, index)
	{
		const json_t *other = same_place(in, index);
		if ((other == NULL || !json_equal(index, other)) &&
			json_array_append(to, index) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

int plan_index(const json_t *index, struct buffer *out)
{
	char *text = json_dumps(json_object_get(index, "spec"), JSON_COMPACT);
	int r = text == NULL ? -ENOMEM
			     : json_to_bson_bytes(slice_str(text), JSON_BSON_PLAIN, out, NULL);
	free(text);
	return r;
}

/* --- documents --- */

static void hash_of(const char *collection,
	struct slice document,
	unsigned earlier,
	uint8_t ret[static HASH_BYTES])
{
	crypto_generichash_state state;
	uint8_t count[2] = { (uint8_t)earlier, (uint8_t)(earlier >> 8) };
	(void)crypto_generichash_init(&state, NULL, 0, HASH_BYTES);
	/* With its NUL: no name goes on in the document. */
	(void)crypto_generichash_update(
		&state, (const uint8_t *)collection, slice_str(collection).n + 1);
	(void)crypto_generichash_update(&state, document.p, document.n);
	(void)crypto_generichash_update(&state, count, sizeof(count));
	(void)crypto_generichash_final(&state, ret, HASH_BYTES);
}

/* How many equal documents stood before one with this mark. */
static unsigned count_equal(struct plan *p, const char *mark)
{
	json_int_t n = json_integer_value(json_object_get(p->seen, mark));
	(void)json_object_set_new(p->seen, mark, json_integer(n + 1));
	return (unsigned)n;
}

static int add_mark(struct plan *p, json_t *mark)
{
	const char *text = json_string_value(mark);
	return text == NULL || json_object_set_new(p->known, text, json_true()) < 0 ||
			json_array_append(p->marks, mark) < 0
		? -ENOMEM
		: 0;
}

/* {_id: id, …document}. */
static int with_id(struct slice document, const uint8_t id[static OID_BYTES], struct buffer *out)
{
	struct document_writer w;
	struct document_iter it = document_iter(document);
	struct element e;
	writer_init(&w, BYTES_MAX);
	size_t start = writer_open(&w);
	writer_oid(&w, SLICE("_id"), id);
	while (document_next(&it, &e)) {
		writer_raw(&w, e.raw);
	}
	writer_close(&w, start);
	int r = w.error < 0 ? w.error : buffer_append(out, buffer_slice(&w.b));
	writer_deinit(&w);
	return r;
}

/* The mark of a document: of its _id when it has one, else of its content, which is its _id then. */
static int mark_of(struct plan *p,
	const struct plan_insert *insert,
	struct slice document,
	uint8_t hash[static HASH_BYTES],
	char ret[static MARK_MAX + 1])
{
	struct document_writer id;
	struct value given = document_find(document, SLICE("_id"));
	writer_init(&id, BYTES_MAX);
	size_t start = writer_open(&id);
	if (given.type != BT_MISSING) {
		writer_value(&id, SLICE("_id"), given);
	}
	writer_close(&id, start);
	struct slice source = given.type == BT_MISSING ? document : buffer_slice(&id.b);
	int r = id.error;
	if (r == 0) {
		hash_of(insert->collection, source, 0, hash);
		(void)sodium_bin2hex(ret, MARK_MAX + 1, hash, OID_BYTES);
		unsigned earlier = given.type == BT_MISSING ? count_equal(p, ret) : 0;
		hash_of(insert->collection, source, earlier, hash);
		(void)sodium_bin2hex(ret, MARK_MAX + 1, hash, OID_BYTES);
	}
	writer_deinit(&id);
	return r;
}

static int add_document(struct plan *p, struct plan_insert *insert, struct slice document)
{
	uint8_t hash[HASH_BYTES];
	char text[MARK_MAX + 1];
	int r = mark_of(p, insert, document, hash, text);
	if (r < 0 || json_object_get(p->known, text) != NULL) {
		return r;
	}
	json_t *mark = json_string(text);
	r = add_mark(p, mark);
	json_decref(mark);
	p->n_documents++;
	if (r < 0) {
		return r;
	}
	return document_find(document, SLICE("_id")).type == BT_MISSING
		? with_id(document, hash, &insert->documents)
		: buffer_append(&insert->documents, document);
}

static int add_json_document(struct plan *p,
	struct plan_insert *insert,
	const json_t *list,
	size_t i,
	struct json_why *why)
{
	struct buffer document;
	struct json_failure failure = { 0 };
	char *text = json_dumps(json_array_get(list, i), JSON_COMPACT);
	buffer_init(&document, BYTES_MAX);
	int r = text == NULL
		? -ENOMEM
		: json_to_bson_bytes(slice_str(text), JSON_BSON_EXTENDED, &document, &failure);
	if (r == -EBADMSG) {
		(void)snprintf(why->text, sizeof(why->text), "initial data of %s, document %zu: %s",
			insert->collection, i + 1,
			failure.what == NULL ? "it cannot be stored" : failure.what);
	}
	r = r < 0 ? r : add_document(p, insert, buffer_slice(&document));
	buffer_deinit(&document);
	free(text);
	return r;
}

static int add_documents(struct plan *p, const json_t *collection, struct json_why *why)
{
	const json_t *list = json_object_get(collection, "initial_data");
	struct plan_insert *insert = &p->inserts[p->n_inserts];
	int r = 0;
	if (list == NULL) {
		return 0;
	}
	insert->collection = json_string_value(json_object_get(collection, "name"));
	buffer_init(&insert->documents, BYTES_MAX);
	p->n_inserts++;
	for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
		r = add_json_document(p, insert, list, i, why);
	}
	if (r == 0 && insert->documents.n == 0) {
		buffer_deinit(&insert->documents);
		p->n_inserts--;
	}
	return r;
}

int plan_stored_filter(const struct plan_insert *insert, struct buffer *out)
{
	struct document_writer w;
	struct slice row = buffer_slice(&insert->documents);
	struct slice document;
	char text[24];
	writer_init(&w, BYTES_MAX);
	size_t root = writer_open(&w);
	size_t id = writer_open_in(&w, BT_OBJECT, SLICE("_id"));
	size_t in = writer_open_in(&w, BT_ARRAY, SLICE("$in"));
	for (size_t i = 0; document_take(&row, &document); i++) {
		writer_value(&w, index_name(i, text), document_find(document, SLICE("_id")));
	}
	writer_close(&w, in);
	writer_close(&w, id);
	writer_close(&w, root);
	int r = w.error < 0 ? w.error : buffer_append(out, buffer_slice(&w.b));
	writer_deinit(&w);
	return r;
}

static bool is_among(struct slice row, struct value id)
{
	struct slice document;
	while (document_take(&row, &document)) {
		if (value_same(document_find(document, SLICE("_id")), id)) {
			return true;
		}
	}
	return false;
}

int plan_leave_out(struct plan_insert *insert, struct slice found)
{
	struct slice row = buffer_slice(&insert->documents);
	struct slice document;
	struct buffer left;
	int r = 0;
	buffer_init(&left, BYTES_MAX);
	while (r == 0 && document_take(&row, &document)) {
		if (!is_among(found, document_find(document, SLICE("_id")))) {
			r = buffer_append(&left, document);
		}
	}
	if (r < 0) {
		buffer_deinit(&left);
		return r;
	}
	buffer_deinit(&insert->documents);
	insert->documents = left;
	return 0;
}

/* --- the whole --- */

/* The marks of the record, the newest at the end. */
static int take_marks(struct plan *p, const json_t *record)
{
	const json_t *old = json_object_get(record, "documents");
	size_t n = json_array_size(old);
	for (size_t i = n > MARKS_MAX ? n - MARKS_MAX : 0; i < n; i++) {
		if (add_mark(p, json_array_get(old, i)) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

int plan_make(struct plan *p, json_t *declared, const json_t *record, struct json_why *why)
{
	const json_t *old = json_object_get(record, "indexes");
	json_t *collection;
	size_t i;
	*p = (struct plan){
		.declared = json_incref(declared),
		.indexes = json_array(),
		.drop = json_array(),
		.create = json_array(),
		.marks = json_array(),
		.known = json_object(),
		.seen = json_object(),
		.inserts = calloc(json_array_size(declared) + 1, sizeof(*p->inserts)),
	};
	plan_digest(declared, p->digest);
	int r = p->indexes == NULL || p->drop == NULL || p->create == NULL || p->marks == NULL ||
			p->known == NULL || p->seen == NULL || p->inserts == NULL
		? -ENOMEM
		: take_marks(p, record);
	json_array_foreach(declared, i, collection)
	{
		r = r < 0 ? r : add_indexes(p, collection);
		r = r < 0 ? r : add_documents(p, collection, why);
	}
	r = r < 0 ? r : add_missing(p->drop, old, p->indexes);
	return r < 0 ? r : add_missing(p->create, p->indexes, old);
}

void plan_deinit(struct plan *p)
{
	for (size_t i = 0; i < p->n_inserts; i++) {
		buffer_deinit(&p->inserts[i].documents);
	}
	free(p->inserts);
	json_decref(p->declared);
	json_decref(p->indexes);
	json_decref(p->drop);
	json_decref(p->create);
	json_decref(p->marks);
	json_decref(p->known);
	json_decref(p->seen);
	*p = (struct plan){ 0 };
}

/* --- records --- */

int plan_write_record(const struct plan *p, int64_t now_ms, struct buffer *out)
{
	char *indexes = json_dumps(p->indexes, JSON_COMPACT);
	struct document_writer w;
	char text[24];
	json_t *mark;
	size_t i;
	if (indexes == NULL) {
		return -ENOMEM;
	}
	writer_init(&w, BYTES_MAX);
	size_t root = writer_open(&w);
	size_t set = writer_open_in(&w, BT_OBJECT, SLICE("$set"));
	writer_string(&w, SLICE("digest"), slice_str(p->digest));
	/* As text: names of fields may have dots. */
	writer_string(&w, SLICE("indexes"), slice_str(indexes));
	size_t documents = writer_open_in(&w, BT_ARRAY, SLICE("documents"));
	json_array_foreach(p->marks, i, mark)
	{
		writer_string(&w, index_name(i, text), slice_str(json_string_value(mark)));
	}
	writer_close(&w, documents);
	writer_date(&w, SLICE("changed_at"), now_ms);
	writer_close(&w, set);
	writer_close(&w, root);
	int r = w.error < 0 ? w.error : buffer_append(out, buffer_slice(&w.b));
	writer_deinit(&w);
	free(indexes);
	return r;
}

int plan_read_record(struct slice document, json_t **ret)
{
	struct value digest = document_find(document, SLICE("digest"));
	struct value indexes = document_find(document, SLICE("indexes"));
	struct document_iter it = document_iter(document_find(document, SLICE("documents")).data);
	struct element e;
	json_t *list = NULL;
	if (digest.type != BT_STRING || indexes.type != BT_STRING) {
		return -EBADMSG;
	}
	int r = json_tree_parse(value_string(indexes), &list, NULL);
	if (r < 0) {
		return r;
	}
	struct slice text = value_string(digest);
	json_t *marks = json_array();
	while (document_next(&it, &e)) {
		struct slice mark = value_string(e.value);
		if (e.value.type == BT_STRING) {
			(void)json_array_append_new(
				marks, json_stringn((const char *)mark.p, mark.n));
		}
	}
	*ret = json_pack("{s:o,s:o,s:o}", "digest", json_stringn((const char *)text.p, text.n),
		"indexes", list, "documents", marks);
	return *ret == NULL ? -ENOMEM : 0;
}
