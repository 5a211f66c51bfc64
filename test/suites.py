#!/usr/bin/python3
"""The suites of a build, and the sum of what they said.

    suites.py names BUILD                     the suites that have tests, in the order to run them
    suites.py report [--broken N] LOG...      adds up meson's logs; the last line is the sum

What counts is a test case: a cmocka case, a pytest case, and for any other program the program. A
line "not run: REASON" in a test's output says what could not be tested. With CI set that is a
failure, unless it is "not run: kernel: REASON", or "not run: root: REASON" for an ordinary user.
"""
import argparse
import json
import os
import re
import subprocess
import sys

# From fast to slow; a suite that is not named here comes last. The long ones run with --all only.
ORDER = ["lint", "unit", "fuzz", "conformance", "system", "security", "service", "fault", "bench"]
LONG = ["fuzz-long", "security-long", "vm"]

CMOCKA = re.compile(r"^\[  (PASSED|FAILED)  \] (\d+) test\(s\)", re.M)
PYTEST = re.compile(r"^=*\s*((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s", re.M)
NOT_RUN = re.compile(r"^not run: (.*)$", re.M)


def names(build):
    tests = json.loads(subprocess.check_output(["meson", "introspect", "--tests", build]))
    # A suite is "project:suite".
    found = {suite.split(":")[-1] for test in tests for suite in test["suite"]} - set(LONG)
    return [s for s in ORDER if s in found] + sorted(found - set(ORDER))


def count(record):
    """(passed, failed) of one test program."""
    text = "\n".join(record.get(stream) or "" for stream in ("stdout", "stderr"))
    bad = record["result"] not in ("OK", "EXPECTEDFAIL", "SKIP")
    passed = failed = 0
    found = False
    for word, n in CMOCKA.findall(text):
        found = True
        if word == "PASSED":
            passed += int(n)
        else:
            failed += int(n)
    summaries = PYTEST.findall(text)
    if summaries:
        found = True
        for piece in summaries[-1].split(", "):
            n, word = piece.split()
            if word == "passed":
                passed += int(n)
            elif word in ("failed", "error", "errors"):
                failed += int(n)
    if record["result"] == "SKIP":
        return passed, 0
    if not found:
        return (0, 1) if bad else (1, 0)
    # A program that died after its cases, or in one of them.
    return passed, max(failed, 1) if bad else failed


def is_excused(reason):
    """No CI can change its kernel, and an ordinary user's run has no root."""
    return reason.startswith("kernel: ") or (os.geteuid() != 0 and reason.startswith("root: "))


def report(logs, broken):
    passed, failed = 0, broken
    not_run, failures = [], []
    for log in logs:
        with open(log, encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                p, f = count(record)
                passed, failed = passed + p, failed + f
                if f:
                    failures.append(f"{record['name']}: {record['result']} ({log})")
                text = (record.get("stdout") or "") + "\n" + (record.get("stderr") or "")
                reasons = NOT_RUN.findall(text)
                if record["result"] == "SKIP" and not reasons:
                    reasons = [f"{record['name']} says not why"]
                not_run += reasons
    for failure in failures:
        print(f"failed: {failure}")
    for reason in dict.fromkeys(not_run):
        print(f"not run: {reason}")
        if os.environ.get("CI") and not is_excused(reason):
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("names").add_argument("build")
    summing = commands.add_parser("report")
    summing.add_argument("--broken", type=int, default=0)
    summing.add_argument("logs", nargs="*")
    arguments = parser.parse_args()
    if arguments.command == "names":
        print("\n".join(names(arguments.build)))
        return 0
    return report(arguments.logs, arguments.broken)


if __name__ == "__main__":
    sys.exit(main())
