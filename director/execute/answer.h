/*
 * Step 8: the answer. What the plugin returned goes to the client byte for byte; a top-level `error`
 * decides the status. Pure functions over text.
 */
#pragma once

#include "common/base/buffer.h"

struct answer {
	int status;
	/* `text` up to `cut`, then `tail`: `,"detail":…}` when the plugin left `detail` out. */
	size_t cut;
	bool add_detail;
	struct slice error; /* the value of `error`, as it stands in the text */
};

/**
 * Judges the JSON text that a plugin returned.
 * @return 0; -EBADMSG when it is not strict JSON, with `why`.
 */
int answer_judge(struct slice text, struct answer *ret_answer, const char **ret_why);
