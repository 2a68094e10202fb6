"""Topic filters: the examples of clause 4.7 of the standard, and paho's matcher as the oracle for the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from madang.wire.mqtt import find_filter_fault, find_topic_fault, matches


@pytest.mark.parametrize(
    ("filter_", "topic", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("ACCOUNTS", "Accounts", False),
    ],
)
def test_examples_of_the_standard(filter_: str, topic: str, expected: bool) -> None:
    assert matches(filter_, topic) is expected


levels = st.sampled_from(["", "a", "b", "$x"])


@given(
    st.lists(st.one_of(levels, st.just("+")), min_size=1, max_size=4),
    st.booleans(),
    st.lists(levels, min_size=1, max_size=5),
)
def test_agrees_with_paho(wanted: list[str], rest: bool, name: list[str]) -> None:
    filter_ = "/".join([*wanted, "#"] if rest else wanted)
    topic = "/".join(name)
    if filter_ and topic:
        assert find_filter_fault(filter_) is None
        assert find_topic_fault(topic) is None
        assert matches(filter_, topic) == topic_matches_sub(filter_, topic)


@pytest.mark.parametrize("filter_", ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+/c", "a\0b"])
def test_faulty_filters(filter_: str) -> None:
    assert find_filter_fault(filter_) is not None
