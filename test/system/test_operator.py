"""What an operator sees of a plugin and can do to it: over HTTP with the role, and with mozaiksctl."""
import concurrent.futures
import json
import re
import sqlite3
import time

import pytest

from conftest import PLUGINS, cannot_run, needs_root
from runtime import PATIENCE_SECONDS, Runtime, mint, wait_for

PATH = "/__mozaiks/admin/plugins"
# How the worker ends -> (status of the call, reason, what the text says, what it counts as).
ENDS = {
    "exit": (502, ["exit"], "status 3", "crashes"),
    "signal": (502, ["signal"], "SIGSEGV", "crashes"),
    "denied_syscall": (502, ["denied_syscall"], "SIGSYS", "crashes"),
    "out_of_memory": (502, ["out_of_memory"], "MOZAIKS_SANDBOX_MEMORY", "crashes"),
    "hung": (504, ["hung", "deadline"], "", "kills"),
    "deadline": (504, ["deadline"], "cancelled", "kills"),
    "protocol_violation": (502, ["protocol_violation"], "protocol", "kills"),
    "closed": (502, ["protocol_violation"], "channel", "kills"),
}


@pytest.fixture(scope="module")
def runtime():
    plugins = {f"ends_{way}": PLUGINS / "ends" for way in ENDS}
    plugins.update({"quiet": PLUGINS / "ends", "answers": PLUGINS / "answers",
                    "unloadable": {"logic.py": "raise ValueError('of the import')\n"}})
    with Runtime(plugins, env={"MOZAIKS_PLUGIN_TIMEOUT_SECONDS": "4"}) as r:
        yield r


def operator():
    return mint("olga", roles=["superadmin"])


def status(runtime, name):
    answer = runtime.get(f"{PATH}/{name}", token=operator())
    assert answer.status == 200, answer
    return answer.json


def serves(runtime, name, data=None):
    return wait_for(lambda: runtime.execute(name, data).status == 200, f"a worker of {name}")


# Who may look

@pytest.mark.parametrize("path", [PATH, f"{PATH}/answers", f"{PATH}/nobody"])
def test_for_operators_only(runtime, path):
    assert runtime.get(path).status == 401
    assert runtime.get(path, token="nonsense").status == 401
    for token in (mint("alice"), mint("alice", roles=["admin"]), mint("superadmin")):
        answer = runtime.get(path, token=token)
        assert answer.status == 403 and answer.json["code"] == "forbidden"
        assert "ends" not in answer.body.decode()
    known = 404 if path.endswith("nobody") else 200
    for token in (operator(), mint("olga", is_superadmin=True)):
        assert runtime.get(path, token=token).status == known


def test_the_role_is_a_setting():
    with Runtime({"answers": PLUGINS / "answers"}, env={"MOZAIKS_SUPERADMIN_ROLE": "chief"}) as r:
        assert r.get(PATH, token=mint("olga", roles=["superadmin"])).status == 403
        assert r.get(PATH, token=mint("olga", roles=["chief"])).status == 200


# What there is to see

def test_workers_and_their_sandboxes(runtime):
    serves(runtime, "quiet")
    plugin = status(runtime, "quiet")
    (worker,) = plugin["workers"]
    assert (worker["tenant"], worker["user"]) == ("all", None)
    assert worker["state"] == "ready" and worker["version"] == plugin["version"] == plugin["serving"]
    sandbox = worker["sandbox"]
    assert sandbox["tier"] in (1, 2, 3) and sandbox["profile"] == "python"
    assert {"namespaces", "landlock", "seccomp", "cgroup"} <= set(sandbox)
    listed = runtime.get(PATH, token=operator()).json
    assert {p["id"] for p in listed["plugins"]} >= {"quiet", "answers", "unloadable"}
    (host,) = listed["pluginhosts"]
    assert host["connected"] and host["report"]["sandbox"]["tier"] == sandbox["tier"]


def test_counters(runtime):
    serves(runtime, "answers", {"action": "true"})
    before = status(runtime, "answers")["counters"]
    for action, code in (("true", 200), ("raise", 500), ("true", 200)):
        assert runtime.execute("answers", {"action": action}).status == code
    after = status(runtime, "answers")["counters"]
    assert after["calls"] - before["calls"] == 3 and after["errors"] - before["errors"] == 1
    assert after["starts"] == 1 and after["crashes"] == after["kills"] == after["deadlines"] == 0


