"""NGSI-LD entities and fragments of them in, as JSON values (clauses 4.5.1 to 4.5.24): normalised, concise and simplified, also mixed.

What comes out is the stored form: normalised attribute instances by key, names and vocabulary words as they are stored, instants in
UTC. Never raises anything but NgsiLdError, whatever JSON value it is given.

The NGSI-LD Null (``urn:ngsi-ld:null``, clause 4.5.0) takes something away. It is an error where nothing can be taken away
(`Nulls.NONE`); in a patch it stands for an attribute or a member of one; in a merge also inside JSON values. A member that is to be
taken away comes out with `NULL_URN` as its value; an attribute instance comes out in `Fragment.removed`.
"""

from enum import Enum
from math import isfinite
from typing import Any

from msgspec import Struct

from madang.model.entity import ATTRIBUTES_MAX, NEVER, Attribute, Attributes, instance_key
from madang.model.time import INSTANT_MAX, LAST_EXPIRY, Instant, parse_instant, render_instant
from madang.ngsild.context import CORE, Context
from madang.ngsild.errors import BAD_REQUEST_DATA, INVALID_REQUEST, NgsiLdError
from madang.ngsild.geo import is_geometry, is_plain_point
from madang.ngsild.names import check_context, check_id, is_uri
from madang.ngsild.scope import parse_scopes
from madang.ngsild.values import NULL_URN, TEXT_MAX, VALUE_MEMBERS, check_content, check_json, holds_null

SUB_ATTRIBUTE_DEPTH_MAX = 4
"""Attributes of attributes of attributes; the standard sets no limit, in use are two."""
UNIT_LENGTH_MAX = 16
"""UN/CEFACT common codes have two or three characters; some devices send longer texts."""
TYPES_MAX = 32
"""Types of one entity."""
INSTANCES_MAX = 256
"""Instances of one attribute."""

ATTRIBUTE_TYPES = tuple(VALUE_MEMBERS)
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
_ENTITY_MEMBERS = frozenset(
    {"id", "@id", "type", "@type", "@context", "scope", "expiresAt", "createdAt", "modifiedAt", "deletedAt"}
)
"""Members of an entity that are no attributes; the last three are given by the server and ignored on the way in."""
_FORBIDDEN_MEMBERS = frozenset(
    {"entity", "entityList", "previousValue", "previousObject", "previousLanguageMap", "previousVocab", "previousJson"}
    | {"previousValueList", "previousObjectList"}
)
"""Stand only in answers and notifications (clause 4.5.2.2)."""
_NOT_NAMES = frozenset(
    {"datasetId", "instanceId", "observedAt", "unitCode", "objectType", "valueType", *_FORBIDDEN_MEMBERS}
)
"""Terms of the core that are no attributes (clause 4.5.1). `value` and its like would be some, but published Smart Data Models have
attributes of that name."""
_GEO_NAMES = frozenset({"location", "observationSpace", "operationSpace"})
PROOF = "ngsildproof"
_SEALED = ("entityIdSealed", "entityTypeSealed")


class Nulls(Enum):
    """Where an NGSI-LD Null may stand."""

    NONE = "none"
    PATCH = "patch"
    MERGE = "merge"
    SIMPLE_MERGE = "simple merge"
    """A merge whose attributes are plain values: an object is a value, never part of an attribute."""

    @property
    def in_values(self) -> bool:
        """May a Null stand inside a JSON value?"""
        return self in (Nulls.MERGE, Nulls.SIMPLE_MERGE)


class ParsedEntity(Struct, frozen=True):
    """What a document says of a whole entity."""

    id: str
    type: str
    attributes: Attributes
    types: tuple[str, ...] = ()
    """All types when there is more than one."""
    scopes: tuple[str, ...] = ()
    expires_at: Instant | None = None


class Fragment(Struct, frozen=True):
    """What a document says of some of an entity."""

    attributes: Attributes
    removed: tuple[str, ...] = ()
    """Keys of the instances that it takes away."""
    types: tuple[str, ...] = ()
    """Types that it names; empty: none."""
    scopes: tuple[str, ...] | None = None
    """None: not named; empty: taken away."""
    expires_at: Instant | None = None
    """None: not named; `NEVER`: taken away."""
    id: str | None = None


