"""The rows of the route table for OGC API - Features (OGC 17-069r4)."""

from typing import Any

from madang.access.roles import ENTITY_READ
from madang.api.handlers.ogc import items, pages
from madang.api.route import PUBLIC, Param, Route
from madang.ogc.documents import (
    CRS84,
    GEO_JSON,
    OPENAPI,
    SCHEMA,
    Collection,
    Collections,
    Conformance,
    Feature,
    FeatureCollection,
    LandingPage,
)

_F = Param("f", description="representation; there is but one", choices=("json",))
_CRS = Param("crs", description="coordinate system of the answer (Part 2); there is but one", choices=(CRS84,))
_COLLECTION = "/ogc/collections/{collectionId}"

OGC = (
    Route("GET", "/ogc", PUBLIC, "OGC API - Features: where a GIS begins", pages.get_landing, data_class="public",
          response=LandingPage, tag="ogc", parameters=(_F,)),
    Route("GET", "/ogc/conformance", PUBLIC, "Conformance classes that are kept", pages.get_conformance,
          data_class="public", response=Conformance, tag="ogc", parameters=(_F,)),
    Route("GET", "/ogc/openapi", PUBLIC, "The description of this part in OpenAPI 3.0", pages.get_description,
          data_class="public", response=dict[str, Any], response_media=OPENAPI, tag="ogc", parameters=(_F,)),
    Route("GET", "/ogc/collections", ENTITY_READ, "Layers: the entity types that have a place", pages.list_collections,
          response=Collections, basic_login=True, tag="ogc", parameters=(_F,)),
    Route("GET", _COLLECTION, ENTITY_READ, "A layer: where and when its features are", pages.get_collection,
          response=Collection, basic_login=True, tag="ogc", parameters=(_F,)),
    Route("GET", f"{_COLLECTION}/schema", ENTITY_READ, "The columns of a layer as JSON Schema", pages.get_schema,
          response=dict[str, Any], response_media=SCHEMA, basic_login=True, tag="ogc", parameters=(_F,)),
    Route("GET", f"{_COLLECTION}/items", ENTITY_READ, "Features of a layer, by id", items.list_items,
          data_class="personal", response=FeatureCollection, response_media=GEO_JSON, basic_login=True, tag="ogc",
          free="properties",
          parameters=(Param("limit", "integer", "features in one page", default=items.LIMIT_DEFAULT, minimum=1,
                            maximum=items.LIMIT_MAX, capped=True),
                      Param("bbox", description="west,south,east,north in degrees (CRS84); six numbers with heights"),
                      Param("bbox-crs", description="coordinate system of bbox (Part 2)", choices=(CRS84,)),
                      Param("datetime", description="instant or interval of observedAt: RFC 3339, first/last, ../last, first/.."),
                      Param("after", description="go on after the feature with this id; stands in the next link"),
                      _CRS, _F)),
    Route("GET", f"{_COLLECTION}/items/{{featureId}}", ENTITY_READ, "One feature", items.get_item,
          data_class="personal", response=Feature, response_media=GEO_JSON, basic_login=True, tag="ogc",
          parameters=(_CRS, _F)),
)  # fmt: skip
