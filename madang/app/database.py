"""`madang db init` and `madang db upgrade`."""

from madang.app.stores import is_shared, missing_driver
from madang.hub.ports import StoreError
from madang.model.tenant import DEFAULT_TENANT


def run_init(store: str, tenant: str) -> list[str]:
    """Make the tenant's schema; gives the steps that ran. Raises StoreError."""
    _check(store)
    from madang.stores.postgres.migrate import init

    return [f"{step.number:04d} {step.name}" for step in init(store, tenant)]


def run_upgrade(store: str, tenant: str = "") -> list[str]:
    """Bring the tenant's schema up, or without a name every tenant's; gives the steps that ran. Raises StoreError."""
    _check(store)
    from madang.stores.postgres.migrate import upgrade
    from madang.stores.postgres.tenants import list_tenants

    ran = []
    for name in [tenant] if tenant else list_tenants(store) or [DEFAULT_TENANT]:
        of = "" if name == DEFAULT_TENANT else f" of {name}"
        ran += [f"{step.number:04d} {step.name}{of}" for step in upgrade(store, name)]
    return ran


def _check(store: str) -> None:
    if not is_shared(store):
        raise StoreError(
            f"--store {store!r}: `madang db` is for postgresql://…; the embedded store makes its tables itself"
        )
    try:
        import psycopg  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise StoreError(missing_driver(error)) from error
