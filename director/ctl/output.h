/*
 * What goes to a person. Text of the server may hold control characters, which a terminal would
 * obey, and characters that reorder the line: they are shown as \u009b.
 */
#pragma once

#include "common/base/buffer.h"

#include <stdio.h>

/** Appends `s` with control, bidirectional and invalid characters escaped.
 * @param lines keeps line ends and tabs. @return as buffer_append(). */
int output_escape(struct buffer *b, struct slice s, bool lines);

/** "mozaiksctl: " and the text, escaped, on stderr. */
void output_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** One more line on stderr: what to do next. */
void output_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** A document on stdout, with a line end; escaped when stdout is a terminal, else byte for byte.
 * @return CTL_OK, CTL_FAILURE when it could not be written. */
int output_document(struct slice s);

/**
 * Rows of `columns` cells, left-aligned; the first row is the head. The last cell of a row is not
 * padded.
 * @param cells row after row; a missing one is the empty slice.
 * @return CTL_OK, CTL_FAILURE when it could not be written.
 */
int output_table(const struct slice *cells, size_t rows, size_t columns);
