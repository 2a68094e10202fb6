"""The rules over what the cleaning detector tells: D1, D2, D4, D8. One detector, keyed by vehicle.

What waits, and why
-------------------
- D1 (discharge outside any permitted place) fires at once: no paper can make it right.
- D2 (place not on the manifest) fires at once while a manifest is plainly open; where only the grace covers the discharge, it
waits for the grace to pass,
  because the driver may be about to open the next manifest.
- D4 (no open manifest) waits until the grace after the discharge or loading has passed: drivers tap some minutes late.
- D8 (mass balance) is judged `BALANCE_WAIT` after a manifest is finished, because a discharge that has just ended is still being revised.

Every judgement is made again when an event is revised; a finding that no longer holds is withdrawn, one whose amount is another
one by now is told again under the same rule and situation, at most `TELLINGS_MAX` times. Events are kept for `KEEP` after they were
told last, however long ago they were: a terminal that uploads a week late is judged like one that is on time.
"""

from collections.abc import Iterable
from math import sqrt

import msgspec
from msgspec import Struct, field

from madang.flow.contract import Lookup, Near, Ref, Step, check_format
from madang.model.change import RECORD, Change
from madang.model.finding import CRITICAL, HIGH, MEDIUM, SEVERITIES, Evidence, Finding, Measure, Reason
from madang.model.geometry import LonLat
from madang.model.record import Record
from madang.model.time import DAY, HOUR, MINUTE, Instant, parse_instant
from madang.services.manure import model
from madang.services.manure.parameters import (
    BALANCE_KG,
    BALANCE_SHARE,
    DISCHARGE_MIN_KG,
    MANIFEST_GRACE_MIN,
    PLACE_BUFFER_M,
)

D1, D2, D4, D8 = "manure.D1", "manure.D2", "manure.D4", "manure.D8"
KEEP = 30 * HOUR
"""How long an event is kept for judging after it was told last: a haul takes hours, a manifest is finished the same day."""
EVENTS_MAX = 80
CLOSING_KEEP = 8 * DAY
"""How long a finished manifest waits for what the scale saw: readings are taken up to seven days late, and then settle."""
CLOSINGS_MAX = 100
"""Some ten hauls a day for so long."""
BACKLOG = HOUR
"""An event told so long after it ended comes with others that a terminal kept: a balance waits for them once more."""
BALANCE_WAIT = 12 * MINUTE
LEVEL_ERROR_SHARE = 0.01
"""1 sigma of the levels before the first and after the last event, as share of gross: they stand at two places, each with its
slope, and the residue is their difference. Ours."""
BALANCE_SIGMAS = 2.0
LATE_WAIT = MINUTE
"""Beyond the grace, for a tap or a message that is on its way."""
LOAD_BEFORE = 20 * MINUTE
"""A loading belongs to a manifest that was opened at most this much after it began."""
SEE_M = 2_000.0
"""How far to look for the nearest permitted place and zone, to say how far they are."""
ZONE_SEE_M = 500.0
_SIGNALS = ("grossWeight", "speed", "ptoEngaged", "location")
_PERMITTED = (model.AGRI_PARCEL, model.TREATMENT_PLANT)
_FORMAT = 3

TELLINGS_MAX = 12
"""Tellings of one rule about one event. Twice as much each time tells 300 kg to 20 t in seven, and the amount is settled a few times
after; a worse severity is told beyond."""
GROWN = 2.0
"""While an event goes on, it is told again when it has grown so many times."""
SETTLED_KG = 100.0
SETTLED_SHARE = 0.05
"""When it is over, a difference beyond both to what was told last is told. Ours."""


class Event(Struct, array_like=True):
    """A loading or unloading as it was told last."""

    id: str
    unloading: bool
    t0: Instant
    t1: Instant
    kg: float
    before: float
    after: float
    place: LonLat
    track: list[LonLat]
    standing: bool
    """False: withdrawn, or too little."""
    depot: bool
    observed_at: Instant
    error_kg: float = 0.0
    """Standard error of `kg`, as the cleaning detector measured it on this truck."""
    over: bool = False
    """Confirmed: it goes on no more."""
    begun_by: Instant = 0
    """It began between `t0` and this, for nobody saw it begin; `t0` where it was seen."""
    told_at: Instant = 0
    """Log time at which it was told last."""


