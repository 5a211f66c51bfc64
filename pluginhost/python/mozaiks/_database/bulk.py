"""``bulk_write()``: a list of single writes, one after the other, in one message.

Inserts that stand next to each other are one change; in a list without an order all of them are, before
the other writes. Every other write is one by itself: a list is no transaction.
"""

from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Tuple, Union

from mozaiks._database import arguments
from mozaiks._database.results import BulkWriteResult
from mozaiks.errors import (
    CapabilityError,
    DuplicateKey,
    UnknownOutcome,
    from_fields,
)
from pymongo.errors import BulkWriteError
from pymongo.operations import (
    DeleteMany,
    DeleteOne,
    InsertOne,
    ReplaceOne,
    UpdateMany,
    UpdateOne,
)

if TYPE_CHECKING:
    from mozaiks._database.collection import Collection

Write = Union[InsertOne, UpdateOne, UpdateMany, ReplaceOne, DeleteOne, DeleteMany]

_WRITES = (InsertOne, UpdateOne, UpdateMany, ReplaceOne, DeleteOne, DeleteMany)
# What the runtime takes at once (MOZAIKS_MAX_BULK_WRITES); where that is less, a list goes in halves.
_WRITES_AT_ONCE = 1000
_DUPLICATE_KEY = 11000
_BAD_VALUE = 2


def write_error(
    code: Any, message: str, more: Optional[Mapping[str, Any]] = None
) -> Dict[str, Any]:
    """One of the ``writeErrors`` of a BulkWriteError, with MongoDB's number."""
    number = _DUPLICATE_KEY if code == DuplicateKey.code else _BAD_VALUE
    keys = {n: more[n] for n in ("keyPattern", "keyValue") if n in more} if more else {}
    return {"code": number, "errmsg": message, **keys}


def _check(write: Any) -> None:
    """What is wrong with a write by itself is said before the first is sent."""
    if not isinstance(write, _WRITES):
        raise TypeError(f"{write!r} is no write such as UpdateOne")
    if isinstance(write, (UpdateOne, UpdateMany)):
        arguments.operators(type(write).__name__, write.update)
    elif isinstance(write, ReplaceOne):
        arguments.replacement(write.replacement)
    if not isinstance(write, InsertOne):
        arguments.mapping("filter", write.filter)


class _Step:
    """What becomes one change of the runtime's: inserts that stand next to each other, or one other write."""

    def __init__(self, place: int, write: Any) -> None:
        self.places = [place]
        self.writes = [write]

    @property
    def inserts(self) -> bool:
        """Whether it inserts."""
        return isinstance(self.writes[0], InsertOne)

    def add(self, place: int, write: Any) -> None:
        """Another insert."""
        self.places.append(place)
        self.writes.append(write)

    def alone(self) -> List["_Step"]:
        """Each of the inserts by itself."""
        return [_Step(place, write) for place, write in zip(self.places, self.writes)]

    def command(self, collection: "Collection") -> Dict[str, Any]:
        """As one of the writes of ``database.bulk``."""
        write = self.writes[0]
        if isinstance(write, InsertOne):
            return {"insert": {"documents": [w.document for w in self.writes]}}
        if isinstance(write, (DeleteOne, DeleteMany)):
            return {"delete": {"filter": write.filter, "multi": isinstance(write, DeleteMany)}}
        return {"update": collection.update_fields(*_update(write))}


def _update(write: Any) -> Tuple[Any, ...]:
    """Filter, update, upsert, multi, array filters and sort."""
    if isinstance(write, ReplaceOne):
        return write.filter, write.replacement, write.upsert, False, None, write.sort
    many = isinstance(write, UpdateMany)
    sort = None if many else write.sort
    return write.filter, write.update, write.upsert, many, write.array_filters, sort


