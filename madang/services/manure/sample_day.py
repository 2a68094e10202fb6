"""The working day of one truck: trips from farms to plants and parcels, breaks, refuelling, and now and then something else."""

import numpy as np
from msgspec import Struct
from shapely import Point

from madang.services.manure.sample_fleet import SPREADER, TANKER, TIPPER, Truck
from madang.services.manure.sample_ground import Ground, Rng, Spot
from madang.services.manure.sample_paper import Paper, Unloaded, cancelled_paper, move_finish, settle, write_paper
from madang.services.manure.sample_rates import Rates
from madang.services.manure.sample_timeline import DISCHARGE, LOAD, DayTruth, Timeline, Transfer

H = 3_600.0
XY = tuple[float, float]
DUMPS = ("river_part", "river_all", "field_part", "field_spread")


class DayNotes(Struct, frozen=True):
    """What carries over between days, so that mass does not jump at midnight: dregs in the tank and fuel, both in kg."""

    load_start: float
    load_end: float
    fuel_start: float
    fuel_end: float


class Planned(Struct, frozen=True):
    """A planned and driven day."""

    truth: DayTruth
    papers: list[Paper]


def plan_day(
    ground: Ground, truck: Truck, rng: Rng, rates: Rates, notes: DayNotes, prefix: str, forced: str | None = None
) -> Planned:
    """Drive the day. `prefix` begins the manifests' refs; `forced` makes the driver do this kind of cheat at dusk."""
    return _Day(ground, truck, rng, rates, notes, prefix, forced).run()


