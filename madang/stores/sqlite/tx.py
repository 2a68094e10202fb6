"""The write side: what an op may do inside the writer's transaction.

Readings are the hot path: their rows are kept in buffers and written with multi-row statements when the group commits (or earlier, when an
op reads what they hold). One statement of 64 rows costs one call into SQLite instead of 64, and SQLite works without
the interpreter's lock meanwhile. An op that fails is undone alone: its buffered rows are cut, and an op
that is not `bulk` runs in a savepoint of its own.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import apsw
import orjson

from madang.hub.ports import NotificationRow
from madang.model.change import CLOCK, DELETION, READING, RECORD, REFERENCE, Change, Transition
from madang.model.entity import Attribute, Attributes, Entity, Reading, needs_care, next_expiry, split_key
from madang.model.record import Record
from madang.model.time import Instant, day_of, parse_instant, render_instant
from madang.stores.reader import in_pieces, marks
from madang.stores.rows import log_row
from madang.stores.sqlite.reader import PlaceSlot, SqliteRead
from madang.stores.sqlite.schema import HISTORY_DDL
from madang.stores.stamps import NO_MARKS, Marks, mark_change, resolve
from madang.stores.temporal import TemporalWrites
from madang.stores.writes import CommonWrites

CACHE_ENTITIES_MAX = 100_000
"""Entities whose state the writer keeps in memory (about 3 KB each). What is evicted is read again."""
PREFETCH_MAX = 10_000
"""Entities that are loaded at once for a group of ops; what is beyond is loaded one by one."""
ROWS_PER_STATEMENT = 64
"""Rows in one INSERT. Larger ones gained nothing when tried; the statement's text is prepared once."""
BUFFER_ROWS_MAX = 20_000
"""Buffered rows of one kind before they are written within the transaction: bounds memory under a flood."""
PLACE_PAD_DEGREES = 0.005
"""A moving point is kept in the R*Tree as a box this much (about 500 m) around it and moved only when it leaves the box:
moving a point costs 50 µs, and the exact place stands in the entity's own columns."""


class CachedEntity:
    """An entity's row as the writer knows it."""

    __slots__ = (
        "attributes",
        "body",
        "box",
        "created_at",
        "expires_at",
        "id",
        "lat",
        "lon",
        "many",
        "marks",
        "marks_text",
        "modified_at",
        "no",
        "observed_at",
        "scopes",
        "seq",
        "type",
        "types",
        "wakes_at",
    )

    def __init__(self, no: int, id_: str, type_: str, created_at: Instant) -> None:
        self.no = no
        self.id = id_
        self.type = type_
        self.attributes: Attributes = {}
        self.body = "{}"
        self.created_at = created_at
        self.modified_at = created_at
        self.observed_at = 0
        self.seq = 0
        self.lon: float | None = None
        self.lat: float | None = None
        self.box: tuple[float, float, float, float] | None = None
        """(west, south, east, north) as it stands in the R*Tree."""
        self.types: tuple[str, ...] = ()
        self.scopes: tuple[str, ...] = ()
        self.expires_at: Instant | None = None
        self.wakes_at: Instant | None = None
        self.many = 0
        self.marks: Marks = NO_MARKS
        self.marks_text: str | None = None

    def copy(self) -> "CachedEntity":
        """A copy that can be changed without changing this one (attributes are replaced whole, never in place)."""
        other = CachedEntity(self.no, self.id, self.type, self.created_at)
        other.attributes, other.body, other.modified_at = self.attributes, self.body, self.modified_at
        other.observed_at, other.seq = self.observed_at, self.seq
        other.lon, other.lat, other.box = self.lon, self.lat, self.box
        other.types, other.scopes, other.expires_at = self.types, self.scopes, self.expires_at
        other.wakes_at, other.many = self.wakes_at, self.many
        other.marks, other.marks_text = self.marks, self.marks_text
        return other

    def mark(self, touched: Attributes, now: Instant, removed: Sequence[str] = ()) -> None:
        """Keep when attributes were created and modified; called before `attributes` and `modified_at` change."""
        before = self.attributes
        if not removed and not self.marks and before.keys() == touched.keys():
            return
        marks = mark_change(
            self.marks,
            before,
            touched,
            created_at=self.created_at,
            modified_at=self.modified_at,
            now=now,
            removed=removed,
        )
        if marks is not self.marks:
            self.marks, self.marks_text = marks, orjson.dumps(marks).decode() if marks else None

    def to_entity(self, *, stamps: bool = False) -> Entity:
        return Entity(
            self.id,
            self.type,
            self.attributes,
            self.created_at,
            self.modified_at,
            self.observed_at,
            self.seq,
            self.types,
            self.scopes,
            self.expires_at,
            resolve(self.marks, self.attributes, self.created_at, self.modified_at) if stamps else {},
        )


