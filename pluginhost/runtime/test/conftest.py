"""Fixtures: a worker that runs a plugin written in the test."""

from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest

from fake_director import Source, Worker, write_plugin


@pytest.fixture
def unstarted(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Makes workers that have not said HELLO; all end with the test."""
    workers: List[Worker] = []

    def make(source: Source, plugin: str = "sample", **config: Any) -> Worker:
        directory = tmp_path / f"plugin_{len(workers)}"
        directory.mkdir()
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
        ready = worker.start()
        assert ready["ok"], ready
        return worker

    return make
