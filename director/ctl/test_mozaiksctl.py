"""mozaiksctl against a small server that plays the director: what it sends, what it prints, how it
ends. usage: test_mozaiksctl.py MOZAIKSCTL MANUAL"""

import http.server
import json
import os
import pty
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import unittest

CTL = ""
MANUAL = ""

OK, FAILURE, USAGE, NOT_RUNNING, NOT_FOUND = range(5)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        size = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(size)
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        status, content_type, answer = self.server.answers[self.path]
        if callable(answer):
            answer = answer(self)
            if answer is None:
                return
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = handle_any

    def log_message(self, *args):
        pass

    def address_string(self):
        return "unix"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


def problem(status, code, detail, **more):
    text = json.dumps({"type": "about:blank", "status": status, "code": code, "detail": detail, **more})
    return (status, "application/problem+json", text.encode())


def value(answer, status=200):
    text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return (status, "application/json", text)


class Case(unittest.TestCase):
    def setUp(self):
        self.state = tempfile.mkdtemp(prefix="test-ctl.")
        self.server = None
        self.env = {"PATH": os.environ["PATH"], "MOZAIKS_STATE_PATH": self.state}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def tearDown(self):
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
        shutil.rmtree(self.state)

    def serve(self, **answers):
        """Answers by path: admin_token=… is /admin/token."""
        self.server = Server(self.state + "/admin.sock", Handler)
        self.server.requests = []
        self.server.answers = {"/" + k.replace("_", "/"): v for k, v in answers.items()}
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def run_ctl(self, *args, stdin=b"", **more):
        return subprocess.run([CTL, *args], input=stdin, capture_output=True, timeout=60,
                              env=more.pop("env", self.env), **more)

    def expect(self, status, *args, err="", **more):
        r = self.run_ctl(*args, **more)
        self.assertEqual(r.returncode, status, r.stderr)
        if status == OK:
            self.assertEqual(r.stderr, b"")
        else:
            lines = r.stderr.decode().splitlines()
            # What is wrong, and what to do next.
            self.assertIn(err, r.stderr.decode())
            self.assertTrue(lines and "mozaiksctl: " in lines[0], lines)
        return r


