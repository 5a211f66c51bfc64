#include "director/tls/certificates.h"

#include "common/base/log.h"
#include "common/uvx/timer.h"
#include "common/uvx/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FILE_BYTES_MAX = 256 * 1024,
	/* A certificate that ends sooner than this is worth a warning at each load. */
	EXPIRES_SOON_S = 14 * 24 * 3600,
	TICKETS_MS = 12 * 3600 * 1000,
	/* How often the clock of the tickets is looked at when nothing else has to be. */
	IDLE_MS = 3600 * 1000,
};

/* By what a changed file is known. */
struct identity {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
	struct timespec written;
};

struct files {
	struct identity certificate;
	struct identity key;
};

/* One load, on whatever thread. */
struct load {
	bool anyway; /* also when nothing has changed */
	struct files files;
	bool changed;
	int result;
	char why[TLS_WHY_SIZE];
	struct tls_context *context; /* when the result is 0 and something was read */
};

struct certificates {
	struct certificates_config config;
	struct tls_context *context;
	struct files files; /* of the last load, good or bad */
	struct load load;
	struct uvx_work work;
	struct uvx_timer timer;
	uint64_t tickets_at; /* uv_now() */
	bool again;          /* asked for while a load was running */
	bool closing;
	uvx_closed_fn closed;
	void *closed_arg;
};

static void identify(const char *path, struct identity *ret)
{
	struct stat st;
	memset(ret, 0, sizeof(*ret));
	if (stat(path, &st) == 0) {
		ret->device = st.st_dev;
		ret->inode = st.st_ino;
		ret->size = st.st_size;
		ret->changed = st.st_ctim;
		ret->written = st.st_mtim;
	}
}

static int read_all(int fd, struct buffer *to)
{
	for (;;) {
		int r = buffer_reserve(to, 4096);
		if (r < 0) {
			return r == -ENOBUFS ? -EFBIG : r;
		}
		ssize_t n = read(fd, to->p + to->n, to->cap - to->n);
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		if (n == 0) {
			return 0;
		}
		to->n += n > 0 ? (size_t)n : 0;
	}
}

/* A file of any kind but what could keep us waiting. */
static int read_file(const char *path, struct buffer *to)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		return -errno;
	}
	int r = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
	r = r < 0 ? r : read_all(fd, to);
	(void)close(fd);
	return r;
}

static int unreadable(
	char why[static TLS_WHY_SIZE], const char *setting, const char *path, int error)
{
	(void)snprintf(why, TLS_WHY_SIZE, "%s=%.120s cannot be read: %s", setting, path,
		strerrordesc_np(-error));
	return error;
}

static int load_files(const struct certificates_config *config, struct load *load)
{
	struct buffer certificate;
	struct buffer key;
	/* At least a page more than fits, so that a file of the limit can be seen to end. */
	buffer_init(&certificate, FILE_BYTES_MAX);
	buffer_init(&key, FILE_BYTES_MAX);
	/* All at once: what it would outgrow would be left in the heap. */
	int r = buffer_reserve(&key, FILE_BYTES_MAX / 2);
	if (r == 0) {
		r = read_file(config->certificate_path, &certificate);
		r = r == 0 ? 0
			   : unreadable(load->why, "TLS_CERT_FILE", config->certificate_path, r);
	}
	if (r == 0) {
		r = read_file(config->key_path, &key);
		r = r == 0 ? 0 : unreadable(load->why, "TLS_KEY_FILE", config->key_path, r);
	}
	if (r == 0) {
		r = tls_context_new(
			&load->context, buffer_slice(&certificate), buffer_slice(&key), load->why);
	}
	if (key.p != NULL) {
		explicit_bzero(key.p, key.cap);
	}
	buffer_deinit(&certificate);
	buffer_deinit(&key);
	return r;
}

/* On whatever thread: only what `load` has and what never changes. */
static void load_run(void *arg)
{
	struct certificates *c = arg;
	struct load *load = &c->load;
	struct files now;
	identify(c->config.certificate_path, &now.certificate);
	identify(c->config.key_path, &now.key);
	load->changed = memcmp(&now, &load->files, sizeof(now)) != 0;
	load->files = now;
	load->context = NULL;
	load->result = 0;
	if (load->changed || load->anyway) {
		(void)snprintf(load->why, sizeof(load->why), "no memory");
		load->result = load_files(&c->config, load);
	}
}

