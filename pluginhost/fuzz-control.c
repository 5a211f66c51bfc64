/* Messages of the control channel, and the JSON inside them. */
#include "pluginhost/control.h"
#include "pluginhost/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct settings settings = { .memory_bytes = 256 << 20,
	.memory_max = 1 << 30,
	.processes = 64,
	.processes_max = 256,
	.cpu_percent = 100,
	.cpu_max = 400 };

static void on_discover(void *context)
{
	(void)context;
}

static void on_start(void *context, uint64_t worker_id, struct slice spec)
{
	struct start_spec parsed;
	struct json_why why;
	(void)context;
	(void)worker_id;
	if (spec_parse(spec, &settings, &parsed, &why)) {
		(void)spec_connect("/nowhere", parsed.socket);
	}
}

static void on_kill(void *context, uint64_t worker_id)
{
	(void)context;
	(void)worker_id;
}

static void on_serves(void *context, uint64_t worker_id)
{
	(void)context;
	(void)worker_id;
}

static void on_limits(void *context, uint64_t worker_id, struct slice limits)
{
	struct worker_limits parsed;
	struct json_why why;
	(void)context;
	(void)worker_id;
	(void)spec_parse_limits(limits, &settings, &parsed, &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct control_handler handler = {
		.discover = on_discover,
		.start = on_start,
		.kill = on_kill,
		.limits = on_limits,
		.serves = on_serves,
	};
	(void)control_dispatch(slice_of(data, size), &handler);
	return 0;
}
