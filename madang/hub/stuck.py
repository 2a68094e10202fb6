"""What went wrong for good and waits for a person: dead messages of the outbox, parked deadlines of records.

Both are named alike, so that one list and one action serve them: ``message|<record>|<number>`` and ``deadline|<record>|<name>``.
"""

from concurrent.futures import Future

import structlog
from msgspec import Struct

from madang.hub.outbox import DEAD, DUE
from madang.hub.ports import OutboxRow, Read, Store, Tx
from madang.hub.record_errors import Forbidden
from madang.hub.records import ParkedDeadline, list_parked, unpark_in
from madang.model.caller import Caller

logger = structlog.get_logger(__name__)

MESSAGE, DEADLINE = "message", "deadline"
PERMISSION = "source.manage"
"""Who may try again: those who mend what it failed on."""
MESSAGES_MAX = 500
"""Dead messages that a list shows. More of them have one cause, a gateway that is gone: the first ones say which."""
AGAIN, NOT_STUCK = "again", "not-stuck"


class StuckNotFound(LookupError):
    """No message and no deadline of that name."""


class Stuck(Struct, frozen=True):
    """All that waits. `cut`: there are more dead messages than `MESSAGES_MAX`."""

    messages: list[OutboxRow]
    deadlines: list[ParkedDeadline]
    cut: bool


def list_stuck(read: Read) -> Stuck:
    """What waits, each kind oldest first."""
    messages = read.list_outbox(DEAD, MESSAGES_MAX + 1)
    deadlines = sorted(list_parked(read), key=lambda one: one.parked_at)
    return Stuck(messages[:MESSAGES_MAX], deadlines, len(messages) > MESSAGES_MAX)


def message_id(row: OutboxRow) -> str:
    """What `retry` calls a message."""
    return f"{MESSAGE}|{row.record_id}|{row.id}"


def deadline_id(parked: ParkedDeadline) -> str:
    """What `retry` calls a deadline."""
    return f"{DEADLINE}|{parked.record_id}|{parked.deadline.name}"


def retry(store: Store, caller: Caller, id_: str) -> "Future[str]":
    """Try again: a dead message is due at once with its attempts counted from none, a parked deadline is due at once.

    Gives `AGAIN`, or `NOT_STUCK` for what does not wait (any more): asking twice does it once. The future raises
    StuckNotFound. Raises Forbidden at once without `PERMISSION`.
    """
    if not caller.may(PERMISSION):
        raise Forbidden(PERMISSION)

    def op(tx: Tx) -> str:
        kind, _, rest = id_.partition("|")
        record_id, _, name = rest.rpartition("|")
        if kind == MESSAGE:
            return _revive_in(tx, record_id, name)
        if kind == DEADLINE and tx.find_record(record_id) is not None:
            return AGAIN if unpark_in(tx, record_id, name) else NOT_STUCK
        raise StuckNotFound(f"nothing that waits is called {id_[:200]!r}")

    future = store.write(op)
    future.add_done_callback(lambda done: _log(done, caller, id_))
    return future


def _revive_in(tx: Tx, record_id: str, number: str) -> str:
    row = next((row for row in tx.list_outbox_of(record_id) if str(row.id) == number), None)
    if row is None:
        raise StuckNotFound(f"no message {number[:20]!r} of {record_id[:200]!r}")
    if row.state != DEAD:
        return NOT_STUCK
    tx.mark_outbox(row.id, DUE, tx.now, "", 0)
    return AGAIN


def _log(done: "Future[str]", caller: Caller, id_: str) -> None:
    """Who asked for it: a record's trail holds actions on the record, and this is none."""
    if not done.cancelled() and done.exception() is None and done.result() == AGAIN:
        logger.info("tried again by hand", id=id_, by=caller.principal)
