"""scripts/run, as a newcomer sees it."""
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from conftest import EXAMPLES, cannot_run, needs_root
from runtime import PATIENCE_SECONDS, TOP, command_of, descendants, reap_orphans, wait_for

SCRIPT = TOP / "scripts" / "run"


class Terminal:
    """scripts/run on a terminal of its own."""

    def __init__(self, env, command=None, user=None):
        self.output = ""
        pid, self.master = pty.fork()
        if pid == 0:
            try:
                # What nohup, or a shell that ran us in its background, had ignored.
                for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_DFL)
                os.chdir(TOP)
                command = [str(c) for c in command or [SCRIPT]]
                if user:
                    command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
                               *command]
                os.execvpe(command[0], command, env)
            finally:
                os._exit(127)
        self.pid, self.status = pid, None

    def read(self, seconds):
        """Reads what comes, for so long at most. False: it has ended."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                piece = b""
            if not piece:
                return False
            self.output += piece.decode(errors="replace").replace("\r\n", "\n")
        return True

    def until(self, pattern, seconds=PATIENCE_SECONDS):
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.output, re.M)):
            alive = self.read(0.2)
            assert alive or re.search(pattern, self.output, re.M), f"it ended:\n{self.output}"
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.output}"
        return found

    def end(self, seconds=PATIENCE_SECONDS):
        """Waits for its end. @return its exit status."""
        deadline = time.monotonic() + seconds
        while self.status is None:
            self.read(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, f"it does not end:\n{self.output}"
        return self.status

    def interrupt(self):
        """Ctrl-C, as the terminal sends it."""
        os.write(self.master, b"\x03")

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGTERM)
            self.end()
        os.close(self.master)


@pytest.fixture
def start():
    started = []
    # Root is given up, and pytest keeps others out of its own directories.
    base = pathlib.Path(tempfile.mkdtemp(prefix="mozaiks-run-"))
    base.chmod(0o755)

    def run(command=None, user=None, **env):
        full = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "TERM": "dumb",
                "PORT": "0", "MOZAIKS_STATE_PATH": str(base / "state"), **env}
        terminal = Terminal({k: v for k, v in full.items() if v is not None}, command, user)
        started.append(terminal)
        return terminal
    run.base = base
    yield run
    for terminal in started:
        terminal.close()
    reap_orphans()
    shutil.rmtree(base, ignore_errors=True)


def ours():
    return [pid for pid in descendants(os.getpid()) if "build/" in command_of(pid)
            and "mozaiks-" in command_of(pid)]


def paste(terminal):
    """The curl line as it is printed."""
    line = terminal.until(r"^curl .*$").group(0)
    done = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0
    return done.stdout


def test_what_a_newcomer_sees(start):
    terminal = start()
    url = terminal.until(r"http://127\.0\.0\.1:\d+").group(0)
    assert "you" in paste(terminal)
    token = terminal.until(r"eyJ[\w-]+\.[\w-]+\.[\w-]+").group(0)
    port = int(url.rsplit(":", 1)[1])
    out = subprocess.run(["curl", "-s", f"{url}/api/plugins", "-H", f"Authorization: Bearer {token}"],
                         stdout=subprocess.PIPE, text=True).stdout
    for name in sorted(p.parent.name for p in EXAMPLES.glob("*/README.md")):
        assert f'"{name}"' in out.replace('" ', '"')
    mounts = pathlib.Path("/proc/self/mountinfo").read_text()
    terminal.interrupt()
    assert terminal.end() == 0
    wait_for(lambda: not ours(), "the end of all processes")
    assert not [p for p in (start.base / "state").rglob("*") if p.is_socket()]
    assert pathlib.Path("/proc/self/mountinfo").read_text() == mounts
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_it(start, number):
    terminal = start()
    terminal.until(r"^curl .*$")
    os.kill(terminal.pid, number)
    assert terminal.end() == 0
    wait_for(lambda: not ours(), "the end of all processes")


def test_the_second_start_builds_nothing(start):
    first = start()
    first.until(r"^curl .*$")
    first.interrupt()
    first.end()
    second = start()
    second.until(r"^curl .*$")
    assert "ninja: no work to do." in second.output
    assert "Generating" not in second.output and "apt-get" not in second.output


def test_a_port_in_use(start):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = str(s.getsockname()[1])
        terminal = start(PORT=port)
        assert terminal.end() != 0
    assert port in terminal.output
    wait_for(lambda: not ours(), "the end of all processes")


@pytest.mark.parametrize("name,value", [("PORT", "none"), ("DATABASE_URI", "mysql://x"),
                                        ("MOZAIKS_APP_ID", "a b"),
                                        ("MOZAIKS_PLUGINS_PATH", "/nowhere/at/all")])
def test_a_bad_setting(start, name, value):
    terminal = start(**{name: value})
    assert terminal.end() != 0
    assert name in terminal.output
    wait_for(lambda: not ours(), "the end of all processes")


def test_a_program_that_dies_ends_it(start):
    terminal = start()
    terminal.until(r"^curl .*$")
    victim = next(pid for pid in ours() if "mozaiks-director" in command_of(pid))
    os.kill(victim, signal.SIGKILL)
    assert terminal.end() != 0
    wait_for(lambda: not ours(), "the end of all processes")


def test_plugins_of_one_s_own(start):
    plugins = start.base / "plugins" / "mine"
    plugins.mkdir(parents=True)
    (plugins / "logic.py").write_text("async def execute(data):\n    return {'mine': True}\n")
    terminal = start(MOZAIKS_PLUGINS_PATH=str(plugins.parent))
    assert "mine" in paste(terminal)


def test_another_python_first_on_path(start):
    """A python3 that is not Debian's changes nothing."""
    folder = start.base / "bin"
    folder.mkdir()
    for name in ("python3", "python3-config", "pkg-config", "meson"):
        (folder / name).write_text("#!/bin/sh\necho 'the wrong program' >&2\nexit 1\n")
        (folder / name).chmod(0o755)
    terminal = start(PATH=f"{folder}:{os.environ['PATH']}")
    assert "you" in paste(terminal)
    assert "the wrong program" not in terminal.output


def test_setup_without_sudo_names_what_is_missing(start):
    """The packages file of a copy names one that cannot be there."""
    needs_root("only root becomes another user")
    copy = start.base / "copy"
    shutil.copytree(TOP / "scripts", copy / "scripts")
    with open(copy / "scripts" / "packages.txt", "a", encoding="utf-8") as f:
        f.write("run no-such-package for the test\n")
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o755)
    done = subprocess.run([copy / "scripts" / "setup"], user=65534, group=65534, extra_groups=[],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode != 0
    assert "no-such-package" in done.stdout and "apt-get install" in done.stdout


def test_an_ordinary_user(start):
    """Without root: one uid for all, and everything works."""
    if os.geteuid() != 0:
        return  # then every test of this file is this one
    if not pathlib.Path(TOP).stat().st_mode & 0o001:
        cannot_run("the checkout cannot be searched by others")
    start.base.chmod(0o777)
    terminal = start(user="65534", HOME="/nonexistent")
    assert "you" in paste(terminal)
    terminal.interrupt()
    assert terminal.end() == 0
    wait_for(lambda: not ours(), "the end of all processes")
