"""A plugin that dies takes only its own calls with it."""
import concurrent.futures
import os
import signal
import time

import pytest

from conftest import PLUGINS, needs_root
from runtime import Neighbour, Runtime, wait_for

WAYS = ["exit", "abort", "segv", "recursion"]


@pytest.fixture(scope="module")
def runtime():
    plugins = {name: PLUGINS / name for name in ("answers", "busy")}
    plugins.update({f"crash_{way}": PLUGINS / "crash" for way in WAYS})
    plugins["once"] = PLUGINS / "crash"
    plugins["starter"] = {"logic.py": "import os\nos._exit(7)\n"}
    with Runtime(plugins) as r:
        yield r


@pytest.mark.parametrize("way", WAYS)
def test_502_and_back_again(runtime, way):
    plugin = f"crash_{way}"
    with Neighbour(runtime) as neighbour:
        answer = runtime.execute(plugin, {"action": way})
        assert answer.status == 502, answer
        back = wait_for(lambda: next((a for a in [runtime.execute(plugin)] if a.status == 200), None),
                        "the new worker")
        assert back.json == {"started": 1}
    assert not neighbour.bad and neighbour.good > 0
    entry = runtime.plugin(plugin)
    assert entry["state"] == "ready"


def test_only_the_calls_in_that_worker_fail(runtime):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        others = [pool.submit(runtime.execute, "busy", {"action": "sleep", "seconds": 2}, f"u{i}")
                  for i in range(4)]
        runtime.wait_in_flight("busy", 4)
        assert runtime.execute("once", {"action": "exit"}).status == 502
        assert [o.result().status for o in others] == [200] * 4


def test_calls_wait_for_the_new_worker(runtime):
    """After one crash the next call is not refused: it waits for the worker that is coming."""
    wait_for(lambda: runtime.execute("once").status == 200, "a worker")
    assert runtime.execute("once", {"action": "exit"}).status == 502
    assert runtime.execute("once").status in (200, 503)


def test_the_last_exit_is_shown(runtime):
    wait_for(lambda: runtime.execute("once").status == 200, "a worker")
    runtime.execute("once", {"action": "exit", "status": 9})
    text = wait_for(lambda: next((t for t in [str(runtime.ctl("plugin", "list").stdout)]
                                  if "once" in t), None), "the list")
    assert "once" in text
    wait_for(lambda: "9" in str([r for r in runtime.records if r.get("plugin") == "once"]),
             "the reason in the log")


def test_a_plugin_that_dies_at_import_backs_off(runtime):
    """Restarts get rarer; the machine is not kept busy with it."""
    entry = runtime.plugin("starter")
    assert entry["state"] != "ready" and entry["error"]
    answer = runtime.execute("starter")
    assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1

    def starts():
        return sum(r.get("plugin") == "starter" and "exit" in str(r) for r in runtime.records)
    before = starts()
    time.sleep(5)
    assert starts() - before <= 6


def test_killed_from_outside(runtime):
    """SIGKILL, as the kernel or an operator may send it."""
    needs_root("only root sees into the mount namespaces of the workers")
    wait_for(lambda: runtime.execute("busy", {"action": "stats"}).status == 200, "the worker")
    pid = next(pid for pid in runtime.workers() if os.path.isdir(f"/proc/{pid}/root/plugins/busy"))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(runtime.execute, "busy", {"action": "sleep", "seconds": 25})
        runtime.wait_in_flight("busy", 1)
        os.kill(pid, signal.SIGKILL)
        assert call.result().status == 502
    wait_for(lambda: runtime.execute("busy", {"action": "stats"}).status == 200, "a new worker")
