"""Publishing, subscribing, delivery with retries."""

import time

import fake_director as fd


def ok(request):
    return b"{}"


def test_publish(start):
    worker = start("""
from core.event_bus import event_bus
from bson import ObjectId
import datetime

async def execute(data):
    event_bus.publish("sample:made", {"id": ObjectId("b" * 24), "at": datetime.date(2026, 1, 2)})
    awaited = await event_bus.publish("sample:awaited")
    return [awaited, event_bus.get_stats(), event_bus.get_history("sample:awaited"),
            len(event_bus.get_event_history())]
""")
    worker.capabilities[fd.PUBLISH] = ok
    call_id = worker.execute({})
    awaited, stats, history, names = worker.result(call_id).value
    assert awaited is None and names == 2
    assert stats == {
        "events_published": 2,
        "events_delivered": 0,
        "delivery_failures": 0,
        "events_by_type": {"sample:made": 1, "sample:awaited": 1},
    }
    assert history["sample:awaited"][0]["data"] is None
    assert [r.json() for r in worker.requests] == [
        {"event": "sample:made", "data": {"id": "b" * 24, "at": "2026-01-02"}},
        {"event": "sample:awaited", "data": None},
    ]
    assert {r.call_id for r in worker.requests} == {call_id}


def test_refused_event_is_logged(start):
    worker = start("""
from core.event_bus import event_bus
async def execute(data):
    event_bus.publish("other:x", 1)
    return 1
""")

    def refuse(request):
        raise fd.Refusal("permission_denied", "publishes names that start with sample:")

    worker.capabilities[fd.PUBLISH] = refuse
    assert worker.call().value == 1
    assert worker.log("start with sample:").level == 4


HANDLERS = """
import asyncio
from core.event_bus import event_bus, on_event

got = []

@event_bus.subscribe("user:registered")
async def decorated(data):
    await asyncio.sleep(0)
    got.append(["decorated", data])

@on_event("user:registered")
def sync(data):
    import threading
    got.append(["sync", threading.current_thread() is threading.main_thread()])

async def two_arguments(data):
    got.append(["two", data])

event_bus.subscribe("other:thing", two_arguments)

async def any_order(data):
    got.append(["wild", data])

event_bus.subscribe("order:*", any_order)

@event_bus.on_event("gone")
async def gone(data):
    got.append(["gone"])

async def execute(data):
    if data["action"] == "unsubscribe":
        return [event_bus.unsubscribe("gone", gone), event_bus.unsubscribe("gone", gone)]
    if data["action"] == "subscribe":
        event_bus.subscribe("late", two_arguments)
        event_bus.subscribe("late", any_order)
        return None
    if data["action"] == "stats":
        return event_bus.get_stats()
    out = sorted(got)
    got.clear()
    return out
"""


def test_subscriptions_and_delivery(unstarted):
    worker = unstarted(HANDLERS)
    ready = worker.start()
    assert ready["subscriptions"] == ["gone", "order:*", "other:thing", "user:registered"]
    assert worker.result(worker.event("user:registered", {"n": 1})).value is None
    assert worker.call(action="got").value == [["decorated", {"n": 1}], ["sync", False]]
    worker.result(worker.event("order:made", 5))
    worker.result(worker.event("orders", 5))
    worker.result(worker.event("other:thing", None))
    assert worker.call(action="got").value == [["two", None], ["wild", 5]]
    assert worker.call(action="unsubscribe").value == [True, False]
    worker.result(worker.event("gone", 1))
    assert worker.call(action="got").value == []
    assert worker.call(action="stats").value["events_delivered"] == 4


def test_subscribing_later(start):
    worker = start(HANDLERS)
    worker.capabilities[fd.SUBSCRIBE] = ok
    worker.call(action="subscribe")
    assert [r.json() for r in worker.requests] == [{"events": ["late"]}]
    worker.result(worker.event("late", 3))
    assert worker.call(action="got").value == [["two", 3], ["wild", 3]]


def test_retries(start):
    worker = start("""
from core.event_bus import event_bus
attempts = []

@event_bus.subscribe("flaky")
async def flaky(data):
    attempts.append(1)
    if len(attempts) < 3:
        raise ValueError("not yet")

@event_bus.subscribe("broken")
def broken(data):
    raise SystemExit("never")

async def execute(data):
    return [len(attempts), event_bus.get_stats()]
""")
    begin = time.monotonic()
    flaky = worker.event("flaky", 1)
    broken = worker.event("broken", 1)
    assert worker.result(flaky).value is None
    assert 1.4 < time.monotonic() - begin
    assert worker.call().value[0] == 3
    assert worker.result(broken).value is None
    assert 3.4 < time.monotonic() - begin
    attempts, stats = worker.call().value
    assert stats["events_delivered"] == 1 and stats["delivery_failures"] == 1
    failure = worker.log("handler broken of broken has failed")
    assert failure.level == 3 and failure.call_id == broken and "SystemExit" in failure.message


def test_handler_acts_within_its_event(start):
    worker = start("""
from core.event_bus import event_bus
from core.settings_manager import settings_manager

@event_bus.subscribe("x")
async def handler(data):
    await settings_manager.get_plugin_settings("u", "sample")

@event_bus.subscribe("y")
def sync_handler(data):
    event_bus.publish("sample:seen")

async def execute(data):
    return 1
""")
    worker.capabilities[fd.SETTINGS_GET] = ok
    worker.capabilities[fd.PUBLISH] = ok
    for name in ("x", "y"):
        call_id = worker.event(name, None)
        worker.result(call_id)
        assert worker.requests[-1].call_id == call_id


def test_cancelled_delivery(start):
    worker = start("""
from core.event_bus import event_bus
import asyncio

@event_bus.subscribe("slow")
async def slow(data):
    await asyncio.sleep(60)

async def execute(data):
    return 1
""")
    call_id = worker.event("slow", 1)
    worker.call()
    worker.send(fd.CANCEL, call_id)
    assert worker.result(call_id).outcome == fd.CANCELLED
