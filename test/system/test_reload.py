"""Plugin directories come, change and go while the runtime serves."""
import asyncio
import collections
import json
import re
import signal
import subprocess
import threading
import time

import pytest

from conftest import PLUGINS
from runtime import PATIENCE_SECONDS, TOP, Runtime, mint, wait_for



def version(n, extra=""):
    return {"logic.py": f"{extra}\nasync def execute(data):\n    return {{'version': {n}}}\n"}


@pytest.fixture(scope="module")
def runtime():
    with Runtime({"steady": version(1), "answers": PLUGINS / "answers"}) as r:
        yield r


def answers_with(runtime, plugin, n):
    def check():
        answer = runtime.execute(plugin)
        return answer.status == 200 and answer.json == {"version": n}
    return check


def test_added(runtime):
    assert runtime.execute("added").status == 404
    runtime.put_plugin("added", version(1))
    wait_for(answers_with(runtime, "added", 1), "the new plugin")
    assert runtime.plugin("added")["enabled"] is True


def test_a_single_file(runtime):
    """A plugin may be one module."""
    runtime.put_plugin("solid", version(3))
    wait_for(answers_with(runtime, "solid", 3), "the plugin")


def test_changed_without_a_failed_request(runtime):
    runtime.put_plugin("steady", version(1))
    wait_for(answers_with(runtime, "steady", 1), "version 1")
    bad, seen, end = [], [], threading.Event()

    def ask():
        while not end.is_set():
            answer = runtime.execute("steady")
            if answer.status != 200:
                bad.append(answer)
            elif not seen or seen[-1] != answer.json["version"]:
                seen.append(answer.json["version"])
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for n in (2, 3):
            runtime.put_plugin("steady", version(n))
            wait_for(lambda n=n: n in seen, f"version {n}")
    finally:
        end.set()
        thread.join()
    assert not bad and seen == [1, 2, 3]


SHUTTING_DOWN = """
#include <mozaiks/plugin.h>

static int execute(struct mozaiks_call *call)
{
	return mozaiks_answer(call, MOZAIKS_TEXT("{\\"version\\": %d}"));
}

static void say_goodbye(struct mozaiks_call *call)
{
	mozaiks_log(call, MOZAIKS_LOG_INFO, "version %d says goodbye");
}

static const struct mozaiks_plugin plugin = {
	MOZAIKS_PLUGIN_HEAD,
	.name = "polite",
	.execute = execute,
	.shutdown = say_goodbye,
};

const struct mozaiks_plugin *mozaiks_plugin(void)
{
	return &plugin;
}
"""


def native_version(n, folder):
    (folder / "plugin.c").write_text(SHUTTING_DOWN % (n, n))
    subprocess.run(["gcc", "-shared", "-fPIC", "-I", str(TOP / "pluginhost" / "include"),
                    "-o", str(folder / "logic.so"), str(folder / "plugin.c")], check=True)
    return {"logic.so": (folder / "logic.so").read_bytes()}


def test_what_is_replaced_shuts_down_first(runtime, tmp_path):
    runtime.put_plugin("polite", native_version(1, tmp_path))
    wait_for(answers_with(runtime, "polite", 1), "version 1")
    runtime.put_plugin("polite", native_version(2, tmp_path))
    wait_for(answers_with(runtime, "polite", 2), "version 2")
    wait_for(lambda: "version 1 says goodbye" in runtime.log, "the goodbye")
    assert "version 2 says goodbye" not in runtime.log


def test_the_end_of_the_director_lets_plugins_shut_down(tmp_path):
    with Runtime({"polite": native_version(7, tmp_path)}) as r:
        wait_for(answers_with(r, "polite", 7), "the plugin")
        r.director.signal(signal.SIGTERM)
        assert r.director.wait() == 0
        wait_for(lambda: "version 7 says goodbye" in r.log, "the goodbye")
        assert "director.shutdown_cut" not in r.log


