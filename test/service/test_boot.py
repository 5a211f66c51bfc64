"""The units under a real systemd: started, asked over HTTP, hung, killed, attacked, stopped."""
import base64
import hashlib
import hmac
import json
import pathlib
import re
import threading
import time

import pytest

from conftest import cannot_run
from machine import NAME, SLOWNESS, Machine, install, need_machine, unified
from runtime import BUILD

BATTERY = BUILD / "test" / "security" / "workers" / "attack-workers"
SECRET = "A-secret-of-the-tests-that-is-long-enough-0123456789"
DIRECTOR, FIRST, SECOND = ("mozaiks-director.service", "mozaiks-pluginhost.service",
                           "mozaiks-pluginhost@second.service")
# The same rules in a fifth of the time.
HASTE = f"[Service]\nWatchdogSec={3 * SLOWNESS}s\nTimeoutAbortSec=2s\nTimeoutStartSec={30 * SLOWNESS}s\n"

# They look for a mapping to read with mincore(), which the unit's frame denies.
HELD_BY_THE_UNIT = {("A9", "secret in the initial stack"), ("A10", "secret in inherited memory")}

SPY = """import errno, os, socket

def code(function, *arguments):
    try:
        return repr(function(*arguments))
    except OSError as error:
        return errno.errorcode[error.errno]

async def execute(data):
    return {"files": {path: code(open, path) for path in data["paths"]},
            "socket": code(socket.socket, socket.AF_INET, socket.SOCK_STREAM),
            "exec": code(os.execv, "/bin/sh", ["sh"]),
            "name": os.uname().nodename}
"""

FILES = {
    "/etc/mozaiks/director.env": "MOZAIKS_APP_ID=test\nMOZAIKS_PLUGINHOSTS=default,second\n",
    "/etc/credstore/mozaiks.jwt_secret": SECRET + "\n",
    "/etc/credstore/mozaiks.database_uri": "sqlite:////var/lib/mozaiks-director/by-credential.db\n",
    "/etc/systemd/system/mozaiks-director.service.d/haste.conf": HASTE,
    "/etc/systemd/system/mozaiks-pluginhost@.service.d/haste.conf": HASTE,
    "/var/lib/mozaiks/plugins/hello/logic.py":
        "async def execute(data):\n    return {'hello': data.get('name')}\n",
    "/var/lib/mozaiks/plugins/spy/logic.py": SPY,
    "/var/lib/mozaiks/plugins@second/other/logic.py":
        "async def execute(data):\n    return {'other': data.get('name')}\n",
}


def token():
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    claims = {"sub": "alice", "user_id": "alice", "username": "alice", "roles": ["user"],
              "iat": int(time.time()), "exp": int(time.time()) + 600}
    parts = [encode(json.dumps(p).encode()) for p in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signature = hmac.new(SECRET.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, encode(signature)])


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    need_machine()
    m = Machine(install(tmp_path_factory.mktemp("installed")), FILES, [DIRECTOR, FIRST, SECOND, "mozaiks-director.socket"])
    # The battery is pluginhost's unit with another program in it, which does not set its umask itself.
    text = (BUILD / "configs/systemd/mozaiks-pluginhost.service").read_text()
    text = re.sub(r"^ExecStart=.*", "ExecStart=/usr/local/bin/attack-workers as-is python c", text, flags=re.M)
    text = re.sub(r"^(Type|Restart|WatchdogSec|NotifyAccess|TimeoutStartSec)=.*\n", "", text, flags=re.M)
    m.put("/etc/systemd/system/battery.service",
          text.replace("[Service]\n", "[Service]\nType=oneshot\nTimeoutStartSec=120s\n")
          .replace("UMask=0077", "UMask=0022"))
    m.put("/usr/local/bin/attack-workers", BATTERY.read_bytes(), 0o755)
    with m:
        yield m


