"""Attacks on the running programs: over the channel, with capabilities, and on what all share. One row
each: the row of the threat table, a name, the action of the hostile plugin, what must become of it (a
regular expression over the outcome, test_runtime.py) and how it is made;
"long" ones run with --all."""
import collections
import platform

Attack = collections.namedtuple("Attack", "row name action must resource native thread long")

DIED = r"502 plugin_died"
LATE = r"504 plugin_timeout"
BROKE = DIED + r"; protocol_violation.*"
REFUSED = r"200 (PermissionDenied|InvalidArgument|InvalidDocument) .*"
OUT_OF_MEMORY = DIED + r"; out_of_memory"
# Without a memory cgroup the limit is one of addresses, and may be further away than the deadline.
MEMORY = rf"200 MemoryError|500 \w+|{OUT_OF_MEMORY}|{LATE}; (deadline|hung|out_of_memory)"

# By machine: x86-64, arm64.
NUMBERS = {"mount": (165, 40), "ptrace": (101, 117), "unshare": (272, 97), "bpf": (321, 280),
           "setns": (308, 268), "reboot": (169, 142)}


def row(identity, name, must, native=False, resource=False, thread=None, long=False, **action):
    """thread: None makes the attack in both ways where it is a function of its own."""
    action.setdefault("action", name)
    return Attack(identity, name, action, must, resource, native, thread, long)


def number(name):
    return NUMBERS[name][0 if platform.machine() == "x86_64" else 1]


def denied(name):
    rows = {"ptrace": "B18", "mount": "B22", "bpf": "B28"}
    return row(rows.get(name, "B21"), f"{name}()",
               DIED + rf"; denied_syscall( {name})?", action="call", number=number(name))


def resources():
    deadline = {"must": LATE + r"(; (deadline|hung).*)?", "resource": True}
    yield row("B10", "spin", **deadline, thread=False)
    yield row("B10", "a spinning thread", **deadline, action="spin", thread=True)
    yield row("B10", "catastrophic pattern", **deadline, action="backtrack", thread=False)
    yield row("B10", "huge power", **deadline, action="power", thread=False)
    yield row("B11", "blocks for ever", **deadline, action="block", thread=False)
    yield row("B11", "reads for ever", **deadline, action="read_forever", thread=False)
    yield row("B11", "sleeps for ever", **deadline, action="never")
    yield row("B12", "swallows every exception", **deadline, action="swallow", thread=False)
    yield row("B12", "swallows its cancellation", **deadline, action="never_cancelled")
    yield row("B12", "blocks every signal", **deadline, action="ignore_signals", thread=False)
    yield row("B13", "a thread that goes on", r"200 {}", action="background", resource=True,
              thread=False)
    for thread in (False, True):
        form = " in a thread" if thread else ""
        yield row("B6", "4 GiB at once" + form, MEMORY, action="allocate", bytes=4 << 30,
                  resource=True, thread=thread,
                  long=thread)
        yield row("B7", "a leak" + form, MEMORY, action="leak", resource=True, thread=thread,
                  long=thread)
        yield row("B8", "deep recursion in C" + form, DIED + "; signal SIGSEGV", action="overflow",
                  resource=True, thread=thread,
                  long=thread)
        yield row("B9", "descriptors" + form, r"200 EMFILE", action="descriptors", resource=True,
                  thread=thread, long=thread)
        yield row("A15", "fill /tmp" + form, r"200 (ENOSPC|EFBIG)", action="fill", bytes=1 << 30,
                  resource=True, thread=thread,
                  long=thread)
        yield row("A16", "files in /tmp" + form, r"200 ENOSPC", action="fill_inodes", resource=True,
                  thread=thread, long=thread)
    yield row("B4", "5,000 threads",
              r"200 (RuntimeError|MemoryError)|" + DIED + r".*|" + LATE + r"(; .*)?",
              action="start_threads", n=5000, resource=True, thread=False)
    yield row("B30", "raise limits", r"200 refused", action="limits", thread=False)
    yield row("D19", "200 MB on stdout", r"200 ok|" + LATE + ".*", action="flood_output", fd=1,
              megabytes=200, resource=True, thread=False)
    yield row("D19", "200 MB on stderr", r"200 ok|" + LATE + ".*", action="flood_output", fd=2,
              megabytes=200, resource=True, thread=False)
    yield row("D18", "one line of 200 MB", r"200 ok|" + LATE + ".*", action="flood_output", fd=1,
              megabytes=200, lines=False, resource=True, thread=False)
    yield row("D1", "300 MB of records on the channel", r"200 ok|" + LATE + ".*",
              action="flood_channel", megabytes=300, resource=True, thread=False)
    yield row("D3", "100,000 tiny frames", r"200 {}|" + LATE + ".*", action="tiny_frames",
              thousands=100, resource=True, thread=False)
    yield row("D12", "10,000 forged capability calls", r"200 ok(; exit)?|" + DIED + ".*|" + LATE + ".*",
              action="forged_calls", n=10_000, resource=True)
    yield row("D16", "100 MB of answer", r"502 plugin_response_too_large", action="too_large",
              bytes=100 << 20, resource=True, thread=False)


