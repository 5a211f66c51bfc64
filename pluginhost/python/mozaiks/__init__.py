"""The runtime's own side of the Python packages.

Plugins use ``core`` and need only a few names from here: the exceptions in ``mozaiks.errors``,
``wait()``, with which a function that is not async uses the async API, and ``traceparent()``.
"""

from mozaiks._client import traceparent, wait

__all__ = ["traceparent", "wait"]
