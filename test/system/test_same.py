"""The two drivers answer the same: random commands on the embedded store and on a MongoDB server.

What is compared is every answer, every refusal with its words, and all documents in the end. The seeds are
the same in each run; MOZAIKS_TEST_SEED=N begins with another one, MOZAIKS_TEST_SEEDS=N takes as many, and the
seed of a difference is printed.

test/conformance/same/SERVER lists what that server itself gets wrong, a line `WORD... -- REASON` each:
commands with all these words (operators, stages, arguments, names of operations) are not sent. Each line has
to be needed: a difference is looked for with just these commands. `counts WORD...` is of what is counted as
modified: the command is sent, its modifiedCount not compared. `again WORD...` is of what is there after such a
command was refused: with the next one of them the comparison of a seed ends.
"""
import json
import os
import random
import re
import uuid

import pytest

import servers
from conftest import HERE, PLUGINS
from runtime import Runtime

# Each is compared with the embedded store.
pytestmark = pytest.mark.parametrize("store", servers.candidates(), indirect=True, scope="session")
LISTS = HERE / "conformance" / "same"
ROUNDS = 10
COMMANDS = 60
# Where a listed mistake is looked for: commands of each line, each on documents of its own.
PROBES = 20
PROBE_SEEDS = 3
DRAWS = 3000


