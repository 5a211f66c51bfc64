"""The MongoDB driver while its server dies, stops, or is out of reach.

Each change is `ok`, `unavailable` (nothing was done) or `unknown_outcome`; what the server holds in
the end has to agree: no false ok where the server itself keeps what it acknowledged, never a false
failure, nothing twice. KILL_POINTS: how many answers are cut in each way; a tenth of it, how often the
server is killed. KILL_SEED repeats a run.
"""
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import threading
import time
import uuid

import pytest

import runtime as runtime_module
import servers
from conftest import EXAMPLES, PLUGINS, cannot_run
from history import KILL_POINTS, SEED, UNSUPERVISED, Writers, serving
from runtime import PATIENCE_SECONDS, Runtime

LOAD = runtime_module.BUILD / "test" / "conformance" / "store-load"

# What is acknowledged survives kill -9 of the server. (mongo-java-server writes a second later.)
KEEPS = {"ferretdb", "mongod"}
# Of a server that is gone without a word; shorter than by default, so that the tests are.
SHORT = "?connectTimeoutMS=700&serverSelectionTimeoutMS=1500&socketTimeoutMS=1000"
USERS = 8
# Longer than the socket's timeout in SHORT.
LATE_SECONDS = 1.5
# How a change begins on the wire: an OP_MSG whose document has the command's name first.
CHANGES = (b"\2insert\0", b"\2update\0", b"\2delete\0", b"\2findAndModify\0")


