"""The queue and an incident."""

from madang.api.route import Answer, Call
from madang.hub.queries import incidents
from madang.hub.queries.incidents import IncidentFilter


async def list_incidents(call: Call) -> Answer:
    """GET /api/incidents"""
    query = call.query
    asked = IncidentFilter(
        states=tuple(state.upper().replace("-", "_") for state in query.get("state") or ()),
        severities=tuple(query.get("severity") or ()),
        lanes=tuple(query.get("lane") or ()),
        rules=tuple(query.get("rule") or ()),
        text=query.get("text", ""),
        subject=query.get("subject", ""),
        limit=query["limit"],
        offset=query["offset"],
    )
    return Answer(await call.ask(incidents.list_incidents, asked))


async def get_incident(call: Call) -> Answer:
    """GET /api/incidents/{id}"""
    return Answer(await call.ask(incidents.get_page, call.path["id"]))
