"""Native workers for tests: a plugin's C text is compiled as an author would, and runs in the whole
sandbox, driven by the fake director."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator

from contextlib import contextmanager

import fake_director as fd

sys.path.append(str(Path(__file__).resolve().parents[3] / "test"))

from not_run import cannot_run  # noqa: E402

INCLUDE = os.environ["PLUGIN_INCLUDE"]

HEAD = """
#include <mozaiks/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
"""

TAIL = """
static const struct mozaiks_plugin plugin = {{ MOZAIKS_PLUGIN_HEAD, .name = "sample",
	.execute = execute, {more} }};
const struct mozaiks_plugin *mozaiks_plugin(void) {{ return &plugin; }}
"""


class NativeWorker(fd.Worker):
    def start(self) -> Dict[str, Any]:
        hello = self.wait_for(fd.HELLO)
        assert struct.unpack_from("<HB", hello.payload) == (3, 1)
        self.report = json.loads(hello.payload[3:])
        self.send(fd.CONFIGURE, 0, json.dumps(self.config).encode())
        ready = self.wait_for(fd.READY)
        return {"ok": ready.payload[0] == 1, **json.loads(ready.payload[1:])}


def build(directory: Path, source: str) -> None:
    (directory / "logic.c").write_text(source)
    subprocess.run(
        ["cc", "-std=gnu11", "-O1", "-Wall", "-Werror", "-Wno-unused-result", "-shared", "-fPIC",
         "-I", INCLUDE, "-o", str(directory / "logic.so"), str(directory / "logic.c")],
        check=True,
    )


@contextmanager
def snapshot(plugin: str) -> Iterator[Path]:
    """An empty version of a plugin that the ordinary user can read who runs the sandbox."""
    with tempfile.TemporaryDirectory(prefix="mozaiks-native-", dir="/tmp") as path:
        os.chmod(path, 0o755)
        directory = Path(path) / plugin / "version_1"
        directory.mkdir(parents=True)
        yield directory


@contextmanager
def unstarted(source: str, **config: Any) -> Iterator[NativeWorker]:
    with snapshot("sample") as directory:
        build(directory, HEAD + source)
        with NativeWorker(directory, "sample", **config) as worker:
            yield worker


@contextmanager
def running(execute: str, more: str = "", **config: Any) -> Iterator[NativeWorker]:
    """A worker that is ready. `execute` is C text that defines execute()."""
    with unstarted(execute + TAIL.format(more=more), **config) as worker:
        start(worker)
        yield worker


@contextmanager
def installed(library: str, plugin: str) -> Iterator[NativeWorker]:
    """A worker that runs a plugin that is built already."""
    with snapshot(plugin) as directory:
        shutil.copy(library, directory / "logic.so")
        with NativeWorker(directory, plugin) as worker:
            start(worker)
            yield worker


def start(worker: NativeWorker) -> Dict[str, Any]:
    try:
        ready = worker.start()
    except EOFError:
        if worker.close() == 77:
            cannot_run(worker.output.strip().removeprefix("not run: "))
        raise AssertionError(worker.output) from None
    assert ready["ok"], ready
    return ready
