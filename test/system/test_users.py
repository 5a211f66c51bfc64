"""Local accounts over HTTP: every route and every refusal, on every store."""
import base64
import concurrent.futures
import json
import socket
import subprocess
import time
import urllib.parse
import uuid

import pytest

import documents
from conftest import PLUGINS
from runtime import CTL, Runtime, mint, wait_for

PASSWORD = "correct horse 1"
# Cheap hashes; nobody waits unless a test says so.
CHEAP = {"MOZAIKS_ARGON2_MEMORY_BYTES": "64K", "MOZAIKS_ARGON2_PASSES": "1",
         "MOZAIKS_LOGIN_FREE_ATTEMPTS": "0", "MOZAIKS_LOGIN_FREE_ATTEMPTS_PER_ADDRESS": "0"}


def new_app():
    return f"app-{uuid.uuid4().hex[:12]}"


def new_name(prefix="user"):
    return f"{prefix}{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="module")
def runtime(store):
    with Runtime({"answers": PLUGINS / "answers"}, store, CHEAP, app=new_app()) as r:
        yield r


def post(runtime, route, body, token=None):
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return runtime.request("POST", f"/api/auth/{route}", data,
                           {"Content-Type": "application/json"}, token)


def form(runtime, fields, kind="application/x-www-form-urlencoded"):
    body = fields if isinstance(fields, (bytes, str)) else urllib.parse.urlencode(fields)
    return runtime.request("POST", "/api/auth/token", body, {"Content-Type": kind})


def register(runtime, name=None, password=PASSWORD, **more):
    answer = post(runtime, "register", {"username": name or new_name(), "password": password,
                                        **more})
    assert answer.status == 200, answer
    return answer.json


def login(runtime, name, password=PASSWORD):
    return post(runtime, "login", {"username": name, "password": password})


def works(runtime, token):
    """What the execute route says of a token."""
    return runtime.execute("answers", {"action": "echo"}, token=token).status


def refused(answer, status, code):
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert answer.json["detail"] and answer.headers["content-type"] == "application/problem+json"
    assert ("www-authenticate" in answer.headers) == (status == 401)
    return answer.json["detail"]


# ---- what works ---------------------------------------------------------------------------------

def test_register_and_me(runtime):
    name = new_name("Ann")
    made = register(runtime, name, email=f"{name}@Example.org", full_name="Анна Ärmel")
    assert set(made) == {"access_token", "token_type", "user_id", "username", "refresh_token",
                         "expires_in", "refresh_expires_in"}
    assert made["token_type"] == "bearer" and made["username"] == name
    assert made["expires_in"] == 86400 and made["refresh_expires_in"] == 30 * 86400
    me = runtime.get("/api/auth/me", token=made["access_token"])
    assert me.status == 200 and me.json == {
        "username": name, "email": f"{name}@Example.org", "full_name": "Анна Ärmel",
        "user_id": made["user_id"], "roles": []}
    assert me.headers["cache-control"] == "no-store"
    valid = runtime.get("/api/auth/validate-token", token=made["access_token"])
    assert valid.json == {"valid": True, "user_id": made["user_id"], "username": name}
    context = runtime.execute("answers", {"action": "echo"}, token=made["access_token"]).json
    assert context["_context"]["user_id"] == made["user_id"]
    assert context["_context"]["username"] == name and context["_context"]["roles"] == []


@pytest.mark.parametrize("way", ["form", "login", "scope"])
def test_login(runtime, way):
    made = register(runtime, new_name())
    name = made["username"]
    if way == "login":
        answer = login(runtime, name.upper())
    else:
        extra = {"grant_type": "password", "scope": "", "client_id": "x"} if way == "scope" else {}
        answer = form(runtime, {"username": name, "password": PASSWORD, **extra})
    assert answer.status == 200 and answer.json["user_id"] == made["user_id"], answer
    assert answer.json["username"] == name and answer.json["token_type"] == "bearer"
    assert works(runtime, answer.json["access_token"]) == 200


def test_password_with_every_byte_of_a_form(runtime):
    password = "&=%+ ;\"'\\ü\u2028€{}#?/\x01"
    name = register(runtime, password=password)["username"]
    assert form(runtime, {"username": name, "password": password}).status == 200
    assert login(runtime, name, password).status == 200
    assert form(runtime, {"username": name, "password": password[:-1]}).status == 401


def test_refresh_rotates(runtime):
    first = register(runtime)
    second = post(runtime, "refresh", {"refresh_token": first["refresh_token"]})
    assert second.status == 200 and set(second.json) == set(first)
    assert second.json["refresh_token"] != first["refresh_token"]
    assert second.json["user_id"] == first["user_id"]
    third = form(runtime, {"grant_type": "refresh_token",
                           "refresh_token": second.json["refresh_token"]})
    assert third.status == 200, third
    for tokens in (first, second.json, third.json):
        assert works(runtime, tokens["access_token"]) == 200


