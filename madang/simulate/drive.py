"""The sample's terminals at work: each truck has its own MQTT 3.1.1 connection and publishes with QoS 1, paced by the city's clock."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import gmqtt
import structlog
from gmqtt.mqtt.constants import MQTTv311

from madang.model.time import Instant
from madang.simulate.city import Telemetry

log = structlog.get_logger("madang.drive")

CONNECT_EVERY_S = 0.02
"""Between two trucks' first connections: a fleet does not switch on in one instant."""


class PacedClock(Protocol):
    """A clock that knows how long to wait in real seconds."""

    def now(self) -> Instant: ...

    def real_seconds_until(self, at: Instant) -> float: ...


class Terminals:
    """Connections by device; made when a device first sends. gmqtt keeps what was not acknowledged and sends it again after it has
    reconnected."""

    def __init__(self, host: str, port: int, source_id: str, secret: str) -> None:
        self._host, self._port = host, port
        self._source_id, self._secret = source_id, secret
        self._clients: dict[str, Any] = {}
        self.sent = 0

    async def send(self, event: Telemetry) -> None:
        """Publish one message, connecting first where needed. A device that cannot connect now tries again with its next message."""
        client = self._clients.get(event.device)
        if client is None:
            client = gmqtt.Client(event.device, clean_session=True)
            client.set_auth_credentials(self._source_id, self._secret)
            client.set_config({"reconnect_retries": -1, "reconnect_delay": 3})
            try:
                await client.connect(self._host, self._port, version=MQTTv311, keepalive=60)
            except OSError as error:
                log.warning("terminal cannot connect", device=event.device, why=str(error))
                return
            self._clients[event.device] = client
            await asyncio.sleep(CONNECT_EVERY_S)
        client.publish(event.topic, event.payload, qos=1)
        self.sent += 1

    async def close(self) -> None:
        """Disconnect all."""
        for client in self._clients.values():
            await client.disconnect()
        self._clients.clear()


async def pace(events: AsyncIterator[Any], clock: PacedClock, act: Callable[[Any], Any]) -> None:
    """Hand each event to `act` when its time has come."""
    async for event in events:
        wait = clock.real_seconds_until(event.at)
        if wait > 0:
            await asyncio.sleep(wait)
        await act(event)
