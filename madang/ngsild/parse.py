"""NGSI-LD entities in, as JSON values (clauses 4.5.1 to 4.5.4): normalised, concise and simplified, also mixed.

What comes out is the stored form: normalised attributes by name, instants in UTC. Never raises anything but
NgsiLdError, whatever JSON value it is given.
"""

from math import isfinite
from typing import Any

from msgspec import Struct

from madang.model.entity import ATTRIBUTES_MAX, Attribute, Attributes
from madang.model.time import parse_instant, render_instant
from madang.ngsild.errors import NOT_YET, NgsiLdError
from madang.ngsild.geo import check_geometry, is_geometry
from madang.ngsild.names import check_context, check_id, check_name, is_uri

DEPTH_MAX = 32
"""Arrays and objects inside each other in a value. The deepest Smart Data Model has six."""
VALUES_MAX = 100_000
"""Values in one attribute's value."""
SUB_ATTRIBUTE_DEPTH_MAX = 4
"""Attributes of attributes of attributes; the standard sets no limit, in use are two."""
TEXT_MAX = 1_000_000
"""Characters of one text value."""
UNIT_LENGTH_MAX = 16
"""UN/CEFACT common codes have two or three characters; some devices send longer texts."""
NULL_URN = "urn:ngsi-ld:null"

_VALUE_MEMBERS = {
    "Property": "value",
    "GeoProperty": "value",
    "Relationship": "object",
    "LanguageProperty": "languageMap",
    "VocabProperty": "vocab",
    "JsonProperty": "json",
    "ListProperty": "valueList",
    "ListRelationship": "objectList",
}
ATTRIBUTE_TYPES = tuple(_VALUE_MEMBERS)
_TYPE_OF_MEMBER = {
    "value": "Property",
    "object": "Relationship",
    "languageMap": "LanguageProperty",
    "vocab": "VocabProperty",
    "json": "JsonProperty",
    "valueList": "ListProperty",
    "objectList": "ListRelationship",
}
_SYSTEM_MEMBERS = frozenset({"createdAt", "modifiedAt", "deletedAt", "instanceId"})
"""Given by the server; ignored on the way in (clause 4.8)."""
_GEO_NAMES = frozenset({"location", "observationSpace", "operationSpace"})


class ParsedEntity(Struct, frozen=True):
    """What a document says."""

    id: str
    type: str
    attributes: Attributes


def parse_entity(document: Any, where: str = "") -> ParsedEntity:
    """An entity to create or to upsert. Raises NgsiLdError saying where and what.

    >>> parse_entity({"id": "urn:ngsi-ld:T:1", "type": "T", "speed": 12}).attributes
    {'speed': {'type': 'Property', 'value': 12}}
    """
    dot = f"{where}." if where else ""
    if not isinstance(document, dict):
        raise NgsiLdError("an entity must be a JSON object", where)
    for name in ("id", "type"):
        if name not in document and f"@{name}" not in document:
            raise NgsiLdError("is missing", f"{dot}{name}")
    id_ = check_id(document["id"] if "id" in document else document["@id"], f"{dot}id")
    type_ = _parse_type(document["type"] if "type" in document else document["@type"], f"{dot}type")
    return ParsedEntity(id_, type_, parse_attributes(document, where))


def parse_attributes(document: Any, where: str = "") -> Attributes:
    """The attributes of an entity document or fragment; id, type and @context are passed over. Raises NgsiLdError."""
    if not isinstance(document, dict):
        raise NgsiLdError("must be a JSON object", where)
    dot = f"{where}." if where else ""
    attributes: Attributes = {}
    for key, value in document.items():
        if key in ("id", "type", "@id", "@type", "createdAt", "modifiedAt", "deletedAt"):
            continue
        if key == "@context":
            check_context(value, f"{dot}@context")
            continue
        if key == "scope":
            raise NgsiLdError("scopes are not stored yet: leave it out", f"{dot}scope", NOT_YET)
        name = check_name(key, f"{dot}{str(key)[:80]}")
        if name in attributes:
            raise NgsiLdError("is given twice under different spellings", f"{dot}{key}")
        attributes[name] = parse_attribute(name, value, f"{dot}{key}")
        if len(attributes) > ATTRIBUTES_MAX:
            raise NgsiLdError(f"has more than {ATTRIBUTES_MAX} attributes", where)
    return attributes


