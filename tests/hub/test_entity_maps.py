"""Entity maps as the hub keeps them: parts, room, expiry. Expected values by hand."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from madang.app.clocks import ManualClock
from madang.hub import entity_maps
from madang.hub.entity_maps import EntityMap, EntityMaps
from madang.hub.ports import Store
from madang.model.time import DAY, HOUR, MINUTE, parse_instant
from madang.ngsild.entity_map import HERE, Entry
from madang.ngsild.errors import NgsiLdError
from tests.stores.any_store import open_any

NOW = parse_instant("2026-11-25T00:00:00Z")


class Kept:
    def __init__(self, store: Store) -> None:
        self.store, self.clock, numbers = store, ManualClock(NOW), count(1)
        self.maps = EntityMaps(store, self.clock, lambda: str(next(numbers)))

    def create(self, size: int, owner: str = "a", lifetime: int = HOUR) -> str:
        entries = [Entry(f"urn:x:{n}", (HERE, f"urn:r:{n}")) for n in range(size)]
        return self.maps.create(owner, entries, lifetime).result(5).id

    def find(self, id_: str, owner: str = "a") -> EntityMap | None:
        with self.store.read() as read:
            return self.maps.find(read, id_, owner)

    def slice(self, id_: str, start: int, count: int, owner: str = "a") -> list[tuple[int, Entry]]:
        with self.store.read() as read:
            return self.maps.entries(read, self.maps.get(read, id_, owner), start, count)

    def numbers(self, id_: str, start: int, count: int) -> list[int]:
        return [int(entry.id[6:]) for _, entry in self.slice(id_, start, count)]

    def documents(self) -> int:
        with self.store.read() as read:
            return len(read.list_documents("entity-map")) + len(read.list_documents("entity-map-part"))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setattr(entity_maps, "PART_ENTRIES", 3)
    store = open_any(tmp_path / "data", ManualClock(NOW))
    yield Kept(store)
    store.close()


def test_1_entries_are_read_across_parts(kept: Kept) -> None:
    id_ = kept.create(8)
    assert kept.slice(id_, 2, 2) == [(0, Entry("urn:x:2", (HERE, "urn:r:2"))), (1, Entry("urn:x:3", (HERE, "urn:r:3")))]
    assert kept.numbers(id_, 0, 99) == list(range(8)) and kept.numbers(id_, 8, 5) == []
    assert kept.numbers(id_, 6, 1) == [6] and kept.create(0) and kept.numbers(kept.create(0), 0, 5) == []


def test_2_pruned_entries_leave_and_parts_keep_their_numbers(kept: Kept) -> None:
    id_ = kept.create(8)
    kept.maps.prune(id_, "a", {0: {"urn:x:1"}, 1: {"urn:x:3", "urn:x:4", "urn:x:5"}, 9: {"urn:x:0"}}).result(5)
    assert kept.numbers(id_, 0, 99) == [0, 2, 6, 7] and kept.numbers(id_, 1, 2) == [2, 6]
    assert [part for part, _ in kept.slice(id_, 0, 99)] == [0, 0, 2, 2]
    assert kept.documents() == 3
    kept.maps.prune(id_, "b", {0: {"urn:x:0"}}).result(5)
    kept.maps.prune("urn:x:none", "a", {0: {"urn:x:0"}}).result(5)
    assert kept.numbers(id_, 0, 1) == [0]


def test_3_a_map_is_its_owners(kept: Kept) -> None:
    id_ = kept.create(1)
    assert kept.find(id_, "b") is None and kept.find(id_) is not None
    for future in (kept.maps.update(id_, "b", NOW), kept.maps.delete(id_, "b"), kept.maps.delete("urn:x:none", "a")):
        with pytest.raises(NgsiLdError) as raised:
            future.result(5)
        assert raised.value.kind == "ResourceNotFound"
    kept.maps.delete(id_, "a").result(5)
    assert kept.find(id_) is None and kept.documents() == 0


def test_4_a_life_is_bounded(kept: Kept) -> None:
    short, long = kept.create(4, lifetime=MINUTE), kept.create(4, lifetime=99 * DAY)
    found = kept.find(long)
    assert found is not None and found.expires_at == NOW + DAY
    kept.clock.set(NOW + MINUTE)
    assert kept.find(short) is None and kept.find(long) is not None
    kept.maps.update(long, "a", NOW + 2 * DAY).result(5)
    found = kept.find(long)
    assert found is not None and found.expires_at == NOW + MINUTE + DAY
    # What has expired is let go of when the next one is made, and by the hub once a day.
    kept.create(1, "b")
    assert kept.documents() == 3 + 2
    kept.clock.set(NOW + 9 * DAY)
    kept.store.write(kept.maps.forget_expired_in).result(5)
    assert kept.documents() == 0


def test_5_a_caller_has_room_for_so_many(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entity_maps, "MAPS_MAX", 3)
    monkeypatch.setattr(entity_maps, "ALL_ENTRIES_MAX", 10)
    other = kept.create(9, "b")
    first, second, third = kept.create(1), kept.create(2, lifetime=MINUTE), kept.create(1)
    fourth = kept.create(1)
    # The one that would expire first has left.
    assert [kept.find(id_) is not None for id_ in (first, second, third, fourth)] == [True, False, True, True]
    kept.maps.delete(fourth, "a").result(5)
    fifth = kept.create(9)
    assert [kept.find(id_) is not None for id_ in (first, third, fifth)] == [False, True, True]
    assert kept.find(other, "b") is not None


def test_6_other_processes_know_it(kept: Kept) -> None:
    id_ = kept.create(2)
    again = EntityMaps(kept.store, kept.clock, lambda: "9")
    with kept.store.read() as read:
        assert [e.id for _, e in again.entries(read, again.get(read, id_, "a"), 0, 9)] == ["urn:x:0", "urn:x:1"]
