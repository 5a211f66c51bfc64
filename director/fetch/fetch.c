#include "director/fetch/fetch.h"

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/uvx/poll.h"
#include "common/uvx/timer.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

enum { CONNECT_MS = 5000 };

/* A descriptor of libcurl's. */
struct watch {
	struct uvx_poll poll;
	struct fetcher *fetcher;
	curl_socket_t fd;
	struct watch *prev, *next;
};

struct fetch {
	struct fetcher *fetcher;
	CURL *easy;
	struct buffer body;
	const char *bytes_setting;
	bool too_long;
	char error[CURL_ERROR_SIZE];
	fetch_done_fn done;
	void *arg;
	struct fetch *prev, *next;
};

struct fetcher {
	uv_loop_t *loop;
	CURLM *multi;
	struct uvx_timer timer;
	struct watch *watches;
	struct fetch *running;
	unsigned ending; /* watches that are not closed yet */
	struct uvx_closing closing;
	bool closed;
};

/* ---- URLs ---------------------------------------------------------------------------------- */

static bool is_this_machine(const char *host)
{
	struct in_addr four;
	if (inet_pton(AF_INET, host, &four) == 1) {
		return (ntohl(four.s_addr) >> 24) == 127;
	}
	return slice_eq_nocase(slice_str(host), SLICE("localhost")) ||
		slice_eq(slice_str(host), SLICE("[::1]"));
}

static const char *judge_parts(CURLU *u, bool http_allowed)
{
	char *scheme = NULL;
	char *host = NULL;
	char *user = NULL;
	const char *why = NULL;
	if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
		curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || host[0] == '\0') {
		why = "must be a URL with a host";
	} else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK) {
		why = "must not have a user or a password in it";
	} else if (strcmp(scheme, "http") == 0) {
		why = http_allowed || is_this_machine(host)
			? NULL
			: "must be an https URL: over http anybody on the way could give us keys";
	} else if (strcmp(scheme, "https") != 0) {
		why = "must be an https URL";
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	return why;
}

const char *fetch_url_problem(const char *url, bool http_allowed)
{
	struct slice text = slice_str(url);
	if (text.n == 0 || text.n > FETCH_URL_MAX) {
		return "must be a URL of at most 2048 bytes";
	}
	CURLU *u = curl_url();
	if (u == NULL) {
		return "cannot be read for want of memory";
	}
	const char *why = curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK
		? judge_parts(u, http_allowed)
		: "must be a URL like https://id.example.org/realms/a";
	curl_url_cleanup(u);
	return why;
}

/* ---- libcurl on the loop ------------------------------------------------------------------- */

static void fetch_free(struct fetch *x)
{
	DL_DELETE(x->fetcher->running, x);
	if (x->easy != NULL) {
		(void)curl_multi_remove_handle(x->fetcher->multi, x->easy);
		curl_easy_cleanup(x->easy);
	}
	buffer_deinit(&x->body);
	free(x);
}

static void explain(const struct fetch *x, CURLcode code, long status, char why[FETCH_WHY_SIZE])
{
	if (x->too_long) {
		(void)snprintf(why, FETCH_WHY_SIZE, "the answer is longer than %zu bytes (%s)",
			x->body.limit, x->bytes_setting);
	} else if (code != CURLE_OK) {
		(void)snprintf(why, FETCH_WHY_SIZE, "%s",
			x->error[0] != '\0' ? x->error : curl_easy_strerror(code));
	} else if (status >= 300 && status < 400) {
		(void)snprintf(why, FETCH_WHY_SIZE,
			"the answer is a redirect (%ld), which is not followed", status);
	} else {
		(void)snprintf(why, FETCH_WHY_SIZE, "the answer has status %ld", status);
	}
}

/* The callback may start another. */
static void finish(struct fetch *x, CURLcode code)
{
	long status = 0;
	char why[FETCH_WHY_SIZE] = "";
	(void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	struct fetch_answer answer = {
		.good = code == CURLE_OK && status == 200,
		.body = buffer_slice(&x->body),
		.why = why,
	};
	if (!answer.good) {
		explain(x, code, status, why);
	}
	x->done(x->arg, &answer);
	fetch_free(x);
}

static void take_ended(struct fetcher *f)
{
	int left;
	CURLMsg *message;
	while ((message = curl_multi_info_read(f->multi, &left)) != NULL) {
		struct fetch *x = NULL;
		CURLcode code = message->data.result;
		if (message->msg == CURLMSG_DONE &&
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x) == CURLE_OK) {
			finish(x, code);
		}
	}
}

static void on_timer(void *arg)
{
	struct fetcher *f = arg;
	int running;
	(void)curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_ended(f);
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
	struct fetcher *f = arg;
	if (f->closed) {
		return 0;
	}
	if (ms < 0) {
		uvx_timer_stop(&f->timer);
	} else {
		uvx_timer_once(&f->timer, (uint64_t)ms);
	}
	return 0;
}

