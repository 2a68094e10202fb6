"""`MemoryRef`: look-ups for detectors, held in memory.

The runner feeds it every reference version, record version and parameter version in log order, before it hands the same
change to a detector, so that answers are those of the change's place in the log. Tests and evaluations fill it by hand.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import shapely
from shapely.geometry import shape

from madang.flow.contract import Lookup, Near
from madang.model.entity import Entity, value_of
from madang.model.geometry import LonLat, Plane, is_lon_lat
from madang.model.record import Record

_M_PER_DEGREE_MIN = 110_000.0
"""A little less than a degree of latitude (110.6 to 111.7 km), so that the search box in degrees is never too small."""


class MemoryRef:
    """Implements `flow.Ref`. Only types named in `lookups` are kept and answered for; others raise LookupError.

    Cost: `find`, `find_record`, `parameter` one or two dictionary reads; `list_by` by the number found; `near` about 10 µs
    in a city of some thousand places. After a place has changed, the first `near` of its type builds the index again
    (about 1 ms per thousand places). Memory: the entities themselves and one projected geometry for each place.
    """

    def __init__(self, lookups: Iterable[Lookup] = (), parameters: Mapping[str, Any] | None = None) -> None:
        self._parameters: dict[str, Any] = dict(parameters or {})
        self._entities: dict[str, dict[str, Entity]] = {}
        self._records: dict[str, dict[str, Record]] = {}
        self._values: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
        self._by: dict[str, set[str]] = {}
        self._places: dict[str, _Places] = {}
        for lookup in lookups:
            self.declare(lookup)

    def declare(self, lookup: Lookup) -> None:
        """Answer for this look-up from now on. To be called before its entities are put; repeating it does no harm."""
        self._entities.setdefault(lookup.type, {})
        self._records.setdefault(lookup.type, {})
        names = self._by.setdefault(lookup.type, set())
        for name in lookup.by:
            names.add(name)
            self._values.setdefault((lookup.type, name), {})
        if lookup.place is not None:
            known = self._places.get(lookup.type)
            if known is None:
                self._places[lookup.type] = _Places(lookup.place)
            elif known.attribute != lookup.place:
                raise ValueError(f"{lookup.type} is indexed by {known.attribute}; it cannot be by {lookup.place} too")

    @property
    def types(self) -> frozenset[str]:
        """Types that are answered for."""
        return frozenset(self._entities)

    # What the runner calls.

    def put_entity(self, entity: Entity) -> None:
        """Create or replace a reference entity. A type that no look-up names is ignored."""
        entities = self._entities.get(entity.type)
        if entities is None:
            return
        before = entities.get(entity.id)
        entities[entity.id] = entity
        for name in self._by[entity.type]:
            was = None if before is None else value_of(before.attributes.get(name))
            self._index(entity.type, name, entity.id, was, value_of(entity.attributes.get(name)))
        places = self._places.get(entity.type)
        if places is not None:
            places.put(entity)

    def put_record(self, record: Record) -> None:
        """Put a record's newest version. A type that no look-up names is ignored."""
        records = self._records.get(record.type)
        if records is None:
            return
        before = records.get(record.id)
        records[record.id] = record
        for name in self._by[record.type]:
            was = None if before is None else before.data.get(name)
            self._index(record.type, name, record.id, was, record.data.get(name))

    def delete(self, id_: str) -> None:
        """Forget an entity or record; unknown ones are no mistake."""
        for type_, entities in self._entities.items():
            entity = entities.pop(id_, None)
            record = self._records[type_].pop(id_, None)
            if entity is not None and type_ in self._places:
                self._places[type_].delete(id_)
            for name in self._by[type_]:
                if entity is not None:
                    self._index(type_, name, id_, value_of(entity.attributes.get(name)), None)
                if record is not None:
                    self._index(type_, name, id_, record.data.get(name), None)

    def set_parameter(self, name: str, value: Any) -> None:
        """Set a parameter's value in force."""
        self._parameters[name] = value

    # What a detector calls (flow.Ref).

    def find(self, type_: str, id_: str) -> Entity | None:
        """The reference entity, or None."""
        return self._of(self._entities, type_).get(id_)

    def find_record(self, type_: str, id_: str) -> Record | None:
        """The record, or None."""
        return self._of(self._records, type_).get(id_)

    def list_by(self, type_: str, attribute: str, value: str) -> Sequence[Entity]:
        """Reference entities whose declared attribute equals `value`, by id."""
        entities = self._of(self._entities, type_)
        return [entities[id_] for id_ in self._ids(type_, attribute, value) if id_ in entities]

    def list_records_by(self, type_: str, name: str, value: str) -> Sequence[Record]:
        """Records whose declared data name equals `value`, by id."""
        records = self._of(self._records, type_)
        return [records[id_] for id_ in self._ids(type_, name, value) if id_ in records]

    def near(self, type_: str, place: LonLat, radius_m: float) -> Sequence[Near]:
        """Reference entities whose declared geometry is within `radius_m` metres, nearest first (then by id)."""
        self._of(self._entities, type_)
        places = self._places.get(type_)
        if places is None:
            raise LookupError(f"no look-up declares a place for {type_}")
        return places.near(place, radius_m)

    def parameter(self, name: str) -> Any:
        """The value of a declared parameter; LookupError when no service declares it."""
        try:
            return self._parameters[name]
        except KeyError:
            raise LookupError(f"no service declares the parameter {name}") from None

    def _of(self, kept: dict[str, dict[str, Any]], type_: str) -> dict[str, Any]:
        found = kept.get(type_)
        if found is None:
            raise LookupError(f"no look-up declares {type_}")
        return found

    def _ids(self, type_: str, name: str, value: str) -> list[str]:
        index = self._values.get((type_, name))
        if index is None:
            raise LookupError(f"no look-up declares {type_} by {name}")
        return sorted(index.get(value, ()))

    def _index(self, type_: str, name: str, id_: str, was: Any, now: Any) -> None:
        if was == now:
            return
        index = self._values[(type_, name)]
        if isinstance(was, str):
            ids = index.get(was)
            if ids is not None:
                ids.pop(id_, None)
                if not ids:
                    del index[was]
        if isinstance(now, str):
            index.setdefault(now, {})[id_] = None


