"""Answers and bodies in pieces: whoever is slower is waited for, and whoever goes is noticed."""
import contextlib
import hashlib
import http.client
import json
import os
import socket
import subprocess
import threading
import time

import pytest
from runtime import PATIENCE_SECONDS, TOP, Neighbour, Runtime, mint, wait_for

PLUGINS = {name: TOP / "test/plugins" / name for name in ("pieces", "rude", "answers")}
PIECE = bytes(range(256)) * 256
MIB = 1 << 20


@pytest.fixture(scope="module")
def runtime():
    env = {"MOZAIKS_MAX_RESPONSE_BYTES": "8M", "MOZAIKS_MAX_UPLOAD_BYTES": "20M"}
    with Runtime(PLUGINS, env=env) as r:
        yield r


@pytest.fixture(scope="module")
def impatient():
    """A plugin that does nothing for a second is given up: no call of it may depend on being quick."""
    env = {"MOZAIKS_MAX_UPLOAD_BYTES": "1G", "MOZAIKS_SSE_HEARTBEAT_SECONDS": "0.3",
           "MOZAIKS_STREAM_IDLE_SECONDS": "1"}
    with Runtime(PLUGINS, env=env) as r:
        yield r


def seen(runtime):
    return runtime.execute("pieces", {"action": "seen"}).json


def execute_text(data, user="alice", version="1.1", more=""):
    body = json.dumps(data)
    return (f"POST /api/execute/pieces HTTP/{version}\r\nHost: x\r\n{more}"
            f"Authorization: Bearer {mint(user)}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
            ).encode()


def opened(runtime, data, small=False, **more):
    """A connection whose answer has begun to come, or will."""
    s = socket.socket()
    if small:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(PATIENCE_SECONDS)
    s.connect(("127.0.0.1", runtime.port))
    s.sendall(execute_text(data, **more))
    return s


def upload(runtime, action, body, query="", kind="application/octet-stream", **headers):
    return runtime.request("POST", f"/api/execute/pieces?action={action}{query}", body,
                           {"Content-Type": kind, **headers}, mint("alice"))


def cuts(runtime, why, since=0):
    return wait_for(lambda: [r for r in runtime.director.records[since:]
                             if r["id"] == "stream.cut" and why in r["message"]],
                    f"a cut because of: {why}")


# Answers

@pytest.mark.parametrize("data, kind, body", [
    ({"action": "texts", "n": 3}, "text/plain; charset=utf-8", b"line 0\nline 1\nline 2\n"),
    ({"action": "objects", "n": 2}, "text/event-stream", b'data: {"n":0}\n\ndata: {"n":1}\n\n'),
    ({"action": "produce", "n": 20}, "application/octet-stream", PIECE * 20),
    ({"action": "nothing"}, "application/octet-stream", b""),
    ({"action": "stored"}, "text/plain; charset=utf-8", b"0 alice\n1 alice\n2 alice\n"),
])
def test_generators_are_answers(runtime, data, kind, body):
    answer = runtime.execute("pieces", data)
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers
    assert answer.body == body


def test_a_response_says_its_status_and_some_headers(runtime):
    answer = runtime.execute("pieces", {"action": "sync"})
    assert (answer.status, answer.body) == (201, b"one two three")
    assert answer.headers["content-type"] == "text/x-lines"
    assert answer.headers["content-disposition"] == "attachment; filename=x"
    assert "set-cookie" not in answer.headers
    assert answer.headers["content-security-policy"].startswith("sandbox;")


def test_one_connection_has_many_answers(runtime):
    connection = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=PATIENCE_SECONDS)
    headers = {"Authorization": "Bearer " + mint("alice")}
    sock = None
    for n in (1, 200, 3):
        connection.request("POST", "/api/execute/pieces",
                           json.dumps({"action": "texts", "n": n}), headers)
        assert connection.getresponse().read().count(b"\n") == n
        assert sock in (None, connection.sock)
        sock = connection.sock
    connection.close()


def test_http_10_gets_no_chunks(runtime):
    with opened(runtime, {"action": "texts", "n": 3}, version="1.0") as s:
        received = b""
        while piece := s.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"chunked" not in head and body == b"line 0\nline 1\nline 2\n"


