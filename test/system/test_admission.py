"""Deadlines and the limits of calls in flight."""
import concurrent.futures
import json
import socket
import time

import pytest

from conftest import PLUGINS
from runtime import Runtime, mint, wait_for

LIMITS = {"MOZAIKS_MAX_INFLIGHT_PER_USER": "4", "MOZAIKS_MAX_INFLIGHT_PER_PLUGIN": "6",
          "MOZAIKS_MAX_INFLIGHT": "8"}


@pytest.fixture(scope="module")
def runtime():
    plugins = {name: PLUGINS / name for name in ("answers", "busy", "blocking")}
    plugins["busy2"] = PLUGINS / "busy"
    plugins["narrow"] = {"logic.py": (PLUGINS / "busy" / "logic.py").read_text(),
                         "manifest.json": '{"name": "narrow", "concurrency": 2}'}
    with Runtime(plugins, env=LIMITS) as r:
        yield r


@pytest.fixture(scope="module")
def impatient():
    """Its deadline is short; what is called here either lasts far longer or does nothing."""
    plugins = {"busy": PLUGINS / "busy", "busy2": PLUGINS / "busy", "blocking": PLUGINS / "blocking"}
    with Runtime(plugins, env={"MOZAIKS_PLUGIN_TIMEOUT_SECONDS": "2"}) as r:
        yield r


class Crowd:
    """Calls at the same time, each with a user of its own unless one is named."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.pool = concurrent.futures.ThreadPoolExecutor(16)
        self.doors = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pool.shutdown()

    def call(self, plugin, data, user):
        return self.pool.submit(self.runtime.execute, plugin, data, user)

    def occupy(self, plugin, users):
        """Calls that last until they are released, all of them admitted."""
        body = json.dumps({"action": "hold"})
        door = socket.create_connection(("127.0.0.1", self.runtime.port))
        door.sendall(f"POST /api/execute/{plugin} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                     f"{mint(users[0])}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        calls = [self.call(plugin, {"action": "hold"}, u) for u in users[1:]]
        self.runtime.wait_in_flight(plugin, len(users))
        self.doors.append((plugin, door, calls))

    def release(self):
        """All have been served, but for one of each plugin, who left to let another one in."""
        for plugin, door, calls in self.doors:
            door.close()
            wait_for(lambda plugin=plugin, calls=calls: self.runtime.execute(
                plugin, {"action": "release"}, user="porter").status == 200 and
                all(c.done() for c in calls), "the release")
            assert [c.result().status for c in calls] == [200] * len(calls)


def test_deadline(impatient):
    started = time.monotonic()
    answer = impatient.execute("busy", {"action": "sleep", "seconds": 60})
    took = time.monotonic() - started
    assert answer.status == 504, answer
    assert "MOZAIKS_PLUGIN_TIMEOUT_SECONDS" in answer.json["detail"]
    assert 1.9 <= took < 30, took
    # It was cancelled: the same worker has no call left, and still knows how many it had.
    stats = wait_for(lambda: next((s for s in [impatient.execute("busy", {"action": "stats"}).json]
                                   if s["now"] == 0), None), "the cancelling")
    assert stats["calls"] >= 1


def test_a_spinning_plugin_is_killed_and_comes_back(impatient):
    assert impatient.execute("busy2", {"action": "spin", "seconds": 60}).status == 504
    wait_for(lambda: impatient.execute("busy2", {"action": "stats"}).status == 200, "the new worker")
    assert impatient.execute("busy2", {"action": "stats"}).json["calls"] == 0


def test_a_stubborn_plugin_does_not_hurt_the_others(impatient):
    """A call that ignores being cancelled costs its worker, after the worker's other calls."""
    assert impatient.execute("busy2", {"action": "stubborn", "seconds": 60}).status == 504
    wait_for(lambda: impatient.execute("busy2", {"action": "stats"}).status == 200,
             "a worker for new calls")
    assert impatient.execute("busy", {"action": "stats"}).status == 200


