"""External mode with a real Keycloak: logins, rotation, what is not for us."""
import time

import pytest

import keycloak
from conftest import PLUGINS, cannot_run
from runtime import APP, SECRET, Runtime, account_for, wait_for

REALM, AUDIENCE, CLIENT = "shop", "mozaiks-core", "mozaiks-shell"
LEEWAY = 4


def user(name, realm_roles, client_roles=()):
    return {"username": name, "enabled": True, "email": f"{name}@example.org",
            "emailVerified": True, "firstName": name, "lastName": "Test",
            "credentials": [{"type": "password", "value": f"pw-{name}", "temporary": False}],
            "realmRoles": list(realm_roles), "clientRoles": {AUDIENCE: list(client_roles)}}


def client(name, **more):
    return {"clientId": name, "publicClient": True, "directAccessGrantsEnabled": True,
            "fullScopeAllowed": True, **more}


def audience_mapper(audience):
    return {"name": f"audience {audience}", "protocol": "openid-connect",
            "protocolMapper": "oidc-audience-mapper",
            "config": {"included.client.audience": audience, "access.token.claim": "true"}}


def realm(name):
    return {
        "realm": name, "enabled": True, "sslRequired": "none", "accessTokenLifespan": 300,
        "roles": {"realm": [{"name": "editor"}, {"name": "superadmin"}],
                  "client": {AUDIENCE: [{"name": "writer"}], "wiki": [{"name": "wiki-admin"}]}},
        "clients": [
            client(AUDIENCE),
            client(CLIENT, protocolMappers=[audience_mapper(AUDIENCE)]),
            client("short", protocolMappers=[audience_mapper(AUDIENCE)],
                   attributes={"access.token.lifespan": "2"}),
            client("curve", protocolMappers=[audience_mapper(AUDIENCE)],
                   attributes={"access.token.signed.response.alg": "ES256"}),
            client("wiki"),
        ],
        "users": [user("alice", ["editor"], ["writer"]), user("root", ["superadmin"])],
    }


@pytest.fixture(scope="module")
def server():
    reason = keycloak.why_not()
    if reason:
        cannot_run(f"keycloak: {reason}")
    with keycloak.Keycloak() as s:
        account_for(s.process.pid)
        for name in (REALM, "other"):
            s.admin("POST", "", realm(name))
        s.add_key(REALM, "ecdsa-generated", 100, ecdsaEllipticCurveKey="P-256")
        yield s


def login(server, name="alice", client_id=CLIENT, realm_name=REALM, what="access_token", **more):
    return server.login(realm_name, client_id, name, f"pw-{name}", **more)[what]


def runtime_of(server, **env):
    return Runtime({"answers": PLUGINS / "answers"}, env={
        "JWT_SECRET": None, "MOZAIKS_ISSUER": server.issuer(REALM), "MOZAIKS_AUDIENCE": AUDIENCE,
        "MOZAIKS_JWKS_REFETCH_SECONDS": "0.5", "MOZAIKS_JWKS_CACHE_SECONDS": "2",
        "MOZAIKS_JWT_LEEWAY_SECONDS": str(LEEWAY), **env}, mint=lambda _, **__: login(server))


@pytest.fixture(scope="module")
def runtime(server):
    with runtime_of(server, MOZAIKS_JWT_ALGORITHMS="RS256,ES256",
                    MOZAIKS_USERNAME_CLAIM="preferred_username") as r:
        yield r


def echo(runtime, token):
    return runtime.execute("answers", {"action": "echo"}, token=token)


def user_id(server, name):
    return server.admin("GET", f"/{REALM}/users?username={name}&exact=true")[0]["id"]


def test_login(server, runtime):
    answer = echo(runtime, login(server))
    assert answer.status == 200, answer
    got = answer.json["_context"]
    assert got["user_id"] == user_id(server, "alice")
    assert got["username"] == "alice" and got["app_id"] == APP
    assert {"editor", "writer"} <= set(got["roles"]) and got["is_superadmin"] is False


