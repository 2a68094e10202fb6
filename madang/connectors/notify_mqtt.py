"""Notifications over MQTT (ETSI GS CIM 009 clause 7.2): a message ``{"metadata": {headers}, "body": notification}`` to the topic in the
address. With QoS 1 and 2 a notification has arrived when the broker says so; with QoS 0 nobody can tell, which is the subscriber's choice.

One connection for each address and protocol version, kept open. The address is looked up and refused unless it is public or the operator
allowed private ones.
"""

import asyncio
import contextlib
import secrets
import ssl
from collections import OrderedDict
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec
from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.storage import PersistentStorage

from madang.connectors.http_client import find_address
from madang.hub.deliveries import Notification, NotifyFailed
from madang.hub.http import HttpFailed

PORTS = {"mqtt": 1883, "mqtts": 8883}
CLIENTS_MAX = 256
"""Open connections; the one that was not used for longest is closed."""
KEEPALIVE_S = 60
VERSIONS = {"mqtt3.1.1": MQTTv311, "mqtt5.0": MQTTv50}


class _Link:
    def __init__(self, client: Client, storage: PersistentStorage) -> None:
        self.client = client
        self.storage = storage
        self.lock = asyncio.Lock()


class MqttNotifier:
    """`madang.hub.deliveries.NotificationSender` for mqtt and mqtts."""

    def __init__(self, *, allow_private: bool = False, tls: ssl.SSLContext | None = None) -> None:
        """`allow_private`: also notify addresses of this machine and of private networks."""
        self.allow_private = allow_private
        self._tls = tls
        self._links: OrderedDict[tuple[str, str], _Link] = OrderedDict()
        self._opening = asyncio.Lock()

    async def send(self, notification: Notification) -> None:
        """See `NotificationSender`."""
        endpoint = notification.endpoint
        parts = urlsplit(endpoint.uri)
        host = parts.hostname or ""
        key = endpoint.uri, endpoint.mqtt_version
        payload = message_of(notification)
        try:
            link = await self._link(key, parts, endpoint.mqtt_version)
            async with link.lock:
                link.client.publish(unquote(parts.path.lstrip("/")), payload, qos=endpoint.qos)
                await link.storage.wait_empty()
            if not link.client.is_connected:
                raise NotifyFailed(f"{host} closed the connection")
        except HttpFailed as error:
            raise NotifyFailed(str(error)) from None
        except BaseException as error:
            await self._drop(key)
            if isinstance(error, NotifyFailed) or not isinstance(error, Exception):
                raise
            raise NotifyFailed(f"{host} cannot be notified: {error}") from None

    async def _link(self, key: tuple[str, str], parts: SplitResult, version: str) -> _Link:
        async with self._opening:
            link = self._links.get(key)
            if link is not None and link.client.is_connected:
                self._links.move_to_end(key)
                return link
        if link is not None:
            await self._drop(key)
        link = await self._connect(parts, version)
        self._links[key] = link
        while len(self._links) > CLIENTS_MAX:
            await self._drop(next(iter(self._links)))
        return link

    async def _connect(self, parts: SplitResult, version: str) -> _Link:
        host, tcp_port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        address = await find_address(host, tcp_port, allow_private=self.allow_private)
        storage = PersistentStorage()
        client = Client(f"madang-{secrets.token_hex(8)}", persistent_storage=storage)
        client.set_config({"reconnect_retries": 0, "reconnect_delay": 0})
        if parts.username is not None:
            password = None if parts.password is None else unquote(parts.password)
            client.set_auth_credentials(unquote(parts.username), password)
        tls: ssl.SSLContext | bool = False
        if parts.scheme == "mqtts":
            # By name, so that the certificate is checked against it; the name was looked up a moment ago.
            address, tls = host, self._tls or ssl.create_default_context()
        try:
            await client.connect(address, tcp_port, ssl=tls, keepalive=KEEPALIVE_S, version=VERSIONS[version])
        except BaseException:
            await _close(client)
            raise
        return _Link(client, storage)

    async def _drop(self, key: tuple[str, str]) -> None:
        link = self._links.pop(key, None)
        if link is not None:
            await _close(link.client)

    async def close(self) -> None:
        """Close what is open."""
        for key in tuple(self._links):
            await self._drop(key)


def message_of(notification: Notification) -> bytes:
    """The MQTT message of a notification (clause 7.2)."""
    body = msgspec.Raw(notification.body)
    return msgspec.json.encode({"metadata": dict(notification.headers), "body": body})


async def _close(client: Client) -> None:
    client.stop_reconnect()
    with contextlib.suppress(Exception):
        await asyncio.wait_for(client.disconnect(), 1.0)