def test_who_does_not_shut_down_is_cut_off(tmp_path):
    source = SHUTTING_DOWN.replace("mozaiks_log(call,", "for (;;) { }\n\tmozaiks_log(call,") % (8, 8)
    (tmp_path / "plugin.c").write_text(source)
    subprocess.run(["gcc", "-shared", "-fPIC", "-I", str(TOP / "pluginhost" / "include"),
                    "-o", str(tmp_path / "logic.so"), str(tmp_path / "plugin.c")], check=True)
    with Runtime({"polite": {"logic.so": (tmp_path / "logic.so").read_bytes()}},
                 env={"MOZAIKS_WORKER_FINISH_TIMEOUT_SECONDS": "0.5"}) as r:
        wait_for(answers_with(r, "polite", 8), "the plugin")
        r.director.signal(signal.SIGTERM)
        assert r.director.wait() == 0
        assert "says goodbye" not in r.log
        wait_for(lambda: "worker.exited" in r.log, "the end of the worker")


def test_a_broken_change_keeps_the_old_version(runtime):
    runtime.put_plugin("fragile", version(1))
    wait_for(answers_with(runtime, "fragile", 1), "version 1")
    runtime.put_plugin("fragile", version(2, "raise RuntimeError('will not load')"))
    entry = runtime.wait_plugin("fragile", lambda p: p and "will not load" in (p.get("error") or ""))
    assert entry["error"]
    for _ in range(10):
        assert answers_with(runtime, "fragile", 1)()
        time.sleep(0.05)
    runtime.put_plugin("fragile", version(3))
    wait_for(answers_with(runtime, "fragile", 3), "the repaired version")
    runtime.wait_plugin("fragile", lambda p: not p.get("error"))


def test_calls_in_the_old_version_end_in_it(runtime):
    slow = ("import asyncio\n\n\nasync def execute(data):\n    await asyncio.sleep(2)\n"
            "    return {'version': 'old'}\n")
    runtime.put_plugin("drained", {"logic.py": slow})
    runtime.wait_plugin("drained", lambda p: p and p["state"] == "ready")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(runtime.execute("drained")))
    thread.start()
    runtime.wait_in_flight("drained", 1)
    runtime.put_plugin("drained", version(2))
    thread.join()
    assert answers[0].status == 200 and answers[0].json == {"version": "old"}
    wait_for(answers_with(runtime, "drained", 2), "version 2")


def test_removed(runtime):
    runtime.put_plugin("leaving", version(1))
    wait_for(answers_with(runtime, "leaving", 1), "the plugin")
    runtime.remove_plugin("leaving")
    wait_for(lambda: runtime.execute("leaving").status == 404, "its removal")
    assert runtime.plugin("leaving") is None


def test_a_removed_plugin_ends_its_calls(runtime):
    """New calls find no plugin; those that run are answered, then nothing of it is left."""
    slow = ("import asyncio\n\n\nasync def execute(data):\n    await asyncio.sleep(6)\n"
            "    return {'version': 'last'}\n")
    runtime.put_plugin("retired", {"logic.py": slow})
    runtime.wait_plugin("retired", lambda p: p and p["state"] == "ready")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(runtime.execute("retired")))
    thread.start()
    runtime.wait_in_flight("retired", 1)
    runtime.remove_plugin("retired")
    runtime.wait_plugin("retired", lambda p: p is None)
    assert runtime.execute("retired").status == 404 and not answers
    thread.join()
    assert answers[0].status == 200 and answers[0].json == {"version": "last"}
    wait_for(lambda: not (runtime.state / "plugins" / "retired").exists(),
             "the end of its snapshots")


def test_removed_and_back(runtime):
    runtime.put_plugin("returning", version(1))
    wait_for(answers_with(runtime, "returning", 1), "the plugin")
    runtime.remove_plugin("returning")
    wait_for(lambda: runtime.execute("returning").status == 404, "its removal")
    runtime.put_plugin("returning", version(2))
    wait_for(answers_with(runtime, "returning", 2), "its return")


@pytest.mark.parametrize("name", ["_private", ".hidden", "with space", "dots.in.it", "x" * 65,
                                  "caf\u00e9", "registry"])
def test_names_that_are_no_plugins(runtime, name):
    runtime.put_plugin(name, version(1))
    try:
        runtime.ctl("plugin", "refresh")
        time.sleep(1)
        entry = runtime.plugin(name)
        assert entry is None or entry["state"] == "broken"
    finally:
        runtime.remove_plugin(name)


