"""Effects of the manifest, and what its guards (`manifest_guards.py`) share with them. The table is in `procedure.py`.

Where numbers come from: the number before loading, what may change until when, confirmation within 7 days by supplier and
receiver and not by a party acting in transport: Netherlands rVDM. More than 10 % by weight is significant and is reconciled
within 15 days: 40 CFR 267.72. Who typed and who agreed are kept apart because signing on the driver's phone is normal in
Korea. The rest is ours and says so.
"""

from typing import Any

from madang.model.entity import Entity, value_of
from madang.model.finding import Reason
from madang.model.record import Record
from madang.model.time import HOUR, Instant, parse_instant, render_instant
from madang.procedure.calendar import KOREAN_CALENDAR
from madang.procedure.contract import Context, Deadline, Effect, OutboxMessage
from madang.services.manure.model import AGRI_PARCEL, TREATMENT_PLANT, VEHICLE_REGISTRATION
from madang.services.manure.parameters import BALANCE_SHARE, CONFIRM_WITHIN_H

MANIFEST = "ManureManifest"
DRAFT, PRECHECKED, STARTED, LOADED = "DRAFT", "PRECHECKED", "STARTED", "LOADED"
IN_TRANSIT, UNLOADED, AWAITING_CONFIRMATION = "IN_TRANSIT", "UNLOADED", "AWAITING_CONFIRMATION"
CONFIRMED, DISPUTED, OVERDUE, CANCELLED = "CONFIRMED", "DISPUTED", "OVERDUE", "CANCELLED"
REJECTED_FULL, REJECTED_PARTIAL = "REJECTED_FULL", "REJECTED_PARTIAL"
UNDER_CORRECTION, CORRECTED = "UNDER_CORRECTION", "CORRECTED"
OPEN_STATES = (PRECHECKED, STARTED, LOADED, IN_TRANSIT, UNLOADED, REJECTED_FULL, REJECTED_PARTIAL)
"""The number is issued and the transport has not been reported finished: the vehicle may carry manure."""
BEFORE_LOADING = (DRAFT, PRECHECKED, STARTED)

DISCHARGER, TRANSPORTER, TREATER = "discharger", "transporter", "treater"
PARTY_ROLES = (DISCHARGER, TREATER)
"""Who confirms: the supplier and the receiver."""
RECONCILE_WITHIN_DAYS = 15
"""40 CFR 267.72 (c); counted from the day after, and over days off (Korean Civil Act art. 157, 161)."""
REMIND_H = (72, 24, 2)
"""Hours before a deadline at which those who have not signed get a message (ours)."""
FUTURE_MIN = 5
"""Minutes that a reported time may lie ahead of the server's clock (ours: phones and terminals are not exact)."""
OFFICE = "group:environment-office"
PLACE_TYPES = (AGRI_PARCEL, TREATMENT_PLANT)

_Data = dict[str, Any]
_Reasons = list[Reason]


def no(code: str, **params: Any) -> Reason:
    """A reason of this procedure."""
    return Reason(f"manure.manifest.{code}", params)


def data_of(record: Record | None) -> _Data:
    """The data of a record that is there."""
    assert record is not None  # the engine calls only creating actions without a record
    return record.data


# --- who -------------------------------------------------------------------------------------------------------------


def role_of(data: _Data, ctx: Context) -> str | None:
    """The part of the one who agrees; None when nobody of the manifest is named (city staff typing)."""
    agreeing = ctx.on_behalf_of or ctx.party
    if agreeing is None:
        return None
    if agreeing == data.get("from"):
        return DISCHARGER
    if agreeing == data.get("transporter"):
        return TRANSPORTER
    return TREATER if agreeing in data.get("to", []) else None


def part_of(data: _Data, arguments: _Data, ctx: Context) -> str:
    """The part of the one who agrees, once the guard has let it pass: known from who it is, else as city staff say."""
    return role_of(data, ctx) or str(arguments["role"])


def signed(data: _Data, arguments: _Data, ctx: Context, role: str, action: str) -> _Data:
    """The data with a signature, if somebody signed: a person is named, or somebody else than the typist agreed."""
    person = arguments.get("signer")
    if person is None and ctx.on_behalf_of is None and ctx.party is None and role == TRANSPORTER:
        return data
    signature = {
        "role": role,
        "action": action,
        "person": person or ctx.on_behalf_of or ctx.party or ctx.actor,
        "at": render_instant(ctx.now),
        "method": arguments.get("method", "login"),
        "typedBy": ctx.actor,
        "onBehalfOf": ctx.on_behalf_of,
    }
    return {**data, "signatures": [*data.get("signatures", []), signature]}


def confirmed_roles(data: _Data) -> set[str]:
    """Who has confirmed so far."""
    return set(data.get("confirmations", []))


