"""The evolution of entities (the temporal API) over the history tables, as every SQL store has it.

What differs stands in the stores: how values are marked (here with ``?``) and how figures are summed up.

A row of ``history_<day>`` is a device's reading (`instance` NULL: value and times are all that is known) or an instance that the API was
given, whole: `instance` is a letter and its JSON. The letter: ``o`` it has an observedAt, ``n`` it has none (the column
`observed_at` then holds when it was written), ``d`` the attribute was deleted then. A row is known by (attribute, observed_at, seq).

Nothing here changes history: it is evidence. What the temporal API takes away is hidden by ``temporal_cut`` (everything of an attribute,
or with attribute 0 of the entity, up to a seq) and ``temporal_edit`` (one row; `instance` NULL: taken away, else what stands in
its place). ``temporal_only`` has the last change of entities that nothing but the temporal API has written.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from msgspec import Struct

from madang.hub.ports import AggregateRow, InstanceRow
from madang.model.change import Change
from madang.model.entity import Attribute, Attributes, value_of
from madang.model.time import INSTANT_MAX, Instant, parse_instant, render_instant
from madang.ngsild.temporal import (
    ANY_TIME,
    CREATED_AT,
    DELETED_AT,
    MODIFIED_AT,
    OBSERVED_AT,
    Window,
)
from madang.ngsild.values import NULL_URN, VALUE_MEMBERS

HistoryTuple = tuple[int, int, int, int, int, float | None, str | None, str | None]
_CONDITIONS = {
    ANY_TIME: "observed_at >= ? AND observed_at < ? AND (instance IS NULL OR instance >= 'n')",
    OBSERVED_AT: "observed_at >= ? AND observed_at < ? AND (instance IS NULL OR instance >= 'o')",
    CREATED_AT: "received_at >= ? AND received_at < ? AND (instance IS NULL OR instance >= 'n')",
    MODIFIED_AT: "received_at >= ? AND received_at < ? AND (instance IS NULL OR instance >= 'n')",
    DELETED_AT: "received_at >= ? AND received_at < ? AND instance < 'n'",
}
"""The letters d, n and o are in the order of the alphabet."""
SCOPE = "scope"
"""The name under which an entity's scopes are kept over time; no attribute may have it."""
_BY_OBSERVATION = (OBSERVED_AT, ANY_TIME)
_NO_LIMIT = 1 << 62


def instance_row(entity: int, attribute: int, instance: Attribute, now: Instant, seq: int) -> HistoryTuple:
    """The history row of an instance that the API was given."""
    observed = instance.get("observedAt")
    at = now if observed is None else parse_instant(observed)
    whole = ("n" if observed is None else "o") + orjson.dumps(instance).decode()
    value = instance.get("value")
    if type(value) is float or type(value) is int:
        return entity, attribute, at, seq, now, value, None, whole
    return entity, attribute, at, seq, now, None, orjson.dumps(value_of(instance)).decode(), whole


def deletion_row(entity: int, attribute: int, before: Attribute, now: Instant, seq: int) -> HistoryTuple:
    """The history row that says that an attribute was deleted (clause 4.5.7)."""
    kind = before.get("type", "Property")
    content: Any = NULL_URN
    if kind == "LanguageProperty":
        content = {"@none": NULL_URN}
    elif kind == "ListProperty":
        content = [NULL_URN]
    elif kind == "ListRelationship":
        content = [{"object": NULL_URN}]
    instance = {"type": kind, VALUE_MEMBERS.get(kind, "value"): content}
    if "datasetId" in before:
        instance["datasetId"] = before["datasetId"]
    return entity, attribute, now, seq, now, None, None, "d" + orjson.dumps(instance).decode()


def scope_row(entity: int, attribute: int, scopes: Sequence[str], now: Instant, seq: int) -> HistoryTuple:
    """The history row of an entity's scopes from now on; of none: that they were deleted (clauses 4.5.6, 4.18)."""
    value: Any = scopes[0] if len(scopes) == 1 else list(scopes)
    instance = {"type": "Property", "value": value}
    if scopes:
        instance["observedAt"] = render_instant(now)
    whole = ("o" if scopes else "d") + orjson.dumps(instance).decode()
    return entity, attribute, now, seq, now, None, orjson.dumps(value).decode() if scopes else None, whole