class Commands:
    """Random commands about small documents: numbers in a, b and o.x; an array of numbers in l, one of
    documents in d; a text in t.

    Whatever depends on an order has one, and whatever makes an _id is given it: servers are free there.
    """

    def __init__(self, seed):
        self.random = random.Random(seed)

    def number(self):
        return self.random.choice([0, 1, 2, 3, 5, -1, 2.5, 10])

    def chance(self, p):
        return self.random.random() < p

    def id(self):
        return self.random.randrange(12)

    def document(self, i):
        document = {"_id": i, "a": self.number(), "l": [self.number() for _ in range(3)]}
        if self.chance(0.7):
            document["b"] = self.number()
        if self.chance(0.7):
            document["o"] = {"x": self.number()}
        if self.chance(0.5):
            document["d"] = [{"k": self.number(), "v": self.number()} for _ in range(2)]
        if self.chance(0.5):
            document["t"] = self.random.choice(["red", "Green", "blue", "", "bl"])
        return document

    def filter(self):
        field = self.random.choice(["a", "b", "o.x", "l", "d.k"])
        compare = self.random.choice(["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"])
        return self.random.choice([
            {"_id": self.id()}, {"_id": {"$in": [self.id(), self.id(), self.id()]}},
            {"_id": {"$gt": self.id()}},
            {field: self.number()},
            {field: {compare: self.number()}},
            {field: {"$in": [self.number(), self.number()]}},
            {field: {"$nin": [self.number(), self.number()]}},
            {field: {"$exists": self.chance(0.5)}},
            {"$or": [{field: self.number()}, {"a": {"$gt": self.number()}}]},
            {"$and": [{field: {compare: self.number()}}, {"a": {"$ne": self.number()}}]},
            {"$nor": [{"a": self.number()}, {field: self.number()}]},
            {"a": {"$not": {"$gt": self.number()}}},
            {"l": {"$elemMatch": {"$gt": self.number(), "$lt": self.number()}}},
            {"d": {"$elemMatch": {"k": self.number(), "v": {"$gt": self.number()}}}},
            {"l": {"$size": self.random.choice([2, 3, 4])}},
            {"l": {"$all": [self.number(), self.number()]}},
            {"l.1": {compare: self.number()}},
            {"a": {"$mod": [2, 1]}}, {"t": {"$type": "string"}}, {"b": None},
            {"t": {"$regex": self.random.choice(["^bl", "e", "D$"]),
                   "$options": self.random.choice(["", "i"])}},
        ])

    def update(self):
        field = self.random.choice(["a", "b", "o.x"])
        return self.random.choice([
            {"$set": {field: self.number()}}, {"$inc": {field: self.number()}},
            {"$set": {"o.y.z": self.number()}}, {"$set": {"l.1": self.number()}},
            {"$mul": {field: self.number()}}, {"$min": {field: self.number()}},
            {"$max": {field: self.number()}}, {"$unset": {"b": ""}}, {"$unset": {"o.x": ""}},
            {"$rename": {"b": "c"}}, {"$push": {"l": self.number()}},
            {"$addToSet": {"l": self.number()}},
            {"$addToSet": {"l": {"$each": [self.number(), self.number()]}}},
            {"$pop": {"l": self.random.choice([1, -1])}},
            {"$pullAll": {"l": [self.number()]}},
            {"$setOnInsert": {"n": 1}, "$set": {"a": self.number()}},
            {"$pull": {"l": {"$gt": self.number()}}}, {"$pull": {"d": {"k": self.number()}}},
            {"$pull": {"l": self.number()}},
            {"$inc": {"l.$[]": 1}}, {"$inc": {"t": 1}}, {"$push": {"a": 1}},
            {"$push": {"l": {"$each": [self.number(), 7], "$position": 1, "$slice": 5,
                             "$sort": 1}}},
            {"$push": {"l": {"$each": [self.number()], "$slice": -2}}},
            {"$bit": {"_id": {"or": 1}}}, {"$set": {"_id": 99}},
        ])

    def replacement(self):
        document = self.document(0)
        del document["_id"]
        return document

    def sort(self):
        """A total order: _id comes last."""
        field = self.random.choice(["a", "b", "o.x", "t"])
        return {**({field: self.random.choice([1, -1])} if self.chance(0.7) else {}),
                "_id": self.random.choice([1, -1])}

    def projection(self):
        return self.random.choice([
            {"a": 1}, {"a": 1, "_id": 0}, {"l": 0}, {"o.x": 1}, {"o.x": 0, "t": 0},
            {"l": {"$slice": 2}}, {"l": {"$slice": [1, 1]}}, {"d.k": 1},
            {"d": {"$elemMatch": {"k": self.number()}}},
        ])

    def expression(self):
        return self.random.choice([
            {"$add": ["$a", 1]}, {"$subtract": ["$a", "$b"]}, {"$multiply": ["$a", 2]},
            {"$divide": ["$a", 2]}, {"$cond": [{"$gt": ["$a", 1]}, "big", "small"]},
            {"$ifNull": ["$b", "none"]}, {"$size": "$l"}, {"$arrayElemAt": ["$l", 0]},
            {"$concat": ["<", {"$ifNull": ["$t", "?"]}, ">"]}, {"$eq": ["$a", "$b"]},
            {"$abs": "$a"}, {"$literal": "$a"}, {"$in": [1, "$l"]},
            {"$toUpper": {"$ifNull": ["$t", "x"]}},
        ])

    def accumulator(self):
        name = self.random.choice(["$sum", "$min", "$max", "$avg", "$first", "$last", "$push"])
        return {name: self.random.choice(["$a", "$b", "$o.x"])}

    def pipeline(self):
        by_id = {"$sort": {"_id": 1}}
        match = {"$match": self.filter()}
        return self.random.choice([
            [match, by_id, {"$limit": 4}],
            [match, {"$sort": self.sort()}, {"$skip": 1}, {"$limit": 3}],
            [match, by_id, {"$group": {"_id": "$a", "n": {"$sum": 1}, "x": self.accumulator()}}, by_id],
            [match, by_id, {"$group": {"_id": None, "x": self.accumulator()}}],
            [by_id, {"$unwind": "$l"}, {"$group": {"_id": "$l", "hi": {"$max": "$a"}}}, by_id],
            [by_id, {"$unwind": {"path": "$d", "includeArrayIndex": "i",
                                 "preserveNullAndEmptyArrays": True}}],
            [{"$sort": {"_id": -1}}, {"$project": {"s": self.expression(), "a": 1}}],
            [by_id, {"$addFields": {"s": self.expression()}}],
            [by_id, {"$set": {"s": self.expression()}}, {"$unset": "l"}],
            [match, {"$count": "n"}],
            [{"$sortByCount": "$a"}, {"$sort": {"count": -1, "_id": 1}}],
            [match, by_id, {"$project": {"a": 1, "_id": 0}}],
            [{"$match": {"a": {"$gt": 0}}}, {"$match": self.filter()}, by_id],
            [{"$lookup": {"from": "other", "as": "x", "localField": "a", "foreignField": "a"}}],
        ])

    def change(self):
        """An update of one by its _id, so that there is no choice."""
        return {"filter": {"_id": self.id()}, "update": self.update(), "upsert": self.chance(0.2)}

    def request(self):
        return self.random.choice([
            lambda: {"insertOne": {"document": self.document(self.id())}},
            lambda: {"updateOne": self.change()},
            lambda: {"updateMany": {"filter": self.filter(), "update": self.update()}},
            lambda: {"replaceOne": {"filter": {"_id": self.id()}, "replacement": self.replacement(),
                                    "upsert": self.chance(0.3)}},
            lambda: {"deleteOne": {"filter": {"_id": self.id()}}},
            lambda: {"deleteMany": {"filter": self.filter()}},
        ])()

    def find(self):
        arguments = {"filter": self.filter(), "sort": self.sort()}
        if self.chance(0.4):
            arguments["projection"] = self.projection()
        if self.chance(0.4):
            arguments["limit"] = self.random.choice([1, 2, 5, 100])
        if self.chance(0.3):
            arguments["skip"] = self.random.choice([1, 3, 50])
        return arguments

    def modify(self):
        name = self.random.choice(["Update", "Update", "Replace", "Delete"])
        arguments = {"filter": self.filter(), "sort": self.sort()}
        if name == "Update":
            arguments["update"] = self.update()
        elif name == "Replace":
            arguments["replacement"] = self.replacement()
        if name != "Delete":
            arguments["returnDocument"] = self.random.choice(["After", "Before"])
            if self.chance(0.2):
                arguments.update(filter={"_id": self.id()}, upsert=True)
        if self.chance(0.3):
            arguments["projection"] = self.projection()
        return {"name": f"findOneAnd{name}", "arguments": arguments}

    def index(self):
        field = self.random.choice(["a", "b", "t", "l"])
        keys = {field: self.random.choice([1, -1])}
        if self.chance(0.3):
            keys["o.x"] = 1
        arguments = {"keys": keys}
        if self.chance(0.3):
            arguments["unique"] = True
        return {"name": "createIndex", "arguments": arguments}

    def one(self):
        writes = {
            "insertOne": lambda: {"document": self.document(self.id())},
            "insertMany": lambda: {"documents": [self.document(self.id()) for _ in range(3)],
                                   "ordered": self.chance(0.5)},
            "updateOne": self.change,
            "updateMany": lambda: {"filter": self.filter(), "update": self.update()},
            "replaceOne": lambda: {"filter": {"_id": self.id()}, "replacement": self.replacement(),
                                   "upsert": self.chance(0.3)},
            "deleteOne": lambda: {"filter": {"_id": self.id()}},
            "bulkWrite": lambda: {"requests": [self.request() for _ in range(4)],
                                  "ordered": self.chance(0.5)},
        }
        reads = {
            "find": self.find,
            "aggregate": lambda: {"pipeline": self.pipeline()},
            "countDocuments": lambda: {"filter": self.filter(),
                                       **({"limit": 3} if self.chance(0.3) else {}),
                                       **({"skip": 2} if self.chance(0.3) else {})},
            "distinct": lambda: {"fieldName": self.random.choice(["a", "b", "o.x", "l", "d.k", "t"]),
                                 "filter": self.filter()},
            "estimatedDocumentCount": dict,
        }
        kind = self.random.random()
        if kind < 0.12:
            return self.modify()
        if kind < 0.15:
            return self.index()
        if kind < 0.17:
            return {"name": "dropIndexes", "arguments": {}}
        table = writes if kind < 0.5 else reads
        name = self.random.choice(list(table))
        return {"name": name, "arguments": table[name]()}

    def first(self):
        return {"name": "insertMany", "arguments": {"documents": [self.document(i) for i in range(8)]}}