def missing_roles(data: _Data) -> list[str]:
    """Who still has to confirm. A supplier that is its own carrier acts in transport: the receiver alone confirms. The
    supplier's signature at the loading is its hand-over, not its confirmation of the finished transport (rVDM)."""
    needed = [TREATER] if data.get("from") == data.get("transporter") else [DISCHARGER, TREATER]
    return [role for role in needed if role not in confirmed_roles(data)]


def _receivers(data: _Data, roles: list[str]) -> list[str]:
    found: list[str] = []
    if DISCHARGER in roles:
        found.append(data["from"])
    if TREATER in roles:
        places = {u["place"] for u in data.get("unloaded", [])} or set(data.get("to", []))
        found.extend(sorted(places))
    return found


def _sms(data: _Data, roles: list[str], code: str, **params: Any) -> tuple[OutboxMessage, ...]:
    reason = no(code, number=data.get("number", ""), **params)
    return tuple(OutboxMessage("sms", receiver, reason) for receiver in _receivers(data, roles))


# --- times and amounts -----------------------------------------------------------------------------------------------


def at_of(arguments: _Data, ctx: Context) -> Instant:
    """When it happened: as reported, else now."""
    return parse_instant(arguments["at"]) if "at" in arguments else ctx.now


def unloaded_kg(data: _Data) -> float:
    """Sum of what was unloaded, kg."""
    return float(sum(u["amount"] for u in data.get("unloaded", [])))


def loaded_kg(data: _Data) -> float:
    """What was loaded, kg; 0 before loading."""
    return float((data.get("loaded") or {}).get("amount", 0))


def _balanced(data: _Data) -> _Data:
    """The data with its discrepancy: loaded less accepted (else unloaded) less what stayed on the truck, kg."""
    arrived = data.get("acceptedAmount")
    arrived = unloaded_kg(data) if arrived is None else float(arrived)
    return {**data, "discrepancy": round(loaded_kg(data) - arrived - float(data.get("residue") or 0), 1)}


def is_significant(data: _Data, ctx: Context) -> bool:
    """More than 10 % by weight of what was loaded (40 CFR 267.72; the share is a parameter)."""
    return abs(float(data.get("discrepancy") or 0)) > float(ctx.ref.parameter(BALANCE_SHARE)) * loaded_kg(data)


def registration_of(vehicle: str, ctx: Context) -> Entity | None:
    """The registration of a vehicle: the same code under another type."""
    return ctx.ref.find(f"urn:ngsi-ld:{VEHICLE_REGISTRATION}:{vehicle.rsplit(':', 1)[-1]}")


# --- effects ---------------------------------------------------------------------------------------------------------

CREATE_NAMES = (
    "manifestType",
    "from",
    "transporter",
    "vehicle",
    "driver",
    "to",
    "plannedAt",
    "plannedAmount",
    "remarks",
)


