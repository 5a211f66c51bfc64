"""WebSockets: raw bytes in, bytes out, against the real programs."""
import contextlib
import json
import threading
import time

import pytest

from runtime import PATIENCE_SECONDS, Runtime, mint, wait_for
from websocket import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, Ended, Refused,
                       close_payload, frame)

PATH = "/ws/notifications/_"
PLUGIN = {"logic.py": """
import asyncio

from core.notifications_manager import notifications_manager
from core.websocket_manager import websocket_manager

seen = {"cancelled": 0}


async def execute(data):
    action = data.get("action")
    if action == "sleep":
        try:
            await asyncio.sleep(data["seconds"])
        except asyncio.CancelledError:
            seen["cancelled"] += 1
            raise
        return {"slept": data["seconds"]}
    if action == "seen":
        return dict(seen)
    if action == "fail":
        return {"error": "no", "error_code": data["code"]}
    if action == "raise":
        raise ValueError("secret")
    if action == "send":
        try:
            n = await websocket_manager.send_to_user(data["to"], data["message"])
        except PermissionError as error:
            return {"refused": str(error)}
        return {"recipients": n}
    if action == "broadcast":
        sent = []
        for _ in range(data.get("times", 1)):
            try:
                sent.append(await websocket_manager.broadcast(data["message"]))
            except Exception as error:
                return {"sent": sent, "refused": str(error)}
        return {"sent": sent}
    if action == "notify":
        return await notifications_manager.create_notification(
            data["to"], "chat_message", data["title"], "text", {"n": 1})
    return data
"""}


@pytest.fixture(scope="module")
def runtime():
    with Runtime(plugins={"talk": PLUGIN}) as r:
        r.wait_plugin("talk", lambda p: p["state"] == "ready")
        yield r


def connect(r, user="alice", path=PATH, **more):
    return Client(r.port, path, token=mint(user), **more)


def opened(r, user="alice", **more):
    """An open socket whose connection_ack was read."""
    ws = connect(r, user, **more)
    ack = ws.receive()
    assert ack["type"] == "connection_ack" and ack["data"]["user_id"] == user, ack
    return ws


# The handshake

def refused(r, headers=None, path=PATH, token=True):
    with pytest.raises(Refused) as caught:
        Client(r.port, path, token=mint("alice") if token else None, headers=headers)
    return caught.value


@pytest.mark.parametrize("headers", [
    {"Upgrade": None}, {"Connection": "keep-alive"}, {"Upgrade": "h2c"},
    {"Sec-WebSocket-Version": "8"}, {"Sec-WebSocket-Version": None}])
def test_what_is_no_handshake_is_told_what_is(runtime, headers):
    answer = refused(runtime, headers)
    assert answer.status == 426
    assert answer.head["upgrade"] == "websocket" and answer.head["sec-websocket-version"] == "13"


@pytest.mark.parametrize("key", [None, "", "abc", "dGhlIHNhbXBsZSBub25j", "!" * 24,
                                 ["dGhlIHNhbXBsZSBub25jZQ=="] * 2])
def test_a_bad_key_is_refused(runtime, key):
    assert refused(runtime, {"Sec-WebSocket-Key": key}).status == 400


def test_a_handshake_is_http_1_1_without_a_body(runtime):
    lines = (f"GET {PATH} HTTP/1.{{}}\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
             f"Authorization: Bearer {mint('alice')}\r\n{{}}\r\n")
    for version, more in [(0, ""), (1, "Content-Length: 2\r\n"), (1, "Transfer-Encoding: chunked\r\n")]:
        body = {"": "", "C": "{}", "T": "2\r\n{}\r\n0\r\n\r\n"}[more[:1]]
        answer = runtime.raw((lines.format(version, more) + body).encode(), close=True)
        assert answer.startswith(b"HTTP/1.1 400 ") and b"bad_handshake" in answer, answer


def test_only_get_opens(runtime):
    assert runtime.request("POST", PATH, b"{}", token=mint("alice")).status == 405


def test_the_upgrade_may_stand_in_any_list(runtime):
    with connect(runtime, headers={"Connection": ["keep-alive", "foo, UPGRADE"],
                                   "Upgrade": "WebSocket"}) as ws:
        assert ws.receive()["type"] == "connection_ack"


