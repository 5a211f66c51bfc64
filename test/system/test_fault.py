"""kill -9 under a load of writes: what was acknowledged is there afterwards, once, and nothing that
nobody wrote.

The history of every write is kept: acknowledged (200), refused (nothing was done), or unknown (the
connection or the worker was lost: it may be there or not). KILL_POINTS says how many kills there are
per store, spread over the victims; KILL_SEED repeats a run.
"""
import contextlib
import http.client
import os
import random
import threading
import time
import uuid

import pytest

from conftest import PLUGINS, needs_root
from runtime import Runtime, command_of, mint, wait_for

KILL_POINTS = int(os.environ.get("KILL_POINTS", "16"))
SEED = int(os.environ.get("KILL_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
WRITERS = 6
COLLECTION = "history"
# The kills are ours: no plugin is to be switched off for them, and no user to be slowed down.
UNSUPERVISED = {"MOZAIKS_BREAKER_BURST": "0", "MOZAIKS_BREAKER_CRASHES": "0",
                "MOZAIKS_BREAKER_FAILED_STARTS": "0", "MOZAIKS_QUARANTINE_CRASHES": "0",
                "MOZAIKS_QUARANTINE_USER_CRASHES": "0"}


class Writer(threading.Thread):
    """One user that inserts 0, 1, 2 … and keeps what became of each."""

    def __init__(self, runtime, n):
        super().__init__(daemon=True)
        self.runtime, self.user = runtime, f"writer-{n}-{uuid.uuid4().hex[:6]}"
        self.token = mint(self.user)
        self.ok, self.refused, self.unknown = [], [], []
        self.end = threading.Event()

    def run(self):
        n = 0
        while not self.end.is_set():
            self._write(n)
            n += 1

    def _write(self, n):
        data = {"collection": COLLECTION, "op": "insert_one",
                "args": [{"_id": f"{self.user}/{n}", "n": n, "fill": "x" * 200}]}
        try:
            answer = self.runtime.execute("store", data, token=self.token, timeout=40)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, ConnectionRefusedError):
                self.refused.append(n)
                time.sleep(0.02)
            else:
                self.unknown.append(n)
            return
        if answer.status == 200 and "inserted_id" in answer.json:
            self.ok.append(n)
        elif answer.status in (404, 429, 503):
            self.refused.append(n)
            time.sleep(0.02)
        else:
            self.unknown.append(n)


def check(runtime, writers):
    """The verdict over all histories."""
    for w in writers:
        answer = wait_for(lambda w=w: next((a for a in [runtime.execute(
            "store", {"collection": COLLECTION, "op": "find", "args": [{}, {"n": 1}]},
            token=w.token)] if a.status == 200), None), 30, "reading back")
        found = [d["n"] for d in answer.json["documents"]]
        assert len(found) == len(set(found)), f"{w.user}: written twice (seed {SEED})"
        found = set(found)
        lost = set(w.ok) - found
        assert not lost, f"{w.user}: acknowledged and lost: {sorted(lost)[:10]} (seed {SEED})"
        ghosts = found - set(w.ok) - set(w.unknown)
        assert not ghosts, f"{w.user}: refused and there: {sorted(ghosts)[:10]} (seed {SEED})"
    assert sum(len(w.ok) for w in writers) > 50, "hardly anything was written"


def worker_of(runtime, plugin):
    return next((pid for pid in runtime.workers()
                 if os.path.isdir(f"/proc/{pid}/root/plugins/{plugin}")), None)


def zygote_of(runtime):
    """The parent of a worker."""
    from runtime import stat_of
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


def serving(runtime):
    """Waits until the plugin answers. Killed again and again its restarts come later and later; a new
    version starts at once."""
    asked, last = 0, None

    def answered():
        nonlocal asked, last
        asked += 1
        try:
            last = runtime.execute("store", {"collection": "probe", "op": "count_documents",
                                             "args": [{}]})
        except (OSError, http.client.HTTPException) as error:
            last = error
            return False
        if last.status == 503 and asked % 50 == 0:
            (runtime.plugins / "store" / "version.txt").write_text(str(time.monotonic()))
        return last.status == 200
    try:
        wait_for(answered, 30, "serving again")
    except AssertionError:
        pytest.fail(f"not serving again in 30 s: {last}\n{runtime.log[-4000:]}", pytrace=False)


@pytest.mark.parametrize("victim", ["worker", "zygote", "pluginhost", "director"])
def test_nothing_acknowledged_is_lost(runtime, victim):
    chance = random.Random(f"{SEED}-{victim}")
    writers = [Writer(runtime, n) for n in range(WRITERS)]
    serving(runtime)
    for w in writers:
        w.start()
    try:
        for _ in range(max(1, KILL_POINTS // 4)):
            time.sleep(chance.uniform(0.05, 0.6))
            getattr(Victims(runtime), victim)()
            serving(runtime)
    finally:
        for w in writers:
            w.end.set()
        for w in writers:
            w.join(60)
    assert not any(w.is_alive() for w in writers)
    check(runtime, writers)


def test_after_pluginhost_s_death_no_worker_is_left(runtime):
    serving(runtime)
    old = {pid: command_of(pid) for pid in runtime.workers()}
    assert old
    runtime.pluginhost.kill()
    wait_for(lambda: not [p for p in old if os.path.exists(f"/proc/{p}") and
                          command_of(p) == old[p] != ""], 5, "the end of its workers")
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
    wait_for(lambda: worker_of(runtime, "store") != worker, 10, "the end of the worker")
    runtime.start_director()
    serving(runtime)


def test_stopped_under_load(runtime):
    """SIGTERM: what was acknowledged is there after the next start."""
    serving(runtime)
    writers = [Writer(runtime, n) for n in range(WRITERS)]
    for w in writers:
        w.start()
    time.sleep(0.7)
    statuses = runtime.stop()
    for w in writers:
        w.end.set()
    for w in writers:
        w.join(60)
    assert statuses == [0, 0] and not runtime.leaked()
    runtime.start()
    check(runtime, writers)
