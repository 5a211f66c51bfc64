"""The units as files: systemd understands them, and what they leave open is bounded."""
import pathlib
import shutil
import subprocess

import pytest

from conftest import cannot_run, needs_root
from runtime import BUILD

UNITS = BUILD / "configs" / "systemd"
SOURCE = pathlib.Path(__file__).parents[2] / "configs" / "systemd"
# A template is judged by an instance of it.
NAMES = {"mozaiks-director.service": "mozaiks-director.service",
         "mozaiks-pluginhost.service": "mozaiks-pluginhost.service",
         "mozaiks-pluginhost@.service": "mozaiks-pluginhost@second.service"}
# Tenths of the exposure level.
THRESHOLDS = {"mozaiks-director.service": 12, "mozaiks-pluginhost.service": 20,
              "mozaiks-pluginhost@second.service": 20}


@pytest.fixture(autouse=True, scope="module")
def systemd():
    if shutil.which("systemd-analyze") is None:
        cannot_run("judging the units: systemd is not installed")


@pytest.fixture
def units(tmp_path):
    """Copies that name programs of this build, which need not be installed."""
    for name, copy in NAMES.items():
        text = (UNITS / name).read_text()
        programs = {"mozaiks-director": BUILD / "director" / "mozaiks-director",
                    "mozaiks-pluginhost": BUILD / "pluginhost" / "mozaiks-pluginhost"}
        lines = []
        for line in text.splitlines():
            if line.startswith("ExecStart="):
                line = f"ExecStart={programs[pathlib.Path(line).name]}"
            lines.append(line)
        (tmp_path / copy).write_text("\n".join(lines) + "\n")
    shutil.copy(SOURCE / "mozaiks-director.socket", tmp_path)
    return tmp_path


def analyze(folder, *arguments):
    return subprocess.run(["systemd-analyze", *arguments], cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def test_verify(units):
    names = [f"./{path.name}" for path in sorted(units.iterdir())]
    assert len(names) == 4
    done = analyze(units, "verify", "--man=no", *names)
    ours = [line for line in done.stdout.splitlines() if "mozaiks" in line]
    assert done.returncode == 0 and not ours, done.stdout


def test_verify_sees_mistakes(units):
    """The check above can fail."""
    (units / "mozaiks-director.service").write_text("[Service]\nExecStart=/nowhere\nTpye=notify\n")
    assert "mozaiks-director" in analyze(units, "verify", "--man=no",
                                         "./mozaiks-director.service").stdout


@pytest.mark.parametrize("name", THRESHOLDS)
def test_exposure(units, name):
    done = analyze(units, "security", "--offline=true", "--no-pager",
                   f"--threshold={THRESHOLDS[name]}", name)
    print([line for line in done.stdout.splitlines() if "Overall" in line])
    assert done.returncode == 0, done.stdout


def test_the_two_pluginhosts_differ_by_their_name_alone():
    def lines(name, suffix, instance):
        text = (UNITS / name).read_text().partition("[Unit]")[2]
        return text.replace(instance, suffix).replace("pluginhost %i:", "pluginhost:")
    one = lines("mozaiks-pluginhost.service", "", "\0").replace(
        "MOZAIKS_PLUGINHOST_NAME=default", "MOZAIKS_PLUGINHOST_NAME=%i")
    assert one == lines("mozaiks-pluginhost@.service", "", "@%i")


def test_no_secret_in_the_environment():
    for name in NAMES:
        for line in (UNITS / name).read_text().splitlines():
            if line.startswith(("Environment=", "ExecStart=")):
                assert "JWT_SECRET" not in line and "DATABASE_URI" not in line, line


def test_users_and_directories(tmp_path):
    """systemd-sysusers and systemd-tmpfiles make what the units name, in a tree of its own."""
    needs_root("making the users of the units needs root")
    (tmp_path / "etc").mkdir()
    for tool, arguments, config in (("systemd-sysusers", [], "mozaiks.sysusers"),
                                    ("systemd-tmpfiles", ["--create"], "mozaiks.tmpfiles")):
        subprocess.run([tool, f"--root={tmp_path}", *arguments, SOURCE / config], check=True)
    passwd = (tmp_path / "etc/passwd").read_text()
    group = dict(line.split(":x:") for line in (tmp_path / "etc/group").read_text().splitlines()
                 if line.startswith("mozaiks:"))
    assert "mozaiks-director:" in passwd and "mozaiks-pluginhost:" in passwd
    assert set(group["mozaiks"].split(":")[1].split(",")) == {"mozaiks-director", "mozaiks-pluginhost"}
    assert (tmp_path / "etc/credstore").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "var/lib/mozaiks/plugins").stat().st_mode & 0o777 == 0o755
