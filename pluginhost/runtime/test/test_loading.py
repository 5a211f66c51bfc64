"""How a plugin is imported, and what READY says when that fails."""

import os
import subprocess
import sys

import pytest

import fake_director as fd


def test_backend_logic(start):
    worker = start(
        {
            "backend/logic.py": "from . import helper\nfrom ..common import NAME\n"
            "async def execute(data):\n    return [helper.X, NAME, __name__]\n",
            "backend/helper.py": "X = 5\n",
            "common.py": "NAME = 'common'\n",
        },
        plugin="my-plugin",
    )
    assert worker.call().value == [5, "common", "plugins.my-plugin.backend.logic"]


def test_logic_in_the_root_comes_first(start):
    worker = start(
        {
            "logic.py": "async def execute(data):\n    return 'root'\n",
            "backend/logic.py": "async def execute(data):\n    return 'backend'\n",
        }
    )
    assert worker.call().value == "root"


@pytest.mark.parametrize("init", [{}, {"__init__.py": ""}, {"__init__.py": "LOADED = 'init'\n"}])
def test_relative_imports_with_and_without_init(start, init):
    worker = start(
        {
            "logic.py": "from . import settings\nfrom .handlers.items import handle\n"
            "import plugins.sample.settings as again\n"
            "async def execute(data):\n"
            "    import plugins.sample as package\n"
            "    return [settings.VALUE, handle(), again is settings, "
            "getattr(package, 'LOADED', None)]\n",
            "settings.py": "VALUE = 7\n",
            "handlers/items.py": "from ..settings import VALUE\ndef handle():\n    return VALUE + 1\n",
            **init,
        }
    )
    loaded = "init" if init.get("__init__.py") else None
    assert worker.call().value == [7, 8, True, loaded]


def test_init_runs_first_and_once(start):
    worker = start(
        {
            "__init__.py": "runs = []\nruns.append(1)\nfrom .logic import execute\n",
            "logic.py": "async def execute(data):\n    from . import runs\n    return runs\n",
        }
    )
    assert worker.call().value == [1]


def test_site_packages(start):
    worker = start(
        {
            "logic.py": "import thing, extra, fastapi\n"
            "async def execute(data):\n    return [thing.WHO, extra.WHO, fastapi.WHO]\n",
            "site/thing/__init__.py": "WHO = 'site'\n",
            "site/more.pth": "more\n",
            "site/more/extra.py": "WHO = 'by pth'\n",
            # Before Debian's, behind the standard library.
            "site/fastapi.py": "WHO = 'site instead of Debian'\n",
            "site/statistics.py": "raise RuntimeError('not instead of the standard library')\n",
        }
    )
    assert worker.call().value == ["site", "by pth", "site instead of Debian"]


def test_extension_modules(start):
    worker = start(
        """
import _bson if False else None
""".replace("import _bson if False else None", "import bson, _sqlite3, yaml")
        + """
async def execute(data):
    db = __import__("sqlite3").connect(":memory:")
    return [bson.has_c(), db.execute("select 1 + 1").fetchone()[0], yaml.safe_load("a: 1")]
"""
    )
    assert worker.call().value == [True, 2, {"a": 1}]


@pytest.mark.parametrize(
    "source, error, trace",
    [
        ("def execute(data)\n    pass\n", "SyntaxError: expected ':'", "logic.py"),
        ("import nothing_like_that\n", "ModuleNotFoundError", "No module named"),
        ("raise ValueError('at import')\n", "ValueError: at import", "line 1"),
        ("import sys\nsys.exit(4)\n", "SystemExit: 4", "sys.exit(4)"),
        ("1/0\n", "ZeroDivisionError", "1/0"),
        ("from core.config.database import users_collection\n", "ImportError", "application's own"),
        ("from pymongo import MongoClient\n", "ImportError", "core.config.database"),
        ("def f():\n    f()\nf()\n", "RecursionError", "f()"),
    ],
)
def test_import_errors(unstarted, source, error, trace):
    ready = unstarted(source).start()
    assert ready["ok"] is False
    assert ready["error"].startswith(error), ready
    assert trace in ready["traceback"]


