"""A WebSocket client that somebody else wrote: python3-websockets, with its defaults (it offers
compression, pings by itself, and checks what it is sent)."""
import asyncio
import json

import pytest

from not_run import cannot_run
from runtime import Runtime, mint

try:
    import websockets
except ImportError:
    websockets = None

PLUGIN = {"logic.py": "async def execute(data):\n    return {'got': data}\n"}


@pytest.fixture(scope="module")
def runtime():
    if websockets is None:
        cannot_run("python3-websockets is not installed")
    with Runtime(plugins={"echo": PLUGIN}) as r:
        r.wait_plugin("echo", lambda p: p["state"] == "ready")
        yield r


def url(r, path="/ws/notifications/_"):
    return f"ws://127.0.0.1:{r.port}{path}"


def run(what):
    return asyncio.run(asyncio.wait_for(what, 60))


def test_a_conversation(runtime):
    async def talk():
        token = mint("alice")
        async with websockets.connect(url(runtime), subprotocols=["mozaiks", token],
                                      ping_interval=0.2, ping_timeout=10) as ws:
            assert ws.subprotocol == "mozaiks" and not ws.extensions
            assert json.loads(await ws.recv())["type"] == "connection_ack"
            await (await ws.ping(b"are you there"))
            # Fragments.
            await ws.send(iter(['{"type":"execute","id":1,', '"plugin":"echo",', '"data":{"a":"ü€😀"}}']))
            answer = json.loads(await ws.recv())
            assert answer["status"] == 200 and answer["data"]["got"]["a"] == "ü€😀"
            for size in (0, 125, 126, 65535, 65536, 900_000):
                await ws.send(json.dumps({"type": "execute", "id": size, "plugin": "echo",
                                          "data": {"text": "x" * size}}))
                answer = json.loads(await ws.recv())
                assert answer["id"] == size and len(answer["data"]["got"]["text"]) == size
            await asyncio.sleep(0.5)
            assert ws.open
        assert ws.close_code == 1000
    run(talk())


def test_close_codes_arrive(runtime):
    async def closed(path, message=None, **more):
        async with websockets.connect(url(runtime, path), **more) as ws:
            try:
                if message is not None:
                    await ws.send(message)
                while True:
                    await ws.recv()
            except websockets.ConnectionClosed:
                return ws.close_code, ws.close_reason
    mine = {"extra_headers": {"Authorization": f"Bearer {mint('alice')}"}}
    assert run(closed("/ws/notifications/_"))[0] == 4001
    assert run(closed("/ws/notifications/bob", **mine)) == (4003, "User ID mismatch")
    assert run(closed("/ws/notifications/_", b"binary", **mine))[0] == 1003
    assert run(closed("/ws/notifications/_", "x" * 2_000_000, **mine))[0] == 1009


def test_refusals_are_answers(runtime):
    async def refused(**more):
        try:
            async with websockets.connect(url(runtime), **more):
                return 101
        except websockets.InvalidStatusCode as error:
            return error.status_code
    assert run(refused(origin="https://evil.example")) == 403


def test_many_at_once(runtime):
    async def one(i):
        token = mint(f"user{i}")
        async with websockets.connect(url(runtime), subprotocols=["mozaiks", token]) as ws:
            assert json.loads(await ws.recv())["data"]["user_id"] == f"user{i}"
            for k in range(5):
                await ws.send(json.dumps({"type": "execute", "id": k, "plugin": "echo", "data": {}}))
            ids = set()
            for _ in range(5):
                answer = json.loads(await ws.recv())
                assert answer["status"] == 200 and answer["data"]["got"]["user_id"] == f"user{i}"
                ids.add(answer["id"])
            assert ids == set(range(5))

    async def everybody():
        await asyncio.gather(*(one(i) for i in range(30)))
    run(everybody())
