"""Cursors: of ``find()``, built by chaining, and of ``aggregate()``. Read once."""

from typing import Any, AsyncIterator, Deque, Dict, List, Optional, TypeVar
from collections import deque

import _mozaiks
from mozaiks import _client
from mozaiks._database import arguments
from mozaiks._database.arguments import Sort
from mozaiks.errors import Unsupported
from pymongo.errors import InvalidOperation

Document = Dict[str, Any]

T = TypeVar("T", bound="Batches")


class Batches:
    """Documents that come in batches; those beyond the first are fetched as they are needed."""

    def __init__(self, command: Dict[str, Any]) -> None:
        self._command = command
        self._buffer: Deque[Document] = deque()
        self._cursor = 0
        self._started = False
        self._taken = 0

    @property
    def alive(self) -> bool:
        """Whether there may be more documents."""
        return bool(self._buffer) or not self._started or self._cursor != 0

    async def to_list(self, length: Optional[int] = None) -> List[Document]:
        """The next ``length`` documents, or all that are left."""
        if length is not None:
            arguments.count("length", length)
            if length == 0:
                return []
        if not self._started or self._continues():
            await self._start(length)
        while self._cursor != 0 and (length is None or len(self._buffer) < length):
            await self._fetch()
        count = len(self._buffer) if length is None else min(length, len(self._buffer))
        documents = [self._buffer.popleft() for _ in range(count)]
        self._taken += count
        return documents

    def __aiter__(self) -> AsyncIterator[Document]:
        return self

    async def __anext__(self) -> Document:
        if not self._buffer and (not self._started or self._continues()):
            await self._start(None)
        while not self._buffer and self._cursor != 0:
            await self._fetch()
        if not self._buffer:
            raise StopAsyncIteration
        self._taken += 1
        return self._buffer.popleft()

    async def next(self) -> Document:
        """The next document; StopAsyncIteration when there is none."""
        return await self.__anext__()

    async def __aenter__(self: T) -> T:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.close()

    async def close(self) -> None:
        """Gives the rest of the documents up."""
        self._buffer.clear()
        self._started = True
        if self._cursor != 0:
            cursor, self._cursor = self._cursor, 0
            await _client.request(_mozaiks.DATABASE_CLOSE, _client.BSON, {"cursor": cursor})

    def _continues(self) -> bool:
        """Everything that was asked for has been handed out, and there may be more."""
        return False

    async def _start(self, length: Optional[int]) -> None:
        raise NotImplementedError

    async def _fetch(self) -> None:
        self._cursor, documents = await _client.request(
            _mozaiks.DATABASE_NEXT, _client.CURSOR, {"cursor": self._cursor}
        )
        self._buffer.extend(documents)


class CommandCursor(Batches):
    """The documents of ``aggregate()`` or ``list_indexes()``, asked for when the first is wanted."""

    def __init__(self, code: int, command: Dict[str, Any]) -> None:
        super().__init__(command)
        self._code = code

    def batch_size(self, batch_size: int) -> "CommandCursor":
        """Accepted for compatibility: the runtime chooses its batches."""
        arguments.batch_size(batch_size)
        return self

    async def _start(self, length: Optional[int]) -> None:
        self._started = True
        self._cursor, documents = await _client.request(
            self._code, _client.CURSOR, self._command
        )
        self._buffer.extend(documents)


class Cursor(Batches):
    """The documents that a ``find()`` matches.

    Nothing is asked before the first document is wanted. Documents come in batches; those beyond
    the first are fetched as they are needed.
    """

    def __init__(self, command: Dict[str, Any]) -> None:
        super().__init__(command)
        # How many documents the director was asked for, when that is less than all.
        self._asked: Optional[int] = None

    # ---- building ----

    def sort(self, key_or_list: Sort, direction: Optional[Any] = None) -> "Cursor":
        """Orders by one name, or by several in turn."""
        return self._set("sort", arguments.sort(key_or_list, direction))

    def skip(self, skip: int) -> "Cursor":
        """Leaves out the first documents."""
        return self._set("skip", arguments.count("skip", skip))

    def limit(self, limit: int) -> "Cursor":
        """At most so many documents; 0 means all."""
        return self._set("limit", arguments.limit(limit))

    def batch_size(self, batch_size: int) -> "Cursor":
        """Accepted for compatibility: the runtime chooses its batches."""
        arguments.batch_size(batch_size)
        return self

    def max_time_ms(self, max_time_ms: Optional[int]) -> "Cursor":
        """Accepted for compatibility: the runtime's own limit is for every command."""
        if max_time_ms is not None:
            arguments.count("max_time_ms", max_time_ms)
        return self

    def comment(self, comment: Any) -> "Cursor":
        """Accepted for compatibility."""
        return self

    def allow_disk_use(self, allow_disk_use: bool) -> "Cursor":
        """Accepted for compatibility: nothing is sorted on a disk."""
        return self

    def hint(self, index: Any) -> "Cursor":
        """Not offered: the runtime chooses the index."""
        arguments.refuse("hint", {"hint": index})
        return self

    def collation(self, collation: Any) -> "Cursor":
        """Not offered: text is compared by its bytes."""
        arguments.refuse("collation", {"collation": collation})
        return self

    def _set(self, name: str, value: Any) -> "Cursor":
        if self._started:
            raise InvalidOperation("cannot set options after executing query")
        self._command[name] = value
        return self

    def clone(self) -> "Cursor":
        """An unread cursor for the same query."""
        return Cursor(dict(self._command))

    # ---- reading ----

    async def distinct(self, key: str) -> List[Any]:
        """The different values of a field, among all that match."""
        kept = ("collection", "all_users", "filter")
        command = {name: self._command[name] for name in kept if name in self._command}
        result = await _client.request(
            _mozaiks.DATABASE_DISTINCT, _client.BSON, {**command, "field": key}
        )
        values: List[Any] = result["values"]
        return values

    async def explain(self) -> Document:
        """Not offered."""
        raise Unsupported("explain() is not offered to plugins")

    async def close(self) -> None:
        """Gives the rest of the documents up."""
        self._asked = None
        await super().close()

    def rewind(self) -> "Cursor":
        """Starts over at the next read."""
        self._buffer.clear()
        self._cursor = 0
        self._started = False
        self._taken = 0
        self._asked = None
        return self

    def _continues(self) -> bool:
        """Everything that was asked for has been handed out, and there may be more."""
        return self._asked is not None and self._taken >= self._asked and not self._buffer

    async def _start(self, length: Optional[int]) -> None:
        """Runs the query, from where the documents handed out so far end.

        ``to_list(length)`` is nearly always the only read: asking for no more than it needs saves
        the director the rest. If more is wanted later, a second query skips what the first gave.
        """
        command = {name: value for name, value in self._command.items() if value is not None}
        limit = command.get("limit", 0)
        self._asked = None
        if self._taken:
            command["skip"] = command.get("skip", 0) + self._taken
        left = limit - self._taken if limit else None
        if left is not None and left <= 0:
            self._started = True
            return
        if length is not None and (left is None or length < left):
            command["limit"] = length
            self._asked = self._taken + length
        elif left is not None:
            command["limit"] = left
        self._started = True
        self._cursor, documents = await _client.request(
            _mozaiks.DATABASE_FIND, _client.CURSOR, command
        )
        self._buffer.extend(documents)
