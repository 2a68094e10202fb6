"""Recall of `manure.events` on the tests' own hand-made world: whole days with faults, many seeds, in about a minute.

Not the blind measure (`madang evaluate manure` is), but the one to look at after a change of the detector:
``python -m benchmarks.manure_events FROM_SEED TO_SEED``.
"""

import random
import sys
import time
from collections import Counter

from madang.model.time import SECOND
from madang.services.manure.detect_events import EventsDetector
from tests.services.manure.weights import START, World, last_versions, make_change, make_ref, make_registration, run

DETECTOR = EventsDetector()
TYPES = {"load": "ManureLoading", "unload": "ManureUnloading"}


def travel(world: World, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 4)):
        world.drive(rng.randint(60, 400), rng.uniform(25, 60))
        if rng.random() < 0.6:
            world.crossing(rng.randint(5, 90))
        if rng.random() < 0.04:
            world.park(rng.randint(120, 900))
    world.drive(rng.randint(60, 300), 40)


def cheat(world: World, rng: random.Random, left: float) -> float:
    part = min(left, rng.choice([500, 700, 1000, 2000, 3000, 5000]))
    mode = rng.random()
    if mode < 0.6:
        world.park(rng.randint(0, 40)).pump(
            -part, max(10, int(part / rng.uniform(10, 60))), "bank", pto=rng.random() < 0.6
        )
        world.park(rng.randint(0, 60))
    elif mode < 0.85:
        world.drive(20, 8).spread(part, max(30, int(part / rng.uniform(6, 20))), place="field")
    else:
        world.park(5).ignition = False
        world._send()
        world.power = False
        world.pump(-part, 120, "bank", pto=False)
        world.power = world.ignition = True
        world._send()
        world.park(rng.randint(0, 30))
    return part


def make_day(seed: int) -> World:
    rng = random.Random(seed * 7 + 1)
    world = World(
        seed, tare=rng.choice([8_000, 11_000, 14_000]), noise=rng.uniform(0.01, 0.02),
        slope=rng.choice([0.005, 0.01, 0.02]), swing=rng.choice([0.01, 0.02, 0.03]),
    )  # fmt: skip
    world.park(rng.randint(30, 300))
    travel(world, rng)
    for _ in range(4):
        kg, fault = rng.uniform(4_000, 12_000), rng.random()
        world.park(rng.randint(5, 120)).pto_works = rng.random() < 0.7
        world.pump(kg, int(kg / rng.uniform(12, 30)), "farm").park(rng.randint(10, 200))
        travel(world, rng)
        if fault < 0.1:
            world.hole_begins()
            travel(world, rng)
            world.hole_ends(newest_first=rng.random() < 0.3, after=rng.choice([0, 0, 40]))
        elif fault > 0.9:
            world.scale_works = False
            travel(world, rng)
            world.scale_works = True
            travel(world, rng)
        elif fault > 0.85:
            world.rain = rng.uniform(50, 250)
        if rng.random() < 0.5:
            kg -= cheat(world, rng, kg)
            travel(world, rng)
        world.rain *= 0.3
        if kg > 400 and rng.random() < 0.5:
            world.drive(20, 8).spread(kg, int(kg / rng.uniform(8, 20)), place="parcel")
        elif kg > 400:
            world.park(rng.randint(5, 100)).pump(-kg, int(kg / rng.uniform(12, 40)), "plant").park(rng.randint(5, 100))
        travel(world, rng)
        if rng.random() < 0.3:
            world.park(60).pump(rng.uniform(100, 250), 90, note=False, pto=False).park(60)
            travel(world, rng)
    world.off(1_800)
    world.readings = [r for r in world.readings if rng.random() > 0.01]
    for reading in world.readings:
        if rng.random() < 0.01:
            reading.weight = None
        if rng.random() < 0.005:
            reading.x = reading.y = None
        if rng.random() < 0.01:
            reading.arrives += rng.uniform(5, 60)
    return world


def main(first: int, last: int) -> None:
    count: Counter[str] = Counter()
    delays: list[float] = []
    errors: list[float] = []
    took = messages = 0.0
    for seed in range(first, last):
        world = make_day(seed)
        ref = make_ref([DETECTOR], [make_registration(world, noise=0.015)])
        began = time.perf_counter()
        outputs = run([DETECTOR], [make_change(r) for r in world.readings], ref, until=world.t + 400)
        took += time.perf_counter() - began
        messages += len(world.readings)
        seen = [s for s in last_versions(outputs) if s.type in TYPES.values()]
        for truth in world.truth:
            hit = next(
                (s for s in seen if s.type == TYPES[truth.kind] and s.t0 <= truth.t1 + 60 and s.t1 >= truth.t0 - 60),
                None,
            )
            size = "below 900 kg" if truth.kg < 900 else "from 900 kg"
            count[f"{'missed' if hit is None else 'found'} {size}"] += 1
            if hit is not None:
                seen.remove(hit)
                errors.append(abs(hit.value("amount") - truth.kg))
                delays.append((hit.first_at - START) / SECOND - truth.t0)
        count["false"] += len(seen)
    print(dict(count))
    print(f"truck-days {last - first}, median error {sorted(errors)[len(errors) // 2]:.0f} kg, "
          f"median delay from the start {sorted(delays)[len(delays) // 2]:.0f} s, {took / messages * 1e6:.0f} µs a message")  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
