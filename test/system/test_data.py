"""What a plugin can reach in the store: its caller's documents, and nothing else, by any spelling."""
import concurrent.futures
import contextlib
import json
import re
import uuid

import pytest

from conftest import PLUGINS
from runtime import Runtime, wait_for

FORGETFUL = {"logic.py": """\
from core.config.database import db


async def execute(data):
    # Never mentions a user.
    items = db["items"]
    if data["action"] == "add":
        await items.insert_one({"title": data["title"]})
        return {}
    if data["action"] == "rename all":
        return {"n": (await items.update_many({}, {"$set": {"title": "renamed"}})).matched_count}
    if data["action"] == "delete all":
        return {"n": (await items.delete_many({})).deleted_count}
    return [d["title"] for d in await items.find({}).sort("title", 1).to_list(None)]
"""}


STORE_LOGIC = (PLUGINS / "store" / "logic.py").read_text()

# Only an operator can let a plugin out of its scope: to ask for it is not enough.
ASKING = {"logic.py": STORE_LOGIC, "manifest.json": json.dumps({
    "name": "asking", "permissions": ["database.read", "database.write", "database.cross_user"]})}


@pytest.fixture(scope="module")
def runtime(store):
    plugins = {"store": PLUGINS / "store", "other": PLUGINS / "store", "forgetful": FORGETFUL,
               "asking": ASKING}
    with Runtime(plugins, store, app=f"app-{uuid.uuid4().hex[:12]}") as r:
        yield r


class Caller:
    """One user's operations on one collection of the `store` plugin."""

    def __init__(self, runtime, user, collection, plugin="store"):
        self.runtime, self.user, self.collection = runtime, user, collection
        self.plugin = plugin

    def __call__(self, op, *args, **more):
        data = {"collection": self.collection, "op": op, "args": list(args), **more}
        answer = self.runtime.execute(self.plugin, data, user=self.user)
        assert answer.status == 200, answer
        return answer.json

    def find(self, filter=None, **more):
        return self("find", filter or {}, **more)["documents"]


@pytest.fixture
def collection():
    return f"c{uuid.uuid4().hex[:10]}"


@pytest.fixture
def alice(runtime, collection):
    return Caller(runtime, "alice", collection)


@pytest.fixture
def bob(runtime, collection):
    return Caller(runtime, "bob", collection)


def values(documents, name="n"):
    return [d[name] for d in documents]


def test_a_plugin_that_forgets_the_user_leaks_nothing(runtime):
    for user in ("alice", "bob"):
        for title in ("x", "y"):
            runtime.execute("forgetful", {"action": "add", "title": f"{user}-{title}"}, user=user)
    assert runtime.execute("forgetful", {"action": "list"}, user="alice").json == ["alice-x", "alice-y"]
    assert runtime.execute("forgetful", {"action": "rename all"}, user="alice").json == {"n": 2}
    assert runtime.execute("forgetful", {"action": "list"}, user="bob").json == ["bob-x", "bob-y"]
    assert runtime.execute("forgetful", {"action": "delete all"}, user="bob").json == {"n": 2}
    assert runtime.execute("forgetful", {"action": "list"}, user="alice").json == ["renamed"] * 2


def test_who_asks_to_see_all_users_sees_one(runtime, collection):
    alice, bob = (Caller(runtime, user, collection, "asking") for user in ("alice", "bob"))
    alice("insert_one", {"n": 1})
    bob("insert_one", {"n": 2})
    assert values(alice.find()) == [1]
    refused = alice("find", {"user_id": "bob"})
    assert refused["failed"] == "PermissionDenied" and "user_id" in refused["message"], refused
    assert alice("delete_many", {})["deleted_count"] == 1
    assert values(bob.find()) == [2]


def policy(runtime, plugins):
    (runtime.configs / "plugin_policy.json").write_text(json.dumps({"plugins": plugins}))


