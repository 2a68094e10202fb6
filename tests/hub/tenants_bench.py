"""A Madang with tenants, its API and receivers in memory. On the store that the run is on (see tests/stores/any_store.py)."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from madang.api.app import Application, create_app
from madang.api.state import ApiSettings
from madang.app.clocks import SystemClock
from madang.hub.deliveries import Deliveries
from madang.hub.http import HttpAnswer
from madang.hub.hub import City, Hub
from madang.hub.ports import Store, TenantStores
from madang.hub.tenants import Tenants
from madang.model.caller import SYSTEM
from madang.stores.sqlite import SqliteStore
from madang.stores.sqlite.tenants import SqliteTenants
from tests.hub.notify_bench import Receivers
from tests.stores.any_store import VARIABLE, shared_cluster

CITY = City(name={"en": "Test"}, bounds=(0, 0, 1, 1))


class Elsewhere:
    """Other servers: keep what they are asked and answer an empty list."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[bytes] = []

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, timeout_s: float, bytes_max: int,
        redirects_max: int = 0,
    ) -> HttpAnswer:  # fmt: skip
        self.bodies.append(body)
        self.asked.append((method, url, {name.lower(): value for name, value in headers.items()}))
        return HttpAnswer(200, {"content-type": "application/json"}, b"[]")


class Tenanted:
    """Started by `opened`; `client` asks the API as nobody in particular with an administrator's role, or with a token."""

    def __init__(self, folder: Path, tenants_max: int = 64) -> None:
        self.folder = folder
        self.clock = SystemClock()
        self.stores: TenantStores
        if os.environ.get(VARIABLE) == "postgres":
            from madang.stores.postgres.tenants import PostgresTenants

            url = shared_cluster().database_of(folder)
            self.store: Store = shared_cluster().make(folder, self.clock)
            self.stores = PostgresTenants(url, self.clock, durable=False)
        else:
            self.store = SqliteStore(folder, self.clock, durable=False)
            self.stores = SqliteTenants(folder, self.clock, durable=False)
        self.elsewhere = Elsewhere()
        self.hub = Hub(self.store, self.clock, (), CITY, http=self.elsewhere)
        self.receivers = Receivers()
        self.tenants = Tenants(self.stores, self._make, tenants_max=tenants_max)
        self.app: Application = create_app(self.hub, ApiSettings(anonymous_role="admin"), tenants=self.tenants)
        self.client: TestClient

    def _make(self, name: str, store: Store) -> tuple[Hub, Deliveries]:
        hub = Hub(store, self.clock, (), CITY, http=self.elsewhere, tenant=name, above=self.hub)
        return hub, Deliveries(hub, {"http": self.receivers}, jitter=lambda: 0.0, wait_first_s=0.01)

    def ask(self, method: str, path: str, body: Any = None, tenant: str | None = None, token: str = "") -> Any:
        """The answer of one request."""
        headers = {} if tenant is None else {"NGSILD-Tenant": tenant}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        sent = {} if body is None else {"json": body}
        url = path if path.startswith("/ngsi-ld/") else f"/ngsi-ld/v1{path}"
        return self.client.request(method, url, headers=headers, **sent)  # type: ignore[arg-type]

    def token(self, role: str, tenant: str = "default", name: str = "") -> str:
        """A new token."""
        return self.hub.tokens.create(SYSTEM, name or f"{role}-{tenant}", role, tenant=tenant)

    def call(self, function: Any, *args: Any) -> Any:
        """In the API's event loop."""
        assert self.client.portal is not None
        return self.client.portal.call(function, *args)

    def run_tenants(self) -> None:
        """Open what is there in the background, as a server does."""
        assert self.client.portal is not None
        self.client.portal.start_task_soon(self.tenants.run)


@contextmanager
def opened(folder: Path, **more: Any) -> Iterator[Tenanted]:
    """A running one; everything is stopped and closed afterwards."""
    bench = Tenanted(folder, **more)
    try:
        with TestClient(bench.app, raise_server_exceptions=False) as bench.client:
            yield bench
            bench.call(bench.tenants.stop)
    finally:
        bench.hub.stop()
        bench.store.close()
