/* A channel against a real nng socket and against a peer that speaks the wire format itself: both
 * must be the same to it. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/test-folder.h"
#include "common/channel/channel.h"
#include "common/proto/messages.h"
#include "common/proto/pair0.h"

#include <errno.h>
#include <fcntl.h>
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Not the default: the limit is the one that was asked for. */
enum { QUEUE_BYTES = CHANNEL_QUEUE_MIN };

struct fixture {
	uv_loop_t loop;
	struct channel_hub *hub;
	struct channel *channel;
	char folder[TEST_FOLDER_BYTES];
	char path[96];
	int opened, closed, messages, frames;
	size_t bytes;
	bool echo, bad;
	uint64_t pause_ms;    /* after each message */
	enum channel_end why; /* of the last close */
};

static void on_open(void *owner)
{
	((struct fixture *)owner)->opened++;
}

static void on_close(void *owner, enum channel_end why)
{
	((struct fixture *)owner)->closed++;
	((struct fixture *)owner)->why = why;
}

static void on_message(void *owner, struct slice message)
{
	struct fixture *x = owner;
	struct frame f;
	enum frame_result r;
	x->messages++;
	x->bytes += message.n;
	while ((r = frame_decode(&message, &f)) == FRAME_OK) {
		x->frames++;
		if (x->echo) {
			struct buffer *b =
				channel_begin(x->channel, FRAME_HEADER_SIZE + f.payload.n);
			assert_non_null(b);
			assert_int_equal(frame_append(b, &f), 0);
			channel_end(x->channel);
		}
	}
	x->bad = x->bad || r == FRAME_MALFORMED;
	if (x->pause_ms > 0) {
		channel_pause(x->channel, x->pause_ms);
	}
}

static const struct channel_events events = { on_open, on_message, on_close };

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	assert_int_equal(test_folder_make(x->folder, "test-channel"), 0);
	(void)snprintf(x->path, sizeof(x->path), "%s/channel.sock", x->folder);
	assert_int_equal(uv_loop_init(&x->loop), 0);
	assert_int_equal(channel_hub_new(&x->hub, &x->loop, QUEUE_BYTES), 0);
	assert_int_equal(channel_listen(&x->channel, x->hub, x->path, &events, x), 0);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	channel_close(x->channel);
	channel_hub_close(x->hub, NULL, NULL);
	(void)uv_run(&x->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&x->loop), 0);
	assert_int_equal(access(x->path, F_OK), -1);
	assert_int_equal(rmdir(x->folder), 0);
	free(x);
	return 0;
}

static void on_tick(uv_timer_t *t)
{
}

/* Turns the loop until `*value` reaches `want`, at most five seconds. */
static void turn_until(struct fixture *x, const int *value, int want)
{
	uv_timer_t tick;
	uint64_t end = uv_hrtime() + 5000000000ULL;
	(void)uv_timer_init(&x->loop, &tick);
	(void)uv_timer_start(&tick, on_tick, 1, 1);
	while (*value < want && uv_hrtime() < end) {
		(void)uv_run(&x->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&tick, NULL);
	(void)uv_run(&x->loop, UV_RUN_NOWAIT);
	assert_int_equal(*value, want);
}

static nng_socket dial(struct fixture *x)
{
	char url[128];
	nng_socket peer;
	(void)snprintf(url, sizeof(url), "ipc://%s", x->path);
	assert_int_equal(nng_pair0_open(&peer), 0);
	assert_int_equal(nng_dial(peer, url, NULL, NNG_FLAG_NONBLOCK), 0);
	return peer;
}

static void queue_pings(struct channel *c, int count)
{
	for (int i = 0; i < count; i++) {
		struct buffer *b = channel_begin(c, FRAME_HEADER_SIZE);
		assert_non_null(b);
		assert_int_equal(frame_append(b, &(struct frame){ .type = MSG_PING }), 0);
		channel_end(c);
	}
}

static void frames_of_a_turn_are_one_message(void **state)
{
	struct fixture *x = *state;
	nng_socket peer = dial(x);
	turn_until(x, &x->opened, 1);
	queue_pings(x->channel, 100);
	(void)uv_run(&x->loop, UV_RUN_NOWAIT);
	nng_msg *m;
	assert_int_equal(nng_recvmsg(peer, &m, 0), 0);
	assert_int_equal(nng_msg_len(m), 100 * FRAME_HEADER_SIZE);
	nng_msg_free(m);

	x->echo = true;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(nng_msg_alloc(&m, 0), 0);
		uint8_t header[FRAME_HEADER_SIZE];
		frame_encode_header(
			header, &(struct frame){ .type = MSG_PONG, .call_id = (uint64_t)i }, 0);
		assert_int_equal(nng_msg_append(m, header, sizeof(header)), 0);
		assert_int_equal(nng_sendmsg(peer, m, 0), 0);
		turn_until(x, &x->frames, i + 1);
	}
	assert_int_equal(channel_queued(x->channel), 0);
	assert_int_equal(nng_close(peer), 0);
	turn_until(x, &x->closed, 1);
	assert_false(x->bad);
	assert_false(channel_is_open(x->channel));
}