def test_only_an_operator_s_word_shows_all_users(store):
    """database.cross_user: asked for or not, it is the policy file that grants it; and granted, it
    does nothing where the plugin does not say so."""
    with contextlib.ExitStack() as stack:
        r = Runtime({"asking": ASKING, "store": PLUGINS / "store"}, store,
                    app=f"app-{uuid.uuid4().hex[:12]}")
        policy(r, {"store": {"grant": ["database.cross_user"]}})
        stack.enter_context(r)
        for plugin in ("asking", "store"):
            for n, user in enumerate(("alice", "bob")):
                Caller(r, user, "c", plugin)("insert_one", {"n": n})
        asking, granted = Caller(r, "alice", "c", "asking"), Caller(r, "alice", "c", "store")
        for op, args in (("find", [{}]), ("count_documents", [{}]), ("distinct", ["n"]),
                         ("delete_many", [{}]), ("insert_one", [{"user_id": "bob"}]),
                         ("update_many", [{}, {"$set": {"n": 9}}]),
                         ("find_one_and_delete", [{}])):
            refused = asking(op, *args, all_users=True)
            assert refused["failed"] == "PermissionDenied", (op, refused)
            assert '"database.cross_user"' in refused["message"], refused
        assert values(granted.find()) == [0]
        assert r.status("asking")["permissions"]["asked"] == ["database.cross_user"]
        assert "database.cross_user" in r.status("store")["permissions"]["granted"]
        assert granted("find", {"user_id": "bob"})["failed"] == "PermissionDenied"
        assert sorted(values(granted.find({}, all_users=True))) == [0, 1]
        assert values(granted.find({"user_id": "bob"}, all_users=True)) == [1]
        changed = granted("update_many", {}, {"$inc": {"n": 10}}, all_users=True)
        assert changed["modified_count"] == 2
        assert values(Caller(r, "bob", "c", "store").find()) == [11]
        assert values(Caller(r, "bob", "c", "asking").find()) == [1], "another plugin's are another's"
        # Granted while the plugin runs, and taken away again; a policy that is none changes nothing.
        policy(r, {"*": {"grant": ["database.cross_user"]}, "store": {"deny": ["database.write"]}})
        r.ctl("plugin", "refresh")
        wait_for(lambda: "documents" in asking("find", {}, all_users=True), "the grant")
        refused = granted("insert_one", {})
        assert refused["failed"] == "PermissionDenied" and "database.write" in refused["message"]
        (r.configs / "plugin_policy.json").write_text('{"plugins": {"asking": {"grants": []}}}')
        r.ctl("plugin", "refresh")
        wait_for(lambda: "plugins.asking.grants" in r.log, "the word about the policy")
        assert "documents" in asking("find", {}, all_users=True)
        (r.configs / "plugin_policy.json").unlink()
        r.ctl("plugin", "refresh")
        wait_for(lambda: "failed" in asking("find", {}, all_users=True), "the end of the grant")
        assert "inserted_id" in granted("insert_one", {})


def test_grants_by_command():
    """mozaiksctl plugin grant, revoke, grants: at once, without a restart, and kept in the policy."""
    with Runtime({"store": PLUGINS / "store"}) as r:
        alice, bob = Caller(r, "alice", "c"), Caller(r, "bob", "c")
        for n, caller in enumerate((alice, bob)):
            caller("insert_one", {"n": n})
        assert alice("find", {}, all_users=True)["failed"] == "PermissionDenied"
        assert r.ctl("plugin", "grant", "store", "database.cross_user").stdout == "store: ready\n"
        assert sorted(values(alice.find({}, all_users=True))) == [0, 1]
        written = json.loads((r.configs / "plugin_policy.json").read_text())
        assert written == {"plugins": {"store": {"grant": ["database.cross_user"]}}}
        listed = r.ctl("plugin", "grants", "store").stdout
        assert re.search(r"^store +database\.cross_user +granted$", listed, re.M), listed
        r.ctl("plugin", "revoke", "store", "database.cross_user")
        r.ctl("plugin", "revoke", "store", "database.write")
        assert alice("find", {}, all_users=True)["failed"] == "PermissionDenied"
        refused = alice("insert_one", {"n": 5})
        assert refused["failed"] == "PermissionDenied" and "database.write" in refused["message"]
        listed = r.ctl("plugin", "grants").stdout
        assert re.search(r"^store +database\.write +asked for, not granted$", listed, re.M), listed
        r.ctl("plugin", "grant", "store", "database.write")
        assert "inserted_id" in alice("insert_one", {"n": 5})
        # Changes at once are made one after the other: none is lost.
        names = ["events.publish", "events.subscribe", "websocket.send", "websocket.broadcast"]
        with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: r.ctl("plugin", "revoke", "store", name), names))
        written = json.loads((r.configs / "plugin_policy.json").read_text())
        assert sorted(written["plugins"]["store"]["deny"]) == sorted(names)
        for arguments, status, words in (
                (("grant", "store", "database.all"), 1, "there is no permission"),
                (("revoke", "nobody", "database.write"), 4, "There is no plugin 'nobody'"),
                (("grants", "nobody"), 4, "There is no plugin 'nobody'")):
            done = r.ctl("plugin", *arguments, check=False)
            assert done.returncode == status and words in done.stderr, done
        assert "database.read" in r.ctl("plugin", "grant", "store", "x", check=False).stderr
        (r.configs / "plugin_policy.json").write_text('{"plugins": []}')
        done = r.ctl("plugin", "grant", "store", "users.any", check=False)
        assert done.returncode == 1 and "plugin_policy.json: plugins" in done.stderr, done
        assert (r.configs / "plugin_policy.json").read_text() == '{"plugins": []}'


