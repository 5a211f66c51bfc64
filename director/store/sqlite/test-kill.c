/*
 * kill -9 under writes, at random moments. This program is its own child: the child writes through the
 * store, as fast as it can, and reports each command before it submits it and when it is answered; the
 * parent kills it and reads everything back (test-history.h).
 *
 * KILL_POINTS: how often (20).
 */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/base/test-folder.h"
#include "director/store/sqlite/test-history.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POINTS_PER_DATABASE = 25, ANSWERS_MAX = 150 };

/* One line of the history, child to parent. */
struct report {
	uint32_t seq;
	uint32_t acknowledged; /* 0: about to be submitted */
};

/* --- the child --- */

static void report(void *arg, uint32_t seq, bool acknowledged)
{
	struct report r = { seq, acknowledged };
	if (write(STDOUT_FILENO, &r, sizeof(r)) != sizeof(r)) {
		_exit(3);
	}
}

static int child_main(const char *dir, const char *first)
{
	uv_loop_t loop;
	struct load load = { .next = (uint32_t)strtoul(first, NULL, 10),
		.end = HISTORY_WRITES_MAX,
		.report = report };
	log_init("child", LOG_ERROR);
	if (map_init() < 0 || uv_loop_init(&loop) < 0 || load_open(&loop, dir, &load.store) < 0) {
		return 2;
	}
	load_start(&load);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	return 5; /* it is killed before */
}

/* --- the parent --- */

static struct history history;
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 11) % n;
}

/* Reads reports until the pipe ends; kills the child some time after it has had so many answers. */
static void watch(pid_t pid, int fd, unsigned answers, uint32_t then_ms)
{
	struct report reports[512];
	uint64_t deadline = answers > 0 ? UINT64_MAX : clock_ms() + then_ms;
	unsigned enough = history.acknowledgements + answers;
	bool killed = false;
	for (;;) {
		if (!killed && clock_ms() >= deadline) {
			assert_int_equal(kill(pid, SIGKILL), 0);
			killed = true;
		}
		struct pollfd p = { .fd = fd, .events = POLLIN };
		(void)poll(&p, 1, 1);
		if (p.revents == 0) {
			continue;
		}
		ssize_t n = read(fd, reports, sizeof(reports));
		if (n <= 0) {
			break;
		}
		/* A pipe keeps short writes whole, and the child writes no others. */
		assert_int_equal(n % (ssize_t)sizeof(reports[0]), 0);
		for (size_t i = 0; i < (size_t)n / sizeof(reports[0]); i++) {
			history_note(&history, reports[i].seq, reports[i].acknowledged != 0);
		}
		if (deadline == UINT64_MAX && history.acknowledgements >= enough) {
			deadline = clock_ms() + then_ms;
		}
	}
	assert_true(killed);
}

static void run_child(const char *dir, unsigned answers, uint32_t then_ms)
{
	int fds[2];
	char first[16];
	int status = 0;
	(void)snprintf(first, sizeof(first), "%u", history.next);
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(fds[1], STDOUT_FILENO);
		(void)close(fds[0]);
		(void)close(fds[1]);
		(void)execl("/proc/self/exe", "test-kill", "child", dir, first, NULL);
		_exit(6);
	}
	(void)close(fds[1]);
	watch(pid, fds[0], answers, then_ms);
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Kills on one database, which lives through all of them. */
static void kill_often(unsigned points)
{
	char dir[TEST_FOLDER_BYTES];
	history_clear(&history);
	assert_int_equal(test_folder_make(dir, "test-kill"), 0);
	for (unsigned i = 0; i < points && history.next < HISTORY_WRITES_MAX / 2; i++) {
		uint32_t first = history.next;
		/* Most are killed at work, some while they start and recover. */
		bool at_work = i % 4 != 3;
		run_child(dir, at_work ? 1 + random_below(ANSWERS_MAX) : 0, random_below(30));
		history_check(&history, dir, first);
	}
	assert_int_equal(test_folder_remove(dir), 0);
}

static void nothing_acknowledged_is_lost(void **state)
{
	const char *wanted = getenv("KILL_POINTS");
	unsigned points = wanted == NULL ? 20 : (unsigned)strtoul(wanted, NULL, 10);
	for (unsigned done = 0; done < points; done += POINTS_PER_DATABASE) {
		unsigned left = points - done;
		kill_often(left < POINTS_PER_DATABASE ? left : POINTS_PER_DATABASE);
	}
	(void)printf("%u kills, %u writes acknowledged\n", points, history.acknowledgements);
	assert_true(history.acknowledgements > points);
	assert_true(history.changes_found > 0);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_acknowledged_is_lost) };
	if (argc == 4 && strcmp(argv[1], "child") == 0) {
		return child_main(argv[2], argv[3]);
	}
	log_init("test", LOG_ERROR);
	history_init(&history);
	int r = map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	history_deinit(&history);
	return r;
}
