"""Records and their actions."""

from typing import Any

from msgspec import Struct, field

from madang.api.errors import Problem
from madang.api.route import Answer, Call
from madang.hub.queries import records
from madang.hub.queries.answers import RecordPage
from madang.hub.queries.errors import NotFound
from madang.hub.queries.look import Look

IDEMPOTENCY_KEY_MAX = 200


class ActionBody(Struct, forbid_unknown_fields=True):
    """What an action takes."""

    version: int | None = None
    """The version that the actor looked at; null does not ask whether it moved on."""
    arguments: dict[str, Any] = field(default_factory=dict)
    on_behalf_of: str | None = None
    """Who agreed, when somebody else types: an entity id of a party, or a principal."""


class CreateBody(Struct, forbid_unknown_fields=True):
    """A record to create."""

    action: str = "create"
    arguments: dict[str, Any] = field(default_factory=dict)
    on_behalf_of: str | None = None


class RecordAnswer(Struct):
    """The record after the action."""

    record: RecordPage


async def get_record(call: Call) -> Answer:
    """GET /api/records/{id}"""
    return Answer(await call.ask(records.get_page, call.path["id"]))


async def list_types(call: Call) -> Answer:
    """GET /api/record-types"""
    return Answer(await call.ask(records.list_record_types))


async def act(call: Call) -> Answer:
    """POST /api/records/{id}/actions/{action}"""
    body: ActionBody = await call.json(ActionBody)
    id_ = call.path["id"]
    await call.ask(lambda look: look.get_record(id_))
    await call.done(
        call.hub.records.act(
            call.caller, id_, call.path["action"], body.arguments, body.version, body.on_behalf_of, _key(call)
        )
    )
    return Answer(RecordAnswer(await call.ask(records.get_page, id_)))


async def create(call: Call) -> Answer:
    """POST /api/records/{type}"""
    body: CreateBody = await call.json(CreateBody)
    type_ = call.path["id"]
    await call.ask(_check_type, type_)
    record = await call.done(
        call.hub.records.create(call.caller, type_, body.action, body.arguments, body.on_behalf_of, _key(call))
    )
    page = await call.ask(records.get_page, record.id)
    return Answer(RecordAnswer(page), 201, (("Location", f"/api/records/{record.id}"),))


def _check_type(look: Look, type_: str) -> None:
    if type_ not in look.hub.registry.record_types:
        known = ", ".join(sorted(look.hub.registry.record_types))
        raise NotFound(f"There is no record type {type_}; known: {known}.")


def _key(call: Call) -> str | None:
    key = call.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= IDEMPOTENCY_KEY_MAX:
        raise Problem(400, "bad-header", f"Idempotency-Key has 1 to {IDEMPOTENCY_KEY_MAX} characters.")
    return key