def make_token(attribute: int, observed_at: Instant, seq: int) -> str:
    """What a row is known by."""
    return f"{attribute:x}-{observed_at:x}-{seq:x}"


def read_token(token: str) -> tuple[int, Instant, int] | None:
    """(attribute, observed_at, seq) of a token; None for anything else."""
    try:
        attribute, observed_at, seq = (int(part, 16) for part in token.split("-"))
    except ValueError:
        return None
    return (attribute, observed_at, seq) if max(attribute, observed_at, seq) < 1 << 63 else None


class Slice(Struct, frozen=True):
    """Of which rows figures are wanted."""

    key: str
    methods: frozenset[str]
    days: list[tuple[Any, Instant, Instant]]
    """Recorded days with rows, each with the first and the last instant in it."""
    column: str
    """The column that holds the instant."""
    where: str
    """Begins with entity, attribute, start and end."""
    entity: int
    attribute: int
    window: Window
    rest: tuple[Any, ...]
    """Values that come after those four."""
    origin: Instant | None
    length: int

    def values(self, start: Instant, end: Instant) -> list[Any]:
        """What `where` wants for a part of the window."""
        return [self.entity, self.attribute, start, end, *self.rest]


class TemporalReads:
    """The part of `madang.hub.ports.Read` that reads evolutions."""

    if TYPE_CHECKING:
        # What a store gives.
        def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[Any]: ...

        def _ask_one(self, sql: str, values: Sequence[Any] = ()) -> Any: ...

        def _sum_up(self, part: Slice) -> list[AggregateRow] | None:
            """Figures of each period with rows; None when some are no numbers."""

    def _settle(self) -> None:
        """Before reading: the writer puts what it buffers into the tables."""

    def _days(self, window: Window | None = None) -> list[Any]:
        rows = self._ask("SELECT day, first_observed_at, last_observed_at FROM history_day ORDER BY day")
        if window is None or window.property not in _BY_OBSERVATION:
            return [row[0] for row in rows]
        return [row[0] for row in rows if row[2] >= window.start and row[1] < window.end]

    def _evolution(self, entity_id: str) -> tuple[int, dict[int, int]] | None:
        """(number, cuts by attribute) of an entity."""
        self._settle()
        found = self._ask_one("SELECT no FROM entity WHERE id = ? AND NOT deleted", (entity_id,))
        if found is None:
            return None
        return found[0], dict(self._ask("SELECT attribute, seq FROM temporal_cut WHERE entity = ?", (found[0],)))

    def _edits(self, entity: int, attribute: int) -> dict[tuple[Instant, int], tuple[str | None, Instant]]:
        rows = self._ask(
            "SELECT observed_at, seq, instance, modified_at FROM temporal_edit WHERE entity = ? AND attribute = ?",
            (entity, attribute),
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in rows}

    def list_evolving(self, entity_id: str) -> list[str]:
        found = self._evolution(entity_id)
        if found is None:
            return []
        entity, cuts = found
        attributes: set[int] = set()
        for day in self._days():
            # A skip scan: one step into the key for each attribute, not for each row.
            rows = self._ask(
                f"WITH RECURSIVE step (no) AS (SELECT min(attribute) FROM history_{day} WHERE entity = ?"
                f" UNION ALL SELECT (SELECT min(attribute) FROM history_{day} WHERE entity = ? AND attribute > step.no)"
                " FROM step WHERE step.no IS NOT NULL) SELECT no FROM step WHERE no IS NOT NULL",
                (entity, entity),
            )
            attributes.update(row[0] for row in rows)
        names = [(self._ask_one("SELECT text FROM name WHERE no = ?", (no,))[0], no) for no in attributes]
        return [name for name, no in sorted(names) if self._has_rows(entity, no, cuts)]

    def _has_rows(self, entity: int, attribute: int, cuts: dict[int, int]) -> bool:
        cut = max(cuts.get(0, 0), cuts.get(attribute, 0))
        if cut == 0:
            return True
        return any(
            self._ask_one(
                f"SELECT 1 FROM history_{day} WHERE entity = ? AND attribute = ? AND seq > ? LIMIT 1",
                (entity, attribute, cut),
            )
            for day in self._days()
        )

    def list_instances(
        self, entity_id: str, keys: Sequence[str], window: Window, limit: int, *, newest: bool
    ) -> list[InstanceRow]:
        found = self._evolution(entity_id)
        if found is None:
            return []
        entity, cuts = found
        result: list[InstanceRow] = []
        for key in sorted(keys):
            named = self._ask_one("SELECT no FROM name WHERE text = ?", (key,))
            if named is not None:
                result += self._instances_of(entity, named[0], key, cuts, window, limit, newest)
        return result

    def _instances_of(
        self, entity: int, attribute: int, key: str, cuts: dict[int, int], window: Window, limit: int, newest: bool
    ) -> list[InstanceRow]:
        cut = max(cuts.get(0, 0), cuts.get(attribute, 0))
        edits = self._edits(entity, attribute)
        column = "observed_at" if window.property in _BY_OBSERVATION else "received_at"
        direction = "DESC" if newest else "ASC"
        # An edit may move an instance into or out of the window, so then all of them are looked at.
        condition = "? <= ?" if edits else _CONDITIONS[window.property]
        bounds = (0, 0) if edits else (window.start, window.end)
        rows: list[InstanceRow] = []
        for day in self._days(None if edits else window):
            for row in self._ask(
                "SELECT observed_at, seq, received_at, number, text, instance"
                f" FROM history_{day} WHERE entity = ? AND attribute = ? AND seq > ? AND {condition}"
                f" ORDER BY {column} {direction}, seq {direction} LIMIT ?",
                (entity, attribute, cut, *bounds, _NO_LIMIT if edits else limit),
            ):
                made = _make(key, attribute, row, edits.get((row[0], row[1])), window.property)
                if made is not None and window.start <= made.at < window.end:
                    rows.append(made)
        rows.sort(key=lambda r: (r.at, r.token))
        return rows[-limit:] if newest else rows[:limit]

    def aggregate(
        self, entity_id: str, key: str, window: Window, methods: Sequence[str], origin: Instant | None, length: int
    ) -> list[AggregateRow] | None:
        found = self._evolution(entity_id)
        named = self._ask_one("SELECT no FROM name WHERE text = ?", (key,))
        if found is None or named is None:
            return []
        (entity, cuts), attribute = found, named[0]
        if window.property in (MODIFIED_AT, DELETED_AT) or self._edits(entity, attribute):
            return None
        cut = max(cuts.get(0, 0), cuts.get(attribute, 0))
        column = "observed_at" if window.property in _BY_OBSERVATION else "received_at"
        where = f"entity = ? AND attribute = ? AND {_CONDITIONS[window.property]}" + (" AND seq > ?" if cut else "")
        rest = (cut,) if cut else ()
        part = Slice(key, frozenset(methods), [], column, where, entity, attribute, window, rest, origin, length)
        for day in self._days(window):
            row = self._ask_one(
                f"SELECT (SELECT min({column}) FROM history_{day} WHERE {where}),"
                f" (SELECT max({column}) FROM history_{day} WHERE {where})",
                part.values(window.start, window.end) * 2,
            )
            if row[0] is not None:
                part.days.append((day, row[0], row[1]))
        return self._sum_up(part) if part.days else []