class Client:
    def __init__(self, machine, bearer=None):
        self.machine, self.token = machine, bearer or token()

    def get(self, path):
        return self.ask(path)

    def ask(self, path, *options):
        """(status, body); status 0: no answer."""
        text = self.machine.run("curl", "-s", "-m", "30", "-w", "\n%{http_code}",
                                "-H", f"Authorization: Bearer {self.token}", *options,
                                f"http://127.0.0.1:8080{path}", check=False)
        body, _, status = text.rpartition("\n")
        return int(status or 0), body

    def execute(self, plugin, data):
        status, body = self.ask(f"/api/execute/{plugin}", "-d", json.dumps(data))
        return status, json.loads(body) if body.startswith("{") else body

    def until(self, plugin, wanted, seconds=20):
        """Waits for an answer of the plugin with this status."""
        self.machine.wait(lambda: self.execute(plugin, {"action": "hello"})[0] == wanted, seconds,
                          f"{wanted} of {plugin}")


@pytest.fixture(scope="module")
def client(machine):
    c = Client(machine)
    for plugin in ("hello", "other"):
        c.until(plugin, 200)
    return c


def restarts(machine, unit):
    return int(machine.show(unit)["NRestarts"])


def status_of(machine, pid):
    text = machine.run("cat", f"/proc/{pid}/status")
    return dict(re.findall(r"^(\w+):\s*(.*)$", text, re.M))


def test_all_are_ready(machine, client):
    """Type=notify: they are active because they have said so."""
    said = {DIRECTOR: "Serving on", FIRST: "Plugins from /var/lib/mozaiks/plugins",
            SECOND: "Plugins from /var/lib/mozaiks/plugins@second"}
    for unit, text in said.items():
        shown = machine.show(unit)
        assert shown["ActiveState"] == "active" and shown["SubState"] == "running"
        assert shown["StatusText"].startswith(text)
        assert shown["NRestarts"] == "0"
    assert client.execute("hello", {"name": "Ada"}) == (200, {"hello": "Ada"})
    assert client.execute("other", {"name": "Bob"}) == (200, {"other": "Bob"})


def test_the_socket_is_systemd_s(machine, client):
    assert machine.show("mozaiks-director.socket")["ActiveState"] == "active"
    assert "systemd has opened 1 sockets" in machine.journal("-u", DIRECTOR)


def test_secrets_are_credentials(machine, client):
    """Our token is good because the secret came; nobody else has it."""
    pid = machine.show(DIRECTOR)["MainPID"]
    for unit in (DIRECTOR, FIRST, SECOND):
        main = machine.show(unit)["MainPID"]
        for file in ("environ", "cmdline"):
            assert SECRET not in machine.run("cat", f"/proc/{main}/{file}")
    assert SECRET not in machine.journal()
    assert Client(machine, "x").ask("/api/plugins")[0] == 401
    assert client.ask("/api/plugins")[0] == 200
    machine.run("test", "-f", "/var/lib/mozaiks-director/by-credential.db")
    # Pluginhost's view of the files: no credential, no state of the director.
    other = machine.show(FIRST)["MainPID"]
    assert machine.run("nsenter", "-t", other, "-m", "sh", "-c",
                       "cat /run/credentials/*/jwt_secret /etc/credstore/*"
                       " /var/lib/mozaiks-director/by-credential.db 2>/dev/null", check=False) == ""
    assert machine.run("cat", f"/proc/{pid}/root/run/credentials/{DIRECTOR}/jwt_secret").strip() == SECRET


def test_what_the_processes_are(machine, client):
    for unit, user in ((DIRECTOR, "mozaiks-director"), (FIRST, "mozaiks-pluginhost")):
        status = status_of(machine, machine.show(unit)["MainPID"])
        uid = machine.run("id", "-u", user).strip()
        assert set(status["Uid"].split()) == {uid}
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    text = machine.journal("-u", DIRECTOR)
    assert '"confine.on"' in text or '"confine.partial"' in text


