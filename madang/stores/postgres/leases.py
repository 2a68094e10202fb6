"""Which process does what only one may do at a time (detectors, timers, outbox): rows with an end, by the database's clock.

Rows and not advisory locks: a lease survives a broken connection, and any PostgreSQL has rows. A lease is about not doing work twice; that
nothing *happens* twice is held by the consumers' cursors.
"""

import threading
import time
from collections.abc import Callable
from uuid import UUID

import psycopg

from madang.hub.ports import StoreError
from madang.stores.postgres.connect import Connection

LEASE_S = 6
"""When a holder is killed, another takes over after this long at most."""
RENEW_S = 1.5
"""How often a holder renews, and how often another asks whether it is free."""


class Leases:
    """Leases of one process, on a connection of its own that opens when the first one is asked for."""

    def __init__(self, open_connection: Callable[[], Connection], holder: UUID) -> None:
        self._open = open_connection
        self._holder = holder
        self._db: Connection | None = None
        self._lock = threading.Lock()
        self._asked: dict[str, float] = {}
        self._until: dict[str, float] = {}
        """Until when we hold it for sure, by our own monotonic clock."""
        self._closed = False

    def hold(self, name: str) -> bool:
        """Do we hold it? Takes it when nobody does. Cost: nothing for most calls, one small commit every `RENEW_S`.

        False also while the database cannot be reached."""
        with self._lock:
            now = time.monotonic()
            if not self._closed and now - self._asked.get(name, -RENEW_S) >= RENEW_S:
                self._asked[name] = now
                try:
                    held = self._ask(name)
                except (psycopg.Error, StoreError):
                    if self._db is not None:
                        self._db.close()
                    self._db = None
                else:
                    # Counted from before we asked: the row ends later than we think, never earlier.
                    self._until[name] = now + LEASE_S if held else 0.0
            return time.monotonic() < self._until.get(name, 0.0)

    def _ask(self, name: str) -> bool:
        if self._db is None:
            self._db = self._open()
            # A lease that a crash of the server forgets is taken again; it need not wait for the disk.
            self._db.execute("SET synchronous_commit = off")
        row = self._db.execute(
            "INSERT INTO lease AS l VALUES (%s, %s, now() + make_interval(secs => %s)) ON CONFLICT (name) DO UPDATE"
            " SET holder = excluded.holder, until = excluded.until WHERE l.until < now() OR l.holder = excluded.holder"
            " RETURNING holder",
            (name, self._holder, LEASE_S),
        ).fetchone()
        return row is not None

    def close(self) -> None:
        """Let go of all, so that others need not wait."""
        with self._lock:
            self._closed = True
            if self._db is not None:
                try:
                    self._db.execute("DELETE FROM lease WHERE holder = %s", (self._holder,))
                except psycopg.Error:
                    pass  # they end by themselves
                finally:
                    self._db.close()
                    self._db = None
            self._until.clear()
