/* The last lines, and no more of them than fit. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/log_tail.h"

static void assert_json(const struct log_tail *t, const char *wanted)
{
	struct buffer b;
	buffer_init(&b, 65536);
	assert_int_equal(log_tail_append_json(t, &b), 0);
	assert_int_equal(buffer_append_byte(&b, '\0'), 0);
	assert_string_equal((const char *)b.p, wanted);
	buffer_deinit(&b);
}

static void keeps_the_last_whole_lines(void **state)
{
	struct log_tail t;
	log_tail_init(&t, 12);
	assert_json(&t, "[]");
	log_tail_add(&t, SLICE("one"));
	log_tail_add(&t, SLICE("two"));
	log_tail_add(&t, SLICE("ten"));
	assert_json(&t, "[\"one\",\"two\",\"ten\"]");
	log_tail_add(&t, SLICE(""));
	assert_json(&t, "[\"two\",\"ten\",\"\"]");
	log_tail_add(&t, SLICE("elevenchars"));
	assert_json(&t, "[\"elevenchars\"]");
	log_tail_add(&t, SLICE("twelve chars"));
	assert_json(&t, "[\"twelve char\"]");
	log_tail_deinit(&t);
}

static void a_line_is_one_line(void **state)
{
	struct log_tail t;
	log_tail_init(&t, 100);
	log_tail_add(&t, SLICE("a\r\nb\n"));
	log_tail_add(&t, SLICE("c\"\x1b"));
	assert_json(&t, "[\"a  b \",\"c\\\"\\u001b\"]");
	log_tail_deinit(&t);
}

static void a_long_line_is_cut_between_characters(void **state)
{
	struct log_tail t;
	char line[LOG_TAIL_LINE_MAX + 2];
	memset(line, 'x', sizeof(line));
	/* The last character would end one byte after the limit. */
	memcpy(line + LOG_TAIL_LINE_MAX - 1, "\xc3\xa4", 2);
	log_tail_init(&t, 4096);
	log_tail_add(&t, slice_of(line, sizeof(line)));
	assert_int_equal(t.text.n, LOG_TAIL_LINE_MAX);
	log_tail_deinit(&t);
}

static void none_is_kept_when_nothing_may_be(void **state)
{
	struct log_tail t;
	log_tail_init(&t, 0);
	log_tail_add(&t, SLICE("x"));
	assert_json(&t, "[]");
	log_tail_init(&t, 1);
	log_tail_add(&t, SLICE("x"));
	assert_json(&t, "[\"\"]");
	log_tail_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_last_whole_lines),
		cmocka_unit_test(a_line_is_one_line),
		cmocka_unit_test(a_long_line_is_cut_between_characters),
		cmocka_unit_test(none_is_kept_when_nothing_may_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
