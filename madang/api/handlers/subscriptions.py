"""Subscriptions as the console manages them: how they are doing, what failed, sending it again (ETSI GS CIM 009 has no words for this)."""

from msgspec import Struct

from madang.api.errors import Problem
from madang.api.handlers.ngsild.subscriptions import refresh
from madang.api.route import Answer, Call
from madang.hub.deliveries import Deliveries
from madang.hub.queries import subscriptions
from madang.hub.subscriptions import Definition
from madang.model.time import parse_instant

NUMBERS_MAX = 1_000
"""Failed notifications that one request sends again or lets go of."""


class Numbers(Struct):
    """Which failed notifications."""

    numbers: list[int]


class Span(Struct):
    """Which part of the log: from a place or an instant, to a place or the end."""

    from_seq: int | None = None
    from_at: str | None = None
    to_seq: int | None = None


class Count(Struct):
    """So many changes."""

    events: int


async def list_subscriptions(call: Call) -> Answer:
    """GET /api/subscriptions"""
    await refresh(call)
    deliveries = call.state.deliveries
    ids = [definition.id for definition in call.hub.subscriptions.list(call.caller)]
    resting = frozenset(id_ for id_ in ids if deliveries is not None and deliveries.is_resting(id_))
    return Answer(await call.ask(subscriptions.list_subscriptions, resting))


async def list_failed(call: Call) -> Answer:
    """GET /api/subscriptions/{id}/failed"""
    return Answer(await call.ask(subscriptions.list_failed, call.path["id"], call.query["limit"], call.query["after"]))


async def send_again(call: Call) -> Answer:
    """POST /api/subscriptions/{id}/failed/send"""
    definition, deliveries = _own(call)
    return Answer(Count(await deliveries.revive(definition, await _numbers(call))))


async def discard(call: Call) -> Answer:
    """POST /api/subscriptions/{id}/failed/discard"""
    definition, deliveries = _own(call)
    return Answer(Count(await deliveries.discard(definition.id, await _numbers(call))))


async def replay(call: Call) -> Answer:
    """POST /api/subscriptions/{id}/replay"""
    definition, deliveries = _own(call)
    span: Span = await call.json(Span)
    if (span.from_seq is None) == (span.from_at is None):
        raise Problem(400, "bad-body", "Say where to begin: from_seq or from_at, one of the two.")
    try:
        at = None if span.from_at is None else parse_instant(span.from_at)
    except (ValueError, OverflowError) as error:
        raise Problem(400, "bad-body", f"from_at: {error}.") from None
    kept: subscriptions.LogSpan | None = await call.ask(subscriptions.find_span, at)
    from_seq = span.from_seq if span.from_seq is not None else 1 if kept is None else kept.begin_seq
    if kept is not None and 1 <= from_seq < kept.first_seq:
        raise Problem(
            410,
            "too-old",
            f"The change log is kept from {kept.first_at} (from_seq {kept.first_seq}) on: begin there. Older values are in the history.",
        )
    if from_seq < 1 or (span.to_seq is not None and span.to_seq < from_seq):
        raise Problem(400, "bad-body", "from_seq is 1 or more, and to_seq not before it.")
    again = await deliveries.replay(definition, from_seq, span.to_seq)
    return Answer(subscriptions.ReplayOutcome(again.events, again.to_seq, again.is_complete))


def _own(call: Call) -> tuple[Definition, Deliveries]:
    """The subscription, which must be the caller's to change, and what sends. Raises NgsiLdError, Problem."""
    definition = call.hub.subscriptions.get(call.caller, call.path["id"], to_change=True)
    if call.state.deliveries is None or not call.hub.leads():
        raise Problem(503, "not-here", "Another process sends notifications: ask that one.")
    return definition, call.state.deliveries


async def _numbers(call: Call) -> list[int]:
    body: Numbers = await call.json(Numbers)
    if not 1 <= len(body.numbers) <= NUMBERS_MAX or min(body.numbers) < 1:
        raise Problem(400, "bad-body", f"numbers: name 1 to {NUMBERS_MAX} failed notifications.")
    return body.numbers
