"""What writes return."""

from dataclasses import dataclass, field
from typing import Any, Dict, List


@dataclass(frozen=True)
class InsertOneResult:
    """Of ``insert_one()``."""

    inserted_id: Any
    acknowledged: bool = True


@dataclass(frozen=True)
class InsertManyResult:
    """Of ``insert_many()``."""

    inserted_ids: List[Any]
    acknowledged: bool = True


@dataclass(frozen=True)
class UpdateResult:
    """Of ``update_one()``, ``update_many()`` and ``replace_one()``."""

    matched_count: int
    modified_count: int
    upserted_id: Any = None
    acknowledged: bool = True

    @property
    def raw_result(self) -> Dict[str, Any]:
        """The same as a document, as a server answers it."""
        raw = {"n": self.matched_count, "nModified": self.modified_count, "ok": 1.0}
        if self.upserted_id is not None:
            raw.update(n=1, upserted=self.upserted_id)
        return {**raw, "updatedExisting": self.matched_count > 0}


@dataclass(frozen=True)
class DeleteResult:
    """Of ``delete_one()`` and ``delete_many()``."""

    deleted_count: int
    acknowledged: bool = True

    @property
    def raw_result(self) -> Dict[str, Any]:
        """The same as a document, as a server answers it."""
        return {"n": self.deleted_count, "ok": 1.0}


@dataclass(frozen=True)
class BulkWriteResult:
    """Of ``bulk_write()``. ``upserted_ids``: by the place of the write in the list."""

    inserted_count: int = 0
    matched_count: int = 0
    modified_count: int = 0
    deleted_count: int = 0
    upserted_ids: Dict[int, Any] = field(default_factory=dict)
    acknowledged: bool = True

    @property
    def upserted_count(self) -> int:
        """How many documents upserts have made."""
        return len(self.upserted_ids)

    @property
    def bulk_api_result(self) -> Dict[str, Any]:
        """The same as a document."""
        return {
            "nInserted": self.inserted_count,
            "nMatched": self.matched_count,
            "nModified": self.modified_count,
            "nRemoved": self.deleted_count,
            "nUpserted": self.upserted_count,
            "upserted": [{"index": i, "_id": v} for i, v in self.upserted_ids.items()],
        }
