/* The Python runtime beside `runtime_python` of runtime.h: what its tests call. */
#pragma once

/**
 * Starts the interpreter with our packages in `python_dir`, imports what plugins use. Once.
 * @return 0 or a negative errno, having written what is wrong to stderr.
 */
int python_prepare(const char *python_dir);
