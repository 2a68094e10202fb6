"""Two whole servers on one PostgreSQL: trucks send over MQTT to both, the one that runs the detectors is killed again and again, and in
the end everything is stored once and found once, as by one server that nobody disturbed."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from madang.app.control import ask_server
from madang.hub.ports import Store
from madang.model.finding import Finding
from madang.model.time import HOUR
from madang.stores.postgres import PostgresStore
from tests.faults.device import Device
from tests.faults.harness import ServerProcess, Stored, drive, make_devices, now
from tests.faults.notified import assert_told, receiving
from tests.faults.serve import SOURCE
from tests.faults.store_writer import SystemClock
from tests.stores.cluster import Cluster, open_cluster

ROOMS = 3


class StoredInPostgres(Stored):
    """What stopped servers left in a database."""

    def __init__(self, url: str) -> None:
        self._url = url
        super().__init__(Path())

    def _open(self, data: Path) -> Store:
        return PostgresStore(self._url, SystemClock())

    def _findings(self, data: Path) -> dict[str, Finding]:
        # Read apart from the store's own code.
        with psycopg.connect(self._url) as db:
            rows = db.execute("SELECT id, document FROM madang_default.finding").fetchall()
        return {id_: msgspec.json.decode(document, type=Finding) for id_, document in rows}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of this module."""
    with open_cluster(durable=True) as found:
        yield found


@pytest.fixture
def servers(tmp_path: Path, cluster: Cluster) -> Iterator[list[ServerProcess]]:
    """Two servers on one empty database, not started yet."""
    store = f"--store={cluster.database_of(tmp_path)}"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    processes = [ServerProcess(tmp_path / name / "data", store) for name in ("one", "two")]
    yield processes
    for process in processes:
        process.close()


def test_four_servers_may_be_the_first_together(tmp_path: Path, cluster: Cluster) -> None:
    """On an empty store: one source, one first token, and every server takes both."""
    store = f"--store={cluster.database_of(tmp_path)}"
    folders = [tmp_path / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
    processes = [ServerProcess(folder / "data", store) for folder in folders]
    try:
        with ThreadPoolExecutor(4) as pool:
            for started in [pool.submit(process.start) for process in processes]:
                started.result()
        tokens = [path.read_text().strip() for folder in folders if (path := folder / "data" / "first-token").exists()]
        assert len(tokens) == 1
        for process in processes:
            status, body = process.request("/api/sources", Authorization=f"Bearer {tokens[0]}")
            assert (status, [row["id"] for row in json.loads(body)]) == (200, [SOURCE.id])
        for process in processes:
            process.stop()
    finally:
        for process in processes:
            process.close()


def leads(server: ServerProcess) -> bool:
    """Does it run the detectors?"""
    status: dict[str, Any] = ask_server(server.outside, {"command": "status"})
    return bool(status["leads"])


def leader_of(servers: Sequence[ServerProcess]) -> ServerProcess:
    """Waits until exactly one leads."""
    until = time.monotonic() + 30
    while True:
        found = [server for server in servers if leads(server)]
        assert len(found) < 2, "two processes lead"
        if found:
            return found[0]
        assert time.monotonic() < until, "nobody took over"
        time.sleep(0.2)


def post(server: ServerProcess, token: str, path: str, document: Any, method: str = "POST") -> int:
    """The status of an NGSI-LD write. Raises OSError when nobody answers."""
    body = json.dumps(document).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    return server.request(f"/ngsi-ld/v1/{path}", method=method, body=body, **headers)[0]


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.soak)])
def test_another_server_goes_on_telling_subscribers(tmp_path: Path, cluster: Cluster, kills: int) -> None:
    """Changes go to both servers in turn; the subscription is made at the one that does not lead. Whoever leads is killed, and stays away
    until the other has taken over: nothing that was acknowledged is missed, the order of an entity's changes is kept."""
    store = f"--store={cluster.database_of(tmp_path)}"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    servers = [ServerProcess(tmp_path / name / "data", store, "allow-private") for name in ("one", "two")]
    expected: set[tuple[str, int]] = set()
    try:
        with receiving() as (address, heard):
            for server in servers:
                server.start()
            token = (tmp_path / "one" / "data" / "first-token").read_text().strip()
            follower = next(server for server in servers if server is not leader_of(servers))
            assert post(follower, token, "subscriptions", {
                "id": "urn:s:1", "type": "Subscription", "entities": [{"type": "Room"}],
                "notification": {"endpoint": {"uri": address}},
            }) == 201  # fmt: skip
            number = 0

            def change(living: Sequence[ServerProcess], count: int) -> None:
                nonlocal number
                for _ in range(count):
                    room, server = f"urn:r:{number % ROOMS}", living[number // ROOMS % len(living)]
                    if number < ROOMS:
                        assert post(server, token, "entities", {"id": room, "type": "Room", "n": number}) == 201
                    else:
                        assert post(server, token, f"entities/{room}/attrs", {"n": number}, "PATCH") == 204
                    expected.add((room, number))
                    number += 1

            for _ in range(kills):
                change(servers, 4 * ROOMS)
                killed = leader_of(servers)
                killed.kill()
                (other,) = (server for server in servers if server is not killed)
                change([other], 4 * ROOMS)
                assert leader_of([other]) is other
                assert_told(heard, expected)
                killed.start()
            change(servers, 4 * ROOMS)
            assert_told(heard, expected)
            assert not any(server.log_text().count("Traceback") for server in servers)
            for server in servers:
                server.stop()
    finally:
        for server in servers:
            server.close()


async def drive_and_kill_leaders(
    halves: Sequence[Sequence[Device]], servers: Sequence[ServerProcess], kills: int
) -> None:
    driving = [asyncio.create_task(drive(half, server)) for half, server in zip(halves, servers, strict=True)]
    try:
        for _ in range(kills):
            await asyncio.sleep(1.0)
            leader = await asyncio.to_thread(leader_of, servers)
            leader.kill()
            await asyncio.sleep(0.3)
            await asyncio.to_thread(leader.start)
        await asyncio.gather(*driving)
    finally:
        for task in driving:
            task.cancel()


def test_killing_whoever_leads_loses_and_doubles_nothing(
    servers: list[ServerProcess], tmp_path: Path, cluster: Cluster
) -> None:
    first_at = now() - 24 * HOUR
    devices = make_devices(6, 600, first_at, 0.01)
    for server in servers:
        server.start()
    leader_of(servers)
    asyncio.run(drive_and_kill_leaders([devices[:3], devices[3:]], servers, kills=3))
    assert all(device.done for device in devices)
    for server in servers:
        server.wait_settled()
    servers[0].assert_console_opens()
    for server in servers:
        server.stop()
    stored = StoredInPostgres(cluster.database_of(tmp_path))
    try:
        stored.assert_stored_once(devices, first_at)
        stored.assert_findings_counted(devices)
        stored.assert_replay_finds_the_same()
    finally:
        stored.close()
