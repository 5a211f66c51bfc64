"""What a hostile plugin tries with the database capability: the threat table's group E, row by row.

The plugin `hostile` sends commands past the Python package that plugins are given: any bytes, any
fields. Its caller is alice; what bob, another plugin and another application have is what it is after.
Every test ends with a look at those: unchanged.
"""
import json
import time
import uuid

import pytest

from runtime import Runtime

# `command` is a Python expression over bson's types; so are any bytes of BSON. What it answers is text.
HOSTILE = {"logic.py": """\
import asyncio

import bson
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument
from bson.son import SON

import _mozaiks
from mozaiks import _client

handles = []


def raw(*pairs):
    \"\"\"A document whose names may stand in it twice.\"\"\"
    parts = b"".join(bson.encode({name: value})[4:-1] for name, value in pairs)
    return RawBSONDocument((len(parts) + 5).to_bytes(4, "little") + parts + b"\\0")


async def ask(code, command):
    kind = _client.CURSOR if code in ("FIND", "NEXT", "AGGREGATE", "INDEXES") else _client.BSON
    try:
        return await _client.request(getattr(_mozaiks, "DATABASE_" + code), kind, command)
    except Exception as error:
        return {"failed": getattr(error, "code", type(error).__name__), "message": str(error)}


async def execute(data):
    if "handles" in data:
        # Cursors of earlier calls stay in the plugin's memory: what are they worth?
        return [await ask("NEXT", {"cursor": n}) for n in handles]
    answers = []
    for code, text in data["commands"]:
        command = eval(text)
        command.setdefault("collection", "c") if code not in ("NEXT", "CLOSE") else None
        answer = await ask(code, command)
        if isinstance(answer, tuple):
            handles.append(answer[0])
            answer = {"cursor": answer[0], "documents": answer[1][:data.get("show", 100)]}
        answers.append(answer)
    if "hold" in data:
        await asyncio.sleep(data["hold"])
    return answers
"""}


@pytest.fixture(scope="module")
def runtime(store):
    app = f"app-{uuid.uuid4().hex[:12]}"
    with Runtime({"hostile": HOSTILE, "other": HOSTILE}, store, app=app) as r:
        for plugin, user in (("hostile", "bob"), ("other", "alice")):
            answer = r.execute(plugin, {"commands": [
                ("INSERT", "{'documents': [{'_id': 'theirs', 'secret': 'hunter2', 'n': 1}]}")]},
                user=user)
            assert answer.json[0]["inserted"] == 1, answer
        yield r


class Alice:
    """Commands in alice's name."""

    def __init__(self, runtime):
        self.runtime = runtime

    def __call__(self, *commands, **more):
        answer = self.runtime.execute("hostile", {"commands": commands, **more})
        assert answer.status == 200, answer
        assert b"hunter2" not in answer.body, answer
        return answer.json

    def refused(self, code, command, *words):
        """The command fails, with these words in the message. The code of the error."""
        [answer] = self((code, command))
        assert "failed" in answer, f"{code} {command}: {answer}"
        for word in words:
            assert word in answer["message"], f"{code} {command}: {answer}"
        return answer["failed"]


@pytest.fixture
def alice(runtime):
    yield Alice(runtime)
    for plugin, user in (("hostile", "bob"), ("other", "alice")):
        answer = runtime.execute(plugin, {"commands": [("FIND", "{}")]}, user=user)
        found = [{k: v for k, v in d.items() if k != "user_id"}
                 for d in answer.json[0]["documents"]]
        assert found == [{"_id": "theirs", "secret": "hunter2", "n": 1}], (plugin, user)
    runtime.execute("hostile", {"commands": [("DELETE", "{'filter': {}, 'multi': True}")]})


@pytest.mark.parametrize("where", ["{'$where': '1'}", "{'$where': Code('1')}",
                                   "{'n': {'$function': {'body': '1', 'args': [], 'lang': 'js'}}}",
                                   "{'$or': [{'$where': '1'}]}", "{'n': {'$accumulator': {}}}"])
