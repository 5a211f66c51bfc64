"""Ends its process."""
import ctypes
import os
import sys

started = 0


class Recursion:
    """Looks for an attribute by looking for it: on the C stack, so that it ends in a moment."""

    def __getattr__(self, name):
        return getattr(self, name)


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
        return Recursion().anything
    return {"started": started}
