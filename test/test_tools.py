"""The tools of the test run: does the layer check find what it should, is the sum right?"""
import json
import pathlib
import os
import subprocess
import sys

import pytest

import layers
import suites

HERE = pathlib.Path(__file__).resolve().parent

ALLOWED = [
    ("common/json/a.c", '#include "common/base/slice.h"'),
    ("common/channel/a.c", '#include "common/uvx/timer.h"\n#include <nng/nng.h>'),
    ("director/http/a.c", '#include "common/channel/channel.h"\n#include <uv.h>'),
    ("pluginhost/runtime/a.c", "#include <Python.h>"),
    ("plugins/counter/counter.c", '#include <mozaiks/plugin.h>\n#include <stdio.h>'),
    ("pluginhost/test-peer.c", "#include <nng/nng.h>"),
]
REFUSED = [
    ("common/base/a.c", '#include "common/json/scan.h"', "may not include"),
    ("common/json/a.c", '#include "common/proto/frame.h"', "may not include"),
    ("common/proto/a.h", "#include <uv.h>", "belongs to"),
    ("common/json/a.c", "#include <nng/nng.h>", "belongs to"),
    ("common/uvx/a.c", '#include "common/channel/channel.h"', "may not include"),
    ("director/a.c", '#include "pluginhost/worker.h"', "may not include"),
    ("pluginhost/a.c", '#include "director/store/store.h"', "may not include"),
    ("pluginhost/a.c", '#include "common/channel/channel.h"', "may not include"),
    ("pluginhost/a.c", "#include <nng/protocol/pair0/pair.h>", "belongs to"),
    ("plugins/counter/counter.c", '#include "common/base/slice.h"', "may not include"),
    ("plugins/counter/counter.c", "#include <uv.h>", "belongs to"),
    ("director/http/a.c", "#include <common/base/slice.h>", "with quotes"),
    ("director/http/a.c", '#include "http.h"', "start at the root"),
    ("director/http/a.c", "void f(void)\n{\n\tuv_close(h, NULL);\n}", "may call"),
    ("elsewhere/a.c", "", "no layer"),
]


@pytest.mark.parametrize("path,text", ALLOWED)
def test_what_layers_allow(path, text):
    assert list(layers.violations(pathlib.Path(path), text)) == []


@pytest.mark.parametrize("path,text,word", REFUSED)
def test_what_layers_refuse(path, text, word):
    found = list(layers.violations(pathlib.Path(path), text))
    assert len(found) == 1 and word in found[0]


def test_a_header_that_does_not_stand_alone_is_found(tmp_path):
    (tmp_path / "common" / "base").mkdir(parents=True)
    (tmp_path / "common" / "base" / "a.h").write_text("#pragma once\nsize_t f(void);\n")
    (tmp_path / "compile_commands.json").write_text("[]")
    command = [sys.executable, HERE / "layers.py", "headers", tmp_path, tmp_path]
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 1
    (tmp_path / "common" / "base" / "a.h").write_text(
        "#pragma once\n#include <stddef.h>\nsize_t f(void);\n")
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0


CMOCKA = "[==========] Running 3 test(s).\n[  PASSED  ] 2 test(s).\n[  FAILED  ] 1 test(s), listed below:\n"
RECORDS = [
    ({"result": "OK", "stderr": "[  PASSED  ] 7 test(s).\n"}, (7, 0)),
    ({"result": "FAIL", "stderr": CMOCKA}, (2, 1)),
    ({"result": "FAIL", "stderr": "[  PASSED  ] 7 test(s).\n"}, (7, 1)),
    ({"result": "TIMEOUT", "stdout": ""}, (0, 1)),
    ({"result": "OK", "stdout": "12 passed in 0.31s\n"}, (12, 0)),
    ({"result": "FAIL", "stdout": "===== 1 failed, 12 passed, 3 skipped in 2.00s =====\n"}, (12, 1)),
    ({"result": "FAIL", "stdout": "2 errors, 12 passed in 62.00s (0:01:02)\n"}, (12, 2)),
    ({"result": "FAIL", "stdout": "1 error in 0.10s\n"}, (0, 1)),
    ({"result": "OK", "stdout": "no summary"}, (1, 0)),
    ({"result": "FAIL", "stdout": "no summary"}, (0, 1)),
    ({"result": "SKIP", "stdout": "not run: no reason\n"}, (0, 0)),
    ({"result": "INTERRUPT", "stdout": ""}, (0, 1)),
]


@pytest.mark.parametrize("record,expected", RECORDS)
def test_count(record, expected):
    assert suites.count(record) == expected


def report(tmp_path, records, ci=None, broken=0):
    log = tmp_path / "log.json"
    log.write_text("".join(json.dumps({"name": "t", **r}) + "\n" for r in records))
    env = {"PATH": "/usr/bin:/bin", **({"CI": ci} if ci else {})}
    done = subprocess.run([sys.executable, HERE / "suites.py", "report", "--broken", str(broken), log],
                          env=env, stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout.splitlines()


def test_report(tmp_path):
    status, lines = report(tmp_path, [r for r, _ in RECORDS])
    passed, failed = (sum(n) for n in zip(*(expected for _, expected in RECORDS)))
    assert status == 1 and lines[-1] == f"{passed} passed, {failed} failed"
    assert "not run: no reason" in lines


def test_all_is_well(tmp_path):
    assert report(tmp_path, [RECORDS[0][0]]) == (0, ["7 passed, 0 failed"])


def test_what_did_not_run_fails_in_ci(tmp_path):
    records = [RECORDS[0][0], {"result": "SKIP", "stdout": "not run: no server\n"}]
    assert report(tmp_path, records)[0] == 0
    assert report(tmp_path, records, ci="true")[0] == 1
    records[1]["stdout"] = "not run: kernel: no Landlock\n"
    assert report(tmp_path, records, ci="true")[0] == 0


def test_a_build_that_broke_is_a_failure(tmp_path):
    assert report(tmp_path, [RECORDS[0][0]], broken=1)[0] == 1


def test_nothing_at_all_is_a_failure(tmp_path):
    assert report(tmp_path, [])[0] == 1


def test_who_is_excused(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert suites.is_excused("root: only root kills others")
    assert suites.is_excused("kernel: no cgroups")
    assert not suites.is_excused("no maven")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert not suites.is_excused("root: only root kills others")
