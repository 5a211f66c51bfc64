#include "common/json/bson_check.h"
#include "common/proto/frame.h"
#include "director/capability/capability.h"
#include "director/capability/database.h"
#include "director/director.h"

#include <bson/bson.h>
#include <errno.h>
#include <stdio.h>

/* Fields that a command may have, and where they go. */
enum field {
	F_COLLECTION,
	F_FILTER,
	F_PROJECTION,
	F_SORT,
	F_UPDATE,
	F_DOCUMENTS,
	F_FIELD,
	F_SKIP,
	F_LIMIT,
	F_MULTI,
	F_UPSERT,
	F_ORDERED,
	F_REMOVE,
	F_NEW,
	F_ARRAY_FILTERS,
	F_PIPELINE,
	F_INDEX,
	F_NAME,
	F_CURSOR,
	F_ALL_USERS,
	F_WRITES,
	FIELDS,
};

#define ONLY(f) (1U << (f))
#define SCOPED  (ONLY(F_COLLECTION) | ONLY(F_ALL_USERS))

static const char *const field_names[FIELDS] = { "collection", "filter", "projection", "sort",
	"update", "documents", "field", "skip", "limit", "multi", "upsert", "ordered", "remove",
	"new", "array_filters", "pipeline", "index", "name", "cursor", "all_users", "writes" };

static const struct {
	uint16_t code;
	enum store_op op;
	unsigned fields, required;
} commands[] = {
	{ CAP_DATABASE_FIND, STORE_FIND,
		SCOPED | ONLY(F_FILTER) | ONLY(F_PROJECTION) | ONLY(F_SORT) | ONLY(F_SKIP) |
			ONLY(F_LIMIT),
		ONLY(F_COLLECTION) },
	{ CAP_DATABASE_COUNT, STORE_COUNT, SCOPED | ONLY(F_FILTER) | ONLY(F_SKIP) | ONLY(F_LIMIT),
		ONLY(F_COLLECTION) },
	{ CAP_DATABASE_DISTINCT, STORE_DISTINCT, SCOPED | ONLY(F_FILTER) | ONLY(F_FIELD),
		ONLY(F_COLLECTION) | ONLY(F_FIELD) },
	{ CAP_DATABASE_INSERT, STORE_INSERT, SCOPED | ONLY(F_DOCUMENTS) | ONLY(F_ORDERED),
		ONLY(F_COLLECTION) | ONLY(F_DOCUMENTS) },
	{ CAP_DATABASE_UPDATE, STORE_UPDATE,
		SCOPED | ONLY(F_FILTER) | ONLY(F_UPDATE) | ONLY(F_MULTI) | ONLY(F_UPSERT) |
			ONLY(F_ARRAY_FILTERS) | ONLY(F_SORT),
		ONLY(F_COLLECTION) | ONLY(F_FILTER) | ONLY(F_UPDATE) },
	{ CAP_DATABASE_DELETE, STORE_DELETE, SCOPED | ONLY(F_FILTER) | ONLY(F_MULTI),
		ONLY(F_COLLECTION) | ONLY(F_FILTER) },
	{ CAP_DATABASE_MODIFY, STORE_MODIFY,
		SCOPED | ONLY(F_FILTER) | ONLY(F_UPDATE) | ONLY(F_REMOVE) | ONLY(F_UPSERT) |
			ONLY(F_NEW) | ONLY(F_SORT) | ONLY(F_PROJECTION) | ONLY(F_ARRAY_FILTERS),
		ONLY(F_COLLECTION) | ONLY(F_FILTER) },
	{ CAP_DATABASE_AGGREGATE, STORE_AGGREGATE, SCOPED | ONLY(F_PIPELINE),
		ONLY(F_COLLECTION) | ONLY(F_PIPELINE) },
	{ CAP_DATABASE_CREATE_INDEX, STORE_INDEX_CREATE, ONLY(F_COLLECTION) | ONLY(F_INDEX),
		ONLY(F_COLLECTION) | ONLY(F_INDEX) },
	{ CAP_DATABASE_DROP_INDEX, STORE_INDEX_DROP, ONLY(F_COLLECTION) | ONLY(F_NAME),
		ONLY(F_COLLECTION) | ONLY(F_NAME) },
	{ CAP_DATABASE_INDEXES, STORE_INDEX_LIST, ONLY(F_COLLECTION), ONLY(F_COLLECTION) },
	{ CAP_DATABASE_COLLECTIONS, STORE_NAMES, 0, 0 },
	{ CAP_DATABASE_BULK, STORE_UPDATE, SCOPED | ONLY(F_WRITES) | ONLY(F_ORDERED),
		ONLY(F_COLLECTION) | ONLY(F_WRITES) },
	{ CAP_DATABASE_NEXT, STORE_FIND, ONLY(F_CURSOR), ONLY(F_CURSOR) },
	{ CAP_DATABASE_CLOSE, STORE_FIND, ONLY(F_CURSOR), ONLY(F_CURSOR) },
};

