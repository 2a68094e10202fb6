"""An entity as a row: every kind of attribute (ETSI GS CIM 009 clause 4.5), worked out by hand."""

from typing import Any

import pytest

from madang.model.entity import Entity, geo, instance_key, point, prop
from madang.model.time import parse_instant
from madang.ogc.feature import feature_of, plain_value

AT = parse_instant("2026-11-23T02:14:09Z")


def entity(**attributes: Any) -> Entity:
    return Entity("urn:x:1", "T", attributes, AT, AT + 1_000_000, AT, 1)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        (prop(3, "KMH"), 3),
        (prop({"city": "서울", "no": 1}), {"city": "서울", "no": 1}),
        (prop([1, 2]), [1, 2]),
        (prop({"@type": "DateTime", "@value": "2026-11-23T02:14:09Z"}), "2026-11-23T02:14:09Z"),
        ({"type": "Relationship", "object": "urn:x:2"}, "urn:x:2"),
        ({"type": "Relationship", "object": ["urn:x:2", "urn:x:3"]}, ["urn:x:2", "urn:x:3"]),
        ({"type": "LanguageProperty", "languageMap": {"ko": "나무", "en": "tree"}}, "나무"),
        ({"type": "LanguageProperty", "languageMap": {"de": "Baum"}}, "Baum"),
        ({"type": "VocabProperty", "vocab": "https://uri.etsi.org/ngsi-ld/default-context/oak"}, "oak"),
        ({"type": "VocabProperty", "vocab": ["https://example.org/oak"]}, ["https://example.org/oak"]),
        ({"type": "JsonProperty", "json": {"a": [1]}}, {"a": [1]}),
        ({"type": "ListProperty", "valueList": [1, 2]}, [1, 2]),
        ({"type": "ListRelationship", "objectList": [{"object": "urn:x:2"}]}, ["urn:x:2"]),
        (point(1, 2), {"type": "Point", "coordinates": [1, 2]}),
    ],
)
def test_plain_values(attribute: dict[str, Any], value: Any) -> None:
    assert plain_value(attribute, ("ko",)) == value


def test_feature() -> None:
    other = instance_key("speed", "urn:gps")
    found = feature_of(
        entity(location=point(126.5, 33.4), driver=prop("홍길동"), speed=prop(1), **{other: prop(2)}), {"driver"}
    )
    assert found == {
        "type": "Feature",
        "id": "urn:x:1",
        "geometry": {"type": "Point", "coordinates": [126.5, 33.4]},
        "properties": {
            "type": "T", "observedAt": "2026-11-23T02:14:09Z", "modifiedAt": "2026-11-23T02:14:10Z",
            "speed": 1, "speed urn:gps": 2,
        },
    }  # fmt: skip


def test_without_a_place_the_geometry_is_null() -> None:
    assert feature_of(entity(speed=prop(1)))["geometry"] is None
    assert feature_of(entity(location=point(1, 2)), {"location"})["geometry"] is None
    elsewhere = feature_of(
        entity(**{instance_key("location", "urn:plan"): geo({"type": "Point", "coordinates": [1, 2]})})
    )
    assert elsewhere["geometry"] is None and "location urn:plan" in elsewhere["properties"]
