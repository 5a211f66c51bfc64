"""core.config.database: which commands motor's methods become, and what they return."""

import struct

import bson
import pytest
from bson import ObjectId

import fake_director as fd

HEAD = """
import datetime
from bson import ObjectId
from core.config.database import db
import pymongo
"""


def plugin(body):
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    return f"{HEAD}\nasync def execute(data):\n    user_id = data['user_id']\n{lines}\n"


def finds(documents, batch=500):
    """A handler for find and next: all documents, in batches."""
    left = {}

    def find(request):
        command = request.bson()
        chosen = documents[command.get("skip", 0) :]
        if command.get("limit"):
            chosen = chosen[: command["limit"]]
        return reply(chosen)

    def reply(chosen):
        number = 0
        if len(chosen) > batch:
            number = len(left) + 1
            left[number] = chosen[batch:]
        return fd.cursor_reply(chosen[:batch], number)

    def following(request):
        return reply(left.pop(request.bson()["cursor"]))

    return find, following


def test_find_in_every_form(start):
    worker = start(plugin("""
items = db["items"]
await items.find().to_list(None)
await items.find({"a": {"$gt": 1}}, {"a": 1}).sort("a", -1).skip(2).limit(3).to_list(10)
await items.find({}, ["a", "b"]).sort([("a", 1), ("b", -1)]).to_list(length=5)
await db.other.find(filter={"_id": ObjectId("a" * 24)}, limit=7, sort={"z": 1}).to_list()
await db["x"]["y"].find(projection=[]).sort("n").to_list(1)
await items.find_one({"_id": ObjectId("b" * 24), "user_id": user_id})
await items.find_one(ObjectId("c" * 24), sort=[("n", pymongo.DESCENDING)])
await items.find_one()
return repr(items)
"""))
    worker.capabilities[fd.FIND] = lambda r: fd.cursor_reply([])
    assert worker.call().value == "Collection('items')"
    assert [r.bson() for r in worker.requests] == [
        {"collection": "items"},
        {
            "collection": "items",
            "filter": {"a": {"$gt": 1}},
            "projection": {"a": 1},
            "sort": {"a": -1},
            "skip": 2,
            "limit": 3,
        },
        {
            "collection": "items",
            "filter": {},
            "projection": {"a": 1, "b": 1},
            "sort": {"a": 1, "b": -1},
            "limit": 5,
        },
        {
            "collection": "other",
            "filter": {"_id": ObjectId("a" * 24)},
            "limit": 7,
            "sort": {"z": 1},
        },
        {"collection": "x.y", "projection": {"_id": 1}, "sort": {"n": 1}, "limit": 1},
        {
            "collection": "items",
            "filter": {"_id": ObjectId("b" * 24), "user_id": "user_1"},
            "limit": 1,
        },
        {
            "collection": "items",
            "filter": {"_id": ObjectId("c" * 24)},
            "sort": {"n": -1},
            "limit": 1,
        },
        {"collection": "items", "limit": 1},
    ]
    # The order of sort matters.
    assert list(worker.requests[2].bson()["sort"]) == ["a", "b"]


def test_reading_in_batches(start):
    worker = start(plugin("""
items = db["items"]
out = []
out.append(len(await items.find().to_list(None)))
out.append([d["n"] async for d in items.find({})][-1])
cursor = items.find()
out.append([len(await cursor.to_list(500)), len(await cursor.to_list(700)), len(await cursor.to_list(9999)),
            len(await cursor.to_list(1))])
cursor = items.find().limit(12)
first = await cursor.to_list(5)
out.append([d["n"] for d in first + await cursor.to_list(5) + await cursor.to_list(5) + await cursor.to_list(5)])
cursor = items.find().skip(1).limit(3)
out.append([(await cursor.next())["n"], [d["n"] async for d in cursor]])
cursor = items.find()
await cursor.to_list(3)
out.append((await cursor.next())["n"])
out.append(await items.find().to_list(0))
cursor = items.find()
await cursor.next()
await cursor.close()
out.append([d async for d in cursor])
again = items.find().limit(2)
out.append([len(await again.to_list(None)), len(await again.to_list(None)), len(await again.clone().to_list(None)),
            len(await again.rewind().to_list(None))])
return out
"""))
    documents = [{"n": n} for n in range(1300)]
    worker.capabilities[fd.FIND], worker.capabilities[fd.NEXT] = finds(documents)
    worker.capabilities[fd.CLOSE] = lambda r: bson.encode({})
    out = worker.call().value
    assert out[0] == 1300 and out[1] == 1299
    assert out[2] == [500, 700, 100, 0]
    assert out[3] == list(range(12))
    assert out[4] == [1, [2, 3]]
    assert out[5] == 3
    assert out[6] == [] and out[7] == []
    assert out[8] == [2, 0, 2, 2]
    closed = [r for r in worker.requests if r.capability == fd.CLOSE]
    assert len(closed) == 1


