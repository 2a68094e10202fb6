"""A query as it is for somebody to whom some attributes are hidden: for them those are not there, so no condition on one is met, and
nothing is ordered by one. Otherwise who may not read a name could find it by asking for it, letter by letter."""

from collections.abc import Collection

import msgspec

from madang.ngsild.query import (
    And,
    Between,
    ByDistance,
    Compare,
    Contains,
    Exists,
    Linked,
    Near,
    Node,
    Not,
    Or,
    Order,
    Query,
    Spatial,
)

NEVER = Or(())
"""Met by nothing."""


def veil(node: Node | None, hidden: Collection[str]) -> Node | None:
    """The condition where the attributes `hidden` are not there."""
    if node is None or not hidden:
        return node
    match node:
        case And(items):
            return And(tuple(_veiled(item, hidden) for item in items))
        case Or(items):
            return Or(tuple(_veiled(item, hidden) for item in items))
        case Not(item):
            return Not(_veiled(item, hidden))
        case Linked(attribute, item, sub):
            return NEVER if attribute in hidden else Linked(attribute, _veiled(item, hidden), sub)
        case Contains(text, attributes):
            return Contains(text, tuple(name for name in attributes if name not in hidden))
        case Compare() | Between() | Exists():
            return NEVER if node.attribute in hidden else node
    return node


def _veiled(node: Node, hidden: Collection[str]) -> Node:
    found = veil(node, hidden)
    assert found is not None
    return found


def veil_query(query: Query, hidden: Collection[str]) -> Query:
    """The query where the attributes `hidden` are not there."""
    if not hidden:
        return query
    where = veil(query.where, hidden)
    attributes = tuple(name for name in query.attributes if name not in hidden)
    if (query.attributes and not attributes) or _looks_at(query.place, hidden):
        where = NEVER
    order = tuple(one for one in query.order if not _looks_at(one, hidden))
    return msgspec.structs.replace(query, where=where, attributes=attributes, order=order)


def _looks_at(what: Near | Spatial | Order | ByDistance | None, hidden: Collection[str]) -> bool:
    if what is None:
        return False
    return (what.attribute if isinstance(what, Order) else what.property) in hidden
