"""A hostile plugin: each attack is contained, by the mechanism that should contain it, and a neighbour
answers all the time without an error."""
import pathlib
import platform
import time

import pytest

from conftest import PLUGINS, needs_root
from runtime import SECRET, Neighbour, Runtime, mint, wait_for

HOSTILE = pathlib.Path(__file__).parent / "plugins" / "hostile"

# Each attack is to meet the sandbox, not a plugin that was disabled after the attacks before it.
UNSUPERVISED = {"MOZAIKS_BREAKER_VIOLATIONS": "0", "MOZAIKS_BREAKER_OPENS": "0"}


@pytest.fixture(scope="module")
def runtime():
    with Runtime({"hostile": HOSTILE, "answers": PLUGINS / "answers"},
                 env={"MOZAIKS_PLUGIN_TIMEOUT_SECONDS": "3", **UNSUPERVISED}) as r:
        yield r


@pytest.fixture(autouse=True)
def neighbour(runtime):
    with Neighbour(runtime) as n:
        time.sleep(0.05)
        yield n
    assert not n.bad, n.bad[:3]
    assert n.good > 0
    assert runtime.director.alive() and runtime.pluginhost.alive()


class Attacker:
    """Attacks once the plugin runs. After some crashes in a row its restarts wait longer and longer;
    a new version is started at once."""

    def __init__(self, runtime):
        self.runtime, self.version = runtime, 0

    def ready(self):
        return self.runtime.execute("hostile", {"action": "hello"}).status == 200

    def __call__(self, action, status=200, **more):
        if not self.ready():
            self.version += 1
            (self.runtime.plugins / "hostile" / "version.txt").write_text(str(self.version))
            wait_for(self.ready, 20, "a worker to attack from")
        answer = self.runtime.execute("hostile", {"action": action, **more})
        allowed = {status} if isinstance(status, int) else set(status)
        assert answer.status in allowed, answer
        return answer.json


@pytest.fixture(scope="module")
def attack(runtime):
    return Attacker(runtime)


def reasons(runtime, since):
    return str([r for r in runtime.records[since:] if "hostile" in str(r)])


# Files

ABSENT = ["/etc/passwd", "/etc/shadow", "/etc/hostname", "/root", "/home", "/proc/1/environ",
          "/proc/self/mem", "/sys/kernel", "/dev/mem", "/dev/kvm", "/dev/tty", "/var/lib", "/run",
          "/plugins/answers/logic.py", "/plugins/hostile/../answers/logic.py",
          "/plugins/hostile/../../etc/passwd"]


def test_files_of_the_machine_do_not_exist(attack):
    """ENOENT, not EACCES: the mount tree has no such file, and nothing tells whether it is there."""
    got = attack("read", paths=ABSENT)
    assert {path: what.get("errno") for path, what in got.items()} == \
        {path: "ENOENT" for path in ABSENT}


def test_files_of_this_runtime_do_not_exist(attack, runtime):
    paths = [str(runtime.state), str(runtime.state / "mozaiks.db"), str(runtime.plugins),
             str(runtime.run)]
    got = attack("read", paths=paths)
    assert all(what.get("errno") == "ENOENT" for what in got.values()), got


def test_the_root_cannot_be_listed(attack):
    """Landlock grants no listing of /."""
    got = attack("list", paths=["/"])
    assert got["/"].get("errno") == "EACCES"


def test_nothing_but_tmp_can_be_written(attack):
    paths = ["/plugins/hostile/logic.py", "/plugins/hostile/new", "/mozaiks/python/new", "/new",
             "/usr/lib/python3/new", "/etc/new"]
    got = attack("write", paths=paths)
    assert all(what.get("errno") in ("EROFS", "EACCES", "ENOENT") for what in got.values()), got
    assert got["/plugins/hostile/logic.py"]["errno"] in ("EROFS", "EACCES")
    assert "errno" not in attack("write", paths=["/tmp/mine"])["/tmp/mine"]


def test_tmp_is_small(attack):
    got = attack("fill", bytes=1 << 30)
    assert got["errno"] in ("ENOSPC", "EFBIG") and got["written"] < 256 << 20


# Secrets

def test_no_secret_in_the_environment(attack):
    got = attack("environ")
    assert SECRET not in str(got)
    assert not [name for name in got["environ"] if name.startswith(("MOZAIKS", "JWT", "DATABASE"))]
    assert got["raw"].get("errno") == "ENOENT"


def test_descriptors(attack):
    """0, 1, 2, the channel, and what asyncio needs: nothing of pluginhost or the zygote."""
    got = attack("descriptors")
    assert got[:4] == [0, 1, 2, 3] and len(got) <= 7, got


def test_no_secret_in_the_memory_of_a_worker(runtime, attack):
    """The whole memory, read from outside."""
    needs_root("only root reads the memory of workers")
    attack("hello")
    token = mint("alice")
    assert runtime.execute("answers", {"action": "none"}, token=token).status == 200
    scanned = 0
    for pid in runtime.workers():
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                area, rights = line.split()[:2]
                if not rights.startswith("r") or "[v" in line:
                    continue
                start, end = (int(x, 16) for x in area.split("-"))
                memory.seek(start)
                try:
                    block = memory.read(end - start)
                except OSError:
                    continue
                scanned += len(block)
                assert SECRET.encode() not in block, line
                assert token.encode() not in block, line
    assert scanned > 1 << 20


