"""The list of plugins over HTTP and in plugin_registry.json, and what an operator may edit there."""
import json

import pytest

from conftest import PLUGINS
from runtime import Runtime, mint, wait_for

BROKEN = {"logic.py": "def execute(:\n"}


@pytest.fixture(scope="module")
def runtime():
    plugins = {"answers": PLUGINS / "answers", "busy": PLUGINS / "busy", "broken": BROKEN}
    with Runtime(plugins) as r:
        yield r


def registry(runtime):
    return json.loads((runtime.configs / "plugin_registry.json").read_text())


def test_fields_of_the_reference(runtime):
    for path in ("/api/plugins", "/api/available-plugins"):
        answer = runtime.get(path, token=mint("alice"))
        plugins = {p["name"]: p for p in answer.json["plugins"]}
        assert set(plugins) == {"answers", "busy", "broken"}
        entry = plugins["answers"]
        assert entry["display_name"] == "Answers" and entry["enabled"] is True
        assert entry["description"] and entry["version"] and entry["backend"]
        assert entry["state"] == "ready"
        assert plugins["broken"]["state"] == "broken" and "logic.py" in plugins["broken"]["error"]


def test_no_path_of_the_machine_is_told(runtime):
    body = runtime.get("/api/plugins", token=mint("alice")).body.decode()
    assert str(runtime.base) not in body


def test_the_file(runtime):
    data = wait_for(lambda: (runtime.configs / "plugin_registry.json").exists() and
                    registry(runtime), "plugin_registry.json")
    assert {p["name"] for p in data["plugins"]} == {"answers", "busy", "broken"}
    for p in data["plugins"]:
        assert {"name", "display_name", "description", "version", "enabled", "backend"} <= set(p)


def edit(runtime, name, enabled):
    data = registry(runtime)
    for p in data["plugins"]:
        if p["name"] == name:
            p["enabled"] = enabled
    path = runtime.configs / "plugin_registry.json"
    path.write_text(json.dumps(data, indent=4))


def test_an_operator_s_edit_is_taken_over(runtime):
    assert runtime.execute("busy", {"action": "stats"}).status == 200
    edit(runtime, "busy", False)
    runtime.ctl("plugin", "refresh")
    wait_for(lambda: runtime.execute("busy", {"action": "stats"}).status == 404, "disabling")
    names = [p["name"] for p in runtime.get("/api/available-plugins",
                                            token=mint("alice")).json["plugins"]]
    assert "busy" not in names and "answers" in names
    assert runtime.execute("answers", {"action": "none"}).status == 200
    assert [p["enabled"] for p in registry(runtime)["plugins"] if p["name"] == "busy"] == [False]


def test_the_edit_survives_a_restart(runtime):
    edit(runtime, "busy", False)
    runtime.ctl("plugin", "refresh")
    wait_for(lambda: runtime.execute("busy", {"action": "stats"}).status == 404, "disabling")
    runtime.stop()
    runtime.start()
    assert runtime.execute("busy", {"action": "stats"}).status == 404
    edit(runtime, "busy", True)
    runtime.ctl("plugin", "refresh")
    wait_for(lambda: runtime.execute("busy", {"action": "stats"}).status == 200, "enabling")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"plugins": 1}', '{"plugins": [1]}',
                                  '{"plugins": [{"name": 5, "enabled": "no"}]}'])
def test_a_spoilt_file_breaks_nothing(runtime, text):
    (runtime.configs / "plugin_registry.json").write_text(text)
    runtime.ctl("plugin", "refresh")
    assert runtime.execute("answers", {"action": "none"}).status == 200

    def repaired():
        try:
            return len(registry(runtime)["plugins"]) == 3
        except (ValueError, TypeError, KeyError):
            return False
    wait_for(repaired, "a whole file")


def test_configs_that_cannot_be_written():
    """Then the registry is in the state directory."""
    with Runtime({"answers": PLUGINS / "answers"},
                 env={"MOZAIKS_CONFIGS_PATH": "/usr/share/doc/base-files"}) as r:
        wait_for(lambda: (r.state / "plugin_registry.json").exists(), "the file in the state")
        assert r.execute("answers", {"action": "none"}).status == 200