static void tell(const struct certificates *c)
{
	char until[32];
	struct tm day;
	time_t expires = tls_context_expires(c->context);
	time_t now = time(NULL);
	(void)gmtime_r(&expires, &day);
	(void)strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &day);
	const struct log_field fields[] = {
		{ "file", slice_str(c->config.certificate_path) },
		{ "valid_until", slice_str(until) },
	};
	if (expires <= now) {
		log_fields(LOG_WARNING, "tls.expired", fields, 2,
			"the certificate is used, but clients will refuse it: it has expired");
	} else if (expires - now < EXPIRES_SOON_S) {
		log_fields(LOG_WARNING, "tls.expires", fields, 2, "the certificate expires soon");
	} else {
		log_fields(LOG_INFO, "tls.certificate", fields, 2, "certificate loaded");
	}
}

static void finish_close(void *arg)
{
	struct certificates *c = arg;
	uvx_closed_fn closed = c->closed;
	void *closed_arg = c->closed_arg;
	tls_context_free(c->context);
	free(c);
	closed(closed_arg);
}

static void start_load(struct certificates *c, bool anyway)
{
	if (c->work.busy) {
		c->again |= anyway;
		return;
	}
	c->load.anyway = anyway;
	c->load.files = c->files;
	uvx_work_start(&c->work);
}

static void load_done(void *arg)
{
	struct certificates *c = arg;
	struct load *load = &c->load;
	c->files = load->files;
	if (c->closing) {
		tls_context_free(load->context);
		uvx_timer_close(&c->timer, finish_close, c);
		return;
	}
	if (load->result != 0) {
		log_event(LOG_ERROR, "tls.not_reloaded",
			"the new certificate is not used, the one before stays: %s", load->why);
	} else if (load->context != NULL) {
		struct tls_context *old = c->context;
		c->context = load->context;
		c->tickets_at = uv_now(c->config.loop) + TICKETS_MS;
		c->config.changed(c->config.owner, c->context);
		tls_context_free(old);
		tell(c);
	}
	load->context = NULL;
	if (c->again) {
		c->again = false;
		start_load(c, true);
	}
}

static void on_timer(void *arg)
{
	struct certificates *c = arg;
	if (uv_now(c->config.loop) >= c->tickets_at) {
		c->tickets_at = uv_now(c->config.loop) + TICKETS_MS;
		(void)tls_context_renew_tickets(c->context);
	}
	if (c->config.check_ms > 0) {
		start_load(c, false);
	}
}

int certificates_new(struct certificates **ret,
	const struct certificates_config *config,
	char why[static TLS_WHY_SIZE])
{
	struct certificates *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		(void)snprintf(why, TLS_WHY_SIZE, "no memory");
		return -ENOMEM;
	}
	c->config = *config;
	c->load.anyway = true;
	load_run(c);
	if (c->load.result != 0) {
		int r = c->load.result;
		(void)snprintf(why, TLS_WHY_SIZE, "%s", c->load.why);
		free(c);
		return r;
	}
	c->files = c->load.files;
	c->context = c->load.context;
	c->load.context = NULL;
	c->tickets_at = uv_now(config->loop) + TICKETS_MS;
	uvx_work_init(&c->work, config->loop, load_run, load_done, c);
	uvx_timer_init(&c->timer, config->loop, on_timer, c);
	tell(c);
	*ret = c;
	return 0;
}

struct tls_context *certificates_context(const struct certificates *c)
{
	return c->context;
}

void certificates_watch(struct certificates *c)
{
	uvx_timer_every(&c->timer, c->config.check_ms > 0 ? c->config.check_ms : IDLE_MS);
}

void certificates_reload(struct certificates *c)
{
	start_load(c, true);
}

void certificates_close(struct certificates *c, uvx_closed_fn closed, void *arg)
{
	if (c == NULL) {
		closed(arg);
		return;
	}
	c->closed = closed;
	c->closed_arg = arg;
	c->closing = true;
	uvx_timer_stop(&c->timer);
	if (!c->work.busy) {
		uvx_timer_close(&c->timer, finish_close, c);
	}
}
