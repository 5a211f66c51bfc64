/* What systemd hears and hands over, with this test in its place. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/service/notify.h"
#include "common/service/sockets.h"
#include "common/service/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static uv_loop_t loop;
static int notify_fd;
static char notify_path[64];

static int set_up(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	(void)snprintf(notify_path, sizeof(notify_path), "/tmp/mozaiks-notify-%d", getpid());
	(void)unlink(notify_path);
	memcpy(address.sun_path, notify_path, strlen(notify_path) + 1);
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return notify_fd < 0 || bind(notify_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
			setenv("NOTIFY_SOCKET", notify_path, 1) < 0
		? -1
		: uv_loop_init(&loop);
}

static int tear_down(void **state)
{
	(void)close(notify_fd);
	(void)unlink(notify_path);
	(void)unsetenv("NOTIFY_SOCKET");
	return uv_loop_close(&loop);
}

/* The next message, or "" when there is none. */
static const char *heard(void)
{
	static char text[1024];
	ssize_t n = recv(notify_fd, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void messages(void **state)
{
	service_ready("Serving on %s", "127.0.0.1:8080");
	assert_string_equal(heard(), "READY=1\nSTATUS=Serving on 127.0.0.1:8080");
	/* Nobody's words become an assignment. */
	service_status("a\nWATCHDOG=trigger");
	assert_string_equal(heard(), "STATUS=a");
	service_stopping();
	assert_string_equal(heard(), "STOPPING=1\nSTATUS=Stopping");
	assert_string_equal(heard(), "");
}

static void nothing_without_systemd(void **state)
{
	(void)unsetenv("NOTIFY_SOCKET");
	service_ready("x");
	service_stopping();
	(void)setenv("NOTIFY_SOCKET", notify_path, 1);
	assert_string_equal(heard(), "");
}

/* ---- The watchdog, on a clock that the test sets ---- */

static uint64_t now;
static uint64_t step;

static uint64_t stepping_clock(void)
{
	now += step;
	return now;
}

enum { TEST_USEC = 150000, TEST_BEAT_MS = 10, TEST_LATE_MS = 20 };

static void beats(struct watchdog *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned before = w->beats;
		while (w->beats == before) {
			(void)uv_run(&loop, UV_RUN_ONCE);
		}
	}
}

static void close_watchdog(struct watchdog *w)
{
	watchdog_close(w, NULL, NULL);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
}

static void the_watchdog_is_fed_every_fifth_beat(void **state)
{
	struct watchdog w;
	step = TEST_BEAT_MS;
	watchdog_init_at(&w, &loop, TEST_USEC, stepping_clock);
	beats(&w, WATCHDOG_BEATS - 1);
	assert_string_equal(heard(), "");
	beats(&w, 1);
	assert_string_equal(heard(), "WATCHDOG=1");
	beats(&w, 2 * WATCHDOG_BEATS);
	assert_string_equal(heard(), "WATCHDOG=1");
	assert_string_equal(heard(), "WATCHDOG=1");
	assert_string_equal(heard(), "");
	assert_int_equal(w.withheld, 0);
	close_watchdog(&w);
}

static void a_late_beat_costs_one_feed(void **state)
{
	struct watchdog w;
	step = TEST_BEAT_MS;
	watchdog_init_at(&w, &loop, TEST_USEC, stepping_clock);
	/* Exactly as late as allowed. */
	now += TEST_LATE_MS;
	beats(&w, WATCHDOG_BEATS);
	assert_string_equal(heard(), "WATCHDOG=1");
	now += TEST_LATE_MS + 1;
	beats(&w, WATCHDOG_BEATS);
	assert_string_equal(heard(), "STATUS=A turn of the loop took 21 ms");
	assert_int_equal(w.withheld, 1);
	beats(&w, WATCHDOG_BEATS);
	assert_string_equal(heard(), "WATCHDOG=1");
	/* Late all the time: never fed. */
	step = TEST_BEAT_MS + TEST_LATE_MS + 1;
	beats(&w, 3 * WATCHDOG_BEATS);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(heard(), "STATUS=A turn of the loop took 21 ms");
	}
	assert_string_equal(heard(), "");
	close_watchdog(&w);
}

static void the_times_of_the_units(void **state)
{
	struct watchdog w;
	step = 0;
	watchdog_init_at(&w, &loop, 15000000, stepping_clock);
	assert_int_equal(w.beat_ms, WATCHDOG_BEAT_MS);
	assert_int_equal(w.late_ms, WATCHDOG_LATE_MS);
	close_watchdog(&w);
	/* A longer one changes nothing. */
	watchdog_init_at(&w, &loop, UINT64_MAX, stepping_clock);
	assert_int_equal(w.beat_ms, WATCHDOG_BEAT_MS);
	close_watchdog(&w);
	watchdog_init_at(&w, &loop, 0, stepping_clock);
	assert_int_equal(w.beat_ms, 0);
	assert_false(uv_is_active((uv_handle_t *)&w.timer.handle));
	close_watchdog(&w);
}

/* ---- Sockets ---- */

static void sockets_are_taken_once(void **state)
{
	int status = 0;
	int first;
	(void)unsetenv("LISTEN_FDS");
	assert_int_equal(service_sockets(&first), 0);
	pid_t child = fork();
	if (child == 0) {
		char pid[16];
		(void)snprintf(pid, sizeof(pid), "%d", getpid());
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		bool ready = fd >= 0 && dup2(fd, 3) == 3 && setenv("LISTEN_PID", pid, 1) == 0 &&
			setenv("LISTEN_FDS", "1", 1) == 0;
		int n = service_sockets(&first);
		bool taken = n == 1 && first == 3 && fcntl(3, F_GETFD) == FD_CLOEXEC;
		_exit(ready && taken && service_sockets(&first) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* They are meant for another process. */
static void sockets_of_others_are_left(void **state)
{
	int first;
	(void)setenv("LISTEN_PID", "1", 1);
	(void)setenv("LISTEN_FDS", "1", 1);
	assert_int_equal(service_sockets(&first), 0);
	assert_null(getenv("LISTEN_FDS"));
	(void)setenv("LISTEN_PID", "x", 1);
	(void)setenv("LISTEN_FDS", "1", 1);
	assert_true(service_sockets(&first) < 0);
}

#define WITH_SOCKET(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SOCKET(messages),
		WITH_SOCKET(nothing_without_systemd),
		WITH_SOCKET(the_watchdog_is_fed_every_fifth_beat),
		WITH_SOCKET(a_late_beat_costs_one_feed),
		WITH_SOCKET(the_times_of_the_units),
		cmocka_unit_test(sockets_are_taken_once),
		cmocka_unit_test(sockets_of_others_are_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
