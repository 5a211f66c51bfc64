"""What the kernel here may lack, on one that has it: cgroup version 2 with all controllers.

Each test is a program that runs in the machine; all run in one boot.
"""
import pathlib
import re

import pytest

import vm
from conftest import cannot_run, needs_root
from servers import cache_dir

INSIDE = pathlib.Path(vm.BUILD / "test" / "security" / "workers")
SYSTEM = vm.TOP / "test" / "system"
PYTEST = "/usr/bin/python3 -m pytest -q -x -p no:cacheprovider"
# name: (seconds it may take, command)
PROGRAMS = {
    "controllers": (60, "cat /sys/fs/cgroup/cgroup.controllers; ls /sys/fs/cgroup/memory.stat"),
    "spares": (400, f"{INSIDE}/test-spares root"),
    "workers": (900, f"{INSIDE}/test-workers root"),
    "bombs": (900, f"MOZAIKS_ATTACKS=B4,B6,B33 {INSIDE}/attack-workers root python c"),
    "limits": (600, f"{PYTEST} {SYSTEM}/test_pluginhost.py -k 'memory or threads or processor or limits"
                    " or stop_leaves'"),
    "units": (900, f"MOZAIKS_SLOWNESS=10 {PYTEST} {vm.TOP}/test/service/test_boot.py"
                   " -k 'limits or processes or dies_alone or reload'"),
}
BOOT_SECONDS = 300


@pytest.fixture(scope="module")
def console():
    needs_root("the disk of a virtual machine has files of root")
    commands = ["dmesg -n 1", f"cd {vm.TOP}", f"export MOZAIKS_BUILD={vm.BUILD}"]
    for name, (seconds, command) in PROGRAMS.items():
        commands += [f"echo '<<{name}>>'", f"timeout -k 10 {seconds} sh -c \"{command}\"",
                     f"echo \"<<{name}: $?>>\""]
    try:
        with vm.Machine(cache_dir()) as machine:
            return machine.boot("\n".join(commands),
                                BOOT_SECONDS + sum(seconds for seconds, _ in PROGRAMS.values()))
    except vm.Unavailable as error:
        cannot_run(f"a virtual machine: {error}")


def said(console, name):
    """(status, output) of a program; the status of one that did not end is None."""
    _, started, rest = console.partition(f"<<{name}>>\n")
    assert started, f"the machine did not come to {name}:\n{console[-3000:]}"
    end = re.search(rf"<<{name}: (\d+)>>", rest)
    return (int(end[1]), rest[:end.start()]) if end else (None, rest)


@pytest.mark.parametrize("name", PROGRAMS)
def test_on_a_kernel_that_has_it_all(console, name):
    status, output = said(console, name)
    assert status == 0, output[-6000:]
    # None has gone without what it is here for.
    assert "not run" not in output and "skipped" not in output, output[-6000:]
    if "mode root" in output:
        assert '"tier":1' in output and '"cgroup":"v2"' in output
