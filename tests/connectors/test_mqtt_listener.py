"""The listener against an ingest in memory, packet by packet. What is committed when is the test's to decide."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from madang.connectors.mqtt_limits import Limits
from madang.connectors.mqtt_listener import MqttListener
from madang.hub.messages import Message
from madang.wire.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    encode,
)
from tests.connectors.fake_ingest import SECRET, SOURCE, FakeIngest, FixedClock
from tests.connectors.mqtt_device import Device, until

Start = Callable[..., Awaitable[MqttListener]]
TOPIC = "manure/T-1/telemetry"


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    listeners: list[MqttListener] = []

    async def begin(ingest: FakeIngest, **limits: float) -> MqttListener:
        listener = MqttListener(ingest, FixedClock(), Limits(**limits))  # type: ignore[arg-type]
        await listener.start(port=0)
        listeners.append(listener)
        return listener

    yield begin
    for listener in listeners:
        await listener.stop(grace_s=0)


async def test_01_a_message_reaches_ingest_and_is_acknowledged(start: Start) -> None:
    ingest = FakeIngest()
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        await device.send(Publish(TOPIC, b'{"w": 1}', 1, 77))
        assert await device.packet() == Puback(77)
    [(source, messages, _)] = ingest.batches
    assert (source, messages) == ("manure-terminals", [Message(b'{"w": 1}', TOPIC, 1_795_400_000_000_000)])


async def test_02_no_acknowledgement_before_the_commit(start: Start) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        await device.publish(1)
        assert await device.silent()
        ingest.commit(0)
        assert await device.packet() == Puback(1)


async def test_03_acknowledgements_keep_the_order_of_messages(start: Start) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        for n in (5, 9, 2):
            await device.publish(n)
            await until(lambda n=n: ingest.payloads[-1:] == [b"%d" % n])  # type: ignore[misc]
        ingest.commit(2)
        ingest.commit(1)
        assert await device.silent()
        ingest.commit(0)
        assert [await device.packet() for _ in range(3)] == [Puback(5), Puback(9), Puback(2)]


async def test_04_a_failed_commit_closes_without_acknowledgement(start: Start) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest)
    async with (
        await Device.connected(listener.tcp_port) as device,
        await Device.connected(listener.tcp_port, "T-2") as other,
    ):
        await device.publish(1)
        await until(lambda: len(ingest.batches) == 1)
        ingest.fail(0, OSError("no space left"))
        assert await device.packet() is None
        assert await other.silent()
    assert listener.stats()["failed_batches"] == 1
    assert listener.stats()["in_flight"] == 0


async def test_04b_a_full_disk_does_not_fill_the_log_too(start: Start) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest)
    with capture_logs() as logs:
        for n in range(5):
            async with await Device.connected(listener.tcp_port) as device:
                await device.publish(n + 1)
                await until(lambda n=n: len(ingest.batches) == n + 1)  # type: ignore[misc]
                ingest.fail(n, OSError("no space left"))
                assert await device.packet() is None
    assert listener.stats()["failed_batches"] == 5
    told = [entry for entry in logs if entry["event"] == "mqtt batch not committed"]
    assert [(entry["error"], entry["left_out"]) for entry in told] == [("no space left", 0)]


async def test_05_an_ingest_that_raises_is_a_failed_commit(start: Start) -> None:
    ingest = FakeIngest()
    ingest.submit = None  # type: ignore[method-assign,assignment]
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        await device.publish(1)
        assert await device.packet() is None


async def test_06_resent_after_a_broken_connection(start: Start) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        await device.publish(8)
        await until(lambda: len(ingest.batches) == 1)
        device.writer.transport.abort()
    ingest.commit(0)
    await until(lambda: not listener.stats()["connections"])
    ingest.automatic = True
    async with await Device.connected(listener.tcp_port) as device:
        await device.send(Publish(TOPIC, b"8", 1, 8, dup=True))
        assert await device.packet() == Puback(8)
    assert ingest.payloads == [b"8", b"8"]  # the hub knows them as one by its identity


async def test_07_many_messages_of_many_devices_share_batches(start: Start) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest, batches=1)
    async with (
        await Device.connected(listener.tcp_port) as one,
        await Device.connected(listener.tcp_port, "T-2") as two,
    ):
        await one.publish(1)
        await until(lambda: len(ingest.batches) == 1)
        await one.publish(2, 3)
        await two.publish(4, device="T-2")
        await until(lambda: listener.stats()["received"] == 4)
        assert len(ingest.batches) == 1
        ingest.commit(0)
        await until(lambda: len(ingest.batches) == 2)
        assert [m.payload for m in ingest.batches[1][1]] == [b"2", b"3", b"4"]
        ingest.commit(1)
        assert [await one.packet() for _ in range(3)] == [Puback(1), Puback(2), Puback(3)]
        assert await two.packet() == Puback(4)


async def test_08_qos_0_is_taken_and_not_acknowledged(start: Start) -> None:
    ingest = FakeIngest()
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        await device.send(Publish(TOPIC, b"a"), Publish(TOPIC, b"b", 0, 0, retain=True), Pingreq())
        assert await device.packet() == Pingresp()
        await until(lambda: ingest.payloads == [b"a", b"b"])


async def test_09_byte_by_byte(start: Start) -> None:
    ingest = FakeIngest()
    listener = await start(ingest)
    connect = encode(Connect("T-1", 60, True, SOURCE.id, SECRET.encode()))
    async with await Device.open(listener.tcp_port) as device:
        for byte in connect + encode(Publish(TOPIC, b"{}", 1, 3)) + encode(Pingreq()):
            await device.send_bytes(bytes((byte,)))
            await asyncio.sleep(0)
        assert {await device.packet() for _ in range(3)} == {Connack(0), Puback(3), Pingresp()}
    assert ingest.payloads == [b"{}"]


async def test_10_cut_off_inside_a_packet(start: Start) -> None:
    ingest = FakeIngest()
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        await device.publish(1)
        await device.send_bytes(encode(Publish(TOPIC, b"x" * 100, 1, 2))[:50])
        assert await device.packet() == Puback(1)
        device.writer.transport.abort()
    await until(lambda: not listener.stats()["connections"])
    assert ingest.payloads == [b"1"]


@pytest.mark.parametrize(
    ("connect", "code", "counted"),
    [
        (Connect("T-1", 60, True), 5, "anonymous"),
        (Connect("T-1", 60, True, SOURCE.id), 4, "bad_credentials"),
        (Connect("T-1", 60, True, SOURCE.id, b"guess"), 4, "bad_credentials"),
        (Connect("T-1", 60, True, SOURCE.id, b"\xff\xfe"), 4, "bad_credentials"),
        (Connect("T-1", 60, True, "nobody", SECRET.encode()), 4, "bad_credentials"),
        (Connect("T-1", 60, True, "web", SECRET.encode()), 5, "not_an_mqtt_source"),
        (Connect("", 60, False, SOURCE.id, SECRET.encode()), 2, "client_id"),
        (Connect("x" * 257, 60, True, SOURCE.id, SECRET.encode()), 2, "client_id"),
    ],
)
async def test_11_refused_connections(start: Start, connect: Connect, code: int, counted: str) -> None:
    listener = await start(FakeIngest(SOURCE, replace(SOURCE, id="web", protocol="http")))
    async with await Device.open(listener.tcp_port) as device:
        await device.send(connect, Publish(TOPIC, b"smuggled"))
        assert await device.packet() == Connack(code)
        assert await device.packet() is None
    assert listener.stats()[f"refused_{counted}"] == 1
    assert listener.stats()["received"] == 0


async def test_12_no_client_id_with_a_clean_session_gets_one(start: Start) -> None:
    listener = await start(FakeIngest())
    async with (
        await Device.connected(listener.tcp_port, "") as one,
        await Device.connected(listener.tcp_port, "") as two,
    ):
        assert await one.silent(0.02)
        assert await two.silent(0.02)
        assert listener.stats()["clients"] == 2


@pytest.mark.parametrize(
    ("sent", "counted"),
    [
        (encode(Publish("manure/T-1/video", b"")), "wrong_topic"),
        (encode(Publish("manure/T-1/telemetry/x", b"", 1, 1)), "wrong_topic"),
        (encode(Publish("manure//telemetry", b"")), "wrong_topic"),
        (encode(Publish("$SYS/broker", b"")), "wrong_topic"),
        (encode(Publish(TOPIC, b"", 2, 1)), "qos_2"),
        (encode(Pubrel(1)), "qos_2"),
        (encode(Puback(1)), "unexpected_packet"),
        (encode(Connect("T-1", 60, True)), "unexpected_packet"),
        (b"\x32\x80\x80\xc0\x02", "too_large"),
        (b"\x36\x00", "malformed"),
    ],
)
async def test_13_what_closes_a_connection(start: Start, sent: bytes, counted: str) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        await device.send_bytes(encode(Publish(TOPIC, b"good")) + sent + encode(Publish(TOPIC, b"after")))
        assert await device.packet() is None
    assert listener.stats()[f"refused_{counted}"] == 1
    assert ingest.payloads == [b"good"]


async def test_14_a_client_of_mqtt_5_is_told_the_version(start: Start) -> None:
    listener = await start(FakeIngest())
    async with await Device.open(listener.tcp_port) as device:
        await device.send_bytes(bytes.fromhex("100d 0004 4d515454 05 02 003c 00 0000"))
        assert await device.reader.read(100) == b"\x20\x02\x00\x01"
        assert await device.reader.read(100) == b""
    assert listener.stats()["refused_version"] == 1


async def test_15_subscriptions(start: Start) -> None:
    listener = await start(FakeIngest())
    async with await Device.connected(listener.tcp_port, "T-9") as device:
        own = "madang/T-9/command"
        filters = (
            (own, 1),
            ("madang/T-8/command", 0),
            ("#", 0),
            ("$share/g/madang/T-9/command", 0),
            ("madang/+/command", 0),
        )
        await device.send(Subscribe(3, filters))
        assert await device.packet() == Suback(3, (0, 0x80, 0x80, 0x80, 0x80))
        assert listener.send_command(SOURCE.id, "T-9", b"report")
        assert await device.packet() == Publish(own, b"report")
        await device.send(Unsubscribe(4, (own,)))
        assert await device.packet() == Unsuback(4)
        assert not listener.send_command(SOURCE.id, "T-9", b"report")
        assert not listener.send_command(SOURCE.id, "T-8", b"report")


async def test_15b_a_session_that_is_to_last_is_always_there(start: Start) -> None:
    # gmqtt throws away what was not acknowledged when it is told that the session is gone.
    listener = await start(FakeIngest())
    async with await Device.open(listener.tcp_port) as device:
        await device.send(Connect("T-9", 60, False, SOURCE.id, SECRET.encode()))
        assert await device.packet() == Connack(0, session_present=True)
        assert listener.send_command(SOURCE.id, "T-9", b"report")
        assert await device.packet() == Publish("madang/T-9/command", b"report")


@pytest.mark.parametrize("client_id", ["+", "#", "a/b"])
async def test_16_a_client_id_is_never_a_wildcard(start: Start, client_id: str) -> None:
    listener = await start(FakeIngest())
    async with await Device.connected(listener.tcp_port, client_id) as device:
        await device.send(Subscribe(3, (("madang/+/command", 0),)))
        assert await device.packet() == Suback(3, (0x80,))


async def test_17_the_same_client_id_takes_over(start: Start) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as old:
        await old.publish(1)
        await until(lambda: len(ingest.batches) == 1)
        async with await Device.connected(listener.tcp_port) as new:
            assert await old.packet() is None
            ingest.commit(0)
            await new.publish(2)
            await until(lambda: len(ingest.batches) == 2)
            ingest.commit(1)
            assert await new.packet() == Puback(2)
            assert listener.stats()["clients"] == 1


async def test_18_reading_stops_while_ingest_does_not_accept(start: Start) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        ingest.open = False
        await device.publish(1)
        await until(lambda: bool(listener.stats()["holding"]))
        await device.publish(2)
        await asyncio.sleep(0.05)
        assert ingest.payloads == [b"1"]
        async with await Device.connected(listener.tcp_port, "T-2") as late:
            await late.publish(3, device="T-2")
            await asyncio.sleep(0.05)
            assert ingest.payloads == [b"1"]
            ingest.automatic, ingest.open = True, True
            ingest.commit(0)
            assert [await device.packet() for _ in range(2)] == [Puback(1), Puback(2)]
            assert await late.packet() == Puback(3)
    assert listener.stats()["holds"] == 1


async def test_19_reading_stops_at_the_limits_in_flight(start: Start) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest, in_flight_per_connection=10, in_flight=15)
    async with (
        await Device.connected(listener.tcp_port) as one,
        await Device.connected(listener.tcp_port, "T-2") as two,
    ):
        await one.publish(*range(1, 11))
        await until(lambda: len(ingest.payloads) == 10)
        await one.publish(11)
        await asyncio.sleep(0.05)
        assert len(ingest.payloads) == 10  # its own limit
        await two.publish(*range(1, 7), device="T-2")
        await until(lambda: bool(listener.stats()["holding"]))  # everybody's limit
        await two.publish(7, device="T-2")
        await asyncio.sleep(0.05)
        assert len(ingest.payloads) == 16
        ingest.automatic = True
        for index in range(len(ingest.batches)):
            ingest.commit(index)
        assert [await one.packet() for _ in range(11)] == [Puback(n) for n in range(1, 12)]
        assert [await two.packet() for _ in range(7)] == [Puback(n) for n in range(1, 8)]
    assert listener.stats()["in_flight"] == listener.stats()["in_flight_bytes"] == 0


async def test_20_silence_beyond_the_keep_alive_closes(start: Start) -> None:
    listener = await start(FakeIngest())
    async with await Device.connected(listener.tcp_port, keep_alive_s=1) as device:
        assert await device.silent(1.2)  # 1.5 times the keep-alive [MQTT-3.1.2-24]
        assert await device.packet(3) is None
    assert listener.stats()["refused_keep_alive"] == 1


async def test_21_who_does_not_connect_is_cut_off(start: Start) -> None:
    listener = await start(FakeIngest(), connect_s=0.2)
    async with await Device.open(listener.tcp_port) as device:
        await device.send_bytes(b"\x10")
        assert await device.packet(3) is None
    assert listener.stats()["refused_no_connect"] == 1


async def test_22_too_many_connections(start: Start) -> None:
    listener = await start(FakeIngest(), connections=1)
    async with await Device.connected(listener.tcp_port) as one, await Device.open(listener.tcp_port) as two:
        assert await two.packet() is None
        assert await one.silent(0.02)
    assert listener.stats()["refused_too_many_connections"] == 1


async def test_23_disconnect_and_what_follows_it(start: Start) -> None:
    ingest = FakeIngest()
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        await device.send(Publish(TOPIC, b"1"), Disconnect(), Publish(TOPIC, b"2"))
        assert await device.packet() is None
    await until(lambda: ingest.payloads == [b"1"])


async def test_24_stop_waits_for_the_commit_and_acknowledges(start: Start) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest)
    port = listener.tcp_port
    async with await Device.connected(port) as device:
        await device.publish(1)
        await until(lambda: len(ingest.batches) == 1)
        stopping = asyncio.create_task(listener.stop(grace_s=5))
        await until(lambda: listener.stopping)
        await device.publish(2)  # too late: neither taken nor acknowledged
        assert await device.silent()
        ingest.commit(0)
        assert await device.packet() == Puback(1)
        assert await device.packet() is None
        await stopping
    assert ingest.payloads == [b"1"]
    with pytest.raises(OSError):
        await Device.open(port)


async def test_25_stop_gives_up_after_its_grace(start: Start) -> None:
    ingest = FakeIngest(automatic=False)
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        await device.publish(1)
        await until(lambda: len(ingest.batches) == 1)
        await asyncio.wait_for(listener.stop(grace_s=0.05), 5)
        assert await device.packet() is None
        await listener.stop()
    ingest.commit(0)  # the writer's late answer finds nobody, and breaks nothing


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({"enabled": False}, "source_disabled"),
        ({"secret_sha256": "0" * 64}, "source_changed"),
        ({"topic": "other/{device}"}, "source_changed"),
        ({"cadence_s": 5.0}, ""),
    ],
)
async def test_25b_a_source_that_changed_ends_its_connections(
    start: Start, changes: dict[str, Any], counted: str
) -> None:
    ingest = FakeIngest()
    listener = await start(ingest)
    async with await Device.connected(listener.tcp_port) as device:
        ingest.sources[SOURCE.id] = replace(SOURCE, **changes)
        if counted:
            assert await device.packet(3) is None
            assert listener.stats()[f"refused_{counted}"] == 1
        else:
            assert await device.silent(1.2)


async def test_26_a_source_can_be_disconnected(start: Start) -> None:
    listener = await start(FakeIngest())
    async with await Device.connected(listener.tcp_port) as device:
        assert listener.disconnect_source("other") == 0
        assert listener.disconnect_source(SOURCE.id) == 1
        assert await device.packet() is None


async def test_27_a_peer_that_does_not_read_its_answers_is_not_read(start: Start) -> None:
    listener = await start(FakeIngest())
    loop = asyncio.get_running_loop()
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.setblocking(False)
        await loop.sock_connect(peer, ("127.0.0.1", listener.tcp_port))
        connect = encode(Connect("T-1", 60, True, SOURCE.id, SECRET.encode()))
        sending = asyncio.create_task(loop.sock_sendall(peer, connect + encode(Pingreq()) * 10_000_000))
        await until(lambda: any(connection.held for connection in listener._connections), 20)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    await until(lambda: not listener.stats()["connections"])


async def test_28_a_repeated_refusal_is_counted_but_logged_once(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = await start(FakeIngest())
    for _ in range(5):
        async with await Device.open(listener.tcp_port) as device:
            await device.send(Connect("T-1", 60, True))
            assert await device.packet() == Connack(5)
    assert listener.stats()["refused_anonymous"] == 5
    assert capsys.readouterr().out.count("set the source id and its secret") == 1
