"""Several processes write one PostgreSQL store: no update lost, no change skipped by a follower, no deadlock that a caller sees; also
when a process, a backend or the server is killed. What must be there is counted from acknowledgements, apart from the store."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from madang.app.clocks import SystemClock
from madang.hub.ports import StoreError
from madang.model.change import Change
from madang.stores.postgres import PostgresStore
from tests.repo.tree import ROOT
from tests.stores.cluster import Cluster, open_cluster
from tests.stores.postgres_writer import IN_FLIGHT, entity_id

PROCESSES = 4


class Writer:
    """One writing process and what it said."""

    def __init__(self, url: str, worker: int, entities: int, seconds: float) -> None:
        command = [sys.executable, "-m", "tests.stores.postgres_writer", url, str(worker), str(entities), str(seconds)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.acknowledged: Counter[int] = Counter()
        self.result: dict[str, Any] | None = None
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith("\n"):
                continue  # cut off by the kill
            message = json.loads(line)
            if message[0] == "ack" and message[1] == "count":
                self.acknowledged[message[2]] += 1
            elif message[0] == "end":
                self.result = message[1]

    def kill(self) -> None:
        """SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        self.wait(10)

    def wait(self, timeout_s: float) -> None:
        """Until it has ended and everything that it said is heard."""
        self.process.wait(timeout_s)
        self._thread.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Follower:
    """Two readers of the log while others write: a listener of a store, and one that polls with a cursor."""

    def __init__(self, url: str) -> None:
        self.store = PostgresStore(url, SystemClock())
        self.heard: list[Change] = []
        self.polled: list[Change] = []
        self.store.subscribe(self.heard.extend)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def _poll(self) -> None:
        cursor = 0
        while True:
            last = self._stop.is_set()
            try:
                with self.store.read() as read:
                    found = read.read_log(cursor, 500)
            except StoreError:
                time.sleep(0.05)
                continue
            if found:
                cursor = found[-1].seq
                self.polled += found
            elif last:
                return

    def finish(self) -> list[Change]:
        """The whole log, after checking that both readers saw all of it, once and in order."""
        self._stop.set()
        self._thread.join(30)
        end = self.polled[-1].seq if self.polled else 0
        until = time.monotonic() + 20
        while self.store.last_seq() < end and time.monotonic() < until:
            time.sleep(0.05)
        assert [c.seq for c in self.polled] == list(range(1, end + 1)), (
            "the polling reader skipped or repeated a change"
        )
        assert [c.seq for c in self.heard] == list(range(1, end + 1)), "the listener skipped or repeated a change"
        times = [c.recorded_at for c in self.polled]
        assert times == sorted(times), "log time went back"
        return self.polled

    def counts(self, entities: int) -> Counter[int]:
        """What each entity has come to."""
        found: Counter[int] = Counter()
        with self.store.read() as read:
            for n in range(entities):
                entity = read.find_entity(entity_id(n))
                if entity is not None and "count" in entity.attributes:
                    found[n] = int(entity.attributes["count"]["value"])
        return found


def run_together(url: str, entities: int, seconds: float) -> list[dict[str, Any]]:
    """Four writers to their end; gives what each did, after checking that nothing was lost, skipped or refused."""
    follower = Follower(url)
    try:
        writers = [Writer(url, n, entities, seconds) for n in range(PROCESSES)]
        for writer in writers:
            writer.wait(seconds + 60)
        log = follower.finish()
        results = [w.result for w in writers if w.result is not None]
        assert len(results) == PROCESSES
        assert [r["failures"] for r in results] == [{}] * PROCESSES
        expected: Counter[int] = Counter()
        for result in results:
            expected.update({int(n): count for n, count in result["counted"].items()})
        assert follower.counts(entities) == expected
        changes = sum(expected.values()) + sum(r["readings"] for r in results)
        assert len(log) == changes
        taken = follower.store.write(lambda tx: tx.next_number("taken")).result(10)
        assert taken == sum(r["numbers"] for r in results) + 1
        return results
    finally:
        follower.store.close()


