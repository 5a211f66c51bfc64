/*
 * The JSON documents between director and a worker's start: the START spec for pluginhost, the
 * CONFIGURE of the worker, and what READY says when loading failed. Loop thread.
 */
#pragma once

#include "common/base/buffer.h"
#include "director/hosts/worker.h"

/** Appends the START spec. @return 0, -ENOBUFS, -ENOMEM. */
int configure_start_spec(const struct worker *w, struct buffer *out);

/** Appends the whole CONFIGURE frame. @return 0, -ENOBUFS, -ENOMEM, -EMSGSIZE. */
int configure_append(const struct worker *w, struct buffer *out);

/** Keeps the error of a READY that says no, for API and log. */
void configure_load_error(struct worker *w, struct slice info);