def test_long_values_are_values(runtime):
    answer = runtime.execute("pieces", {"action": "long", "length": 3_000_000})
    assert answer.status == 200 and answer.json == ["x" * 3_000_000]
    assert "transfer-encoding" not in answer.headers
    answer = runtime.execute("pieces", {"action": "long error", "length": 2_000_000})
    assert answer.status == 409 and answer.json["detail"] == "x" * 2_000_000
    answer = runtime.execute("pieces", {"action": "long", "length": 9_000_000})
    assert answer.status == 502 and answer.json["code"] == "plugin_response_too_large"
    assert "8388608 bytes (MOZAIKS_MAX_RESPONSE_BYTES)" in answer.json["detail"]


def test_what_fails_early_is_an_error(runtime):
    answer = runtime.execute("pieces", {"action": "failing early"})
    assert answer.status == 500 and answer.json["code"] == "plugin_exception"


@pytest.mark.parametrize("action, why", [
    ("failing", "the plugin failed"), ("dying", "the plugin died"),
    ("silent", "MOZAIKS_STREAM_IDLE_SECONDS")])
def test_what_fails_in_the_middle_does_not_end(runtime, impatient, action, why):
    if action == "silent":
        runtime = impatient
    since = len(runtime.director.records)
    with opened(runtime, {"action": action}) as s:
        received = b""
        while piece := s.recv(65536):
            received += piece
    assert b"\r\n4\r\nhalf\r\n" in received
    assert not received.endswith(b"0\r\n\r\n")
    cuts(runtime, why, since)
    wait_for(lambda: runtime.execute("pieces", {"action": "texts", "n": 1}).status == 200)


# Event streams

def test_a_silent_event_stream_gets_comments(impatient):
    """Longer silent than any other stream may be."""
    answer = impatient.request("POST", "/api/execute/pieces",
                               json.dumps({"action": "ticking", "seconds": 2}),
                               {"Last-Event-ID": "4\u00b2".encode().decode("latin-1")},
                               mint("alice"))
    assert answer.headers["content-type"] == "text/event-stream"
    first, last = b"event: start\nid: 1\ndata: first\n\n", b"id: 2\ndata: "
    assert answer.body.startswith(first) and last in answer.body
    between = answer.body[len(first):answer.body.index(last)]
    assert between == b":\n\n" * (len(between) // 3) and between
    assert json.loads(answer.body.rpartition(b"data: ")[2]) == {"last": "4\u00b2"}


# Back-pressure

def most_in_the_kernel():
    """Pieces of 64 KiB that a socket may take from us while nobody reads them, as this machine is set."""
    with open("/proc/sys/net/ipv4/tcp_wmem", encoding="ascii") as f:
        return int(f.read().split()[2]) // 65536


def still(runtime):
    """How many pieces were produced, once it has been the same for a while."""
    seen_now = [seen(runtime)["produced"] for _ in range(10) if time.sleep(0.05) is None]
    return seen_now[0] if len(set(seen_now)) == 1 else None


def test_a_slow_client_stops_the_generator(runtime):
    before = seen(runtime)["produced"]
    # What the kernel and one window hold, and far from all.
    most = most_in_the_kernel() + 100
    with opened(runtime, {"action": "produce", "n": 2 * most}, small=True) as s:
        wait_for(lambda: seen(runtime)["produced"] > before, "the first piece")
        assert wait_for(lambda: still(runtime), "the generator's rest") - before < most
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
        received = 0
        while received < 2 * most * 65536:
            piece = s.recv(MIB)
            assert piece
            received += len(piece)
    wait_for(lambda: seen(runtime)["running"] == 0, "the generator's end")


def test_a_client_that_goes_closes_the_generator(runtime):
    before = seen(runtime)
    s = opened(runtime, {"action": "produce", "n": 100_000})
    wait_for(lambda: seen(runtime)["running"] == 1)
    s.close()
    after = wait_for(lambda: (now := seen(runtime))["running"] == 0 and now)
    assert after["closed"] == before["closed"] + 1
    assert after["produced"] - before["produced"] < 100_000


def gated(runtime, **wanted):
    """What the blocked iterator's own worker says, which it could not if its loop were blocked."""
    def is_so():
        now = runtime.execute("pieces", {"action": "gated"}).json
        return now if all(now[name] == value for name, value in wanted.items()) else None
    return wait_for(is_so, f"{wanted}")


def test_an_iterator_that_blocks_delays_nobody_else(runtime):
    with opened(runtime, {"action": "blocking"}) as s:
        assert gated(runtime, waiting=1)["in_loop"] == 0
        runtime.execute("pieces", {"action": "open"})
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += s.recv(65536)
    assert b"before " in received and b"0 after" in received


def test_an_iterator_that_blocks_is_closed_when_its_client_goes(runtime):
    """Not before it comes back: nobody can stop a thread."""
    with opened(runtime, {"action": "blocking"}):
        closed = gated(runtime, waiting=1)["closed"]
    assert gated(runtime, waiting=1)["closed"] == closed
    runtime.execute("pieces", {"action": "open"})
    gated(runtime, waiting=0, closed=closed + 1)


def peak_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))


