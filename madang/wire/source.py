"""A source as data: who sends, by what credentials, under which topic, and what its payload means.

Everything here is JSON-serialisable, so that a city adds a source without a program. `madang.wire.source_check` reads one
and says what is wrong with it; `madang.wire.mapping` turns it into a decoder.
"""

import re
from hashlib import sha256
from hmac import compare_digest
from typing import Literal

import msgspec
from msgspec import Struct

DEVICES_MAX = 20_000
"""Devices that one source may announce. A city's trucks are a hundred, its meters tens of thousands; a device that makes up
a new name with each message would otherwise fill the store with things."""
READINGS_MAX = 1_000
"""Readings in one payload: what a truck buffers in two and a half hours out of coverage."""
FUTURE_MAX_S = 300.0
"""How far a device's clock may run ahead. GPS time is exact; five minutes forgive a clock set by hand."""
TOO_OLD_S = 7 * 86_400.0
"""How old a reading may be: a terminal keeps a week at most, and what is older was sent by a broken clock."""
DEVICE_PLACE = "{device}"

DEVICE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@-]{0,127}")
"""A device's name becomes part of an entity id, which must be a URI (ETSI GS CIM 009 clause 4.6.2)."""


class TimeMapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the payload says when its values were true."""

    path: str
    format: Literal["rfc3339", "unix_s", "unix_ms", "local"] = "rfc3339"
    """``local``: date and time without a zone, as ISO 8601 or as 14 digits (20261123111409); needs `offset_min`."""
    offset_min: int | None = None
    """Minutes east of UTC for ``local``: 540 in Korea."""
    future_max_s: float = FUTURE_MAX_S
    """Later than received by more than this: the reading is rejected."""
    too_old_s: float = TOO_OLD_S
    """Earlier than received by more than this: the reading is rejected."""


class AttributeMapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One NGSI-LD attribute and where its value stands in the payload.

    Paths are dotted (``gps.lon``, ``sensors.0.value``). An absent or null value means *not known*: the attribute is left
    out, and what the entity had before stays with its age. Absent (not null) and `required` is reported.
    """

    name: str
    kind: Literal["Property", "GeoProperty", "Relationship"] = "Property"
    type: Literal["number", "boolean", "text"] = "number"
    """Property only."""
    path: str = ""
    """Property and Relationship."""
    lon: str = ""
    lat: str = ""
    """GeoProperty: paths of longitude and latitude in degrees, WGS 84."""
    unit: str | None = None
    """UN/CEFACT common code of the value after `scale` and `offset`."""
    scale: float = 1.0
    offset: float = 0.0
    """value = raw × scale + offset."""
    minimum: float | None = None
    maximum: float | None = None
    """Believable range, of the value after `scale` and `offset`; what lies outside is rejected, alone."""
    area: tuple[float, float, float, float] | None = None
    """GeoProperty: believable west, south, east, north in degrees."""
    from_text: bool = False
    """Numbers may come as text: "12.5"."""
    values: dict[str, str | float | bool] | None = None
    """Translation of raw values written as text: {"1": true, "0": false}. What is not in it is rejected."""
    target: str = ""
    """Relationship: id template such as ``urn:ngsi-ld:Person:{value}``."""
    required: bool = False
    """Its absence is reported. The rest of the reading is kept all the same: a truck that lost its position still
    weighs."""


class Mapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a payload means."""

    entity_type: str
    id: str
    """Entity id template, such as ``urn:ngsi-ld:Vehicle:{device}``."""
    attributes: tuple[AttributeMapping, ...]
    device: str = ""
    """Path of the device's name in the payload, for sources whose topic does not hold it."""
    time: TimeMapping | None = None
    """None, or a payload without it: the time of arrival is taken."""
    sequence: str = ""
    """Path of the device's own sequence number; empty when it has none."""
    sequence_for_life: bool = False
    """True when the number never starts again. Otherwise the observation time belongs to the identity."""
    items: str = ""
    """Path of the array of readings in the payload; empty: the payload is one reading or an array of them."""
    items_max: int = READINGS_MAX


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fleet of devices or another system, with one secret and one meaning of payloads."""

    id: str
    """Also its MQTT user name."""
    title: dict[str, str]
    """By language: {"ko": …, "en": …}."""
    protocol: Literal["mqtt", "http"]
    mapping: Mapping
    topic: str = ""
    """MQTT: what its devices publish to, with the device's place: ``manure/{device}/telemetry``. ``+`` stands for a level
    that does not matter."""
    command_topic: str = "madang/{client}/command"
    """MQTT: the one topic that a client may subscribe to; ``{client}`` is its client id."""
    secret_sha256: str = ""
    """SHA-256 of the secret, in hex; empty: nobody can log in. A plain hash serves because the secret is random and long
    (`hub` makes it, 256 bits), so that it cannot be guessed; a password would need argon2."""
    cadence_s: float = 60.0
    """How often a device is expected to report: three times this long without a word is silence."""
    rest_s: float = 0.0
    """Longest silence of the whole source that is usual although nothing is wrong, such as the weekend of a fleet whose terminals
    send while the ignition is on. Its page shows it as silent earlier; an incident opens only beyond. 0: it never rests."""
    devices_max: int = DEVICES_MAX
    enabled: bool = True


def hash_secret(secret: str) -> str:
    """The hash that a source keeps of its secret.

    >>> hash_secret("abc")[:16]
    'ba7816bf8f01cfea'
    """
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def with_secret(source: Source, secret: str) -> Source:
    """The same source with another secret."""
    return msgspec.structs.replace(source, secret_sha256=hash_secret(secret))


def secret_matches(source: Source, secret: str) -> bool:
    """True when `secret` is the source's own; takes as long whether it is or not."""
    return bool(source.secret_sha256) and compare_digest(hash_secret(secret), source.secret_sha256.lower())


def encode_source(source: Source) -> bytes:
    """The source as JSON."""
    return msgspec.json.encode(source)


class TopicPattern:
    """The topics of a source: a filter with the device's place in it.

    >>> TopicPattern("manure/{device}/telemetry").find_device("manure/T-0042/telemetry")
    'T-0042'
    >>> TopicPattern("manure/{device}/telemetry").find_device("manure/T-0042/video")
    """

    __slots__ = ("_match", "names_device", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.names_device = DEVICE_PLACE in text
        levels = {DEVICE_PLACE: "([^/]+)", "+": "[^/]*"}
        # Compiled from escaped levels: a device's topic can never be read as an expression.
        pattern = "/".join(levels.get(level, re.escape(level)) for level in text.split("/"))
        self._match = re.compile(pattern).fullmatch

    def covers(self, topic: str) -> bool:
        """True when the topic is one of the source's own."""
        return self._match(topic) is not None

    def find_device(self, topic: str) -> str | None:
        """The device's level of the topic; None when the topic is not the source's or names no device."""
        found = self._match(topic)
        return found[1] if found is not None and self.names_device else None


def describe_delivery(source: Source) -> dict[str, str]:
    """What an acknowledgement of this source means, and how repeats are known, in words for its page."""
    mapping = source.mapping
    answer = "PUBACK" if source.protocol == "mqtt" else "HTTP 2xx"
    ko, en = f"{answer} 응답은 저장이 끝났다는 뜻입니다. ", f"{answer} means that the message is stored. "
    if mapping.sequence and (mapping.time is not None or mapping.sequence_for_life):
        ko += "같은 메시지가 다시 오면 장치의 일련번호로 알아보고 한 번만 셉니다."
        en += "A message that comes again is known by the device's sequence number and counted once."
    elif mapping.time is not None:
        ko += "같은 메시지가 다시 오면 내용과 시각으로 알아보고 한 번만 셉니다."
        en += "A message that comes again is known by its content and time and counted once."
    else:
        ko += "메시지에 일련번호도 시각도 없어, 다시 온 메시지는 두 번 세어질 수 있습니다."
        en += "Messages carry neither a sequence number nor a time, so one that comes again may be counted twice."
    if mapping.time is None:
        ko += " 관측 시각은 도착한 시각입니다."
        en += " The time of observation is the time of arrival."
    else:
        ko += " 시각이 없는 메시지는 도착한 시각으로 기록하며, 다시 오면 두 번 세어질 수 있습니다."
        en += " A message without its time gets the time of arrival, and may be counted twice when it comes again."
    return {"ko": ko, "en": en}
