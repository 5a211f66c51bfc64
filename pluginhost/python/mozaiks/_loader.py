"""Imports the plugin: as package ``plugins.<id>``, whatever its directory is called."""

import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import site
import sys
import types
from dataclasses import dataclass
from typing import Any, Callable, Optional, Tuple

_DIST_PACKAGES = "/usr/lib/python3/dist-packages"
# Where the entry may be, and the module it is then.
_LOGIC: Tuple[Tuple[str, str], ...] = (
    ("logic.py", "logic"),
    (os.path.join("backend", "logic.py"), "backend.logic"),
)


@dataclass
class Entry:
    """What answers calls."""

    module: types.ModuleType
    name: Optional[str]
    function: Optional[Callable[[Any], Any]]
    is_async: bool
    socket: Optional[Callable[..., Any]] = None


def _add_site(directory: str) -> None:
    """The plugin's own packages: behind the standard library, before Debian's."""
    path = os.path.join(directory, "site")
    if not os.path.isdir(path):
        return
    before = len(sys.path)
    if _DIST_PACKAGES in sys.path:
        before = sys.path.index(_DIST_PACKAGES)
    sys.path.insert(before, path)
    site.addsitedir(path, known_paths=set(sys.path))


def _package(name: str, directories: "list[str]") -> types.ModuleType:
    module = types.ModuleType(name)
    module.__path__ = directories
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    module.__spec__.submodule_search_locations = directories
    sys.modules[name] = module
    return module


def _import_package(plugin: str, directory: str) -> None:
    """Makes ``plugins.<id>``, running its ``__init__.py`` if there is one."""
    plugins = _package("plugins", [])
    name = f"plugins.{plugin}"
    init = os.path.join(directory, "__init__.py")
    if not os.path.isfile(init):
        setattr(plugins, plugin, _package(name, [directory]))
        return
    spec = importlib.util.spec_from_file_location(
        name, init, submodule_search_locations=[directory]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    setattr(plugins, plugin, module)
    spec.loader.exec_module(module)


def _is_async(function: Callable[..., Any]) -> bool:
    called = getattr(function, "__call__", None)
    return any(
        is_one(f)
        for is_one in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        for f in (function, called)
    )


def _entry_of(module: types.ModuleType) -> Entry:
    socket = getattr(module, "websocket", None)
    socket = socket if inspect.iscoroutinefunction(socket) else None
    for name in ("execute", "run"):
        function = getattr(module, name, None)
        if callable(function):
            return Entry(module, name, function, _is_async(function), socket)
    return Entry(module, None, None, False, socket)


def load(plugin: str, directory: str) -> Entry:
    """Imports the plugin's logic and finds what answers calls.

    Raises whatever the plugin's code raises, SystemExit included.
    """
    _add_site(directory)
    for path, module in _LOGIC:
        if os.path.isfile(os.path.join(directory, path)):
            _import_package(plugin, directory)
            return _entry_of(importlib.import_module(f"plugins.{plugin}.{module}"))
    raise FileNotFoundError("neither logic.py nor backend/logic.py is there")
