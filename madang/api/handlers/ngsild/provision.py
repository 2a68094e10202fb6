"""Creating, changing and deleting one entity or many (clause 5.6)."""

from typing import Any
from urllib.parse import quote

from madang.api.errors import NGSILD_ERRORS, Problem
from madang.api.handlers.entities import question
from madang.api.handlers.ngsild.common import BODIES, form_of, with_context
from madang.api.route import Answer, Call
from madang.hub.entities import EntityGoverned
from madang.hub.queries.look import Look
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.names import check_id
from madang.ngsild.parse import ParsedEntity, parse_attributes, parse_entity

BATCH_MAX = 1_000
"""Entities in one batch operation."""


async def create_entity(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entities"""
    entity = parse_entity(with_context(call, await call.json(Any, BODIES)))
    await call.done(call.state.entities.create(call.caller, entity))
    return Answer(None, 201, (("Location", f"/ngsi-ld/v1/entities/{quote(entity.id, safe=':')}"),))


async def upsert(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entityOperations/upsert: 201 with the created ids, 204 when all were there, 207 when some failed."""
    documents = await call.json(Any, BODIES)
    if not isinstance(documents, list) or not documents:
        raise NgsiLdError("must be an array of entities that is not empty")
    if len(documents) > BATCH_MAX:
        raise Problem(413, "too-large", f"A batch may have {BATCH_MAX} entities.", limit=BATCH_MAX)
    _, options = form_of(call.query)
    good: list[ParsedEntity] = []
    errors: list[dict[str, Any]] = []
    for place, document in enumerate(documents):
        try:
            good.append(parse_entity(with_context(call, document), f"[{place}]"))
        except NgsiLdError as error:
            id_ = document.get("id") if isinstance(document, dict) else None
            errors.append(_batch_error(id_ if isinstance(id_, str) else "", error.kind, 400, str(error)))
    written = await call.done(call.state.entities.upsert(call.caller, good, update="update" in options))
    for id_, problem in written.errors.items():
        kind = "Conflict" if isinstance(problem, EntityGoverned) else "BadRequestData"
        errors.append(_batch_error(id_, kind, 409 if kind == "Conflict" else 400, f"{problem}."))
    if errors:
        success = [*written.created, *written.updated]
        if not success and all(error["error"]["status"] == 400 for error in errors) and len(documents) == 1:
            first = errors[0]["error"]
            raise Problem(400, "bad-request-data", first["detail"], kind="BadRequestData")
        return Answer({"success": success, "errors": errors}, 207)
    if written.created:
        return Answer(written.created, 201)
    return Answer(None, 204)


def _batch_error(id_: str, kind: str, status: int, detail: str) -> dict[str, Any]:
    problem = {"type": f"{NGSILD_ERRORS}{kind}", "title": kind, "status": status, "detail": detail}
    return {"entityId": id_, "error": problem}


async def delete_entity(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/entities/{id}"""
    await call.done(call.state.entities.delete(call.caller, check_id(call.path["id"])))
    return Answer(None, 204)


async def append_attributes(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entities/{id}/attrs"""
    id_ = check_id(call.path["id"])
    _, options = form_of(call.query)
    document = with_context(call, await call.json(Any, BODIES))
    attributes = parse_attributes(document)
    overwrite = "noOverwrite" not in options
    left = await call.done(call.state.entities.append(call.caller, id_, attributes, overwrite=overwrite))
    return _update_result(attributes, left, "is there already, and noOverwrite was asked for")


async def update_attributes(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/entities/{id}/attrs"""
    id_ = check_id(call.path["id"])
    document = with_context(call, await call.json(Any, BODIES))
    attributes = parse_attributes(document)
    left = await call.done(call.state.entities.update(call.caller, id_, attributes))
    return _update_result(attributes, left, "is not there")


def _update_result(attributes: dict[str, Any], left: list[str], reason: str) -> Answer:
    """204, or 207 with what was left alone (clause 5.2.18)."""
    if not left:
        return Answer(None, 204)
    updated = [name for name in attributes if name not in left]
    return Answer({"updated": updated, "notUpdated": [{"attributeName": name, "reason": reason} for name in left]}, 207)


async def merge_entity(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/entities/{id}: 409 for a record; merging others comes with the complete NGSI-LD."""
    id_ = check_id(call.path["id"])

    def check(look: Look) -> None:
        entity = look.get_entity(id_)
        if look.hub.registry.is_record(entity.type):
            raise EntityGoverned(f"a {entity.type} changes only by actions: POST /api/records/{id_}/actions/{{action}}")

    await call.run(question, call, check)
    raise Problem(
        501, "not-yet", "Merging an entity is not there yet: PATCH its /attrs, or upsert it with options=update."
    )
