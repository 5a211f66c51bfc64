"""What becomes of a plugin whose workers die, hang, idle or are too few: seen from outside."""
import concurrent.futures
import contextlib
import json
import os
import signal
import time

import pytest

from conftest import PLUGINS, needs_root
from runtime import Neighbour, Runtime, mint, stat_of, wait_for

STATE = PLUGINS / "state"
SOURCE = (STATE / "logic.py").read_text()
QUICK = {"MOZAIKS_RESTART_WAIT_SECONDS": "0.01", "MOZAIKS_RESTART_WAIT_MAX_SECONDS": "0.05"}


def variant(**manifest):
    return {"logic.py": SOURCE, "manifest.json": json.dumps({"name": "state", **manifest})}


@contextlib.contextmanager
def runtime_with(plugins=None, **env):
    with Runtime(plugins or {"state": STATE, "answers": PLUGINS / "answers"},
                 env={**QUICK, **env}) as r:
        yield r


def die(runtime, n, user="eve", **more):
    """A request that kills its worker; each `n` is another one."""
    return runtime.execute("state", {"action": "die", "n": n}, user=user, **more)


def process_of(runtime, plugin="state", user="alice", **data):
    answer = runtime.execute(plugin, data, user=user)
    assert answer.status == 200, answer
    return answer.json["process"]


def served(runtime, plugin="state", user="alice"):
    """Waits for a worker that serves."""
    return wait_for(lambda: next((a for a in [runtime.execute(plugin, {}, user=user)]
                                  if a.status == 200), None), "a worker")


def entry(runtime, plugin="state"):
    text = runtime.ctl("plugin", "list", "--output", "json").stdout
    return next(p for p in json.loads(text)["plugins"] if p["id"] == plugin)


def breaker_records(runtime):
    return [r for r in runtime.records if r.get("id") == "plugin.breaker"]


# The breaker

def test_breaker_opens_tries_and_closes():
    with runtime_with(MOZAIKS_BREAKER_BURST="3", MOZAIKS_BREAKER_OPEN_SECONDS="5",
                      MOZAIKS_BREAKER_SUCCESSES="2") as r:
        for n in range(3):
            served(r)
            assert die(r, n, user=f"user{n}").status == 502
        refused = wait_for(lambda: next((a for a in [r.execute("state")] if a.status == 503), None),
                           "the breaker")
        assert refused.json["code"] == "plugin_unavailable", refused
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert r.execute("answers", {"action": "none"}).status == 200
        served(r)
        states = [record.get("state") for record in breaker_records(r)]
        assert states[:2] == ["open", "half-open"], states
        served(r)
        wait_for(lambda: [record.get("state") for record in breaker_records(r)][-1] == "closed",
                 "closing")


def test_half_open_lets_one_call_through_at_a_time():
    with runtime_with(MOZAIKS_BREAKER_BURST="1", MOZAIKS_BREAKER_OPEN_SECONDS="0.3",
                      MOZAIKS_BREAKER_SUCCESSES="3") as r:
        assert die(r, 0).status == 502
        time.sleep(0.5)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            started = time.monotonic()
            calls = [pool.submit(r.execute, "state", {"action": "sleep", "seconds": 0.4}, f"u{i}")
                     for i in range(3)]
            answers = [c.result() for c in calls]
        took = time.monotonic() - started
        assert [a.status for a in answers] == [200] * 3, answers
        assert len({a.json["process"] for a in answers}) == 1
        assert took >= 1.2, took


def test_a_crash_while_half_open_opens_it_for_longer():
    with runtime_with(MOZAIKS_BREAKER_BURST="1", MOZAIKS_BREAKER_OPEN_SECONDS="4") as r:
        assert die(r, 0, user="a").status == 502
        wait_for(lambda: r.execute("state").status == 200, "the first try")
        assert die(r, 1, user="b").status == 502
        answer = wait_for(lambda: next((a for a in [r.execute("state")] if a.status == 503), None),
                          "the breaker")
        assert 4 < int(answer.headers["retry-after"]) <= 8, answer
        assert len([x for x in breaker_records(r) if x["state"] == "open"]) == 2


def test_one_user_cannot_switch_a_plugin_off():
    with runtime_with(MOZAIKS_BREAKER_BURST="2", MOZAIKS_QUARANTINE_USER_CRASHES="0") as r:
        for n in range(6):
            served(r)
            assert die(r, n).status == 502
        served(r)
        assert not breaker_records(r)


def test_opened_too_often_it_is_disabled_until_an_operator_resets_it():
    with runtime_with(MOZAIKS_BREAKER_BURST="1", MOZAIKS_BREAKER_OPENS="2",
                      MOZAIKS_BREAKER_OPEN_SECONDS="0.1") as r:
        assert die(r, 0, user="a").status == 502
        served(r)
        assert die(r, 1, user="b").status == 502
        wait_for(lambda: r.execute("state").status == 404, "the disabling")
        assert any("disabled" in str(x) for x in breaker_records(r))
        time.sleep(0.5)
        assert r.execute("state").status == 404
        r.ctl("plugin", "reset", "state")
        served(r)