class Closing(Struct, array_like=True):
    """A finished manifest that waits for its balance, or for events that come late."""

    manifest: str
    judge_at: Instant
    due: bool = True
    """Not judged yet as things stand."""


class Told(Struct, array_like=True, frozen=True):
    """What was said last under one rule about one situation."""

    at: Instant
    """First said."""
    kg: float
    severity: str
    times: int = 1


class State(Struct):
    """What is kept of a vehicle."""

    vehicle: str
    events: list[Event] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    told: dict[str, Told] = field(default_factory=dict)
    """``rule|situation`` of findings that stand."""
    format: int = _FORMAT


class RulesDetector:
    """See the module's docstring."""

    id = "manure.rules"
    version = "4"
    inputs = frozenset({model.MANURE_UNLOADING, model.MANURE_LOADING, model.MANIFEST})
    lookups = (
        Lookup(model.AGRI_PARCEL, place="location"),
        Lookup(model.TREATMENT_PLANT, place="location"),
        Lookup(model.VEHICLE_DEPOT, place="location"),
        Lookup(model.NO_SPREAD_ZONE, place="location"),
        Lookup(model.MANIFEST, by=("vehicle",)),
    )

    def initial(self, key: str) -> State:
        """Nothing known."""
        return State(key)

    def keys(self, change: Change, ref: Ref) -> Iterable[str]:
        """The vehicle."""
        if change.kind == RECORD:
            vehicle = change.record.data.get("vehicle") if change.record is not None else None
        else:
            vehicle = change.value("vehicle")
        return (vehicle,) if isinstance(vehicle, str) else ()

    def encode(self, state: State) -> bytes:
        """JSON."""
        return msgspec.json.encode(state)

    def decode(self, document: bytes) -> State:
        """Raises OlderFormat for an older format, ValueError for a newer one."""
        check_format(document, _FORMAT, self.id)
        return msgspec.json.decode(document, type=State)

    def step(self, state: State, change: Change, ref: Ref) -> Step:
        """An event was told or revised, or a manifest moved."""
        state = _copy(state)
        if change.kind == RECORD:
            record = change.record
            assert record is not None
            if change.transition is not None and change.transition.to_state == "AWAITING_CONFIRMATION":
                closings = [c for c in state.closings if c.manifest != record.id]
                state.closings = [*closings, Closing(record.id, change.recorded_at + BALANCE_WAIT)][-CLOSINGS_MAX:]
            else:
                state.closings = [
                    msgspec.structs.replace(c, due=True) if c.manifest == record.id else c for c in state.closings
                ]
        elif "location" not in change.attributes:
            # Withdrawn because late data told another story: only its status says so.
            for event in state.events:
                if event.id == change.entity_id:
                    gone = msgspec.structs.replace(event, standing=False, told_at=change.recorded_at)
                    self._keep(state, gone, change.recorded_at, ref)
        else:
            self._keep(state, _event(change, ref), change.recorded_at, ref)
        return self._judge(state, change.recorded_at, change.observed_at, ref)

    def tick(self, state: State, now: Instant, ref: Ref) -> Step:
        """A grace or a balance's wait has passed."""
        return self._judge(_copy(state), now, now, ref)

    def _keep(self, state: State, event: Event, now: Instant, ref: Ref) -> None:
        state.events = sorted([*(e for e in state.events if e.id != event.id), event], key=lambda e: (e.t0, e.id))
        grace = int(ref.parameter(MANIFEST_GRACE_MIN) * MINUTE)
        late = now - event.t1 > BACKLOG
        state.closings = [
            msgspec.structs.replace(c, due=True, judge_at=max(c.judge_at, now + BALANCE_WAIT) if late else c.judge_at)
            if _concerns(ref.find_record(model.MANIFEST, c.manifest), event, grace)
            else c
            for c in state.closings
        ]

    def _forget(self, state: State, now: Instant, grace: int, ref: Ref) -> None:
        """Let go of what was told long enough ago. A balance that has lost an event is not judged again."""
        by_telling = sorted(state.events, key=lambda e: (e.told_at, e.t0))
        gone = [e for i, e in enumerate(by_telling) if e.told_at <= now - KEEP or i < len(by_telling) - EVENTS_MAX]
        ids = {e.id for e in gone}
        state.events = [e for e in state.events if e.id not in ids]
        kept = []
        for closing in state.closings:
            record = ref.find_record(model.MANIFEST, closing.manifest)
            lost = any(_concerns(record, event, grace) for event in gone)
            if record is not None and not lost and closing.judge_at > now - CLOSING_KEEP:
                kept.append(closing)
        state.closings = kept
        standing = {_situation(e) for e in state.events} | {f"manure:{c.manifest}" for c in kept}
        state.told = {
            key: told
            for key, told in state.told.items()
            if told.at > now - 2 * KEEP or key.partition("|")[2] in standing
        }

    # --- judging ---

    def _judge(self, state: State, now: Instant, completed_at: Instant, ref: Ref) -> Step:
        grace = int(ref.parameter(MANIFEST_GRACE_MIN) * MINUTE)
        self._forget(state, now, grace, ref)
        # An event must leave before the manifest that covered it does, or it would stand there without one.
        since = min([now, *(e.t0 for e in state.events)]) - 2 * KEEP
        manifests = [m for m in ref.list_records_by(model.MANIFEST, "vehicle", state.vehicle) if m.modified_at > since]
        findings: list[Finding] = []
        wakes: list[Instant] = []
        for event in state.events:
            for finding in self._judge_event(event, state.vehicle, manifests, now, completed_at, grace, ref, wakes):
                findings.extend(_tell(state, finding, event.kg, event.over, now))
        for index, closing in enumerate(state.closings):
            if not closing.due:
                continue
            if closing.judge_at > now:
                wakes.append(closing.judge_at)
                continue
            state.closings[index] = msgspec.structs.replace(closing, due=False)
            record = ref.find_record(model.MANIFEST, closing.manifest)
            assert record is not None  # forgotten above otherwise
            finding = self._balance(state, record, completed_at, ref)
            findings.extend(_tell(state, finding, float(finding.reason.params.get("missing_kg", 0.0)), True, now))
        return Step(state, tuple(findings), (), min(wakes) if wakes else None)

    def _judge_event(
        self,
        event: Event,
        vehicle: str,
        manifests: list[Record],
        now: Instant,
        completed_at: Instant,
        grace: int,
        ref: Ref,
        wakes: list[Instant],
    ) -> Iterable[Finding]:
        """The findings of one event as things stand: for each rule, the finding or its withdrawal."""
        standing = event.standing and event.kg >= ref.parameter(DISCHARGE_MIN_KG)
        at_places = _permitted_at(event, ref) if event.unloading else {}
        if event.unloading:
            yield self._outside(event, vehicle, completed_at, ref, standing and not at_places)
        open_now = [m for m in manifests if _covers(m, event, 0)]
        covering = [m for m in manifests if _covers(m, event, grace) or _covers_renewed(m, manifests, event, grace)]
        settle_at = event.begun_by + grace + LATE_WAIT
        settled = now >= settle_at
        if standing and not settled and not open_now:
            wakes.append(settle_at)
        if event.unloading:
            candidates = covering if settled else open_now
            allowed = {place for m in covering for place in m.data.get("to", [])}
            wrong = bool(standing and at_places and candidates and not allowed & set(at_places))
            yield self._wrong_place(event, vehicle, completed_at, wrong, at_places, candidates)
        yield self._no_manifest(
            event, vehicle, completed_at, standing and settled and not covering and not event.depot, manifests
        )

    def _outside(self, event: Event, vehicle: str, completed_at: Instant, ref: Ref, holds: bool) -> Finding:
        if not holds:
            return _withdrawal(D1, event, vehicle, completed_at)
        zones = ref.near(model.NO_SPREAD_ZONE, event.place, ZONE_SEE_M)
        zone = zones[0] if zones else None
        nearest = _nearest(event.place, ref)
        buffer_m = ref.parameter(PLACE_BUFFER_M)
        inside = zone is not None and zone.distance_m == 0
        params: dict[str, object] = {"dropped_kg": event.kg}
        code = "manure.D1.outside"
        involved: tuple[str, ...] = (event.id,)
        if zone is not None:
            code = "manure.D1.in-zone" if inside else "manure.D1.near-zone"
            params |= {"zone_id": zone.entity.id, "distance_m": zone.distance_m}
            involved += (zone.entity.id,)
        if nearest is not None:
            involved += (nearest.entity.id,)
        measures = (
            Measure("manure.measure.dropped", round(event.kg), ref.parameter(DISCHARGE_MIN_KG), "KGM", ">="),
            Measure(
                "manure.measure.permitted-distance",
                None if nearest is None else round(nearest.distance_m),
                buffer_m,
                "MTR",
                ">",
            ),
            Measure("manure.measure.zone-distance", None if zone is None else round(zone.distance_m), 0, "MTR", "<="),
        )
        differ = (
            Reason("manure.differ.inside-place", {"buffer_m": buffer_m}),
            Reason("manure.differ.less", {"least_kg": ref.parameter(DISCHARGE_MIN_KG)}),
        )
        return _finding(
            D1,
            event,
            vehicle,
            CRITICAL if inside else HIGH,
            Reason(code, params),
            completed_at,
            measures,
            differ,
            involved,
        )

    def _wrong_place(
        self,
        event: Event,
        vehicle: str,
        completed_at: Instant,
        holds: bool,
        at_places: dict[str, float],
        manifests: list[Record],
    ) -> Finding:
        if not holds:
            return _withdrawal(D2, event, vehicle, completed_at)
        manifest = manifests[-1]
        place = min(at_places, key=lambda id_: (at_places[id_], id_))
        params = {"dropped_kg": event.kg, "place_id": place, "number": manifest.data.get("number", "")}
        measures = (
            Measure("manure.measure.dropped", round(event.kg), None, "KGM", ">="),
            Measure("manure.measure.place", place, ", ".join(manifest.data.get("to", [])), "", "not in"),
        )
        differ = (Reason("manure.differ.on-manifest", {"place_id": place}),)
        involved = (event.id, manifest.id, place)
        return _finding(
            D2, event, vehicle, MEDIUM, Reason("manure.D2.not-listed", params), completed_at, measures, differ, involved
        )

    def _no_manifest(
        self, event: Event, vehicle: str, completed_at: Instant, holds: bool, manifests: list[Record]
    ) -> Finding:
        if not holds:
            return _withdrawal(D4, event, vehicle, completed_at)
        code = "manure.D4.unloaded" if event.unloading else "manure.D4.loaded"
        nearest = min((_gap(m, event.t0) for m in manifests if "openedAt" in m.data), default=None)
        measures = (
            Measure("manure.measure.moved", round(event.kg), None, "KGM", ">="),
            Measure(
                "manure.measure.manifest-gap", None if nearest is None else round(nearest / MINUTE), 10, "MIN", ">"
            ),
        )
        differ = (Reason("manure.differ.manifest-open", {}),)
        return _finding(
            D4, event, vehicle, HIGH, Reason(code, {"moved_kg": event.kg}), completed_at, measures, differ, (event.id,)
        )

    def _balance(self, state: State, record: Record, completed_at: Instant, ref: Ref) -> Finding:
        """D8 of one finished manifest, from what the truck's scale saw in its time."""
        opened, closed = _span(record)
        grace = int(ref.parameter(MANIFEST_GRACE_MIN) * MINUTE)
        buffer_m = ref.parameter(PLACE_BUFFER_M)
        to = set(record.data.get("to", []))
        mine = [e for e in state.events if e.standing and _concerns(record, e, grace) and not e.depot]
        # What was loaded and unloaded before it was opened is another haul.
        before = max((e.t1 for e in mine if e.unloading and e.t1 <= opened), default=0)
        mine = [e for e in mine if e.t0 >= before]
        loadings = [e for e in mine if not e.unloading and e.t0 <= closed]
        situation = f"manure:{record.id}"
        base = Finding(
            rule=D8,
            rule_version="1",
            situation=situation,
            subject=record.id,
            severity=MEDIUM,
            reason=Reason("manure.withdrawn", {}),
            marked_at=closed,
            completed_at=completed_at,
            withdraws=True,
            involved=(record.id, state.vehicle),
        )
        if not loadings:
            return base  # nothing to weigh against: D4 speaks of hauls that were never loaded under a manifest
        first = loadings[0]
        unloadings = [e for e in mine if e.unloading and e.t0 >= first.t0]
        loaded = sum(e.kg for e in loadings)
        arrived = sum(e.kg for e in unloadings if to & set(_permitted_at(e, ref, buffer_m + 10)))
        last = max([*loadings, *unloadings], key=lambda e: e.t1)
        level_error = LEVEL_ERROR_SHARE * sqrt(first.before**2 + last.after**2)
        residue = last.after - first.before
        if residue <= BALANCE_SIGMAS * level_error:
            residue = level_error = 0.0
        missing = loaded - arrived - residue
        share, least = ref.parameter(BALANCE_SHARE), ref.parameter(BALANCE_KG)
        limit = min(share * loaded, least)
        # What was seen going elsewhere speaks for itself. The scale is not exact: what its noise and slopes explain is not missing.
        elsewhere = sum(e.kg for e in unloadings) - arrived
        noise = sum(e.error_kg**2 for e in (*loadings, *unloadings)) + level_error**2
        if elsewhere <= limit and abs(missing) <= limit + BALANCE_SIGMAS * sqrt(noise):
            return base
        measures = (
            Measure("manure.measure.missing", round(abs(missing)), round(limit), "KGM", ">"),
            Measure("manure.measure.loaded", round(loaded), None, "KGM", ">"),
            Measure("manure.measure.arrived", round(arrived), None, "KGM", ">"),
            Measure("manure.measure.residue", round(residue), None, "KGM", ">"),
        )
        params = {"loaded_kg": loaded, "arrived_kg": arrived, "residue_kg": residue, "missing_kg": abs(missing),
                  "number": record.data.get("number", "")}  # fmt: skip
        return msgspec.structs.replace(
            base,
            withdraws=False,
            reason=Reason("manure.D8.missing" if missing > 0 else "manure.D8.more", params),
            location=last.place,
            measures=measures,
            evidence=(Evidence(state.vehicle, _SIGNALS, first.t0 - 15 * MINUTE, max(last.t1, closed) + 10 * MINUTE),),
            would_differ=(Reason("manure.differ.balance", {"limit_kg": limit}),),
            involved=(record.id, state.vehicle, *(e.id for e in (*loadings, *unloadings))),
        )