def test_insert(start):
    worker = start(plugin("""
document = {"title": "t", "at": datetime.datetime(2026, 1, 2)}
result = await db["items"].insert_one(document)
same = result.inserted_id == document["_id"]
named = await db.items.insert_one({"_id": "mine"})
many = [{"n": 1}, {"_id": 5}]
inserted = await db.items.insert_many(many, ordered=False)
return [same, isinstance(result.inserted_id, ObjectId), result.acknowledged, named.inserted_id,
        inserted.inserted_ids == [many[0]["_id"], 5], str(result.inserted_id)]
"""))

    def insert(request):
        command = request.bson()
        ids = [d["_id"] for d in command["documents"]]
        return bson.encode({"inserted": len(ids), "ids": ids, "errors": []})

    worker.capabilities[fd.INSERT] = insert
    value = worker.call().value
    assert value[:5] == [True, True, True, "mine", True]
    first, _, third = (r.bson() for r in worker.requests)
    assert first["collection"] == "items" and first["ordered"] is True
    assert str(first["documents"][0]["_id"]) == value[5]
    assert first["documents"][0]["title"] == "t"
    assert third["ordered"] is False and len(third["documents"]) == 2


def test_insert_errors(start):
    worker = start(plugin("""
from pymongo.errors import BulkWriteError, DuplicateKeyError
out = []
try:
    await db.items.insert_one({"_id": 1})
except DuplicateKeyError as error:
    out.append(str(error))
try:
    await db.items.insert_many([{"_id": 1}, {"_id": 2}, {"_id": 3}], ordered=data["ordered"])
except BulkWriteError as error:
    write = error.details["writeErrors"][0]
    out.append([error.code, error.details["nInserted"], write["index"], write["code"], write["errmsg"],
                write["op"]["_id"]])
for bad in (None, [], "text", {"a": {1}}):
    try:
        await db.items.insert_one(bad)
    except (TypeError, ValueError) as error:
        out.append(type(error).__name__)
    except Exception as error:
        out.append(str(error))
try:
    await db.items.insert_many([])
except TypeError as error:
    out.append(str(error))
return out
"""))

    def insert(request):
        documents = request.bson()["documents"]
        index = len(documents) - 2 if len(documents) > 1 else 0
        error = {"index": index, "code": "duplicate_key", "message": "_id is taken"}
        return bson.encode({"inserted": 0, "ids": [], "errors": [error]})

    worker.capabilities[fd.INSERT] = insert
    for ordered, inserted in ((True, 1), (False, 2)):
        assert worker.call(ordered=ordered).value == [
            "_id is taken",
            [65, inserted, 1, 11000, "_id is taken", 2],
            "TypeError",
            "TypeError",
            "TypeError",
            "argument.documents[0].a: cannot be stored: a value of type set",
            "documents must be a non-empty list",
        ]


def test_insert_many_in_several_messages(start):
    worker = start(plugin("""
documents = [{"_id": n, "pad": "x" * 10_000} for n in range(300)]
result = await db.items.insert_many(documents)
try:
    await db.items.insert_one({"pad": "x" * 2_000_000})
except Exception as error:
    from pymongo.errors import DocumentTooLarge
    return [len(result.inserted_ids), isinstance(error, DocumentTooLarge), str(error)]
"""))
    worker.capabilities[fd.INSERT] = lambda r: bson.encode({"inserted": 1, "ids": [], "errors": []})
    count, is_too_large, text = worker.call().value
    assert count == 300 and is_too_large and "1 MiB" in text
    sent = [d["_id"] for r in worker.requests for d in r.bson()["documents"]]
    assert sent == list(range(300))


