"""``bulk_write()``: a list of single writes, one command after the other.

Inserts that stand next to each other travel together; in a list without an order all of them do,
before the other writes. Each write is durable by itself: a list is no transaction.
"""

from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Union

from mozaiks._database import arguments
from mozaiks._database.results import BulkWriteResult, DeleteResult, UpdateResult
from mozaiks.errors import CapabilityError, DuplicateKey, UnknownOutcome
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
        for places in self._commands(writes):
            if self._ordered and self._errors:
                break
            if isinstance(writes[places[0]], InsertOne):
                await self._insert([writes[place] for place in places], places)
            else:
                await self._one(writes[places[0]], places[0])
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

    def _commands(self, writes: List[Write]) -> List[List[int]]:
        """Which writes travel together, by their places."""
        inserts = [i for i, write in enumerate(writes) if isinstance(write, InsertOne)]
        if inserts and not self._ordered:
            others = [[i] for i, write in enumerate(writes) if not isinstance(write, InsertOne)]
            return [inserts, *others]
        commands: List[List[int]] = []
        for i, write in enumerate(writes):
            joins = i > 0 and isinstance(write, InsertOne) and isinstance(writes[i - 1], InsertOne)
            if joins:
                commands[-1].append(i)
            else:
                commands.append([i])
        return commands

    async def _insert(self, writes: List[Any], places: List[int]) -> None:
        documents = [write.document for write in writes]
        try:
            inserted, errors = await self._collection.insert_batch(documents, 0, self._ordered)
        except UnknownOutcome:
            # Some may be there: to send them again would blame the first ones on themselves.
            raise
        except CapabilityError as error:
            if not self._ordered and len(writes) > 1:
                # One of them is to blame; the others shall go in.
                for write, place in zip(writes, places):
                    await self._insert([write], [place])
                return
            self._note(places[0], writes[0], error)
            return
        self._counts["inserted"] += inserted
        self._errors += [{**error, "index": places[error["index"]]} for error in errors]

    async def _one(self, write: Any, index: int) -> None:
        try:
            result = await self._send(write)
        except CapabilityError as error:
            self._note(index, write, error)
            return
        if isinstance(result, DeleteResult):
            self._counts["deleted"] += result.deleted_count
            return
        self._counts["matched"] += result.matched_count
        self._counts["modified"] += result.modified_count
        if result.upserted_id is not None:
            self._upserted[index] = result.upserted_id

    async def _send(self, write: Any) -> Union[UpdateResult, DeleteResult]:
        collection = self._collection
        if isinstance(write, UpdateOne):
            return await collection.update_one(
                write.filter, write.update, write.upsert, write.array_filters, write.sort
            )
        if isinstance(write, UpdateMany):
            return await collection.update_many(
                write.filter, write.update, write.upsert, write.array_filters
            )
        if isinstance(write, ReplaceOne):
            return await collection.replace_one(
                write.filter, write.replacement, write.upsert, write.sort
            )
        if isinstance(write, DeleteMany):
            return await collection.delete_many(write.filter)
        return await collection.delete_one(write.filter)

    def _note(self, index: int, write: Any, error: CapabilityError) -> None:
        """A write that was refused; what is unknown is no result of a list."""
        if isinstance(error, UnknownOutcome):
            raise error
        self._errors.append(
            {"index": index, **write_error(error.code, str(error), error.details), "op": write}
        )
