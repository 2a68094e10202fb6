"""What drivers, farmers and plants tap into their phones: the manifests of the sample city, early, late, forgotten, or false."""

from typing import Any

import numpy as np
from msgspec import Struct, field

from madang.services.manure.sample_fleet import TIPPER, Truck
from madang.services.manure.sample_ground import Rng, Spot
from madang.services.manure.sample_rates import Rates

GRACE_S = 600.0
"""A manifest counts as open from precheck to finish with ten minutes at both ends (rule meanings)."""


class Tap(Struct):
    """One action on a manifest. `at` in seconds of the day; arguments may hold `*At` and `at` values in such seconds, which the caller
    renders."""

    at: float
    action: str
    arguments: dict[str, Any]
    party: str
    role: str
    on_behalf_of: str | None = None


class Unloaded(Struct):
    """A delivery as the driver tells it."""

    place: str
    started: float
    ended: float
    amount_kg: float


class Paper(Struct):
    """One manifest with its taps in order of time."""

    ref: str
    truck: Truck
    farm: Spot
    to: list[Spot]
    created: float
    prechecked: float
    finished: float
    """Infinite while nobody finished it (cancelled ones: the cancel tap)."""
    taps: list[Tap] = field(default_factory=list)
    cancelled: bool = False

    @property
    def to_ids(self) -> list[str]:
        """Entity ids of the destinations."""
        return [s.id for s in self.to]


def cancelled_paper(ref: str, truck: Truck, farm: Spot, to: list[Spot], at: float, rng: Rng) -> Paper:
    """A manifest that is made and cancelled before anything is loaded."""
    paper = Paper(ref, truck, farm, to, at, at + 40, at + float(rng.uniform(300, 1_500)), cancelled=True)
    paper.taps = [
        _create(paper, rng, 0.6 * truck.payload_kg),
        Tap(paper.prechecked, "precheck", {}, truck.carrier_id, "carrier"),
        Tap(paper.finished, "cancel", {"reason": "농장 준비 안 됨"}, truck.carrier_id, "carrier"),
    ]
    return paper


def write_paper(
    ref: str,
    truck: Truck,
    farm: Spot,
    to: list[Spot],
    load: tuple[float, float, float],
    unloaded: list[Unloaded],
    not_before: float,
    *,
    honest: bool,
    rng: Rng,
    rates: Rates,
    finish_at: float | None = None,
) -> Paper:
    """A manifest around a haul.

    `load` is (start, end, kg as the device shows it). `unloaded` is what the driver declares, with the times at which
    it happened or is said to have
    happened. `not_before`: the earlier manifest's finish. `honest` drivers may tap late or early; others tap in time
    so as not to draw attention.
    `finish_at` fixes the finish tap.
    """
    carrier = truck.carrier_id
    start, end, loaded = load
    mood = float(rng.random()) if honest else 1.0
    late = mood < rates.precheck_late
    very_late = rates.precheck_late <= mood < rates.precheck_late + rates.precheck_very_late
    if very_late:
        prechecked = start + float(rng.uniform(500, 820))
    elif late:
        prechecked = start + float(rng.uniform(60, 470))
    else:
        prechecked = max(not_before + 30.0, start - float(rng.uniform(30, 720)))
        prechecked = min(prechecked, start + 240.0)
    prechecked = max(prechecked, not_before + 5.0)
    created = prechecked - float(rng.uniform(20, 1_500))
    paper = Paper(ref, truck, farm, to, created, prechecked, 0.0)
    on_phone = farm.id if rng.random() < rates.farmer_signs_on_phone else None
    manual = bool(rng.random() < rates.manual_amount)
    taps = [_create(paper, rng, loaded), Tap(prechecked, "precheck", {}, carrier, "carrier")]
    began = max(prechecked + float(rng.uniform(5, 50)), start + float(rng.uniform(-60, 120)))
    taps.append(Tap(began, "start", {}, carrier, "carrier"))
    tap = max(began + 8.0, end + float(rng.uniform(20, 280)))
    taps.append(
        Tap(
            tap,
            "load",
            {
                "at": max(end, began),
                "amount": _amount(loaded, manual),
                "source": "manual" if manual else "device",
                "signer": f"{farm.name} 대표",
                "method": "driver-phone" if on_phone else "sms",
            },
            carrier,
            "carrier",
            on_phone,
        )
    )
    tap += float(rng.uniform(15, 150))
    taps.append(Tap(tap, "depart", {}, carrier, "carrier"))
    last = unloaded[-1]
    habit = float(rng.random()) if honest else 1.0
    early = habit < rates.finish_early and finish_at is None
    for one in unloaded:
        when = one.ended + float(rng.uniform(20, 330))
        if early and one is last:
            when = max(one.ended - float(rng.uniform(60, 440)), one.started - 120.0)
        tap = max(tap + 8.0, when)
        taps.append(
            Tap(
                tap,
                "unload",
                {
                    "at": min(one.ended, tap),
                    "place": one.place,
                    "amount": _amount(one.amount_kg, manual),
                    "source": "manual" if manual else "device",
                },
                carrier,
                "carrier",
            )
        )
    tap += float(rng.uniform(12, 150))
    if rates.finish_early <= habit < rates.finish_early + rates.finish_late and finish_at is None:
        tap += float(rng.uniform(900, 2_700))
    if finish_at is not None:
        tap = max(tap, finish_at)
    taps.append(Tap(tap, "finish", {"signer": truck.driver, "method": "login"}, carrier, "carrier"))
    paper.finished = tap
    paper.taps = taps
    return paper


