"""Mappings: exact readings of exact payloads; whatever comes in, nothing is raised.

Instants were computed with GNU date (`date -u -d 2026-11-23T02:14:09Z +%s` is 1795400049), identities with b2sum -l 128.
"""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from madang.model.entity import Decoded, Reading
from madang.services.manure.sources import TRUCK_SOURCE
from madang.wire.mapping import PAYLOAD_MAX, REJECTS_MAX, CompiledMapping, message_key
from madang.wire.source import AttributeMapping, Mapping, Source, TimeMapping

TOPIC = "manure/T-0042/telemetry"
OBSERVED = 1_795_400_049_000_000
RECEIVED = OBSERVED + 700_000
TRUCK: dict[str, Any] = {
    "seq": 1234,
    "t": "2026-11-23T02:14:09Z",
    "lon": 126.531188,
    "lat": 33.499621,
    "spd": 41.5,
    "hdg": 183.0,
    "w": 18420,
    "ws": True,
    "ign": True,
    "pto": False,
    "hdop": 0.9,
    "bat": 24.1,
}


def truck(payload: bytes, topic: str = TOPIC) -> Decoded:
    return CompiledMapping(TRUCK_SOURCE).decode(topic, payload, RECEIVED)


def changed(**fields: Any) -> bytes:
    return json.dumps(TRUCK | fields).encode()


def without(*names: str) -> bytes:
    return json.dumps({name: value for name, value in TRUCK.items() if name not in names}).encode()


def codes(decoded: Decoded) -> list[str]:
    return [reject.code for reject in decoded.rejects]


def test_01_the_truck() -> None:
    decoded = truck(json.dumps(TRUCK).encode())
    assert decoded.readings == (
        Reading(
            "urn:ngsi-ld:Vehicle:T-0042",
            "Vehicle",
            OBSERVED,
            {
                "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [126.531188, 33.499621]}},
                "speed": {"type": "Property", "value": 41.5, "unitCode": "KMH"},
                "heading": {"type": "Property", "value": 183.0, "unitCode": "DD"},
                "grossWeight": {"type": "Property", "value": 18420, "unitCode": "KGM"},
                "weightStable": {"type": "Property", "value": True},
                "ignition": {"type": "Property", "value": True},
                "ptoEngaged": {"type": "Property", "value": False},
                "hdop": {"type": "Property", "value": 0.9, "unitCode": "C62"},
                "batteryVoltage": {"type": "Property", "value": 24.1, "unitCode": "VLT"},
            },
            "1234",
        ),
    )
    assert decoded.rejects == ()
    # printf 's\0manure-terminals\0T-0042\0001234\0001795400049000000' | b2sum -l 128
    assert decoded.keys == (bytes.fromhex("b418fcce895d44a4cfca804191507f6a"),)


def test_02_a_lost_position_keeps_the_weight() -> None:
    for payload, expected in (
        (without("lon", "lat"), ["missing"]),
        (changed(lon=900.0), ["out-of-range"]),
        (changed(lon=0, lat=0), ["no-fix"]),
        (changed(lon=33.499621, lat=126.531188), ["out-of-range"]),
        (changed(lon="126.53"), ["wrong-type"]),
        (changed(lat=True), ["wrong-type"]),
        (changed(lon=float("nan")), ["not-finite"]),
        (changed(lon=None, lat=None), []),
    ):
        decoded = truck(payload)
        assert codes(decoded) == expected
        [reading] = decoded.readings
        assert "location" not in reading.attributes
        assert reading.attributes["grossWeight"]["value"] == 18420
        assert decoded.keys != (None,)


def test_03_what_a_reject_says() -> None:
    [reject] = truck(changed(lon=33.499621, lat=126.531188)).rejects
    assert reject.detail == (
        "location: longitude 33.499621, latitude 126.531188 is not on the globe. Longitude and latitude seem swapped in the mapping."
    )
    [reject] = truck(changed(w=61_000)).rejects
    assert reject.detail == (
        "grossWeight: 61000 is above 60000, the highest believable value. Check the sensor, or the limit in the mapping."
    )


