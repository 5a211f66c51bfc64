/*
 * For fuzz targets: documents decoded from bytes, so that almost every input is a command worth
 * running. A byte picks a name or a kind of value from short lists; where the bytes end, zeros follow.
 * Names never repeat within a document, as bson_check() demands.
 */
#pragma once

#include "director/store/query/document.h"

struct fuzz_bytes {
	const uint8_t *p;
	size_t n;
};

static inline uint8_t fuzz_byte(struct fuzz_bytes *in)
{
	if (in->n == 0) {
		return 0;
	}
	in->n--;
	return *in->p++;
}

enum { FUZZ_DEPTH_MAX = 6, FUZZ_MEMBERS_MAX = 4 };

static const char *const fuzz_names[] = { "a", "b", "user_id", "_id", "s", "a.b", "user_id.x",
	"a.user_id", "user_id.0", "a.0", "b.1.a", "$eq", "$ne", "$gt", "$lte", "$in", "$nin",
	"$exists", "$type", "$size", "$all", "$elemMatch", "$mod", "$not", "$regex", "$options",
	"$and", "$or", "$nor", "$set", "$unset", "$inc", "$push", "$pull", "$addToSet",
	"$currentDate", "$setOnInsert", "$rename", "$where", "$expr", "", "a..b", "user_id\xc3\xa4",
	"$mul", "$min", "$max", "$bit", "$pop", "$pullAll", "$each", "$slice", "$sort", "$position",
	"a.$[]", "b.$", "b.$[x].a", "or", "$bitsAllSet", "user_id.$[]" };

static const char *const fuzz_texts[] = { "alice", "bob", "", "a", "user_id", "date", "string",
	"^.*$", "secret", "i", "x.y" };

enum {
	FUZZ_NAMES = sizeof(fuzz_names) / sizeof(fuzz_names[0]),
	FUZZ_TEXTS = sizeof(fuzz_texts) / sizeof(fuzz_texts[0]),
};

static inline void fuzz_document(struct fuzz_bytes *in, struct document_writer *w, unsigned depth);

static inline void fuzz_array(
	struct fuzz_bytes *in, struct document_writer *w, struct slice name, unsigned depth);

static inline void fuzz_decimal(struct fuzz_bytes *in, struct document_writer *w, struct slice name)
{
	uint8_t bytes[16] = { 0 };
	bytes[0] = fuzz_byte(in);
	bytes[13] = fuzz_byte(in);
	bytes[14] = fuzz_byte(in);
	bytes[15] = fuzz_byte(in);
	writer_value(w, name, (struct value){ BT_DECIMAL, slice_of(bytes, sizeof(bytes)) });
}

static inline void fuzz_value(
	struct fuzz_bytes *in, struct document_writer *w, struct slice name, unsigned depth)
{
	static const uint8_t regex[] = ".\0i";
	uint8_t kind = fuzz_byte(in) % 16;
	if (depth >= FUZZ_DEPTH_MAX && (kind < 4 || kind == 15)) {
		kind = 7;
	}
	switch (kind) {
	case 0:
	case 1:
	case 2: {
		size_t start = writer_open_in(w, BT_OBJECT, name);
		fuzz_document(in, w, depth + 1);
		writer_close(w, start);
		return;
	}
	case 3:
	case 15:
		fuzz_array(in, w, name, depth + 1);
		return;
	case 4:
	case 5:
		writer_string(w, name, slice_str(fuzz_texts[fuzz_byte(in) % FUZZ_TEXTS]));
		return;
	case 6:
		writer_double(w, name, (double)(int8_t)fuzz_byte(in) / 2);
		return;
	case 7:
	case 8:
		writer_int32(w, name, (int8_t)fuzz_byte(in));
		return;
	case 9:
		writer_int64(w, name, (int64_t)((uint64_t)fuzz_byte(in) << 56));
		return;
	case 10:
		writer_bool(w, name, (fuzz_byte(in) & 1) != 0);
		return;
	case 11:
		writer_null(w, name);
		return;
	case 12:
		writer_date(w, name, (int8_t)fuzz_byte(in));
		return;
	case 13:
		writer_value(w, name, (struct value){ BT_REGEX, slice_of(regex, sizeof(regex)) });
		return;
	default:
		fuzz_decimal(in, w, name);
		return;
	}
}

