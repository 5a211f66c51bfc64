"""Frames of streams that no plugin may send, past the runtime's own code."""
import os
import struct

import _mozaiks

RESULT, HEAD, DATA, CREDIT, RESET = 14, 15, 16, 17, 18
call = 0


def frame(kind, payload=b"", flags=0, to=None):
    return struct.pack("<IBBHQ", len(payload), kind, flags, 0, call if to is None else to) + payload


def send(*frames):
    # Nothing of ours may stand half written before it.
    _mozaiks.flush()
    message = b"".join(frames)
    data = b"\1" + struct.pack(">Q", len(message)) + message
    os.set_blocking(3, True)
    while data:
        data = data[os.write(3, data):]


HEAD_OK = (HEAD, b"\xc8\x00{}")

RUDE = {
    "data before a head": lambda: send(frame(DATA, b"x")),
    "data after its end": lambda: send(frame(*HEAD_OK), frame(DATA, b"x", 1), frame(DATA, b"y")),
    "data after a reset": lambda: send(frame(*HEAD_OK), frame(RESET, b"\0\0"), frame(DATA, b"y")),
    "a second head": lambda: send(frame(*HEAD_OK), frame(*HEAD_OK)),
    "an unknown call": lambda: send(frame(HEAD, b"\xc8\x00{}", to=10**6)),
    "after the result": lambda: send(frame(RESULT, b"\0null"), frame(*HEAD_OK)),
    "credit for nothing": lambda: send(frame(*HEAD_OK), frame(CREDIT, struct.pack("<I", 1))),
    "flags of a message": lambda: send(frame(*HEAD_OK), frame(DATA, b"x", 2)),
    "an empty piece": lambda: send(frame(*HEAD_OK), frame(DATA)),
}


def flood():
    """Does not care about credit."""
    send(frame(*HEAD_OK))
    while True:
        send(frame(DATA, b"x" * 65536))


async def execute(data):
    global call
    call = _mozaiks.current().id
    if data["rude"] == "flood":
        flood()
    RUDE[data["rude"]]()
    return "still here"