@pytest.mark.parametrize("origin, good", [
    ("http://localhost:5173", True), ("http://127.0.0.1:{port}", True),
    ("https://evil.example", False), ("null", False), ("http://localhost:5173.evil.example", False),
    ("http://127.0.0.1", False)])
def test_origins_are_checked(runtime, origin, good):
    headers = {"Origin": origin.format(port=runtime.port)}
    if good:
        with connect(runtime, headers=headers) as ws:
            assert ws.receive()["type"] == "connection_ack"
    else:
        answer = refused(runtime, headers)
        assert answer.status == 403 and json.loads(answer.body)["code"] == "origin_not_trusted"


def test_frames_may_come_with_the_handshake(runtime):
    """A client that does not wait for the answer loses nothing."""
    ws = connect(runtime)
    ws.socket.close()
    head = (f"GET {PATH} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {mint('alice')}\r\n\r\n").encode()
    answer = runtime.raw(head + frame(TEXT, b'{"type":"ping","id":7}') +
                         frame(CLOSE, close_payload(1000)))
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b'"type":"connection_ack"' in answer and b'{"type":"pong","id":7,' in answer
    assert answer.endswith(b"\x88\x02\x03\xe8")


# Who may

def encoded(token):
    import base64
    return base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("offer, echoed", [
    ("mozaiks, {t}", "mozaiks"), ("{t}, mozaiks", "mozaiks"), ("bearer, {t}", "bearer"),
    ("{t}", "{t}"), ("access_token.{t}", "access_token.{t}"),
    ("mozaiks, access_token.{t}", "mozaiks"),
    ("base64url.bearer.authorization.mozaiks.{e}, mozaiks", "mozaiks")])
def test_a_token_may_be_a_subprotocol(runtime, offer, echoed):
    token = mint("alice")
    text = {"t": token, "e": encoded(token)}
    with Client(runtime.port, PATH,
                headers={"Sec-WebSocket-Protocol": offer.format(**text)}) as ws:
        assert ws.headers["sec-websocket-protocol"] == echoed.format(**text)
        assert ws.receive()["data"]["user_id"] == "alice"


def test_a_token_may_be_in_the_query_and_is_not_logged():
    token = mint("alice")
    with Runtime(env={"MOZAIKS_ACCESS_LOG": "1", "MOZAIKS_LOG_LEVEL": "debug"}) as r:
        with Client(r.port, f"/ws/notifications/alice?access_token={token}") as ws:
            assert ws.receive()["type"] == "connection_ack"
        wait_for(lambda: "/ws/notifications/alice" in r.log, "the access log")
        assert token not in r.log and token.split(".")[2] not in r.log


@pytest.mark.parametrize("path", ["/api/ws/ticket", "/ws/ticket"])
def test_a_ticket_is_good_once(runtime, path):
    assert runtime.request("POST", path).status == 401
    answer = runtime.request("POST", path, token=mint("alice"))
    assert answer.status == 200 and answer.json["expires_in"] == 30
    ticket = answer.json["ticket"]
    with Client(runtime.port, f"{PATH}?ticket={ticket}") as ws:
        assert ws.receive()["data"]["user_id"] == "alice"
    for bad in (ticket, ticket[:-1], "", "x" * 43):
        with Client(runtime.port, f"{PATH}?ticket={bad}") as ws:
            assert ws.closed()[0] == 4001


@pytest.mark.parametrize("headers, path", [
    ({}, PATH),
    ({"Authorization": "Bearer a.b.c"}, PATH),
    ({"Sec-WebSocket-Protocol": "mozaiks"}, PATH),
    ({"Sec-WebSocket-Protocol": "mozaiks, a.b.c"}, PATH),
    ({}, PATH + "?access_token=a.b.c"), ({}, PATH + "?access_token=")])
def test_without_a_good_token_the_close_code_says_so(runtime, headers, path):
    with Client(runtime.port, path, headers=headers) as ws:
        code, reason = ws.closed()
        assert code == 4001 and reason
        ws.expect_end()