static inline void fuzz_array(
	struct fuzz_bytes *in, struct document_writer *w, struct slice name, unsigned depth)
{
	char text[24];
	size_t start = writer_open_in(w, BT_ARRAY, name);
	unsigned n = fuzz_byte(in) % (FUZZ_MEMBERS_MAX + 1);
	for (unsigned i = 0; i < n; i++) {
		fuzz_value(in, w, index_name(i, text), depth);
	}
	writer_close(w, start);
}

/* The members of a document that is open already. */
static inline void fuzz_document(struct fuzz_bytes *in, struct document_writer *w, unsigned depth)
{
	uint64_t used = 0;
	unsigned n = fuzz_byte(in) % (FUZZ_MEMBERS_MAX + 1);
	for (unsigned i = 0; i < n; i++) {
		unsigned name = fuzz_byte(in) % FUZZ_NAMES;
		while ((used >> name & 1) != 0) {
			name = (name + 1) % FUZZ_NAMES;
		}
		used |= (uint64_t)1 << name;
		fuzz_value(in, w, slice_str(fuzz_names[name]), depth);
	}
}

/* --- commands: what is likely to be accepted, with something else now and then --- */

static const char *const fuzz_fields[] = { "a", "user_id", "b", "_id", "s", "a.b", "user_id.x",
	"a.user_id", "b.0", "b.1.a", "user_ids", "b.$[]", "b.$", "b.$[x]" };
static const char *const fuzz_conditions[] = { "$eq", "$ne", "$gt", "$lte", "$in", "$nin",
	"$exists", "$not", "$regex", "$all", "$elemMatch", "$type", "$bitsAnySet" };
static const char *const fuzz_operators[] = { "$set", "$unset", "$setOnInsert", "$inc", "$push",
	"$pull", "$addToSet", "$currentDate", "$rename", "$mul", "$min", "$max", "$pop", "$pullAll",
	"$bit" };

#define FUZZ_PICK(in, list) slice_str((list)[fuzz_byte(in) % (sizeof(list) / sizeof((list)[0]))])

/* Writes one member unless the name was used: bit `n` of `used`. */
static inline bool fuzz_first_use(uint64_t *used, const char *const *list, struct slice name)
{
	unsigned n = 0;
	while (!slice_eq(slice_str(list[n]), name)) {
		n++;
	}
	bool first = (*used >> n & 1) == 0;
	*used |= (uint64_t)1 << n;
	return first;
}

static inline void fuzz_scalar(struct fuzz_bytes *in, struct document_writer *w, struct slice name)
{
	uint8_t kind = fuzz_byte(in);
	if (kind % 4 == 0) {
		writer_int32(w, name, kind / 4 % 12);
	} else if (kind % 4 == 3) {
		fuzz_value(in, w, name, FUZZ_DEPTH_MAX - 1);
	} else {
		writer_string(w, name, slice_str(fuzz_texts[kind / 4 % FUZZ_TEXTS]));
	}
}

static inline void fuzz_filter(struct fuzz_bytes *in, struct document_writer *w, unsigned depth);

static inline void fuzz_condition(
	struct fuzz_bytes *in, struct document_writer *w, struct slice name, unsigned depth)
{
	struct slice op = FUZZ_PICK(in, fuzz_conditions);
	size_t start = writer_open_in(w, BT_OBJECT, name);
	if (slice_eq(op, SLICE("$in")) || slice_eq(op, SLICE("$nin")) ||
		slice_eq(op, SLICE("$all"))) {
		size_t array = writer_open_in(w, BT_ARRAY, op);
		fuzz_scalar(in, w, SLICE("0"));
		fuzz_scalar(in, w, SLICE("1"));
		writer_close(w, array);
	} else if (slice_eq(op, SLICE("$not")) && depth < FUZZ_DEPTH_MAX) {
		fuzz_condition(in, w, op, depth + 1);
	} else if (slice_eq(op, SLICE("$elemMatch")) && depth < FUZZ_DEPTH_MAX) {
		size_t inner = writer_open_in(w, BT_OBJECT, op);
		fuzz_filter(in, w, depth + 1);
		writer_close(w, inner);
	} else {
		fuzz_scalar(in, w, op);
	}
	writer_close(w, start);
}

