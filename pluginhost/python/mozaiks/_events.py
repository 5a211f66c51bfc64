"""Events: who in this worker wants which, and how they get them.

The runtime delivers an event as work, with the user that it has stamped on it when it was
published. A handler that raises is tried again with growing pauses; then the failure is logged.
"""

import asyncio
import fnmatch
import inspect
import logging
import time
from collections import deque
from typing import Any, Awaitable, Callable, Deque, Dict, List, Union

import _mozaiks
from mozaiks import _client, _pool

logger = logging.getLogger("mozaiks.events")

Handler = Callable[[Any], Union[None, Awaitable[None]]]

# Seconds before the second, third and last attempt.
RETRY_PAUSES = (0.5, 1.0, 2.0)
_HISTORY_PER_EVENT = 100
_HISTORY_EVENTS = 1000

_handlers: Dict[str, List[Handler]] = {}
_history: Dict[str, Deque[Dict[str, Any]]] = {}
_counters: Dict[str, int] = {}
_by_type: Dict[str, int] = {}
_started = False


def reset_stats() -> None:
    """Sets every counter to zero."""
    _counters.update(events_published=0, events_delivered=0, delivery_failures=0)
    _by_type.clear()


reset_stats()


def stats() -> Dict[str, Any]:
    """What this worker has published and received."""
    return {**_counters, "events_by_type": dict(_by_type)}


def history() -> Dict[str, Deque[Dict[str, Any]]]:
    """The last events of each name that this worker has published or received."""
    return _history


def _remember(event: str, data: Any) -> None:
    if event not in _history and len(_history) >= _HISTORY_EVENTS:
        _history.pop(next(iter(_history)))
    _history.setdefault(event, deque(maxlen=_HISTORY_PER_EVENT)).append(
        {"timestamp": time.time(), "data": data}
    )


def publish(event: str, data: Any) -> None:
    """Sends an event on its way and does not wait."""
    _client.fire(_mozaiks.EVENTS_PUBLISH, {"event": event, "data": data})
    _counters["events_published"] += 1
    _by_type[event] = _by_type.get(event, 0) + 1
    _remember(event, data)


def subscribe(event: str, handler: Handler) -> None:
    """Adds a handler; names may contain ``*``."""
    known = event in _handlers
    _handlers.setdefault(event, []).append(handler)
    if _started and not known:
        _client.fire(_mozaiks.EVENTS_SUBSCRIBE, {"events": [event]})


def unsubscribe(event: str, handler: Handler) -> bool:
    """Takes a handler away. The runtime goes on delivering; nobody hears it."""
    handlers = _handlers.get(event, [])
    if handler not in handlers:
        return False
    handlers.remove(handler)
    return True


def start() -> List[str]:
    """The plugin is imported: what it has subscribed to so far goes into READY."""
    global _started
    _started = True
    return sorted(_handlers)


def _matching(event: str) -> List[Handler]:
    return [
        handler
        for pattern, handlers in _handlers.items()
        if pattern == event or ("*" in pattern and fnmatch.fnmatchcase(event, pattern))
        for handler in handlers
    ]


async def _call(handler: Handler, data: Any) -> None:
    if inspect.iscoroutinefunction(handler):
        await handler(data)
        return
    result = await _pool.run(handler, data)
    if inspect.isawaitable(result):
        await result


async def _call_with_retries(event: str, handler: Handler, data: Any) -> None:
    for pause in (*RETRY_PAUSES, None):
        try:
            await _call(handler, data)
            _counters["events_delivered"] += 1
            return
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            name = getattr(handler, "__qualname__", repr(handler))
            if pause is None:
                _counters["delivery_failures"] += 1
                logger.error("handler %s of %s has failed", name, event, exc_info=error)
                return
            logger.warning("handler %s of %s: %s; again in %s s", name, event, error, pause)
            await asyncio.sleep(pause)


async def deliver(message: Dict[str, Any]) -> None:
    """The entry of EVENT frames: {"event", "data", …}."""
    event = message["event"]
    data = message.get("data")
    _remember(event, data)
    handlers = _matching(event)
    if len(handlers) == 1:
        await _call_with_retries(event, handlers[0], data)
    elif handlers:
        await asyncio.gather(*(_call_with_retries(event, h, data) for h in handlers))
