/* Orders of the director, where workers' channels may be, and why workers ended. */
#include "pluginhost/exit_reason.h"
#include "pluginhost/sandbox/denied.h"
#include "pluginhost/spec.h"
#include "pluginhost/test-tree.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#define V "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct settings settings = { .memory_bytes = 256 << 20,
	.memory_max = 1 << 30,
	.processes = 64,
	.processes_max = 256,
	.cpu_percent = 100,
	.cpu_max = 400 };

static void good_specs(void **state)
{
	struct start_spec s;
	struct json_why why;
	assert_true(spec_parse(SLICE("{\"plugin\":\"a-b_C\",\"version\":\"" V
				     "\",\"socket\":\"/x/channel.sock\"}"),
		&settings, &s, &why));
	assert_string_equal(s.plugin, "a-b_C");
	assert_string_equal(s.version, V);
	assert_string_equal(s.socket, "/x/channel.sock");
	assert_int_equal(s.limits.memory_bytes, 256 << 20);
	assert_int_equal(s.limits.address_space_bytes, 0);
	assert_int_equal(s.limits.processes, 64);
	assert_int_equal(s.limits.cpu_percent, 100);

	/* As the manifest has them: null, and what is not for us. More than allowed is cut. */
	assert_true(spec_parse(SLICE("{\"plugin\":\"a\",\"version\":\"" V
				     "\",\"socket\":\"s\",\"limits\":{\"memory\":536870912,"
				     "\"pids\":null,\"cpu\":5000,\"timeout\":0.5}}"),
		&settings, &s, &why));
	assert_int_equal(s.limits.memory_bytes, 512 << 20);
	assert_int_equal(s.limits.address_space_bytes, (512 + 768) << 20);
	assert_int_equal(s.limits.processes, 64);
	assert_int_equal(s.limits.cpu_percent, 400);
	/* The profile's. */
	assert_int_equal(s.limits.open_files, 0);
}

static void the_operator_s_own_limits(void **state)
{
	struct settings own = settings;
	struct start_spec s;
	struct json_why why;
	struct slice text = SLICE("{\"plugin\":\"a\",\"version\":\"" V "\",\"socket\":\"s\"}");
	own.open_files = 100;
	own.address_space = UINT64_C(2) << 30;
	assert_true(spec_parse(text, &own, &s, &why));
	assert_int_equal(s.limits.open_files, 100);
	assert_int_equal(s.limits.address_space_bytes, UINT64_C(2) << 30);
	/* Less than the memory would be another limit of memory. */
	own.address_space = 1;
	assert_true(spec_parse(text, &own, &s, &why));
	assert_int_equal(s.limits.address_space_bytes, 256 << 20);
}

static void bad_specs(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "line 1" },
		{ "[]", "must be an object" },
		{ "{}", "plugin: is missing" },
		{ "{\"plugin\":\"../x\",\"version\":\"" V "\",\"socket\":\"s\"}",
			"plugin: is no plugin id" },
		{ "{\"plugin\":\"a\",\"version\":\"..\",\"socket\":\"s\"}",
			"version: is no version" },
		{ "{\"plugin\":\"a\",\"version\":\"" V "\"}", "socket: is missing" },
		{ "{\"plugin\":\"a\",\"version\":\"" V "\",\"socket\":\"s\",\"limits\":[]}",
			"limits: must be an object" },
		{ "{\"plugin\":\"a\",\"version\":\"" V
		  "\",\"socket\":\"s\",\"limits\":{\"memory\":-1}}",
			"limits.memory: must be an integer" },
		{ "{\"plugin\":\"a\",\"version\":\"" V
		  "\",\"socket\":\"s\",\"limits\":{\"pids\":\"9\"}}",
			"limits.pids: must be an integer" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct start_spec s;
		struct json_why why = { "" };
		assert_false(spec_parse(slice_str(cases[i].text), &settings, &s, &why));
		if (strstr(why.text, cases[i].why) == NULL) {
			fail_msg("%s: %s", cases[i].text, why.text);
		}
	}
}

