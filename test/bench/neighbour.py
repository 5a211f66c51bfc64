"""Keeps a hostile plugin busy while something else is measured."""
import http.client
import json
import threading

from runtime import mint

# How many calls are on their way; each ends by its deadline or with its worker.
CALLERS = 4
# After a refusal: the attack is the plugin's, not a flood of requests.
PAUSE_SECONDS = 0.02
ATTACKED = (502, 504)


class Hostile:
    """Calls `plugin` with an action again and again, as long as the block lasts."""

    def __init__(self, runtime, plugin, action):
        self.runtime, self.plugin = runtime, plugin
        self.body = json.dumps({"action": action}).encode()
        self.end = threading.Event()
        self.answers = {}
        self.threads = [threading.Thread(target=self._call, args=(n,)) for n in range(CALLERS)]

    def _call(self, n):
        token = mint(f"hostile-{n}")
        while not self.end.is_set():
            try:
                status = self.runtime.execute(self.plugin, self.body, token=token).status
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
            self.answers[status] = self.answers.get(status, 0) + 1
            if status not in ATTACKED:
                self.end.wait(PAUSE_SECONDS)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        for thread in self.threads:
            thread.join()
