"""Every example of the documents is executed.

What a fence is, its first word and what follows say:

    ```python plugins/NAME/logic.py     a file of a plugin; all files of a document are installed
    ```json plugins/NAME/manifest.json
    ```c plugins/NAME/NAME.c            compiled with the published header into logic.so
    ```sh                               run in order, in the root of the checkout, with $URL and
                                        $TOKEN of a running runtime; each line has to succeed
    ```json answer                      what the command before it answered
    ```sh start                         the commands of a newcomer: test_run.py runs them
    ```text                             no example
"""
import json
import os
import re
import subprocess

import pytest

from conftest import EXAMPLES
from runtime import BUILD, TOP, Runtime

DOCUMENTS = ["README.md", "plugins/PLUGIN_CONTRACT.md"]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)


def fences(document):
    return FENCE.findall((TOP / document).read_text(encoding="utf-8"))


def compiled(source, folder):
    file = folder / "plugin.c"
    file.write_text(source)
    subprocess.run(["gcc", "-std=c17", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
                    "-I", str(TOP / "pluginhost" / "include"), "-o", str(folder / "logic.so"),
                    str(file)], check=True)
    return (folder / "logic.so").read_bytes()


def plugins_of(document, folder):
    found = {}
    for info, text in fences(document):
        words = info.split()
        if len(words) == 2 and words[1].startswith("plugins/"):
            _, name, path = words[1].split("/", 2)
            if words[0] == "c":
                text, path = compiled(text, folder), "logic.so"
            found.setdefault(name, {})[path] = text
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_fence_is_left_out(document):
    for info, _ in fences(document):
        words = info.split()
        assert words, f"{document}: a fence without a word"
        assert words[0] in ("sh", "text") or len(words) == 2 and (
            words[1].startswith("plugins/") or words == ["json", "answer"]), (document, info)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_examples(document, tmp_path):
    plugins = plugins_of(document, tmp_path)
    assert plugins or document == "README.md"
    for name in ("hello", "task_manager"):
        plugins.setdefault(name, EXAMPLES / name)
    plugins.setdefault("counter", BUILD / "plugins" / "counter")
    # What scripts/run starts, as far as an example can tell.
    with Runtime(plugins, app="dev_app") as runtime:
        for name in plugins:
            entry = runtime.wait_plugin(name, lambda p: p is not None)
            assert entry["state"] == "ready", entry
        last = ""
        env = {**os.environ, **runtime.env, "URL": f"http://127.0.0.1:{runtime.port}",
               "TOKEN": runtime.ctl("token", "--user", "alice").stdout.strip()}
        for info, text in fences(document):
            if info == "sh":
                here = text.replace("build/director", str(BUILD / "director"))
                done = subprocess.run(["bash", "-euo", "pipefail", "-c", here], cwd=TOP, env=env,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      timeout=60)
                assert done.returncode == 0, (document, text, done.stdout)
                last = done.stdout
            elif info == "json answer":
                assert json.loads(last) == json.loads(text), (document, last)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    folder = (TOP / document).parent
    for target in re.findall(r"\]\(([^)#]+)\)", (TOP / document).read_text(encoding="utf-8")):
        if "://" not in target:
            assert (folder / target).exists(), (document, target)
