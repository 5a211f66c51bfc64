"""A worker's life: prepared in the zygote, entered after the fork, run until the channel closes."""

import asyncio
import contextvars
import gc
import importlib
import json
import logging
import os
import signal
import struct
import sys
from random import SystemRandom
from typing import Any, Awaitable, Dict, NoReturn, Optional

import _mozaiks
from mozaiks import (_client, _describe, _events, _loader, _logs, _loop, _pool, _schema, _streams,
                     errors)

logger = logging.getLogger("mozaiks")

# Imported once, in the zygote: what plugins use. Their start is short and this memory shared.
_PRELOAD = (
    "base64 bson bson.json_util collections.abc concurrent.futures copy csv dataclasses datetime "
    "decimal email.utils enum fractions functools glob hashlib heapq hmac html html.parser "
    "importlib.resources importlib.util inspect io ipaddress itertools json linecache locale "
    "logging.handlers math mimetypes operator pathlib pickle queue random re secrets shutil "
    "statistics string tempfile textwrap threading time traceback types typing unicodedata "
    "urllib.parse uuid weakref xml.etree.ElementTree zlib zoneinfo "
    "core core.config core.config.database core.event_bus core.notifications_manager "
    "core.settings_manager core.websocket_manager mozaiks.streams mozaiks._multipart pymongo.errors"
).split()

_loop_: Optional[asyncio.AbstractEventLoop] = None


def prepare() -> None:
    """In the zygote: fills the memory that workers share."""
    for name in _PRELOAD:
        importlib.import_module(name)
    # Importing the module has installed a handler that would raise KeyboardInterrupt anywhere.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.collect()
    gc.freeze()


def _reseed_object_ids() -> None:
    """The id generator knows a fork by a new pid, but zygote and workers are all pid 1."""
    from bson.objectid import ObjectId

    ObjectId._pid = -1
    ObjectId._inc = SystemRandom().randint(0, 0xFFFFFF)


def enter() -> None:
    """In the worker, before seccomp: the loop's descriptors."""
    global _loop_
    _reseed_object_ids()
    _pool.prepare()
    _loop_ = _loop.new()


async def _await(value: Awaitable[Any]) -> Any:
    # Called, an async generator function returns what is to be iterated, not awaited.
    return await value if hasattr(value, "__await__") else value


class Worker:
    """One plugin in one process."""

    def __init__(self, plugin: str, directory: str, loop: asyncio.AbstractEventLoop) -> None:
        self.plugin = plugin
        self.directory = directory
        self.loop = loop
        # The plugin's modules run in it, each call in a copy.
        self.context = contextvars.copy_context()
        self._draining: Optional["asyncio.Task[None]"] = None

    def hooks(self) -> Dict[str, Any]:
        """What the native module calls."""
        return {
            "configure": self.configure,
            "drain": self.drain,
            "describe": _describe.describe,
            "await_": _await,
            "answer_stream": _streams.answer_stream,
            "answer_text": _streams.answer_text,
            "submit": _pool.submit,
            "error": errors.from_reply,
            "report": self.report,
            "flush": _mozaiks.flush,
            "on_readable": _mozaiks.on_readable,
        }

    def report(self, error: BaseException) -> None:
        """A request that nobody waited for has failed."""
        logger.warning("a request was refused: %s", error)

    def configure(self, payload: bytes) -> None:
        """CONFIGURE: the plugin is imported now."""
        config = json.loads(payload)
        _mozaiks.configure(
            int(config.get("concurrency") or _mozaiks.CONCURRENCY_DEFAULT),
            int(config.get("max_response") or _mozaiks.RESPONSE_DEFAULT),
            int(config.get("max_requests_per_call") or _mozaiks.REQUESTS_PER_CALL_DEFAULT),
            int(config.get("max_requests") or _mozaiks.REQUESTS_DEFAULT),
        )
        if config.get("development"):
            logging.getLogger("mozaiks_plugins").setLevel(logging.DEBUG)
        try:
            info = self.context.run(self._load)
            _mozaiks.ready(True, json.dumps(info, ensure_ascii=False).encode())
        except BaseException as error:  # also SystemExit: the worker goes on and says why
            failure = {
                "error": f"{type(error).__name__}: {_describe.message_of(error)}",
                "traceback": _describe.traceback_of(error),
            }
            _mozaiks.ready(False, json.dumps(failure, ensure_ascii=False).encode())

    def _load(self) -> Dict[str, Any]:
        entry = _loader.load(self.plugin, self.directory)
        _mozaiks.set_entry(_mozaiks.EXECUTE, entry.function, entry.is_async)
        _mozaiks.set_entry(_mozaiks.EVENT, _events.deliver, True)
        if entry.socket is not None:
            _mozaiks.set_entry(_mozaiks.SOCKET, _streams.socket_entry(entry.socket), True)
        info: Dict[str, Any] = {
            "entry": entry.name,
            "async": entry.is_async,
            "subscriptions": _events.start(),
        }
        schema = _schema.declared(entry.module)
        if schema is not None:
            info["schema"] = schema
        if entry.socket is not None:
            info["websocket"] = True
        return info

    def drain(self, payload: bytes) -> None:
        """DRAIN: no more work follows."""
        (deadline_ms,) = struct.unpack("<I", payload)
        self._draining = self.loop.create_task(self._finish(deadline_ms / 1000))

    async def _finish(self, seconds: float) -> None:
        end = self.loop.time() + seconds
        while _mozaiks.live() > 0 and self.loop.time() < end:
            await asyncio.sleep(0.01)
        sys.stdout.flush()
        sys.stderr.flush()
        _mozaiks.flush()
        while _mozaiks.pending() > 0 and self.loop.time() < end:
            await asyncio.sleep(0.01)
        os._exit(0)

    def serve(self) -> NoReturn:
        """Runs the loop; only the end of the channel ends it."""
        _mozaiks.setup(self.loop, self.context, self.hooks())
        _client.attach(self.loop)
        _logs.install(self.plugin)
        self.loop.add_reader(_mozaiks.fileno(), _mozaiks.on_readable)
        while True:
            try:
                self.loop.run_forever()
            except BaseException as error:  # SystemExit out of a background task, for one
                logger.error("a background task has ended the loop", exc_info=error)


def run(plugin: str, directory: str) -> NoReturn:
    """Called by python.c, once, in the finished sandbox."""
    assert _loop_ is not None
    Worker(plugin, directory, _loop_).serve()
