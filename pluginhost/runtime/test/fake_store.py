"""The database, settings, events and messages behind a fake director, for tests of plugins.

Documents of each user in a list; of MongoDB's language only what the example plugins use, and an
assertion for everything else.
"""

import json
import re
from typing import Any, Callable, Dict, List, Optional, Tuple

import bson

import fake_director as fd

Document = Dict[str, Any]


def _matches_one(value: Any, wanted: Any) -> bool:
    if not (isinstance(wanted, dict) and any(k.startswith("$") for k in wanted)):
        return bool(value == wanted)
    for operator, operand in wanted.items():
        if operator == "$ne":
            ok = value != operand
        elif operator == "$in":
            ok = value in operand
        elif operator == "$lt":
            ok = isinstance(value, type(operand)) and value < operand
        elif operator == "$regex":
            flags = re.I if "i" in wanted.get("$options", "") else 0
            ok = isinstance(value, str) and re.search(operand, value, flags) is not None
        else:
            assert operator == "$options", operator
            ok = True
        if not ok:
            return False
    return True


def matches(document: Document, filter: Document) -> bool:
    return all(_matches_one(document.get(name), wanted) for name, wanted in filter.items())


def _order(value: Any) -> Tuple[int, Any]:
    """None first, as in MongoDB; one kind of value otherwise."""
    return (0, 0) if value is None else (1, value)


class FakeStore:
    """Attach it to a worker; ``user`` is the caller of the calls that follow."""

    def __init__(self, worker: fd.Worker) -> None:
        self.user = "user_1"
        self.documents: Dict[str, Dict[str, List[Document]]] = {}
        self.settings: Dict[str, Any] = {}
        self.events: List[Tuple[str, Any]] = []
        self.messages: List[Any] = []
        self.notifications: List[Any] = []
        handlers: Dict[int, Callable[[fd.Request], bytes]] = {
            fd.FIND: self._find,
            fd.COUNT: self._count,
            fd.INSERT: self._insert,
            fd.UPDATE: self._update,
            fd.DELETE: self._delete,
            fd.MODIFY: self._modify,
            fd.SETTINGS_GET: lambda r: json.dumps(self.settings.get(self.user, {})).encode(),
            fd.SETTINGS_SAVE: self._save_settings,
            fd.PUBLISH: self._publish,
            fd.WEBSOCKET_SEND: self._send,
            fd.NOTIFICATION: self._notify,
        }
        worker.capabilities.update(handlers)

    def _collection(self, command: Document) -> List[Document]:
        return self.documents.setdefault(self.user, {}).setdefault(command["collection"], [])

    def _chosen(self, command: Document) -> List[Document]:
        filter = command.get("filter", {})
        found = [d for d in self._collection(command) if matches(d, filter)]
        for name, direction in reversed(list(command.get("sort", {}).items())):
            found.sort(key=lambda d: _order(d.get(name)), reverse=direction < 0)
        found = found[command.get("skip", 0) :]
        limit = command.get("limit", 0)
        return found[:limit] if limit else found

    def _find(self, request: fd.Request) -> bytes:
        return fd.cursor_reply(self._chosen(request.bson()))

    def _count(self, request: fd.Request) -> bytes:
        return bson.encode({"n": len(self._chosen(request.bson()))})

    def _insert(self, request: fd.Request) -> bytes:
        command = request.bson()
        collection = self._collection(command)
        errors = []
        for index, document in enumerate(command["documents"]):
            if any(d["_id"] == document["_id"] for d in collection):
                errors.append({"index": index, "code": "duplicate_key", "message": "_id"})
            else:
                collection.append(document)
        return bson.encode({"inserted": 1, "ids": [], "errors": errors})

    def _set(self, document: Document, update: Document) -> None:
        assert set(update) == {"$set"}, update
        document.update(update["$set"])

    def _update(self, request: fd.Request) -> bytes:
        command = request.bson()
        chosen = self._chosen(command)
        chosen = chosen if command["multi"] else chosen[:1]
        for document in chosen:
            self._set(document, command["update"])
        return bson.encode({"matched": len(chosen), "modified": len(chosen)})

    def _delete(self, request: fd.Request) -> bytes:
        command = request.bson()
        chosen = self._chosen(command)
        chosen = chosen if command["multi"] else chosen[:1]
        for document in chosen:
            self._collection(command).remove(document)
        return bson.encode({"deleted": len(chosen)})

    def _modify(self, request: fd.Request) -> bytes:
        command = request.bson()
        chosen = self._chosen(command)
        document: Optional[Document] = chosen[0] if chosen else None
        before = None if document is None else dict(document)
        if document is not None and command.get("remove"):
            self._collection(command).remove(document)
        elif document is not None:
            self._set(document, command["update"])
        return bson.encode({"value": document if command.get("new") else before})

    def _save_settings(self, request: fd.Request) -> bytes:
        self.settings[self.user] = request.json()["settings"]
        return b'{"success":true}'

    def _publish(self, request: fd.Request) -> bytes:
        self.events.append((request.json()["event"], request.json()["data"]))
        return b"{}"

    def _send(self, request: fd.Request) -> bytes:
        self.messages.append(request.json()["message"])
        return b'{"recipients":1}'

    def _notify(self, request: fd.Request) -> bytes:
        self.notifications.append(request.json())
        return b'{"id":"n1","queued":true}'
