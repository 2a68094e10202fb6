"""How a fragment changes an attribute (clauses 5.5.8 partial update, 5.5.12 merge), and what a simplified one means for it."""

from typing import Any

from madang.model.entity import Attribute
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.values import NULL_URN, VALUE_MEMBERS

_CONTENTS = frozenset(VALUE_MEMBERS.values())


def content_of(attribute: Attribute) -> Any:
    """The content of any kind of attribute: value, object, languageMap, …; None when it has none."""
    member = VALUE_MEMBERS.get(attribute.get("type", ""))
    return None if member is None else attribute.get(member)


def update_partially(old: Attribute, fragment: Attribute, where: str = "") -> Attribute:
    """Clause 5.5.8: members that the fragment has replace those of `old`, whole; a Null takes one away; the rest stays.

    Raises NgsiLdError when the fragment names another type, or has the content of another type.

    >>> update_partially({"type": "Property", "value": 1, "unitCode": "KMH"}, {"value": 2})
    {'type': 'Property', 'value': 2, 'unitCode': 'KMH'}
    """
    _check_kind(old, fragment, where)
    changed = dict(old)
    for key, value in fragment.items():
        if key == "type":
            continue
        if isinstance(value, str) and value == NULL_URN:
            changed.pop(key, None)
        else:
            changed[key] = value
    return changed


def _check_kind(old: Attribute, fragment: Attribute, where: str) -> None:
    kind = old.get("type")
    given = fragment.get("type", kind)
    if given != kind and {given, kind} != {"Property", "GeoProperty"}:
        raise NgsiLdError(f"is a {kind} and does not become a {given} by a partial update: replace it", f"{where}.type")
    wrong = [m for m in fragment if m in _CONTENTS and m != VALUE_MEMBERS.get(str(kind))]
    if wrong:
        raise NgsiLdError(f"a {kind} has no {wrong[0]}", f"{where}.{wrong[0]}")


def merge(old: Attribute, fragment: Attribute) -> Attribute:
    """Clause 5.5.12: like RFC 7396, with the NGSI-LD Null for null; sub-attributes and JSON values merge too. Another type, or the
    content of another type, replaces the content.

    >>> merge({"type": "Property", "value": {"a": 1, "b": 2}}, {"value": {"a": "urn:ngsi-ld:null", "c": 3}})
    {'type': 'Property', 'value': {'b': 2, 'c': 3}}
    """
    changed = dict(old)
    given = fragment.get("type")
    if given is not None and given != old.get("type"):
        changed = {key: value for key, value in old.items() if key not in _CONTENTS}
    for key, value in fragment.items():
        if value == NULL_URN:
            changed.pop(key, None)
        elif key == "objectList":
            changed[key] = value
        elif key in _CONTENTS:
            changed[key] = _merge_json(changed.get(key), value)
        elif isinstance(value, dict):
            known = changed.get(key)
            changed[key] = merge(known, value) if isinstance(known, dict) else without_nulls(value)
        else:
            changed[key] = value
    return changed


def _merge_json(old: Any, new: Any) -> Any:
    """RFC 7396 on plain JSON values."""
    if not isinstance(new, dict):
        return new
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in new.items():
        if value == NULL_URN:
            merged.pop(key, None)
        else:
            merged[key] = _merge_json(merged.get(key), value)
    return merged


def without_nulls(attribute: Attribute) -> Attribute:
    """A fragment that becomes an attribute of its own: what it would take away is not there."""
    return {
        key: without_nulls(value) if isinstance(value, dict) else value
        for key, value in attribute.items()
        if value != NULL_URN
    }


def as_known(old: Attribute, fragment: Attribute, lang: str | None = None) -> Attribute:
    """A simplified fragment in terms of the attribute that it changes: its value is the object of a Relationship, the word of a
    VocabProperty, or, with `lang`, a text of a LanguageProperty (clause 5.5.12)."""
    kind = old.get("type")
    if fragment.get("type") != "Property" or kind in ("Property", "GeoProperty", None):
        return fragment
    value = fragment["value"]
    rest = {key: member for key, member in fragment.items() if key not in ("type", "value")}
    match kind:
        case "LanguageProperty" if lang is not None and isinstance(value, str | list):
            return {"type": kind, "languageMap": {lang: value}, **rest}
        case "LanguageProperty" if isinstance(value, dict):
            return {"type": kind, "languageMap": value, **rest}
        case "Relationship" if isinstance(value, str | list):
            return {"type": kind, "object": value, **rest}
        case "VocabProperty" if isinstance(value, str | list):
            return {"type": kind, "vocab": value, **rest}
        case "JsonProperty" if isinstance(value, dict | list):
            return {"type": kind, "json": value, **rest}
        case "ListProperty" if isinstance(value, list):
            return {"type": kind, "valueList": value, **rest}
        case "ListRelationship" if isinstance(value, list):
            items = [item if isinstance(item, dict) else {"object": item} for item in value]
            return {"type": kind, "objectList": items, **rest}
    return fragment
