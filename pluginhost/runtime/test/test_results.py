"""What execute() may return, and what becomes of the rest."""

import json

import fake_director as fd

PLUGIN = """
import collections, datetime, decimal, enum, uuid
from bson import ObjectId, Decimal128, Int64

class Colour(str, enum.Enum):
    RED = "red"

class Number(enum.IntEnum):
    ONE = 1

class Text(str):
    pass

Point = collections.namedtuple("Point", "x y")

def circular():
    value = {"list": []}
    value["list"].append(value)
    return value

def deep(n):
    value = 1
    for _ in range(n):
        value = [value]
    return value

def wide():
    # Ten references at each of thirty levels: 10**30 values in 300.
    value = ["x"]
    for _ in range(30):
        value = [value] * 10
    return value

class Evil(dict):
    def items(self):
        raise RuntimeError("no items")

class Shrinking(datetime.date):
    victims = []
    def isoformat(self):
        for victim in self.victims:
            victim.clear()
        return "shrunk"

def shrinking_list():
    value = [Shrinking(2020, 1, 1), "a" * 50, "b" * 50]
    Shrinking.victims = [value]
    return value

def shrinking_dict():
    value = {"a": Shrinking(2020, 1, 1), "b": "b" * 50}
    Shrinking.victims = [value]
    return value

CASES = {
    "object_id": lambda: {"_id": ObjectId("0123456789abcdef01234567")},
    "datetime": lambda: [datetime.datetime(2026, 1, 2, 3, 4, 5, 678000),
                         datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
                         datetime.date(2026, 1, 2), datetime.time(3, 4)],
    "uuid": lambda: uuid.UUID(int=5),
    "decimal128": lambda: Decimal128("1.50"),
    "int64": lambda: Int64(2**40),
    "subclasses": lambda: [Colour.RED, Number.ONE, Text("t"), Point(1, 2),
                           collections.OrderedDict(b=1, a=2), collections.Counter("aab")],
    "ordered": lambda: reordered(),
    "keys": lambda: {1: "int", 1.5: "float", True: "bool", None: "none"},
    "numbers": lambda: [0, -0.0, 1e300, 1e-300, 2**63, -2**63, 2**200, 0.1, 1.0, -7],
    "text": lambda: "\\x00\\x1f\\x7f\\"\\\\/ü€\\U0001f600\\u2028" + "a" * 1000,
    "error": lambda: {"error": None, "error_code": "NOT_FOUND"},
    "nan": lambda: {"a": [1.0, float("nan")]},
    "infinity": lambda: float("-inf"),
    "set": lambda: {"items": [{"tags": {1, 2}}]},
    "object": lambda: object(),
    "bytes": lambda: {"data": b"x"},
    "decimal": lambda: decimal.Decimal("1.5"),
    "function": lambda: {"f": len},
    "coroutine": lambda: {"c": iter(())},
    "circular": circular,
    "deep64": lambda: deep(64),
    "deep65": lambda: deep(65),
    "very_deep": lambda: deep(100000),
    "surrogate": lambda: {"t": "\\ud800"},
    "surrogate_key": lambda: {"\\udfff": 1},
    "tuple_key": lambda: {"a": {(1, 2): 3}},
    "digits": lambda: 10 ** 5000,
    "evil": lambda: Evil(a=1),
    "wide": wide,
    "large": lambda: "x" * 2_000_000,
    "almost": lambda: "x" * 999_998,
    "just": lambda: "x" * 999_999,
    "many": lambda: [{"n": n} for n in range(500_000)],
    "shrinking_list": shrinking_list,
    "shrinking_dict": shrinking_dict,
}

def reordered():
    value = collections.OrderedDict(a=1, b=2)
    value.move_to_end("a")
    return value

async def execute(data):
    return CASES[data["case"]]()
"""