static void on_happened(void *arg, int events)
{
	const struct watch *w = arg;
	/* The watch may go in the call. */
	struct fetcher *f = w->fetcher;
	int running;
	int what = ((events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
		((events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0);
	(void)curl_multi_socket_action(f->multi, w->fd, what, &running);
	take_ended(f);
}

static void on_watch_closed(void *arg)
{
	struct watch *w = arg;
	struct fetcher *f = w->fetcher;
	free(w);
	f->ending--;
	if (f->closed) {
		uvx_closing_one(&f->closing);
	}
}

static void end_watch(struct watch *w)
{
	DL_DELETE(w->fetcher->watches, w);
	w->fetcher->ending++;
	if (w->fetcher->closed) {
		(void)uvx_closing_add(&w->fetcher->closing);
	}
	uvx_poll_close(&w->poll, on_watch_closed, w);
}

static struct watch *begin_watch(struct fetcher *f, curl_socket_t fd)
{
	struct watch *w = calloc(1, sizeof(*w));
	if (w == NULL) {
		return NULL;
	}
	w->fetcher = f;
	w->fd = fd;
	if (uvx_poll_init_events(&w->poll, f->loop, fd, on_happened, w) < 0) {
		free(w);
		return NULL;
	}
	DL_APPEND(f->watches, w);
	(void)curl_multi_assign(f->multi, fd, w);
	return w;
}

static int set_watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct watch *w = socket_arg;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			end_watch(w);
		}
		return 0;
	}
	w = w != NULL ? w : begin_watch(arg, fd);
	int events = (what == CURL_POLL_IN ? UV_READABLE : 0) |
		(what == CURL_POLL_OUT ? UV_WRITABLE : 0) |
		(what == CURL_POLL_INOUT ? UV_READABLE | UV_WRITABLE : 0);
	return w != NULL && uvx_poll_watch(&w->poll, events) == 0 ? 0 : -1;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct fetch *x = arg;
	int r = buffer_append(&x->body, slice_of(data, size * n));
	x->too_long |= r == -ENOBUFS;
	/* Another number ends it. */
	return r == 0 ? size * n : 0;
}

/* ---- One fetch ----------------------------------------------------------------------------- */

static bool set_up(struct fetch *x, const struct fetch_request *r)
{
	struct curl_blob ca = { .flags = CURL_BLOB_NOCOPY, .len = r->ca.n };
	memcpy(&ca.data, &r->ca.p, sizeof(ca.data));
	CURL *e = x->easy;
	bool set = curl_easy_setopt(e, CURLOPT_URL, r->url) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) ==
			CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_USERAGENT, "mozaiks/" MOZAIKS_VERSION) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		/* A name that is still looked up when the time is over is not waited for. */
		curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
		/* Minutes lie between two: no connection stays. */
		curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->error) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_WRITEDATA, x) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_PRIVATE, x) == CURLE_OK;
	return set && (r->ca.n == 0 || curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &ca) == CURLE_OK);
}

int fetch_start(
	struct fetcher *f, const struct fetch_request *request, fetch_done_fn done, void *arg)
{
	invariant(!f->closed);
	struct fetch *x = calloc(1, sizeof(*x));
	if (x == NULL) {
		return -ENOMEM;
	}
	x->fetcher = f;
	x->done = done;
	x->arg = arg;
	x->bytes_setting = request->bytes_setting;
	buffer_init(&x->body, request->bytes_max);
	DL_APPEND(f->running, x);
	x->easy = curl_easy_init();
	if (x->easy == NULL || !set_up(x, request) ||
		curl_multi_add_handle(f->multi, x->easy) != CURLM_OK) {
		fetch_free(x);
		return -ENOMEM;
	}
	return 0;
}

/* ---- Life ---------------------------------------------------------------------------------- */

int fetcher_new(struct fetcher **ret, uv_loop_t *loop)
{
	struct fetcher *f = calloc(1, sizeof(*f));
	if (f == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(f);
		return -ENOMEM;
	}
	f->loop = loop;
	f->multi = curl_multi_init();
	if (f->multi == NULL) {
		free(f);
		return -ENOMEM;
	}
	(void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, set_watch);
	(void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	(void)curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	(void)curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	uvx_timer_init(&f->timer, loop, on_timer, f);
	*ret = f;
	return 0;
}

void fetcher_close(struct fetcher *f, uvx_closed_fn closed, void *arg)
{
	invariant(!f->closed);
	f->closed = true;
	uvx_closing_begin(&f->closing, closed, arg);
	for (unsigned i = 0; i < f->ending; i++) {
		(void)uvx_closing_add(&f->closing);
	}
	while (f->running != NULL) {
		fetch_free(f->running);
	}
	(void)curl_multi_cleanup(f->multi);
	f->multi = NULL;
	while (f->watches != NULL) {
		end_watch(f->watches);
	}
	uvx_timer_close(&f->timer, uvx_closing_one, uvx_closing_add(&f->closing));
	uvx_closing_one(&f->closing);
}

struct fetcher *fetcher_free(struct fetcher *f)
{
	free(f);
	return NULL;
}
