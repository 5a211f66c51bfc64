"""What writes return."""

from dataclasses import dataclass
from typing import Any, List


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


@dataclass(frozen=True)
class DeleteResult:
    """Of ``delete_one()`` and ``delete_many()``."""

    deleted_count: int
    acknowledged: bool = True