@pytest.mark.parametrize(
    ("field", "value", "name", "code"),
    [
        ("w", -1, "grossWeight", "out-of-range"),
        ("w", 10**300, "grossWeight", "out-of-range"),
        ("w", "18420", "grossWeight", "wrong-type"),
        ("w", True, "grossWeight", "wrong-type"),
        ("w", [1], "grossWeight", "wrong-type"),
        ("w", float("inf"), "grossWeight", "not-finite"),
        ("spd", -0.1, "speed", "out-of-range"),
        ("ws", 1, "weightStable", "wrong-type"),
        ("ws", "true", "weightStable", "wrong-type"),
        ("ws", {}, "weightStable", "wrong-type"),
    ],
)
def test_04_a_bad_attribute_costs_itself_only(field: str, value: Any, name: str, code: str) -> None:
    decoded = truck(changed(**{field: value}))
    assert codes(decoded) == [code]
    assert decoded.rejects[0].detail.startswith(name)
    assert set(decoded.readings[0].attributes) == {
        "location", "speed", "heading", "grossWeight", "weightStable", "ignition", "ptoEngaged", "hdop", "batteryVoltage",
    } - {name}  # fmt: skip


def test_05_null_is_not_known_and_absence_is_told_of_required_only() -> None:
    assert codes(truck(changed(w=None, spd=None))) == []
    assert codes(truck(without("spd", "hdop"))) == []
    assert codes(truck(without("w"))) == ["missing"]


def test_06_nothing_left_is_no_reading() -> None:
    assert truck(b'{"seq": 1, "t": "2026-11-23T02:14:09Z", "lon": null, "lat": null, "w": null}').readings == ()
    decoded = truck(b'{"lon": null, "lat": null, "w": null}')
    assert codes(decoded) == ["no-attributes"]
    assert codes(truck(b"{}")) == ["missing", "missing"]


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("2026-11-23T02:19:09Z", None),  # 299.3 s ahead
        ("2026-11-23T02:19:10Z", "time-in-future"),
        ("2026-11-16T02:14:10Z", None),  # 7 days less 0.3 s
        ("2026-11-16T02:14:09Z", "time-too-old"),
        ("2107-07-15T00:00:00Z", "bad-time"),
        ("2007-04-08T02:14:09Z", "time-too-old"),
        ("2026-11-23T11:14:09+09:00", None),
        ("2026-11-23 02:14:09", "bad-time"),
        ("2026-11-23T02:14:09", "bad-time"),
        ("2026-13-23T02:14:09Z", "bad-time"),
        (1_795_400_049, "bad-time"),
        (True, "bad-time"),
        ({}, "bad-time"),
    ],
)
def test_07_times(told: Any, code: str | None) -> None:
    decoded = truck(changed(t=told))
    assert codes(decoded) == ([] if code is None else [code])
    assert len(decoded.readings) == (code is None)


def test_08_a_receiver_whose_weeks_rolled_over_is_named() -> None:
    # 2026-11-23 less 7,168 days is 2007-04-08.
    [reject] = truck(changed(t="2007-04-08T02:14:09Z")).rejects
    assert "GPS week counter" in reject.detail


def test_09_without_its_time_a_reading_gets_that_of_its_arrival_and_no_identity() -> None:
    for payload in (without("t"), changed(t=None), changed(t="")):
        decoded = truck(payload)
        assert codes(decoded) == []
        assert decoded.readings[0].observed_at == RECEIVED
        assert decoded.keys == (None,)


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        ("manure/T-0042/video", "wrong-topic"),
        ("manure/차량/telemetry", "bad-device"),
        ("manure/a b/telemetry", "bad-device"),
        ("manure/-x/telemetry", "bad-device"),
        (f"manure/{'x' * 129}/telemetry", "bad-device"),
        (f"manure/{'x' * 128}/telemetry", None),
        ("", "wrong-topic"),
    ],
)
def test_10_devices(topic: str, code: str | None) -> None:
    assert codes(truck(json.dumps(TRUCK).encode(), topic)) == ([] if code is None else [code])


