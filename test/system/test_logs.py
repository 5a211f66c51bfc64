"""What a plugin says becomes structured records with its name, bounded and escaped."""
import pytest

from conftest import PLUGINS
from runtime import Runtime, wait_for


@pytest.fixture(scope="module")
def runtime():
    with Runtime({"talker": PLUGINS / "talker", "answers": PLUGINS / "answers"}) as r:
        yield r


def said(runtime, word):
    """Records of the plugin that have the word."""
    return wait_for(lambda: [r for r in runtime.records
                             if r.get("plugin") == "talker" and word in str(r)], word)


@pytest.mark.parametrize("level", ["INFO", "WARNING", "ERROR"])
def test_logger(runtime, level):
    runtime.execute("talker", {"to": "logger", "level": level, "text": f"word-{level}"})
    record = said(runtime, f"word-{level}")[0]
    assert str(record.get("level", "")).upper().startswith(level[:4])


@pytest.mark.parametrize("to", ["stdout", "stderr"])
def test_output(runtime, to):
    runtime.execute("talker", {"to": to, "text": f"word-{to}"})
    assert said(runtime, f"word-{to}")


def test_traceback(runtime):
    runtime.execute("talker", {"to": "exception", "text": "word-exception"})
    assert "Traceback" in str(said(runtime, "word-exception"))


@pytest.mark.parametrize("to", ["stdout", "logger"])
def test_no_line_can_be_forged(runtime, to):
    """Line ends, escape sequences and JSON in a text stay inside its record."""
    text = f'word-{to}-forged\r\n{{"id":"forged.{to}","level":"error"}}\n\x1b[31mred\x00'
    runtime.execute("talker", {"to": to, "level": "INFO", "text": text})
    said(runtime, f"word-{to}-forged")
    assert not [r for r in runtime.records if r.get("id") == f"forged.{to}"]
    assert "\x1b" not in runtime.log and "\x00" not in runtime.log


def test_a_long_line_is_cut(runtime):
    runtime.execute("talker", {"to": "stdout", "text": "word-long " + "x" * 200_000})
    said(runtime, "word-long")
    assert max(len(line) for line in runtime.log.splitlines()) < 20_000


def test_a_flood_is_bounded(runtime):
    before = len(runtime.log)
    for _ in range(20):
        runtime.execute("talker", {"to": "stdout", "text": "flood " + "y\n" * 50_000})
    assert len(runtime.log) - before < 4_000_000
    assert runtime.execute("answers", {"action": "none"}).status == 200


def test_an_exception_is_logged_with_its_request(runtime):
    answer = runtime.execute("answers", {"action": "raise"})
    request_id = answer.json["request_id"]
    records = wait_for(lambda: [r for r in runtime.records if request_id in str(r)], "the record")
    assert "the secret of the exception" in str(records)


def test_exception_text_is_told_in_development_only():
    with Runtime({"answers": PLUGINS / "answers"}, env={"ENV": "production"}) as r:
        answer = r.execute("answers", {"action": "raise"})
        assert answer.status == 500 and answer.json["request_id"]
        assert b"secret of the exception" not in answer.body
