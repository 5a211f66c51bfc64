"""The native runtime and mozaiks/plugin.h."""

import json
import signal
import struct
import time

import bson
import pytest

import fake_director as fd
from native import running, start, unstarted

ANSWER = """
static int execute(struct mozaiks_call *call)
{
	return mozaiks_answer(call, mozaiks_data(call));
}
"""


def test_answers():
    with running(ANSWER) as worker:
        assert worker.report["profile"] == "native"
        assert worker.report["seccomp"] == "native-load"
        assert worker.call(a=[1, 2.5, "x\u20ac"]).value["a"] == [1, 2.5, "x\u20ac"]


def test_ready_names_the_subscriptions():
    with unstarted(ANSWER + """
static const char *const names[] = { "task_manager:created", "core:*", NULL };
static const struct mozaiks_plugin plugin = { MOZAIKS_PLUGIN_HEAD, .execute = execute,
	.subscriptions = names };
const struct mozaiks_plugin *mozaiks_plugin(void) { return &plugin; }
""") as worker:
        ready = start(worker)
        assert ready["subscriptions"] == ["task_manager:created", "core:*"]
        assert ready["entry"] == "execute"


def test_no_answer_is_null():
    with running("static int execute(struct mozaiks_call *call) { return 0; }") as worker:
        assert worker.call().value is None


def test_failure_has_its_text():
    with running("""
static int execute(struct mozaiks_call *call)
{
	return mozaiks_fail(call, "no \\"%s\\" of %d", "luck", 7);
}
""") as worker:
        result = worker.call()
        assert result.outcome == fd.EXCEPTION
        assert result.error["type"] == "PluginError"
        assert result.error["message"] == 'no "luck" of 7'


def test_failure_without_a_text():
    with running("static int execute(struct mozaiks_call *call) { return 1; }") as worker:
        result = worker.call()
        assert (result.outcome, result.error["message"]) == (
            fd.EXCEPTION, "the plugin gave no reason")


def test_too_large_an_answer():
    with running("""
static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text json;
	return mozaiks_format(call, &json, "\\"%*s\\"", 5000, "x") ||
		mozaiks_answer(call, json);
}
""", max_response=4000) as worker:
        result = worker.call()
        assert (result.outcome, result.error) == (fd.TOO_LARGE, {"size": 5002, "limit": 4000})


def test_an_answer_that_fits_no_frame():
    with running("""
static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text json;
	return mozaiks_format(call, &json, "\\"%*s\\"", 1 << 20, "x") ||
		mozaiks_answer(call, json);
}
""", max_response=100_000_000) as worker:
        assert worker.call().error == {"size": (1 << 20) + 2, "limit": (1 << 20) - 1}


def test_user_config_and_time():
    with running("""
static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text json;
	struct mozaiks_text app;
	if (mozaiks_member(call, mozaiks_config(call), "app_id", &app) != 0) {
		return 1;
	}
	return mozaiks_format(call, &json, "{\\"user\\":\\"%.*s\\",\\"app\\":%.*s,\\"ms\\":%u}",
		       MOZAIKS_PRINTED(mozaiks_user(call)), MOZAIKS_PRINTED(app),
		       mozaiks_remaining_ms(call)) ||
		mozaiks_answer(call, json);
}
""") as worker:
        value = worker.call().value
        assert (value["user"], value["app"]) == ("user_1", "test_app")
        assert 20000 < value["ms"] <= 30000


