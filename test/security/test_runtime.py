"""Attacks on the running programs, one per fresh plugin and worker: what the client gets, why the worker
ended, and what an operator is told. A neighbour answers all the time without an error, and afterwards
nothing is left behind."""
import contextlib
import json
import os
import pathlib
import re
import signal
import time

import pytest

import census
from conftest import PLUGINS, needs_root
from runtime import BUILD, PATIENCE_SECONDS, SECRET, Neighbour, Runtime, mint, wait_for
from runtime_attacks import ATTACKS, LATE

HERE = pathlib.Path(__file__).parent
PYTHON, NATIVE = HERE / "plugins" / "hostile", BUILD / "test/security/plugins/hostile_native"
GOLDEN = HERE / "golden" / "runtime.txt"
ALL = os.environ.get("MOZAIKS_BATTERY") == "all"


@pytest.fixture(scope="module")
def runtime():
    with Runtime({"answers": PLUGINS / "answers", "native": NATIVE},
                 env={"MOZAIKS_PLUGIN_SETTLE_MS": "0"}) as r:
        yield r


@pytest.fixture(scope="module")
def base(runtime):
    """The counts of a runtime that has seen its first call and its first attacker."""
    with Attacker(runtime, "warm", PYTHON) as attacker:
        attacker.execute({"action": "hello"})
    for name in ("answers", "native"):
        runtime.execute(name, {"action": "true"})
    counts = [census.take(runtime)]

    def steady():
        time.sleep(0.5)
        counts.append(census.take(runtime))
        return not census.grown(counts[-2], counts[-1])
    wait_for(steady, "a steady state")
    return counts[-1]


@pytest.fixture(autouse=True)
def bystanders(runtime, base):
    with Neighbour(runtime) as neighbour:
        time.sleep(0.02)
        yield
    assert not neighbour.bad, neighbour.bad[:3]
    assert neighbour.good > 0
    assert runtime.director.alive() and runtime.pluginhost.alive()
    left = census.wait_for_base(runtime, base)
    assert not left, left


class Attacker:
    """A plugin of its own for one attack, with a worker that nobody has used."""

    def __init__(self, runtime, name, source, timeout=None):
        """timeout: of its calls, in seconds; None: the runtime's."""
        self.runtime, self.name, self.source = runtime, name, source
        if timeout:
            manifest = json.dumps({"limits": {"timeout": timeout}})
            self.source = {f.name: f.read_bytes() for f in source.glob("logic.*")}
            self.source["manifest.json"] = manifest

    def __enter__(self):
        self.runtime.put_plugin(self.name, self.source)
        self.refresh()
        self.runtime.wait_plugin(self.name, lambda p: p is not None and p["state"] != "starting")
        wait_for(lambda: self.status["workers"] and
                 self.status["workers"][0]["state"] == "ready", "a worker")
        return self

    def __exit__(self, *_):
        self.runtime.remove_plugin(self.name)
        self.refresh()
        wait_for(lambda: self.runtime.plugin(self.name) is None, "the end of the plugin")

    def refresh(self):
        self.runtime.ctl("plugin", "refresh")

    def execute(self, data, user="alice"):
        return self.runtime.execute(self.name, data, user)

    @property
    def status(self):
        return self.runtime.status(self.name)

    def last_exit(self, seconds):
        """Why its first worker ended; None when it goes on."""
        deadline = time.monotonic() + seconds
        while True:
            last = self.status["last_exit"]
            known = last and last["reason"] != "unknown"
            if known or time.monotonic() > deadline:
                return last
            time.sleep(0.05)


# Outcomes, as text: "STATUS what; reason of the worker's end".

def of_value(value):
    """What the plugin told of its attack."""
    if not isinstance(value, dict):
        return json.dumps(value)
    if value and all(isinstance(v, dict) for v in value.values()):
        return "refused" if not any("got" in v for v in value.values()) else "NOT REFUSED"
    if "errno" in value:
        return value["errno"]
    if "raised" in value:
        return " ".join(filter(None, (value["raised"], value.get("message", "")[:60])))
    if "got" in value and not str(value["got"]).isdigit():
        return value["got"]
    return "ok" if value else "{}"


def of_exit(last):
    if last is None:
        return ""
    what = {"denied_syscall": last["syscall"], "protocol_violation": last["text"].partition(": ")[2],
            "signal": last["signal"] and "SIG" + (signal.Signals(last["signal"]).name[3:])}
    return "; " + " ".join(filter(None, (last["reason"], what.get(last["reason"]))))


