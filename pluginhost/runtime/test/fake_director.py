"""A director for tests: the other end of a Python worker's channel, without a sandbox between.

Speaks the pair0 wire format and the frames of common/proto/messages.h in code of its own, so that a
mistake in the C code is not repeated here.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import bson

PROGRAM = os.environ["PYTHON_WORKER"]
PACKAGES = os.environ["PYTHON_PACKAGES"]

# What has not happened by then does not.
PATIENCE_SECONDS = 60
SEND_BUFFER = 106_496
HANDSHAKE = b"\x00SP\x00\x00\x10\x00\x00"
HEADER = struct.Struct("<IBBHQ")

HELLO, READY, CONFIGURE, EXECUTE, HTTP, EVENT = 1, 2, 3, 4, 5, 6
LIFECYCLE, CANCEL, DRAIN, PING, PONG, RESULT = 9, 10, 11, 12, 13, 14
CALL, REPLY, LOG = 19, 20, 21

VALUE, EXCEPTION, UNSERIALISABLE, TOO_LARGE, NO_ENTRY, CANCELLED = range(6)

FIND, NEXT, CLOSE, COUNT, DISTINCT, INSERT, UPDATE, DELETE, MODIFY, AGGREGATE, CREATE_INDEX, DROP_INDEX, INDEXES, BULK, COLLECTIONS = range(1, 16)
SETTINGS_GET, SETTINGS_SAVE = 32, 33
PUBLISH, SUBSCRIBE = 48, 49
WEBSOCKET_SEND, WEBSOCKET_BROADCAST = 64, 65
NOTIFICATION = 80

CORE = {"app_id": "test_app", "_context": {"roles": []}}


@dataclass
class Frame:
    type: int
    flags: int
    capability: int
    call_id: int
    payload: bytes


@dataclass
class Log:
    level: int
    logger: str
    message: str
    call_id: int


@dataclass
class Request:
    """A CALL of the worker."""

    capability: int
    call_id: int
    seq: int
    args: bytes

    def bson(self) -> Dict[str, Any]:
        return bson.decode(self.args)

    def json(self) -> Any:
        return json.loads(self.args)


class Refusal(Exception):
    """Raised by a handler: the error reply."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        self.fields = {"code": code, "message": message, **more}


Handler = Callable[[Request], Optional[bytes]]


@dataclass
class Result:
    outcome: int
    body: bytes

    @property
    def value(self) -> Any:
        assert self.outcome == VALUE, (self.outcome, self.body.decode())
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return json.loads(self.body) if self.body else None


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<H", len(data)) + data


def work_header(deadline_ms: int, user: str = "user_1") -> bytes:
    return struct.pack("<I", deadline_ms) + text(user) + text("") + text("")


def cursor_reply(documents: List[Any], cursor: int = 0) -> bytes:
    return struct.pack("<I", cursor) + b"".join(bson.encode(d) for d in documents)