def test_11_one_device_too_many() -> None:
    decoder = CompiledMapping(replace(TRUCK_SOURCE, devices_max=2), devices=["T-1"])
    good = json.dumps(TRUCK).encode()
    assert codes(decoder.decode("manure/T-2/telemetry", b"{", RECEIVED)) == ["bad-json"]
    assert decoder.devices == 1  # only a good reading takes a place
    assert codes(decoder.decode("manure/T-3/telemetry", good, RECEIVED)) == []
    assert codes(decoder.decode("manure/T-2/telemetry", good, RECEIVED)) == ["too-many-devices"]
    for device in ("T-1", "T-3"):
        assert codes(decoder.decode(f"manure/{device}/telemetry", good, RECEIVED)) == []


@pytest.mark.parametrize(
    ("payload", "code", "words"),
    [
        (b"", "empty", "without a reading"),
        (b" \n", "empty", "without a reading"),
        (b"[]", "empty", "no reading"),
        (b"hello", "bad-json", "not JSON"),
        (b'{"seq": 12, "t": "2026-11-', "bad-json", "The end is missing"),
        (b"1", "not-an-object", "not 1"),
        (b"null", "not-an-object", "not null"),
        (b'"x"', "not-an-object", "not 'x'"),
        (b"[1]", "not-an-object", "reading 1: an object is expected"),
        (json.dumps(TRUCK).encode("utf-16"), "bad-encoding", "UTF-16"),
        (json.dumps(TRUCK).encode("utf-16-be"), "bad-encoding", "UTF-16"),
        (json.dumps({"마당": 1}, ensure_ascii=False).encode("cp949"), "bad-encoding", "CP949 (EUC-KR)"),
        (b'{"x": "\xff\xff"}', "bad-encoding", "byte 7"),
        (b"[" * 5_000, "too-deep", "1,024 levels"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "too-deep", "1,024 levels"),
        (b"[" + b"{}," * 1_000 + b"{}]", "too-many-readings", "1,001 readings"),
        (b"x" * (PAYLOAD_MAX + 1), "too-large", "1,048,577"),
        (b'{"w": "\\ud800"}', "bad-json", "surrogate"),
        (b'{"w": 1e999, "x": 1}', "bad-json", "infinity"),
    ],
)
def test_12_unreadable_payloads(payload: bytes, code: str, words: str) -> None:
    decoded = truck(payload)
    assert decoded.readings == ()
    assert codes(decoded) == [code]
    assert words in decoded.rejects[0].detail


def test_13_forgiven() -> None:
    good = truck(json.dumps(TRUCK).encode())
    assert truck(b"\xef\xbb\xbf" + json.dumps(TRUCK).encode()) == good
    assert truck(json.dumps(TRUCK, indent=4).encode()) == good
    assert truck(json.dumps(TRUCK | {"new": {"unknown": [1]}}).encode()) == good
    assert (
        truck(json.dumps(TRUCK).encode().replace(b'"w": 18420', b'"w": 1, "w": 18420')) == good
    )  # the last one counts


def test_14_a_million_keys_are_refused_unread_and_a_hundred_thousand_are_read() -> None:
    many = b'{"w": 100, ' + b", ".join(b'"k%d": 1' % n for n in range(1_000_000)) + b"}"
    assert codes(truck(many)) == ["too-large"]
    fewer = b'{"w": 100, ' + b",".join(b'"%x":1' % n for n in range(100_000)) + b"}"
    assert truck(fewer).readings[0].attributes == {"grossWeight": {"type": "Property", "value": 100, "unitCode": "KGM"}}


def test_15_what_a_device_buffered() -> None:
    items = [TRUCK | {"seq": n, "t": f"2026-11-23T02:{n:02d}:09Z"} for n in range(3)] + [7, TRUCK | {"lon": 900.0}]
    decoded = truck(json.dumps(items).encode())
    assert [reading.device_seq for reading in decoded.readings] == ["0", "1", "2", "1234"]
    assert len(set(decoded.keys)) == 4
    assert [reject.detail[:10] for reject in decoded.rejects] == ["reading 4:", "reading 5:"]
    # A reading is the same one whether it comes alone or in a batch.
    assert truck(json.dumps(items[1]).encode()).keys[0] == decoded.keys[1]


