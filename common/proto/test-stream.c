/* The table of streams: every state against every event, then credits to the byte. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/proto/stream.h"

#include <string.h>

static uint8_t bytes[STREAM_PIECE_MAX];

static enum stream_verdict receive(struct stream *s, struct frame f, const char **why)
{
	*why = "";
	return stream_receive(s, &f, why);
}

static struct frame data(size_t n, uint8_t flags)
{
	return (struct frame){ .type = MSG_DATA, .flags = flags, .payload = slice_of(bytes, n) };
}

static struct frame credit(uint32_t n)
{
	static uint8_t payload[4];
	put_u32(payload, n);
	return (struct frame){ .type = MSG_CREDIT, .payload = slice_of(payload, sizeof(payload)) };
}

static struct frame of_type(uint8_t type)
{
	return (struct frame){ .type = type, .payload = slice_of(bytes, 2) };
}

/* What the other end does to the half that we receive: state, frame, what is to happen. */
static void every_transition_of_what_comes(void **state)
{
	static const struct {
		enum stream_state from;
		uint8_t type;
		uint8_t flags;
		enum stream_verdict verdict;
		enum stream_state to;
		const char *why;
	} rows[] = {
		{ STREAM_NONE, MSG_RESULT_HEAD, 0, STREAM_TAKE, STREAM_OPEN, "" },
		{ STREAM_NONE, MSG_DATA, 0, STREAM_VIOLATION, STREAM_NONE, "not open" },
		{ STREAM_NONE, MSG_DATA, DATA_LAST, STREAM_VIOLATION, STREAM_NONE, "not open" },
		{ STREAM_OPEN, MSG_RESULT_HEAD, 0, STREAM_VIOLATION, STREAM_OPEN, "second" },
		{ STREAM_OPEN, MSG_DATA, 0, STREAM_TAKE, STREAM_OPEN, "" },
		{ STREAM_OPEN, MSG_DATA, DATA_LAST, STREAM_TAKE, STREAM_ENDED, "" },
		{ STREAM_OPEN, MSG_RESET, 0, STREAM_TAKE, STREAM_CUT, "" },
		{ STREAM_ENDED, MSG_RESULT_HEAD, 0, STREAM_VIOLATION, STREAM_ENDED, "second" },
		{ STREAM_ENDED, MSG_DATA, 0, STREAM_VIOLATION, STREAM_ENDED, "after the end" },
		{ STREAM_ENDED, MSG_DATA, DATA_LAST, STREAM_VIOLATION, STREAM_ENDED,
			"after the end" },
		{ STREAM_ENDED, MSG_RESET, 0, STREAM_IGNORE, STREAM_ENDED, "" },
		{ STREAM_DROPPED, MSG_RESULT_HEAD, 0, STREAM_IGNORE, STREAM_DROPPED, "" },
		{ STREAM_DROPPED, MSG_DATA, 0, STREAM_IGNORE, STREAM_DROPPED, "" },
		{ STREAM_DROPPED, MSG_DATA, DATA_LAST, STREAM_IGNORE, STREAM_ENDED, "" },
		{ STREAM_DROPPED, MSG_RESET, 0, STREAM_IGNORE, STREAM_CUT, "" },
		{ STREAM_CUT, MSG_RESULT_HEAD, 0, STREAM_VIOLATION, STREAM_CUT, "after RESET" },
		{ STREAM_CUT, MSG_DATA, 0, STREAM_VIOLATION, STREAM_CUT, "after RESET" },
		{ STREAM_CUT, MSG_DATA, DATA_LAST, STREAM_VIOLATION, STREAM_CUT, "after RESET" },
		{ STREAM_CUT, MSG_RESET, 0, STREAM_VIOLATION, STREAM_CUT, "second RESET" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stream s = { .in = { .state = rows[i].from, .credit = STREAM_WINDOW } };
		const char *why;
		struct frame f =
			rows[i].type == MSG_DATA ? data(1, rows[i].flags) : of_type(rows[i].type);
		/* Of the half that is not open a RESET says nothing. */
		s.out.state = rows[i].from == STREAM_ENDED ? STREAM_ENDED : STREAM_NONE;
		assert_int_equal(receive(&s, f, &why), rows[i].verdict);
		assert_int_equal(s.in.state, rows[i].to);
		assert_non_null(strstr(why, rows[i].why));
	}
}

static void every_transition_of_credit(void **state)
{
	static const struct {
		enum stream_state from;
		enum stream_verdict verdict;
		const char *why;
	} rows[] = {
		{ STREAM_NONE, STREAM_VIOLATION, "not open" },
		{ STREAM_OPEN, STREAM_TAKE, "" },
		{ STREAM_ENDED, STREAM_IGNORE, "" },
		{ STREAM_DROPPED, STREAM_IGNORE, "" },
		{ STREAM_CUT, STREAM_VIOLATION, "after RESET" },
	};
	_Static_assert(sizeof(rows) / sizeof(rows[0]) == STREAM_STATES, "all of them");
	for (size_t i = 0; i < STREAM_STATES; i++) {
		struct stream s = { .out = { .state = rows[i].from, .credit = 10 } };
		const char *why;
		assert_int_equal(receive(&s, credit(5), &why), rows[i].verdict);
		assert_int_equal(s.out.state, rows[i].from);
		assert_int_equal(s.out.credit, rows[i].verdict == STREAM_VIOLATION ? 10 : 15);
		assert_non_null(strstr(why, rows[i].why));
	}
}

static void giving_up(void **state)
{
	static const enum stream_state after[STREAM_STATES] = {
		[STREAM_NONE] = STREAM_DROPPED,
		[STREAM_OPEN] = STREAM_DROPPED,
		[STREAM_ENDED] = STREAM_ENDED,
		[STREAM_DROPPED] = STREAM_DROPPED,
		[STREAM_CUT] = STREAM_CUT,
	};
	for (uint8_t i = 0; i < STREAM_STATES; i++) {
		struct stream s = { .in.state = i, .out.state = i };
		stream_drop(&s);
		assert_int_equal(s.in.state, after[i]);
		assert_int_equal(s.out.state, after[i]);
		assert_false(stream_is_open(&s));
	}
}

static void a_reset_is_for_both_halves(void **state)
{
	struct stream s = { 0 };
	const char *why;
	assert_int_equal(receive(&s, of_type(MSG_RESET), &why), STREAM_VIOLATION);
	assert_true(stream_open(&s.out));
	assert_false(stream_open(&s.out));
	assert_int_equal(receive(&s, of_type(MSG_RESET), &why), STREAM_TAKE);
	assert_int_equal(s.out.state, STREAM_CUT);
	assert_false(stream_may_send(&s, 0));
	assert_int_equal(receive(&s, of_type(MSG_RESULT_HEAD), &why), STREAM_VIOLATION);
	assert_int_equal(receive(&s, of_type(MSG_RESET), &why), STREAM_VIOLATION);
}

static void credit_to_the_byte(void **state)
{
	struct stream s = { 0 };
	const char *why;
	assert_true(stream_open(&s.in));
	size_t left = STREAM_WINDOW;
	while (left >= STREAM_PIECE_MAX + FRAME_HEADER_SIZE) {
		assert_int_equal(receive(&s, data(STREAM_PIECE_MAX, 0), &why), STREAM_TAKE);
		left -= STREAM_PIECE_MAX + FRAME_HEADER_SIZE;
	}
	struct stream over = s;
	assert_int_equal(
		receive(&over, data(left - FRAME_HEADER_SIZE + 1, 0), &why), STREAM_VIOLATION);
	assert_string_equal(why, "DATA without credit");
	assert_int_equal(receive(&s, data(left - FRAME_HEADER_SIZE, 0), &why), STREAM_TAKE);
	assert_int_equal(s.in.credit, 0);
	/* Even an empty last piece costs its header. */
	over = s;
	assert_int_equal(receive(&over, data(0, DATA_LAST), &why), STREAM_VIOLATION);
	/* A dropped half is counted on, or a flood would never end. */
	over = s;
	stream_drop(&over);
	assert_int_equal(receive(&over, data(1, 0), &why), STREAM_VIOLATION);
}

static void a_dropped_half_opens_once(void **state)
{
	struct stream s = { 0 };
	const char *why;
	stream_drop(&s);
	assert_int_equal(receive(&s, of_type(MSG_RESULT_HEAD), &why), STREAM_IGNORE);
	assert_int_equal(receive(&s, data(STREAM_PIECE_MAX, 0), &why), STREAM_IGNORE);
	/* Or its credit would begin anew. */
	assert_int_equal(receive(&s, of_type(MSG_RESULT_HEAD), &why), STREAM_VIOLATION);
}

static void credit_comes_back_in_portions(void **state)
{
	struct stream s = { 0 };
	const char *why;
	assert_true(stream_open(&s.in));
	uint32_t given = 0;
	size_t sent = 0;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(receive(&s, data(1000, 0), &why), STREAM_TAKE);
		sent += 1000 + FRAME_HEADER_SIZE;
		uint32_t back = stream_passed_on(&s, stream_cost(1000));
		assert_true(back == 0 || back >= STREAM_CREDIT_STEP);
		given += back;
		assert_int_equal(s.in.credit + sent - given, STREAM_WINDOW);
	}
	/* As soon as there is a portion, to the byte. */
	s.in.owed = 0;
	s.in.credit = 0;
	assert_int_equal(stream_passed_on(&s, STREAM_CREDIT_STEP - 1), 0);
	assert_int_equal(stream_passed_on(&s, 1), STREAM_CREDIT_STEP);
	assert_int_equal(receive(&s, data(0, DATA_LAST), &why), STREAM_TAKE);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(stream_passed_on(&s, stream_cost(1000)), 0);
	}
}

