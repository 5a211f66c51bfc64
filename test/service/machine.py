"""A machine for one test: the real systemd as PID 1 of new namespaces, with the runtime installed.

    with Machine(files) as machine:
        machine.run("systemctl", "is-active", "mozaiks-director.service")

Root only. Everything it makes lives in its namespaces, in one temporary folder and in one cgroup, and is
gone afterwards, however the test ends: its processes die with ours.
"""
import contextlib
import ctypes
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from conftest import cannot_run, needs_root
from runtime import BUILD

HERE = pathlib.Path(__file__).parent
NAME = "mozaiks-boot-"
# How much longer everything may take: an emulated processor is slow.
SLOWNESS = int(os.environ.get("MOZAIKS_SLOWNESS", "1"))
BOOT_SECONDS = 120

# Units of the host's image that would reach the kernel of all, or are not needed.
MASKED = ["systemd-sysctl.service", "systemd-modules-load.service", "systemd-remount-fs.service",
          "systemd-update-utmp.service", "systemd-journald-audit.socket", "sys-kernel-debug.mount",
          "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount",
          "dev-hugepages.mount", "dev-mqueue.mount", "systemd-binfmt.service",
          "proc-sys-fs-binfmt_misc.automount", "systemd-udevd.service", "systemd-udev-trigger.service",
          "systemd-random-seed.service", "kmod-static-nodes.service", "systemd-timesyncd.service",
          "systemd-networkd.service", "systemd-pstore.service", "apparmor.service"]


def unified():
    """Where cgroup version 2 is mounted, or None."""
    for path in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if os.path.exists(f"{path}/cgroup.procs") and os.path.exists(f"{path}/cgroup.controllers"):
            return pathlib.Path(path)
    return None


def need_machine():
    """Skips the test where no machine can be had."""
    needs_root("booting the units needs root")
    if not os.path.exists("/lib/systemd/systemd"):
        cannot_run("booting the units: systemd is not installed")
    if unified() is None:
        cannot_run("kernel: no cgroup version 2")
    if subprocess.run(["unshare", "--mount", "--pid", "--cgroup", "--net", "--fork", "true"],
                      stderr=subprocess.DEVNULL).returncode != 0:
        cannot_run("kernel: no new namespaces can be made here")


def install(folder):
    """What `meson install` makes of the build under test."""
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", folder],
                   check=True, stdout=subprocess.DEVNULL)
    return folder


def own_cgroups():
    """Where this process is, in version 2 and in the controllers of version 1: what may be below."""
    places = {}
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            places[controller] = path.lstrip("/")
    found = [unified() / places[""]]
    for controller in ("memory", "pids", "cpu", "cpuacct"):
        mounted = pathlib.Path("/sys/fs/cgroup") / controller
        if mounted.is_dir():
            found.append(mounted / places[controller])
    return found