def settle(paper: Paper, accepted_kg: float, *, honest: bool, rng: Rng, rates: Rates) -> None:
    """Append what supplier and receiver do: confirm the same day, after a reminder, or dispute. Call once `finished` is final."""
    if paper.cancelled:
        return
    receiver = paper.to[-1]
    plant = receiver.kind == "ManureTreatmentPlant"
    parties = (
        (receiver.id, "plant" if plant else "farm", "treater", receiver.name, "login" if plant else "sms"),
        (paper.farm.id, "farm", "discharger", f"{paper.farm.name} 대표", "sms"),
    )
    disputed = rng.random() < (rates.dispute if honest else 0.35 if plant else 0.05)
    settled = 0.0
    for party, role, part, person, method in parties:
        if rng.random() < rates.confirm_forgotten / 2:
            at = paper.finished + float(rng.uniform(96, 166)) * 3_600
        elif plant and part == "treater":
            at = min(paper.finished + float(rng.uniform(15, 240)) * 60, max(paper.finished + 300, 18.5 * 3_600))
        else:
            at = paper.finished + float(np.exp(rng.normal(0.6, 1.1))) * 3_600  # median 1.8 h, one in ten after 7.5 h
        at = max(at, paper.finished + 60)
        accepted = {"acceptedAmount": float(round(max(0.0, accepted_kg), -1))} if part == "treater" else {}
        if part == "treater" and disputed:
            paper.taps.append(
                Tap(
                    at,
                    "dispute",
                    {"role": part, "reason": "계근 중량과 다름", **accepted, "signer": person, "method": method},
                    party,
                    role,
                )
            )
            settled = at
        elif not (settled and at > settled):
            paper.taps.append(
                Tap(at, "confirm", {"role": part, **accepted, "signer": person, "method": method}, party, role)
            )


def move_finish(paper: Paper, at: float) -> None:
    """Pull a late finish forward (the driver closes it before the next load)."""
    for tap in paper.taps:
        if tap.action == "finish":
            before = max(t.at for t in paper.taps if t.action not in ("finish",))
            tap.at = max(at, before + 5.0)
            paper.finished = tap.at


def _create(paper: Paper, rng: Rng, loaded: float) -> Tap:
    kind = (
        "compost"
        if paper.truck.kind == TIPPER
        else "liquidFertiliser"
        if paper.to[0].kind == "AgriParcel"
        else "manure"
    )
    planned = float(min(paper.truck.payload_kg, max(1_000.0, round(loaded * float(rng.uniform(0.9, 1.1)), -3))))
    return Tap(
        paper.created,
        "create",
        {
            "manifestType": kind,
            "from": paper.farm.id,
            "transporter": paper.truck.carrier_id,
            "vehicle": paper.truck.id,
            "driver": paper.truck.driver,
            "to": paper.to_ids,
            "plannedAt": paper.prechecked + 300.0,
            "plannedAmount": planned,
        },
        paper.truck.carrier_id,
        "carrier",
    )


def _amount(kg: float, manual: bool) -> float:
    return float(max(100, round(kg / 500) * 500)) if manual else float(round(kg, -1))
