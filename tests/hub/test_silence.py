"""A source falls silent and is heard again: told once each, at exact times, across restarts. Limits by hand: the cadence of the
manure terminals is 10 s, so three cadences are 30 s and the floor of 300 s holds until the city lowers it to 60 s. Here the fleet never
rests, but where the test says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from madang.app.clocks import ManualClock
from madang.hub.hub import City, Hub
from madang.hub.messages import Message
from madang.hub.silence import CADENCES, FLOOR, KIND, RULE
from madang.model.caller import SYSTEM
from madang.model.record import Record
from madang.model.time import SECOND, Instant, parse_instant
from madang.procedure.incident import OPEN, RESOLVED, WITHDRAWN
from madang.services.manure import SERVICE
from tests.stores.any_store import open_any

START = parse_instant("2026-11-23T02:00:00Z")
SOURCE = replace(SERVICE.sources[0], rest_s=0.0)
SITUATION = f"platform:silence:{SOURCE.id}"


class Town:
    """A hub driven by hand; seconds count from `START`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(START)
        self.open()
        self.hub.sources.put(SOURCE)

    def open(self) -> None:
        self.store = open_any(self.folder, self.clock, durable=False)
        self.hub = Hub(self.store, self.clock, [SERVICE], City({"en": "Town"}, (126.0, 33.0, 127.0, 34.0)))

    def close(self) -> None:
        self.hub.stop()
        self.store.close()

    def restart(self, at_s: int) -> None:
        self.close()
        self.at(at_s)
        self.open()

    def at(self, seconds: int) -> Instant:
        self.clock.set(START + seconds * SECOND)
        return self.clock.now()

    def tick(self, at_s: int) -> None:
        self.at(at_s)
        self.hub.tick()

    def hear(self, at_s: int) -> None:
        """A payload that nobody understands is a sign of life, too."""
        now = self.at(at_s)
        self.hub.ingest.submit(SOURCE.id, [Message(b"{%d" % at_s, "manure/t1/telemetry", now)]).result(10)

    def incident(self) -> Record | None:
        with self.store.read() as read:
            id_ = read.find_link("situation", SITUATION)
            return None if id_ is None else read.find_record(id_)

    def actions(self) -> list[str]:
        one = self.incident()
        with self.store.read() as read:
            return [] if one is None else [v.transition.action for v in read.list_versions(one.id)]

    def set(self, name: str, value: float) -> None:
        self.store.write(lambda tx: self.hub.parameters.set_in(tx, SYSTEM, name, value)).result(10)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    made.tick(0)
    yield made
    made.close()


def test_a_source_that_was_never_heard_is_not_silent(town: Town) -> None:
    for seconds in (400, 4_000, 40_000):
        town.tick(seconds)
    assert (town.hub.sources.state(SOURCE.id), town.incident()) == ("never", None)


def test_silence_opens_an_incident_after_the_floor_and_once(town: Town) -> None:
    town.hear(5)
    town.tick(305)
    assert (town.hub.sources.state(SOURCE.id), town.incident()) == ("ok", None)
    town.tick(315)
    one = town.incident()
    assert one is not None
    assert (town.hub.sources.state(SOURCE.id), one.state) == ("silent", OPEN)
    (told,) = one.data["findings"]
    found = told["finding"]
    assert (found["rule"], found["severity"], found["subject"]) == (RULE, "medium", f"urn:ngsi-ld:Source:{SOURCE.id}")
    assert (found["marked_at"], found["completed_at"]) == (START + 5 * SECOND, START + 315 * SECOND)
    (measure,) = found["measures"]
    assert (measure["value"], measure["limit"], measure["unit"]) == (310.0, 300.0, "SEC")
    town.tick(325)
    town.tick(3_000)
    assert len([a for a in town.actions() if a in ("open", "join", "rejoin")]) == 1


def test_a_fleet_that_rests_opens_an_incident_only_beyond_its_rest(town: Town) -> None:
    """Twelve hours of night are no alarm, forty hours and a look are: shown as silent all the while."""
    town.hub.sources.put(replace(SOURCE, rest_s=40 * 3_600.0))
    town.hear(5)
    town.tick(12 * 3_600)
    assert (town.hub.sources.state(SOURCE.id), town.incident()) == ("silent", None)
    town.tick(40 * 3_600 + 5)
    assert town.incident() is None
    town.tick(40 * 3_600 + 16)
    one = town.incident()
    assert one is not None and one.data["findings"][0]["finding"]["measures"][0]["limit"] == 144_000


def test_the_trucks_terminals_may_rest_over_a_weekend() -> None:
    assert SERVICE.sources[0].rest_s == 144_000


def test_heard_again_withdraws_and_the_next_silence_comes_back(town: Town) -> None:
    town.hear(5)
    town.tick(315)
    town.hear(320)
    town.tick(330)
    one = town.incident()
    assert one is not None
    assert (town.hub.sources.state(SOURCE.id), one.state) == ("ok", WITHDRAWN)
    with town.store.read() as read:
        last = read.list_versions(one.id)[-1]
        assert read.list_documents(KIND) == []
    assert last.transition.arguments["reason"]["code"] == "platform.silence.heard"
    assert last.transition.arguments["reason"]["params"]["heard_at"] == START + 320 * SECOND
    town.tick(620)
    assert town.actions() == ["open", "withdraw"]
    town.tick(630)
    assert town.actions() == ["open", "withdraw", "rejoin"]
    again = town.incident()
    assert again is not None and again.id == one.id
    assert again.state not in (WITHDRAWN, RESOLVED)


def test_a_standing_silence_is_told_once_across_a_restart(town: Town) -> None:
    town.hear(5)
    town.tick(315)
    town.restart(400)
    for seconds in (401, 720, 1_100):
        town.tick(seconds)
    assert [a for a in town.actions() if a in ("open", "join", "rejoin")] == ["open"]
    town.hear(1_105)
    town.tick(1_115)
    one = town.incident()
    assert one is not None and one.state == WITHDRAWN


def test_what_was_not_listened_to_is_no_silence(town: Town) -> None:
    town.hear(5)
    town.tick(15)
    town.restart(10_000)
    town.tick(10_000)
    town.tick(10_300)
    assert town.incident() is None
    town.tick(10_310)
    one = town.incident()
    assert one is not None
    assert one.data["findings"][0]["finding"]["marked_at"] == START + 5 * SECOND


def test_the_limits_are_the_citys(town: Town) -> None:
    town.set(FLOOR, 60)
    town.hear(5)
    town.tick(65)
    assert (town.hub.sources.state(SOURCE.id), town.incident()) == ("ok", None)
    town.set(CADENCES, 9)  # 90 s
    town.tick(95)
    assert (town.hub.sources.state(SOURCE.id), town.incident()) == ("ok", None)
    town.tick(105)
    assert town.hub.sources.state(SOURCE.id) == "silent"
    assert town.incident() is not None


def test_both_languages_have_the_words(town: Town) -> None:
    town.hear(5)
    town.tick(315)
    one = town.incident()
    assert one is not None
    reason = one.data["findings"][0]["finding"]["reason"]
    said = {lang: town.hub.words.say(reason, lang) for lang in ("en", "ko")}
    assert said["en"] == "Nothing from source manure-terminals since 23 Nov 11:00:05 (silent after 5 min)"
    assert said["ko"] == "수집원 manure-terminals에서 11월 23일 11:00:05 이후 수신이 없습니다 (기준 5분)"
    assert not town.hub.words.missing
