"""What a client sends under the names of the trusted members never reaches a plugin."""
import itertools
import json

import pytest

from conftest import PLUGINS
from runtime import APP, Runtime

CONTEXT = {"app_id": APP, "user_id": "alice", "username": "alice", "roles": ["user"],
           "is_superadmin": False}
TRUSTED = {"user_id": "alice", "app_id": APP, "_context": CONTEXT}
RESERVED = ["user_id", "app_id", "_context", "user_jwt", "_entitlements"]


@pytest.fixture(scope="module")
def runtime():
    with Runtime({"answers": PLUGINS / "answers"}) as r:
        yield r


def seen(runtime, body):
    answer = runtime.execute("answers", body)
    assert answer.status == 200, answer
    return answer.json


def escaped(name, positions):
    return "".join(f"\\u{ord(c):04x}" if i in positions else c for i, c in enumerate(name))


@pytest.mark.parametrize("name", RESERVED)
def test_plain(runtime, name):
    body = json.dumps({"action": "echo", name: "mallory", "kept": 1}).encode()
    assert seen(runtime, body) == {"action": "echo", "kept": 1, **TRUSTED}


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("where", ["first", "middle", "all", "capital digits"])
def test_escaped(runtime, name, where):
    key = {"first": escaped(name, {0}), "middle": escaped(name, {len(name) // 2}),
           "all": escaped(name, set(range(len(name)))),
           "capital digits": name.replace("_", "\\u005F")}[where]
    body = ('{"action":"echo","%s":{"user_id":"mallory"},"kept":1}' % key).encode()
    assert seen(runtime, body) == {"action": "echo", "kept": 1, **TRUSTED}


@pytest.mark.parametrize("name", RESERVED)
def test_twice(runtime, name):
    """Reserved names are taken out however often they stand there, or refused; never passed on."""
    body = ('{"%s":"m1","action":"echo","%s":"m2"}' % (name, escaped(name, {0}))).encode()
    answer = runtime.execute("answers", body)
    if answer.status == 200:
        assert answer.json == {"action": "echo", **TRUSTED}
    else:
        assert answer.status == 400 and "m1" not in answer.body.decode()


def test_everywhere(runtime):
    """First, last, alone, between: the commas stay right."""
    for order in itertools.permutations(['"user_id":"m"', '"action":"echo"', '"app_id":"m"']):
        assert seen(runtime, ("{ " + " , ".join(order) + " }").encode()) == \
            {"action": "echo", **TRUSTED}


def test_alone(runtime):
    answer = runtime.execute("answers", b'{"user_id":"m"}')
    assert answer.status == 500  # no action: the plugin raises KeyError, and got this far


def test_nested_ones_pass(runtime):
    inner = {"user_id": "other", "app_id": [1], "_context": {"roles": ["admin"]}}
    body = json.dumps({"action": "echo", "data": inner, "list": [inner]}).encode()
    assert seen(runtime, body) == {"action": "echo", "data": inner, "list": [inner], **TRUSTED}


@pytest.mark.parametrize("name", ["User_id", "user_id ", " user_id", "user-id", "user_idx", "_Context",
                                  "user_id\\u0000", "__context", "\\ufeffuser_id"])
def test_names_that_only_look_like_it_pass(runtime, name):
    body = ('{"action":"echo","%s":"own"}' % name).encode()
    value = seen(runtime, body)
    assert value == {"action": "echo", json.loads(f'"{name}"'): "own", **TRUSTED}


def test_values_pass_byte_for_byte(runtime):
    """Numbers beyond a double, odd escapes, spaces: the text is never re-encoded."""
    body = (b'{"action":"echo" , "n": 12345678901234567890123, "e":1E+2,"z":-0.0,'
            b'"s":"\\u00e9\\/\\ud83d\\ude00\xc3\xbc", "u":"user_id"}')
    value = seen(runtime, body)
    assert value["n"] == 12345678901234567890123 and value["e"] == 100.0
    assert value["s"] == "\u00e9/\U0001f600\u00fc" and value["u"] == "user_id"


def test_trusted_members_are_last(runtime):
    """A parser that keeps the last duplicate keeps ours."""
    runtime.put_plugin("order", {"logic.py": "async def execute(data):\n    return list(data)\n"})
    runtime.wait_plugin("order", lambda p: p and p["state"] == "ready")
    names = seen_order(runtime)
    assert names[:2] == ["b", "a"] and set(names[2:]) == {"user_id", "app_id", "_context"}


def seen_order(runtime):
    answer = runtime.execute("order", b'{"b":1,"user_id":2,"a":3}')
    assert answer.status == 200, answer
    return answer.json


def test_many_members(runtime):
    body = {"action": "echo", **{f"member{i}": i for i in range(5000)}}
    assert seen(runtime, json.dumps(body).encode()) == {**body, **TRUSTED}
