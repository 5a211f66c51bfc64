"""Ends its worker, each time for another reason, and says some last words before."""
import asyncio
import ctypes
import logging
import mmap
import os
import sys
import time

log = logging.getLogger(__name__)
CHANNEL = 3
# Which worker this is: each has a pid namespace of its own.
BORN = time.time_ns()


def spin(data):
    while True:
        time.sleep(0)


WAYS = {
    "exit": lambda data: os._exit(data.get("status", 3)),
    "signal": lambda data: ctypes.string_at(8),
    "denied_syscall": lambda data: ctypes.CDLL(None).unshare(0x10000000),
    "out_of_memory": lambda data: [bytearray(mmap.PAGESIZE * 256) for _ in range(4096)],
    "hung": spin,
    "protocol_violation": lambda data: os.write(CHANNEL, b"\xff" * 4096),
    "closed": lambda data: (os.close(CHANNEL), time.sleep(60)),
}


async def stubborn():
    while True:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            pass


async def execute(data):
    action = data.get("action")
    if action is None:
        return {"born": BORN}
    if action == "sleep":
        await asyncio.sleep(data["seconds"])
        return {}
    log.warning("last words before %s", action)
    print("last line before", action, file=sys.stderr, flush=True)
    os.write(2, f"raw words before {action}\n".encode())
    if action == "deadline":
        await stubborn()
    # The record is on its way: the loop sends it.
    await asyncio.sleep(0.2)
    WAYS[action](data)
    return {"survived": action}