def test_update_and_delete(start):
    worker = start(plugin("""
items = db.items
one = await items.update_one({"_id": 1}, {"$set": {"a": 2}})
many = await items.update_many({"b": 1}, {"$inc": {"n": 1}, "$unset": {"c": ""}}, upsert=True)
replaced = await items.replace_one({"_id": 2}, {"x": 1}, True)
gone = await items.delete_one({"_id": 3})
all_gone = await items.delete_many({})
return [[r.matched_count, r.modified_count, r.upserted_id, r.acknowledged] for r in (one, many, replaced)] + [
    gone.deleted_count, all_gone.deleted_count]
"""))
    upserted = ObjectId("d" * 24)

    def update(request):
        command = request.bson()
        result = {
            "matched": 0 if command["upsert"] else 1,
            "modified": 0 if command["upsert"] else 1,
        }
        if command["upsert"]:
            result["upserted"] = upserted
        return bson.encode(result)

    worker.capabilities[fd.UPDATE] = update
    worker.capabilities[fd.DELETE] = lambda r: bson.encode(
        {"deleted": 4 if r.bson()["multi"] else 1}
    )
    assert worker.call().value == [
        [1, 1, None, True],
        [0, 0, "d" * 24, True],
        [0, 0, "d" * 24, True],
        1,
        4,
    ]
    assert [r.bson() for r in worker.requests] == [
        {
            "collection": "items",
            "filter": {"_id": 1},
            "update": {"$set": {"a": 2}},
            "multi": False,
            "upsert": False,
        },
        {
            "collection": "items",
            "filter": {"b": 1},
            "update": {"$inc": {"n": 1}, "$unset": {"c": ""}},
            "multi": True,
            "upsert": True,
        },
        {
            "collection": "items",
            "filter": {"_id": 2},
            "update": {"x": 1},
            "multi": False,
            "upsert": True,
        },
        {"collection": "items", "filter": {"_id": 3}, "multi": False},
        {"collection": "items", "filter": {}, "multi": True},
    ]


def test_count_distinct_and_modify(start):
    worker = start(plugin("""
items = db.items
out = [await items.count_documents({"a": 1}), await items.count_documents({}, limit=5, skip=1),
       await items.estimated_document_count(), await items.distinct("tag", {"a": 1})]
out.append(await items.find_one_and_update({"a": 1}, {"$set": {"b": 2}}, sort=[("n", -1)], upsert=True,
           return_document=pymongo.ReturnDocument.AFTER, projection={"b": 1}))
out.append(await items.find_one_and_replace({"a": 1}, {"b": 2}))
out.append(await items.find_one_and_delete({"a": 1}, sort=[("n", 1)]))
return out
"""))
    worker.capabilities[fd.COUNT] = lambda r: bson.encode({"n": 3})
    worker.capabilities[fd.DISTINCT] = lambda r: bson.encode({"values": ["x", 1, None]})
    worker.capabilities[fd.MODIFY] = lambda r: bson.encode(
        {"value": None if "remove" in r.bson() else {"b": 2}}
    )
    assert worker.call().value == [3, 3, 3, ["x", 1, None], {"b": 2}, {"b": 2}, None]
    modify = [r.bson() for r in worker.requests if r.capability == fd.MODIFY]
    assert modify == [
        {
            "collection": "items",
            "filter": {"a": 1},
            "update": {"$set": {"b": 2}},
            "upsert": True,
            "new": True,
            "projection": {"b": 1},
            "sort": {"n": -1},
        },
        {
            "collection": "items",
            "filter": {"a": 1},
            "update": {"b": 2},
            "upsert": False,
            "new": False,
        },
        {"collection": "items", "filter": {"a": 1}, "remove": True, "sort": {"n": 1}},
    ]
    assert worker.requests[1].bson() == {"collection": "items", "filter": {}, "skip": 1, "limit": 5}


def test_documents_keep_their_types(start):
    worker = start(plugin("""
document = await db.items.find_one({})
return {k: [type(v).__name__, str(v)] for k, v in document.items()}
"""))
    import datetime

    from bson import Decimal128, Int64

    worker.capabilities[fd.FIND] = lambda r: fd.cursor_reply(
        [
            {
                "_id": ObjectId("e" * 24),
                "at": datetime.datetime(2026, 1, 2, 3, 4, 5, 6000),
                "i": 1,
                "l": Int64(1),
                "f": 1.5,
                "d": Decimal128("2.50"),
                "b": b"x",
                "n": None,
                "a": [1],
            }
        ]
    )
    assert worker.call().value == {
        "_id": ["ObjectId", "e" * 24],
        "at": ["datetime", "2026-01-02 03:04:05.006000"],
        "i": ["int", "1"],
        "l": ["Int64", "1"],
        "f": ["float", "1.5"],
        "d": ["Decimal128", "2.50"],
        "b": ["bytes", "b'x'"],
        "n": ["NoneType", "None"],
        "a": ["list", "[1]"],
    }


