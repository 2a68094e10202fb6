"""The embedded store: the common check, and what is its own (lock, full disk, schema)."""

from pathlib import Path

import apsw
import pytest

from madang.hub.ports import StoreError, StoreFull, StoreLocked
from madang.model.time import SECOND
from madang.stores.sqlite import SqliteStore
from tests.stores.check_store import CHECKS, T0, TRUCK, ManualClock, reading


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