def test_e1_no_code_runs(alice, where):
    for code, more in (("FIND", ""), ("COUNT", ""), ("DELETE", ", 'multi': True"),
                       ("UPDATE", ", 'update': {'$set': {'n': 2}}")):
        error = alice.refused(code, f"{{'filter': {where}{more}}}")
        assert error in ("unsupported", "invalid_argument")
    alice.refused("AGGREGATE", f"{{'pipeline': [{{'$match': {where}}}]}}")
    alice.refused("AGGREGATE", "{'pipeline': [{'$group': {'_id': 1, 'x': {'$accumulator': {}}}}]}",
                  "$accumulator")
    alice.refused("AGGREGATE", "{'pipeline': [{'$project': {'x': {'$function': {}}}}]}",
                  "$function")
    alice.refused("FIND", "{'mapReduce': 'c'}", "mapReduce")


@pytest.mark.parametrize("filter", [
    "{'$or': [{'user_id': 'bob'}]}", "{'$nor': [{'user_id': 'alice'}, {'user_id': 'x'}]}",
    "{'user_id': {'$ne': None}}", "{'user_id': {'$in': ['alice', 'bob']}}", "{'user_id': 'bob'}",
    "{'$and': [{'$or': [{'user_id': {'$gt': ''}}]}]}", "{'user_id.x': None}",
    "{'user_id': Regex('.')}"])
def test_e2_the_scope_is_not_the_plugin_s(alice, filter):
    alice(("INSERT", "{'documents': [{'n': 1}]}"))
    for code, more in (("FIND", ""), ("COUNT", ""), ("DISTINCT", ", 'field': 'secret'"),
                       ("DELETE", ", 'multi': True"), ("MODIFY", ", 'remove': True"),
                       ("UPDATE", ", 'multi': True, 'update': {'$set': {'n': 2}}")):
        [answer] = alice((code, f"{{'filter': {filter}{more}}}"))
        if "failed" in answer:
            assert answer["failed"] == "permission_denied", answer
    assert alice(("COUNT", "{}"))[0]["n"] <= 1


def test_e3_a_name_twice(alice):
    """The worker's runtime writes no document with a name twice (and the director takes none:
    director/capability/test-database.c): the last one counts, and is judged."""
    for document in ("raw(('user_id', 'alice'), ('user_id', 'bob'))", "SON([('user_id', 'bob')])"):
        assert alice.refused("FIND", f"{{'filter': {document}}}", "user_id") == "permission_denied"
        assert alice.refused("INSERT", f"{{'documents': [{document}]}}") == "permission_denied"
        alice.refused("UPDATE", f"{{'filter': {{}}, 'update': {document}}}", "user_id")


@pytest.mark.parametrize("expression", [
    "{'$eq': ['$$ROOT', 1]}", "{'$eq': [{'$getField': 'user_id'}, 'bob']}",
    "{'$let': {'vars': {'x': '$user_id'}, 'in': '$$x'}}"])
def test_e4_no_expression_in_a_filter(alice, expression):
    for command in (f"{{'filter': {{'$expr': {expression}}}}}",
                    f"{{'filter': {{'$and': [{{'$expr': {expression}}}]}}}}"):
        assert alice.refused("FIND", command, "$expr") == "unsupported"


LEAVING = {
    "$lookup": "{'from': 'c', 'localField': 'a', 'foreignField': 'b', 'as': 'x'}",
    "$graphLookup": "{'from': 'c'}", "$unionWith": "'c'", "$out": "'c'", "$merge": "{'into': 'c'}",
    "$documents": "[{'a': 1}]", "$currentOp": "{}", "$collStats": "{}", "$listSessions": "{}",
    "$changeStream": "{}", "$search": "{}", "$facet": "{'x': [{'$match': {}}]}",
    "$geoNear": "{}", "$indexStats": "{}", "$planCacheStats": "{}", "$redact": "'$$KEEP'",
}


