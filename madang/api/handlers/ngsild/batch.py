"""Batch operations (clauses 5.6.7 to 5.6.10, 5.6.20): exact 201, 204 and 207 answers (clause 6.14 to 6.17)."""

from concurrent.futures import Future
from typing import Any

from madang.api.errors import Problem
from madang.api.handlers.ngsild.common import BODIES, JSON_LD, batch_error, form_of, members_of
from madang.api.handlers.ngsild.context_of import context_link
from madang.api.handlers.ngsild.provision import merging_of
from madang.api.route import Answer, Call
from madang.hub.entities import Written
from madang.ngsild.context import Context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.names import check_id
from madang.ngsild.parse import Fragment, Nulls, ParsedEntity, parse_entity, parse_fragment

BATCH_MAX = 1_000
"""Entities in one batch operation."""

Errors = list[tuple[str, Exception]]
"""(id, why), in the order of the batch; the id is empty when it cannot be known."""


async def create(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/create: 201 with the ids, 207 when some failed."""
    good, errors = await _entities_of(call)
    return await _answer(call, call.state.entities.create_many(call.caller, good), errors)


async def upsert(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/upsert: 201 with the created ids, 204 when all were there, 207 when some failed."""
    _, options = form_of(call.query)
    good, errors = await _entities_of(call)
    future = call.state.entities.upsert(call.caller, good, update="update" in options)
    return await _answer(call, future, errors)


async def update(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/update: 204, 207 when some failed."""
    _, options = form_of(call.query)
    good, errors = await _fragments_of(call, Nulls.PATCH)
    future = call.state.entities.update_many(call.caller, good, overwrite="noOverwrite" not in options)
    return await _answer(call, future, errors)


async def merge(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/merge: 204, 207 when some failed."""
    form_of(call.query)
    good, errors = await _fragments_of(call, Nulls.MERGE)
    return await _answer(call, call.state.entities.merge_many(call.caller, good, merging_of(call)), errors)


async def delete(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/delete: ids in; 204, 207 when some failed."""
    document = await call.json(Any, BODIES)
    good: list[str] = []
    errors: Errors = []
    for place, item in enumerate(_batch(document)):
        try:
            good.append(check_id(item, f"[{place}]"))
        except NgsiLdError as error:
            errors.append((item if isinstance(item, str) else "", error))
    return await _answer(call, call.state.entities.delete_many(call.caller, good), errors)


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


async def _entities_of(call: Call) -> tuple[list[ParsedEntity], Errors]:
    good: list[ParsedEntity] = []
    errors: Errors = []
    for place, (document, context) in enumerate(await _members(call)):
        try:
            if isinstance(context, Exception):
                raise context
            good.append(parse_entity(document, f"[{place}]", context))
        except NgsiLdError as error:
            errors.append((_id_in(document), error))
    return good, errors


async def _fragments_of(call: Call, nulls: Nulls) -> tuple[list[tuple[str, Fragment]], Errors]:
    good: list[tuple[str, Fragment]] = []
    errors: Errors = []
    for place, (document, context) in enumerate(await _members(call)):
        try:
            if isinstance(context, Exception):
                raise context
            fragment = parse_fragment(document, f"[{place}]", context, nulls)
            if fragment.id is None:
                raise NgsiLdError("is missing", f"[{place}].id")
            good.append((fragment.id, fragment))
        except NgsiLdError as error:
            errors.append((_id_in(document), error))
    return good, errors


def _id_in(document: Any) -> str:
    id_ = document.get("id", document.get("@id")) if isinstance(document, dict) else None
    return id_ if isinstance(id_, str) else ""


async def _answer(call: Call, future: "Future[Written]", errors: Errors) -> Answer:
    written = await call.done(future)
    failed = [*errors, *written.errors]
    if failed:
        success = [*written.created, *written.updated]
        return Answer({"success": success, "errors": [batch_error(call, id_, error) for id_, error in failed]}, 207)
    return Answer(written.created, 201) if written.created else Answer(None, 204)
