"""The director's own fences, seen from outside: every thread has them, and the log says what is on."""
import pathlib
import re

import pytest

from runtime import Runtime, mint

HELLO = {"logic.py": "async def execute(data):\n    return {'hello': data.get('name')}\n"}


def status_of(task):
    """{name: value} of /proc/PID/task/TID/status."""
    return dict(re.findall(r"^(\w+):\s*(.*)$", (task / "status").read_text(), re.M))


def threads(runtime):
    return [status_of(t) for t in pathlib.Path(f"/proc/{runtime.director.pid}/task").iterdir()]


def record(runtime, name):
    return next((r for r in runtime.director.records if r["id"] == name), None)


@pytest.fixture(scope="module")
def kernel():
    """What an unconfined process of this machine has."""
    return status_of(pathlib.Path("/proc/self"))


def test_every_thread_is_confined(kernel):
    with Runtime(plugins={"hello": HELLO}) as runtime:
        assert runtime.execute("hello", {"name": "a"}).json == {"hello": "a"}
        if record(runtime, "confine.off"):
            pytest.skip("the build has sanitizers")
        seen = threads(runtime)
        # The loop, the readers and the writer of the store at least.
        assert len(seen) >= 4, seen
        for thread in seen:
            assert thread["NoNewPrivs"] == "1"
            assert thread["Seccomp"] == "2"
            assert int(thread["Seccomp_filters"]) == int(kernel["Seccomp_filters"]) + 1
            assert int(thread["CapEff"], 16) == int(thread["CapPrm"], 16) == 0
        on = record(runtime, "confine.on") or record(runtime, "confine.partial")
        assert on["seccomp"] == "kill" and int(on["seccomp_instructions"]) > 100
        # The threads of the store have kept their names.
        assert {"store-reader", "store-writer"} <= {thread["Name"] for thread in seen}


@pytest.mark.parametrize("mode, event, filters", [("off", "confine.off", 0), ("log", "confine.partial", 1)])
def test_less_is_a_warning(kernel, mode, event, filters):
    with Runtime(plugins={"hello": HELLO}, env={"MOZAIKS_CONFINE": mode}) as runtime:
        assert runtime.execute("hello", {"name": "a"}).json == {"hello": "a"}
        warning = record(runtime, event) or record(runtime, "confine.off")
        assert warning["level"] == "warning"
        if warning["id"] == event:
            assert f"MOZAIKS_CONFINE={mode}" in warning["message"]
            assert {int(t["Seccomp_filters"]) for t in threads(runtime)} == \
                {int(kernel["Seccomp_filters"]) + filters}


def test_a_store_elsewhere():
    """The setting names it, so that it is allowed."""
    runtime = Runtime(plugins={"hello": HELLO})
    place = runtime.base / "data"
    place.mkdir()
    place.chmod(0o777)
    runtime.env["DATABASE_URI"] = f"sqlite:///{place}/x.db"
    with runtime:
        assert runtime.get("/api/plugins", token=mint("a")).status == 200
        assert (place / "x.db").exists()
