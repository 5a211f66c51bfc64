#include "director/http/server.h"

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/map.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* After a connection could not be taken for want of memory or descriptors. */
enum { RETRY_MS = 100, COMPLAIN_MS = 10000 };

/* Of MOZAIKS_RATE_PER_ADDRESS, and how many addresses are remembered: 512 KiB. */
/* Addresses that are remembered: one that is pushed out is forgiven, none is refused for it. */
enum { RATE_WINDOW_MS = 60000, HTTP_ADDRESSES = 32768 };

static const struct http_limits default_limits = {
	.head_bytes = 16 * 1024,
	.body_bytes = 1000000,
	.connections = 10000,
	.handshake_ms = 10000,
	.header_ms = 10000,
	.body_ms = 20000,
	.body_rate = 500,
	.keepalive_ms = 75000,
	.send_ms = 20000,
	.linger_ms = 5000,
};

/* Memory */

struct block *server_take_block(struct http_server *s)
{
	struct block *b = s->free_blocks;
	if (b == NULL) {
		return malloc(sizeof(*b) + s->block_size);
	}
	s->free_blocks = b->next;
	s->n_free_blocks--;
	return b;
}

void server_give_block(struct http_server *s, struct block *b)
{
	if (s->n_free_blocks == HTTP_FREE_BLOCKS_MAX) {
		free(b);
		return;
	}
	b->next = s->free_blocks;
	s->free_blocks = b;
	s->n_free_blocks++;
}

/* Accepting */

/* At most once in a while: clients can bring it about as often as they like. */
static void complain(struct http_server *s, int error)
{
	uint64_t now = uv_now(s->config.loop);
	if (now >= s->silent_until) {
		s->silent_until = now + COMPLAIN_MS;
		log_event(LOG_WARNING, "http.accept_failed", "a client has to wait: %s",
			strerrordesc_np(-error));
	}
}

static void accept_waiting(struct http_listener *l)
{
	struct http_server *s = l->server;
	l->full = true;
	if (s->n_connections >= s->config.limits.connections) {
		return;
	}
	int r = connection_accept(s, &l->listener);
	l->full = r < 0 && r != -EAGAIN;
	if (l->full) {
		complain(s, r);
		uvx_timer_once(&s->retry, RETRY_MS);
	}
}

static void on_waiting(struct uvx_listener *listener)
{
	accept_waiting(listener->owner);
}

static void accept_more(void *arg)
{
	struct http_server *s = arg;
	struct http_listener *l;
	DL_FOREACH (s->listeners, l) {
		if (l->full) {
			accept_waiting(l);
		}
	}
}

static void complain_of_crowd(struct http_server *s, const struct address *a)
{
	uint64_t now = uv_now(s->config.loop);
	if (now >= s->crowd_silent_until) {
		char text[ADDRESS_TEXT_SIZE];
		size_t n = address_format(a, text);
		const struct log_field fields[] = { { "client", slice_of(text, n) } };
		s->crowd_silent_until = now + COMPLAIN_MS;
		log_fields(LOG_WARNING, "http.address_full", fields, 1,
			"a connection was refused: its address has %u already "
			"(MOZAIKS_MAX_CONNECTIONS_PER_ADDRESS)",
			s->config.limits.per_address);
	}
}

bool server_admits(struct http_server *s, struct connection *c)
{
	const struct http_limits *l = &s->config.limits;
	if (!c->has_peer || c->trusted || l->per_address == 0 ||
		(l->spare_loopback && address_is_loopback(&c->peer))) {
		return true;
	}
	int r = crowd_enter(&s->crowd, &c->peer, l->per_address);
	c->counted = r == 0;
	if (r == CROWD_FULL) {
		complain_of_crowd(s, &c->peer);
	}
	return c->counted;
}

/* The end */

static void on_handles_closed(void *arg)
{
	struct http_server *s = arg;
	s->closed = true;
	if (s->close_done != NULL) {
		s->close_done(s->close_arg);
	}
}

