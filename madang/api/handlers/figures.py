"""Indicators and the limits that the city may set."""

from madang.api.route import Answer, Call
from madang.hub.queries import figures


async def list_indicators(call: Call) -> Answer:
    """GET /api/indicators"""
    return Answer(await call.ask(figures.list_indicators, call.query.get("from"), call.query.get("to")))


async def list_parameters(call: Call) -> Answer:
    """GET /api/parameters"""
    return Answer(await call.ask(figures.list_parameters))
