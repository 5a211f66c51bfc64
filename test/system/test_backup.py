"""mozaiksctl backup and restore: consistent while writes go on, and nothing is replaced by a file that
is not whole."""
import contextlib
import os
import pty
import signal
import sqlite3
import stat
import subprocess
import threading

import pytest

from conftest import PLUGINS
from runtime import CTL, Runtime, wait_for

OK, FAILURE, USAGE, _, NOT_FOUND = range(5)


@pytest.fixture()
def runtime():
    with Runtime({"store": PLUGINS / "store"}) as r:
        yield r


def store(runtime, op, *args, user="alice", collection="notes", **more):
    answer = runtime.execute("store", {"collection": collection, "op": op, "args": list(args), **more},
                             user=user)
    assert answer.status == 200 and "failed" not in answer.json, answer
    return answer.json


def names(runtime, **more):
    return [d["_id"] for d in store(runtime, "find", {}, **more)["documents"]]


def stop_director(runtime):
    runtime.stop()


def start(runtime):
    """Until the plugin answers again."""
    runtime.start()
    wait_for(lambda: runtime.execute("store", {"collection": "probe", "op": "count_documents",
                                               "args": [{}]}).status == 200, "serving")


def sql(path, text):
    with contextlib.closing(sqlite3.connect(path)) as db:
        rows = db.execute(text).fetchall()
        db.commit()
        return rows


class Writer(threading.Thread):
    """Pairs of documents, each pair in one insert; what was acknowledged is counted."""

    def __init__(self, runtime):
        super().__init__(daemon=True)
        self.runtime, self.n, self.end = runtime, 0, threading.Event()

    def run(self):
        while not self.end.is_set():
            store(self.runtime, "insert_many", [{"_id": f"{self.n}a"}, {"_id": f"{self.n}b"}],
                  user="writer")
            self.n += 1

    def __enter__(self):
        self.start()
        wait_for(lambda: self.n > 5, "the first writes")
        return self

    def __exit__(self, *_):
        self.end.set()
        self.join(30)


