/* The worker's side of its channel, against the bytes of the wire format. */
#include "common/proto/messages.h"
#include "pluginhost/runtime/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static struct channel c;
static int director;

static int open_pair(void **state)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return -1;
	}
	director = pair[0];
	return channel_open(&c, pair[1]);
}

static int close_pair(void **state)
{
	channel_close(&c);
	(void)close(director);
	return 0;
}

static void put(const void *p, size_t n)
{
	assert_int_equal(write(director, p, n), n);
}

/* One message with frames that were appended to a buffer. */
static void put_message(const struct buffer *b)
{
	uint8_t head[PAIR0_HEADER_SIZE];
	pair0_encode_header(head, b->n);
	put(head, sizeof(head));
	put(b->p, b->n);
}

static void get(void *p, size_t n)
{
	assert_int_equal(recv(director, p, n, MSG_WAITALL), n);
}

/* Takes one message; returns its size. */
static size_t get_message(uint8_t *out, size_t max)
{
	uint8_t head[PAIR0_HEADER_SIZE];
	get(head, sizeof(head));
	assert_int_equal(head[0], 1);
	size_t n = 0;
	for (int i = 1; i < PAIR0_HEADER_SIZE; i++) {
		n = n << 8 | head[i];
	}
	assert_true(n <= max);
	get(out, n);
	return n;
}

static void get_handshake(void)
{
	uint8_t bytes[PAIR0_HANDSHAKE_SIZE];
	get(bytes, sizeof(bytes));
	assert_memory_equal(bytes, pair0_handshake, sizeof(bytes));
}

static void append(uint8_t type, uint64_t id, size_t size)
{
	uint8_t *payload = calloc(1, size + 1);
	const struct frame f = { .type = type, .call_id = id, .payload = slice_of(payload, size) };
	assert_int_equal(channel_append(&c, &f), 0);
	free(payload);
}

/* ---- */

static void handshake_goes_first(void **state)
{
	append(MSG_PONG, 0, 0);
	assert_int_equal(channel_flush(&c), CHANNEL_OK);
	uint8_t message[64];
	get_handshake();
	assert_int_equal(get_message(message, sizeof(message)), FRAME_HEADER_SIZE);
	assert_int_equal(message[4], MSG_PONG);
	assert_int_equal(channel_pending(&c), 0);
}

static void frames_between_flushes_travel_together(void **state)
{
	uint8_t message[4096];
	for (uint64_t i = 0; i < 10; i++) {
		append(MSG_RESULT, i + 1, 8);
	}
	assert_int_equal(channel_flush(&c), CHANNEL_OK);
	get_handshake();
	assert_int_equal(get_message(message, sizeof(message)), 10 * (FRAME_HEADER_SIZE + 8));
	append(MSG_PONG, 0, 0);
	assert_int_equal(channel_flush(&c), CHANNEL_OK);
	assert_int_equal(get_message(message, sizeof(message)), FRAME_HEADER_SIZE);
}

/* Reads everything that comes, until the other end is shut. */
struct drain {
	uint8_t *bytes;
	size_t n;
};

static void *drain_director(void *arg)
{
	struct drain *d = arg;
	d->bytes = malloc(CHANNEL_OUT_MAX + 65536);
	for (ssize_t n = 1; n > 0; d->n += n > 0 ? (size_t)n : 0) {
		n = read(director, d->bytes + d->n, CHANNEL_OUT_MAX + 65536 - d->n);
	}
	return NULL;
}

static void flush_all(void)
{
	while (channel_flush(&c) == CHANNEL_BLOCKED) {
		struct pollfd p = { .fd = c.fd, .events = POLLOUT };
		(void)poll(&p, 1, 1000);
	}
}