def test_16_rejects_are_limited() -> None:
    decoded = truck(json.dumps([1] * 1_000).encode())
    assert len(decoded.rejects) == REJECTS_MAX
    assert decoded.rejects[-1].code == "more"
    assert decoded.rejects[-1].detail.startswith("969 more")


SENSORS = Source(
    id="sensors",
    title={"en": "Sensors"},
    protocol="http",
    mapping=Mapping(
        entity_type="AirQualityObserved",
        id="urn:ngsi-ld:AirQualityObserved:{device}",
        device="dev.id",
        time=TimeMapping(path="at", format="unix_ms"),
        items="data.rows",
        attributes=(
            AttributeMapping(
                name="temperature", path="v.0.c", unit="CEL", scale=0.1, offset=-40, minimum=-40, maximum=60
            ),
            AttributeMapping(name="state", path="st", values={"0": "off", "1": "on", "true": "on"}),
            AttributeMapping(name="remark", path="memo", type="text"),
            AttributeMapping(name="keeper", kind="Relationship", path="who", target="urn:ngsi-ld:Person:{value}"),
            AttributeMapping(name="level", path="lv", from_text=True, maximum=10),
            AttributeMapping(name="place", kind="GeoProperty", lon="x", lat="y", area=(126.1, 33.1, 127.0, 33.6)),
            AttributeMapping(name="count", path="n"),
        ),
    ),
)


def sensor(**fields: Any) -> Decoded:
    row = {"dev": {"id": "S1"}, "at": OBSERVED // 1000, "n": 1} | fields
    return CompiledMapping(SENSORS).decode("", orjson.dumps({"data": {"rows": [row]}}), RECEIVED)


@pytest.mark.parametrize(
    ("fields", "name", "member"),
    [
        ({"v": [{"c": 650}]}, "temperature", {"type": "Property", "value": 25.0, "unitCode": "CEL"}),
        ({"st": 1}, "state", {"type": "Property", "value": "on"}),
        ({"st": "0"}, "state", {"type": "Property", "value": "off"}),
        ({"st": 1.0}, "state", {"type": "Property", "value": "on"}),
        ({"st": True}, "state", {"type": "Property", "value": "on"}),
        ({"memo": "비 옴\n바람"}, "remark", {"type": "Property", "value": "비 옴\n바람"}),
        ({"who": 17}, "keeper", {"type": "Relationship", "object": "urn:ngsi-ld:Person:17"}),
        ({"lv": "7.5"}, "level", {"type": "Property", "value": 7.5}),
        ({"lv": 7}, "level", {"type": "Property", "value": 7}),
        (
            {"x": 126.5, "y": 33.4},
            "place",
            {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [126.5, 33.4]}},
        ),
        (
            {"x": 127, "y": 33.5},
            "place",
            {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [127.0, 33.5]}},
        ),
        ({"n": 2**53}, "count", {"type": "Property", "value": 9007199254740992}),
        ({"n": 2**63 + 5}, "count", {"type": "Property", "value": 9.223372036854775808e18}),
    ],
)
def test_17_kinds_of_values(fields: dict[str, Any], name: str, member: dict[str, Any]) -> None:
    decoded = sensor(**fields)
    assert decoded.rejects == ()
    assert decoded.readings[0].attributes[name] == member


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"v": [{"c": 1_001}]}, "out-of-range"),
        ({"v": [{"c": "651"}]}, "wrong-type"),
        ({"st": 2}, "unknown-value"),
        ({"st": []}, "unknown-value"),
        ({"memo": "x" * 1_001}, "too-long"),
        ({"memo": "a\0b"}, "bad-text"),
        ({"memo": 5}, "wrong-type"),
        ({"who": "김 씨"}, "wrong-type"),
        ({"who": "x/../y"}, "wrong-type"),
        ({"lv": "11"}, "out-of-range"),
        ({"lv": "nan"}, "not-finite"),
        ({"lv": "NAN"}, "not-finite"),
        ({"lv": "much"}, "wrong-type"),
        ({"lv": "1" * 5_000}, "wrong-type"),
        ({"x": 128.0, "y": 35.1}, "out-of-area"),
        ({"dev": {}}, "no-device"),
        ({"dev": {"id": True}}, "no-device"),
        ({"dev": {"id": ""}}, "bad-device"),
        ({"at": OBSERVED // 1_000_000}, "time-too-old"),
        ({"at": OBSERVED}, "bad-time"),
        ({"at": -1}, "bad-time"),
        ({"at": 1e300}, "bad-time"),
    ],
)
def test_18_kinds_of_faults(fields: dict[str, Any], code: str) -> None:
    assert codes(sensor(**fields)) == [code]


