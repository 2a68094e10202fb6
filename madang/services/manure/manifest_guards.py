"""Guards of the manifest: every reason against an action, as sentences that say what to do."""

from typing import Any

from madang.model.entity import value_of
from madang.model.finding import Reason
from madang.model.record import Record
from madang.model.time import MINUTE, parse_instant, render_instant
from madang.procedure.contract import Context
from madang.services.manure.manifest import (
    BEFORE_LOADING,
    DRAFT,
    FUTURE_MIN,
    MANIFEST,
    OPEN_STATES,
    PLACE_TYPES,
    TRANSPORTER,
    TREATER,
    UNLOADED,
    at_of,
    confirmed_roles,
    corrections_of,
    data_of,
    loaded_kg,
    no,
    registration_of,
    role_of,
    unloaded_kg,
)
from madang.services.manure.parameters import BALANCE_KG, BALANCE_SHARE, MANIFEST_GRACE_MIN

_Data = dict[str, Any]
_Reasons = list[Reason]


# --- who -------------------------------------------------------------------------------------------------------------


def _parties(data: _Data) -> set[str]:
    return {id_ for id_ in (data.get("from"), data.get("transporter"), *data.get("to", [])) if id_}


def not_yours(data: _Data, ctx: Context) -> _Reasons:
    """Somebody who acts for a farm, carrier or plant acts on its own manifests only."""
    return [] if ctx.party is None or ctx.party in _parties(data) else [no("not-yours")]


def not_your_part(data: _Data, arguments: _Data, ctx: Context) -> _Reasons:
    """Confirming, disputing and agreeing is the supplier's and the receiver's: never the carrier's, whoever typed."""
    reasons = not_yours(data, ctx)
    role = role_of(data, ctx)
    carrier = data.get("transporter")
    acts_in_transport = ctx.party is not None and ctx.party == carrier and ctx.party != data.get("from")
    if role == TRANSPORTER or acts_in_transport:
        reasons.append(no("not-by-carrier"))
    elif ctx.on_behalf_of is not None and role is None:
        reasons.append(no("not-a-party", party_id=ctx.on_behalf_of))
    elif role is not None and arguments.get("role") not in (None, role):
        reasons.append(no("other-part"))
    typed_for = ctx.party is None and ctx.on_behalf_of is None
    if typed_for and not ctx.asking and not _names_who(arguments):
        reasons.append(no("name-who-agrees"))
    return reasons


def _names_who(arguments: _Data) -> bool:
    """City staff type for somebody: it must be said for which side, and who agreed."""
    return bool(arguments.get("role") and arguments.get("signer"))


# --- times and amounts -----------------------------------------------------------------------------------------------


def wrong_time(arguments: _Data, ctx: Context, earliest: Any) -> _Reasons:
    """A reported time lies not ahead of now and, within the grace of manifests, not before `earliest` (RFC 3339 or None)."""
    at = at_of(arguments, ctx)
    if at > ctx.now + FUTURE_MIN * MINUTE:
        return [no("time-ahead", reported_at=render_instant(at))]
    grace = round(float(ctx.ref.parameter(MANIFEST_GRACE_MIN)) * MINUTE)
    if earliest is not None and at < parse_instant(earliest) - grace:
        return [no("time-before", reported_at=render_instant(at), earliest_at=earliest)]
    return []


def tolerance_kg(data: _Data, ctx: Context) -> float:
    """How far a sum of weighings may lie from the load before it must be a mistake: the larger of both balance limits,
    because a small load is weighed no better than a large one."""
    return max(float(ctx.ref.parameter(BALANCE_SHARE)) * loaded_kg(data), float(ctx.ref.parameter(BALANCE_KG)))


# --- precheck --------------------------------------------------------------------------------------------------------


def precheck_reasons(data: _Data, own_id: str | None, ctx: Context) -> _Reasons:
    """Everything against issuing a number: who, with what, how much, where to."""
    reasons = [
        no(code)
        for name, code in (
            ("transporter", "no-carrier"),
            ("vehicle", "no-vehicle"),
            ("driver", "no-driver"),
            ("to", "no-destination"),
            ("plannedAt", "no-time"),
            ("plannedAmount", "no-amount"),
        )
        if not data.get(name)
    ]
    if ctx.ref.find(data["from"]) is None:
        reasons.append(no("supplier-unknown", supplier_id=data["from"]))
    transporter = data.get("transporter")
    if transporter and ctx.ref.find(transporter) is None:
        reasons.append(no("carrier-unknown", carrier_id=transporter))
    if data.get("vehicle"):
        reasons.extend(_vehicle_reasons(data, own_id, ctx))
    for place in data.get("to", []):
        found = ctx.ref.find(place)
        if found is None or found.type not in PLACE_TYPES:
            reasons.append(no("destination-unknown", destination_id=place))
    return reasons


