"""A case of MongoDB's unified CRUD tests, through the surface that plugins have.

{"case": extended JSON of {"initialData", "operations", "outcome", "collections"}} -> {"wrong": [text],
"refused": [text]}: what is not as the case wants it, and what was refused with a reason.

{"each": extended JSON of operations, "collection": name} -> [text]: what each of them answers.
"""
from bson import json_util

import pymongo
from core.config.database import db
from pymongo.errors import BulkWriteError, PyMongoError

MISSING = object()

NAMES = {
    "updateOne": "update_one", "updateMany": "update_many", "replaceOne": "replace_one",
    "deleteOne": "delete_one", "deleteMany": "delete_many", "insertOne": "insert_one",
    "insertMany": "insert_many", "findOne": "find_one", "distinct": "distinct",
    "findOneAndUpdate": "find_one_and_update", "findOneAndReplace": "find_one_and_replace",
    "findOneAndDelete": "find_one_and_delete", "countDocuments": "count_documents",
    "count": "count_documents", "estimatedDocumentCount": "estimated_document_count",
    "bulkWrite": "bulk_write", "createIndex": "create_index", "dropIndexes": "drop_indexes",
}

ARGUMENTS = {
    "arrayFilters": "array_filters", "returnDocument": "return_document", "fieldName": "key",
    "bypassDocumentValidation": "bypass_document_validation", "maxTimeMS": "max_time_ms",
    "allowDiskUse": "allow_disk_use", "batchSize": "batch_size",
}


def without_owner(value):
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if k != "user_id"}
    return value


def write_of(request):
    (name, arguments), = request.items()
    kind = getattr(pymongo, name[0].upper() + name[1:])
    return kind(**{ARGUMENTS.get(k, k): v for k, v in arguments.items()})


def arguments_of(operation):
    arguments = {ARGUMENTS.get(k, k): v for k, v in operation.get("arguments", {}).items()}
    if "return_document" in arguments:
        arguments["return_document"] = arguments["return_document"] == "After"
    if "requests" in arguments:
        arguments["requests"] = [write_of(r) for r in arguments["requests"]]
    if "sort" in arguments:
        arguments["sort"] = list(arguments["sort"].items())
    if isinstance(arguments.get("keys"), dict):
        arguments["keys"] = list(arguments["keys"].items())
    return arguments


def result_of(value):
    """A result object as the cases have it."""
    if isinstance(value, (dict, list, int, float, str, bool, type(None))):
        return value
    names = {"inserted_id": "insertedId", "matched_count": "matchedCount",
             "modified_count": "modifiedCount", "deleted_count": "deletedCount",
             "inserted_count": "insertedCount", "upserted_count": "upsertedCount",
             "upserted_id": "upsertedId"}
    result = {theirs: getattr(value, ours) for ours, theirs in names.items()
              if hasattr(value, ours)}
    if hasattr(value, "upserted_ids"):
        result["upsertedIds"] = {str(k): v for k, v in value.upserted_ids.items()}
    if hasattr(value, "inserted_ids"):
        result["insertedIds"] = {str(i): v for i, v in enumerate(value.inserted_ids)}
    if result.get("upsertedId") is None:
        result.pop("upsertedId", None)
    if "upsertedCount" not in result and "matchedCount" in result:
        result["upsertedCount"] = 1 if "upsertedId" in result else 0
    return result


def matches(expected, got, root=False):
    """As the format of the cases has it: a root document may have more fields."""
    if isinstance(expected, dict):
        special = [k for k in expected if k.startswith("$$")]
        if special == ["$$unsetOrMatches"]:
            return got is MISSING or matches(expected["$$unsetOrMatches"], got)
        if special == ["$$type"]:
            return got is not MISSING
        if not isinstance(got, dict) or (not root and set(got) - set(expected)):
            return False
        return all(matches(v, got.get(k, MISSING)) for k, v in expected.items())
    if isinstance(expected, list):
        return (isinstance(got, list) and len(expected) == len(got)
                and all(matches(e, g, root) for e, g in zip(expected, got)))
    return expected == got


async def call(collection, operation):
    arguments = arguments_of(operation)
    if operation["name"] == "find":
        return await collection.find(**arguments).to_list(None)
    if operation["name"] == "aggregate":
        return await collection.aggregate(**arguments).to_list(None)
    return result_of(await getattr(collection, NAMES[operation["name"]])(**arguments))


def is_the_error(wants, error):
    """What a case says of its error; most say no more than that there is one."""
    details = getattr(error, "details", None) or {}
    if "errorCode" in wants and getattr(error, "code", None) != wants["errorCode"]:
        return False
    if "errorResponse" in wants and not matches(wants["errorResponse"], details, True):
        return False
    return "expectResult" not in wants or not isinstance(error, BulkWriteError) or matches(
        wants["expectResult"], partial_result(error), True)


def partial_result(error):
    details = error.details
    return {"deletedCount": details.get("nRemoved", 0), "matchedCount": details.get("nMatched", 0),
            "insertedCount": details.get("nInserted", 0),
            "modifiedCount": details.get("nModified", 0),
            "upsertedCount": details.get("nUpserted", 0),
            "upsertedIds": {str(u["index"]): u["_id"] for u in details.get("upserted", [])}}


async def run(collection, operation, answer):
    wants = operation.get("expectError")
    try:
        got = await call(collection, operation)
    except (PyMongoError, ValueError, TypeError) as error:
        if wants is None:
            reason = error.details["writeErrors"] if isinstance(error, BulkWriteError) else error
            answer["refused"].append(f"{operation['name']}: {type(error).__name__}: {reason}")
        elif not is_the_error(wants, error):
            answer["wrong"].append(
                f"{operation['name']}: wanted {wants}, got {error!r} {getattr(error, 'details', None)}")
        return
    if wants is not None:
        answer["wrong"].append(f"{operation['name']}: no error")
        return
    if isinstance(got, list):
        got = [without_owner(d) for d in got]
    got = without_owner(got)
    if "expectResult" in operation and not matches(operation["expectResult"], got, True):
        answer["wrong"].append(
            f"{operation['name']}: wanted {operation['expectResult']}, got {got}")


async def answer_of(collection, operation):
    try:
        return json_util.dumps(await call(collection, operation))
    except BulkWriteError as error:
        errors = [{k: v for k, v in e.items() if k != "op"} for e in error.details["writeErrors"]]
        return json_util.dumps({"result": partial_result(error), "errors": errors})
    except (PyMongoError, ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


async def execute(data):
    if "each" in data:
        collection = db[data["collection"]]
        return [await answer_of(collection, o) for o in json_util.loads(data["each"])]
    case = json_util.loads(data["case"])
    answer = {"wrong": [], "refused": []}
    for initial in case["initialData"]:
        collection = db[initial["collectionName"]]
        await collection.drop_indexes()
        await collection.delete_many({})
        if initial["documents"]:
            await collection.insert_many([dict(d) for d in initial["documents"]])
    for operation in case["operations"]:
        await run(db[case["collections"][operation["object"]]], operation, answer)
    for outcome in case["outcome"]:
        found = await db[outcome["collectionName"]].find({}).sort("_id", 1).to_list(None)
        got = [without_owner(d) for d in found]
        if not matches(outcome["documents"], got):
            answer["wrong"].append(f"outcome: wanted {outcome['documents']}, got {got}")
    return answer
