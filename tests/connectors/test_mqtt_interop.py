"""The listener with clients that others wrote: mosquitto's programs, paho, gmqtt."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator

import gmqtt
import paho.mqtt.client as paho
import pytest
from gmqtt.mqtt.constants import MQTTv50, MQTTv311

from madang.connectors.mqtt_listener import MqttListener
from tests.connectors.fake_ingest import SECRET, SOURCE, FakeIngest, FixedClock
from tests.connectors.mqtt_device import until

TOPIC = "manure/T-1/telemetry"
mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is not installed (Debian: mosquitto-clients)"
)


@pytest.fixture
def ingest() -> FakeIngest:
    return FakeIngest()


@pytest.fixture
async def listener(ingest: FakeIngest) -> AsyncIterator[MqttListener]:
    listener = MqttListener(ingest, FixedClock())
    await listener.start(port=0)
    yield listener
    await listener.stop(grace_s=0)


async def run(program: str, port: int, *arguments: str, stdin: bytes = b"", secret: str = SECRET) -> tuple[int, str]:
    """Exit status and everything printed."""
    process = await asyncio.create_subprocess_exec(
        program,
        *("-h", "127.0.0.1", "-p", str(port), "-u", SOURCE.id, "-P", secret, "-i", "T-1", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(stdin), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode()


# -- mosquitto ----------------------------------------------------------------------------------------------------------


@mosquitto
@pytest.mark.parametrize("qos", ["0", "1"])
async def test_mosquitto_pub(listener: MqttListener, ingest: FakeIngest, qos: str) -> None:
    lines = [b"line %d" % n for n in range(200)]
    status, out = await run(
        "mosquitto_pub", listener.tcp_port, "-t", TOPIC, "-q", qos, "-l", stdin=b"\n".join(lines) + b"\n"
    )
    assert (status, out) == (0, "")
    await until(lambda: ingest.payloads == lines)


@mosquitto
async def test_mosquitto_pub_waits_for_the_commit(listener: MqttListener, ingest: FakeIngest) -> None:
    ingest.automatic = False
    publishing = asyncio.create_task(run("mosquitto_pub", listener.tcp_port, "-t", TOPIC, "-q", "1", "-m", "{}"))
    await until(lambda: len(ingest.batches) == 1)
    await asyncio.sleep(0.2)
    assert not publishing.done()
    ingest.commit(0)
    assert await publishing == (0, "")


@mosquitto
async def test_mosquitto_pub_says_that_a_failed_commit_failed(listener: MqttListener, ingest: FakeIngest) -> None:
    ingest.automatic = False
    publishing = asyncio.create_task(run("mosquitto_pub", listener.tcp_port, "-t", TOPIC, "-q", "1", "-m", "{}"))
    await until(lambda: len(ingest.batches) == 1)
    ingest.fail(0, OSError("disk full"))
    status, out = await publishing
    assert status == 7, out  # MOSQ_ERR_CONN_LOST


@mosquitto
@pytest.mark.parametrize(
    ("arguments", "secret", "words"),
    [
        (("-t", TOPIC), "wrong", "bad user name or password"),
        (("-t", TOPIC, "-V", "mqttv5"), SECRET, "unsupported protocol version"),
        (("-t", TOPIC, "-V", "mqttv31"), SECRET, "unacceptable protocol version"),
    ],
)
async def test_mosquitto_pub_refused(
    listener: MqttListener, arguments: tuple[str, ...], secret: str, words: str
) -> None:
    status, out = await run("mosquitto_pub", listener.tcp_port, *arguments, "-q", "1", "-m", "x", secret=secret)
    assert status != 0
    assert words in out.lower()


@mosquitto
@pytest.mark.parametrize(
    ("arguments", "counted"),
    [
        (("-t", "manure/T-1/video", "-q", "1"), "wrong_topic"),
        (("-t", TOPIC, "-q", "2"), "qos_2"),
    ],
)
async def test_mosquitto_pub_cut_off(listener: MqttListener, arguments: tuple[str, ...], counted: str) -> None:
    # It tries again for as long as it lives; that is its way, so it is ended here.
    publishing = asyncio.create_task(run("mosquitto_pub", listener.tcp_port, *arguments, "-m", "x"))
    await until(lambda: listener.stats().get(f"refused_{counted}", 0) >= 1)
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    assert listener.stats()["received"] == 0


@mosquitto
async def test_mosquitto_sub_hears_its_commands(listener: MqttListener) -> None:
    arguments = ("-t", "madang/T-1/command", "-q", "1", "-C", "1", "-W", "8")
    hearing = asyncio.create_task(run("mosquitto_sub", listener.tcp_port, *arguments))
    await until(lambda: listener.send_command(SOURCE.id, "T-1", "지금 보고".encode()))
    assert await hearing == (0, "지금 보고\n")


@mosquitto
async def test_mosquitto_sub_of_others_is_refused(listener: MqttListener) -> None:
    status, out = await run("mosquitto_sub", listener.tcp_port, "-t", "manure/#", "-W", "5")
    assert status != 0 or "denied" in out.lower()
    assert listener.stats()["refused_subscription"] == 1


# -- paho ---------------------------------------------------------------------------------------------------------------


def paho_client(protocol: int = paho.MQTTv311) -> paho.Client:
    version = paho.CallbackAPIVersion.VERSION2
    clean = None if protocol == paho.MQTTv5 else False
    client = paho.Client(version, "T-1", clean_session=clean, protocol=protocol)
    client.username_pw_set(SOURCE.id, SECRET)
    client.reconnect_delay_set(1, 1)
    return client


@pytest.mark.parametrize("qos", [0, 1])
async def test_paho_publishes(listener: MqttListener, ingest: FakeIngest, qos: int) -> None:
    client = paho_client()
    await asyncio.to_thread(client.connect, "127.0.0.1", listener.tcp_port)
    client.loop_start()
    try:
        sent = [client.publish(TOPIC, b"%d" % n, qos) for n in range(300)]
        await asyncio.to_thread(sent[-1].wait_for_publish, 5)
        await until(lambda: len(ingest.payloads) == 300)
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
    assert ingest.payloads == [b"%d" % n for n in range(300)]


async def test_paho_sends_again_what_was_not_committed(listener: MqttListener, ingest: FakeIngest) -> None:
    ingest.automatic = False
    client = paho_client()
    await asyncio.to_thread(client.connect, "127.0.0.1", listener.tcp_port)
    client.loop_start()
    try:
        sent = client.publish(TOPIC, b"once", 1)
        await until(lambda: len(ingest.batches) == 1)
        ingest.fail(0, OSError("disk full"))
        ingest.automatic = True
        await asyncio.to_thread(sent.wait_for_publish, 8)
        assert sent.is_published()
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
    assert ingest.payloads == [b"once", b"once"]


async def test_paho_subscribes(listener: MqttListener) -> None:
    client = paho_client()
    granted: list[object] = []
    heard: list[bytes] = []
    answered = threading.Event()

    def on_subscribe(_client: object, _data: object, _id: int, codes: list[object], _properties: object) -> None:
        granted.extend(codes)
        answered.set()

    client.on_subscribe = on_subscribe  # type: ignore[assignment]
    client.on_message = lambda _client, _data, message: heard.append(message.payload)
    await asyncio.to_thread(client.connect, "127.0.0.1", listener.tcp_port)
    client.loop_start()
    try:
        client.subscribe([("madang/T-1/command", 1), ("manure/+/telemetry", 1)])
        await asyncio.to_thread(answered.wait, 5)
        listener.send_command(SOURCE.id, "T-1", b"go")
        await until(lambda: heard == [b"go"])
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
    assert [str(code) for code in granted] == ["Granted QoS 0", "Unspecified error"]


async def test_paho_of_version_5_is_refused_cleanly(listener: MqttListener) -> None:
    client = paho_client(paho.MQTTv5)
    await asyncio.to_thread(client.connect, "127.0.0.1", listener.tcp_port)
    client.loop_start()
    try:
        await until(lambda: listener.stats().get("refused_version", 0) >= 1)
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
    assert not client.is_connected()


# -- gmqtt --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [MQTTv311, MQTTv50])
async def test_gmqtt_publishes_and_falls_back_to_3_1_1(
    listener: MqttListener, ingest: FakeIngest, version: int
) -> None:
    client = gmqtt.Client("T-1")
    client.set_auth_credentials(SOURCE.id, SECRET)
    client.set_config({"reconnect_retries": 3, "reconnect_delay": 0})
    await asyncio.wait_for(client.connect("127.0.0.1", listener.tcp_port, version=version), 5)
    await until(lambda: client.is_connected and listener.stats()["clients"] == 1)
    for n in range(100):
        client.publish(TOPIC, b"%d" % n, qos=n % 2)
    await until(lambda: len(ingest.payloads) == 100)
    await client.disconnect()
    assert ingest.payloads == [b"%d" % n for n in range(100)]
    assert listener.stats().get("refused_version", 0) == (version == MQTTv50)


async def test_gmqtt_sends_again_what_was_not_committed(listener: MqttListener, ingest: FakeIngest) -> None:
    ingest.automatic = False
    client = gmqtt.Client("T-1", clean_session=False)
    client.set_auth_credentials(SOURCE.id, SECRET)
    client.set_config({"reconnect_retries": 3, "reconnect_delay": 0})
    await asyncio.wait_for(client.connect("127.0.0.1", listener.tcp_port, version=MQTTv311), 5)
    client.publish(TOPIC, b"once", qos=1)
    await until(lambda: len(ingest.batches) == 1)
    ingest.fail(0, OSError("disk full"))
    ingest.automatic = True
    await until(lambda: len(ingest.payloads) == 2, 15)
    await client.disconnect()
    assert ingest.payloads == [b"once", b"once"]
