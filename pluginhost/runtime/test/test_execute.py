"""The call path: execute(data) in, its answer out."""

import json

import fake_director as fd


def test_async_execute_gets_its_data(start):
    worker = start("""
async def execute(data):
    return {"action": data["action"], "user": data["user_id"], "keys": sorted(data)}
""")
    value = worker.call(action="list").value
    assert value["action"] == "list"
    assert value["user"] == "user_1"
    assert value["keys"] == ["_context", "action", "app_id", "user_id"]


def test_leading_white_space_and_unicode(start):
    worker = start(
        "async def execute(data):\n    return data['t'] + '\\u20ac\\U0001f600\"\\\\\\n'\n"
    )
    call_id = worker.execute(b' \r\n\t{"t": "\\u00e4\xc3\xa4\\ud83d\\ude00"} ')
    assert worker.result(call_id).value == 'ää😀€😀"\\\n'


def test_run_is_the_fallback(start):
    worker = start("async def run(data):\n    return {'by': 'run'}\n")
    assert worker.call().value == {"by": "run"}


def test_execute_wins_over_run(start):
    worker = start(
        "async def run(data):\n    return 'run'\nasync def execute(data):\n    return 'execute'\n"
    )
    assert worker.call().value == "execute"


def test_no_entry(unstarted):
    worker = unstarted("x = 1\n")
    assert worker.start() == {"ok": True, "entry": None, "async": False, "subscriptions": []}
    assert worker.call().outcome == fd.NO_ENTRY


def test_work_without_an_entry_of_its_kind(start):
    worker = start("async def execute(data):\n    return 1\n")
    call_id = worker.new_id()
    worker.send(fd.LIFECYCLE, call_id, fd.work_header(1000) + b"\x01{}")
    assert worker.result(call_id).outcome == fd.NO_ENTRY


def test_callable_object_and_partial(start):
    worker = start("""
import functools

class Entry:
    async def __call__(self, data):
        return "object"

execute = Entry()
""")
    assert worker.call().value == "object"
    worker = start("""
import functools

async def real(prefix, data):
    return prefix + data["t"]

execute = functools.partial(real, "p:")
""")
    assert worker.call(t="x").value == "p:x"


def test_decorated_async_function_that_hides_it(start):
    worker = start("""
import asyncio

def logged(function):
    def wrapper(data):
        return function(data)
    return wrapper

@logged
async def execute(data):
    await asyncio.sleep(0)
    return {"task": asyncio.current_task() is not None}
""")
    assert worker.call().value == {"task": True}


def test_wrong_signature_is_an_exception(start):
    worker = start("async def execute():\n    return 1\n")
    result = worker.call()
    assert result.outcome == fd.EXCEPTION
    assert result.error["type"] == "TypeError"


def test_exception_has_type_message_traceback(start):
    worker = start("""
async def execute(data):
    await helper(data)

async def helper(data):
    raise ValueError("bad " + data["t"])
""")
    error = worker.call(t="ä\ud800".encode("utf-8", "replace").decode()).error
    assert error["type"] == "ValueError"
    assert error["message"].startswith("bad ä")
    assert "in helper" in error["traceback"] and "logic.py" in error["traceback"]
    assert 'raise ValueError("bad "' in error["traceback"]


def test_exceptions_that_would_end_a_process(start):
    worker = start("""
import asyncio, sys

class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")

class Base(BaseException):
    pass

async def execute(data):
    if data.get("later"):
        await asyncio.sleep(0)
    kind = data["kind"]
    if kind == "exit":
        sys.exit(3)
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "generator":
        raise GeneratorExit
    if kind == "base":
        raise Base("b")
    if kind == "odd":
        raise Odd()
    if kind == "stop":
        raise StopIteration(1)
    if kind == "deep":
        return await execute(data)
    if kind == "group":
        raise ExceptionGroup("several", [ValueError("one"), TypeError("two")])
    if kind == "cancelled":
        raise asyncio.CancelledError()
    return "fine"
""")
    expected = {
        "exit": "SystemExit",
        "interrupt": "KeyboardInterrupt",
        "generator": "GeneratorExit",
        "base": "Base",
        "odd": "Odd",
        "stop": "RuntimeError",
        "deep": "RecursionError",
        "group": "ExceptionGroup",
        "cancelled": "CancelledError",
    }
    for later in (False, True):
        for kind, name in expected.items():
            result = worker.call(kind=kind, later=later)
            assert result.outcome == fd.EXCEPTION, (kind, later, result)
            assert result.error["type"] == name
            assert len(result.body) < 64 * 1024
    assert worker.call(kind="none").value == "fine"


def test_huge_exception_is_bounded(start):
    worker = start("async def execute(data):\n    raise ValueError('x' * 5_000_000)\n")
    result = worker.call()
    assert result.outcome == fd.EXCEPTION
    assert len(result.body) < 64 * 1024


