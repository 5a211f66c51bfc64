"""HTTPS: what is spoken and what is not, hostile handshakes, certificates that change."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

from conftest import PLUGINS, needs_root
from runtime import DIRECTOR, PATIENCE_SECONDS, Program, Runtime, mint, wait_for

HANDSHAKE_SECONDS = 3.0
# A sanitizer keeps freed memory; what leaks it says itself.
SANITIZED = b"__asan_init" in DIRECTOR.read_bytes()


def make_certificate(folder, name="localhost", days=30):
    """(certificate, key): PEM files in `folder`, which the director's user can read."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    fresh = folder / "fresh"
    fresh.mkdir(exist_ok=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", str(days), "-subj", f"/CN={name}", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", fresh / "key.pem", "-out",
         fresh / "cert.pem"], check=True, capture_output=True)
    for file in (key, certificate):
        (fresh / file.name).chmod(0o644)
        (fresh / file.name).rename(file)
    return certificate, key


class Secure(Runtime):
    """A runtime that speaks HTTPS."""

    def __init__(self, plugins=None, env=None):
        super().__init__(plugins, env=env)
        self.certificates = self.base / "certificates"
        self.certificates.mkdir()
        self.certificates.chmod(0o755)
        certificate, key = make_certificate(self.certificates)
        self.env.update(TLS_CERT_FILE=str(certificate), TLS_KEY_FILE=str(key))
        self.tls = client_context()

    def wait_records(self, event, n=1):
        """The last of at least n records of this event."""
        def found():
            records = [r for r in self.director.records if r.get("id") == event]
            return records if len(records) >= n else None
        return wait_for(found, f"{n} x {event}")[-1]


def client_context(low=None, high=None, ciphers=None, alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if ciphers:
        context.set_ciphers(ciphers)
    if low:
        context.minimum_version = low
    if high:
        context.maximum_version = high
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


@pytest.fixture(scope="module")
def runtime():
    if not shutil.which("openssl"):
        from not_run import cannot_run
        cannot_run("openssl, which makes the certificates, is missing")
    with Secure({"answers": PLUGINS / "answers"}, env={
            "MOZAIKS_TLS_HANDSHAKE_TIMEOUT_SECONDS": str(HANDSHAKE_SECONDS),
            "MOZAIKS_TLS_CHECK_SECONDS": "0.2"}) as r:
        yield r


@contextlib.contextmanager
def connect(runtime, context=None, session=None):
    with socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS) as plain:
        with (context or client_context()).wrap_socket(
                plain, suppress_ragged_eofs=False, session=session) as s:
            yield s


def read_all(s):
    """What comes until a clean end; a connection that is cut raises."""
    received = b""
    while piece := s.recv(65536):
        received += piece
    return received


LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
KEEP = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_answers_and_says_good_bye(runtime, version):
    version = ssl.TLSVersion[version]
    with connect(runtime, client_context(version, version, alpn=["h2", "http/1.1"])) as s:
        assert s.version() == version.name.replace("_", ".")
        assert s.selected_alpn_protocol() == "http/1.1"
        s.sendall(LIVEZ)
        received = read_all(s)
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nStrict-Transport-Security: max-age=31536000\r\n" in received


def test_forward_secrecy_alone(runtime):
    with connect(runtime, client_context(high=ssl.TLSVersion.TLSv1_2)) as s:
        assert s.cipher()[0].startswith("ECDHE-")
    for ciphers in ("AES128-SHA:@SECLEVEL=0", "AES256-GCM-SHA384:@SECLEVEL=0",
                    "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"):
        context = client_context(high=ssl.TLSVersion.TLSv1_2, ciphers=ciphers)
        with pytest.raises(ssl.SSLError, match="(?i)HANDSHAKE[ _]FAILURE"):
            with connect(runtime, context):
                pass


