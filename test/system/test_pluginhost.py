"""The real pluginhost with a director that is played: snapshots, workers, zygotes, ends."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import cannot_run, needs_root
from pair0 import Director, Frame, work
from runtime import (PATIENCE_SECONDS, PLUGINHOST, TOP, Program, _OURS, command_of, descendants,
                     reap_orphans, run_program, stat_of, wait_for)

NOBODY = 65534
# A sanitizer takes signals for itself, and no limit on addresses can be set under it.
SANITIZED = b"__asan_init" in pathlib.Path(PLUGINHOST).read_bytes()
HELLO = {"logic.py": "async def execute(data):\n    return {'hello': data.get('name')}\n"}
CRASH = {"logic.py": r"""
import os

KEPT = []


async def execute(data):
    way = data["way"]
    if way == "exit":
        os._exit(9)
    if way == "abort":
        os.abort()
    if way == "memory":
        while True:
            KEPT.append(bytearray(4 << 20))
    if way == "mount":
        import ctypes
        ctypes.CDLL(None).syscall(165, b"x", b"/", b"tmpfs", 0, 0)
    if way == "print":
        os.write(1, data["text"].encode() + b"\n")
        os.write(2, b"to stderr\n")
    if way == "flood":
        for _ in range(data["lines"]):
            os.write(1, b"y" * 100 + b"\n")
    return "still here"
"""}


def namespaces_of(pid):
    """How many PID namespaces know this process; 0: it is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return len(status.split("NSpid:")[1].split("\n")[0].split())


def forbid_user_namespaces():
    """In a new process: an ordinary user of a user namespace in which no other can be made."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(0x10000000) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    for name, text in (("setgroups", "deny"), ("uid_map", f"1000 {uid} 1"),
                       ("gid_map", f"1000 {gid} 1")):
        pathlib.Path("/proc/self", name).write_text(text)
    pathlib.Path("/proc/sys/user/max_user_namespaces").write_text("0")


NATIVE = r"""
#include <mozaiks/plugin.h>
#include <stdlib.h>
#include <string.h>

static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text data = mozaiks_data(call);
	if (memmem(data.p, data.n, "abort", 5) != NULL) {
		abort();
	}
	return mozaiks_answer(call, MOZAIKS_TEXT("{\"hello\":\"native\"}"));
}

static const struct mozaiks_plugin plugin = {
	MOZAIKS_PLUGIN_HEAD,
	.name = "native",
	.execute = execute,
};

const struct mozaiks_plugin *mozaiks_plugin(void)
{
	return &plugin;
}
"""


@pytest.fixture(scope="module")
def native():
    """A native plugin: the path of its logic.so."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "plugin.c")
        source.write_text(NATIVE)
        subprocess.run(["gcc", "-D_GNU_SOURCE", "-Wall", "-Werror", "-shared", "-fPIC", "-I",
                        str(TOP / "pluginhost" / "include"), "-o", f"{folder}/logic.so",
                        str(source)], check=True)
        yield pathlib.Path(folder, "logic.so")


class UserProgram(Program):
    """A program of another user than ours."""

    def __init__(self, path, env, **more):
        self.name = pathlib.Path(path).name
        self.lines = []
        self.process = subprocess.Popen([str(path)], env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True, **more)
        self.pid = self.process.pid
        _OURS.add(self.pid)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()


