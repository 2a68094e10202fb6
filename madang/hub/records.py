"""Use cases of records: create, act, deadlines. All of an action commits in one transaction, or nothing does.

Two phases. *Plan*: the engine decides, also about records that the action opens or acts on; this only reads (and reserves
numbers), so a faulty guard or effect leaves nothing half done. *Commit*: versions, outbox, deadlines are written.

Order of the questions: idempotency key, record, permission, version, arguments, state, guard.

An idempotency key belongs to one principal. The same key with the same request gives the same answer again, also after a restart;
with another request it is an error. A refused request keeps no answer: it is judged anew when it is repeated.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from madang.hub.ports import Clock, Read, Store, Tx, Version
from madang.hub.record_errors import (
    BadArguments,
    Forbidden,
    IdempotencyMismatch,
    NotAllowed,
    RecordError,
    RecordNotFound,
    UnknownRecordType,
    VersionConflict,
)
from madang.model.caller import SYSTEM, Caller
from madang.model.entity import ID_LENGTH_MAX, Entity
from madang.model.finding import Reason
from madang.model.record import Record
from madang.model.time import HOUR, SECOND, Instant, to_datetime
from madang.procedure.attributes import attributes_of, links_of
from madang.procedure.calendar import KOREA
from madang.procedure.contract import Context, Deadline, RecordType
from madang.procedure.engine import (
    ActionView,
    ArgumentError,
    Decision,
    Refusal,
    allowed_actions,
    decide,
)

__all__ = [
    "BadArguments",
    "Forbidden",
    "IdempotencyMismatch",
    "NotAllowed",
    "ParkedDeadline",
    "RecordError",
    "RecordNotFound",
    "Records",
    "UnknownRecordType",
    "VersionConflict",
    "attributes_of",
]

logger = structlog.get_logger(__name__)

PLANS_MAX = 64
"""Records that one action may touch (itself, opened ones, onward ones): a table that wants more runs in a circle."""
KEY_LENGTH_MAX = 200
"""Characters of an idempotency key; a UUID has 36."""
DEADLINE_ATTEMPTS_MAX = 8
"""Attempts of a deadline whose guard or effect raises, then it is parked: about 4 hours of log time."""
DEADLINE_RETRY_FIRST = 60 * SECOND
DEADLINE_RETRY_MAX = HOUR
FAILURES, PARKED = "deadline-failure", "deadline-parked"
"""Kinds of documents: attempts of failing deadlines, and those that were given up until a person looks."""

ParameterOf = Callable[[Read, str], Any]
"""The value of a service's parameter as of a snapshot; raises LookupError for an undeclared name."""


class ParkedDeadline(Struct, frozen=True):
    """A deadline that failed too often. Operators see it and put it back (`madang.hub.stuck`)."""

    record_id: str
    deadline: Deadline
    attempts: int
    error: str
    parked_at: Instant


class _Failure(Struct, frozen=True):
    attempts: int
    error: str


class _Kept(Struct, frozen=True):
    """The answer kept under an idempotency key."""

    fingerprint: str
    record: Record


class _Refs:
    """`madang.procedure.contract.Refs` over a snapshot, with what the running action has planned on top."""

    def __init__(self, read: Read, parameter: ParameterOf, planned: dict[str, Record] | None = None) -> None:
        self._read = read
        self._parameter = parameter
        self._planned = planned or {}

    def find(self, id_: str) -> Entity | None:
        return self._read.find_entity(id_)

    def find_record(self, id_: str) -> Record | None:
        return self._planned.get(id_) or self._read.find_record(id_)

    def list_records_by(self, type_: str, name: str, value: str) -> Sequence[Record]:
        return [self._planned.get(r.id, r) for r in self._read.list_records_by(type_, name, value)]

    def parameter(self, name: str) -> Any:
        return self._parameter(self._read, name)


