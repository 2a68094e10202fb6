"""The one place where what this broker has and what context sources have meet (ETSI GS CIM 009 clauses 4.3.6, 5.6, 5.7).

Reading: a handler asks `read_remote` first and merges the fragments with its own (`madang.ngsild.federation`). Changing: it
hands its local change to `distribute`, which asks the sources and makes one answer of all.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from madang.api.errors import Problem, problem_of
from madang.api.handlers.ngsild.common import problem_details
from madang.api.route import Answer, Call
from madang.hub.entities import EntityNotFound
from madang.hub.federation import Failed, Found, Outcome, Read, Trigger
from madang.hub.queries.look import Look
from madang.model.entity import Attributes, split_key
from madang.ngsild.context import Context
from madang.ngsild.federation import Fragment as Remote
from madang.ngsild.federation import Part, Split, keep_members, split_change
from madang.ngsild.match import matches
from madang.ngsild.parse import Fragment
from madang.ngsild.q import parse_q
from madang.ngsild.query import Query
from madang.ngsild.registration import Registration, Selection

FILTERS = ("q", "scopeQ", "georel", "geometry", "coordinates", "geoproperty")
"""Conditions that go along with a query, and that are left out when entities may be split (5.7.2.4)."""
_KINDS = {400: "BadRequestData", 404: "ResourceNotFound", 409: "Conflict", 500: "InternalError"}
_STATUS_UNREACHABLE = 504

Local = Callable[[frozenset[str]], Awaitable[Answer]]
"""Makes the change here, without the attributes (stored names) that are held elsewhere."""


# ── reading ─────────────────────────────────────────────────────────────────


def is_alone(call: Call) -> bool:
    """Is this request for this broker alone? Those who act for a party see only what names them, and only here is that known."""
    return (
        bool(call.query.get("local"))
        or call.caller.party is not None
        or call.past is not None  # Clause 5.5.15: what is done in a snapshot is implicitly local.
        or call.hub.federation.is_idle
    )


def parts_to_read(call: Call, asked: Selection, context: Context, csf: str | None = None) -> list[Part]:
    """The sources to ask; none when the request has come round in a loop (6.3.18)."""
    if is_alone(call) or call.hub.federation.is_loop(call.headers):
        return []
    parts = call.hub.federation.parts(asked, call.headers)
    if csf:
        node = parse_q(csf, context)
        parts = [part for part in parts if matches(part.registration.as_entity, node)]
    return parts


async def read_remote(call: Call, parts: Sequence[Part], context: Context, read: Read) -> Found:
    """What the sources know of it."""
    if not parts:
        return Found([], [])
    return await call.hub.federation.read(parts, Trigger(call.headers, context), read)


def visible(look: Look, fragments: Sequence[Remote]) -> list[Remote]:
    """Fragments of types that the caller may see here."""
    return [f for f in fragments if all(look.may_see_type(name) for name in f.entity.all_types)]


def warnings_of(found: Found) -> list[tuple[str, str]]:
    """The headers that say what went wrong with which source."""
    return [("NGSILD-Warning", warning) for warning in found.warnings]


def types_in(text: str | None, context: Context) -> tuple[str, ...]:
    """The stored names of all types in a type selection."""
    names = [name for name in re.split(r"[|,;()]+", text or "") if name and name != "*"]
    return tuple(context.stored_name(name, "type") for name in names)


def types_known(call: Call, id_: str) -> tuple[str, ...]:
    """The type of an entity as far as this broker knows it."""
    with call.hub.store.read() as read:
        entity = read.find_entity(id_)
    return () if entity is None else entity.all_types


# ── changing ────────────────────────────────────────────────────────────────


async def distribute(
    call: Call,
    context: Context,
    operations: Sequence[str],
    id_: str,
    path: str,
    local: Local,
    *,
    document: Any = None,
    names: frozenset[str] | None = None,
    types: tuple[str, ...] = (),
    attribute: str | None = None,
    good: int = 204,
) -> Answer:
    """Make a change of one entity here and at the sources that match. `operations`: their names for it; `path`: the part of
    the address after ``/ngsi-ld/v1``; `document`: the body; `names`: stored names of the attributes it is about, None for
    the whole entity; `attribute`: the one that ends the address, whose body is not an entity's; `good`: the status when
    nothing is done here and all went well.

    One part alone gives its own answer; several give `good`, or 207 when one of them failed (clauses 5.6, 6.3.17)."""
    if is_alone(call):
        return await local(frozenset())
    selection = Selection(types=types or types_known(call, id_), ids=(id_,), names=tuple(sorted(names or ())))
    federation = call.hub.federation
    split = split_change(federation.parts(selection, call.headers), operations, names)
    if any(part.takes_over and federation.is_circular(part, call.headers) for part, _ in split.forwards):
        raise Problem(
            508, "loop", "This request goes round in a circle of context sources: nobody holds what it is about."
        )
    if federation.is_loop(call.headers):
        return await _again(call, local, good)
    if not split.forwards and not split.refused:
        return await local(frozenset())
    outcomes, result = await asyncio.gather(
        asyncio.gather(
            *(_forward(call, context, part, path, document, names, attribute) for part, _ in split.forwards)
        ),
        _here(local, split),
    )
    return _answer(call, id_, split, outcomes, result, good)


async def distribute_purge(call: Call, context: Context, asked: Query, local: Local) -> Answer:
    """A purge (clause 5.6.21) is always made here too: what sources hold of the same type is not all there is."""
    if is_alone(call) or call.hub.federation.is_loop(call.headers):
        return await local(frozenset())
    selection = Selection(types_in(call.query.get("type"), context), asked.ids, asked.id_pattern, asked.attributes)
    split = split_change(call.hub.federation.parts(selection, call.headers), ("purgeEntity",), None)
    if not split.forwards and not split.refused:
        return await local(frozenset())
    outcomes, result = await asyncio.gather(
        asyncio.gather(*(_forward(call, context, part, "/entities", None, None, None) for part, _ in split.forwards)),
        _here(local, replace(split, is_local=True)),
    )
    return _answer(call, "", split, outcomes, result, 204)


async def _again(call: Call, local: Local, good: int) -> Answer:
    """The change here, for a request that went round and was here before: that it exists already, or is gone, or was taken in part, is
    what its first pass did and told."""
    try:
        answer = await local(frozenset())
    except Exception as error:
        problem = problem_of(error, call.hub.words, call.lang)
        if problem is None or problem.status not in (404, 409):
            raise
        return Answer(None, good)
    return Answer(None, good) if answer.status == 207 else answer


def without(attributes: Attributes, held: frozenset[str]) -> Attributes:
    """The attributes that are not held elsewhere."""
    return {key: a for key, a in attributes.items() if split_key(key)[0] not in held} if held else attributes


def lighten(fragment: Fragment, held: frozenset[str]) -> Fragment:
    """The fragment without what is held elsewhere."""
    if not held:
        return fragment
    removed = tuple(key for key in fragment.removed if split_key(key)[0] not in held)
    return replace(fragment, attributes=without(fragment.attributes, held), removed=removed)


def names_of(keys: Iterable[str]) -> frozenset[str]:
    """The attribute names of instance keys."""
    return frozenset(split_key(key)[0] for key in keys)


async def _forward(
    call: Call,
    context: Context,
    part: Part,
    path: str,
    document: Any,
    names: frozenset[str] | None,
    attribute: str | None,
) -> Outcome:
    kept = document
    if attribute is None and isinstance(document, dict) and part.names and names is not None:
        kept = keep_members(document, context, frozenset(part.names))
    trigger = Trigger(call.headers, context)
    return await call.hub.federation.change(part, call.route.method, path, query_pairs(call), kept, trigger, attribute)


def query_pairs(call: Call) -> list[tuple[str, str]]:
    """The URL parameters of the request, for those it is passed on to."""
    return [(name, _text(value)) for name, value in call.query.items() if name != "local"]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, list) else str(value)


async def _here(local: Local, split: Split) -> Answer | Exception | None:
    """The local part's answer, why it failed, or None when there is none."""
    if not split.is_local:
        return None
    try:
        return await local(split.held)
    except Exception as error:  # noqa: BLE001 - what is unexpected is raised again where the answer is made
        return error


