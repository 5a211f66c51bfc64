"""The headers of every answer: ids, traces, methods, entity tags, timings."""
import re
import subprocess

import pytest

from conftest import PLUGINS
from runtime import TOP, Runtime, mint, wait_for

# What each finds out of its trace, and a record of the call.
TRACED = """
import logging
from mozaiks import traceparent
%sdef execute(data):
    logging.getLogger("mozaiks_plugins.traced").warning("here")
    return traceparent()
outside = traceparent()
assert outside is None
"""
TRACED_C = """
#include "mozaiks/plugin.h"
static int execute(struct mozaiks_call *call)
{
	struct mozaiks_text json;
	mozaiks_log(call, MOZAIKS_LOG_WARNING, "here");
	int e = mozaiks_quote(call, mozaiks_traceparent(call), &json);
	return e != 0 ? e : mozaiks_answer(call, json);
}
static const struct mozaiks_plugin self = {
	MOZAIKS_PLUGIN_HEAD, .name = "traced", .execute = execute,
};
const struct mozaiks_plugin *mozaiks_plugin(void)
{
	return &self;
}
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traced")
    (folder / "plugin.c").write_text(TRACED_C)
    subprocess.run(["gcc", "-shared", "-fPIC", "-I", str(TOP / "pluginhost" / "include"), "-o",
                    str(folder / "logic.so"), str(folder / "plugin.c")], check=True)
    with Runtime({"answers": PLUGINS / "answers", "traced_async": {"logic.py": TRACED % "async "},
                  "traced_thread": {"logic.py": TRACED % ""},
                  "traced_c": {"logic.so": (folder / "logic.so").read_bytes()}}, env={
            "MOZAIKS_ACCESS_LOG": "1", "MOZAIKS_SERVER_TIMING": "1"}) as r:
        yield r


def logged(runtime, request_id):
    return wait_for(lambda: [r for r in runtime.director.records if r.get("id") == "http.access"
                             and r.get("request_id") == request_id], "the record")[0]


UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_a_request_id_is_taken_over_when_it_is_one(runtime):
    for given in ("abc", "A.b_c-9", "x" * 128):
        assert runtime.get("/livez", headers={"X-Request-Id": given}) \
            .headers["x-request-id"] == given
    for given in ("", "a b", "x" * 129, "a;b", "<script>", "é"):
        made = runtime.get("/livez", headers={"X-Request-Id": given.encode("latin-1")}) \
            .headers["x-request-id"]
        assert re.fullmatch(UUID7, made), (given, made)


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def trace_of(runtime, request_id, headers):
    """The trace id in the body of an error and in the log, which are the same."""
    answer = runtime.get("/nothing", headers={**headers, "X-Request-Id": request_id})
    assert answer.status == 404 and answer.json["request_id"] == request_id
    assert logged(runtime, request_id)["trace_id"] == answer.json["trace_id"]
    return answer.json["trace_id"]


def test_a_trace_is_continued(runtime):
    assert trace_of(runtime, "trace-1", {"traceparent": f"00-{TRACE}-{SPAN}-01"}) == TRACE
    assert trace_of(runtime, "trace-2", {"Traceparent": f"cc-{TRACE}-{SPAN}-01-more"}) == TRACE


@pytest.mark.parametrize("plugin", ["traced_async", "traced_thread", "traced_c"])
def test_a_plugin_can_pass_its_trace_on(runtime, plugin):
    """Its own span of the caller's trace; and its records say which call they belong to."""
    runtime.wait_plugin(plugin, lambda p: p and p["state"] == "ready")
    answer = runtime.request("POST", f"/api/execute/{plugin}", b"{}", {
        "traceparent": f"00-{TRACE}-{SPAN}-01", "X-Request-Id": plugin}, mint("alice"))
    version, trace, span, flags = answer.json.split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert re.fullmatch("[0-9a-f]{16}", span) and span != SPAN
    record = wait_for(lambda: [r for r in runtime.director.records if r["id"] == "plugin.log"
                               and r.get("request_id") == plugin], "the record")[0]
    assert (record["text"], record["trace_id"]) == ("here", TRACE)


