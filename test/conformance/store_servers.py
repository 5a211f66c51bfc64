#!/usr/bin/python3
"""The store's cases on every MongoDB server that can be had.

    store_servers.py TEST_STORE [NAME...]

servers/NAME beside this file lists what that server itself gets wrong. Exit status: 77 when no
server can be had, or 1 when CI is set.
"""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "servers"))
import servers  # noqa: E402


def main(program, *names):
    status = None
    for name in names or servers.candidates():
        reason = servers.why_not(name)
        if reason:
            print(f"not run: {name}: {reason}", flush=True)
            continue
        known = HERE / "servers" / name
        print(f"server: {name}", flush=True)
        with servers.Server(name) as server:
            done = subprocess.run([program, server.uri] + ([known] if known.exists() else []))
        status = status or (1 if done.returncode else 0)
    if status is None:
        return 1 if os.environ.get("CI") else servers.SKIP
    return status


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