def test_a_reused_refresh_token_ends_its_family(runtime):
    first = register(runtime)
    other = login(runtime, first["username"]).json
    second = post(runtime, "refresh", {"refresh_token": first["refresh_token"]}).json
    refused(post(runtime, "refresh", {"refresh_token": first["refresh_token"]}),
            401, "invalid_refresh_token")
    refused(post(runtime, "refresh", {"refresh_token": second["refresh_token"]}),
            401, "invalid_refresh_token")
    assert works(runtime, first["access_token"]) == works(runtime, second["access_token"]) == 401
    # The user's other session is another family.
    assert works(runtime, other["access_token"]) == 200
    assert post(runtime, "refresh", {"refresh_token": other["refresh_token"]}).status == 200
    assert any(r["id"] == "users.refresh_reused" and r["user_id"] == first["user_id"]
               for r in runtime.director.records)


def test_of_refreshes_at_once_one_wins(runtime):
    token = register(runtime)["refresh_token"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(runtime, "refresh", {"refresh_token": token}),
                                range(8)))
    assert sorted(a.status for a in answers) == [200] + [401] * 7


def test_the_oldest_sessions_make_room():
    with Runtime({"answers": PLUGINS / "answers"}, None,
                 {**CHEAP, "MOZAIKS_MAX_SESSIONS_PER_USER": "3"}) as r:
        first = register(r)
        name = first["username"]
        other = register(r)
        second, third = (login(r, name).json for _ in range(2))
        # Who refreshes is not the oldest any more.
        first = post(r, "refresh", {"refresh_token": first["refresh_token"]}).json
        fourth = login(r, name).json
        assert [works(r, s["access_token"]) for s in (first, second, third, fourth, other)] \
            == [200, 401, 200, 200, 200]
        answer = post(r, "refresh", {"refresh_token": second["refresh_token"]})
        refused(answer, 401, "invalid_refresh_token")
        assert "MOZAIKS_MAX_SESSIONS_PER_USER" in answer.json["detail"]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            at_once = list(pool.map(lambda _: login(r, name).json, range(8)))
        latest = login(r, name).json
        all_of_it = [first, third, fourth, *at_once, latest]
        assert sum(works(r, s["access_token"]) == 200 for s in all_of_it) == 3
        assert works(r, latest["access_token"]) == works(r, other["access_token"]) == 200


def test_logout(runtime):
    first = register(runtime)
    second = login(runtime, first["username"]).json
    done = post(runtime, "logout", b"", first["access_token"])
    assert done.status == 200 and done.json == {"message": "Logged out", "sessions_ended": 1}
    assert works(runtime, first["access_token"]) == 401
    assert refused(runtime.get("/api/auth/me", token=first["access_token"]), 401, "invalid_token")
    refused(post(runtime, "refresh", {"refresh_token": first["refresh_token"]}),
            401, "invalid_refresh_token")
    assert works(runtime, second["access_token"]) == 200
    refused(post(runtime, "logout", {}, first["access_token"]), 401, "invalid_token")


def test_logout_everywhere(runtime):
    sessions = [register(runtime)]
    sessions += [login(runtime, sessions[0]["username"]).json for _ in range(3)]
    done = post(runtime, "logout", {"all": True}, sessions[1]["access_token"])
    assert done.json == {"message": "Logged out", "sessions_ended": 4}
    for s in sessions:
        assert works(runtime, s["access_token"]) == 401
        assert post(runtime, "refresh", {"refresh_token": s["refresh_token"]}).status == 401


def test_logout_by_refresh_token(runtime):
    made = register(runtime)
    assert post(runtime, "logout", {"refresh_token": made["refresh_token"]}).status == 200
    assert works(runtime, made["access_token"]) == 401
    for token in ("x", "A" * 64, made["refresh_token"]):
        refused(post(runtime, "logout", {"refresh_token": token}), 401, "invalid_refresh_token")
    refused(post(runtime, "logout", {}), 401, "not_authenticated")


def test_a_new_password_ends_other_sessions(runtime):
    first = register(runtime)
    other = login(runtime, first["username"]).json
    body = {"current_password": PASSWORD, "new_password": "another horse 2"}
    done = post(runtime, "change-password", body, first["access_token"])
    assert done.status == 200 and done.json == {"message": "Password changed", "sessions_ended": 1}
    assert works(runtime, first["access_token"]) == 200
    assert works(runtime, other["access_token"]) == 401
    assert post(runtime, "refresh", {"refresh_token": other["refresh_token"]}).status == 401
    assert post(runtime, "refresh", {"refresh_token": first["refresh_token"]}).status == 200
    assert login(runtime, first["username"]).status == 401
    assert login(runtime, first["username"], "another horse 2").status == 200


def test_of_new_passwords_at_once_one_wins(runtime):
    """What was right when it began is not written over what somebody else has written since."""
    made = register(runtime)
    passwords = [f"another horse {i}" for i in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda new: post(runtime, "change-password", {
            "current_password": PASSWORD, "new_password": new}, made["access_token"]), passwords))
    won = [new for new, answer in zip(passwords, answers) if answer.status == 200]
    assert len(won) == 1, answers
    assert [new for new in passwords if login(runtime, made["username"], new).status == 200] == won


