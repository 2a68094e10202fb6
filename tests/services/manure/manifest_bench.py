"""A small register of parties, vehicles and places, and the usual steps of a manifest."""

from collections.abc import Sequence
from typing import Any

from madang.hub.ports import Tx
from madang.model.caller import Caller
from madang.model.entity import Attributes, Entity, prop, rel
from madang.model.record import Record
from madang.services.manure.parameters import PARAMETERS

FARM = "urn:ngsi-ld:AgriFarm:F01"
FIRM = "urn:ngsi-ld:Organization:C01"
OTHER_FIRM = "urn:ngsi-ld:Organization:C02"
TRUCK = "urn:ngsi-ld:Vehicle:T01"
PLANT = "urn:ngsi-ld:ManureTreatmentPlant:P01"
PARCEL = "urn:ngsi-ld:AgriParcel:A01"
DEPOT = "urn:ngsi-ld:VehicleDepot:D01"

ENTITIES: tuple[tuple[str, str, Attributes], ...] = (
    (FARM, "AgriFarm", {"name": prop("Oak farm")}),
    (FIRM, "Organization", {"name": prop("Haul Ltd")}),
    (OTHER_FIRM, "Organization", {"name": prop("Other Ltd")}),
    (PLANT, "ManureTreatmentPlant", {"name": prop("Plant")}),
    (PARCEL, "AgriParcel", {"name": prop("Field")}),
    (DEPOT, "VehicleDepot", {"name": prop("Depot")}),
    (
        "urn:ngsi-ld:VehicleRegistration:T01",
        "VehicleRegistration",
        {"vehicle": rel(TRUCK), "owner": rel(FIRM), "maxPayload": prop(10_000, "KGM")},
    ),
    ("urn:ngsi-ld:VehicleRegistration:T02", "VehicleRegistration", {"owner": rel(OTHER_FIRM)}),
)

_CARRY = frozenset({"manifest.carry"})
_CONFIRM = frozenset({"manifest.confirm"})
CARRIER = Caller("token:driver", "carrier", _CARRY, party=FIRM)
FARMER = Caller("token:farmer", "farm", _CONFIRM, party=FARM)
RECEIVER = Caller("token:plant", "plant", _CONFIRM, party=PLANT)
OFFICER = Caller("token:officer", "officer", frozenset({"manifest.confirm", "manifest.correct", "manifest.carry"}))
STRANGER = Caller("token:other", "carrier", _CARRY | _CONFIRM, party=OTHER_FIRM)

DRAFT: dict[str, Any] = {
    "manifestType": "manure",
    "from": FARM,
    "transporter": FIRM,
    "vehicle": TRUCK,
    "driver": "Kim",
    "to": [PLANT],
    "plannedAt": "2026-11-23T04:00:00Z",
    "plannedAmount": 8000,
}


def put_register(tx: Tx) -> None:
    """The register as reference entities."""
    for id_, type_, attributes in ENTITIES:
        tx.put_entity(id_, type_, attributes, "test", reference=True, replace=True)


class Register:
    """`Refs` over the same register without a store, for pure tests."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self._entities = {i: Entity(i, t, a, 0, 0, 0, 0) for i, t, a in ENTITIES}
        self.records = {r.id: r for r in records}
        self._parameters = {p.name: p.default for p in PARAMETERS}

    def find(self, id_: str) -> Entity | None:
        return self._entities.get(id_)

    def find_record(self, id_: str) -> Record | None:
        return self.records.get(id_)

    def list_records_by(self, type_: str, name: str, value: str) -> list[Record]:
        return [r for r in self.records.values() if r.type == type_ and r.data.get(name) == value]

    def parameter(self, name: str) -> Any:
        return self._parameters[name]


ARGUMENTS: dict[str, dict[str, Any]] = {
    "create": DRAFT,
    "change": {"remarks": ["x"]},
    "load": {"amount": 8000},
    "unload": {"amount": 100, "place": PLANT},
    "confirm": {"role": "treater", "signer": "Lee"},
    "dispute": {"role": "treater", "signer": "Lee", "reason": "less came"},
    "agree": {"role": "treater", "signer": "Lee"},
    "reject": {"extent": "partial", "reason": "too wet", "signer": "Lee"},
    "correct": {"reason": "typing error", "residue": 10},
    "cancel": {"reason": "farm not ready"},
    "remind": {"hoursLeft": 2},
}
"""Arguments with which each action may be taken."""
