"""Tenants as schemas of one database: which there are, who else finds them, what an upgrade takes in."""

import threading
import time
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from madang.app.cli import main
from madang.app.doctor import examine
from madang.hub.ports import StoreError
from madang.model.entity import prop
from madang.stores.postgres import migrate
from madang.stores.postgres.tenants import PostgresTenants, list_tenants
from tests.stores.cluster import Cluster
from tests.stores.kit import ManualClock


def test_each_has_a_schema_and_capitals_and_dashes_count(tmp_path: Path, cluster: Cluster) -> None:
    url = cluster.database_of(tmp_path)
    tenants = PostgresTenants(url, ManualClock())
    assert tenants.list_names() == []
    names = ["Jeju", "jeju", "jeju-si", "0_1", "x" * 50]
    stores = {name: tenants.open(name) for name in names}
    assert tenants.list_names() == sorted(names) and list_tenants(url) == sorted([*names, "default"])
    for name, store in stores.items():
        store.write(
            lambda tx, name=name: tx.put_entity("urn:1", "T", {"n": prop(name)}, "t", reference=False, replace=True)
        ).result(9)
    for name, store in stores.items():
        with store.read() as read:
            entity = read.find_entity("urn:1")
            assert entity is not None and entity.attributes["n"]["value"] == name
        store.close()
    default = cluster.make(tmp_path, ManualClock())
    with default.read() as read:
        assert read.find_entity("urn:1") is None
    default.close()
    with pytest.raises(StoreError, match="cannot name a tenant"):
        tenants.open('x"; DROP SCHEMA madang_jeju')


def test_one_that_another_process_makes_is_found_and_two_at_once_make_it_once(tmp_path: Path, cluster: Cluster) -> None:
    url = cluster.database_of(tmp_path)
    one, two = PostgresTenants(url, ManualClock()), PostgresTenants(url, ManualClock())
    stores = []
    threads = [threading.Thread(target=lambda t=t: stores.append(t.open("alpha"))) for t in (one, two, one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(stores) == 4 and two.list_names() == ["alpha"]
    stores[0].write(lambda tx: tx.put_entity("urn:1", "T", {}, "t", reference=False, replace=True)).result(9)
    until = time.monotonic() + 9
    while stores[3].last_seq() == 0 and time.monotonic() < until:
        time.sleep(0.02)
    with stores[3].read() as read:
        assert read.find_entity("urn:1") is not None
    for store in stores:
        store.close()


def test_a_schema_without_tables_is_no_tenant(tmp_path: Path, cluster: Cluster) -> None:
    url = cluster.database_of(tmp_path)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE SCHEMA madang_begun")
        db.execute("CREATE SCHEMA other")
        db.execute("CREATE TABLE other.migration (number integer)")
    assert PostgresTenants(url, ManualClock()).list_names() == []


def test_an_upgrade_takes_in_all_and_doctor_tells_of_each(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cluster.database_of(tmp_path)
    steps = migrate.list_steps()
    with monkeypatch.context() as older:
        older.setattr(migrate, "list_steps", lambda: steps[:1])
        migrate.init(url, "alpha")
    told = {check.what: check for check in examine(tmp_path, url)}
    assert told["tenant alpha"].state == "fail" and "db upgrade" in told["tenant alpha"].detail
    with pytest.raises(StoreError, match="db upgrade"):
        PostgresTenants(url, ManualClock()).open("alpha")
    ran = CliRunner().invoke(main, ["db", "upgrade", "--store", url])
    assert " of alpha" in ran.output, ran.output
    PostgresTenants(url, ManualClock()).open("alpha").close()
