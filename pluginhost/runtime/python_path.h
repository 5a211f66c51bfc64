/*
 * Where a walk through nested Python containers is: bounds its depth, finds cycles, and names the
 * place in messages ("result.items[3].when"). Holding the GIL.
 */
#pragma once

#include "common/json/scan.h"
#include "pluginhost/runtime/python_api.h"

#include <stdbool.h>

/* One container that is being walked. All pointers are borrowed from the walker. */
struct python_level {
	PyObject *container;
	PyObject *key;    /* of the member in work, or NULL */
	Py_ssize_t index; /* of the item in work, or -1 */
};

struct python_path {
	const char *root; /* how the walk's first value is called */
	unsigned depth;
	/* Written on the way down, so never read above `depth`: not worth clearing for each walk. */
	struct python_level levels[JSON_DEPTH_MAX];
};

enum python_path_result {
	PYTHON_PATH_OK,
	PYTHON_PATH_CYCLE,
	/* JSON_DEPTH_MAX levels: what the director's scanner and its BSON check accept. */
	PYTHON_PATH_DEEP,
};

/** Starts at depth 0. */
void python_path_init(struct python_path *p, const char *root);

/** Goes down into `container`. */
enum python_path_result python_path_enter(struct python_path *p, PyObject *container);

static inline void python_path_leave(struct python_path *p)
{
	p->depth--;
}

/** The level in work; only inside a container. */
static inline struct python_level *python_path_here(struct python_path *p)
{
	return &p->levels[p->depth - 1];
}

/** Writes the path, cut at `size` - 1 bytes, NUL-terminated. @return its length. */
size_t python_path_format(const struct python_path *p, char *out, size_t size);
