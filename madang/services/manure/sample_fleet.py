"""Carriers, trucks, drivers of the sample city, and the temper of each truck's scale, receiver and terminal."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from madang.model.entity import Attributes, prop, rel
from madang.services.manure.sample_ground import Ground, Rng
from madang.services.manure.sample_rates import Rates

_CARRIERS = (
    ("마당환경", "Madang Environment"),
    ("새들자원", "Saedeul Resources"),
    ("푸른물류", "Pureun Logistics"),
    ("솔내운수", "Sollae Transport"),
    ("한실자원", "Hansil Resources"),
    ("가람환경", "Garam Environment"),
    ("느티산업", "Neuti Industries"),
    ("다온운수", "Daon Transport"),
    ("참흙자원", "Chamheuk Resources"),
    ("방아환경", "Banga Environment"),
    ("누리순환", "Nuri Circulation"),
    ("온들운수", "Ondeul Transport"),
)
_FAMILY = ("김", "이", "박", "최", "정", "강", "조", "윤", "장", "임", "한", "오")
_GIVEN = (
    "민수",
    "정호",
    "영철",
    "성진",
    "기훈",
    "상욱",
    "재석",
    "동현",
    "태영",
    "현우",
    "용식",
    "준호",
    "병철",
    "광수",
    "은정",
    "미경",
)
_PLATE_WORDS = ("바", "사", "아", "자")

TANKER, SPREADER, TIPPER = "tanker", "spreader", "tipper"
"""Vacuum tanker (slurry), tanker with a spreading boom, open tipper with tarpaulin (compost)."""


class Truck(Struct, frozen=True):
    """One truck with its driver and its devices."""

    number: int
    code: str
    """Terminal id and last part of the entity id."""
    plate: str
    carrier: int
    driver: str
    kind: str
    tare_kg: float
    payload_kg: float
    depot: int
    cheats: bool
    pace: float
    """The driver's factor on usual speeds."""
    farms: tuple[int, ...]
    """Clients: indices of farms."""
    sigma: float
    """1-sigma of a standing reading, share of gross."""
    gain: float
    """Calibration: reading = truth × (1 + gain) + offset."""
    offset_kg: float
    slope_gain: float
    """Reading changes by this share per unit of grade."""
    brake_gain: float
    """… per m/s² of acceleration."""
    bend_gain: float
    drift: float
    """Daily temperature swing, share of gross."""
    quantum_kg: int
    air_fill: bool
    """Air springs that fill for a minute or two after ignition: the scale reads low meanwhile."""
    always_stable: bool
    """A cheap scale whose stable flag is stuck at true."""
    gps_sigma_m: float
    null_fields: bool
    """Sends null for what it does not know; others leave the field out."""
    holds_last_fix: bool
    """Repeats the last position with hdop 99.9 when it has no fix; others send none."""
    newest_first: bool
    """Empties its buffer newest first."""
    old_firmware: bool
    """Begins its sequence at 1 after a restart."""
    rollover: bool
    clock_off_s: int
    latency_s: float

    @property
    def id(self) -> str:
        """Entity id of the vehicle."""
        return f"urn:ngsi-ld:Vehicle:{self.code}"

    @property
    def carrier_id(self) -> str:
        """Entity id of the carrier."""
        return carrier_id(self.carrier)


def carrier_id(number: int) -> str:
    """Entity id of a carrier by its number, from 0."""
    return f"urn:ngsi-ld:Organization:C{number + 1:02d}"


