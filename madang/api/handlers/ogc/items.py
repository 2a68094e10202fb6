"""Features (OGC 17-069r4 clauses 7.15 and 7.16)."""

from collections.abc import Iterable

import msgspec

from madang.api.handlers.ogc.links import collection_address, page_links, segment
from madang.api.handlers.ogc.pages import no_collection
from madang.api.route import Answer, Call
from madang.hub.queries.errors import NotFound
from madang.hub.queries.look import Look
from madang.model.time import render_instant
from madang.ngsild.query import Query
from madang.ogc.ask import filter_node, names_of, parse_bbox, parse_datetime
from madang.ogc.documents import CRS84, GEO_JSON, JSON, Link
from madang.ogc.errors import OgcError
from madang.ogc.feature import PLACE, feature_of

LIMIT_DEFAULT, LIMIT_MAX = 100, 5_000
"""Features in one page: 5,000 with four attributes are 1.2 MB, and are made in an eighth of a second."""

CONTENT_CRS = (("Content-Crs", f"<{CRS84}>"),)
"""OGC 18-058r1 clause 6.3: which coordinate system an answer is in."""


async def list_items(call: Call) -> Answer:
    """GET /ogc/collections/{collectionId}/items"""
    type_, asked = call.path["collectionId"], call.query
    names = names_of(asked.get("properties", {}))
    query = Query(
        types=(type_,),
        where=filter_node(names),
        place=parse_bbox(asked["bbox"]) if "bbox" in asked else None,
        observed=parse_datetime(asked["datetime"]) if "datetime" in asked else None,
        limit=asked["limit"],
        after=asked.get("after"),
        count="after" not in asked,
    )

    def ask(look: Look) -> bytes:
        if not look.may_see_type(type_):
            raise no_collection(type_)
        hidden = look.mask(type_).names
        for name in names:
            if name in hidden:
                raise _unknown(name)
        page = look.query(query)
        total = page.total
        if total is None:  # counted without where this page begins
            total = look.query(msgspec.structs.replace(query, after=None, count=True, limit=1)).total
        features = [feature_of(entity, look.mask(entity.type).names, (call.lang,)) for entity in page.entities]
        if all(feature["geometry"] is None for feature in features):
            _check_known(look, type_, () if features else names)
        document = {
            "type": "FeatureCollection",
            "links": page_links(call, type_, page.next_after),
            "timeStamp": render_instant(look.now),
            "numberMatched": total,
            "numberReturned": len(features),
            "features": features,
        }
        return msgspec.json.encode(document)

    return Answer(await call.ask(ask), headers=CONTENT_CRS, media_type=GEO_JSON)


def _check_known(look: Look, type_: str, names: Iterable[str]) -> None:
    """After a page without a place: raises NotFound when there is no such collection, OgcError when a filter names a property that none
    of its features has. Looking for that before would cost more than the answer."""
    if not look.query(Query(types=(type_,), attributes=(PLACE,), limit=1)).entities:
        raise no_collection(type_)
    for name in names:
        if not look.query(Query(types=(type_,), attributes=(name,), limit=1)).entities:
            raise _unknown(name)


def _unknown(name: str) -> OgcError:
    return OgcError(name, "is no parameter here, and no feature of this collection has such a property")


async def get_item(call: Call) -> Answer:
    """GET /ogc/collections/{collectionId}/items/{featureId}"""
    type_, id_ = call.path["collectionId"], call.path["featureId"]

    def ask(look: Look) -> bytes:
        entity = look.find_entity(id_)
        if entity is None or type_ not in entity.all_types:
            raise NotFound(f"There is no feature {id_[:200]} in {type_[:200]}, or you may not see it.")
        feature = feature_of(entity, look.mask(entity.type).names, (call.lang,))
        address = collection_address(call, type_)
        feature["links"] = [
            Link(f"{address}/items/{segment(id_)}", "self", GEO_JSON),
            Link(address, "collection", JSON),
        ]
        return msgspec.json.encode(feature)

    return Answer(await call.ask(ask), headers=CONTENT_CRS, media_type=GEO_JSON)
