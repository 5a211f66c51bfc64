/*
 * The server with nothing behind it: what the HTTP layer alone costs, beside nginx `return 200`.
 *	http-floor [PORT]
 * GET /livez answers "ok"; POST /echo answers its body. Ctrl-C or SIGTERM drains and ends it.
 */
#include "common/uvx/signal.h"
#include "director/http/http.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct program {
	uv_loop_t loop;
	struct http_server *server;
	struct uvx_signals signals;
};

static void livez(void *owner, struct http_request *r, struct slice body)
{
	struct http_response response = {
		.status = 200,
		.content_type = SLICE("text/plain"),
		.body = { SLICE("ok") },
	};
	http_respond(r, &response);
}

static void echo(void *owner, struct http_request *r, struct slice body)
{
	struct http_response response = { .status = 200, .body = { body } };
	http_respond(r, &response);
}

static void on_closed(void *arg)
{
	struct program *p = arg;
	uvx_signals_close(&p->signals, NULL, NULL);
}

static void on_drained(void *arg)
{
	struct program *p = arg;
	http_server_close(p->server, on_closed, p);
}

static void on_signal(void *arg, int signum)
{
	struct program *p = arg;
	http_server_drain(p->server, on_drained, p);
}

int main(int argc, char **argv)
{
	static const struct http_handler livez_handler = { .on_body = livez };
	static const struct http_handler echo_handler = { .on_body = echo };
	static const struct http_route routes[] = {
		{ HTTP_M_GET, "/livez", &livez_handler, NULL },
		{ HTTP_M_POST, "/echo", &echo_handler, NULL },
	};
	static const int stops[] = { SIGINT, SIGTERM };
	static struct program p;
	int port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
	if (uv_loop_init(&p.loop) < 0) {
		return 1;
	}
	struct http_config config = { .loop = &p.loop, .routes = routes, .n_routes = 2 };
	int r = http_server_new(&p.server, &config);
	r = r < 0 ? r : http_server_listen_tcp(p.server, "127.0.0.1", port, &port);
	r = r < 0 ? r : uvx_signals_init(&p.signals, &p.loop, stops, 2, on_signal, &p);
	if (r < 0) {
		(void)fprintf(stderr, "http-floor: %s\n", uv_strerror(r));
		return 1;
	}
	(void)printf("http://127.0.0.1:%d/livez\n", port);
	(void)fflush(stdout);
	(void)uv_run(&p.loop, UV_RUN_DEFAULT);
	http_server_free(p.server);
	return uv_loop_close(&p.loop) == 0 ? 0 : 1;
}
