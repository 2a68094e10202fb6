"""Snapshots as the hub keeps them: parts, room, what is gone meanwhile. Expected values by hand."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from madang.access.roles import caller_of
from madang.app.clocks import ManualClock
from madang.hub import snapshots
from madang.hub.frozen import Frozen
from madang.hub.ports import InstanceRow, Store
from madang.hub.snapshots import Snapshots, parts_of
from madang.model.entity import Entity, prop
from madang.model.time import DAY, HOUR, parse_instant
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.snapshot import Kept
from tests.stores.any_store import open_any

NOW = parse_instant("2026-11-25T00:00:00Z")
ADMIN, VIEWER = caller_of("a", "admin"), caller_of("v", "viewer")


class Album:
    def __init__(self, store: Store) -> None:
        self.store, self.clock, numbers = store, ManualClock(NOW), count(1)
        self.snapshots = Snapshots(store, self.clock, None, lambda: str(next(numbers)))

    def create(self, id_: str, caller: object = ADMIN, **members: object) -> Kept:
        return self.snapshots.create(caller, {"id": id_, "type": "Snapshot", **members}).result(5)  # type: ignore[arg-type]

    def get(self, id_: str) -> Kept:
        with self.store.read() as read:
            return self.snapshots.get(read, id_, ADMIN)

    def rows(self, id_: str) -> list[Frozen]:
        with self.store.read() as read:
            return self.snapshots.frozen(read, self.snapshots.get(read, id_, ADMIN))

    def documents(self) -> int:
        with self.store.read() as read:
            return len(read.list_documents("snapshot")) + len(read.list_documents("snapshot-part"))


@pytest.fixture
def album(tmp_path: Path) -> Iterator[Album]:
    store = open_any(tmp_path / "data", ManualClock(NOW))
    yield Album(store)
    store.close()


def frozen(number: int, instances: int | None = None) -> Frozen:
    entity = Entity(
        f"urn:{number}", "T", {"a": prop(number)}, NOW, NOW, 0, 7, stamps={"a": (NOW, NOW + 1)}, scopes=("/x",)
    )
    rows = [InstanceRow("a", str(n), n, None, n, n, n, n) for n in range(instances or 0)]
    return Frozen(entity, True, None if instances is None else rows)


def test_1_parts_come_back_as_they_were(album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "PART_ENTITIES", 3)
    monkeypatch.setattr(snapshots, "PART_INSTANCES", 10)
    rows = [frozen(1), frozen(2), frozen(3), frozen(4, 0), frozen(5, 4), frozen(6, 7), frozen(7, 25), frozen(8)]
    parts = parts_of(rows)
    assert [[row.entity.id[4:] for row in part] for part in parts] == [
        ["1", "2", "3"],
        ["4", "5"],
        ["6"],
        ["7"],
        ["7"],
        ["7", "8"],
    ]
    made = album.create("urn:s:1")
    assert all(album.snapshots.append(made, part).result(5) for part in parts)
    kept = album.get("urn:s:1")
    assert (kept.parts, album.documents()) == (6, 7)
    assert album.rows("urn:s:1") == rows
    again = Snapshots(album.store, album.clock, None, str)
    with album.store.read() as read:
        assert again.frozen(read, kept) == rows
    album.snapshots.delete("urn:s:1", ADMIN).result(5)
    assert album.documents() == 0


def test_2_one_that_is_gone_is_not_filled(album: Album) -> None:
    """Also when another one has its id by then."""
    made = album.create("urn:s:1")
    album.snapshots.delete("urn:s:1", ADMIN).result(5)
    assert not album.snapshots.append(made, [frozen(1)]).result(5)
    album.clock.set(NOW + 1)
    other = album.create("urn:s:1")
    assert not album.snapshots.append(made, [frozen(1)]).result(5)
    assert album.snapshots.append(other, [frozen(2)]).result(5)
    assert album.rows("urn:s:1") == [frozen(2)]


def test_3_there_is_room_for_so_many(album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOTS_MAX", 3)
    monkeypatch.setattr(snapshots, "SNAPSHOTS_OF_ONE_MAX", 2)
    album.create("urn:s:1", snapshotLifetime="PT1H")
    album.create("urn:s:2")
    for id_, caller in (("urn:s:3", ADMIN), ("urn:s:3", VIEWER), ("urn:s:4", VIEWER)):
        if (id_, caller) == ("urn:s:3", VIEWER):
            album.create(id_, caller)
            continue
        with pytest.raises(NgsiLdError) as raised:
            album.create(id_, caller)
        assert raised.value.kind == "OperationNotSupported"
    # What has expired makes room.
    album.clock.set(NOW + HOUR)
    album.create("urn:s:5")
    album.clock.set(NOW + 8 * DAY)
    album.store.write(album.snapshots.forget_expired_in).result(5)
    assert album.documents() == 0


def test_4_the_memory_is_bounded(album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "CACHE_BYTES", 400)
    for number in range(5):
        made = album.create(f"urn:s:{number}")
        album.snapshots.append(made, [frozen(number)]).result(5)
        assert album.rows(made.id) == [frozen(number)]
    assert 1 <= len(album.snapshots._cache) < 5
    assert album.rows("urn:s:0") == [frozen(0)]
