"""Trucks that empty and fill their tanks where nothing is registered: what the sector's own rules find can be told by hand.

One cycle is 211 messages, ten seconds apart: twelve minutes of driving loaded with 20 t, three standing, 5 t out within a minute, four
standing, seven driving with 15 t, two and a half standing, 5 t in within a minute, four standing. No manifest is ever open, so
each cycle is one discharge outside any permitted place (D1), and one unloading and one loading without a manifest (D4 twice).
"""

import json
from typing import Any

from madang.model.time import SECOND, Instant
from tests.faults.device import Device
from tests.faults.harness import make_payload
from tests.faults.serve import SECRET, SOURCE

STEP_S = 10
FULL_KG, MOVED_KG = 20_000.0, 5_000.0
LEGS = (("drive", 72), ("stand", 18), ("out", 6), ("stand", 25), ("drive", 44), ("stand", 15), ("in", 6), ("stand", 25))
CYCLE = sum(count for _, count in LEGS)
DRIVE_DEGREES = 0.0009
"""Eastwards in ten seconds at 29 km/h, on the 37th parallel."""


def registration(code: str) -> dict[str, Any]:
    """The truck's entry in the register, as NGSI-LD: 1 % noise, and a weight of 10 to 25 t is believable."""
    return {
        "id": f"urn:ngsi-ld:VehicleRegistration:{code}",
        "type": "VehicleRegistration",
        "vehicle": {"type": "Relationship", "object": f"urn:ngsi-ld:Vehicle:{code}"},
        "vehiclePlateIdentifier": {"type": "Property", "value": code},
        "tareWeight": {"type": "Property", "value": 10_000, "unitCode": "KGM"},
        "maxPayload": {"type": "Property", "value": 15_000, "unitCode": "KGM"},
        "weightNoise": {"type": "Property", "value": 0.01},
    }


def make_dumping(count: int, cycles: int, first_at: Instant, gap_s: float) -> list[Device]:
    """Trucks in lanes of their own, far from every place of a map that is empty anyway."""
    devices = []
    for d in range(count):
        code = f"G{d:03d}"
        payloads = []
        lon, weight, n = 127.0, FULL_KG, 0
        for _ in range(cycles):
            for leg, steps in LEGS:
                for _ in range(steps):
                    lon += DRIVE_DEGREES * (leg == "drive")
                    weight += MOVED_KG / steps * ((leg == "in") - (leg == "out"))
                    noise = (n * 37 % 11 - 5) * 20
                    at = first_at + n * STEP_S * SECOND
                    message = json.loads(make_payload(n, at, round(weight + noise), lon=lon, lat=37.0 + d * 0.05))
                    message["spd"] = 29.0 if leg == "drive" else 0.0
                    payloads.append(json.dumps(message).encode())
                    n += 1
        devices.append(Device(code, SOURCE.id, SECRET, f"manure/{code}/telemetry", payloads, gap_s=gap_s))
    return devices
