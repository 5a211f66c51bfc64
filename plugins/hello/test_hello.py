"""hello, in a worker of the Python runtime."""

from pathlib import Path

import pytest

from fake_director import Worker


@pytest.fixture(scope="module")
def hello():
    with Worker(Path(__file__).parent, "hello") as worker:
        assert worker.start()["ok"]
        yield worker


def test_greets_by_name(hello):
    assert hello.call(name="Ada").value == {"message": "Hello Ada!"}
    assert hello.call(name="Zoë €").value == {"message": "Hello Zoë €!"}


def test_greets_the_caller(hello):
    context = {"username": "alice"}
    for data in ({}, {"name": ""}, {"name": None}):
        call_id = hello.execute({**data, "_context": context})
        assert hello.result(call_id).value == {"message": "Hello alice!"}
