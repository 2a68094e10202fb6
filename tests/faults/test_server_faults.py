"""What else goes wrong in the field, against a running server: duplicates, late and out-of-order data, a clock that jumps, a longitude of
900, a payload of 5 MB, noise, more devices than agreed, a full disk. Nothing is lost, and the console still opens.
"""

import asyncio
import json
import random
import socket
import sqlite3
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from madang.model.time import DAY, HOUR, SECOND
from tests.faults.device import Device, read_packet, render_connect, render_publish
from tests.faults.harness import ServerProcess, Stored, drive, make_devices, make_payload, now, saw_tooth
from tests.faults.serve import SECRET, SOURCE
from tests.faults.soak import note_run
from tests.faults.tiny_disk import TinyDisk, needs_tiny_disk


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server on an empty folder, running."""
    process = ServerProcess(tmp_path / "data")
    process.start()
    yield process
    process.close()


def device(code: str, payloads: list[bytes]) -> Device:
    """A terminal of the trucks' source."""
    return Device(code, SOURCE.id, SECRET, f"manure/{code}/telemetry", payloads)


def quarantine_of(stored: Stored) -> dict[str, int]:
    """Quarantined payloads by reason."""
    with closing(sqlite3.connect(stored.store.path)) as db:
        return dict(db.execute("SELECT code, count(*) FROM quarantine GROUP BY code").fetchall())


def test_duplicates_and_disorder(server: ServerProcess) -> None:
    """Every message two or three times, in windows of 40 shuffled: stored once each; late is what is older than something before it."""
    order = random.Random(7)
    first_at = now() - 6 * DAY
    (plain,) = make_devices(1, 600, first_at)
    shuffled: list[int] = []
    for start in range(0, 600, 40):
        window = [n for n in range(start, start + 40) for _ in range(order.choice((2, 3)))]
        order.shuffle(window)
        shuffled += window
    sender = device(plain.client_id, [plain.payloads[n] for n in shuffled])
    asyncio.run(drive([sender], server))
    server.wait_settled()
    server.stop()
    stored = Stored(server.data)
    with closing(stored):
        stored.assert_stored_once([plain], first_at)
        late, newest = set(), -1
        for n in dict.fromkeys(shuffled):  # in the order of first arrival
            if n < newest:
                late.add(first_at + n * SECOND)
            newest = max(newest, n)
        id_ = f"urn:ngsi-ld:Vehicle:{plain.client_id}"
        assert {c.observed_at for c in stored.readings(id_) if c.late} == late
        stored.assert_replay_finds_the_same()
        assert quarantine_of(stored) == {}


def test_clock_jumps(server: ServerProcess) -> None:
    """The machine's clock jumps three hours on and five hours back under load: nothing is refused or lost, log time never goes back."""
    first_at = now() - 6 * DAY
    devices = make_devices(4, 700, first_at, gap_s=0.002)

    async def jump() -> None:
        for offset_s in (3 * 3600, -2 * 3600, 0):
            await asyncio.sleep(0.5)
            (server.data / "clock-offset-s").write_text(str(offset_s))

    async def both() -> None:
        await asyncio.gather(drive(devices, server), jump())

    asyncio.run(both())
    server.wait_settled()
    server.assert_console_opens()
    server.stop()
    with closing(Stored(server.data)) as stored:
        stored.assert_stored_once(devices, first_at)
        stored.assert_findings_counted(devices)
        stored.assert_replay_finds_the_same()
        times = [c.recorded_at for c in stored.log]
        assert times == sorted(times)
        assert max(times) - min(times) > 2 * HOUR, "the jump forward was seen"


