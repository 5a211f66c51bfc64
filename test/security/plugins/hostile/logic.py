"""A plugin that tries to get out. The action names the attack; the answer says what came of it."""
import ctypes
import errno
import os
import resource
import signal
import socket
import struct
import subprocess
import threading

libc = ctypes.CDLL(None, use_errno=True)
kept = []


def outcome(function, *args):
    """The name of the error that came, else what came."""
    try:
        return {"got": repr(function(*args))[:200]}
    except OSError as error:
        return {"errno": errno.errorcode.get(error.errno, str(error.errno))}
    except BaseException as error:
        return {"raised": type(error).__name__}


def read(path):
    with open(path, "rb") as f:
        return f.read(100)


def write(path):
    with open(path, "ab") as f:
        f.write(b"x")


def syscall(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in args))
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


def connect(family, kind, address):
    s = socket.socket(family, kind)
    s.connect(address)


def open_descriptors():
    found = []
    for fd in range(1024):
        try:
            os.fstat(fd)
            found.append(fd)
        except OSError:
            pass
    return found


def allocate(size):
    block = bytearray(size)
    for i in range(0, size, 4096):
        block[i] = 1
    kept.append(block)
    return len(block)


def threads(n):
    started = 0
    end = threading.Event()
    try:
        for _ in range(n):
            threading.Thread(target=end.wait, daemon=True).start()
            started += 1
    finally:
        end.set()
    return started


# Bytes on the channel (fd 3): a pair0 message with frames in it, as common/proto says.

def message(*frames):
    body = b"".join(frames)
    return b"\x01" + struct.pack(">Q", len(body)) + body


def frame(kind, payload=b"", call_id=0, capability=0, flags=0, size=None):
    return struct.pack("<IBBHQ", len(payload) if size is None else size, kind, flags, capability,
                       call_id) + payload


RESULT, CALL, LOG, EXECUTE, START = 14, 19, 21, 4, 35
DATABASE_INSERT = 6


def deep_bson(depth):
    document = b"\x05\x00\x00\x00\x00"
    for _ in range(depth):
        inner = b"\x03a\x00" + document + b"\x00"
        document = struct.pack("<I", len(inner) + 4) + inner
    return document


def send(data):
    view = memoryview(data)
    os.set_blocking(3, True)
    while view:
        view = view[os.write(3, view):]
    return len(data)


FORGERIES = {
    "garbage": lambda: os.urandom(65536),
    "zeros": lambda: bytes(65536),
    "huge message": lambda: b"\x01" + struct.pack(">Q", 2 ** 62),
    "message over the limit": lambda: b"\x01" + struct.pack(">Q", 8 << 20) + bytes(8 << 20),
    "not a message": lambda: b"\x02" + bytes(64),
    "half a frame": lambda: message(frame(RESULT, size=1000)),
    "huge frame": lambda: message(frame(RESULT, size=0xFFFFFFFF)),
    "unknown type": lambda: message(frame(63, b"x")),
    "type 0": lambda: message(frame(0)),
    "type 255": lambda: message(frame(255)),
    "reserved flags": lambda: message(frame(RESULT, b"\x00{}", 1, flags=0x80)),
    "result of no call": lambda: message(frame(RESULT, b"\x00{}", 999_999)),
    "result of call 0": lambda: message(frame(RESULT, b"\x00{}", 0)),
    "result of an old call": lambda: message(frame(RESULT, b"\x00{}", 1)) * 2,
    "a director's frame": lambda: message(frame(EXECUTE, bytes(12), 1)),
    "a pluginhost's frame": lambda: message(frame(START, b"{}", 1)),
    "a second hello": lambda: message(frame(1, b"\x01\x00\x00{}")),
    "a second ready": lambda: message(frame(2, b"\x01{}")),
    "a capability of no name": lambda: message(frame(CALL, bytes(8), 0, capability=9999)),
    "a call without arguments": lambda: message(frame(CALL, bytes(4), 0, DATABASE_INSERT)),
    "deep bson": lambda: message(frame(CALL, bytes(4) + deep_bson(10_000), 0, DATABASE_INSERT)),
    "bson with a wrong size": lambda: message(
        frame(CALL, bytes(4) + b"\xff\xff\xff\x7f" + bytes(20), 0, DATABASE_INSERT)),
    "trailing bytes": lambda: message(frame(LOG, b"\x04\x01\x00a" + bytes(100), 0) + b"xyz"),
}


