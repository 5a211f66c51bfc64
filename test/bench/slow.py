"""Clients that are slow on purpose: while something else is measured they hold connections with heads and
bodies that come byte by byte, and with answers that nobody reads."""
import contextlib
import socket
import threading

from runtime import mint

HEADS, BODIES, READERS = 100, 100, 20
# Each sends a byte in a tenth of a second; not all at once, which strangers do not either.
TURN_SECONDS, TURNS = 0.01, 10
BODY_BYTES = 100_000
# More than the kernel holds for one who does not read.
UNREAD = 3000


class SlowClients:
    """Attacks `path` as long as the block lasts. `lost`: connections that the server has ended; each is
    made anew."""

    def __init__(self, port, path):
        self.port, self.lost = port, 0
        self.head = b"GET /livez HTTP/1.1\r\nHost: slow\r\nX-"
        self.body = (f"POST {path} HTTP/1.1\r\nHost: slow\r\nContent-Length: {BODY_BYTES}\r\n"
                     f"Authorization: Bearer {mint('slow')}\r\n\r\n{{").encode()
        self.unread = b"GET /info HTTP/1.1\r\nHost: slow\r\n\r\n" * UNREAD
        self.end = threading.Event()
        self.thread = threading.Thread(target=self._drip)
        self.sockets = {}

    def _open(self, first, receive=None):
        s = socket.socket()
        if receive:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        s.connect(("127.0.0.1", self.port))
        s.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            s.send(first)
        self.sockets[s] = (first, receive)

    def _drip(self):
        turn = 0
        while not self.end.wait(TURN_SECONDS):
            turn += 1
            for s, (first, receive) in list(self.sockets.items())[turn % TURNS::TURNS]:
                try:
                    if not receive:
                        s.send(b"a" if first is self.head else b" ")
                except BlockingIOError:
                    pass
                except OSError:
                    self.lost += 1
                    s.close()
                    del self.sockets[s]
                    self._open(first, receive)

    def __enter__(self):
        for first, n, receive in ((self.head, HEADS, None), (self.body, BODIES, None),
                                  (self.unread, READERS, 4096)):
            for _ in range(n):
                self._open(first, receive)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()
        for s in self.sockets:
            s.close()
