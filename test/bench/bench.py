#!/usr/bin/python3
"""The rows of the performance table, measured against their peers on this machine.

    bench.py [--json] [--plot FILE] [--pairs N] [--seconds N] [ROW...]

Ratios are what counts: load, runtime and peers share the machine, so each pair of measurements runs
one after the other, the pairs alternate, and the median of their ratios is given with the lowest and
the highest. BENCH_SMOKE=1 measures each row for a second, to see that it works. README.md says what
each row is.
"""
import argparse
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "system"), str(HERE.parent / "servers")]

import plot  # noqa: E402
import servers  # noqa: E402
import websocket  # noqa: E402
from neighbour import Hostile  # noqa: E402
from runtime import (APP, BUILD, SECRET, Runtime, adopt_orphans, mint,  # noqa: E402
                     reap_orphans, wait_for)
from slow import SlowClients  # noqa: E402

SMOKE = os.environ.get("BENCH_SMOKE") == "1"
USERS = 50 if SMOKE else 1000
SMALL_BODY = json.dumps({"action": "hello", "name": "a name of some length, for 60 B"}).encode()
HERTZ = os.sysconf("SC_CLK_TCK")


class Unavailable(Exception):
    """A peer is missing."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, process):
    def reached():
        if process.poll() is not None:
            raise Unavailable(f"{process.args[0]} ended at its start")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
    wait_for(reached, f"port {port}")


# Processes and what they use

def cpu_seconds(pid):
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / HERTZ


def memory_kib(pid):
    """{"private", "pss", "peak"} in KiB; zeros when it may not be read."""
    found = {"private": 0, "pss": 0, "peak": 0}
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name.startswith("Private_") and name != "Private_Hugetlb":
                found["private"] += int(rest.split()[0])
            elif name == "Pss":
                found["pss"] = int(rest.split()[0])
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        found["peak"] = int(status.split("VmHWM:")[1].split()[0])
    return found


# Targets: what load is put on. Each knows its URL and its processes.

class Target:
    """url: the path for plugins is appended. processes: {name: pid}."""

    def __init__(self, url, processes):
        self.url, self.processes = url, processes


@contextlib.contextmanager
def nginx():
    """`return 200`, one worker."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.path.exists(program):
        raise Unavailable("nginx is not installed (Debian: nginx-light)")
    with tempfile.TemporaryDirectory(prefix="mozaiks-bench-") as folder:
        port = free_port()
        config = pathlib.Path(folder, "nginx.conf")
        config.write_text(f"""
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 2m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{
    default_type application/json; return 200 '{{"message":"Hello you","user":"user-1"}}'; }} }}
}}""")
        with serving([program, "-p", folder, "-c", str(config)], port) as process:
            yield Target(f"http://127.0.0.1:{port}", {"nginx": process.pid})


@contextlib.contextmanager
def fastapi():
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="mozaiks-bench-") as folder:
        env = {**os.environ, "JWT_SECRET": SECRET, "MOZAIKS_APP_ID": APP, "BENCH_STATE": folder}
        with serving(["/usr/bin/python3", str(HERE / "fastapi_peer.py"), str(port)], port,
                     env) as process:
            yield Target(f"http://127.0.0.1:{port}", {"fastapi": process.pid})


@contextlib.contextmanager
def serving(command, port, env=None):
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def native_plugin():
    folder = BUILD / "test" / "bench" / "plugins" / "native"
    if not (folder / "logic.so").exists():
        raise Unavailable(f"{folder}/logic.so is not built")
    return folder


@contextlib.contextmanager
def ours(plugins, **env):
    settings = {"MOZAIKS_LOG_LEVEL": "warning", "MOZAIKS_AUTO_REFRESH_PLUGINS": "0",
                "ENV": "production", "JWT_SECRET": SECRET, **env}
    with Runtime(plugins, env=settings) as runtime:
        target = Target(f"http://127.0.0.1:{runtime.port}", {"director": runtime.director.pid})
        # The others have nothing to do: of many plugins one is called.
        called = next(iter(plugins))
        target.processes.update({"worker": pid for pid in runtime.workers()
                                 if os.path.isdir(f"/proc/{pid}/root/plugins/{called}")})
        target.runtime = runtime
        yield target