JSON_TOOLS = """
static int show(struct mozaiks_call *call, struct mozaiks_text object)
{
	struct mozaiks_text value, string, quoted, json, element, list = MOZAIKS_TEXT("");
	int64_t number = -1;
	size_t position = 0;
	int e = mozaiks_member(call, object, "s", &value);
	e = e ? e : mozaiks_string(call, value, &string);
	e = e ? e : mozaiks_quote(call, string, &quoted);
	e = e ? e : mozaiks_member(call, object, "n", &value);
	e = e ? e : mozaiks_integer(call, value, &number);
	e = e ? e : mozaiks_member(call, object, "l", &value);
	while (e == 0 && (e = mozaiks_element(call, value, &position, &element)) == 0) {
		e = mozaiks_format(call, &list, "%.*s<%.*s>", MOZAIKS_PRINTED(list),
			MOZAIKS_PRINTED(element));
	}
	if (e != MOZAIKS_E_ABSENT || mozaiks_quote(call, list, &list) != 0) {
		return mozaiks_fail(call, "%d: %.*s", e, MOZAIKS_PRINTED(mozaiks_error(call)));
	}
	return mozaiks_format(call, &json, "{\\"s\\":%.*s,\\"n\\":%lld,\\"l\\":%.*s}",
		       MOZAIKS_PRINTED(quoted), (long long)number, MOZAIKS_PRINTED(list)) ||
		mozaiks_answer(call, json);
}

static int execute(struct mozaiks_call *call)
{
	return show(call, mozaiks_data(call));
}
"""


@pytest.mark.parametrize("text, n, elements", [
    ('[]', 0, ""),
    ('[ 1 , "a,]b" ,{"x":[1,2]} , [ ] ]', 9007199254740993, '<1><"a,]b"><{"x":[1,2]}><[ ]>'),
    ('["\\\\", "\\"", null]', -(1 << 63), '<"\\\\"><"\\""><null>'),
    ('[[[1]]]', (1 << 63) - 1, "<[[1]]>"),
])
def test_json_tools(text, n, elements):
    with running(JSON_TOOLS) as worker:
        data = b'{"s":"\\u0041\\n\\u20ac","n":%d,"l":%s}' % (n, text.encode())
        value = worker.call(data).value
        assert value == {"s": "A\n\u20ac", "n": n, "l": elements}


@pytest.mark.parametrize("data, code", [
    (b'{"s":1,"n":1,"l":[]}', "invalid_json"),
    (b'{"s":"a","n":1.5,"l":[]}', "invalid_json"),
    (b'{"s":"a","n":9223372036854775808,"l":[]}', "invalid_json"),
    (b'{"s":"a","n":1,"l":{}}', "invalid_json"),
])
def test_json_tools_refuse(data, code):
    with running(JSON_TOOLS) as worker:
        result = worker.call(data)
        assert result.outcome == fd.EXCEPTION
        assert code in result.error["message"]


def test_the_last_member_counts():
    with running(JSON_TOOLS) as worker:
        value = worker.call(b'{"n":1,"s":"a","l":[],"\\u006e":2}').value
        assert value["n"] == 2


def test_bombs_do_not_recurse():
    """Nothing here walks what a client nests with the C stack."""
    with running(JSON_TOOLS) as worker:
        deep = b'{"s":"a","n":1,"l":' + b"[" * 60 + b"]" * 60 + b"}"
        assert worker.call(deep).value["l"] == "<" + "[" * 59 + "]" * 59 + ">"


CAPABILITY = """
static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text name, args, value, result, json;
	if (mozaiks_member(call, mozaiks_data(call), "name", &value) != 0 ||
		mozaiks_string(call, value, &name) != 0 ||
		mozaiks_member(call, mozaiks_data(call), "args", &args) != 0) {
		return 1;
	}
	int e = mozaiks_capability(call, name.p, args, &result);
	if (e == 0) {
		return mozaiks_answer(call, result);
	}
	struct mozaiks_text error = mozaiks_error(call);
	return mozaiks_format(call, &json, "{\\"e\\":%d,\\"error\\":%.*s}", e,
		       error.n > 0 ? (int)error.n : 4, error.n > 0 ? error.p : "null") ||
		mozaiks_answer(call, json);
}
"""