class _Places:
    """Geometries of one type: a tree of boxes in degrees finds candidates; each candidate's distance is measured on a
    plane around its own middle, so the plane's error is that of the small distances asked about."""

    def __init__(self, attribute: str) -> None:
        self.attribute = attribute
        self._kept: dict[str, tuple[Entity, Plane, Any, Any]] = {}
        self._order: list[tuple[Entity, Plane, Any, Any]] = []
        self._tree: Any = None

    def put(self, entity: Entity) -> None:
        geometry = _geometry(value_of(entity.attributes.get(self.attribute)))
        if geometry is None:
            self.delete(entity.id)
            return
        west, south, east, north = geometry.bounds
        plane = Plane(((west + east) / 2, (south + north) / 2))
        flat = shapely.transform(geometry, lambda pairs: [plane.to_xy((lon, lat)) for lon, lat in pairs])
        shapely.prepare(flat)
        self._kept[entity.id] = (entity, plane, flat, geometry)
        self._tree = None

    def delete(self, id_: str) -> None:
        if self._kept.pop(id_, None) is not None:
            self._tree = None

    def near(self, place: LonLat, radius_m: float) -> list[Near]:
        if not self._kept:
            return []
        if self._tree is None:
            self._order = list(self._kept.values())
            self._tree = shapely.STRtree([kept[3] for kept in self._order])
        lon, lat = place
        reach_lat = radius_m / _M_PER_DEGREE_MIN
        # The narrowest parallel inside the box decides how many degrees of longitude the radius may span.
        squeeze = Plane((0.0, min(89.0, abs(lat) + reach_lat))).to_xy((1.0, 0.0))[0] / _M_PER_DEGREE_MIN
        reach_lon = reach_lat / max(squeeze, 1e-6)
        found: list[Near] = []
        for index in self._tree.query(shapely.box(lon - reach_lon, lat - reach_lat, lon + reach_lon, lat + reach_lat)):
            entity, plane, flat, _ = self._order[index]
            x, y = plane.to_xy(place)
            distance = float(shapely.distance(flat, shapely.Point(x, y)))
            if distance <= radius_m:
                found.append(Near(entity, distance))
        found.sort(key=lambda near: (near.distance_m, near.entity.id))
        return found


def _geometry(value: Any) -> Any:
    """A shapely geometry of a GeoJSON value; None when it is none or is off the globe."""
    if not isinstance(value, dict) or "type" not in value:
        return None
    geometry = shape(value)
    if geometry.is_empty:
        return None
    west, south, east, north = geometry.bounds
    if not (is_lon_lat(west, south) and is_lon_lat(east, north)):
        return None
    return geometry if geometry.is_valid else shapely.make_valid(geometry)
