"""Fixtures: a worker that runs a plugin written in the test."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

sys.path.append(str(Path(__file__).resolve().parents[3] / "test"))

from fake_director import Source, Worker, write_plugin  # noqa: E402
from not_run import cannot_run, pytest_terminal_summary  # noqa: E402,F401


@pytest.fixture
def snapshots() -> Iterator[Path]:
    """A directory that the ordinary user can read who runs the sandbox."""
    with tempfile.TemporaryDirectory(prefix="mozaiks-python-", dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.fixture
def unstarted(snapshots: Path) -> Iterator[Callable[..., Worker]]:
    """Makes workers that have not said HELLO; all end with the test."""
    workers: List[Worker] = []

    def make(source: Source, plugin: str = "sample", **config: Any) -> Worker:
        directory = snapshots / plugin / f"version_{len(workers)}"
        directory.mkdir(parents=True)
        worker = Worker(write_plugin(directory, source), plugin, **config)
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        with worker:
            pass


@pytest.fixture
def start(unstarted: Callable[..., Worker]) -> Callable[..., Worker]:
    """Makes workers that are ready."""

    def make(source: Source, plugin: str = "sample", **config: Any) -> Worker:
        worker = unstarted(source, plugin, **config)
        try:
            ready = worker.start()
        except EOFError:
            if worker.close() == 77:
                cannot_run(worker.output.strip().removeprefix("not run: "))
            raise AssertionError(worker.output) from None
        assert ready["ok"], ready
        return worker

    return make