def test_links_out_of_the_plugin_are_not_followed(runtime):
    """What a link leads to is never read into a snapshot."""
    secret = runtime.base / "secret.txt"
    secret.write_text("not for plugins")
    runtime.put_plugin("linked", {"logic.py": (
        "import pathlib\n\n\nasync def execute(data):\n"
        "    here = pathlib.Path(__file__).parent\n"
        "    return sorted(p.name for p in here.iterdir())\n")})
    (runtime.plugins / "linked" / "out").symlink_to(secret)
    (runtime.plugins / "linked" / "logic.py").touch()
    runtime.ctl("plugin", "refresh")
    entry = runtime.wait_plugin("linked", lambda p: p and p["state"] in ("ready", "broken"))
    answer = runtime.execute("linked")
    assert b"not for plugins" not in answer.body
    if answer.status == 200:
        assert "out" not in answer.json
    else:
        assert entry["error"]
    for snapshot in (runtime.state / "plugins").rglob("*"):
        assert not snapshot.is_symlink()
        assert snapshot.name != "secret.txt"


def test_manifest_is_read(runtime):
    runtime.put_plugin("named", {**version(1), "manifest.json": json.dumps(
        {"name": "named", "display_name": "With a Name", "description": "Says so",
         "version": "2.5.0"})})
    entry = runtime.wait_plugin("named", lambda p: p and p["state"] == "ready")
    assert (entry["display_name"], entry["description"], entry["version"]) == \
        ("With a Name", "Says so", "2.5.0")


def test_a_bad_manifest_is_an_error_of_that_plugin(runtime):
    runtime.put_plugin("misled", {**version(1), "manifest.json": '{"name": '})
    entry = runtime.wait_plugin("misled", lambda p: p and p.get("error"))
    assert "manifest.json" in entry["error"]
    assert runtime.execute("answers", {"action": "none"}).status == 200


def test_refresh_by_signal(runtime):
    """Without automatic refresh a change waits for SIGHUP, the CLI, or five minutes."""
    with Runtime({"one": version(1)},
                 env={"MOZAIKS_AUTO_REFRESH_PLUGINS": "0", "ENV": "production"}) as r:
        assert r.execute("one").json == {"version": 1}
        r.put_plugin("one", version(2))
        time.sleep(2)
        assert r.execute("one").json == {"version": 1}
        r.director.signal(signal.SIGHUP)
        wait_for(lambda: r.execute("one").json == {"version": 2}, "SIGHUP")
        r.put_plugin("one", version(3))
        r.ctl("plugin", "refresh")
        wait_for(lambda: r.execute("one").json == {"version": 3}, "refresh")


# The last good version

FAILURES = {
    "raises": ("raise RuntimeError('will not load')", "will not load"),
    "dies": ("import os\nos._exit(7)", "status 7"),
    # Longer than a version must serve to be good: living is not serving.
    "late": ("import time\ntime.sleep(3)\nraise RuntimeError('not at all')", "not at all"),
}


def snapshots(runtime, plugin):
    folder = runtime.state / "plugins" / plugin
    return {p.name for p in folder.iterdir() if len(p.name) == 64}


@pytest.mark.parametrize("way", FAILURES)
def test_the_last_good_version_outlives_a_restart(way):
    """What serves when the newest version does not load, also when nothing of the old one runs."""
    code, error = FAILURES[way]
    with Runtime({"fragile": version(1)}, env={"MOZAIKS_PLUGIN_GOOD_SECONDS": "1"}) as r:
        wait_for(answers_with(r, "fragile", 1), "version 1")
        good = r.status("fragile")["serving"]
        mark = r.state / "plugins" / "fragile" / ".good"
        wait_for(lambda: mark.exists() and mark.read_text() == good, "a good version")

        def the_good_one_serves():
            status = wait_for(lambda: next((s for s in [r.status("fragile")] if s["error"] and
                                            s["serving"] == good), None), "the error")
            assert error in status["error"] and status["version"] != good
            assert status["state"] == "ready" and status["last_exit"]["version"] != good
            assert answers_with(r, "fragile", 1)()
            return status
        r.put_plugin("fragile", version(2, code))
        the_good_one_serves()
        r.stop()
        assert mark.read_text() == good and good in snapshots(r, "fragile")
        r.start()
        wait_for(answers_with(r, "fragile", 1), "the last good version")
        bad = the_good_one_serves()["version"]
        assert snapshots(r, "fragile") == {good, bad}

        r.put_plugin("fragile", version(3))
        wait_for(answers_with(r, "fragile", 3), "the repaired version")
        status = r.status("fragile")
        assert status["error"] is None and status["serving"] == status["version"]
        wait_for(lambda: snapshots(r, "fragile") == {status["version"]},
                 "the end of the old snapshots")


