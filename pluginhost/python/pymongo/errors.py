"""Exceptions under the names that code written for motor catches."""

from typing import Any, Mapping, Optional

from bson.errors import InvalidDocument


class PyMongoError(Exception):
    """Base of all errors of the database."""

    def has_error_label(self, label: str) -> bool:
        """Labels are for drivers: there are none."""
        return False

    @property
    def timeout(self) -> bool:
        """Whether a time limit was the cause."""
        return False


class ProtocolError(PyMongoError):
    """Never raised here."""


class ConnectionFailure(PyMongoError):
    """The database cannot be reached."""


class AutoReconnect(ConnectionFailure):
    """The database cannot be reached at the moment; trying again later may help."""


class NetworkTimeout(AutoReconnect):
    """Never raised here: AutoReconnect is."""


class NotPrimaryError(AutoReconnect):
    """Never raised here: AutoReconnect is."""


class ServerSelectionTimeoutError(AutoReconnect):
    """Never raised here: AutoReconnect is."""


class ConfigurationError(PyMongoError):
    """An option that is not understood (bson.json_util raises it)."""


class InvalidName(PyMongoError):
    """Never raised here."""


class InvalidURI(ConfigurationError):
    """Never raised here."""


class CollectionInvalid(PyMongoError):
    """A collection that is there already."""


class InvalidOperation(PyMongoError):
    """An operation that makes no sense in this state."""


class OperationFailure(PyMongoError):
    """The database has refused or failed an operation."""

    def __init__(
        self,
        error: str,
        code: Optional[int] = None,
        details: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(error)
        self.details = details
        self._number = code

    @property
    def code(self) -> Any:
        """The number of the error in MongoDB, where it has one."""
        return self._number


class WriteError(OperationFailure):
    """A write was refused."""


class DuplicateKeyError(WriteError):
    """A document with this unique key exists already."""


class ExecutionTimeout(OperationFailure):
    """Never raised here: LimitExceeded is."""


class CursorNotFound(OperationFailure):
    """Never raised here."""


class WriteConcernError(OperationFailure):
    """Never raised here."""


class WTimeoutError(WriteConcernError):
    """Never raised here."""


class BulkWriteError(OperationFailure):
    """Some writes of many failed; ``details`` says which."""

    def __init__(self, details: Mapping[str, Any]) -> None:
        super().__init__("batch op errors occurred", 65, details)


class DocumentTooLarge(InvalidDocument):  # type: ignore[misc]
    """A document or a request over the limit."""
