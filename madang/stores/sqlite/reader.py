"""The read side: a consistent snapshot on one connection. The writer's Tx extends it with what its own op did."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import apsw
import msgspec
import orjson

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
from madang.model.time import Instant, render_instant
from madang.ngsild.query import Query
from madang.ngsild.sort import collation_key
from madang.stores.reader import CommonRead, marks
from madang.stores.rows import extent_of
from madang.stores.sqlite.compile import COLLATE_FUNCTION, INSTANT_FUNCTION, Compiled, compile_query
from madang.stores.sqlite.places import DISTANCE_FUNCTION, PLACE_FUNCTION, Measure, PlaceTest
from madang.stores.sqlite.temporal import SqliteEvolution
from madang.stores.stamps import resolve

_IN_MAX = 500
"""Values in one IN list; longer ones are asked in pieces."""

BUSY_TIMEOUT_MS = 10_000
"""How long a connection waits for another one's lock."""

_decode_transition = msgspec.json.Decoder(Transition).decode


class PlaceSlot:
    """The place test and the distances of the query that a connection is running: SQL calls them through functions registered
    once."""

    __slots__ = ("measures", "test")

    def __init__(self) -> None:
        self.test: PlaceTest | None = None
        self.measures: list[Measure] = []

    def __call__(self, *values: Any) -> int:
        return 0 if self.test is None else int(self.test(*values))

    def distance(self, *values: Any) -> float | None:
        """Metres, by the numbered measure of the query."""
        measure: Measure = self.measures[values[0]]
        return measure(*values[1:])

    def set(self, compiled: Compiled) -> None:
        """Take those of a query."""
        self.test, self.measures = compiled.place_test, compiled.measures

    def clear(self) -> None:
        """The query is done."""
        self.test, self.measures = None, []


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def _regexp(*values: Any) -> int:
    pattern, value = values
    return 0 if value is None else int(_pattern(pattern).search(str(value)) is not None)


def _collate(*values: Any) -> Any:
    """The key by which people sort a text; other values as they are."""
    (value,) = values
    return collation_key(value) if isinstance(value, str) else value


def _instant_text(*values: Any) -> str:
    return render_instant(values[0])


def configure(connection: apsw.Connection, cache_kib: int) -> PlaceSlot:
    """Settings and functions that every connection to the file has. `cache_kib`: pages that it keeps in memory at most."""
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.pragma("cache_size", -cache_kib)
    connection.pragma("temp_store", "memory")
    slot = PlaceSlot()
    connection.create_scalar_function(PLACE_FUNCTION, slot, 3)
    connection.create_scalar_function(DISTANCE_FUNCTION, slot.distance, 4)
    connection.create_scalar_function(COLLATE_FUNCTION, _collate, 1, deterministic=True)
    connection.create_scalar_function(INSTANT_FUNCTION, _instant_text, 1, deterministic=True)
    connection.create_scalar_function("regexp", _regexp, 2, deterministic=True)
    return slot


_ENTITY_COLUMNS = ", ".join(
    f"e.{name}"
    for name in ("id", "type", "body", "created_at", "modified_at", "observed_at", "seq", "types", "scopes", "expires_at",
                 "wakes_at", "stamps")
)  # fmt: skip
_IS_PLAIN = "e.types IS NULL AND e.scopes IS NULL AND e.wakes_at IS NULL AND NOT e.many"
_RECORD_COLUMNS = "id, type, state, version, data, created_at, modified_at"


def _entity(row: Sequence[Any], *, stamps: bool = False, at: Instant | None = None) -> Entity:
    """A row as a value; without the attributes that have expired at `at`."""
    attributes = orjson.loads(row[2])
    entity = Entity(
        row[0],
        row[1],
        attributes,
        row[3],
        row[4],
        row[5],
        row[6],
        () if row[7] is None else tuple(orjson.loads(row[7])),
        () if row[8] is None else tuple(orjson.loads(row[8])),
        row[9],
        resolve({} if row[11] is None else orjson.loads(row[11]), attributes, row[3], row[4]) if stamps else {},
    )
    if at is None or row[10] is None or row[10] > at:
        return entity
    # The query's own condition has left out entities that have expired as a whole.
    return alive_at(entity, at) or entity