class _Plans:
    """What one action will do, to itself and to others."""

    def __init__(self) -> None:
        self.decisions: list[tuple[RecordType, Decision]] = []
        self.planned: dict[str, Record] = {}

    def add(self, record_type: RecordType, decision: Decision) -> None:
        if len(self.decisions) >= PLANS_MAX:
            raise RuntimeError(f"{decision.record.id}: one action touches more than {PLANS_MAX} records")
        self.decisions.append((record_type, decision))
        self.planned[decision.record.id] = decision.record


class Records:
    """The hub's records. Methods ending in `_in` run inside the caller's transaction; the others give a future that is
    done when the result is durable and carries a RecordError when nothing happened."""

    def __init__(self, store: Store, clock: Clock, record_types: Sequence[RecordType], parameter: ParameterOf) -> None:
        """Raises ValueError when two services declare a record type of the same name."""
        self._store = store
        self._clock = clock
        self._types = {record_type.name: record_type for record_type in record_types}
        self._parameter = parameter
        if len(self._types) != len(record_types):
            raise ValueError("two record types have the same name")

    # --- types and buttons -------------------------------------------------------------------------------------------

    def record_type(self, name: str) -> RecordType:
        """The declaration. Raises UnknownRecordType."""
        try:
            return self._types[name]
        except KeyError:
            raise UnknownRecordType(name) from None

    def list_types(self) -> list[RecordType]:
        """All declared record types, by name."""
        return [self._types[name] for name in sorted(self._types)]

    def list_actions(self, read: Read, caller: Caller, record: Record) -> list[ActionView]:
        """The record's next actions as buttons for this caller, each with every reason against it."""
        refs = _Refs(read, self._parameter)
        ctx = _context(caller, None, self._clock.now(), refs)
        return allowed_actions(self.record_type(record.type), record, ctx)

    # --- acting ------------------------------------------------------------------------------------------------------

    def act(
        self,
        caller: Caller,
        record_id: str,
        action: str,
        arguments: dict[str, Any],
        version: int | None = None,
        on_behalf_of: str | None = None,
        idempotency_key: str | None = None,
    ) -> "Future[Record]":
        """Take `action` on a record. `version`: the one that the caller looked at; None does not ask."""
        return self._store.write(
            lambda tx: self.act_in(tx, caller, record_id, action, arguments, version, on_behalf_of, idempotency_key)
        )

    def create(
        self,
        caller: Caller,
        type_: str,
        action: str,
        arguments: dict[str, Any],
        on_behalf_of: str | None = None,
        idempotency_key: str | None = None,
        id_: str | None = None,
    ) -> "Future[Record]":
        """Create a record. `id_` None: named after its number, else after its place in the sequence of its type."""
        return self._store.write(
            lambda tx: self.create_in(tx, caller, type_, action, arguments, on_behalf_of, idempotency_key, id_)
        )

    def act_in(
        self,
        tx: Tx,
        caller: Caller,
        record_id: str,
        action: str,
        arguments: dict[str, Any],
        version: int | None = None,
        on_behalf_of: str | None = None,
        idempotency_key: str | None = None,
    ) -> Record:
        """`act` inside `tx`. Raises RecordError; nothing was written then."""
        request = ["act", record_id, action, arguments, version, on_behalf_of]
        kept = _find_kept(tx, caller, idempotency_key, request)
        if kept is not None:
            return kept
        plans = _Plans()
        record, record_type = self._find(tx, record_id)
        row = record_type.procedure.find_action(action)
        if row is not None and not caller.may(row.permission):
            raise Forbidden(row.permission)
        _check_version(tx, record, record_type, version)
        self._plan(tx, plans, caller, record_type, record, action, arguments, on_behalf_of, None, "")
        self._commit(tx, plans)
        return _keep(tx, caller, idempotency_key, request, plans)

    def create_in(
        self,
        tx: Tx,
        caller: Caller,
        type_: str,
        action: str,
        arguments: dict[str, Any],
        on_behalf_of: str | None = None,
        idempotency_key: str | None = None,
        id_: str | None = None,
    ) -> Record:
        """`create` inside `tx`. Raises RecordError; nothing was written then but perhaps a number used up, which the
        caller's own failing op takes back."""
        request = ["create", type_, action, arguments, on_behalf_of, id_]
        kept = _find_kept(tx, caller, idempotency_key, request)
        if kept is not None:
            return kept
        record_type = self.record_type(type_)
        row = record_type.procedure.find_action(action)
        if row is not None and not caller.may(row.permission):
            raise Forbidden(row.permission)
        if id_ is not None:
            _check_new_id(tx, id_)
        plans = _Plans()
        new_id, number = _name(tx, record_type, id_)
        self._plan(tx, plans, caller, record_type, None, action, arguments, on_behalf_of, new_id, number)
        self._commit(tx, plans)
        return _keep(tx, caller, idempotency_key, request, plans)

    # --- deadlines ---------------------------------------------------------------------------------------------------

    def fire_due(self, tx: Tx, limit: int = 100) -> int:
        """Fire the deadlines that are due at `tx.now`, oldest first, at most `limit`; gives how many were taken off.

        Call it again while it gives `limit`. Each is removed in the transaction of its effect, so it fires once, also
        after a restart. One that its record no longer allows is dropped and logged. One whose guard or effect raises is tried
        again later and parked in the end; the others go on.
        """
        taken = 0
        for due in tx.list_due_deadlines(tx.now, limit):
            # An earlier one of this round may have cancelled it or set it anew.
            if due.deadline in tx.list_deadlines(due.record_id):
                taken += 1
                self._fire(tx, due.record_id, due.deadline)
        return taken

    def _fire(self, tx: Tx, record_id: str, deadline: Deadline) -> None:
        tx.cancel_deadlines(record_id, [deadline.name])
        log = logger.bind(record=record_id, deadline=deadline.name, action=deadline.action)
        plans = _Plans()
        try:
            record, record_type = self._find(tx, record_id)
            self._plan(tx, plans, SYSTEM, record_type, record, deadline.action, deadline.arguments, None, None, "")
        except RecordError as error:
            # The record moved on in a way that the table's author did not cancel it for. Nothing to do, and no reason
            # to ask again: the state will not come back by itself.
            log.warning("deadline dropped", error=str(error))
        except Exception as error:  # noqa: BLE001 - a faulty guard of one record must not stop the others' deadlines
            self._postpone(tx, record_id, deadline, f"{type(error).__name__}: {error}"[:500])
            log.error("deadline failed", error=repr(error))
            return
        else:
            self._commit(tx, plans)
        tx.put_document(FAILURES, _failure_id(record_id, deadline.name), None)

    def _postpone(self, tx: Tx, record_id: str, deadline: Deadline, error: str) -> None:
        id_ = _failure_id(record_id, deadline.name)
        before = tx.find_document(FAILURES, id_)
        attempts = 1 + (0 if before is None else msgspec.json.decode(before, type=_Failure).attempts)
        if attempts >= DEADLINE_ATTEMPTS_MAX:
            parked = ParkedDeadline(record_id, deadline, attempts, error, tx.now)
            tx.put_document(PARKED, id_, msgspec.json.encode(parked))
            tx.put_document(FAILURES, id_, None)
            return
        wait = min(DEADLINE_RETRY_FIRST * 2 ** (attempts - 1), DEADLINE_RETRY_MAX)
        tx.put_document(FAILURES, id_, msgspec.json.encode(_Failure(attempts, error)))
        tx.set_deadline(record_id, msgspec.structs.replace(deadline, due_at=tx.now + wait))

    # --- plan and commit ---------------------------------------------------------------------------------------------

    def _find(self, tx: Tx, record_id: str, plans: _Plans | None = None) -> tuple[Record, RecordType]:
        record = (plans.planned.get(record_id) if plans else None) or tx.find_record(record_id)
        if record is None:
            raise RecordNotFound(record_id)
        return record, self.record_type(record.type)

    def _plan(
        self,
        tx: Tx,
        plans: _Plans,
        caller: Caller,
        record_type: RecordType,
        record: Record | None,
        action: str,
        arguments: dict[str, Any],
        on_behalf_of: str | None,
        new_id: str | None,
        number: str,
    ) -> None:
        """Decide, then decide what follows from it. Raises RecordError, or whatever a faulty table raises."""
        behalf = _check_behalf(caller, on_behalf_of)
        ctx = _context(caller, behalf, tx.now, _Refs(tx, self._parameter, plans.planned), number)
        decision = decide(record_type, record, action, arguments, ctx, new_id)
        if isinstance(decision, Refusal):
            raise _error_of(decision)
        # Through JSON and back: what cannot be stored fails here, before anything is written, and what is answered is
        # exactly what will be read (lists, never tuples).
        data = msgspec.json.decode(msgspec.json.encode(decision.record.data))
        decision = msgspec.structs.replace(decision, record=msgspec.structs.replace(decision.record, data=data))
        plans.add(record_type, decision)
        for ordinal, opening in enumerate(decision.effect.opens):
            opened_type = self.record_type(opening.type)
            opened_id = opening.id or _id_by_cause(opening.type, decision.record, ordinal)
            if opened_id in plans.planned or tx.find_record(opened_id) is not None:
                continue  # a repeat makes no second one
            _, opened_number = _name(tx, opened_type, opening.id)
            self._plan(
                tx, plans, SYSTEM, opened_type, None, opening.action, opening.arguments, None, opened_id, opened_number
            )
        for onward in decision.effect.acts:
            other, other_type = self._find(tx, onward.record_id, plans)
            self._plan(tx, plans, SYSTEM, other_type, other, onward.action, onward.arguments, None, None, "")

    def _commit(self, tx: Tx, plans: _Plans) -> None:
        for record_type, decision in plans.decisions:
            record, effect = decision.record, decision.effect
            tx.put_record(
                record, decision.transition, attributes_of(record, record_type), links_of(record, record_type)
            )
            if decision.cancels_all:
                tx.cancel_deadlines(record.id, None)
            else:
                if effect.cancels:
                    tx.cancel_deadlines(record.id, effect.cancels)
                for deadline in effect.deadlines:
                    tx.set_deadline(record.id, deadline)
            for ordinal, message in enumerate(effect.outbox):
                key = f"{record.id}/{record.version}/{ordinal}"
                reason = {"code": message.reason.code, "params": message.reason.params}
                tx.put_outbox(record.id, message.channel, message.to, reason, key)