class Host:
    """A pluginhost with directories of its own and a played director."""

    def __init__(self, plugins=None, who="me", env=None, name="default"):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="mozaiks-test-host-"))
        self.base.chmod(0o755)
        self.state, self.run = self.base / "state", self.base / "run"
        self.plugins = self.base / "plugins"
        self.plugins.mkdir()
        self.who, self.name = who, name
        self.program = self.director = None
        self.env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "ENV": "development",
                    "MOZAIKS_STATE_PATH": str(self.state), "MOZAIKS_RUN_PATH": str(self.run),
                    "MOZAIKS_PLUGINS_PATH": str(self.plugins), **(env or {})}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        if who == "nobody":
            self.state.mkdir()
            os.chown(self.state, NOBODY, NOBODY)
        for name, files in (plugins or {}).items():
            self.put(name, files)

    def put(self, name, files):
        """Installs or replaces a plugin, file by file, as an editor would."""
        for path, text in files.items():
            file = self.plugins / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def start_program(self):
        more = {"me": {}, "nobody": {"user": NOBODY, "group": NOBODY, "extra_groups": []},
                "boxed": {"preexec_fn": forbid_user_namespaces}}
        self.program = UserProgram(PLUGINHOST, self.env, **more[self.who])

    def listen(self):
        owner = (NOBODY, NOBODY) if self.who == "nobody" else None
        self.director = Director(self.run, self.name, owner)

    def start(self):
        self.listen()
        self.start_program()
        self.director.accept()
        self.director.wait(lambda: self.director.plugins is not None, what="PLUGINS")
        return self.director

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            print(self.program.text if self.program else "")
            self.close()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and self.program:
            print(self.program.text)
        self.close()

    def stop(self, number=signal.SIGTERM):
        program, self.program = self.program, None
        program.signal(number)
        try:
            return program.wait()
        except subprocess.TimeoutExpired:
            program.kill()
            return "killed"

    def close(self):
        if self.program:
            self.stop()
        if self.director:
            self.director.close()
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reap_orphans()
        shutil.rmtree(self.base, ignore_errors=True)

    def left(self, seconds=PATIENCE_SECONDS):
        """Pids of ours that should be gone and are not after a while."""
        def found():
            reap_orphans()
            return [pid for pid in descendants(os.getpid()) if "mozaiks" in command_of(pid)]
        deadline = time.monotonic() + seconds
        while found() and time.monotonic() < deadline:
            time.sleep(0.02)
        return found()

    def zygotes(self):
        return [pid for pid in descendants(self.program.pid)
                if stat_of(pid) and stat_of(pid)[1] == self.program.pid]

    def workers(self, n):
        """Pids of the living processes that were given a plugin, as soon as the log knows `n`."""
        def found():
            pids = [int(r["pid"]) for r in self.records(id="worker.started")]
            return [pid for pid in pids if stat_of(pid)]
        wait_for(lambda: len(found()) == n, f"{n} workers")
        return found()

    def spares(self, workers):
        """Pids of those that wait for one, beside so many workers."""
        # Before that canaries run.
        wait_for(lambda: self.records(id="zygote.ready"), "the zygote")
        zygotes = self.zygotes()
        # One that is on its way to a namespace of its own is not yet the one who waits.
        depth = max(map(namespaces_of, zygotes))
        others = zygotes + self.workers(workers)
        return [pid for pid in descendants(self.program.pid)
                if pid not in others and namespaces_of(pid) > depth]

    def records(self, **fields):
        return [r for r in self.program.records
                if all(r.get(name) == value for name, value in fields.items())]


def users():
    return ["me", "nobody"] if os.geteuid() == 0 else ["me"]


@pytest.fixture(params=users())
def host(request):
    """As root, which is given up, and as an ordinary user."""
    with Host({"hello": HELLO, "crash": CRASH}, who=request.param) as h:
        yield h


def test_from_start_to_result(host):
    director = host.director
    assert director.host["name"] == "default"
    assert director.host["sandbox"]["tier"] in (1, 2)
    assert director.host["failure"] is None and len(director.host["epoch"]) == 16
    entry = director.plugins["hello"]
    assert entry["state"] == "ready" and entry["kind"] == "mozaiks" and entry["error"] is None
    assert entry["manifest"]["display_name"] == "Hello"
    worker = director.start(1, "hello")
    report = worker.hello()
    assert report
    ok, info = worker.configure("hello")
    assert ok and info["entry"] == "execute"
    assert worker.execute({"name": "you"}) == (0, {"hello": "you"})
    assert worker.execute({"name": "äö"}) == (0, {"hello": "äö"})
    director.kill(worker)
    exited = director.wait_exited(worker)
    assert exited["reason"] == "killed" and exited["message"] == "was stopped"
    assert worker.channel.is_closed()


def test_many_workers_at_once(host):
    director = host.director
    workers = [director.start(n, "hello") for n in range(1, 9)]
    for worker in workers:
        worker.hello()
    for worker in workers:
        assert worker.configure("hello")[0]
    for worker in workers:
        assert worker.execute({"name": worker.id})[1] == {"hello": worker.id}
        director.kill(worker)
    for worker in workers:
        assert director.wait_exited(worker)["reason"] == "killed"


def denials_are_logged():
    """Root can read in the kernel's log which system call was denied, unless an audit daemon can, or
    unless the log's process ids are not ours: in a container."""
    first_pid_namespace = "pid:[4026531836]"
    with contextlib.suppress(OSError):
        if os.readlink("/proc/self/ns/pid") != first_pid_namespace:
            return False
        actions = pathlib.Path("/proc/sys/kernel/seccomp/actions_logged").read_text()
        return (os.geteuid() == 0 and "kill_process" in actions.split()
                and os.access("/dev/kmsg", os.R_OK)
                and not pathlib.Path("/run/auditd.pid").exists())
    return False


@pytest.mark.parametrize("way,reason,part", [
    ("exit", "exit", "exited with status 9"),
    # The first process of a PID namespace has no default action for SIGABRT; abort() goes on to trap.
    ("abort", "signal", "died of signal "),
    ("mount", "signal", "not allowed (SIGSYS)"),
])
def test_ends_are_explained(host, way, reason, part):
    director = host.director
    worker = director.run_worker(1, "crash")
    worker.channel.send(Frame("EXECUTE", work({"way": way}), 1))
    exited = director.wait_exited(worker)
    if not (SANITIZED and way == "abort"):
        assert exited["reason"] == reason, exited
        assert part in exited["message"], exited
    if way == "mount" and host.who == "me" and denials_are_logged():
        assert exited["syscall"] == "mount" and "system call mount," in exited["message"], exited
    # Others are not touched, and it can be started again.
    again = director.run_worker(2, "crash")
    assert again.execute({"way": "none"}) == (0, "still here")


