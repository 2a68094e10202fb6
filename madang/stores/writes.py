"""What every SQL store writes in the same way, in SQL that all of them understand: small rows, at once and not through buffers.

Values are marked with ``?``.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from madang.model.change import Transition
from madang.model.record import Record
from madang.model.time import Instant
from madang.procedure.contract import Deadline
from madang.stores.reader import marks


class CommonWrites:
    """The part of `madang.hub.ports.Tx` that is the same for all."""

    if TYPE_CHECKING:
        # What a store gives.
        _now: Instant

        def _ask_one(self, sql: str, values: Sequence[Any] = ()) -> Any: ...

        def _tell(self, sql: str, values: Sequence[Any]) -> int:
            """Run a statement inside the op; gives the number of rows that it touched."""

        def _before_own_sql(self) -> None:
            """Called before an op reads or writes with SQL of its own: what was buffered is written."""

    def _text(self, text: str) -> str:
        """A text that people read, as the store can keep it."""
        return text

    # --- records ---

    def _write_record(self, record: Record, transition: Transition, seq: int, links: Mapping[str, str]) -> None:
        """The record as it is now, its version, and what it is found by."""
        data = orjson.dumps(record.data).decode()
        encoded = msgspec.json.encode(transition).decode()
        self._tell(
            "INSERT INTO record_version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (record.id, record.version, seq, record.type, record.state, data, encoded, self._now, record.created_at),
        )
        self._tell(
            "INSERT INTO record (id, type, state, version, data, created_at, modified_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET state = excluded.state, version = excluded.version, data = excluded.data,"
            " modified_at = excluded.modified_at",
            (record.id, record.type, record.state, record.version, data, record.created_at, self._now),
        )
        self._tell("DELETE FROM record_link WHERE record_id = ? AND type = ?", (record.id, record.type))
        if links:
            self._tell(
                "INSERT INTO record_link VALUES " + ", ".join(["(?, ?, ?, ?)"] * len(links)),
                [value for name, text in links.items() for value in (record.type, name, text, record.id)],
            )

    # --- links, answers, cursors, findings ---

    def put_link(self, kind: str, key: str, id_: str) -> None:
        self._tell(
            "INSERT INTO link VALUES (?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET id = excluded.id", (kind, key, id_)
        )

    def put_idempotent(self, key: str, answer: bytes) -> None:
        self._tell(
            "INSERT INTO idempotent VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET answer = excluded.answer, at = excluded.at",
            (key, answer, self._now),
        )

    def put_cursor(self, consumer: str, seq: int) -> None:
        self._tell(
            "INSERT INTO cursor VALUES (?, ?) ON CONFLICT (consumer) DO UPDATE SET seq = excluded.seq", (consumer, seq)
        )

    def put_finding(self, id_: str, seq: int, document: bytes) -> bool:
        sql = "INSERT INTO finding (id, seq, document) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING"
        return self._tell(sql, (id_, seq, document)) == 1

    def next_number(self, name: str) -> int:
        self._before_own_sql()
        row = self._ask_one(
            "INSERT INTO number VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET last = number.last + 1 RETURNING last",
            (name,),
        )
        return int(row[0])

    # --- deadlines, outbox, quarantine ---

    def set_deadline(self, record_id: str, deadline: Deadline) -> None:
        self._tell(
            "INSERT INTO deadline VALUES (?, ?, ?, ?, ?) ON CONFLICT (record_id, name) DO UPDATE SET"
            " due_at = excluded.due_at, action = excluded.action, arguments = excluded.arguments",
            (record_id, deadline.name, deadline.due_at, deadline.action, orjson.dumps(deadline.arguments).decode()),
        )

    def cancel_deadlines(self, record_id: str, names: Sequence[str] | None) -> None:
        if names is None:
            self._tell("DELETE FROM deadline WHERE record_id = ?", (record_id,))
        elif names:
            self._tell(f"DELETE FROM deadline WHERE record_id = ? AND name IN ({marks(names)})", (record_id, *names))

    def put_outbox(self, record_id: str, channel: str, to: str, reason: dict[str, Any], idempotency_key: str) -> None:
        self._tell(
            "INSERT INTO outbox (record_id, channel, receiver, reason, state, attempts, next_at, idempotency_key, error,"
            " created_at) VALUES (?, ?, ?, ?, 'due', 0, ?, ?, '', ?) ON CONFLICT (idempotency_key) DO NOTHING",
            (record_id, channel, to, orjson.dumps(reason).decode(), self._now, idempotency_key, self._now),
        )

    def mark_outbox(self, id_: int, state: str, next_at: Instant, error: str, attempts: int | None = None) -> None:
        self._tell(
            "UPDATE outbox SET state = ?, attempts = coalesce(CAST(? AS integer), attempts + 1), next_at = ?, error = ?"
            " WHERE id = ?",
            (state, attempts, next_at, self._text(error), id_),
        )

    def delete_quarantine(self, id_: int) -> None:
        self._tell("DELETE FROM quarantine WHERE id = ?", (id_,))

    def trim_quarantine(self, rows_max: int) -> int:
        self._before_own_sql()
        return self._tell(
            "DELETE FROM quarantine WHERE id <= (SELECT id FROM quarantine ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (rows_max,),
        )

    # --- documents ---

    def put_document(self, kind: str, id_: str, document: bytes | None) -> None:
        if document is None:
            self._tell("DELETE FROM document WHERE kind = ? AND id = ?", (kind, id_))
        else:
            self._tell(
                "INSERT INTO document VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                (kind, id_, document),
            )
