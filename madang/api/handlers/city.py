"""The city as a whole, its map layers and its live picture."""

import gzip
from hashlib import blake2b

from madang import __version__
from madang.access.roles import ENTITY_READ
from madang.api.handlers.entities import question
from madang.api.route import Answer, Call
from madang.api.state import RenderedLayer
from madang.hub.queries import layers, live
from madang.hub.queries.answers import CityInfo, ClockInfo
from madang.hub.words import LANGUAGES
from madang.model.time import render_instant

GZIP_BYTES_MIN = 4_096
CACHE_MAX = 64
"""Rendered layers kept; a city has some twenty."""
MEDIA_TYPE = "application/geo+json"


async def get_city(call: Call) -> Answer:
    """GET /api/city"""
    hub = call.hub
    info = CityInfo(
        name=hub.words.title(hub.city.name, call.lang),
        languages=list(LANGUAGES),
        bounds=hub.city.bounds,
        time_zone=hub.city.time_zone,
        clock=ClockInfo(render_instant(hub.clock.now()), hub.city.speed),
        sample=hub.city.sample,
        version=__version__,
        anonymous_role=call.state.settings.anonymous_role,
    )
    return Answer(info)


async def list_layers(call: Call) -> Answer:
    """GET /api/layers"""
    return Answer(await call.ask(layers.list_layers))


async def get_layer(call: Call) -> Answer:
    """GET /api/layers/{id}: rendered once for all city staff until an entity of its type changes."""
    id_ = call.path["id"]
    layer = await call.run(_render, call, id_)
    headers: tuple[tuple[str, str], ...] = (
        ("ETag", layer.etag),
        ("Cache-Control", "private, no-cache"),
        ("Vary", "Accept-Encoding, Authorization, Cookie"),
    )
    if call.headers.get("if-none-match") == layer.etag:
        return Answer(None, 304, headers)
    if layer.packed and "gzip" in call.headers.get("accept-encoding", ""):
        return Answer(layer.packed, 200, (*headers, ("Content-Encoding", "gzip")), MEDIA_TYPE)
    return Answer(layer.plain, 200, headers, MEDIA_TYPE)


def _render(call: Call, id_: str) -> RenderedLayer:
    """The layer, from the cache where it is the same for all city staff and the feed would tell of a change."""
    state = call.state
    declared = call.hub.registry.layers.get(id_)
    shared = declared is not None and call.caller.party is None and state.feed.is_running
    # Taken before rendering: a change in between makes the next one render again, never the other way round.
    key = (id_, state.feed.type_seq(declared.entity_type) if declared is not None else 0)
    kept = state.layers.get(key) if shared and declared is not None and call.caller.may(ENTITY_READ) else None
    if kept is None:
        plain = question(call, layers.render_layer, id_)
        packed = gzip.compress(plain, 5) if len(plain) >= GZIP_BYTES_MIN else b""
        kept = RenderedLayer(f'"{blake2b(plain, digest_size=12).hexdigest()}"', plain, packed)
        if shared:
            while len(state.layers) >= CACHE_MAX:
                state.layers.pop(next(iter(state.layers)), None)
            state.layers[key] = kept
    return kept


async def get_live(call: Call) -> Answer:
    """GET /api/live"""
    return Answer(await call.ask(live.list_live, call.state.feed))