# ---- what is refused ----------------------------------------------------------------------------

def test_taken_names(runtime):
    name = new_name("Bob")
    register(runtime, name, email=f"{name}@x.org")
    for other in (name, name.upper()):
        assert refused(post(runtime, "register", {"username": other, "password": PASSWORD}),
                       400, "username_taken") == "Username already registered"
    assert refused(post(runtime, "register", {
        "username": new_name(), "password": PASSWORD, "email": f"{name.upper()}@X.ORG"}),
        400, "email_taken") == "Email already registered"
    # Both: the name is named.
    refused(post(runtime, "register", {"username": name, "password": PASSWORD,
                                       "email": f"{name}@x.org"}), 400, "username_taken")


def test_of_registrations_at_once_one_wins(runtime):
    name = new_name()

    def attempt(i):
        return post(runtime, "register", {"username": name if i % 2 else name.upper(),
                                          "password": PASSWORD, "email": f"{i}{name}@x.org"})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(8)))
    assert sorted(a.status for a in answers) == [200] + [400] * 7, answers
    assert {a.json["code"] for a in answers if a.status == 400} == {"username_taken"}
    email = f"{name}@y.org"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: post(runtime, "register", {
            "username": f"{name}{i}", "password": PASSWORD, "email": email}), range(8)))
    assert sorted(a.status for a in answers) == [200] + [400] * 7, answers
    assert {a.json["code"] for a in answers if a.status == 400} == {"email_taken"}


BAD_NAMES = ["", " ", "a b", ".a", "x" * 65, "a/b", "a\n", "ünal", "\u0430nn", "a\u200bb", "ａnn",
             '{"$gt":""}', "$where", "a\u202eb"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_usernames(runtime, name):
    answer = post(runtime, "register", {"username": name, "password": PASSWORD})
    assert refused(answer, 422, "validation_error").startswith("username: ")
    assert answer.json["errors"][0]["pointer"] == "/username"
    # Nobody is called so, and asking is no mistake.
    assert login(runtime, name).status == 401


@pytest.mark.parametrize("value", [{"$gt": ""}, {"$ne": None}, ["a"], 7, True, None])
@pytest.mark.parametrize("field", ["username", "password"])
@pytest.mark.parametrize("route", ["login", "register"])
def test_values_that_are_no_text(runtime, route, field, value):
    body = {"username": new_name(), "password": PASSWORD, field: value}
    answer = post(runtime, route, body)
    assert refused(answer, 422, "validation_error").startswith(f"{field}: ")


@pytest.mark.parametrize("email", ["x", "a@b@c", "a b@c.d", "a@", "ü@x.org", "<a@b.c>",
                                   "a" * 65 + "@x.org", "a@" + "x" * 254])
def test_bad_addresses(runtime, email):
    answer = post(runtime, "register", {"username": new_name(), "password": PASSWORD,
                                        "email": email})
    assert refused(answer, 422, "validation_error").startswith("email: ")


@pytest.mark.parametrize("password,rule", [
    ("", "MOZAIKS_PASSWORD_MIN_LENGTH"), ("sevench", "MOZAIKS_PASSWORD_MIN_LENGTH"),
    ("äöüäöüä", "MOZAIKS_PASSWORD_MIN_LENGTH"), ("x" * 1025, "MOZAIKS_PASSWORD_MAX_BYTES"),
    ("€" * 342, "MOZAIKS_PASSWORD_MAX_BYTES")])
def test_bad_passwords(runtime, password, rule):
    answer = post(runtime, "register", {"username": new_name(), "password": password})
    assert rule in refused(answer, 422, "validation_error")
    assert answer.json["errors"][0]["pointer"] == "/password"
    made = register(runtime)
    answer = post(runtime, "change-password", {
        "current_password": PASSWORD, "new_password": password}, made["access_token"])
    assert rule in refused(answer, 422, "validation_error")
    assert answer.json["errors"][0]["pointer"] == "/new_password"


def test_password_like_the_name(runtime):
    name = new_name("Longenough")
    answer = post(runtime, "register", {"username": name, "password": name.lower()})
    assert "username" in refused(answer, 422, "validation_error")


def test_lengths_and_bytes_of_passwords_at_the_login(runtime):
    name = register(runtime)["username"]
    assert login(runtime, name, "x" * 1024).status == 401
    assert "MOZAIKS_PASSWORD_MAX_BYTES" in refused(login(runtime, name, "x" * 1025), 422,
                                                   "validation_error")
    refused(login(runtime, name, "x" * 100000), 413, "body_too_large")
    refused(login(runtime, name, "x" * (1 << 20)), 413, "body_too_large")
    # JSON cannot say NUL here, a form can: it is another password, not a shorter one.
    refused(post(runtime, "login", '{"username":"%s","password":"%s\\u0000"}' % (name, PASSWORD)),
            400, "invalid_json")
    body = urllib.parse.urlencode({"username": name, "password": PASSWORD})
    assert form(runtime, body).status == 200
    refused(form(runtime, body + "%00"), 401, "invalid_credentials")
    refused(form(runtime, f"username={name}%00&password=x"), 401, "invalid_credentials")


@pytest.mark.parametrize("body,status", [
    (b"", 400), (b"{", 400), (b"[]", 422), (b"null", 422), (b'"x"', 422), (b"\xff", 400),
    (b'{"username":"a","username":"b","password":"x"}', 400), (b"{}", 422)])
@pytest.mark.parametrize("route", ["login", "register", "refresh"])
def test_bodies_that_are_no_object(runtime, route, body, status):
    answer = post(runtime, route, body)
    assert answer.status == status, answer


@pytest.mark.parametrize("body,code", [
    ("username=a&password=%", "invalid_form"), ("username=a&password=%4", "invalid_form"),
    ("username=a&password=%zz", "invalid_form"), ("username=a&username=b&password=x", "invalid_form"),
    ("username=%ff&password=x", "invalid_form"), ("&".join(f"f{i}=1" for i in range(33)),
                                                  "invalid_form"),
    ("", "validation_error"), ("username=a", "validation_error"), ("password=x", "validation_error"),
    ("grant_type=client_credentials&username=a&password=x", "validation_error"),
    ("grant_type=refresh_token", "validation_error")])
def test_bad_forms(runtime, body, code):
    refused(form(runtime, body), 400 if code == "invalid_form" else 422, code)


def test_a_form_has_its_type(runtime):
    made = register(runtime)
    body = {"username": made["username"], "password": PASSWORD}
    assert form(runtime, body, "application/x-www-form-urlencoded; charset=utf-8").status == 200
    for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain",
                 "application/x-www-form-urlencodedx"):
        refused(form(runtime, body, kind), 415, "unsupported_media_type")


