"""MongoDB's own CRUD cases, through a plugin: the unified tests of its specifications.

They stay outside the project: $MOZAIKS_SHARED/suites/mongo, by default beside the checkout. Left out
are cases that no store can show (what is sent to a server, fail points, unacknowledged writes, bulk
writes of a whole client), and cases of what is not offered: collations, `let`, hints, updates by
pipelines, `$out`, `$merge`, sorted updates. What the store refuses on purpose has to be refused with
its reason.
"""
import json
import uuid

import pytest

from conftest import PLUGINS, SHARED, cannot_run
from runtime import Runtime

SUITE = SHARED / "suites" / "mongo"

# A word in a case (an argument, a stage, an object) that says that it is about something else.
NOT_OFFERED = ("collation", "let", "rawData", "$out", "$merge", "failPoint", "clientBulkWrite",
               "modifyCollection", "createCollection", "dropCollection", "createIndex",
               "$listLocalSessions", "hint")

# Names that begin with '$' or hold a '.' are not stored.
REFUSED_NAMES = ("cannot be stored", "can not include $ operators", "only works with $ operators")


def words(value):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from words(inner)
    elif isinstance(value, str):
        yield value


def about_old_servers(requirements):
    return bool(requirements) and all("maxServerVersion" in r for r in requirements)


def pipelines(operation):
    for request in operation.get("arguments", {}).get("requests", []):
        yield from pipelines({"arguments": next(iter(request.values()))})
    yield isinstance(operation.get("arguments", {}).get("update"), list)


def sorted_update(operation):
    requests = operation.get("arguments", {}).get("requests", [])
    inner = [(next(iter(r)), next(iter(r.values()))) for r in requests]
    inner.append((operation["name"], operation.get("arguments", {})))
    return any(name in ("updateOne", "replaceOne") and "sort" in a for name, a in inner)


def collections_of(document):
    return {e["collection"]["id"]: e["collection"]["collectionName"]
            for e in document["createEntities"] if "collection" in e
            and "collectionOptions" not in e["collection"]}


def is_observable(document, test):
    collections = collections_of(document)
    operations = test["operations"]
    return (not set(words(test)) & set(NOT_OFFERED)
            and "skipReason" not in test
            and not about_old_servers(test.get("runOnRequirements",
                                               document.get("runOnRequirements")))
            and all(o.get("object") in collections for o in operations)
            and not any(any(pipelines(o)) or sorted_update(o) for o in operations)
            and any("expectResult" in o or "expectError" in o or "outcome" in test
                    for o in operations))


def cases():
    for path in sorted(SUITE.glob("*.json")):
        document = json.loads(path.read_text())
        for test in document["tests"]:
            if is_observable(document, test):
                case = {"initialData": document.get("initialData", []),
                        "operations": test["operations"], "outcome": test.get("outcome", []),
                        "collections": collections_of(document)}
                yield pytest.param(path.stem, case, id=f"{path.stem}: {test['description']}")


CASES = list(cases())


# What a server itself gets wrong: these cases have to fail, so that the list stays true.
KNOWN = {"ferretdb": ("arrayFilters",)}


@pytest.fixture(scope="module")
def runtime(store):
    if not CASES:
        cannot_run(f"the CRUD cases are not there (MOZAIKS_SHARED={SHARED})")
    with Runtime({"crud": PLUGINS / "crud"}, store, app=f"app-{uuid.uuid4().hex[:12]}") as r:
        yield r


@pytest.mark.parametrize("name, case", CASES)
def test_case(runtime, request, name, case):
    answer = runtime.execute("crud", {"case": json.dumps(case)}, user="alice")
    assert answer.status == 200, answer
    if "dots_and_dollars" in name and answer.json["refused"]:
        assert all(any(r in text for r in REFUSED_NAMES) for text in answer.json["refused"]), answer
        return
    known = KNOWN.get(request.node.callspec.params["store"], ())
    right = answer.json == {"wrong": [], "refused": []}
    assert right != any(part in name for part in known), answer


def test_there_are_as_many_as_there_should_be(runtime):
    assert len(CASES) >= 150
