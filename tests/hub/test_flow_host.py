"""The detectors on a real store: exactly once across restarts, emitted observations, paused keys, a full disk."""

from pathlib import Path

import msgspec
import pytest

from madang.flow.contract import check_format
from madang.hub.flow import FlowHost
from madang.hub.ports import StoreError
from madang.model.entity import Reading, prop
from madang.model.time import SECOND
from tests.flow.counting import Counting, CountState, Echo
from tests.stores.any_store import open_any
from tests.stores.kit import T0, ManualClock


class City:
    """A store with detectors whose findings are written to a list in the store."""

    def __init__(self, folder: Path, detectors=None) -> None:
        self.clock = ManualClock()
        self.store = open_any(folder, self.clock)
        self.detectors = detectors or [Counting(), Echo()]
        self.host = FlowHost(self.store, self.detectors, {}, self.on_finding)

    def on_finding(self, tx, finding, id_, seq) -> None:
        tx.put_document("found", f"{tx.next_number('found'):06}", f"{finding.rule} {finding.subject} {id_}".encode())

    def send(self, thing: str, n: int = 0) -> None:
        self.clock.time += SECOND
        reading = Reading(f"urn:{thing}", "Thing", self.clock.time, {"n": prop(n)})
        self.store.write(lambda tx: tx.append_reading(reading, "s", self.clock.time), bulk=True).result(5)

    def found(self) -> list[str]:
        with self.store.read() as read:
            return [body.decode() for _, body in read.list_documents("found")]

    def rules(self) -> list[str]:
        return sorted(line.rpartition(" ")[0] for line in self.found())


def test_01_findings_and_emitted_observations(tmp_path: Path) -> None:
    city = City(tmp_path)
    for n in range(7):
        city.send("a", n)
    city.host.settle()
    assert city.rules() == [
        "t.echo urn:Triple:urn:a:3",
        "t.echo urn:Triple:urn:a:6",
        "t.third urn:a",
        "t.third urn:a",
    ]
    with city.store.read() as read:
        triple = read.find_entity("urn:Triple:urn:a:6")
        assert triple is not None and triple.attributes["n"]["value"] == 6
    assert city.host.lag() == 0
    city.host.close()
    city.store.close()


@pytest.mark.parametrize("cut", range(1, 12))
def test_02_a_crash_at_any_place_neither_loses_nor_doubles(tmp_path: Path, cut: int) -> None:
    """The process dies after `cut` readings: processed but uncommitted work is gone, the log is not."""
    city = City(tmp_path)
    for n in range(cut):
        city.send("ab"[n % 2], n)
        if n % 3 == 0:
            city.host.run_once()
    if cut % 2:
        for change in city.host._next_changes():
            city.host.runner.advance(change)  # processed, never committed
    city.store.close()  # the host is not closed: its memory dies
    again = City(tmp_path)
    again.clock.time = city.clock.time
    for n in range(cut, 12):
        again.send("ab"[n % 2], n)
    again.host.settle()
    assert again.rules() == ["t.echo urn:Triple:urn:a:3", "t.echo urn:Triple:urn:a:6", "t.echo urn:Triple:urn:b:3",
                             "t.echo urn:Triple:urn:b:6", "t.third urn:a", "t.third urn:a", "t.third urn:b", "t.third urn:b"]  # fmt: skip
    again.store.close()


def test_03_more_than_memory_holds_is_read_from_the_log(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("madang.hub.flow.PENDING_MAX", 5)
    city = City(tmp_path)
    city.host.settle()
    for n in range(40):
        city.send("a", n + 20)
    assert city.host.lag() == 40
    city.host.settle()
    assert len(city.found()) == 13 * 2
    city.store.close()


def test_04_timers_survive_a_restart(tmp_path: Path) -> None:
    city = City(tmp_path)
    city.send("a")
    city.host.settle()
    city.host.close()
    city.store.close()
    again = City(tmp_path)
    again.clock.time = city.clock.time + 61 * SECOND
    again.store.write(lambda tx: tx.append_clock_mark()).result(5)
    again.host.settle()
    again.store.write(lambda tx: tx.append_clock_mark()).result(5)
    again.host.settle()
    assert again.rules() == ["t.silent urn:a"]
    again.store.close()


def test_05_a_paused_key_is_replayed_by_the_mended_detector(tmp_path: Path) -> None:
    city = City(tmp_path)
    for n in (1, 2, 13, 4, 5, 6, 7):
        city.send("a", n)
        city.send("b", 0)
    city.host.settle()
    assert [p.key for p in city.host.runner.list_paused()] == ["urn:a"]
    assert city.host.resume_all() != [], "the old detector fails again"
    city.host.close()
    city.store.close()
    mended = City(tmp_path, [Counting(poison=-1), Echo()])
    assert [p.key for p in mended.host.runner.list_paused()] == ["urn:a"], "a pause outlives a restart"
    assert mended.host.resume_all() == []
    mended.clock.time = T0 + 100 * SECOND
    mended.send("a", 1)
    mended.send("a", 1)
    mended.host.settle()
    assert mended.rules().count("t.third urn:a") == 3, "2 in the replay (3rd, 6th), 1 afterwards (9th)"
    assert mended.rules().count("t.third urn:b") == 2
    mended.store.close()


def test_06_a_failed_commit_is_tried_again_and_nothing_is_doubled(tmp_path: Path, monkeypatch) -> None:
    city = City(tmp_path)
    for n in range(3):
        city.send("a", n)
    real = city.store.write
    monkeypatch.setattr(city.store, "write", lambda op, bulk=False: (_ for _ in ()).throw(StoreError("full")))
    with pytest.raises(StoreError):
        city.host.run_once()
    monkeypatch.setattr(city.store, "write", real)
    city.host.settle()
    assert city.rules() == ["t.echo urn:Triple:urn:a:3", "t.third urn:a"]
    city.store.close()


class Rewritten(Counting):
    """The next version of Counting: its states are of format 2, those stored before have none."""

    def encode(self, state: CountState) -> bytes:
        return msgspec.json.encode({"format": 2, "state": state})

    def decode(self, document: bytes) -> CountState:
        check_format(document, 2, self.id)
        return msgspec.convert(msgspec.json.decode(document)["state"], CountState)


def test_older_states_start_anew_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two readings of three were counted in the older format, and one key was paused by an error that is mended by now."""
    city = City(tmp_path)
    for n in (1, 2, 13):
        city.send("b", 0)
        city.send("a", n)
        city.host.settle()
    assert [p.key for p in city.host.runner.list_paused()] == ["urn:a"]
    city.host.close()
    city.store.close()
    newer = City(tmp_path, [Rewritten(poison=-1), Echo()])
    newer.clock.time = T0 + 100 * SECOND
    assert newer.host.resume_all() == [], "it is not paused for ever"
    newer.send("b")
    newer.send("b")
    newer.host.settle()
    assert newer.rules().count("t.third urn:b") == 1, "the third in the older format; counting began anew"
    newer.send("b")
    newer.host.settle()
    assert newer.rules().count("t.third urn:b") == 2
    said = [r.getMessage() for r in caplog.records if "anew" in r.getMessage()]
    assert said == [
        f"detector t.counting starts key urn:{key} anew: t.counting: state format 0 is older than 2" for key in "ab"
    ]
    newer.host.close()
    newer.store.close()
    again = City(tmp_path, [Rewritten(poison=-1), Echo()])
    again.clock.time = newer.clock.time
    again.send("b")
    again.send("b")
    again.host.settle()
    assert again.rules().count("t.third urn:b") == 2, "the newer state was kept: 5 of 6"
    again.store.close()
