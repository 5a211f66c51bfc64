#!/usr/bin/python3
"""A virtual machine with Debian's kernel and this machine's files, emulated: it needs nothing of the kernel
it runs on, and has all that a test may ask of one.

    vm.py 'COMMANDS'        runs them in a machine, as root, and prints its console

Its disk is a copy of the programs and libraries here and of this tree, at the same paths; what it writes
is gone with it. It has no network but loopback. Emulation is some 30 times slower than the processor, so
the tests in it are chosen.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MOZAIKS_BUILD", TOP / "build"))
HERE = TOP / "test" / "vm"
MEMORY_MB = 3072
DISK_MB = 2048

# In this order each finds the ones it needs.
MODULES = ["crypto/crc32c_generic", "lib/crc16", "fs/mbcache", "fs/jbd2/jbd2", "fs/ext4/ext4",
           "drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_modern_dev",
           "drivers/virtio/virtio_pci_legacy_dev", "drivers/virtio/virtio_pci",
           "drivers/block/virtio_blk", "fs/overlayfs/overlay"]
# What the programs and tests are made of. Larger files are compilers and browsers.
FOLDERS = ["etc", "usr/bin", "usr/sbin", "usr/lib64", "usr/lib/x86_64-linux-gnu", "usr/lib/python3*",
           "usr/lib/systemd", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d", "usr/lib/locale",
           "usr/share/dbus-1", "usr/share/zoneinfo"]
LARGE = "+32M"


class Unavailable(Exception):
    """No machine can be had here; the text says what is missing."""


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], stdin=more.pop("stdin", subprocess.DEVNULL),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    if done.returncode:
        raise Unavailable(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-800:]}")
    return done.stdout


def need(program, package):
    found = shutil.which(program)
    if not found:
        raise Unavailable(f"{program} is not installed (Debian: {package})")
    return found


def fetch_kernel(cache):
    """Debian's kernel, unpacked and never installed. @return (vmlinuz, its folder of modules)."""
    depends = run("apt-cache", "depends", "linux-image-amd64").decode().split()
    name = next((word for word in depends if word.startswith("linux-image-")
                 and word != "linux-image-amd64"), None)
    if name is None:
        raise Unavailable("apt knows no linux-image-amd64")
    folder = cache / name
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            run("apt-get", "download", name, cwd=fresh)
            run("dpkg-deb", "-x", next(pathlib.Path(fresh).glob("*.deb")), f"{fresh}/kernel")
            os.rename(f"{fresh}/kernel", folder)
    return next((folder / "boot").glob("vmlinuz-*")), next((folder / "lib/modules").iterdir()) / "kernel"


def build_initrd(modules, folder):
    """busybox and the modules for the disk. @return the file."""
    tree = folder / "initrd"
    for name in ("bin", "proc", "sys", "dev", "disk", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy(need("busybox", "busybox-static"), tree / "bin")
    for number, module in enumerate(MODULES):
        shutil.copy(modules / f"{module}.ko", tree / "modules" / f"{number:02}.ko")
    shutil.copy(HERE / "init.sh", tree / "init")
    (tree / "init").chmod(0o755)
    run("sh", "-c", "find . | busybox cpio -o -H newc > ../initrd.cpio", cwd=tree)
    return folder / "initrd.cpio"


def build_disk(folder):
    """@return the file with an ext4 of what the tests need."""
    tree = folder / "disk"
    for name in ("proc", "sys", "dev", "run", "tmp", "var/tmp", "var/lib", "root", "mnt", "home"):
        (tree / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    own = [str(path)[1:] for path in (TOP, BUILD)]
    skipped = ["-path", f"{own[0]}/build*", "!", "-path", own[1], "!", "-path", f"{own[1]}/*", "-o",
                "-name", ".git"]
    folders = sorted(str(path)[1:] for name in FOLDERS for path in pathlib.Path("/").glob(name))
    find = ["find", *folders, *own, "-xdev", "(", *skipped, ")", "-prune", "-o", "!", "-name", "*.a",
            "!", "-size", LARGE, "-print0"]
    files = subprocess.run(find, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    (folder / "files").write_bytes(files)
    run("sh", "-c", f"tar -C / --null --no-recursion -T {folder}/files -cf - | tar -C {tree} -xf -")
    shutil.copy(HERE / "inside.sh", tree / "inside.sh")
    disk = folder / "disk.ext4"
    run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, disk, f"{DISK_MB}M",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    shutil.rmtree(tree)
    return disk


class Machine:
    """with Machine(cache) as machine: machine.boot("COMMANDS", seconds)"""

    def __init__(self, cache):
        self.cache = cache
        self.folder = None

    def __enter__(self):
        if os.uname().machine != "x86_64":
            raise Unavailable("its emulated processor is an x86_64")
        self.qemu = need("qemu-system-x86_64", "qemu-system-x86")
        self.cache.mkdir(parents=True, exist_ok=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mozaiks-vm-", dir="/var/tmp"))
        try:
            self.kernel, modules = fetch_kernel(self.cache)
            self.initrd = build_initrd(modules, self.folder)
            self.disk = build_disk(self.folder)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def boot(self, commands, seconds, console=subprocess.PIPE):
        """Runs commands in it and ends it. @return what the console showed, to the end or so far."""
        script = self.folder / "commands"
        # A disk has whole sectors.
        data = commands.encode() + b"\nexit\n"
        script.write_bytes(data + b"\n" * (-len(data) % 4096))
        # However this process ends, the machine does.
        command = ["setpriv", "--pdeathsig", "KILL", self.qemu,
                   "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "qemu64", "-smp", "2",
                   "-m", str(MEMORY_MB), "-nic", "none", "-nographic", "-no-reboot",
                   "-monitor", "none", "-serial", "stdio",
                   "-kernel", self.kernel, "-initrd", self.initrd,
                   "-append", "console=ttyS0 quiet panic=-1 mitigations=off cgroup_no_v1=all",
                   "-drive", f"file={self.disk},format=raw,if=virtio,snapshot=on",
                   "-drive", f"file={script},format=raw,if=virtio,readonly=on"]
        process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=console,
                                   stderr=subprocess.STDOUT)
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        except BaseException:
            process.kill()
            process.wait()
            raise
        return (output or b"").decode(errors="replace").replace("\r", "")


if __name__ == "__main__":
    sys.path.insert(0, str(TOP / "test" / "servers"))
    from servers import cache_dir
    with Machine(cache_dir()) as vm:
        vm.boot(sys.argv[1], 3600, console=None)