def test_what_is_forbidden_disables_at_once():
    hostile = {"logic.py": "import ctypes\n\n\nasync def execute(data):\n"
                           "    if data.get('action'):\n"
                           "        ctypes.CDLL(None).syscall(data['number'], 0, 0, 0, 0)\n"
                           "    return {}\n"}
    ptrace = 101 if os.uname().machine == "x86_64" else 117
    with runtime_with({"state": hostile}, MOZAIKS_BREAKER_VIOLATIONS="2") as r:
        for n in range(2):
            served(r)
            answer = r.execute("state", {"action": "forbidden", "number": ptrace, "n": n})
            assert answer.status == 502, answer
        wait_for(lambda: r.execute("state").status == 404, "the disabling")


def test_killed_from_outside_is_no_violation():
    """Its channel closes before anybody knows why: even when its zygote is slow to say so, the worker did
    not break the protocol."""
    needs_root("only root finds and kills workers of other users")
    with runtime_with(MOZAIKS_BREAKER_VIOLATIONS="1") as r:
        for _ in range(3):
            first = process_of(r)
            worker = wait_for(lambda: find_worker(r, "state"), "its process")
            zygote = stat_of(worker)[1]
            os.kill(zygote, signal.SIGSTOP)
            os.kill(worker, signal.SIGKILL)
            time.sleep(0.2)
            os.kill(zygote, signal.SIGCONT)
            assert served(r).json["process"] != first
        assert {x["why"] for x in r.records if x.get("id") == "worker.exit_reason"} == {"signal"}


# Requests that crash

def test_a_poisonous_request_is_quarantined():
    """Many of it among many others, each with a key that says that it may be tried again: every other
    one is answered, and it costs two workers."""
    with runtime_with(MOZAIKS_BREAKER_BURST="3") as r:
        boom = json.dumps({"action": "die"}).encode()

        def fine(i):
            return r.request("POST", "/api/execute/state", json.dumps({"i": i}).encode(),
                             {"Idempotency-Key": f"k{i}"}, mint(f"user{i % 7}"))

        def poison(i):
            return r.execute("state", boom, user=f"eve{i % 3}")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            calls = []
            for i in range(200):
                if i % 8 == 0:
                    calls.append((False, pool.submit(poison, i)))
                calls.append((True, pool.submit(fine, i)))
            results = [(good, c.result()) for good, c in calls]
        bad = [a for good, a in results if good and a.status != 200]
        assert not bad, bad[:3]
        codes = [a.status for good, a in results if not good]
        assert set(codes) <= {500, 502}, codes
        assert codes.count(500) > 0
        deaths = [x for x in r.records if x.get("id") == "worker.exit_reason"
                  and x.get("why") == "exit"]
        assert 1 <= len(deaths) <= 2, deaths
        answer = r.execute("state", boom)
        assert answer.status == 500 and answer.json["code"] == "request_quarantined", answer
        assert not breaker_records(r)
        assert any(x.get("id") == "request.quarantined" for x in r.records)


def test_a_request_that_may_be_repeated_is_repeated_once():
    """It dies with its neighbour's crash, and is answered by another worker."""
    with runtime_with() as r:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            process_of(r)
            body = json.dumps({"action": "sleep", "seconds": 2}).encode()
            kept = pool.submit(r.request, "POST", "/api/execute/state", body,
                               {"Idempotency-Key": "a"}, mint("bob"))
            lost = pool.submit(r.execute, "state", {"action": "sleep", "seconds": 2.01}, "carol")
            r.wait_in_flight("state", 2)
            assert die(r, 0).status == 502
            assert lost.result().status == 502
            assert kept.result().status == 200


def test_users_who_crash_it_are_slowed_down():
    with runtime_with(MOZAIKS_QUARANTINE_USER_CRASHES="2", MOZAIKS_BREAKER_BURST="0",
                      MOZAIKS_QUARANTINE_USER_SECONDS="30") as r:
        for n in range(3):
            served(r, user="bob")
            assert die(r, n).status == 502
        served(r, user="bob")
        assert r.execute("state", {}, user="eve").status == 200
        answer = r.execute("state", {}, user="eve")
        assert answer.status == 429 and answer.json["code"] == "too_many_crashes", answer
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert r.execute("state", {}, user="bob").status == 200
        assert r.execute("answers", {"action": "none"}, user="eve").status == 200


# Deadlines and hung workers

def find_worker(runtime, plugin):
    return next((pid for pid in runtime.workers()
                 if os.path.isdir(f"/proc/{pid}/root/plugins/{plugin}")), None)


