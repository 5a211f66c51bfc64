#include "director/store/store.h"

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/uvx/async.h"
#include "director/store/driver.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Where a driver answers. */
struct driver_host {
	struct uvx_door door;
	struct uvx_item stopped;
	struct uvx_item failed;
	atomic_flag has_failed; /* `failed` is in the queue or through it */
};

struct store {
	struct driver_host host;
	const struct driver_ops *ops;
	void *driver;
	struct store_limits limits;
	struct oid_source ids;
	unsigned queue;
	size_t queue_bytes;
	unsigned waiting; /* tasks that the driver has */
	size_t waiting_bytes;
	bool has_failed;
	bool closing;
	bool closed; /* the door is gone */
	void (*on_failed)(void *arg);
	void *on_failed_arg;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* A command between submission and answer. */
struct pending {
	struct uvx_item item;
	struct store_task task;
	size_t charged; /* bytes, 0: the driver never had it */
	store_done_fn done;
	void *owner;
};

#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

void store_config_init(struct store_config *c)
{
	*c = (struct store_config){
		.readers = 2,
		.queue = 4096,
		.queue_bytes = (size_t)64 << 20,
		.document_bytes = 262144,
		.filter_bytes = 65536,
		.result_bytes = (size_t)16 << 20,
		.in_values = 1000,
		.skip = 10000,
		.regex_bytes = 1000,
		.regex_steps = MATCH_REGEX_STEPS,
		.operation_ms = 2000,
		.collections = 1000,
		.plugin_documents = 10000000,
		.plugin_bytes = UINT64_C(4) << 30,
		.user_documents = 1000000,
		.user_bytes = UINT64_C(256) << 20,
		.stages = 50,
		.indexes = 20,
		.index_fields = 16,
		.index_keys = 1000,
	};
}

/* --- answers --- */

static void pending_free(struct pending *p)
{
	store_task_deinit(&p->task);
	free(p);
}

static void answer(struct store *s, struct pending *p)
{
	if (p->charged > 0) {
		s->waiting--;
		s->waiting_bytes -= p->charged;
	}
	p->task.result.task = &p->task;
	p->done(p->owner, &p->task.result);
	pending_free(p);
}

static void on_closed(void *arg)
{
	struct store *s = (struct store *)arg;
	s->closed = true;
	s->on_closed(s->on_closed_arg);
}

/* Whatever another thread left at the door. */
static void deliver(void *arg, struct uvx_item *item)
{
	struct store *s = (struct store *)arg;
	if (item == &s->host.stopped) {
		s->ops->free(s->driver);
		s->driver = NULL;
		uvx_door_close(&s->host.door, on_closed, s);
	} else if (item == &s->host.failed) {
		s->has_failed = true;
		if (s->on_failed != NULL) {
			s->on_failed(s->on_failed_arg);
		}
	} else {
		answer(s, container_of(item, struct pending, item));
	}
}

void driver_done(struct driver_host *host, struct store_task *t)
{
	struct pending *p = container_of(t, struct pending, task);
	store_task_note(t);
	/* The door stays open until driver_stopped() went through it. */
	invariant(uvx_door_push(&host->door, &p->item));
}

void driver_failed(struct driver_host *host)
{
	if (!atomic_flag_test_and_set(&host->has_failed)) {
		invariant(uvx_door_push(&host->door, &host->failed));
	}
}

void driver_stopped(struct driver_host *host)
{
	invariant(uvx_door_push(&host->door, &host->stopped));
}

uint8_t *store_result_steal_documents(const struct store_result *result, size_t *ret_n)
{
	struct store_task *t = result->task;
	t->result.documents = SLICE_NULL;
	return buffer_steal(&t->out.b, ret_n);
}

/* --- opening --- */

struct choice {
	const char *prefix;
	const struct driver_ops *ops; /* NULL: refused, with `why` */
	size_t skip;                  /* of the URI, before the driver's address */
	const char *why;
};

static const struct choice choices[] = {
	{ "sqlite:////", &sqlite_driver, sizeof("sqlite:///") - 1, NULL },
	{ "mongodb://", &mongodb_driver, 0, NULL },
	/* SECURITY: who answers the DNS query would say which hosts get the password. */
	{ "mongodb+srv://", NULL, 0,
		"mongodb+srv:// is not taken, since DNS would name the servers; name them: "
		"mongodb://host1,host2/database?replicaSet=NAME&tls=true" },
};

/* The scheme alone: what follows may hold a password. */
static int scheme_length(const char *uri)
{
	const char *colon = strchr(uri, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - uri);
	return n > 20 ? 20 : (int)n;
}

static int choose(const struct store_config *c,
	const struct driver_ops **ret_ops,
	char address[static 4096],
	char why[static 256])
{
	if (c->uri == NULL || c->uri[0] == 0) {
		*ret_ops = &sqlite_driver;
		int n = snprintf(address, 4096, "%s/mozaiks.db", c->state_dir);
		if (n < 0 || n >= 4096) {
			(void)snprintf(why, 256, "MOZAIKS_STATE_PATH: the path is too long");
			return -ENAMETOOLONG;
		}
		return 0;
	}
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		if (strncmp(c->uri, choices[i].prefix, strlen(choices[i].prefix)) != 0) {
			continue;
		}
		if (choices[i].ops == NULL) {
			(void)snprintf(why, 256, "DATABASE_URI: %s", choices[i].why);
			return -EINVAL;
		}
		*ret_ops = choices[i].ops;
		int n = snprintf(address, 4096, "%s", c->uri + choices[i].skip);
		return n < 4096 ? 0 : -ENAMETOOLONG;
	}
	(void)snprintf(why, 256,
		"DATABASE_URI: \"%.*s…\" is not known; it is sqlite:////absolute/path, mongodb://… or "
		"unset for the embedded store",
		scheme_length(c->uri), c->uri);
	return -EINVAL;
}

