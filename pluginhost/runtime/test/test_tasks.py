"""A call is an asyncio task in every respect, also in its first step."""

import time

import fake_director as fd


def test_current_task_is_one_task_throughout(start):
    worker = start("""
import asyncio

async def execute(data):
    first = asyncio.current_task()
    same = first is asyncio.current_task()
    is_task = isinstance(first, asyncio.Task)
    await asyncio.sleep(0)
    again = asyncio.current_task()
    return [same, is_task, again is first, first in asyncio.all_tasks(), first.done()]
""")
    assert worker.call().value == [True, True, True, True, False]


def test_task_attributes_in_the_first_step(start):
    worker = start("""
import asyncio

seen = []

async def execute(data):
    task = asyncio.current_task()
    if data["what"] == "name":
        return task.get_name().startswith("Task-")
    if data["what"] == "set_name":
        task.set_name("mine")
        await asyncio.sleep(0)
        return asyncio.current_task().get_name()
    if data["what"] == "coro":
        return [asyncio.iscoroutine(task.get_coro()), task.get_coro().__qualname__]
    if data["what"] == "repr":
        return "execute" in repr(task)
    if data["what"] == "loop":
        return task.get_loop() is asyncio.get_running_loop()
    if data["what"] == "callback":
        task.add_done_callback(lambda t: seen.append(t.result()))
        if data.get("later"):
            await asyncio.sleep(0)
        return "answer"
    if data["what"] == "seen":
        return seen
    if data["what"] == "cancel":
        return [task.cancelling(), task.cancel(), task.cancelling(), task.uncancel()]
""")
    assert worker.call(what="name").value is True
    assert worker.call(what="set_name").value == "mine"
    assert worker.call(what="coro").value == [True, "execute"]
    assert worker.call(what="repr").value is True
    assert worker.call(what="loop").value is True
    assert worker.call(what="callback").value == "answer"
    assert worker.call(what="callback", later=True).value == "answer"
    assert worker.call(what="seen").value == ["answer", "answer"]
    assert worker.call(what="cancel").value == [0, True, 1, 0]


def test_task_kept_beyond_its_call(start):
    worker = start("""
import asyncio, gc, weakref

kept = []
weak = []

async def execute(data):
    if data["what"] == "keep":
        kept.append(asyncio.current_task())
        weak.append(weakref.ref(asyncio.current_task()))
        return None
    if data["what"] == "forget":
        kept.clear()
        gc.collect()
        return weak[0]() is None
    await asyncio.sleep(0.01)
    return [kept[0] is not asyncio.current_task(), kept[0].get_name() != "", repr(kept[0]) != ""]
""")
    worker.call(what="keep")
    assert worker.call(what="look").value == [True, True, True]
    assert worker.call(what="forget").value in (True, False)
    assert worker.call(what="look_again").outcome == fd.EXCEPTION
    assert worker.call(what="keep").value is None


def test_cancelling_oneself_before_suspending(start):
    worker = start("""
import asyncio

async def execute(data):
    asyncio.current_task().cancel()
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        asyncio.current_task().uncancel()
        await asyncio.sleep(0)
        return "caught"
""")
    assert worker.call().value == "caught"


def test_timeout(start):
    worker = start("""
import asyncio

async def execute(data):
    try:
        async with asyncio.timeout(0.05):
            await asyncio.sleep(10)
    except TimeoutError:
        pass
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.05)
    except asyncio.TimeoutError:
        pass
    async with asyncio.timeout(10):
        pass
    async with asyncio.timeout(10):
        await asyncio.sleep(0)
    return "timed out"
""")
    assert worker.call().value == "timed out"


def test_task_group(start):
    worker = start("""
import asyncio

async def child(n):
    await asyncio.sleep(0.01 * n)
    if n == 3:
        raise ValueError("three")
    return n

async def execute(data):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(child(n)) for n in range(3)]
    values = [t.result() for t in tasks]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(child(3))
            await asyncio.sleep(10)
    except* ValueError as errors:
        values.append(str(errors.exceptions[0]))
    return values
""")
    assert worker.call().value == [0, 1, 2, "three"]