def test_two_tokens_are_none(runtime):
    offer = f"mozaiks, {mint('alice')}, {mint('bob')}"
    # Nor is a third one looked at.
    for path in (PATH, f"{PATH}?access_token={mint('carol')}"):
        with Client(runtime.port, path, headers={"Sec-WebSocket-Protocol": offer}) as ws:
            assert ws.closed()[0] == 4001


def test_the_path_is_the_callers(runtime):
    with connect(runtime, "alice", "/ws/notifications/alice") as ws:
        assert ws.receive()["type"] == "connection_ack"
    with connect(runtime, "alice", "/ws/notifications/bob") as ws:
        assert ws.closed() == (4003, "User ID mismatch")


def test_the_connection_ends_with_its_token(runtime):
    with Client(runtime.port, PATH, token=mint("alice", exp=int(time.time()) + 4)) as ws:
        assert ws.receive()["type"] == "connection_ack"
        assert ws.closed()[0] == 4401
        ws.expect_end()


def test_a_fresh_token_keeps_it_open(runtime):
    with Client(runtime.port, PATH, token=mint("alice", exp=int(time.time()) + 4)) as ws:
        ws.receive()
        ws.send({"type": "auth", "token": "a.b.c", "id": 1})
        assert ws.receive()["code"] == "invalid_token"
        ws.send({"type": "auth", "token": mint("alice"), "id": 2})
        assert ws.receive()["type"] == "auth_ok"
        assert quiet(ws, 5)
        ws.send({"type": "ping"})
        assert ws.receive()["type"] == "pong"
        ws.send({"type": "auth", "token": mint("bob")})
        assert ws.closed()[0] == 4003


# Frames, on the wire

WRONG = {
    "unmasked": (frame(TEXT, b"{}", mask=None), 1002),
    "rsv1": (frame(TEXT, b"{}", rsv=4), 1002),
    "rsv on a ping": (frame(PING, b"", rsv=1), 1002),
    "opcode 3": (frame(3), 1002),
    "opcode 12": (frame(12), 1002),
    "fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "ping of 126": (frame(PING, b"x" * 126), 1002),
    "needless 16 bits": (frame(TEXT, b"x" * 5, length="16"), 1002),
    "needless 64 bits": (frame(TEXT, b"x" * 500, length="64"), 1002),
    "2^63 bytes": (frame(TEXT, b"", length=b"\x7f\x80" + bytes(7)), 1002),
    "2^40 bytes": (frame(TEXT, b"", length=b"\x7f\0\0\1" + bytes(5)), 1009),
    "continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "message in a message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002),
    "no utf-8": (frame(TEXT, b"\xff"), 1007),
    "half a character": (frame(TEXT, b"\xe2\x82"), 1007),
    "no utf-8 over fragments": (frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"\x28"), 1007),
    "binary": (frame(BINARY, b"{}"), 1003),
    "close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "close 1005": (frame(CLOSE, close_payload(1005)), 1002),
    "close reason that is no utf-8": (frame(CLOSE, close_payload(1000, b"\xff")), 1007),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("piecemeal", [False, True])
def test_wrong_frames_end_it_with_a_code(runtime, what, piecemeal):
    data, code = WRONG[what]
    with opened(runtime) as ws:
        # It may be closed before all of it is sent.
        with contextlib.suppress(ConnectionError):
            for i in range(0, len(data), 1 if piecemeal else len(data)):
                ws.raw(data[i:i + (1 if piecemeal else len(data))])
                time.sleep(0.001 if piecemeal and len(data) < 50 else 0)
        got, reason = ws.closed(answer=False)
        assert got == code and reason
        ws.expect_end()


def test_control_frames_between_fragments(runtime):
    with opened(runtime) as ws:
        ws.raw(frame(TEXT, b'{"type":', fin=False) + frame(PING, b"hi") +
               frame(PONG, b"unasked") + frame(CONTINUATION, b'"ping",', fin=False) +
               frame(PING, b"p" * 125) + frame(CONTINUATION, b'"id":1}'))
        assert ws.frame() == (PONG, b"hi")
        assert ws.frame() == (PONG, b"p" * 125)
        assert ws.receive()["id"] == 1


