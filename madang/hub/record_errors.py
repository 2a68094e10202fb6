"""What can be wrong with a request about a record. Each carries what the person who asked needs to go on."""

from collections.abc import Sequence

from madang.hub.ports import Version
from madang.model.finding import Reason
from madang.model.record import Record
from madang.procedure.arguments import ArgumentError


class RecordError(Exception):
    """Nothing happened to any record. The request is wrong or came too late; the store is fine."""


class RecordNotFound(RecordError):
    """There is no such record."""

    def __init__(self, record_id: str) -> None:
        super().__init__(f"no record {record_id}")
        self.record_id = record_id


class UnknownRecordType(RecordError):
    """No service declares this record type."""

    def __init__(self, type_: str) -> None:
        super().__init__(f"no record type {type_}")
        self.type = type_


class VersionConflict(RecordError):
    """The record moved on since the caller looked at it: `changed` says how, oldest first."""

    def __init__(self, current: Record, changed: Sequence[Version]) -> None:
        super().__init__(f"{current.id} is at version {current.version}")
        self.current = current
        self.changed = list(changed)


class NotAllowed(RecordError):
    """The procedure does not allow it now; `reasons` are all of them."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__(", ".join(reason.code for reason in reasons))
        self.reasons = list(reasons)


class BadArguments(RecordError):
    """Arguments that do not fit the action's table; one error for each."""

    def __init__(self, errors: Sequence[ArgumentError]) -> None:
        super().__init__(", ".join(f"{error.name}: {error.reason.code}" for error in errors))
        self.errors = list(errors)


class Forbidden(RecordError):
    """The caller lacks the permission."""

    def __init__(self, permission: str) -> None:
        super().__init__(f"needs the permission {permission}")
        self.permission = permission


class IdempotencyMismatch(RecordError):
    """The idempotency key was used before for another request: the caller's program has a mistake. Use a new key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"idempotency key {key[:80]!r} was used for another request; use a new key for a new request")
        self.key = key
