#include "pluginhost/runtime/python_path.h"

#include <stdio.h>

void python_path_init(struct python_path *p, const char *root)
{
	p->root = root;
	p->depth = 0;
}

enum python_path_result python_path_enter(struct python_path *p, PyObject *container)
{
	for (unsigned i = 0; i < p->depth; i++) {
		if (p->levels[i].container == container) {
			return PYTHON_PATH_CYCLE;
		}
	}
	if (p->depth == JSON_DEPTH_MAX) {
		return PYTHON_PATH_DEEP;
	}
	p->levels[p->depth] = (struct python_level){ .container = container, .index = -1 };
	p->depth++;
	return PYTHON_PATH_OK;
}

/* Appends what fits. */
static size_t append(char *out, size_t size, size_t at, const char *p, size_t n)
{
	size_t room = size - 1 - at;
	n = n < room ? n : room;
	memcpy(out + at, p, n);
	return at + n;
}

/* ".key" or "[3]"; nothing between two members. */
static size_t append_level(const struct python_level *l, char *out, size_t size, size_t at)
{
	enum { KEY_MAX = 64 };
	if (l->key != NULL) {
		Py_ssize_t n = 0;
		const char *key = PyUnicode_AsUTF8AndSize(l->key, &n);
		PyErr_Clear();
		at = append(out, size, at, ".", 1);
		return key == NULL ? append(out, size, at, "?", 1)
				   : append(out, size, at, key, n < KEY_MAX ? (size_t)n : KEY_MAX);
	}
	if (l->index >= 0) {
		char text[32];
		int n = snprintf(text, sizeof(text), "[%zd]", l->index);
		return append(out, size, at, text, n < 0 ? 0 : (size_t)n);
	}
	return at;
}

size_t python_path_format(const struct python_path *p, char *out, size_t size)
{
	size_t n = append(out, size, 0, p->root, strlen(p->root));
	for (unsigned i = 0; i < p->depth; i++) {
		n = append_level(&p->levels[i], out, size, n);
	}
	out[n] = '\0';
	return n;
}
