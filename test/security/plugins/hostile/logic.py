"""A plugin that attacks the runtime around it. The action names the attack; the answer says what came of
it, when there is one. With "thread" the attack is made from a thread of the pool."""
import asyncio
import ctypes
import errno
import json
import os
import re
import resource
import signal
import socket
import struct
import sys
import threading

import _mozaiks

libc = ctypes.CDLL(None, use_errno=True)
kept = []
later_on = []


def outcome(function, *args):
    """The name of the error that came, else what came."""
    try:
        return {"got": repr(function(*args))[:200]}
    except OSError as error:
        return {"errno": errno.errorcode.get(error.errno, str(error.errno))}
    except BaseException as error:
        return {"raised": type(error).__name__}


def read(path):
    with open(path, "rb") as f:
        return f.read(100)


# Resources

def spin(data):
    while True:
        pass


def swallow(data):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass


def backtrack(data):
    return re.match(r"(a+)+$", "a" * 60 + "b")


def power(data):
    return len(str(9 ** 9 ** 9))


def block(data):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def read_forever(data):
    reader, _ = os.pipe()
    return os.read(reader, 1)


def ignore_signals(data):
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    while True:
        pass


def allocate(data):
    def grow(size):
        one = bytearray(size)
        one[::4096] = b"x" * (size // 4096)
        kept.append(one)
        return len(one)
    return outcome(grow, data["bytes"])


def leak(data):
    """In small pieces, until no more is given."""
    while True:
        kept.append(bytearray(b"x" * 65536))


def start_threads(data):
    end = threading.Event()
    started = 0
    try:
        for _ in range(data["n"]):
            threading.Thread(target=end.wait, daemon=True).start()
            started += 1
    except BaseException as error:
        return {"raised": type(error).__name__, "started": started}
    finally:
        end.set()
    return {"started": started}


def background(data):
    """Goes on after the answer."""
    def run():
        while True:
            pass
    threading.Thread(target=run, daemon=True).start()
    return {}


def fill(data):
    fd = os.open("/tmp/fill", os.O_WRONLY | os.O_CREAT)
    written = 0
    try:
        while written < data["bytes"]:
            written += os.write(fd, bytes(65536))
    except OSError as error:
        return {"errno": errno.errorcode[error.errno], "written": written}
    return {"written": written}


def fill_inodes(data):
    for i in range(100_000):
        try:
            os.close(os.open(f"/tmp/i{i}", os.O_WRONLY | os.O_CREAT))
        except OSError as error:
            return {"errno": errno.errorcode[error.errno], "files": i}
    return {}


def descriptors(data):
    n = 0
    try:
        while True:
            kept.append(os.dup(0))
            n += 1
    except OSError as error:
        for fd in kept:
            os.close(fd)
        return {"errno": errno.errorcode[error.errno], "n": n}


def overflow(data):
    """Deep recursion in C, after the interpreter's own limit is out of the way."""
    sys.setrecursionlimit(10 ** 6)
    return len(json.loads("[" * 200_000 + "]" * 200_000))


def limits(data):
    return {name: outcome(resource.setrlimit, getattr(resource, name), (1 << 40, 1 << 40))
            for name in ("RLIMIT_AS", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_FSIZE")}


def crash(data):
    ctypes.string_at(0)


def leave(data):
    os._exit(data.get("status", 3))


def call(data):
    """A system call by its number."""
    def by_number(number, *args):
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in args))
        if result == -1:
            raise OSError(ctypes.get_errno(), "")
        return result
    return outcome(by_number, data["number"], *data.get("args", [0] * 6))


def flood_output(data):
    block = (b"flood " * 10_000 if data.get("lines", True) else b"x" * 65536)
    if data.get("lines", True):
        block += b"\n"
    written = 0
    while written < data["megabytes"] << 20:
        written += os.write(data["fd"], block)
    return {"written": written}


def say(data):
    os.write(data["fd"], data["text"].encode(errors="surrogateescape"))
    return {}


# Bytes on the channel (fd 3): a pair0 message with frames in it, as common/proto says.

def message(*frames):
    body = b"".join(frames)
    return b"\x01" + struct.pack(">Q", len(body)) + body


def frame(kind, payload=b"", call_id=0, capability=0, flags=0, size=None):
    return struct.pack("<IBBHQ", len(payload) if size is None else size, kind, flags, capability,
                       call_id) + payload


HELLO, READY, EXECUTE, PONG, RESULT, DATA, CALL, LOG, START, EXITED = 1, 2, 4, 13, 14, 16, 19, 21, 35, 37


def deep_bson(depth):
    document = b"\x05\x00\x00\x00\x00"
    for _ in range(depth):
        inner = b"\x03a\x00" + document + b"\x00"
        document = struct.pack("<I", len(inner) + 4) + inner
    return document


def send(data):
    view = memoryview(data)
    os.set_blocking(3, True)
    while view:
        view = view[os.write(3, view):]
    return len(data)


def log_frame(text):
    return frame(LOG, b"\x06\x04\x00logs" + text)


def own_id():
    return _mozaiks.current().id


def insert_args(document=b""):
    return bytes(4) + document


FORGERIES = {
    "garbage": lambda: bytes(range(256)) * 256,
    "zeros": lambda: bytes(65536),
    "a huge message": lambda: b"\x01" + struct.pack(">Q", 2 ** 62),
    "a message over the limit": lambda: b"\x01" + struct.pack(">Q", 8 << 20) + bytes(8 << 20),
    "not a message": lambda: b"\x02" + bytes(64),
    "half a frame": lambda: message(frame(RESULT, size=1000)),
    "a huge frame": lambda: message(frame(RESULT, size=0xFFFFFFFF)),
    "an empty result": lambda: message(frame(RESULT, b"", own_id())),
    "an empty message": lambda: message() * 3,
    "a PONG with a payload": lambda: message(frame(PONG, b"x")),
    "unknown type": lambda: message(frame(63, b"x")),
    "type 0": lambda: message(frame(0)),
    "type 255": lambda: message(frame(255)),
    "reserved flags": lambda: message(frame(RESULT, b"\x00{}", own_id(), flags=0x80)),
    "trailing bytes": lambda: message(frame(PONG) + b"xyz"),
    "result of no call": lambda: message(frame(RESULT, b"\x00{}", 999_999)),
    "result of the next call": lambda: message(frame(RESULT, b"\x00{}", own_id() + 1)),
    "result of call 0": lambda: message(frame(RESULT, b"\x00{}", 0)),
    "a result twice": lambda: message(frame(RESULT, b"\x00{}", own_id())) * 2,
    "a result of no outcome": lambda: message(frame(RESULT, b"\x63{}", own_id())),
    "a stream of no call": lambda: message(frame(DATA, b"x", 999_999)),
    "a director's frame": lambda: message(frame(EXECUTE, bytes(12), 1)),
    "a pluginhost's frame": lambda: message(frame(START, b"{}", 1)),
    "a worker's end": lambda: message(frame(EXITED, b"{}", 1)),
    "a second hello": lambda: message(frame(HELLO, b"\x01\x00\x00{}")),
    "another version": lambda: message(frame(HELLO, b"\xff\x7f\x00{}")),
    "a second ready": lambda: message(frame(READY, b"\x01{}")),
    "a capability for no call": lambda: message(frame(CALL, bytes(4), 999_999, 6)),
    "a capability of no name": lambda: message(frame(CALL, bytes(8), 0, capability=9999)),
    "a call without arguments": lambda: message(
        frame(CALL, insert_args(), 0, _mozaiks.DATABASE_INSERT)),
    "deep bson": lambda: message(
        frame(CALL, insert_args(deep_bson(10_000)), 0, _mozaiks.DATABASE_INSERT)),
    "bson with a wrong size": lambda: message(
        frame(CALL, insert_args(b"\xff\xff\xff\x7f" + bytes(20)), 0, _mozaiks.DATABASE_INSERT)),
}

BODIES = {
    "no JSON": b"{",
    "nothing": b"",
    "NaN": b'{"a":NaN}',
    "Infinity": b'[Infinity]',
    "invalid UTF-8": b'{"a":"\xff"}',
    "a NUL": b'{"a":"\x00"}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "trailing data": b"{} {}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a leading zero": b'{"a":01}',
    "a hundred thousand levels": b"[" * 100_000 + b"]" * 100_000,
}


async def forge(data):
    sent = outcome(send, FORGERIES[data["what"]]())
    if data.get("silent"):
        await asyncio.sleep(3600)
    # The director reads it before the answer, which comes behind it.
    return sent


async def answer_raw(data):
    send(message(frame(RESULT, b"\x00" + BODIES[data["what"]], own_id())))
    await asyncio.sleep(3600)


async def half_a_message(data):
    send(b"\x01" + struct.pack(">Q", 1000) + bytes(10))
    await asyncio.sleep(3600)


def byte_by_byte(data):
    """What is whole in the end is no attack."""
    for byte in message(log_frame(b"slow")):
        send(bytes([byte]))
    return {}


def tiny_frames(data):
    block = message(*[log_frame(b"t")] * 1000)
    for _ in range(data["thousands"]):
        send(block)
    return {}


def flood_channel(data):
    """Log frames as fast as they go."""
    block = message(log_frame(b"y" * 8000)) * 64
    sent = 0
    while sent < data["megabytes"] << 20:
        sent += send(block)
    return {"sent": sent}


def close_channel(data):
    os.close(3)
    return {}


def replace_channel(data):
    os.dup2(0, 3)
    return {}


# Capabilities

def database():
    from core.config.database import db
    return db


async def refused(awaitable):
    try:
        return {"got": str(await awaitable)[:200]}
    except Exception as error:
        return {"raised": type(error).__name__, "message": str(error)[:300]}


async def insert_as(data):
    return await refused(database()["things"].insert_one({"user_id": data["user"], "a": 1}))


async def find_as(data):
    return await refused(database()["things"].find({"user_id": data["user"]}).to_list(None))


async def rename_user(data):
    await database()["things"].insert_one({"a": 1})
    return await refused(database()["things"].update_many({}, {"$rename": {"a": "user_id"}}))


async def other_collection(data):
    return await refused(database()[data["collection"]].find({}).to_list(None))


async def deep_document(data):
    value = {}
    for _ in range(data["depth"]):
        value = {"a": value}
    return await refused(database()["deep"].insert_one(value))


async def after_the_call(data):
    """A call's rights end with the call: a task of it asks when it is over."""
    async def later():
        await asyncio.sleep(0.3)
        kept.append(await refused(database()["things"].find({}).to_list(None)))
    if data.get("ask"):
        while not kept:
            await asyncio.sleep(0.05)
        return kept[0]
    later_on.append(asyncio.get_running_loop().create_task(later()))
    return {}


async def ended_call(data):
    """A CALL frame that names a call that is over."""
    if "id" not in data:
        return {"id": own_id()}
    sent = outcome(send, message(frame(CALL, bytes(4) + b"{}", data["id"], _mozaiks.SETTINGS_GET)))
    await asyncio.sleep(0.2)
    return sent


async def many_calls(data):
    """At once: what is over the limit is refused."""
    from mozaiks import _client
    results = await asyncio.gather(
        *(refused(database()["things"].count_documents({})) for _ in range(data["n"])))
    errors = [r for r in results if "raised" in r]
    return {"refused": len(errors), "first": errors[0] if errors else None}


async def forged_calls(data):
    """The same without the help of the runtime in the worker."""
    one = frame(CALL, bytes(4) + struct.pack("<I", 5) + b"\x00", own_id(), _mozaiks.DATABASE_COUNT)
    sent = 0
    for _ in range(data["n"] // 100):
        sent += send(message(*[one] * 100))
    return {"sent": sent}


async def foreign_settings(data):
    from core.settings_manager import settings_manager
    return await refused(settings_manager.save_plugin_settings("alice", "answers", {"a": 1}))


async def foreign_event(data):
    from mozaiks import _client
    return await refused(_client.request(_mozaiks.EVENTS_PUBLISH, _client.JSON,
                                         {"event": data["event"], "data": {}}))


async def foreign_user(data):
    from core.websocket_manager import websocket_manager
    return await refused(websocket_manager.send_to_user("bob", {"a": 1}))


def too_large(data):
    return {"text": "x" * data["bytes"]}


async def never(data):
    await asyncio.sleep(3600)


async def never_cancelled(data):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


def paths(data):
    return {path: outcome(read, path) for path in data["paths"]}


def reach(data):
    """What the runtime itself listens on."""
    def connect(family, kind, address):
        with socket.socket(family, kind) as s:
            s.connect(address)
    return {
        "tcp": outcome(connect, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", data["port"])),
        "tcp6": outcome(connect, socket.AF_INET6, socket.SOCK_STREAM, ("::1", data["port"])),
        **{path: outcome(connect, socket.AF_UNIX, socket.SOCK_STREAM, path)
           for path in data["sockets"]},
    }


def hello(data):
    return {"pid": os.getpid(), "uid": os.getuid()}


ACTIONS = {f.__name__: f for f in (
    spin, swallow, backtrack, power, block, read_forever, ignore_signals, allocate, leak,
    start_threads, background, fill, fill_inodes, descriptors, overflow, limits, crash, leave, call,
    flood_output, say, forge, answer_raw, half_a_message, byte_by_byte, tiny_frames, flood_channel,
    close_channel, replace_channel, insert_as, find_as, rename_user, other_collection, deep_document,
    after_the_call, ended_call, many_calls, forged_calls, foreign_settings, foreign_event,
    foreign_user, too_large, never, never_cancelled, paths, reach, hello)}


async def execute(data):
    action = ACTIONS[data["action"]]
    if asyncio.iscoroutinefunction(action):
        return await action(data)
    if data.get("thread"):
        return await asyncio.to_thread(action, data)
    return action(data)
