/*
 * A table for people that is filled cell by cell, row by row. A failure (no memory) is remembered and
 * comes out at the end.
 */
#pragma once

#include "common/base/buffer.h"

enum { TABLE_COLUMNS_MAX = 16 };

struct table {
	size_t columns;
	struct buffer text;  /* of all cells */
	struct buffer spans; /* of size_t pairs: where each cell is in it */
	int error;
};

/** @param head the first row's cells, `columns` of them. */
void table_init(struct table *t, const char *const *head, size_t columns);
void table_deinit(struct table *t);

void table_add(struct table *t, struct slice cell);
void table_addf(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Prints it. The last row must be whole. @return CTL_OK or CTL_FAILURE after its message. */
int table_print(const struct table *t);