def _vehicle_reasons(data: _Data, own_id: str | None, ctx: Context) -> _Reasons:
    vehicle = data["vehicle"]
    registration = registration_of(vehicle, ctx)
    if registration is None:
        return [no("vehicle-unregistered", vehicle_id=vehicle)]
    reasons: _Reasons = []
    owner = value_of(registration.attributes.get("owner"))
    if data.get("transporter") and owner is not None and owner != data["transporter"]:
        reasons.append(no("vehicle-of-another", vehicle_id=vehicle, owner_id=owner))
    payload = value_of(registration.attributes.get("maxPayload"))
    planned = data.get("plannedAmount")
    if payload is not None and planned and planned > payload:
        reasons.append(no("over-payload", planned_kg=planned, payload_kg=payload))
    for other in ctx.ref.list_records_by(MANIFEST, "vehicle", vehicle):
        if other.id != own_id and other.state in OPEN_STATES:
            reasons.append(no("vehicle-busy", vehicle_id=vehicle, number=other.data.get("number", "")))
    return reasons


# --- guards ----------------------------------------------------------------------------------------------------------


def can_create(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """A farm, carrier or plant creates manifests in which it has a part."""
    return not_yours(arguments, ctx)


def can_change(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """Until loading everything but the supplier may change; until unloading the receivers. Once a number is issued, what is changed
    must pass the precheck again."""
    assert record is not None
    reasons = not_yours(record.data, ctx)
    late = set(arguments) - {"to", "remarks"} if record.state not in BEFORE_LOADING else set()
    if late:
        reasons.append(no("changed-after-loading"))
    if arguments and record.state != DRAFT:
        reasons.extend(precheck_reasons({**record.data, **arguments}, record.id, ctx))
    return reasons


def can_precheck(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """All that must be known is known and registered, and the vehicle is free."""
    assert record is not None
    return not_yours(record.data, ctx) + precheck_reasons(record.data, record.id, ctx)


def can_carry(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """The manifest is one's own, and the reported time is possible."""
    data = data_of(record)
    return not_yours(data, ctx) + wrong_time(arguments, ctx, data.get("openedAt"))


def can_unload(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """The place is on the manifest, the time after loading, and no more comes off than went on."""
    data = data_of(record)
    reasons = not_yours(data, ctx) + wrong_time(arguments, ctx, data["loaded"]["at"])
    place = arguments.get("place")
    if place is not None and place not in data["to"]:
        reasons.append(no("place-not-listed", place_id=place))
    total = unloaded_kg(data) + float(arguments.get("amount", 0))
    if total > loaded_kg(data) + tolerance_kg(data, ctx):
        reasons.append(no("more-than-loaded", unloaded_kg=total, loaded_kg=loaded_kg(data)))
    return reasons


def can_reject(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """The receiver refuses; what was already unloaded cannot be refused in full."""
    assert record is not None
    reasons = not_your_part(record.data, {**arguments, "role": TREATER}, ctx)
    if arguments.get("extent") == "full" and record.state == UNLOADED:
        reasons.append(no("full-after-unloading"))
    if arguments.get("rejectedAmount", 0) > loaded_kg(record.data) - unloaded_kg(record.data):
        on_board = max(0.0, loaded_kg(record.data) - unloaded_kg(record.data))
        reasons.append(no("more-than-on-board", on_board_kg=on_board))
    alternate = arguments.get("alternate")
    found = None if alternate is None else ctx.ref.find(alternate)
    if alternate is not None and (found is None or found.type not in PLACE_TYPES):
        reasons.append(no("destination-unknown", destination_id=alternate))
    return reasons


def can_confirm(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """Supplier and receiver confirm, each once, and not over an open dispute or correction."""
    data = data_of(record)
    reasons = not_your_part(data, arguments, ctx)
    if data.get("pending"):
        reasons.append(no("settle-first"))
    role = role_of(data, ctx) or arguments.get("role")
    if role in confirmed_roles(data):
        reasons.append(no("confirmed-already"))
    return reasons


def can_dispute(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """Supplier or receiver do not agree."""
    data = data_of(record)
    reasons = not_your_part(data, arguments, ctx)
    if data.get("pending") and data["pending"]["kind"] == "dispute":
        reasons.append(no("disputed-already"))
    return reasons


def can_agree(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """There is something to agree to, and the other side does it."""
    data = data_of(record)
    reasons = not_your_part(data, arguments, ctx)
    pending = data.get("pending")
    if not pending:
        return [*reasons, no("nothing-pending")]
    role = role_of(data, ctx) or arguments.get("role")
    if role is not None and role == pending.get("role"):
        reasons.append(no("other-side-agrees"))
    return reasons


def can_correct(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """Something is to be corrected, and nothing else is open."""
    data = data_of(record)
    reasons = not_yours(data, ctx)
    if data.get("pending"):
        reasons.append(no("settle-first"))
    if "reason" in arguments and not corrections_of(data, arguments):
        reasons.append(no("nothing-to-correct"))
    if not all(_is_unloading(item) for item in arguments.get("unloaded", [])):
        reasons.append(no("unloadings-incomplete"))
    return reasons


def _is_unloading(item: Any) -> bool:
    amount = item.get("amount") if isinstance(item, dict) else None
    is_mass = isinstance(amount, int | float) and not isinstance(amount, bool) and amount >= 0
    return is_mass and isinstance(item.get("place"), str) and isinstance(item.get("at"), str)


def can_always(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """The system acts; the table alone decides."""
    return []


def can_cancel(record: Record | None, arguments: _Data, ctx: Context) -> _Reasons:
    """One's own, before anything is on the truck (the table's states say that)."""
    return not_yours(data_of(record), ctx)
