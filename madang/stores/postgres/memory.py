"""What a writer remembers between its turns, and how that stays true while other processes write.

The log itself says what others changed: at the beginning of a turn the entities named in the log since our own last one are forgotten.
Nobody can write during our turn, so from then on what is remembered is what stands in the table.
"""

from collections import OrderedDict

from madang.model.time import Instant
from madang.stores.cached import CachedEntity
from madang.stores.postgres.connect import Connection

CACHE_ENTITIES_MAX = 100_000
"""Entities whose state a writer keeps in memory (about 3 KB each). What is evicted is read again."""
FORGET_ALL_ABOVE = 20_000
"""Changes of others since the last turn beyond which the whole cache is dropped: asking which costs more than reading again."""


class Head:
    """The row `log_head`, as this turn moves it on."""

    __slots__ = ("entity_no", "log_time", "name_no", "seq")

    def __init__(self, seq: int, log_time: Instant, entity_no: int, name_no: int) -> None:
        self.seq = seq
        self.log_time = log_time
        self.entity_no = entity_no
        self.name_no = name_no

    def copy(self) -> "Head":
        """As it is now, to come back to."""
        return Head(self.seq, self.log_time, self.entity_no, self.name_no)


class WriterMemory:
    """Entities, interned names and the ranges of history days."""

    def __init__(self) -> None:
        self.entities: OrderedDict[str, CachedEntity] = OrderedDict()
        self.names: dict[str, int] = {}
        self.days: dict[int, list[int]] = {}
        """First and last observed instant of a recorded day."""
        self.stale: set[str] = set()
        """Entities that were in memory until others changed them: likely to be wanted again, and read in one statement."""
        self._seq = -1
        """The log up to here is known."""
        self._name_no = 0

    def take_turn(self, db: Connection, head: Head) -> None:
        """Forget what others have changed. Called first in a turn."""
        if head.seq == self._seq:
            return
        self.days.clear()
        if head.name_no > self._name_no:
            rows = db.execute("SELECT text, no FROM name WHERE no > %s", (self._name_no,)).fetchall()
            self.names.update(rows)
            self._name_no = head.name_no
        if self.entities:
            if head.seq - self._seq > FORGET_ALL_ABOVE:
                self.entities.clear()
                self.stale.clear()
            else:
                rows = db.execute(
                    "SELECT DISTINCT entity_id FROM log WHERE seq > %s AND seq <= %s", (self._seq, head.seq)
                ).fetchall()
                for (id_,) in rows:
                    if self.entities.pop(id_, None) is not None:
                        self.stale.add(id_)
        self._seq = head.seq

    def committed(self, head: Head) -> None:
        """Our turn is durable: what is remembered is what stands in the tables."""
        self._seq, self._name_no = head.seq, head.name_no
        while len(self.entities) > CACHE_ENTITIES_MAX:
            self.entities.popitem(last=False)

    def forget(self) -> None:
        """Our turn failed, or it is not known how it ended: know nothing."""
        self.entities.clear()
        self.stale.clear()
        self.names.clear()
        self.days.clear()
        self._seq, self._name_no = -1, 0