def test_database_speaks_extended_json():
    oid = bson.ObjectId()

    def insert(request):
        args = request.bson()
        assert args["collection"] == "things"
        assert args["documents"][0]["_id"] == oid
        assert args["documents"][0]["n"] == 5
        return bson.encode({"inserted": 1, "ids": [oid], "errors": []})

    with running(CAPABILITY) as worker:
        worker.capabilities[fd.INSERT] = insert
        value = worker.call(name="database.insert", args={
            "collection": "things", "documents": [{"_id": {"$oid": str(oid)}, "n": 5}]}).value
        assert value == {"inserted": 1, "ids": [{"$oid": str(oid)}], "errors": []}
        assert worker.requests[0].call_id == 1


def test_find_follows_the_cursor():
    batches = [fd.cursor_reply([{"n": 1}, {"n": 2}], 77), fd.cursor_reply([{"n": 3}], 77),
               fd.cursor_reply([], 0)]

    def more(request):
        assert request.bson() == {"cursor": 77}
        return batches.pop(0)

    with running(CAPABILITY) as worker:
        worker.capabilities[fd.FIND] = lambda request: batches.pop(0)
        worker.capabilities[fd.NEXT] = more
        value = worker.call(name="database.find", args={"collection": "c"}).value
        assert value == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_find_has_a_limit_and_closes_the_cursor():
    closed = []
    batch = fd.cursor_reply([{"x": "y" * 900_000}], 5)
    with running(CAPABILITY) as worker:
        worker.capabilities[fd.FIND] = lambda request: batch
        worker.capabilities[fd.NEXT] = lambda request: batch
        worker.capabilities[fd.CLOSE] = lambda request: closed.append(request.bson()) or \
            bson.encode({})
        value = worker.call(name="database.find", args={"collection": "c"}).value
        assert value["e"] == 6
        assert value["error"]["code"] == "limit_exceeded"
        assert "16777216" in value["error"]["message"]
        assert closed == [{"cursor": 5}]


def test_json_capabilities():
    with running(CAPABILITY) as worker:
        worker.capabilities[fd.SETTINGS_GET] = lambda request: b'{"theme":"dark"}'
        worker.capabilities[fd.PUBLISH] = lambda request: json.dumps(request.json()).encode()
        assert worker.call(name="settings.get", args={}).value == {"theme": "dark"}
        event = {"event": "sample:x", "data": {"a": 1}}
        assert worker.call(name="events.publish", args=event).value == event


def test_refusals_have_their_codes():
    def refuse(code):
        def handler(request):
            raise fd.Refusal(code, "because", permission="database.read")
        return handler

    with running(CAPABILITY) as worker:
        for code, number in [("permission_denied", 3), ("quota_exceeded", 6), ("other", 4),
                             ("call_ended", 5), ("invalid_argument", 2)]:
            worker.capabilities[fd.COUNT] = refuse(code)
            value = worker.call(name="database.count", args={"collection": "c"}).value
            assert value["e"] == number
            assert value["error"] == {
                "code": code, "message": "because", "permission": "database.read"}


@pytest.mark.parametrize("name, args, part", [
    ("database.next", {}, "there is no capability"),
    ("database.drop", {}, "there is no capability"),
    ("database.find", [1], "arguments"),
])
def test_bad_requests_are_refused_here(name, args, part):
    with running(CAPABILITY) as worker:
        value = worker.call(name=name, args=args).value
        assert value["e"] == 2
        assert part in value["error"]["message"]
        assert worker.requests == []


def test_plain():
    with running("""
static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text value, plain;
	return mozaiks_member(call, mozaiks_data(call), "v", &value) ||
		mozaiks_plain(call, value, &plain) || mozaiks_answer(call, plain);
}
""") as worker:
        oid = "0123456789abcdef01234567"
        value = worker.call(v=[{"a": {"$oid": oid}, "n": {"$numberLong": "5"}}, 1]).value
        assert value == [{"a": oid, "n": 5}, 1]


# ---- Threads, deadlines, life ----

