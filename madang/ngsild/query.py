"""The query tree: what every list, map, stream, count and export asks of a store.

A store compiles it to SQL as text plus bound parameters; values never enter the text. Access policy adds its
predicate by wrapping `where` in an `And`.

A condition on an attribute holds when one of its instances (see `madang.model.entity.instance_key`) meets it. Where an
attribute's name stands, the members of the entity itself in `ENTITY_MEMBERS` may stand too.
"""

from typing import Any

from msgspec import Struct

from madang.model.time import Instant

ENTITY_MEMBERS = frozenset({"id", "type", "createdAt", "modifiedAt", "expiresAt"})
"""Members of an entity that can be compared and ordered by like an attribute: no attribute has such a name."""
METADATA = frozenset({"observedAt", "createdAt", "modifiedAt", "expiresAt", "unitCode", "datasetId"})
"""Members of an attribute that are plain values, not sub-attributes."""
ANY_LANGUAGE = "*"
"""As the only member of a path: any language of a LanguageProperty (clause 4.9)."""


class Compare(Struct, frozen=True):
    """`attribute op value`. `op`: ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``~=`` (regular expression), ``!~=``.

    Compares the plain value (a Relationship's object, a VocabProperty's word), or an item of it when it is an array. A list on the
    right of ``==`` means any of them. Numbers compare with numbers and text with text; instants as text in RFC 3339 UTC."""

    attribute: str
    op: str
    value: Any
    path: tuple[str, ...] = ()
    """Members inside the value, for ``attribute[a.b]``; a language for a LanguageProperty."""
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


class OfType(Struct, frozen=True):
    """The entity has this type, perhaps among others (clause 4.17)."""

    name: str


class InScope(Struct, frozen=True):
    """One of the entity's scopes matches the pattern: a path in which ``+`` stands for one level and a last ``#`` for the rest
    (clause 4.19). See `madang.ngsild.scope`."""

    pattern: str


class Linked(Struct, frozen=True):
    """The entity that the Relationship leads to meets the condition, for ``attribute{a>1}`` (clause 4.9)."""

    attribute: str
    item: "Node"
    sub: tuple[str, ...] = ()


class And(Struct, frozen=True):
    items: tuple["Node", ...]


class Or(Struct, frozen=True):
    items: tuple["Node", ...]


class Not(Struct, frozen=True):
    item: "Node"


Node = Compare | Between | Exists | Contains | OfType | InScope | Linked | And | Or | Not


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


class Order(Struct, frozen=True):
    """Order by an attribute's plain value or an entity's member (clause 4.23); entities without it come last. Numbers come
    before text."""

    attribute: str
    descending: bool = False
    path: tuple[str, ...] = ()
    sub: tuple[str, ...] = ()
    collated: bool = False
    """Texts as people sort them (letters first, then accents, then case), not by code point."""


class ByDistance(Struct, frozen=True):
    """Order by the distance to `geometry` (GeoJSON), nearest first unless `descending`; entities without a place come last."""

    geometry: dict[str, Any]
    property: str = "location"
    descending: bool = False


class Query(Struct, frozen=True):
    """All conditions hold at once. Order: by `order`, then id."""

    types: tuple[str, ...] = ()
    """Entities that have at least one of these types."""
    ids: tuple[str, ...] = ()
    id_pattern: str | None = None
    attributes: tuple[str, ...] = ()
    """Entities that have at least one of them."""
    where: Node | None = None
    place: Near | Spatial | None = None
    order: tuple[Order | ByDistance, ...] = ()
    limit: int = 100
    after: str | None = None
    """Continue after this id (only when ordered by id)."""
    offset: int = 0
    count: bool = False
    """Also count all matches."""
    alive_at: Instant | None = None
    """Leave out what has expired at this instant (clause 4.22); None: take everything that is stored."""
    observed: tuple[Instant | None, Instant | None] | None = None
    """Only entities last observed (`Entity.observed_at`) from the first instant to the second, both in it; None: open."""
    stamps: bool = False
    """Also load `Entity.stamps`."""
    any_order: bool = False
    """Any order will do instead of that of the ids, as long as it stays from page to page (4.23 leaves it to the broker)."""
