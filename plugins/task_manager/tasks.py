"""What a task is: its fields and their limits, and how tasks are stored and found."""

import re
from datetime import date, datetime, timezone
from typing import Any, Dict, Tuple

from bson import ObjectId
from bson.errors import InvalidId

from core.config.database import db

Data = Dict[str, Any]

collection = db["tasks"]

STATUSES = ("open", "in_progress", "completed")
PRIORITIES = ("low", "normal", "high")
TITLE_MAX = 200
DESCRIPTION_MAX = 5000
LIMIT_DEFAULT = 50
LIMIT_MAX = 100

# Names a client may sort by -> the field that has the order.
SORT_FIELDS = {
    "created_at": "created_at",
    "updated_at": "updated_at",
    "due": "due",
    "title": "title",
    "status": "status",
    "priority": "rank",
}


class Invalid(Exception):
    """A field that is missing or wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NotFound(Exception):
    """The caller has no such task."""


def _text(data: Data, field: str, longest: int, required: bool) -> str:
    value = data.get(field, "")
    if not isinstance(value, str):
        raise Invalid(field, f"{field} must be text")
    value = value.strip()
    if required and not value:
        raise Invalid(field, f"{field} is required")
    if len(value) > longest:
        raise Invalid(field, f"{field} has more than {longest} characters")
    return value


def _choice(data: Data, field: str, choices: Tuple[str, ...]) -> str:
    value = data.get(field)
    if value not in choices:
        raise Invalid(field, f"{field} must be one of {', '.join(choices)}")
    return str(value)


def _due(data: Data) -> Any:
    value = data.get("due")
    if value is None:
        return None
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise Invalid("due", "due must be a date such as 2026-11-21, or null") from None


def _number(data: Data, field: str, default: int, largest: int) -> int:
    value = data.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Invalid(field, f"{field} must be a number that is not negative")
    return min(value, largest)


def _now() -> datetime:
    """To the millisecond, which is what the database keeps."""
    now = datetime.now(timezone.utc)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def task_id(data: Data) -> ObjectId:
    """The task that a request names, by ``task_id`` (or ``item_id``)."""
    value = data.get("task_id", data.get("item_id"))
    if not value:
        raise Invalid("task_id", "task_id is required")
    try:
        return ObjectId(value)
    except (InvalidId, TypeError):
        raise Invalid("task_id", "task_id is not the id of a task") from None


def _fields(data: Data) -> Data:
    """The fields that a request sets, checked."""
    fields: Data = {}
    if "title" in data:
        fields["title"] = _text(data, "title", TITLE_MAX, True)
    if "description" in data:
        fields["description"] = _text(data, "description", DESCRIPTION_MAX, False)
    if "status" in data:
        fields["status"] = _choice(data, "status", STATUSES)
        done = fields["status"] == "completed"
        fields["completed_at"] = _now() if done else None
    if "priority" in data:
        fields["priority"] = _choice(data, "priority", PRIORITIES)
        # Text would sort high before low.
        fields["rank"] = PRIORITIES.index(fields["priority"])
    if "due" in data:
        fields["due"] = _due(data)
    return fields


def _shown(document: Data) -> Data:
    """A task as clients see it."""
    task = {"id": str(document["_id"])}
    for field in ("title", "description", "status", "priority", "due"):
        task[field] = document.get(field)
    for field in ("created_at", "updated_at", "completed_at"):
        value = document.get(field)
        task[field] = None if value is None else value.replace(tzinfo=timezone.utc).isoformat()
    return task


def check_settings(settings: Any, known: Data) -> Data:
    """The user's settings: only known names, with values of the right kind."""
    if not isinstance(settings, dict):
        raise Invalid("settings", "settings must be an object")
    for name, value in settings.items():
        if name not in known:
            raise Invalid(name, f"there is no setting {name}")
        if type(value) is not type(known[name]):
            raise Invalid(name, f"{name} must be like {known[name]!r}")
    if "default_priority" in settings:
        _choice({"default_priority": settings["default_priority"]}, "default_priority", PRIORITIES)
    return settings


async def create(data: Data, default_priority: str) -> Data:
    """Stores a new task."""
    now = _now()
    defaults = {"title": "", "description": "", "status": "open", "priority": default_priority}
    asked = {name: value for name, value in data.items() if value is not None}
    document = {
        **_fields({**defaults, "due": None, **asked}),
        "created_at": now,
        "updated_at": now,
    }
    await collection.insert_one(document)
    return _shown(document)


async def get(task: ObjectId) -> Data:
    """One task."""
    document = await collection.find_one({"_id": task})
    if document is None:
        raise NotFound
    return _shown(document)


async def update(task: ObjectId, data: Data) -> Tuple[str, Data]:
    """Changes the fields that are given. Returns the status it had, and the task as it is now."""
    fields = _fields(data)
    if not fields:
        raise Invalid("title", "No fields to update")
    now = _now()
    if fields.get("status") == "completed":
        # Completing it again does not change when it was completed.
        kept = await collection.find_one({"_id": task, "status": "completed"})
        if kept is not None:
            fields["completed_at"] = kept.get("completed_at") or now
    before = await collection.find_one_and_update(
        {"_id": task}, {"$set": {**fields, "updated_at": now}}
    )
    if before is None:
        raise NotFound
    return before["status"], _shown({**before, **fields, "updated_at": now})


async def delete(task: ObjectId) -> Data:
    """Deletes a task and returns it."""
    document = await collection.find_one_and_delete({"_id": task})
    if document is None:
        raise NotFound
    return _shown(document)


def _filter(data: Data) -> Data:
    chosen: Data = {}
    if data.get("status") is not None:
        chosen["status"] = _choice(data, "status", STATUSES)
    if data.get("priority") is not None:
        chosen["priority"] = _choice(data, "priority", PRIORITIES)
    if data.get("due_before") is not None:
        chosen["due"] = {"$ne": None, "$lt": _due({"due": data["due_before"]})}
    text = _text(data, "search", TITLE_MAX, False)
    if text:
        chosen["title"] = {"$regex": re.escape(text), "$options": "i"}
    return chosen


def _sort(data: Data) -> Tuple[str, int]:
    """``"due"``, or ``"-due"`` for the other direction. The newest first when nothing is said."""
    name = data.get("sort") or "-created_at"
    if not isinstance(name, str) or name.lstrip("-") not in SORT_FIELDS:
        raise Invalid("sort", f"sort must be one of {', '.join(SORT_FIELDS)}, with - to reverse")
    return SORT_FIELDS[name.lstrip("-")], -1 if name.startswith("-") else 1


async def find(data: Data) -> Data:
    """A page of the tasks that match."""
    chosen = _filter(data)
    field, direction = _sort(data)
    skip = _number(data, "skip", 0, 10_000)
    limit = _number(data, "limit", LIMIT_DEFAULT, LIMIT_MAX)
    order = [(field, direction), ("_id", direction)]
    found = await collection.find(chosen).sort(order).skip(skip).limit(limit).to_list(limit)
    total = await collection.count_documents(chosen)
    return {
        "items": [_shown(document) for document in found],
        "count": len(found),
        "total": total,
        "skip": skip,
        "limit": limit,
    }
