#include "test/security/workers/without/layers.h"

#include <stddef.h>

const char *const layer_left_out = NULL;
