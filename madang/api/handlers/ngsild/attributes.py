"""Attributes of an entity: append, update, partial update, replace, delete (clauses 5.6.2 to 5.6.5, 5.6.19)."""

from typing import Any
from urllib.parse import quote

from madang.api.errors import Problem
from madang.api.handlers.ngsild.common import BODIES, PATCHES, document_of, form_of, type_selection
from madang.api.handlers.ngsild.context_of import context_of_link
from madang.api.handlers.ngsild.distribute import distribute, lighten, names_of
from madang.api.route import Answer, Call
from madang.hub.entities import SCOPE, Changed
from madang.model.entity import Attributes, instance_key
from madang.ngsild.context import Context
from madang.ngsild.errors import NgsiLdError
from madang.ngsild.names import check_id, expand
from madang.ngsild.parse import Nulls, is_null_attribute, parse_attribute, parse_fragment, parse_instances


async def append_attributes(call: Call) -> Answer:
    """POST /ngsi-ld/v1/entities/{id}/attrs"""
    id_ = check_id(call.path["id"])
    _, options = form_of(call.query)
    document, context = await document_of(call)
    fragment = parse_fragment(_not_empty(document), "", context, Nulls.PATCH)
    _check_same(fragment.id, id_)
    types = type_selection(call.query, context)
    overwrite = "noOverwrite" not in options

    async def local(held: frozenset[str]) -> Answer:
        kept = lighten(fragment, held)
        done = call.state.entities.append(call.caller, id_, kept, types, overwrite=overwrite)
        return _update_result(await call.done(done))

    return await distribute(
        call, context, ("appendAttrs",), id_, _path(id_), local, document=document,
        names=names_of((*fragment.attributes, *fragment.removed)),
    )  # fmt: skip


async def update_attributes(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/entities/{id}/attrs"""
    id_ = check_id(call.path["id"])
    document, context = await document_of(call, PATCHES)
    fragment = parse_fragment(_not_empty(document), "", context, Nulls.PATCH)
    _check_same(fragment.id, id_)
    types = type_selection(call.query, context)

    async def local(held: frozenset[str]) -> Answer:
        kept = lighten(fragment, held)
        return _update_result(await call.done(call.state.entities.update(call.caller, id_, kept, types)))

    return await distribute(
        call, context, ("updateEntity", "updateAttrs"), id_, _path(id_), local, document=document,
        names=names_of((*fragment.attributes, *fragment.removed)),
    )  # fmt: skip


def _not_empty(document: Any) -> Any:
    if isinstance(document, dict) and not document.keys() - {"@context", "id", "@id"}:
        raise NgsiLdError("names no attribute")
    return document


def _check_same(given: str | None, id_: str) -> None:
    if given is not None and given != id_:
        raise NgsiLdError(f"is {given[:200]}, and the address says {id_[:200]}", "id")


def _update_result(changed: Changed) -> Answer:
    """204, or 207 with what was left alone (clause 5.2.18)."""
    if not changed.left:
        return Answer(None, 204)
    return Answer(
        {
            "updated": [_full_name(name) for name in changed.updated],
            "notUpdated": [{"attributeName": _full_name(name), "reason": reason} for name, reason in changed.left],
        },
        207,
    )


def _full_name(name: str) -> str:
    """The URI of an attribute; scope and type are members of the entity."""
    return name if name in (SCOPE, "type") else expand(name)


async def update_attribute(call: Call) -> Answer:
    """PATCH /ngsi-ld/v1/entities/{id}/attrs/{attr}"""
    id_ = check_id(call.path["id"])
    document, context = await document_of(call, PATCHES)
    name = _attribute_of(call, context)
    if not isinstance(document, dict) or not document.keys() - {"@context"}:
        raise NgsiLdError("must be a JSON object that is not empty")
    given = {key: member for key, member in document.items() if key != "@context"}
    key = instance_key(name, _dataset_of(call, given))
    types = type_selection(call.query, context)
    fragment = None
    if not is_null_attribute(given):
        fragment = parse_attribute(name, given, name, context, Nulls.PATCH, partial=True)

    async def local(_: frozenset[str]) -> Answer:
        await call.done(call.state.entities.update_attribute(call.caller, id_, key, fragment, types))
        return Answer(None, 204)

    return await distribute(
        call, context, ("updateAttrs",), id_, _path(id_), local, document=document, attribute=name,
        names=frozenset((name,)),
    )  # fmt: skip


async def replace_attribute(call: Call) -> Answer:
    """PUT /ngsi-ld/v1/entities/{id}/attrs/{attr}"""
    id_ = check_id(call.path["id"])
    document, context = await document_of(call, BODIES)
    name = _attribute_of(call, context)
    given = document
    if isinstance(document, dict):
        given = {key: member for key, member in document.items() if key != "@context"}
        dataset = _dataset_of(call, given)
        if dataset is not None and given.get("datasetId") is None:
            given = {**given, "datasetId": dataset}
    instances: Attributes = {}
    parse_instances(name, given, name, context, Nulls.NONE, instances, [])
    types = type_selection(call.query, context)

    async def local(_: frozenset[str]) -> Answer:
        await call.done(call.state.entities.replace_attribute(call.caller, id_, instances, types))
        return Answer(None, 204)

    return await distribute(
        call, context, ("replaceAttrs",), id_, _path(id_), local, document=document, attribute=name,
        names=frozenset((name,)),
    )  # fmt: skip


async def delete_attribute(call: Call) -> Answer:
    """DELETE /ngsi-ld/v1/entities/{id}/attrs/{attr}"""
    id_ = check_id(call.path["id"])
    context = await context_of_link(call)
    attribute = call.path["attr"]
    name = SCOPE if attribute == SCOPE else context.stored_name(attribute, "attrId")
    dataset = call.query.get("datasetId")
    dataset = None if dataset in (None, "", "@none") else check_id(dataset, "datasetId")
    types = type_selection(call.query, context)
    every = bool(call.query.get("deleteAll"))
    if every and dataset is not None:
        raise Problem(400, "bad-parameter", "deleteAll and datasetId say different things.", kind="BadRequestData")

    async def local(_: frozenset[str]) -> Answer:
        await call.done(call.state.entities.delete_attribute(call.caller, id_, name, dataset, types, every=every))
        return Answer(None, 204)

    return await distribute(
        call, context, ("deleteAttrs",), id_, _path(id_), local, names=frozenset((name,)), attribute=name
    )


def _path(id_: str) -> str:
    """The address of an entity's attributes at a context source."""
    return f"/entities/{quote(id_, safe=':')}/attrs"


def _attribute_of(call: Call, context: Context) -> str:
    """The stored name of the path's attribute. Raises NgsiLdError, also for scope, which is none (clause 5.6.4.4)."""
    attribute = call.path["attr"]
    if attribute == SCOPE:
        raise NgsiLdError("scope is no attribute: change it with /attrs, or the entity as a whole", "attrId")
    return context.stored_name(attribute, "attrId")


def _dataset_of(call: Call, document: dict[str, Any]) -> str | None:
    """The datasetId of the body, or of the URL."""
    given = document.get("datasetId", call.query.get("datasetId"))
    return None if given in ("@none", None, "") else check_id(given, "datasetId")
