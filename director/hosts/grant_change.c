#include "director/hosts/grant_change.h"

#include "common/uvx/work.h"
#include "director/director.h"
#include "director/hosts/registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct change {
	struct uvx_work work;
	struct plugin *plugin; /* a reference */
	struct grants file;    /* the policy, as it is read for this change */
	struct plugin_manifest manifest;
	bool granted;
	int result;
	char why[GRANTS_WHY_SIZE];
	grant_change_fn done;
	void *owner;
	size_t n;
	uint8_t permission[];
};

/* Between reading the file and having written it there is no other change. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static void on_run(void *arg)
{
	struct change *c = arg;
	(void)pthread_mutex_lock(&one_at_a_time);
	c->result = grants_set(&c->file, c->plugin->id, &c->manifest, slice_of(c->permission, c->n),
		c->granted, c->why);
	(void)pthread_mutex_unlock(&one_at_a_time);
}

static void on_done(void *arg)
{
	struct change *c = arg;
	struct director *d = c->plugin->director;
	if (c->result == 0 && !d->stopping) {
		registry_read_grants(&d->registry);
	}
	c->done(c->owner, c->result, c->why);
	plugin_unref(c->plugin);
	grants_deinit(&c->file);
	free(c);
}

int grant_change_start(
	struct plugin *p, struct slice permission, bool granted, grant_change_fn done, void *owner)
{
	struct change *c = calloc(1, sizeof(*c) + permission.n);
	if (c == NULL) {
		return -ENOMEM;
	}
	uvx_work_init(&c->work, p->director->loop, on_run, on_done, c);
	plugin_ref(p);
	c->plugin = p;
	memcpy(c->file.path, p->director->registry.grants.path, sizeof(c->file.path));
	memcpy(c->manifest.asked, p->manifest.asked, sizeof(c->manifest.asked));
	c->granted = granted;
	c->done = done;
	c->owner = owner;
	c->n = permission.n;
	memcpy(c->permission, permission.p, permission.n);
	uvx_work_start(&c->work);
	return 0;
}
