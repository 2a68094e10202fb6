"""The slurry trucks' terminals as a source: what they send and what it means.

The payload, every 10 s while the ignition is on and once when it goes on or off:

    {"seq": 1234, "t": "2026-11-23T02:14:09Z", "lon": 126.531188, "lat": 33.499621, "spd": 41.5, "hdg": 183.0, "w": 18420,
     "ws": true, "ign": true, "pto": false, "hdop": 0.9, "bat": 24.1}

Limits are those of `model.py`. The position is required, so its absence is reported; the weight is kept without it, because the
detectors still see a load go when the receiver lost the sky.
"""

from madang.services.manure.model import GROSS_WEIGHT_KG_MAX, SPEED_KM_H_MAX, VEHICLE
from madang.wire.source import AttributeMapping, Mapping, Source, TimeMapping

TRUCK_SOURCE = Source(
    id="manure-terminals",
    title={"ko": "가축분뇨 운반차량 단말기", "en": "Slurry truck terminals"},
    protocol="mqtt",
    topic="manure/{device}/telemetry",
    cadence_s=10.0,
    rest_s=40 * 3600.0,  # ours: from Saturday afternoon to Monday morning, when no truck is out
    mapping=Mapping(
        entity_type=VEHICLE,
        id="urn:ngsi-ld:Vehicle:{device}",
        time=TimeMapping(path="t", format="rfc3339"),
        sequence="seq",
        attributes=(
            AttributeMapping(name="location", kind="GeoProperty", lon="lon", lat="lat", required=True),
            AttributeMapping(name="speed", path="spd", unit="KMH", minimum=0, maximum=SPEED_KM_H_MAX),
            AttributeMapping(name="heading", path="hdg", unit="DD", minimum=0, maximum=360),
            AttributeMapping(
                name="grossWeight", path="w", unit="KGM", minimum=0, maximum=GROSS_WEIGHT_KG_MAX, required=True
            ),
            AttributeMapping(name="weightStable", path="ws", type="boolean"),
            AttributeMapping(name="ignition", path="ign", type="boolean"),
            AttributeMapping(name="ptoEngaged", path="pto", type="boolean"),
            AttributeMapping(name="hdop", path="hdop", unit="C62", minimum=0, maximum=100),
            AttributeMapping(name="batteryVoltage", path="bat", unit="VLT", minimum=0, maximum=60),
        ),
    ),
)
"""Without a secret: nobody can log in until the hub gives it one (`with_secret`)."""