# --- helpers ---


def _copy(state: State) -> State:
    """A state to change, so that the given one stays as it is."""
    return State(state.vehicle, list(state.events), list(state.closings), dict(state.told), state.format)


def _event(change: Change, ref: Ref) -> Event:
    lon, lat = change.value("location")["coordinates"][:2]
    track = change.value("track") or {"coordinates": []}
    place = (lon, lat)
    return Event(
        id=change.entity_id,
        unloading=change.entity_type == model.MANURE_UNLOADING,
        t0=parse_instant(change.value("startedAt")),
        t1=parse_instant(change.value("endedAt")),
        kg=float(change.value("amount")),
        before=float(change.value("weightBefore")),
        after=float(change.value("weightAfter")),
        place=place,
        track=[(float(x), float(y)) for x, y in track["coordinates"]],
        standing=change.value("status") != "withdrawn",
        depot=bool(ref.near(model.VEHICLE_DEPOT, place, ref.parameter(PLACE_BUFFER_M))),
        observed_at=change.observed_at,
        error_kg=float(change.value("amountError") or 0.0),
        over=change.value("status") == "confirmed",
        begun_by=parse_instant(change.value("startedBefore") or change.value("startedAt")),
        told_at=change.recorded_at,
    )


def _permitted_at(event: Event, ref: Ref, buffer_m: float | None = None) -> dict[str, float]:
    """Parcels and plants that the event may have happened at, with their distance: those near its place (where it was first seen),
    and those near half of its track (a spreader may cross another field on its way to the one it spreads on)."""
    limit = ref.parameter(PLACE_BUFFER_M) if buffer_m is None else buffer_m
    near_track: dict[str, list[float]] = {}
    for point in event.track:
        for type_ in _PERMITTED:
            for near in ref.near(type_, point, limit):
                near_track.setdefault(near.entity.id, []).append(near.distance_m)
    found = {id_: min(distances) for id_, distances in near_track.items() if 2 * len(distances) >= len(event.track)}
    for type_ in _PERMITTED:
        for near in ref.near(type_, event.place, limit):
            found[near.entity.id] = near.distance_m
    return found


