"""Evolutions of one entity as several brokers tell them, put together (clauses 5.7.3.4, 5.7.4.4): documents in the names of one reader.
Pure.

Instances of the same attribute and datasetId at the same instant are the same: the first that tells them is heard. Aggregates cannot be put
together, so an attribute has those of the first who has it.
"""

from collections.abc import Iterable
from typing import Any

from madang.model.time import Instant, parse_instant
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.temporal_render import AGGREGATED, NORMALIZED

MEMBERS = frozenset({"id", "type", "scope", "createdAt", "modifiedAt", "deletedAt", "expiresAt", "@context"})
_META = frozenset({"type", "datasetId"})


def merge_evolutions(
    documents: Iterable[dict[str, Any]], form: str, time_property: str, last_n: int | None
) -> dict[str, Any]:
    """One document of all; the first one's members stand first. `last_n`: the newest instances that are kept of each attribute. Raises
    NgsiLdError for an attribute that is no evolution.

    >>> one = {"id": "urn:x:1", "type": "T", "a": {"type": "Property", "values": [[2, "2026-01-02T00:00:00Z"]]}}
    >>> two = {"id": "urn:x:1", "type": "T", "a": {"type": "Property", "values": [[1, "2026-01-01T00:00:00Z"]]}}
    >>> merge_evolutions([one, two], "temporalValues", "observedAt", None)["a"]["values"]
    [[1, '2026-01-01T00:00:00Z'], [2, '2026-01-02T00:00:00Z']]
    """
    merged: dict[str, Any] = {}
    types: list[str] = []
    found: dict[str, list[Any]] = {}
    for document in documents:
        own = document.get("type")
        types += [name for name in (own if isinstance(own, list) else [own]) if name is not None and name not in types]
        for name, value in document.items():
            if name in MEMBERS:
                merged.setdefault(name, value)
            else:
                merged.setdefault(name, None)  # its place among the others
                found.setdefault(name, []).append(value)
    if types:
        merged["type"] = types[0] if len(types) == 1 else types
    for name, values in found.items():
        if len(values) == 1 or form == AGGREGATED:
            merged[name] = values[0]
        elif form == NORMALIZED:
            merged[name] = _instances(name, values, time_property, last_n)
        else:
            merged[name] = _rows(name, values, last_n)
    return merged


def _instances(name: str, values: list[Any], time_property: str, last_n: int | None) -> list[Any]:
    by_dataset: dict[str, dict[Instant, list[Any]]] = {}
    for value in values:
        told: dict[str, dict[Instant, list[Any]]] = {}
        for instance in value if isinstance(value, list) else [value]:
            if not isinstance(instance, dict):
                raise NgsiLdError("must be instances of an attribute", name)
            at = _time(instance, time_property, name)
            told.setdefault(str(instance.get("datasetId", "")), {}).setdefault(at, []).append(instance)
        for dataset, instants in told.items():
            known = by_dataset.setdefault(dataset, {})
            for at, instances in instants.items():
                known.setdefault(at, instances)
    return [
        instance
        for instants in by_dataset.values()
        for instance in _newest([i for at in sorted(instants) for i in instants[at]], last_n)
    ]


def _rows(name: str, values: list[Any], last_n: int | None) -> Any:
    by_dataset: dict[str, dict[str, Any]] = {}
    for value in values:
        for item in value if isinstance(value, list) else [value]:
            member = next((m for m in item if m not in _META), None) if isinstance(item, dict) else None
            if member is None or not isinstance(item[member], list):
                raise NgsiLdError("must be values of an attribute with their instants", name)
            known = by_dataset.setdefault(str(item.get("datasetId", "")), {**item, member: []})
            rows = known.setdefault(member, [])
            there = {_at(row, name) for row in rows}
            rows += [row for row in item[member] if _at(row, name) not in there]
            rows.sort(key=lambda row: _at(row, name))
            known[member] = _newest(rows, last_n)
    items = list(by_dataset.values())
    return items[0] if len(items) == 1 else items


def _newest(items: list[Any], last_n: int | None) -> list[Any]:
    return items if last_n is None else items[-last_n:]


def _time(instance: dict[str, Any], time_property: str, name: str) -> Instant:
    text = next((instance[m] for m in (time_property, "observedAt", "modifiedAt", "deletedAt") if m in instance), None)
    return _parse(text, name) if text is not None else 0


def _at(row: Any, name: str) -> Instant:
    if not isinstance(row, list) or len(row) != 2:
        raise NgsiLdError("must be pairs of a value and an instant", name)
    return _parse(row[1], name)


def _parse(text: Any, name: str) -> Instant:
    try:
        return parse_instant(text)
    except (ValueError, TypeError, OverflowError):
        raise NgsiLdError(f"has an instant that is none: {str(text)[:40]!r}", name) from None