SLOW = """
static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text value;
	int64_t ms = 0;
	if (mozaiks_member(call, mozaiks_data(call), "ms", &value) == 0) {
		mozaiks_integer(call, value, &ms);
	}
	for (int64_t i = 0; i < ms && !mozaiks_cancelled(call); i++) {
		usleep(1000);
	}
	return mozaiks_cancelled(call) ? mozaiks_fail(call, "cancelled")
				       : mozaiks_answer(call, MOZAIKS_TEXT("1"));
}
"""


def test_a_slow_call_does_not_hold_up_others():
    with running(SLOW) as worker:
        slow = worker.execute({"ms": 600_000})
        for _ in range(50):
            assert worker.call(ms=0).value == 1
        assert slow not in worker.results
        worker.send(fd.CANCEL, slow)
        assert worker.result(slow).outcome == fd.CANCELLED


def test_one_message_with_slow_and_fast_calls():
    with running(SLOW) as worker:
        frames = [worker.execute_frame({"ms": 600_000 if i == 0 else 0}) for i in range(100)]
        worker.send_frames([frame for _, frame in frames])
        for call_id, _ in frames[1:]:
            assert worker.result(call_id).value == 1
        assert frames[0][0] not in worker.results
        worker.send(fd.CANCEL, frames[0][0])
        assert worker.result(frames[0][0]).outcome == fd.CANCELLED


def test_one_thread_takes_turns():
    with running("""
static int inside;
static int execute(struct mozaiks_call *call)
{
	inside++;
	usleep(20000);
	int seen = inside;
	inside--;
	return mozaiks_answer(call, seen == 1 ? MOZAIKS_TEXT("1") : MOZAIKS_TEXT("2"));
}
""", more=".threads = 1,") as worker:
        ids = [worker.execute({}) for _ in range(5)]
        assert [worker.result(i).value for i in ids] == [1] * 5


def test_cancel_a_running_call():
    with running(SLOW) as worker:
        call_id = worker.execute({"ms": 20000})
        time.sleep(0.1)
        worker.send(fd.CANCEL, call_id)
        assert worker.result(call_id).outcome == fd.CANCELLED


def test_cancel_a_queued_call():
    with running(SLOW, more=".threads = 1,") as worker:
        first = worker.execute({"ms": 500})
        second = worker.execute({"ms": 20000})
        worker.send(fd.CANCEL, second)
        assert worker.result(second).outcome == fd.CANCELLED
        assert worker.result(first).value == 1


def test_cancel_a_call_that_waits_for_the_database():
    with running(CAPABILITY) as worker:
        call_id = worker.execute({"name": "database.count", "args": {"collection": "c"}})
        worker.until(lambda: worker.requests)
        worker.send(fd.CANCEL, call_id)
        assert worker.result(call_id).value["e"] == 5
        # The late answer belongs to nobody and is dropped.
        worker.send_frames([worker.reply_frame(worker.requests[0], bson.encode({"n": 1}))])
        worker.capabilities[fd.COUNT] = lambda request: bson.encode({"n": 2})
        assert worker.call(name="database.count", args={"collection": "c"}).value == {"n": 2}


def test_the_deadline_passes():
    with running(SLOW) as worker:
        call_id = worker.execute({"ms": 20000}, deadline_ms=100)
        assert worker.result(call_id).outcome == fd.EXCEPTION


def test_ping_while_every_thread_is_busy():
    with running("""
static int execute(struct mozaiks_call *call)
{
	for (;;) {
	}
	return 0;
}
""") as worker:
        for _ in range(10):
            worker.execute({})
        time.sleep(0.1)
        worker.send(fd.PING, 0)
        worker.wait_for(fd.PONG)


def test_events():
    with running(ANSWER.replace("execute", "on_event") + ANSWER,
                 more=".on_event = on_event,") as worker:
        call_id = worker.event("a:b", {"x": 1})
        assert worker.result(call_id).value == {"event": "a:b", "data": {"x": 1}}


