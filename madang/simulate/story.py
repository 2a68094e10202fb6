"""Where the demo begins: a moment of the sample city at which a newcomer soon sees something happen.

The city's clock starts so that shortly afterwards a driver finishes dumping on a river bank at dusk, with a terminal that
reports without a gap; the
hours before hold trips, a few incidents and manifests in many states.
"""

from collections.abc import Iterator

from msgspec import Struct

from madang.model.time import DAY, HOUR, MINUTE, SECOND, Instant
from madang.services.manure import sample
from madang.services.manure.sample import TruckDay, TruthEvent
from madang.simulate.city import UTC_OFFSET, ManifestAction, SampleCity, SampleEvent, Telemetry
from madang.simulate.town import Town, build_town

PREFILL = 3 * HOUR
LEAD_S = 20
"""Seconds on the watcher's own clock from the demo's start to the end of the dump."""
CANDIDATES = 5
"""Drivers who are made to dump that evening; the best observed one sets the clock."""
FORCED = "river_part"


class Story(Struct, frozen=True):
    """A city and its moment."""

    city: SampleCity
    prefill_from: Instant
    """Feed events from here up to `starts_at` at full speed …"""
    starts_at: Instant
    """… then go live at this moment of the city's clock."""
    dump: TruthEvent
    """The dump that ends soon after: rule D1."""

    def prefill(self) -> Iterator[SampleEvent]:
        """What to feed before going live, in order: all manifest actions of the day so far, and telemetry from
        `prefill_from` on; of trucks that are
        under way at that moment, from before their manifest began, so that no load is half seen."""
        midnight = self.city.first_midnight
        events = list(self.city.events(midnight, self.starts_at))
        vehicle: dict[str, str] = {}
        opened: dict[str, Instant] = {}
        since: dict[str, Instant] = {}
        for event in events:
            if not isinstance(event, ManifestAction) or event.at >= self.prefill_from:
                continue
            if event.action == "create":
                vehicle[event.manifest_ref] = str(event.arguments["vehicle"]).rpartition(":")[2]
            elif event.action == "precheck":
                opened[event.manifest_ref] = event.at
            elif event.action in ("finish", "cancel"):
                opened.pop(event.manifest_ref, None)
        for ref, at in opened.items():
            since[vehicle[ref]] = min(since.get(vehicle[ref], at), at - 15 * MINUTE)
        for event in events:
            if not isinstance(event, Telemetry) or event.at >= min(
                self.prefill_from, since.get(event.device, self.prefill_from)
            ):
                yield event


def build_story(seed: int, now: Instant, *, speed: float = 4.0, trucks: int = 40, town: Town | None = None) -> Story:
    """The story of a seed on the local day of `now`. `speed`: city seconds per second of the demo; the dump ends LEAD_S ×
    speed after `starts_at`. Raises ValueError for a speed
    that is not positive. Takes a few seconds: it drives the day once."""
    if speed <= 0:
        raise ValueError("speed must be positive")
    town = town or build_town(seed)
    midnight = (now + UTC_OFFSET) // DAY * DAY - UTC_OFFSET
    forced = {(number, 0): FORCED for number in range(0, trucks, max(1, trucks // CANDIDATES))}
    city = SampleCity(seed, midnight, trucks=trucks, town=town, rates=sample.STORY, forced=forced)
    days = {one.truck.id: one for one in city.build_day(0)}
    dumps = [e for e in city.truth() if e.rule == sample.D1 and "bank" in e.note]
    best = min(dumps, key=lambda e: (_unseen_s(days[e.subject], e), abs(e.ended_at - midnight - int(18.2 * HOUR))))
    starts_at = best.ended_at - round(LEAD_S * speed * SECOND)
    return Story(city, starts_at - PREFILL, starts_at, best)


def _unseen_s(day: TruckDay, dump: TruthEvent) -> int:
    """How badly the terminal reports around a dump: missing messages and delays, in tens of seconds; 0 is a dump seen live
    from 10 min before to 8 min after."""
    first, last = dump.started_at - 10 * MINUTE, dump.ended_at + 8 * MINUTE
    live = {
        at // (10 * SECOND)
        for at, payload, dup in day.messages
        if first <= at < last and not dup and b'"w":' in payload and b'"lon":1' in payload
    }
    wanted = (last - first) // (10 * SECOND)
    return max(0, wanted - len(live) - 4)
