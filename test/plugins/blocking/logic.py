"""A sync execute(): it blocks its own thread, and no one else."""
import threading
import time

lock = threading.Lock()
now = most = 0


def execute(data):
    global now, most
    if data.get("action") == "stats":
        return {"most": most}
    with lock:
        now += 1
        most = max(most, now)
    time.sleep(data.get("seconds", 0))
    with lock:
        now -= 1
    return {"thread": threading.current_thread() is not threading.main_thread()}
