"""POST /api/execute/{plugin}: what a plugin returns and what the client gets (the order of answers
and the table of statuses)."""
import json

import pytest

from conftest import EXAMPLES, PLUGINS
from runtime import APP, Runtime, mint, wait_for

SMALL = {
    "runner": {"logic.py": "async def run(data):\n    return {'by': 'run'}\n"},
    "sync": {"logic.py": "def execute(data):\n    return {'by': 'sync'}\n"},
    "nothing": {"logic.py": "value = 1\n"},
    "nested": {"backend/logic.py": "from .parts import text\nfrom .. import shared\n\n\n"
                                   "async def execute(data):\n"
                                   "    return {'text': text.TEXT, 'shared': shared.VALUE}\n",
               "backend/__init__.py": "", "backend/parts/__init__.py": "",
               "backend/parts/text.py": "TEXT = 'deep'\n", "__init__.py": "",
               "shared.py": "VALUE = 7\n"},
    "broken": {"logic.py": "def execute(data:\n"},
    "importer": {"logic.py": "import a_module_that_nobody_has\n\n\ndef execute(data):\n"
                             "    return {}\n"},
    "site": {"logic.py": "import carried\n\n\ndef execute(data):\n"
                         "    return {'carried': carried.VALUE}\n",
             "site/carried.py": "VALUE = 'along'\n"},
    "disabled": {"logic.py": "def execute(data):\n    return {}\n"},
}


@pytest.fixture(scope="module")
def runtime():
    with Runtime({"answers": PLUGINS / "answers", "hello": EXAMPLES / "hello", **SMALL},
                 env={"MOZAIKS_MAX_RESPONSE_BYTES": "100000"}) as r:
        yield r


@pytest.fixture(scope="module")
def ask(runtime):
    return lambda action, **more: runtime.execute("answers", {"action": action, **more})


VALUES = {
    "none": b"null", "list": b'[1,"two",null]', "number": b"12.5", "true": b"true", "empty": b"{}",
}


@pytest.mark.parametrize("action", VALUES)
def test_any_json_value_is_an_answer(ask, action):
    answer = ask(action)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == json.loads(VALUES[action])


def test_text_comes_back_as_it_was(ask):
    assert ask("string").json == "text with \u00fc and \u2028 and \U0001f600"


def test_objectid_and_datetime_become_text(ask):
    answer = ask("objectid")
    assert answer.status == 200
    assert answer.json["_id"] == "65f0c0ffee65f0c0ffee65f0" and len(answer.json["in"][0]) == 24
    assert ask("datetime").json["at"].startswith("2024-02-29T12:30:01.5")


@pytest.mark.parametrize("action", ["nan", "infinity", "circular", "unknown", "set", "bytes",
                                    "surrogate"])
def test_what_is_not_json_is_502(ask, action):
    answer = ask(action)
    assert answer.status == 502, answer
    assert answer.json["code"] == "plugin_bad_response"


def test_the_author_learns_what_is_not_json(runtime, ask):
    answer = ask("set")
    why = answer.json["exception"]["message"]
    assert why.endswith("not JSON: a value of type set"), answer
    logged = wait_for(lambda: [r for r in runtime.director.records
                               if r.get("request_id") == answer.json["request_id"]], "the record")
    assert [r["id"] for r in logged] == ["plugin.bad_response"], logged
    assert json.loads(logged[0]["exception"])["message"] == why


def test_depth_of_an_answer(ask):
    assert ask("deep", depth=60).status == 200
    assert ask("deep", depth=65).status == 502
    assert ask("deep", depth=100000).status == 502


def test_size_of_an_answer(ask):
    assert ask("big", bytes=99000).status == 200
    answer = ask("big", bytes=100001)
    assert answer.status == 502
    assert answer.json["code"] == "plugin_response_too_large"
    assert "MOZAIKS_MAX_RESPONSE_BYTES" in answer.json["detail"]
    assert ask("big", bytes=50_000_000).status == 502


@pytest.mark.parametrize("action", ["raise", "raise_key", "exit", "interrupt"])
def test_an_exception_is_500_with_an_id(runtime, action):
    answer = runtime.execute("answers", {"action": action})
    assert answer.status == 500, answer
    assert answer.json["request_id"] and answer.json["detail"]
    assert runtime.execute("answers", {"action": "none"}).status == 200


def test_a_plugin_that_cancels_itself(runtime):
    assert runtime.execute("answers", {"action": "cancelled"}).status in (500, 503)
    assert runtime.execute("answers", {"action": "none"}).status == 200