# 500 requests a second

RATE = 500
RELOADS = 20
CONNECTIONS = 24


class Load:
    """Requests at a fixed rate over connections that are kept, from several users; each answer is
    counted, and whatever is no 200 is kept with its time."""

    def __init__(self, runtime, plugin, rate):
        self.runtime, self.plugin, self.rate = runtime, plugin, rate
        self.bad, self.seen, self.sent = [], collections.Counter(), 0
        self.end = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def _request(self, i):
        body = b'{"n": 1}'
        return (f"POST /api/execute/{self.plugin} HTTP/1.1\r\nHost: t\r\n"
                f"Authorization: Bearer {mint(f'user{i % 8}')}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    async def _connection(self, i, due):
        request = self._request(i)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.runtime.port)
        while await due.get():
            writer.write(request)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_SECONDS)
            size = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
            body = await asyncio.wait_for(reader.readexactly(size), PATIENCE_SECONDS)
            if head.startswith(b"HTTP/1.1 200 "):
                self.seen[json.loads(body)["version"]] += 1
            else:
                self.bad.append((time.monotonic(), head, body))
        writer.close()

    async def _run(self):
        due = asyncio.Queue()
        connections = [asyncio.create_task(self._connection(i, due)) for i in range(CONNECTIONS)]
        self.started = time.monotonic()
        while not self.end.is_set():
            wanted = int((time.monotonic() - self.started) * self.rate)
            while self.sent < wanted:
                due.put_nowait(True)
                self.sent += 1
            await asyncio.sleep(0.002)
        # So long they were due; what is still waiting is answered, too.
        self.seconds = time.monotonic() - self.started
        for _ in connections:
            due.put_nowait(False)
        results = await asyncio.gather(*connections, return_exceptions=True)
        # A connection that breaks is a request that failed.
        self.bad += [(time.monotonic(), repr(r), b"") for r in results if r is not None]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


def test_twenty_reloads_under_load_fail_no_request():
    """A new version takes over while 500 requests a second come, twenty times; each of them takes a
    moment, so that there are always some in the version that gives way."""
    def numbered(n):
        return {"logic.py": f"import asyncio\n\n\nasync def execute(data):\n"
                            f"    await asyncio.sleep(0.01)\n    return {{'version': {n}}}\n"}
    with Runtime({"busy": numbered(0)}, env={"MOZAIKS_PLUGIN_SETTLE_MS": "50"}) as r:
        wait_for(answers_with(r, "busy", 0), "version 0")
        with Load(r, "busy", RATE) as load:
            for n in range(1, RELOADS + 1):
                r.put_plugin("busy", numbered(n))
                wait_for(lambda n=n: load.seen[n] > 0 or load.bad, f"version {n}")
                wait_for(lambda n=n, s=load.seen[n]: load.seen[n] > s + 50 or load.bad,
                         f"requests in version {n}")
        assert not load.bad, load.bad[:3]
        # Every version served, and every request that was due was answered.
        assert set(load.seen) == set(range(RELOADS + 1)), load.seen
        assert sum(load.seen.values()) == load.sent
        assert load.sent >= RATE * load.seconds * 0.9 and load.sent > RELOADS * 50
        # What gave way is gone: one worker, of the last version.
        wait_for(lambda: len(r.status("busy")["workers"]) == 1, "the end of the old versions")
        status = r.status("busy")
        assert status["exit_reasons"] == {"replaced": RELOADS}, status["exit_reasons"]
        assert status["counters"]["starts"] == RELOADS + 1
        # Of what is on the disk no more is kept than may be needed: this version, a good one.
        wait_for(lambda: len(snapshots(r, "busy")) <= 2, "the end of the old snapshots")
        assert status["version"] in snapshots(r, "busy")
