"""What a group of ops has gathered and not yet written, and how one op of it is undone alone.

Readings and API writes only fill buffers; what was gathered is written with one statement a table when the group commits, or earlier,
when an op uses SQL of its own. That op then lies behind a savepoint.
"""

from typing import Any

import orjson
from shapely import set_srid, to_wkb
from shapely.geometry import shape

from madang.model.change import Change
from madang.model.time import Instant, day_of
from madang.stores.cached import CachedEntity, bounds_of, point_of
from madang.stores.postgres.arrays import WGS84, blobs, box_wkb, columns, flags, numbers, point_wkb, texts
from madang.stores.postgres.connect import Connection
from madang.stores.postgres.memory import Head, WriterMemory
from madang.stores.postgres.reader import PostgresRead
from madang.stores.rows import LOG_COLUMNS

BUFFER_ROWS_MAX = 20_000
"""Buffered rows of one kind before they are written within the transaction: bounds memory under a flood."""
PLACE_PAD_DEGREES = 0.005
"""A moving point stands in the index as a box this much (about 500 m) around it and is moved only when it leaves the box."""


class Buffers(PostgresRead):
    """The buffers of one transaction, and the life of its ops."""

    def __init__(self, connection: Connection, memory: WriterMemory, head: Head, clock_now: Instant) -> None:
        super().__init__(connection)
        self._memory = memory
        self.head = head
        self._now = max(clock_now, head.log_time)
        head.log_time = self._now
        self._day = int(day_of(self._now))
        self.changes: list[Change] = []
        self.kinds: set[str] = set()
        """Kinds of documents written, also by ops that were undone: others are told once too often rather than once too seldom."""
        self._log: list[tuple[Any, ...]] = []
        self._history: list[tuple[Any, ...]] = []
        self._messages: dict[bytes, bool] = {}
        """Remembered in this transaction; True: written."""
        self._quarantine: list[tuple[Any, ...]] = []
        self._dirty: dict[str, CachedEntity] = {}
        self._references: list[tuple[Any, ...]] = []
        self._absent: set[str] = set()
        """Ids that the table does not have: asked once in this transaction."""
        self._new_names: list[str] = []
        # What the running op did, to be undone alone.
        self._op_undo: list[tuple[str, CachedEntity | None, CachedEntity | None]] = []
        self._op_marks = (0, 0, 0, 0, 0)
        self._op_head = head
        self._op_messages: list[bytes] = []
        self._op_names: list[str] = []
        self._bulk = False
        self._saved = False
        self.rows_written = 0

    @property
    def now(self) -> Instant:
        return self._now

    # --- life of an op (called by the store) ---

    def begin_op(self, bulk: bool) -> None:
        """Start an op."""
        self._bulk = bulk
        self._saved = False
        self._op_marks = (
            len(self._log), len(self._history), len(self._quarantine), len(self.changes), len(self._references),
        )  # fmt: skip
        self._op_undo, self._op_messages, self._op_names = [], [], []
        self._op_head = self.head.copy()

    def end_op(self) -> None:
        """The op succeeded."""
        if self._saved:
            self._flush()
            self._db.execute("RELEASE SAVEPOINT op")
        elif len(self._history) > BUFFER_ROWS_MAX or len(self._log) > BUFFER_ROWS_MAX:
            self._flush()

    def undo_op(self) -> None:
        """The op raised: take back what it did, and nothing else."""
        if self._saved:
            # Everything before the op was written when the savepoint was set; everything in the buffers is the op's own.
            self._db.execute("ROLLBACK TO SAVEPOINT op")
            self._db.execute("RELEASE SAVEPOINT op")
            for rows in (self._log, self._history, self._quarantine, self._references):
                rows.clear()
            self._dirty.clear()
            self._memory.days.clear()
        else:
            log, history, quarantine, _, references = self._op_marks
            del self._log[log:], self._history[history:], self._quarantine[quarantine:], self._references[references:]
        del self.changes[self._op_marks[3] :]
        for id_, before, dirty_before in reversed(self._op_undo):
            self._set_cached(id_, before)
            if dirty_before is None or self._saved:
                self._dirty.pop(id_, None)
            else:
                self._dirty[id_] = dirty_before
        for name in self._op_names:
            self._memory.names.pop(name, None)
        self._new_names = [n for n in self._new_names if n in self._memory.names]
        for key in self._op_messages:
            self._messages.pop(key, None)
        self.head = self._op_head

    def finish(self) -> None:
        """Write what is still buffered; the store moves the log's head and commits next."""
        self._flush()

    def _save(self) -> None:
        """Called before an op reads or writes with SQL of its own: what fails then must not take the group with it."""
        if self._bulk:
            raise RuntimeError("a bulk op may only remember messages, find and write entities and quarantine payloads")
        if not self._saved:
            # The op's own rows stay in the buffers, so that the savepoint lies before all of them.
            mine = self._cut_own()
            self._flush()
            self._db.execute("SAVEPOINT op")
            self._saved = True
            self._give_back(mine)
        self._flush()

    def _cut_own(self) -> tuple[Any, ...]:
        log, history, quarantine, _, references = self._op_marks
        own = (self._log[log:], self._history[history:], self._quarantine[quarantine:], self._references[references:])
        del self._log[log:], self._history[history:], self._quarantine[quarantine:], self._references[references:]
        dirty: dict[str, CachedEntity] = {}
        for id_, _, dirty_before in self._op_undo:
            if id_ not in dirty:
                dirty[id_] = self._dirty.pop(id_)
                if dirty_before is not None:
                    self._dirty[id_] = dirty_before
        messages = {key: self._messages.pop(key) for key in self._op_messages}
        names = [n for n in self._new_names if n in self._op_names]
        self._new_names = [n for n in self._new_names if n not in self._op_names]
        return *own, dirty, messages, names

    def _give_back(self, own: tuple[Any, ...]) -> None:
        log, history, quarantine, references, dirty, messages, names = own
        self._log += log
        self._history += history
        self._quarantine += quarantine
        self._references += references
        self._dirty.update(dirty)
        self._messages.update(messages)
        self._new_names += names

    # --- buffers ---

    def _flush(self) -> None:
        """Write the buffers into the transaction. Not called in the middle of an op before its savepoint: its rows must stay cuttable."""
        db = self._db
        self.rows_written += len(self._log) + len(self._history) + len(self._dirty)
        if self._new_names:
            numbered = [self._memory.names[n] for n in self._new_names]
            db.execute(
                "INSERT INTO name SELECT * FROM unnest(%s::integer[], %s::text[])",
                (numbers(numbered), texts(self._new_names)),
            )
            self._new_names.clear()
        fresh = [key for key, written in self._messages.items() if not written]
        if fresh:
            db.execute(
                "INSERT INTO message_id SELECT key, %s FROM unnest(%s::bytea[]) AS key", (self._day, blobs(fresh))
            )
            for key in fresh:
                self._messages[key] = True  # kept, so that a repeat in this transaction is still known
        if self._dirty:
            self._flush_entities()
        if self._log:
            (
                seq,
                kind,
                recorded,
                observed,
                received,
                id_,
                type_,
                source,
                late,
                body,
                moved,
                removed,
                before_seq,
                before,
            ) = columns(self._log)
            db.execute(
                f"INSERT INTO log ({LOG_COLUMNS}) SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[],"
                " %s::bigint[], %s::text[], %s::text[], %s::text[], %s::boolean[], %s::text[], %s::text[], %s::text[],"
                " %s::bigint[], %s::text[])",
                (
                    numbers(seq), texts(kind), numbers(recorded), numbers(observed), numbers(received), texts(id_),
                    texts(type_), texts(source), flags(late), texts(body), texts(moved), texts(removed),
                    numbers(before_seq), texts(before),
                ),
            )  # fmt: skip
            self._log.clear()
        if self._references:
            id_, seq, type_, body, at = columns(self._references)
            db.execute(
                "INSERT INTO reference_version SELECT *"
                " FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::bigint[])",
                (texts(id_), numbers(seq), texts(type_), texts(body), numbers(at)),
            )
            self._references.clear()
        if self._history:
            self._flush_history()
        if self._quarantine:
            source, received, code, detail, topic, payload = columns(self._quarantine)
            db.execute(
                "INSERT INTO quarantine (source, received_at, code, detail, topic, payload) SELECT *"
                " FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bytea[])",
                (texts(source), numbers(received), texts(code), texts(detail), texts(topic), blobs(payload)),
            )
            self._quarantine.clear()

    def _flush_entities(self) -> None:
        rows = []
        for c in self._dirty.values():
            exact, around = _place_of(c)
            rows.append(
                (
                    c.no, c.id, c.type, _for_jsonb(c.body), c.created_at, c.modified_at, c.observed_at, c.seq, exact, around,
                    texts(c.types) if c.types else None, texts(c.scopes) if c.scopes else None, c.expires_at, c.wakes_at,
                    c.many, c.marks_text,
                )
            )  # fmt: skip
        (
            no,
            id_,
            type_,
            body,
            created,
            modified,
            observed,
            seq,
            place,
            box,
            types,
            scopes,
            expires,
            wakes,
            many,
            marks,
        ) = columns(rows)
        # Writing back a box that is the same leaves its index alone: the update stays in its page.
        self._db.execute(
            "INSERT INTO entity (no, id, type, body, created_at, modified_at, observed_at, seq, place, box, types, scopes,"
            " expires_at, wakes_at, many, stamps, deleted)"
            " SELECT no, id, type, body::jsonb, created_at, modified_at, observed_at, seq, place::geometry, box::geometry,"
            " types::text[], scopes::text[], expires_at, wakes_at, many, stamps::jsonb, false FROM unnest(%s::bigint[],"
            " %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[],"
            " %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::boolean[], %s::text[]) AS r (no, id, type,"
            " body, created_at, modified_at, observed_at, seq, place, box, types, scopes, expires_at, wakes_at, many, stamps)"
            " ON CONFLICT (no) DO UPDATE SET type = excluded.type, body = excluded.body, created_at = excluded.created_at,"
            " modified_at = excluded.modified_at, observed_at = excluded.observed_at, seq = excluded.seq,"
            " place = excluded.place, box = excluded.box, types = excluded.types, scopes = excluded.scopes,"
            " expires_at = excluded.expires_at, wakes_at = excluded.wakes_at, many = excluded.many,"
            " stamps = excluded.stamps, deleted = false",
            (
                numbers(no), texts(id_), texts(type_), texts(body), numbers(created), numbers(modified), numbers(observed),
                numbers(seq), texts(place), texts(box), texts(types), texts(scopes), numbers(expires), numbers(wakes),
                flags(many), texts(marks),
            ),
        )  # fmt: skip
        self._dirty.clear()

    def _flush_history(self) -> None:
        db, day, days = self._db, self._day, self._memory.days
        first, last = min(row[2] for row in self._history), max(row[2] for row in self._history)
        known = days.get(day)
        if known is None:
            row = self._one("SELECT first_observed_at, last_observed_at FROM history_day WHERE day = %s", (day,))
            if row is not None:
                known = days[day] = list(row)
        if known is None:
            # Attaching asks for a lock that readers do not notice; creating the table as a partition would make them wait.
            db.execute(f"CREATE TABLE history_{day} (LIKE history, CHECK (day = {day}))".encode())
            db.execute(f"ALTER TABLE history_{day} ADD PRIMARY KEY (entity, attribute, observed_at, seq)".encode())
            db.execute(f"ALTER TABLE history ATTACH PARTITION history_{day} FOR VALUES IN ({day})".encode())
            db.execute("INSERT INTO history_day VALUES (%s, %s, %s)", (day, first, last))
            days[day] = [first, last]
        elif first < known[0] or last > known[1]:
            # The last bound is set ahead to the minute so that the row is not rewritten with every group.
            known[0], known[1] = min(first, known[0]), max(last + 60_000_000, known[1])
            db.execute(
                "UPDATE history_day SET first_observed_at = %s, last_observed_at = %s WHERE day = %s", (*known, day)
            )
        entity, attribute, observed, seq, received, number, text, instance = columns(self._history)
        db.execute(
            f"INSERT INTO history_{day} SELECT {day}, * FROM unnest(%s::bigint[], %s::integer[], %s::bigint[], %s::bigint[],"
            " %s::bigint[], %s::float8[], %s::text[], %s::text[])".encode(),
            (
                numbers(entity), numbers(attribute), numbers(observed), numbers(seq), numbers(received), numbers(number),
                texts(text), texts(instance),
            ),
        )  # fmt: skip
        self._history.clear()

    def _set_cached(self, id_: str, cached: CachedEntity | None) -> None:
        if cached is None:
            self._memory.entities.pop(id_, None)
        else:
            self._memory.entities[id_] = cached


