"""Answers, bodies and WebSockets in pieces: what plugins use.

``execute()`` may return an async generator, or one of the responses below. What is sent waits for
the client: a generator is asked for its next piece when the last one has gone.
"""

from typing import Any, AsyncIterable, AsyncIterator, Iterable, Mapping, Optional, Union

from mozaiks import _multipart, _streams
from mozaiks._streams import StreamBroken

__all__ = ["Event", "EventStream", "StreamBroken", "StreamingResponse", "WebSocket", "multipart",
           "request_body"]

Content = Union[AsyncIterable[Any], Iterable[Any]]


class Event:
    """One event of an event stream (``text/event-stream``).

    ``data`` is sent as it is when it is text, else as JSON. A client that reconnects sends the last
    ``id`` back; ``data["_last_event_id"]`` of the next call has it.
    """

    def __init__(self, data: Any = "", event: Optional[str] = None, id: Optional[str] = None,
                 retry: Optional[int] = None) -> None:
        for name, value in (("event", event), ("id", id)):
            if value is not None and any(c in value for c in "\r\n\0"):
                raise ValueError(f"{name} must be a single line")
        self.data = data
        self.event = event
        self.id = id
        self.retry = retry

    def encode(self) -> bytes:
        """The event as bytes, with the empty line that ends it."""
        text = self.data if isinstance(self.data, str) else _streams.to_json(self.data).decode()
        lines = []
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {int(self.retry)}")
        lines += [f"data: {line}" for line in _lines(text)]
        return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def _lines(text: str) -> "list[str]":
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


class StreamingResponse:
    """An answer in pieces, with a status, headers and a type of its own.

    ``content`` yields bytes or text. The signature is Starlette's, whose own
    ``StreamingResponse`` is taken, too.
    """

    media_type: Optional[str] = None

    def __init__(self, content: Content, status_code: int = 200,
                 headers: Optional[Mapping[str, str]] = None, media_type: Optional[str] = None,
                 ) -> None:
        self.body_iterator = content
        self.status_code = status_code
        self.headers = dict(headers or {})
        if media_type is not None:
            self.media_type = media_type


class EventStream(StreamingResponse):
    """Server-sent events: ``content`` yields ``Event``, or what becomes the data of one."""

    media_type = "text/event-stream"


def request_body() -> "_streams.Body":
    """The body that the caller uploads, for plugins whose manifest says ``"uploads": true``.

    ``async for piece in request_body()``, or ``await request_body().read(limit)``. In a call
    without such a body it is empty.
    """
    return _streams.body()


def multipart(content_type: str, body: Optional[AsyncIterable[bytes]] = None,
              ) -> "AsyncIterator[_multipart.Part]":
    """The parts of a ``multipart/form-data`` body, one after the other.

    ``async for part in multipart(data["_upload"]["content_type"])``; each has ``name``,
    ``filename``, ``headers``, and is itself read like a body before the next one is asked for.
    """
    return _multipart.parts(content_type, request_body() if body is None else body)


WebSocket = _streams.WebSocket
