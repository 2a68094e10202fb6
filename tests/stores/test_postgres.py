"""The store for many processes: the common check, and what is its own (schema, tenants, leases, values that it cannot keep)."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from madang.hub.ports import StoreError, Tx
from madang.model.entity import Reading, prop
from madang.model.time import DAY, SECOND
from madang.ngsild.temporal import Window
from madang.stores.postgres import PostgresStore
from madang.stores.postgres.migrate import init, list_steps, upgrade
from tests.repo.tree import ROOT
from tests.stores.check_store import CHECKS
from tests.stores.cluster import Cluster
from tests.stores.kit import T0, TRUCK, ManualClock, reading


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_passes_the_check_of_every_store(check, tmp_path: Path, cluster: Cluster) -> None:
    check(cluster.make, tmp_path)


def test_a_value_that_cannot_be_kept_spoils_its_own_op_alone(tmp_path: Path, cluster: Cluster) -> None:
    """A lone surrogate is no UTF-8: it is found only when the group is written, and then each op of the group is run alone."""
    store = cluster.make(tmp_path, ManualClock())
    gate = threading.Event()
    store.write(lambda tx: gate.wait(5))
    bad = store.write(lambda tx: tx.append_reading(Reading("urn:bad", "\ud800", T0, {}), "s", T0), bulk=True)
    good = [store.write(lambda tx, n=n: tx.append_reading(reading(T0 + n, 1.0), "s", T0), bulk=True) for n in range(3)]
    gate.set()
    assert [change.result(5).seq for change in good] == [1, 2, 3]
    with pytest.raises(UnicodeEncodeError):
        bad.result(5)
    with store.read() as read:
        assert [c.entity_id for c in read.read_log(0, 10)] == [TRUCK] * 3
    store.close()


def test_the_character_nul_becomes_a_replacement_and_is_refused_in_an_id(tmp_path: Path, cluster: Cluster) -> None:
    store = cluster.make(tmp_path, ManualClock())
    text = "a\0b \\u0000 stays"
    store.write(lambda tx: tx.append_reading(Reading("urn:1", "T", T0, {"x": prop(text)}), "s", T0), bulk=True).result(
        5
    )
    with pytest.raises(ValueError, match="U\\+0000"):
        store.write(lambda tx: tx.append_reading(Reading("urn:\0", "T", T0, {}), "s", T0), bulk=True).result(5)
    with store.read() as read:
        entity = read.find_entity("urn:1")
        assert entity is not None and entity.attributes["x"]["value"] == "a\ufffdb \\u0000 stays"
    store.close()


def test_what_another_process_changed_is_seen_by_the_next_op(tmp_path: Path, cluster: Cluster) -> None:
    """Two stores stand for two processes; each has the entity in memory when the other changes it."""
    clock = ManualClock()
    one, two = cluster.make(tmp_path, clock), cluster.make(tmp_path, clock)

    def add(tx: Tx) -> float:
        known = tx.find_entity("urn:1")
        value = 1 + (0 if known is None else known.attributes["n"]["value"])
        tx.put_entity("urn:1", "T", {"n": prop(value)}, "x", reference=False, replace=False)
        return float(value)

    assert [store.write(add).result(5) for store in (one, two, one, one, two, one)] == [1, 2, 3, 4, 5, 6]
    one.write(lambda tx: tx.delete_entity("urn:1", "x")).result(5)
    assert two.write(add).result(5) == 1
    one.close()
    two.close()


def test_a_lease_has_one_holder_and_passes_on_when_it_ends(tmp_path: Path, cluster: Cluster) -> None:
    one, two = cluster.make(tmp_path, ManualClock()), cluster.make(tmp_path, ManualClock())
    assert one.leads("hub") and one.leads("hub")
    assert not two.leads("hub")
    assert two.leads("other")
    one.close()
    until = time.monotonic() + 5
    while not two.leads("hub"):
        assert time.monotonic() < until, "a closed store lets go of its leases"
        time.sleep(0.1)
    two.close()


def test_a_schema_is_made_once_and_checked_at_the_start(tmp_path: Path, cluster: Cluster) -> None:
    url = cluster.database_of(tmp_path)
    assert init(url) == [] and upgrade(url) == [], "the template has it already"
    assert [step.number for step in init(url, "seoul")] == [step.number for step in list_steps()]
    with pytest.raises(StoreError, match="madang db init"):
        PostgresStore(url, ManualClock(), tenant="nowhere")
    with pytest.raises(StoreError, match="cannot name a tenant"):
        PostgresStore(url, ManualClock(), tenant='x"; DROP')
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DELETE FROM madang_seoul.migration")
        with pytest.raises(StoreError, match="madang db upgrade"):
            PostgresStore(url, ManualClock(), tenant="seoul")
        db.execute("INSERT INTO madang_seoul.migration VALUES (99, 'later')")
        with pytest.raises(StoreError, match="upgrade Madang"):
            PostgresStore(url, ManualClock(), tenant="seoul")


def test_four_processes_may_make_the_tables_together(tmp_path: Path, cluster: Cluster) -> None:
    """On a database without PostGIS, schema or tables. IF NOT EXISTS alone failed here."""
    with cluster.connect("postgres") as db:
        db.execute("CREATE DATABASE together TEMPLATE template0")
    url = cluster.url("together")
    command = [sys.executable, "-m", "madang.app.cli", "db", "init", "--store", url]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert sum("ran 0001" in text for text in said) == 1, "one of them made the tables"
    PostgresStore(url, ManualClock()).close()


def test_a_database_that_is_away_is_named_without_its_password(cluster: Cluster) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        PostgresStore("postgresql://kim:secret@127.0.0.1:1/x", ManualClock())
    assert "secret" not in str(caught.value)


def test_tenants_do_not_see_each_other(tmp_path: Path, cluster: Cluster) -> None:
    url = cluster.database_of(tmp_path)
    init(url, "seoul")
    one, two = PostgresStore(url, ManualClock()), PostgresStore(url, ManualClock(), tenant="seoul")
    one.write(lambda tx: tx.append_reading(reading(T0, 1.0), "s", T0)).result(5)
    with two.read() as read:
        assert read.find_entity(TRUCK) is None and read.last_seq() == 0
    one.close()
    two.close()


def test_history_of_before_the_temporal_interface_is_told(tmp_path: Path, cluster: Cluster) -> None:
    """A schema with a day of history as the first step made it."""
    store = cluster.make(tmp_path, ManualClock(T0))
    store.write(lambda tx: tx.append_reading(reading(T0, 15_000.0), "trucks", T0)).result(5)
    store.close()
    url = cluster.database_of(tmp_path)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("SET search_path TO madang_default")
        db.execute("ALTER TABLE history DROP COLUMN instance")
        db.execute("DROP TABLE temporal_cut, temporal_edit, temporal_only")
        db.execute("DELETE FROM migration WHERE number > 1")
    assert [step.number for step in upgrade(url)] == [step.number for step in list_steps()][1:]
    store = cluster.make(tmp_path, ManualClock(T0 + SECOND))
    store.write(lambda tx: tx.append_reading(reading(T0 + SECOND, 16_000.0), "trucks", T0 + SECOND)).result(5)
    with store.read() as read:
        rows = read.list_instances(TRUCK, ["grossWeight"], Window(), 9, newest=False)
        assert [(row.value, row.attribute) for row in rows] == [(15_000, None), (16_000, None)]
    store.close()


def test_figures_that_are_too_large_leave_the_snapshot_whole(tmp_path: Path, cluster: Cluster) -> None:
    """1e200 squared is no double: PostgreSQL says an error where Python says infinity, and the caller then looks at the instances."""
    store = cluster.make(tmp_path, ManualClock(T0))
    store.write(lambda tx: tx.append_reading(reading(T0, 1e200), "trucks", T0)).result(5)
    with store.read() as read:
        assert read.aggregate(TRUCK, "grossWeight", Window(), ["sumsq"], None, 0) is None
        rows = read.aggregate(TRUCK, "grossWeight", Window(), ["max"], None, 0)
        assert rows is not None and [row.maximum for row in rows] == [1e200]
    store.close()


def test_history_is_partitioned_by_recorded_day(tmp_path: Path, cluster: Cluster) -> None:
    clock = ManualClock()
    store = cluster.make(tmp_path, clock)
    for day in range(3):
        clock.time = T0 + day * DAY
        store.write(lambda tx: tx.append_reading(reading(clock.time, 1.0), "s", clock.time), bulk=True).result(5)
    with store.read() as read:
        rows = read.history(TRUCK, ["grossWeight"], T0, T0 + 9 * DAY, 10)
    assert [row.observed_at for row in rows] == [T0, T0 + DAY, T0 + 2 * DAY]
    with psycopg.connect(cluster.database_of(tmp_path)) as db:
        found = db.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'madang_default.history'::regclass ORDER BY 1"
        ).fetchall()
    assert [row[0] for row in found] == [f"madang_default.history_2026112{day}" for day in (3, 4, 5)]
    store.close()
