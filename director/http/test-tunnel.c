/* A connection after 101, in one process: the loop turns until what is expected has arrived. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/buffer.h"
#include "common/base/map.h"
#include "common/uvx/listener.h"
#include "director/http/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS_MAX = 20000 };

static struct {
	uv_loop_t loop;
	struct http_server *server;
	struct http_tunnel *tunnel;
	struct http_request *kept;
	struct buffer got;
	unsigned closed, sent;
	bool echo;
	bool server_closed;
} t;

static void on_received(void *owner, uint8_t *bytes, size_t n)
{
	assert_ptr_equal(owner, &t);
	assert_int_equal(buffer_append(&t.got, slice_of(bytes, n)), 0);
	if (t.echo) {
		uv_buf_t bufs[2] = { uv_buf_init((char *)"<", 1), uv_buf_init((char *)bytes, n) };
		assert_int_equal(http_tunnel_send(t.tunnel, bufs, 2), 0);
	}
	if (bytes[n - 1] == '.') {
		http_tunnel_finish(t.tunnel);
	} else if (bytes[n - 1] == '!') {
		http_tunnel_close(t.tunnel);
	}
}

static void on_sent(void *owner)
{
	t.sent++;
}

static void on_closed(void *owner)
{
	t.closed++;
	t.tunnel = NULL;
}

static const struct http_tunnel_ops ops = { on_received, on_sent, on_closed };

static void upgrade(struct http_request *r)
{
	static const struct http_header headers[] = { { SLICE("Upgrade"), SLICE("echo") } };
	t.tunnel = http_upgrade(r, headers, 1, &ops, &t);
	uv_buf_t hello = uv_buf_init((char *)"hello", 5);
	assert_int_equal(http_tunnel_send(t.tunnel, &hello, 1), 0);
}

static void at_once(void *owner, struct http_request *r, struct slice body)
{
	upgrade(r);
}

static void later(void *owner, struct http_request *r, struct slice body)
{
	t.kept = r;
}

static const struct http_handler at_once_handler = { .on_body = at_once };
static const struct http_handler later_handler = { .on_body = later };
static const struct http_route routes[] = {
	{ HTTP_M_GET, "/now", &at_once_handler, NULL },
	{ HTTP_M_GET, "/later", &later_handler, NULL },
};

static void turn(void)
{
	(void)uv_run(&t.loop, UV_RUN_NOWAIT);
	(void)usleep(500);
}

static int start(void **state)
{
	struct http_config config = { .loop = &t.loop, .routes = routes, .n_routes = 2 };
	memset(&t, 0, sizeof(t));
	buffer_init(&t.got, 1U << 24);
	t.echo = true;
	return uv_loop_init(&t.loop) < 0 || http_server_new(&t.server, &config) < 0;
}

static void on_server_closed(void *arg)
{
	t.server_closed = true;
}

static int stop(void **state)
{
	if (t.server != NULL) {
		http_server_close(t.server, on_server_closed, NULL);
		while (!t.server_closed) {
			turn();
		}
		http_server_free(t.server);
	}
	buffer_deinit(&t.got);
	return uv_loop_close(&t.loop);
}

static int connect_to(void)
{
	int port = 0;
	assert_int_equal(http_server_listen_tcp(t.server, "127.0.0.1", 0, &port), 0);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Turns until `in` ends with `text`. */
static void expect(int fd, struct buffer *in, const char *text)
{
	struct slice want = slice_str(text);
	for (int i = 0; i < TURNS_MAX; i++) {
		turn();
		assert_int_equal(buffer_reserve(in, 65536), 0);
		ssize_t n = recv(fd, in->p + in->n, 65536, MSG_DONTWAIT);
		in->n += n > 0 ? (size_t)n : 0;
		if (in->n >= want.n && memcmp(in->p + in->n - want.n, want.p, want.n) == 0) {
			return;
		}
	}
	fail_msg("'%s' did not arrive, but '%.*s'", text, (int)in->n, (char *)in->p);
}

static void expect_end(int fd)
{
	char c;
	for (int i = 0; i < TURNS_MAX; i++) {
		turn();
		ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno == ECONNRESET)) {
			return;
		}
		assert_true(n < 0);
	}
	fail_msg("the connection did not end");
}