def test_killed_from_outside(host):
    worker = host.director.run_worker(1, "hello")
    pids = host.workers(1)
    os.kill(pids.pop(), signal.SIGKILL)
    exited = host.director.wait_exited(worker)
    assert (exited["reason"], exited["signal"]) == ("signal", 9), exited
    assert exited["message"] == "died of signal 9 (SIGKILL)"


def test_a_process_waits_for_the_next_plugin(host):
    """It becomes that plugin's worker, and another one takes its place."""
    director = host.director
    spares = wait_for(lambda: host.spares(0), "a spare")
    director.run_worker(1, "hello")
    assert host.workers(1) == spares
    wait_for(lambda: len(host.spares(1)) == 1, "the next spare")
    director.run_worker(2, "hello")
    assert len(host.workers(2)) == 2


def test_a_spare_is_killed(host):
    """Nobody but the log hears of it; it is replaced, later and later; plugins start meanwhile."""
    director = host.director
    for n in (1, 2, 3):
        spares = wait_for(lambda: host.spares(0), "a spare")
        os.kill(spares[0], signal.SIGKILL)
        wait_for(lambda: len(host.records(id="zygote.spare_ended")) == n, "its end in the log")
    worker = director.run_worker(1, "hello")
    assert worker.execute({"name": 1}) == (0, {"hello": 1})
    assert not director.exited
    wait_for(lambda: host.spares(1), "a spare")


def test_no_spares():
    with Host({"hello": HELLO}, env={"MOZAIKS_SPARE_WORKERS": "0"}) as host:
        worker = host.director.run_worker(1, "hello")
        assert worker.execute({"name": 1}) == (0, {"hello": 1})
        time.sleep(0.3)
        assert not host.spares(1)