def test_import_error_of_the_worst_length(unstarted):
    ready = unstarted("raise ValueError('\\x01\\U0001f600' * 100_000)\n").start()
    assert ready["ok"] is False and ready["error"].startswith("ValueError: \x01")


def test_too_many_subscriptions_for_one_message(unstarted):
    ready = unstarted(
        "from core.event_bus import event_bus\n"
        "for n in range(10_000):\n    event_bus.subscribe(f'event:{n}', print)\n"
        "async def execute(data):\n    return 1\n"
    ).start()
    assert ready["ok"] is False and "64 KiB" in ready["error"]


def test_standard_library(start):
    """Modules with files, extension modules or system calls of their own."""
    worker = start("""
import asyncio, ctypes, decimal, hashlib, multiprocessing, sqlite3, ssl, tempfile, zoneinfo
import concurrent.futures, datetime, os, pydantic, fastapi, xml.etree.ElementTree as tree

async def execute(data):
    out = {"zone": str(datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")))}
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("text")
        file.seek(0)
        out["file"] = file.read()
    out["hash"] = hashlib.sha256(b"x").hexdigest()[:8]
    out["decimal"] = str(decimal.Decimal("1.1") + 1)
    out["sqlite"] = sqlite3.connect(":memory:").execute("select 6*7").fetchone()[0]
    out["thread"] = await asyncio.to_thread(lambda: 5)
    out["executor"] = await asyncio.get_running_loop().run_in_executor(None, lambda: 6)
    out["xml"] = tree.fromstring("<a><b>t</b></a>").find("b").text
    out["model"] = pydantic.create_model("M", n=(int, ...))(n="3").n
    return out
""")
    assert worker.call().value == {
        "zone": "2026-07-01 00:00:00+02:00",
        "file": "text",
        "hash": "2d711642",
        "decimal": "2.1",
        "sqlite": 42,
        "thread": 5,
        "executor": 6,
        "xml": "t",
        "model": 3,
    }


def test_no_logic(unstarted):
    ready = unstarted({"readme.txt": "nothing"}).start()
    assert ready["ok"] is False and "logic.py" in ready["error"]


def test_import_logs_and_prints(start):
    worker = start(
        "import logging\nprint('hello from import')\nlogging.getLogger('x').error('oops')\n"
        "async def execute(data):\n    return 1\n"
    )
    assert worker.log("hello from import").logger == "sample.stdout"
    assert worker.log("oops").level == 3


def test_nothing_of_the_outside_gets_in(start, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nonexistent")
    monkeypatch.setenv("PYTHONSTARTUP", "/nonexistent")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")
    worker = start("""
import signal, site, sys

async def execute(data):
    return {
        "path": sys.path,
        "isolated": sys.flags.isolated,
        "no_bytecode": sys.dont_write_bytecode,
        "utf8": sys.flags.utf8_mode,
        "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "executable": sys.executable,
    }
""")
    value = worker.call().value
    assert value["path"][1:] == [
        "/usr/lib/python3.11",
        "/usr/lib/python3.11/lib-dynload",
        "/usr/lib/python3/dist-packages",
    ]
    assert value["isolated"] == 1 and value["no_bytecode"] and value["utf8"] == 1
    assert value["sigint"] is False


def test_workers_of_one_zygote_differ(start):
    """Forks share memory: random numbers and object ids must not be shared with it."""
    plugin = """
import random, secrets, uuid
from bson import ObjectId
async def execute(data):
    return [random.random(), secrets.token_hex(), str(uuid.uuid4()), str(ObjectId())[8:18]]
"""
    one, two = start(plugin).call().value, start(plugin).call().value
    assert all(a != b for a, b in zip(one, two))


def test_object_ids_do_not_trust_the_pid():
    """In a worker os.getpid() is 1, as in the zygote it was forked from."""
    code = """
import os
os.getpid = lambda: 1
from bson import ObjectId
before = ObjectId._random()
from random import SystemRandom
exec(open(%r).read().split("def _reseed_object_ids")[1].join(["def _reseed_object_ids", ""])
     .split("def enter")[0], globals())
_reseed_object_ids()
assert ObjectId._random() != before
"""
    path = os.path.join(fd.PACKAGES, "mozaiks", "_worker.py")
    subprocess.run([sys.executable, "-c", code % path], check=True)
