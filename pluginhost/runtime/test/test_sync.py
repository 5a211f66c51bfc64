"""execute() that is not async: in a thread, beside the loop."""

import fake_director as fd


def test_sync_execute(start):
    worker = start("""
import threading

def execute(data):
    return {"n": data["n"], "main": threading.current_thread() is threading.main_thread()}
""")
    assert worker.call(n=1).value == {"n": 1, "main": False}


def test_sync_run(start):
    worker = start("def run(data):\n    return data['n']\n")
    assert worker.call(n=3).value == 3


def test_ready_says_so(unstarted):
    ready = unstarted("def execute(data):\n    return 1\n").start()
    assert ready["async"] is False and ready["entry"] == "execute"


def test_eight_at_once_and_the_loop_stays_free(start):
    worker = start("""
import asyncio, threading, time

ticks = 0
running = 0
most = 0
lock = threading.Lock()

async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.01)

task = asyncio.create_task(tick())

def execute(data):
    global running, most
    if data.get("look"):
        return {"ticks": ticks, "most": most, "threads": threading.active_count()}
    with lock:
        running += 1
        most = max(most, running)
    time.sleep(0.2)
    with lock:
        running -= 1
    return data["n"]
""")
    ids = [worker.execute({"n": n}) for n in range(16)]
    worker.send(fd.PING, 0)
    worker.wait_for(fd.PONG)
    assert len(worker.results) < 16
    assert [worker.result(i).value for i in ids] == list(range(16))
    look = worker.call(look=True).value
    assert look["most"] == 8
    assert look["threads"] == 9
    assert look["ticks"] > 10


def test_queued_jobs_can_be_cancelled(start):
    worker = start("""
import time
ran = []

def execute(data):
    if data.get("look"):
        return ran
    time.sleep(0.5)
    ran.append(data["n"])
    return data["n"]
""")
    ids = [worker.execute({"n": n}) for n in range(10)]
    worker.send(fd.PING, 0)
    worker.wait_for(fd.PONG)
    worker.send_frames([worker.frame(fd.CANCEL, ids[0]), worker.frame(fd.CANCEL, ids[9])])
    assert worker.result(ids[9]).outcome == fd.CANCELLED
    # A thread that runs cannot be stopped: what it returns is the answer.
    assert worker.result(ids[0]).value == 0
    for n in range(1, 9):
        assert worker.result(ids[n]).value == n
    assert sorted(worker.call(look=True).value) == list(range(9))


def test_exceptions(start):
    worker = start("""
import sys

def execute(data):
    if data["kind"] == "exit":
        sys.exit(1)
    if data["kind"] == "value":
        raise ValueError("v")
    if data["kind"] == "deep":
        return execute(data)
    if data["kind"] == "set":
        return {1}
    return "fine"
""")
    assert worker.call(kind="exit").error["type"] == "SystemExit"
    assert worker.call(kind="value").error["message"] == "v"
    assert worker.call(kind="deep").error["type"] == "RecursionError"
    assert worker.call(kind="set").outcome == fd.UNSERIALISABLE
    for _ in range(20):
        assert worker.call(kind="none").value == "fine"


def test_contexts(start):
    worker = start("""
import contextvars, time
var = contextvars.ContextVar("var", default=None)

def execute(data):
    before = var.get()
    var.set(data["n"])
    time.sleep(0.01)
    return [before, var.get()]
""")
    ids = [worker.execute({"n": n}) for n in range(20)]
    assert [worker.result(i).value for i in ids] == [[None, n] for n in range(20)]


def test_capabilities_from_a_thread(start):
    worker = start("""
import asyncio
from core.settings_manager import settings_manager
from core.event_bus import event_bus
from mozaiks import wait

def execute(data):
    event_bus.publish("sample:x", {"n": 1})
    one = wait(settings_manager.get_plugin_settings(data["user_id"], "sample"))
    two = asyncio.run(settings_manager.get_plugin_settings(data["user_id"], "sample"))
    try:
        wait(settings_manager.save_plugin_settings(data["user_id"], "sample", 1))
    except PermissionError as error:
        return [one, two, str(error), error.permission]
""")
    worker.capabilities[fd.SETTINGS_GET] = lambda request: b'{"theme":"dark"}'
    worker.capabilities[fd.PUBLISH] = lambda request: b"{}"

    def refuse(request):
        raise fd.Refusal("permission_denied", "no settings today", permission="settings.x")

    worker.capabilities[fd.SETTINGS_SAVE] = refuse
    call_id = worker.execute({"user_id": "user_1"})
    assert worker.result(call_id).value == [
        {"theme": "dark"},
        {"theme": "dark"},
        "no settings today",
        "settings.x",
    ]
    assert [r.call_id for r in worker.requests] == [call_id] * 4


def test_cancelled_thread_stops_waiting(start):
    worker = start("""
from core.settings_manager import settings_manager
from mozaiks import wait

def execute(data):
    wait(settings_manager.get_plugin_settings("user_1", "sample"))
""")
    call_id = worker.execute({})
    worker.until(lambda: worker.requests)
    worker.send(fd.CANCEL, call_id)
    assert worker.result(call_id).error["type"] == "CallEnded"


def test_wait_does_not_block_the_loop(start):
    worker = start("""
from core.settings_manager import settings_manager
from mozaiks import wait

async def execute(data):
    try:
        wait(settings_manager.get_plugin_settings("user_1", "sample"))
    except RuntimeError as error:
        return str(error)
""")
    assert "await" in worker.call().value
    assert worker.requests == []


def test_small_stacks(start):
    worker = start("""
import threading
def execute(data):
    return threading.stack_size()
""")
    assert worker.call().value == 512 * 1024
