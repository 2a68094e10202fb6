"""NGSI-LD entities out: normalised, concise, simplified (keyValues), with system attributes (clauses 4.5.1, 4.5.4,
4.8)."""

from collections.abc import Collection
from typing import Any

from madang.model.entity import Attribute, Entity
from madang.model.time import render_instant
from madang.ngsild.names import CORE_CONTEXT

NORMALIZED, CONCISE, SIMPLIFIED = "normalized", "concise", "simplified"
_CONTENT = ("value", "object", "languageMap", "vocab", "json", "valueList", "objectList")
_WRAPPED = frozenset({"languageMap", "vocab", "json", "valueList", "objectList"})
"""Kept under their member name in simplified form, so that their kind stays visible (clause 4.5.4)."""


def render_entity(
    entity: Entity,
    form: str = NORMALIZED,
    *,
    sys_attrs: bool = False,
    attributes: Collection[str] | None = None,
    context: bool = False,
) -> dict[str, Any]:
    """An entity as a JSON document. `attributes` keeps only these; `context` adds @context, for application/ld+json.

    >>> e = Entity("urn:x:1", "T", {"speed": {"type": "Property", "value": 3}}, 0, 0, 0, 1)
    >>> render_entity(e, "simplified")
    {'id': 'urn:x:1', 'type': 'T', 'speed': 3}
    """
    document: dict[str, Any] = {"id": entity.id, "type": entity.type}
    if sys_attrs:
        document["createdAt"] = render_instant(entity.created_at)
        document["modifiedAt"] = render_instant(entity.modified_at)
    chosen = entity.attributes
    if attributes is not None:
        chosen = {name: attribute for name, attribute in chosen.items() if name in attributes}
    if form == NORMALIZED:
        document.update(chosen)
    else:
        change = simplify if form == SIMPLIFIED else make_concise
        for name, attribute in chosen.items():
            document[name] = change(attribute)
    if context:
        document["@context"] = CORE_CONTEXT
    return document


def simplify(attribute: Attribute) -> Any:
    """The plain value of an attribute."""
    for member in _CONTENT:
        if member in attribute:
            return {member: attribute[member]} if member in _WRAPPED else attribute[member]
    return None


def make_concise(attribute: Attribute) -> Any:
    """The attribute without what can be told from the rest: its type, and the wrapping of a value that stands alone."""
    kind = attribute.get("type")
    rest = {
        name: make_concise(member) if isinstance(member, dict) and "type" in member and name not in _CONTENT else member
        for name, member in attribute.items()
        if name != "type"
    }
    if kind in ("Property", "GeoProperty") and set(rest) == {"value"}:
        value = rest["value"]
        # An object that could be taken for an attribute stays wrapped.
        if kind == "GeoProperty" or not isinstance(value, dict):
            return value
    return rest