@pytest.mark.parametrize("names", [("east", "west"), ("east", "east")], ids=["two", "one"])
def test_two_pluginhosts_share_no_uid(names):
    """Neither of two names nor of one: two checkouts may run on one machine."""
    needs_root("only root has uids to give")

    def uid(host):
        host.director.run_worker(1, "hello")
        status = pathlib.Path(f"/proc/{host.workers(1)[0]}/status").read_text()
        return int(status.split("Uid:")[1].split()[0])
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(Host({"hello": HELLO}, name=name,
                                          env={"MOZAIKS_PLUGINHOST_NAME": name}))
                 for name in names]
        blocks = [(uid(host) - 401000) // 1000 for host in hosts]
        assert blocks[0] != blocks[1] and all(0 <= block < 64 for block in blocks)
        # Or the one that is closed first would wait for the other's processes.
        for host in hosts:
            host.stop()


def test_nothing_accumulates(host):
    """Starts and ends of workers leave no descriptor, process or memory behind."""
    director, program = host.director, host.program

    def state():
        status = pathlib.Path(f"/proc/{program.pid}/status").read_text()
        rss = int(status.split("VmRSS:")[1].split()[0])
        return len(os.listdir(f"/proc/{program.pid}/fd")), len(descendants(program.pid)), rss

    def rounds(first, n):
        for worker_id in range(first, first + n):
            worker = director.start(worker_id, "hello")
            worker.hello()
            director.kill(worker)
            director.wait_exited(worker)
            worker.close()

    def settled():
        """The state once nothing but a spare is there, and stays the same for a while."""
        wait_for(lambda: len(host.spares(0)) == 1 and len(descendants(program.pid)) == 2, "a spare")
        seen = [state() for _ in range(10) if time.sleep(0.02) is None]
        return seen[0] if len({s[:2] for s in seen}) == 1 else None
    rounds(1, 5)
    before = wait_for(settled, "a steady state")
    rounds(100, 40)
    after = wait_for(settled, "the end of what they held")
    assert after[0] <= before[0] and after[1] <= before[1]
    assert SANITIZED or after[2] < before[2] + 1024


def test_a_zygote_that_cannot_load(host):
    """The packages are not there: the reason is told, no plugin starts, nothing spins."""
    host.stop()
    empty = host.base / "empty"
    empty.mkdir()
    host.env["MOZAIKS_PYTHON_PATH"] = str(empty)
    host.director.hang_up()
    host.start_program()
    director = host.director
    director.accept()
    director.wait(lambda: director.plugins is not None)
    assert director.plugins["hello"]["state"] == "ready"
    ended = wait_for(lambda: host.records(id="zygote.ended"), "the end of the zygote")
    assert "status" in ended[0]["message"]
    exited = director.wait_exited(director.start(1, "hello"))
    assert exited["reason"] in ("start", "zygote"), exited
    time.sleep(1)
    assert len(host.records(id="zygote.ended")) <= 6
    assert not host.records(id="pluginhost.ready")


def test_memory_is_limited(host):
    director = host.director
    if SANITIZED and director.host["sandbox"]["cgroup"] == "none":
        return
    worker = director.run_worker(1, "crash", limits={"memory": 100 << 20})
    worker.channel.send(Frame("EXECUTE", work({"way": "memory"}), 1))
    if director.host["sandbox"]["cgroup"] == "none":
        frame = worker.channel.expect("RESULT")
        assert frame.payload[0] == 1 and b"MemoryError" in frame.payload
        return
    exited = director.wait_exited(worker)
    assert exited["reason"] == "oom", exited
    assert "100 MiB" in exited["message"] and "MOZAIKS_SANDBOX_MEMORY" in exited["message"]
    assert exited["usage"]["memory_peak"] <= 110 << 20


def test_memory_of_all_workers_is_limited():
    """The one who is ended is not told that it was its own limit."""
    share = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 100
    if share > 900 << 20:
        cannot_run("kernel: 1 % of this machine's memory is more than a worker may have")
    with Host({"crash": CRASH}, name="all",
              env={"MOZAIKS_PLUGINHOST_NAME": "all",
                   "MOZAIKS_SANDBOX_ALL_MEMORY_PERCENT": "1"}) as host:
        director = host.director
        if director.host["sandbox"]["cgroup"] == "none":
            cannot_run("kernel: no memory cgroup that may be written")
        worker = director.run_worker(1, "crash", limits={"memory": 1 << 30})
        worker.channel.send(Frame("EXECUTE", work({"way": "memory"}), 1))
        exited = director.wait_exited(worker)
        assert exited["reason"] == "oom", exited
        assert "MOZAIKS_SANDBOX_ALL_MEMORY_PERCENT" in exited["message"], exited
        assert exited["usage"]["memory_peak"] <= share + (4 << 20)


THREADS = {"logic.py": """
import threading

async def execute(data):
    done, threads = threading.Event(), []
    try:
        for n in range(200):
            threads.append(threading.Thread(target=done.wait))
            threads[-1].start()
    except RuntimeError:
        threads.pop()
    done.set()
    for thread in threads:
        thread.join()
    return len(threads)
"""}


def test_threads_are_limited():
    """By a worker's usual number, or by what its manifest asks for."""
    with Host({"threads": THREADS}) as host:
        director = host.director
        worker = director.run_worker(1, "threads")
        few = worker.execute({})[1]
        director.kill(worker)
        worker = director.run_worker(2, "threads", limits={"pids": 50})
        more = worker.execute({})[1]
        if os.geteuid() == 0:
            assert 16 <= few < 32 <= more < 50
        elif director.host["sandbox"]["cgroup"] != "none":
            assert few < 64 and more < 50


BUSY = {"logic.py": """
import time

async def execute(data):
    started, used = time.monotonic(), time.process_time()
    while time.monotonic() < started + 1:
        pass
    return (time.process_time() - used) / (time.monotonic() - started)
"""}


def test_the_processor_is_limited():
    with Host({"busy": BUSY}) as host:
        director = host.director
        sandbox = director.host["sandbox"]
        if sandbox["cgroup"] == "none" or "the cpu controller" in sandbox["missing"]:
            needs_root("an ordinary user's workers are in no cgroup that limits the processor")
            cannot_run("kernel: no cgroup limits the processor here")
        worker = director.run_worker(1, "busy", limits={"cpu": 20})
        status, share = worker.execute({})
        assert status == 0 and share < 0.5


DISK = {"logic.py": """
async def execute(data):
    written = 0
    try:
        for n in range(100):
            with open(f"/tmp/{n}", "wb", buffering=0) as f:
                f.seek(data["at"])
                written += f.write(bytes(256 << 10))
    except OSError as error:
        return [written, error.strerror]
"""}


def test_the_disk_of_a_worker_is_limited():
    with Host({"disk": DISK}, env={"MOZAIKS_SANDBOX_TMP": "1M"}) as host:
        worker = host.director.run_worker(1, "disk")
        assert worker.execute({"at": 1 << 20}) == (0, [0, "File too large"])
        assert worker.execute({"at": 0}) == (0, [1 << 20, "No space left on device"])


def test_limits_of_a_running_worker(host):
    director = host.director
    worker = director.run_worker(1, "crash")
    director.control.send(Frame("LIMITS", b'{"memory":67108864}', 1))
    director.control.send(Frame("LIMITS", b'{"memory":67108864}', 99))
    if director.host["sandbox"]["cgroup"] == "none":
        assert worker.execute({"way": "none"}) == (0, "still here")
        return
    worker.channel.send(Frame("EXECUTE", work({"way": "memory"}), 1))
    exited = director.wait_exited(worker)
    assert exited["reason"] == "oom" and "64 MiB" in exited["message"], exited


def test_start_that_cannot_be(host):
    director = host.director
    version = director.plugins["hello"]["version"]
    inside = host.run / "workers" / "7" / "channel.sock"
    cases = {
        1: ("nothing", version, inside, "no such version"),
        2: ("hello", "0" * 64, inside, "no such version"),
        3: ("../hello", version, inside, "plugin: is no plugin id"),
        4: ("hello", "..", inside, "version: is no version"),
        5: ("hello", version, inside, "channel cannot be connected: No such file"),
        6: ("hello", version, "/tmp/x/workers/7/channel.sock", "not in our run directory"),
        7: ("hello", version, host.run / "control" / "default.sock", "not in our run directory"),
    }
    for worker_id, (plugin, v, path, _) in cases.items():
        director.send_start(worker_id, plugin, v, None, path)
    director.control.send(Frame("START", b"{,", 8))
    director.control.send(Frame("START", b"[]", 9))
    for worker_id, (_, _, _, message) in cases.items():
        exited = director.wait_exited(worker_id)
        assert exited["reason"] == "start" and message in exited["message"], exited
    for worker_id in (8, 9):
        assert director.wait_exited(worker_id)["reason"] == "start"
    # A worker that lives is not started twice, and nothing of it is reported.
    worker = director.run_worker(20, "hello")
    director.send_start(20, "hello", version, None, inside)
    assert worker.execute({"name": "a"}) == (0, {"hello": "a"})
    director.kill(worker)
    assert director.wait_exited(worker)["reason"] == "killed"
    # Unknown ids are nobody's.
    director.control.send(Frame("KILL", call_id=12345))
    assert director.run_worker(21, "hello").execute({"name": "b"}) == (0, {"hello": "b"})


def test_native(host, native):
    director = host.director
    (host.plugins / "native").mkdir()
    shutil.copy(native, host.plugins / "native" / "logic.so")
    entry = director.wait_plugin("native", lambda p: p)
    assert (entry["kind"], entry["state"], entry["entry"]) == ("native", "ready", "logic.so")
    worker = director.start(1, "native")
    worker.hello()
    assert worker.native == 1
    assert worker.configure("native", kind="native")[0]
    assert worker.execute({}) == (0, {"hello": "native"})
    # Beside Python ones, and with an end of its own.
    other = director.run_worker(2, "hello")
    worker.channel.send(Frame("EXECUTE", work({"do": "abort"}), 9))
    exited = director.wait_exited(worker)
    assert SANITIZED or exited["reason"] == "signal", exited
    assert other.execute({"name": 1}) == (0, {"hello": 1})
    # Both in one directory: the manifest decides.
    host.put("native", HELLO)
    assert director.wait_plugin("native", lambda p: p["kind"] == "mozaiks")["entry"] == "logic.py"
    host.put("native", {"manifest.json": '{"runtime": "native"}'})
    assert director.wait_plugin("native", lambda p: p["kind"] == "native")["entry"] == "logic.so"


def test_plugins_come_change_and_go(host):
    director = host.director
    host.put("late", {"logic.py": "VERSION = 1\n\n\ndef execute(data):\n    return VERSION\n"})
    first = director.wait_plugin("late", lambda p: p and p["state"] == "ready")["version"]
    old = director.run_worker(1, "late")
    assert old.execute({}) == (0, 1)

    host.put("late", {"logic.py": "VERSION = 2\n\n\ndef execute(data):\n    return VERSION\n"})
    second = director.wait_plugin("late", lambda p: p["version"] != first)["version"]
    new = director.run_worker(2, "late")
    assert new.execute({}) == (0, 2)
    # The old one still runs, and can even be started again.
    assert old.execute({}) == (0, 1)
    again = director.run_worker(3, "late", version=first)
    assert again.execute({}) == (0, 1)

    # Broken: the error is told, the version before stays what can be started.
    host.put("late", {"manifest.json": "{\"workers\": 0}"})
    entry = director.wait_plugin("late", lambda p: p["state"] == "broken")
    assert entry["error"] == "manifest.json: workers: must be an integer from 1 to 64"
    assert entry["version"] == second
    (host.plugins / "late" / "manifest.json").unlink()
    director.wait_plugin("late", lambda p: p["state"] == "ready")

    # Versions that nobody runs any more are removed, those in use are not.
    store = host.state / "plugins" / "late"
    for worker in (old, again):
        assert (store / first).is_dir()
        director.kill(worker)
        director.wait_exited(worker)
    wait_for(lambda: not (store / first).exists(), "the end of the old snapshot")
    assert (store / second).is_dir()

    shutil.rmtree(host.plugins / "late")
    director.wait_plugin("late", lambda p: p is None)
    # Its worker goes on until the director has it killed.
    assert new.execute({}) == (0, 2)
    director.kill(new)
    director.wait_exited(new)
    wait_for(lambda: not store.exists(), "the end of the last snapshot")


def test_broken_plugins_keep_nobody_from_starting(host):
    host.put("linked", {"logic.py": ""})
    (host.plugins / "linked" / "link").symlink_to("/etc/passwd")
    host.put("manifest", {"logic.py": "", "manifest.json": "{"})
    host.put("wrong kind", HELLO)
    director = host.director
    entry = director.wait_plugin("linked", lambda p: p)
    assert entry["state"] == "broken" and "symbolic link" in entry["error"]
    entry = director.wait_plugin("manifest", lambda p: p)
    assert entry["state"] == "broken" and "manifest.json: line 1" in entry["error"]
    assert "wrong kind" not in director.plugins
    assert director.run_worker(1, "hello").execute({"name": 1}) == (0, {"hello": 1})


def test_zygote_killed(host):
    director = host.director
    workers = [director.run_worker(n, "hello") for n in (1, 2)]
    before = host.zygotes()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    for worker in workers:
        exited = director.wait_exited(worker)
        assert exited["reason"] == "zygote" and "the zygote ended" in exited["message"], exited
        assert worker.channel.is_closed()

    def start():
        start.id += 1
        worker = director.start(start.id, "hello")
        ended = None
        with contextlib.suppress(socket.timeout):
            worker.hello(1)
            return worker
        with contextlib.suppress(AssertionError):
            ended = director.wait_exited(worker, 1)
        assert ended is None or ended["reason"] in ("start", "zygote"), ended
        return None
    start.id = 10
    worker = wait_for(start, "a worker of the new zygote")
    assert worker.configure("hello")[0]
    assert worker.execute({"name": 3}) == (0, {"hello": 3})
    assert not set(before) & set(host.zygotes())


def test_director_gone_and_back(host):
    director = host.director
    worker = director.run_worker(1, "hello")
    pids = host.workers(1)
    epoch = director.host["epoch"]
    director.hang_up()
    director.accept()
    assert director.host["epoch"] == epoch
    director.wait(lambda: director.plugins is not None)
    assert director.plugins["hello"]["state"] == "ready"
    # Its workers are gone, unreported; the same numbers begin anew.
    wait_for(lambda: not [pid for pid in pids if stat_of(pid)], "the end of the workers")
    assert not director.exited
    del worker
    again = director.run_worker(1, "hello")
    assert again.execute({"name": "again"}) == (0, {"hello": "again"})


def test_director_comes_later(host):
    host.director.close()
    time.sleep(0.5)
    assert host.program.process.poll() is None
    host.listen()
    host.director.accept()
    host.director.wait(lambda: host.director.plugins is not None)
    assert "hello" in host.director.plugins


@pytest.mark.parametrize("message", [
    b"short", b"\xff\xff\xff\xff" + bytes(12), bytes(16), Frame("EXITED", b"{}").encode(),
    Frame("PING").encode(), Frame("KILL", b"x").encode(), Frame("KILL", flags=1).encode(),
    Frame("START", b"x").encode(), Frame("KILL").encode() + b"rest",
], ids=["short", "size", "type", "direction", "worker", "payload", "flags", "empty", "rest"])
def test_a_bad_message_ends_the_connection(host, message):
    director = host.director
    director.control.send_bytes(message)
    assert director.control.is_closed()
    director.hang_up()
    director.accept()
    director.wait(lambda: director.plugins is not None)
    assert director.run_worker(1, "hello").execute({"name": 1}) == (0, {"hello": 1})


def test_not_pair0(host):
    director = host.director
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x00SP\x00\x00\x11\x00\x00",
                 b"\x00SP\x00\x00\x10\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff"):
        director.hang_up()
        director.listener.socket.settimeout(PATIENCE_SECONDS)
        connection, _ = director.listener.socket.accept()
        connection.sendall(data)
        connection.settimeout(PATIENCE_SECONDS)
        with contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass
        connection.close()
    director.accept()
    director.wait(lambda: director.plugins is not None)