def test_values(start):
    worker = start(PLUGIN)

    def value(case):
        return worker.call(case=case).value

    assert value("object_id") == {"_id": "0123456789abcdef01234567"}
    assert value("datetime") == [
        "2026-01-02T03:04:05.678000",
        "2026-01-02T00:00:00+00:00",
        "2026-01-02",
        "03:04:00",
    ]
    assert value("uuid") == "00000000-0000-0000-0000-000000000005"
    assert value("decimal128") == "1.50"
    assert value("int64") == 2**40
    assert value("subclasses") == ["red", 1, "t", [1, 2], {"b": 1, "a": 2}, {"a": 2, "b": 1}]
    assert worker.call(case="ordered").body == b'{"b":2,"a":1}'
    # json.dumps() does the same: True and 1 are one key, the first one stays.
    assert value("keys") == {"1": "bool", "1.5": "float", "null": "none"}
    numbers = [0, -0.0, 1e300, 1e-300, 2**63, -(2**63), 2**200, 0.1, 1.0, -7]
    assert value("numbers") == numbers
    assert worker.call(case="numbers").body.decode() == json.dumps(numbers, separators=(",", ":"))
    assert value("text") == '\x00\x1f\x7f"\\/ü€\U0001f600\u2028' + "a" * 1000
    assert value("error") == {"error": None, "error_code": "NOT_FOUND"}
    assert value("deep64") != 1
    assert value("almost") == "x" * 999_998
    assert value("shrinking_list") == ["shrunk"]
    assert value("shrinking_dict") == {"a": "shrunk"}


def test_what_is_not_json(start):
    worker = start(PLUGIN)
    expected = {
        "nan": "result.a[1]: NaN is not JSON",
        "infinity": "result: an infinity is not JSON",
        "set": "result.items[0].tags: not JSON: a value of type set",
        "object": "result: not JSON: a value of type object",
        "bytes": "result.data: not JSON: a value of type bytes",
        "decimal": "result: not JSON: a value of type decimal.Decimal",
        "function": "result.f: not JSON: a value of type builtin_function_or_method",
        "coroutine": "result.c: not JSON: a value of type tuple_iterator",
        "circular": "result.list[0]: a circular structure is not JSON",
        "surrogate": "result.t: text with a lone surrogate is not JSON",
        "surrogate_key": "result: text with a lone surrogate is not JSON",
        "tuple_key": "result.a: keys must be text, not tuple",
        "digits": "result: an integer with too many digits",
        "evil": "result: items() failed on Evil",
    }
    for case, message in expected.items():
        result = worker.call(case=case)
        assert result.outcome == fd.UNSERIALISABLE, (case, result)
        assert result.error == {"message": message}
    for case in ("deep65", "very_deep"):
        result = worker.call(case=case)
        assert result.outcome == fd.UNSERIALISABLE
        assert result.error["message"].endswith("more than 64 levels of nesting")
    assert worker.call(case="uuid").outcome == fd.VALUE


def test_too_large(start):
    worker = start(PLUGIN)
    for case in ("large", "just", "many", "wide"):
        result = worker.call(case=case)
        assert result.outcome == fd.TOO_LARGE, (case, result.outcome)
        assert result.error["limit"] == 1_000_000
        assert result.error["size"] > 1_000_000
    worker = start(PLUGIN, max_response=100)
    result = worker.call(case="text")
    assert result.outcome == fd.TOO_LARGE and result.error["limit"] == 100
    assert worker.call(case="uuid").outcome == fd.VALUE


def test_like_json_dumps(start):
    """Against Python's own encoder, on many random values."""
    worker = start("""
import json, random, _mozaiks

LETTERS = "ab\\x00\\x1f \\"\\\\/\\x7f\\x80äß€\\u2028\\ufffd\\U0001f600"

def text(r):
    return "".join(r.choice(LETTERS) for _ in range(r.choice((0, 1, 7, 8, 9, 40, 300))))

def value(r, depth):
    kind = r.randrange(9 if depth < 5 else 7)
    if kind == 0: return text(r)
    if kind == 1: return r.randrange(-10**r.randrange(1, 40), 10**r.randrange(1, 40))
    if kind == 2: return r.uniform(-1, 1) * 10 ** r.randrange(-30, 30)
    if kind == 3: return r.choice((True, False, None))
    if kind == 4: return r.choice(("", "plain", "plain ascii of more than eight bytes"))
    if kind == 5: return tuple(value(r, 9) for _ in range(r.randrange(3)))
    if kind == 6: return r.randrange(-5, 5)
    if kind == 7: return [value(r, depth + 1) for _ in range(r.randrange(6))]
    return {text(r): value(r, depth + 1) for _ in range(r.randrange(6))}

async def execute(data):
    r = random.Random(7)
    for n in range(3000):
        v = value(r, 0)
        expected = json.dumps(v, ensure_ascii=False, separators=(",", ":")).encode()
        assert _mozaiks.encode_json(v) == expected, (n, v)
    return "same"
""")
    assert worker.call().value == "same"
