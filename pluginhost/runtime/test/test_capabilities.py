"""CALL and REPLY: what the core packages ask for, and what they make of the answers."""

import json

import fake_director as fd


def refuse(code, message, **more):
    def handler(request):
        raise fd.Refusal(code, message, **more)

    return handler


def test_settings(start):
    worker = start("""
from core.settings_manager import settings_manager

async def execute(data):
    user = data["user_id"]
    if data["action"] == "get":
        return await settings_manager.get_plugin_settings(user, "sample")
    return await settings_manager.save_plugin_settings(user, "sample", data["settings"])
""")
    saved = {}

    def save(request):
        saved.update(request.json())
        return b'{"success":true,"message":"Settings saved successfully"}'

    worker.capabilities[fd.SETTINGS_SAVE] = save
    worker.capabilities[fd.SETTINGS_GET] = lambda r: json.dumps(saved["settings"]).encode()
    value = worker.call(action="save", settings={"theme": "dark", "n": [1, None]}).value
    assert value["success"] is True
    assert saved == {
        "user_id": "user_1",
        "plugin": "sample",
        "settings": {"theme": "dark", "n": [1, None]},
    }
    assert worker.call(action="get").value == {"theme": "dark", "n": [1, None]}


def test_websocket_and_notifications(start):
    worker = start("""
from core.websocket_manager import websocket_manager
from core.notifications_manager import notifications_manager
from bson import ObjectId

async def execute(data):
    user = data["user_id"]
    sent = await websocket_manager.send_to_user(user, {"type": "x", "id": ObjectId("a" * 24)})
    everyone = await websocket_manager.broadcast({"type": "y"})
    one = await notifications_manager.create_notification(
        user_id=user, notification_type="t", title="T", message="M", metadata={"a": 1},
        channels=["in_app"])
    many = await notifications_manager.create_bulk_notifications([user, "u2"], "t", "T", "M")
    return [sent, everyone, one, many]
""")
    seen = []

    def notify(request):
        seen.append(request.json())
        return json.dumps({"id": f"n{len(seen)}", "queued": True}).encode()

    def send(request):
        seen.append(request.json())
        return b'{"recipients":2}'

    worker.capabilities[fd.WEBSOCKET_SEND] = send
    worker.capabilities[fd.WEBSOCKET_BROADCAST] = lambda r: b'{"recipients":5}'
    worker.capabilities[fd.NOTIFICATION] = notify
    assert worker.call().value == [2, 5, {"id": "n2", "queued": True}, ["n3", "n4"]]
    assert seen[0] == {"user_id": "user_1", "message": {"type": "x", "id": "a" * 24}}
    assert seen[1] == {
        "user_id": "user_1",
        "type": "t",
        "title": "T",
        "message": "M",
        "metadata": {"a": 1},
        "channels": ["in_app"],
    }
    assert seen[3] == {"user_id": "u2", "type": "t", "title": "T", "message": "M"}


def test_errors_have_classes(start):
    worker = start("""
from core.settings_manager import settings_manager
from mozaiks import errors
import pymongo.errors

CLASSES = {
    "permission_denied": PermissionError,
    "invalid_argument": (ValueError, pymongo.errors.OperationFailure),
    "unsupported": NotImplementedError,
    "limit_exceeded": errors.LimitExceeded,
    "quota_exceeded": errors.QuotaExceeded,
    "duplicate_key": pymongo.errors.DuplicateKeyError,
    "unavailable": pymongo.errors.AutoReconnect,
    "unknown_outcome": pymongo.errors.ConnectionFailure,
    "storage_full": pymongo.errors.PyMongoError,
    "call_ended": RuntimeError,
    "something_new": errors.CapabilityError,
}

async def execute(data):
    code = data["code"]
    try:
        await settings_manager.get_plugin_settings("u", "p")
    except errors.CapabilityError as error:
        wanted = CLASSES[code] if isinstance(CLASSES[code], tuple) else (CLASSES[code],)
        return [all(isinstance(error, c) for c in wanted), error.code == code, str(error)]
""")
    for code in (
        "permission_denied invalid_argument unsupported limit_exceeded quota_exceeded duplicate_key "
        "unavailable unknown_outcome storage_full call_ended something_new"
    ).split():
        worker.capabilities[fd.SETTINGS_GET] = refuse(code, f"because of {code}")
        assert worker.call(code=code).value == [True, True, f"because of {code}"], code


