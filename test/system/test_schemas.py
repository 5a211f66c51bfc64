"""Collections that a plugin declares, with indexes and initial data: done once, and changed with it."""
import json
import uuid

import pytest

import servers
from conftest import cannot_run
from runtime import Runtime, account_for, wait_for


LOGIC = """\
from bson import json_util
from core.config.database import db
from pymongo.errors import DuplicateKeyError

VERSION = {version}
{extra}

async def execute(data):
    collection = db[data.get("collection", "plans")]
    do = data.get("do")
    if do == "insert":
        try:
            await collection.insert_one(data["document"])
        except DuplicateKeyError:
            return "duplicate"
        return "inserted"
    if do == "delete":
        return (await collection.delete_many(data["filter"])).deleted_count
    if do == "indexes":
        found = await collection.index_information()
        return {{n: [i["key"], i.get("unique", False)] for n, i in found.items() if n != "_id_"}}
    if do == "find":
        found = await collection.find({{}}, {{"_id": 0}}).sort("name", 1).to_list(None)
        return [{{k: str(v) if k == "at" else v for k, v in d.items()}} for d in found]
    if do == "ids":
        return sorted(str(d["_id"]) for d in await collection.find({{}}).to_list(None))
    return VERSION
"""


def plugin(version=1, manifest=None, extra=""):
    files = {"logic.py": LOGIC.format(version=version, extra=extra)}
    if manifest is not None:
        files["manifest.json"] = json.dumps(manifest)
    return files


@pytest.fixture(scope="module")
def runtime(store):
    with Runtime({}, store, app=f"app-{uuid.uuid4().hex[:12]}") as r:
        yield r


@pytest.fixture
def name():
    return f"p{uuid.uuid4().hex[:10]}"


def install(runtime, name, version=1, **more):
    """Puts a version in place and waits until it serves."""
    runtime.put_plugin(name, plugin(version, **more))
    answers = []

    def serves():
        answers[:] = [runtime.execute(name)]
        return answers[0].status == 200 and answers[0].json == version
    try:
        wait_for(serves, f"version {version}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {answers}, {runtime.plugin(name)}") from None


def ask(runtime, plugin, do, user="alice", **more):
    answer = runtime.execute(plugin, {"do": do, **more}, user=user)
    assert answer.status == 200, answer
    return answer.json


def applied(runtime, name):
    return [r for r in runtime.records if r.get("id") == "schema.applied" and r["plugin"] == name]


FIRST = {"collections": {"plans": {
    "indexes": [{"field": "code", "unique": True}, "name", ["kind", ["name", -1]]],
    "initial_data": [{"name": "basic", "code": 5}, {"_id": "pro", "name": "pro", "code": 10},
                     {"name": "since", "at": {"$date": "2026-01-02T03:04:05Z"}}]}}}


def test_every_call_sees_what_a_plugin_declares(runtime, name):
    install(runtime, name, manifest=FIRST)
    for user in ("alice", "bob"):
        assert ask(runtime, name, "find", user) == [
            {"name": "basic", "code": 5}, {"name": "pro", "code": 10},
            {"name": "since", "at": "2026-01-02 03:04:05"}]
    assert ask(runtime, name, "indexes") == {
        "code_1": [[["code", 1]], True], "name_1": [[["name", 1]], False],
        "kind_1_name_-1": [[["kind", 1], ["name", -1]], False]}
    # Unique among all users, since the documents are the application's.
    document = {"code": "x", "name": "z"}
    assert ask(runtime, name, "insert", document=document) == "inserted"
    assert ask(runtime, name, "insert", "bob", document=document) == "duplicate"


def test_once(runtime, name):
    install(runtime, name, manifest={**FIRST, "workers": 3})
    ids = ask(runtime, name, "ids")
    assert len(ids) == 3 and len(applied(runtime, name)) == 1
    assert ask(runtime, name, "delete", filter={"name": "basic"}) == 1
    # The next director finds in the store what the last one has done.
    runtime.stop()
    runtime.start()
    wait_for(lambda: runtime.execute(name).status == 200, "the plugin")
    assert len(ask(runtime, name, "ids")) == 2
    assert not applied(runtime, name)
    # And neither does a version that declares the same bring it back.
    install(runtime, name, 2, manifest=FIRST)
    assert set(ask(runtime, name, "ids")) < set(ids)


def test_a_new_version_changes_it(runtime, name):
    install(runtime, name, manifest=FIRST)
    second = {"collections": [{"name": "plans", "indexes": ["code", "price"], "initial_data": [
        {"_id": "pro", "name": "pro", "code": 99}, {"name": "max", "code": 20}]}, "other"]}
    install(runtime, name, 2, manifest=second)
    assert ask(runtime, name, "indexes") == {
        "code_1": [[["code", 1]], False], "price_1": [[["price", 1]], False]}
    # What is there stays as it is, what is new comes.
    assert [[d["name"], d.get("code")] for d in ask(runtime, name, "find")] == [
        ["basic", 5], ["max", 20], ["pro", 10], ["since", None]]
    install(runtime, name, 3)
    assert ask(runtime, name, "indexes") == {}


