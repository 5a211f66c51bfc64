"""HTTP/1.1 as hostile or sloppy clients speak it: limits, framing, keep-alive, pipelining."""
import json
import socket
import time

import pytest

from conftest import PLUGINS
from runtime import DIRECTOR, PATIENCE_SECONDS, Runtime, mint, wait_for

BODY_LIMIT = 200_000


@pytest.fixture(scope="module")
def runtime():
    with Runtime({"answers": PLUGINS / "answers", "busy": PLUGINS / "busy"},
                 env={"MAX_REQUEST_BODY_BYTES": str(BODY_LIMIT)}) as r:
        yield r


def request(body=b"{}", headers=(), path="/api/execute/answers", method="POST", version="1.1",
            host="Host: test\r\n", token=None):
    lines = "".join(f"{h}\r\n" for h in headers)
    if not any(h.lower().startswith(("content-length", "transfer-encoding")) for h in headers):
        lines += f"Content-Length: {len(body)}\r\n"
    return (f"{method} {path} HTTP/{version}\r\n{host}"
            f"Authorization: Bearer {token or mint('alice')}\r\n{lines}\r\n").encode() + body


def statuses(received):
    """The status of each answer, read as a client reads them: by Content-Length."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        found.append(int(lines[0].split()[1]))
        length = next((int(line.split(b":")[1]) for line in lines
                       if line.lower().startswith(b"content-length:")), 0)
        received = rest[length:]
    return found


ECHO = json.dumps({"action": "echo", "n": 1}).encode()
NONE = json.dumps({"action": "none"}).encode()


def test_keep_alive(runtime):
    with socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS) as s:
        for _ in range(5):
            s.sendall(request(NONE))
            assert b" 200 " in s.recv(65536).split(b"\r\n")[0]


def test_http_1_0_closes(runtime):
    assert statuses(runtime.raw(request(NONE, version="1.0"))) == [200]


def test_connection_close(runtime):
    started = time.monotonic()
    assert statuses(runtime.raw(request(NONE, ["Connection: close"]))) == [200]
    # It ended, and was not given up by us.
    assert time.monotonic() - started < PATIENCE_SECONDS


def test_pipelining_keeps_the_order(runtime):
    """The first is the slowest: the answers still come in the order of the requests."""
    slow = request(b'{"action":"sleep","seconds":0.3}', path="/api/execute/busy")
    pipeline = slow + request(NONE) + request(b"{", ["X-Request-Id: third"]) + \
        request(ECHO, path="/api/execute/unknown") + request(ECHO, ["Connection: close"])
    received = runtime.raw(pipeline)
    assert statuses(received) == [200, 200, 400, 404, 200], received


def test_a_hundred_pipelined(runtime):
    pipeline = request(NONE) * 99 + request(NONE, ["Connection: close"])
    assert statuses(runtime.raw(pipeline)) == [200] * 100


def test_byte_by_byte(runtime):
    with socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request(ECHO, ["Connection: close"]):
            s.sendall(bytes([byte]))
        received = b""
        while piece := s.recv(65536):
            received += piece
    assert statuses(received) == [200]


def chunked(*pieces, trailer=b""):
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailer + b"\r\n"


def test_chunked_body(runtime):
    body = chunked(ECHO[:7], ECHO[7:])
    received = runtime.raw(request(body, ["Transfer-Encoding: chunked", "Connection: close"]))
    assert statuses(received) == [200] and b'"n":1' in received.replace(b" ", b"")


def test_chunk_extensions_and_trailers(runtime):
    body = b"%x;name=value;flag\r\n%b\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(ECHO), ECHO)
    assert statuses(runtime.raw(request(
        body, ["Transfer-Encoding: chunked", "Connection: close"]))) == [200]


def test_chunked_over_the_limit(runtime):
    body = chunked(b"x" * (BODY_LIMIT + 1))
    received = runtime.raw(request(body, ["Transfer-Encoding: chunked"]))
    assert statuses(received) == [413] and b"MAX_REQUEST_BODY_BYTES" in received


def test_many_small_chunks_over_the_limit(runtime):
    body = b"1\r\nx\r\n" * (BODY_LIMIT + 1) + b"0\r\n\r\n"
    assert statuses(runtime.raw(request(body, ["Transfer-Encoding: chunked"])))[0] in (400, 413)


def test_body_at_the_limit(runtime):
    for size, status in ((BODY_LIMIT, 200), (BODY_LIMIT + 1, 413)):
        body = b'{"action":"none","fill":"'
        body += b"x" * (size - len(body) - 2) + b'"}'
        answer = runtime.execute("answers", body)
        assert answer.status == status, answer
    assert "MAX_REQUEST_BODY_BYTES" in answer.json["detail"]


def test_413_comes_before_the_body(runtime):
    """Only the head is sent; the answer does not wait for a body."""
    received = runtime.raw(request(b"", [f"Content-Length: {BODY_LIMIT + 1}"]))
    assert statuses(received) == [413]


def test_expect_100_continue(runtime):
    with socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS) as s:
        s.sendall(request(b"", [f"Content-Length: {len(NONE)}", "Expect: 100-continue"]))
        assert s.recv(65536).startswith(b"HTTP/1.1 100 ")
        s.sendall(NONE)
        assert s.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_no_100_for_what_is_refused(runtime):
    """A stranger is not asked for the body."""
    data = request(b"", ["Content-Length: 10", "Expect: 100-continue"], token="x.y.z")
    assert statuses(runtime.raw(data))[0] == 401


LONG = "x" * 20_000
REFUSED = {
    # Limits of the head.
    "long target": (request(path="/" + LONG), {414}),
    "long header": (request(headers=[f"X-Long: {LONG}"]), {431}),
    "many headers": (request(headers=[f"X-{i}: {i}" for i in range(3000)]), {431}),
    # Smuggling: who speaks of the length must speak once and plainly.
    "two lengths": (request(ECHO, ["Content-Length: 3", "Content-Length: 3"]), {400}),
    "two different lengths": (request(ECHO, ["Content-Length: 3", "Content-Length: 4"]), {400}),
    "length list": (request(ECHO, ["Content-Length: 3, 3"]), {400}),
    "length sign": (request(ECHO, ["Content-Length: +3"]), {400}),
    "length negative": (request(ECHO, ["Content-Length: -1"]), {400}),
    "length hexadecimal": (request(ECHO, ["Content-Length: 0x3"]), {400}),
    "length empty": (request(ECHO, ["Content-Length: "]), {400}),
    "length overflow": (request(ECHO, ["Content-Length: 18446744073709551617"]), {400, 413}),
    "length and chunked": (request(chunked(ECHO), [
        "Content-Length: 3", "Transfer-Encoding: chunked"]), {400}),
    "chunked twice": (request(chunked(ECHO), [
        "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]), {400}),
    "chunked, gzip": (request(chunked(ECHO), ["Transfer-Encoding: chunked, gzip"]), {400, 501}),
    "gzip, chunked": (request(chunked(ECHO), ["Transfer-Encoding: gzip, chunked"]), {400, 501}),
    "identity": (request(ECHO, ["Transfer-Encoding: identity"]), {400, 501}),
    "chunked with a tab": (request(chunked(ECHO), ["Transfer-Encoding: \x0bchunked"]), {400, 501}),
    "chunked in 1.0": (request(chunked(ECHO), ["Transfer-Encoding: chunked"], version="1.0"), {400}),
    "blank before the colon": (request(ECHO, ["Content-Length : 3"]), {400}),
    "folded": (request(ECHO, ["X-A: 1\r\n continued"]), {400}),
    "folded length": (request(ECHO, ["Content-Length:\r\n 3"]), {400}),
    "bare LF": (request(NONE).replace(b"\r\n", b"\n", 3), {400}),
    "bare CR": (request(NONE, ["X-A: a\rTransfer-Encoding: chunked"]), {400}),
    "NUL in a header": (request(NONE, ["X-A: a\0b"]), {400}),
    "control in a header": (request(NONE, ["X-A: a\x01b"]), {400}),
    "empty name": (request(NONE, [": value"]), {400}),
    "blank in a name": (request(NONE, ["X A: value"]), {400}),
    "no colon": (request(NONE, ["nonsense"]), {400}),
    # Chunks.
    "chunk size sign": (request(b"+2\r\n{}\r\n0\r\n\r\n", ["Transfer-Encoding: chunked"]), {400}),
    "chunk size 0x": (request(b"0x2\r\n{}\r\n0\r\n\r\n", ["Transfer-Encoding: chunked"]), {400}),
    "chunk size overflow": (request(b"FFFFFFFFFFFFFFFFF\r\n", ["Transfer-Encoding: chunked"]),
                            {400, 413}),
    "chunk too long": (request(b"2\r\n{}}\r\n0\r\n\r\n", ["Transfer-Encoding: chunked"]), {400}),
    "chunk bare LF": (request(b"2\n{}\n0\n\n", ["Transfer-Encoding: chunked"]), {400}),
    "chunk end bare LF": (request(b"2\r\n{}\r\n0\r\n\n", ["Transfer-Encoding: chunked"]), {400}),
    # The request line and Host.
    "no host": (request(NONE, host=""), {400}),
    "two hosts": (request(NONE, host="Host: a\r\nHost: b\r\n"), {400}),
    "bad host": (request(NONE, host="Host: a b\r\n"), {400}),
    "version 2.0": (request(NONE, version="2.0"), {505}),
    "version 1.2": (request(NONE, version="1.2"), {505, 400}),
    "version nonsense": (request(NONE, version="x"), {400, 505}),
    "two blanks": (request(NONE).replace(b"POST /", b"POST  /"), {400}),
    "no target": (b"POST HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    "no slash": (request(NONE, path="api"), {400}),
    "leading blank": (b" " + request(NONE), {400}),
    "CONNECT": (request(b"", method="CONNECT", path="a:1"), {501, 405, 400}),
    "another expectation": (request(NONE, ["Expect: 200-ok"]), {417}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 300, {400}),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "garbage": (bytes(range(256)) * 8, {400}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_closed(runtime, name):
    """One answer, then the connection ends: what follows is never taken for a request."""
    data, allowed = REFUSED[name]
    received = runtime.raw(data + request(NONE))
    assert received, "no answer"
    assert len(statuses(received)) == 1 and statuses(received)[0] in allowed, received
    assert runtime.get("/livez").status == 200


@pytest.mark.parametrize("data", [request(headers=[f"X-Long: {LONG}"]), request(path="/" + LONG)],
                         ids=["header", "target"])
def test_a_problem_names_the_limit(runtime, data):
    assert b"MOZAIKS_MAX_HEAD_BYTES" in runtime.raw(data)


def test_trace_echoes_nothing(runtime):
    data = request(b"", ["Connection: close", "X-Secret: abc"], method="TRACE", path="/livez")
    received = runtime.raw(data)
    assert statuses(received) == [405] and b"abc" not in received


def test_half_a_head_is_no_request(runtime):
    """A client that ends in the middle of a head is never answered with success."""
    assert b" 200 " not in runtime.raw(request(NONE)[:60], close=True)
    assert b" 200 " not in runtime.raw(request(NONE)[:-1], close=True)


def test_many_idle_connections_disturb_nobody(runtime):
    idle = [socket.create_connection(("127.0.0.1", runtime.port)) for _ in range(300)]
    try:
        for s in idle[::2]:
            s.sendall(b"POST /api/execute/answers HTTP/1.1\r\nHost: x\r\n")
        assert runtime.execute("answers", {"action": "none"}).status == 200
    finally:
        for s in idle:
            s.close()


def test_a_client_that_leaves(runtime):
    """The call is cancelled, and its place is free again."""
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", runtime.port)) as s:
            s.sendall(request(b'{"action":"sleep","seconds":600}', path="/api/execute/busy"))
            time.sleep(0.02)
    # Before its deadline, that is.
    deadline = time.monotonic() + 25
    while True:
        stats = runtime.execute("busy", {"action": "stats"}).json
        if stats["now"] == 0:
            break
        assert time.monotonic() < deadline, stats
        time.sleep(0.05)


@pytest.fixture
def impatient():
    """A runtime that gives up soon on who does not read."""
    with Runtime({"answers": PLUGINS / "answers"},
                 env={"MOZAIKS_SEND_TIMEOUT_SECONDS": "1"}) as r:
        yield r


def test_who_does_not_read_is_cut_off(impatient):
    body = json.dumps({"action": "echo", "pad": "x" * 900_000}).encode()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", impatient.port))
        s.settimeout(PATIENCE_SECONDS)
        with pytest.raises(OSError):
            for _ in range(500):
                s.sendall(request(body))
    assert impatient.get("/livez").status == 200


@pytest.fixture
def short_of_descriptors():
    """The director alone is."""
    r = Runtime({"answers": PLUGINS / "answers"})
    try:
        limited = r.base / "limited"
        limited.write_text(f"#!/bin/sh\nulimit -n 160\nexec {DIRECTOR}\n")
        limited.chmod(0o755)
        r.start_director(limited)
        r.start_pluginhost()
        r.wait_ready()
        yield r
    finally:
        r.close()


def test_out_of_descriptors(short_of_descriptors):
    """Who is one too many waits; the others are served, and nothing spins."""
    r = short_of_descriptors
    assert any(x.get("id") == "http.few_descriptors" for x in r.records)
    held = [socket.create_connection(("127.0.0.1", r.port)) for _ in range(120)]
    try:
        held[-1].settimeout(0.5)
        held[-1].sendall(b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n")
        with pytest.raises(TimeoutError):
            held[-1].recv(1)
    finally:
        for s in held:
            s.close()
    wait_for(lambda: r.get("/livez").status == 200, "an answer")
    assert r.execute("answers", {"action": "none"}).status == 200
