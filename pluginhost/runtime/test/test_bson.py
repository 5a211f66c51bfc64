"""Python objects <-> BSON, against Debian's bson package."""

PLUGIN = """
import collections, datetime, decimal, enum, random, re, types, uuid
import bson, _mozaiks
from bson import (Binary, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, SON, Timestamp)
from bson.codec_options import CodecOptions
from bson.binary import UuidRepresentation
from bson.errors import InvalidBSON, InvalidDocument

OPTIONS = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)
UTC = datetime.timezone.utc

class Colour(str, enum.Enum):
    RED = "red"

class Level(enum.IntEnum):
    HIGH = 3

class Bare(enum.Enum):
    ONE = 1

class Text(str):
    pass

class Row(list):
    pass

class Record(dict):
    pass

Point = collections.namedtuple("Point", "x y")

DOCUMENTS = [
    {},
    {"": ""},
    {"a": 1, "b": 2**31 - 1, "c": -2**31, "d": 2**31, "e": -2**31 - 1, "f": 2**63 - 1, "g": -2**63},
    {"a": 1.5, "b": -0.0, "c": float("inf"), "d": 1e-310},
    {"t": "ü€\\U0001f600", "nul": "a\\0b", "empty": "", "long": "x" * 10000},
    {"ü": True, "false": False, "none": None},
    {"list": [1, "two", [3, [], {}], {"four": 4}], "tuple": (1, (2,)), "point": Point(1, 2)},
    {"many": list(range(1200))},
    {"_id": ObjectId(), "nested": {"_id": ObjectId("a" * 24)}},
    {"d": datetime.datetime(2026, 11, 21, 12, 13, 14, 567000),
     "epoch": datetime.datetime(1970, 1, 1), "before": datetime.datetime(1969, 12, 31, 23, 59, 59, 999000),
     "first": datetime.datetime(1, 1, 1), "last": datetime.datetime(9999, 12, 31, 23, 59, 59, 999000),
     "leap": datetime.datetime(2000, 2, 29), "micro": datetime.datetime(1950, 3, 1, 0, 0, 0, 1)},
    {"zone": datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))),
     "utc": datetime.datetime(2026, 1, 1, tzinfo=UTC)},
    {"bytes": b"\\0\\1", "binary": Binary(b"abc", 128), "empty": b"", "md5": Binary(b"x" * 16, 5)},
    {"uuid": uuid.UUID(int=7)},
    {"int64": Int64(5), "decimal": Decimal128("1.50"), "time": Timestamp(5, 6)},
    {"regex": Regex("^a", "imsx"), "plain": Regex("b")},
    {"min": MinKey(), "max": MaxKey()},
    {"ref": DBRef("things", ObjectId("b" * 24), "db")},
    SON([("b", 1), ("a", 2)]),
    {"son": SON([("z", 1), ("y", 2)]), "ordered": collections.OrderedDict([("x", 1)])},
    {"mapping": types.MappingProxyType({"k": "v"})},
    {"colour": Colour.RED, "text": Text("t"), "flag": True},
]

def same_documents():
    for document in DOCUMENTS:
        ours = _mozaiks.encode_bson(document)
        assert ours == bson.encode(document, codec_options=OPTIONS), document
        theirs = bson.decode(ours, codec_options=OPTIONS)
        back = _mozaiks.decode_bson(ours)
        assert types_of(back) == types_of(theirs), (back, theirs)
        assert back == theirs, (back, theirs)
    return len(DOCUMENTS)

def types_of(value):
    if isinstance(value, dict):
        return {k: types_of(v) for k, v in value.items()}
    if isinstance(value, list):
        return [types_of(v) for v in value]
    return type(value).__name__

def random_dates():
    r = random.Random(3)
    first = datetime.datetime(1, 1, 1)
    for _ in range(20000):
        when = first + datetime.timedelta(milliseconds=r.randrange(0, 315537897599999))
        assert _mozaiks.decode_bson(_mozaiks.encode_bson({"d": when})) == {"d": when}
        assert _mozaiks.encode_bson({"d": when}) == bson.encode({"d": when})
    return True

def random_value(r, depth):
    # Of every type, in every subclass that the bson package takes.
    def text():
        return "".join(r.choice("aü€\\U0001f600\\0 $.") for _ in range(r.randrange(6)))
    def name():
        return text().replace("\\0", "")
    makers = [
        lambda: None, lambda: r.random() < 0.5, lambda: r.choice([0.0, -0.0, 1e308, -5e-324, r.random()]),
        lambda: r.randrange(-2**31, 2**31), lambda: r.randrange(-2**63, 2**63),
        lambda: Int64(r.randrange(-100, 100)), text, lambda: Text(text()), lambda: Colour.RED,
        lambda: Level.HIGH, lambda: r.randbytes(r.randrange(5)),
        lambda: Binary(r.randbytes(r.randrange(5)), r.choice([0, 1, 5, 128, 254])),
        lambda: ObjectId(r.randbytes(12)), lambda: Timestamp(r.randrange(2**32), r.randrange(2**32)),
        lambda: Decimal128(str(r.randrange(-10**20, 10**20)) + "E" + str(r.randrange(-30, 30))),
        lambda: Regex(name(), r.choice(["", "i", "ims", "x"])), MinKey, MaxKey,
        lambda: uuid.UUID(int=r.getrandbits(128)),
        lambda: datetime.datetime(1, 1, 2, tzinfo=r.choice([None, UTC]))
                + datetime.timedelta(microseconds=r.randrange(315537000000000000)),
        lambda: DBRef(name(), r.randrange(9), r.choice([None, "db"])),
    ]
    if depth > 0 and r.random() < 0.4:
        items = [random_value(r, depth - 1) for _ in range(r.randrange(5))]
        kind = r.choice([list, tuple, Row, dict, SON, collections.OrderedDict, Record])
        if kind in (list, tuple, Row):
            return kind(items)
        return kind((name() + str(i), v) for i, v in enumerate(items))
    return r.choice(makers)()

def random_documents(seed):
    # Encoded and decoded as the bson package does it, byte for byte and type for type.
    r = random.Random(seed)
    for _ in range(3000):
        document = {f"k{i}": random_value(r, 4) for i in range(r.randrange(6))}
        ours = _mozaiks.encode_bson(document)
        assert ours == bson.encode(document, codec_options=OPTIONS), document
        back, theirs = _mozaiks.decode_bson(ours), bson.decode(ours, codec_options=OPTIONS)
        assert types_of(back) == types_of(theirs) and back == theirs, (back, theirs)
    return True

def same_refusals():
    # What the bson package calls an invalid document is one here.
    out = []
    for value in (datetime.date(2026, 1, 1), datetime.time(1), Bare.ONE, object(), {1, 2}, 1j,
                  decimal.Decimal("1.5"), range(3), iter([]), print, {1: 2}, {None: 1}, {b"a": 1}):
        both = []
        for encode in (_mozaiks.encode_bson, bson.encode):
            try:
                encode({"v": value})
                both.append("taken")
            except InvalidDocument:
                both.append("InvalidDocument")
        out.append(both)
    return out

def patterns():
    out = []
    for pattern in (re.compile("^a.b"), re.compile("x", re.I | re.M), re.compile(b"y")):
        value = _mozaiks.decode_bson(_mozaiks.encode_bson({"p": pattern}))["p"]
        out.append([value.pattern, value.flags])
    return out

def circular():
    value = {"a": []}
    value["a"].append(value)
    return value

def deep(n):
    value = {}
    for _ in range(n - 1):
        value = {"d": value}
    return value

REFUSED = {
    "set": lambda: {"a": {"b": [1, {2}]}},
    "object": lambda: {"o": object()},
    "date": lambda: {"d": datetime.date(2026, 1, 1)},
    "key": lambda: {"a": {1: 2}},
    "nul_key": lambda: {"a\\0b": 1},
    "nul_regex": lambda: {"r": re.compile("a\\0")},
    "large": lambda: {"n": 2**63},
    "circular": circular,
    "deep": lambda: deep(65),
    "very_deep": lambda: deep(10000),
    "surrogate": lambda: {"s": "\\ud800"},
    "list": lambda: [],
    "none": lambda: None,
}

def refused(case):
    try:
        _mozaiks.encode_bson(REFUSED[case]())
    except Exception as error:
        return [type(error).__name__, str(error)]

def broken():
    whole = _mozaiks.encode_bson(
        {"a": "text", "l": [1, {"b": b"x", "r": Regex("a", "i")}], "o": ObjectId(), "d": 1.5,
         "t": datetime.datetime(2026, 1, 1), "z": Timestamp(1, 2), "e": Decimal128("1")})
    count = 0
    for n in range(len(whole)):
        for bad in (whole[:n], whole[:n] + b"\\xff" + whole[n + 1:], whole[:n] + b"\\0" + whole[n + 1:],
                    whole[:n] + b"\\x7f" + whole[n + 1:]):
            try:
                _mozaiks.decode_bson(bad)
            except (InvalidBSON, UnicodeDecodeError, ValueError):
                count += 1
    nested = b""
    for n in range(200):
        nested = (len(nested) + 8).to_bytes(4, "little") + b"\\x03a\\0" + nested + b"\\0" if nested else b"\\5\\0\\0\\0\\0"
    try:
        _mozaiks.decode_bson(nested)
    except InvalidBSON as error:
        return [count > 100, str(error)]

async def execute(data):
    if data["do"] == "refused":
        return refused(data["case"])
    if data["do"] == "deep":
        return len(_mozaiks.encode_bson(deep(64)))
    if data["do"] == "random_documents":
        return random_documents(data["seed"])
    return globals()[data["do"]]()
"""