# Network, processes, signals

def test_no_network(attack, runtime):
    admin = next(p for p in runtime.sockets() if p.name == "admin.sock")
    got = attack("connect", port=runtime.port, socket=str(admin))
    name = got.pop("name")
    assert {what.get("errno") for what in got.values()} == {"EACCES"}, got
    assert "got" not in name


def test_no_program_is_executed(attack):
    got = attack("exec")
    assert got["execv"].get("errno") == "EACCES"
    assert got["spawn"].get("errno") and got["subprocess"].get("errno")
    assert "got" not in got["memfd"]
    assert got["system"] != {"got": "0"}


def test_no_process_is_made(attack):
    got = attack("fork")
    assert all(what.get("errno") for what in got.values()), got


def test_no_signal_leaves(attack, runtime):
    zygotes = set(runtime.workers())
    got = attack("kill")
    assert {what.get("errno") for what in got.values()} <= {"EPERM", "ESRCH"}, got
    assert got["-1"]["errno"] == "EPERM"
    assert zygotes <= set(runtime.workers())


# System calls, by number on this machine; killed: the plugin dies of it.

KILLED = {"mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "unshare": (272, 97),
          "setns": (308, 268), "ptrace": (101, 117), "kexec_load": (246, 104),
          "init_module": (175, 105), "reboot": (169, 142), "swapon": (167, 224),
          "bpf": (321, 280), "userfaultfd": (323, 282), "perf_event_open": (298, 241)}
REFUSED = {"io_uring_setup": (425, 425), "memfd_create": (319, 279), "setuid": (105, 146),
           "clone3": (435, 435), "a number of the future": (999, 999)}


def number(pair):
    return pair[0] if platform.machine() == "x86_64" else pair[1]


@pytest.mark.parametrize("name", KILLED)
def test_a_forbidden_call_ends_the_worker(attack, runtime, name):
    since = len(runtime.records)
    attack("syscall", 502, number=number(KILLED[name]))
    wait_for(lambda: "SIGSYS" in reasons(runtime, since), 10, "the reason")


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_call_is_an_error(attack, name):
    args = [0] * 6 if name != "setuid" else [0]
    got = attack("syscall", number=number(REFUSED[name]), args=args)
    assert got.get("errno") in ("ENOSYS", "EPERM", "EACCES"), got


# Resources

@pytest.mark.parametrize("action", ["spin", "swallow"])
def test_a_spinning_plugin_ends_at_its_deadline(attack, runtime, action):
    started = time.monotonic()
    attack(action, 504)
    assert time.monotonic() - started < 5
    wait_for(lambda: attack("hello"), 20, "a new worker")


def test_four_gibibytes(attack):
    """RLIMIT_AS makes it a MemoryError; the cgroup, where there is one, a dead worker."""
    answer = attack("allocate", (200, 502), bytes=4 << 30)
    assert answer.get("raised") == "MemoryError" or answer.get("status") == 502, answer


def test_many_threads(attack):
    got = attack("threads", (200, 502), n=5000)
    assert got.get("raised") in ("RuntimeError", "MemoryError") or got.get("status") == 502, got


def test_limits_cannot_be_raised(attack):
    got = attack("limits")
    assert not [name for name, what in got.items() if "got" in what], got


def test_a_flood_on_stdout(attack, runtime):
    """The plugin is slowed or cut, the log stays small."""
    before = len(runtime.log)
    attack("flood stdout", (200, 502, 504), megabytes=200)
    assert len(runtime.log) - before < 16 << 20


def test_a_flood_on_the_channel(attack, runtime):
    """It blocks its own sender; the director's memory stays what it is."""
    def resident():
        text = pathlib.Path(f"/proc/{runtime.director.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])
    before = resident()
    attack("flood channel", (200, 502, 504), megabytes=300)
    assert resident() - before < 64 << 10


def test_a_hundred_megabytes_of_answer(attack):
    got = attack("answer", 502, bytes=100 << 20)
    assert got["code"] == "plugin_response_too_large"


# The channel

FORGED = ["garbage", "zeros", "huge message", "message over the limit", "not a message",
          "half a frame", "huge frame", "unknown type", "type 0", "type 255", "reserved flags",
          "result of no call", "result of call 0", "result of an old call", "a director's frame",
          "a pluginhost's frame", "a second hello", "a second ready", "trailing bytes"]


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_frame_costs_the_worker(attack, runtime, what):
    """A protocol violation: the worker is killed, and it is recorded."""
    since = len(runtime.records)
    attack("forge", 502, what=what)
    wait_for(lambda: reasons(runtime, since) != "[]", 10, "the record")


@pytest.mark.parametrize("what", ["deep bson", "bson with a wrong size", "a call without arguments",
                                  "a capability of no name"])
def test_malformed_arguments_hurt_nobody_else(attack, what):
    attack("forge", (200, 500, 502, 504), what=what)


def test_ten_thousand_levels(attack):
    """Through the front door, too."""
    got = attack("deep", (200, 502), depth=10_000)
    assert "got" not in got, got


def test_a_closed_channel(attack):
    attack("close channel", (502, 504))