def test_per_user(runtime):
    with Crowd(runtime) as crowd:
        crowd.occupy("busy", ["alice"] * 4)
        answer = runtime.execute("answers", {"action": "none"}, user="alice")
        assert answer.status == 429, answer
        assert int(answer.headers["retry-after"]) >= 1
        assert "MOZAIKS_MAX_INFLIGHT_PER_USER" in answer.json["detail"]
        assert "4" in answer.json["detail"]
        assert runtime.execute("answers", {"action": "none"}, user="bob").status == 200
        crowd.release()
    assert runtime.execute("answers", {"action": "none"}, user="alice").status == 200


def test_per_plugin(runtime):
    with Crowd(runtime) as crowd:
        crowd.occupy("busy", [f"user{i}" for i in range(6)])
        answer = runtime.execute("busy", {"action": "stats"}, user="alice")
        assert answer.status == 503, answer
        assert int(answer.headers["retry-after"]) >= 1
        assert "MOZAIKS_MAX_INFLIGHT_PER_PLUGIN" in answer.json["detail"]
        assert runtime.execute("answers", {"action": "none"}, user="alice").status == 200
        crowd.release()


def test_in_all(runtime):
    with Crowd(runtime) as crowd:
        crowd.occupy("busy", [f"user{i}" for i in range(5)])
        crowd.occupy("busy2", [f"user{i}" for i in range(5, 8)])
        answer = runtime.execute("answers", {"action": "none"}, user="alice")
        assert answer.status == 503, answer
        assert "MOZAIKS_MAX_INFLIGHT" in answer.json["detail"]
        assert int(answer.headers["retry-after"]) >= 1
        assert runtime.get("/livez").status == 200
        crowd.release()


def test_the_order_of_refusals(runtime):
    """400 goes before 429."""
    with Crowd(runtime) as crowd:
        crowd.occupy("busy", ["alice"] * 4)
        assert runtime.execute("answers", b"{", user="alice").status == 400
        assert runtime.execute("unknown", {}, user="alice").status == 404
        crowd.release()


def test_concurrency_of_a_worker(runtime):
    """What is over it waits, in order, and is served."""
    with Crowd(runtime) as crowd:
        calls = [crowd.call("narrow", {"action": "sleep", "seconds": 0.2}, f"user{i}")
                 for i in range(6)]
        assert [c.result().status for c in calls] == [200] * 6
    assert runtime.execute("narrow", {"action": "stats"}).json["most"] == 2


def test_async_calls_run_at_once(runtime):
    with Crowd(runtime) as crowd:
        crowd.occupy("busy", [f"user{i}" for i in range(5)])
        wait_for(lambda: runtime.execute("busy", {"action": "stats"}).json["now"] == 5, "all five")
        crowd.release()


def test_sync_functions_block_only_their_thread(runtime):
    with Crowd(runtime) as crowd:
        calls = [crowd.call("blocking", {"seconds": 4}, f"user{i}") for i in range(5)]
        wait_for(lambda: runtime.execute("blocking", {"action": "stats"}).json["most"] == 5,
                 "five threads")
        assert not any(c.done() for c in calls)
        assert all(c.result().json["thread"] for c in calls)


def test_the_deadline_of_a_sync_function(impatient):
    assert impatient.execute("blocking", {"seconds": 60}).status == 504
    wait_for(lambda: impatient.execute("blocking", {"action": "stats"}).status == 200,
             "the next call")


def test_the_director_s_own_memory():
    """Too little for what it uses anyway: plugins are not called, all else is served."""
    with Runtime({"answers": PLUGINS / "answers"}, env={"MOZAIKS_MEMORY_HIGH": "1M"}) as r:
        for body in ({"action": "none"}, b"not read"):
            answer = r.execute("answers", body)
            assert answer.status == 503 and answer.json["code"] == "memory_short", answer
            assert "MOZAIKS_MEMORY_HIGH" in answer.json["detail"]
            assert int(answer.headers["retry-after"]) >= 1
        assert r.execute("unknown", {}).status == 404
        assert r.get("/health").status == 200
        assert r.plugin("answers")["state"] == "ready"
    with Runtime({"answers": PLUGINS / "answers"}, env={"MOZAIKS_MEMORY_HIGH": "1G"}) as r:
        assert r.execute("answers", {"action": "none"}).status == 200
