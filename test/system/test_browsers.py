"""What browsers and the site's name are told: CORS by exact origin, allowed hosts, safe defaults."""
import http.client

import pytest

from conftest import PLUGINS
from runtime import Runtime, mint

APP = "https://app.example.org"
OTHER = "http://localhost:3000"


@pytest.fixture(scope="module")
def runtime():
    with Runtime({"answers": PLUGINS / "answers"},
                 env={"FRONTEND_URL": APP + "/start", "ADDITIONAL_CORS_ORIGINS": f"{OTHER}, ",
                      "ALLOWED_HOSTS": "api.example.org,*.tenants.example.org,127.0.0.1"}) as r:
        yield r


def call(runtime, method="POST", path="/api/execute/answers", host="api.example.org", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", runtime.port, timeout=10)
    body = b'{"action":"none"}' if method == "POST" else None
    every = {"Host": host, "Authorization": f"Bearer {mint('alice')}",
             **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, body, every)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


@pytest.mark.parametrize("origin", [APP, OTHER])
def test_a_trusted_origin_reads_answers(runtime, origin):
    answer = call(runtime, Origin=origin)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("origin", ["null", "*", "https://evilapp.example.org", APP + ".evil", APP + "/",
                                    "http://app.example.org", APP + ":443", APP.upper()])
def test_no_other_origin_does(runtime, origin):
    for method in "POST", "OPTIONS":
        answer = call(runtime, method, Origin=origin, Access_Control_Request_Method="POST")
        assert not [h for h in answer.headers if h.lower().startswith("access-control-")]
        assert answer.headers["Vary"] == "Origin"


def test_errors_can_be_read_too(runtime):
    answer = call(runtime, path="/api/execute/nothing", Origin=APP)
    assert answer.status == 404
    assert answer.headers["Access-Control-Allow-Origin"] == APP


def test_preflight(runtime):
    answer = call(runtime, "OPTIONS", Origin=APP, Access_Control_Request_Method="POST",
                  Access_Control_Request_Headers="authorization,content-type")
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "POST" in answer.headers["Access-Control-Allow-Methods"].split(", ")
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    assert int(answer.headers["Access-Control-Max-Age"]) == 7200
    # Asking what a path can do is not a preflight.
    plain = call(runtime, "OPTIONS", Origin=APP)
    assert "Access-Control-Allow-Methods" not in plain.headers


def test_two_origins_are_refused(runtime):
    raw = (f"GET /livez HTTP/1.1\r\nHost: api.example.org\r\nOrigin: {APP}\r\nOrigin: {APP}\r\n"
           "\r\n").encode()
    assert runtime.raw(raw).startswith(b"HTTP/1.1 400 ")


def test_hosts(runtime):
    for host in "api.example.org", "API.example.org:8080", "a.tenants.example.org":
        assert call(runtime, host=host).status == 200
    for host in "127.0.0.2", "evilapi.example.org", "tenants.example.org", "api.example.org.evil":
        answer = call(runtime, host=host)
        assert answer.status == 421
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_host_in_the_target_counts(runtime):
    raw = (b"GET http://evil.example.org/livez HTTP/1.1\r\nHost: api.example.org\r\n"
           b"Connection: close\r\n\r\n")
    assert runtime.raw(raw).startswith(b"HTTP/1.1 421 ")


def test_safe_defaults(runtime):
    for path, method in ("/livez", "GET"), ("/api/execute/answers", "POST"), ("/nothing", "GET"):
        headers = call(runtime, method, path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
