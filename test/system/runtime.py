"""The real programs in a temporary state directory on a free port, for the tests over HTTP.

    with Runtime(plugins={"echo": ECHO_DIRECTORY}) as runtime:
        answer = runtime.execute("echo", {"a": 1}, user="alice")

Nothing here knows more of the runtime than its documents say: environment settings, the run
directory, the admin socket behind mozaiksctl, JSON records on stderr.
"""
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MOZAIKS_BUILD", TOP / "build"))
DIRECTOR = BUILD / "director" / "mozaiks-director"
PLUGINHOST = BUILD / "pluginhost" / "mozaiks-pluginhost"
CTL = BUILD / "director" / "ctl" / "mozaiksctl"

SECRET = "A-secret-of-the-tests-that-is-long-enough-0123456789"
APP = "test_app"
# What a process of ours is called; servers of the tests have "mozaiks" in a path, too.
OUR_PROGRAMS = re.compile(r"mozaiks-(director|pluginhost|zygote|worker)\b")
# What has not happened by then does not: no measure of speed, since a machine may be slow or loaded.
PATIENCE_SECONDS = 60


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(header, claims, secret=SECRET):
    """A token of exactly these parts. Texts are taken as they are, anything else becomes JSON."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, claims)]
    signed = ".".join(b64url(part.encode()) for part in parts)
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{b64url(digest)}"


def mint(user, secret=SECRET, **claims):
    """A token that the runtime takes. A claim that is None is left out."""
    now = int(time.time())
    all_claims = {"sub": user, "user_id": user, "username": user, "roles": ["user"], "iat": now,
                  "exp": now + 3600, "jti": uuid.uuid4().hex, **claims}
    kept = {name: value for name, value in all_claims.items() if value is not None}
    return sign({"alg": "HS256", "typ": "JWT"}, kept, secret)


class Answer:
    """An HTTP answer: status, headers (lower case), body."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:2000]!r}>"