/* Nothing is left of what was to be waited for? The server may be gone afterwards. */
static void check_end(struct http_server *s)
{
	if (s->n_connections > 0 || s->listeners != NULL) {
		return;
	}
	if (s->draining && !s->drained) {
		s->drained = true;
		if (s->drain_done != NULL) {
			s->drain_done(s->drain_arg);
		}
	}
	if (s->closing && !s->handles_closed) {
		s->handles_closed = true;
		uvx_closing_begin(&s->closes, on_handles_closed, s);
		deadlines_close(&s->deadlines, uvx_closing_one, uvx_closing_add(&s->closes));
		uvx_timer_close(&s->retry, uvx_closing_one, uvx_closing_add(&s->closes));
		uvx_later_close(&s->later, uvx_closing_one, uvx_closing_add(&s->closes));
		if (s->secure != NULL) {
			secure_hub_close(s->secure, uvx_closing_one, uvx_closing_add(&s->closes));
		}
		uvx_closing_one(&s->closes);
	}
}

static void on_listener_closed(void *arg)
{
	struct http_listener *l = arg;
	struct http_server *s = l->server;
	DL_DELETE(s->listeners, l);
	free(l);
	check_end(s);
}

void server_connection_closed(struct http_server *s, struct connection *c)
{
	DL_DELETE(s->connections, c);
	s->n_connections--;
	free(c);
	if (!s->draining && !s->closing) {
		accept_more(s);
	}
	check_end(s);
}

static void close_listeners(struct http_server *s)
{
	struct http_listener *l;
	DL_FOREACH (s->listeners, l) {
		l->full = false;
		uvx_listener_close(&l->listener, on_listener_closed, l);
	}
}

static void close_connections(struct http_server *s, bool idle_only)
{
	struct connection *c;
	struct connection *next;
	/* Closing only asks: the list changes in the callbacks. */
	DL_FOREACH_SAFE (s->connections, c, next) {
		if (!idle_only || connection_is_idle(c)) {
			connection_close(c);
		}
	}
}

/* The next turn */

void server_add_ready(struct http_server *s, struct connection *c)
{
	if (!c->ready) {
		c->ready = true;
		s->n_ready++;
		DL_APPEND2(s->ready, c, ready_prev, ready_next);
		uvx_later_ask(&s->later);
	}
}

void server_remove_ready(struct http_server *s, struct connection *c)
{
	if (c->ready) {
		c->ready = false;
		s->n_ready--;
		DL_DELETE2(s->ready, c, ready_prev, ready_next);
	}
}

static void on_later(void *arg)
{
	struct http_server *s = arg;
	/* Who is added meanwhile has its turn in the next one. */
	for (unsigned n = s->n_ready; n > 0 && s->ready != NULL; n--) {
		struct connection *c = s->ready;
		server_remove_ready(s, c);
		connection_tick(c, HTTP_PIPELINE_MAX);
	}
	if (s->draining || s->closing) {
		close_listeners(s);
		close_connections(s, !s->closing);
		check_end(s);
	}
}

static void on_expired(void *arg, struct deadline *d, enum deadline_kind kind)
{
	connection_expired(d->owner, kind);
}

/* The interface */

static void set_default(unsigned *value, unsigned standard)
{
	*value = *value == 0 ? standard : *value;
}

static int set_limits(struct http_limits *l)
{
	l->head_bytes = l->head_bytes == 0 ? default_limits.head_bytes : l->head_bytes;
	l->body_bytes = l->body_bytes == 0 ? default_limits.body_bytes : l->body_bytes;
	set_default(&l->connections, default_limits.connections);
	set_default(&l->handshake_ms, default_limits.handshake_ms);
	set_default(&l->header_ms, default_limits.header_ms);
	set_default(&l->body_ms, default_limits.body_ms);
	set_default(&l->body_rate, default_limits.body_rate);
	set_default(&l->keepalive_ms, default_limits.keepalive_ms);
	set_default(&l->send_ms, default_limits.send_ms);
	set_default(&l->linger_ms, default_limits.linger_ms);
	return l->head_bytes < HTTP_HEAD_MIN || l->head_bytes > HTTP_HEAD_MAX ||
			l->body_bytes > INT32_MAX
		? -EINVAL
		: 0;
}

