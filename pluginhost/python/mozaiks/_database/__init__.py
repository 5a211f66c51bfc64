"""The database as plugins see it: the part of motor's surface that plugins are offered."""

from mozaiks._database.collection import Collection
from mozaiks._database.cursor import CommandCursor, Cursor
from mozaiks._database.database import Database
from mozaiks._database.results import (
    BulkWriteResult,
    DeleteResult,
    InsertManyResult,
    InsertOneResult,
    UpdateResult,
)

__all__ = [
    "BulkWriteResult",
    "Collection",
    "CommandCursor",
    "Cursor",
    "Database",
    "DeleteResult",
    "InsertManyResult",
    "InsertOneResult",
    "UpdateResult",
]
