"""Entities, their attributes, and readings.

An attribute is kept as its NGSI-LD normalised member (ETSI GS CIM 009 clause 4.5): a dict such as
``{"type": "Property", "value": 12.5, "unitCode": "KMH", "observedAt": "2026-11-23T02:14:09Z"}``. It is what the API
answers with, so a stored entity can be served without being rebuilt. Names are stored as the core @context compacts
them: short for core terms and for the default vocabulary, a full URI for everything else.

An attribute may have several instances, told apart by their `datasetId` (clause 4.5.5). The default instance stands
under the plain name, every other one under `instance_key(name, dataset_id)`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from madang.model.time import LAST_EXPIRY, Instant, parse_instant

Attribute = dict[str, Any]
"""One NGSI-LD normalised attribute."""
Attributes = dict[str, Attribute]
"""Attribute instances by key: the name, or `instance_key(name, dataset_id)` for an instance with a datasetId."""
Stamps = dict[str, tuple[Instant, Instant]]
"""(created, modified) of attribute instances by key."""
NEVER: Instant = 0
"""As an expiry: takes one away."""

ATTRIBUTES_MAX = 256
"""Attributes in one reading. A truck has ten, the largest Smart Data Model about a hundred; more is a broken payload."""
ID_LENGTH_MAX = 512
"""Characters in an entity id."""


def instance_key(name: str, dataset_id: str | None) -> str:
    """The key of an attribute instance. A blank parts the two: it stands in no name and in no URI.

    >>> instance_key("speed", None), instance_key("speed", "urn:gps")
    ('speed', 'speed urn:gps')
    """
    return name if dataset_id is None else f"{name} {dataset_id}"


def split_key(key: str) -> tuple[str, str | None]:
    """(name, dataset id) of an instance's key; the dataset id of the default instance is None.

    >>> split_key("speed"), split_key("speed urn:gps")
    (('speed', None), ('speed', 'urn:gps'))
    """
    name, blank, dataset_id = key.partition(" ")
    return name, (dataset_id if blank else None)


class Entity(Struct, frozen=True):
    """A thing with attributes, as it is now."""

    id: str
    type: str
    """Its type; the first one when it has several (see `types`)."""
    attributes: Attributes
    created_at: Instant
    modified_at: Instant
    observed_at: Instant
    """The newest `observed_at` among its readings."""
    seq: int
    """Change-log sequence of the last change."""
    types: tuple[str, ...] = ()
    """All types when it has more than one (clause 4.16), else empty."""
    scopes: tuple[str, ...] = ()
    """Its scopes (clause 4.18), such as ``/Madrid/Gardens``."""
    expires_at: Instant | None = None
    """When it goes away by itself (clause 4.22); None: never."""
    stamps: Stamps = {}
    """When each attribute instance was created and last modified. Loaded only when asked for; else empty."""

    @property
    def all_types(self) -> tuple[str, ...]:
        """Every type it has, the first one first."""
        return self.types or (self.type,)


class Reading(Struct, frozen=True):
    """All attributes of one entity that arrived together, true at one `observed_at`."""

    entity_id: str
    entity_type: str
    observed_at: Instant
    attributes: Attributes
    """Normalised attributes without `observedAt`: the hub adds it from the reading."""
    device_seq: str | None = None
    """The device's own sequence number, as text; None when it has none."""


class Reject(Struct, frozen=True):
    """Something that could not be understood: why, in words for the person who mends the device or the mapping."""

    code: str
    """Stable machine-readable reason, e.g. ``bad-json``, ``no-time``, ``out-of-range``."""
    detail: str


class Decoded(Struct, frozen=True):
    """What a connector's `decode` made of one payload. Readings may be good while others of the payload are rejected."""

    readings: tuple[Reading, ...] = ()
    rejects: tuple[Reject, ...] = ()
    keys: tuple[bytes | None, ...] = ()
    """Identity of each reading, in the same order: equal keys are the same message come again. None: has none, so delivery
    is at least once. Empty when the connector knows identity by other means."""