@pytest.mark.parametrize("way", ENDS)
def test_why_a_worker_ended(runtime, way):
    code, reasons, text, counted = ENDS[way]
    name = f"ends_{way}"
    serves(runtime, name)
    if way == "out_of_memory" and status(runtime, name)["workers"][0]["sandbox"]["cgroup"] == "none":
        needs_root("an ordinary user's workers are in no cgroup that limits their memory")
        cannot_run("kernel: no cgroup limits memory here")
    born = runtime.execute(name).json["born"]
    asked = {"Content-Type": "application/json", "X-Request-Id": f"the-request-{way}"}
    answer = runtime.request("POST", f"/api/execute/{name}", json.dumps({"action": way}), asked,
                             mint("mallory"))
    assert answer.status == code, answer
    # The reason comes with pluginhost's report, a moment after the channel has closed.
    wait_for(lambda: (status(runtime, name)["exits"] or [{}])[0].get("cpu_ms") is not None,
             "the report")
    plugin = status(runtime, name)
    (end,) = plugin["exits"]
    assert plugin["last_exit"] == end
    assert end["reason"] in reasons and text in end["text"], end
    assert end["version"] == plugin["version"] and end["worker"] > 0
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", end["at"])
    assert end["in_flight"] == 1
    (call,) = end["calls"]
    assert (call["user"], call["kind"]) == ("mallory", "execute") and call["ms"] >= 200
    assert call["request_id"] == f"the-request-{way}"
    said = " ".join(end["log"])
    assert f"last words before {way}" in said and f"last line before {way}" in said
    assert end["output"] == [f"raw words before {way}"]
    counters = plugin["counters"]
    assert counters["memory_peak"] is None or counters["memory_peak"] > 1 << 20
    assert {n: counters[n] for n in ("crashes", "kills", "failed_starts")} == {
        "crashes": 0, "kills": 0, "failed_starts": 0, counted: 1}
    assert counters["deadlines"] == (code == 504)
    assert sum(plugin["exit_reasons"].values()) == 1
    if way == "exit":
        assert end["status"] == 3 and end["signal"] is None
    if way == "signal":
        assert end["signal"] == 11
    if way == "denied_syscall":
        # By name where the kernel's log can be read.
        assert end["signal"] == 31 and end["syscall"] in ("unshare", None)
    serves(runtime, name)
    assert runtime.execute(name).json["born"] > born


def test_a_plugin_that_cannot_be_loaded(runtime):
    plugin = wait_for(lambda: next((p for p in [status(runtime, "unloadable")]
                                    if p["last_exit"]), None), "its failure")
    assert "of the import" in plugin["error"]
    assert plugin["last_exit"]["reason"] == "init_failed"
    assert plugin["counters"]["failed_starts"] >= 1 and plugin["counters"]["crashes"] == 0


def test_the_history_is_bounded():
    with Runtime({"ends": PLUGINS / "ends"}, env={"MOZAIKS_EXITS_KEPT": "2"}) as r:
        for n in (1, 2, 3):
            serves(r, "ends")
            r.execute("ends", {"action": "exit", "status": n})
        wait_for(lambda: [e["status"] for e in status(r, "ends")["exits"]] == [3, 2],
                 "the last two")
        assert status(r, "ends")["counters"]["crashes"] == 3


# What an operator can do

def call(runtime, name, **data):
    return runtime.execute(name, data)


def test_status_for_people(runtime):
    serves(runtime, "quiet")
    lines = runtime.ctl("plugin", "status").stdout.splitlines()
    row = next(line for line in lines if line.startswith("quiet "))
    assert lines[0].startswith("ID") and " ready " in row and " closed " in row
    text = runtime.ctl("plugin", "status", "ends_exit").stdout
    assert "profile=python" in text and "exit_reasons" in text
    if status(runtime, "ends_exit")["last_exit"]:
        assert "exited with status 3" in text and "last words before exit" in text
        assert "execute of mallory, request the-request-exit" in text
    assert json.loads(runtime.ctl("plugin", "status", "quiet", "--json").stdout)["id"] == "quiet"


@pytest.mark.parametrize("action", ["status", "restart", "reset", "enable", "disable"])
def test_a_plugin_that_is_not_there(runtime, action):
    done = runtime.ctl("plugin", action, "nobody", check=False)
    assert done.returncode == 4 and "There is no plugin 'nobody'" in done.stderr


def test_restart_fails_no_call(runtime):
    serves(runtime, "quiet")
    born = runtime.execute("quiet").json["born"]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(call, runtime, "quiet", action="sleep", seconds=1.5)
        time.sleep(0.3)
        runtime.ctl("plugin", "restart", "quiet")
        seen, deadline = born, time.monotonic() + PATIENCE_SECONDS
        while seen == born and time.monotonic() < deadline:
            answer = runtime.execute("quiet")
            assert answer.status == 200, answer
            seen = answer.json["born"]
        assert seen > born
        assert running.result().status == 200
    wait_for(lambda: len(status(runtime, "quiet")["workers"]) == 1, "the old one's end")
    plugin = status(runtime, "quiet")
    assert plugin["exits"][0]["reason"] == "replaced" and not plugin["last_exit"]
    assert plugin["counters"]["starts"] == 2 and plugin["counters"]["errors"] == 0