def _make(key: str, attribute: int, row: Any, edit: tuple[str | None, Instant] | None, name: str) -> InstanceRow | None:
    """A row as the temporal API has it; None when it was taken away, or lacks the time property."""
    observed_at, seq, received_at, number, text, whole = row
    modified_at = received_at
    if edit is not None:
        whole, modified_at = edit
        if whole is None:
            return None
    kind = "r" if whole is None else whole[0]
    instance = None if whole is None else orjson.loads(whole[1:])
    seen_at = parse_instant(instance["observedAt"]) if instance is not None and kind == "o" else observed_at
    at: Instant | None
    if name == OBSERVED_AT:
        at = seen_at if kind in "ro" else None
    elif name == DELETED_AT:
        at = received_at if kind == "d" else None
    elif kind == "d":
        at = None
    elif name == ANY_TIME:
        at = seen_at
    else:
        at = received_at if name == CREATED_AT else modified_at
    if at is None:
        return None
    value = None
    if instance is None:
        value = number if text is None else orjson.loads(text)
        if type(value) is float and value.is_integer():
            value = int(value)
    deleted_at = received_at if kind == "d" else None
    token = make_token(attribute, observed_at, seq)
    return InstanceRow(key, token, at, instance, value, seen_at, received_at, modified_at, deleted_at)


