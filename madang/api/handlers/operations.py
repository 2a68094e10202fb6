"""Operation: is it alive, is it ready, what are its figures, what does it offer."""

import msgspec
from msgspec import Struct

from madang import __version__
from madang.api import figures
from madang.api.route import Answer, Call
from madang.hub.flow import LAG_MAX
from madang.hub.ports import Read, StoreError


class Health(Struct):
    status: str
    version: str


class Readiness(Struct):
    """``status`` is ``ok`` or ``not-ready``; `checks` says of each part ``ok`` or what is the matter."""

    status: str
    checks: dict[str, str]


async def get_health(call: Call) -> Answer:
    """GET /health: the process answers. Never touches the store."""
    return Answer(Health("ok", __version__))


async def get_ready(call: Call) -> Answer:
    """GET /ready: everything that a request needs works; 503 otherwise."""
    checks = await call.run(_check, call)
    ready = all(state == "ok" for state in checks.values())
    return Answer(Readiness("ok" if ready else "not-ready", checks), 200 if ready else 503)


def _check(call: Call) -> dict[str, str]:
    hub = call.hub
    checks = {"store": "ok", "detectors": "ok", "ingest": "ok"}
    try:
        with hub.store.read() as read:
            _touch(read)
    except StoreError as error:
        checks["store"] = type(error).__name__
    if getattr(hub.store, "failure", ""):
        checks["store"] = "the last commit failed"
    if hub.flow.lag() > LAG_MAX:
        checks["detectors"] = "too far behind the log"
    if not hub.ingest.accepting():
        checks["ingest"] = "accepts no more until the consumers have caught up"
    return checks


def _touch(read: Read) -> None:
    read.last_seq()


async def get_metrics(call: Call) -> Answer:
    """GET /metrics"""
    return Answer(await call.run(call.state.figures.render), media_type=figures.MEDIA_TYPE)


async def get_openapi(call: Call) -> Answer:
    """GET /openapi.json"""
    from madang.api.openapi import document
    from madang.api.routes import ROUTES

    return Answer(msgspec.json.encode(document(ROUTES)))
