"""What an entity was at a place in the log, from what it is now and from the chain of its changes (`Change.previous`).

While a reader of the log keeps up nothing of this is needed but a look at the entity. After a standstill it undoes, change by change,
what came later. Cost: one read of the log for each change of the entity that is walked over, at most `STEPS_MAX`.
"""

from msgspec.structs import replace

from madang.hub.ports import Read
from madang.model.change import DELETION, RECORD, REFERENCE, Change
from madang.model.entity import Attributes, Entity
from madang.ngsild.notification import after_of

STEPS_MAX = 500
"""Changes of one entity that are walked over; a device that sends once a second makes them in eight minutes. What is older than that is
taken as it is now, and counted."""


class Past:
    """See the module's docstring. `inexact` counts answers for which the chain was too long."""

    def __init__(self) -> None:
        self.inexact = 0

    def entity_at(self, read: Read, change: Change) -> tuple[Entity, Attributes]:
        """(the entity as the change left it, a deleted one as it was; all attributes before the change). The snapshot must hold the
        change."""
        if change.kind == DELETION:
            before = change.before or {}
            return _blank(change, before), before
        now = read.find_entity(change.entity_id)
        if now is None or now.seq < change.seq:
            # Deleted since, or made again: the chain alone can tell.
            before = self._forward(read, change.previous, change.entity_id, {})
            return _blank(change, after_of(change, before)), before
        after = now.attributes if now.seq == change.seq else self._back(read, now, change)
        if after is None:
            before = self._forward(read, change.previous, change.entity_id, now.attributes)
            after = after_of(change, before)
        else:
            before = self._before(read, change, after)
        return replace(now, attributes=after, seq=change.seq, modified_at=change.recorded_at), before

    def _before(self, read: Read, change: Change, after: Attributes) -> Attributes:
        """All attributes before a change, from those after it."""
        if change.previous == 0:
            return {}
        if change.kind in (REFERENCE, RECORD) or change.previous is None:
            found = None if change.previous is None else find_change(read, change.previous)
            if found is not None and found.kind in (REFERENCE, RECORD):
                return found.attributes
            return {**after, **(change.before or {})}
        before = {key: attribute for key, attribute in after.items() if key not in change.attributes}
        if change.before is not None:
            return {**before, **change.before}
        return {**before, **self._touched(read, change)}

    def _touched(self, read: Read, change: Change) -> Attributes:
        """What stood, before a reading, at the keys that it brought."""
        wanted = set(change.attributes)
        chain: list[Change] = []
        seq = change.previous
        while wanted and seq and len(chain) < STEPS_MAX:
            row = find_change(read, seq)
            if row is None:
                break
            chain.append(row)
            wanted -= row.attributes.keys() | set(row.removed)
            if row.kind in (REFERENCE, RECORD):
                break
            seq = row.previous
        if wanted and seq and len(chain) >= STEPS_MAX:
            self.inexact += 1
        found: Attributes = {}
        for row in reversed(chain):
            found = after_of(row, found)
        return {key: found[key] for key in change.attributes if key in found}

    def _back(self, read: Read, now: Entity, change: Change) -> Attributes | None:
        """The attributes after a change, by undoing what came later; None when the chain does not lead there."""
        attributes = now.attributes
        seq: int | None = now.seq
        for _ in range(STEPS_MAX):
            if seq == change.seq:
                return attributes
            row = None if not seq or seq < change.seq else find_change(read, seq)
            if row is None:
                return None
            attributes = self._before(read, row, attributes)
            seq = row.previous
        self.inexact += 1
        return None

    def _forward(self, read: Read, seq: int | None, id_: str, otherwise: Attributes) -> Attributes:
        """All attributes after the change `seq`, by doing anew what the chain tells; `otherwise` stands where it does not reach."""
        chain: list[Change] = []
        while seq and len(chain) < STEPS_MAX:
            row = find_change(read, seq)
            if row is None or row.entity_id != id_:
                break
            chain.append(row)
            if row.kind in (REFERENCE, RECORD):
                seq = 0
                break
            seq = row.previous
        attributes: Attributes = {}
        if seq != 0:
            self.inexact += 1
            attributes = otherwise
        for row in reversed(chain):
            attributes = after_of(row, attributes)
        return attributes


def find_change(read: Read, seq: int) -> Change | None:
    """The log's row with this sequence; None when it is not there (trimmed)."""
    rows = read.read_log(seq - 1, 1)
    return rows[0] if rows and rows[0].seq == seq else None


def _blank(change: Change, attributes: Attributes) -> Entity:
    return Entity(
        change.entity_id,
        change.entity_type,
        attributes,
        change.recorded_at,
        change.recorded_at,
        change.observed_at,
        change.seq,
    )
