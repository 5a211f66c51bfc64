/* The built-in module `_mozaiks`: what our Python code (pluginhost/python) calls. */
#pragma once

#include "pluginhost/runtime/python_api.h"

/** For PyImport_AppendInittab(). */
PyObject *python_module_init(void);