def test_100_mb_in_16_streams_need_little_memory(runtime):
    """Clients that read slowly at first, so that all windows are full at the same time."""
    n, pieces = 16, 100
    before = peak_kib(runtime.director.pid)
    streams = [opened(runtime, {"action": "produce", "n": pieces}, user=f"u{i}")
               for i in range(n)]
    wait_for(lambda: seen(runtime)["running"] == n)
    time.sleep(1)
    wanted = hashlib.sha256(PIECE * pieces).digest()
    results = []

    def read(s):
        response = http.client.HTTPResponse(s)
        response.begin()
        results.append(hashlib.sha256(response.read()).digest() == wanted)
        s.close()
    threads = [threading.Thread(target=read, args=(s,)) for s in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * n
    # A window of 256 KiB each, its copy on the way out, and what messages are read into.
    assert peak_kib(runtime.director.pid) - before < n * 2048
    wait_for(lambda: seen(runtime)["running"] == 0)


def test_streams_are_calls_in_flight():
    with Runtime(PLUGINS, env={"MOZAIKS_MAX_INFLIGHT_PER_USER": "2"}) as r:
        both = [opened(r, {"action": "produce", "n": 100_000}) for _ in range(2)]
        wait_for(lambda: r.execute("pieces", {"action": "seen"}, user="bob").json["running"] == 2)
        answer = r.execute("pieces", {"action": "seen"})
        assert answer.status == 429 and "MOZAIKS_MAX_INFLIGHT_PER_USER" in answer.json["detail"]
        for s in both:
            s.close()
        wait_for(lambda: r.execute("pieces", {"action": "seen"}).status == 200)


def test_streams_in_all():
    """Even one that moves is over after this time."""
    with Runtime(PLUGINS, env={"MOZAIKS_STREAM_MAX_SECONDS": "1"}) as r:
        started = time.monotonic()
        with opened(r, {"action": "ticking", "seconds": 30}) as s:
            received = b""
            while piece := s.recv(65536):
                received += piece
        assert time.monotonic() - started >= 0.95
        assert b"first" in received and not received.endswith(b"0\r\n\r\n")
        cuts(r, "MOZAIKS_STREAM_MAX_SECONDS")


# Bodies

def test_bodies_of_any_kind_go_to_plugins_that_ask_for_them(runtime):
    body = os.urandom(5 * MIB)
    answer = upload(runtime, "upload", body, "&name=a+b%21")
    assert answer.status == 200, answer
    assert answer.json["size"] == len(body)
    assert answer.json["sha256"] == hashlib.sha256(body).hexdigest()
    data = answer.json["data"]
    assert data["name"] == "a b!" and data["user_id"] == "alice"
    assert data["_upload"] == {"content_type": "application/octet-stream", "length": len(body)}
    pieces = (body[i:i + 100_000] for i in range(0, len(body), 100_000))
    answer = upload(runtime, "upload", pieces)
    assert answer.json["sha256"] == hashlib.sha256(body).hexdigest()
    assert answer.json["data"]["_upload"]["length"] is None
    assert upload(runtime, "read+once", b"").json == {"size": 0}


def test_an_upload_cannot_be_made_repeatable(runtime):
    """Refused before its body is read: whoever sends a key counts on it."""
    with socket.create_connection(("127.0.0.1", runtime.port), timeout=30) as s:
        s.sendall((f"POST /api/execute/pieces?action=upload HTTP/1.1\r\nHost: x\r\n"
                   f"Authorization: Bearer {mint('alice')}\r\nIdempotency-Key: a\r\n"
                   "Content-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n"
                   ).encode())
        answer = s.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"idempotency_key_unsupported" in answer
    answer = upload(runtime, "upload", b"abc")
    assert answer.status == 200 and answer.json["size"] == 3


def test_a_client_cannot_say_who_it_is_in_the_url(runtime):
    data = upload(runtime, "upload", b"x", "&user_id=eve&%75ser_id=eve&_context=1").json["data"]
    assert data["user_id"] == "alice" and data["_context"]["user_id"] == "alice"
    assert upload(runtime, "upload", b"x", "&a=%zz").status == 400
    assert upload(runtime, "upload", b"x", "&a=1&a=2").status == 400


def test_bodies_of_others_stay_short(runtime):
    answer = runtime.request("POST", "/api/execute/answers", b"x" * 2_000_000,
                             {"Content-Type": "application/octet-stream"}, mint("alice"))
    assert answer.status == 413 and "MAX_REQUEST_BODY_BYTES" in answer.json["detail"]
    answer = upload(runtime, "upload", b'{"action":"seen"}' + b" " * 2_000_000,
                    kind="application/json")
    assert answer.status == 413 and "MAX_REQUEST_BODY_BYTES" in answer.json["detail"]


def test_a_body_over_the_limit(runtime):
    answer = runtime.raw(b"POST /api/execute/pieces?action=upload HTTP/1.1\r\nHost: x\r\n"
                         b"Content-Type: a/b\r\nAuthorization: Bearer " + mint("alice").encode()
                         + b"\r\nContent-Length: 20971521\r\n\r\n")
    assert b" 413 " in answer and b"20971520 bytes (MOZAIKS_MAX_UPLOAD_BYTES)" in answer
    assert upload(runtime, "upload", b"x" * 20_971_520).json["size"] == 20_971_520


def test_there_and_back_at_once(runtime):
    """Far more than sockets and windows hold, so that either side waits for the other."""
    body = os.urandom(8 * MIB)
    head = (b"POST /api/execute/pieces?action=mirror HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n"
            % (mint("alice").encode(), len(body)))
    with socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS) as s:
        sender = threading.Thread(target=s.sendall, args=(head + body,))
        sender.start()
        response = http.client.HTTPResponse(s)
        response.begin()
        assert response.status == 200 and response.read() == body
        sender.join()


