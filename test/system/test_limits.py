"""Every limit is a setting; what runs into one says its value and the setting's name, exactly there."""
import contextlib
import json
import os
import signal
import socket
import threading
import time

from runtime import PATIENCE_SECONDS, Runtime, mint, wait_for

ECHO = {"logic.py": "async def execute(data):\n    return data\n"}


def says(runtime, *words):
    return wait_for(lambda: next((line for line in runtime.director.lines
                                  if all(word in line for word in words)), None),
                    f"a record with {words}")


def signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


# The life of a worker

def test_time_to_load_a_plugin():
    with Runtime({"sleeper": {"logic.py": "import time\ntime.sleep(60)\n"}, "echo": ECHO},
                 env={"MOZAIKS_WORKER_LOAD_TIMEOUT_SECONDS": "4"}) as runtime:
        says(runtime, "it was not ready within 4 s (MOZAIKS_WORKER_LOAD_TIMEOUT_SECONDS)")
        assert runtime.execute("echo", {"a": 1}).json["a"] == 1


def test_time_until_a_worker_reports():
    """A zygote that is stopped starts nothing."""
    with Runtime({"echo": ECHO}, env={"MOZAIKS_WORKER_HELLO_TIMEOUT_SECONDS": "1"}) as runtime:
        stopped = runtime.workers()
        signal_all(stopped, signal.SIGSTOP)
        try:
            runtime.put_plugin("echo", {"logic.py": ECHO["logic.py"] + "# another version\n"})
            says(runtime, "it did not report from its sandbox within 1 s "
                          "(MOZAIKS_WORKER_HELLO_TIMEOUT_SECONDS)")
        finally:
            signal_all(stopped, signal.SIGCONT)


def test_plugins_that_start_at_once():
    """Up to the limit all do; with one more each waits for its first call."""
    for limit, state in (("2", "ready"), ("1", "stopped")):
        with Runtime({"one": ECHO, "two": ECHO}, env={"MOZAIKS_EAGER_PLUGINS": limit}) as runtime:
            for name in ("one", "two"):
                runtime.wait_plugin(name, lambda p, state=state: p and p["state"] == state)
            assert runtime.execute("two", {"a": 2}).json["a"] == 2


def test_time_to_drain():
    slow = {"logic.py": "import asyncio\nasync def execute(data):\n    await asyncio.sleep(30)\n"}
    with Runtime({"slow": slow}, env={"MOZAIKS_DRAIN_TIMEOUT_SECONDS": "0.5"}) as runtime:
        answers = []

        def call():
            try:
                answers.append(runtime.execute("slow").status)
            except OSError as error:
                answers.append(error)
        caller = threading.Thread(target=call)
        caller.start()
        runtime.wait_in_flight("slow", 1)
        director = runtime.director
        started = time.monotonic()
        director.signal(signal.SIGTERM)
        director.process.wait(PATIENCE_SECONDS)
        # Less than its call would last.
        assert 0.4 < time.monotonic() - started < 25
        says(runtime, "after 0.5 s (MOZAIKS_DRAIN_TIMEOUT_SECONDS)")
        caller.join()
        assert answers != [200]


