"""NGSI-LD entities in. Expected values written by hand from ETSI GS CIM 009 clause 4.5; examples of Smart Data Models."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.model.entity import Entity
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.parse import parse_entity
from madang.ngsild.render import View, render_entity

EXAMPLES = Path(__file__).parents[3] / "shared" / "data" / "ngsi-ld"


def attributes_of(**members: Any) -> dict[str, Any]:
    return parse_entity({"id": "urn:ngsi-ld:T:1", "type": "T", **members}).attributes


def test_normalised() -> None:
    given_ = {"type": "Property", "value": 50, "unitCode": "KMH", "observedAt": "2018-09-27T12:00:00+00:00"}
    assert attributes_of(speed=given_) == {
        "speed": {"type": "Property", "value": 50, "unitCode": "KMH", "observedAt": "2018-09-27T12:00:00Z"}
    }


@pytest.mark.parametrize("text", ["2018-09-27T21:00:00+09:00", "2018-09-27T12:00:00-00:30"])
def test_an_instant_has_no_offset(text: str) -> None:
    """Clause 4.6.3: no expressions of the difference between local time and UTC (408_01_02, 463_01_03, 5744_01_03)."""
    for members in ({"speed": {"value": 1, "observedAt": text}}, {"expiresAt": text}):
        with pytest.raises(NgsiLdError, match="must be in UTC") as caught:
            attributes_of(**members)
        assert caught.value.kind == "BadRequestData"


def test_concise() -> None:
    assert attributes_of(
        speed={"value": 50, "unitCode": "KMH"}, owner={"object": "urn:x:1"}, name={"languageMap": {"ko": "마당"}}
    ) == {
        "speed": {"type": "Property", "value": 50, "unitCode": "KMH"},
        "owner": {"type": "Relationship", "object": "urn:x:1"},
        "name": {"type": "LanguageProperty", "languageMap": {"ko": "마당"}},
    }


def test_simplified() -> None:
    point = {"type": "Point", "coordinates": [126.5, 33.4]}
    assert attributes_of(speed=50, on=False, tags=["a", "b"], location=point, address={"city": "Jeju"}) == {
        "speed": {"type": "Property", "value": 50},
        "on": {"type": "Property", "value": False},
        "tags": {"type": "Property", "value": ["a", "b"]},
        "location": {"type": "GeoProperty", "value": point},
        "address": {"type": "Property", "value": {"city": "Jeju"}},
    }


def test_sub_attributes_are_attributes() -> None:
    assert attributes_of(speed={"value": 50, "accuracy": 2, "by": {"object": "urn:x:2"}}) == {
        "speed": {
            "type": "Property",
            "value": 50,
            "accuracy": {"type": "Property", "value": 2},
            "by": {"type": "Relationship", "object": "urn:x:2"},
        }
    }


def test_names_are_compacted_by_the_core_context() -> None:
    assert list(
        attributes_of(
            **{
                "https://uri.etsi.org/ngsi-ld/default-context/speed": 1,
                "https://example.org/weight": 2,
                "http://purl.org/dc/terms/title": "x",
                "속도": 3,
            }
        )
    ) == ["speed", "https://example.org/weight", "title", "속도"]


def test_system_members_are_ignored_and_one_instance_in_an_array_is_that_instance() -> None:
    assert attributes_of(speed=[{"type": "Property", "value": 1, "createdAt": "x", "modifiedAt": 3}]) == {
        "speed": {"type": "Property", "value": 1}
    }


POINT = {"type": "Point", "coordinates": [0, 0]}
DEEP: Any = 0
for _ in range(40):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], ""),
        ({"type": "T"}, "id"),
        ({"id": "urn:x:1"}, "type"),
        ({"id": "not a uri", "type": "T"}, "id"),
        ({"id": "urn:x:" + "1" * 600, "type": "T"}, "id"),
        ({"id": 1, "type": "T"}, "id"),
        ({"id": "urn:x:1", "type": "a b"}, "type"),
        ({"id": "urn:x:1", "type": []}, "type"),
        ({"id": "urn:x:1", "type": "T", "speed": None}, "speed"),
        ({"id": "urn:x:1", "type": "T", "a b": 1}, "a b"),
        ({"id": "urn:x:1", "type": "T", "speed": {"type": "Property"}}, "speed.value"),
        ({"id": "urn:x:1", "type": "T", "speed": {"type": "Prop", "value": 1}}, "speed.type"),
        ({"id": "urn:x:1", "type": "T", "speed": {"type": "Property", "value": None}}, "speed.value"),
        ({"id": "urn:x:1", "type": "T", "speed": {"type": "Property", "value": "urn:ngsi-ld:null"}}, "speed.value"),
        ({"id": "urn:x:1", "type": "T", "speed": {"value": 1, "object": "urn:x:1"}}, "speed.object"),
        ({"id": "urn:x:1", "type": "T", "speed": {"value": 1, "observedAt": "yesterday"}}, "speed.observedAt"),
        ({"id": "urn:x:1", "type": "T", "speed": {"value": 1, "observedAt": "2020-01-01T00:00:00"}}, "speed.observedAt"),
        ({"id": "urn:x:1", "type": "T", "speed": {"value": 1, "unitCode": 7}}, "speed.unitCode"),
        ({"id": "urn:x:1", "type": "T", "owner": {"type": "Relationship", "object": "Kim"}}, "owner.object"),
        ({"id": "urn:x:1", "type": "T", "location": 7}, "location"),
        ({"id": "urn:x:1", "type": "T", "location": {"type": "Property", "value": POINT}}, "location"),
        ({"id": "urn:x:1", "type": "T", "location": {"type": "Point", "coordinates": [900, 33]}}, "location.coordinates"),
        ({"id": "urn:x:1", "type": "T", "v": {"value": float("nan")}}, "v.value"),
        ({"id": "urn:x:1", "type": "T", "v": {"value": DEEP}}, "v.value"),
        ({"id": "urn:x:1", "type": "T", "v": {"@type": "DateTime", "@value": 5}}, "v"),
        ({"id": "urn:x:1", "type": "T", "@context": 5}, "@context"),
        ({"id": "urn:x:1", "type": "T", **{f"a{n}": n for n in range(257)}}, ""),
        ({"id": "urn:x:1", "type": "T", "x": {"value": 1, "a": {"value": 1, "b": {"value": 1, "c": {"value": 1, "d": {
            "value": 1, "e": {"value": 1}}}}}}}, "x.a.b.c.d.e"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(document: Any, where: str) -> None:
    with pytest.raises(NgsiLdError) as caught:
        parse_entity(document)
    assert caught.value.where == where
    assert caught.value.kind == ("InvalidRequest" if document == [] else "BadRequestData")


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the shared example entities are not here")
def test_smart_data_model_examples_parse_and_render_the_same() -> None:
    paths = sorted(EXAMPLES.glob("*/*/example*.jsonld"))
    assert len(paths) == 14
    for path in paths:
        document = json.loads(path.read_text(encoding="utf-8"))
        in_utc(document)
        parsed = parse_entity(document)
        entity = Entity(parsed.id, parsed.type, parsed.attributes, 0, 0, 0, 1)
        normalised = path.stem == "example-normalized"
        rendered = render_entity(entity, View("normalized" if normalised else "simplified"))
        expected = {key: value for key, value in document.items() if key != "@context"}
        assert rendered == expected, path


def in_utc(document: dict[str, Any]) -> None:
    """Two of the examples have an observedAt with an offset, which clause 4.6.3 does not allow: the refusal says what to write."""
    for name, attribute in document.items():
        if isinstance(attribute, dict) and "observedAt" in attribute:
            text = rendered_time(attribute["observedAt"])
            if attribute["observedAt"][-1] != "Z":
                with pytest.raises(NgsiLdError, match=f"write {text}") as caught:
                    parse_entity(document)
                assert caught.value.where == f"{name}.observedAt"
            attribute["observedAt"] = text


def rendered_time(text: str) -> str:
    """The same instant in UTC, by hand-made arithmetic of the standard library."""
    from datetime import UTC, datetime

    moment = datetime.fromisoformat(text).astimezone(UTC)
    return (
        moment.strftime("%Y-%m-%dT%H:%M:%SZ" if moment.microsecond == 0 else "%Y-%m-%dT%H:%M:%S.%f")[:23].rstrip("Z")
        + "Z"
    )


NAMES = st.sampled_from(
    ["id", "type", "value", "object", "location", "speed", "observedAt", "unitCode", "datasetId", "@context", "scope",
     "expiresAt", "coordinates", "@type", "@value", "languageMap", "json", "vocab", "valueList", "objectList", "a b", "", "urn:x:1"]
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["Property", "Relationship", "GeoProperty", "Point", "Polygon", "DateTime", "urn:x:1",
                       "2020-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "@none", "urn:ngsi-ld:null"])
)  # fmt: skip
DOCUMENTS = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=4) | st.dictionaries(NAMES, x, max_size=6), max_leaves=20
)


@settings(max_examples=400, deadline=None)
@given(DOCUMENTS, st.dictionaries(NAMES, DOCUMENTS, max_size=5))
def test_any_json_value_parses_or_raises_the_one_error(document: Any, members: dict[str, Any]) -> None:
    """Never anything but a value or NgsiLdError; and what parses, parses to itself again from its normalised form."""
    for candidate in (document, {**members, "id": "urn:x:1", "type": "T"}):
        try:
            parsed = parse_entity(candidate)
        except NgsiLdError:
            continue
        entity = Entity(
            parsed.id, parsed.type, parsed.attributes, 0, 0, 0, 1, parsed.types, parsed.scopes, parsed.expires_at
        )
        for form in ("normalized", "concise"):
            document = render_entity(entity, View(form, sys_attrs=True))
            assert parse_entity(json.loads(json.dumps(document))) == parsed


QUICK = st.fixed_dictionaries(
    {"type": st.sampled_from(["Property", "Relationship", "GeoProperty"])},
    optional={
        "value": LEAVES,
        "object": LEAVES,
        "unitCode": st.sampled_from(["KMH", "", 7, "x" * 20]),
        "observedAt": st.sampled_from(["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.500Z", "2020-01-01T09:00:00+09:00", "x", 5]),
        "accuracy": LEAVES,
    },
)  # fmt: skip


def outcome(attribute: Any, **more: Any) -> Any:
    try:
        return parse_entity({"id": "urn:x:1", "type": "T", "speed": attribute, **more}).attributes["speed"]
    except NgsiLdError as error:
        return error.where


@settings(max_examples=400, deadline=None)
@given(QUICK)
def test_the_quick_way_says_what_the_long_way_says(attribute: dict[str, Any]) -> None:
    """An attribute alone and the same in an array of one, which takes the long way, parse alike or fail at the same place."""
    assert outcome(attribute) == outcome([attribute])