class CommandLine(Case):
    def test_help_and_version(self):
        for flag in ("--help", "-h"):
            text = self.expect(OK, flag).stdout.decode()
            for command in ("token", "plugin list", "plugin status", "plugin refresh",
                            "plugin restart", "plugin reset", "plugin enable", "plugin disable",
                            "plugin grant", "plugin revoke", "plugin grants",
                            "call"):
                self.assertIn("  mozaiksctl " + command, text)
        text = self.expect(OK, "token", "--help").stdout.decode()
        self.assertIn("  mozaiksctl token", text)
        self.assertNotIn("plugin list", text)
        for flag in ("--version", "-V"):
            self.assertRegex(self.expect(OK, flag).stdout.decode(), r"^mozaiksctl \d+\.\d+\.\d+\n$")

    def test_wrong_usage(self):
        cases = [
            ([], "no command given"),
            (["frobnicate"], "unknown command: frobnicate"),
            (["plugin"], "unknown command: plugin"),
            (["plugin", "frob"], "unknown command: plugin frob"),
            (["frob\x1b[31m"], "frob\\u001b[31m"),
            (["token"], "token needs --user U"),
            (["token", "--user", ""], "--user needs a name"),
            (["token", "--user"], "requires an argument"),
            (["token", "alice", "--user", "a"], "token takes 0 arguments, not 1"),
            (["token", "--user", "a", "--ttl", "0"], "--ttl must be a whole number"),
            (["token", "--user", "a", "--ttl", "-5"], "--ttl must be a whole number"),
            (["token", "--user", "a", "--ttl", "1h"], "--ttl must be a whole number"),
            (["token", "--user", "a", "--ttl", "99999999999999999999"], "--ttl must be"),
            (["token", "--user", "a", "--roles", "x,,y"], "--roles must be"),
            (["token", "--user", "a", "--roles", ",x"], "--roles must be"),
            (["token", "--user", "a", "--roles", "x,"], "--roles must be"),
            (["token", "--user", b"\xff"], "must be valid UTF-8"),
            (["token", "--user", "a", "--frob"], "unrecognized option"),
            (["token", "--user", "a", "-o", "yaml"], "--output must be table or json"),
            (["token", "--user", "a", "--timeout", "0"], "--timeout must be"),
            (["token", "--user", "a", "--state", ""], "--state needs a directory"),
            (["plugin", "list", "x"], "plugin list takes 0 arguments, not 1"),
            (["plugin", "list", "--user", "a"], "plugin list takes no --user"),
            (["plugin", "refresh", "--ttl", "5"], "plugin refresh takes no --ttl"),
            (["plugin", "status", "a", "b"], "plugin status takes at most 1 arguments, not 2"),
            (["plugin", "reset"], "plugin reset takes 1 arguments, not 0"),
            (["plugin", "disable", "a", "b"], "plugin disable takes 1 arguments, not 2"),
            (["plugin", "grant", "a"], "plugin grant takes 2 arguments, not 1"),
            (["plugin", "revoke", "a", b"\xff"], "must be valid UTF-8"),
            (["plugin", "grants", "a", "b"], "plugin grants takes at most 1 arguments, not 2"),
            (["call", "p", "{}"], "call needs --user U"),
            (["call", "p", "--user", "a"], "call takes 2 arguments, not 1"),
            (["call", "p", "{}", "--user", "a", "--ttl", "5"], "call takes no --ttl"),
            (["call", "p", "{", "--user", "a"], "the JSON is not valid at byte 1"),
            (["call", "p", "[]", "--user", "a"], "the JSON must be an object"),
            (["call", "p", '{"a":01}', "--user", "a"], "the JSON is not valid at byte"),
            (["call", "p", "", "--user", "a"], "the JSON is not valid at byte 0"),
            (["call", "p", b'{"a":"\xff"}', "--user", "a"], "the JSON is not valid at byte"),
        ]
        self.serve()
        for args, text in cases:
            with self.subTest(args=args):
                r = self.expect(USAGE, *args, err=text)
                self.assertEqual(r.stdout, b"")
                self.assertGreaterEqual(len(r.stderr.splitlines()), 1)
        # Nothing of that reached the server.
        self.assertEqual(self.server.requests, [])

    def test_the_manual_names_everything(self):
        with open(MANUAL, encoding="utf-8") as file:
            manual = file.read().replace("\\-", "-").replace("\\fI", "")
        text = self.expect(OK, "--help").stdout.decode()
        commands = re.findall(r"^  mozaiksctl ((?:[a-z]+ ?)+)", text, re.M)
        options = re.findall(r"--[a-z]+", text)
        self.assertEqual(len(commands), 21)
        self.assertGreaterEqual(len(set(options)), 8)
        for command in commands:
            self.assertIn("\n.B %s\n" % command.strip(), manual)
        for option in options:
            self.assertIn(option, manual)


    def test_the_manual_names_every_reason(self):
        """Why a worker ended: the table is the director's."""
        table = os.path.join(os.path.dirname(MANUAL), "..", "hosts", "exits.h")
        with open(table, encoding="utf-8") as file:
            reasons = re.findall(r'^\tX\([A-Z_]+, +"([a-z_]+)"', file.read(), re.M)
        with open(MANUAL, encoding="utf-8") as file:
            manual = file.read()
        self.assertGreaterEqual(len(reasons), 10)
        for reason in reasons:
            # What is not known yet is no reason.
            if reason != "unknown":
                self.assertRegex(manual, r"\n\.BR? %s\b" % reason)