def parse_entity(document: Any, where: str = "", context: Context = CORE) -> ParsedEntity:
    """An entity to create or to upsert. Raises NgsiLdError saying where and what.

    >>> parse_entity({"id": "urn:ngsi-ld:T:1", "type": "T", "speed": 12}).attributes
    {'speed': {'type': 'Property', 'value': 12}}
    """
    dot = f"{where}." if where else ""
    if not isinstance(document, dict):
        # Alone it is a request that cannot be taken, as a member of a batch it is bad data.
        raise NgsiLdError("an entity must be a JSON object", where, BAD_REQUEST_DATA if where else INVALID_REQUEST)
    for name in ("id", "type"):
        if name not in document and f"@{name}" not in document:
            raise NgsiLdError("is missing", f"{dot}{name}")
    fragment = parse_fragment(document, where, context)
    assert fragment.id is not None
    types = fragment.types
    return ParsedEntity(
        fragment.id,
        types[0],
        fragment.attributes,
        types if len(types) > 1 else (),
        fragment.scopes or (),
        fragment.expires_at,
    )


def parse_attributes(document: Any, where: str = "", context: Context = CORE) -> Attributes:
    """The attributes of an entity document alone. Raises NgsiLdError."""
    return parse_fragment(document, where, context).attributes


def parse_fragment(document: Any, where: str = "", context: Context = CORE, nulls: Nulls = Nulls.NONE) -> Fragment:
    """An entity document or a part of one. Raises NgsiLdError."""
    if not isinstance(document, dict):
        raise NgsiLdError("must be a JSON object", where)
    dot = f"{where}." if where else ""
    attributes: Attributes = {}
    removed: list[str] = []
    types: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    expires_at: Instant | None = None
    id_: str | None = None
    seen: set[str] = set()
    for key, value in document.items():
        if key not in _ENTITY_MEMBERS:
            place = f"{dot}{str(key)[:80]}"
            name = context.stored_name(key, place)
            if name in _NOT_NAMES:
                raise NgsiLdError("is a term of the core @context and no name for an attribute (clause 4.5.1)", place)
            if name in seen:
                raise NgsiLdError("is given twice under different spellings", place)
            seen.add(name)
            parse_instances(name, value, place, context, nulls, attributes, removed)
            if len(attributes) > ATTRIBUTES_MAX:
                raise NgsiLdError(f"has more than {ATTRIBUTES_MAX} attributes", where)
        elif key in ("id", "@id"):
            id_ = check_id(value, f"{dot}id")
            if id_ == NULL_URN:
                raise NgsiLdError("the NGSI-LD Null is no id", f"{dot}id")
        elif key in ("type", "@type"):
            types = parse_types(value, f"{dot}type", context)
        elif key == "@context":
            check_context(value, f"{dot}@context")
        elif key == "scope":
            if value == NULL_URN and nulls is not Nulls.NONE:
                scopes = ()
            else:
                scopes = parse_scopes(value, f"{dot}scope")
        elif key == "expiresAt":
            if value == NULL_URN and nulls is not Nulls.NONE:
                expires_at = NEVER
            else:
                expires_at = parse_instant(parse_time(value, f"{dot}expiresAt", LAST_EXPIRY), LAST_EXPIRY)
    return Fragment(attributes, tuple(removed), types, scopes, expires_at, id_)


def parse_types(value: Any, where: str, context: Context = CORE) -> tuple[str, ...]:
    """The types of an entity: one or several names, each once. Raises NgsiLdError."""
    if not isinstance(value, list):
        return (_parse_type(value, where, context),)
    if not value or len(value) > TYPES_MAX:
        raise NgsiLdError(f"must be a type, or an array of 1 to {TYPES_MAX} of them", where)
    return tuple(dict.fromkeys(_parse_type(item, where, context) for item in value))


