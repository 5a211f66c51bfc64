"""The plugins of the documents, word for word, on every store: two users never see each other's
rows, and two applications on one database never meet."""
import re
import uuid

import pytest

from runtime import Runtime

# document, heading of its template, name of the plugin; only {name} is substituted.
TEMPLATES = {
    "my_plugin": ("mozaiks-plugins.md", "## Complete Template"),
    "compact": ("mozaiks-plugin-contract-compact.md", "## Minimal Template"),
}
MISSING = "65f0c0ffee65f0c0ffee65f0"


def cut(folder, name):
    document, heading = TEMPLATES[name]
    text = (folder / document).read_text(encoding="utf-8")
    part = text.split(heading + "\n", 1)[1]
    code = re.search(r"```python\n(.*?)\n```", part, re.S).group(1)
    return {"__init__.py": "", "logic.py": code.replace("{name}", name) + "\n"}


@pytest.fixture(scope="module")
def plugins(seeds):
    return {name: cut(seeds, name) for name in TEMPLATES}


@pytest.fixture(scope="module")
def runtime(store, plugins):
    with Runtime(plugins, store, app=f"app-{uuid.uuid4().hex[:12]}") as r:
        yield r


@pytest.fixture(params=list(TEMPLATES))
def plugin(request):
    return request.param


@pytest.fixture
def users():
    """Two users that no other test knows."""
    return f"alice-{uuid.uuid4().hex[:8]}", f"bob-{uuid.uuid4().hex[:8]}"


def do(runtime, plugin, user, status=200, **data):
    answer = runtime.execute(plugin, data, user=user)
    assert answer.status == status, answer
    return answer.json


def titles(runtime, plugin, user, **more):
    return [i["title"] for i in do(runtime, plugin, user, action="list", **more)["items"]]


def test_the_life_of_an_item(runtime, plugin, users):
    alice, _ = users
    assert do(runtime, plugin, alice, action="list")["items"] == []
    made = do(runtime, plugin, alice, action="create", title="  Milk  ")
    assert made["success"] is True and re.fullmatch("[0-9a-f]{24}", made["id"])
    item = do(runtime, plugin, alice, action="get", item_id=made["id"])["item"]
    assert item["title"] == "Milk" and item["_id"] == made["id"] and item["user_id"] == alice
    assert item["created_at"]
    listed = do(runtime, plugin, alice, action="list")
    assert listed["count"] == 1 and listed["items"] == [item]
    if plugin == "my_plugin":
        assert do(runtime, plugin, alice, action="update", item_id=made["id"],
                  title="Bread") == {"success": True}
        assert titles(runtime, plugin, alice) == ["Bread"]
    assert do(runtime, plugin, alice, action="delete", item_id=made["id"])["success"] is True
    assert titles(runtime, plugin, alice) == []


def test_two_users_never_see_each_other(runtime, plugin, users):
    alice, bob = users
    hers = do(runtime, plugin, alice, action="create", title="hers")["id"]
    his = do(runtime, plugin, bob, action="create", title="his")["id"]
    for user, own, other in ((alice, hers, his), (bob, his, hers)):
        assert [i["_id"] for i in do(runtime, plugin, user, action="list")["items"]] == [own]
        missing = runtime.execute(plugin, {"action": "get", "item_id": other}, user=user)
        assert missing.status in (400, 404) and other not in missing.body.decode()
        if plugin == "my_plugin":
            assert do(runtime, plugin, user, 404, action="update", item_id=other, title="stolen")
            assert do(runtime, plugin, user, 404, action="delete", item_id=other)
        else:
            do(runtime, plugin, user, action="delete", item_id=other)  # says success, does nothing
    assert titles(runtime, plugin, alice) == ["hers"] and titles(runtime, plugin, bob) == ["his"]


def test_a_faked_user_changes_nothing(runtime, plugin, users):
    alice, bob = users
    do(runtime, plugin, alice, action="create", title="hers")
    for fake in ({"user_id": alice}, {"_context": {"user_id": alice}}, {"app_id": "other"}):
        assert do(runtime, plugin, bob, action="list", **fake)["items"] == []


def test_errors(runtime, plugin, users):
    alice, _ = users
    error = do(runtime, plugin, alice, 422 if plugin == "my_plugin" else 400, action="create",
               title=" ")
    assert error["error"] == error["detail"]
    do(runtime, plugin, alice, 400, action="no such action")
    do(runtime, plugin, alice, 404 if plugin == "my_plugin" else 400, action="get", item_id=MISSING)
    do(runtime, plugin, alice, 400, action="get")


def test_pages(runtime, users):
    alice, bob = users
    for i in range(7):
        do(runtime, "my_plugin", alice, action="create", title=f"t{i}")
    do(runtime, "my_plugin", bob, action="create", title="his")
    first = do(runtime, "my_plugin", alice, action="list", limit=3)
    rest = do(runtime, "my_plugin", alice, action="list", skip=3)
    assert first["total"] == rest["total"] == 7
    assert sorted(i["title"] for i in first["items"] + rest["items"]) == [f"t{i}" for i in range(7)]


def test_settings(runtime, users):
    alice, bob = users
    defaults = {"notifications": True, "theme": "auto"}
    assert do(runtime, "my_plugin", alice, action="get_settings")["settings"] == defaults
    saved = {"theme": "dark", "deep": {"list": [1, None, "\u00fc"]}}
    assert do(runtime, "my_plugin", alice, action="save_settings", settings=saved)["success"] is True
    assert do(runtime, "my_plugin", alice, action="get_settings")["settings"] == {**defaults, **saved}
    assert do(runtime, "my_plugin", bob, action="get_settings")["settings"] == defaults
    do(runtime, "my_plugin", alice, 400, action="save_settings", settings="no dict")


def test_two_applications_on_one_database(store, plugins, plugin, users):
    """Same database, same plugin, same user: another application sees nothing of it."""
    alice, _ = users
    with Runtime(plugins, store, app=f"one-{uuid.uuid4().hex[:8]}") as one:
        made = do(one, plugin, alice, action="create", title="of one")["id"]
        uri = store or f"sqlite:///{one.state}/mozaiks.db"
        if store is None:
            # The embedded store belongs to one director at a time.
            one.stop()
        with Runtime(plugins, uri, app=f"two-{uuid.uuid4().hex[:8]}") as two:
            assert titles(two, plugin, alice) == []
            assert two.execute(plugin, {"action": "get", "item_id": made},
                               user=alice).status in (400, 404)
            do(two, plugin, alice, action="create", title="of two")
        if store is None:
            one.start()
        assert titles(one, plugin, alice) == ["of one"]


def test_rows_survive_a_restart(runtime, plugin, users):
    alice, _ = users
    do(runtime, plugin, alice, action="create", title="kept")
    runtime.stop()
    runtime.start()
    assert titles(runtime, plugin, alice) == ["kept"]