def _parse_type(value: Any, where: str) -> str:
    if isinstance(value, list):
        if len(value) != 1:
            raise NgsiLdError("one type per entity for now", where, NOT_YET if value else "BadRequestData")
        value = value[0]
    return check_name(value, where)


def parse_attribute(name: str, value: Any, where: str, depth: int = 0) -> Attribute:
    """One attribute as its normalised form. Raises NgsiLdError."""
    if depth > SUB_ATTRIBUTE_DEPTH_MAX:
        raise NgsiLdError(f"attributes are nested deeper than {SUB_ATTRIBUTE_DEPTH_MAX}", where)
    if isinstance(value, list) and value and all(isinstance(i, dict) and _is_instance(i) for i in value):
        if len(value) > 1:
            raise NgsiLdError("several instances of one attribute (datasetId) are not stored yet", where, NOT_YET)
        value = value[0]
    if not isinstance(value, dict) or not _is_instance(value):
        return _plain(name, value, where)
    kind = value.get("type", value.get("@type"))
    if kind is None:
        kind = next(_TYPE_OF_MEMBER[member] for member in _TYPE_OF_MEMBER if member in value)
        if kind == "Property" and is_geometry(value["value"]):
            kind = "GeoProperty"
    if not isinstance(kind, str) or kind not in _VALUE_MEMBERS:
        raise NgsiLdError(f"must be one of {', '.join(ATTRIBUTE_TYPES)}", f"{where}.type")
    member = _VALUE_MEMBERS[kind]
    if member not in value:
        raise NgsiLdError(f"is missing (a {kind} has it)", f"{where}.{member}")
    content = value[member]
    _check_content(kind, content, f"{where}.{member}")
    if name in _GEO_NAMES and kind != "GeoProperty":
        raise NgsiLdError("must be a GeoProperty (clause 4.7)", where)
    attribute: Attribute = {"type": kind, member: content}
    for key, given in value.items():
        if key in ("type", "@type", member) or key in _SYSTEM_MEMBERS:
            continue
        if key in _TYPE_OF_MEMBER:
            raise NgsiLdError(f"a {kind} has {member}, not {key}", f"{where}.{key}")
        parsed = _parse_member(str(key), given, f"{where}.{str(key)[:80]}", depth)
        if parsed is not None:
            attribute[parsed[0]] = parsed[1]
        if len(attribute) > ATTRIBUTES_MAX:
            raise NgsiLdError(f"has more than {ATTRIBUTES_MAX} members", where)
    return attribute


def _parse_member(key: str, given: Any, where: str, depth: int) -> tuple[str, Any] | None:
    """A member of an attribute beside its value: metadata of the standard, or a sub-attribute."""
    if key in ("observedAt", "expiresAt"):
        return key, _parse_time(given, where)
    if key == "unitCode":
        if not isinstance(given, str) or not 1 <= len(given) <= UNIT_LENGTH_MAX:
            raise NgsiLdError("must be a UN/CEFACT common code such as KGM", where)
        return key, given
    if key == "datasetId":
        if given in ("@none", None):
            return None
        check_id(given, where)
        raise NgsiLdError("attribute instances (datasetId) are not stored yet", where, NOT_YET)
    if key in ("objectType", "valueType", "lang"):
        if not isinstance(given, str):
            raise NgsiLdError("must be a text", where)
        return key, given
    if key == "@context":
        raise NgsiLdError("@context belongs to the entity, not to an attribute", where)
    name = check_name(key, where)
    return name, parse_attribute(name, given, where, depth + 1)


