#include "common/service/watchdog.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/service/notify.h"

#include <systemd/sd-daemon.h>

/* A watchdog of 15 s, which the units have, is what the numbers of the header are for. */
enum { USEC_FULL = 15000000, USEC_MIN = 15000 };

static void feed(struct watchdog *w)
{
	bool late = w->worst_ms > w->late_ms;
	if (late) {
		w->withheld++;
		log_event(LOG_WARNING, "watchdog.late",
			"a turn of the loop took %llu ms or more: systemd's watchdog is not fed this time",
			(unsigned long long)w->worst_ms);
		service_status("A turn of the loop took %llu ms", (unsigned long long)w->worst_ms);
	} else {
		(void)sd_notify(0, "WATCHDOG=1");
	}
	w->beats = 0;
	w->worst_ms = 0;
}

static void beat(struct watchdog *w)
{
	uint64_t now = w->clock();
	uint64_t late = now > w->due_ms ? now - w->due_ms : 0;
	w->worst_ms = late > w->worst_ms ? late : w->worst_ms;
	w->due_ms = now + w->beat_ms;
	if (++w->beats == WATCHDOG_BEATS) {
		feed(w);
	}
}

static void on_beat(void *arg)
{
	beat(arg);
}

void watchdog_init_at(struct watchdog *w, uv_loop_t *loop, uint64_t usec, uint64_t (*clock)(void))
{
	*w = (struct watchdog){ .clock = clock };
	uvx_timer_init(&w->timer, loop, on_beat, w);
	if (usec < USEC_MIN) {
		return;
	}
	uint64_t share = usec < USEC_FULL ? usec : USEC_FULL;
	w->beat_ms = WATCHDOG_BEAT_MS * share / USEC_FULL;
	w->late_ms = WATCHDOG_LATE_MS * share / USEC_FULL;
	w->due_ms = clock() + w->beat_ms;
	uvx_timer_every(&w->timer, w->beat_ms);
}

void watchdog_init(struct watchdog *w, uv_loop_t *loop)
{
	uint64_t usec = 0;
	int r = sd_watchdog_enabled(0, &usec);
	watchdog_init_at(w, loop, r > 0 ? usec : 0, clock_ms);
}

void watchdog_close(struct watchdog *w, uvx_closed_fn closed, void *arg)
{
	uvx_timer_close(&w->timer, closed, arg);
}