NAMES = {"logic.py": """
from core.config.database import db

async def execute(data):
    if "put" in data:
        await db[data["put"]].insert_one({"a": 1})
    return {"names": await db.list_collection_names(filter=data.get("filter"))}
"""}


def test_a_plugin_sees_its_own_names(store):
    """Never another plugin's, another app's or core's; by its own words, whatever an operator calls them."""
    app = f"app-{uuid.uuid4().hex[:12]}"
    r = Runtime({"one": NAMES, "two": NAMES}, store, app=app)
    policy(r, {"two": {"collections": {"theirs": f"{app}/one/shared", "none": "nowhere"}}})
    with r:
        def names(plugin, user="alice", **data):
            return r.execute(plugin, data, user=user).json["names"]
        assert names("one") == [] and names("two") == []
        assert names("one", put="a") == ["a"]
        assert names("one", "bob", put="b") == ["a", "b"], "whosever documents they hold"
        assert names("two", put="c") == ["c"]
        assert names("one", filter={"name": {"$in": ["b", "c"]}}) == ["b"]
        names("one", put="shared")
        assert names("two") == ["c", "theirs"]
        assert names("one") == ["a", "b", "shared"]
    with Runtime({"one": NAMES}, store, app=f"{app}.other") as other:
        assert other.execute("one", {}, user="alice").json["names"] == []


def test_a_policy_that_cannot_be_meant_stops_the_start():
    r = Runtime()
    policy(r, {"store": {"grant": ["database.everything"]}})
    with pytest.raises(AssertionError, match="no permission .*database.everything"):
        with r:
            pass


def test_collections_that_were_there_before(store):
    """The operator names them; they are scoped like any."""
    app = f"app-{uuid.uuid4().hex[:12]}"
    with Runtime({"before": PLUGINS / "store"}, store, app=app) as r:
        for n, user in enumerate(("alice", "bob")):
            Caller(r, user, "old", "before")("insert_one", {"n": n})
        state = r.state
        r.stop()
        r.put_plugin("store", PLUGINS / "store")
        policy(r, {"store": {"collections": {"items": f"{app}/before/old"}}})
        r.start()
        assert r.state == state
        items = Caller(r, "alice", "items")
        wait_for(lambda: "documents" in items("find", {}), "the plugin")
        assert values(items.find()) == [0]
        assert items("insert_one", {"n": 5})["inserted_id"]
        assert sorted(values(Caller(r, "alice", "old", "before").find())) == [0, 5]
        assert values(Caller(r, "bob", "items").find()) == [1]
        assert Caller(r, "alice", "old").find() == []


def test_quotas(store):
    """Each names itself."""
    with Runtime({"store": PLUGINS / "store"}, store, app=f"app-{uuid.uuid4().hex[:12]}",
                 env={"MOZAIKS_QUOTA_USER_DOCUMENTS": "3",
                      "MOZAIKS_QUOTA_PLUGIN_BYTES": "100K"}) as r:
        alice, bob = Caller(r, "alice", "c"), Caller(r, "bob", "c")
        for n in range(3):
            assert "inserted_id" in alice("insert_one", {"n": n})
        refused = alice("insert_one", {"n": 3})
        assert "MOZAIKS_QUOTA_USER_DOCUMENTS" in refused["message"], refused
        refused = alice("insert_many", [{"n": 4}, {"n": 5}], kwargs={"ordered": False})
        assert "MOZAIKS_QUOTA_USER_DOCUMENTS" in refused["message"], refused
        refused = alice("update_one", {"n": 9}, {"$set": {"n": 9}}, kwargs={"upsert": True})
        assert "MOZAIKS_QUOTA_USER_DOCUMENTS" in refused["message"], refused
        assert values(alice.find()) == [0, 1, 2]
        refused = bob("insert_one", {"pad": "x" * 110000})
        assert "MOZAIKS_QUOTA_PLUGIN_BYTES" in refused["message"], refused
        assert "inserted_id" in bob("insert_one", {"pad": "x"})
        assert alice("delete_one", {"n": 0})["deleted_count"] == 1
        assert "inserted_id" in alice("insert_one", {"n": 3})