int store_files(const char *uri, store_file_fn each, void *arg)
{
	for (size_t i = 0; uri != NULL && i < sizeof(choices) / sizeof(choices[0]); i++) {
		if (choices[i].ops != NULL &&
			strncmp(uri, choices[i].prefix, strlen(choices[i].prefix)) == 0) {
			return choices[i].ops->files(uri + choices[i].skip, each, arg);
		}
	}
	return 0;
}

static void take_config(struct store *s, const struct store_config *c)
{
	s->limits = (struct store_limits){
		.document_bytes = c->document_bytes,
		.filter_bytes = c->filter_bytes,
		.result_bytes = c->result_bytes,
		.in_values = c->in_values,
		.skip = c->skip,
		.regex_bytes = c->regex_bytes,
		.regex_steps = c->regex_steps,
		.operation_ms = c->operation_ms,
		.collections = c->collections,
		.plugin_documents = c->plugin_documents,
		.plugin_bytes = c->plugin_bytes,
		.user_documents = c->user_documents,
		.user_bytes = c->user_bytes,
		.stages = c->stages,
		.indexes = c->indexes,
		.index_fields = c->index_fields,
		.index_keys = c->index_keys,
	};
	s->queue = c->queue;
	s->queue_bytes = c->queue_bytes;
	s->on_failed = c->failed;
	s->on_failed_arg = c->failed_arg;
}

static void opening_failed(void *arg)
{
	free(arg);
}

/* A driver does not know where its address comes from; the operator has to. */
static void name_setting(const struct store_config *c, char why[static 256])
{
	static const char usual[] = "DATABASE_URI: ";
	char text[256];
	bool given = c->uri != NULL && c->uri[0] != 0;
	const char *name = !given     ? "MOZAIKS_STATE_PATH"
		: c->uri_name != NULL ? c->uri_name
				      : "DATABASE_URI";
	const char *rest = why;
	if (why[0] == 0 || strncmp(why, "MOZAIKS_", 8) == 0) {
		return;
	}
	if (strncmp(why, usual, sizeof(usual) - 1) == 0) {
		rest += sizeof(usual) - 1;
	} else if (strstr(why, "DATABASE_URI") != NULL) {
		return;
	}
	(void)snprintf(text, sizeof(text), "%s: %.230s", name, rest);
	memcpy(why, text, sizeof(text));
}

