"""kill -9 under a load of writes: what was acknowledged is there afterwards, once, and nothing that
nobody wrote (history.py).

KILL_POINTS says how many kills there are per store, spread over the victims; KILL_SEED repeats a run.
What happens when the database itself is killed: test/conformance/test_store_faults.py.
"""
import contextlib
import os
import random
import time
import uuid

import pytest

from conftest import PLUGINS, needs_root
from history import KILL_POINTS, SEED, UNSUPERVISED, Writers, serving
from runtime import Runtime, command_of, stat_of, wait_for


def worker_of(runtime, plugin):
    return next((pid for pid in runtime.workers()
                 if os.path.isdir(f"/proc/{pid}/root/plugins/{plugin}")), None)


def zygote_of(runtime):
    """The parent of a worker."""
    worker = worker_of(runtime, "store")
    return stat_of(worker)[1] if worker else None


class Victims:
    """How each process is killed and comes back."""

    def __init__(self, runtime):
        self.runtime = runtime

    def worker(self):
        self._kill(worker_of(self.runtime, "store"))

    def zygote(self):
        self._kill(zygote_of(self.runtime))

    def pluginhost(self):
        self.runtime.pluginhost.kill()
        self.runtime.start_pluginhost()

    def director(self):
        self.runtime.director.kill()
        self.runtime.start_director()

    def _kill(self, pid):
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


@pytest.fixture(scope="module")
def runtime(store):
    needs_root("only root finds and kills workers of other users")
    with Runtime({"store": PLUGINS / "store", "answers": PLUGINS / "answers"}, store,
                 app=f"app-{uuid.uuid4().hex[:12]}", env=UNSUPERVISED) as r:
        yield r


@pytest.mark.parametrize("victim", ["worker", "zygote", "pluginhost", "director"])
def test_nothing_acknowledged_is_lost(runtime, victim):
    chance = random.Random(f"{SEED}-{victim}")
    serving(runtime)
    with Writers(runtime) as writers:
        for _ in range(max(1, KILL_POINTS // 4)):
            writers.acknowledge(10)
            time.sleep(chance.uniform(0, 0.5))
            getattr(Victims(runtime), victim)()
            serving(runtime)
    writers.check()


def test_after_pluginhost_s_death_no_worker_is_left(runtime):
    serving(runtime)
    old = {pid: command_of(pid) for pid in runtime.workers()}
    assert old
    runtime.pluginhost.kill()
    wait_for(lambda: not [p for p in old if os.path.exists(f"/proc/{p}") and
                          command_of(p) == old[p] != ""], "the end of its workers")
    # The director goes on with what needs no plugin.
    assert runtime.get("/livez").status == 200
    answer = runtime.execute("answers", {"action": "none"})
    assert answer.status in (502, 503), answer
    runtime.start_pluginhost()
    serving(runtime)
    assert runtime.execute("answers", {"action": "none"}).status == 200


def test_after_the_director_s_death_workers_end(runtime):
    """Closing the channel is the cut."""
    serving(runtime)
    worker = worker_of(runtime, "store")
    runtime.director.kill()
    wait_for(lambda: worker_of(runtime, "store") != worker, "the end of the worker")
    runtime.start_director()
    serving(runtime)
    # What the killed one left is in nobody's way.
    assert not [r for r in runtime.director.records if r.get("id") == "worker.start_failed"]


def test_stopped_under_load(runtime):
    """SIGTERM: what was acknowledged is there after the next start."""
    serving(runtime)
    with Writers(runtime) as writers:
        writers.acknowledge(50)
        statuses = runtime.stop()
    assert statuses == [0, 0] and not runtime.leaked()
    runtime.start()
    writers.check()
