"""`check_service` finds each kind of mistake. The sentences were written by hand from a service broken on purpose."""

import json
from pathlib import Path
from typing import Any

import pytest

from madang.flow.contract import Lookup, Step
from madang.model.entity import AttributeType, EntityType
from madang.services.check import check_service, compare_words
from madang.services.contract import Column, Indicator, Layer, Parameter, Service, Table
from madang.wire.source import AttributeMapping, Mapping, Source

BOTH = {"ko": "이름", "en": "Name"}
LEVEL = AttributeType("fillLevel", unit="P1", minimum=0, maximum=100, title=BOTH, source="ours")
PLACE = AttributeType("location", kind="GeoProperty", title=BOTH, source="ours")
BIN = EntityType("Bin", title=BOTH, attributes=(LEVEL, PLACE), source="ours")
DISTRICT = EntityType("District", title=BOTH, attributes=(PLACE,), kind="reference", source="ours")


def source(entity_type: str, unit: str) -> Source:
    """A source whose devices say how full they are."""
    level = AttributeMapping(name="fillLevel", path="fill", unit=unit)
    mapping = Mapping(entity_type=entity_type, id=f"urn:ngsi-ld:{entity_type}:{{device}}", attributes=(level,))
    return Source(id="bin-sensors", title=BOTH, protocol="mqtt", topic="bins/{device}", mapping=mapping)


class FullBin:
    """The least that a detector is; its state is a count."""

    id = "bins.full"
    version = "1"
    inputs = frozenset({"Bin"})
    lookups: tuple[Lookup, ...] = (Lookup("District", place="location"),)

    def initial(self, key: str) -> int:
        return 0

    def keys(self, change: Any, ref: Any) -> list[str]:
        return [change.entity_id]

    def step(self, state: int, change: Any, ref: Any) -> Step:
        return Step(state + 1)

    def tick(self, state: int, now: int, ref: Any) -> Step:
        return Step(state)

    def encode(self, state: int) -> bytes:
        return str(state).encode()

    def decode(self, document: bytes) -> int:
        return int(document)


class Broken(FullBin):
    """Looks at what nobody declared, and forgets its state."""

    version = ""
    inputs = frozenset({"Bin", "Lid"})
    lookups = (Lookup("Bin"), Lookup("Moon"), Lookup("District", by=("code",), place="centre"))

    def decode(self, document: bytes) -> int:
        return -1


def service(**changes: Any) -> Service:
    """A sound service with some of its parts replaced."""
    parts: dict[str, Any] = {
        "name": "bins",
        "title": BOTH,
        "entity_types": (BIN, DISTRICT),
        "detectors": (FullBin(),),
        "layers": (Layer("bins.map", BOTH, "Bin", style="place", label="fillLevel"),),
        "tables": (Table("Bin", BOTH, (Column("fillLevel", BOTH, kind="number", unit="P1"),), sort="-fillLevel"),),
        "parameters": (Parameter("bins.full_share", 80, BOTH, "ours", 0, 100),),
        "rules": {"bins.F1": BOTH},
        "indicators": (Indicator("bins.emptied", BOTH, "C62", BOTH, lambda data, window, parameters: []),),
    }
    return Service(**{**parts, **changes})


def test_a_sound_service_has_no_problems() -> None:
    assert check_service(service()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"title": {"en": "Bins"}}, ["the service: no title in ko"]),
        ({"rules": {"F1": BOTH}}, ["F1: begins with 'bins.'"]),
        (
            {"parameters": (Parameter("bins.full_share", 120, BOTH, "", 0, 100),)},
            [
                "bins.full_share: no source for its default (article, standard, measurement, or ours)",
                "bins.full_share: default 120 lies outside 0 to 100",
            ],
        ),
        (
            {"detectors": (Broken(),)},
            [
                "bins.full: no version",
                "bins.full: input Lid is no declared type",
                "bins.full: looks up Bin, which is no reference: its versions are not kept",
                "bins.full: looks up Moon, which is no declared type",
                "bins.full: District.code is not declared",
                "bins.full: District.centre is no declared GeoProperty",
                "bins.full: decode(encode(initial state)) is another state",
            ],
        ),
        (
            {"layers": (Layer("bins.map", BOTH, "Bin", geometry="fillLevel", style="blob", label="colour"),)},
            [
                "bins.map: style 'blob' is none of area, line, place, moving",
                "bins.map: Bin.fillLevel is no declared GeoProperty",
                "bins.map: label Bin.colour is not declared",
            ],
        ),
        (
            {"tables": (Table("Bin", BOTH, (Column("fillLevel", BOTH, kind="number", unit="KGM"),), sort="age"),)},
            [
                "table of Bin: column fillLevel says 'KGM', the attribute 'P1'",
                "table of Bin: sorted by age, which is not declared",
            ],
        ),
        (
            {"sources": (source("Bin", "P1"), source("Lid", "P1"), source("Bin", "KGM"))},
            [
                "source bin-sensors: Lid is no declared entity type",
                "source bin-sensors: fillLevel is in KGM here, declared in P1",
            ],
        ),
        (
            {
                "entity_types": (
                    BIN,
                    DISTRICT,
                    EntityType(
                        "Lid", BOTH, (AttributeType("angle", minimum=0, title=BOTH, source="ours"),), "idea", "secret"
                    ),
                )
            },
            [
                "Lid: kind 'idea' is none of thing, reference, derived",
                "Lid: no source (a standard, a Smart Data Model, or ours)",
                "Lid: data class 'secret' is none of public, internal, personal, sensitive",
                "Lid.angle: a number without a unit (C62 for a pure number)",
            ],
        ),
    ],
)
def test_each_mistake_has_its_sentence(changes: dict[str, Any], expected: list[str]) -> None:
    assert check_service(service(**changes)) == [f"bins: {sentence}" for sentence in expected]


def test_words_missing_or_different(tmp_path: Path) -> None:
    locale = tmp_path / "locale"
    locale.mkdir()
    (locale / "ko.json").write_text(json.dumps({"full": "{share} 참", "old": "옛말"}), encoding="utf-8")
    (locale / "en.json").write_text(json.dumps({"full": "is full"}), encoding="utf-8")
    (tmp_path / "detect.py").write_text('x = Reason("full", {})\ny = Reason(code="spilt")\n', encoding="utf-8")
    assert check_service(service(locale_dir=locale)) == [
        "bins: old: in ko and not in en",
        "bins: full: ko uses ['share'], en uses []",
        "bins: detect.py:2: reason 'spilt' has no words in ko",
        "bins: detect.py:2: reason 'spilt' has no words in en",
    ]


def test_the_same_words_differ_in_nothing() -> None:
    assert compare_words({"a": "{x} {y}"}, {"a": "{y:.1f} of {x}"}, "ko", "en") == []