def flood_channel(megabytes):
    """Log frames as fast as they go."""
    one = message(frame(LOG, b"\x06\x04\x00logs" + b"y" * 8000))
    block = one * 64
    sent = 0
    while sent < megabytes << 20:
        sent += send(block)
    return sent


def kill_all(number):
    return {str(pid): outcome(os.kill, pid, number) for pid in (-1, 0, 2, os.getppid())}


async def database(depth):
    from core.config.database import db
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return (await db["deep"].insert_one(value)).inserted_id


async def execute(data):
    action = data.get("action")
    if action == "hello":
        return {"pid": os.getpid(), "uid": os.getuid()}
    if action == "read":
        return {path: outcome(read, path) for path in data["paths"]}
    if action == "list":
        return {path: outcome(os.listdir, path) for path in data["paths"]}
    if action == "write":
        return {path: outcome(write, path) for path in data["paths"]}
    if action == "environ":
        raw = outcome(read, "/proc/self/environ")
        return {"environ": dict(os.environ), "raw": raw}
    if action == "descriptors":
        return open_descriptors()
    if action == "connect":
        return {
            "tcp": outcome(connect, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", data["port"])),
            "tcp6": outcome(connect, socket.AF_INET6, socket.SOCK_STREAM, ("::1", data["port"])),
            "udp": outcome(connect, socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53)),
            "unix": outcome(connect, socket.AF_UNIX, socket.SOCK_STREAM, data["socket"]),
            "abstract": outcome(connect, socket.AF_UNIX, socket.SOCK_STREAM, "\0x"),
            "netlink": outcome(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW),
            "name": outcome(socket.getaddrinfo, "localhost", 80),
        }
    if action == "exec":
        return {
            "execv": outcome(os.execv, "/bin/sh", ["sh", "-c", "id"]),
            "spawn": outcome(os.posix_spawn, "/bin/sh", ["sh"], {}),
            "subprocess": outcome(subprocess.check_output, ["id"]),
            "system": outcome(os.system, "id"),
            "memfd": outcome(os.memfd_create, "x"),
        }
    if action == "fork":
        return {"fork": outcome(os.fork), "forkpty": outcome(os.forkpty)}
    if action == "kill":
        return kill_all(signal.SIGKILL)
    if action == "spin":
        while True:
            pass
    if action == "swallow":
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
    if action == "allocate":
        return outcome(allocate, data["bytes"])
    if action == "threads":
        return outcome(threads, data["n"])
    if action == "limits":
        return {name: outcome(resource.setrlimit, getattr(resource, name), (-1, -1))
                for name in ("RLIMIT_AS", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_FSIZE")}
    if action == "fill":
        fd = os.open("/tmp/fill", os.O_WRONLY | os.O_CREAT)
        written = 0
        try:
            while written < data["bytes"]:
                written += os.write(fd, bytes(65536))
        except OSError as error:
            return {"errno": errno.errorcode[error.errno], "written": written}
        finally:
            os.close(fd)
            os.unlink("/tmp/fill")
        return {"written": written}
    if action == "syscall":
        return outcome(syscall, data["number"], *data.get("args", []))
    if action == "forge":
        return outcome(send, FORGERIES[data["what"]]())
    if action == "flood channel":
        return outcome(flood_channel, data["megabytes"])
    if action == "flood stdout":
        block = b"flood " * 10_000
        written = 0
        while written < data["megabytes"] << 20:
            written += os.write(1, block)
        return {"written": written}
    if action == "close channel":
        os.close(3)
        return {}
    if action == "answer":
        return {"text": "x" * data["bytes"]}
    if action == "deep":
        try:
            return {"got": str(await database(data["depth"]))}
        except BaseException as error:
            return {"raised": type(error).__name__, "message": str(error)[:300]}
    return {"error": f"no such attack: {action}"}