@pytest.mark.parametrize(
    "code, error, part",
    [
        ("db.items.aggregate({})", "TypeError", "pipeline must be a list"),
        ("db.items.aggregate([1])", "TypeError", "each stage of a pipeline must be a mapping"),
        ("db.items.aggregate([], let={'a': 1})", "Unsupported", "let"),
        ("await db.items.bulk_write([])", "TypeError", "non-empty list"),
        (
            "await db.items.bulk_write([pymongo.InsertOne({}), pymongo.UpdateOne({}, {'a': 1})])",
            "ValueError",
            "$ operators",
        ),
        ("await db.items.bulk_write([{}])", "TypeError", "is no write such as UpdateOne"),
        ("await db.items.create_index('a', weights={'a': 1})", "Unsupported", "weights"),
        ("await db.items.create_index([])", "ValueError", "at least one name"),
        ("await db.items.create_indexes(['a'])", "TypeError", "is no IndexModel"),
        ("await db.items.drop()", "Unsupported", "delete_many"),
        ("db.items.map_reduce()", "Unsupported", "map_reduce()"),
        ("db.items.find().explain", None, ""),
        ("await db.command('x')", "Unsupported", "command()"),
        ("await db.items.update_one({}, {'a': 1})", "ValueError", "$ operators"),
        ("await db.items.update_one({}, {})", "ValueError", "$ operators"),
        ("await db.items.update_one({}, [{'$set': {}}])", "Unsupported", "pipeline"),
        ("await db.items.replace_one({}, {'$set': {}})", "ValueError", "$ operators"),
        (
            "await db.items.update_one({}, {'$set': {'a': 1}}, array_filters=[1])",
            "TypeError",
            "each of array_filters must be a mapping",
        ),
        ("db.items.find({}, collation={'locale': 'de'})", "Unsupported", "collation"),
        ("db.items.find({}, hint='a_1')", "Unsupported", "the runtime chooses the index"),
        ("db.items.find().hint([('a', 1)])", "Unsupported", "the runtime chooses the index"),
        ("db.items.find().collation({'locale': 'de'})", "Unsupported", "collation"),
        ("await db.items.delete_one({}, session=object())", "Unsupported", "transactions"),
        ("await db.items.update_one({}, {'$set': {'a': 1}}, let={'b': 1})", "Unsupported", "let"),
        ("pymongo.UpdateOne({}, {'$set': {'a': 1}}, hint='a_1')", "Unsupported", "UpdateOne"),
        ("pymongo.DeleteMany({}, collation={'locale': 'de'})", "Unsupported", "DeleteMany"),
        ("db.items.find().batch_size(-1)", "ValueError", "batch_size"),
        ("db.items.find().max_time_ms('x')", "TypeError", "max_time_ms"),
        ("db.items[0]", "TypeError", "text"),
        ("for x in db.items: break", "TypeError", "iterable"),
        ("for x in db: break", "TypeError", "iterable"),
        ("'a' in db.items", "TypeError", "container"),
        ("db.items.with_options(session=1)", "Unsupported", "session"),
        ("await db.drop_collection('a')", "Unsupported", "delete_many"),
        ("db.items.find('text')", "TypeError", "filter must be a mapping"),
        ("await db.items.delete_many(None)", "TypeError", "filter must be a mapping"),
        ("await db.items.count_documents(5)", "TypeError", "filter must be a mapping"),
        ("db.items.find().skip(-1)", "ValueError", "skip"),
        ("db.items.find().limit('x')", "TypeError", "limit"),
        ("db.items.find().sort([])", "ValueError", "sort"),
        ("db.items.find({}, 'name')", "TypeError", "projection"),
        ("db[5]", "TypeError", "text"),
        ("db._private", "AttributeError", "db['_private']"),
        ("await db.items.find().to_list(-1)", "ValueError", "length"),
        ("from core.config.database import settings_collection", "ImportError", "settings_manager"),
        ("from core.config.database import nothing", "ImportError", "nothing"),
    ],
)
def test_what_is_refused_here(start, code, error, part):
    worker = start(plugin(f"""
try:
    {code}
except Exception as error:
    return [type(error).__name__, str(error)]
"""))
    value = worker.call().value
    assert worker.requests == []
    if error is None:
        assert value is None
    else:
        assert value[0] == error and part in value[1]


