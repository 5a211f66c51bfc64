#!/usr/bin/python3
"""Runs the attacks on workers and compares what came of each with the golden files beside it.

    battery.py                    one mode (root, or plain without root), all forms
    battery.py --all              every mode, and every layer of the sandbox left out once
    battery.py --mode as-is       with what this process was started with, as in a service
    battery.py --only A1,B        only these rows of the threat table, or groups of it
    battery.py --write            rewrites the golden files of what was run

The programs themselves know the answer that each attack must get (attacks/*.c), so no rewriting hides
a hole; the golden files are for reading, and show what a change of the sandbox changes.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("MOZAIKS_BUILD", TOP / "build"))
GOLDEN = HERE / "golden"
MODES = ["root", "caps", "plain"]
LAYERS = ["seccomp", "landlock", "mounts", "capabilities", "uid", "rlimits", "cgroup", "descriptors",
          "pid", "net", "ipc"]
# What is left out is left out for both; threads change nothing about it.
FORMS_WITHOUT = ["python", "c"]

Line = collections.namedtuple("Line", "row name form answer judgement")


class Run:
    """What one program said: its lines, the machine's facts, what went wrong."""

    def __init__(self, mode, without=None, forms=(), only=None):
        program = BUILD / "test/security/workers" / (
            f"attack-workers-without-{without}" if without else "attack-workers")
        env = {**os.environ, **({"MOZAIKS_ATTACKS": only} if only else {})}
        done = subprocess.run([str(program), mode, *forms], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=600)
        self.mode, self.without, self.text, self.status = mode, without, done.stdout, done.returncode
        self.lines, self.facts, self.failed = [], {}, []
        for line in done.stdout.splitlines():
            fields = line.split("\t")
            if len(fields) == 5:
                self.lines.append(Line(*fields))
            elif line.startswith("# mode "):
                self.facts = json.loads(line[line.index("{"):])
            elif line.startswith(("FAILED: ", "cannot go on")):
                self.failed.append(line)

    @property
    def attacks(self):
        """Without what a plugin may do."""
        return [line for line in self.lines if line.row != "-"]

    @property
    def not_run(self):
        """{reason: rows}"""
        found = {}
        for line in self.lines:
            if line.judgement == "not run":
                found.setdefault(line.answer, []).append(f"{line.row} {line.name}")
        return found


def default_mode():
    return "root" if os.geteuid() == 0 else "plain"


# Golden files: one line per attack, form and tier.

def as_text(run):
    facts = run.facts
    head = [f"# tier {facts['tier']} ({run.mode}): uids {facts['uids']}, cgroup {facts['cgroup']}, "
            f"Landlock {'yes' if facts['landlock'] else 'no'}"]
    return "\n".join(head + [f"{x.row:<4} {x.name:<32} {x.form:<14} {x.answer}" for x in run.lines
                             if x.judgement != "not run"]) + "\n"


def knock_out_lines(full, runs):
    """One line per attack and form: what becomes of it without each layer that makes a difference;
    "alone" behind the one that nothing else stands behind."""
    changed = {}
    for run in runs:
        for x in run.attacks:
            if x.judgement in ("held", "through"):
                changed.setdefault((x.row, x.name, x.form), []).append(
                    f"{run.without} -> {x.answer}" + (", alone" if x.judgement == "through" else ""))
    return [f"{x.row:<4} {x.name:<32} {x.form:<7} " +
            ("; ".join(changed.get((x.row, x.name, x.form), ["-"])))
            for x in full.attacks if x.form in FORMS_WITHOUT]


def holders(lines):
    """{attack: layers that alone hold it} of knock-out lines. How the kernel words its refusal without
    a layer depends on its version and modules; which layers are alone does not."""
    found = {}
    for line in lines:
        if line and not line.startswith("#"):
            found[line[:45].strip()] = sorted(
                part.split(" -> ")[0] for part in line[45:].split("; ") if part.endswith(", alone"))
    return found


def differences(golden, text, subset):
    """Lines that differ; with `subset`, what the golden file has in addition is no difference."""
    before, now = ([x for x in t.splitlines() if not x.startswith("#")] for t in (golden, text))
    return ([] if subset else [f"- {x}" for x in before if x not in set(now)]) + \
        [f"+ {x}" for x in now if x not in set(before)]


def golden_path(mode):
    return GOLDEN / f"{mode}.txt"


def compare(run, subset=False):
    """What differs from the golden file of the mode. A machine of another tier has none."""
    path = golden_path(run.mode)
    if not path.exists():
        return [f"there is no {path.name}"]
    golden, text = path.read_text(), as_text(run)
    if golden.splitlines()[0] != text.splitlines()[0]:
        return None
    if os.geteuid() != 0:
        golden, text = without_names(golden), without_names(text)
    return differences(golden, text, subset)


def without_names(text):
    """Which call a worker died of only root is told."""
    return re.sub(r"(?m)\bSIGSYS .+$", "SIGSYS", text)


def without_all():
    """The program with every layer, and each without one. Needs root."""
    return Run("root", forms=FORMS_WITHOUT), \
        [Run("root", layer, FORMS_WITHOUT) for layer in LAYERS]


def write_without(full, runs):
    lines = knock_out_lines(full, runs)
    alone = sum(", alone" in line for line in lines)
    (GOLDEN / "without.txt").write_text(
        f"# What becomes of each attack when one layer is left out; {alone} of {len(lines)} attacks "
        "and forms\n# have a layer that holds them alone.\n" + "\n".join(lines) + "\n")


def count(runs):
    """Attacks by row and distinct name, whatever their form."""
    return len({(x.row, x.name) for run in runs for x in run.attacks if x.judgement != "not run"})


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--mode", choices=[*MODES, "as-is"])
    parser.add_argument("--only", default=os.environ.get("MOZAIKS_ATTACKS"))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    modes = [arguments.mode] if arguments.mode else MODES if arguments.all else [default_mode()]
    bad, runs = 0, []
    for mode in modes:
        run = Run(mode, only=arguments.only)
        runs.append(run)
        problems = list(run.failed)
        if arguments.write:
            golden_path(mode).write_text(as_text(run))
        elif mode in MODES:
            problems += compare(run, subset=bool(arguments.only)) or []
        for problem in problems:
            print(f"{mode}: {problem}")
        for reason, rows in run.not_run.items():
            print(f"not run: kernel: {mode}: {reason}: {', '.join(dict.fromkeys(rows))}")
        bad += len(problems) + (run.status not in (0, 77))
    if arguments.all:
        full, without = without_all()
        lines = knock_out_lines(full, without)
        if arguments.write:
            write_without(full, without)
        elif holders(lines) != holders((GOLDEN / "without.txt").read_text().splitlines()):
            print("without.txt: other layers hold attacks alone")
            bad += 1
    print(f"{count(runs)} attacks, {sum(len(run.attacks) for run in runs)} with their forms and modes, "
          f"{bad} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