@pytest.mark.parametrize("stage", LEAVING)
def test_e5_no_stage_leaves_the_collection(alice, stage):
    alice(("INSERT", "{'documents': [{'n': 1}]}"))
    for pipeline in (f"[{{'{stage}': {LEAVING[stage]}}}]",
                     f"[{{'$match': {{}}}}, {{'{stage}': {LEAVING[stage]}}}]"):
        assert alice.refused("AGGREGATE", f"{{'pipeline': {pipeline}}}", stage) == "unsupported"


def test_e5_the_scope_is_the_first_stage(alice):
    alice(("INSERT", "{'documents': [{'n': 7}]}"))
    everybody, lifted = alice(
        ("AGGREGATE", "{'pipeline': [{'$group': {'_id': '$user_id'}}]}"),
        ("AGGREGATE", "{'pipeline': [{'$set': {'user_id': 'bob'}}, {'$match': {'user_id': 'bob'}}]}"))
    assert everybody["documents"] == [{"_id": "alice"}]
    assert [d["n"] for d in lifted["documents"]] == [7], "only its own copy says bob"


@pytest.mark.parametrize("update", [
    "{'$set': {'user_id': 'bob'}}", "{'$rename': {'n': 'user_id'}}", "{'$unset': {'user_id': 1}}",
    "{'$currentDate': {'user_id': True}}", "{'$replaceRoot': {'newRoot': {}}}",
    "{'$set': {'user_id.x': 1}}", "{'$set': {'_id': 'other'}}", "{'_id': 'other', 'n': 2}",
    "{'user_id': 'bob'}", "{'$setOnInsert': {'user_id': 'bob'}}",
    "[{'$set': {'user_id': 'bob'}}]", "[{'$replaceRoot': {'newRoot': {'user_id': 'bob'}}}]"])
def test_e6_no_update_moves_a_document(alice, update):
    alice(("INSERT", "{'documents': [{'_id': 'mine', 'n': 1}]}"))
    alice.refused("UPDATE", f"{{'filter': {{'_id': 'mine'}}, 'update': {update}}}")
    alice.refused("MODIFY", f"{{'filter': {{'_id': 'mine'}}, 'update': {update}}}")
    [left] = alice(("FIND", "{}"))
    assert left["documents"] == [{"_id": "mine", "n": 1, "user_id": "alice"}]


def test_e6_an_upsert_stays_inside(alice):
    assert alice.refused("UPDATE", "{'filter': {'_id': 'theirs'}, 'update': {'$set': {'n': 2}},"
                         " 'upsert': True}") == "duplicate_key"
    alice.refused("UPDATE", "{'filter': {'user_id': 'bob'}, 'update': {'$set': {'n': 2}},"
                  " 'upsert': True}", "user_id")
    alice.refused("UPDATE", "{'filter': {'n': 5}, 'update': {'$setOnInsert': {'user_id': 'bob'}},"
                  " 'upsert': True}", "user_id")
    made, found = alice(("UPDATE", "{'filter': {'n': 5}, 'update': {'$set': {'x': 1}},"
                         " 'upsert': True}"), ("FIND", "{'filter': {'n': 5}}"))
    assert made["matched"] == 0 and found["documents"][0]["user_id"] == "alice"


@pytest.mark.parametrize("name", ["'system.users'", "'$cmd'", "'other/c'", "'../other/c'", "'a b'",
                                  "''", "'a\\0b'", "'x' * 256", "'c/'", "'hostile/c'", "'é'"])
def test_e7_names_of_collections(alice, name):
    for code in ("FIND", "COUNT", "INDEXES"):
        error = alice.refused(code, f"{{'collection': {name}}}")
        assert error == "invalid_argument"
    alice.refused("INSERT", f"{{'collection': {name}, 'documents': [{{}}]}}")


@pytest.mark.parametrize("document", [
    "{'$a': 1}", "{'a.b': 1}", "{'': 1}", "{'x': {'$set': 1}}", "{'x': [{'a.b': 1}]}",
    "raw(('a\\0b', 1)) if False else {'x': {'': 1}}", "{'0.user_id': 'bob'}"])
