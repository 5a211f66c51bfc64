"""The single writes that ``bulk_write()`` takes, and the indexes that ``create_indexes()`` takes."""

from typing import Any, Iterable, Mapping, MutableMapping, Optional

_Filters = Optional[Iterable[Mapping[str, Any]]]


def _refuse(name: str, options: Mapping[str, Any]) -> None:
    # It imports this package.
    from mozaiks._database import arguments

    arguments.refuse(name, options)


class _Write:
    """Compared and printed by what it was made of."""

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({inside})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return id(self)


class InsertOne(_Write):
    """Inserts a document, which gets an ``_id`` when it has none."""

    def __init__(self, document: MutableMapping[str, Any]) -> None:
        self.document = document


class DeleteOne(_Write):
    """Deletes the first document that matches."""

    def __init__(self, filter: Mapping[str, Any], **options: Any) -> None:
        _refuse("DeleteOne", options)
        self.filter = filter


class DeleteMany(_Write):
    """Deletes all documents that match."""

    def __init__(self, filter: Mapping[str, Any], **options: Any) -> None:
        _refuse("DeleteMany", options)
        self.filter = filter


class ReplaceOne(_Write):
    """Puts a document in the place of the first that matches."""

    def __init__(
        self,
        filter: Mapping[str, Any],
        replacement: Mapping[str, Any],
        upsert: bool = False,
        sort: Any = None,
        **options: Any,
    ) -> None:
        _refuse("ReplaceOne", options)
        self.filter = filter
        self.replacement = replacement
        self.upsert = bool(upsert)
        self.sort = sort


class UpdateOne(_Write):
    """Changes the first document that matches."""

    def __init__(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any],
        upsert: bool = False,
        array_filters: _Filters = None,
        sort: Any = None,
        **options: Any,
    ) -> None:
        _refuse("UpdateOne", options)
        self.filter = filter
        self.update = update
        self.upsert = bool(upsert)
        self.sort = sort
        self.array_filters = array_filters


class UpdateMany(_Write):
    """Changes all documents that match."""

    def __init__(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any],
        upsert: bool = False,
        array_filters: _Filters = None,
        **options: Any,
    ) -> None:
        _refuse("UpdateMany", options)
        self.filter = filter
        self.update = update
        self.upsert = bool(upsert)
        self.array_filters = array_filters


class IndexModel(_Write):
    """An index: its keys and its options."""

    def __init__(self, keys: Any, **options: Any) -> None:
        self.keys = keys
        self.options = options
