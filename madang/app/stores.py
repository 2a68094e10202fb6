"""Which store a setting names: ``""`` (the data folder's own), ``sqlite:///FOLDER`` or ``postgresql://…``."""

from pathlib import Path

from madang.hub.ports import Clock, Store, StoreError, TenantStores
from madang.stores.sqlite import SqliteStore
from madang.stores.sqlite.tenants import SqliteTenants

SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")


def is_shared(store: str) -> bool:
    """Can several processes open it at once?"""
    return store.startswith(POSTGRES)


def folder_of(store: str, data: Path) -> Path:
    """The folder of an embedded store."""
    return Path(store.removeprefix(SQLITE)) if store else data


def open_store(store: str, data: Path, clock: Clock, *, durable: bool = True) -> Store:
    """Open it. `data` is the data folder. Raises StoreError with what to do, StoreLocked."""
    if is_shared(store):
        try:
            from madang.stores.postgres import PostgresStore
        except ImportError as error:
            raise StoreError(missing_driver(error)) from error
        return PostgresStore(store, clock, durable=durable)
    if store and not store.startswith(SQLITE):
        raise StoreError(f"--store {store!r}: known are {SQLITE}FOLDER and {POSTGRES[0]}USER@HOST/DATABASE")
    return SqliteStore(folder_of(store, data), clock, durable=durable)


def tenant_stores(store: str, data: Path, clock: Clock, *, durable: bool = True) -> TenantStores:
    """Where the tenants are kept whose default one `open_store` opens."""
    if is_shared(store):
        from madang.stores.postgres.tenants import PostgresTenants

        return PostgresTenants(store, clock, durable=durable)
    return SqliteTenants(folder_of(store, data), clock, durable=durable)


def missing_driver(error: ImportError) -> str:
    """What to do when psycopg is not there."""
    return f"PostgreSQL needs the extra `scale`: pip install 'madang[scale]' ({error})"
