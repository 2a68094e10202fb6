"""Telling listeners of every commit in the log's order: our own from memory, those of other processes from the log.

PostgreSQL's NOTIFY only wakes us; what happened is read from the log, after the last change that was told. So a lost or late
notification delays by `POLL_S` at most and loses nothing.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol
from uuid import UUID

from madang.model.change import Change

logger = logging.getLogger(__name__)

PIECE = 2_000
"""Changes read from the log at once."""
POLL_S = 1.0
"""How often the log's end is looked at when no notification comes."""

MESSAGE_MAX = 7_000
"""Bytes of a notification; PostgreSQL takes 8,000. A longer one is cut, and means any kind."""

ReadLog = Callable[[int, int], list[Change]]
"""(after seq, limit) -> changes in order."""


class Listener(Protocol):
    """What `madang.hub.ports.Store.subscribe` takes."""

    def __call__(self, changes: Sequence[Change], /) -> Any: ...


def message_of(process: UUID, kinds: Iterable[str]) -> str:
    """What a notification says: who committed, and which kinds of documents it wrote."""
    return "|".join([str(process), *sorted(kinds)])[:MESSAGE_MAX]


def is_ours(message: str, mine: UUID) -> bool:
    """Did this process send it?"""
    return message.partition("|")[0] == str(mine)


def kinds_of(message: str, mine: UUID) -> list[str]:
    """The kinds in another process's message; nothing for one of our own."""
    if is_ours(message, mine):
        return []
    kinds = message.split("|")[1:]
    return [""] if len(message) >= MESSAGE_MAX else kinds


class Documents:
    """Telling listeners which kinds of documents other processes have changed. Belongs to the follower's thread."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[str], None], ...] = ()

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """See `madang.hub.ports.Store.subscribe_documents`."""
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(x for x in self._listeners if x is not listener)

        return end

    def tell(self, kinds: Iterable[str]) -> None:
        """Call every listener with every kind."""
        for kind in kinds:
            for listener in self._listeners:
                listener(kind)


class Teller:
    """Knows what has been told. Its methods are called by the writer's thread and by the follower's."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        """Everything up to here was told (or nobody was listening); everything after it will be."""
        self._listeners: tuple[Callable[[Sequence[Change]], None], ...] = ()
        self._lock = threading.Lock()

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> Callable[[], None]:
        """See `madang.hub.ports.Store.subscribe`."""
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(x for x in self._listeners if x is not listener)

        return end

    def tell_own(self, base: int, changes: Sequence[Change], read_log: ReadLog) -> None:
        """Our commit put `changes` after `base` into the log. What others committed before it is told first."""
        with self._lock:
            self._catch_up(base, read_log)
            fresh = changes if self.seq == base else [c for c in changes if c.seq > self.seq]
            self._tell(fresh)

    def tell_up_to(self, end: int, read_log: ReadLog) -> None:
        """The log is known to reach `end`."""
        with self._lock:
            self._catch_up(end, read_log)

    def _catch_up(self, end: int, read_log: ReadLog) -> None:
        while self.seq < end:
            if not self._listeners:
                self.seq = end
                return
            changes = read_log(self.seq, PIECE)
            if not changes:
                return
            self._tell(changes)

    def _tell(self, changes: Sequence[Change]) -> None:
        if changes:
            self.seq = changes[-1].seq
            for listener in self._listeners:
                listener(changes)
