/* What runs in a worker in place of a plugin's runtime. */
#pragma once

#include "pluginhost/runtime/runtime.h"

/* By enum worker_flavour. */
extern const struct runtime *const attack_runtimes[2];