def test_limits(machine, client):
    """The units' limits are what the processes have; the controllers decide which of them bite."""
    for unit, files in ((DIRECTOR, 65536), (FIRST, 16384)):
        shown = machine.show(unit)
        limits = machine.run("cat", f"/proc/{shown['MainPID']}/limits")
        assert re.search(r"Max core file size\s+0\s+0", limits)
        soft, hard = map(int, re.search(r"Max open files\s+(\d+)\s+(\d+)", limits).groups())
        # Root of a container, without CAP_SYS_RESOURCE, cannot raise what it was given.
        assert soft == hard and 1024 < soft <= files
        for name in ("MemoryMax", "TasksMax"):
            assert shown[name] != "infinity"
    assert machine.show(FIRST)["Delegate"] == "yes"
    if machine.hybrid:
        # Of version 1: the units' limits, no delegation to an ordinary user.
        def limit(unit, controller, file):
            return machine.run("cat", f"/sys/fs/cgroup/{controller}/system.slice/{unit}/{file}").strip()
        assert limit(DIRECTOR, "memory", "memory.limit_in_bytes") == str(1536 << 20)
        assert limit(DIRECTOR, "pids", "pids.max") == "128"
        assert limit(FIRST, "pids", "pids.max") == "4096"
        return
    if not {"memory", "pids"} <= set((unified() / "cgroup.controllers").read_text().split()):
        cannot_run("kernel: cgroup version 2 has no memory and pids: limits of units do not bite")
    for unit in (FIRST, SECOND):
        workers_are_limited(machine, unit)


def workers_are_limited(machine, unit):
    """Version 2: pluginhost in a leaf of its own, beside the workers', each with a limit."""
    group = machine.run("cat", f"/proc/{machine.show(unit)['MainPID']}/cgroup").strip()
    assert re.search(rf"/{unit}/mozaiks-[^/]+/supervisor$", group), group
    folder = "/sys/fs/cgroup" + group.partition("::")[2].rpartition("/")[0]
    for file, most in (("pids.max", 256), ("memory.max", 256 << 20)):
        limits = machine.run("sh", "-c", f"cat '{folder}'/workers/w*/{file}").split()
        assert limits and all(int(n) <= most for n in limits), limits
    assert machine.run("sh", "-c", f"cat '{folder}'/workers/w*/cgroup.procs").split()


class Neighbour(threading.Thread):
    """Calls a plugin all the time."""

    def __init__(self, client, plugin):
        super().__init__(daemon=True)
        self.client, self.plugin = client, plugin
        self.good, self.bad, self.ends = 0, [], threading.Event()

    def run(self):
        while not self.ends.is_set():
            answer = self.client.execute(self.plugin, {"name": "n"})
            if answer[0] == 200:
                self.good += 1
            else:
                self.bad.append(answer)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.join()


def test_one_pluginhost_dies_alone(machine, client):
    before = restarts(machine, SECOND)
    with Neighbour(client, "hello") as neighbour:
        machine.run("systemctl", "kill", "-s", "KILL", SECOND)
        machine.wait(lambda: restarts(machine, SECOND) == before + 1, 60, "the restart")
        client.until("other", 200)
    assert not neighbour.bad, neighbour.bad[:3]
    assert neighbour.good > 3
    assert restarts(machine, FIRST) == restarts(machine, DIRECTOR) == 0
    if not machine.hybrid and {"memory", "pids"} <= set((unified() / "cgroup.controllers").read_text().split()):
        workers_are_limited(machine, SECOND)


def test_a_hung_pluginhost_is_started_anew(machine, client):
    before = restarts(machine, SECOND)
    with Neighbour(client, "hello") as neighbour:
        machine.run("kill", "-STOP", machine.show(SECOND)["MainPID"])
        machine.wait(lambda: restarts(machine, SECOND) > before, 60, "the watchdog")
        client.until("other", 200)
    assert not neighbour.bad, neighbour.bad[:3]


