"""The names of pymongo that plugins use beside ``core.config.database``.

A worker has no network and no MongoDB driver: the database is reached through the runtime. These
are the constants and exceptions that code written for motor imports.
"""

from typing import Any

from pymongo.operations import (
    DeleteMany,
    DeleteOne,
    IndexModel,
    InsertOne,
    ReplaceOne,
    UpdateMany,
    UpdateOne,
)

__all__ = [
    "ASCENDING",
    "DESCENDING",
    "GEO2D",
    "GEOSPHERE",
    "HASHED",
    "TEXT",
    "DeleteMany",
    "DeleteOne",
    "IndexModel",
    "InsertOne",
    "ReplaceOne",
    "ReturnDocument",
    "UpdateMany",
    "UpdateOne",
]

ASCENDING = 1
DESCENDING = -1
# Kinds of indexes that code may name and the runtime refuses.
GEO2D = "2d"
GEOSPHERE = "2dsphere"
HASHED = "hashed"
TEXT = "text"


class ReturnDocument:
    """Which document ``find_one_and_update()`` and ``find_one_and_replace()`` return."""

    BEFORE = False
    AFTER = True


_CLIENTS = ("MongoClient", "AsyncMongoClient")


def __getattr__(name: str) -> Any:
    if name in _CLIENTS:
        raise ImportError(
            f"pymongo.{name} is not available to plugins: use 'from core.config.database import db'"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
