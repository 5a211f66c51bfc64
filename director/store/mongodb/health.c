#include "director/store/mongodb/health.h"

#include "common/base/log.h"

#include <errno.h>
#include <time.h>

enum {
	CONNECT_MS = 2000,
	PAUSE_UP_MS = 1000,
	PAUSE_DOWN_MS = 500,
};

static int init_lock(struct mongodb_health *h)
{
	pthread_condattr_t clock;
	int r = pthread_mutex_init(&h->lock, NULL);
	if (r != 0) {
		return -r;
	}
	r = pthread_condattr_init(&clock);
	if (r == 0) {
		(void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
		r = pthread_cond_init(&h->changed, &clock);
		(void)pthread_condattr_destroy(&clock);
	}
	if (r != 0) {
		(void)pthread_mutex_destroy(&h->lock);
	}
	return -r;
}

static bool shorten(mongoc_uri_t *uri, const char *option, int32_t ms)
{
	int32_t given = mongoc_uri_get_option_as_int32(uri, option, ms);
	return mongoc_uri_set_option_as_int32(uri, option, given < ms ? given : ms);
}

int mongodb_health_init(struct mongodb_health *h, const mongoc_uri_t *uri)
{
	*h = (struct mongodb_health){ .state = MONGODB_UNTRIED };
	int r = init_lock(h);
	if (r < 0) {
		return r;
	}
	h->uri = mongoc_uri_copy(uri);
	if (!shorten(h->uri, MONGOC_URI_CONNECTTIMEOUTMS, CONNECT_MS) ||
		!shorten(h->uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, CONNECT_MS) ||
		!shorten(h->uri, MONGOC_URI_SOCKETTIMEOUTMS, MONGODB_PING_MS) ||
		!mongoc_uri_set_option_as_bool(h->uri, MONGOC_URI_SERVERSELECTIONTRYONCE, true)) {
		mongodb_health_deinit(h);
		return -ENOMEM;
	}
	return 0;
}

void mongodb_health_deinit(struct mongodb_health *h)
{
	if (h->client != NULL) {
		mongoc_client_destroy(h->client);
	}
	mongoc_uri_destroy(h->uri);
	(void)pthread_cond_destroy(&h->changed);
	(void)pthread_mutex_destroy(&h->lock);
}

bool mongodb_health_is_up(const struct mongodb_health *h)
{
	return atomic_load(&h->state) == MONGODB_UP;
}

unsigned mongodb_health_outages(const struct mongodb_health *h)
{
	return atomic_load(&h->outages);
}

bool mongodb_health_wait(struct mongodb_health *h)
{
	if (atomic_load(&h->state) == MONGODB_UNTRIED) {
		(void)pthread_mutex_lock(&h->lock);
		while (atomic_load(&h->state) == MONGODB_UNTRIED) {
			(void)pthread_cond_wait(&h->changed, &h->lock);
		}
		(void)pthread_mutex_unlock(&h->lock);
	}
	return mongodb_health_is_up(h);
}

bool mongodb_ping(mongoc_client_t *client, bson_error_t *ret_error)
{
	bson_t command = BSON_INITIALIZER;
	mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
	BSON_APPEND_INT32(&command, "ping", 1);
	bool ok = mongoc_client_command_simple(client, "admin", &command, primary, NULL, ret_error);
	mongoc_read_prefs_destroy(primary);
	bson_destroy(&command);
	return ok;
}

static bool ask(struct mongodb_health *h, bson_error_t *ret_error)
{
	if (h->client == NULL) {
		h->client = mongoc_client_new_from_uri(h->uri);
	}
	bool ok = h->client != NULL && mongodb_ping(h->client, ret_error);
	if (!ok && h->client != NULL) {
		/* A client that failed would not try the server again for five seconds. */
		mongoc_client_destroy(h->client);
		h->client = NULL;
	}
	return ok;
}

enum mongodb_state mongodb_health_ask(struct mongodb_health *h)
{
	bson_error_t error = { 0 };
	enum mongodb_state before = atomic_load(&h->state);
	enum mongodb_state now = ask(h, &error) ? MONGODB_UP : MONGODB_DOWN;
	(void)pthread_mutex_lock(&h->lock);
	atomic_store(&h->state, now);
	if (now == MONGODB_DOWN && before != now) {
		atomic_fetch_add(&h->outages, 1);
	}
	(void)pthread_cond_broadcast(&h->changed);
	(void)pthread_mutex_unlock(&h->lock);
	if (now == MONGODB_DOWN && before != now) {
		struct log_field field = { "error", slice_str(error.message) };
		log_fields(LOG_ERROR, "store.mongodb_down", &field, 1,
			"the MongoDB server cannot be reached; commands are refused until it can");
	} else if (now == MONGODB_UP && before != now) {
		log_event(LOG_INFO, "store.mongodb_up", "the MongoDB server answers");
	}
	return now;
}

bool mongodb_health_pause(struct mongodb_health *h)
{
	struct timespec until;
	long ms = mongodb_health_is_up(h) ? PAUSE_UP_MS : PAUSE_DOWN_MS;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	(void)pthread_mutex_lock(&h->lock);
	while (!h->stopping && pthread_cond_timedwait(&h->changed, &h->lock, &until) != ETIMEDOUT) {
	}
	bool more = !h->stopping;
	(void)pthread_mutex_unlock(&h->lock);
	return more;
}

void mongodb_health_stop(struct mongodb_health *h)
{
	(void)pthread_mutex_lock(&h->lock);
	h->stopping = true;
	(void)pthread_cond_broadcast(&h->changed);
	(void)pthread_mutex_unlock(&h->lock);
}
