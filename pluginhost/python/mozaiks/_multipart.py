"""multipart/form-data (RFC 7578), read as it comes: no part is ever held as a whole."""

import re
from typing import AsyncIterable, AsyncIterator, Dict, Optional

_HEAD_MAX = 16 * 1024
_PARTS_MAX = 1000
_PARAMETER = re.compile(r';\s*([\w*-]+)=("((?:[^"\\]|\\.)*)"|[^;\s]*)')


def _parameters(value: str) -> Dict[str, str]:
    found = {}
    for name, plain, quoted in _PARAMETER.findall(value):
        found[name.lower()] = re.sub(r'\\(["\\])', r"\1", quoted) if plain[:1] == '"' else plain
    return found


class Part:
    """One part: its headers, and its content as an async iterator of bytes."""

    def __init__(self, reader: "_Reader", headers: Dict[str, str]) -> None:
        disposition = _parameters(headers.get("content-disposition", ""))
        self._reader = reader
        self.headers = headers
        self.name: Optional[str] = disposition.get("name")
        self.filename: Optional[str] = disposition.get("filename")
        self.content_type = headers.get("content-type", "text/plain")

    def __aiter__(self) -> "Part":
        return self

    async def __anext__(self) -> bytes:
        piece = await self._reader.content()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def read(self, limit: int = 1024 * 1024) -> bytes:
        """All of it. Raises ``ValueError`` when that is more than ``limit`` bytes."""
        whole = bytearray()
        async for piece in self:
            if len(whole) + len(piece) > limit:
                raise ValueError(f"the part {self.name!r} has more than {limit} bytes")
            whole += piece
        return bytes(whole)


class _Reader:
    def __init__(self, source: AsyncIterator[bytes], boundary: bytes) -> None:
        self._source = source
        # As if a line had ended before the first boundary: so all of them look alike.
        self._held = bytearray(b"\r\n")
        self._mark = b"\r\n--" + boundary
        self._in_part = False

    async def _more(self) -> None:
        try:
            self._held += await self._source.__anext__()
        except StopAsyncIteration:
            raise ValueError("the multipart body ends before its last boundary") from None

    async def content(self) -> bytes:
        """The next bytes of the part; empty at its end."""
        while self._in_part:
            at = self._held.find(self._mark)
            if at == 0:
                self._in_part = False
                break
            # What may be the beginning of a boundary waits for the rest of it.
            end = at if at > 0 else len(self._held) - len(self._mark) + 1
            if end > 0:
                piece = bytes(self._held[:end])
                del self._held[:end]
                return piece
            await self._more()
        return b""

    async def _until(self, end: bytes) -> bytes:
        while end not in self._held:
            if len(self._held) > _HEAD_MAX:
                raise ValueError(f"the headers of a part have more than {_HEAD_MAX} bytes")
            await self._more()
        head, _, rest = bytes(self._held).partition(end)
        self._held[:] = rest
        return head

    async def next_part(self) -> Optional[Part]:
        """The next part, whatever is left of the one before; None after the last."""
        while await self.content():
            pass
        while not self._held.startswith(self._mark) or len(self._held) < len(self._mark) + 2:
            at = self._held.find(self._mark)
            if at > 0:
                del self._held[:at]
            else:
                # A preamble, which nobody wants.
                keep = len(self._mark) - 1
                if at < 0 and len(self._held) > keep:
                    del self._held[:-keep]
                await self._more()
        del self._held[: len(self._mark)]
        if self._held.startswith(b"--"):
            return None
        head = await self._until(b"\r\n\r\n") if not self._held.startswith(b"\r\n\r\n") else b""
        if not head:
            del self._held[:4]
        headers = {}
        for line in head.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon:
                headers[name.strip().lower()] = value.strip()
        self._in_part = True
        # An empty part ends with the line that its head ended with.
        if self._held.startswith(self._mark[2:]):
            self._held[:0] = b"\r\n"
        return Part(self, headers)


async def parts(content_type: str, body: AsyncIterable[bytes]) -> AsyncIterator[Part]:
    """The parts of a body, in their order."""
    kind = content_type.split(";")[0].strip().lower()
    boundary = _parameters(content_type).get("boundary", "")
    if not kind.startswith("multipart/") or not 1 <= len(boundary) <= 70:
        raise ValueError("the body is not multipart, or its boundary is missing")
    reader = _Reader(body.__aiter__(), boundary.encode("latin-1", "replace"))
    for _ in range(_PARTS_MAX):
        part = await reader.next_part()
        if part is None:
            return
        yield part
    raise ValueError(f"the body has more than {_PARTS_MAX} parts")