def test_a_version_that_does_not_fit_the_data(runtime, name):
    """The version before goes on, and the list says why."""
    install(runtime, name, manifest={"collections": ["plans"]})
    for _ in range(2):
        assert ask(runtime, name, "insert", document={"code": "same"}) == "inserted"
    runtime.put_plugin(name, plugin(2, manifest=FIRST))
    entry = runtime.wait_plugin(name, lambda p: p["error"])
    assert entry["error"].startswith("collection plans, index code_1: "), entry
    assert runtime.execute(name).json == 1
    assert ask(runtime, name, "find") == [{"code": "same"}] * 2
    assert ask(runtime, name, "delete", filter={}) == 2
    install(runtime, name, 3, manifest=FIRST)
    assert len(ask(runtime, name, "ids")) == 3


SEED = """
import datetime

def get_database_schema():
    return {"collections": {"plugin_actions": {"indexes": [
                {"field": "id", "unique": True}, {"field": "action"}, {"field": "timestamp"}]}},
            "initial_data": {"config": {"enabled": True, "max_actions_per_minute": 60,
                                        "at": datetime.datetime(2026, 1, 2)}}}
"""


def test_what_get_database_schema_returns(runtime, name):
    install(runtime, name, extra=SEED)
    for user in ("alice", "bob"):
        assert ask(runtime, name, "find", user, collection="config") == [
            {"enabled": True, "max_actions_per_minute": 60, "at": "2026-01-02 00:00:00"}]
    assert ask(runtime, name, "indexes", collection="plugin_actions") == {
        "id_1": [[["id", 1]], True], "action_1": [[["action", 1]], False],
        "timestamp_1": [[["timestamp", 1]], False]}
    document = {"id": 1}
    assert ask(runtime, name, "insert", collection="plugin_actions", document=document) == "inserted"
    assert ask(runtime, name, "insert", "bob", collection="plugin_actions",
               document=document) == "duplicate"
    # Both doors are open, each for its own.
    install(runtime, name, 2, manifest=FIRST, extra=SEED)
    assert len(ask(runtime, name, "ids")) == 3
    assert len(ask(runtime, name, "ids", collection="config")) == 1
    install(runtime, name, 3, manifest=FIRST)
    assert ask(runtime, name, "indexes", collection="plugin_actions") == {}


@pytest.mark.parametrize("extra, manifest, error", [
    (SEED, {"collections": ["config"]},
     "get_database_schema(): manifest.json declares this, too: config"),
    ("def get_database_schema():\n    return {'collections': {'a/b': {}}}", None,
     "get_database_schema(): collections: names must be"),
    ("def get_database_schema():\n    return []", None, "must return a dict, not list"),
    ("async def get_database_schema():\n    return {}", None, "must not be async"),
    ("def get_database_schema():\n    return {'initial_data': {'a': {'x': 'y' * 60000}}}", None,
     "the limit is 49152"),
    ("def get_database_schema():\n    return {'initial_data': {'a': {'x': object()}}}", None,
     "TypeError"),
    ("", {"collections": [{"name": "a", "initial_data": [{"$x": 1}]}]},
     "initial data of a: "),
    ("", {"collections": [{"name": "a", "indexes": [{"key": {"$a": 1}}]}]},
     "collection a, index $a_1: "),
    ("", {"collections": [{"name": "a", "indexes": [{"field": "b", "unique": True}],
                           "initial_data": [{"b": 1, "c": 1}, {"b": 1, "c": 2}]}]},
     "initial data of a: there is a document with this"),
    ("", {"collections": [{"name": "a", "scope": "user", "initial_data": [{}]}]},
     "collections: a: initial data needs the scope app"),
])
def test_what_is_refused(runtime, name, extra, manifest, error):
    runtime.put_plugin(name, plugin(1, manifest=manifest, extra=extra))
    entry = runtime.wait_plugin(name, lambda p: p and p["error"])
    assert error in entry["error"], entry
    assert runtime.execute(name).status == 503


def test_collections_of_users(runtime, name):
    """Indexes come, and mean one user's documents."""
    install(runtime, name, manifest={"collections": {"plans": {
        "scope": "user", "indexes": [{"field": "code", "unique": True}]}}})
    for user in ("alice", "bob"):
        assert ask(runtime, name, "insert", user, document={"code": 1}) == "inserted"
        assert ask(runtime, name, "insert", user, document={"code": 1}) == "duplicate"
        assert ask(runtime, name, "find", user) == [{"code": 1, "user_id": user}]
    assert list(ask(runtime, name, "indexes")) == ["code_1"]


def test_a_store_that_is_away_is_not_the_plugins_fault(name):
    """It is tried again later, and does not count against the plugin."""
    server_name = "mongo_java"
    reason = servers.why_not(server_name)
    if reason:
        cannot_run(f"{server_name}: {reason}")
    with servers.Server(server_name) as server:
        account_for(server.process.pid)
        with Runtime({}, server.uri, app=f"app-{uuid.uuid4().hex[:12]}") as r:
            server.process.kill()
            server.process.wait()
            r.put_plugin(name, plugin(1, manifest=FIRST))
            entry = r.wait_plugin(name, lambda p: p and p["error"])
            assert "cannot be reached" in entry["error"], entry
            status = r.status(name)
            assert status["breaker"] == "closed", status
            assert {e["reason"] for e in status["exits"]} == {"start_failed"}, status
