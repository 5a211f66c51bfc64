"""The runtime's side of streams: pieces over ``_mozaiks.Stream``, with the waiting that asyncio does."""

import asyncio
import codecs
import inspect
import json
import struct
from typing import Any, Awaitable, Dict, List, Optional, Tuple, Union

import _mozaiks
from mozaiks import _pool

Bytes = Union[bytes, bytearray, memoryview]

_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_EVENTS = "text/event-stream"

_LAST = _mozaiks.DATA_LAST
_MORE = _mozaiks.DATA_MORE
_IS_TEXT = _mozaiks.DATA_TEXT


class StreamBroken(ConnectionError):
    """The other side has gone, or the runtime has broken the stream off; the text says why."""


class Pipe:
    """A stream, and those that wait for it."""

    def __init__(self, native: "_mozaiks.Stream") -> None:
        self.native = native
        self._waiting: List["asyncio.Future[None]"] = []
        self.native.wake = self._wake

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self) -> None:
        """Until something has changed."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    async def send(self, data: Bytes, flags: int = 0) -> None:
        """Sends a piece of at most PIECE_MAX bytes as soon as there is credit for it."""
        try:
            while not self.native.write(data, flags):
                await self.wait()
        except ConnectionResetError as error:
            raise StreamBroken(self.native.broken or str(error)) from None

    async def write(self, data: Bytes) -> None:
        """Sends any number of bytes."""
        view = memoryview(data).cast("B")
        for at in range(0, len(view), _mozaiks.PIECE_MAX):
            await self.send(view[at : at + _mozaiks.PIECE_MAX])

    async def receive(self) -> Optional[Tuple[bytes, int]]:
        """The next piece and its flags, or None after the last one."""
        while True:
            piece: Optional[Tuple[bytes, int]] = self.native.read()
            if piece is not None:
                return piece
            if self.native.ended:
                if self.native.broken is not None:
                    raise StreamBroken(self.native.broken)
                return None
            await self.wait()


def _pipe() -> Pipe:
    """The pipe of the call that runs here; its stream keeps it."""
    native = _mozaiks.stream()
    return native.wake.__self__ if native.wake is not None else Pipe(native)


def to_json(value: Any) -> bytes:
    """A value as results are written."""
    return _mozaiks.encode_json(value)


# ---- answers ----


def _type_of(piece: Any) -> str:
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return _BYTES
    return _TEXT if isinstance(piece, str) else _EVENTS


def _encode(piece: Any, events: bool) -> Bytes:
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return piece
    encode = getattr(piece, "encode", None)
    if events and (isinstance(piece, str) or encode is None):
        from mozaiks.streams import Event

        return Event(piece).encode()
    if encode is None:
        raise TypeError(f"a piece of an answer is bytes or text, not {type(piece).__name__}")
    data = encode() if not isinstance(piece, str) else piece.encode("utf-8", "replace")
    assert isinstance(data, bytes)
    return data


def _headers_of(response: Any, media_type: Optional[str]) -> Dict[str, str]:
    headers = {str(name): str(value) for name, value in dict(response.headers).items()}
    if media_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = media_type
    return headers


def _head(pipe: Pipe, status: int, headers: Dict[str, str]) -> None:
    pipe.native.head(status, json.dumps(headers).encode())


async def answer_stream(value: Any) -> None:
    """Sends what execute() returned: an async iterable, or a response with a body_iterator."""
    pipe = _pipe()
    content = getattr(value, "body_iterator", value)
    begun = events = False
    if content is not value:
        headers = _headers_of(value, getattr(value, "media_type", None))
        kind = next((v for n, v in headers.items() if n.lower() == "content-type"), _BYTES)
        events = kind.split(";")[0].strip().lower() == _EVENTS
        _head(pipe, int(value.status_code), headers)
        begun = True
    iterator = (content.__aiter__() if hasattr(content, "__aiter__")
                else _pool.Iteration(iter(content)))
    try:
        async for piece in iterator:
            if not begun:
                kind = _type_of(piece)
                events = kind == _EVENTS
                _head(pipe, 200, {"Content-Type": kind})
                begun = True
            await pipe.write(_encode(piece, events))
        if not begun:
            _head(pipe, 200, {"Content-Type": _BYTES})
        await pipe.send(b"", _LAST)
        background = getattr(value, "background", None)
        if background is not None:
            await background()
    finally:
        # Also when the client has gone: the generator's own finally must run now.
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


async def answer_text(text: bytes) -> None:
    """Sends a JSON value that is too long for a frame."""
    pipe = _pipe()
    pipe.native.head(_mozaiks.HEAD_VALUE, b"{}")
    await pipe.write(text)
    await pipe.send(b"", _LAST)


# ---- bodies ----


class Body:
    """A body in pieces: an async iterator, and ``read()``."""

    def __init__(self, pipe: Optional[Pipe]) -> None:
        self._pipe = pipe

    def __aiter__(self) -> "Body":
        return self

    async def __anext__(self) -> bytes:
        received = None if self._pipe is None else await self._pipe.receive()
        while received is not None and not received[0]:
            assert self._pipe is not None
            received = await self._pipe.receive()
        if received is None:
            raise StopAsyncIteration
        return received[0]

    async def read(self, limit: int = 64 * 1024 * 1024) -> bytes:
        """All that is left. Raises ``ValueError`` when that is more than ``limit`` bytes."""
        pieces = bytearray()
        async for piece in self:
            if len(pieces) + len(piece) > limit:
                raise ValueError(f"the body has more than {limit} bytes")
            pieces += piece
        return bytes(pieces)


def body() -> Body:
    """The body of the call that runs here."""
    pipe = _pipe()
    return Body(pipe if pipe.native.has_body else None)


# ---- WebSockets ----


class WebSocket:
    """A WebSocket that a client has opened at ``/ws/plugins/<plugin>[/path]``.

    The plugin's ``async def websocket(socket, data)`` has it for as long as it runs; ``data`` has the
    path, the query and who it is.
    """

    def __init__(self, pipe: Pipe, data: Dict[str, Any]) -> None:
        self._pipe = pipe
        self._closed = False
        self.data = data
        self.close_code: Optional[int] = None
        self.close_reason = ""

    async def receive(self) -> Union[str, bytes]:
        """The next message. Raises ``StreamBroken`` when the client has closed."""
        whole = bytearray()
        while True:
            received = None if self.close_code is not None else await self._pipe.receive()
            if received is None:
                raise StreamBroken("the client has closed the WebSocket")
            piece, flags = received
            if flags & _LAST:
                self._take_close(piece)
                continue
            whole += piece
            if not flags & _MORE:
                return codecs.decode(whole, "utf-8") if flags & _IS_TEXT else bytes(whole)

    def _take_close(self, piece: bytes) -> None:
        self.close_code = struct.unpack_from("<H", piece)[0] if len(piece) >= 2 else 1005
        self.close_reason = piece[2:].decode("utf-8", "replace")

    async def receive_text(self) -> str:
        """A message, as text."""
        message = await self.receive()
        return message if isinstance(message, str) else message.decode()

    async def receive_json(self) -> Any:
        """A message, from JSON."""
        return json.loads(await self.receive())

    async def send(self, message: Union[str, Bytes]) -> None:
        """Sends a message: text, or bytes."""
        is_text = isinstance(message, str)
        data = message.encode() if isinstance(message, str) else message
        view = memoryview(data).cast("B")
        kind = _IS_TEXT if is_text else 0
        at = 0
        while True:
            piece = view[at : at + _mozaiks.PIECE_MAX]
            at += len(piece)
            await self._pipe.send(piece, kind | (_MORE if at < len(view) else 0))
            if at >= len(view):
                return

    async def send_json(self, value: Any) -> None:
        """Sends a value as JSON."""
        await self.send(to_json(value).decode())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Closes; nothing can be sent afterwards."""
        if not self._closed:
            self._closed = True
            await self._pipe.send(struct.pack("<H", code) + reason.encode()[:123], _LAST)

    def __aiter__(self) -> "WebSocket":
        return self

    async def __anext__(self) -> Union[str, bytes]:
        try:
            return await self.receive()
        except StreamBroken:
            raise StopAsyncIteration from None


def socket_entry(function: Any) -> Any:
    """What answers a WebSocket: ``function(socket, data)``, or ``function(socket)``."""
    takes_data = len(inspect.signature(function).parameters) > 1

    async def run(data: Dict[str, Any]) -> None:
        socket = WebSocket(_pipe(), data)
        try:
            handled: Awaitable[Any] = function(socket, data) if takes_data else function(socket)
            await handled
            await socket.close()
        except StreamBroken:
            pass

    return run