class Server(servers.Server):
    """A real server that can be killed, stopped and started again on its data."""

    def victim(self):
        """The server's process: the one started, or its child (mongod's watching shell has one)."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            words = children.read().split()
        return int(words[0]) if self.name == "mongod" else pid

    def kill(self):
        os.kill(self.victim(), signal.SIGKILL)
        self.process.stdin.close()
        self.process.wait(servers.STOP_SECONDS)
        self.process.stdout.close()

    def start_again(self):
        self.process = subprocess.Popen(servers.MONGODB[self.name](self.data),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log)
        self.port = self._wait_for_port()

    def freeze(self):
        pid = self.victim()
        os.kill(pid, signal.SIGSTOP)

        def frozen():
            stats = [stat.read_text() for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")]
            return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)

        runtime_module.wait_for(frozen, "every thread to stop")

    def thaw(self):
        os.kill(self.victim(), signal.SIGCONT)


class Proxy:
    """Between the store and its server, at one address for as long as the test runs.

    `target` is the server's port, or None: connections are refused. `replies` False swallows what
    the server says. cut() resets what is connected.

    `fault`, when it is set, is asked for each change that went to the server and returns None, or what
    becomes of this connection: "reset" (at once, while the server is at it), "lost" (when the server
    has answered, its answer is thrown away), or "late" (the answer comes after LATE_SECONDS).
    """

    def __init__(self, target=None):
        self.target = target
        self.replies = True
        self.fault = None
        self.faulty = {}
        self.pairs = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                server.settimeout(None)
            except (OSError, TypeError, OverflowError):
                self._reset(client)
                continue
            with self.lock:
                self.pairs.append((client, server))
            threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source, sink, is_reply):
        try:
            while piece := source.recv(65536):
                if not is_reply:
                    fault = self._fault_of(piece)
                    if fault == "lost" or fault == "late":
                        self.faulty[sink] = fault
                    sink.sendall(piece)
                    if fault == "reset":
                        break
                elif self.replies:
                    fault = self.faulty.pop(source, None)
                    if fault == "lost":
                        break
                    if fault == "late":
                        time.sleep(LATE_SECONDS)
                    sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _fault_of(self, piece):
        is_change = any(word in piece[:200] for word in CHANGES)
        return self.fault() if is_change and self.fault else None

    @staticmethod
    def _reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    def cut(self):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for client, server in pairs:
            self._reset(client)
            server.close()

    def close(self):
        self.listener.close()
        self.cut()


class Reply:
    def __init__(self, line):
        _, self.code, ms, *self.rest = line.split()
        self.ms = int(ms)


class Store:
    """A store-load program."""

    def __init__(self, uri, app):
        self.process = subprocess.Popen([LOAD, uri, app], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.replies = {}
        self.changed = threading.Condition()
        self.tags = 0
        self.closed_ms = None
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                if line.startswith("closed "):
                    self.closed_ms = int(line.split()[1])
                else:
                    self.replies[line.split()[0]] = Reply(line)
                self.changed.notify_all()

    def send(self, words):
        self.tags += 1
        tag = f"t{self.tags}"
        self.process.stdin.write(f"{tag} {words}\n")
        return tag

    def wait(self, tag):
        with self.changed:
            assert self.changed.wait_for(lambda: tag in self.replies, PATIENCE_SECONDS), \
                f"no answer: {tag}"
            return self.replies.pop(tag)

    def run(self, words):
        return self.wait(self.send(words))

    def is_ready(self):
        return self.run("ready").code == "yes"

    def wait_ready(self, ready=True):
        runtime_module.wait_for(lambda: self.is_ready() == ready, "ready" if ready else "not ready")

    def documents(self):
        """{id: n} of all there is."""
        reply = self.run("all")
        assert reply.code == "ok"
        pairs = [pair.split(":") for pair in reply.rest]
        found = {int(key): int(n) for key, n in pairs}
        assert len(found) == len(pairs)
        return found

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(60)
        self.reader.join(5)
        self.process.stdout.close()
        return status


def insert(key):
    return f"insert u{key % USERS} {key}"


def warm_up(store):
    """Gives every thread its connection. @return what was inserted."""
    keys = range(1000, 1000 + 20 * USERS)
    for begin in keys[::2 * USERS]:
        tags = [store.send(insert(key)) for key in range(begin, begin + 2 * USERS)]
        assert {store.wait(tag).code for tag in tags} == {"ok"}
    return dict.fromkeys(keys, "ok")


def settled(store):
    """A server may still be at work on what nobody waits for any more: until nothing has changed for
    half a second."""
    last = None
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (now := store.documents()) != last:
        assert time.monotonic() < deadline
        last = now
        time.sleep(0.5)


def check(outcomes, stored, keeps):
    """Each outcome against what is there. At most once, never half, nothing of nobody."""
    wrong = [f"{key}: {code} but {'there' if key in stored else 'missing'}"
             for key, code in outcomes.items()
             if code == "ok" and keeps and key not in stored
             or code not in ("ok", "unknown_outcome") and key in stored]
    assert not wrong, wrong
    assert set(stored) <= set(outcomes)
    assert set(outcomes.values()) <= {"ok", "unavailable", "unknown_outcome"}


@pytest.fixture(scope="module", params=servers.candidates())
def server(request):
    reason = servers.why_not(request.param)
    if reason:
        cannot_run(f"{request.param}: {reason}")
    with Server(request.param) as running:
        yield running


@pytest.fixture
def proxy(server):
    p = Proxy(server.port)
    yield p
    p.close()


@pytest.fixture
def opened(proxy):
    """Opens stores on the proxy, or past it; an application of its own for each test."""
    app = f"fault-{uuid.uuid4().hex[:12]}"
    stores = []

    def open_store(port=proxy.port, options=SHORT):
        stores.append(Store(f"mongodb://127.0.0.1:{port}/{options}", app))
        return stores[-1]

    yield open_store
    assert [s.close() for s in stores] == [0] * len(stores)
    # Also when the server is gone.
    assert all(s.closed_ms is not None and s.closed_ms < 30000 for s in stores)


def test_not_there_at_start(server, proxy, opened):
    """Refused within 5 s under the default timeouts; used without a restart once it is there."""
    proxy.target = None
    store = opened(options="")
    tags = [store.send(insert(key)) for key in range(20)] + [store.send("all")]
    replies = [store.wait(tag) for tag in tags]
    assert {r.code for r in replies} == {"unavailable"}
    # Each by itself would wait longer than all together: 21 times the server selection's 4.5 s.
    assert max(r.ms for r in replies) < 40000
    assert not store.is_ready()
    assert store.run(insert(1)).code == "unavailable"
    proxy.target = server.port
    store.wait_ready()
    runtime_module.wait_for(lambda: store.run(insert(1)).code == "ok", "an ok")
    assert store.documents() == {1: 0}


class Load:
    """Inserts of USERS users, some of them at work at any time, and increments of one document of each
    user. Keeps what became of each."""

    def __init__(self, store):
        self.store = store
        self.tags = {}
        self.key = 10000
        self.inserts = {}
        self.increments = {user: [] for user in range(USERS)}

    def step(self):
        """@return how many have been acknowledged since."""
        while len(self.tags) < 2 * USERS:
            self.key += 1
            user = self.key % USERS
            if self.key // USERS % 3 == 0:
                self.tags[self.store.send(f"inc u{user} {user}")] = user
            else:
                self.tags[self.store.send(insert(self.key))] = self.key
        time.sleep(0.002)
        return [self._note(tag) for tag in list(self.tags) if tag in self.store.replies].count("ok")

    def _note(self, tag):
        key, code = self.tags.pop(tag), self.store.wait(tag).code
        if key < USERS:
            self.increments[key].append(code)
        else:
            self.inserts[key] = code
        return code

    def acknowledge(self, n):
        """Goes on until so many more are acknowledged."""
        done = 0

        def enough():
            nonlocal done
            done += self.step()
            return done >= n
        runtime_module.wait_for(enough, f"{n} acknowledgements (seed {SEED})")

    def finish(self):
        for tag in list(self.tags):
            runtime_module.wait_for(lambda tag=tag: tag in self.store.replies,
                                    "an answer to every command")
            self._note(tag)

    def codes(self):
        return [*self.inserts.values(), *(c for codes in self.increments.values() for c in codes)]

    def check(self, stored, keeps):
        """Each outcome against what is there. At most once, never half, nothing of nobody."""
        check({**dict.fromkeys(range(USERS), "ok"), **self.inserts}, stored, keeps)
        for user, codes in self.increments.items():
            least, most = codes.count("ok"), codes.count("ok") + codes.count("unknown_outcome")
            found = stored.get(user, 0)
            assert found <= most, f"u{user}: {found} of {most} increments (seed {SEED})"
            assert not keeps or least <= found, f"u{user}: {found} of {least} (seed {SEED})"


def begun(store):
    """A load on documents to be incremented."""
    for user in range(USERS):
        assert store.run(insert(user)).code == "ok"
    return Load(store)


def test_server_killed_under_writes(server, proxy, opened):
    """kill -9 of the server, again and again, and a start on what it has on its disk."""
    chance = random.Random(f"{SEED}-killed")
    store = opened()
    store.wait_ready()
    load = begun(store)
    for _ in range(max(1, KILL_POINTS // 10)):
        load.acknowledge(chance.randrange(50, 200))
        proxy.target = None
        server.kill()
        # What is connected ends with it; what comes then is refused.
        refused = load.codes().count("unavailable")
        runtime_module.wait_for(
            lambda: load.step() or load.codes().count("unavailable") > refused + 10,
            "refusals")
        server.start_again()
        proxy.target = server.port
    load.acknowledge(50)
    load.finish()
    assert set(load.codes()) <= {"ok", "unavailable", "unknown_outcome"}
    load.check(store.documents(), server.name in KEEPS)


@pytest.mark.parametrize("fault", ["reset", "lost", "late"])
def test_replies_cut_under_writes(server, proxy, opened, fault):
    """Of KILL_POINTS changes the server gets the request and the store no answer: only those are
    unknown, all others are as they were answered, and nothing is made twice."""
    chance = random.Random(f"{SEED}-{fault}")
    store, beside = opened(), opened(port=server.port)
    store.wait_ready()
    beside.wait_ready()
    load = begun(store)
    points = []

    def strike():
        if len(points) < KILL_POINTS and chance.random() < 0.05:
            points.append(None)
            return fault
        return None

    load.acknowledge(50)
    proxy.fault = strike
    while len(points) < KILL_POINTS:
        load.acknowledge(10)
    proxy.fault = None
    load.acknowledge(50)
    load.finish()
    unknown = load.codes().count("unknown_outcome")
    assert set(load.codes()) <= {"ok", "unavailable", "unknown_outcome"}
    if fault == "lost":
        # Each of them was made, and is said to be unknown, not refused and not acknowledged.
        assert unknown >= KILL_POINTS
    settled(beside)
    load.check(beside.documents(), True)


def test_frozen(server, proxy, opened):
    """Accepts, never answers: what was sent is unknown, what was not is refused, all of it soon."""
    store = opened()
    store.wait_ready()
    before = warm_up(store)
    server.freeze()
    try:
        tags = {key: store.send(insert(key)) for key in range(1, 61)}
        reading = store.send("all")
        replies = {key: store.wait(tag) for key, tag in tags.items()}
        assert store.wait(reading).code == "unavailable"
        assert not store.is_ready()
        assert store.run(insert(99)).code == "unavailable"
    finally:
        server.thaw()
    codes = [r.code for r in replies.values()]
    assert set(codes) == {"unavailable", "unknown_outcome"}
    # At most one of each thread was sent.
    assert codes.count("unknown_outcome") <= 2 * USERS
    # 60 in turn would take a minute and more.
    assert max(r.ms for r in replies.values()) < 30000
    store.wait_ready()
    outcomes = {key: r.code for key, r in replies.items()}
    settled(store)
    check({**before, 99: "unavailable", **outcomes}, store.documents(), True)
    # The same ids again: the unknown ones are there or not, and either answer is true.
    again = {key: store.run(insert(key)).code for key in outcomes}
    assert set(again.values()) <= {"ok", "duplicate_key"}
    assert all(again[key] == "ok" for key, code in outcomes.items() if code == "unavailable")
    assert set(store.documents()) == set(before) | set(outcomes)


def test_replies_lost(server, proxy, opened):
    """The change is made, its answer never comes: unknown, and made once."""
    store, beside = opened(), opened(port=server.port)
    store.wait_ready()
    beside.wait_ready()
    assert store.run(insert(1)).code == "ok"
    before = warm_up(store)
    proxy.replies = False
    words = [insert(2), "inc u1 1", "upsert u3 3"] + [insert(key) for key in range(4, 40)]
    codes = [store.wait(tag).code for tag in [store.send(w) for w in words]]
    assert set(codes) == {"unknown_outcome", "unavailable"}, codes
    assert codes.count("unknown_outcome") >= 3, codes
    settled(beside)
    found = beside.documents()
    assert set(before) < set(found)
    # What was sent was made, though nobody heard of it.
    assert (found[1] == 1) == (codes[1] == "unknown_outcome")
    for key, code in zip([2, *range(4, 40)], codes[:1] + codes[3:]):
        assert (key in found) == (code == "unknown_outcome"), (key, code)
    store.wait_ready(False)
    assert store.run(insert(50)).code == "unavailable"
    proxy.cut()
    proxy.replies = True
    store.wait_ready()
    runtime_module.wait_for(lambda: store.run(insert(51)).code == "ok", "an ok")
    assert set(store.documents()) == set(found) | {51}


def test_connections_reset(server, proxy, opened):
    """Idle connections that were lost: another one is made; a change is made or unknown, not lost."""
    store = opened()
    store.wait_ready()
    outcomes = {key: store.run(insert(key)).code for key in range(20)}
    assert set(outcomes.values()) == {"ok"}
    for round_number in range(3):
        proxy.cut()
        assert store.run("all").code in ("ok", "unavailable")
        for key in range(100 * (round_number + 1), 100 * (round_number + 1) + 20):
            outcomes[key] = store.run(insert(key)).code
    store.wait_ready()
    # Refused only by a machine that is so busy that half a second is over at once.
    runtime_module.wait_for(lambda: store.run(insert(999)).code == "ok", "an ok")
    outcomes[999] = "ok"
    check(outcomes, store.documents(), True)


# --- the whole runtime ---

@pytest.mark.parametrize("uri, named", [
    ("mongodb://user:hunter2@127.0.0.1/?bogus=hunter2", "bogus"),
    ("mongodb://user:hunter2@127.0.0.1:notaport/", "hosts"),
    ("mongodb://user:hunt/er2@127.0.0.1/", "percent-encoded"),
    ("mongodb+srv://user:hunter2@example.org/", "mongodb+srv"),
    ("mongodb://user:hunter2@127.0.0.1/?replicaSet=", "replicaSet"),
    ("mysql://user:hunter2@127.0.0.1/", "mysql"),
])
@pytest.mark.parametrize("variable", ["DATABASE_URI", "MONGODB_URI"])
def test_a_bad_uri_stops_the_start(uri, named, variable):
    """The message names what the operator has written, and no part of a password."""
    runtime = Runtime({}, env={variable: uri})
    try:
        program = runtime_module.Program(runtime_module.DIRECTOR, runtime.env)
        assert program.wait() == 1
        assert variable in program.text and named in program.text
        assert "hunter2" not in program.text and "er2" not in program.text
    finally:
        runtime.close()


def test_director_without_its_database(server, proxy):
    """Starts, says that it is not ready, refuses soon, and works as soon as the server is there."""
    proxy.target = None
    runtime = Runtime({"task_manager": EXAMPLES / "task_manager"},
                      f"mongodb://127.0.0.1:{proxy.port}/", app=f"app-{uuid.uuid4().hex[:12]}")
    runtime_module.account_for(server.process.pid)

    def create():
        return runtime.execute("task_manager", {"action": "create", "title": "x"}, user="alice")

    try:
        runtime.start_director()
        runtime.start_pluginhost()
        assert not os.path.exists(f"/dev/shm/mongoc-{runtime.director.pid}")
        assert runtime.get("/livez").status == 200
        assert runtime.get("/readyz").status == 503
        # No token is taken while nobody knows who is disabled: the operator asks.
        runtime_module.wait_for(lambda: "ready" in [
            p["state"] for p in json.loads(runtime.ctl("plugin", "list", "--json").stdout)["plugins"]
        ], "the plugin's start")
        assert create().status != 200
        proxy.target = server.port
        runtime_module.wait_for(lambda: runtime.get("/readyz").status == 200, "readiness")
        assert create().status == 200
    except BaseException:
        print(runtime.log)
        raise
    finally:
        runtime.close()


@pytest.fixture
def running(server, proxy):
    """The runtime with the plugin that writes what it is told, behind the proxy."""
    app = f"app-{uuid.uuid4().hex[:12]}"
    runtime_module.account_for(server.process.pid)
    with Runtime({"store": PLUGINS / "store"}, f"mongodb://127.0.0.1:{proxy.port}/{SHORT}", app=app,
                 env=UNSUPERVISED) as r:
        serving(r)
        yield r


def test_runtime_while_its_server_is_killed(server, proxy, running):
    """Over HTTP: what a client was told is true, and the plugin goes on without a restart."""
    worker = running.plugin("store")
    with Writers(running) as writers:
        for _ in range(max(1, KILL_POINTS // 10)):
            writers.acknowledge(30)
            proxy.target = None
            server.kill()
            refused = writers.refused()
            runtime_module.wait_for(lambda: writers.refused() > refused + 5, "refusals")
            server.start_again()
            proxy.target = server.port
            runtime_module.account_for(server.process.pid)
            serving(running)
        writers.acknowledge(30)
    writers.check(server.name in KEEPS)
    assert running.plugin("store").get("restarts") == worker.get("restarts")


def test_runtime_while_replies_are_cut(server, proxy, running):
    """The plugin is told which writes are unknown; uncaught it is an error of the server."""
    chance = random.Random(f"{SEED}-http")
    points = []

    def strike():
        if len(points) < KILL_POINTS and chance.random() < 0.1:
            points.append(None)
            return chance.choice(["reset", "lost", "late"])
        return None

    with Writers(running) as writers:
        writers.acknowledge(30)
        proxy.fault = strike
        while len(points) < KILL_POINTS:
            writers.acknowledge(5)
        proxy.fault = None
        writers.acknowledge(30)
    writers.check()
    assert any(w.unknown for w in writers.all)


def test_an_unknown_outcome_that_no_plugin_caught(proxy, running):
    """500, never 503: whoever sends it again as it is may write twice. With an _id of the client's own the
    second one is told that there is the first."""
    def insert_one(**more):
        return running.execute("store", {"collection": "c", "op": "insert_one", "args": [{"_id": "mine"}],
                                         **more})

    proxy.fault = lambda: "lost"
    answer = insert_one(uncaught=True)
    proxy.fault = None
    assert answer.status == 500 and answer.json["code"] == "plugin_exception", answer
    assert "retry-after" not in answer.headers
    serving(running)
    assert insert_one().json["failed"] == "DuplicateKey"
    found = running.execute("store", {"collection": "c", "op": "count_documents", "args": [{}]})
    assert found.json == {"result": 1}
