"""The tenants of this Madang: a hub, a store and deliveries of its own for each (ETSI GS CIM 009 clauses 4.14, 5.5.10).

A tenant is there when its store is. It is opened when it is asked for first, by the first write when it is new, and all that are
there soon after a start, so that what is subscribed in them goes on being told. What a request names is found here; nothing below
knows that there are several.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from msgspec import Struct

from madang.hub.deliveries import Deliveries
from madang.hub.hub import Hub
from madang.hub.ports import Store, StoreClosed, StoreError, TenantStores
from madang.ngsild.errors import NONEXISTENT_TENANT, OPERATION_NOT_SUPPORTED, NgsiLdError

logger = logging.getLogger(__name__)

TENANTS_MAX = 64
"""Beside the default one: a province's local governments twice over (Gyeonggi-do has 31). Each costs four threads,
1.2 MiB, eight open files and 0.15 % of a core while nothing happens (docs/adr/0039), and a start opens all of them."""
RUNNING_MAX = 32
"""Notifications of a tenant under way at once: many tenants share one process and its open files."""
KNOWN_S = 0.5
"""How long the list of tenants is believed before a name that is not in it is refused: a caller who asks for what is not there
again and again costs a look at the store this often."""
LOOK_EVERY_S = 10.0
"""How soon a process takes up a tenant that another one on the database has made."""
TICK_S = 1.0
"""Between looks at what is due in a tenant: entities that expire and counters; no record waits for a deadline there."""
RETRY_S = 5.0
"""A tenant that could not be opened is not tried again sooner."""

Make = Callable[[str, Store], tuple[Hub, Deliveries]]
"""The hub and the deliveries of a tenant on its store; called in a thread."""


class Tenant(Struct, frozen=True, eq=False):
    """One tenant at work."""

    name: str
    store: Store
    hub: Hub
    deliveries: Deliveries
    tasks: tuple[asyncio.Task[None], ...]


class Tenants:
    """See the module's docstring. Used from one event loop."""

    def __init__(self, stores: TenantStores, make: Make, *, tenants_max: int = TENANTS_MAX) -> None:
        self._stores = stores
        self._make = make
        self._max = tenants_max
        self._open: dict[str, Tenant] = {}
        self._opening: dict[str, asyncio.Task[Tenant]] = {}
        self._failed: dict[str, tuple[float, StoreError]] = {}
        self._known: frozenset[str] = frozenset()
        self._known_at = -KNOWN_S
        self._stopping = asyncio.Event()

    # ── life ────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Open what is there, and on a shared database what others make later, until cancelled."""
        while not self._stopping.is_set():
            try:
                names = await asyncio.to_thread(self._stores.list_names)
                self._failed = {name: failed for name, failed in self._failed.items() if name in names}
                for name in names:
                    if name not in self._open:
                        with contextlib.suppress(StoreError):  # Logged; the others go on.
                            await self._get(name)
            except StoreError as error:
                logger.error("tenants wait for the store: %s", error)
            if not self._stores.is_shared and not self._failed:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_EVERY_S)

    async def stop(self) -> None:
        """Open none any more, stop all at once, each as the server stops the default one. May be called twice."""
        self._stopping.set()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        tenants, self._open = list(self._open.values()), {}
        for outcome in await asyncio.gather(*(_stop(tenant) for tenant in tenants), return_exceptions=True):
            if isinstance(outcome, BaseException):
                logger.error("a tenant did not stop as it should: %s", outcome)

    # ── finding one ─────────────────────────────────────────────────────────

    async def get(self, name: str, *, make: bool = False, refuse: Exception | None = None) -> Tenant:
        """The tenant of this checked name, opened if need be. `make`: it is made when it is not there, unless `refuse` says
        why this caller makes none.

        Raises NgsiLdError: NonexistentTenant, OperationNotSupported (as many as there may be); StoreError when it cannot be opened.
        """
        tenant = self._open.get(name)
        if tenant is not None:
            return tenant
        if not await self._is_known(name):
            if not make:
                raise NgsiLdError(
                    f"there is no tenant {name}: the first write into it makes it", "", NONEXISTENT_TENANT
                )
            if refuse is not None:
                raise refuse
            if len(self._known | self._opening.keys()) >= self._max:
                raise NgsiLdError(
                    f"{self._max} tenants are kept here, and {name} is none of them: use another Madang, or delete one",
                    "",
                    OPERATION_NOT_SUPPORTED,
                )
            logger.warning("tenant %s is made", name)
        tenant = await self._get(name)
        self._known |= {name}
        return tenant

    async def has(self, name: str) -> bool:
        """Is there such a tenant? Raises StoreError."""
        return name in self._open or await self._is_known(name)

    async def _is_known(self, name: str) -> bool:
        now = asyncio.get_running_loop().time()
        if name not in self._known and now - self._known_at >= KNOWN_S:
            self._known_at = now
            self._known = frozenset(await asyncio.to_thread(self._stores.list_names))
        return name in self._known

    async def _get(self, name: str) -> Tenant:
        """Open it, once for all who ask meanwhile. Raises StoreError."""
        failed = self._failed.get(name)
        if failed is not None and asyncio.get_running_loop().time() - failed[0] < RETRY_S:
            raise failed[1]
        task = self._opening.get(name)
        if task is None:
            if self._stopping.is_set():
                raise StoreClosed("the server is stopping")
            task = self._opening[name] = asyncio.create_task(self._start(name), name=f"tenant-{name}")
            task.add_done_callback(lambda _: self._opening.pop(name, None))
        return await asyncio.shield(task)

    async def _start(self, name: str) -> Tenant:
        known = self._open.get(name)
        if known is not None:
            return known
        try:
            store, hub, deliveries = await asyncio.to_thread(self._assemble, name)
        except StoreError as error:
            logger.error("tenant %s cannot be opened: %s", name, error)
            self._failed[name] = (asyncio.get_running_loop().time(), error)
            raise
        self._failed.pop(name, None)
        hub.start(detect=False, tick_s=TICK_S)
        await deliveries.start()
        tasks = (
            asyncio.create_task(hub.registration_subscriptions.run(), name=f"registrations-{name}"),
            asyncio.create_task(hub.run_shared(), name=f"shared-{name}"),
        )
        tenant = self._open[name] = Tenant(name, store, hub, deliveries, tasks)
        return tenant

    def _assemble(self, name: str) -> tuple[Store, Hub, Deliveries]:
        store = self._stores.open(name)
        try:
            hub, deliveries = self._make(name, store)
        except BaseException:
            store.close()
            raise
        return store, hub, deliveries

    # ── for people ──────────────────────────────────────────────────────────

    def list_open(self) -> list[Tenant]:
        """Those at work, by name."""
        return [self._open[name] for name in sorted(self._open)]

    def list_failures(self) -> list[str]:
        """Why tenants could not be opened, ``name: reason``."""
        return [f"{name}: {error}" for name, (_, error) in sorted(self._failed.items())]

    def figures(self) -> dict[str, float]:
        """For metrics: of all tenants but the default one."""
        told: dict[str, float] = {"open": float(len(self._open)), "failed_to_open": float(len(self._failed))}
        for tenant in self.list_open():
            for name, value in tenant.deliveries.figures().items():
                told[f"notify_{name}"] = told.get(f"notify_{name}", 0.0) + value
            told["failing_stores"] = told.get("failing_stores", 0.0) + bool(tenant.store.failure)
        return told


async def _stop(tenant: Tenant) -> None:
    for task in tenant.tasks:
        task.cancel()
    await tenant.deliveries.stop()
    await asyncio.to_thread(tenant.hub.stop)
    await asyncio.to_thread(tenant.store.close)
