"""A schema for each tenant in the same database, beside the default one's."""

import psycopg

from madang.hub.ports import Clock
from madang.model.tenant import DEFAULT_TENANT, is_tenant_name
from madang.stores.postgres.connect import SCHEMA_PREFIX, connect, schema_of, translate
from madang.stores.postgres.migrate import init
from madang.stores.postgres.store import PostgresStore

READERS_MAX = 4
"""Read connections of a tenant in one process; with the writer, the follower and the leases it has at most seven."""
_LIST = (
    "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)"
    " AND to_regclass(format('%%I.migration', nspname)) IS NOT NULL"
)


class PostgresTenants:
    """`madang.hub.ports.TenantStores` in a database."""

    is_shared = True

    def __init__(self, url: str, clock: Clock, *, durable: bool = True) -> None:
        self._url = url
        self._clock = clock
        self._durable = durable

    def list_names(self) -> list[str]:
        """See `TenantStores`."""
        return [name for name in list_tenants(self._url) if name != DEFAULT_TENANT]

    def open(self, name: str) -> PostgresStore:
        """See `TenantStores`. The database's user must be one who may create a schema; what is older than this Madang is not touched."""
        if name not in self.list_names():
            init(self._url, name)
        return PostgresStore(self._url, self._clock, tenant=name, durable=self._durable, readers_max=READERS_MAX)


def list_tenants(url: str) -> list[str]:
    """Every tenant of the database, the default one too. Raises StoreError."""
    with connect(url, schema_of(DEFAULT_TENANT), "tenants") as db:
        try:
            rows = db.execute(_LIST, (SCHEMA_PREFIX,)).fetchall()
        except psycopg.Error as error:
            raise translate(error) from error
    return sorted(name for (schema,) in rows if is_tenant_name(name := schema.removeprefix(SCHEMA_PREFIX)))
