"""What types and attributes there are, here and at context sources that tell of theirs (clauses 5.7.5 to 5.7.10), and who this context
source is (clause 5.15.1)."""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from madang.api.handlers.ngsild.common import JSON_LD, accepted
from madang.api.handlers.ngsild.context_of import context_headers, context_of_link
from madang.api.handlers.ngsild.distribute import parts_to_read
from madang.api.route import Answer, Call
from madang.hub.federation import Discovered, Trigger
from madang.hub.hub import alias_of
from madang.hub.ports import AttributeUse
from madang.hub.queries.errors import NotFound
from madang.hub.queries.look import Look
from madang.model.time import DAY, HOUR, MINUTE, SECOND, Instant, render_instant
from madang.ngsild.context import Context
from madang.ngsild.discovery import Row
from madang.ngsild.names import CORE_CONTEXT, expand
from madang.ngsild.registration import Selection

_URN = "urn:ngsi-ld"


async def list_types(call: Call) -> Answer:
    """GET /ngsi-ld/v1/types, with details=true each with its attributes"""
    context = await context_of_link(call)
    shown = context.shown_name
    details = bool(call.query.get("details"))
    operations = ("retrieveEntityTypeDetails",) if details else ("retrieveEntityTypes",)
    there = await _discover(call, Selection(), operations, lambda _: "/types", context)

    def ask(look: Look) -> Any:
        types = {name: 0 for name in look.read.list_types() if look.may_see_type(name)}
        uses = look.read.list_attributes(list(types)) if details and types else []
        rows = _visible(look, there.rows)
        types |= {row.entity_type: 0 for row in rows if row.entity_type}
        if not details:
            return {
                "id": f"{_URN}:EntityTypeList:{call.caller.tenant}",
                "type": "EntityTypeList",
                "typeList": [shown(name) for name in sorted(types)],
            }
        attributes: dict[str, set[str]] = {name: set() for name in types}
        for use in (*uses, *_uses(rows)):
            if use.entity_type:
                attributes[use.entity_type].add(use.name)
        return [
            {
                "id": expand(name),
                "type": "EntityType",
                "typeName": shown(name),
                "attributeNames": [shown(attribute) for attribute in sorted(attributes[name])],
            }
            for name in sorted(types)
        ]

    return await _answer(call, await call.ask(ask), context, there)


async def get_type(call: Call) -> Answer:
    """GET /ngsi-ld/v1/types/{type}"""
    context = await context_of_link(call)
    shown = context.shown_name
    name = context.stored_name(call.path["type"], "type")
    asked = Selection(types=(name,))
    there = await _discover(call, asked, ("retrieveEntityTypeInfo",), lambda c: f"/types/{_named(c, name)}", context)

    def ask(look: Look) -> dict[str, Any]:
        rows = [row for row in _visible(look, there.rows) if row.entity_type == name]
        count = look.read.list_types().get(name, 0)
        if not look.may_see_type(name) or not (count or rows):
            raise NotFound(f"There is no entity of type {call.path['type'][:200]}.")
        by_attribute: dict[str, list[AttributeUse]] = {}
        for use in sorted((*look.read.list_attributes([name]), *_uses(rows)), key=lambda use: use.name):
            by_attribute.setdefault(use.name, []).append(use)
        details = [
            {
                "id": expand(attribute),
                "type": "Attribute",
                "attributeName": shown(attribute),
                "attributeTypes": _kinds(uses),
            }
            for attribute, uses in by_attribute.items()
        ]
        return {
            "id": expand(name),
            "type": "EntityTypeInfo",
            "typeName": shown(name),
            "entityCount": count + sum(row.count for row in rows if not row.attribute),
            "attributeDetails": details,
        }

    return await _answer(call, await call.ask(ask), context, there)