def _context(caller: Caller, behalf: str | None, now: Instant, refs: _Refs, number: str = "") -> Context:
    return Context(caller.principal, behalf, now, refs, caller.permissions, caller.party, number=number)


def _check_behalf(caller: Caller, on_behalf_of: str | None) -> str | None:
    """Who agreed, if it was somebody else than who typed."""
    if on_behalf_of is None or on_behalf_of in (caller.principal, ""):
        return None
    if not isinstance(on_behalf_of, str) or len(on_behalf_of) > ID_LENGTH_MAX or not on_behalf_of.isprintable():
        raise BadArguments([ArgumentError("on_behalf_of", Reason("argument.not-entity"))])
    return on_behalf_of


def _check_version(tx: Tx, record: Record, record_type: RecordType, version: int | None) -> None:
    """Raise VersionConflict when the record moved on since `version` by anything but quiet actions."""
    if version is None or version == record.version:
        return
    changed: list[Version] = [v for v in tx.list_versions(record.id) if v.record.version > version]
    rows = [record_type.procedure.find_action(v.transition.action) for v in changed]
    if version > record.version or version < 1 or not all(row is not None and row.quiet for row in rows):
        raise VersionConflict(record, changed)


def _check_new_id(tx: Tx, id_: str) -> None:
    if not id_.startswith("urn:") or len(id_) > ID_LENGTH_MAX or not id_.isprintable():
        raise BadArguments([ArgumentError("id", Reason("argument.not-entity"))])
    if tx.find_record(id_) is not None or tx.find_entity(id_) is not None:
        raise NotAllowed([Reason("procedure.id-taken")])