class _Day:
    def __init__(
        self, ground: Ground, truck: Truck, rng: Rng, rates: Rates, notes: DayNotes, prefix: str, forced: str | None
    ) -> None:
        self.ground, self.truck, self.rng, self.rates, self.notes, self.prefix = (
            ground,
            truck,
            rng,
            rates,
            notes,
            prefix,
        )
        self.forced = forced
        self.depot = ground.depots[truck.depot]
        self.papers: list[Paper] = []
        self.honest: dict[str, tuple[bool, float]] = {}
        start = float(np.clip(rng.normal(6.7, 0.5), 5.6, 8.6)) * H
        self.line = Timeline(
            ground, rng, start, _inside(self.depot, rng), self.depot, notes.load_start, notes.fuel_start, truck.pace
        )
        self.lunched = False
        self.quiet_until = 0.0
        """Nothing is loaded under paper before this time, so that a paperless haul stays clear of the next manifest's grace."""

    def run(self) -> Planned:
        line, rng = self.line, self.rng
        line.stand(self._u(100, 500))
        end = float(np.clip(rng.normal(17.3, 0.9), 15, 19)) * H
        night = rng.random() < self.rates.night_trip
        trips, trips_max = 0, int(rng.choice([3, 4, 5, 6, 7], p=(0.15, 0.25, 0.3, 0.2, 0.1)))
        last = False
        while not last:
            if trips and rng.random() < 0.6:  # waits for the next call
                self._rest_nearby(self._u(600, 5_400), ignition=bool(rng.random() < 0.15))
            kind = self._choose_kind()
            if self.forced and line.now > 15.2 * H:
                kind, self.forced = self.forced, None
                self._wait_for_dusk(17.55 * H, 18.3 * H)
            elif kind in DUMPS and 13.8 * H < line.now < 18.4 * H and rng.random() < self.rates.dusk_share:
                self._wait_for_dusk(17.6 * H, 19.4 * H)
            self._lunch()
            trips += 1
            last = trips >= trips_max or line.now > end - 2.6 * H
            self._trip(kind, last=last)
        if self.forced:
            kind, self.forced = self.forced, None
            self._wait_for_dusk(17.55 * H, 18.3 * H)
            self._trip(kind, last=True)
        line.go(self.depot, _inside(self.depot, rng))
        if night:
            line.stand(max(900.0, self._u(19.5, 22.3) * H - line.now), ignition=False)
            self._trip(self._choose_kind(), last=True)
            line.go(self.depot, _inside(self.depot, rng))
        self._at_the_depot()
        line.stand(self._u(30, 200))
        for paper in self.papers:
            honest, accepted = self.honest.get(paper.ref, (True, 0.0))
            settle(paper, accepted, honest=honest, rng=rng, rates=self.rates)
        return Planned(line.finish(), self.papers)

    # ---- one trip

    def _choose_kind(self) -> str:
        if self.truck.cheats:
            draw = float(self.rng.random())
            for name in self.rates.cheats.__struct_fields__:
                draw -= getattr(self.rates.cheats, name)
                if draw < 0:
                    if name == "field_spread" and self.truck.kind == TIPPER:
                        return "field_part"
                    return "honest" if name == "dribble" and self.truck.kind == TIPPER else name
        draw = float(self.rng.random())
        if draw < self.rates.wrong_place_mistake:
            return "wrong_place"
        return "no_manifest" if draw < self.rates.wrong_place_mistake + self.rates.no_manifest_mistake else "honest"

    def _trip(self, kind: str, *, last: bool) -> None:
        line, rng, truck = self.line, self.rng, self.truck
        farm = self.ground.farms[int(rng.choice(truck.farms))]
        to = self._destinations(farm, kind)
        paperless = kind in ("no_manifest", "no_manifest_dump")
        if not paperless and rng.random() < self.rates.cancel:
            self.papers.append(
                cancelled_paper(
                    self._ref(),
                    truck,
                    self.ground.farms[int(rng.choice(truck.farms))],
                    to,
                    self._not_before() + 60,
                    rng,
                )
            )
        line.go(farm, _inside(farm, rng), jam_kmh=self._jam())
        line.stand(self._u(60, 500), ignition=bool(rng.random() < 0.7))
        if paperless and self.papers:
            move_finish(self.papers[-1], 0.0)  # otherwise the earlier manifest would cover this load
            self.quiet_until = self.papers[-1].finished + 900
        line.stand(self.quiet_until - line.now, ignition=False)
        loaded = self._load(farm)
        line.stand(self._u(60, 420), ignition=bool(rng.random() < 0.8))
        if rng.random() < self.rates.odd_stop:
            self._odd_stop()
        residue = self.notes.load_end if last else float(rng.uniform(10, 120))
        rest = max(0.0, line.load - residue)
        declared: list[Unloaded] = []
        if kind in ("river_part", "field_part"):
            part = min(self._u(1_000, 4_000), rest * 0.6)
            self._dump(self._dump_place(kind), part)
            declared = self._deliver(to, rest - part)
        elif kind in ("river_all", "field_spread", "no_manifest_dump"):
            done = self._dump(self._dump_place(kind), rest, spread=kind == "field_spread")
            declared = [Unloaded(to[-1].id, done.started + 900, done.ended + self._u(600, 1_500), loaded.amount_kg)]
            if kind == "no_manifest_dump":
                self.quiet_until = line.now + 1_650
                return
        elif kind == "wrong_place":
            wrong = self._wrong_place(to)
            part = rest if rng.random() < 0.65 else min(rest * 0.7, self._u(1_500, 5_000))
            told = self._deliver([wrong], part)
            declared = (
                [Unloaded(to[0].id, told[0].started, told[-1].ended, loaded.amount_kg)]
                if part == rest
                else self._deliver(to, rest - part)
            )
        elif kind == "hold_back":
            part = min(self._u(1_500, 4_000), rest * 0.5)
            declared = self._deliver(to, rest - part)
            self._paper(kind, farm, to, loaded, declared, rest - part)
            finished = self.papers[-1].finished
            place = self._dump_place(kind)
            self._rest_nearby(max(0.0, finished + 18 * 60 - line.now), ignition=False)
            self._dump(place, line.load - residue)
            self.quiet_until = line.now + 1_650
            return
        elif kind == "dribble":
            part = min(self._u(1_200, 3_000), rest * 0.4)
            declared = self._deliver(to, rest - part, lose_kg=part)
        else:
            declared = self._deliver(to, rest)
        if paperless:
            self.quiet_until = line.now + 1_650
        else:
            self._paper(kind, farm, to, loaded, declared, sum(u.amount_kg for u in declared))

    def _load(self, farm: Spot) -> Transfer:
        line, rng, truck = self.line, self.rng, self.truck
        amount = max(2_500.0, truck.payload_kg * self._u(0.72, 0.98) - line.load)
        if truck.kind == TIPPER:
            strokes = int(np.ceil(amount / self._u(800, 1_200)))
            return line.transfer(
                LOAD, amount, strokes * self._u(40, 90), ignition=bool(rng.random() < 0.6), pto=False, strokes=strokes
            )
        # The truck's own vacuum pump needs the engine; a farm's pump does not.
        own = rng.random() < 0.7
        return line.transfer(LOAD, amount, amount / self._u(16, 38), ignition=own, pto=own)

    def _deliver(self, to: list[Spot], amount: float, lose_kg: float = 0.0) -> list[Unloaded]:
        """Bring `amount` to the places, shared out; at least 900 kg each."""
        shares = self.rng.dirichlet(np.full(len(to), 6.0)) if len(to) > 1 else np.array([1.0])
        if amount * float(shares.min()) < 900:
            to, shares = to[:1], np.array([1.0])
        told: list[Unloaded] = []
        for spot, share in zip(to, shares, strict=True):
            done = self._unload_at(spot, amount * float(share), lose_kg)
            lose_kg = 0.0
            told.append(Unloaded(spot.id, done.started, done.ended, done.amount_kg * float(self.rng.normal(1, 0.008))))
        return told

    def _unload_at(self, spot: Spot, amount: float, lose_kg: float) -> Transfer:
        line, rng, truck = self.line, self.rng, self.truck
        if spot.kind == "ManureTreatmentPlant":
            queue: tuple[tuple[float, float], ...] = ()
            if rng.random() < self.rates.plant_queue:
                ahead = int(rng.integers(1, 6))
                queue = tuple((16.0 * (ahead - k) + 25, self._u(60, 280)) for k in range(ahead))
            line.go(spot, _inside(spot, rng), jam_kmh=self._jam(), lose_kg=lose_kg, queue=queue)
            line.stand(self._u(40, 240))
            seconds = self._u(50, 100) if truck.kind == TIPPER else amount / self._u(18, 40)
            done = line.transfer(DISCHARGE, amount, seconds)
            line.stand(self._u(40, 300))
            return done
        spreads = truck.kind == SPREADER or (truck.kind == TANKER and rng.random() < 0.35)
        place = self._hose_place(spot) if not spreads and rng.random() < self.rates.outside_edge * 2 else None
        line.go(spot, place or _edge_inside(spot, rng), jam_kmh=self._jam(), lose_kg=lose_kg)
        line.stand(self._u(30, 240))
        if rng.random() < self.rates.towed:
            for _ in range(int(rng.integers(2, 6))):
                line.stand(self._u(15, 60), swing_kg=-self._u(500, 2_000))
                line.stand(self._u(10, 40))
        if spreads:
            done = line.spread(spot, amount, self._u(9, 26), self._u(3.2, 7.8), self._u(8, 12))
        elif truck.kind == TIPPER:
            done = line.transfer(DISCHARGE, amount, self._u(40, 120))
        else:
            done = line.transfer(DISCHARGE, amount, amount / self._u(8, 24), ignition=bool(rng.random() < 0.93))
        line.stand(self._u(20, 240))
        return done

    def _dump(self, spot: Spot, amount: float, *, spread: bool = False) -> Transfer:
        line, rng = self.line, self.rng
        pulled = rng.random() < self.rates.fuse_pulled
        before = line.now
        line.go(spot, _edge_inside(spot, rng) if spot.kind == "field" else _near(spot, rng, 6.0), jam_kmh=self._jam())
        arrived = line.now
        line.stand(self._u(15, 150))
        if spread:
            done = line.spread(spot, amount, self._u(10, 26), self._u(3.5, 8.0), self._u(8, 12))
        else:
            off = rng.random() < self.rates.dump_ignition_off
            seconds = self._u(30, 90) if self.truck.kind == TIPPER else amount / self._u(12, 30)
            done = line.transfer(DISCHARGE, amount, seconds, ignition=not off, pto=not off and bool(rng.random() < 0.6))
        line.stand(self._u(15, 120))
        if pulled:
            line.fuse_pulled.append((max(before, arrived - self._u(30, 400)), line.now + self._u(60, 600)))
        return done

    # ---- papers

    def _paper(
        self, kind: str, farm: Spot, to: list[Spot], loaded: Transfer, declared: list[Unloaded], accepted: float
    ) -> None:
        if self.papers and self.papers[-1].finished > loaded.started - 150:
            move_finish(self.papers[-1], loaded.started - 150)
        shown = loaded.amount_kg * float(self.rng.normal(1, 0.01))
        honest = kind in ("honest", "wrong_place") or not self.truck.cheats
        paper = write_paper(
            self._ref(),
            self.truck,
            farm,
            to,
            (loaded.started, loaded.ended, shown),
            declared,
            self._not_before(),
            honest=honest and kind == "honest",
            rng=self.rng,
            rates=self.rates,
        )
        self.honest[paper.ref] = (honest, accepted)
        self.papers.append(paper)

    def _ref(self) -> str:
        return f"{self.prefix}-{len(self.papers) + 1}"

    def _not_before(self) -> float:
        return max((p.finished for p in self.papers), default=0.0)

    # ---- where to

    def _destinations(self, farm: Spot, kind: str) -> list[Spot]:
        rng, ground = self.rng, self.ground
        to_plant = rng.random() < {TANKER: 0.62, SPREADER: 0.12, TIPPER: 0.5}[self.truck.kind]
        if to_plant and kind != "field_spread":
            gaps = np.array([_gap(p.gate, farm.gate) for p in ground.plants])
            odds = np.exp(-gaps / 5_000)
            return [ground.plants[int(rng.choice(len(ground.plants), p=odds / odds.sum()))]]
        near = sorted(ground.parcels, key=lambda p: _gap(p.gate, farm.gate))[:26]
        first = near[int(rng.integers(len(near)))]
        others = [p for p in sorted(ground.parcels, key=lambda p: _gap(p.gate, first.gate)) if p is not first][:5]
        more = int(rng.choice([0, 1, 2], p=(0.6, 0.28, 0.12)))
        picked = [others[int(k)] for k in rng.choice(len(others), more, replace=False)]
        return [first, *[p for p in picked if _gap(p.gate, first.gate) < 900]]

    def _dump_place(self, kind: str) -> Spot:
        ground, rng = self.ground, self.rng
        fields = kind in ("field_part", "field_spread") or (
            kind in ("no_manifest_dump", "hold_back") and rng.random() < 0.5
        )
        spots = ground.fields if fields else ground.banks
        odds = np.array([np.exp(-_gap(s.gate, self.line.place) / 3_500) for s in spots]) + 1e-6
        return spots[int(rng.choice(len(spots), p=odds / odds.sum()))]

    def _wrong_place(self, to: list[Spot]) -> Spot:
        """A registered place well away from all on the manifest."""
        options = [
            s for s in (*self.ground.parcels, *self.ground.plants[:1]) if all(s.area.distance(t.area) > 120 for t in to)
        ]
        options.sort(key=lambda s: _gap(s.gate, self.line.place))
        return options[int(self.rng.integers(min(10, len(options))))]

    def _hose_place(self, spot: Spot) -> XY | None:
        """A place 8–19 m outside the parcel, in front of its gate; None where a neighbour's parcel is in the way."""
        middle = spot.area.centroid
        size = float(np.hypot(spot.gate[0] - middle.x, spot.gate[1] - middle.y))
        ux, uy = (spot.gate[0] - middle.x) / size, (spot.gate[1] - middle.y) / size
        wanted = self._u(8, 19)
        for step in np.arange(0, 60, 1.0):
            place = (spot.gate[0] + ux * step, spot.gate[1] + uy * step)
            if spot.area.distance(Point(place)) >= wanted:
                return place if self.ground.nearest_permitted(*place)[0] is spot else None
        return None

    # ---- breaks, depot

    def _odd_stop(self) -> None:
        line, rng = self.line, self.rng
        if rng.random() < self.rates.bank_lunch / self.rates.odd_stop:
            spots: list[Spot] = sorted(self.ground.banks, key=lambda s: _gap(s.gate, line.place))[:4]
        else:
            options = (*self.ground.lay_bys, *self.ground.fields[:20])
            spots = sorted(options, key=lambda s: _gap(s.gate, line.place))[:6]
        line.go(spots[int(rng.integers(len(spots)))], jam_kmh=self._jam())
        line.stand(self._u(300, 2_700), ignition=bool(rng.random() < 0.5))

    def _rest_nearby(self, seconds: float, *, ignition: bool) -> None:
        line = self.line
        spot = min(self.ground.lay_bys, key=lambda s: _gap(s.gate, line.place))
        line.go(spot)
        line.stand(seconds, ignition=ignition)

    def _lunch(self) -> None:
        if not self.lunched and self.line.now > 11.6 * H:
            self.lunched = True
            if self.line.now < 14 * H:
                self._rest_nearby(self._u(1_600, 3_900), ignition=False)

    def _wait_for_dusk(self, earliest: float, latest: float) -> None:
        """Rest until the trip that follows brings its dump into this time (a trip takes some 50 minutes to that point)."""
        pause = self._u(earliest, latest) - 3_000 - self.line.now
        if pause > 0:
            self._rest_nearby(pause, ignition=False)

    def _at_the_depot(self) -> None:
        line, rng = self.line, self.rng
        if rng.random() < self.rates.wash:
            dirt = self._u(30, 120)
            line.add_extra(dirt, self._u(100, 200), ignition=bool(rng.random() < 0.5))
            line.add_extra(-dirt, self._u(300, 700), ignition=bool(rng.random() < 0.5))
        missing = self.notes.fuel_end - line.extra
        if missing > 90:
            line.add_extra(missing, missing / 0.84 / self._u(0.9, 1.3), ignition=bool(rng.random() < 0.25))

    def _jam(self) -> float | None:
        return self._u(3, 9) if self.rng.random() < self.rates.slow_traffic else None

    def _u(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))


def _gap(a: XY, b: XY) -> float:
    return float(np.hypot(a[0] - b[0], a[1] - b[1]))


def _near(spot: Spot, rng: Rng, spread: float) -> XY:
    return spot.gate[0] + float(rng.uniform(-spread, spread)), spot.gate[1] + float(rng.uniform(-spread, spread))


def _inside(spot: Spot, rng: Rng) -> XY:
    """A place in a yard, some metres around its middle."""
    middle = spot.area.representative_point()
    return float(middle.x) + float(rng.uniform(-12, 12)), float(middle.y) + float(rng.uniform(-12, 12))


def _edge_inside(spot: Spot, rng: Rng) -> XY:
    """A place in a field, 8–30 m behind its gate."""
    middle = spot.area.centroid
    size = _gap(spot.gate, (middle.x, middle.y))
    share = min(0.8, float(rng.uniform(8, 30)) / size)
    return spot.gate[0] + (middle.x - spot.gate[0]) * share, spot.gate[1] + (middle.y - spot.gate[1]) * share
