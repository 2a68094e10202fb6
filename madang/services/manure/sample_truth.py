"""What is true by the meaning of the rules, worked out from what physically happened; and what is too close to call.

This is the reference that findings are judged by. It knows the exact masses, places and times; it knows nothing of detectors.

Too close to call (`Ignore`, counted neither way): transfers of 200–400 kg (the limit is 300), distances of 20–45 m to
a registered place (30), transfers 8–14 min
outside an open manifest (10), balances within 20 % of their limit; and losses on the road, which are no discharge "in one go".
"""

from collections.abc import Sequence

from msgspec import Struct
from shapely import Point

from madang.model.geometry import LonLat
from madang.model.time import SECOND, Instant
from madang.services.manure.sample_fleet import Truck
from madang.services.manure.sample_ground import Ground, Spot
from madang.services.manure.sample_paper import Paper
from madang.services.manure.sample_timeline import DISCHARGE, LOAD, ROAD_LOSS, Transfer

D1, D2, D4, D8 = "manure.D1", "manure.D2", "manure.D4", "manure.D8"
AMOUNT_KG, NEAR_KG, SURE_KG = 300.0, 200.0, 400.0
NEAR_M, SURE_M = 20.0, 45.0
INSIDE_S, OUTSIDE_S = 480.0, 840.0
BALANCE_SHARE, BALANCE_KG, BALANCE_UNSURE = 0.10, 500.0, 0.20


class TruthEvent(Struct, frozen=True):
    """One thing that happened and breaks one rule."""

    rule: str
    subject: str
    """Entity id of the vehicle."""
    manifest_ref: str | None
    """The manifest that it concerns, by the sample's own key."""
    started_at: Instant
    ended_at: Instant
    place: LonLat
    amount_kg: float
    note: str


class Ignore(Struct, frozen=True):
    """Too close to call: findings of these rules in this window count neither way."""

    rules: tuple[str, ...]
    subject: str
    manifest_ref: str | None
    """For D8: the manifest; others None."""
    started_at: Instant
    ended_at: Instant
    reason: str


class Verdict(Struct, frozen=True):
    """The truth of one truck's day."""

    events: tuple[TruthEvent, ...]
    ignores: tuple[Ignore, ...]


def judge_day(
    ground: Ground, truck: Truck, transfers: Sequence[Transfer], papers: Sequence[Paper], day_start: Instant
) -> Verdict:
    """Apply the rules' meanings to a truck's day."""
    events: list[TruthEvent] = []
    ignores: list[Ignore] = []

    def at(seconds: float) -> Instant:
        return day_start + round(seconds * SECOND)

    def add(rule: str, paper: Paper | None, t: Transfer, note: str) -> None:
        place = ground.plane.to_lon_lat(t.x, t.y)
        events.append(
            TruthEvent(
                rule, truck.id, paper.ref if paper else None, at(t.started), at(t.ended), place, t.amount_kg, note
            )
        )

    def skip(rules: tuple[str, ...], t: Transfer, reason: str) -> None:
        ignores.append(Ignore(rules, truck.id, None, at(t.started), at(t.ended), reason))

    for t in transfers:
        if t.kind == ROAD_LOSS:
            skip((D1, D2, D4), t, "loss on the road")
            continue
        if t.amount_kg < SURE_KG:
            if t.amount_kg >= NEAR_KG:
                skip((D1, D2, D4), t, "amount near the limit")
            continue
        covering = [p for p in papers if p.prechecked - INSIDE_S <= t.started and t.ended <= p.finished + INSIDE_S]
        touching = [p for p in papers if p.prechecked - OUTSIDE_S < t.ended and t.started < p.finished + OUTSIDE_S]
        note = f"{t.kind} of {t.amount_kg:.0f} kg at {t.spot.kind} {t.spot.name}"
        if not touching:
            add(D4, None, t, note)
        elif not covering:
            skip((D4, D2), t, "taps near the grace")
        if t.kind == DISCHARGE:
            away = _distance_to_permitted(ground, t)
            if away > SURE_M:
                add(D1, covering[0] if covering else None, t, note)
            elif away > NEAR_M:
                skip((D1, D2), t, "distance near the buffer")
            elif covering:
                gap = min(_gap(spot, t) for p in covering for spot in p.to)
                if gap > SURE_M:
                    add(D2, covering[0], t, note)
                elif gap > NEAR_M:
                    skip((D2,), t, "distance to the manifest's place near the buffer")
    for paper in papers:
        if not paper.cancelled:
            _balance(paper, truck, transfers, day_start, ground, events, ignores)
    return Verdict(tuple(events), tuple(ignores))


def _distance_to_permitted(ground: Ground, t: Transfer) -> float:
    if t.moving:  # the whole field was driven over
        if t.spot.kind in ("AgriParcel", "ManureTreatmentPlant"):
            return 0.0
        spots, tree = ground.permitted
        return float(spots[int(tree.nearest(t.spot.area))].area.distance(t.spot.area))
    return ground.nearest_permitted(t.x, t.y)[1]


def _gap(spot: Spot, t: Transfer) -> float:
    if t.moving:
        return 0.0 if t.spot is spot else max(float(spot.area.distance(t.spot.area)), SURE_M + 1)
    return float(spot.area.distance(Point(t.x, t.y)))


def _balance(
    paper: Paper,
    truck: Truck,
    transfers: Sequence[Transfer],
    day_start: Instant,
    ground: Ground,
    events: list[TruthEvent],
    ignores: list[Ignore],
) -> None:
    """D8: loaded - unloaded at the manifest's places - residue, between precheck (with its grace) and the finish tap."""
    loaded = elsewhere = 0.0
    unsure = False
    last: Transfer | None = None
    for t in transfers:
        middle = (t.started + t.ended) / 2
        if t.kind == LOAD and paper.prechecked - OUTSIDE_S < middle < paper.finished:
            loaded += t.amount_kg
        astray = t.kind == ROAD_LOSS or (t.kind == DISCHARGE and min(_gap(s, t) for s in paper.to) > 30.0)
        if astray and loaded > 0:
            if t.started < paper.finished < t.ended:
                unsure = True  # happens while the driver taps finish
            if middle < paper.finished:
                elsewhere += t.amount_kg
                last = t
    if loaded == 0:
        return
    limit = min(BALANCE_KG, BALANCE_SHARE * loaded)
    end = day_start + round(paper.finished * SECOND)
    if unsure or abs(elsewhere - limit) <= BALANCE_UNSURE * limit:
        ignores.append(Ignore((D8,), truck.id, paper.ref, end, end, "balance near the limit"))
    elif elsewhere > limit and last is not None:
        place = ground.plane.to_lon_lat(last.x, last.y)
        events.append(
            TruthEvent(
                D8,
                truck.id,
                paper.ref,
                end,
                end,
                place,
                elsewhere,
                f"{elsewhere:.0f} of {loaded:.0f} kg went elsewhere",
            )
        )