FILTERS = [
    {"user_id": "bob"}, {"user_id": {"$ne": "alice"}}, {"user_id": {"$exists": True}},
    {"user_id": {"$in": ["alice", "bob"]}}, {"user_id": {"$gt": ""}}, {"user_id": None},
    {"$or": [{"user_id": "bob"}, {"n": 1}]}, {"$nor": [{"user_id": "alice"}]},
    {"$and": [{"user_id": "bob"}]}, {"user_id": {"$regex": "."}}, {"user_id": {"$not": {"$eq": "x"}}},
    {"user_id.x": {"$exists": False}}, {"$or": [{}, {"user_id": "bob"}]},
]


@pytest.mark.parametrize("filter", FILTERS, ids=str)
def test_no_filter_reaches_another_user(alice, bob, filter):
    alice("insert_one", {"n": 1})
    bob("insert_one", {"n": 2})
    answer = alice("find", filter)
    assert 2 not in values(answer.get("documents", [])), answer
    assert alice("count_documents", filter).get("result", 0) <= 1
    for op in ("delete_many", "delete_one"):
        alice(op, filter)
    for update in ({"$set": {"n": 9}}, {"$set": {"user_id": "alice"}}):
        alice("update_many", filter, update)
    assert values(bob.find()) == [2]


UPDATES = [
    {"$set": {"user_id": "bob"}}, {"$unset": {"user_id": ""}}, {"$rename": {"n": "user_id"}},
    {"$rename": {"user_id": "n"}}, {"$set": {"user_id.x": 1}}, {"$currentDate": {"user_id": True}},
    {"$inc": {"user_id": 1}}, {"$push": {"user_id": "bob"}}, {"$setOnInsert": {"user_id": "bob"}},
    [{"$set": {"user_id": "bob"}}],
]


@pytest.mark.parametrize("update", UPDATES, ids=str)
@pytest.mark.parametrize("op", ["update_one", "update_many", "find_one_and_update"])
def test_no_update_gives_a_document_away(alice, bob, op, update):
    alice("insert_one", {"n": 1})
    answer = alice(op, {"n": 1}, update)
    assert "failed" in answer, answer
    assert bob.find() == []
    assert [(d["n"], d["user_id"]) for d in alice.find()] == [(1, "alice")]


def test_another_user_s_name_is_refused_on_insert(alice, bob):
    assert "failed" in alice("insert_one", {"n": 1, "user_id": "bob"})
    assert "failed" in alice("insert_many", [{"n": 1}, {"n": 2, "user_id": "bob"}])
    assert bob.find() == []
    assert "failed" not in alice("insert_one", {"n": 3, "user_id": "alice"})


def test_replace_keeps_the_owner(alice, bob):
    alice("insert_one", {"n": 1})
    alice("replace_one", {"n": 1}, {"n": 2})
    assert [(d["n"], d["user_id"]) for d in alice.find()] == [(2, "alice")]
    assert "failed" in alice("replace_one", {"n": 2}, {"n": 3, "user_id": "bob"})
    assert bob.find() == []


def test_upsert_belongs_to_the_caller(alice, bob):
    alice("insert_one", {"k": "x", "n": 1})
    answer = bob("update_one", {"k": "x"}, {"$set": {"n": 2}}, kwargs={"upsert": True})
    assert answer["upserted_id"] and answer["matched_count"] == 0
    assert values(alice.find()) == [1] and values(bob.find()) == [2]


def test_the_same_id_for_two_users_is_no_oracle(alice, bob):
    """A duplicate key is a duplicate key; nothing of the other document is told."""
    alice("insert_one", {"_id": "same", "secret": "hers"})
    answer = bob("insert_one", {"_id": "same", "secret": "his"})
    assert "hers" not in str(answer) and "alice" not in str(answer)
    assert [d["secret"] for d in alice.find()] == ["hers"]
    assert bob.find({"_id": "same", "secret": "hers"}) == []


COLLECTIONS = ["{app}/other/{c}", "../other/{c}", "other/{c}", "/{c}", "other.{c}", "$cmd",
               "system.users", "", "a\0b", "x" * 300, "{c}/", "..", "."]


@pytest.mark.parametrize("spelling", COLLECTIONS, ids=repr)
def test_no_spelling_opens_another_plugin_s_collection(runtime, collection, spelling):
    theirs = Caller(runtime, "alice", collection, plugin="other")
    theirs("insert_one", {"n": "theirs"})
    name = spelling.format(app=runtime.env["MOZAIKS_APP_ID"], c=collection)
    mine = Caller(runtime, "alice", name)
    answer = mine("find", {})
    assert "theirs" not in values(answer.get("documents", []))
    mine("delete_many", {})
    assert values(theirs.find()) == ["theirs"]


