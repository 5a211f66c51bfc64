"""WebSockets that a plugin serves: /ws/plugins/<plugin>[/path]."""
import os
import time

import pytest
from runtime import TOP, Runtime, mint, wait_for
from websocket import BINARY, TEXT, Client, frame

PLUGINS = {name: TOP / "test/plugins" / name for name in ("ws_echo", "answers", "pieces")}
MIB = 1 << 20


@pytest.fixture(scope="module")
def runtime():
    env = {"MOZAIKS_WEBSOCKET_MESSAGE_RATE": "0", "MOZAIKS_STREAM_IDLE_SECONDS": "1"}
    with Runtime(PLUGINS, env=env) as r:
        yield r


def connect(runtime, path="ws_echo", user="alice", token=None, **more):
    return Client(runtime.port, f"/ws/plugins/{path}", token=token or mint(user), **more)


def seen(runtime):
    return runtime.execute("ws_echo").json


def masked(message, opcode, pieces=1):
    """A long message, masked with zeros so that this test is not all masking."""
    step = -(-len(message) // pieces) or 1
    parts = [message[at:at + step] for at in range(0, len(message), step)] or [b""]
    out = b""
    for n, part in enumerate(parts):
        first, last = n == 0, n == len(parts) - 1
        size = len(part)
        length = (bytes([0x80 | size]) if size < 126 else
                  b"\xfe" + size.to_bytes(2, "big") if size < 65536 else
                  b"\xff" + size.to_bytes(8, "big"))
        out += bytes([(0x80 if last else 0) | (opcode if first else 0)]) + length + bytes(4) + part
    return out


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 65537, 300_000, MIB + 1, 16 * MIB])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_messages_come_back(runtime, size, opcode):
    message = os.urandom(size) if opcode == BINARY else ("é" * (size // 2) + "x" * (size % 2)).encode()
    with connect(runtime, timeout=60) as ws:
        ws.raw(masked(message, opcode, 1 if size < MIB else 5))
        assert ws.frame() == (opcode, message)
        ws.raw(masked(b"again", TEXT))
        assert ws.frame() == (TEXT, b"again")


def test_many_messages_keep_their_order(runtime):
    n = 5000
    with connect(runtime, timeout=60) as ws:
        for at in range(0, n, 500):
            ws.raw(b"".join(masked(b"%d" % i, TEXT) for i in range(at, at + 500)))
            for i in range(at, at + 500):
                assert ws.frame() == (TEXT, b"%d" % i)


def test_it_has_the_context(runtime):
    """Its path, its query but for the token, its user and the user's data."""
    with connect(runtime, "ws_echo/a/b?action=who&q=x+y%21&access_token=nothing", "carol") as ws:
        assert ws.receive() == {"user": "carol", "path": "/a/b", "query": "x y!", "token": False,
                                "visits": 1}
    with connect(runtime, "ws_echo?action=who&user_id=carol", "dave") as ws:
        assert ws.receive() == {"user": "dave", "path": "/", "query": None, "token": False,
                                "visits": 1}


def test_who_may_not(runtime):
    assert connect(runtime, token="x.y.z").closed()[0] == 4001
    assert connect(runtime, "nobody").closed()[0] == 4404
    code, reason = connect(runtime, "answers").closed()
    assert code == 4404 and "has no websocket()" in str(reason)


@pytest.mark.parametrize("action, code", [("close", 4321), ("raise", 1011), ("die", 1011)])
def test_how_a_plugin_ends(runtime, action, code):
    with connect(runtime, f"ws_echo?action={action}") as ws:
        got, reason = ws.closed()
    assert got == code
    if action == "close":
        assert "as you wish" in str(reason)
    wait_for(lambda: runtime.execute("ws_echo").status == 200)


def test_a_client_that_closes(runtime):
    before = len(seen(runtime)["closed"])
    with connect(runtime) as ws:
        ws.raw(masked(b"hello", TEXT))
        assert ws.frame() == (TEXT, b"hello")
        ws.raw(frame(8, b"\x0f\xa1bye"))
        assert ws.closed(answer=False)[0] == 4001
    assert wait_for(lambda: seen(runtime)["closed"][before:]) == [4001]


def test_a_client_that_goes(runtime):
    """Whoever reads sees it at once; whoever does not is cancelled after a while."""
    for action in ("echo", "flood"):
        ws = connect(runtime, f"ws_echo?action={action}")
        wait_for(lambda: seen(runtime)["open"] == 1)
        ws.__exit__(None, None, None)
        wait_for(lambda: seen(runtime)["open"] == 0)
    cancelled = seen(runtime)["cancelled"]
    ws = connect(runtime, "ws_echo?action=deaf")
    wait_for(lambda: seen(runtime)["open"] == 1)
    ws.__exit__(None, None, None)
    wait_for(lambda: seen(runtime)["open"] == 0)
    assert seen(runtime)["cancelled"] == cancelled + 1


def test_messages_over_the_limit():
    with Runtime(PLUGINS, env={"MOZAIKS_MAX_PLUGIN_WEBSOCKET_MESSAGE_BYTES": "1000"}) as r:
        with connect(r) as ws:
            ws.raw(masked(b"x" * 1000, BINARY))
            assert ws.frame() == (BINARY, b"x" * 1000)
            ws.raw(masked(b"x" * 1001, BINARY))
            code, reason = ws.closed()
        assert code == 1009 and "MOZAIKS_MAX_PLUGIN_WEBSOCKET_MESSAGE_BYTES" in str(reason)
        with connect(r, "ws_echo?action=flood") as ws:
            # 65,536 bytes fit a piece, and what fits a piece needs no putting together.
            assert ws.frame() == (BINARY, b"x" * 65536)


def test_a_slow_client_stops_the_plugin(runtime):
    """What a plugin sends waits in the plugin."""
    def peak():
        with open(f"/proc/{runtime.director.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    before = peak()
    with connect(runtime, "ws_echo?action=flood") as ws:
        time.sleep(1)
        assert ws.frame() == (BINARY, b"x" * 65536)
        assert peak() - before < 8192
    wait_for(lambda: seen(runtime)["open"] == 0)


def test_it_is_a_call_in_flight():
    with Runtime(PLUGINS, env={"MOZAIKS_MAX_INFLIGHT_PER_USER": "1"}) as r:
        with connect(r) as ws:
            ws.raw(masked(b"hello", TEXT))
            assert ws.frame() == (TEXT, b"hello")
            assert r.execute("ws_echo").status == 429
            code, reason = connect(r).closed()
            assert code == 1013 and "MOZAIKS_MAX_INFLIGHT_PER_USER" in str(reason)
        wait_for(lambda: r.execute("ws_echo").status == 200)
