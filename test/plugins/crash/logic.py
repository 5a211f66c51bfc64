"""Ends its process."""
import ctypes
import os
import sys

started = 0


def recurse(n):
    return recurse(n + 1) + 1


async def execute(data):
    global started
    started += 1
    action = data.get("action")
    if action == "exit":
        os._exit(data.get("status", 3))
    if action == "abort":
        os.abort()
    if action == "segv":
        ctypes.string_at(8)
    if action == "recursion":
        sys.setrecursionlimit(10 ** 8)
        return recurse(0)
    return {"started": started}