def create(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """A draft: no number is issued yet."""
    data = {name: arguments[name] for name in CREATE_NAMES if name in arguments}
    data = {"to": [], "remarks": [], "unloaded": [], "signatures": [], **data}
    return Effect(signed(data, arguments, ctx, role_of(data, ctx) or TRANSPORTER, "create"))


def change(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """What was planned becomes something else; the trail keeps the old."""
    return Effect({**data_of(record), **arguments})


def precheck(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """The number is issued: from now on the manifest is open."""
    assert record is not None
    number = record.id.rsplit(":", 1)[-1]
    return Effect({**record.data, "number": number, "openedAt": render_instant(ctx.now)})


def start(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """The truck sets out for the farm."""
    data = {**data_of(record), "startedAt": render_instant(at_of(arguments, ctx))}
    return Effect(signed(data, arguments, ctx, role_of(data, ctx) or TRANSPORTER, "start"))


def load(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """Manure is on the truck. An overload is a fact: it is remarked, not refused."""
    data = data_of(record)
    loaded = {
        "at": render_instant(at_of(arguments, ctx)),
        "place": arguments.get("place", data["from"]),
        "amount": arguments["amount"],
        "source": arguments.get("source", "manual"),
    }
    registration = registration_of(data["vehicle"], ctx)
    payload = None if registration is None else value_of(registration.attributes.get("maxPayload"))
    over = payload is not None and arguments["amount"] > payload
    remarks = [*data["remarks"], "overloaded"] if over else data["remarks"]
    data = {**data, "loaded": loaded, "loadedAmount": arguments["amount"], "remarks": remarks}
    # Whoever is named here hands the load over: the supplier's side, on whosever phone.
    handed = "signer" in arguments or role_of(data, ctx) == DISCHARGER
    return Effect(signed(data, arguments, ctx, DISCHARGER if handed else TRANSPORTER, "load"))


def depart(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """On the road, to the first or to another receiver."""
    return Effect({**data_of(record), "departedAt": render_instant(at_of(arguments, ctx))})


def unload(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """Some or all of it is off the truck, at one place of the manifest."""
    data = data_of(record)
    unloaded = {
        "at": render_instant(at_of(arguments, ctx)),
        "place": arguments["place"],
        "amount": arguments["amount"],
        "source": arguments.get("source", "manual"),
    }
    data = {**data, "unloaded": [*data["unloaded"], unloaded]}
    data = {**data, "unloadedAmount": unloaded_kg(data)}
    taken = "signer" in arguments or role_of(data, ctx) == TREATER
    return Effect(signed(data, arguments, ctx, TREATER if taken else TRANSPORTER, "unload"))


def finish(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """The transport is over: supplier and receiver have their time to confirm, and are told so."""
    within_h = float(ctx.ref.parameter(CONFIRM_WITHIN_H))
    due = ctx.now + round(within_h * HOUR)
    data = {
        **data_of(record),
        "finishedAt": render_instant(at_of(arguments, ctx)),
        "closedAt": render_instant(ctx.now),
        "residue": arguments.get("residue", 0),
        "confirmBy": render_instant(due),
        "confirmations": [],
    }
    data = _balanced(data)
    if arguments.get("remarks"):
        data["remarks"] = [*data["remarks"], *arguments["remarks"]]
    data = signed(data, arguments, ctx, TRANSPORTER, "finish")
    outbox = _sms(data, missing_roles(data), "please-confirm", confirm_by_at=data["confirmBy"])
    return Effect(data, outbox=outbox, deadlines=_deadlines("confirm", due, ctx))


def _deadlines(name: str, due: Instant, ctx: Context) -> tuple[Deadline, ...]:
    """The deadline and the reminders before it that are still to come."""
    reminders = tuple(
        Deadline(f"remind-{hours}", due - hours * HOUR, "remind", {"hoursLeft": hours})
        for hours in REMIND_H
        if due - hours * HOUR > ctx.now
    )
    return (Deadline(name, due, "expire"), *reminders)


DEADLINES = ("confirm", "reconcile", *(f"remind-{hours}" for hours in REMIND_H))


def _pend(data: _Data, ctx: Context, pending: _Data) -> tuple[_Data, tuple[Deadline, ...]]:
    """Something is to be settled between the parties, within 15 days."""
    due = KOREAN_CALENDAR.due_days(ctx.now, RECONCILE_WITHIN_DAYS)
    data = {**data, "pending": {**pending, "at": render_instant(ctx.now)}, "confirmBy": render_instant(due)}
    return data, _deadlines("reconcile", due, ctx)


def confirm(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """One side confirms. With both, the manifest is confirmed, or disputed where the amounts differ too much."""
    assert record is not None
    role = part_of(record.data, arguments, ctx)
    data = {**record.data, "confirmations": [*record.data.get("confirmations", []), role]}
    if role == TREATER:
        accepted = arguments.get("acceptedAmount", record.data.get("acceptedAmount", unloaded_kg(data)))
        data = _balanced({**data, "acceptedAmount": accepted})
    data = signed(data, arguments, ctx, role, "confirm")
    if missing_roles(data):
        return Effect(data, state="=")
    if is_significant(data, ctx):
        data, deadlines = _pend(data, ctx, {"kind": "dispute", "role": None, "reason": "discrepancy"})
        told = _sms(data, list(PARTY_ROLES), "amounts-differ", difference_kg=abs(data["discrepancy"]))
        return Effect(data, state=DISPUTED, outbox=told, deadlines=deadlines, cancels=DEADLINES)
    late = record.state == OVERDUE
    return Effect({**data, "confirmedAt": render_instant(ctx.now), "confirmedLate": late}, state=CONFIRMED)


def dispute(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """One side does not agree; the other side is told, and both have 15 days. A disputed correction is taken back: what
    was agreed before stands until both agree to something else."""
    role = part_of(data_of(record), arguments, ctx)
    pending = {"kind": "dispute", "role": role, "reason": arguments["reason"]}
    if "acceptedAmount" in arguments:
        pending["acceptedAmount"] = arguments["acceptedAmount"]
    data = data_of(record)
    if data.get("pending"):
        data = _taken_back(data)
    data, deadlines = _pend(signed(data, arguments, ctx, role, "dispute"), ctx, pending)
    others = [r for r in PARTY_ROLES if r != role]
    told = _sms(data, others, "disputed", settle_by_at=data["confirmBy"])
    return Effect(data, outbox=told, deadlines=deadlines, cancels=DEADLINES)


def _taken_back(data: _Data) -> _Data:
    """The data as before its last correction, which stays in the list as not agreed."""
    *earlier, last = data["corrections"]
    before = {name: change["from"] for name, change in last["changes"].items()}
    restored = _consistent({**data, **before}, set(before))
    return _balanced({**restored, "corrections": [*earlier, {**last, "agreed": False}]})


def _consistent(data: _Data, changed: set[str]) -> _Data:
    """Amounts that stand in two places, made equal again after a correction."""
    if "loadedAmount" in changed and data.get("loadedAmount") is not None:
        data = {**data, "loaded": {**(data.get("loaded") or {}), "amount": data["loadedAmount"]}}
    return {**data, "unloadedAmount": unloaded_kg(data)} if "unloaded" in changed else data


def agree(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """The other side agrees: a dispute is settled at the agreed amount, a correction holds."""
    data = data_of(record)
    pending = data["pending"]
    amount = arguments.get("acceptedAmount", pending.get("acceptedAmount"))
    if amount is not None:
        data = _balanced({**data, "acceptedAmount": amount})
    role = part_of(data, arguments, ctx)
    settled = {**pending, "settledAt": render_instant(ctx.now), "settledBy": role}
    data = {**data, "pending": None, "settlements": [*data.get("settlements", []), settled]}
    data = signed(data, arguments, ctx, role, "agree")
    if pending["kind"] == "correction":
        return Effect({**data, "correctedAt": render_instant(ctx.now)}, state=CORRECTED)
    late = parse_instant(data["confirmBy"]) < ctx.now
    confirmed_at = data.get("confirmedAt") or render_instant(ctx.now)
    return Effect({**data, "confirmedAt": confirmed_at, "confirmedLate": late}, state=CONFIRMED)


def cancel(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """Nothing will be carried under this manifest."""
    closed = {"closedAt": render_instant(ctx.now), "cancelReason": arguments["reason"]}
    return Effect({**data_of(record), **closed})


def reject(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """The receiver refuses all or part; the rest goes to the alternate, or back."""
    data = data_of(record)
    full = arguments["extent"] == "full"
    rejection = {
        "extent": arguments["extent"],
        "amount": arguments.get("rejectedAmount", loaded_kg(data) - unloaded_kg(data)),
        "alternate": arguments.get("alternate"),
        "reason": arguments["reason"],
        "at": render_instant(ctx.now),
    }
    alternate = [rejection["alternate"]] if rejection["alternate"] and rejection["alternate"] not in data["to"] else []
    data = {**data, "rejections": [*data.get("rejections", []), rejection], "to": [*data["to"], *alternate]}
    data = signed(data, arguments, ctx, TREATER, "reject")
    reason = no("rejected", number=data["number"], rejected_kg=rejection["amount"])
    told = tuple(OutboxMessage("sms", to, reason) for to in (data["from"], data["transporter"]))
    return Effect(data, state=REJECTED_FULL if full else REJECTED_PARTIAL, outbox=told)


def corrections_of(data: _Data, arguments: _Data) -> _Data:
    """What a correction changes: name -> {"from", "to"}, only where it differs."""
    proposed = {k: v for k, v in arguments.items() if k not in ("reason", "role", "signer", "method")}
    return {k: {"from": data.get(k), "to": v} for k, v in proposed.items() if data.get(k) != v}


def correct(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """A closed manifest is corrected: a new version with its reason, the old ones stay, the other side has to agree."""
    data = data_of(record)
    changes = corrections_of(data, arguments)
    corrected = {**data, **{name: change["to"] for name, change in changes.items()}}
    corrected = _consistent(corrected, set(changes))
    by = ctx.on_behalf_of or ctx.party or ctx.actor
    entry = {"at": render_instant(ctx.now), "by": by, "reason": arguments["reason"], "changes": changes}
    corrected = _balanced({**corrected, "corrections": [*data.get("corrections", []), entry]})
    pending = {"kind": "correction", "role": role_of(data, ctx), "reason": arguments["reason"]}
    corrected, deadlines = _pend(corrected, ctx, pending)
    others = [r for r in PARTY_ROLES if r != pending["role"]]
    told = _sms(corrected, others, "corrected", settle_by_at=corrected["confirmBy"])
    return Effect(corrected, outbox=told, deadlines=deadlines)


def remind(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """Those who have not signed are told how much time is left."""
    data = data_of(record)
    pending = data.get("pending")
    roles = missing_roles(data) if not pending else [r for r in PARTY_ROLES if r != pending.get("role")]
    return Effect(data, outbox=_sms(data, roles, "reminder", left_h=arguments["hoursLeft"]))


def expire(record: Record | None, arguments: _Data, ctx: Context) -> Effect:
    """The time is up: the office is told; it can still be confirmed, late."""
    data = {**data_of(record), "overdueAt": render_instant(ctx.now)}
    roles = missing_roles(data) or list(PARTY_ROLES)
    told = _sms(data, roles, "overdue")
    office = OutboxMessage("console", OFFICE, no("overdue-office", number=data.get("number", "")))
    return Effect(data, outbox=(*told, office), cancels=DEADLINES)