def _parse_type(value: Any, where: str, context: Context) -> str:
    if value in ("id", "type"):
        raise NgsiLdError("is a term of the core @context and no type", where)
    return context.stored_name(value, where)


def parse_instances(
    name: str,
    value: Any,
    where: str,
    context: Context,
    nulls: Nulls,
    into: Attributes,
    removed: list[str],
    depth: int = 0,
) -> None:
    """All instances of one attribute (clause 4.5.5), into `into` by key; those that are Null into `removed`."""
    if type(value) is dict:
        quick = _parse_quickly(name, value, where)
        if quick is not None:
            into[name] = quick
            return
    several = isinstance(value, list) and value and all(isinstance(i, dict) and is_instance(i) for i in value)
    items: list[Any] = value if several else [value]
    if len(items) > INSTANCES_MAX:
        raise NgsiLdError(f"has more than {INSTANCES_MAX} instances", where)
    seen: set[str] = set()
    for item in items:
        dataset_id = _dataset_id(item, where)
        key = instance_key(name, dataset_id)
        if key in seen:
            raise NgsiLdError("has two instances with the same datasetId", where)
        seen.add(key)
        if nulls is not Nulls.NONE and is_null_attribute(item):
            removed.append(key)
        else:
            partial = nulls is Nulls.MERGE and isinstance(item, dict) and is_part(item)
            into[key] = parse_attribute(name, item, where, context, nulls, depth, partial=partial)


def _parse_quickly(name: str, value: dict[str, Any], where: str) -> Attribute | None:
    """The commonest shapes without the long way: a normalised Property with a plain value, a Relationship to one entity, or a
    GeoProperty that is a point, perhaps with unit and instant. None: not that. Says the same as `parse_attribute`, at a fifth of the
    cost."""
    kind = value.get("type")
    if kind == "Property":
        if not _is_plain_value(value.get("value")) or name in _GEO_NAMES:
            return None
    elif kind == "Relationship":
        target = value.get("object")
        if target == NULL_URN or not is_uri(target) or name in _GEO_NAMES:
            return None
    elif kind == "GeoProperty":
        if not is_plain_point(value.get("value")):
            return None
    else:
        return None
    rest = len(value) - 2
    if rest and "unitCode" in value:
        unit = value["unitCode"]
        if kind != "Property" or type(unit) is not str or not 1 <= len(unit) <= UNIT_LENGTH_MAX:
            return None
        rest -= 1
    if rest and "observedAt" in value:
        if type(value["observedAt"]) is not str or value["observedAt"] == NULL_URN:
            return None
        rest -= 1
    if rest or name == PROOF:
        return None
    attribute = dict(value)
    if "observedAt" in value:
        attribute["observedAt"] = parse_time(value["observedAt"], f"{where}.observedAt")
    return attribute


def _is_plain_value(content: Any) -> bool:
    if isinstance(content, str):
        return content != NULL_URN and len(content) <= TEXT_MAX
    if isinstance(content, float):
        return isfinite(content)
    return isinstance(content, int)


def _dataset_id(item: Any, where: str) -> str | None:
    if not isinstance(item, dict) or not is_instance(item):
        return None
    given = item.get("datasetId")
    return None if given in ("@none", None) else check_id(given, f"{where}.datasetId")


def is_null_attribute(item: Any) -> bool:
    """The NGSI-LD Null in the place of an attribute: alone, or as the content of an instance."""
    if not isinstance(item, dict):
        return bool(item == NULL_URN)
    content = next((item[member] for member in _TYPE_OF_MEMBER if member in item), None)
    if content == {"@none": NULL_URN} or content == [NULL_URN] or content == [{"object": NULL_URN}]:
        return True
    return bool(content == NULL_URN)