def test_what_a_manifest_can_ask_for():
    """Below the limit it is given exactly, above it is cut, and the log says so."""
    def plugin(**manifest):
        return {"logic.py": "import asyncio\nasync def execute(data):\n    await asyncio.sleep(60)\n",
                "manifest.json": json.dumps(manifest)}

    def time_of_504(runtime, name):
        started = time.monotonic()
        assert runtime.execute(name).status == 504
        return time.monotonic() - started
    env = {"MOZAIKS_MAX_PLUGIN_TIMEOUT_SECONDS": "2", "MOZAIKS_MAX_WORKERS_PER_PLUGIN": "2",
           "MOZAIKS_MAX_CONCURRENCY": "7"}
    with Runtime({"short": plugin(limits={"timeout": 0.3}),
                  "greedy": plugin(limits={"timeout": 30}, workers=3, concurrency=8)},
                 env=env) as runtime:
        short, long = time_of_504(runtime, "short"), time_of_504(runtime, "greedy")
        assert short > 0.25 and 1.9 < long < 25
        says(runtime, "asks for timeout 30; at most 2 is given (MOZAIKS_MAX_PLUGIN_TIMEOUT_SECONDS)")
        says(runtime, "asks for workers 3; at most 2 is given (MOZAIKS_MAX_WORKERS_PER_PLUGIN)")
        says(runtime, "asks for concurrency 8; at most 7 is given (MOZAIKS_MAX_CONCURRENCY)")
        assert not [line for line in runtime.director.lines if '"short"' in line and "asks" in line]
        ready = {r["worker"] for r in runtime.director.records
                 if r["id"] == "worker.ready" and r["plugin"] == "greedy"}
        assert len(ready) == 2


# Capability calls

ASKER = {"logic.py": """
import asyncio
from core.config.database import db
from core.event_bus import event_bus
from core.settings_manager import settings_manager
from core.websocket_manager import websocket_manager

async def execute(data):
    done = []
    async def one():
        if data["ask"] == "broadcast":
            await websocket_manager.broadcast({"t": data["text"]})
        elif data["ask"] == "cursor":
            cursor = db["many"].find({})
            await cursor.__anext__()
            done.append(cursor)
        elif data["ask"] == "fill":
            await db["many"].insert_many([{"n": n} for n in range(600)])
        else:
            await settings_manager.get_plugin_settings(data["user_id"], "asker")
    n = 0
    try:
        for n in range(data.get("n", 1)):
            await one()
        n += 1
    except Exception as error:
        return {"done": n, "type": type(error).__name__, "message": str(error)}
    return {"done": n}
"""}


def ask(runtime, what, user="alice", **more):
    answer = runtime.execute("asker", {"ask": what, **more}, user=user)
    assert answer.status == 200, answer
    return answer.json


def test_arguments():
    """A message of exactly the limit is taken, one byte more is not."""
    limit = 1024
    with Runtime({"asker": ASKER}, env={"MOZAIKS_MAX_ARGUMENT_BYTES": str(limit)}) as runtime:
        overhead = len(json.dumps({"message": {"t": ""}}, separators=(",", ":")))
        room = limit - overhead
        assert ask(runtime, "broadcast", text="x" * room) == {"done": 1}
        got = ask(runtime, "broadcast", text="x" * (room + 1))
        assert got["type"] == "LimitExceeded"
        assert got["message"] == (f"websocket.broadcast: arguments of {limit + 1} bytes; at most "
                                  f"{limit} are taken (MOZAIKS_MAX_ARGUMENT_BYTES)")


def test_cursors():
    with Runtime({"asker": ASKER}, env={"MOZAIKS_MAX_CURSORS_PER_REQUEST": "3"}) as runtime:
        assert ask(runtime, "fill") == {"done": 1}
        assert ask(runtime, "cursor", n=3) == {"done": 3}
        got = ask(runtime, "cursor", n=4)
        assert (got["done"], got["message"]) == (
            3, "more than 3 cursors are open in this request (MOZAIKS_MAX_CURSORS_PER_REQUEST)")


BULK = {"logic.py": """
from core.config.database import db
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

async def execute(data):
    writes = []
    for i in range(10):
        writes += [InsertOne({"_id": i, "n": 0}), UpdateOne({"n": 0}, {"$inc": {"n": 1}})]
    if "fail" in data:
        writes[data["fail"]] = InsertOne({"_id": 0})
    items = db[data["collection"]]
    try:
        done = (await items.bulk_write(writes, ordered=data["ordered"])).bulk_api_result
    except BulkWriteError as error:
        done = error.details
    return {"inserted": done["nInserted"], "modified": done["nModified"],
            "failed": [e["index"] for e in done.get("writeErrors", [])],
            "left": await items.count_documents({})}
"""}