def test_refusal_that_nobody_catches_is_the_answer(start):
    worker = start("""
from core.settings_manager import settings_manager
async def execute(data):
    await settings_manager.get_plugin_settings("u", "p")
""")
    worker.capabilities[fd.SETTINGS_GET] = refuse("permission_denied", "not yours")
    assert worker.call().error["message"] == "not yours"


def test_a_call_names_itself_and_background_work_does_not(unstarted):
    worker = unstarted("""
import asyncio
from core.settings_manager import settings_manager

replies = []

async def at_start():
    replies.append(await settings_manager.get_plugin_settings("", "sample"))

task = asyncio.create_task(at_start())

async def execute(data):
    first = await settings_manager.get_plugin_settings("u", "sample")
    task = asyncio.create_task(settings_manager.get_plugin_settings("u", "sample"))
    return [first, await task, replies]
""")
    worker.capabilities[fd.SETTINGS_GET] = lambda r: str(r.call_id).encode()
    assert worker.start()["ok"]
    # The background task may need another turn of the loop to see its reply.
    worker.call()
    ids = [worker.execute({}) for _ in range(5)]
    for call_id in ids:
        assert worker.result(call_id).value == [call_id, call_id, [0]]
    seqs = [r.seq for r in worker.requests]
    assert len(set(seqs)) == len(seqs) == 13


def test_background_work_of_a_call_that_has_ended(start):
    worker = start("""
import asyncio
from core.settings_manager import settings_manager

outcome = []

async def later(gate):
    try:
        await settings_manager.get_plugin_settings("u", "sample")
        outcome.append("first")
        await gate.wait()
        await settings_manager.get_plugin_settings("u", "sample")
        outcome.append("second")
    except RuntimeError as error:
        outcome.append([type(error).__name__, error.code, str(error)])

gate = asyncio.Event()

async def execute(data):
    if data["action"] == "start":
        asyncio.create_task(later(gate))
        await asyncio.sleep(0.05)
        return "started"
    gate.set()
    await asyncio.sleep(0.01)
    return outcome
""")
    worker.capabilities[fd.SETTINGS_GET] = lambda r: b"{}"
    assert worker.call(action="start").value == "started"
    first, error = worker.call(action="look").value
    assert first == "first"
    assert error[:2] == ["CallEnded", "call_ended"] and "execute() returns" in error[2]
    assert len(worker.requests) == 1


def test_request_under_way_when_its_call_ends(start):
    worker = start("""
import asyncio
from core.settings_manager import settings_manager
outcome = []

async def later():
    try:
        await settings_manager.get_plugin_settings("u", "sample")
    except RuntimeError as error:
        outcome.append(type(error).__name__)

async def execute(data):
    if data["action"] == "start":
        asyncio.create_task(later())
        await asyncio.sleep(0.01)
        return "started"
    return outcome
""")
    assert worker.call(action="start").value == "started"
    assert worker.call(action="look").value == ["CallEnded"]
    # The director answers all the same; nobody cares.
    (request,) = worker.requests
    worker.send_frames([worker.reply_frame(request, b"{}")])
    assert worker.call(action="look").value == ["CallEnded"]


def test_cancelled_waiter_ignores_its_reply(start):
    worker = start("""
import asyncio
from core.settings_manager import settings_manager

async def execute(data):
    try:
        async with asyncio.timeout(0.05):
            await settings_manager.get_plugin_settings("u", "sample")
    except TimeoutError:
        return "gave up"
""")
    assert worker.call().value == "gave up"
    worker.send_frames([worker.reply_frame(worker.requests[0], b"{}")])
    worker.send(fd.PING, 0)
    worker.wait_for(fd.PONG)


def test_reply_to_nothing_is_a_violation(start):
    worker = start("async def execute(data):\n    return 1\n")
    worker.send(fd.REPLY, 0, b"\x01\x00\x00\x00\x00{}", capability=fd.SETTINGS_GET)
    try:
        worker.until(lambda: False)
    except EOFError:
        pass
    assert worker.close() == 124


