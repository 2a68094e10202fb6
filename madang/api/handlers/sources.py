"""Sources, their quarantine, what waits for a person, and the HTTP push of observations."""

import asyncio

import msgspec
from msgspec import Struct

from madang.api.dispatch import send_answer
from madang.api.errors import Problem
from madang.api.route import Answer, Call, Send, check_media_type
from madang.hub import stuck
from madang.hub.messages import ACCEPTED, DUPLICATE, Message
from madang.hub.queries import sources
from madang.hub.queries.answers import ReplayResult, RetryResult

MESSAGES_MAX = 10_000
"""Messages in one push."""
IDEMPOTENCY_KEY_MAX = 200
RETRY_AFTER_S = 1

_raw_items = msgspec.json.Decoder(list[msgspec.Raw])


class Rejected(Struct):
    """A message that could not be understood; it is in quarantine."""

    index: int
    code: str
    detail: str


class PushAnswer(Struct):
    """All of it is durable when this arrives."""

    accepted: int
    duplicates: int
    rejected: list[Rejected]


async def list_sources(call: Call) -> Answer:
    """GET /api/sources"""
    return Answer(await call.ask(sources.list_sources))


async def list_quarantine(call: Call) -> Answer:
    """GET /api/quarantine"""
    query = call.query
    return Answer(await call.ask(sources.list_quarantine, query.get("source"), query["limit"], query.get("before")))


async def replay(call: Call) -> Answer:
    """POST /api/quarantine/{id}/replay"""
    text = call.path["id"]
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Problem(400, "bad-path", "A quarantined payload is named by its number.")
    try:
        future = await call.run(call.hub.ingest.replay, int(text))
    except LookupError as error:
        raise Problem(404, "not-found", f"{error.args[0]}.") from None
    outcome = await call.done(future)
    return Answer(ReplayResult(outcome.status, outcome.code, outcome.detail))


async def list_stuck(call: Call) -> Answer:
    """GET /api/stuck"""
    return Answer(await call.ask(sources.list_stuck))


async def retry_stuck(call: Call) -> Answer:
    """POST /api/stuck/{id}/retry"""
    future = stuck.retry(call.hub.store, call.caller, call.path["id"])
    try:
        return Answer(RetryResult(await call.done(future)))
    except stuck.StuckNotFound as error:
        raise Problem(404, "not-found", f"{error.args[0]}; GET /api/stuck lists what waits.") from None


async def push(call: Call, send: Send) -> None:
    """POST /api/sources/{id}/messages: answered when all of it is durable."""
    hub = call.hub
    source_id = call.path["id"]
    _check_source(call, source_id)
    check_media_type(call.headers.get("content-type", ""), ("application/json",))
    if not hub.ingest.accepting():
        raise overloaded()
    key = call.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= IDEMPOTENCY_KEY_MAX:
        raise Problem(400, "bad-header", f"Idempotency-Key has 1 to {IDEMPOTENCY_KEY_MAX} characters.")
    payloads = _split(await call.body())
    now = hub.clock.now()
    messages = [
        Message(payload, "", now, None if key is None else (key if len(payloads) == 1 else f"{key}#{index}"))
        for index, payload in enumerate(payloads)
    ]
    future = await call.run(hub.ingest.submit, source_id, messages) if len(messages) > 64 else hub.ingest.submit(
        source_id, messages
    )  # fmt: skip
    outcomes = await asyncio.wrap_future(future)
    accepted = duplicates = 0
    rejected: list[Rejected] = []
    for index, outcome in enumerate(outcomes):
        if outcome.status == ACCEPTED:
            accepted += 1
        elif outcome.status == DUPLICATE:
            duplicates += 1
        if outcome.code:
            rejected.append(Rejected(index, outcome.code, outcome.detail))
    await send_answer(send, Answer(PushAnswer(accepted, duplicates, rejected)))


def _check_source(call: Call, source_id: str) -> None:
    """A token of role `source` is its own source's only; an unknown source is 404."""
    caller = call.caller
    if caller.role == "source" and caller.principal not in (f"source:{source_id}", f"token:{source_id}"):
        raise Problem(403, "forbidden", f"This token sends for another source than {source_id}.")
    if all(source.id != source_id for source in call.hub.sources.list()):
        raise Problem(404, "not-found", f"There is no source {source_id}.")


def _split(body: bytes) -> list[bytes]:
    """The messages of a push: the items of a JSON array, else the body itself. A broken array stays whole: ingest puts it
    into quarantine with its reason."""
    if body.lstrip()[:1] != b"[":
        return [body]
    try:
        items = [bytes(item) for item in _raw_items.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [body]
    if len(items) > MESSAGES_MAX:
        raise Problem(
            413, "too-large", f"A push may have {MESSAGES_MAX} messages; send it in parts.", limit=MESSAGES_MAX
        )
    return items


def overloaded() -> Problem:
    """Back-pressure: nothing was taken."""
    return Problem(
        429, "overloaded", "Nothing was taken: the consumers lag. Send the same again in a moment.",
        headers=(("Retry-After", str(RETRY_AFTER_S)),),
    )  # fmt: skip
