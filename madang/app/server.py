"""One server process: the store, the hub with its threads, the MQTT listener, HTTP, the control socket; started and stopped in order."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from msgspec.structs import replace

from madang.api.app import ApiSettings, create_app
from madang.app.clocks import SystemClock
from madang.app.control import Handler, serve_control
from madang.app.files import raise_open_files
from madang.app.services import load_services
from madang.app.settings import LOOPBACKS, Settings, check_anonymous
from madang.app.stores import is_shared, open_store, tenant_stores
from madang.connectors.http_client import HttpClient
from madang.connectors.mqtt_listener import MqttListener
from madang.connectors.notify_http import HttpNotifier
from madang.connectors.notify_mqtt import MqttNotifier
from madang.hub.deliveries import Deliveries, NotificationSender
from madang.hub.hub import City, Hub
from madang.hub.outbox import ConsoleSender, FileSender, OutboxWorker
from madang.hub.ports import Clock, Store
from madang.hub.tenants import RUNNING_MAX, Tenants
from madang.hub.tokens import TokenExists
from madang.model.caller import SYSTEM
from madang.model.tenant import DEFAULT_TENANT
from madang.stores.folder import lock_folder
from madang.wire.source import Source

log = structlog.get_logger("madang.server")

FIRST_TOKEN = "first-admin"
"""Name of the token that the first start of a data folder makes."""
FIRST_TOKEN_FILE = "first-token"
"""Where it stands, readable by the folder's owner alone, until somebody revokes it."""
CITY = City(name={"ko": "마당", "en": "Madang"}, bounds=(126.9, 37.4, 127.2, 37.7))
"""What a city is called that has not said so yet."""