static struct slice document_of(const bson_iter_t *it)
{
	uint32_t n = 0;
	const uint8_t *p = NULL;
	if (BSON_ITER_HOLDS_DOCUMENT(it)) {
		bson_iter_document(it, &n, &p);
	}
	return slice_of(p, n);
}

static bool take_number(const bson_iter_t *it, uint64_t *ret)
{
	int64_t n = BSON_ITER_HOLDS_INT(it) ? bson_iter_as_int64(it) : -1;
	if (n < 0) {
		return false;
	}
	*ret = (uint64_t)n;
	return true;
}

static bool take_bool(const bson_iter_t *it, bool *ret)
{
	*ret = BSON_ITER_HOLDS_BOOL(it) && bson_iter_bool(it);
	return BSON_ITER_HOLDS_BOOL(it);
}

static bool take_text(const bson_iter_t *it, struct slice *ret)
{
	uint32_t n = 0;
	if (!BSON_ITER_HOLDS_UTF8(it)) {
		return false;
	}
	const char *p = bson_iter_utf8(it, &n);
	*ret = slice_of(p, n);
	return true;
}

static bool take_document(const bson_iter_t *it, struct slice *ret)
{
	*ret = document_of(it);
	return ret->p != NULL;
}

static bool take_array(const bson_iter_t *it, struct slice *ret)
{
	uint32_t n = 0;
	const uint8_t *p = NULL;
	if (BSON_ITER_HOLDS_ARRAY(it)) {
		bson_iter_array(it, &n, &p);
	}
	*ret = slice_of(p, n);
	return p != NULL;
}

static bool take_documents(const bson_iter_t *it, struct buffer *out)
{
	bson_iter_t item;
	if (!BSON_ITER_HOLDS_ARRAY(it) || !bson_iter_recurse(it, &item)) {
		return false;
	}
	while (bson_iter_next(&item)) {
		struct slice document = document_of(&item);
		if (document.p == NULL || buffer_append(out, document) < 0) {
			return false;
		}
	}
	return true;
}

static bool take_field(struct database_args *a, enum field f, const bson_iter_t *it)
{
	struct store_command *c = &a->command;
	switch (f) {
	case F_COLLECTION:
		return take_text(it, &c->collection);
	case F_FILTER:
		return take_document(it, &c->filter);
	case F_PROJECTION:
		return take_document(it, &c->projection);
	case F_SORT:
		return take_document(it, &c->sort);
	case F_UPDATE:
		return take_document(it, &c->update);
	case F_DOCUMENTS:
		return take_documents(it, &a->documents);
	case F_FIELD:
		return take_text(it, &c->field);
	case F_SKIP:
		return take_number(it, &c->skip);
	case F_LIMIT:
		return take_number(it, &c->limit);
	case F_MULTI:
		return take_bool(it, &c->multi);
	case F_UPSERT:
		return take_bool(it, &c->upsert);
	case F_ORDERED:
		return take_bool(it, &c->ordered);
	case F_REMOVE:
		return take_bool(it, &c->remove);
	case F_NEW:
		return take_bool(it, &c->return_new);
	case F_ARRAY_FILTERS:
		return take_array(it, &c->array_filters);
	case F_PIPELINE:
		return take_array(it, &c->pipeline);
	case F_INDEX:
		return take_document(it, &c->index);
	case F_NAME:
		return take_text(it, &c->field);
	case F_CURSOR:
		return take_number(it, &a->cursor);
	case F_ALL_USERS:
		return take_bool(it, &a->all_users);
	case F_WRITES:
		return take_array(it, &a->writes);
	case FIELDS:
		break;
	}
	return false;
}

static const char *const field_kinds[FIELDS] = {
	[F_COLLECTION] = "a string",
	[F_FILTER] = "a document",
	[F_PROJECTION] = "a document",
	[F_SORT] = "a document",
	[F_UPDATE] = "a document",
	[F_DOCUMENTS] = "an array of documents",
	[F_FIELD] = "a string",
	[F_SKIP] = "a whole number that is not negative",
	[F_LIMIT] = "a whole number that is not negative",
	[F_MULTI] = "true or false",
	[F_UPSERT] = "true or false",
	[F_ORDERED] = "true or false",
	[F_REMOVE] = "true or false",
	[F_NEW] = "true or false",
	[F_ARRAY_FILTERS] = "an array",
	[F_PIPELINE] = "an array",
	[F_INDEX] = "a document",
	[F_NAME] = "a string",
	[F_CURSOR] = "a cursor's number",
	[F_ALL_USERS] = "true or false",
	[F_WRITES] = "an array of documents",
};

static size_t command_row(uint16_t code)
{
	size_t row = 0;
	while (commands[row].code != code) {
		row++;
	}
	return row;
}

/* Takes the fields of a checked document. @param without fields that stand elsewhere. @return false and
 * `why`. */
