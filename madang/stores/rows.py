"""What every SQL store keeps in the same way: rows of the log, of records and of small things as values."""

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
from msgspec import Struct

from madang.hub.ports import Extent
from madang.model.change import Change, Transition
from madang.model.record import Record

LOG_COLUMNS = (
    "seq, kind, recorded_at, observed_at, received_at, entity_id, entity_type, source, late, attributes, transition,"
    " removed, previous, before"
)


class Moved(Struct, frozen=True):
    """What the log keeps of a record's change beside its attributes."""

    transition: Transition
    record: Record


_decode_moved = msgspec.json.Decoder(Moved).decode


def change_from_row(row: Sequence[Any]) -> Change:
    """A row of `log` (columns as in LOG_COLUMNS) as a value."""
    moved = None if row[10] is None else _decode_moved(row[10])
    return Change(
        seq=row[0],
        kind=row[1],
        recorded_at=row[2],
        observed_at=row[3],
        received_at=row[4],
        entity_id=row[5],
        entity_type=row[6],
        source=row[7],
        late=bool(row[8]),
        attributes=orjson.loads(row[9]),
        transition=None if moved is None else moved.transition,
        record=None if moved is None else moved.record,
        removed=() if row[11] is None else tuple(orjson.loads(row[11])),
        previous=row[12],
        before=None if row[13] is None else orjson.loads(row[13]),
    )


def moved_text(change: Change) -> str | None:
    """The log's column `transition` of a change: None for all but records."""
    if change.transition is None or change.record is None:
        return None
    return msgspec.json.encode(Moved(change.transition, change.record)).decode()


def record_from_row(row: Sequence[Any]) -> Record:
    """(id, type, state, version, data, created_at, modified_at) as a record."""
    return Record(row[0], row[1], row[2], row[3], orjson.loads(row[4]), row[5], row[6])


def extent_of(row: Sequence[Any]) -> Extent:
    """(count, placed, west, south, east, north, first_at, last_at) as an extent."""
    return Extent(row[0], row[1], None if row[2] is None else (row[2], row[3], row[4], row[5]), row[6], row[7])


def log_row(change: Change, attributes_json: str, before_json: str | None = None) -> tuple[Any, ...]:
    """A change as a row of LOG_COLUMNS; `attributes_json` is at hand already where it is asked for, `before_json` perhaps."""
    if before_json is None and change.before is not None:
        before_json = orjson.dumps(change.before).decode()
    return (
        change.seq, change.kind, change.recorded_at, change.observed_at, change.received_at, change.entity_id,
        change.entity_type, change.source, change.late, attributes_json, moved_text(change),
        orjson.dumps(change.removed).decode() if change.removed else None, change.previous,
        before_json,
    )  # fmt: skip