def test_four_processes_lose_no_update_and_skip_no_change(tmp_path: Path, cluster: Cluster) -> None:
    results = run_together(cluster.database_of(tmp_path), 50, 4.0)
    assert min(sum(r["counted"].values()) for r in results) > 50, "every process had its turns"


@pytest.mark.soak
def test_four_processes_for_a_minute(tmp_path: Path, cluster: Cluster) -> None:
    results = run_together(cluster.database_of(tmp_path), 1_000, 60.0)
    print(json.dumps([{**r, "counted": sum(r["counted"].values())} for r in results], indent=1))


@pytest.fixture(scope="module")
def durable_cluster() -> Iterator[Cluster]:
    """With fsync: what it acknowledged survives a crash of the server."""
    with open_cluster(durable=True) as found:
        yield found


def test_a_killed_process_loses_nothing_and_stops_nobody(tmp_path: Path, cluster: Cluster) -> None:
    url = cluster.database_of(tmp_path)
    follower = Follower(url)
    try:
        writers = [Writer(url, n, 20, 60.0) for n in range(2)]
        time.sleep(2.5)
        writers[0].kill()
        before = sum(writers[1].acknowledged.values())
        time.sleep(1.5)
        assert sum(writers[1].acknowledged.values()) > before, "the other process goes on"
        writers[1].kill()
        follower.finish()
        acknowledged = writers[0].acknowledged + writers[1].acknowledged
        counts = follower.counts(20)
        assert sum(acknowledged.values()) > 20
        for n, count in acknowledged.items():
            assert counts[n] >= count, "an acknowledged update is gone"
        assert sum(counts.values()) - sum(acknowledged.values()) <= 2 * IN_FLIGHT
    finally:
        follower.store.close()


def busiest_writer(cluster: Cluster, url: str, writer: Writer) -> int | None:
    """The process id of the backend that wrote last; waits until there is one. None when the writing process has ended."""
    database = url.partition("?")[0].rpartition("/")[2]
    while writer.process.poll() is None:
        with cluster.connect("postgres") as db:
            row = db.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'madang writer'"
                " ORDER BY state_change DESC LIMIT 1",
                (database,),
            ).fetchone()
        if row is not None:
            return int(row[0])
        time.sleep(0.05)
    return None


@pytest.mark.parametrize("how", ["terminate", "kill -9", "restart"])
def test_a_broken_server_loses_nothing_that_was_acknowledged(
    how: str, tmp_path: Path, durable_cluster: Cluster
) -> None:
    """terminate: one backend ends. kill -9 of a backend: the server throws everybody out and recovers. restart: a crash and a start."""
    url = durable_cluster.database_of(tmp_path)
    follower = Follower(url)
    try:
        writer = Writer(url, 0, 20, 8.0)
        time.sleep(2.5)
        breaks = 0
        while breaks < (1 if how == "restart" else 3):
            if how == "restart":
                durable_cluster.stop("immediate")
                durable_cluster.start()
            else:
                backend = busiest_writer(durable_cluster, url, writer)
                if backend is None:
                    break  # on a slow machine it has ended before the third time
                os.kill(backend, signal.SIGTERM if how == "terminate" else signal.SIGKILL)
            breaks += 1
            time.sleep(0.5)
            durable_cluster.wait_up()
        assert breaks > 0
        writer.wait(90)
        assert writer.result is not None
        follower.finish()
        counts = follower.counts(20)
        counted = Counter({int(n): count for n, count in writer.result["counted"].items()})
        unknown = writer.result["unknown"]
        assert sum(counted.values()) > 20
        assert all(counts[n] >= count for n, count in counted.items()), "an acknowledged update is gone"
        # What failed was not stored, except where the store said that it cannot know.
        assert sum(counts.values()) - sum(counted.values()) <= unknown
    finally:
        follower.store.close()
