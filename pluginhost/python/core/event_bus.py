"""Events between plugins.

    from core.event_bus import event_bus

    event_bus.publish("task_manager:task_created", {"task_id": task_id})

    @event_bus.subscribe("task_manager:task_created")
    async def on_task_created(data: dict) -> None:
        ...

``publish()`` returns at once and may be awaited as well. A plugin publishes under its own name
(``<plugin>:…`` or ``<plugin>.…``). Handlers may be async or not; one that raises is called again up
to three times. They run with the user on whose behalf the event was published.
"""

from typing import Any, Callable, Dict, Generator, List, Optional

from mozaiks import _events
from mozaiks._events import Handler


class _Published:
    """What ``await event_bus.publish(...)`` waits for: nothing."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


_PUBLISHED = _Published()


class EventBus:
    """See the module's text. There is one, ``event_bus``."""

    def publish(self, event_type: str, event_data: Any = None) -> _Published:
        """Publishes an event; any JSON value may be its data.

        A refusal (a permission that is missing, a name that is not the plugin's) goes to the log.
        """
        if not isinstance(event_type, str) or not event_type:
            raise ValueError("an event needs a name")
        _events.publish(event_type, event_data)
        return _PUBLISHED

    def subscribe(
        self, event_type: str, callback: Optional[Handler] = None
    ) -> Callable[[Handler], Handler]:
        """Calls ``callback(data)`` for each such event; without one it is a decorator."""

        def register(handler: Handler) -> Handler:
            if not callable(handler):
                raise TypeError("an event handler must be callable")
            _events.subscribe(event_type, handler)
            return handler

        if callback is not None:
            register(callback)
        return register

    def unsubscribe(self, event_type: str, callback: Handler) -> bool:
        """Ends a subscription of this worker. True when there was one."""
        return _events.unsubscribe(event_type, callback)

    def on_event(self, event_type: str) -> Callable[[Handler], Handler]:
        """``subscribe()`` as a decorator."""
        return self.subscribe(event_type)

    def get_event_history(
        self, event_type: Optional[str] = None, limit: int = 10
    ) -> Dict[str, List[Dict[str, Any]]]:
        """The last events this worker has published or received, by name, oldest first."""
        chosen = _events.history()
        if event_type is not None:
            chosen = {event_type: chosen[event_type]} if event_type in chosen else {}
        count = max(limit, 0)
        return {
            name: list(events)[len(events) - min(count, len(events)) :]
            for name, events in chosen.items()
        }

    get_history = get_event_history

    def get_stats(self) -> Dict[str, Any]:
        """Counts of this worker: published, delivered, failed, and by name."""
        return _events.stats()

    def reset_stats(self) -> None:
        """Sets the counts to zero."""
        _events.reset_stats()


event_bus = EventBus()
on_event = event_bus.on_event
