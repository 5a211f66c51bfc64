"""Threads for functions that are not async, so that they never block the loop."""

import asyncio
import contextvars
import queue
import threading
from typing import Any, Callable, Iterator, Optional, Protocol

THREADS = 8
# Of each thread, in bytes: eight of glibc's default would take 64 MiB of the address space.
STACK_SIZE = 512 * 1024


class _Runnable(Protocol):
    def run(self) -> None: ...


_jobs: "queue.SimpleQueue[_Runnable]" = queue.SimpleQueue()
_started = 0
_END = object()


class _Function:
    """A function on its way through the pool; its result goes to a future of the loop."""

    def __init__(self, function: Callable[..., Any], args: "tuple[Any, ...]") -> None:
        self._function = function
        self._args = args
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self.future: "asyncio.Future[Any]" = self._loop.create_future()

    def run(self) -> None:
        result: Any = None
        error: Optional[BaseException] = None
        try:
            result = self._context.run(self._function, *self._args)
        except StopIteration as stop:  # a future does not take it
            error = RuntimeError(f"StopIteration: {stop.value}")
        except BaseException as raised:
            error = raised
        self._loop.call_soon_threadsafe(self._resolve, result, error)

    def _resolve(self, result: Any, error: Optional[BaseException]) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


def _work() -> None:
    while True:
        job = _jobs.get()
        job.run()
        # Not kept until the next one comes.
        del job


def submit(job: _Runnable) -> None:
    """Queues a job. Threads are started one by one, as jobs come, up to THREADS."""
    global _started
    if _started < THREADS:
        _started += 1
        threading.Thread(target=_work, name=f"pool-{_started}", daemon=True).start()
    _jobs.put(job)


async def run(function: Callable[..., Any], *args: Any) -> Any:
    """Runs a function in the pool, in a copy of the caller's context."""
    job = _Function(function, args)
    submit(job)
    return await job.future


class Iteration:
    """A sync iterator as an async one: its steps run in the pool, one after the other, in one context.

    ``aclose()`` closes it there. A generator cannot be closed while it runs: a step that is under way when
    its call is cancelled is waited for, by a task that nobody cancels.
    """

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator
        self._context = contextvars.copy_context()
        self._step: "Optional[asyncio.Future[Any]]" = None

    def __aiter__(self) -> "Iteration":
        return self

    async def __anext__(self) -> Any:
        job = _Function(self._context.run, (next, self._iterator, _END))
        self._step = job.future
        submit(job)
        piece = await asyncio.shield(job.future)
        if piece is _END:
            raise StopAsyncIteration
        return piece

    async def _close(self, close: Callable[[], None]) -> None:
        if self._step is not None and not self._step.done():
            await asyncio.wait((self._step,))
        await run(self._context.run, close)

    async def aclose(self) -> None:
        close = getattr(self._iterator, "close", None)
        ended = getattr(self._iterator, "gi_frame", self) is None
        if close is not None and not ended:
            await asyncio.shield(asyncio.ensure_future(self._close(close)))


def prepare() -> None:
    """For all threads that the process will start."""
    threading.stack_size(STACK_SIZE)
