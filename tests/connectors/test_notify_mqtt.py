"""Notifications over MQTT, through a broker that others wrote."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from gmqtt import Client

from madang.connectors.notify_mqtt import MqttNotifier, message_of
from madang.hub.deliveries import Notification, NotifyFailed
from madang.ngsild.subscription import Endpoint

HEADERS = (("Content-Type", "application/json"), ("Link", "<x>"))
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (Debian: mosquitto)")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[int]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        tcp_port = int(s.getsockname()[1])
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {tcp_port} 127.0.0.1\nallow_anonymous true\n")
    assert MOSQUITTO is not None
    process = await asyncio.create_subprocess_exec(
        MOSQUITTO, "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", tcp_port)
            writer.close()
            break
        await asyncio.sleep(0.02)
    yield tcp_port
    process.terminate()
    await process.wait()


@needs_broker
@pytest.mark.parametrize("version", ["mqtt3.1.1", "mqtt5.0"])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_notification_arrives(broker: int, version: str, qos: int) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    reader = Client("reader")
    reader.on_message = lambda _client, _topic, payload, _qos, _properties: got.put_nowait(payload)
    await reader.connect("127.0.0.1", broker)
    reader.subscribe("city/rooms", qos=2)
    await asyncio.sleep(0.1)
    notifier = MqttNotifier(allow_private=True)
    endpoint = Endpoint(f"mqtt://127.0.0.1:{broker}/city/rooms", mqtt_version=version, qos=qos)
    async with asyncio.timeout(10):
        for number in (b"1", b"2"):
            await notifier.send(Notification(endpoint, HEADERS, b'{"n":' + number + b"}"))
        first, second = await got.get(), await got.get()
    assert msgspec.json.decode(first) == {"metadata": dict(HEADERS), "body": {"n": 1}}
    assert msgspec.json.decode(second)["body"] == {"n": 2}
    await notifier.close()
    await reader.disconnect()


async def test_nobody_there_and_private_addresses() -> None:
    gone = Notification(Endpoint("mqtt://127.0.0.1:9/t", qos=1), HEADERS, b"{}")
    async with asyncio.timeout(10):
        with pytest.raises(NotifyFailed, match="cannot be notified"):
            await MqttNotifier(allow_private=True).send(gone)
        with pytest.raises(NotifyFailed, match="allow-private-addresses"):
            await MqttNotifier().send(gone)


def test_the_message() -> None:
    assert message_of(Notification(Endpoint("mqtt://a/t"), (("A", "b"),), b'{"id":"x"}')) == (
        b'{"metadata":{"A":"b"},"body":{"id":"x"}}'
    )
