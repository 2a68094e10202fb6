"""Does an entity meet a condition of the query tree, in memory: for what is not in a store (registrations, notifications,
what other brokers answer). The same meaning as the stores' SQL (`tests/ngsild/test_match.py` holds them together).
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from shapely.geometry import shape

from madang.model.entity import Entity, split_key
from madang.model.time import render_instant, sortable
from madang.ngsild.place import geometry_test
from madang.ngsild.query import (
    ANY_LANGUAGE,
    ENTITY_MEMBERS,
    METADATA,
    And,
    Between,
    Compare,
    Contains,
    Exists,
    InScope,
    Near,
    Node,
    Not,
    OfType,
    Or,
    Spatial,
)
from madang.ngsild.scope import scope_pattern

_CONTENT = ("value", "object", "vocab", "json", "valueList", "objectList", "languageMap")
_NO_LINKS = tuple(member for member in _CONTENT if member not in ("object", "objectList"))


def matches(entity: Entity, node: Node | None) -> bool:
    """Does the entity meet the condition? None: yes. Raises ValueError for a condition on linked entities, which need a
    store.

    >>> e = Entity("urn:x:1", "T", {"speed": {"type": "Property", "value": 3}}, 0, 0, 0, 1)
    >>> matches(e, Compare("speed", ">", 2)), matches(e, Compare("weight", "!=", 2))
    (True, False)
    """
    match node:
        case None:
            return True
        case And(items):
            return all(matches(entity, item) for item in items)
        case Or(items):
            return any(matches(entity, item) for item in items)
        case Not(item):
            return not matches(entity, item)
        case OfType(name):
            return name in entity.all_types
        case InScope(pattern):
            wanted = re.compile(scope_pattern(pattern))
            return any(wanted.search(scope) for scope in entity.scopes)
        case Contains(text, attributes):
            needle = text.casefold()
            texts = [entity.id, *(str(v) for name in attributes for v in _values(entity, name, (), ()))]
            return any(needle in t.casefold() for t in texts)
        case Exists(attribute, path, sub):
            return any(True for _ in _targets(entity, attribute, path, sub))
        case Between(attribute, low, high, path, sub):
            return any(
                _ordered(v, low, lambda a, b: a >= b) and _ordered(v, high, lambda a, b: a <= b)
                for v in _values(entity, attribute, path, sub)
            )
        case Compare():
            return _compare(entity, node)
    raise ValueError(f"{type(node).__name__} needs a store")


def in_place(entity: Entity, place: Near | Spatial | None) -> bool:
    """Does one of the entity's geometries satisfy the geo-query? None: yes."""
    if place is None:
        return True
    test = geometry_test(place)
    return any(test(shape(geometry)) for geometry in _geometries(entity, place.property))


def _geometries(entity: Entity, name: str) -> Iterator[dict[str, Any]]:
    for key, attribute in entity.attributes.items():
        if split_key(key)[0] == name and isinstance(attribute.get("value"), dict):
            yield attribute["value"]


def _compare(entity: Entity, node: Compare) -> bool:
    if node.op in ("!=", "!~="):
        # Clause 4.9: unequal holds for an attribute that is there with another value, not for an absent one.
        same = Compare(node.attribute, "==" if node.op == "!=" else "~=", node.value, node.path, node.sub)
        targets = _targets(entity, node.attribute, node.path, node.sub)
        return any(not any(_test(same, v) for v in _leaves(target)) for target in targets)
    # Clause 4.9: of a Relationship only equal and unequal are asked.
    members = _CONTENT if node.op == "==" else _NO_LINKS
    return any(_test(node, v) for v in _values(entity, node.attribute, node.path, node.sub, members))


def _test(node: Compare, value: Any) -> bool:
    match node.op:
        case "==":
            wanted = node.value if isinstance(node.value, list | tuple) else [node.value]
            return any(_equal(value, item) for item in wanted)
        case "~=":
            return isinstance(value, str) and re.search(str(node.value), value) is not None
        case "<":
            return _ordered(value, node.value, lambda a, b: a < b)
        case "<=":
            return _ordered(value, node.value, lambda a, b: a <= b)
        case ">":
            return _ordered(value, node.value, lambda a, b: a > b)
        case ">=":
            return _ordered(value, node.value, lambda a, b: a >= b)
    raise ValueError(f"unknown operator {node.op!r}")


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return bool(value == wanted)


def _ordered(value: Any, bound: Any, test: Callable[[Any, Any], bool]) -> bool:
    """Numbers compare with numbers, text with text, and with an instant by time."""
    if isinstance(value, bool) or isinstance(bound, bool):
        return False
    if isinstance(value, str) and isinstance(bound, str) and (moment := sortable(bound)) is not None:
        value, bound = value.rstrip("Z"), moment
    both_numbers = isinstance(value, int | float) and isinstance(bound, int | float)
    return (both_numbers or (isinstance(value, str) and isinstance(bound, str))) and test(value, bound)


def _targets(
    entity: Entity, name: str, path: tuple[str, ...], sub: tuple[str, ...], members: tuple[str, ...] = _CONTENT
) -> Iterator[Any]:
    """What the path leads to, once for each instance that has it. `members`: where an attribute may have its content."""
    if name in ENTITY_MEMBERS:
        yield from _member(entity, name)
        return
    for key, attribute in entity.attributes.items():
        if split_key(key)[0] != name:
            continue
        metadata = sub[-1] if sub and sub[-1] in METADATA else None
        found: Any = attribute
        for step in sub[:-1] if metadata else sub:
            found = found.get(step) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            continue
        if metadata in ("createdAt", "modifiedAt") and len(sub) == 1 and key in entity.stamps:
            yield render_instant(entity.stamps[key][metadata == "modifiedAt"])
        elif metadata:
            if metadata in found:
                yield found[metadata]
        else:
            yield from _contents(found, path, members)


def _contents(attribute: dict[str, Any], path: tuple[str, ...], members: tuple[str, ...]) -> Iterator[Any]:
    if not path:
        content = next((attribute[member] for member in members if member in attribute), None)
        yield content
        return
    if path == (ANY_LANGUAGE,):
        if isinstance(attribute.get("languageMap"), dict):
            yield list(attribute["languageMap"].values())
        return
    for member in ("value", "json", "languageMap"):
        found = attribute.get(member)
        for step in path:
            found = found.get(step) if isinstance(found, dict) else None
        if found is not None:
            yield found
            return


def _member(entity: Entity, name: str) -> Iterator[Any]:
    match name:
        case "id":
            yield entity.id
        case "type":
            yield list(entity.all_types)
        case "createdAt":
            yield render_instant(entity.created_at)
        case "modifiedAt":
            yield render_instant(entity.modified_at)
        case "expiresAt" if entity.expires_at is not None:
            yield render_instant(entity.expires_at)


def _values(
    entity: Entity, name: str, path: tuple[str, ...], sub: tuple[str, ...], members: tuple[str, ...] = _CONTENT
) -> Iterator[Any]:
    for target in _targets(entity, name, path, sub, members):
        yield from _leaves(target)


def _leaves(target: Any) -> Iterator[Any]:
    """The plain value, or the items of an array (of objects in an objectList)."""
    items = target if isinstance(target, list) else [target]
    for item in items:
        if isinstance(item, list):
            yield from item
        elif isinstance(item, dict) and set(item) == {"object"}:
            yield item["object"]
        elif isinstance(item, dict) and "@value" in item:
            yield item["@value"]
        else:
            yield item
