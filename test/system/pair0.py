"""The director's side of the runtime's sockets, for tests that play it.

pair0 is nng's protocol over a unix socket: an 8-byte handshake each way, then per message 01, an
8-byte big-endian length and the bytes. A message holds frames: u32 size, u8 type, u8 flags,
u16 capability, u64 call id, all little-endian, then the payload (common/proto/messages.h).
"""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import struct
import time

from runtime import PATIENCE_SECONDS

HANDSHAKE = b"\x00SP\x00\x00\x10\x00\x00"
FRAME = struct.Struct("<IBBHQ")
VERSION = 3
# The group that director and pluginhost share when root starts them.
GID_CHANNEL = 400000

TYPES = {
    "HELLO": 1, "READY": 2, "CONFIGURE": 3, "EXECUTE": 4, "CANCEL": 10, "DRAIN": 11, "PING": 12,
    "PONG": 13, "RESULT": 14, "CALL": 19, "REPLY": 20, "LOG": 21, "HOST": 32, "PLUGINS": 33,
    "DISCOVER": 34, "START": 35, "KILL": 36, "EXITED": 37, "LIMITS": 38, "SERVES": 39,
}
NAMES = {number: name for name, number in TYPES.items()}


class Closed(Exception):
    """The other side closed the connection."""


class Frame:
    def __init__(self, kind, payload=b"", call_id=0, capability=0, flags=0):
        self.kind, self.payload, self.call_id = kind, payload, call_id
        self.capability, self.flags = capability, flags

    def encode(self):
        return FRAME.pack(len(self.payload), TYPES[self.kind], self.flags, self.capability,
                          self.call_id) + self.payload

    def __repr__(self):
        return f"<{self.kind} {self.call_id} {self.payload[:200]!r}>"


def frames_of(message):
    found = []
    while message:
        size, kind, flags, capability, call_id = FRAME.unpack_from(message)
        payload = message[FRAME.size:FRAME.size + size]
        assert len(payload) == size, "a frame that is cut short"
        found.append(Frame(NAMES[kind], payload, call_id, capability, flags))
        message = message[FRAME.size + size:]
    return found


def text(value):
    data = value.encode()
    return struct.pack("<H", len(data)) + data


def work(data, deadline_ms=30000, user="alice"):
    """The payload of EXECUTE."""
    return struct.pack("<I", deadline_ms) + text(user) + text("") + text("") + \
        json.dumps(data).encode()


def share(path, mode, owner):
    """Sockets and directories are the shared group's, as the director's are."""
    if owner:
        os.chown(path, *owner)
    os.chmod(path, mode)


class Listener:
    """A listening unix socket that pluginhost may connect to, as the director makes them."""

    def __init__(self, path, owner=None):
        self.path = pathlib.Path(path)
        self.socket = socket.socket(socket.AF_UNIX)
        # The paths of tests are longer than sun_path: bind through the directory.
        with _directory(self.path.parent) as fd:
            self.socket.bind(f"/proc/self/fd/{fd}/{self.path.name}")
        share(self.path, 0o660, owner)
        self.socket.listen(4)

    def accept(self, seconds=PATIENCE_SECONDS):
        self.socket.settimeout(seconds)
        connection, _ = self.socket.accept()
        return Pair0(connection)

    def close(self):
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


@contextlib.contextmanager
def _directory(path):
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


class Pair0:
    """One connection: messages of frames."""

    def __init__(self, connection):
        self.socket = connection
        self.buffer = b""
        self.frames = []
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.sendall(HANDSHAKE)
        assert self._take(len(HANDSHAKE)) == HANDSHAKE

    def _take(self, n, seconds=PATIENCE_SECONDS):
        deadline = time.monotonic() + seconds
        while len(self.buffer) < n:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                piece = self.socket.recv(65536)
            except ConnectionError as error:
                raise Closed from error
            if not piece:
                raise Closed
            self.buffer += piece
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def send_bytes(self, message):
        self.socket.sendall(b"\x01" + struct.pack(">Q", len(message)) + message)

    def send(self, *frames):
        self.send_bytes(b"".join(frame.encode() for frame in frames))

    def receive(self, seconds=PATIENCE_SECONDS):
        """The next frame."""
        while not self.frames:
            head = self._take(9, seconds)
            assert head[:1] == b"\x01", head
            self.frames = frames_of(self._take(struct.unpack(">Q", head[1:])[0], seconds))
        return self.frames.pop(0)

    def expect(self, *kinds, seconds=PATIENCE_SECONDS):
        """The next frame of one of these kinds; LOG frames before it are passed over."""
        deadline = time.monotonic() + seconds
        while True:
            frame = self.receive(max(0.001, deadline - time.monotonic()))
            if frame.kind in kinds:
                return frame
            assert frame.kind == "LOG", frame

    def is_closed(self, seconds=PATIENCE_SECONDS):
        """Waits for the end of the connection."""
        try:
            while True:
                self.receive(seconds)
        except Closed:
            return True
        except socket.timeout:
            return False

    def close(self):
        self.socket.close()


