/* WebSockets over real connections, in one process: the loop turns until what is expected has happened.
 * What the protocol itself demands is in test-frame.c and test/system/test_websocket.py. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/map.h"
#include "director/auth/auth.h"
#include "director/auth/user.h"
#include "director/websocket/ticket.h"
#include "director/websocket/websocket.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TURNS_MAX = 20000,
	CLIENTS_MAX = 200,
	SEND_LIMIT = 64 * 1024,
	BUFFER_LIMIT = 1000,
	DRAIN_RATE = 1000
};

/* What a handler has seen. */
struct seen {
	struct websocket *w;
	struct buffer told;
	unsigned messages, writable, closed;
	uint16_t code;
};

static struct {
	uv_loop_t loop;
	struct http_server *server;
	struct websockets *all;
	int port;
	struct user_context *user;
	struct seen seen[CLIENTS_MAX];
	unsigned n;
	int fds[CLIENTS_MAX];
	int verdict; /* of the judge */
	unsigned server_closed, all_closed;
	unsigned broadcasts, recipients;
} t;

static void on_message(struct websocket *w, bool binary, struct slice message)
{
	struct seen *s = websocket_owner(w);
	s->messages++;
	assert_int_equal(buffer_append(&s->told, message), 0);
	if (slice_eq(message, SLICE("pause"))) {
		websocket_pause(w);
	} else if (slice_eq(message, SLICE("close"))) {
		websocket_close(w, 4000, SLICE("asked"));
	} else if (slice_eq(message, SLICE("both"))) {
		websocket_pause(w);
		websocket_close(w, 4000, SLICE("asked"));
	}
}

static void on_writable(struct websocket *w)
{
	((struct seen *)websocket_owner(w))->writable++;
}

static void on_closed(struct websocket *w, uint16_t code)
{
	struct seen *s = websocket_owner(w);
	s->closed++;
	s->code = code;
	/* Nothing that is asked of it now does harm. */
	websocket_close(w, 1000, SLICE_NULL);
	websocket_resume(w);
	assert_true(websocket_send(w, false, &(struct slice){ 0 }, 1) < 0);
	s->w = NULL;
}

static const struct websocket_handler handler = {
	.message = on_message,
	.writable = on_writable,
	.closed = on_closed,
};

static void on_body(void *owner, struct http_request *r, struct slice body)
{
	struct websocket_request q;
	if (!websocket_check(t.all, r, &q)) {
		return;
	}
	struct seen *s = &t.seen[t.n++];
	struct websocket_open_config config = {
		.user = t.user,
		.handler = &handler,
		.owner = s,
		.pushed = true,
	};
	s->w = websocket_open(t.all, r, &q, &config);
}

static const struct http_handler route_handler = { .on_body = on_body };
static const struct http_route routes[] = { { HTTP_M_GET, "/ws", &route_handler, NULL } };

static int judge(void *arg, const struct user_context *user)
{
	return t.verdict;
}

static void turn(void)
{
	(void)uv_run(&t.loop, UV_RUN_NOWAIT);
	(void)usleep(200);
}

static int start(void **state)
{
	struct websockets_config config = {
		.loop = &t.loop,
		.total = CLIENTS_MAX,
		.per_user = CLIENTS_MAX,
		.limits = { 1 << 20, 1 << 20 },
		.send_bytes = SEND_LIMIT,
		.buffer_bytes = BUFFER_LIMIT,
		.ping_ms = 60000,
		.pong_ms = 60000,
		.close_ms = 50,
		.drain_rate = DRAIN_RATE,
		.judge = judge,
	};
	struct http_config http = { .loop = &t.loop, .routes = routes, .n_routes = 1 };
	const struct user_identity identity = {
		.app_id = SLICE("app"),
		.user_id = SLICE("alice"),
		.username = SLICE("alice"),
		.expires_at = clock_unix_ms() / 1000 + 3600,
	};
	memset(&t, 0, sizeof(t));
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		buffer_init(&t.seen[i].told, 1 << 20);
	}
	return uv_loop_init(&t.loop) < 0 || websockets_new(&t.all, &config) < 0 ||
		http_server_new(&t.server, &http) < 0 ||
		http_server_listen_tcp(t.server, "127.0.0.1", 0, &t.port) < 0 ||
		user_context_new(&t.user, &identity) < 0;
}

