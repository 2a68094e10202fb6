"""The manifest: every state and action, who may sign, deadlines, disputes, corrections, random walks.

Expected amounts, times and matrices were worked out by hand from the rules in the sector's page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from madang.hub.records import NotAllowed, VersionConflict
from madang.model.caller import Caller
from madang.model.record import Record
from madang.model.time import DAY, HOUR, MINUTE, render_instant
from madang.procedure.contract import Context
from madang.procedure.engine import Decision, check_procedure, decide
from madang.services.manure.parameters import PARAMETERS
from madang.services.manure.procedure import MANIFEST_TYPE
from tests.hub.record_bench import NOON, Bench, bench
from tests.services.manure.manifest_bench import (
    ARGUMENTS,
    CARRIER,
    DEPOT,
    DRAFT,
    FARM,
    FARMER,
    FIRM,
    OFFICER,
    OTHER_FIRM,
    PARCEL,
    PLANT,
    RECEIVER,
    STRANGER,
    TRUCK,
    Register,
    put_register,
)

ID = "urn:ngsi-ld:ManureManifest:M-2026-000001"


class Office:
    """A bench with the register on it."""

    def __init__(self, b: Bench) -> None:
        self.b = b
        b.store.write(put_register).result(5)

    def create(self, caller: Caller = CARRIER, **more: Any) -> Record:
        arguments = {k: v for k, v in (DRAFT | more).items() if v is not None}
        return self.b.records.create(caller, "ManureManifest", "create", arguments).result(5)

    def act(
        self, action: str, caller: Caller = CARRIER, behalf: str | None = None, id_: str = ID, **more: Any
    ) -> Record:
        return self.b.records.act(caller, id_, action, more, on_behalf_of=behalf).result(5)

    def refusal(self, action: str, caller: Caller = CARRIER, behalf: str | None = None, **more: Any) -> list[str]:
        with pytest.raises(NotAllowed) as refused:
            self.act(action, caller, behalf, **more)
        return [r.code.removeprefix("manure.manifest.") for r in refused.value.reasons]

    def carry(self, loaded: float = 8000, unloaded: float = 8000, until: str = "finish") -> Record:
        """Draft to `until`, an hour in all."""
        self.create()
        record = None
        for action, arguments in (
            ("precheck", {}),
            ("start", {}),
            ("load", {"amount": loaded, "source": "device"}),
            ("depart", {}),
            ("unload", {"amount": unloaded, "place": PLANT}),
            ("finish", {}),
        ):
            self.b.clock.at += 10 * MINUTE
            record = self.act(action, **arguments)
            if action == until:
                break
        assert record is not None
        return record

    def deadlines(self) -> dict[str, int]:
        with self.b.store.read() as read:
            return {d.name: d.due_at for d in read.list_deadlines(ID)}

    def told(self) -> list[tuple[str, str, str]]:
        with self.b.store.read() as read:
            return [
                (o.channel, o.to, o.reason["code"].removeprefix("manure.manifest.")) for o in read.list_outbox_of(ID)
            ]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with bench(tmp_path, [MANIFEST_TYPE], **{p.name: p.default for p in PARAMETERS}) as b:
        yield Office(b)


def test_the_table_is_sound() -> None:
    check_procedure(MANIFEST_TYPE, deadline_actions=("remind", "expire"))


# --- the usual way ---


def test_from_draft_to_confirmed(office: Office) -> None:
    draft = office.create()
    assert (draft.id, draft.state) == (ID, "DRAFT")
    assert "number" not in draft.data  # reserved in the id, issued by the precheck
    office.b.clock.at = NOON + HOUR
    checked = office.act("precheck")
    assert (checked.state, checked.data["number"]) == ("PRECHECKED", "M-2026-000001")
    assert checked.data["openedAt"] == "2026-11-23T04:00:00Z"
    assert office.act("start").state == "STARTED"
    loaded = office.act("load", amount=8120, source="device", behalf=FARM, signer="Park", method="driver-phone")
    assert loaded.data["loaded"] == {
        "at": "2026-11-23T04:00:00Z",
        "place": FARM,
        "amount": 8120,
        "source": "device",
    }
    assert loaded.data["signatures"][-1] == {
        "role": "discharger",
        "action": "load",
        "person": "Park",
        "at": "2026-11-23T04:00:00Z",
        "method": "driver-phone",
        "typedBy": "token:driver",
        "onBehalfOf": FARM,
    }
    assert office.act("depart").state == "IN_TRANSIT"
    office.act("unload", amount=5000, place=PLANT)
    unloaded = office.act("unload", amount=3000, place=PLANT)
    assert (unloaded.state, unloaded.data["unloadedAmount"]) == ("UNLOADED", 8000)
    office.b.clock.at = NOON + 3 * HOUR
    finished = office.act("finish", residue=50)
    assert (finished.state, finished.data["discrepancy"]) == ("AWAITING_CONFIRMATION", 70)
    assert finished.data["closedAt"] == "2026-11-23T06:00:00Z"
    assert finished.data["confirmBy"] == "2026-11-30T06:00:00Z"
    assert office.told() == [("sms", FARM, "please-confirm"), ("sms", PLANT, "please-confirm")]
    half = office.act("confirm", FARMER)  # its part is known from who it is
    assert (half.state, half.data["confirmations"]) == ("AWAITING_CONFIRMATION", ["discharger"])
    done = office.act("confirm", RECEIVER, acceptedAmount=7990)
    assert (done.state, done.data["discrepancy"], done.data["confirmedLate"]) == ("CONFIRMED", 80, False)
    assert office.deadlines() == {}
    with office.b.store.read() as read:
        versions = read.list_versions(ID)
        assert [r.id for r in read.list_records_by("ManureManifest", "vehicle", TRUCK)] == [ID]
        entity = read.find_entity(ID)
    assert [v.record.version for v in versions] == list(range(1, 11))
    assert entity is not None
    assert entity.attributes["from"] == {"type": "Relationship", "object": FARM}
    assert entity.attributes["plannedAmount"] == {"type": "Property", "value": 8000, "unitCode": "KGM"}


# --- every state and action ---

ALLOWED = {
    "DRAFT": {"change", "precheck", "cancel"},
    "PRECHECKED": {"change", "start", "cancel"},
    "STARTED": {"change", "load", "cancel"},
    "LOADED": {"change", "depart"},
    "IN_TRANSIT": {"change", "unload", "reject"},
    "UNLOADED": {"unload", "finish", "reject"},
    "AWAITING_CONFIRMATION": {"confirm", "dispute", "remind", "expire"},
    "CONFIRMED": {"correct"},
    "DISPUTED": {"agree", "remind", "expire"},
    "OVERDUE": {"confirm", "dispute", "agree"},
    "REJECTED_FULL": {"depart", "finish"},
    "REJECTED_PARTIAL": {"depart", "finish"},
    "UNDER_CORRECTION": {"dispute", "agree", "remind", "expire"},
    "CORRECTED": {"correct"},
    "CANCELLED": set(),
}
DATA: dict[str, Any] = {
    **DRAFT,
    "remarks": [],
    "unloaded": [],
    "signatures": [],
    "number": "M-1",
    "openedAt": "2026-11-23T02:00:00Z",
    "loaded": {"at": "2026-11-23T02:30:00Z", "place": FARM, "amount": 8000, "source": "manual"},
    "loadedAmount": 8000,
    "confirmBy": "2026-11-30T06:00:00Z",
}


def _context(caller: Caller = OFFICER, behalf: str | None = None, refs: Register | None = None) -> Context:
    permissions = frozenset({"*"}) if caller is OFFICER else caller.permissions
    return Context(caller.principal, behalf, NOON, refs or Register(), permissions, caller.party)


@pytest.mark.parametrize("state", MANIFEST_TYPE.procedure.states)
def test_every_action_in_every_state(state: str) -> None:
    pending = {"kind": "dispute", "role": "discharger"} if state == "DISPUTED" else None
    if state == "UNDER_CORRECTION":
        pending = {"kind": "correction", "role": "discharger"}
    correction = {"reason": "x", "changes": {"residue": {"from": None, "to": 3}}}
    data = DATA | {"pending": pending, "corrections": [correction] if state == "UNDER_CORRECTION" else []}
    record = Record(ID, "ManureManifest", state, 3, data, 0, 0)
    if state == "OVERDUE":  # what can be agreed to there is something open
        opened = Record(ID, "ManureManifest", state, 3, data | {"pending": {"kind": "dispute", "role": "x"}}, 0, 0)
        assert isinstance(decide(MANIFEST_TYPE, opened, "agree", ARGUMENTS["agree"], _context()), Decision)
    allowed = {
        action.name
        for action in MANIFEST_TYPE.procedure.actions
        if isinstance(decide(MANIFEST_TYPE, record, action.name, ARGUMENTS.get(action.name, {}), _context()), Decision)
    }
    assert allowed == ALLOWED[state] - ({"agree"} if state == "OVERDUE" else set())


# --- precheck ---


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"transporter": None}, ["no-carrier"]),
        ({"vehicle": None}, ["no-vehicle"]),
        ({"driver": None, "to": None, "plannedAt": None, "plannedAmount": None},
         ["no-driver", "no-destination", "no-time", "no-amount"]),
        ({"from": "urn:ngsi-ld:AgriFarm:none"}, ["supplier-unknown"]),
        ({"transporter": "urn:ngsi-ld:Organization:none"}, ["carrier-unknown", "vehicle-of-another"]),
        ({"vehicle": "urn:ngsi-ld:Vehicle:T99"}, ["vehicle-unregistered"]),
        ({"vehicle": "urn:ngsi-ld:Vehicle:T02"}, ["vehicle-of-another"]),
        ({"plannedAmount": 10_001}, ["over-payload"]),
        ({"to": ["urn:ngsi-ld:AgriParcel:none", PLANT]}, ["destination-unknown"]),
    ],
)  # fmt: skip
def test_no_number_without_passing_the_precheck(office: Office, changes: dict[str, Any], codes: list[str]) -> None:
    office.create(OFFICER, **changes)
    assert office.refusal("precheck", OFFICER) == codes
    assert "number" not in office.b.get(ID).data


def test_a_vehicle_has_one_open_manifest_at_a_time(office: Office) -> None:
    office.carry(until="load")
    second = office.create().id
    with pytest.raises(NotAllowed) as refused:
        office.act("precheck", id_=second)
    assert refused.value.reasons[0].code == "manure.manifest.vehicle-busy"
    assert refused.value.reasons[0].params["number"] == "M-2026-000001"
    for action, arguments in (("depart", {}), ("unload", {"amount": 8000, "place": PLANT}), ("finish", {})):
        office.act(action, **arguments)
    assert office.act("precheck", id_=second).state == "PRECHECKED"


def test_a_depot_is_no_destination(office: Office) -> None:
    from madang.hub.records import BadArguments

    with pytest.raises(BadArguments):
        office.create(to=[DEPOT])


# --- what may change until when ---


def test_the_truck_changes_until_loading_the_receiver_until_unloading(office: Office) -> None:
    office.create()
    office.act("precheck")
    assert office.refusal("change", vehicle="urn:ngsi-ld:Vehicle:T02") == ["vehicle-of-another"]
    office.act("change", driver="Lee")
    office.act("start")
    office.act("load", amount=7000)
    assert office.refusal("change", driver="Choi") == ["changed-after-loading"]
    office.act("depart")
    assert office.act("change", to=[PARCEL]).data["to"] == [PARCEL]
    assert office.refusal("unload", amount=10, place=PLANT) == ["place-not-listed"]
    office.act("unload", amount=7000, place=PARCEL)
    assert office.refusal("change", to=[PLANT]) == ["procedure.wrong-state"]


@pytest.mark.parametrize(
    ("at", "codes"),
    [
        (NOON + 10 * MINUTE + 5 * MINUTE, []),
        (NOON + 10 * MINUTE + 5 * MINUTE + 1, ["time-ahead"]),
        (NOON, []),  # ten minutes of grace before the number
        (NOON - 1, ["time-before"]),
    ],
)
def test_reported_times_lie_between_the_number_and_now(office: Office, at: int, codes: list[str]) -> None:
    office.carry(until="precheck")  # at noon + 10 min
    if codes:
        assert office.refusal("start", at=render_instant(at)) == codes
    else:
        assert office.act("start", at=render_instant(at)).state == "STARTED"


def test_an_overload_is_remarked_and_more_cannot_come_off_than_went_on(office: Office) -> None:
    record = office.carry(loaded=10_400, until="load")
    assert record.data["remarks"] == ["overloaded"]
    office.act("depart")
    assert office.refusal("unload", amount=11_441, place=PLANT) == ["more-than-loaded"]  # 10,400 + 10 % = 11,440
    office.act("unload", amount=11_440, place=PLANT)


# --- who ---


def test_strangers_have_no_part_in_it(office: Office) -> None:
    office.create()
    for action, arguments in (("precheck", {}), ("change", {"driver": "X"}), ("cancel", {"reason": "x"})):
        assert "not-yours" in office.refusal(action, STRANGER, **arguments)
    with pytest.raises(NotAllowed):
        office.create(STRANGER)


def test_the_carrier_never_confirms_whoever_is_named(office: Office) -> None:
    office.carry()
    carrier = Caller("token:driver", "carrier", frozenset({"manifest.confirm"}), party=FIRM)
    assert office.refusal("confirm", carrier, role="treater") == ["not-by-carrier"]
    assert office.refusal("confirm", carrier, behalf=PLANT, role="treater") == ["not-by-carrier"]
    assert office.refusal("confirm", OFFICER, behalf=FIRM, role="treater") == ["not-by-carrier"]


def test_an_officer_types_and_the_farm_agrees(office: Office) -> None:
    office.carry()
    assert office.refusal("confirm", OFFICER, role="discharger") == ["name-who-agrees"]
    assert office.refusal("confirm", OFFICER, behalf=OTHER_FIRM, role="discharger", signer="x") == ["not-a-party"]
    assert office.refusal("confirm", OFFICER, behalf=FARM, role="treater") == ["other-part"]
    record = office.act("confirm", OFFICER, behalf=FARM, role="discharger", signer="Park", method="sms")
    signature = record.data["signatures"][-1]
    assert (signature["typedBy"], signature["onBehalfOf"], signature["person"]) == ("token:officer", FARM, "Park")
    with office.b.store.read() as read:
        transition = read.list_versions(ID)[-1].transition
    assert (transition.actor, transition.on_behalf_of) == ("token:officer", FARM)
    assert office.refusal("confirm", FARMER, role="discharger") == ["confirmed-already"]


def test_a_farmer_types_for_the_owner_of_a_field(office: Office) -> None:
    office.create(to=[PARCEL], manifestType="liquidFertiliser")
    for action, arguments in (
        ("precheck", {}),
        ("start", {}),
        ("load", {"amount": 5000, "signer": "Park", "method": "farmer-phone"}),
        ("depart", {}),
        ("unload", {"amount": 5000, "place": PARCEL}),
        ("finish", {}),
    ):
        office.act(action, **arguments)
    office.act("confirm", FARMER)
    done = office.act("confirm", FARMER, behalf=PARCEL, acceptedAmount=4900, signer="Choi", method="sms")
    assert (done.state, done.data["acceptedAmount"], done.data["discrepancy"]) == ("CONFIRMED", 4900, 100)
    assert [(s["role"], s["typedBy"], s["onBehalfOf"]) for s in done.data["signatures"][-2:]] == [
        ("discharger", "token:farmer", None),
        ("treater", "token:farmer", PARCEL),
    ]


def test_a_button_is_not_refused_for_what_is_not_typed_yet(office: Office) -> None:
    record = office.carry()
    with office.b.store.read() as read:
        views = office.b.records.list_actions(read, OFFICER, record)
    assert [(v.action.name, v.allowed) for v in views] == [("confirm", True), ("dispute", True)]


def test_a_farm_that_hauls_itself_needs_the_receiver_alone(office: Office) -> None:
    register = "urn:ngsi-ld:VehicleRegistration:T01"
    owner = {"owner": {"type": "Relationship", "object": FARM}}
    office.b.store.write(
        lambda tx: tx.put_entity(register, "VehicleRegistration", owner, "t", reference=True, replace=False)
    ).result(5)
    farmer = Caller("token:farmer", "farm", frozenset({"manifest.carry", "manifest.confirm"}), party=FARM)
    office.create(farmer, transporter=FARM)
    for action, arguments in (
        ("precheck", {}),
        ("start", {}),
        ("load", {"amount": 5000}),
        ("depart", {}),
        ("unload", {"amount": 5000, "place": PLANT}),
        ("finish", {}),
    ):
        office.act(action, farmer, **arguments)
    assert office.act("confirm", RECEIVER, role="treater").state == "CONFIRMED"


# --- deadlines ---


def test_reminders_come_72_24_and_2_hours_before_to_who_has_not_signed(office: Office) -> None:
    office.carry()
    finished = office.b.clock.at
    due = finished + 168 * HOUR
    assert office.deadlines() == {
        "confirm": due,
        "remind-72": due - 72 * HOUR,
        "remind-24": due - 24 * HOUR,
        "remind-2": due - 2 * HOUR,
    }
    office.act("confirm", FARMER, role="discharger")
    before = len(office.told())
    office.b.reopen()  # a restart loses no deadline
    for hours in (72, 24, 2):
        office.b.clock.at = due - hours * HOUR
        assert office.b.fire() == 1
    assert office.told()[before:] == [("sms", PLANT, "reminder")] * 3
    office.b.clock.at = due
    assert office.b.fire() == 1
    assert office.b.get(ID).state == "OVERDUE"
    assert office.told()[-2:] == [("sms", PLANT, "overdue"), ("console", "group:environment-office", "overdue-office")]
    assert office.deadlines() == {}
    late = office.act("confirm", RECEIVER, role="treater")
    assert (late.state, late.data["confirmedLate"]) == ("CONFIRMED", True)


def test_a_long_stop_of_the_city_fires_all_at_once_and_ends_overdue_once(office: Office) -> None:
    office.carry()
    office.b.clock.at += 30 * DAY
    assert office.b.fire() == 4
    assert office.b.get(ID).state == "OVERDUE"
    assert office.b.fire() == 0
    assert [code for _, _, code in office.told()].count("overdue-office") == 1


def test_a_reminder_puts_nobody_in_conflict(office: Office) -> None:
    version = office.carry().version
    office.b.clock.at += 5 * DAY
    office.b.fire()
    confirm = {"role": "discharger"}
    assert office.b.records.act(FARMER, ID, "confirm", confirm, version=version).result(5).version == version + 2
    with pytest.raises(VersionConflict) as conflict:
        office.b.records.act(RECEIVER, ID, "confirm", {"role": "treater"}, version=version).result(5)
    assert [v.transition.action for v in conflict.value.changed] == ["remind", "confirm"]


# --- disputes ---


@pytest.mark.parametrize(("accepted", "state"), [(7200, "CONFIRMED"), (7199, "DISPUTED"), (8801, "DISPUTED")])
def test_more_than_ten_percent_goes_to_dispute(office: Office, accepted: float, state: str) -> None:
    office.carry()
    office.act("confirm", FARMER, role="discharger")
    assert office.act("confirm", RECEIVER, role="treater", acceptedAmount=accepted).state == state


def test_a_dispute_has_15_days_over_days_off_and_the_other_side_settles_it(office: Office) -> None:
    office.carry()
    record = office.act("dispute", RECEIVER, role="treater", reason="only 6 t came", acceptedAmount=6000)
    assert record.state == "DISPUTED"
    # Monday 23 November + 15 days = Tuesday 8 December, until midnight in Seoul
    assert record.data["confirmBy"] == "2026-12-08T15:00:00Z"
    assert set(office.deadlines()) == {"reconcile", "remind-72", "remind-24", "remind-2"}
    assert office.told()[-1] == ("sms", FARM, "disputed")
    assert office.refusal("agree", RECEIVER, role="treater") == ["other-side-agrees"]
    settled = office.act("agree", FARMER, role="discharger")
    assert (settled.state, settled.data["acceptedAmount"], settled.data["discrepancy"]) == ("CONFIRMED", 6000, 2000)
    assert (settled.data["pending"], settled.data["settlements"][0]["settledBy"]) == (None, "discharger")
    assert office.deadlines() == {}


def test_a_dispute_that_is_not_settled_is_overdue_and_can_still_be_settled(office: Office) -> None:
    office.carry()
    office.act("dispute", RECEIVER, role="treater", reason="x")
    office.b.clock.at += 20 * DAY
    office.b.fire()
    assert office.b.get(ID).state == "OVERDUE"
    assert office.refusal("confirm", FARMER, role="discharger") == ["settle-first"]
    assert office.refusal("dispute", FARMER, role="discharger", reason="y") == ["disputed-already"]
    settled = office.act("agree", FARMER, role="discharger")
    assert (settled.state, settled.data["confirmedLate"]) == ("CONFIRMED", True)


def test_overdue_without_anything_open_has_nothing_to_agree_to(office: Office) -> None:
    office.carry()
    office.b.clock.at += 20 * DAY
    office.b.fire()
    assert office.refusal("agree", FARMER, role="discharger") == ["nothing-pending"]


# --- rejection ---


def test_a_full_rejection_goes_to_the_alternate(office: Office) -> None:
    office.carry(until="depart")
    record = office.act("reject", RECEIVER, extent="full", reason="no room", alternate=PARCEL)
    assert (record.state, record.data["to"]) == ("REJECTED_FULL", [PLANT, PARCEL])
    assert record.data["rejections"][0]["amount"] == 8000
    assert office.told()[-2:] == [("sms", FARM, "rejected"), ("sms", FIRM, "rejected")]
    office.act("depart")
    office.act("unload", amount=8000, place=PARCEL)
    assert office.act("finish").state == "AWAITING_CONFIRMATION"


def test_a_partial_rejection_may_go_back_to_the_farm(office: Office) -> None:
    office.carry(unloaded=5000, until="unload")
    assert office.refusal("reject", RECEIVER, extent="full", reason="x") == ["full-after-unloading"]
    assert office.refusal("reject", RECEIVER, extent="partial", reason="x", rejectedAmount=3001) == [
        "more-than-on-board"
    ]
    unknown = "urn:ngsi-ld:AgriParcel:none"
    assert office.refusal("reject", RECEIVER, extent="partial", reason="x", alternate=unknown) == [
        "destination-unknown"
    ]
    record = office.act("reject", RECEIVER, extent="partial", reason="too wet")
    assert (record.state, record.data["rejections"][0]["amount"]) == ("REJECTED_PARTIAL", 3000)
    assert office.act("finish", residue=3000).data["discrepancy"] == 0


# --- correction ---


def _confirmed(office: Office) -> None:
    office.carry()
    office.act("confirm", FARMER, role="discharger")
    office.act("confirm", RECEIVER, role="treater", acceptedAmount=8000)


def test_a_correction_is_a_new_version_and_the_other_side_agrees(office: Office) -> None:
    _confirmed(office)
    assert office.refusal("correct", OFFICER, reason="x") == ["nothing-to-correct"]
    assert office.refusal("correct", OFFICER, reason="x", residue=0) == ["nothing-to-correct"]
    assert office.refusal("correct", OFFICER, reason="x", unloaded=[{"amount": 3}]) == ["unloadings-incomplete"]
    record = office.act("correct", OFFICER, behalf=FARM, reason="scale was off", loadedAmount=8300)
    assert (record.state, record.data["loaded"]["amount"], record.data["discrepancy"]) == (
        "UNDER_CORRECTION",
        8300,
        300,
    )
    assert record.data["corrections"] == [
        {
            "at": render_instant(office.b.clock.at),
            "by": FARM,
            "reason": "scale was off",
            "changes": {"loadedAmount": {"from": 8000, "to": 8300}},
        }
    ]
    assert office.refusal("agree", FARMER, role="discharger") == ["other-side-agrees"]
    done = office.act("agree", RECEIVER, role="treater")
    assert (done.state, done.data["loadedAmount"]) == ("CORRECTED", 8300)
    with office.b.store.read() as read:
        versions = read.list_versions(ID)
    assert versions[-3].record.data["loadedAmount"] == 8000  # the confirmed version stays as it was
    again = office.act("correct", OFFICER, behalf=PLANT, reason="again", residue=20)
    assert again.state == "UNDER_CORRECTION"


def test_a_disputed_correction_is_taken_back(office: Office) -> None:
    _confirmed(office)
    office.act("correct", OFFICER, behalf=FARM, reason="scale was off", loadedAmount=9900)
    record = office.act("dispute", RECEIVER, role="treater", reason="no")
    assert (record.state, record.data["loaded"]["amount"], record.data["loadedAmount"]) == ("DISPUTED", 8000, 8000)
    assert record.data["corrections"][0]["agreed"] is False
    settled = office.act("agree", FARMER, role="discharger")
    assert (settled.state, settled.data["acceptedAmount"]) == ("CONFIRMED", 8000)