class Server:
    """Owns everything of one running Madang. Use: `async with Server(...) as server: await server.wait()`."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        city: City = CITY,
        sources: Iterable[Source] = (),
        durable: bool = True,
        extra_detectors: Iterable[Any] = (),
    ) -> None:
        """Opens the data folder. Raises StoreLocked, StoreError, SettingsError."""
        check_anonymous(settings)
        raise_open_files()
        self.settings = settings
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        real_clock = SystemClock()
        # The embedded store locks its folder itself; here the folder holds the control socket and the outbox's files.
        self._folder_lock = lock_folder(settings.data) if is_shared(settings.store) else None
        try:
            self.store = open_store(settings.store, settings.data, clock or real_clock, durable=durable)
        except BaseException:
            self._unlock()
            raise
        try:
            self.hub = Hub(
                self.store,
                clock or real_clock,
                load_services(),
                city,
                real_clock=real_clock,
                http=HttpClient(allow_private=settings.allow_private_addresses),
                extra_detectors=extra_detectors,
                log_days=settings.log_days,
            )
            self.new_secrets = self._add_sources(sources)
            self.first_token = self._first_token()
        except BaseException:
            self.store.close()
            self._unlock()
            raise
        self.mqtt = MqttListener(self.hub.ingest, self.hub.clock)
        self.outbox = OutboxWorker(
            self.store,
            self.hub.clock,
            {"console": ConsoleSender(), "sms": FileSender(settings.data / "outbox", self.hub.words)},
            leads=self.hub.leads,
        )
        self.deliveries = Deliveries(self.hub, self._senders(), base_url=lambda: self.public_url)
        self.tenants = Tenants(
            tenant_stores(settings.store, settings.data, self.hub.clock, durable=durable), self._make_tenant
        )
        self._stopping = asyncio.Event()
        self._http: uvicorn.Server | None = None
        self._stop_streams: Callable[[], None] = lambda: None
        self._tasks: list[asyncio.Task[Any]] = []
        self._beside: list[asyncio.Task[None]] = []
        self.tcp_port = settings.port

    def _add_sources(self, sources: Iterable[Source]) -> dict[str, str]:
        """Those of the sources that the store does not know yet; gives the secrets made for them."""
        added = {source.id: self.hub.sources.add(source) for source in sources}
        return {id_: secret for id_, secret in added.items() if secret is not None}

    def _first_token(self) -> str:
        """The random first token of a new folder, kept in a file of the owner's; empty when it was revoked or removed."""
        path = self.settings.data / FIRST_TOKEN_FILE
        if not self.hub.tokens.list(SYSTEM):
            try:
                token = self.hub.tokens.create(SYSTEM, FIRST_TOKEN, "admin")
            except TokenExists:
                # Another process on the same new store was faster: it has the file. Here its token must count at once too.
                self.hub.tokens.reload()
                return ""
            write_private(path, token + "\n")
            return token
        return path.read_text().strip() if path.exists() else ""

    def _senders(self) -> dict[str, NotificationSender]:
        http = HttpNotifier(allow_private=self.settings.allow_private_addresses)
        mqtt = MqttNotifier(allow_private=self.settings.allow_private_addresses)
        return {"http": http, "https": http, "mqtt": mqtt, "mqtts": mqtt}

    def _make_tenant(self, name: str, store: Store) -> tuple[Hub, Deliveries]:
        """What a tenant works with. It has the sectors' types, so that what may be seen is the same, and neither their detectors nor
        sources: connectors and the console are the default tenant's."""
        hub = Hub(
            store,
            self.hub.clock,
            [replace(service, detectors=(), sources=()) for service in self.hub.services],
            self.hub.city,
            real_clock=self.hub.real_clock,
            http=HttpClient(allow_private=self.settings.allow_private_addresses),
            log_days=self.settings.log_days,
            tenant=name,
            above=self.hub,
        )
        return hub, Deliveries(hub, self._senders(), base_url=lambda: self.public_url, running_max=RUNNING_MAX)

    # --- life ---

    async def __aenter__(self) -> "Server":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the hub, then everything that listens. Raises OSError when an address is taken; what had started is stopped then."""
        try:
            self.hub.start()
            await self.mqtt.start(self.settings.mqtt_host, self.settings.mqtt_port)
            # Before HTTP: who hears /health answer may use the command line at once.
            self._control = await serve_control(self.settings.data, self._control_handlers())
            await self._start_http()
            self._tasks.append(asyncio.create_task(self.outbox.run(), name="outbox"))
            self._beside = [
                asyncio.create_task(self.hub.registration_subscriptions.run(), name="registrations"),
                asyncio.create_task(self.hub.run_shared(), name="shared"),
                asyncio.create_task(self.tenants.run(), name="tenants"),
            ]
            await self.deliveries.start()
        except BaseException:
            await self.stop()
            raise
        if self.settings.anonymous_role:
            log.warning(
                "ANYBODY on this machine may act without a log-in: this is for the conformance suite alone",
                role=self.settings.anonymous_role,
            )
        log.info("madang is up", url=self.url, mqtt_port=self.mqtt.tcp_port, data=str(self.settings.data))

    async def _start_http(self) -> None:
        role = self.settings.anonymous_role
        # With nobody logged in, a page elsewhere must not reach the server by a name that it made lead here (DNS rebinding).
        hosts = (*LOOPBACKS, "[::1]") if role else ()
        settings = ApiSettings(
            anonymous_role=role,
            hosts=hosts,
            public_url=self.settings.public_url,
            temporal_page=self.settings.temporal_page,
        )
        app = create_app(
            self.hub, settings, mqtt_stats=self.mqtt.stats, deliveries=self.deliveries, tenants=self.tenants
        )
        self._stop_streams = app.stop_streams
        config = uvicorn.Config(
            app,
            host=self.settings.host,
            port=self.settings.port,
            log_config=None,
            access_log=False,
            lifespan="off",
            http="httptools",
            server_header=False,
            timeout_graceful_shutdown=3,
        )
        self._http = _QuietServer(config)
        task = asyncio.create_task(self._http.serve(), name="http")
        self._tasks.append(task)
        while not self._http.started:
            if task.done():
                task.result()
                raise OSError(f"port {self.settings.port} of {self.settings.host} is taken: choose another with --port")
            await asyncio.sleep(0.01)
        self.tcp_port = int(self._http.servers[0].sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Where the console is."""
        return f"http://{self.settings.host}:{self.tcp_port}/"

    @property
    def public_url(self) -> str:
        """How others reach this server."""
        return self.settings.public_url or self.url

    def request_stop(self) -> None:
        """Ask the server to stop (from a signal)."""
        self._stopping.set()

    async def wait(self) -> None:
        """Until somebody asks to stop, or HTTP ends by itself."""
        waiting = [asyncio.create_task(self._stopping.wait()), *self._tasks]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Take no more, finish what is on its way, keep everything, let go of the folder. Safe to call twice."""
        self._stopping.set()
        await self.mqtt.stop()
        if self._http is not None:
            self._stop_streams()  # an open event stream would keep the server waiting
            self._http.should_exit = True
        if getattr(self, "_control", None) is not None:
            self._control.close()
        self.outbox.stop()
        for beside in self._beside:
            beside.cancel()
        await self.deliveries.stop()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await asyncio.wait_for(task, 8)
        await self.tenants.stop()
        await asyncio.to_thread(self.hub.stop)
        await asyncio.to_thread(self.store.close)
        self._unlock()
        log.info("madang has stopped")

    def _unlock(self) -> None:
        if self._folder_lock is not None:
            self._folder_lock.close()

    # --- the command line's door ---

    def _control_handlers(self) -> dict[str, Handler]:
        async def token(request: dict[str, Any]) -> dict[str, Any]:
            name, role, party = str(request["name"]), str(request["role"]), request.get("party")
            tenant = str(request.get("tenant", DEFAULT_TENANT))
            secret = await asyncio.to_thread(self.hub.tokens.create, SYSTEM, name, role, party, tenant=tenant)
            return {"token": secret}

        async def status(_: dict[str, Any]) -> dict[str, Any]:
            return {
                "url": self.url,
                "mqtt_port": self.mqtt.tcp_port,
                "store": self.store.stats(),
                "flow": self.hub.flow.figures(),
                "leads": self.hub.leads(),
                "failure": self.store.failure,
                "tenants": [tenant.name for tenant in self.tenants.list_open()],
                "closed_tenants": self.tenants.list_failures(),
                "paused": [f"{p.detector}/{p.key}: {p.error}" for p in self.hub.flow.runner.list_paused()],
            }

        async def source(request: dict[str, Any]) -> dict[str, Any]:
            return {"secret": await asyncio.to_thread(self.hub.sources.new_secret, str(request["id"]))}

        return {"token": token, "status": status, "source-secret": source}


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the process has one way to stop, and it is ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


@contextlib.asynccontextmanager
async def stop_on_signals(server: Server) -> AsyncIterator[None]:
    """SIGTERM and SIGINT ask the server to stop; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    seen = 0

    def on_signal() -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            raise SystemExit(130)
        server.request_stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