class Counters:
    """What the writer counts up. Taken back when a group fails."""

    __slots__ = ("entity_no", "log_time", "name_no", "seq")

    def __init__(self, seq: int, entity_no: int, name_no: int, log_time: Instant) -> None:
        self.seq = seq
        self.entity_no = entity_no
        self.name_no = name_no
        self.log_time = log_time

    def copy(self) -> "Counters":
        return Counters(self.seq, self.entity_no, self.name_no, self.log_time)


class WriterMemory:
    """What the writer remembers between groups: the entity cache, interned names, counters, known history days."""

    def __init__(self, connection: apsw.Connection) -> None:
        def one(sql: str) -> Any:
            return connection.execute(sql).fetchone()

        row = one("SELECT seq, recorded_at FROM log ORDER BY seq DESC LIMIT 1")
        # The log may have been trimmed: the counters of what refers to it still stand in the cursors.
        trimmed = one("SELECT max(seq) FROM cursor")[0] or 0
        self.counters = Counters(
            max(row[0] if row else 0, trimmed),
            one("SELECT max(no) FROM entity")[0] or 0,
            one("SELECT max(no) FROM name")[0] or 0,
            row[1] if row else 0,
        )
        self.entities: OrderedDict[str, CachedEntity] = OrderedDict()
        names: Any = connection.execute("SELECT text, no FROM name").fetchall()
        self.names: dict[str, int] = dict(names)
        self.days: dict[str, list[int]] = {}
        self.load_days(connection)

    def load_days(self, connection: apsw.Connection) -> None:
        """Read which history tables there are, each with its [first, last] observed instant."""
        rows: Any = connection.execute("SELECT day, first_observed_at, last_observed_at FROM history_day").fetchall()
        self.days = {day: [first, last] for day, first, last in rows}

    def shrink(self) -> None:
        """Evict the entities that were not used for longest."""
        while len(self.entities) > CACHE_ENTITIES_MAX:
            self.entities.popitem(last=False)


_LOAD = (
    "SELECT e.id, e.no, e.type, e.body, e.created_at, e.modified_at, e.observed_at, e.seq, e.lon, e.lat,"
    " p.west, p.south, p.east, p.north, e.deleted, e.types, e.scopes, e.expires_at, e.wakes_at, e.many, e.stamps"
    " FROM entity e LEFT JOIN entity_place p ON p.no = e.no WHERE"
)
"""What the memory keeps of an entity."""


class _Statement:
    """A multi-row INSERT: `head` VALUES (…), (…) `tail`."""

    def __init__(self, head: str, columns: int, tail: str = "") -> None:
        row = "(" + ", ".join("?" * columns) + ")"
        self.many = f"{head} VALUES {', '.join([row] * ROWS_PER_STATEMENT)} {tail}"
        self.one = f"{head} VALUES {row} {tail}"

    def run(self, connection: apsw.Connection, rows: list[tuple[Any, ...]]) -> None:
        full = len(rows) - len(rows) % ROWS_PER_STATEMENT
        for start in range(0, full, ROWS_PER_STATEMENT):
            values: list[Any] = []
            for row in rows[start : start + ROWS_PER_STATEMENT]:
                values.extend(row)
            connection.execute(self.many, values)
        if full < len(rows):
            connection.executemany(self.one, rows[full:])


