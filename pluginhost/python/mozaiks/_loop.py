"""The worker's event loop: asyncio's own, with a place to write what a turn has produced."""

import asyncio
import selectors
from typing import Any, Dict, List, Optional, Tuple

import _mozaiks


class TurnSelector(selectors.EpollSelector):
    """Before the loop waits, the native module writes all frames of the turn in one message."""

    def select(self, timeout: Optional[float] = None) -> List[Tuple[selectors.SelectorKey, int]]:
        return super().select(0 if _mozaiks.flush() else timeout)


def _on_exception(loop: asyncio.AbstractEventLoop, context: Dict[str, Any]) -> None:
    # The exception of a call was its answer: nobody forgot it.
    if type(context.get("future")) is _mozaiks.Call:
        return
    loop.default_exception_handler(context)


def new() -> asyncio.AbstractEventLoop:
    """Makes the loop and makes it the thread's."""
    loop = asyncio.SelectorEventLoop(TurnSelector())
    loop.set_exception_handler(_on_exception)
    asyncio.set_event_loop(loop)
    return loop
