"""What leaves the change log and what holds it, on the clock of the test; expected places are counted by hand."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from madang.flow.runner import Paused
from madang.hub import trim
from madang.hub.flow import PAUSED_KIND
from madang.hub.ports import Store
from madang.hub.trim import LogTrim, first_change, seq_at
from madang.model.entity import Reading, prop
from madang.model.time import DAY, SECOND, parse_instant
from tests.stores.any_store import open_any

T0 = parse_instant("2026-11-01T00:00:00Z")
ID = "urn:ngsi-ld:Vehicle:1"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.at = T0

    def now(self) -> int:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with 40 changes: number n was recorded on day n - 1, one a day. Two changes at the end may be resumed from."""
    monkeypatch.setattr(trim, "RESUME_MAX", 2)
    found = open_any(tmp_path, clock, durable=False)
    for n in range(40):
        clock.at = T0 + n * DAY
        reading = Reading(ID, "Vehicle", clock.at, {"grossWeight": prop(n, "KGM")})
        found.write(lambda tx, r=reading: tx.append_reading(r, "s", r.observed_at)).result(10)  # type: ignore[misc]
    yield found
    found.close()


def kept(store: Store) -> list[int]:
    with store.read() as read:
        return [change.seq for change in read.read_log(0, 1_000)]


def test_what_is_older_goes_and_the_rest_stays(store: Store, clock: Clock) -> None:
    one = LogTrim(store, 30)
    # Now it is day 39: what was recorded before day 9 goes, so that number 10 (day 9) is the first that stays.
    assert one.step(clock.now()) == 9
    assert kept(store) == list(range(10, 41))
    assert one.step(clock.now()) == 0, "it looks once a minute"
    with store.read() as read:
        rows = read.history(ID, ["grossWeight"], T0, T0 + 100 * DAY, 100)
        entity = read.find_entity(ID)
        assert (len(rows), first_change(read), read.last_seq()) == (40, (10, T0 + 9 * DAY), 40)
    assert entity is not None and entity.attributes["grossWeight"]["value"] == 39
    clock.at += DAY
    assert (one.step(clock.now()), one.trimmed) == (1, 10)


def test_the_end_stays_however_old(store: Store, clock: Clock) -> None:
    """Of 40 changes the last two may be resumed from: number 38 and what follows stays."""
    clock.at += 3_000 * DAY
    assert LogTrim(store, 30).step(clock.now()) == 37
    assert kept(store) == [38, 39, 40]
    reading = Reading(ID, "Vehicle", clock.at, {"grossWeight": prop(1, "KGM")})
    assert store.write(lambda tx: tx.append_reading(reading, "s", clock.at)).result(10).seq == 41


def test_a_consumer_that_lags_holds_it(store: Store, clock: Clock) -> None:
    store.write(lambda tx: tx.put_cursor("slow", 4)).result(10)
    store.write(lambda tx: tx.put_cursor("fast", 40)).result(10)
    one = LogTrim(store, 30)
    assert (one.step(clock.now()), kept(store)[0]) == (4, 5)
    store.write(lambda tx: tx.put_cursor("slow", 40)).result(10)
    clock.at += 61 * SECOND
    # Numbers 5 to 9, and number 10, which is a minute older than 30 days by now.
    assert (one.step(clock.now()), kept(store)[0]) == (6, 11)


def test_a_paused_key_holds_it(store: Store, clock: Clock) -> None:
    paused = Paused("detector", "key", 3, "it raised")
    store.write(lambda tx: tx.put_document(PAUSED_KIND, "detector/key", msgspec.json.encode(paused))).result(10)
    assert LogTrim(store, 30).step(clock.now()) == 2
    assert kept(store)[0] == 3


def test_much_goes_in_steps(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trim, "STEP_CHANGES", 4)
    one = LogTrim(store, 30)
    assert [one.step(clock.now()) for _ in range(4)] == [4, 4, 1, 0]
    assert kept(store)[0] == 10


def test_for_ever_and_too_short(store: Store, clock: Clock) -> None:
    clock.at += 3_000 * DAY
    assert LogTrim(store, 0).step(clock.now()) == 0
    for days in (1, 8, -1):
        if days > 0:
            with pytest.raises(ValueError, match="9 days"):
                LogTrim(store, days)
    assert len(kept(store)) == 40


def test_an_empty_log(tmp_path: Path, clock: Clock) -> None:
    found = open_any(tmp_path / "empty", clock, durable=False)
    try:
        assert LogTrim(found, 30).step(clock.now()) == 0
        with found.read() as read:
            assert (first_change(read), seq_at(read, T0)) == (None, 1)
    finally:
        found.close()


def test_places_in_a_cut_log(store: Store, clock: Clock) -> None:
    LogTrim(store, 30).step(clock.now())
    with store.read() as read:
        assert [seq_at(read, T0 + day * DAY, 10) for day in (0, 9, 10, 39, 40)] == [10, 10, 11, 40, 41]
        assert seq_at(read, T0 + 10 * DAY + 1, 10) == 12
