/* What listens: HTTP with its certificates and WebSockets, the operator's socket. */
#include "common/base/log.h"
#include "common/service/sockets.h"
#include "common/uvx/listener.h"
#include "director/api/api.h"
#include "director/auth/auth.h"
#include "director/config/descriptors.h"
#include "director/config/state_dir.h"
#include "director/director.h"
#include "director/start/start.h"
#include "director/tls/certificates.h"
#include "director/websocket/websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { MESSAGE_MAX_BYTES = 4096, PATH_BYTES = 4096, ADMIN_MODE = 0600 };

/* MOZAIKS_ACCESS_LOG=1: a record for each request. */
static void on_request_end(void *owner, const struct http_outcome *o)
{
	char status[16];
	char us[24];
	char client[ADDRESS_TEXT_SIZE] = "";
	if (o->client != NULL) {
		(void)address_format(o->client, client);
	}
	(void)snprintf(status, sizeof(status), "%d", o->status);
	(void)snprintf(us, sizeof(us), "%llu", (unsigned long long)o->microseconds);
	struct log_field fields[] = {
		{ "path", o->path },
		{ "status", slice_str(status) },
		{ "duration_us", slice_str(us) },
		{ "request_id", o->request_id },
		{ "trace_id", o->trace_id },
		{ "client", slice_str(client) },
	};
	log_fields(LOG_INFO, "http.access", fields, o->client == NULL ? 5 : 6, "request");
}

static struct http_config http_config(const struct director *d,
	const struct http_route *routes,
	size_t n,
	const struct http_site *site)
{
	const struct settings *s = d->settings;
	return (struct http_config){
		.loop = d->loop,
		.site = site,
		.routes = routes,
		.n_routes = n,
		.limits = {
			.head_bytes = s->head_bytes,
			.body_bytes = s->body_bytes,
			.connections = (unsigned)s->connections,
			.handshake_ms = (unsigned)s->tls_handshake_ms,
			.header_ms = (unsigned)s->header_ms,
			.body_ms = (unsigned)s->body_ms,
			.body_rate = (unsigned)s->body_rate,
			.keepalive_ms = (unsigned)s->keepalive_ms,
			.send_ms = (unsigned)s->send_ms,
			.linger_ms = (unsigned)s->linger_ms,
		},
		.timing = s->server_timing,
		.hsts_s = (unsigned)s->hsts_s,
		.development = s->environment == ENV_DEVELOPMENT,
		.observe = s->access_log ? on_request_end : NULL,
	};
}

static int listen_on_port(struct director *d)
{
	const struct settings *s = d->settings;
	char text[MESSAGE_MAX_BYTES];
	int r = http_server_listen_tcp(d->http, s->host, (int)s->port, &d->port);
	if (r < 0) {
		(void)snprintf(text, sizeof(text),
			"cannot listen on %s port %d (MOZAIKS_HOST, PORT): %s", s->host,
			(int)s->port, strerror(-r));
		return start_refuse("http.listen_failed", text);
	}
	return 0;
}

/* Socket activation: all that systemd has opened is HTTP; MOZAIKS_HOST and PORT say nothing then. */
static int listen_on_sockets(struct director *d, int first, int n)
{
	char text[MESSAGE_MAX_BYTES];
	for (int fd = first; fd < first + n; fd++) {
		int port = uvx_listen_port(fd);
		int r = http_server_listen_fd(d->http, fd);
		if (r < 0) {
			(void)snprintf(text, sizeof(text),
				"descriptor %d from systemd is no listening stream socket: %s", fd,
				strerror(-r));
			return start_refuse("http.listen_failed", text);
		}
		/* A unix socket has none. */
		d->port = d->port == 0 && port > 0 ? port : d->port;
	}
	log_event(LOG_INFO, "http.sockets", "systemd has opened %d sockets", n);
	return 0;
}

static int ask_again(void *arg, const struct user_context *user)
{
	const struct director *d = arg;
	return auth_ask_again(d->auth, user);
}

