"""A pluginhost that has no sandbox for plugins: the director serves on and says so. Played, since no
machine lets a test take its user namespaces away."""
import json
import os
import socket
import struct

import pytest

from pair0 import VERSION, Frame, Pair0, text
from runtime import Runtime, mint, wait_for

PLUGIN = {"id": "hello", "version": "0" * 64, "last_good": None, "kind": "mozaiks", "state": "ready",
          "error": None, "entry": "logic.py", "source": "plugins/hello", "manifest": None}


class NoPluginhost(Runtime):
    """The director alone, which is not ready without a pluginhost, and takes tokens once its store has
    answered."""

    def start(self):
        self.start_director()
        wait_for(lambda: self.get("/api/plugins", token=mint("operator")).status == 200,
                 "the store's answer")
        return self


@pytest.fixture
def director():
    with NoPluginhost() as runtime:
        yield runtime


def connect(runtime):
    connection = socket.socket(socket.AF_UNIX)
    folder = os.open(runtime.run / "control", os.O_PATH | os.O_DIRECTORY)
    connection.connect(f"/proc/self/fd/{folder}/default.sock")
    os.close(folder)
    return Pair0(connection)


def say(host, sandbox, failure):
    report = {"version": "0", "epoch": "0" * 16, "pid": 1, "sandbox": sandbox, "failure": failure}
    host.send_bytes(Frame("HOST", struct.pack("<H", VERSION) + text("default") +
                          json.dumps(report).encode()).encode())


def test_calls_are_told(director):
    host = connect(director)
    say(host, None, "no user namespace can be made: Operation not permitted")
    host.send_bytes(Frame("PLUGINS", b"\1" + json.dumps([PLUGIN]).encode()).encode())
    wait_for(lambda: director.plugin("hello"), "the plugin")

    answer = director.execute("hello")
    assert answer.status == 503 and answer.json["code"] == "sandbox_unavailable", answer
    assert answer.headers["retry-after"] == "60"
    # What is wrong with the machine is the operator's business.
    assert "namespace" not in answer.body.decode()
    assert director.get("/livez").status == 200

    # It finds a sandbox after all: then the plugin is only not running.
    say(host, {"tier": 1}, None)
    wait_for(lambda: code(director) != "sandbox_unavailable", "another answer")


def code(runtime):
    """Of the answer; "waiting" when the call waits for a worker, as it may."""
    try:
        return runtime.execute("hello", timeout=0.5).json["code"]
    except TimeoutError:
        return "waiting"
