"""A thing's page, its history, and the search over everything."""

from collections.abc import Callable
from typing import Any, TypeVar

from madang.api.route import Answer, Call
from madang.hub.queries import entities, search

T = TypeVar("T")


def question(call: Call, ask: Callable[..., T], *args: Any) -> T:
    """Ask in this thread."""
    with call.looking() as look:
        return ask(look, *args)


async def get_entity(call: Call) -> Answer:
    """GET /api/entities/{id}"""
    return Answer(await call.ask(entities.get_page, call.path["id"]))


async def get_history(call: Call) -> Answer:
    """GET /api/entities/{id}/history"""
    query = call.query
    asked = (query.get("attributes") or [], query.get("from"), query.get("to"), query["limit"])
    return Answer(await call.ask(entities.get_history, call.path["id"], *asked))


async def find(call: Call) -> Answer:
    """GET /api/search"""
    return Answer(await call.ask(search.find, call.query.get("text", ""), call.query["limit"]))
