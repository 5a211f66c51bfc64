"""The published schema says the same as the reader: both are held to test-manifests.json."""
import json
import pathlib
import sys

import jsonschema
import pytest

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = json.loads((HERE.parent / "configs/schema/manifest.schema.json").read_text("utf-8"))
CASES = json.loads((HERE / "test-manifests.json").read_text("utf-8"))


def documents():
    """The cases that are about values; what is no JSON at all is not the schema's business."""
    for case in CASES:
        if "in" in case:
            yield case["what"], case["in"], "out" in case
        elif "repeat" in case:
            name, char, n = case["repeat"]
            yield case["what"], {name: char * n}, "out" in case


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("what, document, good", documents(), ids=lambda v: v if isinstance(v, str) else "")
def test_schema_and_reader_agree(what, document, good):
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(document) == good, what


def test_every_member_of_the_schema_is_in_a_case():
    used = {name for _, document, _ in documents() if isinstance(document, dict) for name in document}
    assert set(SCHEMA["properties"]) <= used


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-p", "no:cacheprovider"]))