def test_gather_shield_locks_and_queues(start):
    worker = start("""
import asyncio

lock = asyncio.Lock()

async def one(n):
    async with lock:
        await asyncio.sleep(0)
        return n

async def execute(data):
    queue = asyncio.Queue()
    values = await asyncio.gather(*(one(n) for n in range(5)))
    values.append(await asyncio.shield(one(5)))
    asyncio.get_running_loop().call_later(0.01, queue.put_nowait, 6)
    values.append(await queue.get())
    done, _ = await asyncio.wait([asyncio.create_task(one(7))])
    values.append(done.pop().result())
    return values
""")
    assert worker.call().value == [0, 1, 2, 3, 4, 5, 6, 7]


def test_async_generators_are_closed(start):
    worker = start("""
import asyncio

closed = []

async def numbers():
    try:
        for n in range(10):
            yield n
            await asyncio.sleep(0)
    finally:
        closed.append(True)

async def execute(data):
    async for n in numbers():
        if n == 2:
            break
    await asyncio.sleep(0.01)
    return closed
""")
    assert worker.call().value == [True]


def test_cancel(start):
    worker = start("""
import asyncio

log = []

async def execute(data):
    if data.get("what") == "log":
        return log
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        log.append("cancelled")
        if data.get("stubborn"):
            await asyncio.sleep(0)
            return "anyway"
        raise
    finally:
        log.append("finally")
""")
    call_id = worker.execute({})
    worker.send(fd.PING, 0)
    worker.wait_for(fd.PONG)
    worker.send(fd.CANCEL, call_id)
    assert worker.result(call_id).outcome == fd.CANCELLED
    assert worker.call(what="log").value == ["cancelled", "finally"]
    call_id = worker.execute({"stubborn": True})
    worker.send(fd.PING, 0)
    worker.wait_for(fd.PONG)
    worker.send(fd.CANCEL, call_id)
    assert worker.result(call_id).value == "anyway"
    worker.send(fd.CANCEL, call_id)
    worker.send(fd.CANCEL, 12345)
    assert worker.call(what="log").value[-1] == "finally"


def test_cancel_in_the_same_message(start):
    worker = start("""
import asyncio

inner = []

async def child():
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        inner.append("child cancelled")
        raise

async def execute(data):
    if data.get("what") == "inner":
        return inner
    await asyncio.create_task(child())
""")
    call_id, frame = worker.execute_frame({})
    worker.send_frames([frame, worker.frame(fd.CANCEL, call_id)])
    assert worker.result(call_id).outcome == fd.CANCELLED
    # The task had not seen yet what it waits for, and cancels it all the same.
    assert worker.call(what="inner").value == ["child cancelled"]


def test_cancel_reaches_what_the_call_waits_for(start):
    worker = start("""
import asyncio

inner = []

async def child():
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        inner.append("child cancelled")
        raise

async def execute(data):
    if data.get("what") == "inner":
        return inner
    await asyncio.create_task(child())
""")
    call_id = worker.execute({})
    worker.call(what="inner")
    worker.send(fd.CANCEL, call_id)
    assert worker.result(call_id).outcome == fd.CANCELLED
    assert worker.call(what="inner").value == ["child cancelled"]


def test_background_tasks_go_on_between_calls(start):
    worker = start("""
import asyncio

ticks = 0

async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.01)

task = asyncio.create_task(tick())

async def execute(data):
    return ticks
""")
    first = worker.call().value
    end = time.monotonic() + 10
    while worker.call().value < first + 3:
        assert time.monotonic() < end


def test_exit_in_a_background_task_is_logged(start):
    worker = start("""
import asyncio, sys

async def leave():
    sys.exit(1)

async def execute(data):
    if data.get("leave"):
        asyncio.create_task(leave())
    return "here"
""")
    assert worker.call(leave=True).value == "here"
    assert worker.log("background task").level == 3
    assert worker.call().value == "here"


def test_stopping_the_loop_does_nothing(start):
    worker = start("""
import asyncio

async def execute(data):
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    return "still here"
""")
    assert worker.call().value == "still here"
    assert worker.call().value == "still here"


def test_failed_call_is_not_logged_as_forgotten(start):
    worker = start("""
import asyncio, gc

async def execute(data):
    await asyncio.sleep(0)
    if data.get("collect"):
        gc.collect()
        await asyncio.sleep(0)
        return None
    raise ValueError("once")
""")
    assert worker.call().error["message"] == "once"
    assert worker.call(collect=True).value is None
    assert worker.call(collect=True).value is None
    assert worker.logs == []
