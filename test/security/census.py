"""What a runtime uses: taken before an attack and compared after it, so that nothing stays behind."""
import os
import pathlib
import re
import time

# What an allocator keeps for the next time.
MEMORY_SLACK_KIB = 24 << 10
# The kernel removes a worker's cgroup late, the first process of a machine reaps orphans late.
PATIENCE_SECONDS = 60


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def status(pid, name):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1))


def mounts(pid):
    return len(pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines())


def cgroups(pid):
    """Directories of workers beside the one of this worker, over all hierarchies."""
    found = set()
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not re.fullmatch(r"w\d+", pathlib.PurePath(path).name):
            continue
        for name in (controllers, controllers.split(",")[0], "unified", "."):
            folder = pathlib.Path("/sys/fs/cgroup", name) / path.lstrip("/")
            if folder.is_dir():
                found |= {str(f) for f in folder.parent.iterdir()
                          if f.is_dir() and re.fullmatch(r"w\d+", f.name)}
                break
    return len(found)


def take(runtime):
    """The counts now."""
    director, pluginhost = runtime.director.pid, runtime.pluginhost.pid
    processes = runtime.workers()
    counts = {
        "director threads": status(director, "Threads"),
        "pluginhost threads": status(pluginhost, "Threads"),
        "processes": len(processes),
        "uids": len({os.stat(f"/proc/{pid}").st_uid for pid in processes}),
        "mounts": mounts("self"),
        "director KiB": status(director, "VmRSS"),
        "pluginhost KiB": status(pluginhost, "VmRSS"),
    }
    if os.geteuid() == 0:
        counts["director descriptors"] = fds(director)
        counts["pluginhost descriptors"] = fds(pluginhost)
        counts["cgroups"] = max(map(cgroups, processes), default=0)
        counts["mounts of zygotes"] = sorted(
            mounts(pid) for pid in processes if status(pid, "PPid") == pluginhost)
    return counts


def grown(before, now):
    """{what: (before, now)} of what there is more of."""
    return {name: (before[name], now.get(name)) for name in before
            if (now.get(name) > before[name] + MEMORY_SLACK_KIB if name.endswith("KiB")
                else now.get(name) != before[name])}


def wait_for_base(runtime, base):
    """@return what has not come back within a while, {} for nothing."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            left = grown(base, take(runtime))
        except (FileNotFoundError, ProcessLookupError):
            left = {"a process": "ended meanwhile"}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)
