"""The runtime's own side of the Python packages.

Plugins use ``core`` and need only two names from here: the exceptions in ``mozaiks.errors``, and
``wait()``, with which a function that is not async uses the async API.
"""

from mozaiks._client import wait

__all__ = ["wait"]