def test_e8_names_in_documents(alice, document):
    alice.refused("INSERT", f"{{'documents': [{document}]}}")
    alice.refused("UPDATE", f"{{'filter': {{}}, 'update': {{'$set': {{'y': {document}}}}},"
                  " 'upsert': True}")


def test_e8_names_of_prototypes_are_names(alice):
    alice(("INSERT", "{'documents': [{'__proto__': 1, 'constructor': 2, '0': 3}]}"))
    [answer] = alice(("FIND", "{'projection': {'_id': 0, 'user_id': 0}}"))
    assert answer["documents"] == [{"__proto__": 1, "constructor": 2, "0": 3}]


@pytest.mark.parametrize("value", ["{'$code': 'x'}", "{'$regex': 'x'}", "{'$symbol': 'x'}",
                                   "{'$dbPointer': {'$ref': 'c', '$id': 1}}", "{'$minKey': 1}",
                                   "{'$timestamp': {'t': 1, 'i': 1}}", "{'$oid': 'x'}",
                                   "{'$numberDecimal': 'x'}", "DBRef('c', 1)"])
def test_e9_extended_json_is_no_value(alice, value):
    """What looks like extended JSON is never read as a type: it is a name that cannot be stored."""
    assert alice.refused("INSERT", f"{{'documents': [{{'x': {value}}}]}}") == "invalid_argument"
    alice.refused("UPDATE", f"{{'filter': {{}}, 'update': {{'$set': {{'x': {value}}}}}}}", "$")


def test_e9_code_is_text(alice):
    """Python's types for code and symbols leave the worker as text (as such types the director takes
    none: director/capability/test-database.c)."""
    alice(("INSERT", "{'documents': [{'_id': 'mine', 'x': Code('f()', {'a': 1})}]}"))
    [answer] = alice(("FIND", "{'filter': {'x': {'$type': 'string'}}}"))
    assert [d["x"] for d in answer["documents"]] == ["f()"]


def test_e10_expressions_that_never_end(alice):
    """Bounded by PCRE2's steps on one value and by the command's time over many. A server has limits
    of its own, and is given the command's time as `maxTimeMS` (director/store/mongodb)."""
    alice.refused("FIND", "{'filter': {'x': {'$regex': 'a' * 1001}}}", "1000",
                  "MOZAIKS_MAX_REGEX_BYTES")
    alice.refused("FIND", "{'filter': {'$text': {'$search': 'a'}}}", "$text")
    if "DATABASE_URI" in alice.runtime.env:
        return
    long = "{'documents': [{'x': 'a' * 40 + '!'} for _ in range(200)]}"
    assert alice(("INSERT", long))[0]["inserted"] == 200
    hopeless = alice.refused("COUNT", "{'filter': {'x': {'$regex': '^(a+)+$'}}}", "200000")
    assert hopeless == "limit_exceeded"
    for pattern in ("^(a+)+$", "(a|a)*$", "(.*a){20}", "(?:a*)*b"):
        for condition in (f"{{'$regex': {pattern!r}}}", f"Regex({pattern!r})",
                          f"{{'$not': Regex({pattern!r})}}"):
            started = time.monotonic()
            [answer] = alice(("COUNT", f"{{'filter': {{'x': {condition}}}}}"))
            assert "n" in answer or answer["failed"] == "limit_exceeded", answer
            assert "n" in answer or "MOZAIKS_" in answer["message"], answer
            assert time.monotonic() - started < 20, "the time of one command is 2 s"


