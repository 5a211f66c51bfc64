"""The same notes as plugins/notes, through sqlite3 in the process that serves them: what one would write
without a runtime. Every insert is committed, and so on the disk, before it is answered."""
import json
import os
import sqlite3
import uuid

NOTES = 50

database = sqlite3.connect(os.path.join(os.environ["BENCH_STATE"], "peer.db"))
database.executescript("""
    PRAGMA journal_mode=WAL;
    PRAGMA synchronous=FULL;
    CREATE TABLE IF NOT EXISTS notes (rid INTEGER PRIMARY KEY, user TEXT, id TEXT UNIQUE, doc TEXT);
    CREATE INDEX IF NOT EXISTS notes_user ON notes (user);
    CREATE TABLE IF NOT EXISTS log (rid INTEGER PRIMARY KEY, user TEXT, id TEXT UNIQUE, doc TEXT);
    CREATE INDEX IF NOT EXISTS log_user ON log (user);
""")


def add(table, user, n):
    identity = uuid.uuid4().hex[:24]
    note = {"_id": identity, "n": n, "done": False, "title": f"note {n}", "text": "x" * 200,
            "user_id": user}
    database.execute(f"INSERT INTO {table} (user, id, doc) VALUES (?, ?, ?)",
                     (user, identity, json.dumps(note)))


async def execute(data):
    user = data["user_id"]
    if data["action"] == "find":
        rows = database.execute("SELECT doc FROM notes WHERE user = ? ORDER BY rid LIMIT ?",
                                (user, NOTES))
        return {"notes": [json.loads(doc) for doc, in rows]}
    if data["action"] == "insert":
        add("log", user, 0)
        database.commit()
        return {"inserted": 1}
    if not database.execute("SELECT 1 FROM notes WHERE user = ? LIMIT 1", (user,)).fetchall():
        for n in range(NOTES):
            add("notes", user, n)
        database.commit()
    return {"seeded": NOTES}
