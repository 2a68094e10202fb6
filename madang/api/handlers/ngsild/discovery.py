"""What types and attributes there are (clauses 5.7.5 to 5.7.10), and who this context source is (clause 5.15.1)."""

from typing import Any

from madang.api.handlers.ngsild.common import JSON_LD, accepted
from madang.api.handlers.ngsild.context_of import context_headers, context_of_link
from madang.api.route import Answer, Call
from madang.hub.hub import alias_of
from madang.hub.ports import AttributeUse
from madang.hub.queries.errors import NotFound
from madang.hub.queries.look import Look
from madang.model.time import DAY, HOUR, MINUTE, SECOND, Instant, render_instant
from madang.ngsild.context import Context
from madang.ngsild.names import CORE_CONTEXT, expand

_URN = "urn:ngsi-ld"


async def list_types(call: Call) -> Answer:
    """GET /ngsi-ld/v1/types, with details=true each with its attributes"""
    context = await context_of_link(call)
    shown = context.shown_name

    def ask(look: Look) -> Any:
        types = [name for name in look.read.list_types() if look.may_see_type(name)]
        if not call.query.get("details"):
            return {
                "id": f"{_URN}:EntityTypeList:{call.caller.tenant}",
                "type": "EntityTypeList",
                "typeList": [shown(name) for name in types],
            }
        uses = look.read.list_attributes(types) if types else []
        return [
            {
                "id": expand(name),
                "type": "EntityType",
                "typeName": shown(name),
                "attributeNames": list(dict.fromkeys(shown(u.name) for u in uses if u.entity_type == name)),
            }
            for name in types
        ]

    return await _answer(call, await call.ask(ask), context)


async def get_type(call: Call) -> Answer:
    """GET /ngsi-ld/v1/types/{type}"""
    context = await context_of_link(call)
    shown = context.shown_name
    name = context.stored_name(call.path["type"], "type")

    def ask(look: Look) -> dict[str, Any]:
        count = look.read.list_types().get(name, 0)
        if count == 0 or not look.may_see_type(name):
            raise NotFound(f"There is no entity of type {call.path['type'][:200]}.")
        by_attribute: dict[str, list[AttributeUse]] = {}
        for use in look.read.list_attributes([name]):
            by_attribute.setdefault(use.name, []).append(use)
        details = [
            {
                "id": expand(attribute),
                "type": "Attribute",
                "attributeName": shown(attribute),
                "attributeTypes": [use.kind for use in uses],
            }
            for attribute, uses in by_attribute.items()
        ]
        return {
            "id": expand(name),
            "type": "EntityTypeInfo",
            "typeName": shown(name),
            "entityCount": count,
            "attributeDetails": details,
        }

    return await _answer(call, await call.ask(ask), context)


async def list_attributes(call: Call) -> Answer:
    """GET /ngsi-ld/v1/attributes, with details=true each with the types that have it"""
    context = await context_of_link(call)
    shown = context.shown_name

    def ask(look: Look) -> Any:
        by_name = _by_name(look)
        if not call.query.get("details"):
            return {
                "id": f"{_URN}:AttributeList:{call.caller.tenant}",
                "type": "AttributeList",
                "attributeList": [shown(name) for name in by_name],
            }
        return [
            {
                "id": expand(name),
                "type": "Attribute",
                "attributeName": shown(name),
                "typeNames": list(dict.fromkeys(shown(use.entity_type) for use in uses)),
            }
            for name, uses in by_name.items()
        ]

    return await _answer(call, await call.ask(ask), context)


async def get_attribute(call: Call) -> Answer:
    """GET /ngsi-ld/v1/attributes/{attr}"""
    context = await context_of_link(call)
    shown = context.shown_name
    if call.path["attr"] in ("id", "type", "scope", "@id", "@type", "@context"):
        raise NotFound(f"{call.path['attr']} is a member of every entity and no attribute.")
    name = context.stored_name(call.path["attr"], "attrId")

    def ask(look: Look) -> dict[str, Any]:
        uses = _by_name(look).get(name)
        if uses is None:
            raise NotFound(f"There is no attribute {call.path['attr'][:200]}.")
        return {
            "id": expand(name),
            "type": "Attribute",
            "attributeName": shown(name),
            "attributeCount": sum(use.count for use in uses),
            "attributeTypes": list(dict.fromkeys(use.kind for use in uses)),
            "typeNames": list(dict.fromkeys(shown(use.entity_type) for use in uses)),
        }

    return await _answer(call, await call.ask(ask), context)


def _by_name(look: Look) -> dict[str, list[AttributeUse]]:
    """Uses of attributes by name, of types that the caller may see, without what policy hides."""
    found: dict[str, list[AttributeUse]] = {}
    for use in sorted(look.read.list_attributes(), key=lambda use: (use.name, use.entity_type, use.kind)):
        if look.may_see_type(use.entity_type) and use.name not in look.mask(use.entity_type).names:
            found.setdefault(use.name, []).append(use)
    return found


async def _answer(call: Call, document: Any, context: Context) -> Answer:
    media_type = accepted(call)
    if media_type != JSON_LD:
        return Answer(document, 200, await context_headers(call, context), media_type)
    value = CORE_CONTEXT if context.value is None else context.value
    if isinstance(document, list):
        return Answer([{**item, "@context": value} for item in document], 200, (), media_type)
    return Answer({**document, "@context": value}, 200, (), media_type)


async def get_identity(call: Call) -> Answer:
    """GET /ngsi-ld/v1/info/sourceIdentity"""
    hub = call.hub
    # Told before a tenant exists too: a peer keeps it in its registration (clause 5.2.9).
    alias = hub.alias if call.has_tenant else alias_of(hub.alias, call.caller.tenant)
    document = {
        "id": f"{_URN}:ContextSourceIdentity:{alias}",
        "type": "ContextSourceIdentity",
        "contextSourceAlias": alias,
        "contextSourceUptime": duration(hub.real_clock.now() - hub.started_at),
        "contextSourceTimeAt": render_instant(hub.real_clock.now()),
    }
    return await _answer(call, document, await context_of_link(call))


def duration(length: Instant) -> str:
    """A length of time as ISO 8601 has it.

    >>> duration(90_061_000_000), duration(0)
    ('P1DT1H1M1S', 'PT0S')
    """
    days, rest = divmod(max(0, length), DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = rest // SECOND
    parts = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    date = f"{days}D" if days else ""
    return f"P{date}T{parts}" if parts else (f"P{date}" if date else "PT0S")