def test_a_stopped_worker_is_replaced():
    needs_root("only root sees into the mount namespaces of the workers")
    with runtime_with(MOZAIKS_PLUGIN_TIMEOUT_SECONDS="3") as r:
        first = process_of(r)
        os.kill(wait_for(lambda: find_worker(r, "state"), "its process"), signal.SIGSTOP)
        started = time.monotonic()
        assert r.execute("state").status == 504
        assert time.monotonic() - started >= 2.9
        assert served(r).json["process"] != first
        wait_for(lambda: any(x.get("why") == "hung" for x in r.records), "the reason")


def test_an_idle_worker_that_stops_is_noticed():
    needs_root("only root sees into the mount namespaces of the workers")
    with runtime_with(MOZAIKS_WORKER_PING_SECONDS="0.2") as r:
        first = process_of(r)
        os.kill(wait_for(lambda: find_worker(r, "state"), "its process"), signal.SIGSTOP)
        wait_for(lambda: any(x.get("why") == "hung" for x in r.records), "the notice")
        assert served(r).json["process"] != first


def test_a_spinning_worker_is_killed_after_its_grace():
    with runtime_with(MOZAIKS_PLUGIN_TIMEOUT_SECONDS="3", MOZAIKS_CANCEL_GRACE_SECONDS="0.3") as r:
        first = process_of(r)
        with Neighbour(r) as neighbour:
            assert r.execute("state", {"action": "spin", "seconds": 600}).status == 504
            answer = served(r, user="bob")
            assert answer.json["process"] != first
        assert not neighbour.bad and neighbour.good > 0


# Busy workers

def test_a_worker_full_of_blocked_threads_is_replaced():
    """Its loop turns and every call is cancelled in time; yet no call that needs a thread can end."""
    with runtime_with({"busy": PLUGINS / "busy"}, MOZAIKS_PLUGIN_TIMEOUT_SECONDS="1",
                      MOZAIKS_WORKER_LATE_CALLS="12") as r:
        def block(n):
            return r.execute("busy", {"action": "block", "seconds": 300}, f"user{n}")
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            assert [a.status for a in pool.map(block, range(12))] == [504] * 12
        answer = wait_for(lambda: next((a for a in [r.execute("busy", {"action": "block",
                                                                       "seconds": 0})]
                                        if a.status == 200), None), "a worker with threads")
        assert answer.json == {"slept": 0}
        ends = r.ctl("plugin", "status", "busy", "--json").stdout
        assert '"deadline"' in ends, ends


def test_a_worker_that_is_late_now_and_then_stays():
    with runtime_with({"busy": PLUGINS / "busy"}, MOZAIKS_PLUGIN_TIMEOUT_SECONDS="0.5",
                      MOZAIKS_WORKER_LATE_CALLS="3") as r:
        for late in range(1, 7):
            assert r.execute("busy", {"action": "sleep", "seconds": 60}).status == 504
            # It may be late itself, which is told from a worker that is no longer there.
            stats = wait_for(lambda: next((a for a in [r.execute("busy", {"action": "stats"})]
                                           if a.status != 504), None), "an answer")
            assert stats.json["calls"] == late


def test_who_waits_too_long_for_a_busy_worker_is_told():
    with runtime_with({"state": variant(concurrency=1)}, MOZAIKS_MAX_WAIT_SECONDS="0.3") as r:
        process_of(r)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            busy = pool.submit(r.execute, "state", {"action": "sleep", "seconds": 4}, "bob")
            r.wait_in_flight("state", 1)
            started = time.monotonic()
            answer = r.execute("state")
            assert answer.status == 503 and answer.json["code"] == "plugin_overloaded", answer
            assert "MOZAIKS_MAX_WAIT_SECONDS" in answer.json["detail"]
            assert 1 <= int(answer.headers["retry-after"]) <= 30
            assert time.monotonic() - started > 0.2
            assert busy.result().status == 200


# Isolation and numbers of workers

def test_isolation_by_user():
    """What one user leaves in memory no other one finds; the user does."""
    with runtime_with({"state": variant(isolation="user")}) as r:
        mine = process_of(r, user="alice", action="keep", value="alice's")
        other = r.execute("state", {"action": "keep", "value": "bob's"}, user="bob")
        assert other.json["before"] is None and other.json["process"] != mine
        again = r.execute("state", {}, user="alice")
        assert again.json == {"process": mine, "before": "alice's"}
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            seen = list(pool.map(lambda i: (i % 3, r.execute("state", {}, user=f"u{i % 3}").json),
                                 range(18)))
        processes = [{answer["process"] for user, answer in seen if user == i} for i in range(3)]
        assert all(len(p) == 1 for p in processes) and len(set.union(*processes)) == 3


