"""The columns of a collection as a JSON Schema (2020-12) of its features, so that a client knows those that its first page lacks."""

import re
from collections.abc import Mapping
from typing import Any

from madang.model.time import parse_instant

_INSTANT = {"type": "string", "format": "date-time"}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_GEOMETRY: dict[str, Any] = {"type": "object", "properties": {"type": {"type": "string"}}}


def schema_of(title: str, samples: Mapping[str, Any], address: str) -> dict[str, Any]:
    """The schema of a collection's features. `samples`: one value of each property.

    >>> schema_of("Trees", {"height": 3}, "")["properties"]["properties"]["properties"]["height"]
    {'type': 'number'}
    """
    properties = {"type": {"type": "string"}, "observedAt": _INSTANT, "modifiedAt": _INSTANT}
    properties |= {name: type_of(value) for name, value in samples.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": address,
        "title": title,
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["Feature"]},
            "id": {"type": "string"},
            "geometry": _GEOMETRY,
            "properties": {"type": "object", "properties": properties},
        },
    }


def type_of(value: Any) -> dict[str, Any]:
    """The JSON type of a value. Every number is a number: the next one may have a fraction. A text that is an instant or a day has the
    format of one: GDAL reads it as such anyway, and writes it otherwise where the column is said to be plain text.

    >>> type_of("2026-11-01")
    {'type': 'string', 'format': 'date'}
    """
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "number"}
    if isinstance(value, list):
        return {"type": "array"}
    if isinstance(value, dict):
        return {"type": "object"}
    if isinstance(value, str) and _DAY.fullmatch(value):
        return {"type": "string", "format": "date"}
    return _INSTANT if isinstance(value, str) and _is_instant(value) else {"type": "string"}


def _is_instant(text: str) -> bool:
    try:
        parse_instant(text)
    except (ValueError, OverflowError):
        return False
    return True