class Worker:
    """A worker's channel, from START on."""

    def __init__(self, listener, worker_id):
        self.listener, self.id = listener, worker_id
        self.channel = None
        self.report = None
        self.call_id = 0

    def hello(self, seconds=PATIENCE_SECONDS):
        """@return the sandbox report."""
        self.channel = self.listener.accept(seconds)
        frame = self.channel.expect("HELLO", seconds=seconds)
        version, self.native = struct.unpack_from("<HB", frame.payload)
        assert version == VERSION
        self.report = json.loads(frame.payload[3:])
        return self.report

    def configure(self, plugin, **more):
        """@return READY's (ok, info)."""
        config = {"plugin": plugin, "app_id": "test", "version": "x", "kind": "mozaiks",
                  "max_response": 1000000, "concurrency": 64, "permissions": [],
                  "development": True, "plugin_dir": f"/plugins/{plugin}", **more}
        self.channel.send(Frame("CONFIGURE", json.dumps(config).encode()))
        frame = self.channel.expect("READY")
        return frame.payload[0] == 1, json.loads(frame.payload[1:])

    def execute(self, data, seconds=PATIENCE_SECONDS):
        """@return (outcome, body)."""
        self.call_id += 1
        self.channel.send(Frame("EXECUTE", work(data), self.call_id))
        frame = self.channel.expect("RESULT", seconds=seconds)
        assert frame.call_id == self.call_id
        return frame.payload[0], json.loads(frame.payload[1:])

    def close(self):
        if self.channel:
            self.channel.close()
        self.listener.close()


class Director:
    """Listens where a director does, and remembers what a pluginhost says.

    owner: (uid, gid) of what it makes; by default the group that root's programs share.
    """

    def __init__(self, run, name="default", owner=None):
        self.run = pathlib.Path(run)
        self.owner = owner or ((0, GID_CHANNEL) if os.geteuid() == 0 else None)
        self.workers = {}
        for folder in (self.run, self.run / "control", self.run / "workers"):
            self._make(folder)
        self.listener = Listener(self.run / "control" / f"{name}.sock", self.owner)
        self.control = None
        self.host = None
        self.plugins = None
        self._parts = []
        self.exited = {}
        self.lists = 0

    def _make(self, folder):
        folder.mkdir(exist_ok=True)
        share(folder, 0o750, self.owner)

    # Control

    def accept(self, seconds=PATIENCE_SECONDS):
        self.control = self.listener.accept(seconds)
        frame = self.control.receive(seconds)
        assert frame.kind == "HOST", frame
        version, size = struct.unpack_from("<HH", frame.payload)
        assert version == VERSION
        self.host = {"name": frame.payload[4:4 + size].decode(),
                     **json.loads(frame.payload[4 + size:])}
        self.plugins = None
        self._parts = []
        return self.host

    def _handle(self, frame):
        if frame.kind == "PLUGINS":
            self._parts += json.loads(frame.payload[1:])
            if frame.payload[0]:
                self.plugins = {p["id"]: p for p in self._parts}
                self._parts = []
                self.lists += 1
        elif frame.kind == "EXITED":
            assert frame.call_id not in self.exited, "EXITED twice"
            self.exited[frame.call_id] = json.loads(frame.payload)
        else:
            raise AssertionError(f"unexpected {frame}")

    def wait(self, condition, what="it", seconds=PATIENCE_SECONDS):
        """Handles frames until the condition is true; returns its value."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{what} did not happen in {seconds} s; plugins "
                                     f"{self.plugins}, exited {self.exited}")
            try:
                self._handle(self.control.receive(left))
            except socket.timeout:
                pass

    def wait_plugin(self, plugin, condition, seconds=PATIENCE_SECONDS):
        """Waits until the latest list's entry (None: not listed) fulfils the condition."""
        def fulfilled():
            if self.plugins is None:
                return None
            entry = self.plugins.get(plugin)
            return (entry or True) if condition(entry) else None
        return self.wait(fulfilled, f"the change of {plugin}", seconds)

    def wait_exited(self, worker, seconds=PATIENCE_SECONDS):
        worker_id = getattr(worker, "id", worker)
        return self.wait(lambda: self.exited.get(worker_id), f"the end of {worker_id}", seconds)

    # Workers

    def start(self, worker_id, plugin, version=None, limits=None, socket_path=None):
        """Sends START. @return the Worker, whose hello() is the next step."""
        folder = self.run / "workers" / str(worker_id)
        self._make(folder)
        worker = Worker(Listener(folder / "channel.sock", self.owner), worker_id)
        self.workers[worker_id] = worker
        self.send_start(worker_id, plugin, version or self.plugins[plugin]["version"], limits,
                        socket_path or folder / "channel.sock")
        return worker

    def send_start(self, worker_id, plugin, version, limits, socket_path):
        spec = {"plugin": plugin, "version": version, "socket": str(socket_path),
                "limits": limits or {}}
        self.control.send(Frame("START", json.dumps(spec).encode(), worker_id))

    def run_worker(self, worker_id, plugin, **more):
        """START to READY."""
        worker = self.start(worker_id, plugin, **more)
        worker.hello()
        ok, info = worker.configure(plugin)
        assert ok, info
        return worker

    def kill(self, worker):
        self.control.send(Frame("KILL", call_id=worker.id))

    def discover(self):
        self.control.send(Frame("DISCOVER"))

    def hang_up(self):
        """The director dies: every socket closes."""
        for worker in self.workers.values():
            worker.close()
        self.workers = {}
        shutil.rmtree(self.run / "workers")
        self._make(self.run / "workers")
        if self.control:
            self.control.close()
        self.control = None
        self.exited = {}

    def close(self):
        self.hang_up()
        self.listener.close()
