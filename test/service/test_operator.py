"""What configs/README.md tells an operator to type, typed on a fresh machine in this order."""
import json
import pathlib
import re

import pytest

from machine import Machine, install, need_machine

DOCUMENT = pathlib.Path(__file__).parents[2] / "configs" / "README.md"
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    need_machine()
    with Machine(install(tmp_path_factory.mktemp("installed")), {}, []) as m:
        yield m


def shell(machine, text):
    return machine.run("env", "PATH=/usr/local/bin:/usr/bin:/bin", "bash", "-euo", "pipefail", "-c",
                       text)


def test_every_fence_is_known():
    kinds = {info for info, _ in FENCE.findall(DOCUMENT.read_text())}
    assert kinds == {"text", "sh service"}


def test_the_document(machine):
    said = [shell(machine, text) for info, text in FENCE.findall(DOCUMENT.read_text())
            if info == "sh service"]
    assert len(said) >= 5
    # What it promises.
    token = shell(machine, "mozaiksctl -s /var/lib/mozaiks-director token --user alice").strip()
    for unit in ("mozaiks-director", "mozaiks-pluginhost", "mozaiks-pluginhost@risky"):
        assert machine.show(unit)["ActiveState"] == "active"
        assert machine.show(unit)["UnitFileState"] == "enabled"

    def answer():
        text = machine.run("curl", "-s", "-m", "10", "-H", f"Authorization: Bearer {token}", "-d",
                           '{"name":"Ada"}', "http://127.0.0.1:8080/api/execute/hello", check=False)
        return text.startswith("{") and json.loads(text) == {"hello": "Ada"}
    machine.wait(answer, 60, "the plugin's answer")
    assert any('"program":"director"' in text for text in said)