static inline void fuzz_clauses(
	struct fuzz_bytes *in, struct document_writer *w, struct slice name, unsigned depth)
{
	char text[24];
	size_t start = writer_open_in(w, BT_ARRAY, name);
	unsigned n = 1U + fuzz_byte(in) % 2;
	for (unsigned i = 0; i < n; i++) {
		size_t clause = writer_open_in(w, BT_OBJECT, index_name(i, text));
		fuzz_filter(in, w, depth + 1);
		writer_close(w, clause);
	}
	writer_close(w, start);
}

/* The members of a filter. */
static inline void fuzz_filter(struct fuzz_bytes *in, struct document_writer *w, unsigned depth)
{
	static const char *const logical[] = { "$or", "$and", "$nor" };
	uint8_t shape = fuzz_byte(in);
	unsigned n = shape % 3;
	uint64_t used = 0;
	if (shape >= 0xf0) {
		fuzz_document(in, w, depth); /* anything */
		return;
	}
	if (shape >= 0x80 && depth < FUZZ_DEPTH_MAX) {
		fuzz_clauses(in, w, slice_str(logical[shape / 3 % 3]), depth);
	}
	for (unsigned i = 0; i < n; i++) {
		struct slice name = FUZZ_PICK(in, fuzz_fields);
		if (!fuzz_first_use(&used, fuzz_fields, name)) {
			continue;
		}
		if ((fuzz_byte(in) & 1) != 0) {
			fuzz_condition(in, w, name, depth);
		} else {
			fuzz_scalar(in, w, name);
		}
	}
}

/* What an update operator takes: mostly a plain value, now and then modifiers or an array. */
static inline void fuzz_operand(struct fuzz_bytes *in, struct document_writer *w, struct slice name)
{
	static const char *const more[] = { "$slice", "$sort", "$position", "x" };
	uint8_t kind = fuzz_byte(in);
	if (kind < 0xc0) {
		fuzz_scalar(in, w, name);
		return;
	}
	if (kind < 0xd0) {
		fuzz_array(in, w, name, FUZZ_DEPTH_MAX - 2);
		return;
	}
	size_t start = writer_open_in(w, BT_OBJECT, name);
	fuzz_array(in, w, SLICE("$each"), FUZZ_DEPTH_MAX - 2);
	writer_int32(w, FUZZ_PICK(in, more), (int8_t)fuzz_byte(in));
	writer_close(w, start);
}

/* Fields with plain values: a document, a replacement, the inside of an update operator. */
static inline void fuzz_fields_of(struct fuzz_bytes *in, struct document_writer *w)
{
	uint64_t used = 0;
	unsigned n = fuzz_byte(in) % 4;
	for (unsigned i = 0; i < n; i++) {
		struct slice name = FUZZ_PICK(in, fuzz_fields);
		if (fuzz_first_use(&used, fuzz_fields, name)) {
			fuzz_operand(in, w, name);
		}
	}
}

/* The members of an update. */
static inline void fuzz_update(struct fuzz_bytes *in, struct document_writer *w)
{
	uint64_t used = 0;
	uint8_t shape = fuzz_byte(in);
	if (shape >= 0xc0) {
		fuzz_fields_of(in, w);
		return;
	}
	for (unsigned i = 0; i < 1U + shape % 2; i++) {
		struct slice name = FUZZ_PICK(in, fuzz_operators);
		if (fuzz_first_use(&used, fuzz_operators, name)) {
			size_t start = writer_open_in(w, BT_OBJECT, name);
			fuzz_fields_of(in, w);
			writer_close(w, start);
		}
	}
}