#define REQUEST(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void bytes_go_through(void **state)
{
	struct buffer in;
	buffer_init(&in, 1U << 24);
	int fd = connect_to();
	/* What comes with the request is not lost, and not looked at as HTTP. */
	say(fd, REQUEST("/now") "GET");
	expect(fd, &in, "\r\n\r\nhello<GET");
	assert_true(slice_starts(buffer_slice(&in), SLICE("HTTP/1.1 101 Switching Protocols\r\n")));
	assert_non_null(memmem(in.p, in.n, "\r\nUpgrade: echo\r\n", 17));
	assert_non_null(memmem(in.p, in.n, "\r\nConnection: Upgrade\r\n", 23));
	assert_null(memmem(in.p, in.n, "Content-Length", 14));
	say(fd, "\1\2 more");
	expect(fd, &in, "<\1\2 more");
	say(fd, "bye.");
	expect(fd, &in, "<bye.");
	expect_end(fd);
	/* The connection lingers until the peer ends, too. */
	(void)close(fd);
	for (int i = 0; i < TURNS_MAX && t.closed == 0; i++) {
		turn();
	}
	assert_int_equal(t.closed, 1);
	buffer_deinit(&in);
}

static void an_upgrade_may_come_later(void **state)
{
	struct buffer in;
	buffer_init(&in, 1U << 24);
	int fd = connect_to();
	say(fd, REQUEST("/later") "early");
	for (int i = 0; i < TURNS_MAX && t.kept == NULL; i++) {
		turn();
	}
	upgrade(t.kept);
	/* Not from within http_upgrade(). */
	assert_int_equal(t.got.n, 0);
	expect(fd, &in, "\r\n\r\nhello<early");
	say(fd, "now!");
	expect(fd, &in, "<now!");
	expect_end(fd);
	assert_int_equal(t.closed, 1);
	(void)close(fd);
	buffer_deinit(&in);
}

static void a_pause_holds_the_peer_back(void **state)
{
	enum { ALL = 8 * 1024 * 1024 };
	struct buffer in;
	buffer_init(&in, 1U << 24);
	int fd = connect_to();
	t.echo = false;
	say(fd, REQUEST("/now"));
	expect(fd, &in, "hello");
	http_tunnel_pause(t.tunnel);
	char *bytes = calloc(1, ALL);
	size_t sent = 0;
	for (int i = 0; i < 2000; i++) {
		ssize_t n = send(fd, bytes, ALL - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		turn();
	}
	assert_int_equal(t.got.n, 0);
	assert_true(sent < ALL);
	http_tunnel_resume(t.tunnel);
	for (int i = 0; i < TURNS_MAX && t.got.n < sent; i++) {
		turn();
	}
	assert_int_equal(t.got.n, sent);
	(void)close(fd);
	free(bytes);
	buffer_deinit(&in);
}

static void what_waits_is_told_when_it_is_sent(void **state)
{
	enum { PIECE = 1024 * 1024, PIECES = 16 };
	int fd = connect_to();
	struct buffer in;
	buffer_init(&in, 1U << 26);
	say(fd, REQUEST("/now"));
	expect(fd, &in, "hello");
	char *bytes = calloc(1, PIECE);
	uv_buf_t buf = uv_buf_init(bytes, PIECE);
	int r = 0;
	for (int i = 0; i < PIECES; i++) {
		r = http_tunnel_send(t.tunnel, &buf, 1);
	}
	assert_int_equal(r, 1);
	assert_true(http_tunnel_queued(t.tunnel) > 0);
	assert_int_equal(t.sent, 0);
	size_t before = in.n;
	for (int i = 0; i < TURNS_MAX && in.n - before < (size_t)PIECE * PIECES; i++) {
		turn();
		assert_int_equal(buffer_reserve(&in, PIECE), 0);
		ssize_t n = recv(fd, in.p + in.n, PIECE, MSG_DONTWAIT);
		in.n += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(in.n - before, (size_t)PIECE * PIECES);
	turn();
	assert_int_equal(t.sent, 1);
	assert_int_equal(http_tunnel_queued(t.tunnel), 0);
	free(bytes);
	(void)close(fd);
	buffer_deinit(&in);
}

static void the_server_ends_tunnels(void **state)
{
	struct buffer in;
	buffer_init(&in, 1U << 24);
	int fd = connect_to();
	say(fd, REQUEST("/now"));
	expect(fd, &in, "hello");
	http_server_close(t.server, on_server_closed, NULL);
	expect_end(fd);
	while (!t.server_closed) {
		turn();
	}
	assert_int_equal(t.closed, 1);
	http_server_free(t.server);
	t.server = NULL;
	(void)close(fd);
	buffer_deinit(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_go_through, start, stop),
		cmocka_unit_test_setup_teardown(an_upgrade_may_come_later, start, stop),
		cmocka_unit_test_setup_teardown(a_pause_holds_the_peer_back, start, stop),
		cmocka_unit_test_setup_teardown(what_waits_is_told_when_it_is_sent, start, stop),
		cmocka_unit_test_setup_teardown(the_server_ends_tunnels, start, stop),
	};
	if (map_init() < 0) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