ERRORS = [
    ({"error": "simple"}, 400),
    ({"error": None}, 400),
    ({"error": {"deep": [1]}}, 400),
    ({"error": "x", "error_code": "VALIDATION_ERROR", "details": {"field": "title"}}, 422),
    ({"error": "x", "error_code": "NOT_FOUND"}, 404),
    ({"error": "x", "error_code": "FORBIDDEN"}, 403),
    ({"error": "x", "error_code": "PERMISSION_DENIED"}, 403),
    ({"error": "x", "error_code": "UNAUTHORIZED"}, 403),
    ({"error": "x", "error_code": "CONFLICT"}, 409),
    ({"error": "x", "error_code": "RATE_LIMITED"}, 429),
    ({"error": "x", "error_code": "SOMETHING_ELSE"}, 400),
    ({"error": "x", "error_code": 404}, 400),
    ({"error": "x", "error_code": None}, 400),
    ({"error": "x", "detail": "its own"}, 400),
    ({"error": "x", "detail": None}, 400),
]


@pytest.mark.parametrize("returned,status", ERRORS, ids=lambda v: json.dumps(v))
def test_an_error_dict_is_the_answer(ask, returned, status):
    answer = ask("error", answer=returned)
    assert answer.status == status, answer
    assert answer.json == {"detail": returned["error"], **returned}


def test_error_below_the_top_is_a_value(ask):
    assert ask("error", answer={"result": {"error": "inside"}}).status == 200
    assert ask("error", answer=[{"error": "in a list"}]).status == 200


def test_entries(runtime):
    assert runtime.execute("runner").json == {"by": "run"}
    assert runtime.execute("sync").json == {"by": "sync"}
    assert runtime.execute("nested").json == {"text": "deep", "shared": 7}
    assert runtime.execute("site").json == {"carried": "along"}
    assert runtime.execute("hello", {"name": "you"}).status == 200


def test_broken_plugins_are_listed_and_503(runtime):
    plugins = {p["name"]: p for p in runtime.list_plugins()}
    for name, word in (("broken", "SyntaxError"), ("importer", "a_module_that_nobody_has")):
        assert plugins[name]["state"] == "broken"
        assert word in plugins[name]["error"], plugins[name]
        answer = runtime.execute(name)
        assert answer.status == 503, answer
        assert answer.json["code"] == "plugin_unavailable"
        assert int(answer.headers["retry-after"]) >= 1
    assert runtime.execute("nothing").status in (404, 503)
    assert plugins["answers"]["state"] == "ready" and not plugins["answers"].get("error")


@pytest.mark.parametrize("name", ["unknown", "..", "%2e%2e", "a%2fb", "a.b", "x" * 65, "_private",
                                  "%00", "%ff", "caf%C3%A9"])
def test_unknown_plugin(runtime, name):
    answer = runtime.execute(name)
    assert answer.status in (404, 400), answer
    if answer.status == 404 and name in ("unknown", "_private"):
        assert answer.json["code"] == "plugin_not_found"


