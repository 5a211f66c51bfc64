"""mozaiksctl, over the admin socket."""
import base64
import json
import os

import pytest

from conftest import EXAMPLES, PLUGINS
from runtime import APP, Runtime


@pytest.fixture(scope="module")
def runtime():
    plugins = {"answers": PLUGINS / "answers", "hello": EXAMPLES / "hello",
               "broken": {"logic.py": "def execute(:\n"}}
    with Runtime(plugins) as r:
        yield r


def claims(token):
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def test_token(runtime):
    token = runtime.ctl("token", "--user", "carol", "--roles", "admin,editor").stdout.strip()
    assert claims(token)["user_id"] == "carol" and claims(token)["roles"] == ["admin", "editor"]
    answer = runtime.execute("answers", {"action": "echo"}, token=token)
    assert answer.status == 200
    assert answer.json["_context"] == {"app_id": APP, "user_id": "carol", "username": "carol",
                                       "roles": ["admin", "editor"], "is_superadmin": False}


def test_token_alone_on_stdout(runtime):
    out = runtime.ctl("token", "--user", "carol").stdout
    assert out.count("\n") == 1 and out.count(".") == 2


@pytest.mark.parametrize("arguments", [["token"], ["token", "--user"], ["token", "--user", ""],
                                       ["token", "--user", "a", "--roles", "a,,b", "--what"],
                                       [], ["nothing"], ["plugin"], ["plugin", "nothing"],
                                       ["call"], ["call", "hello"]])
def test_usage(runtime, arguments):
    done = runtime.ctl(*arguments, check=False)
    assert done.returncode == 2, done
    assert done.stderr and not done.stdout


def test_plugin_list(runtime):
    out = runtime.ctl("plugin", "list").stdout
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "ready" in lines["answers"] and "ready" in lines["hello"]
    assert "broken" in lines["broken"]


def test_plugin_refresh(runtime):
    runtime.put_plugin("late", {"logic.py": "def execute(data):\n    return {}\n"})
    assert runtime.ctl("plugin", "refresh").returncode == 0
    runtime.wait_plugin("late", lambda p: p and p["state"] == "ready")


def test_call(runtime):
    done = runtime.ctl("call", "answers", '{"action":"echo","n":1}', "--user", "dora")
    value = json.loads(done.stdout)
    assert value["n"] == 1 and value["user_id"] == "dora"


def test_call_fails(runtime):
    for arguments, status in ((["answers", '{"action":"raise"}'], 1), (["unknown", "{}"], 4),
                              (["answers", '{"action":"error","answer":{"error":"x"}}'], 1),
                              (["answers", "{"], 2), (["answers", "[]"], 2)):
        done = runtime.ctl("call", *arguments, "--user", "dora", check=False)
        assert done.returncode == status and done.stderr, done


def test_not_running(runtime):
    done = runtime.ctl("plugin", "list", check=False,
                       env={"MOZAIKS_STATE_PATH": str(runtime.base / "nowhere"),
                            "MOZAIKS_RUN_PATH": str(runtime.base / "nowhere" / "run")})
    assert done.returncode == 3, done
    assert "nowhere" in done.stderr


def test_the_admin_socket_is_not_for_everybody(runtime):
    admin = next(p for p in runtime.sockets() if p.name == "admin.sock")
    assert os.stat(admin).st_mode & 0o007 == 0
