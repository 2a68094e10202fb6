"""An entity as a writer keeps it in memory, and what a reading, an API write or an action makes of it."""

from collections.abc import Sequence
from typing import Any

import orjson

from madang.model.entity import Attribute, Attributes, Entity, Reading, needs_care, next_expiry
from madang.model.geometry import Box
from madang.model.time import Instant, parse_instant, render_instant
from madang.stores.stamps import NO_MARKS, Marks, mark_change, resolve


class CachedEntity:
    """An entity's row as the writer knows it. Attributes are replaced whole, never changed in place."""

    __slots__ = (
        "attributes", "body", "box", "created_at", "expires_at", "id", "many", "marks", "marks_text", "modified_at", "no",
        "observed_at", "scopes", "seq", "type", "types", "wakes_at",
    )  # fmt: skip

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
        """-1: the entity is deleted; its number stays, so that its history is found again under the same id."""
        self.box: Box | None = None
        """The box that stands in the index of places."""
        self.types: tuple[str, ...] = ()
        self.scopes: tuple[str, ...] = ()
        self.expires_at: Instant | None = None
        self.wakes_at: Instant | None = None
        self.many = False
        self.marks: Marks = NO_MARKS
        self.marks_text: str | None = None

    def copy(self) -> "CachedEntity":
        """A copy that can be changed without changing this one."""
        other = CachedEntity.__new__(CachedEntity)
        for name in CachedEntity.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def to_entity(self, *, stamps: bool = False) -> Entity:
        """As a value."""
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

    def mark(self, touched: Attributes, now: Instant, removed: Sequence[str] = ()) -> None:
        """Keep when attributes were created and modified; called before `attributes` and `modified_at` change."""
        before = self.attributes
        if not removed and not self.marks and before.keys() == touched.keys():
            return
        marks = mark_change(
            self.marks, before, touched,
            created_at=self.created_at, modified_at=self.modified_at, now=now, removed=removed,
        )  # fmt: skip
        if marks is not self.marks:
            self.marks, self.marks_text = marks, orjson.dumps(marks).decode() if marks else None

    # --- changes ---

    def take_reading(self, reading: Reading, now: Instant, seq: int) -> bool:
        """Take what is newer than what is known. True when the reading is late: older than the entity's newest."""
        observed_at = reading.observed_at
        late = observed_at < self.observed_at
        text = render_instant(observed_at)
        merged = dict(self.attributes)
        taken: Attributes = {}
        for name, attribute in reading.attributes.items():
            if late and not _is_newer(observed_at, merged.get(name)):
                continue
            merged[name] = taken[name] = {**attribute, "observedAt": text}
        self.mark(taken, now)
        self.attributes = merged
        self.body = orjson.dumps(merged).decode()
        self.modified_at, self.seq = now, seq
        if not late:
            self.observed_at = observed_at
        if self.wakes_at is not None:
            self.wakes_at = next_expiry(merged, self.expires_at)
        return late

    def take_put(
        self,
        type_: str,
        attributes: Attributes,
        now: Instant,
        seq: int,
        *,
        replace: bool,
        remove: Sequence[str],
        types: Sequence[str] | None,
        scopes: Sequence[str] | None,
        expires_at: Instant | None,
    ) -> tuple[str, ...]:
        """An API write, see `madang.hub.ports.Tx.put_entity`; gives the keys that it took away."""
        before = self.attributes
        if replace:
            removed = tuple(key for key in before if key not in attributes)
            merged = dict(attributes)
        else:
            removed = tuple(key for key in remove if key in before and key not in attributes)
            merged = {**before, **attributes}
            for key in removed:
                del merged[key]
        further = self.types if types is None and not replace and self.type == type_ else tuple(types or ())
        self.type, self.types = type_, further if len(further) > 1 else ()
        if scopes is not None or replace:
            self.scopes = tuple(scopes or ())
        if expires_at is not None or replace:
            self.expires_at = expires_at or None
        self.mark(attributes, now, removed)
        self.take_whole(merged, now, seq)
        return removed

    def take_record(self, attributes: Attributes, now: Instant, seq: int) -> None:
        """The attributes of a record's next version."""
        self.mark(attributes, now, [key for key in self.attributes if key not in attributes])
        self.take_whole(attributes, now, seq)

    def take_whole(self, attributes: Attributes, now: Instant, seq: int) -> None:
        """All attributes, observed now."""
        self.attributes = attributes
        self.body = orjson.dumps(attributes).decode()
        self.modified_at, self.seq = now, seq
        self.observed_at = max(self.observed_at, now)
        self.wakes_at = next_expiry(attributes, self.expires_at)
        self.many = needs_care(attributes)

    # --- places ---

    def geometry(self) -> dict[str, Any] | None:
        """The GeoJSON of `location`, as far as there is one."""
        value = self.attributes.get("location", {}).get("value")
        return value if isinstance(value, dict) and "type" in value else None


def _is_newer(observed_at: Instant, attribute: Attribute | None) -> bool:
    """Is a value of `observed_at` newer than the attribute as it stands?"""
    if attribute is None:
        return True
    known = attribute.get("observedAt")
    return known is None or observed_at >= parse_instant(known)


def point_of(geometry: dict[str, Any] | None) -> tuple[float, float] | None:
    """(lon, lat) of a Point, else None."""
    if geometry is None or geometry["type"] != "Point":
        return None
    return geometry["coordinates"][0], geometry["coordinates"][1]


def bounds_of(geometry: dict[str, Any]) -> Box | None:
    """The box of any GeoJSON geometry; None when it has no coordinates."""
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