def test_the_same_name_in_two_plugins_is_two_collections(runtime, collection):
    one, two = (Caller(runtime, "alice", collection, p) for p in ("store", "other"))
    one("insert_one", {"n": 1})
    two("insert_one", {"n": 2})
    assert values(one.find()) == [1] and values(two.find()) == [2]


UNSUPPORTED = [{"$where": "1"}, {"n": {"$where": "1"}}, {"$expr": {"$eq": [1, 1]}},
               {"$jsonSchema": {}}, {"n": {"$near": [1, 2]}}, {"$text": {"$search": "x"}}]


@pytest.mark.parametrize("filter", UNSUPPORTED, ids=str)
def test_what_is_not_supported_says_so(alice, filter):
    """A clear error that names the operator, never a silent no-match."""
    alice("insert_one", {"n": 1})
    answer = alice("find", filter)
    operator = next(name for name in str(filter).replace("'", " ").split() if name.startswith("$"))
    assert operator in answer.get("message", ""), answer


def test_queries(alice):
    alice("insert_many", [{"n": i, "even": i % 2 == 0, "tags": ["a", "b"] if i < 3 else ["c"]}
                          for i in range(10)])
    assert values(alice.find({"n": {"$gte": 3, "$lt": 6}}, sort=[["n", 1]])) == [3, 4, 5]
    assert values(alice.find({"even": True}, sort=[["n", -1]], limit=2)) == [8, 6]
    assert values(alice.find({"tags": "a"}, sort=[["n", 1]], skip=1)) == [1, 2]
    assert values(alice.find({"n": {"$nin": [0, 1, 2, 3, 4, 5, 6, 7]}}, sort=[["n", 1]])) == [8, 9]
    assert alice("count_documents", {"tags": {"$size": 1}})["result"] == 7
    assert sorted(alice("distinct", "tags")["result"]) == ["a", "b", "c"]
    assert alice("find_one", {"n": 4})["result"]["n"] == 4
    assert alice("find_one", {"n": 400})["result"] is None
    projected = alice("find", {"n": 4}, {"n": 1, "_id": 0})["documents"]
    assert projected == [{"n": 4}]


def test_updates(alice):
    alice("insert_one", {"k": 1, "n": 1, "list": [1]})
    assert alice("update_one", {"k": 1}, {"$inc": {"n": 5}, "$push": {"list": 2},
                                          "$set": {"a.b": 1}})["modified_count"] == 1
    assert alice("update_one", {"k": 1}, {"$addToSet": {"list": 2}})["modified_count"] == 0
    document = alice("find_one", {"k": 1})["result"]
    assert (document["n"], document["list"], document["a"]) == (6, [1, 2], {"b": 1})
    assert alice("update_one", {"k": 1}, {"$pull": {"list": 1}, "$unset": {"a": ""}})[
        "matched_count"] == 1
    document = alice("find_one", {"k": 1})["result"]
    assert document["list"] == [2] and "a" not in document
    assert alice("delete_one", {"k": 1})["deleted_count"] == 1


def test_the_first_in_an_order_is_updated(alice):
    alice("insert_many", [{"n": n} for n in (2, 1, 3)])
    for kwargs in ({"sort": [["n", -1]]}, {"sort": {"n": -1}}):
        assert alice("update_one", {}, {"$inc": {"n": 10}}, kwargs=kwargs)["modified_count"] == 1
    assert alice("replace_one", {}, {"n": 0}, kwargs={"sort": "n"})["modified_count"] == 1
    assert sorted(values(alice.find())) == [0, 2, 23]


def test_many_documents(alice):
    """More than one batch, all of them."""
    for start in range(0, 1500, 500):
        alice("insert_many", [{"n": i} for i in range(start, start + 500)])
    answer = alice("find", {}, {"n": 1, "_id": 0}, sort=[["n", 1]])
    assert values(answer["documents"]) == list(range(1500))


def test_limits_are_named(alice):
    big = alice("insert_one", {"text": "x" * 300_000})
    assert "failed" in big and "MOZAIKS_MAX_DOCUMENT_BYTES" in big["message"]
    many = alice("find", {"n": {"$in": list(range(1001))}})
    assert "failed" in many and "MOZAIKS_MAX_IN_VALUES" in many["message"]
    far = alice("find", {}, skip=10_001)
    assert "failed" in far and "MOZAIKS_MAX_SKIP" in far["message"]
    wide = alice("find", {"text": "x" * 70_000})
    assert "failed" in wide and "MOZAIKS_MAX_FILTER_BYTES" in wide["message"]