class Bulk:
    """One run of a list of writes."""

    def __init__(self, collection: "Collection", ordered: bool) -> None:
        self._collection = collection
        self._ordered = ordered
        self._counts = {"inserted": 0, "matched": 0, "modified": 0, "deleted": 0}
        self._upserted: Dict[int, Any] = {}
        self._errors: List[Dict[str, Any]] = []

    async def run(self, requests: Iterable[Write]) -> BulkWriteResult:
        """All of them, in their order; ``ordered`` stops at the first that fails."""
        writes = list(requests)
        if not writes:
            raise TypeError("bulk_write() needs a non-empty list")
        for write in writes:
            _check(write)
            if isinstance(write, InsertOne):
                self._collection.identify(write.document)
        await self._send(self._steps(writes))
        result = BulkWriteResult(
            inserted_count=self._counts["inserted"],
            matched_count=self._counts["matched"],
            modified_count=self._counts["modified"],
            deleted_count=self._counts["deleted"],
            upserted_ids=self._upserted,
        )
        if self._errors:
            self._errors.sort(key=lambda error: error["index"])
            raise BulkWriteError(
                {**result.bulk_api_result, "writeErrors": self._errors, "writeConcernErrors": []}
            )
        return result

    def _steps(self, writes: List[Write]) -> List[_Step]:
        steps: List[_Step] = []
        numbered = list(enumerate(writes))
        if not self._ordered:
            # Inserts first, so that they travel together; else the order stays.
            numbered.sort(key=lambda pair: not isinstance(pair[1], InsertOne))
        for place, write in numbered:
            if isinstance(write, InsertOne) and steps and steps[-1].inserts:
                steps[-1].add(place, write)
            else:
                steps.append(_Step(place, write))
        return steps

    async def _send(self, steps: List[_Step]) -> None:
        """In as few commands as there is room in messages and limits."""
        for first in range(0, len(steps), _WRITES_AT_ONCE):
            await self._send_some(steps[first : first + _WRITES_AT_ONCE])
            if self._ordered and self._errors:
                return

    async def _send_some(self, steps: List[_Step]) -> None:
        if len(steps) == 1:
            await self._send_one(steps[0])
            return
        try:
            results = await self._collection.bulk(
                [step.command(self._collection) for step in steps], self._ordered
            )
        except UnknownOutcome:
            raise
        except CapabilityError:
            # The list was refused, such as for its size, and nothing of it was done.
            middle = len(steps) // 2
            await self._send(steps[:middle])
            if not (self._ordered and self._errors):
                await self._send(steps[middle:])
            return
        made = 0
        for result in sorted(results, key=lambda result: int(result["i"])):
            made = int(result["i"]) + 1
            await self._take(steps[made - 1], result)
        if self._ordered and not self._errors:
            # What was refused as a whole has gone in one by one: the list goes on.
            await self._send(steps[made:])

    async def _take(self, step: _Step, result: Mapping[str, Any]) -> None:
        """The result of one step, or why it was refused as a whole."""
        code = result.get("code")
        if code == UnknownOutcome.code:
            # What is unknown is no result of a list.
            raise from_fields(result)
        if code is not None:
            await self._refused(step, code, result.get("message", ""), result)
            return
        if step.inserts:
            for error in result.get("errors", ()):
                at = int(error["index"])
                self._note(step, at, error.get("code"), error.get("message", ""), error)
        for name in self._counts:
            self._counts[name] += int(result.get(name, 0))
        if "upserted" in result:
            self._upserted[step.places[0]] = result["upserted"]

    async def _refused(self, step: _Step, code: Any, message: str, more: Any) -> None:
        if len(step.places) > 1:
            # Nothing was inserted: one of them is to blame, and those before it shall go in.
            for one in step.alone():
                await self._send_one(one)
                if self._ordered and self._errors:
                    return
            return
        self._note(step, 0, code, message, more)

    def _note(self, step: _Step, at: int, code: Any, message: str, more: Any) -> None:
        write = step.writes[at]
        op = write.document if step.inserts else write
        self._errors.append(
            {"index": step.places[at], **write_error(code, message, more), "op": op}
        )

    async def _send_one(self, step: _Step) -> None:
        """By the command that is meant for it."""
        try:
            if step.inserts:
                await self._insert(step)
            elif isinstance(step.writes[0], (DeleteOne, DeleteMany)):
                write = step.writes[0]
                many = isinstance(write, DeleteMany)
                deleted = await self._collection.delete(write.filter, many)
                self._counts["deleted"] += deleted.deleted_count
            else:
                await self._update(step)
        except UnknownOutcome:
            # Some may be there: to send them again would blame the first ones on themselves.
            raise
        except CapabilityError as error:
            await self._refused(step, error.code, str(error), error.details)

    async def _insert(self, step: _Step) -> None:
        documents = [write.document for write in step.writes]
        inserted, errors = await self._collection.insert_batch(documents, 0, self._ordered)
        self._counts["inserted"] += inserted
        self._errors += [{**error, "index": step.places[error["index"]]} for error in errors]

    async def _update(self, step: _Step) -> None:
        updated = await self._collection.write_update(*_update(step.writes[0]))
        self._counts["matched"] += updated.matched_count
        self._counts["modified"] += updated.modified_count
        if updated.upserted_id is not None:
            self._upserted[step.places[0]] = updated.upserted_id