def test_output_is_logged(host):
    director = host.director
    worker = director.run_worker(1, "crash")
    text = 'a line\x1b[31m\r\n{"id":"forged","level":"error"}'
    assert worker.execute({"way": "print", "text": text})[0] == 0
    lines = wait_for(lambda: host.records(id="plugin.output", plugin="crash", stream="stdout"),
                     "the output")
    assert [r["line"] for r in lines] == ["a line\x1b[31m", '{"id":"forged","level":"error"}']
    assert not host.records(id="forged")
    assert wait_for(lambda: host.records(stream="stderr", line="to stderr"), "stderr")


def test_a_flood_costs_little(host):
    director = host.director
    worker = director.run_worker(1, "crash")
    other = director.run_worker(2, "hello")
    before = len(host.program.text)
    worker.channel.send(Frame("EXECUTE", work(
        {"way": "flood", "lines": 60000}), 1))
    for _ in range(20):
        assert other.execute({"name": 1}) == (0, {"hello": 1})
    frame = worker.channel.expect("RESULT")
    assert frame.payload[0] == 0
    assert len(host.program.text) - before < 3_000_000
    wait_for(lambda: host.records(id="plugin.output_dropped", plugin="crash"), "the count")


def test_refresh_when_asked():
    with Host({"hello": HELLO}, env={"ENV": "production"}) as host:
        director = host.director
        version = director.plugins["hello"]["version"]
        for ask in (director.discover, lambda: host.program.signal(signal.SIGHUP)):
            host.put("hello", {"logic.py": HELLO["logic.py"] + f"# {ask}\n"})
            with pytest.raises(AssertionError):
                director.wait_plugin("hello", lambda p: p["version"] != version, 1)
            ask()
            version = director.wait_plugin("hello", lambda p: p["version"] != version)["version"]
        # The director hears the list whenever it asked, changed or not.
        lists = director.lists
        director.discover()
        director.wait(lambda: director.lists > lists, what="the list")
    with Host({"hello": HELLO}, env={"ENV": "production",
                                     "MOZAIKS_PLUGIN_REFRESH_SECONDS": "1"}) as host:
        version = host.director.plugins["hello"]["version"]
        host.put("hello", {"logic.py": "# changed\n"})
        host.director.wait_plugin("hello", lambda p: p["version"] != version)