def test_writes_of_a_list():
    """A list that is longer goes in parts, with the same results."""
    for limit in ("1000", "4"):
        with Runtime({"bulk": BULK}, env={"MOZAIKS_MAX_BULK_WRITES": limit}) as runtime:
            for case, expected in (
                    ({"ordered": True}, (10, 10, [], 10)),
                    ({"ordered": True, "fail": 13}, (7, 6, [13], 7)),
                    ({"ordered": False, "fail": 13}, (10, 9, [13], 10))):
                case["collection"] = f"c{expected[1]}{case['ordered']}"
                got = runtime.execute("bulk", case).json
                assert got == dict(zip(("inserted", "modified", "failed", "left"), expected))


def test_calls_a_second():
    """Of one plugin and of one user: a second's worth comes at once, and then as fast as it leaks."""
    for setting, whose in (("MOZAIKS_CAPABILITY_RATE_PER_PLUGIN", "plugin"),
                           ("MOZAIKS_CAPABILITY_RATE_PER_USER", "user")):
        with Runtime({"asker": ASKER}, env={setting: "20"}) as runtime:
            started = time.monotonic()
            got = ask(runtime, "settings", n=2000)
            taken = time.monotonic() - started
            assert got["type"] == "QuotaExceeded"
            assert got["message"] == ("settings.get: more than 20 capability calls a second of "
                                      f"this {whose} ({setting})")
            assert 20 <= got["done"] <= 20 + 20 * taken + 1
            # Another user pays for what this one did only where the plugin is counted.
            n = {"plugin": 400, "user": 10}[whose]
            other = ask(runtime, "settings", user="bob", n=n)
            assert (other["done"] == n) == (whose == "user"), other


def test_events():
    """Subscriptions, depth and queue."""
    many = {"logic.py": "from core.event_bus import event_bus\n"
                        "async def heard(data):\n    pass\n"
                        "for n in range(4):\n    event_bus.subscribe(f'other:{n}', heard)\n"
                        "async def execute(data):\n    return True\n"}
    with Runtime({"many": many}, env={"MOZAIKS_MAX_EVENT_SUBSCRIPTIONS": "4"}) as runtime:
        assert runtime.execute("many").status == 200
    with Runtime({"many": many}, env={"MOZAIKS_MAX_EVENT_SUBSCRIPTIONS": "3"}) as runtime:
        entry = runtime.wait_plugin("many", lambda p: p["state"] == "broken")
        assert entry["error"] == "more than 3 event subscriptions (MOZAIKS_MAX_EVENT_SUBSCRIPTIONS)"
    chain = {"logic.py": """
import asyncio
from core.event_bus import event_bus
heard = []

async def on_event(data):
    heard.append(data["n"])
    event_bus.publish("chain:next", {"n": data["n"] + 1})

async def slow(data):
    await asyncio.sleep(4)

event_bus.subscribe("chain:next", on_event)
event_bus.subscribe("chain:slow", slow)

async def execute(data):
    if data.get("flood"):
        for _ in range(data["flood"]):
            event_bus.publish("chain:slow", {})
    elif data.get("heard"):
        return heard
    else:
        event_bus.publish("chain:next", {"n": 1})
"""}
    env = {"MOZAIKS_MAX_EVENT_DEPTH": "3", "MOZAIKS_EVENT_QUEUE": "5"}
    with Runtime({"chain": chain}, env=env) as runtime:
        assert runtime.execute("chain").status == 200
        says(runtime, "handlers that publish for handlers, more than 3 deep "
                      "(MOZAIKS_MAX_EVENT_DEPTH)")
        assert runtime.execute("chain", {"heard": True}).json == [1, 2, 3]
        assert runtime.execute("chain", {"flood": 5}).status == 200
        assert "MOZAIKS_EVENT_QUEUE" not in runtime.director.text
        assert runtime.execute("chain", {"flood": 1}).status == 200
        says(runtime, "more than 5 events are on their way to this plugin (MOZAIKS_EVENT_QUEUE): 1 ")


