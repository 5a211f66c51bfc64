"""Log records, stdout and stderr as LOG frames."""

import time


def test_levels_names_and_tracebacks(start):
    worker = start("""
import logging
logger = logging.getLogger("mozaiks_plugins.sample")

async def execute(data):
    logger.debug("quiet")
    logger.info("note %s", data["n"])
    logger.warning("warned")
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("failed")
    logger.critical("worst")
    logging.info("to the root")
    logger.info("bad arguments %d", "x")
    logger.info("surrogate \\ud800")
    return 1
""")
    call_id = worker.execute({"n": 7})
    worker.result(call_id)
    levels = [(r.level, r.logger, r.message.splitlines()[0]) for r in worker.logs]
    name = "mozaiks_plugins.sample"
    assert levels[:5] == [
        (6, name, "note 7"),
        (4, name, "warned"),
        (3, name, "failed"),
        (3, name, "worst"),
        (6, "root", "to the root"),
    ]
    assert "ZeroDivisionError" in worker.logs[2].message
    assert "bad arguments" in levels[5][2] and "not formatted" in levels[5][2]
    assert levels[6][2] == "surrogate \\ud800"
    assert {r.call_id for r in worker.logs} == {call_id}


def test_development_shows_debug(start):
    worker = start(
        "import logging\nlogging.getLogger('mozaiks_plugins.x').debug('shown')\n"
        "async def execute(data):\n    return 1\n",
        development=True,
    )
    record = worker.log("shown")
    assert record.level == 7 and record.call_id == 0


def test_stdout_and_stderr(start):
    worker = start("""
import sys, os, warnings

async def execute(data):
    print("one", "two")
    print("half", end="")
    print(" whole")
    print("error", file=sys.stderr)
    print()
    sys.stdout.write("a\\nb\\nc")
    sys.stdout.flush()
    sys.stdout.buffer.write("bytes ü\\n".encode())
    sys.stdout.buffer.flush()
    warnings.warn("careful")
    return [sys.stdout.isatty(), sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.encoding]
""")
    assert worker.call().value == [False, 1, 2, "utf-8"]
    records = [(r.level, r.logger, r.message) for r in worker.logs]
    out, err = "sample.stdout", "sample.stderr"
    assert records[:7] == [
        (6, out, "one two"),
        (6, out, "half whole"),
        (4, err, "error"),
        (6, out, "a"),
        (6, out, "b"),
        (6, out, "c"),
        (6, out, "bytes ü"),
    ]
    assert "careful" in records[7][2] and records[7][1] == "py.warnings"


def test_descriptors_themselves_are_pipes(start):
    worker = start(
        "import os\nasync def execute(data):\n    os.write(1, b'raw\\n')\n    return 1\n"
    )
    worker.call()
    worker.close()
    assert "raw" in worker.output


def test_long_records_are_cut(start):
    worker = start("""
import logging
async def execute(data):
    logging.warning("start " + "ü" * 100_000 + " end")
    print("x" * 100_000)
    return 1
""")
    worker.call()
    assert all(len(r.message.encode()) <= 8192 for r in worker.logs)
    assert worker.logs[0].message.startswith("start ")
    assert sum(len(r.message) for r in worker.logs[1:]) == 100_000


def test_flood_is_dropped_and_counted(start):
    worker = start("""
import logging
async def execute(data):
    for n in range(2000):
        logging.warning("flood " + "x" * 4000)
    return "answered"
""")
    call_id = worker.execute({})
    # Not read for a while: nothing blocks, the answer comes.
    time.sleep(0.5)
    assert worker.result(call_id).value == "answered"
    floods = [r for r in worker.logs if r.message.startswith("flood")]
    assert 100 < len(floods) < 1200
    call_id = worker.execute({})
    worker.result(call_id)
    dropped = worker.log("log records were dropped")
    assert dropped.level == 4 and dropped.logger == "mozaiks.log"
    assert int(dropped.message.split()[0]) == 2000 - len(floods)


def test_background_exception_is_logged(start):
    worker = start("""
import asyncio, gc

async def fails():
    raise ValueError("in the background")

async def execute(data):
    asyncio.create_task(fails())
    await asyncio.sleep(0.01)
    gc.collect()
    return 1
""")
    worker.call()
    record = worker.log("in the background")
    assert record.logger == "asyncio" and record.level == 3


def test_thread_logs(start):
    worker = start("""
import logging, threading
def execute(data):
    logging.warning("from a thread")
    print("printed in a thread")
    return 1
""")
    call_id = worker.execute({})
    worker.result(call_id)
    assert worker.log("from a thread").call_id == call_id
    assert worker.log("printed in a thread").call_id == call_id


def test_thread_of_the_plugin_wakes_the_loop(start):
    worker = start("""
import logging, threading, time
def later():
    time.sleep(0.2)
    logging.warning("much later")
async def execute(data):
    threading.Thread(target=later, daemon=True).start()
    return 1
""")
    worker.call()
    worker.log("much later")