static void limits_alone(void **state)
{
	struct worker_limits l;
	struct json_why why;
	assert_true(spec_parse_limits(SLICE("{\"cpu\":20}"), &settings, &l, &why));
	assert_int_equal(l.cpu_percent, 20);
	assert_int_equal(l.memory_bytes, 0);
	assert_int_equal(l.processes, 0);
	assert_false(spec_parse_limits(SLICE("{\"cpu\":0}"), &settings, &l, &why));
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%.100s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void channels_lie_in_the_run_directory(void **state)
{
	struct tree t;
	char run[128];
	char path[256];
	tree_init(&t);
	tree_dir(&t, "run");
	tree_dir(&t, "run/workers");
	tree_dir(&t, "run/workers/17");
	tree_dir(&t, "other");
	tree_dir(&t, "other/workers");
	tree_dir(&t, "other/workers/17");
	(void)snprintf(run, sizeof(run), "%s/run", t.path);
	(void)snprintf(path, sizeof(path), "%s/workers/17/channel.sock", run);
	int server = listen_at(path);
	int fd = spec_connect(run, path);
	assert_true(fd >= 0);
	(void)close(fd);
	/* Another spelling of the same place. */
	(void)snprintf(path, sizeof(path), "%s/other/../run/workers/17/channel.sock", t.path);
	fd = spec_connect(run, path);
	assert_true(fd >= 0);
	(void)close(fd);

	(void)snprintf(path, sizeof(path), "%s/other/workers/17/channel.sock", t.path);
	int other = listen_at(path);
	assert_int_equal(spec_connect(run, path), -EXDEV);
	(void)snprintf(path, sizeof(path), "%s/workers/../workers/channel.sock", run);
	assert_true(spec_connect(run, path) < 0);
	(void)snprintf(path, sizeof(path), "%s/workers/17/other.sock", run);
	assert_int_equal(spec_connect(run, path), -EXDEV);
	assert_int_equal(spec_connect(run, "channel.sock"), -EXDEV);
	assert_int_equal(spec_connect(run, "/channel.sock"), -EXDEV);
	assert_int_equal(spec_connect(run, ""), -EXDEV);
	/* A link in place of the worker's directory. */
	assert_int_equal(symlinkat("../../other/workers/17", t.fd, "run/workers/18"), 0);
	(void)snprintf(path, sizeof(path), "%s/workers/18/channel.sock", run);
	assert_int_equal(spec_connect(run, path), -ELOOP);
	assert_int_equal(spec_connect("/nowhere/at/all", path), -ENOENT);
	(void)close(server);
	(void)close(other);
	tree_deinit(&t);
}

static void reasons_are_sentences(void **state)
{
	static const struct {
		struct exit_reason e;
		const char *text;
	} cases[] = {
		{ { WORKER_ENDED_EXIT, 0, 9, "" }, "exited with status 9" },
		{ { WORKER_ENDED_SIGNAL, SIGSEGV, 0, "" }, "died of signal 11 (SIGSEGV)" },
		{ { WORKER_ENDED_SIGNAL, SIGSYS, 0, "" },
			"made a system call that is not allowed (SIGSYS)" },
		{ { WORKER_ENDED_SIGNAL, SIGSYS, 0, "", "mount" },
			"made the system call mount, which is not allowed (SIGSYS)" },
		{ { WORKER_ENDED_OOM, SIGKILL, 0, "", NULL, 256 << 20 },
			"used more memory than its 256 MiB (limits.memory, MOZAIKS_SANDBOX_MEMORY)" },
		{ { WORKER_ENDED_SANDBOX, 0, 125, "mount: Operation not permitted" },
			"its sandbox could not be built: mount: Operation not permitted" },
		{ { WORKER_ENDED_START, 0, 0, "no" }, "could not be started: no" },
		{ { WORKER_ENDED_KILLED, SIGKILL, 0, NULL }, "was stopped" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[EXIT_REASON_TEXT_MAX];
		exit_reason_text(&cases[i].e, text);
		assert_string_equal(text, cases[i].text);
		struct buffer b;
		buffer_init(&b, EXIT_REASON_JSON_MAX);
		assert_int_equal(exit_reason_append(&b, &cases[i].e), 0);
		json_t *tree = json_loadb((const char *)b.p, b.n, 0, NULL);
		assert_string_equal(
			json_string_value(json_object_get(tree, "message")), cases[i].text);
		assert_string_equal(json_string_value(json_object_get(tree, "reason")),
			worker_end_name(cases[i].e.reason));
		assert_int_equal(
			json_integer_value(json_object_get(tree, "signal")), cases[i].e.signal);
		assert_int_equal(
			json_integer_value(json_object_get(tree, "status")), cases[i].e.status);
		const char *syscall = json_string_value(json_object_get(tree, "syscall"));
		assert_string_equal(syscall == NULL ? "" : syscall,
			cases[i].e.syscall == NULL ? "" : cases[i].e.syscall);
		json_decref(tree);
		buffer_deinit(&b);
	}
}

static void records_of_the_kernel(void **state)
{
	struct denied_call call;
	assert_true(denied_parse(
		SLICE("5,7127,6680706076,-;audit: type=1326 audit(1795270362.684:5204): "
		      "auid=4294967295 uid=65000 gid=65000 ses=4294967295 pid=19652 comm=\"4\" "
		      "exe=\"/x\" sig=31 arch=c000003e syscall=165 compat=0 ip=0x7f code=0x80000000\n"),
		&call));
	assert_int_equal(call.pid, 19652);
	assert_int_equal(call.number, 165);
	assert_true(denied_parse(
		SLICE("5,1,1,-;audit: type=1326 audit(1.1:1): pid=7 comm=\"4\" exe=\"/x\" sig=31 "
		      "arch=40000003 syscall=11 compat=1"),
		&call));
	assert_int_equal(call.number, -1);
	static const char *const others[] = {
		"",
		";",
		"6,1,1,-;usb 1-1: audit: type=1326 pid=7 arch=c000003e syscall=1",
		"5,1,1,-;audit: type=1300 audit(1.1:1): pid=7 arch=c000003e syscall=1",
		"5,1,1,-;audit: type=1326 audit(1.1:1): pid=7 arch=c000003e",
		"5,1,1,-;audit: type=1326 audit(1.1:1): pid=x arch=c000003e syscall=1",
		"5,1,1,-;audit: type=1326 audit(1.1:1): pid=99999999999 arch=c000003e syscall=1",
	};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		assert_false(denied_parse(slice_str(others[i]), &call));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_specs),
		cmocka_unit_test(the_operator_s_own_limits),
		cmocka_unit_test(bad_specs),
		cmocka_unit_test(limits_alone),
		cmocka_unit_test(channels_lie_in_the_run_directory),
		cmocka_unit_test(reasons_are_sentences),
		cmocka_unit_test(records_of_the_kernel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