def value_of(attribute: Attribute | None) -> Any:
    """The plain value of an attribute: `value`, else the Relationship's `object`; None for an absent attribute."""
    if attribute is None:
        return None
    if "value" in attribute:
        return attribute["value"]
    return attribute.get("object")


def next_expiry(attributes: Mapping[str, Attribute], expires_at: Instant | None = None) -> Instant | None:
    """When the entity or the first of its attributes expires (clause 4.22); None: nothing of it does."""
    times = [parse_instant(a["expiresAt"], LAST_EXPIRY) for a in attributes.values() if "expiresAt" in a]
    if expires_at is not None:
        times.append(expires_at)
    return min(times, default=None)


def expired_keys(attributes: Mapping[str, Attribute], now: Instant) -> list[str]:
    """Keys of the attribute instances that have expired at `now`."""
    return [k for k, a in attributes.items() if "expiresAt" in a and parse_instant(a["expiresAt"], LAST_EXPIRY) <= now]


def alive_at(entity: Entity, now: Instant) -> Entity | None:
    """The entity without what has expired at `now`; None when it has expired as a whole."""
    if entity.expires_at is not None and entity.expires_at <= now:
        return None
    gone = expired_keys(entity.attributes, now)
    if not gone:
        return entity
    return replace(entity, attributes={k: a for k, a in entity.attributes.items() if k not in gone})


def needs_care(attributes: Mapping[str, Attribute]) -> bool:
    """Is there an attribute that cannot be answered as it is stored: one with a datasetId, also among sub-attributes, or a
    VocabProperty, whose words are stored as URIs?"""
    return any(" " in key or _instance_needs_care(attribute) for key, attribute in attributes.items())


def _instance_needs_care(attribute: Attribute) -> bool:
    if attribute.get("type") == "VocabProperty":
        return True
    for key, member in attribute.items():
        if " " in key or (
            type(member) is dict and key not in _VALUES and "type" in member and _instance_needs_care(member)
        ):
            return True
    return False


_VALUES = frozenset({"value", "languageMap", "json"})
"""Members whose objects are values, not sub-attributes."""


def prop(value: Any, unit: str | None = None) -> Attribute:
    """A Property; `unit` is a UN/CEFACT common code such as KGM, KMH, MTR."""
    return (
        {"type": "Property", "value": value} if unit is None else {"type": "Property", "value": value, "unitCode": unit}
    )


def rel(target: str) -> Attribute:
    """A Relationship to the entity with id `target`."""
    return {"type": "Relationship", "object": target}


def geo(geometry: dict[str, Any]) -> Attribute:
    """A GeoProperty holding a GeoJSON geometry."""
    return {"type": "GeoProperty", "value": geometry}


def point(lon: float, lat: float) -> Attribute:
    """A GeoProperty holding a GeoJSON point."""
    return {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [lon, lat]}}


class AttributeType(Struct, frozen=True):
    """The declaration of an attribute: what it means, in which unit, which range is believable, who may see it."""

    name: str
    kind: str = "Property"
    """NGSI-LD attribute type: Property, Relationship, GeoProperty, …"""
    unit: str | None = None
    """UN/CEFACT common code."""
    minimum: float | None = None
    maximum: float | None = None
    title: dict[str, str] = field(default_factory=dict)
    """Name by language: {"ko": …, "en": …}."""
    source: str = ""
    """Where the name and range come from: a standard, a Smart Data Model, or ours."""


class EntityType(Struct, frozen=True):
    """The declaration of an entity type."""

    name: str
    title: dict[str, str]
    attributes: tuple[AttributeType, ...]
    kind: str = "thing"
    """``thing`` (changes by readings), ``reference`` (changes seldom, every version kept), ``derived`` (emitted by
    detectors)."""
    data_class: str = "internal"
    """``public``, ``internal``, ``personal`` or ``sensitive``."""
    source: str = ""
    parties: tuple[str, ...] = ()
    """Attributes that name the farm, carrier or plant (or a vehicle of theirs) whom an entity concerns: callers who act for
    a party see of a thing or derived observation only what names their own."""

    def find_attribute(self, name: str) -> AttributeType | None:
        """The declared attribute, or None."""
        return next((a for a in self.attributes if a.name == name), None)