def test_options_after_the_first_read(start):
    worker = start(plugin("""
from pymongo.errors import InvalidOperation
cursor = db.items.find()
await cursor.to_list(1)
try:
    cursor.sort("a")
except InvalidOperation:
    return "refused"
"""))
    worker.capabilities[fd.FIND] = lambda r: fd.cursor_reply([])
    assert worker.call().value == "refused"


def test_broken_replies(start):
    worker = start(plugin("""
try:
    await db.items.find({}).to_list(None)
except Exception as error:
    return [type(error).__name__, str(error)]
"""))
    for reply in (b"", b"\0\0\0\0\x05", b"\0\0\0\0\x06\0\0\0\x06\0"):
        worker.capabilities[fd.FIND] = lambda r, reply=reply: reply
        name, message = worker.call().value
        assert name in ("ValueError", "InvalidBSON")


def test_large_find(start):
    worker = start(plugin("return sum(d['n'] for d in await db.items.find().to_list(None))"))
    documents = [{"n": n, "pad": "x" * 400} for n in range(2000)]
    worker.capabilities[fd.FIND], worker.capabilities[fd.NEXT] = finds(documents)
    assert worker.call().value == sum(range(2000))
    assert struct.calcsize("<I") == 4


def test_aggregate_reads_in_batches(start):
    worker = start(plugin("""
cursor = db.items.aggregate([{"$match": {"a": 1}}, {"$group": {"_id": "$b"}}], allowDiskUse=True)
first = await cursor.to_list(2)
rest = [d async for d in cursor]
return [first, rest, cursor.alive, await db.items.aggregate([]).to_list(None)]
"""))
    find, following = finds([{"_id": i} for i in range(3)], batch=2)
    worker.capabilities[fd.AGGREGATE] = find
    worker.capabilities[fd.NEXT] = following
    everything = [{"_id": i} for i in range(3)]
    assert worker.call().value == [everything[:2], everything[2:], False, everything]
    assert worker.requests[0].bson() == {
        "collection": "items",
        "pipeline": [{"$match": {"a": 1}}, {"$group": {"_id": "$b"}}],
    }


BULK = """
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError
writes = [
    InsertOne({"_id": 1}),
    InsertOne({"_id": 2}),
    UpdateOne({"a": 1}, {"$set": {"b": 1}}, upsert=True),
    UpdateMany({}, {"$inc": {"l.$[x]": 1}}, array_filters=[{"x": 1}]),
    ReplaceOne({"_id": 1}, {"c": 1}),
    DeleteOne({"_id": 2}),
    DeleteMany({}),
]
"""


def bulk(results):
    return lambda r: bson.encode({"results": results})


def test_bulk_write_is_one_command(start):
    worker = start(plugin(BULK + """
result = await db.items.bulk_write(writes)
return [
    result.inserted_count, result.matched_count, result.modified_count, result.deleted_count,
    result.upserted_count, result.upserted_ids[2], result.bulk_api_result["nRemoved"],
]
"""))
    changed = {"matched": 3, "modified": 2}
    worker.capabilities[fd.BULK] = bulk([
        {"i": 2, **changed},
        {"i": 0, "inserted": 2, "errors": []},
        {"i": 1, "matched": 0, "modified": 0, "upserted": 7},
        {"i": 3, **changed},
        {"i": 4, "deleted": 1},
        {"i": 5, "deleted": 1},
    ])
    assert worker.call().value == [2, 6, 4, 2, 1, 7, 2]
    (request,) = worker.requests
    assert request.bson() == {
        "collection": "items",
        "ordered": True,
        "writes": [
            {"insert": {"documents": [{"_id": 1}, {"_id": 2}]}},
            {"update": {"filter": {"a": 1}, "update": {"$set": {"b": 1}}, "multi": False,
                        "upsert": True}},
            {"update": {"filter": {}, "update": {"$inc": {"l.$[x]": 1}}, "multi": True,
                        "upsert": False, "array_filters": [{"x": 1}]}},
            {"update": {"filter": {"_id": 1}, "update": {"c": 1}, "multi": False,
                        "upsert": False}},
            {"delete": {"filter": {"_id": 2}, "multi": False}},
            {"delete": {"filter": {}, "multi": True}},
        ],
    }


