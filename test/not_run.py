"""What could not be tested: printed at the end for scripts/test, and in CI a failure.

For a conftest: import cannot_run, needs_root and pytest_terminal_summary.
"""
import os

import pytest

_reasons = []


def cannot_run(reason):
    """Skips the test. In CI that is a failure, unless the reason starts with "kernel: "."""
    _reasons.append(reason)
    if os.environ.get("CI") and not reason.startswith("kernel: "):
        pytest.fail(f"not run: {reason}")
    pytest.skip(reason)


def needs_root(reason):
    """Skips the test for an ordinary user, in CI too: that whole run is an ordinary user's."""
    if os.geteuid() != 0:
        _reasons.append(f"root: {reason}")
        pytest.skip(reason)


def pytest_terminal_summary(terminalreporter):
    for reason in dict.fromkeys(_reasons):
        terminalreporter.write_line(f"not run: {reason}")
