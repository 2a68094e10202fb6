"""Argument checks: every kind, at its limits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.procedure.arguments import ARGUMENT_KINDS, LIST_ITEMS_MAX, check_arguments
from madang.procedure.contract import Argument
from tests.procedure.toy import action

FARM = "urn:ngsi-ld:AgriFarm:F01"


def _check(argument: Argument, value: Any) -> tuple[Any, str | None]:
    checked = check_arguments(action("x", ("OPEN",), ("=",), arguments=(argument,)), {argument.name: value})
    return checked.values.get(argument.name), checked.errors[0].reason.code if checked.errors else None


@pytest.mark.parametrize(
    ("argument", "value", "normal", "code"),
    [
        (Argument("a", "text"), "  hello ", "hello", None),
        (Argument("a", "text", length_max=3), "abcd", None, "argument.too-long"),
        (Argument("a", "text"), "a\x00b", None, "argument.not-text"),
        (Argument("a", "text"), 5, None, "argument.not-text"),
        (Argument("a", "text", required=True), "  ", None, "argument.required"),
        (Argument("a", "number", minimum=0, maximum=10), 10, 10, None),
        (Argument("a", "number", minimum=0, maximum=10), 10.5, None, "argument.too-large"),
        (Argument("a", "number", minimum=0), -0.1, None, "argument.too-small"),
        (Argument("a", "number"), float("nan"), None, "argument.not-number"),
        (Argument("a", "number"), True, None, "argument.not-number"),
        (Argument("a", "number"), "12", None, "argument.not-number"),
        (Argument("a", "integer"), 3.0, 3, None),
        (Argument("a", "integer"), 3.5, None, "argument.not-integer"),
        (Argument("a", "integer"), float("inf"), None, "argument.not-integer"),
        (Argument("a", "boolean"), False, False, None),
        (Argument("a", "boolean"), 0, None, "argument.not-boolean"),
        (Argument("a", "instant"), "2026-11-23T11:14:09+09:00", "2026-11-23T02:14:09Z", None),
        (Argument("a", "instant"), "2026-11-23", None, "argument.not-instant"),
        (Argument("a", "instant"), 1_795_400_049, None, "argument.not-instant"),
        (Argument("a", "choice", choices=("full", "partial")), "full", "full", None),
        (Argument("a", "choice", choices=("full", "partial")), "half", None, "argument.not-choice"),
        (Argument("a", "choice", choices=("full",)), ["full"], None, "argument.not-choice"),
        (Argument("a", "entity", entity_types=("AgriFarm",)), FARM, FARM, None),
        (Argument("a", "entity", entity_types=("AgriParcel",)), FARM, None, "argument.wrong-type"),
        (Argument("a", "entity"), "no-colon", None, "argument.not-entity"),
        (Argument("a", "entity"), "urn:" + "x" * 600, None, "argument.not-entity"),
        (Argument("a", "list"), [1, {"b": [2]}], [1, {"b": [2]}], None),
        (Argument("a", "list"), "abc", None, "argument.not-list"),
        (Argument("a", "list"), [0] * (LIST_ITEMS_MAX + 1), None, "argument.too-long"),
        (Argument("a", "list", required=True), [], None, "argument.required"),
        (Argument("a", "list", entity_types=("AgriFarm",)), [FARM, 7], None, "argument.not-entity"),
        (Argument("a", "object"), {"a": 1}, {"a": 1}, None),
        (Argument("a", "object"), {"a": float("nan")}, None, "argument.not-object"),
        (Argument("a", "object"), [1], None, "argument.not-object"),
        (Argument("a", "place"), [126.5, 33.4], [126.5, 33.4], None),
        (Argument("a", "place"), {"type": "Point", "coordinates": [126.5, 33.4]}, [126.5, 33.4], None),
        (Argument("a", "place"), [900.0, 33.4], None, "argument.not-place"),
        (Argument("a", "place"), FARM, FARM, None),
    ],
)
def test_each_kind(argument: Argument, value: Any, normal: Any, code: str | None) -> None:
    assert _check(argument, value) == (normal, code)


def test_deep_nesting_is_refused() -> None:
    deep: Any = 1
    for _ in range(20):
        deep = [deep]
    assert _check(Argument("a", "list"), deep) == (None, "argument.not-list")


def test_all_errors_come_at_once_and_unknown_names_are_errors() -> None:
    row = action("x", (), ("OPEN",), arguments=(Argument("a", "text", required=True), Argument("b", "number")))
    checked = check_arguments(row, {"b": "?", "c": 1})
    assert [(e.name, e.reason.code) for e in checked.errors] == [
        ("c", "argument.unknown"),
        ("a", "argument.required"),
        ("b", "argument.not-number"),
    ]


@given(
    st.sampled_from(sorted(ARGUMENT_KINDS)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=3),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
        max_leaves=12,
    ),
)
def test_anything_may_be_sent_and_nothing_raises(kind: str, value: Any) -> None:
    argument = Argument("a", kind, choices=("x",))
    checked = check_arguments(action("x", (), ("OPEN",), arguments=(argument,)), {"a": value})
    assert bool(checked.errors) or set(checked.values) <= {"a"}
    if checked.values:  # what was accepted is accepted again, unchanged
        assert check_arguments(action("x", (), ("OPEN",), arguments=(argument,)), checked.values) == checked