EVERYTHING = {"name": "find", "arguments": {"filter": {}, "sort": {"_id": 1}}}
# What random commands make of documents now and then.
ODD = {"name": "insertMany", "arguments": {"documents": [
    {"_id": 12, "a": 0, "b": 0, "o": {"x": 0}, "l": [0, 0, 0], "d": [], "t": "odd"},
    {"_id": 13, "a": 0, "b": 0, "o": {"x": 0}, "l": [1, 2, 3], "d": [{"v": 1}, {"k": 1}], "t": "even"}]}}
TEXTS = {"name": "find", "arguments": {"filter": {"t": {"$regex": "e"}}, "sort": {"_id": 1}}}
NOTHING = [{"name": "dropIndexes", "arguments": {}},
           {"name": "deleteMany", "arguments": {"filter": {}}}]


def words_of(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            # Of a path only the operators in it.
            yield name
            yield from (part for part in name.split(".")[1:] if part.startswith("$"))
            yield from words_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from words_of(inner)
    elif isinstance(value, str):
        yield value


def words(command):
    return set(words_of(command))


class Known:
    """What a server gets wrong."""

    def __init__(self, server):
        path = LISTS / server
        lines = path.read_text().splitlines() if path.exists() else []
        heads = [line.partition(" -- ")[0].split() for line in lines
                 if line and not line.startswith("#")]
        self.counts = [set(head[1:]) for head in heads if head[0] == "counts"]
        self.again = [set(head[1:]) for head in heads if head[0] == "again"]
        self.wrong = [set(head) for head in heads if head[0] not in ("counts", "again")]

    def sent(self, command):
        return not any(line <= words(command) for line in self.wrong)

    def counted(self, command):
        return not any(line <= words(command) for line in self.counts)

    def stays(self, command):
        return any(line <= words(command) for line in self.again)


def start(uri):
    return Runtime({"crud": PLUGINS / "crud"}, uri, app=f"app-{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="module")
def both(store):
    with start(None) as embedded, start(store) as server:
        yield embedded, server


def seeds():
    first = int(os.environ.get("MOZAIKS_TEST_SEED", "1"))
    return range(first, first + int(os.environ.get("MOZAIKS_TEST_SEEDS", ROUNDS)))


def plain(text, command, counted=True):
    """An answer without what servers are free in: the order of fields, of values without one, which of two
    violated keys is named, and whether its value is."""
    text = re.sub("with this (_id|key in the unique index [^ ]+) already", "already", text)
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict):
        for error in value.get("errors", []):
            error.pop("keyPattern", None)
            error.pop("keyValue", None)
    if not counted and isinstance(value, dict):
        for counts in (value, value.get("result", {})):
            counts.pop("modifiedCount", None)
    if command["name"] == "distinct" and isinstance(value, list):
        value.sort(key=lambda v: json.dumps(v, sort_keys=True))
    return json.dumps(value, sort_keys=True)


def same(ours, theirs, command, counted=True):
    if command["name"] == "aggregate" and theirs == "InvalidArgument: the database refused the operation":
        # What a pipeline met that it cannot calculate with, only the server knows.
        return ours.startswith("InvalidArgument: ")
    return plain(ours, command, counted) == plain(theirs, command, counted)


def is_refusal(answer):
    """Not JSON: the name of an error and its words."""
    return re.match(r"[A-Z][A-Za-z]+: ", answer) is not None


def run(both, commands, collection):
    data = {"each": json.dumps(commands), "collection": collection}
    answers = [r.execute("crud", data, user="alice") for r in both]
    assert [a.status for a in answers] == [200, 200], (collection, answers)
    return zip(*(a.json for a in answers))


def server_of(request):
    return request.node.callspec.params["store"]


# What a change of many documents that fails half way is on a server without transactions (driver.h).
HALF_WAY = "UnknownOutcome: some documents may have been changed before this: "


def compare(known, seed, commands, answers):
    spoilt = False
    for i, (ours, theirs) in enumerate(answers):
        command = commands[i]
        if theirs.startswith(HALF_WAY):
            assert theirs.removeprefix(HALF_WAY) in ours, f"seed {seed}, command {i}: {command}"
            return
        if spoilt and known.stays(command):
            return
        assert same(ours, theirs, command, known.counted(command)), \
            f"seed {seed}, command {i}: {command}\nembedded: {ours}\nserver: {theirs}"
        spoilt = spoilt or (known.stays(command) and is_refusal(ours))


def test_random_commands(both, request):
    known = Known(server_of(request))
    for seed in seeds():
        source = Commands(seed)
        some = [source.one() for _ in range(COMMANDS)]
        commands = [source.first(), *filter(known.sent, some), EVERYTHING]
        compare(known, seed, commands, run(both, commands, f"c{seed}"))


def probes(line, others, seed):
    """Commands with all words of a line and with no other mistake."""
    source, found = Commands(seed), []
    for _ in range(DRAWS):
        command = source.one()
        if line <= words(command) and not any(o <= words(command) for o in others):
            found.append(command)
            if len(found) == PROBES:
                break
    return found


def differs(both, line, others, counted, seed, times=1):
    source, commands = Commands(seed), []
    for command in probes(line, others, seed):
        commands += [*NOTHING, source.first(), ODD, *[command] * times, EVERYTHING, TEXTS]
    answers = list(run(both, commands, "probe"))
    return any(not same(ours, theirs, commands[i], counted)
               for i, (ours, theirs) in enumerate(answers))


def test_what_is_listed_is_wrong(both, request):
    known = Known(server_of(request))
    right = []
    for line in known.wrong:
        others = [o for o in known.wrong if o != line and not o <= line]
        if not any(differs(both, line, others, False, seed) for seed in range(PROBE_SEEDS)):
            right.append(line)
    for line in known.counts:
        if not any(differs(both, line, known.wrong, True, seed) for seed in range(PROBE_SEEDS)):
            right.append(line)
    for line in known.again:
        if not any(differs(both, line, known.wrong, True, seed, 2) for seed in range(PROBE_SEEDS)):
            right.append(line)
    assert not right, f"listed as wrong, but right: {right}"