@pytest.mark.parametrize("token", ["", "x", "A" * 64, "A" * 63 + "=", "A" * 65, "\u00e4" * 32,
                                   '{"$gt":""}'])
def test_bad_refresh_tokens(runtime, token):
    refused(post(runtime, "refresh", {"refresh_token": token}), 401, "invalid_refresh_token")


def test_a_made_up_token_does_not_end_a_session(runtime):
    """Only who has had a token of the family can be taken for a thief."""
    made = register(runtime)
    sid = json.loads(base64.urlsafe_b64decode(made["access_token"].split(".")[1] + "=="))["sid"]
    for text in (sid, sid * 2, sid + "A" * 32):
        post(runtime, "refresh", {"refresh_token": text})
    assert works(runtime, made["access_token"]) == 200
    assert post(runtime, "refresh", {"refresh_token": made["refresh_token"]}).status == 200


def test_no_enumeration(runtime):
    """An unknown name and a wrong password: the same status, headers and words; the work is the same
    too (the unit test counts it)."""
    name = register(runtime)["username"]
    answers = [login(runtime, name, "wrong"), login(runtime, new_name(), "wrong"),
               form(runtime, {"username": name, "password": "wrong"}),
               form(runtime, {"username": new_name(), "password": "wrong"})]
    for a in answers:
        assert refused(a, 401, "invalid_credentials") == "Incorrect username or password"
        assert set(a.headers) == set(answers[0].headers)
    def lasting(answer):
        return {k: v for k, v in answer.json.items() if k not in ("request_id", "trace_id")}
    for a, b in (answers[:2], answers[2:]):
        assert lasting(a) == lasting(b)


def hashing(runtime):
    return json.loads(ctl(runtime, "list", "nobody-at-all", "--json").stdout)["hashing"]


def test_an_unknown_name_costs_a_verification(runtime):
    name = register(runtime)["username"]
    before = hashing(runtime)
    for user in (name, new_name(), "no name at all", "x" * 300):
        login(runtime, user, "wrong")
    after = hashing(runtime)
    assert after["verified"] - before["verified"] == 4
    assert after["dummies"] - before["dummies"] == 3
    assert after["refused"] == before["refused"]


def test_wrong_current_password(runtime):
    made = register(runtime)
    body = {"current_password": "wrong", "new_password": "another horse 2"}
    # No 401: front ends would log the user out.
    refused(post(runtime, "change-password", body, made["access_token"]), 400, "wrong_password")
    assert login(runtime, made["username"]).status == 200
    refused(post(runtime, "change-password", body), 401, "not_authenticated")
    refused(post(runtime, "change-password", {}, made["access_token"]), 422, "validation_error")


def test_a_token_without_an_account(runtime):
    token = mint("nobody-here")
    assert refused(runtime.get("/api/auth/me", token=token), 404, "user_not_found")
    assert runtime.get("/api/auth/validate-token", token=token).json["valid"] is True
    refused(post(runtime, "change-password", {"current_password": "x", "new_password": PASSWORD},
                 token), 404, "user_not_found")
    assert post(runtime, "logout", b"", token).json["sessions_ended"] == 0


