"""Entity maps: which entities a query found, and where each of them is (ETSI GS CIM 009 clauses 5.2.39, 5.5.9.3, 5.14). Pure;
`madang.hub.entity_maps` keeps them.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from madang.model.time import DAY, HOUR, LAST_EXPIRY, SECOND, Instant, parse_instant, render_instant
from madang.ngsild.errors import INVALID_REQUEST, NgsiLdError
from madang.ngsild.parse import parse_time
from madang.ngsild.temporal import parse_period

HERE = "@none"
"""The source of an entity that this broker itself has."""
LIFETIME = HOUR
"""Ours, when the request asks for none: time enough to walk through any list."""
LIFETIME_MAX = DAY
"""Ours: a list that is older than a day says little of the city."""
_MEMBERS = frozenset({"id", "type", "@context", "expiresAt", "entityMap", "linkedMaps"})
_MONTH = 28 * DAY
"""The shortest; a lifetime of months is cut to `LIFETIME_MAX` in any case."""


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """An entity of a map."""

    id: str
    sources: tuple[str, ...] = (HERE,)
    """Ids of the registrations of the context sources that have it; `HERE` for this broker."""


def parse_lifetime(text: Any, where: str = "entityMapLifetime") -> Instant:
    """An ISO 8601 duration (table 6.4.3.2-1) in microseconds. Raises NgsiLdError.

    >>> parse_lifetime("PT10M") // SECOND
    600
    """
    try:
        period = parse_period(text)
    except NgsiLdError:
        raise NgsiLdError("must be an ISO 8601 duration such as PT10M", where) from None
    length = period.length + period.months * _MONTH
    if length < SECOND:
        raise NgsiLdError("must be a second or more", where)
    return length


def parse_entity_map_update(document: Any) -> Instant | None:
    """The expiresAt of a fragment (clause 5.14.2.4); None: it has none. What only the broker writes is passed over. Raises NgsiLdError."""
    if not isinstance(document, dict):
        raise NgsiLdError("must be a JSON object", "", INVALID_REQUEST)
    for name in document:
        if name not in _MEMBERS:
            raise NgsiLdError(f"is not known in an EntityMap; known: {', '.join(sorted(_MEMBERS))}", name[:80])
    if document.get("type", "EntityMap") != "EntityMap":
        raise NgsiLdError("must be EntityMap", "type")
    if "expiresAt" not in document:
        return None
    return parse_instant(parse_time(document["expiresAt"], "expiresAt", LAST_EXPIRY), LAST_EXPIRY)


def render_entity_map(id_: str, expires_at: Instant, entries: Iterable[Entry]) -> dict[str, Any]:
    """An EntityMap (clause 5.2.39). There are no linked maps: a source is asked for the entities of a page by their ids."""
    return {
        "id": id_,
        "type": "EntityMap",
        "expiresAt": render_instant(expires_at),
        "entityMap": {entry.id: list(entry.sources) for entry in entries},
        "linkedMaps": {},
    }
