/*
 * Without memory: on the way of a few requests each of our allocations fails once. Whatever fails,
 * the server stays up and clean: an answer is right, an error, or its connection ends. The linker
 * sends our calls here (--wrap); server and client share one thread, so that the count repeats.
 */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/log.h"
#include "common/base/map.h"
#include "director/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

enum { BIG = 3 * 1024 * 1024, PATIENCE = 20000 };

static long until_failure = -1; /* negative: none fails */
static bool failed;

static bool fails_now(void)
{
	bool now = until_failure == 0;
	until_failure -= until_failure >= 0 ? 1 : 0;
	failed = failed || now;
	return now;
}

void *__wrap_malloc(size_t n)
{
	return fails_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails_now() ? NULL : __real_realloc(p, n);
}

static uint8_t big[BIG];
static struct http_request *waiting;

static void echo(void *owner, struct http_request *r, struct slice body)
{
	struct http_response response = { .status = 200, .body = { body } };
	http_respond(r, &response);
}

static void answer_big(void *owner, struct http_request *r, struct slice body)
{
	echo(owner, r, slice_of(big, sizeof(big)));
}

static void wait_for_it(void *owner, struct http_request *r, struct slice body)
{
	waiting = r;
}

static void forget(void *owner, struct http_request *r)
{
	waiting = NULL;
}

static const struct http_handler echo_handler = { .on_body = echo };
static const struct http_handler big_handler = { .on_body = answer_big };
static const struct http_handler wait_handler = { NULL, wait_for_it, forget };
static const struct http_route routes[] = {
	{ HTTP_M_POST, "/echo", &echo_handler, NULL },
	{ HTTP_M_GET, "/big", &big_handler, NULL },
	{ HTTP_M_GET, "/wait", &wait_handler, NULL },
	{ HTTP_M_GET, "/it/{is}", &echo_handler, NULL },
};

static void on_done(void *arg)
{
	*(bool *)arg = true;
}

/* One turn of the loop, with a little patience for the kernel. */
static void turn(uv_loop_t *loop)
{
	(void)uv_run(loop, UV_RUN_NOWAIT);
	(void)poll(NULL, 0, 1);
	if (waiting != NULL) {
		struct http_request *r = waiting;
		waiting = NULL;
		echo(NULL, r, SLICE("late"));
	}
}

/* Sends a request and reads its answer. @return its status, 0 when the connection just ended. */
static int talk(uv_loop_t *loop, int port, struct slice request, size_t ret_n[static 1])
{
	static uint8_t in[BIG + 4096];
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	size_t n = 0;
	bool open = true;
	for (int i = 0; open && i < PATIENCE; i++) {
		ssize_t sent = request.n == 0
			? 0
			: send(fd, request.p, request.n, MSG_DONTWAIT | MSG_NOSIGNAL);
		request = slice_skip(request, sent > 0 ? (size_t)sent : 0);
		turn(loop);
		ssize_t r = 1;
		while (r > 0) {
			r = recv(fd, in + n, sizeof(in) - n, MSG_DONTWAIT);
			n += r > 0 ? (size_t)r : 0;
			open = r > 0 || (r < 0 && errno == EAGAIN);
		}
	}
	assert_false(open); /* every request says Connection: close */
	(void)close(fd);
	*ret_n = n;
	if (n == 0) {
		return 0;
	}
	assert_true(n > 13 && slice_starts(slice_of(in, n), SLICE("HTTP/1.1 ")));
	return (in[9] - '0') * 100 + (in[10] - '0') * 10 + in[11] - '0';
}

#define H11 " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"

/* @return the number of requests that were answered as they should be. */
static int talk_about_everything(uv_loop_t *loop, int port)
{
	static char large[64 * 1024];
	int n = snprintf(large, sizeof(large), "POST /echo" H11 "Content-Length: 50000\r\n\r\n");
	memset(large + n, 'x', 50000);
	const struct {
		struct slice request;
		int status;
	} cases[] = {
		{ SLICE("POST /echo" H11 "Content-Length: 2\r\n\r\nhi"), 200 },
		{ slice_of(large, (size_t)n + 50000), 200 },
		{ SLICE("POST /echo" H11 "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
			200 },
		{ SLICE("GET /it/%41" H11 "\r\n"), 200 },
		{ SLICE("GET /wait" H11 "\r\n"), 200 },
		{ SLICE("GET /big" H11 "\r\n"), 200 },
		{ SLICE("GET /nope" H11 "\r\n"), 404 },
		{ SLICE("GET /nope HTTP/1.1\r\n\r\n"), 400 },
	};
	int right = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t got;
		int status = talk(loop, port, cases[i].request, &got);
		if (status == cases[i].status) {
			right++;
		} else {
			assert_true(failed && (status == 0 || status == 503));
		}
	}
	return right;
}

/* @return true when all went as if memory had no end. */
static bool live_and_die(void)
{
	uv_loop_t loop;
	struct http_server *server = NULL;
	struct http_config config = {
		.loop = &loop, .routes = routes, .n_routes = sizeof(routes) / sizeof(routes[0])
	};
	int port = 0;
	int right = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	int r = http_server_new(&server, &config);
	if (r < 0) {
		assert_true(failed && r == -ENOMEM);
		assert_int_equal(uv_loop_close(&loop), 0);
		return false;
	}
	r = http_server_listen_tcp(server, "127.0.0.1", 0, &port);
	if (r < 0) {
		assert_true(failed && r == -ENOMEM);
	} else {
		right = talk_about_everything(&loop, port);
		/* One failure costs one request at most. */
		assert_true(right >= 7);
	}
	bool done = false;
	http_server_close(server, on_done, &done);
	for (int i = 0; !done && i < PATIENCE; i++) {
		turn(&loop);
	}
	assert_true(done);
	http_server_free(server);
	assert_int_equal(uv_loop_close(&loop), 0);
	return right == 8;
}

static void every_allocation_may_fail(void **state)
{
	long n = 0;
	do {
		failed = false;
		until_failure = n++;
		bool all = live_and_die();
		assert_true(all || failed);
		assert_true(n < 1000);
	} while (failed);
	/* Fewer would mean that the linker's option is gone. */
	assert_true(n > 12);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_may_fail),
	};
	log_init("test-server-memory", LOG_ERROR);
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
