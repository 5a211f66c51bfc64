"""A zygote that dies under the whole runtime: its plugins are started again, and none is blamed."""
import os
import signal

import pytest

from runtime import Runtime, stat_of, wait_for

PLUGIN = "async def execute(data):\n    return {'pid': 1}\n"


@pytest.fixture
def runtime():
    with Runtime({"one": {"logic.py": PLUGIN}, "two": {"logic.py": PLUGIN}}) as r:
        yield r


def zygote_of(runtime):
    """The parent of the workers."""
    started = [r for r in runtime.records if r.get("id") == "worker.started"]
    return stat_of(int(started[-1]["pid"]))[1]


def test_no_plugin_is_charged(runtime):
    """Neither a crash nor a failed start; in short order, as nobody's back-off but the zygote's."""
    for n in range(1, 4):
        def serves():
            return all(runtime.execute(name).status == 200 for name in ("one", "two"))
        wait_for(serves, "both plugins")
        wait_for(lambda: len([r for r in runtime.records if r.get("id") == "worker.started"]) >= 2 * n,
                 "the records of their start")
        os.kill(zygote_of(runtime), signal.SIGKILL)
        wait_for(lambda: len([r for r in runtime.records if r.get("id") == "zygote.ended"]) == n,
                 "the end of the zygote")
    wait_for(serves, "both plugins")
    for name in ("one", "two"):
        status = runtime.status(name)
        assert status["exit_reasons"] == {"zygote_gone": 3}, status
        assert status["counters"]["crashes"] == 0 and status["breaker"] == "closed", status