def test_19_absent_steps_of_a_path() -> None:
    for v in ([], [1], {}, None, "text", [{"c": None}]):
        assert sensor(v=v).rejects == ()
    assert codes(CompiledMapping(SENSORS).decode("", b"{}", RECEIVED)) == ["not-an-object"]
    assert codes(CompiledMapping(SENSORS).decode("", b'{"data": {"rows": 4}}', RECEIVED)) == ["not-an-object"]


@pytest.mark.parametrize(
    "told", ["2026-11-23 11:14:09", "2026-11-23T11:14:09", "20261123111409", 20261123111409, "2026-11-23T11:14:09.000"]
)
def test_20_local_time_of_korea(told: Any) -> None:
    time = TimeMapping(path="t", format="local", offset_min=540)
    source = replace(TRUCK_SOURCE, mapping=replace(TRUCK_SOURCE.mapping, time=time))
    decoded = CompiledMapping(source).decode(TOPIC, changed(t=told), RECEIVED)
    assert decoded.readings[0].observed_at == OBSERVED
    for wrong in ("2026-11-23T02:14:09Z", "2026-11-23T11:14:09+09:00", "20261323111409", "11:14", 5.5):
        assert codes(CompiledMapping(source).decode(TOPIC, changed(t=wrong), RECEIVED)) == ["bad-time"]


def test_21_unix_seconds_with_a_fraction() -> None:
    time = TimeMapping(path="t", format="unix_s")
    source = replace(TRUCK_SOURCE, mapping=replace(TRUCK_SOURCE.mapping, time=time))
    decoded = CompiledMapping(source).decode(TOPIC, changed(t=1_795_400_049.25), RECEIVED)
    assert decoded.readings[0].observed_at == OBSERVED + 250_000


def test_22_identity() -> None:
    base = ("s", "T-1", "5", OBSERVED, "a/b", b"")
    key = message_key(*base)
    assert key is not None and len(key) == 16
    assert message_key("s", "T-1", "5", OBSERVED, "other topic", b"other content") == key
    for place, other in ((0, "s2"), (1, "T-2"), (2, "6"), (3, OBSERVED + 1)):
        assert message_key(*base[:place], other, *base[place + 1 :]) != key  # type: ignore[arg-type]
    assert message_key("s", "T-1", "5", None, "a", b"x") is None
    # printf 'h\0s\0a/b\0{"v":1}' | b2sum -l 128
    assert message_key("s", "T-1", None, OBSERVED, "a/b", b'{"v":1}') == bytes.fromhex(
        "7ee58d5fb827463614637d92a3e73760"
    )


def test_23_identity_without_a_sequence_is_by_content() -> None:
    source = replace(TRUCK_SOURCE, mapping=replace(TRUCK_SOURCE.mapping, sequence=""))
    decoder = CompiledMapping(source)

    def keys(payload: bytes, topic: str = TOPIC) -> tuple[bytes | None, ...]:
        return decoder.decode(topic, payload, RECEIVED).keys

    [key] = keys(changed())
    assert key is not None
    assert keys(json.dumps(TRUCK, indent=1).encode()) == (key,)
    assert keys(b"[" + changed() + b"]") == (key,)
    assert keys(changed(w=18421)) != (key,)
    assert keys(changed(), "manure/T-0043/telemetry") != (key,)
    assert keys(without("t")) == (None,)
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    assert keys(changed(extra=deep)) == (None,)


