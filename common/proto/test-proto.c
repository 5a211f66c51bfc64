/* Frames, the message table and the pair0 reader: conversations of bytes and verdicts. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/proto/messages.h"
#include "common/proto/pair0.h"

#include <errno.h>
#include <stdlib.h>

static void execute_survives_the_wire(void **state)
{
	struct buffer b;
	buffer_init(&b, MESSAGE_MAX);
	struct msg_execute sent = { .deadline_ms = 30000,
		.user = SLICE("u1"),
		.instance = SLICE(""),
		.trace = SLICE("00-ab"),
		.data = SLICE("{\"a\":1}") };
	struct frame head = { .call_id = 0x1122334455667788ULL };
	assert_int_equal(msg_execute_append(&b, &head, &sent), 0);
	assert_int_equal(msg_execute_append(&b, &head, &sent), 0);

	struct slice in = buffer_slice(&b);
	for (int i = 0; i < 2; i++) {
		struct frame f;
		struct msg_execute got;
		assert_int_equal(frame_decode(&in, &f), FRAME_OK);
		assert_int_equal(f.type, MSG_EXECUTE);
		assert_true(f.call_id == head.call_id);
		assert_null(message_violation(&f, FROM_DIRECTOR));
		assert_non_null(message_violation(&f, FROM_WORKER));
		assert_true(msg_execute_decode(f.payload, &got));
		assert_int_equal(got.deadline_ms, 30000);
		assert_true(slice_eq(got.user, sent.user));
		assert_true(slice_eq(got.trace, sent.trace));
		assert_true(slice_eq(got.data, sent.data));
	}
	struct frame f;
	assert_int_equal(frame_decode(&in, &f), FRAME_END);
	buffer_deinit(&b);
}

static void every_cut_is_malformed(void **state)
{
	struct buffer b;
	buffer_init(&b, MESSAGE_MAX);
	struct msg_log m = { .level = 6, .logger = SLICE("x"), .message = SLICE("hello") };
	assert_int_equal(msg_log_append(&b, &(struct frame){ 0 }, &m), 0);
	for (size_t n = 1; n < b.n; n++) {
		struct slice in = slice_of(b.p, n);
		struct frame f;
		assert_int_equal(frame_decode(&in, &f), FRAME_MALFORMED);
	}
	put_u32(b.p, FRAME_PAYLOAD_MAX + 1);
	struct slice in = buffer_slice(&b);
	struct frame f;
	assert_int_equal(frame_decode(&in, &f), FRAME_MALFORMED);
	buffer_deinit(&b);
}

static void decoding_ends_exactly(void **state)
{
	struct msg_drain drain;
	struct msg_log log;
	assert_true(msg_drain_decode(slice_of("\1\0\0\0", 4), &drain));
	assert_false(msg_drain_decode(slice_of("\1\0\0\0\0", 5), &drain));
	assert_false(msg_drain_decode(slice_of("\1\0\0", 3), &drain));
	assert_false(msg_log_decode(slice_of("\6\5\0abc", 6), &log));
	assert_false(msg_log_decode(slice_of("\6\1\0\xff", 4), &log));
}

static void the_table_refuses(void **state)
{
	static const struct {
		struct frame f;
		int sender;
	} bad[] = {
		{ { .type = 0 }, FROM_WORKER },
		{ { .type = 63 }, FROM_WORKER },
		{ { .type = 200 }, FROM_WORKER },
		{ { .type = MSG_PING }, FROM_WORKER },
		{ { .type = MSG_PONG, .flags = 1 }, FROM_WORKER },
		{ { .type = MSG_PONG, .payload = { (const uint8_t *)"x", 1 } }, FROM_WORKER },
		{ { .type = MSG_PONG, .capability = 1 }, FROM_WORKER },
		{ { .type = MSG_RESULT }, FROM_WORKER },
		{ { .type = MSG_CALL, .payload = { (const uint8_t *)"1234", 4 } }, FROM_WORKER },
		{ { .type = MSG_EXITED, .payload = { (const uint8_t *)"{}", 2 } }, FROM_WORKER },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_non_null(message_violation(&bad[i].f, bad[i].sender));
	}
	assert_null(message_violation(&(struct frame){ .type = MSG_PONG }, FROM_WORKER));
	assert_string_equal(message_name(MSG_EXITED), "EXITED");
}

static void oversized_message_is_not_sent(void **state)
{
	struct buffer b;
	buffer_init(&b, (size_t)4 * MESSAGE_MAX);
	uint8_t *big = calloc(1, 20000);
	struct msg_log m = { .level = 6, .message = slice_of(big, 20000) };
	assert_int_equal(msg_log_append(&b, &(struct frame){ 0 }, &m), -EMSGSIZE);
	assert_int_equal(b.n, 0);
	free(big);
	buffer_deinit(&b);
}

/* Feeds `bytes` in pieces of `step` and returns how many messages came, -1 when it was refused. */
static int feed(struct slice bytes, size_t step, size_t max)
{
	struct pair0_reader r;
	pair0_reader_init(&r, max);
	int count = 0;
	for (size_t i = 0; i < bytes.n && count >= 0; i += step) {
		size_t n = bytes.n - i < step ? bytes.n - i : step;
		uint8_t *p;
		size_t room;
		assert_int_equal(pair0_reader_space(&r, n, &p, &room), 0);
		assert_true(room >= n);
		memcpy(p, bytes.p + i, n);
		pair0_reader_fill(&r, n);
		struct slice message;
		enum pair0_result result;
		while ((result = pair0_reader_next(&r, &message)) == PAIR0_MESSAGE) {
			count++;
		}
		count = result == PAIR0_BAD ? -1 : count;
	}
	pair0_reader_deinit(&r);
	return count;
}

