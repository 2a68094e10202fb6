"""The embedded store: the common check, and what is its own (lock, full disk, schema)."""

from pathlib import Path

import apsw
import pytest

from madang.hub.ports import NotQuick, StoreError, StoreFull, StoreLocked
from madang.model.entity import point, prop
from madang.model.time import SECOND
from madang.ngsild.query import Compare, Near, Query
from madang.ngsild.temporal import Window
from madang.stores.sqlite import SqliteStore
from tests.stores.check_store import CHECKS
from tests.stores.kit import T0, TRUCK, ManualClock, reading
from tests.stores.schema_v1 import DDL as DDL_1


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_passes_the_check_of_every_store(check, tmp_path: Path) -> None:
    check(SqliteStore, tmp_path)


def test_second_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, ManualClock())
    with pytest.raises(StoreLocked, match=r"another Madang \(process \d+\) holds"):
        SqliteStore(tmp_path, ManualClock())
    store.close()
    SqliteStore(tmp_path, ManualClock()).close()


def test_newer_schema_is_refused_and_not_touched(tmp_path: Path) -> None:
    SqliteStore(tmp_path, ManualClock()).close()
    db = apsw.Connection(str(tmp_path / "default.db"))
    db.pragma("user_version", 99)
    db.close()
    with pytest.raises(StoreError, match="upgrade Madang"):
        SqliteStore(tmp_path, ManualClock())


def test_a_file_of_version_1_is_brought_up_and_keeps_what_it_holds(tmp_path: Path) -> None:
    db = apsw.Connection(str(tmp_path / "default.db"))
    db.execute(DDL_1)
    body = '{"a":{"type":"Property","value":1},"b":{"type":"Property","value":2}}'
    db.execute(
        "INSERT INTO entity VALUES (1, 'urn:E:1', 'T', ?, ?, ?, ?, 7, NULL, NULL, 0)", (body, T0, T0 + SECOND, T0)
    )
    db.execute(
        "INSERT INTO log VALUES (7, 'reading', ?, ?, ?, 'urn:E:1', 'T', 's', 0, ?, NULL)", (T0 + SECOND, T0, T0, body)
    )
    db.pragma("user_version", 1)
    db.close()
    store = SqliteStore(tmp_path, ManualClock(T0 + 5 * SECOND))
    with store.read() as read:
        entity = read.find_entity("urn:E:1", stamps=True)
        assert entity is not None
        assert (entity.attributes["b"], entity.types, entity.scopes, entity.expires_at) == (prop(2), (), (), None)
        assert entity.stamps == {"a": (T0, T0 + SECOND), "b": (T0, T0 + SECOND)}
        assert [(c.seq, c.removed, c.previous) for c in read.read_log(0, 9)] == [(7, (), None)]
    store.write(
        lambda tx: tx.put_entity("urn:E:1", "T", {"a": prop(5)}, "s", reference=False, replace=False, scopes=["/x"])
    ).result(5)
    store.close()
    store = SqliteStore(tmp_path, ManualClock(T0 + 6 * SECOND))
    with store.read() as read:
        entity = read.find_entity("urn:E:1", stamps=True)
        assert entity is not None and entity.scopes == ("/x",)
        assert entity.stamps == {"a": (T0, T0 + 5 * SECOND), "b": (T0, T0 + SECOND)}
    store.close()


def test_a_migrated_file_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    def tables(folder: Path) -> dict[str, list[tuple[str, str, int]]]:
        db = apsw.Connection(str(folder / "default.db"))
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema ORDER BY name").fetchall()]
        found = {n: [(r[1], r[2], r[3]) for r in db.execute(f"PRAGMA table_info('{n}')").fetchall()] for n in names}
        db.close()
        return found

    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    db = apsw.Connection(str(old / "default.db"))
    db.execute(DDL_1)
    db.pragma("user_version", 1)
    db.close()
    for folder in (old, new):
        SqliteStore(folder, ManualClock()).close()
    assert tables(old) == tables(new)


def test_history_of_before_the_temporal_interface_is_told(tmp_path: Path) -> None:
    """A day's table without the column of whole instances, as schema 3 had it."""
    store = SqliteStore(tmp_path, ManualClock(T0))
    store.write(lambda tx: tx.append_reading(reading(T0, 15_000.0), "trucks", T0)).result(5)
    store.close()
    db = apsw.Connection(str(tmp_path / "default.db"))
    day = db.execute("SELECT day FROM history_day").fetchall()[0][0]
    db.execute(f"ALTER TABLE history_{day} DROP COLUMN instance")
    db.execute("DROP TABLE temporal_cut; DROP TABLE temporal_edit; DROP TABLE temporal_only")
    db.pragma("user_version", 3)
    db.close()
    store = SqliteStore(tmp_path, ManualClock(T0 + SECOND))
    store.write(lambda tx: tx.append_reading(reading(T0 + SECOND, 16_000.0), "trucks", T0 + SECOND)).result(5)
    with store.read() as read:
        rows = read.list_instances(TRUCK, ["grossWeight"], Window(), 9, newest=False)
        assert [(row.value, row.attribute) for row in rows] == [(15_000, None), (16_000, None)]
    store.close()


