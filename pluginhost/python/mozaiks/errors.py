"""What can go wrong when a plugin asks the runtime for something.

Every error that the runtime answers has a stable ``code``. Errors of the database are also the
exceptions of ``pymongo.errors`` that code written for motor catches.
"""

import json
from typing import Any, Dict, Mapping, Optional, Type

from pymongo import errors as pymongo_errors


class CapabilityError(Exception):
    """The runtime has refused or failed a request. Base class; ``code`` says why."""

    code = "internal"

    def __init__(self, message: str, code: Optional[str] = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class PermissionDenied(CapabilityError, PermissionError):
    """The plugin lacks a permission; ``permission`` names it where there is one."""

    code = "permission_denied"
    permission: Optional[str] = None


class InvalidArgument(CapabilityError, pymongo_errors.OperationFailure, ValueError):
    """An argument, an operator or a field that is not accepted."""

    code = "invalid_argument"

    def __init__(self, message: str, code: Optional[str] = None) -> None:
        CapabilityError.__init__(self, message, code)
        self.details = None


class Unsupported(InvalidArgument, NotImplementedError):
    """Something that this runtime does not offer (yet)."""

    code = "unsupported"


class LimitExceeded(InvalidArgument):
    """Over a limit; the message names the limit, its value and the setting."""

    code = "limit_exceeded"


class QuotaExceeded(LimitExceeded):
    """Too much at once; the message names the limit."""

    code = "quota_exceeded"


class MessageTooLarge(LimitExceeded, pymongo_errors.DocumentTooLarge):
    """A request that does not fit one message."""

    code = "message_too_large"


class DuplicateKey(CapabilityError, pymongo_errors.DuplicateKeyError):
    """A document with this unique key exists already."""

    code = "duplicate_key"

    def __init__(self, message: str, code: Optional[str] = None) -> None:
        CapabilityError.__init__(self, message, code)
        self.details = None


class Unavailable(CapabilityError, pymongo_errors.AutoReconnect):
    """Nothing was done: what is needed cannot be reached at the moment."""

    code = "unavailable"


class UnknownOutcome(CapabilityError, pymongo_errors.AutoReconnect):
    """A write may or may not have happened."""

    code = "unknown_outcome"


class StorageFull(CapabilityError, pymongo_errors.PyMongoError):
    """There is no room left to store anything."""

    code = "storage_full"


class CallEnded(CapabilityError, RuntimeError):
    """The call that the code belongs to has been answered or cancelled."""

    code = "call_ended"


_CLASSES: Dict[str, Type[CapabilityError]] = {
    cls.code: cls
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


def from_fields(fields: Mapping[str, Any]) -> CapabilityError:
    """Makes the exception of {"code", "message"[, "permission"]}."""
    code = str(fields.get("code", CapabilityError.code))
    message = str(fields.get("message", code))
    error = _CLASSES.get(code, CapabilityError)(message, code)
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
