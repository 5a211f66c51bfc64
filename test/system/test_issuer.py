"""External mode: whose tokens are good, whence the keys come, and what happens when they do not."""
import base64
import hmac
import json
import os
import socket
import time
import uuid

import pytest

from conftest import PLUGINS
from issuer import AUDIENCE, DISCOVERY_PATH, KEYS_PATH, Issuer, Key, certificate
from runtime import APP, DIRECTOR, SECRET, Runtime, b64url, mint, run_program, sign, wait_for

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
              "EdDSA"]


def runtime_of(issuer, **env):
    return Runtime({"answers": PLUGINS / "answers"}, env=issuer.env(**env),
                   mint=lambda user, **claims: issuer.token(user, **claims))


@pytest.fixture(scope="module")
def issuer():
    with Issuer() as i:
        yield i


@pytest.fixture(scope="module")
def runtime(issuer):
    with runtime_of(issuer) as r:
        yield r


def echo(runtime, token):
    return runtime.execute("answers", {"action": "echo"}, token=token)


def context(answer):
    assert answer.status == 200, answer
    return answer.json["_context"]


def refused(answer, detail=None):
    assert answer.status == 401, answer
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert detail is None or detail in answer.json["detail"], answer
    return True


def until(runtime, token, status):
    """Asks until the answer has this status; meanwhile it may only be what the token's keys allow."""
    return wait_for(lambda: echo(runtime, token).status == status, f"status {status}")


def director_alone(env):
    """A start that is to fail. @return what it said."""
    base = {"PATH": "/usr/bin:/bin", "PORT": "0", "MOZAIKS_STATE_PATH": "/nonexistent/state"}
    status, text = run_program(DIRECTOR, {**base, **env})
    assert status == 1, text
    return text


# ---- Good tokens

def test_a_token_of_the_issuer(runtime, issuer):
    token = issuer.token("u-1", roles=["editor"], username="Ann")
    assert context(echo(runtime, token)) == {
        "app_id": APP, "user_id": "u-1", "username": "Ann", "roles": ["editor"],
        "is_superadmin": False}


def test_keycloaks_roles(runtime, issuer):
    token = issuer.token("u", realm_access={"roles": ["user", "SuperAdmin"]},
                         resource_access={AUDIENCE: {"roles": ["writer", "user"]},
                                          "another-client": {"roles": ["its-admin"]}})
    got = context(echo(runtime, token))
    assert got["roles"] == ["user", "SuperAdmin", "writer"]
    assert got["is_superadmin"] is True


def test_an_audience_among_others(runtime, issuer):
    assert echo(runtime, issuer.token(aud=["account", AUDIENCE])).status == 200


def test_no_kid_with_one_key(runtime, issuer):
    assert echo(runtime, issuer.token(header={"kid": None})).status == 200


def test_typ_of_rfc_9068(runtime, issuer):
    assert echo(runtime, issuer.token(header={"typ": "at+jwt"})).status == 200


def test_clock_skew(runtime, issuer):
    now = int(time.time())
    assert echo(runtime, issuer.token(exp=now - 20)).status == 200
    assert echo(runtime, issuer.token(nbf=now + 20)).status == 200
    refused(echo(runtime, issuer.token(exp=now - 40)), "expired")
    refused(echo(runtime, issuer.token(nbf=now + 60)), "not valid yet")
    refused(echo(runtime, issuer.token(iat=now + 600)), "not valid yet")


def test_every_algorithm():
    keys = [Key(f"key-{alg}", alg) for alg in ALGORITHMS]
    with Issuer(key=keys[0]) as issuer:
        issuer.published = [key.jwk() for key in keys]
        # One does not say its algorithm: the first in the list that fits its type.
        issuer.published[6].pop("alg")
        with runtime_of(issuer, MOZAIKS_JWT_ALGORITHMS=",".join(ALGORITHMS)) as runtime:
            for key in keys:
                good = issuer.token("u", key=key)
                assert context(echo(runtime, good))["user_id"] == "u", key.alg
                head, body, signature = good.split(".")
                other = b64url(json.dumps(issuer.claims("root")).encode())
                refused(echo(runtime, f"{head}.{other}.{signature}"), "signature")
            # The key of one algorithm is none for another, whatever the token says.
            rs, ps = keys[0], keys[3]
            ps.kid, rs_as_ps = rs.kid, Key.__new__(Key)
            rs_as_ps.private, rs_as_ps.alg, rs_as_ps.kid = rs.private, "PS256", rs.kid
            refused(echo(runtime, issuer.token(key=rs_as_ps)), "algorithm")
            # Without a kid it does not follow which of several keys... but one has RS256 only.
            assert echo(runtime, issuer.token(header={"kid": None})).status == 200


