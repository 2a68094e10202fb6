"""Records: entities with a life cycle. Their governed data changes only by actions of their procedure."""

from typing import Any

from msgspec import Struct

from madang.model.time import Instant


class Record(Struct, frozen=True):
    """A record as of one version. Each action makes the next version; none is ever overwritten."""

    id: str
    type: str
    state: str
    version: int
    """1 when created, plus one with every action."""
    data: dict[str, Any]
    """Plain JSON values, by attribute name of the declared RecordType. Instants are RFC 3339 text, masses kg."""
    created_at: Instant
    modified_at: Instant