def test_old_versions_are_refused(runtime):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = client_context(version, version, "ALL:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError, match="(?i)PROTOCOL[ _]VERSION"):
            with connect(runtime, context):
                pass


def test_a_client_without_http_1_1_is_told(runtime):
    with pytest.raises(ssl.SSLError, match="(?i)NO[ _]APPLICATION[ _]PROTOCOL"):
        with connect(runtime, client_context(alpn=["h2"])):
            pass


def test_plain_http_is_told_where_it_is(runtime):
    received = runtime.raw(KEEP)
    assert received.startswith(b"HTTP/1.1 400 ") and b"https" in received


GARBAGE = {
    "zeros": b"\0" * 4096, "ones": b"\xff" * 4096, "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "long record": b"\x16\x03\x01\xff\xff" + b"x" * 100,
    "SSL 2": b"\x80\x2e\x01\x00\x02" + b"y" * 60,
    "empty records": b"\x16\x03\x01\x00\x00" * 5000, "alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "proxy protocol": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_ends_the_connection(runtime, garbage):
    with socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS) as s:
        with contextlib.suppress(ConnectionError):
            s.sendall(garbage)
            while s.recv(4096):
                pass
    assert request(runtime).startswith(b"HTTP/1.1 200 ")


def request(runtime, data=LIVEZ):
    with connect(runtime) as s:
        s.sendall(data)
        return read_all(s)


def hello():
    """A client's first flight."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return client, incoming, outgoing


def test_a_handshake_has_its_time(runtime):
    """Nothing, half of a hello, a whole one and no more, one byte now and then: all are closed."""
    first = hello()[2].read()
    sockets = []
    for start in (b"", first[:40], first):
        s = socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS)
        s.sendall(start)
        sockets.append(s)
    slow = socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS)
    started = time.monotonic()
    with contextlib.suppress(ConnectionError):
        for byte in first:
            slow.sendall(bytes([byte]))
            time.sleep(0.05)
            if time.monotonic() - started > 10 * HANDSHAKE_SECONDS:
                pytest.fail("a byte now and then keeps the connection")
    for s in [*sockets, slow]:
        with s, contextlib.suppress(ConnectionError):
            while s.recv(65536):
                pass
    assert time.monotonic() - started >= HANDSHAKE_SECONDS * 0.9


def test_byte_by_byte_in_time(runtime):
    """Each byte of the handshake and of the request in a packet of its own."""
    client, incoming, outgoing = hello()
    with socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send():
            for byte in outgoing.read():
                s.sendall(bytes([byte]))
        for _ in range(20):
            send()
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(s.recv(65536))
        for byte in LIVEZ:
            client.write(bytes([byte]))
            send()
        received = b""
        while True:
            try:
                piece = client.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(s.recv(65536))
                continue
            if not piece:
                break
            received += piece
    assert received.startswith(b"HTTP/1.1 200 ")


def test_pipelining(runtime):
    received = request(runtime, KEEP * 299 + LIVEZ)
    assert received.count(b"HTTP/1.1 200 ") == 300


def execute(body, headers=b""):
    return (f"POST /api/execute/answers HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {mint('alice')}\r\nConnection: close\r\n").encode() + headers + \
        (b"" if b"chunked" in headers else b"Content-Length: %d\r\n" % len(body)) + b"\r\n" + body


def test_large_bodies(runtime):
    """A body of many records, and an answer of many; both framings; little rooms, large records."""
    body = b'{"action":"echo","fill":"' + b"x" * 800_000 + b'"}'
    received = request(runtime, execute(body))
    assert received.startswith(b"HTTP/1.1 200 ") and received.count(b"x") > 800_000
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(body[i:i + 5000]), body[i:i + 5000])
                      for i in range(0, len(body), 5000)) + b"0\r\n\r\n"
    received = request(runtime, execute(pieces, b"Transfer-Encoding: chunked\r\n"))
    assert received.startswith(b"HTTP/1.1 200 ") and received.count(b"x") > 800_000


def test_a_slow_reader_gets_everything(runtime):
    body = b'{"action":"echo","fill":"' + b"x" * 800_000 + b'"}'
    with socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        with client_context().wrap_socket(plain, suppress_ragged_eofs=False) as s:
            s.sendall(execute(body))
            time.sleep(0.5)
            received = read_all(s)
    assert received.count(b"x") > 800_000


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_sessions_are_resumed(runtime, version):
    context = client_context(high=ssl.TLSVersion[version])
    with connect(runtime, context) as s:
        s.sendall(LIVEZ)
        read_all(s)
        session = s.session
    with connect(runtime, context, session) as s:
        assert s.session_reused
        s.sendall(LIVEZ)
        assert read_all(s).startswith(b"HTTP/1.1 200 ")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_kib(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4


def test_aborted_handshakes_leave_nothing(runtime):
    """Given up at every stage, by a reset or by an end; memory and descriptors are as before."""
    needs_root("only root counts the descriptors of a director")
    pid = runtime.director.pid

    def abort(n):
        first = hello()[2].read()
        for i in range(n):
            s = socket.create_connection(("127.0.0.1", runtime.port), timeout=PATIENCE_SECONDS)
            s.sendall(first[:len(first) * (i % 5) // 4])
            if i % 5 == 4:
                s.recv(100)
            if i % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
    request(runtime)
    before = descriptors(pid)
    abort(200)
    wait_for(lambda: descriptors(pid) <= before, "the end of the connections")
    used = memory_kib(pid)
    for _ in range(3):
        abort(200)
    wait_for(lambda: descriptors(pid) <= before, "the end of the connections")
    # Not a byte-exact figure: 600 sessions that leak would be 10 MiB and more.
    assert SANITIZED or memory_kib(pid) < used + 4096
    assert request(runtime).startswith(b"HTTP/1.1 200 ")


def test_websockets_over_tls(runtime):
    """What comes after 101 goes through the same records: short ones, cut ones, many in one."""
    with connect(runtime) as s:
        s.sendall(f"GET /ws/notifications/alice HTTP/1.1\r\nHost: localhost\r\n"
                  f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  f"Sec-WebSocket-Protocol: mozaiks, {mint('alice')}\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += s.recv(65536)
        head, _, rest = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        pings = [b"\x89\x84\0\0\0\0" + b"%04d" % i for i in range(5)]
        pongs = [b"\x8a\x04" + b"%04d" % i for i in range(5)]
        for byte in pings[0]:
            s.sendall(bytes([byte]))
        s.sendall(b"".join(pings[1:]))
        while not all(pong in rest for pong in pongs):
            rest += s.recv(65536)
        s.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
        while b"\x88\x02\x03\xe8" not in rest:
            rest += s.recv(65536)
        assert read_all(s) == b""


def serial(runtime):
    """What is presented now."""
    return ssl.get_server_certificate(("127.0.0.1", runtime.port))


def test_a_renewed_certificate_is_used_without_a_restart(runtime):
    before = serial(runtime)
    with connect(runtime) as old:
        make_certificate(runtime.certificates)
        wait_for(lambda: serial(runtime) != before, "the new certificate")
        # Who was there before goes on with what it began with.
        old.sendall(LIVEZ)
        assert read_all(old).startswith(b"HTTP/1.1 200 ")
    assert runtime.director.alive()


def failures(runtime):
    return len([r for r in runtime.director.records if r.get("id") == "tls.not_reloaded"])


@pytest.mark.parametrize("breakage, why", [
    (lambda folder: (folder / "cert.pem").write_bytes(b""), "no certificate"),
    (lambda folder: (folder / "cert.pem").write_bytes(
        (folder / "cert.pem").read_bytes()[:100]), "no certificate"),
    (lambda folder: (folder / "key.pem").unlink(), "No such file"),
    (lambda folder: (folder / "key.pem").write_bytes(b"x" * 1_000_000), "large"),
    (lambda folder: ((folder / "key.pem").unlink(), os.mkfifo(folder / "key.pem")), "TLS_KEY_FILE"),
])
def test_a_broken_one_keeps_the_old_one_and_says_why(runtime, breakage, why):
    before, n = serial(runtime), failures(runtime)
    breakage(runtime.certificates)
    record = runtime.wait_records("tls.not_reloaded", n + 1)
    assert why in record["message"], record
    assert serial(runtime) == before
    with contextlib.suppress(FileNotFoundError):
        (runtime.certificates / "key.pem").unlink()
    make_certificate(runtime.certificates)
    wait_for(lambda: serial(runtime) != before, "the whole one")


def test_a_key_of_another_certificate(runtime):
    before, n = serial(runtime), failures(runtime)
    kept = (runtime.certificates / "key.pem").read_bytes()
    other = runtime.base / "other"
    other.mkdir()
    make_certificate(other)
    os.replace(other / "key.pem", runtime.certificates / "key.pem")
    assert "does not belong" in runtime.wait_records("tls.not_reloaded", n + 1)["message"]
    assert serial(runtime) == before
    # Its certificate follows, as when both are renewed one after the other.
    os.replace(other / "cert.pem", runtime.certificates / "cert.pem")
    wait_for(lambda: serial(runtime) != before, "both new ones")
    assert kept != (runtime.certificates / "key.pem").read_bytes()


def test_sighup_reads_them_again():
    with Secure(env={"MOZAIKS_TLS_CHECK_SECONDS": "0"}) as r:
        before = serial(r)
        make_certificate(r.certificates)
        time.sleep(0.5)
        assert serial(r) == before
        r.director.signal(signal.SIGHUP)
        wait_for(lambda: serial(r) != before, "the new certificate")


def test_links_that_are_changed():
    """As certbot and Kubernetes renew: the name stays, the link behind it leads to another file."""
    r = Secure(env={"MOZAIKS_TLS_CHECK_SECONDS": "0.2"})
    try:
        archive = r.base / "archive"
        for version in ("1", "2"):
            (archive / version).mkdir(parents=True)
            make_certificate(archive / version)
        live = r.base / "live"
        live.mkdir()
        for name in ("cert.pem", "key.pem"):
            (archive / "1" / name).rename(archive / f"1{name}")
            (archive / "2" / name).rename(archive / f"2{name}")
            (live / name).symlink_to(archive / f"1{name}")
        for folder in (archive, live):
            folder.chmod(0o755)
        r.env.update(TLS_CERT_FILE=str(live / "cert.pem"), TLS_KEY_FILE=str(live / "key.pem"))
        with r:
            before = serial(r)
            for name in ("key.pem", "cert.pem"):
                (live / "new").symlink_to(archive / f"2{name}")
                (live / "new").rename(live / name)
            wait_for(lambda: serial(r) != before, "the new certificate")
    finally:
        r.close()


@pytest.mark.parametrize("change, says", [
    (lambda r: r.env.pop("TLS_KEY_FILE"), "TLS needs both"),
    (lambda r: (r.certificates / "key.pem").write_bytes(b"none"), "TLS_KEY_FILE"),
    (lambda r: (r.certificates / "cert.pem").unlink(), "TLS_CERT_FILE"),
])
def test_it_does_not_start_with_half_of_it(change, says):
    r = Secure()
    try:
        change(r)
        director = Program(DIRECTOR, r.env)
        assert director.wait(30) == 1
        assert says in director.text, director.text
    finally:
        r.close()