@pytest.mark.parametrize("code, answer", [(None, None), (1000, 1000), (1001, 1001), (4999, 4999)])
def test_a_close_is_answered_with_its_code(runtime, code, answer):
    with opened(runtime) as ws:
        ws.raw(frame(CLOSE, b"" if code is None else close_payload(code, b"bye")))
        assert ws.closed(answer=False) == (answer, "")
        ws.expect_end()


def test_limits_are_named():
    with Runtime(env={"MOZAIKS_MAX_WEBSOCKET_FRAME_BYTES": "1000",
                      "MOZAIKS_MAX_WEBSOCKET_MESSAGE_BYTES": "1500"}) as r:
        with opened(r) as ws:
            ws.send(json.dumps({"type": "ping", "id": 1, "pad": "x" * 900}))
            assert ws.receive()["type"] == "pong"
            ws.send("x" * 1001)
            code, reason = ws.closed()
            assert code == 1009 and "1000" in reason
            assert "MOZAIKS_MAX_WEBSOCKET_FRAME_BYTES" in reason
        with opened(r) as ws:
            ws.raw(frame(TEXT, b"x" * 1000, fin=False) + frame(CONTINUATION, b"x" * 501))
            code, reason = ws.closed()
            assert code == 1009 and "MOZAIKS_MAX_WEBSOCKET_MESSAGE_BYTES" in reason


def test_floods_end_it():
    with Runtime(env={"MOZAIKS_WEBSOCKET_MESSAGE_RATE": "20",
                      "MOZAIKS_WEBSOCKET_PING_RATE": "5"}) as r:
        with opened(r) as ws:
            ws.raw(frame(TEXT, b'{"type":"pong"}') * 500)
            code, reason = ws.closed(answer=False)
            assert code == 1008 and "MOZAIKS_WEBSOCKET_MESSAGE_RATE" in reason
        with opened(r) as ws:
            ws.raw(frame(PING) * 100)
            code, reason = ws.closed(answer=False)
            assert code == 1008 and "MOZAIKS_WEBSOCKET_PING_RATE" in reason


# Its life

def test_heartbeats():
    with Runtime(env={"MOZAIKS_WEBSOCKET_PING_SECONDS": "0.2",
                      "MOZAIKS_WEBSOCKET_PONG_SECONDS": "2"}) as r:
        with opened(r) as ws:
            for _ in range(3):
                opcode, payload = ws.frame()
                assert opcode == PING
                ws.raw(frame(PONG, payload))
            # No answer any more.
            code, reason = ws.closed()
            assert code == 1011 and "MOZAIKS_WEBSOCKET_PONG_SECONDS" in reason
            ws.expect_end()


def test_a_client_that_does_not_answer_a_close_is_cut():
    with Runtime(env={"MOZAIKS_WEBSOCKET_CLOSE_SECONDS": "0.3"}) as r:
        with connect(r, "alice", "/ws/notifications/bob") as ws:
            assert ws.closed(answer=False)[0] == 4003
            ws.expect_end()


def test_caps():
    with Runtime(env={"MOZAIKS_MAX_WEBSOCKETS_PER_USER": "2", "MOZAIKS_MAX_WEBSOCKETS": "4"}) as r:
        first, second = opened(r), opened(r)
        with connect(r) as third:
            code, reason = third.closed()
            assert code == 1013 and "MOZAIKS_MAX_WEBSOCKETS_PER_USER" in reason
            third.expect_end()
        bobs = [opened(r, "bob"), opened(r, "bob")]
        with pytest.raises(Refused) as caught:
            connect(r, "carol")
        assert caught.value.status == 503 and b"MOZAIKS_MAX_WEBSOCKETS" in caught.value.body
        assert caught.value.head["retry-after"]
        # A place that was left is free again.
        first.raw(frame(CLOSE, close_payload(1000)))
        first.closed(answer=False)
        first.socket.close()

        def again():
            try:
                return opened(r)
            except (Refused, AssertionError, Ended):
                return None
        wait_for(again, "the place of the closed one")
        for ws in [second, *bobs]:
            ws.socket.close()


