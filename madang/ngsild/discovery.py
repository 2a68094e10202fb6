"""What other brokers say of types and attributes (ETSI GS CIM 009 clauses 5.2.24 to 5.2.28, 5.7.5 to 5.7.10), as rows that merge with our
own. Pure.

A document says less than our rows do: a list names no kinds, an attribute's answer does not say which kind goes with which type. What it
does not say is empty in a row.
"""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from madang.ngsild.errors import NgsiLdError

ROWS_MAX = 100_000
"""Of one source; schema.org has 1,500 properties."""


class Row(Struct, frozen=True):
    """A type, an attribute, or an attribute of a type."""

    entity_type: str = ""
    attribute: str = ""
    kind: str = ""
    count: int = 0
    """Entities: of the type where no attribute is named, else with the attribute."""


def read_rows(document: Any, stored: Callable[[str], str]) -> list[Row]:
    """Rows of an answer about types or attributes. `stored`: the stored name of one of its names. Raises NgsiLdError for anything
    else.

    >>> read_rows({"type": "EntityTypeList", "typeList": ["Car"]}, str)
    [Row(entity_type='Car', attribute='', kind='', count=0)]
    """
    found: list[Row] = []
    for item in document if isinstance(document, list) else [document]:
        if not isinstance(item, dict):
            raise NgsiLdError("is no answer about types or attributes")
        for row in _rows(item, stored):
            found.append(row)
            if len(found) > ROWS_MAX:
                raise NgsiLdError(f"has more than {ROWS_MAX} types and attributes")
    return found


def _rows(item: dict[str, Any], stored: Callable[[str], str]) -> Iterator[Row]:
    for name in _names(item, "typeList"):
        yield Row(stored(name))
    for name in _names(item, "attributeList"):
        yield Row("", stored(name))
    if isinstance(item.get("typeName"), str):
        type_ = stored(item["typeName"])
        yield Row(type_, "", "", _count(item, "entityCount"))
        for name in _names(item, "attributeNames"):
            yield Row(type_, stored(name))
        details = item.get("attributeDetails")
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict) and isinstance(detail.get("attributeName"), str):
                attribute = stored(detail["attributeName"])
                for kind in _names(detail, "attributeTypes") or [""]:
                    yield Row(type_, attribute, kind)
    elif isinstance(item.get("attributeName"), str):
        attribute = stored(item["attributeName"])
        yield Row("", attribute, "", _count(item, "attributeCount"))
        for kind in _names(item, "attributeTypes"):
            yield Row("", attribute, kind)
        for name in _names(item, "typeNames"):
            yield Row(stored(name), attribute)


def _names(item: dict[str, Any], member: str) -> list[str]:
    value = item.get(member)
    values = value if isinstance(value, list) else [value]
    return [name for name in values if isinstance(name, str) and name]


def _count(item: dict[str, Any], member: str) -> int:
    value = item.get(member)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else 0
