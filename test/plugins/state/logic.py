"""Keeps what it is told in a module variable, for whoever shares its process; dies, spins or sleeps when
asked. The actions of `crash` and `busy` in one, so that a test sees them meet."""
import asyncio
import os
import time

process = time.monotonic_ns()  # differs from worker to worker; pids are those of a namespace
kept = None


async def execute(data):
    global kept
    action = data.get("action")
    before = kept
    if action == "keep":
        kept = data["value"]
    elif action == "die":
        os._exit(3)
    elif action == "sleep":
        await asyncio.sleep(data["seconds"])
    elif action == "spin":
        until = time.monotonic() + data["seconds"]
        while time.monotonic() < until:
            pass
    return {"process": process, "before": before}
