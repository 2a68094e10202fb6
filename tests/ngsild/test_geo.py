"""Geometries (RFC 7946) and geo-queries (clause 4.10)."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.ngsild.errors import NgsiLdError
from madang.ngsild.geo import check_geometry, parse_geo_query
from madang.ngsild.query import Near, Spatial

SQUARE = [[[126.0, 33.0], [127.0, 33.0], [127.0, 34.0], [126.0, 33.0]]]
POINT = {"type": "Point", "coordinates": [126.5, 33.4]}


@pytest.mark.parametrize(
    "geometry",
    [
        POINT,
        {"type": "Point", "coordinates": [126.5, 33.4, 120.5]},
        {"type": "MultiPoint", "coordinates": [[1, 2]]},
        {"type": "LineString", "coordinates": [[1, 2], [3, 4]]},
        {"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]]]},
        {"type": "Polygon", "coordinates": SQUARE},
        {"type": "MultiPolygon", "coordinates": [SQUARE]},
    ],
)
def test_good_geometries_stay_as_they_are(geometry: dict[str, Any]) -> None:
    assert check_geometry(geometry) is geometry


@pytest.mark.parametrize(
    ("geometry", "where"),
    [
        (7, "value"),
        ({"type": "Circle", "coordinates": [1, 2]}, "value.type"),
        ({"type": "GeometryCollection", "geometries": []}, "value.type"),
        ({"type": ["Point"], "coordinates": [1, 2]}, "value.type"),
        ({"type": "Point"}, "value.coordinates"),
        ({"type": "Point", "coordinates": [1]}, "value.coordinates"),
        ({"type": "Point", "coordinates": [181, 0]}, "value.coordinates"),
        ({"type": "Point", "coordinates": [0, float("nan")]}, "value.coordinates"),
        ({"type": "Point", "coordinates": [True, 0]}, "value.coordinates"),
        ({"type": "Point", "coordinates": ["1", "2"]}, "value.coordinates"),
        ({"type": "Point", "coordinates": [1, 2, "3"]}, "value.coordinates"),
        ({"type": "LineString", "coordinates": [[1, 2]]}, "value.coordinates"),
        ({"type": "LineString", "coordinates": []}, "value.coordinates"),
        ({"type": "LineString", "coordinates": [[1, 2], [3, 400]]}, "value.coordinates[1]"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}, "value.coordinates"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]}, "value.coordinates"),
        ({"type": "MultiPolygon", "coordinates": [[]]}, "value.coordinates"),
    ],
)
def test_bad_geometries(geometry: Any, where: str) -> None:
    with pytest.raises(NgsiLdError) as caught:
        check_geometry(geometry)
    assert caught.value.where == where


def test_near() -> None:
    assert parse_geo_query("near;maxDistance==2000", "Point", "[126.5,33.4]") == Near(POINT, 2000.0, None)
    assert parse_geo_query("near;minDistance==10.5", "Point", [126.5, 33.4], "observationSpace") == Near(
        POINT, None, 10.5, "observationSpace"
    )


@pytest.mark.parametrize("relation", ["within", "contains", "intersects", "equals", "disjoint", "overlaps"])
def test_the_other_relations(relation: str) -> None:
    text = str(SQUARE)
    assert parse_geo_query(relation, "Polygon", text) == Spatial(relation, {"type": "Polygon", "coordinates": SQUARE})


def test_none_of_the_parameters_is_no_geo_query() -> None:
    assert parse_geo_query(None, None, None) is None


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        (("near;maxDistance==1", "Point", None), "coordinates"),
        (("near;maxDistance==1", None, "[1,2]"), "geometry"),
        ((None, "Point", "[1,2]"), "georel"),
        ((None, None, None, "location"), "geoproperty"),
        (("near", "Point", "[1,2]"), "georel"),
        (("near;maxDistance==-1", "Point", "[1,2]"), "georel"),
        (("near;maxDistance==nan", "Point", "[1,2]"), "georel"),
        (("near;maxDistance=1", "Point", "[1,2]"), "georel"),
        (("near;maxDistance==1;maxDistance==2", "Point", "[1,2]"), "georel"),
        # Clause 4.10 has one distance, above zero.
        (("near;maxDistance==2;minDistance==1", "Point", "[1,2]"), "georel"),
        (("near;maxDistance==0", "Point", "[1,2]"), "georel"),
        (("within;maxDistance==1", "Point", "[1,2]"), "georel"),
        (("beside", "Point", "[1,2]"), "georel"),
        (("within", "Circle", "[1,2]"), "geometry"),
        (("within", "Point", "1,2"), "coordinates"),
        (("within", "Point", "[" * 3000), "coordinates"),
        (("within", "Point", "[1,200]"), "coordinates"),
        (("within", "Point", "[1,2]", "a b"), "geoproperty"),
    ],
)
def test_bad_geo_queries(parameters: Any, where: str) -> None:
    with pytest.raises(NgsiLdError) as caught:
        parse_geo_query(*parameters)
    assert caught.value.where == where


@settings(max_examples=200, deadline=None)
@given(st.none() | st.text(max_size=20), st.none() | st.text(max_size=10), st.none() | st.text(max_size=20))
def test_any_parameters_parse_or_raise_the_one_error(georel: Any, geometry: Any, coordinates: Any) -> None:
    with suppress(NgsiLdError):
        parse_geo_query(georel, geometry, coordinates)
