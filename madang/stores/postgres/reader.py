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
    Extent,
    HistoryRow,
    Page,
)
from madang.model.change import Transition
from madang.model.entity import Entity, alive_at, split_key
from madang.model.time import Instant
from madang.ngsild.query import Query
from madang.stores.postgres.compile import compile_query
from madang.stores.postgres.connect import Connection
from madang.stores.postgres.temporal import PostgresEvolution
from madang.stores.reader import CommonRead
from madang.stores.rows import extent_of
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


class PostgresRead(PostgresEvolution, CommonRead):
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
        self._settle()
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
        self._settle()
        compiled = compile_query(replace(query, after=None, order=()), self._is_further_type)
        row = self._one(
            "SELECT count(*), count(e.place), min(ST_XMin(e.place)), min(ST_YMin(e.place)), max(ST_XMax(e.place)),"
            f" max(ST_YMax(e.place)), min(e.observed_at), max(e.observed_at) FROM entity e WHERE {compiled.where}",
            compiled.values,
        )
        return extent_of(row)

    def list_ids(self, type_: str) -> list[str]:
        self._settle()
        rows = self._all(
            "SELECT id FROM entity WHERE type = %(type)s AND NOT deleted"
            " UNION SELECT id FROM entity WHERE types @> ARRAY[%(type)s] AND NOT deleted ORDER BY id",
            {"type": type_},
        )
        return [row[0] for row in rows]

    def list_types(self) -> dict[str, int]:
        self._settle()
        return dict(
            self._all(
                "SELECT type, sum(n)::bigint FROM ("
                " SELECT type, count(*) AS n FROM entity WHERE NOT deleted AND types IS NULL GROUP BY type"
                ' UNION ALL SELECT t COLLATE "C", count(*) FROM entity, unnest(types) AS t WHERE NOT deleted GROUP BY t) x'
                " GROUP BY type ORDER BY type"
            )
        )

    def list_attributes(self, types: Sequence[str] | None = None) -> list[AttributeUse]:
        self._settle()
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
        self._settle()
        rows = self._all(
            "SELECT id FROM entity WHERE wakes_at IS NOT NULL AND NOT deleted AND wakes_at <= %s ORDER BY wakes_at LIMIT %s",
            (now, limit),
        )
        return [row[0] for row in rows]

    # --- history and log ---

    def history(
        self, entity_id: str, attributes: Sequence[str], from_at: Instant, to_at: Instant, limit: int
    ) -> list[HistoryRow]:
        self._settle()
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

    # --- states ---

    def find_states(self, detector: str, keys: Sequence[str]) -> dict[str, bytes]:
        rows = self._all(
            "SELECT key, document FROM flow_state WHERE detector = %s AND key = ANY(%s)", (detector, list(keys))
        )
        return {key: bytes(document) for key, document in rows}
