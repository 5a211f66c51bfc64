"""The attacks on workers: each in a fresh worker, from Python, from C and from a thread of each."""
import os

import pytest

import battery
from conftest import cannot_run, needs_root

ALL = os.environ.get("MOZAIKS_BATTERY") == "all"


@pytest.fixture(scope="module", params=battery.MODES if ALL else [battery.default_mode()])
def run(request):
    if request.param != "plain":
        needs_root(f"the attacks in mode {request.param} need root")
    done = battery.Run(request.param)
    assert done.lines, done.text
    return done


def test_every_attack_gets_the_answer_of_its_row(run):
    """Result and mechanism; and after each one nothing is left of its worker."""
    assert not run.failed and run.status == 0, "\n".join(run.failed) or run.text[-2000:]
    assert {x.judgement for x in run.lines} <= {"expected", "not run"}


def test_every_denied_call_has_a_name(run):
    """A worker that dies of SIGSYS dies of the call that was tried."""
    needs_root("only root traces a worker")
    killed = [x for x in run.lines if x.answer.startswith("SIGSYS")]
    assert len(killed) > 100
    assert not [x for x in killed if len(x.answer.split()) < 2 or "?" in x.answer]


def test_they_are_many(run):
    """Rows A to C of the threat table; what is counted is a row with a distinct form of it."""
    assert battery.count([run]) >= 140
    assert {x.form for x in run.lines} == {"python", "python-thread", "c", "c-thread"}


def test_the_golden_file_says_the_same(run):
    found = battery.compare(run)
    if found is None:
        cannot_run(f"kernel: the golden file of mode {run.mode} is of another tier")
    assert not found, "\n".join(found)
    for reason, rows in run.not_run.items():
        print(f"not run: kernel: {run.mode}: {reason}: {', '.join(dict.fromkeys(rows))}")


@pytest.mark.skipif(not ALL, reason="with --all")
def test_each_attack_is_held_by_another_layer_or_listed():
    """One layer at a time is left out."""
    needs_root("leaving layers out needs root")
    full, runs = battery.without_all()
    for run in runs:
        assert not run.failed and run.status == 0, f"{run.without}: {run.failed or run.text[-2000:]}"
        assert len(run.attacks) == len(full.attacks), run.without
    lines = battery.knock_out_lines(full, runs)
    golden = (battery.GOLDEN / "without.txt").read_text().splitlines()
    assert battery.holders(lines) == battery.holders(golden)
    # Else nothing was left out. The others stand behind these for every attack.
    for run in runs:
        if run.without in ("seccomp", "landlock", "mounts", "rlimits", "cgroup", "descriptors",
                           "pid"):
            assert [x for x in run.lines if x.judgement in ("held", "through")], run.without
