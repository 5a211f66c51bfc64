"""Answers in pieces, bodies in pieces, and everything that can go wrong between."""
import asyncio
import hashlib
import os
import threading

from core.config.database import db
from mozaiks import wait
from mozaiks.streams import Event, EventStream, StreamingResponse, multipart, request_body

PIECE = bytes(range(256)) * 256
seen = {"produced": 0, "closed": 0, "running": 0}


async def produce(data):
    """n pieces of 64 KiB, counted, so that a test sees when it is made to wait."""
    seen["running"] += 1
    try:
        for _ in range(data["n"]):
            yield PIECE
            seen["produced"] += 1
    finally:
        seen["running"] -= 1
        seen["closed"] += 1


async def texts(data):
    for n in range(data["n"]):
        yield f"line {n}\n"


async def objects(data):
    for n in range(data["n"]):
        yield {"n": n}


async def ticking(data):
    yield Event("first", id="1", event="start")
    await asyncio.sleep(data["seconds"])
    yield Event({"last": data.get("_last_event_id")}, id="2")


async def failing(data):
    yield b"half"
    await asyncio.sleep(0.05)
    raise RuntimeError("in the middle")


async def failing_early(data):
    raise KeyError("before the first piece")
    yield b""


async def dying(data):
    yield b"half"
    await asyncio.sleep(0.05)
    os._exit(3)


async def silent(data):
    try:
        yield b"half"
        await asyncio.sleep(60)
    finally:
        seen["closed"] += 1


async def nothing(data):
    return
    yield b""


async def stored(data):
    await db["things"].insert_many([{"n": n} for n in range(3)])
    async for thing in db["things"].find({}).sort("n", 1):
        yield f"{thing['n']} {thing['user_id']}\n"


def sync_pieces(data):
    return StreamingResponse(iter(["one ", "two ", b"three"]), status_code=201,
                             headers={"Content-Disposition": "attachment; filename=x",
                                      "Set-Cookie": "a=b", "content-type": "text/x-lines"})


gate = threading.Event()
gated = {"waiting": 0, "closed": 0, "in_loop": 0}


def blocking(data):
    """An iterator that is not async, and blocks where it runs until a test says "open"."""
    try:
        yield "before "
        gated["in_loop"] += threading.current_thread() is threading.main_thread()
        gated["waiting"] += 1
        gate.wait()
        gated["waiting"] -= 1
        yield "open "
        yield f"{wait(db['gated'].count_documents({}))} after"
    except GeneratorExit:
        gated["closed"] += 1
        raise


async def upload(data):
    digest = hashlib.sha256()
    size = 0
    async for piece in request_body():
        digest.update(piece)
        size += len(piece)
        if "slow" in data:
            await asyncio.sleep(0.001)
    return {"size": size, "sha256": digest.hexdigest(), "data": data}


async def parts(data):
    found = []
    async for part in multipart(data["_upload"]["content_type"]):
        content = await part.read(10_000_000)
        found.append([part.name, part.filename, part.content_type, len(content),
                      hashlib.sha256(content).hexdigest()])
    return found


async def mirror(data):
    async for piece in request_body():
        yield piece


async def ignore(data):
    return {"ignored": True}


async def never_reads(data):
    await asyncio.sleep(60)


async def read_once(data):
    return {"size": len(await request_body().read())}


STREAMS = {"produce": produce, "texts": texts, "objects": objects, "failing": failing,
           "failing early": failing_early, "dying": dying, "silent": silent, "nothing": nothing,
           "stored": stored, "mirror": mirror}
ANSWERS = {"upload": upload, "parts": parts, "ignore": ignore, "never reads": never_reads,
           "read once": read_once}


async def execute(data):
    action = data["action"]
    if action == "seen":
        return dict(seen)
    if action == "long":
        return ["x" * data["length"]]
    if action == "long error":
        return {"error": "x" * data["length"], "error_code": "CONFLICT"}
    if action == "blocking":
        gate.clear()
        return StreamingResponse(blocking(data), media_type="text/plain")
    if action == "open":
        gate.set()
        return None
    if action == "gated":
        return dict(gated)
    if action == "ticking":
        return EventStream(ticking(data))
    if action == "sync":
        return sync_pieces(data)
    if action in STREAMS:
        return STREAMS[action](data)
    return await ANSWERS[action](data)
