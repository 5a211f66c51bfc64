"""The built-in module of the worker (pluginhost/runtime/python_module.c), for type checkers."""

import asyncio
import contextvars
from typing import Any, Callable, Dict, Optional, Tuple

class CallInfo:
    """A work call, as far as code in it may know."""

    @property
    def id(self) -> int: ...
    @property
    def ended(self) -> bool: ...
    @property
    def remaining(self) -> float: ...
    @property
    def trace(self) -> Optional[str]: ...

class Call(asyncio.Task[Any]): ...

class Stream:
    """The stream of a call: see mozaiks/_streams.py."""

    wake: Optional[Any]

    @property
    def ended(self) -> bool: ...
    @property
    def broken(self) -> Optional[str]: ...
    @property
    def has_body(self) -> bool: ...
    def head(self, status: int, headers: bytes, /) -> None: ...
    def write(self, data: "bytes | bytearray | memoryview", flags: int = 0, /) -> bool: ...
    def read(self) -> Optional[Tuple[bytes, int]]: ...

def setup(
    loop: asyncio.AbstractEventLoop,
    context: contextvars.Context,
    hooks: Dict[str, Callable[..., Any]],
    /,
) -> None: ...
def configure(
    concurrency: int, max_response: int, requests_per_call: int, requests_max: int, /
) -> None: ...
def set_entry(type: int, function: Optional[Callable[[Any], Any]], is_async: bool, /) -> None: ...
def ready(ok: bool, info: bytes, /) -> None: ...
def on_readable() -> None: ...
def flush() -> bool: ...
def request(code: int, kind: str, arguments: Any, waiter: Any, /) -> None: ...
def current() -> Optional[CallInfo]: ...
def stream() -> Stream: ...
def live() -> int: ...
def pending() -> int: ...
def fileno() -> int: ...
def encode_bson(document: Any, /) -> bytes: ...
def decode_bson(data: bytes, /) -> Dict[str, Any]: ...
def encode_json(value: Any, /) -> bytes: ...
def log(level: int, logger: "str | bytes", message: "str | bytes", /) -> bool: ...

DATABASE_FIND: int
DATABASE_NEXT: int
DATABASE_CLOSE: int
DATABASE_COUNT: int
DATABASE_DISTINCT: int
DATABASE_INSERT: int
DATABASE_UPDATE: int
DATABASE_DELETE: int
DATABASE_MODIFY: int
DATABASE_AGGREGATE: int
DATABASE_CREATE_INDEX: int
DATABASE_DROP_INDEX: int
DATABASE_INDEXES: int
DATABASE_BULK: int
DATABASE_COLLECTIONS: int
SETTINGS_GET: int
SETTINGS_SAVE: int
EVENTS_PUBLISH: int
EVENTS_SUBSCRIBE: int
WEBSOCKET_SEND: int
WEBSOCKET_BROADCAST: int
NOTIFICATIONS_CREATE: int
EXECUTE: int
EVENT: int
SOCKET: int
HEAD_VALUE: int
DATA_LAST: int
DATA_MORE: int
DATA_TEXT: int
PIECE_MAX: int
LOG_MAX: int
CONCURRENCY_DEFAULT: int
RESPONSE_DEFAULT: int
REQUESTS_PER_CALL_DEFAULT: int
REQUESTS_DEFAULT: int
LOG_ERROR: int
LOG_WARNING: int
LOG_INFO: int
LOG_DEBUG: int