_LOG = _Statement("INSERT INTO log", 14)
_ENTITY = _Statement(
    "INSERT INTO entity",
    17,
    "ON CONFLICT (no) DO UPDATE SET type = excluded.type, body = excluded.body, created_at = excluded.created_at,"
    " modified_at = excluded.modified_at, observed_at = excluded.observed_at, seq = excluded.seq, lon = excluded.lon,"
    " lat = excluded.lat, deleted = excluded.deleted, types = excluded.types, scopes = excluded.scopes,"
    " expires_at = excluded.expires_at, wakes_at = excluded.wakes_at, many = excluded.many, stamps = excluded.stamps",
)
_KNOWN_ENTITY = _Statement(
    "INSERT INTO entity",
    17,
    "ON CONFLICT (no) DO UPDATE SET body = excluded.body, modified_at = excluded.modified_at,"
    " observed_at = excluded.observed_at, seq = excluded.seq, lon = excluded.lon, lat = excluded.lat,"
    " types = excluded.types, scopes = excluded.scopes, expires_at = excluded.expires_at, many = excluded.many,"
    " stamps = excluded.stamps",
)
"""For rows that are there and of which no column in an index changes: what is not set needs no index to be looked into."""
_MESSAGE = _Statement("INSERT INTO message_id", 2)
_PLACE = _Statement("INSERT OR REPLACE INTO entity_place", 5)
_REFERENCE = _Statement("INSERT INTO reference_version", 5)


