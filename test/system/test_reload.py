"""Plugin directories come, change and go while the runtime serves."""
import json
import signal
import threading
import time

import pytest

from conftest import PLUGINS
from runtime import Runtime, wait_for

SECONDS = 20


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
    wait_for(answers_with(runtime, "added", 1), SECONDS, "the new plugin")
    assert runtime.plugin("added")["enabled"] is True


def test_a_single_file(runtime):
    """A plugin may be one module."""
    runtime.put_plugin("solid", version(3))
    wait_for(answers_with(runtime, "solid", 3), SECONDS, "the plugin")


def test_changed_without_a_failed_request(runtime):
    runtime.put_plugin("steady", version(1))
    wait_for(answers_with(runtime, "steady", 1), SECONDS, "version 1")
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
            wait_for(lambda n=n: n in seen, SECONDS, f"version {n}")
    finally:
        end.set()
        thread.join()
    assert not bad and seen == [1, 2, 3]


def test_a_broken_change_keeps_the_old_version(runtime):
    runtime.put_plugin("fragile", version(1))
    wait_for(answers_with(runtime, "fragile", 1), SECONDS, "version 1")
    runtime.put_plugin("fragile", version(2, "raise RuntimeError('will not load')"))
    entry = runtime.wait_plugin("fragile", lambda p: p and "will not load" in (p.get("error") or ""))
    assert entry["error"]
    for _ in range(10):
        assert answers_with(runtime, "fragile", 1)()
        time.sleep(0.05)
    runtime.put_plugin("fragile", version(3))
    wait_for(answers_with(runtime, "fragile", 3), SECONDS, "the repaired version")
    runtime.wait_plugin("fragile", lambda p: not p.get("error"))


def test_calls_in_the_old_version_end_in_it(runtime):
    slow = ("import asyncio\n\n\nasync def execute(data):\n    await asyncio.sleep(2)\n"
            "    return {'version': 'old'}\n")
    runtime.put_plugin("drained", {"logic.py": slow})
    runtime.wait_plugin("drained", lambda p: p and p["state"] == "ready")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(runtime.execute("drained")))
    thread.start()
    time.sleep(0.2)
    runtime.put_plugin("drained", version(2))
    thread.join()
    assert answers[0].status == 200 and answers[0].json == {"version": "old"}
    wait_for(answers_with(runtime, "drained", 2), SECONDS, "version 2")


def test_removed(runtime):
    runtime.put_plugin("leaving", version(1))
    wait_for(answers_with(runtime, "leaving", 1), SECONDS, "the plugin")
    runtime.remove_plugin("leaving")
    wait_for(lambda: runtime.execute("leaving").status == 404, SECONDS, "its removal")
    assert runtime.plugin("leaving") is None


def test_removed_and_back(runtime):
    runtime.put_plugin("returning", version(1))
    wait_for(answers_with(runtime, "returning", 1), SECONDS, "the plugin")
    runtime.remove_plugin("returning")
    wait_for(lambda: runtime.execute("returning").status == 404, SECONDS, "its removal")
    runtime.put_plugin("returning", version(2))
    wait_for(answers_with(runtime, "returning", 2), SECONDS, "its return")


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
        wait_for(lambda: r.execute("one").json == {"version": 2}, SECONDS, "SIGHUP")
        r.put_plugin("one", version(3))
        r.ctl("plugin", "refresh")
        wait_for(lambda: r.execute("one").json == {"version": 3}, SECONDS, "refresh")
