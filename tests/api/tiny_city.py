"""A small city for the API's tests: a real store and hub with the manure service, five trucks of two carriers, one incident,
one manifest of each carrier, a quarantined payload. The clock stands at 2026-11-23T02:14:09Z until it is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from madang.access.roles import ROLES, caller_of
from madang.api.app import Application, create_app
from madang.api.state import ApiSettings
from madang.app.clocks import ManualClock
from madang.hub.http import Http
from madang.hub.hub import City, Hub
from madang.hub.messages import Message
from madang.model.caller import SYSTEM, Caller
from madang.model.entity import geo, point, prop, rel
from madang.model.finding import Evidence, Finding, Measure, Reason
from madang.model.record import Record
from madang.model.time import MINUTE, SECOND, parse_instant
from madang.services.manure import SERVICE
from madang.wire.source import Source
from tests.stores.any_store import open_any

START = parse_instant("2026-11-23T02:14:09Z")
CARRIER_A, CARRIER_B = "urn:ngsi-ld:Organization:a", "urn:ngsi-ld:Organization:b"
FARM, PLANT = "urn:ngsi-ld:AgriFarm:f1", "urn:ngsi-ld:ManureTreatmentPlant:p1"
TRUCK = "urn:ngsi-ld:Vehicle:t1"
OTHER_TRUCK = "urn:ngsi-ld:Vehicle:t4"
INCIDENT = "urn:ngsi-ld:Incident:I-2026-000001"
SOURCE = "manure-terminals"
PUSH = "manure-push"
PARTIES = {"carrier": CARRIER_A, "farm": FARM, "plant": PLANT}
SQUARE = [[[126.5, 33.4], [126.51, 33.4], [126.51, 33.41], [126.5, 33.41], [126.5, 33.4]]]


@dataclass
class TinyCity:
    """The city and what a test needs of it."""

    hub: Hub
    clock: ManualClock
    app: Application
    tokens: dict[str, str]
    """By role."""
    secret: str
    """Of the source that pushes over HTTP."""
    manifests: dict[str, str]
    """Carrier -> manifest id."""

    def auth(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[role]}"}

    def drive(self, seq: int, truck: str = "t1", lon: float = 126.5, weight: int = 18_000, **more: Any) -> None:
        """One message of a truck, stored."""
        at = self.clock.now() + SECOND
        self.clock.set(at)
        self.hub.ingest.submit(SOURCE, [message(seq, truck, lon, weight, at, **more)]).result(10)

    def raise_incident(self, situation: str, severity: str = "high", subject: str = TRUCK) -> Record:
        """An incident around one finding, as the detectors open it."""
        now = self.clock.now()
        finding = Finding(
            rule="manure.D1",
            rule_version="1",
            situation=situation,
            subject=subject,
            severity=severity,
            reason=Reason("test.dropped", {"vehicle_id": subject, "dropped_kg": 2900}),
            marked_at=now - 3 * MINUTE,
            completed_at=now,
            location=(126.5, 33.4),
            measures=(Measure("dropped", 2900.0, 300.0, "KGM", ">="), Measure("distance", None, 30.0, "MTR", ">")),
            evidence=(Evidence(subject, ("grossWeight", "speed"), now - 10 * MINUTE, now),),
            would_differ=(Reason("test.inside", {"buffer_m": 30}),),
            involved=(FARM,),
        )
        op = self.hub.store.write(
            lambda tx: self.hub.incidents.apply_finding_in(tx, finding, f"test/{situation}/{severity}", 1)
        )
        record = op.result(10)
        assert record is not None
        return record


def message(seq: int, truck: str, lon: float, weight: int, at: int, **more: Any) -> Message:
    """A terminal's message."""
    from madang.model.time import render_instant

    values = {"seq": seq, "t": render_instant(at), "lon": lon, "lat": 33.4, "spd": 41.5, "hdg": 90.0, "w": weight,
              "ws": True, "ign": True, "pto": False, "hdop": 0.9, "bat": 24.1}  # fmt: skip
    return Message(msgspec.json.encode(values | more), f"manure/{truck}/telemetry", at)