static void count_closed(void *arg)
{
	++*(unsigned *)arg;
}

static int stop(void **state)
{
	http_server_close(t.server, count_closed, &t.server_closed);
	while (t.server_closed == 0) {
		turn();
	}
	websockets_close(t.all, count_closed, &t.all_closed);
	while (t.all_closed == 0) {
		turn();
	}
	http_server_free(t.server);
	(void)websockets_free(t.all);
	for (unsigned i = 0; i < t.n; i++) {
		assert_true(t.seen[i].closed == 1 || t.seen[i].w == NULL);
		buffer_deinit(&t.seen[i].told);
		(void)close(t.fds[i]);
	}
	(void)user_context_unref(t.user);
	return uv_loop_close(&t.loop);
}

#define UNTIL(condition)                                            \
	do {                                                        \
		bool is_so_ = condition;                            \
		for (int i_ = 0; i_ < TURNS_MAX && !is_so_; i_++) { \
			turn();                                     \
			is_so_ = condition;                         \
		}                                                   \
		assert_true(is_so_);                                \
	} while (0)

/* Opens one; its number. */
static unsigned client(int receive_buffer)
{
	static const char request[] = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
				      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
				      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(t.port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	unsigned k = t.n;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (receive_buffer > 0) {
		(void)setsockopt(
			fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
	}
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	t.fds[k] = fd;
	UNTIL(t.n > k);
	assert_non_null(t.seen[k].w);
	char answer[1024];
	UNTIL((recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0));
	return k;
}

/* A frame with a mask of zeros. */
static void put(struct buffer *b, uint8_t first, const char *text)
{
	size_t n = strlen(text);
	assert_true(n < 126);
	assert_int_equal(buffer_append_byte(b, first), 0);
	assert_int_equal(buffer_append_byte(b, (uint8_t)(0x80 | n)), 0);
	assert_int_equal(buffer_append(b, SLICE("\0\0\0\0")), 0);
	assert_int_equal(buffer_append(b, slice_of(text, n)), 0);
}

static void say(unsigned k, const struct buffer *b)
{
	assert_int_equal(send(t.fds[k], b->p, b->n, MSG_NOSIGNAL), b->n);
}

static void say_frame(unsigned k, uint8_t first, const char *text)
{
	struct buffer b;
	buffer_init(&b, 1000);
	put(&b, first, text);
	say(k, &b);
	buffer_deinit(&b);
}

static bool has_told(const struct seen *s, const char *text)
{
	return slice_eq(buffer_slice(&s->told), slice_str(text));
}

/* What comes in one read with the message that made its handler pause is kept, in order. */
static void a_pause_keeps_what_was_read(void **state)
{
	unsigned k = client(0);
	struct seen *s = &t.seen[k];
	struct buffer b;
	buffer_init(&b, 1000);
	put(&b, 0x81, "a");
	put(&b, 0x81, "pause");
	put(&b, 0x81, "b");
	put(&b, 0x01, "pau");
	put(&b, 0x80, "se");
	put(&b, 0x81, "c");
	say(k, &b);
	UNTIL(s->messages == 2);
	say_frame(k, 0x81, "d");
	for (int i = 0; i < 50; i++) {
		turn();
	}
	assert_true(has_told(s, "apause"));
	websocket_resume(s->w);
	assert_true(has_told(s, "apause"));
	UNTIL(s->messages == 4);
	for (int i = 0; i < 50; i++) {
		turn();
	}
	assert_true(has_told(s, "apausebpause"));
	websocket_resume(s->w);
	UNTIL(s->messages == 6);
	assert_true(has_told(s, "apausebpausecd"));
	buffer_deinit(&b);
}

static void a_close_ends_a_pause(void **state)
{
	unsigned k = client(0);
	struct seen *s = &t.seen[k];
	struct buffer b;
	buffer_init(&b, 1000);
	put(&b, 0x81, "both");
	put(&b, 0x81, "unheard");
	put(&b, 0x88, "\x0f\xa0");
	say(k, &b);
	(void)shutdown(t.fds[k], SHUT_WR);
	UNTIL(s->closed == 1);
	assert_int_equal(s->code, 4000);
	assert_true(has_told(s, "both"));
	buffer_deinit(&b);
}

static void no_answer_to_a_close_is_an_end(void **state)
{
	unsigned k = client(0);
	struct seen *s = &t.seen[k];
	say_frame(k, 0x81, "close");
	UNTIL(s->closed == 1);
	assert_int_equal(s->code, 4000);
	assert_int_equal(websockets_count(t.all), 0);
}

static void a_cut_connection_is_abnormal(void **state)
{
	unsigned k = client(0);
	struct seen *s = &t.seen[k];
	say_frame(k, 0x01, "half a message");
	(void)shutdown(t.fds[k], SHUT_WR);
	UNTIL(s->closed == 1);
	assert_int_equal(s->code, WS_ABNORMAL);
}

/* Sends until something waits; @return whether it did. What was queued may have left at once, when the
 * kernel found room just then. */
static bool fill(struct seen *s, struct slice text)
{
	for (int i = 0; i < 10000 && websocket_send(s->w, false, &text, 1) >= 0; i++) {
		if (websocket_queued(s->w) > 0) {
			return true;
		}
	}
	return false;
}

static void what_waits_is_bounded(void **state)
{
	static uint8_t bytes[16 * 1024];
	struct slice text = slice_of(bytes, sizeof(bytes));
	unsigned k = client(4096);
	struct seen *s = &t.seen[k];
	memset(bytes, 'x', sizeof(bytes));
	assert_true(fill(s, text));
	assert_true(websocket_queued(s->w) > 0);
	int r = 1;
	for (int i = 0; i < SEND_LIMIT / 1024 && r > 0; i++) {
		r = websocket_send(s->w, false, &text, 1);
		assert_true(websocket_queued(s->w) <= SEND_LIMIT + 200);
	}
	assert_true(r < 0);
	assert_true(websocket_send(s->w, false, &text, 1) < 0);
	UNTIL(s->closed == 1);
	assert_int_equal(s->code, WS_TRY_LATER);
	assert_int_equal(s->writable, 0);
}

/* What is longer than all that may wait is sent when nothing does. */
static void one_message_may_be_long(void **state)
{
	static uint8_t bytes[SEND_LIMIT + 1];
	struct slice text = slice_of(bytes, sizeof(bytes));
	unsigned k = client(0);
	struct seen *s = &t.seen[k];
	assert_int_equal(websocket_queued(s->w), 0);
	assert_true(websocket_send(s->w, true, &text, 1) >= 0);
	size_t got = 0;
	/* Its head has 10 bytes. */
	while (got < sizeof(bytes) + 10) {
		uint8_t read[4096];
		ssize_t n = 0;
		UNTIL(((n = recv(t.fds[k], read, sizeof(read), MSG_DONTWAIT)) >= 0));
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_int_equal(s->closed, 0);
}

/* What a client does wrong after our close does not change why it was closed. */
static void the_first_reason_stays(void **state)
{
	unsigned k = client(0);
	struct seen *s = &t.seen[k];
	struct buffer b;
	buffer_init(&b, 1000);
	put(&b, 0x81, "close");
	put(&b, 0xC1, "a reserved bit");
	say(k, &b);
	(void)shutdown(t.fds[k], SHUT_WR);
	UNTIL(s->closed == 1);
	assert_int_equal(s->code, 4000);
	buffer_deinit(&b);
}

static void who_reads_on_is_told_to(void **state)
{
	static uint8_t bytes[16 * 1024];
	struct slice text = slice_of(bytes, sizeof(bytes));
	unsigned k = client(4096);
	struct seen *s = &t.seen[k];
	assert_true(fill(s, text));
	assert_int_equal(s->writable, 0);
	UNTIL((recv(t.fds[k], bytes, sizeof(bytes), MSG_DONTWAIT) == 0 || s->writable == 1));
	assert_int_equal(websocket_queued(s->w), 0);
	assert_int_equal(s->closed, 0);
}

/* Unfinished messages of all clients share one limit, and give their room back. */
static void unfinished_messages_are_bounded(void **state)
{
	char text[101];
	unsigned one = client(0);
	unsigned two = client(0);
	memset(text, 'x', 100);
	text[100] = '\0';
	say_frame(one, 0x01, text);
	for (int i = 0; i < 8; i++) {
		say_frame(one, 0x00, text);
	}
	for (int i = 0; i < 50; i++) {
		turn();
	}
	say_frame(two, 0x01, text);
	say_frame(two, 0x00, text);
	UNTIL(t.seen[two].closed == 1);
	assert_int_equal(t.seen[two].code, WS_TRY_LATER);
	say_frame(one, 0x80, text);
	UNTIL(t.seen[one].messages == 1);
	assert_int_equal(t.seen[one].told.n, 1000);
	/* The room is free again, by the end of a message and of a connection. */
	say_frame(one, 0x01, text);
	for (int i = 0; i < 8; i++) {
		say_frame(one, 0x00, text);
	}
	(void)shutdown(t.fds[one], SHUT_WR);
	UNTIL(t.seen[one].closed == 1);
	unsigned three = client(0);
	say_frame(three, 0x01, text);
	for (int i = 0; i < 8; i++) {
		say_frame(three, 0x00, text);
	}
	say_frame(three, 0x80, text);
	UNTIL(t.seen[three].messages == 1);
}

static void on_broadcast(void *arg, unsigned recipients)
{
	t.broadcasts++;
	t.recipients += recipients;
}

/* Some close while it goes on, one of them where it stands. */
static void a_broadcast_outlives_its_recipients(void **state)
{
	enum { N = 150 };
	for (unsigned i = 0; i < N; i++) {
		(void)client(0);
	}
	assert_int_equal(websockets_broadcast(t.all, SLICE("1"), on_broadcast, NULL), 0);
	assert_int_equal(websockets_broadcast(t.all, SLICE("2"), on_broadcast, NULL), 0);
	turn();
	assert_int_equal(t.broadcasts, 0);
	/* The first batch has gone to 64: the next would be number 64. */
	for (unsigned i = 60; i < 70; i++) {
		websocket_close(t.seen[i].w, 1000, SLICE_NULL);
		(void)shutdown(t.fds[i], SHUT_WR);
	}
	UNTIL(t.broadcasts == 2);
	assert_int_equal(t.recipients, 64 + (N - 70) + (N - 10));
	/* Who comes later does not get what was sent before. */
	assert_int_equal(websockets_broadcast(t.all, SLICE("3"), on_broadcast, NULL), 0);
	unsigned late = client(0);
	UNTIL(t.broadcasts == 3);
	char c;
	assert_int_equal(recv(t.fds[late], &c, 1, MSG_DONTWAIT), -1);
	/* One that is not finished is told of, too. */
	assert_int_equal(websockets_broadcast(t.all, SLICE("4"), on_broadcast, NULL), 0);
}

/* Some of them in each step of 10 ms: the last is told after all others, and none is forgotten. */
static void the_end_comes_to_some_at_a_time(void **state)
{
	enum { N = 100 };
	for (unsigned i = 0; i < N; i++) {
		(void)client(0);
	}
	websockets_drain(t.all);
	websockets_drain(t.all);
	unsigned first = 0;
	for (unsigned i = 0; i < N; i++) {
		first += websocket_send(t.seen[i].w, false, &(struct slice){ 0 }, 1) < 0;
	}
	assert_int_equal(first, DRAIN_RATE / 100 + 1);
	/* The next to be told goes away by itself. */
	(void)shutdown(t.fds[first], SHUT_WR);
	UNTIL(websockets_count(t.all) == 0);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(t.seen[i].closed, 1);
		assert_int_equal(t.seen[i].code, i == first ? t.seen[i].code : WS_GOING_AWAY);
	}
}

static void a_user_is_asked_about_again(void **state)
{
	unsigned k = client(0);
	assert_true(websocket_is_good(t.seen[k].w));
	t.verdict = AUTH_UNKNOWN;
	assert_true(websocket_is_good(t.seen[k].w));
	static const int ends[] = { AUTH_REVOKED, AUTH_DISABLED, AUTH_EXPIRED };
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		k = i == 0 ? k : client(0);
		t.verdict = ends[i];
		assert_false(websocket_is_good(t.seen[k].w));
		UNTIL(t.seen[k].closed == 1);
		assert_int_equal(t.seen[k].code, WEBSOCKET_TOKEN_EXPIRED);
	}
}

static uint64_t fake_ms;

static uint64_t fake_now(void)
{
	return fake_ms;
}

static void tickets_are_for_one(void **state)
{
	char ticket[TICKETS_PER_USER_MAX + 1][TICKET_SIZE];
	fake_ms = 1000;
	struct tickets *all = tickets_new(fake_now, TICKETS_MAX);
	assert_int_equal(tickets_issue(all, t.user, ticket[0]), 0);
	struct user_context *user = tickets_redeem(all, slice_str(ticket[0]));
	assert_ptr_equal(user, t.user);
	(void)user_context_unref(user);
	assert_null(tickets_redeem(all, slice_str(ticket[0])));
	/* Until the 30th second. */
	assert_int_equal(tickets_issue(all, t.user, ticket[0]), 0);
	assert_int_equal(tickets_issue(all, t.user, ticket[1]), 0);
	assert_string_not_equal(ticket[0], ticket[1]);
	fake_ms += TICKET_SECONDS * 1000 - 1;
	user = tickets_redeem(all, slice_str(ticket[0]));
	assert_ptr_equal(user, t.user);
	(void)user_context_unref(user);
	fake_ms += 1;
	assert_null(tickets_redeem(all, slice_str(ticket[1])));
	/* One more than a user may have: the oldest goes. */
	for (int i = 0; i <= TICKETS_PER_USER_MAX; i++) {
		assert_int_equal(tickets_issue(all, t.user, ticket[i]), 0);
	}
	assert_null(tickets_redeem(all, slice_str(ticket[0])));
	user = tickets_redeem(all, slice_str(ticket[1]));
	assert_non_null(user);
	(void)user_context_unref(user);
	assert_null(tickets_redeem(all, SLICE("")));
	(void)tickets_free(all);
}

static struct user_context *user_with_id(const char *id)
{
	struct user_context *user = NULL;
	const struct user_identity identity = {
		.app_id = SLICE("app"), .user_id = slice_str(id), .username = slice_str(id)
	};
	assert_int_equal(user_context_new(&user, &identity), 0);
	return user;
}

/* Whoever makes many drives out none of another's; when there are too many in all, nobody's go. */
static void tickets_of_all_are_bounded(void **state)
{
	char first[TICKET_SIZE];
	char ticket[TICKET_SIZE];
	fake_ms = 1000;
	struct tickets *all = tickets_new(fake_now, TICKETS_PER_USER_MAX + 2);
	assert_int_equal(tickets_issue(all, t.user, first), 0);
	struct user_context *bob = user_with_id("bob");
	for (unsigned i = 0; i <= TICKETS_PER_USER_MAX; i++) {
		assert_int_equal(tickets_issue(all, bob, ticket), 0);
	}
	struct user_context *carol = user_with_id("carol");
	assert_int_equal(tickets_issue(all, carol, ticket), 0);
	assert_int_equal(tickets_issue(all, carol, ticket), -ENOBUFS);
	struct user_context *user = tickets_redeem(all, slice_str(first));
	assert_ptr_equal(user, t.user);
	assert_int_equal(tickets_issue(all, carol, ticket), 0);
	(void)user_context_unref(user);
	(void)user_context_unref(bob);
	(void)user_context_unref(carol);
	(void)tickets_free(all);
}

#define SOCKET_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SOCKET_TEST(a_pause_keeps_what_was_read),
		SOCKET_TEST(a_close_ends_a_pause),
		SOCKET_TEST(no_answer_to_a_close_is_an_end),
		SOCKET_TEST(a_cut_connection_is_abnormal),
		SOCKET_TEST(what_waits_is_bounded),
		SOCKET_TEST(one_message_may_be_long),
		SOCKET_TEST(the_first_reason_stays),
		SOCKET_TEST(who_reads_on_is_told_to),
		SOCKET_TEST(unfinished_messages_are_bounded),
		SOCKET_TEST(a_broadcast_outlives_its_recipients),
		SOCKET_TEST(the_end_comes_to_some_at_a_time),
		SOCKET_TEST(a_user_is_asked_about_again),
		SOCKET_TEST(tickets_are_for_one),
		SOCKET_TEST(tickets_of_all_are_bounded),
	};
	if (map_init() < 0) {
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