def _nearest(place: LonLat, ref: Ref) -> Near | None:
    found = [near for type_ in _PERMITTED for near in ref.near(type_, place, SEE_M)[:1]]
    return min(found, key=lambda near: (near.distance_m, near.entity.id)) if found else None


def _span(record: Record) -> tuple[Instant, Instant]:
    """When the manifest was opened and closed; an open one closes in the far future."""
    opened = record.data.get("openedAt")
    closed = record.data.get("closedAt")
    return (
        parse_instant(opened) if opened else 2**62,
        parse_instant(closed) if closed else 2**62,
    )


def _covers(record: Record, event: Event, grace: int) -> bool:
    """May the event have begun while it was open?"""
    opened, closed = _span(record)
    return record.state != "CANCELLED" and opened - grace <= event.begun_by and event.t0 <= closed + grace


def _covers_renewed(record: Record, manifests: list[Record], event: Event, grace: int) -> bool:
    """Was a manifest open at the time that was cancelled since, and this one opened in its place? A driver who finds a mistake on
    the paper of a truck that is loaded already cannot mend it otherwise."""
    if record.state == "CANCELLED":
        return False
    begun = _span(record)[0]
    for other in manifests:
        if other.state == "CANCELLED":
            opened, closed = _span(other)
            if opened <= event.t0 <= closed and opened <= begun <= closed + grace:
                return True
    return False


