"""Writes of many users while something is killed or cut, and the verdict over them.

What became of each write is kept: acknowledged, refused (nothing was done), or unknown (it may be there
or not). In the end what was acknowledged is there, once, what was refused is not, and nothing is there
that nobody wrote. The plugin is test/plugins/store.
"""
import http.client
import os
import random
import threading
import time
import uuid

import pytest

from runtime import PATIENCE_SECONDS, mint, wait_for

# How many kills and cuts a run makes, and the seed that repeats it.
KILL_POINTS = int(os.environ.get("KILL_POINTS", "20"))
SEED = int(os.environ.get("KILL_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
WRITERS = 6
# Documents read back at a time: an answer has a limit, and a run may write more than it holds.
PAGE = 5000
# The kills are ours: no plugin is to be switched off for them, and no user to be slowed down.
UNSUPERVISED = {"MOZAIKS_BREAKER_BURST": "0", "MOZAIKS_BREAKER_CRASHES": "0",
                "MOZAIKS_BREAKER_FAILED_STARTS": "0", "MOZAIKS_QUARANTINE_CRASHES": "0",
                "MOZAIKS_QUARANTINE_USER_CRASHES": "0"}


class Writer(threading.Thread):
    """One user that inserts 0, 1, 2 … and counts them in one document."""

    def __init__(self, runtime, n, collection):
        super().__init__(daemon=True)
        self.runtime, self.user = runtime, f"writer-{n}-{uuid.uuid4().hex[:6]}"
        self.collection = collection
        self.token = mint(self.user)
        self.ok, self.refused, self.unknown, self.wrong = [], [], [], []
        self.end = threading.Event()

    def run(self):
        n = 0
        while not self.end.is_set():
            outcome = self._write(n)
            outcome.append(n)
            if outcome is self.refused:
                time.sleep(0.02)
            n += 1

    def _write(self, n):
        data = {"collection": self.collection, "op": "insert_one",
                "args": [{"_id": f"{self.user}/{n}", "n": n, "fill": "x" * 200}]}
        try:
            answer = self.runtime.execute("store", data, token=self.token, timeout=60)
        except ConnectionRefusedError:
            return self.refused
        except (OSError, http.client.HTTPException):
            return self.unknown
        if answer.status == 200:
            return self._outcome_of(answer.json)
        return self.refused if answer.status in (404, 429, 503) else self.unknown

    def _outcome_of(self, answer):
        if "inserted_id" in answer:
            return self.ok
        outcomes = {"Unavailable": self.refused, "UnknownOutcome": self.unknown,
                    "CallEnded": self.unknown}
        if answer.get("failed") not in outcomes:
            self.wrong.append(answer)
        return outcomes.get(answer.get("failed"), self.unknown)


class Writers:
    """With `with`: at work until the end of it; then check(). In a collection of their own: a server
    that has no use for an index reads all of it for each of them."""

    def __init__(self, runtime):
        self.runtime = runtime
        collection = f"history-{uuid.uuid4().hex[:6]}"
        self.all = [Writer(runtime, n, collection) for n in range(WRITERS)]

    def __enter__(self):
        for w in self.all:
            w.start()
        return self

    def __exit__(self, kind, value, trace):
        for w in self.all:
            w.end.set()
        for w in self.all:
            w.join(PATIENCE_SECONDS + 30)

    def acknowledged(self):
        return sum(len(w.ok) for w in self.all)

    def refused(self):
        return sum(len(w.refused) for w in self.all)

    def acknowledge(self, n):
        """Waits until so many more are acknowledged."""
        before = self.acknowledged()
        wait_for(lambda: self.acknowledged() >= before + n,
                 f"{n} acknowledged writes (seed {SEED})")

    def check(self, keeps=True):
        """The verdict. `keeps`: the database keeps what it has acknowledged when it is killed."""
        assert not any(w.is_alive() for w in self.all)
        for w in self.all:
            assert not w.wrong, f"{w.user}: {w.wrong[:3]} (seed {SEED})"
            found = read_back(self.runtime, w)
            assert len(found) == len(set(found)), f"{w.user}: written twice (seed {SEED})"
            found = set(found)
            lost = set(w.ok) - found
            assert not (keeps and lost), \
                f"{w.user}: acknowledged and lost: {sorted(lost)[:10]} (seed {SEED})"
            ghosts = found - set(w.ok) - set(w.unknown)
            assert not ghosts, f"{w.user}: refused and there: {sorted(ghosts)[:10]} (seed {SEED})"


def read_back(runtime, writer):
    found, last = [], ""
    while True:
        page = read_page(runtime, writer, last)
        found += [d["n"] for d in page]
        if len(page) < PAGE:
            return found
        last = page[-1]["_id"]


def read_page(runtime, writer, after):
    got = None

    def documents():
        nonlocal got
        got = runtime.execute("store", {"collection": writer.collection, "op": "find",
                                        "args": [{"_id": {"$gt": after}}, {"n": 1}],
                                        "sort": "_id", "limit": PAGE}, token=writer.token)
        return got.json if got.status == 200 and "documents" in got.json else None
    try:
        return wait_for(documents, "reading back")["documents"]
    except AssertionError:
        pytest.fail(f"not read back: {got} (seed {SEED})\n{runtime.log[-4000:]}", pytrace=False)


def serving(runtime):
    """Waits until the plugin answers and its database does. Killed again and again its restarts come
    later and later; a new version starts at once."""
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
        return last.status == 200 and "result" in last.json
    try:
        wait_for(answered, "serving again")
    except AssertionError:
        pytest.fail(f"not serving again: {last}\n{runtime.log[-4000:]}", pytrace=False)
