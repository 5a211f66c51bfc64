/* What the shared object exports. */
#pragma once

#include "test/security/attacks/attack.h"

/** Does what is ordered. @return 0, or a negative errno when there was no thread to do it in. */
__attribute__((visibility("default"))) int attack_run(
	const struct attack_order *order, struct attack_outcome *ret);

typedef int (*attack_run_fn)(const struct attack_order *order, struct attack_outcome *ret);
