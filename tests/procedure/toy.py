"""A small record type that uses everything a table can say: a ticket that is opened, taken, closed and reopened."""

from typing import Any

from madang.model.entity import AttributeType
from madang.model.finding import Reason
from madang.model.record import Record
from madang.model.time import HOUR
from madang.procedure.contract import (
    Action,
    Argument,
    Context,
    Deadline,
    Effect,
    Onward,
    Opening,
    OutboxMessage,
    Procedure,
    RecordType,
)


def both(text: str) -> dict[str, str]:
    return {"ko": text, "en": text}


def free(record: Record | None, arguments: dict[str, Any], ctx: Context) -> list[Reason]:
    return []


def _open(record: Record | None, arguments: dict[str, Any], ctx: Context) -> Effect:
    return Effect(
        {"number": ctx.number, "title": arguments["title"], "takers": []},
        outbox=(OutboxMessage("console", "group:desk", Reason("toy.opened", {"title": arguments["title"]})),),
        deadlines=(Deadline("nag", ctx.now + HOUR, "nag", {"hours": 1}),),
    )


def _not_mine(record: Record | None, arguments: dict[str, Any], ctx: Context) -> list[Reason]:
    assert record is not None
    reasons = []
    if ctx.actor in record.data["takers"]:
        reasons.append(Reason("toy.taken-by-you"))
    if len(record.data["takers"]) >= 3:
        reasons.append(Reason("toy.enough"))
    return reasons


def _take(record: Record | None, arguments: dict[str, Any], ctx: Context) -> Effect:
    assert record is not None
    return Effect({**record.data, "takers": [*record.data["takers"], ctx.actor]}, cancels=("nag",))


def _keep(record: Record | None, arguments: dict[str, Any], ctx: Context) -> Effect:
    assert record is not None
    return Effect({**record.data, "notes": [*record.data.get("notes", []), arguments.get("text", "")]})


def _split(record: Record | None, arguments: dict[str, Any], ctx: Context) -> Effect:
    assert record is not None
    return Effect(
        record.data,
        opens=(Opening("Ticket", "open", {"title": "part"}), Opening("Ticket", "open", {"title": "other part"})),
        acts=tuple(Onward(id_, "note", {"text": "see other"}) for id_ in arguments.get("tell", [])),
    )


def _break(record: Record | None, arguments: dict[str, Any], ctx: Context) -> Effect:
    raise RuntimeError("a faulty effect")


def action(name: str, source: tuple[str, ...], target: tuple[str, ...], **more: Any) -> Action:
    fields: dict[str, Any] = {"permission": "ticket.work", "guard": free, "effect": _keep} | more
    return Action(name, both(name.capitalize()), source, target, consequence=both(f"It {name}s."), **fields)


def argument(name: str, kind: str, **more: Any) -> Argument:
    return Argument(name, kind, title=both(name), **more)


TICKET = RecordType(
    "Ticket",
    both("Ticket"),
    attributes=(
        AttributeType("number", title=both("Number")),
        AttributeType("title", title=both("Title")),
        AttributeType("takers", title=both("Takers")),
        AttributeType("notes", title=both("Notes")),
        AttributeType("place", kind="GeoProperty", title=both("Place")),
        AttributeType("about", kind="Relationship", title=both("About")),
        AttributeType("weight", unit="KGM", title=both("Weight")),
    ),
    procedure=Procedure(
        states=("OPEN", "TAKEN", "CLOSED"),
        final_states=("CLOSED",),
        actions=(
            action("open", (), ("OPEN",), effect=_open, arguments=(argument("title", "text", required=True),)),
            action("take", ("OPEN", "TAKEN"), ("TAKEN",), guard=_not_mine, effect=_take),
            action("note", ("OPEN", "TAKEN"), ("=",), arguments=(argument("text", "text", length_max=20),), quiet=True),
            action("split", ("OPEN", "TAKEN"), ("=",), effect=_split, arguments=(argument("tell", "list"),)),
            action("nag", ("OPEN",), ("=",), permission="record.system", arguments=(argument("hours", "integer"),)),
            action("break", ("OPEN", "TAKEN"), ("=",), permission="record.system", effect=_break),
            action("close", ("TAKEN",), ("CLOSED",), permission="ticket.close"),
            action("reopen", ("CLOSED",), ("OPEN",), undo=True),
        ),
        reopening=("reopen",),
    ),
    state_titles={s: both(s.capitalize()) for s in ("OPEN", "TAKEN", "CLOSED")},
    indexed=("title",),
    number_prefix="T",
)