def parse_attribute(
    name: str,
    value: Any,
    where: str,
    context: Context = CORE,
    nulls: Nulls = Nulls.NONE,
    depth: int = 0,
    *,
    partial: bool = False,
) -> Attribute:
    """One instance as its normalised form. `partial`: its content, and then its type, may be absent. Raises NgsiLdError."""
    if depth > SUB_ATTRIBUTE_DEPTH_MAX:
        raise NgsiLdError(f"attributes are nested deeper than {SUB_ATTRIBUTE_DEPTH_MAX}", where)
    if not isinstance(value, dict) or not (is_instance(value) or partial):
        return _plain(name, value, where, nulls)
    kind = _kind_of(name, value, where, partial=partial)
    attribute: Attribute = {}
    if kind is not None:
        attribute["type"] = kind
        member = VALUE_MEMBERS[kind]
        if member in value:
            attribute[member] = check_content(
                kind, value[member], f"{where}.{member}", context, nullable=nulls.in_values
            )
        elif not partial:
            raise NgsiLdError(f"is missing (a {kind} has it)", f"{where}.{member}")
        if name in _GEO_NAMES and kind != "GeoProperty":
            raise NgsiLdError("must be a GeoProperty (clause 4.7)", where)
        if name == PROOF and not isinstance(attribute.get("value", {}), dict):
            raise NgsiLdError("is a Property whose value is a W3C proof object (clause 4.5.2.2)", where)
    content_member = VALUE_MEMBERS.get(kind or "")
    for key, given in value.items():
        if key in ("type", "@type", content_member) or key in _SYSTEM_MEMBERS:
            continue
        place = f"{where}.{str(key)[:80]}"
        if key in _TYPE_OF_MEMBER:
            raise NgsiLdError(f"a {kind} has {content_member}, not {key}", place)
        if key in _FORBIDDEN_MEMBERS:
            raise NgsiLdError("stands in answers only (clause 4.5.2.2)", place)
        _parse_member(name, kind, str(key), given, place, context, nulls, depth, attribute)
        if len(attribute) > ATTRIBUTES_MAX:
            raise NgsiLdError(f"has more than {ATTRIBUTES_MAX} members", where)
    return attribute


def _kind_of(name: str, value: dict[str, Any], where: str, *, partial: bool) -> str | None:
    kind = value.get("type", value.get("@type"))
    if kind is None:
        member = next((m for m in _TYPE_OF_MEMBER if m in value), None)
        if member is None:
            return "GeoProperty" if name in _GEO_NAMES and not partial else None
        kind = _TYPE_OF_MEMBER[member]
        if kind == "Property" and (is_geometry(value["value"]) or name in _GEO_NAMES):
            kind = "GeoProperty"
    if not isinstance(kind, str) or kind not in VALUE_MEMBERS:
        raise NgsiLdError(f"must be one of {', '.join(ATTRIBUTE_TYPES)}", f"{where}.type")
    return kind


def _parse_member(
    name: str,
    kind: str | None,
    key: str,
    given: Any,
    where: str,
    context: Context,
    nulls: Nulls,
    depth: int,
    into: Attribute,
) -> None:
    """A member of an attribute beside its content: metadata of the standard, or a sub-attribute."""
    if key == "@context":
        raise NgsiLdError("@context belongs to the entity, not to an attribute (clause 4.5.1)", where)
    if key == "datasetId":
        if given == NULL_URN:
            raise NgsiLdError("cannot be taken away: it tells instances apart (clause 5.5.8)", where)
        if given not in ("@none", None):
            into[key] = check_id(given, where)
    elif given == NULL_URN and nulls is not Nulls.NONE and key not in _SEALED:
        into[key if key in _METADATA else context.stored_name(key, where)] = NULL_URN
    elif key in ("observedAt", "expiresAt"):
        into[key] = parse_time(given, where, LAST_EXPIRY if key == "expiresAt" else INSTANT_MAX)
    elif key == "unitCode":
        if kind in ("JsonProperty", "Relationship", "ListRelationship", "LanguageProperty", "VocabProperty"):
            raise NgsiLdError(f"a {kind} has no unit", where)
        if not isinstance(given, str) or not 1 <= len(given) <= UNIT_LENGTH_MAX:
            raise NgsiLdError("must be a UN/CEFACT common code such as KGM", where)
        into[key] = given
    elif key in ("objectType", "valueType"):
        into[key] = _parse_word(kind, key, given, where, context)
    elif key == "lang":
        if not isinstance(given, str):
            raise NgsiLdError("must be a text", where)
        into[key] = given
    elif key in _SEALED:
        if name != PROOF or not isinstance(given, str):
            raise NgsiLdError(f"is a text and stands in {PROOF} alone (clause 4.5.2.2)", where)
        into[key] = given if key == "entityIdSealed" else context.stored_word(given)
    else:
        sub = context.stored_name(key, where)
        if sub in into:
            raise NgsiLdError("is given twice under different spellings", where)
        gone: list[str] = []
        parse_instances(sub, given, where, context, nulls, into, gone, depth + 1)
        for taken in gone:
            into[taken] = NULL_URN


