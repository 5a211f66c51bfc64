/*
 * Bodies and answers in pieces. Server and client share one thread: the client's socket does not block,
 * and the loop turns in between. The handler sends back what it gets, as it gets it.
 */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/buffer.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "director/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LIMIT = 16 * 1024 * 1024, BIG = 8 * 1024 * 1024, TURNS = 200000 };

struct mirror {
	uv_loop_t loop;
	struct http_server *server;
	int port;
	uint64_t limit;
	size_t got; /* bytes of bodies */
	unsigned pauses, aborts, ends;
	bool break_off; /* at the end, instead of ending */
	bool begun;
	bool closed;
};

static struct mirror m;

static bool on_head(void *owner, struct http_request *r)
{
	m.begun = false;
	http_request_want_pieces(r, m.limit, "bytes (THE_SETTING)");
	return true;
}

static void on_body(void *owner, struct http_request *r, struct slice body)
{
	fail();
}

static void on_piece(void *owner, struct http_request *r, struct slice piece, bool last)
{
	if (!m.begun) {
		struct http_response response = { .status = 200, .content_type = SLICE("a/b") };
		m.begun = true;
		http_stream_begin(r, &response);
	}
	m.got += piece.n;
	bool all = http_stream_piece(r, piece);
	if (last) {
		m.ends++;
		if (m.break_off) {
			http_stream_abort(r);
		} else {
			http_stream_end(r);
		}
	} else if (!all) {
		m.pauses++;
		http_request_pause(r, true);
	}
}

static void on_sent(void *owner, struct http_request *r)
{
	http_request_pause(r, false);
}

static void on_abort(void *owner, struct http_request *r)
{
	m.aborts++;
}

static const struct http_handler handler = {
	.on_head = on_head,
	.on_body = on_body,
	.on_abort = on_abort,
	.on_piece = on_piece,
	.on_sent = on_sent,
};

static const struct http_route routes[] = { { HTTP_M_POST, "/mirror", &handler, NULL } };

static void on_closed(void *arg)
{
	m.closed = true;
}

static int setup(void **state)
{
	m = (struct mirror){ .limit = LIMIT };
	assert_int_equal(uv_loop_init(&m.loop), 0);
	const struct http_config config = {
		.loop = &m.loop, .routes = routes, .n_routes = 1, .limits = { .body_bytes = 1000 }
	};
	assert_int_equal(http_server_new(&m.server, &config), 0);
	assert_int_equal(http_server_listen_tcp(m.server, "127.0.0.1", 0, &m.port), 0);
	return 0;
}

static int teardown(void **state)
{
	http_server_close(m.server, on_closed, NULL);
	while (!m.closed) {
		(void)uv_run(&m.loop, UV_RUN_ONCE);
	}
	http_server_free(m.server);
	(void)uv_run(&m.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&m.loop);
}

static void turn(void)
{
	(void)uv_run(&m.loop, UV_RUN_NOWAIT);
}

/* The client */

struct client {
	int fd;
	struct buffer in;
	bool ended;
};

static void client_open(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)m.port) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*c = (struct client){ .fd = socket(AF_INET, SOCK_STREAM, 0) };
	buffer_init(&c->in, 4 * (size_t)LIMIT);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
}

static void client_close(struct client *c)
{
	if (c->fd >= 0) {
		(void)close(c->fd);
	}
	buffer_deinit(&c->in);
}

static void client_read(struct client *c)
{
	assert_int_equal(buffer_reserve(&c->in, 65536), 0);
	ssize_t n = recv(c->fd, c->in.p + c->in.n, 65536, 0);
	if (n > 0) {
		c->in.n += (size_t)n;
	}
	c->ended = c->ended || n == 0 || (n < 0 && errno != EAGAIN);
}

/* Sends, reading meanwhile only if `reading`. @return bytes that the server's side took. */
static size_t client_send(struct client *c, struct slice out, bool reading)
{
	size_t sent = 0;
	unsigned idle = 0;
	while (sent < out.n && idle < 200 && !c->ended) {
		size_t step = out.n - sent < 50000 ? out.n - sent : 50000;
		ssize_t n = send(c->fd, out.p + sent, step, MSG_NOSIGNAL);
		idle = n > 0 ? 0 : idle + 1;
		sent += n > 0 ? (size_t)n : 0;
		turn();
		if (reading) {
			client_read(c);
			idle = 0;
		}
	}
	return sent;
}

