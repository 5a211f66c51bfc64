"""What ``get_database_schema()`` of a plugin declares of its collections, for READY.

The director reads it as it reads the manifest: indexes, initial data, whose the documents are.
"""

import inspect
import json
import types
from typing import Any, Dict, Optional

from bson import json_util

# Of READY, which has 64 KiB for everything.
_BYTES_MAX = 48 * 1024


def _default(value: Any) -> Any:
    """ObjectIds, dates and their like, as extended JSON."""
    return json_util.default(value, json_util.CANONICAL_JSON_OPTIONS)


def declared(module: types.ModuleType) -> Optional[Dict[str, Any]]:
    """What the module's function returns; None without one."""
    function = getattr(module, "get_database_schema", None)
    if not callable(function):
        return None
    if inspect.iscoroutinefunction(function):
        raise TypeError("get_database_schema() must not be async")
    schema = function()
    if schema is None:
        return None
    if not isinstance(schema, dict):
        raise TypeError(f"get_database_schema() must return a dict, not {type(schema).__name__}")
    text = json.dumps(schema, default=_default, allow_nan=False)
    if len(text) > _BYTES_MAX:
        raise ValueError(
            f"get_database_schema() returns {len(text)} bytes of JSON; the limit is {_BYTES_MAX}"
        )
    return json.loads(text)