/* Batches stay below their limit; a frame that is larger travels alone; the order is kept. */
static void batches_are_split(void **state)
{
	static const size_t sizes[] = { 100000, 100000, 100000, 1, FRAME_PAYLOAD_MAX - 1, 5, 200000,
		62000, 50, 300000, 7 };
	struct drain d = { 0 };
	pthread_t thread;
	size_t n_sizes = sizeof(sizes) / sizeof(sizes[0]);
	assert_int_equal(pthread_create(&thread, NULL, drain_director, &d), 0);
	for (size_t i = 0; i < n_sizes; i++) {
		append(MSG_RESULT, i + 1, sizes[i]);
	}
	flush_all();
	(void)shutdown(c.fd, SHUT_WR);
	(void)pthread_join(thread, NULL);

	size_t at = PAIR0_HANDSHAKE_SIZE;
	size_t frame = 0;
	while (at < d.n) {
		size_t size = 0;
		for (int i = 1; i < PAIR0_HEADER_SIZE; i++) {
			size = size << 8 | d.bytes[at + i];
		}
		struct slice message = slice_of(d.bytes + at + PAIR0_HEADER_SIZE, size);
		size_t in_message = 0;
		struct frame f;
		while (frame_decode(&message, &f) == FRAME_OK) {
			assert_int_equal(f.call_id, frame + 1);
			assert_int_equal(f.payload.n, sizes[frame]);
			frame++;
			in_message++;
		}
		assert_true(size <= MESSAGE_BATCH_MAX || in_message == 1);
		at += PAIR0_HEADER_SIZE + size;
	}
	assert_int_equal(frame, n_sizes);
	free(d.bytes);
}

/* What cannot be appended leaves no trace. */
static void a_failed_append_is_taken_back(void **state)
{
	uint8_t message[256];
	append(MSG_PONG, 0, 0);
	const struct msg_log too_long = {
		.level = 6, .logger = SLICE("x"), .message = slice_of(calloc(1, 20000), 20000)
	};
	const struct frame head = { 0 };
	assert_int_equal(
		channel_end(&c, msg_log_append(channel_begin(&c), &head, &too_long)), -EMSGSIZE);
	append(MSG_PONG, 0, 0);
	assert_int_equal(channel_flush(&c), CHANNEL_OK);
	get_handshake();
	assert_int_equal(get_message(message, sizeof(message)), 2 * FRAME_HEADER_SIZE);
	/* Alone in its message: no empty message goes out. */
	assert_int_equal(
		channel_end(&c, msg_log_append(channel_begin(&c), &head, &too_long)), -EMSGSIZE);
	assert_int_equal(channel_pending(&c), 0);
	free((void *)(uintptr_t)too_long.message.p);
}

static void a_full_buffer_says_so(void **state)
{
	uint8_t *payload = calloc(1, FRAME_PAYLOAD_MAX);
	const struct frame f = {
		.type = MSG_RESULT, .call_id = 1, .payload = slice_of(payload, FRAME_PAYLOAD_MAX)
	};
	int e = 0;
	unsigned n = 0;
	while (e == 0 && n < 100) {
		e = channel_append(&c, &f);
		n += e == 0;
	}
	assert_int_equal(e, -ENOBUFS);
	assert_int_equal(n, CHANNEL_OUT_MAX / FRAME_PAYLOAD_MAX - 1);
	assert_int_equal(channel_flush(&c), CHANNEL_BLOCKED);
	struct drain d = { 0 };
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, drain_director, &d), 0);
	flush_all();
	assert_int_equal(channel_append(&c, &f), 0);
	flush_all();
	(void)shutdown(c.fd, SHUT_WR);
	(void)pthread_join(thread, NULL);
	size_t one = PAIR0_HEADER_SIZE + FRAME_HEADER_SIZE + FRAME_PAYLOAD_MAX;
	assert_int_equal(d.n, PAIR0_HANDSHAKE_SIZE + (n + 1) * one);
	free(d.bytes);
	free(payload);
}

/* ---- Reading ---- */

static void expect_frame(uint8_t type, uint64_t id)
{
	struct frame f;
	assert_int_equal(channel_next(&c, &f), CHANNEL_OK);
	assert_int_equal(f.type, type);
	assert_int_equal(f.call_id, id);
}

