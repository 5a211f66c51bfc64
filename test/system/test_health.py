"""The routes that need no token, and what every answer carries."""
import pytest

from conftest import EXAMPLES, PLUGINS
from runtime import APP, Runtime, mint


@pytest.fixture(scope="module")
def runtime():
    with Runtime({"answers": PLUGINS / "answers", "hello": EXAMPLES / "hello"}) as r:
        yield r


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probe_says_ok(runtime, path):
    answer = runtime.get(path)
    assert (answer.status, answer.body.strip()) == (200, b"ok"), answer


def test_health(runtime):
    answer = runtime.get("/health")
    assert answer.status == 200
    assert answer.json == {"status": "healthy", "app_id": APP, "app_tier": "free",
                           "plugins_loaded": 2}


def test_info(runtime):
    assert runtime.get("/info").json == {"app_id": APP, "app_tier": "free", "app_name": "Mozaiks",
                                         "port": runtime.port, "ready": True}


def test_head_has_no_body(runtime):
    answer = runtime.request("HEAD", "/livez")
    assert (answer.status, answer.body) == (200, b"")



def test_unknown_path(runtime):
    answer = runtime.get("/api/nothing")
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json["status"] == 404
    assert answer.json["detail"] and answer.json["code"] and answer.json["request_id"]


def test_wrong_method_names_the_right_ones(runtime):
    answer = runtime.request("DELETE", "/api/execute/hello", token=mint("alice"))
    assert answer.status == 405
    assert "POST" in answer.headers["allow"].split(", ") and "DELETE" not in answer.headers["allow"]


def test_request_id_is_made(runtime):
    first, second = (runtime.get("/livez").headers["x-request-id"] for _ in range(2))
    assert first != second and len(first) == 36


def test_request_id_is_kept(runtime):
    answer = runtime.get("/livez", headers={"X-Request-Id": "abc.DEF-123_"})
    assert answer.headers["x-request-id"] == "abc.DEF-123_"


@pytest.mark.parametrize("bad", ["", "with space", "x" * 129, 'quo"te', "sem;i"])
def test_malformed_request_id_is_replaced(runtime, bad):
    answer = runtime.get("/livez", headers={"X-Request-Id": bad})
    assert answer.status == 200
    assert answer.headers["x-request-id"] != bad and len(answer.headers["x-request-id"]) == 36


def test_the_id_of_a_problem_is_the_request_s(runtime):
    answer = runtime.get("/api/nothing", headers={"X-Request-Id": "mine"})
    assert answer.json["request_id"] == answer.headers["x-request-id"] == "mine"


def test_version_header(runtime):
    assert runtime.get("/livez").headers["x-mozaiks-runtime-version"]
