"""The query tree: what every list, map, stream, count and export asks of a store.

A store compiles it to SQL as text plus bound parameters; values never enter the text. Access policy adds its
predicate by wrapping `where` in an `And`.
"""

from typing import Any

from msgspec import Struct


class Compare(Struct, frozen=True):
    """`attribute op value`. `op`: ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``~=`` (regular expression), ``!~=``.

    Compares the plain value (or a Relationship's object). A list value on the right of ``==`` means any of them.
    Instants compare as text in RFC 3339 UTC."""

    attribute: str
    op: str
    value: Any
    path: tuple[str, ...] = ()
    """Members inside the value, for ``attribute[a.b]``."""
    sub: tuple[str, ...] = ()
    """Sub-attributes (or ``observedAt``, ``unitCode``), for ``attribute.a.b``."""


class Between(Struct, frozen=True):
    """`low <= attribute <= high` (NGSI-LD ``q=a==low..high``)."""

    attribute: str
    low: Any
    high: Any
    path: tuple[str, ...] = ()
    sub: tuple[str, ...] = ()


class Exists(Struct, frozen=True):
    """The attribute is there."""

    attribute: str
    path: tuple[str, ...] = ()
    sub: tuple[str, ...] = ()


class Contains(Struct, frozen=True):
    """The text is somewhere in the id, or in the plain value of any of these attributes, letters' case ignored
    (console search)."""

    text: str
    attributes: tuple[str, ...]


class And(Struct, frozen=True):
    items: tuple["Node", ...]


class Or(Struct, frozen=True):
    items: tuple["Node", ...]


class Not(Struct, frozen=True):
    item: "Node"


Node = Compare | Between | Exists | Contains | And | Or | Not


class Near(Struct, frozen=True):
    """Distance to `geometry` (GeoJSON) in metres, between `minimum_m` and `maximum_m` (either may be None)."""

    geometry: dict[str, Any]
    maximum_m: float | None = None
    minimum_m: float | None = None
    property: str = "location"


class Spatial(Struct, frozen=True):
    """`relation` of the entity's geometry to `geometry`: within, contains, intersects, equals, disjoint, overlaps
    (clause 4.10)."""

    relation: str
    geometry: dict[str, Any]
    property: str = "location"


class Query(Struct, frozen=True):
    """All conditions hold at once. Order: by `sort`, then id."""

    types: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    id_pattern: str | None = None
    attributes: tuple[str, ...] = ()
    """Entities that have at least one of them."""
    where: Node | None = None
    place: Near | Spatial | None = None
    sort: str | None = None
    """Attribute name; ``-`` before it for descending; None: id."""
    limit: int = 100
    after: str | None = None
    """Continue after this id (only when sorted by id)."""
    offset: int = 0
    count: bool = False
    """Also count all matches."""
