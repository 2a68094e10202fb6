"""What the truck's scale and satellite receiver read: the truth of a day, measured with their errors.

Scale: reading = (gross × (1 + error)) + offset, rounded to its step. The error, as shares of gross with σ the truck's own figure:

| part | standing | moving | why |
|---|---|---|---|
| calibration, temperature | gain, ±0.1–0.5 % over the day | same | springs and amplifiers (field) |
| posture | 0.40 σ, new at each stop | – | friction of leaf springs, how the truck happens to settle |
| slow noise, 75 s | 0.45 σ | 0.45 σ | wind, sloshing |
| white noise | 0.55 σ | up to 1.3 σ | road |
| fast noise, 8 s | – | up to 1.2 σ | road |
| grade, braking, bends | slope gain × grade | gains × m/s² | load shifts between axles |

Then faults of `sample_rates`: frozen, missing, nonsense, moved zero, air springs filling. Shares and time constants
are ours, within what makers state for on-board
scales (1–2 % of gross).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from madang.services.manure.sample_fleet import TIPPER, Truck
from madang.services.manure.sample_ground import Floats, Ground, Rng
from madang.services.manure.sample_rates import Rates
from madang.services.manure.sample_timeline import DayTruth

STEP_S = 10
"""The terminal reports every ten seconds while the ignition is on."""


@dataclass(slots=True)
class Readings:
    """What the terminal gets from its sensors, one row per message to be; arrays of equal length."""

    t: NDArray[np.int64]
    """Seconds of the day, increasing."""
    ignition: NDArray[np.bool_]
    pto: NDArray[np.bool_]
    x: Floats
    y: Floats
    """Where the receiver thinks it is, metres."""
    true_x: Floats
    true_y: Floats
    fix: NDArray[np.bool_]
    speed_kmh: Floats
    heading: Floats
    hdop: Floats
    weight_kg: NDArray[np.int64]
    """-1 where the scale gave nothing."""
    stable: NDArray[np.bool_]


def read_sensors(
    ground: Ground, truck: Truck, truth: DayTruth, rain: tuple[float, float] | None, rng: Rng, rates: Rates
) -> Readings:
    """Sample a day. `rain`: its begin and end in seconds of the day."""
    t, on = _sample_times(truth)
    for a, b in truth.fuse_pulled:
        keep = (t < a) | (t > b)
        t, on = t[keep], on[keep]
    time = t.astype(np.float64)
    starts = np.array([s.start for s in truth.segments])
    seg = np.clip(np.searchsorted(starts, time, "right") - 1, 0, len(starts) - 1)
    knot = np.clip(np.searchsorted(truth.t, time, "right") - 1, 0, len(truth.t) - 1)
    moving = np.array([s.moving for s in truth.segments])[seg]
    v = np.where(moving, np.interp(time, truth.t, truth.v), 0.0)
    x, y = np.interp(time, truth.t, truth.x), np.interp(time, truth.t, truth.y)
    grade = np.where(moving, truth.grade[knot], np.array([s.grade for s in truth.segments])[seg])
    load = np.interp(time, truth.t, truth.load)
    water = _tarpaulin_water(time, v, rain, rng) if rain is not None and truck.kind == TIPPER else 0.0
    gross = truck.tare_kg + load + np.interp(time, truth.t, truth.extra) + water
    swing = np.array([s.swing_kg for s in truth.segments])[seg] * rng.uniform(0.4, 1.0, len(t))
    weight = _weigh(
        truck,
        truth,
        time,
        seg,
        gross + swing,
        v,
        truth.accel[knot] * moving,
        truth.lateral[knot] * moving,
        grade,
        on,
        rng,
    )
    weight = _scale_faults(truck, weight, t, rng, rates)
    flowing = np.abs(np.gradient(load, time)) > 3.0 if len(t) > 2 else np.zeros(len(t), bool)
    odds = np.where(v > 0.5, 0.08, np.where(flowing, 0.3, 0.95))
    stable = (rng.random(len(t)) < odds) | truck.always_stable
    gx, gy, fix, hdop = _receiver(ground, truck, time, x, y, rng, rates)
    speed = np.where(
        v > 0.3,
        np.maximum(0.0, v * 3.6 + rng.normal(0, 0.35, len(t))),
        np.where(rng.random(len(t)) < 0.7, 0.0, np.abs(rng.normal(0, 0.35, len(t)))),
    )
    heading = np.where(v > 0.8, (truth.heading[knot] + rng.normal(0, 2.5, len(t))) % 360, truth.heading[knot])
    pto = np.array([s.pto for s in truth.segments])[seg] & on
    return Readings(t, on, pto, gx, gy, x, y, fix, speed, heading, hdop, weight, stable)


def _sample_times(truth: DayTruth) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Every ten seconds from ignition on, and once at ignition off."""
    times: list[NDArray[np.int64]] = []
    flags: list[NDArray[np.bool_]] = []
    begin: float | None = None
    last = truth.segments[-1]
    for segment in truth.segments:
        if segment.ignition and begin is None:
            begin = segment.start
        if begin is not None and (not segment.ignition or segment is last):
            stop = int(segment.end if segment is last and segment.ignition else segment.start)
            t = np.arange(int(begin) + 1, stop, STEP_S, dtype=np.int64)
            if len(t) and stop - t[-1] < 2:
                t = t[:-1]
            times.append(np.append(t, stop))
            flags.append(np.append(np.ones(len(t), bool), False))
            begin = None
    return np.concatenate(times), np.concatenate(flags)


