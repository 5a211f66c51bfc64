/*
 * The server from outside: a child process runs it with a few handlers, the test talks raw bytes to
 * it over sockets. The child ends itself through drain and close, and its exit status (with a
 * sanitizer: also leaks) is part of each test.
 */
/* cmocka.h needs what stands before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/map.h"
#include "common/uvx/listener.h"
#include "common/uvx/signal.h"
#include "common/uvx/timer.h"
#include "director/http/http.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the test waits for anything; never reached when all is well. */
enum { PATIENCE_MS = 60000 };

/* The child */

struct child {
	uv_loop_t loop;
	struct http_server *server;
	struct uvx_signals signals;
	unsigned heads;
	unsigned bodies;
	unsigned aborts;
	unsigned contexts; /* set and not released */
	unsigned observed;
	unsigned observed_gone;
	unsigned timers;
	uv_prepare_t prepare; /* the two ends of the loop's waiting */
	uv_check_t check;
	unsigned in_turn; /* requests that were served since the loop last turned */
	unsigned most_in_turn;
	struct http_request *held[8];
	unsigned n_held;
};

static struct child child;

/* An answer that comes later. */
struct later {
	struct uvx_timer timer;
	struct http_request *request; /* NULL once it was aborted */
	struct buffer body;
};

static void context_release(void *context)
{
	child.contexts--;
	free(context);
}

static bool count_head(void *owner, struct http_request *r)
{
	child.heads++;
	child.contexts++;
	http_request_set_context(r, malloc(16), context_release);
	return true;
}

static void answer_text(struct http_request *r, struct slice text)
{
	struct http_response response = {
		.status = 200, .content_type = SLICE("text/plain"), .body = { text }
	};
	http_respond(r, &response);
}

static void livez(void *owner, struct http_request *r, struct slice body)
{
	child.in_turn++;
	answer_text(r, SLICE("ok"));
}

static void echo(void *owner, struct http_request *r, struct slice body)
{
	child.bodies++;
	size_t half = body.n / 2;
	struct http_response response = { .status = 200,
		.body = { slice_of(body.p, half), slice_skip(body, half) } };
	http_respond(r, &response);
}

static void count_abort(void *owner, struct http_request *r)
{
	child.aborts++;
}

static void later_free(void *arg)
{
	struct later *l = arg;
	child.timers--;
	buffer_deinit(&l->body);
	free(l);
}

static void later_fired(void *arg)
{
	struct later *l = arg;
	if (l->request != NULL) {
		answer_text(l->request, buffer_slice(&l->body));
	}
	uvx_timer_close(&l->timer, later_free, l);
}

static void start_later(struct http_request *r, struct slice body)
{
	uint64_t ms = 0;
	(void)slice_to_u64(http_request_param(r, 0), 1000000, &ms);
	struct later *l = calloc(1, sizeof(*l));
	if (l == NULL) {
		http_problem(r, 503, NULL, 1, "out of memory");
		return;
	}
	child.timers++;
	l->request = r;
	buffer_init(&l->body, 1000000);
	(void)buffer_append(&l->body, body);
	uvx_timer_init(&l->timer, &child.loop, later_fired, l);
	uvx_timer_once(&l->timer, ms);
	http_request_set_context(r, l, NULL);
}

static void later(void *owner, struct http_request *r, struct slice body)
{
	child.bodies++;
	start_later(r, body);
}

static void later_abort(void *owner, struct http_request *r)
{
	struct later *l = http_request_context(r);
	child.aborts++;
	l->request = NULL;
	uvx_timer_once(&l->timer, 0);
}

/* Answers while the body may still be on its way. */
static bool early(void *owner, struct http_request *r)
{
	start_later(r, SLICE("early"));
	return true;
}

static void wait_on(void *owner, struct http_request *r, struct slice body)
{
}

static bool secret(void *owner, struct http_request *r)
{
	child.heads++;
	if (!slice_eq(http_request_header(r, SLICE("authorization")), SLICE("Bearer good"))) {
		http_problem(r, 401, "unauthorized", 0, "not you");
		return false;
	}
	return true;
}

static void big(void *owner, struct http_request *r, struct slice body)
{
	uint64_t n = 0;
	(void)slice_to_u64(http_request_param(r, 0), 100000000, &n);
	uint8_t *bytes = malloc(n > 0 ? n : 1);
	if (bytes == NULL) {
		http_problem(r, 503, NULL, 1, "out of memory");
		return;
	}
	for (uint64_t i = 0; i < n; i++) {
		bytes[i] = (uint8_t)('a' + i % 26);
	}
	answer_text(r, slice_of(bytes, n));
	free(bytes);
}

static void stats(void *owner, struct http_request *r, struct slice body)
{
	char text[200];
	int n = snprintf(text, sizeof(text),
		"heads=%u bodies=%u aborts=%u contexts=%u observed=%u gone=%u timers=%u turn=%u",
		child.heads, child.bodies, child.aborts, child.contexts, child.observed,
		child.observed_gone, child.timers, child.most_in_turn);
	answer_text(r, slice_of(text, (size_t)n));
}

static void problem(void *owner, struct http_request *r, struct slice body)
{
	struct slice how = http_request_param(r, 0);
	uint64_t status = 500;
	(void)slice_to_u64(how, 599, &status);
	if (status == 422) {
		http_problem_extra(
			r, 422, "invalid", 9, SLICE("\"errors\":[\"x\"]"), "no %s", "way");
	} else {
		http_problem(r, (int)status, NULL, status == 503 ? 7 : 0, "secret %d", 42);
	}
}

static void evil(void *owner, struct http_request *r, struct slice body)
{
	static const struct http_header headers[] = {
		{ SLICE("X-A"), SLICE("1\r\nX-Evil: 1") },
		{ SLICE("X-B"), SLICE("2") },
	};
	struct http_response response = { .status = 700, .headers = headers, .n_headers = 2 };
	http_respond(r, &response);
}

/* Kept until somebody else's request lets them go. */
static void hold(void *owner, struct http_request *r, struct slice body)
{
	child.held[child.n_held++] = r;
}

static void release(void *owner, struct http_request *r, struct slice body)
{
	while (child.n_held > 0) {
		answer_text(child.held[--child.n_held], SLICE("released"));
	}
	answer_text(r, SLICE("done"));
}

static void turned(void)
{
	child.most_in_turn =
		child.in_turn > child.most_in_turn ? child.in_turn : child.most_in_turn;
	child.in_turn = 0;
}

static void before_waiting(uv_prepare_t *handle)
{
	turned();
}

static void after_waiting(uv_check_t *handle)
{
	turned();
}

static void who(void *owner, struct http_request *r, struct slice body)
{
	uid_t uid = 0;
	pid_t pid = 0;
	char text[100];
	int n = snprintf(text, sizeof(text), "tcp");
	if (http_request_peer(r, &uid, &pid)) {
		n = snprintf(text, sizeof(text), "uid=%u pid=%d", (unsigned)uid, (int)pid);
	}
	answer_text(r, slice_of(text, (size_t)n));
}

static void what(void *owner, struct http_request *r, struct slice body)
{
	struct buffer text;
	buffer_init(&text, 100000);
	(void)buffer_printf(&text, "%d ", (int)http_request_method(r));
	(void)buffer_append(&text, http_request_path(r));
	(void)buffer_append_byte(&text, ' ');
	(void)buffer_append(&text, http_request_query(r));
	(void)buffer_append_byte(&text, ' ');
	(void)buffer_append(&text, http_request_param(r, 0));
	(void)buffer_append_byte(&text, ' ');
	(void)buffer_append(&text, http_request_id(r));
	answer_text(r, buffer_slice(&text));
	buffer_deinit(&text);
}

static void child_closed(void *arg)
{
	uv_close((uv_handle_t *)&child.prepare, NULL);
	uv_close((uv_handle_t *)&child.check, NULL);
	uvx_signals_close(&child.signals, NULL, NULL);
	http_server_free(child.server);
	child.server = NULL;
}