_METADATA = frozenset({"observedAt", "expiresAt", "unitCode", "objectType", "valueType", "lang"})


def _parse_word(kind: str | None, key: str, given: Any, where: str, context: Context) -> Any:
    """objectType and valueType: a vocabulary word, or for objectType several."""
    words = given if isinstance(given, list) and key == "objectType" else [given]
    if not words or not all(isinstance(word, str) and word for word in words):
        raise NgsiLdError("must be a text", where)
    if kind == "LanguageProperty" and given != "langString":
        raise NgsiLdError("must be langString for a LanguageProperty (clause 5.2.32)", where)
    if given == "langString":
        return given
    stored = [context.stored_word(word) for word in words]
    return stored if isinstance(given, list) else stored[0]


def is_part(value: dict[Any, Any]) -> bool:
    """Members of an attribute without its content, as a merge may have them: ``{"observedAt": …, "accuracy": {"value": 2}}``."""
    return bool(value) and all(
        key in _METADATA
        or key == "datasetId"
        or member == NULL_URN
        or (isinstance(member, dict) and is_instance(member))
        for key, member in value.items()
    )


def is_instance(value: dict[Any, Any]) -> bool:
    """Normalised or concise attribute, rather than a plain object value."""
    kind = value.get("type", value.get("@type"))
    if isinstance(kind, str) and kind in VALUE_MEMBERS:
        return True
    if is_geometry(value):
        return False
    return any(member in value for member in _TYPE_OF_MEMBER)


def _plain(name: str, value: Any, where: str, nulls: Nulls) -> Attribute:
    """A value alone: simplified, or concise without metadata."""
    if value is None or value == NULL_URN:
        raise NgsiLdError("null is no value: leave the attribute out", where)
    if is_geometry(value):
        return {"type": "GeoProperty", "value": check_content("GeoProperty", value, where, CORE)}
    if name in _GEO_NAMES:
        raise NgsiLdError("must be a GeoJSON geometry or a GeoProperty", where)
    check_json(value, where)
    if not nulls.in_values and holds_null(value):
        raise NgsiLdError("the NGSI-LD Null takes away and is no value", where)
    return {"type": "Property", "value": value}


_NO_OFFSET = ("+00:00", "-00:00")


def parse_time(value: Any, where: str, latest: Instant = INSTANT_MAX) -> str:
    """A date-time as RFC 3339 text. Clause 4.6.3 wants it in UTC, without an offset (docs/adr/0038); +00:00 says the same as Z. Raises
    NgsiLdError for anything else, saying what to write."""
    if not isinstance(value, str):
        raise NgsiLdError("must be a date-time such as 2026-11-23T02:14:09Z", where)
    try:
        instant = parse_instant(value.replace(",", "."), latest)
    except (ValueError, OverflowError) as error:
        raise NgsiLdError(str(error), where) from None
    if len(value) == 20 and value[-1] == "Z" and value[10] == "T":
        return value  # whole seconds in UTC: as it would be written
    if value[-1] not in "Zz" and not value.endswith(_NO_OFFSET):
        raise NgsiLdError(f"must be in UTC (clause 4.6.3): write {render_instant(instant)}", where)
    return render_instant(instant)