def test_calls_run_concurrently(start):
    worker = start("""
import asyncio

running = most = 0
all_here = asyncio.Event()

async def execute(data):
    global running, most
    running += 1
    most = max(most, running)
    if running == 50:
        all_here.set()
    await all_here.wait()
    running -= 1
    return [data["n"], most]
""")
    ids = [worker.execute({"n": n}) for n in range(50)]
    assert [worker.result(i).value for i in ids] == [[n, 50] for n in range(50)]


def test_answers_of_one_turn_travel_together(start):
    worker = start("async def execute(data):\n    return data['n']\n")
    worker.call(n=0)
    before = worker.messages
    calls = [worker.execute_frame({"n": n}) for n in range(64)]
    worker.send_frames([frame for _, frame in calls])
    assert [worker.result(i).value for i, _ in calls] == list(range(64))
    # Two when the slice of a turn was over in the middle.
    assert worker.messages - before <= 8


def test_context_of_each_call_is_its_own(start):
    worker = start("""
import asyncio, contextvars

var = contextvars.ContextVar("var", default=None)
imported = contextvars.ContextVar("imported")
imported.set("at import")

async def inner():
    await asyncio.sleep(0.01)
    return var.get()

async def execute(data):
    before = var.get()
    var.set(data["n"])
    await asyncio.sleep(0.01)
    task = asyncio.create_task(inner())
    return [before, var.get(), await task, imported.get()]
""")
    calls = [worker.execute_frame({"n": n}) for n in range(30)]
    worker.send_frames([frame for _, frame in calls])
    for n, (call_id, _) in enumerate(calls):
        assert worker.result(call_id).value == [None, n, n, "at import"]


def test_data_that_json_takes_but_python_does_not(start):
    worker = start("async def execute(data):\n    return 1\n")
    call_id = worker.execute(b'{"n": ' + b"9" * 5000 + b"}")
    result = worker.result(call_id)
    assert result.outcome == fd.EXCEPTION and result.error["type"] == "ValueError"
    for broken in (b"", b"{", b"\xff"):
        assert worker.result(worker.execute(broken)).outcome == fd.EXCEPTION
    assert worker.call().value == 1


def test_ping(start):
    worker = start("async def execute(data):\n    return 1\n")
    worker.send(fd.PING, 0)
    worker.wait_for(fd.PONG)


def test_many_calls(start):
    worker = start("""
import asyncio

async def execute(data):
    if data["n"] % 10 == 0:
        await asyncio.sleep(0)
    return {"n": data["n"], "text": data["text"]}
""")
    done = 0
    while done < 10_000:
        calls = [worker.execute_frame({"n": n, "text": "t" * (n % 300)}) for n in range(100)]
        worker.send_frames([frame for _, frame in calls])
        for n, (call_id, _) in enumerate(calls):
            assert worker.result(call_id).value == {"n": n, "text": "t" * (n % 300)}
        done += 100
    assert len(worker.results) == 10_000


def test_malformed_frame_ends_the_worker(start):
    worker = start("async def execute(data):\n    return 1\n")
    worker.send(fd.RESULT, 1, b"\x00")
    try:
        worker.until(lambda: False)
    except EOFError:
        pass
    assert worker.close() == 124
    assert "malformed" in worker.output


def test_closing_the_channel_ends_the_worker(start):
    worker = start("import asyncio\nasync def execute(data):\n    await asyncio.sleep(60)\n")
    worker.execute({})
    worker.send(fd.PING, 0)
    worker.wait_for(fd.PONG)
    assert worker.close() == 0


def test_drain_finishes_what_runs(start):
    worker = start(
        "import asyncio\nasync def execute(data):\n    await asyncio.sleep(0.3)\n    return 'done'\n"
    )
    call_id = worker.execute({})
    worker.send(fd.DRAIN, 0, (5000).to_bytes(4, "little"))
    assert worker.result(call_id).value == "done"
    try:
        worker.until(lambda: False)
    except EOFError:
        pass
    assert worker.close() == 0


def test_drain_with_a_deadline(start):
    worker = start("import asyncio\nasync def execute(data):\n    await asyncio.sleep(60)\n")
    worker.execute({})
    worker.send(fd.DRAIN, 0, (200).to_bytes(4, "little"))
    # Sooner than the call would have ended.
    assert worker.process.wait(50) == 0


def test_result_can_be_any_json(start):
    worker = start("async def execute(data):\n    return data['v']\n")
    for value in (None, True, False, 0, -1, 1.5, "", "x", [], {}, [1, [2]], {"a": {"b": None}}):
        assert worker.call(v=value).value == value
    assert worker.call(v=None).body == b"null"
    assert json.loads(worker.call(v=2**70).body) == 2**70