def test_the_end_of_the_runtime():
    """1001, after what is in flight has been answered."""
    with Runtime(plugins={"talk": PLUGIN}) as r:
        r.wait_plugin("talk", lambda p: p["state"] == "ready")
        idle, busy = opened(r), opened(r, "bob")
        busy.send({"type": "execute", "id": 1, "plugin": "talk",
                   "data": {"action": "sleep", "seconds": 2}})
        busy.send({"type": "ping"})
        assert busy.receive()["type"] == "pong"
        r.director.signal(15)
        assert idle.closed()[0] == 1001
        assert busy.receive()["data"] == {"slept": 2}
        assert busy.closed()[0] == 1001
        assert r.stop() == [0, 0]


def test_what_is_no_message_is_told_why(runtime):
    with opened(runtime) as ws:
        for text, code in [("hello", "invalid_json"), ("[]", "invalid_json"), ("{}", "unknown_type"),
                           ('{"type":1}', "unknown_type"), ('{"type":"x","id":5}', "unknown_type"),
                           ('{"type":"execute"}', "invalid_message"),
                           ('{"type":"execute","id":{}}', "invalid_message")]:
            ws.send(text)
            answer = ws.receive()
            assert answer["type"] == "error" and answer["code"] == code and answer["detail"], answer


# Calls

def call(ws, id_, data, plugin="talk"):
    ws.send({"type": "execute", "id": id_, "plugin": plugin, "data": data})


def result(ws, id_):
    answer = ws.receive_type("execute_result")
    assert answer["id"] == id_, answer
    return answer


def test_a_call_is_the_posts(runtime):
    """The same body, the same status; what is trusted is injected, what is not is replaced."""
    with opened(runtime) as ws:
        for data in ({"a": 1, "user_id": "mallory", "_context": {"is_superadmin": True}},
                     {"action": "fail", "code": "NOT_FOUND"}, {"action": "fail", "code": "odd"}):
            call(ws, "x", data)
            answer = result(ws, "x")
            post = runtime.execute("talk", data)
            assert (answer["status"], answer["data"]) == (post.status, post.json)
            assert answer["plugin"] == "talk"
        call(ws, 5, {"action": "raise"})
        answer = result(ws, 5)
        assert answer["status"] == 500 and answer["data"]["code"] == "plugin_exception"
        for plugin in ("nobody", "", "x" * 500, "talk\u0000", None, 7):
            call(ws, 6, {}, plugin)
            answer = result(ws, 6)
            assert answer["status"] == 404 and answer["data"]["code"] == "plugin_not_found"
        ws.send('{"type":"execute","id":7,"plugin":"talk","data":[1]}')
        assert result(ws, 7)["status"] == 400
        ws.send('{"type":"execute","id":8,"plugin":"talk"}')
        assert result(ws, 8)["status"] == 400
        ws.send('{"type":"execute","id":9,"plugin":"talk","data":{"a":1,"a":2}}')
        assert result(ws, 9)["status"] == runtime.execute("talk", b'{"a":1,"a":2}').status == 400


def test_a_call_needs_a_session_that_goes_on(runtime):
    """Not only the clock looks: what comes right after the logout is no call any more."""
    name = f"user{time.monotonic_ns()}"
    made = runtime.request("POST", "/api/auth/register", json.dumps({
        "username": name, "password": "correct horse 1"}), {"Content-Type": "application/json"}).json
    with Client(runtime.port, PATH, token=made["access_token"]) as ws:
        assert ws.receive()["type"] == "connection_ack"
        call(ws, 1, {"a": 1})
        assert result(ws, 1)["status"] == 200
        runtime.request("POST", "/api/auth/logout", b"", token=made["access_token"])
        call(ws, 2, {"a": 2})
        opcode, payload = ws.frame()
        assert (opcode, payload[:2]) == (CLOSE, close_payload(4401)[:2]), payload


def test_calls_overtake_each_other(runtime):
    with opened(runtime) as ws:
        call(ws, "slow", {"action": "sleep", "seconds": 3})
        call(ws, "slow", {})
        assert ws.receive()["code"] == "duplicate_id"
        for i in range(10):
            call(ws, i, {"i": i})
        got = [ws.receive_type("execute_result") for _ in range(11)]
        assert [g["data"]["i"] for g in got[:10]] == [g["id"] for g in got[:10]]
        assert sorted(g["id"] for g in got[:10]) == list(range(10))
        assert got[10]["id"] == "slow"