def test_longitude_900_and_other_nonsense(server: ServerProcess) -> None:
    """Each piece of nonsense is acknowledged (sending it again would not help), kept raw with its reason, and harms nothing else."""
    at = now() - HOUR
    good = [make_payload(n, at + n * SECOND, saw_tooth(n)) for n in range(100)]
    bad = [
        make_payload(1000, at + 1000 * SECOND, 12_345.0, lon=900.0),
        b"",
        b"\x00\xff\xfe",
        b"[" * 5_000,
        b'{"t": "yesterday"}',
        b'{"seq": 1, "t": "2026-11-23T02:14:09Z", "lon": NaN, "lat": 1e999, "w": "heavy"}',
        json.dumps({"seq": 2, "t": "2085-01-01T00:00:00Z", "lon": 127, "lat": 37, "w": 1}).encode(),
    ]
    asyncio.run(drive([device("N1", [*good[:50], *bad, *good[50:]])], server, timeout_s=30))
    server.wait_settled()
    server.assert_console_opens()
    status, body = server.get("/api/quarantine?limit=50")
    assert status == 200 and len(json.loads(body)) == len(bad)
    server.stop()
    with closing(Stored(server.data)) as stored:
        readings = stored.readings("urn:ngsi-ld:Vehicle:N1")
        assert [c.observed_at for c in readings if c.value("grossWeight") != 12_345.0] == [
            at + n * SECOND for n in range(100)
        ]
        (lost,) = [c for c in readings if c.value("grossWeight") == 12_345.0]
        assert "location" not in lost.attributes, "the weight is kept, the longitude of 900 is not"
        assert sum(quarantine_of(stored).values()) == len(bad)