class SqliteRead(SqliteEvolution, CommonRead):
    """`madang.hub.ports.Read` on one connection inside a transaction."""

    def __init__(self, connection: apsw.Connection, slot: PlaceSlot) -> None:
        self._db = connection
        self._slot = slot

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._db.execute(sql, values).fetchall()

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return self._db.execute(sql, values).fetchone()

    def last_seq(self) -> int:
        row = self._one("SELECT max(seq) FROM log")
        return int(row[0] or 0)

    def log_time(self) -> Instant:
        row = self._one("SELECT recorded_at FROM log ORDER BY seq DESC LIMIT 1")
        return int(row[0]) if row is not None else 0

    # --- entities ---

    def find_entity(self, id_: str, *, stamps: bool = False) -> Entity | None:
        row = self._one(f"SELECT {_ENTITY_COLUMNS} FROM entity e WHERE e.id = ? AND e.deleted = 0", (id_,))
        return None if row is None else _entity(row, stamps=stamps)

    def find_entity_body(self, id_: str) -> Body | None:
        row = self._one(
            f"SELECT e.type, e.body, {_IS_PLAIN} FROM entity e WHERE e.id = ? AND e.deleted = 0",
            (id_,),
        )
        return None if row is None else Body(row[0], row[1], bool(row[2]))

    def _is_further_type(self, name: str) -> bool:
        return self._one("SELECT 1 FROM entity_type WHERE type = ? LIMIT 1", (name,)) is not None

    def query(self, query: Query) -> Page:
        rows, total = self._query(query, _ENTITY_COLUMNS)
        entities = [_entity(r, stamps=query.stamps, at=query.alive_at) for r in rows[: query.limit]]
        more = len(rows) > query.limit
        return Page(entities, total, entities[-1].id if more and entities else None)

    def query_bodies(self, query: Query) -> BodyPage:
        rows, total = self._query(query, f"e.id, e.type, e.body, {_IS_PLAIN}")
        found = [(row[0], Body(row[1], row[2], bool(row[3]))) for row in rows[: query.limit]]
        return BodyPage(found, total, len(rows) > query.limit)

    def query_ids(self, query: Query) -> list[str]:
        rows, _ = self._query(query, "e.id")
        return [row[0] for row in rows[: query.limit]]

    def _query(self, query: Query, columns: str) -> tuple[list[Any], int | None]:
        """(rows, one more than the page has when there is more; number of matches when it was asked for)."""
        self._settle()
        compiled = compile_query(query, self._is_further_type)
        self._slot.set(compiled)
        try:
            sql = f"SELECT {columns} FROM entity e WHERE {compiled.where} ORDER BY {compiled.order} LIMIT ? OFFSET ?"
            values = [*compiled.values, query.limit + 1, query.offset]
            rows = self._all(sql, values)
            total = None
            if query.count:
                count_sql = f"SELECT count(*) FROM entity e WHERE {compiled.where}"
                total = int(self._one(count_sql, compiled.values[: compiled.where_count])[0])
        finally:
            self._slot.clear()
        return rows, total

    def measure(self, query: Query) -> Extent:
        self._settle()
        compiled = compile_query(msgspec.structs.replace(query, after=None, order=()), self._is_further_type)
        self._slot.set(compiled)
        try:
            # The R*Tree keeps 32-bit coordinates, rounded outward, and pads what moves: a point's own are exact.
            row = self._one(
                "SELECT count(*), count(p.no), min(coalesce(e.lon, p.west)), min(coalesce(e.lat, p.south)),"
                " max(coalesce(e.lon, p.east)), max(coalesce(e.lat, p.north)), min(e.observed_at), max(e.observed_at)"
                " FROM entity e LEFT JOIN entity_place p ON p.no = e.no"
                # A row there outlives the location that it was made for.
                " AND (e.lon IS NOT NULL OR e.many OR json_type(e.body, '$.location') IS NOT NULL)"
                f" WHERE {compiled.where}",
                compiled.values[: compiled.where_count],
            )
        finally:
            self._slot.clear()
        return extent_of(row)

    def list_ids(self, type_: str) -> list[str]:
        self._settle()
        rows = self._all(
            "SELECT id FROM entity WHERE type = ?1 AND deleted = 0"
            " UNION SELECT id FROM entity WHERE no IN (SELECT no FROM entity_type WHERE type = ?1) AND deleted = 0 ORDER BY id",
            (type_,),
        )
        return [row[0] for row in rows]

    def list_types(self) -> dict[str, int]:
        self._settle()
        counts = dict(self._all("SELECT type, count(*) FROM entity WHERE deleted = 0 GROUP BY type"))
        for type_, count in self._all("SELECT type, count(*) FROM entity_type GROUP BY type"):
            counts[type_] = counts.get(type_, 0) + count
        return dict(sorted(counts.items()))

    def list_attributes(self, types: Sequence[str] | None = None) -> list[AttributeUse]:
        self._settle()
        values: list[Any] = []
        chosen = ""
        if types is not None:
            chosen = f" AND (e.type IN ({marks(types)}) OR e.no IN (SELECT no FROM entity_type WHERE type IN ({marks(types)})))"
            values = [*types, *types]
        rows = self._all(
            "SELECT e.type, e.types, j.key, json_extract(j.value, '$.type') AS kind, count(*)"
            f" FROM entity e, json_each(e.body) AS j WHERE e.deleted = 0{chosen} GROUP BY e.type, e.types, j.key, kind",
            values,
        )
        found: dict[tuple[str, str, str], int] = {}
        for type_, further, key, kind, count in rows:
            for name in (type_,) if further is None else orjson.loads(further):
                use = (name, split_key(key)[0], str(kind))
                # Of an attribute with several instances the default one counts, as far as there is one.
                found[use] = max(found.get(use, 0), count) if " " in key else found.get(use, 0) + count
        return [AttributeUse(*use, count) for use, count in sorted(found.items()) if types is None or use[0] in types]

    def list_expired(self, now: Instant, limit: int) -> list[str]:
        self._settle()
        rows = self._all(
            "SELECT id FROM entity WHERE wakes_at IS NOT NULL AND deleted = 0 AND wakes_at <= ? ORDER BY wakes_at LIMIT ?",
            (now, limit),
        )
        return [row[0] for row in rows]

    # --- history and log ---

    def history(
        self, entity_id: str, attributes: Sequence[str], from_at: Instant, to_at: Instant, limit: int
    ) -> list[HistoryRow]:
        self._settle()
        found = self._one("SELECT no FROM entity WHERE id = ?", (entity_id,))
        if found is None or not attributes:
            return []
        names = {
            no: text
            for no, text in self._all(
                f"SELECT no, text FROM name WHERE text IN ({marks(attributes)})", list(attributes)
            )
        }
        days = [
            row[0]
            for row in self._all(
                "SELECT day FROM history_day WHERE last_observed_at >= ? AND first_observed_at < ? ORDER BY day DESC",
                (from_at, to_at),
            )
        ]
        result: list[HistoryRow] = []
        for no, name in sorted(names.items(), key=lambda item: item[1]):
            rows: list[HistoryRow] = []
            for day in days:
                # Days are recorded days: late data of an older observed day may stand in a newer one, so all are asked.
                for observed_at, seq, received_at, number, text in self._all(
                    f"SELECT observed_at, seq, received_at, number, text FROM history_{day} WHERE entity = ?"
                    " AND attribute = ? AND observed_at >= ? AND observed_at < ? AND (number IS NOT NULL OR text IS NOT NULL)"
                    " ORDER BY observed_at DESC, seq DESC LIMIT ?",
                    (found[0], no, from_at, to_at, limit),
                ):
                    value = number if text is None else orjson.loads(text)
                    rows.append(HistoryRow(name, observed_at, received_at, value, seq))
            rows.sort(key=lambda r: (r.observed_at, r.seq))
            result.extend(rows[-limit:])
        return result
