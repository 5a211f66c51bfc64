/* The libuv wrapper: what is promised about reading, writing, closing and threads. */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/test-folder.h"
#include "common/uvx/async.h"
#include "common/uvx/later.h"
#include "common/uvx/listener.h"
#include "common/uvx/poll.h"
#include "common/uvx/signal.h"
#include "common/uvx/stream.h"
#include "common/uvx/timer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static uv_loop_t loop;

static int setup(void **state)
{
	return uv_loop_init(&loop);
}

/* Fails when a test left a handle open. */
static int teardown(void **state)
{
	return uv_loop_close(&loop);
}

static void count(void *arg)
{
	(*(unsigned *)arg)++;
}

static void run_until(const unsigned *value, unsigned wanted)
{
	for (int i = 0; i < 100000 && *value < wanted; i++) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	assert_int_equal(*value, wanted);
}

static void turn_loop(int turns)
{
	for (int i = 0; i < turns; i++) {
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
}

/* Timers, closing */

static void timers_fire_and_closes_are_counted(void **state)
{
	struct uvx_timer once;
	struct uvx_timer every;
	struct uvx_timer never;
	unsigned n_once = 0;
	unsigned n_every = 0;
	unsigned n_never = 0;
	unsigned ends = 0;
	uvx_timer_init(&once, &loop, count, &n_once);
	uvx_timer_init(&every, &loop, count, &n_every);
	uvx_timer_init(&never, &loop, count, &n_never);
	uvx_timer_once(&once, 1);
	uvx_timer_every(&every, 0);
	uvx_timer_once(&never, 1);
	uvx_timer_stop(&never);
	run_until(&n_every, 5);
	assert_int_equal(n_once, 1);

	struct uvx_closing closing;
	uvx_closing_begin(&closing, count, &ends);
	uvx_timer_close(&once, uvx_closing_one, uvx_closing_add(&closing));
	uvx_timer_close(&every, uvx_closing_one, uvx_closing_add(&closing));
	uvx_timer_close(&never, uvx_closing_one, uvx_closing_add(&closing));
	uvx_closing_one(&closing);
	/* A second close neither crashes nor calls back. */
	uvx_timer_close(&never, count, &n_never);
	uvx_timer_once(&never, 0);
	assert_int_equal(ends, 0);
	run_until(&ends, 1);
	turn_loop(3);
	assert_int_equal(n_never, 0);
	assert_int_equal(n_every, 5);
}

/* Signals */

static void remember_signal(void *arg, int signum)
{
	*(int *)arg = signum;
}

static void signals_are_events(void **state)
{
	static const int watched[] = { SIGUSR1, SIGUSR2 };
	struct uvx_signals signals;
	struct uvx_timer alive; /* the signals themselves keep no loop running */
	int seen = 0;
	unsigned ends = 0;
	unsigned fired = 0;
	uvx_timer_init(&alive, &loop, count, &fired);
	uvx_timer_every(&alive, 1);
	assert_int_equal(uvx_signals_init(&signals, &loop, watched, 2, remember_signal, &seen), 0);
	assert_int_equal(raise(SIGUSR2), 0);
	for (int i = 0; i < 1000 && seen == 0; i++) {
		(void)uv_run(&loop, UV_RUN_ONCE);
	}
	assert_int_equal(seen, SIGUSR2);
	uvx_timer_close(&alive, NULL, NULL);
	uvx_signals_close(&signals, count, &ends);
	uvx_signals_close(&signals, count, &ends);
	run_until(&ends, 1);

	static const int wrong[] = { SIGUSR1, SIGKILL };
	assert_int_equal(
		uvx_signals_init(&signals, &loop, wrong, 2, remember_signal, &seen), -EINVAL);
	uvx_signals_close(&signals, count, &ends);
	run_until(&ends, 2);
}

/* The door */

enum { PUSHERS = 4, PUSHES = 2000 };

struct parcel {
	struct uvx_item item;
	int pusher;
	int number;
};

struct delivery {
	struct uvx_door door;
	int next[PUSHERS];
	unsigned n;
	bool ordered;
};

struct pusher {
	struct delivery *to;
	int id;
};

static void deliver(void *arg, struct uvx_item *item)
{
	struct delivery *d = arg;
	struct parcel *p = (struct parcel *)item;
	d->ordered = d->ordered && d->next[p->pusher] == p->number;
	d->next[p->pusher]++;
	d->n++;
	free(p);
}

static void push_all(void *arg)
{
	struct pusher *me = arg;
	for (int i = 0; i < PUSHES; i++) {
		struct parcel *p = malloc(sizeof(*p));
		if (p == NULL) {
			return;
		}
		*p = (struct parcel){ .pusher = me->id, .number = i };
		if (!uvx_door_push(&me->to->door, &p->item)) {
			free(p);
		}
	}
}

static void threads_enter_by_the_door(void **state)
{
	struct delivery d = { .ordered = true };
	uv_thread_t threads[PUSHERS];
	struct pusher pushers[PUSHERS];
	unsigned ends = 0;
	assert_int_equal(uvx_door_init(&d.door, &loop, deliver, &d), 0);
	for (int i = 0; i < PUSHERS; i++) {
		pushers[i] = (struct pusher){ .to = &d, .id = i };
		assert_int_equal(uv_thread_create(&threads[i], push_all, &pushers[i]), 0);
	}
	run_until(&d.n, PUSHERS * PUSHES);
	for (int i = 0; i < PUSHERS; i++) {
		assert_int_equal(uv_thread_join(&threads[i]), 0);
	}
	assert_true(d.ordered);

	/* What is in the door at its close is delivered, what comes later is refused. */
	struct parcel *last = malloc(sizeof(*last));
	assert_non_null(last);
	*last = (struct parcel){ .number = PUSHES };
	assert_true(uvx_door_push(&d.door, &last->item));
	uvx_door_close(&d.door, count, &ends);
	assert_int_equal(d.n, PUSHERS * PUSHES + 1);
	struct parcel late = { 0 };
	assert_false(uvx_door_push(&d.door, &late.item));
	run_until(&ends, 1);
	assert_int_equal(d.n, PUSHERS * PUSHES + 1);
}

/* Later */

struct again {
	struct uvx_later later;
	unsigned n;
	unsigned wanted;
};

static void ask_again(void *arg)
{
	struct again *a = arg;
	if (++a->n < a->wanted) {
		uvx_later_ask(&a->later);
	}
}

static void later_runs_once_per_turn(void **state)
{
	struct again a = { .wanted = 1 };
	unsigned ends = 0;
	uvx_later_init(&a.later, &loop, ask_again, &a);
	uvx_later_ask(&a.later);
	uvx_later_ask(&a.later);
	assert_int_equal(a.n, 0);
	turn_loop(3);
	assert_int_equal(a.n, 1);
	a.wanted = 3;
	uvx_later_ask(&a.later);
	turn_loop(1);
	assert_int_equal(a.n, 2);
	turn_loop(1);
	assert_int_equal(a.n, 3);
	turn_loop(3);
	assert_int_equal(a.n, 3);
	uvx_later_close(&a.later, count, &ends);
	uvx_later_ask(&a.later);
	run_until(&ends, 1);
	assert_int_equal(a.n, 3);
}

/* Poll */

struct drainer {
	struct uvx_poll poll;
	int fd;
	unsigned n;
};

static void drain_pipe(void *arg)
{
	struct drainer *d = arg;
	char bytes[16];
	ssize_t n = read(d->fd, bytes, sizeof(bytes));
	d->n += n > 0 ? (unsigned)n : 0;
}

static void poll_pauses(void **state)
{
	int fds[2];
	unsigned ends = 0;
	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	struct drainer d = { .fd = fds[0] };
	assert_int_equal(uvx_poll_init(&d.poll, &loop, fds[0], drain_pipe, &d), 0);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	run_until(&d.n, 3);
	assert_int_equal(uvx_poll_pause(&d.poll), 0);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	turn_loop(3);
	assert_int_equal(d.n, 3);
	assert_int_equal(uvx_poll_resume(&d.poll), 0);
	run_until(&d.n, 6);
	uvx_poll_close(&d.poll, count, &ends);
	run_until(&ends, 1);
	assert_true(uvx_poll_resume(&d.poll) < 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

/* Streams */

struct talker {
	struct uvx_stream stream;
	struct uvx_listener *listener;
	uint8_t in[4096];
	size_t n_in;
	size_t room; /* bytes per read */
	unsigned ends;
	int end_error;
	unsigned sents;
	int sent_error;
	unsigned closes;
};

static struct uvx_room talker_room(struct uvx_stream *s)
{
	struct talker *t = s->owner;
	size_t left = sizeof(t->in) - t->n_in;
	return (struct uvx_room){ t->in + t->n_in, left < t->room ? left : t->room };
}

static void talker_received(struct uvx_stream *s, size_t n)
{
	struct talker *t = s->owner;
	t->n_in += n;
}

static void talker_ended(struct uvx_stream *s, int error)
{
	struct talker *t = s->owner;
	t->ends++;
	t->end_error = error;
}

static void talker_sent(struct uvx_stream *s, int error)
{
	struct talker *t = s->owner;
	t->sents++;
	t->sent_error = error;
}

static const struct uvx_stream_ops talker_ops = { talker_room, talker_received, talker_ended,
	talker_sent };

/* A stream and the blocking other end of it. */
static int talker_open(struct talker *t)
{
	int fds[2];
	*t = (struct talker){ .room = sizeof(t->in) };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	uvx_stream_init_unix(&t->stream, &loop, &talker_ops, t);
	assert_int_equal(uvx_stream_open(&t->stream, fds[0]), 0);
	return fds[1];
}

static void stream_reads_into_the_owners_room(void **state)
{
	struct talker t;
	int peer = talker_open(&t);
	assert_int_equal(write(peer, "hello", 5), 5);
	turn_loop(2);
	assert_int_equal(t.n_in, 0); /* not asked to read yet */
	t.room = 2;
	assert_int_equal(uvx_stream_read(&t.stream), 0);
	assert_int_equal(uvx_stream_read(&t.stream), 0);
	turn_loop(4);
	assert_memory_equal(t.in, "hello", 5);
	/* Without room reading stops, and resumes on request. */
	t.room = 0;
	assert_int_equal(write(peer, " you", 4), 4);
	turn_loop(4);
	assert_int_equal(t.n_in, 5);
	assert_false(t.stream.reading);
	t.room = 100;
	assert_int_equal(uvx_stream_read(&t.stream), 0);
	turn_loop(2);
	assert_int_equal(t.n_in, 9);
	assert_memory_equal(t.in, "hello you", 9);
	(void)close(peer);
	run_until(&t.ends, 1);
	assert_int_equal(t.end_error, 0);
	turn_loop(3);
	assert_int_equal(t.ends, 1);
	uvx_stream_close(&t.stream, count, &t.closes);
	uvx_stream_close(&t.stream, count, &t.closes);
	assert_int_equal(t.closes, 0);
	run_until(&t.closes, 1);
}

enum { BIG = 2 * 1024 * 1024 };

static void stream_sends_more_than_the_kernel_takes(void **state)
{
	struct talker t;
	int peer = talker_open(&t);
	uint8_t *big = malloc(BIG);
	uint8_t *got = malloc(BIG + 16);
	assert_non_null(big);
	assert_non_null(got);
	for (size_t i = 0; i < BIG; i++) {
		big[i] = (uint8_t)(i * 7 + i / 251);
	}
	uv_buf_t small = uv_buf_init((char *)"first ", 6);
	assert_int_equal(uvx_stream_send(&t.stream, &small, 1), UVX_SENT);
	assert_int_equal(uvx_stream_queued(&t.stream), 0);
	uv_buf_t bufs[2] = { uv_buf_init((char *)big, 1000),
		uv_buf_init((char *)big + 1000, BIG - 1000) };
	assert_int_equal(uvx_stream_send(&t.stream, bufs, 2), UVX_QUEUED);
	assert_int_equal(uvx_stream_send(&t.stream, &small, 1), UVX_QUEUED);
	assert_true(uvx_stream_queued(&t.stream) > 0);
	/* What the kernel holds is on its way, too. */
	assert_true(uvx_stream_unsent(&t.stream) > uvx_stream_queued(&t.stream));
	memset(big, 0, 1000); /* the caller's bytes are its own again */

	size_t n = 0;
	while (n < BIG + 12) {
		ssize_t r = recv(peer, got + n, BIG + 16 - n, MSG_DONTWAIT);
		n += r > 0 ? (size_t)r : 0;
		turn_loop(1);
		assert_true(r > 0 || errno == EAGAIN);
	}
	run_until(&t.sents, 1);
	assert_int_equal(t.sent_error, 0);
	assert_memory_equal(got, "first ", 6);
	assert_memory_equal(got + 6 + BIG, "first ", 6);
	for (size_t i = 0; i < BIG; i++) {
		assert_int_equal(got[6 + i], (uint8_t)(i * 7 + i / 251));
	}
	uvx_stream_finish(&t.stream);
	assert_int_equal(recv(peer, got, 1, 0), 0);
	free(big);
	free(got);
	uvx_stream_close(&t.stream, count, &t.closes);
	run_until(&t.closes, 1);
	(void)close(peer);
}

static void close_cuts_off_what_is_queued(void **state)
{
	struct talker t;
	int peer = talker_open(&t);
	char *big = calloc(1, BIG);
	assert_non_null(big);
	uv_buf_t buf = uv_buf_init(big, BIG);
	assert_int_equal(uvx_stream_read(&t.stream), 0);
	assert_int_equal(uvx_stream_send(&t.stream, &buf, 1), UVX_QUEUED);
	assert_int_equal(uvx_stream_send(&t.stream, &buf, 1), UVX_QUEUED);
	free(big);
	uvx_stream_close(&t.stream, count, &t.closes);
	run_until(&t.closes, 1);
	turn_loop(2);
	assert_int_equal(t.sents, 0);
	assert_int_equal(t.ends, 0);
	(void)close(peer);
}

static void a_broken_peer_is_an_error(void **state)
{
	struct talker t;
	int peer = talker_open(&t);
	(void)close(peer);
	uv_buf_t buf = uv_buf_init((char *)"x", 1);
	assert_int_equal(uvx_stream_send(&t.stream, &buf, 1), -EPIPE);
	uvx_stream_close(&t.stream, count, &t.closes);
	run_until(&t.closes, 1);
}

/* Listeners */

static void accept_one(struct uvx_listener *l)
{
	struct talker *t = l->owner;
	int r = uvx_listener_accept(l, &t->stream, &talker_ops, t);
	assert_true(r == 0 || r == -EAGAIN);
	t->sents += r == 0;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		(void)close(fd);
		return -errno;
	}
	return fd;
}

static void unix_listener_keeps_its_file(void **state)
{
	char folder[TEST_FOLDER_BYTES];
	char path[TEST_FOLDER_BYTES + 2];
	struct uvx_listener l;
	struct talker t = { .room = 64 };
	struct stat st;
	unsigned ends = 0;
	assert_int_equal(test_folder_make(folder, "test-uvx"), 0);
	(void)snprintf(path, sizeof(path), "%s/s", folder);

	/* A file that nobody listens on is replaced, also with its mode; one in use is not. */
	int stale = uvx_listen_unix(path, 0777);
	assert_true(stale >= 0);
	assert_int_equal(uvx_listen_unix(path, 0600), -EADDRINUSE);
	(void)close(stale);
	int fd = uvx_listen_unix(path, 0620);
	assert_true(fd >= 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0620);
	assert_int_equal(uvx_listener_init(&l, &loop, fd, path, accept_one, &t), 0);

	int client = connect_unix(path);
	assert_true(client >= 0);
	run_until(&t.sents, 1);
	uid_t uid = 12345;
	pid_t pid = 0;
	assert_true(uvx_stream_peer(&t.stream, &uid, &pid));
	assert_int_equal(uid, getuid());
	assert_int_equal(pid, getpid());
	uvx_stream_close(&t.stream, count, &t.closes);
	uvx_listener_close(&l, count, &ends);
	assert_int_equal(lstat(path, &st), -1);
	run_until(&ends, 1);
	run_until(&t.closes, 1);
	(void)close(client);

	char longer[200];
	memset(longer, 'x', sizeof(longer));
	longer[199] = '\0';
	assert_int_equal(uvx_listen_unix(longer, 0600), -ENAMETOOLONG);
	assert_int_equal(uvx_listen_unix("", 0600), -EINVAL);
	/* A file that is no socket is never removed. */
	int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	(void)close(file);
	assert_int_equal(uvx_listen_unix(path, 0600), -EADDRINUSE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

struct greedy {
	int result;
	unsigned asked;
	struct uvx_stream stream;
};

static void accept_or_not(struct uvx_listener *l)
{
	struct greedy *g = l->owner;
	g->asked++;
	int r = uvx_listener_accept(l, &g->stream, &talker_ops, NULL);
	g->result = r == -EAGAIN ? g->result : r;
}

/* Without a descriptor to spare the loop goes on, and who waits is taken later. */
static void listener_outlives_a_want_of_descriptors(void **state)
{
	struct uvx_listener l;
	struct greedy g = { .result = 1 };
	unsigned ends = 0;
	struct rlimit old;
	int fd = uvx_listen_tcp("127.0.0.1", 0);
	assert_true(fd >= 0);
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)uvx_listen_port(fd)) };
	assert_int_equal(uvx_listener_init(&l, &loop, fd, NULL, accept_or_not, &g), 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	struct rlimit none = { .rlim_cur = 0, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 10; i++) {
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(g.result, -EMFILE);
	/* It is not told again and again of what it cannot take. */
	assert_int_equal(g.asked, 1);

	accept_or_not(&l);
	assert_int_equal(g.result, 0);
	uvx_stream_close(&g.stream, count, &ends);
	run_until(&ends, 1);
	/* And it is told of the next one. */
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(other, (struct sockaddr *)&address, sizeof(address)), 0);
	g.result = 1;
	g.asked = 0;
	for (int i = 0; i < 100 && g.result != 0; i++) {
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(g.result, 0);
	/* Once for it, and once to find that it was the only one. */
	assert_int_equal(g.asked, 2);
	uvx_stream_close(&g.stream, count, &ends);
	uvx_listener_close(&l, count, &ends);
	run_until(&ends, 3);
	(void)close(client);
	(void)close(other);
}

static void listener_takes_only_listening_sockets(void **state)
{
	struct uvx_listener l;
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(uvx_listener_init(&l, &loop, fds[0], NULL, accept_one, NULL), -ENOTSOCK);
	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(uvx_listener_init(&l, &loop, fds[0], NULL, accept_one, NULL), -EINVAL);
	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_int_equal(uvx_listen_tcp("127.0.0.1", 65536), -EINVAL);
	assert_int_equal(uvx_listen_tcp("not an address", 0), -EINVAL);
	assert_int_equal(uvx_listen_tcp("192.0.2.1", 0), -EADDRNOTAVAIL);

	int fd = uvx_listen_tcp("127.0.0.1", 0);
	assert_true(fd >= 0);
	int port = uvx_listen_port(fd);
	assert_true(port > 0);
	assert_int_equal(uvx_listen_tcp("127.0.0.1", port), -EADDRINUSE);
	(void)close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			timers_fire_and_closes_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(signals_are_events, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_enter_by_the_door, setup, teardown),
		cmocka_unit_test_setup_teardown(later_runs_once_per_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(poll_pauses, setup, teardown),
		cmocka_unit_test_setup_teardown(stream_reads_into_the_owners_room, setup, teardown),
		cmocka_unit_test_setup_teardown(
			stream_sends_more_than_the_kernel_takes, setup, teardown),
		cmocka_unit_test_setup_teardown(close_cuts_off_what_is_queued, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_peer_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(unix_listener_keeps_its_file, setup, teardown),
		cmocka_unit_test_setup_teardown(
			listener_outlives_a_want_of_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(
			listener_takes_only_listening_sockets, setup, teardown),
	};
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