def test_without_a_token(runtime):
    for path in ("me", "validate-token"):
        refused(runtime.get(f"/api/auth/{path}"), 401, "not_authenticated")
        refused(runtime.get(f"/api/auth/{path}", token="x.y.z"), 401, "invalid_token")


def test_a_client_makes_itself_no_operator(runtime):
    made = register(runtime, roles=["superadmin"], is_superadmin=True, disabled=True,
                    hashed_password="x", _id="y", username_key="z")
    me = runtime.get("/api/auth/me", token=made["access_token"]).json
    assert me["roles"] == []
    assert runtime.get("/__mozaiks/admin/plugins", token=made["access_token"]).status == 403


def test_wrong_methods(runtime):
    assert runtime.get("/api/auth/login").status == 405
    assert runtime.request("POST", "/api/auth/me").status == 405
    assert runtime.get("/api/auth/nothing").status == 404


# ---- what the store has -------------------------------------------------------------------------

def test_the_store_has_hashes_only(store):
    app = new_app()
    with Runtime(None, store, CHEAP, app=app) as r:
        made = register(r, "Ann", email="Ann@x.org")
        again = post(r, "refresh", {"refresh_token": made["refresh_token"]}).json
        r.stop()
        stored = documents.of(r, store)
        users, sessions = stored.find(f"{app}/users"), stored.find(f"{app}/sessions")
        assert len(users) == len(sessions) == 1
        assert users[0]["hashed_password"].startswith("$argon2id$v=19$m=64,t=1,p=1$")
        assert (users[0]["username_key"], users[0]["email_key"]) == ("ann", "ann@x.org")
        assert str(users[0]["_id"]) == made["user_id"] == sessions[0]["user_id"]
        text = repr(users) + repr(sessions)
        for secret in (PASSWORD, made["refresh_token"], again["refresh_token"],
                       again["access_token"]):
            assert secret not in text
        # Neither can what is there be sent.
        r.start()
        for value in (sessions[0]["_id"], sessions[0]["secret"]):
            assert post(r, "refresh", {"refresh_token": value}).status == 401
        assert post(r, "refresh", {"refresh_token": again["refresh_token"]}).status == 200


def test_restart(store):
    """What was ended stays ended, what was not goes on."""
    with Runtime({"answers": PLUGINS / "answers"}, store, CHEAP, app=new_app()) as r:
        kept = register(r)
        ended = register(r)
        rotated = post(r, "refresh", {"refresh_token": kept["refresh_token"]}).json
        assert post(r, "logout", b"", ended["access_token"]).status == 200
        disabled = register(r)
        r.ctl("user", "disable", disabled["username"])
        r.director.kill()
        r.pluginhost.kill()
        r.start()
        assert works(r, kept["access_token"]) == works(r, rotated["access_token"]) == 200
        assert works(r, ended["access_token"]) == 401
        assert works(r, disabled["access_token"]) == 400
        assert works(r, mint(disabled["user_id"])) == 400
        assert post(r, "refresh", {"refresh_token": ended["refresh_token"]}).status == 401
        # Used before the restart.
        assert post(r, "refresh", {"refresh_token": kept["refresh_token"]}).status == 401
        assert works(r, rotated["access_token"]) == 401
        assert login(r, kept["username"]).status == 200


BCRYPT = "$2b$04$abcdefghijklmnopqrstuuyvPXIbu7xe6/CED2DzX8z6Si09MlzlW"  # "pw"


def test_accounts_that_were_there_before(store):
    """Documents of the reference's shape: no keys, bcrypt, roles that their users wrote themselves."""
    app = new_app()
    with Runtime(None, store, CHEAP, app=app) as r:
        ids = {name: register(r, f"temp{i}", email=f"temp{i}@x.org")["user_id"]
               for i, name in enumerate(["Carol", "carol", "Ünal", "dave", "nohash"])}
        r.stop()
        stored = documents.of(r, store)
        names = {id: name for name, id in ids.items()}

        def make_older(user):
            name = names[str(user["_id"])]
            for field in ("username_key", "email_key"):
                del user[field]
            user.update(username=name, hashed_password=BCRYPT, roles=["superadmin"],
                        is_superadmin=True, email=f"{name}@old.org")
            if name == "nohash":
                del user["hashed_password"]
            if name == "dave":
                user["disabled"] = True
        stored.change(f"{app}/users", make_older)
        r.start()
        assert any(rec["id"] == "users.name_twice" for rec in r.director.records)
        for name in ("Carol", "carol", "Ünal"):
            answer = login(r, name, "pw")
            assert answer.status == 200 and answer.json["user_id"] == ids[name], answer
            assert answer.json["username"] == name
            me = r.get("/api/auth/me", token=answer.json["access_token"]).json
            assert me["roles"] == [] and me["email"] == f"{name}@old.org"
            assert r.get("/__mozaiks/admin/plugins",
                         token=answer.json["access_token"]).status == 403
        assert login(r, "Carol", "px").status == 401
        assert login(r, "nohash", "pw").status == login(r, "nohash", "").status == 401
        refused(login(r, "dave", "pw"), 400, "user_disabled")
        assert login(r, "dave", "px").status == 401
        refused(post(r, "register", {"username": "CAROL", "password": PASSWORD}), 400,
                "username_taken")
        refused(post(r, "register", {"username": "new", "password": PASSWORD,
                                     "email": "DAVE@old.org"}), 400, "email_taken")

        # A login renews the hash.
        def renewed():
            r.stop()
            hashes = {u["username"]: u.get("hashed_password") for u in stored.find(f"{app}/users")}
            r.start()
            return hashes if hashes["Carol"].startswith("$argon2id$") else None
        hashes = wait_for(renewed, "the new hash")
        assert hashes["dave"] == BCRYPT and hashes["nohash"] is None
        assert login(r, "Carol", "pw").status == 200 and login(r, "Carol", "px").status == 401


