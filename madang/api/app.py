"""The ASGI app: Starlette's shell around our dispatcher.

Handlers are reached through one table and one dispatcher of our own, not through Starlette's routing, so that log-in, permissions,
unknown parameters and the error shape are the same for all of them (docs/adr/0012).
"""

from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.types import Receive, Send

from madang.api.dispatch import Dispatcher
from madang.api.routes import CONSOLE, ROUTES
from madang.api.state import ApiSettings, ApiState
from madang.hub.deliveries import Deliveries
from madang.hub.feed import Feed
from madang.hub.hub import Hub
from madang.hub.queries.layers import MOVING
from madang.hub.tenants import Tenants

Stats = Callable[[], Mapping[str, float]]


class Application(Starlette):
    """An ASGI app that also works where the server does not run lifespans: the feed starts with the first request."""

    def __init__(self, state: ApiState) -> None:
        super().__init__(lifespan=_lifespan)
        self.api = state
        self.api_dispatch = Dispatcher(state, ROUTES, CONSOLE)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if not self.api.feed.is_running:
                await self.api.feed.start()
            await self.api_dispatch(scope, receive, send)  # type: ignore[arg-type]
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1003, "reason": "Madang has no WebSockets; use /api/stream"})
        else:
            await super().__call__(scope, receive, send)

    def stop_streams(self) -> None:
        """End all open event streams (on the event loop), so that a stopping server need not wait for them."""
        self.api.stopping.set()


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    assert isinstance(app, Application)
    await app.api.feed.start()
    try:
        yield
    finally:
        app.stop_streams()
        await app.api.feed.stop()


def create_app(
    hub: Hub,
    settings: ApiSettings | None = None,
    *,
    mqtt_stats: Stats | None = None,
    deliveries: Deliveries | None = None,
    tenants: Tenants | None = None,
) -> Application:
    """The API of a hub. `mqtt_stats`: figures of the MQTT listener, for /metrics. `deliveries`: what sends notifications. `tenants`: the
    others beside the hub's own. It ends with the hub (`hub.on_stop`)."""
    chosen = settings or ApiSettings()
    moving = {layer.entity_type for layer in hub.registry.layers.values() if layer.style == MOVING}
    feed = Feed(hub.store, hub.clock, moving, hub.forget_label)
    executor = ThreadPoolExecutor(chosen.read_threads, thread_name_prefix="madang-api")
    state = ApiState(hub, feed, chosen, executor, deliveries, tenants)
    state.figures.add_hub(hub, feed)
    if mqtt_stats is not None:
        state.figures.add_stats("mqtt", mqtt_stats)
    if deliveries is not None:
        state.figures.add_stats("notify", deliveries.figures)
    if tenants is not None:
        state.figures.add_stats("tenants", tenants.figures)
    hub.on_stop(feed.close)
    hub.on_stop(lambda: executor.shutdown(wait=False, cancel_futures=True))
    return Application(state)


__all__ = ["ApiSettings", "Application", "create_app"]
