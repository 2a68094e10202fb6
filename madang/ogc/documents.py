"""What the answers look like (OGC 17-069r4 clause 7). No member of these can be null: OpenAPI 3.0 could not say so."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from madang.model.geometry import Box
from madang.model.time import Instant, render_instant

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
GREGORIAN = "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"
JSON, GEO_JSON, SCHEMA = "application/json", "application/geo+json", "application/schema+json"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
_CLASSES = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/"
CONFORMANCE = (
    f"{_CLASSES}core",
    f"{_CLASSES}geojson",
    f"{_CLASSES}oas30",
    "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
)
"""The conformance classes that are kept. There is no HTML here: the console is the page for people."""


class Link(Struct, frozen=True):
    """A link (RFC 8288)."""

    href: str
    rel: str
    type: str
    title: str | UnsetType = UNSET


class LandingPage(Struct, frozen=True):
    """Where a client begins."""

    title: str
    description: str
    links: list[Link]


class Conformance(Struct, frozen=True, rename="camel"):
    """Which conformance classes are kept."""

    conforms_to: list[str]


class SpatialExtent(Struct, frozen=True):
    """Boxes: west, south, east, north in degrees."""

    bbox: list[list[float]]
    crs: str = CRS84


class TemporalExtent(Struct, frozen=True):
    """Intervals: first and last instant."""

    interval: list[list[str]]
    trs: str = GREGORIAN


class CollectionExtent(Struct, frozen=True):
    """Where and when the features of a collection are."""

    spatial: SpatialExtent | UnsetType = UNSET
    temporal: TemporalExtent | UnsetType = UNSET


class Collection(Struct, frozen=True, rename={"item_type": "itemType", "storage_crs": "storageCrs"}):
    """An entity type as a layer."""

    id: str
    title: str
    description: str
    links: list[Link]
    extent: CollectionExtent
    item_type: str = "feature"
    crs: list[str] = field(default_factory=lambda: [CRS84])
    storage_crs: str = CRS84


class Collections(Struct, frozen=True):
    """All layers that the caller may see."""

    links: list[Link]
    collections: list[Collection]


class FeatureCollection(Struct, frozen=True, rename="camel"):
    """One page of features."""

    links: list[Link]
    time_stamp: str
    number_matched: int
    number_returned: int
    features: list[dict[str, Any]]
    type: str = "FeatureCollection"


class Feature(Struct, frozen=True):
    """One feature; its geometry is null when the entity has no place."""

    id: str
    geometry: dict[str, Any]
    properties: dict[str, Any]
    links: list[Link]
    type: str = "Feature"


def extent_of(box: Box | None, first_at: Instant | None, last_at: Instant | None) -> CollectionExtent:
    """The extent of a collection; what is unknown is left out."""
    return CollectionExtent(
        UNSET if box is None else SpatialExtent([list(box)]),
        UNSET
        if first_at is None or last_at is None
        else TemporalExtent([[render_instant(first_at), render_instant(last_at)]]),
    )
