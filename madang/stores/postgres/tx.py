"""The write side: what an op may do inside its process's turn. How its rows are gathered and undone: `buffers`."""

from collections.abc import Sequence
from typing import Any

import orjson

from madang.hub.ports import NotificationRow
from madang.model.change import CLOCK, DELETION, READING, RECORD, REFERENCE, Change, Transition
from madang.model.entity import Attributes, Entity, Reading
from madang.model.record import Record
from madang.model.time import Instant
from madang.stores.cached import CachedEntity
from madang.stores.postgres.arrays import blobs, columns, numbers, texts
from madang.stores.postgres.buffers import Buffers
from madang.stores.rows import log_row
from madang.stores.temporal import TemporalWrites
from madang.stores.writes import CommonWrites

PREFETCH_MAX = 10_000
"""Entities that are loaded at once for a group of ops; what is beyond is loaded one by one."""
STALE_TOGETHER_MAX = 1_000
"""Entities that others changed and that are read again in one statement."""
_NO_NUL = "PostgreSQL cannot keep the character U+0000 in {}"


class PostgresTx(CommonWrites, TemporalWrites, Buffers):
    """`madang.hub.ports.Tx`. One object serves one transaction (one group of ops)."""

    # --- entities ---

    def _load(self, id_: str) -> CachedEntity | None:
        """The entity's row: from memory, else from the table, together with others that went stale."""
        memory = self._memory
        cached = memory.entities.get(id_)
        if cached is not None:
            memory.entities.move_to_end(id_)
            return cached
        if id_ in self._absent:
            return None
        wanted = [id_]
        if id_ in memory.stale:
            memory.stale.discard(id_)
            while memory.stale and len(wanted) < STALE_TOGETHER_MAX:
                wanted.append(memory.stale.pop())
        found = self._read_rows(wanted).get(id_)
        if found is None:
            self._absent.add(id_)
        return found

    def prefetch(self, ids: Sequence[str]) -> None:
        """Load the entities with these ids as far as the memory does not have them: one statement instead of one for each."""
        memory = self._memory
        missing = [id_ for id_ in dict.fromkeys(ids) if id_ not in memory.entities and "\0" not in id_][:PREFETCH_MAX]
        if len(missing) < 2:
            return
        try:
            found = self._read_rows(missing)
        except UnicodeEncodeError:
            return  # an id that is no text: its own op will hear of it
        memory.stale.difference_update(missing)
        self._absent.update(set(missing) - found.keys())

    def _read_rows(self, ids: Sequence[str]) -> dict[str, CachedEntity]:
        """Entities by id from the table, deleted ones too; those that live into the memory."""
        rows = self._all(
            "SELECT no, id, type, body::text, created_at, modified_at, observed_at, seq, ST_XMin(box), ST_YMin(box),"
            " ST_XMax(box), ST_YMax(box), deleted, types, scopes, expires_at, wakes_at, many, stamps::text FROM entity"
            " WHERE id = ANY(%s::text[])",
            (texts(ids),),
        )
        known = self._memory.entities
        found = {}
        for row in rows:
            cached = found[row[1]] = _cached(row)
            if cached.seq != -1 and cached.id not in known:
                known[cached.id] = cached
        return found

    def _for_change(self, id_: str, type_: str) -> CachedEntity:
        """A copy of the entity to change, registered for undo; a new one when it is absent."""
        if "\0" in id_ or "\0" in type_:
            raise ValueError(_NO_NUL.format("an id or a type"))
        before = self._load(id_)
        if before is None or before.seq == -1:
            if before is None:
                self.head.entity_no += 1
                cached = CachedEntity(self.head.entity_no, id_, type_, self._now)
            else:
                cached = CachedEntity(before.no, id_, type_, self._now)
            before = None
        else:
            cached = before.copy()
        self._op_undo.append((id_, before, self._dirty.get(id_)))
        self._memory.entities[id_] = cached
        self._dirty[id_] = cached
        return cached

    def _next_seq(self) -> int:
        self.head.seq += 1
        return self.head.seq

    def _name_no(self, name: str) -> int:
        known = self._memory.names.get(name)
        if known is not None:
            return known
        if "\0" in name:
            raise ValueError(_NO_NUL.format("the name of an attribute"))
        self.head.name_no += 1
        no = self._memory.names[name] = self.head.name_no
        self._new_names.append(name)
        self._op_names.append(name)
        return no

    def _record_change(self, change: Change, attributes_json: str) -> None:
        self.changes.append(change)
        self._log.append(log_row(change, attributes_json))

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
        late = cached.take_reading(reading, self._now, seq)
        change = Change(
            seq=seq,
            kind=READING,
            recorded_at=self._now,
            observed_at=reading.observed_at,
            entity_id=reading.entity_id,
            entity_type=reading.entity_type,
            attributes=reading.attributes,
            source=source,
            late=late,
            received_at=received_at,
            previous=previous,
        )
        self._record_change(change, orjson.dumps(reading.attributes).decode())
        self._add_history(cached.no, reading.attributes, reading.observed_at, received_at, seq)
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
        previous, before, scopes_before = max(0, cached.seq), cached.attributes, cached.scopes
        seq = self._next_seq()
        removed = cached.take_put(
            type_, attributes, self._now, seq,
            replace=replace, remove=remove, types=types, scopes=scopes, expires_at=expires_at,
        )  # fmt: skip
        change = Change(
            seq=seq,
            kind=REFERENCE if reference else READING,
            recorded_at=self._now,
            observed_at=self._now,
            entity_id=id_,
            entity_type=type_,
            attributes=cached.attributes if reference else attributes,
            source=source,
            received_at=self._now,
            removed=removed,
            previous=previous,
            before={key: before[key] for key in (*attributes, *removed) if key in before},
        )
        self._record_change(change, orjson.dumps(change.attributes).decode())
        if reference:
            self._references.append((id_, seq, type_, cached.body, self._now))
        self._add_instances(cached.no, attributes.items(), seq)
        if removed:
            self._add_deletions(cached.no, before, removed, seq)
        self._add_scopes(cached.no, scopes_before, cached.scopes, seq)
        return change

    def delete_entity(self, id_: str, source: str) -> Change | None:
        before = self._load(id_)
        if before is None or before.seq == -1:
            return None
        self._save()
        self._op_undo.append((id_, before, None))
        self._memory.entities.pop(id_, None)
        self._absent.discard(id_)  # made and deleted in one group: its row is there now, and keeps its number
        seq = self._next_seq()
        self._db.execute(
            "UPDATE entity SET deleted = true, seq = %s, modified_at = %s, box = NULL, types = NULL WHERE no = %s",
            (seq, self._now, before.no),
        )
        if self._one("SELECT 1 FROM reference_version WHERE entity_id = %s LIMIT 1", (id_,)) is not None:
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
        pending = self._messages
        ask = [key for key in keys if key not in pending]
        rows = self._all("SELECT key FROM message_id WHERE key = ANY(%s::bytea[])", (blobs(ask),)) if ask else []
        known = {bytes(row[0]) for row in rows}
        result = []
        for key in keys:
            new = key not in known and key not in pending
            if new:
                pending[key] = False
                self._op_messages.append(key)
            result.append(new)
        return result

    def forget_messages(self, before_day: str) -> int:
        self._save()
        return self._db.execute("DELETE FROM message_id WHERE day < %s", (int(before_day),)).rowcount

    def put_quarantine(
        self, source: str, received_at: Instant, code: str, detail: str, topic: str, payload: bytes
    ) -> None:
        self._quarantine.append((source, received_at, code, _clean(detail), _clean(topic), payload))

    # --- records ---

    def put_record(
        self, record: Record, transition: Transition, attributes: Attributes, links: dict[str, str]
    ) -> Change:
        self._save()
        cached = self._for_change(record.id, record.type)
        previous = max(0, cached.seq)
        seq = self._next_seq()
        cached.take_record(attributes, self._now, seq)
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

    def _execute(self, text: str, values: Sequence[Any]) -> int:
        self._save()
        return self._db.execute(text.encode(), values).rowcount

    def _before_own_sql(self) -> None:
        self._save()

    def _tell(self, sql: str, values: Sequence[Any]) -> int:
        return self._execute(sql.replace("?", "%s"), values)

    def _text(self, text: str) -> str:
        return _clean(text)

    def put_states(self, rows: Sequence[tuple[str, str, bytes | None, Instant | None]]) -> None:
        gone = [row for row in rows if row[2] is None]
        kept = list({row[:2]: row for row in rows if row[2] is not None}.values())
        if gone:
            detector, key, _, _ = columns(gone)
            self._execute(
                "DELETE FROM flow_state s USING unnest(%s::text[], %s::text[]) AS g (detector, key)"
                " WHERE s.detector = g.detector AND s.key = g.key",
                (texts(detector), texts(key)),
            )
        if kept:
            detector, key, document, wake_at = columns(kept)
            self._execute(
                "INSERT INTO flow_state SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::bigint[])"
                " ON CONFLICT (detector, key) DO UPDATE SET document = excluded.document, wake_at = excluded.wake_at",
                (texts(detector), texts(key), blobs(document), numbers(wake_at)),
            )

    def trim_log(self, below_seq: int, limit: int) -> int:
        self._save()
        return self._execute(
            "DELETE FROM log WHERE seq < least(%s, (SELECT max(seq) FROM log), (SELECT min(seq) FROM log) + %s)",
            (below_seq, limit),
        )

    def put_document(self, kind: str, id_: str, document: bytes | None) -> None:
        self.kinds.add(kind)
        super().put_document(kind, id_, document)

    def put_notification(self, row: NotificationRow) -> int:
        self._save()
        values = (
            row.subscription, row.state, row.first_seq, row.last_seq, row.events, row.body, row.created_at, _clean(row.error),
        )  # fmt: skip
        names = "subscription, state, first_seq, last_seq, events, body, created_at, error"
        if row.no == 0:
            marks = "%s, %s, %s, %s, %s, %s, %s, %s"
            return int(self._one(f"INSERT INTO notification ({names}) VALUES ({marks}) RETURNING no", values)[0])
        self._one(
            f"INSERT INTO notification (no, {names}) OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (no) DO UPDATE SET subscription = excluded.subscription, state = excluded.state,"
            " first_seq = excluded.first_seq, last_seq = excluded.last_seq, events = excluded.events, body = excluded.body,"
            " created_at = excluded.created_at, error = excluded.error RETURNING no",
            (row.no, *values),
        )
        return row.no

    def delete_notifications(self, nos: Sequence[int]) -> None:
        self._execute("DELETE FROM notification WHERE no = ANY(%s::bigint[])", (numbers(nos),))

    # --- reads that must see the buffers ---

    def last_seq(self) -> int:
        return self.head.seq

    def log_time(self) -> Instant:
        return self._now


def _cached(row: Sequence[Any]) -> CachedEntity:
    """A row as `PostgresTx._load` selects it."""
    cached = CachedEntity(row[0], row[1], row[2], row[4])
    if row[12]:
        cached.seq = -1
        return cached
    cached.body, cached.attributes = row[3], orjson.loads(row[3])
    cached.modified_at, cached.observed_at, cached.seq = row[5], row[6], row[7]
    if row[8] is not None:
        cached.box = (row[8], row[9], row[10], row[11])
    cached.types, cached.scopes = tuple(row[13] or ()), tuple(row[14] or ())
    cached.expires_at, cached.wakes_at, cached.many = row[15], row[16], row[17]
    if row[18] is not None:
        cached.marks, cached.marks_text = orjson.loads(row[18]), row[18]
    return cached


def _clean(text: str) -> str:
    """A text that people read, as PostgreSQL takes it."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
