"""Requests a minute: of an address, of a user, to a plugin. What clients are told of them."""
import re

import pytest

from conftest import PLUGINS
from runtime import DIRECTOR, Runtime, mint

# A sanitizer keeps freed memory.
SANITIZED = b"__asan_init" in DIRECTOR.read_bytes()


def ask(runtime, client=None, path="/livez"):
    headers = {"X-Forwarded-For": client} if client else {}
    return runtime.get(path, headers=headers)


@pytest.fixture
def by_address():
    """The director alone, behind a proxy that says whose a request is."""
    r = Runtime(env={"MOZAIKS_RATE_PER_ADDRESS": "6", "MOZAIKS_TRUSTED_PROXIES": "127.0.0.1"})
    try:
        r.start_director()
        yield r
    finally:
        r.close()


def test_an_address_has_its_minute(by_address):
    first = [ask(by_address, "192.0.2.1") for _ in range(6)]
    assert [a.status for a in first] == [200] * 6
    assert first[0].headers["ratelimit-policy"] == '"address";q=6;w=60'
    assert first[0].headers["ratelimit"] == '"address";r=5;t=10'
    refused = ask(by_address, "192.0.2.1")
    assert refused.status == 429 and refused.json["code"] == "too_many_requests"
    assert "MOZAIKS_RATE_PER_ADDRESS" in refused.json["detail"]
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    assert re.fullmatch(r'"address";r=0;t=\d+', refused.headers["ratelimit"])
    # Other addresses have their own; the proxy itself is not held to one.
    assert ask(by_address, "192.0.2.2").status == 200
    assert [ask(by_address).status for _ in range(20)] == [200] * 20
    # Whatever is asked for, and whoever forges what stands before the last address.
    assert ask(by_address, "192.0.2.1", "/nothing").status == 429
    assert ask(by_address, "192.0.2.99, 192.0.2.1").status == 429


def test_a_v6_host_cannot_change_its_address(by_address):
    for i in range(6):
        assert ask(by_address, f"2001:db8::{i + 1}").status == 200
    assert ask(by_address, "2001:db8::ffff:1").status == 429
    assert ask(by_address, "2001:db8:0:1::1").status == 200


def test_a_flood_of_addresses_takes_no_memory(by_address):
    """More of them than are remembered; a used-up one is refused all along."""
    for _ in range(6):
        ask(by_address, "192.0.2.1")
    with open(f"/proc/{by_address.director.pid}/statm", encoding="utf-8") as f:
        before = int(f.read().split()[1])
    request = b"GET /livez HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %b\r\n%b\r\n"
    for block in range(160):
        received = by_address.raw(b"".join(
            request % (b"10.%d.%d.%d" % (block // 10, block, i),
                       b"Connection: close\r\n" if i == 249 else b"") for i in range(250)))
        assert received.count(b"HTTP/1.1 200 ") == 250
    assert ask(by_address, "192.0.2.1").status == 429
    with open(f"/proc/{by_address.director.pid}/statm", encoding="utf-8") as f:
        assert SANITIZED or int(f.read().split()[1]) < before + 512


@pytest.fixture(scope="module")
def runtime():
    with Runtime({"answers": PLUGINS / "answers", "other": PLUGINS / "answers"},
                 env={"MOZAIKS_RATE_PER_USER": "5", "MOZAIKS_RATE_PER_PLUGIN": "20"}) as r:
        yield r


def call(runtime, user, plugin="answers"):
    return runtime.execute(plugin, {"action": "none"}, user=user)


def test_a_user_has_a_minute(runtime):
    answers = [call(runtime, "alice") for _ in range(6)]
    assert [a.status for a in answers] == [200] * 5 + [429]
    assert answers[0].headers["ratelimit-policy"] == '"user";q=5;w=60'
    assert answers[0].headers["ratelimit"].startswith('"user";r=4;t=')
    refused = answers[-1]
    assert refused.json["code"] == "too_many_requests"
    assert "MOZAIKS_RATE_PER_USER" in refused.json["detail"]
    assert 1 <= int(refused.headers["retry-after"]) <= 12
    # Another token of the same user changes nothing; another plugin neither; another user does.
    assert runtime.execute("other", {}, token=mint("alice", jti="other")).status == 429
    assert call(runtime, "bob").status == 200
    # What is no call of a plugin does not count.
    assert runtime.get("/api/plugins", token=mint("alice")).status == 200


def test_a_plugin_has_a_minute(runtime):
    refused = None
    for i in range(40):
        answer = call(runtime, f"user-{i // 4}", "other")
        if answer.status != 200:
            refused = answer
            break
    assert refused is not None and refused.status == 503
    assert refused.json["code"] == "plugin_overloaded"
    assert "MOZAIKS_RATE_PER_PLUGIN" in refused.json["detail"]
    assert 1 <= int(refused.headers["retry-after"]) <= 3
    assert refused.headers["ratelimit-policy"] == '"plugin";q=20;w=60'
    assert call(runtime, "carol").status == 200


def test_nothing_is_said_without_a_limit():
    r = Runtime()
    try:
        r.start_director()
        answer = ask(r)
        assert not [name for name in answer.headers if name.startswith("ratelimit")]
    finally:
        r.close()