def test_bulk_write_of_one_kind_is_its_command(start):
    """Inserts that stand together are one insert; a list of one write is that write."""
    worker = start(plugin(BULK + """
await db.items.bulk_write(writes[:2])
await db.items.bulk_write([writes[5]], ordered=False)
"""))
    worker.capabilities[fd.INSERT] = lambda r: bson.encode({"inserted": 2, "errors": []})
    worker.capabilities[fd.DELETE] = lambda r: bson.encode({"deleted": 1})
    worker.call()
    assert [r.capability for r in worker.requests] == [fd.INSERT, fd.DELETE]
    assert worker.requests[0].bson()["documents"] == [{"_id": 1}, {"_id": 2}]


def test_bulk_write_without_an_order_inserts_first(start):
    """In one change, wherever they stand; what is refused is named by its place in the list."""
    worker = start(plugin(BULK + """
mixed = [writes[2], writes[0], writes[5], writes[1], InsertOne({"_id": 3})]
try:
    await db.items.bulk_write(mixed, ordered=False)
except BulkWriteError as error:
    d = error.details
    return [[[e["index"], e["code"], e["op"] == {"_id": 2}] for e in d["writeErrors"]],
            d["nInserted"], d["nMatched"]]
"""))
    refused = {"index": 1, "code": "duplicate_key", "message": "_id"}
    worker.capabilities[fd.BULK] = bulk([
        {"i": 0, "inserted": 2, "errors": [refused]},
        {"i": 1, "matched": 1, "modified": 1},
        {"i": 2, "deleted": 1},
    ])
    assert worker.call().value == [[[3, 11000, True]], 2, 1]
    (request,) = worker.requests
    assert request.bson()["ordered"] is False
    assert [list(w) for w in request.bson()["writes"]] == [["insert"], ["update"], ["delete"]]
    assert request.bson()["writes"][0]["insert"]["documents"] == [{"_id": i} for i in (1, 2, 3)]


@pytest.mark.parametrize("whole", [True, False])
def test_bulk_write_does_not_send_again_what_is_unknown(start, whole):
    worker = start(plugin(BULK + """
try:
    await db.items.bulk_write(writes, ordered=False)
except Exception as error:
    return type(error).__name__
"""))

    def lose(request):
        if whole:
            raise fd.Refusal(code="unknown_outcome", message="no")
        return bson.encode({"results": [{"i": 0, "code": "unknown_outcome", "message": "no"}]})

    worker.capabilities[fd.BULK] = lose
    assert worker.call().value == "UnknownOutcome"
    assert [r.capability for r in worker.requests] == [fd.BULK]


@pytest.mark.parametrize("ordered", [True, False])
def test_bulk_write_says_which_failed(start, ordered):
    worker = start(plugin(BULK + f"""
try:
    await db.items.bulk_write(writes, ordered={ordered})
except BulkWriteError as error:
    d = error.details
    return [[[e["index"], e["code"]] for e in d["writeErrors"]], d["nInserted"], d["nRemoved"]]
"""))
    no = {"code": "invalid_argument", "message": "no"}
    results = [
        {"i": 0, "inserted": 1, "errors": [{"index": 1, "code": "duplicate_key", "message": "_id"}]},
        *({"i": i, **no} for i in (1, 2, 3)),
        {"i": 4, "deleted": 1},
        {"i": 5, "deleted": 1},
    ]
    worker.capabilities[fd.BULK] = bulk(results[:1] if ordered else results)
    expected = [[[1, 11000]], 1, 0]
    if not ordered:
        expected = [[[1, 11000], [2, 2], [3, 2], [4, 2]], 1, 2]
    assert worker.call().value == expected


