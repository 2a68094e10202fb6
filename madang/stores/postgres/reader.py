"""The read side: a consistent snapshot on one connection. The writer's Tx extends it with what its own op did."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from madang.hub.ports import (
    AttributeUse,
    Body,
    BodyPage,
    DueDeadline,
    Extent,
    HistoryRow,
    NotificationRow,
    OutboxRow,
    Page,
    QuarantineRow,
    Version,
)
from madang.model.change import Change, Transition
from madang.model.entity import Entity, alive_at, split_key
from madang.model.record import Record
from madang.model.time import Instant
from madang.ngsild.query import Query
from madang.procedure.contract import Deadline
from madang.stores.postgres.compile import compile_query
from madang.stores.postgres.connect import Connection
from madang.stores.postgres.temporal import PostgresEvolution
from madang.stores.rows import LOG_COLUMNS, change_from_row, extent_of, record_from_row
from madang.stores.stamps import resolve

_decode_transition = msgspec.json.Decoder(Transition).decode

_ENTITY_COLUMNS = (
    "e.id, e.type, e.body::text, e.created_at, e.modified_at, e.observed_at, e.seq, e.types, e.scopes, e.expires_at, e.wakes_at,"
    " e.stamps::text"
)
_IS_PLAIN = "e.types IS NULL AND e.scopes IS NULL AND e.wakes_at IS NULL AND NOT e.many"
_RECORD_COLUMNS = "id, type, state, version, data, created_at, modified_at"


def _entity(row: Sequence[Any], *, stamps: bool = False, at: Instant | None = None) -> Entity:
    """A row of _ENTITY_COLUMNS as a value; without the attributes that have expired at `at`."""
    attributes = orjson.loads(row[2])
    entity = Entity(
        row[0],
        row[1],
        attributes,
        row[3],
        row[4],
        row[5],
        row[6],
        tuple(row[7] or ()),
        tuple(row[8] or ()),
        row[9],
        resolve({} if row[11] is None else orjson.loads(row[11]), attributes, row[3], row[4]) if stamps else {},
    )
    if at is None or row[10] is None or row[10] > at:
        return entity
    # The query's own condition has left out entities that have expired as a whole.
    return alive_at(entity, at) or entity


Values = Sequence[Any] | Mapping[str, Any]


class PostgresRead(PostgresEvolution):
    """`madang.hub.ports.Read` on one connection inside a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def _all(self, text: str, values: Values = ()) -> list[Any]:
        return self._db.execute(text.encode(), values).fetchall()

    def _one(self, text: str, values: Values = ()) -> Any:
        return self._db.execute(text.encode(), values).fetchone()

    def last_seq(self) -> int:
        return int(self._one("SELECT seq FROM log_head")[0])

    def log_time(self) -> Instant:
        return int(self._one("SELECT recorded_at FROM log_head")[0])

    # --- entities ---

    def find_entity(self, id_: str, *, stamps: bool = False) -> Entity | None:
        row = self._one(f"SELECT {_ENTITY_COLUMNS} FROM entity e WHERE e.id = %s AND NOT e.deleted", (id_,))
        return None if row is None else _entity(row, stamps=stamps)

    def find_entity_body(self, id_: str) -> Body | None:
        row = self._one(
            f"SELECT e.type, e.body::text, {_IS_PLAIN} FROM entity e WHERE e.id = %s AND NOT e.deleted",
            (id_,),
        )
        return None if row is None else Body(row[0], row[1], row[2])

    def _is_further_type(self, name: str) -> bool:
        row = self._one("SELECT 1 FROM entity WHERE types @> ARRAY[%s] AND NOT deleted LIMIT 1", (name,))
        return row is not None

    def query(self, query: Query) -> Page:
        rows, total = self._query(query, _ENTITY_COLUMNS)
        more = len(rows) > query.limit
        entities = [_entity(r, stamps=query.stamps, at=query.alive_at) for r in rows[: query.limit]]
        return Page(entities, total, entities[-1].id if more and entities else None)

    def query_bodies(self, query: Query) -> BodyPage:
        rows, total = self._query(query, f"e.id, e.type, e.body::text, {_IS_PLAIN}")
        found = [(row[0], Body(row[1], row[2], row[3])) for row in rows[: query.limit]]
        return BodyPage(found, total, len(rows) > query.limit)

    def query_ids(self, query: Query) -> list[str]:
        rows, _ = self._query(query, "e.id")
        return [row[0] for row in rows[: query.limit]]

    def _query(self, query: Query, columns: str) -> tuple[list[Any], int | None]:
        """(rows, one more than the page has when there is more; number of matches when it was asked for)."""
        compiled = compile_query(query, self._is_further_type)
        values = {**compiled.values, "limit": query.limit + 1, "offset": query.offset}
        rows = self._all(
            f"SELECT {columns} FROM entity e WHERE {compiled.where} ORDER BY {compiled.order}"
            " LIMIT %(limit)s OFFSET %(offset)s",
            values,
        )
        total = None
        if query.count:
            total = int(self._one(f"SELECT count(*) FROM entity e WHERE {compiled.where}", values)[0])
        return rows, total

    def measure(self, query: Query) -> Extent:
        compiled = compile_query(replace(query, after=None, order=()), self._is_further_type)
        row = self._one(
            "SELECT count(*), count(e.place), min(ST_XMin(e.place)), min(ST_YMin(e.place)), max(ST_XMax(e.place)),"
            f" max(ST_YMax(e.place)), min(e.observed_at), max(e.observed_at) FROM entity e WHERE {compiled.where}",
            compiled.values,
        )
        return extent_of(row)

    def list_ids(self, type_: str) -> list[str]:
        rows = self._all(
            "SELECT id FROM entity WHERE type = %(type)s AND NOT deleted"
            " UNION SELECT id FROM entity WHERE types @> ARRAY[%(type)s] AND NOT deleted ORDER BY id",
            {"type": type_},
        )
        return [row[0] for row in rows]

    def list_types(self) -> dict[str, int]:
        return dict(
            self._all(
                "SELECT type, sum(n)::bigint FROM ("
                " SELECT type, count(*) AS n FROM entity WHERE NOT deleted AND types IS NULL GROUP BY type"
                ' UNION ALL SELECT t COLLATE "C", count(*) FROM entity, unnest(types) AS t WHERE NOT deleted GROUP BY t) x'
                " GROUP BY type ORDER BY type"
            )
        )

    def list_attributes(self, types: Sequence[str] | None = None) -> list[AttributeUse]:
        chosen = "" if types is None else " AND (e.type = ANY(%(types)s) OR e.types && %(types)s)"
        rows = self._all(
            "SELECT e.type, e.types, j.key, j.value ->> 'type' AS kind, count(*) FROM entity e, jsonb_each(e.body) AS j"
            f" WHERE NOT e.deleted{chosen} GROUP BY e.type, e.types, j.key, kind"
            ' ORDER BY e.type, e.types NULLS FIRST, j.key COLLATE "C"',
            {"types": list(types or ())},
        )
        found: dict[tuple[str, str, str], int] = {}
        for type_, further, key, kind, count in rows:
            for name in further or (type_,):
                use = (name, split_key(key)[0], str(kind))
                # Of an attribute with several instances the default one counts, as far as there is one.
                found[use] = max(found.get(use, 0), count) if " " in key else found.get(use, 0) + count
        return [AttributeUse(*use, count) for use, count in sorted(found.items()) if types is None or use[0] in types]

    def list_expired(self, now: Instant, limit: int) -> list[str]:
        rows = self._all(
            "SELECT id FROM entity WHERE wakes_at IS NOT NULL AND NOT deleted AND wakes_at <= %s ORDER BY wakes_at LIMIT %s",
            (now, limit),
        )
        return [row[0] for row in rows]

    # --- records ---

    def find_record(self, id_: str) -> Record | None:
        row = self._one(f"SELECT {_RECORD_COLUMNS} FROM record WHERE id = %s", (id_,))
        return None if row is None else record_from_row(row)

    def list_records_by(self, type_: str, name: str, value: str) -> list[Record]:
        rows = self._all(
            f"SELECT {_RECORD_COLUMNS} FROM record WHERE id IN"
            " (SELECT record_id FROM record_link WHERE type = %s AND name = %s AND value = %s) ORDER BY id",
            (type_, name, value),
        )
        return [record_from_row(r) for r in rows]

    def list_records(self, type_: str, states: Sequence[str] | None = None) -> list[Record]:
        if states is None:
            rows = self._all(f"SELECT {_RECORD_COLUMNS} FROM record WHERE type = %s ORDER BY id", (type_,))
        else:
            rows = self._all(
                f"SELECT {_RECORD_COLUMNS} FROM record WHERE type = %s AND state = ANY(%s) ORDER BY id",
                (type_, list(states)),
            )
        return [record_from_row(r) for r in rows]

    def list_versions(self, record_id: str) -> list[Version]:
        rows = self._all(
            "SELECT record_id, type, state, version, data, created_at, at, transition, seq FROM record_version"
            " WHERE record_id = %s ORDER BY version",
            (record_id,),
        )
        return [Version(record_from_row(r), _decode_transition(r[7]), r[6], r[8]) for r in rows]

    def list_reference_versions(self, types: Sequence[str], at_seq: int) -> list[Entity]:
        rows = self._all(
            "SELECT entity_id, type, body, at, seq FROM (SELECT DISTINCT ON (entity_id) * FROM reference_version"
            "  WHERE type = ANY(%s) AND seq <= %s ORDER BY entity_id, seq DESC) v WHERE body IS NOT NULL ORDER BY entity_id",
            (list(types), at_seq),
        )
        return [Entity(r[0], r[1], orjson.loads(r[2]), r[3], r[3], r[3], r[4]) for r in rows]

    def list_record_versions_at(self, types: Sequence[str], at_seq: int) -> list[Record]:
        rows = self._all(
            "SELECT DISTINCT ON (record_id) record_id, type, state, version, data, created_at, at FROM record_version"
            " WHERE type = ANY(%s) AND seq <= %s ORDER BY record_id, version DESC",
            (list(types), at_seq),
        )
        return [record_from_row(r) for r in rows]

    # --- history and log ---

    def history(
        self, entity_id: str, attributes: Sequence[str], from_at: Instant, to_at: Instant, limit: int
    ) -> list[HistoryRow]:
        if not attributes:
            return []
        # Days are recorded days: late data of an older observed day may stand in a newer one, so every day is read whose
        # range can hold an answer. Naming the days keeps the other partitions out of the plan.
        days = [
            row[0]
            for row in self._all(
                "SELECT day FROM history_day WHERE last_observed_at >= %s AND first_observed_at < %s ORDER BY day",
                (from_at, to_at),
            )
        ]
        if not days:
            return []
        rows = self._all(
            "SELECT n.text, h.observed_at, h.received_at, h.number, h.text, h.seq FROM entity e"
            " JOIN name n ON n.text = ANY(%s) CROSS JOIN LATERAL ("
            "  SELECT * FROM history WHERE day = ANY(%s) AND entity = e.no AND attribute = n.no AND observed_at >= %s"
            "  AND observed_at < %s AND (number IS NOT NULL OR text IS NOT NULL) ORDER BY observed_at DESC, seq DESC LIMIT %s) h"
            " WHERE e.id = %s ORDER BY n.text, h.observed_at, h.seq",
            (list(attributes), days, from_at, to_at, limit, entity_id),
        )
        return [HistoryRow(r[0], r[1], r[2], r[3] if r[4] is None else orjson.loads(r[4]), r[5]) for r in rows]

    def read_log(self, after_seq: int, limit: int) -> list[Change]:
        rows = self._all(f"SELECT {LOG_COLUMNS} FROM log WHERE seq > %s ORDER BY seq LIMIT %s", (after_seq, limit))
        return [change_from_row(row) for row in rows]

    # --- links, cursors, states ---

    def find_link(self, kind: str, key: str) -> str | None:
        row = self._one("SELECT id FROM link WHERE kind = %s AND key = %s", (kind, key))
        return None if row is None else str(row[0])

    def list_links(self, kind: str) -> list[tuple[str, str]]:
        return [(r[0], r[1]) for r in self._all("SELECT key, id FROM link WHERE kind = %s ORDER BY key", (kind,))]

    def find_idempotent(self, key: str) -> bytes | None:
        row = self._one("SELECT answer FROM idempotent WHERE key = %s", (key,))
        return None if row is None else bytes(row[0])

    def find_cursor(self, consumer: str) -> int:
        row = self._one("SELECT seq FROM cursor WHERE consumer = %s", (consumer,))
        return 0 if row is None else int(row[0])

    def list_cursors(self) -> list[tuple[str, int]]:
        return [(r[0], r[1]) for r in self._all("SELECT consumer, seq FROM cursor ORDER BY consumer")]

    def find_states(self, detector: str, keys: Sequence[str]) -> dict[str, bytes]:
        rows = self._all(
            "SELECT key, document FROM flow_state WHERE detector = %s AND key = ANY(%s)", (detector, list(keys))
        )
        return {key: bytes(document) for key, document in rows}

    def list_wakes(self) -> list[tuple[Instant, str, str]]:
        rows = self._all(
            "SELECT wake_at, detector, key FROM flow_state WHERE wake_at IS NOT NULL ORDER BY wake_at, detector, key"
        )
        return [(r[0], r[1], r[2]) for r in rows]

    # --- deadlines, outbox, quarantine ---

    def list_due_deadlines(self, now: Instant, limit: int) -> list[DueDeadline]:
        rows = self._all(
            "SELECT record_id, name, due_at, action, arguments FROM deadline WHERE due_at <= %s"
            " ORDER BY due_at, record_id, name LIMIT %s",
            (now, limit),
        )
        return [DueDeadline(r[0], Deadline(r[1], r[2], r[3], orjson.loads(r[4]))) for r in rows]

    def list_deadlines(self, record_id: str) -> list[Deadline]:
        rows = self._all(
            "SELECT name, due_at, action, arguments FROM deadline WHERE record_id = %s ORDER BY due_at, name",
            (record_id,),
        )
        return [Deadline(r[0], r[1], r[2], orjson.loads(r[3])) for r in rows]

    def _outbox(self, where: str, values: Sequence[Any]) -> list[OutboxRow]:
        rows = self._all(
            "SELECT id, record_id, channel, receiver, reason, state, attempts, next_at, idempotency_key, error, created_at"
            f" FROM outbox WHERE {where}",
            values,
        )
        return [
            OutboxRow(r[0], r[1], r[2], r[3], orjson.loads(r[4]), r[5], r[6], r[7], r[8], r[9], r[10]) for r in rows
        ]

    def list_outbox(self, state: str, limit: int, due_before: Instant | None = None) -> list[OutboxRow]:
        if due_before is None:
            return self._outbox("state = %s ORDER BY next_at, id LIMIT %s", (state, limit))
        return self._outbox("state = %s AND next_at <= %s ORDER BY next_at, id LIMIT %s", (state, due_before, limit))

    def list_outbox_of(self, record_id: str) -> list[OutboxRow]:
        return self._outbox("record_id = %s ORDER BY id", (record_id,))

    def list_quarantine(self, source: str | None, limit: int, before_id: int | None = None) -> list[QuarantineRow]:
        where: list[str] = ["true"]
        values: list[Any] = []
        if source is not None:
            where.append("source = %s")
            values.append(source)
        if before_id is not None:
            where.append("id < %s")
            values.append(before_id)
        rows = self._all(
            "SELECT id, source, received_at, code, detail, topic, payload FROM quarantine"
            f" WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT %s",
            (*values, limit),
        )
        return [QuarantineRow(r[0], r[1], r[2], r[3], r[4], r[5], bytes(r[6])) for r in rows]

    def find_document(self, kind: str, id_: str) -> bytes | None:
        row = self._one("SELECT body FROM document WHERE kind = %s AND id = %s", (kind, id_))
        return None if row is None else bytes(row[0])

    def list_documents(self, kind: str) -> list[tuple[str, bytes]]:
        rows = self._all("SELECT id, body FROM document WHERE kind = %s ORDER BY id", (kind,))
        return [(r[0], bytes(r[1])) for r in rows]

    # --- notifications ---

    def list_notifications(self, subscription: str, state: str, limit: int, after_no: int = 0) -> list[NotificationRow]:
        rows = self._all(
            "SELECT no, subscription, state, first_seq, last_seq, events, body, created_at, error FROM notification"
            " WHERE subscription = %s AND state = %s AND no > %s ORDER BY no LIMIT %s",
            (subscription, state, after_no, limit),
        )
        return [NotificationRow(r[0], r[1], r[2], r[3], r[4], r[5], bytes(r[6]), r[7], r[8]) for r in rows]

    def count_notifications(self) -> list[tuple[str, str, int, int]]:
        rows = self._all(
            "SELECT subscription, state, count(*), sum(events)::bigint FROM notification"
            " GROUP BY subscription, state ORDER BY subscription, state"
        )
        return [(r[0], r[1], r[2], r[3]) for r in rows]