def _answer(
    call: Call, id_: str, split: Split, outcomes: Sequence[Outcome], result: Answer | Exception | None, good: int
) -> Answer:
    held_elsewhere = any(outcome.is_good and outcome.part.takes_over for outcome in outcomes)
    if isinstance(result, EntityNotFound) and held_elsewhere:
        result = None  # Nothing of it is held here, and where it is held it went well.
    problems = [refusal(part) for part in split.refused] + [failure(o) for o in outcomes if not o.is_good]
    if isinstance(result, Exception):
        if problem_of(result, call.hub.words, call.lang) is None:
            raise result
        if not problems and not outcomes:
            raise result
    elif not problems:
        return result if result is not None else Answer(None, good)
    if len(problems) == 1 and result is None and len(outcomes) + len(split.refused) == 1:
        raise problems[0]
    errors: list[dict[str, Any]] = []
    if isinstance(result, Exception):
        errors.append({"entityId": id_, "error": problem_details(call, result)})
    for problem in problems:
        error = {"entityId": id_, "error": problem.document(ngsild=True)}
        if "registrationId" in problem.extra:
            error["registrationId"] = problem.extra["registrationId"]
        errors.append(error)
    success = isinstance(result, Answer) or any(outcome.is_good for outcome in outcomes)
    return Answer({"success": [id_] if success else [], "errors": errors}, 207)


def refusal(part: Part) -> Problem:
    """A source holds what is to be changed and does not offer the change (clauses 5.6.1.4 to 5.6.21.4)."""
    registration = part.registration
    return Problem(
        409, "held-elsewhere", f"{registration.id} holds this, and does not offer the operation.", kind="Conflict",
        registrationId=registration.id,
    )  # fmt: skip


def failure(outcome: Outcome) -> Problem:
    """A source did not make its part of a change."""
    registration = outcome.part.registration
    if outcome.status == 207:
        return _source_problem(registration, 500, "it made only a part of the change", "InternalError")
    status = outcome.status if outcome.status >= 400 else _STATUS_UNREACHABLE
    return _source_problem(registration, status, outcome.detail or f"it answers {outcome.status}", outcome.kind)


def failure_of(outcome: Outcome, failed: Failed) -> Problem:
    """A source did not take one entity of a batch."""
    return _source_problem(outcome.part.registration, failed.status, failed.detail or "it failed", failed.kind)


def _source_problem(registration: Registration, status: int, said: str, kind: str) -> Problem:
    named = kind if kind.isalpha() else _KINDS.get(status)
    detail = f"{registration.id}: {said.rstrip('.')}."
    return Problem(status, "source-failed", detail, kind=named, registrationId=registration.id)