def _weigh(
    truck: Truck,
    truth: DayTruth,
    time: Floats,
    seg: NDArray[np.int64],
    gross: Floats,
    v: Floats,
    accel: Floats,
    lateral: Floats,
    grade: Floats,
    on: NDArray[np.bool_],
    rng: Rng,
) -> NDArray[np.int64]:
    n = len(time)
    sigma = truck.sigma
    motion = np.minimum(1.0, v / 6.0)
    posture = np.zeros(len(truth.segments))
    settled = 0.0
    for k, segment in enumerate(truth.segments):
        if segment.moving:
            continue
        first = k == 0 or truth.segments[k - 1].moving
        settled = float(rng.normal(0, 0.40 * sigma)) if first else settled + float(rng.normal(0, 0.06 * sigma))
        posture[k] = settled
    error = (
        truck.gain
        + truck.drift * np.sin(2 * np.pi * (time / 3_600 - 9.5) / 24)
        + _ar(rng.normal(0, 0.0018, n), np.exp(-STEP_S / 9_000))
    )
    error += posture[seg] * (1 - motion) + _ar(rng.normal(0, 0.45 * sigma, n), np.exp(-STEP_S / 75))
    error += (
        rng.normal(0, 1.0, n) * sigma * (0.55 + 0.75 * motion)
        + _ar(rng.normal(0, 1.2 * sigma, n), np.exp(-STEP_S / 8)) * motion
    )
    error += truck.slope_gain * grade + truck.brake_gain * accel + truck.bend_gain * lateral
    if truck.air_fill:
        begins = np.flatnonzero(np.diff(time, prepend=-1e9) > 600)
        since = time - time[begins[np.searchsorted(begins, np.arange(n), "right") - 1]]
        error -= 0.10 * np.exp(-since / 35.0)
    reading = gross * (1 + error) + truck.offset_kg
    steps: NDArray[np.int64] = np.rint(np.maximum(0.0, reading) / truck.quantum_kg).astype(np.int64)
    return steps * truck.quantum_kg


def _ar(noise: Floats, keep: float) -> Floats:
    """First-order autoregressive noise with the standard deviation of its input."""
    scale = float(np.sqrt(1 - keep * keep))
    out = np.empty_like(noise)
    value = float(noise[0]) if len(noise) else 0.0
    series = noise.tolist()
    for k, n in enumerate(series):
        value = keep * value + scale * n if k else n
        out[k] = value
    return out


