"""Two hubs on one PostgreSQL, as two servers have them: one runs the detectors, both know the sources."""

import contextlib
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from madang.app.database import run_init, run_upgrade
from madang.app.doctor import examine
from madang.app.stores import open_store
from madang.app.tokens import make_token
from madang.hub.flow import FlowHost, Overtaken
from madang.hub.hub import TICK_S, City, Hub
from madang.hub.messages import Message
from madang.hub.ports import Store, StoreError
from madang.model.caller import SYSTEM
from madang.ngsild.query import Query
from madang.services.manure import SERVICE
from madang.stores.sqlite import SqliteStore
from tests.faults.detectors import DETECTORS
from tests.faults.harness import make_payload
from tests.stores.cluster import Cluster
from tests.stores.kit import T0, ManualClock

CITY = City({"ko": "둘", "en": "Two"}, (126.4, 33.3, 126.6, 33.5))


def make_hub(store: Store, clock: Any) -> Hub:
    return Hub(store, clock, [SERVICE], CITY, extra_detectors=DETECTORS)


def test_a_source_made_by_one_is_known_to_the_other_and_both_count(tmp_path: Path, cluster: Cluster) -> None:
    clock = ManualClock()
    stores = [cluster.make(tmp_path, clock) for _ in range(2)]
    one, two = [make_hub(store, clock) for store in stores]
    source = SERVICE.sources[0]
    secret = one.sources.put(source)
    assert two.ingest.authenticate_source(source.id, secret) is None
    two.sources.reload()
    assert two.ingest.authenticate_source(source.id, secret) is not None
    for hub, truck, count in ((one, "a", 3), (two, "b", 2)):
        messages = [Message(make_payload(n, T0 + n, 9_000.0), f"manure/{truck}/telemetry", T0) for n in range(count)]
        hub.ingest.submit(source.id, messages).result(5)
        stores[0].write(lambda _: None).result(5)
        hub.store.write(hub.sources.save_in).result(5)
    one.store.write(one.sources.save_in).result(5)
    assert [hub.sources.status(source.id).accepted for hub in (one, two)] == [5, 5]
    assert (one.ingest.readings, two.ingest.readings) == (3, 2)
    for store in stores:
        store.close()


def test_who_was_overtaken_commits_nothing_and_begins_again(tmp_path: Path, cluster: Cluster) -> None:
    clock = ManualClock()
    stores = [cluster.make(tmp_path, clock) for _ in range(2)]
    one, two = [FlowHost(store, DETECTORS, {}, lambda *_: None) for store in stores]
    stores[0].write(lambda tx: tx.append_clock_mark()).result(5)
    one.settle()
    stores[0].write(lambda tx: tx.append_clock_mark()).result(5)
    with pytest.raises(Overtaken):
        two.run_once(flush=True)  # it began when the cursor stood at 0
    two.stand_by()
    until = time.monotonic() + 5
    while two.lag() != 1:  # it hears of the other process's commit a moment later
        assert time.monotonic() < until
        time.sleep(0.02)
    two.take_over()
    two.settle()
    assert two.lag() == 0
    with pytest.raises(Overtaken):
        one.run_once(flush=True)
    for store in stores:
        store.close()


def test_hubs_hand_over_at_a_clean_stop(tmp_path: Path, cluster: Cluster) -> None:
    clock = ManualClock()
    stores = [cluster.make(tmp_path, clock) for _ in range(2)]
    one, two = [make_hub(store, clock) for store in stores]
    one.start()
    until = time.monotonic() + 10
    while not one.leads():
        assert time.monotonic() < until
        time.sleep(0.05)
    two.start()
    assert not two.leads()
    one.stop()
    stores[0].close()
    while not two.leads():
        assert time.monotonic() < until + 10
        time.sleep(0.05)
    stores[1].write(lambda tx: tx.append_clock_mark()).result(5)
    while two.flow.lag() > 0:
        assert time.monotonic() < until + 10
        time.sleep(0.05)
    two.stop()
    stores[1].close()


def test_a_running_hub_hears_of_sources_and_tokens_of_another(tmp_path: Path, cluster: Cluster) -> None:
    clock = ManualClock()
    stores = [cluster.make(tmp_path, clock) for _ in range(2)]
    one, two = [make_hub(store, clock) for store in stores]
    told: list[list[str]] = [[], []]
    for store, list_ in zip(stores, told, strict=True):
        store.subscribe_documents(list_.append)
    two.start()
    source = SERVICE.sources[0]
    secret, token = one.sources.put(source), one.tokens.create(SYSTEM, "kim", "viewer")
    until = time.monotonic() + 10
    while two.ingest.authenticate_source(source.id, secret) is None or "token" not in told[1]:
        assert time.monotonic() < until
        time.sleep(0.05)
    time.sleep(2 * TICK_S)
    assert two.tokens.authenticate(token).principal == "token:kim"
    assert "source" not in told[0] and "token" not in told[0], "one's own changes are not news"
    two.stop()
    for store in stores:
        store.close()


def test_an_op_that_hides_a_failed_statement_is_undone(tmp_path: Path, cluster: Cluster) -> None:
    store = cluster.make(tmp_path, ManualClock())

    def hides(tx: Any) -> None:
        tx.put_document("k", "1", b"x")
        with contextlib.suppress(Exception):
            tx.query(Query(id_pattern="("))  # no regular expression: the statement fails in the database

    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        store.write(hides).result(5)
    with store.read() as read:
        assert read.find_document("k", "1") is None
    with pytest.raises(ValueError, match="regular expression"), store.read() as read:
        read.query(Query(id_pattern="("))
    store.write(lambda tx: tx.put_document("k", "1", b"y")).result(5)
    store.close()


def test_commands_on_a_database(tmp_path: Path, cluster: Cluster) -> None:
    url = cluster.database_of(tmp_path)
    assert run_init(url, "default") == [] and run_upgrade(url, "default") == []
    assert run_init(url, "busan")[0] == "0001 first"
    with pytest.raises(StoreError, match="madang db"):
        run_init("sqlite:///x", "default")
    secret = make_token(tmp_path / "none", "kim", "viewer", None, url)
    store = cluster.make(tmp_path, ManualClock())
    hub = make_hub(store, ManualClock())
    assert [token.name for token in hub.tokens.list(SYSTEM)] == ["kim"] and secret
    store.close()
    checks = {check.what: check for check in examine(tmp_path, url)}
    assert checks["database"].state == "ok" and "schema up to date" in checks["database"].detail
    assert checks["fsync"].state == "fail", "the tests' cluster runs without, and doctor must say so"
    away = {check.what: check for check in examine(tmp_path, "postgresql://127.0.0.1:1/x")}
    assert away["database"].state == "fail" and "cannot be reached" in away["database"].detail


def test_a_store_is_chosen_by_its_address(tmp_path: Path, cluster: Cluster) -> None:
    clock = ManualClock()
    for address in ("", f"sqlite:///{tmp_path}/data"):
        store = open_store(address, tmp_path / "data", clock)
        assert isinstance(store, SqliteStore)
        store.close()
    assert (tmp_path / "data" / "default.db").exists()
    shared = open_store(cluster.database_of(tmp_path), tmp_path, clock)
    assert shared.last_seq() == 0
    shared.close()
    with pytest.raises(StoreError, match="known are sqlite"):
        open_store("mysql://x", tmp_path, clock)