def _name(tx: Tx, record_type: RecordType, id_: str | None) -> tuple[str, str]:
    """(id, number) of a record to be created. Numbers run per type and year of the wall calendar in Korea. A number is
    reserved here; whether and when it is *issued* is the procedure's matter."""
    if id_ is not None:
        return id_, id_.rsplit(":", 1)[-1]
    if record_type.number_prefix:
        year = to_datetime(tx.now).astimezone(KOREA).year
        count = tx.next_number(f"{record_type.name}-{year}")
        number = f"{record_type.number_prefix}-{year}-{count:06d}"
    else:
        number = str(tx.next_number(record_type.name))
    return f"urn:ngsi-ld:{record_type.name}:{number}", number


def _id_by_cause(type_: str, cause: Record, ordinal: int) -> str:
    return f"urn:ngsi-ld:{type_}:{cause.id.rsplit(':', 1)[-1]}.{cause.version}.{ordinal}"


def _error_of(refusal: Refusal) -> RecordError:
    if refusal.permission is not None:
        return Forbidden(refusal.permission)
    if refusal.errors:
        return BadArguments(refusal.errors)
    return NotAllowed(refusal.reasons)


def list_parked(read: Read) -> list[ParkedDeadline]:
    """Deadlines that failed too often and wait for a person."""
    return [msgspec.json.decode(body, type=ParkedDeadline) for _, body in read.list_documents(PARKED)]