/* 1, 0, -1, or what a projection says about an array. */
static inline void fuzz_shown(struct fuzz_bytes *in, struct document_writer *w, struct slice name)
{
	uint8_t kind = fuzz_byte(in);
	if (kind < 0xe0) {
		writer_int32(w, name, kind % 3 - 1);
		return;
	}
	size_t start = writer_open_in(w, BT_OBJECT, name);
	if (kind < 0xf0) {
		writer_int32(w, SLICE("$slice"), (int8_t)fuzz_byte(in));
	} else {
		size_t inner = writer_open_in(w, BT_OBJECT, SLICE("$elemMatch"));
		fuzz_filter(in, w, FUZZ_DEPTH_MAX);
		writer_close(w, inner);
	}
	writer_close(w, start);
}

/* The members of a sort or a projection. */
static inline void fuzz_spec(struct fuzz_bytes *in, struct document_writer *w)
{
	uint64_t used = 0;
	unsigned n = fuzz_byte(in) % 3;
	for (unsigned i = 0; i < n; i++) {
		struct slice name = FUZZ_PICK(in, fuzz_fields);
		if (fuzz_first_use(&used, fuzz_fields, name)) {
			fuzz_shown(in, w, name);
		}
	}
}

/* One filter about `x`, as an array; or none. */
static inline void fuzz_array_filters(struct fuzz_bytes *in, struct document_writer *w)
{
	static const char *const about[] = { "x", "x.a", "y", "user_id" };
	if ((fuzz_byte(in) & 1) == 0) {
		return;
	}
	size_t start = writer_open_in(w, BT_OBJECT, SLICE("0"));
	fuzz_condition(in, w, FUZZ_PICK(in, about), FUZZ_DEPTH_MAX - 1);
	writer_close(w, start);
}

/* Stages that show as much as they can of what reaches them. */
static inline void fuzz_pipeline(struct fuzz_bytes *in, struct document_writer *w)
{
	static const char *const whole[] = { "$$ROOT", "$s", "$user_id", "$a" };
	static const char *const stages[] = { "$match", "$group", "$set", "$project", "$sort",
		"$unset", "$lookup", "$unionWith" };
	char text[24];
	unsigned n = fuzz_byte(in) % 4;
	for (unsigned i = 0; i < n; i++) {
		size_t one = writer_open_in(w, BT_OBJECT, index_name(i, text));
		struct slice name = FUZZ_PICK(in, stages);
		size_t start = writer_open_in(w, BT_OBJECT, name);
		if (slice_eq(name, SLICE("$match"))) {
			fuzz_filter(in, w, 2);
		} else if (slice_eq(name, SLICE("$group"))) {
			writer_string(w, SLICE("_id"), FUZZ_PICK(in, whole));
			size_t field = writer_open_in(w, BT_OBJECT, SLICE("l"));
			writer_string(w, SLICE("$push"), FUZZ_PICK(in, whole));
			writer_close(w, field);
		} else if (slice_eq(name, SLICE("$set")) || slice_eq(name, SLICE("$project"))) {
			writer_string(w, FUZZ_PICK(in, fuzz_fields), FUZZ_PICK(in, whole));
		} else {
			fuzz_spec(in, w);
		}
		writer_close(w, start);
		writer_close(w, one);
	}
}

enum fuzz_shape {
	FUZZ_ANY,
	FUZZ_FILTER,
	FUZZ_UPDATE,
	FUZZ_FIELDS,
	FUZZ_SPEC,
	FUZZ_ARRAY_FILTERS,
	FUZZ_PIPELINE,
};

/** A whole document; writer_deinit() frees it. */
static inline struct slice fuzz_root(
	struct fuzz_bytes *in, struct document_writer *w, enum fuzz_shape shape)
{
	writer_init(w, (size_t)1 << 20);
	size_t start = writer_open(w);
	switch (shape) {
	case FUZZ_ANY:
		fuzz_document(in, w, 1);
		break;
	case FUZZ_FILTER:
		fuzz_filter(in, w, 1);
		break;
	case FUZZ_UPDATE:
		fuzz_update(in, w);
		break;
	case FUZZ_FIELDS:
		fuzz_fields_of(in, w);
		break;
	case FUZZ_SPEC:
		fuzz_spec(in, w);
		break;
	case FUZZ_PIPELINE:
		fuzz_pipeline(in, w);
		break;
	case FUZZ_ARRAY_FILTERS:
		fuzz_array_filters(in, w);
		break;
	}
	writer_close(w, start);
	return buffer_slice(&w->b);
}
