/* CPython's C API: its headers do not pass all of our warnings. They want _GNU_SOURCE before the C
 * library's, which the build sets for every file. */
#pragma once

#define PY_SSIZE_T_CLEAN
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wredundant-decls"
#include <Python.h>
#pragma GCC diagnostic pop

/* PyMethodDef wants one signature for all; the casts go through void (*)(void). */
#define PYTHON_METHOD(function) ((PyCFunction)(void (*)(void))(function))
