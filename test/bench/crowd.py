#!/usr/bin/python3
"""Many WebSockets that do nothing but read, in a process of their own: crowd.py PORT N.

Prints a line of JSON when all are open, and one for each broadcast that all of them have got:
{"k": its number, "at": the monotonic clock when the last of them had it}. Ends with its input.
"""
import json
import os
import pathlib
import re
import resource
import select
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))

from runtime import mint  # noqa: E402
from websocket import PONG, frame  # noqa: E402

PER_USER = 10
NUMBER = re.compile(rb'"k": ?(\d+)')
REQUEST = ("GET /ws/notifications/_ HTTP/1.1\r\nHost: crowd\r\nUpgrade: websocket\r\n"
           "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           "Sec-WebSocket-Version: 13\r\nAuthorization: Bearer {}\r\n\r\n")


def open_one(port, token):
    s = socket.create_connection(("127.0.0.1", port), 30)
    s.sendall(REQUEST.format(token).encode())
    got = b""
    while b"connection_ack" not in got or not got.endswith(b"}"):
        data = s.recv(4096)
        if not data:
            raise SystemExit(f"a WebSocket was refused: {got!r}")
        got += data
    s.setblocking(False)
    return s


def main():
    port, n = int(sys.argv[1]), int(sys.argv[2])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sockets, token = {}, None
    # The clients of a real crowd have machines of their own: they take no time from those measured.
    os.nice(10)
    poll = select.epoll()
    for i in range(n):
        if i % PER_USER == 0:
            token = mint(f"crowd{i}")
        s = open_one(port, token)
        sockets[s.fileno()] = s
        poll.register(s.fileno(), select.EPOLLIN)
    poll.register(0, select.EPOLLIN)
    print(json.dumps({"open": n}), flush=True)
    counts = {}
    while True:
        for fd, _ in poll.poll():
            if fd == 0:
                if not os.read(0, 4096):
                    return
                continue
            data = sockets[fd].recv(65536)
            if not data:
                raise SystemExit("a WebSocket was closed")
            if data[0] == 0x89:
                sockets[fd].send(frame(PONG))
            for k in NUMBER.findall(data):
                counts[k] = counts.get(k, 0) + 1
                if counts[k] == n:
                    print(json.dumps({"k": int(k), "at": time.monotonic()}), flush=True)


if __name__ == "__main__":
    main()