static void child_drained(void *arg)
{
	http_server_close(child.server, child_closed, NULL);
}

/* SIGTERM drains, SIGUSR1 cuts. */
static void child_signal(void *arg, int signum)
{
	if (signum == SIGTERM) {
		http_server_drain(child.server, child_drained, NULL);
	} else {
		http_server_close(child.server, child_closed, NULL);
	}
}

static void drain(void *owner, struct http_request *r, struct slice body)
{
	/* From within a handler, and twice. */
	http_server_drain(child.server, child_drained, NULL);
	http_server_drain(child.server, NULL, NULL);
	answer_text(r, SLICE("bye"));
}

static void observe(void *owner, const struct http_outcome *outcome)
{
	child.observed++;
	child.observed_gone += outcome->status == 499 ? 1 : 0;
}

static const struct http_handler livez_handler = { .on_body = livez };
static const struct http_handler echo_handler = { count_head, echo, count_abort };
static const struct http_handler later_handler = { NULL, later, later_abort };
static const struct http_handler early_handler = { early, wait_on, later_abort };
static const struct http_handler secret_handler = { secret, echo, count_abort };
static const struct http_handler big_handler = { .on_body = big };
static const struct http_handler stats_handler = { .on_body = stats };
static const struct http_handler fail_handler = { .on_body = problem };
static const struct http_handler evil_handler = { .on_body = evil };
static const struct http_handler who_handler = { .on_body = who };
static const struct http_handler what_handler = { .on_body = what };
static const struct http_handler hold_handler = { .on_body = hold };
static const struct http_handler release_handler = { .on_body = release };
static const struct http_handler drain_handler = { .on_body = drain };

static const struct http_route routes[] = {
	{ HTTP_M_GET, "/livez", &livez_handler, NULL },
	{ HTTP_M_POST, "/echo", &echo_handler, NULL },
	{ HTTP_M_POST, "/later/{ms}", &later_handler, NULL },
	{ HTTP_M_POST, "/early/{ms}", &early_handler, NULL },
	{ HTTP_M_POST, "/secret", &secret_handler, NULL },
	{ HTTP_M_GET, "/big/{n}", &big_handler, NULL },
	{ HTTP_M_GET, "/stats", &stats_handler, NULL },
	{ HTTP_M_GET, "/fail/{status}", &fail_handler, NULL },
	{ HTTP_M_GET, "/evil", &evil_handler, NULL },
	{ HTTP_M_GET, "/who", &who_handler, NULL },
	{ HTTP_M_GET, "/what/{it}", &what_handler, NULL },
	{ HTTP_M_POST, "/drain", &drain_handler, NULL },
	{ HTTP_M_GET, "/hold", &hold_handler, NULL },
	{ HTTP_M_GET, "/release", &release_handler, NULL },
};

static int child_main(int listener, const char *path, const struct http_limits *limits)
{
	static const int watched[] = { SIGTERM, SIGUSR1 };
	struct http_config config = {
		.loop = &child.loop,
		.routes = routes,
		.n_routes = sizeof(routes) / sizeof(routes[0]),
		.limits = *limits,
		.observe = observe,
	};
	int r = uv_loop_init(&child.loop);
	r = r < 0 ? r : http_server_new(&child.server, &config);
	r = r < 0 ? r : http_server_listen_fd(child.server, listener);
	if (r == 0 && path != NULL) {
		r = http_server_listen_unix(child.server, path, 0600);
	}
	r = r < 0 ? r
		  : uvx_signals_init(&child.signals, &child.loop, watched, 2, child_signal, NULL);
	if (r < 0) {
		return 1;
	}
	(void)uv_prepare_init(&child.loop, &child.prepare);
	(void)uv_check_init(&child.loop, &child.check);
	(void)uv_prepare_start(&child.prepare, before_waiting);
	(void)uv_check_start(&child.check, after_waiting);
	uv_unref((uv_handle_t *)&child.prepare);
	uv_unref((uv_handle_t *)&child.check);
	(void)uv_run(&child.loop, UV_RUN_DEFAULT);
	bool clean = child.server == NULL && child.contexts == 0 && child.timers == 0;
	return uv_loop_close(&child.loop) == 0 && clean ? 0 : 2;
}

/* The test's side */

struct server {
	pid_t pid;
	int port;
	char path[64]; /* of the unix socket, when it has one */
};

static void server_start(struct server *s, const struct http_limits *limits, bool with_path)
{
	*s = (struct server){ 0 };
	int listener = uvx_listen_tcp("127.0.0.1", 0);
	assert_true(listener >= 0);
	s->port = uvx_listen_port(listener);
	if (with_path) {
		(void)snprintf(s->path, sizeof(s->path), "/tmp/test-http-%d.sock", (int)getpid());
	}
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* exit() and not _exit(): a leak checker reports at exit. */
		exit(child_main(listener, with_path ? s->path : NULL, limits));
	}
	(void)close(listener);
}

/* Waits for the child's own end and checks that it was a clean one. */
static void server_wait(struct server *s)
{
	int status = -1;
	uint64_t until = clock_ms() + PATIENCE_MS;
	pid_t r = 0;
	while (r == 0 && clock_ms() < until) {
		r = waitpid(s->pid, &status, WNOHANG);
		(void)usleep(1000);
	}
	if (r == 0) {
		(void)kill(s->pid, SIGKILL);
		(void)waitpid(s->pid, &status, 0);
		fail_msg("the server did not end");
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void server_stop(struct server *s, int signum)
{
	assert_int_equal(kill(s->pid, signum), 0);
	server_wait(s);
}

static int try_connect(const struct server *s)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(s->port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		(void)close(fd);
		return -1;
	}
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	return fd;
}

static int open_connection(const struct server *s)
{
	int fd = try_connect(s);
	assert_true(fd >= 0);
	return fd;
}

/* Sends what the server will take; it may close while we send. */
static void send_bytes(int fd, struct slice bytes, size_t step)
{
	while (bytes.n > 0) {
		size_t n = bytes.n < step ? bytes.n : step;
		ssize_t r = send(fd, bytes.p, n, MSG_NOSIGNAL);
		if (r < 0) {
			assert_true(errno == EPIPE || errno == ECONNRESET);
			return;
		}
		bytes = slice_skip(bytes, (size_t)r);
	}
}

static void send_text(int fd, const char *text)
{
	send_bytes(fd, slice_str(text), SIZE_MAX);
}

/* A process that sends, so that what comes back can be read meanwhile: no kernel need hold it. */
static pid_t send_beside(int fd, struct slice bytes)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		send_bytes(fd, bytes, SIZE_MAX);
		_exit(0);
	}
	return pid;
}

