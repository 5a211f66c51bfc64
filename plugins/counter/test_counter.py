"""counter, in a native worker with the whole sandbox."""

import os

import bson
import pytest

import fake_director as fd
from fake_store import FakeStore
from native import installed


class Store(FakeStore):
    """With the part of MongoDB's language that counter uses."""

    def _modify(self, request):
        command = request.bson()
        assert command["upsert"] and command["new"]
        update = command["update"]
        chosen = self._chosen(command)
        if chosen:
            document = chosen[0]
        else:
            document = {**command["filter"], **update["$setOnInsert"]}
            self._collection(command).append(document)
        for name, step in update.get("$inc", {}).items():
            document[name] = document.get(name, 0) + step
        document.update(update.get("$set", {}))
        return bson.encode({"value": document})

    def _find(self, request):
        shown = request.bson().get("projection")
        documents = self._chosen(request.bson())
        if shown is not None:
            documents = [{k: v for k, v in d.items() if shown.get(k)} for d in documents]
        return fd.cursor_reply(documents)


@pytest.fixture
def counter():
    with installed(os.environ["COUNTER_LIBRARY"], "counter") as worker:
        worker.store = Store(worker)
        yield worker


def call(counter, action, **more):
    return counter.call(action=action, **more).value


def test_counts(counter):
    assert call(counter, "get", name="a") == {"name": "a", "value": 0}
    assert call(counter, "increment", name="a") == {"name": "a", "value": 1}
    assert call(counter, "increment", name="a", by=5) == {"name": "a", "value": 6}
    assert call(counter, "increment", name="a", by=-2) == {"name": "a", "value": 4}
    assert call(counter, "get", name="a") == {"name": "a", "value": 4}
    assert call(counter, "reset", name="a") == {"name": "a", "value": 0}


def test_large_values_stay_exact(counter):
    counter.store.documents["user_1"] = {
        "counters": [{"_id": "user_1/a", "name": "a", "value": bson.Int64(1 << 60)}]}
    assert call(counter, "increment", name="a") == {"name": "a", "value": (1 << 60) + 1}
    assert call(counter, "list") == {"counters": [{"name": "a", "value": (1 << 60) + 1}]}


def test_lists(counter):
    assert call(counter, "list") == {"counters": []}
    for name in ("b", "a", "c\u20ac\"\\"):
        call(counter, "increment", name=name)
    assert call(counter, "list") == {"counters": [
        {"name": "a", "value": 1}, {"name": "b", "value": 1}, {"name": "c\u20ac\"\\", "value": 1}]}


@pytest.mark.parametrize("data", [
    {}, {"action": "drop"}, {"action": 5}, {"action": "increment"},
    {"action": "increment", "name": ""}, {"action": "increment", "name": "x" * 101},
    {"action": "increment", "name": ["a"]}, {"action": "increment", "name": "a", "by": 1.5},
    {"action": "increment", "name": "a", "by": 1000001}, {"action": "get"}, {"action": "reset"},
])
def test_bad_requests(counter, data):
    value = counter.call(data).value
    assert value["error_code"] == "VALIDATION_ERROR"
    assert counter.requests == []


def test_a_store_that_refuses(counter):
    def refuse(request):
        raise fd.Refusal("permission_denied", "database.write was not granted")

    counter.capabilities[fd.MODIFY] = refuse
    result = counter.call(action="increment", name="a")
    assert result.outcome == fd.EXCEPTION
    assert "database.write was not granted" in result.error["message"]