class SqliteTx(CommonWrites, TemporalWrites, SqliteRead):
    """`madang.hub.ports.Tx`. One object serves one transaction (one group of ops)."""

    def __init__(self, connection: apsw.Connection, slot: PlaceSlot, memory: WriterMemory, clock_now: Instant) -> None:
        super().__init__(connection, slot)
        self._memory = memory
        self._counters = memory.counters.copy()
        self._now = max(clock_now, self._counters.log_time)
        self._counters.log_time = self._now
        self._day = day_of(self._now)
        self._now_text = render_instant(self._now)
        self.changes: list[Change] = []
        self._log: list[tuple[Any, ...]] = []
        self._history: list[tuple[Any, ...]] = []
        self._messages: dict[bytes, int] = {}
        self._quarantine: list[tuple[Any, ...]] = []
        self._touched: set[str] = set()
        """Entities changed in this transaction."""
        self._dirty: dict[str, CachedEntity] = {}
        self._reindexed: set[int] = set()
        """Numbers of dirty entities that are new or of which a column in an index changed."""
        self._references: list[tuple[Any, ...]] = []
        self._type_rows: list[tuple[str, int, bool]] = []
        """Further types of entities that changed: (type, number, True to add or False to take away)."""
        self._absent: set[str] = set()
        """Ids that the file does not have: asked once in this transaction."""
        self._new_names: list[str] = []
        self._all_names: list[str] = []
        # What the running op did, to be undone alone.
        self._op_undo: list[tuple[str, CachedEntity | None, CachedEntity | None]] = []
        self._op_marks = (0, 0, 0, 0, 0, 0)
        self._op_counters = self._counters
        self._op_messages: list[bytes] = []
        self._op_names: list[str] = []
        self._bulk = False
        self.rows_written = 0

    @property
    def now(self) -> Instant:
        return self._now

    # --- life of an op (called by the store) ---

    def begin_op(self, bulk: bool) -> None:
        """Start an op. A bulk op only fills buffers, so undoing it is cutting them; any other gets a savepoint."""
        self._bulk = bulk
        if not bulk:
            self._flush()
            self._db.execute("SAVEPOINT op")
        self._op_marks = (
            len(self._log), len(self._history), len(self._quarantine), len(self.changes), len(self._references),
            len(self._type_rows),
        )  # fmt: skip
        self._op_undo = []
        self._op_messages = []
        self._op_names = []
        self._op_counters = self._counters.copy()

    def end_op(self) -> None:
        """The op succeeded."""
        if not self._bulk:
            self._flush()
            self._db.execute("RELEASE op")
        elif len(self._history) > BUFFER_ROWS_MAX or len(self._log) > BUFFER_ROWS_MAX:
            self._flush()

    def undo_op(self) -> None:
        """The op raised: take back what it did, and nothing else."""
        log, history, quarantine, changes, references, type_rows = self._op_marks
        del self._log[log:], self._history[history:], self._quarantine[quarantine:], self.changes[changes:]
        del self._references[references:], self._type_rows[type_rows:]
        for id_, before, dirty_before in reversed(self._op_undo):
            self._set_cached(id_, before)
            if dirty_before is None:
                self._dirty.pop(id_, None)
            else:
                self._dirty[id_] = dirty_before
        for name in self._op_names:
            self._memory.names.pop(name, None)
        for key in self._op_messages:
            self._messages.pop(key, None)
        self._new_names = [n for n in self._new_names if n in self._memory.names]
        self._counters = self._op_counters
        if not self._bulk:
            self._db.execute("ROLLBACK TO op")
            self._db.execute("RELEASE op")
            self._memory.load_days(self._db)

    def finish(self) -> None:
        """Write what is still buffered; the store commits next."""
        self._flush()

    def committed(self) -> None:
        """The group is durable: its counters hold."""
        self._memory.counters = self._counters
        self._memory.shrink()

    def rolled_back(self) -> None:
        """The group failed and the file is as before it: forget what the memory knows beyond the file."""
        for id_ in self._touched:
            self._memory.entities.pop(id_, None)
        for name in self._all_names:
            self._memory.names.pop(name, None)
        self._memory.load_days(self._db)

    # --- buffers ---

    def _flush(self) -> None:
        """Write the buffers into the transaction. Never called in the middle of a bulk op: its rows must stay cuttable."""
        db = self._db
        self.rows_written += len(self._log) + len(self._history) + len(self._dirty)
        if self._new_names:
            db.executemany("INSERT INTO name VALUES (?, ?)", [(self._memory.names[n], n) for n in self._new_names])
            self._new_names.clear()
        if self._messages:
            day = int(self._day)
            _MESSAGE.run(db, [(key, day) for key, state in self._messages.items() if state == 0])
            for key in self._messages:
                self._messages[key] = 1  # written; kept so that a repeat in this transaction is still known
        if self._dirty:
            rows: list[tuple[Any, ...]] = []
            known: list[tuple[Any, ...]] = []
            places: list[tuple[Any, ...]] = []
            for cached in self._dirty.values():
                (rows if cached.no in self._reindexed else known).append(
                    (
                        cached.no, cached.id, cached.type, cached.body, cached.created_at, cached.modified_at,
                        cached.observed_at, cached.seq, cached.lon, cached.lat, 0,
                        orjson.dumps(cached.types).decode() if cached.types else None,
                        orjson.dumps(cached.scopes).decode() if cached.scopes else None,
                        cached.expires_at, cached.wakes_at, cached.many, cached.marks_text,
                    )
                )  # fmt: skip
                place = self._place_row(cached)
                if place is not None:
                    places.append(place)
            _ENTITY.run(db, rows)
            _KNOWN_ENTITY.run(db, known)
            if places:
                _PLACE.run(db, places)
            self._dirty.clear()
            self._reindexed.clear()
        if self._type_rows:
            for type_, no, add in self._type_rows:
                if add:
                    db.execute("INSERT OR IGNORE INTO entity_type VALUES (?, ?)", (type_, no))
                else:
                    db.execute("DELETE FROM entity_type WHERE type = ? AND no = ?", (type_, no))
            self._type_rows.clear()
        if self._log:
            _LOG.run(db, self._log)
            self._log.clear()
        if self._references:
            _REFERENCE.run(db, self._references)
            self._references.clear()
        if self._history:
            self._flush_history()
        if self._quarantine:
            db.executemany(
                "INSERT INTO quarantine (source, received_at, code, detail, topic, payload) VALUES (?, ?, ?, ?, ?, ?)",
                self._quarantine,
            )
            self._quarantine.clear()

    def _flush_history(self) -> None:
        day = self._day
        first = min(row[2] for row in self._history)
        last = max(row[2] for row in self._history)
        known = self._memory.days.get(day)
        if known is None:
            self._db.execute(HISTORY_DDL.format(day=day))
            known = self._memory.days[day] = [first, last]
            self._db.execute("INSERT INTO history_day VALUES (?, ?, ?)", (day, first, last))
        elif first < known[0] or last > known[1]:
            # The last bound is set ahead to the minute so that the row is not rewritten with every group.
            known[0], known[1] = min(first, known[0]), max(last + 60_000_000, known[1])
            self._db.execute(
                "UPDATE history_day SET first_observed_at = ?, last_observed_at = ? WHERE day = ?", (*known, day)
            )
        _history_statement(day).run(self._db, self._history)
        self._history.clear()

    def _place_row(self, cached: CachedEntity) -> tuple[Any, ...] | None:
        """The entity's row in the R*Tree when it must change."""
        if cached.lon is not None and cached.lat is not None and not cached.many:
            lon, lat, box = cached.lon, cached.lat, cached.box
            if box is not None and box[0] <= lon <= box[2] and box[1] <= lat <= box[3]:
                return None
            pad = PLACE_PAD_DEGREES
            cached.box = (lon - pad, lat - pad, lon + pad, lat + pad)
        else:
            # One box around all instances of the location.
            found = [a.get("value") for key, a in cached.attributes.items() if split_key(key)[0] == "location"]
            bounds = _bounds({"geometries": [geometry for geometry in found if isinstance(geometry, dict)]})
            if bounds is None or bounds == cached.box:
                return None
            cached.box = bounds
        west, south, east, north = cached.box
        return cached.no, west, east, south, north

    def _direct(self) -> None:
        """Called before an op writes with SQL of its own."""
        if self._bulk:
            raise RuntimeError("a bulk op may only remember messages, find and write entities and quarantine payloads")

    def _before_read(self) -> None:
        """SQL reads must see what this op and earlier ones buffered."""
        self._direct()
        self._flush()

    def _before_own_sql(self) -> None:
        self._before_read()

    def _tell(self, sql: str, values: Sequence[Any]) -> int:
        self._direct()
        self._db.execute(sql, values)
        return self._db.changes()

    # --- entities ---

    def _set_cached(self, id_: str, cached: CachedEntity | None) -> None:
        if cached is None:
            self._memory.entities.pop(id_, None)
        else:
            self._memory.entities[id_] = cached

    def _load(self, id_: str) -> CachedEntity | None:
        """The entity's row: from the cache, else from the file."""
        cached = self._memory.entities.get(id_)
        if cached is not None:
            self._memory.entities.move_to_end(id_)
            return cached
        if id_ in self._absent:
            return None
        row = self._one(f"{_LOAD} e.id = ?", (id_,))
        if row is None:
            self._absent.add(id_)
            return None
        return self._take_row(row)

    def prefetch(self, ids: Sequence[str]) -> None:
        """Load the entities with these ids as far as the memory does not have them: one statement instead of one for each."""
        known = self._memory.entities
        missing = [id_ for id_ in dict.fromkeys(ids) if id_ not in known]
        for piece in in_pieces(missing[:PREFETCH_MAX]):
            found = self._all(f"{_LOAD} e.id IN ({marks(piece)})", piece)
            self._absent.update(piece)
            self._absent.difference_update(row[0] for row in found)
            for row in found:
                self._take_row(row)

    def _take_row(self, row: Sequence[Any]) -> CachedEntity:
        """A row of `_LOAD`, into the memory unless the entity is deleted."""
        id_ = row[0]
        cached = CachedEntity(row[1], id_, row[2], row[4])
        if row[14]:
            # A deleted entity keeps its number, so that its history is found again under the same id.
            cached.seq = -1
            return cached
        cached.body, cached.attributes = row[3], orjson.loads(row[3])
        cached.modified_at, cached.observed_at, cached.seq, cached.lon, cached.lat = row[5:10]
        if row[10] is not None:
            # R*Tree coordinates are 32-bit floats, rounded outwards: shrink by that so that the box stays inside.
            slack = 2e-5
            cached.box = (row[10] + slack, row[11] + slack, row[12] - slack, row[13] - slack)
        cached.types = () if row[15] is None else tuple(orjson.loads(row[15]))
        cached.scopes = () if row[16] is None else tuple(orjson.loads(row[16]))
        cached.expires_at, cached.wakes_at, cached.many = row[17], row[18], row[19]
        if row[20] is not None:
            cached.marks, cached.marks_text = orjson.loads(row[20]), row[20]
        self._memory.entities[id_] = cached
        return cached

    def _for_change(self, id_: str, type_: str) -> CachedEntity:
        """A copy of the entity to change, registered for undo; a new one when it is absent."""
        before = self._load(id_)
        if before is None or before.seq == -1:
            cached = CachedEntity(before.no if before is not None else self._next_entity_no(), id_, type_, self._now)
            self._reindexed.add(cached.no)
            before = None
        else:
            cached = before.copy()
        self._op_undo.append((id_, before, self._dirty.get(id_)))
        self._touched.add(id_)
        self._memory.entities[id_] = cached
        self._dirty[id_] = cached
        return cached

    def _next_entity_no(self) -> int:
        self._counters.entity_no += 1
        return self._counters.entity_no

    def _next_seq(self) -> int:
        self._counters.seq += 1
        return self._counters.seq

    def _name_no(self, name: str) -> int:
        no = self._memory.names.get(name)
        if no is None:
            self._counters.name_no += 1
            no = self._memory.names[name] = self._counters.name_no
            self._new_names.append(name)
            self._all_names.append(name)
            self._op_names.append(name)
        return no

    def _record_change(self, change: Change, attributes_json: str, before_json: str | None = None) -> None:
        self.changes.append(change)
        self._log.append(log_row(change, attributes_json, before_json))

    def _add_history(
        self, entity_no: int, attributes: Attributes, observed_at: Instant, received_at: Instant, seq: int
    ) -> None:
        history, name_no = self._history, self._memory.names
        for name, attribute in attributes.items():
            no = name_no.get(name) or self._name_no(name)
            value = attribute.get("value")
            if type(value) is float or type(value) is int:
                history.append((entity_no, no, observed_at, seq, received_at, value, None, None))
            else:
                if value is None:
                    value = attribute.get("object")
                text = orjson.dumps(value).decode()
                history.append((entity_no, no, observed_at, seq, received_at, None, text, None))

    def append_reading(self, reading: Reading, source: str, received_at: Instant) -> Change:
        cached = self._for_change(reading.entity_id, reading.entity_type)
        previous = max(0, cached.seq)
        seq = self._next_seq()
        observed_at = reading.observed_at
        late = observed_at < cached.observed_at
        text = render_instant(observed_at)
        merged = dict(cached.attributes)
        taken: Attributes = {}
        for name, attribute in reading.attributes.items():
            if late and not _is_newer(observed_at, merged.get(name)):
                continue
            merged[name] = taken[name] = {**attribute, "observedAt": text}
        cached.mark(taken, self._now)
        cached.attributes = merged
        cached.body = orjson.dumps(merged).decode()
        cached.modified_at, cached.seq = self._now, seq
        if not late:
            cached.observed_at = observed_at
        if cached.wakes_at is not None:
            cached.wakes_at = next_expiry(merged, cached.expires_at)
            self._reindexed.add(cached.no)
        _set_point(cached, merged.get("location"))
        change = Change(
            seq=seq,
            kind=READING,
            recorded_at=self._now,
            observed_at=observed_at,
            entity_id=reading.entity_id,
            entity_type=reading.entity_type,
            attributes=reading.attributes,
            source=source,
            late=late,
            received_at=received_at,
            previous=previous,
        )
        self._record_change(change, orjson.dumps(reading.attributes).decode())
        self._add_history(cached.no, reading.attributes, observed_at, received_at, seq)
        return change

    def put_entity(
        self,
        id_: str,
        type_: str,
        attributes: Attributes,
        source: str,
        *,
        reference: bool,
        replace: bool,
        remove: Sequence[str] = (),
        types: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        expires_at: Instant | None = None,
    ) -> Change:
        cached = self._for_change(id_, type_)
        previous = max(0, cached.seq)
        seq = self._next_seq()
        before, before_text, scopes_before = cached.attributes, cached.body, cached.scopes
        if replace:
            removed = tuple(key for key in before if key not in attributes)
            merged = dict(attributes)
        else:
            removed = tuple(key for key in remove if key in before and key not in attributes)
            merged = {**before, **attributes}
            for key in removed:
                del merged[key]
        self._set_types(cached, type_, types, replace=replace)
        if scopes is not None or replace:
            cached.scopes = tuple(scopes or ())
        if expires_at is not None or replace:
            cached.expires_at = expires_at or None
        cached.mark(attributes, self._now, removed)
        self._write_whole(cached, merged, self._now, seq)
        # What was plain and does not expire stays so: only what was written needs a look.
        looked_at = merged if cached.many or cached.wakes_at is not None else attributes
        wakes_at = next_expiry(looked_at, cached.expires_at)
        if wakes_at != cached.wakes_at:
            cached.wakes_at = wakes_at
            self._reindexed.add(cached.no)
        cached.many = int(needs_care(looked_at))
        change = Change(
            seq=seq,
            kind=REFERENCE if reference else READING,
            recorded_at=self._now,
            observed_at=self._now,
            entity_id=id_,
            entity_type=type_,
            attributes=merged if reference else attributes,
            source=source,
            received_at=self._now,
            removed=removed,
            previous=previous,
            before=before if replace else {key: before[key] for key in (*attributes, *removed) if key in before},
        )
        # Where the texts are those of the whole entity they are at hand already.
        text = cached.body if reference or replace else orjson.dumps(attributes).decode()
        self._record_change(change, text, before_text if replace else None)
        if reference:
            self._references.append((id_, seq, type_, cached.body, self._now))
        self._add_instances(cached.no, attributes.items(), seq)
        if removed:
            self._add_deletions(cached.no, before, removed, seq)
        self._add_scopes(cached.no, scopes_before, cached.scopes, seq)
        return change

    def _set_types(self, cached: CachedEntity, type_: str, types: Sequence[str] | None, *, replace: bool) -> None:
        """The type and the further ones, which stand in a table of their own."""
        further = cached.types if types is None and not replace and cached.type == type_ else tuple(types or ())
        if len(further) < 2:
            further = ()
        if further != cached.types:
            self._type_rows += [(t, cached.no, False) for t in cached.types]
            self._type_rows += [(t, cached.no, True) for t in further if t != type_]
        if type_ != cached.type:
            cached.type = type_
            self._reindexed.add(cached.no)
        cached.types = further

    def _write_whole(self, cached: CachedEntity, attributes: Attributes, observed_at: Instant, seq: int) -> None:
        cached.attributes = attributes
        cached.body = orjson.dumps(attributes).decode()
        cached.modified_at, cached.seq = self._now, seq
        cached.observed_at = max(cached.observed_at, observed_at)
        _set_point(cached, attributes.get("location"))

    def delete_entity(self, id_: str, source: str) -> Change | None:
        before = self._load(id_)
        if before is None or before.seq == -1:
            return None
        self._direct()
        self._flush()
        self._op_undo.append((id_, before, None))
        self._touched.add(id_)
        self._memory.entities.pop(id_, None)
        self._absent.discard(id_)  # made and deleted in one group: its row is there now, and keeps its number
        seq = self._next_seq()
        self._db.execute(
            "UPDATE entity SET deleted = 1, seq = ?, modified_at = ? WHERE no = ?", (seq, self._now, before.no)
        )
        self._db.execute("DELETE FROM entity_place WHERE no = ?", (before.no,))
        if before.types:
            self._db.executemany(
                "DELETE FROM entity_type WHERE type = ? AND no = ?", [(t, before.no) for t in before.types]
            )
        kept = self._one("SELECT 1 FROM reference_version WHERE entity_id = ? LIMIT 1", (id_,))
        if kept is not None:
            self._references.append((id_, seq, before.type, None, self._now))
        change = Change(
            seq=seq,
            kind=DELETION,
            recorded_at=self._now,
            observed_at=self._now,
            entity_id=id_,
            entity_type=before.type,
            source=source,
            received_at=self._now,
            previous=before.seq,
            before=before.attributes,
        )
        self._record_change(change, "{}")
        self._hide_evolution(before.no, seq)
        return change

    def find_entity(self, id_: str, *, stamps: bool = False) -> Entity | None:
        cached = self._load(id_)
        return None if cached is None or cached.seq == -1 else cached.to_entity(stamps=stamps)

    def append_clock_mark(self) -> Change:
        seq = self._next_seq()
        change = Change(seq=seq, kind=CLOCK, recorded_at=self._now, observed_at=self._now, received_at=self._now)
        self._record_change(change, "{}")
        return change

    # --- messages ---

    def remember_messages(self, keys: Sequence[bytes]) -> list[bool]:
        known: set[bytes] = set()
        pending = self._messages
        ask = [key for key in keys if key not in pending]
        for piece in in_pieces(ask):
            if len(piece) == 1:
                row = self._one("SELECT 1 FROM message_id WHERE key = ?", (piece[0],))
                if row is not None:
                    known.add(piece[0])
            else:
                rows = self._all(f"SELECT key FROM message_id WHERE key IN ({marks(piece)})", list(piece))
                known.update(bytes(row[0]) for row in rows)
        result = []
        for key in keys:
            new = key not in known and key not in pending
            if new:
                pending[key] = 0
                self._op_messages.append(key)
            result.append(new)
        return result

    def forget_messages(self, before_day: str) -> int:
        self._direct()
        self._db.execute("DELETE FROM message_id WHERE day < ?", (int(before_day),))
        return self._db.changes()

    # --- records ---

    def put_record(
        self, record: Record, transition: Transition, attributes: Attributes, links: dict[str, str]
    ) -> Change:
        self._direct()
        cached = self._for_change(record.id, record.type)
        previous = max(0, cached.seq)
        seq = self._next_seq()
        cached.mark(attributes, self._now, [key for key in cached.attributes if key not in attributes])
        self._write_whole(cached, attributes, self._now, seq)
        change = Change(
            seq=seq,
            kind=RECORD,
            recorded_at=self._now,
            observed_at=self._now,
            entity_id=record.id,
            entity_type=record.type,
            attributes=attributes,
            source=transition.actor,
            transition=transition,
            record=record,
            received_at=self._now,
            previous=previous,
        )
        self._record_change(change, cached.body)
        self._write_record(record, transition, seq, links)
        return change

    # --- the rest: small direct writes ---

    def put_states(self, rows: Sequence[tuple[str, str, bytes | None, Instant | None]]) -> None:
        self._direct()
        gone = [(detector, key) for detector, key, document, _ in rows if document is None]
        kept = [row for row in rows if row[2] is not None]
        if gone:
            self._db.executemany("DELETE FROM flow_state WHERE detector = ? AND key = ?", gone)
        _STATE.run(self._db, kept)

    def put_quarantine(
        self, source: str, received_at: Instant, code: str, detail: str, topic: str, payload: bytes
    ) -> None:
        self._quarantine.append((source, received_at, code, detail, topic, payload))

    def trim_log(self, below_seq: int, limit: int) -> int:
        self._before_read()
        self._db.execute(
            "DELETE FROM log WHERE seq < min(?, (SELECT max(seq) FROM log), (SELECT min(seq) FROM log) + ?)",
            (below_seq, limit),
        )
        return self._db.changes()

    def put_notification(self, row: NotificationRow) -> int:
        self._direct()
        self._db.execute(
            "INSERT OR REPLACE INTO notification VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.no or None, row.subscription, row.state, row.first_seq, row.last_seq, row.events, row.body,
                row.created_at, row.error,
            ),
        )  # fmt: skip
        return int(self._db.last_insert_rowid())

    def delete_notifications(self, nos: Sequence[int]) -> None:
        self._direct()
        self._db.executemany("DELETE FROM notification WHERE no = ?", [(no,) for no in nos])

    # --- reads that must see the buffers ---

    def last_seq(self) -> int:
        return self._counters.seq

    def log_time(self) -> Instant:
        return self._now


