"""The change log's far end: changes older than the city keeps them go, in small steps, once nobody needs them any more.

State, history, versions of records and of reference data stay; the log is what consumers read that fall behind, what a subscription is
told again, and what says how a value was before. Without this it would hold every reading a second time, for ever.
"""

import msgspec

from madang.flow.runner import Paused
from madang.hub.feed import RESUME_MAX
from madang.hub.flow import PAUSED_KIND
from madang.hub.ports import Read, Store
from madang.model.time import DAY, MINUTE, Instant

KEEP_DAYS = 30
KEEP_DAYS_MIN = 9
"""A reading may be seven days late and its identity is remembered for eight: what it meets must still be told."""
LOOK_EVERY = MINUTE
STEP_CHANGES = 2_000
"""Changes that go in one transaction, which other writers wait for (some ten milliseconds). At most one step a tick: 10,000 a second,
twice what the fastest city writes."""


class LogTrim:
    """See the module's docstring. One caller at a time."""

    def __init__(self, store: Store, keep_days: int = KEEP_DAYS) -> None:
        """`keep_days`: 0 keeps everything. Raises ValueError when it is too few."""
        if 0 < keep_days < KEEP_DAYS_MIN:
            raise ValueError(f"the log is kept for {KEEP_DAYS_MIN} days at least (0: for ever), not {keep_days}")
        self._store = store
        self._keep = keep_days * DAY
        self._next_look: Instant = 0
        self._below = 0
        """Everything before this place may go; 0: to be looked up."""
        self.trimmed = 0
        """Changes that went since the start."""

    def step(self, now: Instant) -> int:
        """Let go of some of what is due at `now` (log time); gives how many changes went. Blocks. Raises StoreError."""
        if not self._keep or (not self._below and now < self._next_look):
            return 0
        if not self._below:
            self._next_look = now + LOOK_EVERY
            with self._store.read() as read:
                self._below = find_end(read, now - self._keep)
        below, gone = self._below, 0
        if below:
            gone = self._store.write(lambda tx: tx.trim_log(below, STEP_CHANGES)).result()
        if gone < STEP_CHANGES:
            self._below = 0
        self.trimmed += gone
        return gone


def find_end(read: Read, before: Instant) -> int:
    """Changes below this place were recorded before `before` and nobody needs them; 0 when there are none.

    Needed is what a consumer has not read, what a paused key has to read again, and as much of the end as a listener may resume from.
    """
    oldest = first_change(read)
    if oldest is None or oldest[1] >= before:
        return 0
    held = [seq + 1 for _, seq in read.list_cursors()]
    held += [msgspec.json.decode(body, type=Paused).from_seq for _, body in read.list_documents(PAUSED_KIND)]
    below = min([seq_at(read, before, oldest[0]), read.last_seq() - RESUME_MAX, *held])
    return below if below > oldest[0] else 0


def first_change(read: Read) -> tuple[int, Instant] | None:
    """(sequence, when it was recorded) of the oldest change that is kept; None when the log is empty."""
    row = next(iter(read.read_log(0, 1)), None)
    return None if row is None else (row.seq, row.recorded_at)


def seq_at(read: Read, at: Instant, low: int = 1) -> int:
    """The first place in the log, from `low` on, that was recorded at `at` or later; one after the last when there is none.
    Cost: a look at some twenty rows."""
    high = read.last_seq() + 1
    while low < high:
        middle = (low + high) // 2
        row = next(iter(read.read_log(middle - 1, 1)), None)
        if row is None or row.recorded_at >= at:
            high = middle
        else:
            low = row.seq + 1
    return low
