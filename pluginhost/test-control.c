/* What the director may say, and what ends the connection. */
#include "common/proto/pair0.h"
#include "pluginhost/control.h"
#include "pluginhost/test-tree.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

struct heard {
	char text[512];
};

static void add(void *context, const char *word, uint64_t id, struct slice s)
{
	struct heard *h = context;
	size_t n = strlen(h->text);
	(void)snprintf(h->text + n, sizeof(h->text) - n, "%s %llu %.*s;", word,
		(unsigned long long)id, (int)s.n, s.n == 0 ? "" : (const char *)s.p);
}

static void on_discover(void *context)
{
	add(context, "discover", 0, SLICE_NULL);
}

static void on_start(void *context, uint64_t id, struct slice spec)
{
	add(context, "start", id, spec);
}

static void on_kill(void *context, uint64_t id)
{
	add(context, "kill", id, SLICE_NULL);
}

static void on_limits(void *context, uint64_t id, struct slice limits)
{
	add(context, "limits", id, limits);
}

static void on_serves(void *context, uint64_t id)
{
	add(context, "serves", id, SLICE_NULL);
}

static void on_up(void *context)
{
	add(context, "up", 0, SLICE_NULL);
}

static void on_down(void *context)
{
	add(context, "down", 0, SLICE_NULL);
}

static struct control_handler handler_of(struct heard *h)
{
	return (struct control_handler){ .up = on_up,
		.down = on_down,
		.discover = on_discover,
		.start = on_start,
		.kill = on_kill,
		.limits = on_limits,
		.serves = on_serves,
		.context = h };
}

static void frames_reach_their_handlers(void **state)
{
	struct heard h = { "" };
	struct control_handler handler = handler_of(&h);
	struct buffer b;
	buffer_init(&b, 4096);
	const struct msg_start start = { .spec = SLICE("{\"plugin\":\"a\"}") };
	const struct msg_limits limits = { .limits = SLICE("{}") };
	assert_int_equal(frame_append(&b, &(struct frame){ .type = MSG_DISCOVER }), 0);
	assert_int_equal(msg_start_append(&b, &(struct frame){ .call_id = 7 }, &start), 0);
	assert_int_equal(frame_append(&b, &(struct frame){ .type = MSG_KILL, .call_id = 9 }), 0);
	assert_int_equal(msg_limits_append(&b, &(struct frame){ .call_id = 8 }, &limits), 0);
	assert_int_equal(frame_append(&b, &(struct frame){ .type = MSG_SERVES, .call_id = 5 }), 0);
	assert_null(control_dispatch(buffer_slice(&b), &handler));
	assert_string_equal(
		h.text, "discover 0 ;start 7 {\"plugin\":\"a\"};kill 9 ;limits 8 {};serves 5 ;");
	assert_null(control_dispatch(SLICE_NULL, &handler));
	buffer_deinit(&b);
}

static void anything_else_is_refused(void **state)
{
	static const struct {
		struct frame f;
		const char *why;
	} cases[] = {
		{ { .type = 0 }, "unknown type" },
		{ { .type = 63 }, "unknown type" },
		{ { .type = 255 }, "unknown type" },
		{ { .type = MSG_EXITED, .payload = { (const uint8_t *)"{}", 2 } },
			"wrong direction" },
		{ { .type = MSG_HELLO, .payload = { (const uint8_t *)"12345", 5 } },
			"wrong direction" },
		{ { .type = MSG_EXECUTE, .payload = { (const uint8_t *)"0123456789012", 13 } },
			"a frame that is not for pluginhost" },
		{ { .type = MSG_PING }, "a frame that is not for pluginhost" },
		{ { .type = MSG_KILL, .flags = 1 }, "reserved flags" },
		{ { .type = MSG_KILL, .capability = 3 }, "unexpected capability" },
		{ { .type = MSG_KILL, .payload = { (const uint8_t *)"x", 1 } },
			"payload too long" },
		{ { .type = MSG_START }, "payload too short" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct heard h = { "" };
		struct control_handler handler = handler_of(&h);
		struct buffer b;
		buffer_init(&b, 4096);
		assert_int_equal(frame_append(&b, &cases[i].f), 0);
		const char *why = control_dispatch(buffer_slice(&b), &handler);
		assert_non_null(why);
		assert_string_equal(why, cases[i].why);
		assert_string_equal(h.text, "");
		buffer_deinit(&b);
	}
	struct heard h = { "" };
	struct control_handler handler = handler_of(&h);
	assert_string_equal(control_dispatch(SLICE("short"), &handler), "a malformed frame");
	assert_string_equal(
		control_dispatch(SLICE("\xff\xff\xff\xff\x24\0\0\0\0\0\0\0\0\0\0\0"), &handler),
		"a malformed frame");
}

static int listen_at(struct tree *t, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%.40s/%.40s", t->path, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void connecting_follows_no_link(void **state)
{
	struct tree t;
	tree_init(&t);
	tree_dir(&t, "workers");
	tree_dir(&t, "workers/1");
	tree_file(&t, "workers/1/file", "");
	int server = listen_at(&t, "workers/1/channel.sock");
	assert_int_equal(symlinkat("1", t.fd, "workers/2"), 0);
	assert_int_equal(symlinkat("channel.sock", t.fd, "workers/1/link.sock"), 0);
	int workers = beneath_open(t.fd, "workers", O_PATH | O_DIRECTORY);

	int fd = control_connect(workers, "1/channel.sock");
	assert_true(fd >= 0);
	assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	int peer = accept(server, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(write(peer, "x", 1), 1);
	char c = 0;
	assert_int_equal(read(fd, &c, 1), 1);
	(void)close(fd);
	(void)close(peer);

	assert_int_equal(control_connect(workers, "2/channel.sock"), -ELOOP);
	assert_int_equal(control_connect(workers, "1/link.sock"), -ELOOP);
	assert_int_equal(control_connect(workers, "../workers/1/channel.sock"), -EXDEV);
	assert_int_equal(control_connect(workers, "1/file"), -ENOTSOCK);
	assert_int_equal(control_connect(workers, "1/absent"), -ENOENT);
	(void)close(server);
	assert_int_equal(control_connect(workers, "1/channel.sock"), -ECONNREFUSED);
	(void)close(workers);
	tree_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_reach_their_handlers),
		cmocka_unit_test(anything_else_is_refused),
		cmocka_unit_test(connecting_follows_no_link),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