class NotThere(Case):
    def test_no_director(self):
        for state in (self.state, self.state + "/missing"):
            r = self.expect(NOT_RUNNING, "plugin", "list", "--state", state,
                            err="no director is running with the state directory " + state)
            self.assertIn(b"--state DIR", r.stderr)

    def test_a_socket_left_behind(self):
        s = socket.socket(socket.AF_UNIX)
        s.bind(self.state + "/admin.sock")
        s.close()
        self.expect(NOT_RUNNING, "token", "--user", "a", err="no director is running")
        self.expect(NOT_RUNNING, "call", "p", "{}", "--user", "a", err="no director is running")

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_not_allowed(self):
        self.serve(admin_plugins=value({"plugins": []}))
        os.chmod(self.state, 0o711)
        os.chmod(self.state + "/admin.sock", 0o600)
        # The program may lie where the other user cannot go.
        own = self.state + "/ctl"
        shutil.copy(CTL, own)
        r = subprocess.run([own, "plugin", "list"], env=self.env, capture_output=True, user=12345,
                           group=12345, extra_groups=[], cwd="/", timeout=60)
        self.assertEqual(r.returncode, NOT_FOUND, r.stderr)
        self.assertIn(b"may not be used by you", r.stderr)
        self.assertIn(b"as root or as the user", r.stderr)

    def test_which_state_directory(self):
        self.serve(admin_plugins=value({"plugins": []}))
        other = {"PATH": self.env["PATH"], "MOZAIKS_STATE_PATH": "/nowhere"}
        self.expect(NOT_RUNNING, "plugin", "list", env=other, err="/nowhere")
        self.expect(OK, "plugin", "list", "--state", self.state, env=other)
        self.expect(OK, "-s", self.state, "plugin", "list", env=other)
        with tempfile.TemporaryDirectory() as here:
            os.symlink(self.state, here + "/var")
            self.expect(OK, "plugin", "list", env={"PATH": self.env["PATH"]}, cwd=here)

    def test_a_path_too_long(self):
        self.expect(USAGE, "plugin", "list", "--state", "/tmp/" + "x" * 100, err="longer than")