def test_calls_are_admitted_like_posts():
    with Runtime(plugins={"talk": PLUGIN}, env={"MOZAIKS_MAX_INFLIGHT_PER_USER": "2"}) as r:
        r.wait_plugin("talk", lambda p: p["state"] == "ready")
        with opened(r) as ws:
            # They are cancelled when the connection ends.
            for i in range(3):
                call(ws, i, {"action": "sleep", "seconds": 25})
            answer = result(ws, 2)
            assert answer["status"] == 429 and answer["retry_after"] >= 1
            assert answer["data"]["code"] == "too_many_requests"
            # The limit is the user's, over all connections and ways.
            assert r.execute("talk", {}).status == 429
            assert r.execute("talk", {}, user="bob").status == 200


def test_a_body_over_the_limit():
    with Runtime(plugins={"talk": PLUGIN}, env={"MAX_REQUEST_BODY_BYTES": "1000"}) as r:
        r.wait_plugin("talk", lambda p: p["state"] == "ready")
        with opened(r) as ws:
            call(ws, 1, {"x": "y" * 1000})
            answer = result(ws, 1)
            assert answer["status"] == 413 and "MAX_REQUEST_BODY_BYTES" in answer["data"]["detail"]


def test_calls_end_with_their_connection(runtime):
    before = runtime.execute("talk", {"action": "seen"}).json["cancelled"]
    with opened(runtime) as ws:
        call(ws, 1, {"action": "sleep", "seconds": 60})
        call(ws, 2, {})
        result(ws, 2)
    wait_for(lambda: runtime.execute("talk", {"action": "seen"}).json["cancelled"] > before,
             what="the cancellation")


def test_a_large_answer(runtime):
    text = "x" * 900_000
    with opened(runtime) as ws:
        call(ws, 1, {"text": text})
        assert result(ws, 1)["data"]["text"] == text


# What is sent to clients

def manifest(**more):
    return {**PLUGIN, "manifest.json": json.dumps({"name": "x", **more})}


def quiet(ws, seconds=0.3):
    """True when nothing comes. A bound from below: what is slower than this is not seen."""
    ws.socket.settimeout(seconds)
    try:
        ws.frame()
    except TimeoutError:
        return True
    finally:
        ws.socket.settimeout(PATIENCE_SECONDS)
    return False


def test_a_message_reaches_its_user_alone(runtime):
    message = {"type": "talk_update", "data": {"text": "für dich"}}
    with opened(runtime) as one, opened(runtime) as two, opened(runtime, "bob") as bob, \
            opened(runtime, "alice2") as other:
        assert runtime.execute("talk", {"action": "send", "to": "alice", "message": message}) \
            .json == {"recipients": 2}
        assert one.receive() == two.receive() == message
        assert quiet(bob) and quiet(other)
        # Over the socket, too, and to the own one: before the answer.
        call(bob, 1, {"action": "send", "to": "bob", "message": [1, "x", None]})
        assert json.loads(bob.frame()[1]) == [1, "x", None]
        assert result(bob, 1)["data"] == {"recipients": 1}
        assert quiet(one) and quiet(other)
    wait_for(lambda: runtime.execute("talk", {"action": "send", "to": "alice", "message": 1})
             .json == {"recipients": 0}, "the end of the connections")


def test_another_user_needs_a_permission(runtime):
    with opened(runtime, "bob") as bob:
        answer = runtime.execute("talk", {"action": "send", "to": "bob", "message": 1})
        assert "users.any" in answer.json["refused"]
        assert quiet(bob)


def test_with_the_permission_it_may():
    with Runtime(plugins={
            "may": manifest(permissions=["websocket.send", "users.any"]),
            "send": manifest(permissions=["websocket.send"]),
            "any": manifest(permissions=["users.any"])}) as r:
        for name in ("may", "send", "any"):
            r.wait_plugin(name, lambda p: p["state"] == "ready")
        with opened(r, "bob") as bob:
            asked = {"action": "send", "to": "bob", "message": {"type": "x"}}
            assert r.execute("may", asked).json == {"recipients": 1}
            assert bob.receive() == {"type": "x"}
            assert "users.any" in r.execute("send", asked).json["refused"]
            assert "websocket.send" in r.execute("any", asked).json["refused"]
            assert quiet(bob)


