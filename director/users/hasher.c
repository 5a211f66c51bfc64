#include "director/users/hasher.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/uvx/async.h"

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS_MAX = 64, DUMMY_BCRYPT_COST = 12 };

struct hash_job {
	struct uvx_item item;
	struct hash_job *next; /* in the queue */
	hash_done_fn done;
	void *owner;
	bool verify;
	bool dummy;
	bool mixed;
	char hash[PASSWORD_HASH_SIZE]; /* to verify, or made */
	int result;                    /* of password_verify(), password_hash() */
	unsigned argon2;               /* comparisons */
	unsigned bcrypt;
	uint64_t ns;
	size_t n;
	uint8_t password[];
};

struct hasher {
	struct password_cost cost;
	unsigned limit;
	struct uvx_door door;
	bool mixed;
	unsigned waiting; /* jobs that are not answered */
	uint64_t job_ns;  /* what one takes, smoothed */
	struct hasher_counters counters;
	char dummy[PASSWORD_HASH_SIZE];
	char dummy_bcrypt[PASSWORD_HASH_SIZE];

	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct hash_job *first; /* under lock, as are the next two */
	struct hash_job **last;
	bool closed;

	unsigned n_threads;
	pthread_t threads[THREADS_MAX];
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

/* ---- a thread ------------------------------------------------------------------------------- */

static int verify(struct hash_job *job, const char *hash)
{
	enum password_kind kind = password_kind_of(slice_str(hash));
	job->argon2 += kind == PASSWORD_ARGON2;
	job->bcrypt += kind == PASSWORD_BCRYPT;
	return password_verify(slice_str(hash), slice_of(job->password, job->n));
}

/* The other kind, for nothing. */
static int verify_other_kind(const struct hasher *h, struct hash_job *job)
{
	bool bcrypt = password_kind_of(slice_str(job->hash)) == PASSWORD_BCRYPT;
	return verify(job, bcrypt ? h->dummy : h->dummy_bcrypt);
}

static void work(const struct hasher *h, struct hash_job *job)
{
	uint64_t start = clock_ns();
	if (!job->verify) {
		job->result = password_hash(&h->cost, slice_of(job->password, job->n), job->hash);
	} else {
		int other = job->mixed ? verify_other_kind(h, job) : 0;
		job->result = verify(job, job->hash);
		job->result = other < 0 ? other : job->result;
	}
	sodium_memzero(job->password, job->n);
	job->ns = clock_ns() - start;
}

static struct hash_job *next_job(struct hasher *h)
{
	(void)pthread_mutex_lock(&h->lock);
	while (h->first == NULL && !h->closed) {
		(void)pthread_cond_wait(&h->filled, &h->lock);
	}
	struct hash_job *job = h->first;
	if (job != NULL) {
		h->first = job->next;
		h->last = h->first == NULL ? &h->first : h->last;
	}
	(void)pthread_mutex_unlock(&h->lock);
	return job;
}

static void *thread_main(void *arg)
{
	struct hasher *h = arg;
	struct hash_job *job;
	while ((job = next_job(h)) != NULL) {
		work(h, job);
		/* It is shut only once the threads have ended. */
		invariant(uvx_door_push(&h->door, &job->item));
	}
	return NULL;
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void deliver(void *arg, struct uvx_item *item)
{
	struct hasher *h = arg;
	struct hash_job *job =
		(struct hash_job *)(void *)((char *)item - offsetof(struct hash_job, item));
	struct hash_result result = {
		.error = job->result < 0 ? job->result : 0,
		.match = job->verify && !job->dummy && job->result == 1,
		.hash = job->verify || job->result < 0 ? NULL : job->hash,
	};
	h->waiting--;
	h->counters.argon2 += job->argon2;
	h->counters.bcrypt += job->bcrypt;
	h->job_ns = h->job_ns == 0 ? job->ns : (h->job_ns * 7 + job->ns) / 8;
	job->done(job->owner, &result);
	free(job);
}

static int submit(struct hasher *h,
	struct slice hash,
	bool verify,
	struct slice password,
	hash_done_fn done,
	void *owner)
{
	if (h->waiting >= h->limit + h->n_threads) {
		h->counters.refused++;
		return HASHER_FULL;
	}
	struct hash_job *job = calloc(1, sizeof(*job) + password.n + 1);
	if (job == NULL) {
		return -ENOMEM;
	}
	job->done = done;
	job->owner = owner;
	job->verify = verify;
	job->mixed = h->mixed;
	job->dummy = verify && password_kind_of(hash) == PASSWORD_UNKNOWN;
	job->n = password.n;
	if (password.n > 0) {
		memcpy(job->password, password.p, password.n);
	}
	hash = job->dummy ? slice_str(h->dummy) : hash;
	if (hash.n > 0) {
		memcpy(job->hash, hash.p, hash.n);
	}
	h->counters.verified += verify;
	h->counters.dummies += job->dummy;
	h->counters.hashed += !verify;
	h->waiting++;
	(void)pthread_mutex_lock(&h->lock);
	*h->last = job;
	h->last = &job->next;
	(void)pthread_cond_signal(&h->filled);
	(void)pthread_mutex_unlock(&h->lock);
	return HASHER_OK;
}

int hasher_verify(
	struct hasher *h, struct slice hash, struct slice password, hash_done_fn done, void *owner)
{
	return submit(h, hash, true, password, done, owner);
}

int hasher_hash(struct hasher *h, struct slice password, hash_done_fn done, void *owner)
{
	return submit(h, SLICE_NULL, false, password, done, owner);
}

void hasher_set_mixed(struct hasher *h, bool mixed)
{
	h->mixed = mixed;
}

unsigned hasher_retry_after_s(const struct hasher *h)
{
	uint64_t ns = h->job_ns * h->waiting / h->n_threads;
	return (unsigned)(ns / 1000000000 + 1);
}

const struct hasher_counters *hasher_counters(const struct hasher *h)
{
	return &h->counters;
}

/* ---- life ----------------------------------------------------------------------------------- */

static int make_dummies(struct hasher *h)
{
	uint8_t secret[16];
	char hex[2 * sizeof(secret) + 1];
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	randombytes_buf(secret, sizeof(secret));
	(void)sodium_bin2hex(hex, sizeof(hex), secret, sizeof(secret));
	int r = password_hash(&h->cost, slice_str(hex), h->dummy);
	if (r < 0) {
		return r;
	}
	/* A salt makes a setting, and any 31 characters behind it a hash that nothing fits. */
	if (crypt_gensalt_rn("$2b$", DUMMY_BCRYPT_COST, (const char *)secret, sizeof(secret),
		    setting, (int)sizeof(setting)) == NULL) {
		return -EIO;
	}
	(void)snprintf(h->dummy_bcrypt, sizeof(h->dummy_bcrypt), "%.29s%.31s", setting,
		"0123456789abcdefghijklmnopqrstu");
	return password_kind_of(slice_str(h->dummy_bcrypt)) == PASSWORD_BCRYPT ? 0 : -EIO;
}

/* Signals are the loop thread's. */
static int start_threads(struct hasher *h, unsigned n)
{
	sigset_t all;
	sigset_t before;
	int r = 0;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	while (h->n_threads < n && r == 0) {
		r = pthread_create(&h->threads[h->n_threads], NULL, thread_main, h);
		h->n_threads += r == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

static void end_threads(struct hasher *h)
{
	(void)pthread_mutex_lock(&h->lock);
	h->closed = true;
	(void)pthread_cond_broadcast(&h->filled);
	(void)pthread_mutex_unlock(&h->lock);
	for (unsigned i = 0; i < h->n_threads; i++) {
		(void)pthread_join(h->threads[i], NULL);
	}
}

static void opening_failed(void *arg)
{
	(void)hasher_free(arg);
}

int hasher_new(struct hasher **ret, const struct hasher_config *config)
{
	struct hasher *h = calloc(1, sizeof(*h));
	if (h == NULL) {
		return -ENOMEM;
	}
	invariant(config->threads > 0 && config->threads <= THREADS_MAX);
	h->cost = config->cost;
	h->limit = config->queue;
	h->last = &h->first;
	(void)pthread_mutex_init(&h->lock, NULL);
	(void)pthread_cond_init(&h->filled, NULL);
	int r = make_dummies(h);
	r = r < 0 ? r : uvx_door_init(&h->door, config->loop, deliver, h);
	if (r < 0) {
		(void)hasher_free(h);
		return r;
	}
	r = start_threads(h, config->threads);
	if (r < 0) {
		end_threads(h);
		/* The loop frees it in its next turn. */
		uvx_door_close(&h->door, opening_failed, h);
		return r;
	}
	*ret = h;
	return 0;
}

static void on_door_closed(void *arg)
{
	struct hasher *h = arg;
	h->on_closed(h->on_closed_arg);
}

void hasher_close(struct hasher *h, void (*done)(void *arg), void *arg)
{
	h->on_closed = done;
	h->on_closed_arg = arg;
	/* Waits for what is queued: at the end of the program only, and no longer than the queue is. */
	end_threads(h);
	uvx_door_close(&h->door, on_door_closed, h);
}

struct hasher *hasher_free(struct hasher *h)
{
	if (h != NULL) {
		(void)pthread_mutex_destroy(&h->lock);
		(void)pthread_cond_destroy(&h->filled);
		free(h);
	}
	return NULL;
}