static bool contains(const struct client *c, const char *text)
{
	return c->in.n > 0 && memmem(c->in.p, c->in.n, text, strlen(text)) != NULL;
}

static void read_until(struct client *c, const char *text)
{
	for (int i = 0; i < TURNS && !contains(c, text) && !c->ended; i++) {
		turn();
		client_read(c);
	}
	assert_true(contains(c, text));
}

static void read_to_end(struct client *c)
{
	for (int i = 0; i < TURNS && !c->ended; i++) {
		turn();
		client_read(c);
	}
	assert_true(c->ended);
}

/* Takes the head off, and decodes the chunked body behind it. @return false: it does not end. */
static bool decode(struct client *c, struct buffer *body)
{
	const uint8_t *end = memmem(c->in.p, c->in.n, "\r\n\r\n", 4);
	assert_non_null(end);
	struct slice in = slice_skip(buffer_slice(&c->in), (size_t)(end - c->in.p) + 4);
	for (;;) {
		size_t size = 0;
		size_t at = 0;
		while (at < in.n && in.p[at] != '\r') {
			const char *digits = "0123456789abcdef";
			const char *digit = memchr(digits, in.p[at], 16);
			assert_non_null(digit);
			size = size * 16 + (size_t)(digit - digits);
			at++;
		}
		if (in.n < at + 4 + size) {
			return false;
		}
		assert_int_equal(buffer_append(body, slice_of(in.p + at + 2, size)), 0);
		assert_memory_equal(in.p + at + 2 + size, "\r\n", 2);
		in = slice_skip(in, at + 4 + size);
		if (size == 0) {
			assert_int_equal(in.n, 0);
			return true;
		}
	}
}

static struct buffer pattern(size_t n)
{
	struct buffer b;
	buffer_init(&b, n);
	assert_int_equal(buffer_reserve(&b, n), 0);
	for (size_t i = 0; i < n; i++) {
		b.p[i] = (uint8_t)(i * 2654435761U >> 13);
	}
	b.n = n;
	return b;
}

static void send_head(struct client *c, const char *version, const char *framing)
{
	char head[256];
	int n = snprintf(head, sizeof(head), "POST /mirror HTTP/%s\r\nHost: a\r\n%s\r\n\r\n",
		version, framing);
	assert_int_equal(client_send(c, slice_of(head, (size_t)n), false), n);
}

static void send_sized(struct client *c, struct slice body, bool reading)
{
	char framing[64];
	(void)snprintf(framing, sizeof(framing), "Content-Length: %zu", body.n);
	send_head(c, "1.1", framing);
	assert_int_equal(client_send(c, body, reading), body.n);
}

static void send_chunked(struct client *c, struct slice body, size_t step)
{
	send_head(c, "1.1", "Transfer-Encoding: chunked");
	while (body.n > 0) {
		char size[32];
		size_t n = body.n < step ? body.n : step;
		int length = snprintf(size, sizeof(size), "%zx\r\n", n);
		assert_int_equal(
			client_send(c, slice_of(size, (size_t)length), true), (size_t)length);
		assert_int_equal(client_send(c, slice_of(body.p, n), true), n);
		assert_int_equal(client_send(c, SLICE("\r\n"), true), 2);
		body = slice_skip(body, n);
	}
	assert_int_equal(client_send(c, SLICE("0\r\n\r\n"), true), 5);
}

static void expect_mirrored(struct client *c, struct slice body)
{
	struct buffer got;
	buffer_init(&got, 2 * (size_t)LIMIT);
	read_until(c, "\r\n0\r\n\r\n");
	assert_true(contains(c, "\r\nTransfer-Encoding: chunked\r\n"));
	assert_false(contains(c, "Content-Length"));
	assert_true(decode(c, &got));
	assert_int_equal(got.n, body.n);
	assert_memory_equal(got.p, body.p, body.n);
	buffer_deinit(&got);
	buffer_clear(&c->in);
}

/* Tests */

static void bodies_come_and_go_in_pieces(void **state)
{
	static const size_t sizes[] = { 1, 2000, 30000, 70001, 300000 };
	struct client c;
	client_open(&c);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buffer body = pattern(sizes[i]);
		/* All on one connection: what follows a body is the next request. */
		send_sized(&c, buffer_slice(&body), true);
		expect_mirrored(&c, buffer_slice(&body));
		send_chunked(&c, buffer_slice(&body), 7 + sizes[i] / 13);
		expect_mirrored(&c, buffer_slice(&body));
		buffer_deinit(&body);
	}
	assert_int_equal(m.ends, 10);
	assert_int_equal(m.aborts, 0);
	client_close(&c);
}