def remove_cgroup(path, seconds=5):
    """A cgroup and all below it; what has just died takes a moment."""
    deadline = time.monotonic() + seconds
    while path.exists():
        for folder, _, _ in sorted(os.walk(path), reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return not path.exists()


def sweep():
    """What runs have left that were killed: their number is in the name, and nobody has it now."""
    for place in (pathlib.Path(tempfile.gettempdir()), *own_cgroups()):
        for left in place.glob(NAME + "*"):
            pid = left.name.removeprefix(NAME).split("-")[0]
            if os.path.exists(f"/proc/{pid}"):
                continue
            if place == pathlib.Path(tempfile.gettempdir()):
                shutil.rmtree(left, ignore_errors=True)
            else:
                remove_cgroup(left, 0)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Machine:
    """files: {absolute path: text or bytes}, beside what `installed` (a folder) has. wants: units."""

    def __init__(self, installed, files, wants):
        sweep()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{NAME}{os.getpid()}-"))
        self.folder.chmod(0o755)
        (self.folder / "tree").mkdir()
        self.files = self.folder / "files"
        shutil.copytree(installed, self.files, symlinks=True)
        self.files.chmod(0o755)  # it becomes /
        self.cgroups = [place / self.folder.name for place in own_cgroups()]
        self.hybrid = len(self.cgroups) > 1
        self.console = b""
        self.process = self.pid = None
        self.put("/etc/systemd/system/mozaiks-test.target",
                 "[Unit]\nDescription=Test\nRequires=sysinit.target\nAfter=sysinit.target\n"
                 "SuccessAction=poweroff-force\n")
        for unit in wants:
            self.link(f"/etc/systemd/system/mozaiks-test.target.wants/{unit}",
                      f"/usr/local/lib/systemd/system/{unit.partition('@')[0]}"
                      + ("@.service" if "@" in unit else ""))
        for unit in MASKED:
            self.link(f"/etc/systemd/system/{unit}", "/dev/null")
        for path, content in files.items():
            self.put(path, content)

    def put(self, path, content, mode=0o644):
        target = self.files / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        target.chmod(mode)

    def link(self, path, target):
        link = self.files / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def copy(self, source, path):
        shutil.copytree(source, self.files / path.lstrip("/"), dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("__pycache__", "*.p"))

    # Life

    def __enter__(self):
        try:
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def boot(self):
        for cgroup in self.cgroups:
            cgroup.mkdir()
        master, slave = pty.openpty()
        self.process = subprocess.Popen(
            ["bash", HERE / "boot.sh", "enter", self.folder, *self.cgroups], stdin=subprocess.DEVNULL,
            stdout=slave, stderr=slave, preexec_fn=die_with_parent)
        os.close(slave)
        threading.Thread(target=self._read, args=(master,), daemon=True).start()
        self.wait(self._born, BOOT_SECONDS, "the namespaces")
        if not self.hybrid:
            # Who made the namespaces is one process too many there: a cgroup of version 2 that has
            # any cannot hand its controllers down.
            (self.cgroups[0].parent / "cgroup.procs").write_text(str(self.process.pid))
        (self.folder / "alone").touch()
        self.wait(self._booted, BOOT_SECONDS, "the boot")

    def _read(self, master):
        with contextlib.suppress(OSError):
            while data := os.read(master, 65536):
                self.console += data
        os.close(master)

    def _born(self):
        if self.process.poll() is not None:
            raise AssertionError("it did not boot:\n" + self.console.decode(errors="replace"))
        with contextlib.suppress(OSError, IndexError):
            children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
            self.pid = int(pathlib.Path(children).read_text().split()[0])
        return self.pid

    def _booted(self):
        with contextlib.suppress(OSError):
            if self._born() and "systemd" in pathlib.Path(f"/proc/{self.pid}/comm").read_text():
                return self.run("systemctl", "is-active", "mozaiks-test.target",
                                check=False).strip() == "active"
        return False

    def wait(self, condition, seconds, what):
        seconds *= SLOWNESS
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not happen within {seconds} s:\n{self.journal()}\n"
                                     + self.console.decode(errors="replace")[-2000:])
            time.sleep(0.05)

    def power_off(self, seconds=60):
        """As an operator would. @return True when it has ended by itself."""
        self.run("systemctl", "stop", "mozaiks-test.target", "mozaiks-*", check=False)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self):
        if self.process and self.process.poll() is None:
            # unshare ends its child with itself, and PID 1 takes everything with it.
            self.process.kill()
        if self.process:
            self.process.wait()
        left = [cgroup for cgroup in self.cgroups if not remove_cgroup(cgroup)]
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not left, f"{left} cannot be removed"

    # Inside

    def run(self, *command, check=True, timeout=60):
        """Runs a command in the machine. @return its standard output."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=timeout, cwd="/")
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}{done.stdout}"
        return done.stdout

    def show(self, unit):
        """A unit's properties."""
        text = self.run("systemctl", "show", unit)
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def journal(self, *options):
        return self.run("journalctl", "--no-pager", "-o", "cat", *options, check=False)
