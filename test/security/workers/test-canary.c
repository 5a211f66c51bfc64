/*
 * A sandbox with a hole is noticed before any plugin runs in it: this program is built once per layer
 * that is left out, with the self-test in place. The zygote must not get ready, and who waits for a
 * worker must hear why.
 *
 *   test-canary-without-LAYER root|plain
 */
#include "test/security/workers/harness.h"
#include "test/security/workers/without/layers.h"

#include <stdio.h>
#include <string.h>

/* The first attempt that gets through, or not in the way it must. */
static const struct {
	const char *layer;
	const char *found;
} holes[] = {
	{ "seccomp", "self-test: socket(AF_INET) was not stopped" },
	{ "landlock", "self-test: open(/, O_DIRECTORY) was not stopped" },
	{ "mounts", "self-test: open(" },
};

static const char *expected(void)
{
	for (size_t i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
		if (strcmp(holes[i].layer, layer_left_out) == 0) {
			return holes[i].found;
		}
	}
	give_up("no expectation for %s", layer_left_out);
}

static void a_hole_is_found(enum worker_flavour flavour)
{
	struct zygote *z = harness_start_zygote(flavour);
	struct zygote_event e;
	struct subject s;
	check(subject_start(z, &s, "v1", harness_profile(flavour), NULL) == 0, "start");
	check(harness_wait_event(z, &e) && e.type == ZYGOTE_WORKER_EXITED && e.worker_id == s.id,
		"event %u", e.type);
	check(e.reason == WORKER_ENDED_SANDBOX && strstr(e.message, expected()) != NULL,
		"reason %s: %s", worker_end_name(e.reason), e.message);
	check(harness_wait_event(z, &e) && e.type == ZYGOTE_ENDED &&
			e.reason == WORKER_ENDED_SANDBOX &&
			strstr(e.message, "the sandbox does not hold") != NULL,
		"event %u, reason %s: %s", e.type, worker_end_name(e.reason), e.message);
	subject_close(&s);
	zygote_free(z);
}

int main(int argc, char **argv)
{
	int role = harness_role(argc, argv);
	if (role >= 0) {
		return role;
	}
	if (!harness_open(argv, argc > 1 ? argv[1] : "plain")) {
		return SKIPPED;
	}
	if (strcmp(layer_left_out, "landlock") == 0 && harness_host.landlock_abi == 0) {
		(void)printf("not run: kernel: no Landlock\n");
		return SKIPPED;
	}
	a_hole_is_found(WORKER_PYTHON);
	a_hole_is_found(WORKER_NATIVE);
	return harness_close();
}
