"""What the terminal makes of its readings: JSON messages, numbered, sent at once, late, twice, out of order or broken.

The clock of a terminal follows its receiver; the sequence number counts on over days (each day starts a block of ten
thousand, as terminals that keep
their counter in flash do, so that a power cut never repeats a number), except for old firmware, which begins at 1 after a restart.
"""

import numpy as np
from numpy.typing import NDArray

from madang.model.time import SECOND, Instant
from madang.services.manure.sample_fleet import Truck
from madang.services.manure.sample_ground import Ground, Rng
from madang.services.manure.sample_rates import Rates
from madang.services.manure.sample_scale import Readings, windows

ROLLOVER_S = 1024 * 7 * 86_400
"""The week number of GPS has ten bits (IS-GPS-200, 20.3.3.3.1.1)."""
SEQUENCE_BLOCK = 10_000

Message = tuple[Instant, bytes, bool]
"""(sent at, payload, DUP flag)."""


def build_messages(
    ground: Ground, truck: Truck, readings: Readings, day_start: Instant, rng: Rng, rates: Rates
) -> list[Message]:
    """All messages of a day in the order of sending."""
    r = readings
    alive = np.ones(len(r.t), bool)
    restarts: list[int] = []
    for _ in range(rng.poisson(rates.reboot_per_day)):
        k = int(rng.integers(len(r.t)))
        m = int(np.searchsorted(r.t, r.t[k] + int(rng.integers(20, 60))))
        alive[k:m] = False
        restarts.append(m)
    seq = day_start // (86_400 * SECOND) % 1_000 * SEQUENCE_BLOCK + np.cumsum(alive)
    if truck.old_firmware:
        for m in sorted(restarts):
            if m < len(seq):
                seq[m:] -= seq[m] - 1
    kept = np.flatnonzero(alive)
    payloads = _payloads(ground, truck, r, seq, kept, day_start // SECOND, rng, rates)
    return _send(ground, truck, r, kept, payloads, day_start, rng, rates)


def _payloads(
    ground: Ground,
    truck: Truck,
    r: Readings,
    seq: NDArray[np.int64],
    kept: NDArray[np.int64],
    day_s: int,
    rng: Rng,
    rates: Rates,
) -> list[bytes]:
    clock = truck.clock_off_s
    if rng.random() < rates.clock_minutes_per_day:
        clock += int(rng.choice([-1, 1]) * rng.integers(120, 240))
    shown = r.t[kept] + (day_s + clock)
    if truck.rollover and rng.random() < 0.15:
        shown[: int(rng.integers(3, 13))] -= ROLLOVER_S
    times = np.datetime_as_string(shown.astype("datetime64[s]")).tolist()
    lon0, lat0 = ground.plane.origin
    lon1, lat1 = ground.plane.to_lon_lat(1.0, 1.0)
    lons, lats = (lon0 + r.x[kept] * (lon1 - lon0)).tolist(), (lat0 + r.y[kept] * (lat1 - lat0)).tolist()
    battery = np.where(r.ignition[kept], 27.6, 24.4) + rng.normal(0, 0.12, len(kept))
    fix = r.fix[kept]
    odd = ~fix if not truck.holds_last_fix else np.zeros(len(kept), bool)
    weights = r.weight_kg[kept]
    plain = ~odd & (weights >= 0)
    words = ("false", "true")
    stable, ignition, pto = (([words[int(b)] for b in flags[kept].tolist()]) for flags in (r.stable, r.ignition, r.pto))
    rows = list(
        zip(
            seq[kept].tolist(),
            times,
            lons,
            lats,
            r.speed_kmh[kept].tolist(),
            (r.heading[kept] % 360).tolist(),
            weights.tolist(),
            stable,
            ignition,
            pto,
            r.hdop[kept].tolist(),
            battery.tolist(),
            strict=True,
        )
    )
    form = '{"seq":%d,"t":"%sZ","lon":%.6f,"lat":%.6f,"spd":%.1f,"hdg":%.0f,"w":%d,"ws":%s,"ign":%s,"pto":%s,"hdop":%.1f,"bat":%.1f}'
    payloads = [(form % row).encode() for row in rows]
    for k in np.flatnonzero(~plain).tolist():
        payloads[k] = _odd_payload(rows[k], truck.null_fields, fix=bool(fix[k]) or truck.holds_last_fix)
    for k in np.flatnonzero(rng.random(len(payloads)) < rates.invalid).tolist():
        payloads[k] = _broken(payloads[k], int(rng.integers(4)))
    return payloads


def _odd_payload(row: tuple[object, ...], null_fields: bool, *, fix: bool) -> bytes:
    """A message that lacks its position or its weight: left out, or null."""
    seq, time, lon, lat, speed, heading, weight, stable, ignition, pto, hdop, battery = row
    parts = [f'"seq":{seq}', f'"t":"{time}Z"']
    if fix:
        parts += [f'"lon":{lon:.6f}', f'"lat":{lat:.6f}', f'"spd":{speed:.1f}', f'"hdg":{heading:.0f}']
    elif null_fields:
        parts += ['"lon":null', '"lat":null', '"spd":null', '"hdg":null']
    if isinstance(weight, int) and weight >= 0:
        parts += [f'"w":{weight}', f'"ws":{stable}']
    elif null_fields:
        parts += ['"w":null', '"ws":false']
    parts += [f'"ign":{ignition}', f'"pto":{pto}', f'"hdop":{hdop:.1f}', f'"bat":{battery:.1f}']
    return ("{" + ",".join(parts) + "}").encode()


def _broken(payload: bytes, how: int) -> bytes:
    """A payload as broken units send it."""
    if how == 0:
        return payload[: len(payload) * 2 // 3]
    if how == 1:
        return b""
    if how == 2 and b'"lon":1' in payload:
        head, tail = payload.split(b'"lon":', 1)
        return head + b'"lon":900.000000,' + tail.split(b",", 1)[1]
    return payload.replace(b'"t":"', b'"t":"0000-00-00T', 1)


def _send(
    ground: Ground,
    truck: Truck,
    r: Readings,
    kept: NDArray[np.int64],
    payloads: list[bytes],
    day_start: Instant,
    rng: Rng,
    rates: Rates,
) -> list[Message]:
    n = len(kept)
    t = r.t[kept].astype(np.float64)
    x, y = r.true_x[kept], r.true_y[kept]
    dark = np.zeros(n, bool)
    for hole in ground.radio_holes:
        dark |= hole.covers(x, y)
    for a, b in windows(r.t[kept], rates.net_outage_per_day, 60, 480, rng):
        dark[a:b] = True
    sent = t + truck.latency_s * np.exp(rng.normal(0, 0.35, n))
    late = rng.random(n) < rates.delayed
    sent[late] += rng.uniform(10, 60, int(late.sum()))
    again = rng.random(n) < rates.duplicate
    edges = np.flatnonzero(np.diff(np.concatenate([[0], dark.astype(np.int8), [0]])))
    for a, b in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True):
        # The buffer is emptied when the link is back, some messages a second; the last unacknowledged one goes out twice.
        back = (t[b] if b < n else t[n - 1] + 120) + float(rng.uniform(3, 25))
        order = np.arange(b - a) / float(rng.uniform(5, 20))
        sent[a:b] = back + (order[::-1] if truck.newest_first else order)
        again[a:b] |= rng.random(b - a) < 0.02
        again[a] = True
    # Microseconds; the number of the message breaks ties so that the order is fixed.
    at = day_start + (sent * SECOND).astype(np.int64)
    messages: list[Message] = [(when, payload, False) for when, payload in zip(at.tolist(), payloads, strict=True)]
    extra = np.flatnonzero(again)
    for k, wait in zip(extra.tolist(), rng.uniform(3, 25, len(extra)).tolist(), strict=True):
        messages.append((int(at[k]) + int(wait * SECOND), payloads[k], True))
    messages.sort(key=_sent_at)
    return messages


def _sent_at(message: Message) -> Instant:
    return message[0]
