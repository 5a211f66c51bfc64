"""Database operations, as they come: {"collection", "op", "args", "kwargs"}.

{"$id": hex} in an argument becomes an ObjectId. A cursor is read to its end. With "all_users" the
operation is one on the documents of all users; with "uncaught" what it raises is not caught.
"""
from bson import ObjectId

from core.config.database import db


def revive(value):
    if isinstance(value, dict):
        if set(value) == {"$id"}:
            return ObjectId(value["$id"])
        return {name: revive(v) for name, v in value.items()}
    if isinstance(value, list):
        return [revive(v) for v in value]
    return value


async def execute(data):
    args = revive(data.get("args", []))
    kwargs = revive(data.get("kwargs", {}))
    try:
        database = db.all_users if data.get("all_users") else db
        method = getattr(database[data["collection"]], data["op"])
        if data["op"] == "find":
            cursor = method(*args, **kwargs)
            for name in ("sort", "skip", "limit"):
                if name in data:
                    cursor = getattr(cursor, name)(data[name])
            return {"documents": await cursor.to_list(None)}
        result = await method(*args, **kwargs)
    except Exception as error:
        if data.get("uncaught"):
            raise
        return {"failed": type(error).__name__, "message": str(error)}
    if data["op"] in ("find_one", "count_documents", "distinct"):
        return {"result": result}
    answer = {}
    for name in ("inserted_id", "inserted_ids", "matched_count", "modified_count", "deleted_count",
                 "upserted_id"):
        if hasattr(result, name):
            answer[name] = getattr(result, name)
    return answer or {"result": result}