def test_isolation_by_user_makes_room_for_the_next():
    with runtime_with({"state": variant(isolation="user")}, MOZAIKS_ISOLATED_WORKERS="2") as r:
        processes = [process_of(r, user=f"user{i}") for i in range(5)]
        assert len(set(processes)) == 5


def test_isolated_users_keep_the_version_that_works():
    """Also those who come when the newest one does not start, and one who crashes hurts nobody else."""
    good = variant(isolation="user")
    with runtime_with({"state": good}) as r:
        mine = process_of(r, user="alice")
        r.put_plugin("state", {**good, "logic.py": "raise RuntimeError('will not load')\n"})
        r.wait_plugin("state", lambda p: p and "will not load" in (p["error"] or ""))
        assert process_of(r, user="alice") == mine
        assert process_of(r, user="bob") != mine
        for n in range(4):
            assert die(r, n).status in (502, 503)
        assert process_of(r, user="carol")
        assert process_of(r, user="alice") == mine


def test_isolation_by_request():
    with runtime_with({"state": variant(isolation="request")}) as r:
        first = r.execute("state", {"action": "keep", "value": 1}).json
        second = r.execute("state", {}).json
        assert first["process"] != second["process"] and second["before"] is None
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            seen = list(pool.map(lambda i: r.execute("state", {"i": i}).json["process"], range(12)))
        assert len(set(seen)) == 12


def test_two_workers():
    with runtime_with({"state": variant(workers=2, concurrency=1)}) as r:
        served(r)
        wait_for(lambda: [w["state"] for w in entry(r)["workers"]] == ["ready"] * 2, "both")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(r.execute, "state", {"action": "sleep", "seconds": 3}, f"u{i}")
                     for i in range(2)]
            # Else the second one comes when the first one is over, perhaps.
            r.wait_in_flight("state", 2)
            assert len({c.result().json["process"] for c in calls}) == 2
        # One dies: the other goes on.
        die(r, 0)
        assert r.execute("state").status == 200


# Idle and removed plugins

def test_idle_stop_and_lazy_start():
    with runtime_with(MOZAIKS_IDLE_STOP_SECONDS="0.5", MOZAIKS_WORKER_PING_SECONDS="0.1") as r:
        first = process_of(r)
        wait_for(lambda: not entry(r)["workers"], "the stop")
        assert r.plugin("state")["state"] == "stopped"
        assert process_of(r) != first
        # It was no failure.
        assert not [x for x in r.records if x.get("id") == "worker.exit_reason"
                    and x.get("why") not in ("idle", "stopped")]


def test_a_call_keeps_a_worker_from_being_idle():
    with runtime_with(MOZAIKS_IDLE_STOP_SECONDS="0.3", MOZAIKS_WORKER_PING_SECONDS="0.1") as r:
        # A worker that stops takes its calls with it.
        assert r.execute("state", {"action": "sleep", "seconds": 1.5}).status == 200


TELLER = """from core.event_bus import event_bus


async def execute(data):
    event_bus.publish("teller:said", {})
"""
LISTENER = """from core.event_bus import event_bus
from core.config.database import db


@event_bus.on_event("teller:said")
async def on_said(data):
    await db["heard"].insert_one({})


async def execute(data):
    return await db["heard"].count_documents({})
"""


def test_an_event_starts_a_plugin_that_was_idle():
    with runtime_with({"teller": {"logic.py": TELLER}, "listener": {"logic.py": LISTENER}},
                      MOZAIKS_IDLE_STOP_SECONDS="0.5", MOZAIKS_WORKER_PING_SECONDS="0.1") as r:
        wait_for(lambda: not entry(r, "listener")["workers"], "the stop")
        assert r.execute("teller").status == 200
        wait_for(lambda: entry(r, "listener")["workers"], "the start")
        wait_for(lambda: r.execute("listener").json == 1, "the event")


def test_a_removed_plugin_finishes_its_calls():
    with runtime_with() as r:
        process_of(r)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            call = pool.submit(r.execute, "state", {"action": "sleep", "seconds": 6}, "bob")
            r.wait_in_flight("state", 1)
            r.remove_plugin("state")
            wait_for(lambda: r.execute("state").status == 404, "its removal")
            assert not call.done()
            assert call.result().status == 200


@pytest.mark.parametrize("command", ["disable", "restart"])
def test_an_operator_s_order_lets_calls_end(command):
    with runtime_with() as r:
        first = process_of(r)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            call = pool.submit(r.execute, "state", {"action": "sleep", "seconds": 2}, "bob")
            r.wait_in_flight("state", 1)
            r.ctl("plugin", command, "state")
            if command == "disable":
                assert r.execute("state").status == 404
            else:
                wait_for(lambda: process_of(r) != first, "the new worker")
            assert call.result().status == 200 and call.result().json["process"] == first
