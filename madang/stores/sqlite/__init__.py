"""The embedded store: SQLite through apsw. See README.md for its invariants."""

from madang.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