# ---- settings -----------------------------------------------------------------------------------

def test_no_registration():
    with Runtime(env={**CHEAP, "MOZAIKS_ALLOW_REGISTRATION": "0"}) as r:
        answer = post(r, "register", {"username": "ann", "password": PASSWORD})
        assert "MOZAIKS_ALLOW_REGISTRATION" in refused(answer, 403, "registration_closed")


def test_password_rules_are_settings():
    rules = {"MOZAIKS_PASSWORD_MIN_LENGTH": "12", "MOZAIKS_PASSWORD_KINDS": "3",
             "MOZAIKS_PASSWORD_MAX_BYTES": "64"}
    with Runtime(env={**CHEAP, **rules}) as r:
        for password, rule in (("Short1!", "MIN_LENGTH"), ("alllowercase1", "KINDS"),
                               ("Aa1" * 22, "MAX_BYTES")):
            answer = post(r, "register", {"username": "ann", "password": password})
            assert f"MOZAIKS_PASSWORD_{rule}" in refused(answer, 422, "validation_error")
        register(r, "ann", "Long enough 1")


def test_lives_of_tokens():
    env = {**CHEAP, "ACCESS_TOKEN_EXPIRE_MINUTES": "5", "MOZAIKS_REFRESH_TOKEN_SECONDS": "1"}
    with Runtime({"answers": PLUGINS / "answers"}, env=env) as r:
        made = register(r, "ann")
        assert (made["expires_in"], made["refresh_expires_in"]) == (300, 1)
        time.sleep(1.1)
        refused(post(r, "refresh", {"refresh_token": made["refresh_token"]}), 401,
                "invalid_refresh_token")
        assert works(r, made["access_token"]) == 200


def test_attempts_have_to_wait():
    env = {**CHEAP, "MOZAIKS_LOGIN_FREE_ATTEMPTS": "3", "MOZAIKS_LOGIN_WAIT_SECONDS": "600",
           "MOZAIKS_LOGIN_MAX_WAIT_SECONDS": "600"}
    with Runtime(env=env) as r:
        for name in ("Ann", "Eve"):
            register(r, name)
        for name in ("ann", "ghost"):
            for _ in range(3):
                assert login(r, name, "wrong").status == 401
            # Known or not, the right password or not: the same.
            for password in ("wrong", PASSWORD):
                answer = login(r, name.upper(), password)
                refused(answer, 429, "too_many_attempts")
                assert 1 <= int(answer.headers["retry-after"]) <= 600
        assert login(r, "Eve").status == 200
        # Good ones cost nothing.
        for _ in range(10):
            assert login(r, "Eve").status == 200
        # The current password is guessed no faster.
        token = login(r, "Eve").json["access_token"]
        body = {"current_password": "wrong", "new_password": "another horse 2"}
        statuses = [post(r, "change-password", body, token).status for _ in range(5)]
        assert statuses == [400, 400, 400, 429, 429]


def test_guesses_at_once_are_counted():
    env = {**CHEAP, "MOZAIKS_LOGIN_FREE_ATTEMPTS": "4", "MOZAIKS_LOGIN_WAIT_SECONDS": "600",
           "MOZAIKS_LOGIN_MAX_WAIT_SECONDS": "600"}
    with Runtime(env=env) as r:
        register(r, "ann")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(lambda _: login(r, "ann", "wrong").status, range(32)))
        assert statuses.count(401) == 4 and statuses.count(429) == 28


def test_addresses_have_to_wait():
    env = {**CHEAP, "MOZAIKS_LOGIN_FREE_ATTEMPTS_PER_ADDRESS": "5",
           "MOZAIKS_LOGIN_WAIT_SECONDS": "600", "MOZAIKS_LOGIN_MAX_WAIT_SECONDS": "600"}
    with Runtime(env=env) as r:
        register(r, "ann")
        for _ in range(4):
            assert login(r, new_name(), "wrong").status == 401
        for name in (new_name(), "ann"):
            refused(login(r, name), 429, "too_many_attempts")
        refused(post(r, "register", {"username": new_name(), "password": PASSWORD}), 429,
                "too_many_attempts")


