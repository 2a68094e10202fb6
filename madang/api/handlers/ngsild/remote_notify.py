"""What other brokers tell of the copies of subscriptions that they have (ETSI GS CIM 009 clauses 5.8.6, 6.3.17)."""

from typing import Any

from madang.api.handlers.ngsild.common import BODIES
from madang.api.handlers.ngsild.context_of import context_of_body
from madang.api.route import Answer, Call
from madang.hub.federation import ENTITIES_MAX
from madang.hub.remote_subscriptions import told_by
from madang.model.entity import Entity
from madang.ngsild.errors import RESOURCE_NOT_FOUND, NgsiLdError
from madang.ngsild.parse import parse_entity


async def hear(call: Call) -> Answer:
    """POST /ngsi-ld/ex/remote-notify: a Notification (5.3.1). Needs no log-in: the id of the copy, which only the other broker knows, says
    that it may tell. 200 when it is kept: what is due is then delivered like any notification."""
    document = await call.json(Any, BODIES)
    if not isinstance(document, dict) or document.get("type") != "Notification":
        raise NgsiLdError('must be a JSON object with "type": "Notification" (clause 5.3.1)', "type")
    id_, data = document.get("subscriptionId"), document.get("data")
    if not isinstance(data, list) or len(data) > ENTITIES_MAX:
        raise NgsiLdError(f"must be an array of at most {ENTITIES_MAX} entities", "data")
    deliveries = call.state.deliveries
    found = None
    if deliveries is not None and isinstance(id_, str):
        found = await call.run(deliveries.remote.find, id_)
    if deliveries is None or found is None:
        raise NgsiLdError("no subscription here has this copy", "subscriptionId", RESOURCE_NOT_FOUND)
    # Only now: nobody else makes this server fetch an @context.
    context = await context_of_body(call, document)
    entities = []
    for place, member in enumerate(data):
        own: Any = member.get("@context") if isinstance(member, dict) else None
        contexts = call.hub.contexts
        used = context if own is None else contexts.find(own) or await contexts.resolve(own)
        parsed = parse_entity(member, f"data[{place}]", used)
        entities.append(
            Entity(
                parsed.id, parsed.type, parsed.attributes, 0, 0, 0, 0, types=parsed.types, scopes=parsed.scopes,
                expires_at=parsed.expires_at,
            )
        )  # fmt: skip
    definition, part = found
    told = await call.run(told_by, call.hub, definition, part, entities)
    if told:
        await call.done(deliveries.matcher.hand_in(definition.id, told))
    return Answer(None, 200)
