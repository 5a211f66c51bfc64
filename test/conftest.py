"""What the tests over HTTP share: the runtime, the stores, and what could not be run."""
import os
import pathlib
import signal
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "system"), str(HERE / "servers")]

import runtime as runtime_module  # noqa: E402
import servers  # noqa: E402
from not_run import cannot_run, needs_root, pytest_terminal_summary  # noqa: E402,F401

SHARED = pathlib.Path(os.environ.get("MOZAIKS_SHARED", HERE.parents[1] / "shared"))
PLUGINS = HERE / "plugins"
EXAMPLES = HERE.parent / "plugins"


def pytest_configure(config):
    runtime_module.adopt_orphans()
    # A run that takes too long is terminated: what it started has to be stopped all the same.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", 1))


@pytest.fixture(scope="session")
def seeds():
    """The folder of the seed documents."""
    if not (SHARED / "seeds").is_dir():
        cannot_run(f"the seed documents are not there (MOZAIKS_SHARED={SHARED})")
    return SHARED / "seeds"


@pytest.fixture(scope="session", params=["embedded", *servers.candidates()])
def store(request):
    """A DATABASE_URI for each store: None is the embedded one. All tests share the server, so a test
    takes an application id of its own."""
    if request.param == "embedded":
        yield None
        return
    reason = servers.why_not(request.param)
    if reason:
        cannot_run(f"{request.param}: {reason}")
    with servers.Server(request.param) as server:
        runtime_module.account_for(server.process.pid)
        yield server.uri