def test_full_queue():
    env = {**CHEAP, "MOZAIKS_ARGON2_MEMORY_BYTES": "64M", "MOZAIKS_ARGON2_PASSES": "3",
           "MOZAIKS_PASSWORD_QUEUE": "2"}
    with Runtime(env=env) as r:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: login(r, new_name(), "wrong"), range(16)))
            # The loop goes on meanwhile.
            assert r.get("/livez").status == 200
        full = [a for a in answers if a.status == 503]
        assert full and {a.status for a in answers} <= {401, 503}
        for a in full:
            assert "MOZAIKS_PASSWORD_QUEUE" in refused(a, 503, "overloaded")
            assert int(a.headers["retry-after"]) >= 1
        assert login(r, "nobody", "wrong").status == 401


# ---- events -------------------------------------------------------------------------------------

LISTENER = """
from core.event_bus import event_bus

seen = []


@event_bus.on_event("user:*")
async def on_user(data):
    seen.append(data)


async def execute(data):
    return {"seen": seen}
"""


def test_events():
    with Runtime({"listener": {"logic.py": LISTENER}}, env=CHEAP) as r:
        made = register(r, "ann")
        login(r, "ann")
        login(r, "ann", "wrong")

        def seen():
            found = r.execute("listener", token=made["access_token"]).json["seen"]
            return found if len(found) >= 2 else None
        found = wait_for(seen, "the events")
        assert len(found) == 2
        for event in found:
            assert event["user_id"] == made["user_id"] and event["username"] == "ann"


# ---- two directors on one store -----------------------------------------------------------------

def test_another_node_learns(store):
    if store is None:
        return  # one file, one director
    app = new_app()
    env = {**CHEAP, "MOZAIKS_REVOCATION_POLL_SECONDS": "0.2"}
    with Runtime({"answers": PLUGINS / "answers"}, store, env, app=app) as a, \
            Runtime({"answers": PLUGINS / "answers"}, store, env, app=app) as b:
        made, other = register(a), register(a)
        assert works(b, made["access_token"]) == works(b, other["access_token"]) == 200
        post(a, "logout", b"", made["access_token"])
        wait_for(lambda: works(b, made["access_token"]) == 401, "the end of the session")
        a.ctl("user", "disable", other["username"])
        wait_for(lambda: works(b, other["access_token"]) == 400, "the news of the disabled")
        a.ctl("user", "enable", other["username"])
        # Its session has ended with it.
        wait_for(lambda: works(b, other["access_token"]) == 401, "the news of the enabled")
        assert login(b, other["username"]).status == 200