async def list_attributes(call: Call) -> Answer:
    """GET /ngsi-ld/v1/attributes, with details=true each with the types that have it"""
    context = await context_of_link(call)
    shown = context.shown_name
    details = bool(call.query.get("details"))
    # With details, what is not of a registered type can be told apart.
    operations = ("retrieveAttrTypeDetails",) if details else ("retrieveAttrTypeDetails", "retrieveAttrTypes")
    there = await _discover(call, Selection(), operations, lambda _: "/attributes", context)

    def ask(look: Look) -> Any:
        by_name = _by_name(look, there)
        if not details:
            return {
                "id": f"{_URN}:AttributeList:{call.caller.tenant}",
                "type": "AttributeList",
                "attributeList": [shown(name) for name in by_name],
            }
        return [
            {"id": expand(name), "type": "Attribute", "attributeName": shown(name), "typeNames": _types(uses, context)}
            for name, uses in by_name.items()
        ]

    return await _answer(call, await call.ask(ask), context, there)


async def get_attribute(call: Call) -> Answer:
    """GET /ngsi-ld/v1/attributes/{attr}"""
    context = await context_of_link(call)
    shown = context.shown_name
    if call.path["attr"] in ("id", "type", "scope", "@id", "@type", "@context"):
        raise NotFound(f"{call.path['attr']} is a member of every entity and no attribute.")
    name = context.stored_name(call.path["attr"], "attrId")
    asked = Selection(names=(name,))
    there = await _discover(call, asked, ("retrieveAttrTypeInfo",), lambda c: f"/attributes/{_named(c, name)}", context)

    def ask(look: Look) -> dict[str, Any]:
        uses = _by_name(look, there).get(name)
        if uses is None:
            raise NotFound(f"There is no attribute {call.path['attr'][:200]}.")
        return {
            "id": expand(name),
            "type": "Attribute",
            "attributeName": shown(name),
            "attributeCount": sum(use.count for use in uses),
            "attributeTypes": _kinds(uses),
            "typeNames": _types(uses, context),
        }

    return await _answer(call, await call.ask(ask), context, there)


async def _discover(
    call: Call, asked: Selection, operations: tuple[str, ...], path: Callable[[Context], str], context: Context
) -> Discovered:
    """What context sources say of it (clauses 5.7.5.4 to 5.7.10.4)."""
    parts = parts_to_read(call, asked, context)
    if not parts:
        return Discovered([], [])
    return await call.hub.federation.discover(parts, operations, path, Trigger(call.headers, context))


def _named(context: Context, name: str) -> str:
    return quote(context.shown_name(name), safe=":")


def _visible(look: Look, rows: Iterable[Row]) -> list[Row]:
    """Without what policy hides from the caller."""
    return [
        row
        for row in rows
        if not row.entity_type
        or (look.may_see_type(row.entity_type) and row.attribute not in look.mask(row.entity_type).names)
    ]


def _uses(rows: Iterable[Row]) -> list[AttributeUse]:
    return [AttributeUse(row.entity_type, row.attribute, row.kind, row.count) for row in rows if row.attribute]


def _kinds(uses: Iterable[AttributeUse]) -> list[str]:
    return list(dict.fromkeys(use.kind for use in uses if use.kind))


def _types(uses: Iterable[AttributeUse], context: Context) -> list[str]:
    return list(dict.fromkeys(context.shown_name(use.entity_type) for use in uses if use.entity_type))


def _by_name(look: Look, there: Discovered) -> dict[str, list[AttributeUse]]:
    """Uses of attributes by name, of types that the caller may see, without what policy hides."""
    found: dict[str, list[AttributeUse]] = {}
    here = [
        use
        for use in look.read.list_attributes()
        if look.may_see_type(use.entity_type) and use.name not in look.mask(use.entity_type).names
    ]
    uses = (*here, *_uses(_visible(look, there.rows)))
    for use in sorted(uses, key=lambda use: (use.name, use.entity_type, use.kind)):
        found.setdefault(use.name, []).append(use)
    return found


async def _answer(call: Call, document: Any, context: Context, there: Discovered | None = None) -> Answer:
    media_type = accepted(call)
    warnings = () if there is None else tuple(("NGSILD-Warning", warning) for warning in there.warnings)
    if media_type != JSON_LD:
        return Answer(document, 200, (*await context_headers(call, context), *warnings), media_type)
    value = CORE_CONTEXT if context.value is None else context.value
    if isinstance(document, list):
        return Answer([{**item, "@context": value} for item in document], 200, warnings, media_type)
    return Answer({**document, "@context": value}, 200, warnings, media_type)


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