/* Some connections are left for those that are not WebSockets. */
static int open_websockets(struct director *d, unsigned connections)
{
	const struct settings *s = d->settings;
	uint64_t most = (uint64_t)connections * 9 / 10;
	struct websockets_config config = {
		.loop = d->loop,
		.total = (unsigned)(s->websockets < most ? s->websockets : most),
		.per_user = (unsigned)s->websockets_per_user,
		.limits = { s->websocket_frame_bytes, s->websocket_message_bytes },
		.send_bytes = s->websocket_send_bytes,
		.answer_bytes = s->websocket_answer_bytes,
		.buffer_bytes = s->websocket_buffer_bytes,
		.judge = ask_again,
		.judge_arg = d,
		.message_rate = (unsigned)s->websocket_message_rate,
		.ping_rate = (unsigned)s->websocket_ping_rate,
		.ping_ms = (unsigned)s->websocket_ping_ms,
		.pong_ms = (unsigned)s->websocket_pong_ms,
		.close_ms = (unsigned)s->websocket_close_ms,
		.drain_rate = (unsigned)s->websocket_drain_rate,
	};
	return websockets_new(&d->websockets, &config);
}

static void on_certificate(void *owner, struct tls_context *context)
{
	struct director *d = owner;
	http_server_set_tls(d->http, context);
}

int start_certificates(struct director *d)
{
	const struct settings *s = d->settings;
	char why[TLS_WHY_SIZE];
	const struct certificates_config config = {
		.loop = d->loop,
		.certificate_path = s->tls_certificate,
		.key_path = s->tls_key,
		.check_ms = s->tls_check_ms,
		.changed = on_certificate,
		.owner = d,
	};
	if (s->tls_certificate == NULL) {
		return 0;
	}
	return certificates_new(&d->certificates, &config, why) == 0
		? 0
		: start_refuse("tls.unusable", why);
}

/* Before root is given up: the port may be a privileged one. Nothing is read from it yet. */
int start_http(struct director *d)
{
	const struct settings *s = d->settings;
	size_t n;
	int first;
	if (routes_public(d, &d->http_routes, &n) < 0) {
		return start_refuse("director.no_memory", "no memory");
	}
	struct http_config config = http_config(d, d->http_routes, n, &s->site);
	if (d->certificates != NULL) {
		config.tls = certificates_context(d->certificates);
	}
	uint64_t connections = descriptors_for_connections(s->connections);
	config.limits.connections = (unsigned)connections;
	config.limits.spare_loopback = s->connections_per_address == 0;
	config.limits.per_address =
		(unsigned)(s->connections_per_address == 0 ? (connections + 3) / 4
							   : s->connections_per_address);
	config.limits.address_rate = s->address_rate;
	config.proxies = s->proxies.n > 0 ? &s->proxies : NULL;
	if (connections < s->connections) {
		enum log_level level =
			setting_is_set("MOZAIKS_MAX_CONNECTIONS") ? LOG_WARNING : LOG_INFO;
		log_event(level, "http.few_descriptors",
			"%llu connections at a time instead of %llu (MOZAIKS_MAX_CONNECTIONS): the limit "
			"of open files is too low (LimitNOFILE=, ulimit -n)",
			(unsigned long long)connections, (unsigned long long)s->connections);
	}
	int r = open_websockets(d, config.limits.connections);
	r = r < 0 ? r : http_server_new(&d->http, &config);
	if (r < 0) {
		return start_refuse("http.failed", strerror(-r));
	}
	int sockets = service_sockets(&first);
	if (sockets < 0) {
		return start_refuse("http.listen_failed", "LISTEN_FDS or LISTEN_PID is no number");
	}
	return sockets > 0 ? listen_on_sockets(d, first, sockets) : listen_on_port(d);
}

int start_admin(struct director *d)
{
	size_t n;
	char path[PATH_BYTES];
	if (routes_admin(d, &d->admin_routes, &n) < 0) {
		return start_refuse("director.no_memory", "no memory");
	}
	(void)snprintf(path, sizeof(path), "%s/admin.sock", d->state->path);
	/* Left by a director that was killed; the lock says that none runs. */
	(void)unlink(path);
	struct http_config config = http_config(d, d->admin_routes, n, NULL);
	int r = http_server_new(&d->admin, &config);
	r = r < 0 ? r : http_server_listen_unix(d->admin, path, ADMIN_MODE);
	return r < 0 ? start_refuse("admin.listen_failed", strerror(-r)) : 0;
}

/* Where tools find the port when it was any: <run>/http_port. */
int start_port_file(struct director *d)
{
	char path[PATH_BYTES];
	char port[16];
	(void)snprintf(path, sizeof(path), "%s/http_port", d->state->run_path);
	(void)snprintf(port, sizeof(port), "%d\n", d->port);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	ssize_t n = fd < 0 ? -1 : write(fd, port, slice_str(port).n);
	if (fd >= 0) {
		(void)close(fd);
	}
	return n < 0 ? start_refuse("http.port_file", strerror(errno)) : 0;
}