static void pair0_reads_in_any_pieces(void **state)
{
	struct buffer b;
	buffer_init(&b, 10000);
	assert_int_equal(buffer_append(&b, slice_of(pair0_handshake, PAIR0_HANDSHAKE_SIZE)), 0);
	for (size_t size = 0; size < 30; size += 10) {
		uint8_t header[PAIR0_HEADER_SIZE];
		pair0_encode_header(header, size);
		assert_int_equal(buffer_append(&b, slice_of(header, sizeof(header))), 0);
		assert_int_equal(buffer_append(&b, slice_of("abcdefghijklmnopqrst", size)), 0);
	}
	for (size_t step = 1; step <= b.n; step++) {
		assert_int_equal(feed(buffer_slice(&b), step, 20), 3);
	}
	assert_int_equal(feed(buffer_slice(&b), 7, 19), -1);
	b.p[PAIR0_HANDSHAKE_SIZE] = 2;
	assert_int_equal(feed(buffer_slice(&b), 1, 20), -1);
	b.p[2] = 'X';
	assert_int_equal(feed(buffer_slice(&b), 1, 20), -1);
	assert_int_equal(
		feed(slice_of("\0SP\0\0\x10\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff", 17), 3, 1000),
		-1);
	buffer_deinit(&b);
}

/* A peer that sends one long message does not hold its memory for ever. */
static void pair0_gives_memory_back(void **state)
{
	enum { LONG = 1000000, SHORT = 100 };
	struct pair0_reader r;
	uint8_t header[PAIR0_HEADER_SIZE];
	struct slice message;
	uint8_t *p;
	size_t room;
	pair0_reader_init(&r, LONG);
	assert_int_equal(pair0_reader_space(&r, LONG + 100, &p, &room), 0);
	memcpy(p, pair0_handshake, PAIR0_HANDSHAKE_SIZE);
	pair0_encode_header(header, LONG);
	memcpy(p + PAIR0_HANDSHAKE_SIZE, header, sizeof(header));
	memset(p + PAIR0_HANDSHAKE_SIZE + sizeof(header), 'x', LONG);
	pair0_reader_fill(&r, PAIR0_HANDSHAKE_SIZE + sizeof(header) + LONG);
	/* Not while it is still there. */
	pair0_reader_trim(&r);
	assert_int_equal(pair0_reader_next(&r, &message), PAIR0_MESSAGE);
	assert_int_equal(message.n, LONG);
	pair0_reader_trim(&r);
	assert_int_equal(r.in.cap, 0);

	/* The next one is read as ever, and so little memory is kept. */
	assert_int_equal(pair0_reader_space(&r, 1000, &p, &room), 0);
	pair0_encode_header(p, SHORT);
	memset(p + PAIR0_HEADER_SIZE, 'y', SHORT);
	pair0_reader_fill(&r, PAIR0_HEADER_SIZE + SHORT);
	assert_int_equal(pair0_reader_next(&r, &message), PAIR0_MESSAGE);
	assert_int_equal(message.n, SHORT);
	pair0_reader_trim(&r);
	assert_int_not_equal(r.in.cap, 0);
	pair0_reader_deinit(&r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(execute_survives_the_wire),
		cmocka_unit_test(every_cut_is_malformed),
		cmocka_unit_test(decoding_ends_exactly),
		cmocka_unit_test(the_table_refuses),
		cmocka_unit_test(oversized_message_is_not_sent),
		cmocka_unit_test(pair0_reads_in_any_pieces),
		cmocka_unit_test(pair0_gives_memory_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
