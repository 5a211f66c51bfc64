"""What holds for the whole tree and no compiler sees."""
import ast
import pathlib
import re

import pytest

TOP = pathlib.Path(__file__).resolve().parents[1]
ROW = re.compile(r'^\t\{ "([A-Z][A-Z_]+)", SETTING_', re.M)
ALIAS = re.compile(r'\.alias = "([A-Z_]+)"')
NAME = re.compile(r"\b(?:MOZAIKS_[A-Z_]+[A-Z]|MAX_REQUEST_BODY_BYTES|JWT_SECRET|DATABASE_URI)\b")
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')

TOP_LEVEL = {".ci", ".clang-format", ".clang-tidy", ".git", ".gitignore", "README.md", "common",
             "configs", "director", "meson.build", "meson_options.txt", "pluginhost", "plugins",
             "scripts", "test"}

# What only tests, scripts and the build read.
OTHERS = {"MOZAIKS_VERSION", "MOZAIKS_SHARED", "MOZAIKS_BUILD"}


def settings():
    """Every setting that a program reads."""
    found = set()
    for path in ("director/config/settings.c", "pluginhost/settings.c"):
        text = (TOP / path).read_text()
        found |= set(ROW.findall(text)) | set(ALIAS.findall(text))
    return found


def sources():
    for folder in ("common", "director", "pluginhost"):
        for suffix in ("*.c", "*.h", "*.py"):
            yield from (p for p in (TOP / folder).rglob(suffix) if not p.name.startswith("test-"))


def test_the_tables_are_found():
    assert {"PORT", "JWT_SECRET", "MOZAIKS_STATE_PATH", "MOZAIKS_SNAPSHOT_BYTES"} <= settings()


def test_a_setting_that_an_error_names_exists():
    """An operator who follows the message must find the knob."""
    known = settings() | OTHERS
    wrong = sorted(f"{path.relative_to(TOP)}: {name}" for path in sources()
                   for text in STRING.findall(path.read_text()) for name in NAME.findall(text)
                   if name not in known)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("document", ["README.md", "plugins/PLUGIN_CONTRACT.md", "configs/README.md"])
def test_a_setting_that_a_document_names_exists(document):
    header = TOP / "pluginhost" / "include" / "mozaiks" / "plugin.h"
    known = settings() | OTHERS | set(NAME.findall(header.read_text()))
    assert not [n for n in NAME.findall((TOP / document).read_text()) if n not in known]


def test_every_package_has_a_set_and_a_reason():
    for line in (TOP / "scripts" / "packages.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            words = line.split(None, 2)
            assert len(words) == 3 and words[0] in ("run", "test", "bench", "all"), line


def test_no_path_of_one_machine():
    places = re.compile(r"(?<![}\w])/(?:work|farm|root)/|/home/[a-z]")
    wrong = []
    for folder in ("common", "configs", "director", "pluginhost", "plugins", "scripts", "test"):
        for path in (TOP / folder).rglob("*"):
            if path.suffix in (".c", ".h", ".py", ".sh", ".build", ".lua", ".go", ".java", ".txt"):
                if path != pathlib.Path(__file__) and places.search(path.read_text()):
                    wrong.append(str(path.relative_to(TOP)))
    assert not wrong


def test_nothing_was_left_at_the_top():
    """What a test or a hand wrote there goes into a commit unseen."""
    ignored = {".pytest_cache", "var"}
    assert not [p.name for p in TOP.iterdir()
                if p.name not in TOP_LEVEL | ignored and not p.name.startswith("build")]


def test_waits_have_no_limits_of_their_own():
    """wait_for(condition, what) gives up after a minute: less would measure the machine."""
    wrong = [f"{path.relative_to(TOP)}:{call.lineno}" for path in (TOP / "test").rglob("*.py")
             for call in ast.walk(ast.parse(path.read_text()))
             if isinstance(call, ast.Call)
             and ast.unparse(call.func) in ("wait_for", "runtime_module.wait_for")
             and (len(call.args) > 2 or len(call.args) > 1 and isinstance(call.args[1], ast.Constant)
                  and not isinstance(call.args[1].value, str))]
    assert not wrong, wrong
