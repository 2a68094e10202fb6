"""Landing page, conformance, description, collections (OGC 17-069r4 clauses 7.2 to 7.14)."""

from typing import Any

import msgspec

from madang.api.handlers.ogc.links import base_of, collection_address, collection_links
from madang.api.route import Answer, Call
from madang.hub.ports import Extent
from madang.hub.queries.errors import NotFound
from madang.hub.queries.look import Look
from madang.hub.words import last_part
from madang.ngsild.query import Query
from madang.ogc.documents import (
    CONFORMANCE,
    JSON,
    OPENAPI,
    SCHEMA,
    Collection,
    Collections,
    Conformance,
    LandingPage,
    Link,
    extent_of,
)
from madang.ogc.feature import feature_of
from madang.ogc.schema import schema_of


async def get_landing(call: Call) -> Answer:
    """GET /ogc"""
    base = base_of(call)
    name = call.hub.words.title(call.hub.city.name, call.lang)
    links = [
        Link(base, "self", JSON, "This page"),
        Link(f"{base}/openapi", "service-desc", OPENAPI, "Description of this API"),
        Link(f"{base}/conformance", "conformance", JSON, "Conformance classes; HTML is not among them"),
        Link(f"{base}/collections", "data", JSON, "Layers"),
    ]
    return Answer(LandingPage(name, "The things of the city that have a place, as they are now", links))


async def get_conformance(call: Call) -> Answer:
    """GET /ogc/conformance"""
    return Answer(Conformance(list(CONFORMANCE)))


async def get_description(call: Call) -> Answer:
    """GET /ogc/openapi"""
    from madang.api.openapi import describe_features
    from madang.api.routes import ROUTES

    return Answer(msgspec.json.encode(describe_features(ROUTES, base_of(call))), media_type=OPENAPI)


async def list_collections(call: Call) -> Answer:
    """GET /ogc/collections"""

    def ask(look: Look) -> list[Collection]:
        types = [name for name in look.read.list_types() if look.may_see_type(name)]
        measured = [(name, look.measure(Query(types=(name,)))) for name in types]
        return [_collection(call, look, name, extent) for name, extent in measured if extent.placed]

    found = await call.ask(ask)
    return Answer(Collections([Link(f"{base_of(call)}/collections", "self", JSON, "Layers")], found))


async def get_collection(call: Call) -> Answer:
    """GET /ogc/collections/{collectionId}"""
    type_ = call.path["collectionId"]

    def ask(look: Look) -> Collection:
        return _collection(call, look, type_, measured(look, type_))

    return Answer(await call.ask(ask))


async def get_schema(call: Call) -> Answer:
    """GET /ogc/collections/{collectionId}/schema"""
    type_ = call.path["collectionId"]

    def ask(look: Look) -> dict[str, Any]:
        measured(look, type_)
        hidden = look.mask(type_).names
        names = [use.name for use in look.read.list_attributes([type_]) if use.name not in hidden]
        samples: dict[str, Any] = {}
        for name in dict.fromkeys(names):
            for entity in look.query(Query(types=(type_,), attributes=(name,), limit=1)).entities:
                samples |= feature_of(entity, (), (call.lang,))["properties"]
        shown = {name: samples[name] for name in names if name in samples}
        return schema_of(_title(look, type_), shown, f"{collection_address(call, type_)}/schema")

    return Answer(await call.ask(ask), media_type=SCHEMA)


def measured(look: Look, type_: str) -> Extent:
    """Where and when the features of a collection are. Raises NotFound when there is no such collection for this caller."""
    extent = look.measure(Query(types=(type_,))) if look.may_see_type(type_) else None
    if extent is None or not extent.placed:
        raise no_collection(type_)
    return extent


def no_collection(type_: str) -> NotFound:
    """There is none, or none for this caller: the same words for both."""
    return NotFound(f"There is no collection {type_[:200]} with a place that you may see; /ogc/collections lists them.")


def _collection(call: Call, look: Look, type_: str, extent: Extent) -> Collection:
    title = _title(look, type_)
    return Collection(
        type_,
        title,
        f"Entities of the type {type_}",
        collection_links(call, type_, title),
        extent_of(extent.box, extent.first_at, extent.last_at),
    )


def _title(look: Look, type_: str) -> str:
    """What people call a type: its title, or the end of its IRI."""
    title = look.type_title(type_)
    return title if title != type_ else last_part(type_).rsplit("/", 1)[-1].rsplit("#", 1)[-1]