@pytest.mark.parametrize("code, command, words", [
    ("FIND", "{'filter': {'n': {'$in': list(range(1001))}}}", ("1000", "MOZAIKS_MAX_IN_VALUES")),
    ("FIND", "{'filter': {'n': {'$nin': list(range(60000))}}}", ("65536", "MOZAIKS_MAX_FILTER_BYTES")),
    ("FIND", "{'filter': {'n': 'x' * 66000}}", ("65536", "MOZAIKS_MAX_FILTER_BYTES")),
    ("FIND", "{'skip': 10**9}", ("10000", "MOZAIKS_MAX_SKIP")),
    ("AGGREGATE", "{'pipeline': [{'$skip': 10**9}]}", ("10000", "MOZAIKS_MAX_SKIP")),
    ("AGGREGATE", "{'pipeline': [{'$match': {}}] * 52}", ("50", "MOZAIKS_MAX_PIPELINE_STAGES")),
    ("FIND", "{'limit': -1}", ("limit must be a whole number",)),
    ("FIND", "{'hint': 'x'}", ("hint",)), ("FIND", "{'collation': {}}", ("collation",)),
    ("FIND", "{'let': {}}", ("let",)), ("FIND", "{'readConcern': {}}", ("readConcern",)),
    ("FIND", "{'batchSize': 10**9}", ("batchSize",)), ("FIND", "{'maxTimeMS': 0}", ("maxTimeMS",)),
    ("AGGREGATE", "{'pipeline': [], 'allowDiskUse': True}", ("allowDiskUse",))])
def test_e11_sizes_and_options(alice, code, command, words):
    alice.refused(code, command, *words)


def test_e11_batches_are_of_500(alice):
    for start in range(0, 1500, 500):
        alice(("INSERT", f"{{'documents': [{{'n': n}} for n in range({start}, {start + 500})]}}"))
    [first] = alice(("FIND", "{'sort': {'n': -1}, 'limit': 0}"), show=1000)
    assert len(first["documents"]) == 500 and first["cursor"] != 0
    assert first["documents"][0]["n"] == 1499, "sorted without an index"


def test_e12_documents_are_bounded(alice):
    alice.refused("INSERT", "{'documents': [{'x': 'a' * 262144}]}", "262144",
                  "MOZAIKS_MAX_DOCUMENT_BYTES")
    alice(("INSERT", "{'documents': [{'_id': 'g', 'l': ['a' * 100000]}]}"))
    grow = "{'filter': {'_id': 'g'}, 'update': {'$push': {'l': 'a' * 100000}}}"
    alice(("UPDATE", grow))
    alice.refused("UPDATE", grow, "MOZAIKS_MAX_DOCUMENT_BYTES")


def test_e13_cursors_of_others(runtime, alice):
    """A cursor is a number that means something in the call that opened it, and nowhere else."""
    for start in range(0, 1200, 400):
        alice(("INSERT", f"{{'documents': [{{'n': n}} for n in range({start}, {start + 400})]}}"))
    opened = alice(*[("FIND", "{}")] * 8, ("FIND", "{}"), show=1)
    assert all(a["cursor"] for a in opened[:8])
    assert opened[8]["failed"] == "limit_exceeded"
    assert "8" in opened[8]["message"] and "MOZAIKS_MAX_CURSORS_PER_REQUEST" in opened[8]["message"]
    # The same worker, the same user: but the call is over. And bob, with every small number.
    answer = runtime.execute("hostile", {"handles": True})
    assert {a["failed"] for a in answer.json} == {"invalid_argument"}, answer
    guesses = [("NEXT", f"{{'cursor': {n}}}") for n in range(0, 40)]
    guesses += [("CLOSE", f"{{'cursor': {n}}}") for n in (1, 2, -1, 2**40)]
    answer = runtime.execute("hostile", {"commands": guesses}, user="bob")
    assert {a.get("failed") for a in answer.json} == {"invalid_argument"}, answer


@pytest.mark.parametrize("user", ["al\0ice", "alice\0", "a" * 257, ""])
def test_e14_ids_with_a_nul(runtime, alice, user):
    alice(("INSERT", "{'documents': [{'n': 1}]}"))
    for filter in ("{'user_id': 'alice\\0bob'}", "{'user_id': 'alice\\0'}"):
        assert alice.refused("FIND", f"{{'filter': {filter}}}") == "permission_denied"
    answer = runtime.execute("hostile", {"commands": [("COUNT", "{}")]}, user=user)
    assert answer.status == 401 or answer.json[0].get("failed"), answer
    stored, found = alice(("INSERT", "{'documents': [{'t': 'abc\\0def'}]}"),
                          ("FIND", "{'filter': {'t': 'abc\\0def'}}"))
    assert found["documents"][0]["t"] == "abc\0def", "a text of the plugin's own is kept whole"
    assert alice(("COUNT", "{'filter': {'t': 'abc'}}"))[0]["n"] == 0