static void wait_for_sender(pid_t pid)
{
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Reads once. @return bytes; 0 at the end; -1 when nothing came within `ms`; -2 for a reset. */
static ssize_t read_some(int fd, struct buffer *in, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if (poll(&p, 1, ms) <= 0) {
		return -1;
	}
	assert_int_equal(buffer_reserve(in, 65536), 0);
	ssize_t n = recv(fd, in->p + in->n, 65536, 0);
	if (n > 0) {
		in->n += (size_t)n;
	}
	return n < 0 ? -2 : n;
}

struct answer {
	int status;
	size_t head_n;
	size_t total_n;
	struct slice head;
	struct slice body;
};

/* The answer at the front of `in`. @return false while it is not complete. */
static bool parse_answer(struct slice in, bool to_head, struct answer *a)
{
	const uint8_t *end = in.n == 0 ? NULL : memmem(in.p, in.n, "\r\n\r\n", 4);
	if (end == NULL) {
		return false;
	}
	a->head_n = (size_t)(end - in.p) + 4;
	a->head = slice_of(in.p, a->head_n);
	assert_true(slice_starts(in, SLICE("HTTP/1.1 ")));
	a->status = (in.p[9] - '0') * 100 + (in.p[10] - '0') * 10 + (in.p[11] - '0');
	size_t body_n = 0;
	const char *length = memmem(in.p, a->head_n, "Content-Length: ", 16);
	if (length != NULL && !to_head) {
		body_n = strtoul(length + 16, NULL, 10);
	}
	a->total_n = a->head_n + body_n;
	a->body = slice_of(in.p + a->head_n, body_n);
	return a->total_n <= in.n;
}

/* Conversations: what is sent, which statuses come back, and whether the connection goes on. */

struct conversation {
	const char *send;
	size_t n; /* 0: up to the NUL */
	/* "200", "200H" (to HEAD), several with blanks; '.' at the end: then the server ends it. */
	const char *expect;
};

/* For messages about failures. */
static const struct conversation *talking;

/* Waits for one answer; its slices stay valid until `in` is used again. Fails without one. */
static struct answer get_answer(int fd, struct buffer *in, bool to_head)
{
	struct answer a;
	while (!parse_answer(buffer_slice(in), to_head, &a)) {
		ssize_t r = read_some(fd, in, PATIENCE_MS);
		if (r <= 0) {
			fail_msg("no answer (%d) after: %.*s in %s", (int)r, (int)in->n,
				(const char *)in->p, talking == NULL ? "" : talking->send);
		}
	}
	return a;
}

static bool has(struct slice s, const char *part)
{
	return memmem(s.p, s.n, part, strlen(part)) != NULL;
}

/* Waits for the server's end of the connection, without a reset. */
static void expect_end(int fd, struct buffer *in)
{
	assert_int_equal(read_some(fd, in, PATIENCE_MS), 0);
	assert_int_equal(in->n, 0);
}

/* One request on a connection of its own. `ret_body` must hold 200 bytes. */
static int ask(const struct server *s, const char *request, char *ret_body)
{
	struct buffer in;
	int fd = open_connection(s);
	buffer_init(&in, 1 << 24);
	send_text(fd, request);
	struct answer a = get_answer(fd, &in, false);
	if (ret_body != NULL) {
		assert_true(a.body.n < 200);
		memcpy(ret_body, a.body.p, a.body.n);
		ret_body[a.body.n] = '\0';
	}
	int status = a.status;
	buffer_deinit(&in);
	(void)close(fd);
	return status;
}

static void wait_for_stats(const struct server *s, const char *wanted)
{
	char body[200] = "";
	for (uint64_t until = clock_ms() + PATIENCE_MS; clock_ms() < until;) {
		assert_int_equal(ask(s, "GET /stats HTTP/1.1\r\nHost: a\r\n\r\n", body), 200);
		if (strstr(body, wanted) != NULL) {
			return;
		}
		(void)usleep(1000);
	}
	fail_msg("%s instead of %s", body, wanted);
}

#define H11            " HTTP/1.1\r\nHost: a\r\n"
#define LIVEZ          "GET /livez" H11 "\r\n"
#define BYTES(literal) literal, sizeof(literal) - 1

static void converse(const struct server *s, const struct conversation *c, size_t step)
{
	struct buffer in;
	int fd = open_connection(s);
	buffer_init(&in, 1 << 24);
	send_bytes(fd, slice_of(c->send, c->n > 0 ? c->n : strlen(c->send)), step);
	const char *e = c->expect;
	talking = c;
	while (*e >= '0' && *e <= '9') {
		int status = (int)strtol(e, (char **)(uintptr_t)&e, 10);
		bool to_head = *e == 'H';
		struct answer a = get_answer(fd, &in, to_head);
		if (a.status != status) {
			print_error("%s\n%.*s\n", c->send, (int)a.total_n, (const char *)in.p);
		}
		assert_int_equal(a.status, status);
		e += to_head ? 1 : 0;
		/* The last answer, and only that, says that the connection ends. */
		assert_int_equal(has(a.head, "\r\nConnection: close\r\n"), *e == '.');
		buffer_consume(&in, a.total_n);
		e += *e == ' ' ? 1 : 0;
	}
	if (*e == '.') {
		expect_end(fd, &in);
	} else {
		send_text(fd, LIVEZ);
		struct answer a = get_answer(fd, &in, false);
		assert_int_equal(a.status, 200);
		assert_int_equal(a.total_n, in.n);
	}
	buffer_deinit(&in);
	(void)close(fd);
}

static const struct conversation conversations[] = {
	/* keep-alive and pipelining */
	{ LIVEZ, 0, "200" },
	{ LIVEZ LIVEZ LIVEZ, 0, "200 200 200" },
	{ LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ
			LIVEZ LIVEZ LIVEZ LIVEZ LIVEZ,
		0,
		"200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200" },
	{ "GET /livez" H11 "Connection: close\r\n\r\n", 0, "200." },
	{ "GET /livez" H11 "Connection: close\r\n\r\n" LIVEZ "surplus", 0, "200." },
	{ "GET /livez HTTP/1.0\r\n\r\n", 0, "200." },
	{ "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, "200" },
	{ "HEAD /livez" H11 "\r\n" LIVEZ, 0, "200H 200" },
	{ "HEAD /nope" H11 "\r\n" LIVEZ, 0, "404H 200" },
	{ "\r\n" LIVEZ, 0, "200" },
	/* bodies */
	{ "POST /echo" H11 "Content-Length: 5\r\n\r\nhello" LIVEZ, 0, "200 200" },
	{ "POST /echo" H11 "Content-Length: 0\r\n\r\n" LIVEZ, 0, "200 200" },
	{ "POST /echo" H11 "\r\n" LIVEZ, 0, "200 200" },
	{ "GET /livez" H11 "Content-Length: 5\r\n\r\nhello" LIVEZ, 0, "200 200" },
	{ "POST /echo" H11
	  "Transfer-Encoding: chunked\r\n\r\n5;a=b;c\r\nhello\r\n0\r\nT: v\r\n\r\n" LIVEZ,
		0, "200 200" },
	{ "POST /later/5" H11 "Content-Length: 5\r\n\r\nhello" LIVEZ "POST /later/1" H11 "\r\n", 0,
		"200 200 200" },
	{ "POST /early/0" H11 "Content-Length: 5\r\n\r\nhello" LIVEZ, 0, "200 200" },
	/* routing */
	{ "GET /nope" H11 "\r\n" LIVEZ, 0, "404 200" },
	{ "GET /livez/" H11 "\r\n" LIVEZ, 0, "404 200" },
	{ "GET //livez" H11 "\r\n" LIVEZ, 0, "404 200" },
	{ "GET /%6civez" H11 "\r\n" LIVEZ, 0, "200 200" },
	{ "GET /a/../livez" H11 "\r\n" LIVEZ, 0, "400 200" },
	{ "GET /%2e%2e/livez" H11 "\r\n", 0, "400" },
	{ "GET /what/a%2fb" H11 "\r\n", 0, "400" },
	{ "GET /what/a%5cb" H11 "\r\n", 0, "400" },
	{ "GET /what/a\\b" H11 "\r\n", 0, "400" },
	{ "GET /what/%00" H11 "\r\n", 0, "400" },
	{ "GET /what/%c0%af" H11 "\r\n", 0, "400" },
	{ "GET http://b/livez" H11 "\r\n", 0, "200" },
	{ "POST /livez" H11 "\r\n" LIVEZ, 0, "405 200" },
	{ "TRACE /livez" H11 "\r\n", 0, "405" },
	{ "OPTIONS /livez" H11 "\r\n", 0, "204" },
	{ "OPTIONS *" H11 "\r\n", 0, "204" },
	{ "OPTIONS /nope" H11 "\r\n", 0, "404" },
	{ "CONNECT b:443" H11 "\r\n", 0, "501." },
	{ "BREW /livez" H11 "\r\n", 0, "501." },
	/* an answer before the body: a short one is read away, a long or unknown one ends it */
	{ "POST /nope" H11 "Content-Length: 5\r\n\r\nhello" LIVEZ, 0, "404 200" },
	{ "POST /nope" H11 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 0, "404." },
	{ "POST /nope" H11 "Content-Length: 70000\r\n\r\n", 0, "404." },
	{ "POST /secret" H11 "Content-Length: 900000\r\n\r\n", 0, "401." },
	{ "POST /secret" H11 "Content-Length: 2\r\n\r\n{}" LIVEZ, 0, "401 200" },
	{ "POST /secret" H11 "Authorization: Bearer good\r\nContent-Length: 2\r\n\r\n{}" LIVEZ, 0,
		"200 200" },
	/* who is not let in is not told about sizes and encodings */
	{ "POST /secret" H11 "Content-Length: 90000000\r\n\r\n", 0, "401." },
	{ "POST /secret" H11 "Content-Length: 9\r\nContent-Encoding: gzip\r\n\r\n123456789", 0,
		"401" },
	{ "POST /secret" H11 "Authorization: Bearer good\r\nContent-Length: 90000000\r\n\r\n", 0,
		"413." },
	{ "POST /echo" H11 "Content-Length: 9\r\nContent-Encoding: gzip\r\n\r\n123456789", 0,
		"415." },
	{ "POST /echo" H11 "Content-Length: 9\r\nContent-Encoding: identity\r\n\r\n123456789", 0,
		"200" },
	{ "POST /echo" H11 "Transfer-Encoding: chunked\r\n\r\nFFFFFF\r\n", 0, "413." },
	{ "POST /echo" H11 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\n", 0, "400." },
	{ "POST /echo" H11 "Transfer-Encoding: chunked\r\n\r\nX\r\n", 0, "400." },
	/* Expect */
	{ "POST /echo" H11 "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", 0, "200" },
	{ "POST /secret" H11 "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 0, "401." },
	{ "POST /echo" H11 "Expect: 100-continue\r\nContent-Length: 90000000\r\n\r\n", 0, "413." },
	{ "POST /echo" H11 "Expect: something\r\nContent-Length: 5\r\n\r\nhello", 0, "417." },
	{ "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", 0,
		"200." },
	/* what smugglers try: one error, and nothing behind it is looked at */
	{ "POST /echo" H11 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" LIVEZ,
		0, "400." },
	{ "POST /echo" H11 "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" LIVEZ, 0, "400." },
	{ "POST /echo" H11 "Content-Length: +5\r\n\r\nhello" LIVEZ, 0, "400." },
	{ "POST /echo" H11 "Content-Length: 5,5\r\n\r\nhello" LIVEZ, 0, "400." },
	{ "POST /echo" H11 "Content-Length: 0x5\r\n\r\nhello" LIVEZ, 0, "400." },
	{ "POST /echo" H11 "Content-Length : 5\r\n\r\nhello" LIVEZ, 0, "400." },
	{ "POST /echo" H11 "Content-Length: 5\r\n 0\r\n\r\nhello" LIVEZ, 0, "400." },
	{ "POST /echo" H11 "X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" LIVEZ, 0, "400." },
	{ "POST /echo" H11 "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" LIVEZ, 0,
		"400." },
	{ "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" LIVEZ, 0, "400." },
	{ LIVEZ "GET /livez HTTP/1.1\nHost: a\n\n" LIVEZ, 0, "200 400." },
	{ LIVEZ "GET /livez HTTP/1.1\r\n\r\n" LIVEZ, 0, "200 400." },
	{ "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 0, "400." },
	{ "GET /livez HTTP/1.1\r\nHost: a/b\r\n\r\n", 0, "400." },
	{ BYTES("GET /livez" H11 "X: a\0b\r\n\r\n"), "400." },
	{ "GET /livez HTTP/2.0\r\n\r\n", 0, "505." },
	{ "GET /livez" H11 "X-HTTP-Method-Override: POST\r\n\r\n", 0, "400." },
	{ "GET /livez" H11 "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" LIVEZ, 0, "200 200" },
};

static const struct http_limits ordinary = { .connections = 200 };

static void answers_do_not_depend_on_how_bytes_arrive(void **state)
{
	struct server s;
	server_start(&s, &ordinary, false);
	for (size_t i = 0; i < sizeof(conversations) / sizeof(conversations[0]); i++) {
		converse(&s, &conversations[i], SIZE_MAX);
		converse(&s, &conversations[i], 1);
		converse(&s, &conversations[i], 7);
	}
	wait_for_stats(&s, "contexts=0");
	server_stop(&s, SIGTERM);
}

static void answers_come_in_order(void **state)
{
	struct server s;
	struct buffer out;
	struct buffer in;
	server_start(&s, &ordinary, false);
	buffer_init(&out, 1 << 20);
	buffer_init(&in, 1 << 24);
	for (int i = 0; i < 1000; i++) {
		const char *path = i % 100 == 7 ? "/later/1" : "/echo";
		assert_int_equal(
			buffer_printf(&out, "POST %s" H11 "Content-Length: 6\r\n\r\n%06d", path, i),
			0);
	}
	int fd = open_connection(&s);
	pid_t sender = send_beside(fd, buffer_slice(&out));
	for (int i = 0; i < 1000; i++) {
		char number[7];
		struct answer a = get_answer(fd, &in, false);
		(void)snprintf(number, sizeof(number), "%06d", i);
		assert_int_equal(a.status, 200);
		assert_memory_equal(a.body.p, number, 6);
		buffer_consume(&in, a.total_n);
	}
	wait_for_sender(sender);
	(void)close(fd);
	buffer_deinit(&in);
	buffer_deinit(&out);
	server_stop(&s, SIGTERM);
}

/* While one request waits, the others behind it wait as bytes in the kernel, not in the server. */
static void pipelining_is_held_back(void **state)
{
	struct server s;
	static char flood[64 * 1024];
	size_t sent = 0;
	server_start(&s, &ordinary, false);
	int fd = open_connection(&s);
	send_text(fd, "POST /later/600000" H11 "\r\n");
	wait_for_stats(&s, "bodies=1 ");
	for (size_t n = 0; n < sizeof(flood); n += sizeof(LIVEZ) - 1) {
		size_t left = sizeof(flood) - n;
		memcpy(flood + n, LIVEZ, left < sizeof(LIVEZ) - 1 ? left : sizeof(LIVEZ) - 1);
	}
	/* The kernel takes some megabytes at most; then we must be stuck. */
	for (int idle = 0; idle < 20;) {
		ssize_t r = send(fd, flood, sizeof(flood), MSG_NOSIGNAL | MSG_DONTWAIT);
		assert_true(r > 0 || errno == EAGAIN);
		sent += r > 0 ? (size_t)r : 0;
		assert_true(sent < 200 * 1024 * 1024);
		if (r <= 0) {
			idle++;
			(void)usleep(5000);
		}
	}
	/* Everybody else is served, and the client that goes away is noticed at the latest at close. */
	assert_int_equal(ask(&s, LIVEZ, NULL), 200);
	(void)close(fd);
	server_stop(&s, SIGUSR1);
}

/* A client that takes no answers gets no further requests served. */
static void answers_are_held_back(void **state)
{
	struct server s;
	struct buffer out;
	server_start(&s, &ordinary, false);
	buffer_init(&out, 1 << 20);
	for (int i = 0; i < 100; i++) {
		(void)buffer_append(&out, SLICE("GET /big/10000000" H11 "\r\n"));
	}
	int fd = open_connection(&s);
	send_bytes(fd, buffer_slice(&out), SIZE_MAX);
	/* The first is answered; its bytes are stuck, and so is the rest. */
	struct pollfd begun = { .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&begun, 1, PATIENCE_MS), 1);
	for (int i = 0; i < 20; i++) {
		(void)usleep(1000);
		assert_int_equal(ask(&s, LIVEZ, NULL), 200);
	}
	char body[200];
	assert_int_equal(ask(&s, "GET /stats" H11 "\r\n", body), 200);
	const char *observed = strstr(body, "observed=");
	assert_non_null(observed);
	/* What was asked here, and one or two that fit into the kernel's buffers. */
	assert_true(strtol(observed + 9, NULL, 10) < 40);
	(void)close(fd);
	buffer_deinit(&out);
	server_stop(&s, SIGTERM);
}

/* Nobody gets more than eight requests served before the others have their turn. */
static void turns_are_shared(void **state)
{
	struct server s;
	struct buffer out;
	struct buffer in;
	server_start(&s, &ordinary, false);
	buffer_init(&out, 1 << 20);
	buffer_init(&in, 1 << 24);
	for (int i = 0; i < 5000; i++) {
		(void)buffer_append(&out, SLICE(LIVEZ));
	}
	int fd = open_connection(&s);
	pid_t sender = send_beside(fd, buffer_slice(&out));
	for (int i = 0; i < 5000; i++) {
		struct answer a = get_answer(fd, &in, false);
		assert_int_equal(a.status, 200);
		buffer_consume(&in, a.total_n);
	}
	wait_for_sender(sender);
	char body[200];
	assert_int_equal(ask(&s, "GET /stats" H11 "\r\n", body), 200);
	const char *turn = strstr(body, "turn=");
	assert_non_null(turn);
	assert_int_equal(strtol(turn + 5, NULL, 10), 8);
	(void)close(fd);
	/* Those who go away while it is not their turn are forgotten. */
	struct linger hard = { .l_onoff = 1 };
	for (int i = 0; i < 50; i++) {
		fd = open_connection(&s);
		(void)send(fd, out.p, 20000, MSG_NOSIGNAL | MSG_DONTWAIT);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
		(void)close(fd);
	}
	assert_int_equal(ask(&s, LIVEZ, NULL), 200);
	buffer_deinit(&out);
	buffer_deinit(&in);
	server_stop(&s, SIGTERM);
}

/* A handler may answer somebody else's request while it is called. */
static void answers_reach_their_own_client(void **state)
{
	struct server s;
	struct buffer in;
	int held[3];
	server_start(&s, &ordinary, false);
	buffer_init(&in, 1 << 20);
	for (int i = 0; i < 3; i++) {
		held[i] = open_connection(&s);
		send_text(held[i], LIVEZ "GET /hold" H11 "\r\n");
		assert_true(slice_eq(get_answer(held[i], &in, false).body, SLICE("ok")));
		buffer_clear(&in);
	}
	int fd = open_connection(&s);
	send_text(fd, LIVEZ "GET /release" H11 "\r\n" LIVEZ);
	static const char *const own[] = { "ok", "done", "ok" };
	for (int i = 0; i < 3; i++) {
		struct answer a = get_answer(fd, &in, false);
		assert_true(slice_eq(a.body, slice_str(own[i])));
		buffer_consume(&in, a.total_n);
	}
	for (int i = 0; i < 3; i++) {
		struct answer a = get_answer(held[i], &in, false);
		assert_true(slice_eq(a.body, SLICE("released")));
		assert_int_equal(a.total_n, in.n);
		buffer_clear(&in);
		(void)close(held[i]);
	}
	(void)close(fd);
	buffer_deinit(&in);
	server_stop(&s, SIGTERM);
}

static void continue_comes_when_it_is_wanted(void **state)
{
	struct server s;
	struct buffer in;
	server_start(&s, &ordinary, false);
	buffer_init(&in, 1 << 20);
	int fd = open_connection(&s);
	for (int i = 0; i < 2; i++) {
		send_text(fd, "POST /echo" H11 "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
		struct answer a = get_answer(fd, &in, false);
		assert_int_equal(a.status, 100);
		assert_int_equal(a.total_n, in.n);
		buffer_clear(&in);
		send_text(fd, "hello");
		a = get_answer(fd, &in, false);
		assert_int_equal(a.status, 200);
		assert_true(slice_eq(a.body, SLICE("hello")));
		buffer_clear(&in);
	}
	(void)close(fd);
	buffer_deinit(&in);
	server_stop(&s, SIGTERM);
}

/* Bodies in the block, in a buffer, in chunks: all sizes round the edges. */
static void bodies_arrive_whole(void **state)
{
	static const size_t sizes[] = { 1, 4000, 16000, 20000, 20400, 20480, 20481, 65536, 300000,
		999999, 1000000 };
	struct server s;
	struct buffer out;
	struct buffer in;
	server_start(&s, &ordinary, false);
	buffer_init(&out, 1 << 24);
	buffer_init(&in, 1 << 24);
	int fd = open_connection(&s);
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i / 2];
		size_t head_n;
		buffer_clear(&out);
		buffer_clear(&in);
		uint8_t *body = malloc(n);
		assert_non_null(body);
		for (size_t k = 0; k < n; k++) {
			body[k] = (uint8_t)(k * 31 + k / 253);
		}
		if (i % 2 == 0) {
			(void)buffer_printf(
				&out, "POST /echo" H11 "Content-Length: %zu\r\n\r\n", n);
			head_n = out.n;
			(void)buffer_append(&out, slice_of(body, n));
		} else {
			(void)buffer_printf(
				&out, "POST /echo" H11 "Transfer-Encoding: chunked\r\n\r\n");
			head_n = out.n;
			for (size_t k = 0; k < n;) {
				size_t piece = n - k < 5000 ? n - k : 5000;
				(void)buffer_printf(&out, "%zx\r\n", piece);
				(void)buffer_append(&out, slice_of(body + k, piece));
				(void)buffer_append(&out, SLICE("\r\n"));
				k += piece;
			}
			(void)buffer_append(&out, SLICE("0\r\n\r\n"));
		}
		(void)buffer_append(&out, SLICE(LIVEZ));
		/* The head alone first, so that the body comes in pieces of its own. */
		send_bytes(fd, slice_of(out.p, head_n), SIZE_MAX);
		send_bytes(fd, slice_skip(buffer_slice(&out), head_n), SIZE_MAX);
		struct answer a = get_answer(fd, &in, false);
		assert_int_equal(a.status, 200);
		assert_int_equal(a.body.n, n);
		assert_memory_equal(a.body.p, body, n);
		buffer_consume(&in, a.total_n);
		assert_int_equal(get_answer(fd, &in, false).status, 200);
		free(body);
	}
	/* A head that ends where the block does (16 + 4 KiB): its chunks need room all the same. */
	static const char fill[] = "POST /echo" H11 "Transfer-Encoding: chunked\r\nX: ";
	const size_t before = 7;
	buffer_clear(&in);
	buffer_clear(&out);
	/* Few enough to be taken at once, so that none of them makes room before it. */
	for (size_t i = 0; i < before; i++) {
		(void)buffer_printf(&out, "GET /livez" H11 "X: %02800d\r\n\r\n", 0);
	}
	(void)buffer_append(&out, slice_of(fill, sizeof(fill) - 1));
	while (out.n + 4 < 20480) {
		(void)buffer_append_byte(&out, 'x');
	}
	(void)buffer_append(&out, SLICE("\r\n\r\n"));
	send_bytes(fd, buffer_slice(&out), SIZE_MAX);
	for (size_t i = 0; i < before; i++) {
		struct answer a = get_answer(fd, &in, false);
		buffer_consume(&in, a.total_n);
	}
	wait_for_stats(&s, "contexts=1 ");
	send_text(fd, "5\r\nhello\r\n0\r\n\r\n");
	assert_true(slice_eq(get_answer(fd, &in, false).body, SLICE("hello")));
	(void)close(fd);
	buffer_deinit(&in);
	buffer_deinit(&out);
	server_stop(&s, SIGTERM);
}

/* The error must reach a client that only reads after it has sent all of a refused body. */
static void an_error_is_not_lost_to_a_reset(void **state)
{
	struct server s;
	struct buffer in;
	static char junk[1000000];
	server_start(&s, &ordinary, false);
	buffer_init(&in, 1 << 20);
	int fd = open_connection(&s);
	send_text(fd, "POST /echo" H11 "Content-Length: 3000000\r\n\r\n");
	for (int i = 0; i < 3; i++) {
		send_bytes(fd, slice_of(junk, sizeof(junk)), SIZE_MAX);
	}
	struct answer a = get_answer(fd, &in, false);
	assert_int_equal(a.status, 413);
	assert_true(has(a.head, "\r\nConnection: close\r\n"));
	assert_true(has(a.body, "MAX_REQUEST_BODY_BYTES"));
	buffer_consume(&in, a.total_n);
	expect_end(fd, &in);
	(void)close(fd);
	buffer_deinit(&in);
	server_stop(&s, SIGTERM);
}

static bool is_reset(int fd)
{
	struct pollfd p = { .fd = fd };
	(void)poll(&p, 1, 0);
	return (p.revents & (POLLERR | POLLHUP)) != 0;
}

/* A client that pauses in a refused body may go on sending it; one that never ends is cut off. */
static void who_is_slow_to_stop_sending_is_waited_for(void **state)
{
	static char junk[100000];
	static const unsigned linger_ms[] = { PATIENCE_MS, 100 };
	for (int i = 0; i < 2; i++) {
		struct http_limits limits = { .linger_ms = linger_ms[i] };
		struct server s;
		struct buffer in;
		server_start(&s, &limits, false);
		buffer_init(&in, 1 << 20);
		int fd = open_connection(&s);
		send_text(fd, "POST /echo" H11 "Content-Length: 3000000\r\n\r\n");
		struct answer a = get_answer(fd, &in, false);
		assert_int_equal(a.status, 413);
		buffer_consume(&in, a.total_n);
		expect_end(fd, &in);
		if (i == 0) {
			for (int n = 0; n < 8; n++) {
				(void)usleep(100000);
				send_bytes(fd, slice_of(junk, sizeof(junk)), SIZE_MAX);
				assert_false(is_reset(fd));
			}
		} else {
			for (uint64_t until = clock_ms() + PATIENCE_MS; !is_reset(fd);) {
				assert_true(clock_ms() < until);
				send_bytes(fd, slice_of(junk, 1), SIZE_MAX);
				(void)usleep(1000);
			}
		}
		(void)close(fd);
		buffer_deinit(&in);
		server_stop(&s, SIGTERM);
	}
}

static void oversize_heads_are_refused(void **state)
{
	static const struct {
		const char *begin;
		size_t n;
		int status;
	} cases[] = {
		{ "GET /", 64 * 1024, 414 },
		{ "GET /livez" H11 "X: ", 1024 * 1024, 431 },
		{ "GET /livez" H11, 1024 * 1024, 431 }, /* a name that never ends */
		{ "", 100000, 414 },
	};
	struct server s;
	struct buffer out;
	struct buffer in;
	server_start(&s, &ordinary, false);
	buffer_init(&out, 1 << 24);
	buffer_init(&in, 1 << 20);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = open_connection(&s);
		buffer_clear(&out);
		buffer_clear(&in);
		(void)buffer_append(&out, slice_str(cases[i].begin));
		while (out.n < cases[i].n) {
			(void)buffer_append(&out, SLICE("abcdefghijklmnopqrstuvwxyz"));
		}
		send_bytes(fd, buffer_slice(&out), SIZE_MAX);
		struct answer a = get_answer(fd, &in, false);
		assert_int_equal(a.status, cases[i].status);
		buffer_consume(&in, a.total_n);
		expect_end(fd, &in);
		(void)close(fd);
	}
	/* 10,000 headers. */
	buffer_clear(&out);
	buffer_clear(&in);
	(void)buffer_append(&out, SLICE("GET /livez" H11));
	for (int i = 0; i < 10000; i++) {
		(void)buffer_append(&out, SLICE("A:b\r\n"));
	}
	int fd = open_connection(&s);
	send_bytes(fd, buffer_slice(&out), SIZE_MAX);
	assert_int_equal(get_answer(fd, &in, false).status, 431);
	(void)close(fd);
	buffer_deinit(&in);
	buffer_deinit(&out);
	server_stop(&s, SIGTERM);
}

/* Handlers learn that their client has gone, by an orderly end or a reset, and forget it. */
static void aborts_are_reported(void **state)
{
	struct server s;
	struct linger hard = { .l_onoff = 1 };
	server_start(&s, &ordinary, false);
	int fd = open_connection(&s);
	send_text(fd, "POST /later/600000" H11 "\r\n");
	wait_for_stats(&s, "bodies=1 aborts=0 ");
	(void)close(fd);
	wait_for_stats(&s, "bodies=1 aborts=1 ");

	fd = open_connection(&s);
	send_text(fd, "POST /later/600000" H11 "\r\n");
	wait_for_stats(&s, "bodies=2 aborts=1 ");
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	(void)close(fd);
	wait_for_stats(&s, "bodies=2 aborts=2 ");

	/* Between head and body. */
	fd = open_connection(&s);
	send_text(fd, "POST /echo" H11 "Content-Length: 10\r\n\r\nhalf");
	wait_for_stats(&s, "heads=1 bodies=2 aborts=2 contexts=1 ");
	(void)close(fd);
	wait_for_stats(&s, "heads=1 bodies=2 aborts=3 contexts=0 ");

	/* Bad bodies abort, too. */
	fd = open_connection(&s);
	send_text(fd, "POST /echo" H11 "Transfer-Encoding: chunked\r\n\r\nX");
	wait_for_stats(&s, "heads=2 bodies=2 aborts=4 contexts=0 ");
	(void)close(fd);
	wait_for_stats(&s, "gone=3 ");

	/* In the middle of a head, and before it: nothing to tell anybody. */
	fd = open_connection(&s);
	send_text(fd, "POST /echo HTTP");
	(void)close(fd);
	fd = open_connection(&s);
	(void)close(fd);
	wait_for_stats(&s, "heads=2 bodies=2 aborts=4 contexts=0 ");
	wait_for_stats(&s, "timers=0");
	server_stop(&s, SIGTERM);
}

static void slow_clients_are_dropped(void **state)
{
	struct http_limits limits = { .connections = 50,
		.header_ms = 400,
		.body_ms = 400,
		.keepalive_ms = 400,
		.send_ms = 400 };
	struct server s;
	struct buffer in;
	server_start(&s, &limits, false);
	buffer_init(&in, 1 << 26);
	/* No head, half a head, half a body. */
	static const char *const slow[] = { "", "GET /livez HTTP/1.1\r\nHos",
		"POST /echo" H11 "Content-Length: 10\r\n\r\nhalf" };
	for (size_t i = 0; i < sizeof(slow) / sizeof(slow[0]); i++) {
		int fd = open_connection(&s);
		send_text(fd, slow[i]);
		struct answer a = get_answer(fd, &in, false);
		assert_int_equal(a.status, 408);
		assert_true(has(a.head, "\r\nConnection: close\r\n"));
		assert_true(has(a.body, i < 2 ? "HEADER_TIMEOUT" : "BODY_TIMEOUT"));
		buffer_consume(&in, a.total_n);
		expect_end(fd, &in);
		(void)close(fd);
	}
	wait_for_stats(&s, "aborts=1 contexts=0 ");
	/* An idle connection is closed without a word. */
	int fd = open_connection(&s);
	send_text(fd, LIVEZ);
	struct answer a = get_answer(fd, &in, false);
	assert_int_equal(a.status, 200);
	buffer_consume(&in, a.total_n);
	expect_end(fd, &in);
	(void)close(fd);
	/* A reader that does not read: the rest of the answer never comes. */
	fd = open_connection(&s);
	send_text(fd, "GET /big/50000000" H11 "\r\n");
	assert_true(read_some(fd, &in, PATIENCE_MS) > 0);
	(void)usleep(1200000);
	/* Whoever answers this has looked at its timers since. */
	assert_int_equal(ask(&s, LIVEZ, NULL), 200);
	ssize_t r = 1;
	while (r > 0) {
		r = read_some(fd, &in, PATIENCE_MS);
		assert_int_not_equal(r, -1);
	}
	assert_true(in.n < 50000000);
	(void)close(fd);
	buffer_deinit(&in);
	server_stop(&s, SIGTERM);
}

/* Slow, but not too slow: limits count from the last progress, and from the last request. */
static void steady_clients_are_kept(void **state)
{
	enum { STEP_MS = 100, STEPS = 62, LENGTH = 50000, BIG = 30000000 };
	struct http_limits limits = { .body_ms = 5000, .keepalive_ms = 5000, .send_ms = 5000 };
	struct server s;
	struct buffer in;
	struct buffer answers;
	static char body[LENGTH];
	server_start(&s, &limits, false);
	buffer_init(&in, 1 << 26);
	buffer_init(&answers, 1 << 20);
	int reader = open_connection(&s);
	int writer = open_connection(&s);
	int crawler = open_connection(&s);
	int asker = open_connection(&s);
	send_text(reader, "GET /big/30000000" H11 "\r\n");
	send_text(writer, "POST /echo" H11 "Content-Length: 50000\r\n\r\n");
	send_text(crawler, "POST /echo" H11 "Content-Length: 50000\r\n\r\n");
	for (int i = 0; i < STEPS; i++) {
		/* 500 bytes/s are asked for after five seconds. */
		send_bytes(writer, slice_of(body, LENGTH / STEPS), SIZE_MAX);
		send_bytes(crawler, slice_of(body, 1), SIZE_MAX);
		if (i % 5 == 0) {
			send_text(asker, LIVEZ);
			assert_int_equal(get_answer(asker, &answers, false).status, 200);
			buffer_clear(&answers);
		}
		/* As little as keeps the kernel's own buffers full. */
		assert_int_equal(buffer_reserve(&in, 128 * 1024), 0);
		ssize_t r = recv(reader, in.p + in.n, 128 * 1024, MSG_DONTWAIT);
		assert_true(r > 0 || (r < 0 && errno == EAGAIN));
		in.n += r > 0 ? (size_t)r : 0;
		(void)usleep(STEP_MS * 1000);
	}
	assert_int_equal(get_answer(crawler, &answers, false).status, 408);
	buffer_clear(&answers);
	send_bytes(writer, slice_of(body, LENGTH % STEPS), SIZE_MAX);
	assert_int_equal(get_answer(writer, &answers, false).body.n, LENGTH);
	assert_int_equal(get_answer(reader, &in, false).body.n, BIG);
	(void)close(reader);
	(void)close(writer);
	(void)close(crawler);
	(void)close(asker);
	buffer_deinit(&in);
	buffer_deinit(&answers);
	server_stop(&s, SIGTERM);
}

/* A short limit is not held up by a long one that was set before. */
static void limits_do_not_wait_for_each_other(void **state)
{
	struct http_limits limits = { .header_ms = 300 };
	struct server s;
	struct buffer in;
	server_start(&s, &limits, false);
	buffer_init(&in, 1 << 20);
	int idle = open_connection(&s);
	send_text(idle, LIVEZ);
	assert_int_equal(get_answer(idle, &in, false).status, 200);
	buffer_clear(&in);
	/* The timer now stands at the idle connection's 75 s. */
	(void)usleep(600000);
	int slow = open_connection(&s);
	assert_int_equal(get_answer(slow, &in, false).status, 408);
	(void)close(slow);
	(void)close(idle);
	buffer_deinit(&in);
	server_stop(&s, SIGTERM);
}

static void big_answers_arrive_whole(void **state)
{
	struct server s;
	struct buffer in;
	server_start(&s, &ordinary, false);
	buffer_init(&in, 1 << 26);
	int fd = open_connection(&s);
	send_text(fd,
		"GET /big/100" H11 "\r\nGET /big/20000000" H11 "\r\n"
		"HEAD /big/20000000" H11 "\r\n" LIVEZ);
	struct answer a = get_answer(fd, &in, false);
	buffer_consume(&in, a.total_n);
	(void)usleep(50000);
	a = get_answer(fd, &in, false);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body.n, 20000000);
	for (size_t i = 0; i < a.body.n; i++) {
		assert_int_equal(a.body.p[i], 'a' + i % 26);
	}
	buffer_consume(&in, a.total_n);
	a = get_answer(fd, &in, true);
	assert_true(has(a.head, "\r\nContent-Length: 20000000\r\n"));
	buffer_consume(&in, a.total_n);
	assert_int_equal(get_answer(fd, &in, false).status, 200);
	(void)close(fd);
	buffer_deinit(&in);
	server_stop(&s, SIGTERM);
}

static void a_full_server_lets_clients_wait(void **state)
{
	struct http_limits limits = { .connections = 3 };
	struct server s;
	struct buffer in;
	int fds[4];
	server_start(&s, &limits, false);
	buffer_init(&in, 1 << 20);
	for (int i = 0; i < 4; i++) {
		fds[i] = open_connection(&s);
		send_text(fds[i], LIVEZ);
		if (i < 3) {
			assert_int_equal(get_answer(fds[i], &in, false).status, 200);
			buffer_clear(&in);
		}
	}
	assert_int_equal(read_some(fds[3], &in, 100), -1);
	(void)close(fds[1]);
	assert_int_equal(get_answer(fds[3], &in, false).status, 200);
	(void)close(fds[0]);
	(void)close(fds[2]);
	(void)close(fds[3]);
	buffer_deinit(&in);
	server_stop(&s, SIGTERM);
}

static void a_drain_finishes_what_is_in_flight(void **state)
{
	struct server s;
	struct buffer in;
	server_start(&s, &ordinary, false);
	buffer_init(&in, 1 << 20);
	int idle = open_connection(&s);
	send_text(idle, LIVEZ);
	assert_int_equal(get_answer(idle, &in, false).status, 200);
	buffer_clear(&in);
	int busy = open_connection(&s);
	send_text(busy, "POST /later/1500" H11 "Content-Length: 2\r\n\r\nhi" LIVEZ);
	int half = open_connection(&s);
	send_text(half, "POST /echo" H11 "Content-Length: 5\r\n\r\nhe");
	/* Answered and kept, with the rest of its body still to come. */
	int rest = open_connection(&s);
	send_text(rest, "POST /nope" H11 "Content-Length: 5\r\n\r\nhe");
	assert_int_equal(get_answer(rest, &in, false).status, 404);
	buffer_clear(&in);
	wait_for_stats(&s, "heads=1 bodies=1 ");

	assert_int_equal(kill(s.pid, SIGTERM), 0);
	expect_end(idle, &in);
	send_text(rest, "llo");
	expect_end(rest, &in);
	while (true) {
		int fd = try_connect(&s);
		if (fd < 0) {
			break;
		}
		(void)close(fd);
	}
	send_text(half, "llo");
	struct answer a = get_answer(half, &in, false);
	assert_true(slice_eq(a.body, SLICE("hello")));
	assert_true(has(a.head, "\r\nConnection: close\r\n"));
	buffer_consume(&in, a.total_n);
	expect_end(half, &in);
	a = get_answer(busy, &in, false);
	assert_true(slice_eq(a.body, SLICE("hi")));
	assert_true(has(a.head, "\r\nConnection: close\r\n"));
	buffer_consume(&in, a.total_n);
	expect_end(busy, &in);
	(void)close(idle);
	(void)close(busy);
	(void)close(half);
	(void)close(rest);
	buffer_deinit(&in);
	server_wait(&s);

	/* From within a handler; the answer to it still comes. */
	char body[200];
	server_start(&s, &ordinary, false);
	assert_int_equal(ask(&s, "POST /drain" H11 "\r\n", body), 200);
	assert_string_equal(body, "bye");
	server_wait(&s);
}

static void a_close_cuts_everything(void **state)
{
	struct server s;
	struct buffer in;
	server_start(&s, &ordinary, false);
	buffer_init(&in, 1 << 20);
	int fds[3];
	static const char *const state_of[] = { "GET", "POST /later/600000" H11 "\r\n",
		"POST /echo" H11 "Content-Length: 5\r\n\r\nhe" };
	for (int i = 0; i < 3; i++) {
		fds[i] = open_connection(&s);
		send_text(fds[i], state_of[i]);
	}
	wait_for_stats(&s, "heads=1 bodies=1 ");
	/* The child checks that nothing of theirs is left. */
	server_stop(&s, SIGUSR1);
	for (int i = 0; i < 3; i++) {
		assert_true(read_some(fds[i], &in, PATIENCE_MS) == 0 || errno == ECONNRESET);
		(void)close(fds[i]);
	}
	buffer_deinit(&in);
}

static void unix_sockets_know_their_peer(void **state)
{
	struct server s;
	struct buffer in;
	struct stat st;
	char expected[100];
	char body[200];
	server_start(&s, &ordinary, true);
	buffer_init(&in, 1 << 20);
	assert_int_equal(ask(&s, "GET /who" H11 "\r\n", body), 200);
	assert_string_equal(body, "tcp");
	assert_int_equal(lstat(s.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", s.path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	send_text(fd, "GET /who" H11 "\r\n");
	struct answer a = get_answer(fd, &in, false);
	int n = snprintf(
		expected, sizeof(expected), "uid=%u pid=%d", (unsigned)getuid(), (int)getpid());
	assert_true(slice_eq(a.body, slice_of(expected, (size_t)n)));
	(void)close(fd);
	buffer_deinit(&in);
	server_stop(&s, SIGTERM);
	assert_int_equal(lstat(s.path, &st), -1);
}

/* What stands in answers: ids, versions, problems; nothing that a handler must not put there. */
static void answers_say_what_they_should(void **state)
{
	struct server s;
	struct buffer in;
	struct answer a;
	server_start(&s, &ordinary, false);
	buffer_init(&in, 1 << 20);
	int fd = open_connection(&s);

	send_text(fd, "GET /what/a%20b?c=%20d" H11 "X-Request-Id: My.Id-1_x\r\n\r\n");
	a = get_answer(fd, &in, false);
	assert_true(slice_eq(a.body, SLICE("0 /what/a%20b c=%20d a b My.Id-1_x")));
	assert_true(has(a.head, "\r\nX-Request-Id: My.Id-1_x\r\n"));
	assert_true(has(a.head, "\r\nX-Mozaiks-Runtime-Version: " MOZAIKS_VERSION "\r\n"));
	assert_true(has(a.head, "\r\nContent-Type: text/plain\r\n"));
	assert_false(has(a.head, "\r\nConnection:"));
	buffer_clear(&in);

	send_text(fd, "GET /nope?token=hidden" H11 "X-Request-Id: has blank\r\n\r\n");
	a = get_answer(fd, &in, false);
	assert_false(has(a.head, "has blank"));
	assert_true(has(a.head, "\r\nContent-Type: application/problem+json\r\n"));
	assert_true(has(a.body, "\"detail\":\"Not Found\",\"instance\":\"/nope\""));
	assert_true(has(a.body, "\"code\":\"not_found\",\"request_id\":\""));
	assert_false(has(a.body, "hidden"));
	const uint8_t *id = memmem(a.body.p, a.body.n, "\"request_id\":\"", 14);
	char line[64];
	(void)snprintf(line, sizeof(line), "\r\nX-Request-Id: %.36s\r\n", (const char *)id + 14);
	assert_true(has(a.head, line));
	buffer_clear(&in);

	send_text(fd, "POST /secret" H11 "\r\n");
	a = get_answer(fd, &in, false);
	assert_true(has(a.head, "\r\nWWW-Authenticate: Bearer realm=\"mozaiks\"\r\n"));
	buffer_clear(&in);
	send_text(fd, "POST /secret" H11 "Authorization: Bearer bad\r\n\r\n");
	a = get_answer(fd, &in, false);
	assert_true(has(a.head,
		"\r\nWWW-Authenticate: Bearer realm=\"mozaiks\", error=\"invalid_token\"\r\n"));
	buffer_clear(&in);

	send_text(fd, "GET /fail/503" H11 "\r\n");
	a = get_answer(fd, &in, false);
	assert_int_equal(a.status, 503);
	assert_true(has(a.head, "\r\nRetry-After: 7\r\n"));
	assert_true(has(a.body, "secret 42"));
	buffer_clear(&in);
	/* "Not now" always says when. */
	send_text(fd, "GET /fail/429" H11 "\r\n");
	a = get_answer(fd, &in, false);
	assert_int_equal(a.status, 429);
	assert_true(has(a.head, "\r\nRetry-After: 1\r\n"));
	buffer_clear(&in);
	send_text(fd, "GET /fail/422" H11 "\r\n");
	a = get_answer(fd, &in, false);
	assert_int_equal(a.status, 422);
	assert_true(has(a.body, "\"detail\":\"no way\""));
	assert_true(has(a.body, ",\"errors\":[\"x\"]}"));
	assert_true(has(a.head, "\r\nRetry-After: 9\r\n"));
	buffer_clear(&in);
	/* Outside development a 500 keeps its words to itself. */
	send_text(fd, "GET /fail/500" H11 "\r\n");
	a = get_answer(fd, &in, false);
	assert_int_equal(a.status, 500);
	assert_false(has(a.body, "secret"));
	buffer_clear(&in);

	send_text(fd, "GET /evil" H11 "\r\n");
	a = get_answer(fd, &in, false);
	assert_int_equal(a.status, 500); /* 700 is none */
	assert_false(has(a.head, "Evil"));
	assert_true(has(a.head, "\r\nX-B: 2\r\n"));
	buffer_clear(&in);

	send_text(fd, "PUT /livez" H11 "\r\n");
	a = get_answer(fd, &in, false);
	assert_true(has(a.head, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
	buffer_clear(&in);

	send_text(fd, "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	a = get_answer(fd, &in, false);
	assert_true(has(a.head, "\r\nConnection: keep-alive\r\n"));
	buffer_clear(&in);
	(void)close(fd);
	buffer_deinit(&in);
	server_stop(&s, SIGTERM);
}

static void bad_configurations_are_refused(void **state)
{
	struct http_server *server = NULL;
	uv_loop_t loop;
	assert_int_equal(uv_loop_init(&loop), 0);
	struct http_config config = { .loop = &loop, .limits = { .head_bytes = 100 } };
	assert_int_equal(http_server_new(&server, &config), -EINVAL);
	config.limits.head_bytes = 256 * 1024 + 1;
	assert_int_equal(http_server_new(&server, &config), -EINVAL);
	static const struct http_route twice[] = {
		{ HTTP_M_GET, "/livez", &livez_handler, NULL },
		{ HTTP_M_GET, "/livez", &livez_handler, NULL },
	};
	config = (struct http_config){ .loop = &loop, .routes = twice, .n_routes = 2 };
	assert_int_equal(http_server_new(&server, &config), -EINVAL);
	assert_null(server);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_do_not_depend_on_how_bytes_arrive),
		cmocka_unit_test(answers_come_in_order),
		cmocka_unit_test(pipelining_is_held_back),
		cmocka_unit_test(answers_are_held_back),
		cmocka_unit_test(turns_are_shared),
		cmocka_unit_test(answers_reach_their_own_client),
		cmocka_unit_test(continue_comes_when_it_is_wanted),
		cmocka_unit_test(bodies_arrive_whole),
		cmocka_unit_test(an_error_is_not_lost_to_a_reset),
		cmocka_unit_test(who_is_slow_to_stop_sending_is_waited_for),
		cmocka_unit_test(oversize_heads_are_refused),
		cmocka_unit_test(aborts_are_reported),
		cmocka_unit_test(slow_clients_are_dropped),
		cmocka_unit_test(steady_clients_are_kept),
		cmocka_unit_test(limits_do_not_wait_for_each_other),
		cmocka_unit_test(big_answers_arrive_whole),
		cmocka_unit_test(a_full_server_lets_clients_wait),
		cmocka_unit_test(a_drain_finishes_what_is_in_flight),
		cmocka_unit_test(a_close_cuts_everything),
		cmocka_unit_test(unix_sockets_know_their_peer),
		cmocka_unit_test(answers_say_what_they_should),
		cmocka_unit_test(bad_configurations_are_refused),
	};
	(void)signal(SIGPIPE, SIG_IGN);
	log_init("test-server", LOG_ERROR);
	return map_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