def wait_for(condition, what="it", seconds=PATIENCE_SECONDS):
    """Calls `condition` until what it returns is true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


# Processes. Orphans come to us (see adopt_orphans), so that a leak can be seen.

def adopt_orphans():
    """Makes this process the parent of every process that loses its own: PR_SET_CHILD_SUBREAPER."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(36, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def stat_of(pid):
    """(state, parent) of a process, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
        return fields[0], int(fields[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def descendants(root):
    """Pids of all living processes below `root`."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = stat_of(name)
            if stat and stat[0] not in "ZX":
                children.setdefault(stat[1], []).append(int(name))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def reap_orphans():
    """Takes the exit status of adopted processes, so that they do not stay as zombies."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = stat_of(name)
            if stat and stat[0] == "Z" and stat[1] == os.getpid() and int(name) not in _OURS:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(int(name), os.WNOHANG)


_OURS = set()  # programs of ours that run, of all runtimes: a Popen waits for each


def account_for(pid):
    """A process of the tests themselves, such as a database server: no leak of a runtime."""
    _OURS.add(pid)


class Program:
    """One of our programs: its process and what it writes to stderr, line by line."""

    def __init__(self, path, env):
        self.name = pathlib.Path(path).name
        self.lines = []
        # A session of its own: the signals of a terminal do not reach it.
        self.process = subprocess.Popen([str(path)], env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        self.pid = self.process.pid
        _OURS.add(self.pid)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    @property
    def records(self):
        """The structured log records so far."""
        found = []
        for line in list(self.lines):
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    @property
    def text(self):
        return "\n".join(self.lines)

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def wait(self, seconds=PATIENCE_SECONDS):
        """Its exit status; negative: the signal that ended it."""
        status = self.process.wait(seconds)
        _OURS.discard(self.pid)
        self._reader.join(PATIENCE_SECONDS)
        return status

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait()


class Runtime:
    """A director and a pluginhost.

    plugins: {name: directory or {file name: text}}, copied into the plugin path of this runtime.
    store: None for the embedded one, else a DATABASE_URI.
    env: settings beside the ones that every test needs; None removes one.
    mint: makes a token of a user and claims; by default ours, with the secret.
    """

    def __init__(self, plugins=None, store=None, env=None, app=APP, mint=mint):
        self.mint = mint
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="mozaiks-test-"))
        # Root is given up by the programs, and others have to reach the state.
        self.base.chmod(0o755)
        self.state = self.base / "state"
        self.run = self.state / "run"
        self.plugins = self.base / "plugins"
        self.configs = self.base / "configs"
        self.plugins.mkdir()
        self.configs.mkdir()
        if os.geteuid() == 0:
            # The registry is written there by the user that root became.
            self.configs.chmod(0o777)
        self.env = {
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PORT": "0", "MOZAIKS_HOST": "127.0.0.1",
            "MOZAIKS_APP_ID": app, "JWT_SECRET": SECRET, "MOZAIKS_STATE_PATH": str(self.state),
            "MOZAIKS_PLUGINS_PATH": str(self.plugins), "MOZAIKS_CONFIGS_PATH": str(self.configs),
            "MOZAIKS_AUTO_REFRESH_PLUGINS": "1", "ENV": "development",
        }
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        if store:
            self.env["DATABASE_URI"] = store
        for name, value in (env or {}).items():
            if value is None:
                self.env.pop(name, None)
            else:
                self.env[name] = value
        self.director = self.pluginhost = None
        self.port = None
        self.tls = None  # an ssl.SSLContext: requests go over HTTPS
        for name, content in (plugins or {}).items():
            self.put_plugin(name, content)

    # Plugins

    def put_plugin(self, name, content):
        """Installs or replaces a plugin: a directory to copy, or {file name: text}."""
        target = self.plugins / name
        fresh = pathlib.Path(tempfile.mkdtemp(dir=self.base))
        if isinstance(content, dict):
            for path, text in content.items():
                file = fresh / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text if isinstance(text, bytes) else text.encode())
        else:
            shutil.copytree(content, fresh, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("__pycache__", "*.p", "test*"))
        for folder, _, files in os.walk(fresh):
            os.chmod(folder, 0o755)
            for file in files:
                os.chmod(os.path.join(folder, file), 0o644)
        if target.exists():
            shutil.rmtree(target)
        fresh.rename(target)

    def remove_plugin(self, name):
        shutil.rmtree(self.plugins / name)

    # Life

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(self.log)
        self.close()

    def start(self):
        self.start_director()
        self.start_pluginhost()
        self.wait_ready()
        return self

    def start_director(self, program=DIRECTOR):
        (self.run / "http_port").unlink(missing_ok=True)
        self.director = Program(program, self.env)
        self.port = wait_for(self._read_port, "listening")

    def _read_port(self):
        if not self.director.alive():
            raise AssertionError(f"the director ended at its start:\n{self.director.text}")
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self.run / "http_port").read_text())

    def start_pluginhost(self):
        self.pluginhost = Program(PLUGINHOST, self.env)

    def wait_ready(self):
        def ready():
            for program in (self.director, self.pluginhost):
                if program and not program.alive():
                    raise AssertionError(f"{program.name} ended:\n{program.text}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.get("/readyz").status == 200
        wait_for(ready, "readiness")
        wait_for(lambda: all(p["state"] != "starting" for p in self.list_plugins()),
                 "the start of the plugins")

    def list_plugins(self):
        answer = self.get("/api/plugins", token=self.mint("operator"))
        assert answer.status == 200, answer
        return answer.json["plugins"]

    def plugin(self, name):
        """What the list says of a plugin, or None."""
        return next((p for p in self.list_plugins() if p["name"] == name), None)

    def status(self, name):
        """What an operator sees of a plugin."""
        answer = self.get(f"/__mozaiks/admin/plugins/{name}",
                          token=self.mint("operator", roles=["superadmin"]))
        assert answer.status == 200, answer
        return answer.json

    def wait_plugin(self, name, condition):
        """Waits until the list's entry of a plugin (None: not listed) fulfils a condition."""
        seen = []

        def fulfilled():
            seen[:] = [self.plugin(name)]
            return condition(seen[0])
        try:
            wait_for(fulfilled, f"the change of {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}; last seen: {seen}") from None
        return seen[0]

    def wait_in_flight(self, plugin, n):
        """Waits until so many calls of a plugin, neither more nor fewer, have been admitted."""
        wait_for(lambda: self.status(plugin)["in_flight"] == n, f"{n} calls of {plugin} in flight")

    def stop(self):
        """SIGTERM to both, as scripts/run does. @return (pluginhost's status, director's)."""
        programs = [p for p in (self.pluginhost, self.director) if p]
        for program in programs:
            program.signal(signal.SIGTERM)
        statuses = []
        for program in programs:
            try:
                statuses.append(program.wait())
            except subprocess.TimeoutExpired:
                program.kill()
                statuses.append("killed after %d s" % PATIENCE_SECONDS)
        self.pluginhost = self.director = None
        return statuses

    def close(self):
        self.stop()
        for pid in self.leaked():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reap_orphans()
        shutil.rmtree(self.base, ignore_errors=True)

    def leaked(self, seconds=PATIENCE_SECONDS):
        """Pids of processes that no running program accounts for, and that stay for a while."""
        def left():
            reap_orphans()
            known = {below for pid in _OURS for below in [pid, *descendants(pid)]}
            return [pid for pid in descendants(os.getpid())
                    if pid not in known and OUR_PROGRAMS.search(command_of(pid))]
        deadline = time.monotonic() + seconds
        while left() and time.monotonic() < deadline:
            time.sleep(0.05)
        return left()

    def sockets(self):
        """Unix sockets below the state directory."""
        return [p for p in self.state.rglob("*") if p.is_socket()]

    def workers(self):
        """Pids of the processes below pluginhost: zygotes and workers."""
        return descendants(self.pluginhost.pid)

    @property
    def log(self):
        return "\n".join(p.text for p in (self.director, self.pluginhost) if p)

    @property
    def records(self):
        return [r for p in (self.director, self.pluginhost) if p for r in p.records]

    # Requests

    def request(self, method, path, body=None, headers=None, token=None, timeout=60):
        if self.tls:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout,
                                                     context=self.tls)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            all_headers = dict(headers or {})
            if token:
                all_headers["Authorization"] = f"Bearer {token}"
            connection.request(method, path, body, all_headers)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def execute(self, plugin, data=None, user="alice", token=None, timeout=60):
        """POST /api/execute/{plugin}. `data`: a value, or bytes that are sent as they are."""
        body = data if isinstance(data, bytes) else json.dumps(data or {}).encode()
        return self.request("POST", f"/api/execute/{plugin}", body,
                            {"Content-Type": "application/json"}, token or self.mint(user),
                            timeout=timeout)

    def raw(self, data, timeout=PATIENCE_SECONDS, close=False):
        """Sends bytes on a connection of its own and returns all that comes back until it ends.

        close: shuts our side down after the bytes.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            s.sendall(data)
            if close:
                s.shutdown(socket.SHUT_WR)
            received = b""
            while True:
                try:
                    piece = s.recv(65536)
                except (socket.timeout, ConnectionResetError):
                    return received
                if not piece:
                    return received
                received += piece

    def ctl(self, *arguments, check=True, env=None):
        """mozaiksctl. @return its completed process, with text."""
        done = subprocess.run([str(CTL), *arguments], env={**self.env, **(env or {})},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        assert not check or done.returncode == 0, done
        return done


class Neighbour:
    """Calls another plugin all the time; every answer must be a 200."""

    def __init__(self, runtime, plugin="answers"):
        self.runtime, self.plugin = runtime, plugin
        self.bad, self.good, self.slowest = [], 0, 0.0
        self.end = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.end.is_set():
            started = time.monotonic()
            try:
                answer = self.runtime.execute(self.plugin, {"action": "true"}, user="neighbour")
                if answer.status == 200 and answer.json is True:
                    self.good += 1
                else:
                    self.bad.append(answer)
            except OSError as error:
                self.bad.append(error)
            self.slowest = max(self.slowest, time.monotonic() - started)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


def run_program(path, env, seconds=PATIENCE_SECONDS):
    """Runs a program to its end. @return (exit status or None when it went on, its output)."""
    program = Program(path, env)
    try:
        return program.wait(seconds), program.text
    except subprocess.TimeoutExpired:
        program.kill()
        return None, program.text