def _scale_faults(
    truck: Truck, weight: NDArray[np.int64], t: NDArray[np.int64], rng: Rng, rates: Rates
) -> NDArray[np.int64]:
    n = len(t)
    for _ in range(rng.poisson(rates.rezero_per_day)):
        k = int(rng.integers(n))
        weight[k:] += int(rng.choice([-1, 1]) * rng.integers(60, 220) // 10 * 10)
    for a, b in windows(t, rates.stuck_per_day, 180, 1_200, rng):
        weight[a:b] = weight[a]
    for _ in range(rng.poisson(rates.spike_per_day)):
        k = int(rng.integers(n))
        weight[k : k + int(rng.integers(1, 4))] = int(rng.choice([0, int(truck.tare_kg), 65_535]))
    for a, b in windows(t, rates.weight_gap_per_day, 60, 720, rng):
        weight[a:b] = -1
    weight[rng.random(n) < rates.weight_missing] = -1
    return weight


def _receiver(
    ground: Ground, truck: Truck, time: Floats, x: Floats, y: Floats, rng: Rng, rates: Rates
) -> tuple[Floats, Floats, NDArray[np.bool_], Floats]:
    n = len(time)
    shadow = np.zeros(n, bool)
    for disc in ground.sky_shadows:
        shadow |= disc.covers(x, y)
    sigma = truck.gps_sigma_m * np.where(shadow, 3.5, 1.0)
    keep = np.exp(-STEP_S / 60)
    gx = x + _ar(rng.normal(0, 1.0, n), keep) * sigma + rng.normal(0, 0.7, n)
    gy = y + _ar(rng.normal(0, 1.0, n), keep) * sigma + rng.normal(0, 0.7, n)
    hdop = np.clip(0.75 + rng.gamma(2.0, 0.15, n) + shadow * rng.uniform(1.5, 8.0, n), 0.6, 25.0)
    fix = ~(shadow & (rng.random(n) < 0.45))
    t = time.astype(np.int64)
    for _ in range(rng.poisson(rates.gps_jump_per_day)):
        k, size, angle = int(rng.integers(n)), float(rng.uniform(30, 150)), float(rng.uniform(0, 6.283))
        m = k + int(rng.integers(1, 5))
        gx[k:m] += size * np.cos(angle)
        gy[k:m] += size * np.sin(angle)
    for a, b in windows(t, rates.gps_frozen_per_day, 60, 300, rng):
        gx[a:b], gy[a:b] = gx[a], gy[a]
    for a, b in windows(t, rates.gps_outage_per_day, 30, 360, rng):
        fix[a:b] = False
    hdop[~fix] = 99.9
    if truck.holds_last_fix:
        last = np.maximum.accumulate(np.where(fix, np.arange(n), 0))
        gx, gy = gx[last], gy[last]
    return gx, gy, fix, hdop


def windows(
    t: NDArray[np.int64], per_day: float, shortest_s: float, longest_s: float, rng: Rng
) -> list[tuple[int, int]]:
    """Random windows over messages: index ranges [a, b); their number is Poisson with the mean `per_day`."""
    found = []
    for _ in range(rng.poisson(per_day)):
        a = int(rng.integers(len(t)))
        b = int(np.searchsorted(t, t[a] + float(rng.uniform(shortest_s, longest_s))))
        found.append((a, max(a + 1, b)))
    return found


def _tarpaulin_water(time: Floats, v: Floats, rain: tuple[float, float], rng: Rng) -> Floats:
    """Rain that collects on the tarpaulin of an open tipper (40–120 kg an hour, 230 kg at most) and pours off within minutes of driving."""
    rate = float(rng.uniform(40, 120)) / 3_600
    water = 0.0
    before = float(time[0])
    out = np.empty(len(time))
    for k, (now, speed) in enumerate(zip(time.tolist(), v.tolist(), strict=True)):
        wet = max(0.0, min(now, rain[1]) - max(before, rain[0]))
        water = min(230.0, water + rate * wet)
        if speed > 4:
            water *= float(np.exp(-min(now - before, 30.0) / 240.0))
        out[k] = water
        before = now
    return out