def _is_newer(observed_at: Instant, attribute: Attribute | None) -> bool:
    """Is a value of `observed_at` newer than the attribute as it stands?"""
    if attribute is None:
        return True
    known = attribute.get("observedAt")
    return known is None or observed_at >= parse_instant(known)


def _set_point(cached: CachedEntity, location: Attribute | None) -> None:
    """Keep lon and lat of a point location in their columns."""
    geometry = None if location is None else location.get("value")
    if isinstance(geometry, dict) and geometry.get("type") == "Point":
        cached.lon, cached.lat = geometry["coordinates"][0], geometry["coordinates"][1]
    else:
        cached.lon = cached.lat = None


def _bounds(geometry: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """(west, south, east, north) of any GeoJSON geometry; None when it has no coordinates."""
    lons: list[float] = []
    lats: list[float] = []

    def walk(node: Any) -> None:
        if isinstance(node, list | tuple):
            if len(node) >= 2 and isinstance(node[0], int | float) and isinstance(node[1], int | float):
                lons.append(node[0])
                lats.append(node[1])
            else:
                for child in node:
                    walk(child)

    walk(geometry.get("coordinates"))
    for member in geometry.get("geometries", ()):
        walk(member.get("coordinates"))
    return (min(lons), min(lats), max(lons), max(lats)) if lons else None


_STATE = _Statement(
    "INSERT INTO flow_state (detector, key, document, wake_at)",
    4,
    "ON CONFLICT (detector, key) DO UPDATE SET document = excluded.document, wake_at = excluded.wake_at",
)
_history_statements: dict[str, _Statement] = {}


def _history_statement(day: str) -> _Statement:
    statement = _history_statements.get(day)
    if statement is None:
        _history_statements.clear()
        statement = _history_statements[day] = _Statement(f"INSERT OR REPLACE INTO history_{day}", 8)
    return statement