def _place_of(cached: CachedEntity) -> tuple[str | None, str | None]:
    """(exact place, box for the index) of an entity as hexadecimal WKB. Keeps `cached.box` while a point stays inside."""
    geometry = cached.geometry()
    if geometry is None:
        cached.box = None
        return None, None
    point = point_of(geometry)
    if point is not None:
        lon, lat = point
        box = cached.box
        if box is None or not (box[0] <= lon <= box[2] and box[1] <= lat <= box[3]):
            pad = PLACE_PAD_DEGREES
            box = cached.box = (lon - pad, lat - pad, lon + pad, lat + pad)
        return point_wkb(lon, lat), box_wkb(*box)
    cached.box = bounds_of(geometry)
    if cached.box is None:
        return None, None
    exact = to_wkb(set_srid(shape(geometry), WGS84), hex=True, output_dimension=2, include_srid=True)
    return str(exact), box_wkb(*cached.box)


def _for_jsonb(body: str) -> str:
    """The body as jsonb takes it: U+0000, which it cannot hold, becomes U+FFFD."""
    if "\\u0000" not in body:
        return body
    return orjson.dumps(_without_nul(orjson.loads(body))).decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_without_nul(v) for v in value]
    if isinstance(value, dict):
        return {k.replace("\0", "\ufffd"): _without_nul(v) for k, v in value.items()}
    return value
