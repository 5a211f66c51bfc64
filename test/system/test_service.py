"""The director as a service, with this test in systemd's place: readiness, watchdog, sockets."""
import contextlib
import fcntl
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from runtime import DIRECTOR, SECRET, account_for, mint, wait_for


class Service:
    """A director that was given a notify socket, and `listeners` as descriptors from 3 on."""

    def __init__(self, base, listeners=(), **env):
        base.chmod(0o755)
        self.said = ""
        path = base / "notify"
        path.unlink(missing_ok=True)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(path))
        path.chmod(0o666)
        self.state = base / "state"
        self.env = {"PATH": "/usr/bin:/bin", "PORT": "0", "JWT_SECRET": SECRET,
                    "MOZAIKS_STATE_PATH": str(self.state), "NOTIFY_SOCKET": str(path), **env}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.listeners = listeners

    def _hand_over(self):
        """In the child: the listeners become descriptors 3, 4, …"""
        copies = [fcntl.fcntl(x.fileno(), fcntl.F_DUPFD, 100) for x in self.listeners]
        for i, copy in enumerate(copies):
            os.dup2(copy, 3 + i)

    def __enter__(self):
        # LISTEN_PID is known in the child alone: a shell puts it in before it becomes the program.
        command = [str(DIRECTOR)]
        if self.listeners:
            self.env["LISTEN_FDS"] = str(len(self.listeners))
            command = ["/bin/sh", "-c", f'LISTEN_PID=$$ exec "{DIRECTOR}"']
        self.process = subprocess.Popen(
            command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, preexec_fn=self._hand_over,
            pass_fds=range(3, 3 + len(self.listeners)), cwd="/")
        account_for(self.process.pid)
        return self

    def __exit__(self, *_):
        self.process.kill()
        print(self.process.communicate()[0].decode(errors="replace"))
        self.notify.close()

    def hear(self, word, seconds=15):
        """Waits for a word of the service. @return the message."""
        self.notify.settimeout(seconds)
        while True:
            message = self.notify.recv(4096).decode()
            self.said += message + "\n"
            if word in message:
                return message


@pytest.fixture
def base():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mozaiks-service-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def get(port, path="/livez", timeout=10):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {mint('alice')}"})
        return connection.getresponse().status


def test_ready_and_stopping(base):
    with Service(base) as service:
        message = service.hear("READY=1")
        port = int((service.state / "run" / "http_port").read_text())
        assert f"STATUS=Serving on 127.0.0.1 port {port}" in message
        assert get(port) == 200
        service.process.send_signal(signal.SIGTERM)
        service.hear("STOPPING=1")
        assert service.process.wait(20) == 0


def test_the_watchdog_is_fed_while_the_loop_turns(base):
    with Service(base, WATCHDOG_USEC="900000") as service:
        service.hear("READY=1")
        for _ in range(3):
            service.hear("WATCHDOG=1")
        service.process.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            while True:  # what was on its way
                service.hear("WATCHDOG=1", 1)
        service.process.send_signal(signal.SIGCONT)
        service.hear("WATCHDOG=1")
        # The turn that lasted a second was no good sign, and is not told as one.
        assert "STATUS=A turn of the loop took" in service.said


def test_without_a_watchdog_nothing_is_fed(base):
    with Service(base) as service:
        service.hear("READY=1")
        with pytest.raises(TimeoutError):
            service.hear("WATCHDOG", 1)


def test_sockets_of_systemd(base):
    """All of them are HTTP; the port stays open while the director is started anew."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, \
            socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(base / "http"))
        (base / "http").chmod(0o666)
        unix.listen()
        port = tcp.getsockname()[1]
        with Service(base, [tcp, unix]) as service:
            assert f"port {port}" in service.hear("READY=1")
            assert get(port) == 200
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(base / "http"))
                client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert client.recv(1000).startswith(b"HTTP/1.1 200")
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(20) == 0
        # Nobody accepts, but nobody is refused.
        with socket.create_connection(("127.0.0.1", port)) as early:
            early.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            time.sleep(0.1)
            with Service(base, [tcp, unix]) as service:
                service.hear("READY=1")
                early.settimeout(10)
                assert early.recv(1000).startswith(b"HTTP/1.1 200")
        assert (base / "http").exists()


def test_what_is_no_listener_is_refused(base):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        with Service(base, [datagrams]) as service:
            assert service.process.wait(20) == 1
            assert b"descriptor 3 from systemd is no listening stream socket" in \
                service.process.stdout.read()


def test_a_name_in_the_database_uri(base):
    """Looked up by the driver's threads, when nothing more can be loaded."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"mongodb://localhost:{server.getsockname()[1]}/?serverSelectionTimeoutMS=500"
        with Service(base, DATABASE_URI=uri) as service:
            server.settimeout(15)
            server.accept()[0].close()
            # It lives, whatever becomes of the connection.
            wait_for(lambda: service.process.poll() is None, "a living director")