def test_an_answer_before_the_body_is_read(runtime):
    answer = upload(runtime, "ignore", b"x" * 20_000)
    assert answer.status == 200 and answer.json == {"ignored": True}


def test_a_plugin_that_does_not_read(impatient):
    """Its body is in nobody's memory, and the plugin's time is limited."""
    length = 900 * MIB
    sent = 0
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=PATIENCE_SECONDS) as s:
        s.sendall(b"POST /api/execute/pieces?action=never%%20reads HTTP/1.1\r\nHost: x\r\n"
                  b"Content-Type: a/b\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n"
                  % (mint("alice").encode(), length))
        before = peak_kib(impatient.director.pid)
        # Until it is full, or the plugin has been given up.
        s.settimeout(0.3)
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sent < length:
                sent += s.send(b"x" * 65536)
        s.settimeout(PATIENCE_SECONDS)
        answer = s.recv(65536)
    assert sent < length
    assert b" 504 " in answer and b"(MOZAIKS_STREAM_IDLE_SECONDS)" in answer
    assert peak_kib(impatient.director.pid) - before < 4096
    wait_for(lambda: impatient.execute("pieces", {"action": "seen"}).status == 200)


def test_a_client_that_goes_in_its_body(runtime):
    for n in (0, 10, 300_000):
        with socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS) as s:
            s.sendall(b"POST /api/execute/pieces?action=upload HTTP/1.1\r\nHost: x\r\n"
                      b"Content-Type: a/b\r\nAuthorization: Bearer " + mint("alice").encode()
                      + b"\r\nContent-Length: 1000000\r\n\r\n" + b"x" * n)
    assert upload(runtime, "upload", b"x").status == 200