int http_server_new(struct http_server **ret, const struct http_config *config)
{
	struct http_server *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		return -ENOMEM;
	}
	s->config = *config;
	int r = set_limits(&s->config.limits);
	r = r < 0 ? r : router_new(&s->router, config->routes, config->n_routes);
	if (r == 0 && s->config.limits.address_rate > 0) {
		r = limiter_new(&s->addresses,
			(struct limit){ s->config.limits.address_rate, RATE_WINDOW_MS },
			HTTP_ADDRESSES);
	}
	if (r == 0 && config->tls != NULL) {
		s->secure = secure_hub_new(config->loop, config->tls);
		r = s->secure == NULL ? -ENOMEM : 0;
	}
	if (r < 0) {
		(void)limiter_free(s->addresses);
		(void)router_free(s->router);
		free(s);
		return r;
	}
	const struct http_limits *l = &s->config.limits;
	const uint64_t ms[DEADLINE_KINDS] = {
		[DEADLINE_HANDSHAKE] = l->handshake_ms,
		[DEADLINE_HEADER] = l->header_ms,
		[DEADLINE_BODY] = l->body_ms,
		[DEADLINE_KEEPALIVE] = l->keepalive_ms,
		[DEADLINE_SEND] = l->send_ms,
		[DEADLINE_LINGER] = l->linger_ms,
	};
	s->block_size = l->head_bytes + HTTP_BLOCK_EXTRA;
	buffer_init(&s->out, INT32_MAX);
	buffer_init(&s->words, INT32_MAX);
	deadlines_init(&s->deadlines, config->loop, ms, on_expired, s);
	uvx_timer_init(&s->retry, config->loop, accept_more, s);
	uvx_later_init(&s->later, config->loop, on_later, s);
	/* A client that goes away while we write must not end the program. */
	(void)signal(SIGPIPE, SIG_IGN);
	*ret = s;
	return 0;
}

void http_server_set_tls(struct http_server *s, struct tls_context *tls)
{
	invariant(s->secure != NULL);
	s->secure->context = tls;
}

/* Takes the descriptor over, also when it fails. */
static int listen_on(struct http_server *s, int fd, const char *path)
{
	if (fd < 0) {
		return fd;
	}
	struct http_listener *l = calloc(1, sizeof(*l));
	int r = l == NULL
		? -ENOMEM
		: uvx_listener_init(&l->listener, s->config.loop, fd, path, on_waiting, l);
	if (r < 0) {
		free(l);
		(void)close(fd);
		return r;
	}
	l->server = s;
	DL_APPEND(s->listeners, l);
	return 0;
}

int http_server_listen_tcp(struct http_server *s, const char *host, int port, int *ret_port)
{
	int fd = uvx_listen_tcp(host, port);
	int bound = fd < 0 ? fd : uvx_listen_port(fd);
	int r = listen_on(s, fd, NULL);
	if (r == 0 && ret_port != NULL) {
		*ret_port = bound;
	}
	return r;
}

int http_server_listen_unix(struct http_server *s, const char *path, int mode)
{
	return listen_on(s, uvx_listen_unix(path, mode), path);
}

int http_server_listen_fd(struct http_server *s, int fd)
{
	return listen_on(s, fd, NULL);
}

void http_server_drain(struct http_server *s, void (*done)(void *arg), void *arg)
{
	if (s->draining || s->closing) {
		return;
	}
	s->draining = true;
	s->drain_done = done;
	s->drain_arg = arg;
	/* Not here: the caller may be a handler, in the middle of a connection's tick. */
	uvx_later_ask(&s->later);
}

void http_server_close(struct http_server *s, void (*done)(void *arg), void *arg)
{
	if (s->closing) {
		return;
	}
	s->closing = true;
	s->close_done = done;
	s->close_arg = arg;
	uvx_later_ask(&s->later);
}

void http_server_free(struct http_server *s)
{
	if (s == NULL) {
		return;
	}
	invariant(s->closed);
	while (s->free_blocks != NULL) {
		struct block *b = s->free_blocks;
		s->free_blocks = b->next;
		free(b);
	}
	buffer_deinit(&s->out);
	buffer_deinit(&s->words);
	secure_hub_free(s->secure);
	(void)limiter_free(s->addresses);
	(void)router_free(s->router);
	free(s);
}
