"""Flow control: a director that is slow to read, calls without end, memory that stays flat."""

import re
import time
from pathlib import Path

import fake_director as fd


def test_large_answers_to_a_director_that_does_not_read(start):
    worker = start("async def execute(data):\n    return 'x' * 900_000\n", concurrency=64)
    calls = [worker.execute_frame({}) for _ in range(60)]
    worker.send_frames([frame for _, frame in calls])
    time.sleep(0.5)
    worker.send(fd.PING, 0)
    for call_id, _ in calls:
        assert len(worker.result(call_id).value) == 900_000
    worker.wait_for(fd.PONG)


def test_suspended_calls_that_end_together(start):
    worker = start("""
import asyncio
gate = asyncio.Event()

async def execute(data):
    if data.get("open"):
        gate.set()
        return "open"
    await gate.wait()
    return "x" * 900_000
""")
    ids = [worker.execute({}) for _ in range(40)]
    assert worker.call(open=True).value == "open"
    time.sleep(0.5)
    for call_id in ids:
        assert len(worker.result(call_id).value) == 900_000


def test_more_calls_than_the_concurrency_wait(start):
    worker = start(
        """
import asyncio
running = most = 0

async def execute(data):
    global running, most
    running += 1
    most = max(most, running)
    await asyncio.sleep(0.05)
    running -= 1
    return most
""",
        concurrency=4,
    )
    calls = [worker.execute_frame({}) for _ in range(20)]
    worker.send_frames([frame for _, frame in calls])
    assert max(worker.result(i).value for i, _ in calls) == 4


def test_far_too_many_calls_are_refused(start):
    worker = start(
        "import asyncio\nasync def execute(data):\n    await asyncio.sleep(0.2)\n", concurrency=2
    )
    calls = [worker.execute_frame({}) for _ in range(30)]
    worker.send_frames([frame for _, frame in calls])
    outcomes = [worker.result(i).outcome for i, _ in calls]
    assert outcomes[:10] == [fd.VALUE] * 10
    assert outcomes[10:] == [fd.EXCEPTION] * 20
    assert worker.results[calls[29][0]].error["type"] == "WorkerOverloaded"


def test_waiting_calls_can_be_cancelled(start):
    worker = start(
        "import asyncio\nasync def execute(data):\n    await asyncio.sleep(0.2)\n    return 1\n",
        concurrency=1,
    )
    calls = [worker.execute_frame({}) for _ in range(3)]
    worker.send_frames([f for _, f in calls] + [worker.frame(fd.CANCEL, calls[2][0])])
    assert worker.result(calls[2][0]).outcome == fd.CANCELLED
    assert worker.result(calls[1][0]).value == 1


def test_long_batches_leave_turns_to_others(start):
    worker = start("""
import asyncio, time

late = []

async def tick():
    while True:
        begin = time.monotonic()
        await asyncio.sleep(0.001)
        late.append(time.monotonic() - begin)

task = asyncio.create_task(tick())

async def execute(data):
    if data.get("look"):
        return max(late)
    end = time.monotonic() + 0.01
    while time.monotonic() < end:
        pass
    return 1
""")
    worker.call(look=True)
    calls = [worker.execute_frame({}) for _ in range(60)]
    worker.send_frames([frame for _, frame in calls])
    for call_id, _ in calls:
        assert worker.result(call_id).value == 1
    # All sixty in one turn would be 600 ms; a slice is 5 ms and what its last call takes.
    assert worker.call(look=True).value < 0.4


def test_large_requests(start):
    worker = start("async def execute(data):\n    return len(data['t'])\n")
    for size in (1, 1000, 64 * 1024, 255 * 1024, 900 * 1024):
        assert worker.call(t="y" * size).value == size


def memory_kib(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"Private_Dirty: +(\d+)", text).group(1))


def run_calls(worker, total, data):
    for _ in range(total // 100):
        calls = [worker.execute_frame(data) for _ in range(100)]
        worker.send_frames([frame for _, frame in calls])
        for call_id, _ in calls:
            worker.result(call_id)
        worker.results.clear()


LEAKS = """
import asyncio, gc, sys
from core.settings_manager import settings_manager
from core.event_bus import event_bus

async def execute(data):
    kind = data["kind"]
    if kind == "count":
        gc.collect()
        gc.unfreeze()
        gc.collect()
        return [len(gc.get_objects()), sys.getallocatedblocks()]
    if kind == "raise":
        raise ValueError("v")
    if kind == "suspend":
        await asyncio.sleep(0)
    if kind == "raise_later":
        await asyncio.sleep(0)
        raise ValueError("v")
    if kind == "task":
        asyncio.current_task().get_name()
    if kind == "timeout":
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
    if kind == "request":
        await settings_manager.get_plugin_settings("u", "sample")
    if kind == "publish":
        event_bus.publish("sample:x", {"a": 1})
    if kind == "bad":
        return {1}
    if kind == "orphan":
        asyncio.create_task(settings_manager.get_plugin_settings("u", "sample")).add_done_callback(
            lambda t: t.exception())
        await asyncio.sleep(0)
    return {"kind": kind, "list": [1, 2.5, None]}
"""


def count(worker):
    """Objects and blocks, when what is still under way has settled."""
    least = None
    for _ in range(5):
        now = worker.call(kind="count").value
        least = now if least is None else min(least, now)
        time.sleep(0.02)
    return least


def assert_flat(worker, run, kind):
    before = count(worker)
    run()
    after = count(worker)
    # One object per call would be a thousand.
    assert after[0] - before[0] < 100, (kind, before, after)
    assert after[1] - before[1] < 700, (kind, before, after)


def test_nothing_leaks(start):
    worker = start(LEAKS)
    worker.capabilities[fd.SETTINGS_GET] = lambda r: b'{"a":[1,2,3]}'
    worker.capabilities[fd.PUBLISH] = lambda r: b"{}"
    for kind in "plain raise suspend raise_later task timeout request publish bad orphan".split():
        data = {"kind": kind, "text": "t" * 50}
        run_calls(worker, 300, data)
        assert_flat(worker, lambda: run_calls(worker, 1000, data), kind)


def test_sync_calls_do_not_leak(start):
    worker = start(LEAKS.replace("async def execute", "async def _execute") + """
def execute(data):
    import gc, sys
    if data["kind"] == "count":
        gc.collect()
        gc.unfreeze()
        gc.collect()
        return [len(gc.get_objects()), sys.getallocatedblocks()]
    if data["kind"] == "coroutine":
        return _execute(data)
    return {"kind": data["kind"]}
""")
    for kind in ("plain", "coroutine"):
        run_calls(worker, 300, {"kind": kind})
        assert_flat(worker, lambda: run_calls(worker, 1000, {"kind": kind}), kind)


def test_memory_stays_flat_over_many_calls(start):
    worker = start(LEAKS)
    run_calls(worker, 2000, {"kind": "plain"})
    before = memory_kib(worker.pid)
    run_calls(worker, 100_000, {"kind": "plain", "text": "t" * 100})
    assert memory_kib(worker.pid) - before < 512
