"""Exceptions under the names that code written for motor catches."""

from typing import Any, Mapping, Optional

from bson.errors import InvalidDocument


class PyMongoError(Exception):
    """Base of all errors of the database."""


class ConnectionFailure(PyMongoError):
    """The database cannot be reached."""


class AutoReconnect(ConnectionFailure):
    """The database cannot be reached at the moment; trying again later may help."""


class ConfigurationError(PyMongoError):
    """An option that is not understood (bson.json_util raises it)."""


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


class BulkWriteError(OperationFailure):
    """Some writes of many failed; ``details`` says which."""

    def __init__(self, details: Mapping[str, Any]) -> None:
        super().__init__("batch op errors occurred", 65, details)


class DocumentTooLarge(InvalidDocument):  # type: ignore[misc]
    """A document or a request over the limit."""