def build_city(folder: Path, *, console: Path | None = None, http: Http | None = None) -> TinyCity:
    """The city; `http` asks other servers for it. Close it with `close_city`."""
    clock = ManualClock(START)
    store = open_any(folder / "data", clock, durable=False)
    city = City({"ko": "작은 마당", "en": "Tiny Madang"}, (126.4, 33.3, 126.6, 33.5), sample=True, speed=2.0)
    hub = Hub(store, clock, [SERVICE], city, http=http)
    hub.sources.put(SERVICE.sources[0])
    secret = hub.sources.put(push_source())
    settings = ApiSettings(console_dir=console or folder / "no-console")
    app = create_app(hub, settings)
    tokens = {role: hub.tokens.create(SYSTEM, f"a-{role}", role, PARTIES.get(role)) for role in ROLES}
    tiny = TinyCity(hub, clock, app, tokens, secret, {})
    _fill(tiny)
    return tiny


def push_source() -> Source:
    """The same payload over HTTP, with the device's name inside."""
    mapping = msgspec.structs.replace(SERVICE.sources[0].mapping, device="dev")
    return msgspec.structs.replace(SERVICE.sources[0], id=PUSH, protocol="http", topic="", mapping=mapping)


def _fill(tiny: TinyCity) -> None:
    hub = tiny.hub
    rows = [
        (CARRIER_A, "Organization", {"name": prop("한라운수")}),
        (CARRIER_B, "Organization", {"name": prop("=cmd|' /C calc'!A0")}),
        (FARM, "AgriFarm", {"name": prop("행복농장"), "location": geo({"type": "Polygon", "coordinates": SQUARE})}),
        (PLANT, "ManureTreatmentPlant", {"name": prop("북부처리장"), "capacity": prop(90_000, "KGM"),
                                         "location": geo({"type": "Polygon", "coordinates": SQUARE})}),
        ("urn:ngsi-ld:RoadSegment:r1", "RoadSegment",
         {"name": prop("1100로"), "location": geo({"type": "LineString", "coordinates": [[126.5, 33.4], [126.6, 33.5]]})}),
    ]  # fmt: skip
    for number in range(1, 6):
        owner = CARRIER_A if number <= 3 else CARRIER_B
        plate = f"8{number}가 123{number}"
        rows.append((f"urn:ngsi-ld:Vehicle:t{number}", "Vehicle",
                     {"vehiclePlateIdentifier": prop(plate), "owner": rel(owner)}))  # fmt: skip
        rows.append((f"urn:ngsi-ld:VehicleRegistration:t{number}", "VehicleRegistration",
                     {"vehicle": rel(f"urn:ngsi-ld:Vehicle:t{number}"), "vehiclePlateIdentifier": prop(plate),
                      "owner": rel(owner), "tareWeight": prop(9_000, "KGM"), "maxPayload": prop(12_000, "KGM"),
                      "weightNoise": prop(0.015, "C62")}))  # fmt: skip
    unloading = {"vehicle": rel(TRUCK), "startedAt": prop("2026-11-23T02:00:00Z"), "endedAt": prop("2026-11-23T02:03:00Z"),
                 "amount": prop(2_900, "KGM"), "location": point(126.5, 33.4), "status": prop("confirmed")}  # fmt: skip
    rows.append(("urn:ngsi-ld:ManureUnloading:u1", "ManureUnloading", unloading))
    hub.put_reference(rows, "test").result(10)
    for number in range(1, 6):
        tiny.drive(1, f"t{number}", 126.5 + number / 100, 18_000 + number)
    hub.ingest.submit(SOURCE, [Message(b"{broken", "manure/t1/telemetry", START)]).result(10)
    tiny.raise_incident("manure:test:1")
    for carrier, truck in ((CARRIER_A, TRUCK), (CARRIER_B, OTHER_TRUCK)):
        arguments = {"manifestType": "manure", "from": FARM, "transporter": carrier, "vehicle": truck, "to": [PLANT],
                     "plannedAt": "2026-11-23T03:00:00Z", "plannedAmount": 9_000, "driver": "홍길동"}  # fmt: skip
        record = hub.records.create(SYSTEM, "ManureManifest", "create", arguments).result(10)
        tiny.manifests[carrier] = record.id


def close_city(tiny: TinyCity) -> None:
    tiny.hub.stop()
    tiny.hub.store.close()


def caller(role: str) -> Caller:
    """A caller of a role, acting for the city's party of that kind."""
    return caller_of(f"a-{role}", role, PARTIES.get(role))