# Frames

def test_a_worker_that_floods_is_slowed():
    """What is over the rate waits with its sender; the answer comes behind it, and a neighbour
    notices nothing."""
    talker = {"logic.py": """
import logging
logger = logging.getLogger("mozaiks_plugins.talker")

async def execute(data):
    for n in range(data["n"]):
        logger.info("%d", n)
    return True
"""}
    with Runtime({"talker": talker, "echo": ECHO},
                 env={"MOZAIKS_WORKER_FRAME_RATE": "100"}) as runtime:
        assert runtime.execute("talker", {"n": 80}).status == 200
        assert "MOZAIKS_WORKER_FRAME_RATE" not in runtime.director.text
        time.sleep(1)
        started = time.monotonic()
        assert runtime.execute("talker", {"n": 100}).status == 200
        assert runtime.execute("talker", {"n": 150}).status == 200
        assert runtime.execute("echo", {"a": 1}).status == 200
        assert runtime.execute("talker", {"n": 1}).status == 200
        # What came after the 150 was read only when the pause was over, 0.5 s at most.
        assert time.monotonic() - started > 0.4
        says(runtime, "it sends more than 100 frames a second (MOZAIKS_WORKER_FRAME_RATE)")


def test_a_worker_that_does_not_read():
    """What waits for it is bounded; more is refused at once."""
    with Runtime({"echo": ECHO}, env={"MOZAIKS_MAX_CHANNEL_BYTES": "2M"}) as runtime:
        assert runtime.execute("echo", {}).status == 200
        stopped = runtime.workers()
        signal_all(stopped, signal.SIGSTOP)
        answers = []
        body = {"a": "x" * 900_000}
        callers = [threading.Thread(target=lambda: answers.append(runtime.execute("echo", body)))
                   for _ in range(6)]
        try:
            for caller in callers:
                caller.start()
            wait_for(lambda: answers, "the first refusal")
        finally:
            signal_all(stopped, signal.SIGCONT)
        for caller in callers:
            caller.join()
        refused = [a for a in answers if a.status != 200]
        assert 1 <= len(refused) <= 4, answers
        for answer in refused:
            assert answer.status == 503 and answer.json["detail"] == (
                "Plugin 'echo' does not take requests fast enough: more than 2097152 bytes wait for "
                "it (MOZAIKS_MAX_CHANNEL_BYTES)")


# HTTP

def raw_problem(runtime, data, **more):
    """Status and detail of the first answer to these bytes."""
    head, _, rest = runtime.raw(data, **more).partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                  if line.startswith(b"content-length:"))
    return status, json.loads(rest[:length]).get("detail") if status >= 400 else None


def head_of(size, line_only=False):
    """A request whose head (or whose request line) has exactly `size` bytes."""
    line, rest = b"GET /livez%s HTTP/1.1\r\n", b"Host: x\r\nConnection: close\r\n"
    if line_only:
        return line % (b"?" + b"x" * (size - len(line) + 1)) + rest + b"\r\n"
    rest += b"X-Pad: %s\r\n\r\n"
    return line % b"" + rest % (b"x" * (size - len(line) - len(rest) + 4))


def test_heads():
    with Runtime(env={"MOZAIKS_MAX_HEAD_BYTES": "2048"}) as runtime:
        assert len(head_of(2048)) == 2048
        assert raw_problem(runtime, head_of(2048)) == (200, None)
        assert raw_problem(runtime, head_of(2049)) == (
            431, "the request head has more than 2048 bytes (MOZAIKS_MAX_HEAD_BYTES)")
        assert raw_problem(runtime, head_of(2049, line_only=True)) == (
            414, "the request line has more than 2048 bytes (MOZAIKS_MAX_HEAD_BYTES)")