def _concerns(record: Record | None, event: Event, grace: int) -> bool:
    """May the event be of this manifest's haul?"""
    if record is None:
        return False
    opened, closed = _span(record)
    return opened - LOAD_BEFORE <= event.t0 <= closed + grace


def _gap(record: Record, at: Instant) -> int:
    opened, closed = _span(record)
    return max(opened - at, at - closed, 0)


def _situation(event: Event) -> str:
    return f"manure:{event.id}"


def _finding(
    rule: str,
    event: Event,
    vehicle: str,
    severity: str,
    reason: Reason,
    completed_at: Instant,
    measures: tuple[Measure, ...],
    differ: tuple[Reason, ...],
    involved: tuple[str, ...],
) -> Finding:
    return Finding(
        rule=rule,
        rule_version="1",
        situation=_situation(event),
        subject=vehicle,
        severity=severity,
        reason=reason,
        marked_at=event.t0,
        completed_at=completed_at,
        location=event.place,
        measures=measures,
        evidence=(Evidence(vehicle, _SIGNALS, event.t0 - 15 * MINUTE, event.t1 + 10 * MINUTE),),
        would_differ=differ,
        involved=involved,
    )


def _withdrawal(rule: str, event: Event, vehicle: str, completed_at: Instant) -> Finding:
    return msgspec.structs.replace(
        _finding(rule, event, vehicle, MEDIUM, Reason("manure.withdrawn", {}), completed_at, (), (), ()), withdraws=True
    )


def _tell(state: State, finding: Finding, kg: float, over: bool, now: Instant) -> list[Finding]:
    """What is news: a finding that was not told, one that says another amount or is worse by now, or the withdrawal of one that was
    told. `over`: the event goes on no more."""
    key = f"{finding.rule}|{finding.situation}"
    if finding.withdraws:
        return [finding] if state.told.pop(key, None) is not None else []
    told = state.told.get(key)
    if told is None:
        state.told[key] = Told(now, kg, finding.severity)
        return [finding]
    worse = SEVERITIES.index(finding.severity) < SEVERITIES.index(told.severity)
    if over:
        another = abs(kg - told.kg) > max(SETTLED_KG, SETTLED_SHARE * told.kg)
    else:
        another = kg >= GROWN * told.kg
    if not worse and not (another and told.times < TELLINGS_MAX):
        return []
    # The worst that was told is kept, so that going back and forth is told once.
    severity = finding.severity if worse else told.severity
    state.told[key] = Told(told.at, kg, severity, told.times + 1)
    return [finding]
