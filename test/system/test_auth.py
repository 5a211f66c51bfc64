"""Who may call: every way in which a token can be wrong is a 401, before anything else is looked at."""
import hmac
import json
import time

import pytest

from conftest import PLUGINS
from runtime import APP, SECRET, Runtime, b64url, mint, sign

HEADER = {"alg": "HS256", "typ": "JWT"}


@pytest.fixture(scope="module")
def runtime():
    with Runtime({"answers": PLUGINS / "answers"}) as r:
        yield r


def claims(**more):
    now = int(time.time())
    kept = {"sub": "alice", "iat": now, "exp": now + 600, **more}
    return {name: value for name, value in kept.items() if value is not None}


def context(answer):
    assert answer.status == 200, answer
    return answer.json["_context"]


def echo(runtime, token):
    return runtime.execute("answers", {"action": "echo"}, token=token)


def test_context_of_a_full_token(runtime):
    token = mint("u-1", username="Ann", roles=["user", "editor"])
    answer = echo(runtime, token)
    assert answer.json["user_id"] == "u-1" and answer.json["app_id"] == APP
    assert context(answer) == {"app_id": APP, "user_id": "u-1", "username": "Ann",
                               "roles": ["user", "editor"], "is_superadmin": False}


def test_sub_stands_in(runtime):
    assert context(echo(runtime, sign(HEADER, claims(sub="only-sub")))) == {
        "app_id": APP, "user_id": "only-sub", "username": "only-sub", "roles": [],
        "is_superadmin": False}


def test_user_id_goes_before_sub(runtime):
    assert context(echo(runtime, sign(HEADER, claims(sub="s", user_id="u"))))["user_id"] == "u"


def test_superadmin_by_role(runtime):
    assert context(echo(runtime, mint("root", roles=["SuperAdmin"])))["is_superadmin"] is True


def test_names_survive_json(runtime):
    name = 'quo"te\\back\u2028\U0001f600\n'
    answer = echo(runtime, mint("u", username=name))
    if answer.status == 200:  # a control character may be refused, never mangled
        assert context(answer)["username"] == name
    else:
        assert answer.status == 401
    assert context(echo(runtime, mint("u", username='quo"te\\ \u00fc')))["username"] == \
        'quo"te\\ \u00fc'


def forged(part):
    head, body, signature = mint("alice").split(".")
    return {"signature": f"{head}.{body}.{'A' * len(signature)}",
            "body": f"{head}.{b64url(b'{}')}.{signature}",
            "head": f"{b64url(b'{}')}.{body}.{signature}"}[part]


