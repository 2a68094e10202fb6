"""What the content of an attribute may be, by the attribute's type (clauses 4.5.2 to 4.5.24, 4.6.3, 4.7)."""

import json
from math import isfinite
from typing import Any

from madang.ngsild.context import Context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.geo import check_geometry
from madang.ngsild.names import is_uri

DEPTH_MAX = 32
"""Arrays and objects inside each other in a value. The deepest Smart Data Model has six."""
VALUES_MAX = 100_000
"""Values in one attribute's value."""
TEXT_MAX = 1_000_000
"""Characters of one text value."""
NULL_URN = "urn:ngsi-ld:null"

VALUE_MEMBERS = {
    "Property": "value",
    "GeoProperty": "value",
    "Relationship": "object",
    "LanguageProperty": "languageMap",
    "VocabProperty": "vocab",
    "JsonProperty": "json",
    "ListProperty": "valueList",
    "ListRelationship": "objectList",
}
"""The member that holds the content, by attribute type."""


def check_content(kind: str, content: Any, where: str, context: Context, *, nullable: bool = False) -> Any:
    """The content as it is stored. `nullable`: the NGSI-LD Null may stand inside (merge). Raises NgsiLdError."""
    if kind == "Property" and (type(content) is int or type(content) is bool):
        return content
    if content is None or (isinstance(content, str) and content == NULL_URN and not nullable):
        raise NgsiLdError("null is no value: leave the attribute out", where)
    check_json(content, where)
    if not nullable and holds_null(content):
        raise NgsiLdError("the NGSI-LD Null takes away and is no value (clause 5.5.4)", where)
    match kind:
        case "GeoProperty":
            return check_geometry(_from_text(content, where), where)
        case "Relationship":
            targets = content if isinstance(content, list) else [content]
            if not targets or not all(is_uri(target) for target in targets):
                raise NgsiLdError("must be the URI of an entity, or an array of these", where)
        case "LanguageProperty":
            _check_languages(content, where)
        case "VocabProperty":
            words = content if isinstance(content, list) else [content]
            if not words or not all(isinstance(word, str) and word for word in words):
                raise NgsiLdError("must be a text, or an array of texts", where)
            # Words are stored as URIs: a query that does not expand its own compares with these (clause 4.9).
            stored = [context.expand_term(word) or word for word in words]
            return stored if isinstance(content, list) else stored[0]
        case "JsonProperty":
            items = content if isinstance(content, list) else [content]
            if not all(isinstance(item, dict) for item in items):
                raise NgsiLdError("must be a JSON object, or an array of objects (clause 4.5.24)", where)
        case "ListProperty":
            if not isinstance(content, list):
                raise NgsiLdError("must be an array", where)
        case "ListRelationship":
            return _object_list(content, where)
    return content


def _from_text(content: Any, where: str) -> Any:
    """Clause 4.7.2: a geometry may stand in a text."""
    if not isinstance(content, str):
        return content
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise NgsiLdError("must be a GeoJSON geometry, or one as text", where) from None


def _check_languages(content: Any, where: str) -> None:
    if not isinstance(content, dict) or not content:
        raise NgsiLdError("must be an object of texts by language", where)
    for language, text in content.items():
        if not language or not (
            isinstance(text, str) or (isinstance(text, list) and all(isinstance(t, str) for t in text))
        ):
            raise NgsiLdError("must be an object of texts (or arrays of texts) by language", where)


def _object_list(content: Any, where: str) -> list[dict[str, Any]]:
    """Clause 4.5.22: both forms of an item are taken, one is stored."""
    if not isinstance(content, list):
        raise NgsiLdError("must be an array", where)
    found = []
    for item in content:
        target = item.get("object") if isinstance(item, dict) and set(item) == {"object"} else item
        if not is_uri(target):
            raise NgsiLdError('an item must be the URI of an entity, or {"object": URI}', where)
        found.append({"object": target})
    return found


def holds_null(value: Any) -> bool:
    """The NGSI-LD Null stands in it somewhere."""
    if not isinstance(value, dict | list):
        return bool(value == NULL_URN)
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif item == NULL_URN:
            return True
    return False


def check_json(value: Any, where: str) -> None:
    """Depth, size and finite numbers of any JSON value. Raises NgsiLdError."""
    if type(value) in (int, bool) or (type(value) is str and len(value) <= TEXT_MAX):
        return
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
