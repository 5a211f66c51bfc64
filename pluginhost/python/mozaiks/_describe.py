"""Exceptions as data: bounded, and safe from what the exception itself may do."""

import json
import traceback

# Characters. With every one of them escaped both fit the 64 KiB of READY.
_MESSAGE_MAX = 2000
_TRACEBACK_MAX = 8000
# Of each exception, the innermost: a runaway recursion leaves millions, which take a minute to word.
_FRAMES_MAX = 200


def shorten(text: str, limit: int) -> str:
    """Cuts the middle out of a text that is too long: its ends say most."""
    if len(text) <= limit:
        return text
    head = limit // 3
    mark = "\n[...]\n"
    return text[:head] + mark + text[len(text) - (limit - head - len(mark)) :]


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def message_of(error: BaseException) -> str:
    """``str(error)``, or why there is none."""
    try:
        return _clean(shorten(str(error), _MESSAGE_MAX))
    except BaseException as failure:  # whatever a plugin's __str__ raises
        return f"<no text: {type(failure).__name__}>"


def traceback_of(error: BaseException) -> str:
    """The traceback as Python prints it."""
    try:
        lines = traceback.format_exception(error, limit=-_FRAMES_MAX)
        return _clean(shorten("".join(lines), _TRACEBACK_MAX))
    except BaseException as failure:
        return f"<no traceback: {type(failure).__name__}>"


def describe(error: BaseException) -> bytes:
    """The body of a RESULT with an exception: {"type", "message", "traceback"}."""
    return json.dumps(
        {
            "type": type(error).__name__[:256],
            "message": message_of(error),
            "traceback": traceback_of(error),
        },
        ensure_ascii=False,
    ).encode()