def test_bodies():
    says_so = "the body has more than 65536 bytes (MAX_REQUEST_BODY_BYTES)"
    with Runtime({"echo": ECHO}, env={"MAX_REQUEST_BODY_BYTES": "65536"}) as runtime:
        def body(n):
            return b'{"a":"' + b"x" * (n - 8) + b'"}'
        assert runtime.execute("echo", body(65536)).status == 200
        answer = runtime.execute("echo", body(65537))
        assert (answer.status, answer.json["detail"]) == (413, says_so)
        # Of an unknown length: known when the chunk that is too much is announced.
        for n, status in ((65536, 200), (65537, 413)):
            connection = (b"POST /api/execute/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                          b"Authorization: Bearer %s\r\nTransfer-Encoding: chunked\r\n\r\n"
                          b"%x\r\n%s\r\n0\r\n\r\n"
                          % (mint("alice").encode(), n, body(n)))
            got = raw_problem(runtime, connection)
            assert got == (status, None if status == 200 else says_so)


def test_answers():
    """As text: quotes and all."""
    plugin = {"logic.py": "async def execute(data):\n    return 'x' * (data['n'] - 2)\n"}
    with Runtime({"long": plugin}, env={"MOZAIKS_MAX_RESPONSE_BYTES": "5000"}) as runtime:
        assert runtime.execute("long", {"n": 5000}).status == 200
        answer = runtime.execute("long", {"n": 5001})
        assert answer.status == 502 and answer.json["code"] == "plugin_response_too_large"
        assert answer.json["detail"] == ("Plugin 'long' answered with more than 5000 bytes "
                                         "(MOZAIKS_MAX_RESPONSE_BYTES)")


def test_slow_clients():
    env = {"MOZAIKS_HEADER_TIMEOUT_SECONDS": "2", "MOZAIKS_BODY_TIMEOUT_SECONDS": "2",
           "MOZAIKS_MIN_BODY_RATE": "5000"}
    head = (b"POST /api/execute/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n"
            b"Authorization: Bearer %s\r\n\r\n" % mint("alice").encode())
    with Runtime({"echo": ECHO}, env=env) as runtime:
        assert raw_problem(runtime, b"GET /livez HTTP/1.1\r\nHost:") == (
            408, "the request head did not arrive within 2 s (MOZAIKS_HEADER_TIMEOUT_SECONDS)")
        assert raw_problem(runtime, head + b"{") == (
            408, "nothing of the body arrived within 2 s (MOZAIKS_BODY_TIMEOUT_SECONDS)")
        with socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS) as s:
            s.sendall(head)
            s.settimeout(0.2)
            received = b""
            end = time.monotonic() + PATIENCE_SECONDS
            while not received and time.monotonic() < end:
                s.sendall(b"x")
                try:
                    received = s.recv(65536)
                except socket.timeout:
                    pass
        assert b" 408 " in received, received
        assert (b"after its first 5 s the body arrived at less than 5000 bytes a second "
                b"(MOZAIKS_MIN_BODY_RATE)") in received


def test_limits_of_a_worker_s_process():
    plugin = {"logic.py": "import resource\n\n\nasync def execute(data):\n"
                          "    return {'files': resource.getrlimit(resource.RLIMIT_NOFILE),\n"
                          "            'addresses': resource.getrlimit(resource.RLIMIT_AS)}\n"}
    for env, files, addresses in (({}, 64, 1 << 30),
                                  ({"MOZAIKS_SANDBOX_FILES": "50",
                                    "MOZAIKS_SANDBOX_ADDRESS_SPACE": "600M"}, 50, 600 << 20)):
        with Runtime({"limits": plugin}, env=env) as runtime:
            assert runtime.execute("limits", {}).json == {"files": [files, files],
                                                          "addresses": [addresses, addresses]}