static int raw_connect(struct fixture *x)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", x->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(write(fd, pair0_handshake, PAIR0_HANDSHAKE_SIZE), PAIR0_HANDSHAKE_SIZE);
	return fd;
}

/* One write, so that a peer that hangs up at the header is no SIGPIPE for the rest. */
static void raw_send(int fd, uint64_t declared, const void *p, size_t n)
{
	uint8_t bytes[PAIR0_HEADER_SIZE + 64];
	assert_true(n <= 64);
	pair0_encode_header(bytes, declared);
	memcpy(bytes + PAIR0_HEADER_SIZE, p, n);
	assert_int_equal(write(fd, bytes, PAIR0_HEADER_SIZE + n), PAIR0_HEADER_SIZE + n);
}

static void the_wire_format_is_enough(void **state)
{
	struct fixture *x = *state;
	x->echo = true;
	int fd = raw_connect(x);
	uint8_t frames[2 * FRAME_HEADER_SIZE];
	frame_encode_header(frames, &(struct frame){ .type = MSG_PONG, .call_id = 1 }, 0);
	frame_encode_header(
		frames + FRAME_HEADER_SIZE, &(struct frame){ .type = MSG_PONG, .call_id = 2 }, 0);
	raw_send(fd, sizeof(frames), frames, sizeof(frames));
	turn_until(x, &x->frames, 2);
	assert_int_equal(x->opened, 1);
	assert_int_equal(x->messages, 1);

	struct pair0_reader r;
	pair0_reader_init(&r, MESSAGE_MAX);
	struct slice message = SLICE_NULL;
	for (int i = 0; i < 100 && message.n == 0; i++) {
		uint8_t *p;
		size_t room;
		(void)uv_run(&x->loop, UV_RUN_NOWAIT);
		assert_int_equal(pair0_reader_space(&r, 1000, &p, &room), 0);
		ssize_t n = read(fd, p, room);
		assert_true(n > 0);
		pair0_reader_fill(&r, (size_t)n);
		assert_int_not_equal(pair0_reader_next(&r, &message), PAIR0_BAD);
	}
	assert_int_equal(message.n, sizeof(frames));
	assert_memory_equal(message.p, frames, sizeof(frames));
	pair0_reader_deinit(&r);
	(void)close(fd);
	turn_until(x, &x->closed, 1);
}

static void an_oversized_message_ends_the_peer(void **state)
{
	struct fixture *x = *state;
	int fd = raw_connect(x);
	turn_until(x, &x->opened, 1);
	raw_send(fd, (uint64_t)MESSAGE_MAX + 1, "x", 1);
	turn_until(x, &x->closed, 1);
	assert_int_equal(x->why, CHANNEL_BAD_MESSAGE);
	assert_int_equal(x->messages, 0);
	(void)close(fd);

	/* The listener is still there for the next one. */
	fd = raw_connect(x);
	turn_until(x, &x->opened, 2);
	(void)close(fd);
	turn_until(x, &x->closed, 2);
	assert_int_equal(x->why, CHANNEL_PEER_GONE);
}

