"""Requests to the runtime: capabilities, as common/proto/capabilities.h lists them.

Three kinds of code ask: coroutines on the worker's loop, functions in pool threads without a loop,
and coroutines on a loop that a plugin runs in such a thread. Each waits in its own way.
"""

import _thread
import asyncio
from typing import Any, Coroutine, Optional, TypeVar

import _mozaiks

T = TypeVar("T")

BSON = "b"
CURSOR = "c"
JSON = "j"

_main_loop: Optional[asyncio.AbstractEventLoop] = None
_main_thread: Optional[int] = None


class _Blocked:
    """A pool thread that waits on a lock."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()
        self._value: Any = None
        self._error: Optional[BaseException] = None

    def done(self) -> bool:
        return not self._lock.locked()

    def set_result(self, value: Any) -> None:
        self._value = value
        self._lock.release()

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._lock.release()

    def wait(self) -> Any:
        call = _mozaiks.current()
        # The runtime ends the waits of a call with the call; the time is a second line.
        timeout = -1 if call is None else call.remaining + 5
        if not self._lock.acquire(timeout=timeout):
            raise TimeoutError("no reply before the call's deadline")
        self._lock.release()
        if self._error is not None:
            raise self._error
        return self._value


class _OtherLoop:
    """A coroutine on a loop of the plugin's own, in another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.future: "asyncio.Future[Any]" = loop.create_future()

    def done(self) -> bool:
        return self.future.done() or self._loop.is_closed()

    def set_result(self, value: Any) -> None:
        self._loop.call_soon_threadsafe(self._resolve, self.future.set_result, value)

    def set_exception(self, error: BaseException) -> None:
        self._loop.call_soon_threadsafe(self._resolve, self.future.set_exception, error)

    def _resolve(self, setter: Any, value: Any) -> None:
        if not self.future.done():
            setter(value)


def attach(loop: asyncio.AbstractEventLoop) -> None:
    """Names the worker's loop and thread."""
    global _main_loop, _main_thread
    _main_loop = loop
    _main_thread = _thread.get_ident()


async def request(code: int, kind: str, arguments: Any) -> Any:
    """Asks for a capability and waits for its result.

    Raises what ``mozaiks.errors`` says; ``ValueError`` or ``bson.errors.InvalidDocument`` for
    arguments that cannot be written.
    """
    loop = asyncio._get_running_loop()
    if loop is None:
        return _blocking(code, kind, arguments)
    if loop is _main_loop:
        future = loop.create_future()
        _mozaiks.request(code, kind, arguments, future)
        return await future
    waiter = _OtherLoop(loop)
    _mozaiks.request(code, kind, arguments, waiter)
    return await waiter.future


def _blocking(code: int, kind: str, arguments: Any) -> Any:
    if _thread.get_ident() == _main_thread:
        raise RuntimeError("await this: the event loop's thread must not block")
    waiter = _Blocked()
    _mozaiks.request(code, kind, arguments, waiter)
    return waiter.wait()


def fire(code: int, arguments: Any) -> None:
    """Asks for a capability whose result nobody needs. A refusal goes to the plugin's log."""
    _mozaiks.request(code, JSON, arguments, None)


def traceparent() -> Optional[str]:
    """Which trace the call belongs to, as the header ``traceparent`` of W3C trace context says it.

    For what the plugin passes on, and for the context of an OpenTelemetry span. None outside of a
    call, and in calls that came over no HTTP request of their own.
    """
    info = _mozaiks.current()
    return None if info is None else info.trace


def wait(awaitable: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine of the runtime's API in a function that is not async.

    For functions that run in a thread: an ``execute()`` that is not async, or a sync handler of an
    event. ``item = wait(db["items"].find_one({}))``.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("wait() is for functions that are not async: use await here")
    try:
        awaitable.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    awaitable.close()
    raise RuntimeError("wait() takes the runtime's own coroutines; use asyncio.run() for others")
