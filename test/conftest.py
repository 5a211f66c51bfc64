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

SHARED = pathlib.Path(os.environ.get("MOZAIKS_SHARED", HERE.parents[1] / "shared"))
PLUGINS = HERE / "plugins"
EXAMPLES = HERE.parent / "plugins"

# Reasons of tests that could not run, printed at the end for scripts/test.
not_run = []


def cannot_run(reason):
    """Skips the test. In CI that is a failure, unless the reason starts with "kernel: "."""
    not_run.append(reason)
    if os.environ.get("CI") and not reason.startswith("kernel: "):
        pytest.fail(f"not run: {reason}")
    pytest.skip(reason)


def needs_root(reason):
    """Skips the test for an ordinary user, in CI too: that whole run is an ordinary user's."""
    if os.geteuid() != 0:
        not_run.append(f"root: {reason}")
        pytest.skip(reason)


def pytest_configure(config):
    runtime_module.adopt_orphans()
    # A run that takes too long is terminated: what it started has to be stopped all the same.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", 1))


def pytest_terminal_summary(terminalreporter):
    for reason in dict.fromkeys(not_run):
        terminalreporter.write_line(f"not run: {reason}")


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
