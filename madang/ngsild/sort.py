"""Ordering entities in memory (clause 4.23): for what is in no store. The same order as the stores' SQL (`tests/hub/test_frozen.py` holds
them together).
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from shapely.geometry import shape

from madang.model.entity import Entity, split_key
from madang.ngsild.place import geometry_distance
from madang.ngsild.query import ENTITY_MEMBERS, METADATA, ByDistance, Order

Key = tuple[int, Any]
"""Numbers before text."""


def sort_entities(entities: Iterable[Entity], order: Sequence[Order | ByDistance]) -> list[Entity]:
    """The entities by `order`, then by id; those without what is ordered by come last. Raises ValueError for an empty geometry to measure
    from."""
    found = sorted(entities, key=lambda entity: entity.id)
    for one in reversed(order):
        key_of = _distance(one) if isinstance(one, ByDistance) else _value(one)
        keyed = [(key_of(entity), entity) for entity in found]
        present = [pair for pair in keyed if pair[0] is not None]
        present.sort(key=lambda pair: pair[0] or (0, 0), reverse=one.descending)
        found = [entity for _, entity in present] + [entity for key, entity in keyed if key is None]
    return found


def collation_key(text: str) -> str:
    """What people sort a text by: letters without accents and case, then accents, then case.

    >>> sorted(["b", "á", "A", "a"], key=collation_key)
    ['a', 'A', 'á', 'b']
    """
    parts = unicodedata.normalize("NFD", text)
    letters = "".join(c for c in parts if not unicodedata.combining(c))
    return f"{letters.casefold()}\0{parts.casefold()}\0{text.swapcase()}"


def _distance(order: ByDistance) -> Callable[[Entity], Key | None]:
    distance_to = geometry_distance(order)

    def key_of(entity: Entity) -> Key | None:
        places = [
            attribute["value"]
            for key, attribute in entity.attributes.items()
            if split_key(key)[0] == order.property and isinstance(attribute.get("value"), dict)
        ]
        return (0, min(distance_to(shape(place)) for place in places)) if places else None

    return key_of


def _value(order: Order) -> Callable[[Entity], Key | None]:
    def key_of(entity: Entity) -> Key | None:
        value = _member(entity, order.attribute) if order.attribute in ENTITY_MEMBERS else _plain(entity, order)
        if value is None:
            return None
        if isinstance(value, int | float):
            return 0, value
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        return 1, collation_key(text) if order.collated else text

    return key_of


def _member(entity: Entity, name: str) -> Any:
    return {
        "id": entity.id,
        "type": entity.type,
        "createdAt": entity.created_at,
        "modifiedAt": entity.modified_at,
        "expiresAt": entity.expires_at,
    }[name]


def _plain(entity: Entity, order: Order) -> Any:
    """The plain value of the default instance."""
    found: Any = entity.attributes.get(order.attribute)
    last = order.sub[-1] if order.sub else ""
    if len(order.sub) == 1 and last in ("createdAt", "modifiedAt"):
        stamps = entity.stamps.get(order.attribute, (entity.created_at, entity.modified_at))
        return None if found is None else stamps[last == "modifiedAt"]
    for step in order.sub[:-1] if last in METADATA else order.sub:
        found = found.get(step) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return None
    if last in METADATA:
        return found.get(last)
    for content in ("value", "json", "languageMap") if order.path else ("value", "object", "vocab"):
        value: Any = found.get(content)
        for step in order.path:
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None