def build_fleet(ground: Ground, rng: Rng, rates: Rates, count: int) -> tuple[Truck, ...]:
    """`count` trucks of twelve carriers. The first carriers are the larger ones. Payload 5–20 t, tare 8–12 t."""
    weights = np.array([6, 5, 5, 4, 4, 3, 3, 3, 2, 2, 2, 1], dtype=float)
    carriers = np.sort(rng.choice(len(_CARRIERS), count, p=weights / weights.sum()))
    carriers[: len(_CARRIERS)] = np.arange(min(len(_CARRIERS), count))
    cheats = set(rng.choice(count, max(1, round(rates.cheaters * count)), replace=False).tolist())
    rollover = int(rng.integers(count)) if rng.random() < min(1.0, rates.rollover_unit * count) else -1
    trucks = []
    for n in range(count):
        kind = str(rng.choice([TANKER, SPREADER, TIPPER], p=(0.6, 0.25, 0.15)))
        payload = float(
            rng.choice(
                [5_000, 8_000, 10_000, 12_000, 15_000, 18_000, 20_000], p=(0.08, 0.14, 0.22, 0.2, 0.18, 0.1, 0.08)
            )
        )
        depot = int(carriers[n]) % len(ground.depots)
        near = sorted(range(len(ground.farms)), key=lambda k: _gap(ground, depot, k))
        clients = rng.choice(near[:40], size=min(9, len(near)), replace=False)
        trucks.append(
            Truck(
                number=n,
                code=f"MD{n + 1:02d}",
                plate=f"{80 + int(carriers[n])}{rng.choice(_PLATE_WORDS)} {rng.integers(1000, 9999)}",
                carrier=int(carriers[n]),
                driver=f"{rng.choice(_FAMILY)}{rng.choice(_GIVEN)}",
                kind=kind,
                tare_kg=round(8_000 + (payload - 5_000) / 15_000 * 3_200 + float(rng.uniform(0, 800)), -1),
                payload_kg=payload,
                depot=depot,
                cheats=n in cheats,
                pace=float(rng.uniform(0.88, 1.06)),
                farms=tuple(int(k) for k in clients),
                sigma=float(rng.uniform(rates.sigma_low, rates.sigma_high)),
                gain=float(np.clip(rng.normal(0, 0.006), -0.015, 0.015)),
                offset_kg=float(rng.normal(0, 40)),
                slope_gain=float(rng.normal(0, 0.10)),
                brake_gain=float(rng.uniform(-0.03, 0.03)),
                bend_gain=float(rng.uniform(0.0, 0.015)),
                drift=float(rng.uniform(0.001, 0.005)),
                quantum_kg=10 if rng.random() < 0.6 else 20,
                air_fill=bool(rng.random() < 0.08),
                always_stable=bool(rng.random() < 0.05),
                gps_sigma_m=float(rng.uniform(2.2, 5.0)),
                null_fields=bool(rng.random() < 0.4),
                holds_last_fix=bool(rng.random() < 0.6),
                newest_first=bool(rng.random() < 0.2),
                old_firmware=bool(rng.random() < rates.old_firmware),
                rollover=n == rollover,
                clock_off_s=int(
                    rng.choice(
                        [0, 1, -1, int(rng.integers(3, 16)), -int(rng.integers(3, 16)), int(rng.integers(20, 90))],
                        p=(0.6, 0.15, 0.1, 0.06, 0.06, 0.03),
                    )
                ),
                latency_s=float(rng.uniform(0.4, 1.6)),
            )
        )
    return tuple(trucks)


def _gap(ground: Ground, depot: int, farm: int) -> float:
    a, b = ground.depots[depot].gate, ground.farms[farm].gate
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2


def fleet_reference(trucks: Sequence[Truck]) -> list[tuple[str, str, Attributes]]:
    """Carriers, registrations and the trucks' static attributes: (id, type, normalised attributes)."""
    rows: list[tuple[str, str, Attributes]] = []
    for n in sorted({t.carrier for t in trucks}):
        ko, en = _CARRIERS[n]
        rows.append((carrier_id(n), "Organization", {"name": prop(ko), "alternateName": prop(en)}))
    for t in trucks:
        plate, owner = prop(t.plate), rel(t.carrier_id)
        rows.append((t.id, "Vehicle", {"vehiclePlateIdentifier": plate, "owner": owner}))
        rows.append(
            (
                f"urn:ngsi-ld:VehicleRegistration:{t.code}",
                "VehicleRegistration",
                {
                    "vehicle": rel(t.id),
                    "vehiclePlateIdentifier": plate,
                    "owner": owner,
                    "tareWeight": prop(t.tare_kg, "KGM"),
                    "maxPayload": prop(t.payload_kg, "KGM"),
                    "weightNoise": prop(round(t.sigma, 4)),
                },
            )
        )
    return rows
