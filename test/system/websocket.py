"""A WebSocket client that can also do wrong: it sends what bytes it is told to, and reads frames.

    with Client(port, "/ws/notifications/_", token=mint("alice")) as ws:
        ws.send({"type": "ping"})
        assert ws.receive()["type"] == "connection_ack"
"""
import base64
import hashlib
import json
import os
import socket
import struct

from runtime import PATIENCE_SECONDS

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Ended(Exception):
    """The connection is over without a close frame."""


class Refused(Exception):
    """The answer was not 101."""

    def __init__(self, status, head, body):
        super().__init__(f"{status} {body!r}")
        self.status, self.head, self.body = status, head, body


def frame(opcode, payload=b"", fin=True, rsv=0, mask=b"\x12\x34\x56\x78", length=None):
    """One frame. mask None: unmasked; length: "16" or "64" for a form that may be too long, or the bytes
    of the length field and what follows."""
    n = len(payload)
    first = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0 if mask is None else 0x80
    if isinstance(length, bytes):
        size = bytes([bit | length[0]]) + length[1:]
    elif length == "64" or (length is None and n > 0xFFFF):
        size = bytes([bit | 127]) + struct.pack(">Q", n)
    elif length == "16" or (length is None and n > 125):
        size = bytes([bit | 126]) + struct.pack(">H", n)
    else:
        size = bytes([bit | n])
    if mask is None:
        return first + size + payload
    # A whole number of masks as one large integer: quick for megabytes.
    whole = (mask * (n // 4 + 1))[:n]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(n, "big")
    return first + size + mask + masked


def close_payload(code, reason=b""):
    return struct.pack(">H", code) + reason


class Client:
    """An open WebSocket, or Refused."""

    def __init__(self, port, path, token=None, headers=None, timeout=PATIENCE_SECONDS, host="127.0.0.1",
                 receive_buffer=None, wrap=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if wrap:
            self.socket = wrap(self.socket)
        self.buffer = b""
        all_headers = {"Host": f"{host}:{port}", "Upgrade": "websocket", "Connection": "Upgrade",
                       "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
                       "Sec-WebSocket-Version": "13"}
        if token:
            all_headers["Authorization"] = f"Bearer {token}"
        all_headers.update(headers or {})
        lines = [f"GET {path} HTTP/1.1"]
        for name, value in all_headers.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    lines.append(f"{name}: {one}")
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.status, self.headers = self._head()
        if self.status != 101:
            body = self._exactly(int(self.headers.get("content-length", 0)))
            self.socket.close()
            raise Refused(self.status, self.headers, body)
        accept = hashlib.sha1(all_headers["Sec-WebSocket-Key"].encode() + GUID).digest()
        assert self.headers["sec-websocket-accept"] == base64.b64encode(accept).decode()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.socket.close()

    def _more(self):
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Ended()
        self.buffer += data

    def _exactly(self, n):
        while len(self.buffer) < n:
            self._more()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def _head(self):
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *rest = head.decode().split("\r\n")
        headers = {}
        for line in rest:
            name, value = line.split(": ", 1)
            headers[name.lower()] = value
        return int(first.split()[1]), headers

    def raw(self, data):
        self.socket.sendall(data)

    def send(self, message, opcode=TEXT):
        """A message: bytes as they are, a str as text, anything else as JSON."""
        if not isinstance(message, (bytes, str)):
            message = json.dumps(message)
        data = message.encode() if isinstance(message, str) else message
        self.raw(frame(opcode, data))

    def frame(self):
        """(opcode, payload) of the next frame, which must be whole and unmasked, as a server's are."""
        first, second = self._exactly(2)
        assert first & 0xF0 == 0x80 and second & 0x80 == 0, (first, second)
        n = second & 0x7F
        if n == 126:
            n, = struct.unpack(">H", self._exactly(2))
            assert n > 125
        elif n == 127:
            n, = struct.unpack(">Q", self._exactly(8))
            assert n > 0xFFFF
        return first & 0x0F, self._exactly(n)

    def receive(self, skip_pings=True):
        """The next message as JSON. A ping is answered on the way."""
        while True:
            opcode, payload = self.frame()
            if opcode == PING and skip_pings:
                self.raw(frame(PONG, payload))
                continue
            assert opcode == TEXT, (opcode, payload)
            return json.loads(payload)

    def receive_type(self, wanted):
        """The next message of a type; others are passed over."""
        while True:
            message = self.receive()
            if message["type"] == wanted:
                return message

    def closed(self, answer=True):
        """(code, reason) of the close frame that comes next; others before it are passed over."""
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                break
        if answer:
            self.raw(frame(CLOSE, payload[:2]))
        if not payload:
            return None, ""
        return struct.unpack(">H", payload[:2])[0], payload[2:].decode()

    def expect_end(self):
        """Reads to the end of the connection, which must come."""
        while True:
            try:
                self._more()
            except Ended:
                return