def test_reset_closes_the_breaker():
    with Runtime({"ends": PLUGINS / "ends"}) as r:
        # As many crashes as it takes, of different users: those of one count once.
        def opened_or_serves():
            return status(r, "ends")["breaker"] == "open" or r.execute("ends").status == 200
        for n in range(12):
            wait_for(opened_or_serves, "a worker")
            r.execute("ends", {"action": "exit", "status": n + 1}, user=f"user{n}")
        plugin = wait_for(lambda: next((p for p in [status(r, "ends")] if p["breaker"] == "open"),
                                       None), "the breaker")
        assert plugin["retry_after_ms"] > 5000
        answer = r.execute("ends")
        assert answer.status == 503 and int(answer.headers["retry-after"]) > 5
        assert r.ctl("plugin", "restart", "ends").returncode == 0
        assert r.execute("ends").status == 503
        r.ctl("plugin", "reset", "ends")
        wait_for(lambda: r.execute("ends").status == 200, "a worker")
        plugin = status(r, "ends")
        assert plugin["breaker"] == "closed" and plugin["retry_after_ms"] == 0
        assert plugin["counters"]["crashes"] >= 5


def test_reset_ends_the_quarantine():
    with Runtime({"ends": PLUGINS / "ends"}) as r:
        def deadly():
            wait_for(lambda: r.execute("ends", user="other").status == 200, "a worker")
            return r.execute("ends", {"action": "exit"}, user="mallory")
        answers = []
        while not answers or answers[-1].status == 502 and len(answers) < 5:
            answers.append(deadly())
        assert answers[-1].status == 500 and answers[-1].json["code"] == "request_quarantined"
        calls = [call for end in status(r, "ends")["exits"] for call in end["calls"]]
        (fingerprint,) = {call["fingerprint"] for call in calls}
        assert re.fullmatch("[0-9a-f]{16}", fingerprint)
        r.ctl("plugin", "reset", "ends")
        assert deadly().status == 502


def public_names(runtime):
    return {p["name"] for p in runtime.list_plugins()}


def test_disable_and_enable_are_kept():
    with Runtime({"quiet": PLUGINS / "ends", "answers": PLUGINS / "answers"}) as r:
        serves(r, "quiet")
        assert r.ctl("plugin", "disable", "quiet").stdout == "quiet: disabled\n"

        def is_disabled():
            plugin = status(r, "quiet")
            assert r.execute("quiet").status == 404 and public_names(r) == {"answers"}
            assert plugin["state"] == "disabled" and plugin["enabled"] is False
            assert "quiet" in r.ctl("plugin", "list").stdout
        is_disabled()
        # Its workers shut down.
        wait_for(lambda: not status(r, "quiet")["workers"], "the end of its workers")
        assert status(r, "quiet")["exits"][0]["reason"] == "stopped"
        assert r.ctl("plugin", "restart", "quiet", check=False).returncode == 1
        # The store keeps it, whatever becomes of the file that mirrors it.
        mirror = r.configs / "plugin_registry.json"
        for spoil in (lambda: None, mirror.unlink, lambda: mirror.write_text("{"),
                      lambda: mirror.write_text('{"plugins": []}')):
            r.stop()
            spoil()
            r.start()
            wait_for(lambda: r.execute("quiet").status == 404, "what the store says")
            is_disabled()
        assert "quiet: " in r.ctl("plugin", "enable", "quiet").stdout
        serves(r, "quiet")
        r.stop()
        r.start()
        serves(r, "quiet")
        assert public_names(r) == {"answers", "quiet"}


def test_an_edit_while_nothing_runs_is_the_later_word():
    with Runtime({"quiet": PLUGINS / "ends"}) as r:
        serves(r, "quiet")
        r.ctl("plugin", "disable", "quiet")
        r.stop()
        path = r.configs / "plugin_registry.json"
        data = json.loads(path.read_text())
        assert data["plugins"][0]["enabled"] is False
        data["plugins"][0]["enabled"] = True
        path.write_text(json.dumps(data))
        r.start()
        serves(r, "quiet")
        r.stop()
        # It is in the store by now.
        path.unlink()
        r.start()
        serves(r, "quiet")


def test_a_store_that_cannot_keep_it():
    """The plugin is disabled all the same, and the operator is told."""
    with Runtime({"quiet": PLUGINS / "ends"}, env={"MOZAIKS_STORE_TIMEOUT_SECONDS": "1"}) as r:
        serves(r, "quiet")
        lock = sqlite3.connect(r.state / "mozaiks.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        try:
            done = r.ctl("plugin", "disable", "quiet", check=False)
            assert done.returncode == 1 and "could not be stored" in done.stderr, done
            assert r.execute("quiet").status == 404
        finally:
            lock.close()
