"""Logging of the plugin: records, stdout and stderr become LOG frames.

A record that finds no room is dropped and counted (the native module does both): a flood of logs
costs the plugin its logs, never its calls.
"""

import io
import logging
import sys
from typing import Any, Iterable, Optional

import _mozaiks
from mozaiks._describe import shorten


def _level(number: int) -> int:
    if number >= logging.ERROR:
        return _mozaiks.LOG_ERROR
    if number >= logging.WARNING:
        return _mozaiks.LOG_WARNING
    if number >= logging.INFO:
        return _mozaiks.LOG_INFO
    return _mozaiks.LOG_DEBUG


def send(level: int, logger: str, text: str) -> None:
    """Sends one record of at most LOG_MAX bytes."""
    text = shorten(text, _mozaiks.LOG_MAX)
    try:
        _mozaiks.log(level, logger, text)
    except UnicodeEncodeError:
        _mozaiks.log(
            level,
            logger.encode("utf-8", "replace"),
            text.encode("utf-8", "backslashreplace"),
        )


class ChannelHandler(logging.Handler):
    """The root logger's handler."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception as error:  # arguments that do not fit the message, for one
            text = f"{record.msg!r} [not formatted: {type(error).__name__}: {error}]"
        send(_level(record.levelno), record.name, text)

    def createLock(self) -> None:
        # Sending happens under the interpreter's lock.
        self.lock = None


class _Bytes(io.RawIOBase):
    """``sys.stdout.buffer``."""

    def __init__(self, text: "LogStream") -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._text.write(bytes(view).decode("utf-8", "backslashreplace"))
        return len(view)

    def flush(self) -> None:
        self._text.flush()

    def fileno(self) -> int:
        return self._text.fileno()


class LogStream(io.TextIOBase):
    """sys.stdout and sys.stderr: each line is a record."""

    def __init__(self, logger: str, level: int, fd: int) -> None:
        self._logger = logger
        self._level = level
        self._fd = fd
        self._partial = ""
        self._bytes = _Bytes(self)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> Optional[str]:  # type: ignore[override]
        return "backslashreplace"

    @property
    def buffer(self) -> io.RawIOBase:
        return self._bytes

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        # A pipe that pluginhost reads, for libraries that want a descriptor.
        return self._fd

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        *lines, rest = (self._partial + text).split("\n")
        self._partial = ""
        for line in lines:
            self._send(line)
        # A line without an end must not grow for ever.
        while len(rest) > _mozaiks.LOG_MAX:
            self._send(rest[: _mozaiks.LOG_MAX])
            rest = rest[_mozaiks.LOG_MAX :]
        self._partial = rest
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self._partial:
            line, self._partial = self._partial, ""
            self._send(line)

    def close(self) -> None:
        self.flush()

    def _send(self, line: str) -> None:
        if line.strip():
            send(self._level, self._logger, line)


def install(plugin: str) -> None:
    """Takes over the root logger, stdout and stderr."""
    root = logging.getLogger()
    root.handlers[:] = [ChannelHandler()]
    root.setLevel(logging.INFO)
    # Nothing of a record is used that would need these look-ups.
    logging.logMultiprocessing = False
    logging.logProcesses = False
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    sys.stdout = LogStream(f"{plugin}.stdout", _mozaiks.LOG_INFO, 1)
    sys.stderr = LogStream(f"{plugin}.stderr", _mozaiks.LOG_WARNING, 2)