static void frames_come_in_any_pieces(void **state)
{
	struct buffer b;
	buffer_init(&b, 65536);
	const struct msg_execute m = {
		.deadline_ms = 5, .user = SLICE("ada"), .data = SLICE("{}")
	};
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(msg_execute_append(&b, &(struct frame){ .call_id = i }, &m), 0);
	}
	uint8_t head[PAIR0_HEADER_SIZE];
	pair0_encode_header(head, b.n);
	struct buffer all;
	buffer_init(&all, 65536);
	assert_int_equal(buffer_append(&all, slice_of(pair0_handshake, PAIR0_HANDSHAKE_SIZE)), 0);
	assert_int_equal(buffer_append(&all, slice_of(head, sizeof(head))), 0);
	assert_int_equal(buffer_append(&all, buffer_slice(&b)), 0);
	struct frame f;
	assert_int_equal(channel_read(&c), CHANNEL_BLOCKED);
	for (size_t i = 0; i < all.n; i++) {
		assert_int_equal(channel_next(&c, &f), CHANNEL_NONE);
		put(all.p + i, 1);
		assert_int_equal(channel_read(&c), CHANNEL_OK);
	}
	for (uint64_t i = 1; i <= 3; i++) {
		expect_frame(MSG_EXECUTE, i);
	}
	assert_int_equal(channel_next(&c, &f), CHANNEL_NONE);
	buffer_deinit(&all);
	buffer_deinit(&b);
}

static void waiting_flushes_and_reads(void **state)
{
	struct buffer b;
	buffer_init(&b, 4096);
	append(MSG_PONG, 0, 0);
	assert_int_equal(channel_wait(&c, 10), CHANNEL_BLOCKED);
	get_handshake();
	uint8_t message[64];
	assert_int_equal(get_message(message, sizeof(message)), FRAME_HEADER_SIZE);
	assert_int_equal(frame_append(&b, &(struct frame){ .type = MSG_PING }), 0);
	put(pair0_handshake, PAIR0_HANDSHAKE_SIZE);
	put_message(&b);
	assert_int_equal(channel_wait(&c, 1000), CHANNEL_OK);
	expect_frame(MSG_PING, 0);
	(void)shutdown(director, SHUT_WR);
	assert_int_equal(channel_wait(&c, 1000), CHANNEL_CLOSED);
	buffer_deinit(&b);
}

static void protocol_violations(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} table[] = {
		{ "\0SQ\0\0\x10\0\0", 8 },
		{ "\0SP\0\0\x11\0\0", 8 },
		/* Not a message. */
		{ "\0SP\0\0\x10\0\0\2", 9 },
		/* Longer than any. */
		{ "\0SP\0\0\x10\0\0\1\0\0\0\1\0\0\0\0", 17 },
		/* A frame that is cut short. */
		{ "\0SP\0\0\x10\0\0\1\0\0\0\0\0\0\0\3abc", 20 },
		/* A worker's frame, from the director. */
		{ "\0SP\0\0\x10\0\0\1\0\0\0\0\0\0\0\20\0\0\0\0\15\0\0\0\0\0\0\0\0\0\0\0", 33 },
		/* A type that there is not. */
		{ "\0SP\0\0\x10\0\0\1\0\0\0\0\0\0\0\20\0\0\0\0\77\0\0\0\0\0\0\0\0\0\0\0", 33 },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct frame f;
		put(table[i].bytes, table[i].n);
		assert_int_equal(channel_read(&c), CHANNEL_OK);
		assert_int_equal(channel_next(&c, &f), CHANNEL_BAD);
		assert_int_equal(close_pair(NULL), 0);
		assert_int_equal(open_pair(NULL), 0);
	}
}

static void a_closed_channel_is_no_signal(void **state)
{
	(void)close(director);
	append(MSG_PONG, 0, 0);
	assert_int_equal(channel_flush(&c), CHANNEL_CLOSED);
	assert_int_equal(channel_read(&c), CHANNEL_CLOSED);
	director = -1;
}

#define CHANNEL_TEST(f) cmocka_unit_test_setup_teardown(f, open_pair, close_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHANNEL_TEST(handshake_goes_first),
		CHANNEL_TEST(frames_between_flushes_travel_together),
		CHANNEL_TEST(batches_are_split),
		CHANNEL_TEST(a_failed_append_is_taken_back),
		CHANNEL_TEST(a_full_buffer_says_so),
		CHANNEL_TEST(frames_come_in_any_pieces),
		CHANNEL_TEST(waiting_flushes_and_reads),
		CHANNEL_TEST(protocol_violations),
		CHANNEL_TEST(a_closed_channel_is_no_signal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