def test_multipart(runtime):
    content = os.urandom(300_000) + b"\r\n--nearly--b" + os.urandom(1000)
    boundary = "nearly--boundary"
    body = b"a preamble\r\n"
    for head, part in ((b'name="title"', b"Gr\xc3\xbc\xc3\x9fe"),
                       (b'name="file"; filename="a \\"b\\".bin"\r\nContent-Type: a/b', content),
                       (b'name="empty"', b"")):
        body += (b"--" + boundary.encode() + b"\r\nContent-Disposition: form-data; " + head
                 + b"\r\n\r\n" + part + b"\r\n")
    body += b"--" + boundary.encode() + b"--\r\n"
    answer = upload(runtime, "parts", body, kind=f'multipart/form-data; boundary="{boundary}"')
    assert answer.status == 200, answer

    def sha(part):
        return hashlib.sha256(part).hexdigest()
    assert answer.json == [
        ["title", None, "text/plain", 7, sha("Grüße".encode())],
        ["file", 'a "b".bin', "a/b", len(content), sha(content)],
        ["empty", None, "text/plain", 0, sha(b"")]]
    for broken in (body[:-30], b"no part at all"):
        answer = upload(runtime, "parts", broken,
                        kind=f'multipart/form-data; boundary="{boundary}"')
        assert answer.status == 500 and "last boundary" in answer.body.decode()


# Plugins that break the rules

VIOLATIONS = {
    "data before a head": "a frame of a stream that is not open",
    "data after its end": "DATA after the end of a stream",
    "data after a reset": "DATA after RESET",
    "a second head": "a second RESULT_HEAD",
    "an unknown call": "a stream for a call that was never made",
    "after the result": "a frame of a stream after its call's RESULT",
    "credit for nothing": "CREDIT for a stream that is not open",
    "flags of a message": "DATA with flags of a message in a body",
    "an empty piece": "an empty piece of a body",
    "flood": "DATA without credit",
}


def test_violations_end_the_worker():
    """Each counts, and nobody else notices. A plugin for each: together they would be disabled."""
    names = {f"rude{n}": case for n, case in enumerate(VIOLATIONS.items())}
    plugins = {**PLUGINS, **{name: PLUGINS["rude"] for name in names}}
    with Runtime(plugins) as r, Neighbour(r) as neighbour:
        for name, (rude, what) in names.items():
            body = json.dumps({"rude": rude})
            with socket.create_connection(("127.0.0.1", r.port), timeout=PATIENCE_SECONDS) as s:
                s.sendall(f"POST /api/execute/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: "
                          f"{len(body)}\r\nAuthorization: Bearer {mint(name)}\r\n\r\n"
                          f"{body}".encode())
                ended = wait_for(lambda name=name: next(
                    (e for e in r.director.records
                     if e["id"] == "worker.exit_reason" and e["plugin"] == name), None),
                    f"the end of the worker that sent {rude}")
            assert ended["why"] == "protocol_violation", (rude, ended)
            assert f"protocol violation: {what}" in ended["reason"], (rude, ended)
        wait_for(lambda: neighbour.good > 3)
    assert not neighbour.bad


# Plugins in C