def test_arguments_that_cannot_be_written(start):
    worker = start("""
from core.settings_manager import settings_manager
from core.event_bus import event_bus

async def execute(data):
    out = []
    for settings in ({"a": {1}}, float("nan"), "x" * 2_000_000):
        try:
            await settings_manager.save_plugin_settings("u", "sample", settings)
        except ValueError as error:
            out.append(str(error)[:60])
    try:
        event_bus.publish("sample:x", object())
    except ValueError as error:
        out.append(str(error))
    return out
""")
    assert worker.call().value == [
        "argument.settings.a: not JSON: a value of type set",
        "argument.settings: NaN is not JSON",
        "the arguments are larger than 1 MiB, the limit of one messag",
        "argument.data: not JSON: a value of type object",
    ]
    assert worker.requests == []


def test_no_more_requests_at_once_than_the_director_takes(start):
    worker = start("""
import asyncio
from core.settings_manager import settings_manager

async def execute(data):
    values = await asyncio.gather(
        *(settings_manager.get_plugin_settings("u", str(n)) for n in range(data["count"])))
    return sum(values)
""")
    call_id = worker.execute({"count": 300})
    worker.until(lambda: len(worker.requests) == 64)
    answered = 0
    most = 0
    while answered < 300:
        worker.until(lambda: len(worker.requests) > answered)
        most = max(most, len(worker.requests) - answered)
        request = worker.requests[answered]
        worker.send_frames([worker.reply_frame(request, b"1")])
        answered += 1
    assert worker.result(call_id).value == 300
    assert most <= 64
    assert [r.json()["plugin"] for r in worker.requests] == [str(n) for n in range(300)]
    # Ten calls at once: 512 in all.
    del worker.requests[:]
    ids = [worker.execute({"count": 64}) for _ in range(10)]
    worker.until(lambda: len(worker.requests) == 512)
    worker.send(fd.PING, 0)
    worker.wait_for(fd.PONG)
    assert len(worker.requests) == 512
    worker.capabilities[fd.SETTINGS_GET] = lambda r: b"1"
    worker.send_frames([worker.reply_frame(r, b"1") for r in worker.requests])
    assert [worker.result(i).value for i in ids] == [64] * 10


def test_the_director_says_how_many_it_takes(start):
    worker = start("""
import asyncio
from core.settings_manager import settings_manager

async def execute(data):
    return sum(await asyncio.gather(
        *(settings_manager.get_plugin_settings("u", str(n)) for n in range(9))))
""", max_requests_per_call=3, max_requests=5)
    ids = [worker.execute({}) for _ in range(2)]
    worker.until(lambda: len(worker.requests) == 5)
    worker.send(fd.PING, 0)
    worker.wait_for(fd.PONG)
    assert len(worker.requests) == 5
    worker.capabilities[fd.SETTINGS_GET] = lambda r: b"1"
    worker.send_frames([worker.reply_frame(r, b"1") for r in worker.requests])
    assert [worker.result(i).value for i in ids] == [9] * 2


def test_events_of_a_call_go_out_before_its_result(start):
    worker = start("""
from core.event_bus import event_bus
import asyncio

async def execute(data):
    if data["sleep"]:
        await asyncio.sleep(0)
    for n in range(200):
        event_bus.publish("sample:n", {"n": n})
    return "published"
""")
    for sleep in (False, True):
        del worker.requests[:]
        call_id = worker.execute({"sleep": sleep})
        worker.until(lambda: len(worker.requests) == 64)
        worker.send(fd.PING, 0)
        worker.wait_for(fd.PONG)
        assert call_id not in worker.results and len(worker.requests) == 64
        answered = 0
        while answered < 200:
            worker.until(lambda: len(worker.requests) > answered)
            frames = [worker.reply_frame(r, b"{}") for r in worker.requests[answered:]]
            answered = len(worker.requests)
            worker.send_frames(frames)
        assert worker.result(call_id).value == "published"
        assert [r.json()["data"]["n"] for r in worker.requests] == list(range(200))
