"""Sources: JSON both ways, secrets, topics, and every fault named."""

import msgspec
import pytest
from msgspec.structs import replace

from madang.services.manure.model import VEHICLE_TYPE
from madang.services.manure.sources import TRUCK_SOURCE
from madang.wire.source import (
    AttributeMapping,
    Mapping,
    Source,
    TimeMapping,
    TopicPattern,
    describe_delivery,
    encode_source,
    hash_secret,
    secret_matches,
    with_secret,
)
from madang.wire.source_check import check_source, decode_source


def test_json_both_ways() -> None:
    assert decode_source(encode_source(TRUCK_SOURCE)) == TRUCK_SOURCE


def test_a_source_as_a_city_writes_it() -> None:
    source = decode_source(
        b"""{"id": "bins", "title": {"en": "Bins"}, "protocol": "http", "cadence_s": 3600,
            "mapping": {"entity_type": "WasteContainer", "id": "urn:ngsi-ld:WasteContainer:{device}", "device": "dev.eui",
                        "attributes": [{"name": "fillingLevel", "path": "level", "scale": 0.01, "minimum": 0, "maximum": 1}]}}"""
    )
    assert (source.devices_max, source.enabled, source.mapping.attributes[0].scale) == (20_000, True, 0.01)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"", "not a source"),
        (b"\xff", "not a source"),
        (b'{"id": "x"}', "missing required field `title`"),
        (encode_source(TRUCK_SOURCE).replace(b'"cadence_s"', b'"cadence"'), "unknown field `cadence`"),
        (encode_source(replace(TRUCK_SOURCE, topic="manure/x")), "nothing names the device"),
    ],
)
def test_unreadable_documents(document: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode_source(document)


def test_secrets() -> None:
    source = with_secret(TRUCK_SOURCE, "abc")
    # SHA-256 of "abc": FIPS 180-2, appendix B.1.
    assert source.secret_sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert secret_matches(source, "abc")
    assert not secret_matches(source, "abd")
    assert not secret_matches(source, "\ud800")
    assert not secret_matches(TRUCK_SOURCE, "")
    assert secret_matches(replace(source, secret_sha256=hash_secret("abc").upper()), "abc")


@pytest.mark.parametrize(
    ("pattern", "topic", "device"),
    [
        ("manure/{device}/telemetry", "manure/T-1/telemetry", "T-1"),
        ("manure/{device}/telemetry", "manure//telemetry", None),
        ("manure/{device}/telemetry", "manure/a/b/telemetry", None),
        ("manure/{device}/telemetry", "manure/T-1/telemetry\n", None),
        ("manure/{device}/telemetry", "Manure/T-1/telemetry", None),
        ("a.c/+/{device}", "a.c/anything/D", "D"),
        ("a.c/+/{device}", "abc/anything/D", None),
        ("{device}", "D", "D"),
    ],
)
def test_topics(pattern: str, topic: str, device: str | None) -> None:
    assert TopicPattern(pattern).find_device(topic) == device
    assert TopicPattern(pattern).covers(topic) is (device is not None)


def test_topic_without_a_device() -> None:
    pattern = TopicPattern("lora/uplink")
    assert pattern.covers("lora/uplink")
    assert not pattern.names_device
    assert pattern.find_device("lora/uplink") is None


def change(**fields: object) -> Source:
    """The truck source with other fields, of the mapping where it has them."""
    of_mapping = {k: v for k, v in fields.items() if k in Mapping.__struct_fields__ and k != "id"}
    own = {k: v for k, v in fields.items() if k not in of_mapping}
    return replace(TRUCK_SOURCE, **{"mapping": replace(TRUCK_SOURCE.mapping, **of_mapping)} | own)


def attribute(**fields: object) -> Source:
    return change(attributes=(AttributeMapping(name="a", **fields),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (change(id="has space"), "id 'has space'"),
        (change(secret_sha256="secret"), "64 hexadecimal digits"),
        (change(devices_max=0), "at least 1"),
        (change(items_max=0), "at least 1"),
        (change(cadence_s=0), "cadence_s"),
        (change(cadence_s=float("nan")), "cadence_s"),
        (change(topic=""), "topic is missing"),
        (change(topic="manure/x{device}/telemetry"), "stand alone"),
        (change(topic="manure/{device}/#"), "stand alone"),
        (change(topic="$SYS/{device}"), "begins with $"),
        (change(topic="{device}/{device}"), "names the device twice"),
        (change(device="dev"), "only one may"),
        (change(command_topic="commands"), "command_topic"),
        (change(command_topic="{client}/#"), "command_topic"),
        (change(mapping=replace(TRUCK_SOURCE.mapping, id="Vehicle-{device}")), "must be a URI"),
        (change(mapping=replace(TRUCK_SOURCE.mapping, id="urn:ngsi-ld:Vehicle:1")), "must be a URI"),
        (change(entity_type=""), "entity_type"),
        (change(attributes=()), "nothing would be kept"),
        (change(attributes=TRUCK_SOURCE.mapping.attributes[1:2] * 2), "'speed' stands twice"),
        (change(time=TimeMapping(path="")), "time.path"),
        (change(time=TimeMapping(path="t", format="local")), "offset_min belongs to format local"),
        (change(time=TimeMapping(path="t", offset_min=540)), "offset_min belongs to format local"),
        (change(time=TimeMapping(path="t", format="local", offset_min=900)), "at most 840"),
        (change(time=TimeMapping(path="t", too_old_s=-1)), "not negative"),
        (attribute(path=""), "needs a path"),
        (attribute(path="x", lon="y"), "no lon, lat"),
        (attribute(kind="GeoProperty", lon="x"), "needs lon and lat"),
        (attribute(kind="GeoProperty", lon="x", lat="y", area=(127, 33, 126, 34)), "area is west"),
        (attribute(kind="Relationship", path="x"), "target must be a URI"),
        (attribute(path="x", target="urn:x:{value}"), "only a Relationship"),
        (attribute(path="x", minimum=2, maximum=1), "minimum is above maximum"),
        (attribute(path="x", type="text", scale=2), "are for numbers"),
        (attribute(path="x", scale=0), "scale 0"),
        (change(attributes=(AttributeMapping(name="type", path="x"),)), "reserved"),
    ],
)
def test_every_fault_is_named(source: Source, words: str) -> None:
    assert any(words in fault for fault in check_source(source))


def test_the_truck_source_agrees_with_the_declared_type() -> None:
    assert check_source(TRUCK_SOURCE) == []
    assert TRUCK_SOURCE.mapping.entity_type == VEHICLE_TYPE.name
    for mapped in TRUCK_SOURCE.mapping.attributes:
        declared = VEHICLE_TYPE.find_attribute(mapped.name)
        assert declared is not None, mapped.name
        said = (mapped.kind, mapped.unit, mapped.minimum, mapped.maximum)
        assert said == (declared.kind, declared.unit, declared.minimum, declared.maximum)


def test_what_an_acknowledgement_means_is_said() -> None:
    assert describe_delivery(TRUCK_SOURCE)["en"].startswith(
        "PUBACK means that the message is stored. A message that comes again is"
    )
    timeless = change(time=None, protocol="http")
    assert "HTTP 2xx" in describe_delivery(timeless)["en"]
    assert "may be counted twice" in describe_delivery(timeless)["en"]
    by_content = change(sequence="")
    assert "by its content and time" in describe_delivery(by_content)["en"]
    assert "내용과 시각" in describe_delivery(by_content)["ko"]


def test_a_source_is_a_plain_document() -> None:
    assert msgspec.json.decode(encode_source(TRUCK_SOURCE))["mapping"]["time"]["path"] == "t"