def native():
    late = LATE + r"(; (deadline|hung).*)?"
    leak = rf"({DIED}|{LATE}); out_of_memory|{late}"
    for thread in (False, True):
        form = ", native, in a thread" if thread else ", native"
        for identity, name, action, must in (
                ("B10", "spin", "spin", late),
                ("B11", "hangs for ever", "hang", late),
                ("B6", "a leak", "leak", leak),
                ("B8", "deep recursion", "overflow", DIED + "; signal SIGSEGV"),
                ("B8", "a bad pointer", "crash", DIED + "; signal SIGSEGV"),
                ("B8", "leaves", "leave", DIED + "; exit"),
                ("B27", "reboot", "reboot", DIED + r"; denied_syscall( reboot)?"),
                ("D20", "garbage on the channel", "garbage", BROKE),
                ("D20", "closes the channel", "close_channel", DIED + ".*|" + late),
                ("B4", "threads until one is refused", "start_threads", r"200 {}"),
                ("D19", "200 MB on stdout", "flood", r"200 {}|" + late)):
            yield row(identity, name + form, must, native=True, action=action, resource=True,
                      thread=thread, long=thread)


def channel():
    killed = {"action": "forge", "must": BROKE}
    for identity, what in (
            ("D1", "a huge message"), ("D1", "a message over the limit"), ("D1", "a huge frame"),
            ("D1", "half a frame"), ("D1", "an empty result"), ("D1", "a PONG with a payload"),
            ("D4", "unknown type"), ("D4", "type 0"), ("D4", "type 255"), ("D4", "reserved flags"),
            ("D4", "trailing bytes"), ("D4", "not a message"), ("D4", "zeros"),
            ("D5", "result of no call"), ("D7", "result of the next call"),
            ("D7", "result of call 0"),
            ("D5", "a stream of no call"), ("D4", "a director's frame"),
            ("D4", "a pluginhost's frame"), ("D4", "a worker's end"), ("D21", "a second hello"),
            ("D21", "another version"), ("D4", "a second ready"),
            ("D10", "a capability for no call"), ("D20", "garbage")):
        yield row(identity, what, **killed, what=what)
    yield row("D4", "an empty message", r"200 ok|" + BROKE, action="forge", what="an empty message")
    # The refusal is a REPLY to nothing: it ends the worker, before its answer or behind it.
    for identity, what in (("D11", "a capability of no name"), ("D15", "a call without arguments"),
                           ("D15", "deep bson"), ("D15", "bson with a wrong size")):
        yield row(identity, what, rf"200 ok(; exit)?|{DIED}; exit|" + BROKE, action="forge",
                  what=what)
    # The first one counts, the second one is the end of the worker.
    yield row("D6", "a result twice", r"200 {}; protocol_violation.*", action="forge",
              what="a result twice")
    yield row("D5", "a result of no outcome", r"502 plugin_bad_response; protocol_violation.*",
              action="forge", what="a result of no outcome")
    yield row("D2", "half a message, then silence", LATE + r"(; .*)?|" + BROKE,
              action="half_a_message")
    yield row("D3", "one byte at a time", r"200 {}", action="byte_by_byte", thread=False)
    yield row("D20", "closes the channel", DIED + ".*|" + LATE + ".*", action="close_channel",
              thread=False)
    yield row("D20", "puts another descriptor over the channel", DIED + ".*|" + LATE + ".*",
              action="replace_channel", thread=False)
    yield row("D10", "asks when the call is over", r"200 \w+ .*call.*", action="after_the_call",
              then={"action": "after_the_call", "ask": True})
    yield row("D10", "a frame for a call that is over", r"200 ok(; exit)?|" + DIED + "; exit",
              action="ended_call",
              then={"action": "ended_call", "id": "first"})
    for what in ("no JSON", "nothing", "NaN", "Infinity", "invalid UTF-8", "a NUL",
                 "trailing data", "a byte order mark", "a leading zero", "a hundred thousand levels"):
        yield row("D15", f"answers {what}", r"502 plugin_bad_response.*", action="answer_raw",
                  what=what)


def capabilities():
    yield row("D8", "inserts for another user", REFUSED, action="insert_as",
              user="bob")
    yield row("D8", "looks for another user's", REFUSED, action="find_as", user="bob")
    yield row("D8", "renames a member to user_id", REFUSED, action="rename_user")
    for name in ("../answers/things", "answers/things", "system.users", "$cmd", "", "a" * 300):
        yield row("D11", f"collection {name[:20]!r}", REFUSED,
                  action="other_collection", collection=name)
    yield row("D15", "10,000 levels of document", REFUSED,
              action="deep_document", depth=10_000)
    yield row("D13", "settings of another plugin", REFUSED, action="foreign_settings")
    yield row("D13", "another plugin's event", REFUSED, action="foreign_event",
              event="answers:done")
    yield row("D13", "an event of the core", REFUSED, action="foreign_event",
              event="user.deleted")
    yield row("D14", "message to another user", REFUSED, action="foreign_user")


ATTACKS = [*map(denied, ("mount", "ptrace", "unshare", "setns", "bpf")), *resources(), *native(),
           *channel(), *capabilities()]
