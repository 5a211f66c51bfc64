"""The plugin's database: a collection for every name."""

from typing import Any, List, Mapping, NoReturn, Optional

import _mozaiks
from mozaiks import _client
from mozaiks._database import arguments
from mozaiks._database.collection import Collection
from mozaiks.errors import Unsupported

# What the database calls itself. A collection of this name is db["name"], as with drivers.
_NAME = "plugin"


class Database:
    """``db["items"]`` or ``db.items``: a collection of this plugin.

    No name reaches the collections of another plugin or of the application.
    """

    def __init__(self, all_users: bool = False) -> None:
        self._all_users = all_users

    @property
    def all_users(self) -> "Database":
        """The same collections with the documents of all users, and of nobody, as they are.

        Needs the permission ``database.cross_user``, which only an operator grants; without it
        every method raises ``PermissionError``.
        """
        return Database(all_users=True)

    # Or Python would take db[0], db[1], … for what is in it.
    __iter__ = None
    __contains__ = None

    def __getitem__(self, name: str) -> Collection:
        return Collection(name, self._all_users)

    def __getattr__(self, name: str) -> Collection:
        if name.startswith("_"):
            raise AttributeError(f"use db[{name!r}] for a collection of that name")
        return Collection(name, self._all_users)

    @property
    def name(self) -> str:
        """What every plugin's database is called."""
        return _NAME

    def get_collection(self, name: str, **options: Any) -> Collection:
        """The same as ``db[name]``."""
        arguments.ignore_concerns("get_collection", options)
        return Collection(name, self._all_users)

    def with_options(self, **options: Any) -> "Database":
        """The same: see ``Collection.with_options()``."""
        arguments.ignore_concerns("with_options", options)
        return self

    async def create_collection(self, name: str, **options: Any) -> Collection:
        """The same as ``db[name]``: a collection is there once a document is."""
        arguments.ignore_concerns("create_collection", options)
        return Collection(name, self._all_users)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Database) and other._all_users == self._all_users

    def __hash__(self) -> int:
        return hash((_NAME, self._all_users))

    def __repr__(self) -> str:
        return "Database(all_users=True)" if self._all_users else "Database()"

    async def command(self, *args: Any, **options: Any) -> NoReturn:
        """Not offered."""
        raise Unsupported("command() is not offered to plugins")

    async def drop_collection(self, *args: Any, **options: Any) -> NoReturn:
        """Not offered."""
        raise Unsupported("drop_collection() is not offered: use delete_many({})")

    async def list_collection_names(
        self,
        session: None = None,
        filter: Optional[Mapping[str, Any]] = None,
        **options: Any,
    ) -> List[str]:
        """The plugin's collections that are there, whosever documents they hold.

        ``filter`` may ask for names: ``{"name": "items"}``, ``{"name": {"$in": [...]}}``.
        """
        arguments.refuse(
            "list_collection_names",
            {"session": session, **options},
            ("nameOnly", "authorizedCollections"),
        )
        wanted = arguments.names(filter)
        result = await _client.request(_mozaiks.DATABASE_COLLECTIONS, _client.BSON, {})
        return sorted(name for name in result["values"] if wanted is None or name in wanted)