def test_payload_of_5_mb(server: ServerProcess) -> None:
    """Over MQTT the connection is closed before the packet is read into memory. Over HTTP, where batches may be large, it is taken as the
    one reading that it is, and three times as much is refused. Others do not notice."""
    large = make_payload(1, now(), 1.0)[:-1] + b', "x": "' + b"x" * 5_000_000 + b'"}'
    first_at = now() - HOUR
    devices = make_devices(2, 400, first_at, gap_s=0.002)

    async def send_large() -> None:
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.mqtt_port)
            writer.write(render_connect("L1", SOURCE.id, SECRET))
            assert await read_packet(reader) == (0x20, b"\0\0")
            writer.write(render_publish("manure/L1/telemetry", large, 1, False))
            try:
                await writer.drain()
                assert await reader.read() == b"", "a PUBACK for a packet that is too large"
            except ConnectionError:
                pass  # closed while we were sending: as it should be
            writer.close()

    async def both() -> None:
        await asyncio.gather(drive(devices, server), send_large())

    before = server.rss_bytes()
    asyncio.run(both())
    path = f"/api/sources/{SOURCE.id}/messages"
    login = b64encode(f"{SOURCE.id}:{SECRET}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    assert server.request(path, method="POST", body=large, **headers)[0] == 200
    with suppress(OSError):  # the answer may come, and the connection close, while we are still sending
        assert server.request(path, method="POST", body=large * 3, **headers)[0] == 413
    assert server.rss_bytes() - before < 100_000_000
    server.assert_console_opens()
    server.wait_settled()
    server.stop()
    with closing(Stored(server.data)) as stored:
        stored.assert_stored_once(devices, first_at)
        assert stored.readings("urn:ngsi-ld:Vehicle:L1") == []  # its payload names no device over HTTP: quarantined


def test_noise_on_the_ports(server: ServerProcess) -> None:
    """Random bytes, half packets and silence on both ports: the server goes on."""
    noise = random.Random(11)
    for port in (server.mqtt_port, server.http_port):
        for _ in range(60):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                s.sendall(noise.randbytes(noise.randrange(1, 400)))
    first_at = now() - HOUR
    devices = make_devices(2, 100, first_at)
    asyncio.run(drive(devices, server, timeout_s=60))
    server.assert_console_opens()
    server.wait_settled()
    server.stop()
    with closing(Stored(server.data)) as stored:
        stored.assert_stored_once(devices, first_at)


def flood_of_keys(server: ServerProcess, keys: int) -> tuple[int, float]:
    """One message from each of `keys` devices over eight connections; gives memory used (bytes) and seconds."""
    at = now() - HOUR
    lanes = 8
    floods = [
        Device(
            f"lane-{lane}",
            SOURCE.id,
            SECRET,
            lambda n, lane=lane: f"manure/K{n * lanes + lane:07d}/telemetry",  # type: ignore[misc]
            [make_payload(n, at, 10_000.0) for n in range(keys // lanes)],
        )
        for lane in range(lanes)
    ]
    before, began = server.rss_bytes(), time.monotonic()
    asyncio.run(drive(floods, server, timeout_s=3_000))
    server.wait_settled(600)
    return server.rss_bytes() - before, time.monotonic() - began


def test_more_devices_than_agreed(server: ServerProcess) -> None:
    """24,000 names on a source of 20,000 at most: the first 20,000 live, the rest is kept in quarantine with its reason."""
    used, _ = flood_of_keys(server, 24_000)
    server.assert_console_opens()
    server.stop()
    with closing(Stored(server.data)) as stored:
        assert len({c.entity_id for c in stored.log if c.entity_type == "Vehicle"}) == 20_000
        assert sum(quarantine_of(stored).values()) == 4_000
    assert used < 400_000_000


@pytest.mark.soak
def test_a_million_keys(tmp_path: Path) -> None:
    """A million devices on a source that may have them: all stored, memory within bounds, the console opens."""
    server = ServerProcess(tmp_path / "data", "many-devices")
    try:
        server.start()
        used, seconds = flood_of_keys(server, 1_000_000)
        server.assert_console_opens()
        server.stop()
        with closing(Stored(server.data)) as stored:
            assert len({c.entity_id for c in stored.log if c.entity_type == "Vehicle"}) == 1_000_000
        assert used < 2_500_000_000
        note_run("a million keys", 0, messages=1_000_000, memory_mb=round(used / 1e6), seconds=round(seconds))
    finally:
        server.close()


def fill_disk_and_free_it(folder: Path, megabytes: int, devices_n: int, messages: int) -> None:
    """The disk is filled by something else while trucks send; later there is room again."""
    with TinyDisk(folder, megabytes) as disk:
        server = ServerProcess(disk.inside / "data", disk=disk)
        try:
            server.start()
            first_at = now() - 6 * DAY
            devices = make_devices(devices_n, messages, first_at, gap_s=0.002)

            async def scenario() -> int:
                driving = asyncio.create_task(drive(devices, server, timeout_s=60))
                await asyncio.sleep(0.4)
                await asyncio.to_thread(fill, disk.outside)
                await asyncio.sleep(1.5)
                stuck = sum(d.waiting for d in devices)
                await asyncio.sleep(1.0)
                assert sum(d.waiting for d in devices) == stuck, "something was acknowledged while the disk was full"
                status, body = await asyncio.to_thread(server.get, "/ready")
                assert status == 503, (status, body)
                await asyncio.to_thread(server.assert_console_opens)
                (disk.outside / "filler").unlink()
                await driving
                return stuck

            stuck = asyncio.run(scenario())
            assert stuck > 0, "the disk was not full while there was something to store"
            server.wait_settled()
            assert server.get("/ready")[0] == 200
            server.stop()
            copied = disk.copy_out(folder / "after")
        finally:
            server.close()
    with closing(Stored(copied / "data")) as stored:
        stored.assert_stored_once(devices, first_at)
        stored.assert_findings_counted(devices)
        stored.assert_replay_finds_the_same()


def fill(folder: Path) -> None:
    """Take every byte that is left, as a log file run wild does."""
    with (folder / "filler").open("wb", buffering=0) as file:
        size = 1 << 20
        while size >= 512:
            try:
                while file.write(b"x" * size) == size:
                    pass
                size //= 2
            except OSError:
                size //= 2


@needs_tiny_disk
@pytest.mark.parametrize("megabytes", [64, 300])
def test_disk_full(tmp_path: Path, megabytes: int) -> None:
    """On the small disk the write-ahead log could take all the room that is freed, and then nothing would ever end."""
    fill_disk_and_free_it(tmp_path, megabytes, devices_n=6, messages=900)
