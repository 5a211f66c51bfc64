#!/usr/bin/python3
"""Real servers for the tests: built once into a cache, started on a free loopback port.

    servers.py list                     which there are, and why one cannot be had
    servers.py build [NAME...]          builds them (all that can be had without a name)
    servers.py run NAME -- COMMAND...   runs COMMAND with MOZAIKS_TEST_MONGODB_URI set
    servers.py each -- COMMAND...       the same once for every MongoDB server that can be had

A server keeps its data in a temporary directory. It is stopped by its process id, and ends by itself
when its standard input does, so that none outlives a test that was killed.

Exit status of run and each: the command's; 77 when no server can be had, or 1 when CI is set.
"""
import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
START_SECONDS = 60
STOP_SECONDS = 10
SKIP = 77


class Unavailable(Exception):
    """The server cannot be had on this machine; the text says what is missing."""


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "mozaiks-test"


def need(program, package):
    if not shutil.which(program):
        raise Unavailable(f"{program} is not installed (Debian: {package})")


def run(*command, cwd=None, env=None):
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Unavailable(f"{command[0]} failed: {done.stdout.strip()[-800:]}")
    return done.stdout


@contextlib.contextmanager
def built(name):
    """The cache folder of a server. Yields (folder, missing); what is missing is built in it.

    The folder's name has a digest of the sources, so that another version is another folder. Only
    one process builds at a time.
    """
    digest = hashlib.sha256()
    for source in sorted((HERE / name).iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    folder = cache_dir() / f"{name}-{digest.hexdigest()[:16]}"
    cache_dir().mkdir(parents=True, exist_ok=True)
    with open(cache_dir() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "complete").exists():
            yield folder, False
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder, True
        (folder / "complete").touch()


def mongo_java_command(data):
    """mongo-java-server: MongoDB's protocol in Java, the documents in an H2 file."""
    need("java", "openjdk-17-jdk-headless")
    with built("mongo_java") as (folder, missing):
        if missing:
            need("mvn", "maven")
            need("javac", "openjdk-17-jdk-headless")
            source = HERE / "mongo_java"
            run("mvn", "-q", "-B", "-C", "-f", source / "pom.xml", "dependency:copy-dependencies",
                f"-DoutputDirectory={folder / 'jars'}")
            run("sha256sum", "--check", "--strict", source / "jars.sha256", cwd=folder / "jars")
            run("javac", "-cp", folder / "jars" / "*", "-d", folder, source / "Main.java")
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}:{folder}/jars/*", "Main",
            f"{data}/db.h2"]


def ferretdb_command(data):
    """FerretDB: MongoDB's protocol in Go, the documents in SQLite files."""
    with built("ferretdb") as (folder, missing):
        if missing:
            need("go", "golang, 1.24 or later")
            version = re.search(r"go(\d+)\.(\d+)", run("go", "env", "GOVERSION"))
            if (int(version[1]), int(version[2])) < (1, 24):
                raise Unavailable(f"Go {version[1]}.{version[2]} is too old, 1.24 is needed")
            run("go", "build", "-mod=readonly", "-trimpath", "-o", folder / "ferretdb", ".",
                cwd=HERE / "ferretdb", env={**os.environ, "GOTOOLCHAIN": "local"})
    return [str(folder / "ferretdb"), str(data)]


def mongod_command(data):
    """mongod, when it is on PATH."""
    if not shutil.which("mongod"):
        raise Unavailable("mongod is not on PATH (it is not in Debian)")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    # mongod does not end with its standard input: the shell that watches it does that.
    return ["sh", "-c",
            'mongod --quiet --dbpath "$1" --bind_ip 127.0.0.1 --port "$2" --nounixsocket '
            '--logpath "$1/log" & pid=$!; trap "kill $pid" TERM; echo "listening $2"; '
            'cat; kill $pid; wait $pid', "sh", str(data), str(port)]


MONGODB = {"mongo_java": mongo_java_command, "ferretdb": ferretdb_command,
           "mongod": mongod_command}
# Taken where their program is; the others are wanted everywhere.
OPTIONAL = {"ferretdb": "go", "mongod": "mongod"}


def candidates():
    """The MongoDB servers that this machine should have."""
    return [name for name in MONGODB if name not in OPTIONAL or shutil.which(OPTIONAL[name])]


class Server:
    """A running server. `uri` is its mongodb:// address."""

    def __init__(self, name):
        self.name = name
        self.data = tempfile.mkdtemp(prefix=f"mozaiks-{name}-")
        self.process = None
        try:
            self.log = open(os.path.join(self.data, "stderr"), "wb")
            self.process = subprocess.Popen(MONGODB[name](self.data), stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=self.log)
            self.port = self._wait_for_port()
            self.uri = f"mongodb://127.0.0.1:{self.port}/"
        except BaseException:
            self.stop()
            raise

    def _wait_for_port(self):
        deadline = time.monotonic() + START_SECONDS
        text = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in text:
                if not selector.select(max(0, deadline - time.monotonic())):
                    raise RuntimeError(f"{self.name} did not start in {START_SECONDS} s")
                piece = os.read(self.process.stdout.fileno(), 4096)
                if not piece:
                    log = pathlib.Path(self.log.name).read_text(errors="replace")
                    raise RuntimeError(f"{self.name} ended at its start: {log[-800:]}")
                text += piece
        port = int(text.split()[1])
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return port
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self):
        if self.process:
            self.process.stdin.close()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
        self.log.close()
        shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def why_not(name):
    """Builds the server when it is missing. None, or why it cannot be had."""
    try:
        with tempfile.TemporaryDirectory() as data:
            MONGODB[name](data)
        return None
    except Unavailable as reason:
        return str(reason)


def run_with(name, command):
    with Server(name) as server:
        env = {**os.environ, "MOZAIKS_TEST_MONGODB_URI": server.uri,
               "MOZAIKS_TEST_MONGODB_SERVER": name}
        return subprocess.run(command, env=env).returncode


def main(arguments):
    import keycloak  # which uses this module
    others = {"keycloak": keycloak.why_not}
    if arguments[:1] == ["list"]:
        for name in [*MONGODB, *others]:
            print(f"{name}: {others.get(name, lambda: why_not(name))() or 'can be had'}")
        return 0
    if arguments[:1] == ["build"]:
        failed = 0
        for name in arguments[1:] or [*candidates(), *others]:
            reason = others.get(name, lambda: why_not(name))()
            if reason:
                print(f"not run: {name}: {reason}")
                failed += 1
        return 1 if failed else 0
    if "--" not in arguments:
        print(__doc__, file=sys.stderr)
        return 2
    split = arguments.index("--")
    words, command = arguments[:split], arguments[split + 1:]
    if words[:1] == ["run"] and len(words) == 2 and words[1] in MONGODB:
        names = [words[1]]
    elif words == ["each"]:
        names = candidates()
    else:
        print(__doc__, file=sys.stderr)
        return 2
    status = None
    for name in names:
        reason = why_not(name)
        if reason:
            print(f"not run: {name}: {reason}", flush=True)
            continue
        print(f"server: {name}", flush=True)
        status = (status or 0) or run_with(name, command)
    if status is None:
        return 1 if os.environ.get("CI") else SKIP
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
