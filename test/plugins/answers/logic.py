"""Every kind of answer. The action names it."""
import datetime
import decimal
import uuid

from bson import ObjectId


class Unknown:
    """Nothing that JSON knows."""


def circular():
    loop = {}
    loop["self"] = loop
    return loop


def nested(depth):
    value = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


VALUES = {
    "none": lambda data: None,
    "list": lambda data: [1, "two", None],
    "string": lambda data: "text with \u00fc and \u2028 and \U0001f600",
    "number": lambda data: 12.5,
    "true": lambda data: True,
    "empty": lambda data: {},
    "nan": lambda data: {"value": float("nan")},
    "infinity": lambda data: {"value": float("inf")},
    "circular": lambda data: circular(),
    "unknown": lambda data: {"value": Unknown()},
    "set": lambda data: {"value": {1, 2}},
    "bytes": lambda data: {"value": b"\x00\xff"},
    "surrogate": lambda data: {"value": "\ud800"},
    "big_number": lambda data: {"value": 10 ** 400},
    "objectid": lambda data: {"_id": ObjectId("65f0c0ffee65f0c0ffee65f0"), "in": [ObjectId()]},
    "datetime": lambda data: {"at": datetime.datetime(2024, 2, 29, 12, 30, 1, 500000)},
    "uuid": lambda data: {"id": uuid.UUID(int=1)},
    "decimal": lambda data: {"value": decimal.Decimal("1.5")},
    "number_key": lambda data: {1: "one"},
    "deep": lambda data: nested(data["depth"]),
    "big": lambda data: {"text": "x" * data["bytes"]},
    "error": lambda data: data["answer"],
    "echo": lambda data: data,
}


async def execute(data):
    action = data.get("action")
    if action == "raise":
        raise ValueError("the secret of the exception")
    if action == "raise_key":
        return data["nothing of this name"]
    if action == "exit":
        raise SystemExit(3)
    if action == "interrupt":
        raise KeyboardInterrupt
    if action == "cancelled":
        import asyncio
        raise asyncio.CancelledError
    return VALUES[action](data)
