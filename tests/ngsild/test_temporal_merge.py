"""Evolutions of several brokers put together; worked out by hand after ETSI GS CIM 009 clauses 4.5.6 to 4.5.9, 4.5.19."""

from typing import Any

import pytest

from madang.ngsild.errors import NgsiLdError
from madang.ngsild.temporal_merge import merge_evolutions
from madang.ngsild.temporal_render import AGGREGATED, NORMALIZED, VALUES


def at(day: int) -> str:
    return f"2026-11-{day:02d}T00:00:00Z"


def instance(value: Any, day: int, **more: Any) -> dict[str, Any]:
    return {"type": "Property", "value": value, "observedAt": at(day), **more}


def entity(**attributes: Any) -> dict[str, Any]:
    return {"id": "urn:x:1", "type": "T", **attributes}


def test_normalized() -> None:
    here = entity(a=[instance(1, 1), instance(3, 3)], b=[instance(9, 1)])
    there = {"id": "urn:x:1", "type": ["T", "U"], "a": [instance(2, 2), instance(30, 3)], "c": instance(7, 1)}
    assert merge_evolutions([here, there], NORMALIZED, "observedAt", None) == {
        "id": "urn:x:1", "type": ["T", "U"], "a": [instance(1, 1), instance(2, 2), instance(3, 3)],
        "b": [instance(9, 1)], "c": instance(7, 1),
    }  # fmt: skip


def test_datasets_are_kept_apart_and_the_newest_of_each_are_kept() -> None:
    gps = {"datasetId": "urn:gps"}
    here = entity(a=[instance(1, 1), instance(2, 2), instance(5, 1, **gps)])
    there = entity(a=[instance(3, 3), instance(6, 2, **gps)])
    assert merge_evolutions([here, there], NORMALIZED, "observedAt", 2)["a"] == [
        instance(2, 2), instance(3, 3), instance(5, 1, **gps), instance(6, 2, **gps),
    ]  # fmt: skip


def test_values() -> None:
    here = entity(a={"type": "Property", "values": [[1, at(1)], [3, at(3)]]}, r={"type": "Relationship", "objects": []})
    other = {"type": "Property", "values": [[7, at(1)]], "datasetId": "urn:d"}
    there = entity(a=[{"type": "Property", "values": [[2, at(2)], [30, at(3)]]}, other],
                   r={"type": "Relationship", "objects": [["urn:x:2", at(1)]]})  # fmt: skip
    merged = merge_evolutions([here, there], VALUES, "observedAt", None)
    assert merged["a"] == [
        {"type": "Property", "values": [[1, at(1)], [2, at(2)], [3, at(3)]]},
        other,
    ]
    assert merged["r"] == {"type": "Relationship", "objects": [["urn:x:2", at(1)]]}


def test_aggregates_are_those_of_the_first_who_has_them() -> None:
    here = entity(a={"type": "Property", "max": [[1, at(1), at(2)]]})
    there = entity(
        a={"type": "Property", "max": [[2, at(1), at(2)]]}, b={"type": "Property", "max": [[3, at(1), at(2)]]}
    )
    assert merge_evolutions([here, there], AGGREGATED, "observedAt", None) == entity(a=here["a"], b=there["b"])


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (NORMALIZED, [5]), (NORMALIZED, "x"), (NORMALIZED, [instance(1, 1, observedAt="yesterday")]),
        (NORMALIZED, [instance(1, 1, observedAt=5)]), (VALUES, 5), (VALUES, {"type": "Property"}),
        (VALUES, {"type": "Property", "values": 5}), (VALUES, {"type": "Property", "values": [[1]]}),
        (VALUES, {"type": "Property", "values": [[1, "x"]]}),
    ],
)  # fmt: skip
def test_what_is_no_evolution_is_refused(form: str, value: Any) -> None:
    with pytest.raises(NgsiLdError):
        merge_evolutions([entity(a=value), entity(a=value)], form, "observedAt", None)