class Token(Case):
    def test_what_is_asked_and_printed(self):
        self.serve(admin_token=value({"token": "a.b.c"}))
        self.assertEqual(self.expect(OK, "token", "--user", "alice").stdout, b"a.b.c\n")
        self.assertEqual(self.expect(OK, "token", "-u", "al ice", "-r", "x,y z", "--ttl", "60", "-o",
                                     "json").stdout, b'{"token":"a.b.c"}\n')
        asked = [(method, path, json.loads(body)) for method, path, _, body in self.server.requests]
        self.assertEqual(asked, [
            ("POST", "/admin/token", {"user": "alice", "roles": [], "ttl": 86400}),
            ("POST", "/admin/token", {"user": "al ice", "roles": ["x", "y z"], "ttl": 60}),
        ])
        self.assertEqual(self.server.requests[0][2]["Content-Type"], "application/json")

    def test_refusals(self):
        cases = [
            (problem(400, "invalid_user", "the user name is too long"), FAILURE,
             "mozaiksctl: the user name is too long (HTTP 400, invalid_user)"),
            (problem(403, "forbidden", "only root"), NOT_FOUND, "only root (HTTP 403, forbidden)"),
            (problem(500, "internal", "oops", request_id="r-1"), FAILURE, "request id r-1"),
            ((503, "text/plain", b"busy"), FAILURE, "the director refused (HTTP 503)"),
            (value({"token": "a\nb"}), FAILURE, "has no token"),
            (value({"token": ""}), FAILURE, "has no token"),
            (value({"token": 7}), FAILURE, "has no token"),
            (value({}), FAILURE, "has no token"),
            (value(b"nonsense"), FAILURE, "has no token"),
            (value(b""), FAILURE, "has no token"),
        ]
        self.serve()
        for answer, status, text in cases:
            with self.subTest(answer=answer):
                self.server.answers["/admin/token"] = answer
                r = self.expect(status, "token", "--user", "a", err=text)
                self.assertEqual(r.stdout, b"")

    def test_a_message_cannot_move_the_cursor(self):
        self.serve(admin_token=problem(400, "x", "a\x1b[2Jb\u202ec\u0085d"))
        r = self.expect(FAILURE, "token", "--user", "a", err="a\\u001b[2Jb\\u202ec\\u0085d")
        self.assertNotIn(b"\x1b", r.stderr)

    def test_proxies_are_not_used(self):
        self.serve(admin_token=value({"token": "t"}))
        for name in ("http_proxy", "ALL_PROXY", "all_proxy"):
            self.expect(OK, "token", "--user", "a", env={**self.env, name: "http://127.0.0.1:1"})

    def test_output_that_cannot_be_written(self):
        self.serve(admin_token=value({"token": "t"}))
        with open("/dev/full", "wb") as full:
            r = subprocess.run([CTL, "token", "--user", "a"], env=self.env, stdout=full,
                               stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(r.returncode, FAILURE)
        self.assertIn(b"cannot be written", r.stderr)


PLUGINS = {"plugins": [
    {"id": "hello", "name": "Hello", "kind": "mozaiks", "version": "a" * 64, "state": "ready",
     "error": None, "workers": [{"id": 1}, {"id": 2}]},
    {"id": "br", "name": "Größe", "kind": "nexus", "version": "1.0", "state": "failed",
     "error": "line\nbreak \x1b[31mred\u2028", "workers": []},
    {"id": "bare"},
]}


END = {"at": "2026-11-21T12:00:00.000Z", "worker": 4, "version": "a" * 64, "reason": "signal",
       "text": "died of\n signal 11", "in_flight": 1, "memory_peak": 5 << 20,
       "calls": [{"kind": "execute", "user": "mal\x1blory", "request_id": "r-1", "ms": 12}],
       "log": ["last\x9b words"], "output": ["of the process"]}
STATUS = {"id": "hello", "state": "ready", "breaker": "closed", "version": "a" * 64,
          "serving": "b" * 64, "error": None,
          "counters": {"calls": 7, "errors": 3, "crashes": 2, "kills": 1, "memory_peak": None},
          "exit_reasons": {"signal": 2}, "last_exit": END, "exits": [END],
          "workers": [{"id": 1, "state": "ready", "version": "b" * 64, "running": 1, "served": 6,
                       "sandbox": {"tier": 2, "landlock": 7, "namespaces": ["user", "pid"]}}]}


class Plugins(Case):
    def test_table(self):
        self.serve(admin_plugins=value(PLUGINS))
        self.assertEqual(self.expect(OK, "plugin", "list").stdout.decode(),
                         "ID     NAME   KIND     VERSION       STATE   WORKERS  ERROR\n"
                         "hello  Hello  mozaiks  aaaaaaaaaaaa  ready   2\n"
                         "br     Größe  nexus    1.0           failed  0        "
                         "line\\u000abreak \\u001b[31mred\\u2028\n"
                         "bare                                         0\n")
        self.assertEqual(self.server.requests[0][:2], ("GET", "/admin/plugins"))

    def test_no_plugins(self):
        self.serve(admin_plugins=value({"plugins": []}))
        self.assertEqual(self.expect(OK, "plugin", "list").stdout,
                         b"ID  NAME  KIND  VERSION  STATE  WORKERS  ERROR\n")

    def test_json_is_the_answer(self):
        text = b'{ "plugins":[], "more":"\xc2\x9b" }'
        self.serve(admin_plugins=value(text))
        self.assertEqual(self.expect(OK, "plugin", "list", "-o", "json").stdout, text + b"\n")

    def test_a_terminal_gets_it_escaped(self):
        self.serve(admin_plugins=value(b'{"plugins":[],"x":"\xc2\x9b31m\xe2\x80\xae\x7f"}'))
        master, slave = pty.openpty()
        r = subprocess.run([CTL, "plugin", "list", "-o", "json"], env=self.env, stdin=slave,
                           stdout=slave, stderr=slave, timeout=60)
        os.close(slave)
        shown = os.read(master, 4096)
        os.close(master)
        self.assertEqual(r.returncode, OK)
        self.assertEqual(shown.strip(), b'{"plugins":[],"x":"\\u009b31m\\u202e\\u007f"}')

    def test_refresh(self):
        self.serve(admin_plugins_refresh=value({"plugins": 3}))
        self.assertEqual(self.expect(OK, "plugin", "refresh").stdout, b"3 plugins\n")
        self.assertEqual(self.expect(OK, "plugin", "refresh", "-o", "json").stdout,
                         b'{"plugins": 3}\n')
        self.assertEqual(self.server.requests[0][:2], ("POST", "/admin/plugins/refresh"))

    def test_status_of_all(self):
        self.serve(admin_plugins=value({"plugins": [STATUS, {"id": "bare"}], "pluginhosts": []}))
        self.assertEqual(
            self.expect(OK, "plugin", "status").stdout.decode(),
            "ID     STATE  BREAKER  SERVING       WORKERS  TIER  CALLS  ERRORS  CRASHES  KILLS  "
            "ERROR OR LAST END\n"
            "hello  ready  closed   bbbbbbbbbbbb  1        2     7      3       2        1      "
            "died of\\u000a signal 11\n"
            "bare                                 0              0      0       0        0\n")

    def test_status_of_one(self):
        self.serve()
        self.server.answers["/admin/plugins/hello"] = value(STATUS)
        text = self.expect(OK, "plugin", "status", "hello").stdout.decode()
        for part in ("id            hello\n", "counters      calls=7 errors=3 crashes=2 kills=1 memory_peak=null\n",
                     "exit_reasons  signal=2\n",
                     "\n1       ready  bbbbbbbbbbbb  1        6       tier=2 landlock=7 "
                     "namespaces=user,pid\n",
                     "\n2026-11-21T12:00:00.000Z  4       aaaaaaaaaaaa  signal  1      5 MiB   "
                     "died of\\u000a signal 11\n",
                     "\n  execute of mal\\u001blory, request r-1, after 12 ms\n",
                     "\n  last\\u009b words\n", "\n  of the process\n"):
            self.assertIn(part, text)
        self.assertEqual(self.server.requests[0][:2], ("GET", "/admin/plugins/hello"))
        for flags in (["-o", "json"], ["--json"]):
            r = self.expect(OK, "plugin", "status", "hello", *flags)
            self.assertEqual(json.loads(r.stdout), STATUS)

    def test_actions(self):
        self.serve()
        for action in ("restart", "reset", "enable", "disable"):
            with self.subTest(action=action):
                self.server.requests.clear()
                self.server.answers["/admin/plugins/x%2Fy/" + action] = \
                    value({"id": "x/y", "state": "stop\nped"})
                r = self.expect(OK, "plugin", action, "x/y")
                self.assertEqual(r.stdout, b"x/y: stop\\u000aped\n")
                self.assertEqual(self.server.requests[0][:2],
                                 ("POST", "/admin/plugins/x%2Fy/" + action))
                r = self.expect(OK, "plugin", action, "x/y", "--json")
                self.assertEqual(json.loads(r.stdout)["id"], "x/y")
                self.server.answers["/admin/plugins/gone/" + action] = \
                    problem(404, "plugin_not_found", "There is no plugin 'gone'")
                self.expect(NOT_FOUND, "plugin", action, "gone", err="There is no plugin 'gone'")

    def test_actions_that_fail(self):
        self.serve()
        self.server.answers["/admin/plugins/p/disable"] = problem(503, "db_unavailable", "not stored")
        self.expect(FAILURE, "plugin", "disable", "p", err="not stored (HTTP 503, db_unavailable)")
        for answer in (b"[]", b"{}", b'{"id":"p"}', b"{"):
            with self.subTest(answer=answer):
                self.server.answers["/admin/plugins/p/reset"] = value(answer)
                self.server.answers["/admin/plugins/p"] = value(answer)
                self.expect(FAILURE, "plugin", "reset", "p", err="the director's answer")
                if answer != b'{"id":"p"}':
                    self.expect(FAILURE, "plugin", "status", "p", err="the director's answer")

    def test_answers_that_are_none(self):
        for answer in (b"[]", b"{", b'{"plugins":{}}', b'{"plugins":"3"}', b""):
            with self.subTest(answer=answer):
                self.serve(admin_plugins=value(answer), admin_plugins_refresh=value(answer))
                self.expect(FAILURE, "plugin", "list", err="the director's answer")
                self.expect(FAILURE, "plugin", "refresh", err="the director's answer")
                self.tearDown()
                self.setUp()

    def test_a_broken_connection(self):
        def hang_up(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            handler.close_connection = True

        self.serve(admin_plugins=(200, "application/json", hang_up))
        self.expect(FAILURE, "plugin", "list", err="the connection to the director broke")

    def test_no_answer(self):
        def wait(handler):
            time.sleep(3)
            handler.close_connection = True

        self.serve(admin_plugins=(200, "application/json", wait))
        r = self.expect(FAILURE, "plugin", "list", "--timeout", "1", err="not answered within 1 s")
        self.assertIn(b"--timeout", r.stderr)

    def test_an_endless_answer(self):
        def flood(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
            for _ in range(100):
                handler.wfile.write(piece)
            handler.close_connection = True

        self.serve(admin_plugins=(200, "application/json", flood))
        self.expect(FAILURE, "plugin", "list", err="the answer is longer than 33554432 bytes")


class Call(Case):
    def serve_call(self, answer):
        self.serve(admin_token=value({"token": "h.p.s"}))
        self.server.answers["/api/execute/p"] = answer

    def test_what_is_sent(self):
        self.serve_call(value(b'{"b":1,  "a":2.50}'))
        text = '{ "x":1, "x":2, "big":123456789012345678901234567890, "s":"\\u0041ä" }'
        r = self.expect(OK, "call", "p", text, "--user", "alice", "--roles", "x")
        self.assertEqual(r.stdout, b'{"b":1,  "a":2.50}\n')
        token, call = self.server.requests
        self.assertEqual(json.loads(token[3]), {"user": "alice", "roles": ["x"], "ttl": 60})
        self.assertEqual(call[:2], ("POST", "/api/execute/p"))
        self.assertEqual(call[2]["Authorization"], "Bearer h.p.s")
        self.assertEqual(call[2]["Content-Type"], "application/json")
        self.assertEqual(call[3], text.encode())

    def test_standard_input(self):
        self.serve_call(value(b"null\n"))
        text = b'{"x":"' + b"y" * 3000000 + b'"}\n'
        self.assertEqual(self.expect(OK, "call", "p", "-", "--user", "a", stdin=text).stdout,
                         b"null\n")
        self.assertEqual(self.server.requests[1][3], text)
        self.assertNotIn("Expect", self.server.requests[1][2])
        self.expect(USAGE, "call", "p", "-", "--user", "a", stdin=b"", err="not valid at byte 0")

    def test_a_name_stays_one_segment(self):
        self.serve_call(value(b"{}"))
        self.server.answers["/api/execute/..%2F..%2Fadmin%2Ftoken%3Fx%20y"] = value(b"{}")
        self.expect(OK, "call", "../../admin/token?x y", "{}", "--user", "a")

    def test_errors_of_the_plugin_are_its_answer(self):
        for http, status in ((400, FAILURE), (422, FAILURE), (409, FAILURE), (404, NOT_FOUND),
                             (403, NOT_FOUND)):
            with self.subTest(http=http):
                self.serve_call(value({"error": "no", "detail": "no"}, http))
                r = self.expect(status, "call", "p", "{}", "--user", "a", err="(HTTP %d)" % http)
                self.assertEqual(r.stdout, b'{"error": "no", "detail": "no"}\n')
                self.tearDown()
                self.setUp()

    def test_errors_of_the_runtime_are_messages(self):
        cases = [
            (problem(404, "plugin_not_found", "There is no plugin p"), NOT_FOUND,
             "mozaiksctl plugin list"),
            (problem(503, "plugin_unavailable", "p is broken: x"), FAILURE, "p is broken: x"),
            (problem(504, "deadline", "p has not answered in 30 s"), FAILURE, "HTTP 504, deadline"),
            (problem(500, "plugin_exception", "p raised", request_id="r-9"), FAILURE, "r-9"),
            (problem(401, "invalid_token", "expired"), NOT_FOUND, "expired"),
        ]
        for answer, status, text in cases:
            with self.subTest(text=text):
                self.serve_call(answer)
                r = self.expect(status, "call", "p", "{}", "--user", "a", err=text)
                self.assertEqual(r.stdout, b"")
                self.tearDown()
                self.setUp()

    def test_no_token_no_call(self):
        self.serve(admin_token=problem(400, "invalid_user", "bad name"))
        self.expect(FAILURE, "call", "p", "{}", "--user", "a", err="bad name")
        self.assertEqual(len(self.server.requests), 1)


if __name__ == "__main__":
    CTL, MANUAL = (os.path.abspath(path) for path in sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
