#!/usr/bin/python3
"""Who may include what, and whether each header stands on its own.

    layers.py includes SOURCE           checks every #include of the tree against the tables below
    layers.py headers SOURCE BUILD      compiles each header alone, with the build's include paths

The layers, each using only what stands to its left:

    common/base -> common/json, common/proto, common/confine -> common/uvx -> common/channel
        -> common/service -> director | pluginhost

Plugins see the published header alone. A library has one home, so that it can be replaced there.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

# Folder -> the folders, and single headers, that it may include; the longest match counts.
LAYERS = {
    "common/base": ["common/base"],
    "common/confine": ["common/base", "common/confine"],
    "common/json": ["common/base", "common/json"],
    "common/proto": ["common/base", "common/proto"],
    "common/uvx": ["common/base", "common/json", "common/proto", "common/uvx"],
    "common/channel": ["common/base", "common/json", "common/proto", "common/uvx", "common/channel"],
    "common/service": ["common/base", "common/uvx", "common/service"],
    "director": ["common", "director"],
    # A lower module tells those above it through a table that it declares: director/wiring.c.
    "director/hosts": ["common", "director/hosts", "director/director.h", "director/config",
                       "director/store/store.h"],
    "pluginhost": ["common/base", "common/confine", "common/json", "common/proto", "common/service",
                   "common/uvx", "pluginhost"],
    "plugins": [],
    "test": ["common", "director", "pluginhost", "test"],
}

# Library headers (a prefix) -> the folders that may include them.
HOMES = {
    "uv.h": ["common/uvx", "common/channel", "director", "pluginhost"],
    "nng/": ["common/channel"],
    "llhttp": ["director/http"],
    "openssl/": ["director/auth", "director/tls", "director/websocket"],
    "sqlite3.h": ["director/store"],
    "mongoc": ["director/store"],
    "pcre2.h": ["director/store"],
    "seccomp.h": ["common/confine", "pluginhost/sandbox"],
    "systemd/": ["common/service"],
    "Python.h": ["pluginhost/runtime", "pluginhost/python"],
    "mozaiks/": ["pluginhost/runtime", "plugins"],
    "curl/": ["director"],
    "nats": ["director"],
    "bson": ["common/json", "director", "pluginhost"],
    "jansson.h": ["common/json", "director", "pluginhost"],
}

# Calls -> the folders that may make them: whoever closes a handle knows when its memory may go.
CALLS = {
    "uv_close": ["common/uvx", "common/channel"],
    "uv_run": ["common/uvx", "common/channel", "director/main.c", "pluginhost/main.c",
               "director/http/http-floor.c", "director/store/bench-store.c",
               "director/store/bench-mongodb.c"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def sources(top, *suffixes):
    for folder in ("common", "director", "pluginhost", "plugins", "test"):
        for path in sorted((top / folder).rglob("*")):
            if path.suffix in suffixes and "node_modules" not in path.parts:
                yield path.relative_to(top)


def is_test(path):
    """Tests may reach for a real peer: they are not part of a program."""
    return path.name.startswith(("test-", "fuzz-")) or path.parts[0] == "test"


def within(path, folder):
    return path == folder or path.startswith(folder + "/")


def layer_of(path):
    folder = str(path.parent)
    matches = [name for name in LAYERS if within(folder, name)]
    return max(matches, key=len, default=None)


def violations(path, text):
    layer = layer_of(path)
    if layer is None:
        yield f"{path}: no layer is defined for this folder"
        return
    for mark, name in INCLUDE.findall(text):
        top = name.split("/")[0]
        if top in ("common", "director", "pluginhost", "plugins", "test"):
            if mark == "<":
                yield f"{path}: {name} is ours: include it with quotes"
            folder = os.path.dirname(name)
            if not is_test(path) and not any(within(folder, f) or name == f for f in LAYERS[layer]):
                yield f"{path}: {layer} may not include {name}"
            continue
        if mark == '"' and not name.startswith("mozaiks/") and "/" not in name:
            yield f"{path}: {name}: includes start at the root: \"common/base/slice.h\""
        for library, homes in HOMES.items():
            if name.startswith(library) and not is_test(path) and \
                    not any(within(str(path.parent), home) for home in homes):
                yield f"{path}: {name} belongs to {', '.join(homes)}"
    for call, homes in CALLS.items():
        if not is_test(path) and not any(within(str(path), home) for home in homes) and \
                re.search(rf"\b{call}\s*\(", text):
            yield f"{path}: only {', '.join(homes)} may call {call}()"


def check_includes(top):
    found, n = [], 0
    for path in sources(top, ".c", ".h"):
        n += 1
        found += violations(path, (top / path).read_text(encoding="utf-8"))
    for line in found:
        print(line)
    print(f"{n} files, {len(found)} violations")
    return 1 if found or not n else 0


def include_flags(top, build):
    """The definitions and the include paths outside the tree of all the build's compilations."""
    flags = {}
    for entry in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        words = shlex.split(entry["command"])
        for word, following in zip(words, words[1:] + [""]):
            path = following if word == "-isystem" else word.removeprefix("-isystem")
            if word.startswith("-I"):
                path = word[2:]
            elif not word.startswith("-isystem"):
                if word.startswith("-D") and "FORTIFY" not in word:
                    flags[word] = True
                continue
            path = os.path.normpath(os.path.join(entry["directory"], path))
            if not within(path, str(top)):
                flags[f"-isystem{path}"] = True
    return list(flags)


def check_headers(top, build):
    flags = include_flags(top, build)
    headers = list(sources(top, ".h"))

    def compile_alone(path):
        # Twice: a header must also bear being included again.
        program = f'#include "{path}"\n#include "{path}"\n'
        done = subprocess.run(
            ["gcc", "-std=gnu17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
             "-Wno-unused-parameter", *flags, f"-I{top}", "-x", "c", "-"],
            input=program, stderr=subprocess.PIPE, text=True)
        return path, done.returncode, done.stderr

    bad = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, status, errors in pool.map(compile_alone, headers):
            if status:
                bad += 1
                print(f"{path} does not compile alone:\n{errors}")
    print(f"{len(headers)} headers, {bad} bad")
    return 1 if bad or not headers else 0


def main(arguments):
    paths = [pathlib.Path(path).resolve() for path in arguments[1:]]
    if arguments[:1] == ["includes"] and len(paths) == 1:
        return check_includes(*paths)
    if arguments[:1] == ["headers"] and len(paths) == 2:
        return check_headers(*paths)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
