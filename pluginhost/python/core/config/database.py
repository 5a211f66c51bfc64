"""The database.

    from core.config.database import db

    items = db["my_plugin_items"]
    result = await items.insert_one({"title": "Milk"})
    found = await items.find({"done": False}).sort("created_at", -1).to_list(50)

The surface is motor's, as far as it goes: find (with sort, skip, limit, projection, ``to_list`` and
``async for``), find_one, insert_one/many, update_one/many, replace_one, delete_one/many,
count_documents, distinct, find_one_and_update/replace/delete. Values are Python's and bson's.
Everything is async; in a function that is not, use ``mozaiks.wait()``.

Every query and every document is scoped by the runtime to the calling user; a ``user_id`` that the
plugin adds itself does no harm, one of somebody else is refused.
"""

from typing import Any

from mozaiks._database import Collection, Database

db = Database()

_CORE = (
    "users_collection",
    "settings_collection",
    "subscriptions_collection",
    "subscription_history_collection",
    "billing_history_collection",
    "entitlement_usage_collection",
    "enterprises_collection",
    "client",
)


def get_db() -> Database:
    """The same as ``db``."""
    return db


def get_collection(name: str) -> Collection:
    """The same as ``db[name]``."""
    return db[name]


def __getattr__(name: str) -> Any:
    if name in _CORE:
        raise ImportError(
            f"{name} is the application's own data, which plugins cannot reach: use db[...] for "
            "collections of the plugin, and settings_manager for settings"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
