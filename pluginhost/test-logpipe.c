/* Lines and budgets; the pipe itself with a loop. */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "pluginhost/logpipe.h"
#include "pluginhost/test-tree.h"

struct seen {
	char text[512];
	size_t cut;
};

static void see(void *context, struct slice line, size_t cut)
{
	struct seen *s = context;
	size_t n = strlen(s->text);
	(void)snprintf(s->text + n, sizeof(s->text) - n, "[%.*s]", (int)line.n,
		line.n == 0 ? "" : (const char *)line.p);
	s->cut += cut;
}

static void lines_are_cut_at_newlines(void **state)
{
	struct log_lines l;
	struct seen s = { "" };
	log_lines_init(&l, 8);
	log_lines_feed(&l, SLICE("one\ntw"), see, &s);
	log_lines_feed(&l, SLICE("o\r\n\n"), see, &s);
	assert_string_equal(s.text, "[one][two][]");
	log_lines_feed(&l, SLICE("12345678\n"), see, &s);
	assert_int_equal(s.cut, 0);
	log_lines_feed(&l, SLICE("123456789"), see, &s);
	log_lines_feed(&l, SLICE("abcdef\nx"), see, &s);
	assert_string_equal(s.text, "[one][two][][12345678][12345678]");
	assert_int_equal(s.cut, 7);
	log_lines_end(&l, see, &s);
	log_lines_end(&l, see, &s);
	assert_string_equal(s.text, "[one][two][][12345678][12345678][x]");
}

static void a_budget_refills(void **state)
{
	struct log_budget b;
	log_budget_init(&b, 1000, 5000, 1000000);
	assert_true(log_budget_take(&b, 5000, 1000000));
	assert_false(log_budget_take(&b, 1, 1000000));
	assert_int_equal(b.dropped_lines, 1);
	assert_false(log_budget_take(&b, 1000, 1000500));
	assert_true(log_budget_take(&b, 500, 1000500));
	/* A fraction of a byte is not lost. */
	for (int i = 1; i <= 10; i++) {
		(void)log_budget_take(&b, 0, 1000500 + i);
	}
	assert_int_equal(b.left, 10);
	/* Never more than the burst, however long the pause. */
	assert_true(log_budget_take(&b, 5000, UINT64_MAX / 2));
	assert_false(log_budget_take(&b, 1, UINT64_MAX / 2));
	assert_int_equal(b.dropped_lines, 3);
	assert_int_equal(b.dropped_bytes, 1002);
}

static void plugins_share_their_budget(void **state)
{
	struct log_budgets b = { .rate = 1000, .burst = 100 };
	struct log_budget *one = log_budgets_ref(&b, "one");
	assert_ptr_equal(log_budgets_ref(&b, "one"), one);
	struct log_budget *two = log_budgets_ref(&b, "two");
	assert_ptr_not_equal(one, two);
	assert_true(log_budget_take(one, 100, one->filled_ms));
	assert_true(log_budget_take(two, 100, two->filled_ms));
	log_budgets_unref(&b, one);
	log_budgets_unref(&b, one);
	log_budgets_unref(&b, NULL);
	log_budgets_unref(&b, two);
	assert_null(b.by_plugin);
}

static void gone(void *arg)
{
	*(bool *)arg = true;
}

/* Everything that a pipe logs goes to a file in place of stderr. */
static void run_pipe(const void *bytes, size_t n, size_t times, char *out, size_t out_size)
{
	char path[] = "/tmp/mozaiks-test-log-XXXXXX";
	int log = mkstemp(path);
	int stderr_copy = dup(STDERR_FILENO);
	assert_int_equal(dup2(log, STDERR_FILENO), STDERR_FILENO);
	log_init("test", LOG_INFO);
	uv_loop_t loop;
	assert_int_equal(uv_loop_init(&loop), 0);
	struct log_budget budget;
	log_budget_init(&budget, 64 * 1024, 256 * 1024, 0);
	const struct logpipe_config c = { .loop = &loop,
		.plugin = "hello",
		.version = "1",
		.stream = "stdout",
		.worker_id = 7,
		.budget = &budget,
		.line_max = 8192 };
	struct logpipe *l;
	int fd;
	bool closed = false;
	assert_int_equal(logpipe_new(&l, &c, &fd), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	for (size_t i = 0; i < times; i++) {
		while (write(fd, bytes, n) < 0) {
			(void)uv_run(&loop, UV_RUN_ONCE);
		}
	}
	(void)close(fd);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	logpipe_close(l, gone, &closed);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(closed);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(dup2(stderr_copy, STDERR_FILENO), STDERR_FILENO);
	(void)close(stderr_copy);
	ssize_t got = pread(log, out, out_size - 1, 0);
	out[got < 0 ? 0 : got] = '\0';
	(void)close(log);
	(void)unlink(path);
}

static void output_becomes_records(void **state)
{
	char out[8192];
	struct slice text = SLICE("hello\n\x1b[31mred\xff\",\"level\":\"error\n<0>forged\nno end");
	run_pipe(text.p, text.n, 1, out, sizeof(out));
	assert_non_null(strstr(out, "\"plugin\":\"hello\""));
	assert_non_null(strstr(out, "\"worker\":\"7\""));
	assert_non_null(strstr(out, "\"stream\":\"stdout\",\"line\":\"hello\""));
	assert_non_null(
		strstr(out, "\"line\":\"\\u001b[31mred\\ufffd\\\",\\\"level\\\":\\\"error\""));
	assert_non_null(strstr(out, "\"line\":\"<0>forged\""));
	assert_non_null(strstr(out, "\"line\":\"no end\""));
	/* One record per line, none of them begun by the plugin. */
	int records = 0;
	for (const char *p = out; *p != '\0'; p = strchr(p, '\n') + 1) {
		assert_int_equal(*p, '{');
		records++;
	}
	assert_int_equal(records, 4);
}

/* What floods is dropped, counted, and read slowly: it is the writer that waits. */
static void a_flood_is_dropped_and_counted(void **state)
{
	enum {
		OUT = 4 * 1024 * 1024,
		LINES = 1000,
		KEPT = 256 * 1024 / (1000 - 1 + LOG_RECORD_COST)
	};
	char *out = malloc(OUT);
	char line[1000];
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	uint64_t before = clock_ms();
	run_pipe(line, sizeof(line), LINES, out, OUT);
	uint64_t periods = (clock_ms() - before) / LOGPIPE_PAUSE_MS + 1;
	size_t lines = 0;
	for (const char *p = out; (p = strstr(p, "\"line\":")) != NULL; p++) {
		lines++;
	}
	/* The burst, and what came in again meanwhile: six lines a period. */
	assert_in_range(lines, KEPT, KEPT + 6 * periods);
	unsigned long long dropped = 0;
	for (const char *p = out; (p = strstr(p, "dropped ")) != NULL; p++) {
		dropped += strtoull(p + strlen("dropped "), NULL, 10);
	}
	assert_int_equal(lines + dropped, LINES);
	/* A period ends with the read that goes over. */
	assert_true(dropped * sizeof(line) <=
		periods * (LOGPIPE_DROP_BYTES + LOGPIPE_READ_BYTES) + LOGPIPE_READ_BYTES);
	assert_true(periods > 3);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_cut_at_newlines),
		cmocka_unit_test(a_budget_refills),
		cmocka_unit_test(plugins_share_their_budget),
		cmocka_unit_test(output_becomes_records),
		cmocka_unit_test(a_flood_is_dropped_and_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
