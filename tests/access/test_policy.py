"""Policy: who sees what, one type and one role at a time."""

import pytest

from madang.access.policy import Everything, Mask, Nothing, Subject, mask_of, scope, sees
from madang.access.roles import caller_of
from madang.ngsild.query import Compare, Or

VEHICLE = Subject("Vehicle", "thing", "personal", parties=("owner",))
PARCEL = Subject("AgriParcel", "reference")
PERSON = Subject("Person", "reference", "personal")
STOP = Subject("VehicleStop", "derived", parties=("vehicle",))
COMPLAINT = Subject("OdourComplaint", "thing")
MANIFEST = Subject("ManureManifest", "record", parties=("from", "transporter", "to"), read_permission="manifest.read")
INCIDENT = Subject("Incident", "record", read_permission="incident.read")

CARRIER = "urn:ngsi-ld:Organization:c1"
FARM = "urn:ngsi-ld:AgriFarm:f1"
TRUCK = "urn:ngsi-ld:Vehicle:t1"
carrier = caller_of("lee", "carrier", CARRIER)
viewer = caller_of("kim", "viewer")


@pytest.mark.parametrize("subject", [VEHICLE, PARCEL, STOP, COMPLAINT, MANIFEST, INCIDENT])
def test_city_staff_see_everything(subject: Subject) -> None:
    assert scope(viewer, subject) == Everything()


def test_without_the_permission_nothing() -> None:
    assert scope(caller_of("device", "source"), VEHICLE) == Nothing()
    assert scope(carrier, INCIDENT) == Nothing()


def test_a_carrier_sees_its_own_vehicles_and_manifests() -> None:
    assert scope(carrier, VEHICLE) == Or((Compare("owner", "==", [CARRIER]),))
    assert scope(carrier, MANIFEST, [TRUCK]) == Or(
        tuple(Compare(name, "==", [CARRIER, TRUCK]) for name in ("from", "transporter", "to"))
    )


def test_a_carrier_sees_the_map_but_no_personal_register_and_no_undeclared_thing() -> None:
    assert scope(carrier, PARCEL) == Everything()
    assert scope(carrier, PERSON) == Nothing()
    assert scope(carrier, COMPLAINT) == Nothing()


def test_sees_one_entity_by_the_same_rule() -> None:
    assert sees(carrier, VEHICLE, {"owner": CARRIER})
    assert not sees(carrier, VEHICLE, {"owner": "urn:ngsi-ld:Organization:c2"})
    assert sees(carrier, VEHICLE, {}, [TRUCK], entity_id=TRUCK)
    assert sees(carrier, STOP, {"vehicle": TRUCK}, [TRUCK])
    assert not sees(carrier, STOP, {"vehicle": TRUCK})
    farm = caller_of("park", "farm", FARM)
    assert sees(farm, MANIFEST, {"from": "urn:x:1", "to": ["urn:x:2", FARM]})
    assert not sees(farm, MANIFEST, {"from": "urn:x:1", "to": ["urn:x:2"]})
    assert sees(viewer, INCIDENT, {})


def test_names_of_people_are_hidden_from_those_who_only_look() -> None:
    assert mask_of(viewer, MANIFEST).apply({"driver": "홍길동", "number": "M-2026-000001"}) == {
        "number": "M-2026-000001"
    }
    assert mask_of(caller_of("o", "officer"), MANIFEST) == Mask()