def test_a_broadcast_reaches_everybody():
    with Runtime(plugins={"talk": PLUGIN}, env={"MOZAIKS_BROADCAST_RATE": "3"}) as r:
        r.wait_plugin("talk", lambda p: p["state"] == "ready")
        message = {"type": "system_announcement", "message": "hello"}
        # More than one turn's worth of connections.
        sockets = [opened(r, f"user{i}") for i in range(150)]
        refusing = connect(r, "alice", "/ws/notifications/bob")
        assert refusing.closed(answer=False)[0] == 4003
        assert r.execute("talk", {"action": "broadcast", "message": message}).json == {"sent": [150]}
        assert all(ws.receive() == message for ws in sockets)
        answer = r.execute("talk", {"action": "broadcast", "message": 1, "times": 100}).json
        assert len(answer["sent"]) < 100 and "MOZAIKS_BROADCAST_RATE" in answer["refused"]
        for ws in sockets:
            ws.socket.close()


def test_a_notification_is_pushed(runtime):
    with opened(runtime) as ws, opened(runtime, "bob") as bob:
        made = runtime.execute("talk", {"action": "notify", "to": "alice", "title": "T"}).json
        message = ws.receive()
        assert (message["type"], message["subtype"]) == ("notification", "new")
        data = message["data"]
        assert data["id"] == made["id"] and data["user_id"] == "alice" and data["read"] is False
        assert (data["type"], data["title"], data["message"]) == ("chat_message", "T", "text")
        assert data["metadata"] == {"n": 1} and data["created_at"] == message["timestamp"]
        assert quiet(bob)


def test_who_does_not_read_is_closed_and_others_are_served():
    """What waits for one client is bounded; the others get their messages meanwhile."""
    with Runtime(plugins={"talk": PLUGIN},
                 env={"MOZAIKS_MAX_WEBSOCKET_SEND_BYTES": "1M",
                      "MOZAIKS_WEBSOCKET_CLOSE_SECONDS": "0.5", "MOZAIKS_BROADCAST_RATE": "0"}) as r:
        r.wait_plugin("talk", lambda p: p["state"] == "ready")
        slow = opened(r, receive_buffer=4096)
        quick = opened(r, "bob")
        seen = []

        def read():
            while len(seen) < 400:
                seen.append(quick.receive())
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        text = "x" * 30_000
        counts = []
        for i in range(40):
            answer = r.execute("talk", {"action": "broadcast", "times": 10,
                                        "message": {"i": i, "text": text}})
            assert answer.status == 200 and "refused" not in answer.json, answer
            counts += answer.json["sent"]
            # On a busy machine the quick one is never further behind than this.
            wait_for(lambda: len(seen) >= 10 * i + 10, "what was sent")
        reader.join(PATIENCE_SECONDS)
        assert [m["i"] for m in seen] == sorted(m["i"] for m in seen) and len(seen) == 400
        assert counts[0] == 2 and counts[-1] == 1
        # What had been sent arrives; then the end, with its code where there was room for it.
        try:
            code, reason = slow.closed()
            assert code == 1013 and "MOZAIKS_MAX_WEBSOCKET_SEND_BYTES" in reason
        except Ended:
            pass
        with opened(r) as again:
            assert again.headers


# Answers in pieces

PIECES = {"logic.py": """
import asyncio

from mozaiks.streams import StreamingResponse

state = {"made": 0, "ended": 0}


async def numbers(n, wait):
    for i in range(n):
        yield {"i": i}
        await asyncio.sleep(wait)


async def raw(pieces):
    for piece in pieces:
        yield piece


async def much():
    try:
        for i in range(100_000):
            state["made"] += 1
            yield "x" * 50_000
    finally:
        state["ended"] += 1


async def broken():
    yield {"i": 0}
    raise ValueError("secret")


async def execute(data):
    action = data["action"]
    if action == "events":
        return numbers(data["n"], data.get("wait", 0))
    if action == "text":
        text = "a\\u20ac\\U0001f600".encode()
        return StreamingResponse(raw([text[:2], text[2:5], text[5:]]), media_type="text/plain")
    if action == "bytes":
        return StreamingResponse(raw([b"\\xff\\x00", b"\\xfe"]), media_type="image/x")
    if action == "much":
        return StreamingResponse(much(), media_type="text/plain")
    if action == "broken":
        return broken()
    return dict(state)
"""}