# Load

class Load:
    """wrk with the tokens of many users."""

    def __init__(self, folder):
        if not shutil.which("wrk"):
            raise Unavailable("wrk is not installed")
        self.folder = pathlib.Path(folder)
        self.tokens = self.folder / "tokens"
        self.tokens.write_text("".join(mint(f"user-{n}") + "\n" for n in range(USERS)))
        self.body = self.folder / "body"

    def __call__(self, target, path, connections, seconds, body=SMALL_BODY, pause_ms=0):
        """body: of every request; None: a GET without a token. pause_ms: of each connection, before
        each request."""
        env = {"PATH": os.environ["PATH"]}
        if pause_ms:
            env["BENCH_PAUSE_MS"] = str(pause_ms)
        if body is not None:
            self.body.write_bytes(body)
            env.update(BENCH_TOKENS=str(self.tokens), BENCH_BODY=str(self.body))
        before = {name: cpu_seconds(pid) for name, pid in target.processes.items()}
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s",
             str(HERE / "load.lua"), target.url + path],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode or "RESULT " not in done.stdout:
            raise RuntimeError(f"wrk failed: {done.stdout}")
        result = json.loads(done.stdout.split("RESULT ")[1])
        if result["bad"] or not result["requests"]:
            raise RuntimeError(f"{result['bad']} of {result['requests']} requests to "
                               f"{target.url}{path} went wrong")
        return {
            "requests_per_second": round(result["requests"] / (result["us"] / 1e6), 1),
            "p50_us": result["p50"], "p99_us": result["p99"],
            "cpu_us_per_request": {
                name: round((cpu_seconds(pid) - before[name]) * 1e6 / result["requests"], 2)
                for name, pid in target.processes.items()},
        }


def middle(samples):
    """The median of every number of samples of the same shape."""
    first = samples[0]
    if isinstance(first, dict):
        return {name: middle([s[name] for s in samples]) for name in first}
    return round(statistics.median(samples), 2)


def pairs(measure_a, measure_b, n):
    """Alternating pairs. @return (ratios of requests per second, samples of a, samples of b)"""
    a, b = [], []
    for i in range(n):
        for which, measure in ((a, measure_a), (b, measure_b)) if i % 2 == 0 else \
                ((b, measure_b), (a, measure_a)):
            which.append(measure())
    ratios = [x["requests_per_second"] / y["requests_per_second"] for x, y in zip(a, b)]
    return ratios, a, b


def row(identity, what, values, target, unit, more_is_better=True, **detail):
    """One row of the table; its value is the median."""
    return {"id": identity, "what": what, "ratio": round(statistics.median(values), 3),
            "low": round(min(values), 3), "high": round(max(values), 3), "target": target,
            "unit": unit, "better": "more" if more_is_better else "less", **detail}


