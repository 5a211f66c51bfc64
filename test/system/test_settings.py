"""A setting that cannot be right stops the start, with a message that names it."""
import os
import pathlib
import socket
import tempfile

import pytest

from conftest import PLUGINS, needs_root
from runtime import DIRECTOR, PLUGINHOST, Runtime, run_program

BAD = {
    "PORT": ["x", "-1", "65536", "80 ", "0x50", "99999999999999999999"],
    "MOZAIKS_HOST": ["not a host", "256.1.1.1", "198.51.100.7"],
    "MOZAIKS_APP_ID": ["a b", "a/b", "x" * 65, "caf\u00e9"],
    "ENV": ["staging!"],
    "DATABASE_URI": ["mysql://x", "postgres://x", "sqlite:relative", "nonsense",
                     "mongodb://", "sqlite:////nowhere/at/all/db"],
    "MAX_REQUEST_BODY_BYTES": ["0", "x", "-5", "99999999999999999999"],
    "MOZAIKS_MAX_RESPONSE_BYTES": ["x", "-1"],
    "MOZAIKS_PLUGIN_TIMEOUT_SECONDS": ["0", "x", "-1"],
    "MOZAIKS_MAX_INFLIGHT": ["0", "many"],
    "MOZAIKS_MAX_INFLIGHT_PER_USER": ["0", "many"],
    "MOZAIKS_MAX_INFLIGHT_PER_PLUGIN": ["0", "many"],
    "MOZAIKS_LOG_LEVEL": ["loud"],
    "MOZAIKS_PLUGINHOSTS": ["a/b", ",", "x" * 65],
    "FRONTEND_URL": ["app.example.org", "https://App.example.org", "null"],
    "ADDITIONAL_CORS_ORIGINS": ["*", "null", "https://app.example.org/path", "https://a,b"],
    "ALLOWED_HOSTS": ["https://api.example.org", "api.example.org:80", "a b"],
}


@pytest.fixture
def runtime():
    r = Runtime({"answers": PLUGINS / "answers"})
    yield r
    r.close()


@pytest.mark.parametrize("name,value", [(n, v) for n in BAD for v in BAD[n]])
def test_director_refuses(runtime, name, value):
    status, text = run_program(DIRECTOR, {**runtime.env, name: value})
    assert status not in (None, 0) and status > 0, text
    assert name in text, text


@pytest.mark.parametrize("name,value", [("MOZAIKS_LOG_LEVEL", "loud"),
                                        ("MOZAIKS_PLUGINS_PATH", "/nowhere/at/all")])
def test_pluginhost_refuses(runtime, name, value):
    status, text = run_program(PLUGINHOST, {**runtime.env, name: value})
    assert status not in (None, 0) and status > 0, text
    assert name in text, text


@pytest.mark.parametrize("value", ["", "short", "a" * 31])
def test_production_needs_a_strong_secret(runtime, value):
    status, text = run_program(DIRECTOR, {**runtime.env, "ENV": "production", "JWT_SECRET": value})
    assert status and "JWT_SECRET" in text, text
    assert value == "" or value not in text


def test_production_needs_an_app_id(runtime):
    env = {**runtime.env, "ENV": "production", "JWT_SECRET": "Strong0" * 8}
    del env["MOZAIKS_APP_ID"]
    status, text = run_program(DIRECTOR, env)
    assert status and "MOZAIKS_APP_ID" in text, text


def test_port_in_use(runtime):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        status, text = run_program(DIRECTOR, {**runtime.env, "PORT": str(port)})
    assert status and status > 0 and str(port) in text, text


def test_state_that_cannot_be_reached(runtime):
    """An explicit path that cannot be reached after root is given up stops the start."""
    needs_root("only root gives root up")
    private = tempfile.mkdtemp(dir=runtime.base)
    os.chmod(private, 0o700)
    path = os.path.join(private, "below", "state")
    os.makedirs(path)
    status, text = run_program(DIRECTOR, {**runtime.env, "MOZAIKS_STATE_PATH": path})
    assert status and status > 0 and "MOZAIKS_STATE_PATH" in text, text


def test_state_that_is_a_file(runtime):
    path = runtime.base / "file"
    path.write_text("")
    for program in (DIRECTOR, PLUGINHOST):
        status, text = run_program(program, {**runtime.env, "MOZAIKS_STATE_PATH": str(path)})
        assert status and status > 0 and "MOZAIKS_STATE_PATH" in text, text


def test_a_second_director_on_the_same_state(runtime):
    runtime.start()
    status, text = run_program(DIRECTOR, runtime.env)
    assert status and status > 0, text
    assert "MOZAIKS_STATE_PATH" in text or str(runtime.state) in text, text
    assert runtime.execute("answers", {"action": "none"}).status == 200


def test_secret_is_generated_and_kept(runtime):
    """Without JWT_SECRET a token is still good after a restart."""
    del runtime.env["JWT_SECRET"]
    runtime.start_director()
    runtime.start_pluginhost()
    token = runtime.ctl("token", "--user", "alice").stdout.strip()

    def status():
        return runtime.execute("answers", {"action": "none"}, token=token).status
    from runtime import wait_for
    wait_for(lambda: status() == 200, "the plugin")
    runtime.stop()
    runtime.start_director()
    runtime.start_pluginhost()
    wait_for(lambda: status() == 200, "the plugin again")
    for path in pathlib.Path(runtime.state).rglob("*secret*"):
        assert path.stat().st_mode & 0o077 == 0


def test_root_is_given_up(runtime):
    needs_root("only root gives root up")
    runtime.start()
    for program in (runtime.director, runtime.pluginhost):
        text = pathlib.Path(f"/proc/{program.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        assert set(fields["Uid"].split()) != {"0"} and "0" not in fields["Uid"].split()
        assert "0" not in fields["Gid"].split() and "0" not in fields["Groups"].split()
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(fields[name], 16) == 0, (program.name, name)
        assert fields["NoNewPrivs"] == "1"


def test_stop_leaves_nothing(runtime):
    runtime.start()
    assert runtime.execute("answers", {"action": "none"}).status == 200
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    assert runtime.stop() == [0, 0]
    assert not runtime.leaked()
    assert not runtime.sockets()
    assert pathlib.Path("/proc/self/mountinfo").read_text() == mounts