def worker_cgroups(pids):
    """The directories of the processes' own cgroups."""
    found = set()
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            folder = controllers.split(",")[0] or "unified"
            for root in ("/sys/fs/cgroup", f"/sys/fs/cgroup/{folder}"):
                if "mozaiks-" in path and os.path.isdir(root + path):
                    found.add(root + path)
    return found


@pytest.mark.parametrize("who", users())
def test_stop_leaves_nothing(who):
    # A name of its own: other pluginhosts of this machine do not take its cgroups over.
    name = f"test-{os.getpid()}"
    host = Host({"hello": HELLO}, who=who, env={"MOZAIKS_PLUGINHOST_NAME": name}, name=name)
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    with host:
        director = host.director
        for n in (1, 2, 3):
            director.run_worker(n, "hello")
        pids = descendants(host.program.pid)
        assert len(pids) >= 4
        assert len(host.workers(3)) == 3
        # Spares have theirs, too.
        cgroups = worker_cgroups(set(pids) - set(host.zygotes()))
        assert bool(cgroups) == (director.host["sandbox"]["cgroup"] != "none")
        assert host.stop() == 0
        wait_for(lambda: not [p for p in pids if stat_of(p) and stat_of(p)[0] not in "ZX"],
                 "the end of all processes")
        assert not host.left()
        assert pathlib.Path("/proc/self/mountinfo").read_text() == mounts
        assert not [p for p in host.state.rglob("*") if p.is_socket()]
        assert not list((host.state / "plugins").glob(".tmp-*"))
        assert not [c for c in cgroups if os.path.exists(c)]
    # What is left is the empty subtree, for a next start.
    for folder in {os.path.dirname(c) for c in cgroups}:
        os.rmdir(folder)


