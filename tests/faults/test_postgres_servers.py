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
from tests.faults.serve import SOURCE
from tests.faults.store_writer import SystemClock
from tests.stores.cluster import Cluster, open_cluster


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