class TemporalWrites(TemporalReads):
    """The part of `madang.hub.ports.Tx` that writes evolutions."""

    if TYPE_CHECKING:
        # What a store gives.
        _now: Instant
        _history: list[tuple[Any, ...]]

        def _tell(self, sql: str, values: Sequence[Any]) -> int: ...

        def _load(self, id_: str) -> Any: ...

        def _name_no(self, name: str) -> int: ...

        def _before_own_sql(self) -> None:
            """Called before an op reads or writes with SQL of its own: what was buffered is written."""

        def last_seq(self) -> int: ...

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
        ) -> Change: ...

    def _settle(self) -> None:
        self._before_own_sql()

    def _add_instances(self, entity: int, instances: Iterable[tuple[str, Attribute]], seq: int) -> None:
        """History of an API write: each instance whole."""
        for key, attribute in instances:
            self._history.append(instance_row(entity, self._name_no(key), attribute, self._now, seq))

    def _add_deletions(self, entity: int, before: Attributes, removed: Iterable[str], seq: int) -> None:
        """History of attributes that were taken away."""
        for key in removed:
            self._history.append(deletion_row(entity, self._name_no(key), before[key], self._now, seq))

    def _add_scopes(self, entity: int, before: Sequence[str], scopes: Sequence[str], seq: int) -> None:
        """History of a change of the entity's scopes; nothing when they stayed."""
        if before != scopes:
            self._history.append(scope_row(entity, self._name_no(SCOPE), scopes, self._now, seq))

    def _hide_evolution(self, entity: int, seq: int) -> None:
        """Everything of the entity up to `seq` is no longer part of its evolution."""
        self._tell("DELETE FROM temporal_cut WHERE entity = ?", (entity,))
        self._tell("INSERT INTO temporal_cut VALUES (?, 0, ?)", (entity, seq))
        self._tell("DELETE FROM temporal_only WHERE entity = ?", (entity,))

    def put_instances(
        self,
        id_: str,
        type_: str,
        instances: Sequence[tuple[str, Attribute]],
        source: str,
        *,
        reference: bool,
        types: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        expires_at: Instant | None = None,
    ) -> Change:
        self._before_own_sql()
        before = self._load(id_)
        is_new = before is None or before.seq == -1
        chosen = _newest({} if is_new else before.attributes, instances)
        only = is_new or self._last_alone(before.no) == before.seq
        if not is_new:
            self._make_room(id_, instances, source)
        change = self.put_entity(
            id_,
            type_,
            chosen,
            source,
            reference=reference,
            replace=False,
            types=types,
            scopes=scopes,
            expires_at=expires_at,
        )
        no = self._load(id_).no
        if any(key == SCOPE for key, _ in instances):
            # These say themselves since when the scopes hold.
            scope = self._name_no(SCOPE)
            self._history[:] = [row for row in self._history if (row[0], row[1], row[3]) != (no, scope, change.seq)]
        taken: set[tuple[int, int]] = {
            (row[1], row[2]) for row in self._history if row[0] == no and row[3] == change.seq
        }
        for key, instance in instances:
            if chosen.get(key) is instance:
                continue
            row = instance_row(no, self._name_no(key), instance, self._now, change.seq)
            while (row[1], row[2]) in taken:  # two of the same instant: a microsecond apart, so that none is lost
                row = (row[0], row[1], row[2] + 1, *row[3:])
            taken.add((row[1], row[2]))
            self._history.append(row)
        if only:
            self._tell(
                "INSERT INTO temporal_only VALUES (?, ?) ON CONFLICT (entity) DO UPDATE SET seq = excluded.seq",
                (no, change.seq),
            )
        else:
            self._tell("DELETE FROM temporal_only WHERE entity = ?", (no,))
        return change

    def _make_room(self, id_: str, instances: Sequence[tuple[str, Attribute]], source: str) -> None:
        """Hide instances that these take the place of: an attribute has one value at an instant, so what is told again is a correction
        (docs/adr/0038)."""
        wanted: dict[str, set[Instant]] = {}
        for key, instance in instances:
            if "observedAt" in instance:
                wanted.setdefault(key, set()).add(parse_instant(instance["observedAt"]))
        for key, instants in wanted.items():
            window = Window(OBSERVED_AT, min(instants), max(instants) + 1)
            for row in self.list_instances(id_, [key], window, _NO_LIMIT, newest=False):
                if row.at in instants:
                    self.edit_instance(id_, key, row.token, None, source)

    def _last_alone(self, entity: int) -> int | None:
        row = self._ask_one("SELECT seq FROM temporal_only WHERE entity = ?", (entity,))
        return None if row is None else int(row[0])

    def is_evolution_only(self, id_: str) -> bool:
        self._before_own_sql()
        cached = self._load(id_)
        return cached is not None and cached.seq == self._last_alone(cached.no)

    def edit_instance(self, id_: str, key: str, token: str, attribute: Attribute | None, source: str) -> bool:
        found, row = self._evolution(id_), read_token(token)
        if found is None or row is None:
            return False
        (entity, cuts), (no, observed_at, seq) = found, row
        named = self._ask_one("SELECT text FROM name WHERE no = ?", (no,))
        if named is None or named[0] != key or seq <= max(cuts.get(0, 0), cuts.get(no, 0)):
            return False
        edit = self._edits(entity, no).get((observed_at, seq))
        there = any(
            self._ask_one(
                f"SELECT 1 FROM history_{day} WHERE entity = ? AND attribute = ? AND observed_at = ? AND seq = ?",
                (entity, no, observed_at, seq),
            )
            for day in self._days()
        )
        if not there or (edit is not None and edit[0] is None):
            return False
        whole = None
        if attribute is not None:
            whole = ("o" if "observedAt" in attribute else "n") + orjson.dumps(attribute).decode()
        self._tell(
            "INSERT INTO temporal_edit VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (entity, attribute, observed_at, seq)"
            " DO UPDATE SET instance = excluded.instance, modified_at = excluded.modified_at, source = excluded.source",
            (entity, no, observed_at, seq, whole, self._now, source),
        )
        return True

    def cut_evolution(self, id_: str, keys: Sequence[str] | None) -> None:
        found = self._evolution(id_)
        if found is None:
            return
        seq = self.last_seq()
        if keys is None:
            self._hide_evolution(found[0], seq)
            return
        for key in keys:
            self._tell(
                "INSERT INTO temporal_cut VALUES (?, ?, ?) ON CONFLICT (entity, attribute) DO UPDATE SET seq = excluded.seq",
                (found[0], self._name_no(key), seq),
            )


def _newest(state: Attributes, instances: Sequence[tuple[str, Attribute]]) -> Attributes:
    """The instances that become the state: of each attribute the newest, unless the state is newer."""
    chosen: Attributes = {}
    for key, instance in instances:
        if key == SCOPE or _is_null(instance):
            continue
        known = chosen.get(key) or state.get(key)
        if known is None or _at(instance) >= _at(known):
            chosen[key] = instance
    return chosen


def _is_null(instance: Attribute) -> bool:
    content = next((instance[m] for m in VALUE_MEMBERS.values() if m in instance), None)
    return content in (NULL_URN, {"@none": NULL_URN}, [NULL_URN], [{"object": NULL_URN}])


def _at(attribute: Attribute) -> Instant:
    observed = attribute.get("observedAt")
    return INSTANT_MAX if observed is None else parse_instant(observed)
