"""Takes its time."""
import asyncio
import time

now = most = calls = 0
released = asyncio.Event()


async def execute(data):
    global now, most, calls
    action = data.get("action")
    if action == "stats":
        return {"now": now, "most": most, "calls": calls}
    if action == "release":
        released.set()
        released.clear()
        return {}
    now += 1
    calls += 1
    most = max(most, now)
    try:
        if action == "sleep":
            await asyncio.sleep(data["seconds"])
        elif action == "hold":
            # Until somebody else releases it.
            await released.wait()
        elif action == "block":
            # The thread outlives the call.
            await asyncio.to_thread(time.sleep, data["seconds"])
        elif action == "spin":
            until = time.monotonic() + data["seconds"]
            while time.monotonic() < until:
                pass
        elif action == "stubborn":
            # Being cancelled does not impress it.
            until = time.monotonic() + data["seconds"]
            while time.monotonic() < until:
                try:
                    await asyncio.sleep(0.05)
                except asyncio.CancelledError:
                    pass
        return {"slept": data.get("seconds")}
    finally:
        now -= 1