int store_open(struct store **ret, const struct store_config *c, char why[static 256])
{
	char address[4096];
	const struct driver_ops *ops = NULL;
	why[0] = 0;
	int r = choose(c, &ops, address, why);
	if (r < 0) {
		name_setting(c, why);
		return r;
	}
	struct store *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return -ENOMEM;
	}
	s->ops = ops;
	take_config(s, c);
	r = oid_source_init(&s->ids);
	r = r < 0 ? r : uvx_door_init(&s->host.door, c->loop, deliver, s);
	if (r < 0) {
		free(s);
		return r;
	}
	struct driver_config config = { &s->host, address, c->readers, &s->limits };
	r = ops->open(&s->driver, &config, why);
	/* It may hold a password, and the driver has its own copy. */
	explicit_bzero(address, sizeof(address));
	if (r < 0) {
		name_setting(c, why);
		/* The loop frees it in its next turn. */
		uvx_door_close(&s->host.door, opening_failed, s);
		return r;
	}
	log_event(LOG_INFO, "store.open", "%s", ops->name);
	*ret = s;
	return 0;
}

/* --- commands --- */

/* Answers in the loop's next turn, without the driver. */
static int refuse(struct store *s, struct pending *p)
{
	store_task_note(&p->task);
	if (!uvx_door_push(&s->host.door, &p->item)) {
		pending_free(p);
		return -ECANCELED;
	}
	return 0;
}

static bool admit(struct store *s, struct pending *p)
{
	struct store_task *t = &p->task;
	if (s->closing || s->has_failed) {
		(void)store_task_fail(t, STORE_E_UNAVAILABLE, "the store is closed");
		return false;
	}
	if (s->waiting >= s->queue) {
		(void)store_task_fail(t, STORE_E_UNAVAILABLE,
			"%u commands are waiting (MOZAIKS_STORE_QUEUE)", s->waiting);
		return false;
	}
	if (t->bytes > s->queue_bytes - s->waiting_bytes) {
		(void)store_task_fail(t, STORE_E_UNAVAILABLE,
			"commands of %zu bytes are waiting (MOZAIKS_STORE_QUEUE_BYTES)",
			s->waiting_bytes);
		return false;
	}
	return true;
}

int store_submit(struct store *s,
	const struct store_scope *scope,
	const struct store_command *c,
	store_done_fn done,
	void *owner)
{
	if (s->closed) {
		return -ECANCELED;
	}
	struct pending *p = calloc(1, sizeof(*p));
	if (p == NULL) {
		return -ENOMEM;
	}
	p->done = done;
	p->owner = owner;
	int r = store_task_init(&p->task, scope, c, &s->limits, &s->ids);
	if (r < 0) {
		pending_free(p);
		return r;
	}
	if (r > 0 || !admit(s, p)) {
		return refuse(s, p);
	}
	p->charged = p->task.bytes;
	s->waiting++;
	s->waiting_bytes += p->charged;
	s->ops->submit(s->driver, &p->task);
	return 0;
}

bool store_ready(const struct store *s)
{
	return !s->has_failed && !s->closing && s->ops->ready(s->driver);
}

const char *store_driver_name(const struct store *s)
{
	return s->ops->name;
}

void store_close(struct store *s, void (*done)(void *arg), void *arg)
{
	if (s->closing) {
		return;
	}
	s->closing = true;
	s->on_closed = done;
	s->on_closed_arg = arg;
	s->ops->stop(s->driver);
}

void store_free(struct store *s)
{
	if (s != NULL) {
		invariant(s->driver == NULL);
		free(s);
	}
}
