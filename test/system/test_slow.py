"""Slow heads, slow bodies, slow readers, by the hundred: they are ended by their limits, and whoever is
served beside them notices nothing."""
import contextlib
import os
import resource
import socket
import time

import pytest

from conftest import PLUGINS, needs_root
from runtime import PATIENCE_SECONDS, Runtime, mint, wait_for

SLOW = 150  # of each kind


@pytest.fixture(scope="module")
def runtime():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2048 <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    with Runtime({"answers": PLUGINS / "answers"}, env={
            "MOZAIKS_HEADER_TIMEOUT_SECONDS": "3", "MOZAIKS_BODY_TIMEOUT_SECONDS": "3",
            "MOZAIKS_SEND_TIMEOUT_SECONDS": "3", "MOZAIKS_LINGER_TIMEOUT_SECONDS": "0.3",
            "MOZAIKS_MIN_BODY_RATE": "100000"}) as r:
        yield r


def connect(runtime, receive=None):
    s = socket.socket()
    if receive:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    s.settimeout(PATIENCE_SECONDS)
    s.connect(("127.0.0.1", runtime.port))
    return s


def post(length):
    return (f"POST /api/execute/answers HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n"
            f"Authorization: Bearer {mint('slow')}\r\n\r\n").encode()


def drip(sockets, byte):
    """One byte to each. @return those that are still open."""
    left = []
    for s in sockets:
        try:
            s.sendall(byte)
            left.append(s)
        except OSError:
            s.close()
    return left


def innocents(runtime, n=10):
    """Requests of somebody else, all of which must be served."""
    statuses = [runtime.execute("answers", {"action": "none"}, user="innocent").status
                for _ in range(n)]
    assert statuses == [200] * n


def last_words(s):
    received = b""
    with contextlib.suppress(OSError):
        while piece := s.recv(65536):
            received += piece
    s.close()
    return received


def descriptors(runtime):
    return len(os.listdir(f"/proc/{runtime.director.pid}/fd"))


def test_slow_attackers_and_innocents(runtime):
    needs_root("only root counts the descriptors of a director")
    innocents(runtime)
    before = descriptors(runtime)
    heads = [connect(runtime) for _ in range(SLOW)]
    for s in heads:
        s.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\nX-")
    bodies = [connect(runtime) for _ in range(SLOW)]
    for s in bodies:
        s.sendall(post(1000) + b"{")
    # A body that makes progress, but at nothing like the least rate.
    crawling = [connect(runtime) for _ in range(10)]
    for s in crawling:
        s.sendall(post(100_000) + b"{")
    # More answers than the kernel holds for one who does not read.
    big = b'{"action":"big","bytes":900000}'
    readers = [connect(runtime, receive=4096) for _ in range(10)]
    for s in readers:
        s.sendall((post(len(big)) + big) * 12)
    said = []
    started = time.monotonic()
    while heads or bodies or crawling:
        heads = drip(heads, b"a")
        # What was said to those whose end has come.
        crawling = drip(crawling, b" ")
        innocents(runtime, 3)
        if time.monotonic() - started > 3.2 and bodies:
            said = [last_words(s) for s in bodies]
            bodies = []
        assert time.monotonic() - started < PATIENCE_SECONDS, (len(heads), len(bodies), len(crawling))
    assert all(words.startswith(b"HTTP/1.1 408 ") for words in said), said[:3]
    assert all(b"MOZAIKS_BODY_TIMEOUT_SECONDS" in words for words in said)
    innocents(runtime)
    wait_for(lambda: descriptors(runtime) <= before + 5, "the end of the slow ones")
    for s in readers:
        s.close()


def test_a_slow_head_is_told_why(runtime):
    s = connect(runtime)
    s.sendall(b"GET /livez HTTP/1.1\r\n")
    words = last_words(s)
    assert words.startswith(b"HTTP/1.1 408 ") and b"MOZAIKS_HEADER_TIMEOUT_SECONDS" in words