static void a_peer_that_does_not_read_is_bounded(void **state)
{
	struct fixture *x = *state;
	int fd = raw_connect(x);
	turn_until(x, &x->opened, 1);
	uint8_t *payload = calloc(1, FRAME_PAYLOAD_MAX);
	struct frame f = { .type = MSG_EXECUTE, .payload = slice_of(payload, FRAME_PAYLOAD_MAX) };
	int queued = 0;
	for (int i = 0; i < 100; i++) {
		struct buffer *b = channel_begin(x->channel, MESSAGE_MAX);
		if (b == NULL) {
			break;
		}
		assert_int_equal(frame_append(b, &f), 0);
		channel_end(x->channel);
		(void)uv_run(&x->loop, UV_RUN_NOWAIT);
		queued++;
	}
	assert_in_range(queued, 1, 20);
	assert_true(channel_queued(x->channel) <= QUEUE_BYTES);

	/* Once it reads, everything arrives, in whole messages. */
	size_t got = 0;
	size_t want = PAIR0_HANDSHAKE_SIZE + (size_t)queued * (PAIR0_HEADER_SIZE + MESSAGE_MAX);
	uint8_t *sink = malloc(65536);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	uint64_t end = uv_hrtime() + 10000000000ULL;
	while (got < want && uv_hrtime() < end) {
		ssize_t n = read(fd, sink, 65536);
		got += n > 0 ? (size_t)n : 0;
		(void)uv_run(&x->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(got, want);
	assert_int_equal(channel_queued(x->channel), 0);
	free(sink);
	free(payload);
	(void)close(fd);
	turn_until(x, &x->closed, 1);
}

static void who_does_not_speak_pair0_is_cut_off(void **state)
{
	struct fixture *x = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", x->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(write(fd, "GET / HTTP/1.1", 14), 14);
	uint8_t got[64];
	ssize_t n = -1;
	uint64_t end = uv_hrtime() + 5000000000ULL;
	/* Our own handshake comes first, then the end. */
	while (n != 0 && uv_hrtime() < end) {
		(void)uv_run(&x->loop, UV_RUN_NOWAIT);
		n = read(fd, got, sizeof(got));
		if (n < 0 && errno == ECONNRESET) {
			n = 0;
		}
	}
	assert_int_equal(n, 0);
	assert_int_equal(x->opened, 0);
	assert_int_equal(x->closed, 0);
	(void)close(fd);
}

static void the_next_peer_gets_nothing_of_the_last(void **state)
{
	struct fixture *x = *state;
	assert_null(channel_begin(x->channel, FRAME_HEADER_SIZE));
	int first = raw_connect(x);
	turn_until(x, &x->opened, 1);
	int second = raw_connect(x);
	for (int i = 0; i < 20; i++) {
		(void)uv_run(&x->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(x->opened, 1);

	queue_pings(x->channel, 1);
	(void)close(first);
	turn_until(x, &x->opened, 2);
	assert_int_equal(x->closed, 1);
	queue_pings(x->channel, 2);
	(void)uv_run(&x->loop, UV_RUN_NOWAIT);
	uint8_t got[128];
	ssize_t n = recv(second, got, sizeof(got), 0);
	assert_int_equal(n, PAIR0_HANDSHAKE_SIZE + PAIR0_HEADER_SIZE + 2 * FRAME_HEADER_SIZE);
	(void)close(second);
	turn_until(x, &x->closed, 2);
}

/* Cut anywhere: a byte at a time, the bytes still make one message. */
static void a_message_may_come_in_pieces(void **state)
{
	struct fixture *x = *state;
	int fd = raw_connect(x);
	uint8_t bytes[PAIR0_HEADER_SIZE + FRAME_HEADER_SIZE];
	pair0_encode_header(bytes, FRAME_HEADER_SIZE);
	frame_encode_header(bytes + PAIR0_HEADER_SIZE, &(struct frame){ .type = MSG_PONG }, 0);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(x->messages, 0);
		assert_int_equal(write(fd, bytes + i, 1), 1);
		(void)uv_run(&x->loop, UV_RUN_NOWAIT);
	}
	turn_until(x, &x->messages, 1);
	assert_int_equal(x->frames, 1);
	assert_false(x->bad);
	(void)close(fd);
	turn_until(x, &x->closed, 1);
}

static void who_is_paused_waits(void **state)
{
	struct fixture *x = *state;
	enum { MESSAGES = 3, PAUSE_MS = 100 };
	uint8_t bytes[PAIR0_HEADER_SIZE + FRAME_HEADER_SIZE];
	pair0_encode_header(bytes, FRAME_HEADER_SIZE);
	frame_encode_header(bytes + PAIR0_HEADER_SIZE, &(struct frame){ .type = MSG_PONG }, 0);
	x->pause_ms = PAUSE_MS;
	int fd = raw_connect(x);
	for (int i = 0; i < MESSAGES; i++) {
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	}
	turn_until(x, &x->messages, 1);
	uint64_t began = uv_hrtime();
	(void)close(fd);
	for (int i = 2; i <= MESSAGES; i++) {
		turn_until(x, &x->messages, i);
		/* The end of the peer comes behind what it sent. */
		assert_int_equal(x->closed, 0);
		assert_true(uv_hrtime() - began >= (uint64_t)(i - 1) * (PAUSE_MS - 10) * 1000000);
	}
	turn_until(x, &x->closed, 1);
	/* The next peer is not paused. */
	x->pause_ms = 0;
	fd = raw_connect(x);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	turn_until(x, &x->messages, MESSAGES + 1);
	(void)close(fd);
}

/* A close in the middle of a pause leaves no timer behind (teardown). */
static void a_paused_channel_can_be_closed(void **state)
{
	struct fixture *x = *state;
	uint8_t bytes[PAIR0_HEADER_SIZE + FRAME_HEADER_SIZE];
	pair0_encode_header(bytes, FRAME_HEADER_SIZE);
	frame_encode_header(bytes + PAIR0_HEADER_SIZE, &(struct frame){ .type = MSG_PONG }, 0);
	x->pause_ms = 60000;
	int fd = raw_connect(x);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	turn_until(x, &x->messages, 1);
	(void)close(fd);
}

/* What one peer floods is read in pieces, so that others have their turn between them. */
static void a_flood_takes_several_turns(void **state)
{
	enum { ENOUGH = 60, EACH = 4096 };
	struct fixture *x = *state;
	int fd = raw_connect(x);
	turn_until(x, &x->opened, 1);
	uint8_t *bytes = calloc(1, PAIR0_HEADER_SIZE + EACH);
	struct frame pong = { .type = MSG_PONG };
	pair0_encode_header(bytes, EACH);
	for (size_t at = 0; at < EACH; at += FRAME_HEADER_SIZE) {
		frame_encode_header(bytes + PAIR0_HEADER_SIZE + at, &pong, 0);
	}
	int big = 1 << 20;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big)), 0);
	int sent = 0;
	while (send(fd, bytes, PAIR0_HEADER_SIZE + EACH, MSG_DONTWAIT) ==
		PAIR0_HEADER_SIZE + EACH) {
		sent++;
	}
	assert_in_range(sent, ENOUGH, 100000);
	(void)uv_run(&x->loop, UV_RUN_NOWAIT);
	assert_in_range(x->messages, 1, sent - 1);
	turn_until(x, &x->messages, sent);
	assert_int_equal(x->frames, sent * EACH / FRAME_HEADER_SIZE);
	assert_false(x->bad);
	free(bytes);
	(void)close(fd);
	turn_until(x, &x->closed, 1);
}

static void the_socket_is_for_the_group_only(void **state)
{
	struct fixture *x = *state;
	struct stat st;
	assert_int_equal(stat(x->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	char path[200];
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	struct channel *c = NULL;
	assert_int_equal(channel_listen(&c, x->hub, path, &events, x), -ENAMETOOLONG);
	assert_null(c);
	assert_int_equal(channel_listen(&c, x->hub, "/nonexistent/x.sock", &events, x), -ENOENT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_of_a_turn_are_one_message, setup, teardown),
		cmocka_unit_test_setup_teardown(the_wire_format_is_enough, setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_oversized_message_ends_the_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_peer_that_does_not_read_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_does_not_speak_pair0_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_next_peer_gets_nothing_of_the_last, setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_may_come_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flood_takes_several_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_paused_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(a_paused_channel_can_be_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(the_socket_is_for_the_group_only, setup, teardown),
	};
	(void)signal(SIGPIPE, SIG_IGN);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	nng_fini();
	return failed;
}