def test_bulk_write_halves_what_is_refused_as_a_list(start):
    """Such as one that is too long; what is left alone goes by its own command."""
    worker = start(plugin(BULK + """
result = await db.items.bulk_write(writes[2:])
return [result.matched_count, result.deleted_count]
"""))

    def some(request):
        writes = request.bson()["writes"]
        if len(writes) > 2:
            raise fd.Refusal(code="limit_exceeded", message="MOZAIKS_MAX_BULK_WRITES")
        return bson.encode({"results": [
            {"i": i, **({"deleted": 1} if "delete" in w else {"matched": 1, "modified": 1})}
            for i, w in enumerate(writes)
        ]})

    worker.capabilities[fd.BULK] = some
    worker.capabilities[fd.UPDATE] = lambda r: bson.encode({"matched": 1, "modified": 1})
    assert worker.call().value == [3, 2]
    assert [r.capability for r in worker.requests] == [fd.BULK, fd.BULK, fd.BULK, fd.UPDATE, fd.BULK]


def test_bulk_write_tries_inserts_alone_that_were_refused_together(start):
    """One of them is to blame: those before it go in, and without a culprit the list goes on."""
    worker = start(plugin(BULK + """
result = await db.items.bulk_write(writes[:3])
return [result.inserted_count, result.matched_count]
"""))
    lists = [
        [{"i": 0, "code": "limit_exceeded", "message": "no"}],
    ]
    worker.capabilities[fd.BULK] = lambda r: bson.encode({"results": lists.pop()})
    worker.capabilities[fd.INSERT] = lambda r: bson.encode({"inserted": 1, "errors": []})
    worker.capabilities[fd.UPDATE] = lambda r: bson.encode({"matched": 1, "modified": 1})
    assert worker.call().value == [2, 1]
    assert [r.capability for r in worker.requests] == [fd.BULK, fd.INSERT, fd.INSERT, fd.UPDATE]


def test_names_of_collections(start):
    worker = start(plugin("""
names = db.list_collection_names
refused = []
for filter in ({"type": "view"}, {"name": {"$regex": "^a"}}, {"name": 5}, {"name": {"$in": ["a", 5]}}):
    try:
        await names(filter=filter)
    except NotImplementedError as error:
        refused.append(str(error))
return [await names(), await names(filter={}), await names(filter={"name": "a"}),
        await names(filter={"name": {"$in": ["c", "x", "b"]}}), await names(filter={"name": {"$eq": "x"}}),
        await db.all_users.list_collection_names(nameOnly=True), refused]
"""))
    worker.capabilities[fd.COLLECTIONS] = lambda r: bson.encode({"values": ["c", "a", "b"]})
    everything = ["a", "b", "c"]
    assert worker.call().value == [everything, everything, ["a"], ["b", "c"], [], everything, [
        "list_collection_names() filters by 'name' alone, not by 'type'",
        "list_collection_names() knows $eq and $in alone, not '$regex'",
        "list_collection_names() compares names with text, not with 5",
        "list_collection_names() compares names with text, not with 5",
    ]]
    assert all(r.bson() == {} for r in worker.requests)


def test_indexes(start):
    worker = start(plugin("""
items = db.items
names = [
    await items.create_index("a"),
    await items.create_index([("a", 1), ("b.c", pymongo.DESCENDING)], unique=True, background=True),
    await items.create_index("at", name="old", expireAfterSeconds=60, sparse=False),
]
names += await items.create_indexes([pymongo.IndexModel([("d", -1)], sparse=True)])
await items.drop_index("a_1")
await items.drop_index([("d", -1)])
await items.drop_indexes()
return [names, await items.index_information(), [i["name"] async for i in items.list_indexes()]]
"""))
    listed = [{"key": {"_id": 1}, "name": "_id_"}, {"key": {"a": 1}, "name": "x", "unique": True}]
    worker.capabilities[fd.CREATE_INDEX] = lambda r: bson.encode({})
    worker.capabilities[fd.DROP_INDEX] = lambda r: bson.encode({})
    worker.capabilities[fd.INDEXES] = lambda r: fd.cursor_reply(listed)
    assert worker.call().value == [
        ["a_1", "a_1_b.c_-1", "old", "d_-1"],
        {"_id_": {"key": [["_id", 1]]}, "x": {"key": [["a", 1]], "unique": True}},
        ["_id_", "x"],
    ]
    commands = [r.bson() for r in worker.requests]
    assert [c["index"] for c in commands[:4]] == [
        {"key": {"a": 1}, "name": "a_1"},
        {"key": {"a": 1, "b.c": -1}, "name": "a_1_b.c_-1", "unique": True},
        {"key": {"at": 1}, "name": "old", "expireAfterSeconds": 60},
        {"key": {"d": -1}, "name": "d_-1", "sparse": True},
    ]
    assert [c["name"] for c in commands[4:7]] == ["a_1", "d_-1", "*"]


