#include "director/hosts/plugin.h"

#include "common/base/error.h"
#include "director/director.h"
#include "director/hosts/manifest.h"

#include <stdlib.h>

struct plugin *plugin_new(struct director *d, const char *id, const char *host)
{
	struct plugin *p = calloc(1, sizeof(*p));
	if (p == NULL) {
		return NULL;
	}
	p->director = d;
	log_budget_init(&p->log_budget, d->settings->plugin_log_rate, d->settings->plugin_log_burst,
		uv_now(d->loop));
	exits_init(&p->exits, (unsigned)d->settings->exits_kept);
	p->enabled = true;
	(void)snprintf(p->id, sizeof(p->id), "%s", id);
	(void)snprintf(p->host, sizeof(p->host), "%s", host);
	uvx_timer_init(&p->timer, d->loop, d->on_registry->timer, p);
	p->timer_open = true;
	return p;
}

static void on_timer_closed(void *arg)
{
	struct plugin *p = arg;
	manifest_deinit(&p->manifest);
	exits_deinit(&p->exits);
	free(p);
}

void plugin_release(struct plugin *p)
{
	if (p->gone && p->refs == 0 && p->workers == NULL && p->timer_open) {
		p->timer_open = false;
		uvx_timer_close(&p->timer, on_timer_closed, p);
	}
}

void plugin_ref(struct plugin *p)
{
	p->refs++;
}

void plugin_unref(struct plugin *p)
{
	invariant(p->refs > 0);
	p->refs--;
	plugin_release(p);
}

uint64_t plugin_wait_ms(const struct plugin *p)
{
	uint64_t now = uv_now(p->director->loop);
	uint64_t open = breaker_wait_ms(&p->breaker, now);
	uint64_t wait = restart_wait_ms(&p->restart, now);
	return open > wait ? open : wait;
}

const char *plugin_state(const struct plugin *p)
{
	if (!p->enabled) {
		return "disabled";
	}
	if (p->n_ready > 0) {
		return "ready";
	}
	if (p->files_error[0] != '\0' || p->load_error[0] != '\0') {
		return "broken";
	}
	if (p->n_starting > 0) {
		return "starting";
	}
	return plugin_wait_ms(p) > 0 ? "waiting to restart" : "stopped";
}

const char *plugin_error(const struct plugin *p)
{
	if (p->files_error[0] != '\0' || p->load_error[0] != '\0') {
		return p->files_error[0] != '\0' ? p->files_error : p->load_error;
	}
	/* One that dies while it is loaded cannot say why: how it ended is all that is known. */
	const struct exit_entry *last = exits_last_failure(&p->exits);
	if (p->restart.crashes == 0 || last == NULL) {
		return "";
	}
	/* Another version may serve meanwhile; that does not mend this one. */
	bool of_this = !p->proven && slice_eq(slice_str(last->version), slice_str(p->version));
	return p->n_ready == 0 || of_this ? last->text : "";
}