NATIVE = r"""
#include <mozaiks/plugin.h>
#include <string.h>

static int execute(struct mozaiks_call *call)
{
	static char piece[65536];
	struct mozaiks_text value;
	int64_t n = 0;
	int e;
	if (mozaiks_member(call, mozaiks_data(call), "early", &value) == 0) {
		return mozaiks_stream_write(call, MOZAIKS_TEXT("x")) == MOZAIKS_E_INVALID ? 0 : 9;
	}
	if (mozaiks_member(call, mozaiks_data(call), "n", &value) == 0) {
		(void)mozaiks_integer(call, value, &n);
	}
	e = mozaiks_stream_begin(call, 202, MOZAIKS_TEXT("a/b"));
	for (; e == 0 && n > 0; n--) {
		memset(piece, (int)(n & 127), sizeof(piece));
		e = mozaiks_stream_write(call, (struct mozaiks_text){ piece, sizeof(piece) });
	}
	if (mozaiks_member(call, mozaiks_data(call), "fail", &value) == 0) {
		return mozaiks_fail(call, "on purpose");
	}
	if (e == MOZAIKS_E_CANCELLED) {
		mozaiks_log(call, MOZAIKS_LOG_INFO, "the client has gone");
	}
	return e;
}

static const struct mozaiks_plugin plugin = {
	MOZAIKS_PLUGIN_HEAD,
	.name = "native",
	.threads = 1,
	.execute = execute,
};

const struct mozaiks_plugin *mozaiks_plugin(void)
{
	return &plugin;
}
"""


def test_native_plugins_answer_in_pieces(tmp_path):
    source, library = tmp_path / "logic.c", tmp_path / "logic.so"
    source.write_text(NATIVE)
    subprocess.run(["gcc", "-std=c17", "-shared", "-fPIC", "-I", TOP / "pluginhost/include", "-o",
                    library, source], check=True)
    with Runtime({"native": {"logic.so": library.read_bytes()}}) as r:
        answer = r.execute("native", {"n": 300})
        assert (answer.status, answer.headers["content-type"]) == (202, "a/b")
        assert answer.body == b"".join(bytes([n & 127]) * 65536 for n in range(300, 0, -1))
        assert r.execute("native", {"n": 0}).body == b""
        assert r.execute("native", {"early": 1}).json is None
        with pytest.raises(http.client.IncompleteRead):
            r.execute("native", {"n": 3, "fail": 1})
        body = json.dumps({"n": 1_000_000})
        with socket.create_connection(("127.0.0.1", r.port), timeout=PATIENCE_SECONDS) as s:
            s.sendall(f"POST /api/execute/native HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
                      f"\r\nAuthorization: Bearer {mint('alice')}\r\n\r\n{body}".encode())
            assert s.recv(100)
        wait_for(lambda: "the client has gone" in r.director.text)
        # Its one thread is free again.
        assert r.execute("native", {"n": 1}).status == 202


FORGED = """
from mozaiks.streams import StreamingResponse


async def body():
    yield b"HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nabc"


async def execute(data):
    return StreamingResponse(body(), status_code=data.get("status", 200),
                             media_type=data.get("type", "text/plain"),
                             headers=data.get("headers", {}))
"""


def test_a_head_that_a_plugin_forges():
    """Whatever it says of its answer, the client reads one answer, and no header that is not its own."""
    with Runtime({"forger": {"logic.py": FORGED}}) as r:
        def raw(data):
            body = json.dumps(data).encode()
            return r.raw(b"POST /api/execute/forger HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                         b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
                         % (mint("alice").encode(), len(body), body))
        lie = "x\r\nSet-Cookie: a=b\r\n\r\n"
        for data in ({"type": lie}, {"type": "a" * 5000},
                     {"headers": {"Content-Disposition": lie, lie: "x"}},
                     {"headers": {"Set-Cookie": "a=b", "Transfer-Encoding": "identity",
                                  "Content-Length": "5", "Connection": "keep-alive"}}):
            head, _, body = raw(data).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ") and b"Set-Cookie" not in head, head
            assert head.count(b"Content-Type:") == 1 and b"Content-Length" not in head
            assert b"Transfer-Encoding: chunked\r\n" in head
            assert body.startswith(b"29\r\nHTTP/1.1") and body.endswith(b"abc\r\n0\r\n\r\n")
        for status in (204, 304):
            head, _, body = raw({"status": status}).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status) and body == b""
            assert b"Transfer-Encoding" not in head
        for status in (101, 99, 600, -1):
            assert raw({"status": status}).startswith(b"HTTP/1.1 502 "), status