NOW = int(time.time())
REFUSED = {
    "no header": None,
    "empty": "",
    "another scheme": "Basic dXNlcjpwYXNz",
    "no token": "Bearer",
    "no token but a blank": "Bearer ",
    "one part": "Bearer abc",
    "two parts": "Bearer " + mint("a").rsplit(".", 1)[0],
    "four parts": "Bearer " + mint("a") + ".x",
    "padding": "Bearer " + mint("a") + "=",
    "not base64": "Bearer !!.!!.!!",
    "two tokens": "Bearer " + mint("a") + " " + mint("b"),
    "forged signature": "Bearer " + forged("signature"),
    "forged body": "Bearer " + forged("body"),
    "forged head": "Bearer " + forged("head"),
    "another key": "Bearer " + mint("alice", secret="another-secret-of-the-same-length-012345678901"),
    "alg none": "Bearer " + sign({"alg": "none"}, claims()),
    "alg none without signature": "Bearer " + sign({"alg": "none"}, claims()).rsplit(".", 1)[0] + ".",
    "alg NoNe": "Bearer " + sign({"alg": "NoNe"}, claims()),
    "alg HS512": "Bearer " + sign({"alg": "HS512"}, claims()),
    "alg RS256": "Bearer " + sign({"alg": "RS256"}, claims()),
    "alg missing": "Bearer " + sign({"typ": "JWT"}, claims()),
    "alg a number": "Bearer " + sign({"alg": 1}, claims()),
    "alg twice": "Bearer " + sign('{"alg":"none","alg":"HS256"}', claims()),
    "crit": "Bearer " + sign({**HEADER, "crit": ["x"], "x": 1}, claims()),
    "head no object": "Bearer " + sign("[]", claims()),
    "head no JSON": "Bearer " + sign("{", claims()),
    "body no object": "Bearer " + sign(HEADER, "[]"),
    "body no JSON": "Bearer " + sign(HEADER, '{"sub":"a",}'),
    "body twice a name": "Bearer " + sign(
        HEADER, '{"sub":"a","sub":"b","exp":%d}' % (NOW + 600)),
    "expired": "Bearer " + sign(HEADER, claims(exp=NOW - 3600)),
    "exp missing": "Bearer " + sign(HEADER, claims(exp=None)),
    "exp a text": "Bearer " + sign(HEADER, claims(exp=str(NOW + 600))),
    "exp true": "Bearer " + sign(HEADER, claims(exp=True)),
    "exp null": "Bearer " + sign(HEADER, '{"sub":"a","exp":null}'),
    "exp NaN": "Bearer " + sign(HEADER, '{"sub":"a","exp":NaN}'),
    "not yet valid": "Bearer " + sign(HEADER, claims(nbf=NOW + 3600)),
    "nbf a text": "Bearer " + sign(HEADER, claims(nbf="soon")),
    "no subject": "Bearer " + sign(HEADER, claims(sub=None)),
    "empty subject": "Bearer " + sign(HEADER, claims(sub="")),
    "subject a number": "Bearer " + sign(HEADER, claims(sub=7)),
    "subject with NUL": "Bearer " + sign(HEADER, claims(sub="a\0b")),
    "user_id an object": "Bearer " + sign(HEADER, claims(user_id={"$ne": None})),
    "user_id empty": "Bearer " + sign(HEADER, claims(user_id="")),
    "user_id too long": "Bearer " + sign(HEADER, claims(user_id="u" * 10000)),
    "roles a number": "Bearer " + sign(HEADER, claims(roles=5)),
    "too long": "Bearer " + mint("alice", padding="x" * 20000),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(runtime, name):
    headers = {"Content-Type": "application/json"}
    if REFUSED[name] is not None:
        headers["Authorization"] = REFUSED[name]
    answer = runtime.request("POST", "/api/execute/answers", b'{"action":"echo"}', headers)
    # A head over its limit is refused before a token is looked for.
    if name == "too long" and answer.status == 431:
        return
    assert answer.status == 401, answer
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json["status"] == 401 and answer.json["detail"] and answer.json["code"]


def test_two_authorization_headers(runtime):
    """Which one counts must not be a question."""
    body = b"{}"
    request = (f"POST /api/execute/answers HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
               f"Authorization: Bearer {mint('alice')}\r\nAuthorization: Bearer {mint('bob')}\r\n"
               "Connection: close\r\n\r\n").encode() + body
    assert runtime.raw(request).split()[1] in (b"400", b"401")


def test_scheme_has_no_case(runtime):
    answer = runtime.request("POST", "/api/execute/answers", b'{"action":"echo"}',
                             {"Authorization": f"bEARER {mint('alice')}"})
    assert context(answer)["user_id"] == "alice"


def test_a_cached_token_still_expires(runtime):
    """Verified tokens are remembered, but not beyond their time (and the leeway of 30 s)."""
    token = sign(HEADER, claims(exp=int(time.time()) - 28))
    assert echo(runtime, token).status == 200
    deadline = time.monotonic() + 60
    while echo(runtime, token).status == 200:
        assert time.monotonic() < deadline, "the token outlives its exp"
        time.sleep(0.25)
    assert echo(runtime, token).status == 401


def test_float_exp(runtime):
    assert echo(runtime, sign(HEADER, claims(exp=time.time() + 60.5))).status == 200


def test_the_secret_is_in_no_log(runtime):
    assert SECRET not in runtime.log
    token = mint("nobody-in-particular")
    echo(runtime, token)
    assert token not in runtime.log


@pytest.mark.parametrize("path", ["/api/plugins", "/api/available-plugins"])
def test_lists_need_a_token(runtime, path):
    assert runtime.get(path).status == 401
    assert runtime.get(path, token=mint("alice")).status == 200


def test_a_longer_digest():
    """JWT_ALGORITHM: tokens of another are refused, and our own are made with it."""
    with Runtime({"answers": PLUGINS / "answers"}, env={"JWT_ALGORITHM": "HS512"},
                 mint=sign_512) as runtime:
        assert echo(runtime, sign_512("alice")).status == 200
        assert echo(runtime, mint("alice")).status == 401
        token = runtime.ctl("token", "--user", "bob").stdout.strip()
        assert context(echo(runtime, token))["user_id"] == "bob"


def sign_512(user, **more):
    signed = ".".join(b64url(json.dumps(part).encode())
                      for part in ({"alg": "HS512"}, claims(sub=user, **more)))
    return f"{signed}.{b64url(hmac.digest(SECRET.encode(), signed.encode(), 'sha512'))}"
