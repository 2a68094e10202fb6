"""The store for many processes: PostgreSQL with PostGIS. See README.md."""

from madang.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