def test_like_the_bson_package(start):
    worker = start(PLUGIN)
    assert worker.call(do="same_documents").value > 15
    assert worker.call(do="random_dates").value is True
    # re.I | re.M; the Unicode flag, which the database does not know, is left out.
    assert worker.call(do="patterns").value == [["^a.b", 0], ["x", 10], ["y", 0]]
    assert worker.call(do="deep").value > 64


def test_random_documents(start):
    worker = start(PLUGIN)
    for seed in range(4):
        assert worker.call(do="random_documents", seed=seed).value is True


def test_the_same_refusals(start):
    worker = start(PLUGIN)
    refusals = worker.call(do="same_refusals").value
    assert refusals == [["InvalidDocument"] * 2] * 13


def test_refused(start):
    worker = start(PLUGIN)
    expected = {
        "set": ["InvalidDocument", "document.a.b[1]: cannot be stored: a value of type set"],
        "object": ["InvalidDocument", "document.o: cannot be stored: a value of type object"],
        "date": ["InvalidDocument", "document.d: cannot be stored: a value of type datetime.date"],
        "key": ["InvalidDocument", "document.a: names must be text, not int"],
        "nul_regex": [
            "InvalidDocument",
            "document.r: a regular expression must not contain a NUL character",
        ],
        "large": ["OverflowError", "document.n: integers in the database have at most 64 bits"],
        "circular": ["InvalidDocument", "document.a[0]: a circular structure cannot be stored"],
        "list": ["TypeError", "document must be a mapping such as dict, not list"],
        "none": ["TypeError", "document must be a mapping such as dict, not NoneType"],
    }
    for case, error in expected.items():
        assert worker.call(do="refused", case=case).value == error
    assert "NUL" in worker.call(do="refused", case="nul_key").value[1]
    assert worker.call(do="refused", case="surrogate").value[0] == "UnicodeEncodeError"
    for case in ("deep", "very_deep"):
        assert worker.call(do="refused", case=case).value[1].endswith("64 levels of nesting")


def test_broken_bytes(start):
    worker = start(PLUGIN)
    assert worker.call(do="broken").value == [
        True,
        "a broken document: more than 100 levels of nesting",
    ]