def test_work_without_an_entry():
    with running(ANSWER) as worker:
        call_id = worker.new_id()
        worker.send(fd.HTTP, call_id, fd.work_header(1000) + b"{}")
        assert worker.result(call_id).outcome == fd.NO_ENTRY


def test_logs():
    with running("""
static int execute(struct mozaiks_call *call)
{
	mozaiks_log(call, MOZAIKS_LOG_WARNING, "%d things", 3);
	mozaiks_log(call, MOZAIKS_LOG_INFO, "%*s", 100000, "long");
	return 0;
}
""") as worker:
        worker.call()
        record = worker.log("3 things")
        assert (record.level, record.logger, record.call_id) == (4, "sample", 1)
        assert len(worker.log("    ").message) < 8192


INIT = """
static int ready;
static int execute(struct mozaiks_call *call)
{
	return mozaiks_answer(call, ready ? MOZAIKS_TEXT("1") : MOZAIKS_TEXT("0"));
}
static int init(struct mozaiks_call *call)
{
	struct mozaiks_text result;
	if (mozaiks_user(call).n != 0) {
		return mozaiks_fail(call, "init with a user");
	}
	if (mozaiks_capability(call, "settings.get", MOZAIKS_TEXT("{}"), &result) != 0) {
		return mozaiks_fail(call, "no settings: %.*s", MOZAIKS_PRINTED(mozaiks_error(call)));
	}
	ready = 1;
	return 0;
}
static __attribute__((unused)) void finish(struct mozaiks_call *call)
{
	mozaiks_log(call, MOZAIKS_LOG_INFO, "goodbye");
}
"""


def test_init_may_ask_before_ready():
    with unstarted(INIT + """
static const struct mozaiks_plugin plugin = { MOZAIKS_PLUGIN_HEAD, .execute = execute,
	.init = init };
const struct mozaiks_plugin *mozaiks_plugin(void) { return &plugin; }
""") as worker:
        worker.capabilities[fd.SETTINGS_GET] = lambda request: b"{}"
        start(worker)
        assert worker.requests[0].call_id == 0
        assert worker.call().value == 1


def test_init_that_fails():
    def refuse(request):
        raise fd.Refusal("internal", "not today")

    with unstarted(INIT + """
static const struct mozaiks_plugin plugin = { MOZAIKS_PLUGIN_HEAD, .execute = execute,
	.init = init };
const struct mozaiks_plugin *mozaiks_plugin(void) { return &plugin; }
""") as worker:
        worker.capabilities[fd.SETTINGS_GET] = refuse
        ready = worker.start()
        assert not ready["ok"]
        assert "not today" in ready["error"]


def test_drain():
    with unstarted(INIT + """
static const struct mozaiks_plugin plugin = { MOZAIKS_PLUGIN_HEAD, .execute = execute,
	.init = init, .shutdown = finish };
const struct mozaiks_plugin *mozaiks_plugin(void) { return &plugin; }
""") as worker:
        worker.capabilities[fd.SETTINGS_GET] = lambda request: b"{}"
        start(worker)
        call_id, frame = worker.execute_frame({})
        worker.send_frames([frame, worker.frame(fd.DRAIN, 0, struct.pack("<I", 5000))])
        assert worker.result(call_id).value == 1
        with pytest.raises(EOFError):
            worker.until(lambda: False, 5)
        assert worker.log("goodbye")
        assert worker.process.wait(5) == 0


# ---- What cannot be loaded ----

@pytest.mark.parametrize("source, part", [
    ("int nothing;", "exports no function mozaiks_plugin()"),
    ("""const struct mozaiks_plugin *mozaiks_plugin(void)
        { static struct mozaiks_plugin p = { .abi_version = 99 }; return &p; }""",
     "version 99 of mozaiks/plugin.h, this is version 1"),
    ("const struct mozaiks_plugin *mozaiks_plugin(void) { return NULL; }", "version 0"),
    ("""const struct mozaiks_plugin *mozaiks_plugin(void)
        { static struct mozaiks_plugin p = { MOZAIKS_PLUGIN_HEAD }; return &p; }""",
     "incomplete"),
    ("int missing(void); int (*p)(void) = missing;" +
     "const struct mozaiks_plugin *mozaiks_plugin(void) { return 0; }", "undefined symbol"),
])
def test_broken_plugins_say_why(source, part):
    with unstarted(source) as worker:
        ready = worker.start()
        assert not ready["ok"]
        assert part in ready["error"]
        assert worker.close() == 0


