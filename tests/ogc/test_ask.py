"""What a request for features asks. Expected values by hand from OGC 17-069r4 clauses 7.15.3 (bbox) and 7.15.4 (datetime)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.model.time import parse_instant
from madang.ngsild.geo import check_geometry
from madang.ngsild.query import ANY_LANGUAGE, And, Compare, Or
from madang.ogc.ask import filter_node, names_of, parse_bbox, parse_datetime
from madang.ogc.errors import OgcError

A, B = "2026-11-23T02:14:09Z", "2026-11-24T00:00:00+09:00"
AT, BT = parse_instant(A), parse_instant(B)


@pytest.mark.parametrize(
    ("text", "geometry"),
    [
        ("126,33,127,34", {"type": "Polygon", "coordinates": [[[126, 33], [127, 33], [127, 34], [126, 34], [126, 33]]]}),
        ("126,33,-5,127,34,90", {"type": "Polygon", "coordinates": [[[126, 33], [127, 33], [127, 34], [126, 34], [126, 33]]]}),
        ("126,33,126,33", {"type": "Point", "coordinates": [126, 33]}),
        ("126,33,127,33", {"type": "LineString", "coordinates": [[126, 33], [127, 33]]}),
        # Across the antimeridian: the example of the standard, from 160.6 E to 170 W.
        ("160.6,-55.95,-170,-25.89", {"type": "MultiPolygon", "coordinates": [
            [[[160.6, -55.95], [180, -55.95], [180, -25.89], [160.6, -25.89], [160.6, -55.95]]],
            [[[-180, -55.95], [-170, -55.95], [-170, -25.89], [-180, -25.89], [-180, -55.95]]]]}),
    ],
)  # fmt: skip
def test_bbox(text: str, geometry: object) -> None:
    found = parse_bbox(text)
    assert (found.relation, found.geometry, found.property) == ("intersects", geometry, "location")


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,3,nan", "1,5,3,4", "181,0,1,1", "0,0,0,91"])
def test_bbox_that_is_none(text: str) -> None:
    with pytest.raises(OgcError) as caught:
        parse_bbox(text)
    assert caught.value.name == "bbox"


@given(st.lists(st.floats(-200, 200), min_size=4, max_size=4))
def test_bbox_gives_a_geometry_or_says_why_not(numbers: list[float]) -> None:
    """Whatever four numbers come: a geometry that NGSI-LD takes too, or an OgcError."""
    try:
        found = parse_bbox(",".join(map(str, numbers)))
    except OgcError:
        return
    check_geometry(found.geometry)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        (A, (AT, AT)),
        (f"{A}/{B}", (AT, BT)),
        (f"{A}/..", (AT, None)),
        (f"{A}/", (AT, None)),
        (f"../{B}", (None, BT)),
        (f"/{B}", (None, BT)),
    ],
)
def test_datetime(text: str, window: object) -> None:
    assert parse_datetime(text) == window


@pytest.mark.parametrize(
    "text", ["", "..", "../..", "/", "2026-11-23", f"{B}/{A}", f"{A}/{B}/{A}", "tomorrow", f"{A}/x"]
)
def test_datetime_that_is_none(text: str) -> None:
    with pytest.raises(OgcError) as caught:
        parse_datetime(text)
    assert caught.value.name == "datetime"


def test_filters() -> None:
    assert filter_node({}) is None
    words = Compare("name", "==", "a", (ANY_LANGUAGE,))
    assert filter_node({"name": "a"}) == Or((Compare("name", "==", ["a"]), words))
    both = filter_node({"n": "12", "on": "true"})
    assert isinstance(both, And)
    first, second = both.items
    assert isinstance(first, Or) and isinstance(second, Or)
    assert first.items[0] == Compare("n", "==", ["12", 12.0])
    assert second.items[0] == Compare("on", "==", ["true", True])


def test_names_of_filters() -> None:
    assert names_of({"https://uri.etsi.org/ngsi-ld/default-context/speed": "1"}) == {"speed": "1"}
    with pytest.raises(OgcError) as caught:
        names_of({"a b": "1"})
    assert caught.value.name == "a b"
