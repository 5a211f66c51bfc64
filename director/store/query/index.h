/*
 * Declared indexes: which keys a document has in one. A key is the keys (key.h) of the fields in a row;
 * of a field that is an array there is one for each element. The keys stand in the order of the first
 * field's direction: those of a field in the other one are inverted (key_invert()). As a whole they can be
 * read either way, so that {a: 1, b: 1} and {a: -1, b: -1} have the same keys.
 */
#pragma once

#include "director/store/query/path.h"

enum {
	INDEX_FIELDS_MAX = 32, /* and fewer, by setting: struct store_config */
	INDEX_NAME_MAX = 128,
	/* A longer key is cut: what it finds is looked at anyway. A unique index refuses it. */
	INDEX_KEY_BYTES = 1024,
};

struct index_field {
	struct slice name;
	uint32_t part;
	uint32_t n_parts;
	bool inverted; /* its keys are */
};

struct index_spec {
	struct slice name;
	struct slice keys; /* {a: 1, b: -1} */
	bool unique;
	bool sparse;    /* only documents that have one of the fields */
	int64_t expire; /* seconds after the date in the field; -1: never */
	unsigned n;
	struct index_field fields[INDEX_FIELDS_MAX];
	struct path_parts parts;
};

/**
 * @param spec {key: {…}, name: "…", unique?, sparse?, expireAfterSeconds?}; borrowed.
 * @return 0; STORE_E_INVALID, STORE_E_UNSUPPORTED, STORE_E_LIMIT and `f`; -ENOMEM. Deinit it in every
 *   case.
 */
int index_compile(struct index_spec *s, struct slice spec, struct store_failure *f);
void index_deinit(struct index_spec *s);

/** Appends {key, name, unique?, sparse?, expireAfterSeconds?}, as a list of indexes shows it. */
void index_write(struct document_writer *w,
	struct slice keys,
	struct slice name,
	bool unique,
	bool sparse,
	int64_t expire);

typedef int (*index_key_fn)(void *arg, struct slice key);

/* A walk over the keys of one document. */
struct index_visit {
	index_key_fn fn;
	void *arg;
	unsigned keys; /* more are refused; 0: any number */
	/* Afterwards: there is more than one, or an empty array stands where a key comes from. Then the
	 * key alone does not say how the document compares. */
	bool loose;
};

/**
 * Calls `v->fn` for each key of a document, each with `prefix` in front.
 * @return 0; what the function returned; STORE_E_LIMIT and `f`; -ENOMEM.
 */
int index_each_key(const struct index_spec *s,
	struct slice prefix,
	struct slice document,
	struct budget *budget,
	struct index_visit *v,
	struct store_failure *f);