def unpark_in(tx: Tx, record_id: str, name: str) -> bool:
    """Put a parked deadline back, due at once (after the cause was mended). False: there was none.

    One of the same name that the record has set since stands: then the parked one is only taken off.
    """
    id_ = _failure_id(record_id, name)
    body = tx.find_document(PARKED, id_)
    if body is None:
        return False
    deadline = msgspec.json.decode(body, type=ParkedDeadline).deadline
    if all(one.name != name for one in tx.list_deadlines(record_id)):
        tx.set_deadline(record_id, msgspec.structs.replace(deadline, due_at=tx.now))
    tx.put_document(PARKED, id_, None)
    return True


def _failure_id(record_id: str, name: str) -> str:
    return f"{record_id}|{name}"


# --- idempotency -----------------------------------------------------------------------------------------------------


def _slot(caller: Caller, key: str) -> str:
    return f"record|{caller.tenant}|{caller.principal}|{key}"


def _fingerprint(request: list[Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(request, order="sorted")).hexdigest()


def _find_kept(tx: Tx, caller: Caller, key: str | None, request: list[Any]) -> Record | None:
    """The answer that was given to this request before; None: it is new. Raises IdempotencyMismatch, BadArguments."""
    if key is None:
        return None
    if not key or len(key) > KEY_LENGTH_MAX:
        raise BadArguments(
            [ArgumentError("Idempotency-Key", Reason("argument.too-long", {"length_max": KEY_LENGTH_MAX}))]
        )
    body = tx.find_idempotent(_slot(caller, key))
    if body is None:
        return None
    kept = msgspec.json.decode(body, type=_Kept)
    if kept.fingerprint != _fingerprint(request):
        raise IdempotencyMismatch(key)
    return kept.record


def _keep(tx: Tx, caller: Caller, key: str | None, request: list[Any], plans: _Plans) -> Record:
    """The answer: the record as the action left it (onward actions may have led it further; the last one counts)."""
    record = plans.planned[plans.decisions[0][1].record.id]
    if key is not None:
        tx.put_idempotent(_slot(caller, key), msgspec.json.encode(_Kept(_fingerprint(request), record)))
    return record
