"""Batch operations over this broker and its context sources (ETSI GS CIM 009 clauses 5.6.7 to 5.6.10, 5.6.20): each source gets one
request with its part of every entity that it covers."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from madang.api.errors import Problem
from madang.api.handlers.ngsild.common import batch_error
from madang.api.handlers.ngsild.distribute import (
    failure,
    failure_of,
    is_alone,
    lighten,
    query_pairs,
    refusal,
    types_known,
    without,
)
from madang.api.route import Answer, Call
from madang.hub.entities import EntityExists, EntityNotFound, Written
from madang.hub.federation import Outcome, Trigger
from madang.ngsild.context import CORE, Context
from madang.ngsild.federation import Part, Split, keep_members, rename, split_change
from madang.ngsild.parse import Fragment, ParsedEntity
from madang.ngsild.registration import Selection

Errors = list[tuple[str, Exception]]
"""(id, why), in the order of the batch; the id is empty when it cannot be known."""


class Item(Struct, frozen=True):
    """A member of a batch that was understood."""

    id: str
    value: ParsedEntity | Fragment | None
    """None for a delete: there is only an id."""
    document: Any
    context: Context = CORE
    names: frozenset[str] | None = None
    """Attributes that it is about; None: the whole entity."""
    types: tuple[str, ...] = ()


class _Group(Struct):
    """What one source gets."""

    part: Part
    context: Context
    ids: list[str]
    documents: list[Any]


Run = Callable[[list[Item]], "Future[Written]"]


async def distribute_batch(
    call: Call, operation: str, path: str, items: Sequence[Item], errors: Errors, run: Run
) -> Answer:
    """Run the batch here and at the sources. `run` makes the local change of the items given."""
    federation = call.hub.federation
    if is_alone(call):
        return _answer(call, await call.done(run(list(items))), errors)
    if federation.is_loop(call.headers):
        return _answer(call, _again(await call.done(run(list(items)))), errors)
    local: list[Item] = []
    groups: dict[str, _Group] = {}
    held_elsewhere: set[str] = set()
    for item in items:
        selection = Selection(
            item.types or types_known(call, item.id), (item.id,), None, tuple(sorted(item.names or ()))
        )
        split = split_change(federation.parts(selection, call.headers), (operation,), item.names)
        errors += [(item.id, refusal(part)) for part in split.refused]
        for part, _ in split.forwards:
            _add(groups, part, item)
            if part.takes_over:
                held_elsewhere.add(item.id)
        if split.is_local:
            local.append(_kept(item, split))
    outcomes, written = await asyncio.gather(
        asyncio.gather(*(_forward(call, path, group) for group in groups.values())), call.done(run(local))
    )
    return _answer(call, _merged(items, list(groups.values()), outcomes, written, held_elsewhere), errors)


def _again(written: Written) -> Written:
    """What came of a batch that went round and was here before: what exists already, or is gone, is so since its first pass."""
    known = [id_ for id_, error in written.errors if isinstance(error, EntityExists | EntityNotFound)]
    left = [(id_, error) for id_, error in written.errors if id_ not in known]
    return replace(written, updated=[*written.updated, *known], errors=left)


def _kept(item: Item, split: Split) -> Item:
    value = item.value
    if isinstance(value, ParsedEntity):
        return replace(item, value=replace(value, attributes=without(value.attributes, split.held)))
    return item if value is None else replace(item, value=lighten(value, split.held))


def _add(groups: dict[str, _Group], part: Part, item: Item) -> None:
    group = groups.setdefault(part.registration.id, _Group(part, item.context, [], []))
    document = item.document
    if isinstance(document, dict):
        if part.names and item.names is not None:
            document = keep_members(document, item.context, frozenset(part.names))
        document = rename(document, item.context, group.context)
    group.ids.append(item.id)
    group.documents.append(document)


async def _forward(call: Call, path: str, group: _Group) -> Outcome:
    trigger = Trigger(call.headers, group.context)
    return await call.hub.federation.change(group.part, "POST", path, query_pairs(call), group.documents, trigger)


def _merged(
    items: Sequence[Item],
    groups: Sequence[_Group],
    outcomes: Sequence[Outcome],
    written: Written,
    held_elsewhere: set[str],
) -> Written:
    """One result of all, in the order of the batch."""
    failed: list[tuple[str, Exception]] = []
    created, updated = set(written.created), set(written.updated)
    good: set[str] = set()
    for group, outcome in zip(groups, outcomes, strict=True):
        wrong = {item.id: item for item in outcome.failed}
        if not outcome.is_good and not wrong:
            failed += [(id_, failure(outcome)) for id_ in group.ids]
            continue
        failed += [(id_, failure_of(outcome, wrong[id_])) for id_ in group.ids if id_ in wrong]
        taken = set(group.ids) - wrong.keys()
        good |= taken
        (created if outcome.status == 201 else updated).update(taken - created - updated)
    for id_, error in written.errors:
        # Nothing of it is held here, and where it is held it went well.
        if not (isinstance(error, EntityNotFound) and id_ in held_elsewhere & good):
            failed.append((id_, error))
    # What failed at one of the places is no success.
    unlucky = {id_ for id_, _ in failed}
    order = [item.id for item in items if item.id not in unlucky]
    return Written(
        [id_ for id_ in order if id_ in created],
        [id_ for id_ in order if id_ in updated and id_ not in created],
        failed,
    )


def _answer(call: Call, written: Written, errors: Errors) -> Answer:
    failed = [*errors, *written.errors]
    if failed:
        # A batch that names an entity twice may succeed with one and fail with the other: both are said.
        success = [*written.created, *written.updated]
        return Answer({"success": success, "errors": [_error(call, id_, error) for id_, error in failed]}, 207)
    return Answer(written.created, 201) if written.created else Answer(None, 204)


def _error(call: Call, id_: str, error: Exception) -> dict[str, Any]:
    found = batch_error(call, id_, error)
    if isinstance(error, Problem) and "registrationId" in error.extra:
        found["registrationId"] = error.extra["registrationId"]
    return found