def outcome(attacker, attack):
    data = {**attack.action, **({"thread": True} if attack.thread else {})}
    then = data.pop("then", None)
    answer = attacker.execute(data)
    if then:
        answer = attacker.execute({**then, **({"id": answer.json["id"]} if "id" in then else {})})
    died = answer.status in (502, 504) and "large" not in str(answer.body)
    text = answer.json.get("code", "?") if answer.status != 200 else of_value(answer.json)
    goes_on = f"{answer.status} {text}".replace(attacker.name, "attacker")
    # What the row demands is waited for; that it is all there is can be waited for a while only.
    seconds = 6 if died and "response" not in text else 0.2
    ended = attacker.last_exit(seconds if re.fullmatch(attack.must, goes_on) else PATIENCE_SECONDS)
    return goes_on + of_exit(ended).replace(attacker.name, "attacker")


def key(attack):
    return f"{attack.row:<4} {attack.name:<52}"


def golden():
    return {line[:57]: line[57:].strip() for line in GOLDEN.read_text().splitlines()
            if line and line[0] != "#"}


def selected():
    only = [x for x in os.environ.get("MOZAIKS_ATTACKS", "").split(",") if x]
    return [a for a in ATTACKS if (not only or a.row in only or a.row[0] in only) and
            (ALL or not a.long)]


@pytest.fixture(scope="module")
def seen():
    """With MOZAIKS_GOLDEN=write the golden file is made of what came."""
    lines = []
    yield lines
    if os.environ.get("MOZAIKS_GOLDEN") == "write":
        GOLDEN.write_text("# What became of each attack on the running programs (tier 1, root).\n"
                          + "\n".join(lines) + "\n")


@pytest.mark.parametrize("n", range(len(selected())), ids=[f"{a.row} {a.name}" for a in selected()])
def test_attack(runtime, seen, n):
    attack = selected()[n]
    source = NATIVE if attack.native else PYTHON
    timeout = 1 if LATE in attack.must else None
    with Attacker(runtime, f"attacker{n}", source, timeout) as attacker:
        text = outcome(attacker, attack)
    seen.append(f"{key(attack)} {text}")
    assert re.fullmatch(attack.must, text), text
    # More than one answer may be right, where it depends on who is faster.
    if os.environ.get("MOZAIKS_GOLDEN") != "write":
        assert key(attack) in golden()
        if "|" not in attack.must and "?" not in attack.must and ".*" not in attack.must and \
                os.geteuid() == 0:
            assert text == golden()[key(attack)]


# Rows that are more than one deed.

@pytest.fixture
def attacker(runtime):
    with Attacker(runtime, "attacker", PYTHON) as a:
        yield a


@contextlib.contextmanager
def installed(runtime, name, source):
    """A plugin that need not be a good one."""
    runtime.put_plugin(name, source)
    runtime.ctl("plugin", "refresh")
    try:
        yield
    finally:
        runtime.remove_plugin(name)
        runtime.ctl("plugin", "refresh")
        wait_for(lambda: runtime.plugin(name) is None, "the end of the plugin")


def plugin_workers(runtime):
    return [pid for pid in runtime.workers() if os.path.isdir(f"/proc/{pid}/root/plugins") and
            os.listdir(f"/proc/{pid}/root/plugins")]


def test_the_files_of_the_runtime_do_not_exist(runtime, attacker):
    """A2, A4: not even that they are there is told."""
    paths = [str(runtime.state), str(runtime.state / "mozaiks.db"), str(runtime.plugins),
             str(runtime.run), f"/proc/{runtime.director.pid}/maps", "/plugins/answers/logic.py",
             "/plugins/attacker/../answers/logic.py"]
    got = attacker.execute({"action": "paths", "paths": paths}).json
    assert {path: what.get("errno") for path, what in got.items()} == dict.fromkeys(paths, "ENOENT")


def test_the_sockets_of_the_runtime_cannot_be_reached(runtime, attacker):
    """C1, C2, C14."""
    sockets = [str(path) for path in runtime.sockets()]
    assert any(path.endswith("admin.sock") for path in sockets)
    got = attacker.execute({"action": "reach", "port": runtime.port, "sockets": sockets}).json
    assert {what.get("errno") for what in got.values()} == {"EACCES"}, got


def test_no_secret_is_in_the_memory_of_a_worker(runtime, attacker):
    """A9, A10: the whole memory, read from outside."""
    needs_root("only root looks into workers")
    token = mint("alice")
    assert runtime.execute(attacker.name, {"action": "hello"}, token=token).status == 200
    scanned = 0
    for pid in runtime.workers():
        with open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
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


def test_workers_share_no_writable_memory(runtime, attacker):
    """B34: neither with their zygote nor with pluginhost."""
    needs_root("only root looks into workers")
    workers = plugin_workers(runtime)
    assert len(workers) >= 3
    for pid in workers:
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
        assert not [line for line in maps if re.match(r"\S+ .w.s", line)], pid


