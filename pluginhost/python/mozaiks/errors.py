"""What can go wrong when a plugin asks the runtime for something.

Every error that the runtime answers has a stable ``code``. Errors of the database are also the
exceptions of ``pymongo.errors`` that code written for motor catches.
"""

import json
from typing import Any, Dict, Mapping, Optional, Type

from bson import json_util

from pymongo import errors as pymongo_errors


class Code(str):
    """Why, as a word; equal to MongoDB's number of the same error, too, where it has one."""

    number: Optional[int]

    def __new__(cls, word: str, number: Optional[int] = None) -> "Code":
        code = super().__new__(cls, word)
        code.number = number
        return code

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.number == other
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


class CapabilityError(Exception):
    """The runtime has refused or failed a request. Base class; ``code`` says why."""

    code: Code = Code("internal", 1)

    def __init__(self, message: str, code: Optional[str] = None) -> None:
        super().__init__(message)
        if code is not None and code != self.code:
            self.code = Code(code)
        # As the errors of drivers have it.
        self.details: Optional[Mapping[str, Any]] = None
        if isinstance(self, pymongo_errors.OperationFailure):
            self.details = {"code": self.code.number, "errmsg": message}


class PermissionDenied(CapabilityError, pymongo_errors.OperationFailure, PermissionError):
    """The plugin lacks a permission; ``permission`` names it where there is one."""

    code = Code("permission_denied", 13)
    permission: Optional[str] = None


class InvalidArgument(CapabilityError, pymongo_errors.WriteError, ValueError):
    """An argument, an operator or a field that is not accepted."""

    code = Code("invalid_argument", 2)


class Unsupported(InvalidArgument, NotImplementedError):
    """Something that this runtime does not offer (yet)."""

    code = Code("unsupported", 115)


class LimitExceeded(InvalidArgument):
    """Over a limit; the message names the limit, its value and the setting."""

    code = Code("limit_exceeded", 10334)


class QuotaExceeded(LimitExceeded):
    """Too much at once; the message names the limit."""

    code = Code("quota_exceeded", 10334)


class MessageTooLarge(LimitExceeded, pymongo_errors.DocumentTooLarge):
    """A request that does not fit one message."""

    code = Code("message_too_large", 10334)


class DuplicateKey(CapabilityError, pymongo_errors.DuplicateKeyError):
    """A document with this unique key exists already."""

    code = Code("duplicate_key", 11000)


class Unavailable(CapabilityError, pymongo_errors.AutoReconnect):
    """Nothing was done: what is needed cannot be reached at the moment."""

    code = Code("unavailable")


class UnknownOutcome(CapabilityError, pymongo_errors.AutoReconnect):
    """A write may or may not have happened."""

    code = Code("unknown_outcome")


class StorageFull(CapabilityError, pymongo_errors.PyMongoError):
    """There is no room left to store anything."""

    code = Code("storage_full", 14031)


class CallEnded(CapabilityError, RuntimeError):
    """The call that the code belongs to has been answered or cancelled."""

    code = Code("call_ended")


_CLASSES: Dict[str, Type[CapabilityError]] = {
    str(cls.code): cls
    for cls in (
        PermissionDenied,
        InvalidArgument,
        Unsupported,
        LimitExceeded,
        QuotaExceeded,
        MessageTooLarge,
        DuplicateKey,
        Unavailable,
        UnknownOutcome,
        StorageFull,
        CallEnded,
    )
}


def _duplicate(fields: Mapping[str, Any]) -> Dict[str, Any]:
    """Which value of which index is there already."""
    if "details" in fields:
        # Extended JSON, since it goes with an error.
        fields = json_util.loads(json.dumps(fields["details"]))
    return {name: fields[name] for name in ("keyPattern", "keyValue") if name in fields}


def from_fields(fields: Mapping[str, Any]) -> CapabilityError:
    """Makes the exception of {"code", "message"[, "permission"]}."""
    code = str(fields.get("code", "internal"))
    message = str(fields.get("message", code))
    error = _CLASSES.get(code, CapabilityError)(message, code)
    if error.details is not None:
        error.details = {**error.details, **_duplicate(fields)}
    if isinstance(error, PermissionDenied):
        error.permission = fields.get("permission")
    return error


def from_reply(reply: bytes) -> CapabilityError:
    """Makes the exception of an error reply, JSON text."""
    try:
        fields = json.loads(reply)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return CapabilityError("the runtime's answer could not be read")
    return from_fields(fields)