@pytest.mark.parametrize("code, command, word", [
    ("FIND", "{'collection': ['c']}", "collection"), ("FIND", "{'collection': {'a': 1}}", "collection"),
    ("FIND", "{'collection': 1}", "collection"), ("FIND", "{'filter': []}", "filter"),
    ("FIND", "{'filter': 'x'}", "filter"), ("FIND", "{'skip': '1'}", "skip"),
    ("FIND", "{'limit': 1.5}", "limit"), ("UPDATE", "{'filter': {}, 'update': 'x'}", "update"),
    ("INSERT", "{'documents': {}}", "documents"), ("INSERT", "{'documents': [1]}", "documents"),
    ("DELETE", "{'filter': {}, 'multi': 1}", "multi"), ("NEXT", "{'cursor': 'x'}", "cursor"),
    ("DISTINCT", "{'field': 1}", "field"), ("INSERT", "{'documents': [{'_id': [1]}]}", "_id"),
    ("INSERT", "{'documents': [{'user_id': {'$eq': 'alice'}}]}", ""),
    ("INSERT", "{'documents': [{'user_id': ['alice']}]}", "user_id")])
def test_e15_types_of_arguments(alice, code, command, word):
    error = alice.refused(code, command, word)
    assert error in ("invalid_argument", "permission_denied", "unsupported")


def test_e16_errors_are_no_oracle(alice):
    """bob has the _id, with other fields: that it is taken is all there is to learn."""
    answers = alice(("INSERT", "{'documents': [{'_id': 'theirs'}]}"),
                    ("UPDATE", "{'filter': {'_id': 'theirs'}, 'update': {'$set': {'n': 1}},"
                     " 'upsert': True}"),
                    ("MODIFY", "{'filter': {'_id': 'theirs'}, 'update': {'$set': {'n': 1}},"
                     " 'upsert': True, 'new': True}"))
    text = json.dumps(answers)
    assert text.count("duplicate_key") == 3, text
    for word in ("bob", "hunter2", "user_id", "E11000", "index:", "UNIQUE", "doc."):
        assert word not in text, text


def test_e16_a_unique_index_is_among_the_caller_s(alice):
    """What bob has in a field is not to be found out with a unique index on it."""
    made, mine = alice(("CREATE_INDEX", "{'index': {'key': {'secret': 1}, 'name': 's', 'unique': True}}"),
                       ("INSERT", "{'documents': [{'secret': 'hunter2'[:]}]}"))
    assert "failed" not in made and mine["inserted"] == 1, (made, mine)
    alice(("DROP_INDEX", "{'name': 's'}"))


def test_e17_no_transactions(runtime, alice):
    """There is no command that opens one; nothing that a call leaves behind holds up another."""
    for name in ("lsid", "txnNumber", "startTransaction", "autocommit", "session"):
        for code, more in (("FIND", ""), ("INSERT", ", 'documents': [{}]"),
                           ("UPDATE", ", 'filter': {}, 'update': {'$set': {'n': 1}}")):
            alice.refused(code, f"{{'{name}': 1{more}}}", name)
    # A call that changed something and stays: bob writes to the same collection meanwhile.
    import threading
    held = threading.Thread(target=alice, args=(("INSERT", "{'documents': [{'n': 1}]}"),),
                            kwargs={"hold": 3})
    held.start()
    answer = runtime.execute("hostile", {"commands": [
        ("UPDATE", "{'filter': {}, 'update': {'$set': {'n': 1}}}")]}, user="bob", timeout=20)
    assert held.is_alive(), "bob waited for alice's call to end"
    held.join()
    assert answer.json[0]["matched"] == 1, answer