def test_stop_twice_is_at_once(host):
    host.director.run_worker(1, "hello")
    pids = descendants(host.program.pid)
    program = host.program
    os.kill(program.pid, signal.SIGSTOP)
    program.signal(signal.SIGTERM)
    program.signal(signal.SIGINT)
    os.kill(program.pid, signal.SIGCONT)
    assert program.wait() in (0, 2)
    host.program = None
    wait_for(lambda: not [p for p in pids if stat_of(p) and stat_of(p)[0] not in "ZX"],
             "the end of all processes")


def test_killed_pluginhost_leaves_no_worker(host):
    worker = host.director.run_worker(1, "hello")
    pids = descendants(host.program.pid)
    host.program.kill()
    wait_for(lambda: not [p for p in pids if stat_of(p) and stat_of(p)[0] not in "ZX"],
             "the end of all processes")
    assert worker.channel.is_closed()
    # The next one takes over at once, with the snapshots that are there.
    version = host.director.plugins["hello"]["version"]
    host.director.hang_up()
    host.start_program()
    host.director.accept()
    host.director.wait(lambda: host.director.plugins is not None)
    assert host.director.plugins["hello"]["version"] == version
    assert host.director.run_worker(1, "hello").execute({"name": 1}) == (0, {"hello": 1})


def test_one_per_state(host):
    first = host.program
    host.start_program()
    second, host.program = host.program, first
    assert second.wait() == 1
    assert "MOZAIKS_STATE_PATH" in second.text
    assert f"another pluginhost (pid {first.pid})" in second.text


BAD = [
    ("MOZAIKS_PLUGINS_PATH", "/nowhere/at/all"), ("MOZAIKS_PLUGINS_PATH", "/etc/passwd"),
    ("MOZAIKS_STATE_PATH", "/dev/null"), ("MOZAIKS_PLUGINHOST_NAME", "a/b"),
    ("MOZAIKS_PLUGINHOST_NAME", "x" * 33), ("MOZAIKS_LOG_LEVEL", "loud"), ("ENV", "staging"),
    ("MOZAIKS_AUTO_REFRESH_PLUGINS", "maybe"), ("MOZAIKS_SANDBOX_MEMORY", "1"),
    ("MOZAIKS_SANDBOX_MEMORY", "2G"), ("MOZAIKS_SANDBOX_PIDS", "1"),
    ("MOZAIKS_SANDBOX_CPU", "0"), ("MOZAIKS_SANDBOX_REQUIRE_CGROUP", "2"),
    ("MOZAIKS_SNAPSHOT_FILES", "0"), ("MOZAIKS_SNAPSHOT_BYTES", "x"),
    ("MOZAIKS_SNAPSHOT_DEPTH", "65"), ("MOZAIKS_WORKERS_MAX", "-1"),
    ("MOZAIKS_PYTHON_PATH", "/nowhere"), ("MOZAIKS_PLUGIN_LOG_LINE", "9K"),
]