static void sending_needs_credit(void **state)
{
	struct stream s = { 0 };
	const char *why;
	assert_int_equal(stream_room(&s), 0);
	assert_false(stream_may_send(&s, 1));
	assert_true(stream_open(&s.out));
	while (stream_room(&s) > 0) {
		stream_sent(&s, stream_room(&s), false);
	}
	assert_false(stream_may_send(&s, 1));
	assert_int_equal(receive(&s, credit(FRAME_HEADER_SIZE), &why), STREAM_TAKE);
	assert_int_equal(stream_room(&s), 0);
	assert_true(stream_may_send(&s, 0));
	assert_false(stream_may_send(&s, 1));
	/* All that was sent may come back, but not a byte more. */
	struct stream more = s;
	uint32_t rest = STREAM_WINDOW - s.out.credit;
	assert_int_equal(receive(&more, credit(rest + 1), &why), STREAM_VIOLATION);
	assert_string_equal(why, "CREDIT for more than was sent");
	assert_int_equal(receive(&s, credit(rest), &why), STREAM_TAKE);
	assert_int_equal(receive(&s, credit(0), &why), STREAM_VIOLATION);
	stream_sent(&s, 0, true);
	assert_int_equal(s.out.state, STREAM_ENDED);
	assert_false(stream_may_send(&s, 0));
}

