/*
 * What every driver has to do the same: cases of steps, each a command and its answer.
 *
 * BSON is written as director/store/query/notation.h has it; several documents stand in a row,
 * "{…} {…}". Each case has a collection of its own (and the same name in other plugins and apps).
 */
#pragma once

#include "director/store/store.h"

enum { STEPS_MAX = 16 };

/* On whose behalf. */
enum who { SHARED, ALICE, BOB, APP, OTHER_PLUGIN, OTHER_APP, CORE, WHO_N };

enum { ANY = -1 };

struct step {
	enum who who;
	enum store_op op;
	const char *filter, *update, *insert, *sort, *projection, *field;
	const char *array_filters; /* "{filters: […]}" */
	const char *pipeline;      /* "{stages: […]}" */
	const char *index;
	uint64_t skip, limit;
	bool multi, upsert, ordered, remove, return_new;

	/* The answer. */
	enum store_error error;
	const char *says;      /* a part of the message */
	const char *documents; /* in any order unless the command sorts; NULL: not looked at */
	long n, modified;      /* ANY: not looked at */
	const char *upserted;  /* NULL: not looked at; "": none */
	const char *refused;   /* write errors: "1 duplicate_key, 3 duplicate_key" */
};

struct store_case {
	const char *name;
	struct step steps[STEPS_MAX]; /* up to the first with nothing in it */
};

/* Under the default limits; under those of tight_limits(). */
extern const struct store_case store_cases[];
extern const size_t store_cases_n;
extern const struct store_case tight_cases[];
extern const size_t tight_cases_n;

/* Under those of quota_limits(). */
extern const struct store_case quota_cases[];
extern const size_t quota_cases_n;

void tight_limits(struct store_config *c);
void quota_limits(struct store_config *c);
