"""A user's notes in the database. It names no user: the scope is the runtime's. The FastAPI peer has a
plugin of its own that asks SQLite for the same (peer_plugins)."""
from core.config.database import db

NOTES = 50


def note(n):
    return {"n": n, "done": False, "title": f"note {n}", "text": "x" * 200}


async def execute(data):
    if data["action"] == "find":
        return {"notes": await db["notes"].find({}).to_list(NOTES)}
    if data["action"] == "insert":
        await db["log"].insert_one(note(0))
        return {"inserted": 1}
    if await db["notes"].count_documents({}) == 0:
        await db["notes"].insert_many([note(n) for n in range(NOTES)])
    return {"seeded": NOTES}