def test_superadmin(server, runtime):
    token = login(server, "root")
    assert echo(runtime, token).json["_context"]["is_superadmin"] is True
    assert runtime.get("/__mozaiks/admin/plugins", token=token).status == 200
    assert runtime.get("/__mozaiks/admin/plugins", token=login(server)).status == 403


def test_another_audience(server, runtime):
    # Keycloak adds the clients whose roles a user has: root has none of ours.
    answer = echo(runtime, login(server, "root", client_id="wiki"))
    assert answer.status == 401 and "audience" in answer.json["detail"], answer


def test_another_realm(server, runtime):
    token = login(server, realm_name="other")
    wait_for(lambda: echo(runtime, token).status != 503, "a verdict")
    answer = echo(runtime, token)
    assert answer.status == 401 and "key" in answer.json["detail"], answer


def test_the_same_keys_under_another_name(server):
    """The issuer's address is not the name that its tokens carry."""
    runtime = runtime_of(server, MOZAIKS_ISSUER=server.issuer("other"), MOZAIKS_JWKS_URL=(
        server.issuer(REALM) + "/protocol/openid-connect/certs"))
    try:
        runtime.start_director()
        token = login(server)
        wait_for(lambda: echo(runtime, token).status != 503, "a verdict")
        answer = echo(runtime, token)
        assert answer.status == 401 and "issuer" in answer.json["detail"], answer
    finally:
        runtime.close()


@pytest.mark.parametrize("what", ["id_token", "refresh_token"])
def test_other_tokens_of_a_login(server, runtime, what):
    # Its audience is the client itself: one that we take shows that the type counts, too.
    token = login(server, client_id=AUDIENCE, what=what, scope="openid")
    wait_for(lambda: echo(runtime, token).status != 503, "a verdict")
    assert echo(runtime, token).status == 401


def test_a_key_on_a_curve(server, runtime):
    assert echo(runtime, login(server, client_id="curve")).status == 200


def test_clock_skew(server, runtime):
    token = login(server, client_id="short")
    end = time.time() + 2
    assert echo(runtime, token).status == 200
    while time.time() <= end:
        time.sleep(0.1)
    if time.time() < end + LEEWAY - 1:
        assert echo(runtime, token).status == 200
    wait_for(lambda: echo(runtime, token).status == 401, "the end of the token")
    assert time.time() >= end + LEEWAY - 2


def test_rotation_and_a_disabled_key(server, runtime):
    first = server.add_key(REALM, priority=1000)
    old_keys = set(server.keys(REALM))
    old = login(server)
    wait_for(lambda: echo(runtime, old).status == 200, "the first key")
    server.add_key(REALM, priority=2000)
    assert set(server.keys(REALM)) > old_keys
    new = login(server)
    wait_for(lambda: echo(runtime, new).status == 200, "the second key")
    # Both for a while.
    assert echo(runtime, old).status == 200
    server.disable_key(REALM, first)
    wait_for(lambda: echo(runtime, old).status == 401, "the end of the first key")
    assert echo(runtime, new).status == 200


def test_exchange(server):
    runtime = runtime_of(server, MOZAIKS_TOKEN_EXCHANGE="1", JWT_SECRET=SECRET)

    def exchanged(token):
        return runtime.request("POST", "/api/auth/token-exchange", b"", token=token)
    runtime.mint = lambda _, **__: exchanged(login(server)).json["access_token"]
    with runtime:
        theirs = login(server)
        answer = echo(runtime, theirs)
        assert answer.status == 401 and answer.json["detail"] == "Token exchange required"
        answer = exchanged(theirs).json
        assert answer["token_type"] == "bearer" and 0 < answer["expires_in"] <= 300
        got = echo(runtime, answer["access_token"]).json["_context"]
        assert got["user_id"] == user_id(server, "alice") == answer["user_id"]
        assert {"editor", "writer"} <= set(got["roles"])