def test_a_backup_while_writes_go_on(runtime):
    target = runtime.base / "backup.db"
    store(runtime, "insert_one", {"_id": "before"})
    with Writer(runtime) as writer:
        known = writer.n
        done = runtime.ctl("backup", str(target))
        assert str(target) in done.stdout
        reached = writer.n
        wait_for(lambda: writer.n > reached, "writes after the backup")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [p.name for p in target.parent.glob("backup.db*")] == ["backup.db"]
    assert sql(target, "PRAGMA integrity_check") == [("ok",)]
    store(runtime, "insert_one", {"_id": "after"})

    stop_director(runtime)
    kept = runtime.ctl("restore", str(target)).stdout
    assert ".replaced-" in kept
    start(runtime)
    assert names(runtime) == ["before"]
    found = names(runtime, user="writer")
    # The acknowledged ones, whole pairs, without a gap.
    assert len(found) >= 2 * known
    assert found == [f"{i}{half}" for i in range(len(found) // 2) for half in "ab"]
    store(runtime, "insert_one", {"_id": "again"})
    # What was there is kept, and is whole, too.
    old = next(runtime.state.glob("mozaiks.db.replaced-*"))
    stop_director(runtime)
    runtime.ctl("restore", str(old))
    start(runtime)
    assert names(runtime) == ["before", "after"]


def test_a_backup_without_a_director(runtime):
    store(runtime, "insert_one", {"_id": "kept"})
    runtime.director.kill()
    runtime.stop()
    target = runtime.base / "backup.db"
    done = runtime.ctl("backup", str(target), "--output", "json")
    assert f'"bytes":{target.stat().st_size}' in done.stdout
    assert sql(target, "SELECT count(*) FROM doc WHERE user = 'alice'") == [(1,)]
    start(runtime)
    assert names(runtime) == ["kept"]


def test_nothing_is_overwritten_unless_told(runtime):
    target = runtime.base / "backup.db"
    target.write_text("mine")
    refused = runtime.ctl("backup", str(target), check=False)
    assert refused.returncode == FAILURE and "is there already" in refused.stderr
    assert "--force" in refused.stderr and target.read_text() == "mine"
    runtime.ctl("backup", "--force", str(target))
    assert sql(target, "PRAGMA integrity_check") == [("ok",)]
    missing = runtime.ctl("backup", str(runtime.base / "no" / "folder"), check=False)
    assert missing.returncode == NOT_FOUND and "No such file" in missing.stderr
    absent = runtime.ctl("backup", str(runtime.base / "x"), "--state", "/nonexistent", check=False)
    assert absent.returncode == NOT_FOUND and "No such file" in absent.stderr


def test_a_restore_needs_the_director_stopped(runtime):
    target = runtime.base / "backup.db"
    runtime.ctl("backup", str(target))
    store(runtime, "insert_one", {"_id": "newer"})
    refused = runtime.ctl("restore", str(target), check=False)
    assert refused.returncode == FAILURE
    assert f"pid {runtime.director.pid}" in refused.stderr
    assert names(runtime) == ["newer"]


def test_files_that_are_refused(runtime):
    good = runtime.base / "backup.db"
    store(runtime, "insert_one", {"_id": "here", "pad": "x" * 100000})
    runtime.ctl("backup", str(good))
    stop_director(runtime)

    newer, other, text, damaged = (runtime.base / n for n in ("newer", "other", "text", "damaged"))
    for copy in (newer, damaged):
        copy.write_bytes(good.read_bytes())
    sql(newer, "UPDATE meta SET value = '99' WHERE key = 'schema'")
    sql(other, "CREATE TABLE t (x)")
    text.write_text("no database, but text that is long enough\n" * 100)
    with open(damaged, "r+b") as f:
        f.seek(4096 * 6)
        f.write(b"\xff" * 4096)
    before = (runtime.state / "mozaiks.db").read_bytes()
    for file, why in ((newer, "has schema version 99, this program knows up to"),
                      (other, "is a database of another program"), (text, "is no database"),
                      (damaged, "is damaged"), (runtime.base / "absent", "No such file")):
        refused = runtime.ctl("restore", str(file), check=False)
        assert refused.returncode in (FAILURE, NOT_FOUND) and why in refused.stderr, refused
        assert (runtime.state / "mozaiks.db").read_bytes() == before
    left = {p.name for p in runtime.state.glob("mozaiks.db*")}
    assert left <= {"mozaiks.db", "mozaiks.db-wal", "mozaiks.db-shm", "mozaiks.db.lock"}
    start(runtime)
    assert names(runtime) == ["here"]


def test_a_restore_that_is_cut_off(runtime):
    """A director that finds the mark does not start; the next restore puts everything right."""
    target = runtime.base / "backup.db"
    store(runtime, "insert_one", {"_id": "here"})
    runtime.ctl("backup", str(target))
    stop_director(runtime)
    (runtime.state / "mozaiks.db.lock").write_text("restoring 1\n")
    (runtime.state / "mozaiks.db").unlink()
    with pytest.raises(AssertionError, match="a restore was cut off; run mozaiksctl restore again"):
        runtime.start_director()
    runtime.director = None
    runtime.ctl("restore", str(target))
    start(runtime)
    assert names(runtime) == ["here"]


def test_another_database_than_ours(runtime):
    refused = runtime.ctl("backup", str(runtime.base / "x"), check=False,
                          env={"DATABASE_URI": "mongodb://user:secret@host/db"})
    assert refused.returncode == USAGE and "mongodump" in refused.stderr
    assert "secret" not in refused.stderr


def test_progress_at_a_terminal(runtime):
    theirs, ours = pty.openpty()
    done = subprocess.run([str(CTL), "backup", str(runtime.base / "backup.db")], env=runtime.env,
                          stdout=subprocess.PIPE, stderr=ours, timeout=60)
    os.close(ours)
    shown = os.read(theirs, 65536).decode()
    os.close(theirs)
    assert done.returncode == OK and "100 %" in shown, (done, shown)
    # Into a pipe it says nothing.
    assert runtime.ctl("backup", str(runtime.base / "again.db")).stderr == ""


def test_a_backup_is_not_left_half_done(runtime):
    """Killed at work: no file under the name, and the next one succeeds."""
    target = runtime.base / "backup.db"
    store(runtime, "insert_many", [{"pad": "x" * 20000} for _ in range(40)])
    for delay in (0.0, 0.002, 0.005, 0.01):
        ctl = subprocess.Popen([str(CTL), "backup", str(target)], env=runtime.env)
        with contextlib.suppress(subprocess.TimeoutExpired):
            ctl.wait(delay)
        ctl.send_signal(signal.SIGKILL)
        ctl.wait()
        if target.exists():
            assert sql(target, "PRAGMA integrity_check") == [("ok",)]
            os.unlink(target)
    runtime.ctl("backup", str(target))
    assert names(runtime, limit=1)
