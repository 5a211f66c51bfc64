"""Every limit is a setting; what runs into one says its value and the setting's name, exactly there."""
import os
import signal
import threading
import time

from runtime import Runtime, wait_for

ECHO = {"logic.py": "async def execute(data):\n    return data\n"}


def says(runtime, *words):
    return wait_for(lambda: next((line for line in runtime.director.lines
                                  if all(word in line for word in words)), None),
                    10, f"a record with {words}")


# The life of a worker

def test_time_to_load_a_plugin():
    with Runtime({"sleeper": {"logic.py": "import time\ntime.sleep(60)\n"}, "echo": ECHO},
                 env={"MOZAIKS_WORKER_LOAD_TIMEOUT_SECONDS": "2"}) as runtime:
        says(runtime, "it was not ready within 2 s (MOZAIKS_WORKER_LOAD_TIMEOUT_SECONDS)")
        assert runtime.execute("echo", {"a": 1}).json["a"] == 1


def test_time_until_a_worker_reports():
    """A zygote that is stopped starts nothing."""
    with Runtime({"echo": ECHO}, env={"MOZAIKS_WORKER_HELLO_TIMEOUT_SECONDS": "1"}) as runtime:
        stopped = runtime.workers()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            runtime.put_plugin("echo", {"logic.py": ECHO["logic.py"] + "# another version\n"})
            says(runtime, "it did not report from its sandbox within 1 s "
                          "(MOZAIKS_WORKER_HELLO_TIMEOUT_SECONDS)")
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)


def test_plugins_that_start_at_once():
    """Up to the limit all do; with one more each waits for its first call."""
    for limit, state in (("2", "ready"), ("1", "stopped")):
        with Runtime({"one": ECHO, "two": ECHO}, env={"MOZAIKS_EAGER_PLUGINS": limit}) as runtime:
            for name in ("one", "two"):
                runtime.wait_plugin(name, lambda p, state=state: p and p["state"] == state)
            assert runtime.execute("two", {"a": 2}).json["a"] == 2


def test_time_to_drain():
    slow = {"logic.py": "import asyncio\nasync def execute(data):\n    await asyncio.sleep(30)\n"}
    with Runtime({"slow": slow}, env={"MOZAIKS_DRAIN_TIMEOUT_SECONDS": "0.5"}) as runtime:
        answers = []

        def call():
            try:
                answers.append(runtime.execute("slow").status)
            except OSError as error:
                answers.append(error)
        caller = threading.Thread(target=call)
        caller.start()
        time.sleep(0.5)
        director = runtime.director
        started = time.monotonic()
        director.signal(signal.SIGTERM)
        director.process.wait(10)
        assert 0.4 < time.monotonic() - started < 5
        says(runtime, "after 0.5 s (MOZAIKS_DRAIN_TIMEOUT_SECONDS)")
        caller.join()
        assert answers != [200]