# ---- Bad tokens

def bad_tokens(issuer):
    key, claims = issuer.key, issuer.claims("alice")
    stranger = Key("k1")
    now = int(time.time())
    half = Key("k1", "ES256")
    numbers = key.private.public_key().public_numbers()
    modulus = numbers.n.to_bytes(256, "big")
    return {
        "alg none": sign({"alg": "none", "kid": "k1"}, claims),
        "no signature": key.sign(claims, alg="none").rsplit(".", 1)[0] + ".",
        "the public key as a secret": hmac_token(key.pem().encode(), claims),
        "without its last line end": hmac_token(key.pem().strip().encode(), claims),
        "the modulus as a secret": hmac_token(modulus, claims),
        "our secret of another mode": mint("alice"),
        "another's key of the same name": issuer.token(key=stranger),
        "another kind of key": issuer.token(key=half),
        "RS512 with a key for RS256": key.sign(claims, alg="RS512"),
        "crit": key.sign(claims, crit=["exp"]),
        "jku": key.sign(claims, jku=f"{issuer.name}/keys"),
        "jwk": stranger.sign(claims, jwk=stranger.jwk()),
        "x5u": key.sign(claims, x5u="https://example.invalid/c"),
        "typ": key.sign(claims, typ="logout+jwt"),
        "kid twice": sign('{"alg":"RS256","kid":"k1","kid":"k1"}', claims),
        "another audience": issuer.token(aud="account"),
        "no audience": issuer.token(aud=None),
        "an audience that only begins alike": issuer.token(aud=AUDIENCE + "-2"),
        "audiences of another type": issuer.token(aud=[AUDIENCE, 7]),
        "another issuer": issuer.token(iss="https://example.invalid"),
        "no issuer": issuer.token(iss=None),
        "an issuer with a slash": issuer.token(iss=issuer.name + "/"),
        "issuers": issuer.token(iss=[issuer.name]),
        "an ID token": issuer.token(typ="ID"),
        "a refresh token": issuer.token(typ="Refresh"),
        "an OIDC ID token": issuer.token(at_hash="x"),
        "no exp": issuer.token(exp=None),
        "expired": issuer.token(exp=now - 3600),
        "no subject": issuer.token(sub=None),
        "roles of another type": issuer.token(realm_access={"roles": "x", "y": 1} | {"roles": 7}),
        "realm_access of another type": issuer.token(realm_access=["admin"]),
    }


def hmac_token(secret, claims):
    signed = ".".join(b64url(json.dumps(part).encode())
                      for part in ({"alg": "HS256", "kid": "k1"}, claims))
    return f"{signed}.{b64url(hmac.digest(secret, signed.encode(), 'sha256'))}"


def test_bad_tokens(runtime, issuer):
    for name, token in bad_tokens(issuer).items():
        answer = echo(runtime, token)
        assert answer.status == 401, (name, answer)
    assert echo(runtime, issuer.token()).status == 200