@pytest.fixture(scope="module")
def pieces():
    with Runtime(plugins={"pieces": PIECES}) as r:
        r.wait_plugin("pieces", lambda p: p["state"] == "ready")
        yield r


def collect(ws, id_):
    """(what execute_begin said, the pieces, the type of what ended them)"""
    begin = ws.receive()
    assert begin["type"] == "execute_begin" and begin["id"] == id_, begin
    got = []
    while True:
        message = ws.receive()
        assert message["id"] == id_ and message["plugin"] == "pieces"
        if message["type"] != "execute_piece":
            return begin, got, message["type"]
        got.append(message)


def test_an_answer_in_pieces(pieces):
    import base64
    with opened(pieces) as ws:
        call(ws, 1, {"action": "events", "n": 5}, "pieces")
        begin, got, end = collect(ws, 1)
        assert begin["status"] == 200 and begin["content_type"].startswith("text/event-stream")
        assert "".join(g["data"] for g in got) == "".join(
            'data: {"i":%d}\n\n' % i for i in range(5))
        assert end == "execute_end"
        # Characters that are cut come whole.
        call(ws, 2, {"action": "text"}, "pieces")
        _, got, end = collect(ws, 2)
        assert "".join(g["data"] for g in got) == "a€😀" and end == "execute_end"
        call(ws, 3, {"action": "bytes"}, "pieces")
        _, got, end = collect(ws, 3)
        assert b"".join(base64.b64decode(g["base64"]) for g in got) == b"\xff\0\xfe"
        call(ws, 4, {"action": "broken"}, "pieces")
        _, got, end = collect(ws, 4)
        assert end == "execute_cut" and "secret" not in json.dumps(got)


def test_other_messages_come_between_pieces(pieces):
    with opened(pieces) as ws:
        call(ws, 1, {"action": "events", "n": 2, "wait": 1.5}, "pieces")
        assert ws.receive()["type"] == "execute_begin"
        ws.send({"type": "ping"})
        types = []
        while "execute_end" not in types:
            types.append(ws.receive()["type"])
        assert "pong" in types and types.index("pong") < types.index("execute_end")


def test_a_slow_client_stops_the_plugin(pieces):
    def state():
        return pieces.execute("pieces", {"action": "state"}).json
    ended = state()["ended"]
    ws = opened(pieces, receive_buffer=4096)
    call(ws, 1, {"action": "much"}, "pieces")
    assert ws.receive()["type"] == "execute_begin"

    def still():
        made = {state()["made"] for _ in range(10) if time.sleep(0.1) is None}
        return made.pop() if len(made) == 1 else None
    # It stands still long before its end, and the socket stays open.
    held = wait_for(still, "a plugin that waits")
    assert held < 5000
    for _ in range(held + 200):
        assert ws.receive()["type"] == "execute_piece"
    ws.socket.close()
    wait_for(lambda: state()["ended"] == ended + 1, "the end of the generator")


def test_over_tls():
    """The same over HTTPS: the close codes and the bytes in between are TLS's business."""
    import shutil

    from not_run import cannot_run
    from test_tls import Secure, client_context
    if not shutil.which("openssl"):
        cannot_run("openssl is missing")
    with Secure({"talk": PLUGIN}) as r:
        wrap = client_context().wrap_socket
        text = "x" * 900_000
        with opened(r, wrap=wrap) as ws:
            call(ws, 1, {"text": text})
            assert result(ws, 1)["data"]["text"] == text
            ws.raw(frame(CLOSE, close_payload(1000)))
            assert ws.closed(answer=False) == (1000, "")
            ws.expect_end()
        with connect(r, "alice", "/ws/notifications/bob", wrap=wrap) as ws:
            assert ws.closed()[0] == 4003
