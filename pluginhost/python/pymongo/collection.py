"""``from pymongo.collection import ReturnDocument``, as older code has it."""

from mozaiks._database.collection import Collection
from pymongo import ReturnDocument

__all__ = ["Collection", "ReturnDocument"]
