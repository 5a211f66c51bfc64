"""Who a request comes from: proxies that are believed and others, and how many connections it may have."""
import socket
import time

import pytest

from runtime import DIRECTOR, Program, Runtime, wait_for


def start(**env):
    return Runtime(env={"MOZAIKS_ACCESS_LOG": "1", "ALLOWED_HOSTS": "example.org",
                        "MOZAIKS_HSTS_SECONDS": "1000", **env})


@pytest.fixture(scope="module")
def behind():
    """127.0.0.1 is a trusted proxy, and so is 10.0.0.0/8."""
    r = start(MOZAIKS_TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8")
    with director(r):
        yield r


@pytest.fixture(scope="module")
def alone():
    r = start()
    with director(r):
        yield r


class director:
    """The director alone: nothing here needs a plugin."""

    def __init__(self, runtime):
        self.runtime = runtime

    def __enter__(self):
        self.runtime.start_director()
        return self.runtime

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(self.runtime.log)
        self.runtime.close()


COUNT = [0]


def ask(runtime, headers, host="example.org"):
    """(head of the answer, the client in the access log)."""
    COUNT[0] += 1
    request_id = f"proxies-{COUNT[0]}"
    lines = "".join(f"{h}\r\n" for h in [*headers, f"X-Request-Id: {request_id}"])
    received = runtime.raw(f"GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n"
                           .encode())

    def logged():
        return [r for r in runtime.director.records
                if r.get("id") == "http.access" and r.get("request_id") == request_id]
    return received.partition(b"\r\n\r\n")[0].decode(), wait_for(logged)[0]["client"]


def test_nobody_is_believed_unless_named(alone):
    head, client = ask(alone, ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https",
                               "Forwarded: for=192.0.2.1;proto=https"])
    assert client == "127.0.0.1"
    assert head.startswith("HTTP/1.1 200 ") and "Strict-Transport-Security" not in head
    head, _ = ask(alone, ["X-Forwarded-Host: example.org"], host="evil.example")
    assert head.startswith("HTTP/1.1 421 ")
    # Nor can a forged host close the door.
    head, _ = ask(alone, ["X-Forwarded-Host: evil.example"])
    assert head.startswith("HTTP/1.1 200 ")


def test_the_last_address_that_is_not_ours(behind):
    for headers, expected in (
            ([], "127.0.0.1"),
            (["X-Forwarded-For: 192.0.2.1"], "192.0.2.1"),
            (["X-Forwarded-For: 192.0.2.66, 192.0.2.1, 10.1.2.3"], "192.0.2.1"),
            (["X-Forwarded-For: 192.0.2.66", "X-Forwarded-For: 2001:db8::1"], "2001:db8::1"),
            (["X-Forwarded-For: nonsense"], "127.0.0.1"),
            (["Forwarded: for=192.0.2.66"], "127.0.0.1")):
        assert ask(behind, headers)[1] == expected, headers


def test_protocol_and_host_of_the_client(behind):
    head, _ = ask(behind, ["X-Forwarded-Proto: https", "X-Forwarded-Host: example.org"],
                  host="10.1.2.3:8000")
    assert head.startswith("HTTP/1.1 200 ")
    assert "Strict-Transport-Security: max-age=1000" in head
    head, _ = ask(behind, ["X-Forwarded-Proto: http"])
    assert "Strict-Transport-Security" not in head
    head, _ = ask(behind, ["X-Forwarded-Host: evil.example"])
    assert head.startswith("HTTP/1.1 421 ")


def test_the_standard_header():
    with director(start(MOZAIKS_TRUSTED_PROXIES="127.0.0.0/8",
                        MOZAIKS_FORWARDED_HEADER="forwarded")) as r:
        head, client = ask(r, ['Forwarded: for="[2001:db8::1]:99";proto=https;host=example.org',
                               "X-Forwarded-For: 192.0.2.66"], host="inside")
        assert client == "2001:db8::1" and head.startswith("HTTP/1.1 200 ")
        assert "Strict-Transport-Security: max-age=1000" in head


@pytest.mark.parametrize("value", ["*", "proxy.example", "10.0.0.1/8", "10.0.0.0/40"])
def test_a_list_that_is_none_stops_the_start(value):
    r = start(MOZAIKS_TRUSTED_PROXIES=value)
    try:
        program = Program(DIRECTOR, r.env)
        assert program.wait(30) == 1
        assert "MOZAIKS_TRUSTED_PROXIES" in program.text
    finally:
        r.close()


LIVEZ = b"GET /livez HTTP/1.1\r\nHost: example.org\r\n\r\n"


def connect(runtime, n):
    return [socket.create_connection(("127.0.0.1", runtime.port), timeout=10) for _ in range(n)]


def is_served(s):
    """True: answered; False: closed at once."""
    try:
        s.sendall(LIVEZ)
        return s.recv(65536).startswith(b"HTTP/1.1 200 ")
    except ConnectionError:
        return False


def close(sockets):
    for s in sockets:
        s.close()


def test_connections_of_one_address():
    with director(start(MOZAIKS_MAX_CONNECTIONS_PER_ADDRESS="5")) as r:
        first = connect(r, 5)
        assert [is_served(s) for s in first] == [True] * 5
        more = connect(r, 3)
        assert [is_served(s) for s in more] == [False] * 3
        # Those that are there are not touched; another address has its own.
        assert all(is_served(s) for s in first)
        other = socket.socket()
        other.bind(("127.0.0.2", 0))
        other.settimeout(10)
        other.connect(("127.0.0.1", r.port))
        assert is_served(other)
        # A place that becomes free is taken by the next.
        first.pop().close()

        def served():
            s = connect(r, 1)[0]
            ok = is_served(s)
            s.close()
            return ok
        wait_for(served, "a free place")
        def told():
            return [x for x in r.director.records if x.get("id") == "http.address_full"]
        records = wait_for(told, "the record")
        # Not one for each.
        assert len(records) == 1 and records[0]["client"] == "127.0.0.1"
        assert "MOZAIKS_MAX_CONNECTIONS_PER_ADDRESS" in records[0]["message"]
        close([*first, *more, other])


def test_proxies_are_not_counted():
    with director(start(MOZAIKS_MAX_CONNECTIONS_PER_ADDRESS="2",
                        MOZAIKS_TRUSTED_PROXIES="127.0.0.1")) as r:
        sockets = connect(r, 10)
        assert all(is_served(s) for s in sockets)
        close(sockets)


def test_the_machine_itself_is_not_held_to_the_default():
    with director(start(MOZAIKS_MAX_CONNECTIONS="16")) as r:
        sockets = connect(r, 16)
        assert all(is_served(s) for s in sockets)
        # In all there are sixteen: the next one waits, and is served when one has gone.
        waiting = connect(r, 1)[0]
        waiting.sendall(LIVEZ)
        waiting.settimeout(0.3)
        with pytest.raises(TimeoutError):
            waiting.recv(100)
        sockets.pop().close()
        waiting.settimeout(10)
        assert waiting.recv(100).startswith(b"HTTP/1.1 200 ")
        close([*sockets, waiting])


def test_a_flood_of_connections_leaves_nothing():
    with director(start(MOZAIKS_MAX_CONNECTIONS_PER_ADDRESS="3")) as r:
        held = connect(r, 3)
        assert all(is_served(s) for s in held)
        for _ in range(20):
            close(connect(r, 50))
        assert all(is_served(s) for s in held)
        close(held)

        def free():
            s = connect(r, 3)
            ok = all(is_served(x) for x in s)
            close(s)
            time.sleep(0.05)
            return ok
        wait_for(free, "three free places")