def test_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "default.db").write_bytes(b"not a database " * 100)
    with pytest.raises(StoreError, match="damaged"):
        SqliteStore(tmp_path, ManualClock())


def test_full_disk_acknowledges_nothing_and_recovers(tmp_path: Path) -> None:
    """SQLite's own page limit stands for the disk: the same SQLITE_FULL, without needing a small file system."""
    store = SqliteStore(tmp_path, ManualClock())
    store.write(lambda tx: tx.append_reading(reading(T0, 1.0), "s", T0), bulk=True).result(5)
    pages = store.write(lambda tx: tx._db.pragma("page_count")).result(5)
    store.write(lambda tx: tx._db.pragma("max_page_count", pages + 4)).result(5)
    stored = [0]
    with pytest.raises(StoreFull, match="free some space"):
        for n in range(1, 2000):
            store.write(
                lambda tx, n=n: tx.append_reading(reading(T0 + n * SECOND, float(n)), "s", T0), bulk=True
            ).result(5)
            stored.append(n)
    assert "disk is full" in store.failure
    with store.read() as read:
        entity = read.find_entity(TRUCK)
        assert entity is not None and entity.observed_at == T0 + stored[-1] * SECOND
        assert len(read.read_log(0, 10_000)) == len(stored)
    store.write(lambda tx: None)
    store.write(lambda tx: tx._db.pragma("max_page_count", 1_000_000)).result(5)
    change = store.write(lambda tx: tx.append_reading(reading(T0 + 9_000 * SECOND, 7.0), "s", T0), bulk=True).result(5)
    assert change.seq == len(stored) + 1
    assert store.failure == ""
    store.close()


def put_things(store: SqliteStore, count: int) -> None:
    """Things that stand within 100 m of one another; their ids sort the other way round than they were made."""

    def op(tx) -> None:
        for n in range(count):
            attributes = {"speed": prop(n % 100), "location": point(127.0 + n * 1e-6, 36.0)}
            tx.put_entity(f"urn:t:{count - n:05d}", "Thing", attributes, "s", reference=False, replace=True)

    store.write(op, bulk=True).result(30)


def test_a_question_that_takes_long_is_not_answered_on_the_spot(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, ManualClock())
    put_things(store, 3_000)
    none = Query(types=("Thing",), where=Compare("speed", ">", 1_000))
    few = Query(types=("Thing",), where=Compare("speed", ">", 50), limit=10)
    for _ in range(30):  # SQLite counts the steps of a statement over all its runs: none of them may stop a later one
        with pytest.raises(NotQuick), store.read(quick=True) as read:
            read.query_bodies(none)
        with store.read(quick=True) as read:
            assert len(read.query_bodies(few).rows) == 10
    with store.read() as read:
        assert read.query_bodies(none).rows == []
    store.close()


def test_pages_in_any_order_hold_everything_once(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, ManualClock())
    put_things(store, 95)
    place = Near(geometry={"type": "Point", "coordinates": [127.0, 36.0]}, maximum_m=500)
    seen: list[str] = []
    with store.read() as read:
        for offset in range(0, 100, 10):
            page = read.query_bodies(Query(types=("Thing",), place=place, limit=10, offset=offset, any_order=True))
            assert page.more == (offset < 90)
            seen += [id_ for id_, _ in page.rows]
        by_id = read.query(Query(types=("Thing",), place=place, limit=3))
    assert len(seen) == 95 and sorted(seen) == [f"urn:t:{n:05d}" for n in range(1, 96)]
    assert [entity.id for entity in by_id.entities] == ["urn:t:00001", "urn:t:00002", "urn:t:00003"]
    store.close()


def test_ops_find_what_was_loaded_for_all_of_them_at_once(tmp_path: Path) -> None:
    """With the ids of what they look at, ops see the same as without: what is there, what is not, what was deleted."""
    store = SqliteStore(tmp_path, ManualClock())
    put_things(store, 3)
    store.write(lambda tx: tx.delete_entity("urn:t:00002", "s")).result(5)
    store.close()
    again = SqliteStore(tmp_path, ManualClock())
    ids = ("urn:t:00001", "urn:t:00002", "urn:t:00003", "urn:t:00009", "urn:t:00001")
    found = again.write(lambda tx: [tx.find_entity(id_) is not None for id_ in ids], bulk=True, ids=ids).result(5)
    assert found == [True, False, True, False, True]

    def change(tx) -> None:
        tx.put_entity("urn:t:00001", "Other", {"a": prop(1)}, "s", reference=False, replace=True)
        tx.put_entity("urn:t:00009", "Thing", {"a": prop(2)}, "s", reference=False, replace=True)
        tx.put_entity("urn:t:00002", "Thing", {"a": prop(3)}, "s", reference=False, replace=True)

    again.write(change, bulk=True, ids=ids).result(5)
    with again.read() as read:
        assert read.list_types() == {"Other": 1, "Thing": 3}
        assert read.list_ids("Other") == ["urn:t:00001"]
    again.close()
