"""MongoDB's own CRUD cases, through a plugin: the unified tests of its specifications.

They stay outside the project: $MOZAIKS_SHARED/suites/mongo, by default beside the checkout. Every case
that a store can show runs on every store and has to pass, or is named in a file in
test/conformance/crud: `refused` has what is refused on purpose, with the reason, on every store; a file
with a server's name has what that server itself gets wrong. Both are held to: a case that is named
there has to fail in just this way, so that the lists stay true.
"""
import collections
import json
import uuid

import pytest

from conftest import HERE, PLUGINS, SHARED, cannot_run
from runtime import Runtime

SUITE = SHARED / "suites" / "mongo"
LISTS = HERE / "conformance" / "crud"

# What a store can show of the suite of 487 cases, and what becomes of it on the embedded store.
SEEN = 247
REFUSED = {"collation": 15, "hint": 23, "let": 16, "pipeline": 28, "out": 4, "key": 23}

# The words of each kind of refusal.
WORDS = {
    "collation": ["does not take the option 'collation'"],
    "hint": ["does not take the option 'hint'"],
    "let": ["does not take the option 'let'"],
    "pipeline": ["does not take a pipeline"],
    "out": ["$out", "$merge"],
    # Names that begin with '$' or hold a '.' are not stored.
    "key": ["cannot be stored", "can not include $ operators", "only works with $ operators"],
}


def about_old_servers(requirements):
    return bool(requirements) and all("maxServerVersion" in r for r in requirements)


def collections_of(document):
    """Those with options of their own are about what is sent: read and write concerns."""
    return {e["collection"]["id"]: e["collection"]["collectionName"]
            for e in document["createEntities"] if "collection" in e
            and "collectionOptions" not in e["collection"]}


def is_seen(document, test):
    """Not: what is sent to a server, fail points, whole clients, what old servers do not know."""
    operations = test["operations"]
    return (not about_old_servers(test.get("runOnRequirements", document.get("runOnRequirements")))
            and all(o.get("object") in collections_of(document) for o in operations)
            and any("expectResult" in o or "expectError" in o or "outcome" in test
                    for o in operations))


def cases():
    """(name, case) of all that can be seen; the name is the file's and the place in it."""
    for path in sorted(SUITE.glob("*.json")):
        document = json.loads(path.read_text())
        for place, test in enumerate(document["tests"], 1):
            if is_seen(document, test):
                yield f"{path.stem} {place}", {
                    "initialData": document.get("initialData", []),
                    "operations": test["operations"], "outcome": test.get("outcome", []),
                    "collections": collections_of(document), "description": test["description"]}


def read_list(path):
    """Lines of "FILE PLACE PLACE… -- REASON" as {"FILE PLACE": REASON}."""
    out = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if line and not line.startswith("#"):
            names, reason = line.split(" -- ", 1)
            stem, *places = names.split()
            out.update({f"{stem} {place}": reason for place in places})
    return out


CASES = dict(cases())
ON_PURPOSE = read_list(LISTS / "refused")


@pytest.fixture(scope="module")
def runtime(store):
    if not CASES:
        cannot_run(f"the CRUD cases are not there (MOZAIKS_SHARED={SHARED})")
    with Runtime({"crud": PLUGINS / "crud"}, store, app=f"app-{uuid.uuid4().hex[:12]}") as r:
        yield r


def is_refused(answer, kind):
    """All that was refused was refused for this, and something was."""
    texts = answer["refused"]
    return bool(texts) and all(any(w in t for w in WORDS[kind]) for t in texts)


@pytest.mark.parametrize("name", CASES)
def test_case(runtime, request, name):
    case = CASES[name]
    answer = runtime.execute("crud", {"case": json.dumps(case)}, user="alice")
    assert answer.status == 200, answer
    answer = answer.json
    if name in ON_PURPOSE:
        assert is_refused(answer, ON_PURPOSE[name].split(":")[0]), (case["description"], answer)
        return
    known = read_list(LISTS / request.node.callspec.params["store"])
    right = answer == {"wrong": [], "refused": []}
    assert right == (name not in known), (case["description"], answer)


def test_there_are_as_many_as_there_should_be(runtime, request):
    assert len(CASES) == SEEN
    kinds = collections.Counter(reason.split(":")[0] for reason in ON_PURPOSE.values())
    assert kinds == REFUSED
    known = read_list(LISTS / request.node.callspec.params["store"])
    assert not set(ON_PURPOSE) - set(CASES) and not set(known) - set(CASES)
    assert not set(known) & set(ON_PURPOSE)
