"""A disk that fails under the embedded store: no room, and a sync that reports an error."""
import contextlib
import os
import shutil
import subprocess


from conftest import PLUGINS, cannot_run, needs_root
from runtime import Runtime, wait_for


def insert(runtime, **document):
    return runtime.execute("store", {"collection": "notes", "op": "insert_one", "args": [document]})


def found(runtime):
    answer = runtime.execute("store", {"collection": "notes", "op": "find", "args": [{}, {"n": 1}]})
    assert answer.status == 200, answer
    return [d["n"] for d in answer.json["documents"]]


def serving(runtime):
    wait_for(lambda: runtime.execute("store", {"collection": "probe", "op": "count_documents",
                                               "args": [{}]}).status == 200, "serving")


@contextlib.contextmanager
def small_disk(runtime):
    """The state directory becomes a file system of 8 MiB."""
    runtime.state.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0755", "tmpfs",
                           str(runtime.state)], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        cannot_run(f"kernel: a tmpfs cannot be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        runtime.stop()
        subprocess.run(["umount", "-l", str(runtime.state)], check=True)


def test_a_full_disk():
    """Writes say so, reads go on, nothing crashes, and it ends by itself when there is room."""
    needs_root("only root mounts a small file system")
    runtime = Runtime({"store": PLUGINS / "store"})
    try:
        with small_disk(runtime):
            runtime.start()
            serving(runtime)
            assert insert(runtime, n=-1).json.get("inserted_id")
            # What the logs and the snapshots need stays theirs.
            filler = runtime.state / "filler"
            free = shutil.disk_usage(runtime.state).free
            filler.write_bytes(b"\0" * max(0, free - (1 << 20)))
            stored, refused = [], None
            for n in range(200):
                answer = insert(runtime, n=n, pad="x" * 50000)
                assert answer.status == 200, answer
                if "failed" in answer.json:
                    refused = answer.json
                    break
                stored.append(n)
            assert refused, "the disk never was full"
            assert "disk" in refused["message"] and "full" in refused["message"], refused
            for _ in range(5):
                assert "failed" in insert(runtime, n=1000, pad="x" * 50000).json
                assert found(runtime) == [-1, *stored]
            assert runtime.get("/livez").status == 200
            filler.unlink()
            assert "inserted_id" in insert(runtime, n=2000, pad="x" * 50000).json
            assert found(runtime) == [-1, *stored, 2000]
            assert runtime.director.alive()
            assert runtime.stop() == [0, 0]
            runtime.start()
            serving(runtime)
            assert found(runtime) == [-1, *stored, 2000]
    finally:
        runtime.close()


def traced(runtime, *, after):
    """strace on the director: from the nth fdatasync on each fails with EIO."""
    program = shutil.which("strace")
    if not program:
        cannot_run("strace is not installed")
    tracer = subprocess.Popen(
        [program, "-f", "-qq", "-o", os.devnull, "-p", str(runtime.director.pid), "-e",
         f"inject=fdatasync:error=EIO:when={after}+"], stderr=subprocess.PIPE, text=True)
    with contextlib.suppress(subprocess.TimeoutExpired):
        tracer.wait(1)
        cannot_run(f"kernel: strace cannot attach: {tracer.stderr.read().strip()}")
    return tracer


def test_a_sync_that_fails():
    """What was acknowledged is there after the restart; the director ends instead of trying again."""
    needs_root("only root attaches to the director")
    # strace answers in the kernel's place by calling for call -1, which the fence takes for an attack.
    with Runtime({"store": PLUGINS / "store"}, env={"MOZAIKS_CONFINE": "off"}) as runtime:
        serving(runtime)
        tracer = traced(runtime, after=4)
        try:
            stored, unknown = [], []
            for n in range(50):
                try:
                    answer = insert(runtime, n=n)
                except OSError:
                    break
                if answer.status == 200 and "inserted_id" in answer.json:
                    stored.append(n)
                else:
                    unknown.append((n, answer))
            assert stored and unknown, (stored, unknown)
            assert "unknown" in unknown[0][1].body.decode() or \
                "may or may not" in unknown[0][1].body.decode(), unknown[0]
            assert runtime.director.wait(30) == 1
            assert any(r.get("id") == "store.failed" for r in runtime.director.records)
        finally:
            tracer.terminate()
            tracer.wait(10)
        runtime.start_director()
        serving(runtime)
        assert any(r.get("id") == "store.checked" for r in runtime.director.records)
        there = found(runtime)
        assert there[:len(stored)] == stored
        assert set(there) - set(stored) <= {unknown[0][0]}