def test_24_identity_of_a_sequence_that_never_starts_again() -> None:
    source = replace(TRUCK_SOURCE, mapping=replace(TRUCK_SOURCE.mapping, sequence_for_life=True, time=None))
    decoder = CompiledMapping(source)
    first = decoder.decode(TOPIC, changed(), RECEIVED)
    assert first.keys[0] is not None
    assert decoder.decode(TOPIC, changed(), RECEIVED + 10_000_000).keys == first.keys


@pytest.mark.parametrize("seq", [1.5, True, [], "", "x" * 65, "a\nb"])
def test_25_an_odd_sequence_keeps_the_reading(seq: Any) -> None:
    decoded = truck(changed(seq=seq))
    assert codes(decoded) == ["bad-sequence"]
    assert decoded.readings[0].device_seq is None
    assert decoded.keys[0] is not None


def test_26_a_faulty_source_is_not_compiled() -> None:
    with pytest.raises(ValueError, match="source manure-terminals: cadence_s"):
        CompiledMapping(replace(TRUCK_SOURCE, cadence_s=0))


# Whatever comes, nothing is raised; what is kept can be stored and served.

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(["NaN", "2026-11-23T02:14:09Z", 126.5, 33.4, 0, -0.0, 2**64 - 1, "1e400"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("cd0"), inner, max_size=3)),
    max_leaves=8,
)
names = st.sampled_from([*TRUCK, "dev", "at", "v", "st", "memo", "who", "lv", "x", "y", "n", "data"])
rows = st.dictionaries(names, values, max_size=12)


def check(decoded: Decoded) -> None:
    assert len(decoded.keys) == len(decoded.readings)
    assert decoded.readings or decoded.rejects
    assert all(reject.code and reject.detail and len(reject.detail) < 500 for reject in decoded.rejects)
    for reading in decoded.readings:
        assert reading.attributes
        orjson.dumps(reading.attributes)
        assert 0 <= reading.observed_at < 4_102_444_800_000_000


TIMELESS = replace(SENSORS, mapping=replace(SENSORS.mapping, time=None, items=""))
SECONDS = replace(TRUCK_SOURCE, mapping=replace(TRUCK_SOURCE.mapping, time=TimeMapping(path="t", format="unix_s")))
LOCAL = replace(
    TRUCK_SOURCE, mapping=replace(TRUCK_SOURCE.mapping, time=TimeMapping(path="t", format="local", offset_min=540))
)
sources = st.sampled_from([TRUCK_SOURCE, SENSORS, TIMELESS, SECONDS, LOCAL])


@given(
    sources,
    st.one_of(rows, st.lists(st.one_of(rows, values), max_size=4), values),
    st.sampled_from(["utf-8", "utf-16", "cp949"]),
)
@settings(max_examples=500, deadline=None)
def test_27_any_json(source: Source, document: Any, encoding: str) -> None:
    payload = json.dumps(document, ensure_ascii=False).encode(encoding, "replace")
    check(CompiledMapping(source).decode(TOPIC, payload, RECEIVED))


@given(sources, st.binary(max_size=300), st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_28_any_bytes(source: Source, payload: bytes, topic: str) -> None:
    decoder = CompiledMapping(source)
    check(decoder.decode(TOPIC, payload, RECEIVED))
    check(decoder.decode(topic, payload, RECEIVED))


@given(st.integers(0, 250), st.binary(max_size=6))
@settings(max_examples=200, deadline=None)
def test_29_a_payload_with_a_wound(place: int, wound: bytes) -> None:
    good = json.dumps(TRUCK).encode()
    check(truck(good[:place] + wound + good[place + len(wound) :]))
    check(truck(good[:place]))
