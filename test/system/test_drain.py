"""What becomes of what is open when something ends: the director, a plugin's version, a plugin that crashes
too often."""
import json
import signal
import socket

import pytest
from runtime import TOP, Runtime, mint, wait_for
from websocket import Client

PLUGINS = {name: TOP / "test/plugins" / name for name in ("pieces", "ws_echo")}
DONE = b"0\r\n\r\n"


class Call:
    """A call whose answer comes in pieces, read as it comes."""

    def __init__(self, runtime, plugin, data, version="1.1", upload=False, user="alice"):
        self.socket = socket.create_connection(("127.0.0.1", runtime.port), timeout=30)
        body = json.dumps(data).encode()
        query = "?action=" + data["action"] if upload else ""
        framing = ("Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked" if upload
                   else f"Content-Length: {len(body)}")
        self.socket.sendall(f"POST /api/execute/{plugin}{query} HTTP/{version}\r\nHost: x\r\n"
                            f"Authorization: Bearer {mint(user)}\r\n{framing}\r\n\r\n".encode()
                            + (b"" if upload else body))
        self.received = b""

    def piece(self, piece):
        self.socket.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))

    def until(self, text):
        while text not in self.received:
            got = self.socket.recv(65536)
            assert got, self.received
            self.received += got

    def to_end(self):
        while got := self.socket.recv(65536):
            self.received += got
        self.socket.close()
        return self.received


def record(runtime, name, text=""):
    return wait_for(lambda: [r for r in runtime.director.records
                             if r["id"] == name and text in r["message"]], name)


def is_refused(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_end_of_the_director():
    """New work is refused; what is open may end, until the time is over or a second signal comes; what
    is ended then does not look complete."""
    with Runtime(PLUGINS) as r:
        for name in PLUGINS:
            r.wait_plugin(name, lambda p: p["state"] == "ready")
        mirror = Call(r, "pieces", {"action": "mirror"}, upload=True)
        mirror.piece(b"before")
        mirror.until(b"before")
        events = Call(r, "pieces", {"action": "ticking", "seconds": 600})
        events.until(b"first")
        old = Call(r, "pieces", {"action": "silent"}, version="1.0")
        old.until(b"half")
        sending = Call(r, "pieces", {"action": "upload"}, upload=True)
        sending.piece(b"x")
        idle = Client(r.port, "/ws/notifications/_", token=mint("alice"))
        busy = Client(r.port, "/ws/notifications/_", token=mint("bob"))
        served = Client(r.port, "/ws/plugins/ws_echo", token=mint("alice"))
        served.send("hello")
        assert served.frame()[1] == b"hello"
        for ws in (idle, busy):
            assert ws.receive()["type"] == "connection_ack"
        busy.send({"type": "execute", "id": 1, "plugin": "pieces", "data": {"action": "never reads"}})
        busy.send({"type": "ping"})
        assert busy.receive()["type"] == "pong"
        resting = socket.create_connection(("127.0.0.1", r.port), timeout=30)
        resting.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert resting.recv(65536).endswith(b"ok")

        r.director.signal(signal.SIGTERM)
        assert resting.recv(65536) == b""
        # Its listener ends in the same turn, behind that.
        wait_for(lambda: is_refused(r.port), "the end of the listener")
        assert idle.closed()[0] == 1001
        assert served.closed()[0] == 1001
        busy.send({"type": "execute", "id": 2, "plugin": "pieces", "data": {"action": "seen"}})
        answer = busy.receive()
        assert (answer["id"], answer["status"], answer["data"]["code"]) == (2, 503, "stopping")
        assert answer["retry_after"] > 0

        mirror.piece(b"after")
        mirror.until(b"after")
        mirror.socket.sendall(DONE)
        assert mirror.to_end().endswith(b"5\r\nafter\r\n" + DONE)
        assert r.director.alive()

        r.director.signal(signal.SIGTERM)
        assert not events.to_end().endswith(DONE)
        with pytest.raises(ConnectionResetError):
            old.to_end()
        assert sending.to_end() == b""
        assert busy.closed()[0] == 1001
        record(r, "director.drain_cut")
        assert r.stop() == [0, 0]


LIVING = """
import os
from mozaiks.streams import request_body

async def mirror():
    async for piece in request_body():
        yield b"%(version)d:" + piece

async def execute(data):
    if "_upload" in data:
        return mirror()
    if data.get("die"):
        os._exit(3)
    return {"version": %(version)d}

async def websocket(socket, data):
    async for message in socket:
        await socket.send("%(version)d:" + message)
"""


def living(version, **manifest):
    return {"logic.py": LIVING % {"version": version},
            "manifest.json": json.dumps({"uploads": True, **manifest})}


class Open:
    """A stream and a WebSocket that the plugin "living" serves."""

    def __init__(self, r):
        self.stream = Call(r, "living", {"action": ""}, upload=True)
        self.socket = Client(r.port, "/ws/plugins/living", token=mint("alice"))
        self.still_served_by(1, b"before")

    def still_served_by(self, version, text):
        self.stream.piece(text)
        self.stream.until(b"%d:%s" % (version, text))
        self.socket.send(text)
        assert self.socket.frame()[1] == b"%d:%s" % (version, text)

    def end(self):
        self.stream.socket.sendall(DONE)
        self.stream.until(b"\r\n" + DONE)
        self.stream.socket.close()
        self.socket.socket.close()


def replace(r):
    r.put_plugin("living", living(2))
    wait_for(lambda: r.execute("living").json.get("version") == 2, "version 2")


def test_a_new_version_leaves_what_is_open_to_the_old_one():
    with Runtime({"living": living(1)}) as r:
        r.wait_plugin("living", lambda p: p["state"] == "ready")
        old = Open(r)
        replace(r)
        old.still_served_by(1, b"after")
        old.end()


def test_a_version_that_is_replaced_has_its_time():
    with Runtime({"living": living(1)}, env={"MOZAIKS_WORKER_DRAIN_TIMEOUT_SECONDS": "0.5"}) as r:
        r.wait_plugin("living", lambda p: p["state"] == "ready")
        old = Open(r)
        replace(r)
        assert old.socket.closed() == (1012, "the plugin was stopped or replaced")
        assert not old.stream.to_end().endswith(DONE)
        record(r, "stream.cut", "MOZAIKS_WORKER_DRAIN_TIMEOUT_SECONDS")
        old.socket.socket.close()
        # Alone: with its pluginhost it would wait for news of the old process.
        r.director.signal(signal.SIGTERM)
        assert r.director.wait() == 0


def test_a_plugin_that_crashes_too_often_may_end_what_is_open():
    """Each user has a process: bob's crashes keep alice from new calls, not from what she has open."""
    with Runtime({"living": living(1, isolation="user")}, env={"MOZAIKS_BREAKER_BURST": "1"}) as r:
        r.wait_plugin("living", lambda p: p and p["state"])
        alice = Open(r)
        assert r.execute("living", {"die": True}, user="bob").status == 502
        record(r, "plugin.breaker", "crashed too often")
        refused = r.execute("living")
        assert (refused.status, refused.json["code"]) == (503, "plugin_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        alice.still_served_by(1, b"after")
        alice.end()
