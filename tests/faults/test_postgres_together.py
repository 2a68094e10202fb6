"""Four servers on one PostgreSQL, four clients that write the same entities through them: no update is lost, no change skipped or doubled
in the log, nobody sees a failure. What must be there is counted from the answers, apart from the servers."""

import http.client
import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from madang.model.change import Change
from madang.stores.postgres import PostgresStore
from tests.faults.harness import ServerProcess
from tests.faults.store_writer import SystemClock
from tests.stores.cluster import Cluster, open_cluster

SERVERS = 4
ENTITIES = 1_000
CREATED_TOGETHER = 100


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of this module."""
    with open_cluster() as found:
        yield found


def room(n: int) -> str:
    """The id of an entity."""
    return f"urn:ngsi-ld:Room:{n}"


class Client:
    """Writes an attribute of its own, which it counts up, to entities drawn at random, on one connection."""

    def __init__(self, server: ServerProcess, token: str, number: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        self._draw = random.Random(number)
        self.name = f"of{number}"
        self.written: defaultdict[int, list[int]] = defaultdict(list)
        """By entity the values that were acknowledged, in order."""
        self.statuses: Counter[int] = Counter()

    def ask(self, method: str, path: str, document: object) -> int:
        self._http.request(method, f"/ngsi-ld/v1/{path}", json.dumps(document), self._headers)
        answer = self._http.getresponse()
        answer.read()
        self.statuses[answer.status] += 1
        return answer.status

    def close(self) -> None:
        self._http.close()

    def create(self) -> int:
        """Everybody creates the same entities; gives how many were its own."""
        made = [self.ask("POST", "entities", {"id": room(n), "type": "Room"}) for n in range(CREATED_TOGETHER)]
        assert set(made) <= {201, 409}
        return made.count(201)

    def run(self, seconds: float) -> None:
        """Write until the time is over: one attribute, or by batch ten entities."""
        until, value = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            value += 1
            if value % 5:
                chosen = [self._draw.randrange(ENTITIES)]
                status = self.ask("POST", f"entities/{room(chosen[0])}/attrs", {self.name: value})
            else:
                chosen = self._draw.sample(range(ENTITIES), 10)
                entities = [{"id": room(n), "type": "Room", self.name: value} for n in chosen]
                status = self.ask("POST", "entityOperations/upsert?options=update", entities)
            assert status in (201, 204), status
            for n in chosen:
                self.written[n].append(value)


class Reader:
    """Reads the log with a cursor while others write."""

    def __init__(self, store: PostgresStore) -> None:
        self.changes: list[Change] = []
        self._store = store
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        cursor = 0
        while True:
            last = self._stop.is_set()
            with self._store.read() as read:
                found = read.read_log(cursor, 500)
            if found:
                cursor = found[-1].seq
                self.changes += found
            elif last:
                return

    def finish(self) -> None:
        """To the log's end."""
        self._stop.set()
        self._thread.join(60)


def write_together(folder: Path, cluster: Cluster, seconds: float) -> int:
    """Gives how many requests were answered."""
    url = cluster.database_of(folder)
    servers = []
    for number in range(SERVERS):
        (folder / str(number)).mkdir()
        servers.append(ServerProcess(folder / str(number) / "data", f"--store={url}"))
    store: PostgresStore | None = None
    try:
        with ThreadPoolExecutor(SERVERS) as pool:
            for started in [pool.submit(server.start) for server in servers]:
                started.result()
            token = next(path for path in folder.glob("*/data/first-token")).read_text().strip()
            clients = [Client(server, token, number) for number, server in enumerate(servers)]
            store = PostgresStore(url, SystemClock())
            reader = Reader(store)
            made = [pool.submit(client.create) for client in clients]
            assert sum(future.result() for future in made) == CREATED_TOGETHER, "each was created once"
            entities = [{"id": room(n), "type": "Room"} for n in range(CREATED_TOGETHER, ENTITIES)]
            assert clients[0].ask("POST", "entityOperations/create", entities) == 201
            for running in [pool.submit(client.run, seconds) for client in clients]:
                running.result()
        for client in clients:
            client.close()
        reader.finish()
        assert [change.seq for change in reader.changes] == list(range(1, len(reader.changes) + 1))
        told: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
        for change in reader.changes:
            if change.entity_id.startswith("urn:ngsi-ld:Room:"):
                n = int(change.entity_id.rpartition(":")[2])
                for name, attribute in change.attributes.items():
                    told[n, name].append(attribute["value"])
        assert told == {(n, c.name): values for c in clients for n, values in c.written.items()}
        with store.read() as read:
            for n in range(ENTITIES):
                entity = read.find_entity(room(n))
                assert entity is not None
                now = {name: attribute["value"] for name, attribute in entity.attributes.items()}
                assert now == {c.name: c.written[n][-1] for c in clients if c.written[n]}, "an update was lost"
        for server in servers:
            server.stop()
            assert "deadlock" not in server.log_text() and "Traceback" not in server.log_text()
        return sum(sum(client.statuses.values()) for client in clients)
    finally:
        if store is not None:
            store.close()
        for server in servers:
            server.close()


def test_four_servers_write_the_same_entities(tmp_path: Path, cluster: Cluster) -> None:
    assert write_together(tmp_path, cluster, 4.0) > 4 * CREATED_TOGETHER + 40


@pytest.mark.soak
def test_four_servers_for_a_minute(tmp_path: Path, cluster: Cluster) -> None:
    print(write_together(tmp_path, cluster, 60.0), "requests")