static bool take_fields(struct database_args *a,
	uint16_t code,
	unsigned without,
	struct slice document,
	char why[static DATABASE_WHY_SIZE])
{
	size_t row = command_row(code);
	bson_iter_t it;
	a->command.op = commands[row].op;
	(void)bson_iter_init_from_data(&it, document.p, document.n);
	while (bson_iter_next(&it)) {
		struct slice name = slice_of(bson_iter_key(&it), bson_iter_key_len(&it));
		unsigned f = 0;
		while (f < FIELDS && !slice_eq(name, slice_str(field_names[f]))) {
			f++;
		}
		if (f == FIELDS || (commands[row].fields & ~without & ONLY(f)) == 0) {
			(void)snprintf(why, DATABASE_WHY_SIZE, "unknown field '%.*s'",
				name.n > 64 ? 64 : (int)name.n, (const char *)name.p);
			return false;
		}
		if (!take_field(a, (enum field)f, &it)) {
			(void)snprintf(why, DATABASE_WHY_SIZE, "%s must be %s", field_names[f],
				field_kinds[f]);
			return false;
		}
		a->given |= ONLY(f);
	}
	for (unsigned f = 0; f < FIELDS; f++) {
		if ((commands[row].required & ~without & ~a->given & ONLY(f)) != 0) {
			(void)snprintf(why, DATABASE_WHY_SIZE, "%s is missing", field_names[f]);
			return false;
		}
	}
	/* An order is the rule. */
	a->command.ordered = a->command.ordered || (a->given & ONLY(F_ORDERED)) == 0;
	a->command.documents = buffer_slice(&a->documents);
	return true;
}

void database_args_init(struct database_args *a)
{
	*a = (struct database_args){ 0 };
	buffer_init(&a->documents, FRAME_PAYLOAD_MAX);
}

void database_args_deinit(struct database_args *a)
{
	buffer_deinit(&a->documents);
}

bool database_args_write(
	struct database_args *a, struct value write, char why[static DATABASE_WHY_SIZE])
{
	static const struct {
		struct slice name;
		uint16_t code;
	} kinds[] = {
		{ SLICE("insert"), CAP_DATABASE_INSERT },
		{ SLICE("update"), CAP_DATABASE_UPDATE },
		{ SLICE("delete"), CAP_DATABASE_DELETE },
	};
	/* They are the list's. */
	unsigned without = SCOPED | ONLY(F_ORDERED);
	struct document_iter it = document_iter(write.data);
	struct element e = { .value = VALUE_MISSING };
	struct element more;
	bool one = write.type == BT_OBJECT && document_next(&it, &e) &&
		!document_next(&it, &more) && e.value.type == BT_OBJECT;
	for (size_t i = 0; one && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (slice_eq(e.name, kinds[i].name)) {
			return take_fields(a, kinds[i].code, without, e.value.data, why);
		}
	}
	(void)snprintf(why, DATABASE_WHY_SIZE, "it is one of insert, update and delete");
	return false;
}

static size_t limit_value(const struct bson_limits *limits, enum bson_limit limit)
{
	return limit == BSON_LIMIT_DEPTH   ? limits->depth
		: limit == BSON_LIMIT_KEYS ? limits->keys
					   : limits->bytes;
}

static const char *limit_setting(enum bson_limit limit)
{
	return limit == BSON_LIMIT_DEPTH   ? "MOZAIKS_MAX_BSON_DEPTH; "
		: limit == BSON_LIMIT_KEYS ? "MOZAIKS_MAX_BSON_KEYS; "
					   : "";
}

bool database_args_read(struct capability_call *c, struct database_args *a)
{
	struct slice bytes = capability_args(c);
	struct slice document;
	char why[DATABASE_WHY_SIZE];
	struct bson_failure failure = { 0 };
	const struct settings *s = capability_director(c)->settings;
	struct bson_limits limits = {
		.bytes = FRAME_PAYLOAD_MAX,
		.depth = (unsigned)s->bson_depth,
		.keys = (unsigned)s->bson_keys,
	};
	int r = bson_check(&bytes, &limits, &document, &failure);
	if (r == 0 && bytes.n > 0) {
		failure.what = "bytes after the document";
		r = -EBADMSG;
	}
	if (r == -ENOMEM) {
		capability_fail(c, "unavailable", "no memory");
	} else if (r < 0 && failure.limit != BSON_LIMIT_NONE) {
		capability_fail(c, "limit_exceeded", "the arguments have %s of %zu (%sbyte %zu)",
			failure.what, limit_value(&limits, failure.limit),
			limit_setting(failure.limit), failure.offset);
	} else if (r < 0) {
		capability_fail(c, "invalid_argument",
			"the arguments are no valid BSON document: %s (byte %zu)", failure.what,
			failure.offset);
	}
	if (r < 0) {
		return false;
	}
	if (!take_fields(a, capability_code(c), 0, document, why)) {
		capability_fail(c, "invalid_argument", "%s", why);
		return false;
	}
	return true;
}