def test_no_token_is_taken_before_the_store_has_answered():
    """Who is disabled and which sessions have ended is not known yet: a good token waits."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        runtime = Runtime(store=f"mongodb://127.0.0.1:{s.getsockname()[1]}/nowhere")
        try:
            runtime.start_director()
            answer = runtime.execute("answers", {}, token=mint("alice"))
            assert (answer.status, answer.json["code"]) == (503, "not_ready"), answer
            assert int(answer.headers["retry-after"]) > 0
            refused(runtime.execute("answers", {}, token="x"), 401, "invalid_token")
        finally:
            runtime.close()


def test_who_is_disabled_behind_its_back(store):
    """In the store alone, where nobody ended the sessions, and by a hand that writes 1 for true."""
    app = new_app()
    env = {**CHEAP, "MOZAIKS_REVOCATION_POLL_SECONDS": "3600"}
    with Runtime({"answers": PLUGINS / "answers"}, store, env, app=app) as r:
        made = register(r)
        if store is None:
            r.stop()
        documents.of(r, store).change(f"{app}/users", lambda user: user.update(disabled=1))
        if store is None:
            r.start()
        refused(post(r, "refresh", {"refresh_token": made["refresh_token"]}), 400, "user_disabled")
        if store:  # a change of the file forgets the indexes, and with them the name
            refused(login(r, made["username"]), 400, "user_disabled")
        body = {"current_password": PASSWORD, "new_password": "another horse 2"}
        refused(post(r, "change-password", body, made["access_token"]), 400, "user_disabled")


# ---- mozaiksctl user ----------------------------------------------------------------------------

def ctl(runtime, *arguments, password=None, check=True):
    done = subprocess.run([str(CTL), "user", *arguments], env=runtime.env, text=True, timeout=60,
                          input="" if password is None else password + "\n",
                          capture_output=True)
    assert not check or done.returncode == 0, done
    return done


def test_the_first_operator(runtime):
    name = new_name("root")
    out = ctl(runtime, "add", name, "--roles", "superadmin,editor", "--email", f"{name}@x.org",
              "--full-name", "Dr. Root", password=PASSWORD).stdout
    assert name in out and "superadmin,editor" in out and PASSWORD not in out
    token = login(runtime, name).json["access_token"]
    me = runtime.get("/api/auth/me", token=token).json
    assert me["roles"] == ["superadmin", "editor"] and me["full_name"] == "Dr. Root"
    assert runtime.get("/__mozaiks/admin/plugins", token=token).status == 200
    shown = json.loads(ctl(runtime, "show", name.upper(), "--json").stdout)
    assert shown["username"] == name and shown["roles"] == "superadmin,editor"
    assert shown["user_id"] == me["user_id"] and shown["disabled"] is False
    assert any(r["id"] == "admin.user_action" and r["username"] == name and r["action"] == "add"
               for r in runtime.director.records)
    assert PASSWORD not in runtime.director.text


def test_operators_are_refused_too(runtime):
    name = register(runtime, new_name(), email=f"{new_name()}@x.org")["username"]
    for arguments, password, status, words in [
            (["add", name], PASSWORD, 1, "already registered"),
            (["add", "a b"], PASSWORD, 1, "username: "),
            (["add", new_name(), "--email", "x"], PASSWORD, 1, "email: "),
            (["add", new_name()], "short", 1, "MOZAIKS_PASSWORD_MIN_LENGTH"),
            (["add", new_name()], "", 2, "no password"),
            (["add", new_name()], None, 2, "no password"),
            (["add", new_name(), "--roles", "a" * 129], PASSWORD, 1, "roles: "),
            (["password", "nobody-here"], PASSWORD, 4, "User not found"),
            (["password", name], "short", 1, "MOZAIKS_PASSWORD_MIN_LENGTH"),
            (["roles", "nobody-here", "a"], None, 4, "User not found"),
            (["roles", name, "a,,b"], None, 1, "roles: "),
            (["disable", "nobody-here"], None, 4, "User not found"),
            (["show", '{"$gt":""}'], None, 4, "User not found"),
            (["add"], PASSWORD, 2, "argument"), (["disable", name, "--ttl", "5"], None, 2, "ttl")]:
        done = ctl(runtime, *arguments, password=password, check=False)
        assert done.returncode == status and words in done.stderr, (arguments, done)
    assert login(runtime, name).status == 200


def test_disable_and_enable(runtime):
    made = register(runtime)
    name, token = made["username"], made["access_token"]
    operators = mint(made["user_id"], username=name)
    assert works(runtime, token) == works(runtime, operators) == 200
    assert "disabled" in ctl(runtime, "disable", name).stdout
    for t in (token, operators):
        assert refused(runtime.execute("answers", {}, token=t), 400, "user_disabled") == \
            "Inactive user"
        refused(runtime.get("/api/auth/me", token=t), 400, "user_disabled")
    refused(login(runtime, name), 400, "user_disabled")
    assert login(runtime, name, "wrong").status == 401
    refused(post(runtime, "refresh", {"refresh_token": made["refresh_token"]}), 401,
            "invalid_refresh_token")
    assert "enabled" in ctl(runtime, "enable", name).stdout
    assert works(runtime, operators) == 200
    # What was ended stays ended.
    assert works(runtime, token) == 401
    assert works(runtime, login(runtime, name).json["access_token"]) == 200


def test_password_and_roles_by_an_operator(runtime):
    made = register(runtime)
    name = made["username"]
    assert "1 sessions ended" in ctl(runtime, "password", name, password="operator's 1").stdout
    assert works(runtime, made["access_token"]) == 401
    assert login(runtime, name).status == 401
    token = login(runtime, name, "operator's 1").json["access_token"]
    ctl(runtime, "roles", name, "a,b c")
    assert works(runtime, token) == 401
    fresh = login(runtime, name, "operator's 1").json
    assert runtime.get("/api/auth/me", token=fresh["access_token"]).json["roles"] == ["a", "b c"]
    again = post(runtime, "refresh", {"refresh_token": fresh["refresh_token"]}).json
    context = runtime.execute("answers", {"action": "echo"}, token=again["access_token"]).json
    assert context["_context"]["roles"] == ["a", "b c"]
    ctl(runtime, "roles", name, "")
    token = login(runtime, name, "operator's 1").json["access_token"]
    assert runtime.get("/api/auth/me", token=token).json["roles"] == []


def test_list(runtime):
    part = new_name("l")
    for i in range(3):
        register(runtime, f"{part}.{i}", email=f"{part}.{i}@x.org")
    ctl(runtime, "roles", f"{part}.1", "editor")
    listed = json.loads(ctl(runtime, "list", part, "--json").stdout)
    assert listed["total"] == 3
    assert [u["username"] for u in listed["users"]] == [f"{part}.{i}" for i in range(3)]
    assert [u["roles"] for u in listed["users"]] == ["", "editor", ""]
    assert "hashed_password" not in repr(listed) and "argon2" not in repr(listed)
    assert json.loads(ctl(runtime, "list", f"{part}.1@", "--json").stdout)["total"] == 1
    # A text, not a pattern.
    for text in (".*", "^l", "[a-z]", "(", "\\", "a|b", '{"$gt":""}'):
        assert json.loads(ctl(runtime, "list", text, "--json").stdout)["total"] == 0
    table = ctl(runtime, "list", part).stdout.splitlines()
    assert table[0].split()[:2] == ["NAME", "ID"] and len(table) == 4


def test_only_on_the_admin_socket(runtime):
    token = mint("operator", roles=["superadmin"])
    for path in ("/admin/users", "/admin/users/x"):
        assert runtime.get(path, token=token).status == 404