def test_a_flipped_bit(runtime, issuer):
    head, body, signature = issuer.token().split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    for bit in range(0, len(raw) * 8, 97):
        raw[bit // 8] ^= 1 << bit % 8
        refused(echo(runtime, f"{head}.{body}.{b64url(bytes(raw))}"), "signature")
        raw[bit // 8] ^= 1 << bit % 8


# ---- Keys come and go

def test_rotation():
    with Issuer() as issuer, runtime_of(issuer, MOZAIKS_JWKS_CACHE_SECONDS="600") as runtime:
        old = issuer.token("old")
        assert echo(runtime, old).status == 200
        fresh = Key("k2")
        issuer.published.append(fresh.jwk())
        token = issuer.token("new", key=fresh)
        first = echo(runtime, token)
        if first.status != 200:
            assert first.status == 503 and first.json["code"] == "keys_unavailable", first
            assert int(first.headers["retry-after"]) > 0
        until(runtime, token, 200)
        assert echo(runtime, old).status == 200


def test_a_removed_key_ends_its_tokens():
    with Issuer() as issuer, runtime_of(issuer) as runtime:
        old = issuer.token("old")
        assert echo(runtime, old).status == 200
        fresh = Key("k2")
        issuer.published = [fresh.jwk()]
        # It is remembered, and no longer good all the same.
        wait_for(lambda: echo(runtime, old).status == 401, "the end of the old key")
        assert echo(runtime, issuer.token("new", key=fresh)).status == 200
        # The same kid, another key.
        changed = Key("k2")
        issuer.published = [changed.jwk()]
        before = issuer.token("new", key=fresh)
        wait_for(lambda: echo(runtime, before).status == 401, "the end of the second key")
        issuer.published = [issuer.key.jwk()]
        until(runtime, old, 200)


def test_unknown_kids_do_not_flood_the_issuer():
    with Issuer() as issuer:
        with runtime_of(issuer, MOZAIKS_JWKS_CACHE_SECONDS="600",
                        MOZAIKS_JWKS_REFETCH_SECONDS="1") as runtime:
            started, before = time.monotonic(), issuer.asked[KEYS_PATH]
            seen = set()
            while time.monotonic() < started + 2.5:
                seen.add(echo(runtime, issuer.token(header={"kid": uuid.uuid4().hex})).status)
                assert echo(runtime, issuer.token()).status == 200
            most = 2 + (time.monotonic() - started)
            assert 1 <= issuer.asked[KEYS_PATH] - before <= most
            assert seen <= {401, 503}
            # One that is asked for again is known to be missing.
            missing = issuer.token(header={"kid": "missing"})
            until(runtime, missing, 401)
            asked = issuer.asked[KEYS_PATH]
            for _ in range(5):
                refused(echo(runtime, missing), "key")
            assert issuer.asked[KEYS_PATH] <= asked + 1


def test_odd_keys_are_left_out():
    small, good = Key("small", bits=1024), Key("good")
    exponent = Key("exponent")
    with Issuer(key=good) as issuer:
        off_curve = Key("curve", "ES256").jwk()
        off_curve["x"] = off_curve["y"]
        issuer.published = [
            small.jwk(), {"kty": "oct", "kid": "secret", "alg": "HS256", "k": b64url(b"x" * 32)},
            Key("enc").jwk(use="enc", alg="RSA-OAEP"), Key("future").jwk(alg="RS1024"),
            Key("d").jwk(d="AQAB"), off_curve, exponent.jwk(e="AQ"), {"kty": "LTC"}, {}, 7, None,
            Key("twin").jwk(), Key("twin").jwk(), Key("long" * 100).jwk(), Key("ops").jwk(
                key_ops=["encrypt"]), good.jwk()]
        with runtime_of(issuer) as runtime:
            assert echo(runtime, issuer.token()).status == 200
            for key in (small, exponent):
                assert echo(runtime, issuer.token(key=key)).status in (401, 503)
            secret = hmac_token(b"x" * 32, issuer.claims("alice"))
            refused(echo(runtime, secret))
            record = next(r for r in runtime.records if "keys are not used" in str(r))
            assert "15 of the issuer" in str(record)


# ---- What the issuer does to us

def redirect(issuer):
    def fault(handler):
        handler.answer(302, "", [("Location", f"{issuer.name}/elsewhere")])
    return fault


def faults(issuer):
    return {
        "500": lambda h: h.answer(500, "{}"),
        "no JSON": lambda h: h.answer(200, "<html>"),
        "an array": lambda h: h.answer(200, "[]"),
        "no keys": lambda h: h.answer(200, "{}"),
        "a duplicate": lambda h: h.answer(200, '{"keys":[],"keys":[]}'),
        "deep": lambda h: h.answer(200, '{"keys":' + "[" * 100000 + "]" * 100000 + "}"),
        "huge": lambda h: h.answer(200, b" " * 1000000),
        "too many": lambda h: h.answer(200, json.dumps({"keys": [{}] * 65})),
        "cut off": lambda h: h.wfile.write(
            b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{"keys":[]}'),
        "a redirect": redirect(issuer),
        "slow": issuer.hang,
    }


def test_known_keys_survive_every_fault():
    with Issuer() as issuer, runtime_of(issuer, MOZAIKS_JWKS_CACHE_SECONDS="1") as runtime:
        failures = lambda: [r for r in runtime.records if "cannot be" in str(r)]  # noqa: E731
        for name, fault in faults(issuer).items():
            # A good answer in between, so that the next is asked for soon.
            issuer.faults.clear()
            issuer.released.set()
            asked = issuer.asked[KEYS_PATH]
            wait_for(lambda: issuer.asked[KEYS_PATH] > asked, "a good fetch")
            issuer.released.clear()
            n = len(failures())
            issuer.faults[KEYS_PATH] = fault
            wait_for(lambda: len(failures()) > n, name)
            assert echo(runtime, issuer.token(name)).status == 200, name
        text = runtime.director.text
        for words in ("MOZAIKS_MAX_JWKS_BYTES", "MOZAIKS_MAX_JWKS_KEYS", "redirect", "status 500"):
            assert words in text
        assert issuer.asked["/elsewhere"] == 0
        assert runtime.get("/readyz").status == 200


def test_an_empty_set_ends_all_keys():
    with Issuer() as issuer, runtime_of(issuer) as runtime:
        token = issuer.token()
        assert echo(runtime, token).status == 200
        issuer.published = []
        wait_for(lambda: echo(runtime, token).status != 200, "the end of the keys")
        assert runtime.get("/readyz").status == 503
        issuer.published = [issuer.key.jwk()]
        until(runtime, token, 200)


def test_stale_keys_have_an_end():
    with Issuer() as issuer, runtime_of(issuer, MOZAIKS_JWKS_STALE_SECONDS="2") as runtime:
        token = issuer.token()
        assert echo(runtime, token).status == 200
        issuer.faults[KEYS_PATH] = lambda h: h.answer(500, "{}")
        wait_for(lambda: echo(runtime, token).status == 503, "the end of stale keys")
        assert "MOZAIKS_JWKS_STALE_SECONDS" in runtime.director.text
        issuer.faults.clear()
        until(runtime, token, 200)


def test_keys_that_have_moved():
    """What the issuer says of itself is kept for a day, but not when that leads nowhere."""
    with Issuer() as issuer, runtime_of(issuer) as runtime:
        assert echo(runtime, issuer.token()).status == 200
        fresh = Key("k2")
        issuer.faults["/moved"] = lambda h: h.answer(200, json.dumps({"keys": [fresh.jwk()]}))
        issuer.faults[KEYS_PATH] = lambda h: h.answer(404, "{}")
        issuer.discovery["jwks_uri"] = f"{issuer.name}/moved"
        until(runtime, issuer.token("new", key=fresh), 200)


def test_the_start_does_not_wait_for_the_issuer():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    key = Key("k1")
    name = f"http://127.0.0.1:{port}"
    runtime = Runtime({"answers": PLUGINS / "answers"}, env={
        "JWT_SECRET": None, "MOZAIKS_ISSUER": name, "MOZAIKS_AUDIENCE": AUDIENCE})
    try:
        runtime.start_director()
        runtime.start_pluginhost()
        assert runtime.get("/livez").status == 200
        answer = runtime.get("/readyz")
        assert answer.status == 503 and "issuer" in answer.json["detail"]
        claims = {"iss": name, "aud": AUDIENCE, "sub": "alice", "exp": int(time.time()) + 600}
        token = key.sign(claims)
        assert echo(runtime, token).status == 503
        with Issuer(port=port, key=key) as issuer:
            runtime.mint = issuer.token
            runtime.wait_ready()
            assert echo(runtime, token).status == 200
    finally:
        runtime.close()


def test_nobody_waits_for_a_slow_issuer():
    with Issuer() as issuer:
        with runtime_of(issuer, MOZAIKS_ISSUER_TIMEOUT_SECONDS="30") as runtime:
            asked = issuer.asked[KEYS_PATH]
            issuer.faults[KEYS_PATH] = issuer.hang
            wait_for(lambda: issuer.asked[KEYS_PATH] > asked, "a fetch")
            for _ in range(20):
                assert echo(runtime, issuer.token(uuid.uuid4().hex)).status == 200
            assert not issuer.released.is_set()
            # Nor does the end.
            assert runtime.stop() == [0, 0]
            assert not issuer.released.is_set()


@pytest.mark.parametrize("change, words", [
    ({"issuer": "https://example.invalid"}, "MOZAIKS_ISSUER"),
    ({"issuer": 7}, "issuer"),
    ({"jwks_uri": None}, "jwks_uri"),
    ({"jwks_uri": "file:///etc/passwd"}, "URL"),
    ({"jwks_uri": "ftp://example.invalid/"}, "https"),
    ({"jwks_uri": "https://user:pass@example.invalid/"}, "password"),
    ({"jwks_uri": "nonsense"}, "URL"),
])
def test_bad_discovery(change, words):
    with Issuer() as issuer:
        issuer.discovery.update(change)
        runtime = runtime_of(issuer)
        try:
            runtime.start_director()
            wait_for(lambda: "discovery document cannot be had" in runtime.director.text)
            assert words in next(line for line in runtime.director.lines
                                 if "discovery document" in line)
            assert echo(runtime, issuer.token()).status == 503
            assert issuer.asked[KEYS_PATH] == 0
        finally:
            runtime.close()


def test_keys_without_discovery():
    with Issuer() as issuer:
        with runtime_of(issuer, MOZAIKS_JWKS_URL=issuer.name + KEYS_PATH) as runtime:
            assert echo(runtime, issuer.token()).status == 200
            assert issuer.asked[DISCOVERY_PATH] == 0
            refused(echo(runtime, issuer.token(iss="https://example.invalid")), "issuer")


def test_an_issuer_found_by_discovery():
    with Issuer() as issuer:
        with runtime_of(issuer, MOZAIKS_ISSUER=None, MOZAIKS_PLATFORM_OIDC_DISCOVERY_URL=(
                issuer.name + DISCOVERY_PATH)) as runtime:
            assert echo(runtime, issuer.token()).status == 200
            refused(echo(runtime, issuer.token(iss="https://example.invalid")), "issuer")


def test_https(tmp_path):
    both, public = certificate()
    (tmp_path / "server.pem").write_text(both)
    ca = tmp_path / "ca.pem"
    ca.write_text(public)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if os.stat(folder).st_uid == os.getuid():
            os.chmod(folder, 0o755)
    with Issuer(tls=tmp_path / "server.pem") as issuer:
        with runtime_of(issuer, MOZAIKS_ISSUER_CA_FILE=str(ca),
                        MOZAIKS_ISSUER_TIMEOUT_SECONDS="10") as runtime:
            assert echo(runtime, issuer.token()).status == 200
        runtime = runtime_of(issuer)
        try:
            runtime.start_director()
            # Not that the system's certificates cannot be read behind the fence.
            wait_for(lambda: "self-signed" in runtime.director.text.lower().replace("self ", "self-"),
                     "a refusal")
            assert echo(runtime, issuer.token()).status == 503
        finally:
            runtime.close()


def test_names_are_looked_up_behind_the_fence():
    """getaddrinfo() on a thread of libcurl's, with all that it asks the kernel for."""
    with Issuer() as issuer:
        issuer.name = f"http://localhost:{issuer.port}"
        issuer.discovery = {"issuer": issuer.name, "jwks_uri": issuer.name + KEYS_PATH}
        with runtime_of(issuer) as runtime:
            assert echo(runtime, issuer.token()).status == 200
            runtime.stop()
            runtime.env.update(MOZAIKS_ISSUER="https://id.example.invalid/realms/x",
                               MOZAIKS_ISSUER_TIMEOUT_SECONDS="5")
            runtime.start_director()
            wait_for(lambda: "discovery document cannot be had" in runtime.director.text)
            assert runtime.get("/livez").status == 200
            assert runtime.stop() == [0]


# ---- Settings

def test_names_of_claims():
    base = {"scope": "openid access", "ids": {"ours": "id-7"}}
    with Issuer() as issuer:
        runtime = runtime_of(
            issuer, MOZAIKS_USER_ID_CLAIM="ids.ours",
            MOZAIKS_PLATFORM_USERNAME_CLAIM="preferred_username",
            MOZAIKS_ROLES_CLAIM="https://example.org/roles", MOZAIKS_SUPERADMIN_CLAIM="rights.all",
            MOZAIKS_SUPERADMIN_ROLE="boss, chief", MOZAIKS_REQUIRED_SCOPE="access",
            MOZAIKS_JWT_LEEWAY_SECONDS="100")
        runtime.mint = lambda user, **claims: issuer.token(user, **{**base, **claims})
        check_names_of_claims(runtime, issuer, base)


def check_names_of_claims(runtime, issuer, base):
    with runtime:
        got = context(echo(runtime, issuer.token(
            preferred_username="ann", realm_access={"roles": ["not-asked-for"]},
            **{"https://example.org/roles": ["a", "Chief"]}, **base)))
        assert got == {"app_id": APP, "user_id": "id-7", "username": "ann",
                       "roles": ["a", "Chief"], "is_superadmin": True}
        got = context(echo(runtime, issuer.token(rights={"all": True}, **base)))
        assert got["is_superadmin"] is True and got["username"] == "alice"
        assert context(echo(runtime, issuer.token(
            exp=int(time.time()) - 60, scp=["access"], ids={"ours": "x"})))["roles"] == []
        refused(echo(runtime, issuer.token(ids={"ours": "id-7"}, scope="accessory")), "scope")
        refused(echo(runtime, issuer.token(scope="access")), "claim")
        refused(echo(runtime, issuer.token(scope="access", ids={"ours": 7})), "claim")


def test_settings_that_do_not_go_together():
    production = {"ENV": "production", "MOZAIKS_APP_ID": "a", "MOZAIKS_ISSUER": "https://x.invalid",
                  "MOZAIKS_AUDIENCE": "a"}
    text = director_alone({"MOZAIKS_AUTH_MODE": "external"})
    assert "MOZAIKS_ISSUER" in text and "MOZAIKS_JWKS_URL" in text
    assert "MOZAIKS_AUDIENCE" in director_alone({**production, "MOZAIKS_AUDIENCE": ""})
    assert "MOZAIKS_ISSUER is not set" in director_alone(
        {**production, "MOZAIKS_ISSUER": "", "MOZAIKS_JWKS_URL": "https://x.invalid/k"})
    assert "JWT_SECRET" in director_alone({**production, "MOZAIKS_TOKEN_EXCHANGE": "1"})
    assert "local" in director_alone({"MOZAIKS_TOKEN_EXCHANGE": "1"})
    assert "MOZAIKS_AUTH_MODE" in director_alone({"MOZAIKS_AUTH_MODE": "none"})


@pytest.mark.parametrize("env, words", [
    ({"MOZAIKS_ISSUER": "http://id.example.invalid", "ENV": "production"}, "https"),
    ({"MOZAIKS_ISSUER": "ftp://id.example.invalid"}, "https"),
    ({"MOZAIKS_ISSUER": "https://user@id.example.invalid"}, "password"),
    ({"MOZAIKS_JWT_ALGORITHMS": "RS256,HS256"}, "MOZAIKS_JWT_ALGORITHMS"),
    ({"MOZAIKS_JWT_ALGORITHMS": "none"}, "MOZAIKS_JWT_ALGORITHMS"),
    ({"MOZAIKS_AUDIENCE": "a,,b"}, "MOZAIKS_AUDIENCE"),
    ({"MOZAIKS_ISSUER_CA_FILE": "/nonexistent.pem"}, "MOZAIKS_ISSUER_CA_FILE"),
])
def test_bad_settings_stop_the_start(env, words):
    runtime = Runtime(env={"JWT_SECRET": None, "MOZAIKS_ISSUER": "https://id.example.invalid",
                           "MOZAIKS_AUDIENCE": "a", **env})
    try:
        status, text = run_program(DIRECTOR, runtime.env)
        assert status == 1 and words in text, text
    finally:
        runtime.close()


def test_ctl_says_that_it_cannot_make_tokens(runtime):
    done = runtime.ctl("token", "--user", "alice", check=False)
    assert done.returncode != 0 and done.stdout == ""
    assert "MOZAIKS_AUTH_MODE is external" in done.stderr


# ---- Token exchange

def exchange(runtime, token):
    return runtime.request("POST", "/api/auth/token-exchange", b"", token=token)


def test_token_exchange():
    with Issuer() as issuer:
        runtime = runtime_of(issuer, MOZAIKS_TOKEN_EXCHANGE="1", JWT_SECRET=SECRET,
                             MOZAIKS_APP_TOKEN_EXPIRE_MINUTES="2")
        runtime.mint = lambda user, **claims: exchange(
            runtime, issuer.token(user, **claims)).json["access_token"]
        with runtime:
            theirs = issuer.token("u-1", username="Ann", roles=["a,b", "c d", "superadmin"])
            refused(echo(runtime, theirs), "Token exchange required")
            valid = runtime.get("/api/auth/validate-token", token=theirs)
            assert valid.json == {"valid": True, "user_id": "u-1", "username": "Ann"}
            answer = exchange(runtime, theirs)
            assert answer.status == 200, answer
            ours = answer.json.pop("access_token")
            body = {name: answer.json[name] for name in answer.json if name != "access_token"}
            assert body == {"token_type": "bearer", "expires_in": 120, "user_id": "u-1",
                            "username": "Ann"}
            assert context(echo(runtime, answer.json["access_token"])) == {
                "app_id": APP, "user_id": "u-1", "username": "Ann",
                "roles": ["a,b", "c d", "superadmin"], "is_superadmin": True}
            assert runtime.get("/api/auth/validate-token", token=ours).status == 200
            claims = json.loads(base64.urlsafe_b64decode(ours.split(".")[1] + "=="))
            assert claims["mozaiks_token_use"] == "app" and claims["aud"] == APP
            # It outlives nothing.
            short = exchange(runtime, issuer.token(exp=int(time.time()) + 20)).json
            assert 1 <= short["expires_in"] <= 20
            refused(exchange(runtime, issuer.token(exp=int(time.time()) - 5)), "expired")
            # An app token is not exchanged again, and other tokens with our secret are none.
            assert exchange(runtime, ours).status == 400
            refused(echo(runtime, mint("alice")))
            refused(echo(runtime, mint("alice", aud=APP)))
            refused(echo(runtime, mint("alice", aud=APP, mozaiks_token_use="execution")))
            refused(echo(runtime, mint("alice", aud="other", mozaiks_token_use="app")))
            assert echo(runtime, mint("alice", aud=APP, mozaiks_token_use="app")).status == 200
            # The operator's own means still work.
            token = runtime.ctl("token", "--user", "op").stdout.strip()
            assert context(echo(runtime, token))["user_id"] == "op"
            refused(exchange(runtime, issuer.token(aud="other")), "audience")


def test_no_exchange_without_the_setting(runtime, issuer):
    assert exchange(runtime, issuer.token()).status == 404


def test_no_exchange_in_local_mode():
    with Runtime() as runtime:
        answer = exchange(runtime, mint("alice"))
        assert answer.status == 404
        assert answer.json["detail"] == "Token exchange is not available in local mode"
        valid = runtime.get("/api/auth/validate-token", token=mint("alice"))
        assert valid.json == {"valid": True, "user_id": "alice", "username": "alice"}
        refused(runtime.get("/api/auth/validate-token"))
        refused(echo(runtime, mint("alice", mozaiks_token_use="execution")))


def test_it_runs_confined(runtime):
    """The fetches of all tests above went through the fences, not round them."""
    assert any(r.get("id", r.get("event")) == "confine.on" or "has confined itself" in str(r)
               for r in runtime.director.records)
