"""The change log's rows as values: what happened, in the one order that everything reads."""

from typing import Any

from msgspec import Struct

from madang.model.entity import Attributes, value_of
from madang.model.record import Record
from madang.model.time import Instant

READING = "reading"
"""An entity got new attribute values (from a device, a system, or emitted by a detector)."""
REFERENCE = "reference"
"""A reference entity (parcel, plant, limit) was created or changed: a new version of it is kept."""
RECORD = "record"
"""A record went through an action of its procedure."""
DELETION = "deletion"
"""An entity was deleted."""
CLOCK = "clock"
"""A clock mark: nothing happened, time passed. Timers fire on it."""


class Transition(Struct, frozen=True):
    """What an action did to a record."""

    action: str
    from_state: str | None
    """None when the action created the record."""
    to_state: str
    version: int
    actor: str
    """Who typed."""
    on_behalf_of: str | None
    """Who agreed, when somebody else typed."""
    arguments: dict[str, Any]


class Change(Struct, frozen=True):
    """One row of the change log."""

    seq: int
    """Position in the log: 1, 2, 3 …; holes are possible, the order is not in doubt."""
    kind: str
    recorded_at: Instant
    """Log time: never decreases along `seq`. Timers compare with this one."""
    observed_at: Instant
    """When it was true in the world; equal to `recorded_at` for records and clock marks."""
    entity_id: str = ""
    entity_type: str = ""
    attributes: Attributes = {}
    """The attributes that changed. For REFERENCE and RECORD all attributes."""
    source: str = ""
    """Source id, ``detector:<id>`` for derived observations, or the principal for API writes."""
    late: bool = False
    """Older than the newest reading of this entity when it was recorded."""
    transition: Transition | None = None
    record: Record | None = None
    """For RECORD: the record as the action left it."""
    received_at: Instant = 0
    removed: tuple[str, ...] = ()
    """Keys of the attribute instances that this change took away. A DELETION takes all and lists none."""
    previous: int | None = None
    """Sequence of the change before of the same entity; 0: this one created it; None: not known (clock marks, rows of older
    versions)."""
    before: Attributes | None = None
    """What stood, before a write over the API, where it wrote or took away; for a DELETION all attributes. None for a reading and a
    record: what stood before stands in the change before."""

    def value(self, name: str, default: Any = None) -> Any:
        """The plain value of an attribute of this change, or `default` when it did not change."""
        attribute = self.attributes.get(name)
        return default if attribute is None else value_of(attribute)