def _is_instance(value: dict[Any, Any]) -> bool:
    """Normalised or concise attribute, rather than a plain object value."""
    kind = value.get("type", value.get("@type"))
    if isinstance(kind, str) and kind in _VALUE_MEMBERS:
        return True
    if is_geometry(value):
        return False
    return any(member in value for member in _TYPE_OF_MEMBER)


def _plain(name: str, value: Any, where: str) -> Attribute:
    """A value alone: simplified, or concise without metadata."""
    if value is None or value == NULL_URN:
        raise NgsiLdError("null is no value: leave the attribute out", where)
    if is_geometry(value):
        return {"type": "GeoProperty", "value": check_geometry(value, where)}
    if name in _GEO_NAMES:
        raise NgsiLdError("must be a GeoJSON geometry or a GeoProperty", where)
    _check_json(value, where)
    return {"type": "Property", "value": value}


def _check_content(kind: str, content: Any, where: str) -> None:
    if content is None or (isinstance(content, str) and content == NULL_URN):
        raise NgsiLdError("null is no value: leave the attribute out", where)
    if kind == "GeoProperty":
        check_geometry(content, where)
    elif kind == "Relationship":
        targets = content if isinstance(content, list) else [content]
        if not targets or not all(is_uri(target) for target in targets):
            raise NgsiLdError("must be the URI of an entity, or an array of these", where)
    elif kind == "LanguageProperty":
        if not isinstance(content, dict) or not content:
            raise NgsiLdError("must be an object of texts by language", where)
        for text in content.values():
            if not (isinstance(text, str) or (isinstance(text, list) and all(isinstance(t, str) for t in text))):
                raise NgsiLdError("must be an object of texts by language", where)
    elif kind == "VocabProperty":
        words = content if isinstance(content, list) else [content]
        if not words or not all(isinstance(word, str) and word for word in words):
            raise NgsiLdError("must be a text, or an array of texts", where)
    elif kind in ("ListProperty", "ListRelationship") and not isinstance(content, list):
        raise NgsiLdError("must be an array", where)
    _check_json(content, where)


def _check_json(value: Any, where: str) -> None:
    """Depth, size and finite numbers of any JSON value."""
    stack: list[tuple[Any, int]] = [(value, 1)]
    count = 0
    while stack:
        item, depth = stack.pop()
        count += 1
        if count > VALUES_MAX:
            raise NgsiLdError(f"holds more than {VALUES_MAX} values", where)
        if isinstance(item, dict | list):
            if depth > DEPTH_MAX:
                raise NgsiLdError(f"is nested deeper than {DEPTH_MAX}", where)
            if isinstance(item, dict):
                if item.get("@type") == "DateTime" and not isinstance(item.get("@value"), str):
                    # Only that: published Smart Data Model examples carry date-times without a zone here.
                    raise NgsiLdError("a DateTime has its text in @value", where)
                if not all(isinstance(key, str) for key in item):
                    raise NgsiLdError("an object's names must be texts", where)
                stack.extend((inner, depth + 1) for inner in item.values())
            else:
                stack.extend((inner, depth + 1) for inner in item)
        elif isinstance(item, str):
            if len(item) > TEXT_MAX:
                raise NgsiLdError(f"is a text longer than {TEXT_MAX} characters", where)
        elif isinstance(item, float):
            if not isfinite(item):
                raise NgsiLdError("is not a finite number", where)
        elif not (item is None or isinstance(item, bool | int)):
            raise NgsiLdError("is not a JSON value", where)


def _parse_time(value: Any, where: str) -> str:
    """A date-time in UTC as RFC 3339 text."""
    if not isinstance(value, str):
        raise NgsiLdError("must be a date-time such as 2026-11-23T02:14:09Z", where)
    try:
        return render_instant(parse_instant(value))
    except (ValueError, OverflowError) as error:
        raise NgsiLdError(str(error), where) from None
