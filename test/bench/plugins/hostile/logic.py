"""A neighbour that takes what it can get. The action says of what."""
import logging
import os

log = logging.getLogger("flood")
kept = []


def spin():
    while True:
        pass


def flood():
    """On the channel and on stdout at once."""
    block = b"flood " * 10_000 + b"\n"
    while True:
        os.write(1, block)
        for _ in range(100):
            log.warning("flood %s", "x" * 4000)


def leak():
    while True:
        kept.append(bytearray(b"x" * 65536))


def crash():
    os._exit(3)


ACTIONS = {"spin": spin, "flood": flood, "leak": leak, "crash": crash}


async def execute(data):
    return ACTIONS[data["action"]]()
