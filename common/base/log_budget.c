#include "common/base/log_budget.h"

#include "common/base/log.h"

/* An hour fills every burst; more would only overflow. */
enum { REFILL_MAX_MS = 3600000 };

void log_budget_init(struct log_budget *b, uint64_t rate, uint64_t burst, uint64_t now_ms)
{
	*b = (struct log_budget){
		.rate = rate, .burst = burst, .left = burst, .filled_ms = now_ms
	};
}

static void refill(struct log_budget *b, uint64_t now_ms)
{
	uint64_t elapsed = now_ms - b->filled_ms;
	uint64_t bytes = b->rate * (elapsed < REFILL_MAX_MS ? elapsed : REFILL_MAX_MS) / 1000;
	if (bytes == 0) {
		return;
	}
	b->filled_ms = now_ms;
	b->left = bytes >= b->burst - b->left ? b->burst : b->left + bytes;
}

bool log_budget_take(struct log_budget *b, size_t bytes, uint64_t now_ms)
{
	refill(b, now_ms);
	if (bytes > b->left) {
		b->dropped_lines++;
		b->dropped_bytes += bytes;
		return false;
	}
	b->left -= bytes;
	return true;
}

void log_budget_report(struct log_budget *b, struct slice plugin, uint64_t now_ms, bool at_once)
{
	if (b->dropped_lines == 0 || (!at_once && now_ms - b->reported_ms < LOG_BUDGET_REPORT_MS)) {
		return;
	}
	const struct log_field fields[] = { { "plugin", plugin } };
	log_fields(LOG_WARNING, "plugin.output_dropped", fields, 1,
		"dropped %llu lines, %llu bytes (MOZAIKS_PLUGIN_LOG_RATE)",
		(unsigned long long)b->dropped_lines, (unsigned long long)b->dropped_bytes);
	b->dropped_lines = 0;
	b->dropped_bytes = 0;
	b->reported_ms = now_ms;
}
