"""The demo begins in mid-story: soon a dump at a river bank ends, and the hours before were busy."""

from collections import Counter

import pytest

from madang.model.time import HOUR, MINUTE, SECOND, parse_instant
from madang.simulate.city import ManifestAction, Telemetry
from madang.simulate.story import LEAD_S, PREFILL, Story, build_story
from madang.simulate.town import Town
from tests.simulate.conftest import SEED

SUNDAY = parse_instant("2026-11-22T05:00:00Z")


@pytest.fixture(scope="module")
def story(town: Town) -> Story:
    return build_story(SEED, SUNDAY, speed=4.0, town=town)


def test_a_dump_at_the_bank_ends_soon_after_the_start(story: Story) -> None:
    assert story.dump.rule == "manure.D1"
    assert "bank" in story.dump.note
    assert story.dump.ended_at - story.starts_at == round(LEAD_S * 4 * SECOND)
    assert story.starts_at - story.prefill_from == PREFILL


def test_it_is_dusk_of_the_same_local_day_even_on_a_sunday(story: Story) -> None:
    local = story.starts_at + 9 * HOUR
    assert local // (24 * HOUR) == (SUNDAY + 9 * HOUR) // (24 * HOUR)
    assert 15 <= local % (24 * HOUR) / HOUR <= 20.5


def test_the_terminal_of_that_truck_reports_live_around_the_dump(story: Story) -> None:
    code = story.dump.subject.rpartition(":")[2]
    events = story.city.events(story.dump.started_at - 5 * MINUTE, story.dump.ended_at + 5 * MINUTE)
    mine = [e for e in events if isinstance(e, Telemetry) and e.device == code and b'"w":' in e.payload and not e.dup]
    assert len(mine) >= 0.85 * (story.dump.ended_at - story.dump.started_at + 10 * MINUTE) / (10 * SECOND)


def test_the_hours_before_are_busy(story: Story) -> None:
    events = list(story.prefill())
    actions = Counter(e.action for e in events if isinstance(e, ManifestAction))
    assert (
        min(actions[a] for a in ("create", "precheck", "start", "load", "depart", "unload", "finish", "confirm")) >= 40
    )
    sent = [e for e in events if isinstance(e, Telemetry)]
    assert 4_000 < len(sent) < 25_000
    before = [e for e in story.city.truth() if story.prefill_from <= e.ended_at < story.starts_at]
    assert len(before) >= 1
    assert all(e.at < story.starts_at for e in events)


def test_no_load_of_an_open_manifest_is_half_seen(story: Story) -> None:
    """Of a truck whose manifest is open when the prefill begins, telemetry reaches back to before its precheck."""
    first_seen: dict[str, int] = {}
    opened: dict[str, int] = {}
    truck: dict[str, str] = {}
    for event in story.prefill():
        if isinstance(event, Telemetry):
            first_seen.setdefault(event.device, event.at)
        elif isinstance(event, ManifestAction) and event.at < story.prefill_from:
            if event.action == "create":
                truck[event.manifest_ref] = str(event.arguments["vehicle"]).rpartition(":")[2]
            elif event.action == "precheck":
                opened[event.manifest_ref] = event.at
            elif event.action in ("finish", "cancel"):
                opened.pop(event.manifest_ref, None)
    assert opened
    for ref, at in opened.items():
        assert first_seen[truck[ref]] < at + MINUTE or first_seen[truck[ref]] < story.prefill_from + 40 * MINUTE


def test_speed_must_be_positive(town: Town) -> None:
    with pytest.raises(ValueError, match="speed"):
        build_story(SEED, SUNDAY, speed=0, town=town)