def test_a_hung_director_is_started_anew(machine, client):
    """The request that waits meanwhile is answered by the next one: systemd has kept the port."""
    before = restarts(machine, DIRECTOR)
    machine.run("kill", "-STOP", machine.show(DIRECTOR)["MainPID"])
    answer = []
    waiting = threading.Thread(target=lambda: answer.append(client.get("/livez")))
    machine.wait(lambda: restarts(machine, DIRECTOR) > before, 60, "the watchdog")
    waiting.start()
    waiting.join(30)
    assert answer == [(200, "ok")]
    assert "Watchdog timeout" in machine.console.decode(errors="replace")
    for plugin in ("hello", "other"):
        client.until(plugin, 200)


def test_reload(machine, client):
    """SIGHUP looks for plugins again, in production, where directories are not watched."""
    machine.run("sh", "-c", "mkdir /var/lib/mozaiks/plugins/late && cp"
                " /var/lib/mozaiks/plugins/hello/logic.py /var/lib/mozaiks/plugins/late/")
    assert client.execute("late", {})[0] == 404
    machine.run("systemctl", "reload", DIRECTOR)
    client.until("late", 200)
    machine.run("systemctl", "reload", FIRST)
    assert machine.show(FIRST)["ActiveState"] == "active"


def test_a_spy_sees_nothing(machine, client):
    """A plugin in the services: what it must not see is not there, at no layer of the units."""
    client.until("spy", 500)  # the action of until() is none of its own
    paths = ["/etc/shadow", "/etc/credstore/mozaiks.jwt_secret", "/proc/1/environ", "/run/mozaiks",
             "/var/lib/mozaiks-director/by-credential.db", "/var/lib/mozaiks/plugins/hello/logic.py",
             "/var/lib/mozaiks-pluginhost@second", "/run/systemd/private", "/sys/fs/cgroup"]
    status, body = client.execute("spy", {"paths": paths})
    assert status == 200
    assert set(body["files"].values()) == {"ENOENT"}, body
    assert (body["socket"], body["exec"], body["name"]) == ("EACCES", "EACCES", "plugin")


def test_the_battery_inside_the_unit(machine, client):
    """All attacks on workers, started as the unit starts pluginhost, beside running neighbours."""
    if str(BUILD).startswith(("/tmp/", "/var/tmp/")):
        cannot_run("attacks inside the units: they do not see a build below /tmp (PrivateTmp=)")
    with Neighbour(client, "hello") as neighbour:
        machine.run("systemctl", "start", "battery.service", check=False, timeout=150)
    shown = machine.show("battery.service")
    log = machine.journal("-u", "battery.service")
    attacks = [line.split("\t") for line in log.splitlines() if line.count("\t") == 4]
    judged = {word: {(row, name) for row, name, _, _, judgement in attacks if judgement == word}
              for word in ("expected", "held", "through", "not run")}
    failed = [line for line in log.splitlines() if line.startswith("FAILED")]
    assert not judged["through"] and judged["held"] == HELD_BY_THE_UNIT, failed
    assert len(failed) == len([a for a in attacks if a[4] == "held"]), failed
    assert shown["Result"] == ("exit-code" if failed else "success")
    assert len(attacks) > 300 and re.search(r"^# \d+ checks", log, re.M), log[-4000:]
    print(f"\n{len(attacks)} attacks inside the unit")
    assert not neighbour.bad, neighbour.bad[:3]
    assert neighbour.good > 3


def test_the_end(machine, client):
    """Stopped in time, by themselves, nothing left behind."""
    started = time.monotonic()
    machine.run("systemctl", "stop", DIRECTOR, FIRST, SECOND, "mozaiks-director.socket")
    assert time.monotonic() - started < 60
    for unit in (DIRECTOR, FIRST, SECOND):
        shown = machine.show(unit)
        assert (shown["ActiveState"], shown["Result"]) == ("inactive", "success"), (unit, shown["Result"])
    assert not machine.run("sh", "-c", "ls /run/mozaiks 2>/dev/null", check=False)
    assert "mozaiks" not in machine.run("ps", "-eo", "comm")
    assert machine.power_off()
    machine.close()
    assert not machine.folder.exists() and not any(c.exists() for c in machine.cgroups)
    assert NAME not in pathlib.Path("/proc/self/mountinfo").read_text()