class Worker:
    """A worker process and the director's end of its channel."""

    def __init__(self, directory: Path, plugin: str = "sample", **config: Any) -> None:
        self.plugin = plugin
        self.config = {"plugin": plugin, "app_id": "test_app", "kind": "mozaiks", **config}
        self.results: Dict[int, Result] = {}
        self.logs: List[Log] = []
        self.requests: List[Request] = []
        self.others: List[Frame] = []
        self.messages = 0
        self.capabilities: Dict[int, Handler] = {}
        self.next_id = 0
        self.frames: List[Frame] = []
        self.buffer = b""
        self.shook_hands = False
        self.closed = False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        # What an unread worker can write is this, and not what the machine is set to.
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.socket = ours
        self.process = subprocess.Popen(
            [PROGRAM, PACKAGES, plugin, str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.dup2(theirs.fileno(), 3),
            pass_fds=(3,),
        )
        theirs.close()
        ours.sendall(HANDSHAKE)

    # ---- life ----

    def start(self) -> Dict[str, Any]:
        """HELLO, CONFIGURE, READY; returns what READY says, with "ok"."""
        hello = self.wait_for(HELLO)
        assert struct.unpack_from("<HB", hello.payload) == (3, 0)
        json.loads(hello.payload[3:])
        self.send(CONFIGURE, 0, json.dumps(self.config).encode())
        ready = self.wait_for(READY)
        return {"ok": ready.payload[0] == 1, **json.loads(ready.payload[1:])}

    def close(self) -> int:
        """Closes the channel and waits for the process."""
        self.socket.close()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            raise
        finally:
            assert self.process.stdout is not None
            self.output = self.process.stdout.read().decode(errors="replace")
            self.process.stdout.close()

    @property
    def pid(self) -> int:
        """Of the worker itself, which the program has forked."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exc: Any) -> None:
        if self.process.poll() is None:
            self.close()
        elif not self.closed:
            self.socket.close()

    # ---- sending ----

    def send_frames(self, frames: List[bytes]) -> None:
        """All in one message. Keeps reading while the worker does not take it."""
        payload = b"".join(frames)
        data = memoryview(b"\x01" + struct.pack(">Q", len(payload)) + payload)
        self.socket.setblocking(False)
        end = time.monotonic() + PATIENCE_SECONDS
        while data:
            assert time.monotonic() < end, "the worker does not read"
            readable, writable, _ = select.select([self.socket], [self.socket], [], 1)
            if writable:
                data = data[self.socket.send(data) :]
            if readable:
                self._receive()

    def frame(self, type: int, call_id: int, payload: bytes = b"", capability: int = 0) -> bytes:
        return HEADER.pack(len(payload), type, 0, capability, call_id) + payload

    def send(self, type: int, call_id: int, payload: bytes = b"", capability: int = 0) -> None:
        self.send_frames([self.frame(type, call_id, payload, capability)])

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id

    def execute_frame(self, data: Any, deadline_ms: int = 30000) -> Tuple[int, bytes]:
        call_id = self.new_id()
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return call_id, self.frame(EXECUTE, call_id, work_header(deadline_ms) + body)

    def execute(self, data: Any, deadline_ms: int = 30000) -> int:
        call_id, frame = self.execute_frame(data, deadline_ms)
        self.send_frames([frame])
        return call_id

    def call(self, data: Any = None, **more: Any) -> Result:
        """One call and its result; user_id and the like are added."""
        if not isinstance(data, bytes):
            data = {**(data or {}), **more, "user_id": "user_1", **CORE}
        return self.result(self.execute(data))

    def event(self, name: str, data: Any) -> int:
        call_id = self.new_id()
        body = json.dumps({"event": name, "data": data}).encode()
        self.send(EVENT, call_id, work_header(30000) + body)
        return call_id

    # ---- receiving ----

    def _receive(self) -> None:
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            raise EOFError("the worker has closed its channel")
        self.buffer += data
        if not self.shook_hands and len(self.buffer) >= 8:
            assert self.buffer[:8] == HANDSHAKE
            self.buffer = self.buffer[8:]
            self.shook_hands = True
        while self.shook_hands and len(self.buffer) >= 9:
            assert self.buffer[0] == 1
            (size,) = struct.unpack_from(">Q", self.buffer, 1)
            if len(self.buffer) < 9 + size:
                break
            message, self.buffer = self.buffer[9 : 9 + size], self.buffer[9 + size :]
            self.messages += 1
            self._take(message)

    def _take(self, message: bytes) -> None:
        count = 0
        while message:
            size, type, flags, capability, call_id = HEADER.unpack_from(message)
            payload = message[16 : 16 + size]
            assert len(payload) == size
            message = message[16 + size :]
            count += 1
            self.frames.append(Frame(type, flags, capability, call_id, payload))
        assert count > 0

    def pump(self, timeout: float = PATIENCE_SECONDS) -> None:
        """Waits for bytes and sorts the frames that came."""
        if not self.frames:
            self.socket.settimeout(timeout)
            self._receive()
        replies = []
        frames, self.frames = self.frames, []
        for frame in frames:
            reply = self._sort(frame)
            if reply is not None:
                replies.append(reply)
        if replies:
            self.send_frames(replies)

    def _sort(self, frame: Frame) -> Optional[bytes]:
        if frame.type == RESULT:
            assert frame.call_id not in self.results, "a second RESULT"
            assert 0 < frame.call_id <= self.next_id
            self.results[frame.call_id] = Result(frame.payload[0], frame.payload[1:])
        elif frame.type == LOG:
            level, size = struct.unpack_from("<BH", frame.payload)
            logger = frame.payload[3 : 3 + size].decode()
            message = frame.payload[3 + size :].decode()
            self.logs.append(Log(level, logger, message, frame.call_id))
        elif frame.type == CALL:
            (seq,) = struct.unpack_from("<I", frame.payload)
            request = Request(frame.capability, frame.call_id, seq, frame.payload[4:])
            self.requests.append(request)
            handler = self.capabilities.get(frame.capability)
            if handler is not None:
                return self._answer(request, handler)
        else:
            self.others.append(frame)
        return None

    def _answer(self, request: Request, handler: Handler) -> Optional[bytes]:
        try:
            result = handler(request)
            status = 0
        except Refusal as refusal:
            result = json.dumps(refusal.fields).encode()
            status = 1
        return None if result is None else self.reply_frame(request, result, status)

    def reply_frame(self, request: Request, result: bytes, status: int = 0) -> bytes:
        payload = struct.pack("<IB", request.seq, status) + result
        return self.frame(REPLY, request.call_id, payload, request.capability)

    def until(self, condition: Callable[[], Any], timeout: float = PATIENCE_SECONDS) -> Any:
        """Pumps until the condition gives something true, and returns it."""
        end = time.monotonic() + timeout
        while not (value := condition()):
            left = end - time.monotonic()
            assert left > 0, f"timeout; logs: {self.logs[-5:]}"
            try:
                self.pump(left)
            except (TimeoutError, socket.timeout):
                raise AssertionError(f"timeout; logs: {self.logs[-5:]}") from None
        return value

    def result(self, call_id: int, timeout: float = PATIENCE_SECONDS) -> Result:
        return self.until(lambda: self.results.get(call_id), timeout)

    def wait_for(self, type: int, timeout: float = PATIENCE_SECONDS) -> Frame:
        def find() -> Optional[Frame]:
            return next((f for f in self.others if f.type == type), None)

        frame: Frame = self.until(find, timeout)
        self.others.remove(frame)
        return frame

    def log(self, part: str, timeout: float = PATIENCE_SECONDS) -> Log:
        """The first log record whose message contains a text."""
        found: Log = self.until(
            lambda: next((r for r in self.logs if part in r.message), None), timeout
        )
        return found


Source = Union[str, Dict[str, str]]


def write_plugin(directory: Path, source: Source) -> Path:
    """A plugin directory from file texts, or from the text of logic.py."""
    files = {"logic.py": source} if isinstance(source, str) else source
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return directory