# ---- The two stages of the filter ----

def test_constructors_run_inside_the_sandbox():
    with running("""
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
static int at_load[3];
__attribute__((constructor)) static void hostile(void)
{
	at_load[0] = open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
	at_load[1] = socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
	at_load[2] = fork() < 0 ? errno : 0;
}
static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text json;
	return mozaiks_format(call, &json, "[%d,%d,%d]", at_load[0], at_load[1], at_load[2]) ||
		mozaiks_answer(call, json);
}
""") as worker:
        assert worker.call().value == [2, 13, 1]


def test_sealed_after_loading():
    with running("""
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text json;
	void *loaded = dlopen("libc.so.6", RTLD_NOW);
	void *fresh = dlopen("libBrokenLocale.so.1", RTLD_NOW);
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };
	int e = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1, &program) < 0 ? errno : 0;
	return mozaiks_format(call, &json, "[%d,%d,%d]", loaded != NULL, fresh != NULL, e) ||
		mozaiks_answer(call, json);
}
""") as worker:
        # What is loaded already can be opened again; nothing new comes in, and no filter either.
        assert worker.call().value == [1, 0, 38]


def test_environment_and_descriptors():
    with running("""
#include <fcntl.h>
extern char **environ;
static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text json;
	unsigned long open_fds = 0;
	for (int fd = 0; fd < 60; fd++) {
		open_fds |= fcntl(fd, F_GETFD) >= 0 ? 1UL << fd : 0;
	}
	return mozaiks_format(call, &json, "[%lu,%d]", open_fds, environ == NULL || !environ[0]) ||
		mozaiks_answer(call, json);
}
""") as worker:
        # 0 to 3, and the eventfd of the first thread.
        assert worker.call().value == [0b11111, 1]


def test_a_forbidden_call_ends_the_worker():
    with running("""
#include <sys/mount.h>
static int execute(struct mozaiks_call *call)
{
	return mount("none", "/tmp", "tmpfs", 0, NULL);
}
""") as worker:
        worker.execute({})
        with pytest.raises(EOFError):
            worker.until(lambda: False, 5)
        assert worker.process.wait(5) == 128 + signal.SIGSYS


def test_garbage_from_the_director_ends_it():
    with running(ANSWER) as worker:
        worker.send(fd.HELLO, 0, b"\1\0\1{}")
        with pytest.raises(EOFError):
            worker.until(lambda: False, 5)
        assert worker.process.wait(5) == 124


def test_many_calls_in_flight():
    with running(ANSWER) as worker:
        frames = [worker.execute_frame({"i": i, "pad": "x" * 500}) for i in range(2000)]
        worker.send_frames([frame for _, frame in frames[:400]])
        for begin in range(400, 2000, 400):
            worker.send_frames([frame for _, frame in frames[begin:begin + 400]])
        for i, (call_id, _) in enumerate(frames):
            assert worker.result(call_id).value["i"] == i
        assert worker.messages < 1000


def test_answers_wait_while_the_director_does_not_read():
    """More than fits the socket and our buffer: the worker goes on reading, and nothing is lost."""
    with running("""
static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text json;
	return mozaiks_format(call, &json, "\\"%*s\\"", 500000, "x") || mozaiks_answer(call, json);
}
""") as worker:
        frames = [worker.execute_frame({}) for _ in range(40)]
        worker.send_frames([frame for _, frame in frames])
        time.sleep(0.5)
        for call_id, _ in frames:
            assert len(worker.result(call_id).value) == 500000