/* A piece has its own limit, whatever credit there is. */
static void pieces_are_bounded(void **state)
{
	struct stream s = { .out = { .state = STREAM_OPEN, .credit = 2 * STREAM_PIECE_MAX } };
	assert_true(stream_may_send(&s, STREAM_PIECE_MAX));
	assert_false(stream_may_send(&s, STREAM_PIECE_MAX + 1));
	assert_int_equal(stream_room(&s), STREAM_PIECE_MAX);
}

static void flags_belong_to_messages(void **state)
{
	struct stream body = { 0 };
	struct stream socket = { .messages = true };
	const char *why;
	assert_true(stream_open(&body.in) && stream_open(&socket.in));
	assert_int_equal(receive(&body, data(1, DATA_MORE), &why), STREAM_VIOLATION);
	assert_int_equal(receive(&body, data(1, DATA_TEXT), &why), STREAM_VIOLATION);
	assert_int_equal(receive(&body, data(0, 0), &why), STREAM_VIOLATION);
	assert_int_equal(receive(&body, data(0, DATA_LAST), &why), STREAM_TAKE);
	assert_int_equal(receive(&socket, data(1, DATA_MORE | DATA_TEXT), &why), STREAM_TAKE);
	assert_int_equal(receive(&socket, data(0, DATA_TEXT), &why), STREAM_TAKE);
	assert_int_equal(receive(&socket, of_type(MSG_RESULT), &why), STREAM_VIOLATION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_transition_of_what_comes),
		cmocka_unit_test(every_transition_of_credit),
		cmocka_unit_test(giving_up),
		cmocka_unit_test(a_reset_is_for_both_halves),
		cmocka_unit_test(credit_to_the_byte),
		cmocka_unit_test(a_dropped_half_opens_once),
		cmocka_unit_test(credit_comes_back_in_portions),
		cmocka_unit_test(sending_needs_credit),
		cmocka_unit_test(pieces_are_bounded),
		cmocka_unit_test(flags_belong_to_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
