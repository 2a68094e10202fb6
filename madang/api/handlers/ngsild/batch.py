"""Batch operations (clauses 5.6.7 to 5.6.10, 5.6.20): exact 201, 204 and 207 answers (clause 6.14 to 6.17)."""

from concurrent.futures import Future
from typing import Any

from madang.api.errors import Problem
from madang.api.handlers.ngsild.common import BODIES, JSON_LD, form_of, members_of
from madang.api.handlers.ngsild.context_of import context_link
from madang.api.handlers.ngsild.distribute import names_of
from madang.api.handlers.ngsild.distribute_batch import Errors, Item, distribute_batch
from madang.api.handlers.ngsild.provision import merging_of
from madang.api.route import Answer, Call
from madang.hub.entities import Written
from madang.ngsild.context import Context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.names import check_id
from madang.ngsild.parse import Fragment, Nulls, ParsedEntity, parse_entity, parse_fragment
from madang.ngsild.render import SIMPLIFIED

BATCH_MAX = 1_000
"""Entities in one batch operation."""

_PATH = "/entityOperations"


async def create(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/create: 201 with the ids, 207 when some failed."""
    good, errors = await _entities_of(call)

    def run(items: list[Item]) -> "Future[Written]":
        return call.state.entities.create_many(call.caller, _entities(items))

    return await distribute_batch(call, "createBatch", f"{_PATH}/create", good, errors, run)


async def upsert(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/upsert: 201 with the created ids, 204 when all were there, 207 when some failed."""
    _, options = form_of(call.query)
    good, errors = await _entities_of(call)

    def run(items: list[Item]) -> "Future[Written]":
        return call.state.entities.upsert(call.caller, _entities(items), update="update" in options)

    return await distribute_batch(call, "upsertBatch", f"{_PATH}/upsert", good, errors, run)


async def update(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/update: 204, 207 when some failed."""
    _, options = form_of(call.query)
    good, errors = await _fragments_of(call, Nulls.PATCH)

    def run(items: list[Item]) -> "Future[Written]":
        return call.state.entities.update_many(call.caller, _fragments(items), overwrite="noOverwrite" not in options)

    return await distribute_batch(call, "updateBatch", f"{_PATH}/update", good, errors, run)


async def merge(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/merge: 204, 207 when some failed."""
    form, _ = form_of(call.query)
    good, errors = await _fragments_of(call, Nulls.SIMPLE_MERGE if form == SIMPLIFIED else Nulls.MERGE)
    merging = merging_of(call)

    def run(items: list[Item]) -> "Future[Written]":
        return call.state.entities.merge_many(call.caller, _fragments(items), merging)

    return await distribute_batch(call, "mergeBatch", f"{_PATH}/merge", good, errors, run)


async def delete(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/delete: ids in; 204, 207 when some failed."""
    document = await call.json(Any, BODIES)
    good: list[Item] = []
    errors: Errors = []
    for place, item in enumerate(_batch(document)):
        try:
            id_ = check_id(item, f"[{place}]")
            good.append(Item(id_, None, id_))
        except NgsiLdError as error:
            errors.append((item if isinstance(item, str) else "", error))

    def run(items: list[Item]) -> "Future[Written]":
        return call.state.entities.delete_many(call.caller, [item.id for item in items])

    return await distribute_batch(call, "deleteBatch", f"{_PATH}/delete", good, errors, run)


# ── shared ──────────────────────────────────────────────────────────────────


def _batch(document: Any) -> list[Any]:
    if not isinstance(document, list) or not document:
        raise NgsiLdError("must be an array that is not empty")
    if len(document) > BATCH_MAX:
        raise Problem(413, "too-large", f"A batch may have {BATCH_MAX} members.", limit=BATCH_MAX)
    if None in document:
        raise NgsiLdError("null is no member of a batch", f"[{document.index(None)}]")
    return document


async def _members(call: Call) -> list[tuple[Any, Context | Exception]]:
    documents = _batch(await call.json(Any, BODIES))
    is_ld = call.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON_LD
    if is_ld and context_link(call.headers.get("link", "")) is not None:
        raise NgsiLdError(f"{JSON_LD} carries its @context in the body, so a Link header must not name one", "Link")
    return await members_of(call, documents)


async def _entities_of(call: Call) -> tuple[list[Item], Errors]:
    good: list[Item] = []
    errors: Errors = []
    for place, (document, context) in enumerate(await _members(call)):
        try:
            if isinstance(context, Exception):
                raise context
            entity = parse_entity(document, f"[{place}]", context)
            names = names_of(entity.attributes)
            good.append(Item(entity.id, entity, document, context, names, entity.types or (entity.type,)))
        except NgsiLdError as error:
            errors.append((_id_in(document), error))
    return good, errors


async def _fragments_of(call: Call, nulls: Nulls) -> tuple[list[Item], Errors]:
    good: list[Item] = []
    errors: Errors = []
    for place, (document, context) in enumerate(await _members(call)):
        try:
            if isinstance(context, Exception):
                raise context
            fragment = parse_fragment(document, f"[{place}]", context, nulls)
            if fragment.id is None:
                raise NgsiLdError("is missing", f"[{place}].id")
            names = names_of((*fragment.attributes, *fragment.removed))
            good.append(Item(fragment.id, fragment, document, context, names, fragment.types))
        except NgsiLdError as error:
            errors.append((_id_in(document), error))
    return good, errors


def _entities(items: list[Item]) -> list[ParsedEntity]:
    return [item.value for item in items if isinstance(item.value, ParsedEntity)]


def _fragments(items: list[Item]) -> list[tuple[str, Fragment]]:
    return [(item.id, item.value) for item in items if isinstance(item.value, Fragment)]


def _id_in(document: Any) -> str:
    id_ = document.get("id", document.get("@id")) if isinstance(document, dict) else None
    return id_ if isinstance(id_, str) else ""