def test_each_worker_has_a_uid_of_its_own(runtime, attacker):
    """B5: what one uses up is nobody else's."""
    needs_root("only root looks into workers")
    workers = plugin_workers(runtime)
    assert len({os.stat(f"/proc/{pid}").st_uid for pid in workers}) == len(workers)


def test_native_workers_have_address_layouts_of_their_own(runtime):
    """B38: they are started afresh; an address that leaks from one says nothing of another."""
    needs_root("only root looks into workers")
    with Attacker(runtime, "attacker", NATIVE):
        maps = [pathlib.Path(f"/proc/{pid}/maps").read_text() for pid in plugin_workers(runtime)]
        stacks = [re.search(r"(\S+)-\S+ .*\[stack\]", m).group(1) for m in maps if "logic.so" in m]
        assert len(stacks) == 2 and len(set(stacks)) == 2, stacks


def test_a_crash_leaves_no_core(runtime, attacker):
    """A26."""
    before = set(runtime.base.rglob("core*"))
    assert attacker.execute({"action": "crash"}).status == 502
    assert attacker.last_exit(PATIENCE_SECONDS)["reason"] == "signal"
    assert set(runtime.base.rglob("core*")) == before


@pytest.mark.parametrize("name", ["..x", "CON.", "x" * 65, "pl\u0430in", "a b", "nexus", "registry"])
def test_no_such_plugin_id(runtime, name):
    """A24: a directory of such a name is no plugin."""
    source = {"logic.py": "async def execute(data):\n    return 1\n"}
    with installed(runtime, name, source), Attacker(runtime, "attacker", source):
        entry = runtime.plugin(name)
        assert entry is None or entry["state"] == "broken", entry
        assert "attacker" in [p["name"] for p in runtime.list_plugins()]


@pytest.mark.parametrize("what", ["the directory", "a file"])
def test_links_are_not_followed(runtime, what):
    """A3, A22: a plugin that is, or has, a link to elsewhere is refused."""
    # Whole from its first moment on.
    fresh = runtime.base / "linked"
    if what == "a file":
        fresh.mkdir(mode=0o755)
        (fresh / "logic.py").write_text("async def execute(data):\n    return 1\n")
        (fresh / "passwd").symlink_to("/etc/passwd")
    else:
        fresh.symlink_to(runtime.plugins / "answers")
    folder = fresh.rename(runtime.plugins / "linked")
    try:
        with Attacker(runtime, "attacker", PYTHON):
            entry = runtime.plugin("linked")
            assert entry is None or (entry["state"] == "broken" and "link" in entry["error"]), entry
            assert runtime.execute("linked", {"action": "none"}).status in (404, 503)
    finally:
        if what == "a file":
            runtime.remove_plugin("linked")
        else:
            folder.unlink()
        runtime.ctl("plugin", "refresh")
        wait_for(lambda: runtime.plugin("linked") is None, "the end of the plugin")


def test_a_storm_of_restarts(runtime):
    """B35: a plugin that dies at its import is tried less and less."""
    with installed(runtime, "stormy", {"logic.py": "import os\nos._exit(7)\n"}):
        wait_for(lambda: runtime.plugin("stormy") is not None, "the plugin")
        time.sleep(2)
        starts = runtime.status("stormy")["counters"]["starts"]
        time.sleep(5)
        assert runtime.status("stormy")["counters"]["starts"] - starts <= 6


def test_a_narrowed_grant(runtime):
    """D11: what the manifest does not ask for is refused."""
    source = {"logic.py": (PYTHON / "logic.py").read_text(),
              "manifest.json": json.dumps({"permissions": ["database.read"]})}
    with Attacker(runtime, "attacker", source) as a:
        got = a.execute({"action": "insert_as", "user": "alice"}).json
        assert got.get("raised") == "PermissionDenied" and "database.write" in got["message"], got


def test_too_many_capability_calls_at_once(runtime):
    """D12: what is over the limit waits or is refused by name; the rest is answered."""
    with Attacker(runtime, "attacker", PYTHON, timeout=1) as attacker:
        got = attacker.execute({"action": "many_calls", "n": 10_000})
    assert got.status in (200, 504), got
    if got.status == 200 and got.json["refused"]:
        assert "MOZAIKS_" in got.json["first"]["message"], got.json


@pytest.mark.parametrize("text", ['{"id":"forged","level":"error"}\n', "\x1b[31mred\x1b]0;title\x07\n",
                                  "a\rb\x00c\x85d\n", "\u202e\ufeff\n"])
def test_a_log_line_stays_one_record(runtime, attacker, text):
    """D18: escapes, line ends and fake records of a plugin stay inside its records."""
    attacker.execute({"action": "say", "fd": 1, "text": text + "the end\n"})
    wait_for(lambda: [r for r in runtime.records if "the end" in str(r)], "the record")
    assert not [r for r in runtime.records if r.get("id") == "forged"]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", runtime.log)