MALFORMED = {
    "empty": (b"", None),
    "cut": (b'{"a":', None),
    "two values": (b"{} {}", None),
    "trailing comma": (b'{"a":1,}', None),
    "single quotes": (b"{'a':1}", None),
    "NaN": (b'{"a":NaN}', None),
    "leading zero": (b'{"a":01}', None),
    "comment": (b'{"a":1/**/}', None),
    "raw control": (b'{"a":"\x01"}', None),
    "bad escape": (b'{"a":"\\x"}', None),
    "lone surrogate": (b'{"a":"\\ud800"}', None),
    "invalid UTF-8": (b'{"a":"\xff"}', "UTF-8"),
    "overlong UTF-8": (b'{"a":"\xc0\xaf"}', "UTF-8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), None),
    "byte order mark": (b"\xef\xbb\xbf{}", None),
    "list": (b"[]", "object"),
    "text": (b'"a"', "object"),
    "null": (b"null", "object"),
    "number": (b"1", "object"),
    "duplicate": (b'{"action":"echo","action":"none"}', "action"),
    "duplicate, escaped": (b'{"action":"echo","\\u0061ction":"none"}', "ction"),
    "depth 65": (b'{"a":' * 64 + b"[]" + b"}" * 64, "64"),
    "depth 100000": (b'{"a":' * 100000 + b"1" + b"}" * 100000, "64"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_body(runtime, name):
    body, word = MALFORMED[name]
    answer = runtime.execute("answers", body)
    assert answer.status == 400, answer
    assert answer.json["detail"] and answer.json["code"]
    if word:
        assert word in answer.json["detail"]


def test_depth_64_is_allowed(runtime):
    body = b'{"action":"none","a":' + b"[" * 63 + b"]" * 63 + b"}"
    assert runtime.execute("answers", body).status == 200


def test_content_type_does_not_matter(runtime):
    answer = runtime.request("POST", "/api/execute/answers", b'{"action":"true"}',
                             {"Content-Type": "text/plain"}, mint("alice"))
    assert answer.status == 200


def test_deeper_duplicates_are_the_plugin_s_business(runtime):
    answer = runtime.execute("answers", b'{"action":"echo","in":{"a":1,"a":2}}')
    assert answer.status == 200 and answer.json["in"] == {"a": 2}


def test_order_of_answers(runtime):
    """401, 404, 413, 400: whoever is not known learns nothing, and sends nothing big."""
    big = {"Content-Length": "2000000000"}
    bad, unknown, path = b"{", "/api/execute/unknown", "/api/execute/answers"

    def status(where, token, headers=None, body=bad):
        head = f"POST {where} HTTP/1.1\r\nHost: x\r\n"
        if token:
            head += f"Authorization: Bearer {token}\r\n"
        for name, value in (headers or {"Content-Length": str(len(body))}).items():
            head += f"{name}: {value}\r\n"
        return int(runtime.raw(head.encode() + b"\r\n" + body, close=True).split()[1])

    token = mint("alice")
    assert status(unknown, None, big) == 401
    assert status(unknown, token, big) == 404
    assert status(path, token, big) == 413
    assert status(path, token) == 400
    assert status(unknown, token) == 404
    assert status(path, None) == 401


def test_two_users_two_contexts(runtime):
    for user in ("alice", "bob", "alice"):
        answer = runtime.execute("answers", {"action": "echo"}, user=user)
        assert answer.json["user_id"] == user and answer.json["app_id"] == APP


# Idempotency-Key

COUNTED = {"logic.py": """
import asyncio
calls = 0
async def execute(data):
    global calls
    if data.get("how") == "count":
        return calls
    calls += 1
    await asyncio.sleep(data.get("seconds", 0))
    if data.get("how") == "error":
        return {"error": "no", "error_code": "CONFLICT", "n": calls}
    if data.get("how") == "raise":
        raise RuntimeError("no")
    if data.get("how") == "pieces":
        async def pieces():
            yield "one"
        return pieces()
    return {"n": calls}
"""}


def test_idempotency_keys():
    import threading

    def call(data, key="k", user="alice"):
        headers = {} if key is None else {"Idempotency-Key": key}
        return runtime.request("POST", "/api/execute/counted", json.dumps(data), headers, mint(user))

    with Runtime({"counted": COUNTED}, env={"MOZAIKS_IDEMPOTENCY_SECONDS": "6"}) as runtime:
        first, again = call({"a": 1}), call({"a": 1})
        assert first.status == again.status == 200 and first.body == again.body
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["content-type"] == "application/json"
        other = call({"a": 2})
        assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")
        # Another user's key is another key, and without one all run.
        assert call({"a": 1}, user="bob").json == {"n": 2}
        assert call({"a": 1}, key=None).json == {"n": 3}
        # Plugins' errors are answers; the runtime's are not, nor are pieces.
        assert call({"how": "error"}, "e").body == call({"how": "error"}, "e").body
        before = call({"how": "count"}, None).json
        for how in ("raise", "pieces"):
            assert call({"how": how}, how).status == call({"how": how}, how).status
        assert call({"how": "count"}, None).json == before + 4
        # While the first one runs.
        answers = []
        slow = threading.Thread(target=lambda: answers.append(call({"seconds": 2}, "slow")))
        slow.start()
        wait_for(lambda: call({"how": "count"}, None).json == before + 5)
        busy = call({"seconds": 2}, "slow")
        assert (busy.status, busy.json["code"]) == (409, "idempotency_key_in_use")
        slow.join()
        assert call({"seconds": 2}, "slow").body == answers[0].body
        for bad in ("x" * 256, "\u00e9"):
            assert call({}, bad).json["code"] == "invalid_idempotency_key"
        wait_for(lambda: call({"a": 2}).status == 200, "the end of its time")