def test_what_code_written_for_motor_does_beside_that(start):
    """Accepted, and nothing of it is sent."""
    worker = start(plugin("""
from pymongo.collection import ReturnDocument
from pymongo.results import UpdateResult
items = db.get_collection("items", read_concern=None)
cursor = items.find({"a": 1}, comment="c", batch_size=5, session=None, hint=None)
cursor = cursor.batch_size(7).max_time_ms(100).comment("c").allow_disk_use(True).hint(None)
async with cursor.sort([("a", pymongo.ASCENDING), ("b", pymongo.DESCENDING)]) as c:
    found = [d async for d in c]
values = await items.find({"a": 1}).sort("b").distinct("b")
result = await items.update_one({"a": 1}, {"$set": {"b": 2}}, sort=[("b", -1)], comment="c")
replaced = await items.replace_one({"a": 1}, {"b": 2}, sort={"b": 1})
await items.bulk_write([pymongo.UpdateOne({}, {"$set": {"c": 1}}, sort={"c": 1})], comment="c")
await (await db.create_collection("made")).find_one({})
return [found, values, isinstance(result, UpdateResult), result.raw_result, replaced.modified_count,
        db.name, items.full_name, items.database == db, items.with_options(write_concern=1) == items,
        ReturnDocument.AFTER, cursor.alive]
"""))
    worker.capabilities[fd.FIND] = lambda r: fd.cursor_reply([{"a": 1}])
    worker.capabilities[fd.DISTINCT] = lambda r: bson.encode({"values": [1, 2]})
    worker.capabilities[fd.UPDATE] = lambda r: bson.encode({"matched": 1, "modified": 1})
    assert worker.call().value == [
        [{"a": 1}], [1, 2], True, {"n": 1, "nModified": 1, "ok": 1.0, "updatedExisting": True}, 1,
        "plugin", "plugin.items", True, True, True, False,
    ]
    sent = [r.bson() for r in worker.requests]
    assert sent[0] == {"collection": "items", "filter": {"a": 1}, "sort": {"a": 1, "b": -1}}
    assert sent[1] == {"collection": "items", "filter": {"a": 1}, "field": "b"}
    assert [c.get("sort") for c in sent[2:5]] == [{"b": -1}, {"b": 1}, {"c": 1}]
    assert sent[5] == {"collection": "made", "filter": {}, "limit": 1}


def test_errors_as_drivers_have_them(start):
    """The word that the runtime says, and the number that code written for motor compares with."""
    worker = start(plugin("""
from pymongo import errors
out = []
for i in range(4):
    try:
        await db.items.insert_one({"_id": i})
    except errors.PyMongoError as error:
        out.append([error.code == data["codes"][i], error.code == data["numbers"][i], error.code != 1,
                    error.code in (data["numbers"][i], 1), f"{error.code}", type(error).__name__,
                    isinstance(error, errors.WriteError), isinstance(error, errors.OperationFailure),
                    error.details, error.has_error_label("x"), error.timeout])
try:
    await db.items.bulk_write([pymongo.InsertOne({"_id": 0})])
except errors.BulkWriteError as error:
    out.append([error.code, error.details["nInserted"], error.details["writeErrors"][0]["keyValue"],
                error.details["writeConcernErrors"]])
return out
"""))
    codes = ["duplicate_key", "invalid_argument", "permission_denied", "limit_exceeded"]
    numbers = [11000, 2, 13, 10334]
    keys = {"keyPattern": {"_id": 1}, "keyValue": {"_id": 0}}

    def insert(request):
        i = request.bson()["documents"][0]["_id"]
        error = {"index": 0, "code": codes[i], "message": "m", **(keys if i == 0 else {})}
        return bson.encode({"inserted": 0, "ids": [], "errors": [error]})

    worker.capabilities[fd.INSERT] = insert
    names = ["DuplicateKey", "InvalidArgument", "PermissionDenied", "LimitExceeded"]
    value = worker.call(codes=codes, numbers=numbers).value
    for i in range(4):
        details = {"code": numbers[i], "errmsg": "m", **(keys if i == 0 else {})}
        assert value[i] == [True, True, True, True, codes[i], names[i], i != 2, True, details, False,
                            False]
    assert value[4] == [65, 0, {"_id": 0}, []]