@pytest.mark.parametrize("value", [
    f"00-{TRACE.upper()}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01",
    f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}", f"00-{TRACE}-{SPAN}-01-more", "x" * 1000])
def test_what_is_no_trace_begins_one(runtime, value):
    number = str(abs(hash(value)))
    trace = trace_of(runtime, f"trace-{number}", {"traceparent": value})
    assert re.fullmatch(r"[0-9a-f]{32}", trace) and trace != TRACE and set(trace) != {"0"}


def test_two_parents_are_none(runtime):
    line = f"traceparent: 00-{TRACE}-{SPAN}-01\r\n"
    runtime.raw(f"GET /livez HTTP/1.1\r\nHost: a\r\n{line}{line}X-Request-Id: trace-two\r\n"
                "Connection: close\r\n\r\n".encode())
    assert logged(runtime, "trace-two")["trace_id"] != TRACE


def test_the_version_is_in_every_answer(runtime):
    versions = {runtime.get(path).headers["x-mozaiks-runtime-version"]
                for path in ("/livez", "/nothing", "/api/plugins")}
    assert len(versions) == 1 and re.fullmatch(r"\d+\.\d+\.\d+", versions.pop())


def test_head_is_get_without_the_body(runtime):
    for path in ("/livez", "/health", "/nothing"):
        get, head = runtime.get(path), runtime.request("HEAD", path)
        assert head.status == get.status and head.body == b""
        assert head.headers["content-length"] == str(len(get.body)) or path == "/nothing"
        assert int(head.headers["content-length"]) > 0


def test_methods(runtime):
    answer = runtime.request("OPTIONS", "/livez")
    assert answer.status == 204
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    answer = runtime.request("OPTIONS", "/api/execute/answers")
    assert set(answer.headers["allow"].split(", ")) == {"POST", "OPTIONS"}
    answer = runtime.request("DELETE", "/livez")
    assert answer.status == 405 and answer.json["code"] == "method_not_allowed"
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert runtime.request("OPTIONS", "/nothing").status == 404


def plugins(runtime, method="GET", **headers):
    return runtime.request(method, "/api/plugins", token=mint("alice"), headers=headers)


def test_who_has_the_list_already_does_not_get_it_again(runtime):
    first = plugins(runtime)
    tag = first.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    assert first.headers["cache-control"] == "private, no-cache"
    for list_of_tags in (tag, f'"other", W/{tag}', "*"):
        again = plugins(runtime, **{"If-None-Match": list_of_tags})
        assert again.status == 304 and again.body == b"" and again.headers["etag"] == tag
        assert "content-type" not in again.headers
    for list_of_tags in ('"other"', tag.strip('"'), ""):
        again = plugins(runtime, **{"If-None-Match": list_of_tags})
        assert again.status == 200 and again.body == first.body
    assert plugins(runtime, "HEAD", **{"If-None-Match": tag}).status == 304
    # Only for those who may see it.
    assert runtime.get("/api/plugins", headers={"If-None-Match": tag}).status == 401


def test_another_list_has_another_tag():
    with Runtime({"answers": PLUGINS / "answers"}) as r:
        tag = plugins(r).headers["etag"]
        r.put_plugin("second", PLUGINS / "answers")
        wait_for(lambda: r.plugin("second"), "the plugin")
        again = plugins(r, **{"If-None-Match": tag})
        assert again.status == 200 and again.headers["etag"] != tag


def test_timings(runtime):
    header = runtime.execute("answers", {"action": "none"}).headers["server-timing"]
    found = dict(re.findall(r"([a-z]+);dur=(\d+\.\d{3})", header))
    assert list(found) == ["total", "auth", "queue", "plugin"], header
    assert float(found["total"]) >= float(found["plugin"]) > 0
    assert re.fullmatch(r"total;dur=\d+\.\d{3}", runtime.get("/livez").headers["server-timing"])


def test_timings_are_off_unless_asked_for():
    r = Runtime()
    try:
        r.start_director()
        assert "server-timing" not in r.get("/livez").headers
    finally:
        r.close()
