"""The director's own fences, seen from outside: every thread has them, and the log says what is on."""
import ctypes
import errno
import json
import os
import pathlib
import re
import struct
import subprocess

import pytest

from runtime import BUILD, DIRECTOR, Runtime, mint, wait_for

HELLO = {"logic.py": "async def execute(data):\n    return {'hello': data.get('name')}\n"}


def status_of(task):
    """{name: value} of /proc/PID/task/TID/status."""
    return dict(re.findall(r"^(\w+):\s*(.*)$", (task / "status").read_text(), re.M))


def threads(runtime):
    return [status_of(t) for t in pathlib.Path(f"/proc/{runtime.director.pid}/task").iterdir()]


def record(runtime, name):
    return next((r for r in runtime.director.records if r["id"] == name), None)


def is_sanitized():
    """What the build says: a director that does not confine itself is no reason to believe it."""
    options = json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text())
    return next(o["value"] for o in options if o["name"] == "b_sanitize") != "none"


@pytest.fixture(scope="module")
def kernel():
    """What an unconfined process of this machine has."""
    return status_of(pathlib.Path("/proc/self"))


def test_every_thread_is_confined(kernel):
    with Runtime(plugins={"hello": HELLO}) as runtime:
        assert runtime.execute("hello", {"name": "a"}).json == {"hello": "a"}
        if is_sanitized():
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


LANDLOCK_CREATE_RULESET = 444
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2


def answer_landlock_with(error):
    """In a child: from here on the kernel answers so, as one without Landlock or a container would."""
    def instruction(code, yes, no, k):
        return struct.pack("HBBI", code, yes, no, k)
    program = b"".join([
        instruction(0x20, 0, 0, 0),                           # load the call's number
        instruction(0x15, 0, 1, LANDLOCK_CREATE_RULESET),     # is it this one?
        instruction(0x06, 0, 0, 0x00050000 | error),          # answer with the error
        instruction(0x06, 0, 0, 0x7fff0000),                  # allow
    ])
    buffer = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer)))
    prctl = ctypes.CDLL(None).prctl
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header):
        os._exit(99)


def start_with_landlock(runtime, error):
    """A director alone, and the lines that it writes until it listens or ends."""
    process = subprocess.Popen([DIRECTOR], env=runtime.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               preexec_fn=lambda: answer_landlock_with(error))
    try:
        wait_for(lambda: process.poll() is not None or (runtime.run / "http_port").exists(),
                 "its start")
    finally:
        process.terminate()
    return process.wait(20), process.communicate()[0]


def test_a_kernel_without_landlock_is_a_warning():
    runtime = Runtime()
    try:
        status, text = start_with_landlock(runtime, errno.ENOSYS)
        if "built with sanitizers" not in text:
            assert '"level":"warning"' in text and "confine.partial" in text
            assert "this kernel has no Landlock" in text and '"seccomp":"kill"' in text
    finally:
        runtime.close()
    assert status == 0, text


def test_being_forbidden_to_ask_ends_the_start():
    """No kernel without it, but a mistake of whoever started it: it must not pass unseen."""
    runtime = Runtime()
    try:
        status, text = start_with_landlock(runtime, errno.EPERM)
        if "built with sanitizers" not in text:
            assert status == 1 and "confine.failed" in text and "landlock_create_ruleset" in text
            assert not (runtime.run / "http_port").exists()
    finally:
        runtime.close()


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
