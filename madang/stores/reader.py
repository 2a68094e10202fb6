"""What every SQL store reads in the same way, in SQL that all of them understand.

Values are marked with ``?``. Queries over entities and the history are the stores' own.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from madang.hub.ports import DueDeadline, NotificationRow, OutboxRow, QuarantineRow, Version
from madang.model.change import Change, Transition
from madang.model.entity import Entity
from madang.model.record import Record
from madang.model.time import Instant
from madang.procedure.contract import Deadline
from madang.stores.rows import LOG_COLUMNS, change_from_row, record_from_row

_IN_MAX = 500
"""Values in one IN list; longer ones are asked in pieces."""
_RECORD_COLUMNS = "id, type, state, version, data, created_at, modified_at"
_decode_transition = msgspec.json.Decoder(Transition).decode


def marks(values: Sequence[Any]) -> str:
    """What stands in an IN list for these values; of none NULL, which nothing equals."""
    return ", ".join("?" * len(values)) or "NULL"


def in_pieces(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """The values in pieces that fit into one IN list."""
    for start in range(0, len(values), _IN_MAX):
        yield values[start : start + _IN_MAX]


class CommonRead:
    """The part of `madang.hub.ports.Read` that is the same for all."""

    if TYPE_CHECKING:
        # What a store gives.
        def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[Any]: ...

        def _ask_one(self, sql: str, values: Sequence[Any] = ()) -> Any: ...

        def _settle(self) -> None:
            """Before reading what a writer buffers."""

    # --- records ---

    def find_record(self, id_: str) -> Record | None:
        row = self._ask_one(f"SELECT {_RECORD_COLUMNS} FROM record WHERE id = ?", (id_,))
        return None if row is None else record_from_row(row)

    def list_records_by(self, type_: str, name: str, value: str) -> list[Record]:
        rows = self._ask(
            f"SELECT {_RECORD_COLUMNS} FROM record WHERE id IN"
            " (SELECT record_id FROM record_link WHERE type = ? AND name = ? AND value = ?) ORDER BY id",
            (type_, name, value),
        )
        return [record_from_row(r) for r in rows]

    def list_records(self, type_: str, states: Sequence[str] | None = None) -> list[Record]:
        if states is None:
            rows = self._ask(f"SELECT {_RECORD_COLUMNS} FROM record WHERE type = ? ORDER BY id", (type_,))
        else:
            rows = self._ask(
                f"SELECT {_RECORD_COLUMNS} FROM record WHERE type = ? AND state IN ({marks(states)}) ORDER BY id",
                (type_, *states),
            )
        return [record_from_row(r) for r in rows]

    def list_versions(self, record_id: str) -> list[Version]:
        rows = self._ask(
            "SELECT record_id, type, state, version, data, created_at, at, transition, seq FROM record_version"
            " WHERE record_id = ? ORDER BY version",
            (record_id,),
        )
        return [Version(record_from_row(r), _decode_transition(r[7]), r[6], r[8]) for r in rows]

    def list_reference_versions(self, types: Sequence[str], at_seq: int) -> list[Entity]:
        self._settle()
        rows = self._ask(
            "SELECT v.entity_id, v.type, v.body, v.at, v.seq FROM reference_version v JOIN"
            " (SELECT entity_id, max(seq) AS seq FROM reference_version"
            f"  WHERE type IN ({marks(types)}) AND seq <= ? GROUP BY entity_id) m USING (entity_id, seq)"
            " WHERE v.body IS NOT NULL ORDER BY v.entity_id",
            (*types, at_seq),
        )
        return [Entity(r[0], r[1], orjson.loads(r[2]), r[3], r[3], r[3], r[4]) for r in rows]

    def list_record_versions_at(self, types: Sequence[str], at_seq: int) -> list[Record]:
        rows = self._ask(
            "SELECT v.record_id, v.type, v.state, v.version, v.data, v.created_at, v.at FROM record_version v JOIN"
            " (SELECT record_id, max(version) AS version FROM record_version"
            f"  WHERE type IN ({marks(types)}) AND seq <= ? GROUP BY record_id) m USING (record_id, version)"
            " ORDER BY v.record_id",
            (*types, at_seq),
        )
        return [record_from_row(r) for r in rows]

    def read_log(self, after_seq: int, limit: int) -> list[Change]:
        self._settle()
        return [
            change_from_row(row)
            for row in self._ask(
                f"SELECT {LOG_COLUMNS} FROM log WHERE seq > ? ORDER BY seq LIMIT ?",
                (after_seq, limit),
            )
        ]

    # --- links, cursors, states ---

    def find_link(self, kind: str, key: str) -> str | None:
        row = self._ask_one("SELECT id FROM link WHERE kind = ? AND key = ?", (kind, key))
        return None if row is None else str(row[0])

    def list_links(self, kind: str) -> list[tuple[str, str]]:
        return [(r[0], r[1]) for r in self._ask("SELECT key, id FROM link WHERE kind = ? ORDER BY key", (kind,))]

    def find_idempotent(self, key: str) -> bytes | None:
        row = self._ask_one("SELECT answer FROM idempotent WHERE key = ?", (key,))
        return None if row is None else bytes(row[0])

    def find_cursor(self, consumer: str) -> int:
        row = self._ask_one("SELECT seq FROM cursor WHERE consumer = ?", (consumer,))
        return 0 if row is None else int(row[0])

    def list_cursors(self) -> list[tuple[str, int]]:
        return [(r[0], r[1]) for r in self._ask("SELECT consumer, seq FROM cursor ORDER BY consumer")]

    def find_states(self, detector: str, keys: Sequence[str]) -> dict[str, bytes]:
        result: dict[str, bytes] = {}
        for piece in in_pieces(keys):
            result.update(
                (key, bytes(document))
                for key, document in self._ask(
                    f"SELECT key, document FROM flow_state WHERE detector = ? AND key IN ({marks(piece)})",
                    (detector, *piece),
                )
            )
        return result

    def list_wakes(self) -> list[tuple[Instant, str, str]]:
        return [
            (r[0], r[1], r[2])
            for r in self._ask(
                "SELECT wake_at, detector, key FROM flow_state WHERE wake_at IS NOT NULL ORDER BY wake_at, detector, key"
            )
        ]

    # --- deadlines, outbox, quarantine ---

    def list_due_deadlines(self, now: Instant, limit: int) -> list[DueDeadline]:
        rows = self._ask(
            "SELECT record_id, name, due_at, action, arguments FROM deadline WHERE due_at <= ?"
            " ORDER BY due_at, record_id, name LIMIT ?",
            (now, limit),
        )
        return [DueDeadline(r[0], Deadline(r[1], r[2], r[3], orjson.loads(r[4]))) for r in rows]

    def list_deadlines(self, record_id: str) -> list[Deadline]:
        rows = self._ask(
            "SELECT name, due_at, action, arguments FROM deadline WHERE record_id = ? ORDER BY due_at, name",
            (record_id,),
        )
        return [Deadline(r[0], r[1], r[2], orjson.loads(r[3])) for r in rows]

    def _outbox(self, where: str, values: Sequence[Any]) -> list[OutboxRow]:
        rows = self._ask(
            "SELECT id, record_id, channel, receiver, reason, state, attempts, next_at, idempotency_key, error, created_at"
            f" FROM outbox WHERE {where}",
            values,
        )
        return [
            OutboxRow(r[0], r[1], r[2], r[3], orjson.loads(r[4]), r[5], r[6], r[7], r[8], r[9], r[10]) for r in rows
        ]

    def list_outbox(self, state: str, limit: int, due_before: Instant | None = None) -> list[OutboxRow]:
        if due_before is None:
            return self._outbox("state = ? ORDER BY next_at, id LIMIT ?", (state, limit))
        return self._outbox("state = ? AND next_at <= ? ORDER BY next_at, id LIMIT ?", (state, due_before, limit))

    def list_outbox_of(self, record_id: str) -> list[OutboxRow]:
        return self._outbox("record_id = ? ORDER BY id", (record_id,))

    def list_quarantine(self, source: str | None, limit: int, before_id: int | None = None) -> list[QuarantineRow]:
        where: list[str] = ["id > 0"]
        values: list[Any] = []
        if source is not None:
            where.append("source = ?")
            values.append(source)
        if before_id is not None:
            where.append("id < ?")
            values.append(before_id)
        rows = self._ask(
            "SELECT id, source, received_at, code, detail, topic, payload FROM quarantine"
            f" WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT ?",
            (*values, limit),
        )
        return [QuarantineRow(r[0], r[1], r[2], r[3], r[4], r[5], bytes(r[6])) for r in rows]

    def find_document(self, kind: str, id_: str) -> bytes | None:
        row = self._ask_one("SELECT body FROM document WHERE kind = ? AND id = ?", (kind, id_))
        return None if row is None else bytes(row[0])

    def list_documents(self, kind: str) -> list[tuple[str, bytes]]:
        return [
            (r[0], bytes(r[1])) for r in self._ask("SELECT id, body FROM document WHERE kind = ? ORDER BY id", (kind,))
        ]

    # --- notifications ---

    def list_notifications(self, subscription: str, state: str, limit: int, after_no: int = 0) -> list[NotificationRow]:
        rows = self._ask(
            "SELECT no, subscription, state, first_seq, last_seq, events, body, created_at, error FROM notification"
            " WHERE subscription = ? AND state = ? AND no > ? ORDER BY no LIMIT ?",
            (subscription, state, after_no, limit),
        )
        return [NotificationRow(r[0], r[1], r[2], r[3], r[4], r[5], bytes(r[6]), r[7], r[8]) for r in rows]

    def count_notifications(self) -> list[tuple[str, str, int, int]]:
        return [
            (r[0], r[1], r[2], r[3])
            for r in self._ask(
                "SELECT subscription, state, count(*), CAST(sum(events) AS bigint) FROM notification"
                " GROUP BY subscription, state ORDER BY subscription, state"
            )
        ]