class Bench:
    """All rows. What they measure with is given once."""

    def __init__(self, load, n_pairs, seconds):
        self.load, self.n_pairs, self.seconds = load, n_pairs, seconds

    def compare(self, identity, what, target, us, peer, path, peer_path, connections,
                body=SMALL_BODY):
        warm = 1
        for where, its_path in ((us, path), (peer, peer_path)):
            self.load(where, its_path, connections, warm, body)
        ratios, a, b = pairs(
            lambda: self.load(us, path, connections, self.seconds, body),
            lambda: self.load(peer, peer_path, connections, self.seconds, body), self.n_pairs)
        memory = {name: memory_kib(pid) for name, pid in us.processes.items()}
        return row(identity, what, ratios, target, "ratio", ours=middle(a), peer=middle(b),
                   memory_kib=memory, connections=connections)

    def p1(self):
        with ours({"echo": HERE / "plugins" / "echo"}) as us, nginx() as peer:
            yield self.compare("P1", "/livez, of nginx", 0.95, us, peer, "/livez", "/", 64, None)

    def p2(self):
        with ours({"native": native_plugin()}) as us, nginx() as peer:
            path = "/api/execute/native"
            yield self.compare("P2", "native plugin, of nginx", 0.7, us, peer, path, path, 64)
            yield self.compare("P2", "native plugin, of nginx", 0.5, us, peer, path, path, 1)

    def p3(self):
        with ours({"echo": HERE / "plugins" / "echo"}) as us, fastapi() as peer:
            path = "/api/execute/echo"
            yield self.compare("P3", "Python plugin, of FastAPI", 7, us, peer, path, path, 64)
            yield self.compare("P3", "Python plugin, of FastAPI", 1.2, us, peer, path, path, 1)

    def p4(self):
        with ours({"notes": HERE / "plugins" / "notes"}) as us, fastapi() as peer:
            for target in (us, peer):
                seed_notes(target)
            path = "/api/execute/notes"
            yield self.compare("P4", "find of 50 documents, of FastAPI + sqlite3", 4, us, peer, path,
                               path, 64, action("find"))

    def p5(self):
        with ours({"notes": HERE / "plugins" / "notes"}) as us, fastapi() as peer:
            path = "/api/execute/notes"
            yield self.compare("P5", "durable insert, of FastAPI + a commit each", 5, us, peer, path,
                               path, 64, action("insert"))
        rounds = self.program("bench-store", self.load.folder, self.seconds, self.n_pairs)
        yield row("P5", "durable insert in the store, of a commit each",
                  ratios(rounds["insert, 64 in flight"], rounds["SQLite alone, one commit each"]), 5,
                  "ratio")

    def p6(self):
        """The time of an operation through the store, of the driver's own, on one server each."""
        for name in servers.candidates():
            reason = servers.why_not(name)
            if reason:
                print(f"not run: P6 on {name}: {reason}", file=sys.stderr)
                continue
            with servers.Server(name) as server:
                rounds = self.program("bench-mongodb", server.uri, self.seconds, self.n_pairs)
            for operation in ("insert", "find"):
                for flight, words in (("", "one in flight"), (" 64", "64 in flight")):
                    pair = f"{operation}{flight}"
                    yield row("P6", f"{operation}, {words}, {name}, of libmongoc",
                              ratios(rounds[f"{pair}, libmongoc"], rounds[f"{pair}, store"]),
                              1.1, "ratio", False)

    @staticmethod
    def program(name, *arguments):
        """A program of director/store that measures rounds. @return {what: rate of each round}"""
        path = BUILD / "director" / "store" / name
        if not path.exists():
            raise Unavailable(f"{path} is not built")
        done = subprocess.run([str(path), *map(str, arguments), "--json"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)

    def p7(self):
        """Each new version of a plugin is a start of a worker; its record says how long it took."""
        n = 3 if SMOKE else 60
        for name, source, target in (("Python", HERE / "plugins" / "echo", 10),
                                     ("native", native_plugin(), 15)):
            with ours({"started": source}, MOZAIKS_LOG_LEVEL="info",
                      MOZAIKS_PLUGIN_SETTLE_MS="0") as us:
                times = start_times(us.runtime, n)
            yield row("P7", f"{name} worker, start to ready, median", [statistics.median(times)],
                      target, "ms", False, low_high=[min(times), max(times)], starts=len(times))
            if name == "Python":
                p99 = sorted(times)[max(0, round(len(times) * 0.99) - 1)]
                yield row("P7", "Python worker, start to ready, p99", [p99], 30, "ms", False,
                          starts=len(times))

    def p8(self):
        n = 5 if SMOKE else 50
        with ours({f"idle{i}": HERE / "plugins" / "echo" for i in range(n)}) as us:
            wait_for(lambda: all(p["state"] == "ready" for p in us.runtime.list_plugins()), "all plugins")
            time.sleep(1 if SMOKE else 5)
            private = [memory_kib(pid)["private"] / 1024 for pid in plugin_workers(us.runtime)]
            if not any(private):
                raise Unavailable("the memory of workers cannot be read (not root)")
            yield row("P8", f"private memory of an idle Python plugin, of {n}", private, 5, "MiB",
                      False)
        many = 20 if SMOKE else 1000
        with ours({f"lazy{i}": HERE / "plugins" / "echo" for i in range(many)},
                  MOZAIKS_PLUGINS_MAX="2000") as us:
            time.sleep(1 if SMOKE else 5)
            runtime = us.runtime
            pids = [runtime.director.pid, runtime.pluginhost.pid, *runtime.workers()]
            pss = sum(memory_kib(pid)["pss"] for pid in pids) / 1024
            yield row("P8", f"all of it with {many} plugins discovered", [pss], 200, "MiB", False)

    def p9(self):
        n = 200 if SMOKE else 10000
        with ours({"live": HERE / "plugins" / "live"}, MOZAIKS_BROADCAST_RATE="0",
                  MOZAIKS_WEBSOCKET_MESSAGE_RATE="0") as us:
            director = us.runtime.director.pid
            before = memory_kib(director)["private"]
            if not before:
                raise Unavailable("the memory of the director cannot be read (not root)")
            with crowd(us.runtime.port, n) as told:
                time.sleep(1)
                each = (memory_kib(director)["private"] - before) / n
                yield row("P9", f"memory of an idle WebSocket in the director, of {n}", [each], 16,
                          "KiB", False)
                with Live(us.runtime) as live:
                    times = [live.broadcast(told, n) for _ in range(self.n_pairs)]
                    yield row("P9", f"a broadcast to all {n}, until the last has it", times, 1000,
                              "ms", False)
                    alone = live.sends(self.seconds, None)
                    beside = live.sends(self.seconds, lambda: live.broadcast(told, n))
                    yield row("P9", "a plugin's message to its caller, p99, beside broadcasts",
                              [percentile(beside, 99)], 5, "ms", False,
                              p50_ms=percentile(beside, 50), sends=len(beside),
                              alone_p99_ms=percentile(alone, 99))

    def p10(self):
        path, connections = "/api/execute/echo", 16

        def load(target):
            # As much as a machine with time to spare has to do: else the row measures who gets the
            # processor, and not whether anybody waits for the neighbour.
            return self.load(target, path, connections, self.seconds, pause_ms=10)
        for action, what in (("spin", "spins"), ("flood", "floods the log"),
                             ("leak", "leaks memory"), ("crash", "crash-loops")):
            # Without what would switch it off: it goes on as long as the measurement.
            with ours({"echo": HERE / "plugins" / "echo", "hostile": HERE / "plugins" / "hostile"},
                      MOZAIKS_PLUGIN_TIMEOUT_SECONDS="1", MOZAIKS_BREAKER_BURST="0",
                      MOZAIKS_BREAKER_CRASHES="0", MOZAIKS_BREAKER_FAILED_STARTS="0",
                      MOZAIKS_QUARANTINE_CRASHES="0", MOZAIKS_QUARANTINE_USER_CRASHES="0") as us:
                self.load(us, path, connections, 1, pause_ms=10)
                answers = {}

                def beside():
                    with Hostile(us.runtime, "hostile", action) as hostile:
                        time.sleep(0.2)
                        measured = load(us)
                    for status, n in hostile.answers.items():
                        answers[status] = answers.get(status, 0) + n
                    return measured
                _, attacked, quiet = pairs(beside, lambda: load(us), self.n_pairs)
                memory = {name: memory_kib(pid) for name, pid in us.processes.items()}
            if set(answers) <= {200, 503}:
                raise RuntimeError(f"the neighbour ({action}) did nothing: {answers}")
            yield row("P10", f"p99 while a neighbour {what}, of quiet",
                      [a["p99_us"] / q["p99_us"] for a, q in zip(attacked, quiet)], 2, "ratio",
                      False, ours=middle(attacked), peer=middle(quiet), memory_kib=memory,
                      connections=connections, hostile_answers=answers)

        with ours({"echo": HERE / "plugins" / "echo"}, MOZAIKS_HEADER_TIMEOUT_SECONDS="1",
                  MOZAIKS_BODY_TIMEOUT_SECONDS="1") as us:
            load(us)

            def beside_slow_clients():
                with SlowClients(us.runtime.port, path):
                    time.sleep(0.2)
                    return load(us)
            _, attacked, quiet = pairs(beside_slow_clients, lambda: load(us), self.n_pairs)
            memory = {name: memory_kib(pid) for name, pid in us.processes.items()}
        yield row("P10", "p99 beside slow clients, of quiet",
                  [a["p99_us"] / q["p99_us"] for a, q in zip(attacked, quiet)], 2, "ratio", False,
                  ours=middle(attacked), peer=middle(quiet), memory_kib=memory,
                  connections=connections)

    def p11(self):
        counts = [1, 10] if SMOKE else [1, 10, 100, 1000]
        with contextlib.ExitStack() as stack:
            runtimes = [stack.enter_context(ours(
                {f"p{i}": HERE / "plugins" / "echo" for i in range(n)}, MOZAIKS_PLUGINS_MAX="2000"))
                for n in counts]
            for n, runtime in zip(counts[1:], runtimes[1:]):
                yield self.compare("P11", f"Python plugin among {n}, of one alone", 0.95, runtime,
                                   runtimes[0], "/api/execute/p0", "/api/execute/p0", 64)


@contextlib.contextmanager
def crowd(port, n):
    """Yields a function that waits for the next thing the crowd tells."""
    process = subprocess.Popen([sys.executable, str(HERE / "crowd.py"), str(port), str(n)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def told():
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the crowd of WebSockets has gone")
        return json.loads(line)
    try:
        told()
        yield told
    finally:
        process.stdin.close()
        process.wait(30)


class Live:
    """A plugin that sends, asked over two WebSockets: one for broadcasts, one for messages to itself."""

    def __init__(self, runtime):
        self.sockets = [websocket.Client(runtime.port, "/ws/notifications/_", token=mint(user))
                        for user in ("broadcaster", "sender")]
        for ws in self.sockets:
            ws.receive()
        self.numbers = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for ws in self.sockets:
            ws.socket.close()

    def _ask(self, ws, action):
        k = next(self.numbers)
        ws.send({"type": "execute", "id": k, "plugin": "live", "data": {"action": action, "k": k}})
        return k

    def broadcast(self, told, n):
        """Milliseconds from the question until the last of `n` has it."""
        ws = self.sockets[0]
        began = time.monotonic()
        k = self._ask(ws, "broadcast")
        answer = ws.receive_type("execute_result")
        # The two of ours get it as well.
        if answer["status"] != 200 or answer["data"]["recipients"] != n + 2:
            raise RuntimeError(f"the broadcast: {answer}")
        while True:
            heard = told()
            if heard["k"] == k:
                return (heard["at"] - began) * 1000

    def sends(self, seconds, beside):
        """Milliseconds of messages one after the other, from the question to the message."""
        end = time.monotonic() + seconds

        def work():
            while time.monotonic() < end and beside:
                beside()
                time.sleep(0.2)
        worker = threading.Thread(target=work)
        worker.start()
        times, ws = [], self.sockets[1]
        while time.monotonic() < end:
            began = time.monotonic()
            k = self._ask(ws, "send")
            while ws.receive_type("live")["k"] != k:
                pass
            times.append((time.monotonic() - began) * 1000)
            ws.receive_type("execute_result")
            time.sleep(0.002)
        worker.join(60)
        return times


def percentile(times, n):
    return round(sorted(times)[max(0, round(len(times) * n / 100) - 1)], 2)


def ratios(a, b):
    return [x / y for x, y in zip(a, b)]


def action(name):
    return json.dumps({"action": name}).encode()


def ask_notes(connection, name, n):
    connection.request("POST", "/api/execute/notes", action(name), {
        "Authorization": "Bearer " + mint(f"user-{n}"), "Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{name}: {answer.status} {text}")
    return json.loads(text)


def seed_notes(target):
    """Gives every user of the load the documents that it is to find, and looks whether it finds them:
    what both answer has to be the same."""
    import http.client
    connection = http.client.HTTPConnection(target.url.removeprefix("http://"), timeout=60)
    for n in range(USERS):
        seeded = ask_notes(connection, "seed", n)["seeded"]
        notes = ask_notes(connection, "find", n)["notes"]
        if [note["n"] for note in notes] != list(range(seeded)) or \
                {note["user_id"] for note in notes} != {f"user-{n}"}:
            raise RuntimeError(f"{target.url}: user-{n} finds {len(notes)} notes of {seeded}")
    connection.close()


def plugin_workers(runtime):
    """The processes with a plugin in them: zygotes and middle processes have none."""
    return [pid for pid in runtime.workers() if os.path.isdir(f"/proc/{pid}/root/plugins") and
            os.listdir(f"/proc/{pid}/root/plugins")]


def start_times(runtime, n):
    def ready():
        return [int(r["start_us"]) / 1000 for r in runtime.records
                if r.get("id") == "worker.ready" and r.get("plugin") == "started"]
    for i in range(n):
        before = len(ready())
        (runtime.plugins / "started" / "round.txt").write_text(str(i))
        runtime.ctl("plugin", "refresh")
        wait_for(lambda: len(ready()) > before, "the next version")
    return ready()[1:]


def as_text(rows):
    lines = [f"{'row':<5} {'what':<50} {'conn.':>5} {'value':>9} {'low':>8} {'high':>8} "
             f"{'target':>8}  unit"]
    for r in rows:
        met = r["ratio"] >= r["target"] if r["better"] == "more" else r["ratio"] <= r["target"]
        lines.append(f"{r['id']:<5} {r['what']:<50} {r.get('connections', ''):>5} "
                     f"{r['ratio']:>9} {r['low']:>8} {r['high']:>8} {r['target']:>8}  {r['unit']}"
                     f"{'' if met else '  missed'}")
    for r in rows:
        if "ours" in r:
            lines.append("")
            for who in ("ours", "peer"):
                m = r[who]
                lines.append(f"{r['id']}/{r['connections']} {who}: {m['requests_per_second']:.0f}/s,"
                             f" p50 {m['p50_us']:.0f} us, p99 {m['p99_us']:.0f} us, CPU us/request "
                             + ", ".join(f"{n} {v}" for n, v in m["cpu_us_per_request"].items()))
            lines.append("memory: " + ", ".join(
                f"{n} private {m['private'] / 1024:.1f} MiB, peak {m['peak'] / 1024:.1f} MiB"
                for n, m in r["memory_kib"].items()))
    return "\n".join(lines)


def main():
    names = ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P11"]
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", metavar="FILE", help="writes an SVG")
    parser.add_argument("--pairs", type=int, default=1 if SMOKE else 6)
    parser.add_argument("--seconds", type=int, default=1 if SMOKE else 3)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=" ".join(names))
    arguments = parser.parse_args()
    unknown = [r for r in arguments.rows if r.upper() not in names]
    if unknown:
        parser.error(f"no such row: {' '.join(unknown)} (there are {' '.join(names)})")
    wanted = [r.upper() for r in arguments.rows] or names

    adopt_orphans()
    rows, failed = [], False
    with tempfile.TemporaryDirectory(prefix="mozaiks-bench-") as folder:
        load = Load(folder)
        bench = Bench(load, arguments.pairs, arguments.seconds)
        for name in names:
            if name not in wanted:
                continue
            try:
                for r in getattr(bench, name.lower())():
                    rows.append(r)
                    print(f"{r['id']}: {r['what']}: {r['ratio']} {r['unit']}", file=sys.stderr)
            except Unavailable as reason:
                print(f"not run: {name}: {reason}", file=sys.stderr)
                failed = True
            reap_orphans()
    print(json.dumps({"rows": rows}) if arguments.json else as_text(rows))
    if arguments.plot:
        pathlib.Path(arguments.plot).write_text(plot.svg(rows), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