@pytest.mark.parametrize("name,value", BAD)
def test_bad_settings_stop_the_start(name, value):
    host = Host({"hello": HELLO})
    try:
        status, text = run_program(PLUGINHOST, {**host.env, name: value})
        assert status == 1 and name in text, (status, text)
        assert '"level":"error"' in text
    finally:
        host.close()


def test_limits_of_snapshots_are_settings():
    with Host({"hello": HELLO}, env={"MOZAIKS_SNAPSHOT_FILES": "3",
                                     "MOZAIKS_SNAPSHOT_BYTES": "1K"}) as host:
        host.put("many", {f"{n}.py": "" for n in range(5)} | {"logic.py": ""})
        host.put("big", {"logic.py": "#" * 2000})
        director = host.director
        entry = director.wait_plugin("many", lambda p: p)
        assert entry["error"] == "more than 3 files and directories (MOZAIKS_SNAPSHOT_FILES)"
        entry = director.wait_plugin("big", lambda p: p)
        assert entry["error"] == "more than 1024 bytes (MOZAIKS_SNAPSHOT_BYTES)"


def test_several_paths_and_single_files():
    with tempfile.TemporaryDirectory() as other:
        os.chmod(other, 0o755)
        pathlib.Path(other, "solo.py").write_text("def run(data):\n    return 'solo'\n")
        pathlib.Path(other, "hello.py").write_text("def run(data):\n    return 'second'\n")
        pathlib.Path(other, "tools", "inner").mkdir(parents=True)
        pathlib.Path(other, "tools", "inner", "logic.py").write_text(
            "def execute(data):\n    return 'inner'\n")
        host = Host({"hello": HELLO})
        host.env["MOZAIKS_PLUGINS_PATH"] += f":{other}:"
        with host:
            director = host.director
            assert set(director.plugins) == {"hello", "solo", "inner"}
            assert director.run_worker(1, "solo").execute({}) == (0, "solo")
            assert director.run_worker(2, "inner").execute({}) == (0, "inner")
            assert director.run_worker(3, "hello").execute({"name": 1}) == (0, {"hello": 1})
            assert [r for r in host.records(id="discover.left_out")
                    if "hello.py" in r["message"] and "taken" in r["message"]]


def test_a_private_home():
    """Root's plugins may lie where the user after root could not go by path."""
    needs_root("only root gives root up")
    host = Host({"hello": HELLO})
    private = host.base / "home"
    private.mkdir(mode=0o700)
    shutil.move(host.plugins, private / "plugins")
    host.plugins = private / "plugins"
    host.env["MOZAIKS_PLUGINS_PATH"] = str(host.plugins)
    with host:
        assert host.director.run_worker(1, "hello").execute({"name": 1}) == (0, {"hello": 1})
        secret = {"logic.py": "x"}
        host.put("closed", secret)
        os.chmod(host.plugins / "closed" / "logic.py", 0o600)
        entry = host.director.wait_plugin("closed", lambda p: p and p["state"] == "broken")
        assert '"logic.py": cannot be read by pluginhost (uid 400001)' in entry["error"]
        # A change of its mode is a change.
        os.chmod(host.plugins / "closed" / "logic.py", 0o644)
        host.director.wait_plugin("closed", lambda p: p["state"] == "ready")


def test_root_is_given_up(host):
    text = pathlib.Path(f"/proc/{host.program.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    uid = {"me": "400001" if os.geteuid() == 0 else str(os.geteuid()), "nobody": str(NOBODY)}
    assert set(fields["Uid"].split()) == {uid[host.who]}
    assert "0" not in fields["Gid"].split() + fields["Groups"].split()
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(fields[name], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Threads"] == "1"


def test_systemd_is_told():
    host = Host({"hello": HELLO})
    path = host.base / "notify.sock"
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(path))
    os.chmod(path, 0o666)
    notify.settimeout(PATIENCE_SECONDS)
    host.env |= {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "300000"}
    said = []

    def hear(word):
        while not any(word in s for s in said):
            said.append(notify.recv(4096).decode())
    with host:
        hear("READY=1")
        said.clear()
        hear("WATCHDOG=1")
        said.clear()
        hear("WATCHDOG=1")
        assert host.stop() == 0
        hear("STOPPING=1")
    notify.close()


def test_without_a_sandbox_nothing_starts():
    """Where no user namespace can be made, plugins are listed and none is started."""
    with Host({"hello": HELLO}, who="boxed") as host:
        director = host.director
        assert director.host["sandbox"] is None and director.host["failure"]
        assert director.plugins["hello"]["state"] == "ready"
        worker = director.start(1, "hello")
        exited = director.wait_exited(worker)
        assert exited["reason"] == "sandbox" and "could not be built" in exited["message"]
        assert host.records(id="sandbox.unavailable")


def test_usage():
    done = subprocess.run([PLUGINHOST, "--version"], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0 and done.stdout.startswith("mozaiks-pluginhost ")
    done = subprocess.run([PLUGINHOST, "--no-such"], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 2 and "usage" in done.stderr