static void an_empty_body_is_one_piece(void **state)
{
	struct client c;
	client_open(&c);
	send_sized(&c, SLICE(""), false);
	expect_mirrored(&c, SLICE(""));
	assert_int_equal(m.ends, 1);
	client_close(&c);
}

/* A client that does not read what it gets is not read from: both wait, nobody holds the bytes. */
static void a_slow_client_is_waited_for(void **state)
{
	struct client c;
	struct buffer body = pattern(BIG);
	char framing[64];
	client_open(&c);
	(void)snprintf(framing, sizeof(framing), "Content-Length: %d", BIG);
	int small = 32 * 1024;
	assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	send_head(&c, "1.1", framing);
	size_t sent = client_send(&c, buffer_slice(&body), false);
	size_t got = m.got;
	assert_true(sent < BIG);
	assert_true(m.pauses > 0);
	for (int i = 0; i < 1000; i++) {
		turn();
	}
	/* Nothing moves. */
	assert_int_equal(m.got, got);
	struct slice rest = slice_skip(buffer_slice(&body), sent);
	assert_int_equal(client_send(&c, rest, true), rest.n);
	expect_mirrored(&c, buffer_slice(&body));
	buffer_deinit(&body);
	client_close(&c);
}

static void a_body_over_the_limit_is_refused(void **state)
{
	struct client c;
	struct buffer body = pattern(3000);
	m.limit = 2000;
	client_open(&c);
	send_head(&c, "1.1", "Content-Length: 3000");
	read_until(&c, "}");
	assert_true(contains(&c, "HTTP/1.1 413 "));
	assert_true(contains(&c, "the body has more than 2000 bytes (THE_SETTING)"));
	client_close(&c);
	/* After the answer has begun the connection ends in its middle. */
	client_open(&c);
	send_head(&c, "1.1", "Transfer-Encoding: chunked");
	(void)client_send(&c, SLICE("5\r\nhello\r\n"), true);
	read_until(&c, "hello");
	(void)client_send(&c, SLICE("bb8\r\n"), true);
	(void)client_send(&c, buffer_slice(&body), true);
	read_to_end(&c);
	assert_false(contains(&c, "\r\n0\r\n\r\n"));
	assert_int_equal(m.aborts, 2);
	buffer_deinit(&body);
	client_close(&c);
}

static void what_cannot_be_completed_does_not_end(void **state)
{
	struct client c;
	struct buffer got;
	buffer_init(&got, LIMIT);
	m.break_off = true;
	client_open(&c);
	send_sized(&c, SLICE("half"), false);
	read_to_end(&c);
	assert_true(contains(&c, "half"));
	assert_false(decode(&c, &got));
	assert_int_equal(m.aborts, 0);
	buffer_deinit(&got);
	client_close(&c);
}

static void http_10_ends_with_its_connection(void **state)
{
	struct client c;
	client_open(&c);
	send_head(&c, "1.0", "Content-Length: 5\r\nConnection: keep-alive");
	(void)client_send(&c, SLICE("hello"), false);
	read_to_end(&c);
	assert_false(contains(&c, "chunked"));
	assert_true(contains(&c, "\r\n\r\nhello"));
	assert_memory_equal(c.in.p + c.in.n - 5, "hello", 5);
	client_close(&c);
}

static void a_client_that_goes_is_reported(void **state)
{
	struct client c;
	client_open(&c);
	send_head(&c, "1.1", "Content-Length: 5");
	(void)client_send(&c, SLICE("hel"), true);
	read_until(&c, "hel");
	assert_int_equal(m.aborts, 0);
	(void)close(c.fd);
	c.fd = -1;
	for (int i = 0; i < TURNS && m.aborts == 0; i++) {
		turn();
	}
	assert_int_equal(m.aborts, 1);
	assert_int_equal(m.ends, 0);
	client_close(&c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bodies_come_and_go_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(an_empty_body_is_one_piece, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slow_client_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(a_body_over_the_limit_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_cannot_be_completed_does_not_end, setup, teardown),
		cmocka_unit_test_setup_teardown(http_10_ends_with_its_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(a_client_that_goes_is_reported, setup, teardown),
	};
	(void)signal(SIGPIPE, SIG_IGN);
	log_init("test-pieces", LOG_ERROR);
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
