"""A data folder for each tenant, under ``tenants`` in the default one's: the same files, so a tenant is copied, restored and taken
elsewhere as any other data folder is."""

from pathlib import Path

from madang.hub.ports import Clock, StoreError
from madang.model.tenant import is_tenant_name
from madang.stores.sqlite.store import FILE, SqliteStore

FOLDER = "tenants"
READERS_MAX = 2
"""Idle read connections of a tenant: each is two open files, and a process has 1,024 unless told otherwise."""
CACHE_KIB = 8_192
"""Pages that a connection of a tenant keeps in memory at most: an eighth of the default's, because there are many."""
_CAPITAL = "+"
"""Stands before what is a capital in the name: some file systems do not tell the cases apart."""


class SqliteTenants:
    """`madang.hub.ports.TenantStores` in a data folder."""

    is_shared = False

    def __init__(self, folder: Path, clock: Clock, *, durable: bool = True) -> None:
        """`folder`: the default tenant's data folder."""
        self._folder = folder / FOLDER
        self._clock = clock
        self._durable = durable

    def list_names(self) -> list[str]:
        """See `TenantStores`. Folders without a database are none."""
        try:
            found = [name_of(path.name) for path in self._folder.iterdir() if (path / FILE).exists()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self._folder} cannot be read: {error}") from error
        return sorted(name for name in found if name is not None)

    def open(self, name: str) -> SqliteStore:
        """See `TenantStores`."""
        folder = self._folder / folder_name(name)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made: {error}") from error
        return SqliteStore(folder, self._clock, durable=self._durable, readers_max=READERS_MAX, cache_kib=CACHE_KIB)


def folder_name(tenant: str) -> str:
    """The folder of a tenant. Two names never share one, whatever the file system makes of capitals.

    >>> folder_name("Jeju-si")
    '+jeju-si'
    """
    if not is_tenant_name(tenant):
        raise ValueError(f"{tenant!r} is not checked")
    return "".join(f"{_CAPITAL}{c.lower()}" if c.isupper() else c for c in tenant)


def name_of(folder: str) -> str | None:
    """The tenant of a folder; None when it is none's.

    >>> name_of("+jeju-si"), name_of("Jeju-si"), name_of("lost+found")
    ('Jeju-si', None, 'lostFound')
    """
    parts = folder.split(_CAPITAL)
    name = parts[0] + "".join(part[:1].upper() + part[1:] for part in parts[1:])
    return name if is_tenant_name(name) and folder_name(name) == folder else None
