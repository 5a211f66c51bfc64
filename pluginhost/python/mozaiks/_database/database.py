"""The plugin's database: a collection for every name."""

from typing import Any, NoReturn

from mozaiks._database.collection import Collection
from mozaiks.errors import Unsupported


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

    def __getitem__(self, name: str) -> Collection:
        return Collection(name, self._all_users)

    def __getattr__(self, name: str) -> Collection:
        if name.startswith("_"):
            raise AttributeError(f"use db[{name!r}] for a collection of that name")
        return Collection(name, self._all_users)

    def get_collection(self, name: str, **options: Any) -> Collection:
        """The same as ``db[name]``."""
        return Collection(name, self._all_users)

    def __repr__(self) -> str:
        return "Database(all_users=True)" if self._all_users else "Database()"

    async def command(self, *args: Any, **options: Any) -> NoReturn:
        """Not offered."""
        raise Unsupported("command() is not offered to plugins")

    async def list_collection_names(self, *args: Any, **options: Any) -> NoReturn:
        """Not offered."""
        raise Unsupported("list_collection_names() is not offered to plugins")
